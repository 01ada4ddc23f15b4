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

-- What a timer cannot do, at last, is told.
local function expect_well()
  expect(sim.events().dead).to.equal(0)
  expect(sim.log()).to_not.contain("alert:")
end

describe("lead scoring", function()
  it("counts who a contact is, says why, and qualifies who has enough", function()
    local boss, stranger = contact(BOSS), contact { email = "x@gmail.com", lifecyclestage = "lead" }
    expect(of(boss)).to.equal { 40, "B", "marketingqualifiedlead" }
    expect(sim.contact(boss).lead_reasons).to.equal "business e-mail 10, decides 15, our market 10, company known 5"
    expect(of(stranger)).to.equal { 0, "D", "lead" }
    expect_well()
  end)

  it("counts what it does, half after 30 days, and takes no stage back", function()
    local id = contact { email = "bo@firm.example", country = "US", lifecyclestage = "lead" }
    expect(of(id)).to.equal { 20, "C", "lead" }
    sim.update("contacts", id, { hs_lead_status = "OPEN" })             -- nothing that counts
    sim.advance("1m")
    expect(of(id)).to.equal { 20, "C", "lead" }
    sim.update("contacts", id, { hs_lead_status = "CONNECTED" })
    sim.advance("1m")
    local deal = sim.create("deals", { dealname = "D", pipeline = "default", dealstage = "contractsent" })
    sim.control("associate", { from_type = "deals", from = deal, to_type = "contacts", to = id })
    sim.advance("1m")
    expect(of(id)).to.equal { 55, "B", "marketingqualifiedlead" }
    expect(sim.contact(id).lead_reasons).to.contain "what it did 35"
    sim.crash()
    sim.advance("28d")                                                  -- weeks without a run
    sim.restart()
    sim.advance("2d")
    expect(of(id)).to.equal { 38, "C", "marketingqualifiedlead" }       -- 17.5 of the 35 are left
    sim.update("contacts", id, { hs_lead_status = "IN_PROGRESS" })
    sim.advance("1m")
    expect(of(id)[1]).to.equal(47)                                      -- 17.49 are left, and 10 for this
    expect_well()
  end)

  it("hears of forms", function()
    local form = sim.create_form("Contact us", { "email" })
    local id = contact { email = "bo@firm.example", lifecyclestage = "lead" }
    sim.advance("6m")
    sim.control("submit_form", { form = form, values = { email = "bo@firm.example" } })
    sim.control("submit_form", { form = form, values = { email = "no address" } })
    sim.control("submit_form", { form = form, values = { email = "gone@firm.example" } })
    sim.control("delete", { type = "contacts", id = sim.control("list", { type = "contacts" }).results[2].id })
    sim.advance("6m")
    expect(of(id)).to.equal { 25, "C", "lead" }
    expect(sim.events().failed).to.equal(0)
    expect_well()
  end)

  it("takes contacts as they are: nothing but a name, customers, gone before their turn", function()
    local bare = contact { firstname = "X" }
    local customer = contact { email = "c@firm.example", jobtitle = "Head of IT", country = "DE", company = "F",
      lifecyclestage = "customer" }
    sim.fail { status = 503, times = 2 }
    local gone = sim.create("contacts", { email = "gone@firm.example" })
    sim.control("delete", { type = "contacts", id = gone })
    sim.trigger("deal.creation", { objectId = 999, eventId = 7, occurredAt = time.now() })
    sim.advance("1h")
    expect(of(bare)[1]).to.equal(0)
    expect(of(customer)).to.equal { 40, "B", "customer" }
    expect_well()
  end)

  it("comes through a storm of 429s, and counts each act once", function()
    local id = contact { email = "bo@firm.example", lifecyclestage = "lead" }
    sim.fail { status = 429, times = 40 }
    sim.fail { status = 429, method = "PATCH", times = 20 }
    sim.update("contacts", id, { hs_lead_status = "CONNECTED" })
    for i = 1, 2 do
      local deal = sim.create("deals", { dealname = "D" .. i, pipeline = "default", dealstage = "contractsent" })
      sim.control("associate", { from_type = "deals", from = deal, to_type = "contacts", to = id })
    end
    sim.advance("1h")
    expect(sim.control("stats").limited).to.equal(60)
    expect(of(id)[1]).to.equal(70)                                      -- three acts at once
    expect_well()
  end)

  it("makes its properties over a crash in the middle of it, once", function()
    sim.crash { method = "POST", path = "/properties", call = 2 }
    sim.fail { method = "POST", path = "/properties", drop = "after" }
    local id = contact { email = "bo@firm.example" }
    sim.restart()
    sim.advance("10m")
    expect(of(id)[1]).to.equal(10)
    expect(sim.writes "/properties").to.equal(3)
    local before = #sim.control("calls", { path = "/properties" }).calls
    contact { email = "cy@firm.example" }
    expect(#sim.control("calls", { path = "/properties" }).calls).to.equal(before)
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

  it("counts an act once when its read fails behind the counting", function()
    local id = contact { email = "bo@firm.example", lifecyclestage = "lead" }
    sim.fail { method = "GET", path = "/contacts/" .. id, status = 500, times = 2 }
    sim.update("contacts", id, { hs_lead_status = "CONNECTED" })
    sim.advance("1h")
    expect(sim.events().retried).to.be_at_least(1)
    expect(of(id)[1]).to.equal(20)
    expect_well()
  end)
end)
