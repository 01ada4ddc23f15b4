local hubspot = require "hubspot"

-- One event for a handler that may wait.
local function handle(fn, options)
  on("tried", options or { retries = 5 }, fn)
  emit("tried", { id = 1 })
  sim.settle()
end

local function change(id, value, more)
  local fields = { objectId = id, propertyName = "dealstage", propertyValue = value }
  for k, v in pairs(more or {}) do fields[k] = v end
  sim.trigger("deal.propertyChange", fields)
  sim.settle()
end

describe("wait()", function()
  it("ends with the event, and finished steps are not done again", function()
    local runs, done, after = 0, 0, nil
    handle(function(event)
      runs = runs + 1
      step("first", function() done = done + 1 end)
      local signed = wait("signed", "deal.propertyChange", { key = 17, timeout = "3d" })
      after = { signed = signed, attempt = event.attempt }
    end)
    expect(runs).to.equal(1)
    expect(sim.events().waiting).to.equal(1)
    sim.advance("1d")
    change(16, "won")
    expect(runs).to.equal(1)
    change(17, "won")
    expect(runs).to.equal(2)
    expect(done).to.equal(1)
    expect(after.attempt).to.equal(1)
    expect(after.signed.objectId).to.equal("17")
    expect(after.signed.propertyValue).to.equal("won")
    expect(after.signed.type).to.equal("deal.propertyChange")
    expect(after.signed.source).to.equal("push")
    expect(sim.events().waiting).to.equal(0)
    expect(sim.events().retried).to.equal(0)
    sim.advance("7d")
    expect(runs).to.equal(2)
  end)

  it("ends with nil when its time has passed, and later events change nothing", function()
    local runs, got = 0, {}
    handle(function()
      runs = runs + 1
      got[runs] = wait("signed", "deal.propertyChange", { key = 17, timeout = "3d" }) or "nothing"
      if runs < 4 then error("again") end
    end)
    sim.advance("71h")
    expect(runs).to.equal(1)
    sim.advance("61m")
    change(17, "won")
    sim.advance("1h")
    expect(runs).to.equal(4)
    expect(got).to.equal { [2] = "nothing", [3] = "nothing", [4] = "nothing" }
    expect(sim.events().waiting).to.equal(0)
  end)

  it("sees what came since the handler's own event, and the next one each time", function()
    local got = {}
    change(17, "before")
    on("tried", function()
      task.sleep(30)
      for i = 1, 4 do got[i] = wait("change " .. i, "deal.propertyChange", { key = "17" }).propertyValue end
    end)
    emit("tried")
    sim.advance("10s")
    for _, value in ipairs { "one", "other", "two" } do
      local id = value == "other" and 18 or 17
      sim.trigger("deal.propertyChange", { objectId = id, propertyName = "a", propertyValue = value })
    end
    sim.advance("10s")
    sim.trigger("deal.propertyChange", { objectId = 17, propertyName = "a", propertyValue = "three" })
    expect(#got).to.equal(0)
    sim.advance("2m")
    expect(got).to.equal { "one", "two", "three" }
    change(17, "four")
    sim.advance("1m")
    expect(got).to.equal { "one", "two", "three", "four" }
  end)

  it("of many handlers ends with one event", function()
    local ended = 0
    on("tried", { concurrency = 100 }, function()
      wait("all", "import done")
      ended = ended + 1
    end)
    for i = 1, 40 do emit("tried", { id = i }) end
    sim.settle()
    expect(sim.events().waiting).to.equal(40)
    emit("import done", { rows = 3 })
    sim.settle()
    expect(ended).to.equal(40)
    expect(sim.events().waiting).to.equal(0)
  end)

  it("takes events of our own by what is in them, and HubSpot's by property and value", function()
    local log = {}
    on("tried", { concurrency = 10 }, function()
      task.all {
        function() step("child", function() end) end,
      }
      local paid = wait("paid", "invoice.paid", { key = { quote = "Q-7", total = 12 } })
      log[1] = "paid " .. paid.payload.by
      local won = wait("won", "deal.propertyChange", { key = 17, property = "dealstage", value = "closedwon" })
      log[2] = "won " .. won.propertyValue
    end)
    emit("tried")
    emit("invoice.paid", { quote = "Q-8", total = 12, by = "bo" })
    emit("invoice.paid", { quote = "Q-7", total = 13, by = "cy" })
    emit("invoice.paid", { quote = "Q-7", by = "di" })
    sim.settle()
    expect(log).to.equal {}
    emit("invoice.paid", { quote = "Q-7", total = 12, by = "ana" })
    sim.settle()
    expect(log).to.equal { "paid ana" }
    change(17, "closedwon", { propertyName = "amount" })
    change(17, "closedlost")
    expect(#log).to.equal(1)
    change(17, "closedwon")
    expect(log).to.equal { "paid ana", "won closedwon" }
  end)

  it("finds an event by its object too, when it was emitted with one", function()
    local got
    handle(function() got = wait("x", "note added", { key = 5 }) end)
    emit("note added", { text = "a" }, { object_type = "contact", object_id = "6" })
    emit("note added", { text = "b" }, { object_type = "contact", object_id = "5" })
    sim.settle()
    expect(got.payload.text).to.equal("b")
  end)

  it("is for a time, or until one", function()
    local at = {}
    handle(function()
      wait("cool down", { ["for"] = "2d" })
      at[1] = at[1] or time.iso()
      wait("morning", { ["until"] = "2026-09-05T09:00:00Z" })
      at[2] = at[2] or time.iso()
      wait("noon", { ["until"] = time.parse "2026-09-05T12:00:00Z" })
      at[3] = at[3] or time.iso()
      wait("past", { ["until"] = "2020-01-01" })
    end)
    sim.advance("30d")
    expect(at).to.equal { "2026-09-03T08:00:00.000Z", "2026-09-05T09:00:00.000Z", "2026-09-05T12:00:00.000Z" }
    expect(sim.events().waiting).to.equal(0)
    expect(sim.events().dead).to.equal(0)
  end)

  it("commits what was buffered before it, once", function()
    handle(function()
      kv.incr("before")
      wait("a while", { ["for"] = "1h" })
      kv.incr("between")
      emit("noted")
      wait("another", { ["for"] = "1h" })
      kv.incr("after")
    end)
    expect(kv.get("before")).to.equal(1)
    expect(kv.get("between")).to.equal(nil)
    sim.advance("61m")
    expect(kv.get("between")).to.equal(1)
    expect(kv.get("after")).to.equal(nil)
    sim.advance("2h")
    expect(kv.get("before")).to.equal(1)
    expect(kv.get("between")).to.equal(1)
    expect(kv.get("after")).to.equal(1)
    expect(sim.events().unhandled).to.equal(1)
  end)

  it("cannot be held up, and closes what is open", function()
    local ways = {
      pcall = function() return pcall(wait, "w", { ["for"] = "1h" }) end,
      xpcall = function() return xpcall(wait, function(e) return "handled " .. tostring(e) end, "w", { ["for"] = "1h" }) end,
      coroutine = function() return coroutine.wrap(function() return pcall(wait, "w", { ["for"] = "1h" }) end)() end,
      resume = function() return coroutine.resume(coroutine.create(wait), "w", { ["for"] = "1h" }) end,
      close = function()
        local _ <close> = setmetatable({}, { __close = function(_, e)
          kv.incr("close")   -- not before the wait: it goes
          error("closing: " .. tostring(e))
        end })
        wait("w", { ["for"] = "1h" })
      end,
    }
    local passed, closed = {}, 0
    for name, way in pairs(ways) do
      on("tried " .. name, function()
        local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
        pcall(way)
        passed[#passed + 1] = name
      end)
      emit("tried " .. name)
    end
    sim.settle()
    expect(#passed).to.equal(0)
    expect(closed).to.equal(5)
    expect(sim.events().waiting).to.equal(5)
    expect(sim.events().failed).to.equal(0)
    expect(kv.get("close")).to.equal(nil)
    sim.advance("61m")
    table.sort(passed)
    expect(passed).to.equal { "close", "coroutine", "pcall", "resume", "xpcall" }
    expect(kv.get("close")).to.equal(1)
    expect(sim.log()).to_not.contain("warn")
  end)

  it("leaves its lane to others, and comes back into it", function()
    local order, running = {}, 0
    on("contact.propertyChange", function(event)
      if event.propertyValue == "1" then wait("w", { ["for"] = "1h" }) end
      running = running + 1
      expect(running).to.equal(1)
      task.sleep(10)
      running = running - 1
      order[#order + 1] = event.propertyValue
    end)
    for i = 1, 3 do sim.trigger("contact.propertyChange", { objectId = 9, propertyName = "city", propertyValue = tostring(i) }) end
    sim.advance("1m")
    expect(order).to.equal { "2", "3" }
    sim.advance("59m")
    sim.advance("5s")
    sim.trigger("contact.propertyChange", { objectId = 9, propertyName = "city", propertyValue = "4" })
    sim.advance("1m")
    expect(order).to.equal { "2", "3", "1", "4" }
  end)

  it("does not count for the handler's timeout, nor as an attempt", function()
    local attempts = {}
    handle(function(event)
      attempts[#attempts + 1] = event.attempt
      task.sleep(4)
      wait("w", { ["for"] = "1d" })
      task.sleep(4)
      if #attempts < 4 then error("not yet") end
    end, { timeout = "9s", retries = 2 })
    sim.advance("2d")
    expect(attempts).to.equal { 1, 1, 2, 3 }
    expect(sim.events().ran).to.equal(1)
  end)

  it("goes the same way again: a step that raised raises the same", function()
    local tries, seen, plain = 0, {}, {}
    handle(function()
      local ok, e = pcall(step, "enrich", function()
        tries = tries + 1
        return hubspot.contacts.get("404").email
      end)
      seen[#seen + 1] = { ok, e.kind, e.status, tostring(e) }
      pcall(step, "text", function() error("a text") end)
      pcall(step, "table", function() error { code = 7 } end)
      if not ok then step("note it", function() end) end
      plain[#plain + 1] = select(2, pcall(step, "text 2", function() error("a text", 0) end))
      wait("w", { ["for"] = "1d" })
    end)
    sim.advance("2d")
    expect(tries).to.equal(1)
    expect(seen[1]).to.equal(seen[2])
    expect(seen[1][1]).to.equal(false)
    expect(seen[1][2]).to.equal("hubspot")
    expect(plain).to.equal { "a text", "a text" }
    expect(sim.events().dead).to.equal(0)
  end)

  it("asks the filter once", function()
    local asked, ended = 0, 0
    handle(function()
      wait("w", { ["for"] = "1d" })
      ended = ended + 1
    end, { filter = function()
      asked = asked + 1
      return asked == 1
    end })
    sim.advance("2d")
    expect(ended).to.equal(1)
    expect(asked).to.equal(1)
  end)

  it("is found again by name, and steps and waits share their names", function()
    local errors = {}
    handle(function()
      step("a", function() end)
      errors[1] = select(2, pcall(wait, "a", { ["for"] = "1h" })).message
      wait("b", { ["for"] = "1h" })
      errors[2] = select(2, pcall(step, "b", function() end)).message
      errors[3] = select(2, pcall(wait, "b", { ["for"] = "1h" })).message
      errors[4] = select(2, pcall(wait, "", { ["for"] = "1h" })).message
      errors[5] = select(2, pcall(wait, ("x"):rep(201), { ["for"] = "1h" })).message
    end)
    sim.advance("2h")
    for i = 1, 3 do expect(errors[i]).to.contain("this name is used already in this run") end
    for i = 4, 5 do expect(errors[i]).to.contain("a wait's name has 1 to 200 bytes") end
    expect(errors[1]).to.contain("wait_test.lua:")
  end)

  it("says what it needs, at the script's line", function()
    local errors = {}
    local function try(label, ...)
      local ok, e = pcall(function(...) local _ = wait(...) end, ...)
      errors[label] = not ok and tostring(e) or "none"
    end
    handle(function()
      try("type", "w", "deal.propertyChang", { key = 1 })
      try("key", "w", "deal.propertyChange")
      try("empty", "w", "deal.propertyChange", { key = {} })
      try("boolean", "w", "deal.propertyChange", { key = true })
      try("field", "w", "deal.propertyChange", { key = { a = {} } })
      try("list", "w", "deal.propertyChange", { key = { "a" } })
      try("value", "w", "deal.propertyChange", { key = 1, value = "x" })
      try("option", "w", "deal.propertyChange", { key = 1, timout = "3d" })
      try("time", "w", "deal.propertyChange", { key = 1, timeout = "soon" })
      try("nothing", "w", {})
      try("both", "w", { ["for"] = "1h", ["until"] = "2030-01-01" })
      try("until", "w", { ["until"] = "tomorrow" })
      try("mixed", "w", { key = 1 })
      local many = {}
      for i = 1, 17 do many["f" .. i] = i end
      try("many", "w", "done", { key = many })
      try("long", "w", "done", { key = ("x"):rep(3000) })
      try("step", "w", { ["for"] = "1h" }, nil)
      errors.inside = select(2, pcall(step, "s", function() wait("w2", { ["for"] = "1h" }) end)).message
      errors.child = select(2, pcall(task.all, { function() wait("w3", { ["for"] = "1h" }) end })).message
      errors.sleep = select(2, pcall(task.sleep, "2m")).message
      errors.seconds = select(2, pcall(task.sleep, 61)).message
      task.sleep(60)
    end)
    sim.advance("2h")
    local function said(label, text) expect(errors[label]).to.contain(text) end
    said("type", "unknown event type 'deal.propertyChang'; did you mean 'deal.propertyChange'?")
    said("key", "which one is waited for?")
    said("empty", "option 'key' is empty")
    said("boolean", "not a boolean")
    said("field", "not a table")
    said("list", "{ field = value }")
    said("value", "option 'value' needs the property")
    said("option", "did you mean 'timeout'?")
    said("time", "soon")
    said("nothing", "wait for an event (name, type, options), or for a time")
    said("both", "not both")
    said("until", "ISO 8601")
    said("mixed", "there is no option 'key'")
    said("many", "at most 16 fields")
    said("long", "too long")
    said("inside", "a step has no wait inside it")
    said("child", "only the handler itself can wait")
    said("sleep", "task.sleep(\"2m\"): a handler sleeps at most 60 s; wait(\"a name\", { [\"for\"] = \"2m\" })")
    said("seconds", "wait(\"a name\", { [\"for\"] = 61 })")
    for label, text in pairs(errors) do
      if label ~= "step" then expect(label .. ": " .. text).to.contain("wait_test.lua:") end
    end
  end)

  it("is refused where nothing could wait", function()
    local outside = select(2, pcall(wait, "w", { ["for"] = "1h" })).message
    expect(outside).to.contain("only a handler (on) can wait")
    local timer, slept
    every("10m", function()
      timer = select(2, pcall(wait, "w", { ["for"] = "1h" })).message
      slept = select(2, pcall(task.sleep, "2h")).message
    end)
    sim.advance("11m")
    expect(timer).to.contain("a timer (every, cron) has no event that could wait")
    expect(slept).to.contain("after(\"2h\", \"a name\") goes on later")
  end)
end)

describe("wait() for HubSpot's events", function()
  it("hears of them without a handler that listens, and not of what it has written itself", function()
    local got
    local deal = sim.create("deals", { dealname = "Big", dealstage = "qualifiedtobuy", pipeline = "default" })
    handle(function()
      step("send", function() hubspot.deals.update(deal, { dealstage = "contractsent" }) end)
      got = wait("signed", "deal.propertyChange", { key = deal, property = "dealstage", timeout = "3d" })
    end)
    sim.advance("1m")
    expect(sim.deal(deal).dealstage).to.equal("contractsent")
    expect(sim.events().waiting).to.equal(1)
    expect(got).to.equal(nil)
    sim.update("deals", deal, { dealstage = "closedwon" })
    sim.settle()
    expect(got.propertyValue).to.equal("closedwon")
    expect(sim.events().waiting).to.equal(0)
  end)

  it("that another program causes are others, and so is the same value much later", function()
    local got = {}
    local one = sim.create("contacts", { email = "a@example.com" })
    handle(function()
      hubspot.contacts.update(one, { city = "Ulm" })
      got[1] = wait("first", "contact.propertyChange", { key = one, property = "city" })
      got[2] = wait("second", "contact.propertyChange", { key = one, property = "city" })
    end)
    sim.advance("5m")
    expect(#got).to.equal(0)
    local function by_program(value)
      sim.trigger("contact.propertyChange", { objectId = one, propertyName = "city", propertyValue = value,
        changeSource = "INTEGRATION", sourceId = "1" })
      sim.settle()
    end
    by_program("Ulm")
    expect(#got).to.equal(0)
    by_program("Bonn")
    expect(got[1].propertyValue).to.equal("Bonn")
    sim.advance("11m")
    by_program("Ulm")
    expect(got[2].propertyValue).to.equal("Ulm")
  end)
end)
