--- One load for many callers. `single(fn)` gives a function that runs `fn`; tasks that call it meanwhile wait for
--- that run and share its outcome, an error included, so a failing load is not repeated once for each of them.
--- They all go on in the same turn of the loop, so that what they ask HubSpot next travels together.
---@param fn fun()
---@return fun() load waits; raises what `fn` raised
---@return fun(): boolean running
local function single(fn)
  local run   -- the one that is on: { over = channel, done = boolean, failure = any }

  local function load()
    while run do
      local joined = run
      joined.over:receive()
      if joined.done then
        if joined.failure ~= nil then error(joined.failure, 0) end
        return
      end
      -- Its task was cancelled: the first to wake runs it again.
    end
    local mine = { over = task.channel(), done = false }
    run = mine
    local closing <close> = setmetatable({}, { __close = function()   -- luacheck: ignore
      run = nil
      mine.over:close()
    end })
    local ok, err = pcall(fn)
    mine.done = true
    if not ok then
      mine.failure = err
      error(err, 0)
    end
  end

  return load, function() return run ~= nil end
end

return single
