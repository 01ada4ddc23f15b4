--- The account's companies by e-mail domain and by name, in memory: one search a lead would meet HubSpot's limit of
--- five a second. Listed once, by whoever asks first, and kept current by company events and a timer (watch).
local _, host = ...
local hubspot = require "hubspot"
local text = require "text"
local single = require "routing.single"

local FRESH_MS <const> = 60 * 60 * 1000
local PROPERTIES <const> = { "domain", "name", "hubspot_owner_id", "createdate" }

local companies = {}
local indexes = {}   -- by account name
local watched = false

local function put_in(map, key, id)
  if not key then return end
  local ids = map[key]
  if ids then ids[#ids + 1] = id else map[key] = { id } end
end

local function take_out(map, key, id)
  local ids = key and map[key]
  if not ids then return end
  for i, other in ipairs(ids) do
    if other == id then
      table.remove(ids, i)
      break
    end
  end
  if #ids == 0 then map[key] = nil end
end

local function forget(data, id)
  local entry = data.by_id[id]
  if not entry then return end
  take_out(data.by_domain, entry.domain, id)
  take_out(data.by_name, entry.plain_name, id)
  data.by_id[id] = nil
end

local function remember(data, entry)
  forget(data, entry.id)
  data.by_id[entry.id] = entry
  put_in(data.by_domain, entry.domain, entry.id)
  put_in(data.by_name, entry.plain_name, entry.id)
end

local function filled(value) return value ~= nil and value ~= "" and value or nil end

local function entry_of(company)
  local domain = text.domain(company.domain)
  if domain and text.is_free_mail(domain) then domain = nil end
  return {
    id = tostring(company.id), domain = domain, name = filled(company.name), plain_name = text.company_name(company.name),
    owner = filled(company.hubspot_owner_id), created = filled(company.createdate) or filled(company.createdAt) or "",
  }
end

local function new_index(account)
  local index = { account = account, data = nil, read_at = nil, late = nil }
  index.load, index.loading = single(function()
    local data = { by_id = {}, by_domain = {}, by_name = {} }
    -- Changes that arrive while the pages come in are newer than the pages: they are put on top at the end.
    index.late = {}
    local api = account ~= "" and hubspot.account(account) or hubspot
    for company in api.companies.list { properties = PROPERTIES } do remember(data, entry_of(company)) end
    for id, entry in pairs(index.late) do
      if entry then remember(data, entry) else forget(data, id) end
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
    entry = entry_of(company)
  elseif type(company) ~= "table" or company.status ~= 404 then
    error(company, 0)                                         -- the event is retried
  end
  -- The answer's id can be another one: the record was merged into it.
  if not entry or entry.id ~= id then companies.removed(id) end
  if not entry then return end
  if index.late then index.late[entry.id] = entry end
  if index.data then remember(index.data, entry) end
end

--- Forgets a company.
---@param id string
function companies.removed(id)
  local index = index_here()
  if index.late then index.late[id] = false end
  if index.data then forget(index.data, id) end
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

-- Of several companies, one with an owner comes first, then the older, then the smaller id.
local function better(a, b)
  if (a.owner ~= nil) ~= (b.owner ~= nil) then return a.owner ~= nil end
  if a.created ~= b.created then
    if a.created == "" or b.created == "" then return b.created == "" end
    return a.created < b.created
  end
  if #a.id ~= #b.id then return #a.id < #b.id end
  return a.id < b.id
end

local function choose(data, ids)
  local best
  for _, id in ipairs(ids) do
    local entry = data.by_id[id]
    if not best or better(entry, best) then best = entry end
  end
  return best
end

local registries = {}
for label in ("ac asso co com edu gob gouv gov gv id ltd me mil ne net nom or org plc sch"):gmatch("%S+") do
  registries[label] = true
end

-- The parent of a host, unless that is where a country registers names ("co.uk").
local function parent(domain)
  local up = domain:match("^[^.]+%.(.+)$")
  if not up or not up:find(".", 1, true) then return nil end
  local second, top = up:match("^([^.]+)%.(%a%a)$")
  if top and registries[second] then return nil end
  return up
end

---@class routing.match
---@field id string the company's id
---@field name string|nil
---@field owner string|nil its owner's id
---@field by "domain"|"name"
---@field reason string

--- The company that an e-mail domain, or else a company name, belongs to. Waits while the companies are first listed.
---@param domain string|nil normalised; nil when there is none or it is a free-mail one
---@param name string|nil as typed
---@return routing.match|nil
function companies.find(domain, name)
  local plain = text.company_name(name)
  if not domain and not plain then return nil end
  local data = loaded_index()
  local host_name = domain
  while host_name do
    local ids = data.by_domain[host_name]
    if ids then
      local best = choose(data, ids)
      local reason = ("company %s (%s) by domain %s"):format(best.id, best.name or "no name", host_name)
      if #ids > 1 then
        reason = reason .. (", chosen of %d with that domain: %s"):format(#ids,
          best.owner and "it has an owner, then the oldest" or "none has an owner, the oldest")
      end
      return { id = best.id, name = best.name, owner = best.owner, by = "domain", reason = reason }
    end
    host_name = parent(host_name)
  end
  local ids = plain and data.by_name[plain]
  if ids and #ids == 1 then   -- a name that several companies have says too little
    local best = data.by_id[ids[1]]
    return {
      id = best.id, name = best.name, owner = best.owner, by = "name",
      reason = ("company %s (%s) by name"):format(best.id, best.name),
    }
  end
  return nil
end

return companies
