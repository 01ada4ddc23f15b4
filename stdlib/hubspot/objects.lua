--- The functions of one object type. See hubspot.lua for the whole picture.
local _, host = ...
local arguments = require "hubspot.arguments"
local batches = require "hubspot.batches"
local dates = require "hubspot.dates"
local pages = require "hubspot.pages"
local record = require "hubspot.record"
local values = require "hubspot.values"

---@class hubspot.options
---@field id_property string|nil the id is the value of this unique property
---@field batch boolean|nil false: never in a batch
---@field priority "live"|"normal"|"bulk"|nil
---@field version string|nil "2026-03": another API version than the account's

---@class hubspot.create_options
---@field associations table[]|nil as HubSpot has them: { { to = { id = "9" }, types = { … } }, … }
---@field unique string|nil the property whose value no other record has; nil: a contact's email, otherwise none
---@field batch boolean|nil false: never in a batch
---@field priority "live"|"normal"|"bulk"|nil

---@param conn hubspot.connection
---@param object_type string
---@return hubspot.objects
return function(conn, object_type)
  local path = "/crm/objects/{version}/" .. object_type

  ---@class hubspot.objects
  local o = { type = object_type }

  -- A call of another API version than the account's shares no batch: it goes alone, as HubSpot's single operation.
  local function other_version(kind, options, call)
    local at = path:gsub("{version}", options.version)
    local one = call.id and at .. "/" .. host.url(call.id)
    local sent = { priority = options.priority, query = call.id_property and { idProperty = call.id_property } }
    if kind == "get" then
      sent.query = { idProperty = call.id_property, properties = call.properties }
      return conn.raw("GET", one, sent)
    elseif kind == "archive" then
      return conn.raw("DELETE", one, sent)
    elseif kind == "update" then
      sent.body = call.body
      return conn.raw("PATCH", one, sent)
    end
    return conn.raw("POST", at, { priority = options.priority, body = call.body })
  end

  local function send(kind, options, call)
    options = options or {}
    if options.version then return record.wrap((other_version(kind, options, call)), call.properties) end
    call.kind, call.type, call.account, call.nulls = kind, object_type, conn.account, false
    call.priority, call.batch = options.priority, options.batch
    return record.wrap((host.api(call)), call.properties)
  end

  ---Reads one record. Waits.
  ---@param id string|integer the record's id, or the value of options.id_property
  ---@param properties string[]|nil names to read; without a list HubSpot's default set
  ---@param options hubspot.options|nil
  ---@return hubspot.record # lead.email reads lead.properties.email
  function o.get(id, properties, options)
    local names = values.check_names(properties, 2)
    return send("get", options, { id = values.check_id(id, 2), properties = names, id_property = options and options.id_property })
  end

  ---Creates a record. Waits. When the connection is lost before the answer, HubSpot is asked whether it made the record,
  ---by its unique property; without one it raises kind "uncertain", because trying again could make a second one.
  ---@param properties table { email = "ana@example.com", … }
  ---@param options hubspot.create_options|nil
  ---@return hubspot.record
  function o.create(properties, options)
    local written = values.write_properties(properties, 2)
    local unique = options and options.unique
    if unique ~= nil and (type(unique) ~= "string" or not written[unique] or written[unique] == "") then
      error(('create: the properties must hold "%s"'):format(tostring(unique)), 2)
    end
    dates.days(conn, object_type, written)
    return send("create", options, { id_property = unique,
      body = { properties = written, associations = json.array(options and options.associations or {}) } })
  end

  ---Writes properties of one record. Waits. json.null or "" clears a property.
  ---@param id string|integer
  ---@param properties table
  ---@param options hubspot.options|nil
  ---@return hubspot.record
  function o.update(id, properties, options)
    id = values.check_id(id, 2)
    local written = dates.days(conn, object_type, values.write_properties(properties, 2))
    return send("update", options, { id = id, id_property = options and options.id_property, body = { properties = written } })
  end

  ---Updates the record that has this value of a unique property, or creates it. Waits.
  ---@param id_property string a unique property, such as "email" for contacts
  ---@param properties table has to hold id_property too
  ---@param options {batch: boolean|nil, priority: string|nil}|nil
  ---@return hubspot.record # record.new tells whether it was created
  function o.upsert(id_property, properties, options)
    local written = values.write_properties(properties, 2)
    if type(id_property) ~= "string" or not written[id_property] or written[id_property] == "" then
      error(('upsert: the properties must hold "%s"'):format(tostring(id_property)), 2)
    end
    dates.days(conn, object_type, written)
    return send("upsert", options, { id = written[id_property], id_property = id_property, body = { properties = written } })
  end

  ---Moves a record to the recycling bin. Waits.
  ---@param id string|integer
  ---@param options {batch: boolean|nil, priority: string|nil}|nil
  function o.archive(id, options)
    send("archive", options, { id = values.check_id(id, 2) })
  end

  ---Merges `other` into `primary`. Waits.
  ---@param primary string|integer the id that stays
  ---@param other string|integer
  ---@return hubspot.record
  function o.merge(primary, other)
    return record.wrap((conn.raw("POST", path .. "/merge",
      { body = { primaryObjectId = values.check_id(primary, 2), objectIdToMerge = values.check_id(other, 2) } })))
  end

  ---Deletes a contact for good, and what HubSpot knows of the person (GDPR). Waits.
  ---@param id string|integer the record's id, or the value of options.id_property
  ---@param options {id_property: string|nil, priority: string|nil}|nil
  function o.gdpr_delete(id, options)
    conn.raw("POST", path .. "/gdpr-delete", { priority = options and options.priority,
      body = { objectId = values.check_id(id, 2), idProperty = options and options.id_property } })
  end

  batches.add(o)
  pages.add(o, conn, path)
  for _, way in ipairs { "list", "search" } do
    local usual = o[way]
    o[way] = function(options)
      if type(options) ~= "table" or not options.version then return usual(options) end
      local other = { type = object_type }
      pages.add(other, conn, (path:gsub("{version}", options.version)))
      return other[way](options)
    end
  end
  return arguments.guard(o)
end
