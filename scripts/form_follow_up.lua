-- Form follow-up: whoever sends a form is given to somebody, who is asked to answer, and asked again when nobody does.
--
-- A submission without an address, from an address that is on the list below, or that comes a second time within a week is
-- left aside, and the log says so. Otherwise the contact gets an owner, if it has none, and the owner a task for today. Has
-- nobody changed the contact's lead status a day later (two or three at a weekend), a second, urgent task comes.
--
-- Scopes    crm.objects.contacts.read, crm.objects.contacts.write, crm.objects.owners.read, forms
-- Webhooks  contact.propertyChange of hs_lead_status; forms have none, they are asked for
-- Try       hubloop run form_follow_up.lua --sim --contacts 200 --for 5d --activity 100
-- Change    which forms, the people, their hours, the times. An e-mail must be that of an active user.
local hubspot = require "hubspot"
local routing = require "routing"
local text = require "text"

local FORM = "Contact us"                    -- its name or id; nil: every form
local ZONE = "Europe/Berlin"
local people = routing.pool("form follow-up", {
  members = { { owner = "anna.weber@example.com" }, { owner = "jonas.becker@example.com" } }, fallback = "desk@example.com",
})
local ASIDE = { ["mailinator.com"] = true, ["yopmail.com"] = true }    -- domains whose forms are not answered
local AGAIN = "7d"                           -- one follow-up a person in so long
local FROM_CONTACT <const> = 204             -- HubSpot's type of the association of a task with a contact

local function aside(email)
  local address, domain = text.email(email)
  if not address then return "without an address" end
  if ASIDE[domain] then return "from " .. domain end
  return nil, address
end

-- The contact that HubSpot made of the submission; moments may pass until it is there.
local function contact_of(address)
  local found, contact = pcall(hubspot.contacts.get, address, { "hubspot_owner_id", "hs_lead_status" }, { id_property = "email" })
  if found then return contact end
  if contact.status == 404 then return nil end
  error(contact, 0)
end

-- A task for the owner; when the answer was lost it is found by its text.
local function task(contact, owner, priority, subject, body)
  local made, e = pcall(hubspot.tasks.create, { hs_task_subject = subject, hs_task_body = body, hs_task_status = "NOT_STARTED",
    hs_task_priority = priority, hs_timestamp = time.now(), hubspot_owner_id = owner },
    { associations = { { to = { id = contact },
      types = { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = FROM_CONTACT } } } } })
  if made then return end
  if e.kind ~= "uncertain" then error(e, 0) end
  for to in hubspot.associations.list("contacts", contact, "tasks") do
    local there = hubspot.tasks.get(to.toObjectId, { "hs_task_subject", "hs_task_body" })
    if there.hs_task_subject == subject and there.hs_task_body == body then return end
  end
  error(e, 0)
end

-- The same time on the next working day.
local function next_working_day(ms)
  local c = time.civil(ms, ZONE)
  local days = ({ [5] = 3, [6] = 2 })[c.weekday] or 1
  return time.instant({ year = c.year, month = c.month, day = c.day + days, hour = c.hour, min = c.min }, ZONE)
end

on("form.submission", { form = FORM, every = "5m", name = "form follow-up" }, function(event)
  local why, address = aside(event.values.email)
  if why then return log.info("a form " .. why .. " is left aside") end
  local first = step("first", function()
    if kv.get("followed " .. address) then return false end
    kv.set("followed " .. address, true, { ttl = AGAIN })
    return true
  end)
  if not first then return log.info("a second form of one person is left aside") end

  local contact = step("contact", function()
    local c = contact_of(address) or error({ message = "there is no contact yet for the form", retryable = true }, 0)
    return { id = c.id, owner = c.hubspot_owner_id, status = c.hs_lead_status }
  end)
  local owner = contact.owner
  if not owner then
    owner = people:assign({ id = contact.id }).owner_id
    step("owner", function() hubspot.contacts.update(contact.id, { hubspot_owner_id = owner }) end)
  end
  local body = ("Form %s of %s"):format(event.formName or FORM or "", time.iso(event.occurredAt))
  step("task", function()
    task(contact.id, owner, "MEDIUM", "Answer a form", body)
    log.info(("form of contact %s: a task for %s"):format(contact.id, owner))
  end)

  wait("a day", { ["until"] = next_working_day(event.occurredAt) })
  step("remind", function()
    local c = contact_of(address)
    if c and c.hs_lead_status == contact.status then
      task(contact.id, c.hubspot_owner_id or owner, "HIGH", "A form that nobody has answered", body)
      log.info(("form of contact %s: nobody has answered"):format(contact.id))
    end
  end)
end)
