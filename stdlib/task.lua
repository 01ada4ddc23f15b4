--- Concurrency. A task's children end with it: what is still running when a task ends is
--- cancelled (only a script's main task waits for the children it has spawned).
local _, host = ...
local core = host.task

local task = {}

--- Starts fn(...) as a child of this task, at the end of this turn. If it raises and nobody
--- waits for it, this task fails with its error.
---@param fn function
---@return table handle `:wait()` gives fn's results or raises its error, `:cancel()` ends it, `:done()`
task.spawn = core.spawn

--- Waits. Durations are `"15m"`, `"4h"`, `"2d"` or seconds.
---@param duration string|number
task.sleep = core.sleep

local function check_list(name, list)
  if type(list) ~= "table" then
    error(("task.%s needs a list of functions, got %s"):format(name, type(list)), 3)
  end
  for i = 1, #list do
    if type(list[i]) ~= "function" then
      error(("task.%s: item %d is a %s, not a function"):format(name, i, type(list[i])), 3)
    end
  end
  return #list
end

--- Runs the functions concurrently. The first error ends the others and is raised.
---@param list function[]
---@return table results the first result of each, in the order of the list
function task.all(list)
  local n = check_list("all", list)
  local results = {}
  local group <close> = core.group()
  for i = 1, n do group:start(i, nil, list[i]) end
  for _ = 1, n do
    local i, ok, value = group:take()
    if not ok then error(value, 0) end
    results[i] = value
  end
  return results
end

local function finish(_, ok, ...)
  if not ok then error((...), 0) end
  return ...
end

--- Runs the functions concurrently until the first of them ends; the others are cancelled.
---@param list function[]
---@return any ... its results (its error is raised)
function task.race(list)
  local n = check_list("race", list)
  if n == 0 then error("task.race needs at least one function", 2) end
  local group <close> = core.group()
  for i = 1, n do group:start(i, nil, list[i]) end
  return finish(group:take())
end

--- Runs fn(...) for at most `duration`; then it is cancelled and an error of kind "timeout" is raised.
---@param duration string|number
---@param fn function
---@return any ... fn's results
function task.timeout(duration, fn, ...)
  if type(fn) ~= "function" then
    error("task.timeout needs a duration and a function, got " .. type(fn), 2)
  end
  local said = core.duration_error(duration)
  if said then error("task.timeout: " .. said, 2) end
  local group <close> = core.group()
  group:start(1, duration, fn, ...)
  return finish(group:take())
end

--- Calls fn(item, index) for each item, at most `concurrency` (default 10) at a time.
--- The first error ends the others and is raised.
---@param list any[]
---@param fn function
---@param options? {concurrency:integer}
---@return table results in the order of the list
function task.map(list, fn, options)
  if type(list) ~= "table" then error("task.map needs a list, got " .. type(list), 2) end
  if type(fn) ~= "function" then error("task.map needs a function, got " .. type(fn), 2) end
  local width = options and options.concurrency or 10
  if math.type(width) ~= "integer" or width < 1 then
    error("task.map: concurrency is a whole number of 1 or more", 2)
  end
  local n, started = #list, 0
  local results = {}
  local group <close> = core.group()
  local function start()
    started = started + 1
    group:start(started, nil, fn, list[started], started)
  end
  while started < n and started < width do start() end
  for _ = 1, n do
    local i, ok, value = group:take()
    if not ok then error(value, 0) end
    results[i] = value
    if started < n then start() end
  end
  return results
end

-- A queue of parked tasks. What is handed to a waiter that is cancelled before it runs goes to
-- the next one (`refuse`).
local queue = {}
queue.__index = queue

local function new_queue()
  return setmetatable({ first = 1, last = 0 }, queue)
end

local entry_mt = {
  __close = function(entry)
    if entry.taken then return end
    entry.dead = true
    if entry.given then entry.refuse(entry) end
  end,
}

function queue:wait(refuse, value)
  local entry <close> = setmetatable({ cell = core.cell(), refuse = refuse, value = value }, entry_mt)
  self.last = self.last + 1
  self[self.last] = entry
  entry.cell:park()
  entry.taken = true
  return entry
end

function queue:pop()
  while self.first <= self.last do
    local entry = self[self.first]
    self[self.first] = nil
    self.first = self.first + 1
    if not entry.dead then return entry end
  end
end

local function give(entry)
  entry.given = true
  entry.cell:wake()
end

local semaphore = {}
semaphore.__index = semaphore

--- At most `n` holders at a time, in the order of asking.
---@param n integer
---@return table semaphore `:acquire()` (waits), `:release()`, `:with(fn, ...)`
function task.semaphore(n)
  if math.type(n) ~= "integer" or n < 1 then error("task.semaphore needs a whole number of 1 or more", 2) end
  return setmetatable({ free = n, size = n, waiting = new_queue() }, semaphore)
end

function semaphore:acquire()
  if self.free > 0 then
    self.free = self.free - 1
    return
  end
  self.waiting:wait(function() self:release() end)
end

function semaphore:release()
  local entry = self.waiting:pop()
  if entry then return give(entry) end
  if self.free == self.size then error("semaphore released more often than acquired", 2) end
  self.free = self.free + 1
end

local release_mt = { __close = function(held) held[1]:release() end }

--- Runs fn(...) while holding; releases also when fn raises or the task is cancelled.
function semaphore:with(fn, ...)
  self:acquire()
  local held <close> = setmetatable({ self }, release_mt) -- luacheck: ignore
  local results = table.pack(fn(...))
  return table.unpack(results, 1, results.n)
end

local channel = {}
channel.__index = channel

--- A queue between tasks that holds up to `n` values (default 0: a sender waits for its receiver).
---@param n? integer
---@return table channel `:send(v)` and `:receive()` wait; `:close()`; `for v in ch:each()`
function task.channel(n)
  n = n or 0
  if math.type(n) ~= "integer" or n < 0 then error("task.channel needs a whole number of 0 or more", 2) end
  return setmetatable({
    size = n, first = 1, last = 0, values = {}, senders = new_queue(), receivers = new_queue(),
  }, channel)
end

local function channel_push(self, value)
  self.last = self.last + 1
  self.values[self.last] = value
end

-- A receiver that was given a value and cancelled puts it back at the front.
local function take_back(self, entry)
  local other = self.receivers:pop()
  if other then
    other.value = entry.value
    return give(other)
  end
  self.first = self.first - 1
  self.values[self.first] = entry.value
end

--- Waits while the channel is full. nil cannot be sent.
function channel:send(value)
  if value == nil then error("a channel carries no nil", 2) end
  if self.closed then error("the channel is closed", 2) end
  local receiver = self.receivers:pop()
  if receiver then
    receiver.value = value
    return give(receiver)
  end
  if self.last - self.first + 1 < self.size then return channel_push(self, value) end
  local entry = self.senders:wait(function() end, value)
  if entry.refused then error("the channel is closed", 2) end
end

--- Waits for a value; nil when the channel is closed and empty.
function channel:receive()
  if self.first <= self.last then
    local value = self.values[self.first]
    self.values[self.first] = nil
    self.first = self.first + 1
    local sender = self.senders:pop()
    if sender then
      channel_push(self, sender.value)
      give(sender)
    end
    return value
  end
  local sender = self.senders:pop()
  if sender then
    give(sender)
    return sender.value
  end
  if self.closed then return nil end
  return self.receivers:wait(function(entry)
    if entry.value ~= nil then take_back(self, entry) end
  end).value
end

--- No more values come: waiting receivers get nil, waiting senders an error.
function channel:close()
  if self.closed then return end
  self.closed = true
  for entry in function() return self.receivers:pop() end do give(entry) end
  for entry in function() return self.senders:pop() end do
    entry.refused = true
    give(entry)
  end
end

function channel:each()
  return function() return self:receive() end
end

return task
