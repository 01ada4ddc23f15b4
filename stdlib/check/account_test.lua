local flow = require "check.flow"
local lint = require "check.lint"
local account = require "check.account"

local LIB <const> = [[local crm = {}
function crm.save(id) require("hubspot").contacts.update(id, { of_the_library = "x" }) end
return crm]]

local function needs(text)
  local found = flow.run(lint.api, "x.lua", text, function(name)
    if name == "crm" then return LIB, "lib/crm.lua" end
  end)
  return account.needs(found, "x.lua", text)
end

local function names(list, field)
  local out = {}
  for i, use in ipairs(list) do out[i] = use[field] .. (use.value and "=" .. use.value or "") end
  return table.concat(out, " ")
end

local HEAD <const> = 'local hubspot = require "hubspot"\n'

describe("what a script needs of its account", function()
  it("is what it names itself, and what it cannot mean otherwise", function()
    local found = needs(HEAD .. [[
on("contact.propertyChange", { property = "plan" }, function(event)
  hubspot.contacts.get(event.objectId, { "email" })
  hubspot.deals.create { dealstage = "won", amount = kv.get("a") }
  require("crm").save(event.objectId)
end)
local function save(kind, fields) hubspot.objects(kind).update("1", fields) end
save("tickets", { subject = "x" })
save("leads", { hs_lead_name = "x" })]])
    expect(names(found.needs.properties, "name")).to.equal("email amount dealstage dealstage=won plan")
    expect(found.questions.properties).to.equal { "contacts", "deals" }
    expect(found.questions.pipelines).to.equal { "deals" }
    expect(found.questions.owners).to.equal(false)
    expect(found.questions.scopes).to.equal(true)
  end)

  it("is nothing of which two things may be meant", function()
    local found = needs(HEAD .. [[
local function there(object, property)
  local _, record = pcall(hubspot[object].get, "1", { property })
  return record[property]
end
there("tickets", "subject")
there("notes", "hs_note_body")
local function mark(name) hubspot.deals.get("1", { name, "dealname" }) end
mark("a")
mark("b")
pcall(hubspot.contacts.get, "1", { "email" })
for _, kind in ipairs { "contact", "deal" } do
  for _, name in ipairs { "dealstage", "email" } do on(kind .. ".propertyChange", { property = name }, print) end
end]])
    expect(names(found.needs.properties, "name")).to.equal("email")
    expect(found.questions.properties).to.equal { "contacts" }
  end)

  it("leaves out what a comment says to leave out", function()
    local found = needs(HEAD .. [[
hubspot.contacts.get("1", { "a" })     -- hubloop: ignore property
hubspot.contacts.get("1", { "b" })     -- hubloop: ignore scope
-- hubloop: ignore
hubspot.contacts.get("1", { "c" })
]])
    expect(names(found.needs.properties, "name")).to.equal("b")
    expect(#found.needs.calls).to.equal(1)
    expect(found.needs.calls[1].line).to.equal(2)
  end)

  it("has no scopes for what is only heard: another app may be the one that is subscribed", function()
    expect(needs('on("ticket.creation", print)').questions.scopes).to.equal(false)
    expect(needs('on("deal.won", print)').questions.scopes).to.equal(true)
    expect(needs('require("sync").hubspot("contacts")').questions.scopes).to.equal(false)   -- read, or written
    expect(needs('on("chase", print)').questions).to.equal { properties = {}, pipelines = {}, owners = false, scopes = false }
  end)
end)

describe("the account", function()
  local TEXT <const> = HEAD .. [[
hubspot.contacts.get("1", { "plan" })
require("routing").pool("inbound", { members = { { owner = "ana@example.com" } } })
hubspot.deals.update("1", { dealstage = "won" })]]
  local HAS <const> = {
    properties = { contacts = { { name = "plan" } }, deals = { { name = "dealstage" } } },
    pipelines = { deals = { { id = "default", stages = { { id = "won" } } } } },
    owners = { { id = "1", email = "ana@example.com" } },
    scopes = { "crm.objects.contacts.read", "crm.objects.deals.write", "crm.objects.owners.read" },
  }
  local function with(changes) return setmetatable(changes, { __index = HAS }) end
  local function fit(accounts)
    local answer = account.fit(needs(TEXT).needs, accounts)
    return table.concat(answer.wrong, "\n"), answer.open
  end

  it("fits", function() expect({ fit { main = HAS } }).to.equal { "", false } end)

  it("lacks something", function()
    local wrong, open = fit { main = { properties = { contacts = { { name = "plans" } }, deals = {} }, scopes = {},
      pipelines = { deals = {} }, owners = {} } }
    expect(wrong).to.equal([[
x.lua:2: contacts have no property "plan" in this account; did you mean "plans"?
x.lua:4: deals have no property "dealstage" in this account
x.lua:4: deals have no stage "won" in this account
x.lua:3: there is no owner "ana@example.com" in this account
x.lua:2: hubspot.contacts.get needs the scope crm.objects.contacts.read, which the token does not have
x.lua:3: routing.pool needs the scope crm.objects.owners.read, which the token does not have
x.lua:4: hubspot.deals.update needs the scope crm.objects.deals.write, which the token does not have]])
    expect(open).to.equal(false)
  end)

  it("does not tell, or has not told yet", function()
    expect({ fit { main = with { owners = false, scopes = false, properties = { contacts = false, deals = false } } } })
      .to.equal { "", false }
    expect({ fit { main = { owners = HAS.owners, scopes = HAS.scopes, pipelines = HAS.pipelines } } }).to.equal { "", true }
    expect({ fit { main = {} } }).to.equal { "", true }
    expect({ fit {} }).to.equal { "", false }
  end)

  it("is one of several that has it", function()
    local other = with { properties = { contacts = {}, deals = { { name = "dealstage" } } } }
    expect({ fit { a = other, b = HAS } }).to.equal { "", false }
    expect({ fit { a = other, b = {} } }).to.equal { "", true }
    expect((fit { a = other, b = other })).to.equal('x.lua:2: contacts have no property "plan" in this account')
  end)
end)
