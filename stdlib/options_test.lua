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

describe("retries", function()
  local runs

  before_each(function() runs = {} end)

  local function failing(options, fn)
    on("work", options, function(event)
      runs[#runs + 1] = time.now()
      fn(event)
    end)
    emit("work", {})
  end

  it("pause longer and longer, from base up to cap", function()
    failing({ retries = { max = 6, base = "10s", cap = "1m" } }, function() error("not now") end)
    sim.advance("10m")
    expect(#runs).to.equal(7)
    for i, pause in ipairs { 10, 20, 40, 60, 60, 60 } do
      local waited = (runs[i + 1] - runs[i]) / 1000
      expect(waited).to.be_at_least(pause / 2)
      expect(waited).to.be_at_most(pause + 1)
    end
    expect(sim.events().dead).to.equal(1)
  end)

  it("are a number too, or a table with a part of it", function()
    failing({ retries = 2 }, function() error("not now") end)
    on("half", { retries = { base = 1 } }, function() runs[#runs + 1] = 0 error("no") end)
    emit("half", {})
    sim.advance("3h")
    expect(#runs).to.equal(3 + 11)
    expect(sim.events().dead).to.equal(2)
  end)

  it("are for what HubSpot may answer otherwise next time", function()
    local hubspot = require "hubspot"
    local n = {}
    local function count(name, fn)
      n[name] = 0
      on(name, { retries = 2 }, function()
        n[name] = n[name] + 1
        fn()
      end)
      emit(name, {})
    end
    sim.create("contacts", { email = "ana@example.com" })
    count("400", function() hubspot.contacts.create { no_such_property = "1" } end)
    count("404", function() hubspot.contacts.get("999999", { "email" }) end)
    count("409", function() hubspot.contacts.create { email = "ana@example.com" } end)
    count("invalid", function() json.decode("{") end)
    count("obeyed", function() error(setmetatable({ retryable = false }, { __tostring = function() return "no" end })) end)
    count("again", function() error({ message = "later", retryable = true }) end)
    sim.fail { match = { method = "PATCH" }, status = 500, times = 100 }
    count("500", function() hubspot.companies.update("1", { name = "x" }) end)
    count("bug", function() local none = nil; return none.field end)
    sim.advance("1h")
    expect(n).to.equal { ["400"] = 1, ["404"] = 1, ["409"] = 1, ["500"] = 3, invalid = 1, obeyed = 1, again = 3, bug = 3 }
    expect(sim.events().dead).to.equal(8)
    expect(sim.log()).to.contain("dead letter after 3 attempts: later")
  end)

  it("are a number or a table of known names", function()
    local function with(retries)
      return function() on("contact.creation", { retries = retries }, print) end
    end
    expect(with(-1)).to.raise("options_test.lua:%d+: option 'retries' must be a whole number from 0 to 1000")
    expect(with("often")).to.raise("option 'retries' must be a whole number")
    expect(with { times = 3 }).to.raise("option 'retries': there is no option 'times'")
    expect(with { max = 1001 }).to.raise("option 'max' must be a whole number")
    expect(with { base = "2m", cap = "1m" }).to.raise("base is the first pause, and longer than cap")
    expect(with { cap = "2d" }).to.raise("a day at most")
    expect(function() every("1h", { retries = { tries = 3 } }, print) end).to.raise("option 'retries': there is no option 'tries'")
  end)
end)

describe("a handler's other options", function()
  local function with(options, type)
    return function() on(type or "contact.propertyChange", options, print) end
  end

  it("are known by name", function()
    expect(with { propertty = "city" }).to.raise("options_test.lua:%d+: on%(%): there is no option 'propertty'; did you mean 'property'")
    expect(with { [1] = "city" }).to.raise("options are named")
    expect(with("city")).to.raise("options must be a table, not a string")
  end)

  it("cannot be what makes no sense", function()
    expect(with { property = "" }).to.raise("option 'property' is empty")
    expect(with({ property = "city" }, "contact.creation")).to.raise("'property' is for propertyChange events; those of 'contact.creation'")
    expect(with({ property = "city" }, "chase")).to.raise("'property' is for propertyChange events")
    expect(with { property = 5 }).to.raise("option 'property' must be a string, not a number")
    expect(with { concurrency = 0 }).to.raise("option 'concurrency' must be a whole number from 1 to 10000")
    expect(with { concurrency = 1.5 }).to.raise("option 'concurrency' must be a whole number")
    expect(with { timeout = "0s" }).to.raise("option 'timeout' is how long one attempt may take")
    expect(with { timeout = "soon" }).to.raise("option 'timeout': “soon” is no duration")
    expect(with { timeout = -1 }).to.raise("option 'timeout': a duration is between")
    expect(with { priority = "high" }).to.raise("option 'priority' is 'live', 'normal' or 'bulk', not 'high'")
    expect(with { filter = "x" }).to.raise("option 'filter' must be a function")
    expect(with { name = "" }).to.raise("a name has 1 to 200 bytes")
    expect(with { name = ("n"):rep(201) }).to.raise("a name has 1 to 200 bytes")
    expect(with { name = "a\tb" }).to.raise("a name has no control characters")
    expect(with { account = "nobody" }).to.raise("option 'account'")
  end)
end)

describe("hold", function()
  it("lets an earlier event that comes later go first", function()
    local seen = {}
    on("contact.propertyChange", { hold = "10s" }, function(event) seen[#seen + 1] = event.propertyValue end)
    change(1, "city", "third", { occurredAt = 3000 })
    sim.advance("6s")
    change(1, "city", "first", { occurredAt = 1000 })
    change(1, "city", "second", { occurredAt = 2000 })
    expect(seen).to.equal {}
    sim.advance("5s")
    expect(seen).to.equal { "first", "second", "third" }
  end)

  it("is a time, and not for what waits already", function()
    expect(function() on("contact.creation", { hold = "2h" }, print) end).to.raise("options_test.lua:%d+: option 'hold' is how long")
    expect(function() on("contact.creation", { hold = 0 }, print) end).to.raise("option 'hold' is how long")
    expect(function() on("contact.creation", { hold = "1s", debounce = "1s" }, print) end).to.raise("with 'debounce' waits already")
  end)
end)

describe("a mass change", function()
  local hubspot = require "hubspot"

  -- How long a person's change waits behind those of an import, in seconds.
  local function waits(options)
    local id, ended = sim.create("contacts", { email = "ana@example.com" }), nil
    options.key = "propertyValue"
    on("contact.propertyChange", options, function(event)
      hubspot.contacts.get(event.objectId, { "email" }, { batch = false })
      if event.changeSource == "CRM_UI" then ended = time.now() end
    end)
    for i = 1, 1500 do change(id, "city", "Ort " .. i, { changeSource = "IMPORT", sourceId = "7" }) end
    sim.advance("1s")
    change(id, "city", "Ulm", { changeSource = "CRM_UI" })
    local began = time.now()
    sim.advance("2m")
    expect(sim.events().ran).to.equal(1501)
    return (ended - began) / 1000
  end

  it("is bulk work: what people do meanwhile goes first", function()
    expect(waits {}).to.be_at_most(10)
  end)

  it("is not, for a handler that says its priority", function()
    expect(waits { priority = "live" }).to.be_at_least(60)
  end)
end)

describe("throttle", function()
  local starts

  before_each(function() starts = {} end)

  local function note() starts[#starts + 1] = math.floor(time.now() / 1000) end

  it("lets so many start within the time, and keeps the rest in order", function()
    local seen, began = {}, math.floor(time.now() / 1000)
    on("contact.propertyChange", { throttle = "3/1m" }, function(event)
      note()
      seen[#seen + 1] = event.propertyValue
    end)
    for i = 1, 8 do change(1, "city", "Ort " .. i) end
    change(2, "city", "other")
    sim.advance("10s")
    table.sort(seen)
    expect(seen).to.equal { "Ort 1", "Ort 2", "Ort 3", "other" }
    expect(sim.events().waiting).to.equal(5)
    seen = {}
    sim.advance("1m")
    expect(seen).to.equal { "Ort 4", "Ort 5", "Ort 6" }
    sim.advance("1m")
    expect(seen).to.equal { "Ort 4", "Ort 5", "Ort 6", "Ort 7", "Ort 8" }
    expect(starts[9] - began).to.equal(120)
    expect(sim.events().ran).to.equal(9)
  end)

  it("goes by the key, and events without one go together", function()
    on("work", { key = "team", throttle = { count = 1, per = 60 } }, note)
    for _, team in ipairs { "a", "a", "b" } do emit("work", { team = team }) end
    emit("work", {})
    emit("work", {})
    sim.advance("1s")
    expect(#starts).to.equal(3)
    sim.advance("1m")
    expect(#starts).to.equal(5)
  end)

  it("can be of the whole handler", function()
    on("contact.propertyChange", { throttle = { count = 2, per = "10s", of = "handler" } }, note)
    for id = 1, 5 do change(id, "city", "Ulm") end
    sim.advance("1s")
    expect(#starts).to.equal(2)
    sim.advance("10s")
    expect(#starts).to.equal(4)
    sim.advance("10s")
    expect(#starts).to.equal(5)
  end)

  it("counts attempts", function()
    on("work", { throttle = "2/1m", retries = { max = 5, base = "1s", cap = "1s" } }, function()
      note()
      error("not now")
    end)
    emit("work", {})
    sim.advance("50s")
    expect(#starts).to.equal(2)
    sim.advance("1m")
    expect(#starts).to.equal(4)
  end)

  it("is a count and a time", function()
    local function with(throttle)
      return function() on("contact.creation", { throttle = throttle }, print) end
    end
    expect(with(5)).to.raise("options_test.lua:%d+: option 'throttle' is \"10/1m\".*not a number")
    expect(with("often")).to.raise("not \"often\"")
    expect(with("0/1m")).to.raise("1 to 1000 starts, not 0")
    expect(with("10/soon")).to.raise("“soon” is no duration")
    expect(with("10/0s")).to.raise("longer than zero")
    expect(with { count = 5 }).to.raise("count and per say how many")
    expect(with { count = 5, per = "1m", of = "script" }).to.raise("not of 'script'")
    expect(with { count = 5, every = "1m" }).to.raise("there is no option 'every'")
    expect(with("5000/1m")).to.raise("1 to 1000 starts, not 5000")
  end)
end)

describe("batch", function()
  local batches

  before_each(function() batches = {} end)

  local function note(events)
    local list = {}
    for i, event in ipairs(events) do list[i] = event.propertyValue end
    batches[#batches + 1] = table.concat(list, " ")
  end

  it("gives the handler a list when there are enough, or when the first has waited", function()
    on("contact.propertyChange", { batch = { size = 3, wait = "10s" } }, note)
    for i = 1, 7 do change(i, "city", tostring(i)) end
    sim.advance("1s")
    expect(batches).to.equal { "1 2 3", "4 5 6" }
    expect(sim.events().waiting).to.equal(1)
    sim.advance("10s")
    expect(batches).to.equal { "1 2 3", "4 5 6", "7" }
    expect(sim.events().ran).to.equal(7)
  end)

  it("has whole events, and waits 5 s when it is a number", function()
    local got
    on("sum", { batch = 100 }, function(events) got = events end)
    emit("sum", { n = 1 })
    emit("sum", { n = 2 })
    sim.advance("4s")
    expect(got).to.be_nil()
    sim.advance("2s")
    expect(#got).to.equal(2)
    expect(got[2].payload.n).to.equal(2)
    expect(got[1].type).to.equal("sum")
    expect(got[1].attempt).to.equal(1)
    expect(got[1].id).to_not.equal(got[2].id)
  end)

  it("goes by the key", function()
    on("contact.propertyChange", { batch = { size = 2, wait = "10s" }, key = "propertyName" }, note)
    change(1, "city", "Ulm")
    change(2, "zip", "89073")
    change(3, "city", "Bonn")
    sim.advance("1s")
    expect(batches).to.equal { "Ulm Bonn" }
    sim.advance("10s")
    expect(batches).to.equal { "Ulm Bonn", "89073" }
  end)

  it("leaves out what the filter says no to", function()
    on("contact.propertyChange", { batch = 3, filter = function(event)
      task.sleep(0.1)
      return event.propertyValue ~= "no"
    end }, note)
    for _, value in ipairs { "a", "no", "b", "no", "no", "no" } do change(1, "city", value) end
    sim.advance("10s")
    expect(batches).to.equal { "a b" }
    expect(sim.events().ran).to.equal(2)
    expect(sim.events().filtered).to.equal(4)
  end)

  it("that fails goes again whole, then in halves, until the bad event is alone", function()
    on("contact.propertyChange", { batch = { size = 8, wait = "1s" }, retries = 3 }, function(events)
      note(events)
      for _, event in ipairs(events) do
        if event.propertyValue == "5" then error("cannot take 5") end
      end
    end)
    for i = 1, 8 do change(i, "city", tostring(i)) end
    sim.advance("1m")
    expect(batches).to.equal { "1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 8",
      "1 2 3 4", "5 6 7 8", "5 6", "5", "6", "7 8" }
    expect(sim.events().ran).to.equal(7)
    expect(sim.events().dead).to.equal(1)
    expect(sim.events().waiting).to.equal(0)
  end)

  it("is not taken apart for what is not in its events", function()
    local well = false
    on("contact.propertyChange", { batch = { size = 4, wait = "1s" } }, function(events)
      note(events)
      if not well then error { message = "the other side is away", retryable = true } end
    end)
    for i = 1, 4 do change(i, "city", tostring(i)) end
    sim.advance("10m")
    well = true
    sim.advance("20m")
    for _, batch in ipairs(batches) do expect(batch).to.equal("1 2 3 4") end
    expect(#batches).to.be_at_least(6)
    expect(sim.events().ran).to.equal(4)
  end)

  it("has no steps, and says so", function()
    local message
    on("sum", { batch = 1, retries = 0 }, function()
      local _, err = pcall(step, "once", print)
      message = err.message
    end)
    emit("sum", {})
    sim.advance("10s")
    expect(message).to.contain("only a handler (on without \"batch\", every, cron) has steps")
  end)

  it("has a size and a time", function()
    local function with(batch, more)
      local options = more or {}
      options.batch = batch
      return function() on("contact.creation", options, print) end
    end
    expect(with(0)).to.raise("options_test.lua:%d+: option 'batch' must be a whole number from 1 to 1000")
    expect(with("many")).to.raise("option 'batch' must be a whole number")
    expect(with { wait = "5s" }).to.raise("size says how many")
    expect(with { size = 5, wait = "0s" }).to.raise("a day at most")
    expect(with { size = 5, every = "1s" }).to.raise("there is no option 'every'")
    expect(with(5, { debounce = "1s" })).to.raise("a handler with 'debounce' has no batches")
    expect(with(5, { hold = "1s" })).to.raise("a handler with 'hold' has no batches")
    expect(function() on("deal.won", { batch = 5 }, print) end)
      .to.raise("options_test.lua:%d+: option 'batch': events of this type are made one by one")
  end)
end)
