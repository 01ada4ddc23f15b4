--- Moments given for properties that hold a day: "2026-12-24T09:30:00+01:00" becomes "2026-12-24", as HubSpot takes
--- nothing but a day there. See hubspot.lua for the whole picture.
local _, host = ...

local dates = {}

-- Which properties hold a day is asked for when a moment is written, at most once in this time for each object type.
local KEEP = 60 * 60 * 1000
local DAY = 24 * 60 * 60 * 1000

---@type table<string, {at: integer|nil, names: table<string, true>, gate: table}>
local known = {}

-- The day of a moment as it is written (the day where its offset is), or of epoch milliseconds in UTC.
local function day_of(text)
  local day = text:match("^(%d%d%d%d%-%d%d%-%d%d)[T ]%d%d:%d%d")
  if day then return day end
  local ms = text:match("^%d%d%d%d%d%d%d%d%d%d%d%d%d$") and math.tointeger(tonumber(text))
  if ms and ms % DAY ~= 0 then return time.iso(ms):sub(1, 10) end
end

local function read_names(conn, object_type)
  local names = {}
  local answer = conn.raw("GET", "/crm/properties/{version}/" .. host.url(object_type))
  for _, definition in ipairs(answer and answer.results or {}) do
    if definition.type == "date" then names[definition.name] = true end
  end
  return names
end

local function date_names(conn, object_type)
  local key = (conn.fixed_account() or "") .. "\0" .. object_type
  local entry = known[key]
  if not entry then
    entry = { names = {}, gate = task.semaphore(1) }
    known[key] = entry
  end
  if entry.at and time.now() - entry.at < KEEP then return entry.names end
  entry.gate:with(function()
    if entry.at and time.now() - entry.at < KEEP then return end
    -- Without the scope for definitions the value goes as it is, and HubSpot judges it.
    local fine, names = pcall(read_names, conn, object_type)
    entry.names, entry.at = fine and names or {}, time.now()
  end)
  return entry.names
end

---Changes moments in `written` (names and texts) to days where the property holds a day. Waits when it has to ask.
---@param conn hubspot.connection
---@param object_type string
---@param written table<string, string>
---@return table<string, string> written
function dates.days(conn, object_type, written)
  local found
  for name, text in pairs(written) do
    local day = day_of(text)
    if day then
      found = found or {}
      found[name] = day
    end
  end
  if not found then return written end
  local names = date_names(conn, object_type)
  for name, day in pairs(found) do
    if names[name] then written[name] = day end
  end
  return written
end

return dates
