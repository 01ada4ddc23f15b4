-- Nightly backup: chosen objects to CSV, one folder a night, the newest fourteen kept.
--
-- backups/2026-11-26/contacts.csv has a row a record, its id, all properties (or those you choose) and, if you like, the
-- ids of what it is associated with. Values are as HubSpot has them. A night that is cut off goes on where it was: what
-- has been read is in .part files beside, and a CSV file is there whole or not at all. backup.json comes last and says
-- that the night is complete; nights without it do not count as kept ones.
--
-- Scopes    crm.objects.companies.read, crm.objects.contacts.read, crm.objects.deals.read
-- Webhooks  none
-- Settings  permissions = { ["nightly_backup.lua"] = { fs = { "backups" } } }
-- Try       hubloop run nightly_backup.lua --sim --contacts 200 --for 2d --allow-fs backups
-- Change    the objects, the time and its zone, how many nights are kept.
local hubspot = require "hubspot"

local OBJECTS = {            -- without `properties` all of them
  { type = "contacts", associations = { "companies" } },
  { type = "companies" },
  { type = "deals", properties = { "dealname", "pipeline", "dealstage", "amount", "closedate", "createdate", "hubspot_owner_id" },
    associations = { "contacts", "companies" } },
}
local AT, ZONE = "0 2 * * *", "Europe/Berlin"
local FOLDER = "backups"
local KEEP = 14              -- nights
local PART = 2000            -- records; a night that is cut off reads no more than so many again

local function date(ms)
  local c = time.civil(ms, ZONE)
  return ("%04d-%02d-%02d"):format(c.year, c.month, c.day)
end

local function property_names(object)
  if object.properties then return object.properties end
  local names = {}
  for property in hubspot.properties.list(object.type) do names[#names + 1] = property.name end
  table.sort(names)
  return names
end

-- The ids of what a record is associated with, as "12;15".
local function associated(object, id, to)
  local ids = {}
  for other in hubspot.associations.list(object.type, id, to) do ids[#ids + 1] = other.toObjectId end
  return table.concat(ids, ";")
end

-- Up to PART records behind `cursor` to a file. Returns how many there were, and the next cursor.
local function write_part(object, names, path, cursor)
  local records = {}
  local list = hubspot.objects(object.type).list { properties = names, after = cursor }
  for record in list do
    records[#records + 1] = record
    if #records == PART then break end
  end
  local links = task.map(records, function(record)
    local row = {}
    for i, to in ipairs(object.associations or {}) do row[i] = associated(object, record.id, to) end
    return row
  end, { concurrency = 1000 })
  local file = csv.writer(path, { header = false })
  for i, record in ipairs(records) do
    local row = { record.id }
    for k, name in ipairs(names) do row[k + 1] = record.properties[name] or "" end
    file:write(table.move(links[i], 1, #links[i], #row + 1, row))
  end
  file:close()
  return { rows = #records, cursor = #records == PART and list:cursor() or nil }
end

local function back_up(object, folder)
  local names = step(object.type .. ": columns", function() return property_names(object) end)
  local function part_path(n) return ("%s/%s.%05d.part"):format(folder, object.type, n) end
  local parts, rows, cursor = 0, 0, nil
  repeat
    parts = parts + 1
    local part = step(("%s: part %d"):format(object.type, parts), function()
      return write_part(object, names, part_path(parts), cursor)
    end)
    rows, cursor = rows + part.rows, part.cursor
  until not cursor

  step(object.type .. ": whole", function()
    local header = table.move(names, 1, #names, 2, { "id" })
    for _, to in ipairs(object.associations or {}) do header[#header + 1] = "associated " .. to end
    local file = fs.open(("%s/%s.csv"):format(folder, object.type), "w")
    file:write(csv.format { header })
    for n = 1, parts do
      local part = fs.open(part_path(n))
      for piece in function() return part:read() end do file:write(piece) end
      part:close()
    end
    file:close()
  end)
  for n = 1, parts do fs.remove(part_path(n)) end
  return rows
end

-- Whatever is older than the newest KEEP complete nights goes. A file of yours in such a folder keeps the folder.
local function rotate()
  local nights, complete = {}, 0
  for _, name in ipairs(fs.list(FOLDER)) do
    if name:match "^%d%d%d%d%-%d%d%-%d%d/$" then table.insert(nights, 1, FOLDER .. "/" .. name) end
  end
  for _, night in ipairs(nights) do
    local files = fs.list(night)
    if complete >= KEEP then
      for _, file in ipairs(files) do
        if file:match "%.csv$" or file:match "%.part$" or file == "backup.json" then fs.remove(night .. file) end
      end
      pcall(fs.remove, (night:gsub("/$", "")))
    end
    for _, file in ipairs(files) do
      if file == "backup.json" then complete = complete + 1 end
    end
  end
end

cron(AT, { tz = ZONE, name = "nightly backup", retries = 10, timeout = "8h", priority = "bulk" }, function(event)
  local folder, rows = FOLDER .. "/" .. date(event.occurredAt), {}
  for _, object in ipairs(OBJECTS) do rows[object.type] = back_up(object, folder) end
  fs.write(folder .. "/backup.json", json.encode { due = time.iso(event.occurredAt), rows = rows })
  rotate()
  log.info("backup complete", folder, json.encode(rows))
end)
