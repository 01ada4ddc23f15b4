-- Search and associations of the simulator, asked without a network.
local server = require "sim.server"

local TOKEN = "test-" .. "token"

local function account(options)
  local clock = { at = 1788249600000 }
  options = options or {}
  options.token = TOKEN
  local S = server.new(options, { now = function() return clock.at end, random = function() return 0.5 end, spawn = function() end })
  local function call(method, target, body)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local answer = S:handle { method = method, path = path, query = query,
      headers = { authorization = "Bearer " .. TOKEN }, body = body and json.encode(body) or "" }
    return answer.status, answer.body ~= "" and json.decode(answer.body) or nil
  end
  -- Searches a second apart: the limit is not what is tested here.
  local function search(type_, body)
    clock.at = clock.at + 1000
    return call("POST", "/crm/objects/2026-09/" .. type_ .. "/search", body)
  end
  return call, search, S, clock
end

local function filter(name, operator, value, high)
  return { filterGroups = { { filters = { { propertyName = name, operator = operator,
    value = type(value) ~= "table" and value or nil, values = type(value) == "table" and json.array(value) or nil,
    highValue = high } } } } }
end

local function names(page, property)
  local out = {}
  for i, r in ipairs(page.results) do out[i] = r.properties[property or "name"] end
  return table.concat(out, " ")
end

describe("search", function()
  local search, call, S, clock

  before_each(function()
    call, search, S, clock = account()
    S:control("batch_create", { type = "companies", records = {
      { name = "Acme GmbH", domain = "acme.de", numberofemployees = "12", country = "Germany" },
      { name = "Blue", domain = "blue.com", numberofemployees = "9", country = "France" },
      { name = "Cedar", numberofemployees = "100", country = "germany" },
      { name = "Delta Blue", domain = "delta.io" },
    } })
    clock.at = clock.at + 1000
  end)

  it("knows every operator", function()
    local cases = {
      { { "country", "EQ", "Germany" }, "Acme GmbH Cedar" }, { { "country", "NEQ", "Germany" }, "Blue" },
      { { "numberofemployees", "LT", "12" }, "Blue" }, { { "numberofemployees", "LTE", "12" }, "Acme GmbH Blue" },
      { { "numberofemployees", "GT", "12" }, "Cedar" }, { { "numberofemployees", "GTE", "12" }, "Acme GmbH Cedar" },
      { { "numberofemployees", "BETWEEN", "9", "12" }, "Acme GmbH Blue" }, { { "numberofemployees", "EQ", "12.0" }, "Acme GmbH" },
      { { "domain", "IN", { "acme.de", "delta.io" } }, "Acme GmbH Delta Blue" },
      { { "domain", "NOT_IN", { "acme.de", "delta.io" } }, "Blue" },
      { { "domain", "HAS_PROPERTY" }, "Acme GmbH Blue Delta Blue" }, { { "domain", "NOT_HAS_PROPERTY" }, "Cedar" },
      { { "name", "CONTAINS_TOKEN", "blue" }, "Blue Delta Blue" }, { { "name", "CONTAINS_TOKEN", "ac*" }, "Acme GmbH" },
      { { "name", "NOT_CONTAINS_TOKEN", "blue" }, "Acme GmbH Cedar" },
    }
    for _, case in ipairs(cases) do
      local f = case[1]
      local status, page = search("companies", filter(f[1], f[2], f[3], f[4]))
      expect(status).to.equal(200)
      expect(f[2] .. ": " .. names(page)).to.equal(f[2] .. ": " .. case[2])
      expect(page.total).to.equal(#page.results)
    end
  end)

  it("joins groups by or, filters by and, and sorts", function()
    local _, page = search("companies", { filterGroups = {
      { filters = { { propertyName = "country", operator = "EQ", value = "Germany" },
        { propertyName = "numberofemployees", operator = "GT", value = "50" } } },
      { filters = { { propertyName = "domain", operator = "EQ", value = "blue.com" } } },
    }, sorts = { { propertyName = "numberofemployees", direction = "DESCENDING" } } })
    expect(names(page)).to.equal("Cedar Blue")
    _, page = search("companies", { sorts = { "numberofemployees" } })
    expect(names(page)).to.equal("Blue Acme GmbH Cedar Delta Blue")
    _, page = search("companies", { query = "blue" })
    expect(names(page)).to.equal("Blue Delta Blue")
  end)

  it("pages, and stops at ten thousand", function()
    local _, first = search("companies", { limit = 3 })
    expect(#first.results).to.equal(3)
    expect(first.total).to.equal(4)
    local _, rest = search("companies", { limit = 3, after = first.paging.next.after })
    expect(#rest.results).to.equal(1)
    expect(rest.paging).to.be_nil()
    expect((search("companies", { limit = 100, after = "9900" }))).to.equal(200)
    expect((search("companies", { limit = 100, after = "9901" }))).to.equal(400)
    expect((search("companies", { limit = 201 }))).to.equal(400)
  end)

  it("refuses what HubSpot refuses", function()
    local status, e = search("companies", filter("nonsense", "EQ", "1"))
    expect(status).to.equal(400)
    expect(e.errors[1].code).to.equal("PROPERTY_DOESNT_EXIST")
    expect((search("companies", filter("name", "LIKE", "1")))).to.equal(400)
    expect((search("companies", filter("numberofemployees", "GT", "many")))).to.equal(400)
    expect((search("companies", filter("name", "IN", {})))).to.equal(400)
    local groups = {}
    for i = 1, 6 do groups[i] = filter("name", "EQ", "1").filterGroups[1] end
    expect((search("companies", { filterGroups = groups }))).to.equal(400)
    expect((search("companies", { query = ("x"):rep(3100) }))).to.equal(400)
  end)

  it("finds by whom records are linked with", function()
    local contact = S:control("create", { type = "contacts", properties = { firstname = "A" } })
    local ids = {}
    for _, c in ipairs(S:control("list", { type = "companies" }).results) do ids[c.properties.name] = c.id end
    for _, name in ipairs { "Blue", "Cedar" } do
      S:control("associate", { from_type = "companies", from = ids[name], to_type = "contacts", to = contact.id })
    end
    local by = "associations.contact"
    for _, case in ipairs { { { by, "EQ", contact.id }, "Blue Cedar" }, { { by, "IN", { contact.id, "5" } }, "Blue Cedar" },
      { { by, "NEQ", contact.id }, "Acme GmbH Delta Blue" }, { { by, "HAS_PROPERTY" }, "Blue Cedar" },
      { { by, "NOT_HAS_PROPERTY" }, "Acme GmbH Delta Blue" }, { { "associations.0-1", "EQ", contact.id }, "Blue Cedar" } } do
      local f = case[1]
      local status, page = search("companies", filter(f[1], f[2], f[3]))
      expect(status).to.equal(200)
      expect(f[2] .. ": " .. names(page)).to.equal(f[2] .. ": " .. case[2])
    end
    local both = filter(by, "EQ", contact.id)
    both.filterGroups[1].filters[2] = { propertyName = "num_associated_contacts", operator = "GTE", value = "1" }
    both.properties = { "num_associated_contacts", "name" }
    local _, page = search("companies", both)
    expect(page.results[1].properties.num_associated_contacts).to.equal("1")
    expect((search("companies", filter("associations.unicorn", "EQ", "1")))).to.equal(400)
    expect((search("companies", filter(by, "GT", "1")))).to.equal(400)
    expect((search("companies", filter(by, "EQ", "nobody")))).to.equal(400)
  end)

  it("lags behind writes, whatever the filter", function()
    local id = select(2, search("companies", filter("domain", "EQ", "acme.de"))).results[1].id
    local function find(domain)
      local _, page = call("POST", "/crm/objects/2026-09/companies/search", filter("domain", "EQ", domain))
      return page.total
    end
    clock.at = clock.at + 1000
    S:control("update", { type = "companies", id = id, properties = { domain = "new.de" } })
    S:control("create", { type = "companies", properties = { name = "Late", domain = "late.de" } })
    expect(find("acme.de")).to.equal(1)
    expect(find("new.de") + find("late.de")).to.equal(0)
    local _, read = call("GET", "/crm/objects/2026-09/companies/" .. id)
    expect(read.properties.domain).to.equal("new.de")
    clock.at = clock.at + 500
    expect(find("acme.de")).to.equal(0)
    expect(find("new.de")).to.equal(1)
    clock.at = clock.at + 1000
    S:control("delete", { type = "companies", id = id })
    expect(find("new.de")).to.equal(1)
    clock.at = clock.at + 500
    expect(find("new.de")).to.equal(0)
  end)

  it("finds the same with an index as without", function()
    local _, big, T = account { contacts = 400, companies = 30, seed = 11 }
    T:control("create", { type = "contacts", properties = { email = "x@example.com", country = "Germany" } })
    local _, indexed = big("contacts", { filterGroups = filter("country", "EQ", "germany").filterGroups, limit = 200 })
    -- CONTAINS_TOKEN has no index; it looks at every record.
    local _, scanned = big("contacts", { filterGroups = { { filters = {
      { propertyName = "country", operator = "CONTAINS_TOKEN", value = "germany" },
      { propertyName = "country", operator = "NEQ", value = "germany " } } } }, limit = 200 })
    expect(indexed.total > 0).to.be_true()
    expect(names(indexed, "email")).to.equal(names(scanned, "email"))
  end)
end)

describe("associations", function()
  local call, S, contact, company, second

  before_each(function()
    local _
    call, _, S = account()
    contact = S:control("create", { type = "contacts", properties = { email = "a@example.com" } }).id
    company = S:control("create", { type = "companies", properties = { name = "A" } }).id
    second = S:control("create", { type = "companies", properties = { name = "B" } }).id
  end)

  local function read(from, id, to)
    local status, page = call("POST", "/crm/associations/2026-09/" .. from .. "/" .. to .. "/batch/read", { inputs = { { id = id } } })
    if status == 207 then return {} end
    local out = {}
    for _, t in ipairs(page.results[1].to) do
      local ids = {}
      for i, x in ipairs(t.associationTypes) do ids[i] = x.typeId end
      out[t.toObjectId] = table.concat(ids, ",")
    end
    return out
  end

  it("exist in both directions, the first one primary", function()
    expect((call("PUT", "/crm/objects/2026-09/contacts/" .. contact .. "/associations/default/companies/" .. company))).to.equal(200)
    call("PUT", "/crm/objects/2026-09/contacts/" .. contact .. "/associations/default/companies/" .. second)
    expect(read("contacts", contact, "companies")).to.equal { [company] = "1,279", [second] = "279" }
    expect(read("companies", company, "contacts")).to.equal { [contact] = "2,280" }
    local status, pair = call("PUT", "/crm/objects/2026-09/contacts/" .. contact .. "/associations/companies/" .. second,
      { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 1 } })
    expect(status).to.equal(201)
    expect(pair.labels).to.equal(json.array { "Primary" })
    expect(read("contacts", contact, "companies")).to.equal { [company] = "279", [second] = "1,279" }
  end)

  it("come with a record that asks for them, and go with a deleted one", function()
    call("POST", "/crm/associations/2026-09/contacts/companies/batch/create", { inputs = { { from = { id = contact }, to = { id = company },
      types = { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 279 } } } } })
    local _, record = call("GET", "/crm/objects/2026-09/contacts/" .. contact .. "?associations=companies")
    expect(record.associations.companies.results[1]).to.equal { id = company, type = "contact_to_company" }
    local _, list = call("GET", "/crm/v4/objects/contacts/" .. contact .. "/associations/companies")
    expect(#list.results).to.equal(1)
    S:control("delete", { type = "companies", id = company })
    expect(read("contacts", contact, "companies")).to.equal {}
  end)

  it("are archived in batches, and move with a merge", function()
    S:control("associate", { from_type = "contacts", from = contact, to_type = "companies", to = company })
    S:control("associate", { from_type = "contacts", from = contact, to_type = "companies", to = second })
    local merged = S:control("merge", { type = "companies", primary = company, other = second }).id
    local after = read("contacts", contact, "companies")
    expect(after).to.equal { [merged] = "1,279" }
    expect((call("POST", "/crm/associations/2026-09/contacts/companies/batch/archive",
      { inputs = { { from = { id = contact }, to = { { id = merged } } } } }))).to.equal(200)
    expect(read("contacts", contact, "companies")).to.equal {}
  end)

  it("are made with a record, or nothing is", function()
    local body = { properties = { dealname = "x", dealstage = "qualifiedtobuy" },
      associations = { { to = { id = contact }, types = { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 3 } } } } }
    local status, deal = call("POST", "/crm/objects/2026-09/deals", body)
    expect(status).to.equal(201)
    expect(read("deals", deal.id, "contacts")).to.equal { [contact] = "3" }
    body.associations[1].to.id = "1"
    expect((call("POST", "/crm/objects/2026-09/deals", body))).to.equal(404)
    expect(S:control("stats", {}).deals).to.equal(1)
  end)

  it("take labels of the account's own", function()
    local L = "/crm/associations/2026-09/contacts/companies/labels"
    local status, made = call("POST", L, { label = "Advisor", name = "advisor" })
    expect(status).to.equal(200)
    local id = made.results[1].typeId
    call("PUT", "/crm/objects/2026-09/contacts/" .. contact .. "/associations/companies/" .. company,
      { { associationCategory = "USER_DEFINED", associationTypeId = id } })
    expect(read("contacts", contact, "companies")[company]).to.contain(tostring(id))
    local _, all = call("GET", L)
    expect(#all.results).to.equal(3)
    expect((call("PUT", "/crm/objects/2026-09/contacts/" .. contact .. "/associations/companies/" .. company,
      { { associationCategory = "USER_DEFINED", associationTypeId = 9999 } }))).to.equal(400)
  end)
end)
