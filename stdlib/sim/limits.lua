-- The three limits and their headers (FACTS 3): a rolling window of 10 seconds for
-- each app, search per second and the day for the account. A refused request does
-- not count. Search stands outside the 10-second window and carries no headers.
local U = require "sim.util"
local E = require "sim.errors"

local M = {}

-- requests in 10 s, requests a day
M.TIERS = {
  free = { 100, 250000 }, starter = { 100, 250000 }, professional = { 190, 625000 }, enterprise = { 190, 1000000 },
  unlimited = { 1 << 40, 1 << 40 },
}

---A rolling window: at most `max` in any `span` milliseconds.
local function window(max, span) return { max = max, span = span, times = {}, head = 1, tail = 0 } end

-- Drops what is older than the window and returns how many are left in it.
local function used(w, now)
  local head, tail, times = w.head, w.tail, w.times
  local edge = now - w.span
  while head <= tail and times[head] <= edge do
    times[head] = nil
    head = head + 1
  end
  w.head = head
  return tail - head + 1
end

local function take(w, now)
  w.tail = w.tail + 1
  w.times[w.tail] = now
end

function M.attach(S)
  local o = S.options
  local tier = M.TIERS[o.tier or "professional"]
  if not tier then
    error("sim: unknown tier '" .. tostring(o.tier) .. "' (" .. table.concat(U.keys(M.TIERS), ", ") .. ")", 0)
  end
  S.limit, S.daily = o.rate_limit or tier[1], o.daily_limit or tier[2]
  S.search_limit = o.search_limit or (o.tier == "unlimited" and 1 << 40 or 5)
  S.window_ms = 10000
  S.search_window = window(S.search_limit, 1000)
  S.day, S.day_used = U.midnight(S.host.now()), 0
  S.unlimited = o.tier == "unlimited"
end

---Counts a request of `token`; raises 429. Returns the answer's limit headers, nil for search.
function M.admit(S, token, searching)
  local now = S.host.now()
  local today = U.midnight(now)
  if today ~= S.day then S.day, S.day_used = today, 0 end
  if S.day_used >= S.daily then error(E.rate_limit("DAILY"), 0) end
  if searching then
    if not S.unlimited then
      local w = S.search_window
      if used(w, now) >= w.max then error(E.rate_limit("SECONDLY"), 0) end
      take(w, now)
    end
    S.day_used = S.day_used + 1
    return nil
  end
  local w = token.window
  if not w then
    w = window(S.limit, S.window_ms)
    token.window = w
  end
  local left = w.max
  if not S.unlimited then
    local n = used(w, now)
    if n >= w.max then
      local e = E.rate_limit("TEN_SECONDLY_ROLLING")
      e.headers = M.headers(S, w, 0)
      error(e, 0)
    end
    take(w, now)
    left = w.max - n - 1
  end
  S.day_used = S.day_used + 1
  return M.headers(S, w, left)
end

function M.headers(S, w, left)
  return {
    ["Content-Type"] = "application/json;charset=utf-8",
    ["X-HubSpot-RateLimit-Max"] = tostring(w.max),
    ["X-HubSpot-RateLimit-Remaining"] = tostring(left),
    ["X-HubSpot-RateLimit-Interval-Milliseconds"] = tostring(S.window_ms),
    ["X-HubSpot-RateLimit-Daily"] = tostring(S.daily),
    ["X-HubSpot-RateLimit-Daily-Remaining"] = tostring(S.daily - S.day_used),
  }
end

return M
