--- sync: records of two sides kept the same, by declared mappings: HubSpot, CSV, JSON lines, SQL tables, HTTP APIs.
---
---     local leads = sync.mapping("leads", {
---       from = sync.csv("data/leads.csv"),
---       to   = sync.hubspot("contacts"),
---       fields = {
---         { from = "E-Mail", to = "email", type = "email", key = true },
---         { from = "Name", to = "lastname" },
---       },
---       quarantine = "data/leads_bad.csv",
---     })
---     print(leads:run { dry_run = true })
---
--- A second run writes nothing that is there already. What cannot be read or is refused goes to the quarantine with
--- the reason, and the rest goes on. `hubloop help sync` has the whole picture.
local _, host = ...
local definition = require "sync.definition"
local files = require "sync.files"
local oneway = require "sync.oneway"
local result = require "sync.result"
local state = require "sync.state"
local twoway = require "sync.twoway"

---@class sync
local sync = {}

---@class sync.endpoint a side of a mapping

---@class sync.field
---@field from string|fun(row: table): any|nil one way: the source's name, or a function of its row
---@field to string|nil one way: the target's name
---@field left string|nil two-way
---@field right string|nil two-way
---@field key boolean|nil records of the two sides are found by this one
---@field type string|nil string (trimmed, the default), text, number, integer, boolean, date, datetime, email, domain, phone, country, list
---@field country string|nil of phone numbers without one
---@field required boolean|nil a row without a value is bad
---@field conflict string|nil "newest", "source" ("left", "right"), "never_overwrite", "ask"
---@field transform (fun(value: any, row: table): any)|nil one way: before the type
---@field default any one way: when there is no value
---@field clear boolean|nil one way: no value at the source clears the target's
---@field needs string[]|nil one way: names that functions read
---@field to_left (fun(value: any): any)|nil two-way: what the right side's value is to the left
---@field to_right (fun(value: any): any)|nil two-way

---@class sync.definition
---@field from sync.endpoint|nil one way
---@field to sync.endpoint|nil
---@field left sync.endpoint|nil two-way
---@field right sync.endpoint|nil
---@field fields (string|sync.field)[]
---@field conflict string|nil of fields without their own: "source" one way, "newest" two-way
---@field deletes "ignore"|"follow"|nil ignore unless told
---@field mode "upsert"|"update"|"create"|nil one way: also new ones and old ones, only old, only new
---@field quarantine string|nil a .csv or .jsonl file for bad rows
---@field page integer|nil records that are read, written and remembered together; 500
---@field max_bad integer|nil a run with more bad rows stops; 10,000
---@field max_deletes integer|nil a run that would delete more stops; 1,000

---------------------------------------------------------------------------------------------------- sides

---HubSpot's records of a type, custom ones included.
---@param object_type string
---@param options {account: string|nil, filters: table[]|nil, overlap: string|nil, id_property: string|nil}|nil
---@return sync.endpoint
function sync.hubspot(object_type, options) return require "sync.hubspot"(object_type, options) end

---A CSV file, with a header.
---@param path string a text with line ends is read as the file's content
---@param options {delimiter: string|nil, encoding: string|nil, header: string[]|nil, spreadsheet: boolean|nil, bom: boolean|nil}|nil
---@return sync.endpoint
function sync.csv(path, options) return files.csv(path, options) end

---A file with a JSON object on each line.
---@param path string
---@return sync.endpoint
function sync.jsonl(path, options) return files.jsonl(path, options) end

---A table of a database: its file, "postgres://…", a secret that holds such a URL, or what sql.open gave.
---@param place string|userdata|sql.db
---@param name string of the table; with its schema: "crm.people"
---@param options sync.sql_options|nil
---@return sync.endpoint
function sync.sql(place, name, options) return require "sync.sql"(place, name, options) end

---@class sync.sql_options
---@field id string|nil the column that tells which row it is; the key unless told
---@field modified string|nil the column with the moment of the last change; without it each run reads the whole table
---@field deleted string|nil a column that marks deleted rows; without it rows are deleted
---@field deleted_value any what the mark is; the time unless told
---@field overlap string|nil how much earlier than the last change to begin; "1m"
---@field ignore_case boolean|nil keys are found whatever their case (index lower(column))

---A JSON API. Read by its list; with `get` and `find` it is written to as well: POST, PATCH (or `update`), DELETE.
---Names of fields may go into the record: "address.city".
---@param options sync.http_options
---@return sync.endpoint
function sync.http(options) return require "sync.http"(options) end

---@class sync.http_options
---@field url string of the list
---@field list string|nil where in the answer the list is: "data.customers"; the answer itself unless told
---@field id string|nil the field that tells which record it is; "id"
---@field modified string|nil the field with the moment of the last change
---@field since string|nil the parameter that asks for what was changed since; without it each run reads all
---@field since_format "iso"|"ms"|"s"|nil
---@field overlap string|nil how much earlier than the last change to begin; "2m"
---@field paging sync.http_paging|nil
---@field auth userdata|table|nil secret "TOKEN" (bearer), or { "user", secret "PASSWORD" } (basic)
---@field headers table<string, string|userdata>|nil { ["X-Api-Key"] = secret "KEY" }
---@field query table<string, any>|nil
---@field get string|nil "/{id}", behind the url: one record
---@field find string|nil "?email={key}": the list of records with that key
---@field item string|nil where in answers and bodies a single record is: "customer"
---@field update string|nil "PUT" in place of PATCH

---@class sync.http_paging
---@field by "cursor"|"page"|"offset"|"link"|"next" next: the answer holds the next address; link: the header Link does
---@field param string|nil the parameter of cursor, page and offset
---@field next string|nil where in the answer the next cursor or address is: "meta.next"
---@field more string|nil where it says whether there are more
---@field size_param string|nil
---@field size integer|nil a shorter page is the last
---@field first integer|nil number of the first page; 1

---------------------------------------------------------------------------------------------------- mappings

---@class sync.mapping
local Mapping = { __name = "sync.mapping" }
Mapping.__index = Mapping

local declared = {}

---Declares a mapping. What it remembers is in the store under its name. Raises, with what is wrong, when it cannot work.
---@param name string
---@param given sync.definition
---@return sync.mapping
function sync.mapping(name, given)
  local def, wrong = definition.read(name, given)
  if not def then error(wrong, 2) end
  if declared[name] then error(('sync "%s" is declared twice'):format(name), 2) end
  declared[name] = true
  return setmetatable({ name = name, def = def, state = state.new(name), busy = false }, Mapping)
end

local function check_options(options, known, what)
  if options ~= nil and type(options) ~= "table" then error(what .. ": options are a table", 3) end
  for key in pairs(options or {}) do
    if not known[key] then error(('%s: unknown option "%s"'):format(what, tostring(key)), 3) end
  end
  return options or {}
end

-- A run at a time: two would find each other's half.
local function busy(self)
  if self.busy then error(host.error { kind = "busy", message = ("sync %s is running already"):format(self.name) }, 3) end
  self.busy = true
  return setmetatable({}, { __close = function() self.busy = false end })
end

local function prepare(def)
  for _, side in ipairs { "left", "right" } do
    local endpoint, written = def[side], {}
    if side == "right" or def.two_way then
      for _, name in ipairs(def.names[side]) do written[name] = true end
    end
    if endpoint.prepare then
      local ok, why = pcall(endpoint.prepare, def.names[side], written, def.key[side])
      if not ok then
        if type(why) == "table" and why.kind == "invalid" then why.message = ("sync %s: %s"):format(def.name, why.message) end
        error(why, 0)
      end
    end
  end
end

local function asks(def)
  for _, field in ipairs(def.fields) do
    if field.conflict == "ask" then return true end
  end
  return false
end

local function keys_of(st, prefix)
  local out = {}
  for keys in st:keys(prefix) do
    for _, key in ipairs(keys) do out[key] = true end
  end
  return out
end

local entries

local function begin(self, options)
  local run = { def = self.def, state = self.state, result = result.new(self.name, options.dry_run), dry_run = options.dry_run or false,
    full = options.full or false, puts = {}, bad_ids = {}, conflicts = {}, decided = {}, known_conflicts = {},
    shown = options.progress ~= false and host.bar "" }
  run.progress = run.shown and result.progress(self.name) or function() end
  prepare(self.def)
  for key in pairs(keys_of(self.state, "q/")) do run.bad_ids[key:sub(3)] = true end
  if asks(self.def) then
    run.known_conflicts = keys_of(self.state, "c/")
    for key in pairs(keys_of(self.state, "d/")) do run.decided["c/" .. key:sub(3)] = self.state:get(key) end
  end
  function run.entries() return entries(self) end
  function run.commit()
    if next(run.puts) and not run.dry_run then self.state:commit(run.puts) end
    run.puts = {}
  end
  return run
end

---------------------------------------------------------------------------------------------------- the quarantine

local META = { "_id", "_reason", "_line" }

function entries(self)
  local list = {}
  for keys in self.state:keys "q/" do
    for _, key in ipairs(keys) do
      local entry = self.state:get(key)
      if entry then list[#list + 1] = entry end
    end
  end
  table.sort(list, function(a, b) return (a.line or 0) < (b.line or 0) or (a.line or 0) == (b.line or 0) and a.id < b.id end)
  return list
end

local function rows_of_file(path)
  local list, columns = {}, {}
  for _, name in ipairs(META) do columns[name] = true end
  for page in files.of(path).changes(nil, {}, { size = 500 }) do
    for _, record in ipairs(page.records) do
      local row = {}
      for name, value in pairs(record.values) do
        if not columns[name] then row[name] = value end
      end
      local id = record.values._id
      if type(id) == "string" and id ~= "" then list[#list + 1] = { id = id, row = row, line = tonumber(record.values._line) } end
    end
  end
  return list
end

-- The file holds what is bad now, and nothing else.
local function write_quarantine(self, had)
  local path = self.def.quarantine
  if not path then return end
  local list = entries(self)
  if #list == 0 and not had then   -- a person that was forgotten may be in it still
    local ok, left = pcall(rows_of_file, path)
    if not ok or #left == 0 then return end
  end
  local columns, seen = table.move(META, 1, #META, 1, {}), {}
  for _, name in ipairs(self.def.two_way and {} or self.def.names.left) do
    if not seen[name] then columns[#columns + 1] = name end
    seen[name] = true
  end
  local more = {}
  for _, entry in ipairs(list) do
    for name in pairs(entry.row) do
      if not seen[name] then more[#more + 1] = name end
      seen[name] = true
    end
  end
  table.sort(more)
  table.move(more, 1, #more, #columns + 1, columns)
  local out = files.of(path).sink(columns)
  for _, entry in ipairs(list) do
    local row = { _id = entry.id, _reason = entry.reason, _line = entry.line }
    for name, value in pairs(entry.row) do row[name] = value end
    out:write(row)
  end
  out:close()
end

---Bad rows: { id =, reason =, row =, line = }, in the order of the source. Waits.
---@return table[]
function Mapping:quarantined() return entries(self) end

-- The file's rows. One that cannot be written as the file has it, and that nobody has changed, stays what it is.
local function corrected(self)
  local list = rows_of_file(self.def.quarantine)
  for _, one in ipairs(list) do
    local entry = self.state:get("q/" .. state.bad_id(one.id))
    one.unfit = entry and entry.unfit
    for name, value in pairs(one.unfit and entry.row or {}) do
      if tostring(one.row[name] or "") ~= tostring(value) then one.unfit = nil end
    end
    one.reason = one.unfit and entry.reason
  end
  return list
end

---Takes the rows of the quarantine through the mapping again: out of its file, as a person has corrected them; without
---a file as they came. What is well leaves it. A two-way sync reads the records anew. Waits.
---@param options {dry_run: boolean|nil}|nil
---@return sync.result
function Mapping:retry_quarantine(options)
  options = check_options(options, { dry_run = true }, "retry_quarantine")
  local _ <close> = busy(self)
  local run = begin(self, options)
  if not next(run.bad_ids) then return run.result end
  local list = self.def.quarantine and not self.def.two_way and corrected(self) or entries(self)
  if self.def.two_way then twoway.retry(run, list) else oneway.retry(run, list) end
  run.progress()
  if not run.dry_run then write_quarantine(self, true) end
  return run.result
end

---------------------------------------------------------------------------------------------------- conflicts

---What a person has to decide (fields with conflict = "ask"): { id =, fields = { name = { left =, right = } } }. Waits.
---@return table[]
function Mapping:conflicts()
  local list = {}
  for keys in self.state:keys "c/" do
    for _, key in ipairs(keys) do
      local conflict = self.state:get(key)
      if conflict and not self.state:get("d/" .. key:sub(3)) then list[#list + 1] = conflict end
    end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

---Decides a conflict; the next run does it. Waits.
---@param id string as conflicts() has it
---@param choice "left"|"right"|table<string, "left"|"right"> for all fields, or for each
function Mapping:decide(id, choice)
  local key = state.bad_id(tostring(id))
  local conflict = self.state:get("c/" .. key)
  if not conflict then error(('decide: sync %s has no conflict "%s"'):format(self.name, tostring(id)), 2) end
  local decision = {}
  for name, pair in pairs(conflict.fields) do
    local side = type(choice) == "table" and choice[name] or choice
    if side ~= "left" and side ~= "right" then
      error(('decide: "%s" needs "left" or "right"'):format(name), 2)
    end
    decision[name] = { left = pair.left, right = pair.right, side = side }
  end
  self.state:commit { ["d/" .. key] = decision }
end

-- What was decided since the last run, with the source's record as it is now.
local function decided_rows(run)
  local list = {}
  for key in pairs(run.decided) do
    local conflict = run.state:get(key)
    local row = conflict and conflict.row
    if conflict and run.def.left.get then
      local record = run.def.left.get({ conflict.source }, run.def.names.left)[conflict.source]
      row = record and record.values
    end
    if row then list[#list + 1] = { id = conflict.source, row = row } end
    run.puts[key], run.puts["d/" .. key:sub(3)] = false, false
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

---------------------------------------------------------------------------------------------------- running

---Runs the mapping: from where the last run ended. In a dry run nothing is written, neither to the target nor to
---what the mapping remembers, and the result shows the difference. Waits.
---@param options {dry_run: boolean|nil, full: boolean|nil, progress: boolean|nil}|nil full: everything anew
---@return sync.result # print(result) shows it; json.encode(result) for programs
function Mapping:run(options)
  options = check_options(options, { dry_run = true, full = true, progress = true }, "run")
  local _ <close> = busy(self)
  local run = begin(self, options)
  local had = next(run.bad_ids) ~= nil
  if self.def.two_way then
    twoway.run(run)
  else
    if next(run.decided) then oneway.retry(run, decided_rows(run)) end
    oneway.run(run)
  end
  run.progress()
  if not run.dry_run then write_quarantine(self, had) end
  return run.result
end

return sync
