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
local owners = require "routing.owners"
local pools = require "routing.pool"
local territories = require "routing.territory"
local text = require "text"

routing.pool = pools.new
routing.territory = territories.new
routing.watch_companies = companies.watch
routing.watch_away = owners.watch_away

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

return routing
