--- Events that people ask for and HubSpot does not send as such. on() asks host.derived(type, options) what to register
--- instead: deal.won is deal.propertyChange of dealstage with a filter that asks for the stages and for the stage before,
--- form.submission and list.added are names of our own, whose events a hidden every() of the script brings.
local _, host = ...
local forms = require "engine.forms"
local lists = require "engine.lists"
local stages = require "engine.stages"
local watch = require "engine.watch"

local SOURCES = {
  ["deal.won"] = { type = "deal.propertyChange", property = "dealstage", refine = stages.deal("won") },
  ["deal.lost"] = { type = "deal.propertyChange", property = "dealstage", refine = stages.deal("lost") },
  ["deal.closed"] = { type = "deal.propertyChange", property = "dealstage", refine = stages.deal("closed") },
  ["contact.stage"] = { type = "contact.propertyChange", property = "lifecyclestage", refine = stages.contact,
    options = { from = stages.names, to = stages.names } },
  ["form.submission"] = { watched = forms, options = { form = watch.named, every = watch.every, from = watch.from } },
  ["list.added"] = { watched = lists, options = { list = watch.named, every = watch.every, from = watch.from } },
  ["list.removed"] = { watched = lists, options = { list = watch.named, every = watch.every } },
}

-- What an event turned out to be is decided once: a handler that runs again (a retry, a wait) gets the same fields,
-- whatever has become of the pipeline meanwhile. nil: the event is none of these.
local function once(name, decide)
  local done, fields = host.step.begin(name)
  if done then return fields end
  local open <close> = fields
  local result = decide()
  return result and open:finish(name, result)
end

-- Filter and function of a handler of `name`. become(event) makes it one, and says whether it is. Of a handler that has
-- waited the filter is not asked again, and its event has to become what it was.
local function over(become, filter, fn)
  return function(event) return become(event) and (not filter or filter(event)) end,
    function(event)
      if become(event) then return fn(event) end
    end
end

local function refining(name, refine, own)
  return function(event)
    if event.type == name then return true end
    local fields = once("event " .. name, function() return refine(event, own) end)
    if not fields then return false end
    for key, value in pairs(fields) do event[key] = value end
    event.type = name
    return true
  end
end

-- The fields of what was read are the event's own.
local function lifting(matches, own)
  return function(event)
    for key, value in pairs(type(event.payload) == "table" and event.payload or {}) do event[key] = value end
    event.payload = nil
    return matches(event, own)
  end
end

---What on(name, options, fn) registers. Raises at the line that called on().
---@param name string
---@param given table|nil
---@param fn function
---@return string type
---@return table options
---@return function fn
---@return boolean own whether the type is a name of our own
function host.derived(name, given, fn)
  local source, options, own = SOURCES[name], {}, {}
  for key, value in pairs(given or {}) do
    local check, said = source.options and source.options[key], nil
    if key == "property" then said = ("%s is about %s"):format(name, source.property or "no property")
    elseif check then own[key], said = check(value)
    else options[key] = value end
    if said then error(("option '%s': %s"):format(key, said), 3) end
  end
  options.name, options.property = options.name or name, source.property
  local filter = options.filter
  if filter == nil or type(filter) == "function" then   -- else on() says what is wrong with it
    local become
    if source.watched then
      source.watched.start(name, own, options.account)
      become = lifting(source.watched.matches, own)
    else
      become = refining(name, source.refine, own)
    end
    options.filter, fn = over(become, filter, fn)
  end
  return source.type or name, options, fn, source.watched ~= nil
end

local options = {}
for name, source in pairs(SOURCES) do options[name] = source.options or {} end

-- options: what on() takes for an event beyond what it takes for all (`hubloop check`).
return { options = options }
