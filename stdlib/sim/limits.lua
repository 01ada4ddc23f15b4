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
local function window(max, span) return { max = max, span = span, times = {}, head = 1, tail = 0, done = {} } end

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

-- ---- other programs that use the same budget (fault `foreign`) ----

-- How many calls a foreign program has made until `now`.
local function made(f, now) return now < f.from and 0 or math.floor((math.min(now, f.to) - f.from) * f.foreign / 1000) end

-- The calls of others since the last look, in the order of their times: those that found room are in the window.
local function share_window(S, w, policy, now)
  local due
  for _, f in ipairs(S.faults) do
    if f.foreign and (f.policy or "TEN_SECONDLY_ROLLING") == policy then
      local n = made(f, now)
      local first = math.max((w.done[f] or 0) + 1, n - math.ceil(f.foreign * w.span / 1000))   -- older ones have left the window
      w.done[f] = n
      due = due or {}
      for k = first, n do due[#due + 1] = f.from + math.floor(k * 1000 / f.foreign) end
    end
  end
  if not due then return end
  table.sort(due)
  for _, at in ipairs(due) do
    if used(w, at) < w.max then take(w, at) end
  end
end

-- The same of the day; what a full window refuses does not count.
local function share_day(S, now)
  for _, f in ipairs(S.faults) do
    if f.foreign and f.policy ~= "SECONDLY" then
      local n = made(f, now)
      local fits = f.policy == "DAILY" and 1 or math.min(1, S.limit * 1000 / S.window_ms / f.foreign)
      S.day_used = math.min(S.daily, S.day_used + math.floor((n - (f.day_done or 0)) * fits))
      f.day_done = n
    end
  end
end

local function turn_day(S, now)
  if now >= S.day_ends then
    local began = S.day_ends
    S.day_ends, S.day_used = day_end(S, now), 0
    for _, f in ipairs(S.faults) do
      if f.foreign then f.day_done = made(f, math.max(began, S.day_ends - 86400000)) end
    end
  end
  share_day(S, now)
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
  turn_day(S, now)
  local oauth = token.kind == "oauth"
  if not oauth and S.day_used >= S.daily then
    local e = E.rate_limit("DAILY")
    e.headers = M.refused(S, "DAILY")
    error(e, 0)
  end
  if searching then
    if not S.unlimited then
      local w = S.search_window
      share_window(S, w, "SECONDLY", now)
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
    if not oauth then share_window(S, w, "TEN_SECONDLY_ROLLING", now) end
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

---The headers of a 429 of `policy` (of the account's own app): those of search tell nothing.
function M.refused(S, policy)
  if policy == "SECONDLY" then return { ["Content-Type"] = "application/json;charset=utf-8" } end
  local headers = M.headers(S, { max = S.limit }, policy == "DAILY" and S.limit or 0, false)
  if policy == "DAILY" then headers["X-HubSpot-RateLimit-Daily-Remaining"] = "0" end
  return headers
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
