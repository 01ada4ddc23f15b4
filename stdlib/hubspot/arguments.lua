--- What may be given to the functions of an object type, checked before they begin, so that misuse names the line of
--- the script. See hubspot.lua for the whole picture.
local _, host = ...

local arguments = {}

local CLASSES = { live = true, normal = true, bulk = true }

-- By function: how many arguments it takes (the last one are options, except in merge), the fields that options may
-- have, and what the first or second must be: a list, a list of tables ("rows"), the name of a property.
local ONE = { "id_property", "batch", "priority", "version" }
local SHAPES = {
  get = { n = 3, options = ONE },
  create = { n = 2, options = { "associations", "unique", "batch", "priority", "version" } },
  update = { n = 3, options = ONE },
  upsert = { n = 3, options = { "batch", "priority" }, "name" },
  archive = { n = 2, options = { "batch", "priority", "version" } },
  merge = { n = 2 },
  gdpr_delete = { n = 2, options = { "id_property", "priority" } },
  batch_read = { n = 3, options = { "id_property", "priority", "batch" }, "list" },
  batch_create = { n = 2, options = { "unique", "priority", "batch" }, "rows" },
  batch_update = { n = 2, options = { "id_property", "priority", "batch" }, "rows" },
  batch_upsert = { n = 3, options = { "priority", "batch" }, "name", "rows" },
  batch_archive = { n = 2, options = { "priority", "batch" }, "list" },
  search = { n = 1, options = { "filters", "filterGroups", "query", "properties", "sorts", "limit", "priority", "after", "cursor",
    "version" } },
  list = { n = 1, options = { "properties", "limit", "archived", "priority", "after", "cursor", "version" } },
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

local function set(fields)
  local out = {}
  for _, field in ipairs(fields) do out[field] = true end
  return out
end

-- nil, or what is wrong with an options table; `allowed` is the set of `fields`.
local function wrong_options(way, options, fields, allowed)
  if type(options) ~= "table" then return ("%s: the options must be a table, not a %s"):format(way, type(options)) end
  for key, value in next, options do
    local kind = allowed[key] and KINDS[key]
    if not allowed[key] and math.type(key) == "integer" then
      if way ~= "list" then return ("%s: the options have names: { %s = … }"):format(way, fields[1]) end
    elseif not allowed[key] then
      local near = host.nearest(tostring(key), fields)
      return ('%s has no option "%s"; %s'):format(way, tostring(key), near and ('did you mean "%s"?'):format(near)
        or "there are: " .. table.concat(fields, ", "))
    elseif key == "priority" then
      if not CLASSES[value] then
        return ('%s: priority must be "live", "normal" or "bulk", not %s'):format(way, tostring(value))
      end
    elseif key == "version" then
      if not arguments.is_version(value) then
        return ('%s: version must be a dated one, such as "2026-09", not %s'):format(way, tostring(value))
      end
    elseif kind and type(value) ~= kind and way ~= "request" then
      return ('%s: "%s" must be a %s, not a %s'):format(way, key, kind, type(value))
    elseif key == "limit" and (math.type(value) ~= "integer" or value < 1) then
      return ("%s: limit must be a whole number of 1 or more"):format(way)
    end
  end
end

local function wrong_value(way, what, value)
  if what == "name" then
    if type(value) == "string" and value ~= "" then return nil end
    return ('%s: the name of a property comes first, such as "email", not %s'):format(way,
      value == "" and "an empty one" or "a " .. type(value))
  end
  if type(value) ~= "table" then return ("%s: expects a list, not a %s"):format(way, type(value)) end
  if what ~= "rows" then return nil end
  for at, row in ipairs(value) do
    if type(row) ~= "table" then return ("%s: item %d of the list is a %s, not a table"):format(way, at, type(row)) end
  end
  if #value == 0 and next(value) ~= nil then return ("%s: expects a list of tables, not one table with names"):format(way) end
end

local REQUEST = { "path", "method", "query", "json", "body", "priority", "version" }
local REQUEST_SET = set(REQUEST)
local METHODS = { GET = true, POST = true, PUT = true, PATCH = true, DELETE = true }

---What is wrong with the table that hubspot.request was given; nil: nothing.
---@param call any
---@return string|nil
function arguments.wrong_request(call)
  if type(call) ~= "table" or type(call.path) ~= "string" then
    return 'request: expects a table with path, such as { path = "/crm/pipelines/{version}/deals" }'
  end
  local said = wrong_options("request", call, REQUEST, REQUEST_SET)
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

-- The tail call keeps the script's line where fn looks for it.
local function guarded(fn, way, shape)
  local n, fields, first, second = shape.n, shape.options, shape[1], shape[2]
  local allowed = fields and set(fields)
  return function(a, b, c, d)
    local options = c
    if n == 2 then options = b elseif n == 1 then options = a end
    local said
    if (n < 3 and c ~= nil) or (n < 2 and b ~= nil) or d ~= nil then
      said = ("%s takes %d argument%s"):format(way, n, n == 1 and "" or "s")
    else
      said = first and wrong_value(way, first, a) or second and wrong_value(way, second, b)
        or fields and options ~= nil and wrong_options(way, options, fields, allowed) or nil
    end
    if said then error(said, 2) end
    return fn(a, b, c)
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
    if fn then o[way] = guarded(fn, way, shape) end
  end
  return o
end

return arguments
