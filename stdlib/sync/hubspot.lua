--- HubSpot as a side of a sync: any object type.
---
--- What has changed is searched for by the moment of the last change. HubSpot's index lags behind writes, so a search
--- begins a little before the end of the one before (`overlap`), and what it names is read again by its id.
local _, host = ...
local hubspot = require "hubspot"
local values = require "sync.values"

local OPTIONS = { account = true, filters = true, overlap = true, id_property = true }
local AT_ONCE = 1000         -- calls of one list that wait together; the queue makes batches of them
local SEARCH_VALUES = 100    -- values of one IN filter, at most
local SEARCH_BYTES = 2000    -- of all of them: HubSpot takes 3,000 characters of a search
local CLASS = "bulk"
local KEEP = 60 * 60 * 1000  -- ms for which the account's definitions are taken as known
local MERGED = "hs_merged_object_ids"

-- What speaks of the account or the moment, and not of a row.
local function concerns_all(e)
  if type(e) ~= "table" or e.kind ~= "hubspot" then return true end
  return e.status == 401 or e.status == 403 or e.status == 429 or e.status >= 500
end

local function fail(message) error(host.error { kind = "invalid", message = message }, 0) end

---@param object_type string
---@param options table|nil
return function(object_type, options)
  options = options or {}
  if type(options) ~= "table" then error("sync.hubspot: options are a table", 3) end
  for key in pairs(options) do
    if not OPTIONS[key] then
      error(('sync.hubspot: unknown option "%s"; there are account, filters, id_property, overlap'):format(tostring(key)), 3)
    end
  end
  if type(object_type) ~= "string" then error('sync.hubspot: expects an object type, such as "contacts"', 3) end
  local bound = options.account and hubspot.account(options.account) or hubspot
  local objects = bound.objects(object_type)
  local overlap = time.duration(options.overlap or "2m")
  local contacts = objects.type == "contacts" or objects.type == "0-1"
  local modified = contacts and "lastmodifieddate" or "hs_lastmodifieddate"
  local self = { sync_endpoint = true, label = "HubSpot " .. object_type, deletions = true, lags = true, flat = true }
  local definitions, read_at -- by name

  local function read_definitions()
    local answer = bound.request { path = "/crm/properties/{version}/" .. object_type, priority = CLASS }
    definitions, read_at = {}, time.now()
    for _, definition in ipairs(answer.results) do definitions[definition.name] = definition end
  end

  ---Checks the names against the account's properties. Waits.
  ---@param names string[]
  ---@param written table<string, boolean>
  ---@param key string
  function self.prepare(names, written, key)
    if not definitions or time.now() - read_at > KEEP then read_definitions() end
    for _, name in ipairs(names) do
      -- One that was made a moment ago is looked for anew.
      if not definitions[name] then read_definitions() end
      local definition = definitions[name]
      if not definition then
        local known = {}
        for one in pairs(definitions) do known[#known + 1] = one end
        table.sort(known)
        local near = host.nearest(name, known)
        fail(('%s have no property "%s"%s'):format(self.label, name, near and ('; did you mean "%s"?'):format(near) or ""))
      end
      local meta = type(definition.modificationMetadata) == "table" and definition.modificationMetadata or {}
      if written[name] and name ~= key and (meta.readOnlyValue == true or definition.calculated == true) then
        fail(('%s: the property "%s" is read only, so nothing can be mapped to it'):format(self.label, name))
      end
    end
    self.unique = key == "hs_object_id" or contacts and key == "email" or options.id_property == key
      or definitions[key] and definitions[key].hasUniqueValue == true or false
  end

  local function asked(names)
    local list = table.move(names, 1, #names, 1, {})
    list[#list + 1] = modified
    list[#list + 1] = MERGED
    return list
  end

  local function record_of(raw, id)
    local merged = {}
    for old in (raw.properties[MERGED] or ""):gmatch("%d+") do merged[#merged + 1] = old end
    return { id = raw.id, asked = id, values = raw.properties, modified = values.moment(raw.properties[modified]), merged = merged }
  end

  ---Records by their ids; one that was merged comes with its new id. Waits.
  ---@return table<string, table> by the ids that were asked for
  function self.get(ids, names, id_property)
    local list, out = asked(names), {}
    local found = task.map(ids, function(id)
      local ok, raw = pcall(objects.get, id, list, { id_property = id_property, priority = CLASS })
      if ok then return { raw } end
      if type(raw) == "table" and raw.kind == "hubspot" and (raw.status == 404 or raw.status == 410) then return {} end
      error(raw, 0)
    end, { concurrency = AT_ONCE })
    for i, id in ipairs(ids) do
      if found[i][1] then out[id] = record_of(found[i][1], id) end
    end
    return out
  end

  ---Records by the values of a property. Waits.
  ---@return table<string, table> by value; one that several records have: { several = ids }
  function self.find(property, wanted, names)
    if self.unique then return self.get(wanted, names, property ~= "hs_object_id" and property or nil) end
    local ids, by_value = {}, {}
    local at = 1
    while at <= #wanted do
      local part, of, size = {}, {}, 0
      repeat
        local value = wanted[at]:lower()
        part[#part + 1], of[value], size = value, wanted[at], size + #value + 3
        at = at + 1
      until at > #wanted or #part >= SEARCH_VALUES or size + #wanted[at] > SEARCH_BYTES
      for raw in objects.search { properties = { property }, priority = CLASS,
        filters = { { propertyName = property, operator = "IN", values = part } } } do
        local value = of[(raw.properties[property] or ""):lower()]
        if value then
          by_value[value] = by_value[value] or {}
          table.insert(by_value[value], raw.id)
          ids[#ids + 1] = raw.id
        end
      end
    end
    local records, out = self.get(ids, names), {}
    for value, list in pairs(by_value) do
      out[value] = #list > 1 and { several = list } or records[list[1]]
    end
    return out
  end

  -- The pages of an iterator, each read again by id when `fresh`.
  local function paged(it, size, names, fresh)
    return function()
      local list = {}
      for raw in it do
        list[#list + 1] = raw
        if #list >= size then break end
      end
      if not fresh or #list == 0 then return list end
      local ids = {}
      for i, raw in ipairs(list) do ids[i] = raw.id end
      local now, out = self.get(ids, names), {}
      for i, id in ipairs(ids) do out[i] = now[id] or { id = id, values = {}, deleted = true } end
      return out, values.moment(list[#list].properties[modified])
    end
  end

  -- How many records a search finds, for the time that is left. Waits.
  local function total_of(filters)
    return bound.request { method = "POST", path = "/crm/objects/{version}/" .. object_type .. "/search", priority = CLASS,
      json = { filterGroups = json.array(#filters > 0 and { { filters = json.array(filters) } } or {}), limit = 1 } }.total
  end

  ---Pages of what has changed since the cursor, then of what was deleted. Waits.
  ---@return fun(): {records: table[], cursor: any}|nil
  function self.changes(cursor, names, o)
    return coroutine.wrap(function()
      cursor = cursor or { started = time.now() }
      local list, read = asked(names), 0
      local since, total = cursor.since, nil
      local function share(records)
        read = read + #records
        return total and total > 0 and math.min(1, read / total) or nil
      end
      if not since and not options.filters then
        if o.total and not cursor.after then total = total_of {} end
        local it <close> = objects.list { properties = list, after = cursor.after, priority = CLASS }
        local next_page = paged(it, o.size)
        while true do
          local raws, records = next_page(), {}
          if #raws == 0 then break end
          for i, raw in ipairs(raws) do records[i] = record_of(raw, raw.id) end
          coroutine.yield { records = records, cursor = { after = it:cursor(), started = cursor.started }, share = share(records) }
        end
        since = cursor.started
      else
        local filters = table.move(options.filters or {}, 1, #(options.filters or {}), 1, {})
        filters[#filters + 1] = { propertyName = modified, operator = "GTE", value = ("%d"):format(math.max(0, (since or 0) - overlap)) }
        if o.total then total = total_of(filters) end
        local it <close> = objects.search { properties = list, filters = filters, sorts = { modified }, limit = 200, priority = CLASS }
        local next_page = paged(it, o.size, names, true)
        while true do
          local records, last = next_page()
          if #records == 0 then break end
          since = math.max(since or 0, last or 0)
          coroutine.yield { records = records, cursor = { since = since }, share = share(records) }
        end
        since = since or cursor.started
      end
      if o.deletes then
        local it <close> = objects.list { archived = true, properties = { o.key, MERGED }, priority = CLASS }
        local next_page = paged(it, o.size)
        while true do
          local raws, records = next_page(), {}
          if #raws == 0 then break end
          for _, raw in ipairs(raws) do
            records[#records + 1] = { id = raw.id, values = raw.properties, deleted = true }
            for old in (raw.properties[MERGED] or ""):gmatch("%d+") do
              records[#records + 1] = { id = old, values = {}, deleted = true, merged_away = true }
            end
          end
          coroutine.yield { records = records, cursor = { since = since } }
        end
      end
      coroutine.yield { records = {}, cursor = { since = since } }
    end)
  end

  local function write_one(op)
    if op.kind == "delete" then
      objects.archive(op.id, { priority = CLASS })
      return op.id
    elseif op.kind == "update" then
      return objects.update(op.id, op.values, { priority = CLASS }).id
    elseif self.unique and op.key_property ~= "hs_object_id" then
      return objects.upsert(op.key_property, op.values, { priority = CLASS }).id
    end
    return objects.create(op.values, { priority = CLASS }).id
  end

  ---Writes; each row's outcome is { id = } or { error = }. Raises what speaks of all. Waits.
  function self.write(ops)
    return task.map(ops, function(op)
      local ok, id = pcall(write_one, op)
      if ok then return { id = id } end
      if op.kind == "delete" and type(id) == "table" and id.status == 404 then return { id = op.id } end
      if concerns_all(id) then error(id, 0) end
      return { error = id.message }
    end, { concurrency = AT_ONCE })
  end

  return self
end
