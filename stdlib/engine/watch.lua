--- What HubSpot has to be asked for: a hidden every() of the script reads it, and its events commit together with the
--- place up to which it has been read. The places belong to the account, not to a script: several scripts that listen to
--- one form share one reading, whoever of them is the first to look.
local _, host = ...

local watch = {}

local TIMEOUT, NAME_MAX = "15m", 300
local TELL_AGAIN = 3600 * 1000   -- a reading that keeps failing is in the log once an hour

---Option every=: "60s" or seconds.
---@return string|number|nil
---@return string|nil said what is wrong
function watch.every(value)
  local number = tostring(value):match("^(%d+%.?%d*)[smhd]?$")
  if number and tonumber(number) >= 1 then return value end
  return nil, "how often HubSpot is asked, such as \"60s\" or \"5m\", at least every second"
end

---Option from=: "now" or "earliest".
function watch.from(value)
  if value == "now" or value == "earliest" then return value end
  return nil, "\"now\", or \"earliest\" for everything that there has been"
end

---Option form= or list=: an id or a name.
function watch.named(value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if type(value) == "string" and value ~= "" and #value <= NAME_MAX then return value end
  return nil, "an id or a name"
end

---The cursor of the next page, nil after the last one.
---@param answer table
---@param after string|nil the cursor of this page
function watch.next_page(answer, after)
  local paging = answer.paging and answer.paging.next
  local cursor = paging and paging.after or nil
  if cursor and cursor == after then
    error(host.error { kind = "protocol", message = "HubSpot gave the cursor of a page again; the pages would never end" }, 0)
  end
  return cursor
end

local failing = {}   -- what -> when it was last in the log

-- What went wrong is told once an hour, and that it is over.
local function tell(what, fine, err)
  local now = host.now()
  if fine then
    if failing[what] then log.info(what .. ": can be read again") end
    failing[what] = nil
  elseif not failing[what] or now - failing[what] >= TELL_AGAIN then
    failing[what] = now
    log.warn(("%s: cannot be read; it goes on from where it was: %s"):format(what, type(err) == "table" and err.message or tostring(err)))
  end
end

---Runs fn, which reads and then, without waiting in between, stores and emits. An error of HubSpot's leaves nothing of it
---and is told. Two of them, in whatever scripts, do not read one thing at a time: the second one does nothing.
---@param what string "form.submission of Contact us"
---@param key string of what is read
---@param fn fun()
function watch.reading(what, key, fn)
  if not host.lock(key) then return end
  host.on_end(function() host.unlock(key) end)   -- when all that this run has stored is committed
  tell(what, pcall(fn))
end

-- A text that can stand in a durable name.
local function short(label)
  return #label <= 80 and not label:find("%c") and label or crypto.sha256(label):sub(1, 16)
end

local started = {}   -- what this script reads already -> { earliest }

---Reads every so often while the script is there.
---@param event string
---@param label string what is read, for people
---@param own { every: any, from: string|nil }
---@param account string|nil option account of the handler; nil: all accounts
---@param poll fun(account: string, from: integer) from: epoch ms; what was before does not count when it is read first
function watch.start(event, label, own, account, poll)
  local accounts = {}
  for _, name in ipairs(host.accounts()) do
    if not account or name == account then accounts[#accounts + 1] = name end
  end
  if #accounts == 0 then error(("%s: there is no HubSpot account %sto read from"):format(event, account and account .. " " or ""), 5) end
  local what, every, loaded = ("%s of %s"):format(event, short(label)), own.every or "60s", host.now()
  for _, name in ipairs(accounts) do
    local key, kept = ("%s every %s in %s"):format(what, tostring(every), name), host.kv("hubloop:watch", name)
    local reading = started[key]
    if not reading then
      reading = {}
      started[key] = reading
      -- Since when somebody listens, from the first moment on: what comes before the first reading counts.
      task.spawn(pcall, function()
        if not kept.get(what) then kept.set(what, loaded) end
      end)
      host.every(every, { name = key, account = name, timeout = TIMEOUT }, function()
        poll(name, reading.earliest and 0 or kept.get(what) or loaded)
      end)
    end
    reading.earliest = reading.earliest or own.from == "earliest"
  end
end

return watch
