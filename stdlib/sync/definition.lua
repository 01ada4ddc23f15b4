--- What a mapping says, checked when the script loads: one line says what is wrong with it.
local _, host = ...
local values = require "sync.values"

local definition = {}

local ONE_WAY = { from = true, to = true }
local TWO_WAY = { left = true, right = true }
local COMMON = { fields = true, deletes = true, quarantine = true, conflict = true, mode = true, page = true, max_bad = true,
  max_deletes = true }
local FIELD = { type = true, key = true, conflict = true, country = true, required = true }
local FIELD_ONE = { from = true, to = true, transform = true, default = true, clear = true, needs = true }
local FIELD_TWO = { left = true, right = true, to_left = true, to_right = true }
local POLICIES = { "ask", "left", "never_overwrite", "newest", "right" }
local POLICIES_ONE = { "ask", "never_overwrite", "newest", "source" }
local MODES = { "create", "update", "upsert" }
local DELETES = { "follow", "ignore" }
local PAGE, MAX_BAD, MAX_DELETES = 500, 10000, 1000

local function sorted(...)
  local names = {}
  for _, set in ipairs { ... } do
    for name in pairs(set) do names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function has(list, value)
  for _, one in ipairs(list) do
    if one == value then return true end
  end
  return false
end

-- "unknown policy "newst"; did you mean "newest"?"
local function unknown(what, value, known)
  local near = type(value) == "string" and host.nearest(value, known)
  return ('unknown %s "%s"; %s'):format(what, tostring(value), near and ('did you mean "%s"?'):format(near)
    or "there are " .. table.concat(known, ", "))
end

local function one_of(what, value, known) return not has(known, value) and unknown(what, value, known) or nil end

local function count(value, what, least)
  if math.type(value) == "integer" and value >= least then return nil end
  return ("%s must be a whole number of %d or more"):format(what, least)
end

-- A field as it is declared, with both sides named; nil and what is wrong.
local function read_field(given, at, two_way, usual)
  if type(given) == "string" then given = { given } end
  if type(given) ~= "table" then return nil, ("field %d must be a name or a table"):format(at) end
  local own = two_way and FIELD_TWO or FIELD_ONE
  for key in pairs(given) do
    if key ~= 1 and not FIELD[key] and not own[key] then
      return nil, ("field %d: %s"):format(at, unknown("option", key, sorted(FIELD, own)))
    end
  end
  local left, right = given[two_way and "left" or "from"] or given[1], given[two_way and "right" or "to"] or given[1]
  if type(right) ~= "string" or right == "" or two_way and type(left) ~= "string" or left == ""
    or type(left) ~= "string" and type(left) ~= "function" then
    return nil, ("field %d must name both sides: { %s = …, %s = … }"):format(at, two_way and "left" or "from",
      two_way and "right" or "to")
  end
  local field = { name = two_way and left or right, left = left, right = right, type = given.type or "string", key = given.key or nil,
    required = given.required or given.key, default = given.default, clear = given.clear, country = given.country,
    needs = given.needs or {}, conflict = given.conflict or usual, transform = given.transform,
    to_left = given.to_left, to_right = given.to_right }
  local wrong = one_of("type", field.type, values.types())
    or one_of("conflict policy", field.conflict, two_way and POLICIES or POLICIES_ONE)
  for _, name in ipairs { "transform", "to_left", "to_right" } do
    if given[name] ~= nil and type(given[name]) ~= "function" then wrong = name .. " must be a function" end
  end
  if given.country ~= nil and not (type(given.country) == "string" and text.country(given.country)) then
    wrong = ('country: "%s" is no country, such as "DE"'):format(tostring(given.country))
  end
  if two_way and (given.to_left == nil) ~= (given.to_right == nil) then wrong = "to_left and to_right go together" end
  if wrong then return nil, ('field "%s": %s'):format(field.name, wrong) end
  return field
end

-- What a side holds of a field, as a text.
local function readers(field)
  field.read = {}
  function field.read.left(row)
    local value
    if type(field.left) == "function" then value = field.left(row) else value = row[field.left] end
    if field.transform then value = field.transform(value, row) end
    local s, why = values.read(field, value)
    if s == nil and not why and field.default ~= nil then s, why = values.read(field, field.default) end
    return s, why
  end
  function field.read.right(row)
    local value = row[field.right]
    if field.to_left then value = field.to_left(value) end
    return values.read(field, value)
  end
  field.write = {}
  function field.write.left(s) return values.write(field, s) end
  function field.write.right(s)
    local value = values.write(field, s)
    if field.to_right then value = field.to_right(value) end
    return value
  end
end

local function read_fields(self, given)
  if type(given) ~= "table" or #given == 0 then return 'fields must be a list, such as { { "email", key = true } }' end
  local seen = { left = {}, right = {} }
  for at, one in ipairs(given) do
    local field, wrong = read_field(one, at, self.two_way, self.conflict)
    if not field then return wrong end
    for _, side in ipairs(self.two_way and { "left", "right" } or { "right" }) do
      local name = field[side]
      if seen[side][name] then return ('two fields are mapped to "%s" of %s'):format(name, self[side].label) end
      seen[side][name] = true
    end
    if field.key then
      if self.key then return ('two fields are keys: "%s" and "%s"; a mapping has one'):format(self.key.name, field.name) end
      self.key = field
    end
    readers(field)
    self.fields[at] = field
  end
  if self.key and type(self.key.left) == "function" and self.deletes == "follow" then
    return 'deletes = "follow" needs a key that is named, not made by a function'
  end
  if not self.key then return "no field has key = true: records of the two sides are found by it" end
end

local function endpoint(value) return type(value) == "table" and rawget(value, "sync_endpoint") end

---@return table|nil checked
---@return string|nil wrong
function definition.read(name, given)
  if type(name) ~= "string" or name == "" or #name > 100 then return nil, "sync.mapping: the name is a text of 1 to 100 bytes" end
  local function wrong(said) return nil, ('sync "%s": %s'):format(name, said) end
  if type(given) ~= "table" then return wrong "expects a table { from = …, to = …, fields = … }" end
  local two_way = given.left ~= nil or given.right ~= nil
  for key in pairs(given) do
    if not COMMON[key] and not ONE_WAY[key] and not TWO_WAY[key] then
      return wrong(unknown("option", key, sorted(COMMON, two_way and TWO_WAY or ONE_WAY)))
    end
  end
  if two_way and (given.from or given.to) then return wrong "give from and to (one way), or left and right (two-way)" end
  local self = { name = name, two_way = two_way, fields = {}, left = given[two_way and "left" or "from"],
    right = given[two_way and "right" or "to"], deletes = given.deletes or "ignore", quarantine = given.quarantine,
    mode = given.mode or "upsert", page = given.page or PAGE, max_bad = given.max_bad or MAX_BAD,
    max_deletes = given.max_deletes or MAX_DELETES, conflict = given.conflict or (two_way and "newest" or "source") }
  for _, side in ipairs { "left", "right" } do
    if not endpoint(self[side]) then
      return wrong(('%s must be a source such as sync.hubspot("contacts") or sync.csv("leads.csv")')
        :format(two_way and side or side == "left" and "from" or "to"))
    end
    if two_way and not (self[side].get and self[side].write and self[side].changes) then
      return wrong(("%s cannot be one side of a two-way sync: %s"):format(self[side].label,
        self[side].no_two_way or "it is not written to"))
    end
  end
  if not two_way and not self.left.changes then return wrong(self.left.label .. " cannot be read from") end
  if not two_way and not self.right.write and not self.right.sink then return wrong(self.right.label .. " cannot be written to") end
  local said = one_of("mode", self.mode, MODES) or one_of("value of deletes", self.deletes, DELETES)
    or one_of("conflict policy", self.conflict, two_way and POLICIES or POLICIES_ONE)
    or count(self.page, "page", 1) or count(self.max_bad, "max_bad", 0) or count(self.max_deletes, "max_deletes", 0)
  if not said and self.quarantine ~= nil and (type(self.quarantine) ~= "string" or not self.quarantine:find("%.%w+$")) then
    said = 'quarantine must be a file, such as "bad/leads.csv" or "bad/leads.jsonl"'
  end
  if not said and two_way and self.mode ~= "upsert" then said = "mode is for one way" end
  said = said or read_fields(self, given.fields)
  if said then return wrong(said) end
  self.names = { left = {}, right = {} }
  for _, field in ipairs(self.fields) do
    for _, side in ipairs { "left", "right" } do
      if type(field[side]) == "string" then table.insert(self.names[side], field[side]) end
    end
    table.move(field.needs, 1, #field.needs, #self.names.left + 1, self.names.left)
  end
  return self
end

---The texts of a side's record by the fields' names.
---@param self table a checked definition
---@param side "left"|"right"
---@param row table
---@return table<string, string> texts
---@return string|nil wrong what cannot be read
function definition.texts(self, side, row)
  local texts, wrong = {}, nil
  for _, field in ipairs(self.fields) do
    local ok, s, why = pcall(field.read[side], row)
    if not ok then s, why = nil, ("%s: %s"):format(field.name, type(s) == "table" and s.message or tostring(s)) end
    if s == nil and not why and field.required then why = ("%s: there is no value"):format(field.name) end
    texts[field.name] = s
    wrong = wrong or why
  end
  return texts, wrong
end

return definition
