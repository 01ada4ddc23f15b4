--- Reports over records of any number: grouped, counted, added up, as funnels and cohorts. Each record is looked at once
--- and let go; what is kept is a few numbers a group.
---
---     local stages = report.read(hubspot.deals.list { properties = { "dealstage", "amount" } },
---       report.group { by = "dealstage", report.count(), report.sum("amount") })
---     print(stages:text())
---
--- A table prints to a terminal (text), as CSV, as JSON, and with charts as one HTML page (report.page).
--- `hubloop help report` has the whole picture.
local _, host = ...
local text = require "report.text"
local quantile = require "report.quantile"

---@class report
local report = {}

local GROUPS_MAX = 10000
local NUMBER_MAX = 1e290                                          -- no sum of such numbers is infinite
local EARLIEST, LATEST = -62134905600000, 253401609600000         -- the years 1 to 9999, but for eight days at each end

local function raise(kind, message) error(host.error { kind = kind, message = "report: " .. message }) end

---------------------------------------------------------------------------------------------------- what is measured

---@class report.measure
---@field label string
---@field kind string # "count", "number", "percent", "text"

-- Of a property, or what a function makes of the record.
local function getter(of, what, level)
  if type(of) == "function" then return of end
  if type(of) == "string" and of ~= "" then return function(record) return record[of] end end
  error(what .. ": a property's name or a function is expected", level + 1)
end

local function is_nothing(value) return value == nil or value == "" or value == json.null end

-- The number that HubSpot, a CSV file or a person wrote; nil for anything else.
local function number_of(value)
  if type(value) == "string" then value = value:match("^%s*[-+]?[%d.]+[eE]?[-+]?%d*%s*$") and tonumber(value) end
  if type(value) ~= "number" or not (value >= -NUMBER_MAX and value <= NUMBER_MAX) then return nil end
  return value
end

-- A measure of numbers: what has none is left out, what is none is counted apart.
local function numeric(of, label, what, new)
  local get = getter(of, what, 3)
  local name = type(of) == "string" and of or label or what
  return { label = label, kind = "number", name = name, new = function()
    local state = new()
    local add = state.add
    state.add = function(record, problem)
      local value = get(record)
      if is_nothing(value) then return end
      local number = number_of(value)
      if number then add(number) else problem(name, value) end
    end
    return state
  end }
end

---How many records.
---@param label string|nil # the column's name
---@return report.measure
function report.count(label)
  return { label = label or "Count", kind = "count", new = function()
    local n = 0
    return { add = function() n = n + 1 end, value = function() return n end }
  end }
end

-- Whole numbers are added exactly; others with what rounding loses (Neumaier).
local function adder()
  local whole, sum, lost, broken = 0, 0.0, 0.0, false
  return function(x)
    if math.type(x) == "integer" and math.abs(x) < 2 ^ 53 and math.abs(whole) < 2 ^ 62 then
      whole = whole + x
      return
    end
    broken, x = true, x + 0.0
    local total = sum + x
    lost = lost + (math.abs(sum) >= math.abs(x) and (sum - total) + x or (x - total) + sum)
    sum = total
  end, function() return broken and sum + lost + whole or whole end
end

---The sum of a property; records without it count as nothing.
---@param of string|fun(record: table): any
---@param label string|nil
---@return report.measure
function report.sum(of, label)
  return (numeric(of, label or ("Sum of " .. tostring(of)), "report.sum", function()
    local add, value = adder()
    return { add = add, value = value }
  end))
end

---The average over the records that have the property; nil where none has.
---@param of string|fun(record: table): any
---@param label string|nil
---@return report.measure
function report.average(of, label)
  return (numeric(of, label or ("Average of " .. tostring(of)), "report.average", function()
    local add, value = adder()
    local n = 0
    return { add = function(x)
      n = n + 1
      add(x)
    end, value = function() return n > 0 and value() / n or nil end }
  end))
end

---The smallest value.
---@param of string|fun(record: table): any
---@param label string|nil
---@return report.measure
function report.min(of, label)
  return (numeric(of, label or ("Least " .. tostring(of)), "report.min", function()
    local least
    return { add = function(x) if not least or x < least then least = x end end, value = function() return least end }
  end))
end

---The largest value.
---@param of string|fun(record: table): any
---@param label string|nil
---@return report.measure
function report.max(of, label)
  return (numeric(of, label or ("Largest " .. tostring(of)), "report.max", function()
    local most
    return { add = function(x) if not most or x > most then most = x end end, value = function() return most end }
  end))
end

local function ranked(p)
  return function()
    local q = quantile.new()
    return { add = function(x) q:add(x) end, value = function() return q:value(p / 100) end }
  end
end

---The value that `p` per cent of the records do not exceed: 50 is the median. Exact for up to 1,000 values of a group,
---within 0.5 % of the value beyond.
---@param of string|fun(record: table): any
---@param p number # 0 to 100
---@param label string|nil
---@return report.measure
function report.percentile(of, p, label)
  if type(p) ~= "number" or not (p >= 0 and p <= 100) then error("report.percentile: 0 to 100 are expected", 2) end
  return (numeric(of, label or ("%g%% of %s"):format(p, tostring(of)), "report.percentile", ranked(p)))
end

---@param of string|fun(record: table): any
---@param label string|nil
---@return report.measure
function report.median(of, label) return (numeric(of, label or ("Median of " .. tostring(of)), "report.median", ranked(50))) end

---------------------------------------------------------------------------------------------------- what it is grouped by

---@class report.dimension
---@field label string
---@field get fun(record: table): any

-- "2026-10-03T…", a date, or milliseconds as text or number.
local function instant_of(value)
  if is_nothing(value) then return nil end
  local ms, ok = number_of(value), true
  if not ms then ok, ms = pcall(time.parse, value) end
  return ok and ms >= EARLIEST and ms <= LATEST and ms // 1 | 0 or nil
end

local function period_of(ms, period, tz)
  local c = time.civil(ms, tz)
  if period == "year" then return ("%d"):format(c.year) end
  if period == "quarter" then return ("%d-Q%d"):format(c.year, (c.month + 2) // 3) end
  if period == "month" then return ("%d-%02d"):format(c.year, c.month) end
  if period == "week" then -- the Monday
    c = time.civil(time.instant({ year = c.year, month = c.month, day = c.day - (c.weekday + 6) % 7, hour = 12 }, tz), tz)
  end
  return ("%d-%02d-%02d"):format(c.year, c.month, c.day)
end

local PERIODS = { year = true, quarter = true, month = true, week = true, day = true }

local function check_period(period, what, level)
  if not PERIODS[period] then error(what .. ": the period is year, quarter, month, week or day", level + 1) end
end

---Groups by the time in a property: "2026-10", "2026-Q4"; of a week, its Monday.
---@param of string|fun(record: table): any
---@param period string # year, quarter, month, week, day
---@param options {tz: string|nil, label: string|nil}|nil # tz: "Europe/Berlin"; UTC unless given
---@return report.dimension
function report.period(of, period, options)
  check_period(period, "report.period", 2)
  local get = getter(of, "report.period", 2)
  local tz = options and options.tz or "UTC"
  return { period = period, label = options and options.label or period:gsub("^%l", string.upper), get = function(record, problem)
    local value = get(record)
    if is_nothing(value) then return nil end
    local ms = instant_of(value)
    if not ms then return problem(type(of) == "string" and of or period, value) end
    return period_of(ms, period, tz)
  end }
end

---Groups by a property whose values have names: `report.named("dealstage", { closedwon = "Won" }, "Stage")`.
---@param of string|fun(record: table): any
---@param names table<string, string> # a value without a name stays as it is
---@param label string|nil
---@return report.dimension
function report.named(of, names, label)
  local get = getter(of, "report.named", 2)
  if type(names) ~= "table" then error("report.named: names are a table", 2) end
  return { label = label or tostring(of), get = function(record)
    local value = get(record)
    return value ~= nil and (names[value] or value) or nil
  end }
end

local function dimension(by, level)
  if type(by) == "table" and by.get then return by end
  return { label = type(by) == "string" and by or "Group", get = getter(by, "report.group: by", level + 1) }
end

---------------------------------------------------------------------------------------------------- tables

---@class report.table
---@field title string|nil
---@field columns {label: string, kind: string, period: string|nil, empty: number|nil}[]
---  period: the rows are all the periods that have a record; empty: what a period without one has
---@field rows any[][]
---@field total any[]|nil
---@field notes string[]
local Table = {}
Table.__index = Table

---A table of plain data, such as a step has given back, with the functions of one.
---@param data {columns: table[], rows: any[][], title: string|nil, total: any[]|nil, notes: string[]|nil}
---@return report.table
function report.table(data)
  if type(data) ~= "table" or type(data.columns) ~= "table" or type(data.rows) ~= "table" then
    error("report.table: columns and rows are expected", 2)
  end
  data.notes = data.notes or {}
  return setmetatable(data, Table)
end

---The table for a terminal: as wide as it is, or `width`.
---@param options {width: integer|nil}|nil
---@return string
function Table:text(options) return text.render(self, options and options.width or host.columns()) end

---@param options table|nil # as csv.writer's
---@return string
function Table:csv(options)
  local o = { columns = {}, spreadsheet = true }
  for key, value in pairs(options or {}) do o[key] = value end
  for i, column in ipairs(self.columns) do o.columns[i] = column.label end
  local rows = {}
  for i, row in ipairs(self.rows) do
    rows[i] = {}
    for k = 1, #self.columns do rows[i][k] = row[k] == nil and json.null or row[k] end
  end
  return require "csv".format(rows, o)
end

---{ title, columns, rows: [{ label: value }], total, notes } as JSON.
---@return string
function Table:json()
  local function record(row)
    local out = {}
    for i, column in ipairs(self.columns) do out[column.label] = row[i] end
    return out
  end
  local rows, labels = {}, {}
  for i, row in ipairs(self.rows) do rows[i] = record(row) end
  for i, column in ipairs(self.columns) do labels[i] = column.label end
  return json.encode { title = self.title, columns = labels, rows = json.array(rows), total = self.total and record(self.total) or nil,
    notes = json.array(self.notes) }
end

---A section of report.page: the table with a chart of one of its columns.
---@param options {chart: string|nil, value: string|nil, title: string|nil}|nil # chart: "bar", "line", "funnel", "heat"
---@return table
function Table:section(options)
  local o = options or {}
  return { table = self, chart = o.chart, value = o.value, title = o.title }
end

---One HTML page that needs nothing from elsewhere: tables, charts as inline SVG, no scripts.
---@param page {title: string, intro: string|nil, [integer]: table} # sections: tables, or what table:section() gives
---@return string
function report.page(page)
  if type(page) ~= "table" or type(page.title) ~= "string" then error("report.page: a title is expected", 2) end
  return (require "report.html".page(page))
end

---------------------------------------------------------------------------------------------------- problems with values

-- Counts values that are none, one a record and name, with the first of them as an example.
local function problems()
  local list, seen, at = {}, {}, 0
  local function note(name, value)
    local entry = seen[name]
    if not entry then
      entry = { name = name, count = 0, example = tostring(value):sub(1, 40) }
      seen[name] = entry
      list[#list + 1] = entry
    end
    if entry.at ~= at then entry.count = entry.count + 1 end
    entry.at = at
    return nil
  end
  return note, function(notes)
    for _, p in ipairs(list) do
      notes[#notes + 1] = ("%d value%s of %s could not be read and %s left out, such as \"%s\""):format(p.count, p.count == 1 and "" or "s",
        p.name, p.count == 1 and "is" or "are", p.example)
    end
  end, function() at = at + 1 end
end

---------------------------------------------------------------------------------------------------- groups

local NONE = "(none)"

local function compare(a, b)
  local x, y = number_of(a), number_of(b)
  if x and y and x ~= y then return x < y end
  if (x ~= nil) ~= (y ~= nil) then return x ~= nil end
  return tostring(a) < tostring(b)
end

local function by_keys(a, b)
  for i = 1, #a.keys do
    local x, y = a.keys[i], b.keys[i]
    if x ~= y then
      if x == NONE or y == NONE then return y == NONE end
      return compare(x, y)
    end
  end
  return false
end

local function states_of(measures)
  local states = {}
  for i, measure in ipairs(measures) do states[i] = measure.new() end
  return states
end

---Groups records: `report.group { by = "dealstage", report.count(), report.sum("amount") }`.
---
---`by`: a property, a function, report.period, report.named, or a list of them. `order`: a list of values of the first,
---or the label of a measure, largest first; by value unless given. `top`: so many rows only. `title`; `total = false`.
---@param spec table
---@return table # for report.read
function report.group(spec)
  if type(spec) ~= "table" or spec.by == nil or #spec == 0 then
    error("report.group: by = and at least one measure are expected, such as report.count()", 2)
  end
  local dimensions = {}
  for i, by in ipairs(type(spec.by) == "table" and not spec.by.get and spec.by or { spec.by }) do dimensions[i] = dimension(by, 2) end
  local order_by
  for i, measure in ipairs(spec) do
    if type(measure) ~= "table" or not measure.new then error(("report.group: measure %d is none"):format(i), 2) end
    if measure.label == spec.order then order_by = i end
  end
  if type(spec.order) == "string" and not order_by then
    error(("report.group: order = \"%s\" is the label of no measure"):format(spec.order), 2)
  end
  local groups, n, all = {}, 0, states_of(spec)
  local note, tell, turn = problems()
  local function nothing() end
  local self = {}

  function self.add(_, record)
    turn()
    local keys = {}
    for i, d in ipairs(dimensions) do
      local value = d.get(record, note)
      if is_nothing(value) or value ~= value then value = NONE end
      keys[i] = value
    end
    local id = keys[1]
    if #keys > 1 then
      for i = 1, #keys do keys[i] = tostring(keys[i]) end
      id = json.encode(keys)
    end
    local group = groups[id]
    if not group then
      n = n + 1
      if n > GROUPS_MAX then
        raise("limit", ("more than 10,000 groups by %s; group by something with fewer values"):format(dimensions[1].label))
      end
      group = { keys = keys, states = states_of(spec) }
      groups[id] = group
    end
    for _, state in ipairs(group.states) do state.add(record, nothing) end
    for _, state in ipairs(all) do state.add(record, note) end
  end

  function self.table()
    local list = {}
    for _, group in pairs(groups) do list[#list + 1] = group end
    if type(spec.order) == "table" then
      local place = {}
      for i, value in ipairs(spec.order) do
        place[value] = i
        if #dimensions == 1 and not groups[value] then list[#list + 1] = { keys = { value }, states = states_of(spec) } end
      end
      table.sort(list, function(a, b)
        local x, y = place[a.keys[1]] or math.huge, place[b.keys[1]] or math.huge
        if x ~= y then return x < y end
        return by_keys(a, b)
      end)
    elseif order_by then
      for _, group in ipairs(list) do group.weight = group.states[order_by].value() or -math.huge end
      table.sort(list, function(a, b)
        if a.weight ~= b.weight then return a.weight > b.weight end
        return by_keys(a, b)
      end)
    else
      table.sort(list, by_keys)
    end
    local out = report.table { title = spec.title, columns = {}, rows = {}, notes = {} }
    for i, d in ipairs(dimensions) do out.columns[i] = { label = d.label, kind = "text" } end
    if #dimensions == 1 and #list <= (spec.top or #list) then out.columns[1].period = dimensions[1].period end
    for i, measure in ipairs(spec) do
      out.columns[#dimensions + i] = { label = measure.label, kind = measure.kind, empty = measure.new().value() }
    end
    local function row(first, states)
      local values = {}
      for i = 1, #dimensions do
        if first[i] == nil then values[i] = "" else values[i] = first[i] end
      end
      for i, state in ipairs(states) do
        local value = state.value()
        values[#dimensions + i] = value == nil and json.null or value
      end
      return values
    end
    for i, group in ipairs(list) do
      if spec.top and i > spec.top then
        out.notes[1] = ("%d more rows are not shown"):format(#list - spec.top)
        break
      end
      out.rows[i] = row(group.keys, group.states)
    end
    if spec.total ~= false then out.total = row({ "Total" }, all) end
    tell(out.notes)
    return out
  end

  return self
end

---------------------------------------------------------------------------------------------------- funnels

---How many records reach each stage: `report.funnel { stages = { "lead", "customer" }, at = "lifecyclestage" }`, where who is
---at a stage has reached those before it; or `stages = { { "Lead", "hs_lifecyclestage_lead_date" }, … }`, with a property
---that is filled in or a function that says true, for who has reached it.
---@param spec {stages: table, at: string|nil|fun(record: table): any, title: string|nil, names: table<string, string>|nil}
---@return table # for report.read
function report.funnel(spec)
  if type(spec) ~= "table" or type(spec.stages) ~= "table" or #spec.stages == 0 then error("report.funnel: stages are expected", 2) end
  local at = spec.at and getter(spec.at, "report.funnel: at", 2)
  local place, tests, labels, reached, outside = {}, {}, {}, {}, 0
  for i, stage in ipairs(spec.stages) do
    reached[i] = 0
    if at then
      if type(stage) ~= "string" then error(("report.funnel: stage %d: a value of `at` is expected"):format(i), 2) end
      place[stage], labels[i] = i, spec.names and spec.names[stage] or stage
    else
      if type(stage) ~= "table" then error(("report.funnel: stage %d: { label, property } is expected, or `at`"):format(i), 2) end
      labels[i], tests[i] = stage[1], getter(stage[2], "report.funnel: stages", 2)
    end
  end
  local self = {}

  function self.add(_, record)
    if at then
      local furthest = place[at(record)]
      if not furthest then outside = outside + 1 end
      for i = 1, furthest or 0 do reached[i] = reached[i] + 1 end
    else
      for i, test in ipairs(tests) do
        local value = test(record)
        if value and not is_nothing(value) then reached[i] = reached[i] + 1 end
      end
    end
  end

  function self.table()
    local out = report.table { title = spec.title, notes = {}, rows = {}, columns = {
      { label = "Stage", kind = "text" }, { label = "Reached", kind = "count" }, { label = "Of the one before", kind = "percent" },
      { label = "Of the first", kind = "percent" } } }
    for i, label in ipairs(labels) do
      local before = i > 1 and reached[i - 1] or reached[1]
      out.rows[i] = { label, reached[i], before > 0 and reached[i] / before or json.null,
        reached[1] > 0 and reached[i] / reached[1] or json.null }
    end
    if outside > 0 then out.notes[1] = ("%d record%s at none of these stages"):format(outside, outside == 1 and " is" or "s are") end
    return out
  end

  return self
end

---------------------------------------------------------------------------------------------------- cohorts

-- Whole periods between two instants, by the calendar of the zone.
local function periods_between(from, to, period, tz)
  local a, b = time.civil(from, tz), time.civil(to, tz)
  if period == "month" then return (b.year - a.year) * 12 + b.month - a.month end
  if period == "quarter" then return (b.year - a.year) * 4 + (b.month + 2) // 3 - (a.month + 2) // 3 end
  if period == "year" then return b.year - a.year end
  local function day(c) return time.instant({ year = c.year, month = c.month, day = c.day }, "UTC") // 86400000 end
  local x, y = day(a), day(b)
  if period == "week" then return (y - (b.weekday + 6) % 7 - x + (a.weekday + 6) % 7) // 7 end
  return y - x
end

---Of the records that began in a period, which part had come to something after 0, 1, 2, … periods:
---`report.cohorts { from = "createdate", to = "closedate", period = "month", periods = 6 }`. What is not over yet is empty.
---@param spec {from: any, to: any, period: string, periods: integer|nil, tz: string|nil, title: string|nil}
---@return table # for report.read
function report.cohorts(spec)
  if type(spec) ~= "table" then error("report.cohorts: from, to and period are expected", 2) end
  local from, to = getter(spec.from, "report.cohorts: from", 2), getter(spec.to, "report.cohorts: to", 2)
  check_period(spec.period, "report.cohorts", 2)
  local periods, tz = spec.periods or 6, spec.tz or "UTC"
  if math.type(periods) ~= "integer" or periods < 1 or periods > 60 then error("report.cohorts: periods are 1 to 60", 2) end
  local cohorts, note, tell, turn = {}, problems()
  local self = {}

  function self.add(_, record)
    turn()
    local value = from(record)
    if is_nothing(value) then return end
    local began = instant_of(value)
    if not began then return note(tostring(spec.from), value) end
    local key = period_of(began, spec.period, tz)
    local cohort = cohorts[key]
    if not cohort then
      cohort = { key = key, began = began, size = 0, done = {} }
      cohorts[key] = cohort
    end
    cohort.size = cohort.size + 1
    local done = to(record)
    if is_nothing(done) then return end
    local ended = instant_of(done)
    if not ended then return note(tostring(spec.to), done) end
    local after = math.max(0, periods_between(began, ended, spec.period, tz))
    cohort.done[after] = (cohort.done[after] or 0) + 1
  end

  function self.table()
    local list = {}
    for _, cohort in pairs(cohorts) do list[#list + 1] = cohort end
    table.sort(list, function(a, b) return a.key < b.key end)
    local out = report.table { title = spec.title, notes = {}, rows = {}, columns = {
      { label = spec.period:gsub("^%l", string.upper), kind = "text", period = spec.period },
      { label = "Records", kind = "count", empty = 0 } } }
    for i = 0, periods - 1 do out.columns[i + 3] = { label = "+" .. i, kind = "percent" } end
    for i, cohort in ipairs(list) do
      local row, sum = { cohort.key, cohort.size }, 0
      local age = periods_between(cohort.began, time.now(), spec.period, tz)
      for p = 0, periods - 1 do
        sum = sum + (cohort.done[p] or 0)
        row[p + 3] = p <= age and sum / cohort.size or json.null
      end
      out.rows[i] = row
    end
    tell(out.notes)
    return out
  end

  return self
end

---------------------------------------------------------------------------------------------------- reading

---Reads records once and gives the table of each thing that was asked for, in order.
---@param records table[]|fun(): table|nil # a list, or an iterator: a search, a list of HubSpot's, csv.rows
---@param ... table # report.group, report.funnel, report.cohorts
---@return report.table ...
function report.read(records, ...)
  local wanted = { ... }
  if #wanted == 0 then error("report.read: what to read for is expected, such as report.group{…}", 2) end
  for i, want in ipairs(wanted) do
    if type(want) ~= "table" or not want.add or not want.table then
      error(("report.read: argument %d is no report.group, report.funnel or report.cohorts"):format(i + 1), 2)
    end
  end
  local function add(record)
    for _, want in ipairs(wanted) do want:add(record) end
  end
  if type(records) == "table" and not (getmetatable(records) or {}).__call then
    for _, record in ipairs(records) do add(record) end
  elseif records == nil then
    error("report.read: records are a list or an iterator", 2)
  else
    for record in records do add(record) end
  end
  local tables = {}
  for i, want in ipairs(wanted) do tables[i] = want:table() end
  return table.unpack(tables)
end

return report
