-- HubSpot does not answer for a day. What was received meanwhile is handled, or parked for a person; nothing is
-- done twice. In virtual time.
local DAY <const> = "24h"

local function state(names)
  local s, sum = sim.events(), 0
  for name, n in pairs(s) do
    if names[name] then sum = sum + n end
  end
  return s, sum
end

local STATES = { pending = true, ran = true, filtered = true, duplicate = true, waiting = true, dead = true, unhandled = true,
  orphaned = true, own = true, debounced = true, throttled = true, batched = true }

describe("a day without HubSpot", function()
  local hubspot = require "hubspot"

  for _, how in ipairs { { status = 503 }, { drop = true } } do
    it(how.drop and "that closes every connection" or "that answers 503", function()
      local began, noted = {}, {}
      on("contact.creation", { concurrency = 20 }, function(event)
        local token = step("token", function()
          began[event.objectId] = (began[event.objectId] or 0) + 1
          return began[event.objectId]
        end)
        expect(token).to.equal(1) -- a step that is done is not done again
        step("note", function()
          noted[event.objectId] = (noted[event.objectId] or 0) + 1
          hubspot.contacts.update(event.objectId, { jobtitle = "noted " .. token })
        end)
        kv.incr("n:" .. event.objectId)
      end)
      local ids = {}
      for i = 1, 20 do ids[i] = sim.create("contacts", { email = ("a%d@example.com"):format(i) }) end
      sim.settle()
      sim.fail { status = how.status, drop = how.drop, times = 0 }
      for i = 21, 60 do
        ids[i] = sim.create("contacts", { email = ("a%d@example.com"):format(i) })
        sim.advance("36m")
      end
      local s, sum = state(STATES)
      expect(sum).to.equal(s.acknowledged)
      expect(s.ran).to.be_at_least(20)
      sim.fail {}
      sim.advance(DAY)
      s, sum = state(STATES)
      expect(sum).to.equal(s.acknowledged)
      expect(s.pending + s.waiting).to.equal(0)
      expect(s.ran + s.dead).to.equal(60)
      for _, id in ipairs(ids) do
        expect(began[id]).to.equal(1)
        expect(kv.get("n:" .. id) or 0).to.be_at_most(1)
      end
      log.info(("%d of 60 handled, %d parked"):format(s.ran, s.dead))
    end)
  end
end)
