-- lead_scoring.lua against the simulator, in virtual time: Tuesday, 2026-09-01, 08:00 UTC.
before_each(function()
  sim.start {}
  sim.load "lead_scoring.lua"
end)

local BOSS <const> = { email = "ana@firm.example", jobtitle = "VP Sales", country = "Deutschland", company = "Firm",
  lifecyclestage = "lead" }

local function contact(fields)
  local id = sim.create("contacts", fields)
  sim.advance("1m")
  return id
end

local function of(id)
  local c = sim.contact(id)
  return { tonumber(c.lead_points), c.lead_grade, c.lifecyclestage }
end

local function expect_well() expect(sim.events().dead).to.equal(0) end

describe("lead scoring", function()
  it("counts who a contact is, says why, and qualifies who has enough", function()
    local boss, stranger = contact(BOSS), contact { email = "x@gmail.com", lifecyclestage = "lead" }
    expect(of(boss)).to.equal { 40, "B", "marketingqualifiedlead" }
    expect(sim.contact(boss).lead_reasons).to.equal "business e-mail 10, decides 15, our market 10, company known 5"
    expect(of(stranger)).to.equal { 0, "D", "lead" }
    expect_well()
  end)

  it("counts what it does, half after 30 days, and takes no stage back", function()
    local id = contact { email = "bo@firm.example", company = "Firm", country = "US", lifecyclestage = "lead" }
    expect(of(id)).to.equal { 25, "C", "lead" }
    sim.update("contacts", id, { hs_lead_status = "CONNECTED" })
    sim.advance("1m")
    local deal = sim.create("deals", { dealname = "D", pipeline = "default", dealstage = "contractsent" })
    sim.control("associate", { from_type = "deals", from = deal, to_type = "contacts", to = id })
    sim.advance("1m")
    expect(of(id)).to.equal { 60, "A", "marketingqualifiedlead" }
    expect(sim.contact(id).lead_reasons).to.contain "what it did 35"
    sim.advance("30d")
    local points = of(id)[1]
    expect(points).to.be_at_least(42)
    expect(points).to.be_at_most(43)
    sim.advance("60d")
    expect(of(id)[1]).to.be_at_most(30)
    expect(of(id)[3]).to.equal "marketingqualifiedlead"
    expect_well()
  end)

  it("hears of forms", function()
    local form = sim.create_form("Contact us", { "email" })
    local id = contact { email = "bo@firm.example", lifecyclestage = "lead" }
    sim.advance("6m")
    sim.control("submit_form", { form = form, values = { email = "bo@firm.example" } })
    sim.control("submit_form", { form = form, values = { email = "no address" } })
    sim.advance("6m")
    expect(of(id)).to.equal { 25, "C", "lead" }
    expect_well()
  end)

  it("takes contacts as they are: nothing but a name, customers, gone before their turn", function()
    local bare = contact { firstname = "X" }
    local customer = contact { email = "c@firm.example", jobtitle = "Head of IT", country = "DE", company = "F",
      lifecyclestage = "customer" }
    sim.fail { status = 503, times = 2 }
    local gone = sim.create("contacts", { email = "gone@firm.example" })
    sim.control("delete", { type = "contacts", id = gone })
    sim.advance("1h")
    expect(of(bare)[1]).to.equal(0)
    expect(of(customer)).to.equal { 40, "B", "customer" }
    expect_well()
  end)

  it("comes through a storm of 429s, and counts each act once", function()
    local id = contact { email = "bo@firm.example", lifecyclestage = "lead" }
    sim.fail { status = 429, times = 60 }
    sim.update("contacts", id, { hs_lead_status = "CONNECTED" })
    sim.advance("1h")
    expect(of(id)[1]).to.equal(20)
    expect_well()
  end)

  it("is cut off between counting and writing, and counts once; a second run writes nothing", function()
    local id = contact { email = "bo@firm.example", lifecyclestage = "lead" }
    sim.crash { method = "PATCH", path = "/contacts" }
    sim.update("contacts", id, { hs_lead_status = "CONNECTED" })
    sim.advance("1m")
    sim.restart()
    sim.advance("10m")
    expect(of(id)[1]).to.equal(20)
    contact(BOSS)
    sim.advance("18h")                                                  -- past two in the night
    local before = sim.writes()
    sim.advance("24h")                                                  -- and the next night
    expect(sim.writes()).to.equal(before)
    expect_well()
  end)
end)
