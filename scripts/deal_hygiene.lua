-- Deal hygiene: finds open deals that nobody keeps in order, and asks their owners to.
--
-- Every working morning it looks through the open deals: no amount, no close date or one that is past, nothing done for
-- two weeks, too long in one stage, no owner. A deal gets one task that names all that is wrong with it, and at most one a
-- week. A deal that goes back to an earlier stage is asked about at once.
--
-- Scopes    crm.objects.contacts.read, crm.objects.contacts.write (for tasks), crm.objects.deals.read, crm.objects.owners.read
-- Webhooks  deal.propertyChange of dealstage
-- Try       hubloop run deal_hygiene.lua --sim --contacts 200 --for 7d --activity 100
-- Change    the rules, the days, who gets what has no owner. An e-mail must be that of an active user.
local hubspot = require "hubspot"

local PIPELINE = "default"
local AT, ZONE = "0 8 * * MON-FRI", "Europe/Berlin"
local LEAD = "desk@example.com"              -- gets the tasks of deals without an owner
local REMIND = "7d"                          -- until a deal is named again
local QUIET = 14                             -- days without any change
local STAGE_DAYS = { appointmentscheduled = 21, qualifiedtobuy = 30, presentationscheduled = 30, decisionmakerboughtin = 45,
  contractsent = 21 }
local DAY <const> = 86400000
local PROPERTIES <const> = { "dealname", "dealstage", "pipeline", "amount", "closedate", "createdate", "hs_lastmodifieddate",
  "hubspot_owner_id", "hs_is_closed" }

local function ms(value) return value and (math.tointeger(tonumber(value)) or select(2, pcall(time.parse, value))) end

-- The stages that a deal has been in, newest first, each with its time.
local function history(id)
  return hubspot.request { path = "/crm/objects/{version}/deals/" .. id, query = { propertiesWithHistory = "dealstage" } }
    .propertiesWithHistory.dealstage
end

local function faults(deal, now)
  local list = {}
  local function fault(text, ...) list[#list + 1] = text:format(...) end
  local amount, close, changed = tonumber(deal.amount), ms(deal.closedate), ms(deal.hs_lastmodifieddate)
  if not amount or amount <= 0 then fault "it has no amount" end
  if type(close) ~= "number" then fault "it has no close date"
  elseif close < now - DAY then fault("its close date, %s, is past", time.iso(close):sub(1, 10)) end
  if not deal.hubspot_owner_id then fault "it has no owner" end
  if changed and now - changed > QUIET * DAY then fault("nothing has been done for %d days", (now - changed) // DAY) end
  local most = STAGE_DAYS[deal.dealstage]
  if most and now - ms(deal.createdate) > most * DAY then
    local since = ms(history(deal.id)[1].timestamp)
    if since and now - since > most * DAY then fault("it has been in %s for %d days", deal.dealstage, (now - since) // DAY) end
  end
  return list
end

-- A task for the deal's owner. Its text begins with `day`, by which it is found when the answer was lost.
local function tell(deal, day, text)
  local made, e = pcall(hubspot.tasks.create, { hs_task_subject = "Deal hygiene: " .. (deal.dealname or deal.id),
    hs_task_body = day .. ": " .. text, hs_task_status = "NOT_STARTED", hs_task_priority = "MEDIUM", hs_timestamp = time.now(),
    hubspot_owner_id = deal.hubspot_owner_id },
    { associations = { { to = { id = deal.id }, types = { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 216 } } } } })
  if made then return end
  if e.kind ~= "uncertain" then error(e, 0) end
  for to in hubspot.associations.list("deals", deal.id, "tasks") do
    local body = hubspot.tasks.get(to.toObjectId, { "hs_task_body" }).hs_task_body
    if body and body:sub(1, #day) == day then return end
  end
  error(e, 0)
end

cron(AT, { tz = ZONE, name = "deal hygiene", retries = 10, priority = "bulk", timeout = "1h" }, function(event)
  local now = event.occurredAt
  local lead = hubspot.owners.by_email(LEAD)
  if not lead then log.warn("deal hygiene: nobody has the address " .. LEAD .. "; tasks of deals without an owner have none either") end
  local looked, told = 0, 0
  for deal in hubspot.deals.list { properties = PROPERTIES } do
    local open = deal.pipeline == PIPELINE and deal.hs_is_closed ~= "true"
    local wrong = open and not kv.get("told " .. deal.id) and faults(deal, now) or {}
    if open then looked = looked + 1 end
    if #wrong > 0 then
      told = told + 1
      kv.set("told " .. deal.id, true, { ttl = REMIND })
      step("deal " .. deal.id, function()
        if not deal.hubspot_owner_id then deal.properties.hubspot_owner_id = lead and lead.id end
        tell(deal, time.iso(now):sub(1, 10), table.concat(wrong, "; "))
      end)
    end
  end
  log.info(("deal hygiene: %d open deals, %d with something to mend"):format(looked, told))
end)

on("deal.propertyChange", { property = "dealstage", name = "deal went back" }, function(event)
  step("ask", function()
    local found, deal = pcall(hubspot.deals.get, event.objectId, PROPERTIES)
    if not found and deal.status == 404 then return end
    if not found then error(deal, 0) end
    local to, from = history(event.objectId)[1], history(event.objectId)[2]
    if deal.pipeline ~= PIPELINE or not from or to.value ~= event.propertyValue then return end
    local place, label = {}, {}
    for stage in hubspot.pipelines.stages.list("deals", PIPELINE) do place[stage.id], label[stage.id] = stage.displayOrder, stage.label end
    local here, before = place[to.value], place[from.value]
    if here and before and here < before then
      local text = "it went back from %s to %s: why, and what happens next?"
      tell(deal, time.iso(event.occurredAt), text:format(label[from.value], label[to.value]))
    end
  end)
end)
