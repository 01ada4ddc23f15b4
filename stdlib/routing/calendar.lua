--- Working hours, days off and the periods of caps, as arithmetic on civil times.
local calendar = {}

local DAYS <const> = { sun = 0, mon = 1, tue = 2, wed = 3, thu = 4, fri = 5, sat = 6 }
local DAY_MINUTES <const> = 24 * 60
local LOOK_AHEAD_DAYS <const> = 62

-- "Mon-Fri,Sun" → { 1, 2, 3, 4, 5, 0 }
local function days_of(word)
  local list = {}
  for part in word:gmatch("[^,]+") do
    local from, to = part:lower():match("^(%a+)%-(%a+)$")
    from, to = DAYS[from or part:lower()], DAYS[to or part:lower()]
    if not from or not to then return nil end
    for i = 0, (to - from) % 7 do list[#list + 1] = (from + i) % 7 end
  end
  return #list > 0 and list or nil
end

local function minutes(hour, minute)
  local m = tonumber(hour) * 60 + tonumber(minute)
  return tonumber(minute) < 60 and m <= DAY_MINUTES and m or nil
end

-- "09:00-12:00,13:00-17:00" → { { 540, 720 }, { 780, 1020 } }
local function spans_of(word)
  local list = {}
  for part in word:gmatch("[^,]+") do
    local h1, m1, h2, m2 = part:match("^(%d%d?):(%d%d)%-(%d%d?):(%d%d)$")
    local from, to = h1 and minutes(h1, m1), h1 and minutes(h2, m2)
    if not from or not to or from == to or from == DAY_MINUTES then return nil end
    list[#list + 1] = { from, to }
  end
  return #list > 0 and list or nil
end

---@class routing.hours
---@field text string as it was written
---@field tz string|nil
---@field days table<integer, integer[][]> by weekday (0 Sunday): { from, to } in minutes of the day

--- "Mon-Thu 09:00-12:00,13:00-17:00 Fri 09:00-14:00 Europe/Berlin"; "22:00-06:00" ends on the next day.
---@param text string
---@return routing.hours|nil, string|nil wrong
function calendar.hours(text)
  local hours, days, open = { text = text, days = {} }, nil, false
  for weekday = 0, 6 do hours.days[weekday] = {} end
  for word in text:gmatch("%S+") do
    local bare = word:gsub("[,;]$", "")
    local listed, spans = days_of(bare), spans_of(bare)
    if hours.tz then return nil, ('"%s" after the time zone'):format(word) end
    if listed then
      if days then return nil, ('no times for the days before "%s"'):format(word) end
      days = listed
    elseif spans then
      if not days then return nil, ('no days for "%s"'):format(word) end
      for _, weekday in ipairs(days) do
        for _, span in ipairs(spans) do
          local from, to = span[1], span[2]
          table.insert(hours.days[weekday], { from, to > from and to or DAY_MINUTES })
          if to < from and to > 0 then table.insert(hours.days[(weekday + 1) % 7], { 0, to }) end
        end
      end
      days, open = nil, true
    elseif open and not days and word:find("^%a") then
      hours.tz = word
    else
      return nil, ('"%s" is neither days, times nor a time zone'):format(word)
    end
  end
  if days or not open then return nil, "no times" end
  for weekday = 0, 6 do table.sort(hours.days[weekday], function(a, b) return a[1] < b[1] end) end
  return hours
end

local function is_date(text)
  local y, m, d = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)$")
  if not y or y < "1970" then return false end
  local c = time.civil(time.instant { year = tonumber(y), month = tonumber(m), day = tonumber(d) })
  return c.month == tonumber(m) and c.day == tonumber(d)
end

---@class routing.days { from: string, to: string } whole days, both included

--- "2026-12-25" or "2026-12-24..2027-01-02".
---@param list any
---@return routing.days[]|nil, string|nil wrong
function calendar.dates(list)
  if type(list) ~= "table" then return nil, "not " .. tostring(list) end
  local out = {}
  for i, text in ipairs(list) do
    local from, to = tostring(text):match("^(.-)%.%.(.*)$")
    from, to = from or tostring(text), to or tostring(text)
    for _, date in ipairs { from, to } do
      if not is_date(date) then return nil, ('"%s" is no date'):format(date) end
    end
    if to < from then return nil, ('"%s" ends before it begins'):format(text) end
    out[i] = { from = from, to = to }
  end
  return out
end

local function date_of(civil) return ("%04d-%02d-%02d"):format(civil.year, civil.month, civil.day) end

--- Which of the `days` this date is in: as text, or nil.
---@param days routing.days[]
---@param date string
---@return string|nil
function calendar.within(days, date)
  for _, d in ipairs(days) do
    if d.from <= date and date <= d.to then return d.from == d.to and d.from or d.from .. ".." .. d.to end
  end
  return nil
end

---@class routing.absence what a property of HubSpot's says of somebody
---@field always boolean|nil
---@field days routing.days[]
---@field spans { from: integer, to: integer }[] in epoch milliseconds

local function spans_in(list)
  local spans = {}
  for i, span in ipairs(list) do
    local from, to = type(span) == "table" and tonumber(span.startTimestamp), type(span) == "table" and tonumber(span.endTimestamp)
    if not from or not to or to < from then return nil end
    spans[i] = { from = math.tointeger(from), to = math.tointeger(to) }
  end
  return spans
end

--- Reads "away" and "available" (hs_availability_status), HubSpot's list of hs_out_of_office_hours, and dates as of
--- calendar.dates with commas between them.
---@param value string|nil
---@return routing.absence|nil, string|nil wrong
function calendar.absence(value)
  value = tostring(value or ""):gsub("^%s+", ""):gsub("%s+$", "")
  local plain = value:lower()
  if plain == "" or plain == "available" then return nil end
  if plain == "away" then return { always = true, days = {}, spans = {} } end
  if value:find("^%[") then
    local ok, list = pcall(json.decode, value)
    local spans = ok and type(list) == "table" and spans_in(list)
    if not spans then return nil, "no list of startTimestamp and endTimestamp" end
    return { days = {}, spans = spans }
  end
  local dates = {}
  for date in value:gmatch("[^,;%s]+") do dates[#dates + 1] = date end
  local days, wrong = calendar.dates(dates)
  return days and { days = days, spans = {} }, wrong
end

--- Whether the absence covers `ms`: as text, and when it ends (nil: nobody knows).
---@param absence routing.absence|nil
---@param ms integer
---@param tz string
---@param source string who says so
---@return string|nil, integer|nil
function calendar.absent(absence, ms, tz, source)
  if not absence then return nil end
  local away = ("away (%s)"):format(source)
  if absence.always then return away end
  for _, span in ipairs(absence.spans) do
    if span.from <= ms and ms < span.to then return ("%s until %s"):format(away, time.iso(span.to)), span.to end
  end
  local within = calendar.within(absence.days, date_of(time.civil(ms, tz)))
  return within and away .. " " .. within, within and calendar.next_period("day", ms, tz)
end

--- What keeps somebody from working at `ms`, or nil.
---@param who { tz: string, hours: routing.hours|nil, away: routing.days[], holidays: routing.days[] }
---@param ms integer
---@return string|nil
function calendar.off(who, ms)
  local civil = time.civil(ms, who.tz)
  local date = date_of(civil)
  local away, holiday = calendar.within(who.away, date), calendar.within(who.holidays, date)
  if away then return "away " .. away end
  if holiday then return "holiday " .. holiday end
  if not who.hours then return nil end
  local minute = civil.hour * 60 + civil.minute
  for _, span in ipairs(who.hours.days[civil.weekday]) do
    if span[1] <= minute and minute < span[2] then return nil end
  end
  return ("off work (%s%s)"):format(who.hours.text, who.hours.tz and "" or " " .. who.tz)
end

--- The first moment from `ms` on at which somebody works, and when that work ends; nil: not within two months.
---@param who { tz: string, hours: routing.hours|nil, away: routing.days[], holidays: routing.days[] }
---@param ms integer
---@return integer|nil from, integer|nil to
function calendar.next_work(who, ms)
  local today = time.civil(ms, who.tz)
  for ahead = 0, LOOK_AHEAD_DAYS do
    local function at(minute)
      return time.instant({ year = today.year, month = today.month, day = today.day + ahead, minute = minute }, who.tz)
    end
    local civil = time.civil(at(12 * 60), who.tz)
    local date = date_of(civil)
    if not calendar.within(who.away, date) and not calendar.within(who.holidays, date) then
      for _, span in ipairs(who.hours and who.hours.days[civil.weekday] or { { 0, DAY_MINUTES } }) do
        if at(span[2]) > ms then return math.max(ms, at(span[1])), at(span[2]) end
      end
    end
  end
  return nil
end

--- When so much time of work has passed since `ms`; nil: not in sight.
---@param who { tz: string, hours: routing.hours|nil, away: routing.days[], holidays: routing.days[] }
---@param ms integer
---@param duration integer milliseconds
---@return integer|nil
function calendar.after_work(who, ms, duration)
  if not who.hours and #who.away + #who.holidays == 0 then return ms + duration end
  for _ = 1, 1000 do
    local from, to = calendar.next_work(who, ms)
    if not from or from + duration <= to then return from and from + duration end
    ms, duration = to, duration - (to - from)
  end
  return nil
end

calendar.periods = { hour = true, day = true, week = true, month = true }

--- The period of a cap that `ms` is in; sorts by time.
---@param per "hour"|"day"|"week"|"month"
---@param ms integer
---@param tz string
---@return string
function calendar.period(per, ms, tz)
  local civil = time.civil(ms, tz)
  if per == "hour" then return ("%sT%02d"):format(date_of(civil), civil.hour) end
  if per == "day" then return date_of(civil) end
  if per == "month" then return ("%04d-%02d"):format(civil.year, civil.month) end
  local days = (ms // 1000 + civil.offset) // 86400
  return ("week %06d"):format((days + 3) // 7)   -- 1970-01-01 was a Thursday; weeks begin on Monday
end

--- When the next period begins.
---@param per "hour"|"day"|"week"|"month"
---@param ms integer
---@param tz string
---@return integer
function calendar.next_period(per, ms, tz)
  local c = time.civil(ms, tz)
  local t = { year = c.year, month = c.month, day = c.day }
  if per == "hour" then return ms - ms % 60000 + (60 - c.minute) * 60000 end
  if per == "day" then t.day = c.day + 1 end
  if per == "week" then t.day = c.day + (7 - c.weekday) % 7 + 1 end   -- Monday
  if per == "month" then t.month, t.day = c.month + 1, 1 end
  return time.instant(t, tz)
end

return calendar
