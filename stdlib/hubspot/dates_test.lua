-- Moments become days where a property holds a day, and nowhere else.
local hubspot = require "hubspot"

local function definitions_read()
  local n = 0
  for _, call in ipairs(sim.calls()) do
    if call.method == "GET" and call.path == "/crm/properties/2026-09/contacts" then n = n + 1 end
  end
  return n
end

before_each(function()
  hubspot.properties.create("contacts", { name = "renewal", label = "Renewal", groupName = "contactinformation",
    type = "date", fieldType = "date" })
  hubspot.properties.create("contacts", { name = "seen_at", label = "Seen", groupName = "contactinformation",
    type = "datetime", fieldType = "date" })
end)

local function written(properties)
  properties.email = "dates@example.com"
  local id = hubspot.contacts.upsert("email", properties).id
  return hubspot.contacts.get(id, { "renewal", "seen_at", "city", "phone" })
end

describe("dates", function()
  it("stay as they are without a time, and nothing is asked for", function()
    expect(written { renewal = "2026-12-24" }.renewal).to.equal("2026-12-24")
    expect(definitions_read()).to.equal(0)
  end)

  it("are the day of a moment as it is written", function()
    expect(written { renewal = "2026-12-24T23:30:00-05:00" }.renewal).to.equal("2026-12-24")
    expect(written { renewal = "2026-12-24T00:15:00+02:00" }.renewal).to.equal("2026-12-24")
    expect(written { renewal = time.parse("2026-12-24T09:30:00Z") }.renewal).to.equal("2026-12-24")
    expect(written { renewal = time.parse("2026-12-24T00:00:00Z") }.renewal).to.equal("2026-12-24")
    expect(definitions_read()).to.equal(1)
  end)

  it("keep their time in properties that have one, and texts stay texts", function()
    local got = written { seen_at = "2026-12-24T09:30:00+01:00", city = "2026-12-24T09:30:00Z", phone = "4915112345678" }
    expect(time.parse(got.seen_at)).to.equal(time.parse("2026-12-24T08:30:00Z"))
    expect(got.city).to.equal("2026-12-24T09:30:00Z")
    expect(got.phone).to.equal("4915112345678")
  end)

  it("are asked for once by many writers, and work in create and update", function()
    local fns = {}
    for i = 1, 20 do
      fns[i] = function()
        local made = hubspot.contacts.create { email = ("d%d@example.com"):format(i), renewal = "2026-12-24T09:00:00Z" }
        hubspot.contacts.update(made.id, { renewal = "2026-12-25T09:00:00Z" })
        return hubspot.contacts.get(made.id, { "renewal" }).renewal
      end
    end
    for _, day in ipairs(task.all(fns)) do expect(day).to.equal("2026-12-25") end
    expect(definitions_read() <= 1).to.be_true()
  end)

  it("are left to HubSpot when the definitions cannot be read", function()
    sim.advance("2h")
    sim.fail { match = { path = "/crm/properties" }, status = 403, times = 0 }
    expect(function() written { renewal = "2026-12-24T09:30:00Z" } end).to.raise("INVALID_DATE")
  end)
end)
