local text = require "text"
local countries = require "text.countries"

-- Each case: what people type, and what it means (nil: nothing).
local function cases(fn, list)
  for _, case in ipairs(list) do
    local input, wanted = case[1], case[2]
    local got = fn(input)
    if got ~= wanted then
      error(('"%s" gave %s, wanted %s'):format(input, tostring(got), tostring(wanted)), 2)
    end
  end
  expect(#list).to.be_at_least(1)
end

describe("text.email", function()
  it("trims, lowers and unwraps addresses", function()
    cases(text.email, {
      { " Ana.Silva@ACME.com ", "ana.silva@acme.com" }, { "Ana Silva <ana@acme.com>", "ana@acme.com" },
      { "mailto:bo@b.de", "bo@b.de" }, { "bo@b.de.", "bo@b.de" }, { "bo+tag@b.co.uk", "bo+tag@b.co.uk" },
      { "bo@www.b.de", "bo@www.b.de" },
    })
  end)
  it("gives the domain as second result", function()
    local _, domain = text.email("Bo@Mail.Acme.COM")
    expect(domain).to.equal("mail.acme.com")
  end)
  it("is nil for what is no address", function()
    cases(text.email, {
      { "bo" }, { "bo@" }, { "@b.de" }, { "bo@b" }, { "a@b@c.de" }, { "b o@c.de" }, { "" }, { "bo@b..de" }, { "n/a" },
      { ("x"):rep(65) .. "@b.de" },
    })
    expect(text.email(nil)).to.be_nil()
    expect(text.email(12)).to.be_nil()
  end)
end)

describe("text.domain", function()
  it("takes URLs, www forms and addresses apart", function()
    cases(text.domain, {
      { "https://www.Acme.com/about?x=1#y", "acme.com" }, { "ACME.CO.UK.", "acme.co.uk" }, { "bo@acme.com", "acme.com" },
      { "//acme.com", "acme.com" }, { "http://acme.com:8080", "acme.com" }, { "münchen.de", "münchen.de" },
      { "www.de", nil }, { " acme.io ", "acme.io" },
    })
  end)
  it("is nil for what is no host", function()
    cases(text.domain, { { "acme" }, { "" }, { "a b.com" }, { "10.0.0.1" }, { ".com" }, { "a..b" }, { "n/a" }, { "-" } })
  end)
end)

describe("text.is_free_mail", function()
  it("knows the large providers, in any spelling", function()
    expect(text.is_free_mail("gmail.com")).to.be_true()
    expect(text.is_free_mail("GMX.de")).to.be_true()
    expect(text.is_free_mail("someone@outlook.com")).to.be_true()
    expect(text.is_free_mail("acme.com")).to.be_false()
    expect(text.is_free_mail(nil)).to.be_false()
  end)
end)

describe("text.states", function()
  it("gives the codes that a state may mean", function()
    expect(text.states("N.Y.")).to.equal { "US-NY" }
    expect(text.states("new york", "US")).to.equal { "US-NY" }
    expect(text.states("WA")).to.equal { "US-WA", "AU-WA" }
    expect(text.states("wa", "AU")).to.equal { "AU-WA" }
    expect(text.states("Québec")).to.equal { "CA-QC" }
    expect(text.states("Texas", "CA")).to.equal {}
    expect(text.states("Atlantis")).to.equal {}
    expect(text.states(nil)).to.equal {}
  end)

  it("has each code and name of a country once", function()
    local seen = {}
    for _, entry in ipairs(require "text.states") do
      for _, name in ipairs { entry.code, table.unpack(entry.names) } do
        expect(text.states(name, entry.country)).to.equal { entry.country .. "-" .. entry.code }
      end
      expect(seen[entry.country .. entry.code]).to.equal(nil)
      seen[entry.country .. entry.code] = true
    end
  end)
end)

describe("text.country", function()
  it("knows every code and name of its table, and no name means two countries", function()
    local seen, n = {}, 0
    for code, entry in pairs(countries) do
      n = n + 1
      expect(text.country(code)).to.equal(code)
      expect(text.country(entry.alpha3)).to.equal(code)
      for _, name in ipairs(entry.names) do
        expect(text.country(name)).to.equal(code)
        local key = text.fold(name)
        expect(seen[key] == nil or seen[key] == code).to.be_true()
        seen[key] = code
      end
    end
    expect(n).to.equal(250)
  end)
  it("understands dirty forms", function()
    cases(text.country, {
      { "deutschland", "DE" }, { " U. S. A. ", "US" }, { "u.k.", "GB" }, { "the Netherlands", "NL" }, { "Holland", "NL" },
      { "Germany (DE)", "DE" }, { "DE - Germany", "DE" }, { "Munich, Germany", "DE" }, { "ÖSTERREICH", "AT" },
      { "osterreich", "AT" }, { "Republic of Austria", "AT" }, { "usa", "US" }, { "GBR", "GB" }, { "Türkiye", "TR" },
      { "Czech Republic", "CZ" }, { "South Korea", "KR" }, { "Côte d’Ivoire", "CI" }, { "Schweiz", "CH" },
    })
  end)
  it("is nil for what is no country", function()
    cases(text.country, { { "" }, { "-" }, { "Mars" }, { "Europe" }, { "n/a" }, { "XX" }, { "12" }, { "," } })
    expect(text.country(nil)).to.be_nil()
  end)
  it("names them", function()
    expect(text.country_name("de")).to.equal("Germany")
    expect(text.country_name("xx")).to.be_nil()
  end)
end)

describe("text.phone", function()
  it("makes E.164 of national and international forms", function()
    expect(text.phone("+49 (0)170 123-4567")).to.equal("+491701234567")
    expect(text.phone("0170 1234567", "Germany")).to.equal("+491701234567")
    expect(text.phone("(415) 555-2671 ext 5", "US")).to.equal("+14155552671")
    expect(text.phone("1-415-555-2671", "US")).to.equal("+14155552671")
    expect(text.phone("0044 20 7946 0958")).to.equal("+442079460958")
    expect(text.phone("06 1234 5678", "IT")).to.equal("+390612345678")
  end)
  it("is nil when the number says too little", function()
    expect(text.phone("0170 1234567")).to.be_nil()
    expect(text.phone("12", "DE")).to.be_nil()
    expect(text.phone("call me", "DE")).to.be_nil()
    expect(text.phone("555-2671", "US")).to.be_nil()
    expect(text.phone(nil)).to.be_nil()
  end)
end)

describe("text.company_name", function()
  it("leaves out legal forms, accents and punctuation", function()
    cases(text.company_name, {
      { "ACME Trading GmbH & Co. KG", "acme trading" }, { "Acme, Inc.", "acme" }, { "The Foo S.p.A.", "foo" },
      { "Müller & Söhne AG", "mueller and soehne" }, { "  Bolt   Ltd ", "bolt" }, { "Group", "group" },
      { "Ikea B.V.", "ikea" }, { "", nil }, { "---", nil },
    })
  end)
end)
