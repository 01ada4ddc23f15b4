--- list.added and list.removed: the members of a list, compared with those of the reading before, which lie in kv in
--- chunks: arrays of ascending ids, so that `hubloop forget` takes out one and leaves the others. A page and a chunk are in memory at a
--- time, and what a reading has found commits together with the place to which it has come: the next one goes on there.
---
---   meta = { gen, chunks, count, scanned, signal, changed, pass = nil or the reading that is under way }
---   pass = { chunks, after, last, ended, at = { chunk, id } in the old ones: what is behind this id, count, started }
---
--- A list is read again when HubSpot says of it that its size or the time of its last change are others, twice when they
--- were, and once a day; large lists at most every so often.
local _, host = ...
local watch = require "engine.watch"

local lists = {}

local PAGE, PAGES = 250, 100        -- of a reading's part
local CHUNK = 2500
local EVENTS = 5000                 -- that a part tells, at most
local PART = 60 * 1000              -- and how long it may take
local MEMBERS_MAX = 1000000
local SMALL = 20                    -- pages of a list that may be read each time
local PACE = 3 * 1000               -- for each page of a larger one
local SETTLE = 2 * 60 * 1000        -- HubSpot may show a change later than it tells of it
local DAY = 24 * 3600 * 1000

---------------------------------------------------------------------------------------------------- asking

-- What HubSpot's search says of the list that is meant.
local function find(account, wanted)
  local id = wanted:find("^%d+$") and wanted
  local answer = host.api { kind = "raw", method = "POST", path = "/crm/lists/{version}/search", account = account, nulls = false,
    body = { query = id and "" or wanted, listIds = json.array { id or nil }, offset = 0, count = 500, processingTypes = json.array {},
      additionalProperties = json.array { "hs_list_size", "hs_last_record_added_at", "hs_last_record_removed_at" } } }
  local names = {}
  for i, list in ipairs(answer.lists or {}) do
    if tostring(list.listId) == id or not id and list.name == wanted then return list end
    names[i] = list.name
  end
  watch.absent("list", wanted, names)
end

local function members(account, id, after)
  local answer = host.api { kind = "raw", method = "GET", path = ("/crm/lists/{version}/%s/memberships"):format(host.url(id)),
    query = ("limit=%d%s"):format(PAGE, after and "&after=" .. host.url(after) or ""), account = account, nulls = false }
  return answer.results or {}, watch.next_page(answer, after)
end

---------------------------------------------------------------------------------------------------- the snapshot

local function chunk_key(id, gen, i) return ("%s %d %d"):format(id, gen, i) end

-- The ids of a snapshot from a place on, which moves with them: peek() and skip().
local function snapshot(store, id, gen, chunks, at)
  local self, ids, index = {}, nil, 1
  function self.peek()
    while at.chunk <= chunks do
      if not ids then
        ids, index = store.get(chunk_key(id, gen, at.chunk)) or {}, 1
        while ids[index] and ids[index] <= (at.id or 0) do index = index + 1 end
      end
      if ids[index] then return ids[index] end
      at.chunk, ids = at.chunk + 1, nil
    end
    return nil
  end
  function self.skip() at.id, index = ids[index], index + 1 end
  return self
end

-- One part of a reading: gathers what to store and to tell, and stores and tells it at the end, without waiting. Returns
-- the error that ended it early; what was read before it counts.
local function part(store, account, list, meta, from)
  local id, pass, began = list.listId, meta.pass, host.now()
  local gen, events, buffer, writes = meta.gen + 1, {}, {}, {}
  local old = snapshot(store, id, meta.gen, meta.chunks, pass.at)
  local added, removed = host.listens("list.added"), host.listens("list.removed")
  local first = meta.chunks == 0 and not meta.scanned

  local function flush()
    if #buffer == 0 then return end
    pass.chunks = pass.chunks + 1
    writes[#writes + 1] = { chunk_key(id, gen, pass.chunks), json.array(buffer) }
    buffer = {}
  end
  -- True when there is no room for more.
  local function gone_before(number)
    while true do
      local before = old.peek()
      if not before or number and before >= number then return false end
      if #events >= EVENTS then return true end
      if removed then events[#events + 1] = { "list.removed", before, began } end
      old.skip()
    end
  end
  local function take(item)
    local number = math.tointeger(tonumber(item.recordId))
    if not number or number <= (pass.last or 0) then
      if number and pass.resumed then return true end   -- of the page on which the part before ended
      error(host.error { kind = "protocol", message = "HubSpot gave the members in another order than that of their ids" }, 0)
    end
    pass.resumed = nil
    if gone_before(number) or #events >= EVENTS then return false end
    if old.peek() == number then
      old.skip()
    elseif added then
      local fine, joined = pcall(time.parse, item.membershipTimestamp)
      if not first or fine and joined >= from then events[#events + 1] = { "list.added", number, fine and joined or began } end
    end
    buffer[#buffer + 1] = number
    pass.last, pass.count = number, pass.count + 1
    if pass.count > MEMBERS_MAX then error(("it has more than %d members, which is the most that are watched"):format(MEMBERS_MAX), 0) end
    if #buffer == CHUNK then flush() end
    return true
  end
  local function read()
    pass.resumed = true
    for _ = 1, PAGES do
      if pass.ended then break end
      local items, after = members(account, id, pass.after)
      for _, item in ipairs(items) do
        if not take(item) then return end
      end
      pass.after, pass.ended, pass.resumed = after, not after, nil
      if host.now() - began > PART or #events >= EVENTS then return end
    end
    if pass.ended and not gone_before(nil) then pass.done = true end
  end

  local fine, err = pcall(read)
  pass.resumed = nil
  flush()
  for _, write in ipairs(writes) do store.set(write[1], write[2]) end
  for _, event in ipairs(events) do
    host.found(event[1], { listId = id, listName = list.name, objectTypeId = list.objectTypeId },
      { object_type = list.objectTypeId, object_id = ("%d"):format(event[2]), occurred_at = event[3] })
  end
  if fine and pass.done then
    for i = 1, meta.chunks do store.delete(chunk_key(id, meta.gen, i)) end
    meta = { gen = gen, chunks = pass.chunks, count = pass.count, scanned = pass.started, signal = meta.signal, changed = meta.changed }
  end
  store.set(id, meta)
  if not fine then error(err, 0) end
end

-- Whether the list is to be read now; notes what HubSpot says of it.
local function due(list, meta, now)
  local said = list.additionalProperties or {}
  local signal = ("%s %s %s"):format(tostring(said.hs_list_size), tostring(said.hs_last_record_added_at),
    tostring(said.hs_last_record_removed_at))
  local untold = said.hs_list_size == nil   -- then it has to be looked at
  local news = signal ~= meta.signal
  if news then meta.signal, meta.changed = signal, now end
  if not meta.scanned then return true end
  local pages = meta.count // PAGE + 1
  if pages > SMALL and now - meta.scanned < pages * PACE then return false, news end
  return untold or meta.scanned < meta.changed + SETTLE or now - meta.scanned > DAY, news
end

local function read(account, wanted, from)
  local store, list = host.kv("hubloop:lists", account), find(account, wanted)
  list.listId = tostring(list.listId)
  local meta = store.get(list.listId) or { gen = 0, chunks = 0, count = 0 }
  local now = host.now()
  if not meta.pass then
    local wanted_now, news = due(list, meta, now)
    if not wanted_now then
      if news then store.set(list.listId, meta) end
      return
    end
    meta.pass = { chunks = 0, count = 0, at = { chunk = 1 }, started = now }
  end
  part(store, account, list, meta, from)
end

---------------------------------------------------------------------------------------------------- events

---Starts to read for a handler of list.added or list.removed.
---@param event string
---@param own { list: string, every: any, from: string|nil }
---@param account string|nil
function lists.start(event, own, account)
  if not own.list then error(("%s: which list? { list = \"Customers\" }, its name or its id"):format(event), 4) end
  watch.start("members", own.list, own, account, function(name, from)
    watch.reading(("the list %s"):format(own.list), ("list %s %s"):format(name, own.list), function() read(name, own.list, from) end)
  end)
end

function lists.matches(event, own) return event.listId == own.list or event.listName == own.list end

return lists
