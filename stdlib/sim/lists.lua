-- Lists (segments): definitions, static and dynamic membership with the times of joining, /crm/lists/V. A list is
-- { id, name, st, type, branch, test, created, updated, filtered, deleted, version, members = record number -> ms, size,
-- added, removed, folder, conversion, converted }: added and removed are the times of the last change, folder stands in
-- folders.lua, conversion is when a dynamic list is to become a static one. Dynamic lists follow the records at once, where
-- HubSpot takes moments. Of filters those of properties under AND and OR are understood; others answer 501.
local U = require "sim.util"
local E = require "sim.errors"
local O = require "sim.objects"
local J = require "sim.journal"
local H = require "sim.folders"
local json, time = json, time

local G = {}

local PAGE_MAX = 250
local SEARCH_MAX = 500
local TYPES = { MANUAL = true, DYNAMIC = true, SNAPSHOT = true }

function G.attach(S)
  S.lists = { by_id = {}, order = {}, next_id = 101, dynamic = {} }   -- dynamic: store -> lists that follow it
  H.attach(S)
end

-- ---- filters ----

local function not_simulated(what)
  E.raise(501, "NOT_IMPLEMENTED", "The simulator's lists do not understand " .. what .. ": filters of properties under AND and OR only")
end

local function lower(list)
  local out = {}
  for i, v in ipairs(list) do out[i] = tostring(v):lower() end
  return out
end

local function any(list, fn)
  for _, v in ipairs(list) do
    if fn(v) then return true end
  end
  return false
end

-- operator -> function(text, wanted texts)
local TEXT = {
  IS_EQUAL_TO = function(text, list) return any(list, function(v) return text == v end) end,
  CONTAINS = function(text, list) return any(list, function(v) return text:find(v, 1, true) ~= nil end) end,
  STARTS_WITH = function(text, list) return any(list, function(v) return text:sub(1, #v) == v end) end,
  ENDS_WITH = function(text, list) return any(list, function(v) return v == "" or text:sub(-#v) == v end) end,
  IS_ANY_OF = function(text, list)
    return any(list, function(v) return (";" .. text .. ";"):find(";" .. v .. ";", 1, true) ~= nil end)
  end,
}
local NOT = { IS_NOT_EQUAL_TO = "IS_EQUAL_TO", DOES_NOT_CONTAIN = "CONTAINS", IS_NONE_OF = "IS_ANY_OF" }
local NUMBER = {
  IS_EQUAL_TO = function(a, b) return a == b end, IS_NOT_EQUAL_TO = function(a, b) return a ~= b end,
  IS_GREATER_THAN = function(a, b) return a > b end, IS_GREATER_THAN_OR_EQUAL_TO = function(a, b) return a >= b end,
  IS_LESS_THAN = function(a, b) return a < b end, IS_LESS_THAN_OR_EQUAL_TO = function(a, b) return a <= b end,
}

local function property_test(st, filter)
  local name, operation = filter.property, filter.operation
  if type(name) ~= "string" or type(operation) ~= "table" then
    E.bad_request("Some required fields were not set: [operation, property]")
  end
  if not st.defs[name] then E.bad_request('Property "' .. name .. '" does not exist') end
  local kind, operator = operation.operationType, operation.operator
  if kind == "ALL_PROPERTY" and (operator == "IS_KNOWN" or operator == "IS_UNKNOWN") then
    return function(rec) return (O.value_of(st, rec, rec[4], name) ~= nil) == (operator == "IS_KNOWN") end
  end
  local test
  if kind == "NUMBER" and NUMBER[operator] and tonumber(operation.value) then
    test = function(text) return tonumber(text) ~= nil and NUMBER[operator](tonumber(text), operation.value) end
  elseif kind == "STRING" or kind == "MULTISTRING" or kind == "ENUMERATION" or kind == "BOOL" then
    local fn = TEXT[NOT[operator] or operator]
    local list = lower(type(operation.values) == "table" and operation.values or { operation.value })
    if not fn then not_simulated("the operator " .. tostring(operator)) end
    test = function(text) return fn(text:lower(), list) ~= (NOT[operator] ~= nil) end
  else
    not_simulated("operations of type " .. tostring(kind) .. " with " .. tostring(operator))
  end
  return function(rec)
    local text = O.value_of(st, rec, rec[4], name)
    if not text then return operation.includeObjectsWithNoValueSet == true end
    return test(text)
  end
end

-- A function of a record.
local function compile(st, branch)
  if type(branch) ~= "table" then E.bad_request("Some required fields were not set: [filterBranch]") end
  local kind, tests = branch.filterBranchType, {}
  if kind ~= "OR" and kind ~= "AND" then not_simulated("branches of type " .. tostring(kind)) end
  for _, filter in ipairs(E.list(branch.filters, "filters", "table")) do
    if filter.filterType ~= "PROPERTY" then not_simulated("filters of type " .. tostring(filter.filterType)) end
    tests[#tests + 1] = property_test(st, filter)
  end
  for _, inner in ipairs(E.list(branch.filterBranches, "filterBranches")) do tests[#tests + 1] = compile(st, inner) end
  return function(rec)
    for _, test in ipairs(tests) do
      if test(rec) == (kind == "OR") then return kind == "OR" end
    end
    return kind == "AND"
  end
end

---A branch for { property = value }: all must be equal.
function G.where(st, values)
  local filters = {}
  for i, name in ipairs(U.keys(values)) do
    local enumeration = st.defs[name] and st.defs[name].type == "enumeration"
    filters[i] = { filterType = "PROPERTY", property = name, operation = {
      operationType = enumeration and "ENUMERATION" or "MULTISTRING", operator = enumeration and "IS_ANY_OF" or "IS_EQUAL_TO",
      values = json.array { tostring(values[name]) }, includeObjectsWithNoValueSet = false } }
  end
  local all = { filterBranchType = "AND", filterBranchOperator = "AND", filterBranches = json.array {}, filters = json.array(filters) }
  return { filterBranchType = "OR", filterBranchOperator = "OR", filterBranches = json.array { all }, filters = json.array {} }
end

-- ---- membership ----

local function changed(S, l, n, joined)
  local now = S.host.now()
  l.members[n] = joined and now or nil
  l.size = l.size + (joined and 1 or -1)
  if joined then l.added = now else l.removed = now end
  l.by_id, l.by_join = nil, nil
  if J.kept(S) then J.listed(S, l.st, n, l.id, joined) end
end

local function follow(S, l, rec)
  local n = rec[1]
  local member = not rec[3] and l.test(rec)
  if member ~= (l.members[n] ~= nil) then changed(S, l, n, member) end
end

-- ---- conversion ----

local UNITS = { DAY = { "day", 1 }, WEEK = { "day", 7 }, MONTH = { "month", 1 } }

-- When a list is to be converted: midnight of a day in the account's zone, or so long after its last change.
local function due(S, l)
  local c = l.conversion
  if c.conversionType == "CONVERSION_DATE" then return time.instant({ year = c.year, month = c.month, day = c.day }, S.time_zone) end
  local at = time.civil(math.max(l.created, l.added or 0, l.removed or 0), S.time_zone)
  local unit = UNITS[c.timeUnit]
  at[unit[1]] = at[unit[1]] + c.offset * unit[2]
  return time.instant(at, S.time_zone)
end

-- Converts what is due; called before anything that could show or change a list.
local function settle(S)
  local now = S.host.now()
  for _, l in ipairs(S.lists.order) do
    local at = l.conversion and not l.converted and due(S, l)
    if at and at <= now then
      l.converted, l.type = at, "SNAPSHOT"
      for i, other in ipairs(S.lists.dynamic[l.st]) do
        if other == l then table.remove(S.lists.dynamic[l.st], i) break end
      end
    end
  end
end

local function integer(v, low, high) return math.type(v) == "integer" and v >= low and v <= high end

local function checked_conversion(body)
  if body.conversionType == "CONVERSION_DATE" then
    if integer(body.year, 1970, 9999) and integer(body.month, 1, 12) and integer(body.day, 1, 31)
        and U.ms(("%04d-%02d-%02d"):format(body.year, body.month, body.day)) then
      return { conversionType = body.conversionType, year = body.year, month = body.month, day = body.day }
    end
    E.bad_request("year, month and day must be those of a date")
  elseif body.conversionType == "INACTIVITY" then
    if integer(body.offset, 1, 1000) and UNITS[body.timeUnit] then
      return { conversionType = body.conversionType, offset = body.offset, timeUnit = body.timeUnit }
    end
    E.bad_request("offset must be a positive number, timeUnit DAY, WEEK or MONTH")
  end
  E.bad_request("conversionType must be CONVERSION_DATE or INACTIVITY")
end

local function route_conversion(S, req, l)
  if req.method == "PUT" then
    if l.type ~= "DYNAMIC" then
      E.bad_request("Only dynamic lists can be converted; list " .. l.id .. " is " .. l.type, {
        subCategory = "ILS.INVALID_LIST_PROCESSING_TYPE" })
    end
    l.conversion = checked_conversion(S:json(req))
  elseif req.method == "DELETE" then
    if not l.converted then l.conversion = nil end
    return 204
  elseif req.method ~= "GET" then
    return
  end
  return 200, { listId = l.id, requestedConversionTime = l.conversion, convertedAt = l.converted and U.iso(l.converted) or nil }
end

---A record was made or changed.
function G.touch(S, st, rec)
  local dynamic = S.lists.dynamic[st]
  if not dynamic or #dynamic == 0 then return end
  settle(S)
  for _, l in ipairs(dynamic) do follow(S, l, rec) end
end

---A record went away; `heir` is what it was merged into.
function G.gone(S, st, rec, heir)
  for _, l in pairs(S.lists.by_id) do
    local joined = l.st == st and l.members[rec[1]]
    if joined then
      changed(S, l, rec[1], false)
      if heir and l.type ~= "DYNAMIC" and not l.members[heir[1]] then
        changed(S, l, heir[1], true)
        l.members[heir[1]] = joined
      end
    end
  end
end

---Puts records in or takes them out. Returns ids: done, and those that do not exist.
function G.change(S, l, ids, joined)
  local done, missing = {}, {}
  for _, id in ipairs(ids) do
    local rec = O.find(l.st, id)
    if not rec then missing[#missing + 1] = tostring(id)
    elseif (l.members[rec[1]] ~= nil) ~= joined then
      changed(S, l, rec[1], joined)
      done[#done + 1] = tostring(rec[1])
    end
  end
  return done, missing
end

-- ---- definitions ----

local function fill(S, l)
  for _, n in ipairs(l.st.order) do
    local rec = l.st.records[n]
    if rec then follow(S, l, rec) end
  end
end

local function set_branch(S, l, branch)
  l.test, l.branch, l.filtered = compile(l.st, branch), branch, S.host.now()
  fill(S, l)
end

local function named(S, st, name)
  for _, l in ipairs(S.lists.order) do
    if l.st == st and not l.deleted and l.name == name then return l end
  end
end

---Makes a list as `POST /crm/lists/V` does.
function G.create(S, body)
  if type(body.name) ~= "string" or body.name == "" or type(body.objectTypeId) ~= "string" or not TYPES[body.processingType] then
    E.bad_request("Some required fields were not set: [name, objectTypeId, processingType]")
  end
  local st = S.types[body.objectTypeId]
  if not st then E.bad_request("Unable to infer object type from: " .. body.objectTypeId) end
  for _, l in ipairs(S.lists.order) do
    if not l.deleted and l.name:lower() == body.name:lower() then
      E.bad_request("A list with the name " .. body.name .. " exists already", { subCategory = "ILS.DUPLICATE_LIST_NAMES" })
    end
  end
  local folder = H.of(S, U.absent(body.listFolderId) and "0" or tostring(body.listFolderId))
  local now, L = S.host.now(), S.lists
  local l = { id = tostring(L.next_id), name = body.name, st = st, type = body.processingType, created = now, updated = now,
    version = 1, members = {}, size = 0, folder = folder.id, legacy = tostring(L.next_id - 100),
    permissions = not U.absent(body.listPermissions) and body.listPermissions or nil,
    settings = not U.absent(body.membershipSettings) and body.membershipSettings or nil }
  if l.type ~= "MANUAL" then set_branch(S, l, body.filterBranch) end
  L.next_id = L.next_id + 1
  L.by_id[l.id] = l
  L.order[#L.order + 1] = l
  if l.type == "DYNAMIC" then
    L.dynamic[st] = L.dynamic[st] or {}
    table.insert(L.dynamic[st], l)
  end
  return l
end

---The list of an id or a name; raises 404.
function G.find(S, id)
  local l = S.lists.by_id[tostring(id)]
  if l and not l.deleted then return l end
  for _, other in ipairs(S.lists.order) do
    if not other.deleted and other.name == id then return other end
  end
  return E.not_found("List " .. tostring(id) .. " does not exist", { subCategory = "ILS.LIST_NOT_FOUND" })
end

local function by_id(S, id)
  local l = S.lists.by_id[tostring(id)]
  if l and not l.deleted then return l end
  return E.not_found("List " .. tostring(id) .. " does not exist", { subCategory = "ILS.LIST_NOT_FOUND" })
end

local function optional_time(ms) return ms and U.iso(ms) or nil end

local function head(l)
  return { listId = l.id, listVersion = l.version, name = l.name, objectTypeId = l.st.type_id, processingStatus = "COMPLETE",
    processingType = l.type, createdAt = U.iso(l.created), updatedAt = U.iso(l.updated), createdById = "1001", updatedById = "1001",
    filtersUpdatedAt = optional_time(l.filtered), deletedAt = optional_time(l.deleted) }
end

local function render(l, filters)
  local out = head(l)
  out.size, out.listPermissions, out.membershipSettings = l.size, l.permissions, l.settings
  if filters then out.filterBranch = l.branch end
  return out
end
G.render = render

local function search_result(S, l, names)
  local out = head(l)
  local known = { hs_list_size = tostring(l.size), hs_last_record_added_at = l.added and tostring(l.added),
    hs_last_record_removed_at = l.removed and tostring(l.removed), hs_list_reference_count = "0",
    hs_folder_id = l.folder, hs_folder_name = H.of(S, l.folder).name, hs_classic_list_id = l.legacy }
  out.additionalProperties = {}
  for _, name in ipairs { "hs_list_size", "hs_last_record_added_at", "hs_last_record_removed_at", "hs_list_reference_count",
    "hs_folder_name", table.unpack(names) } do
    out.additionalProperties[name] = known[name] or nil
  end
  return out
end

-- ---- pages of members ----

local function sorted(l, key, less)
  local list = l[key]
  if not list then
    list = {}
    for n, ms in pairs(l.members) do list[#list + 1] = { n, ms } end
    table.sort(list, less)
    l[key] = list
  end
  return list
end

local ORDERS = {
  by_id = function(a, b) return a[1] < b[1] end,
  by_join = function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[1] < b[1]
  end,
}

-- A cursor says where in the order its item stands; as a place in the list (offset_cursors) it means another one
-- when items before it go: HubSpot does not tell which of them its cursors are.
local function encode(S, item, at)
  return crypto.base64_encode(S.offset_cursors and "o" .. at or item[1] .. "," .. item[2])
end

local function decode(text)
  local ok, plain = pcall(crypto.base64_decode, text)
  local place = ok and plain:match("^o(%d+)$")
  if place then return math.tointeger(tonumber(place)) end
  local n, ms = (ok and plain or ""):match("^(%d+),(%d+)$")
  if not n then E.bad_request("Invalid paging cursor: " .. text) end
  return nil, { math.tointeger(tonumber(n)), math.tointeger(tonumber(ms)) }
end

-- How many items stand at or before what the cursor says.
local function place(list, less, text)
  local at, key = decode(text)
  if at then return at end
  local lo, hi = 0, #list
  while lo < hi do
    local mid = (lo + hi + 1) // 2
    if less(key, list[mid]) then hi = mid - 1 else lo = mid end
  end
  return lo
end

local function page(S, req, l, order)
  local q, less = req:args(), ORDERS[order]
  local list = sorted(l, order, less)
  local limit = math.tointeger(tonumber(U.one(q, "limit") or "100"))
  if not limit or limit < 1 or limit > PAGE_MAX then E.bad_request("limit must be between 1 and " .. PAGE_MAX) end
  local after, before = U.one(q, "after"), U.one(q, "before")
  local results, paging = {}, {}
  local first, last, step
  if before and not after then
    first = place(list, less, before)
    local at, key = decode(before)
    if at or list[first] and not less(list[first], key) then first = first - 1 end   -- without the item itself
    last, step = math.max(1, first - limit + 1), -1
  else
    first = (after and place(list, less, after) or 0) + 1
    last, step = math.min(#list, first + limit - 1), 1
  end
  for i = first, last, step do
    results[#results + 1] = { recordId = tostring(list[i][1]), membershipTimestamp = U.iso(list[i][2]) }
  end
  local link = "https://api.hubapi.com" .. req.path .. "?limit=" .. limit
  if step == 1 and last < #list and last >= first then
    local cursor = encode(S, list[last], last)
    paging.next = { after = cursor, link = link .. "&after=" .. cursor }
  elseif step == -1 and last > 1 then
    local cursor = encode(S, list[last], last)
    paging.prev = { before = cursor, link = link .. "&before=" .. cursor }
  end
  return 200, { results = json.array(results), total = #list, paging = next(paging) and paging or nil }
end

-- ---- routes ----

local function ids_of(list)
  if type(list) ~= "table" then E.bad_json("a list of record ids is expected") end
  return list
end

local function static(l)
  if l.type == "DYNAMIC" then
    E.bad_request("The memberships of the list " .. l.id .. " follow its filters and cannot be changed", {
      subCategory = "ILS.INVALID_LIST_PROCESSING_TYPE" })
  end
  return l
end

local function update_answer(added, removed, missing)
  return 200, { recordsIdsAdded = json.array(added), recordIdsRemoved = json.array(removed), recordIdsMissing = json.array(missing) }
end

local function route_memberships(S, req, l, seg)
  local method, what = req.method, seg[1]
  if seg[3] then return end
  if not what then
    if method == "GET" then return page(S, req, l, "by_id") end
    if method ~= "DELETE" then return end
    for _, n in ipairs(U.keys(static(l).members)) do changed(S, l, n, false) end
    return 204
  end
  if method == "GET" and what == "join-order" and not seg[2] then return page(S, req, l, "by_join") end
  if method ~= "PUT" then return end
  if what == "add" and not seg[2] then
    local done, missing = G.change(S, static(l), ids_of(S:json(req)), true)
    return update_answer(done, {}, missing)
  elseif what == "remove" and not seg[2] then
    local done, missing = G.change(S, static(l), ids_of(S:json(req)), false)
    return update_answer({}, done, missing)
  elseif what == "add-and-remove" and not seg[2] then
    local body = S:json(req)
    local added, missing = G.change(S, static(l), ids_of(body.recordIdsToAdd), true)
    local removed, more = G.change(S, l, ids_of(body.recordIdsToRemove), false)
    return update_answer(added, removed, table.move(more, 1, #more, #missing + 1, missing))
  elseif what == "add-from" and seg[2] then
    local ids = {}
    for i, n in ipairs(U.keys(by_id(S, seg[2]).members)) do ids[i] = n end
    G.change(S, static(l), ids, true)
    return 204
  end
end

local function membership_of(S, st, id)
  local rec, out = O.find(st, id), {}
  for _, l in ipairs(S.lists.order) do
    local joined = rec and l.st == st and not l.deleted and l.members[rec[1]]
    if joined then
      out[#out + 1] = { listId = l.id, listVersion = l.version, firstAddedTimestamp = U.iso(joined),
        lastAddedTimestamp = U.iso(joined) }
    end
  end
  return json.array(out)
end

local function object_type(S, name) return S.types[name] or E.bad_request("Unable to infer object type from: " .. tostring(name)) end

local function route_records(S, req, seg)
  if seg[1] == "memberships" and seg[2] == "batch" and seg[3] == "read" and req.method == "POST" then
    local started, out = S.host.now(), {}
    for i, input in ipairs(S:inputs(S:json(req), 100)) do
      out[i] = { objectTypeId = input.objectTypeId, recordId = tostring(input.recordId),
        recordListMemberships = membership_of(S, object_type(S, input.objectTypeId), input.recordId) }
    end
    return S:batch_answer(200, started, out, {})
  end
  if req.method == "GET" and seg[3] == "memberships" and not seg[4] then
    return 200, { results = membership_of(S, object_type(S, seg[1]), seg[2]) }
  end
end

local function wants(body, l)
  local function has(list, value) return type(list) ~= "table" or #list == 0 or any(list, function(v) return tostring(v) == value end) end
  local query = type(body.query) == "string" and body.query:lower() or ""
  return not l.deleted and has(body.listIds, l.id) and has(body.processingTypes, l.type) and l.name:lower():find(query, 1, true)
    and (type(body.objectTypeId) ~= "string" or body.objectTypeId == l.st.type_id)
end

local function search(S, req)
  local body = S:json(req)
  local offset, count = math.tointeger(body.offset or 0), math.tointeger(body.count or 20)
  if not offset or offset < 0 or not count or count < 1 or count > SEARCH_MAX then
    E.bad_request("count must be between 1 and " .. SEARCH_MAX .. ", and offset not negative")
  end
  local found, out = {}, {}
  for _, l in ipairs(S.lists.order) do
    if wants(body, l) then found[#found + 1] = l end
  end
  local names = type(body.additionalProperties) == "table" and body.additionalProperties or {}
  for i = offset + 1, math.min(#found, offset + count) do out[#out + 1] = search_result(S, found[i], names) end
  return 200, { lists = json.array(out), offset = offset + #out, total = #found, hasMore = offset + #out < #found }
end

local function route_list(S, req, id, seg)
  local method, what = req.method, seg[1]
  local filters = U.one(req:args(), "includeFilters") == "true"
  if what == "restore" and method == "PUT" then
    local l = S.lists.by_id[id]
    if not l then by_id(S, id) end
    l.deleted = nil
    return 204
  end
  local l = by_id(S, id)
  if not what then
    if method == "GET" then return 200, { list = render(l, filters) } end
    if method ~= "DELETE" then return end
    l.deleted = S.host.now()
    return 204
  end
  if what == "schedule-conversion" and not seg[2] then return route_conversion(S, req, l) end
  if what == "memberships" then return route_memberships(S, req, l, table.move(seg, 2, #seg, 1, {})) end
  if method ~= "PUT" or seg[2] then return end
  if what == "update-list-name" then
    l.name = U.one(req:args(), "listName") or E.bad_request("Some required fields were not set: [listName]")
  elseif what == "update-list-filters" then
    if l.type ~= "DYNAMIC" then E.bad_request("Only dynamic lists have filters that can be changed") end
    set_branch(S, l, S:json(req).filterBranch)
  else
    return
  end
  l.version, l.updated = l.version + 1, S.host.now()
  return 200, { updatedList = render(l, filters) }
end

-- The ids that lists had in the first API.
local function route_mapping(S, req)
  local by_legacy = {}
  for _, l in ipairs(S.lists.order) do
    if not l.deleted then by_legacy[l.legacy] = { legacyListId = l.legacy, listId = l.id } end
  end
  if req.method == "GET" then
    local id = U.one(req:args(), "legacyListId") or E.bad_request("Some required fields were not set: [legacyListId]")
    if not by_legacy[id] then E.not_found("No list has the legacy id " .. id, { subCategory = "ILS.LIST_NOT_FOUND" }) end
    return 200, by_legacy[id]
  elseif req.method ~= "POST" then
    return
  end
  local found, missing = {}, {}
  for _, id in ipairs(ids_of(S:json(req))) do
    local mapping = by_legacy[tostring(id)]
    if mapping then found[#found + 1] = mapping else missing[#missing + 1] = tostring(id) end
  end
  return 200, { legacyListIdsToIdsMapping = json.array(found), missingLegacyListIds = json.array(missing) }
end

---/crm/lists/V/…; returns status and body, or nothing (501).
function G.route(S, req, seg)
  local method, first = req.method, seg[1]
  settle(S)
  if not first then
    if method == "POST" then return 200, { list = render(G.create(S, S:json(req)), true) } end
    if method ~= "GET" then return end
    local out, filters = {}, U.one(req:args(), "includeFilters") == "true"
    for _, id in ipairs(U.list(req:args(), "listIds") or {}) do
      local l = S.lists.by_id[id]
      if l and not l.deleted then out[#out + 1] = render(l, filters) end
    end
    return 200, { lists = json.array(out) }
  end
  if first == "search" and method == "POST" and not seg[2] then return search(S, req) end
  if first == "idmapping" and not seg[2] then return route_mapping(S, req) end
  if first == "folders" then return H.route(S, req, table.move(seg, 2, #seg, 1, {})) end
  if first == "records" then return route_records(S, req, table.move(seg, 2, #seg, 1, {})) end
  if first == "object-type-id" and seg[3] == "name" and seg[4] and not seg[5] and method == "GET" then
    local l = named(S, object_type(S, seg[2]), seg[4])
    if not l then E.not_found("List " .. seg[4] .. " does not exist", { subCategory = "ILS.LIST_NOT_FOUND" }) end
    return 200, { list = render(l, U.one(req:args(), "includeFilters") == "true") }
  end
  if first:find("^%d+$") then return route_list(S, req, first, table.move(seg, 2, #seg, 1, {})) end
end

return G
