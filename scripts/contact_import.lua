-- Contact import: the CSV export of another CRM becomes contacts, found again by their e-mail.
--
-- It looks for the file every 15 minutes. A file that has not been seen yet is read: e-mails, phone numbers, countries and
-- dates are brought into one form, owners are found by their e-mail, statuses become lifecycle stages. What differs is
-- written, a hundred at a time, so the same file a second time writes nothing. An owner or a stage that a contact has
-- already stays. A run that is cut off goes on behind the last page that was written. A row that cannot be read, or that
-- HubSpot refuses, goes to the quarantine file with its line and the reason; correct it there and save, and it is taken.
-- With DRY_RUN=yes in the environment nothing is written, and what would change is shown.
--
-- Scopes    crm.objects.contacts.read, crm.objects.contacts.write, crm.objects.owners.read
-- Webhooks  none
-- Settings  permissions = { ["contact_import.lua"] = { fs = { "imports" }, env = { "DRY_RUN" } } }
-- Try       hubloop run contact_import.lua --sim --contacts 200 --for 1h --allow-fs lib,imports --allow-env DRY_RUN
-- Change    the file, its columns (the first name in each line) and what its statuses mean.
local hubspot = require "hubspot"
local sync = require "sync"

local SETTINGS = {
  file = "lib/contact_import_sample.csv",        -- five invented people, for tries; yours: "imports/contacts.csv"
  encoding = nil,                                -- UTF-8 or UTF-16; "windows-1252" for what Excel saves in Western Europe
  quarantine = "imports/contacts_bad.csv",
  country = "US",                                -- of phone numbers in rows without a country
  day_first = true,                              -- 03/04/2025 is the 3rd of April
  stages = { ["open lead"] = "lead", qualified = "salesqualifiedlead", customer = "customer", newsletter = "subscriber" },
}

local owners = {}            -- id by e-mail, read at the start of each run

local function given(value) return value and value:match "%S" and value:match "^%s*(.-)%s*$" or nil end

local function date(value)
  value = given(value)
  if not value or value:match "^%d%d%d%d%-%d%d%-%d%d" then return value and value:sub(1, 10) end
  local day, month, year = value:match "^(%d%d?)[/.](%d%d?)[/.](%d%d%d%d)$"
  if not day then error(('"%s" is no date'):format(value), 0) end
  if not SETTINGS.day_first then day, month = month, day end
  return ("%s-%02d-%02d"):format(year, tonumber(month), tonumber(day))
end

local function phone(value, row)
  value = given(value)
  local number = text.phone(value, text.country(row.Country) or SETTINGS.country)
  if value and not number then error(('"%s" is no phone number'):format(value), 0) end
  return number
end

local function country(value)
  value = given(value)
  local code = text.country(value)
  if value and not code then error(('"%s" is no country'):format(value), 0) end
  return code and text.country_name(code)
end

local function owner(value)
  local email = text.email(value)
  if given(value) and not owners[email or ""] then error(('nobody in HubSpot has the e-mail "%s"'):format(given(value)), 0) end
  return email and owners[email]
end

local function stage(value)
  value = given(value)
  local name = value and SETTINGS.stages[value:lower()]
  if value and not name then error(('the status "%s" is not in SETTINGS.stages'):format(value), 0) end
  return name
end

local contacts = sync.mapping("contact import", {
  from = sync.csv(SETTINGS.file, { encoding = SETTINGS.encoding }),
  to = sync.hubspot "contacts",
  fields = {
    { "Email", to = "email", type = "email", key = true },
    { "First Name", to = "firstname" },
    { "Last Name", to = "lastname" },
    { "Company", to = "company" },
    { "Mobile", to = "phone", transform = phone, needs = { "Country" } },
    { "Country", to = "country", transform = country },
    { "Owner Email", to = "hubspot_owner_id", transform = owner, conflict = "never_overwrite" },
    { "Status", to = "lifecyclestage", transform = stage, conflict = "never_overwrite" },
    { "Created", to = "closedate", type = "date", transform = date },
  },
  quarantine = SETTINGS.quarantine,
  page = 100,
})

-- What a file holds, as a short text; nil when it is not there.
local function fingerprint(path)
  local there, file = pcall(fs.open, path)
  if not there then
    if file.kind == "not_found" then return nil end
    error(file, 0)
  end
  local sum = ""
  for piece in function() return file:read(256 * 1024) end do sum = crypto.sha256(sum .. piece) end
  file:close()
  return sum
end

local missed = false         -- told once

every("15m", { name = "contact import", retries = 10, timeout = "8h", priority = "bulk" }, function()
  local dry_run = env.get "DRY_RUN" == "yes"
  local seen, corrected = dry_run and "seen dry" or "seen", false
  local file, bad = fingerprint(SETTINGS.file), fingerprint(SETTINGS.quarantine)
  if not file and not missed then log.info("contact import: waits for the file " .. SETTINGS.file) end
  missed = not file
  -- With other settings it is another one.
  file = file and crypto.sha256(file .. json.encode(SETTINGS), "hex")
  if not file or file == kv.get(seen) then
    corrected = not dry_run and bad and bad ~= kv.get "quarantine"
    if not corrected then return end
  end
  for person in hubspot.owners.list() do
    if person.email then owners[person.email:lower()] = person.id end
  end
  local result = corrected and contacts:retry_quarantine() or contacts:run { dry_run = dry_run, progress = false }
  print(result)
  if file then kv.set(seen, file) end
  if not dry_run then kv.set("quarantine", fingerprint(SETTINGS.quarantine) or "") end
end)
