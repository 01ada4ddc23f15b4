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
    expect(tasks()).to.equal { owners.grace .. " A lead waits for your answer" }
    expect(owner_of(id)).to.equal(owners.grace)
    sim.advance("30m")
    expect(owner_of(id)).to.equal(owners.anna)
    sim.advance("1h")
    expect(#tasks()).to.equal(1)
    sim.advance("70m")
    local all = tasks()
    expect(#all).to.equal(2)
    expect(all[1] .. all[2]).to.contain(owners.desk .. " A lead that nobody has answered")
    expect(owner_of(id)).to.equal(owners.anna)
    expect(sim.events().dead).to.equal(0)
  end)

  it("counts no night, and does not give the lead to who had it", function()
    sim.advance("465m")                                 -- 17:45 in Berlin
    local id = sim.create("contacts", { email = "bo@nobody.example" })
    sim.update("contacts", id, { hubspot_owner_id = owners.anna })
    sim.advance("869m")
    expect(tasks()).to.equal {}
    sim.advance("2m")                                    -- 8:16 the next morning
    expect(tasks()).to.equal { owners.anna .. " A lead waits for your answer" }
    sim.advance("28m")
    expect(owner_of(id)).to.equal(owners.anna)
    sim.advance("2m")
    expect(owner_of(id)).to.equal(owners.jonas)
  end)

  it("works in the hours only, in a week of an account in which things happen", function()
    for i = 1, 40 do lead { email = i .. "@nobody.example" } end
    sim.control("activity", { per_day = 60 })
    sim.advance("7d")
    local hubspot = require "hubspot"
    local seen = 0
    for task in hubspot.tasks.list { properties = { "hs_timestamp", "hs_task_subject" } } do
      if task.hs_task_subject:find("^A lead") then
        local c = time.civil(time.parse(task.hs_timestamp), "Europe/Berlin")
        expect(c.weekday >= 1 and c.weekday <= 5 and c.hour >= 8 and c.hour * 60 + c.minute <= 18 * 60).to.equal(true)
        seen = seen + 1
      end
    end
    expect(seen > 80).to.equal(true)
    expect(sim.events().dead).to.equal(0)
  end)

  it("begins anew with who takes the lead by hand, and leaves old leads alone", function()
    local id = lead()
    sim.advance("20m")
    sim.update("contacts", id, { hubspot_owner_id = owners.maya })
    sim.advance("20m")                                   -- Grace's 30 minutes are over
    expect(tasks()).to.equal {}
    sim.advance("11m")
    expect(tasks()).to.equal { owners.maya .. " A lead waits for your answer" }
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
    expect(tasks()).to.equal { owners.grace .. " A lead waits for your answer" }
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
    expect(tasks()).to.equal { owners.grace .. " A lead waits for your answer" }
    expect(sim.events().dead).to.equal(0)
  end)
end)
