--- step(): work of a handler that is done once, however often the handler runs.
local _, host = ...

--- Runs fn once for this event and keeps its result: when the handler runs again (a retry, a restart), the step
--- returns what it returned then and fn is not called. Stored together with everything that the handler has buffered
--- so far (kv, emit, after). Returns what JSON keeps of the result: plain tables, text, numbers, booleans, nil.
--- Waits until it is stored. Raises fn's error (then the step is not done), kind "unstorable" when the result cannot
--- be kept (the step is done all the same), kind "misuse" outside of a handler and inside another step.
---@generic T
---@param name string 1 to 200 bytes; each step of a handler has a name of its own
---@param fn fun(): T
---@return T
local function step(name, fn)
  if type(name) ~= "string" then error("step(name, fn): the name must be a string, not " .. type(name), 2) end
  if type(fn) ~= "function" then error("step(name, fn): fn must be a function, not " .. type(fn), 2) end
  local done, value = host.step.begin(name)
  if done then return value end
  local open <close> = value
  local result = fn()   -- the first result only
  return open:finish(name, result)
end

-- A create whose answer an earlier attempt has not seen: was it made? The record, or nil. What is written may take a
-- moment to be found, so it is looked for twice. One that is older than the intent is not ours.
local function find(call, unique, value, since)
  local names = {}
  for name in pairs(call.body.properties) do names[#names + 1] = name end
  table.sort(names)
  for look = 1, 2 do
    local ok, record = pcall(host.api, {
      kind = "get", type = call.type, id = tostring(value), id_property = unique, properties = names, account = call.account,
      priority = call.priority, nulls = call.nulls,
    })
    if ok then
      local made = time.parse(record.createdAt)
      return made >= since - 120000 and record or nil
    end
    if type(record) ~= "table" or record.status ~= 404 then error(record, 0) end
    if look == 1 then task.sleep(2) end
  end
  return nil
end

local function send(call, write)
  local ok, answer, status = pcall(host.step.send, call, write)
  if ok then return answer, status end
  host.step.failed(write)
  error(answer, 0)
end

-- Every write of a step comes here: stored as intended, then made, then its answer stored. One that an earlier attempt
-- was about to make is repeated when a second one changes nothing more, looked for when it has a unique property, and
-- else left to a person. `makes`: a second one would make a second thing.
function host.step.write(call, makes)
  local state, write, stored = host.step.intend(call, makes)
  if state == "answered" then return stored, 200 end
  if state == "new" or not makes then return send(call, write) end
  local properties = call.kind == "create" and type(call.body) == "table" and call.body.properties or {}
  local unique = call.id_property or call.kind == "create" and (call.type == "contacts" or call.type == "0-1") and "email"
  local value = unique and properties[unique] or nil
  if value == nil or value == "" then
    host.step.uncertain(write)
    error(host.error { kind = "uncertain", message = ("an earlier attempt was ended while it made a %s in HubSpot, and nobody "
      .. "can tell whether it was made; look, then settle it: hubloop help steps"):format(call.type or call.path) }, 0)
  end
  local record = find(call, unique, value, stored)
  if not record then return send(call, write) end
  host.step.found(write, record)
  return record, 201
end

return step
