-- The options of on(), as scripts use them.
local function change(id, name, value, more)
  local fields = { objectId = id, propertyName = name, propertyValue = value }
  for k, v in pairs(more or {}) do fields[k] = v end
  sim.trigger("contact.propertyChange", fields)
end

describe("key", function()
  local running, most

  local function slow()
    running = running + 1
    most = math.max(most, running)
    task.sleep(1)
    running = running - 1
  end

  before_each(function() running, most = 0, 0 end)

  it("keeps events with one value of a field apart from each other only", function()
    on("contact.propertyChange", { key = "propertyValue" }, slow)
    for id = 1, 3 do change(id, "city", "Ulm") end
    sim.settle()
    expect(most).to.equal(1)
    for id = 1, 3 do change(id, "city", "Ort " .. id) end
    sim.settle()
    expect(most).to.equal(3)
  end)

  it("is a list of fields, or a function of the event", function()
    on("contact.propertyChange", { name = "list", key = { "propertyName", "propertyValue" } }, slow)
    for id = 1, 3 do change(id, "city", "Ulm") end
    sim.settle()
    expect(most).to.equal(1)
    most = 0
    on("contact.propertyChange", { name = "fn", property = "zip", key = function(event) return event.propertyValue:sub(1, 2) end },
      function() slow() end)
    for id = 1, 3 do change(id, "zip", "89" .. id) end
    sim.settle()
    expect(sim.events().ran).to.equal(6)
    expect(most).to.be_at_most(4)
  end)

  it("that raises, waits or is no text parks the event and says why", function()
    for name, fn in pairs {
      raises = function(event) return event.propertyValue.no.such end,
      waits = function() task.sleep(1) end,
      table = function() return {} end,
    } do
      on("contact.propertyChange", { name = name, key = fn }, function() running = running + 1 end)
    end
    change(1, "city", "Ulm")
    sim.settle()
    expect(running).to.equal(0)
    expect(sim.events().dead).to.equal(1)
    expect(sim.log()).to.contain("options_test.lua:")
    expect(sim.log()).to.contain("the function returned a table; a key is a string, a number or nil")
  end)

  it("of another kind is refused with the line", function()
    expect(function() on("contact.creation", { key = 5 }, print) end).to.raise("options_test.lua:%d+: .*a list of names.*this is a number")
    expect(function() on("contact.creation", { key = {} }, print) end).to.raise("1 to 16 names")
    expect(function() on("contact.creation", { key = { "a", 7 } }, print) end).to.raise("#2 is no name of a field")
  end)
end)

describe("own writes", function()
  local hubspot = require "hubspot"
  local runs

  before_each(function() runs = {} end)

  local function note(event) runs[#runs + 1] = event.propertyName .. "=" .. event.propertyValue end

  it("do not run the handler that made them, but others", function()
    local seen = {}
    on("contact.propertyChange", function(event)
      note(event)
      expect(event.own).to.equal(false)
      hubspot.contacts.update(event.objectId, { city = "Ulm", zip = 89073 })
    end)
    on("contact.propertyChange", { name = "other", property = "zip" }, function(event) seen[#seen + 1] = event.propertyValue end)
    local id = sim.create("contacts", { email = "ana@example.com" })
    sim.update("contacts", id, { city = "Bonn" })
    sim.settle()
    expect(runs).to.equal { "city=Bonn" }
    expect(seen).to.equal { "89073" }
    expect(sim.contact(id).city).to.equal("Ulm")
    expect(sim.events().own).to.equal(1)
  end)

  it("run it when it asks", function()
    on("contact.propertyChange", { own = "include", property = "city" }, function(event)
      note(event)
      runs[#runs + 1] = event.own
      hubspot.contacts.update(event.objectId, { city = "Ulm" })
    end)
    local id = sim.create("contacts", { email = "ana@example.com" })
    sim.update("contacts", id, { city = "Bonn" })
    sim.settle()
    expect(runs).to.equal { "city=Bonn", false, "city=Ulm", true }
  end)

  it("count when an object is made", function()
    local n = 0
    on("contact.creation", function(event)
      n = n + 1
      hubspot.contacts.create { email = ("copy%d-of-%s@example.com"):format(n, event.objectId) }
    end)
    sim.create("contacts", { email = "ana@example.com" })
    sim.advance("1m")
    expect(n).to.equal(1)
    expect(sim.events().own).to.equal(1)
  end)

  it("that HubSpot refuses excuse nothing", function()
    on("contact.propertyChange", function(event)
      note(event)
      pcall(hubspot.contacts.update, event.objectId, { city = "Ulm", no_such_property = "1" })
    end)
    local id = sim.create("contacts", { email = "ana@example.com" })
    sim.update("contacts", id, { zip = "1" })
    sim.settle()
    sim.trigger("contact.propertyChange", { objectId = id, propertyName = "city", propertyValue = "Ulm",
      changeSource = "INTEGRATION", sourceId = "1" })
    sim.settle()
    expect(runs).to.equal { "zip=1", "city=Ulm" }
  end)

  it("of two handlers that answer each other end, and an alert says so", function()
    local alerts, n = {}, 0
    local function answer(name)
      return function(event)
        n = n + 1
        hubspot.contacts.update(event.objectId, { [name] = "v" .. n })
      end
    end
    on("contact.propertyChange", { name = "a", property = "city" }, answer("zip"))
    on("contact.propertyChange", { name = "b", property = "zip" }, answer("city"))
    on("hubloop.alert", function(event) alerts[#alerts + 1] = event.payload.kind end)
    local id = sim.create("contacts", { email = "ana@example.com" })
    sim.update("contacts", id, { city = "Bonn" })
    sim.advance("1m")
    expect(n).to.equal(9)
    expect(sim.events().dead).to.equal(1)
    expect(alerts).to.contain("depth")
  end)

  it("is true, false or \"include\"", function()
    expect(function() on("contact.creation", { own = "yes" }, print) end).to.raise("options_test.lua:%d+: option 'own' is \"include\"")
    expect(function() on("contact.creation", { own = 1 }, print) end).to.raise("option 'own' is")
  end)
end)

describe("debounce", function()
  local runs

  before_each(function() runs = {} end)

  it("runs once it is quiet, with the newest event", function()
    on("contact.propertyChange", { debounce = "30s" }, function(event) runs[#runs + 1] = event.propertyValue end)
    for i = 1, 4 do
      change(1, "city", "Ort " .. i)
      sim.advance("20s")
    end
    expect(runs).to.equal {}
    sim.advance("11s")
    expect(runs).to.equal { "Ort 4" }
    expect(sim.events().debounced).to.equal(3)
  end)

  it("waits no longer than max", function()
    on("contact.propertyChange", { debounce = { wait = "30s", max = "1m" } }, function(event) runs[#runs + 1] = event.propertyValue end)
    for i = 1, 4 do
      change(1, "city", "Ort " .. i)
      sim.advance("20s")
    end
    expect(runs).to.equal { "Ort 3" }
  end)

  it("merges the events and their changes, ids as strings", function()
    local event
    on("contact.propertyChange", { debounce = { wait = "30s", mode = "merged" } }, function(e) event = e end)
    change(7, "city", "Bonn", { occurredAt = 1000 })
    change(7, "zip", "53111", { occurredAt = 2000 })
    change(7, "city", "Ulm", { occurredAt = 3000 })
    sim.advance("1m")
    expect(event.changes).to.equal { city = "Ulm", zip = "53111" }
    expect(#event.events).to.equal(3)
    expect(event.events[1].propertyValue).to.equal("Bonn")
    expect(event.events[1].objectId).to.equal("7")
    expect(event.propertyValue).to.equal("Ulm")
  end)

  it("goes by the key, for events of our own too", function()
    on("sum up", { key = "team", debounce = 60 }, function(event) runs[#runs + 1] = event.payload.n end)
    for n = 1, 4 do emit("sum up", { team = n % 2, n = n }) end
    sim.advance("2m")
    table.sort(runs)
    expect(runs).to.equal { 3, 4 }
  end)

  it("is a time or a table, and what is impossible is said", function()
    local function with(debounce)
      return function() on("contact.creation", { debounce = debounce }, print) end
    end
    expect(with(true)).to.raise("options_test.lua:%d+: option 'debounce' is a time")
    expect(with {}).to.raise("it needs how long to wait")
    expect(with("soon")).to.raise("no duration")
    expect(with { wait = "30s", mode = "first" }).to.raise("'last' or 'merged', not 'first'")
    expect(with { wait = "30s", max = "10s" }).to.raise("shorter than wait")
    expect(with { wait = "30s", mod = "last" }).to.raise("did you mean 'mode'")
    expect(function() every("1h", { debounce = "1m" }, print) end).to.raise("there is no option 'debounce'")
  end)
end)
