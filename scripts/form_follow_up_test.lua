-- form_follow_up.lua against the simulator, in virtual time: Tuesday, 2026-09-01, 08:00 UTC.
local hubspot = require "hubspot"

local owners, form

before_each(function()
  sim.start { owners = 12 }
  owners = {}
  for _, owner in ipairs(sim.control("owners").results) do owners[owner.email:match("^%w+")] = owner.id end
  form = sim.create_form("Contact us", { "email", "firstname" })
end)

local function start()
  sim.load "form_follow_up.lua"
  sim.advance("6m")
end

-- Days in which nobody asks for forms: cheaper than thousands of polls.
local function days_without(n)
  sim.crash()
  sim.advance(n .. "d")
  sim.restart()
  sim.advance("6m")
end

local function send(email, more)
  local values = { email = email, firstname = "Ana" }
  for name, value in pairs(more or {}) do values[name] = value end
  sim.control("submit_form", { form = form, values = values })
  sim.advance("6m")
end

local function of(email) return hubspot.contacts.get(email, { "hubspot_owner_id", "hs_lead_status" }, { id_property = "email" }) end

-- The tasks of a contact: whose and what.
local function tasks(email)
  local list = {}
  for to in hubspot.associations.list("contacts", of(email).id, "tasks") do
    local task = hubspot.tasks.get(to.toObjectId, { "hs_task_subject", "hubspot_owner_id" })
    list[#list + 1] = task.hubspot_owner_id .. " " .. task.hs_task_subject
  end
  table.sort(list)
  return list
end

local function all_tasks()
  local n = 0
  for _ in hubspot.tasks.list() do n = n + 1 end
  return n
end

local function expect_well() expect(sim.events().dead).to.equal(0) end

describe("form follow-up", function()
  it("gives who sent a form to somebody, with a task, and reminds when nobody answers", function()
    start()
    send "ana@x.example"
    local owner = of("ana@x.example").hubspot_owner_id
    expect(owner == owners.anna or owner == owners.jonas).to.be_true()
    expect(tasks "ana@x.example").to.equal { owner .. " Answer a form" }
    sim.update("contacts", of("ana@x.example").id, { hubspot_owner_id = owners.grace })
    sim.advance("23h")
    expect(all_tasks()).to.equal(1)
    sim.advance("1h")
    expect(tasks "ana@x.example").to.equal { owner .. " Answer a form", owners.grace .. " A form that nobody has answered" }
    sim.advance("1d")
    expect(all_tasks()).to.equal(2)
    expect_well()
  end)

  it("reminds nobody who has answered, leaves owners as they are, and waits over a weekend", function()
    sim.create("contacts", { email = "bo@x.example", hubspot_owner_id = owners.grace })
    sim.advance("3d")                                                   -- Friday
    start()
    send "bo@x.example"
    send "ana@x.example"
    expect(tasks "bo@x.example").to.equal { owners.grace .. " Answer a form" }
    sim.update("contacts", of("bo@x.example").id, { hs_lead_status = "CONNECTED" })
    days_without(2)
    expect(#tasks "ana@x.example").to.equal(1)
    sim.advance("25h")                                                  -- Monday
    expect(#tasks "ana@x.example").to.equal(2)
    expect(#tasks "bo@x.example").to.equal(1)
    expect_well()
  end)

  it("leaves aside what is no address, comes from where nobody is, or comes again within a week", function()
    start()
    send("nonsense")
    send("")
    send "x@mailinator.com"
    send(nil, { firstname = "Nobody" })
    expect(all_tasks()).to.equal(0)
    send "ana@x.example"
    send "Ana@X.example"
    expect(all_tasks()).to.equal(1)
    days_without(6)
    local before = all_tasks()
    send "ana@x.example"
    expect(all_tasks()).to.equal(before)
    days_without(2)
    send "ana@x.example"
    expect(all_tasks()).to.equal(before + 1)
    expect_well()
  end)

  it("goes on when the contact is deleted meanwhile", function()
    start()
    send "ana@x.example"
    sim.control("delete", { type = "contacts", id = of("ana@x.example").id })
    sim.advance("25h")
    expect(all_tasks()).to.equal(1)
    expect(sim.events().waiting).to.equal(0)
    expect_well()
  end)

  it("comes through a storm of 429s", function()
    start()
    sim.fail { status = 429, times = 40 }
    sim.fail { status = 429, path = "/tasks", times = 20 }
    for i = 1, 4 do sim.control("submit_form", { form = form, values = { email = ("p%d@x.example"):format(i) } }) end
    sim.advance("2h")
    expect(sim.control("stats").limited).to.equal(60)
    for i = 1, 4 do expect(#tasks(("p%d@x.example"):format(i))).to.equal(1) end
    expect(all_tasks()).to.equal(4)
    expect_well()
  end)

  it("is cut off behind an owner and behind a task, and makes nothing twice; asked again it does nothing", function()
    start()
    for i, at in ipairs { { method = "PATCH", path = "/contacts" }, { method = "POST", path = "/objects/2026-09/tasks" } } do
      local address = ("p%d@x.example"):format(i)
      sim.crash(at)
      send(address)
      local owner = of(address).hubspot_owner_id
      expect(owner).to_not.be_nil()                                     -- HubSpot has done it, and nobody heard
      sim.advance("5m")
      sim.restart()
      sim.advance("10m")
      expect(tasks(address)).to.equal { owner .. " Answer a form" }
    end
    expect(all_tasks()).to.equal(2)
    local before = sim.writes()
    sim.crash()
    sim.advance("1m")
    sim.restart()
    sim.advance("1h")
    expect(sim.writes()).to.equal(before)
    sim.crash { method = "POST", path = "/objects/2026-09/tasks" }      -- the first of two reminders
    sim.advance("1d")
    sim.restart()
    sim.advance("10m")
    expect(all_tasks()).to.equal(4)
    expect_well()
  end)
end)
