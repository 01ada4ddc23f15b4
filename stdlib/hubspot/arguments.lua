--- What may be given to the functions of an object type, checked before they begin, so that misuse names the line of
--- the script. See hubspot.lua for the whole picture.
local _, host = ...

local arguments = {}

local CLASSES = { live = true, normal = true, bulk = true }

-- By function: its arguments ("list", "name" or nothing to check here) and, for the last one, the fields it may have.
local SHAPES = {
  get = { "", "", { "id_property", "batch", "priority", "version" } },
  create = { "", { "associations", "unique", "batch", "priority", "version" } },
  update = { "", "", { "id_property", "batch", "priority", "version" } },
  upsert = { "name", "", { "batch", "priority" } },
  archive = { "", { "batch", "priority", "version" } },
  merge = { "", "" },
  gdpr_delete = { "", { "id_property", "priority" } },
  batch_read = { "list", "", { "id_property", "priority", "batch" } },
  batch_create = { "rows", { "unique", "priority", "batch" } },
  batch_update = { "rows", { "id_property", "priority", "batch" } },
  batch_upsert = { "name", "rows", { "priority", "batch" } },
  batch_archive = { "list", { "priority", "batch" } },
  search = { { "filters", "filterGroups", "query", "properties", "sorts", "limit", "priority", "after", "cursor" } },
  list = { { "properties", "limit", "archived", "priority", "after", "cursor" } },
}
local KINDS = { limit = "number", archived = "boolean", batch = "boolean", id_property = "string", unique = "string",
  filters = "table", filterGroups = "table", sorts = "table", associations = "table", query = "string" }

---It becomes a part of the path, so nothing else may pass.
---@param version any
---@return boolean
function arguments.is_version(version)
  return type(version) == "string" and (version:gsub("%-beta$", "")):find("^%d%d%d%d%-%d%d$") ~= nil
end

-- What people type for the same thing.
local OTHER_WORDS = { delete = { "archive", "remove" }, archive = { "delete", "remove" }, remove = { "delete", "archive" },
  update = { "replace", "update_name" }, replace = { "update" }, create = { "send", "upsert", "add" }, add = { "create" },
  send = { "create" }, all = { "list" }, get_all = { "list" }, getAll = { "list" }, find = { "get", "search" }, read = { "get" },
  fetch = { "get" }, set = { "update" } }

---The name that was probably meant.
---@param word any
---@param names table<string, any> the known ones
---@return string|nil
function arguments.meant(word, names)
  for _, other in ipairs(OTHER_WORDS[word] or {}) do
    if rawget(names, other) then return other end
  end
  local list = {}
  for name in pairs(names) do list[#list + 1] = tostring(name) end
  table.sort(list)
  return host.nearest(tostring(word), list)
end

-- nil, or what is wrong with the fields of an options table.
local function wrong_options(way, options, fields)
  if options == nil then return nil end
  if type(options) ~= "table" then return ("%s: the options must be a table, not a %s"):format(way, type(options)) end
  for key, value in pairs(options) do
    if math.type(key) == "integer" then
      if way ~= "list" then return ("%s: the options have names: { %s = … }"):format(way, fields[1]) end
    else
      local allowed = false
      for _, field in ipairs(fields) do allowed = allowed or field == key end
      if not allowed then
        local near = host.nearest(tostring(key), fields)
        return ('%s has no option "%s"; %s'):format(way, tostring(key), near and ('did you mean "%s"?'):format(near)
          or "there are: " .. table.concat(fields, ", "))
      end
      local kind = way ~= "request" and KINDS[key]
      if kind and type(value) ~= kind then
        return ('%s: "%s" must be a %s, not a %s'):format(way, key, kind, type(value))
      end
    end
  end
  if options.priority ~= nil and not CLASSES[options.priority] then
    return ('%s: priority must be "live", "normal" or "bulk", not %s'):format(way, tostring(options.priority))
  end
  if options.version ~= nil and not arguments.is_version(options.version) then
    return ('%s: version must be a dated one, such as "2026-09", not %s'):format(way, tostring(options.version))
  end
  if options.limit and (math.type(options.limit) ~= "integer" or options.limit < 1) then
    return ("%s: limit must be a whole number of 1 or more"):format(way)
  end
end

local function wrong(way, shape, ...)
  local n = select("#", ...)
  if n > #shape then return ("%s takes %d arguments, and %d were given"):format(way, #shape, n) end
  for i, what in ipairs(shape) do
    local value = (select(i, ...))
    if type(what) == "table" then return wrong_options(way, value, what) end
    if what == "name" and (type(value) ~= "string" or value == "") then
      return ("%s: the name of a property comes first, such as \"email\", not %s"):format(way,
        value == "" and "an empty one" or "a " .. type(value))
    elseif (what == "list" or what == "rows") and type(value) ~= "table" then
      return ("%s: expects a list, not a %s"):format(way, type(value))
    elseif what == "rows" then
      for at, row in ipairs(value) do
        if type(row) ~= "table" then return ("%s: item %d of the list is a %s, not a table"):format(way, at, type(row)) end
      end
      if #value == 0 and next(value) ~= nil then return ("%s: expects a list of tables, not one table with names"):format(way) end
    end
  end
end

local REQUEST = { "path", "method", "query", "json", "body", "priority", "version" }
local METHODS = { GET = true, POST = true, PUT = true, PATCH = true, DELETE = true }

---What is wrong with the table that hubspot.request was given; nil: nothing.
---@param call any
---@return string|nil
function arguments.wrong_request(call)
  if type(call) ~= "table" or type(call.path) ~= "string" then
    return 'request: expects a table with path, such as { path = "/crm/pipelines/{version}/deals" }'
  end
  local said = wrong_options("request", call, REQUEST)
  if said then return said end
  if call.json ~= nil and call.body ~= nil then return "request: give json or body, not both" end
  if call.body ~= nil and type(call.body) ~= "string" then
    return ("request: body must be a string, not a %s: json takes tables"):format(type(call.body))
  end
  if call.method ~= nil and not METHODS[call.method] then
    return ("request: method must be GET, POST, PUT, PATCH or DELETE, not %s"):format(tostring(call.method))
  end
  if call.query ~= nil and type(call.query) ~= "table" and type(call.query) ~= "string" then
    return ("request: query must be a table or a string, not a %s"):format(type(call.query))
  end
end

---Puts the checks before the functions of an object type; a function that is not there raises.
---@param o table
---@return table o
function arguments.guard(o)
  setmetatable(o, { __index = function(_, key)
    local near = arguments.meant(key, o)
    error(('records of type "%s" have no function "%s"; %s'):format(o.type, tostring(key), near and
      ('did you mean "%s"?'):format(near) or "hubloop help hubspot.contacts lists what there is"), 2)
  end })
  for way, shape in pairs(SHAPES) do
    local fn = rawget(o, way)
    if fn then
      o[way] = function(...)
        local said = wrong(way, shape, ...)
        if said then error(said, 2) end
        return fn(...)
      end
    end
  end
  return o
end

return arguments
