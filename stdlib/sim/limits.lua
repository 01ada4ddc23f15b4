-- The three limits and their headers (FACTS 3): a rolling window of 10 seconds for
-- each app, search per second and the day for the account. The day ends at midnight
-- in the account's time zone and counts the private apps, not OAuth apps, which have
-- 110 calls of 10 seconds each and no daily headers. A refused request does not
-- count. Search stands outside the 10-second window and carries no headers. The
-- webhooks journal has limits per second of its own, for each app.
local U = require "sim.util"
local E = require "sim.errors"
local time = time

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

local OAUTH_LIMIT = 110

-- The end of the day that holds `now`.
local function day_end(S, now)
  local c = time.civil(now, S.time_zone)
  return time.instant({ year = c.year, month = c.month, day = c.day + 1 }, S.time_zone)
end

function M.attach(S)
  local o = S.options
  local tier = M.TIERS[o.tier or "professional"]
  if not tier then
    error("sim: unknown tier '" .. tostring(o.tier) .. "' (" .. table.concat(U.keys(M.TIERS), ", ") .. ")", 0)
  end
  S.unlimited = o.tier == "unlimited"
  S.limit, S.daily = o.rate_limit or tier[1], o.daily_limit or tier[2]
  S.oauth_limit = o.rate_limit or S.unlimited and tier[1] or OAUTH_LIMIT
  S.search_limit = o.search_limit or (S.unlimited and 1 << 40 or 5)
  S.window_ms = 10000
  S.windows = {} -- by app
  S.search_window = window(S.search_limit, 1000)
  S.time_zone = o.time_zone or "UTC"
  local known, ends = pcall(day_end, S, S.host.now())
  if not known then error("sim: time_zone: " .. tostring(ends.message or ends), 0) end
  S.day_ends, S.day_used = ends, 0
end

---Counts a request of `token`; raises 429. Returns the answer's limit headers, nil for search.
function M.admit(S, token, searching)
  local now = S.host.now()
  if now >= S.day_ends then S.day_ends, S.day_used = day_end(S, now), 0 end
  local oauth = token.kind == "oauth"
  if not oauth and S.day_used >= S.daily then error(E.rate_limit("DAILY"), 0) end
  if searching then
    if not S.unlimited then
      local w = S.search_window
      if used(w, now) >= w.max then error(E.rate_limit("SECONDLY"), 0) end
      take(w, now)
    end
    if not oauth then S.day_used = S.day_used + 1 end
    return nil
  end
  local w = S.windows[token.app_id]
  if not w then
    w = window(oauth and S.oauth_limit or S.limit, S.window_ms)
    S.windows[token.app_id] = w
  end
  local left = w.max
  if not S.unlimited then
    local n = used(w, now)
    if n >= w.max then
      local e = E.rate_limit("TEN_SECONDLY_ROLLING")
      e.headers = M.headers(S, w, 0, oauth)
      error(e, 0)
    end
    take(w, now)
    left = w.max - n - 1
  end
  if not oauth then S.day_used = S.day_used + 1 end
  return M.headers(S, w, left, oauth)
end

local JOURNAL = { subscriptions = 50, snapshots = 10 }   -- others: 100

---Counts a request to the webhooks journal; raises 429.
function M.admit_journal(S, token, room)
  local max = JOURNAL[room] or 100
  local name = token.app_id .. "/" .. max
  local w, now = S.windows[name], S.host.now()
  if S.unlimited then return end
  if not w then
    w = window(max, 1000)
    S.windows[name] = w
  end
  if used(w, now) >= w.max then
    local e = E.rate_limit("SECONDLY")
    e.headers = { ["Content-Type"] = "application/json;charset=utf-8", ["Retry-After"] = "1" }
    error(e, 0)
  end
  take(w, now)
end

function M.headers(S, w, left, oauth)
  local headers = {
    ["Content-Type"] = "application/json;charset=utf-8",
    ["X-HubSpot-RateLimit-Max"] = tostring(w.max),
    ["X-HubSpot-RateLimit-Remaining"] = tostring(left),
    ["X-HubSpot-RateLimit-Interval-Milliseconds"] = tostring(S.window_ms),
  }
  if not oauth then
    headers["X-HubSpot-RateLimit-Daily"] = tostring(S.daily)
    headers["X-HubSpot-RateLimit-Daily-Remaining"] = tostring(S.daily - S.day_used)
  end
  return headers
end

return M
