-- The simulator answers from recorded traffic, asked without a network.
local fixture = require "sim.fixture"
local server = require "sim.server"

local TOKEN = "test-" .. "token"

local function exchange(method, target, asked, status, answer, headers)
  local path, query = target:match("^([^?]*)%??(.*)$")
  return json.encode { method = method, path = path, query = query, requestBody = asked and json.encode(asked) or "", status = status,
    responseHeaders = headers or { ["Content-Type"] = "application/json" }, responseBody = json.encode(answer) }
end

local function account(...)
  local text = table.concat({ ... }, "\n") .. "\n"
  local host = { now = function() return 1788249600000 end, random = function() return 0.5 end, spawn = function() end,
    read = function() return text end }
  local S = server.new({ token = TOKEN, fixture = "shop.jsonl" }, host)
  local function call(method, target, body)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local answer = S:handle { method = method, path = path, query = query,
      headers = { authorization = "Bearer " .. TOKEN }, body = body and json.encode(body) or "" }
    return answer.status, answer.body ~= "" and json.decode(answer.body) or nil, answer.headers
  end
  return call, S
end

local SEARCH, BATCH_READ = "/crm/objects/2026-09/deals/search", "/crm/objects/2026-09/contacts/batch/read"

local function record(id, properties)
  return { id = id, properties = properties, createdAt = "2026-01-01T00:00:00Z", updatedAt = "2026-01-01T00:00:00Z", archived = false }
end

describe("a fixture", function()
  it("answers the same request, in any order of its parts", function()
    local call = account(exchange("POST", "/crm/objects/2026-09/deals/search?a=1&b=2", { limit = 5, after = "x" }, 200, { total = 3 }))
    local _, body = call("POST", "/crm/objects/2026-09/deals/search?b=2&a=1", { after = "x", limit = 5 })
    expect(body.total).to.equal(3)
    local status, e = call("POST", "/crm/objects/2026-09/deals/search?b=2&a=1", { after = "y", limit = 5 })
    expect(status).to.equal(501)
    expect(e.message)
      .to.contain("shop.jsonl has no answer to POST /crm/objects/2026-09/deals/search with this query and body (1 other recorded)")
  end)

  it("does not count times, nor the version of a CRM path", function()
    local call = account(exchange("POST", "/crm/v3/objects/deals/search", { since = "2026-01-01T10:11:12.123Z", from = 1767261072123 }, 200,
      { total = 3 }))
    local status = call("POST", SEARCH, { since = "2026-05-06T00:00:00Z", from = 1788249600000 })
    expect(status).to.equal(200)
    expect((call("POST", SEARCH, { since = "2026-05-06T00:00:00Z", from = 5 }))).to.equal(501)
  end)

  it("gives several answers to one request in their order, and then the last", function()
    local call = account(exchange("GET", "/crm/lists/2026-09/7", nil, 429, { status = "error" }, { ["Retry-After"] = "3" }),
      exchange("GET", "/crm/lists/2026-09/7", nil, 200, { n = 1 }), exchange("GET", "/crm/lists/2026-09/7", nil, 200, { n = 2 }))
    local status, _, headers = call("GET", "/crm/lists/2026-09/7")
    expect(status).to.equal(429)
    expect(headers["Retry-After"]).to.equal("3")
    local seen = {}
    for i = 1, 3 do seen[i] = select(2, call("GET", "/crm/lists/2026-09/7")).n end
    expect(seen).to.equal { 1, 2, 2 }
  end)

  it("reads records one by one or together, however they were read", function()
    local call = account(
      exchange("POST", BATCH_READ, { inputs = { { id = "1" }, { id = "2" } }, properties = { "email", "city" } }, 200, { results = {
        record("1", { email = "a@x.example", city = "Ulm" }), record("2", { email = "b@x.example", city = json.null }) } }),
      exchange("GET", "/crm/objects/2026-09/contacts/3?properties=email", nil, 200, record("3", { email = "c@x.example" })))
    local _, one = call("GET", "/crm/objects/2026-09/contacts/2?properties=city,email")
    expect(one.properties.email).to.equal("b@x.example")
    local status, both = call("POST", BATCH_READ,
      { inputs = { { id = "3" }, { id = "1" } }, properties = { "email" } })
    expect(status).to.equal(200)
    expect({ both.results[1].id, both.results[2].properties.email }).to.equal { "3", "a@x.example" }
    expect(both.results[2].properties.city).to.be_nil()
    local _, by = call("POST", BATCH_READ,
      { inputs = { { id = "C@x.example" } }, idProperty = "email", properties = { "email" } })
    expect(by.results[1].id).to.equal("3")
    -- What was never asked for, or never seen, is not made up.
    expect((call("GET", "/crm/objects/2026-09/contacts/3?properties=city"))).to.equal(501)
    expect((call("GET", "/crm/objects/2026-09/contacts/9?properties=email"))).to.equal(501)
    expect((call("POST", BATCH_READ,
      { inputs = { { id = "1" }, { id = "9" } }, properties = { "email" } }))).to.equal(501)
  end)

  it("still wants a token", function()
    local S = select(2, account(exchange("GET", "/crm/owners/2026-09", nil, 200, {})))
    expect(S:handle({ method = "GET", path = "/crm/owners/2026-09", headers = {} }).status).to.equal(401)
  end)

  it("names the file and the line that are wrong", function()
    expect(function() fixture.read('{"method":"GET","path":"/x","status":200}\n{}\n', "a.jsonl") end).to.raise("^a.jsonl:2: no exchange")
    expect(function() fixture.read("PK\3\4", "a.jsonl") end).to.raise("^a.jsonl:1: no exchange")
    expect(function() fixture.read("", "a.jsonl") end).to.raise("^a.jsonl: the fixture is empty")
  end)
end)
