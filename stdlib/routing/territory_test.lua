local routing = require "routing"

local function pools(...)
  local list = {}
  for i, name in ipairs { ... } do list[i] = routing.pool(name, { members = { { owner = "a@b.de" } } }) end
  return table.unpack(list)
end

-- A record that was asked for all that is in it, and nothing else.
local function record(fields)
  return setmetatable(fields, { __index = function(_, key)
    if key == "country" or key == "state" or key == "zip" or key == "industry" or key == "numemployees" then return nil end
    error(("property %s was not asked for"):format(key), 2)
  end })
end

local function where(areas, fields)
  local pool, because = areas:pool(record(fields))
  return pool.name .. " | " .. because
end

describe("territories", function()
  it("go by state, postcode, any property, and the rule with the most conditions", function()
    local south, north, big, banks, de, rest = pools("south", "north", "big", "banks", "de", "rest")
    local areas = routing.territory {
      { countries = { "DE" }, pool = de },
      { countries = { "Germany" }, postcodes = { "80000..89999", "9" }, pool = south, name = "the south" },
      { countries = { "DE" }, states = { "Hamburg", "Schleswig-Holstein" }, pool = north },
      { where = { numemployees = { "250..", "1001-5000" } }, pool = big },
      { where = { industry = { "BANKING", "Insurance" }, numemployees = "..49" }, pool = banks },
      default = rest,
    }
    for _, c in ipairs {
      { { country = "Deutschland", zip = "80331" },
        "south | territory \"the south\": country DE, postcode 80331 (of 2 that fit the one with the most conditions)" },
      { { country = "DE", zip = "D-90402" }, "de | territory 1: country DE" },
      { { country = "DE", zip = "90402 " },
        "south | territory \"the south\": country DE, postcode 90402 (of 2 that fit the one with the most conditions)" },
      { { country = "DE", zip = "8" }, "de | territory 1: country DE" },
      { { country = "AT", zip = "80331" }, "rest | no territory: country AT, postcode 80331, no state, no numemployees, no industry" },
      { { country = "DE", state = "schleswig holstein" },
        "north | territory 3: country DE, state schleswig holstein (of 2 that fit the one with the most conditions)" },
      { { numemployees = "300" }, "big | territory 4: numemployees 300" },
      { { numemployees = 250 }, "big | territory 4: numemployees 250" },
      { { numemployees = "1001-5000" }, "big | territory 4: numemployees 1001-5000" },
      { { numemployees = "5-25", industry = "retail;insurance" },
        "banks | territory 5: industry retail;insurance, numemployees 5-25" },
      { { numemployees = "50", industry = "BANKING" },
        "rest | no territory: no country, no postcode, no state, numemployees 50, industry BANKING" },
      { { country = "DE", numemployees = 5000 }, "de | territory 1: country DE (territory 4 as well, but it comes first)" },
      { { country = "Atlantis" }, 'rest | no territory: country "Atlantis" is not known, no postcode, no state, no numemployees, '
        .. "no industry" },
    } do
      expect(where(areas, c[1])).to.equal(c[2])
    end
  end)

  it("know states by name and abbreviation, and by their country", function()
    local west, perth, bavaria, canton, rest = pools("west", "perth", "bavaria", "canton", "elsewhere")
    local areas = routing.territory {
      { states = { "California", "OR" }, pool = west },
      { countries = { "US" }, states = { "WA" }, pool = west },
      { countries = { "AU" }, states = { "WA" }, pool = perth },
      { states = { "Bayern" }, pool = bavaria },
      { states = { "Zürich" }, pool = canton },
      default = rest,
    }
    for _, c in ipairs {
      { "west", { state = "CA" } }, { "west", { state = "Calif." } }, { "west", { state = " california " } },
      { "west", { state = "US-CA" } }, { "west", { state = "oregon" } },
      { "west", { country = "USA", state = "CA" } }, { "elsewhere", { country = "IT", state = "CA" } },
      { "west", { country = "United States", state = "wa" } }, { "perth", { country = "Australia", state = "WA" } },
      { "west", { country = "US", state = "Washington" } }, { "elsewhere", { state = "WA" } },
      { "bavaria", { country = "Germany", state = "BY" } }, { "bavaria", { state = "Bavaria" } },
      { "canton", { state = "ZÜRICH" } }, { "elsewhere", { state = "Kalifornien" } },
    } do
      expect(areas:pool(record(c[2])).name).to.equal(c[1])
    end
    expect(function()
      routing.territory { { states = { "CA" }, pool = west }, { states = { "California" }, pool = rest }, default = rest }
    end).to.raise("territory 2: state US%-CA is already in territory 1")
  end)

  it("leave their choice in the record", function()
    sim.start { owners = 1 }
    local owner = sim.control("owners").results[1].email
    local pool = routing.pool("recorded", { members = { { owner = owner } } })
    local areas = routing.territory { { countries = { "DE" }, pool = pool, name = "home" }, { where = { industry = "x" }, pool = pool },
      default = pool }
    on("lead", {}, function(event)
      areas:assign({ id = event.payload.id, country = "DE", industry = event.payload.industry }, { because = "asked" })
    end)
    emit("lead", { id = "1", industry = "x" })
    sim.settle()
    local found = sim.audit("routing")[1].record
    expect(found.territory.chosen).to.equal('territory "home"')
    expect(found.territory.fit).to.equal { 'territory "home"', "territory 2" }
    expect(found.territory.rule).to.match("^territory@%x+$")
    expect(found.reason).to.match('^asked; territory "home": country DE %(territory 2 as well, but it comes first%); turn of ')
  end)

  it("are refused with one line when they overlap or cannot be meant", function()
    local pool = pools("refused")
    for _, c in ipairs {
      { { { countries = { "DE" }, pool = pool }, { countries = { "AT", "Germany" }, pool = pool } },
        "territory 2: country DE is already in territory 1" },
      { { { countries = { "DE", "AT" }, postcodes = "80..81", pool = pool, name = "n" },
          { postcodes = { "80331" }, countries = { "DE" }, pool = pool } },
        'territory 2: country DE, postcode 80331 is already in territory "n"' },
      { { { where = { size = "1..49" }, pool = pool }, { where = { size = "49..100" }, pool = pool } },
        "territory 2: size 49..100 is already in territory 1" },
      { { { where = { size = "50" }, pool = pool }, { where = { size = "49.." }, pool = pool } },
        "territory 2: size 50 is already in territory 1" },
      { { { states = { "Bayern", "BAYERN " }, pool = pool }, { states = "bayern", pool = pool } },
        "territory 2: state DE-BY is already in territory 1" },
      { { { postcodes = "1..20", pool = pool } },
        'territory 1: "1..20" is no range of postcodes: "80000..89999", of equal length, or "80" for all that begin so' },
      { { { where = { size = "9..1" }, pool = pool } }, 'territory 1: "9..1" is no range: "50..249", "250.." or "..49"' },
      { { { where = { size = {} }, pool = pool } }, "territory 1: size lists nothing" },
      { { { countries = { "DE" }, where = { country = "AT" }, pool = pool } }, "territory 1: two conditions on country" },
      { { { pool = pool } }, 'territory 1 needs countries, states, postcodes or where, like { countries = { "DE", "AT" }, pool = … }' },
      { { { countries = { "DE" } } }, "territory 1 has no pool" },
      { { { cuontries = { "DE" }, pool = pool } },
        "territory 1: there is no field cuontries (there are: countries, name, pool, postcodes, states, where)" },
    } do
      c[1].default = pool
      local ok, err = pcall(function() routing.territory(c[1]) end)
      expect(ok).to.be_false()
      expect(err).to.match("^territory_test.lua:%d+: ")
      expect((err:gsub("^%S+ ", ""))).to.equal(c[2])
    end
    -- Not the same properties, or nothing in common: no overlap.
    routing.territory {
      { countries = { "DE" }, pool = pool }, { countries = { "DE" }, postcodes = { "8" }, pool = pool },
      { countries = { "DE" }, postcodes = { "79", "90000..99999" }, pool = pool }, { where = { size = "1..49" }, pool = pool },
      { where = { size = "50.." }, pool = pool }, { where = { industry = "x" }, pool = pool }, default = pool,
    }
  end)

  it("say which property must be read", function()
    local pool = pools("asked")
    local areas = routing.territory { { where = { colour = "red" }, pool = pool }, default = pool }
    expect(function() areas:pool(record {}) end).to.raise("property colour was not asked for")
  end)
end)
