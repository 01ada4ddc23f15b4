--- Records: HubSpot's JSON, whose properties read as fields. See hubspot.lua for the whole picture.
local record = {}

-- Fields of a record that HubSpot leaves out when they do not apply, and properties that it always sends.
local ALWAYS = { id = true, properties = true, createdAt = true, updatedAt = true, archived = true, archivedAt = true,
  associations = true, propertiesWithHistory = true, objectWriteTraceId = true, url = true, new = true,
  hs_object_id = true, createdate = true, lastmodifieddate = true, hs_createdate = true, hs_lastmodifieddate = true }

local Record = { __name = "hubspot.record" }

---A field that is not the record's own reads through to its properties.
function Record.__index(self, key)
  local properties = rawget(self, "properties")
  return type(properties) == "table" and properties[key] or nil
end

-- Metatables for records that were read with a list, by the list: a property that is not in it raises (SEMANTICS 22).
local checked = setmetatable({}, { __mode = "v" })

local function checked_meta(names)
  local key = table.concat(names, ";")
  local meta = checked[key]
  if meta then return meta end
  local asked = {}
  for _, name in ipairs(names) do asked[name] = true end
  meta = { __name = "hubspot.record" }
  function meta.__index(self, name)
    local properties = rawget(self, "properties")
    local value = type(properties) == "table" and properties[name] or nil
    if value == nil and type(name) == "string" and not asked[name] and not ALWAYS[name] then
      error(('the property "%s" was not asked for: add it to the list of properties of the call that read this record')
        :format(name), 2)
    end
    return value
  end
  checked[key] = meta
  return meta
end

---@param raw any an object of an answer
---@param names string[]|nil what was asked for
---@return hubspot.record
function record.wrap(raw, names)
  if type(raw) ~= "table" then return raw end
  return setmetatable(raw, names and checked_meta(names) or Record)
end

return record
