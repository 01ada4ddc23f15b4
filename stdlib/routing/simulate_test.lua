-- The same pools decide the same again; other pools, made-up leads, and what is taken over from a record.
local routing = require "routing"
local simulate = require "routing.simulate"

local DAY <const> = 24 * 3600 * 1000
local names, first

before_each(function()
  sim.start { owners = 5 }
  names = {}
  for i, owner in ipairs(sim.control("owners").results) do names[i] = owner.email end
  first = time.now()
end)

local function audits()
  local list = {}
  for i, r in ipairs(sim.audit("routing")) do list[i] = { at = r.at, key = r.key, record = r.record } end
  return list
end

local function again(records)
  local until_ms = math.max(time.now(), first + 4 * DAY)
  simulate.begin { first = first }
  simulate.feed { records = records }
  return simulate.finish { until_ms = until_ms }
end

describe("recorded leads", function()
  it("go the same way through the same pools", function()
    sim.control("owner", { id = sim.control("owners").results[5].id, archived = true })
    local night = routing.pool("night", { members = { { owner = names[4], skills = { "de" } } } })
    local pool = routing.pool("inbound", { hold = "10h", sticky = "9d", fallback = night, hours = "Mon-Fri 09:00-17:00 Europe/Berlin",
      members = {
      { owner = names[1], weight = 3, cap = { per = "day", count = 9 } }, { owner = names[2], skills = { "de" } },
      { owner = names[3], weight = 2, skills = { "de" } }, { owner = names[5], weight = 2 } } })
    on("lead", { concurrency = 50 }, function(event)
      local p = event.payload
      pool:assign({ id = tostring(p.id) }, p.options)
    end)
    for i = 1, 240 do
      emit("lead", { id = i, options = { skills = i % 4 == 0 and { "de" } or nil, prefer = i % 9 == 0 and names[1] or nil,
        count = i % 18 ~= 0, sticky = i % 7 == 0 and "acme" or nil, exclude = i % 10 == 0 and { names[1] } or nil } })
      sim.advance(1200 + i % 3)
    end
    sim.advance("3d")
    local before = sim.events()
    local result = again(audits())
    expect(result.made).to.equal(result.recorded)
    expect(result.others).to.equal {}
    local p = result.made.inbound
    expect(p.leads).to.equal(240)
    for _, by in ipairs { "rotation", "prefer", "sticky", "fallback" } do expect(p.by[by]).to.be_at_least(5) end
    expect(p.held).to.be_at_least(20)
    expect(p.members[4].kept["no active owner"]).to.be_at_least(100)
    expect(result.made.night.turns).to.equal(p.by.fallback)
    expect(sim.events()).to.equal(before)
  end)

  local function record(at, more)
    local r = { pool = "new", at = at, by = "rotation", pick = "1", email = "ana@x.de",
      candidates = { { owner = "ana@x.de", weight = 1 } } }
    for key, value in pairs(more or {}) do r[key] = value end
    return { at = at, key = "contact " .. at, record = r }
  end

  it("go another way through another pool: its caps, hours and members decide", function()
    routing.pool("new", { members = {
      { owner = "ana@x.de", cap = { per = "day", count = 2 } }, { owner = "bo@x.de", away = { "2026-12-02" } } } })
    first = time.parse "2026-12-01T00:00:00Z"
    local list = {}
    for i = 0, 9 do list[#list + 1] = record(first + i * 60000) end
    for i = 0, 9 do list[#list + 1] = record(first + DAY + i * 60000) end
    list[#list + 1] = record(first + 2 * DAY, { pool = "gone" })
    local result = again(list)
    expect({ result.recorded.new.members[1].got, result.recorded.new.members[1].outside }).to.equal { 20, 0 }
    local p = result.made.new
    expect({ p.leads, p.turns, p.by.nobody }).to.equal { 20, 12, 8 }
    expect({ p.members[1].got, p.members[2].got }).to.equal { 4, 8 }
    expect(p.members[1].kept).to.equal { ["cap 2 a day"] = 15 }
    expect(p.members[2].kept).to.equal { away = 10 }
    expect(result.others).to.equal { gone = 1 }
  end)

  it("take with them who was away by HubSpot or had left, by the members' names", function()
    routing.pool("new", { hold = "2h", members = { { owner = "ana@x.de" }, { owner = "bo@x.de" } } })
    first = time.parse "2026-12-01T00:00:00Z"
    local away = { owner = "ana@x.de", weight = 1, gate = "away (HubSpot) until 2026-12-01T01:00:00.000Z" }
    local result = again {
      record(first, { candidates = { away, { owner = "bo@x.de", weight = 1, gate = "no active owner of the account" } } }),
      record(first + 1, { candidates = { away } }),
    }
    local p = result.made.new
    expect({ p.members[1].got, p.members[2].got, p.held, p.held_ms }).to.equal { 1, 1, 1, 3600000 }
    expect(p.members[1].kept).to.equal { ["away (HubSpot)"] = 1 }
  end)

  it("that the script has no pool for are told", function()
    routing.pool("new", { members = { { owner = "ana@x.de" } } })
    local result = again { record(first, { pool = "gone" }), { at = first, key = "contact 7", record = json.null } }
    local function said(others)
      local shown = simulate.show { made = result.made, others = others, labels = { now = "new.lua" }, first = 0, until_ms = DAY,
        columns = 80 }
      return shown.wrong
    end
    expect(said(result.others)).to.equal(
      'the decisions since 1970-01-01 are of the pools "gone", and new.lua has "new": a pool is known by its name')
    expect(said {}).to.equal("no routing decision since 1970-01-01")
  end)
end)

describe("made-up leads", function()
  local function made(seed)
    simulate.begin { first = first, sim = { leads = 500, seed = seed, until_ms = first + 30 * DAY } }
    local left
    repeat left = simulate.arrive({ n = 60 }).left until left == 0
    return simulate.finish({ until_ms = first + 30 * DAY }).made
  end

  it("come through the territories, with skills, and the same for a seed", function()
    local function pool(name, skills)
      return routing.pool(name, { members = { { owner = "a@x.de", weight = 2 }, { owner = "b@x.de", skills = skills } } })
    end
    local de, us, big, rest, alone = pool "de", pool("us", { "es" }), pool "big", pool "rest", pool "alone"
    routing.territory { { countries = { "DE" }, pool = de }, { countries = { "US" }, states = { "California", "Texas" }, pool = us },
      { where = { numemployees = "500.." }, pool = big }, default = rest }
    local result, total = made(1), 0
    for _, p in pairs { de, us, big, rest, alone } do
      expect(result[p.name].leads).to.be_at_least(5)
      expect(result[p.name].off).to.be_at_most(1 + 1e-6)
      total = total + result[p.name].leads
    end
    expect(total).to.equal(500)
    expect(result.us.members[1].kept["has no skill es"]).to.be_at_least(5)
    expect(made(1)).to.equal(result)
    expect(made(2)).to_not.equal(result)
    for _, p in pairs(result) do expect(p.members[1].got).to.be_at_least(1) end
  end)
end)
