-- Lists and forms of the simulator, asked without a network.
local server = require "sim.server"

local NOW = 1788249600000
local TOKEN = "test-" .. "token"

local function account(options)
  local H = { at = NOW }
  options = options or {}
  options.token = TOKEN
  local S = server.new(options, { now = function() return H.at end, random = function() return 0.5 end, spawn = function() end,
    deliver = function() return { status = 204, body = "" } end })
  local function call(method, target, body, headers)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local answer = S:handle { method = method, path = path, query = query, headers = headers or { authorization = "Bearer " .. TOKEN },
      body = type(body) == "table" and json.encode(body) or body or "" }
    return answer.status, answer.body ~= "" and json.decode(answer.body) or nil
  end
  return call, S, H
end

local LISTS = "/crm/lists/2026-09"

local function contacts(S, n)
  local ids = {}
  for i = 1, n do
    ids[i] = S:control("create", { type = "contacts", properties = { email = ("c%d@example.com"):format(i), lastname = "N" .. i } }).id
  end
  return ids
end

local function made(call, body)
  local status, answer = call("POST", LISTS, body)
  expect(status).to.equal(200)
  return answer.list
end

local function manual(call, name) return made(call, { name = name, objectTypeId = "0-1", processingType = "MANUAL" }) end

-- All pages of memberships: ids, and how many pages.
local function all(call, target, limit, from)
  local out, pages, after = {}, 0, from
  repeat
    local status, page = call("GET", target .. "?limit=" .. limit .. (after and "&after=" .. after or ""))
    expect(status).to.equal(200)
    pages = pages + 1
    for _, item in ipairs(page.results) do out[#out + 1] = item.recordId end
    after = page.paging and page.paging.next and page.paging.next.after
  until not after
  return out, pages
end

describe("static lists", function()
  it("take records in and out, and tell what did not exist", function()
    local call, S, H = account()
    local ids, list = contacts(S, 3), manual(call, "VIP")
    expect(list.size).to.equal(0)
    local status, answer = call("PUT", LISTS .. "/" .. list.listId .. "/memberships/add", json.array { ids[2], ids[1], "999" })
    expect(status).to.equal(200)
    expect(answer).to.equal { recordsIdsAdded = { ids[2], ids[1] }, recordIdsRemoved = {}, recordIdsMissing = { "999" } }
    H.at = H.at + 1000
    local _, second = call("PUT", LISTS .. "/" .. list.listId .. "/memberships/add-and-remove",
      { recordIdsToAdd = json.array { ids[3], ids[1] }, recordIdsToRemove = json.array { ids[2] } })
    expect(second.recordsIdsAdded).to.equal { ids[3] }
    expect(second.recordIdsRemoved).to.equal { ids[2] }
    local _, page = call("GET", LISTS .. "/" .. list.listId .. "/memberships/join-order")
    expect(page.results).to.equal { { recordId = ids[1], membershipTimestamp = "2026-09-01T08:00:00.000Z" },
      { recordId = ids[3], membershipTimestamp = "2026-09-01T08:00:01.000Z" } }
    local _, found = call("POST", LISTS .. "/search", { query = "vi", listIds = json.array {}, offset = 0, processingTypes = json.array {},
      additionalProperties = json.array {} })
    expect(found.total).to.equal(1)
    expect(found.lists[1].additionalProperties).to.equal { hs_list_size = "2", hs_list_reference_count = "0",
      hs_last_record_added_at = tostring(NOW + 1000), hs_last_record_removed_at = tostring(NOW + 1000) }
    local _, of = call("GET", LISTS .. "/records/0-1/" .. ids[1] .. "/memberships")
    expect(of.results[1].listId).to.equal(list.listId)
    S:control("delete", { type = "contacts", id = ids[1] })
    expect(all(call, LISTS .. "/" .. list.listId .. "/memberships", 10)).to.equal { ids[3] }
    expect((call("DELETE", LISTS .. "/" .. list.listId))).to.equal(204)
    expect((call("GET", LISTS .. "/" .. list.listId))).to.equal(404)
    expect((call("PUT", LISTS .. "/" .. list.listId .. "/restore"))).to.equal(204)
    expect((call("GET", LISTS .. "/object-type-id/0-1/name/VIP"))).to.equal(200)
  end)

  for _, offsets in ipairs { false, true } do
    it("page by id and by join, forwards and back, with cursors that are " .. (offsets and "places" or "items"), function()
      local call, S, H = account { offset_cursors = offsets }
      local ids = contacts(S, 23)
      local list = manual(call, "Many")
      local path = LISTS .. "/" .. list.listId .. "/memberships"
      for i = #ids, 1, -1 do   -- the last one joins first, five of them at one time
        if i % 5 == 0 then H.at = H.at + 1 end
        call("PUT", path .. "/add", json.array { ids[i] })
      end
      local by_id, pages = all(call, path, 10)
      expect(by_id).to.equal(ids)
      expect(pages).to.equal(3)
      local joined = all(call, path .. "/join-order", 7)
      expect(#joined).to.equal(23)
      expect(joined[1]).to.equal(ids[21])
      expect(joined[23]).to.equal(ids[5])
      local _, page = call("GET", path .. "?limit=10")
      local _, back = call("GET", path .. "?limit=4&before=" .. page.paging.next.after)
      expect(back.results[1].recordId).to.equal(ids[9])
      expect(back.results[4].recordId).to.equal(ids[6])
      expect(back.paging.prev.before).to.be_truthy()
      call("PUT", path .. "/remove", json.array { ids[1], ids[2] })
      local rest = all(call, path, 10, page.paging.next.after)
      expect(rest[1]).to.equal(offsets and ids[13] or ids[11])
      expect((call("GET", path .. "?limit=251"))).to.equal(400)
      expect((call("GET", path .. "?after=nonsense"))).to.equal(400)
    end)
  end

  it("follow a merge, and have names of their own", function()
    local call, S = account()
    local ids = contacts(S, 2)
    local list = manual(call, "VIP")
    call("PUT", LISTS .. "/" .. list.listId .. "/memberships/add", json.array { ids[2] })
    local merged = S:control("merge", { type = "contacts", primary = ids[1], other = ids[2] })
    expect(S:control("members", { list = "VIP" }).ids).to.equal { merged.id }
    expect((call("POST", LISTS, { name = "vip", objectTypeId = "0-1", processingType = "MANUAL" }))).to.equal(400)
    expect((call("POST", LISTS, { name = "x", objectTypeId = "0-1" }))).to.equal(400)
  end)
end)

describe("dynamic lists", function()
  local function filter(property, kind, operator, fields)
    local operation = { operationType = kind, operator = operator, includeObjectsWithNoValueSet = false }
    for key, value in pairs(fields or {}) do operation[key] = value end
    return { filterType = "PROPERTY", property = property, operation = operation }
  end
  local function branch(...)
    return { filterBranchType = "OR", filterBranchOperator = "OR", filters = json.array {}, filterBranches = json.array { {
      filterBranchType = "AND", filterBranchOperator = "AND", filterBranches = json.array {}, filters = json.array { ... } } } }
  end

  it("follow the records, and refuse to be changed by hand", function()
    local call, S, H = account()
    local ids = contacts(S, 3)
    S:control("update", { type = "contacts", id = ids[1], properties = { lifecyclestage = "customer" } })
    local list = made(call, { name = "Customers", objectTypeId = "0-1", processingType = "DYNAMIC",
      filterBranch = branch(filter("lifecyclestage", "ENUMERATION", "IS_ANY_OF", { values = json.array { "customer", "evangelist" } })) })
    expect(list.size).to.equal(1)
    H.at = H.at + 5000
    S:control("update", { type = "contacts", id = ids[2], properties = { lifecyclestage = "evangelist" } })
    S:control("update", { type = "contacts", id = ids[1], properties = { lifecyclestage = "other" } })
    local _, page = call("GET", LISTS .. "/" .. list.listId .. "/memberships")
    expect(page.results).to.equal { { recordId = ids[2], membershipTimestamp = "2026-09-01T08:00:05.000Z" } }
    local status, e = call("PUT", LISTS .. "/" .. list.listId .. "/memberships/add", json.array { ids[3] })
    expect(status).to.equal(400)
    expect(e.message).to.contain("follow its filters")
    local _, updated = call("PUT", LISTS .. "/" .. list.listId .. "/update-list-filters",
      { filterBranch = branch(filter("lifecyclestage", "ALL_PROPERTY", "IS_UNKNOWN")) })
    expect(updated.updatedList.size).to.equal(1)
    expect(S:control("members", { list = "Customers" }).ids).to.equal { ids[3] }
  end)

  it("know the operators of properties, and say which filters they do not know", function()
    local call, S = account()
    S:control("create", { type = "companies", properties = { name = "Nordsoft GmbH", numberofemployees = "40" } })
    S:control("create", { type = "companies", properties = { name = "Bluetech", numberofemployees = "400" } })
    local n = 0
    local function size(...)
      n = n + 1
      return made(call, { name = "L" .. n, objectTypeId = "0-2", processingType = "SNAPSHOT", filterBranch = branch(...) }).size
    end
    local function values(...) return { values = json.array { ... } } end
    expect(size(filter("name", "MULTISTRING", "CONTAINS", values("gmbh")))).to.equal(1)
    expect(size(filter("name", "STRING", "STARTS_WITH", { value = "nord" }))).to.equal(1)
    expect(size(filter("name", "STRING", "ENDS_WITH", { value = "tech" }))).to.equal(1)
    expect(size(filter("name", "STRING", "IS_NOT_EQUAL_TO", { value = "bluetech" }))).to.equal(1)
    expect(size(filter("numberofemployees", "NUMBER", "IS_GREATER_THAN", { value = 40 }))).to.equal(1)
    expect(size(filter("numberofemployees", "NUMBER", "IS_GREATER_THAN_OR_EQUAL_TO", { value = 40 }),
      filter("name", "STRING", "CONTAINS", { value = "blue" }))).to.equal(1)
    expect(size(filter("domain", "ALL_PROPERTY", "IS_KNOWN"))).to.equal(0)
    local status, e = call("POST", LISTS, { name = "y", objectTypeId = "0-2", processingType = "DYNAMIC",
      filterBranch = branch { filterType = "EMAIL_EVENT" } })
    expect(status).to.equal(501)
    expect(e.message).to.contain("EMAIL_EVENT")
  end)
end)

describe("forms", function()
  local FORMS = "/marketing/v3/forms"

  it("are made, found, changed and archived", function()
    local call, S = account()
    local form = S:control("create_form", { name = "Contact us" })
    local _, read = call("GET", FORMS .. "/" .. form.id)
    expect(read.name).to.equal("Contact us")
    expect(read.fieldGroups[1].fields[1].name).to.equal("email")
    read.id, read.archived, read.createdAt, read.updatedAt = nil, nil, nil, nil
    read.name = "Second"
    local status, second = call("POST", FORMS, read)
    expect(status).to.equal(201)
    local _, page = call("GET", FORMS .. "?limit=1")
    expect(page.results[1].id).to.equal(form.id)
    local _, rest = call("GET", FORMS .. "?limit=1&after=" .. page.paging.next.after)
    expect(rest.results[1].id).to.equal(second.id)
    expect(rest.paging).to.be_nil()
    local _, changed = call("PATCH", FORMS .. "/" .. second.id, { name = "Third" })
    expect(changed.name).to.equal("Third")
    expect((call("DELETE", FORMS .. "/" .. second.id))).to.equal(204)
    expect((call("GET", FORMS .. "/" .. second.id))).to.equal(404)
    expect((call("GET", FORMS .. "/" .. second.id .. "?archived=true"))).to.equal(200)
    expect((call("POST", FORMS, { name = "x" }))).to.equal(400)
  end)

  for _, offsets in ipairs { false, true } do
    it("give their submissions newest first, with cursors that are " .. (offsets and "places" or "items"), function()
      local call, S, H = account { offset_cursors = offsets }
      local form = S:control("create_form", { name = "Contact us" })
      for i = 1, 60 do
        H.at = H.at + 1000
        S:control("submit_form", { form = "Contact us", values = { email = ("s%d@example.com"):format(i) } })
      end
      local path = "/form-integrations/v1/submissions/forms/" .. form.id
      local _, page = call("GET", path .. "?limit=50")
      expect(#page.results).to.equal(50)
      expect(page.results[1].values[1]).to.equal { name = "email", value = "s60@example.com", objectTypeId = "0-1" }
      expect(page.results[1].submittedAt).to.equal(H.at)
      S:control("submit_form", { form = "Contact us", values = { email = "later@example.com" } })
      local _, rest = call("GET", path .. "?limit=50&after=" .. page.paging.next.after)
      expect(#rest.results).to.equal(offsets and 11 or 10)
      expect(rest.results[#rest.results].values[1].value).to.equal("s1@example.com")
      expect(rest.paging).to.be_nil()
      expect((call("GET", path .. "?limit=51"))).to.equal(400)
      expect((call("GET", "/form-integrations/v1/submissions/forms/none"))).to.equal(404)
      expect(S.types.contacts.live).to.equal(61)
    end)
  end

  it("are submitted by anybody with fields of the form, with a token with any, and make the contact", function()
    local call, S = account()
    local form = S:control("create_form", { name = "Contact us" })
    local path = ("/submissions/v3/integration/%%ssubmit/%d/%s"):format(S.portal, form.id)
    local status, answer = call("POST", path:format(""), { fields = { { objectTypeId = "0-1", name = "email", value = "A@example.com" },
      { objectTypeId = "0-1", name = "firstname", value = "Ada" } }, context = { pageUri = "https://example.com", pageName = "Home" } }, {})
    expect(status).to.equal(200)
    expect(answer.inlineMessage).to.contain("Thanks")
    local _, page = call("GET", "/form-integrations/v1/submissions/forms/" .. form.id)
    expect(page.results[1].pageUrl).to.equal("https://example.com")
    local _, contact = call("GET", "/crm/objects/2026-09/contacts/a%40example.com?idProperty=email&properties=firstname")
    expect(contact.properties.firstname).to.equal("Ada")
    local fields = { { name = "email", value = "a@example.com" }, { name = "city", value = "Ulm" } }
    local refused, e = call("POST", path:format(""), { fields = fields }, {})
    expect(refused).to.equal(400)
    expect(e.errors[1].code).to.equal("FIELD_NOT_IN_FORM_DEFINITION")
    expect((call("POST", path:format("secure/"), { fields = fields }, {}))).to.equal(401)
    expect((call("POST", path:format("secure/"), { fields = fields }))).to.equal(200)
    expect(S.types.contacts.live).to.equal(1)
    expect((call("POST", path:format("secure/"), { fields = { { name = "email", value = "nobody" } } }))).to.equal(400)
    expect((call("POST", path:format("secure/"), { fields = fields, submittedAt = tostring(NOW - 32 * 86400000) }))).to.equal(400)
    expect((call("POST", "/submissions/v3/integration/submit/1/" .. form.id, { fields = fields }, {}))).to.equal(404)
  end)
end)

describe("folders of lists", function()
  local FOLDERS = LISTS .. "/folders"

  local function folder(call, name, parent)
    local status, answer = call("POST", FOLDERS, { name = name, parentFolderId = parent })
    expect(status).to.equal(200)
    return answer.folder.id
  end

  it("are a tree that holds lists", function()
    local call = account()
    local campaigns = folder(call, "Campaigns")
    local spring = folder(call, "Spring", campaigns)
    local list = made(call, { name = "A", objectTypeId = "0-1", processingType = "MANUAL",
      listFolderId = math.tointeger(tonumber(spring)) })
    local _, tree = call("GET", FOLDERS)
    expect(tree.folder.childNodes[1].childNodes[1].childLists).to.equal { math.tointeger(tonumber(list.listId)) }
    local _, found = call("POST", LISTS .. "/search", { listIds = json.array { list.listId }, processingTypes = json.array {},
      additionalProperties = json.array {}, offset = 0 })
    expect(found.lists[1].additionalProperties.hs_folder_name).to.equal("Spring")
    expect((call("PUT", FOLDERS .. "/" .. campaigns .. "/move/" .. spring))).to.equal(400)   -- into itself
    expect((call("DELETE", FOLDERS .. "/" .. spring))).to.equal(400)                         -- is not empty
    expect((call("PUT", FOLDERS .. "/move-list", { listId = list.listId, newFolderId = "0" }))).to.equal(204)
    expect((call("DELETE", FOLDERS .. "/" .. spring))).to.equal(204)
    expect((call("GET", FOLDERS .. "?folderId=" .. spring))).to.equal(404)
    expect((call("PUT", FOLDERS .. "/0/rename?newFolderName=x"))).to.equal(400)
    expect((call("POST", LISTS, { name = "B", objectTypeId = "0-1", processingType = "MANUAL", listFolderId = 99 }))).to.equal(404)
  end)
end)

describe("conversions of dynamic lists", function()
  local function rule(call)
    return made(call, { name = "Rule", objectTypeId = "0-1", processingType = "DYNAMIC", filterBranch = {
      filterBranchType = "OR", filters = json.array {}, filterBranches = json.array { { filterBranchType = "AND",
        filterBranches = json.array {}, filters = json.array { { filterType = "PROPERTY", property = "city", operation = {
          operationType = "MULTISTRING", operator = "IS_EQUAL_TO", values = json.array { "Berlin" } } } } } } } }).listId
  end
  local function berliner(call, n)
    local _, c = call("POST", "/crm/objects/2026-09/contacts", { properties = { email = "b" .. n .. "@example.com", city = "Berlin" } })
    return c.id
  end
  local function shown(call, id)
    local _, answer = call("GET", LISTS .. "/" .. id)
    return answer.list
  end

  it("happen on their day, where the account is", function()
    local call, _, H = account { time_zone = "America/New_York" }
    local id = rule(call)
    local target = LISTS .. "/" .. id .. "/schedule-conversion"
    local date = { conversionType = "CONVERSION_DATE", year = 2026, month = 9, day = 3 }
    local status, answer = call("PUT", target, date)
    expect(status).to.equal(200)
    expect(answer).to.equal { listId = id, requestedConversionTime = date }
    H.at = time.instant({ year = 2026, month = 9, day = 3 }, "America/New_York") - 1
    berliner(call, 1)
    expect(shown(call, id).processingType).to.equal("DYNAMIC")
    H.at = H.at + 1
    berliner(call, 2)   -- comes too late
    expect(shown(call, id).processingType).to.equal("SNAPSHOT")
    expect(shown(call, id).size).to.equal(1)
    local _, done = call("GET", target)
    expect(done.convertedAt).to.equal("2026-09-03T04:00:00.000Z")
    expect((call("PUT", target, date))).to.equal(400)   -- it is no dynamic list any more
  end)

  it("happen when nobody joined for so long, unless they are called off", function()
    local call, _, H = account()
    local id = rule(call)
    local target = LISTS .. "/" .. id .. "/schedule-conversion"
    call("PUT", target, { conversionType = "INACTIVITY", offset = 2, timeUnit = "WEEK" })
    H.at = H.at + 13 * 86400000
    berliner(call, 1)
    H.at = H.at + 13 * 86400000
    expect(shown(call, id).processingType).to.equal("DYNAMIC")
    call("DELETE", target)
    H.at = H.at + 13 * 86400000
    expect(shown(call, id).processingType).to.equal("DYNAMIC")
    call("PUT", target, { conversionType = "INACTIVITY", offset = 1, timeUnit = "MONTH" })
    expect(shown(call, id).processingType).to.equal("DYNAMIC")
    H.at = H.at + 10 * 86400000
    expect(shown(call, id).processingType).to.equal("SNAPSHOT")
    for _, bad in ipairs { { conversionType = "CONVERSION_DATE", year = 2027, month = 2, day = 30 },
      { conversionType = "INACTIVITY", offset = 0, timeUnit = "DAY" }, { conversionType = "NEVER" } } do
      local other = made(call, { name = "R" .. H.at, objectTypeId = "0-1", processingType = "DYNAMIC",
        filterBranch = { filterBranchType = "AND", filters = json.array {}, filterBranches = json.array {} } }).listId
      H.at = H.at + 1
      expect((call("PUT", LISTS .. "/" .. other .. "/schedule-conversion", bad))).to.equal(400)
    end
  end)
end)

describe("ids of the first lists API", function()
  it("lead to lists", function()
    local call = account()
    local list = manual(call, "A")
    local _, found = call("POST", LISTS .. "/search", { listIds = json.array {}, processingTypes = json.array {},
      additionalProperties = json.array { "hs_classic_list_id" }, offset = 0 })
    local old = found.lists[1].additionalProperties.hs_classic_list_id
    local _, one = call("GET", LISTS .. "/idmapping?legacyListId=" .. old)
    expect(one).to.equal { legacyListId = old, listId = list.listId }
    local _, many = call("POST", LISTS .. "/idmapping", json.array { old, "99" })
    expect(many.missingLegacyListIds).to.equal { "99" }
    expect((call("GET", LISTS .. "/idmapping"))).to.equal(400)
  end)
end)
