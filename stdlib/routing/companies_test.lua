-- routing.match_account against a simulated account: the list, what keeps it current, and the record of a decision.
local companies = require "routing.companies"
local routing = require "routing"

before_each(function() sim.start { owners = 2 } end)

local function create(fields) return sim.create("companies", fields) end
local function match(lead) return (routing.match_account(lead)) end

describe("match_account", function()
  it("finds by domains and by name, without a search a lead", function()
    local acme = create { name = "Acme Freight Ltd", domain = "acme.example", hs_additional_domains = "acme-old.example", country = "GB" }
    expect(match({ email = "bo@acme.example" }).how).to.equal("domain")
    expect(match({ email = "bo@acme-old.example" }).how).to.equal("additional domain")
    local found = match { email = "bo@gmail.com", company = "Acmex Freight", country = "UK" }
    expect({ found.id, found.how, found.name }).to.equal { acme, "similar name", "Acme Freight Ltd" }
    local calls = #sim.calls()
    for i = 1, 50 do match { email = "bo@gmail.com", company = "Acme Freight" .. i } end
    expect(#sim.calls()).to.equal(calls)
  end)

  it("says why nothing was found, and what was looked at", function()
    create { name = "Acme Freight", country = "GB" }
    local none, why = routing.match_account { email = "bo@gmail.com", company = "Acme Freight", country = "FR" }
    expect(none).to.be_nil()
    expect(why.explanation).to.contain("country FR, not GB")
    expect(why.candidates[1].name).to.equal("Acme Freight")
  end)

  it("refuses options that it does not have", function()
    for _, c in ipairs { { { treshold = 1 }, "no option treshold" }, { { threshold = 2 }, "from 0 to 1, not 2" } } do
      local ok, said = pcall(function() routing.match_account({}, c[1]) end)
      expect(ok).to.be_false()
      expect(said).to.match("^companies_test.lua:%d+: match_account")
      expect(said).to.contain(c[2])
    end
  end)

  it("is in the record of the decision, also when none was found", function()
    local owners = sim.control("owners").results
    local pool = routing.pool("matched", { members = { { owner = owners[1].email }, { owner = owners[2].email } } })
    local id = create { name = "Acme Freight", domain = "acme.example", hubspot_owner_id = owners[2].id }
    on("lead", function(event)
      local lead = { id = event.payload.id, email = event.payload.email, company = "Nobody" }
      local found = routing.match_account(lead)
      pool:assign(lead, { prefer = found and found.owner })
    end)
    emit("lead", { id = "1", email = "a@acme.example" })
    emit("lead", { id = "2", email = "a@gmail.com" })
    sim.settle()
    local records = {}
    for _, r in ipairs(sim.audit("routing")) do records[r.key] = r.record end
    local one, two = records["contact 1"], records["contact 2"]
    expect(one.pick).to.equal(owners[2].id)
    expect(one.match.id).to.equal(id)
    expect(one.match.how).to.equal("domain")
    expect(one.match.candidates[1].score).to.be_at_least(0.9)
    expect(two.match.id).to.be_nil()
    expect(two.match.explanation).to.contain('no company has a name like "Nobody"')
    expect(companies.outcome({})).to.be_nil()
  end)

  it("reads only what has changed, by a cursor, and everything once a day", function()
    local old = create { name = "Acme Freight", domain = "acme.example" }
    for i = 1, 120 do create { name = "Firm " .. i, domain = "firm" .. i .. ".example" } end
    expect(match({ email = "bo@acme.example" }).id).to.equal(old)
    sim.advance("2h")
    sim.update("companies", old, { domain = "moved.example", hs_additional_domains = "acme.example" })
    local gone = match({ email = "bo@firm7.example" }).id
    local new = create { name = "Later", domain = "later.example" }
    sim.control("delete", { type = "companies", id = gone })
    sim.advance("2h")
    local calls = #sim.calls()
    expect(match({ email = "bo@later.example" }).id).to.equal(new)
    expect(match({ email = "bo@moved.example" }).how).to.equal("domain")
    expect(match({ email = "bo@acme.example" }).how).to.equal("additional domain")
    expect(#sim.calls() - calls).to.equal(1)                    -- one search for all of them
    expect(match({ email = "bo@firm7.example" }).id).to.equal(gone)
    sim.advance("25h")
    expect(match { email = "bo@firm7.example" }).to.be_nil()
    expect(match({ email = "bo@firm8.example" }).how).to.equal("domain")
  end)
end)
