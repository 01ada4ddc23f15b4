-- Deal onboarding: when a deal is won, the work with the new customer begins by itself.
--
-- A ticket for the onboarding, with the deal's companies and contacts; a list of tasks with their days, for the people of
-- customer success, or for who sold it; and a note on the deal that says so. A deal that is opened again and won again
-- has its ticket already: nothing comes twice.
--
-- Scopes    crm.objects.companies.read, crm.objects.companies.write, crm.objects.contacts.read, crm.objects.contacts.write,
--           crm.objects.deals.read, crm.objects.owners.read, tickets
-- Webhooks  deal.propertyChange of dealstage
-- Try       hubloop run deal_onboarding.lua --sim --contacts 200 --for 7d --activity 200
-- Change    the pipelines, the ticket, the tasks and whose they are. An e-mail must be that of an active user.
local hubspot = require "hubspot"

local PIPELINES = { default = true }         -- of deals; nil: all of them
local TICKET = { hs_pipeline = "0", hs_pipeline_stage = "1", subject = "Onboarding: %s", hs_ticket_priority = "MEDIUM" }
local SUCCESS = "desk@example.com"           -- customer success
local ZONE = "Europe/Berlin"
local TASKS = {                              -- `days` are working days after the deal was won; owner: SUCCESS or "seller"
  { days = 0, owner = "seller", subject = "Hand over %s to customer success", priority = "HIGH" },
  { days = 1, owner = SUCCESS, subject = "Welcome call with %s", priority = "HIGH", type = "CALL" },
  { days = 5, owner = SUCCESS, subject = "Check the set-up of %s" },
  { days = 20, owner = SUCCESS, subject = "First review with %s" },
}
local TO_DEAL <const> = { tickets = 28, tasks = 216, notes = 214 }    -- HubSpot's types of associations

-- Nine in the morning, so many working days after an instant.
local function working_day(ms, days)
  local c = time.civil(ms, ZONE)
  local day = { year = c.year, month = c.month, day = c.day, hour = 9 }
  while days > 0 do
    day.day = day.day + 1
    local weekday = time.civil(time.instant(day, ZONE), ZONE).weekday
    if weekday ~= 0 and weekday ~= 6 then days = days - 1 end
  end
  return time.instant(day, ZONE)
end

-- The record of the deal that has this text in its property, or nil.
local function there(object, deal, property, text)
  for to in hubspot.associations.list("deals", deal, object) do
    local found, record = pcall(hubspot[object].get, to.toObjectId, { property })
    if found and record[property] == text then return record.id end
    if not found and record.status ~= 404 then error(record, 0) end
  end
  return nil
end

-- Makes a record that belongs to the deal; its text says whether it is there already.
local function make(object, deal, property, properties)
  return step(object .. " " .. properties[property], function()
    local have = there(object, deal, property, properties[property])
    if have then return have end
    local made, record = pcall(hubspot[object].create, properties, { associations = { { to = { id = deal },
      types = { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = TO_DEAL[object] } } } } })
    if made then return record.id end
    -- The answer was lost: what was made hangs on the deal.
    have = record.kind == "uncertain" and there(object, deal, property, properties[property])
    return have or error(record, 0)
  end)
end

local function owner_of(email)
  local owner = hubspot.owners.by_email(email)
  if not owner then log.warn("deal onboarding: nobody has the address " .. email .. "; what is theirs has no owner") end
  return owner and owner.id
end

on("deal.won", { name = "deal onboarding" }, function(event)
  local id = event.objectId
  local deal = step("deal", function()
    local found, d = pcall(hubspot.deals.get, id, { "dealname", "pipeline", "hubspot_owner_id" })
    if not found and d.status == 404 then return { gone = true } end
    if not found then error(d, 0) end
    return { name = d.dealname or "deal " .. id, pipeline = d.pipeline, seller = d.hubspot_owner_id, success = owner_of(SUCCESS) }
  end)
  if deal.gone or (PIPELINES and not PIPELINES[deal.pipeline]) then return end

  local ticket = { hubspot_owner_id = deal.success, content = "The deal was won on " .. time.iso(event.occurredAt):sub(1, 10) .. "." }
  for property, value in pairs(TICKET) do ticket[property] = value end
  ticket.subject = TICKET.subject:format(deal.name)
  local ticket_id = make("tickets", id, "subject", ticket)
  for _, object in ipairs { "companies", "contacts" } do
    step("with its " .. object, function()
      for to in hubspot.associations.list("deals", id, object) do
        hubspot.associations.create("tickets", ticket_id, object, to.toObjectId)
      end
    end)
  end

  for _, task in ipairs(TASKS) do
    make("tasks", id, "hs_task_subject", {
      hs_task_subject = task.subject:format(deal.name), hs_task_status = "NOT_STARTED", hs_task_priority = task.priority or "LOW",
      hs_task_type = task.type or "TODO", hs_timestamp = working_day(event.occurredAt, task.days),
      hubspot_owner_id = task.owner == "seller" and deal.seller or deal.success,
    })
  end
  make("notes", id, "hs_note_body", { hs_timestamp = event.occurredAt,
    hs_note_body = ("Onboarding has begun: ticket %s, %d tasks."):format(ticket_id, #TASKS) })
  log.info(("onboarding of %s: ticket %s, %d tasks"):format(deal.name, ticket_id, #TASKS))
end)
