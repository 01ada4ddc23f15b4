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

  it("enrols who is on the list before it begins, a hundred a minute", function()
    list = sim.create_list "Leads"
    sim.control("create_workflow", { name = "Nurture" })
    for i = 1, 110 do lead("p" .. i) end
    sim.advance("1h")
    sim.load "workflow_enrolment.lua"
    sim.advance("90s")
    expect(#enrolled()).to.equal(100)
    sim.advance("2m")
    expect(#enrolled()).to.equal(110)
  end)

  it("leaves out who is on another list only", function()
    start()
    local id = sim.create("contacts", { email = "bo@x.example", lifecyclestage = "customer" })
    sim.add_to_list(sim.create_list "Customers", id)
    sim.update("contacts", id, { lifecyclestage = "" })
    sim.update("contacts", id, { lifecyclestage = "lead" })
    sim.advance("3m")
    expect(enrolled()).to.equal {}
    expect(sim.events().failed).to.equal(0)
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
    local late = lead "late"
    sim.crash { path = "/objects/2026-09/contacts" }
    sim.advance("3m")
    sim.control("delete", { type = "contacts", id = late })             -- its event is under way
    sim.restart()
    sim.advance("3m")
    expect(enrolled()).to.equal { welcome }
    expect(sim.events().failed).to.equal(0)
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
    sim.fail { status = 429, times = 25 }
    sim.fail { status = 429, path = "/enrollments", times = 15 }
    sim.fail { drop = "after", path = "/enrollments", times = 1 }
    local ids = {}
    for i = 1, 10 do ids[i] = lead("p" .. i) end
    sim.advance("1h")
    expect(sim.control("stats").limited).to.equal(40)
    expect(enrolled()).to.equal(ids)
    expect(sim.events().dead).to.equal(0)
  end)

  it("parks who may be in already, where people may come in again", function()
    start { name = "Nurture", re_enroll = true }
    sim.fail { drop = "after", path = "/enrollments", times = 1 }
    local ana, bo = lead "ana", lead "bo"
    sim.advance("1h")
    expect(enrolled()).to.equal { ana, bo }
    expect(sim.events().dead).to.equal(1)
    sim.crash { method = "POST", path = "/enrollments" }
    local cy = lead "cy"
    sim.advance("3m")
    sim.restart()
    sim.advance("1h")
    expect(enrolled()).to.equal { ana, bo, cy }
    expect(sim.events().dead).to.equal(2)
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
    expect(sim.events().dead).to.equal(0)
  end)
end)
