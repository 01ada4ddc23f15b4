-- The seeded account: the same for the same seed, and like a real one.
local server = require "sim.server"

local NOW = 1788249600000
local DAY = 86400000

local function account(options)
  return server.new(options, { now = function() return NOW end, random = function() return 0.5 end, spawn = function() end })
end

local function all(S, kind) return S:control("list", { type = kind, limit = 1e9 }).results end

local function share(list, fits)
  local n = 0
  for _, r in ipairs(list) do
    if fits(r.properties, r) then n = n + 1 end
  end
  return n / #list
end

local function between(x, low, high)
  if x < low or x > high then error(("%s is not between %s and %s"):format(x, low, high), 2) end
end

-- How often each value of a property is there, most often first.
local function counted(list, value)
  local by, out = {}, {}
  for _, r in ipairs(list) do
    local v = value(r.properties)
    if v then by[v] = (by[v] or 0) + 1 end
  end
  for v, n in pairs(by) do out[#out + 1] = { v, n } end
  table.sort(out, function(a, b) return a[2] > b[2] or a[2] == b[2] and a[1] < b[1] end)
  return out, by
end

describe("the seeded account", function()
  it("is the same for the same seed, and another for another", function()
    local function text(seed)
      local S = account { contacts = 300, companies = 60, deals = 40, seed = seed }
      return crypto.sha256(json.encode { all(S, "contacts"), all(S, "companies"), all(S, "deals") }, "hex")
    end
    expect(text(7)).to.equal(text(7))
    expect(text(8)).to_not.equal(text(7))
  end)

  -- One account for all of it: making one is what takes the time.
  it("is skewed, dirty, linked, and has grown over three years", function()
    local S = account { contacts = 4000, companies = 700, deals = 500, owners = 12 }
    local contacts, companies, deals = all(S, "contacts"), all(S, "companies"), all(S, "deals")
    expect({ #contacts, #companies, #deals }).to.equal { 4000, 700, 500 }   -- none was refused

    -- Few large countries and companies, and many small ones.
    local countries = counted(contacts, function(p) return p.country end)
    expect(countries[1][1]).to.equal("United States")
    between(countries[1][2] / #contacts, 0.2, 0.4)
    expect(#countries > 20).to.be_true()   -- they are also spelt in other ways
    local sizes = {}
    for _, c in ipairs(companies) do sizes[#sizes + 1] = tonumber(c.properties.numberofemployees) end
    table.sort(sizes)
    between(sizes[#sizes // 2], 5, 40)
    expect(sizes[#sizes] > 5000).to.be_true()
    local owners = counted(contacts, function(p) return p.hubspot_owner_id end)
    expect(owners[1][2] > 3 * owners[#owners][2]).to.be_true()
    local life, by = counted(contacts, function(p) return p.lifecyclestage end)
    expect(life[1][1]).to.equal("lead")
    between(by.customer / #contacts, 0.1, 0.2)

    -- Free mail, duplicates, gaps and dirt.
    between(share(contacts, function(p) return p.hs_email_domain == "gmail.com" end), 0.01, 0.2)
    between(share(contacts, function(p) return p.email == nil end), 0.005, 0.06)
    between(share(contacts, function(p) return p.country == nil end), 0.05, 0.2)
    between(share(contacts, function(p) return p.lifecyclestage == nil end), 0.01, 0.06)
    between(share(companies, function(p) return p.domain == nil end), 0.02, 0.15)
    between(share(contacts, function(p) return (p.company or ""):find("^ ") ~= nil or (p.firstname or ""):find(" $") ~= nil end),
      0.005, 0.1)
    expect(share(contacts, function(p) return p.hs_email_domain == "gmial.com" end) > 0).to.be_true()
    local domains = counted(companies, function(p) return p.domain end)
    expect(domains[1][2] > 1).to.be_true()
    local people = counted(contacts, function(p) return p.phone and p.firstname and p.phone .. p.firstname:lower() end)
    local twice = 0
    for _, row in ipairs(people) do twice = twice + (row[2] > 1 and 1 or 0) end
    between(twice / #contacts, 0.002, 0.05)

    local function days(iso) return (NOW - time.parse(iso)) / DAY end
    between(days(contacts[1].createdAt), 900, 1100)
    between(days(contacts[2000].createdAt), 250, 450)   -- half of them came in the last year
    between(days(contacts[4000].createdAt), 0, 2)
    between(share(contacts, function(_, r) return r.updatedAt > r.createdAt end), 0.5, 0.9)
    for _, d in ipairs(deals) do
      local p = d.properties
      if p.hs_is_closed == "true" and p.closedate then expect(days(p.closedate) >= 0).to.be_true() end
    end
    local function linked(kind, to)
      local n = 0
      for _, rec in pairs(S.types[kind].records) do
        if rec[5] and rec[5][to] and next(rec[5][to]) then n = n + 1 end
      end
      return n
    end
    between(linked("contacts", "companies") / #contacts, 0.3, 0.6)
    between(linked("deals", "companies") / #deals, 0.9, 1)
    between(linked("deals", "contacts") / #deals, 0.5, 1)
    local first = contacts[1].properties
    expect(tonumber(first.hs_object_id)).to.equal(100001)
  end)
end)
