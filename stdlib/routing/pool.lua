--- Pools: who gets the next lead. See routing.lua for the whole picture.
local _, host = ...
local calendar = require "routing.calendar"
local calendars = require "routing.calendars"
local companies = require "routing.companies"
local definition = require "routing.definition"
local owners = require "routing.owners"
local rotation = require "routing.rotation"
local step = require "engine.step"

local pool = {}
local Pool = {}
Pool.__index = Pool
Pool.__name = "routing.pool"

local known = {}   -- by name: two pools of one name would share one state by accident

---@class routing.cap
---@field per "hour"|"day"|"week"|"month" in the member's time zone
---@field count integer

---@class routing.member
---@field owner string e-mail or owner id
---@field weight integer|nil 1 to 1000, default 1
---@field cap routing.cap|routing.cap[]|nil at most this many leads a period
---@field hours string|nil "Mon-Fri 09:00-17:00 America/New_York"; several: "Mon-Thu 09:00-12:00,13:00-17:00 Fri 9:00-14:00"
---@field tz string|nil of hours without one, caps and days off; default that of hours, then the pool's
---@field away string[]|nil days off: "2026-12-24..2027-01-02", both included; calendar = URL or secret "NAME": iCalendar
---@field holidays string[]|nil beside those of the pool
---@field skills string[]|nil see assign

---@class routing.definition
---@field members routing.member[]
---@field fallback string|routing.pool|(string|routing.pool)[]|nil asked in this order when no member can
---@field tz string|nil default UTC
---@field hours string|nil of members without their own
---@field holidays string[]|nil
---@field hold string|number|nil a duration: when somebody works again by then, the handler waits for it, before the fallback
---@field sticky string|number|nil a duration: who comes again within it goes to the same member

---@return boolean
function pool.is(value) return getmetatable(value) == Pool end

--- Declares a pool. Its state is kept in the store under the pool's name.
---@param name string
---@param given routing.definition
---@return routing.pool
function pool.new(name, given)
  if known[name] then error(('pool "%s" is declared twice'):format(name), 2) end
  local self, wrong = definition.read(name, given, pool.is)
  if not self then error(wrong, 2) end
  self.kv = host.kv("pool:" .. name)
  self.base = nil                                        -- what is committed, as last seen
  self.open = { lag = {}, counts = {}, sticky = {} }     -- of the picks whose handlers still run
  for _, member in ipairs(self.members) do
    if member.calendar then member.feed = calendars.feed(member.calendar, member.tz, member.key) end
  end
  known[name] = setmetatable(self, Pool)
  return self
end

--- The pools of this script, by name.
---@return table<string, routing.pool>
function pool.declared() return known end

-- Open counts are kept by period, because a handler can begin before midnight and end after it.
local function count_open(open, slot, period, amount)
  local of_slot = open.counts[slot] or {}
  open.counts[slot] = of_slot
  local n = (of_slot[period] or 0) + amount
  of_slot[period] = n ~= 0 and n or nil
  if not next(of_slot) then open.counts[slot] = nil end
end

function Pool:_counted(member, cap, ms)
  local slot, period = rotation.slot(member.key, cap.per), calendar.period(cap.per, ms, member.tz)
  local stored, open = self.base.counts[slot], self.open.counts[slot]
  return (stored and stored.period == period and stored.n or 0) + (open and open[period] or 0)
end

local function total_weight(members)
  local total = 0
  for _, member in ipairs(members) do total = total + member.weight end
  return total
end

local function lacks(member, skills)
  for _, skill in ipairs(skills) do
    if not member.skills[skill] then return skill end
  end
  return nil
end

-- What others than the settings say of this member's absence: as text, and when it ends (nil: nobody knows).
function Pool:_absent(member, owner, ms)   -- luacheck: no self
  local said, ends = calendar.absent(owner.absence, ms, member.tz, "HubSpot")
  if said or not member.feed then return said, ends end
  return calendar.absent(member.feed.absence, ms, member.tz, "calendar")
end

-- Why this owner cannot take a lead now, or nil.
function Pool:_gate(member, now, skills, excluded, uncounted)
  local owner = owners.find(member.key)
  if not owner then return owners.NONE end
  if excluded[owner.id] or excluded[owner.email or ""] then return "excluded by the script" end
  local skill = lacks(member, skills)
  if skill then return "has no skill " .. skill end
  local off = self:_absent(member, owner, now) or calendar.off(member, now)
  if off then return off end
  for _, cap in ipairs(uncounted and {} or member.caps) do
    if self:_counted(member, cap, now) >= cap.count then return ("cap %d a %s reached"):format(cap.count, cap.per) end
  end
  return nil
end

-- When this owner, who cannot now, could take a lead; nil: not in sight.
function Pool:_free_at(member, now, asked)
  local owner = owners.find(member.key)
  if not owner or lacks(member, asked.skills) or asked.excluded[owner.id] or asked.excluded[owner.email or ""] then return nil end
  local at = now
  for _ = 1, 64 do
    at = calendar.next_work(member, at)
    if not at then return nil end
    local absent, later = self:_absent(member, owner, at)
    if absent and not later then return nil end
    for _, cap in ipairs(member.caps) do
      if self:_counted(member, cap, at) >= cap.count then
        later = math.max(later or 0, calendar.next_period(cap.per, at, member.tz))
      end
    end
    if not later then return at end
    at = later
  end
  return nil
end

-- The pick counts in memory from now on, and in the store with the handler's completion, or not at all.
function Pool:_take(delta, member, now, sticky)
  local open, slots = self.open, {}
  for _, cap in ipairs(member and member.caps or {}) do
    slots[rotation.slot(member.key, cap.per)] = calendar.period(cap.per, now, member.tz)
  end
  if not next(delta) and not next(slots) and not sticky then return end   -- a preferred owner that nobody counts
  rotation.add(open.lag, delta, 1)
  for slot, period in pairs(slots) do count_open(open, slot, period, 1) end
  local mark = sticky and { owner = member.key }
  if sticky then open.sticky[sticky] = mark end
  host.on_end(function(ok)
    rotation.add(open.lag, delta, -1)
    for slot, period in pairs(slots) do count_open(open, slot, period, -1) end
    if sticky and open.sticky[sticky] == mark then open.sticky[sticky] = nil end
    if not ok then return end
    if sticky then self.kv.set(sticky, member.key, { ttl = math.max(1, self.sticky // 1000) }) end
    if not next(delta) and not next(slots) then return end
    -- Another script may share the pool, so the sum is made on what is stored now. Reading must not wait here:
    -- when the value is not in memory, what we saw last is the newest there is, since every writer loads it.
    local read, stored = pcall(self.kv.get, "state")
    local state = read and rotation.fit(stored, self.members) or self.base
    rotation.add(state.lag, delta, 1)
    for slot, period in pairs(slots) do rotation.count(state.counts, slot, period) end
    self.base = state
    self.kv.set("state", state)
  end)
end

---@class routing.pick
---@field owner_id string
---@field owner_email string|nil
---@field pool string
---@field rule string the pool's name and the version of its definition
---@field by "prefer"|"sticky"|"rotation"|"fallback"
---@field reason string for people

---@class routing.assign_options
---@field prefer string|table|nil an owner id or e-mail, or what routing.match_account returned: taken when active, and, if
---a member, at work and below the cap
---@field count boolean|nil false: a preferred pick does not count against that owner's cap
---@field skills string[]|nil only members who have them all
---@field exclude string[]|nil owner ids or e-mails: members who do not get it this time
---@field sticky string|nil of a sticky pool: leads of one such key stay together; default the lead's id
---@field because string|nil why this pool was asked, for the record
---@field territory table|nil what a territory notes in the record

local assign_options = { prefer = true, count = true, skills = true, exclude = true, sticky = true, because = true, territory = true }

-- What is asked of the pool, checked. Misuse is of who called the caller.
function Pool:_asked(lead, options)
  options = options or {}
  if type(lead) ~= "table" or lead.id == nil then error("assign needs a record with an id", 3) end
  for option in pairs(options) do
    if not assign_options[option] then
      error(("assign has no option %s (it has: because, count, exclude, prefer, skills, sticky)"):format(tostring(option)), 3)
    end
  end
  local asked = { id = tostring(lead.id), count = options.count, because = options.because, prefer = options.prefer,
    territory = options.territory, match = companies.outcome(lead) }
  local wrong
  if type(asked.prefer) == "table" then asked.prefer, asked.prefer_reason = asked.prefer.owner, asked.prefer.explanation end
  if asked.prefer then
    asked.prefer, wrong = definition.owner_key(asked.prefer, "prefer")
    if wrong then error(wrong, 3) end
  else
    asked.prefer = nil
  end
  asked.skills, wrong = definition.skills(options.skills, "assign")
  if wrong then error(wrong, 3) end
  asked.excluded = {}
  for _, one in ipairs(options.exclude or {}) do
    local key, not_one = definition.owner_key(one, "exclude")
    if not_one then error(not_one, 3) end
    asked.excluded[key] = true
  end
  asked.sticky_key = self.sticky and options.sticky and tostring(options.sticky)
  asked.sticky = self.sticky and ("sticky " .. (asked.sticky_key or asked.id)):sub(1, 500) or nil
  return asked
end

--- Picks an owner for a lead. In a handler this is a step: it waits until the pick is stored, and when the handler runs
--- again the pick is the same. Inside a step of the script it is stored with that one, elsewhere at the end. Takes
--- effect at once for every other task, and is undone when it is not stored. In a pool that holds, the handler may end in
--- a wait() here, and runs again when somebody works.
--- Raises kind "routing" when nobody can take it and there is no fallback.
---@param lead table a record with an id
---@param options routing.assign_options|nil
---@return routing.pick
function Pool:assign(lead, options)
  local asked = self:_asked(lead, options)
  local name = host.step.name(("pool %s: %s"):format(self.name, asked.id):sub(1, 180))
  if not name then return self:_pick(asked) end
  asked.may_hold = self.hold ~= nil
  local pick = step(name, function() return self:_pick(asked) end)
  while pick.held_until do
    asked.held_since = pick.held_since
    wait(name .. ": held", { ["until"] = pick.held_until })
    name = host.step.name(name)
    pick = step(name, function() return self:_pick(asked) end)
  end
  return pick
end

-- Reads what a decision needs of this pool and of those that it falls back to, so that nothing waits later.
function Pool:_prepare()
  owners.prepare(self.keys)
  for _, member in ipairs(self.members) do
    if member.feed then member.feed:prepare() end
  end
  self.kv.get("state")
  for _, one in ipairs(self.fallback) do
    if one.pool then one.pool:_prepare() end
  end
end

-- The owner whose turn it is, and why; nil when no member can.
function Pool:_turn(asked, now, candidates, top)
  self.base = rotation.fit(self.kv.get("state"), self.members)
  local eligible = {}
  for _, member in ipairs(self.members) do
    local gate = self:_gate(member, now, asked.skills, asked.excluded)
    local lag = (self.base.lag[member.key] or 0) + (self.open.lag[member.key] or 0)
    candidates[#candidates + 1] = {
      owner = member.key, weight = member.weight, gate = gate, pool = not top and self.name or nil,
      behind = math.floor(lag * 1000 / rotation.TURN + 0.5) / 1000,
    }
    if not gate then eligible[#eligible + 1] = member end
  end
  if asked.chosen or #eligible == 0 then return nil end
  local index, delta = rotation.pick(eligible, function(key)
    return (self.base.lag[key] or 0) + (self.open.lag[key] or 0)
  end)
  local member = eligible[index]
  self:_take(delta, member, now, top and asked.sticky)
  return owners.find(member.key), ("turn of %s (weight %d of %d)"):format(member.key, member.weight, total_weight(eligible))
end

-- An owner outside of the turns. What keeps it from the lead, or nil.
function Pool:_outside(key, asked, now, candidates, what, uncounted)
  local owner = owners.find(key)
  local member = self:_member_of(owner)
  local gate = not owner and owners.NONE or member and self:_gate(member, now, {}, asked.excluded, uncounted) or nil
  table.insert(candidates, 1, { owner = key, [what] = true, gate = gate })
  if gate then return gate end
  self:_take({}, not uncounted and member or nil, now, what == "sticky" and asked.sticky)
  asked.chosen = owner
  return nil
end

function Pool:_fall_back(asked, now, candidates)
  for _, one in ipairs(self.fallback) do
    if one.key then
      local owner = owners.find(one.key)
      candidates[#candidates + 1] = { owner = one.key, fallback = true, gate = not owner and owners.NONE or nil }
      if owner then return owner, "nobody in the pool can: fallback" end
    else
      local owner, reason = one.pool:_turn(asked, now, candidates)
      if not owner then owner, reason = one.pool:_fall_back(asked, now, candidates) end
      if owner then return owner, ('nobody in the pool can: pool "%s": %s'):format(one.pool.name, reason) end
    end
  end
  return nil
end

-- Until when the lead is held, if it is.
function Pool:_hold(asked, now)
  if not asked.may_hold then return nil end
  local soonest
  for _, member in ipairs(self.members) do
    local at = self:_free_at(member, now, asked)
    if at and (not soonest or at < soonest) then soonest = at end
  end
  local since = asked.held_since or now
  return soonest and soonest > now and soonest <= since + self.hold and soonest or nil, since
end

function Pool:_pick(asked)
  self:_prepare()
  if asked.prefer then owners.prepare { asked.prefer } end
  local stuck = asked.sticky and (self.kv.get(asked.sticky) or false)
  -- From here to the end nothing waits: decision and effect are one.
  local now, candidates, notes, by, reason = host.now(), {}, { asked.because }, nil, nil
  stuck = asked.sticky and self.open.sticky[asked.sticky] and self.open.sticky[asked.sticky].owner or stuck
  asked.chosen = nil
  self.base = rotation.fit(self.kv.get("state"), self.members)
  local outside = {}
  local function try(key, what, good, uncounted)
    local gate = self:_outside(key, asked, now, outside, what, uncounted)
    if gate then notes[#notes + 1] = ("%s owner %s cannot: %s"):format(what, key, gate) else by, reason = good[1], good[2] end
  end
  if asked.prefer then
    try(asked.prefer, "preferred", { "prefer", asked.prefer_reason or "preferred owner" }, asked.count == false)
  end
  if stuck and not by and self.by_key[stuck] then
    local skill = lacks(self.by_key[stuck], asked.skills)
    if not skill then try(stuck, "sticky", { "sticky", "had it before" }) end
  end
  local owner, turn = self:_turn(asked, now, candidates, true)
  if owner then by, reason = "rotation", turn end
  owner = owner or asked.chosen
  local held_until, since
  if not owner then
    held_until, since = self:_hold(asked, now)
    if held_until then
      by, reason = "hold", "nobody can before " .. time.iso(held_until)
    else
      owner, reason = self:_fall_back(asked, now, candidates)
      by = owner and "fallback"
    end
  end

  table.move(candidates, 1, #candidates, #outside + 1, outside)
  notes[#notes + 1] = reason or "nobody can"
  reason = table.concat(notes, "; ")
  host.audit("routing", "contact " .. asked.id, {
    pool = self.name, rule = self.rule, at = now, candidates = json.array(outside), skills = asked.skills[1] and asked.skills,
    territory = asked.territory, match = asked.match, sticky = asked.sticky_key, uncounted = asked.count == false or nil,
    pick = owner and owner.id or json.null, email = owner and owner.email, by = by, reason = reason, held_until = held_until,
  })
  if held_until then return { held_until = held_until, held_since = since } end
  if not owner then self:_nobody(asked, outside) end
  return { owner_id = owner.id, owner_email = owner.email, pool = self.name, rule = self.rule, by = by, reason = reason }
end

function Pool:_member_of(owner)
  if not owner then return nil end
  return self.by_key[owner.id] or owner.email and self.by_key[owner.email] or nil
end

function Pool:_nobody(asked, candidates)
  local lines = {}
  for _, c in ipairs(candidates) do lines[#lines + 1] = ("%s: %s"):format(c.owner, c.gate) end
  error(setmetatable({
    kind = "routing", retryable = true,
    message = ('pool "%s": nobody can take contact %s (%s)%s'):format(self.name, asked.id,
      table.concat(lines, "; "), #self.fallback > 0 and "" or '; a fallback = "…" would take such leads'),
  }, { __tostring = function(e) return e.message end }), 0)
end

--- What the pool stands at: for each member the picks counted in its first cap's period and the turns that it is behind (+)
--- or ahead (-). Reads memory and the store; waits only when the state is not in memory.
---@return {owner: string, weight: integer, counted: integer|nil, behind: number}[]
function Pool:standing()
  self.base = rotation.fit(self.kv.get("state"), self.members)
  local now, list = host.now(), {}
  for i, member in ipairs(self.members) do
    local lag = (self.base.lag[member.key] or 0) + (self.open.lag[member.key] or 0)
    list[i] = {
      owner = member.key, weight = member.weight, behind = lag / rotation.TURN,
      counted = member.caps[1] and self:_counted(member, member.caps[1], now),
    }
  end
  return list
end

return pool
