-- workflow_enrolment.lua against the simulator: its list and its workflow, in virtual time.
local list

local function start(workflow)
  list = sim.create_list "Leads"
  if workflow ~= false then sim.control("create_workflow", workflow or { name = "Nurture" }) end
  sim.load "workflow_enrolment.lua"
  sim.advance("2m")
end

local function contact(fields)
  local id = sim.create("contacts", fields)
  sim.add_to_list(list, id)
  return id
end

local function lead(name) return contact { email = name .. "@x.example", lifecyclestage = "lead" } end

local function enrolled()
  local ids = {}
  for i, one in ipairs(sim.control("enrollments", { workflow = "Nurture" }).enrollments) do ids[i] = one.contact end
  table.sort(ids)
  return ids
end

describe("workflow enrolment", function()
  it("enrols who comes onto the list and fits, and who fits later", function()
    start()
    local ana, bo = lead "ana", contact { email = "bo@x.example", lifecyclestage = "customer" }
    sim.create("contacts", { email = "elsewhere@x.example", lifecyclestage = "lead" })
    sim.advance("3m")
    expect(enrolled()).to.equal { ana }
    sim.update("contacts", bo, { lifecyclestage = "" })
    sim.update("contacts", bo, { lifecyclestage = "lead" })
    sim.advance("3m")
    expect(enrolled()).to.equal { ana, bo }
    expect(sim.events().dead).to.equal(0)
  end)

  it("leaves out who has no address, has opted out or is gone", function()
    start()
    contact { firstname = "Nobody", lifecyclestage = "lead" }
    contact { email = "strange@x.example", lifecyclestage = "" }
    lead "out"
    sim.control("opt_out", { email = "out@x.example" })
    local welcome = lead "in"
    local gone = lead "gone"
    sim.trigger("contact.propertyChange", { objectId = gone, propertyName = "lifecyclestage", propertyValue = "lead" })
    sim.control("delete", { type = "contacts", id = gone })
    sim.advance("3m")
    expect(enrolled()).to.equal { welcome }
    expect(sim.log()).to.contain("no e-mail address")
    expect(sim.events().dead).to.equal(0)
  end)

  it("parks what comes when the workflow is not there, and says so", function()
    start(false)
    lead "ana"
    sim.advance("3m")
    expect(sim.events().dead).to.equal(1)
    expect(sim.log()).to.contain('there is no workflow "Nurture"')
  end)

  it("gets through a storm of 429s and a lost answer", function()
    start()
    sim.fail { status = 429, times = 40 }
    sim.fail { drop = "after", path = "/enrollments", times = 1 }
    local ids = {}
    for i = 1, 10 do ids[i] = lead("p" .. i) end
    sim.advance("1h")
    expect(enrolled()).to.equal(ids)
    expect(sim.events().dead).to.equal(0)
  end)

  it("goes on after a crash in the middle", function()
    start()
    local ids = {}
    for i = 1, 5 do ids[i] = lead("p" .. i) end
    sim.crash { method = "POST", path = "/enrollments", call = 3 }
    sim.advance("3m")
    expect(#enrolled()).to.equal(3)                       -- of the third nobody has heard
    sim.restart()
    sim.advance("1h")
    expect(enrolled()).to.equal(ids)
    expect(sim.events().dead).to.equal(0)
  end)

  it("enrols nobody twice, also where people may come in again", function()
    start { name = "Nurture", re_enroll = true }
    local ana = lead "ana"
    sim.advance("3m")
    sim.remove_from_list(list, ana)
    sim.advance("3m")
    sim.add_to_list(list, ana)
    sim.update("contacts", ana, { lifecyclestage = "" })
    sim.update("contacts", ana, { lifecyclestage = "subscriber" })
    sim.advance("5m")
    expect(enrolled()).to.equal { ana }
  end)
end)
