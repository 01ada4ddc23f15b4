--- Calls of HubSpot's own clients, whose released versions speak v3, and older clients, which speak v1 and v2.
local clients = {}

local PREFIX <const> = "/crm/v3/objects/"
local TYPES <const> = { contacts = "contacts", companies = "companies", deals = "deals", tickets = "tickets", products = "products",
  lineitems = "line_items", quotes = "quotes", notes = "notes", tasks = "tasks", calls = "calls", emails = "emails", meetings = "meetings",
  communications = "communications", feedbacksubmissions = "feedback_submissions", leads = "leads" }

-- By the API's and the function's name without "_" and in small letters: method and what follows the type.
local RECORDS <const> = {
  basicapi = { create = { "POST", "" }, getbyid = { "GET", "/{}" }, getpage = { "GET", "" }, update = { "PATCH", "/{}" },
    archive = { "DELETE", "/{}" } },
  batchapi = { create = { "POST", "/batch/create" }, read = { "POST", "/batch/read" }, update = { "POST", "/batch/update" },
    upsert = { "POST", "/batch/upsert" }, archive = { "POST", "/batch/archive" } },
  searchapi = { dosearch = { "POST", "/search" } },
}
local OTHERS <const> = {
  owners = { ownersapi = { getpage = { "GET", "/crm/v3/owners" }, getbyid = { "GET", "/crm/v3/owners/{}" } } },
  properties = { coreapi = { getall = { "GET", "/crm/v3/properties/{}" }, create = { "POST", "/crm/v3/properties/{}" },
    getbyname = { "GET", "/crm/v3/properties/{}/{}" }, update = { "PATCH", "/crm/v3/properties/{}/{}" }, archive = { "DELETE",
      "/crm/v3/properties/{}/{}" } } },
  pipelines = { pipelinesapi = { getall = { "GET", "/crm/v3/pipelines/{}" }, getbyid = { "GET", "/crm/v3/pipelines/{}/{}" },
    create = { "POST", "/crm/v3/pipelines/{}" }, update = { "PATCH", "/crm/v3/pipelines/{}/{}" }, archive = { "DELETE",
      "/crm/v3/pipelines/{}/{}" } } },
}

-- Packages that know v1 and v2 only, as manifests name them.
local PACKAGES <const> = {
  { "package%.json$", "\"hubspot\"%s*:%s*\"[%^~]?%d", "the npm package hubspot calls v1 and v2" },
  { "composer%.json$", "\"hubspot/hubspot%-php\"%s*:", "hubspot/hubspot-php calls v1 and v2" },
  { "composer%.json$", "\"ryanwinchester/hubspot%-php\"%s*:", "hubspot-php calls v1 and v2" },
  { "Gemfile$", "gem%s*%(?[\"']hubspot%-ruby[\"']", "hubspot-ruby calls v1 and v2" },
  { "requirements[%w%-]*%.txt$", "%f[%w]hubspot3%f[^%w]", "hubspot3 calls v1 and v2" },
  { "pyproject%.toml$", "%f[%w]hubspot3%f[^%w]", "hubspot3 calls v1 and v2" },
  { "%.csproj$", "Include=\"HubSpot%.NET\"", "HubSpot.NET calls v1 and v2" },
}

local function plain(name) return name:gsub("_", ""):lower() end

-- The words around an API's name: `crm.contacts.basicApi.getById`, `crm()->contacts()->basicApi()->getById`.
local DOT <const> = "[%(%)]*%s*[%.%->?:]+%s*"
local WORDS <const> = "()%f[%w_]crm" .. DOT .. "([%w_]+)" .. DOT .. "([%w_]+)" .. DOT .. "([%w_]+)[%(%)]*%s*[%.%->?:]*%s*([%w_]*)"

---@param name string
---@param s string
---@return { at: integer, method: string|nil, path: string|nil, note: string }[]
function clients.find(name, s)
  local found = {}
  for at, a, b, c, d in s:gmatch(WORDS) do
    local first, api, fn = plain(a), plain(b), plain(c)
    local call
    if first == "objects" and TYPES[api] and RECORDS[fn] then
      call = RECORDS[fn][plain(d)]
      if call then call = { call[1], PREFIX .. TYPES[api] .. call[2] } end
    elseif first == "objects" and RECORDS[api] then
      call = RECORDS[api][fn]
      if call then call = { call[1], PREFIX .. "{}" .. call[2] } end
    elseif TYPES[first] and RECORDS[api] then
      call = RECORDS[api][fn]
      if call then call = { call[1], PREFIX .. TYPES[first] .. call[2] } end
    elseif OTHERS[first] and OTHERS[first][api] then call = OTHERS[first][api][fn]
    end
    if call then
      found[#found + 1] = { at = at, method = call[1], path = call[2],
        note = "HubSpot's client does it: take a release that calls dated paths, or call the path yourself" }
    end
  end
  for _, package in ipairs(PACKAGES) do
    local at = name:find(package[1]) and s:find(package[2])
    if at then found[#found + 1] = { at = at, note = package[3] .. ": replace it" } end
  end
  return found
end

return clients
