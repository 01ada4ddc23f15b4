-- The simulator's API, asked without a network: what a client sees, room by room.
local server = require "sim.server"

local NOW = 1788249600000

-- A clock that the test moves, and tasks that are kept for the test to run.
local function fake_host()
  local H = { at = NOW, tasks = {}, sent = {} }
  H.host = {
    now = function() return H.at end,
    random = function() return 0.5 end,
    spawn = function(fn) H.tasks[#H.tasks + 1] = fn end,
    deliver = function(request)
      H.sent[#H.sent + 1] = request
      return { status = H.answer or 204, body = "" }
    end,
  }
  function H.run()
    while #H.tasks > 0 do table.remove(H.tasks, 1)() end
  end
  return H
end

local TOKEN = "test-" .. "token"

local function account(options)
  local H = fake_host()
  options = options or {}
  if not options.tokens then options.token = TOKEN end
  local S = server.new(options, H.host)
  local function call(method, target, body, headers)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local answer = S:handle {
      method = method, path = path, query = query,
      headers = headers or { authorization = "Bearer " .. TOKEN },
      body = type(body) == "table" and json.encode(body) or body or "",
    }
    local decoded = answer.body ~= "" and answer.body:sub(1, 1) ~= "<" and json.decode(answer.body) or nil
    return answer.status, decoded, answer.headers, answer.body
  end
  return call, S, H
end

local CONTACTS = "/crm/objects/2026-09/contacts"

describe("records", function()
  it("are created, read by id and by e-mail, changed and archived", function()
    local call, _, H = account()
    local status, made = call("POST", CONTACTS, { properties = { email = " Ada@Example.COM", firstname = "Ada" } })
    expect(status).to.equal(201)
    expect(made.properties.email).to.equal("ada@example.com")
    expect(made.createdAt).to.match("^2026%-09%-01T08:00:00%.000Z$")
    expect(made.archived).to.be_false()
    H.at = H.at + 1500
    local changed
    status, changed = call("PATCH", CONTACTS .. "/" .. made.id, { properties = { lastname = "Lovelace" } })
    expect(status).to.equal(200)
    expect(changed.updatedAt).to.match("08:00:01%.500Z$")
    local _, read = call("GET", CONTACTS .. "/ada%40example.com?idProperty=email&properties=lastname,phone,nonsense")
    expect(read.id).to.equal(made.id)
    expect(read.properties.lastname).to.equal("Lovelace")
    expect(read.properties.phone).to.equal(json.null)
    expect(read.properties.nonsense).to.be_nil()
    expect((call("DELETE", CONTACTS .. "/" .. made.id))).to.equal(204)
    local missing, e = call("GET", CONTACTS .. "/" .. made.id)
    expect(missing).to.equal(404)
    expect(e.category).to.equal("OBJECT_NOT_FOUND")
    expect(e.correlationId).to.match("^%x+%-%x+%-%x+%-%x+%-%x+$")
    expect((call("GET", CONTACTS .. "/" .. made.id .. "?archived=true"))).to.equal(200)
    expect((call("DELETE", CONTACTS .. "/999999"))).to.equal(204)
    missing, e = call("DELETE", CONTACTS .. "/ada@example.com")
    expect(missing).to.equal(404)
    expect(e.message).to.contain("usually numeric")
    expect((call("POST", CONTACTS, { properties = { email = "ada@example.com" } }))).to.equal(201)
  end)

  it("refuse values as HubSpot does", function()
    local call = account()
    local status, e = call("POST", CONTACTS,
      { properties = { shoesize = "43", email = "nobody", lifecyclestage = "Lead", hs_object_id = "1" } })
    expect(status).to.equal(400)
    expect(e.category).to.equal("VALIDATION_ERROR")
    local codes = {}
    for i, x in ipairs(e.errors) do codes[i] = x.context.propertyName[1] .. " " .. x.code end
    expect(codes).to.equal { "email INVALID_EMAIL", "hs_object_id READ_ONLY_VALUE", "lifecyclestage INVALID_OPTION",
      "shoesize PROPERTY_DOESNT_EXIST" }
    expect(e.message).to.contain("PROPERTY_DOESNT_EXIST")
    status = call("POST", CONTACTS, { properties = { phone = "1" } })
    expect(status).to.equal(400)
    status, e = call("POST", "/crm/objects/2026-09/deals", { properties = { dealname = "x", dealstage = "nowhere" } })
    expect(status).to.equal(400)
    expect(e.errors[1].code).to.equal("INVALID_OPTION")
    status, e = call("POST", CONTACTS, "{\"properties\":")
    expect(status).to.equal(400)
    expect(e.message).to.contain("Invalid input JSON")
  end)

  it("name the existing contact in a conflict", function()
    local call = account()
    local _, made = call("POST", CONTACTS, { properties = { email = "a@example.com" } })
    local status, e = call("POST", CONTACTS, { properties = { email = "A@example.com" } })
    expect(status).to.equal(409)
    expect(e.category).to.equal("CONFLICT")
    expect(e.message).to.equal("Contact already exists. Existing ID: " .. made.id)
    local _, other = call("POST", CONTACTS, { properties = { email = "b@example.com" } })
    expect((call("PATCH", CONTACTS .. "/" .. other.id, { properties = { email = "a@example.com" } }))).to.equal(409)
  end)

  it("settle a deal's pipeline and closed flags from its stage", function()
    local call = account()
    local _, deal = call("POST", "/crm/objects/2026-09/deals", { properties = { dealname = "x", dealstage = "qualifiedtobuy" } })
    expect(deal.properties.pipeline).to.equal("default")
    call("PATCH", "/crm/objects/2026-09/0-3/" .. deal.id, { properties = { dealstage = "closedwon" } })
    local _, read = call("GET", "/crm/v3/objects/deals/" .. deal.id .. "?properties=hs_is_closed,hs_is_closed_won")
    expect(read.properties.hs_is_closed).to.equal("true")
    expect(read.properties.hs_is_closed_won).to.equal("true")
  end)

  it("page through a list without gaps", function()
    local call = account { contacts = 25 }
    local seen, after, pages = {}, nil, 0
    repeat
      local _, page = call("GET", CONTACTS .. "?limit=10" .. (after and "&after=" .. after or ""))
      for _, c in ipairs(page.results) do
        expect(seen[c.id]).to.be_nil()
        seen[c.id] = true
      end
      pages, after = pages + 1, page.paging and page.paging.next.after
    until not after
    local n = 0
    for _ in pairs(seen) do n = n + 1 end
    expect(n).to.equal(25)
    expect(pages).to.equal(3)
    expect((call("GET", CONTACTS .. "?limit=101"))).to.equal(400)
  end)

  it("merge into a new record to which both ids lead", function()
    local call = account()
    local _, a = call("POST", CONTACTS, { properties = { email = "a@example.com" } })
    local _, b = call("POST", CONTACTS, { properties = { email = "b@example.com", phone = "7" } })
    local status, merged = call("POST", CONTACTS .. "/merge", { primaryObjectId = a.id, objectIdToMerge = b.id })
    expect(status).to.equal(200)
    for _, old in ipairs { a, b } do
      local _, read = call("GET", CONTACTS .. "/" .. old.id .. "?properties=phone,email")
      expect(read.id).to.equal(merged.id)
      expect(read.properties).to.equal { phone = "7", email = "a@example.com", hs_object_id = merged.id,
        createdate = read.properties.createdate, lastmodifieddate = read.properties.lastmodifieddate }
    end
    local _, second = call("GET", CONTACTS .. "/b@example.com?idProperty=email")
    expect(second.id).to.equal(merged.id)
  end)

  it("of every type do what HubSpot lets them", function()
    local call, S = account()
    local function objects(name) return "/crm/objects/2026-09/" .. name end
    for _, t in ipairs { { "orders", { hs_order_name = "O-1" } }, { "0-116", { hs_postal_mail_body = "x" } },
      { "users", { hs_availability_status = "away" } }, { "taxes", { hs_type = "PERCENT", hs_value = "19" } } } do
      expect((call("POST", objects(t[1]), { properties = t[2] }))).to.equal(201)
    end
    local _, order = call("POST", objects "orders", { properties = { hs_order_name = "O-2" } })
    local _, second = call("POST", objects "orders", { properties = { hs_order_name = "O-3" } })
    expect((call("POST", objects "orders/merge", { primaryObjectId = order.id, objectIdToMerge = second.id }))).to.equal(200)
    local _, note = call("POST", objects "notes", { properties = { hs_note_body = "a" } })
    local _, more = call("POST", objects "notes", { properties = { hs_note_body = "b" } })
    expect((call("POST", objects "notes/merge", { primaryObjectId = note.id, objectIdToMerge = more.id }))).to.equal(501)
    expect((call("POST", objects "deals/gdpr-delete", { objectId = "1" }))).to.equal(501)
    expect((call("POST", objects "feedback_submissions", { properties = { hs_content = "x" } }))).to.equal(501)
    local made = S:control("create", { type = "feedback_submissions", properties = { hs_content = "x" } })
    expect((call("PATCH", objects "feedback_submissions/" .. made.id, { properties = { hs_content = "y" } }))).to.equal(501)
    local _, read = call("POST", objects "feedback_submissions/batch/read",
      { inputs = { { id = made.id } }, properties = { "hs_content" } })
    expect(read.results[1].properties.hs_content).to.equal("x")
    local contact = S:control("create", { type = "contacts", properties = { email = "a@example.com" } })
    local _, linked = call("PUT", objects "tickets/7/associations/default/calls/7")
    expect(linked.category).to.equal("OBJECT_NOT_FOUND")   -- the pair is known
    local _, lead = call("POST", objects "leads", { properties = { hs_lead_name = "L" }, associations = json.array { {
      to = { id = contact.id }, types = json.array { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 578 } } } } })
    local _, with = call("GET", "/crm/objects/2026-09/leads/" .. lead.id .. "?associations=contacts")
    local types = {}
    for _, a in ipairs(with.associations.contacts.results) do types[#types + 1] = a.type end
    expect(types).to.equal { "lead_to_contact", "lead_to_contact_unlabeled" }
  end)

  it("are gone for good after gdpr-delete", function()
    local call = account()
    local _, a = call("POST", CONTACTS, { properties = { email = "a@example.com" } })
    expect((call("POST", CONTACTS .. "/gdpr-delete", { objectId = "a@example.com", idProperty = "email" }))).to.equal(204)
    expect((call("GET", CONTACTS .. "/" .. a.id .. "?archived=true"))).to.equal(404)
  end)
end)

describe("batches", function()
  it("read what is there and name what is not (207)", function()
    local call, S = account { contacts = 3 }
    local status, page = call("POST", CONTACTS .. "/batch/read",
      { inputs = { { id = "100001" }, { id = "5" }, { id = "100003" } }, properties = { "email" } })
    expect(status).to.equal(207)
    expect(#page.results).to.equal(2)
    expect(page.numErrors).to.equal(1)
    expect(page.errors[1].context.ids).to.equal(json.array { "5" })
    expect(S:control("calls", {}).calls[1].batch).to.equal(3)
  end)

  it("fail one row alone when rows carry trace ids, and whole when not", function()
    local call, S = account()
    call("POST", CONTACTS, { properties = { email = "taken@example.com" } })
    local function inputs(traced)
      local list = {}
      for i, email in ipairs { "one@example.com", "taken@example.com", "three@example.com" } do
        list[i] = { properties = { email = email }, objectWriteTraceId = traced and "row" .. i or nil }
      end
      return { inputs = list }
    end
    expect((call("POST", CONTACTS .. "/batch/create", inputs(false)))).to.equal(409)
    expect(S:control("stats", {}).contacts).to.equal(1)
    local status, page = call("POST", CONTACTS .. "/batch/create", inputs(true))
    expect(status).to.equal(207)
    expect(#page.results).to.equal(2)
    expect(page.results[1].objectWriteTraceId).to.equal("row1")
    expect(page.errors[1].context.objectWriteTraceId).to.equal(json.array { "row2" })
    expect(page.errors[1].category).to.equal("CONFLICT")
  end)

  it("refuse an id twice, and more than a hundred", function()
    local call = account { contacts = 2 }
    local status, e = call("POST", CONTACTS .. "/batch/update", { inputs = {
      { id = "100001", properties = { phone = "1" } }, { id = "100001", properties = { phone = "2" } } } })
    expect(status).to.equal(400)
    expect(e.message).to.contain("100001")
    local many = {}
    for i = 1, 101 do many[i] = { id = tostring(i) } end
    expect((call("POST", CONTACTS .. "/batch/read", { inputs = many, properties = {} }))).to.equal(400)
  end)

  it("upsert by e-mail: new rows are made, known ones changed", function()
    local call = account()
    local _, a = call("POST", CONTACTS, { properties = { email = "a@example.com" } })
    local status, page = call("POST", CONTACTS .. "/batch/upsert", { inputs = {
      { id = "A@example.com", idProperty = "email", properties = { phone = "1" } },
      { id = "b@example.com", idProperty = "email", properties = { phone = "2" } } } })
    expect(status).to.equal(200)
    expect(page.results[1].id).to.equal(a.id)
    expect(page.results[1].new).to.be_false()
    expect(page.results[2].new).to.be_true()
    expect(page.results[2].properties.email).to.equal("b@example.com")
  end)
end)

describe("limits", function()
  it("refuse the 191st call of ten seconds and tell how many are left", function()
    local call, S, H = account()
    for i = 1, 190 do
      local status, _, headers = call("GET", CONTACTS)
      expect(status).to.equal(200)
      expect(headers["X-HubSpot-RateLimit-Remaining"]).to.equal(tostring(190 - i))
      H.at = H.at + 10
    end
    local status, e, headers = call("GET", CONTACTS)
    expect(status).to.equal(429)
    expect(e.policyName).to.equal("TEN_SECONDLY_ROLLING")
    expect(e.message).to.equal("You have reached your ten_secondly_rolling limit.")
    expect(headers["X-HubSpot-RateLimit-Remaining"]).to.equal("0")
    H.at = NOW + 9999
    expect((call("GET", CONTACTS))).to.equal(429)
    H.at = NOW + 10000
    expect((call("GET", CONTACTS))).to.equal(200)
    expect((call("GET", CONTACTS))).to.equal(429)
    expect(S:control("stats", {}).limited).to.equal(3)
  end)

  it("count search by the second, without headers", function()
    local call, _, H = account()
    for _ = 1, 5 do
      local status, _, headers = call("POST", CONTACTS .. "/search", { limit = 1 })
      expect(status).to.equal(200)
      expect(headers["X-HubSpot-RateLimit-Max"]).to.be_nil()
    end
    local status, e = call("POST", CONTACTS .. "/search", { limit = 1 })
    expect(status).to.equal(429)
    expect(e.policyName).to.equal("SECONDLY")
    H.at = H.at + 1000
    expect((call("POST", CONTACTS .. "/search", { limit = 1 }))).to.equal(200)
  end)

  it("end the day's budget, and begin anew at midnight", function()
    local call, _, H = account { daily_limit = 2 }
    call("GET", CONTACTS)
    call("GET", CONTACTS)
    local status, e = call("GET", CONTACTS)
    expect(status).to.equal(429)
    expect(e.policyName).to.equal("DAILY")
    H.at = H.at + 86400000
    expect((call("GET", CONTACTS))).to.equal(200)
  end)

  it("end the day where the account is, also when the clocks change", function()
    for zone, day in pairs {
      ["America/New_York"] = { "2026-09-01T03:59:59Z", "2026-09-01T04:00:00Z", "2026-09-02T04:00:00Z", "-04:00" },
      ["Europe/Berlin"] = { "2026-10-24T21:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "+02:00" }, -- 25 hours
    } do
      local H = fake_host()
      H.at = time.parse(day[1])
      local S = server.new({ token = TOKEN, daily_limit = 2, time_zone = zone }, H.host)
      local function get(path)
        local r = S:handle { method = "GET", path = path, query = "", headers = { authorization = "Bearer " .. TOKEN }, body = "" }
        return r.status, json.decode(r.body)
      end
      for _, midnight in ipairs { day[2], day[3] } do
        local status, details = get "/account-info/2026-09/details"
        expect(status).to.equal(200)
        expect(details.timeZone).to.equal(zone)
        if midnight == day[2] then expect(details.utcOffset).to.equal(day[4]) end
        get(CONTACTS)
        expect((get(CONTACTS))).to.equal(429)
        H.at = time.parse(midnight) - 1
        expect((get(CONTACTS))).to.equal(429)
        H.at = H.at + 1
      end
      expect((get(CONTACTS))).to.equal(200)
    end
  end)

  it("count the window by app and search by account", function()
    local a, b, c = TOKEN .. "a", TOKEN .. "b", TOKEN .. "c"
    local call = account { rate_limit = 10, tokens = { { token = a, app_id = 1 }, { token = b, app_id = 1 }, { token = c, app_id = 2 } } }
    local function left(token)
      local _, _, headers = call("GET", CONTACTS, nil, { authorization = "Bearer " .. token })
      return headers["X-HubSpot-RateLimit-Remaining"]
    end
    expect(left(a)).to.equal("9")
    expect(left(b)).to.equal("8")
    expect(left(c)).to.equal("9")
    for i = 1, 6 do
      local status = call("POST", CONTACTS .. "/search", { limit = 1 }, { authorization = "Bearer " .. (i % 2 == 0 and a or c) })
      expect(status).to.equal(i < 6 and 200 or 429)
    end
  end)

  it("give an OAuth app 110 calls, and no day", function()
    local call, S = account { daily_limit = 1, oauth_apps = { { client_id = "app", client_secret = "s" } } }
    local token = S:control("issue_token", { client_id = "app" }).token
    local as = { authorization = "Bearer " .. token }
    for i = 1, 110 do
      local status, _, headers = call("GET", CONTACTS, nil, as)
      expect(status).to.equal(200)
      expect(headers["X-HubSpot-RateLimit-Max"]).to.equal("110")
      expect(headers["X-HubSpot-RateLimit-Remaining"]).to.equal(tostring(110 - i))
      expect(headers["X-HubSpot-RateLimit-Daily-Remaining"]).to.be_nil()
    end
    local status, e = call("GET", CONTACTS, nil, as)
    expect(status).to.equal(429)
    expect(e.policyName).to.equal("TEN_SECONDLY_ROLLING")
    -- Its calls are not the private apps'.
    local mine, _, headers = call("GET", CONTACTS)
    expect(mine).to.equal(200)
    expect(headers["X-HubSpot-RateLimit-Daily-Remaining"]).to.equal("0")
  end)

  it("refuse a time zone that is none", function()
    expect(function() server.new({ time_zone = "Mars/Olympus" }, fake_host().host) end).to.raise("Mars/Olympus")
  end)
end)

describe("credentials", function()
  it("are checked before anything else", function()
    local call = account()
    local status, e = call("GET", CONTACTS, nil, {})
    expect(status).to.equal(401)
    expect(e.category).to.equal("INVALID_AUTHENTICATION")
    expect((call("GET", CONTACTS, nil, { authorization = "Bearer wrong" }))).to.equal(401)
    local _, key = call("GET", CONTACTS .. "?hapikey=demo", nil, {})
    expect(key.message).to.contain("API keys")
  end)

  it("need the scope of what they touch", function()
    local call = account { contacts = 1, tokens = { { token = TOKEN, scopes = { "crm.objects.contacts.read" } } } }
    expect((call("GET", CONTACTS))).to.equal(200)
    local status, e = call("PATCH", CONTACTS .. "/100001", { properties = { phone = "1" } })
    expect(status).to.equal(403)
    expect(e.category).to.equal("MISSING_SCOPES")
    expect(e.errors[1].context.requiredGranularScopes).to.equal(json.array { "crm.objects.contacts.write" })
    expect((call("GET", "/crm/objects/2026-09/companies"))).to.equal(403)
    expect((call("GET", "/crm/owners/2026-09"))).to.equal(403)
    expect((call("POST", "/crm/properties/2026-09/contacts", {}))).to.equal(403)
    expect((call("GET", "/crm/properties/2026-09/contacts"))).to.equal(200)
  end)

  it("need those that HubSpot publishes: by type, for both sides, of either path", function()
    local function refused(scopes, method, path, body)
      local call = account { contacts = 1, tokens = { { token = TOKEN, scopes = scopes } } }
      local status, e = call(method, path, body)
      return status == 403 and table.concat(e.errors[1].context.requiredGranularScopes, " ") or status
    end
    expect(refused({}, "GET", "/crm/objects/2026-09/tickets")).to.equal("tickets")
    expect(refused({ "tickets" }, "GET", "/crm/objects/2026-09/tickets")).to.equal(200)
    expect(refused({}, "GET", "/crm/objects/2026-09/notes")).to.equal("crm.objects.contacts.read")
    expect(refused({}, "GET", "/crm/v3/objects/deals")).to.equal("crm.objects.deals.read")
    expect(refused({}, "GET", "/account-info/2026-09/details")).to.equal(200)
    expect(refused({ "contacts" }, "GET", "/crm/owners/2026-09")).to.equal(200)
    local both = "/crm/associations/2026-09/contacts/deals/batch/read"
    expect(refused({ "crm.objects.contacts.read" }, "POST", both, { inputs = json.array {} })).to.equal("crm.objects.deals.read")
  end)
end)

describe("the rest of the account", function()
  it("lists owners in pages and by e-mail", function()
    local call = account { owners = 3 }
    local _, page = call("GET", "/crm/owners/2026-09?limit=2")
    expect(#page.results).to.equal(2)
    local _, last = call("GET", "/crm/owners/2026-09?limit=2&after=" .. page.paging.next.after)
    expect(#last.results).to.equal(1)
    expect(last.paging).to.be_nil()
    local _, one = call("GET", "/crm/v3/owners?email=anna.weber@example.com")
    expect(one.results[1].firstName).to.equal("Anna")
    expect((call("GET", "/crm/owners/2026-09/" .. one.results[1].id))).to.equal(200)
  end)

  it("takes new properties with options and unique values", function()
    local call = account()
    local P = "/crm/properties/2026-09/contacts"
    local group = "contactinformation"
    expect((call("POST", P, { name = "tier", label = "Tier", type = "enumeration", fieldType = "checkbox", groupName = group,
      options = { { label = "Gold", value = "g", displayOrder = 0, hidden = false },
        { label = "Silver", value = "s", displayOrder = 1, hidden = false } } }))).to.equal(201)
    expect((call("POST", P, { name = "crm_key", label = "Key", type = "string", fieldType = "text", groupName = group,
      hasUniqueValue = true }))).to.equal(201)
    expect((call("POST", P, { name = "tier", label = "Tier", type = "string", fieldType = "text", groupName = group }))).to.equal(409)
    local _, made = call("POST", CONTACTS, { properties = { email = "a@example.com", tier = "g", crm_key = "k1" } })
    local _, both = call("PATCH", CONTACTS .. "/" .. made.id, { properties = { tier = ";s" } })
    expect(both.properties.tier).to.equal("g;s")
    local _, read = call("GET", CONTACTS .. "/k1?idProperty=crm_key")
    expect(read.id).to.equal(made.id)
    expect((call("POST", CONTACTS, { properties = { email = "b@example.com", crm_key = "k1" } }))).to.equal(400)
    expect((call("GET", CONTACTS .. "/x?idProperty=phone"))).to.equal(400)
  end)

  it("keeps archived properties to be seen, and groups that are in use", function()
    local call = account()
    local base = "/crm/properties/2026-09/contacts"
    call("POST", base .. "/groups", { name = "own", label = "Own" })
    call("POST", base, { name = "tier", label = "Tier", type = "string", fieldType = "text", groupName = "own" })
    local status, e = call("DELETE", base .. "/groups/own")
    expect(status).to.equal(400)
    expect(e.message).to.contain("tier")
    expect((call("DELETE", base .. "/tier"))).to.equal(204)
    expect((call("GET", base .. "/tier"))).to.equal(404)
    local _, archived = call("GET", base .. "/tier?archived=true")
    expect(archived.archived).to.be_true()
    local _, page = call("POST", base .. "/batch/read", { archived = true, inputs = { { name = "tier" } } })
    expect(page.results[1].name).to.equal("tier")
    expect((call("DELETE", base .. "/groups/own"))).to.equal(204)
    local property = { name = "x", label = "X", type = "string", fieldType = "text", groupName = "contactinformation" }
    expect((call("POST", base .. "/batch/create", { inputs = { property } }))).to.equal(200)
    property.name = "y"
    expect((call("POST", "/crm/v3/properties/contacts/batch/create", { inputs = { property } }))).to.equal(201)
  end)

  it("says aloud what is not simulated", function()
    local call = account()
    local status, e = call("GET", "/crm/limits/2026-09/records")
    expect(status).to.equal(501)
    expect(e.message).to.equal("The simulator does not have GET /crm/limits/{version}/records (Read record limits) "
      .. "of HubSpot's API limitsTracking")
    status, e = call("POST", "/crm/v3/objects/contacts/7")
    expect(status).to.equal(501)
    expect(e.message).to.contain("HubSpot publishes no operation POST /crm/v3/objects/contacts/7")
    expect((call("GET", "/crm/objects/v3/contacts"))).to.equal(501)
    expect((call("GET", "/crm/v4/lists"))).to.equal(501)
  end)

  it("refuses NUL characters in a URL, and what is not UTF-8", function()
    local call = account()
    local status, e = call("GET", CONTACTS .. "/%00")
    expect(status).to.equal(400)
    expect(e.message).to.contain("NUL")
    expect((call("GET", CONTACTS .. "?properties=a%00b"))).to.equal(400)
    status, e = call("GET", "/crm/objects/2026-09/%FF")
    expect(status).to.equal(400)
    expect(e.message).to.contain("UTF-8")
    expect((call("GET", CONTACTS .. "/%C3%A9@example.com?idProperty=email"))).to.equal(404)
  end)

  it("answers for faults on demand", function()
    local call, S = account { contacts = 1 }
    S:control("fail", { match = { method = "GET", path = "contacts" }, status = 503, times = 2 })
    expect((call("POST", CONTACTS, { properties = { email = "a@example.com" } }))).to.equal(201)
    expect((call("GET", CONTACTS))).to.equal(503)
    expect((call("GET", CONTACTS))).to.equal(503)
    expect((call("GET", CONTACTS))).to.equal(200)
    S:control("fail", { drop = true })
    expect((call("GET", CONTACTS))).to.equal(0)
    S:control("fail", { html = true })
    local status, _, headers, body = call("GET", CONTACTS)
    expect(status).to.equal(502)
    expect(headers["Content-Type"]).to.contain("text/html")
    expect(body).to.contain("<html>")
    S:control("fail", { drop = "after" })
    expect((call("POST", CONTACTS, { properties = { email = "lost@example.com" } }))).to.equal(0)
    expect((call("POST", CONTACTS, { properties = { email = "lost@example.com" } }))).to.equal(409)
    expect(function() S:control("fail", { times = 3 }) end).to.raise("say what happens")
    expect(function() S:control("nonsense", {}) end).to.raise("no control function")
  end)

  it("is the same account for the same seed, and another for another", function()
    local function shape(seed)
      local call = account { contacts = 30, companies = 20, deals = 10, seed = seed }
      local _, _, _, a = call("GET", CONTACTS .. "?limit=100&properties=email,country,company,hubspot_owner_id")
      local _, _, _, b = call("GET", "/crm/objects/2026-09/companies?limit=100&properties=domain,numberofemployees")
      local _, _, _, c = call("GET", "/crm/objects/2026-09/deals?limit=100")
      return a .. b .. c
    end
    expect(shape(3) == shape(3)).to.be_true()
    expect(shape(3) == shape(4)).to.be_false()
  end)

  it("refuses unknown options by name", function()
    expect(function() server.new({ contcats = 5 }, fake_host().host) end).to.raise("contcats")
    expect(function() server.new({ tier = "gold" }, fake_host().host) end).to.raise("gold")
  end)
end)
