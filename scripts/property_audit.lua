-- Property audit: how well each property is filled in, and which ones want a decision.
--
-- On the first of each month, for contacts, companies and deals: how many records have a value, how many different ones,
-- how many outside of the property's options, and when the newest record with a value was made. Found are properties of
-- your own that nobody uses or that always say the same, values that are no option (any more), and properties that mean
-- the same as another one: by name or label, or because the same values stand in both. Findings go to the terminal, all
-- of it to reports/properties-DATE.html and to a CSV file for each object. HubSpot's calculated and hidden properties are
-- left out. A run that is cut off does not read again what it has finished.
--
-- Scopes    crm.objects.companies.read, crm.objects.contacts.read, crm.objects.deals.read
-- Webhooks  none
-- Settings  permissions = { ["property_audit.lua"] = { fs = { "reports" } } }
-- Try       hubloop run property_audit.lua --sim --contacts 200 --for 35d --allow-fs reports
-- Change    the objects, the time and its zone, and what counts as rare and as the same.
local hubspot = require "hubspot"
local report = require "report"

local OBJECTS = { "contacts", "companies", "deals" }
local AT, ZONE = "0 6 1 * *", "Europe/Berlin"
local RARE = 2               -- percent of the records; less is rare
local SAME, LEAST = 90, 20   -- percent of the values, and of how many, make two properties the same
local NOT_COUNTED = { old = true, new = true, copy = true, custom = true, field = true, c = true, the = true, of = true }

local COLUMNS = {}
for i, label in ipairs { "Property", "Label", "Type", "Whose", "Filled in", "Percent", "Different values", "Outside options",
  "Newest record", "Finding" } do COLUMNS[i] = { label = label, kind = i >= 5 and i <= 8 and "number" or "text" } end

local function properties_of(object_type)
  local list = {}
  for p in hubspot.properties.list(object_type) do
    if not p.calculated and not p.hidden then
      local options = {}
      for _, option in ipairs(p.options or {}) do options[option.value] = true end
      list[#list + 1] = { name = p.name, label = p.label, type = p.type, own = not p.hubspotDefined, findings = {},
        options = p.type == "enumeration" and next(options) and options, filled = 0, values = {}, different = 0, outside = 0, newest = "" }
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

-- Looks at a value, and at which other properties of the record say the same.
local function count(p, value, made, seen, same)
  p.filled = p.filled + 1
  if made > p.newest then p.newest = made end
  if p.different < 1000 and not p.values[value] then p.values[value], p.different = true, p.different + 1 end
  for one in (p.options and value or ""):gmatch "[^;]+" do
    if not p.options[one] then p.outside, p.example = p.outside + 1, one end
  end
  if #value < 4 then return end                    -- "yes", "12": alike by chance
  local folded = value:lower()
  for _, other in ipairs(seen[folded] or {}) do
    same[other] = same[other] or {}
    same[other][p] = (same[other][p] or 0) + 1
  end
  seen[folded] = seen[folded] or {}
  table.insert(seen[folded], p)
end

-- "Job title (old)", "job_title__c" and "Jobtitle 2" mean "jobtitle".
local function meaning(name)
  local words = {}
  for word in (text.fold((name:gsub("_", " "))) or ""):gmatch "%S+" do
    if not NOT_COUNTED[word] and not word:match "^%d+$" then words[#words + 1] = word end
  end
  return table.concat(words)
end

local function alike(a, b, how)
  if not (a.own or b.own) or a.findings[b.name] then return end
  a.findings[b.name], b.findings[a.name] = true, true
  table.insert(a.findings, how .. " as " .. b.name)
  table.insert(b.findings, how .. " as " .. a.name)
end

local function judge(list, same, records)
  local by_meaning = {}
  for _, p in ipairs(list) do
    if p.own and p.filled == 0 then table.insert(p.findings, "unused")
    elseif p.own and p.filled * 100 < RARE * records then table.insert(p.findings, "rare")
    elseif p.own and p.filled >= LEAST and p.different == 1 then table.insert(p.findings, "always the same value") end
    if p.outside > 0 then
      table.insert(p.findings, ("%d values outside its options, such as \"%s\""):format(p.outside, p.example))
    end
    for _, key in ipairs { meaning(p.label), meaning(p.name) } do
      if by_meaning[key] and by_meaning[key] ~= p then alike(p, by_meaning[key], "the same meaning") end
      by_meaning[key] = key ~= "" and by_meaning[key] or p
    end
    for _, other in ipairs(list) do
      local n, least = same[p] and same[p][other] or 0, math.min(p.filled, other.filled)
      if least >= LEAST and n * 100 >= SAME * least then alike(p, other, "the same values") end
    end
  end
end

local function audit(object_type, path)
  local list, names, same, records = properties_of(object_type), { "createdate" }, {}, 0
  for _, p in ipairs(list) do names[#names + 1] = p.name ~= "createdate" and p.name or nil end
  for record in hubspot.objects(object_type).list { properties = names } do
    local seen = {}
    records = records + 1
    for _, p in ipairs(list) do
      local value = record.properties[p.name]
      if value and value ~= "" then count(p, value, (record.properties.createdate or ""):sub(1, 10), seen, same) end
    end
  end
  judge(list, same, records)
  local rows = {}
  for i, p in ipairs(list) do
    local percent = records > 0 and math.floor(p.filled * 1000 / records + 0.5) / 10 or 0
    rows[i] = { p.name, p.label, p.type, p.own and "yours" or "HubSpot's", p.filled, percent, p.different, p.outside, p.newest,
      table.concat(p.findings, "; ") }
  end
  fs.write(path, report.table { columns = COLUMNS, rows = rows }:csv())
  return records
end

cron(AT, { tz = ZONE, name = "property audit", retries = 10, timeout = "8h", priority = "bulk" }, function(event)
  local c = time.civil(event.occurredAt, ZONE)
  local name = ("reports/properties-%04d-%02d-%02d"):format(c.year, c.month, c.day)
  local page, found = { title = "Properties, " .. name:sub(-10) }, {}
  for _, object_type in ipairs(OBJECTS) do
    local path = ("%s-%s.csv"):format(name, object_type)
    local records = step(object_type, function() return audit(object_type, path) end)
    local rows = {}
    for row in csv.rows(path) do
      local out = {}
      for i, column in ipairs(COLUMNS) do out[i] = tonumber(row[column.label]) or row[column.label] end
      rows[#rows + 1] = out
      if row.Finding ~= "" then found[#found + 1] = { object_type, out[1], out[5], out[6], out[10] } end
    end
    page[#page + 1] = report.table { title = ("%s: %d records"):format(object_type, records), columns = COLUMNS, rows = rows }
  end
  local findings = report.table { title = "Findings", rows = found,
    columns = { { label = "Object", kind = "text" }, COLUMNS[1], COLUMNS[5], COLUMNS[6], COLUMNS[10] } }
  table.insert(page, 1, findings)
  fs.write(name .. ".html", report.page(page))
  print(findings:text())
  log.info(("property audit: %d findings, %s.html"):format(#found, name))
end)
