-- form_follow_up.lua against the simulator, in virtual time: Tuesday, 2026-09-01, 08:00 UTC.
local hubspot = require "hubspot"

local owners, form

before_each(function()
  sim.start { owners = 12 }
  owners = {}
  for _, owner in ipairs(sim.control("owners").results) do owners[owner.email:match("^%w+")] = owner.id end
  form = sim.create_form("Contact us", { "email", "firstname" })
  sim.load "form_follow_up.lua"
  sim.advance("6m")
end)

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
    send "ana@x.example"
    local owner = of("ana@x.example").hubspot_owner_id
    expect(owner == owners.anna or owner == owners.jonas).to.be_true()
    expect(tasks "ana@x.example").to.equal { owner .. " Answer a form" }
    sim.advance("23h")
    expect(all_tasks()).to.equal(1)
    sim.advance("1h")
    expect(tasks "ana@x.example").to.equal { owner .. " A form that nobody has answered", owner .. " Answer a form" }
    sim.advance("3d")
    expect(all_tasks()).to.equal(2)
    expect_well()
  end)

  it("reminds nobody who has answered, leaves owners as they are, and waits over a weekend", function()
    sim.create("contacts", { email = "bo@x.example", hubspot_owner_id = owners.grace })
    sim.advance("3d")                                                   -- Friday
    send "bo@x.example"
    send "ana@x.example"
    expect(tasks "bo@x.example").to.equal { owners.grace .. " Answer a form" }
    sim.update("contacts", of("bo@x.example").id, { hs_lead_status = "CONNECTED" })
    sim.advance("2d")
    expect(#tasks "ana@x.example").to.equal(1)
    sim.advance("25h")                                                  -- Monday
    expect(#tasks "ana@x.example").to.equal(2)
    expect(#tasks "bo@x.example").to.equal(1)
    expect_well()
  end)

  it("leaves aside what is no address, comes from where nobody is, or comes again within a week", function()
    send("nonsense")
    send("")
    send "x@mailinator.com"
    expect(all_tasks()).to.equal(0)
    send "ana@x.example"
    send "Ana@X.example"
    expect(all_tasks()).to.equal(1)
    sim.advance("8d")
    local before = all_tasks()
    send "ana@x.example"
    expect(all_tasks()).to.equal(before + 1)
    expect_well()
  end)

  it("goes on when the contact is deleted meanwhile", function()
    send "ana@x.example"
    sim.control("delete", { type = "contacts", id = of("ana@x.example").id })
    sim.advance("3d")
    expect(all_tasks()).to.equal(1)
    expect_well()
  end)

  it("comes through a storm of 429s", function()
    sim.fail { status = 429, times = 60 }
    for i = 1, 4 do sim.control("submit_form", { form = form, values = { email = ("p%d@x.example"):format(i) } }) end
    sim.advance("2h")
    for i = 1, 4 do expect(#tasks(("p%d@x.example"):format(i))).to.equal(1) end
    expect_well()
  end)

  it("is cut off behind its task, and makes no second one", function()
    sim.crash { method = "POST", path = "/objects/2026-09/tasks" }
    send "ana@x.example"
    sim.advance("5m")
    sim.restart()
    sim.advance("10m")
    expect(#tasks "ana@x.example").to.equal(1)
    expect(all_tasks()).to.equal(1)
    expect_well()
  end)
end)
