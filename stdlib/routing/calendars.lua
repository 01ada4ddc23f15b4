--- The absences that members' calendars tell: read from their addresses when they are first needed, then every 15 minutes.
--- When that fails the last answer counts, which the store keeps as well. An address may be a credential (who has it reads
--- the calendar), so it is in no message, no log and no record.
local _, host = ...
local icalendar = require "routing.icalendar"
local single = require "routing.single"

local BEFORE_MS <const>, AHEAD_MS <const> = 2 * 86400000, 100 * 86400000
local TIMEOUT <const> = "10s"

local calendars = {}
local feeds = {}

local Feed = {}
Feed.__index = Feed

-- Why it failed, without the address.
local function plain(err, url)
  if type(err) ~= "table" then return "an error" end
  if err.kind == "denied" then return "its host is not permitted: permissions, hosts, in hubloop.lua, or --allow-host" end
  -- Of other addresses this is told when the script loads.
  if err.kind == "invalid" then return tostring(url):match "^%[(.-)%]" .. " holds no https:// address, or is not set" end
  if err.kind == "auth" then return (tostring(err.message):gsub("^http: ", "")) end
  return tostring(err.kind or "an error")
end

local function read(feed)
  local ok, response = pcall(http.get, feed.url, { timeout = TIMEOUT })
  if not ok then return nil, plain(response, feed.url) end
  if response.status ~= 200 then return nil, "HTTP " .. tostring(response.status) end
  local now = host.now()
  local absence, rest = icalendar.busy(response.body or "", { from = now - BEFORE_MS, to = now + AHEAD_MS, tz = feed.tz })
  if not absence then return nil, rest end
  absence.at = now
  return absence, nil, rest
end

-- What the store has, when nothing is in memory.
local function recall(feed)
  local ok, stored = pcall(feed.kv.get, feed.key)
  return ok and type(stored) == "table" and stored or nil
end

local function renew(feed)
  local absence, why, skipped = read(feed)
  feed.tried = true
  if absence then
    if feed.failing then log.info(("routing: the calendar of %s can be read again"):format(feed.who)) end
    if skipped > 0 and skipped ~= feed.skipped then
      log.warn(("routing: %d events of the calendar of %s cannot be understood and do not count"):format(skipped, feed.who))
    end
    feed.absence, feed.failing, feed.skipped = absence, nil, skipped
    feed.kv.set(feed.key, absence, { ttl = AHEAD_MS // 1000 })
    return
  end
  feed.absence = feed.absence or recall(feed)
  if feed.failing ~= why then
    log.warn(("routing: the calendar of %s cannot be read (%s); %s"):format(feed.who, why, feed.absence
      and "what it said at " .. time.iso(feed.absence.at) .. " counts" or "until it can, they count as present"))
  end
  feed.failing = why
end

--- Waits the first time; afterwards what is known is there.
function Feed:prepare()
  if not self.tried then self.load() end
end

--- Declares a calendar. Only while the script loads.
---@param url any a URL, or secret "NAME"
---@param tz string of times that name no zone
---@param who string whose it is
---@return table feed with absence (routing.absence|nil)
function calendars.feed(url, tz, who)
  local key = crypto.sha256(tostring(url) .. " " .. tz, "hex")
  if feeds[key] then return feeds[key] end
  if not next(feeds) then
    every("15m", { name = "routing calendars" }, function()
      local list = {}
      for _, feed in pairs(feeds) do list[#list + 1] = feed end
      task.map(list, function(feed) feed.load() end, { concurrency = 8 })
    end)
  end
  local feed = setmetatable({ url = url, tz = tz, who = who, key = key, kv = host.kv("routing calendars") }, Feed)
  feed.load = single(function() renew(feed) end)
  feeds[key] = feed
  return feed
end

return calendars
