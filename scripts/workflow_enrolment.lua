-- Workflow enrolment: who is on a list, or comes onto it, and fits the criteria is enrolled in a workflow, once.
--
-- HubSpot enrols by e-mail address and by the workflow's older id; the script finds both. Who does not fit yet is asked
-- about again when the property in WATCH changes. What a crash has cut is made again where a second enrolment
-- changes nothing; where the workflow lets people in again, the event is parked for you instead (hubloop events).
--
-- Scopes    automation, crm.lists.read, crm.objects.contacts.read
-- Webhooks  contact.propertyChange of lifecyclestage
-- Try       hubloop run workflow_enrolment.lua --sim --contacts 200 --for 7d
-- Change    the names, the properties (WATCH is in the Webhooks, too) and the function that decides.
local hubspot = require "hubspot"

local WORKFLOW = "Nurture"                                       -- name of a contact-based workflow that is turned on
local LIST = "Leads"                                    -- name or id of a list of contacts, static or dynamic
local PROPERTIES = { "email", "lifecyclestage", "hs_email_optout" }
local WATCH = "lifecyclestage"                                     -- its change enrols, too
local PACE = { count = 100, per = "1m", of = "handler" }

local function fits(contact)
  return (contact.lifecyclestage == "lead" or contact.lifecyclestage == "subscriber") and contact.hs_email_optout ~= "true"
end

-- The workflow as { id =, again = may people come in again }, or nil when it is not there.
local function find_workflow()
  for flow in hubspot.flows.list() do
    if flow.name == WORKFLOW then
      local mapped = hubspot.flows.batch_read_id_mappings { inputs = { { flowId = flow.id, type = "FLOW_ID" } } }
      local criteria = hubspot.flows.get(flow.id).enrollmentCriteria
      return { id = mapped.results[1].workflowId, again = criteria ~= nil and criteria.shouldReEnroll == true }
    end
  end
end

local function enrol(event)
  local id = event.objectId
  local there, contact = pcall(hubspot.contacts.get, id, PROPERTIES)
  if not there and contact.status == 404 then return end          -- deleted meanwhile
  if not there then error(contact, 0) end
  if not fits(contact) then return end
  local address = text.email(contact.email)
  if not address then return log.info(("contact %s has no e-mail address: it cannot be enrolled"):format(id)) end

  local workflow = step("workflow", find_workflow)
  if not workflow then
    error { message = ("there is no workflow %q: make it, then retry this event"):format(WORKFLOW), retryable = false }
  end
  local key = ("enrolled %s %s"):format(workflow.id, id)
  kv.cas(key, nil, event.id)                                       -- taken before the call, by the first event
  if kv.get(key) ~= event.id then return end
  step("enrol", function()
    local done, said = pcall(hubspot.flows.enroll, workflow.id, address)
    if not done and said.kind == "uncertain" and not workflow.again then
      done, said = pcall(hubspot.flows.enroll, workflow.id, address)
    end
    if not done then error(said, 0) end
  end)
  log.info(("contact %s enrolled in %s"):format(id, WORKFLOW))
end

on("list.added", { list = LIST, from = "earliest", throttle = PACE, priority = "bulk" }, enrol)

-- On the list, but it did not fit when it came.
on("contact.propertyChange", { property = WATCH, throttle = PACE }, function(event)
  for list in hubspot.lists.memberships.of_record("0-1", event.objectId) do
    local name = step("list " .. list.listId, function() return hubspot.lists.get(list.listId).list.name end)
    if name == LIST or list.listId == LIST then return enrol(event) end
  end
end)
