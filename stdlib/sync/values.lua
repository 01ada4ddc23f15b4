--- Types of mapped fields: what a side holds, read into one text that can be compared, and back into a plain value.
--- No value ("" or nil or JSON's null) is nil.
local text = require "text"

local values = {}

local function blank(value) return value == nil or value == "" or value == json.null end

local function number_text(number)
  if number ~= number or number == math.huge or number == -math.huge then return nil end
  if math.type(number) == "integer" then return ("%d"):format(number) end
  if number == 0 then return "0" end   -- also -0.0
  if number == math.floor(number) and math.abs(number) < 2 ^ 53 then return ("%.0f"):format(number) end
  for digits = 14, 17 do
    local s = ("%." .. digits .. "g"):format(number)
    if tonumber(s) == number then return s end
  end
end

local function plain(value)
  if type(value) == "number" then return number_text(value) end
  if type(value) == "table" then return json.encode(value) end
  return tostring(value)
end

local function trimmed(value) return (plain(value):match("^%s*(.-)%s*$")) end

local function moment(value)
  local ms = type(value) == "number" and value or value:match("^%-?%d%d%d%d%d%d%d%d%d%d+$") and tonumber(value)
  if ms then return math.tointeger(ms // 1) end
  -- "2026-12-24 09:30:00+01", as databases write it; without a zone it is UTC.
  local iso = value:gsub("^(%d%d%d%d%-%d%d%-%d%d) ", "%1T"):gsub("([%+%-]%d%d)$", "%1:00")
  if iso:find("T%d%d:%d%d[%d:.]*$") then iso = iso .. "Z" end
  local ok, at = pcall(time.parse, iso)
  return ok and at or nil
end

local TRUE = { ["true"] = true, yes = true, y = true, ["1"] = true, t = true, on = true }
local FALSE = { ["false"] = true, no = true, n = true, ["0"] = true, f = true, off = true }

-- read(value, field): the text, or nil when it is none of this type. write(text): the plain value.
local TYPES = {
  string = { read = function(value) return trimmed(value) end },
  text = { read = function(value) return plain(value) end },
  number = {
    read = function(value)
      local number = tonumber(value)
      return number and number_text(number)
    end,
    write = tonumber,
  },
  integer = {
    read = function(value)
      local number = math.tointeger(tonumber(value))
      return number and ("%d"):format(number)
    end,
    write = function(s) return math.tointeger(tonumber(s)) end,
  },
  boolean = {
    read = function(value)
      local s = trimmed(value):lower()
      return TRUE[s] and "true" or FALSE[s] and "false" or nil
    end,
    write = function(s) return s == "true" end,
  },
  date = {
    read = function(value)
      local day = type(value) == "string" and value:match("^%s*(%d%d%d%d%-%d%d%-%d%d)%s*$")
      if day then return pcall(time.parse, day .. "T00:00:00Z") and day or nil end
      local ms = moment(type(value) == "string" and trimmed(value) or value)
      return ms and time.iso(ms):sub(1, 10)
    end,
  },
  datetime = {
    read = function(value)
      local ms = moment(type(value) == "string" and trimmed(value) or value)
      return ms and time.iso(ms)
    end,
  },
  email = { read = function(value) return (text.email(plain(value))) end },
  domain = { read = function(value) return text.domain(plain(value)) end },
  country = { read = function(value) return text.country(plain(value)) end },
  phone = { read = function(value, field) return text.phone(plain(value), field.country) end },
  -- Several values: a list, or texts divided by ";". The order says nothing.
  list = {
    read = function(value)
      local items, seen = {}, {}
      local function add(item)
        item = trimmed(item)
        if item ~= "" and not seen[item] then
          seen[item] = true
          items[#items + 1] = item
        end
      end
      if type(value) == "table" then
        for _, item in ipairs(value) do add(item) end
      else
        for item in plain(value):gmatch("[^;]+") do add(item) end
      end
      table.sort(items)
      return table.concat(items, ";")
    end,
  },
}

---Names of all types.
---@return string[]
function values.types()
  local names = {}
  for name in pairs(TYPES) do names[#names + 1] = name end
  table.sort(names)
  return names
end

---The text that stands for a value.
---@param field {type: string}
---@param value any
---@return string|nil text nil: there is no value, or it is none of this type
---@return string|nil why
function values.read(field, value)
  if blank(value) then return nil end
  local ok, s = pcall(TYPES[field.type].read, value, field)
  if not ok or s == nil then
    local shown = plain(value) or tostring(value)
    if #shown > 60 then shown = shown:sub(1, utf8.len(shown) and utf8.offset(shown, 0, 58) - 1 or 57) .. "…" end
    return nil, ('%s: "%s" is no %s'):format(field.name, shown, field.type)
  end
  if s == "" then return nil end
  if s:find("\0", 1, true) or not utf8.len(s) then return nil, field.name .. ": the text holds a NUL or is no UTF-8" end
  return s
end

---The value to write; nil for none.
---@param field {type: string}
---@param s string|nil
function values.write(field, s)
  if s == nil then return nil end
  local write = TYPES[field.type].write
  return not write and s or write(s)
end

---The moment of a last change in epoch ms, nil when it is none. A number before 1973 is seconds.
function values.moment(value)
  if blank(value) or type(value) ~= "string" and type(value) ~= "number" then return nil end
  local number = type(value) == "number" and value or value:find("^%d%d%d%d%d%d%d%d%d%d$") and tonumber(value)
  if number and math.abs(number) <= 1e11 then value = number * 1000 end
  return moment(value)
end

values.blank = blank
return values
