-- The account's users (/settings/users/V, older /settings/v3/users): those who own records, and the administrator.
-- Whoever is invited becomes an owner; whoever is removed stays one, archived.
local U = require "sim.util"
local E = require "sim.errors"
local json = json

local Z = {}

local LIST_MAX = 100
local ADMIN = { userId = 1001, email = "admin@example.com", firstName = "Account", lastName = "Admin", super = true }
local ROLES = { { id = "9001", name = "Sales", requiresBillingWrite = false }, { id = "9002", name = "Marketing",
  requiresBillingWrite = false },
  { id = "9003", name = "Billing", requiresBillingWrite = true } }

function Z.attach(S)
  S.users = { teams = { { id = "5001", name = "Sales" } }, next_owner = 70900001, next_user = 9900001 }
end

local function everybody(S)
  local out = { ADMIN }
  for _, o in ipairs(S.owners) do
    if not o.archived then out[#out + 1] = o end
  end
  table.sort(out, function(a, b) return a.userId < b.userId end)
  return out
end

local function render(u)
  return { id = tostring(u.userId), email = u.email, firstName = u.firstName, lastName = u.lastName, superAdmin = u.super or false,
    roleId = u.role, roleIds = json.array { u.role }, primaryTeamId = u.team, secondaryTeamIds = json.array(u.teams or {}) }
end

local function find(S, req, id)
  local by_email = U.one(req:args(), "idProperty") == "EMAIL"
  for _, u in ipairs(everybody(S)) do
    if (by_email and u.email == id:lower()) or (not by_email and tostring(u.userId) == id) then return u end
  end
  return E.not_found("User " .. id .. " does not exist")
end

local function known(list, id, what)
  if U.absent(id) then return nil end
  for _, item in ipairs(list) do
    if item.id == tostring(id) then return item.id end
  end
  return E.bad_request(what .. " " .. tostring(id) .. " does not exist")
end

local function change(S, u, body)
  u.role = known(ROLES, body.roleId, "Role") or u.role
  u.team = known(S.users.teams, body.primaryTeamId, "Team") or u.team
  if type(body.secondaryTeamIds) == "table" then
    local teams = {}
    for i, id in ipairs(body.secondaryTeamIds) do teams[i] = known(S.users.teams, id, "Team") end
    u.teams = teams
  end
  for _, name in ipairs { "firstName", "lastName" } do
    if type(body[name]) == "string" then u[name] = body[name] end
  end
  u.changed = S.host.now()
end

local function invite(S, body)
  local email = type(body.email) == "string" and body.email:lower()
  if not email then E.bad_request("Some required fields were not set: [email]") end
  if not email:find("^[^%s@]+@[^%s@]+%.[%w%-]+$") then E.bad_request("Email address " .. email .. " is invalid") end
  for _, u in ipairs(everybody(S)) do
    if u.email == email then E.raise(409, "CONFLICT", "A user with the email " .. email .. " already exists") end
  end
  local X = S.users
  local o = { id = tostring(X.next_owner), userId = X.next_user, email = email, firstName = "", lastName = "" }
  change(S, o, body)
  X.next_owner, X.next_user = X.next_owner + 17, X.next_user + 1
  S.owners[#S.owners + 1] = o
  S.owners_by_id[o.id] = o
  return o
end

local function list(S, req)
  local q = req:args()
  local limit, after = math.tointeger(tonumber(U.one(q, "limit") or LIST_MAX)), U.one(q, "after")
  if not limit or limit < 1 or limit > LIST_MAX then E.bad_request("limit must be between 1 and " .. LIST_MAX) end
  local from = after and (math.tointeger(tonumber(after)) or E.bad_request("Invalid paging cursor: " .. after)) or 0
  local out, more = {}, nil
  for _, u in ipairs(everybody(S)) do
    if u.userId > from then
      if #out == limit then
        more = out[#out].id
        break
      end
      out[#out + 1] = render(u)
    end
  end
  return 200, { results = json.array(out), paging = more and { next = { after = more,
    link = "https://api.hubapi.com" .. req.path .. "?limit=" .. limit .. "&after=" .. more } } or nil }
end

local function teams(S)
  local out = {}
  for i, t in ipairs(S.users.teams) do
    local first, second = {}, {}
    for _, u in ipairs(everybody(S)) do
      if u.team == t.id then first[#first + 1] = tostring(u.userId) end
      for _, id in ipairs(u.teams or {}) do
        if id == t.id then second[#second + 1] = tostring(u.userId) end
      end
    end
    out[i] = { id = t.id, name = t.name, userIds = json.array(first), secondaryUserIds = json.array(second) }
  end
  return { results = json.array(out) }
end

---/settings/users/V/…
function Z.route(S, req, seg)
  req.kind = "users"
  local method, id = req.method, seg[1]
  if not id then
    if method == "GET" then return list(S, req) end
    if method == "POST" then return 201, render(invite(S, S:json(req))) end
    return
  end
  if seg[2] then return end
  if method == "GET" and id == "roles" then return 200, { results = json.array(ROLES) } end
  if method == "GET" and id == "teams" then return 200, teams(S) end
  local u = find(S, req, id)
  if method == "GET" then return 200, render(u) end
  if u == ADMIN and (method == "PUT" or method == "DELETE") then E.bad_request("The account's only super admin cannot be changed") end
  if method == "PUT" then
    change(S, u, S:json(req))
    return 200, render(u)
  elseif method == "DELETE" then
    u.archived, u.changed = true, S.host.now()
    return 204
  end
end

-- ---- from outside (control.lua) ----

Z.control = {}
Z.invite = invite

---create_team {name}
function Z.control.create_team(S, args)
  if type(args.name) ~= "string" then error("a team has a name", 0) end
  local all = S.users.teams
  all[#all + 1] = { id = tostring(5000 + #all + 1), name = args.name }
  return { id = all[#all].id }
end

return Z
