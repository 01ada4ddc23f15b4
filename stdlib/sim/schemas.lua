-- Custom objects: /crm-object-schemas/V/schemas. A schema is kept in the store of its records, st.schema = { name, labels,
-- description, primary, secondary, searchable, required, sensitive, created, updated, archived, associations }, where an
-- association is { id, name, from, to, created } and stands in both directions. HubSpot's own types can be read, too.
local U = require "sim.util"
local E = require "sim.errors"
local O = require "sim.objects"
local P = require "sim.properties"
local json = json

local D = {}

local MAX = 10                     -- custom objects of an account
local FIRST_RECORD = 20000000001
-- What every custom object is associated with.
local ENGAGEMENTS = { "emails", "meetings", "notes", "tasks", "calls" }

function D.attach(S)
  S.schemas, S.next_schema = {}, 1001
end

-- ---- answers ----

local function labels_of(st)
  if st.schema then return st.schema.labels end
  local function words(text) return (text:gsub("^%l", string.upper):gsub("_", " ")) end
  return { singular = words(st.singular), plural = words(st.name) }
end

local function definition(S, st)
  local c = st.schema or { required = {}, secondary = {}, searchable = {} }
  return {
    id = st.type_id, objectTypeId = st.type_id, name = c.name or st.singular, fullyQualifiedName = st.name, labels = labels_of(st),
    description = c.description, primaryDisplayProperty = c.primary, requiredProperties = json.array(c.required),
    secondaryDisplayProperties = json.array(c.secondary), searchableProperties = json.array(c.searchable),
    allowsSensitiveProperties = c.sensitive or false, archived = c.archived ~= nil, portalId = st.schema and S.portal or nil,
    createdAt = U.iso(c.created or S.born), updatedAt = U.iso(c.updated or S.born),
  }
end

local function render_association(a)
  return { id = tostring(a.id), name = a.name, fromObjectTypeId = a.from, toObjectTypeId = a.to, createdAt = U.iso(a.created),
    updatedAt = U.iso(a.created) }
end

-- `want` says which parts: all that are not "false".
local function render(S, st, want)
  local out = definition(S, st)
  local properties, associations = {}, {}
  if want.includePropertyDefinitions ~= "false" then
    for i, name in ipairs(P.names(st)) do properties[i] = P.render(S, st, st.defs[name]) end
  end
  if want.includeAssociationDefinitions ~= "false" then
    for i, a in ipairs(st.schema and st.schema.associations or {}) do associations[i] = render_association(a) end
  end
  out.portalId, out.properties, out.associations = nil, json.array(properties), json.array(associations)
  if want.includeAuditMetadata ~= "false" and st.schema then out.createdByUserId, out.updatedByUserId = 1001, 1001 end
  return out
end

local function wanted(req)
  local q, out = req:args(), {}
  for name in pairs(q) do out[name] = U.one(q, name) end
  return out
end

-- ---- changes ----

local function object_type(S, name)
  return S.types[name] or S.types[tostring(name):lower()] or E.bad_request("Unable to infer object type from: " .. tostring(name))
end

local function custom(S, name)
  local st = S.types[name]
  if not st then E.not_found("Unable to infer object type from: " .. tostring(name)) end
  if not st.schema then E.bad_request("The object type " .. st.name .. " is defined by HubSpot and cannot be changed") end
  return st
end

local function names(list, st, what)
  list = E.list(list, what, "string")
  for _, name in ipairs(list) do
    if not st.defs[name] then E.bad_request("Property " .. name .. " in " .. what .. " does not exist") end
  end
  return list
end

local function associate(S, st, to, name)
  if S.links[st.name] and S.links[st.name][to.name] then
    E.raise(409, "CONFLICT", "Objects of type " .. st.name .. " and " .. to.name .. " can be associated already")
  end
  local c = st.schema
  name = type(name) == "string" and name or c.name .. "_to_" .. to.singular
  local id, inverse = S.associations.define(S, st, to, name)
  local a = { id = id, name = name, from = st.type_id, to = to.type_id, created = S.host.now() }
  c.associations[#c.associations + 1] = a
  if inverse ~= id then
    c.associations[#c.associations + 1] = { id = inverse, name = name, from = to.type_id, to = st.type_id, created = a.created }
  end
  return a
end

local function answer_to(S, st)
  for _, name in ipairs { st.type_id, st.name, st.schema.name, "p_" .. st.schema.name } do S.types[name] = st end
  S.stores[#S.stores + 1] = st
end

local function forget(S, st)
  for name, other in pairs(S.types) do
    if other == st then S.types[name] = nil end
  end
  for i, other in ipairs(S.stores) do
    if other == st then table.remove(S.stores, i) break end
  end
end

local function create(S, req)
  local body = S:json(req)
  local labels = body.labels
  local missing = {}
  for _, key in ipairs { "labels", "name", "properties", "requiredProperties" } do
    if U.absent(body[key]) then missing[#missing + 1] = key end
  end
  if #missing > 0 then E.bad_request("Some required fields were not set: [" .. table.concat(missing, ", ") .. "]") end
  if type(body.name) ~= "string" or not body.name:find("^%a[%w_]*$") or #body.name > 50 then
    E.bad_request("name must begin with a letter and hold only letters, digits and underscores, is " .. tostring(body.name))
  end
  if type(labels) ~= "table" or type(labels.singular) ~= "string" or type(labels.plural) ~= "string" then
    E.bad_request("Some required fields were not set: [labels.plural, labels.singular]")
  end
  local name, full = body.name, "p" .. S.portal .. "_" .. body.name
  for _, st in ipairs(S.schemas) do
    if st.name == full then E.raise(409, "OBJECT_ALREADY_EXISTS", "An object type named '" .. name .. "' already exists.") end
  end
  if #S.schemas == MAX then E.bad_request("You have reached the limit of " .. MAX .. " custom object types") end
  if S.types[name] then E.bad_request("The name " .. name .. " is one of HubSpot's own object types") end
  local now, others = S.host.now(), {}
  for i, other in ipairs(E.list(body.associatedObjects, "associatedObjects")) do others[i] = object_type(S, other) end
  local st = O.add(S, "2-" .. S.next_schema, full, name, FIRST_RECORD)
  st.schema = { name = name, labels = { singular = labels.singular, plural = labels.plural }, created = now, updated = now,
    associations = {}, description = type(body.description) == "string" and body.description or nil,
    sensitive = body.allowsSensitiveProperties == true }
  local ok, e = pcall(function()
    for _, property in ipairs(E.list(body.properties, "properties", "table")) do
      local copy = { groupName = st.group }
      for k, v in pairs(property) do copy[k] = v end
      P.create(S, st, copy)
    end
    local c = st.schema
    c.required = names(body.requiredProperties, st, "requiredProperties")
    c.secondary = names(body.secondaryDisplayProperties, st, "secondaryDisplayProperties")
    c.searchable = names(body.searchableProperties, st, "searchableProperties")
    c.primary = not U.absent(body.primaryDisplayProperty)
      and names({ body.primaryDisplayProperty }, st, "primaryDisplayProperty")[1] or c.required[1]
  end)
  forget(S, st)
  if not ok then error(e, 0) end
  st.required = st.schema.required
  S.next_schema = S.next_schema + 1
  S.schemas[#S.schemas + 1] = st
  answer_to(S, st)
  for _, engagement in ipairs(ENGAGEMENTS) do associate(S, st, S.types[engagement]) end
  for _, other in ipairs(others) do
    if not S.links[st.name][other.name] then associate(S, st, other) end
  end
  return 201, render(S, st, {})
end

local function update(S, req, id)
  local body = S:json(req)
  local st
  for _, other in ipairs(S.schemas) do
    if other.schema.archived and (other.type_id == id or other.name == id) and body.restorable == true then st = other end
  end
  if st then
    st.schema.archived = nil
    answer_to(S, st)
  end
  st = custom(S, id)
  local c = st.schema
  local required = U.absent(body.requiredProperties) and c.required or names(body.requiredProperties, st, "requiredProperties")
  local secondary = U.absent(body.secondaryDisplayProperties) and c.secondary
    or names(body.secondaryDisplayProperties, st, "secondaryDisplayProperties")
  local searchable = U.absent(body.searchableProperties) and c.searchable
    or names(body.searchableProperties, st, "searchableProperties")
  if not U.absent(body.primaryDisplayProperty) then c.primary = names({ body.primaryDisplayProperty }, st, "primaryDisplayProperty")[1] end
  c.required, c.secondary, c.searchable, st.required = required, secondary, searchable, required
  for _, key in ipairs { "singular", "plural" } do
    if type(body.labels) == "table" and type(body.labels[key]) == "string" then c.labels[key] = body.labels[key] end
  end
  if type(body.description) == "string" then c.description = body.description end
  if body.clearDescription == true then c.description = nil end
  c.updated = S.host.now()
  return 200, definition(S, st)
end

local function remove(S, req, id)
  local purge = U.one(req:args(), "archived") == "true"
  for i, st in ipairs(S.schemas) do
    if st.schema.archived and purge and (st.type_id == id or st.name == id) then
      table.remove(S.schemas, i)
      for _, to in ipairs(U.keys(S.links[st.name])) do S.associations.undefine(S, st, to) end
      return 204
    end
  end
  local st = custom(S, id)
  if st.live > 0 then
    E.bad_request("The object type " .. st.name .. " has " .. st.live .. " records: delete them first")
  end
  st.schema.archived = S.host.now()
  forget(S, st)
  return 204
end

local function route_associations(S, req, st, id)
  if req.method == "POST" and not id then
    local body = S:json(req)
    if U.absent(body.fromObjectTypeId) or U.absent(body.toObjectTypeId) then
      E.bad_request("Some required fields were not set: [fromObjectTypeId, toObjectTypeId]")
    end
    if object_type(S, body.fromObjectTypeId) ~= st then E.bad_request("fromObjectTypeId is not " .. st.type_id) end
    return 201, render_association(associate(S, st, object_type(S, body.toObjectTypeId), body.name))
  elseif req.method == "DELETE" and id then
    local list = st.schema.associations
    local found
    for _, a in ipairs(list) do
      if tostring(a.id) == id or a.name == id then found = a end
    end
    if not found then E.not_found("Association " .. id .. " does not exist") end
    S.associations.undefine(S, st, S.types[found.from == st.type_id and found.to or found.from].name)
    for i = #list, 1, -1 do
      if list[i].name == found.name then table.remove(list, i) end
    end
    return 204
  end
end

local function read_batch(S, req)
  local body, out = S:json(req), {}
  if type(body.inputs) ~= "table" or #body.inputs == 0 then E.bad_request("Some required fields were not set: [inputs]") end
  local want = {}
  for _, part in ipairs { "includePropertyDefinitions", "includeAssociationDefinitions", "includeAuditMetadata" } do
    want[part] = tostring(body[part] ~= false)
  end
  for i, name in ipairs(body.inputs) do out[i] = render(S, object_type(S, name), want) end
  return 200, { results = json.array(out) }
end

---`seg` is the path after schemas.
function D.route(S, req, seg)
  local method, id = req.method, seg[1]
  if not id then
    if method == "POST" then return create(S, req) end
    if method ~= "GET" then return end
    local out, archived = {}, U.one(req:args(), "archived") == "true"
    for _, st in ipairs(S.schemas) do
      if (st.schema.archived ~= nil) == archived then out[#out + 1] = render(S, st, wanted(req)) end
    end
    return 200, { results = json.array(out) }
  end
  if id == "batch" and seg[2] == "read" and not seg[3] and method == "POST" then return read_batch(S, req) end
  if seg[2] == "associations" and not seg[4] then return route_associations(S, req, custom(S, id), seg[3]) end
  if seg[2] then return end
  if method == "GET" then
    local st = S.types[id]
    if not st then E.not_found("Unable to infer object type from: " .. id) end
    return 200, render(S, st, wanted(req))
  elseif method == "PATCH" then
    return update(S, req, id)
  elseif method == "DELETE" then
    return remove(S, req, id)
  end
end

return D
