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
