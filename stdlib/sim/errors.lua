-- HubSpot's errors: one shape for a whole request (`Error` in the OpenAPI documents),
-- one for a row of a batch (`StandardError`). Handlers raise what these functions
-- build; server.lua turns it into an answer. Nothing else is ever raised on purpose,
-- so any other error value is a fault of the simulator and answers 500.
local U = require "sim.util"
local json = json
local quote = U.quote

local E = {}

local ERROR = {}   -- the metatable that marks our errors

---@param status integer HTTP status
---@param category string HubSpot's category
---@param message string
---@param more? table subCategory, errors, context, links, extra fields for 429 (policyName, errorType), headers
function E.new(status, category, message, more)
  local e = more or {}
  e.status, e.category, e.message = status, category, message
  return setmetatable(e, ERROR)
end

function E.is(value) return getmetatable(value) == ERROR end

function E.raise(...) error(E.new(...), 0) end

---The body of an answer.
function E.body(S, e)
  local out = {
    status = "error",
    message = e.message,
    correlationId = S.rng.uuid(),
    category = e.category,
    subCategory = e.subCategory,
    errors = e.errors,
    context = e.context,
    links = e.links,
    policyName = e.policyName,
    errorType = e.errorType,
  }
  return json.encode(out)
end

---One entry of a batch answer's errors: every field the document requires is there.
function E.standard(e, context)
  local merged = {}
  for k, v in pairs(e.context or {}) do merged[k] = v end
  for k, v in pairs(context or {}) do merged[k] = v end
  return {
    status = "error",
    category = e.category,
    message = e.message,
    context = merged,
    errors = json.array(e.errors or {}),
    links = e.links or {},
  }
end

function E.bad_request(message, more) E.raise(400, "VALIDATION_ERROR", message, more) end

function E.not_found(message, more) E.raise(404, "OBJECT_NOT_FOUND", message or "resource not found", more) end

---What HubSpot answers for JSON that does not parse or has the wrong shape.
function E.bad_json(what)
  E.raise(400, "VALIDATION_ERROR", "Invalid input JSON on line 1, column 1: " .. what)
end

---A list of a body: {} when it is absent or null, 400 when it is something else.
---@param kind string|nil the type that each of its items must have
function E.list(value, what, kind)
  if U.absent(value) then return {} end
  if type(value) ~= "table" then E.bad_json(what .. " must be a list") end
  for _, item in ipairs(value) do
    if kind and type(item) ~= kind then E.bad_json(what .. " must hold " .. (kind == "table" and "object" or kind) .. "s") end
  end
  return value
end

---@param list table of { name=, message=, code=, value= what was written }
function E.property_errors(S, list)
  table.sort(list, function(a, b) return a.name < b.name end)
  local errors, inner = {}, {}
  for i, e in ipairs(list) do
    errors[i] = { message = e.message, code = e.code, context = { propertyName = json.array { e.name } } }
    inner[i] = string.format('{"isValid":false,"message":%s,"error":%s,"name":%s,"localizedErrorMessage":%s,%s"portalId":%d}',
      quote(e.message), quote(e.code), quote(e.name), quote(e.message),
      e.value and '"propertyValue":' .. quote(e.value) .. "," or "", S.portal)
  end
  return E.new(400, "VALIDATION_ERROR", "Property values were not valid: [" .. table.concat(inner, ",") .. "]",
    { errors = json.array(errors) })
end

function E.missing_scopes(scopes)
  return E.new(403, "MISSING_SCOPES",
    "This app hasn't been granted all required scopes to make this call. " ..
    "Read more about required scopes here: https://developers.hubspot.com/scopes.", {
      errors = json.array { {
        message = "One or more of the following scopes are required.",
        context = { requiredGranularScopes = json.array(scopes) },
      } },
      links = { scopes = "https://developers.hubspot.com/scopes" },
    })
end

local POLICIES = {
  TEN_SECONDLY_ROLLING = "ten_secondly_rolling",
  SECONDLY = "secondly",
  DAILY = "daily",
}

---A 429 as FACTS 3 has it.
function E.rate_limit(policy)
  return E.new(429, "RATE_LIMITS", "You have reached your " .. (POLICIES[policy] or policy:lower()) .. " limit.",
    { policyName = policy, errorType = "RATE_LIMIT" })
end

return E
