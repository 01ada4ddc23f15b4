--- Many records of one object type in a call: each is a call of its own, which the queue merges by the hundred, so
--- rows that HubSpot refuses fail alone. See hubspot.lua for the whole picture.
local _, host = ...
local values = require "hubspot.values"

local batches = {}
local AT_ONCE = 1000         -- calls of one list that wait together: enough for ten batches on their way

-- What speaks of the account, the moment or the script, and not of a row.
local function concerns_all(e)
  if type(e) ~= "table" or not e.kind then return true end
  if e.kind ~= "hubspot" then return e.kind ~= "uncertain" end
  return e.status == 401 or e.status == 403 or e.status == 429 or e.status >= 500
end

-- The results of fn(item, index) in the order of the list, and the failures. Raises when every call failed, and not
-- for its row.
local function each(list, inputs, fn)
  local outcomes = task.map(inputs, function(input, i)
    local ok, value = pcall(fn, input, i)
    return { ok = ok, value = value }
  end, { concurrency = AT_ONCE })
  local made, failed, bad = {}, {}, 0
  for i, outcome in ipairs(outcomes) do
    if outcome.ok then
      made[#made + 1] = outcome.value
    else
      if concerns_all(outcome.value) then bad = bad + 1 end
      failed[#failed + 1] = { index = i, input = list[i], error = outcome.value }
    end
  end
  if bad > 0 and bad == #outcomes then error(failed[1].error, 0) end
  for _, failure in ipairs(failed) do
    if type(failure.error) ~= "table" then failure.error = host.error { kind = "script", message = tostring(failure.error) } end
  end
  return made, failed
end

---@param o hubspot.objects
function batches.add(o)
  ---Reads many records. Waits. Ids that do not exist are in the second list.
  ---@param ids (string|integer)[]
  ---@param properties string[]|nil
  ---@param options {id_property: string|nil, priority: string|nil}|nil
  ---@return hubspot.record[] records in the order of `ids`
  ---@return table[] failed { {index=, input=, error=}, … }
  function o.batch_read(ids, properties, options)
    values.check_names(properties, 2)
    local list = {}
    for i, id in ipairs(ids) do list[i] = values.check_id(id, 2) end
    return each(list, list, function(id) return o.get(id, properties, options) end)
  end

  ---Creates many records. Waits. A bad one fails alone.
  ---@param list table[] properties of each
  ---@param options {unique: string|nil, priority: string|nil}|nil
  ---@return hubspot.record[] made in the order of `list`
  ---@return table[] failed { {index=, input=, error=}, … }
  function o.batch_create(list, options)
    local inputs = {}
    for i, properties in ipairs(list) do inputs[i] = values.write_properties(properties, 2) end
    return each(list, inputs, function(properties) return o.create(properties, options) end)
  end

  ---Writes many records. Waits. A bad one fails alone. One id several times is written in the order of the list.
  ---@param list table[] { { id = "151", properties = { … } }, … }
  ---@param options {id_property: string|nil, priority: string|nil}|nil
  ---@return hubspot.record[] made in the order of `list`
  ---@return table[] failed
  function o.batch_update(list, options)
    local inputs = {}
    for i, item in ipairs(list) do
      inputs[i] = { id = values.check_id(item.id, 2), properties = values.write_properties(item.properties, 2) }
    end
    return each(list, inputs, function(input) return o.update(input.id, input.properties, options) end)
  end

  ---Updates or creates many records by a unique property. Waits.
  ---@param id_property string
  ---@param list table[] properties of each, id_property among them
  ---@param options {priority: string|nil}|nil
  ---@return hubspot.record[] made in the order of `list`
  ---@return table[] failed
  function o.batch_upsert(id_property, list, options)
    local inputs = {}
    for i, properties in ipairs(list) do
      inputs[i] = values.write_properties(properties, 2)
      if not inputs[i][id_property] or inputs[i][id_property] == "" then
        error(('batch_upsert: record %d has no "%s"'):format(i, tostring(id_property)), 2)
      end
    end
    return each(list, inputs, function(properties) return o.upsert(id_property, properties, options) end)
  end

  ---Moves many records to the recycling bin. Waits.
  ---@param ids (string|integer)[]
  ---@param options {priority: string|nil}|nil
  ---@return table[] failed
  function o.batch_archive(ids, options)
    local list = {}
    for i, id in ipairs(ids) do list[i] = values.check_id(id, 2) end
    local _, failed = each(list, list, function(id)
      o.archive(id, options)
      return id
    end)
    return failed
  end
end

return batches
