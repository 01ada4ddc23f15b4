-- Weekly pipeline report: each Monday, what is open, what came, was won and lost last week, and who has what.
--
-- A page with charts and a CSV file, reports/pipeline-MONDAY.html and .csv, and a task for whoever leads sales with the
-- figures that matter. A report is of the week that has ended, and has the figures of its first run: when it is cut off
-- and made again, nothing differs and no second task comes.
--
-- Scopes    crm.objects.contacts.read, crm.objects.contacts.write (both for the task), crm.objects.deals.read,
--           crm.objects.owners.read
-- Webhooks  none
-- Settings  permissions = { ["pipeline_report.lua"] = { fs = { "reports" } } }
-- Try       hubloop run pipeline_report.lua --sim --contacts 400 --for 8d --allow-fs reports
-- Change    who gets the task, the time and its zone, the pipeline, the currency.
local hubspot = require "hubspot"
local report = require "report"

local LEAD = "desk@example.com"          -- an active user of the account
local ZONE = "Europe/Berlin"
local PIPELINE = "default"
local CURRENCY = "EUR"

-- Midnight of the Monday of an instant's week, and of the one before.
local function week_of(ms)
  local c = time.civil(ms, ZONE)
  local function monday(back)
    return time.instant({ year = c.year, month = c.month, day = c.day - (c.weekday + 6) % 7 - back }, ZONE)
  end
  return monday(7), monday(0)
end

local function date(ms)
  local c = time.civil(ms, ZONE)
  return ("%d-%02d-%02d"):format(c.year, c.month, c.day)
end

local function money(amount) return ("%s %.0f"):format(CURRENCY, amount) end

-- Everything that the report says, as plain data: one pass over the deals, which may be many.
local function figures(from, to)
  local stages, names, order, owners = {}, {}, {}, {}
  for stage in hubspot.pipelines.stages.list("deals", PIPELINE) do
    local meta = stage.metadata or {}
    local probability = tonumber(meta.probability) or 0
    stages[stage.id] = { closed = meta.isClosed == "true", won = probability == 1, probability = probability }
    names[stage.id] = stage.label
    if meta.isClosed ~= "true" then order[#order + 1] = stage.label end
  end
  for owner in hubspot.owners.list() do
    local name = ("%s %s"):format(owner.firstName or "", owner.lastName or ""):match("^%s*(.-)%s*$")
    owners[owner.id] = name ~= "" and name or owner.email
  end

  local function weighted(deal)
    local amount, stage = tonumber(deal.amount), stages[deal.dealstage]
    return amount and stage and amount * stage.probability
  end
  local function in_week(value)
    local ok, ms = pcall(time.parse, value)
    return ok and ms >= from and ms < to
  end
  local function outcome(deal)
    return stages[deal.dealstage].won and "Won" or "Lost"
  end

  local open = report.group { title = "Open deals by stage", by = report.named("dealstage", names, "Stage"), order = order,
    report.count("Deals"), report.sum("amount", "Amount"), report.sum(weighted, "Weighted"), report.median("amount", "Median") }
  local people = report.group { title = "Open deals by owner", by = report.named("hubspot_owner_id", owners, "Owner"), order = "Amount",
    top = 30, report.count("Deals"), report.sum("amount", "Amount"), report.sum(weighted, "Weighted") }
  local closed = report.group { title = "Won and lost", by = { { label = "Outcome", get = outcome } }, order = { "Won", "Lost" },
    total = false, report.count("Deals"), report.sum("amount", "Amount") }
  local created = report.group { title = "New deals by day", by = report.period("createdate", "day", { tz = ZONE }), report.count("Deals"),
    report.sum("amount", "Amount") }
  for deal in hubspot.deals.list { properties = { "dealstage", "pipeline", "amount", "createdate", "closedate", "hubspot_owner_id" } } do
    if deal.pipeline == PIPELINE then
      local stage = stages[deal.dealstage]
      if in_week(deal.createdate) then created:add(deal) end
      if not stage or not stage.closed then
        open:add(deal)
        people:add(deal)
      elseif in_week(deal.closedate) then
        closed:add(deal)
      end
    end
  end
  return { open:table(), people:table(), closed:table(), created:table() }
end

cron("0 7 * * MON", { tz = ZONE, name = "pipeline report", retries = 10, timeout = "1h", priority = "bulk" }, function(event)
  local from, to = week_of(event.occurredAt)
  local tables = step("figures", function() return figures(from, to) end)
  local open, people, closed, created = table.unpack(tables)
  for _, t in ipairs(tables) do report.table(t) end

  local name = "reports/pipeline-" .. date(from)
  fs.write(name .. ".csv", open:csv())
  fs.write(name .. ".html", report.page {
    title = "Pipeline, week of " .. date(from),
    intro = ("%s to %s, %s; amounts in %s"):format(date(from), date(to - 1), ZONE, CURRENCY),
    open:section { chart = "funnel", value = "Amount" },
    people:section { chart = "bar", value = "Amount" },
    closed:section { chart = "bar", value = "Amount" },
    created:section { chart = "line", value = "Deals" },
  })

  local function of(outcome)
    for _, row in ipairs(closed.rows) do
      if row[1] == outcome then return row[2], row[3] end
    end
    return 0, 0
  end
  local won, won_amount = of "Won"
  local lost = of "Lost"
  local summary = ("%d open deals with %s; last week %d new, %d won with %s, %d lost."):format(open.total[2], money(open.total[3]),
    created.total[2], won, money(won_amount), lost)
  log.info("pipeline report", name .. ".html", summary)
  local lead = hubspot.owners.by_email(LEAD)
  if not lead then log.warn("pipeline report: nobody has the address " .. LEAD .. "; its task has no owner") end
  step("task", function()
    local subject = "Pipeline, week of " .. date(from)
    local made, e = pcall(hubspot.tasks.create, { hs_task_subject = subject, hs_task_body = summary .. " Page: " .. name .. ".html",
      hs_timestamp = event.occurredAt, hs_task_status = "NOT_STARTED", hubspot_owner_id = lead and lead.id })
    if made then return end
    if e.kind ~= "uncertain" then error(e, 0) end
    task.sleep(30)                       -- the answer was lost; a search sees moments later what was made
    local there = hubspot.tasks.search { filters = { { propertyName = "hs_task_subject", operator = "EQ", value = subject } } }
    if not there() then error(e, 0) end
  end)
end)
