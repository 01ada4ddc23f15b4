--- The hubspot module as check/flow.lua sees it: which names there are and which operation each of them calls, out of
--- the same tables that the module itself is made from.
local _, host = ...
local calls = require "hubspot.calls"
local flow = require "check.flow"

local api = {}

-- The functions of an object type: method, and what follows the type in the path.
local OBJECT_FUNCTIONS = {
  get = { "GET", "/{id}" }, list = { "GET", "" }, search = { "POST", "/search" }, create = { "POST", "" },
  update = { "PATCH", "/{id}" }, upsert = { "POST", "/batch/upsert" }, archive = { "DELETE", "/{id}" },
  merge = { "POST", "/merge" }, gdpr_delete = { "POST", "/gdpr-delete" }, batch_read = { "POST", "/batch/read" },
  batch_create = { "POST", "/batch/create" }, batch_update = { "POST", "/batch/update" },
  batch_upsert = { "POST", "/batch/upsert" }, batch_archive = { "POST", "/batch/archive" },
}

-- What groups have beyond the table of operations; types: which arguments name the {objectType}s.
local BY_HAND = {
  account = { info = { "GET", "/account-info/{version}/details" } },
  associations = {
    list = { "POST", "/crm/associations/{version}/{fromObjectType}/{toObjectType}/batch/read", types = { 1, 3 } },
    create = { "PUT", "/crm/objects/{version}/{objectType}/{id}/associations/{toObjectType}/{toObjectId}", types = { 1, 3 } },
    remove = { "DELETE", "/crm/objects/{version}/{objectType}/{id}/associations/{toObjectType}/{toObjectId}", types = { 1, 3 } },
  },
  owners = { by_email = { "GET", "/crm/owners/{version}" } },
}
local BOUND = { pipelines = true, properties = true }

-- Shipped modules that call HubSpot: what each of their functions needs. The source of those that need the same whatever
-- they are told is held against this list by stdlib/check/scopes_test.lua.
local COMPANY_READS = { { "GET", "/crm/objects/{version}/companies" }, { "GET", "/crm/objects/{version}/companies/{id}" },
  { "POST", "/crm/objects/{version}/companies/search" } }
local MODULES = {
  routing = {
    pool = { { "GET", "/crm/owners/{version}" } },
    territory = {},
    sla = { { "GET", "/crm/owners/{version}" }, { "GET", "/crm/objects/{version}/contacts/{id}" },
      { "PATCH", "/crm/objects/{version}/contacts/{id}" }, { "POST", "/crm/objects/{version}/tasks" } },
    watch_away = { { "GET", "/crm/objects/{version}/users" } },
    match_account = COMPANY_READS,
    watch_companies = COMPANY_READS,
  },
  sync = { hubspot = {} },   -- of its object type: api.call
}
api.modules, api.by_hand, api.object_functions = { routing = MODULES.routing }, BY_HAND, OBJECT_FUNCTIONS
api.source = host.shipped

-- HubSpot's webhook event types by the object before the dot (FACTS 2: a subscription needs its read scope).
local EVENT_OBJECTS = { contact = true, company = true, deal = true, ticket = true, product = true, line_item = true }
local CONVERSATIONS <const> = "/conversations/conversations/{version}/threads"

-- What hubloop asks for to tell events that HubSpot does not send.
local DEAL_STAGES = { { "GET", "/crm/pipelines/{version}/deals" }, { "POST", "/crm/objects/{version}/deals/batch/read" } }
local LIST_MEMBERS = { { "POST", "/crm/lists/{version}/search" }, { "GET", "/crm/lists/{version}/{listId}/memberships" } }
local DERIVED_EVENTS = {
  ["deal.won"] = DEAL_STAGES, ["deal.lost"] = DEAL_STAGES, ["deal.closed"] = DEAL_STAGES,
  ["contact.stage"] = { { "POST", "/crm/objects/{version}/contacts/batch/read" } },
  ["form.submission"] = { { "GET", "/marketing/v3/forms" } },   -- the submissions have no published scope of their own
  ["list.added"] = LIST_MEMBERS, ["list.removed"] = LIST_MEMBERS,
}

local HUB = { kind = "hub" }
local OBJECTS = { kind = "objects function" }
local REQUEST = { kind = "request" }
local FUNCTIONS = { ["routing.pool"] = { kind = "pool" }, ["routing.sla"] = { kind = "sla" }, ["sync.hubspot"] = { kind = "sync" },
  ["sync.mapping"] = { kind = "mapping" } }

-- The type in the path of hubspot.NAME; nil when it is no object type.
local function type_of(name)
  local known = require("hubspot.types")[name]
  return known and known.type
end

---One value for each key, so that sets stop growing.
function api.kept(program, key, make)
  program.api_values = program.api_values or {}
  local value = program.api_values[key]
  if not value then
    value = make()
    program.api_values[key] = value
  end
  return value
end
local kept = api.kept

-- A function that calls HubSpot, its path known; of an object type: its name, if it is known, and the function's.
local function calling(program, label, method, path, object_type, name)
  return kept(program, ("call %s %s %s"):format(label, method, path), function()
    return { kind = "calling", label = label, method = method, path = path, object_type = object_type, name = name }
  end)
end

-- A name that is not there: the module itself says it best.
local function no_such(program, node, index)
  if not program.recording then return end
  local ok, message = pcall(index)
  if not ok then program:cannot_tell(node, (message:gsub("^[%w/_]+%.lua:%d+: ", "")), "unknown-name") end
end

local function objects(program, label, object_type)
  return kept(program, "objects " .. label, function()
    return { kind = "objects", label = label, object_type = object_type }
  end)
end

-- bound: { key =, first = a set that stays } for hubspot.properties("contacts")
local function group(program, name, prefix, bound)
  return kept(program, ("group %s %s %s"):format(name, prefix, bound and bound.key or ""), function()
    return { kind = "group", name = name, prefix = prefix, bound = bound }
  end)
end

local function bind(program, name, first, node)
  local key = ("%s:%d"):format(program.file, node.line)
  local value = group(program, name, "", { key = key, first = flow.new_set() })
  program:add_all(value.bound.first, first)
  return value
end

---The operation of a path in which {…} other than {version} may be anything.
local function needs_types(method, path)
  local operation = host.operation(method, path)
  return operation and not operation.scopes
end

local function described(name, prefix, key)
  local by_hand = prefix == "" and BY_HAND[name] and BY_HAND[name][key]
  if by_hand then return { method = by_hand[1], path = by_hand[2], types = by_hand.types } end
  local list = calls.operations(name)
  local o = list and list[prefix .. key] and list[prefix .. key][1]
  if not o then return nil end
  local described_types
  if needs_types(o.method, o.path) then
    described_types = {}
    for i, param in ipairs(o.params) do
      if param:find("bjectType") then described_types[#described_types + 1] = i end
    end
  end
  return { method = o.method, path = o.path, types = described_types }
end

local function has_children(name, prefix)
  for other in pairs(calls.operations(name) or {}) do
    if other:sub(1, #prefix) == prefix then return true end
  end
  return false
end

-- A function of a group. Without object types among its arguments, naming it is using it.
local function group_member(program, base, key, out, node)
  local label = ("hubspot.%s.%s%s"):format(base.name, base.prefix, key)
  local o = described(base.name, base.prefix, key)
  if o then
    if not o.types then
      program:use(node, label, o.method, o.path)
      return program:add(out, calling(program, label, o.method, o.path))
    end
    local bound = base.bound and base.bound.key or ""
    local value = kept(program, ("operation %s %s:%d %s"):format(label, program.file, node.line, bound), function()
      return { kind = "operation", label = label, o = o, bound = base.bound, node = node, file = program.file }
    end)
    return program:add(out, value)
  end
  if has_children(base.name, base.prefix .. key .. ".") then
    return program:add(out, group(program, base.name, base.prefix .. key .. ".", base.bound))
  end
  no_such(program, node, function()
    local real = require("hubspot")[base.name]
    for part in base.prefix:gmatch("[^.]+") do real = real[part] end
    return real[key]
  end)
  program:add(out, flow.UNKNOWN)
end

local function object_member(program, base, key, out, node)
  local f = OBJECT_FUNCTIONS[key]
  if key == "type" then return program:add(out, base.object_type and program:text(base.object_type) or flow.UNKNOWN) end
  local label = ("%s.%s"):format(base.label, key)
  if not f then
    no_such(program, node, function() return require("hubspot").objects(base.object_type or "contacts")[key] end)
    return program:add(out, flow.UNKNOWN)
  end
  local path = "/crm/objects/{version}/" .. (base.object_type or "{objectType}") .. f[2]
  program:add(out, calling(program, label, f[1], path, base.object_type, key))
  if base.object_type then
    program:use(node, label, f[1], path)
  elseif program.recording then
    program:cannot_tell(node, label .. ": which object type is known only when it runs")
  end
end

local function hub_member(program, key, out, node)
  if key == "objects" then return program:add(out, OBJECTS) end
  if key == "request" then return program:add(out, REQUEST) end
  if type_of(key) then return program:add(out, objects(program, "hubspot." .. key, type_of(key))) end
  if calls.operations(key) then return program:add(out, group(program, key, "")) end
  no_such(program, node, function() return require("hubspot")[key] end)
  program:add(out, flow.UNKNOWN)
end

function api.index(program, base, keys, unknown_key, out, node)
  if unknown_key and program.recording then
    local name = base.kind == "hub" and "hubspot" or base.label or base.name and "hubspot." .. base.name or base.kind
    program:cannot_tell(node, name .. "[…]: which of its names is known only when it runs")
  end
  for _, key in ipairs(keys) do
    if base.kind == "hub" then hub_member(program, key, out, node)
    elseif base.kind == "objects" then object_member(program, base, key, out, node)
    elseif base.kind == "group" then group_member(program, base, key, out, node)
    elseif base.kind == "module" then
      for _, needed in ipairs(MODULES[base.name][key] or {}) do
        program:use(node, base.name .. "." .. key, needed[1], needed[2])
      end
      program:add(out, FUNCTIONS[base.name .. "." .. key] or flow.UNKNOWN)
    end
  end
end

---What a script's author would call this part of the module; nil for other values, and for functions, whose use is
---told apart.
---@param value table
---@return string|nil
function api.name_of(value)
  if value.kind == "hub" then return "hubspot" end
  if value == REQUEST then return "hubspot.request" end
  if value == OBJECTS then return "hubspot.objects" end
  if value.kind == "objects" then return value.label end
  if value.kind == "group" then return ("hubspot.%s.%s"):format(value.name, value.prefix):sub(1, -2) end
end

-- Every path that the operation can have with these types; nil and the number of the argument that is not known.
local function paths_of(program, o, args)
  local paths, position, missing = { o.path }, 0, nil
  for name in o.path:gmatch("{([%w]*bjectType[%w]*)}") do
    position = position + 1
    local texts, unknown = program:texts_of(args[o.types[position]])
    if unknown then missing = o.types[position] end
    local grown = {}
    for _, path in ipairs(paths) do
      for _, text in ipairs(texts) do
        grown[#grown + 1] = path:gsub("{" .. name .. "}", (text:find(flow.HOLE, 1, true) and "{}" or text):gsub("%%", "%%%%"), 1)
      end
    end
    paths = grown
  end
  return paths, missing
end

local function call_operation(program, value, args, node)
  value.called = true
  if not program.recording then return end
  if value.bound then args = { value.bound.first, table.unpack(args) } end
  local paths, missing = paths_of(program, value.o, args)
  for _, path in ipairs(paths) do program:use(node, value.label, value.o.method, path) end
  if missing then
    program:cannot_tell(node, ("%s: argument %d, the object type, is known only when it runs"):format(value.label, missing))
  end
end

-- "/crm/objects/{version}/deals/" .. id, with {} for each segment of which something is not known.
local function with_holes(path)
  if path:sub(1, 1) == flow.HOLE then return nil end
  return (path:gsub("[^/]*\0[^/]*", "{}"))
end

local function call_request(program, args, node)
  if not program.recording then return end
  local told = false
  for _, value in ipairs(args[1] and args[1].list or {}) do
    local fields = value.kind == "table" and value.fields
    if fields and fields.path then
      local methods, unknown_method = { "GET" }, false
      if fields.method then methods, unknown_method = program:texts_of(fields.method) end
      local paths, unknown_path = program:texts_of(fields.path)
      for _, path in ipairs(paths) do
        local whole = with_holes(path)
        unknown_path = unknown_path or not whole
        for _, method in ipairs(whole and methods or {}) do program:use(node, "hubspot.request", method, whole) end
      end
      if unknown_path then program:cannot_tell(node, "hubspot.request: the path is known only when it runs") end
      if unknown_method then program:cannot_tell(node, "hubspot.request: the method is known only when it runs") end
      told = true
    end
  end
  if not told then program:cannot_tell(node, "hubspot.request: what is asked for is known only when it runs") end
end

-- A side of a sync: which way it goes is said elsewhere, so it is read and written.
local function call_sync(program, args, node, out)
  local texts, unknown = program:texts_of(args[1])
  for _, text in ipairs(unknown and {} or texts) do
    program:add(out, kept(program, "side " .. text, function() return { kind = "side", object_type = text } end))
  end
  if not program.recording then return end
  for _, text in ipairs(texts) do
    unknown = unknown or text:find(flow.HOLE, 1, true)
    local path = "/crm/objects/{version}/" .. text
    if not text:find(flow.HOLE, 1, true) then
      program:use(node, "sync.hubspot", "POST", path .. "/search")
      program:use(node, "sync.hubspot", "POST", path .. "/batch/upsert")
    end
  end
  if unknown then program:cannot_tell(node, "sync.hubspot: the object type is known only when it runs") end
end

function api.call(program, value, args, node)
  local out = flow.passing_set()
  if value == OBJECTS then
    local texts, unknown = program:texts_of(args[1])
    for _, text in ipairs(texts) do
      if text:find(flow.HOLE, 1, true) then unknown = true
      else program:add(out, objects(program, ('hubspot.objects("%s")'):format(text), type_of(text) or text)) end
    end
    if unknown then program:add(out, objects(program, "hubspot.objects(…)", nil)) end
  elseif value.kind == "sync" then
    call_sync(program, args, node, out)
  elseif value == REQUEST then
    call_request(program, args, node)
    program:add(out, flow.UNKNOWN)
  elseif value.kind == "group" and value.name == "account" and value.prefix == "" then
    program:add(out, HUB)
  elseif value.kind == "group" and BOUND[value.name] and value.prefix == "" then
    program:add(out, bind(program, value.name, args[1], node))
  else
    if value.kind == "operation" then call_operation(program, value, args, node) end
    program:add(out, flow.UNKNOWN)
  end
  return { out }
end

---on(text, …); object_types: what its option object_type may be.
function api.event(program, text, node, object_types)
  local object, what = text:match("^([%w_]+)%.(%a+)$")
  if not object then return end
  local label = ('on("%s")'):format(text)
  for _, needed in ipairs(DERIVED_EVENTS[text] or {}) do program:use(node, label, needed[1], needed[2]) end
  if EVENT_OBJECTS[object] then
    program:use(node, label, "GET", "/crm/objects/{version}/" .. object, true)
  elseif object == "conversation" then
    program:use(node, label, "GET", CONVERSATIONS, true)
  elseif object == "object" and object_types[1] then
    for _, type_ in ipairs(object_types) do program:use(node, label, "GET", "/crm/objects/{version}/" .. type_, true) end
  elseif object == "object" and what then
    program:cannot_tell(node, label .. ": which object type it is about is not written out")
  end
end

---What require(name) gives, or nil for a module of the project.
function api.module(program, name)
  local out = flow.passing_set()
  if name == "hubspot" then
    program:add(out, HUB)
  elseif MODULES[name] then
    program:add(out, kept(program, "module " .. name, function() return { kind = "module", name = name } end))
  elseif host.shipped(name) then
    program:add(out, flow.UNKNOWN)
  else
    return nil
  end
  return out
end

---Operations that were named, but whose arguments no call in the script shows.
function api.finish(program)
  local list = {}
  for _, value in pairs(program.api_values or {}) do
    if value.kind == "operation" and not value.called then list[#list + 1] = value end
  end
  table.sort(list, function(a, b) return a.label < b.label end)
  for _, value in ipairs(list) do
    program.file = value.file
    program:cannot_tell(value.node, value.label .. ": is handed on, so that its object types are not seen")
  end
end

return api
