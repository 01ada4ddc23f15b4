-- company_enrichment.lua against the simulator and its provider's stand-in, in virtual time.
local provider = require "lib.company_enrichment_api"
local asked, answer

before_each(function()
  asked, answer = 0, provider
  sim.http("api.enrich.example", function(request)
    asked = asked + 1
    return answer(request)
  end)
  sim.load("company_enrichment.lua", { hosts = { "api.enrich.example" } })
end)

local function company(fields)
  local id = sim.create("companies", fields)
  sim.settle()
  return id
end

describe("company enrichment", function()
  it("fills what is empty, and leaves alone what people wrote", function()
    local id = company { domain = "acme.example", city = "Bonn" }
    local now = sim.company(id)
    expect(now.city).to.equal("Bonn")
    expect(now.name).to.equal("acme")
    expect(now.country).to.equal("Germany")
    expect(now.numberofemployees).to.equal("120")
    expect(now.industry).to.equal("COMPUTER_SOFTWARE")
  end)

  it("asks once for a domain, also for one that nobody knows, until the answer is old", function()
    company { domain = "acme.example" }
    expect(sim.company(company { domain = "https://www.acme.example/about" }).city).to.equal("Berlin")
    expect(asked).to.equal(1)
    company { domain = "unknown.example" }
    company { domain = "unknown.example" }
    expect(asked).to.equal(2)
    sim.advance("8d")
    company { domain = "unknown.example" }
    company { domain = "acme.example" }
    expect(asked).to.equal(3)
    company { name = "no domain" }
    company { domain = "gmail.com" }
    expect(asked).to.equal(3)
  end)

  it("waits as long as the provider asks for, an hour at most, and then fills", function()
    local began, last = time.now(), nil
    local pauses = { "600", "0", "86400" }
    answer = function(request)
      if pauses[asked] then return { status = 429, headers = { ["Retry-After"] = pauses[asked] } } end
      last = last or time.now()
      return provider(request)
    end
    local id = company { domain = "acme.example" }
    sim.advance("2h")
    expect(sim.company(id).city).to.equal("Berlin")
    expect(asked).to.equal(4)
    expect(last - began).to.be_at_least(4201000)
    expect(last - began).to.be_at_most(4210000)
    expect(sim.events().dead).to.equal(0)
  end)

  it("fills two companies of one domain that wait at the same time", function()
    answer = function(request) return asked <= 2 and 503 or provider(request) end
    local ids = {}
    for i = 1, 2 do
      ids[i] = sim.create("companies", { domain = "acme.example" })
      sim.advance("30s")
    end
    sim.advance("10m")
    for _, id in ipairs(ids) do expect(sim.company(id).city).to.equal("Berlin") end
    expect(sim.events().dead).to.equal(0)
  end)

  it("takes nothing that makes no sense, and nothing for a company that is gone", function()
    answer = function() return { json = { name = { 1 }, city = 5, employees = "many", industry = "<x>", country = "Atlantis" } } end
    local odd = company { domain = "odd.example" }
    expect(sim.company(odd).city).to.be_nil()
    answer = function() return { json = { employees = -5 } } end
    expect(sim.company(company { domain = "minus.example" }).numberofemployees).to.be_nil()
    expect(sim.writes()).to.equal(0)
    answer = function(request) return asked == 3 and "<html>" or provider(request) end
    local id = company { domain = "html.example" }
    sim.advance("1h")
    expect(sim.company(id).city).to.equal("Berlin")
    answer = function() return { status = 503, headers = { ["Retry-After"] = "60" } } end
    local gone = company { domain = "gone.example" }
    sim.control("delete", { type = "companies", id = gone })
    answer = provider
    sim.advance("1h")
    expect(sim.events().dead).to.equal(0)
    expect(sim.events().waiting).to.equal(0)
  end)

  it("gives a company that has got another domain meanwhile what is known of that one", function()
    answer = function(request)
      if request.url:find "slow" then return { status = 429, headers = { ["Retry-After"] = "600" } } end
      return provider(request)
    end
    local id = company { domain = "slow.example" }
    sim.advance("1m")
    sim.update("companies", id, { domain = "quick.example" })
    sim.advance("1m")
    answer = provider
    sim.update("companies", id, { city = "" })
    sim.advance("1h")
    expect({ sim.company(id).name, sim.company(id).city }).to.equal { "quick" }      -- a person has emptied it
    expect(sim.writes()).to.equal(1)
  end)

  it("gets through a storm of 429s of HubSpot's, with one answer of the provider's", function()
    sim.fail { status = 429, times = 30 }
    sim.fail { status = 429, method = "PATCH", times = 10 }
    local id = company { domain = "acme.example" }
    sim.advance("1h")
    expect(sim.control("stats").limited).to.equal(40)
    expect(sim.company(id).city).to.equal("Berlin")
    expect(asked).to.equal(1)
    expect(sim.events().dead).to.equal(0)
  end)

  it("goes on behind the provider's answer after a crash, and a second event changes nothing", function()
    sim.crash { method = "PATCH", path = "/companies" }
    local id = sim.create("companies", { domain = "acme.example" })
    sim.advance("1m")
    sim.restart()
    sim.advance("10m")
    expect(sim.company(id).city).to.equal("Berlin")
    expect(asked).to.equal(1)
    local before = sim.writes()
    sim.update("companies", id, { city = "Bonn" })
    sim.trigger("company.creation", { objectId = id, eventId = 99, occurredAt = time.now() })
    sim.advance("10m")
    expect(sim.company(id).city).to.equal("Bonn")
    expect(asked).to.equal(1)
    expect(sim.writes()).to.equal(before)
    expect(sim.events().dead).to.equal(0)
  end)
end)
