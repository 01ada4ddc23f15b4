local hubspot = require "hubspot"

-- Runs fn as the handler of one event, again and again while it fails.
local function handle(fn, options)
  options = options or { retries = 5 }
  on("tried", options, fn)
  emit("tried", { id = 1 })
  sim.advance("1h")
end

describe("step()", function()
  it("is done once, and gives its result to each later attempt", function()
    local ran, attempts, seen = 0, 0, {}
    handle(function()
      attempts = attempts + 1
      local made = step("make", function()
        ran = ran + 1
        return { n = ran, text = "ü", list = { 1, 2 }, flag = true }
      end)
      seen[#seen + 1] = ("%d %s %d %s"):format(made.n, made.text, #made.list, tostring(made.flag))
      if attempts < 3 then error("not yet") end
    end)
    expect(ran).to.equal(1)
    expect(attempts).to.equal(3)
    expect(table.concat(seen, ", ")).to.equal("1 ü 2 true, 1 ü 2 true, 1 ü 2 true")
  end)

  it("that raises is not done, and can be tried again at once", function()
    local ran, result = 0, nil
    handle(function()
      local function work()
        ran = ran + 1
        if ran == 1 then error("first") end
        return ran
      end
      local ok = pcall(step, "work", work)
      result = ok or step("work", work)
    end)
    expect(result).to.equal(2)
  end)

  it("commits what the handler has buffered, once", function()
    local attempts = 0
    handle(function()
      attempts = attempts + 1
      kv.incr("before")
      step("a", function() kv.incr("inside") end)
      kv.incr("after")
      if attempts < 3 then error("not yet") end
    end)
    expect(kv.get("before")).to.equal(1)
    expect(kv.get("inside")).to.equal(1)
    expect(kv.get("after")).to.equal(1)
  end)

  it("keeps apart what its child tasks have buffered", function()
    local attempts = 0
    handle(function()
      attempts = attempts + 1
      kv.incr("main")
      task.all {
        function() kv.incr("left") step("left", function() end) end,
        function() kv.incr("right") task.sleep(1) step("right", function() end) end,
      }
      if attempts < 3 then error("not yet") end
    end)
    for _, key in ipairs { "main", "left", "right" } do expect(kv.get(key)).to.equal(1) end
  end)

  it("writes to HubSpot once", function()
    local attempts = 0
    local one = sim.contact { email = "a@example.com" }
    handle(function()
      attempts = attempts + 1
      local firm = step("firm", function() return hubspot.companies.create { name = "d" } end)
      step("note it", function() hubspot.contacts.update(one.id, { jobtitle = firm.id }) end)
      if attempts < 3 then error("not yet") end
    end)
    local n = 0
    for _ in hubspot.companies.list {} do n = n + 1 end
    expect(n).to.equal(1)
  end)

  it("needs a name of its own, and no other step around it", function()
    local twice, nested, child
    handle(function()
      step("a", function() end)
      twice = select(2, pcall(step, "a", function() end)).message
      step("b", function()
        nested = select(2, pcall(step, "c", function() end)).message
        child = select(2, pcall(function() task.all { function() step("d", function() end) end } end)).message
      end)
    end)
    expect(twice:find("this name is used already in this run", 1, true)).to.be_truthy()
    expect(nested:find("a step has no steps inside it", 1, true)).to.be_truthy()
    expect(child:find("a step has no steps inside it", 1, true)).to.be_truthy()
  end)

  it("whose result cannot be stored is done, never repeated, and raises", function()
    for _, result in ipairs { print, ("x"):rep(300 * 1024) } do
      local ran, attempts, kind = 0, 0, nil
      local name = "tried " .. type(result)
      on(name, function()
        attempts = attempts + 1
        local ok, e = pcall(step, "odd", function()
          ran = ran + 1
          return result
        end)
        kind = not ok and e.kind
        if attempts < 3 then error("not yet") end
        error(e, 0)
      end)
      emit(name, {})
      sim.advance("1h")
      expect(ran).to.equal(1)
      expect(attempts).to.equal(3)
      expect(kind).to.equal("unstorable")
    end
  end)

  it("works in timers, and is new at each time", function()
    local ran, runs = 0, 0
    every("10m", function()
      runs = runs + 1
      step("tick", function() ran = ran + 1 end)
    end)
    sim.advance("35m")
    expect(runs).to.equal(3)
    expect(ran).to.equal(3)
  end)

  it("is refused outside of a handler", function()
    local ok, e = pcall(step, "a", function() end)
    expect(ok).to.equal(false)
    expect(tostring(e.message or e):find("only a handler", 1, true)).to.be_truthy()
  end)
end)

-- The first attempt is cut while its write is on the way: HubSpot makes it, and nobody hears the answer.
local function cut(path, fn)
  sim.fail { match = { path = path }, latency_ms = 8000, times = 1 }
  handle(fn, { retries = 5, timeout = "5s" })
end

local function calls_of(method, path)
  local n = 0
  for _, c in ipairs(sim.calls()) do
    if c.method == method and c.path:find(path) then n = n + 1 end
  end
  return n
end

describe("a write in a step that was cut", function()
  it("is looked for when it is a create with a unique property, and found", function()
    local attempts, made = 0, nil
    cut("/contacts", function()
      attempts = attempts + 1
      made = step("make", function() return hubspot.contacts.create({ email = "new@example.com" }).id end)
    end)
    expect(attempts).to.equal(2)
    expect(calls_of("POST", "/contacts$")).to.equal(1)
    expect(made).to.equal(hubspot.contacts.get("new@example.com", {}, { id_property = "email" }).id)
  end)

  it("is made when it was not: the request never arrived", function()
    local attempts, made = 0, nil
    sim.fail { match = { method = "POST", path = "/contacts" }, drop = true, latency_ms = 8000, times = 1 }
    handle(function()
      attempts = attempts + 1
      made = step("make", function() return hubspot.contacts.create({ email = "new@example.com" }).id end)
    end, { retries = 5, timeout = "5s" })
    expect(attempts).to.equal(2)
    expect(made).to.equal(hubspot.contacts.get("new@example.com", {}, { id_property = "email" }).id)
  end)

  it("is left to a person when nothing tells the record", function()
    local attempts, alert = 0, nil
    on("hubloop.alert", function(event) alert = event.payload end)
    cut("/companies", function()
      attempts = attempts + 1
      step("make", function() return hubspot.companies.create { name = "Acme" } end)
    end)
    expect(attempts).to.equal(2)
    expect(calls_of("POST", "/companies$")).to.equal(1)
    expect(sim.events().dead).to.equal(1)
    expect(alert.kind).to.equal("uncertain_step")
    expect(sim.log():find("uncertain: an earlier attempt was ended while it made a companies", 1, true)).to.be_truthy()
  end)

  it("is repeated when a second one changes nothing more", function()
    local attempts = 0
    local one = hubspot.contacts.create { email = "a@example.com" }
    cut("/contacts/" .. one.id, function()
      attempts = attempts + 1
      step("set", function() hubspot.contacts.update(one.id, { jobtitle = "x" }) end)
    end)
    expect(attempts).to.equal(2)
    expect(calls_of("PATCH", "/contacts/")).to.equal(2)
    expect(sim.events().dead).to.equal(0)
  end)

  it("is not made again when its answer had come, and the step failed behind it", function()
    local attempts = 0
    handle(function()
      attempts = attempts + 1
      step("two", function()
        local firm = hubspot.companies.create { name = "Acme " .. attempts }
        if attempts < 3 then error("not yet") end
        return firm.id
      end)
    end)
    expect(attempts).to.equal(3)
    expect(calls_of("POST", "/companies$")).to.equal(1)
  end)

  it("is no longer intended when HubSpot has refused it", function()
    local attempts = 0
    handle(function()
      attempts = attempts + 1
      step("make", function()
        local name = attempts == 1 and { nme = "Acme" } or { name = "Acme" }
        local ok, e = pcall(hubspot.companies.create, name)
        if not ok then error(e.message, 0) end   -- a text: it is tried again
      end)
    end)
    expect(attempts).to.equal(2)
    expect(calls_of("POST", "/companies$")).to.equal(2)
    expect(sim.events().dead).to.equal(0)
  end)
end)
