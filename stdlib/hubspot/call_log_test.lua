-- hubspot.call_log against the simulator: what the calls before have left, in virtual time.
local hubspot = require "hubspot"

local function all(options)
  local out = {}
  for call in hubspot.call_log(options) do out[#out + 1] = call end
  return out
end

local function message(fn, ...)
  local ok, why = pcall(fn, ...)
  expect(ok).to.be_false()
  return tostring(why)
end

describe("hubspot.call_log", function()
  it("tells each call with its time, path, error and script", function()
    expect(all()).to.equal {}
    local ana = hubspot.contacts.create { email = "ana@x.example" }
    local at = time.now()
    pcall(hubspot.contacts.get, "999", { "email" })
    pcall(hubspot.contacts.create, { email = "ana@x.example" })
    pcall(hubspot.contacts.create, { email = "bo@x.example", lifecyclestage = "no stage" })
    local calls = all()
    expect(#calls).to.equal(4)
    expect(calls[1].at).to.equal(at)
    expect(calls[1].method).to.equal("POST")
    expect(calls[1].status).to.equal(201)
    expect(calls[1].error).to.be_nil()
    expect(calls[1].script).to.equal("call_log_test.lua")
    expect(calls[2].shape).to.equal("/crm/objects/2026-09/contacts/{id}")
    expect(calls[2].id).to.equal("999")
    expect(calls[2].status).to.equal(404)
    expect(calls[3].status).to.equal(409)
    expect(calls[4].error.category).to.equal("VALIDATION_ERROR")
    expect(calls[4].attempts).to.equal(1)
    expect(calls[4].limited).to.equal(0)
    expect(json.encode(calls)).to_not.contain("ana@")
    hubspot.contacts.get(ana.id, { "email" })
    expect(#all()).to.equal(5)
  end)

  it("tells the method also of what has had no answer", function()
    sim.fail { method = "POST", drop = "before" }
    pcall(hubspot.notes.create, { hs_note_body = "x", hs_timestamp = "2026-09-01T08:00:00Z" })
    local calls = all()
    local last = calls[#calls]
    expect({ last.method, last.path, last.error.kind }).to.equal { "POST", "/crm/objects/2026-09/notes", "uncertain" }
  end)

  it("begins where it is told to", function()
    for day = 1, 5 do
      hubspot.contacts.create { email = ("p%d@x.example"):format(day) }
      sim.advance("1d")
    end
    expect(#all { since = "50h" }).to.equal(2)
    expect(#all { since = time.now() - 3 * 86400000 - 1000 }).to.equal(3)
    expect(#all { since = time.iso(time.now() - 86400000 - 1000) }).to.equal(1)
    expect(#all { since = "1h" }).to.equal(0)
    expect(#all()).to.equal(5)
  end)

  it("keeps the newest calls in memory, up to a bound", function()
    local text = ("x"):rep(1800)
    for i = 1, 1500 do pcall(hubspot.request, { method = "POST", path = "/crm/objects/2026-09/contacts/" .. text .. i, json = {} }) end
    local calls = all()
    expect(#calls).to.be_at_least(300)
    expect(#calls).to.be_at_most(1400)
    expect(calls[#calls].path:sub(-5)).to.equal("x1500")
  end)

  it("names misuse at the script's line", function()
    expect(message(function() hubspot.call_log { since = "yesterday" } end)).to.match("_test.lua:%d+: call_log: since is a duration")
    expect(message(function() hubspot.call_log { until_ = 3 } end)).to.contain('call_log has no option "until_"')
    expect(message(hubspot.call_log, "7d")).to.contain("expects a table")
  end)
end)
