--- The functions of one object type. See hubspot.lua for the whole picture.
local _, host = ...
local batches = require "hubspot.batches"
local pages = require "hubspot.pages"
local record = require "hubspot.record"
local values = require "hubspot.values"

---@param conn hubspot.connection
---@param object_type string
---@return hubspot.objects
return function(conn, object_type)
  local path = "/crm/objects/{version}/" .. object_type

  ---@class hubspot.objects
  local o = { type = object_type }

  ---Reads one record. Waits.
  ---@param id string|integer the record's id, or the value of options.id_property
  ---@param properties string[]|nil names to read; without a list HubSpot's default set
  ---@param options {id_property: string|nil, batch: boolean|nil, priority: "live"|"normal"|"bulk"|nil}|nil
  ---@return hubspot.record # lead.email reads lead.properties.email
  function o.get(id, properties, options)
    options = options or {}
    local names = values.check_names(properties, 2)
    local answer = host.api {
      kind = "get", type = object_type, id = values.check_id(id, 2), properties = names, id_property = options.id_property,
      account = conn.account, priority = options.priority, batch = options.batch, nulls = false,
    }
    return record.wrap(answer, names)
  end

  ---Creates a record. Waits. Never repeated blindly: when the answer is lost, it raises kind "uncertain".
  ---@param properties table { email = "ana@example.com", … }
  ---@param options {associations: table[]|nil, priority: string|nil}|nil associations as HubSpot has them
  ---@return hubspot.record
  function o.create(properties, options)
    options = options or {}
    local body = { properties = values.write_properties(properties, 2),
      associations = json.array(options.associations or {}) }
    return record.wrap((conn.raw("POST", path, { body = body, priority = options.priority })))
  end

  ---Writes properties of one record. Waits. json.null or "" clears a property.
  ---@param id string|integer
  ---@param properties table
  ---@param options {id_property: string|nil, batch: boolean|nil, priority: string|nil}|nil
  ---@return hubspot.record
  function o.update(id, properties, options)
    options = options or {}
    return record.wrap((host.api {
      kind = "update", type = object_type, id = values.check_id(id, 2), id_property = options.id_property,
      body = { properties = values.write_properties(properties, 2) }, account = conn.account, priority = options.priority,
      batch = options.batch, nulls = false,
    }))
  end

  ---Updates the record that has this value of a unique property, or creates it. Waits.
  ---@param id_property string a unique property, such as "email" for contacts
  ---@param properties table has to hold id_property too
  ---@param options {priority: string|nil}|nil
  ---@return hubspot.record # record.new tells whether it was created
  function o.upsert(id_property, properties, options)
    local written = values.write_properties(properties, 2)
    if type(id_property) ~= "string" or not written[id_property] then
      error(('upsert: the properties must hold "%s"'):format(tostring(id_property)), 2)
    end
    local made, failed = o.batch_upsert(id_property, { properties }, options)
    if failed[1] then error(failed[1].error) end
    return made[1]
  end

  ---Moves a record to the recycling bin. Waits.
  ---@param id string|integer
  ---@param options {priority: string|nil}|nil
  function o.archive(id, options)
    conn.raw("DELETE", path .. "/" .. host.url(values.check_id(id, 2)), { priority = options and options.priority })
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

  batches.add(o, conn, path)
  pages.add(o, conn, path)
  return o
end
