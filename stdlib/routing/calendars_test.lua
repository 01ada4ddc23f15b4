-- Members whose calendars tell when they are away.
local routing = require "routing"

local names, by_id, asked, answer
local get = http.get

before_each(function()
  sim.start { owners = 3 }
  names, by_id, asked = {}, {}, 0
  for i, owner in ipairs(sim.control("owners").results) do names[i], by_id[owner.id] = owner.email, i end
  sim.advance((time.parse "2026-11-25T08:00:00Z" - time.now()) / 1000)
  -- The door itself is under test in route.test.mjs.
  http.get = function(url)   -- luacheck: ignore
    asked = asked + 1
    expect(tostring(url)).to.equal("[secret ANA_CALENDAR]")
    return answer()
  end
end)

after_each(function() http.get = get end)   -- luacheck: ignore

local function calendar(event)
  return { status = 200, body = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n" .. event .. "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n" }
end

local ANA = secret "ANA_CALENDAR"

local function leads(pool)
  local got = {}
  on("lead", { retries = 0, concurrency = 10 }, function(event)
    local pick = pool:assign { id = event.payload.id }
    got[event.payload.id] = by_id[pick.owner_id]
  end)
  return function(id)
    emit("lead", { id = id })
    sim.settle()
    return got[id]
  end
end

local function gate(id)
  for _, r in ipairs(sim.audit("routing")) do
    if r.key == "contact " .. id then return r.record.candidates[1].gate end
  end
end

describe("a calendar", function()
  it("keeps leads from who is away, and is read again every quarter of an hour; the last good answer counts", function()
    answer = function() return calendar "DTSTART:20261125T080000Z\r\nDTEND:20261125T100000Z" end
    local send = leads(routing.pool("away", { members = {
      { owner = names[1], away = { "2026-12-24", calendar = ANA } }, { owner = names[2] } } }))
    expect({ send "1", send "2" }).to.equal { 2, 2 }
    expect(gate "1").to.equal("away (calendar) until 2026-11-25T10:00:00.000Z")
    expect(asked).to.equal(1)                                      -- once for both
    answer = function() return { status = 500 } end
    sim.advance("31m")
    expect(asked).to.be_at_least(3)
    expect(send "3").to.equal(2)
    answer = function() return { status = 200, body = "<html>sign in</html>" } end
    sim.advance("16m")
    answer = function() error "the line is dead" end
    sim.advance("16m")
    expect(send "4").to.equal(2)
    answer = function() return calendar "DTSTART:20261125T130000Z\r\nDTEND:20261125T140000Z" end
    sim.advance("16m")
    expect(send "5").to.equal(1)
    sim.advance("4h")
    expect(send "6").to_not.be_nil()
  end)

  it("whose first answer fails counts as nothing, and holds no lead", function()
    answer = function() return { status = 404 } end
    local send = leads(routing.pool("away", { members = { { owner = names[1], away = { calendar = ANA } }, { owner = names[2] } } }))
    expect({ send "1", send "2" }).to.equal { 1, 2 }
    expect(asked).to.equal(1)
    answer = function() return calendar "DTSTART;VALUE=DATE:20261125" end
    sim.advance("16m")
    expect(send "3").to.equal(2)
    expect(gate "3").to.equal("away (calendar) 2026-11-25")
  end)

  it("says what to do when its address cannot be used", function()
    answer = function() return get(ANA) end
    leads(routing.pool("away", { members = { { owner = names[1], away = { calendar = ANA } } } })) "1"
    expect(sim.log()).to.contain("cannot be read (secret ANA_CALENDAR holds no https:// address, or is not set); until it can")
    answer = function() error { kind = "denied", message = "this script may not reach x.example" } end
    sim.advance("16m")
    expect(sim.log()).to.contain("its host is not permitted: permissions, hosts, in hubloop.lua, or --allow-host")
    answer = function() error { kind = "auth", message = "http: the secret ANA_CALENDAR is not set: export it" } end
    sim.advance("16m")
    expect(sim.log()).to.contain("cannot be read (the secret ANA_CALENDAR is not set: export it)")
  end)

  it("has days and times without a zone in the member's own", function()
    answer = function() return calendar "DTSTART:20261125T170000\r\nDURATION:PT2H" end
    local send = leads(routing.pool("zone", { hold = "3h", members = {
      { owner = names[1], tz = "Asia/Tokyo", away = { calendar = ANA } } } }))
    expect(send "1").to.be_nil()                                    -- 17:00 in Tokyo; held until it is over
    sim.advance("121m")
    expect(gate "1").to.equal("away (calendar) until 2026-11-25T10:00:00.000Z")
    expect(send "2").to.equal(1)
  end)

  it("has an address that the script may reach, or fails as it loads, in one line", function()
    local function said(away)
      local ok, err = pcall(routing.pool, "bad", { members = { { owner = "a@b.de", away = away } } })
      expect(ok).to.be_false()
      return (tostring(err):gsub("^.-member 1 %(a@b.de%): ", ""))
    end
    expect(said { calendar = "calendar" }).to.contain("away: calendar: not an absolute http(s) URL")
    expect(said { calendar = "https://calendar.example.com/private/a.ics" })
      .to.match("^away: calendar: this script may not reach calendar.example.com: ")
    expect(said { calendar = "https://calendar.example.com/private/a.ics" }).to_not.contain("private")
    expect(said { calendar = "ftp://calendar.example.com/a.ics" }).to.contain("only http and https are possible")
    expect(said { calendar = "https://me:pw@calendar.example.com/a.ics" }).to.contain("cannot carry a user name")
    expect(said { calendar = 7 }).to.equal('away: calendar must be a URL or secret "NAME"')
    expect(said { url = ANA }).to.equal("away: there is no field url (there are dates, and calendar)")
  end)
end)
