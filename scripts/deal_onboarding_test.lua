-- deal_onboarding.lua against the simulator, in virtual time: Tuesday, 2026-09-01, 08:00 UTC.
local hubspot = require "hubspot"

local owners

before_each(function()
  sim.start { owners = 12 }
  owners = {}
  for _, owner in ipairs(sim.control("owners").results) do owners[owner.email] = owner.id end
  sim.load "deal_onboarding.lua"
end)

local function deal(fields)
  local properties = { dealname = "Acme", pipeline = "default", dealstage = "contractsent",
    hubspot_owner_id = owners["anna.weber@example.com"] }
  for name, value in pairs(fields or {}) do properties[name] = value end
  local id = sim.create("deals", properties)
  sim.settle()
  return id
end

local function win(id)
  sim.update("deals", id, { dealstage = "closedwon" })
  sim.settle()
end

-- What hangs on the deal: the texts of its tickets, tasks and notes.
local function of(id, object, property)
  local list = {}
  for to in hubspot.associations.list("deals", id, object) do
    list[#list + 1] = hubspot[object].get(to.toObjectId, { property })[property]
  end
  table.sort(list)
  return list
end

local TASKS <const> = { "Check the set-up of Acme", "First review with Acme", "Hand over Acme to customer success",
  "Welcome call with Acme" }

local function expect_all_once(id)
  expect(of(id, "tickets", "subject")).to.equal { "Onboarding: Acme" }
  expect(of(id, "tasks", "hs_task_subject")).to.equal(TASKS)
  expect(#of(id, "notes", "hs_note_body")).to.equal(1)
  expect(sim.events().dead).to.equal(0)
end

describe("deal onboarding", function()
  it("begins when a deal is won", function()
    local id = deal()
    local firm, ana = sim.create("companies", { name = "Acme" }), sim.create("contacts", { email = "ana@acme.example" })
    sim.control("associate", { from_type = "deals", from = id, to_type = "companies", to = firm })
    sim.control("associate", { from_type = "deals", from = id, to_type = "contacts", to = ana })
    expect(of(id, "tickets", "subject")).to.equal {}
    win(id)
    expect_all_once(id)
    for to in hubspot.associations.list("deals", id, "tickets") do
      local ticket = hubspot.tickets.get(to.toObjectId, { "hubspot_owner_id", "hs_pipeline_stage" })
      expect({ ticket.hubspot_owner_id, ticket.hs_pipeline_stage }).to.equal { owners["desk@example.com"], "1" }
      for object, other in pairs { companies = firm, contacts = ana } do
        local there = {}
        for one in hubspot.associations.list("tickets", ticket.id, object) do there[#there + 1] = one.toObjectId end
        expect(there).to.equal { other }
      end
    end
    local due = {}
    for to in hubspot.associations.list("deals", id, "tasks") do
      local task = hubspot.tasks.get(to.toObjectId, { "hs_task_subject", "hs_timestamp", "hubspot_owner_id" })
      due[task.hs_task_subject:match("^%w+")] = { task.hs_timestamp:sub(1, 16), task.hubspot_owner_id }
    end
    local anna, desk = owners["anna.weber@example.com"], owners["desk@example.com"]
    expect(due).to.equal { Hand = { "2026-09-01T07:00", anna }, Welcome = { "2026-09-02T07:00", desk },
      Check = { "2026-09-08T07:00", desk }, First = { "2026-09-29T07:00", desk } }       -- weekends are no working days
  end)

  it("leaves alone what is not won, or of another pipeline", function()
    local lost = deal()
    sim.update("deals", lost, { dealstage = "closedlost" })
    local p = sim.control("create_pipeline", { type = "deals", label = "Partners",
      stages = { { label = "Open", stageId = "p1", metadata = { probability = "0.1" } }, { label = "Won", stageId = "p2",
        metadata = { probability = "1.0", isClosed = "true" } } } })
    local other = deal { pipeline = p.id, dealstage = "p1" }
    sim.update("deals", other, { dealstage = "p2" })
    sim.settle()
    expect(of(lost, "tickets", "subject")).to.equal {}
    expect(of(other, "tickets", "subject")).to.equal {}
    expect(sim.events().dead).to.equal(0)
  end)

  it("takes a deal as it is: without a name or an owner, or gone before its turn", function()
    local bare = deal { hubspot_owner_id = "" }
    sim.update("deals", bare, { dealname = "" })
    win(bare)
    expect(of(bare, "tickets", "subject")).to.equal { "Onboarding: deal " .. bare }
    sim.control("owner", { email = "desk@example.com", archived = true })
    local ownerless = deal()
    win(ownerless)
    expect_all_once(ownerless)
    sim.fail { status = 503, path = "/deals", times = 2 }
    local gone = deal()
    sim.update("deals", gone, { dealstage = "closedwon" })
    sim.control("delete", { type = "deals", id = gone })
    sim.advance("1h")
    expect(sim.events().dead).to.equal(0)
  end)

  it("gets through a storm of 429s", function()
    local ids = {}
    for i = 1, 5 do ids[i] = deal() end
    sim.fail { status = 429, times = 25 }
    sim.fail { status = 429, method = "POST", times = 15 }
    for _, id in ipairs(ids) do sim.update("deals", id, { dealstage = "closedwon" }) end
    sim.advance("1h")
    expect(sim.control("stats").limited).to.equal(40)
    for _, id in ipairs(ids) do expect_all_once(id) end
  end)

  it("is cut off after any of its writes, and goes on: nothing twice", function()
    for _, at in ipairs { { path = "/objects/2026-09/tickets" }, { path = "/objects/2026-09/tasks", call = 2 },
      { method = "PUT", path = "/associations/default/companies" }, { path = "/objects/2026-09/notes" } } do
      local id, firm = deal(), sim.create("companies", { name = "Acme" })
      sim.control("associate", { from_type = "deals", from = id, to_type = "companies", to = firm })
      at.method = at.method or "POST"
      sim.crash(at)
      sim.update("deals", id, { dealstage = "closedwon" })
      sim.advance("1m")
      sim.restart()
      sim.advance("1m")
      expect_all_once(id)
    end
  end)

  it("makes nothing twice of which the answer was lost, and parks what nobody knows", function()
    for _, object in ipairs { "tickets", "tasks", "notes" } do
      sim.fail { method = "POST", path = "/objects/2026-09/" .. object, drop = "after" }
      local id = deal()
      win(id)
      expect_all_once(id)
    end
    sim.fail { method = "POST", path = "/objects/2026-09/notes", drop = "before" }
    local id = deal()
    win(id)
    expect(sim.events().dead).to.equal(1)
    expect(#of(id, "tasks", "hs_task_subject")).to.equal(4)
  end)

  it("does nothing more when the deal is opened and won again", function()
    local id = deal()
    win(id)
    local before = sim.writes()
    sim.update("deals", id, { dealstage = "contractsent" })
    sim.settle()
    win(id)
    expect(sim.events().ran).to.equal(2)
    expect(sim.writes()).to.equal(before)
    expect_all_once(id)
  end)
end)
