--- Routing: who gets a lead, and a record that says why.
---
---   local pool  = routing.pool("inbound", { members = { { owner = "ana@example.com", weight = 2 }, … }, fallback = … })
---   local areas = routing.territory { { countries = { "DE", "AT" }, pool = dach }, default = pool }
---   local match = routing.match_account(lead)              -- the company it belongs to, and whose that is
---   local pick  = areas:assign(lead, { prefer = match })   -- pick.owner_id, pick.reason
---
--- An assignment takes effect at once for every task of the script and is stored with the handler's completion; a
--- handler that fails leaves no trace in the rotation or the caps. Every decision is an audit record of kind
--- "routing" under "contact ID": the candidates, what kept each from it, the pick, the reason, the rule's version.
---@class routing
local routing = {}

local companies = require "routing.companies"
local pools = require "routing.pool"
local text = require "text"

routing.pool = pools.new
routing.watch_companies = companies.watch

--- Finds the company that a lead belongs to: by the domain of its e-mail (subdomains included, free-mail domains
--- never), then, when `lead` has a company name that only one company has, by that. Needs `email` among the
--- properties that the lead was read with. Waits while the companies are first listed.
---@param lead table
---@return routing.match|nil
function routing.match_account(lead)
  if type(lead) ~= "table" then error("routing.match_account needs a record with its email, got " .. type(lead), 2) end
  local _, domain = text.email(lead.email)
  if domain and text.is_free_mail(domain) then domain = nil end
  -- A property that was not asked for raises when it is read; the company's name is optional here.
  local asked, name = pcall(function() return lead.company end)
  return companies.find(domain, asked and name or nil)
end

local Territory = {}
Territory.__index = Territory
Territory.__name = "routing.territory"

--- Which pool a lead belongs to, and why.
---@param lead table read with `country`
---@return routing.pool pool
---@return string because
function Territory:pool(lead)
  local country = lead.country
  if country == nil or country == "" then return self.default, "no country" end
  local code = text.country(country)
  if not code then return self.default, ('country "%s" is not known'):format(tostring(country):sub(1, 60)) end
  local pool = self.by_country[code]
  if pool then return pool, "country " .. code end
  return self.default, ("country %s is in no territory"):format(code)
end

--- Assigns in the lead's territory. As pool:assign.
---@param lead table
---@param options routing.assign_options|nil
---@return routing.pick
function Territory:assign(lead, options)
  local pool, because = self:pool(lead)
  local given = {}
  for key, value in pairs(options or {}) do given[key] = value end
  given.because = given.because and given.because .. "; " .. because or because
  return pool:assign(lead, given)
end

--- Declares territories: each a list of countries (codes or names) and its pool. Every other lead goes to `default`.
---@param rules table { { countries = { "DE", "Austria" }, pool = p }, …, default = pool }
---@return table territory with :assign(lead, options) and :pool(lead)
function routing.territory(rules)
  if type(rules) ~= "table" or type(rules.default) ~= "table" then
    error("a territory needs default = pool for the leads of every other country", 2)
  end
  local by_country = {}
  for i, rule in ipairs(rules) do
    if type(rule) ~= "table" or type(rule.pool) ~= "table" or type(rule.countries) ~= "table" then
      error(('territory %d must look like { countries = { "DE", "AT" }, pool = … }'):format(i), 2)
    end
    for _, country in ipairs(rule.countries) do
      local code = text.country(country)
      if not code then error(('territory %d: "%s" is no country'):format(i, tostring(country)), 2) end
      if by_country[code] then error(("territory %d: %s is already in another territory"):format(i, code), 2) end
      by_country[code] = rule.pool
    end
  end
  return setmetatable({ by_country = by_country, default = rules.default }, Territory)
end

return routing
