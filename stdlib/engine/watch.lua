--- What HubSpot has to be asked for: a hidden every() of the script reads it, and its events commit together with the
--- place up to which it has been read. The places belong to the account, not to a script: several scripts that listen to
--- one form share one reading, whoever of them is the first to look.
local _, host = ...

local watch = {}

local TIMEOUT, NAME_MAX = "15m", 300
local TELL_AGAIN = 3600 * 1000   -- a reading that keeps failing is in the log once an hour
local WAIT_FIRST, WAIT_MOST = 60 * 1000, 59 * 60 * 1000   -- the timer of a minute makes an hour of it

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

local failing = {}   -- key of what is read -> { told = when it was in the log, lasting, wait, till = not asked before }

-- What will not be otherwise in a minute: it is not there, or may not be read.
local function is_lasting(err)
  return type(err) == "table" and (err.kind == "not_found" or err.kind == "hubspot" and (err.status == 403 or err.status == 404))
end

-- What went wrong is told once an hour, what lasts once; and that it is over.
local function tell(what, key, fine, err)
  local now, was = host.now(), failing[key]
  failing[key] = nil
  if fine then
    if was then log.info(what .. ": can be read again") end
    return
  end
  local lasting = is_lasting(err)
  local wait = lasting and math.min(math.max(2 * (was and was.wait or 0), WAIT_FIRST), WAIT_MOST) or 0
  local known = was and was.lasting == lasting and (lasting or now - was.told < TELL_AGAIN)
  failing[key] = { told = known and was.told or now, lasting = lasting, wait = wait, till = now + wait }
  if known then return end
  log.warn(("%s: cannot be read; %s: %s"):format(what, lasting and "it is asked for less and less, at least once an hour"
    or "it goes on from where it was", type(err) == "table" and err.message or tostring(err)))
end

---The error of something that is not there: it is asked for less and less.
---@param what string "form"
---@param wanted string
---@param names string[] what there is
function watch.absent(what, wanted, names)
  local near = host.nearest(wanted, names)
  error(host.error { kind = "not_found", message = ("there is no %s \"%s\"%s"):format(what, wanted,
    near and ("; did you mean \"%s\"?"):format(near) or "") }, 0)
end

---Runs fn, which reads and then, without waiting in between, stores and emits. An error of HubSpot's leaves nothing of it
---and is told. Two of them, in whatever scripts, do not read one thing at a time: the second one does nothing.
---@param what string "form.submission of Contact us"
---@param key string of what is read
---@param fn fun()
function watch.reading(what, key, fn)
  if failing[key] and host.now() < failing[key].till or not host.lock(key) then return end
  host.on_end(function() host.unlock(key) end)   -- when all that this run has stored is committed
  tell(what, key, pcall(fn))
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
