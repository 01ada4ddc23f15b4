-- Labels of associations and their limits in the simulator, asked without a network.
local server = require "sim.server"

local TOKEN = "test-" .. "token"

local function account()
  local S = server.new({ token = TOKEN, contacts = 3, companies = 0 },
    { now = function() return 1788249600000 end, random = function() return 0.5 end, spawn = function() end })
  local function call(method, target, body)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local answer = S:handle { method = method, path = path, query = query, headers = { authorization = "Bearer " .. TOKEN },
      body = type(body) == "table" and json.encode(body) or "" }
    return answer.status, answer.body ~= "" and json.decode(answer.body) or nil
  end
  return call, S
end

local PAIR = "/crm/associations/2026-09/contacts/companies"
local LIMITS = "/crm/associations/2026-09/definitions/configurations/contacts/companies"
local CONTACT = "/crm/objects/2026-09/contacts/100001/associations/companies/"

local function company(call, name)
  local _, c = call("POST", "/crm/objects/2026-09/companies", { properties = { name = name } })
  return c.id
end

local function label(call, body)
  local status, answer = call("POST", PAIR .. "/labels", body)
  expect(status).to.equal(200)
  return answer.results[1].typeId, answer.results[2].typeId
end

local function types(id) return json.array { { associationCategory = "USER_DEFINED", associationTypeId = id } } end

local function put(call, target, id) return call("PUT", target, types(id)) end

describe("labels", function()
  it("have two names, and leave the records when they are deleted", function()
    local call = account()
    local id, back = label(call, { label = "Advisor", name = "advisor", inverseLabel = "Advised" })
    local acme = company(call, "Acme")
    expect((put(call, CONTACT .. acme, id))).to.equal(201)
    expect((call("PUT", PAIR .. "/labels", { associationTypeId = id, label = "Counsel", inverseLabel = "Client" }))).to.equal(204)
    local _, read = call("POST", "/crm/associations/2026-09/companies/contacts/batch/read", { inputs = { { id = acme } } })
    local seen = {}
    for _, t in ipairs(read.results[1].to[1].associationTypes) do seen[t.typeId] = t.label or "" end
    expect(seen[back]).to.equal("Client")
    expect((call("DELETE", PAIR .. "/labels/" .. id))).to.equal(204)
    _, read = call("POST", "/crm/associations/2026-09/companies/contacts/batch/read", { inputs = { { id = acme } } })
    for _, t in ipairs(read.results[1].to[1].associationTypes) do expect(t.typeId).to_not.equal(back) end
    expect((put(call, CONTACT .. acme, id))).to.equal(400)
    expect((call("DELETE", PAIR .. "/labels/279"))).to.equal(400)
  end)

  it("begin associations where HubSpot defines none", function()
    local call = account()
    local _, product = call("POST", "/crm/objects/2026-09/products", { properties = { name = "Chair" } })
    local link = "/crm/objects/2026-09/products/" .. product.id .. "/associations/default/contacts/100001"
    expect((call("PUT", link))).to.equal(400)
    local _, made = call("POST", "/crm/associations/2026-09/products/contacts/labels", { label = "Sold to", name = "sold_to" })
    local status, linked = call("PUT", link)
    expect(status).to.equal(200)
    expect(linked.results[1].associationSpec).to.equal { associationCategory = "USER_DEFINED", associationTypeId = made.results[1].typeId }
    expect((call("DELETE", "/crm/associations/2026-09/products/contacts/labels/" .. made.results[1].typeId))).to.equal(400)
  end)
end)

describe("limits of associations", function()
  it("hold in both directions, whatever makes the link", function()
    local call = account()
    local id, back = label(call, { label = "Lead", name = "lead", inverseLabel = "Led" })
    local acme, other = company(call, "Acme"), company(call, "Other")
    local function limit(pair, type_id)
      return call("POST", pair .. "/batch/create", { inputs = { { category = "USER_DEFINED", typeId = type_id, maxToObjectIds = 1 } } })
    end
    local status, set = limit(LIMITS, id)
    expect(status).to.equal(200)
    expect(set.results[1].userEnforcedMaxToObjectIds).to.equal(1)
    expect((put(call, CONTACT .. acme, id))).to.equal(201)
    expect((put(call, CONTACT .. acme, id))).to.equal(201)   -- the same again is no second
    local refused, e = put(call, CONTACT .. other, id)
    expect(refused).to.equal(400)
    expect(e.subCategory).to.equal("crm.associations.LIMIT_EXCEEDED")
    expect((call("PUT", "/crm/objects/2026-09/contacts/100001/associations/default/companies/" .. other))).to.equal(200)
    limit("/crm/associations/2026-09/definitions/configurations/companies/contacts", back)
    local contacts = "/crm/objects/2026-09/contacts"
    expect((put(call, contacts .. "/100002/associations/companies/" .. acme, id))).to.equal(400)
    local status2 = call("POST", contacts, { properties = { email = "new@example.com" }, associations = json.array { {
      to = { id = acme }, types = types(id) } } })
    expect(status2).to.equal(400)
    expect((call("GET", contacts .. "/new@example.com?idProperty=email"))).to.equal(404)   -- nothing was made
    local rows
    status, rows = call("POST", PAIR .. "/batch/create", { inputs = {
      { from = { id = "100002" }, to = { id = acme }, types = types(id) },
      { from = { id = "100003" }, to = { id = other }, types = types(id) } } })
    expect(status).to.equal(207)
    expect(#rows.results).to.equal(1)
    expect((call("POST", LIMITS .. "/batch/purge", { inputs = { { category = "USER_DEFINED", typeId = id } } }))).to.equal(200)
    expect((put(call, CONTACT .. other, id))).to.equal(400)   -- the other side is full
  end)

  it("of a label are never above those of the pair", function()
    local call = account()
    local id = label(call, { label = "Lead", name = "lead" })
    local function set(action, type_id, category, max)
      return call("POST", LIMITS .. "/batch/" .. action, { inputs = { { category = category, typeId = type_id, maxToObjectIds = max } } })
    end
    expect((set("update", 279, "HUBSPOT_DEFINED", 5))).to.equal(400)   -- there is none yet
    expect((set("create", 279, "HUBSPOT_DEFINED", 5))).to.equal(200)
    local status, e = set("create", id, "USER_DEFINED", 6)
    expect(status).to.equal(400)
    expect(e.message).to.contain("between 1 and 5")
    expect((set("create", id, "USER_DEFINED", 3))).to.equal(200)
    expect((set("update", 279, "HUBSPOT_DEFINED", 2))).to.equal(400)
    expect((set("create", id, "HUBSPOT_DEFINED", 1))).to.equal(400)
    local _, all = call("GET", "/crm/associations/2026-09/definitions/configurations/all")
    expect(#all.results).to.equal(2)
  end)

  it("are reported to a user of the account", function()
    local call, S = account()
    local user = S.owners[1].userId
    local status, report = call("POST", "/crm/associations/2026-09/usage/high-usage-report/" .. user)
    expect(status).to.equal(200)
    expect(report.userEmail).to.equal(S.owners[1].email)
    expect((call("POST", "/crm/v4/associations/usage/high-usage-report/7"))).to.equal(404)
  end)
end)
