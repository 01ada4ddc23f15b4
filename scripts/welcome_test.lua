-- welcome.lua against the simulator: an empty account, in virtual time.

before_each(function() sim.load("welcome.lua") end)

describe("welcome", function()
  it("greets a new contact by name", function()
    sim.create("contacts", { firstname = "Ana", email = "ana@example.com" })
    sim.settle()
    expect(sim.log()).to.contain("welcome, Ana")
  end)

  it("greets one without a name by e-mail", function()
    sim.create("contacts", { email = "bo@example.com" })
    sim.settle()
    expect(sim.log()).to.contain("welcome, bo@example.com")
  end)

  it("greets each once, also when HubSpot is down for a moment and sends events twice", function()
    sim.fail { status = 503, times = 2 }
    local id = sim.create("contacts", { firstname = "Ana", email = "ana@example.com" })
    sim.trigger("contact.creation", { objectId = id })
    sim.settle()
    expect(sim.kv("welcome.lua").get("welcomed")).to.equal(sim.events().ran)
  end)

  it("greets everybody of a week, with bad hours in it", function()
    for hour = 1, 7 * 24 do
      if hour % 20 == 0 then sim.fail { status = 500, times = 5 } end
      sim.create("contacts", { email = ("c%d@example.com"):format(hour) })
      sim.advance("1h")
    end
    expect(sim.kv("welcome.lua").get("welcomed")).to.equal(7 * 24)
    expect(sim.events().dead).to.equal(0)
  end)

  it("counts each once, also who was cut off by a crash", function()
    sim.crash { path = "/contacts" }
    sim.create("contacts", { firstname = "Ana" })
    sim.advance("1m")
    sim.create("contacts", { firstname = "Bo" })
    sim.advance("1m")
    sim.restart()
    sim.advance("2h")
    expect(sim.log()).to.contain("welcome, Bo")
    expect(sim.kv("welcome.lua").get("welcomed")).to.equal(2)
  end)
end)
