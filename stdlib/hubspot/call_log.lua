--- hubspot.call_log: the API call log, for scripts. See hubspot.lua for the whole picture.
local _, host = ...

---@class hubspot.logged_call
---@field at integer epoch ms, when it had ended
---@field script string|nil the script's name; nil with `gap`
---@field account string
---@field class string "live", "normal" or "bulk"
---@field method string
---@field path string of the request it travelled in, without query
---@field shape string the path with {id} in place of ids
---@field id string|nil of the record, where that says nothing of a person
---@field status integer|nil nil: no answer
---@field wait integer ms until it was sent first
---@field latency integer ms until the answer to its last sending
---@field total integer ms from asking to the end
---@field attempts integer how often it was sent
---@field limited integer how often that was answered with 429
---@field request string|nil the same for calls that shared a request
---@field batch integer calls that shared it
---@field correlation_id string|nil
---@field error {kind: string, category: string|nil, message: string|nil}|nil nil: it ended well
---@field gap integer|nil so many calls are missing here; there is nothing else then

-- When it begins, in epoch ms; nil when it is none.
local function instant(since)
  if since == nil then return 0 end
  if math.type(since) == "integer" then return since end
  local ok, ago = pcall(time.duration, since)
  if ok then return time.now() - ago end
  local fine, ms = pcall(time.parse, since)
  return fine and ms or nil
end

local function entry(line)
  local ok, call = pcall(json.decode, line)
  local fine, at = pcall(time.parse, ok and type(call) == "table" and call.time or "")
  if not fine then return nil end                          -- a line that was cut off
  call.at, call.time, call.sent, call.answer = at, nil, nil, nil
  if call.gap then return call end
  call.shape, call.limited = host.call_shape(call.path or ""), call.limited or 0
  return call
end

---@param options {since: string|integer|nil}|nil
---@return fun(): hubspot.logged_call|nil or nil and what is wrong with the options
return function(options)
  options = options or {}
  if type(options) ~= "table" then return nil, 'call_log: expects a table, such as { since = "7d" }' end
  for name in pairs(options) do
    if name ~= "since" then return nil, ('call_log has no option "%s"; there is: since'):format(tostring(name)) end
  end
  local since = instant(options.since)
  if not since then
    return nil, ('call_log: since is a duration such as "7d", an ISO time or epoch milliseconds, not %s'):format(tostring(options.since))
  end
  local reader = host.call_log(since)
  local next_line = function() end
  return function()
    while reader do
      for line in next_line do
        local call = entry(line)
        if call and call.at >= since then return call end
      end
      local lines = host.call_lines(reader)
      if not lines then reader = nil else next_line = lines:gmatch "[^\n]+" end
    end
  end
end
