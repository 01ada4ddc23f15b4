--- Associations between records. See hubspot.lua for the whole picture.
local _, host = ...
local pages = require "hubspot.pages"
local values = require "hubspot.values"

---@param conn hubspot.connection
---@param associations table
return function(conn, associations)

  ---Iterates over what a record is associated with; each step may wait.
  ---@param from_type string
  ---@param id string|integer
  ---@param to_type string
  ---@return fun(): {toObjectId: string, associationTypes: table[]}|nil
  function associations.list(from_type, id, to_type)
    id = values.check_id(id, 2)
    local path = ("/crm/associations/{version}/%s/%s/batch/read"):format(host.url(from_type), host.url(to_type))
    local own = conn.fixed_account()
    return pages.iterate(function(after)
      local answer = conn.raw("POST", path, { account = own, body = { inputs = json.array { { id = id, after = after } } } })
      local first = answer.results and answer.results[1]
      if not first then return {}, nil end
      for _, to in ipairs(first.to) do to.toObjectId = tostring(to.toObjectId) end
      return first.to, pages.next_cursor(first)
    end)
  end

  local function association_path(from_type, from_id, to_type, to_id, default)
    return ("/crm/objects/{version}/%s/%s/associations/%s%s/%s"):format(host.url(from_type),
      host.url(values.check_id(from_id, 3)), default and "default/" or "", host.url(to_type), host.url(values.check_id(to_id, 3)))
  end

  ---Associates two records. Waits.
  ---@param from_type string
  ---@param from_id string|integer
  ---@param to_type string
  ---@param to_id string|integer
  ---@param types table[]|nil { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 279 }, … }; nil: the default
  function associations.create(from_type, from_id, to_type, to_id, types)
    local path = association_path(from_type, from_id, to_type, to_id, not types)
    return (conn.raw("PUT", path, { body = types and json.array(types) or nil }))
  end

  ---Removes every association between two records. Waits.
  function associations.remove(from_type, from_id, to_type, to_id)
    conn.raw("DELETE", association_path(from_type, from_id, to_type, to_id, false))
  end
end
