-- Associations between records, in the dated, v4 and v3 forms (FACTS 4).
-- A record's links (rec[5]) are { [other store] = { [other id] = { [type id] = true } } };
-- both sides always hold the mirror image of each other. A pair may have a primary type:
-- a record has at most one primary partner of that kind, and the first becomes it.
local U = require "sim.util"
local E = require "sim.errors"
local O = require "sim.objects"
local catalog = require "sim.catalog"
local json = json

local A = {}

local quote = U.quote

---Fills S.links: [from name][to name] = { types = { list }, default, primary }.
function A.attach(S)
  local L = {}
  S.links = L
  local function define(from, to, default, primary)
    L[from] = L[from] or {}
    L[from][to] = { default = default, primary = primary, types = {}, by_id = {}, limits = {} }
  end
  S.define_links = define
  local function add(from, to, id, inverse, label, category, name)
    local pair = L[from][to]
    if pair.by_id[id] then return end
    local t = { id = id, inverse = inverse, label = label, category = category or "HUBSPOT_DEFINED", name = name }
    pair.types[#pair.types + 1] = t
    pair.by_id[id] = t
  end
  S.add_link_type = add
  for _, p in ipairs(catalog.pairs) do
    define(p[1], p[2], p[3], p[5])
    if p[1] ~= p[2] then define(p[2], p[1], p[4], p[6]) end
    if p[5] then
      add(p[1], p[2], p[5], p[6], "Primary")
      add(p[2], p[1], p[6], p[5], "Primary")
    end
    add(p[1], p[2], p[3], p[4])
    add(p[2], p[1], p[4], p[3])
  end
  S.next_label = 36
end

local function pair_of(S, st, to)
  local pair = S.links[st.name] and S.links[st.name][to.name]
  if not pair then
    E.bad_request("No association definitions exist between " .. st.type_id .. " and " .. to.type_id)
  end
  return pair
end

local function store(S, name)
  local st = S.types[U.decode(name)]
  if not st then E.bad_request("Unable to infer object type from: " .. tostring(name)) end
  return st
end

local function record(st, id)
  local rec = O.find(st, id)
  if not rec then
    id = tostring(id)
    E.not_found(st.upper .. " with id " .. id .. " does not exist", { context = { id = json.array { id } } })
  end
  return rec
end

-- ---- limits ----

-- The records that `rec` has under a type, `other` not counted.
local function count(rec, to, id, other)
  local n = 0
  for number, set in pairs(rec and rec[5] and rec[5][to.name] or {}) do
    if set[id] and not (other and number == other[1]) then n = n + 1 end
  end
  return n
end

-- Refuses a link beyond what somebody has configured, in either direction. `rec` nil: a record that is about to be made.
local function within_limits(S, st, rec, to, other, ids)
  local pair, back = pair_of(S, st, to), pair_of(S, to, st)
  if next(pair.limits) == nil and next(back.limits) == nil then return end
  for _, id in ipairs { pair.default, table.unpack(ids) } do
    local t = pair.by_id[id]
    for _, side in ipairs { { pair, id, rec, to, other, st }, { back, t.inverse, other, st, rec, to } } do
      local max = side[1].limits[side[2]]
      if max and count(side[3], side[4], side[2], side[5]) >= max then
        E.bad_request(("%s %s can have at most %d associated %s of type %d, as configured"):format(side[6].singular,
          side[3] and side[3][1] or "", max, side[4].name, side[2]), { subCategory = "crm.associations.LIMIT_EXCEEDED" })
      end
    end
  end
end

-- ---- linking ----

local function types_between(st_rec, to, n)
  local by_store = st_rec[5] and st_rec[5][to.name]
  return by_store and by_store[n]
end

local function put(rec, to_name, n, id)
  local links = rec[5]
  if not links then
    links = {}
    rec[5] = links
  end
  local by = links[to_name]
  if not by then
    by = {}
    links[to_name] = by
  end
  local set = by[n]
  if not set then
    set = {}
    by[n] = set
  end
  set[id] = true
end

local function drop(rec, to_name, n, id)
  local by = rec[5] and rec[5][to_name]
  local set = by and by[n]
  if not set then return end
  if id then set[id] = nil end
  if not id or next(set) == nil then by[n] = nil end
end

local function has_primary(rec, to, primary)
  for n, set in pairs(rec[5] and rec[5][to.name] or {}) do
    if set[primary] then return n end
  end
end

---Links two records with the type ids given; {} means the default type.
function A.link(S, st, rec, to, other, ids, source)
  local pair = pair_of(S, st, to)
  within_limits(S, st, rec, to, other, ids)
  local before = types_between(rec, to, other[1])
  local want = {}
  for _, id in ipairs(ids) do want[#want + 1] = id end
  want[#want + 1] = pair.default
  if pair.primary and not has_primary(rec, to, pair.primary) then want[#want + 1] = pair.primary end
  for _, id in ipairs(want) do
    local t = pair.by_id[id]
    if id == pair.primary then
      -- Only one partner is primary: the old one keeps its plain link.
      local n = has_primary(rec, to, id)
      if n and n ~= other[1] then
        drop(rec, to.name, n, id)
        local old = to.records[n]
        if old then drop(old, st.name, rec[1], t.inverse) end
      end
    end
    put(rec, to.name, other[1], id)
    put(other, st.name, rec[1], t.inverse)
  end
  if not before then
    S.webhooks.associated(S, st, rec, to, other, false, pair.primary and types_between(rec, to, other[1])[pair.primary] or false, source)
  end
end

---Removes one type between two records, or all.
function A.unlink(S, st, rec, to, other, id, source)
  local pair = pair_of(S, st, to)
  local set = types_between(rec, to, other[1])
  if not set then return end
  if id then
    local t = pair.by_id[id]
    if not t then E.bad_request("Association type " .. tostring(id) .. " does not exist between " .. st.name .. " and " .. to.name) end
    drop(rec, to.name, other[1], id)
    drop(other, st.name, rec[1], t.inverse)
  else
    drop(rec, to.name, other[1])
    drop(other, st.name, rec[1])
  end
  if not types_between(rec, to, other[1]) then
    S.webhooks.associated(S, st, rec, to, other, true, false, source)
  end
end

---Takes a record out of all its links (it was deleted).
function A.unlink_all(S, st, rec)
  for name, by in pairs(rec[5] or {}) do
    local to = S.types[name]
    for n in pairs(by) do
      local other = to.records[n]
      if other then drop(other, st.name, rec[1]) end
    end
  end
  rec[5] = false
end

---Gives the links of `rec` to `new` (merge).
function A.move_all(S, st, rec, new)
  for name, by in pairs(rec[5] or {}) do
    local to = S.types[name]
    local pair = S.links[st.name][name]
    for n, set in pairs(by) do
      local other = to.records[n]
      if other and other ~= new then
        for id in pairs(set) do
          if id ~= pair.primary or not has_primary(new, to, id) then
            put(new, name, n, id)
            put(other, st.name, new[1], pair.by_id[id].inverse)
          end
        end
        drop(other, st.name, rec[1])
      end
    end
  end
  rec[5] = false
end

-- ---- `associations` of a create ----

local function type_ids(pair, list)
  if type(list) ~= "table" or #list == 0 then E.bad_request("At least one association type is required") end
  local ids = {}
  for i, spec in ipairs(list) do
    local id = type(spec) == "table" and math.tointeger(tonumber(spec.associationTypeId))
    local t = id and pair.by_id[id]
    if not t or (type(spec.associationCategory) == "string" and spec.associationCategory ~= t.category) then
      E.bad_request("Invalid association type: " .. tostring(type(spec) == "table" and spec.associationTypeId or spec))
    end
    ids[i] = id
  end
  return ids
end

---Checks what a create wants to be linked to; raises before anything is written.
function A.check_inputs(S, st, list)
  if U.absent(list) or type(list) ~= "table" or #list == 0 then return nil end
  local out = {}
  for i, a in ipairs(list) do
    if type(a) ~= "table" or type(a.to) ~= "table" or U.absent(a.to.id) or type(a.types) ~= "table" then
      E.bad_request("Some required fields were not set: [associations.to.id, associations.types]")
    end
    -- The target's type is told by the association type alone.
    local first = type(a.types[1]) == "table" and math.tointeger(tonumber(a.types[1].associationTypeId))
    local to
    for _, name in ipairs(U.keys(S.links[st.name] or {})) do
      if first and S.links[st.name][name].by_id[first] then to = S.types[name] end
    end
    if not to then E.bad_request("Invalid association type: " .. tostring(first)) end
    out[i] = { to, record(to, a.to.id), type_ids(pair_of(S, st, to), a.types) }
    within_limits(S, st, nil, to, out[i][2], out[i][3])
  end
  return out
end

function A.add_inputs(S, st, rec, links, source)
  for _, l in ipairs(links or {}) do A.link(S, st, rec, l[1], l[2], l[3], source) end
end

-- ---- answers ----

local function sorted_ids(rec, to)
  return U.keys(rec[5] and rec[5][to.name] or {})
end

local function labels_of(pair, set)
  local out = {}
  for _, id in ipairs(U.keys(set)) do
    local t = pair.by_id[id]
    if t and t.label then out[#out + 1] = t.label end
  end
  return json.array(out)
end

-- One form for v4 and dated paths, the documented one: ids are strings, a label that is not there is left out.
local function types_json(pair, set)
  local out = {}
  for _, id in ipairs(U.keys(set)) do
    local t = pair.by_id[id]
    out[#out + 1] = { category = t.category, typeId = id, label = t.label }
  end
  return json.array(out)
end

local function pair_json(S, st, rec, to, other)
  return {
    fromObjectTypeId = st.type_id, fromObjectId = tostring(rec[1]),
    toObjectTypeId = to.type_id, toObjectId = tostring(other[1]),
    labels = labels_of(pair_of(S, st, to), types_between(rec, to, other[1]) or {}),
  }
end

local function type_name(st, to, pair, id)
  local name = st.singular .. "_to_" .. to.singular
  if pair.primary and id == pair.default then return name .. "_unlabeled" end
  return name
end

---The "associations" member of a record: what `?associations=companies` adds.
function A.render_inline(S, st, rec, names)
  local parts = {}
  for _, name in ipairs(names) do
    local to = store(S, name)
    local pair = S.links[st.name] and S.links[st.name][to.name]
    local ids = pair and sorted_ids(rec, to) or {}
    if #ids > 0 then
      local items = {}
      for _, n in ipairs(ids) do
        for _, id in ipairs(U.keys(rec[5][to.name][n])) do
          items[#items + 1] = '{"id":"' .. n .. '","type":' .. quote(type_name(st, to, pair, id)) .. "}"
        end
      end
      parts[#parts + 1] = quote(to.name) .. ':{"results":[' .. table.concat(items, ",") .. "]}"
    end
  end
  if #parts == 0 then return "" end
  return ',"associations":{' .. table.concat(parts, ",") .. "}"
end

-- ---- batches: /crm/associations/V/{from}/{to}/batch/… ----

local function ends(st, to, input)
  if type(input.from) ~= "table" or U.absent(input.from.id) or type(input.to) ~= "table" or U.absent(input.to.id) then
    E.bad_request("Some required fields were not set: [from.id, to.id]")
  end
  return record(st, input.from.id), record(to, input.to.id)
end

-- Runs `f` for each input; what HubSpot would refuse becomes a row's error.
local function each(inputs, f)
  local results, errors = {}, {}
  for _, input in ipairs(inputs) do
    local ok, e = pcall(f, input, results)
    if not ok then
      if not E.is(e) then error(e, 0) end
      errors[#errors + 1] = E.standard(e)
    end
  end
  return results, errors
end

local function default_results(st, rec, to, other, pair, out)
  local t = pair.by_id[pair.default]
  out[#out + 1] = { from = { id = tostring(rec[1]) }, to = { id = tostring(other[1]) },
    associationSpec = { associationCategory = t.category, associationTypeId = t.id } }
  if st ~= to then
    out[#out + 1] = { from = { id = tostring(other[1]) }, to = { id = tostring(rec[1]) },
      associationSpec = { associationCategory = t.category, associationTypeId = t.inverse } }
  end
end

local function batch_read(S, st, to, req)
  local pair = pair_of(S, st, to)
  local results, errors = each(S:inputs(S:json(req), 1000), function(input, out)
    if U.absent(input.id) then E.bad_request("Some required fields were not set: [id]") end
    local rec = O.find(st, input.id)
    local ids = rec and sorted_ids(rec, to) or {}
    if #ids == 0 then
      E.raise(404, "OBJECT_NOT_FOUND", "No " .. to.singular .. " is associated with " .. st.singular .. " " .. tostring(input.id) .. ".", {
        subCategory = "crm.associations.NO_ASSOCIATIONS_FOUND",
        context = { fromObjectId = json.array { tostring(input.id) }, fromObjectType = json.array { st.singular },
          toObjectType = json.array { to.singular } } })
    end
    local list = {}
    for i, n in ipairs(ids) do
      list[i] = { toObjectId = tostring(n), associationTypes = types_json(pair, rec[5][to.name][n]) }
    end
    out[#out + 1] = { from = { id = tostring(rec[1]) }, to = json.array(list) }
  end)
  return 200, results, errors
end

local function batch_create(S, st, to, req, v4)
  local pair = pair_of(S, st, to)
  local results, errors = each(S:inputs(S:json(req), 2000), function(input, out)
    local ids = type_ids(pair, input.types)
    local rec, other = ends(st, to, input)
    A.link(S, st, rec, to, other, ids, req.source)
    out[#out + 1] = pair_json(S, st, rec, to, other)
  end)
  return v4 and 201 or 200, results, errors
end

local function batch_default(S, st, to, req)
  local pair = pair_of(S, st, to)
  local results, errors = each(S:inputs(S:json(req), 2000), function(input, out)
    local rec, other = ends(st, to, input)
    A.link(S, st, rec, to, other, {}, req.source)
    default_results(st, rec, to, other, pair, out)
  end)
  return 200, results, errors
end

local function batch_archive(S, st, to, req)
  local _, errors = each(S:inputs(S:json(req), 100), function(input)
    if type(input.from) ~= "table" or U.absent(input.from.id) or type(input.to) ~= "table" then
      E.bad_request("Some required fields were not set: [from.id, to]")
    end
    local rec = record(st, input.from.id)
    for _, t in ipairs(input.to) do
      local other = type(t) == "table" and O.find(to, t.id)
      if other then A.unlink(S, st, rec, to, other, nil, req.source) end
    end
  end)
  return 200, {}, errors
end

local function batch_labels_archive(S, st, to, req)
  local pair = pair_of(S, st, to)
  local _, errors = each(S:inputs(S:json(req), 100), function(input)
    local ids = type_ids(pair, input.types)
    local rec, other = ends(st, to, input)
    for _, id in ipairs(ids) do A.unlink(S, st, rec, to, other, id, req.source) end
  end)
  return 200, {}, errors
end

-- The v3 batches know one association type by name and no labels.
local function v3_batch(S, st, to, req, action)
  local pair = pair_of(S, st, to)
  local inputs = S:inputs(S:json(req), action == "read" and 1000 or 2000)
  local name = st.singular .. "_to_" .. to.singular
  if action == "read" then
    return 200, each(inputs, function(input, out)
      local rec = record(st, input.id)
      local list = {}
      for i, n in ipairs(sorted_ids(rec, to)) do list[i] = { id = tostring(n), type = name } end
      out[#out + 1] = { from = { id = tostring(rec[1]) }, to = json.array(list) }
    end)
  end
  return action == "create" and 201 or 200, each(inputs, function(input, out)
    local rec, other = ends(st, to, input)
    if action == "create" then
      A.link(S, st, rec, to, other, { pair.default }, req.source)
      out[#out + 1] = { from = { id = tostring(rec[1]) }, to = { id = tostring(other[1]) }, type = name }
    else
      A.unlink(S, st, rec, to, other, nil, req.source)
    end
  end)
end

local BATCH = {
  ["read"] = batch_read, ["create"] = batch_create, ["archive"] = batch_archive,
  ["associate/default"] = batch_default, ["labels/archive"] = batch_labels_archive,
}

-- ---- pairs of a schema ----

---Lets records of two types be associated, under a type of the account's own. Returns its ids in both directions.
function A.define(S, st, to, name)
  local id = S.next_label
  local inverse = st == to and id or id + 1
  S.next_label = inverse + 1
  S.define_links(st.name, to.name, id)
  S.define_links(to.name, st.name, inverse)
  S.add_link_type(st.name, to.name, id, inverse, nil, "USER_DEFINED", name)
  S.add_link_type(to.name, st.name, inverse, id, nil, "USER_DEFINED", name)
  return id, inverse
end

---Ends that, and all associations between the two types.
---@param other string the name of the other type
function A.undefine(S, st, other)
  local to = S.types[other]
  for _, rec in pairs(st.records) do
    if rec[5] then rec[5][other] = nil end
  end
  for _, rec in pairs(to and to.records or {}) do
    if rec[5] then rec[5][st.name] = nil end
  end
  S.links[st.name][other], S.links[other][st.name] = nil, nil
end

-- ---- labels ----

local function label_of(S, st, to, id)
  local pair = S.links[st.name] and S.links[st.name][to.name]
  local t = pair and pair.by_id[math.tointeger(tonumber(id)) or -1]
  if not t or t.category ~= "USER_DEFINED" then E.bad_request("Invalid association type: " .. tostring(id)) end
  return t, pair
end

-- Takes a type out of a pair and of the records that have it.
local function drop_type(S, st, to, id)
  local pair = S.links[st.name][to.name]
  for i, t in ipairs(pair.types) do
    if t.id == id then table.remove(pair.types, i) break end
  end
  for _, rec in pairs(st.records) do
    for n in pairs(rec[5] and rec[5][to.name] or {}) do drop(rec, to.name, n, id) end
  end
  pair.by_id[id], pair.limits[id] = nil, nil
end

local function create_label(S, st, to, body)
  if type(body.label) ~= "string" or type(body.name) ~= "string" then
    E.bad_request("Some required fields were not set: [label, name]")
  end
  local id = S.next_label
  local paired = type(body.inverseLabel) == "string"
  local inverse = paired and id + 1 or id
  local back = paired and body.inverseLabel or body.label
  -- Types between which HubSpot defines nothing are associated under the first label that is made.
  if not (S.links[st.name] and S.links[st.name][to.name]) then
    S.define_links(st.name, to.name, id)
    if st ~= to then S.define_links(to.name, st.name, inverse) end
  end
  for _, t in ipairs(pair_of(S, st, to).types) do
    if t.name == body.name then E.raise(409, "CONFLICT", "An association label named " .. body.name .. " already exists") end
  end
  S.next_label = inverse + 1
  S.add_link_type(st.name, to.name, id, inverse, body.label, "USER_DEFINED", body.name)
  S.add_link_type(to.name, st.name, inverse, id, back, "USER_DEFINED", body.name)
  return 200, { results = json.array {
    { category = "USER_DEFINED", typeId = id, label = body.label }, { category = "USER_DEFINED", typeId = inverse, label = back } } }
end

local function route_labels(S, st, to, req, seg)
  local method, id = req.method, seg[1]
  if method == "GET" and not id then
    local out = {}
    for i, t in ipairs(pair_of(S, st, to).types) do out[i] = { category = t.category, typeId = t.id, label = t.label } end
    return 200, { results = json.array(out) }
  elseif method == "POST" and not id then
    return create_label(S, st, to, S:json(req))
  elseif method == "PUT" and not id then
    local body = S:json(req)
    local t = label_of(S, st, to, body.associationTypeId)
    local back = S.links[to.name][st.name].by_id[t.inverse]
    if type(body.label) == "string" then t.label = body.label end
    if type(body.inverseLabel) == "string" then back.label = body.inverseLabel end
    return 204
  elseif method == "DELETE" and id and not seg[2] then
    local t, pair = label_of(S, st, to, id)
    if t.id == pair.default then E.bad_request("Association type " .. id .. " is what associates " .. st.name .. " with " .. to.name) end
    drop_type(S, st, to, t.id)
    drop_type(S, to, st, t.inverse)
    return 204
  end
end

-- ---- configured limits: /crm/associations/V/definitions/configurations/… ----

local function shown_limit(pair, t)
  return { category = t.category, typeId = t.id, label = t.label, userEnforcedMaxToObjectIds = pair.limits[t.id] }
end

local function all_limits(S)
  local out = {}
  for _, from in ipairs(U.keys(S.links)) do
    for _, to in ipairs(U.keys(S.links[from])) do
      local pair = S.links[from][to]
      for _, t in ipairs(pair.types) do
        if pair.limits[t.id] then out[#out + 1] = shown_limit(pair, t) end
      end
    end
  end
  return out
end

local function limited_type(pair, input)
  local t = pair.by_id[math.tointeger(tonumber(input.typeId)) or -1]
  if not t or input.category ~= t.category then
    E.bad_request("Invalid association type: " .. tostring(input.category) .. " " .. tostring(input.typeId))
  end
  return t
end

-- A label cannot have more than the pair as a whole.
local function set_limit(pair, t, max)
  if math.type(max) ~= "integer" or max < 1 then E.bad_request("maxToObjectIds must be a positive number") end
  local low, high = 1, pair.limits[pair.default]
  if t.id == pair.default then
    high = nil
    for id, n in pairs(pair.limits) do
      if id ~= t.id then low = math.max(low, n) end
    end
  end
  if max < low or (high and max > high) then
    E.bad_request("maxToObjectIds must be between " .. low .. " and " .. (high or "the account's limit") .. ", is " .. max)
  end
  pair.limits[t.id] = max
end

local LIMITS = {}

function LIMITS.create(pair, input)
  local t = limited_type(pair, input)
  set_limit(pair, t, input.maxToObjectIds)
  return shown_limit(pair, t)
end

function LIMITS.update(pair, input)
  local t = limited_type(pair, input)
  if not pair.limits[t.id] then E.bad_request("Association type " .. t.id .. " has no configured limit") end
  set_limit(pair, t, input.maxToObjectIds)
  return { category = t.category, typeId = t.id, userEnforcedMaxToObjectIds = pair.limits[t.id] }
end

function LIMITS.purge(pair, input) pair.limits[limited_type(pair, input).id] = nil end

---`seg` is the path after definitions/configurations.
local function route_limits(S, req, seg)
  if seg[1] == "all" and not seg[2] and req.method == "GET" then return 200, { results = json.array(all_limits(S)) } end
  if not seg[2] then return end
  local pair = pair_of(S, store(S, seg[1]), store(S, seg[2]))
  if not seg[3] and req.method == "GET" then
    local out = {}
    for i, t in ipairs(pair.types) do out[i] = shown_limit(pair, t) end
    return 200, { results = json.array(out) }
  end
  local f = seg[3] == "batch" and not seg[5] and req.method == "POST" and LIMITS[seg[4]]
  if not f then return end
  local started, inputs = S.host.now(), S:inputs(S:json(req), 100)
  for _, input in ipairs(inputs) do limited_type(pair, input) end   -- an unknown type refuses the whole
  local results, errors = each(inputs, function(input, out) out[#out + 1] = f(pair, input) end)
  if #errors == #inputs then E.bad_request(errors[1].message) end
  if seg[4] == "purge" and req.legacy and #errors == 0 then return 204 end
  return S:batch_answer(200, started, results, errors)
end

-- A report by e-mail to a user of the account: that it was ordered is all that shows.
local function route_report(S, req, seg)
  if seg[1] ~= "high-usage-report" or not seg[2] or seg[3] or req.method ~= "POST" then return end
  for _, o in ipairs(S.owners) do
    if tostring(o.userId) == seg[2] and not o.archived then
      return 200, { userId = o.userId, userEmail = o.email,
        enqueueTime = { dateOnly = false, timeZoneShift = 0, value = S.host.now() // 1000 } }
    end
  end
  E.not_found("User " .. seg[2] .. " does not exist")
end

---/crm/associations/V/{from}/{to}/…; `seg` is the path after V.
function A.route(S, req, seg)
  if not seg[2] then return end
  if seg[1] == "definitions" and seg[2] == "configurations" then return route_limits(S, req, table.move(seg, 3, #seg, 1, {})) end
  if seg[1] == "usage" then return route_report(S, req, table.move(seg, 2, #seg, 1, {})) end
  if not seg[3] then return end
  local st, to = store(S, seg[1]), store(S, seg[2])
  local rest = {}
  for i = 4, #seg do rest[#rest + 1] = seg[i] end
  if seg[3] == "labels" then
    return route_labels(S, st, to, req, rest)
  end
  local legacy = req.version == "v3"
  if legacy and seg[3] == "types" and req.method == "GET" then
    local pair = pair_of(S, st, to)
    return 200, { results = json.array { { id = tostring(pair.default), name = st.singular .. "_to_" .. to.singular } } }
  end
  if seg[3] ~= "batch" or req.method ~= "POST" then return end
  local action = table.concat(rest, "/")
  local f = BATCH[action]
  if not f then return end
  local started = S.host.now()
  local status, results, errors
  if legacy then
    status, results, errors = v3_batch(S, st, to, req, action)
  else
    status, results, errors = f(S, st, to, req, req.v4)
  end
  if (legacy or req.v4) and (action == "archive" or action == "labels/archive") and #errors == 0 then return 204 end
  return S:batch_answer(status, started, results, errors)
end

---/crm/objects/V/{type}/{id}/associations/…; `seg` starts with the id.
function A.route_object(S, st, req, id, seg)
  local method = req.method
  if method == "PUT" and seg[3] == "default" then
    if not seg[5] or seg[6] then return end
    local to = store(S, seg[4])
    local started = S.host.now()
    local rec, other = record(st, id), record(to, seg[5])
    A.link(S, st, rec, to, other, {}, req.source)
    local out = {}
    default_results(st, rec, to, other, pair_of(S, st, to), out)
    return S:batch_answer(200, started, out, {})
  end
  if not seg[3] then return end
  local to = store(S, seg[3])
  local pair = pair_of(S, st, to)
  if method == "GET" and not seg[4] then
    local rec = record(st, id)
    local out = {}
    if req.version == "v3" then
      for _, n in ipairs(sorted_ids(rec, to)) do
        for _, t in ipairs(U.keys(rec[5][to.name][n])) do out[#out + 1] = { id = tostring(n), type = type_name(st, to, pair, t) } end
      end
    else
      for i, n in ipairs(sorted_ids(rec, to)) do
        out[i] = { toObjectId = tostring(n), associationTypes = types_json(pair, rec[5][to.name][n]) }
      end
    end
    return 200, { results = json.array(out) }
  end
  if not seg[4] then return end
  if method == "PUT" then
    local rec, other = record(st, id), record(to, seg[4])
    if req.version == "v3" then
      local type_id = seg[5] and math.tointeger(tonumber(seg[5])) or pair.default
      if not pair.by_id[type_id] then E.bad_request("Invalid association type: " .. tostring(seg[5])) end
      A.link(S, st, rec, to, other, { type_id }, req.source)
      return 200, O.render(st, rec, nil, A.render_inline(S, st, rec, { to.name }))
    end
    if seg[5] then return end
    local ids = type_ids(pair, S:json(req))
    A.link(S, st, rec, to, other, ids, req.source)
    return 201, pair_json(S, st, rec, to, other)
  elseif method == "DELETE" then
    local rec, other = O.find(st, id), O.find(to, seg[4])
    if rec and other then A.unlink(S, st, rec, to, other, nil, req.source) end
    return 204
  end
end

return A
