local webhooks = require "check.webhooks"

local function L(type_, property, script, account)
  return { type = type_, property = property, script = script or "a.lua", account = account }
end

-- A request with what a test changes.
local function request(more)
  local r = { listeners = {}, object_types = {}, public_url = "https://hooks.example.com/hubspot", accounts = {}, journals = {},
    state = {}, set_target = false, as = "table", columns = 100, applying = false }
  for k, v in pairs(more) do r[k] = v end
  return r
end

local function push(listeners, subscriptions, more)
  local r = request { listeners = listeners, accounts = { { name = "main", kind = "oauth" } },
    push = { app = 77, settings = { targetUrl = "https://hooks.example.com/hubspot", throttling = { maxConcurrentRequests = 20 } },
      subscriptions = subscriptions or {} } }
  for k, v in pairs(more or {}) do r[k] = v end
  return webhooks.plan(r)
end

local function journal(listeners, subscriptions, more)
  local r = request { listeners = listeners, accounts = { { name = "main", kind = "private_app", portal = 62515, journal = "events" } },
    journals = { { name = "events", subscriptions = subscriptions or {} } } }
  r.public_url = nil
  for k, v in pairs(more or {}) do r[k] = v end
  return webhooks.plan(r)
end

local function verbs(answer)
  local out = {}
  for i, a in ipairs(answer.actions) do out[i] = a.verb .. " " .. a.what end
  return out
end

local function there(id, type_, property, active)
  return { id = id, eventType = type_, propertyName = property, active = active ~= false }
end

describe("push", function()
  it("creates what is missing, once for all scripts", function()
    local answer = push { L("contact.creation"), L("contact.creation", nil, "b.lua"), L("contact.propertyChange", "email"),
      L("hubloop.alert"), L("lead arrived") }
    expect(verbs(answer)).to.equal { "create contact.creation", "create contact.propertyChange email" }
    expect(answer.actions[2].body).to.equal { eventType = "contact.propertyChange", propertyName = "email", active = true }
    expect(answer.actions[2].path).to.equal("/app-webhooks/2026-09/77/subscriptions")
    expect(answer.text).to.contain("+ contact.creation              a.lua, b.lua")
    expect(answer.text).to.contain("2 to create, 0 to change, 0 to delete: hubloop webhooks apply")
  end)

  it("deletes only what it has made", function()
    local state = { push = { ["77"] = { subscriptions = { ["2"] = { type = "deal.creation" } } } } }
    local answer = push({ L("contact.creation") },
      { there("1", "contact.creation"), there("2", "deal.creation"), there("3", "deal.deletion") }, { state = state })
    expect(verbs(answer)).to.equal { "delete deal.creation" }
    expect(answer.actions[1].path).to.equal("/app-webhooks/2026-09/77/subscriptions/2")
    expect(answer.text).to.contain("deal.deletion     not made by hubloop, left alone")
  end)

  it("wakes what is paused, and has nothing to do when all is there", function()
    expect(verbs(push({ L("contact.creation") }, { there("1", "contact.creation", nil, false) }))).to.equal { "change contact.creation" }
    local answer = push({ L("contact.creation") }, { there("1", "contact.creation") })
    expect(#answer.actions).to.equal(0)
    expect(answer.text).to.contain("Nothing to do.")
  end)

  it("sets a target URL, and changes a foreign one only when asked", function()
    local function target(url, more)
      local settings = url and { targetUrl = url, throttling = { maxConcurrentRequests = 20 } }
      local r = { push = { app = 77, settings = settings, subscriptions = {} } }
      for k, v in pairs(more or {}) do r[k] = v end
      return push({}, nil, r)
    end
    expect(target(nil).actions[1].body).to.equal { targetUrl = "https://hooks.example.com/hubspot",
      throttling = { maxConcurrentRequests = 10 } }
    local foreign = target("https://other.example.com/")
    expect(#foreign.actions).to.equal(0)
    expect(foreign.problems[1]).to.contain("--set-target")
    local changed = target("https://other.example.com/", { set_target = true })
    expect(changed.actions[1].body.throttling.maxConcurrentRequests).to.equal(20)
    local ours = { push = { ["77"] = { target = "https://old.example.com/" } } }
    expect(#target("https://old.example.com/", { state = ours }).actions).to.equal(1)
  end)

  it("says what cannot be subscribed to", function()
    local answer = push { L("contact.propertyChange"), L("object.creation") }
    expect(#answer.actions).to.equal(0)
    expect(answer.problems[1]).to.contain("a.lua: contact.propertyChange without property")
    expect(answer.problems[2]).to.contain("--object-types")
    local typed = push({ L("object.creation") }, nil, { object_types = { "0-27", "2-77" } })
    expect(verbs(typed)).to.equal { "create object.creation of 0-27", "create object.creation of 2-77" }
    expect(typed.actions[1].body.objectTypeId).to.equal("0-27")
  end)
end)

describe("the journal", function()
  it("has one subscription an object type, with the properties that handlers name", function()
    local answer = journal { L("contact.creation"), L("contact.propertyChange", "phone"), L("contact.propertyChange", "email", "b.lua"),
      L("contact.associationChange"), L("contact.privacyDeletion"), L("deal.deletion") }
    expect(verbs(answer)).to.equal { "create contacts ASSOCIATION_ADDED ASSOCIATION_REMOVED", "create contacts GDPR_DELETE",
      "create contacts CREATE UPDATE; email phone", "create deals DELETE" }
    expect(answer.actions[3].body).to.equal { subscriptionType = "OBJECT", portalId = 62515, objectTypeId = "0-1",
      actions = json.array { "CREATE", "UPDATE" }, properties = json.array { "email", "phone" }, objectIds = json.array {} }
    expect(answer.actions[3].state).to.equal { "journal", "events" }
  end)

  local function sub(id, actions, properties, more)
    local s = { id = id, subscriptionType = "OBJECT", portalId = 62515, objectTypeId = "0-1", actions = actions, properties = properties }
    for k, v in pairs(more or {}) do s[k] = v end
    return s
  end
  local OURS = { journal = { events = { ["5"] = { portal = 62515 } } } }

  it("changes its own to what is needed", function()
    local answer = journal({ L("contact.creation") }, { sub(5, { "CREATE", "UPDATE" }, { "email" }) }, { state = OURS })
    expect(verbs(answer)).to.equal { "change contacts CREATE" }
    expect(#journal({ L("contact.creation") }, { sub(5, { "CREATE" }, {}) }, { state = OURS }).actions).to.equal(0)
    expect(verbs(journal({}, { sub(5, { "CREATE" }, {}) }, { state = OURS }))).to.equal { "delete contacts CREATE" }
  end)

  it("adds to what others have made and takes nothing away", function()
    local answer = journal({ L("contact.propertyChange", "phone") }, { sub(4, { "DELETE" }, { "email" }) })
    expect(answer.actions[1].body.actions).to.equal(json.array { "UPDATE", "DELETE" })
    expect(answer.actions[1].body.properties).to.equal(json.array { "email", "phone" })
    expect(answer.actions[1].state).to.be_nil()
    expect(#journal({ L("contact.deletion") }, { sub(4, { "DELETE", "CREATE" }, { "email" }) }).actions).to.equal(0)
    expect(#journal({}, { sub(4, { "DELETE" }, {}) }).actions).to.equal(0)
    local single = journal({ L("contact.deletion") }, { sub(4, { "DELETE" }, {}, { objectIds = { 7 } }) })
    expect(#single.actions).to.equal(0)
    expect(single.problems[1]).to.contain("single records")
  end)

  it("leaves other portals, other accounts' handlers and conversations out", function()
    local answer = journal({ L("contact.creation"), L("deal.creation", nil, "b.lua", "other"), L("conversation.creation") },
      { sub(9, { "CREATE" }, {}, { portalId = 1 }) })
    expect(verbs(answer)).to.equal { "create contacts CREATE" }
    expect(answer.problems[1]).to.contain("no conversations")
  end)
end)

describe("by hand", function()
  it("is a table for a private app, and a file for a platform app", function()
    local r = request { listeners = { L("contact.creation"), L("conversation.newMessage"), L("object.creation") },
      object_types = { "0-27" }, accounts = { { name = "main", kind = "private_app" } } }
    local text = webhooks.plan(r).text
    expect(text).to.contain("Settings > Integrations > Private Apps")
    expect(text).to.contain("target URL https://hooks.example.com/hubspot")
    r.as = "hsmeta"
    local file = json.decode(webhooks.plan(r).text)
    expect(file.config.subscriptions.legacyCrmObjects[1]).to.equal { subscriptionType = "contact.creation", active = true }
    expect(file.config.subscriptions.crmObjects[1]).to.equal { subscriptionType = "object.creation", objectType = "0-27", active = true }
    expect(file.config.subscriptions.hubEvents[1].subscriptionType).to.equal("conversation.newMessage")
  end)

  it("is impossible with a service key", function()
    local answer = webhooks.plan(request { listeners = { L("contact.creation") }, accounts = { { name = "main", kind = "service_key" } } })
    expect(answer.problems[1]).to.contain("no webhooks")
  end)
end)

it("the list tells ours", function()
  local r = request { state = { push = { ["77"] = { subscriptions = { ["1"] = {} } } } },
    push = { app = 77, subscriptions = { there("1", "contact.creation"), there("2", "deal.creation", nil, false) } } }
  local text = webhooks.list(r).text
  expect(text).to.contain("* contact.creation")
  expect(text).to.match("  deal.creation +id 2, paused")
  r.as = "json"
  expect(json.decode(webhooks.list(r).text)[1].ours).to.be_true()
end)
