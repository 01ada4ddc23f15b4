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

  it("take the company along with its contact", function()
    local p, f = person "lead", firm "lead"
    link("contacts", p, "companies", f)
    sim.settle()
    sim.update("contacts", p, { lifecyclestage = "salesqualifiedlead" })
    sim.settle()
    expect(stage_of_firm(f)).to.equal("salesqualifiedlead")
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
    sim.fail { status = 429, times = 60 }
    for i = 1, 10 do
      people[i] = person "lead"
      deal { people[i] }
    end
    sim.advance("1h")
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
