--- When somebody is busy, out of an iCalendar text (RFC 5545): events and what repeats of them, in a window of time.
---
--- Read are DTSTART, DTEND or DURATION, whole days, UTC, TZID and times without a zone, RRULE of days, weeks, months and years
--- with INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY, BYMONTH, BYSETPOS and WKST, EXDATE, and single occurrences that were moved
--- (RECURRENCE-ID). Cancelled events and those that do not block time (TRANSP:TRANSPARENT) are not busy. The text comes from
--- outside: what it may cost is bounded, and an event that cannot be understood is left out and counted.
local icalendar = {}

local DAY <const> = 86400000
local BYTES_MAX <const>, STEPS_MAX <const>, FOUND_MAX <const> = 1 << 20, 40000, 2000
local WEEKDAYS <const> = { SU = 0, MO = 1, TU = 2, WE = 3, TH = 4, FR = 5, SA = 6 }
-- What Outlook calls the zones where most of its users are.
local WINDOWS <const> = {
  ["W. Europe Standard Time"] = "Europe/Berlin", ["Romance Standard Time"] = "Europe/Paris", ["GMT Standard Time"] = "Europe/London",
  ["Central Europe Standard Time"] = "Europe/Budapest", ["Central European Standard Time"] = "Europe/Warsaw",
  ["FLE Standard Time"] = "Europe/Kyiv", ["GTB Standard Time"] = "Europe/Bucharest", ["Eastern Standard Time"] = "America/New_York",
  ["Central Standard Time"] = "America/Chicago", ["Mountain Standard Time"] = "America/Denver", ["India Standard Time"] = "Asia/Kolkata",
  ["Pacific Standard Time"] = "America/Los_Angeles", ["Tokyo Standard Time"] = "Asia/Tokyo", ["China Standard Time"] = "Asia/Shanghai",
  ["Singapore Standard Time"] = "Asia/Singapore", ["AUS Eastern Standard Time"] = "Australia/Sydney",
  ["E. South America Standard Time"] = "America/Sao_Paulo", ["UTC"] = "UTC",
}

local function day_of(y, m, d) return time.instant { year = y, month = m, day = d } // DAY end
local function civil_of(day) return time.civil(day * DAY) end

-- ---------------------------------------------------------------- lines

-- "DTSTART;TZID=\"Europe/Berlin\":2026…" → name, parameters, value
local function property(line)
  local name, at = line:match("^([%w-]+)()")
  if not name then return nil end
  local params = {}
  while line:sub(at, at) == ";" do
    local key, quoted, next_at = line:match('^;([%w-]+)="([^"]*)"()', at)
    if not key then key, quoted, next_at = line:match("^;([%w-]+)=([^;:]*)()", at) end
    if not key then return nil end
    params[key:upper()], at = quoted, next_at
  end
  if line:sub(at, at) ~= ":" then return nil end
  return name:upper(), params, line:sub(at + 1)
end

-- The VEVENTs as tables of their properties; those of alarms in them do not count.
local function events_of(text)
  local events, event, inner = {}, nil, 0
  text = text:gsub("\r\n?", "\n"):gsub("\n[ \t]", "")
  for line in text:gmatch("[^\n]+") do
    local name, params, value = property(line)
    if name == "BEGIN" then
      if event then inner = inner + 1 elseif value:upper() == "VEVENT" then event, inner = { exdates = {} }, 0 end
    elseif name == "END" and event then
      if inner > 0 then
        inner = inner - 1
      else
        events[#events + 1], event = event, nil
      end
    elseif name and event and inner == 0 then
      local entry = { params = params, value = value }
      if name == "EXDATE" then event.exdates[#event.exdates + 1] = entry elseif not event[name] then event[name] = entry end
    end
  end
  return events
end

-- ---------------------------------------------------------------- moments

local function zone(name, default)
  if not name then return default end
  name = WINDOWS[name] or name:match("(%a+/[%w_+-]+)$") or name       -- "/freeassociation.sourceforge.net/Europe/Berlin"
  return pcall(time.civil, 0, name) and name or default
end

---@return { day: integer, seconds: integer|nil, tz: string, ms: integer }|nil seconds nil: a whole day
local function moment(entry, value, tz)
  local y, m, d, rest = value:match("^%s*(%d%d%d%d)(%d%d)(%d%d)(.-)%s*$")
  y, m, d = tonumber(y), tonumber(m), tonumber(d)
  if not y or y < 1970 or y > 2200 or m < 1 or m > 12 or d < 1 or d > 31 then return nil end
  if rest == "" then
    local day = day_of(y, m, d)
    return { day = day, tz = tz, ms = day * DAY }
  end
  local h, mi, s, utc = rest:match("^T(%d%d)(%d%d)(%d%d)(Z?)$")
  h, mi, s = tonumber(h), tonumber(mi), tonumber(s)
  if not h or h > 23 or mi > 59 or s > 60 then return nil end
  local at = { day = day_of(y, m, d), seconds = h * 3600 + mi * 60 + s, tz = utc == "Z" and "UTC" or zone(entry.params.TZID, tz) }
  at.ms = time.instant({ year = y, month = m, day = d, hour = h, minute = mi, second = s }, at.tz)
  return at
end

-- The same time of day on another day.
local function on_day(start, day)
  if not start.seconds then return day * DAY end
  local c, s = civil_of(day), start.seconds
  return time.instant({ year = c.year, month = c.month, day = c.day, hour = s // 3600, minute = s // 60 % 60, second = s % 60 }, start.tz)
end

local function duration(value)
  local sign, rest = value:match("^([+-]?)P(.*)$")
  if not rest or sign == "-" then return nil end
  local days, clock = rest:match("^([^T]*)T?(.*)$")
  local ms, any = 0, false
  for n, unit in (days .. clock):gmatch("(%d+)(%a)") do
    local is = ({ W = 7 * DAY, D = DAY, H = 3600000, M = 60000, S = 1000 })[unit]
    if not is or #n > 6 then return nil end
    ms, any = ms + tonumber(n) * is, true
  end
  return any and ms or nil
end

-- ---------------------------------------------------------------- what repeats

local function numbers(value, least, most)
  local list = {}
  for word in value:gmatch("[^,]+") do
    local n = math.tointeger(tonumber(word))
    if not n or n == 0 or math.abs(n) < least or math.abs(n) > most then return nil end
    list[#list + 1] = n
  end
  return #list > 0 and #list <= 62 and list or nil
end

local rule_parts = {
  FREQ = function(v) return ({ DAILY = 1, WEEKLY = 7, MONTHLY = 31, YEARLY = 366 })[v] and v end,
  INTERVAL = function(v) local n = math.tointeger(tonumber(v)) return n and n > 0 and n < 10000 and n end,
  COUNT = function(v) local n = math.tointeger(tonumber(v)) return n and n > 0 and n end,
  UNTIL = function(v) return v end,
  WKST = function(v) return WEEKDAYS[v] end,
  BYMONTHDAY = function(v) return numbers(v, 1, 31) end,
  BYMONTH = function(v) return numbers(v, 1, 12) end,
  BYSETPOS = function(v) return numbers(v, 1, 366) end,
  BYDAY = function(v)
    local list = {}
    for word in v:gmatch("[^,]+") do
      local n, day = word:match("^([+-]?%d*)(%u%u)$")
      if not n or not WEEKDAYS[day] or n ~= "" and not tonumber(n) then return nil end
      list[#list + 1] = { nth = tonumber(n), weekday = WEEKDAYS[day] }
    end
    return #list > 0 and #list <= 62 and list
  end,
}

local function rule_of(text)
  local rule = {}
  for part in text:upper():gmatch("[^;]+") do
    local name, value = part:match("^%s*([%u]+)=(.-)%s*$")
    local read = name and rule_parts[name]
    rule[name or ""] = read and read(value)
    if not rule[name or ""] then return nil end
  end
  if not rule.FREQ or rule.FREQ == "YEARLY" and rule.BYDAY and not rule.BYMONTH then return nil end
  rule.INTERVAL = rule.INTERVAL or 1
  return rule
end

local function has(list, value)
  for _, one in ipairs(list) do if one == value then return true end end
  return false
end

-- The days of a month that a rule of months or years means.
local function days_of_month(rule, y, m, start, found)
  local first, following = day_of(y, m, 1), day_of(m == 12 and y + 1 or y, m % 12 + 1, 1)
  if not rule.BYDAY and not rule.BYMONTHDAY then
    local day = first + civil_of(start.day).day - 1
    if day < following then found[#found + 1] = day end
    return
  end
  for day = first, following - 1 do
    local good = not rule.BYMONTHDAY or has(rule.BYMONTHDAY, day - first + 1) or has(rule.BYMONTHDAY, day - following)
    if good and rule.BYDAY then
      good = false
      for _, by in ipairs(rule.BYDAY) do
        local nth = (day - first) // 7 + 1
        local last = -((following - 1 - day) // 7 + 1)
        good = good or (day + 4) % 7 == by.weekday and (not by.nth or by.nth == nth or by.nth == last)
      end
    end
    if good then found[#found + 1] = day end
  end
end

local function days_of_period(rule, k, start)
  local found, c = {}, civil_of(start.day)
  if rule.FREQ == "DAILY" then
    local day = start.day + k * rule.INTERVAL
    local at = civil_of(day)
    local good = (not rule.BYMONTH or has(rule.BYMONTH, at.month)) and (not rule.BYMONTHDAY or has(rule.BYMONTHDAY, at.day))
    if good and rule.BYDAY then
      good = false
      for _, by in ipairs(rule.BYDAY) do good = good or by.weekday == at.weekday end
    end
    if good then found[1] = day end
  elseif rule.FREQ == "WEEKLY" then
    local first = start.day - (c.weekday - (rule.WKST or 1)) % 7 + 7 * k * rule.INTERVAL
    for day = first, first + 6 do
      local weekday, good = (day + 4) % 7, not rule.BYDAY and (day + 4) % 7 == c.weekday
      for _, by in ipairs(rule.BYDAY or {}) do good = good or by.weekday == weekday end
      if good and (not rule.BYMONTH or has(rule.BYMONTH, civil_of(day).month)) then found[#found + 1] = day end
    end
  elseif rule.FREQ == "MONTHLY" then
    local index = c.year * 12 + c.month - 1 + k * rule.INTERVAL
    if not rule.BYMONTH or has(rule.BYMONTH, index % 12 + 1) then days_of_month(rule, index // 12, index % 12 + 1, start, found) end
  else
    for m = 1, 12 do
      local named = rule.BYMONTH and has(rule.BYMONTH, m) or not rule.BYMONTH and (rule.BYMONTHDAY or m == c.month)
      if named then days_of_month(rule, c.year + k * rule.INTERVAL, m, start, found) end
    end
  end
  if not rule.BYSETPOS then return found end
  local chosen = {}
  for i, day in ipairs(found) do
    if has(rule.BYSETPOS, i) or has(rule.BYSETPOS, i - #found - 1) then chosen[#chosen + 1] = day end
  end
  return chosen
end

-- Calls fn with each day on which the event begins, up to that day. False: that is too much work.
local function repeated(rule, start, from_day, to_day, ends, work, fn)
  local length = ({ DAILY = 1, WEEKLY = 7, MONTHLY = 31, YEARLY = 366 })[rule.FREQ] * rule.INTERVAL
  local k = rule.COUNT and 0 or math.max(0, (from_day - start.day) // length - 1)
  local n = 0
  while true do
    local least
    for _, day in ipairs(days_of_period(rule, k, start)) do
      if day >= start.day then
        n = n + 1
        local at = on_day(start, day)
        if rule.COUNT and n > rule.COUNT or ends and at > ends or day > to_day then return true end
        fn(day, at)
      end
      least = day
    end
    -- Periods without a day of their own end as well.
    if not least and start.day + k * length // (rule.FREQ == "MONTHLY" and 2 or 1) > to_day + 366 then return true end
    k, work.steps = k + 1, work.steps + (rule.FREQ == "DAILY" and 1 or rule.FREQ == "WEEKLY" and 7 or 31)
    if work.steps > STEPS_MAX then return false end
  end
end

-- ---------------------------------------------------------------- the whole

local function is_busy(event)
  local function says(name, value) return event[name] and event[name].value:upper():find("^%s*" .. value .. "%s*$") ~= nil end
  return not (says("STATUS", "CANCELLED") or says("TRANSP", "TRANSPARENT") or says("X-MICROSOFT-CDO-BUSYSTATUS", "FREE"))
end

local function length_of(event, start, tz)
  if event.DURATION then return duration(event.DURATION.value) end
  local ends = event.DTEND and moment(event.DTEND, event.DTEND.value, tz)
  if event.DTEND then return ends and not ends.seconds == not start.seconds and ends.ms - start.ms or nil end
  return start.seconds and 0 or DAY
end

--- Busy times between two moments.
---@param text string
---@param given { from: integer, to: integer, tz: string } epoch ms; the zone of times that name none
---@return routing.absence|nil
---@return string|integer wrong, or how many events could not be understood
function icalendar.busy(text, given)
  if #text > BYTES_MAX then return nil, "larger than 1 MiB" end
  if not text:find("^[%s\xef\xbb\xbf]*BEGIN:VCALENDAR") then return nil, "no iCalendar" end
  local events, moved, result, skipped, work = events_of(text), {}, { days = {}, spans = {} }, 0, { steps = 0 }
  for _, event in ipairs(events) do
    local at = event["RECURRENCE-ID"] and moment(event["RECURRENCE-ID"], event["RECURRENCE-ID"].value, given.tz)
    if at and event.UID then moved[event.UID.value .. " " .. at.ms] = true end
  end
  local from_day, to_day = given.from // DAY - 1, given.to // DAY + 1
  for _, event in ipairs(events) do
    local start = event.DTSTART and moment(event.DTSTART, event.DTSTART.value, given.tz)
    local length = start and length_of(event, start, given.tz)
    local rule = event.RRULE and rule_of(event.RRULE.value)
    if not is_busy(event) then
      start = nil
    elseif not length or length < 0 or event.RRULE and not rule then
      skipped = skipped + 1
    end
    if start and length and length > 0 then
      local gone = {}
      for _, entry in ipairs(event.exdates) do
        for value in entry.value:gmatch("[^,]+") do
          local at = moment(entry, value, given.tz)
          if at then gone[at.seconds and at.ms or at.day * DAY] = true end
        end
      end
      local function add(day, at)
        if at >= given.to or at + length <= given.from - DAY or gone[at] or gone[day * DAY] and start.seconds == nil then return end
        if event.UID and not event["RECURRENCE-ID"] and moved[event.UID.value .. " " .. at] then return end
        if start.seconds then
          result.spans[#result.spans + 1] = { from = at, to = at + length }
        else
          local last = civil_of(day + math.max(1, length // DAY) - 1)
          local first = civil_of(day)
          result.days[#result.days + 1] = { from = ("%04d-%02d-%02d"):format(first.year, first.month, first.day),
            to = ("%04d-%02d-%02d"):format(last.year, last.month, last.day) }
        end
      end
      if not rule or event["RECURRENCE-ID"] then
        add(start.day, start.ms)
      else
        local ends = rule.UNTIL and moment(event.DTSTART, rule.UNTIL, given.tz)
        local till = ends and (ends.seconds and ends.ms or (ends.day + 1) * DAY - (start.seconds and 1 or DAY))
        if rule.UNTIL and not ends then
          skipped = skipped + 1
        elseif not repeated(rule, start, from_day - length // DAY - 1, to_day, till, work, add) then
          return nil, "events that repeat too often"
        end
      end
    end
    if #result.spans + #result.days > FOUND_MAX then return nil, ("more than %d busy times"):format(FOUND_MAX) end
  end
  return result, skipped
end

return icalendar
