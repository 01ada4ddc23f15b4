--- Smooth weighted round robin and counters per period, as arithmetic without waiting.
---
--- A pool's state is a sum of deltas: each pick adds one, a failed handler's is taken away again, and
--- the order in which they are added does not matter. That is what makes assignment right for many
--- handlers at once: the live view is what is committed plus what is still open.
---
---@class routing.state
---@field current table<string, integer> how far each owner is ahead (+) or behind (-) in the rotation
---@field counts table<string, {period: string, n: integer}> picks of each owner in its newest period
local rotation = {}

--- One round over the eligible members: every weight is credited, the one furthest ahead is picked and pays
--- for all. After any number of picks each member is within one turn of its weight's share.
---@param members {key: string, weight: integer}[] the eligible ones, in the pool's order
---@param current fun(key: string): integer
---@return integer index, table<string, integer> delta
function rotation.pick(members, current)
  local best, best_value, total, delta = nil, nil, 0, {}
  for i, member in ipairs(members) do
    local value = current(member.key) + member.weight
    total = total + member.weight
    delta[member.key] = member.weight
    if not best or value > best_value then best, best_value = i, value end
  end
  local key = members[best].key
  delta[key] = delta[key] - total
  return best, delta
end

--- Adds a delta (times `sign`) to the rotation's sums. Sums of zero are dropped.
---@param sums table<string, integer>
---@param delta table<string, integer>
---@param sign integer 1 or -1
function rotation.add(sums, delta, sign)
  for key, amount in pairs(delta) do
    local sum = (sums[key] or 0) + sign * amount
    sums[key] = sum ~= 0 and sum or nil
  end
end

--- Counts one pick of `key`. A newer period starts again at one; an older one is no longer of interest.
---@param counts table<string, {period: string, n: integer}>
---@param key string
---@param period string sorts by time
function rotation.count(counts, key, period)
  local entry = counts[key]
  if not entry or entry.period < period then
    counts[key] = { period = period, n = 1 }
  elseif entry.period == period then
    counts[key] = { period = period, n = entry.n + 1 }
  end
end

--- Fits a stored state to the members of today. Who left is forgotten; who stayed keeps the distance to the
--- others; who is new starts in the middle of them, so nobody gets a burst to catch up.
---@param stored routing.state|nil
---@param members {key: string}[]
---@return routing.state
function rotation.fit(stored, members)
  local state = { current = {}, counts = {} }
  if not stored then return state end
  local sum, known = 0, {}
  for _, member in ipairs(members) do
    local value = stored.current[member.key]
    if value then
      sum = sum + value
      known[#known + 1] = member.key
    end
    state.counts[member.key] = stored.counts[member.key]
  end
  local middle = #known > 0 and sum // #known or 0
  for _, key in ipairs(known) do
    local value = stored.current[key] - middle
    state.current[key] = value
  end
  return state
end

return rotation
