-- property_audit.lua against the simulator, which begins on 2026-09-01, 08:00 UTC: the first audit is on October 1st.
local hubspot = require "hubspot"

local NAME = "reports/properties-2026-10-01"

local function property(name, label, kind, options)
  hubspot.properties.create("contacts", { name = name, label = label, groupName = "contactinformation", type = kind or "string",
    fieldType = options and "select" or "text", options = options })
end

local function start()
  sim.start { owners = 2 }
  sim.load("property_audit.lua", { fs = { "reports" } })
  property("shoe_size", "Shoe size")
  property("job_title__c", "Role at work")
  property("crm_town", "Town of the other CRM")
  property("plan", "Plan", "enumeration", { { label = "Basic", value = "basic" }, { label = "Pro", value = "pro" } })
  property("source_system", "System")
  for _, name in ipairs { "flag_one", "flag_two", "village", "campaign" } do property(name, "My " .. name) end
end

-- What a timer cannot do, at last, is told.
local function expect_well()
  expect(sim.events().dead).to.equal(0)
  expect(sim.log()).to_not.contain("alert:")
end

local function contacts(n, more)
  local records = {}
  for i = 1, n do
    records[i] = { email = ("p%d@x.example"):format(i), city = "Town " .. i, crm_town = i < n and ("town %d"):format(i) or "elsewhere",
      source_system = "import", plan = i % 2 == 0 and "pro" or "basic", flag_one = i % 2 == 0 and "yes" or "no",
      flag_two = i % 2 == 0 and "yes" or "no", village = (i % 2 == 0 and "Town " or "Near ") .. i, campaign = i < 6 and "spring" or nil }
  end
  for _, record in ipairs(more or {}) do records[#records + 1] = record end
  local made = sim.control("batch_create", { type = "contacts", records = records })
  expect(made.errors).to.equal {}
  return made.ids
end

local function audit(object_type)
  local out = {}
  for row in csv.rows(("%s-%s.csv"):format(NAME, object_type or "contacts")) do out[row.Property] = row end
  return out
end

describe("property audit", function()
  it("counts what is filled in, and finds what wants a decision", function()
    start()
    contacts(29, { { email = "last@x.example", jobtitle = "=1+1" } })
    sim.advance("30d")
    local rows = audit()
    expect(rows.city["Filled in"]).to.equal("29")
    expect(rows.city.Percent).to.equal("96.7")
    expect(rows.city["Different values"]).to.equal("29")
    expect(rows.city["Newest record"]).to.equal("2026-09-01")
    expect(rows.city.Finding).to.equal("the same values as crm_town")
    expect(rows.crm_town.Finding).to.equal("the same values as city")
    expect(rows.shoe_size.Finding).to.equal("unused")
    expect(rows.shoe_size.Whose).to.equal("yours")
    expect(rows.job_title__c.Finding).to.equal("unused; the same meaning as jobtitle")
    expect(rows.source_system.Finding).to.equal("always the same value")
    expect(rows.plan.Finding).to.equal("")
    expect({ rows.flag_one.Finding, rows.flag_two.Finding }).to.equal { "", "" }      -- short values are alike by chance
    expect(rows.village.Finding).to.equal("")                              -- half of them are another's
    expect(rows.campaign.Finding).to.equal("")                             -- of too few to say
    expect(rows.website.Finding).to.equal("")                              -- HubSpot's own cannot be taken away
    expect(rows.associatedcompanyid).to.be_nil()                       -- is calculated
    expect(audit("deals").dealname["Filled in"]).to.equal("0")
    local page = fs.read(NAME .. ".html")
    expect(page).to.contain("contacts: 30 records")
    expect(page).to.contain("the same meaning as jobtitle")
    expect(sim.log()).to.contain("property audit: 6 findings")
  end)

  it("finds values that are no option any more, one by one", function()
    start()
    contacts(3)
    hubspot.properties.update("contacts", "plan", { options = { { label = "Pro", value = "pro" } } })
    sim.advance("30d")
    expect(audit().plan["Outside options"]).to.equal("2")
    expect(audit().plan.Finding).to.equal('2 values outside its options, such as "basic"')
  end)

  it("finds what is rare", function()
    start()
    contacts(59, { { email = "last@x.example", shoe_size = "43" } })
    sim.advance("30d")
    expect({ audit().shoe_size.Percent, audit().shoe_size.Finding }).to.equal { "1.7", "rare" }
    expect(audit().jobtitle.Finding).to_not.contain("rare")
  end)

  it("makes its report of nothing, and of names that steer pages", function()
    start()
    property("script", "<script>alert(1)</script>")
    sim.advance("30d")
    expect(audit().email.Percent).to.equal("0")
    expect(fs.read(NAME .. ".html")).to_not.contain("<script")
  end)

  it("gets through a storm of 429s, and does not read again what it has finished", function()
    start()
    contacts(5)
    sim.advance(30 * 86400 - 4 * 3600 - 1)                              -- 06:00 in Berlin is 04:00 UTC
    sim.fail { status = 429, times = 40 }
    sim.fail { status = 429, path = "/crm/objects/2026-09/deals", times = 20 }
    sim.fail { path = "/crm/objects/2026-09/companies", status = 500, times = 3 }
    sim.advance("3h")
    local first = fs.read(NAME .. "-contacts.csv")
    expect(sim.log()).to.contain("findings")
    expect(sim.control("stats").limited).to.equal(60)
    expect_well()
    local reads = 0
    for _, call in ipairs(sim.control("calls", { method = "GET", path = "/crm/objects/2026-09/contacts" }).calls) do
      if call.status == 200 then reads = reads + 1 end
    end
    expect(reads).to.equal(1)
    sim.advance("31d")                                                  -- November has its own
    expect(fs.read(NAME .. "-contacts.csv")).to.equal(first)
    expect(#fs.list "reports").to.equal(8)
  end)

  it("is the same after a crash in the middle", function()
    start()
    contacts(5)
    sim.crash { method = "GET", path = "/crm/objects/2026-09/companies" }
    sim.advance("30d")
    local first = fs.read(NAME .. "-contacts.csv")
    sim.create("contacts", { firstname = "Late" })
    sim.restart()
    sim.advance("1h")
    expect(audit().email.Percent).to.equal("100")
    expect(fs.read(NAME .. "-contacts.csv")).to.equal(first)            -- not read again
    expect(fs.read(NAME .. ".html")).to.contain("contacts: 5 records")
    expect(#fs.list "reports").to.equal(4)
    expect_well()
  end)
end)
