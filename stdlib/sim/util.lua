-- Small things every part of the simulator needs: dates, quoting, query strings,
-- seeded random numbers. Pure functions; nothing here knows HubSpot.
local U = {}

local floor = math.floor
local fmt, find, byte, gsub = string.format, string.find, string.byte, string.gsub

-- The state's own module when there is one; tests of single files have the global.
local json = json

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
local function escape(c)
  return ESCAPES[c] or fmt("\\u%04x", byte(c))
end

local quoted, quoted_count = {}, 0

---JSON text of a string. Values come again and again, so what was quoted lately is kept.
---@param s string
function U.quote(s)
  local q = quoted[s]
  if q then return q end
  q = '"' .. (find(s, '[%c"\\]') and gsub(s, '[%c"\\]', escape) or s) .. '"'
  if #s > 64 then return q end
  if quoted_count > 8192 then quoted, quoted_count = {}, 0 end
  quoted[s], quoted_count = q, quoted_count + 1
  return q
end

-- Days since 1970-01-01 to year, month, day and back (Howard Hinnant's civil calendar algorithms).
local function civil(days)
  local z = days + 719468
  local era = z // 146097
  local doe = z - era * 146097
  local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
  local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
  local mp = (5 * doy + 2) // 153
  local d = doy - (153 * mp + 2) // 5 + 1
  local m = mp < 10 and mp + 3 or mp - 9
  local y = yoe + era * 400
  if m <= 2 then y = y + 1 end
  return y, m, d
end

local function days_from(y, m, d)
  if m <= 2 then y = y - 1 end
  local era = y // 400
  local yoe = y - era * 400
  local doy = (153 * (m > 2 and m - 3 or m + 9) + 2) // 5 + d - 1
  return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
end

local iso_cache, iso_count = {}, 0

---Epoch milliseconds as "2026-09-01T08:00:00.000Z".
---@param ms integer
function U.iso(ms)
  local s = iso_cache[ms]
  if s then return s end
  local days = ms // 86400000
  local rest = ms - days * 86400000
  local y, m, d = civil(days)
  s = fmt("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", y, m, d, rest // 3600000, rest // 60000 % 60, rest // 1000 % 60, rest % 1000)
  if iso_count > 8192 then iso_cache, iso_count = {}, 0 end
  iso_cache[ms], iso_count = s, iso_count + 1
  return s
end

---ISO date, ISO date-time or epoch milliseconds (as a string) to epoch milliseconds, or nil.
---@param s string
function U.ms(s)
  if find(s, "^%-?%d+$") and #s <= 15 then return math.tointeger(tonumber(s)) end
  local y, m, d, rest = s:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
  if not y then return nil end
  y, m, d = math.tointeger(tonumber(y)), math.tointeger(tonumber(m)), math.tointeger(tonumber(d))
  if m < 1 or m > 12 or d < 1 or d > 31 then return nil end
  local y2, m2, d2 = civil(days_from(y, m, d))
  if y2 ~= y or m2 ~= m or d2 ~= d then return nil end
  local ms = days_from(y, m, d) * 86400000
  if rest == "" then return ms end
  local hh, mm, tail = rest:match("^[T ](%d%d):(%d%d)(.*)$")
  if not hh then return nil end
  local ss, frac, zone = tail:match("^:(%d%d)(%.?%d*)(.*)$")
  if not ss then ss, frac, zone = "0", "", tail end
  hh, mm, ss = math.tointeger(tonumber(hh)), math.tointeger(tonumber(mm)), math.tointeger(tonumber(ss))
  if hh > 23 or mm > 59 or ss > 60 then return nil end
  ms = ms + hh * 3600000 + mm * 60000 + ss * 1000
  if #frac > 1 then ms = ms + floor(tonumber("0" .. frac) * 1000 + 0.5) end
  if zone == "" or zone == "Z" then return ms end
  local sign, zh, zm = zone:match("^([%+%-])(%d%d):?(%d%d)$")
  if not sign then return nil end
  local off = (math.tointeger(tonumber(zh)) * 60 + math.tointeger(tonumber(zm))) * 60000
  return sign == "+" and ms - off or ms + off
end

---The first millisecond of the UTC day that holds `ms`.
function U.midnight(ms) return ms // 86400000 * 86400000 end

local function unhex(h) return string.char(tonumber(h, 16)) end

---Percent decoding of a path segment.
function U.decode(s)
  if not find(s, "%", 1, true) then return s end
  return (gsub(s, "%%(%x%x)", unhex))
end

---A raw query string as a table of lists: "a=1&a=2" is { a = { "1", "2" } }.
function U.query(raw)
  local out = {}
  for pair in raw:gmatch("[^&]+") do
    local k, v = pair:match("^([^=]*)=?(.*)$")
    k, v = U.decode((gsub(k, "%+", " "))), U.decode((gsub(v, "%+", " ")))
    local list = out[k]
    if list then list[#list + 1] = v else out[k] = { v } end
  end
  return out
end

---The last value of a query parameter, or nil.
function U.one(query, name)
  local list = query and query[name]
  return list and list[#list]
end

---A parameter that may be repeated or comma separated, as a list; nil when absent or empty.
function U.list(query, name)
  local values = query and query[name]
  if not values then return nil end
  local out = {}
  for _, v in ipairs(values) do
    for item in v:gmatch("[^,]+") do
      item = item:match("^%s*(.-)%s*$")
      if item ~= "" then out[#out + 1] = item end
    end
  end
  return #out > 0 and out or nil
end

---Seeded random numbers (xorshift64*): the same seed gives the same account in every mode.
---@param seed integer
function U.rng(seed)
  local x = (seed * 0x9E3779B97F4A7C15) ~ 0x2545F4914F6CDD1D
  if x == 0 then x = 1 end
  local R = {}
  local function next64()
    x = x ~ (x >> 12)
    x = x ~ (x << 25)
    x = x ~ (x >> 27)
    return x * 0x2545F4914F6CDD1D
  end
  ---A float in [0,1).
  function R.float() return (next64() >> 11) * (1.0 / 9007199254740992.0) end
  ---An integer in [a,b].
  function R.int(a, b) return a + floor(R.float() * (b - a + 1)) end
  ---True with probability p.
  function R.chance(p) return R.float() < p end
  function R.pick(list) return list[R.int(1, #list)] end
  ---Picks from { {value, weight}, … }.
  function R.weighted(list)
    local total = list.total
    if not total then
      total = 0
      for i = 1, #list do total = total + list[i][2] end
      list.total = total
    end
    local at = R.float() * total
    for i = 1, #list do
      at = at - list[i][2]
      if at < 0 then return list[i][1] end
    end
    return list[#list][1]
  end
  function R.shuffle(list)
    for i = #list, 2, -1 do
      local j = R.int(1, i)
      list[i], list[j] = list[j], list[i]
    end
  end
  function R.uuid()
    local a, b = next64(), next64()
    return fmt("%08x-%04x-4%03x-%04x-%012x", (a >> 32) & 0xffffffff, (a >> 16) & 0xffff, a & 0xfff,
      (b >> 48) & 0x3fff | 0x8000, b & 0xffffffffffff)
  end
  return R
end

---Keys of a table, sorted: whenever order reaches an answer.
function U.keys(t)
  local out = {}
  for k in pairs(t) do out[#out + 1] = k end
  table.sort(out)
  return out
end

---A record id from text or a number, or nil when it cannot be one.
function U.id(v)
  if math.type(v) == "integer" then return v > 0 and v or nil end
  if type(v) ~= "string" or #v > 18 or not find(v, "^%d+$") then return nil end
  return math.tointeger(tonumber(v))
end

---True for a JSON value that is absent or null.
function U.absent(v) return v == nil or v == json.null end

---The value at rank p (0..1) of a sorted list, or nil.
function U.percentile(sorted, p)
  local n = #sorted
  if n == 0 then return nil end
  local at = math.ceil(p * n)
  return sorted[at < 1 and 1 or at]
end

return U
