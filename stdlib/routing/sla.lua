--- First response: a lead that its owner does not answer is reminded of, goes to somebody else, then to a manager.
---
--- All of it is one handler that waits, so it survives restarts, and each part is done once. The times are those of the
--- one who has the lead now, in working hours when the sla has some.
local _, host = ...
local calendar = require "routing.calendar"
local definition = require "routing.definition"
local hubspot = require "hubspot"
local pools = require "routing.pool"
local step = require "engine.step"

local sla = {}
local Sla = {}
Sla.__index = Sla
Sla.__name = "routing.sla"

local SUBJECTS <const> = { remind = "A lead waits for your answer", escalate = "A lead that nobody has answered" }

-- What `tell` does unless the script has another: a task.
local function task_for(what, id, owner_id)
  hubspot.tasks.create {
    hs_task_subject = SUBJECTS[what], hs_task_body = "Contact " .. id, hs_task_status = "NOT_STARTED", hs_task_priority = "HIGH",
    hs_timestamp = time.iso(), hubspot_owner_id = owner_id,
  }
end

---@class routing.sla_definition
---@field open table<string, string[]> the property that tells an answer, and its values before: { hs_lead_status = { "NEW" } };
---an empty one is open, too
---@field remind string|number|nil how long the owner has, a duration: then `tell` is called
---@field reassign string|number|nil how long the owner has before somebody else of `pool` gets the lead, once
---@field escalate string|number|nil how long the last owner has before `tell` is called for `manager`
---@field pool routing.pool|nil with reassign
---@field manager string|routing.pool|nil with escalate: an owner's e-mail or id, or a pool
---@field hours string|nil only this time counts: "Mon-Fri 09:00-17:00 America/New_York"; default: all
---@field tz string|nil of hours without one, and holidays; default UTC
---@field holidays string[]|nil days that do not count
---@field tell fun(what: "remind"|"escalate", contact_id: string, owner_id: string)|nil runs in a step; default: a HubSpot task

--- Declares how fast leads are answered. Only while the script loads.
---@param name string
---@param given routing.sla_definition
---@return routing.sla
function sla.new(name, given)
  local self, wrong = definition.read_sla(name, given, pools.is)
  if not self then error(wrong, 2) end
  if type(self.manager) == "string" then
    self.manager = pools.new(('sla "%s": manager'):format(name), { members = { { owner = self.manager } } })
    self.manager.of_sla = true   -- no lead comes to it by itself
  end
  self.tell = self.tell or task_for
  host.awaits("contact.propertyChange", self.property)
  return setmetatable(self, Sla)
end

-- A step, or a wait, of this sla; its name is free.
function Sla:_name(what, id) return host.step.name(("sla %s: %s %s"):format(self.name, what, id):sub(1, 180)) end

---@return { at: integer, is: "open"|"answered"|"passed on"|"deleted" }
function Sla:_look(id, owner)
  return step(self:_name("look at", id), function()
    local found, lead = pcall(hubspot.contacts.get, id, { "hubspot_owner_id", self.property })
    if not found and lead.status ~= 404 then error(lead, 0) end
    return { at = host.now(), is = not found and "deleted" or lead.hubspot_owner_id ~= owner and "passed on"
      or self.open[lead[self.property] or ""] and "open" or "answered" }
  end)
end

-- Waits until the owner's time is over, or the lead is not open any more.
function Sla:_wait(id, owner, since, duration, seen)
  local over = calendar.after_work(self, since, duration)
  while seen.is == "open" and over and seen.at < over do
    local answer = wait(self:_name("wait for", id), "contact.propertyChange",
      { key = id, property = self.property, timeout = (over - seen.at) / 1000 })
    if answer and not self.open[answer.propertyValue or ""] then return { at = seen.at, is = "answered" } end
    seen = self:_look(id, owner)
  end
  return seen
end

function Sla:_tell(what, id, owner)
  step(self:_name(what, id), function() self.tell(what, id, owner) end)
end

--- Follows a lead that its owner has got, until it is answered or nothing is left to do. In the handler of an event, which
--- it makes wait: everything in front of it that must not be done again belongs into a step. Raises what HubSpot's calls
--- raise, and as pool:assign when nobody can take the lead; the handler is tried again, and goes on where it was.
---@param contact_id string|integer
---@param owner_id string|nil whose it is; nil or "": nobody's, and nothing is done
---@return "answered"|"passed on"|"deleted"|"escalated"|"open"|"unowned"
function Sla:watch(contact_id, owner_id)
  if owner_id == nil or owner_id == "" then return "unowned" end
  local id, owner = tostring(contact_id), tostring(owner_id)
  if not self:_name("look at", id) then error("watch() of an sla is for the handler of an event, outside of steps", 2) end
  local seen = self:_look(id, owner)
  local since = seen.at
  if self.remind then
    seen = self:_wait(id, owner, since, self.remind, seen)
    if seen.is ~= "open" then return seen.is end
    self:_tell("remind", id, owner)
  end
  if self.reassign then
    seen = self:_wait(id, owner, since, self.reassign, seen)
    if seen.is ~= "open" then return seen.is end
    local pick = self.pool:assign({ id = id }, { exclude = { owner },
      because = ('sla "%s": owner %s has not answered in time'):format(self.name, owner) })
    seen = self:_look(id, owner)   -- the pool may have held the lead over night
    if seen.is ~= "open" then return seen.is end
    owner, since = pick.owner_id, seen.at
    step(self:_name("pass on", id), function() hubspot.contacts.update(id, { hubspot_owner_id = owner }) end)
  end
  if not self.escalate then return seen.is end
  seen = self:_wait(id, owner, since, self.escalate, seen)
  if seen.is ~= "open" then return seen.is end
  local manager = self.manager:assign({ id = id }, { because = ('sla "%s": nobody has answered'):format(self.name) })
  self:_tell("escalate", id, manager.owner_id)
  return "escalated"
end

return sla
