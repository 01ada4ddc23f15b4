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

-- The filter of a handler of `name`, which gives its event the fields that it has beyond its source's.
local function refining(name, refine, own, filter)
  return function(event)
    local fields = once("event " .. name, function() return refine(event, own) end)
    if not fields then return false end
    for key, value in pairs(fields) do event[key] = value end
    event.type = name
    return not filter or filter(event)
  end
end

-- The same for what was read: the payload's fields are the event's own.
local function lifting(matches, own, filter)
  return function(event)
    for key, value in pairs(type(event.payload) == "table" and event.payload or {}) do event[key] = value end
    event.payload = nil
    return matches(event, own) and (not filter or filter(event))
  end
end

---What on(name, options) registers. Raises at the line that called on().
---@param name string
---@param given table|nil
---@return string type
---@return table options
---@return boolean own whether the type is a name of our own
function host.derived(name, given)
  local source, options, own = SOURCES[name], {}, {}
  for key, value in pairs(given or {}) do
    local check, said = source.options and source.options[key], nil
    if key == "property" then said = ("%s is about %s"):format(name, source.property or "no property")
    elseif check then own[key], said = check(value)
    else options[key] = value end
    if said then error(("option '%s': %s"):format(key, said), 3) end
  end
  options.name, options.property = options.name or name, source.property
  if options.filter ~= nil and type(options.filter) ~= "function" then return source.type or name, options, not source.type end
  if source.watched then
    source.watched.start(name, own, options.account)
    options.filter = lifting(source.watched.matches, own, options.filter)
  else
    options.filter = refining(name, source.refine, own, options.filter)
  end
  return source.type or name, options, source.watched ~= nil
end

local options = {}
for name, source in pairs(SOURCES) do options[name] = source.options or {} end

-- options: what on() takes for an event beyond what it takes for all (`hubloop check`).
return { options = options }
