-- lead_routing.lua against the simulator: an account with its twelve owners, in virtual time.

local owners            -- by e-mail: id
local by_id             -- the other way round

before_each(function()
  sim.start { owners = 12 }
  owners, by_id = {}, {}
  for _, owner in ipairs(sim.control("owners").results) do
    owners[owner.email], by_id[owner.id] = owner.id, owner.email
  end
  sim.load("lead_routing.lua")
end)

local count = 0
local function lead(fields)
  count = count + 1
  fields.email = fields.email or ("lead%d@nobody-%d.example"):format(count, count)
  return sim.create("contacts", fields)
end

local function company_of(owner, domain)
  return sim.create("companies", { name = "Firm " .. domain, domain = domain, hubspot_owner_id = owners[owner] })
end

local function owner_of(contact)
  return by_id[sim.contact(contact).hubspot_owner_id]
end

local function decision(contact)
  for _, record in ipairs(sim.audit("routing")) do
    if record.key == "contact " .. contact then return record.record end
  end
  return nil
end

-- Creates n leads of a country, lets them be routed, and counts them by owner.
local function route_many(n, country)
  local list, routed = {}, {}
  for i = 1, n do list[i] = lead { country = country } end
  sim.settle()
  for _, contact in ipairs(list) do
    local owner = owner_of(contact) or "nobody"
    routed[owner] = (routed[owner] or 0) + 1
  end
  return routed, list
end

-- Within one turn of its share.
local function expect_share(n, share)
  expect(n).to.be_at_least(share - 1)
  expect(n).to.be_at_most(share + 1)
end

describe("lead routing", function()
  it("gives a new contact an owner of its territory, and says why", function()
    local contact = lead { country = "Deutschland" }
    sim.settle()
    expect(owner_of(contact)).to.equal("anna.weber@example.com")
    local record = decision(contact)
    expect(record.pool).to.equal("dach")
    expect(record.pick).to.equal(owners["anna.weber@example.com"])
    expect(record.reason).to.contain("country DE")
    expect(#record.candidates).to.equal(3)
    expect(record.rule).to.match("^dach@%x+$")
  end)

  it("understands countries as people type them", function()
    local cases = {
      { "Germany", "dach" }, { "ÖSTERREICH", "dach" }, { "CHE", "dach" }, { "England", "uk and nordics" },
      { "u.k.", "uk and nordics" }, { "Sverige", "uk and nordics" }, { "U.S.A.", "americas" }, { "brasil", "americas" },
      { "Japan", "rest of the world" }, { "Atlantis", "rest of the world" },
    }
    local list = {}
    for i, case in ipairs(cases) do list[i] = lead { country = case[1] } end
    local without = lead {}
    sim.settle()
    for i, case in ipairs(cases) do expect(decision(list[i]).pool).to.equal(case[2]) end
    expect(decision(without).pool).to.equal("rest of the world")
    expect(decision(without).reason).to.contain("no country")
  end)

  it("leaves a contact alone that has an owner", function()
    local contact = lead { country = "DE", hubspot_owner_id = owners["grace.miller@example.com"] }
    sim.settle()
    expect(owner_of(contact)).to.equal("grace.miller@example.com")
    expect(decision(contact)).to.be_nil()
  end)

  it("gives a lead of a known company to that company's owner", function()
    local company = company_of("grace.miller@example.com", "acme-test.example")
    local contact = lead { country = "DE", email = "Bo@Mail.Acme-Test.example" }
    sim.settle()
    expect(owner_of(contact)).to.equal("grace.miller@example.com")
    local record = decision(contact)
    expect(record.by).to.equal("prefer")
    expect(record.reason).to.contain("company " .. company)
  end)

  it("prefers, of several companies with one domain, the one with an owner, then the oldest", function()
    sim.create("companies", { name = "Twin", domain = "twin.example" })
    local owned = company_of("priya.sharma@example.com", "www.twin.example")
    local contact = lead { country = "DE", email = "bo@twin.example" }
    sim.settle()
    expect(owner_of(contact)).to.equal("priya.sharma@example.com")
    expect(decision(contact).reason).to.contain("company " .. owned)
    expect(decision(contact).reason).to.contain("of 2 with that domain")
  end)

  it("never matches free-mail domains", function()
    company_of("grace.miller@example.com", "gmail.com")
    local contact = lead { country = "DE", email = "bo@gmail.com" }
    sim.settle()
    expect(decision(contact).by).to.equal("rotation")
    expect(decision(contact).pool).to.equal("dach")
  end)

  it("follows companies that appear, change and go", function()
    lead { country = "DE" }                       -- the companies are listed now
    sim.settle()
    local company = company_of("grace.miller@example.com", "later.example")
    sim.settle()
    local first = lead { country = "DE", email = "a@later.example" }
    sim.settle()
    sim.update("companies", company, { hubspot_owner_id = owners["oliver.smith@example.com"] })
    sim.settle()
    local second = lead { country = "DE", email = "b@later.example" }
    sim.settle()
    sim.update("companies", company, { domain = "moved.example" })
    sim.settle()
    local third = lead { country = "DE", email = "c@later.example" }
    local fourth = lead { country = "DE", email = "d@moved.example" }
    sim.settle()
    expect(owner_of(first)).to.equal("grace.miller@example.com")
    expect(owner_of(second)).to.equal("oliver.smith@example.com")
    expect(decision(third).by).to.equal("rotation")
    expect(owner_of(fourth)).to.equal("oliver.smith@example.com")
    sim.control("delete", { type = "companies", id = company })
    sim.settle()
    local fifth = lead { country = "DE", email = "e@moved.example" }
    sim.settle()
    expect(decision(fifth).by).to.equal("rotation")
  end)

  it("respects the weights within one turn", function()
    local routed = route_many(57, "US")
    expect_share(routed["grace.miller@example.com"], 57 * 2 / 5)
    expect_share(routed["carlos.garcia@example.com"], 57 * 2 / 5)
    expect_share(routed["maya.johnson@example.com"], 57 * 1 / 5)
  end)

  it("stops at the caps, also when HubSpot fails in between, and starts again the next day", function()
    sim.fail { path = "contacts", status = 502, times = 3 }
    sim.fail { status = 429, policy = "TEN_SECONDLY_ROLLING", times = 3 }
    local routed = route_many(950, "DE")          -- the caps add up to 900
    expect(routed["anna.weber@example.com"]).to.equal(400)
    expect(routed["jonas.becker@example.com"]).to.equal(300)
    expect(routed["lena.huber@example.com"]).to.equal(200)
    expect(routed["desk@example.com"]).to.equal(50)
    sim.advance("1d")
    local tomorrow = route_many(6, "DE")
    expect(tomorrow["desk@example.com"]).to.be_nil()
    expect(tomorrow["anna.weber@example.com"]).to.equal(3)
  end)

  it("routes each contact once, in few requests", function()
    local _, list = route_many(210, "FR")
    local seen = {}
    for _, record in ipairs(sim.audit("routing")) do
      expect(seen[record.key]).to.be_nil()
      seen[record.key] = true
    end
    for _, contact in ipairs(list) do expect(seen["contact " .. contact]).to.be_true() end
    expect(#sim.calls()).to.be_at_most(12)
  end)

  it("takes no second turn for an event that is delivered twice, nor for a second one", function()
    local contact = lead { country = "DE" }
    sim.settle()
    local event = { objectId = contact, eventId = 77, occurredAt = time.now() }
    sim.trigger("contact.creation", event)
    sim.trigger("contact.creation", event)
    sim.settle()
    expect(sim.events().ran).to.equal(2)
    expect(#sim.audit("routing")).to.equal(1)
    expect(sim.writes()).to.equal(1)
  end)

  it("routes who has nothing but a name, or nonsense, and nobody who is gone before its turn", function()
    local bare, odd = sim.create("contacts", { firstname = "X" }), lead { email = "x@localhost.localdomain", company = "-", country = "12" }
    local gone = lead { country = "DE" }
    sim.control("delete", { type = "contacts", id = gone })
    sim.trigger("contact.creation", { objectId = 999, eventId = 78, occurredAt = time.now() })
    sim.settle()
    expect({ decision(bare).pool, decision(odd).pool }).to.equal { "rest of the world", "rest of the world" }
    expect(#sim.audit "routing").to.equal(2)
    expect(sim.events().dead).to.equal(0)
  end)

  it("comes through a storm of 429s: each lead once", function()
    sim.fail { status = 429, policy = "TEN_SECONDLY_ROLLING", times = 30 }
    sim.fail { status = 429, policy = "TEN_SECONDLY_ROLLING", path = "batch/update", times = 20 }
    local list = {}
    for i = 1, 10 do list[i] = lead { country = "DE" } end
    sim.advance("1h")
    expect(sim.control("stats").limited).to.equal(50)
    for _, contact in ipairs(list) do expect(owner_of(contact)).to_not.be_nil() end
    expect(#sim.audit "routing").to.equal(10)
    expect(sim.events().dead).to.equal(0)
  end)

  it("is fair also when HubSpot fails in between", function()
    sim.fail { match = { method = "POST", path = "batch/update" }, status = 503, times = 3 }
    local routed = route_many(50, "US")
    expect(routed["nobody"]).to.be_nil()
    expect_share(routed["grace.miller@example.com"], 20)
    expect_share(routed["maya.johnson@example.com"], 10)
  end)

  it("tries a lead again when its read or its update is refused, without a trace of the first try", function()
    local first = lead { country = "DE" }
    sim.fail { path = "contacts", status = 500, times = 1 }
    sim.settle()
    expect(owner_of(first)).to.be_nil()
    sim.advance("5m")
    expect(owner_of(first)).to.equal("anna.weber@example.com")
    sim.fail { match = { method = "PATCH" }, status = 500, times = 1 }
    local second = lead { country = "DE" }
    sim.settle()
    expect(owner_of(second)).to.be_nil()
    sim.advance("5m")                              -- the retry is due by then
    sim.settle()
    expect(owner_of(first)).to.equal("anna.weber@example.com")
    expect(owner_of(second)).to.equal("jonas.becker@example.com")
    expect(#sim.audit("routing")).to.equal(2)
  end)

  it("gets through a week with bad hours", function()
    local list = {}
    for hour = 1, 7 * 24 do
      if hour % 25 == 0 then sim.fail { match = { path = "contacts" }, status = 502, times = 4 } end
      if hour % 40 == 0 then sim.fail { status = 429, policy = "TEN_SECONDLY_ROLLING", times = 3 } end
      for _ = 1, hour % 3 do list[#list + 1] = lead { country = "US" } end
      sim.advance("1h")
    end
    expect(#sim.audit "routing").to.equal(#list)
    for _, contact in ipairs(list) do expect(owner_of(contact)).to_not.be_nil() end
    expect(sim.events().dead).to.equal(0)
  end)

  it("gives nobody who has left the account a lead", function()
    sim.control("owner", { email = "anna.weber@example.com", archived = true })
    local routed = route_many(30, "DE")
    expect(routed["anna.weber@example.com"]).to.be_nil()
    expect(routed["jonas.becker@example.com"]).to.equal(20)
    expect(routed["lena.huber@example.com"]).to.equal(10)
  end)

  it("goes on where a crash has cut it off: the same owner, decided once", function()
    sim.crash { method = "POST", path = "contacts/batch/update" }
    local list = {}
    for i = 1, 20 do list[i] = lead { country = "DE" } end
    sim.advance("1m")
    local owned = {}
    for i, contact in ipairs(list) do owned[i] = owner_of(contact) end
    sim.restart()
    sim.advance("10m")
    expect(#sim.audit "routing").to.equal(20)
    local routed = {}
    for i, contact in ipairs(list) do
      local owner = owner_of(contact)
      if owned[i] then expect(owner).to.equal(owned[i]) end
      routed[owner] = (routed[owner] or 0) + 1
    end
    expect(routed["anna.weber@example.com"]).to.equal(10)
    expect(sim.events().dead).to.equal(0)
  end)
end)
