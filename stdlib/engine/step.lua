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

return step
