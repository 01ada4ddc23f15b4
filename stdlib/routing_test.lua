local rotation = require "routing.rotation"

local TURN <const> = rotation.TURN

local function members_of(weights)
  local list = {}
  for i, weight in ipairs(weights) do list[i] = { key = "o" .. i, weight = weight } end
  return list
end

-- Picks n times from lags that it changes; counts by key.
local function pick_many(members, lag, n, order)
  local count = {}
  for _ = 1, n do
    local index, delta = rotation.pick(members, function(key) return lag[key] or 0 end)
    rotation.add(lag, delta, 1)
    local key = members[index].key
    count[key] = (count[key] or 0) + 1
    if order then order[#order + 1] = key end
  end
  return count
end

-- Picks n times; who is eligible may change before each. The furthest that anybody was from its share, in turns. The
-- share is counted here, apart from the lags.
local function worst_of(members, n, eligible_at)
  local share, count, lag, worst = {}, {}, {}, 0
  for t = 1, n do
    local eligible, total = eligible_at(t), 0
    for _, m in ipairs(eligible) do total = total + m.weight end
    for _, m in ipairs(eligible) do share[m.key] = (share[m.key] or 0) + m.weight / total end
    for key, k in pairs(pick_many(eligible, lag, 1)) do count[key] = (count[key] or 0) + k end
    for _, m in ipairs(members) do
      worst = math.max(worst, math.abs((share[m.key] or 0) - (count[m.key] or 0)))
    end
  end
  return worst
end

describe("the rotation", function()
  it("lets nobody have its turns in a burst", function()
    local order = {}
    pick_many(members_of { 2, 1 }, {}, 6, order)
    expect(table.concat(order, " ")).to.equal("o1 o2 o1 o1 o2 o1")
    order = {}
    pick_many(members_of { 10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, {}, 6, order)
    expect(table.concat(order, " ")).to.equal("o1 o2 o1 o3 o1 o4")
  end)

  it("keeps every share within one turn of its weight, whatever the weights", function()
    for _ = 1, 40 do
      local weights = {}
      for i = 1, math.random(2, 12) do weights[i] = math.random(1, 9) end
      local members = members_of(weights)
      local worst = worst_of(members, 300, function() return members end)
      if worst > 1 + 1e-6 then error(("weights %s: off by %.3f"):format(table.concat(weights, ","), worst)) end
    end
  end)

  it("does so with heavy members among many light ones, where the largest lag would not do", function()
    for light = 4, 40, 4 do
      local weights = { 50, 30 }
      for i = 3, light + 2 do weights[i] = 1 end
      local members = members_of(weights)
      expect(worst_of(members, 400, function() return members end)).to.be_at_most(1 + 1e-6)
    end
  end)

  it("keeps it within two when others are eligible at each pick", function()
    for _ = 1, 12 do
      local weights = {}
      for i = 1, math.random(3, 12) do weights[i] = math.random(1, 9) end
      local members = members_of(weights)
      expect(worst_of(members, 500, function(t)
        local some = {}
        for _, m in ipairs(members) do
          if math.random() < (t % 100 < 50 and 0.3 or 0.7) then some[#some + 1] = m end
        end
        return #some > 0 and some or members
      end)).to.be_at_most(2)
    end
  end)

  it("forgets a pick that is taken back, in any order", function()
    local members, lag, deltas = members_of { 3, 2, 2 }, {}, {}
    for i = 1, 50 do
      local _, delta = rotation.pick(members, function(key) return lag[key] or 0 end)
      rotation.add(lag, delta, 1)
      deltas[i] = delta
    end
    while #deltas > 0 do
      rotation.add(lag, table.remove(deltas, math.random(#deltas)), -1)
    end
    expect(next(lag)).to.be_nil()
  end)

  it("goes on fairly when members come and go", function()
    local lag = {}
    pick_many(members_of { 5, 3, 2 }, lag, 7)
    local stored = { lag = lag, counts = { ["o1 day"] = { period = "2026-09-01", n = 4 } } }
    local now = { { key = "o2", weight = 1 }, { key = "o3", weight = 1 }, { key = "new", weight = 2 } }
    local state = rotation.fit(stored, now)
    expect(state.lag.o1).to.be_nil()
    expect(next(state.counts)).to.be_nil()
    local count = pick_many(now, state.lag, 400)
    expect(math.abs(count.new - 200)).to.be_at_most(1)
    expect(math.abs(count.o2 - 100)).to.be_at_most(1)
  end)

  it("takes over what was stored in weights", function()
    local day = { period = "2026-09-01", n = 4 }
    local members = members_of { 3, 1 }
    members[1].caps = { { per = "day", count = 9 }, { per = "week", count = 20 } }
    local state = rotation.fit({ current = { o1 = 2, o2 = -2 }, counts = { o1 = day } }, members)
    expect(state).to.equal { lag = { o1 = TURN // 2, o2 = -TURN // 2 }, counts = { ["o1 day"] = day } }
  end)

  it("counts in the newest period only", function()
    local counts = {}
    rotation.count(counts, "o1", "2026-09-01")
    rotation.count(counts, "o1", "2026-09-01")
    expect(counts.o1.n).to.equal(2)
    rotation.count(counts, "o1", "2026-09-02")
    rotation.count(counts, "o1", "2026-09-01")   -- a handler that began before midnight
    expect(counts.o1.period).to.equal("2026-09-02")
    expect(counts.o1.n).to.equal(1)
  end)
end)

describe("the calendar", function()
  local calendar = require "routing.calendar"

  local function who(fields)
    fields.hours = fields.hours and calendar.hours(fields.hours)
    fields.tz = fields.tz or "UTC"
    fields.away = calendar.dates(fields.away or {})
    fields.holidays = calendar.dates(fields.holidays or {})
    return fields
  end
  local function off(w, at) return calendar.off(w, time.parse(at)) end
  local function next_work(w, at) return time.iso(calendar.next_work(w, time.parse(at))) end

  it("knows who works, in their own time zone", function()
    local ana = who { hours = "Mon-Fri 09:00-17:00", tz = "America/New_York" }
    expect(off(ana, "2026-11-25T14:00:00Z")).to.be_nil()                       -- 9:00 on a Wednesday
    expect(off(ana, "2026-11-25T13:59:59Z")).to.equal("off work (Mon-Fri 09:00-17:00 America/New_York)")
    expect(off(ana, "2026-11-25T22:00:00Z")).to.match("off work")
    expect(off(ana, "2026-11-28T15:00:00Z")).to.match("off work")               -- Saturday
    expect(off(ana, "2026-07-01T13:00:00Z")).to.be_nil()                       -- summer time
    local split = who { hours = "Mon-Thu 9:00-12:00,13:00-17:00, Fri,Sun 09:00-24:00" }
    expect(off(split, "2026-11-25T12:30:00Z")).to.match("off work")
    expect(off(split, "2026-11-25T13:00:00Z")).to.be_nil()
    expect(off(split, "2026-11-27T23:59:00Z")).to.be_nil()
    expect(off(split, "2026-11-28T00:00:00Z")).to.match("off work")
    local night = who { hours = "Sat 22:00-06:00" }
    expect(off(night, "2026-11-28T23:00:00Z")).to.be_nil()
    expect(off(night, "2026-11-29T05:59:00Z")).to.be_nil()
    expect(off(night, "2026-11-28T05:00:00Z")).to.match("off work")
    local around = who { hours = "Fri-Mon 10:00-11:00" }
    expect(off(around, "2026-11-30T10:30:00Z")).to.be_nil()
    expect(off(around, "2026-12-01T10:30:00Z")).to.match("off work")
  end)

  it("knows days off by the date where they are", function()
    local kim = who { tz = "Asia/Tokyo", away = { "2026-12-24..2027-01-02" }, holidays = { "2026-11-23" } }
    expect(off(kim, "2026-12-23T14:59:00Z")).to.be_nil()
    expect(off(kim, "2026-12-23T15:00:00Z")).to.equal("away 2026-12-24..2027-01-02")
    expect(off(kim, "2027-01-02T15:00:00Z")).to.be_nil()
    expect(off(kim, "2026-11-23T00:00:00Z")).to.equal("holiday 2026-11-23")
  end)

  it("reads what a property says of absences", function()
    local function absent(value, at, tz)
      local said, until_ms = calendar.absent(calendar.absence(value), time.parse(at), tz or "UTC", "HubSpot")
      return said and ("%s | %s"):format(said, until_ms and time.iso(until_ms))
    end
    local at = "2026-11-25T10:00:00Z"
    for _, value in ipairs { "", " ", "available", "AVAILABLE", "[]", "2026-11-24, 2026-11-26" } do
      expect(absent(value, at)).to.be_nil()
    end
    expect(absent("Away", at)).to.equal("away (HubSpot) | nil")
    local span = ('[{"startTimestamp":%d,"endTimestamp":"%d"}]'):format(
      time.parse "2026-11-25T09:00:00Z", time.parse "2026-11-25T11:00:00Z")
    expect(absent(span, at)).to.equal("away (HubSpot) until 2026-11-25T11:00:00.000Z | 2026-11-25T11:00:00.000Z")
    expect(absent(span, "2026-11-25T11:00:00Z")).to.be_nil()
    expect(absent("2026-11-20..2026-11-25; 2027-01-01", at, "Asia/Tokyo"))
      .to.equal("away (HubSpot) 2026-11-20..2026-11-25 | 2026-11-25T15:00:00.000Z")
    for value, wrong in pairs { ["on holiday"] = '"on" is no date', ["[1]"] = "no list of startTimestamp and endTimestamp",
      ["[{"] = "no list of startTimestamp and endTimestamp", ["2026-13-01"] = '"2026-13-01" is no date' } do
      local _, said = calendar.absence(value)
      expect(said).to.equal(wrong)
    end
  end)

  it("finds the next moment of work", function()
    local ana = who { hours = "Mon-Fri 09:00-17:00", tz = "America/New_York", away = { "2026-11-30..2026-12-01" },
      holidays = { "2026-12-02" } }
    expect(next_work(ana, "2026-11-27T15:00:00Z")).to.equal("2026-11-27T15:00:00.000Z")
    expect(next_work(ana, "2026-11-27T22:00:00Z")).to.equal("2026-12-03T14:00:00.000Z")
    local early = who { hours = "Sun 08:00-09:00", tz = "Europe/Berlin" }       -- summer time begins and ends on a Sunday
    expect(next_work(early, "2026-03-28T12:00:00Z")).to.equal("2026-03-29T06:00:00.000Z")
    expect(next_work(early, "2026-10-24T12:00:00Z")).to.equal("2026-10-25T07:00:00.000Z")
    expect(next_work(who { away = { "2026-11-27" } }, "2026-11-27T22:00:00Z")).to.equal("2026-11-28T00:00:00.000Z")
    expect(calendar.next_work(who { away = { "2026-01-01..2027-12-31" } }, time.parse("2026-02-01T00:00:00Z"))).to.be_nil()
  end)

  it("knows the periods of caps", function()
    for _, c in ipairs {
      { "hour", "2026-11-25T10:59:59Z", "2026-11-25T16", "2026-11-25T11:30:00.000Z", "Asia/Kolkata" },
      { "day", "2026-11-25T23:30:00Z", "2026-11-26", "2026-11-26T23:00:00.000Z", "Europe/Berlin" },
      { "month", "2026-12-31T23:30:00Z", "2027-01", "2027-01-31T23:00:00.000Z", "Europe/Berlin" },
      { "week", "2026-11-29T22:59:59Z", "week 002969", "2026-11-29T23:00:00.000Z", "Europe/Berlin" },
      { "week", "2026-11-29T23:00:00Z", "week 002970", "2026-12-06T23:00:00.000Z", "Europe/Berlin" },
    } do
      local at = time.parse(c[2])
      expect(calendar.period(c[1], at, c[5])).to.equal(c[3])
      expect(time.iso(calendar.next_period(c[1], at, c[5]))).to.equal(c[4])
    end
  end)
end)

describe("declaring", function()
  local routing = require "routing"

  it("says what is wrong with a pool", function()
    local function with(member)
      return function() routing.pool("bad", { members = { member } }) end
    end
    expect(with { owner = "nobody" }).to.raise("e%-mail or id")
    expect(with { owner = "a@b.de", wieght = 1 }).to.raise("no field wieght")
    expect(with { owner = "a@b.de", weight = 0 }).to.raise("whole number")
    expect(with { owner = "a@b.de", cap = 20 }).to.raise("cap must look like")
    expect(with { owner = "a@b.de", cap = { per = "year", count = 2 } }).to.raise("cap must look like")
    expect(function() routing.pool("bad", {}) end).to.raise("needs members")
    expect(function() routing.pool("bad", { members = { { owner = "a@b.de" }, { owner = "A@b.de" } } }) end)
        .to.raise("lists a@b.de twice")
    local function one_line(definition, said)
      local ok, err = pcall(function() routing.pool("bad", definition) end)
      expect(ok).to.be_false()
      expect(err).to.match("^routing_test.lua:%d+: ")
      expect(err:gsub("^[^ ]+ ", "")).to.equal(said)
    end
    one_line({ tz = "Mars/Base", members = { { owner = "a@b.de" } } },
      'pool "bad": "Mars/Base" is no time zone (one looks like "Europe/Berlin")')
    local bad = {
      { { weight = "2" }, 'weight must be a whole number from 1 to 1000, not "2"' },
      { { weight = -1 }, "weight must be a whole number from 1 to 1000, not -1" },
      { { tz = "Mars" }, '"Mars" is no time zone (one looks like "Europe/Berlin")' },
      { { hours = "Mon-Fri 09:00-17:00 Mars" }, 'hours: "Mars" is no time zone (one looks like "Europe/Berlin")' },
      { { hours = "Mon-Fri 09:00-17:00 Europe/Rome", tz = "Europe/Oslo" }, "tz says Europe/Oslo and hours say Europe/Rome" },
      { { away = { "2026-02-30" } },
        'away must look like { "2026-12-25", "2026-12-24..2027-01-02" }: "2026-02-30" is no date' },
      { { holidays = { "2026-03-02..2026-03-01" } }, 'holidays must look like { "2026-12-25", "2026-12-24..2027-01-02" }: '
        .. '"2026-03-02..2026-03-01" ends before it begins' },
      { { skills = "de" }, 'skills must look like { "de", "enterprise" }' },
      { { cap = { per = "day", count = 1, tz = "UTC" } }, "cap: there is no field tz (there are: count, per)" },
      { { cap = { { per = "day", count = 1 }, { per = "day", count = 2 } } }, "two caps a day" },
    }
    for text, wrong in pairs {
      ["Mon-Fri"] = "no times", ["09:00-17:00"] = 'no days for "09:00-17:00"',
      ["Mon 9-17"] = '"9-17" is neither days, times nor a time zone',
      ["Mon Tue 09:00-10:00"] = 'no times for the days before "Tue"', ["Mon 09:00-25:00"] =
        '"09:00-25:00" is neither days, times nor a time zone', ["Mon 09:00-10:00 UTC Tue"] = '"Tue" after the time zone',
      ["Mon 09:60-10:00"] = '"09:60-10:00" is neither days, times nor a time zone', [""] = "no times",
    } do
      bad[#bad + 1] = { { hours = text }, 'hours must look like "Mon-Fri 09:00-17:00 America/New_York": ' .. wrong }
    end
    for _, c in ipairs(bad) do
      c[1].owner = "A@b.de"
      one_line({ members = { c[1] } }, 'pool "bad", member 1 (a@b.de): ' .. c[2])
    end
    local one = { { owner = "a@b.de" } }
    one_line({ members = one, hold = "soon" }, 'pool "bad": hold must be a duration like "3d", not soon')
    one_line({ members = one, fallback = { "b@b.de", 1.5 } },
      'pool "bad": fallback must be an owner\'s e-mail or id, not 1.5')
  end)

  it("refuses a second pool of the same name", function()
    routing.pool("one", { members = { { owner = "a@b.de" } } })
    expect(function() routing.pool("one", { members = { { owner = "a@b.de" } } }) end).to.raise("declared twice")
  end)

  it("says what a company match needs", function()
    local ok, said = pcall(function() routing.match_account(true) end)
    expect(ok).to.equal(false)
    expect(said).to.match("^routing_test.lua:%d+: routing.match_account needs a record")
  end)

  it("says what is wrong with a territory", function()
    local pool = routing.pool("two", { members = { { owner = "a@b.de" } } })
    expect(function() routing.territory {} end).to.raise("needs default")
    expect(function() routing.territory { { countries = { "Mars" }, pool = pool }, default = pool } end)
        .to.raise("Mars.* is no country")
    expect(function()
      routing.territory {
        { countries = { "DE" }, pool = pool }, { countries = { "Germany" }, pool = pool }, default = pool,
      }
    end).to.raise("DE is already")
  end)
end)

describe("one load for many", function()
  local single = require "routing.single"

  it("runs once for all who come meanwhile", function()
    local runs = 0
    local load, running = single(function()
      runs = runs + 1
      task.sleep(1)
    end)
    local began, ended = time.now(), {}
    local list = {}
    for i = 1, 20 do
      list[i] = function()
        load()
        ended[i] = time.now() - began
      end
    end
    task.all(list)
    expect(runs).to.equal(1)
    for i = 1, 20 do expect(ended[i]).to.equal(1000) end
    expect(running()).to.be_false()
    load()
    expect(runs).to.equal(2)
  end)

  it("shares an error with all who wait, and tries again for the next", function()
    local runs = 0
    local load = single(function()
      runs = runs + 1
      task.sleep(1)
      if runs == 1 then error("away", 0) end
    end)
    local failed = 0
    task.map({ 1, 2, 3 }, function()
      local ok, err = pcall(load)
      if not ok and err == "away" then failed = failed + 1 end
    end)
    expect(failed).to.equal(3)
    expect(runs).to.equal(1)
    load()
    expect(runs).to.equal(2)
  end)

  it("goes on with a waiter when the one who loads is cancelled", function()
    local runs, loaded = 0, 0
    local load = single(function()
      runs = runs + 1
      task.sleep(5)
      loaded = loaded + 1
    end)
    local first = task.spawn(load)
    task.sleep(1)
    local others = { task.spawn(load), task.spawn(load) }
    task.sleep(1)
    first:cancel()
    for _, other in ipairs(others) do other:wait() end
    expect(runs).to.equal(2)
    expect(loaded).to.equal(1)
  end)
end)

describe("assign in a handler", function()
  local routing = require "routing"

  it("is a step: an attempt after it has the same pick, and the pick counts once", function()
    sim.start { owners = 2 }
    local emails = {}
    for i, owner in ipairs(sim.control("owners").results) do emails[i] = owner.email end
    local pool = routing.pool("kept", {
      members = {
        { owner = emails[1], cap = { per = "day", count = 9 } },
        { owner = emails[2], cap = { per = "day", count = 9 } },
      },
    })
    local picks = {}
    on("lead", { retries = 3 }, function()
      local first = pool:assign { id = "1" }
      local second = pool:assign { id = "1" }   -- the same lead again is another pick
      picks[#picks + 1] = first.owner_email .. " " .. second.owner_email
      if #picks < 3 then error("not yet") end
    end)
    emit("lead", {})
    sim.advance("1h")
    expect(#picks).to.equal(3)
    expect(picks[2]).to.equal(picks[1])
    expect(picks[3]).to.equal(picks[1])
    local counted = {}
    for i, m in ipairs(pool:standing()) do counted[i] = m.counted end
    expect(counted).to.equal { 1, 1 }
    expect(#sim.audit("routing")).to.equal(2)
  end)
end)
