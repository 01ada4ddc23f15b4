-- E-mail campaign: who is on a list, or comes onto it, gets one e-mail, at a pace that you choose, and nobody gets it twice.
--
-- Right before each e-mail HubSpot is asked what the person wants: who has unsubscribed from this type of e-mail, or from
-- all, gets nothing, also when the e-mail is a transactional one. Two contacts with one address get one e-mail. What is not
-- sent yet waits in the store: a restart, a day without HubSpot or a list of 100,000 goes on where it was. Each e-mail has
-- an id of its own at HubSpot (sendId), so that one of which the answer was lost is sent again without arriving twice.
--
-- Scopes    communication_preferences.read, crm.lists.read, crm.objects.contacts.read, transactional-email
-- Webhooks  none: the list is asked for
-- Try       hubloop run email_campaign.lua --sim --contacts 200 --for 7d
-- Change    the ten lines below. A new CAMPAIGN is a new mailing; the same one never writes to a person again.
local hubspot = require "hubspot"

local CAMPAIGN = "autumn 2026"                   -- a name of your own
local LIST = "Leads"                   -- name or id of a list of contacts
local EMAIL = "180000001"                        -- id of a published single-send e-mail: the number in its address in HubSpot
local KIND = "marketing"                         -- or "transactional"
local SUBSCRIPTION = "Marketing Information"     -- what people can unsubscribe from
local PACE = { count = 100, per = "1h", of = "handler" }
local MERGE = { firstname = "there" }            -- properties for the e-mail ({{ custom.firstname }}), and what is said without

local PROPERTIES = { "email" }
for name in pairs(MERGE) do PROPERTIES[#PROPERTIES + 1] = name end

-- Why nothing may be sent to the address, or nil.
local function refusal(address)
  for _, wide in ipairs(hubspot.subscriptions.statuses.unsubscribed_from_all(address, { channel = "EMAIL" }).results) do
    if wide.status == "UNSUBSCRIBED" then return "has unsubscribed from all e-mail" end
  end
  local known = false
  for one in hubspot.subscriptions.statuses.list(address, { channel = "EMAIL" }) do
    if one.subscriptionName == SUBSCRIPTION then
      known = true
      if one.status == "UNSUBSCRIBED" then return "has unsubscribed from " .. SUBSCRIPTION end
    end
  end
  if not known then error { message = ("there is no subscription type %q"):format(SUBSCRIPTION), retryable = false } end
end

local function send(address, contact)
  local mail = { emailId = EMAIL, message = { to = address, sendId = CAMPAIGN .. " " .. address }, customProperties = {} }
  for name, without in pairs(MERGE) do mail.customProperties[name] = contact[name] or without end
  local call = KIND == "transactional" and hubspot.single_send.send or hubspot.marketing_emails.single_send
  return call(mail).statusId
end

on("list.added", { list = LIST, from = "earliest", name = "campaign " .. CAMPAIGN, throttle = PACE, priority = "bulk" }, function(event)
  local id = event.objectId
  local there, contact = pcall(hubspot.contacts.get, id, PROPERTIES)
  if not there and contact.status == 404 then return end                 -- deleted meanwhile
  if not there then error(contact, 0) end
  local address = text.email(contact.email)
  if not address then return log.info(("contact %s has no e-mail address"):format(id)) end

  -- Both the person and the address are taken, before anything leaves, by the first event that asks.
  for _, who in ipairs { id, crypto.sha256(address) } do
    local key = ("mailed %s %s"):format(CAMPAIGN, who)
    kv.cas(key, nil, event.id)
    if kv.get(key) ~= event.id then return log.info(("contact %s, or another one with the address, has had it"):format(id)) end
  end

  -- With its sendId a second call sends nothing: whose answer was lost is made again.
  local why = step("e-mail", function()
    local no = refusal(address)
    if no then return no end
    local sent, said = pcall(send, address, contact)
    if not sent and said.kind == "uncertain" then sent, said = pcall(send, address, contact) end
    if not sent then error(said, 0) end
  end)
  if why then log.info(("contact %s gets no e-mail: %s"):format(id, why)) else kv.incr("sent " .. CAMPAIGN) end
end)
