-- Lead scoring: points for who a contact is and for what it does; what it did counts half after every 30 days.
--
-- The score and its grade are written into two properties of the contact (made when they are missing), with the reasons in
-- a third; once a night for everybody, because time passes, and at once when something happens. Only what has changed is
-- written. Who reaches the threshold becomes a marketing qualified lead; nobody goes back by losing points.
--
-- Scopes    crm.objects.contacts.read, crm.objects.contacts.write, crm.objects.deals.read, crm.schemas.contacts.write, forms
-- Webhooks  contact.creation; contact.propertyChange of hs_lead_status; deal.creation; forms are asked for
-- Try       hubloop run lead_scoring.lua --sim --contacts 200 --for 2d --activity 100
-- Change    the points, the half-life, the grades, the threshold.
local hubspot = require "hubspot"
local text = require "text"

local HALF_LIFE = 30                         -- days
local ACTIONS = { form = 15, answered = 10, deal = 25 }
local IS = {                                 -- who a contact is: a name, points, and whether it holds
  { "business e-mail", 10, function(c) return c.email and not text.is_free_mail(c.email) end },
  { "decides", 15, function(c) return (c.jobtitle or ""):lower():find "chief" or (c.jobtitle or ""):find "^VP" or
    (c.jobtitle or ""):find "Head" or (c.jobtitle or ""):find "Director" end },
  { "our market", 10, function(c) return ({ DE = true, AT = true, CH = true, GB = true, US = true })[text.country(c.country) or ""] end },
  { "company known", 5, function(c) return c.company end },
}
local GRADES = { { "A", 60 }, { "B", 40 }, { "C", 20 }, { "D", 0 } }
local THRESHOLD, QUALIFIED = 40, "marketingqualifiedlead"
local BEFORE = { [""] = true, subscriber = true, lead = true }     -- stages from which one becomes QUALIFIED
local SCORE, GRADE, WHY = table.concat { "lead", "_points" }, table.concat { "lead", "_grade" }, table.concat { "lead", "_reasons" }
local READS = { "email", "jobtitle", "country", "company", "lifecyclestage", SCORE, GRADE, WHY }
local DAY <const> = 86400000

-- The properties, made when they are missing. Their names are put together, so that nobody misses them before.
local function prepare()
  if kv.get "prepared" then return end
  for name, type in pairs { [SCORE] = "number", [GRADE] = "string", [WHY] = "string" } do
    step("property " .. name, function()
      local function is_there() return (pcall(hubspot.properties.get, "contacts", name)) end
      local made, e = is_there(), nil
      if not made then
        made, e = pcall(hubspot.properties.create, "contacts", { name = name, label = (name:gsub("_", " ")), type = type,
          groupName = "contactinformation", fieldType = type == "number" and "number" or "text" })
      end
      if not made and not is_there() then error(e, 0) end
    end)
  end
  kv.set("prepared", true)
end

-- What is left of points after so long.
local function left(kept, now) return kept and kept.points * 0.5 ^ ((now - kept.at) / (HALF_LIFE * DAY)) or 0 end

-- What is to be written of a contact: nothing when it is written already.
local function changes(contact, now)
  local points, reasons = 0, {}
  for _, is in ipairs(IS) do
    if is[3](contact) then
      points = points + is[2]
      reasons[#reasons + 1] = ("%s %d"):format(is[1], is[2])
    end
  end
  local did = math.floor(left(kv.get("did " .. contact.id), now) + 0.5)
  if did > 0 then reasons[#reasons + 1] = ("what it did %d"):format(did) end
  points = points + did
  local out, grade = {}, nil
  for _, g in ipairs(GRADES) do grade = grade or points >= g[2] and g[1] end
  for name, value in pairs { [SCORE] = tostring(points), [GRADE] = grade, [WHY] = table.concat(reasons, ", ") } do
    if (contact[name] or "") ~= value then out[name] = value end
  end
  if points >= THRESHOLD and BEFORE[contact.lifecyclestage or ""] then out.lifecyclestage = QUALIFIED end
  return next(out) and out, points, grade
end

local function score(id, now)
  local found, contact = pcall(hubspot.contacts.get, id, READS)
  if not found and contact.status == 404 then return end
  if not found then error(contact, 0) end
  local out, points, grade = changes(contact, now)
  if not out then return end
  hubspot.contacts.update(contact.id, out)
  log.info(("contact %s: %d points, %s"):format(contact.id, points, grade))
end

-- An event's points are counted once, however often its handler runs.
local function did(id, what, event)
  step("points for " .. id, function()
    local kept = kv.get("did " .. id)
    kv.set("did " .. id, { points = left(kept, event.occurredAt) + ACTIONS[what], at = event.occurredAt })
  end)
  score(id, event.occurredAt)
end

on("contact.creation", function(event)
  prepare()
  score(event.objectId, event.occurredAt)
end)

on("contact.propertyChange", { property = "hs_lead_status", key = "objectId", filter = function(event)
  return event.propertyValue == "CONNECTED" or event.propertyValue == "IN_PROGRESS"
end }, function(event)
  prepare()
  did(event.objectId, "answered", event)
end)

on("deal.creation", function(event)
  prepare()
  for to in hubspot.associations.list("deals", event.objectId, "contacts") do did(to.toObjectId, "deal", event) end
end)

on("form.submission", { key = "email", every = "5m" }, function(event)
  local address = text.email(event.email)
  if not address then return end
  prepare()
  local found, contact = pcall(hubspot.contacts.get, address, { "email" }, { id_property = "email" })
  if not found and contact.status == 404 then return end
  if not found then error(contact, 0) end
  did(contact.id, "form", event)
end)

cron("0 2 * * *", { name = "time has passed", retries = 10, timeout = "2h", priority = "bulk" }, function(event)
  prepare()
  local n = 0
  for contact in hubspot.contacts.list { properties = READS } do
    local out = changes(contact, event.occurredAt)
    if out then
      n = n + 1
      hubspot.contacts.update(contact.id, out)
    end
  end
  log.info(("lead scoring: %d contacts have another score"):format(n))
end)
