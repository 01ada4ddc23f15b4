-- Property definitions: which properties each object type has, what values they
-- take, and how a written value is checked and normalised (FACTS 4). HubSpot's own
-- definitions are in catalog.lua; the answers of /crm/properties are built from it.
local U = require "sim.util"
local E = require "sim.errors"
local catalog = require "sim.catalog"
local formulas = require "sim.formulas"
local validations = require "sim.validations"
local json = json

local P = {}

local function options(text)
  local out = {}
  for item in text:gmatch("[^;]+") do
    local value, label = item:match("^(.-)=(.*)$")
    out[#out + 1] = { value = value, label = label }
  end
  return out
end

local function index_options(def)
  def.allowed = {}
  for _, o in ipairs(def.options) do def.allowed[o.value] = true end
end

local function listed(kind) return (catalog.properties[kind] or catalog.dates) .. catalog.common end

-- Definitions are never changed by a request (a PATCH replaces one), so simulators may share them.
local shared = {}
local function definitions(kind)
  if shared[kind] then return shared[kind] end
  local out = {}
  for line in listed(kind):gmatch("[^\n]+") do
    local name, type_, field, label, flags = line:match("^([^|]+)|([^|]+)|([^|]+)|([^|]+)|?(.*)$")
    local def = { name = name, type = type_, field = field, label = label, builtin = true, created = 0, options = {} }
    local list = flags:match("^@([%w_]+)")
    if list then
      def.options = options(catalog.lists[list])
      index_options(def)
    end
    local marks = flags:gsub("^@[%w_]+", "")
    def.calculated = marks:find("c", 1, true) ~= nil
    def.calculate = def.calculated and formulas.builtin(name) or nil
    def.read_only = def.calculated or marks:find("r", 1, true) ~= nil
    def.unique = marks:find("u", 1, true) ~= nil
    def.pipeline = marks:find("p", 1, true) ~= nil
    def.owner = marks:find("o", 1, true) and name == "hubspot_owner_id"
    def.open = marks:find("o", 1, true) ~= nil   -- options live elsewhere (owners, teams)
    out[name] = def
  end
  shared[kind] = out
  return out
end

---Gives a new object store its definitions, default set, groups and the name of its last-change property.
function P.attach(st)
  -- Most types of an account are never asked for, so they are read at their first use.
  st.defs = setmetatable({}, { __index = function(_, name) return definitions(st.name)[name] end })
  st.custom = {}        -- names defined by requests, in order
  st.dropped = {}       -- archived custom definitions
  st.modified = st.name == "contacts" and "lastmodifieddate" or "hs_lastmodifieddate"
  st.created = ("\n" .. listed(st.name)):find("\ncreatedate|", 1, true) and "createdate" or "hs_createdate"
  local defaults = {}
  for name in (catalog.defaults[st.name] or (st.created .. " hs_lastmodifieddate hs_object_id")):gmatch("%S+") do
    defaults[#defaults + 1] = name
  end
  st.defaults = defaults
  local info = st.singular .. "information"
  st.groups = { [info] = { name = info, label = st.singular:gsub("^%l", string.upper) .. " information", order = 0 } }
  st.group = info
end

---All names of a type, sorted.
function P.names(st)
  local seen = {}
  for name in pairs(definitions(st.name)) do seen[name] = true end
  for _, name in ipairs(st.custom) do if st.defs[name] then seen[name] = true end end
  return U.keys(seen)
end

-- ---- values ----

local function bad(name, code, message, value) return nil, { name = name, code = code, message = message, value = value } end

local function check_option(def, name, value)
  if def.allowed[value] then return true end
  local list = {}
  for i, o in ipairs(def.options) do list[i] = o.value end
  return false, { name = name, code = "INVALID_OPTION", value = value,
    message = value .. " was not one of the allowed options: [" .. table.concat(list, ", ") .. "]" }
end

---Checks one written value. Returns the stored text ("" clears), or nil and { name, code, message }.
---@param before string|nil the value it replaces: a leading ";" appends to it
---@param pipeline any the record's, when the property is a stage
function P.value(S, st, name, value, before, pipeline)
  local def = st.defs[name]
  if not def then
    return bad(name, "PROPERTY_DOESNT_EXIST", 'Property "' .. name .. '" does not exist')
  end
  if def.read_only then
    return bad(name, "READ_ONLY_VALUE", '"' .. name .. '" is a read only property; its value cannot be set.')
  end
  if value == json.null then return "" end
  local t = type(value)
  if t == "number" then
    value = math.type(value) == "float" and value == math.floor(value) and string.format("%.0f", value) or tostring(value)
  elseif t == "boolean" then
    value = tostring(value)
  elseif t ~= "string" then
    E.bad_json("Cannot deserialize value of type `java.lang.String` from Object value (property " .. name .. ")")
  end
  if value == "" then return "" end
  local kind = def.type
  if kind ~= "string" and (value:find("^%s") or value:find("%s$") or value:find("^\xC2\xA0") or value:find("\xC2\xA0$")) then
    return bad(name, "LEADING_TRAILING_WHITESPACE", '"' .. value .. '" includes leading or trailing whitespace.', value)
  end
  if kind == "string" then
    if #value > 65536 then
      return bad(name, "PROPERTY_VALUE_TOO_LONG", "Property value of " .. name .. " is too long (65536 characters at most)")
    end
    if name == "email" and st.name == "contacts" then
      value = value:match("^%s*(.-)%s*$"):lower()
      if not value:find("^[^%s@,;<>]+@[^%s@,;<>]+%.[%w%-]+$") or value:find("..", 1, true) then
        return bad(name, "INVALID_EMAIL", "Email address " .. value .. " is invalid", value)
      end
    elseif name == "domain" and st.name == "companies" then
      value = value:lower():gsub("^%s*https?://", ""):gsub("/.*$", ""):match("^%s*(.-)%s*$")
    end
  elseif kind == "number" then
    if not value:find("^[%+%-]?%d+%.?%d*$") and not value:find("^[%+%-]?%.%d+$") then   -- no exponents
      return bad(name, "INVALID_INTEGER", value .. " was not a valid number.", value)
    end
  elseif kind == "datetime" then
    local ms = U.ms(value)
    if not ms then return bad(name, "INVALID_LONG", value .. " was not a valid long.", value) end
    value = U.iso(ms)
  elseif kind == "date" then
    local ms = U.ms(value)
    if not ms then return bad(name, "INVALID_LONG", value .. " was not a valid long.", value) end
    local rest = ms % 86400000
    if rest ~= 0 then
      return bad(name, "INVALID_DATE", ("%d is at %d:%d:%d.%d UTC, not midnight!"):format(ms, rest // 3600000, rest // 60000 % 60,
        rest // 1000 % 60, rest % 1000), value)
    end
    value = U.iso(ms):sub(1, 10)
  elseif kind == "bool" then
    value = value:lower()
    if value ~= "true" and value ~= "false" then
      return bad(name, "INVALID_OPTION", value .. " was not one of the allowed options: [true, false]")
    end
  elseif kind == "enumeration" then
    if def.owner then
      if not value:find("^%d+$") then
        return bad(name, "INVALID_INTEGER", value .. " was not a valid integer (for owner ID).", value)
      elseif not S.owners_by_id[value] then
        return bad(name, "INVALID_OWNER_ID", "Owner " .. value .. " does not exist", value)
      end
    elseif def.pipeline then
      local ok, why = S.pipelines.check(st, name, value, pipeline)
      if not ok then return bad(name, "INVALID_OPTION", why) end
    elseif def.allowed then
      if def.field == "checkbox" then
        local seen, list = {}, {}
        local text = value
        if value:sub(1, 1) == ";" then text = (before or "") .. value end
        for item in text:gmatch("[^;]+") do
          local ok, e = check_option(def, name, item)
          if not ok then return nil, e end
          if not seen[item] then seen[item], list[#list + 1] = true, item end
        end
        value = table.concat(list, ";")
      else
        local ok, e = check_option(def, name, value)
        if not ok then return nil, e end
      end
    end
  end
  return value
end

---Checks all values of a write. Returns { name = text }, or nil and the error to answer.
function P.check(S, st, props, before)
  local out, errors = {}, nil
  local field = S.pipelines.field(st)
  local pipeline = field and (props[field] or before and before[field])
  for name, value in pairs(props) do
    if type(name) ~= "string" then
      E.bad_json("Cannot deserialize value of type `java.util.LinkedHashMap` from Array value (properties)")
    end
    local text, e = P.value(S, st, name, value, before and before[name], pipeline)
    if not e and S.rules then e = validations.refusal(S, st, name, text) end
    if e then
      errors = errors or {}
      errors[#errors + 1] = e
    else
      out[name] = text
    end
  end
  if errors then return nil, E.property_errors(S, errors) end
  return out
end

-- ---- definitions over HTTP ----

local function render_options(S, def)
  local out = {}
  if def.owner then
    for i, o in ipairs(S.owners) do
      out[i] = { label = o.firstName .. " " .. o.lastName, value = o.id, displayOrder = i - 1, hidden = false }
    end
  elseif def.type == "bool" then
    out = { { label = "True", value = "true", displayOrder = 0, hidden = false },
      { label = "False", value = "false", displayOrder = 1, hidden = false } }
  else
    for i, o in ipairs(def.options) do
      out[i] = { label = o.label, value = o.value, displayOrder = o.order or i - 1, hidden = o.hidden or false,
        description = o.description or "" }
    end
  end
  return json.array(out)
end

---A definition as the `Property` schema has it.
function P.render(S, st, def, archived)
  return {
    name = def.name, label = def.label, type = def.type, fieldType = def.field,
    description = def.description or "", groupName = def.group or st.group,
    options = render_options(S, def), displayOrder = def.order or -1,
    calculated = def.calculated or false, calculationFormula = def.formula, externalOptions = def.owner and true or false,
    referencedObjectType = def.owner and "OWNER" or nil,
    hasUniqueValue = def.unique or false, hidden = false, hubspotDefined = def.builtin or nil,
    formField = def.form_field ~= false and not def.read_only, archived = archived or false,
    dataSensitivity = "non_sensitive",
    createdAt = U.iso(def.created), updatedAt = U.iso(def.updated or def.created),
    modificationMetadata = {
      archivable = not def.builtin, readOnlyDefinition = def.builtin or false,
      readOnlyOptions = def.builtin or false, readOnlyValue = def.read_only or false,
    },
  }
end

local KINDS = { bool = true, date = true, datetime = true, enumeration = true, number = true, phone_number = true, string = true }
local FIELDS = { booleancheckbox = true, calculation_equation = true, checkbox = true, date = true, file = true, html = true,
  number = true, phonenumber = true, radio = true, select = true, text = true, textarea = true }

local function read_options(list)
  local out = {}
  if type(list) ~= "table" then E.bad_json("options must be a list") end
  local seen = {}
  for i, o in ipairs(list) do
    if type(o) ~= "table" or type(o.label) ~= "string" or type(o.value) ~= "string" then
      E.bad_request("Some required fields were not set: [label, value]")
    end
    if seen[o.value] then E.bad_request("Property option value " .. o.value .. " is not unique") end
    seen[o.value] = true
    out[i] = { value = o.value, label = o.label, order = U.absent(o.displayOrder) and i - 1 or o.displayOrder,
      hidden = o.hidden == true, description = type(o.description) == "string" and o.description or "" }
  end
  return out
end

---Defines a property from a `PropertyCreate` body; raises HubSpot's errors.
function P.create(S, st, body)
  local missing = {}
  for _, k in ipairs { "name", "label", "type", "fieldType", "groupName" } do
    if type(body[k]) ~= "string" or body[k] == "" then missing[#missing + 1] = k end
  end
  if #missing > 0 then E.bad_request("Some required fields were not set: [" .. table.concat(missing, ", ") .. "]") end
  if not body.name:find("^%l[%l%d_]*$") or #body.name > 100 then
    E.bad_request("Property name '" .. body.name ..
      "' is invalid: it must start with a letter and hold only lowercase letters, digits and underscores")
  end
  if st.defs[body.name] then
    E.raise(409, "OBJECT_ALREADY_EXISTS", "A property named '" .. body.name .. "' already exists.",
      { subCategory = "Properties.PROPERTY_EXISTS" })
  end
  if not KINDS[body.type] then E.bad_request("Invalid property type: " .. body.type) end
  if not FIELDS[body.fieldType] then E.bad_request("Invalid field type: " .. body.fieldType) end
  if not st.groups[body.groupName] then E.bad_request("Property group '" .. body.groupName .. "' does not exist") end
  if #st.custom >= 1000 then E.bad_request("You have reached the limit of 1000 custom properties for this object type") end
  local def = {
    name = body.name, label = body.label, type = body.type, field = body.fieldType, group = body.groupName,
    description = type(body.description) == "string" and body.description or nil,
    unique = body.hasUniqueValue == true, form_field = body.formField == true, created = S.host.now(), options = {},
    order = math.type(body.displayOrder) == "integer" and body.displayOrder or nil,
  }
  if body.type == "enumeration" then
    def.options = read_options(U.absent(body.options) and {} or body.options)
    index_options(def)
  end
  if body.fieldType == "calculation_equation" then
    if type(body.calculationFormula) ~= "string" then E.bad_request("Some required fields were not set: [calculationFormula]") end
    if body.type ~= "number" then E.raise(501, "NOT_IMPLEMENTED", "The simulator does not calculate properties of type " .. body.type) end
    def.formula, def.calculate = body.calculationFormula, formulas.compile(st, body.calculationFormula)
    def.calculated, def.read_only = true, true
  end
  st.defs[body.name] = def
  st.custom[#st.custom + 1] = body.name
  st.dropped[body.name] = nil
  if def.unique then st.unique[body.name] = {} end
  return def
end

---Changes a custom definition from a `PropertyUpdate` body.
function P.update(S, st, def, body)
  if def.builtin then E.bad_request("Property '" .. def.name .. "' is defined by HubSpot and cannot be changed") end
  local new = {}
  for k, v in pairs(def) do new[k] = v end
  if type(body.label) == "string" then new.label = body.label end
  if type(body.description) == "string" then new.description = body.description end
  if math.type(body.displayOrder) == "integer" then new.order = body.displayOrder end
  if type(body.groupName) == "string" then
    if not st.groups[body.groupName] then E.bad_request("Property group '" .. body.groupName .. "' does not exist") end
    new.group = body.groupName
  end
  if type(body.fieldType) == "string" then
    if not FIELDS[body.fieldType] then E.bad_request("Invalid field type: " .. body.fieldType) end
    new.field = body.fieldType
  end
  if not U.absent(body.options) then
    new.options = read_options(body.options)
    index_options(new)
  end
  new.updated = S.host.now()
  st.defs[def.name] = new
  return new
end

---Archives a custom definition.
function P.archive(st, def)
  if def.builtin then E.bad_request("Property '" .. def.name .. "' is defined by HubSpot and cannot be archived") end
  st.defs[def.name] = nil
  st.unique[def.name] = nil
  st.dropped[def.name] = def
  for i, name in ipairs(st.custom) do
    if name == def.name then table.remove(st.custom, i) break end
  end
end

local function render_group(g)
  return { name = g.name, label = g.label, displayOrder = g.order, archived = false }
end

local function sorted_groups(st)
  local out = {}
  for _, name in ipairs(U.keys(st.groups)) do out[#out + 1] = render_group(st.groups[name]) end
  return out
end

local function group_of(st, name)
  return st.groups[name] or E.not_found("Property group '" .. name .. "' does not exist")
end

local function route_groups(S, st, req, name)
  local method = req.method
  if not name then
    if method == "GET" then return 200, { results = json.array(sorted_groups(st)) } end
    if method ~= "POST" then return end
    local body = S:json(req)
    if type(body.name) ~= "string" or type(body.label) ~= "string" then
      E.bad_request("Some required fields were not set: [name, label]")
    end
    if st.groups[body.name] then E.raise(409, "OBJECT_ALREADY_EXISTS", "A property group named '" .. body.name .. "' already exists.") end
    local g = { name = body.name, label = body.label, order = math.type(body.displayOrder) == "integer" and body.displayOrder or -1 }
    st.groups[body.name] = g
    return 201, render_group(g)
  end
  local g = group_of(st, name)
  if method == "GET" then return 200, render_group(g) end
  if method == "PATCH" then
    local body = S:json(req)
    if type(body.label) == "string" then g.label = body.label end
    if math.type(body.displayOrder) == "integer" then g.order = body.displayOrder end
    return 200, render_group(g)
  end
  if method == "DELETE" then
    for _, def in pairs(st.defs) do
      if (def.group or st.group) == name then
        E.bad_request("Property group '" .. name .. "' holds properties (" .. def.name .. "): archive or move them first")
      end
    end
    st.groups[name] = nil
    return 204
  end
end

local function route_batch(S, st, req, action)
  if req.method ~= "POST" then return end
  local body = S:json(req)
  local inputs = S:inputs(body, 100)
  local started = S.host.now()
  if action == "archive" then
    for _, i in ipairs(inputs) do
      local def = st.defs[i.name]
      if def then P.archive(st, def) end
    end
    return 204
  end
  local results, errors = {}, {}
  local archived = body.archived == true
  for _, i in ipairs(inputs) do
    if action == "read" then
      local def = (archived and st.dropped or st.defs)[i.name]
      if def then
        results[#results + 1] = P.render(S, st, def, archived)
      else
        errors[#errors + 1] = E.standard(E.new(404, "OBJECT_NOT_FOUND", "Property '" .. tostring(i.name) .. "' does not exist"),
          { name = json.array { tostring(i.name) } })
      end
    elseif action == "create" then
      local ok, result = pcall(P.create, S, st, i)
      if ok then
        results[#results + 1] = P.render(S, st, result)
      elseif E.is(result) then
        errors[#errors + 1] = E.standard(result, { name = json.array { tostring(i.name) } })
      else
        error(result, 0)
      end
    else
      return
    end
  end
  return S:batch_answer(action == "create" and req.legacy and 201 or 200, started, results, errors)
end

---/crm/properties/V/{type}/… `seg` is the path after the type. Returns status and a body, or nothing (501).
function P.route(S, st, req, seg)
  local method, first = req.method, seg[1]
  if first == "groups" then return route_groups(S, st, req, seg[2]) end
  if first == "batch" then return route_batch(S, st, req, seg[2]) end
  if not first then
    if method == "GET" then
      local out = {}
      if U.one(req:args(), "archived") == "true" then
        for _, name in ipairs(U.keys(st.dropped)) do out[#out + 1] = P.render(S, st, st.dropped[name], true) end
      else
        for i, name in ipairs(P.names(st)) do out[i] = P.render(S, st, st.defs[name]) end
      end
      return 200, { results = json.array(out) }
    elseif method == "POST" then
      return 201, P.render(S, st, P.create(S, st, S:json(req)))
    end
    return
  end
  if seg[2] then return end
  local archived = method == "GET" and U.one(req:args(), "archived") == "true"
  local def = (archived and st.dropped or st.defs)[first]
  if not def then
    E.not_found("Property " .. first .. " does not exist", { subCategory = "Properties.PROPERTY_NOT_FOUND" })
  end
  if method == "GET" then return 200, P.render(S, st, def, archived) end
  if method == "PATCH" then return 200, P.render(S, st, P.update(S, st, def, S:json(req))) end
  if method == "DELETE" then
    P.archive(st, def)
    return 204
  end
end

return P
