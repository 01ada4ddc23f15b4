-- Pipelines of the simulator, asked without a network.
local server = require "sim.server"

local TOKEN = "test-" .. "token"

local function account()
  local H = { at = 1788249600000 }
  local S = server.new({ token = TOKEN }, { now = function() return H.at end, random = function() return 0.5 end, spawn = function() end })
  local function call(method, target, body)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local answer = S:handle { method = method, path = path, query = query, headers = { authorization = "Bearer " .. TOKEN },
      body = type(body) == "table" and json.encode(body) or "" }
    return answer.status, answer.body ~= "" and json.decode(answer.body) or nil
  end
  return call, S, H
end

local DEALS = "/crm/pipelines/2026-09/deals"
local RECORDS = "/crm/objects/2026-09/deals"

local function stage(label, probability, order)
  return { label = label, displayOrder = order or 0, metadata = { probability = probability } }
end

local function pipeline(call, label)
  local status, p = call("POST", DEALS, { label = label or "Renewals", displayOrder = 1,
    stages = json.array { stage("Open", "0.5"), stage("Won", "1.0", 1) } })
  expect(status).to.equal(201)
  return p
end

local function labels(list)
  local out = {}
  for i, x in ipairs(list) do out[i] = x.label end
  return out
end

describe("pipelines", function()
  it("are made, changed and shown by display order", function()
    local call, _, H = account()
    local p = pipeline(call)
    H.at = H.at + 1000
    local status, changed = call("PATCH", DEALS .. "/" .. p.id, { displayOrder = -1 })
    expect(status).to.equal(200)
    expect(changed.label).to.equal("Renewals")
    expect(changed.updatedAt > changed.createdAt).to.be_true()
    local _, all = call("GET", DEALS)
    expect(labels(all.results)).to.equal { "Renewals", "Sales Pipeline" }
    local _, deal = call("POST", RECORDS, { properties = { dealname = "x", dealstage = p.stages[1].id } })
    expect(deal.properties.pipeline).to.equal(p.id)   -- the first one is the default
    expect((call("POST", DEALS, { label = "renewals", displayOrder = 0, stages = json.array {} }))).to.equal(409)
    expect((call("PATCH", DEALS .. "/" .. p.id, { displayOrder = "first" }))).to.equal(400)
    expect((call("POST", "/crm/pipelines/2026-09/notes", { label = "x", stages = json.array {} }))).to.equal(400)
  end)

  it("keep what is in use, in 2026-09 unless told and before it only when told", function()
    local call = account()
    local p = pipeline(call)
    local _, deal = call("POST", RECORDS, { properties = { dealname = "x", pipeline = p.id, dealstage = p.stages[1].id } })
    local status, e = call("DELETE", DEALS .. "/" .. p.id)
    expect(status).to.equal(400)
    expect(e.message).to.contain("used by 1 deals")
    expect(e.message).to.contain("validateDealStageUsagesBeforeDelete=false")
    expect((call("DELETE", DEALS .. "/" .. p.id .. "/stages/" .. p.stages[1].id))).to.equal(400)
    expect((call("DELETE", DEALS .. "/" .. p.id .. "/stages/" .. p.stages[2].id))).to.equal(204)
    expect((call("DELETE", "/crm/v3/pipelines/deals/" .. p.id .. "?validateDealStageUsagesBeforeDelete=true"))).to.equal(400)
    expect((call("DELETE", "/crm/v3/pipelines/deals/" .. p.id))).to.equal(204)
    expect((call("GET", DEALS .. "/" .. p.id))).to.equal(404)
    expect((call("PATCH", RECORDS .. "/" .. deal.id, { properties = { dealstage = p.stages[2].id } }))).to.equal(400)
    status, e = call("DELETE", DEALS .. "/default?validateDealStageUsagesBeforeDelete=false")
    expect(status).to.equal(400)
    expect(e.message).to.contain("last pipeline")
    local _, restored = call("PATCH", DEALS .. "/" .. p.id, { archived = false })
    expect(restored.archived).to.be_false()
    expect((call("PATCH", DEALS .. "/" .. p.id, { archived = false }))).to.equal(400)
  end)

  it("are replaced whole or not at all", function()
    local call = account()
    local p = pipeline(call)
    local target = DEALS .. "/" .. p.id
    local keep = { stageId = p.stages[2].id, label = "Signed", displayOrder = 1, metadata = { probability = "1.0" } }
    local status = call("PUT", target, { label = "New", displayOrder = 3, stages = json.array { keep, stage("Bad", "7") } })
    expect(status).to.equal(400)
    local _, same = call("GET", target)
    expect(labels(same.stages)).to.equal { "Open", "Won" }
    expect(same.label).to.equal("Renewals")
    local _, new = call("PUT", target, { label = "New", displayOrder = 3, stages = json.array { keep, stage("Talk", "0.1") } })
    expect(labels(new.stages)).to.equal { "Talk", "Signed" }
    expect(new.stages[2].id).to.equal(p.stages[2].id)
    expect((call("GET", target .. "/stages/" .. p.stages[1].id))).to.equal(404)
  end)

  it("tell who changed what", function()
    local call, S = account()
    local p = pipeline(call)
    local target = DEALS .. "/" .. p.id .. "/stages/" .. p.stages[1].id
    call("PATCH", target, { label = "Begun", metadata = {} })
    call("PUT", target, stage("Talk", "0.2"))
    local _, audit = call("GET", target .. "/audit")
    local actions = {}
    for i, a in ipairs(audit.results) do actions[i] = a.action .. " " .. a.rawObject.label end
    expect(actions).to.equal { "UPDATE Talk", "UPDATE Begun", "CREATE Open" }
    expect(audit.results[1].portalId).to.equal(S.portal)
    expect(audit.results[1].rawObject.metadata.probability).to.equal("0.2")
  end)
end)
