-- What belongs to the account rather than to a record: owners, account details,
-- usage of the daily limit.
local U = require "sim.util"
local E = require "sim.errors"
local json, time = json, time

local A = {}

local function render_owner(S, o)
  local t = U.iso(S.born)
  return {
    id = o.id, email = o.email, type = "PERSON", firstName = o.firstName, lastName = o.lastName,
    userId = not o.archived and o.userId or nil, userIdIncludingInactive = o.userId,
    createdAt = t, updatedAt = o.changed and U.iso(o.changed) or t, archived = o.archived or false,
  }
end
A.render_owner = render_owner

---/crm/owners/V…
function A.route_owners(S, req, seg)
  if req.method ~= "GET" or seg[2] then return end
  local q = req:args()
  local archived = U.one(q, "archived") == "true"
  if seg[1] then
    local by_user = U.one(q, "idProperty") == "userId"
    for _, o in ipairs(S.owners) do
      if (by_user and tostring(o.userId) or o.id) == seg[1] and (o.archived or false) == archived then
        return 200, render_owner(S, o)
      end
    end
    E.not_found("Owner " .. seg[1] .. " does not exist")
  end
  local limit = math.tointeger(tonumber(U.one(q, "limit") or "100"))
  if not limit or limit < 1 or limit > 500 then E.bad_request("limit must be between 1 and 500") end
  local after = U.one(q, "after")
  local email = U.one(q, "email")
  local start = after and math.tointeger(tonumber(after))
  if after and not start then E.bad_request("Invalid paging cursor: " .. after) end
  local out, more = {}, nil
  for _, o in ipairs(S.owners) do
    local n = math.tointeger(tonumber(o.id))
    if (o.archived or false) == archived and (not email or o.email == email:lower()) and (not start or n > start) then
      if #out == limit then
        more = out[#out].id
        break
      end
      out[#out + 1] = render_owner(S, o)
    end
  end
  return 200, { results = json.array(out), paging = more and { next = { after = more,
    link = "https://api.hubapi.com" .. req.path .. "?limit=" .. limit .. "&after=" .. more } } or nil }
end

---/account-info/V/…
function A.route_info(S, req, seg)
  if req.method ~= "GET" then return end
  local what = table.concat(seg, "/")
  if what == "details" then
    local offset = time.civil(S.host.now(), S.time_zone).offset
    local minutes = math.abs(offset) // 60
    return 200, { portalId = S.portal, accountType = "STANDARD", timeZone = S.time_zone, companyCurrency = "USD",
      additionalCurrencies = json.array {}, utcOffsetMilliseconds = offset * 1000,
      utcOffset = ("%s%02d:%02d"):format(offset < 0 and "-" or "+", minutes // 60, minutes % 60),
      uiDomain = "app.hubspot.com", dataHostingLocation = S.region }
  elseif what == "api-usage/daily/private-apps" then
    return 200, { results = json.array { { name = "private-apps-api-calls-daily", usageLimit = math.min(S.daily, 2147483647),
      currentUsage = S.day_used, collectedAt = U.iso(S.host.now()), fetchStatus = "SUCCESS", resetsAt = U.iso(S.day_ends) } } }
  end
end

return A
