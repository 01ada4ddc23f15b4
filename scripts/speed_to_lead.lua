-- Speed to lead: a new lead that its owner does not answer is reminded of, given to somebody else, then escalated.
--
-- It begins when a contact whose lead status is empty or NEW gets an owner, by lead_routing.lua or by hand. Who changes
-- the lead status has answered. Nobody does for 30 minutes: a task for the owner. Nobody does for 30 more: the lead goes to
-- the next one of the pool who is at work, or is held until somebody is. Nobody does for two hours more: a task for the
-- manager. A lead that somebody else takes meanwhile begins anew with them. Only the time of `hours` counts.
--
-- Scopes    crm.objects.contacts.read, crm.objects.contacts.write, crm.objects.owners.read
-- Webhooks  contact.propertyChange of hubspot_owner_id and hs_lead_status
-- Try       hubloop run speed_to_lead.lua --sim --contacts 200 --for 7d --activity 200
-- Change    the people, their hours and the times. An e-mail must be that of an active user of the account.
local routing = require "routing"

local HOURS <const> = "Mon-Fri 08:00-18:00 Europe/Berlin"

local desk = routing.pool("speed to lead", {
  hours = HOURS, hold = "3d", fallback = "desk@example.com",
  members = { { owner = "anna.weber@example.com" }, { owner = "jonas.becker@example.com" }, { owner = "lena.huber@example.com" } },
})
local answer = routing.sla("first answer", {
  open = { hs_lead_status = { "NEW" } }, hours = HOURS,
  remind = "30m", reassign = "1h", pool = desk, escalate = "2h", manager = "desk@example.com",
})

on("contact.propertyChange", { property = "hubspot_owner_id", concurrency = 100 }, function(event)
  answer:watch(event.objectId, event.propertyValue)
end)
