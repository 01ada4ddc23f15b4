--- Associations between records. See hubspot.lua for the whole picture.
local _, host = ...
local pages = require "hubspot.pages"
local values = require "hubspot.values"

---@param conn hubspot.connection
---@param associations table
return function(conn, associations)

  local function send(kind, call)
    call.kind, call.account, call.nulls = kind, call.account or conn.account, false
    return (host.api(call))
  end

  ---Iterates over what a record is associated with; each step may wait.
  ---@param from_type string
  ---@param id string|integer
  ---@param to_type string
  ---@param options {cursor: string|nil, priority: string|nil}|nil
  ---@return hubspot.iterator # of { toObjectId = string, associationTypes = table[] }
  function associations.list(from_type, id, to_type, options)
    id, options = values.check_id(id, 2), options or {}
    local own, class = conn.fixed_account(), options.priority or conn.class()
    return pages.iterate(function(after)
      local answer = send("associations", { type = from_type, id = id, to_type = to_type, after = after, account = own,
        priority = class })
      for _, to in ipairs(answer.to) do to.toObjectId = tostring(to.toObjectId) end
      return answer.to, pages.next_cursor(answer)
    end, { name = "associations.list", of = { own or "", from_type, id, to_type }, cursor = options.cursor })
  end

  local function pair(kind, from_type, from_id, to_type, to_id, types, options)
    if types ~= nil and (type(types) ~= "table" or #types == 0) then
      error("associations: types must be a list { { associationCategory = …, associationTypeId = … }, … }", 3)
    end
    return send(kind, { type = from_type, id = values.check_id(from_id, 3), to_type = to_type, to_id = values.check_id(to_id, 3),
      body = types and json.array(types) or nil, priority = options and options.priority, batch = options and options.batch })
  end

  ---Associates two records. Waits.
  ---@param from_type string
  ---@param from_id string|integer
  ---@param to_type string
  ---@param to_id string|integer
  ---@param types table[]|nil { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 279 }, … }; nil: the default
  ---@param options {batch: boolean|nil, priority: string|nil}|nil
  function associations.create(from_type, from_id, to_type, to_id, types, options)
    return pair("associate", from_type, from_id, to_type, to_id, types, options)
  end

  ---Removes associations between two records. Waits.
  ---@param from_type string
  ---@param from_id string|integer
  ---@param to_type string
  ---@param to_id string|integer
  ---@param types table[]|nil only these; nil: every one
  ---@param options {batch: boolean|nil, priority: string|nil}|nil
  function associations.remove(from_type, from_id, to_type, to_id, types, options)
    pair("disassociate", from_type, from_id, to_type, to_id, types, options)
  end
end
