local fairness = require "routing.fairness"
local fairness_text = require "routing.fairness_text"

local at = 0

-- Decides among candidates, written { owner, weight or false, gate, pool }.
local function record(by, pick, candidates, more)
  local list = {}
  for i, c in ipairs(candidates) do
    list[i] = { owner = c[1], weight = c[2] or nil, gate = c[3], pool = c[4] }
    for key, value in pairs(c) do if type(key) == "string" then list[i][key] = value end end
  end
  at = at + 1000
  local r = { pool = "inbound", at = at, by = by, pick = pick or json.null, candidates = list }
  for key, value in pairs(more or {}) do r[key] = value end
  return r
end

describe("fairness", function()
  it("counts turns, shares among those who could, and what kept the others", function()
    local f = fairness.new()
    f:add("1", record("rotation", "7", { { "a@x.de", 3 }, { "7", 1 } }))
    f:add("2", record("rotation", "9", { { "a@x.de", 3 }, { "7", 1, "cap 1 a day reached" } }, { email = "a@x.de" }))
    f:add("3", record("prefer", "9", { { "a@x.de", preferred = true }, { "a@x.de", 3 }, { "7", 1 } }, { email = "a@x.de" }))
    f:add("4", record("fallback", "5", { { "a@x.de", 3, "off work (Mon 09:00-10:00 UTC)" }, { "7", 1, "away 2026-01-01..2026-01-09" },
      { "5", fallback = true } }))
    f:add("5", record(nil, nil, { { "a@x.de", 3, "away (HubSpot) until 2026-01-01T00:00:00.000Z" },
      { "7", 1, "no active owner of the account" } }))
    local p = f:result().inbound
    expect({ p.leads, p.turns, p.by }).to.equal { 5, 2, { rotation = 2, prefer = 1, fallback = 1, nobody = 1 } }
    expect(p.members[1]).to.equal { owner = "a@x.de", weight = 3, could = 2, share = 1.75, got = 1, outside = 1,
      kept = { ["off work"] = 1, ["away (HubSpot)"] = 1 } }
    expect(p.members[2]).to.equal { owner = "7", weight = 1, could = 1, share = 0.25, got = 1, outside = 0,
      kept = { ["cap 1 a day"] = 1, away = 1, ["no active owner"] = 1 } }
    expect(p.members[3]).to.equal { owner = "5", could = 0, share = 0, got = 0, outside = 1, kept = {} }
    expect({ p.off, p.off_owner }).to.equal { 0.75, "a@x.de" }
  end)

  it("gives the turn of a pool that another falls back to to that pool", function()
    local f = fairness.new()
    f:add("1", record("fallback", "8", { { "7", 1, "holiday 2026-12-25" }, { "8", 2, nil, "second" }, { "9", 2, nil, "second" } }))
    local result = f:result()
    expect({ result.inbound.leads, result.inbound.turns, result.inbound.by.fallback }).to.equal { 1, 0, 1 }
    expect(result.inbound.members[1].kept).to.equal { holiday = 1 }
    expect(#result.inbound.members).to.equal(1)
    expect({ result.second.leads, result.second.turns, result.second.members[1].got, result.second.members[2].share })
      .to.equal { 1, 1, 1, 0.5 }
  end)

  it("knows how long leads were held, and which are still", function()
    local f = fairness.new()
    f:add("1", record("hold", nil, { { "7", 1, "off work (x)" } }))
    f:add("2", record("hold", nil, { { "7", 1, "off work (x)" } }))
    f:add("1", record("hold", nil, { { "7", 1, "cap 1 a hour reached" } }))
    expect({ f:waits("inbound", "1"), f:waits("inbound", "3"), f:waits("other", "1") }).to.equal { true, false, false }
    f:add("1", record("rotation", "7", { { "7", 1 } }))
    local p = f:result().inbound
    expect({ p.leads, p.held, p.waiting, p.held_ms, p.held_longest }).to.equal { 1, 2, 1, 3000, 3000 }
  end)
end)

describe("its text", function()
  local width = require("report.text").width

  local function result(n)
    local f = fairness.new()
    for i = 1, n do f:add("l" .. i, record("rotation", i % 3 == 0 and "bo.with.a.long.name@example.com" or "ana@example.com",
      { { "ana@example.com", 2 }, { "bo.with.a.long.name@example.com", 1, i % 6 == 1 and "cap 4 a day reached" or nil } })) end
    f:add("h", record("hold", nil, { { "ana@example.com", 2, "off work (x)" } }))
    return f:result().inbound
  end

  it("stands two beside each other, and fits any width", function()
    local given = { pools = { { now = result(30), before = result(12) } }, labels = { now = "new.lua", before = "recorded" },
      title = { "Recorded leads", "2026-01-01 to 2026-04-01", "nothing was changed" }, notes = {} }
    local text = fairness_text.render(given, 80)
    expect(text).to.match("^Recorded leads, 2026%-01%-01 to 2026%-04%-01, nothing was changed\n")
    expect(text).to.contain "Member                      Weight   Could  Share  In turn    Off  Other  Before\n"
    expect(text).to.match("\nana@example.com +2 +100.0%% +21.67 +20 +%-1.67 +0 +8\n")
    expect(text).to.match("\nbo.with.a.long.name@examp… +1 +83.3%% +8.33 +10 +%+1.67 +0 +4\n")
    expect(text).to.contain "\nrecorded: 12 in turn, 1 held, 1 waiting at the end,\n"
    expect(text).to.contain "  bo.with.a.long.name@example.com: cap 4 a day 5\n"
    expect(text).to.match("\nana@example.com +new.lua  %S+ 20\n +recorded %S+ 8\n")
    for _, columns in ipairs { 60, 80, 132 } do
      for line in fairness_text.render(given, columns):gmatch("[^\n]+") do expect(width(line)).to.be_at_most(columns) end
    end
  end)
end)
