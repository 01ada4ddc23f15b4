-- duplicates.lua against the simulator, in virtual time: Tuesday, 2026-09-01; the first search is on Sunday night.
local CONTACTS <const> = "duplicates/contacts.csv"

before_each(function()
  sim.start {}
  sim.load("duplicates.lua", { fs = { "duplicates" } })
end)

local function contact(email, fields)
  local properties = { email = email }
  for name, value in pairs(fields or {}) do properties[name] = value end
  return sim.create("contacts", properties)
end

local function rows(path)
  local list = {}
  for row in csv.rows(path or CONTACTS) do list[#list + 1] = row end
  return list
end

-- Writes yes beside each pair, as a person does.
local function approve(which)
  local list = rows()
  for _, row in ipairs(list) do
    if not which or row.goes == which then row.merge = "Yes" end
  end
  fs.write(CONTACTS, csv.format(list, { columns = { "score", "why", "stays", "name of stays", "goes", "name of goes", "merge", "done" } }))
end

local function two_pairs()
  local ana = contact("ana.ek@gmail.com", { firstname = "Ana", lastname = "Ek", company = "Firm GmbH" })
  local again = contact("anaek+news@gmail.com", { firstname = "Ana" })
  local bo = contact("bo@one.example", { lastname = "Berg", phone = "+46 8 123 456 78", country = "Sweden" })
  local twice = contact("bo@two.example",
    { lastname = "BERG", phone = "08-123 456 78", country = "SE", jobtitle = "Boss", firstname = "Bo" })
  contact("ana.ek@firm.example", { firstname = "Ana", lastname = "Holm", company = "Firm GmbH" })
  sim.advance("6d")
  return ana, again, bo, twice
end

-- What a timer cannot do, at last, is told.
local function expect_well()
  expect(sim.events().dead).to.equal(0)
  expect(sim.log()).to_not.contain("alert:")
end

describe("duplicates", function()
  it("are proposed with how sure it is and why; nothing is merged by itself", function()
    local ana, again, bo, twice = two_pairs()
    local list = rows()
    expect(#list).to.equal(2)
    expect({ list[1].score, list[1].why, list[1].stays, list[1].goes }).to.equal
      { "0.95", "same address but for dots and +tags", ana, again }
    expect({ list[2].score, list[2].why, list[2].stays, list[2].goes }).to.equal { "0.90", "same phone and surname", twice, bo }
    sim.advance("1d")
    expect(sim.contact(again).email).to.equal("anaek+news@gmail.com")
    expect_well()
  end)

  it("are merged when a person approves them, and only those", function()
    local ana, again, bo = two_pairs()
    approve(again)
    sim.advance("2h")
    local done = rows()[1].done
    expect(done).to.match("^merged into %d+$")
    expect(sim.contact(ana).id).to.equal(done:match("%d+"))
    expect(sim.contact(again).id).to.equal(done:match("%d+"))
    expect(sim.contact(bo).id).to.equal(bo)
    expect(rows()[2].done).to.equal ""
    expect_well()
  end)

  it("are not found in what is empty, common to many, or nonsense; a broken file stops nothing", function()
    for i = 1, 30 do contact(("p%d@x.example"):format(i), { lastname = "Doe", phone = "+1 202 555 0100" }) end
    sim.create("contacts", { firstname = "Nobody" })
    sim.create("contacts", { firstname = "Nobody", phone = "n/a" })
    sim.create("companies", { name = "Firm", domain = "firm.example" })
    sim.create("companies", { name = "Firma", domain = "https://www.firm.example/start" })
    sim.advance("6d")
    expect(rows()).to.equal {}
    expect(#rows "duplicates/companies.csv").to.equal(1)
    for _, broken in ipairs { 'score,why\n"broken', "", "score,why,stays,goes,merge,done\n0.9,x,1,2,yes\n0.9,x,1\n" } do
      fs.write(CONTACTS, broken)
      sim.advance("3h")
    end
    expect(sim.writes()).to.equal(0)
    expect_well()
  end)

  it("are as sure as all that they share, within one number, one name and one domain", function()
    local ana = contact("a.na@gmail.com", { firstname = "Ana", lastname = "Ek", company = "Firm GmbH" })
    local twin = contact("ana@gmail.com", { firstname = "ANA", lastname = "ek", company = "Firm" })
    contact("bo.b@one.example", { phone = "+1 202 555 0100", lastname = "One" })
    contact("bob@one.example", { phone = "+1 202 555 0100", lastname = "Other" })      -- a firm's dots count, its number is everybody's
    sim.create("companies", { name = "Firm GmbH", domain = "firm-one.example", country = "Germany" })
    sim.create("companies", { name = "firm", domain = "firm-two.example", country = "DE" })
    sim.advance("6d")
    local list = rows()
    expect({ #list, list[1].score, list[1].stays, list[1].goes }).to.equal { 1, "0.99", ana, twin }
    expect(list[1].why).to.equal "same address but for dots and +tags; same name and company"
    local firms = rows "duplicates/companies.csv"
    expect({ #firms, firms[1].score, firms[1].why }).to.equal { 1, "0.75", "same name and country" }
    expect_well()
  end)

  it("leave a pair of which one is gone", function()
    local _, again = two_pairs()
    approve()
    sim.control("delete", { type = "contacts", id = again })
    sim.fail { path = "/objects/", status = 500, times = 0 }
    sim.advance("1h")
    expect({ rows()[1].done, rows()[2].done }).to.equal { "", "" }      -- that HubSpot fails says nothing
    sim.fail {}
    sim.advance("2h")
    expect(rows()[1].done).to.equal "one of them is gone"
    expect(rows()[2].done).to.match "^merged into"
    expect(sim.events().dead).to.equal(0)
  end)

  it("come through a storm of 429s", function()
    sim.advance("4d")
    sim.fail { status = 429, times = 40 }
    two_pairs()
    expect(#rows()).to.equal(2)
    expect(sim.control("stats").limited).to.equal(40)
    approve()
    sim.fail { status = 429, path = "/merge", times = 20 }
    sim.advance("2h")
    expect(sim.control("stats").limited).to.equal(60)
    for _, row in ipairs(rows()) do expect(row.done).to.match "^merged into" end
    expect(sim.writes "/merge").to.equal(2)
    expect_well()
  end)

  it("are merged once, over a crash in the middle and a second run", function()
    two_pairs()
    approve()
    sim.crash { method = "POST", path = "/merge" }
    sim.advance("61m")
    sim.restart()
    sim.advance("3h")
    expect(sim.writes "/merge").to.equal(2)
    for _, row in ipairs(rows()) do expect(row.done).to.match "^merged into" end
    sim.advance("7d")
    expect(rows()).to.equal {}
    expect_well()
  end)
end)
