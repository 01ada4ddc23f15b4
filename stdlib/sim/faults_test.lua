-- What goes wrong on demand: one vocabulary at three doors, and what each word does.
local server = require "sim.server"
local faults = require "sim.faults"
local util = require "sim.util"

local TOKEN = "token-" .. "of-the-test"
local OWNERS = "/crm/owners/2026-09"
local SEARCH = "/crm/objects/2026-09/contacts/search"

local function account(options)
  local S = server.new(options or { token = TOKEN })
  local function call(method, path, body, token)
    local answer = S:handle { method = method, path = path, body = body and json.encode(body) or "", in_process = true,
      headers = { authorization = "Bearer " .. (token or TOKEN) } }
    local well, value = pcall(json.decode, answer.body)
    return answer.status, well and value or answer.body, answer.headers, answer
  end
  return call, S
end

local function refused(spec)
  local ok, why = pcall(faults.read, spec)
  if ok then error("it was taken: " .. json.encode(spec), 2) end
  return why
end

describe("a fault", function()
  it("is a table or a text with the same words", function()
    expect(faults.read("status=503 times=3 path=/search method=post share=0.5")).to.equal(
      faults.read { status = 503, times = 3, match = { path = "/search", method = "POST" }, share = 0.5 })
    expect(faults.read('status=400 message="no, thanks" html=true during=5m').message).to.equal("no, thanks")
    expect(faults.read("drop=true").drop).to.equal("before")
    expect(faults.read({ status = 500, during = "90s" }).during).to.equal(90000)
    expect(faults.read({ status = 500, after = 2 }).after).to.equal(2000)
    expect(faults.read { status = 500, html = false, policy = json.null }).to.equal { status = 500 }
  end)

  it("that cannot be meant is refused in one line", function()
    for _, case in ipairs {
      { {}, "say what happens" }, { "times=3", "say what happens" }, { "stauts=500", "no field stauts; there are: after, bare" },
      { "status=abc", 'status takes a status such as 503, not "abc"' }, { "status=600", "not \"600\"" },
      { "503", "this is not: 503" }, { "status=503,times=3", 'not "503,times=3"' }, { "status=503 status=500", "given twice" },
      { 'status=503 message="x', "quotation marks" }, { 'message="x"y status=500', "quotation marks" },
      { { status = 503, share = 2 }, "share takes a number above 0, at most 1, not 2" }, { { status = 503, times = -1 }, "times takes" },
      { { status = 503, times = 1.5 }, "times takes" }, { { status = 503, during = "5 minutes" }, "during takes a duration" },
      { { status = 204 }, "goes with html only" }, { { policy = "MONTHLY" }, "TEN_SECONDLY_ROLLING, SECONDLY, DAILY" },
      { { status = 503, policy = "DAILY" }, "policy is for status 429" }, { { drop = "maybe" }, "before, after or half" },
      { { drop = true, status = 503 }, "does not go with status" }, { { retry_after = 3, drop = "half" }, "retry_after needs status" },
      { { latency_ms = "fast" }, '"20..200", or percentiles' }, { { latency_ms = "9..2" }, "latency_ms takes" },
      { { latency_ms = "p50:80" }, "latency_ms takes" }, { { latency_ms = "p99:80,p50:90" }, "latency_ms takes" },
      { { latency_ms = "p50:80,p99:20" }, "latency_ms takes" }, { { latency_ms = -1 }, "latency_ms takes" },
      { { webhook = "lost", path = "/x" }, "webhook does not go with path" },
      { { type = "contact.creation", status = 500 }, "type is for webhooks" },
      { { webhook = "eaten" }, "lost, doubled, reordered, unheard" },
      { { webhook = "lost", latency_ms = 5 }, "does not go with latency_ms" },
      { { foreign = 5, status = 429 }, "foreign does not go with status" }, { { foreign = 0 }, "foreign takes" },
      { { token = "expired", status = 401 }, "token does not go with status" }, { { drop = "half", truncate = true }, "truncate" },
      { { status = { 5 } }, "status takes" },
    } do
      local why = refused(case[1])
      expect(why).to.contain(case[2])
      expect(why:find("\n")).to.be_nil()
    end
  end)

  it("meets the calls that it names, as often as it says, while it lasts", function()
    local call, S = account()
    S:control("fail", { spec = "status=503 times=2 path=/owners method=GET" })
    expect((call("POST", SEARCH, {}))).to.equal(200)
    for _, status in ipairs { 503, 503, 200 } do expect((call("GET", OWNERS))).to.equal(status) end
    expect(S:control("faults", {}).faults).to.equal {}

    S:control("fail", { status = 500, after = "1m", during = "2m" })
    local seen = {}
    for i = 1, 5 do
      seen[i] = call("GET", OWNERS)
      task.sleep(45)
    end
    expect(seen).to.equal { 200, 200, 500, 500, 200 }   -- at 0, 45, 90, 135 and 180 s

    S:control("fail", { status = 500, share = 0.25 })
    local failed = 0
    for _ = 1, 400 do
      if call("GET", OWNERS) == 500 then failed = failed + 1 end
      task.sleep(0.1)
    end
    expect(failed > 70 and failed < 130).to.be_true()
    S:control("fail", {})
    expect((call("GET", OWNERS))).to.equal(200)
  end)

  it("joins a delay with what comes instead of the answer, and that with no second one", function()
    local call, S = account()
    S:control("fail", { latency_ms = 300, times = 0 })
    S:control("fail", { status = 503 })
    S:control("fail", { status = 423 })
    local began = time.now()
    expect((call("GET", OWNERS))).to.equal(503)
    expect(time.now() - began).to.equal(300)
    expect((call("GET", OWNERS))).to.equal(423)
    expect((call("GET", OWNERS))).to.equal(200)
    expect(time.now() - began).to.equal(900)
  end)
end)

describe("delays", function()
  local function drawn(spec)
    local R, draw, out = util.rng(5), faults.delay(spec), {}
    for i = 1, 20000 do out[i] = draw(R) end
    table.sort(out)
    return function(p) return out[math.ceil(p * #out)] end, out
  end
  local function near(got, want, by)
    if math.abs(got - want) > (by or 0.06) * want then error(("%s is not near %s"):format(got, want), 2) end
  end

  it("are fixed, uniform, or lognormal through percentiles", function()
    expect(faults.delay(80)()).to.equal(80)
    local at, all = drawn("20..200")
    expect({ all[1], all[#all] }).to.equal { 20, 200 }
    near(at(0.5), 110)
    at = drawn("p50:80,p99:900")
    near(at(0.5), 80)
    near(at(0.99), 900)
    near(at(0.841), 80 * (900 / 80) ^ (1 / 2.3263))   -- one sigma: lognormal in between
    at = drawn("p10:20,p50:80,p90:100,p99:2000")
    near(at(0.1), 20)
    near(at(0.5), 80)
    near(at(0.9), 100)
    near(at(0.99), 2000, 0.2)   -- so steep that a sample strays
  end)

  it("may be the account's own, from the start and from outside", function()
    local call, S = account { token = TOKEN, latency_ms = "200..300" }
    local began = time.now()
    call("GET", OWNERS)
    local took = time.now() - began
    expect(took >= 200 and took <= 300).to.be_true()
    S:control("configure", { latency_ms = 0 })
    began = time.now()
    call("GET", OWNERS)
    expect(time.now()).to.equal(began)
    expect(function() S:control("configure", { latency_ms = "soon" }) end).to.raise("latency_ms takes milliseconds")
    expect(function() server.new { latency_ms = "soon" } end).to.raise("latency_ms takes milliseconds")
    expect(function() server.new { faults = { "status=503", "status" } } end).to.raise("^sim: fault: .*this is not: status$")
  end)
end)

describe("answers that fail", function()
  it("are 429 of each policy, with HubSpot's words and headers", function()
    local call, S = account()
    for _, policy in ipairs { "TEN_SECONDLY_ROLLING", "SECONDLY", "DAILY" } do
      S:control("fail", { policy = policy, retry_after = policy == "SECONDLY" and 1 or nil })
      local status, e, headers = call("GET", OWNERS)
      expect(status).to.equal(429)
      expect({ e.policyName, e.errorType, e.category, e.message }).to.equal { policy, "RATE_LIMIT", "RATE_LIMITS",
        "You have reached your " .. policy:lower() .. " limit." }
      expect(e.correlationId).to.match("^%x+%-")
      if policy == "SECONDLY" then
        expect(headers["X-HubSpot-RateLimit-Remaining"]).to.be_nil()
        expect(headers["Retry-After"]).to.equal("1")
      else
        expect(headers["X-HubSpot-RateLimit-Max"]).to.equal("190")
        expect(headers["X-HubSpot-RateLimit-Interval-Milliseconds"]).to.equal("10000")
        expect(headers["X-HubSpot-RateLimit-Remaining"]).to.equal(policy == "DAILY" and "190" or "0")
        expect(headers["X-HubSpot-RateLimit-Daily-Remaining"] == "0").to.equal(policy == "DAILY")
        expect(headers["Retry-After"]).to.be_nil()
      end
    end
    S:control("fail", { status = 429, bare = true })
    local status, e, headers = call("GET", OWNERS)
    expect({ status, e, next(headers) }).to.equal { 429, "" }
  end)

  it("are 423, 477, 5xx and pages of gateways", function()
    local call, S = account()
    for _, case in ipairs { { 423, "LOCKED" }, { 477, "MIGRATION_IN_PROGRESS", "10" }, { 500, "INTERNAL_ERROR" }, { 502, "BAD_GATEWAY" },
      { 503, "SERVICE_UNAVAILABLE" }, { 504, "GATEWAY_TIMEOUT" } } do
      S:control("fail", { status = case[1] })
      local status, e, headers = call("GET", OWNERS)
      expect({ status, e.category, headers["Retry-After"] }).to.equal(case)
    end
    S:control("fail", { status = 477, retry_after = 3 })
    expect(select(3, call("GET", OWNERS))["Retry-After"]).to.equal("3")
    for status = 521, 524 do
      S:control("fail", { status = status })
      local got, page, headers, answer = call("GET", OWNERS)
      expect(got).to.equal(status)
      expect(headers["Content-Type"]).to.contain("text/html")
      expect(page).to.match("^<!DOCTYPE html>.*Error code " .. status)
      expect(answer.broken).to.be_true()
    end
    S:control("fail", { html = true })
    expect((call("GET", OWNERS))).to.equal(502)
    S:control("fail", { status = 200, html = true })
    expect(select(2, call("GET", OWNERS))).to.contain("<html>")
    S:control("fail", { status = 400, category = "WEIRD", message = "nothing but trouble" })
    local _, e = call("GET", OWNERS)
    expect({ e.category, e.message }).to.equal { "WEIRD", "nothing but trouble" }
  end)

  it("break the connection before, after or in the middle; bodies are cut or slow", function()
    local call, S = account()
    local contacts = "/crm/objects/2026-09/contacts"
    local function live() return S:control("stats", {}).contacts end
    for _, case in ipairs { { "before", 0 }, { true, 0 }, { "after", 1 }, { "half", 2 } } do
      S:control("fail", { drop = case[1] })
      expect((call("POST", contacts, { properties = { firstname = "A" } }))).to.equal(0)
      expect(live()).to.equal(case[2])
    end
    S:control("fail", { truncate = true })
    local status, half = call("GET", contacts)
    expect(status).to.equal(200)
    expect(half).to.match('^{"results":')
    S:control("fail", { trickle_ms = 1500 })
    local began = time.now()
    expect((call("GET", contacts))).to.equal(200)
    expect(time.now() - began).to.equal(1500)
    S:control("fail", { drop = "half", trickle_ms = 1500 })
    local answer = S:handle { method = "GET", path = contacts, headers = { authorization = "Bearer " .. TOKEN } }
    expect({ answer.status, answer.half, answer.trickle_ms }).to.equal { 200, true, 1500 }   -- for the network to do
  end)

  it("end the token of the call", function()
    local dead = "INVALID_AUTHENTICATION"
    for what, says in pairs { expired = "EXPIRED_AUTHENTICATION", deactivated = dead, revoked = dead } do
      local call, S = account()
      expect((call("GET", OWNERS))).to.equal(200)
      S:control("fail", { token = what })
      for _ = 1, 2 do
        local status, e = call("GET", OWNERS)
        expect({ status, e.category }).to.equal { 401, says }
      end
    end
  end)
end)

describe("a foreign program", function()
  it("uses the ten seconds of the same token, and the day", function()
    local call, S = account()
    S:control("fail", { foreign = 10 })
    task.sleep(20)
    local _, _, headers = call("GET", OWNERS)
    expect(headers["X-HubSpot-RateLimit-Remaining"]).to.equal("89")   -- 190, less 100 of the others and ours
    expect(headers["X-HubSpot-RateLimit-Daily-Remaining"]).to.equal(tostring(625000 - 201))
    local ours = 0
    while call("GET", OWNERS) == 200 do ours = ours + 1 end
    expect(ours).to.equal(89)
    S:control("fail", {})
    task.sleep(10)
    expect(select(3, call("GET", OWNERS))["X-HubSpot-RateLimit-Remaining"]).to.equal("189")
  end)

  it("may take all of it, and goes when its time is over", function()
    local call, S = account()
    S:control("fail", { foreign = 100, after = "10s", during = "30s" })
    expect((call("GET", OWNERS))).to.equal(200)
    task.sleep(30)
    local status, e = call("GET", OWNERS)
    expect({ status, e.policyName }).to.equal { 429, "TEN_SECONDLY_ROLLING" }
    task.sleep(25)
    expect((call("GET", OWNERS))).to.equal(200)
  end)

  it("may search, or be another app that uses the day alone", function()
    local call, S = account { token = TOKEN, daily_limit = 1000 }
    S:control("fail", { foreign = 3, policy = "SECONDLY" })
    task.sleep(5)
    local ours = 0
    while call("POST", SEARCH, {}) == 200 do ours = ours + 1 end
    expect(ours).to.equal(2)
    S:control("fail", {})
    S:control("fail", { foreign = 0.5, policy = "DAILY" })
    task.sleep(600)
    local _, _, headers = call("GET", OWNERS)
    expect(headers["X-HubSpot-RateLimit-Remaining"]).to.equal("189")
    expect(headers["X-HubSpot-RateLimit-Daily-Remaining"]).to.equal(tostring(1000 - 2 - 300 - 1))
    task.sleep(3600)
    local status, e, h = call("GET", OWNERS)
    expect({ status, e.policyName, h["X-HubSpot-RateLimit-Daily-Remaining"] }).to.equal { 429, "DAILY", "0" }
    -- Midnight: a new day, of which the others have used what they used since.
    local left = 86400 - time.now() // 1000 % 86400
    task.sleep(left + 100)
    expect(select(3, call("GET", OWNERS))["X-HubSpot-RateLimit-Daily-Remaining"]).to.equal(tostring(1000 - 50 - 1))
  end)
end)

describe("control calls", function()
  it("say in one line what is wrong with their arguments", function()
    local _, S = account()
    for _, case in ipairs { { "create", 5, "the arguments must be an object" }, { "create", { properties = 5 },
      "properties must be a list or an object" },
      { "create", { list = { 5 } }, "a record must be an object" }, { "batch_create", { records = { 5 } }, "a record must be an object" },
      { "populate", { contacts = "x" }, "contacts must be a number" }, { "fail", { spec = 5 }, "spec must be a text" },
      { "calls", { limit = "x" }, "limit must be a number" }, { "subscribe", { types = 5 }, "types must be" },
      { "nothing", {}, "no control function 'nothing'" } } do
      local ok, why = pcall(S.control, S, case[1], case[2])
      expect(ok).to.be_false()
      expect(why).to.match("^sim: ")
      expect(why).to.contain(case[3])
    end
  end)
end)
