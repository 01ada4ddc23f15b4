-- Ten thousand leads at the rotation's door: how far anybody ever is from the exact share, which is the sum, over all
-- picks at which it was eligible, of its weight over the weights of all who were. Other pools with each --seed.
local rotation = require "routing.rotation"

local LEADS <const> = 10000
local DAY <const>, HOUR <const> = 24 * 60, 60   -- minutes

-- Few heavy members among many light ones are the hard case: there the largest lag would not do.
local function pool(hard, with)
  local members = {}
  for i = 1, hard and 16 or math.random(3, 12) do
    local weight = hard and 1 or math.random(1, 9)
    local m = { key = "o" .. i, weight = i <= 2 and math.random(30, 50) or weight, caps = {}, away = {} }
    members[i] = m                        -- the first one always can; the second is kept from some for certain
    if i > 1 and with.caps then
      if i == 2 or math.random() < 0.4 then m.caps[1] = { minutes = DAY, count = math.random(5, 20) } end
      if math.random() < 0.3 then table.insert(m.caps, { minutes = HOUR, count = math.random(1, 8) }) end
    end
    if i > 1 and with.absences then
      for _ = 1, math.random(0, 3) do
        local first = math.random(0, 40)
        for day = first, first + math.random(0, 6) do m.away[day] = true end
      end
      if i == 2 or math.random() < 0.5 then m.from = math.random(0, 16) end
    end
  end
  return members
end

local function can(m, minute)
  local hour = minute // HOUR % 24
  if m.away[minute // DAY] or m.from and (hour < m.from or hour >= m.from + 8) then return false end
  for _, cap in ipairs(m.caps) do
    if cap.period ~= minute // cap.minutes then cap.period, cap.taken = minute // cap.minutes, 0 end
    if cap.taken >= cap.count then return false end
  end
  return true
end

-- The furthest that anybody was from its share at any lead, in leads; how many leads were kept from somebody.
local function worst(members)
  local share, got, lag, minute, off, gated = {}, {}, {}, 0, 0, 0
  for _ = 1, LEADS do
    minute = minute + (math.random(5) == 1 and math.random(0, 30) or math.random(0, 3))
    local eligible, total = {}, 0
    for _, m in ipairs(members) do
      if can(m, minute) then
        eligible[#eligible + 1] = m
        total = total + m.weight
      end
    end
    if #eligible < #members then gated = gated + 1 end
    local index, delta = rotation.pick(eligible, function(key) return lag[key] or 0 end)
    rotation.add(lag, delta, 1)
    for i, m in ipairs(eligible) do
      if i == index then
        got[m.key] = (got[m.key] or 0) + 1
        for _, cap in ipairs(m.caps) do cap.taken = cap.taken + 1 end
      end
      share[m.key] = (share[m.key] or 0) + m.weight / total
      off = math.max(off, math.abs(share[m.key] - (got[m.key] or 0)))
    end
  end
  return off, gated
end

describe("ten thousand leads", function()
  for _, c in ipairs {
    { "within one of the exact share while the same members can", {}, 1 + 1e-6 },
    { "within two with caps", { caps = true }, 2 },
    { "within two with absences and working hours", { absences = true }, 2 },
    { "within two with all of them", { caps = true, absences = true }, 2 },
  } do
    local name, with, bound = c[1], c[2], c[3]
    it("stay " .. name, function()
      for run = 1, 2 do
        task.sleep(0)                     -- a task has a second of processor time between two waits
        local off, gated = worst(pool(run == 1, with))
        expect(off).to.be_at_most(bound)
        expect(gated == 0).to.equal(next(with) == nil)
      end
    end)
  end
end)
