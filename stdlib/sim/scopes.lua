--- What a token may do: the scopes of each operation, out of HubSpot's published ones (host.operation).
local _, host = ...
local E = require "sim.errors"

local scopes = {}

---The published operation of a path, of the dated form of a legacy one; nil when there is none.
function scopes.operation(method, path)
  local found, dated = host.operation(method, path)
  if not found and dated then found = host.operation(method, dated) end
  return found
end
local operation = scopes.operation

-- Those of the alternative that the token lacks, or nil when it lacks none.
local function lacking(alternative, have)
  local out
  for _, scope in ipairs(alternative) do
    if not have[scope] then
      out = out or {}
      out[#out + 1] = scope
    end
  end
  return out
end

---Raises 403 unless the token has all scopes of one of the operation's alternatives. What HubSpot does not publish,
---and types whose scopes it does not tell, are let through.
---@param req table
function scopes.check(req)
  local have = req.token.scopes
  if have == true then return end
  local found = operation(req.method, req.path)
  local first
  for _, alternative in ipairs(found and found.scopes or {}) do
    local missing = lacking(alternative, have)
    if not missing then return end
    first = first or missing
  end
  if first then error(E.missing_scopes(first), 0) end
end

---Every scope that an operation of the simulated part of the API can need, sorted.
---@param S table
---@return string[]
function scopes.all(S)
  local known, list = { oauth = true }, { "oauth" }
  local function add(method, path)
    for _, alternative in ipairs(operation(method, path).scopes or {}) do
      for _, scope in ipairs(alternative) do
        if not known[scope] then list[#list + 1] = scope end
        known[scope] = true
      end
    end
  end
  add("GET", "/crm/owners/{version}")
  for _, what in ipairs { "GET /automation/v4/flows", "GET /marketing/emails/{version}", "GET /settings/users/2026-03",
    "POST /settings/users/2026-03", "GET /communication-preferences/{version}/definitions",
      "POST /communication-preferences/{version}/subscribe",
    "POST /communication-preferences/{version}/statuses/batch/read", "POST /communication-preferences/{version}/statuses/batch/write",
    "POST /marketing/transactional/{version}/single-email/send", "GET /marketing/v3/forms", "POST /marketing/v3/forms",
    "POST /crm/lists/{version}/search", "POST /crm/lists/{version}", "GET /crm/lists/{version}/{listId}/memberships",
    "PUT /crm/lists/{version}/{listId}/memberships/add", "GET /crm/pipelines/{version}/deals", "POST /crm/pipelines/{version}/deals" } do
    add(what:match("^(%u+) (.*)$"))
  end
  for _, st in ipairs(S.stores) do
    for _, method in ipairs { "GET", "POST" } do
      add(method, "/crm/objects/{version}/" .. st.name)
      add(method, "/crm/properties/{version}/" .. st.name)
    end
  end
  table.sort(list)
  return list
end

return scopes
