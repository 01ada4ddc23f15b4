-- The account that lives by itself.
describe("activity", function()
  it("goes on at the rate that was said: leads, answers, forms, deals", function()
    sim.start { contacts = 60, companies = 10, deals = 10, owners = 4 }
    local seen = {}
    for _, type_ in ipairs { "contact.creation", "deal.creation", "contact.propertyChange", "deal.propertyChange" } do
      on(type_, function() seen[type_] = (seen[type_] or 0) + 1 end)
    end
    on("form.submission", function() seen.form = (seen.form or 0) + 1 end)
    sim.control("activity", { per_day = 100 })
    sim.advance("2d")
    local before = sim.control("stats")
    expect(seen["contact.creation"]).to.be_at_least(40)
    expect(seen["contact.creation"]).to.be_at_most(120)
    for _, name in ipairs { "deal.creation", "contact.propertyChange", "deal.propertyChange", "form" } do
      expect(seen[name] or 0).to.be_at_least(5)
    end
    expect(before.deals).to.be_at_least(20)
    sim.control("activity", { per_day = 0 })
    sim.advance("2d")
    expect(sim.control("stats").deals).to.equal(before.deals)
    expect(sim.control("stats").contacts).to.equal(before.contacts)
  end)

  it("needs a rate", function()
    expect(function() sim.control("activity", { per_day = -1 }) end).to.raise("per_day, a number, 0 to end it")
  end)
end)
