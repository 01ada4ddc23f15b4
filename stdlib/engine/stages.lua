--- What a change of a stage means: of a deal's dealstage, by the pipelines of its account, and of a contact's
--- lifecyclestage. The stage before comes from HubSpot's history of the property: events tell only the new value, come in
--- any order and twice, and the history is the same whenever it is asked for.
local _, host = ...

local stages = {}

local FRESH = 3600 * 1000   -- how long the account's pipelines are taken to be as they were read
local MOST = 50             -- records in one call: HubSpot's bound with histories

---------------------------------------------------------------------------------------------------- pipelines

local accounts = {}   -- name -> { at, reads, stages = id -> list, lock }

local function number(text) return tonumber(text) or -1 end

-- HubSpot derives isClosed from the probability, and tells both.
local function stage(pipeline, given)
  local meta = given.metadata or {}
  local probability = number(meta.probability)
  local closed = tostring(meta.isClosed) == "true"
  if meta.isClosed == nil then closed = probability == 0 or probability == 1 end
  return { id = given.id, label = given.label, probability = probability >= 0 and probability or nil,
    closed = closed, won = closed and probability == 1, lost = closed and probability == 0,
    pipeline = { id = pipeline.id, label = pipeline.label } }
end

local function read(account)
  local answer = host.api { kind = "raw", method = "GET", path = "/crm/pipelines/{version}/deals", account = account, nulls = false }
  local found = {}
  for _, pipeline in ipairs(answer.results or {}) do
    for _, given in ipairs(pipeline.stages or {}) do
      found[given.id] = found[given.id] or {}
      table.insert(found[given.id], stage(pipeline, given))
    end
  end
  return found
end

-- The account's stages by id, read again when `wanted` is not among them or when they are old. One task reads; those
-- that asked before it had the answer take it.
local function known(account, wanted)
  local cache = accounts[account or ""]
  if not cache then
    cache = { at = 0, reads = 0, stages = {}, lock = task.semaphore(1) }
    accounts[account or ""] = cache
  end
  local reads = cache.reads
  if not cache.stages[wanted] or host.now() - cache.at > FRESH then
    cache.lock:with(function()
      if cache.reads > reads then return end
      local fine, result = pcall(read, account)
      if fine then cache.stages, cache.at, cache.reads = result, host.now(), cache.reads + 1
      elseif not cache.stages[wanted] then error(result, 0) end   -- else what was known must do
    end)
  end
  return cache.stages[wanted] or {}
end

---------------------------------------------------------------------------------------------------- histories

local gathering = {}   -- what is asked for in this turn: account and property -> batch

local function read_histories(question, ids)
  local inputs = {}
  for i, id in ipairs(ids) do inputs[i] = { id = id } end
  local answer = host.api { kind = "raw", method = "POST", path = ("/crm/objects/{version}/%s/batch/read"):format(question.type),
    account = question.account, nulls = false, body = { inputs = inputs, properties = question.properties,
      propertiesWithHistory = { question.property } } }
  local found = {}
  for _, record in ipairs(answer.results or {}) do found[tostring(record.id)] = record end
  if #ids == 1 and answer.results and answer.results[1] then found[ids[1]] = answer.results[1] end   -- it was merged
  return found
end

local leave = { __close = function(batch)
  if gathering[batch.key] == batch then gathering[batch.key] = nil end
end }

-- A record with the history of one property, or nil. What several handlers ask for at one moment travels in one call,
-- which the task of the first of them makes; when that one is ended meanwhile, each of the others asks for itself.
local function record(question, id)
  local key = ("%s %s %s"):format(question.account or "", question.type, question.property)
  local batch = gathering[key]
  if not batch then
    batch = setmetatable({ key = key, ids = {}, asked = {}, lock = task.semaphore(1) }, leave)
    gathering[key] = batch
    batch.lock:with(function()
      local gathers <close> = batch   -- luacheck: ignore
      batch.ids[1], batch.asked[id] = id, true
      task.sleep(0)
      leave.__close(batch)
      batch.found = read_histories(question, batch.ids)
    end)
  else
    if not batch.asked[id] then
      batch.asked[id] = true
      table.insert(batch.ids, id)
      if #batch.ids == MOST then leave.__close(batch) end
    end
    batch.lock:with(function() end)
  end
  if batch.found and (batch.found[id] or #batch.ids == 1) then return batch.found[id] end
  return read_histories(question, { id })[id]   -- it was merged, or the first one's call failed
end

-- The value before the one that the event tells: the entry behind it. HubSpot's two times for one change need not be
-- equal to the millisecond, so of equal values the one nearest in time is meant. nil: not known.
local function before(history, event)
  local at, nearest
  for i, entry in ipairs(history or {}) do
    if entry.value == (event.propertyValue or "") then
      local fine, ms = pcall(time.parse, entry.timestamp)
      local distance = fine and math.abs(ms - event.occurredAt) or math.huge
      if not nearest or distance < nearest then at, nearest = i, distance end
    end
  end
  local entry = at and history[at + 1]
  return entry and entry.value ~= "" and entry.value or nil
end

---------------------------------------------------------------------------------------------------- events

local function public(found)
  return found and { id = found.id, label = found.label, probability = found.probability, pipeline = found.pipeline }
end

-- Of the stages with one id the one in this pipeline; ids are an account's own, but nobody promises that.
local function pick(list, pipeline)
  for _, found in ipairs(list) do
    if found.pipeline.id == pipeline then return found end
  end
  return list[1]
end

local function any(list, want)
  for _, found in ipairs(list) do
    if found[want] then return true end
  end
  return false
end

---Decides whether a change of dealstage brought a deal into the stages that are `want`, from others. Waits.
---@param want "won"|"lost"|"closed"
---@return fun(event: table): table|nil fields of the event
function stages.deal(want)
  return function(event)
    local id = event.propertyValue
    if not id or id == "" then return nil end
    local account = event.account
    local list = known(account, id)
    if #list == 0 then
      error(host.error { kind = "unknown_stage", retryable = true, message =
        ("deal.%s: the stage %s of deal %s is in none of the account's pipelines"):format(want, id, tostring(event.objectId)) }, 0)
    end
    if not any(list, want) then return nil end
    local deal = record({ account = account, type = "deals", property = "dealstage", properties = { "pipeline" } }, event.objectId)
    local now = pick(list, deal and deal.properties and deal.properties.pipeline)
    if not now[want] then return nil end
    local earlier = deal and before((deal.propertiesWithHistory or {}).dealstage, event)
    local from = earlier and known(account, earlier)[1]
    if from and from[want] then return nil end
    return { stage = public(now), pipeline = now.pipeline, from = public(from), outcome = now.won and "won" or now.lost and "lost" or nil }
  end
end

---Option from= or to=: a lifecycle stage or a list of them.
---@return table<string, true>|nil
---@return string|nil said what is wrong
function stages.names(value)
  local set = {}
  for _, name in ipairs(type(value) == "table" and value or { value }) do
    if type(name) ~= "string" then return nil, "a lifecycle stage is a string, such as \"customer\", or a list of them" end
    set[name] = true
  end
  if not next(set) then return nil, "the list is empty" end
  return set
end

---Decides whether a change of lifecyclestage is a move that the handler asked for. Waits.
---@param event table
---@param own { from: table|nil, to: table|nil }
---@return table|nil fields of the event
function stages.contact(event, own)
  local to = event.propertyValue ~= "" and event.propertyValue or nil
  if own.to and not own.to[to or ""] then return nil end
  local contact = record({ account = event.account, type = "contacts", property = "lifecyclestage", properties = json.array {} },
    event.objectId)
  local from = contact and before((contact.propertiesWithHistory or {}).lifecyclestage, event)
  if own.from and not own.from[from or ""] then return nil end
  if from == to and to then return nil end
  return { from = from, to = to }
end

return stages
