-- lifecycle_stage.lua against the simulator, in virtual time.
before_each(function()
  sim.start {}
  sim.load "lifecycle_stage.lua"
end)

local function person(stage)
  return sim.create("contacts", { email = ("p%d@x.example"):format(math.random(1e9)), lifecyclestage = stage })
end
local function firm(stage) return sim.create("companies", { name = "Firm", lifecyclestage = stage }) end
local function link(from_type, from, to_type, to)
  sim.control("associate", { from_type = from_type, from = from, to_type = to_type, to = to })
end
local function deal(people, firms, stage)
  local id = sim.create("deals", { dealname = "D", pipeline = "default", dealstage = stage or "contractsent" })
  for _, p in ipairs(people or {}) do link("deals", id, "contacts", p) end
  for _, f in ipairs(firms or {}) do link("deals", id, "companies", f) end
  sim.settle()
  return id
end
local function stage_of(id) return sim.contact(id).lifecyclestage end
local function stage_of_firm(id) return sim.control("get", { type = "companies", id = id }).properties.lifecyclestage end
local function expect_well() expect(sim.events().dead).to.equal(0) end

describe("lifecycle stages", function()
  it("make an opportunity of who has a deal, and a customer of who has bought", function()
    local p, f = person "lead", firm()
    local id = deal({ p }, { f })
    expect({ stage_of(p), stage_of_firm(f) }).to.equal { "opportunity", "opportunity" }
    sim.update("deals", id, { dealstage = "closedwon" })
    sim.settle()
    expect({ stage_of(p), stage_of_firm(f) }).to.equal { "customer", "customer" }
    expect_well()
  end)

  it("never go backwards, and leave stages of your own alone", function()
    local customer, other, fan = person "customer", person "other", person "evangelist"
    local id = deal { customer, other, fan }
    sim.update("deals", id, { dealstage = "closedlost" })
    sim.settle()
    sim.update("deals", deal { fan }, { dealstage = "closedwon" })
    sim.settle()
    expect({ stage_of(customer), stage_of(other), stage_of(fan) }).to.equal { "customer", "other", "evangelist" }
    expect_well()
  end)

  it("follow no deal of another pipeline, no lost one, and none that a contact is taken from", function()
    local stages = { { label = "Open", stageId = "p1", metadata = { probability = "0.1" } } }
    local p = sim.control("create_pipeline", { type = "deals", label = "Partners", stages = stages })
    local partner, loser, parted = person "lead", person "lead", person "lead"
    link("deals", sim.create("deals", { dealname = "D", pipeline = p.id, dealstage = "p1" }), "contacts", partner)
    local lost = deal({}, {}, "closedlost")
    link("deals", lost, "contacts", loser)
    sim.settle()
    expect({ stage_of(partner), stage_of(loser) }).to.equal { "lead", "lead" }
    local id = deal { parted, person "lead" }
    sim.update("contacts", parted, { lifecyclestage = "" })
    sim.update("contacts", parted, { lifecyclestage = "lead" })
    sim.settle()
    local before = #sim.calls()
    require "hubspot".associations.remove("deals", id, "contacts", parted)
    sim.settle()
    expect(stage_of(parted)).to.equal("lead")
    expect(#sim.calls()).to.equal(before + 1)
    expect_well()
  end)

  it("follow a deal that has its people from the beginning, when their reading fails at first", function()
    local p = person "lead"
    sim.settle()
    sim.fail { path = "objects/2026-09/contacts", status = 500, times = 2 }
    require "hubspot".deals.create({ dealname = "D", pipeline = "default", dealstage = "contractsent" },
      { associations = { { to = { id = p }, types = { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 3 } } } } })
    sim.advance("1h")
    expect(stage_of(p)).to.equal("opportunity")
    expect_well()
  end)

  it("take the company along with its contact", function()
    local p, f = person "lead", firm "lead"
    link("contacts", p, "companies", f)
    sim.settle()
    sim.update("contacts", p, { lifecyclestage = "salesqualifiedlead" })
    sim.settle()
    expect(stage_of_firm(f)).to.equal("salesqualifiedlead")
    sim.update("contacts", p, { lifecyclestage = "other" })
    sim.settle()
    expect(stage_of_firm(f)).to.equal("salesqualifiedlead")             -- a stage of your own says nothing of the company
    expect(sim.events().failed).to.equal(0)
    expect_well()
  end)

  it("take things as they are: nobody, nothing, gone before its turn", function()
    deal()
    local p = person()
    deal({ p }, nil, "closedlost")
    expect(stage_of(p)).to.equal(sim.contact(p).lifecyclestage)
    sim.fail { status = 503, times = 3 }
    local gone = sim.create("deals", { dealname = "D", pipeline = "default", dealstage = "contractsent" })
    sim.control("delete", { type = "deals", id = gone })
    local late = sim.create("contacts", { email = "late@x.example", lifecyclestage = "lead" })
    sim.update("contacts", late, { lifecyclestage = "opportunity" })
    sim.control("delete", { type = "contacts", id = late })
    sim.advance("1h")
    expect_well()
  end)

  it("come through a storm of 429s", function()
    local people = {}
    sim.fail { status = 429, times = 40 }
    sim.fail { status = 429, path = "/objects/2026-09/contacts", times = 20 }
    for i = 1, 10 do
      people[i] = person "lead"
      deal { people[i] }
    end
    sim.advance("1h")
    expect(sim.control("stats").limited).to.equal(60)
    for _, p in ipairs(people) do expect(stage_of(p)).to.equal("opportunity") end
    expect_well()
  end)

  it("come through a crash in the middle, and a second run changes nothing", function()
    local people = {}
    for i = 1, 5 do people[i] = person "lead" end
    sim.crash { method = "PATCH" }
    local id = sim.create("deals", { dealname = "D", pipeline = "default", dealstage = "contractsent" })
    for _, p in ipairs(people) do link("deals", id, "contacts", p) end
    sim.advance("1m")
    sim.restart()
    sim.advance("1d")
    for _, p in ipairs(people) do expect(stage_of(p)).to.equal("opportunity") end
    local before = sim.writes()
    sim.update("deals", id, { dealstage = "presentationscheduled" })
    sim.advance("1h")
    expect(sim.writes()).to.equal(before)
    expect_well()
  end)
end)
