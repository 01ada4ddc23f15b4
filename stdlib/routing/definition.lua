--- What a script says of a pool, checked while it loads. Nothing here waits or asks HubSpot.
local _, host = ...
local calendar = require "routing.calendar"

local definition = {}

local Misuse = {}

local function fail(format, ...) error(setmetatable({ text = format:format(...) }, Misuse), 0) end

local member_fields = { owner = true, weight = true, cap = true, hours = true, tz = true, away = true, holidays = true, skills = true }
local cap_fields = { per = true, count = true }
local pool_fields = { members = true, fallback = true, tz = true, hours = true, holidays = true, hold = true, sticky = true }

local function check_fields(t, allowed, where)
  for field in pairs(t) do
    if not allowed[field] then
      local names = {}
      for name in pairs(allowed) do names[#names + 1] = name end
      table.sort(names)
      fail("%s: there is no field %s (there are: %s)", where, tostring(field), table.concat(names, ", "))
    end
  end
end

local function owner_key(value, what)
  if math.type(value) == "integer" then value = tostring(value) end
  if type(value) ~= "string" or not (value:find("^%d+$") or value:find("^[^@%s]+@[^@%s]+$")) then
    fail("%s must be an owner's e-mail or id, not %s", what, tostring(value))
  end
  return value:lower()
end

local function zone(tz, who)
  if tz == nil then return nil end
  if type(tz) ~= "string" or not pcall(time.civil, 0, tz) then
    fail('%s: "%s" is no time zone (one looks like "Europe/Berlin")', who, tostring(tz))
  end
  return tz
end

local function hours_of(text, who)
  if text == nil then return nil end
  local hours, wrong
  if type(text) == "string" then hours, wrong = calendar.hours(text) else wrong = "not a text" end
  if not hours then fail('%s: hours must look like "Mon-Fri 09:00-17:00 America/New_York": %s', who, wrong) end
  zone(hours.tz, who .. ": hours")
  return hours
end

local function same_zone(tz, hours, who)
  if tz and hours and hours.tz and hours.tz ~= tz then fail("%s: tz says %s and hours say %s", who, tz, hours.tz) end
end

local function dates_of(list, field, who)
  local days, wrong = calendar.dates(list or {})
  if not days then fail('%s: %s must look like { "2026-12-25", "2026-12-24..2027-01-02" }: %s', who, field, wrong) end
  return days
end

-- The absences of a member: days, and the address of a calendar (a text, or a secret).
local function away_of(away, who)
  if type(away) ~= "table" then return dates_of(away, "away", who) end
  for key in pairs(away) do
    if math.type(key) ~= "integer" and key ~= "calendar" then
      fail("%s: away: there is no field %s (there are dates, and calendar)", who, tostring(key))
    end
  end
  local url = away.calendar
  if type(url) == "string" then
    local why = host.may_reach(url)
    if why or not url:find("^https?://") then fail("%s: away: calendar: %s", who, why or "not an absolute http(s) URL") end
  elseif url ~= nil and not tostring(url):find("^%[secret ") then
    fail('%s: away: calendar must be a URL or secret "NAME"', who)
  end
  return dates_of(away, "away", who), url
end

local function caps_of(cap, who)
  if cap == nil then return {} end
  local caps, seen = {}, {}
  for i, one in ipairs(type(cap) == "table" and cap[1] and cap or { cap }) do
    if type(one) ~= "table" or not calendar.periods[one.per] or math.type(one.count) ~= "integer" or one.count < 0 then
      fail('%s: cap must look like { per = "day", count = 20 } (per: "hour", "day", "week" or "month"), or be a list of such', who)
    end
    check_fields(one, cap_fields, who .. ": cap")
    if seen[one.per] then fail("%s: two caps a %s", who, one.per) end
    seen[one.per] = true
    caps[i] = { per = one.per, count = one.count }
  end
  return caps
end

local function skills_of(list, who)
  local skills = {}
  if list == nil then return skills end
  if type(list) ~= "table" then fail('%s: skills must look like { "de", "enterprise" }', who) end
  for i, skill in ipairs(list) do
    if type(skill) ~= "string" or skill == "" then fail('%s: skills must look like { "de", "enterprise" }', who) end
    skills[i] = skill:lower()
  end
  return skills
end

local function duration(value, field, who)
  if value == nil then return nil end
  local ok, ms = pcall(time.duration, value)
  if not ok or ms <= 0 then fail('%s: %s must be a duration like "3d", not %s', who, field, tostring(value)) end
  return ms
end

local function member_of(member, pool, who)
  if type(member) ~= "table" then fail('%s must be a table like { owner = "ana@example.com" }', who) end
  check_fields(member, member_fields, who)
  local key = owner_key(member.owner, who .. ": owner")
  who = ("%s (%s)"):format(who, key)
  local weight = member.weight == nil and 1 or member.weight
  if math.type(weight) ~= "integer" or weight < 1 or weight > 1000 then
    fail("%s: weight must be a whole number from 1 to 1000, not %s", who,
      type(weight) == "string" and ('"%s"'):format(weight) or tostring(weight))
  end
  local hours = hours_of(member.hours, who) or pool.hours
  local tz = zone(member.tz, who)
  if hours ~= pool.hours then same_zone(tz, hours, who) end
  local away, url = away_of(member.away, who)
  local holidays = dates_of(member.holidays, "holidays", who)
  table.move(pool.holidays, 1, #pool.holidays, #holidays + 1, holidays)
  local skills, has = skills_of(member.skills, who), {}
  for _, skill in ipairs(skills) do has[skill] = true end
  local caps = caps_of(member.cap, who)
  return {
    key = key, weight = weight, caps = caps, hours = hours, away = away, holidays = holidays, skills = has,
    calendar = url, tz = hours and hours.tz or tz or pool.tz,
  }, { key = key, weight = weight, caps = caps, hours = hours and hours.text, tz = tz, away = away, holidays = holidays,
    skills = skills, calendar = url and crypto.sha256(tostring(url), "hex") }
end

local function fallback_of(value, who, is_pool)
  local chain = {}
  if value == nil then return chain end
  if type(value) ~= "table" or is_pool(value) then value = { value } end
  for i, one in ipairs(value) do
    chain[i] = is_pool(one) and { pool = one } or { key = owner_key(one, who .. ": fallback") }
  end
  return chain
end

local function read(name, given, is_pool)
  if type(name) ~= "string" or name == "" then fail("a pool needs a name") end
  local who = ('pool "%s"'):format(name)
  if type(given) ~= "table" or type(given.members) ~= "table" or #given.members == 0 then
    fail('%s needs members = { { owner = "ana@example.com" }, … }', who)
  end
  check_fields(given, pool_fields, who)
  local pool = {
    name = name, tz = zone(given.tz, who) or "UTC", hours = hours_of(given.hours, who),
    holidays = dates_of(given.holidays, "holidays", who), hold = duration(given.hold, "hold", who),
    sticky = duration(given.sticky, "sticky", who), fallback = fallback_of(given.fallback, who, is_pool),
    members = {}, by_key = {}, keys = {},
  }
  local plain = { name = name, tz = pool.tz, hold = pool.hold, sticky = pool.sticky, members = {}, fallback = {} }
  for i, member in ipairs(given.members) do
    local entry
    entry, plain.members[i] = member_of(member, pool, ("%s, member %d"):format(who, i))
    if pool.by_key[entry.key] then fail("%s lists %s twice", who, entry.key) end
    pool.members[i], pool.by_key[entry.key], pool.keys[i] = entry, entry, entry.key
  end
  for i, one in ipairs(pool.fallback) do
    plain.fallback[i] = one.key or one.pool.rule
    if one.key and not pool.by_key[one.key] then pool.keys[#pool.keys + 1] = one.key end
  end
  pool.rule = name .. "@" .. crypto.sha256(json.encode(plain), "hex"):sub(1, 12)
  return pool
end

local sla_fields = { open = true, remind = true, reassign = true, escalate = true, pool = true, manager = true, hours = true, tz = true,
  holidays = true, tell = true }

local function read_sla(name, given, is_pool)
  if type(name) ~= "string" or name == "" then fail("an sla needs a name") end
  local who = ('sla "%s"'):format(name)
  if type(given) ~= "table" then fail('%s must look like { open = { hs_lead_status = { "NEW" } }, remind = "30m" }', who) end
  check_fields(given, sla_fields, who)
  local property, values = next(type(given.open) == "table" and given.open or {})
  if type(property) ~= "string" or type(values) ~= "table" or next(given.open, property) ~= nil then
    fail('%s: open must name the one property that tells an answer, and its values before: { hs_lead_status = { "NEW" } }', who)
  end
  local sla = { name = name, property = property, open = { [""] = true }, pool = given.pool, manager = given.manager, tell = given.tell,
    hours = hours_of(given.hours, who), away = {}, holidays = dates_of(given.holidays, "holidays", who) }
  local tz = zone(given.tz, who)
  same_zone(tz, sla.hours, who)
  sla.tz = sla.hours and sla.hours.tz or tz or "UTC"
  for _, value in ipairs(values) do sla.open[tostring(value)] = true end
  for _, field in ipairs { "remind", "reassign", "escalate" } do sla[field] = duration(given[field], field, who) end
  if not (sla.remind or sla.reassign or sla.escalate) then fail("%s needs remind, reassign or escalate, like remind = \"30m\"", who) end
  local next_step = sla.reassign and "reassign" or "escalate"
  if sla.remind and sla[next_step] and sla.remind >= sla[next_step] then fail("%s: remind must come before %s", who, next_step) end
  if (sla.reassign ~= nil) ~= (sla.pool ~= nil) then fail("%s: reassign and pool belong together", who) end
  if (sla.escalate ~= nil) ~= (sla.manager ~= nil) then fail("%s: escalate and manager belong together", who) end
  if sla.pool ~= nil and not is_pool(sla.pool) then fail("%s: pool must be a routing.pool", who) end
  if sla.manager ~= nil and not is_pool(sla.manager) then sla.manager = owner_key(sla.manager, who .. ": manager") end
  if sla.tell ~= nil and type(sla.tell) ~= "function" then fail("%s: tell must be a function", who) end
  return sla
end

-- Runs fn; what it refuses comes back as text.
local function told(fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if getmetatable(result) == Misuse then return nil, result.text end
  error(result, 0)
end

---@param name any
---@param given any
---@param is_pool fun(value: any): boolean
---@return table|nil pool, string|nil wrong
function definition.read(name, given, is_pool) return told(read, name, given, is_pool) end

---@param name any
---@param given any
---@param is_pool fun(value: any): boolean
---@return table|nil sla durations in milliseconds, string|nil wrong
function definition.read_sla(name, given, is_pool) return told(read_sla, name, given, is_pool) end

---@return string|nil key in lower case, string|nil wrong
function definition.owner_key(value, what) return told(owner_key, value, what) end

---@return string[]|nil in lower case, string|nil wrong
function definition.skills(list, who) return told(skills_of, list, who) end

return definition
