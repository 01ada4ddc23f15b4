-- Speed to lead: a new lead that its owner does not answer is reminded of, given to somebody else, then escalated.
--
-- It begins when a contact whose lead status is empty or NEW gets an owner, by lead_routing.lua or by hand. Who changes
-- the lead status has answered. Nobody does for 30 minutes: a task for the owner. Nobody does for 30 more: the lead goes to
-- the next one of the pool who is at work, or is held until somebody is. Nobody does for two hours more: a task for the
-- manager. A lead that somebody else takes meanwhile begins anew with them. The times are of the clock, not of work.
--
-- Scopes    crm.objects.contacts.read, crm.objects.contacts.write, crm.objects.owners.read
-- Webhooks  contact.propertyChange of hubspot_owner_id and hs_lead_status
-- Try       hubloop run speed_to_lead.lua --sim --contacts 200 --for 7d --activity 200
-- Change    the people, their hours and the times. An e-mail must be that of an active user of the account.
local hubspot = require "hubspot"
local routing = require "routing"

local desk = routing.pool("speed to lead", {
  hours = "Mon-Fri 08:00-18:00 Europe/Berlin", hold = "3d", fallback = "desk@example.com",
  members = { { owner = "anna.weber@example.com" }, { owner = "jonas.becker@example.com" }, { owner = "lena.huber@example.com" } },
})
local manager = routing.pool("speed to lead: manager", { members = { { owner = "desk@example.com" } } })

local function is_new(lead) return lead.hs_lead_status == nil or lead.hs_lead_status == "NEW" end

local function tell(owner_id, lead_id, subject)
  hubspot.tasks.create({
    hs_task_subject = subject, hs_task_status = "NOT_STARTED", hs_task_priority = "HIGH", hs_timestamp = time.iso(),
    hs_task_body = "Contact " .. lead_id, hubspot_owner_id = owner_id,
  })
end

on("contact.propertyChange", { property = "hubspot_owner_id", concurrency = 100 }, function(event)
  local id, owner = event.objectId, event.propertyValue
  -- Read in steps: what was decided stays so when the handler runs again after a wait.
  local function still_theirs(name)
    return step(name, function()
      local there, lead = pcall(hubspot.contacts.get, id, { "hubspot_owner_id", "hs_lead_status" })
      if not there and lead.status == 404 then return false end
      if not there then error(lead, 0) end
      return lead.hubspot_owner_id == owner and is_new(lead)
    end)
  end
  if not owner or owner == "" or not still_theirs("begins") then return end

  if wait("answered", "contact.propertyChange", { key = id, property = "hs_lead_status", timeout = "30m" }) then return end
  if not still_theirs("reminds") then return end
  step("remind", function() tell(owner, id, "A new lead waits for you") end)

  if wait("answered when reminded", "contact.propertyChange", { key = id, property = "hs_lead_status", timeout = "30m" }) then return end
  local pick = desk:assign({ id = id }, { exclude = { owner }, because = "owner " .. owner .. " has not answered for an hour" })
  if not still_theirs("passes on") then return end
  step("pass on", function() hubspot.contacts.update(id, { hubspot_owner_id = pick.owner_id }) end)

  if wait("answered by the next", "contact.propertyChange", { key = id, property = "hs_lead_status", timeout = "2h" }) then return end
  local boss = manager:assign({ id = id }, { because = "nobody has answered" })
  step("escalate", function() tell(boss.owner_id, id, "A lead that two people have not answered") end)
end)
