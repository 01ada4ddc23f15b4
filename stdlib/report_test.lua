local hubspot = require "hubspot"
local report = require "report"
local text = require "report.text"
local quantile = require "report.quantile"

local DEALS = {
  { dealstage = "open", amount = "100", createdate = "2026-07-31T22:30:00Z" },
  { dealstage = "open", amount = "0.1", createdate = "2026-08-03T10:00:00Z" },
  { dealstage = "won", amount = "0.2", createdate = "2026-08-03T10:00:00Z" },
  { dealstage = "won", amount = "a lot", createdate = "soon" },
  { dealstage = "won" },
  { amount = "1e400", createdate = "" },
}

local function message(fn, ...)
  local ok, why = pcall(fn, ...)
  expect(ok).to.equal(false)
  return tostring(why)
end

-- Numbers that look like amounts of money, the same in each run.
local function numbers(n)
  local list, x = {}, 7
  for i = 1, n do
    x = (x * 1103515245 + 12345) % 2147483648
    list[i] = (x / 2147483648) ^ 3 * 100000
  end
  return list
end

describe("groups", function()
  it("count, add up and average what can be read, and say what cannot", function()
    local t = report.read(DEALS, report.group { by = "dealstage", report.count(), report.sum("amount"), report.average("amount"),
      report.min("amount"), report.max("amount"), report.median("amount") })
    expect(t.rows).to.equal {
      { "open", 2, 100.1, 50.05, 0.1, 100, 50.05 },
      { "won", 3, 0.2, 0.2, 0.2, 0.2, 0.2 },
      { "(none)", 1, 0, json.null, json.null, json.null, json.null },
    }
    expect(t.total[2]).to.equal(6)
    expect(t.notes).to.equal { '2 values of amount could not be read and are left out, such as "a lot"' }
  end)

  it("add exactly what people wrote", function()
    local list = {}
    for i = 1, 1000 do list[i] = { amount = "0.1", id = "9007199254740993" } end
    local t = report.read(list, report.group { by = function() return "all" end, report.sum("amount"), report.sum("id") })
    expect(t.rows[1][2]).to.equal(100.0)
    expect(t.rows[1][3]).to.equal(9007199254740992.0 * 1000) -- beyond 2^53 sums are rounded
    local mixed = report.read({ { v = 1e16 }, { v = 1 }, { v = -1e16 } }, report.group { by = function() return 1 end, report.sum("v") })
    expect(mixed.rows[1][2]).to.equal(1)
  end)

  it("are in order: by value, by a measure, or as told", function()
    local list = {}
    for _, n in ipairs { 10, 9, 9, 2, 2, 2, "x" } do list[#list + 1] = { n = n } end
    local function keys(spec)
      spec.by = spec.by or "n"
      spec[1] = report.count()
      local out = {}
      for i, row in ipairs(report.read(list, report.group(spec)).rows) do out[i] = row[1] end
      return out
    end
    expect(keys {}).to.equal { 2, 9, 10, "x" }
    expect(keys { order = "Count" }).to.equal { 2, 9, 10, "x" }
    expect(keys { order = { "x", 10, "none yet" } }).to.equal { "x", 10, "none yet", 2, 9 }
    expect(keys { top = 2 }).to.equal { 2, 9 }
    expect(message(keys, { order = "Sum" })).to.contain('order = "Sum" is the label of no measure')
  end)

  it("group by time in a zone, and by several things", function()
    local t = report.read(DEALS, report.group { by = { report.period("createdate", "month", { tz = "Europe/Berlin" }),
      report.named("dealstage", { won = "Won!" }, "Stage") }, report.count() })
    expect(t.rows).to.equal { { "2026-08", "Won!", 1 }, { "2026-08", "open", 2 }, { "(none)", "Won!", 2 }, { "(none)", "(none)", 1 } }
    expect(t.notes[1]).to.contain('createdate could not be read and is left out, such as "soon"')
    local function one(value, period)
      return report.read({ { at = value } }, report.group { by = report.period("at", period), report.count() }).rows[1][1]
    end
    expect(one("2026-08-02", "week")).to.equal("2026-07-27")
    expect(one("2026-08-03", "week")).to.equal("2026-08-03")
    expect(one("2027-01-01T00:00:00Z", "week")).to.equal("2026-12-28")
    expect(one(1785542400000, "day")).to.equal("2026-08-01")
    expect(one("1785542400000", "quarter")).to.equal("2026-Q3")
  end)

  it("leave out a time and a number that are out of all bounds, and go on", function()
    local records = { { at = "2026-08-02", v = 1 }, { at = "1785542400000000", v = 1e308 }, { at = 1e300, v = "1e308" },
      { at = math.maxinteger, v = "-1e308" }, { at = "9999-12-31T23:59:59Z" }, { at = "0001-01-01" } }
    local weeks = report.read(records, report.group { by = report.period("at", "week", { tz = "Pacific/Kiritimati" }), report.count(),
      report.sum("v", "Sum"), report.average("v") })
    expect(weeks.rows[1]).to.equal { "2026-07-27", 1, 1, 1.0 }
    expect(weeks.rows[2][1]).to.equal("(none)")
    expect(weeks.total).to.equal { "Total", 6, 1, 1.0 }
    expect(weeks.notes[1]).to.contain('5 values of at could not be read and are left out, such as "1785542400000000"')
    expect(weeks.notes[2]).to.contain("3 values of v could not be read")
    expect(weeks:json()).to.contain('"Sum":1')
    local cohorts = report.read(records, report.cohorts { from = "at", to = "v", period = "day", periods = 1 })
    expect(#cohorts.rows).to.equal(1)
  end)

  it("group by false, and by what is no number", function()
    local t = report.read({ { on = true }, { on = false }, { on = false }, { on = 0 / 0 } }, report.group { by = "on", report.count() })
    expect(t.rows).to.equal { { false, 2 }, { true, 1 }, { "(none)", 1 } }
    expect(t:text()).to.contain("false")
  end)

  it("read what HubSpot lists and searches, page after page, and once", function()
    sim.start { contacts = 250 }
    sim.create("deals", { dealname = "A", amount = 12.5, dealstage = "closedwon" })
    sim.create("deals", { dealname = "B", amount = 7, dealstage = "closedwon" })
    sim.advance("1m")          -- a search finds what is new after a while
    local contacts = report.read(hubspot.contacts.list { properties = { "lifecyclestage" } },
      report.group { by = "lifecyclestage", report.count() })
    expect(contacts.total[2]).to.equal(250)
    local deals, all = report.read(hubspot.deals.search { filters = { { propertyName = "amount", operator = "GT", value = "1" } },
      properties = { "dealstage", "amount" } }, report.group { by = "dealstage", report.sum("amount") },
      report.group { by = function() return "all" end, report.count() })
    expect(deals.total[2]).to.equal(19.5)
    expect(all.total[2]).to.equal(2)
  end)

  it("have an end", function()
    local n = 0
    local function each()
      n = n + 1
      return n <= 10001 and { id = n } or nil
    end
    expect(message(report.read, each, report.group { by = "id", report.count() })).to.contain("more than 10,000 groups by id")
  end)

  it("name misuse at the script's line", function()
    expect(message(function() report.group { report.count() } end)).to.match("report_test.lua:%d+: report.group: by =")
    expect(message(function() report.sum() end)).to.match("report_test.lua:%d+: report.sum: a property's name")
    expect(message(function() report.group { by = "x", "count" } end)).to.contain("measure 1 is none")
    expect(message(function() report.read({}, {}) end)).to.match("report_test.lua:%d+: report.read: argument 2")
    expect(message(function() report.read(nil, report.group { by = "x",
      report.count() }) end)).to.contain("records are a list or an iterator")
    expect(message(function() report.percentile("x", 101) end)).to.contain("0 to 100")
    expect(message(function() report.period("x", "decade") end)).to.contain("the period is year")
  end)
end)

describe("percentiles", function()
  it("are exact for few and near for many", function()
    for _, n in ipairs { 1, 2, 10, 1000, 1001, 50000 } do
      local list, q = numbers(n), quantile.new()
      for i, x in ipairs(list) do q:add(i % 3 == 0 and -x or x) end
      local sorted = {}
      for i, x in ipairs(list) do sorted[i] = i % 3 == 0 and -x or x end
      table.sort(sorted)
      for _, p in ipairs { 0, 0.01, 0.25, 0.5, 0.9, 0.99, 1 } do
        local rank = p * (n - 1)
        local a, b = sorted[math.floor(rank) + 1], sorted[math.ceil(rank) + 1]
        local got = q:value(p)
        expect(got).to.be_at_least(a - math.abs(a) * 0.00501 - 1e-9)
        expect(got).to.be_at_most(b + math.abs(b) * 0.00501 + 1e-9)
      end
      if n > 1000 then
        local classes = 0
        for _ in pairs(q.above) do classes = classes + 1 end
        expect(q.values).to.be_nil()
        expect(classes < 4000).to.equal(true)
      end
    end
    expect(quantile.new():value(0.5)).to.be_nil()
  end)
end)

describe("funnels", function()
  it("count who has come so far", function()
    local list = {}
    for stage, n in pairs { lead = 4, mql = 3, customer = 1, other = 2 } do
      for _ = 1, n do list[#list + 1] = { stage = stage } end
    end
    local t = report.read(list, report.funnel { stages = { "lead", "mql", "customer" }, at = "stage", names = { mql = "MQL" } })
    expect(t.rows).to.equal { { "lead", 8, 1.0, 1.0 }, { "MQL", 4, 0.5, 0.5 }, { "customer", 1, 0.25, 0.125 } }
    expect(t.notes).to.equal { "2 records are at none of these stages" }
    local empty = report.read({}, report.funnel { stages = { "a", "b" }, at = "stage" })
    expect(empty.rows[2]).to.equal { "b", 0, json.null, json.null }
  end)

  it("count by dates and tests", function()
    local t = report.read({ { a = "2026-01-01" }, { a = "2026-01-02", n = 3 }, { a = "" } }, report.funnel { stages = {
      { "Asked", "a" }, { "Bought", function(r) return (r.n or 0) > 2 end } } })
    expect(t.rows).to.equal { { "Asked", 2, 1.0, 1.0 }, { "Bought", 1, 0.5, 0.5 } }
  end)
end)

describe("cohorts", function()
  it("tell how many came to something, period by period, and not what is not over yet", function()
    -- It is September 2026.
    local list = {
      { from = "2026-06-30T23:00:00Z", to = "2026-07-01T01:00:00Z" }, { from = "2026-06-01" }, { from = "2026-06-02", to = "2026-06-03" },
      { from = "2026-06-05", to = "2026-09-01" }, { from = "2026-08-31", to = "2026-09-01" }, { from = "2026-08-01" }, {
        from = "" }, { from = "?" },
    }
    local t = report.read(list, report.cohorts { from = "from", to = "to", period = "month", periods = 4 })
    expect(t.rows).to.equal { { "2026-06", 4, 0.25, 0.5, 0.5, 0.75 }, { "2026-08", 2, 0.0, 0.5, json.null, json.null } }
    expect(t.notes[1]).to.contain('1 value of from could not be read')
    local weeks = report.read({ { from = "2026-08-30", to = "2026-08-31" } }, report.cohorts { from = "from", to = "to",
      period = "week", periods = 2 })
    expect(weeks.rows[1]).to.equal { "2026-08-24", 1, 0.0, 1.0 }
  end)
end)

describe("tables", function()
  local function sample(first)
    return report.table { title = "Sales", columns = { { label = "Who", kind = "text" }, { label = "Sum", kind = "number" },
      { label = "Share", kind = "percent" } }, rows = { { first, 1234567.891, 0.5 }, { "日本 💶", -12, json.null } }, total = {
        "Total", 1234555.9, 1 } }
  end

  it("are aligned, whatever characters they hold", function()
    local lines = {}
    for line in sample("Zoe\u{301}"):text { width = 80 }:gmatch("[^\n]+") do lines[#lines + 1] = line end
    expect(lines).to.equal {
      "Sales",
      "Who               Sum   Share",
      "───────  ────────────  ──────",
      "Zoe\u{301}      1,234,567.89   50.0%",
      "日本 💶           -12       –",
      "───────  ────────────  ──────",
      "Total    1,234,555.90  100.0%",
    }
  end)

  it("fit the terminal", function()
    for width = 34, 60 do
      for line in sample(("very long name 名 "):rep(8)):text { width = width }:gmatch("[^\n]+") do
        expect(text.width(line)).to.be_at_most(width)
      end
    end
    expect(sample(("x"):rep(80)):text { width = 40 }).to.contain("xx…")
  end)

  it("hold nothing that steers a terminal", function()
    local shown = sample("a\27[2Jb\nc\u{9b}d\u{202e}e\xff"):text { width = 80 }
    expect(shown:find("[\27\155\xff]")).to.be_nil()
    expect(shown).to_not.contain("\u{202e}")
    expect(select(2, shown:gsub("\n", ""))).to.equal(6)
  end)

  it("are CSV and JSON", function()
    expect(sample("=1+1, \"x\""):csv()).to.equal("Who,Sum,Share\r\n\"'=1+1, \"\"x\"\"\",1234567.891,0.5\r\n日本 💶,-12,\r\n")
    local got = json.decode(sample("Ann"):json())
    expect(got.rows[1]).to.equal { Who = "Ann", Sum = 1234567.891, Share = 0.5 }
    expect(got.rows[2].Share).to.equal(json.null)
    expect(got.total.Sum).to.equal(1234555.9)
    expect(got.columns).to.equal { "Who", "Sum", "Share" }
  end)

  it("survive a step", function()
    local t = report.read(DEALS, report.group { by = "dealstage", report.count(), report.average("amount") })
    local again = report.table(json.decode(json.encode(t)))
    expect(again:text { width = 80 }).to.equal(t:text { width = 80 })
    expect(report.page { title = "x", again }).to.equal(report.page { title = "x", t })
  end)
end)

describe("the page", function()
  local evil = "</td><script>alert(1)</script>\"'&<img src=x onerror=y>"

  local function page(chart)
    local t = report.read({ { n = evil, v = 3 }, { n = "b", v = -1 }, { n = "c" } },
      report.group { title = evil, by = report.named("n", {}, evil), report.count(evil), report.sum("v", "Sum " .. evil) })
    t.notes[1] = evil
    return report.page { title = evil, intro = evil, t, t:section { title = evil, chart = chart, value = "Sum " .. evil } }
  end

  it("escapes everything and loads nothing", function()
    for _, chart in ipairs { "bar", "line", "funnel", "heat" } do
      local out = page(chart)
      for tag in out:gsub("<style>.-</style>", ""):gmatch("<%s*/?%s*([%w!]*)") do
        expect((" html head meta title style body h1 h2 p div table thead tbody tfoot tr th td svg text rect line path circle ")
          :find(" " .. tag .. " ", 1, true) ~= nil or tag == "!doctype").to.equal(true)
      end
      expect(out).to_not.contain("<img")
      expect(out:find("%son%w+%s*=%s*[\"']")).to.be_nil()
      expect(out:find("https?://")).to.be_nil()
      expect(out:find("url%(")).to.be_nil()
      expect(out:find("%sstyle=")).to.be_nil()
      expect(out).to.contain("&lt;/td&gt;&lt;script&gt;alert(1)")
    end
  end)

  it("has a policy that allows its own style only", function()
    local out = page("bar")
    local style = out:match("<style>(.-)</style>")
    expect(out:match("default%-src 'none'; style%-src 'sha256%-([%w+/=]+)'")).to.equal(crypto.sha256(style, "base64"))
  end)

  it("draws what the numbers say", function()
    local t = report.read({ { n = "a", v = 4 }, { n = "b", v = 1 }, { n = "c" } }, report.group { by = "n", report.sum("v",
      "V"), total = false })
    local widths = {}
    for w in report.page { title = "x", t:section { chart = "bar" } }:gmatch('<rect class="b"[^>]- width="([%d.]+)"') do
      widths[#widths + 1] = tonumber(w) end
    expect(widths).to.equal { 480, 120, 0 }
    local line = report.page { title = "x", t:section { chart = "line", value = "V" } }
    expect(line).to.contain('d="M80.0 12.0L410.0 162.0L740.0 212.0"')
    local cohort = report.read({ { f = "2026-08-01", t = "2026-08-02" } }, report.cohorts { from = "f", to = "t",
      period = "month", periods = 1 })
    expect(report.page { title = "x", cohort:section { chart = "heat" } }).to.contain('<td class="n h10">100.0%</td>')
    expect(report.page { title = "x", report.read({}, report.group { by = "n", report.count() }):section {
      chart = "line" } }).to.contain("<tfoot>")
  end)

  -- The points of a line chart: { label or false, y or nil }, by the places of its path and its circles.
  local function drawn(t, value)
    local out = report.page { title = "x", t:section { chart = "line", value = value } }
    local ys, labels = {}, {}
    for x, y in out:gmatch('<circle class="b" cx="([%d.]+)" cy="([%d.]+)"') do ys[#ys + 1] = x .. " " .. y end
    for label in out:gmatch('text%-anchor="middle">([^<]*)<') do labels[#labels + 1] = label end
    return ys, labels, out:match('<path class="l" d="([^"]*)"')
  end

  it("draws a line through 0 where a period has no record, and a gap where there is no average", function()
    local records = { { at = "2026-11-30", v = 2 }, { at = "2027-02-01", v = 4 }, { at = "2027-01-31", v = 4 }, { v = 9 } }
    local t = report.read(records, report.group { by = report.period("at", "month"), report.count("N"), report.sum("v", "Sum"),
      report.average("v", "Mean") })
    local before, csv_before = t:text(), t:csv()
    local ys, labels, path = drawn(t, "N")
    expect(labels).to.equal { "2026-11", "2026-12", "2027-01", "2027-02" }
    expect(ys).to.equal { "80.0 12.0", "300.0 212.0", "520.0 12.0", "740.0 12.0" }
    expect(path).to.equal("M80.0 12.0L300.0 212.0L520.0 12.0L740.0 12.0")
    expect(#drawn(t, "Sum")).to.equal(4)
    ys, labels, path = drawn(t, "Mean")
    expect(#labels).to.equal(4)
    expect(#ys).to.equal(3)
    expect(path).to.equal("M80.0 112.0M520.0 12.0L740.0 12.0")
    expect({ t:text(), t:csv() }).to.equal { before, csv_before }
    expect(#t.rows).to.equal(4)   -- with the one that has no date
    t = report.table(json.decode(json.encode { columns = t.columns, rows = t.rows }))   -- as a step gives it back
    expect(#drawn(t, "N")).to.equal(4)
  end)

  it("knows the period after each", function()
    local function labels(period, from, to, options)
      local records = { { at = from }, { at = to } }
      local spec = { by = report.period("at", period, options), report.count() }
      return select(2, drawn((report.read(records, report.group(spec))), "Count"))
    end
    expect(labels("day", "2028-02-28", "2028-03-02")).to.equal { "2028-02-28", "2028-02-29", "2028-03-01", "2028-03-02" }
    expect(labels("week", "2026-12-24", "2027-01-12")).to.equal { "2026-12-21", "2026-12-28", "2027-01-04", "2027-01-11" }
    expect(labels("quarter", "2026-05-01", "2027-02-01")).to.equal { "2026-Q2", "2026-Q3", "2026-Q4", "2027-Q1" }
    expect(labels("year", "2026-05-01", "2029-02-01")).to.equal { "2026", "2027", "2028", "2029" }
    -- The night in which Berlin's clocks go back and a day has 25 hours.
    expect(labels("day", "2026-10-24T10:00:00Z", "2026-10-26T10:00:00Z", { tz = "Europe/Berlin" }))
      .to.equal { "2026-10-24", "2026-10-25", "2026-10-26" }
    -- One record with a year that is wrong makes no page of millions.
    expect(labels("day", "2026-10-24", "9026-10-26")).to.equal { "2026-10-24", "9026-10-26" }
  end)

  it("fills no periods that are there but not shown", function()
    local records = {}
    for i, day in ipairs { 1, 2, 2, 3, 4, 4 } do records[i] = { at = ("2026-10-%02d"):format(day) } end
    local top = report.read(records, report.group { by = report.period("at", "day"), report.count(), order = "Count", top = 2 })
    expect(select(2, drawn(top, "Count"))).to.equal { "2026-10-02", "2026-10-04" }
    local all = report.read(records, report.group { by = report.period("at", "day"), report.count(), order = "Count" })
    expect(select(2, drawn(all, "Count"))).to.equal { "2026-10-01", "2026-10-02", "2026-10-03", "2026-10-04" }
    local two = report.read(records, report.group { by = { report.period("at", "day"), "at" }, report.count() })
    expect(#drawn(two, "Count")).to.equal(4)
    local open = report.read(records, report.cohorts { from = "at", to = "end", period = "day", periods = 1 })
    expect(#drawn(open, "Records")).to.equal(4)
  end)

  it("says what is wrong with a section", function()
    local t = report.read(DEALS, report.group { by = "dealstage", report.count() })
    expect(message(function() report.page { title = "x", t:section {
      chart = "pie" } } end)).to.match("report_test.lua:%d+: report.page: chart \"pie\"")
    expect(message(function() report.page { title = "x", t:section { chart = "bar",
      value = "Sum" } } end)).to.contain('the table has no column "Sum"')
    expect(message(function() report.page { title = "x", "text" } end)).to.contain("section 1 is no table")
  end)
end)
