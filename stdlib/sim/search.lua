-- CRM search. It answers from an index that lags behind the writes, as HubSpot's
-- does: a record that was written less than S.lag ms ago is seen as it was before.
-- Because a write replaces a record's `props` (objects.lua), the lagging view costs
-- one entry for each recent write. EQ and IN filters use an index of their property,
-- built when the property is first asked for and kept current from then on.
local U = require "sim.util"
local E = require "sim.errors"
local O = require "sim.objects"
local json = json

local X = {}

local MAX_INDEXES = 12        -- properties indexed per type; others are scanned
local MAX_RESULTS = 10000     -- what paging reaches (option search_results)
local MAX_BODY = 3000         -- characters of a request

---Gives a store its (empty) index.
function X.attach(st)
  st.index = {
    view = {},       -- id -> props the index still shows; false: the record is not indexed yet
    pending = {},    -- id -> writes of it that are on their way
    queue = {}, head = 1, tail = 0,
    by = {}, built = 0,   -- property -> value -> { id = true }
  }
end

local function key_of(def, text)
  return def and def.type == "string" and text:lower() or text
end

local function apply(st, n, old, new)
  for name, values in pairs(st.index.by) do
    local def = st.defs[name]
    local a, b = old and old[name], new and new[name]
    if a ~= b then
      if a then
        local set = values[key_of(def, a)]
        if set then set[n] = nil end
      end
      if b then
        b = key_of(def, b)
        local set = values[b]
        if set then set[n] = true else values[b] = { [n] = true } end
      end
    end
  end
end

local function drain(S, st)
  local ix = st.index
  local head, tail, queue = ix.head, ix.tail, ix.queue
  if head > tail then return end
  local now = S.host.now()
  while head <= tail do
    local entry = queue[head]
    if entry[2] > now then break end
    queue[head] = nil
    head = head + 1
    local n, new = entry[1], entry[3]
    apply(st, n, ix.view[n], new)
    local left = ix.pending[n] - 1
    if left == 0 then
      ix.pending[n], ix.view[n] = nil, nil
    else
      ix.pending[n], ix.view[n] = left, new
    end
  end
  ix.head = head
end

---A record was written. `old` is its props before, false when it is new.
function X.touch(S, st, rec, old)
  local ix = st.index
  local n = rec[1]
  local new = not rec[3] and rec[4]
  if S.lag <= 0 then
    apply(st, n, old, new)
    return
  end
  drain(S, st)
  local count = ix.pending[n]
  if count then
    ix.pending[n] = count + 1
  else
    ix.pending[n], ix.view[n] = 1, old
  end
  ix.tail = ix.tail + 1
  ix.queue[ix.tail] = { n, S.host.now() + S.lag, new }
end

-- What the index shows of a record: props, or nothing.
local function seen(st, n)
  local rec = st.records[n]
  if not rec then return nil end
  local v = st.index.view[n]
  if v == nil then
    if rec[3] then return nil end
    return rec[4], rec
  end
  return v or nil, rec
end

local function build(st, name)
  local ix = st.index
  if ix.by[name] then return ix.by[name] end
  if ix.built >= MAX_INDEXES then return nil end
  local def = st.defs[name]
  local values = {}
  for _, n in ipairs(st.order) do
    local props = seen(st, n)
    local text = props and props[name]
    if text then
      text = key_of(def, text)
      local set = values[text]
      if set then set[n] = true else values[text] = { [n] = true } end
    end
  end
  ix.by[name], ix.built = values, ix.built + 1
  return values
end

-- ---- filters ----

local function is_numeric(def) return def.type == "number" or def.type == "datetime" or def.type == "date" end

local function cannot_parse(def, text)
  return E.bad_request("Cannot parse '" .. text .. "' for property " .. def.name .. " of type " .. def.type)
end

local function as_number(def, text)
  if def.type == "datetime" or def.type == "date" then return U.ms(text) end
  return tonumber(text)
end

local function tokens(text)
  local set = {}
  for word in text:lower():gmatch("[%w\128-\255]+") do set[word] = true end
  return set
end

-- CONTAINS_TOKEN: every word of the pattern is a word of the value; "*" stands for any letters.
local function token_test(pattern)
  pattern = pattern:lower()
  if pattern:find("*", 1, true) then
    local lua = pattern:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", ".*")
    local whole = "^" .. lua .. "$"
    return function(text)
      text = text:lower()
      if text:find(whole) then return true end
      for word in text:gmatch("[%w\128-\255@%._%-]+") do
        if word:find(whole) then return true end
      end
      for word in text:gmatch("[%w\128-\255]+") do
        if word:find(whole) then return true end
      end
      return false
    end
  end
  local words = {}
  for word in pattern:gmatch("[%w\128-\255]+") do words[#words + 1] = word end
  return function(text)
    local set = tokens(text)
    for i = 1, #words do
      if not set[words[i]] then return false end
    end
    return #words > 0
  end
end

local function text_of(v, what)
  if type(v) == "string" then return v end
  if type(v) == "number" or type(v) == "boolean" then
    return math.type(v) == "float" and v == math.floor(v) and string.format("%.0f", v) or tostring(v)
  end
  return E.bad_request(what)
end

local function compare(def, operator, filter)
  local bound = text_of(filter.value, "operator " .. operator .. " requires a value (property " .. def.name .. ")")
  local numeric = is_numeric(def)
  local function parse(text)
    if not numeric then return text:lower() end
    return as_number(def, text) or cannot_parse(def, text)
  end
  local limit, high = parse(bound), nil
  if operator == "BETWEEN" then
    high = parse(text_of(filter.highValue, "operator BETWEEN requires a highValue (property " .. def.name .. ")"))
  end
  return function(text)
    if not text then return false end
    local v
    if numeric then v = as_number(def, text) else v = text:lower() end
    if not v then return false end
    if operator == "LT" then return v < limit end
    if operator == "LTE" then return v <= limit end
    if operator == "GT" then return v > limit end
    if operator == "GTE" then return v >= limit end
    return v >= limit and v <= high
  end
end

local function equality(def, list)
  local set = {}
  local numeric = is_numeric(def)
  for _, text in ipairs(list) do
    local v
    if numeric then v = as_number(def, text) else v = key_of(def, text) end
    if v == nil then cannot_parse(def, text) end
    set[v] = true
  end
  return function(text)
    if not text then return false end
    if numeric then return set[as_number(def, text)] or false end
    if set[key_of(def, text)] then return true end
    if def.field == "checkbox" then
      for item in text:gmatch("[^;]+") do
        if set[item] then return true end
      end
    end
    return false
  end
end

local function values_of(filter, name, operator)
  if type(filter.values) ~= "table" or #filter.values == 0 then
    E.bad_request("operator " .. operator .. " requires values (property " .. name .. ")")
  end
  local out = {}
  for i, v in ipairs(filter.values) do out[i] = text_of(v, "values must be strings (property " .. name .. ")") end
  return out
end

local function copy_keys(set, into)
  for n in pairs(set or {}) do into[#into + 1] = n end
end

-- associations.{objectType}: a filter of whom a record is linked with. Links are seen at once, without lag.
local function by_link(S, st, name, kind, filter, operator)
  local to = S.types[kind]
  if not to then E.bad_request("Unable to infer object type from: " .. kind) end
  local function linked(rec) return rec[5] and rec[5][to.name] or nil end
  if operator == "HAS_PROPERTY" or operator == "NOT_HAS_PROPERTY" then
    local wanted = operator == "HAS_PROPERTY"
    return { of = function(rec)
      local by = linked(rec)
      return (by ~= nil and next(by) ~= nil) == wanted
    end }
  end
  local list
  if operator == "EQ" or operator == "NEQ" then
    list = { text_of(filter.value, "operator " .. operator .. " requires a value (property " .. name .. ")") }
  elseif operator == "IN" or operator == "NOT_IN" then
    list = values_of(filter, name, operator)
  else
    E.bad_request("Invalid operator " .. operator .. " for property " .. name)
  end
  local ids = {}
  for i, text in ipairs(list) do ids[i] = U.id(text) or E.bad_request("Invalid id " .. text .. " (property " .. name .. ")") end
  local function has(rec)
    local by = linked(rec)
    for i = 1, by and #ids or 0 do
      if by[ids[i]] then return true end
    end
    return false
  end
  if operator == "NEQ" or operator == "NOT_IN" then return { of = function(rec) return not has(rec) end } end
  return { of = has, records = function(out)
    for _, n in ipairs(ids) do
      local rec = to.records[n]
      copy_keys(rec and rec[5] and rec[5][st.name], out)
    end
  end }
end

local COMPARE = { LT = true, LTE = true, GT = true, GTE = true, BETWEEN = true }

-- One filter: { name, test(text) } and, when an index can serve it, the texts to look up; or { of(record), records }.
local function compile(S, st, filter)
  if type(filter) ~= "table" or type(filter.propertyName) ~= "string" or type(filter.operator) ~= "string" then
    E.bad_request("Some required fields were not set: [operator, propertyName]")
  end
  local name, operator = filter.propertyName, filter.operator
  local kind = name:match("^associations%.([^%.]+)$")
  if kind then return by_link(S, st, name, kind, filter, operator) end
  local def = st.defs[name]
  if not def then
    E.bad_request("There was a problem with the request. Property \"" .. name .. "\" does not exist", {
      errors = json.array { { message = 'Property "' .. name .. '" does not exist', code = "PROPERTY_DOESNT_EXIST",
        context = { propertyName = json.array { name } } } } })
  end
  local test, lookup
  if operator == "EQ" or operator == "NEQ" then
    local list = { text_of(filter.value, "operator " .. operator .. " requires a value (property " .. name .. ")") }
    local equal = equality(def, list)
    if operator == "EQ" then
      test, lookup = equal, list
    else
      test = function(text) return text ~= nil and not equal(text) end
    end
  elseif operator == "IN" or operator == "NOT_IN" then
    local list = values_of(filter, name, operator)
    local equal = equality(def, list)
    if operator == "IN" then
      test, lookup = equal, list
    else
      test = function(text) return text ~= nil and not equal(text) end
    end
  elseif COMPARE[operator] then
    test = compare(def, operator, filter)
  elseif operator == "HAS_PROPERTY" then
    test = function(text) return text ~= nil end
  elseif operator == "NOT_HAS_PROPERTY" then
    test = function(text) return text == nil end
  elseif operator == "CONTAINS_TOKEN" or operator == "NOT_CONTAINS_TOKEN" then
    local has = token_test(text_of(filter.value, "operator " .. operator .. " requires a value (property " .. name .. ")"))
    if operator == "CONTAINS_TOKEN" then
      test = function(text) return text ~= nil and has(text) end
    else
      test = function(text) return text ~= nil and not has(text) end
    end
  else
    E.bad_request("Invalid operator: " .. operator)
  end
  -- An index compares texts; numbers and dates have several texts for one value.
  if lookup and name ~= "hs_object_id" and (def.read_only or def.field == "checkbox"
      or (def.type ~= "string" and def.type ~= "enumeration")) then
    lookup = nil
  end
  return { name = name, test = test, lookup = lookup, def = def }
end

local function compile_groups(S, st, body)
  local groups = body.filterGroups
  if U.absent(groups) then
    groups = type(body.filters) == "table" and #body.filters > 0 and { { filters = body.filters } } or {}
  end
  if type(groups) ~= "table" then E.bad_json("filterGroups must be a list") end
  if #groups > 5 then E.bad_request("The maximum number of filter groups is 5 (found " .. #groups .. ")") end
  local out, total = {}, 0
  for i, group in ipairs(groups) do
    local filters = type(group) == "table" and group.filters
    if type(filters) ~= "table" then E.bad_request("Some required fields were not set: [filters]") end
    if #filters > 6 then E.bad_request("The maximum number of filters in a group is 6 (found " .. #filters .. ")") end
    total = total + #filters
    local list = {}
    for j, f in ipairs(filters) do list[j] = compile(S, st, f) end
    out[i] = list
  end
  if total > 18 then E.bad_request("The maximum number of filters is 18 (found " .. total .. ")") end
  return out
end

-- The ids that can match, when each group has a filter that an index serves; nil: look at all.
local function candidates(st, groups)
  if #groups == 0 then return nil end
  local ids, list = {}, {}
  local function add(n)
    if not ids[n] then ids[n], list[#list + 1] = true, n end
  end
  for _, filters in ipairs(groups) do
    local done = false
    for _, f in ipairs(filters) do
      if f.records then
        local found = {}
        f.records(found)
        for _, n in ipairs(found) do add(n) end
        done = true
      elseif f.lookup then
        if f.name == "hs_object_id" then
          for _, text in ipairs(f.lookup) do
            local n = U.id(text)
            if n and st.records[n] then add(n) end
          end
          done = true
        else
          local values = build(st, f.name)
          if values then
            for _, text in ipairs(f.lookup) do
              for n in pairs(values[key_of(f.def, text)] or {}) do add(n) end
            end
            done = true
          end
        end
      end
      if done then break end
    end
    if not done then return nil end
  end
  table.sort(list)
  return list
end

local QUERIED = {
  contacts = { "email", "firstname", "lastname", "phone", "company", "hs_additional_emails" },
  companies = { "name", "domain", "website", "phone" },
  deals = { "dealname", "description" },
  tickets = { "subject", "content" },
  products = { "name", "description", "hs_sku" },
}

local function query_test(st, query)
  local words = {}
  for w in query:lower():gmatch("%S+") do words[#words + 1] = w end
  local names = QUERIED[st.name] or {}
  return function(props)
    for _, w in ipairs(words) do
      local hit = false
      for _, name in ipairs(names) do
        local text = props[name]
        if text and text:lower():find(w, 1, true) then
          hit = true
          break
        end
      end
      if not hit then return false end
    end
    return true
  end
end

local function sorter(st, body)
  local sort = type(body.sorts) == "table" and body.sorts[1]
  if not sort then return nil end
  local name, down
  if type(sort) == "string" then
    name, down = sort, false
    if name:sub(1, 1) == "-" then name, down = name:sub(2), true end
    local word = name:match("%s+(%a+)$")
    if word then name, down = name:match("^(%S+)"), word:upper():sub(1, 4) == "DESC" end
  elseif type(sort) == "table" then
    name, down = sort.propertyName, type(sort.direction) == "string" and sort.direction:upper():sub(1, 4) == "DESC"
  end
  local def = type(name) == "string" and st.defs[name]
  if not def then E.bad_request('Property "' .. tostring(name) .. '" does not exist (sorts)') end
  local numeric = is_numeric(def)
  return function(hit)
    local text = O.value_of(st, hit[2], hit[1], name)
    if not text then return nil end
    if numeric then return as_number(def, text) end
    return text:lower()
  end, down
end

---All records that match, in order: a list of { props, rec }.
function X.find(S, st, body)
  drain(S, st)
  local groups = compile_groups(S, st, body)
  local query = type(body.query) == "string" and body.query ~= "" and query_test(st, body.query) or nil
  local key, down = sorter(st, body)
  local hits = {}
  local value_of = O.value_of
  local function look(n)
    local props, rec = seen(st, n)
    if not props then return end
    local ok = #groups == 0
    for i = 1, #groups do
      local filters = groups[i]
      ok = true
      for j = 1, #filters do
        local f = filters[j]
        local fits
        if f.of then fits = f.of(rec) else fits = f.test(value_of(st, rec, props, f.name)) end
        if not fits then
          ok = false
          break
        end
      end
      if ok then break end
    end
    if ok and (not query or query(props)) then hits[#hits + 1] = { props, rec } end
  end
  local list = candidates(st, groups) or st.order
  for i = 1, #list do look(list[i]) end
  if key then
    for _, h in ipairs(hits) do h[3] = key(h) end
    -- Records without the value come last either way; equal ones in order of their ids.
    table.sort(hits, function(a, b)
      local x, y = a[3], b[3]
      if x == y then return a[2][1] < b[2][1] end
      if x == nil then return false end
      if y == nil then return true end
      if down then return x > y end
      return x < y
    end)
  end
  return hits
end

---POST /crm/objects/V/{type}/search
function X.route(S, st, req)
  if #req.body > MAX_BODY then
    E.bad_request("The request body is too long: " .. #req.body .. " characters, at most " .. MAX_BODY .. " are allowed")
  end
  local body = S:json(req)
  local limit = U.absent(body.limit) and 10 or math.tointeger(tonumber(body.limit))
  if not limit or limit < 0 then E.bad_request("limit must be a positive number") end
  if limit > 200 then E.bad_request("Requested limit of " .. limit .. " exceeds the maximum of 200") end
  local after = (U.absent(body.after) or body.after == "") and 0 or math.tointeger(tonumber(body.after))
  if not after or after < 0 then E.bad_request("Invalid paging cursor: " .. tostring(body.after)) end
  local reach = S.options.search_results or MAX_RESULTS
  if after + limit > reach then
    E.bad_request("Search results are limited to " .. reach .. ": after (" .. after .. ") and limit (" .. limit .. ") reach beyond")
  end
  local hits = X.find(S, st, body)
  local names = type(body.properties) == "table" and #body.properties > 0 and O.wanted(st, body.properties) or nil
  local parts = {}
  for i = after + 1, math.min(after + limit, #hits) do
    local props, rec = hits[i][1], hits[i][2]
    parts[#parts + 1] = O.render(st, { rec[1], rec[2], false, props, rec[5] }, names)
  end
  local paging = ""
  if #hits > after + limit and limit > 0 then
    paging = ',"paging":{"next":{"after":"' .. (after + limit) .. '"}}'
  end
  return 200, '{"total":' .. #hits .. ',"results":[' .. table.concat(parts, ",") .. "]" .. paging .. "}"
end

return X
