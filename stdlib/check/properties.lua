--- Which properties of which object types a script names, and what the account says to that. The definitions are
--- HubSpot's own: { name=, type=, fieldType=, options = { { value= } }, externalOptions= }.
local _, host = ...
local flow = require "check.flow"

local properties = {}

---@class check.property_use
---@field type string object type as in paths
---@field name string
---@field value string|nil what it is set to
---@field file string
---@field node table

local function add(program, object_type, name, value, node)
  if name:find(flow.HOLE, 1, true) or (value and value:find(flow.HOLE, 1, true)) then return end
  program.properties = program.properties or {}
  table.insert(program.properties, { type = object_type, name = name, value = value, file = program.file, node = node })
end

local function tables_of(set)
  local out = {}
  for _, value in ipairs(set and set.list or {}) do
    if value.kind == "table" then out[#out + 1] = value end
  end
  return out
end

-- "email"
local function named(program, object_type, set, node)
  for _, name in ipairs((program:texts_of(set))) do add(program, object_type, name, nil, node) end
end

-- { "email", "country" }
local function names(program, object_type, set, node)
  for _, t in ipairs(tables_of(set)) do named(program, object_type, t.items, node) end
end

-- { email = "a@example.com" }: of what may be something else than these texts only the name is told.
local function fields(program, object_type, set, node)
  for _, t in ipairs(tables_of(set)) do
    for name, values in pairs(t.fields) do
      local list, unknown = program:texts_of(values)
      add(program, object_type, name, nil, node)
      for _, value in ipairs(unknown and {} or list) do add(program, object_type, name, value, node) end
    end
  end
end

local function filters(program, object_type, set, node)
  for _, list in ipairs(tables_of(set)) do
    for _, filter in ipairs(tables_of(list.items)) do named(program, object_type, filter.fields.propertyName, node) end
  end
end

local Functions = {}

function Functions.get(program, object_type, args, node) names(program, object_type, args[2], node) end
Functions.batch_read = Functions.get
function Functions.create(program, object_type, args, node) fields(program, object_type, args[1], node) end
function Functions.update(program, object_type, args, node) fields(program, object_type, args[2], node) end

function Functions.upsert(program, object_type, args, node)
  named(program, object_type, args[1], node)
  fields(program, object_type, args[2], node)
end

function Functions.list(program, object_type, args, node)
  for _, query in ipairs(tables_of(args[1])) do
    names(program, object_type, query.fields.properties, node)
    filters(program, object_type, query.fields.filters, node)
    for _, groups in ipairs(tables_of(query.fields.filterGroups)) do
      for _, group in ipairs(tables_of(groups.items)) do filters(program, object_type, group.fields.filters, node) end
    end
  end
end
Functions.search = Functions.list

---A call of hubspot.contacts.get and its kin.
---@param called table the value: object_type and name
---@param args check.set[]
function properties.note(program, called, args, node)
  local f = Functions[called.name]
  if f then f(program, called.object_type, args, node) end
end

local OF_EVENT = { contact = "contacts", company = "companies", deal = "deals", ticket = "tickets", product = "products",
  line_item = "line_items" }

---on("contact.propertyChange", { property = "email" }, …)
function properties.note_event(program, event_type, name, node)
  local object_type = OF_EVENT[event_type:match("^([%w_]+)%.") or ""]
  if object_type then add(program, object_type, name, nil, node) end
end

local function in_options(definition, value)
  if not definition.options or #definition.options == 0 or definition.externalOptions then return true end
  for part in value:gmatch(definition.fieldType == "checkbox" and "[^;]+" or ".+") do
    local found = false
    for _, option in ipairs(definition.options) do found = found or option.value == part end
    if not found then return false end
  end
  return true
end

local function nearest(word, list, field)
  local all = {}
  for i, one in ipairs(list) do all[i] = one[field] end
  table.sort(all)
  local near = host.nearest(word, all)
  return near and ('; did you mean "%s"?'):format(near) or ""
end

---@param definitions table<string, table[]> by object type
---@param report fun(rule: string, file: string, node: table, message: string)
function properties.check(program, definitions, report)
  local by_name = {}
  for object_type, list in pairs(definitions) do
    by_name[object_type] = {}
    for _, one in ipairs(list) do by_name[object_type][one.name] = one end
  end
  for _, use in ipairs(program.properties or {}) do
    local known = by_name[use.type]
    local definition = known and known[use.name]
    if known and not definition then
      report("property", use.file, use.node, ('%s have no property "%s" in this account%s'):format(use.type, use.name,
        nearest(use.name, definitions[use.type], "name")))
    elseif known and use.value and definition.type == "enumeration" and not in_options(definition, use.value) then
      report("property", use.file, use.node, ('"%s" of %s has no value "%s" in this account%s'):format(use.name, use.type,
        use.value, nearest(use.value, definition.options, "value")))
    end
  end
end

return properties
