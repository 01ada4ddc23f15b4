--- Many records of one object type in a call. See hubspot.lua for the whole picture.
local _, host = ...
local record = require "hubspot.record"
local values = require "hubspot.values"

local batches = {}
local BATCH = 100            -- inputs of one object batch (FACTS 3)
local PARALLEL = 8           -- batches of one call that are out at once; the queue keeps the limits

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

---@param o hubspot.objects
---@param conn hubspot.connection
---@param path string
function batches.add(o, conn, path)
  -- One batch: made records and failures of this piece. place(result) gives the input's number in it.
  local function batch(name, piece, inputs, extra, place, options, names)
    local body = { inputs = json.array(inputs) }
    for key, value in pairs(extra or {}) do body[key] = value end
    local answer = conn.raw("POST", path .. "/batch/" .. name, { body = body, priority = options and options.priority })
    local out = { made = {}, failed = {}, offset = piece.offset }
    for i, result in ipairs(answer and answer.results or {}) do
      out.made[#out.made + 1] = { at = piece.offset + (place(result) or i), record = record.wrap(result, names) }
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
    local names = values.check_names(properties, 2)
    local list = {}
    for i, id in ipairs(ids) do list[i] = values.check_id(id, 2) end
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
      inputs[i] = { properties = values.write_properties(properties, 2), associations = json.array {},
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
      inputs[i] = { id = values.check_id(item.id, 2), properties = values.write_properties(item.properties, 2),
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
      local written = values.write_properties(properties, 2)
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
    for i, id in ipairs(ids) do inputs[i] = { id = values.check_id(id, 2) } end
    if #inputs == 0 then return end
    each_chunk(inputs, function(piece)
      conn.raw("POST", path .. "/batch/archive",
        { body = { inputs = json.array(piece.items) }, priority = options and options.priority })
      return true
    end)
  end
end

return batches
