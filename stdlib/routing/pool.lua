--- Pools: who gets the next lead. See routing.lua for the whole picture.
local _, host = ...
local owners = require "routing.owners"
local rotation = require "routing.rotation"
local step = require "engine.step"

local pool = {}
local Pool = {}
Pool.__index = Pool
Pool.__name = "routing.pool"

local known = {}   -- by name: two pools of one name would share one state by accident

local member_fields = { owner = true, weight = true, cap = true }
local pool_fields = { members = true, fallback = true, tz = true }
local periods = { hour = true, day = true, week = true }

local function misuse(level, format, ...) error(format:format(...), level + 1) end

local function owner_key(value, what, level)
  if math.type(value) == "integer" then value = tostring(value) end
  if type(value) ~= "string" or not (value:find("^%d+$") or value:find("^[^@%s]+@[^@%s]+$")) then
    misuse(level + 1, "%s must be an owner's e-mail or id, not %s", what, tostring(value))
  end
  return value:lower()
end

local function check_cap(cap, who, level)
  if cap == nil then return nil end
  if type(cap) ~= "table" or not periods[cap.per] or math.type(cap.count) ~= "integer" or cap.count < 0 then
    misuse(level + 1, '%s: cap must look like { per = "day", count = 20 } (per: "hour", "day" or "week")', who)
  end
  return { per = cap.per, count = cap.count }
end

local function check_fields(t, allowed, where, level)
  for field in pairs(t) do
    if not allowed[field] then
      local names = {}
      for name in pairs(allowed) do names[#names + 1] = name end
      table.sort(names)
      misuse(level + 1, "%s: there is no field %s (there are: %s)", where, tostring(field), table.concat(names, ", "))
    end
  end
end

---@class routing.member
---@field owner string e-mail or owner id
---@field weight integer|nil 1 to 1000, default 1
---@field cap {per: "hour"|"day"|"week", count: integer}|nil at most this many leads a period

--- Declares a pool. Its state is kept in the store under the pool's name.
---@param name string
---@param definition {members: routing.member[], fallback: string|nil, tz: string|nil} tz: of the caps' days, default UTC
---@return routing.pool
function pool.new(name, definition)
  local level = 2
  if type(name) ~= "string" or name == "" then misuse(level, "a pool needs a name") end
  if known[name] then misuse(level, 'pool "%s" is declared twice', name) end
  if type(definition) ~= "table" or type(definition.members) ~= "table" or #definition.members == 0 then
    misuse(level, 'pool "%s" needs members = { { owner = "ana@example.com" }, … }', name)
  end
  check_fields(definition, pool_fields, ('pool "%s"'):format(name), level)
  local members, by_key, keys = {}, {}, {}
  for i, member in ipairs(definition.members) do
    local who = ('pool "%s", member %d'):format(name, i)
    if type(member) ~= "table" then misuse(level, '%s must be a table like { owner = "ana@example.com" }', who) end
    check_fields(member, member_fields, who, level)
    local key = owner_key(member.owner, who .. ": owner", level)
    if by_key[key] then misuse(level, 'pool "%s" lists %s twice', name, key) end
    local weight = member.weight == nil and 1 or member.weight
    if math.type(weight) ~= "integer" or weight < 1 or weight > 1000 then
      misuse(level, "%s: weight must be a whole number from 1 to 1000", who)
    end
    local entry = { key = key, weight = weight, cap = check_cap(member.cap, who, level) }
    members[i], by_key[key], keys[i] = entry, entry, key
  end
  local fallback = definition.fallback ~= nil
      and owner_key(definition.fallback, ('pool "%s": fallback'):format(name), level) or nil
  if fallback and not by_key[fallback] then keys[#keys + 1] = fallback end
  local tz = definition.tz or "UTC"
  time.civil(0, tz)   -- raises now for an unknown zone, not at the first lead

  local plain = { name = name, fallback = fallback, tz = tz, members = members }
  local self = setmetatable({
    name = name, members = members, by_key = by_key, keys = keys, fallback = fallback, tz = tz,
    rule = name .. "@" .. crypto.sha256(json.encode(plain), "hex"):sub(1, 12),
    kv = host.kv("pool:" .. name),
    base = nil,                               -- what is committed, as last seen
    open = { current = {}, counts = {} },     -- sums of the picks whose handlers still run
  }, Pool)
  known[name] = self
  return self
end

local function period_of(per, ms, tz)
  local civil = time.civil(ms, tz)
  if per == "hour" then
    return ("%04d-%02d-%02dT%02d"):format(civil.year, civil.month, civil.day, civil.hour)
  elseif per == "day" then
    return ("%04d-%02d-%02d"):format(civil.year, civil.month, civil.day)
  end
  local days = (ms // 1000 + civil.offset) // 86400
  return ("week %06d"):format((days + 3) // 7)   -- 1970-01-01 was a Thursday; weeks begin on Monday
end

-- Open counts are kept by period, because a handler can begin before midnight and end after it.
local function count_open(open, key, period, amount)
  local of_key = open.counts[key] or {}
  open.counts[key] = of_key
  local n = (of_key[period] or 0) + amount
  of_key[period] = n ~= 0 and n or nil
  if not next(of_key) then open.counts[key] = nil end
end

function Pool:_counted(key, period)
  local stored = self.base.counts[key]
  local n = stored and stored.period == period and stored.n or 0
  local open = self.open.counts[key]
  return n + (open and open[period] or 0)
end

local function total_weight(members)
  local total = 0
  for _, member in ipairs(members) do total = total + member.weight end
  return total
end

-- Why this owner cannot take a lead now, or nil.
function Pool:_gate(member, now)
  if not owners.find(member.key) then return "no active owner of the account" end
  if member.cap then
    local n = self:_counted(member.key, period_of(member.cap.per, now, self.tz))
    if n >= member.cap.count then return ("cap %d a %s reached"):format(member.cap.count, member.cap.per) end
  end
  return nil
end

-- The pick counts in memory from now on, and in the store with the handler's completion, or not at all.
function Pool:_take(delta, key, period)
  if not next(delta) and not period then return end   -- a preferred owner that nobody counts
  local open = self.open
  rotation.add(open.current, delta, 1)
  if period then count_open(open, key, period, 1) end
  host.on_end(function(ok)
    rotation.add(open.current, delta, -1)
    if period then count_open(open, key, period, -1) end
    if not ok then return end
    -- Another script may share the pool, so the sum is made on what is stored now. Reading must not wait here:
    -- when the value is not in memory, what we saw last is the newest there is, since every writer loads it.
    local read, stored = pcall(self.kv.get, "state")
    local state = read and rotation.fit(stored, self.members) or self.base
    rotation.add(state.current, delta, 1)
    if period then rotation.count(state.counts, key, period) end
    self.base = state
    self.kv.set("state", { current = state.current, counts = state.counts })
  end)
end

---@class routing.pick
---@field owner_id string
---@field owner_email string|nil
---@field pool string
---@field rule string the pool's name and the version of its definition
---@field by "prefer"|"rotation"|"fallback"
---@field reason string for people

---@class routing.assign_options
---@field prefer string|table|nil an owner id or e-mail, or what routing.match_account returned: taken when active
---@field count boolean|nil false: a preferred pick does not count against that owner's cap
---@field because string|nil why this pool was asked, for the record

--- Picks an owner for a lead. In a handler this is a step: it waits until the pick is stored, and when the handler runs
--- again the pick is the same. Inside a step of the script it is stored with that one, elsewhere at the end. Takes
--- effect at once for every other task, and is undone when it is not stored.
--- Raises kind "routing" when nobody can take it and there is no fallback.
---@param lead table a record with an id
---@param options routing.assign_options|nil
---@return routing.pick
function Pool:assign(lead, options)
  options = options or {}
  if type(lead) ~= "table" or lead.id == nil then error("assign needs a record with an id", 2) end
  local prefer, prefer_reason = options.prefer, nil
  if type(prefer) == "table" then prefer, prefer_reason = prefer.owner, prefer.reason end
  prefer = prefer and owner_key(prefer, "prefer", 2) or nil
  local name = host.step.name(("pool %s: %s"):format(self.name, tostring(lead.id)):sub(1, 180))
  if not name then return self:_pick(lead, options, prefer, prefer_reason) end
  return step(name, function() return self:_pick(lead, options, prefer, prefer_reason) end)
end

function Pool:_pick(lead, options, prefer, prefer_reason)
  owners.prepare(self.keys)
  if prefer then owners.prepare { prefer } end
  local stored = self.kv.get("state")
  -- From here to the end nothing waits: decision and effect are one.
  self.base = rotation.fit(stored, self.members)
  local now = time.now()
  local candidates, eligible = {}, {}
  for i, member in ipairs(self.members) do
    local gate = self:_gate(member, now)
    candidates[i] = { owner = member.key, weight = member.weight, gate = gate }
    if not gate then eligible[#eligible + 1] = member end
  end

  local owner, by, reason
  if prefer then
    owner = owners.find(prefer)
    local member = self:_member_of(owner)
    local gate = not owner and "no active owner of the account"
        or member and options.count ~= false and self:_gate(member, now) or nil
    table.insert(candidates, 1, { owner = prefer, preferred = true, gate = gate })
    if gate then
      owner = nil
      prefer_reason = ("preferred owner %s cannot: %s"):format(prefer, gate)
    else
      by, reason = "prefer", prefer_reason or "preferred owner"
      prefer_reason = nil
      local period = member and member.cap and options.count ~= false and period_of(member.cap.per, now, self.tz)
      self:_take({}, member and member.key, period)
    end
  end
  if not owner and #eligible > 0 then
    local index, delta = rotation.pick(eligible, function(key)
      return (self.base.current[key] or 0) + (self.open.current[key] or 0)
    end)
    local member = eligible[index]
    owner, by = owners.find(member.key), "rotation"
    reason = ("turn of %s (weight %d of %d)"):format(member.key, member.weight, total_weight(eligible))
    self:_take(delta, member.key, member.cap and period_of(member.cap.per, now, self.tz))
  end
  if not owner and self.fallback then
    owner = owners.find(self.fallback)
    candidates[#candidates + 1] = {
      owner = self.fallback, fallback = true, gate = not owner and "no active owner of the account" or nil,
    }
    if owner then by, reason = "fallback", "nobody in the pool can: fallback" end
  end

  local because = options.because
  if prefer_reason then because = because and because .. "; " .. prefer_reason or prefer_reason end
  if because and reason then reason = because .. "; " .. reason end
  host.audit("routing", "contact " .. tostring(lead.id), {
    pool = self.name, rule = self.rule, at = now, candidates = json.array(candidates),
    pick = owner and owner.id or json.null, email = owner and owner.email, by = by, reason = reason or "nobody can",
  })
  if not owner then self:_nobody(lead, candidates) end
  return { owner_id = owner.id, owner_email = owner.email, pool = self.name, rule = self.rule, by = by, reason = reason }
end

function Pool:_member_of(owner)
  if not owner then return nil end
  return self.by_key[owner.id] or owner.email and self.by_key[owner.email] or nil
end

function Pool:_nobody(lead, candidates)
  local lines = {}
  for _, c in ipairs(candidates) do lines[#lines + 1] = ("%s: %s"):format(c.owner, c.gate) end
  error(setmetatable({
    kind = "routing", retryable = true,
    message = ('pool "%s": nobody can take contact %s (%s)%s'):format(self.name, tostring(lead.id),
      table.concat(lines, "; "), self.fallback and "" or '; a fallback = "…" would take such leads'),
  }, { __tostring = function(e) return e.message end }), 0)
end

--- What the pool stands at: for each member the picks counted in its cap's period and the place in the rotation.
--- Reads memory and the store; waits only when the state is not in memory.
---@return {owner: string, weight: integer, counted: integer|nil, current: integer}[]
function Pool:standing()
  self.base = rotation.fit(self.kv.get("state"), self.members)
  local now, list = time.now(), {}
  for i, member in ipairs(self.members) do
    list[i] = {
      owner = member.key, weight = member.weight,
      counted = member.cap and self:_counted(member.key, period_of(member.cap.per, now, self.tz)),
      current = (self.base.current[member.key] or 0) + (self.open.current[member.key] or 0),
    }
  end
  return list
end

return pool
