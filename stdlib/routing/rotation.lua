--- Turns by weight, and counters per period, as arithmetic without waiting.
---
--- The share of a member is, over all picks at which it was eligible, the sum of its weight over the weights of all
--- who were eligible. Its lag is its share less what it was given. Each pick credits the eligible ones with their
--- part of one turn and charges the one that is picked:
---  1. Of those who are a whole turn behind, the one furthest behind.
---  2. Else, of those whose lag is above zero, the one who would be a whole turn behind first (earliest deadline).
---  3. Else, the one least ahead.
--- While the same members are eligible, rule 2 alone decides and everybody stays within one turn of its share
--- (R. Tijdeman, The chairman assignment problem, 1980), where plain smooth round robin, which picks the largest lag,
--- exceeds a turn with a few heavy members among many light ones. When members come and go at any pick no method that
--- cannot see the future holds two turns for every sequence; with up to twelve members and random pairs eligible at each
--- pick, the hardest case measured, this one stayed within 1.5 turns, and routing_test.lua holds it to two.
---
--- A lag is a whole number of parts of a turn, so that sums are exact: a pool's state is a sum of deltas, each pick adds
--- one, a failed handler's is taken away again, and the order in which they are added does not matter. That is what makes
--- assignment right for many handlers at once: the live view is what is committed plus what is still open.
---
---@class routing.state
---@field lag table<string, integer> parts of a turn that each owner is behind (+) or ahead (-)
---@field counts table<string, {period: string, n: integer}> picks in the newest period, by slot (rotation.slot)
local rotation = {}

--- Parts of one turn. Most sums of weights divide it; for others a pick's rounding is n parts at most.
rotation.TURN = 720720000000
local TURN <const> = rotation.TURN
local ROUNDING <const> = TURN // 1000000   -- of a million picks

-- Whether a comes before b under rule 2. Of equal deadlines the one further behind, then the pool's order.
local function sooner(a, a_weight, b, b_weight)
  local left, right = (TURN - a) * b_weight, (TURN - b) * a_weight
  return left < right or left == right and a > b
end

--- One turn among the eligible members.
---@param members {key: string, weight: integer}[] the eligible ones, in the pool's order
---@param lag fun(key: string): integer
---@return integer index, table<string, integer> delta
function rotation.pick(members, lag)
  local total, given, delta = 0, 0, {}
  for _, member in ipairs(members) do total = total + member.weight end
  local most, most_lag, first, first_lag
  for i, member in ipairs(members) do
    local part = member.weight * TURN // total
    local value = lag(member.key) + part
    given = given + part
    delta[member.key] = part
    if not most or value > most_lag then most, most_lag = i, value end
    if value > ROUNDING and (not first or sooner(value, member.weight, first_lag, members[first].weight)) then
      first, first_lag = i, value
    end
  end
  local picked = (most_lag >= TURN + ROUNDING or not first) and most or first
  local key = members[picked].key
  delta[key] = delta[key] - given
  return picked, delta
end

--- Adds a delta (times `sign`) to the sums. Sums of zero are dropped.
---@param sums table<string, integer>
---@param delta table<string, integer>
---@param sign integer 1 or -1
function rotation.add(sums, delta, sign)
  for key, amount in pairs(delta) do
    local sum = (sums[key] or 0) + sign * amount
    sums[key] = sum ~= 0 and sum or nil
  end
end

--- Where the picks of `key` are counted for a cap of that kind.
---@param key string
---@param per string
---@return string
function rotation.slot(key, per) return key .. " " .. per end

--- Counts one pick. A newer period starts again at one; an older one is no longer of interest.
---@param counts table<string, {period: string, n: integer}>
---@param slot string
---@param period string sorts by time
function rotation.count(counts, slot, period)
  local entry = counts[slot]
  if not entry or entry.period < period then
    counts[slot] = { period = period, n = 1 }
  elseif entry.period == period then
    counts[slot] = { period = period, n = entry.n + 1 }
  end
end

-- Until 2026-11 lags were kept in weights (`current`), and an owner had one cap.
local function of_old(stored, members)
  local total, lag, counts = 0, {}, {}
  for _, member in ipairs(members) do total = total + member.weight end
  for key, value in pairs(stored.current) do lag[key] = value * TURN // total end
  for key, entry in pairs(stored.counts) do
    local per = entry.period:find("^week") and "week" or entry.period:find("T") and "hour" or "day"
    counts[rotation.slot(key, per)] = entry
  end
  return { lag = lag, counts = counts }
end

--- Fits a stored state to the members of today. Who left is forgotten, who stayed keeps its lag, and who is new has
--- none: nobody gets a burst to catch up.
---@param stored routing.state|nil
---@param members {key: string, weight: integer, caps: {per: string}[]}[]
---@return routing.state
function rotation.fit(stored, members)
  local state = { lag = {}, counts = {} }
  if not stored then return state end
  if stored.current then stored = of_old(stored, members) end
  for _, member in ipairs(members) do
    state.lag[member.key] = stored.lag[member.key]
    for _, cap in ipairs(member.caps or {}) do
      local slot = rotation.slot(member.key, cap.per)
      state.counts[slot] = stored.counts[slot]
    end
  end
  return state
end

return rotation
