--- Iterators over pages, which read one page ahead and can be gone on with. See hubspot.lua for the whole picture.
---
--- The page that the script works on is in memory, and the next one is on its way, read by a task of its own from
--- the moment at which the script asks for a second record. That task belongs to the task that asked for it and ends
--- with it; leaving a `for` loop ends it too. What the page ahead fails with is raised when the script gets there, and
--- asking once more tries once more.
---
--- What a source gives: fetch(state) returns a list and the state of the next page, nil after the last. A state is
--- plain data and says everything about where a page begins, so it is what a cursor holds.
local _, host = ...
local iterator = {}

local PREFIX = "hl1."
local EMPTY_MAX = 200        -- pages without anything, one after the other: none would ever come

---@class hubspot.iterator
---@operator call(): any
local Iterator = { __name = "hubspot.iterator" }
Iterator.__index = Iterator

---------------------------------------------------------------------------------------------------- cursors

local function base64url(text) return (crypto.base64_encode(text):gsub("=+$", ""):gsub("%+", "-"):gsub("/", "_")) end

local function decoded(text)
  text = text:gsub("%-", "+"):gsub("_", "/")
  local ok, plain = pcall(crypto.base64_decode, text .. ("="):rep(-#text % 4))
  local fine, value = pcall(json.decode, ok and plain or "")
  return fine and type(value) == "table" and value or nil
end

-- The same text for the same data, whatever the order of keys.
local function canonical(value)
  if value == json.null then return "null" end
  if type(value) ~= "table" then return type(value) .. ":" .. tostring(value) end
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do parts[i] = tostring(key) .. "=" .. canonical(value[key]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function signature(of) return crypto.sha256(canonical(of)):sub(1, 16) end

---A text from which the same list or search goes on after the last record that was given out.
---@return string # to keep in kv, for instance
function Iterator:cursor()
  local source = self.source
  if not source.name then error("this iterator has no cursor", 2) end
  local state
  if self.at == 0 then state = self.state
  elseif self.at >= #self.items and self.next then state = self.next
  else state = source.resume(self.state, self.items, self.at) end
  return PREFIX .. base64url(json.encode { k = source.name, q = signature(source.of), s = state })
end

---The state that a cursor holds; an error of the caller's caller when it is none, or one of something else.
---@param source hubspot.source
---@param cursor string|nil
---@return table
function iterator.start(source, cursor)
  local name = source.name
  if cursor == nil then return {} end
  local held = type(cursor) == "string" and cursor:sub(1, #PREFIX) == PREFIX and decoded(cursor:sub(#PREFIX + 1))
  if not held or type(held.s) ~= "table" then
    error(("%s: the cursor is no text that an iterator's :cursor() gave"):format(name), 3)
  end
  if held.k ~= name then
    error(("%s: this cursor comes from %s"):format(name, tostring(held.k)), 3)
  end
  if held.q ~= signature(source.of) then
    error(("%s: this cursor comes from another query or account; leave the cursor out to begin anew"):format(name), 3)
  end
  return held.s
end

---------------------------------------------------------------------------------------------------- stepping

-- Makes the next page the current one; false after the last. One task at a time (self.lock).
local function turn(self)
  if self.at < #self.items then return true end   -- another task was faster
  local state = self.next
  if not self.begun then state = self.state end
  if not state then return false end
  local ahead = self.ahead
  self.ahead = nil
  local joined, ok, list, next_state
  if ahead then joined, ok, list, next_state = pcall(ahead.wait, ahead) end
  -- Not joined: the task that read ahead ended with its owner.
  if not joined then list, next_state = self.source.fetch(state)
  elseif not ok then error(list, 0) end
  self.state, self.items, self.at, self.next, self.begun = state, list, 0, next_state, true
  return true
end

local function look_ahead(self)
  if not self.next or self.ahead then return end
  local made, handle = pcall(task.spawn, pcall, self.source.fetch, self.next)
  if made then self.ahead = handle end   -- else the script is at its limit of tasks, and reads when it gets there
end

function Iterator:__call()
  local empty = 0
  while self.at >= #self.items do
    if not self.lock:with(turn, self) then return nil end
    empty = empty + 1
    if empty > EMPTY_MAX then
      error(host.error { kind = "protocol", message = ("HubSpot gave %d pages in turn with nothing new on them, and says that "
        .. "there are more"):format(EMPTY_MAX) })
    end
  end
  local at = self.at + 1
  self.at = at
  if self.going then look_ahead(self) end
  self.going = true
  return self.items[at]
end

function Iterator:__close()
  if self.ahead then self.ahead:cancel() end
  self.ahead = nil
end

---@class hubspot.source
---@field fetch fun(state: table): table[], table|nil reads a page. Waits
---@field resume fun(state: table, items: table[], at: integer): table the state after the first `at` of a page's items
---@field name string|nil "contacts.list"; nil: no cursors
---@field of any what makes this query another than others: only a cursor of the same goes on

---For a `for` loop: the iterator, and itself again as the value that the loop closes.
---@param source hubspot.source
---@param state table where it begins; {}: with the first page
function iterator.new(source, state)
  local self = setmetatable({ source = source, state = state, items = {}, at = 0, lock = task.semaphore(1) }, Iterator)
  return self, nil, nil, self
end

---------------------------------------------------------------------------------------------------- HubSpot's `after`

local function key_of(item)
  if type(item) ~= "table" then return nil end
  local key = item.id or item.toObjectId
  return key ~= nil and tostring(key) or nil
end

---What stays of a page that was given out in part, and what of it the next page has to leave out, too: pages of
---another size than those of the run before end elsewhere.
---@param state table last, ids or n, as iterator.after_resume has them
---@param list table[]
---@return table[] list
---@return table left without `after`
function iterator.rest(state, list)
  if not state.last and not state.ids and not state.n then return list, {} end
  local given, out, left = {}, {}, { last = state.last }
  for _, id in ipairs(state.ids or {}) do given[id] = true end
  for i, item in ipairs(list) do
    local key = key_of(item)
    local before = state.last and key and (math.tointeger(tonumber(key)) or math.huge) <= state.last
    if key and given[key] then given[key] = nil
    elseif i > (state.n or 0) and not before then out[#out + 1] = item end
  end
  if state.n and state.n > #list then left.n = state.n - #list end
  for _, id in ipairs(state.ids or {}) do
    if given[id] then
      left.ids = left.ids or {}
      table.insert(left.ids, id)
    end
  end
  return out, left
end

-- Whether a page is in the order of its ids: enough of them not to be so by chance.
local function grows(items, from)
  for _, item in ipairs(items) do
    local number = math.tointeger(tonumber(key_of(item)))
    if not number or number <= from then return false end
    from = number
  end
  return #items >= 8
end

---The state after the first `at` items of a page: HubSpot's cursor of the page, and what of it was given out. Where
---ids grow, the last one says it; else all of them; things without an id are counted.
---@param state {after: string|nil, last: integer|nil, ids: string[]|nil, n: integer|nil}
---@param items table[]
---@param at integer
function iterator.after_resume(state, items, at)
  local ids = table.move(state.ids or {}, 1, #(state.ids or {}), 1, {})
  if #ids == 0 and grows(items, state.last or -1) then
    return { after = state.after, last = math.tointeger(tonumber(key_of(items[at]))) }
  end
  for i = 1, at do
    local key = key_of(items[i])
    if not key then return { after = state.after, n = (state.n or 0) + at } end
    ids[#ids + 1] = key
  end
  return { after = state.after, last = state.last, ids = ids }
end

---An iterator over pages with HubSpot's `after`: fetch(after) gives a list and the next cursor.
---@param fetch fun(after: string|nil): table[], string|nil
---@param options {name: string|nil, of: any, cursor: string|nil}|nil without a name it has no cursor
function iterator.pages(fetch, options)
  options = options or {}
  local source = {
    name = options.name, of = options.of, resume = iterator.after_resume,
    fetch = function(state)
      local list, after = fetch(state.after)
      local given, left = iterator.rest(state, list)
      left.after = after
      return given, after and left or nil
    end,
  }
  return iterator.new(source, iterator.start(source, options.cursor))
end

---What a call's `after` or `cursor` says; raises when both are given.
---@param options table
---@param level integer
---@return string|nil
function iterator.cursor_option(options, level)
  if options.after ~= nil and options.cursor ~= nil then error("give after or cursor, not both", level + 1) end
  if options.after ~= nil then return options.after end
  return options.cursor
end

return iterator
