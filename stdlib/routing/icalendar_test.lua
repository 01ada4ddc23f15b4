local icalendar = require "routing.icalendar"

local WINDOW <const> = { from = time.parse "2026-11-20T00:00:00Z", to = time.parse "2027-03-01T00:00:00Z", tz = "Europe/Berlin" }

local function calendar(...)
  local lines = { "BEGIN:VCALENDAR", "VERSION:2.0" }
  for i, event in ipairs { ... } do
    lines[#lines + 1] = ("BEGIN:VEVENT\r\nUID:%s\r\n%s\r\nEND:VEVENT"):format(event:match("UID:(%w+)") or i, (event:gsub("\n", "\r\n")))
  end
  lines[#lines + 1] = "END:VCALENDAR\r\n"
  return table.concat(lines, "\r\n")
end

-- "2026-11-25T08:00 +60" for a span of an hour, "2026-12-24..2026-12-26" for days.
local function busy(...)
  local found, rest = icalendar.busy(calendar(...), WINDOW)
  if not found then return rest end
  local list = {}
  for _, d in ipairs(found.days) do list[#list + 1] = d.from == d.to and d.from or d.from .. ".." .. d.to end
  for _, s in ipairs(found.spans) do list[#list + 1] = ("%s +%d"):format(time.iso(s.from):sub(1, 16), (s.to - s.from) // 60000) end
  table.sort(list)
  if rest > 0 then list[#list + 1] = rest .. " skipped" end
  return table.concat(list, ", ")
end

describe("an event", function()
  it("is in UTC, in a zone, in none, of whole days, with an end or a duration, folded or with alarms", function()
    expect(busy "DTSTART:20261125T080000Z\nDTEND:20261125T090000Z").to.equal("2026-11-25T08:00 +60")
    expect(busy "DTSTART;TZID=America/New_York:20261125T080000\nDURATION:PT1H30M").to.equal("2026-11-25T13:00 +90")
    expect(busy 'DTSTART;TZID="W. Europe Standard Time":20261125T080000\nDURATION:P1DT1H').to.equal("2026-11-25T07:00 +1500")
    expect(busy "DTSTART;TZID=/a.example/Asia/Tokyo:20261125T090000\nDURATION:PT1H").to.equal("2026-11-25T00:00 +60")
    expect(busy "DTSTART:20261125T080000\nDTEND:20261125T090000").to.equal("2026-11-25T07:00 +60")
    expect(busy "DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227").to.equal("2026-12-24..2026-12-26")
    expect(busy "DTSTART;VALUE=DATE:20261224").to.equal("2026-12-24")
    expect(busy "DTSTART:202611\n 25T080000Z\nSUMMARY:a\nDTEND:20261125T083000Z").to_not.equal("")
    expect(icalendar.busy(calendar "X:1":gsub("X:1", "DTSTART:20261125T08\r\n 0000Z\r\nDURATION:PT\r\n\t5M"), WINDOW).spans[1].to)
      .to.equal(time.parse "2026-11-25T08:05:00Z")
    expect(busy "BEGIN:VALARM\nDTSTART:20261201T080000Z\nEND:VALARM\nDTSTART:20261125T080000Z\nDURATION:PT1M")
      .to.equal("2026-11-25T08:00 +1")
  end)

  it("is no absence when it is cancelled, blocks no time, lasts none or lies elsewhere", function()
    for _, more in ipairs { "STATUS:CANCELLED", "TRANSP:TRANSPARENT", "X-MICROSOFT-CDO-BUSYSTATUS:FREE" } do
      expect(busy("DTSTART;VALUE=DATE:20261224\n" .. more)).to.equal("")
    end
    expect(busy "DTSTART:20261125T080000Z").to.equal("")
    expect(busy("DTSTART:20260125T080000Z\nDURATION:PT1H", "DTSTART:20270401T080000Z\nDURATION:PT1H")).to.equal("")
    expect(busy "DTSTART;VALUE=DATE:20261224\nTRANSP:OPAQUE\nSTATUS:CONFIRMED").to.equal("2026-12-24")
    expect(busy "DTSTART;VALUE=DATE:20261001\nDTEND;VALUE=DATE:20270401").to.equal("2026-10-01..2027-03-31")   -- began before
  end)
end)

describe("what repeats", function()
  local function rule(text, more) return busy("DTSTART;VALUE=DATE:20261123\nRRULE:" .. text .. (more or "")) end

  it("does so by day, week, month and year, to an end", function()
    expect(rule "FREQ=DAILY;COUNT=3").to.equal("2026-11-23, 2026-11-24, 2026-11-25")
    expect(rule "FREQ=DAILY;INTERVAL=2;UNTIL=20261127").to.equal("2026-11-23, 2026-11-25, 2026-11-27")
    expect(rule "FREQ=DAILY;BYDAY=MO;COUNT=2").to.equal("2026-11-23, 2026-11-30")
    expect(rule "FREQ=WEEKLY;BYDAY=MO,FR;COUNT=4").to.equal("2026-11-23, 2026-11-27, 2026-11-30, 2026-12-04")
    expect(rule "FREQ=WEEKLY;INTERVAL=2;COUNT=2").to.equal("2026-11-23, 2026-12-07")
    expect(rule "FREQ=MONTHLY;UNTIL=20270124T000000Z").to.equal("2026-11-23, 2026-12-23, 2027-01-23")
    expect(rule "FREQ=MONTHLY;BYDAY=-1FR;COUNT=2").to.equal("2026-11-27, 2026-12-25")
    expect(rule "FREQ=MONTHLY;BYDAY=2TU;COUNT=2").to.equal("2026-12-08, 2027-01-12")
    expect(rule "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=2").to.equal("2026-11-30, 2026-12-31")
    expect(rule "FREQ=MONTHLY;BYMONTHDAY=31;COUNT=2").to.equal("2026-12-31, 2027-01-31")
    expect(rule "FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=2").to.equal("2026-11-30, 2026-12-31")
    expect(rule "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24,25;COUNT=2").to.equal("2026-12-24, 2026-12-25")
    expect(busy "DTSTART;VALUE=DATE:19991231\nRRULE:FREQ=YEARLY").to.equal("2026-12-31")
    expect(busy "DTSTART;VALUE=DATE:20240229\nRRULE:FREQ=YEARLY").to.equal("")
    expect(busy "DTSTART:20000103T090000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;UNTIL=20261201T000000Z")
      .to.equal("2026-11-23T09:00 +60, 2026-11-30T09:00 +60")
  end)

  it("keeps its time of day when the clocks change, and leaves out what was taken out or moved", function()
    local text = calendar "DTSTART;TZID=America/New_York:20261030T090000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=2"
    local spans = icalendar.busy(text, { from = time.parse "2026-10-01T00:00:00Z", to = WINDOW.to, tz = "UTC" }).spans
    expect({ time.iso(spans[1].from), time.iso(spans[2].from) }).to.equal { "2026-10-30T13:00:00.000Z", "2026-11-06T14:00:00.000Z" }
    expect(rule("FREQ=DAILY;COUNT=4", "\nEXDATE;VALUE=DATE:20261124,20261126")).to.equal("2026-11-23, 2026-11-25")
    local daily = "UID:daily\nDTSTART:20261125T080000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3"
    expect(busy(daily .. "\nEXDATE:20261126T080000Z")).to.equal("2026-11-25T08:00 +60, 2026-11-27T08:00 +60")
    expect(busy(daily, "UID:daily\nRECURRENCE-ID:20261126T080000Z\nDTSTART:20261126T120000Z\nDURATION:PT2H"))
      .to.equal("2026-11-25T08:00 +60, 2026-11-26T12:00 +120, 2026-11-27T08:00 +60")
    expect(busy(daily, "UID:daily\nRECURRENCE-ID:20261126T080000Z\nDTSTART:20261126T120000Z\nDURATION:PT2H\nSTATUS:CANCELLED"))
      .to.equal("2026-11-25T08:00 +60, 2026-11-27T08:00 +60")
  end)
end)

describe("hostile text", function()
  it("is refused, or left out and counted", function()
    for _, text in ipairs { "", "<html>", "VCALENDAR", "BEGIN:VEVENT" } do
      expect(select(2, icalendar.busy(text, WINDOW))).to.equal("no iCalendar")
    end
    expect(select(2, icalendar.busy("BEGIN:VCALENDAR" .. (" "):rep(1 << 20), WINDOW))).to.equal("larger than 1 MiB")
    for _, event in ipairs { "X:1", "DTSTART:tomorrow", "DTSTART:20261340", "DTSTART:99991231T000000Z\nDURATION:PT1H",
      "DTSTART:20261125T250000Z\nDURATION:PT1H", "DTSTART;VALUE=DATE:20261125\nDTEND:20261125T000000Z", "DTSTART:20261125\nDURATION:-P1D",
      "DTSTART:20261125\nDURATION:P99999999999999999999D", "DTSTART:20261125\nDTEND:20261101" } do
      expect(busy(event)).to.equal("1 skipped")
    end
    for _, rule in ipairs { "FREQ=SECONDLY", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;COUNT=-1", "FREQ=YEARLY;BYDAY=1MO", "nonsense", "",
      "FREQ=MONTHLY;BYMONTHDAY=0", "FREQ=DAILY;BYHOUR=1", "FREQ=WEEKLY;BYDAY=XX", "FREQ=DAILY;UNTIL=never" } do
      expect(busy("DTSTART:20261125\nRRULE:" .. rule)).to.match("1 skipped$")
    end
  end)

  it("does not cost more than a bound", function()
    local old = "DTSTART:19700101\nRRULE:FREQ=DAILY;COUNT=99999999"
    expect(busy(old, old)).to.equal("events that repeat too often")
    expect(busy "DTSTART:20261125T000000Z\nDURATION:PT1M\nRRULE:FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30").to.equal("")
    expect(busy "DTSTART:20261125T000000Z\nDURATION:PT1M\nRRULE:FREQ=DAILY;INTERVAL=9999").to.equal("2026-11-25T00:00 +1")
    local many = {}
    for i = 1, 3000 do many[i] = "DTSTART:20261125T000000Z\nDURATION:PT1M" end
    expect(busy(table.unpack(many))).to.equal("more than 2000 busy times")
    for i = 1, 500 do many[i] = "DTSTART:20000101\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30" end
    expect(busy(table.unpack(many, 1, 500))).to.equal("events that repeat too often")
    local bytes = {}
    for i = 1, 2000 do bytes[i] = string.char(math.random(1, 255)) end
    expect(type(icalendar.busy("BEGIN:VCALENDAR\nBEGIN:VEVENT\n" .. table.concat(bytes), WINDOW))).to.equal("table")
    expect(busy(("BEGIN:X\n"):rep(5000) .. "DTSTART:20261125")).to.equal("")
  end)
end)
