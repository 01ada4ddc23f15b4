-- deal_hygiene.lua against the simulator, in virtual time: Tuesday, 2026-09-01, 08:00 UTC.
local hubspot = require "hubspot"

local owners

before_each(function()
  sim.start { owners = 12 }
  owners = {}
  for _, owner in ipairs(sim.control("owners").results) do owners[owner.email:match("^%w+")] = owner.id end
  sim.load "deal_hygiene.lua"
end)

-- In good order until something is taken from it.
local function deal(fields)
  local properties = { dealname = "Acme", pipeline = "default", dealstage = "contractsent", amount = "100", closedate = "2026-12-01",
    hubspot_owner_id = owners.anna }
  for name, value in pairs(fields or {}) do properties[name] = value ~= "" and value or nil end
  return sim.create("deals", properties)
end

-- The tasks of a deal: whose they are and what they say, without the day.
local function tasks(id)
  local list = {}
  for to in hubspot.associations.list("deals", id, "tasks") do
    local task = hubspot.tasks.get(to.toObjectId, { "hs_task_body", "hubspot_owner_id" })
    list[#list + 1] = { task.hubspot_owner_id, (task.hs_task_body:gsub("^[%dTZ:.-]+: ", "")) }
  end
  return list
end

-- What a timer cannot do, at last, is told.
local function expect_well()
  expect(sim.events().dead).to.equal(0)
  expect(sim.log()).to_not.contain("alert:")
end

describe("deal hygiene", function()
  it("names all that is wrong with a deal, once, to who has it", function()
    local good, bad = deal(), deal { amount = "", closedate = "2026-08-01" }
    local nobodys, closed = deal { hubspot_owner_id = "" }, deal { dealstage = "closedwon", amount = "" }
    local today = deal { closedate = "2026-09-02" }
    local p = sim.control("create_pipeline", { type = "deals", label = "Partners",
      stages = { { label = "Open", stageId = "p1", metadata = { probability = "0.1" } } } })
    local partners = deal { pipeline = p.id, dealstage = "p1", amount = "" }
    sim.advance("1d")
    expect(tasks(today)).to.equal {}
    sim.advance("2d")
    expect(tasks(good)).to.equal {}
    expect(tasks(partners)).to.equal {}
    expect(tasks(today)).to.equal { { owners.anna, "its close date, 2026-09-02, is past" } }
    expect(tasks(bad)).to.equal { { owners.anna, "it has no amount; its close date, 2026-08-01, is past" } }
    expect(tasks(nobodys)).to.equal { { owners.desk, "it has no owner" } }
    expect(tasks(closed)).to.equal {}
    expect_well()
  end)

  it("asks again after a week, when it still is so", function()
    local bad, mended = deal { amount = "" }, deal { amount = "" }
    sim.advance("2d")
    sim.update("deals", mended, { amount = "5" })
    sim.advance("8d")
    expect(#tasks(bad)).to.equal(2)
    expect(#tasks(mended)).to.equal(1)
    expect_well()
  end)

  it("sees what stands still", function()
    local id, moved = deal { closedate = "2027-06-01" }, deal { closedate = "2027-06-01", dealstage = "qualifiedtobuy" }
    sim.advance("13d")
    expect(tasks(id)).to.equal {}
    sim.advance("3d")                                                   -- Thursday, 2026-09-17
    expect(tasks(id)[1][2]).to.match("^nothing has been done for 1[45] days$")
    sim.advance("2d")
    sim.update("deals", id, { amount = "200" })
    sim.update("deals", moved, { dealstage = "contractsent" })
    sim.advance("8d")
    for _, one in ipairs(tasks(moved)) do expect(one[2]).to_not.contain("it has been in") end
    local list = tasks(id)
    expect(list[#list][2]).to.match("^it has been in contractsent for 2%d days$")
    expect_well()
  end)

  it("asks about a deal that goes back, and not about one that goes on", function()
    local id = deal { dealstage = "qualifiedtobuy" }
    sim.settle()
    sim.update("deals", id, { dealstage = "contractsent" })
    sim.settle()
    expect(tasks(id)).to.equal {}
    sim.update("deals", id, { dealstage = "appointmentscheduled" })
    sim.settle()
    expect(tasks(id)).to.equal { { owners.anna, "it went back from Contract Sent to Appointment Scheduled: why, and what happens next?" } }
    sim.update("deals", id, { dealstage = "closedlost" })
    sim.settle()
    expect(#tasks(id)).to.equal(1)
    local quick = deal { dealstage = "qualifiedtobuy" }
    sim.settle()
    sim.crash()
    sim.update("deals", quick, { dealstage = "contractsent" })
    sim.advance("1s")
    sim.update("deals", quick, { dealstage = "appointmentscheduled" })
    sim.restart()
    sim.advance("1h")
    expect(#tasks(quick)).to.equal(1)                                   -- of the first event it is not true any more
    expect_well()
  end)

  it("takes a deal as it is: without a name, with a strange stage, or gone before its turn", function()
    local id = deal { amount = "-1" }
    sim.update("deals", id, { dealname = "", closedate = "" })
    local gone = deal { dealstage = "contractsent" }
    sim.settle()
    sim.fail { status = 503, path = "/deals", times = 2 }
    sim.update("deals", gone, { dealstage = "qualifiedtobuy" })
    sim.control("delete", { type = "deals", id = gone })
    sim.advance("1d")
    expect(tasks(id)).to.equal { { owners.anna, "it has no amount; it has no close date" } }
    expect_well()
  end)

  it("gets through a storm of 429s", function()
    local ids = {}
    for i = 1, 10 do ids[i] = deal { amount = "" } end
    sim.advance("21h")
    sim.fail { status = 429, times = 40 }
    sim.fail { status = 429, path = "/tasks", times = 20 }
    sim.advance("3h")
    expect(sim.control("stats").limited).to.equal(60)
    for _, id in ipairs(ids) do expect(#tasks(id)).to.equal(1) end
    expect_well()
  end)

  it("is cut off in the middle, and goes on: each deal has its task once", function()
    local ids = {}
    for i = 1, 5 do ids[i] = deal { amount = "" } end
    sim.crash { method = "POST", path = "/tasks", call = 3 }
    sim.advance("23h")
    sim.restart()
    sim.advance("1h")
    for _, id in ipairs(ids) do expect(#tasks(id)).to.equal(1) end
    local back = deal { dealstage = "contractsent" }
    sim.settle()
    sim.crash { method = "POST", path = "/tasks" }
    sim.update("deals", back, { dealstage = "qualifiedtobuy" })
    sim.advance("1m")
    sim.restart()
    sim.advance("1h")
    expect(#tasks(back)).to.equal(1)
    expect(sim.writes "/tasks").to.equal(6)
    expect_well()
  end)

  it("takes no earlier task for one whose answer was lost, and says so when nobody knows", function()
    local id = deal { amount = "" }
    sim.advance("2d")
    expect(#tasks(id)).to.equal(1)
    sim.fail { method = "POST", path = "/tasks", drop = "after" }
    sim.advance("7d")
    expect(#tasks(id)).to.equal(2)
    expect_well()
    sim.fail { method = "POST", path = "/tasks", drop = "before" }
    sim.advance("7d")
    expect(sim.log()).to.contain("alert: uncertain_step")
    expect(#tasks(id)).to.equal(3)                                      -- made the day after
  end)

  it("does nothing more in a second run on the same day's deals", function()
    local id = deal { amount = "" }
    sim.advance("1d")
    local before = #sim.calls()
    sim.advance("1d")
    expect(#sim.calls()).to.be_at_least(before + 1)                     -- it has looked
    expect(#tasks(id)).to.equal(1)
    expect(sim.writes()).to.equal(1)
    expect_well()
  end)
end)
