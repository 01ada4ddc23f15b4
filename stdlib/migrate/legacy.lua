--- What a v1-v4 path of HubSpot becomes: the dated call, its scopes, and whether its body stays the same. HubSpot's
--- published operations know v3 and v4; of v1 and v2 this table does.
local _, host = ...

local legacy = {}

legacy.version = "2026-09"

local PROPERTIES <const> = "properties are an object of names and values, not a list"
local SEARCH <const> = "a search: filters in the body, 200 a page, `after` instead of an offset"
local PAGES <const> = "pages by `after` and `limit`; properties are an object"
local O <const> = "/crm/objects/{version}/"

-- method, old path, new method, new path, what differs. {} is any segment.
local ROWS <const> = {
  { "POST", "/contacts/v1/contact", "POST", O .. "contacts", PROPERTIES },
  { "GET", "/contacts/v1/contact/vid/{}/profile", "GET", O .. "contacts/{}", "name the properties you read" },
  { "POST", "/contacts/v1/contact/vid/{}/profile", "PATCH", O .. "contacts/{}", PROPERTIES },
  { "DELETE", "/contacts/v1/contact/vid/{}", "DELETE", O .. "contacts/{}", "answers 204" },
  { "GET", "/contacts/v1/contact/vids/batch", "POST", O .. "contacts/batch/read", "ids in the body, 100 at a time" },
  { "GET", "/contacts/v1/contact/email/{}/profile", "GET", O .. "contacts/{}", "with ?idProperty=email" },
  { "POST", "/contacts/v1/contact/email/{}/profile", "PATCH", O .. "contacts/{}", "with ?idProperty=email; " .. PROPERTIES },
  { "GET", "/contacts/v1/contact/emails/batch", "POST", O .. "contacts/batch/read", "idProperty email and the addresses in the body" },
  { "POST", "/contacts/v1/contact/createOrUpdate/email/{}", "POST", O .. "contacts/batch/upsert", "idProperty email in each input; "
    .. PROPERTIES },
  { "POST", "/contacts/v1/contact/batch", "POST", O .. "contacts/batch/upsert", "inputs of 100; " .. PROPERTIES },
  { "POST", "/contacts/v1/contact/merge-vids/{}", "POST", O .. "contacts/merge", "primaryObjectId and objectIdToMerge in the body" },
  { "GET", "/contacts/v1/search/query", "POST", O .. "contacts/search", SEARCH },
  { "GET", "/contacts/v1/lists/all/contacts/all", "GET", O .. "contacts", PAGES },
  { "GET", "/contacts/v1/lists/all/contacts/recent", "POST", O .. "contacts/search", SEARCH },
  { "GET", "/contacts/v1/lists/recently_updated/contacts/recent", "POST", O .. "contacts/search", SEARCH },
  { "GET", "/contacts/v1/lists", "POST", "/crm/lists/{version}/search", "a search for lists" },
  { "GET", "/contacts/v1/lists/static", "POST", "/crm/lists/{version}/search", "a search with processingTypes" },
  { "GET", "/contacts/v1/lists/dynamic", "POST", "/crm/lists/{version}/search", "a search with processingTypes" },
  { "POST", "/contacts/v1/lists", "POST", "/crm/lists/{version}", "filters are branches; objectTypeId 0-1; ids are others" },
  { "GET", "/contacts/v1/lists/{}", "GET", "/crm/lists/{version}/{}", "list ids are others: /crm/lists/{version}/idmapping tells them" },
  { "POST", "/contacts/v1/lists/{}", "PUT", "/crm/lists/{version}/{}/update-list-filters", "filters are branches; list ids are others" },
  { "DELETE", "/contacts/v1/lists/{}", "DELETE", "/crm/lists/{version}/{}", "list ids are others" },
  { "GET", "/contacts/v1/lists/{}/contacts/all", "GET", "/crm/lists/{version}/{}/memberships", "answers ids alone; list ids are others" },
  { "GET", "/contacts/v1/lists/{}/contacts/recent", "GET", "/crm/lists/{version}/{}/memberships/join-order",
    "answers ids alone; list ids are others" },
  { "POST", "/contacts/v1/lists/{}/add", "PUT", "/crm/lists/{version}/{}/memberships/add",
    "the body is a list of record ids; list ids are others" },
  { "POST", "/contacts/v1/lists/{}/remove", "PUT", "/crm/lists/{version}/{}/memberships/remove",
    "the body is a list of record ids; list ids are others" },
  { "POST", "/companies/v2/companies", "POST", O .. "companies", PROPERTIES },
  { "GET", "/companies/v2/companies/{}", "GET", O .. "companies/{}", "name the properties you read" },
  { "PUT", "/companies/v2/companies/{}", "PATCH", O .. "companies/{}", PROPERTIES },
  { "DELETE", "/companies/v2/companies/{}", "DELETE", O .. "companies/{}", "answers 204" },
  { "POST", "/companies/v1/batch-async/update", "POST", O .. "companies/batch/update", "inputs of 100; " .. PROPERTIES },
  { "GET", "/companies/v2/companies/paged", "GET", O .. "companies", PAGES },
  { "GET", "/companies/v2/companies/recent/modified", "POST", O .. "companies/search", SEARCH },
  { "GET", "/companies/v2/companies/recent/created", "POST", O .. "companies/search", SEARCH },
  { "POST", "/companies/v2/domains/{}/companies", "POST", O .. "companies/search", SEARCH },
  { "GET", "/companies/v2/companies/{}/contacts", "GET", O .. "companies/{}/associations/contacts", "answers ids and labels" },
  { "GET", "/companies/v2/companies/{}/vids", "GET", O .. "companies/{}/associations/contacts", "answers ids and labels" },
  { "POST", "/deals/v1/deal", "POST", O .. "deals", PROPERTIES },
  { "GET", "/deals/v1/deal/{}", "GET", O .. "deals/{}", "name the properties you read" },
  { "PUT", "/deals/v1/deal/{}", "PATCH", O .. "deals/{}", PROPERTIES },
  { "DELETE", "/deals/v1/deal/{}", "DELETE", O .. "deals/{}", "answers 204" },
  { "POST", "/deals/v1/batch-async/update", "POST", O .. "deals/batch/update", "inputs of 100; " .. PROPERTIES },
  { "GET", "/deals/v1/deal/paged", "GET", O .. "deals", PAGES },
  { "GET", "/deals/v1/deal/recent/modified", "POST", O .. "deals/search", SEARCH },
  { "GET", "/deals/v1/deal/recent/created", "POST", O .. "deals/search", SEARCH },
  { "GET", "/deals/v1/deal/associated/{}/{}/paged", "POST", "/crm/associations/{version}/{}/deals/batch/read",
    "ids in the body; then read the deals" },
  { "GET", "/deals/v1/pipelines", "GET", "/crm/pipelines/{version}/deals", "results, and stages in each" },
  { "GET", "/deals/v1/pipelines/{}", "GET", "/crm/pipelines/{version}/deals/{}", "other names of fields" },
  { "GET", "/crm-pipelines/v1/pipelines/{}", "GET", "/crm/pipelines/{version}/{}", "other names of fields" },
  { "POST", "/crm-pipelines/v1/pipelines/{}", "POST", "/crm/pipelines/{version}/{}", "other names of fields" },
  { "PUT", "/crm-pipelines/v1/pipelines/{}/{}", "PATCH", "/crm/pipelines/{version}/{}/{}", "other names of fields" },
  { "GET", "/deals/v1/pipelines/{}/stages", "GET", "/crm/pipelines/{version}/deals/{}/stages", "other names of fields" },
  { "POST", "/crm-objects/v1/objects/{}", "POST", O .. "{}", PROPERTIES },
  { "GET", "/crm-objects/v1/objects/{}/paged", "GET", O .. "{}", PAGES },
  { "GET", "/crm-objects/v1/objects/{}/{}", "GET", O .. "{}/{}", "name the properties you read" },
  { "PUT", "/crm-objects/v1/objects/{}/{}", "PATCH", O .. "{}/{}", PROPERTIES },
  { "DELETE", "/crm-objects/v1/objects/{}/{}", "DELETE", O .. "{}/{}", "answers 204" },
  { "POST", "/crm-objects/v1/objects/{}/batch-create", "POST", O .. "{}/batch/create", "inputs of 100; " .. PROPERTIES },
  { "POST", "/crm-objects/v1/objects/{}/batch-read", "POST", O .. "{}/batch/read", "inputs of 100" },
  { "POST", "/crm-objects/v1/objects/{}/batch-update", "POST", O .. "{}/batch/update", "inputs of 100; " .. PROPERTIES },
  { "POST", "/crm-objects/v1/objects/{}/batch-delete", "POST", O .. "{}/batch/archive", "inputs of 100" },
  { "PUT", "/crm-associations/v1/associations", "POST", "/crm/associations/{version}/{}/{}/batch/create",
    "both types in the path; types by associationTypeId" },
  { "PUT", "/crm-associations/v1/associations/create-batch", "POST", "/crm/associations/{version}/{}/{}/batch/create",
    "both types in the path" },
  { "PUT", "/crm-associations/v1/associations/delete", "POST", "/crm/associations/{version}/{}/{}/batch/archive",
    "both types in the path" },
  { "PUT", "/crm-associations/v1/associations/delete-batch", "POST", "/crm/associations/{version}/{}/{}/batch/archive",
    "both types in the path" },
  { "GET", "/crm-associations/v1/associations/{}/{}/{}", "POST", "/crm/associations/{version}/{}/{}/batch/read",
    "both types in the path, ids in the body" },
  { "POST", "/engagements/v1/engagements", "POST", O .. "notes", "an object type of its own for notes, tasks, calls, emails and meetings" },
  { "GET", "/engagements/v1/engagements/{}", "GET", O .. "notes/{}",
    "an object type of its own for notes, tasks, calls, emails and meetings" },
  { "PATCH", "/engagements/v1/engagements/{}", "PATCH", O .. "notes/{}",
    "an object type of its own for notes, tasks, calls, emails and meetings" },
  { "DELETE", "/engagements/v1/engagements/{}", "DELETE", O .. "notes/{}",
    "an object type of its own for notes, tasks, calls, emails and meetings" },
  { "GET", "/engagements/v1/engagements/paged", "GET", O .. "notes",
    "an object type of its own for notes, tasks, calls, emails and meetings" },
  { "GET", "/engagements/v1/engagements/associated/{}/{}/paged", "GET", O .. "{}/{}/associations/notes",
    "an object type of its own for notes, tasks, calls, emails and meetings" },
  { "GET", "/owners/v2/owners", "GET", "/crm/owners/{version}", "results and paging; ids are strings" },
  { "GET", "/owners/v2/owners/{}", "GET", "/crm/owners/{version}/{}", "ids are strings" },
  { "GET", "/properties/v1/{}/properties", "GET", "/crm/properties/{version}/{}", "results" },
  { "POST", "/properties/v1/{}/properties", "POST", "/crm/properties/{version}/{}", "the same words; options need a value" },
  { "GET", "/properties/v1/{}/properties/named/{}", "GET", "/crm/properties/{version}/{}/{}", "the same words" },
  { "PUT", "/properties/v1/{}/properties/named/{}", "PATCH", "/crm/properties/{version}/{}/{}", "the same words" },
  { "DELETE", "/properties/v1/{}/properties/named/{}", "DELETE", "/crm/properties/{version}/{}/{}", "answers 204" },
  { "GET", "/properties/v1/{}/groups", "GET", "/crm/properties/{version}/{}/groups", "results; properties apart" },
  { "POST", "/properties/v1/{}/groups", "POST", "/crm/properties/{version}/{}/groups", "label instead of displayName" },
  { "GET", "/contacts/v1/properties", "GET", "/crm/properties/{version}/contacts", "results" },
  { "POST", "/contacts/v1/properties", "POST", "/crm/properties/{version}/contacts", "the same words" },
  { "GET", "/contacts/v2/properties", "GET", "/crm/properties/{version}/contacts", "results" },
  { "GET", "/contacts/v2/groups", "GET", "/crm/properties/{version}/contacts/groups", "results; properties apart" },
  { "GET", "/integrations/v1/me", "GET", "/account-info/{version}/details", "other names of fields" },
  { "GET", "/integrations/v1/limit/daily", "GET", "/account-info/{version}/api-usage/daily/private-apps", "other names of fields" },
  { "POST", "/email/public/v1/singleEmail/send", "POST", "/marketing/transactional/{version}/single-email/send",
    "contactProperties and customProperties are objects" },
  { "GET", "/email/public/v1/subscriptions/{}", "GET", "/communication-preferences/{version}/statuses/{}",
    "one answer for each subscription type" },
  { "PUT", "/email/public/v1/subscriptions/{}", "POST", "/communication-preferences/{version}/statuses/{}", "one subscription a call" },
  { "GET", "/crm/v3/schemas", "GET", "/crm-object-schemas/{version}/schemas" },
  { "POST", "/crm/v3/schemas", "POST", "/crm-object-schemas/{version}/schemas" },
  { "GET", "/crm/v3/schemas/{}", "GET", "/crm-object-schemas/{version}/schemas/{}" },
  { "PATCH", "/crm/v3/schemas/{}", "PATCH", "/crm-object-schemas/{version}/schemas/{}" },
  { "DELETE", "/crm/v3/schemas/{}", "DELETE", "/crm-object-schemas/{version}/schemas/{}" },
}
legacy.rows = ROWS

-- Beginnings of HubSpot's v1 and v2 APIs that have no dated form at all, or another product's.
local GONE <const> = {
  ["/automation/v2"] = "workflows: /automation/v4/flows, which has no dated form yet",
    ["/automation/v3"] = "workflows: /automation/v4/flows, which has no dated form yet",
  ["/forms/v2"] = "forms: /marketing/v3/forms, which has no dated form yet",
    ["/content/api/v2"] = "pages and posts: /cms/pages/2026-03, /cms/blogs/2026-09",
  ["/calendar/v1"] = "HubSpot publishes no dated calendar API", ["/broadcast/v1"] = "HubSpot publishes no dated social API",
  ["/analytics/v2"] = "HubSpot publishes no dated analytics API", ["/social/v1"] = "HubSpot publishes no dated social API",
  ["/blogs/v3"] = "blogs: /cms/blogs/2026-09", ["/comments/v3"] = "HubSpot publishes no dated comments API",
  ["/cosemail/v1"] = "marketing emails: /marketing/emails/2026-09",
    ["/email/public/v1"] = "HubSpot publishes no dated form of this e-mail API",
  ["/ecomm/v2"] = "orders, carts and products are CRM objects now",
    ["/extensions/ecomm/v2"] = "orders, carts and products are CRM objects now",
  ["/extensions/sales-objects/v1"] = "orders, carts and products are CRM objects now",
    ["/integrations/v1"] = "timeline: /integrators/timeline/2026-03",
  ["/content/filemanager/api/v2"] = "files: /files/2026-03", ["/form-integrations/v1"] = "files of forms: /files/2026-03",
    ["/cms/v2"] = "HubSpot publishes no dated form",
  ["/content/api/v4"] = "pages and posts: /cms/pages/2026-03, /cms/blogs/2026-09", ["/hubdb/api/v1"] = "tables: /cms/hubdb/2026-03",
    ["/keywords/v1"] = "HubSpot ended the keywords API",
  ["/crm/v3/timeline"] = "timeline: /integrators/timeline/2026-03",
  ["/url-mappings/v1"] = "redirects: /cms/url-redirects/2026-09", ["/templates/v2"] = "templates: /cms/source-code/2026-09",
}

-- v3 and v4 calls whose dated form takes or answers something else.
local DIFFERS <const> = {
  { "^/crm/v3/associations/", "types by associationCategory and associationTypeId; answers toObjectId and associationTypes" },
  { "^/crm/v3/objects/[^/]+/[^/]+/associations/[^/]+$", "answers toObjectId and associationTypes" },
  { "^/crm/objects/v3/[^/]+/[^/]+/associations/[^/]+$", "answers toObjectId and associationTypes" },
  { "^/communication%-preferences/v3", "other names of fields" },
  { "^/oauth/v1", "the client's id and secret in the body; the answer has other fields" },
}

local METHODS <const> = { "GET", "POST", "PUT", "PATCH", "DELETE" }

local function split(path)
  local list = {}
  for s in path:gmatch("[^/]+") do list[#list + 1] = s end
  return list
end

local by_old = {}
for _, row in ipairs(ROWS) do
  local list = split(row[2])
  by_old[#list] = by_old[#list] or {}
  table.insert(by_old[#list], { row = row, list = list })
end

-- The rows of the longest old path that matches, those with most literal segments.
local function rows_for(list)
  local found, most = {}, -1
  for _, one in ipairs(by_old[#list] or {}) do
    local literal, fits = 0, true
    for i, want in ipairs(one.list) do
      if want == "{}" then goto continue end
      if want ~= list[i] then
        fits = false
        break
      end
      literal = literal + 1
      ::continue::
    end
    if fits and literal > most then found, most = {}, literal end
    if fits and literal == most then found[#found + 1] = one.row end
  end
  return found
end

-- The new path with the old one's own words in place of {}, in their order.
local function fill(new, old, list)
  local words, n = {}, 0
  for i, s in ipairs(split(old)) do
    if s == "{}" then words[#words + 1] = list[i] end
  end
  return (new:gsub("{}", function()
    n = n + 1
    return words[n] or "{}"
  end))
end

local function dated(path) return (path:gsub("{version}", legacy.version)) end

local function add_scopes(item, operation)
  item.scopes = operation and operation.scopes
  item.api = operation and operation.api or item.api
end

-- The operation at a dated path: of that method, or of a method that is not told the reading one, and whether it can write too.
local function operation_at(path, method)
  if method then return host.operation(method, path) end
  local found, others = nil, {}
  for _, name in ipairs(METHODS) do
    local operation = host.operation(name, path)
    if operation and not found then found = operation
    elseif operation then others[#others + 1] = operation end
  end
  return found, others
end

-- How many segments at their ends the old path and the new share: those are not touched.
local function shared(list, replacement)
  local new, keep = split(replacement), 0
  while keep < #new and keep < #list and new[#new - keep] == list[#list - keep] do keep = keep + 1 end
  return keep
end

local function from_rows(item, rows, list)
  local chosen
  for _, row in ipairs(rows) do
    if row[1] == item.method then chosen = row end
  end
  if not chosen and item.method and item.told then
    item.note = ("HubSpot's old API has no %s here"):format(item.method)
  end
  chosen = chosen or rows[1]
  item.new_method = chosen[3]
  item.replacement = dated(fill(chosen[4], chosen[2], list))
  item.body = chosen[5] and "differs" or "same"
  item.keep = shared(list, item.replacement)
  item.note = item.note or chosen[5] and dated(chosen[5])
  add_scopes(item, (host.operation(chosen[3], item.replacement)))
  if not item.method and #rows > 1 then
    item.others = {}
    for _, row in ipairs(rows) do
      if row ~= chosen then item.others[#item.others + 1] = host.operation(row[3], dated(fill(row[4], row[2], list))) end
    end
  end
  return item
end

---What a call of a legacy path becomes.
---@param path string with {} where the text does not tell
---@param method string|nil
---@return { path: string, replacement: string|nil, body: "same"|"differs"|"unknown", scopes: string[][]|nil, note: string|nil,
---  api: string|nil, known: boolean, sure: boolean, keep: integer|nil } known: HubSpot has or had an API there; sure: this very call;
---  keep: so many of the last segments stay as they are
function legacy.judge(path, method)
  path = path:gsub("/+$", "")
  local list = split(path)
  if #list == 0 then return { path = path, body = "unknown", known = false, sure = false } end
  local item = { path = path, method = method, body = "unknown", known = false, api = list[1] }
  local rows = rows_for(list)
  if #rows > 0 then
    item.known, item.sure = true, true
    return from_rows(item, rows, list)
  end
  if list[#list]:find("^v[1-4]$") and not path:find("^/%a+/v[12]$") then
    item.known, item.note = #list > 1, "a beginning: the version moves behind the segment that follows it in each call"
    return item
  end
  local old = method and host.operation(method, path)
  if not method then old = operation_at(path) end
  if old and old.versions[1] and old.versions[1]:find("^v") then
    item.known, item.sure, item.note = true, true,
      "HubSpot publishes no dated form of it yet: leave it, and look again before its support ends"
    add_scopes(item, old)
    return item
  end
  local _, to = host.operation("GET", path, legacy.version)
  if not to then
    for n = math.min(#list, 4), 2, -1 do
      local note = GONE["/" .. table.concat(list, "/", 1, n)]
      if note then
        item.known, item.sure, item.note = true, #list > n, note
        return item
      end
    end
    item.note = "HubSpot's documents do not list it: look for what replaces it"
    return item
  end
  item.replacement = to
  -- "…": nothing of what follows stays; asked for with one more segment, so that it shows of the API's own root, too.
  local _, below = host.operation("GET", path .. "/-", legacy.version)
  if to:find("…", 1, true) or below and below:find("…", 1, true) then
    item.body, item.known = "differs", true
    item.note = "the dated API has other paths below: look there for the call that you make"
    local base = to:gsub("/…$", "")
    add_scopes(item, (operation_at(base, method)) or (operation_at(base)))
    return item
  end
  local operation, others = operation_at(to, method)
  if not operation then
    item.known = list[#list] == "{}" or #split(to) <= 3
    item.note = method and operation_at(to) and ("HubSpot publishes no %s there"):format(method)
      or "HubSpot publishes no such dated path: look for what replaces it"
    if list[#list] == "{}" then item.note = "what follows decides: not all calls of this API have a dated form" end
    add_scopes(item, (operation_at(to)))
    return item
  end
  item.known, item.sure, item.others = true, true, others
  item.body = to == path and "unknown" or "same"
  for _, rule in ipairs(DIFFERS) do
    if path:find(rule[1]) then item.body, item.note = "differs", rule[2] end
  end
  item.keep = shared(list, to)
  add_scopes(item, operation)
  return item
end

---Whether a path is HubSpot's by its own words, whoever's host it is called on.
---@param path string
---@return boolean
function legacy.distinct(path)
  if path:find("^/crm/v[34]/") or path:find("^/crm/objects/v3/") or path:find("^/crm/associations/v4/") then return true end
  local first, second, third = path:match("^/([%w%-]+)/v[12]/?([%w_%-{}]*)/?([%w_%-{}]*)")
  local words = { contacts = "contact contacts lists search properties groups", companies = "companies domains", deals = "deal pipelines",
    engagements = "engagements", owners = "owners", ["crm-objects"] = "objects", ["crm-associations"] = "associations",
    ["crm-pipelines"] = "pipelines" }
  if first == "properties" then return third == "properties" or third == "groups" end
  if first and words[first] then return second ~= "" and (" " .. words[first] .. " "):find(" " .. second .. " ", 1, true) ~= nil end
  return path:find("^/email/public/v1/") ~= nil or path:find("^/marketing/v[34]/") ~= nil or path:find("^/integrators/timeline/v3") ~= nil
    or path:find("^/communication%-preferences/v[34]/") ~= nil or path:find("^/automation/v[234]/workflows") ~= nil
    or path:find("^/automation/v4/") ~= nil or path:find("^/cms/v3/") ~= nil or path:find("^/hubdb/api/v2") ~= nil
end

return legacy
