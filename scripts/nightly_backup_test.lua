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
    sim.fail { status = 429, times = 60 }
    sim.advance("4h")
    expect(json.decode(fs.read(NIGHT .. "backup.json")).rows).to.equal { contacts = 2, companies = 1, deals = 1 }
    expect(sim.events().dead).to.equal(0)
  end)

  it("goes on where it was cut off, and keeps what it had", function()
    start()
    local records = {}
    for i = 1, 2100 do records[i] = { dealname = "Deal " .. i, pipeline = "default", dealstage = "contractsent" } end
    local ids = sim.control("batch_create", { type = "deals", records = records }).ids
    sim.fail { path = "/crm/objects/2026-09/deals", latency_ms = 1000, times = 0 }
    local function finished() return pcall(fs.read, NIGHT .. "deals.00001.part") end
    sim.advance(16 * 3600 + 18)
    for _ = 1, 200 do
      if finished() then break end
      sim.advance(0.02)
    end
    sim.fail { path = "/crm/objects/2026-09/deals", status = 500, times = 4 }
    sim.fail { path = "/deals/2026-09/companies", status = 500, times = 2 }
    sim.advance("4s")
    expect(pcall(fs.read, NIGHT .. "deals.csv")).to.be_false()          -- whole or not at all
    sim.control("delete", { type = "deals", id = ids[2050] })
    sim.advance("4h")
    local list = rows(NIGHT .. "deals.csv")
    expect(#list).to.equal(2099)
    for i, row in ipairs(list) do expect(row.id).to.equal(ids[i < 2050 and i or i + 1]) end
    expect(fs.list(NIGHT)).to.equal { "backup.json", "companies.csv", "contacts.csv", "deals.csv" }
    local pages = 0
    for _, call in ipairs(sim.control("calls", { method = "GET", path = "/crm/objects/2026-09/deals" }).calls) do
      if call.status == 200 then pages = pages + 1 end
    end
    expect(pages).to.be_at_most(25)                                     -- 22, and of the second part some again
  end)

  it("goes on after a crash, with the same files", function()
    start()
    some_records()
    sim.crash { method = "GET", path = "/crm/objects/2026-09/deals" }
    sim.advance("17h")
    expect(pcall(fs.read, NIGHT .. "backup.json")).to.be_false()
    sim.restart()
    sim.advance("2h")
    expect(json.decode(fs.read(NIGHT .. "backup.json")).rows).to.equal { contacts = 2, companies = 1, deals = 1 }
    expect(#rows(NIGHT .. "contacts.csv")).to.equal(2)
    expect(fs.list(NIGHT)).to.equal { "backup.json", "companies.csv", "contacts.csv", "deals.csv" }
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
    local complete = fs.read("backups/2026-09-07/backup.json")
    sim.advance("1d")
    expect(fs.read("backups/2026-09-07/backup.json")).to.equal(complete)
    sim.advance("12d")
    local nights = fs.list "backups"
    expect(nights[1]).to.equal("2026-09-02/")
    expect(nights[2]).to.equal("2026-09-07/")
    expect(nights[3]).to.equal("2026-09-09/")
    expect(#nights).to.equal(16)
    expect(fs.list(NIGHT)).to.equal { "note.txt" }
  end)
end)
