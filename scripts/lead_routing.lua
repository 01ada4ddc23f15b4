-- Lead routing: every new contact without an owner gets one, with a record that says why.
--
-- A lead of a company that somebody owns goes to that owner. Every other lead goes to the pool of its country, whose
-- members take turns by weight, each up to a cap a day; when nobody can, it goes to the fallback.
--
-- Scopes    crm.objects.contacts.read, crm.objects.contacts.write, crm.objects.companies.read, crm.objects.owners.read
-- Webhooks  contact.creation; company.creation, .deletion, .merge, .restore and .propertyChange of domain, name and
--           hubspot_owner_id (they keep the list of companies current)
-- Try       hubloop run lead_routing.lua --sim --contacts 200 --for 7d
-- Change    the people, weights, caps and countries. An e-mail must be that of an active user of the account.
local hubspot = require "hubspot"
local routing = require "routing"

local desk = "desk@example.com"

local function daily(count) return { per = "day", count = count } end

local dach = routing.pool("dach", { tz = "Europe/Berlin", fallback = desk, members = {
  { owner = "anna.weber@example.com", weight = 3, cap = daily(400) },
  { owner = "jonas.becker@example.com", weight = 2, cap = daily(300) },
  { owner = "lena.huber@example.com", cap = daily(200) },
} })
local north = routing.pool("uk and nordics", { tz = "Europe/London", fallback = desk, members = {
  { owner = "oliver.smith@example.com", weight = 2, cap = daily(400) },
  { owner = "freya.nilsson@example.com", cap = daily(300) },
  { owner = "aoife.murphy@example.com", cap = daily(300) },
} })
local americas = routing.pool("americas", { tz = "America/New_York", fallback = desk, members = {
  { owner = "grace.miller@example.com", weight = 2, cap = daily(500) },
  { owner = "carlos.garcia@example.com", weight = 2, cap = daily(500) },
  { owner = "maya.johnson@example.com", cap = daily(300) },
} })
local rest = routing.pool("rest of the world", { fallback = desk, members = {
  { owner = "priya.sharma@example.com" }, { owner = "kenji.tanaka@example.com" },
} })

local areas = routing.territory {
  { countries = { "DE", "AT", "CH", "LI" }, pool = dach },
  { countries = { "GB", "IE", "SE", "NO", "DK", "FI", "IS" }, pool = north },
  { countries = { "US", "CA", "MX", "BR", "AR", "CL", "CO", "PE", "UY" }, pool = americas },
  default = rest,
}

routing.watch_companies { refresh = "1h" }

-- Many at once, so that their reads and writes travel in batches of a hundred.
on("contact.creation", { concurrency = 500 }, function(event)
  local there, lead = pcall(hubspot.contacts.get, event.objectId, { "email", "country", "company", "hubspot_owner_id" })
  if not there and lead.status == 404 then return end     -- deleted meanwhile
  if not there then error(lead, 0) end
  if lead.hubspot_owner_id then return end
  local match = routing.match_account(lead)
  local pick = areas:assign(lead, { prefer = match })
  hubspot.contacts.update(lead.id, { hubspot_owner_id = pick.owner_id })
end)
