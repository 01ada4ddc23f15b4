--- Which properties of which object types, pipelines and owners a script names, and what the account says to that. The
--- definitions are HubSpot's own: { name=, type=, fieldType=, options = { { value= } }, externalOptions= }.
local _, host = ...
local flow = require "check.flow"

local properties = {}

---@class check.property_use
---@field type string object type as in paths
---@field name string
---@field value string|nil what it is set to
---@field file string
---@field node table
---@field sure boolean|nil nothing else can be meant there

-- sure: no other value can be meant, whatever the script does before it comes there.
local function add(program, object_type, name, value, node, sure)
  if name:find(flow.HOLE, 1, true) or (value and value:find(flow.HOLE, 1, true)) then return end
  program.properties = program.properties or {}
  table.insert(program.properties, { type = object_type, name = name, value = value, file = program.file, node = node, sure = sure or nil })
end

-- The tables that a set may be, and whether there is only one.
local function tables_of(set)
  local out = {}
  for _, value in ipairs(set and set.list or {}) do
    if value.kind == "table" then out[#out + 1] = value end
  end
  return out, #out == 1 and #set.list == 1
end

-- "email"
local function named(program, object_type, set, node, sure)
  for _, name in ipairs((program:texts_of(set))) do add(program, object_type, name, nil, node, sure and #set.list == 1) end
end

-- { "email", "country" }
local function names(program, object_type, set, node, sure)
  local tables, one = tables_of(set)
  for _, t in ipairs(tables) do
    for _, name in ipairs((program:texts_of(t.items))) do add(program, object_type, name, nil, node, sure and one and t.exact) end
  end
end

-- { email = "a@example.com" }: of what may be something else than these texts only the name is told.
local function fields(program, object_type, set, node, sure)
  local tables, one = tables_of(set)
  for _, t in ipairs(tables) do
    for name, values in pairs(t.fields) do
      local list, unknown = program:texts_of(values)
      add(program, object_type, name, nil, node, sure and one)
      for _, value in ipairs((unknown or values.has[flow.MIXED]) and {} or list) do
        add(program, object_type, name, value, node, sure and one and #values.list == 1)
      end
    end
  end
end

local function filters(program, object_type, set, node, sure)
  local tables, one = tables_of(set)
  for _, list in ipairs(tables) do
    for _, filter in ipairs((tables_of(list.items))) do
      named(program, object_type, filter.fields.propertyName, node, sure and one)
    end
  end
end

local Functions = {}

function Functions.get(program, object_type, args, node, sure) names(program, object_type, args[2], node, sure) end
Functions.batch_read = Functions.get
function Functions.create(program, object_type, args, node, sure) fields(program, object_type, args[1], node, sure) end
function Functions.update(program, object_type, args, node, sure) fields(program, object_type, args[2], node, sure) end

function Functions.upsert(program, object_type, args, node, sure)
  named(program, object_type, args[1], node, sure)
  fields(program, object_type, args[2], node, sure)
end

function Functions.list(program, object_type, args, node, sure)
  local queries, one = tables_of(args[1])
  sure = sure and one
  for _, query in ipairs(queries) do
    names(program, object_type, query.fields.properties, node, sure)
    filters(program, object_type, query.fields.filters, node, sure)
    for _, groups in ipairs((tables_of(query.fields.filterGroups))) do
      for _, group in ipairs((tables_of(groups.items))) do filters(program, object_type, group.fields.filters, node, sure) end
    end
  end
end
Functions.search = Functions.list

---A call of hubspot.contacts.get and its kin.
---@param called table the value: object_type and name
---@param args check.set[]
---@param sure boolean nothing else can be called here
function properties.note(program, called, args, node, sure)
  local f = Functions[called.name]
  if f then f(program, called.object_type, args, node, sure) end
end

local OF_EVENT = { contact = "contacts", company = "companies", deal = "deals", ticket = "tickets", product = "products",
  line_item = "line_items" }

---on("contact.propertyChange", { property = "email" }, …)
function properties.note_event(program, event_type, name, node, sure)
  local object_type = OF_EVENT[event_type:match("^([%w_]+)%.") or ""]
  if object_type then add(program, object_type, name, nil, node, sure) end
end

---------------------------------------------------------------------------------------------------- the account's answer

local function in_options(definition, value)
  if not definition.options or #definition.options == 0 or definition.externalOptions then return true end
  for part in value:gmatch(definition.fieldType == "checkbox" and "[^;]+" or ".+") do
    local found = false
    for _, option in ipairs(definition.options) do found = found or option.value == part end
    if not found then return false end
  end
  return true
end

local function suggestion(word, list, field)
  local all = {}
  for i, one in ipairs(list) do all[i] = one[field] end
  table.sort(all)
  local near = host.nearest(word, all)
  return near and ('; did you mean "%s"?'):format(near) or ""
end

local function among(list, field, word)
  for _, one in ipairs(list) do
    if one[field] == word then return one end
  end
end

-- What is not in a property's definition but among the account's pipelines.
local OF_PIPELINES = { pipeline = "pipeline", hs_pipeline = "pipeline", dealstage = "stage", hs_pipeline_stage = "stage" }

local function in_pipelines(use, pipelines)
  local what, list = OF_PIPELINES[use.name], {}
  for _, pipeline in ipairs(pipelines) do
    if what == "pipeline" then list[#list + 1] = pipeline
    else table.move(pipeline.stages or {}, 1, #(pipeline.stages or {}), #list + 1, list) end
  end
  if among(list, "id", use.value) then return nil end
  return ('%s have no %s "%s" in this account%s'):format(use.type, what, use.value, suggestion(use.value, list, "id"))
end

---@class check.answers what HubSpot said of an account; what it does not tell is false or nil
---@field properties table<string, table[]> definitions by object type
---@field pipelines table<string, table[]> by object type
---@field owners table[]
---@field scopes string[]

---What must be asked to judge the use.
---@param use check.property_use
---@return "properties"|"pipelines"
function properties.asks(use) return use.value and OF_PIPELINES[use.name] and "pipelines" or "properties" end

---@param use check.property_use
---@param answers check.answers
---@return string|nil what is wrong with it
function properties.judge(use, answers)
  if properties.asks(use) == "pipelines" then
    local pipelines = answers.pipelines and answers.pipelines[use.type]
    return pipelines and in_pipelines(use, pipelines)
  end
  local known = answers.properties and answers.properties[use.type]
  if not known then return nil end
  local definition = among(known, "name", use.name)
  if not definition then
    return ('%s have no property "%s" in this account%s'):format(use.type, use.name, suggestion(use.name, known, "name"))
  end
  if use.value and definition.type == "enumeration" and not in_options(definition, use.value) then
    return ('"%s" of %s has no value "%s" in this account%s'):format(use.name, use.type, use.value,
      suggestion(use.value, definition.options, "value"))
  end
end

local function note_owners(program, set, node, certain)
  local texts, unknown = program:texts_of(set)
  for _, text in ipairs(texts) do
    if not text:find(flow.HOLE, 1, true) then
      program.owners = program.owners or {}
      table.insert(program.owners, { owner = text:lower(), file = program.file, node = node,
        sure = certain and not unknown and #texts == 1 or nil })
    end
  end
end

---Calls of routing's and sync's functions, by name.
---@type table<string, fun(program: check.program, args: check.set[], node: table, sure: boolean)>
properties.of_modules = {}

-- { members = { { owner = "ana@example.com" } }, fallback = "desk@example.com" }
function properties.of_modules.pool(program, args, node, sure)
  local pools, one = tables_of(args[2])
  sure = sure and one
  for _, pool in ipairs(pools) do
    note_owners(program, pool.fields.fallback, node, sure)
    local chains, chain = tables_of(pool.fields.fallback)
    for _, links in ipairs(chains) do note_owners(program, links.items, node, sure and chain) end
    local lists, list = tables_of(pool.fields.members)
    for _, members in ipairs(lists) do
      for _, member in ipairs((tables_of(members.items))) do note_owners(program, member.fields.owner, node, sure and list) end
    end
  end
end

-- { open = { hs_lead_status = { "NEW" } }, manager = "desk@example.com" }
function properties.of_modules.sla(program, args, node, sure)
  local slas, one = tables_of(args[2])
  sure = sure and one
  for _, sla in ipairs(slas) do
    note_owners(program, sla.fields.manager, node, sure)
    local opens, open = tables_of(sla.fields.open)
    for _, of in ipairs(opens) do
      for name, values in pairs(of.fields) do
        add(program, "contacts", name, nil, node, sure and open)
        for _, list in ipairs((tables_of(values))) do
          for _, value in ipairs((program:texts_of(list.items))) do add(program, "contacts", name, value, node) end
        end
      end
    end
  end
end

-- { from = sync.csv(…), to = sync.hubspot("contacts"), fields = { { from = "Mail", to = "email" }, "phone" } }
function properties.of_modules.mapping(program, args, node, sure)
  local mappings, one = tables_of(args[2])
  sure = sure and one
  for _, mapping in ipairs(mappings) do
    local lists, list = tables_of(mapping.fields.fields)
    for _, way in ipairs { "from", "to", "left", "right" } do
      local side = mapping.fields[way] and #mapping.fields[way].list == 1 and mapping.fields[way].list[1]
      for _, of in ipairs(side and side.kind == "side" and lists or {}) do
        for _, field in ipairs(of.items.list) do
          if field.kind == "string" then add(program, side.object_type, field.text, nil, node, sure and list)
          elseif field.kind == "table" then named(program, side.object_type, field.fields[way], node, sure and list) end
        end
      end
    end
  end
end

---@param use { owner: string } an e-mail or id
---@param answers check.answers
---@return string|nil
function properties.judge_owner(use, answers)
  local owners = answers.owners
  if not owners or among(owners, "id", use.owner) or among(owners, "email", use.owner) then return nil end
  return ('there is no owner "%s" in this account%s'):format(use.owner, suggestion(use.owner, owners, "email"))
end

local function has_property(use, answers)
  return not properties.judge({ type = use.type, name = use.name }, answers)
end

-- Where a call may be of several object types, nothing tells which property and value are meant for which: there only
-- what fits none of them is wrong.
local function places(uses, answers)
  local of = {}
  for _, use in ipairs(uses) do
    local place = of[use.node] or { types = {}, count = 0, names = {}, values = {} }
    of[use.node] = place
    if not place.types[use.type] then
      place.types[use.type], place.count = true, place.count + 1
    end
    if has_property(use, answers) then
      place.names[use.name] = true
      if use.value and not properties.judge(use, answers) then place.values[use.name] = true end
    end
  end
  return of
end

---@param answers check.answers
---@param report fun(rule: string, file: string, node: table, message: string)
function properties.check(program, answers, report)
  local of = places(program.properties or {}, answers)
  for _, use in ipairs(program.properties or {}) do
    local place, wrong = of[use.node], properties.judge(use, answers)
    local meant = place.count > 1 and place.names[use.name]
      and (not use.value or place.values[use.name] or not has_property(use, answers))
    if wrong and not meant then report("property", use.file, use.node, wrong) end
  end
  for _, use in ipairs(program.owners or {}) do
    local wrong = properties.judge_owner(use, answers)
    if wrong then report("owner", use.file, use.node, wrong) end
  end
end

return properties
