-- speed_to_lead.lua against the simulator, in virtual time.
local owners

before_each(function()
  sim.start { owners = 12 }
  owners = {}
  for _, owner in ipairs(sim.control("owners").results) do owners[owner.email:match("^%w+")] = owner.id end
  sim.advance((time.parse "2026-11-25T09:00:00Z" - time.now()) / 1000)     -- a Wednesday
  sim.load "speed_to_lead.lua"
end)

local function lead(fields)
  local id = sim.create("contacts", fields or { email = "bo@nobody.example", hs_lead_status = "NEW" })
  sim.update("contacts", id, { hubspot_owner_id = owners.grace })
  sim.settle()
  return id
end

local function owner_of(id) return sim.contact(id).hubspot_owner_id end

-- Whose tasks there are.
local function tasks()
  local list = {}
  local hubspot = require "hubspot"
  for task in hubspot.tasks.list { properties = { "hubspot_owner_id", "hs_task_subject" } } do
    list[#list + 1] = task.hubspot_owner_id .. " " .. task.hs_task_subject
  end
  table.sort(list)
  return list
end

describe("speed to lead", function()
  it("does nothing more when the lead is answered", function()
    local id = lead()
    sim.advance("10m")
    sim.update("contacts", id, { hs_lead_status = "OPEN" })
    sim.advance("1d")
    expect(tasks()).to.equal {}
    expect(owner_of(id)).to.equal(owners.grace)
    expect(sim.events().waiting).to.equal(0)
  end)

  it("reminds, passes on, escalates", function()
    local id = lead()
    sim.advance("31m")
    expect(tasks()).to.equal { owners.grace .. " A new lead waits for you" }
    expect(owner_of(id)).to.equal(owners.grace)
    sim.advance("30m")
    expect(owner_of(id)).to.equal(owners.anna)
    sim.advance("1h")
    expect(#tasks()).to.equal(1)
    sim.advance("70m")
    local all = tasks()
    expect(#all).to.equal(2)
    expect(all[1] .. all[2]).to.contain(owners.desk .. " A lead that two people have not answered")
    expect(owner_of(id)).to.equal(owners.anna)
    expect(sim.events().dead).to.equal(0)
  end)

  it("holds the lead at night, and does not give it to who had it", function()
    sim.advance("8h")                                    -- 18:00 in Berlin
    local id = sim.create("contacts", { email = "bo@nobody.example" })
    sim.update("contacts", id, { hubspot_owner_id = owners.anna })
    sim.advance("13h")
    expect(owner_of(id)).to.equal(owners.anna)
    sim.advance("61m")                                   -- 8:00 the next morning
    expect(owner_of(id)).to.equal(owners.jonas)
  end)

  it("begins anew with who takes the lead by hand, and leaves old leads alone", function()
    local id = lead()
    sim.advance("20m")
    sim.update("contacts", id, { hubspot_owner_id = owners.maya })
    sim.advance("20m")                                   -- Grace's 30 minutes are over
    expect(tasks()).to.equal {}
    sim.advance("11m")
    expect(tasks()).to.equal { owners.maya .. " A new lead waits for you" }
    lead { email = "old@nobody.example", hs_lead_status = "CONNECTED" }
    sim.advance("1d")
    for _, task in ipairs(tasks()) do expect(task).to_not.match("^" .. owners.grace) end
  end)

  it("makes no task twice when HubSpot fails or refuses in between, nor for an event that comes twice", function()
    sim.fail { status = 429, policy = "TEN_SECONDLY_ROLLING", times = 20 }
    local id = lead()
    sim.fail { match = { method = "POST", path = "tasks" }, status = 503, times = 2 }
    local event = { objectId = id, eventId = 77, occurredAt = time.now(), propertyName = "hubspot_owner_id",
      propertyValue = owners.grace }
    sim.trigger("contact.propertyChange", event)
    sim.trigger("contact.propertyChange", event)
    sim.update("contacts", id, { hs_lead_status = "OPEN" })
    sim.advance("1h")
    expect(#tasks()).to.equal(0)
    local second = lead { email = "kim@nobody.example" }
    sim.advance("50m")
    expect(tasks()).to.equal { owners.grace .. " A new lead waits for you" }
    sim.control("delete", { type = "contacts", id = second })
    sim.advance("1d")
    expect(#tasks()).to.equal(1)
    expect(sim.events().dead).to.equal(0)                -- who is deleted is not waited for
    expect(sim.events().waiting).to.equal(0)
  end)

  it("goes on where it was after a crash, with no task twice", function()
    local id = lead()
    sim.advance("40m")
    sim.crash()
    sim.advance("5m")
    sim.restart()
    sim.crash { method = "PATCH", path = "/contacts" }
    sim.advance("20m")
    sim.restart()
    sim.advance("10m")
    expect(owner_of(id)).to.equal(owners.anna)
    expect(tasks()).to.equal { owners.grace .. " A new lead waits for you" }
    expect(sim.events().dead).to.equal(0)
  end)
end)
