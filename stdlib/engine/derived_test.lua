-- Events that HubSpot does not send as such.
local seen

local function note(event) seen[#seen + 1] = event end

local function types()
  local out = {}
  for i, event in ipairs(seen) do out[i] = event.type end
  return out
end

local function deal(stage, more)
  local properties = { dealname = "D", dealstage = stage or "contractsent" }
  for key, value in pairs(more or {}) do properties[key] = value end
  return sim.create("deals", properties)
end

local function move(id, ...)
  for _, stage in ipairs { ... } do
    sim.advance(1)
    sim.update("deals", id, type(stage) == "table" and stage or { dealstage = stage })
  end
end

-- A second pipeline with two won stages.
local function partners()
  return sim.control("create_pipeline", { type = "deals", label = "Partners", pipelineId = "partners", stages = {
    { label = "Talks", stageId = "talks", metadata = { probability = "0.3" } },
    { label = "Signed", stageId = "signed", metadata = { probability = "1" } },
    { label = "Paid", stageId = "paid", metadata = { probability = "1.0" } },
    { label = "Gone", stageId = "gone", metadata = { probability = "0" } },
  } })
end

before_each(function() seen = {} end)

local function calls(path)
  local n = 0
  for _, call in ipairs(sim.calls()) do
    if call.path:find(path, 1, true) then n = n + 1 end
  end
  return n
end

describe("deal.won, deal.lost, deal.closed", function()
  it("come when a deal enters the stages, from others", function()
    for _, name in ipairs { "deal.won", "deal.lost", "deal.closed" } do on(name, note) end
    local id = deal()
    move(id, "qualifiedtobuy", "closedwon")
    sim.settle()
    table.sort(seen, function(a, b) return a.type < b.type end)
    expect(types()).to.equal { "deal.closed", "deal.won" }
    local event = seen[2]
    expect(event.objectId).to.equal(id)
    expect(event.propertyName).to.equal("dealstage")
    expect(event.stage.id).to.equal("closedwon")
    expect(event.stage.label).to.equal("Closed Won")
    expect(event.stage.probability).to.equal(1.0)
    expect(event.pipeline).to.equal { id = "default", label = "Sales Pipeline" }
    expect(event.from.id).to.equal("qualifiedtobuy")
    expect(event.outcome).to.equal("won")
    seen = {}
    move(id, "closedlost")
    sim.settle()
    expect(types()).to.equal { "deal.lost" }   -- it was closed already
    expect(seen[1].from.label).to.equal("Closed Won")
    expect(seen[1].outcome).to.equal("lost")
  end)

  it("count a move between two won stages once, and a second win after a reopening again", function()
    partners()
    on("deal.won", note)
    local id = deal("talks", { pipeline = "partners" })
    move(id, "signed", "paid")
    sim.settle()
    expect(#seen).to.equal(1)
    expect(seen[1].stage.id).to.equal("signed")
    move(id, "talks", "paid")
    sim.settle()
    expect(#seen).to.equal(2)
    expect(seen[2].from.id).to.equal("talks")
    expect(seen[2].pipeline.label).to.equal("Partners")
    move(id, { dealstage = "closedwon", pipeline = "default" })
    sim.settle()
    expect(#seen).to.equal(2)
  end)

  it("do not depend on the order in which HubSpot's events come, nor on doubles", function()
    sim.start { webhook_shuffle = true, webhook_duplicates = 1, webhook_batch = 1 }
    on("deal.won", { concurrency = 1 }, note)
    local ids = {}
    for i = 1, 5 do ids[i] = deal() end
    for _, id in ipairs(ids) do
      sim.update("deals", id, { dealstage = "closedwon" })
      sim.advance(0.002)
      sim.update("deals", id, { dealstage = "qualifiedtobuy" })
      sim.advance(0.002)
      sim.update("deals", id, { dealstage = "closedwon" })
    end
    sim.settle()
    expect(#seen).to.equal(10)
  end)

  it("read the pipelines again when a stage is not known, and only then", function()
    on("deal.won", note)
    for _ = 1, 3 do move(deal(), "closedwon") end
    sim.settle()
    expect(calls("/crm/pipelines/")).to.equal(1)
    partners()
    move(deal("talks", { pipeline = "partners" }), "signed")
    sim.settle()
    expect(#seen).to.equal(4)
    expect(calls("/crm/pipelines/")).to.equal(2)
    sim.advance("2h")   -- a stage's meaning can be changed
    move(deal(), "closedwon")
    sim.settle()
    expect(calls("/crm/pipelines/")).to.equal(3)
  end)

  it("ask for nothing when the stage is none of theirs, and for many deals at once", function()
    on("deal.won", note)
    move(deal(), "qualifiedtobuy")
    sim.settle()
    expect(calls("/batch/read")).to.equal(0)
    local ids = {}
    for i = 1, 40 do ids[i] = deal() end
    for _, id in ipairs(ids) do sim.update("deals", id, { dealstage = "closedwon" }) end
    sim.settle()
    expect(#seen).to.equal(40)
    expect(calls("/batch/read")).to.be_at_most(2)
    expect(sim.events().filtered).to.equal(1)
  end)

  it("outlast a time without HubSpot, and park what they cannot tell", function()
    on("deal.won", note)
    local id = deal()
    sim.fail { match = { path = "/crm/pipelines/" }, status = 503, times = 0 }
    move(id, "closedwon")
    sim.advance("20m")
    expect(#seen).to.equal(0)
    sim.fail {}
    sim.advance("20m")
    expect(#seen).to.equal(1)
    sim.trigger("deal.propertyChange", { objectId = id, propertyName = "dealstage", propertyValue = "nowhere" })
    sim.advance("6h")
    expect(sim.events().dead).to.equal(1)
    expect(sim.events().retried).to.be_at_least(10)   -- it may be a new one, told before the pipelines had it
    expect(sim.log()).to.contain("the stage nowhere of deal " .. id .. " is in none of the account's pipelines")
  end)

  it("keep what they were when the handler runs again", function()
    local runs = 0
    on("deal.won", function(event)
      runs = runs + 1
      step("note", function() note(event) end)
      if runs == 1 then error("once more") end
      expect(event.from.id).to.equal("contractsent")
    end)
    local id = deal()
    move(id, "closedwon")
    sim.advance(0.3)
    -- Whatever HubSpot would say by now.
    sim.fail { match = { path = "/batch/read" }, status = 404, times = 0 }
    sim.advance("1m")
    expect(runs).to.equal(2)
    expect(#seen).to.equal(1)
    expect(sim.events().ran).to.equal(1)
  end)

  it("keep it over a wait of days, too", function()
    on("deal.won", function(event)
      wait("cool down", { ["for"] = "2d" })
      note(event)
    end)
    local id = deal()
    move(id, "closedwon")
    sim.advance("1d")
    sim.fail { match = { path = "/batch/read" }, status = 404, times = 0 }
    move(id, "closedlost")
    sim.advance("2d")
    expect(#seen).to.equal(1)
    expect(seen[1].from.id).to.equal("contractsent")
    on("contact.creation", function() wait("won", "deal.won", { key = "1" }) end)
    sim.create("contacts", { email = "a@example.com" })
    sim.settle()
    expect(sim.log()).to.contain("'deal.won' is for on(); wait for what it is made of")
  end)

  it("take on()'s other options, a filter with the fields of the event", function()
    local hubspot = require "hubspot"
    on("deal.won", { name = "big", filter = function(event) return event.pipeline.id == "default" and event.type == "deal.won" end },
      note)
    on("deal.won", { name = "reopens" }, function(event)
      hubspot.deals.update(event.objectId, { dealstage = "qualifiedtobuy" })
      hubspot.deals.update(event.objectId, { dealstage = "closedwon" })   -- its own write: not told to it
    end)
    move(deal(), "closedwon")
    sim.settle()
    expect(#seen).to.equal(2)
    expect(sim.events().own).to.equal(1)
    expect(function() on("deal.won", { property = "amount" }, print) end)
      .to.raise("derived_test.lua:%d+: option 'property': deal.won is about dealstage")
    expect(function() on("deal.won", { proprety = "x" }, print) end).to.raise("derived_test.lua:%d+: .*did you mean 'property'")
    expect(function() on("deal.wonn", print) end).to.raise("did you mean 'deal.won'")
    expect(function() on("deal.won", { name = "big" }, print) end).to.raise("a handler named “big” already")
  end)
end)

describe("contact.stage", function()
  local function contact(stage) return sim.create("contacts", { email = "a@example.com", lifecyclestage = stage }) end
  local function set(id, stage)
    sim.advance(1)
    sim.update("contacts", id, { lifecyclestage = stage })
  end

  it("tells from where to where", function()
    on("contact.stage", note)
    local id = contact("lead")
    set(id, "opportunity")
    set(id, "customer")
    set(id, "")
    sim.settle()
    local moves = {}
    for i, event in ipairs(seen) do moves[i] = { event.from, event.to } end
    expect(moves).to.equal { { "lead", "opportunity" }, { "opportunity", "customer" }, { "customer" } }
    expect(seen[1].type).to.equal("contact.stage")
  end)

  it("is asked for by where to and where from, and asks HubSpot for no other", function()
    on("contact.stage", { name = "a", to = "customer" }, note)
    on("contact.stage", { name = "b", from = { "lead", "subscriber" }, to = { "customer", "evangelist" } }, note)
    local id = contact("subscriber")
    set(id, "lead")
    sim.settle()
    expect(calls("/batch/read")).to.equal(0)
    set(id, "customer")
    sim.settle()
    expect(#seen).to.equal(2)
    set(id, "evangelist")
    sim.settle()
    expect(#seen).to.equal(2)
  end)

  it("runs without the stage before when nobody knows it", function()
    on("contact.stage", note)
    local id = contact("lead")
    sim.trigger("contact.propertyChange", { objectId = "999", propertyName = "lifecyclestage", propertyValue = "lead" })
    sim.settle()
    expect(#seen).to.equal(1)
    expect(seen[1].from).to.be_nil()
    expect(seen[1].to).to.equal("lead")
    sim.control("merge", { type = "contacts", primary = id, other = sim.create("contacts", { email = "b@example.com" }) })
    sim.trigger("contact.propertyChange", { objectId = id, propertyName = "lifecyclestage", propertyValue = "lead" })
    sim.settle()
    expect(#seen).to.equal(2)
  end)

  it("refuses what is no stage, with the line", function()
    expect(function() on("contact.stage", { to = 5 }, print) end)
      .to.raise("derived_test.lua:%d+: option 'to': a lifecycle stage is a string")
    expect(function() on("contact.stage", { from = {} }, print) end).to.raise("option 'from': the list is empty")
  end)
end)
