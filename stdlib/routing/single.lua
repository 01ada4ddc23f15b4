--- One load for many callers. `single(fn)` gives a function that runs `fn`; tasks that call it meanwhile wait for
--- that run and share its outcome, an error included, so a failing load is not repeated once for each of them.
---@param fn fun()
---@return fun() load waits; raises what `fn` raised
---@return fun(): boolean running
local function single(fn)
  local lock = task.semaphore(1)
  local finished, failure, running = 0, nil, false
  local function load()
    local seen = finished
    lock:with(function()
      if finished ~= seen then
        if failure ~= nil then error(failure, 0) end
        return
      end
      running = true
      local ok, err = pcall(fn)
      running = false
      finished = finished + 1
      failure = not ok and err or nil
      if not ok then error(err, 0) end
    end)
  end
  return load, function() return running end
end

return single
