-- What the simulator sends to a subscriber, with a receiver that the test plays.
local server = require "sim.server"

local SECRET = "secret-" .. "of-the-app"

-- The simulator's tasks outlive the task that starts them, so they are kept and started by the test's own.
local function account(options, receive)
  local H = { sent = {}, most = 0, now_out = 0, tasks = {} }
  options = options or {}
  options.webhook_url = options.webhook_url or "https://hooks.example.com/hubspot?a=1%2C2"
  options.client_secret = SECRET
  H.S = server.new(options, {
    now = function() return time.now() end,
    random = function() return 0.5 end,
    spawn = function(fn) H.tasks[#H.tasks + 1] = fn end,
    deliver = function(request)
      H.now_out = H.now_out + 1
      H.most = math.max(H.most, H.now_out)
      H.sent[#H.sent + 1] = request
      local answer = receive and receive(request, #H.sent) or 204
      task.sleep(0.01)
      H.now_out = H.now_out - 1
      if answer == 0 then error("connection refused") end
      return { status = answer, body = "" }
    end,
  })
  function H.events()
    local out = {}
    for _, r in ipairs(H.sent) do
      for _, e in ipairs(json.decode(r.body)) do out[#out + 1] = e end
    end
    return out
  end
  -- Until nothing is queued, out or waiting for another try; looks every `step` seconds of virtual time.
  function H.settle(step)
    repeat
      while #H.tasks > 0 do task.spawn(table.remove(H.tasks, 1)) end
      task.sleep(step or 1)
    until #H.tasks == 0 and H.S:control("stats", {}).webhooks.pending == 0
  end
  return H
end

local function kinds(events)
  local out = {}
  for i, e in ipairs(events) do
    out[i] = e.subscriptionType .. (e.propertyName and " " .. e.propertyName .. "=" .. e.propertyValue or "")
  end
  table.sort(out)
  return out
end

describe("webhooks", function()
  it("tell of creation, changes, deletion, merge and associations", function()
    local H = account { subscriptions = { "contact.creation", "contact.deletion", "contact.merge", "contact.associationChange",
      { type = "contact.propertyChange", property = "phone" } } }
    local S = H.S
    local a = S:control("create", { type = "contacts", properties = { email = "a@example.com" } })
    local b = S:control("create", { type = "contacts", properties = { email = "b@example.com" } })
    S:control("update", { type = "contacts", id = a.id, properties = { phone = "1", city = "Rome" } })
    local c = S:control("create", { type = "companies", properties = { name = "A" } })
    S:control("associate", { from_type = "contacts", from = a.id, to_type = "companies", to = c.id })
    S:control("merge", { type = "contacts", primary = a.id, other = b.id })
    local d = S:control("create", { type = "contacts", properties = { email = "d@example.com" } })
    S:control("delete", { type = "contacts", id = d.id })
    H.settle()
    expect(kinds(H.events())).to.equal { "contact.associationChange", "contact.creation", "contact.creation", "contact.creation",
      "contact.deletion", "contact.merge", "contact.propertyChange phone=1" }
    for _, e in ipairs(H.events()) do
      for _, field in ipairs { "eventId", "subscriptionId", "portalId", "appId", "occurredAt", "objectId", "attemptNumber" } do
        expect(math.type(e[field])).to.equal("integer")
      end
      if e.subscriptionType == "contact.merge" then
        expect(tostring(e.primaryObjectId)).to.equal(a.id)
        expect(#e.mergedObjectIds).to.equal(1)
      end
    end
  end)

  it("are signed as the receiver checks them", function()
    local H = account()
    H.S:control("trigger", { type = "contact.creation", objectId = 5 })
    H.settle()
    local r = H.sent[1]
    local at = r.headers["x-hubspot-request-timestamp"]
    expect(r.headers["x-hubspot-signature-v3"]).to.equal(
      crypto.hmac_sha256(SECRET, "POSThttps://hooks.example.com/hubspot?a=1,2" .. r.body .. at, "base64"))
    local signed = H.S:control("sign", { url = "https://x.example.com/h", body = "[]", at = 5 }).headers
    expect(signed["x-hubspot-request-timestamp"]).to.equal("5")
    expect(signed["x-hubspot-signature-v3"]).to.equal(crypto.hmac_sha256(SECRET, "POSThttps://x.example.com/h[]5", "base64"))
    H.S:control("configure", { webhook_signature = "v1" })
    H.S:control("trigger", { type = "contact.creation", objectId = 6 })
    H.settle()
    expect(H.sent[2].headers["x-hubspot-signature"]).to.equal(crypto.sha256(SECRET .. H.sent[2].body, "hex"))
  end)

  it("are signed as HubSpot's own vector says, in v1 and v2", function()
    local S = server.new({ client_secret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy" }, { now = function() return 0 end,
      spawn = function() end })
    local body = '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation",'
      .. '"attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]'
    local v1 = S:control("sign", { url = "https://www.example.com/", body = body, version = "v1" }).headers
    expect(v1["x-hubspot-signature"]).to.equal("232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de")
    expect(v1["x-hubspot-signature-version"]).to.equal("v1")
    local v2 = S:control("sign", { url = "https://www.example.com/?a=1", body = body, version = "v2" }).headers

         local signed = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyyPOSThttps://www.example.com/?a=1" .. body
    expect(v2["x-hubspot-signature"]).to.equal(crypto.sha256(signed, "hex"))
    expect(v2["x-hubspot-signature-version"]).to.equal("v2")
  end)

  it("travel in batches of a hundred, ten requests at once", function()
    local H = account { max_concurrent = 3 }
    H.S:control("populate", { contacts = 750 })
    H.settle()
    local n = 0
    for _, r in ipairs(H.sent) do
      local list = json.decode(r.body)
      expect(#list <= 100).to.be_true()
      n = n + #list
    end
    expect(n).to.equal(750)
    expect(#H.sent).to.equal(8)
    expect(H.most).to.equal(3)
    local w = H.S:control("stats", {}).webhooks
    expect(w.sent).to.equal(750)
    expect(w.acked).to.equal(750)
  end)

  it("come again until they are accepted, counting attempts", function()
    local H = account(nil, function(_, n) return n == 1 and 0 or n == 2 and 503 or 204 end)
    local began = time.now()
    H.S:control("trigger", { type = "contact.creation", objectId = 5 })
    H.settle()
    local attempts = {}
    for i, e in ipairs(H.events()) do attempts[i] = e.attemptNumber end
    expect(attempts).to.equal { 0, 1, 2 }
    expect(time.now() - began >= 3 * 60000).to.be_true()
    local w = H.S:control("stats", {}).webhooks
    expect(w.redelivered).to.equal(2)
    expect(w.failed).to.equal(2)
    expect(w.acked).to.equal(1)
  end)

  it("are given up after ten redeliveries within a day", function()
    local H = account({ redelivery_ms = 60000 }, function() return 500 end)
    local began = time.now()
    H.S:control("trigger", { type = "contact.creation", objectId = 5 })
    H.settle(5)
    expect(#H.sent).to.equal(11)
    expect(time.now() - began <= 24 * 3600 * 1000).to.be_true()
    expect(H.S:control("stats", {}).webhooks.given_up).to.equal(1)
  end)

  it("are shuffled and doubled on request, and nothing is lost", function()
    local H = account { webhook_shuffle = true, webhook_duplicates = 0.2 }
    H.S:control("populate", { contacts = 500 })
    H.settle()
    local seen, twice, ordered, last = {}, 0, true, 0
    for _, e in ipairs(H.events()) do
      if seen[e.objectId] then
        twice = twice + 1
        expect(e.eventId).to.equal(seen[e.objectId])
      end
      seen[e.objectId] = e.eventId
      if e.objectId < last then ordered = false end
      last = e.objectId
    end
    local n = 0
    for _ in pairs(seen) do n = n + 1 end
    expect(n).to.equal(500)
    expect(ordered).to.be_false()
    expect(twice > 50 and twice < 150).to.be_true()
    expect(H.S:control("stats", {}).webhooks.duplicated).to.equal(twice)
  end)

  it("measure the time until a lead has an owner", function()
    local H = account { owners = 2 }
    H.S:control("populate", { contacts = 10 })
    H.settle()
    task.sleep(1)
    local owner = H.S:control("owners", {}).results[1].id
    for _, c in ipairs(H.S:control("list", { type = "contacts" }).results) do
      H.S:control("update", { type = "contacts", id = c.id, properties = { hubspot_owner_id = owner } })
    end
    local stats = H.S:control("stats", {})
    expect(stats.count).to.equal(10)
    expect(stats.p50 >= 1000).to.be_true()
    expect(stats.routed).to.equal(10)
    expect(stats.unrouted).to.equal(0)
    expect(stats.owners[1][2]).to.equal(10)
  end)

  it("are managed through the app's settings", function()
    local H = account { tokens = { "t" } }
    local function call(method, path, body)
      local r = H.S:handle { method = method, path = path, query = "", headers = { authorization = "Bearer t" },
        body = body and json.encode(body) or "" }
      return r.status, r.body ~= "" and json.decode(r.body) or nil
    end
    local P = "/app-webhooks/2026-09/77"
    expect((call("GET", P .. "/settings"))).to.equal(404)
    expect((call("PUT", P .. "/settings",
      { targetUrl = "https://x.example.com/h", throttling = { maxConcurrentRequests = 20 } }))).to.equal(200)
    local status, sub = call("POST", P .. "/subscriptions",
      { eventType = "deal.propertyChange", propertyName = "dealstage", active = true })
    expect(status).to.equal(201)
    local _, changed = call("PATCH", P .. "/subscriptions/" .. sub.id, { active = false })
    expect(changed.active).to.be_false()
    expect((call("DELETE", P .. "/subscriptions/" .. sub.id))).to.equal(204)
    expect((call("GET", P .. "/subscriptions/" .. sub.id))).to.equal(404)
    expect((call("POST", P .. "/subscriptions", { eventType = "contact.creatoin", active = true }))).to.equal(400)
  end)
end)

describe("webhooks that go wrong", function()
  local function contacts(H, n)
    for i = 1, n do H.S:control("create", { type = "contacts", properties = { email = i .. "@example.com" } }) end
    H.settle()
    local ids, attempts = {}, {}
    for i, e in ipairs(H.events()) do ids[i], attempts[i] = e.objectId - 100000, e.attemptNumber end
    return ids, attempts
  end

  it("are lost", function()
    local H = account { subscriptions = { "contact.creation", "contact.deletion" },
      faults = { "webhook=lost type=contact.creation times=2" } }
    expect((contacts(H, 4))).to.equal { 3, 4 }
    H.S:control("delete", { type = "contacts", id = 100001 })
    H.settle()
    expect(H.events()[3].subscriptionType).to.equal("contact.deletion")
    expect(H.S:control("stats", {}).webhooks.lost).to.equal(2)
  end)

  it("are doubled, and nothing of the twin differs", function()
    local H = account { subscriptions = { "contact.creation" }, faults = { "webhook=doubled" } }
    expect((contacts(H, 2))).to.equal { 1, 1, 2 }
    local events = H.events()
    expect(events[1]).to.equal(events[2])
    expect(H.S:control("stats", {}).webhooks.duplicated).to.equal(1)
  end)

  it("are reordered: held back, so that others overtake them", function()
    local H = account { subscriptions = { "contact.creation" } }
    H.S:control("fail", { webhook = "reordered", times = 1, latency_ms = 3000 })
    expect((contacts(H, 3))).to.equal { 2, 3, 1 }
    H = account { subscriptions = { "contact.creation" }, faults = { "webhook=reordered times=0" } }
    local ids = contacts(H, 20)
    local sorted = table.move(ids, 1, #ids, 1, {})
    table.sort(sorted)
    expect(#ids).to.equal(20)
    expect(ids).to_not.equal(sorted)
  end)

  it("are delivered and their answer is lost, so they come again", function()
    local H = account { subscriptions = { "contact.creation" }, faults = { { webhook = "unheard" } } }
    local ids, attempts = contacts(H, 1)
    expect(ids).to.equal { 1, 1 }
    expect(attempts).to.equal { 0, 1 }
    local w = H.S:control("stats", {}).webhooks
    expect({ w.failed, w.acked, w.pending }).to.equal { 1, 1, 0 }
  end)
end)
