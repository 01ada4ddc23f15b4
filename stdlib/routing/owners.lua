--- The account's owners by e-mail and id, read once and kept: an e-mail in a pool becomes an owner id, and who has
--- left the account is seen, and who is away, when a property of their users says so. Read again after 15 minutes, or
--- at once (but once a minute) when somebody is unknown.
local _, host = ...
local calendar = require "routing.calendar"
local hubspot = require "hubspot"
local single = require "routing.single"

local FRESH_MS <const> = 15 * 60 * 1000
local UNKNOWN_MS <const> = 60 * 1000

local owners = {
  NONE = "no active owner of the account",   -- what keeps somebody from a lead who is none
}
local directories = {}   -- by account name: ids and mailboxes are of one account
local away_property

-- The absences that HubSpot's users have in the property, by owner id and e-mail.
local function absences()
  local found, told = {}, {}
  for user in hubspot.objects("users").list { properties = { "hs_email", "hubspot_owner_id", away_property } } do
    local email, absence, wrong = user.hs_email, calendar.absence(user[away_property])
    if wrong then told[#told + 1] = ("%s: %s"):format(email or user.id, wrong) end
    if user.hubspot_owner_id then found[tostring(user.hubspot_owner_id)] = absence end
    if email then found[email:lower()] = absence end
  end
  if #told > 0 then
    log.warn(("routing: %s of %d users cannot be read, so they count as present: %s"):format(away_property, #told, told[1]))
  end
  return found
end

local function new_directory()
  local directory = { read_at = nil, by_email = {}, by_id = {} }
  directory.load, directory.loading = single(function()
    local by_email, by_id, away = {}, {}, away_property and absences() or {}
    for owner in hubspot.owners.list() do
      if not owner.archived then
        local entry = { id = tostring(owner.id), email = owner.email and owner.email:lower() or nil }
        entry.absence = away[entry.id] or away[entry.email or ""]
        by_id[entry.id] = entry
        if entry.email and not by_email[entry.email] then by_email[entry.email] = entry end
      end
    end
    directory.by_email, directory.by_id, directory.read_at = by_email, by_id, time.now()
  end)
  return directory
end

local function directory_here()
  local account = host.account() or ""
  local directory = directories[account]
  if not directory then
    directory = new_directory()
    directories[account] = directory
  end
  if not directory.read_at then
    directory.load()
  elseif time.now() - directory.read_at >= FRESH_MS and not directory.loading() then
    -- Leads that come meanwhile use the list we have; when HubSpot cannot be reached, so does this one.
    local ok, err = pcall(directory.load)
    if not ok then log.warn("routing: the owners could not be read again: " .. tostring(err)) end
  end
  return directory
end

local function look(directory, key)
  return directory.by_email[key] or directory.by_id[key]
end

--- Members of all pools of the script are away when this property of HubSpot's users says so. Read with the owners, every
--- 15 minutes. Only while the script loads.
---@param property string hs_out_of_office_hours, hs_availability_status, or one with dates: "2026-12-24..2027-01-02, 2027-02-08"
function owners.watch_away(property)
  if type(property) ~= "string" or property == "" then
    error('routing.watch_away needs the name of a property of users, like "hs_out_of_office_hours"', 2)
  end
  if away_property then error("routing.watch_away is called twice", 2) end
  away_property = property
end

--- Makes sure that each of `keys` can be judged. Waits; afterwards owners.find does not.
---@param keys string[] e-mails in lower case, or owner ids
function owners.prepare(keys)
  local directory = directory_here()
  for _, key in ipairs(keys) do
    if not look(directory, key) then
      if time.now() - directory.read_at >= UNKNOWN_MS then directory.load() end
      return
    end
  end
end

--- The active owner with this e-mail or id, or nil. Does not wait; owners.prepare comes first.
---@param key string
---@return {id: string, email: string|nil}|nil
function owners.find(key)
  local directory = directories[host.account() or ""]
  return directory and look(directory, key)
end

return owners
