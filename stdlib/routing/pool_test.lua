-- Pools in handlers: who is gated and why, fallbacks, holding, and shares.
local routing = require "routing"

local names        -- e-mails of the account's owners
local by_id

before_each(function()
  sim.start { owners = 8 }
  names, by_id = {}, {}
  for i, owner in ipairs(sim.control("owners").results) do names[i], by_id[owner.id] = owner.email, i end
end)

-- A handler of "lead" events that assigns in the pool; what it was told, by the lead's id.
local function assign_in(pool, options, type)
  local got = {}
  on(type or "lead", { concurrency = 100, retries = 0 }, function(event)
    local ok, pick = pcall(function()
      return (pool:assign({ id = tostring(event.payload.id) }, event.payload.options or options))
    end)
    got[event.payload.id] = ok and by_id[pick.owner_id] or pick
  end)
  return got
end

local function lead(id, options, type)
  emit(type or "lead", { id = id, options = options })
  sim.settle()
end

local function records(id)
  local list = {}
  for _, r in ipairs(sim.audit("routing")) do
    if r.key == "contact " .. id then list[#list + 1] = r.record end
  end
  return list
end

-- Virtual time goes to that moment, which is ahead.
local function go_to(iso) sim.advance((time.parse(iso) - time.now()) / 1000) end

describe("members", function()
  it("are passed over when off work, away, on holiday, without the skill or at their cap, and the record says so", function()
    go_to "2026-12-24T10:00:00Z"
    local pool = routing.pool("gates", { holidays = { "2026-12-25" }, members = {
      { owner = names[1], hours = "Mon-Fri 09:00-17:00 America/New_York", skills = { "DE" } },
      { owner = names[2], away = { "2026-12-24..2027-01-02" }, skills = { "de" } },
      { owner = names[3] },
      { owner = names[4], skills = { "de", "fr" }, cap = { { per = "hour", count = 1 }, { per = "month", count = 2 } } },
      { owner = names[5], skills = { "de" }, holidays = { "2026-12-24" } },
    } })
    local got = assign_in(pool, { skills = { "de" } })
    lead(1)
    expect(got[1]).to.equal(4)
    local first = records(1)[1]
    expect(first.candidates[1].gate).to.equal("off work (Mon-Fri 09:00-17:00 America/New_York)")
    expect(first.candidates[2].gate).to.equal("away 2026-12-24..2027-01-02")
    expect(first.candidates[3].gate).to.equal("has no skill de")
    expect(first.candidates[4].gate).to.be_nil()
    expect(first.candidates[5].gate).to.equal("holiday 2026-12-24")
    expect(first.skills).to.equal { "de" }
    lead(2)
    expect(got[2].kind).to.equal("routing")
    expect(tostring(got[2])).to.contain("cap 1 a hour reached")
    sim.advance("1h")
    lead(3)
    sim.advance("1h")
    expect(got[3]).to.equal(4)
    lead(4, { skills = { "FR" } })
    expect(tostring(got[4])).to.contain("cap 2 a month reached")
    sim.advance("2h")                               -- 14:00, 9:00 in New York
    lead(5)
    expect(got[5]).to.equal(1)
    for i = 11, 12 do lead(i, { skills = {} }) end
    expect({ got[11], got[12] }).to.equal { 1, 3 }
    go_to "2027-01-04T10:00:00Z"                    -- 5:00 in New York, a new month
    for i = 7, 9 do lead(i) end
    expect({ got[7], got[8], got[9] }).to.equal { 2, 4, 5 }
  end)

  it("who are excluded do not get it this time", function()
    local pool = routing.pool("excluded", { members = { { owner = names[1] }, { owner = names[2] }, { owner = names[3] } } })
    local got = assign_in(pool, { exclude = { names[1]:upper(), sim.control("owners").results[2].id }, prefer = names[2] })
    lead(1)
    expect(got[1]).to.equal(3)
    local record = records(1)[1]
    for i = 1, 3 do expect(record.candidates[i].gate).to.equal("excluded by the script") end
    expect(record.candidates[4].gate).to.be_nil()
    lead(2, { exclude = { "nobody in particular" } })
    lead(3, { excluded = {} })
    expect(tostring(got[3])).to.match("^pool_test.lua:%d+: assign has no option excluded")
    expect(tostring(got[2])).to.match("^pool_test.lua:%d+: exclude must be an owner's e%-mail or id")
  end)

  it("have their caps' days in their own time zone", function()
    go_to "2026-11-30T22:30:00Z"
    local pool = routing.pool("days", { members = {
      { owner = names[1], cap = { per = "day", count = 1 }, tz = "Europe/Berlin" },
      { owner = names[2], cap = { per = "day", count = 1 }, tz = "America/New_York" },
    } })
    local got = assign_in(pool)
    for i = 1, 3 do lead(i) end
    expect({ got[1], got[2], got[3].kind }).to.equal { 1, 2, "routing" }
    sim.advance("40m")                              -- midnight in Berlin
    for i = 4, 5 do lead(i) end
    expect({ got[4], got[5].kind }).to.equal { 1, "routing" }
  end)

  it("who are preferred have working hours, too", function()
    go_to "2026-12-24T10:00:00Z"
    local pool = routing.pool("preferred", { members = {
      { owner = names[1], away = { "2026-12-24" } }, { owner = names[2] } } })
    local got = assign_in(pool, { prefer = names[1] })
    lead(1)
    expect(got[1]).to.equal(2)
    expect(records(1)[1].reason).to.equal(("preferred owner %s cannot: away 2026-12-24; turn of %s (weight 1 of 1)")
      :format(names[1], names[2]))
  end)
end)

describe("absences in HubSpot", function()
  it("are those of the users, read again every quarter of an hour; what cannot be read is none", function()
    local owners = sim.control("owners").results
    local user = sim.create("users", { hs_email = names[1]:upper(), hs_out_of_office_hours =
      ('[{"startTimestamp":%d,"endTimestamp":%d}]'):format(time.now() - 1000, time.now() + 3600000) })
    sim.create("users", { hubspot_owner_id = owners[2].id, hs_out_of_office_hours = "2000-01-01..2100-01-01" })
    sim.create("users", { hubspot_owner_id = owners[3].id, hs_out_of_office_hours = "gone fishing" })
    routing.watch_away "hs_out_of_office_hours"
    expect(function() routing.watch_away "x" end).to.raise("called twice")
    local pool = routing.pool("absent", { hold = "1d", members = { { owner = names[1] }, { owner = names[2] }, { owner = names[3] } } })
    local got = assign_in(pool)
    lead(1)
    expect(got[1]).to.equal(3)
    local candidates = records(1)[1].candidates
    expect(candidates[1].gate).to.match("^away %(HubSpot%) until 2")
    expect(candidates[2].gate).to.equal("away (HubSpot) 2000-01-01..2100-01-01")
    local held = routing.pool("held and absent", { hold = "1d", members = { { owner = names[1] }, { owner = names[2] } } })
    local later = assign_in(held, nil, "late")
    lead(2, nil, "late")
    expect(later[2]).to.be_nil()
    sim.advance("61m")
    expect(later[2]).to.equal(1)
    sim.update("users", user, { hs_out_of_office_hours = "2000-01-01..2100-01-01" })
    lead(3, nil, "late")
    expect(later[3]).to.equal(1)
    sim.advance("16m")
    lead(4, nil, "late")                                          -- the list is read again behind this one
    lead(5, nil, "late")
    expect(later[5]).to_not.equal(1)
  end)
end)

describe("when nobody can", function()
  it("pools and owners are asked in turn, and the record shows all of them", function()
    local second = routing.pool("second", { members = { { owner = names[2], cap = { per = "day", count = 1 } } } })
    local third = routing.pool("third", { members = { { owner = names[3], away = { "2000-01-01..2100-01-01" } } },
      fallback = { "nobody@example.org", names[4] } })
    local first = routing.pool("first", { members = { { owner = names[1], cap = { per = "day", count = 0 } } },
      fallback = { second, third, names[5] } })
    local got = assign_in(first)
    lead(1)
    lead(2)
    expect({ got[1], got[2] }).to.equal { 2, 4 }
    local one, two = records(1)[1], records(2)[1]
    expect(one.by).to.equal("fallback")
    expect(one.reason).to.equal(('nobody in the pool can: pool "second": turn of %s (weight 1 of 1)'):format(names[2]))
    expect(two.reason).to.equal('nobody in the pool can: pool "third": nobody in the pool can: fallback')
    local seen = {}
    for i, c in ipairs(two.candidates) do seen[i] = ("%s: %s"):format(c.pool or "-", c.gate or "could") end
    expect(seen).to.equal { "-: cap 0 a day reached", "second: cap 1 a day reached", "third: away 2000-01-01..2100-01-01",
      "-: no active owner of the account", "-: could" }
  end)

  it("a lead is held until somebody works, and takes its turn then", function()
    go_to "2026-11-27T18:00:00Z"                    -- a Friday evening
    local pool = routing.pool("held", { hours = "Mon-Fri 09:00-17:00 Europe/Berlin", hold = "3d", fallback = names[8],
      holidays = { "2026-12-01", "2026-12-02", "2026-12-03", "2026-12-04" }, members = {
        { owner = names[1], cap = { per = "day", count = 1 } }, { owner = names[2] } } })
    local got = assign_in(pool)
    lead(1)
    expect(got[1]).to.be_nil()
    expect(sim.events().waiting).to.equal(1)
    local held = records(1)[1]
    expect(held.by).to.equal("hold")
    expect(held.reason).to.equal("nobody can before 2026-11-30T08:00:00.000Z")
    go_to "2026-11-30T07:59:00Z"
    expect(got[1]).to.be_nil()
    sim.advance("2m")
    expect(got[1]).to.equal(1)
    expect(#records(1)).to.equal(2)
    expect(records(1)[2].by).to.equal("rotation")
    go_to "2026-11-30T18:00:00Z"                    -- four holidays and a week-end ahead: longer than it holds
    lead(2)
    expect(got[2]).to.equal(8)
    expect(sim.events().waiting).to.equal(0)
  end)

  it("holding ends at the next period of a cap as well, and one more lead than it takes waits once more", function()
    go_to "2026-11-25T10:10:00Z"
    local pool = routing.pool("capped", { hold = "1d", members = { { owner = names[1], cap = { per = "hour", count = 1 } } } })
    local got = assign_in(pool)
    for i = 1, 3 do lead(i) end
    local function count()
      local n = 0
      for _ in pairs(got) do n = n + 1 end
      return n
    end
    expect(count()).to.equal(1)
    sim.advance("51m")
    expect(count()).to.equal(2)
    sim.advance("1h")
    expect(count()).to.equal(3)
    for i = 1, 3 do expect(got[i]).to.equal(1) end
  end)
end)

describe("a sticky pool", function()
  it("gives who comes again to the same member, for a time, and passes over one who cannot", function()
    go_to "2026-12-01T10:00:00Z"
    local pool = routing.pool("sticky", { sticky = "7d", members = {
      { owner = names[1], away = { "2026-12-03" } }, { owner = names[2] }, { owner = names[3] } } })
    local got = assign_in(pool)
    lead(1)
    lead(2, { sticky = "acme" })
    lead(1)
    expect(got[1]).to.equal(1)
    expect(records(1)[2].by).to.equal("sticky")
    lead(3, { sticky = "acme" })
    expect({ got[2], got[3] }).to.equal { 2, 2 }
    go_to "2026-12-03T10:00:00Z"
    lead(1)
    expect(got[1]).to.equal(3)
    expect(records(1)[3].reason).to.contain("cannot: away 2026-12-03; turn of")
    sim.advance("8d")
    lead(4, { sticky = "acme" })
    expect(records(4)[1].by).to.equal("rotation")
  end)

  it("keeps leads of one key together while their handlers run", function()
    local pool = routing.pool("together", { sticky = "7d", members = { { owner = names[1] }, { owner = names[2] } } })
    local got = assign_in(pool, { sticky = "acme" })
    for i = 1, 20 do emit("lead", { id = i }) end
    sim.settle()
    for i = 1, 20 do expect(got[i]).to.equal(1) end
  end)
end)

-- Ten thousand of them are at the rotation's door, in rotation_test.lua.
describe("two thousand leads in handlers", function()
  -- How far the picks were at any time from the shares that the records tell: weights over all who were not gated.
  local function worst(n)
    local share, count, off, seen = {}, {}, 0, 0
    for _, r in ipairs(sim.audit("routing")) do
      local total = 0
      for _, c in ipairs(r.record.candidates) do if c.weight and not c.gate then total = total + c.weight end end
      if r.record.by == "rotation" then
        seen = seen + 1
        for _, c in ipairs(r.record.candidates) do
          if not c.gate then share[c.owner] = (share[c.owner] or 0) + c.weight / total end
        end
        count[r.record.email] = (count[r.record.email] or 0) + 1
        for owner, s in pairs(share) do off = math.max(off, math.abs(s - (count[owner] or 0))) end
      end
    end
    expect(seen).to.equal(n)
    return off, count
  end

  it("stay within one of the exact share while all can", function()
    local members = {}
    for i, weight in ipairs { 50, 30, 7, 5, 3, 1, 1, 1 } do members[i] = { owner = names[i], weight = weight } end
    assign_in(routing.pool("constant", { members = members }))
    for _ = 1, 20 do
      for i = 1, 100 do emit("lead", { id = i }) end
      sim.settle()
    end
    expect((worst(2000))).to.be_at_most(1 + 1e-6)
  end)

  it("stay within two with caps, hours and absences", function()
    go_to "2026-12-01T00:00:00Z"
    local pool = routing.pool("real", { members = {
      { owner = names[1], weight = 5, cap = { per = "day", count = 30 } },
      { owner = names[2], weight = 3, cap = { { per = "hour", count = 2 }, { per = "week", count = 80 } } },
      { owner = names[3], weight = 3, hours = "Mon-Fri 09:00-17:00 America/New_York" },
      { owner = names[4], weight = 2, hours = "Mon-Sun 09:00-18:00 Asia/Tokyo", cap = { per = "month", count = 180 } },
      { owner = names[5], weight = 2, away = { "2026-12-05..2026-12-09", "2026-12-15" } },
      { owner = names[6], weight = 1, hours = "Mon-Thu 22:00-06:00 Europe/Berlin", tz = "Europe/Berlin" },
      { owner = names[7], weight = 1 },
      { owner = names[8], weight = 7, hours = "Tue,Wed 08:00-12:00,13:00-16:00 Europe/London" },
    } })
    assign_in(pool)
    local sent = 0
    while sent < 2000 do
      local n = math.min(math.random(1, 12), 2000 - sent)
      for i = 1, n do emit("lead", { id = sent + i }) end
      sent = sent + n
      sim.advance("1h")
    end
    local off, count = worst(2000)
    expect(off).to.be_at_most(2)
    for i = 1, 8 do expect(count[names[i]]).to.be_at_least(20) end
  end)
end)
