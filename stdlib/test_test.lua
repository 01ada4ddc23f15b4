-- The test module itself: what expect accepts and refuses, isolation, virtual time, events.
describe("expect", function()
  local function refused(fn, pattern)
    local ok, err = pcall(fn)
    if ok then error("it was accepted", 2) end
    if not tostring(err):find(pattern) then error(("%q does not match %q"):format(tostring(err), pattern), 2) end
  end

  it("compares deeply and shows where values differ", function()
    expect({ a = { 1, 2, { b = "x" } } }).to.equal { a = { 1, 2, { b = "x" } } }
    expect({ 1, 2 }).to_not.equal { 1, 3 }
    refused(function() expect({ a = { 1, 2 } }).to.equal { a = { 1, 3 } } end, "at %.a%[2%]: expected 3, got 2")
    refused(function() expect({ a = 1, b = 2 }).to.equal { a = 1 } end, "at %.b: expected nil, got 2")
    refused(function() expect("1").to.equal(1) end, 'expected 1\n     got "1"')
  end)

  it("names the line of the test", function()
    refused(function() expect(1).to.equal(2) end, "^test_test.lua:%d+: expected 2")
  end)

  it("has checks for the usual things", function()
    expect(nil).to.be_nil()
    expect(true).to.be_true()
    expect({ "a", { 1 } }).to.contain { 1 }
    expect("abc").to.contain("b")
    expect("abc").to.match("^a.c$")
    expect({ email = "x" }).to.have_property("email", "x")
    expect({ 1, 2 }).to.have_length(2)
    refused(function() expect("abc").to.match("^b") end, "to match")
    refused(function() expect({ "a" }).to.contain("b") end, "to contain")
    refused(function() expect({}).to.have_property("email") end, "property email")
    refused(function() expect(1).to.be_nill() end, "there are: .*be_nil")
  end)

  it("catches what is raised", function()
    expect(function() error("no luck") end).to.raise("no luck")
    expect(function() end).to_not.raise()
    refused(function() expect(function() end).to.raise() end, "nothing was raised")
    refused(function() expect(function() error("a") end).to.raise("b") end, "matches")
  end)
end)

describe("each test", function()
  local order = {}
  before_each(function() order[#order + 1] = "before" end)
  after_each(function() order[#order + 1] = "after" end)

  it("runs the hooks around it", function()
    expect(order).to.equal { "before" }
    kv.set("left", 1)
  end)

  it("starts anew", function()
    expect(order).to.equal { "before" }
    expect(kv.get("left")).to.be_nil()
  end)

  it("has hooks of inner groups inside those of outer ones", function()
    expect(order).to.equal { "before" }
  end)
end)

describe("virtual time", function()
  it("passes at once, and timers fire in it", function()
    local fired = 0
    every("1h", function() fired = fired + 1 end)
    local from = time.now()
    sim.advance("1d")
    expect(time.now() - from).to.equal(86400000)
    expect(fired).to.be_at_least(23)
    expect(fired).to.be_at_most(24)
  end)

  it("refuses what is no duration", function()
    expect(function() sim.advance("soon") end).to.raise("no duration")
  end)
end)

describe("events", function()
  it("reach handlers as signed webhooks", function()
    local seen = {}
    on("contact.creation", function(event) seen[#seen + 1] = event.objectId end)
    local id = sim.create("contacts", { email = "ana@example.com" })
    sim.settle()
    expect(seen).to.equal { id }
    expect(sim.events().ran).to.equal(1)
  end)

  it("can be sent by hand", function()
    local got
    on("contact.propertyChange", { property = "city" }, function(event) got = event end)
    sim.trigger("contact.propertyChange", { objectId = 5, propertyName = "city", propertyValue = "Ulm" })
    sim.settle()
    expect(got.objectId).to.equal("5")
    expect(got.propertyValue).to.equal("Ulm")
    expect(got.source).to.equal("push")
  end)

  it("of our own follow a handler, after a delay too", function()
    local chased
    on("contact.creation", function(event) after("4h", "chase", { id = event.objectId }) end)
    on("chase", function(event) chased = event.payload.id end)
    local id = sim.create("contacts", { email = "ana@example.com" })
    sim.settle()
    expect(chased).to.be_nil()
    sim.advance("5h")
    expect(chased).to.equal(id)
  end)

  it("that fail are retried, then parked", function()
    local attempts = 0
    on("contact.creation", { retries = 2 }, function()
      attempts = attempts + 1
      kv.incr("n")
      error("never well")
    end)
    sim.create("contacts", { email = "ana@example.com" })
    sim.advance("1d")
    expect(attempts).to.equal(3)
    expect(kv.get("n")).to.be_nil()
    expect(sim.events().dead).to.equal(1)
    expect(sim.log()).to.contain("never well")
  end)

  it("that are parked are told to the alert handler", function()
    local alerts = {}
    on("hubloop.alert", function(event) alerts[#alerts + 1] = event.payload end)
    on("contact.creation", { retries = 0 }, function() error("never well") end)
    local id = sim.create("contacts", { email = "ana@example.com" })
    sim.settle()
    expect(#alerts).to.equal(1)
    expect(alerts[1].kind).to.equal("dead_letter")
    expect(alerts[1].text).to.contain("never well")
    expect(alerts[1].objectId).to.equal(id)
  end)

  it("of hubloop's own are known by name", function()
    expect(function() on("hubloop.alerts", function() end) end).to.raise("hubloop.alert")
  end)
end)

describe("emit", function()
  it("refuses names that look like HubSpot's", function()
    expect(function() emit("contact.creation", {}) end).to.raise("HubSpot's name")
    expect(function() emit("contact.creatoin", {}) end).to.raise("HubSpot's name")
  end)
end)

describe("e-mails", function()
  it("show up with what became of them", function()
    local receipt = sim.control("create_email", { name = "Receipt" })
    sim.control("bounce", { email = "bo@example.com" })
    local hubspot = require "hubspot"
    for _, to in ipairs { "ana@example.com", "bo@example.com" } do
      hubspot.single_send.send { emailId = receipt.id, message = { to = to } }
    end
    local all = sim.emails()
    expect({ #all, all[1].to, all[1].name, all[1].result }).to.equal { 2, "ana@example.com", "Receipt", "SENT" }
    expect(sim.emails("bo@example.com")[1].result).to.equal("PREVIOUSLY_BOUNCED")
  end)
end)

describe("sim.writes", function()
  it("counts what HubSpot has done, not what it read or refused", function()
    local contacts = require "hubspot".contacts
    local ana = contacts.create { email = "ana@example.com" }
    contacts.get(ana.id, { "email" })
    for _ in contacts.search { query = "ana" } do end
    contacts.batch_read { ana.id }
    expect(pcall(contacts.update, ana.id, { lifecyclestage = "nonsense" })).to.be_false()
    expect(sim.writes()).to.equal(1)
    sim.fail { status = 429, times = 1 }
    contacts.update(ana.id, { city = "Ulm" })
    sim.fail { drop = "after", method = "PATCH" }                       -- done, and nobody hears of it
    pcall(contacts.update, ana.id, { city = "Bonn" })
    expect(sim.contact(ana.id).city).to.equal("Bonn")
    expect(sim.writes()).to.equal(4)                                    -- made, and made again
    expect(sim.writes("/contacts/" .. ana.id)).to.equal(sim.writes() - 1)
    contacts.archive(ana.id)
    expect(sim.writes("/deals")).to.equal(0)
  end)
end)
