--- What a run has done, or in a dry run would do: counts and differences, for people and for programs; and its progress.
local _, host = ...
local text = require "report.text"

local result = {}
local Result = { __name = "sync.result" }
Result.__index = Result

local SHOWN = 1000           -- differences that are kept
local COUNTS = { "read", "created", "updated", "deleted", "merged", "linked", "unchanged", "skipped", "bad", "conflicts" }

---@class sync.change
---@field action "create"|"update"|"delete"|"merge"|"link"
---@field on string # "left" or "right": the side that is written
---@field key string|nil
---@field id string|nil
---@field fields table<string, {from: any, to: any}>|nil

---@class sync.result
---@field name string
---@field dry_run boolean
---@field read integer records that were read
---@field created integer
---@field updated integer
---@field deleted integer
---@field merged integer
---@field linked integer
---@field unchanged integer
---@field skipped integer by `mode`, or kept by a field's policy
---@field bad integer rows in quarantine, of this run
---@field conflicts integer
---@field changes sync.change[] the first 1,000
---@field notes string[]

---@param name string
---@param dry_run boolean|nil
---@return sync.result
function result.new(name, dry_run)
  local self = { name = name, dry_run = dry_run or false, changes = json.array {}, bad_rows = json.array {}, notes = json.array {} }
  for _, count in ipairs(COUNTS) do self[count] = 0 end
  return setmetatable(self, Result)
end

---Counts a change, and keeps it while there is room.
---@param count string
---@param change sync.change|nil
function Result:add(count, change)
  self[count] = self[count] + 1
  if change and #self.changes < SHOWN then self.changes[#self.changes + 1] = change end
end

function Result:add_bad(id, reason, row)
  self.bad = self.bad + 1
  if #self.bad_rows < SHOWN then self.bad_rows[#self.bad_rows + 1] = { id = id, reason = reason, row = row } end
end

local function shown(value) return value == nil and "–" or tostring(value) end

-- A row of the difference for each field.
local function rows_of(changes, max)
  local rows, cut = {}, 0
  for _, change in ipairs(changes) do
    local names = {}
    for name in pairs(change.fields or {}) do names[#names + 1] = name end
    table.sort(names)
    if #names == 0 then names[1] = false end
    if #rows + #names > max then
      cut = cut + 1
    else
      for i, name in ipairs(names) do
        local field = name and change.fields[name] or {}
        rows[#rows + 1] = { i == 1 and change.action or "", i == 1 and change.on or "", i == 1 and shown(change.key or change.id) or "",
          name or "", name and shown(field.from) or "", name and shown(field.to) or "" }
      end
    end
  end
  return rows, cut
end

---The run for a terminal: the counts, and in a dry run the difference, field by field.
---@param max integer|nil lines of the difference; 50
---@return string
function Result:text(max)
  local out, counts = {}, {}
  for _, name in ipairs(COUNTS) do
    if self[name] > 0 or name == "read" then counts[#counts + 1] = ("%d %s"):format(self[name], name) end
  end
  out[1] = ("sync %s%s: %s"):format(self.name, self.dry_run and ", dry run, nothing is written" or "", table.concat(counts, ", "))
  if self.dry_run and #self.changes > 0 then
    local rows, cut = rows_of(self.changes, max or 50)
    local columns = {}
    for i, label in ipairs { "Action", "On", "Key", "Field", "Is", "Becomes" } do columns[i] = { label = label, kind = "text" } end
    out[#out + 1] = text.render({ columns = columns, rows = rows, notes = {} }, host.columns())
    local total = self.created + self.updated + self.deleted + self.merged + self.linked
    cut = math.max(cut, total - (#self.changes - cut))
    if cut > 0 then out[#out + 1] = ("… and %d more"):format(cut) end
  end
  for i = 1, math.min(5, #self.bad_rows) do
    out[#out + 1] = ("bad: %s: %s"):format(self.bad_rows[i].id, self.bad_rows[i].reason)
  end
  if self.bad > 5 then out[#out + 1] = ("… and %d more bad rows"):format(self.bad - 5) end
  for _, note in ipairs(self.notes) do out[#out + 1] = "note: " .. note end
  return table.concat(out, "\n")
end

Result.__tostring = Result.text

---------------------------------------------------------------------------------------------------- progress

local EVERY = 250            -- ms

local function span(seconds)
  if seconds < 90 then return ("%d s"):format(seconds) end
  if seconds < 5400 then return ("%d min"):format(seconds // 60) end
  return ("%.1f h"):format(seconds / 3600)
end

---The line of progress: rows, rate, and the time left when the total is known.
---@param name string
---@param done integer
---@param share number|nil 0 to 1
---@param ms integer since the beginning
function result.progress_line(name, done, share, ms)
  local rate = ms > 0 and done * 1000 // ms or 0
  local line = ("%s: %s rows, %s/s"):format(name, text.value(done), text.value(rate))
  if share and share > 0.001 and ms > 1000 then
    line = ("%s, %d %%, %s left"):format(line, share * 100 // 1, span(math.tointeger(ms * (1 - share) / share / 1000 // 1)))
  end
  return line
end

---A function that shows rows done, and the share of all, on the terminal. Call it without arguments at the end.
function result.progress(name)
  local began, last = time.now(), 0
  return function(done, share)
    local now = time.now()
    if not done then host.bar ""
    elseif now - last >= EVERY then
      host.bar(result.progress_line(name, done, share, now - began))
      last = now
    end
  end
end

return result
