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

  it("waits as long as the provider asks for, and then fills", function()
    local began, last = time.now(), nil
    answer = function(request)
      if asked <= 3 then return { status = 429, headers = { ["Retry-After"] = "600" } } end
      last = last or time.now()
      return provider(request)
    end
    local id = company { domain = "acme.example" }
    sim.advance("1h")
    expect(sim.company(id).city).to.equal("Berlin")
    expect(asked).to.equal(4)
    expect(last - began).to.be_at_least(1800000)
    expect(sim.events().dead).to.equal(0)
  end)

  it("takes nothing that makes no sense, and nothing for a company that is gone", function()
    answer = function() return { json = { name = { 1 }, city = 5, employees = "many", industry = "<x>", country = "Atlantis" } } end
    expect(sim.company(company { domain = "odd.example" }).city).to.be_nil()
    answer = function(request) return asked == 2 and "<html>" or provider(request) end
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

  it("gets through a storm of 429s of HubSpot's, with one answer of the provider's", function()
    sim.fail { status = 429, times = 30 }
    local id = company { domain = "acme.example" }
    sim.advance("1h")
    expect(sim.company(id).city).to.equal("Berlin")
    expect(asked).to.equal(1)
  end)

  it("goes on behind the provider's answer after a crash, and a second event changes nothing", function()
    sim.crash { method = "PATCH", path = "/companies" }
    local id = sim.create("companies", { domain = "acme.example" })
    sim.advance("1m")
    sim.restart()
    sim.advance("10m")
    expect(sim.company(id).city).to.equal("Berlin")
    expect(asked).to.equal(1)
    sim.update("companies", id, { city = "Bonn" })
    sim.trigger("company.creation", { objectId = id, eventId = 99, occurredAt = time.now() })
    sim.advance("10m")
    expect(sim.company(id).city).to.equal("Bonn")
    expect(asked).to.equal(1)
    expect(sim.events().dead).to.equal(0)
  end)
end)
