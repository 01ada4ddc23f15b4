local arrivals = require "routing.arrivals"
local routing = require "routing"
local pools = require "routing.pool"

local DAY <const> = 24 * 3600 * 1000
local first = time.parse "2026-09-01T00:00:00Z"

local function all(given)
  local source, list = arrivals.new(first, given, pools.declared(), {}), {}
  for lead in function() return source:next() end do list[#list + 1] = lead end
  return list
end

describe("arrivals", function()
  it("come in order, by day and by week, as many as were asked for, to pools that nobody falls back or escalates to", function()
    local second = routing.pool("second", { members = { { owner = "b@x.de" } } })
    routing.sla("answer", { open = { hs_lead_status = { "NEW" } }, escalate = "2h", manager = "boss@x.de" })
    local pool = routing.pool("first", { fallback = second, members = { { owner = "a@x.de", skills = { "de", "fr" } } } })
    local list = all { leads = 2000, seed = 3, until_ms = first + 60 * DAY }
    expect(#list).to.equal(2000)
    local weekend, night, skilled, last = 0, 0, 0, first
    for i, lead in ipairs(list) do
      expect(lead.at).to.be_at_least(last)
      expect(lead.at).to.be_at_most(first + 60 * DAY)
      expect(lead.pool == pool).to.be_true()
      expect(lead.record.id).to.equal(tostring(i))
      last = lead.at
      local civil = time.civil(lead.at, "Europe/Berlin")
      if civil.weekday == 0 or civil.weekday == 6 then weekend = weekend + 1 end
      if civil.hour < 6 then night = night + 1 end
      if lead.options.skills then skilled = skilled + 1 end
    end
    expect(weekend).to.be_at_most(400)
    expect(night).to.be_at_most(400)
    expect(skilled).to.be_at_least(400)
  end)

  it("are made of the seed alone", function()
    routing.pool("first", { members = { { owner = "a@x.de" } } })
    local function text(seed) return json.encode(all { leads = 50, seed = seed, until_ms = first + DAY }[50].record) end
    expect(text(1)).to.equal(text(1))
    expect(text(1)).to_not.equal(text(2))
  end)
end)
