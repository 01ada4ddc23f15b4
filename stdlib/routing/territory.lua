--- Territories: which pool a lead belongs to, by its country, state, postcode and any other property.
---
--- A rule is a set of conditions on different properties; it fits when all of them do. Of several rules that fit, the one
--- with the most conditions decides, then the one that comes first. Two rules with conditions on the same properties
--- must not overlap, because neither would be the more special one.
local text = require "text"

local territory = {}
local known = {}

local Territory = {}
Territory.__index = Territory
Territory.__name = "routing.territory"

local function fail(format, ...) error(format:format(...), 0) end

local function trimmed(value) return (tostring(value):gsub("^%s+", ""):gsub("%s+$", "")) end

---------------------------------------------------------------------------------------------------- kinds of conditions
-- A kind reads the entries that a rule lists, and a lead's value, into sets of texts and ranges of something that compares.

local country = { label = "country" }

function country.entry(c, value)
  local code = text.country(value)
  if not code then return ('"%s" is no country'):format(tostring(value)) end
  c.values[code] = true
end

function country.of(value)
  local code = text.country(value)
  return code and { code } or {}, nil, code or ('"%s" is not known'):format(tostring(value):sub(1, 60))
end

-- By code where text knows the state ("CA" is "California"), else as it is written. A lead's country tells "WA" of the
-- USA from that of Australia.
local state = { label = "state" }

function state.entry(c, value)
  local folded = text.fold(trimmed(value))
  if type(value) ~= "string" or folded == "" then return ('"%s" is no state'):format(tostring(value)) end
  local codes = text.states(value)
  for _, code in ipairs(codes) do c.values[code] = true end
  if #codes == 0 then c.values[folded] = true end
end

function state.of(value, lead)
  local codes = text.states(value, text.country(rawget(lead, "country")))
  if #codes == 0 then codes[1] = text.fold(trimmed(value)) end
  return codes, nil, trimmed(value):sub(1, 60)
end

-- Of a lead's postcode, and of other ranges, as many characters count as the range has: "80" is 80 and all that follows.
local postcode = { label = "postcode" }

local function code_of(value) return (tostring(value):upper():gsub("[^%w]", "")) end

function postcode.entry(c, value)
  local from, to = tostring(value):match("^(.-)%.%.(.*)$")
  from, to = code_of(from or value), code_of(to or value)
  if from == "" or #from ~= #to or from > to then
    return ('"%s" is no range of postcodes: "80000..89999", of equal length, or "80" for all that begin so'):format(tostring(value))
  end
  c.ranges[#c.ranges + 1] = { from, to, text = tostring(value) }
end

function postcode.of(value) return {}, code_of(value), trimmed(value):sub(1, 20) end

function postcode.inside(range, code)
  local head = code:sub(1, #range[1])
  return #head == #range[1] and range[1] <= head and head <= range[2]
end

function postcode.meet(a, b)
  local n = math.min(#a[1], #b[1])
  return a[1]:sub(1, n) <= b[2]:sub(1, n) and b[1]:sub(1, n) <= a[2]:sub(1, n)
end

-- Any property: values without regard to case, ranges of numbers. HubSpot writes several choices as "a;b", and some sizes
-- as "25-50", which counts as 25.
local property = {}

function property.entry(c, value)
  local from, to = tostring(value):match("^%s*(%-?[%d.]-)%s*%.%.%s*(%-?[%d.]*)%s*$")
  if not from then
    c.values[trimmed(value):lower()] = true
    return nil
  end
  local low, high = tonumber(from), tonumber(to)
  if (from ~= "" and not low) or (to ~= "" and not high) or not (low or high) or (low and high and low > high) then
    return ('"%s" is no range: "50..249", "250.." or "..49"'):format(tostring(value))
  end
  c.ranges[#c.ranges + 1] = { low or -math.huge, high or math.huge, text = trimmed(value) }
end

function property.of(value)
  local parts = {}
  for part in trimmed(value):gmatch("[^;]+") do parts[#parts + 1] = trimmed(part):lower() end
  local number = tonumber(value) or tonumber((tostring(value):match("^%s*(%d+)")))
  return parts, number, trimmed(value):sub(1, 60)
end

function property.inside(range, number) return range[1] <= number and number <= range[2] end

function property.meet(a, b) return a[1] <= b[2] and b[1] <= a[2] end

local kinds = { country = country, state = state, zip = postcode }

local function kind_of(name) return kinds[name] or property end

local function label_of(name) return kind_of(name).label or name end

---------------------------------------------------------------------------------------------------- rules

local rule_fields = { countries = "country", states = "state", postcodes = "zip", where = true, pool = true, name = true }

local function condition(name, entries, who)
  local kind = kind_of(name)
  local c = { name = name, values = {}, ranges = {} }
  if type(entries) ~= "table" then entries = { entries } end
  for _, entry in ipairs(entries) do
    local wrong = kind.entry(c, entry)
    if wrong then fail("%s: %s", who, wrong) end
  end
  if not next(c.values) and #c.ranges == 0 then fail("%s: %s lists nothing", who, label_of(name)) end
  return c
end

local function conditions_of(rule, who)
  local list, by_name = {}, {}
  local function add(name, entries)
    if by_name[name] then fail("%s: two conditions on %s", who, name) end
    by_name[name] = condition(name, entries, who)
    list[#list + 1] = by_name[name]
  end
  for _, field in ipairs { "countries", "states", "postcodes" } do
    if rule[field] ~= nil then add(rule_fields[field], rule[field]) end
  end
  if rule.where ~= nil and type(rule.where) ~= "table" then
    fail('%s: where must look like { industry = { "BANKING" }, numemployees = "50..249" }', who)
  end
  local names = {}
  for name in pairs(rule.where or {}) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for _, name in ipairs(names) do add(name, rule.where[name]) end
  if #list == 0 then fail('%s needs countries, states, postcodes or where, like { countries = { "DE", "AT" }, pool = … }', who) end
  return list, by_name
end

-- What both list, as text; nil: nothing.
local function shared(a, b)
  local kind, found = kind_of(a.name), {}
  for value in pairs(a.values) do
    if b.values[value] then found[#found + 1] = value end
  end
  local function within(c, other)
    for value in pairs(c.values) do
      for _, range in ipairs(other.ranges) do
        if tonumber(value) and kind.inside(range, tonumber(value)) then found[#found + 1] = value end
      end
    end
  end
  within(a, b)
  within(b, a)
  for _, one in ipairs(a.ranges) do
    for _, other in ipairs(b.ranges) do
      if kind.meet(one, other) then found[#found + 1] = other.text end
    end
  end
  table.sort(found)
  return found[1] and ("%s %s"):format(label_of(a.name), found[1])
end

local function overlap(a, b)
  if #a.conditions ~= #b.conditions then return nil end
  local both = {}
  for i, c in ipairs(b.conditions) do
    local other = a.by_name[c.name]
    local common = other and shared(other, c)
    if not common then return nil end
    both[i] = common
  end
  return table.concat(both, ", ")
end

local function texts_of(set)
  local list = {}
  for value in pairs(set) do list[#list + 1] = value end
  table.sort(list)
  return list
end

local function read(rules)
  if type(rules) ~= "table" or type(rules.default) ~= "table" then
    fail("a territory needs default = pool for the leads of every other country")
  end
  local self, plain, names = { rules = {}, properties = {}, default = rules.default }, {}, {}
  for i, given in ipairs(rules) do
    local who = ("territory %d"):format(i)
    if type(given) == "table" and given.pool == nil then fail("%s has no pool", who) end
    if type(given) ~= "table" or type(given.pool) ~= "table" then
      fail('%s must look like { countries = { "DE", "AT" }, pool = … }', who)
    end
    for field in pairs(given) do
      if not rule_fields[field] then
        fail("%s: there is no field %s (there are: countries, name, pool, postcodes, states, where)", who, tostring(field))
      end
    end
    local rule = { label = given.name and ('territory "%s"'):format(given.name) or who, pool = given.pool }
    rule.conditions, rule.by_name = conditions_of(given, who)
    for j = 1, i - 1 do
      local both = overlap(self.rules[j], rule)
      if both then fail("%s: %s is already in %s", who, both, self.rules[j].label) end
    end
    local listed = {}
    for k, c in ipairs(rule.conditions) do
      if not names[c.name] then self.properties[#self.properties + 1] = c.name end
      names[c.name] = true
      local ranges = {}
      for r, range in ipairs(c.ranges) do ranges[r] = range.text end
      listed[k] = { c.name, texts_of(c.values), ranges }
    end
    self.rules[i], plain[i] = rule, { rule.label, listed, given.pool.rule }
  end
  self.version = "territory@" .. crypto.sha256(json.encode { plain, rules.default.rule }, "hex"):sub(1, 12)
  return self
end

--- Declares territories. Every lead that fits none goes to `default`.
---@param rules table { { countries =, states =, postcodes =, where =, name =, pool = p }, …, default = pool }
---@return table territory with :assign(lead, options) and :pool(lead)
function territory.new(rules)
  local ok, result = pcall(read, rules)
  if not ok then error(result, type(result) == "string" and 2 or 0) end
  known[#known + 1] = setmetatable(result, Territory)
  return result
end

--- The territories of this script.
---@return table[]
function territory.declared() return known end

---------------------------------------------------------------------------------------------------- a lead

local function fits(rule, seen)
  for _, c in ipairs(rule.conditions) do
    local kind, is = kind_of(c.name), seen[c.name]
    local fit = false
    for _, value in ipairs(is.values) do fit = fit or c.values[value] == true end
    for _, range in ipairs(is.position and c.ranges or {}) do fit = fit or kind.inside(range, is.position) end
    if not fit then return false end
  end
  return true
end

local function told(seen, names)
  local list = {}
  for i, name in ipairs(names) do list[i] = seen[name].said end
  return table.concat(list, ", ")
end

---@param lead table
---@return table|nil rule
---@return string because
---@return string[] labels of all rules that fit
function Territory:_find(lead)
  local seen = {}
  for _, name in ipairs(self.properties) do
    local value, label = lead[name], label_of(name)
    if value == nil or value == "" then
      seen[name] = { values = {}, said = "no " .. label }
    else
      local values, position, said = kind_of(name).of(value, lead)
      seen[name] = { values = values, position = position, said = label .. " " .. said }
    end
  end
  local best, equal, labels = nil, {}, {}
  for _, rule in ipairs(self.rules) do
    if fits(rule, seen) then
      labels[#labels + 1] = rule.label
      if not best or #rule.conditions > #best.conditions then best, equal = rule, {}
      elseif #rule.conditions == #best.conditions then equal[#equal + 1] = rule.label end
    end
  end
  if not best then return nil, "no territory: " .. told(seen, self.properties), labels end
  local names = {}
  for i, c in ipairs(best.conditions) do names[i] = c.name end
  local because = ("%s: %s"):format(best.label, told(seen, names))
  if #equal > 0 then
    because = ("%s (%s as well, but it comes first)"):format(because, table.concat(equal, ", "))
  elseif #labels > 1 then
    because = ("%s (of %d that fit the one with the most conditions)"):format(because, #labels)
  end
  return best, because, labels
end

--- Which pool a lead belongs to, and why.
---@param lead table read with the properties that the rules name (`country`, `state`, `zip`, those of `where`)
---@return routing.pool pool
---@return string because
function Territory:pool(lead)
  local rule, because = self:_find(lead)
  return rule and rule.pool or self.default, because
end

--- Assigns in the lead's territory. As pool:assign.
---@param lead table
---@param options routing.assign_options|nil
---@return routing.pick
function Territory:assign(lead, options)
  local rule, because, labels = self:_find(lead)
  local given = {}
  for key, value in pairs(options or {}) do given[key] = value end
  given.because = given.because and given.because .. "; " .. because or because
  given.territory = { rule = self.version, chosen = rule and rule.label or "default", fit = json.array(labels) }
  return (rule and rule.pool or self.default):assign(lead, given)
end

return territory
