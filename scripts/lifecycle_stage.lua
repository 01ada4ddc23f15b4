-- Lifecycle stages: contacts and companies follow what happens to their deals, and never go backwards.
--
-- A deal begins: its contacts and companies become opportunities. It is won: they become customers. A contact moves on: its
-- primary company moves on with it. Who is further already stays there, and so does who is in a stage of your own that is
-- not in the list below; nobody is ever set back, whatever order the events come in.
--
-- Scopes    crm.objects.companies.read, crm.objects.companies.write, crm.objects.contacts.read, crm.objects.contacts.write,
--           crm.objects.deals.read
-- Webhooks  deal.creation, deal.propertyChange of dealstage, deal.associationChange, contact.propertyChange of lifecyclestage
-- Try       hubloop run lifecycle_stage.lua --sim --contacts 200 --for 7d --activity 100
-- Change    the order of your stages, what a deal makes of people, which pipelines count.
local hubspot = require "hubspot"

local ORDER = { "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist" }
local OPEN, WON = "opportunity", "customer"          -- what a deal makes of its people
local PIPELINES = { default = true }                 -- nil: all of them
local COMPANY_FOLLOWS = true                         -- its contacts

local place = {}
for i, stage in ipairs(ORDER) do place[stage] = i end

-- The record, or nil when it is gone.
local function read(object, id, properties)
  local found, record = pcall(hubspot[object].get, id, properties)
  if found then return record end
  if record.status == 404 then return nil end
  error(record, 0)
end

-- To this stage, unless it is there or further. Made again it changes nothing.
local function raise(object, id, stage)
  local record = read(object, id, { "lifecyclestage" })
  if not record then return end
  local now = record.lifecyclestage
  if now and not place[now] or (place[now] or 0) >= place[stage] then return end
  hubspot[object].update(record.id, { lifecyclestage = stage })
  log.info(("%s %s: %s to %s"):format(object, record.id, now or "nothing", stage))
end

local function follow(event)
  local id = event.fromObjectId or event.objectId
  local deal = read("deals", id, { "pipeline", "hs_is_closed", "hs_is_closed_won" })
  if not deal or (PIPELINES and not PIPELINES[deal.pipeline]) then return end
  local stage = deal.hs_is_closed_won == "true" and WON or deal.hs_is_closed ~= "true" and OPEN
  if not stage then return end                       -- a lost deal says nothing
  for _, object in ipairs { "contacts", "companies" } do
    for to in hubspot.associations.list("deals", id, object) do raise(object, to.toObjectId, stage) end
  end
end

on("deal.creation", follow)
on("deal.propertyChange", { property = "dealstage" }, follow)
on("deal.associationChange", { key = "fromObjectId", filter = function(event) return not event.associationRemoved end }, follow)

if COMPANY_FOLLOWS then
  on("contact.propertyChange", { property = "lifecyclestage" }, function(event)
    local contact = read("contacts", event.objectId, { "lifecyclestage", "associatedcompanyid" })
    if contact and place[contact.lifecyclestage] and contact.associatedcompanyid then
      raise("companies", contact.associatedcompanyid, contact.lifecyclestage)
    end
  end)
end
