-- API usage report: who uses the account's calls, against the limit, and why HubSpot refused what it refused.
--
-- Each morning a page with charts, reports/api-usage-DATE.html and .csv, of the week before: calls by day, script and path;
-- what is used of the day's limit, by this project and by all private apps; and the refusals, grouped by their reason, with
-- what to do about each. One request may carry a hundred calls: HubSpot's limit counts requests. Calls older than the call
-- log holds (`hubloop help calls`) are not in it.
--
-- Scopes    none
-- Webhooks  none
-- Settings  permissions = { ["api_usage_report.lua"] = { fs = { "reports" } } }
-- Try       hubloop run api_usage_report.lua --sim --contacts 200 --for 2d --allow-fs reports
-- Change    the time and its zone, how far it looks back, the advice.
local hubspot = require "hubspot"
local report = require "report"

local AT, ZONE = "0 7 * * *", "Europe/Berlin"
local BACK = "7d"            -- as HubSpot's day, each begins at midnight in ZONE
local WARN = 80              -- percent of the day's limit

local ADVICE = {             -- by HubSpot's category, else by status
  VALIDATION_ERROR = "A value does not fit its property: `hubloop check --properties` finds options and names that are not there.",
  PROPERTY_DOESNT_EXIST = "The property is not in this account: correct its name, or create it.",
  OBJECT_NOT_FOUND = "The record was deleted or merged: handle 404 as \"nothing to do\".",
  CONFLICT = "It is there already: use upsert with the unique property in place of create.",
  MISSING_SCOPES = "The token lacks a scope: `hubloop scopes --compare` names it.",
  RATE_LIMITS = "Too many at once: read by id in place of search, let calls travel in batches, use priority = \"bulk\".",
  ["400"] = "HubSpot cannot take this request: calls = { bodies = true } keeps what was sent (`hubloop help calls`).",
  ["401"] = "The token is not valid any more: `hubloop auth test` says why.",
  ["403"] = "Not allowed: `hubloop scopes --compare` names the scope.",
  ["404"] = "What is asked for is not there: handle it as \"nothing to do\", or correct the path.",
  ["409"] = "It is there already: use upsert in place of create.",
  ["5xx"] = "HubSpot failed; what is safe to repeat was repeated. If it stays: support, with a correlation id.",
  none = "No answer: the network, or HubSpot was away; what is safe to repeat was repeated.",
}

local function advice(call)
  local status = call.status and tostring(call.status) or "none"
  return ADVICE[call.error.category] or ADVICE[status] or status >= "500" and ADVICE["5xx"] or "Look at the message."
end

-- What is refused for one reason, whatever the record: ids, numbers and quoted values are left out of the message.
local function reason(message)
  local short = (message or ""):gsub('"[^"]*"', '"…"'):gsub("“.-”", "“…”"):gsub("%d+", "#"):gsub("%s+", " ")
  return #short > 160 and short:sub(1, (utf8.offset(short, 0, 160) or 160) - 1) .. "…" or short
end

local function figures(since, to)
  local seen, missing = {}, 0
  local day = report.period("at", "day", { tz = ZONE, label = "Day" })
  local function request(call) return call.first and 1 or 0 end
  local function limited(call) return call.limited or 0 end
  local function failed(call) return call.error and 1 or 0 end
  local function measured(title, by, more)
    local spec = { title = title, by = by, report.count("Calls"), report.sum(request, "Requests"), report.sum(failed, "Refused"),
      report.sum(limited, "429"), report.median("latency", "Answer ms") }
    for key, value in pairs(more or {}) do spec[key] = value end
    return report.group(spec)
  end
  local days, scripts = measured("By day", day), measured("By script", "script", { order = "Requests", top = 30 })
  local function where(call) return call.method .. " " .. call.shape end
  local paths = measured("By path", { { label = "Path", get = where } }, { order = "Requests", top = 40 })
  local refused = report.group { title = "Why HubSpot refused", order = "Calls", top = 40, total = false, report.count("Calls"),
    by = { { label = "Status", get = function(call) return tostring(call.status or "none") end },
      { label = "Category", get = function(call) return call.error.category or call.error.kind end },
      { label = "Reason", get = function(call) return reason(call.error.message) end },
      { label = "Script", get = function(call) return call.script end },
      { label = "What to do", get = advice } } }
  for call in hubspot.call_log { since = since } do
    if call.gap then missing = missing + call.gap
    elseif call.at < to then
      call.first = not (call.request and seen[call.request])
      if call.request then seen[call.request] = true end
      for _, group in ipairs { days, scripts, paths } do group:add(call) end
      if call.error then refused:add(call) end
    end
  end
  local limit = report.group { title = "Of the day's limit", by = "app", total = false, report.sum("used", "Used"),
    report.sum("limit", "Limit"), report.sum("percent", "Percent") }
  local ok, usage = pcall(hubspot.account.api_usage)           -- not for OAuth apps
  if not ok and usage.retryable then error(usage, 0) end
  local worst = 0
  for _, one in ipairs(ok and usage.results or {}) do
    local percent = (one.currentUsage or 0) * 100 / math.max(one.usageLimit or 0, 1)
    worst = math.max(worst, percent)
    limit:add { app = one.name, used = one.currentUsage, limit = one.usageLimit, percent = math.floor(percent * 10 + 0.5) / 10 }
  end
  local tables = { limit:table(), days:table(), scripts:table(), paths:table(), refused:table() }
  if not ok then table.insert(tables[1].notes, "HubSpot did not tell: " .. tostring(usage.message or usage)) end
  if missing > 0 then table.insert(tables[2].notes, ("%d calls could not be recorded"):format(missing)) end
  return { tables = tables, percent = worst }
end

cron(AT, { tz = ZONE, name = "api usage", retries = 10, timeout = "30m", priority = "bulk" }, function(event)
  local c = time.civil(event.occurredAt, ZONE)
  local date = ("%04d-%02d-%02d"):format(c.year, c.month, c.day)
  local begin = time.civil(event.occurredAt - time.duration(BACK), ZONE)
  local since = time.instant({ year = begin.year, month = begin.month, day = begin.day }, ZONE)
  local found = step("figures", function() return figures(since, event.occurredAt) end)
  local page = { title = "API usage, " .. date, intro = "What the project's scripts asked of HubSpot in the last " .. BACK }
  local chart = { { "bar", "Percent" }, { "line", "Requests" }, { "bar", "Requests" }, { "bar", "Requests" }, { "bar", "Calls" } }
  for i, data in ipairs(found.tables) do
    local t = report.table(data)
    print(t:text())
    page[i] = t:section { chart = chart[i][1], value = chart[i][2] }
    if i == 5 then fs.write(("reports/api-usage-%s-refused.csv"):format(date), t:csv()) end
    if i == 4 then fs.write(("reports/api-usage-%s.csv"):format(date), t:csv()) end
  end
  fs.write(("reports/api-usage-%s.html"):format(date), report.page(page))
  if found.percent >= WARN then log.warn(("api usage: %.0f %% of the day's limit is used"):format(found.percent)) end
  log.info("api usage", date)
end)
