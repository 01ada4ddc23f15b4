-- The webhooks journal, asked as an app asks it, with a clock of the test's own.
local server = require "sim.server"

local NOW = 1788249600000
local DAY = 86400000
local J, L = "/webhooks-journal/journal/2026-03", "/webhooks-journal/journal-local/2026-03"
local SUBS, SNAPS = "/webhooks-journal/subscriptions/2026-03", "/webhooks-journal/snapshots/2026-03/crm"
local SCOPE = "developer.webhooks_journal."
local ALL = { SCOPE .. "read", SCOPE .. "subscriptions.read", SCOPE .. "subscriptions.write", SCOPE .. "snapshots.read",
  SCOPE .. "snapshots.write" }

local function account(options)
  local H = { at = NOW }
  local o = { tokens = { "private" }, oauth_apps = { { client_id = "app", client_secret = "secret", app_id = 77 } } }
  for k, v in pairs(options or {}) do o[k] = v end
  -- H.ticking: each look at the clock takes a millisecond.
  local function now()
    if H.ticking then H.at = H.at + 1 end
    return H.at
  end
  local S = server.new(o, { now = now, random = function() return 0.5 end, spawn = function() end })
  H.S = S
  H.token = S:control("issue_token", { client_id = "app", kind = "client_credentials", scopes = ALL }).token
  -- Status, body and headers; `token` false: none is sent.
  function H.call(method, target, body, token)
    if token == nil then token = H.token end
    local path, query = target:match("^([^?]*)%??(.*)$")
    local r = S:handle { method = method, path = path, query = query, body = body and json.encode(body) or "",
      headers = { host = "127.0.0.1:8482", authorization = token and "Bearer " .. token or nil } }
    return r.status, r.body:find("^[%[{]") and json.decode(r.body) or r.body, r.headers
  end
  function H.subscribe(more)
    local body = { subscriptionType = "OBJECT", portalId = 62515, objectTypeId = "0-1", actions = { "CREATE", "UPDATE", "DELETE", "MERGE" },
      properties = { "email", "phone" }, objectIds = {} }
    for k, v in pairs(more or {}) do body[k] = v end
    for k, v in pairs(body) do
      if type(v) == "table" then body[k] = json.array(v) end
    end
    return H.call("POST", SUBS, body)
  end
  function H.fetch(entry) return H.call("GET", entry.url:match("^http://127%.0%.0%.1:8482(/.*)$"), nil, false) end
  function H.events(target)
    local status, entry = H.call("GET", target)
    expect(status).to.equal(200)
    local code, file = H.fetch(entry)
    expect(code).to.equal(200)
    expect(file.offset).to.equal(entry.currentOffset)
    return file.journalEvents, entry
  end
  function H.pass(ms) H.at = H.at + ms end
  return H
end

local function contact(H, properties) return H.S:control("create", { type = "contacts", properties = properties }) end

describe("the journal", function()
  it("holds what subscriptions name, file by file, in order", function()
    local H = account()
    local status, sub = H.subscribe()
    expect(status).to.equal(200)
    expect(sub.appId).to.equal(77)
    expect((H.call("GET", J .. "/earliest"))).to.equal(204)
    local c = contact(H, { email = "a@example.com", firstname = "Ada" })
    expect((H.call("GET", J .. "/earliest"))).to.equal(204)   -- not published yet
    H.pass(1000)
    local events, entry = H.events(J .. "/earliest")
    expect(events).to.equal(json.array { { type = "OBJECT", portalId = 62515, occurredAt = "2026-09-01T08:00:00.000Z", action = "CREATE",
      objectTypeId = "0-1", objectId = math.tointeger(tonumber(c.id)), propertyChanges = { email = "a@example.com" } } })
    expect((H.call("GET", J .. "/offset/" .. entry.currentOffset .. "/next"))).to.equal(204)
    H.S:control("update", { type = "contacts", id = c.id, properties = { phone = "1", city = "Rome" } })
    H.S:control("update", { type = "contacts", id = c.id, properties = { city = "Oslo" } })   -- nobody asked for it
    H.S:control("delete", { type = "contacts", id = c.id })
    H.pass(1000)
    local next_events, second = H.events(J .. "/offset/" .. entry.currentOffset .. "/next")
    expect(#next_events).to.equal(2)
    expect(next_events[1].propertyChanges).to.equal { phone = "1" }
    expect(next_events[2].action).to.equal("DELETE")
    local _, latest = H.call("GET", J .. "/latest")
    expect(latest.currentOffset).to.equal(second.currentOffset)
  end)

  it("tells the times that the record tells, though the clock goes on in between", function()
    local H = account()
    H.ticking = true
    H.subscribe()
    local id = contact(H, { email = "a@example.com" }).id
    H.S:control("update", { type = "contacts", id = id, properties = { phone = "1" } })
    local _, record = H.call("GET", "/crm/objects/2026-09/contacts/" .. id .. "?propertiesWithHistory=phone", nil, "private")
    H.S:control("delete", { type = "contacts", id = id })
    local _, gone = H.call("GET", "/crm/objects/2026-09/contacts/" .. id .. "?archived=true", nil, "private")
    H.pass(1000)
    local events = H.events(J .. "/earliest")
    expect(events[1].occurredAt).to.equal(record.createdAt)
    expect(events[2].occurredAt).to.equal(record.propertiesWithHistory.phone[1].timestamp)
    expect(events[3].occurredAt).to.equal(gone.archivedAt)
  end)

  it("tells of merges, associations and privacy deletions", function()
    local H = account()
    H.subscribe()
    H.subscribe { subscriptionType = "ASSOCIATION", actions = { "ASSOCIATION_ADDED", "ASSOCIATION_REMOVED" },
      associatedObjectTypeIds = { "0-2" }, properties = nil }
    H.subscribe { subscriptionType = "GDPR_PRIVACY_DELETION", actions = { "GDPR_DELETE" } }
    local a, b = contact(H, { email = "a@example.com" }), contact(H, { email = "b@example.com" })
    local firm = H.S:control("create", { type = "companies", properties = { name = "A" } })
    H.S:control("associate", { from_type = "contacts", from = a.id, to_type = "companies", to = firm.id })
    local merged = H.S:control("merge", { type = "contacts", primary = a.id, other = b.id })
    H.pass(1000)
    H.call("POST", "/crm/objects/2026-09/contacts/gdpr-delete", { objectId = merged.id }, "private")
    H.pass(1000)
    local seen = {}
    for _, f in ipairs(H.S:control("journal", {}).files) do
      for _, e in ipairs(f.events) do seen[#seen + 1] = e.type .. " " .. e.action end
    end
    expect(seen).to.equal { "OBJECT CREATE", "OBJECT CREATE", "ASSOCIATION ASSOCIATION_ADDED", "OBJECT MERGE",
      "GDPR_PRIVACY_DELETION GDPR_DELETE" }
    local added = H.S:control("journal", {}).files[1].events[3]
    expect(added.fromObjectTypeId .. ">" .. added.toObjectTypeId).to.equal("0-1>0-2")
    expect(added.associationTypeId).to.equal(279)
    expect(added.isPrimary).to.be_true()
  end)

  it("is read in batches, and by offset", function()
    local H = account()
    H.subscribe()
    for i = 1, 5 do
      contact(H, { email = i .. "@example.com" })
      H.pass(1000)
    end
    local _, first = H.call("GET", J .. "/batch/earliest/2")
    expect(#first.results).to.equal(2)
    local _, rest = H.call("GET", J .. "/batch/" .. first.results[2].currentOffset .. "/next/100")
    expect(#rest.results).to.equal(3)
    local _, last = H.call("GET", L .. "/batch/latest/1?installPortalId=62515")
    expect(last.results[1].currentOffset).to.equal(rest.results[3].currentOffset)
    local _, none = H.call("GET", J .. "/batch/" .. last.results[1].currentOffset .. "/next/5")
    expect(none.results).to.equal(json.array {})
    expect((H.call("GET", L .. "/latest?installPortalId=1"))).to.equal(204)
    local status, some = H.call("POST", J .. "/batch/read", { inputs = { first.results[1].currentOffset, "nonsense" } })
    expect(status).to.equal(207)
    expect(#some.results).to.equal(1)
    expect(some.numErrors).to.equal(1)
    expect((H.call("GET", J .. "/batch/earliest/0"))).to.equal(400)
  end)

  it("keeps three days, and says so of an offset that is gone", function()
    local H = account()
    H.subscribe()
    contact(H, { email = "a@example.com" })
    H.pass(1000)
    local _, entry = H.call("GET", J .. "/latest")
    H.pass(3 * DAY - 2000)
    expect((H.call("GET", J .. "/offset/" .. entry.currentOffset .. "/next"))).to.equal(204)
    contact(H, { email = "b@example.com" })
    H.pass(2000)
    expect((H.call("GET", J .. "/offset/" .. entry.currentOffset .. "/next"))).to.equal(404)
    expect((H.call("GET", J .. "/batch/" .. entry.currentOffset .. "/next/5"))).to.equal(404)
    H.S:control("configure", { journal_expired = 204 })
    expect((H.call("GET", J .. "/offset/" .. entry.currentOffset .. "/next"))).to.equal(204)
    expect(#H.events(J .. "/earliest")).to.equal(1)
    expect(H.S:control("journal_expire", {})).to.equal { expired = 1 }
    expect((H.call("GET", J .. "/earliest"))).to.equal(204)
  end)

  it("gives files to signed URLs that end, and to nobody else", function()
    local H = account()
    H.subscribe()
    contact(H, { email = "a@example.com" })
    H.pass(1000)
    local _, entry = H.call("GET", J .. "/earliest")
    local target = entry.url:match("8482(/.*)$")
    expect((H.call("GET", target, nil, false))).to.equal(200)
    expect((H.call("GET", target, nil, H.token))).to.equal(400)   -- a token beside a signature
    expect((H.call("GET", target:gsub("signature=.", "signature=x"), nil, false))).to.equal(403)
    expect((H.call("GET", (target:gsub("%?.*", "")), nil, false))).to.equal(403)
    H.pass(11 * 60000)
    expect((H.call("GET", target, nil, false))).to.equal(403)
    expect(#H.events(J .. "/earliest")).to.equal(1)
  end)

  it("is for client credentials with the scope, and has a limit of its own", function()
    local H = account()
    expect((H.call("GET", J .. "/latest", nil, "private"))).to.equal(403)
    local narrow = H.S:control("issue_token", { client_id = "app", kind = "client_credentials", scopes = { SCOPE .. "read" } }).token
    expect((H.call("GET", J .. "/latest", nil, narrow))).to.equal(204)
    local status, body = H.call("GET", SUBS, nil, narrow)
    expect(status).to.equal(403)
    expect(body.errors[1].context.requiredGranularScopes[1]).to.equal(SCOPE .. "subscriptions.read")
    H.pass(1000)
    for _ = 1, 100 do expect((H.call("GET", J .. "/latest"))).to.equal(204) end
    local limited, why, headers = H.call("GET", J .. "/latest")
    expect(limited).to.equal(429)
    expect(why.policyName).to.equal("SECONDLY")
    expect(headers["Retry-After"]).to.equal("1")
    expect((H.call("GET", SUBS))).to.equal(200)
    H.pass(1000)
    expect((H.call("GET", J .. "/latest"))).to.equal(204)
  end)
end)

it("a record enters and leaves a list", function()
  local H = account()
  local LISTS = "/crm/lists/2026-09"
  local c = contact(H, { email = "a@example.com" })
  local _, made = H.call("POST", LISTS, { name = "Leads", objectTypeId = "0-1", processingType = "MANUAL" }, "private")
  local list = made.list.listId
  H.subscribe { subscriptionType = "LIST_MEMBERSHIP", actions = { "ADDED_TO_LIST", "REMOVED_FROM_LIST" },
    listIds = { math.tointeger(tonumber(list)) } }
  for _, change in ipairs { "add", "remove" } do
    expect((H.call("PUT", LISTS .. "/" .. list .. "/memberships/" .. change, json.array { c.id }, "private"))).to.equal(200)
  end
  H.pass(1000)
  local seen = {}
  for i, e in ipairs((H.events(J .. "/latest"))) do seen[i] = e.action .. " " .. e.objectId .. " " .. e.listId end
  expect(seen).to.equal { "ADDED_TO_LIST " .. c.id .. " " .. list, "REMOVED_FROM_LIST " .. c.id .. " " .. list }
end)

describe("subscriptions of the journal", function()
  it("are made, changed in place, listed and deleted", function()
    local H = account()
    local _, a = H.subscribe()
    local _, b = H.subscribe { properties = { "email" } }
    expect(b.id).to.equal(a.id)
    local _, list = H.call("GET", SUBS)
    expect(#list.results).to.equal(1)
    expect(list.results[1].properties).to.equal(json.array { "email" })
    expect((H.call("DELETE", SUBS .. "/" .. a.id))).to.equal(204)
    expect((H.call("GET", SUBS .. "/" .. a.id))).to.equal(404)
    H.subscribe()
    expect((H.call("DELETE", SUBS .. "/portals/62515"))).to.equal(204)
    local _, empty = H.call("GET", SUBS)
    expect(empty.results).to.equal(json.array {})
  end)

  it("are refused when they are wrong", function()
    local H = account()
    local function why(more) return select(2, H.subscribe(more)).message end
    expect(why { subscriptionType = "OBJEKT" }).to.contain("subscriptionType")
    expect(why { actions = { "ASSOCIATION_ADDED" } }).to.contain("ASSOCIATION_ADDED")
    expect(why { objectTypeId = "9-9" }).to.contain("9-9")
    expect(why { portalId = 1 }).to.contain("not installed")
    local _, body = H.call("POST", SUBS, { subscriptionType = "OBJECT" })
    expect(body.message).to.contain("actions, objectIds, objectTypeId, portalId, properties")
  end)

  it("take filters", function()
    local H = account()
    local _, sub = H.subscribe()
    local function filter(operator, more)
      local c = { filterType = "CRM_OBJECT_PROPERTY", property = "email", operator = operator }
      for k, v in pairs(more or {}) do c[k] = v end
      return H.call("POST", SUBS .. "/filters", { subscriptionId = sub.id, filter = { conditions = { c } } })
    end
    expect((filter("LIKE"))).to.equal(400)
    expect((filter("IN"))).to.equal(400)
    local status, made = filter("ENDS_WITH", { value = "@good.example" })
    expect(status).to.equal(200)
    contact(H, { email = "a@good.example" })
    contact(H, { email = "b@bad.example" })
    H.pass(1000)
    expect(#H.events(J .. "/latest")).to.equal(1)
    local _, list = H.call("GET", SUBS .. "/filters/subscription/" .. sub.id)
    expect(list[1].id).to.equal(made.filterId)
    expect((H.call("DELETE", SUBS .. "/filters/" .. made.filterId))).to.equal(204)
    contact(H, { email = "c@bad.example" })
    H.pass(1000)
    expect(#H.events(J .. "/latest")).to.equal(1)
  end)
end)

it("a snapshot comes through the journal", function()
  local H = account()
  local c = contact(H, { email = "a@example.com" })
  local request = { portalId = 62515, objectTypeId = "0-1", objectId = math.tointeger(tonumber(c.id)), properties = { "email" } }
  H.subscribe { actions = { "DELETE" } }
  local status, body = H.call("POST", SNAPS, { snapshotRequests = { request } })
  expect(status).to.equal(200)
  local _, state = H.call("GET", J .. "/status/" .. body.snapshotResponses[1].snapshotStatusId)
  expect(state.status).to.equal("SUCCESS")
  H.pass(1000)
  local events = H.events(J .. "/latest")
  expect(events[1].action).to.equal("SNAPSHOT")
  expect(events[1].propertyChanges).to.equal { email = "a@example.com" }
end)

it("an app's webhook settings take the developer API key", function()
  local H = account { developer_key = "key-of-the-developer" }
  local P = "/app-webhooks/2026-09/77/subscriptions"
  expect((H.call("GET", P .. "?hapikey=key-of-the-developer", nil, false))).to.equal(200)
  expect((H.call("GET", P .. "?hapikey=another", nil, false))).to.equal(401)
  expect((H.call("GET", "/crm/owners/2026-09?hapikey=key-of-the-developer", nil, false))).to.equal(401)
end)
