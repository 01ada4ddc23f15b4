-- Duplicates: finds contacts and companies that are there twice, proposes which to merge, and merges what a person approves.
--
-- Every Sunday night it writes duplicates/contacts.csv and companies.csv: pairs, how sure they are (0 to 1), why, and which
-- record would stay (the one with more values; then the older). A person writes yes into the column "merge" of the rows
-- that are right; each hour the script merges those, notes it in the column "done", and leaves the others alone. A merge
-- cannot be undone in HubSpot: the script makes none by itself.
--
-- Scopes    crm.objects.companies.read, crm.objects.companies.write, crm.objects.contacts.read, crm.objects.contacts.write
-- Webhooks  none
-- Settings  permissions = { ["duplicates.lua"] = { fs = { "duplicates" } } }
-- Try       hubloop run duplicates.lua --sim --contacts 400 --for 7d --allow-fs duplicates
-- Change    the keys and how sure each makes it, the time, from how sure on a pair is proposed.
local hubspot = require "hubspot"
local text = require "text"

local AT, ZONE = "0 3 * * SUN", "Europe/Berlin"
local SURE_ENOUGH = 0.7
local LARGEST = 20                                   -- records of one key: a key that more share says nothing
local COLUMNS <const> = { "score", "why", "stays", "name of stays", "goes", "name of goes", "merge", "done" }

-- Of each object: its properties, its name, and its keys: { what, how sure, function(record) }.
local OBJECTS = {
  contacts = {
    properties = { "email", "firstname", "lastname", "phone", "company", "country", "createdate" },
    name = function(r) return ("%s %s <%s>"):format(r.firstname or "", r.lastname or "", r.email or "") end,
    keys = {
      { "same address but for dots and +tags", 0.95, function(r)
        local whole, domain = text.email(r.email)
        local name = whole and whole:match("^([^+@]+)")
        return name and (text.is_free_mail(domain) and name:gsub("%.", "") or name) .. "@" .. domain
      end },
      { "same phone and surname", 0.9, function(r)
        local phone = r.phone and text.phone(r.phone, text.country(r.country))
        return phone and r.lastname and phone .. " " .. text.fold(r.lastname)
      end },
      { "same name and company", 0.8, function(r)
        local company = text.company_name(r.company)
        return company and r.firstname and r.lastname and ("%s %s %s"):format(text.fold(r.firstname), text.fold(r.lastname), company)
      end },
    },
  },
  companies = {
    properties = { "name", "domain", "phone", "country", "createdate" },
    name = function(r) return ("%s <%s>"):format(r.name or "", r.domain or "") end,
    keys = {
      { "same domain", 0.95, function(r) return text.domain(r.domain) end },
      { "same name and country", 0.75, function(r)
        local name = text.company_name(r.name)
        return name and r.country and name .. " " .. (text.country(r.country) or text.fold(r.country))
      end },
    },
  },
}

local function filled(record, properties)
  local n = 0
  for _, p in ipairs(properties) do
    local value = record[p]
    if value and value ~= "" then n = n + 1 end
  end
  return n
end

-- Pairs of records that share a key, the surest first.
local function proposals(object)
  local def, groups, pairs_of = OBJECTS[object], {}, {}
  for record in hubspot[object].list { properties = def.properties } do
    for k, key in ipairs(def.keys) do
      local value = key[3](record)
      local group = value and (groups[k .. value] or { key = key })
      if group then
        groups[k .. value] = group
        group[#group + 1] = record
      end
    end
  end
  for _, group in pairs(groups) do
    for i = 2, #group <= LARGEST and #group or 0 do
      local a, b = group[1], group[i]
      local fa, fb = filled(a, def.properties), filled(b, def.properties)
      if fb > fa or fb == fa and (b.createdate or "") < (a.createdate or "") then a, b = b, a end
      local id = a.id .. " " .. b.id
      local p = pairs_of[id] or { score = 0, why = {}, stays = a, goes = b, id = id }
      p.score = 1 - (1 - p.score) * (1 - group.key[2])
      p.why[#p.why + 1] = group.key[1]
      pairs_of[id] = p
    end
  end
  local list = {}
  for _, p in pairs(pairs_of) do
    if p.score >= SURE_ENOUGH then list[#list + 1] = p end
  end
  table.sort(list, function(x, y)
    if x.score ~= y.score then return x.score > y.score end
    return x.id < y.id
  end)
  return list
end

local function path_of(object) return "duplicates/" .. object .. ".csv" end

local function write(object, rows) fs.write(path_of(object), csv.format(rows, { columns = COLUMNS, spreadsheet = true })) end

cron(AT, { tz = ZONE, name = "find duplicates", retries = 10, timeout = "2h", priority = "bulk" }, function()
  for _, object in ipairs { "contacts", "companies" } do
    local rows, name = {}, OBJECTS[object].name
    for i, p in ipairs(proposals(object)) do
      rows[i] = { score = ("%.2f"):format(p.score), why = table.concat(p.why, "; "), stays = p.stays.id, ["name of stays"] = name(p.stays),
        goes = p.goes.id, ["name of goes"] = name(p.goes), merge = "", done = "" }
    end
    write(object, rows)
    log.info(("duplicates: %d pairs of %s in %s"):format(#rows, object, path_of(object)))
  end
end)

every("1h", { name = "merge what is approved", priority = "bulk" }, function()
  for _, object in ipairs { "contacts", "companies" } do
    local there, content = pcall(fs.read, path_of(object))
    local rows, n = {}, 0
    for row in csv.rows((there and content or "") .. "\n", { bad = function() end }) do
      rows[#rows + 1] = row
      if text.fold(row.merge or "") == "yes" and row.done == "" then
        n = n + 1
        row.done = step(("%s %s %s"):format(object, row.stays, row.goes), function()
          local stays_there, stays = pcall(hubspot[object].get, row.stays)
          local goes_there, goes = pcall(hubspot[object].get, row.goes)
          for _, e in ipairs { not stays_there and stays or nil, not goes_there and goes or nil } do
            if e.status ~= 404 then error(e, 0) end
          end
          if not stays_there or not goes_there then return "one of them is gone" end
          -- An id of a merged record leads to what it became.
          if stays.id == goes.id then return "merged into " .. stays.id end
          return "merged into " .. hubspot[object].merge(stays.id, goes.id).id
        end)
      end
    end
    if n > 0 then
      write(object, rows)
      log.info(("duplicates: %d pairs of %s were approved"):format(n, object))
    end
  end
end)
