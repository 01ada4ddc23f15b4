-- Calculated properties: those that HubSpot counts (associated records), and the account's own with a formula of
-- numbers, properties, + - * / and brackets. They are worked out when they are read, and never written.
local E = require "sim.errors"

local X = {}

local function count(rec, name)
  local n = 0
  for _ in pairs(rec[5] and rec[5][name] or {}) do n = n + 1 end
  return ("%d"):format(n)
end

local PRIMARY_COMPANY = 1

local BUILTIN = {
  num_associated_contacts = function(rec) return count(rec, "contacts") end,
  num_associated_deals = function(rec) return count(rec, "deals") end,
  associatedcompanyid = function(rec)
    for n, types in pairs(rec[5] and rec[5].companies or {}) do
      if types[PRIMARY_COMPANY] then return ("%d"):format(n) end
    end
  end,
}

---What works out one of HubSpot's own; nil when it has no value here.
function X.builtin(name) return BUILTIN[name] end

-- A number as HubSpot writes it: no exponent, no zeros at the end.
local function text_of(x)
  if x ~= x or x == math.huge or x == -math.huge then return nil end
  if x == math.floor(x) then return ("%.0f"):format(x) end
  return (("%.10f"):format(x):gsub("0+$", ""):gsub("%.$", ""))
end

-- A recursive descent over the text; each part gives a function of get(name), which gives a number or nil.
local function parse(text, known)
  local at = 1
  local function fail() E.bad_request("Invalid calculation formula at character " .. at .. ": " .. text) end
  local function skip() at = text:find("%S", at) or #text + 1 end
  local function take(pattern)
    skip()
    local from, to, found = text:find("^(" .. pattern .. ")", at)
    if from then at = to + 1 end
    return found
  end
  local sum
  local function atom()
    if take("%(") then
      local inner = sum()
      if not take("%)") then fail() end
      return inner
    end
    if take("%-") then
      local inner = atom()
      return function(get)
        local x = inner(get)
        return x and -x
      end
    end
    local number = take("%d+%.?%d*")
    if number then
      local x = tonumber(number) + 0.0
      return function() return x end
    end
    local name = take("%l[%w_]*") or fail()
    if text:find("^%s*%(", at) then
      E.raise(501, "NOT_IMPLEMENTED", "The simulator does not have the function " .. name .. " of formulas")
    end
    if not known(name) then E.bad_request('Property "' .. name .. '" does not exist or is no number (calculation formula)') end
    return function(get) return get(name) end
  end
  local function chain(next_, pattern, apply)
    local left = next_()
    while true do
      local sign = take(pattern)
      if not sign then return left end
      local a, b = left, next_()
      left = function(get)
        local x, y = a(get), b(get)
        return x and y and apply[sign](x, y)
      end
    end
  end
  local function product()
    return chain(atom, "[%*/]", { ["*"] = function(x, y) return x * y end, ["/"] = function(x, y) return y ~= 0 and x / y or nil end })
  end
  function sum()
    return chain(product, "[%+%-]", { ["+"] = function(x, y) return x + y end, ["-"] = function(x, y) return x - y end })
  end
  local whole = sum()
  skip()
  if at <= #text then fail() end
  return whole
end

---What works out a formula; raises HubSpot's errors.
---@param st table the object type whose properties it names
---@return fun(rec: table, props: table): string|nil
function X.compile(st, text)
  local evaluate = parse(text, function(name) return st.defs[name] and st.defs[name].type == "number" end)
  return function(rec, props)
    local result = evaluate(function(name)
      local def = st.defs[name]
      return tonumber(props[name] or def and def.calculate and def.calculate(rec, props))
    end)
    return result and text_of(result)
  end
end

return X
