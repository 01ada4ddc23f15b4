--- What scripts give, as HubSpot wants it. Misuse raises at `level`, counted from the function that calls: 2 is its
--- caller's line.
local _, host = ...
local values = {}

-- "1.5e-07" in digits: HubSpot refuses exponents.
local function in_digits(text)
  local sign, int, frac, exponent = text:match("^(%-?)(%d)%.?(%d*)e([%+%-]%d+)$")
  if not sign then return text end
  exponent = math.tointeger(tonumber(exponent))
  if exponent < 0 then return sign .. "0." .. ("0"):rep(-exponent - 1) .. int .. frac end
  if exponent >= #frac then return sign .. int .. frac .. ("0"):rep(exponent - #frac) end
  return sign .. int .. frac:sub(1, exponent) .. "." .. frac:sub(exponent + 1)
end

local function number_text(value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if value ~= value or value == math.huge or value == -math.huge then return nil end
  if value == math.floor(value) and math.abs(value) < 2 ^ 53 then return ("%.0f"):format(value) end
  for digits = 14, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return in_digits(text) end
  end
end

-- A plain value as HubSpot wants it. nil when it cannot be one.
local function value_text(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then return number_text(value) end
  if kind == "boolean" then return tostring(value) end
  if value == json.null then return "" end
  if kind == "table" then
    local parts = {}
    for i, item in ipairs(value) do
      if type(item) == "table" then return nil end
      parts[i] = value_text(item)
      if not parts[i] then return nil end
      if parts[i]:find(";", 1, true) then return nil, ('an item of a list cannot hold ";", which divides them: "%s"'):format(parts[i]) end
    end
    for key in pairs(value) do
      if math.type(key) ~= "integer" or key < 1 or key > #parts then return nil end
    end
    return table.concat(parts, ";")
  end
end

-- { amount = 12.5, active = true, tags = { "a", "b" }, phone = json.null } to HubSpot's strings.
function values.write_properties(properties, level)
  if type(properties) ~= "table" then
    error("properties must be a table { name = value }, not a " .. type(properties), level + 1)
  end
  local out = {}
  for name, value in pairs(properties) do
    if type(name) ~= "string" then
      error("properties must be a table { name = value }: there is a value without a name", level + 1)
    end
    local text, why = value_text(value)
    if not text then
      error(('the property "%s" cannot be a %s: %s'):format(name, type(value),
        why or "give a string, number, boolean, json.null or a list of these"), level + 1)
    end
    out[name] = text
  end
  return out
end

function values.check_id(id, level)
  if math.type(id) == "integer" then return ("%d"):format(id) end
  if type(id) ~= "string" or id == "" then
    error("a record's id must be a string, not " .. (id == "" and "an empty one" or "a " .. type(id)), level + 1)
  end
  return id
end

function values.check_names(names, level)
  if names == nil then return nil end
  if type(names) ~= "table" then
    error("properties must be a list of names, not a " .. type(names), level + 1)
  end
  for i, name in ipairs(names) do
    if type(name) ~= "string" or name == "" then
      error(("properties must be a list of names: number %d is no name"):format(i), level + 1)
    end
  end
  return names
end

function values.query_text(query, level)
  if query == nil or type(query) == "string" then return query end
  local keys, parts = {}, {}
  for key in pairs(query) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local value = query[key]
    if type(value) == "table" then
      for i, item in ipairs(value) do
        if type(item) == "table" then error(("query: item %d of %s is a table"):format(i, key), level + 1) end
      end
      value = table.concat(value, ",")
    end
    parts[#parts + 1] = host.url(key) .. "=" .. host.url(tostring(value))
  end
  return #parts > 0 and table.concat(parts, "&") or nil
end

return values
