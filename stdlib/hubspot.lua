--- HubSpot: records, owners, properties, associations and anything else, through the account's one queue.
---
---   local hubspot = require "hubspot"
---   local lead = hubspot.contacts.get("151", { "email", "country" })
---   hubspot.contacts.update(lead.id, { country = "DE", lifecyclestage = "lead" })
---   for deal in hubspot.deals.list { properties = { "dealname", "amount" } } do … end
---
--- Every call waits for its answer (other tasks go on meanwhile), keeps HubSpot's limits, and is retried where that
--- is safe. Gets and updates made at the same moment travel together as one batch call. What HubSpot refuses is
--- raised: a table with kind, status, category, message, correlation_id, retryable, context.
---@class hubspot
---@field contacts hubspot.objects
---@field companies hubspot.objects
---@field deals hubspot.objects
---@field tickets hubspot.objects
---@field leads hubspot.objects
---@field products hubspot.objects
---@field line_items hubspot.objects
---@field notes hubspot.objects
---@field tasks hubspot.objects
---@field calls hubspot.objects
---@field emails hubspot.objects
---@field meetings hubspot.objects

---@class hubspot.query
---@field filters table[]|nil all of them must hold
---@field filterGroups table[]|nil one of them must hold
---@field query string|nil text to look for
---@field properties string[]|nil
---@field sorts table[]|nil
---@field limit integer|nil records a page, at most 200
---@field priority string|nil "live", "normal" or "bulk"

---@class hubspot.call
---@field path string begins with "/"; "{version}" in it becomes the account's API version
---@field method string|nil
---@field query table|string|nil
---@field json any
---@field body string|nil
---@field priority string|nil "live", "normal" or "bulk"

local _, host = ...

local TYPES = { "contacts", "companies", "deals", "tickets", "leads", "products", "line_items", "notes", "tasks",
  "calls", "emails", "meetings" }
local BATCH = 100            -- inputs of one object batch (FACTS 3)
local SEARCH_PAGE = 200      -- largest page of a search
local SEARCH_MAX = 10000     -- results that HubSpot gives out for one query
local PARALLEL = 8           -- batches of one call that are out at once; the queue keeps the limits

---------------------------------------------------------------------------------------------------- records

-- Fields of a record that HubSpot leaves out when they do not apply, and properties that it always sends.
local ALWAYS = { id = true, properties = true, createdAt = true, updatedAt = true, archived = true, archivedAt = true,
  associations = true, propertiesWithHistory = true, objectWriteTraceId = true, url = true, new = true,
  hs_object_id = true, createdate = true, lastmodifieddate = true, hs_createdate = true, hs_lastmodifieddate = true }

local Record = { __name = "hubspot.record" }

---A field that is not the record's own reads through to its properties.
function Record.__index(record, key)
  local properties = rawget(record, "properties")
  return type(properties) == "table" and properties[key] or nil
end

-- Metatables for records that were read with a list, by the list: a property that is not in it raises (SEMANTICS 22).
local checked = setmetatable({}, { __mode = "v" })

local function checked_meta(names)
  local key = table.concat(names, ";")
  local meta = checked[key]
  if meta then return meta end
  local asked = {}
  for _, name in ipairs(names) do asked[name] = true end
  meta = { __name = "hubspot.record" }
  function meta.__index(record, name)
    local properties = rawget(record, "properties")
    local value = type(properties) == "table" and properties[name] or nil
    if value == nil and type(name) == "string" and not asked[name] and not ALWAYS[name] then
      error(('the property "%s" was not asked for: add it to the list of properties of the call that read this record')
        :format(name), 2)
    end
    return value
  end
  checked[key] = meta
  return meta
end

local function as_record(raw, names)
  if type(raw) ~= "table" then return raw end
  return setmetatable(raw, names and checked_meta(names) or Record)
end

---------------------------------------------------------------------------------------------------- values

local function number_text(value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if value ~= value or value == math.huge or value == -math.huge then return nil end
  if value == math.floor(value) and math.abs(value) < 2 ^ 53 then return ("%.0f"):format(value) end
  for digits = 14, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text end
  end
end

-- A plain value as HubSpot wants it. nil when it cannot be one.
local function value_text(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then return number_text(value) end
  if kind == "boolean" then return tostring(value) end
  if value == json.null then return "" end
  if kind == "table" then
    local parts = {}
    for i, item in ipairs(value) do
      if type(item) == "table" then return nil end
      parts[i] = value_text(item)
      if not parts[i] then return nil end
    end
    for key in pairs(value) do
      if math.type(key) ~= "integer" or key < 1 or key > #parts then return nil end
    end
    return table.concat(parts, ";")
  end
end

-- { amount = 12.5, active = true, tags = { "a", "b" }, phone = json.null } to HubSpot's strings.
local function write_properties(properties, level)
  if type(properties) ~= "table" then
    error("properties must be a table { name = value }, not a " .. type(properties), level + 1)
  end
  local out = {}
  for name, value in pairs(properties) do
    if type(name) ~= "string" then
      error("properties must be a table { name = value }: there is a value without a name", level + 1)
    end
    local text = value_text(value)
    if not text then
      error(('the property "%s" cannot be a %s: give a string, number, boolean, json.null or a list of these')
        :format(name, type(value)), level + 1)
    end
    out[name] = text
  end
  return out
end

local function check_id(id, level)
  if math.type(id) == "integer" then return ("%d"):format(id) end
  if type(id) ~= "string" or id == "" then
    error("a record's id must be a string, not " .. (id == "" and "an empty one" or "a " .. type(id)), level + 1)
  end
  return id
end

local function check_names(names, level)
  if names == nil then return nil end
  if type(names) ~= "table" then
    error("properties must be a list of names, not a " .. type(names), level + 1)
  end
  for i, name in ipairs(names) do
    if type(name) ~= "string" or name == "" then
      error(("properties must be a list of names: number %d is no name"):format(i), level + 1)
    end
  end
  return names
end

local function query_text(query, level)
  if query == nil or type(query) == "string" then return query end
  local keys, parts = {}, {}
  for key in pairs(query) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local value = query[key]
    if type(value) == "table" then
      for i, item in ipairs(value) do
        if type(item) == "table" then error(("query: item %d of %s is a table"):format(i, key), level + 1) end
      end
      value = table.concat(value, ",")
    end
    parts[#parts + 1] = host.url(key) .. "=" .. host.url(tostring(value))
  end
  return #parts > 0 and table.concat(parts, "&") or nil
end

local function chunks(list, size)
  local out = {}
  for from = 1, #list, size do
    out[#out + 1] = { offset = from - 1, items = table.move(list, from, math.min(from + size - 1, #list), 1, {}) }
  end
  return out
end

-- Runs fn on each piece, several at once; results in order.
local function each_chunk(list, fn)
  local pieces = chunks(list, BATCH)
  if #pieces == 1 then return { fn(pieces[1]) } end
  return task.map(pieces, fn, { concurrency = PARALLEL })
end

---------------------------------------------------------------------------------------------------- an account

local build

---@param account string|nil account name; nil: the task's
build = function(account)
  ---@class hubspot
  local api = {}

  local function raw(method, path, options)
    options = options or {}
    return host.api {
      kind = "raw", method = method, path = path, query = query_text(options.query, 3), body = options.body,
      account = options.account or account, priority = options.priority, nulls = options.nulls or false,
    }
  end

  -- An iterator stays with the account of the task that made it (SEMANTICS 21).
  local function fixed_account()
    if account then return account end
    local name = host.account()
    return name ~= "" and name or nil
  end

  -- An iterator over pages: fetch(after) gives a list and the next cursor.
  local function pages(fetch)
    local list, at, after, finished = {}, 0, nil, false
    return function()
      while at >= #list do
        if finished then return nil end
        list, after = fetch(after)
        at, finished = 0, after == nil
      end
      at = at + 1
      return list[at]
    end
  end

  local function next_cursor(answer)
    local paging = answer.paging
    local next_page = paging and paging.next
    return next_page and next_page.after or nil
  end

  ---@param object_type string
  local function objects(object_type)
    local path = "/crm/objects/{version}/" .. object_type

    ---@class hubspot.objects
    local o = { type = object_type }

    ---Reads one record. Waits.
    ---@param id string|integer the record's id, or the value of options.id_property
    ---@param properties string[]|nil names to read; without a list HubSpot's default set
    ---@param options {id_property: string|nil, batch: boolean|nil, priority: "live"|"normal"|"bulk"|nil}|nil
    ---@return hubspot.record # lead.email reads lead.properties.email
    function o.get(id, properties, options)
      options = options or {}
      local names = check_names(properties, 2)
      local answer = host.api {
        kind = "get", type = object_type, id = check_id(id, 2), properties = names, id_property = options.id_property,
        account = account, priority = options.priority, batch = options.batch, nulls = false,
      }
      return as_record(answer, names)
    end

    ---Creates a record. Waits. Never repeated blindly: when the answer is lost, it raises kind "uncertain".
    ---@param properties table { email = "ana@example.com", … }
    ---@param options {associations: table[]|nil, priority: string|nil}|nil associations as HubSpot has them
    ---@return hubspot.record
    function o.create(properties, options)
      options = options or {}
      local body = { properties = write_properties(properties, 2),
        associations = json.array(options.associations or {}) }
      return as_record((raw("POST", path, { body = body, priority = options.priority })))
    end

    ---Writes properties of one record. Waits. json.null or "" clears a property.
    ---@param id string|integer
    ---@param properties table
    ---@param options {id_property: string|nil, batch: boolean|nil, priority: string|nil}|nil
    ---@return hubspot.record
    function o.update(id, properties, options)
      options = options or {}
      return as_record((host.api {
        kind = "update", type = object_type, id = check_id(id, 2), id_property = options.id_property,
        body = { properties = write_properties(properties, 2) }, account = account, priority = options.priority,
        batch = options.batch, nulls = false,
      }))
    end

    ---Updates the record that has this value of a unique property, or creates it. Waits.
    ---@param id_property string a unique property, such as "email" for contacts
    ---@param properties table has to hold id_property too
    ---@param options {priority: string|nil}|nil
    ---@return hubspot.record # record.new tells whether it was created
    function o.upsert(id_property, properties, options)
      local written = write_properties(properties, 2)
      if type(id_property) ~= "string" or not written[id_property] then
        error(('upsert: the properties must hold "%s"'):format(tostring(id_property)), 2)
      end
      local made, failed = o.batch_upsert(id_property, { properties }, options)
      if failed[1] then error(failed[1].error) end
      return made[1]
    end

    ---Moves a record to the recycling bin. Waits.
    ---@param id string|integer
    ---@param options {priority: string|nil}|nil
    function o.archive(id, options)
      raw("DELETE", path .. "/" .. host.url(check_id(id, 2)), { priority = options and options.priority })
    end

    ---Merges `other` into `primary`. Waits.
    ---@param primary string|integer the id that stays
    ---@param other string|integer
    ---@return hubspot.record
    function o.merge(primary, other)
      return as_record((raw("POST", path .. "/merge",
        { body = { primaryObjectId = check_id(primary, 2), objectIdToMerge = check_id(other, 2) } })))
    end

    -- One batch: made records and failures of this piece. place(result) gives the input's number in it.
    local function batch(name, piece, inputs, extra, place, options, names)
      local body = { inputs = json.array(inputs) }
      for key, value in pairs(extra or {}) do body[key] = value end
      local answer = raw("POST", path .. "/batch/" .. name, { body = body, priority = options and options.priority })
      local out = { made = {}, failed = {}, offset = piece.offset }
      for i, result in ipairs(answer and answer.results or {}) do
        out.made[#out.made + 1] = { at = piece.offset + (place(result) or i), record = as_record(result, names) }
      end
      for _, failure in ipairs(answer and answer.errors or {}) do out.failed[#out.failed + 1] = failure end
      return out
    end

    local function failure_table(failure, index, input)
      return { index = index, input = input, error = host.error { kind = "hubspot", status = tonumber(failure.status),
        category = failure.category, message = failure.message or "refused", context = failure.context,
        correlation_id = failure.correlationId } }
    end

    -- The pieces' results as two lists in the order of the input. where(failure) gives numbers of failed inputs.
    local function united(pieces, list, where)
      local made, failed = {}, {}
      for _, piece in ipairs(pieces) do
        table.sort(piece.made, function(a, b) return a.at < b.at end)
        for _, entry in ipairs(piece.made) do made[#made + 1] = entry.record end
        for _, failure in ipairs(piece.failed) do
          local numbers = where(failure, piece.offset)
          if #numbers == 0 then failed[#failed + 1] = failure_table(failure) end
          for _, index in ipairs(numbers) do failed[#failed + 1] = failure_table(failure, index, list[index]) end
        end
      end
      return made, failed
    end

    local function by_ids(list, id_of)
      local at = {}
      for i, item in ipairs(list) do at[id_of(item)] = i end
      return function(failure)
        local numbers, context = {}, type(failure.context) == "table" and failure.context or {}
        for _, id in ipairs(context.ids or context.id or {}) do numbers[#numbers + 1] = at[tostring(id)] end
        return numbers
      end
    end

    ---Reads many records. Waits. Ids that do not exist are in the second list.
    ---@param ids (string|integer)[]
    ---@param properties string[]|nil
    ---@param options {id_property: string|nil, priority: string|nil}|nil
    ---@return hubspot.record[] records in HubSpot's order
    ---@return table[] failed { {index=, input=, error=}, … }
    function o.batch_read(ids, properties, options)
      local names = check_names(properties, 2)
      local list = {}
      for i, id in ipairs(ids) do list[i] = check_id(id, 2) end
      if #list == 0 then return {}, {} end
      local extra = { properties = json.array(names and table.move(names, 1, #names, 1, {}) or {}),
        propertiesWithHistory = json.array {}, idProperty = options and options.id_property }
      local pieces = each_chunk(list, function(piece)
        local inputs = {}
        for i, id in ipairs(piece.items) do inputs[i] = { id = id } end
        return batch("read", piece, inputs, extra, function() end, options, names)
      end)
      return united(pieces, list, by_ids(list, function(id) return id end))
    end

    ---Creates many records. Waits. A bad one fails alone.
    ---@param list table[] properties of each
    ---@param options {priority: string|nil}|nil
    ---@return hubspot.record[] made in the order of `list`
    ---@return table[] failed { {index=, input=, error=}, … }
    function o.batch_create(list, options)
      if #list == 0 then return {}, {} end
      local inputs = {}
      for i, properties in ipairs(list) do
        inputs[i] = { properties = write_properties(properties, 2), associations = json.array {},
          objectWriteTraceId = tostring(i) }
      end
      local pieces = each_chunk(inputs, function(piece)
        return batch("create", piece, piece.items, nil, function(result)
          local trace = math.tointeger(tonumber(result.objectWriteTraceId))
          return trace and trace - piece.offset
        end, options)
      end)
      return united(pieces, list, function(failure)
        local context = type(failure.context) == "table" and failure.context or {}
        local traces, numbers = context.objectWriteTraceId or {}, {}
        if type(traces) ~= "table" then traces = { traces } end
        for _, trace in ipairs(traces) do numbers[#numbers + 1] = math.tointeger(tonumber(trace)) end
        return numbers
      end)
    end

    ---Writes many records. Waits. A bad one fails alone. No id may come twice.
    ---@param list table[] { { id = "151", properties = { … } }, … }
    ---@param options {id_property: string|nil, priority: string|nil}|nil
    ---@return hubspot.record[] made
    ---@return table[] failed
    function o.batch_update(list, options)
      if #list == 0 then return {}, {} end
      local inputs = {}
      for i, item in ipairs(list) do
        inputs[i] = { id = check_id(item.id, 2), properties = write_properties(item.properties, 2),
          idProperty = options and options.id_property }
      end
      local find = by_ids(inputs, function(input) return input.id end)
      local pieces = each_chunk(inputs, function(piece)
        return batch("update", piece, piece.items, nil, function() end, options)
      end)
      return united(pieces, list, find)
    end

    ---Updates or creates many records by a unique property. Waits.
    ---@param id_property string
    ---@param list table[] properties of each, id_property among them
    ---@param options {priority: string|nil}|nil
    ---@return hubspot.record[] made
    ---@return table[] failed
    function o.batch_upsert(id_property, list, options)
      if #list == 0 then return {}, {} end
      local inputs = {}
      for i, properties in ipairs(list) do
        local written = write_properties(properties, 2)
        if not written[id_property] then
          error(('batch_upsert: record %d has no "%s"'):format(i, tostring(id_property)), 2)
        end
        inputs[i] = { id = written[id_property], idProperty = id_property, properties = written,
          objectWriteTraceId = tostring(i) }
      end
      local find = by_ids(inputs, function(input) return input.id end)
      local pieces = each_chunk(inputs, function(piece)
        return batch("upsert", piece, piece.items, nil, function() end, options)
      end)
      return united(pieces, list, find)
    end

    ---Moves many records to the recycling bin. Waits.
    ---@param ids (string|integer)[]
    ---@param options {priority: string|nil}|nil
    function o.batch_archive(ids, options)
      local inputs = {}
      for i, id in ipairs(ids) do inputs[i] = { id = check_id(id, 2) } end
      if #inputs == 0 then return end
      each_chunk(inputs, function(piece)
        raw("POST", path .. "/batch/archive",
          { body = { inputs = json.array(piece.items) }, priority = options and options.priority })
        return true
      end)
    end

    ---Iterates over what a search finds; each step may wait. New and changed records appear in searches moments
    ---later, so read back by id. HubSpot gives out at most 10,000 results for one search.
    ---@param query hubspot.query
    ---@return fun(): hubspot.record|nil
    function o.search(query)
      if type(query) ~= "table" then error("search: expects a table { filters = …, properties = … }", 2) end
      local names = check_names(query.properties, 2)
      if query.filters and query.filterGroups then error("search: give filters or filterGroups, not both", 2) end
      local groups = query.filterGroups or (query.filters and { { filters = query.filters } }) or {}
      local page = math.min(query.limit or SEARCH_PAGE, SEARCH_PAGE)
      local seen, own = 0, fixed_account()
      return pages(function(after)
        if seen >= SEARCH_MAX then
          error(host.error { kind = "limit", message = ("HubSpot gives out only the first %d results of a search, and "
            .. "this one has more: narrow it with filters (going on past them is not in this version yet)"):format(SEARCH_MAX) })
        end
        local answer = raw("POST", path .. "/search", { account = own, priority = query.priority, body = {
          filterGroups = json.array(groups), properties = json.array(names or {}), query = query.query,
          sorts = json.array(query.sorts or {}), limit = math.min(page, SEARCH_MAX - seen), after = after or "0" } })
        local list = answer.results or {}
        seen = seen + #list
        for _, item in ipairs(list) do as_record(item, names) end
        return list, next_cursor(answer)
      end)
    end

    ---Iterates over all records, page by page; each step may wait.
    ---@param options string[]|{properties: string[]|nil, limit: integer|nil, archived: boolean|nil, priority: string|nil}|nil
    ---@return fun(): hubspot.record|nil
    function o.list(options)
      options = options or {}
      local names = check_names(options.properties or (options[1] and options) or nil, 2)
      local query = { limit = math.min(options.limit or BATCH, BATCH), archived = tostring(options.archived or false),
        properties = names and #names > 0 and table.concat(names, ",") or nil }
      local own = fixed_account()
      return pages(function(after)
        query.after = after
        local answer = raw("GET", path, { account = own, query = query, priority = options.priority })
        for _, item in ipairs(answer.results or {}) do as_record(item, names) end
        return answer.results or {}, next_cursor(answer)
      end)
    end

    return o
  end

  local named = {}
  for _, name in ipairs(TYPES) do
    named[name] = objects(name)
    api[name] = named[name]
  end

  ---The functions of any object type, custom ones included.
  ---@param object_type string a name ("contacts", "2-123456")
  ---@return hubspot.objects
  function api.objects(object_type)
    if type(object_type) ~= "string" or not object_type:match("^[%w_%-]+$") then
      error('objects: expects an object type, such as "contacts" or "2-123456"', 2)
    end
    return named[object_type] or objects(object_type)
  end

  api.owners = {}

  ---Iterates over the account's owners; each step may wait.
  ---@param options {email: string|nil, archived: boolean|nil}|nil
  ---@return fun(): table|nil # id, email, firstName, lastName, userId, archived, …
  function api.owners.list(options)
    options = options or {}
    local query = { limit = 100, email = options.email, archived = tostring(options.archived or false) }
    local own = fixed_account()
    return pages(function(after)
      query.after = after
      local answer = raw("GET", "/crm/owners/{version}", { account = own, query = query })
      return answer.results or {}, next_cursor(answer)
    end)
  end

  ---Reads one owner. Waits.
  ---@param id string|integer
  ---@return table
  function api.owners.get(id)
    return (raw("GET", "/crm/owners/{version}/" .. host.url(check_id(id, 2))))
  end

  ---The owner with this e-mail address, or nil. Waits.
  ---@param email string
  ---@return table|nil
  function api.owners.by_email(email)
    if type(email) ~= "string" then error("owners.by_email: expects an e-mail address", 2) end
    for owner in api.owners.list { email = email } do
      if type(owner.email) == "string" and owner.email:lower() == email:lower() then return owner end
    end
    return nil
  end

  ---The property definitions of an object type.
  ---@param object_type string
  function api.properties(object_type)
    local path = "/crm/properties/{version}/" .. host.url(object_type)
    return {
      ---All definitions. Waits.
      ---@return table[]
      list = function() return (raw("GET", path)).results end,
      ---One definition. Waits.
      ---@param name string
      ---@return table
      get = function(name) return (raw("GET", path .. "/" .. host.url(name))) end,
    }
  end

  api.associations = {}

  ---Iterates over what a record is associated with; each step may wait.
  ---@param from_type string
  ---@param id string|integer
  ---@param to_type string
  ---@return fun(): {toObjectId: string, associationTypes: table[]}|nil
  function api.associations.list(from_type, id, to_type)
    id = check_id(id, 2)
    local path = ("/crm/associations/{version}/%s/%s/batch/read"):format(host.url(from_type), host.url(to_type))
    local own = fixed_account()
    return pages(function(after)
      local answer = raw("POST", path, { account = own, body = { inputs = json.array { { id = id, after = after } } } })
      local first = answer.results and answer.results[1]
      if not first then return {}, nil end
      for _, to in ipairs(first.to) do to.toObjectId = tostring(to.toObjectId) end
      return first.to, next_cursor(first)
    end)
  end

  local function association_path(from_type, from_id, to_type, to_id, default)
    return ("/crm/objects/{version}/%s/%s/associations/%s%s/%s"):format(host.url(from_type),
      host.url(check_id(from_id, 3)), default and "default/" or "", host.url(to_type), host.url(check_id(to_id, 3)))
  end

  ---Associates two records. Waits.
  ---@param from_type string
  ---@param from_id string|integer
  ---@param to_type string
  ---@param to_id string|integer
  ---@param types table[]|nil { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 279 }, … }; nil: the default
  function api.associations.create(from_type, from_id, to_type, to_id, types)
    local path = association_path(from_type, from_id, to_type, to_id, not types)
    return (raw("PUT", path, { body = types and json.array(types) or nil }))
  end

  ---Removes every association between two records. Waits.
  function api.associations.remove(from_type, from_id, to_type, to_id)
    raw("DELETE", association_path(from_type, from_id, to_type, to_id, false))
  end

  ---Anything else, under the same queue. Waits.
  ---@param call hubspot.call
  ---@return any answer the JSON, null as json.null
  ---@return integer status
  function api.request(call)
    if type(call) ~= "table" or type(call.path) ~= "string" then
      error('request: expects a table with path, such as { path = "/crm/pipelines/{version}/deals" }', 2)
    end
    if call.json ~= nil and call.body ~= nil then error("request: give json or body, not both", 2) end
    local body = call.body
    if call.json ~= nil then body = call.json end
    return raw(call.method or "GET", call.path,
      { query = call.query, body = body, priority = call.priority, nulls = true })
  end

  local account_meta = {}

  ---Binds to another account: hubspot.account("shop").contacts.get(…).
  function account_meta.__call(_, name)
    if type(name) ~= "string" then error("account: expects the name of an account", 2) end
    for _, known in ipairs(host.accounts()) do
      if known == name then return build(name) end
    end
    error(('there is no account "%s"; there are: %s'):format(name, table.concat(host.accounts(), ", ")), 2)
  end

  api.account = setmetatable({
    ---Details of the account: portalId, timeZone, companyCurrency, … Waits.
    ---@return table
    info = function() return (raw("GET", "/account-info/{version}/details")) end,
  }, account_meta)

  return setmetatable(api, { __index = function(_, name)
    error(('hubspot has no "%s"; hubspot.objects("%s") reaches custom object types'):format(tostring(name),
      tostring(name)), 2)
  end })
end

local built = {}
local first_build = build

-- One table an account: iterators and records made from it stay with that account.
build = function(account)
  local api = built[account]
  if not api then
    api = first_build(account)
    built[account] = api
  end
  return api
end

return first_build(nil)
