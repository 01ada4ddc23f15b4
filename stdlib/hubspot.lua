--- HubSpot: records, owners, properties, associations and anything else, through the account's one queue.
---
---   local hubspot = require "hubspot"
---   local lead = hubspot.contacts.get("151", { "email", "country" })
---   hubspot.contacts.update(lead.id, { country = "DE", lifecyclestage = "lead" })
---   for deal in hubspot.deals.list { properties = { "dealname", "amount" } } do … end
---
--- Every call waits for its answer (other tasks go on meanwhile), keeps HubSpot's limits, and is retried where that
--- is safe. Calls of one kind made at the same moment travel together as one batch call. What HubSpot refuses is
--- raised: a table with kind, status, category, message, correlation_id, retryable, context.
---@class hubspot
---@field [string] hubspot.objects|table object types (contacts, deals, …) and the groups of apis.lua (lists, flows, …)

---@class hubspot.query
---@field filters table[]|nil all of them must hold
---@field filterGroups table[]|nil one of them must hold
---@field query string|nil text to look for
---@field properties string[]|nil
---@field sorts table[]|nil one: "amount", "-amount" or { propertyName=, direction= }; nil: by id
---@field limit integer|nil records a page, at most 200
---@field cursor string|nil of an earlier run's iterator: goes on behind its last record
---@field priority string|nil "live", "normal" or "bulk"

---@class hubspot.call
---@field path string begins with "/"; "{version}" in it becomes the account's API version
---@field method string|nil
---@field query table|string|nil
---@field json any
---@field body string|nil
---@field priority string|nil "live", "normal" or "bulk"
---@field version string|nil "2026-03": in place of the account's

local _, host = ...
local arguments = require "hubspot.arguments"
local connection = require "hubspot.connection"
local objects = require "hubspot.objects"

-- Groups of which something is written by hand, on top of what the table of operations gives.
local BY_HAND = { associations = "hubspot.associations", owners = "hubspot.owners" }
-- hubspot.properties("contacts").list() is hubspot.properties.list("contacts").
local BOUND = { pipelines = true, properties = true }
-- What people look for under another name.
local OTHER_NAMES = { workflows = "flows", custom_objects = 'objects("2-…")', payments_links = "payments",
  users_settings = "settings.users", currencies = "settings.currencies", emails_marketing = "marketing_emails",
  transactional = "single_send", communication_preferences = "subscriptions", journal = "webhooks_journal",
  custom_events = "events", meeting_links = "scheduler.meeting_links", labels = "associations.labels" }

-- What HubSpot's reference does not have for this type raises, with the type's name.
local function limited(o, name, can)
  for way, value in pairs(o) do
    local core = can["*"] and way ~= "merge" and way ~= "gdpr_delete"
    if type(value) == "function" and not core and not can[way] and not (way == "upsert" and can.batch_upsert) then
      o[way] = function()
        error(('hubspot.%s has no "%s": HubSpot\'s API cannot do that with %s'):format(name, way, name), 2)
      end
    end
  end
  return o
end

local build

-- What hubspot.NAME is, made when it is first used; nil when there is no such thing.
local function member(conn, name)
  local known = require("hubspot.types")[name]
  if known then return limited(objects(conn, known.type), name, known.can) end
  local calls = require "hubspot.calls"
  local group = calls.group(conn, name)
  if not group then return nil end
  if BY_HAND[name] then require(BY_HAND[name])(conn, group) end
  if BOUND[name] then
    getmetatable(group).__call = function(_, object_type)
      if type(object_type) ~= "string" then error(name .. ': expects an object type, such as "contacts"', 2) end
      return calls.bind(group, object_type)
    end
  end
  return group
end

local function unknown(name)
  if OTHER_NAMES[name] then return ('; did you mean hubspot.%s?'):format(OTHER_NAMES[name]) end
  local names = require("hubspot.calls").groups()
  for one in pairs(require "hubspot.types") do names[#names + 1] = one end
  for _, one in ipairs { "account", "call_log", "objects", "request" } do names[#names + 1] = one end
  table.sort(names)
  local near = host.nearest(name, names)
  if near then return ('; did you mean "%s"?'):format(near) end
  return ('; hubspot.objects("%s") reaches custom object types, hubloop help hubspot lists the rest'):format(name)
end

---@param account string|nil account name; nil: the task's
build = function(account)
  ---@class hubspot
  local api = {}
  local conn = connection(account)

  ---The functions of any object type, custom ones included.
  ---@param object_type string a name ("contacts", "2-123456")
  ---@return hubspot.objects
  function api.objects(object_type)
    if type(object_type) ~= "string" or not object_type:match("^[%w_%-]+$") then
      error('objects: expects an object type, such as "contacts" or "2-123456"', 2)
    end
    return require("hubspot.types")[object_type] and api[object_type] or objects(conn, object_type)
  end

  ---Anything else, under the same queue. Waits.
  ---@param call hubspot.call
  ---@return any answer the JSON, null as json.null
  ---@return integer status
  function api.request(call)
    local said = arguments.wrong_request(call)
    if said then error(said, 2) end
    local body = call.body
    if call.json ~= nil then body = call.json end
    local path = call.version and call.path:gsub("{version}", call.version) or call.path
    return conn.raw(call.method or "GET", path,
      { query = call.query, body = body, priority = call.priority, nulls = true })
  end

  ---The API calls that the project's scripts have made, oldest first: `for call in hubspot.call_log { since = "7d" }`.
  ---Those of the last second may not be there yet. Waits.
  ---@param options {since: string|integer|nil}|nil a duration ago, an ISO time, or epoch ms; nil: all that are kept
  ---@return fun(): hubspot.logged_call|nil
  function api.call_log(options)
    local iterate, said = require "hubspot.call_log"(options)
    if not iterate then error(said, 2) end
    return iterate
  end

  ---Binds to another account: hubspot.account("shop").contacts.get(…).
  local function other_account(_, name)
    if type(name) ~= "string" then error("account: expects the name of an account", 2) end
    for _, known in ipairs(host.accounts()) do
      if known == name then return build(name) end
    end
    error(('there is no account "%s"; there are: %s'):format(name, table.concat(host.accounts(), ", ")), 2)
  end

  ---Details of the account: portalId, timeZone, companyCurrency, … Waits.
  ---@return table
  local function info(...) return api.account.details(...) end

  return setmetatable(api, { __index = function(self, name)
    local value = type(name) == "string" and member(conn, name)
    if not value then error(('hubspot has no "%s"%s'):format(tostring(name), unknown(tostring(name))), 2) end
    if name == "account" then
      value.info = info
      getmetatable(value).__call = other_account
    end
    rawset(self, name, value)
    return value
  end })
end

local built = {}
local first_build = build

-- One table an account: iterators and records made from it stay with that account.
build = function(account)
  local api = built[account]
  if not api then
    api = first_build(account)
    built[account] = api
  end
  return api
end

return first_build(nil)
