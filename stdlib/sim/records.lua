-- The routes of CRM objects: /crm/objects/V/{type}… single records, lists and
-- batches. Reading and writing itself is objects.lua; here are the request's
-- shapes, the limits of a batch and the 207 answers (FACTS 4).
local U = require "sim.util"
local E = require "sim.errors"
local O = require "sim.objects"
local published = require "hubspot.types"
local json = json

local R = {}

local concat, iso, quote = table.concat, U.iso, U.quote

-- HubSpot refuses what cannot be an id with other words than one that nothing has.
local function require_id(id)
  if not tostring(id):find("^%d+$") then E.not_found("Object not found.  objectId are usually numeric.") end
end

local function must_find(st, id, property, archived)
  local rec = O.find_by(st, property, id, archived)
  if rec then return rec end
  if not property then require_id(id) end
  return E.not_found("Object not found: " .. st.upper .. " " .. tostring(id), { context = { id = json.array { tostring(id) } } })
end

local function properties_of(body)
  if type(body.properties) ~= "table" then
    E.bad_request('Invalid input JSON: "properties" is required')
  end
  return body.properties
end

-- ---- history ----

local function history(st, rec, names)
  local parts = {}
  for _, name in ipairs(names) do
    local v = st.defs[name] and O.value_of(st, rec, rec[4], name)
    local versions, list = rec[6] and rec[6][name] or v and { { v, rec[4][1], "API" } } or {}, {}
    for i, version in ipairs(versions) do
      list[i] = ('{"value":%s,"timestamp":"%s","sourceType":%s}'):format(quote(version[1]), iso(version[2]), quote(version[3]))
    end
    if #list > 0 then parts[#parts + 1] = quote(name) .. ":[" .. concat(list, ",") .. "]" end
  end
  return ',"propertiesWithHistory":{' .. concat(parts, ",") .. "}"
end

---The part of an answer that `associations=` and `propertiesWithHistory=` ask for.
local function extras(S, st, rec, assoc, hist)
  local out = ""
  if hist then out = history(st, rec, hist) end
  if assoc then out = out .. S.associations.render_inline(S, st, rec, assoc) end
  return out ~= "" and out or nil
end

local function read_args(st, req)
  if req.query == "" then return nil, nil, nil, false, nil end
  local q = req:args()
  local names = U.list(q, "properties")
  return names and O.wanted(st, names), U.list(q, "associations"), U.list(q, "propertiesWithHistory"),
    U.one(q, "archived") == "true", q
end

-- ---- single ----

local function get(S, st, req, id)
  local names, assoc, hist, archived, q = read_args(st, req)
  local rec = must_find(st, id, q and U.one(q, "idProperty"), archived)
  return 200, O.render(st, rec, names, (assoc or hist) and extras(S, st, rec, assoc, hist) or nil)
end

local function list(S, st, req)
  local names, assoc, hist, archived, q = read_args(st, req)
  local limit = q and U.one(q, "limit") or "10"
  limit = math.tointeger(tonumber(limit))
  if not limit or limit < 1 then E.bad_request("limit must be a positive number") end
  if limit > 100 then E.bad_request("Requested limit of " .. limit .. " exceeds the maximum of 100") end
  local order, records = st.order, st.records
  local at = 1
  local after = q and U.one(q, "after")
  if after then
    local n = U.id(after)
    if not n then E.bad_request("Invalid paging cursor: " .. after) end
    local lo, hi = 1, #order + 1
    while lo < hi do
      local mid = (lo + hi) // 2
      if order[mid] > n then hi = mid else lo = mid + 1 end
    end
    at = lo
  end
  local parts, last, more = {}, nil, false
  for i = at, #order do
    local rec = records[order[i]]
    if rec and (rec[3] and true or false) == archived then
      if #parts == limit then
        more = true
        break
      end
      parts[#parts + 1] = O.render(st, rec, names, (assoc or hist) and extras(S, st, rec, assoc, hist) or nil)
      last = rec[1]
    end
  end
  local paging = ""
  if more then
    local link = "https://api.hubapi.com" .. req.path .. "?limit=" .. limit .. "&after=" .. last
    paging = ',"paging":{"next":{"after":"' .. last .. '","link":' .. quote(link) .. "}}"
  end
  return 200, '{"results":[' .. concat(parts, ",") .. "]" .. paging .. "}"
end

local function create(S, st, req)
  local body = S:json(req)
  local values = properties_of(body)
  local links = S.associations.check_inputs(S, st, body.associations)
  local rec, e = O.create(S, st, values, req.source)
  if not rec then error(e, 0) end
  S.associations.add_inputs(S, st, rec, links, req.source)
  return 201, O.render(st, rec, O.all_names(st, rec))
end

local function update(S, st, req, id)
  local values = properties_of(S:json(req))
  local rec = must_find(st, id, U.one(req:args(), "idProperty"))
  local ok, e = O.update(S, st, rec, values, req.source)
  if not ok then error(e, 0) end
  return 200, O.render(st, rec, O.written(st, values))
end

local function merge(S, st, req)
  local body = S:json(req)
  if U.absent(body.primaryObjectId) or U.absent(body.objectIdToMerge) then
    E.bad_request("Some required fields were not set: [objectIdToMerge, primaryObjectId]")
  end
  local primary = must_find(st, body.primaryObjectId)
  local other = must_find(st, body.objectIdToMerge)
  if primary == other then E.bad_request("Cannot merge an object into itself. ID: " .. primary[1]) end
  local rec = O.merge(S, st, primary, other, req.source)
  return 200, O.render(st, rec)
end

local function gdpr_delete(S, st, req)
  local body = S:json(req)
  if U.absent(body.objectId) then E.bad_request("Some required fields were not set: [objectId]") end
  local property = not U.absent(body.idProperty) and body.idProperty or nil
  local rec = O.find_by(st, property, body.objectId) or O.find_by(st, property, body.objectId, true)
  if rec then O.purge(S, st, rec, req.source) end
  return 204
end

-- ---- batches ----

local function batch_answer(S, started, ok_status, results, errors)
  local now = iso(S.host.now())
  local head = '{"status":"COMPLETE","results":[' .. concat(results, ",") .. '],"startedAt":"' .. iso(started)
    .. '","completedAt":"' .. now .. '"'
  if #errors == 0 then return ok_status, head .. "}" end
  return 207, head .. ',"numErrors":' .. #errors .. ',"errors":' .. json.encode(json.array(errors)) .. "}"
end

local function missing(st, ids)
  return E.standard(E.new(404, "OBJECT_NOT_FOUND", "Could not get some " .. st.upper
    .. " objects, they may be deleted or not exist. Check that ids are valid."), { ids = json.array(ids) })
end

-- Two inputs with one id are refused whole: HubSpot cannot tell which of them wins.
local function refuse_duplicates(inputs, key)
  local seen, twice = {}, {}
  for _, input in ipairs(inputs) do
    local id = key(input)
    if id then
      if seen[id] then twice[#twice + 1] = tostring(id) end
      seen[id] = true
    end
  end
  if #twice > 0 then
    E.bad_request("Duplicate IDs found in batch input: [" .. concat(twice, ", ") .. "]. IDs must be unique", {
      errors = json.array { { message = "Duplicate IDs found in batch input", code = "DUPLICATE_IDS",
        context = { ids = json.array(twice) } } } })
  end
end

local function input_id(input)
  if U.absent(input.id) then E.bad_request("Some required fields were not set: [inputs.id]") end
  return tostring(input.id)
end

-- Rows are told apart only when each carries its own objectWriteTraceId; then one bad row
-- fails alone. Without them the first bad row refuses the whole batch.
local function traced(inputs)
  local seen = {}
  for _, input in ipairs(inputs) do
    local id = input.objectWriteTraceId
    if type(id) ~= "string" or seen[id] then return false end
    seen[id] = true
  end
  return true
end

local function trace(input)
  return type(input.objectWriteTraceId) == "string" and ',"objectWriteTraceId":' .. quote(input.objectWriteTraceId) or nil
end

local function row_error(e, input, id)
  local context = {}
  if type(input.objectWriteTraceId) == "string" then context.objectWriteTraceId = json.array { input.objectWriteTraceId } end
  if id then context.ids = json.array { id } end
  return E.standard(e, context)
end

local function batch_read(S, st, req)
  local body = S:json(req)
  local inputs = S:inputs(body, 100)
  local started = S.host.now()
  local property = not U.absent(body.idProperty) and body.idProperty or nil
  local archived = U.one(req:args(), "archived") == "true"
  local names
  if type(body.properties) == "table" then names = O.wanted(st, #body.properties > 0 and body.properties or nil) end
  local hist = type(body.propertiesWithHistory) == "table" and #body.propertiesWithHistory > 0 and body.propertiesWithHistory or nil
  refuse_duplicates(inputs, input_id)
  local results, lost, seen = {}, {}, {}
  for _, input in ipairs(inputs) do
    local id = input_id(input)
    local rec = O.find_by(st, property, id, archived)
    if not rec then
      lost[#lost + 1] = id
    elseif not seen[rec] then
      seen[rec] = true
      results[#results + 1] = O.render(st, rec, names, hist and history(st, rec, hist) or nil)
    end
  end
  return batch_answer(S, started, 200, results, #lost > 0 and { missing(st, lost) } or {})
end

local function batch_create(S, st, req)
  local inputs = S:inputs(S:json(req), 100)
  local started = S.host.now()
  local alone = traced(inputs)
  local results, errors = {}, {}
  if not alone then
    -- All or nothing: look at every row before the first one is written.
    local emails = {}
    for _, input in ipairs(inputs) do
      local e = O.refusal(S, st, properties_of(input))
      if e then error(e, 0) end
      S.associations.check_inputs(S, st, input.associations)
      local email = st.name == "contacts" and input.properties.email
      if type(email) == "string" and email ~= "" then
        email = email:lower()
        if emails[email] then
          E.bad_request("Duplicate email found in batch input: " .. email)
        end
        emails[email] = true
      end
    end
  end
  for _, input in ipairs(inputs) do
    local ok, links = pcall(S.associations.check_inputs, S, st, input.associations)
    local rec, e
    if ok then
      rec, e = O.create(S, st, properties_of(input), req.source)
    elseif E.is(links) then
      e = links
    else
      error(links, 0)
    end
    if rec then
      S.associations.add_inputs(S, st, rec, links, req.source)
      results[#results + 1] = O.render(st, rec, O.all_names(st, rec), trace(input))
    else
      errors[#errors + 1] = row_error(e, input)
    end
  end
  return batch_answer(S, started, 201, results, errors)
end

local function batch_update(S, st, req)
  local inputs = S:inputs(S:json(req), 100)
  local started = S.host.now()
  refuse_duplicates(inputs, input_id)
  local alone = traced(inputs)
  local rows, lost = {}, {}
  for _, input in ipairs(inputs) do
    local values = properties_of(input)
    local id = input_id(input)
    local rec = O.find_by(st, not U.absent(input.idProperty) and input.idProperty or nil, id)
    if rec then
      if not alone then
        local e = O.refusal(S, st, values, rec)
        if e then error(e, 0) end
      end
      rows[#rows + 1] = { rec, values, input, id }
    else
      lost[#lost + 1] = id
    end
  end
  local results, errors = {}, {}
  if #lost > 0 then errors[1] = missing(st, lost) end
  for _, row in ipairs(rows) do
    local ok, e = O.update(S, st, row[1], row[2], req.source)
    if ok then
      results[#results + 1] = O.render(st, row[1], O.written(st, row[2]), trace(row[3]))
    else
      errors[#errors + 1] = row_error(e, row[3], row[4])
    end
  end
  return batch_answer(S, started, 200, results, errors)
end

local function batch_upsert(S, st, req)
  local inputs = S:inputs(S:json(req), 100)
  local started = S.host.now()
  refuse_duplicates(inputs, function(input)
    local id = input_id(input)
    return input.idProperty == "email" and id:lower() or id
  end)
  local alone = traced(inputs)
  local results, errors = {}, {}
  local rows = {}
  for i, input in ipairs(inputs) do
    local property = not U.absent(input.idProperty) and input.idProperty or nil
    local id = input_id(input)
    local values = {}
    for k, v in pairs(properties_of(input)) do values[k] = v end
    local rec = O.find_by(st, property, id)
    if property and property ~= "hs_object_id" and values[property] == nil then values[property] = id end
    local e
    if not rec and (not property or property == "hs_object_id") then
      e = E.new(404, "OBJECT_NOT_FOUND", st.upper .. " with id " .. id .. " does not exist; a record cannot be created with a given id")
    elseif not alone then
      e = O.refusal(S, st, values, rec)
      if e then error(e, 0) end
    end
    rows[i] = { rec, values, input, id, e }
  end
  for _, row in ipairs(rows) do
    local rec, values, input, id, e = row[1], row[2], row[3], row[4], row[5]
    local new = not rec
    if not e then
      if rec then
        local ok
        ok, e = O.update(S, st, rec, values, req.source)
        if not ok then rec = nil end
      else
        rec, e = O.create(S, st, values, req.source)
      end
    else
      rec = nil
    end
    if rec then
      -- The schema of an upsert's answer has no null: only properties with a value are shown.
      results[#results + 1] = O.render(st, rec, O.all_names(st, rec), ',"new":' .. tostring(new) .. (trace(input) or ""))
    else
      errors[#errors + 1] = row_error(e, input, id)
    end
  end
  return batch_answer(S, started, 200, results, errors)
end

local function batch_archive(S, st, req)
  local inputs = S:inputs(S:json(req), 100)
  refuse_duplicates(inputs, input_id)
  for _, input in ipairs(inputs) do
    local rec = O.find(st, input_id(input))
    if rec then O.archive(S, st, rec, req.source) end
  end
  return 204
end

local BATCH = { read = batch_read, create = batch_create, update = batch_update, upsert = batch_upsert, archive = batch_archive }

-- What HubSpot lets one do with the records of a type, beside reading: "*" is the usual.
local CAN = {}
for _, t in pairs(published) do CAN[t.type] = t.can end

local CUSTOM = { ["*"] = true, merge = true }

local function can(st, what) return (CAN[st.name] or CAN[st.type_id] or CUSTOM)[what] end

local READS = { search = true, read = true }

---/crm/objects/V/{type}/…; `seg` is the path after the type. Returns status and body (text or table), or nothing (501).
function R.route(S, st, req, seg)
  local method, first = req.method, seg[1]
  if method ~= "GET" and not READS[first] and not READS[seg[2]] and not can(st, "*") then return end   -- these are only read
  if not first then
    if method == "GET" then
      return list(S, st, req)
    elseif method == "POST" then
      return create(S, st, req)
    end
    return
  end
  if first == "batch" and method == "POST" and not seg[3] then
    local f = BATCH[seg[2]]
    if not f then return end
    return f(S, st, req)
  end
  if method == "POST" and not seg[2] then
    if first == "search" then
      return S.search.route(S, st, req)
    elseif first == "merge" and can(st, "merge") then
      return merge(S, st, req)
    elseif first == "gdpr-delete" and can(st, "gdpr_delete") then
      return gdpr_delete(S, st, req)
    end
    return
  end
  if seg[2] == "associations" then return S.associations.route_object(S, st, req, first, seg) end
  if seg[2] then return end
  if method == "GET" then
    return get(S, st, req, first)
  elseif method == "PATCH" then
    return update(S, st, req, first)
  elseif method == "DELETE" then
    require_id(first)
    local rec = O.find(st, first)
    if rec then O.archive(S, st, rec, req.source) end
    return 204
  end
end

return R
