-- api_usage_report.lua against the simulator, which begins on 2026-09-01, 08:00 UTC: the first report is on the 2nd.
local hubspot = require "hubspot"

local NAME = "reports/api-usage-2026-09-02"

local function start(options)
  sim.start(options or {})
  sim.load("api_usage_report.lua", { fs = { "reports" } })
end

local function rows(path, key)
  local out = {}
  for row in csv.rows(path) do out[row[key]] = row end
  return out
end

local function mistakes()
  local ana = hubspot.contacts.create { email = "ana@x.example" }
  for i = 1, 3 do pcall(hubspot.contacts.update, ana.id, { lifecyclestage = "nonsense" .. ("x"):rep(i) }, { batch = false }) end
  pcall(hubspot.contacts.create, { email = "ana@x.example" })
  pcall(hubspot.contacts.get, "999", { "email" })
  return ana
end

-- What a timer cannot do, at last, is told.
local function expect_well()
  expect(sim.events().dead).to.equal(0)
  expect(sim.log()).to_not.contain("alert:")
end

describe("api usage report", function()
  it("counts calls and requests by path, and groups refusals by their reason with what to do", function()
    start()
    mistakes()
    local reads = {}
    for i = 1, 50 do reads[i] = hubspot.contacts.create { email = ("p%d@x.example"):format(i) }.id end
    task.map(reads, function(id) return hubspot.contacts.get(id, { "email" }) end, { concurrency = 50 })
    sim.advance("1d")
    local paths = rows(NAME .. ".csv", "Path")
    expect(paths["POST /crm/objects/2026-09/contacts/batch/read"].Calls).to.equal("50")
    expect(paths["POST /crm/objects/2026-09/contacts/batch/read"].Requests).to.equal("1")
    expect(paths["PATCH /crm/objects/2026-09/contacts/{id}"].Refused).to.equal("3")
    local refused = rows(NAME .. "-refused.csv", "Status")
    expect(refused["400"].Calls).to.equal("3")                          -- one reason, three values
    expect(refused["400"]["What to do"]).to.contain("does not fit its property")
    expect(refused["409"]["What to do"]).to.contain("upsert")
    expect(refused["404"].Calls).to.equal("1")
    expect(fs.read(NAME .. "-refused.csv")).to_not.contain("ana@")
    local page = fs.read(NAME .. ".html")
    expect(page).to.contain("private-apps-api-calls-daily")
    expect(page).to.contain("<td>api_usage_report_test.lua</td>")
  end)

  it("makes its report of nothing, and of what steers pages", function()
    start()
    sim.advance("1d")
    expect(fs.read(NAME .. ".html")).to.contain("API usage, 2026-09-02")
    pcall(hubspot.request, { path = "/crm/objects/2026-09/<script>alert(1)</script>" })
    sim.advance("1d")
    expect(fs.read("reports/api-usage-2026-09-03.html")).to_not.contain("<script")
  end)

  it("groups what has no category, and what nobody has answered, whatever the number in it", function()
    start()
    for i = 1, 2 do
      sim.fail { status = 418, category = "TEAPOT", message = ("Pot %d is short"):format(i) }
      pcall(hubspot.contacts.get, "17", { "email" }, { batch = false })
    end
    sim.fail { status = 500, category = "OOPS", message = "No", times = 0 }
    pcall(hubspot.contacts.get, "17", { "email" }, { batch = false })
    sim.fail {}
    sim.fail { method = "POST", drop = "before" }
    pcall(hubspot.notes.create, { hs_note_body = "x", hs_timestamp = time.now() })
    sim.advance("1d")
    local refused = rows(NAME .. "-refused.csv", "Status")
    local odd = refused["418"]
    expect({ odd.Calls, odd.Reason, odd["What to do"] }).to.equal { "2", "Pot # is short", "Look at the message." }
    expect(refused["500"]["What to do"]).to.contain("HubSpot failed")
    expect(refused.none["What to do"]).to.contain("No answer")
    expect(refused.none.Category).to.equal("uncertain")
  end)

  it("warns when the day's limit is nearly used, and says so when HubSpot does not tell", function()
    start { daily_limit = 40 }
    sim.advance("20h")
    for i = 1, 33 do pcall(hubspot.contacts.get, "1" .. i, { "email" }, { batch = false }) end
    sim.advance("4h")
    expect(sim.log()).to.contain("% of the day's limit is used")
    sim.fail { path = "/account-info", status = 403, times = 0 }
    sim.advance("1d")
    expect(fs.read("reports/api-usage-2026-09-03.html")).to.contain("HubSpot did not tell")
  end)

  it("gets through a storm of 429s, which it counts", function()
    start()
    sim.fail { status = 429, times = 6 }
    hubspot.contacts.create { email = "ana@x.example" }
    sim.advance("20h")
    sim.fail { status = 429, times = 40 }
    sim.advance("4h")
    expect(sim.control("stats").limited).to.equal(46)
    local paths = rows(NAME .. ".csv", "Path")
    expect(paths["POST /crm/objects/2026-09/contacts"]["429"]).to.equal("6")
    expect(fs.read(NAME .. ".html")).to.contain("private-apps-api-calls-daily")
    expect_well()
  end)

  it("leaves a report as it is when the next one is made, which has the whole week", function()
    start()
    local ana = mistakes()
    sim.advance("1d")
    local page, refused = fs.read(NAME .. ".html"), fs.read(NAME .. "-refused.csv")
    pcall(hubspot.contacts.update, ana.id, { lifecyclestage = "more nonsense" })
    sim.advance("1d")
    expect({ fs.read(NAME .. ".html"), fs.read(NAME .. "-refused.csv") }).to.equal { page, refused }
    expect(rows("reports/api-usage-2026-09-03-refused.csv", "Status")["400"].Calls).to.equal("4")
    expect_well()
  end)

  it("is made after a crash in the middle, once, of the time before it was due", function()
    start()
    mistakes()
    sim.crash { method = "GET", path = "/account-info" }
    sim.advance("24h")
    pcall(hubspot.contacts.get, "999", { "email" }, { batch = false })
    sim.restart()
    sim.advance("1h")
    expect(#fs.list "reports").to.equal(3)
    expect(rows(NAME .. "-refused.csv", "Status")["404"].Calls).to.equal("1")
    expect_well()
  end)
end)
