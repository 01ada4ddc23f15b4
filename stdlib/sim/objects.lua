-- CRM objects: the stores, reading and writing single records, batches, merge and
-- deletion (FACTS 4). A record is { id, created, archived, props, links, history } with
-- integer id and epoch milliseconds; `props` maps names to texts and holds the
-- last change at [1]. A write replaces `props` and never changes it, so whoever
-- keeps the old table (the search index, which lags) keeps the old state. Of stages all
-- values are kept in `history`; of other properties the current one is all there is.
-- Answers are put together as text here: json.encode costs more than the read.
local U = require "sim.util"
local E = require "sim.errors"
local P = require "sim.properties"
local catalog = require "sim.catalog"
local json = json

local O = {}

local quote, iso, id_of = U.quote, U.iso, U.id
local concat = table.concat

---Makes a store of records, which answers to its id, plural and singular.
---@param first integer the id of its first record
function O.add(S, type_id, name, singular, first)
  local st = { type_id = type_id, name = name, singular = singular, upper = singular:upper(), next_id = first,
    records = {}, order = {}, live = 0, merged = {}, unique = {}, owners = {} }
  P.attach(st)
  S.search.attach(st)
  S.stores[#S.stores + 1] = st
  S.types[type_id], S.types[name], S.types[singular] = st, st, st
  return st
end

---Makes the stores of a simulator: S.types by every name.
function O.attach(S)
  S.types, S.stores = {}, {}
  for _, t in ipairs(catalog.types) do O.add(S, table.unpack(t)) end
  S.types.contacts.unique.email = {}
end

-- ---- text of answers ----

local prefixes = setmetatable({}, { __index = function(t, name)
  local s = quote(name) .. ":"
  t[name] = s
  return s
end })

---The text of one property, system properties included; nil when it has no value.
local function value_of(st, rec, props, name)
  local v = props[name]
  if v then return v end
  if name == "hs_object_id" then return tostring(rec[1]) end
  if name == st.modified then return iso(props[1]) end
  if name == st.created then return iso(rec[2]) end
  local def = st.defs[name]
  if def and def.calculate then return def.calculate(rec, props) end
end
O.value_of = value_of

---JSON of one record.
---@param names table|nil properties to show, nil: the default set
---@param extra string|nil more members, starting with a comma
local function render(st, rec, names, extra)
  local props, defs = rec[4], st.defs
  local out, n = { '{"id":"', rec[1], '","properties":{' }, 3
  local sep = false
  names = names or st.defaults
  for i = 1, #names do
    local name = names[i]
    if defs[name] then
      if sep then n = n + 1; out[n] = "," end
      sep = true
      local v = value_of(st, rec, props, name)
      out[n + 1] = prefixes[name]
      out[n + 2] = v and quote(v) or "null"
      n = n + 2
    end
  end
  out[n + 1] = '},"createdAt":"'
  out[n + 2] = iso(rec[2])
  out[n + 3] = '","updatedAt":"'
  out[n + 4] = iso(props[1])
  n = n + 4
  if rec[3] then
    out[n + 1] = '","archived":true,"archivedAt":"'
    out[n + 2] = iso(rec[3])
    out[n + 3] = '"'
  else
    out[n + 1] = '","archived":false'
    out[n + 2], out[n + 3] = "", ""
  end
  out[n + 4] = extra or ""
  out[n + 5] = "}"
  return concat(out)
end
O.render = render

---Every property that has a value, sorted: what the answer of a create shows.
local function all_names(st, rec)
  local seen = { hs_object_id = true, [st.created] = true, [st.modified] = true }
  for name in pairs(rec[4]) do if name ~= 1 then seen[name] = true end end
  return U.keys(seen)
end

-- The asked-for properties plus those that every answer has, each once.
local function wanted(st, list)
  if not list then return nil end
  local out, seen = {}, {}
  for _, name in ipairs(list) do
    if type(name) == "string" and not seen[name] then seen[name], out[#out + 1] = true, name end
  end
  for _, name in ipairs { st.created, st.modified, "hs_object_id" } do
    if not seen[name] then out[#out + 1] = name end
  end
  return out
end
O.wanted = wanted

-- ---- stores ----

---The record of an id as given (text or integer), following merges. Archived records count only with `archived`.
function O.find(st, id, archived)
  local n = id_of(id)
  if not n then return nil end
  local rec = st.records[n]
  while not rec do
    n = st.merged[n]
    if not n then return nil end
    rec = st.records[n]
  end
  if (rec[3] and true or false) ~= (archived or false) then return nil end
  return rec
end

---The record whose unique property has this value.
function O.find_by(st, property, value, archived)
  if not property or property == "hs_object_id" then return O.find(st, value, archived) end
  local index = st.unique[property]
  if not index then
    if not st.defs[property] then E.bad_request('Property "' .. tostring(property) .. '" does not exist') end
    E.bad_request("idProperty " .. property .. " is not a unique property of " .. st.upper)
  end
  if type(value) ~= "string" then return nil end
  local n = index[property == "email" and value:lower() or value]
  return n and O.find(st, n, archived)
end

local function count_owner(st, old, new)
  if old == new then return end
  local owners = st.owners
  if old then owners[old] = owners[old] - 1 end
  if new then owners[new] = (owners[new] or 0) + 1 end
end

-- A unique value that another live record has.
local function conflict(st, texts, self)
  for name, index in pairs(st.unique) do
    local text = texts[name]
    local n = text and text ~= "" and index[text]
    if n and n ~= self then
      if name == "email" then
        return E.new(409, "CONFLICT", "Contact already exists. Existing ID: " .. n)
      end
      return E.new(400, "VALIDATION_ERROR",
        "Cannot set " .. name .. "=" .. text .. " on " .. st.upper .. ": record " .. n .. " already has that value.",
        { errors = json.array { { code = "CONFLICTING_UNIQUE_VALUE", message = name .. " " .. text .. " is already used by " .. n,
          context = { propertyName = json.array { name } } } } })
    end
  end
end

local function required(st, texts)
  local function has(name) return texts[name] and texts[name] ~= "" end
  local missing
  for _, name in ipairs(st.required or {}) do   -- of a schema
    if not has(name) then
      missing = missing or {}
      missing[#missing + 1] = name
    end
  end
  if st.name == "contacts" then
    if not (has "email" or has "firstname" or has "lastname") then missing = { "email", "firstname", "lastname" } end
  elseif st.name == "companies" then
    if not (has "name" or has "domain") then missing = { "name", "domain" } end
  elseif st.name == "deals" then
    for _, name in ipairs { "dealname", "dealstage" } do
      if not has(name) then missing = missing or {}; missing[#missing + 1] = name end
    end
  elseif st.name == "tickets" then
    if not has "hs_pipeline_stage" then missing = { "hs_pipeline_stage" } end
  end
  if not missing then return end
  local message = "Error creating " .. st.upper .. ". Some required properties were not set."
  return E.new(400, "VALIDATION_ERROR", message, { errors = json.array { {
    message = message, code = "REQUIRED_FIELDS_MISSING", context = { properties = json.array(missing) } } } })
end

-- Properties that follow from others.
local function derive(S, st, props, creating)
  if st.name == "contacts" then
    props.hs_email_domain = props.email and props.email:match("@(.*)$")
  else
    S.pipelines.settle(st, props, creating)
  end
end

local TRACKED = { "dealstage", "lifecyclestage", "hs_pipeline_stage" }
local VERSIONS = 20   -- of a property are kept

-- Puts the new values of stages before the older ones.
local function remember(rec, old, source, now)
  for _, name in ipairs(TRACKED) do
    local text = rec[4][name]
    if text ~= old[name] then
      local history = rec[6] or {}
      rec[6] = history
      local list = history[name] or {}
      history[name] = list
      table.insert(list, 1, { text or "", now, source.change })
      list[VERSIONS + 1] = nil
    end
  end
end

---Creates a record from JSON values. Returns it, or nil and the error.
---@param source table { change=, id= }: who wrote, for the events; at= when, unless now
function O.create(S, st, values, source)
  local texts, e = P.check(S, st, values)
  if not texts then return nil, e end
  e = required(st, texts) or conflict(st, texts)
  if e then return nil, e end
  local now = source.at or S.host.now()
  local n = st.next_id
  st.next_id = n + 1
  local props = { now }
  for name, text in pairs(texts) do
    if text ~= "" then props[name] = text end
  end
  derive(S, st, props, true)
  if props.hubspot_owner_id then props.hubspot_owner_assigneddate = iso(now) end
  local rec = { n, now, false, props, false }
  st.records[n] = rec
  st.order[#st.order + 1] = n
  st.live = st.live + 1
  for name, index in pairs(st.unique) do
    if props[name] then index[props[name]] = n end
  end
  count_owner(st, nil, props.hubspot_owner_id)
  remember(rec, {}, source, now)
  S.search.touch(S, st, rec, false)
  S.listing.touch(S, st, rec)
  S.webhooks.created(S, st, rec, source)
  return rec
end

---Why a write would be refused, without doing it; nil when it would go through.
---@param rec table|nil the record to update; nil: a create
function O.refusal(S, st, values, rec)
  local texts, e = P.check(S, st, values, rec and rec[4])
  if not texts then return e end
  return not rec and required(st, texts) or conflict(st, texts, rec and rec[1])
end

---Changes properties. Returns true and whether something changed, or nil and the error.
function O.update(S, st, rec, values, source)
  local old = rec[4]
  local texts, e = P.check(S, st, values, old)
  if not texts then return nil, e end
  e = conflict(st, texts, rec[1])
  if e then return nil, e end
  return O.apply(S, st, rec, texts, source)
end

---Writes stored texts ("" clears) as they are: HubSpot's own changes, of read-only properties too.
function O.apply(S, st, rec, texts, source)
  local old = rec[4]
  local now = S.host.now()
  local props, changed = {}, {}
  for k, v in pairs(old) do props[k] = v end
  for name, text in pairs(texts) do
    local new = text ~= "" and text or nil
    if new ~= old[name] then
      props[name] = new
      changed[#changed + 1] = name
    end
  end
  if #changed == 0 then return true, false end
  table.sort(changed)
  derive(S, st, props, false)
  props[1] = now > old[1] and now or old[1]
  if props.hubspot_owner_id ~= old.hubspot_owner_id then
    props.hubspot_owner_assigneddate = props.hubspot_owner_id and iso(now) or nil
    count_owner(st, old.hubspot_owner_id, props.hubspot_owner_id)
  end
  for name, index in pairs(st.unique) do
    if props[name] ~= old[name] then
      if old[name] then index[old[name]] = nil end
      if props[name] then index[props[name]] = rec[1] end
    end
  end
  rec[4] = props
  remember(rec, old, source, props[1])
  S.search.touch(S, st, rec, old)
  S.listing.touch(S, st, rec)
  S.webhooks.changed(S, st, rec, changed, source)
  return true, true
end

local function forget(st, rec)
  local props = rec[4]
  for name, index in pairs(st.unique) do
    if props[name] and index[props[name]] == rec[1] then index[props[name]] = nil end
  end
  for address in (st.unique.email and props.hs_additional_emails or ""):gmatch("[^;]+") do
    if st.unique.email[address] == rec[1] then st.unique.email[address] = nil end
  end
  count_owner(st, props.hubspot_owner_id, nil)
  st.live = st.live - 1
end

---Archives a live record.
function O.archive(S, st, rec, source)
  forget(st, rec)
  rec[3] = S.host.now()
  S.search.touch(S, st, rec, rec[4])
  S.listing.gone(S, st, rec)
  S.associations.unlink_all(S, st, rec)
  S.webhooks.deleted(S, st, rec, source, "deletion")
end

local RESTORABLE = 90 * 86400000

---Makes an archived record live again; its links are gone. Raises when it is too late, or a unique value is taken.
function O.restore(S, st, rec, source)
  if S.host.now() - rec[3] > RESTORABLE then E.bad_request(st.upper .. " " .. rec[1] .. " was deleted more than 90 days ago") end
  local e = conflict(st, rec[4], rec[1])
  if e then error(e, 0) end
  rec[3] = false
  st.live = st.live + 1
  for name, index in pairs(st.unique) do
    if rec[4][name] then index[rec[4][name]] = rec[1] end
  end
  count_owner(st, nil, rec[4].hubspot_owner_id)
  S.search.touch(S, st, rec, false)
  S.listing.touch(S, st, rec)
  S.webhooks.restored(S, st, rec, source)
end

---Removes a record for good; nothing of it stays.
function O.purge(S, st, rec, source)
  if not rec[3] then
    forget(st, rec)
    rec[3] = S.host.now()
    S.search.touch(S, st, rec, rec[4])
    S.listing.gone(S, st, rec)
    S.associations.unlink_all(S, st, rec)
  end
  st.records[rec[1]] = nil
  S.webhooks.deleted(S, st, rec, source, "privacyDeletion")
end

---Merges `other` into `primary`: a new record with a new id, to which both old ids lead.
function O.merge(S, st, primary, other, source)
  local now = S.host.now()
  local n = st.next_id
  st.next_id = n + 1
  local props, moved = {}, 0
  for k, v in pairs(primary[4]) do props[k] = v end
  for k, v in pairs(other[4]) do
    if props[k] == nil then
      props[k] = v
      moved = moved + 1
    end
  end
  props[1] = now
  local ids = {}
  for _, r in ipairs { primary, other } do
    if r[4].hs_merged_object_ids then ids[#ids + 1] = r[4].hs_merged_object_ids end
    ids[#ids + 1] = tostring(r[1])
  end
  props.hs_merged_object_ids = concat(ids, ";")
  local second = other[4].email
  if st.name == "contacts" and second and second ~= props.email then
    props.hs_additional_emails = props.hs_additional_emails and props.hs_additional_emails .. ";" .. second or second
  end
  local created = primary[2] < other[2] and primary[2] or other[2]
  local rec = { n, created, false, props, false, primary[6] }
  for _, r in ipairs { primary, other } do
    forget(st, r)
    r[3] = now
    S.search.touch(S, st, r, r[4])
    S.associations.move_all(S, st, r, rec)
    st.records[r[1]] = nil
    st.merged[r[1]] = n
  end
  st.records[n] = rec
  st.order[#st.order + 1] = n
  st.live = st.live + 1
  for name, index in pairs(st.unique) do
    if props[name] then index[props[name]] = n end
  end
  if st.unique.email and second then st.unique.email[second] = n end
  count_owner(st, nil, props.hubspot_owner_id)
  S.search.touch(S, st, rec, false)
  for _, r in ipairs { primary, other } do S.listing.gone(S, st, r, rec) end
  S.listing.touch(S, st, rec)
  S.webhooks.merged(S, st, rec, primary[1], other[1], moved, source)
  return rec
end

---The names to show after a write: what was written, and what every answer has.
function O.written(st, values)
  local list = {}
  for name in pairs(values) do list[#list + 1] = name end
  table.sort(list)
  return wanted(st, list)
end

O.all_names = all_names

return O
