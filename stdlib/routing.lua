--- Routing: who gets a lead, and a record that says why.
---
---   local pool  = routing.pool("inbound", { members = { { owner = "ana@example.com", weight = 2 }, … }, fallback = … })
---   local areas = routing.territory { { countries = { "DE", "AT" }, pool = dach }, default = pool }
---   local match = routing.match_account(lead)              -- the company it belongs to, and whose that is
---   local pick  = areas:assign(lead, { prefer = match })   -- pick.owner_id, pick.reason
---   local sla   = routing.sla("first answer", { remind = "30m", reassign = "1h", pool = pool, … })
---   sla:watch(lead.id, pick.owner_id)                      -- until somebody answers
---
--- An assignment takes effect at once for every task of the script and is stored with the handler's completion; a
--- handler that fails leaves no trace in the rotation or the caps. Every decision is an audit record of kind
--- "routing" under "contact ID": the candidates, what kept each from it, the pick, the reason, the rule's version.
---@class routing
local routing = {}

local companies = require "routing.companies"
local match = require "routing.match"
local owners = require "routing.owners"
local pools = require "routing.pool"
local slas = require "routing.sla"
local territories = require "routing.territory"

routing.pool = pools.new
routing.territory = territories.new
routing.sla = slas.new
routing.watch_companies = companies.watch
routing.watch_away = owners.watch_away

--- Finds the company that a lead belongs to: by the domain of its e-mail or website (a company's additional domains and
--- subdomains included, free-mail and shared hosts never); else by its company name, also a misspelt or shortened one, with
--- country, city, phone and domain as evidence. Needs `email` among the properties that the lead was read with; uses
--- company, country, city, phone and website when they are. Waits while the companies are first listed.
---@param lead table
---@param options {threshold: number|nil}|nil threshold: the least score of a match by name, 0 to 1, default 0.8
---@return routing.match|nil
---@return {explanation: string, candidates: table[]} what was looked at, and why none was taken
function routing.match_account(lead, options)
  if type(lead) ~= "table" then error("routing.match_account needs a record with its email, got " .. type(lead), 2) end
  local threshold = match.THRESHOLD
  for name, value in pairs(options or {}) do
    if name ~= "threshold" then error(("match_account has no option %s (it has: threshold)"):format(tostring(name)), 2) end
    if type(value) ~= "number" or value < 0 or value > 1 then
      error("match_account: threshold is a number from 0 to 1, not " .. tostring(value), 2)
    end
    threshold = value
  end
  return companies.find(lead, threshold)
end

return routing
