-- routing.sla: what is done with a lead that nobody answers, and when.
local hubspot = require "hubspot"
local routing = require "routing"

local owners, told, outcome

before_each(function()
  sim.start { owners = 12 }
  owners, told, outcome = {}, {}, nil
  for _, owner in ipairs(sim.control("owners").results) do owners[owner.email:match("^%w+")] = owner.id end
  sim.advance((time.parse "2026-11-27T09:00:00Z" - time.now()) / 1000)     -- a Friday
end)

local start = 0

-- Declares the sla, and follows a lead of Grace's.
local function follow(given)
  given.tell = given.tell or function(what, id, owner) told[#told + 1] = ("%s %s %s"):format(what, id, owner) end
  given.open = given.open or { hs_lead_status = { "NEW" } }
  local answer = routing.sla("answer", given)
  on("lead", function(event) outcome = answer:watch(event.payload.id, owners.grace) end)
  local id = sim.create("contacts", { email = "bo@nobody.example", hubspot_owner_id = owners.grace, hs_lead_status = "NEW" })
  start = time.now()
  emit("lead", { id = id })
  sim.settle()
  return id
end

local function desk(name, more)
  local given = { members = { { owner = "grace@example.com" }, { owner = "anna.weber@example.com" } } }
  for _, owner in ipairs(sim.control("owners").results) do
    if owner.id == owners.grace then given.members[1].owner = owner.email end
  end
  for key, value in pairs(more or {}) do given[key] = value end
  return routing.pool(name, given)
end

local function owner_of(id) return sim.contact(id).hubspot_owner_id end

describe("an sla", function()
  it("reminds, reassigns, escalates, each in its time, and tells what came of it", function()
    local id = follow { remind = "30m", reassign = "1h", pool = desk "d1", escalate = "2h", manager = "desk@example.com" }
    sim.advance("29m")
    expect(told).to.equal {}
    sim.advance("2m")
    expect(told).to.equal { ("remind %s %s"):format(id, owners.grace) }
    sim.advance("28m")
    expect(owner_of(id)).to.equal(owners.grace)
    sim.advance("2m")
    expect(owner_of(id)).to.equal(owners.anna)
    sim.advance("118m")
    expect(#told).to.equal(1)
    sim.advance("2m")
    expect(told[2]).to.equal(("escalate %s %s"):format(id, owners.desk))
    expect(outcome).to.equal("escalated")
    expect(#told).to.equal(2)
  end)

  it("counts working hours only", function()
    local id = follow { hours = "Mon-Fri 09:00-17:00 UTC", holidays = { "2026-11-30" }, remind = "10h" }
    sim.advance("4d")                                    -- Tuesday 9:00; eight hours of Friday have counted
    sim.advance("119m")
    expect(told).to.equal {}
    sim.advance("2m")
    expect(told).to.equal { ("remind %s %s"):format(id, owners.grace) }
    expect(outcome).to.equal("open")
  end)

  it("ends when the lead is answered; a value that is open, too, is no answer", function()
    local id = follow { open = { hs_lead_status = { "NEW", "OPEN" } }, remind = "1h" }
    sim.advance("10m")
    sim.update("contacts", id, { hs_lead_status = "OPEN" })
    sim.settle()
    expect(outcome).to.equal(nil)
    sim.advance("10m")
    sim.update("contacts", id, { hs_lead_status = "CONNECTED" })
    sim.settle()
    expect(outcome).to.equal("answered")
    sim.advance("1d")
    expect(told).to.equal {}
  end)

  it("goes on counting from the beginning when a value is no answer", function()
    local id = follow { open = { hs_lead_status = { "NEW", "OPEN" } }, remind = "1h" }
    sim.advance("50m")
    sim.update("contacts", id, { hs_lead_status = "OPEN" })
    sim.advance("11m")
    expect(#told).to.equal(1)
    expect(time.now() - start < 62 * 60000).to.equal(true)
  end)

  it("ends when somebody else has taken the lead, or it is gone", function()
    local id = follow { remind = "1h" }
    sim.update("contacts", id, { hubspot_owner_id = owners.anna })
    sim.advance("2h")
    expect(outcome).to.equal("passed on")
    expect(told).to.equal {}
  end)

  it("does nothing about a deleted lead, nor one without an owner", function()
    local id = follow { remind = "1h" }
    sim.control("delete", { type = "contacts", id = id })
    sim.advance("2h")
    expect(outcome).to.equal("deleted")
    expect(told).to.equal {}
  end)

  it("escalates to the first owner's manager when there is no reassignment", function()
    local id = follow { escalate = "45m", manager = desk "boss" }
    sim.advance("46m")
    expect(told[1]).to.match("^escalate " .. id)
    expect(owner_of(id)).to.equal(owners.grace)
  end)

  it("waits for the next who works, and gives the lead to nobody who has taken it meanwhile", function()
    local id = follow { reassign = "1h", pool = desk("d2", { hours = "Mon-Fri 09:00-09:30 UTC", hold = "5d" }) }
    sim.advance("2h")
    expect(owner_of(id)).to.equal(owners.grace)
    sim.update("contacts", id, { hubspot_owner_id = owners.maya })
    sim.advance("3d")
    expect(owner_of(id)).to.equal(owners.maya)
    expect(outcome).to.equal("passed on")
  end)

  it("makes a task when the script has nothing of its own, and goes on after errors", function()
    local answer = routing.sla("plain", { open = { hs_lead_status = { "NEW" } }, remind = "10m" })
    on("lead", function(event) outcome = answer:watch(event.payload.id, event.payload.owner) end)
    local id = sim.create("contacts", { email = "bo@nobody.example", hubspot_owner_id = owners.grace })
    emit("lead", { id = id, owner = owners.grace })
    emit("lead", { id = id })
    sim.settle()
    expect(outcome).to.equal("unowned")
    sim.fail { match = { method = "POST", path = "tasks" }, status = 503, times = 3 }
    sim.advance("1h")
    local tasks = 0
    for task in hubspot.tasks.list { properties = { "hubspot_owner_id" } } do
      expect(task.hubspot_owner_id).to.equal(owners.grace)
      tasks = tasks + 1
    end
    expect(tasks).to.equal(1)
  end)

  it("says at load what is wrong", function()
    local pool = desk "d3"
    local open = { hs_lead_status = { "NEW" } }
    for want, given in pairs {
      ['sla "x": open must name the one property'] = { remind = "1h" },
      ['needs remind, reassign or escalate'] = { open = open },
      ['remind must come before reassign'] = { open = open, remind = "2h", reassign = "1h", pool = pool },
      ['remind must come before escalate'] = { open = open, remind = "2h", escalate = "1h", manager = "a@example.com" },
      ['reassign and pool belong together'] = { open = open, reassign = "1h" },
      ['escalate and manager belong together'] = { open = open, remind = "1h", manager = "a@example.com" },
      ['pool must be a routing.pool'] = { open = open, reassign = "1h", pool = {} },
      ["manager must be an owner's e%-mail or id"] = { open = open, escalate = "1h", manager = "Ana" },
      ['remind must be a duration like "3d", not soon'] = { open = open, remind = "soon" },
      ['"Mars/Base" is no time zone'] = { open = open, remind = "1h", tz = "Mars/Base" },
      ['hours must look like'] = { open = open, remind = "1h", hours = "always" },
      ['there is no field remnd'] = { open = open, remnd = "1h" },
    } do
      expect(function() routing.sla("x", given) end).to.raise(want)
    end
  end)

  it("belongs into a handler", function()
    local answer = routing.sla("y", { open = { hs_lead_status = { "NEW" } }, remind = "1h" })
    expect(function() answer:watch("1", "2") end).to.raise("is for the handler of an event")
  end)
end)
