--- Property definitions. See hubspot.lua for the whole picture.
local _, host = ...

---@param conn hubspot.connection
return function(conn)
  ---The property definitions of an object type.
  ---@param object_type string
  return function(object_type)
    local path = "/crm/properties/{version}/" .. host.url(object_type)
    return {
      ---All definitions. Waits.
      ---@return table[]
      list = function() return (conn.raw("GET", path)).results end,
      ---One definition. Waits.
      ---@param name string
      ---@return table
      get = function(name) return (conn.raw("GET", path .. "/" .. host.url(name))) end,
    }
  end
end
