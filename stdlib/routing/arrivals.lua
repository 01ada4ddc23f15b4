--- Made-up leads for `hubloop route simulate --sim`: people of the simulator's population, who come as leads come: most in
--- the day of the place they are from and on weekdays, some in bursts. The same seed, the same leads.
local population = require "sim.population"
local U = require "sim.util"

local arrivals = {}
arrivals.__index = arrivals

local HOUR <const>, DAY <const> = 3600000, 86400000
-- How busy each hour of a day is, by the clock of those who write.
local HOURS <const> = { 1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 18, 16, 14, 16, 18, 16, 14, 10, 7, 5, 4, 3, 2, 1 }
local ZONES <const> = { { "America/New_York", 40 }, { "Europe/Berlin", 45 }, { "Asia/Tokyo", 15 } }
local KNOWN <const> = { country = true, company = true, email = true, city = true, phone = true, jobtitle = true, lifecyclestage = true }

local function sorted(set)
  local list = {}
  for key in pairs(set) do list[#list + 1] = key end
  table.sort(list)
  return list
end

local function moments(R, first, given)
  local list, days = {}, math.max(1, (given.until_ms - first) // DAY)
  while #list < given.leads do
    local zone = R.weighted(ZONES)
    local at = first + R.int(0, days - 1) * DAY + R.int(0, DAY - 1)
    local civil = time.civil(at, zone)
    local busy = HOURS[civil.hour + 1] / 18 * ((civil.weekday == 0 or civil.weekday == 6) and 0.2 or 1)
    if R.chance(busy) then
      list[#list + 1] = at
      if R.chance(0.02) then                        -- a campaign, a trade fair
        for _ = 1, math.min(R.int(5, 30), given.leads - #list) do list[#list + 1] = math.min(at + R.int(0, HOUR), given.until_ms) end
      end
    end
  end
  table.sort(list)
  return list
end

---@param first integer epoch ms
---@param given { leads: integer, seed: integer, until_ms: integer }
---@param pools table<string, routing.pool>
---@param areas table[] territories: leads go through them, and to pools that none of them names
function arrivals.new(first, given, pools, areas)
  local R = U.rng(given.seed)
  local self = setmetatable({ R = R, left = given.leads, at = moments(R, first, given), n = 0, doors = {}, skills = {} }, arrivals)
  local named, kept = {}, {}
  for _, area in ipairs(areas) do
    self.doors[#self.doors + 1] = { area = area }
    named[area.default] = true
    for _, rule in ipairs(area.rules) do named[rule.pool] = true end
  end
  for _, pool in pairs(pools) do
    for _, one in ipairs(pool.fallback) do if one.pool then kept[one.pool] = true end end
  end
  for _, name in ipairs(sorted(pools)) do
    local pool, has, owners = pools[name], {}, {}
    if not named[pool] and not kept[pool] and not pool.of_sla then self.doors[#self.doors + 1] = { pool = pool } end
    for i, member in ipairs(pool.members) do
      owners[i] = member.key
      for skill in pairs(member.skills) do has[skill] = true end
    end
    self.skills[pool] = { owners = owners, list = sorted(has) }
  end
  self.firms = population.companies(R, 200, function() return nil end)
  return self
end

-- A property that rules of a territory ask for and the population has not: one of the values that they list, or none.
local function fill(R, record, area)
  for _, name in ipairs(area.properties) do
    local values = {}
    for _, rule in ipairs(area.rules) do
      local c = rule.by_name[name]
      for _, value in ipairs(c and sorted(c.values) or {}) do values[#values + 1] = value end
      for _, range in ipairs(c and c.ranges or {}) do
        local low = math.type(range[1]) and math.max(range[1], -1e9) or range[1]
        values[#values + 1] = low == -1e9 and range[2] or low
      end
    end
    if not KNOWN[name] and #values > 0 and R.chance(0.85) then record[name] = R.pick(values) end
  end
end

--- The next one: when it comes, where it goes and what is asked of the pool.
function arrivals:next()
  if self.left == 0 then return nil end
  local R = self.R
  self.n, self.left = self.n + 1, self.left - 1
  local record, door, options = population.lead(R, self.firms, self.n), R.pick(self.doors), {}
  record.id = tostring(self.n)
  local pool = door.pool
  if door.area then
    fill(R, record, door.area)
    pool = door.area:pool(record)
  end
  local has = self.skills[pool]
  if #has.list > 0 and R.chance(0.3) then options.skills = { R.pick(has.list) } end
  if R.chance(0.1) then options.prefer = R.pick(has.owners) end      -- the owner of the lead's company
  return { at = self.at[self.n], pool = pool, record = record, options = options }
end

return arrivals
