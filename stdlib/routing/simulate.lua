--- `hubloop route simulate`: the pools of one script decide again who gets the leads of the past, or made-up ones.
--- In the state of that script, which has loaded and does nothing else: what pools have of the host (clock, store, owners,
--- records) is replaced here, so that nothing is asked of HubSpot and nothing is stored.
---
--- Of a recorded decision these are taken over: when it was, the pool, skills, the preferred owner, the key of a sticky
--- pool, who was excluded; and of its members who had no active owner, or were away by HubSpot or by a calendar.
local _, host = ...
local arrivals = require "routing.arrivals"
local fairness = require "routing.fairness"
local fairness_text = require "routing.fairness_text"
local owners = require "routing.owners"
local pools = require "routing.pool"
local territories = require "routing.territory"

local simulate = {}

local clock = 0
local outside = {}        -- of the lead at hand, by owner: what keeps it that no setting tells
local queue = {}          -- leads that are held, the first due first
local made, recorded, others
local source              -- of made-up leads

local function memory()
  local values, ends = {}, {}
  return {
    get = function(key)
      if ends[key] and ends[key] <= clock then values[key], ends[key] = nil, nil end
      return values[key]
    end,
    set = function(key, value, options)
      values[key], ends[key] = value, options and options.ttl and clock + options.ttl * 1000 or nil
    end,
  }
end

local function absent(_, member, _, ms)
  local gate = outside[member.key]
  local text = gate and gate:match("until (%S+)$")
  local ends = text and time.parse(text)
  if ends and ends <= ms then return nil end
  return gate, ends
end

---@param request { first: integer, sim: { leads: integer, seed: integer, until_ms: integer }|nil }
---@return table names of the pools
function simulate.begin(request)
  clock, made, recorded, others = request.first, fairness.new(), fairness.new(), {}
  host.now = function() return clock end
  host.on_end = function(fn) fn(true) end
  host.audit = function(_, key, record) made:add(key:sub(#"contact " + 1), record) end
  owners.prepare = function() end
  owners.find = function(key)
    if outside[key] == owners.NONE then return nil end
    return { id = key, email = key:find("@", 1, true) and key or nil }
  end
  local names = json.array {}
  for name, pool in pairs(pools.declared()) do
    pool.kv = memory()
    for _, member in ipairs(pool.members) do member.feed = nil end
    getmetatable(pool)._absent = absent
    if not (request.sim and pool.of_sla) then names[#names + 1] = name end
  end
  table.sort(names)
  if request.sim then source = arrivals.new(request.first, request.sim, pools.declared(), territories.declared()) end
  return { pools = names }
end

-- The pool decides, now. Who is held comes again.
local function decide(lead)
  outside = lead.outside or {}
  local ok, pick = pcall(lead.pool._pick, lead.pool, lead.asked)
  if not ok then
    if type(pick) ~= "table" or pick.kind ~= "routing" then error(pick, 0) end
  elseif pick.held_until then
    lead.asked.held_since, lead.due = pick.held_since, pick.held_until
    local at = #queue + 1
    while at > 1 and queue[at - 1].due > lead.due do at = at - 1 end
    table.insert(queue, at, lead)
  end
end

local function go_to(ms)
  while queue[1] and queue[1].due <= ms do
    local lead = table.remove(queue, 1)
    clock = math.max(clock, lead.due)
    decide(lead)
  end
  clock = math.max(clock, ms)
end

local function come(pool, lead, options, gates)
  local asked = pool:_asked(lead, options)
  asked.may_hold = pool.hold ~= nil
  decide { pool = pool, asked = asked, outside = gates }
end

local function options_of(record)
  local options, gates = { skills = record.skills, sticky = record.sticky, count = not record.uncounted, exclude = {} }, {}
  for _, c in ipairs(record.candidates) do
    if c.preferred then options.prefer = c.owner
    elseif c.gate == "excluded by the script" then table.insert(options.exclude, c.owner)
    elseif c.gate and (c.gate == owners.NONE or c.gate:find("^away %(")) then gates[c.owner] = c.gate end
  end
  return options, gates
end

--- Takes decisions of the past, in their order.
---@param request { records: { at: integer, key: string, record: table }[] }
function simulate.feed(request)
  for _, audit in ipairs(request.records) do
    local record, id = audit.record, audit.key:sub(#"contact " + 1)
    local pool = type(record) == "table" and pools.declared()[record.pool]
    if pool then
      local again = recorded:waits(record.pool, id)
      record.at = record.at or audit.at
      recorded:add(id, record)
      if not again then
        go_to(record.at)
        come(pool, { id = id }, options_of(record))
      end
    elseif type(record) == "table" and record.pool and record.by ~= "hold" then
      others[record.pool] = (others[record.pool] or 0) + 1
    end
  end
  return {}
end

--- Makes the next `n` leads up. `left`: how many come still.
---@param request { n: integer }
function simulate.arrive(request)
  local n = 0
  while n < request.n do
    local lead = source:next()
    if not lead then break end
    go_to(lead.at)
    come(lead.pool, lead.record, lead.options)
    n = n + 1
  end
  return { left = source.left }
end

--- Nothing more comes until then.
---@param request { until_ms: integer }
---@return table made, recorded by pool; others: decisions of pools that the script has not
function simulate.finish(request)
  go_to(request.until_ms)
  return { made = made:result(), recorded = recorded:result(), others = others }
end

local function date(ms) return time.iso(ms):sub(1, 10) end

local function quoted(names)
  local list = {}
  for i, name in ipairs(names) do list[i] = ('"%s"'):format(name) end
  return table.concat(list, ", ")
end

--- What was found, for people and for programs.
---@param request { made: table, before: table|nil, others: table, labels: table, first: integer, until_ms: integer, sim: table|nil,
---columns: integer }
---@return { text: string, json: table }|{ wrong: string }
function simulate.show(request)
  local names, pairs_of, elsewhere, asked = {}, {}, {}, 0
  for name, p in pairs(request.made) do
    if p.leads > 0 or p.turns > 0 or p.waiting > 0 then names[#names + 1] = name end
    asked = asked + p.leads + p.waiting
  end
  for name in pairs(request.others) do elsewhere[#elsewhere + 1] = name end
  table.sort(names)
  table.sort(elsewhere)
  if asked == 0 then
    local own = {}
    for name in pairs(pools.declared()) do own[#own + 1] = name end
    table.sort(own)
    if #elsewhere == 0 then return { wrong = ("no routing decision since %s"):format(date(request.first)) } end
    return { wrong = ("the decisions since %s are of the pools %s, and %s has %s: a pool is known by its name"):format(
      date(request.first), quoted(elsewhere), request.labels.now, quoted(own)) }
  end
  for i, name in ipairs(names) do
    pairs_of[i] = { now = request.made[name], before = request.before and request.before[name] }
  end
  local notes = {}
  for i, name in ipairs(elsewhere) do
    notes[i] = ('Not in %s: pool "%s" with %d decision%s'):format(request.labels.now, name, request.others[name],
      request.others[name] == 1 and "" or "s")
  end
  local title = { request.sim and ("%d made-up leads (seed %d)"):format(request.sim.leads, request.sim.seed) or "Recorded leads",
    ("%s to %s"):format(date(request.first), date(request.until_ms)),
    request.before and ("%s beside %s"):format(request.labels.now, request.labels.before) or request.labels.now,
    "nothing was changed" }
  return {
    text = fairness_text.render({ pools = pairs_of, labels = request.labels, title = title, notes = notes }, request.columns),
    json = { since = request.first, ["until"] = request.until_ms, simulated = request.sim or json.null, pools = json.array(pairs_of),
      others = request.others },
  }
end

return simulate
