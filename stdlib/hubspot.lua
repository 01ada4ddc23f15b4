--- HubSpot: records, owners, properties, associations and anything else, through the account's one queue.
---
---   local hubspot = require "hubspot"
---   local lead = hubspot.contacts.get("151", { "email", "country" })
---   hubspot.contacts.update(lead.id, { country = "DE", lifecyclestage = "lead" })
---   for deal in hubspot.deals.list { properties = { "dealname", "amount" } } do … end
---
--- Every call waits for its answer (other tasks go on meanwhile), keeps HubSpot's limits, and is retried where that
--- is safe. Gets and updates made at the same moment travel together as one batch call. What HubSpot refuses is
--- raised: a table with kind, status, category, message, correlation_id, retryable, context.
---@class hubspot
---@field contacts hubspot.objects
---@field companies hubspot.objects
---@field deals hubspot.objects
---@field tickets hubspot.objects
---@field leads hubspot.objects
---@field products hubspot.objects
---@field line_items hubspot.objects
---@field notes hubspot.objects
---@field tasks hubspot.objects
---@field calls hubspot.objects
---@field emails hubspot.objects
---@field meetings hubspot.objects

---@class hubspot.query
---@field filters table[]|nil all of them must hold
---@field filterGroups table[]|nil one of them must hold
---@field query string|nil text to look for
---@field properties string[]|nil
---@field sorts table[]|nil
---@field limit integer|nil records a page, at most 200
---@field priority string|nil "live", "normal" or "bulk"

---@class hubspot.call
---@field path string begins with "/"; "{version}" in it becomes the account's API version
---@field method string|nil
---@field query table|string|nil
---@field json any
---@field body string|nil
---@field priority string|nil "live", "normal" or "bulk"

local _, host = ...
local associations = require "hubspot.associations"
local connection = require "hubspot.connection"
local objects = require "hubspot.objects"
local owners = require "hubspot.owners"
local properties = require "hubspot.properties"

local TYPES = { "contacts", "companies", "deals", "tickets", "leads", "products", "line_items", "notes", "tasks",
  "calls", "emails", "meetings" }

local build

---@param account string|nil account name; nil: the task's
build = function(account)
  ---@class hubspot
  local api = {}
  local conn = connection(account)

  local named = {}
  for _, name in ipairs(TYPES) do
    named[name] = objects(conn, name)
    api[name] = named[name]
  end

  ---The functions of any object type, custom ones included.
  ---@param object_type string a name ("contacts", "2-123456")
  ---@return hubspot.objects
  function api.objects(object_type)
    if type(object_type) ~= "string" or not object_type:match("^[%w_%-]+$") then
      error('objects: expects an object type, such as "contacts" or "2-123456"', 2)
    end
    return named[object_type] or objects(conn, object_type)
  end

  api.owners = owners(conn)
  api.properties = properties(conn)
  api.associations = associations(conn)

  ---Anything else, under the same queue. Waits.
  ---@param call hubspot.call
  ---@return any answer the JSON, null as json.null
  ---@return integer status
  function api.request(call)
    if type(call) ~= "table" or type(call.path) ~= "string" then
      error('request: expects a table with path, such as { path = "/crm/pipelines/{version}/deals" }', 2)
    end
    if call.json ~= nil and call.body ~= nil then error("request: give json or body, not both", 2) end
    local body = call.body
    if call.json ~= nil then body = call.json end
    return conn.raw(call.method or "GET", call.path,
      { query = call.query, body = body, priority = call.priority, nulls = true })
  end

  local account_meta = {}

  ---Binds to another account: hubspot.account("shop").contacts.get(…).
  function account_meta.__call(_, name)
    if type(name) ~= "string" then error("account: expects the name of an account", 2) end
    for _, known in ipairs(host.accounts()) do
      if known == name then return build(name) end
    end
    error(('there is no account "%s"; there are: %s'):format(name, table.concat(host.accounts(), ", ")), 2)
  end

  api.account = setmetatable({
    ---Details of the account: portalId, timeZone, companyCurrency, … Waits.
    ---@return table
    info = function() return (conn.raw("GET", "/account-info/{version}/details")) end,
  }, account_meta)

  return setmetatable(api, { __index = function(_, name)
    error(('hubspot has no "%s"; hubspot.objects("%s") reaches custom object types'):format(tostring(name),
      tostring(name)), 2)
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
