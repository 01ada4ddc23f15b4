-- Which company a lead belongs to, case by case. How often it is right is measured in match_measure_test.lua.
local match = require "routing.match"
local match_index = require "routing.match_index"

local function index_of(list)
  local data = match_index.new()
  for i, fields in ipairs(list) do
    fields.id = fields.id or tostring(i)
    data:put(match_index.entry(fields))
  end
  return data
end

-- "id how", and what was said.
local function find(data, lead, threshold)
  local found, out = match.find(data, match.facts(lead), threshold or match.THRESHOLD)
  return found and found.id .. " " .. found.how or "", out
end

describe("by domain", function()
  local data = index_of {
    { name = "Acme Inc", domain = "acme.com", hs_additional_domains = "acme-shop.com;acme.de", country = "US" },
    { name = "Acme Deutschland GmbH", domain = "acme.de", country = "DE" },
    { name = "Twin One", domain = "twin.com", createdate = "2020-01-01T00:00:00Z" },
    { name = "Twin Two", domain = "twin.com", createdate = "2021-01-01T00:00:00Z", hubspot_owner_id = "7" },
    { name = "Twin Three", domain = "twin.com", createdate = "2019-01-01T00:00:00Z" },
    { name = "Blog", domain = "wordpress.com" }, { name = "Mail", domain = "gmail.com" },
  }

  it("an own, an additional one, a subdomain, and that of the website", function()
    for _, c in ipairs {
      { { email = "bo@acme.com" }, "1 domain" }, { { email = "bo@ACME-Shop.com" }, "1 additional domain" },
      { { email = "bo@mail.eu.acme.com" }, "1 domain" }, { { email = "bo@gmail.com", website = "https://www.acme.com/x" }, "1 domain" },
      { { email = "bo@gmail.com" }, "" }, { { email = "bo@some.wordpress.com" }, "" }, { { email = "bo@notacme.com" }, "" },
      { { website = "acme.com" }, "1 domain" }, { {}, "" }, { { email = "nonsense" }, "" },
    } do
      expect((find(data, c[1]))).to.equal(c[2])
    end
  end)

  it("of several that have it, the one with better evidence, and the reason is told", function()
    for _, c in ipairs {
      { { email = "a@acme.de" }, "2 domain", "same country, the more exact domain" },
      { { email = "a@acme.de", country = "US", company = "Acme, Inc." }, "1 additional domain", "its name fits, same country" },
      { { email = "a@twin.com" }, "4 domain", "it has an owner" },
      { { email = "a@twin.com", company = "Twin Three" }, "5 domain", "its name fits" },
    } do
      local got, out = find(data, c[1])
      expect(got).to.equal(c[2])
      expect(out.explanation).to.contain("with that domain: ")
      expect(out.explanation).to.contain(c[3])
      expect(out.candidates[1].id).to.equal(out.id)
      expect(#out.candidates).to.be_at_least(2)
      expect(out.score).to.be_at_least(0.95)
    end
    data:remove("4")
    local got, out = find(data, { email = "a@twin.com" })
    expect(got).to.equal("5 domain")
    expect(out.explanation).to.equal("company 5 (Twin Three) by domain twin.com, chosen of 2 with that domain: it is older")
  end)
end)

describe("by name", function()
  local data = index_of {
    { name = "Müller Maschinenbau GmbH", domain = "mueller-mb.de", country = "Germany", city = "Köln" },
    { name = "Kestrel Analytics Ltd", country = "United Kingdom", city = "Leeds", phone = "+44 113 496 0000" },
    { name = "Bluewater Foods", domain = "bluewater.com", country = "US", city = "Boston" },
    { name = "Bluewater Foods", domain = "bluewaterfoods.com", country = "US", city = "Denver" },
    { name = "Osprey Freight", domain = "osprey.com", country = "US", createdate = "2021-01-01T00:00:00Z" },
    { name = "Osprey Freight", domain = "osprey.com", country = "US", createdate = "2020-01-01T00:00:00Z" },
    { name = "Global Services" },
  }

  it("also misspelt, with what place, phone and domain say", function()
    for _, c in ipairs {
      { { company = "MUELLER MASCHINENBAU", country = "DE" }, "1 name" },
      { { company = "Mulelr Maschinenbau Gmbh", country = "DE", city = "Koeln" }, "1 similar name" },
      { { company = "Müller Maschinenbau SARL", country = "France" }, "" },
      { { company = "Müller Maschinenbau GmbH", country = "DE", city = "Hamburg", email = "a@mueller-hamburg.de" }, "" },
      { { company = "Kestral Analytics", country = "UK", phone = "0113 4960000" }, "2 similar name" },
      { { company = "Kestral Analytics", country = "UK", city = "York", email = "a@kestral.co.uk" }, "" },
      { { company = "Kestrel Robotics", country = "UK" }, "" }, { { company = "Global Services" }, "" },
      { { company = "Nobody", country = "US" }, "" },
    } do
      expect((find(data, c[1]))).to.equal(c[2])
    end
  end)

  it("of several firms none, unless something tells", function()
    local got, out = find(data, { company = "Bluewater Foods" })
    expect(got).to.equal("")
    expect(out.explanation).to.match("ambiguous between company 3 .* and company 4 ")
    expect(#out.candidates).to.be_at_least(2)
    expect(out.id).to.be_nil()
    expect((find(data, { company = "Bluewater Foods", city = "Denver" }))).to.equal("4 name")
  end)

  it("of several records of one firm, one", function()
    local got, out = find(data, { company = "Osprey Freight" })
    expect(got).to.equal("6 name")
    expect(out.explanation).to.match("chosen of 2 records of that firm: it is older$")
  end)

  it("needs the threshold", function()
    local lead = { company = "Kestral Analytics", country = "UK" }
    local got, out = find(data, lead)
    local score = out.score or out.candidates[1].score
    expect((find(data, lead, score - 0.01))).to.equal("2 similar name")
    expect((find(data, lead, score + 0.01))).to.equal("")
    expect(got ~= "").to.equal(score >= match.THRESHOLD)
    local _, below = find(data, lead, score + 0.01)
    expect(below.explanation).to.match("^no match: company 2 .Kestrel Analytics Ltd. by similar name: name alike 0%.%d+, .*is below")
  end)
end)
