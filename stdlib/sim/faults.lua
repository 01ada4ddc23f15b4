-- What goes wrong, on demand. One vocabulary for the command line (--fault "status=503 times=3"), the control
-- API (/_sim/fail) and tests (sim.fail{ status = 503, times = 3 }):
--
--   which calls   method, path (a part of it), share (0 to 1), times (1; 0: always; also always with share or during),
--                 after, during ("5m": from then on, for so long)
--   an answer     status, with policy (of a 429), retry_after (seconds), category, message, html = true (a gateway's page;
--                 the usual for 520 to 526), bare = true (no headers and no body)
--   its way       latency_ms (80, "20..200", or "p50:80,p99:900", the percentiles of a lognormal), trickle_ms (the body in
--                 pieces over that time), truncate = true (half of it, as if it were whole),
--                 drop = true ("before" anything is done), "after" it was done, "half" (in the middle of the answer)
--   the token     token = "expired", "deactivated" or "revoked": that of the call, before it is looked at
--   webhooks      webhook = "lost", "doubled", "reordered" (held back for latency_ms, "0..5000"), "unheard" (the answer is
--                 lost, so HubSpot sends again), with type ("contact.creation")
--   the budget    foreign = calls a second that another program makes: with the same token, or with policy = "SECONDLY"
--                 searches, with policy = "DAILY" those of another app
local U = require "sim.util"
local E = require "sim.errors"
local json = json

local Q = {}

-- ---- delays ----

-- The share of a normal distribution below z (Abramowitz and Stegun, 7.1.26).
local function below(z)
  local x = math.abs(z) / math.sqrt(2)
  local t = 1 / (1 + 0.3275911 * x)
  local tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * math.exp(-x * x)
  return z < 0 and tail / 2 or 1 - tail / 2
end

-- The z below which a share p lies.
local function quantile(p)
  local low, high = -5, 5
  for _ = 1, 50 do
    local mid = (low + high) / 2
    if below(mid) < p then low = mid else high = mid end
  end
  return (low + high) / 2
end

-- A lognormal through points { z, ln ms }; of more than two, the pieces between them.
local function lognormal(points)
  return function(R)
    local z = math.sqrt(-2 * math.log(1 - R.float())) * math.cos(2 * math.pi * R.float())
    local i = 1
    while i < #points - 1 and z > points[i + 1][1] do i = i + 1 end
    local a, b = points[i], points[i + 1]
    return math.exp(a[2] + (z - a[1]) * (b[2] - a[2]) / (b[1] - a[1]))
  end
end

local MOST_MS = 600000

local function percentiles(text)
  local points = {}
  for item in text:gmatch("[^,]+") do
    local p, ms = item:match("^p(%d+%.?%d*):(%d+%.?%d*)$")
    p, ms = tonumber(p), tonumber(ms)
    if not p or p <= 0 or p >= 100 or ms <= 0 or ms > MOST_MS then return nil end
    points[#points + 1] = { quantile(p / 100), math.log(ms) }
  end
  for i = 2, #points do
    if points[i][1] <= points[i - 1][1] or points[i][2] < points[i - 1][2] then return nil end
  end
  return #points >= 2 and points or nil
end

---A delay to draw from: a function of a random source that gives milliseconds, or nil when `v` is none.
---@param v number|string 80, "20..200" or "p50:80,p99:900"
function Q.delay(v)
  local fixed = tonumber(v)
  if fixed then return fixed >= 0 and fixed <= MOST_MS and function() return fixed end or nil end
  if type(v) ~= "string" then return nil end
  local low, high = v:match("^(%d+)%.%.(%d+)$")
  low, high = tonumber(low), tonumber(high)
  if low then return low <= high and high <= MOST_MS and function(R) return R.int(low, high) end or nil end
  local points = percentiles(v)
  if not points then return nil end
  local draw = lognormal(points)
  return function(R) return math.min(MOST_MS, math.floor(draw(R) + 0.5)) end
end

Q.DELAYS = 'milliseconds (at most 600000), "20..200", or percentiles such as "p50:80,p99:900"'

-- ---- reading a fault ----

local function one_of(...)
  local names = { ... }
  local known = {}
  for _, name in ipairs(names) do known[name] = true end
  return function(v) return known[v] and v or nil end, table.concat(names, ", ")
end

local function text(v) return type(v) == "string" and v ~= "" and v or nil end
local function truth(v) return (v == true or v == "true") and true or nil end
local function whole(low, high)
  return function(v)
    v = math.tointeger(tonumber(v))
    return v and v >= low and v <= high and v or nil
  end
end

-- Milliseconds of "90s", "15m" or seconds.
local function duration(v)
  local n = tonumber(v)
  if n then return n >= 0 and math.floor(n * 1000) or nil end
  local number, unit = tostring(v):match("^(%d+%.?%d*)(%l+)$")
  local of = { ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000 }
  return number and of[unit] and math.floor(tonumber(number) * of[unit]) or nil
end

-- field -> { reads a value or gives nil, what it takes }
local FIELDS = {
  method = { function(v) return text(v) and v:upper() end, "a method such as POST" },
  path = { text, "a part of a path" },
  type = { text, "an event type such as contact.creation" },
  share = { function(v)
    v = tonumber(v)
    return v and v > 0 and v <= 1 and v or nil
  end, "a number above 0, at most 1" },
  times = { whole(0, 1 << 31), "a whole number; 0: always" },
  after = { duration, 'a duration such as "5m"' },
  during = { duration, 'a duration such as "5m"' },
  status = { whole(200, 599), "a status such as 503" },
  policy = { one_of("TEN_SECONDLY_ROLLING", "SECONDLY", "DAILY") },
  retry_after = { whole(0, 86400), "seconds" },
  category = { text, "a text" },
  message = { text, "a text" },
  html = { truth, "true" },
  bare = { truth, "true" },
  truncate = { truth, "true" },
  latency_ms = { function(v) return Q.delay(v) and v end, Q.DELAYS },
  trickle_ms = { whole(1, 60000), "milliseconds, at most 60000" },
  drop = { function(v)
    if truth(v) then return "before" end
    return (v == "before" or v == "after" or v == "half") and v or nil
  end, "true, before, after or half" },
  token = { one_of("expired", "deactivated", "revoked") },
  webhook = { one_of("lost", "doubled", "reordered", "unheard") },
  foreign = { function(v)
    v = tonumber(v)
    return v and v > 0 and v <= 10000 and v or nil
  end, "calls a second" },
}

---The fields of a fault that is written as a text: status=503 times=3 message="two words".
local function parse(spec)
  local out, at = {}, 1
  while true do
    at = spec:find("%S", at)
    if not at then return out end
    local name, stop = spec:match("^([%a_]+)=()", at)
    if not name then error(("a fault is written like \"status=503 times=3\"; this is not: %s"):format(spec:sub(at)), 0) end
    local value, after = spec:match('^"([^"]*)"()', stop)
    if not value then value, after = spec:match("^([^%s\"]*)()", stop) end
    if spec:find("^%S", after) then error("a fault's quotation marks do not fit: " .. spec:sub(at), 0) end
    if out[name] then error(name .. " is given twice", 0) end
    out[name], at = value, after
  end
end

local ANSWERS = { "status", "html", "bare", "policy" }
local EFFECTS = { "status", "policy", "html", "bare", "latency_ms", "trickle_ms", "truncate", "drop", "token" }

local function first_of(f, names)
  for _, name in ipairs(names) do
    if f[name] ~= nil then return name end
  end
end

-- What is said twice, or goes with nothing, is not what was meant.
local function contradiction(f)
  local effect = first_of(f, EFFECTS)
  if f.webhook or f.foreign then
    local kind = f.webhook and "webhook" or "foreign"
    local allowed = f.webhook and { type = true, latency_ms = f.webhook == "reordered", share = true, times = true }
      or { policy = true }
    for _, name in ipairs(U.keys(f)) do
      if name ~= kind and name ~= "after" and name ~= "during" and not allowed[name] then
        return kind .. " does not go with " .. name
      end
    end
    return
  end
  if not effect then
    return "say what happens: status, policy, html, bare, latency_ms, trickle_ms, truncate, drop, token, webhook or foreign"
  end
  if f.type then return "type is for webhooks: it goes with webhook" end
  if f.policy and (f.status or 429) ~= 429 then return "policy is for status 429" end
  if f.status and f.status < 400 and not f.html then return "a status below 400 goes with html only" end
  local answered = first_of(f, ANSWERS)
  if (f.retry_after or f.category or f.message) and not (f.status or f.policy) then
    return first_of(f, { "retry_after", "category", "message" }) .. " needs status"
  end
  if answered and f.token then return "token does not go with " .. answered end
  if f.drop == "before" and (answered or f.truncate or f.trickle_ms) then
    return "drop leaves no answer: it does not go with " .. first_of(f, { "status", "html", "bare", "policy", "truncate", "trickle_ms" })
  end
  if f.drop and f.truncate then return "drop does not go with truncate" end
end

---Reads a fault: a table of fields, or a text. Raises one line that says what is wrong.
---@param spec table|string
function Q.read(spec)
  if type(spec) == "string" then spec = parse(spec) end
  local given, f = {}, {}
  for name, v in pairs(spec) do
    if name ~= "match" then given[name] = v end
  end
  for name, v in pairs(type(spec.match) == "table" and spec.match or {}) do given[name] = v end   -- as it was written first
  for _, name in ipairs(U.keys(given)) do
    local field = FIELDS[name]
    if not field then error("no field " .. tostring(name) .. "; there are: " .. table.concat(U.keys(FIELDS), ", "), 0) end
    local v = given[name]
    if v ~= json.null and v ~= false then
      local value = field[1](v)
      if value == nil then error(("%s takes %s, not %s"):format(name, field[2], json.encode(v)), 0) end
      f[name] = value
    end
  end
  local wrong = contradiction(f)
  if wrong then error(wrong, 0) end
  return f
end

---Adds a fault. `left` of it are still to come.
function Q.add(S, spec)
  local f = Q.read(spec)
  local endless = f.times == 0 or f.times == nil and (f.share or f.during or f.foreign)
  f.left = endless and math.huge or f.times or 1
  f.from = S.host.now() + (f.after or 0)
  f.to = f.during and f.from + f.during or math.huge
  if f.status == nil and f.policy and not f.foreign then f.status = 429 end
  if f.status == nil and (f.html or f.bare) then f.status = 502 end
  if f.status and f.status >= 520 and f.status <= 526 then f.html = true end
  f.delay = Q.delay(f.latency_ms or f.webhook and "0..5000" or 0)
  S.faults[#S.faults + 1] = f
  return f
end

---Ends all faults.
function Q.clear(S) S.faults = {} end

function Q.attach(S)
  S.faults = {}
  local list = S.options.faults or {}
  if type(list) ~= "table" then error("sim: faults: a list of faults", 0) end
  for _, spec in ipairs(list) do
    local ok, why = pcall(Q.add, S, spec)
    if not ok then error("sim: fault: " .. tostring(why), 0) end
  end
end

-- ---- which one it is ----

-- A fault that is on now; those that are over go.
local function on(S, i, now)
  local f = S.faults[i]
  if f.left <= 0 or now >= f.to then
    table.remove(S.faults, i)
    return nil
  end
  return f
end

local function uses_up(S, f)
  if f.share and not S.rng.chance(f.share) then return false end
  f.left = f.left - 1
  return true
end

---What happens to a request: delays add up, of what comes instead of the answer the first counts. nil: nothing.
function Q.pick(S, req)
  if #S.faults == 0 then return nil end
  local out, now = nil, S.host.now()
  for i = #S.faults, 1, -1 do on(S, i, now) end
  for _, f in ipairs(S.faults) do
    local delays_only = not (f.status or f.drop or f.truncate or f.token)
    if not f.webhook and not f.foreign and now >= f.from and (delays_only or not (out and out.first))
        and (not f.method or f.method == req.method) and (not f.path or req.path:find(f.path, 1, true)) and uses_up(S, f) then
      out = out or { wait = 0 }
      out.wait = out.wait + f.delay(S.rng)
      out.trickle_ms = out.trickle_ms or f.trickle_ms
      if not delays_only then out.first = f end
    end
  end
  return out
end

---The fault that meets a webhook event, or nil.
function Q.webhook(S, event)
  if #S.faults == 0 then return nil end
  local now = S.host.now()
  for i = #S.faults, 1, -1 do on(S, i, now) end
  for _, f in ipairs(S.faults) do
    if f.webhook and now >= f.from and (not f.type or f.type == event.subscriptionType) and uses_up(S, f) then return f end
  end
end

-- ---- what is answered ----

local TEXTS = {
  [400] = { "VALIDATION_ERROR", "Invalid input" }, [401] = { "INVALID_AUTHENTICATION", "Authentication credentials not found." },
  [403] = { "MISSING_SCOPES", "This app hasn't been granted all required scopes to make this call." },
  [404] = { "OBJECT_NOT_FOUND", "resource not found" }, [409] = { "CONFLICT", "The request conflicts with another one" },
  [414] = { "URI_TOO_LONG", "URI Too Long" },
  [423] = { "LOCKED", "The resource is locked; try again in a moment" }, [477] = { "MIGRATION_IN_PROGRESS", "The account is being moved" },
  [500] = { "INTERNAL_ERROR", "internal error" }, [502] = { "BAD_GATEWAY", "bad gateway" },
  [503] = { "SERVICE_UNAVAILABLE", "service unavailable" }, [504] = { "GATEWAY_TIMEOUT", "gateway timeout" },
}

-- What the network before HubSpot says on its pages.
local PAGES = { [502] = "Bad gateway", [503] = "Service Temporarily Unavailable", [504] = "Gateway time-out",
  [520] = "Web server is returning an unknown error", [521] = "Web server is down", [522] = "Connection timed out",
  [523] = "Origin is unreachable", [524] = "A timeout occurred", [525] = "SSL handshake failed", [526] = "Invalid SSL certificate" }

---Status, headers and body of fault `f`.
function Q.answer(S, f)
  if f.bare then return f.status, {}, "" end
  local headers = { ["Content-Type"] = "application/json;charset=utf-8" }
  if f.status == 429 then headers = S.budgets.refused(S, f.policy or "TEN_SECONDLY_ROLLING") end
  local again = f.retry_after or f.status == 477 and 10   -- promised on 477 alone (FACTS 3)
  if again then headers["Retry-After"] = tostring(again) end
  if f.html then
    headers["Content-Type"] = "text/html; charset=UTF-8"
    local title = PAGES[f.status] or "Error"
    return f.status, headers, ("<!DOCTYPE html>\n<html>\n<head><title>api.hubapi.com | %d: %s</title></head>\n<body>\n<h1>%s</h1>\n" ..
      "<p>Error code %d</p>\n</body>\n</html>\n"):format(f.status, title, title, f.status)
  end
  local e
  if f.status == 429 then
    e = E.rate_limit(f.policy or "TEN_SECONDLY_ROLLING")
    e.category, e.message = f.category or e.category, f.message or e.message
  else
    local words = TEXTS[f.status] or { "ERROR", "error " .. f.status }
    e = E.new(f.status, f.category or words[1], f.message or words[2])
  end
  return f.status, headers, E.body(S, e)
end

---@param header string|nil Authorization
function Q.end_token(S, what, header)
  local token = header and header:match("^[Bb]earer%s+(%S+)%s*$")
  if not token or not S.tokens[token] then return end
  local names = { expired = "expire_token", deactivated = "deactivate_token", revoked = "revoke_token" }
  S:control(names[what], { token = token })
end

---The faults that are left, for `faults`.
function Q.list(S)
  local out, now = {}, S.host.now()
  for i = #S.faults, 1, -1 do on(S, i, now) end
  for i, f in ipairs(S.faults) do
    local shown = {}
    for name in pairs(FIELDS) do shown[name] = f[name] end
    shown.times = f.left ~= math.huge and f.left or 0
    out[i] = shown
  end
  return { faults = json.array(out) }
end

return Q
