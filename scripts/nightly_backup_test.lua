-- nightly_backup.lua against the simulator, which begins on Tuesday, 2026-09-01, 08:00 UTC: the first night is the 2nd.
local NIGHT = "backups/2026-09-02/"

local function start(options)
  sim.start(options or {})
  sim.load("nightly_backup.lua", { fs = { "backups" } })
end

local function rows(path)
  local list = {}
  for row in csv.rows(path) do list[#list + 1] = row end
  return list
end

local function some_records()
  local ana = sim.create("contacts", { email = "ana@x.example", firstname = "Ana" })
  local bo = sim.create("contacts", { email = "bo@x.example" })
  local firm = sim.create("companies", { name = "Firm, \"Ltd\"\nand sons", domain = "x.example" })
  local deal = sim.create("deals", { dealname = "=1+1", pipeline = "default", dealstage = "closedwon", amount = "12.50" })
  for _, contact in ipairs { ana, bo } do
    sim.control("associate", { from_type = "deals", from = deal, to_type = "contacts", to = contact })
  end
  return ana, bo, firm, deal
end

-- What a timer cannot do, at last, is told.
local function expect_well()
  expect(sim.events().dead).to.equal(0)
  expect(sim.log()).to_not.contain("alert:")
end

describe("nightly backup", function()
  it("writes what there is, with what belongs together", function()
    start()
    local ana, bo, firm, deal = some_records()
    sim.advance("1d")
    local contacts = rows(NIGHT .. "contacts.csv")
    expect(#contacts).to.equal(2)
    expect(contacts[1].id).to.equal(ana)
    expect(contacts[1].email).to.equal("ana@x.example")
    expect(contacts[1].lastname).to.equal("")
    expect(contacts[1].createdate).to.contain("2026-09-01T08:")        -- not asked for by name: all properties are
    expect(rows(NIGHT .. "companies.csv")[1].name).to.equal("Firm, \"Ltd\"\nand sons")
    expect(rows(NIGHT .. "companies.csv")[1].id).to.equal(firm)
    local won = rows(NIGHT .. "deals.csv")[1]
    expect(won.id).to.equal(deal)
    expect(won.dealname).to.equal("=1+1")                              -- as it is, no spreadsheet's
    expect(won["associated contacts"]).to.equal(ana .. ";" .. bo)
    expect(won["associated companies"]).to.equal("")
    expect(json.decode(fs.read(NIGHT .. "backup.json")).rows).to.equal { contacts = 2, companies = 1, deals = 1 }
    expect(fs.list(NIGHT)).to.equal { "backup.json", "companies.csv", "contacts.csv", "deals.csv" }
  end)

  it("writes headers when there is nothing", function()
    start()
    sim.advance("1d")
    expect(fs.read(NIGHT .. "deals.csv")).to.contain("id,dealname,pipeline")
    expect(rows(NIGHT .. "deals.csv")).to.equal {}
  end)

  it("gets through a storm of 429s", function()
    start()
    some_records()
    sim.advance("13h")
    sim.fail { status = 429, times = 40 }
    sim.fail { status = 429, path = "/associations/", times = 20 }
    sim.advance("4h")
    expect(sim.control("stats").limited).to.equal(60)
    expect(json.decode(fs.read(NIGHT .. "backup.json")).rows).to.equal { contacts = 2, companies = 1, deals = 1 }
    expect_well()
  end)

  it("goes on where it was cut off, and keeps what it had", function()
    start()
    local records = {}
    for i = 1, 2100 do records[i] = { name = "Firm " .. i } end
    local ids = sim.control("batch_create", { type = "companies", records = records }).ids
    local COMPANIES = "/crm/objects/2026-09/companies"
    sim.fail { path = COMPANIES, latency_ms = 1000, times = 0 }
    sim.fail { path = COMPANIES, status = 500, times = 4, after = 16 * 3600 + 19.5 }
    sim.advance(16 * 3600 + 22)                                         -- the first part is there, the second one fails
    expect(pcall(fs.read, NIGHT .. "companies.00001.part")).to.be_true()
    expect(pcall(fs.read, NIGHT .. "companies.csv")).to.be_false()      -- whole or not at all
    sim.control("delete", { type = "companies", id = ids[2050] })
    require "hubspot".properties.create("companies", { name = "a_new_one", label = "New", groupName = "companyinformation", type = "string",
      fieldType = "text" })
    sim.advance("4h")
    local list = rows(NIGHT .. "companies.csv")
    expect(#list).to.equal(2099)
    for i, row in ipairs(list) do
      local n = i < 2050 and i or i + 1
      expect({ row.id, row.name }).to.equal { ids[n], "Firm " .. n }
    end
    expect(list[1].a_new_one).to.be_nil()                               -- the night's columns are those it began with
    expect(fs.list(NIGHT)).to.equal { "backup.json", "companies.csv", "contacts.csv", "deals.csv" }
    local pages = 0
    for _, call in ipairs(sim.control("calls", { method = "GET", path = COMPANIES }).calls) do
      if call.status == 200 then pages = pages + 1 end
    end
    expect(pages).to.be_at_most(25)                                     -- 22, and of the second part some again
    expect_well()
  end)

  it("goes on after a crash, with the same files", function()
    start()
    some_records()
    sim.crash { method = "GET", path = "/crm/objects/2026-09/deals" }
    sim.advance("17h")
    expect(pcall(fs.read, NIGHT .. "backup.json")).to.be_false()
    local contacts = fs.read(NIGHT .. "contacts.csv")
    sim.create("contacts", { email = "late@x.example" })
    sim.restart()
    sim.advance("2h")
    expect(json.decode(fs.read(NIGHT .. "backup.json")).rows).to.equal { contacts = 2, companies = 1, deals = 1 }
    expect(fs.read(NIGHT .. "contacts.csv")).to.equal(contacts)         -- not read again
    expect(#rows(NIGHT .. "deals.csv")).to.equal(1)
    expect(fs.list(NIGHT)).to.equal { "backup.json", "companies.csv", "contacts.csv", "deals.csv" }
    sim.advance("1d")
    expect(#rows "backups/2026-09-03/contacts.csv").to.equal(3)         -- the next night has its own
    expect(fs.read(NIGHT .. "contacts.csv")).to.equal(contacts)
    expect_well()
  end)

  it("keeps the newest fourteen complete nights, and what is none of its own", function()
    start()
    fs.write("backups/mine.txt", "x")
    sim.advance("1d")
    fs.write(NIGHT .. "note.txt", "the one before the import")
    sim.advance("5d")
    sim.fail { status = 500, times = 0 }
    sim.advance("1d")                                                   -- the 8th is never complete
    sim.fail {}
    fs.write("backups/2026-09-08/deals.csv", "id\n")                   -- nor is it by what it has
    local complete = fs.read("backups/2026-09-07/backup.json")
    sim.advance("1d")
    expect(fs.read("backups/2026-09-07/backup.json")).to.equal(complete)
    sim.advance("12d")
    local nights = fs.list "backups"
    expect(nights[1]).to.equal("2026-09-02/")
    expect(nights[2]).to.equal("2026-09-07/")
    expect(nights[3]).to.equal("2026-09-08/")
    expect(#nights).to.equal(17)
    expect(fs.list(NIGHT)).to.equal { "note.txt" }
  end)
end)
