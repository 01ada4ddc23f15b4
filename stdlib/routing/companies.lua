--- The account's companies by e-mail domain and by name, in memory: one search a lead would meet HubSpot's limit of
--- five a second. Listed once, by whoever asks first, and kept current by company events and by a timer (watch) that reads
--- what has changed since the last time, and once a day all of them, which shows deletions that no event told.
local _, host = ...
local hubspot = require "hubspot"
local match = require "routing.match"
local match_index = require "routing.match_index"
local single = require "routing.single"

local FRESH_MS <const> = 60 * 60 * 1000
local LIST_MS <const> = 24 * 60 * 60 * 1000
local OVERLAP_MS <const> = 5 * 60 * 1000      -- searches lag behind writes
local PROPERTIES <const> = match_index.properties

local companies = {}
local indexes = {}   -- by account name
local watched = false

-- Puts the companies of `rows` in. Changes that arrive while the pages come in are newer than the pages.
local function take(index, data, rows)
  local seen <const>, late <const> = {}, {}
  index.late = late
  local _ <close> = setmetatable({}, { __close = function() index.late = nil end })
  for company in rows do
    local entry = match_index.entry(company)
    seen[entry.id] = true
    if late[entry.id] == nil then data:put(entry) end
    local ok, ms = pcall(time.parse, company.hs_lastmodifieddate)
    if ok and ms > index.cursor then index.cursor = ms end
  end
  for id, entry in pairs(late) do
    seen[id] = true
    if entry then data:put(entry) else data:remove(id) end
  end
  return seen
end

-- All companies once a day; in between those that changed since the newest change seen, by HubSpot's clock.
local function new_index(account)
  local index = { data = nil, read_at = nil, listed_at = nil, late = nil, cursor = 0 }
  index.load, index.loading = single(function()
    local api = account ~= "" and hubspot.account(account) or hubspot
    local now = time.now()
    if index.data and now - index.listed_at < LIST_MS then
      take(index, index.data, api.companies.search { properties = PROPERTIES, filters = {
        { propertyName = "hs_lastmodifieddate", operator = "GTE", value = ("%d"):format(math.max(0, index.cursor - OVERLAP_MS)) },
      } })
    else
      local data = index.data or match_index.new()
      local seen = take(index, data, api.companies.list { properties = PROPERTIES })
      for id in pairs(data.by_id) do
        if not seen[id] then data:remove(id) end
      end
      index.data, index.listed_at = data, now
    end
    index.read_at = now
  end)
  return index
end

local function index_here()
  local account = host.account() or ""
  local index = indexes[account]
  if not index then
    index = new_index(account)
    indexes[account] = index
  end
  return index
end

local function loaded_index()
  local index = index_here()
  if not index.data then
    index.load()
  elseif not watched and time.now() - index.read_at >= FRESH_MS and not index.loading() then
    index.load()
  end
  return index.data
end

local function changed(id)
  local index = index_here()
  if not index.data and not index.loading() then return end   -- the first load will see it
  local ok, company = pcall(hubspot.companies.get, id, PROPERTIES)
  local entry
  if ok then
    entry = match_index.entry(company)
  elseif type(company) ~= "table" or company.status ~= 404 then
    error(company, 0)                                         -- the event is retried
  end
  -- The answer's id can be another one: the record was merged into it.
  if not entry or entry.id ~= id then companies.removed(id) end
  if not entry then return end
  if index.late then index.late[entry.id] = entry end
  if index.data then index.data:put(entry) end
end

--- Forgets a company.
---@param id string
function companies.removed(id)
  local index = index_here()
  if index.late then index.late[id] = false end
  if index.data then index.data:remove(id) end
end

--- Registers the events and the timer that keep the index current. Only while the script loads.
---@param options {refresh: string|number|nil}|nil refresh: how often changes are read, default "1h"
function companies.watch(options)
  if watched then error("routing.watch_companies is called twice", 2) end
  options = options or {}
  local function on_changed(event) changed(tostring(event.objectId)) end
  local name = "routing companies"
  on("company.creation", { name = name .. " creation", concurrency = 500 }, on_changed)
  on("company.restore", { name = name .. " restore", concurrency = 500 }, on_changed)
  for _, property in ipairs { "domain", "name", "hubspot_owner_id" } do
    on("company.propertyChange", { name = name .. " " .. property, property = property, concurrency = 500 }, on_changed)
  end
  on("company.deletion", { name = name .. " deletion", concurrency = 500 }, function(event)
    companies.removed(tostring(event.objectId))
  end)
  on("company.merge", { name = name .. " merge" }, function(event)
    for _, id in ipairs(event.mergedObjectIds or {}) do companies.removed(tostring(id)) end
    changed(tostring(event.newObjectId or event.primaryObjectId or event.objectId))
  end)
  every(options.refresh or "1h", { name = name .. " refresh" }, function()
    for _, index in pairs(indexes) do
      if index.data and not index.loading() then index.load() end
    end
  end)
  watched = true
end

-- What was found for a lead, by the table that the script read it into: the record of its routing tells it, too.
local outcomes = setmetatable({}, { __mode = "k" })

--- The company that a lead belongs to, or nil and why none. Waits while the companies are first listed.
---@param lead table
---@param threshold number
---@return routing.match|nil
---@return {explanation: string, candidates: table[]}
function companies.find(lead, threshold)
  local facts = match.facts(lead)
  local data = (facts.domain or facts.site or facts.firm) and loaded_index() or nil
  local found, out = match.find(data, facts, threshold)
  outcomes[lead] = out
  return found, out
end

--- What companies.find said of this lead, for the record of a decision; nil when it was not asked.
---@param lead table
---@return table|nil
function companies.outcome(lead) return outcomes[lead] end

return companies
