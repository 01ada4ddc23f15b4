--- The driver of `make run`: creates contacts in a running simulator, whose webhooks a running `hubloop serve` turns
--- into routed leads, sends forged and malformed requests in between, and checks and prints what came out.
---
---   local result = require "demo".run(options)      -- waits; result.ok, result.problems
---
--- The command that starts both programs runs it and lets `http` reach their addresses.
local demo = {}

local SECONDS <const> = 50      -- the whole demo takes less than a minute
local TICK <const> = 0.25
local BAD <const> = 24          -- forged and malformed requests
-- What the scripts of the project listen to (hubloop webhooks will apply such a list from their own `on` calls).
local SUBSCRIPTIONS <const> = {
  "contact.creation", "company.creation", "company.deletion", "company.merge", "company.restore",
  { type = "company.propertyChange", property = "domain" }, { type = "company.propertyChange", property = "name" },
  { type = "company.propertyChange", property = "hubspot_owner_id" },
}

---@class demo.options
---@field sim_url string the simulator, no slash at the end
---@field hook_url string where `serve` takes webhooks, as it sees it
---@field status_url string the status of `serve`
---@field contacts integer|nil default 5000
---@field tty boolean|nil draw a bar that moves
---@field columns integer|nil of the terminal, default 80

-- ---------------------------------------------------------------- the two programs

local function decode(response, what)
  if response.status ~= 200 then
    error(("%s answered %d: %s"):format(what, response.status, tostring(response.body):sub(1, 200)), 0)
  end
  return json.decode(response.body)
end

local function control(options, name, args)
  local what = options.sim_url .. "/_sim/" .. name
  return decode(http.request { method = "POST", url = what, json = args or {}, timeout = 30 }, what)
end

local function status(options)
  return decode(http.request { method = "GET", url = options.status_url, timeout = 10 }, options.status_url)
end

-- ---------------------------------------------------------------- requests that must be refused

-- The headers with which the account signs `body` at that time. Only the simulator knows its secret.
local function signed(options, body, at)
  return control(options, "sign", { url = options.hook_url, body = body, at = at }).headers
end

local function plausible_body(n)
  return json.encode { {
    eventId = 900000000 + n, subscriptionId = 1, portalId = 62515, appId = 1, occurredAt = time.now(),
    subscriptionType = "contact.creation", attemptNumber = 0, objectId = 900000000 + n, changeSource = "CRM",
  } }
end

---@type {name: string, status: integer, make: fun(options: demo.options, n: integer): string, table}[]
local refusals = {
  { name = "no signature", status = 401, make = function(_, n)
    return plausible_body(n), { ["Content-Type"] = "application/json" }
  end },
  { name = "signed with another secret", status = 401, make = function(options, n)
    local body, at = plausible_body(n), tostring(time.now())
    return body, {
      ["Content-Type"] = "application/json", ["X-HubSpot-Request-Timestamp"] = at,
      ["X-HubSpot-Signature-v3"] =
        crypto.hmac_sha256(crypto.uuid(), "POST" .. options.hook_url .. body .. at, "base64"),
    }
  end },
  { name = "body changed after signing", status = 401, make = function(options, n)
    return plausible_body(n + 1), signed(options, plausible_body(n))
  end },
  { name = "signed six minutes ago", status = 401, make = function(options, n)
    local body = plausible_body(n)
    return body, signed(options, body, time.now() - 6 * 60 * 1000)
  end },
  { name = "signed, but an object", status = 400, make = function(options)
    local body = '{"subscriptionType":"contact.creation"}'
    return body, signed(options, body)
  end },
  { name = "signed, but cut off", status = 400, make = function(options, n)
    local body = plausible_body(n):sub(1, -20)
    return body, signed(options, body)
  end },
}

local function send_bad(options, run, n)
  local refusal = refusals[(n - 1) % #refusals + 1]
  local body, headers = refusal.make(options, n)
  local response = http.request { method = "POST", url = options.hook_url, headers = headers, body = body, timeout = 10 }
  local kind = refusal.status == 401 and "forged" or "malformed"
  run.bad[kind] = run.bad[kind] + 1
  if response.status ~= refusal.status then
    run.problem("a request (%s) was answered with %d instead of %d", refusal.name, response.status, refusal.status)
  end
end

-- ---------------------------------------------------------------- what the terminal shows

local EIGHTHS <const> = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

--- A bar of `share` (0 to 1) of `width` columns, in eighths of a column.
function demo.bar(share, width)
  local eighths = math.floor(math.max(0, math.min(1, share)) * width * 8 + 0.5)
  local full, rest = eighths // 8, eighths % 8
  return ("█"):rep(full) .. (rest > 0 and EIGHTHS[rest] or ""), full + (rest > 0 and 1 or 0)
end

--- 12345 as "12,345".
function demo.number(n)
  local s = ("%d"):format(n)
  local out = s:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return (out:gsub("^%-,", "-"))
end

local number = demo.number

-- One line that is drawn again in place on a terminal, and now and then elsewhere.
local function progress(options)
  local drawn, last_second = false, -5
  return function(done, total, note, elapsed, final)
    local text = ("%s of %s  %s"):format(number(done), number(total), note)
    if options.tty then
      local width = math.max(8, math.min(40, options.columns - #text - 4))
      local bar, used = demo.bar(total > 0 and done / total or 0, width)
      print((drawn and "\27[1A\27[2K" or "") .. bar .. ("░"):rep(width - used) .. "  " .. text)
      drawn = true
    elseif final or elapsed - last_second >= 5 then
      last_second = elapsed
      print(("%3d s  %s"):format(math.floor(elapsed), text))
    end
  end
end

--- The lines of a bar chart that fits `columns`. rows: { { label, n }, … }
function demo.chart(rows, columns)
  local label_width, number_width, top, total = 0, 0, 0, 0
  for _, row in ipairs(rows) do
    label_width = math.max(label_width, utf8.len(row[1]) or #row[1])
    number_width = math.max(number_width, #number(row[2]))
    top, total = math.max(top, row[2]), total + row[2]
  end
  -- Two spaces before each column, "100%" and a space: 11. The bar gets at least eight.
  label_width = math.min(label_width, columns // 2, math.max(6, columns - number_width - 11 - 8))
  local width = columns - label_width - number_width - 11
  local lines = {}
  for i, row in ipairs(rows) do
    local label, n = row[1], row[2]
    local length = utf8.len(label) or #label
    if length > label_width then
      label, length = label:sub(1, (utf8.offset(label, label_width) or #label + 1) - 1) .. "…", label_width
    end
    local share = total > 0 and n / total or 0
    lines[i] = ("  %s%s  %s%s  %2d%% %s"):format(label, (" "):rep(label_width - length),
      (" "):rep(number_width - #number(n)), number(n), math.floor(share * 100 + 0.5),
      (demo.bar(top > 0 and n / top or 0, width)))
  end
  return lines
end

-- ---------------------------------------------------------------- what must hold

local STATES <const> = { "pending", "ran", "filtered", "duplicate", "waiting", "dead", "unhandled", "orphaned", "own", "debounced" }

local function api_total(state)
  local sum = {}
  for _, account in pairs(state.api) do
    for name, value in pairs(account) do
      if math.type(value) == "integer" then sum[name] = (sum[name] or 0) + value end
    end
  end
  return sum
end

--- Tells `run.problem` of everything that is wrong.
---@param run table contacts, routed, unrouted, bad = { forged, malformed }, problem(format, …)
---@param first table the status before
---@param now table the status after
---@param stats table the simulator's counters
function demo.check(run, first, now, stats)
  local problem, engine, webhook, api = run.problem, now.engine, now.webhook, api_total(now)
  local sum = 0
  for _, name in ipairs(STATES) do sum = sum + engine[name] end
  if sum ~= engine.acknowledged then
    problem("%d events acknowledged, but their states add up to %d", engine.acknowledged, sum)
  end
  if engine.pending > 0 then problem("%d events are still pending", engine.pending) end
  if engine.dead > 0 then problem("%d events were given up (dead letters)", engine.dead) end
  if run.unrouted > 0 then problem("%d contacts have no owner", run.unrouted) end
  if run.routed + run.unrouted ~= run.contacts then
    problem("%d contacts were to be created, but %d are there", run.contacts, run.routed + run.unrouted)
  end
  local forged, malformed = webhook.forged - first.webhook.forged, webhook.malformed - first.webhook.malformed
  if forged ~= run.bad.forged then problem("%d forged requests were sent, %d refused", run.bad.forged, forged) end
  if malformed ~= run.bad.malformed then
    problem("%d malformed requests were sent, %d refused", run.bad.malformed, malformed)
  end
  if api.limited > 0 then problem("HubSpot's limit was exceeded: %d answers of 429", api.limited) end
  if stats.limited ~= api.limited then
    problem("the simulator sent %d answers of 429, %d were seen", stats.limited, api.limited)
  end
  if stats.webhooks.redelivered == 0 and engine.duplicate ~= stats.webhooks.duplicated then
    problem("%d events were sent twice, %d duplicates were dropped", stats.webhooks.duplicated, engine.duplicate)
  end
  if stats.webhooks.pending > 0 then problem("%d webhooks are not delivered yet", stats.webhooks.pending) end
end

local function latency(ms)
  if not ms then return "–" end
  return ms < 1000 and ("%d ms"):format(math.floor(ms + 0.5)) or ("%.1f s"):format(ms / 1000)
end

local function summary(options, run, first, now, stats, elapsed)
  local engine, webhook, api = now.engine, now.webhook, api_total(now)
  local by_hand = 2 * run.contacts
  local function line(label, format, ...) print(("  %-11s %s"):format(label, format:format(...))) end
  print("")
  line("Accepted", "%s events in %s signed requests", number(engine.acknowledged),
    number(webhook.accepted - first.webhook.accepted))
  line("Duplicates", "%s dropped", number(engine.duplicate))
  line("Refused", "%d forged (401), %d malformed (400)", webhook.forged - first.webhook.forged,
    webhook.malformed - first.webhook.malformed)
  line("Routed", "%s of %s contacts in %.1f s", number(run.routed), number(run.contacts), elapsed)
  line("API calls", "%s requests for %s reads and writes", number(api.requests), number(api.calls))
  line("", "one call for each: %s requests, %s s at this limit", number(by_hand), number(math.ceil(by_hand / 19)))
  line("Limit", "%d answers of 429", api.limited)
  line("Latency", "p50 %s, p99 %s from the webhook to the owner set", latency(stats.p50), latency(stats.p99))
  print("")
  print("  Routed for each owner")
  for _, text in ipairs(demo.chart(stats.owners, options.columns)) do print(text) end
  print("")
end

-- ---------------------------------------------------------------- the run

--- Runs the demo; waits. Raises only when one of the programs cannot be reached.
---@param options demo.options
---@return {ok: boolean, problems: string[]}
function demo.run(options)
  options = setmetatable({
    contacts = options.contacts or 5000, columns = math.max(40, math.min(options.columns or 80, 120)),
  }, { __index = options })
  local run = { problems = {}, bad = { forged = 0, malformed = 0 }, contacts = options.contacts, routed = 0, unrouted = 0 }
  function run.problem(format, ...) run.problems[#run.problems + 1] = format:format(...) end

  local began = time.now()
  local function elapsed() return (time.now() - began) / 1000 end
  local first = status(options)
  local now, stats
  local draw = progress(options)

  control(options, "configure", { webhook_shuffle = true, webhook_duplicates = 0.04, redelivery_ms = 1000 })
  control(options, "subscribe", { url = options.hook_url, types = json.array(SUBSCRIPTIONS) })
  control(options, "populate", { contacts = run.contacts, per_second = math.max(100, run.contacts // 10) })
  local sent = 0
  repeat
    task.sleep(TICK)
    while sent < math.ceil(BAD * math.max(run.routed, 1) / run.contacts) do
      sent = sent + 1
      send_bad(options, run, sent)
    end
    stats, now = control(options, "stats"), status(options)
    run.routed, run.unrouted = stats.routed, stats.unrouted
    draw(run.routed, run.contacts, ("routed, %d forged or malformed refused"):format(sent),
      elapsed())
    local there = run.routed + run.unrouted >= run.contacts and run.unrouted == 0
    local settled = there and sent == BAD and stats.webhooks.pending == 0 and now.engine.pending == 0
  until settled or elapsed() > SECONDS
  local took = elapsed()
  draw(run.routed, run.contacts, "routed", took, true)

  demo.check(run, first, now, stats)
  summary(options, run, first, now, stats, took)
  for _, text in ipairs(run.problems) do print("  problem: " .. text) end
  return { ok = #run.problems == 0, problems = run.problems }
end

return demo
