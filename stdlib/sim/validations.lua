-- The rules that an account's administrator sets for values (/crm/property-validations/…). Since 2026-09 they hold on
-- every path of that version; older ones let everything through (FACTS 1), and so do people in this simulator.
--   S.rules   nil, or type id -> property -> rule type -> { arguments=, normalize= }
local U = require "sim.util"
local E = require "sim.errors"
local json = json

local V = {}

local ENFORCED = { ["2026-09"] = true }
local DAYS = { "SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY" }

local function whole(args) return math.tointeger(tonumber(args[1])) end
local function number(args) return tonumber(args[1]) end
local function instant(args) return type(args[1]) == "string" and U.ms(args[1]) or nil end

-- Milliseconds of "P1Y2M3DT4H": months and years in rough.
local function period(args)
  local text = tostring(args[1] or "")
  local date, clock = text:match("^P([^T]*)T?(.*)$")
  if not date or #text < 3 then return nil end
  local sum, rest = 0, 0
  local function add(part, units)
    for n, unit in part:gmatch("(%d+)(%a)") do
      sum = sum + math.tointeger(tonumber(n)) * (units[unit] or 0)
      rest = rest + #n + 1
    end
  end
  add(date, { Y = 31536000000, M = 2592000000, W = 604800000, D = 86400000 })
  add(clock, { H = 3600000, M = 60000, S = 1000 })
  return rest == #date + #clock and sum > 0 and sum or nil
end

local LETTERS = {
  ALPHA_ONLY = { "^[%a\128-\255 ]*$", "INVALID_ALPHA", "Enter only letters" },
  NUMERIC_ONLY = { "^[%d]*$", "INVALID_NUMERIC", "Enter only numbers" },
  ALPHANUMERIC = { "^[%w\128-\255 ]*$", "INVALID_ALPHANUMERIC", "Enter only letters and numbers" },
}

local function domain_of(text) return text:lower():match("@([^@]+)$") or text:lower():match("^%a+://([^/:?#]+)") or text:lower() end

local function listed(args, text)
  local domain = domain_of(text)
  for _, one in ipairs(args) do
    if domain == tostring(one):lower() then return true end
  end
  return false
end

local function length(text) return utf8.len(text) or #text end

-- rule type -> { reads its arguments (nil: wrong), code, message, holds(text, argument, now, arguments) }
-- INVALID_ALPHA and its message are HubSpot's own; the other codes are made after it.
local RULES = {
  ALPHANUMERIC = { function(args) return LETTERS[args[1]] end },
  MIN_LENGTH = { whole, "INVALID_MIN_LENGTH", "Enter at least %s characters", function(text, n) return length(text) >= n end },
  MAX_LENGTH = { whole, "INVALID_MAX_LENGTH", "Enter at most %s characters", function(text, n) return length(text) <= n end },
  MIN_NUMBER = { number, "INVALID_MIN_NUMBER", "Enter a number of at least %s", function(text, n) return tonumber(text) >= n end },
  MAX_NUMBER = { number, "INVALID_MAX_NUMBER", "Enter a number of at most %s", function(text, n) return tonumber(text) <= n end },
  DECIMAL = { whole, "INVALID_DECIMAL", "Enter at most %s decimal places", function(text, n)
    return #(text:match("%.(%d*)$") or "") <= n
  end },
  SPECIAL_CHARACTERS = { function() return "" end, "INVALID_SPECIAL_CHARACTERS", "Enter no special characters", function(text)
    return not text:find("[^%w%s\128-\255]")
  end },
  WHITESPACE = { function() return "" end, "INVALID_WHITESPACE", "Enter no spaces", function(text) return not text:find("%s") end },
  EMAIL = { function() return "" end, "INVALID_EMAIL", "Enter an email address", function(text)
    return text:find("^[^%s@]+@[^%s@]+%.[%w%-]+$") ~= nil
  end },
  DOMAIN = { function() return "" end, "INVALID_DOMAIN", "Enter a domain", function(text) return text:find("^[%w%-%.]+%.%a+$") ~= nil end },
  URL = { function() return "" end, "INVALID_URL", "Enter a URL", function(text) return text:find("^https?://[^%s/]+%.%a+") ~= nil end },
  START_DATE = { instant, "INVALID_START_DATE", "Enter a date from %s on", function(text, at) return U.ms(text) >= at end },
  END_DATE = { instant, "INVALID_END_DATE", "Enter a date up to %s", function(text, at) return U.ms(text) <= at end },
  AFTER_DURATION = { period, "INVALID_AFTER_DURATION", "Enter a date after %s from now", function(text, ms, now)
    return U.ms(text) > now + ms
  end },
  BEFORE_DURATION = { period, "INVALID_BEFORE_DURATION", "Enter a date before %s from now", function(text, ms, now)
    return U.ms(text) < now + ms
  end },
  DAYS_OF_WEEK = { function(args) return args[1] and "" end, "INVALID_DAYS_OF_WEEK", "Enter a date on one of these days: %s",
    function(text, _, _, args)
      local day = DAYS[(U.ms(text) // 86400000 + 4) % 7 + 1]
      for _, one in ipairs(args) do
        if one == day then return true end
      end
      return false
    end },
}
RULES.START_DATETIME, RULES.END_DATETIME = RULES.START_DATE, RULES.END_DATE
RULES.AFTER_DATETIME_DURATION, RULES.BEFORE_DATETIME_DURATION = RULES.AFTER_DURATION, RULES.BEFORE_DURATION
for _, kind in ipairs { "EMAIL", "URL" } do
  local function given(args) return args[1] and "" end
  RULES[kind .. "_ALLOWED_DOMAINS"] = { given, "INVALID_" .. kind .. "_DOMAIN", "Enter an address at one of these domains: %s",
    function(text, _, _, args) return listed(args, text) end }
  RULES[kind .. "_BLOCKED_DOMAINS"] = { given, "INVALID_" .. kind .. "_DOMAIN", "Enter no address at these domains: %s",
    function(text, _, _, args) return not listed(args, text) end }
end
-- What a rule is for, when it is not a text.
local TYPES = { MIN_NUMBER = "number", MAX_NUMBER = "number", DECIMAL = "number", START_DATE = "date", END_DATE = "date",
  AFTER_DURATION = "date", BEFORE_DURATION = "date", DAYS_OF_WEEK = "date datetime", START_DATETIME = "datetime", END_DATETIME = "datetime",
  AFTER_DATETIME_DURATION = "datetime", BEFORE_DATETIME_DURATION = "datetime" }
local KNOWN = { FORMAT = true, PHONE_NUMBER_WITH_EXPLICIT_COUNTRY_CODE = true, REGEX = true }   -- at HubSpot, and not here

-- Why a text breaks a rule: code and message, or nothing.
local function broken(S, kind, rule, text)
  local def = RULES[kind]
  local arg = def[1](rule.arguments)
  if kind == "ALPHANUMERIC" then
    if not text:find(arg[1]) then return arg[2], arg[3] end
    return
  end
  if not def[4](text, arg, S.host.now(), rule.arguments) then
    return def[2], (def[3]:gsub("%%s", (table.concat(rule.arguments, ", "):gsub("%%", "%%%%"))))
  end
end

---Why the account's rules refuse a stored text; nil when they do not, or do not hold for this request.
function V.refusal(S, st, name, text)
  local rules = S.rules and S.rules[st.type_id] and S.rules[st.type_id][name]
  if not rules or text == "" or not (S.current and ENFORCED[S.current.version]) then return nil end
  for _, kind in ipairs(U.keys(rules)) do
    local code, message = broken(S, kind, rules[kind], text)
    if code then return { name = name, code = code, message = message, value = text } end
  end
end

-- ---- /crm/property-validations/V/{objectTypeId}/… ----

local function shown(rules)
  local out = {}
  for i, kind in ipairs(U.keys(rules or {})) do
    out[i] = { ruleType = kind, ruleArguments = json.array(rules[kind].arguments), shouldApplyNormalization = rules[kind].normalize }
  end
  return json.array(out)
end

---Sets a rule; raises HubSpot's errors.
function V.set(S, st, name, kind, body)
  if not st.defs[name] then E.not_found("Property " .. name .. " does not exist", { subCategory = "Properties.PROPERTY_NOT_FOUND" }) end
  if KNOWN[kind] then E.raise(501, "NOT_IMPLEMENTED", "The simulator does not have the rule " .. kind .. " of property validations") end
  if not RULES[kind] then E.bad_request("Invalid rule type: " .. tostring(kind)) end
  if type(body.ruleArguments) ~= "table" then E.bad_request("Some required fields were not set: [ruleArguments]") end
  local rule = { arguments = body.ruleArguments, normalize = body.shouldApplyNormalization == true }

     if not (TYPES[kind] or "string"):find(st.defs[name].type, 1, true) then
    E.bad_request(kind .. " is no rule for a property of type " .. st.defs[name].type)
  end
  if not RULES[kind][1](rule.arguments) then
    E.bad_request("Invalid ruleArguments for " .. kind .. ": " .. json.encode(body.ruleArguments))
  end
  S.rules = S.rules or {}
  local of_type = S.rules[st.type_id] or {}
  S.rules[st.type_id] = of_type
  of_type[name] = of_type[name] or {}
  of_type[name][kind] = rule
end

function V.route(S, req, seg)
  req.kind = "property-validations"
  local st = seg[1] and (S.types[seg[1]] or E.bad_request("Unable to infer object type from: " .. seg[1]))
  if not st or seg[5] then return end
  local of_type = S.rules and S.rules[st.type_id] or {}
  local name, kind = seg[2], seg[4]
  if not name then
    if req.method ~= "GET" then return end
    local out = {}
    for i, one in ipairs(U.keys(of_type)) do out[i] = { propertyName = one, propertyValidationRules = shown(of_type[one]) } end
    return 200, { results = json.array(out) }
  end
  if not seg[3] then
    if req.method == "GET" then return 200, { results = shown(of_type[name]) } end
    return
  end
  if seg[3] ~= "rule-type" or not kind then return end
  if req.method == "PUT" then
    V.set(S, st, name, kind, S:json(req))
    return 204
  elseif req.method == "GET" then
    local rules = of_type[name]
    if not rules or not rules[kind] then E.not_found("Property " .. name .. " has no rule " .. kind) end
    return 200, shown({ [kind] = rules[kind] })[1]
  end
end

-- ---- from outside (control.lua) ----

V.control = {}

---validate {type? ("contacts"), property, rule, arguments?}: a rule of the account's administrator
function V.control.validate(S, args)
  local st = S.types[args.type or "contacts"] or error("unknown object type '" .. tostring(args.type) .. "'", 0)
  V.set(S, st, tostring(args.property), tostring(args.rule), { ruleArguments = args.arguments or {} })
  return { rules = shown(S.rules[st.type_id][args.property]) }
end

return V
