-- Company enrichment: what a data provider knows of a company's domain fills the properties that are empty.
--
-- A company that is new, or has got another domain, is looked up by it. Answers are kept, so that a domain is asked for
-- once a quarter, and one that the provider does not know once a week. What people have written is never replaced. When
-- the provider says that it is too much (429) or is away, the company waits as long as it asks for, and others go on.
--
-- Scopes    crm.objects.companies.read, crm.objects.companies.write
-- Webhooks  company.creation, company.propertyChange of domain
-- Settings  permissions = { ["company_enrichment.lua"] = { hosts = { "api.enrich.example" } } }
-- Try       hubloop run company_enrichment.lua --sim --contacts 200 --for 2d --allow-host api.enrich.example
--           --sim-http api.enrich.example=lib/company_enrichment_api.lua
-- Change    the provider's address and key, what of its answer goes where, how long answers hold.
local hubspot = require "hubspot"

local URL = "https://api.enrich.example/v1/companies?domain="
local HEADERS = {}                       -- { ["X-Api-Key"] = secret "ENRICH_KEY" }
local AT_ONCE = 4                        -- requests to the provider
local KNOWN, UNKNOWN = "90d", "7d"       -- how long answers hold

local INDUSTRIES = { software = "COMPUTER_SOFTWARE", banking = "BANKING", retail = "RETAIL" }
local FIELDS = {                         -- property: its value from the provider's answer; nil leaves it alone
  name = function(a) return type(a.name) == "string" and a.name or nil end,
  city = function(a) return type(a.city) == "string" and a.city or nil end,
  country = function(a) return type(a.country) == "string" and text.country_name(text.country(a.country) or "") or nil end,
  numberofemployees = function(a) return math.type(a.employees) == "integer" and a.employees > 0 and a.employees or nil end,
  industry = function(a) return INDUSTRIES[a.industry] end,
}

local names = { "domain" }
for name in pairs(FIELDS) do names[#names + 1] = name end
table.sort(names)
local gate = task.semaphore(AT_ONCE)

-- What the provider says: values, or { unknown = true }, or { again = seconds }.
local function ask(domain)
  local answer = gate:with(function() return http.get(URL .. domain, { headers = HEADERS, timeout = "20s" }) end)
  if answer.status == 404 then return { unknown = true } end
  if answer.status == 429 or answer.status >= 500 then
    return { again = math.max(1, math.min(tonumber(answer.headers["retry-after"]) or 60, 3600)) }
  end
  local ok, said = pcall(answer.json)
  if answer.status ~= 200 or not ok or type(said) ~= "table" then
    error { message = ("the provider answered %d to %s with what makes no sense"):format(answer.status, domain), retryable = true }
  end
  local values = {}
  for name, value in pairs(FIELDS) do values[name] = value(said) end
  return { values = values }
end

local function look_up(domain)
  local held = step("held", function() return kv.get("domain " .. domain) or false end)
  if held then return held end
  for try = 1, 100 do
    local found = step("ask " .. try, function() return ask(domain) end)
    if not found.again then
      kv.set("domain " .. domain, found, { ttl = found.unknown and UNKNOWN or KNOWN })
      return found
    end
    wait("too much " .. try, { ["for"] = found.again .. "s" })
  end
  error { message = "the provider has been away for a hundred tries", retryable = false }
end

local function enrich(event)
  local function company(name)
    return step(name, function()
      local there, found = pcall(hubspot.companies.get, event.objectId, names)
      if not there and found.status ~= 404 then error(found, 0) end
      return there and found.properties or false           -- false: it is deleted
    end)
  end
  local before = company "company"
  local domain = before and text.domain(before.domain)
  if not domain or text.is_free_mail(domain) then return end
  local found = look_up(domain)
  if found.unknown then return end
  local now = company "company now"                        -- it may have waited for hours
  if not now or text.domain(now.domain) ~= domain then return end
  local changes = {}
  for name, value in pairs(found.values) do
    if not now[name] or now[name] == "" then changes[name] = value end
  end
  if next(changes) then step("fill", function() hubspot.companies.update(event.objectId, changes) end) end
end

on("company.creation", { concurrency = 50 }, enrich)
on("company.propertyChange", { property = "domain", concurrency = 50 }, enrich)
