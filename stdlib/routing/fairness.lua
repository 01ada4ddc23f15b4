--- Who got how many leads, and how many were theirs: counted from the records that pools leave with each decision.
---
--- The exact share of a member is the sum, over all turns at which nothing kept it, of its weight over the weights of all
--- whom nothing kept. Picks outside the turns (preferred, sticky, a fallback to an owner) are nobody's turn.
local fairness = {}
fairness.__index = fairness

---@class routing.fairness.member
---@field owner string as the pool names it
---@field weight integer|nil nil: no member
---@field could integer turns at which nothing kept it
---@field share number leads
---@field got integer leads in turn
---@field outside integer leads otherwise
---@field kept table<string, integer> turns by what kept it from them

---@class routing.fairness.pool
---@field pool string
---@field leads integer decided: with those of other pools that fell back to this one
---@field turns integer
---@field by table<string, integer> "prefer", "rotation", "sticky", "fallback", "nobody"
---@field held integer leads that waited, which lasted held_ms together and held_longest at most
---@field waiting integer leads that were waiting still
---@field off number the furthest that anybody was from its share at any turn
---@field off_owner string|nil
---@field members routing.fairness.member[]

---@return table
function fairness.new() return setmetatable({ pools = {}, names = {} }, fairness) end

function fairness:pool(name)
  local p = self.pools[name]
  if not p then
    p = { pool = name, leads = 0, turns = 0, by = {}, held = 0, held_ms = 0, held_longest = 0, waiting = 0, off = 0, members = {},
      by_key = {}, held_since = {} }
    self.pools[name] = p
    self.names[#self.names + 1] = name
    table.sort(self.names)
  end
  return p
end

local function row(p, key)
  local m = p.by_key[key]
  if not m then
    m = { owner = key, could = 0, share = 0, got = 0, outside = 0, kept = {} }
    p.by_key[key] = m
    p.members[#p.members + 1] = m
  end
  return m
end

-- A gate without what differs from lead to lead.
local function kind_of(gate)
  return (gate:gsub("^away (%b()).*$", "away %1"):gsub("^away [%d-.]+$", "away"):gsub("^holiday .*$", "holiday")
    :gsub("^off work.*$", "off work"):gsub(" reached$", ""):gsub("^no active owner.*$", "no active owner"):gsub(" by the script$", ""))
end

local function is(candidate, record)
  return candidate.owner == record.pick or candidate.owner == record.email
end

-- The candidates of one pool's turn, and whether one of them was picked in it.
local function turn(p, candidates, record)
  local total, picked = 0, nil
  for _, c in ipairs(candidates) do
    local m = row(p, c.owner)
    m.weight = c.weight
    if c.gate then
      local kind = kind_of(c.gate)
      m.kept[kind] = (m.kept[kind] or 0) + 1
    else
      total = total + c.weight
      if not picked and is(c, record) then picked = m end
    end
  end
  if not picked then return false end
  p.turns = p.turns + 1
  picked.got = picked.got + 1
  for _, c in ipairs(candidates) do
    if not c.gate then
      local m = row(p, c.owner)
      m.could = m.could + 1
      m.share = m.share + c.weight / total
      local off = math.abs(m.got - m.share)
      if off > p.off then p.off, p.off_owner = off, m.owner end
    end
  end
  return true
end

local function hold(p, id, record)
  if not p.held_since[id] then p.held, p.waiting = p.held + 1, p.waiting + 1 end
  p.held_since[id] = p.held_since[id] or record.at
end

local function ended(p, id, record)
  local since = p.held_since[id]
  if not since then return end
  p.held_since[id] = nil
  p.waiting = p.waiting - 1
  p.held_ms = p.held_ms + (record.at - since)
  p.held_longest = math.max(p.held_longest, record.at - since)
end

--- Whether the lead waits in that pool: the next record about it is of the same lead.
function fairness:waits(pool, id) return self.pools[pool] ~= nil and self.pools[pool].held_since[id] ~= nil end

--- Counts one decision.
---@param id string of the lead
---@param record table as pool:assign leaves it
function fairness:add(id, record)
  local top = self:pool(record.pool)
  if record.by == "hold" then return hold(top, id, record) end
  ended(top, id, record)
  local by = record.by or "nobody"
  top.leads, top.by[by] = top.leads + 1, (top.by[by] or 0) + 1
  -- In the order in which they were asked: this pool, then those that it falls back to.
  local groups, in_turn = {}, false
  for _, c in ipairs(record.candidates) do
    local name = c.pool or record.pool
    if c.weight then
      if not groups[name] then groups[#groups + 1] = name end
      groups[name] = groups[name] or {}
      table.insert(groups[name], c)
    end
  end
  if by ~= "prefer" and by ~= "sticky" then
    for _, name in ipairs(groups) do
      if not in_turn then
        in_turn = turn(self:pool(name), groups[name], record)
        if in_turn and name ~= record.pool then
          local p = self:pool(name)
          p.leads, p.by.rotation = p.leads + 1, (p.by.rotation or 0) + 1
        end
      end
    end
  else
    for _, c in ipairs(groups[record.pool] or {}) do row(top, c.owner).weight = c.weight end
  end
  if in_turn or record.pick == json.null or record.pick == nil then return end
  local key = record.email or record.pick
  for _, c in ipairs(record.candidates) do
    if is(c, record) then key = c.owner end
  end
  local m = row(top, key)
  m.outside = m.outside + 1
end

--- What was counted, by the pools' names.
---@return table<string, routing.fairness.pool>
function fairness:result()
  local result = {}
  for _, name in ipairs(self.names) do
    local p, copy = self.pools[name], {}
    for key, value in pairs(p) do
      if key ~= "by_key" and key ~= "held_since" then copy[key] = value end
    end
    copy.members = json.array(copy.members)
    result[name] = copy
  end
  return result
end

return fairness
