-- What values a property takes: HubSpot's words for what it refuses, an administrator's rules, and calculated ones.
local server = require "sim.server"

local NOW = 1788249600000   -- 2026-09-01, a Tuesday
local TOKEN = "token-" .. "of-the-test"
local CONTACTS, DEALS = "/crm/objects/2026-09/contacts", "/crm/objects/2026-09/deals"

local function account(options)
  options = options or {}
  options.token = TOKEN
  local S = server.new(options, { now = function() return NOW end, random = function() return 0.5 end, spawn = function() end })
  local function call(method, target, body)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local answer = S:handle { method = method, path = path, query = query, body = body and json.encode(body) or "",
      headers = { authorization = "Bearer " .. TOKEN } }
    return answer.status, answer.body ~= "" and json.decode(answer.body) or nil
  end
  return call, S
end

-- A property of this type in the account, and what a write of it says.
local function property(call, kind, field, more)
  local body = { name = "probe", label = "Probe", type = kind, fieldType = field, groupName = "contactinformation" }
  for k, v in pairs(more or {}) do body[k] = v end
  local status, e = call("POST", "/crm/properties/2026-09/contacts", body)
  if status ~= 201 then error(e.message, 2) end
end

local function says(call, name, value)
  local status, e = call("POST", CONTACTS, { properties = { firstname = "A", [name] = value } })
  if status == 201 then return e.properties[name] end
  local inner = json.decode(e.message:match("^Property values were not valid: (.*)$"))[1]
  expect(inner.name).to.equal(name)
  expect({ inner.message, inner.error }).to.equal { e.errors[1].message, e.errors[1].code }
  if inner.propertyValue then expect(inner.propertyValue).to.equal(value) end
  return inner.error .. ": " .. inner.message
end

describe("values", function()
  it("are refused in HubSpot's words", function()
    local call = account()
    property(call, "number", "number")
    for value, answer in pairs { ["12"] = "12", ["-1.50"] = "-1.50", [".5"] = ".5",
      ["1e3"] = "INVALID_INTEGER: 1e3 was not a valid number.",
      ["1.4210854715202004e-14"] = "INVALID_INTEGER: 1.4210854715202004e-14 was not a valid number.",
      ["0x10"] = "INVALID_INTEGER: 0x10 was not a valid number.", ["many"] = "INVALID_INTEGER: many was not a valid number.",
      [" 7"] = 'LEADING_TRAILING_WHITESPACE: " 7" includes leading or trailing whitespace.' } do
      expect(says(call, "probe", value)).to.equal(answer)
    end
    for value, answer in pairs { ["2026-12-24T09:30:00Z"] = "2026-12-24T09:30:00.000Z", ["1606768561954"] = "2020-11-30T20:36:01.954Z",
      ["tomorrow"] = "INVALID_LONG: tomorrow was not a valid long.", ["2026-13-01"] = "INVALID_LONG: 2026-13-01 was not a valid long." } do
      expect(says(call, "closedate", value)).to.equal(answer)
    end
    for name, case in pairs {
      hs_lead_status = { "NEW ", 'LEADING_TRAILING_WHITESPACE: "NEW " includes leading or trailing whitespace.' },
      lifecyclestage = { "Lead", "INVALID_OPTION: Lead was not one of the allowed options: [subscriber, lead, marketingqualifiedlead, " ..
        "salesqualifiedlead, opportunity, customer, evangelist, other]" },
      email = { "a@b", "INVALID_EMAIL: Email address a@b is invalid" },
      hubspot_owner_id = { "Ana", "INVALID_INTEGER: Ana was not a valid integer (for owner ID)." },
      hs_object_id = { "5", 'READ_ONLY_VALUE: "hs_object_id" is a read only property; its value cannot be set.' },
      associatedcompanyid = { "5", 'READ_ONLY_VALUE: "associatedcompanyid" is a read only property; its value cannot be set.' },
      shoesize = { "43", 'PROPERTY_DOESNT_EXIST: Property "shoesize" does not exist' },
    } do
      expect(says(call, name, case[1])).to.equal(case[2])
    end
    expect(says(call, "hubspot_owner_id", "1")).to.equal("INVALID_OWNER_ID: Owner 1 does not exist")
    expect(says(call, "city", " Rome ")).to.equal(" Rome ")   -- texts are taken as they are
  end)

  it("of dates are days in UTC", function()
    local call = account()
    property(call, "date", "date")
    for value, answer in pairs { ["2026-12-24"] = "2026-12-24", ["1798070400000"] = "2026-12-24",
      ["1606768561954"] = "INVALID_DATE: 1606768561954 is at 20:36:1.954 UTC, not midnight!",
      ["2026-12-24T04:30:00Z"] = "INVALID_DATE: 1798086600000 is at 4:30:0.0 UTC, not midnight!",
      ["soon"] = "INVALID_LONG: soon was not a valid long." } do
      expect(says(call, "probe", value)).to.equal(answer)
    end
  end)

  it("that are unique are held by one record", function()
    local call = account()
    property(call, "string", "text", { hasUniqueValue = true })
    local _, first = call("POST", CONTACTS, { properties = { firstname = "A", probe = "x" } })
    local status, e = call("POST", CONTACTS, { properties = { firstname = "B", probe = "x" } })
    expect({ status, e.category, e.errors[1].code }).to.equal { 400, "VALIDATION_ERROR", "CONFLICTING_UNIQUE_VALUE" }
    expect(e.message).to.contain(first.id .. " already has that value")
  end)
end)

describe("an administrator's rules", function()
  local P = "/crm/property-validations/2026-09/0-1"

  it("hold on the newest paths, and not on older ones nor for people", function()
    local call, S = account()
    expect((call("PUT", P .. "/firstname/rule-type/ALPHANUMERIC", { ruleArguments = { "ALPHA_ONLY" } }))).to.equal(204)
    local _, list = call("GET", P)
    expect(list.results).to.equal { { propertyName = "firstname", propertyValidationRules = { { ruleType = "ALPHANUMERIC",
      ruleArguments = { "ALPHA_ONLY" }, shouldApplyNormalization = false } } } }
    expect(#select(2, call("GET", P .. "/firstname")).results).to.equal(1)
    expect(select(2, call("GET", P .. "/firstname/rule-type/ALPHANUMERIC")).ruleArguments).to.equal { "ALPHA_ONLY" }
    local write = { properties = { firstname = "R2D2" } }
    expect(says(call, "firstname", "R2D2")).to.equal("INVALID_ALPHA: Enter only letters")
    local status, e = call("POST", "/crm/objects/2026-09/contacts/batch/create", { inputs = { write } })
    expect({ status, e.errors[1].code }).to.equal { 400, "INVALID_ALPHA" }
    expect((call("POST", "/crm/v3/objects/contacts", write))).to.equal(201)
    expect((call("POST", "/crm/objects/2026-03/contacts", write))).to.equal(201)
    local made = S:control("create", { type = "contacts", properties = { firstname = "C3PO" } })
    expect((call("PATCH", CONTACTS .. "/" .. made.id,
      { properties = { city = "Oslo" } }))).to.equal(200)   -- what is not written is not looked at
    expect(says(call, "firstname", "Zoë")).to.equal("Zoë")
  end)

  it("are of many kinds", function()
    local call, S = account()
    property(call, "date", "date")
    local function set(name, rule, arguments) S:control("validate", { property = name, rule = rule, arguments = arguments }) end
    set("zip", "ALPHANUMERIC", { "NUMERIC_ONLY" })
    set("zip", "MIN_LENGTH", { "4" })
    set("zip", "MAX_LENGTH", { "5" })
    set("company", "SPECIAL_CHARACTERS")
    set("jobtitle", "WHITESPACE")
    set("website", "URL_BLOCKED_DOMAINS", { "example.org" })
    set("email", "EMAIL_ALLOWED_DOMAINS", { "example.com" })
    set("probe", "AFTER_DURATION", { "P7D" })
    set("probe", "END_DATE", { "2026-12-31" })
    set("probe", "DAYS_OF_WEEK", { "MONDAY", "TUESDAY" })
    for _, case in ipairs {
      { "zip", "1234", "1234" }, { "zip", "123", "INVALID_MIN_LENGTH: Enter at least 4 characters" },
      { "zip", "123456", "INVALID_MAX_LENGTH: Enter at most 5 characters" }, { "zip", "D-12", "INVALID_NUMERIC: Enter only numbers" },
      { "company", "A & B", "INVALID_SPECIAL_CHARACTERS: Enter no special characters" }, { "company", "Müller", "Müller" },
      { "jobtitle", "The boss", "INVALID_WHITESPACE: Enter no spaces" },
      { "website", "https://example.org/x", "INVALID_URL_DOMAIN: Enter no address at these domains: example.org" },
      { "email", "a@example.net", "INVALID_EMAIL_DOMAIN: Enter an address at one of these domains: example.com" },
      { "email", "a@example.com", "a@example.com" }, { "probe", "2026-09-15", "2026-09-15" },
      { "probe", "2026-09-07", "INVALID_AFTER_DURATION: Enter a date after P7D from now" },
      { "probe", "2027-01-05", "INVALID_END_DATE: Enter a date up to 2026-12-31" },
      { "probe", "2026-09-16", "INVALID_DAYS_OF_WEEK: Enter a date on one of these days: MONDAY, TUESDAY" },
    } do
      expect(says(call, case[1], case[2])).to.equal(case[3])
    end
    S:control("validate", { type = "deals", property = "amount", rule = "MAX_NUMBER", arguments = { "1000" } })
    S:control("validate", { type = "deals", property = "amount", rule = "DECIMAL", arguments = { "2" } })
    local function deal(amount)
      local status, e = call("POST", DEALS, { properties = { dealname = "x", dealstage = "appointmentscheduled", amount = amount } })
      return status == 201 and "well" or e.errors[1].message
    end
    expect({ deal("999.99"), deal("1000.01"), deal("1.001") }).to.equal { "well", "Enter a number of at most 1000",
      "Enter at most 2 decimal places" }
    for _, case in ipairs { { "firstname/rule-type/ALPHANUMERIC", { ruleArguments = { "GREEK" } }, 400 },
      { "firstname/rule-type/MAX_LENGTH", { ruleArguments = { "many" } }, 400 }, { "firstname/rule-type/MAX_LENGTH", {}, 400 },
      { "firstname/rule-type/MIN_NUMBER", { ruleArguments = { "5" } }, 400 }, { "closedate/rule-type/START_DATE",
        { ruleArguments = { "2026-01-01" } }, 400 },
      { "firstname/rule-type/NONSENSE", { ruleArguments = {} }, 400 }, { "firstname/rule-type/REGEX", { ruleArguments = { "x" } }, 501 },
      { "shoesize/rule-type/MAX_LENGTH", { ruleArguments = { "5" } }, 404 } } do
      expect((call("PUT", P .. "/" .. case[1], case[2]))).to.equal(case[3])
    end
    expect((call("GET", P .. "/city/rule-type/MAX_LENGTH"))).to.equal(404)
  end)
end)

describe("calculated properties", function()
  it("follow from associations", function()
    local call, S = account()
    local company = S:control("create", { type = "companies", properties = { name = "A" } })
    local contact = S:control("create", { type = "contacts", properties = { firstname = "A" } })
    S:control("associate", { from_type = "contacts", from = contact.id, to_type = "companies", to = company.id })
    local _, c = call("GET", CONTACTS .. "/" .. contact.id .. "?properties=associatedcompanyid")
    expect(c.properties.associatedcompanyid).to.equal(company.id)
    local _, f = call("GET", "/crm/objects/2026-09/companies/" .. company.id .. "?properties=num_associated_contacts,num_associated_deals")
    expect({ f.properties.num_associated_contacts, f.properties.num_associated_deals }).to.equal { "1", "0" }
    local _, def = call("GET", "/crm/properties/2026-09/companies/num_associated_contacts")
    expect({ def.calculated, def.modificationMetadata.readOnlyValue }).to.equal { true, true }
  end)

  it("follow from a formula", function()
    local call = account()
    local body = { name = "net", label = "Net", type = "number", fieldType = "calculation_equation", groupName = "dealinformation",
      calculationFormula = "(amount - 20) / 2 + -num_associated_contacts * 1.5" }
    local status, def = call("POST", "/crm/properties/2026-09/deals", body)
    expect({ status, def.calculated, def.calculationFormula }).to.equal { 201, true, body.calculationFormula }
    local function net(amount)
      local _, deal = call("POST", DEALS, { properties = { dealname = "x", dealstage = "appointmentscheduled", amount = amount } })
      return select(2, call("GET", DEALS .. "/" .. deal.id .. "?properties=net")).properties.net
    end
    expect({ net("100"), net("25.5"), net() }).to.equal { "40", "2.75", json.null }
    local _, found = call("POST", DEALS .. "/search", { filterGroups = { { filters = { { propertyName = "net", operator = "GT",
      value = "3" } } } } })
    expect(found.total).to.equal(0)   -- the index lags
    status = call("POST", DEALS, { properties = { dealname = "x", dealstage = "appointmentscheduled", net = "5" } })
    expect(status).to.equal(400)
    for formula, wanted in pairs { ["amount +"] = 400, ["(amount"] = 400, ["dealname * 2"] = 400, ["nowhere"] = 400, ["amount 2"] = 400,
      ["max(amount, 2)"] = 501 } do
      body.name, body.calculationFormula = "other", formula
      expect((call("POST", "/crm/properties/2026-09/deals", body))).to.equal(wanted)
    end
  end)
end)

describe("archived records", function()
  it("come back within 90 days, and tell of it", function()
    local now = NOW
    local sent, tasks = {}, {}
    local S = server.new({ webhook_url = "https://hooks.example.com/", subscriptions = { "contact.restore" } }, {
      now = function() return now end, random = function() return 0.5 end, spawn = function(fn) tasks[#tasks + 1] = fn end,
      deliver = function(r)
        sent[#sent + 1] = json.decode(r.body)[1]
        return { status = 204, body = "" }
      end })
    local function run() while #tasks > 0 do table.remove(tasks, 1)() end end
    local made = S:control("create", { type = "contacts", properties = { email = "a@example.com" } })
    S:control("delete", { type = "contacts", id = made.id })
    local back = S:control("restore", { type = "contacts", id = made.id })
    expect({ back.archived, back.properties.email }).to.equal { false, "a@example.com" }
    run()
    expect({ #sent, sent[1].subscriptionType, tostring(sent[1].objectId) }).to.equal { 1, "contact.restore", made.id }
    S:control("delete", { type = "contacts", id = made.id })
    S:control("create", { type = "contacts", properties = { email = "a@example.com" } })
    expect(function() S:control("restore", { type = "contacts", id = made.id }) end).to.raise("Contact already exists")
    now = now + 91 * 86400000
    expect(function() S:control("restore", { type = "contacts", id = made.id }) end).to.raise("more than 90 days ago")
    expect(function() S:control("restore", { type = "contacts", id = "5" }) end).to.raise("does not exist")
  end)
end)
