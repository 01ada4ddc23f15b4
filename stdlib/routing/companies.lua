--- The account's companies by e-mail domain and by name, in memory: one search a lead would meet HubSpot's limit of
--- five a second. Listed once, by whoever asks first, and kept current by company events and a timer (watch).
local _, host = ...
local hubspot = require "hubspot"
local match = require "routing.match"
local match_index = require "routing.match_index"
local single = require "routing.single"

local FRESH_MS <const> = 60 * 60 * 1000
local PROPERTIES <const> = match_index.properties

local companies = {}
local indexes = {}   -- by account name
local watched = false

local function new_index(account)
  local index = { account = account, data = nil, read_at = nil, late = nil }
  index.load, index.loading = single(function()
    local data = match_index.new()
    -- Changes that arrive while the pages come in are newer than the pages: they are put on top at the end.
    index.late = {}
    local api = account ~= "" and hubspot.account(account) or hubspot
    for company in api.companies.list { properties = PROPERTIES } do data:put(match_index.entry(company)) end
    for id, entry in pairs(index.late) do
      if entry then data:put(entry) else data:remove(id) end
    end
    index.late, index.data, index.read_at = nil, data, time.now()
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
---@param options {refresh: string|number|nil}|nil refresh: how often everything is listed again, default "1h"
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
