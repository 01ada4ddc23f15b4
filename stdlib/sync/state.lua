--- What a mapping remembers between runs, in the store under the mapping's name:
---   cursor               where the next run begins; in the same commit as what its page has led to
---   l/HH/LEFT, r/HH/RIGHT the links of a two-way sync; k/HH/KEY what a one-way sync has brought; HH: four hex digits
---                        (of a person that was forgotten r/HH/RIGHT is "forgotten": it is not made again at the left)
---   q/ID                 bad rows, until they are well      c/LEFT   conflicts for a person
local _, host = ...
local step = require "engine.step"
local text = require "report.text"

local state = {}
local State = {}
State.__index = State

local LIST_MAX = 10000
local PUTS_MAX = 2000        -- of one commit
local ROW_MAX = 128 * 1024   -- bytes of a bad row

---@param name string
function state.new(name)
  return setmetatable({ name = name, kv = host.kv("sync:" .. name) }, State)
end

-- A key of any id: those that are too long for one by their hash.
local function spread(prefix, id)
  local hash = crypto.sha256(id)
  return prefix .. "/" .. hash:sub(1, 4) .. "/" .. (#id > 400 and "#" .. hash or id)
end
state.spread = spread

---A short id of a bad row.
function state.bad_id(id) return #id > 400 and "#" .. crypto.sha256(id) or id end

local function is_text(value) return not value:find("\0", 1, true) and utf8.len(value) ~= nil end

-- A bad row as the store can hold it, with its texts cut to `most` bytes; and whether it is another one for that.
local function storable(row, most)
  local out, changed = {}, false
  for name, value in pairs(row) do
    if type(value) == "table" and (most or not pcall(json.encode, value)) then
      local ok, said = pcall(json.encode, value)
      value, changed = ok and said or "…", true
    elseif type(value) == "number" and (value ~= value or value == math.huge or value == -math.huge) then
      value, changed = tostring(value), true
    end
    if type(value) == "string" then
      if not is_text(value) then value, changed = value:gsub("[%z\x80-\xff]", "?"), true end
      if most and #value > most then
        value, changed = ("%s… (%d bytes)"):format(value:sub(1, (utf8.offset(value, 0, most + 1)) - 1), #value), true
      end
    end
    out[name] = value
  end
  if #json.encode(out) > ROW_MAX and (not most or most > 10) then return storable(row, (most or 10000) // 10), true end
  return out, changed
end

---What the quarantine holds of a row. `unfit`: it is another one than the source's, and not to be written as it is.
---@param id string
---@param reason string
---@param record table
function state.bad(id, reason, record)
  local row, changed = storable(record.values)
  return { id = id, reason = text.value(reason), row = row, line = record.line, unfit = changed or record.unfit, at = time.now() }
end

function State:get(key) return self.kv.get(key) end

---Values of many keys. Waits.
---@param keys string[]
---@return table<string, any>
function State:get_all(keys)
  local out = {}
  local list = task.map(keys, function(key) return { self.kv.get(key) } end, { concurrency = 200 })
  for i, key in ipairs(keys) do out[key] = list[i][1] end
  return out
end

---Stores all of `puts` (false deletes) at once. In a handler this is a step of its own, so that a crash later does not
---lose it. Waits.
---@param puts table<string, any>
function State:commit(puts)
  local keys = {}
  for key in pairs(puts) do keys[#keys + 1] = key end
  table.sort(keys)
  -- The cursor goes with the last part: what stands before it may be stored twice, but is never left out.
  for at, key in ipairs(keys) do
    if key == "cursor" then
      table.remove(keys, at)
      keys[#keys + 1] = key
      break
    end
  end
  for at = 1, #keys, PUTS_MAX do
    local part = {}
    for i = at, math.min(#keys, at + PUTS_MAX - 1) do
      local value = puts[keys[i]]
      part[keys[i]] = value ~= false and json.encode(value)
    end
    local name = host.step.name(("sync %s"):format(self.name))
    if name then
      -- A step that an earlier attempt has stored would drop what is buffered: its name is of this attempt.
      local n = (self.kv.get("steps") or 0) + 1
      part.steps = tostring(n)
      self.kv.put(part)
      step(("sync %s, %d"):format(self.name, n), function() end)
    else
      self.kv.put(part)
    end
  end
end

local HEX = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f" }

---All keys that begin so, in lists of at most 10,000. Waits.
---@param prefix string
---@return fun(): string[]|nil
function State:keys(prefix)
  local waiting = { prefix }
  return function()
    while #waiting > 0 do
      local at = table.remove(waiting)
      local found = self.kv.list(at, { max = LIST_MAX })
      if #found < LIST_MAX then
        if #found > 0 then return found end
      else
        if #at >= #prefix + 4 then
          error(host.error { kind = "limit", message = ("sync %s: more records than it can keep links of"):format(self.name) })
        end
        for i = #HEX, 1, -1 do waiting[#waiting + 1] = at .. HEX[i] end
      end
    end
  end
end

return state
