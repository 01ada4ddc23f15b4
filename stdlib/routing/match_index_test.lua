-- The index of companies: what is found by domain and by words, also misspelt ones, and what goes when a company goes.
local match_index = require "routing.match_index"

local function company(id, name, fields)
  fields = fields or {}
  fields.id, fields.name = id, name
  return match_index.entry(fields)
end

local function index_of(...)
  local data = match_index.new()
  for i, name in ipairs { ... } do data:put(company(tostring(i), name)) end
  return data
end

local function found(data, name)
  local ids = {}
  for i, entry in ipairs(data:candidates(match_index.firm(name).words)) do ids[i] = entry.id end
  return table.concat(ids, " ")
end

describe("an entry", function()
  it("has the domains that are the company's own", function()
    for domains, fields in pairs {
      ["acme.com;acme.de;old.acme.net"] =
        { domain = "https://www.Acme.com/", hs_additional_domains = "acme.de; www.acme.com;old.acme.net" },
      ["acme.de"] = { domain = "gmail.com", hs_additional_domains = "acme.de" }, ["acme.fr"] = { website = "http://acme.fr/a" },
      [""] = { domain = "facebook.com", website = "https://acme.wordpress.com", hs_additional_domains = "no domain" },
    } do
      expect(company("1", "Acme", fields).domains or "").to.equal(domains)
    end
  end)

  it("has name, place and phone as they are compared", function()
    local one = company("1", "Müller & Söhne GmbH", { country = "Deutschland", city = "80331 München", phone = "+49 (0)89 / 1234567",
      createdate = "2026-01-02T03:04:05Z", hubspot_owner_id = "" })
    expect(one.key).to.equal("muler sons|mueller &soehne")
    expect(one.place).to.equal("DE;munchen;gmbh")
    expect(one.phone).to.equal("891234567")
    expect(one.owner).to.be_nil()
    expect(one.created).to.equal(time.parse "2026-01-02T03:04:05Z")
  end)
end)

describe("slips", function()
  it("are letters wrong, missing, more or swapped, up to a most", function()
    for _, c in ipairs { { "baker", "baker", 0 }, { "baker", "barker", 1 }, { "baker", "bkaer", 1 }, { "baker", "bakers", 1 },
      { "baker", "maker", 1 }, { "logistics", "lojistcs", 2 }, { "ab", "ba", 1 } } do
      expect(match_index.slips(c[1], c[2], 2)).to.equal(c[3])
      expect(match_index.slips(c[2], c[1], 2)).to.equal(c[3])
    end
    expect(match_index.slips("baker", "butcher", 2)).to.be_nil()
    expect(match_index.slips("baker", "bagel", 1)).to.be_nil()
  end)
end)

describe("names", function()
  it("are found by any word of theirs, best first", function()
    local data = index_of("Blue Ocean Logistics", "Blue Sky Foods", "Oceanic Freight", "Nordwind")
    expect(found(data, "Blue Ocean")).to.equal("1 2")
    expect(found(data, "Blueocean Logistics")).to.equal("1")
    expect(found(index_of("Nordwind Foods"), "Nord Wind Foods")).to.equal("1")
    expect(found(data, "Something else")).to.equal("")
  end)

  it("are found with slips: one from four letters on, two from eight", function()
    local data = index_of("Kestrelmann", "Bakr", "Acme")
    for _, c in ipairs { { "Kestrelman", "1" }, { "Kestrlmnn", "1" }, { "Kestlremann", "1" }, { "Kstrlmnn", "" }, { "Baker", "2" },
      { "Akme", "3" }, { "Amce", "3" }, { "Akm", "" }, { "Acem", "3" } } do
      expect(found(data, c[1])).to.equal(c[2])
    end
  end)

  it("near any word are all found, as a comparison with every word tells", function()
    math.randomseed(7)
    local words, data = {}, match_index.new()
    for i = 1, 250 do
      local letters = {}
      for j = 1, math.random(4, 9) do letters[j] = string.char(math.random(97, 100)) end
      words[i] = table.concat(letters)
      data:put({ id = tostring(i), key = words[i], created = 0, place = ";;" })
    end
    local n = 0
    for _, word in ipairs(words) do
      local near = data:near(word)
      for _, other in ipairs(words) do
        local slips = word ~= other and match_index.slips(word, other, 1) or nil
        if slips then n = n + 1 end
        expect(near[other]).to.equal(slips)
      end
    end
    expect(n).to.be_at_least(20)
  end)
end)

describe("a company", function()
  local function size(map)
    local n = 0
    for _ in pairs(map) do n = n + 1 end
    return n
  end

  it("that goes leaves nothing behind", function()
    local data = index_of("Blue Ocean", "Blue Ocean", "Ocean Freight", "Blau")
    for i = 1, 4 do
      data:put(company(tostring(i), "Blue Sea " .. i, { city = "Bath", domain = "sea.example", hs_additional_domains = i .. ".example" }))
    end
    expect(data.size).to.equal(4)
    expect(found(data, "Ocean")).to.equal("")
    data:remove("2")
    data:remove("2")
    expect(found(data, "Sea")).to.equal("1 3 4")
    for i = 1, 4 do data:remove(tostring(i)) end
    expect(data.size).to.equal(0)
    for _, map in ipairs { data.by_id, data.by_domain, data.by_name, data.by_word, data.by_gram,
      data.cities } do expect(size(map)).to.equal(0) end
  end)
end)

describe("domains", function()
  it("have parents, as far as firms have names there", function()
    for domain, parent in pairs { ["mail.acme.com"] = "acme.com", ["a.acme.co.uk"] = "acme.co.uk", ["acme.co.uk"] = "",
      ["acme.com"] = "" } do
      expect(match_index.parent(domain) or "").to.equal(parent)
    end
  end)
end)
