-- The hubspot module against the simulator.
local hubspot = require "hubspot"

local function lead(properties)
  properties.email = properties.email or "ana@example.com"
  return sim.create("contacts", properties)
end

describe("records", function()
  it("read through to their properties", function()
    local id = lead { email = "ana@example.com", country = "Germany" }
    local got = hubspot.contacts.get(id, { "email", "country", "company" })
    expect(got.id).to.equal(id)
    expect(got.email).to.equal("ana@example.com")
    expect(got.properties.country).to.equal("Germany")
    expect(got.company).to.be_nil()
    expect(got.archived).to.equal(false)
  end)

  it("raise for a property that was not asked for, at the line that reads it", function()
    local got = hubspot.contacts.get(lead {}, { "email" })
    expect(function() return got.phone end).to.raise('hubspot_test.lua:%d+: the property "phone" was not asked for')
  end)

  it("know nothing of what was asked for when there was no list", function()
    expect(hubspot.contacts.get(lead {}).phone).to.be_nil()
  end)

  it("are found by another unique property", function()
    local id = lead { email = "bo@example.com" }
    expect(hubspot.contacts.get("bo@example.com", { "email" }, { id_property = "email" }).id).to.equal(id)
  end)

  it("that do not exist raise HubSpot's error", function()
    expect(function() hubspot.contacts.get("999999", { "email" }) end).to.raise { kind = "hubspot", status = 404 }
  end)
end)

describe("writes", function()
  it("take numbers of any size, in digits", function()
    local deal = hubspot.deals.create { dealname = "x", dealstage = "appointmentscheduled" }
    local id = deal.id
    for _, case in ipairs { { 0.1 + 0.2 - 0.3, "0.0000000000000000555111512312" }, { 1e20, "100000000000000000000" }, { 1.5e-7,
      "0.00000015" },
      { -2.5e16, "-25000000000000000" }, { 12.5, "12.5" }, { 7, "7" }, { 1 / 3, "0.3333333333333333" } } do
      hubspot.deals.update(id, { amount = case[1] })
      local text = sim.deal(id).amount
      expect(tonumber(text)).to.equal(case[1] + 0.0)
      expect(text:sub(1, #case[2])).to.equal(case[2])
    end
  end)

  it("take plain values", function()
    local deal = hubspot.deals.create { dealname = "Big", dealstage = "appointmentscheduled", pipeline = "default",
      amount = 1200.5 }
    expect(sim.deal(deal.id).amount).to.equal("1200.5")
    hubspot.deals.update(deal.id, { amount = 3 })
    expect(sim.deal(deal.id).amount).to.equal("3")
  end)

  it("clear a property with json.null", function()
    local id = lead { city = "Berlin" }
    hubspot.contacts.update(id, { city = json.null })
    expect(hubspot.contacts.get(id, { "city" }).city).to_not.equal("Berlin")
  end)

  it("refuse what cannot be a value, naming it", function()
    expect(function() hubspot.contacts.update("1", { city = print }) end).to.raise('property "city" cannot be a function')
    expect(function() hubspot.contacts.update("1", { city = 0 / 0 }) end).to.raise('property "city"')
    expect(function() hubspot.contacts.create { "a" } end).to.raise("without a name")
    expect(function() hubspot.contacts.update("1", { tags = { "a;b" } }) end)
      .to.raise('hubspot_test.lua:%d+: .*an item of a list cannot hold ";"')
  end)

  it("that HubSpot refuses raise its error", function()
    lead { email = "twice@example.com" }
    expect(function() hubspot.contacts.create { email = "twice@example.com" } end)
      .to.raise { kind = "hubspot", status = 409, category = "CONFLICT" }
  end)

  it("upsert creates, then updates", function()
    local first = hubspot.contacts.upsert("email", { email = "new@example.com", city = "Bonn" })
    local second = hubspot.contacts.upsert("email", { email = "new@example.com", city = "Ulm" })
    expect(second.id).to.equal(first.id)
    expect(sim.contact(first.id).city).to.equal("Ulm")
  end)

  it("archive", function()
    local id = lead {}
    hubspot.contacts.archive(id)
    expect(function() hubspot.contacts.get(id, { "email" }) end).to.raise { status = 404 }
  end)
end)

describe("batches", function()
  it("create many, and a bad row fails alone", function()
    lead { email = "taken@example.com" }
    local list = {}
    for i = 1, 5 do list[i] = { email = ("p%d@example.com"):format(i) } end
    list[3] = { email = "taken@example.com" }
    local made, failed = hubspot.contacts.batch_create(list)
    expect(made).to.have_length(4)
    expect(made[3].properties.email).to.equal("p4@example.com")
    expect(failed).to.have_length(1)
    expect(failed[1].index).to.equal(3)
    expect(failed[1].error.kind).to.equal("hubspot")
  end)

  it("read more than one batch's worth", function()
    local ids = {}
    for i = 1, 230 do ids[i] = lead { email = ("r%d@example.com"):format(i) } end
    local got, failed = hubspot.contacts.batch_read(ids, { "email" })
    expect(got).to.have_length(230)
    expect(failed).to.have_length(0)
    expect(got[230].email).to.equal("r230@example.com")
  end)

  it("update and archive", function()
    local a, b = lead { email = "a@example.com" }, lead { email = "b@example.com" }
    local made = hubspot.contacts.batch_update { { id = a, properties = { city = "X" } }, { id = b, properties = { city = "Y" } } }
    expect(made).to.have_length(2)
    expect(sim.contact(b).city).to.equal("Y")
    hubspot.contacts.batch_archive { a, b }
    expect(function() hubspot.contacts.get(a, { "email" }) end).to.raise { status = 404 }
  end)

  it("raise what is not a row's fault", function()
    sim.fail { match = { path = "/crm/objects" }, status = 403, times = 0 }
    expect(function() hubspot.contacts.batch_create { { email = "a@example.com" }, { email = "b@example.com" } } end)
      .to.raise { status = 403 }
  end)
end)

describe("calls of one moment", function()
  local function requests(fn)
    local before = #sim.calls()
    fn()
    return #sim.calls() - before
  end

  local function each(n, fn)
    local list = {}
    for i = 1, n do list[i] = i end
    return task.map(list, fn, { concurrency = n })
  end

  it("create, update and archive by the hundred, each with its own answer", function()
    local made
    expect(requests(function()
      made = each(150, function(i) return hubspot.companies.create { name = "C" .. i, domain = "c" .. i .. ".example" } end)
    end)).to.equal(2)
    for i, company in ipairs(made) do expect(company.name).to.equal("C" .. i) end
    expect(requests(function() each(150, function(i) hubspot.companies.update(made[i].id, { city = "X" .. i }) end) end)).to.equal(2)
    expect(sim.company(made[140].id).city).to.equal("X140")
    expect(requests(function() each(150, function(i) hubspot.companies.archive(made[i].id) end) end)).to.equal(2)
    expect(function() hubspot.companies.get(made[7].id) end).to.raise { status = 404 }
  end)

  it("upsert by a unique property", function()
    local id = lead { email = "u3@example.com" }
    local got
    expect(requests(function()
      got = each(20, function(i) return hubspot.contacts.upsert("email", { email = ("u%d@example.com"):format(i), city = "U" }) end)
    end)).to.equal(1)
    expect(got[3].id).to.equal(id)
    expect(got[3].new).to.equal(false)
    expect(got[4].new).to.be_true()
  end)

  it("associate, read and end associations", function()
    local contact = lead {}
    local companies = {}
    for i = 1, 30 do companies[i] = sim.create("companies", { name = "A" .. i, domain = "a" .. i .. ".example" }) end
    expect(requests(function()
      each(30, function(i) hubspot.associations.create("contacts", contact, "companies", companies[i]) end)
    end)).to.equal(1)
    local label = { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 1 } }
    hubspot.associations.create("contacts", contact, "companies", companies[5], label)
    local function linked(company)
      local n = 0
      for _ in hubspot.associations.list("companies", company, "contacts") do n = n + 1 end
      return n
    end
    local found
    expect(requests(function() found = each(30, function(i) return linked(companies[i]) end) end)).to.equal(1)
    for i = 1, 30 do expect(found[i]).to.equal(1) end
    hubspot.associations.remove("contacts", contact, "companies", companies[5], label)
    expect(linked(companies[5])).to.equal(1)
    expect(requests(function()
      each(30, function(i) hubspot.associations.remove("contacts", contact, "companies", companies[i]) end)
    end)).to.equal(1)
    expect(linked(companies[5])).to.equal(0)
    expect(function() hubspot.associations.create("contacts", contact, "companies", companies[1], {}) end).to.raise("types must be a list")
  end)

  it("stay alone when asked to", function()
    expect(requests(function()
      each(5, function(i) hubspot.contacts.create({ email = ("s%d@example.com"):format(i) }, { batch = false }) end)
    end)).to.equal(5)
  end)

  it("for one object keep their order", function()
    local id = lead {}
    each(20, function(i) hubspot.contacts.update(id, { city = "City " .. i }) end)
    expect(sim.contact(id).city).to.equal("City 20")
    task.all {
      function() hubspot.contacts.update(id, { city = "before" }) end,
      function()
        hubspot.request { method = "PATCH", path = "/crm/objects/{version}/contacts/" .. id,
          json = { properties = { city = "raw" } } }
      end,
      function() hubspot.contacts.archive(id) end,
    }
    expect(function() hubspot.contacts.get(id) end).to.raise { status = 404 }
  end)
end)

describe("iterators", function()
  it("list page by page", function()
    for i = 1, 250 do lead { email = ("l%d@example.com"):format(i) } end
    local n, seen = 0, {}
    for contact in hubspot.contacts.list { properties = { "email" } } do
      n = n + 1
      seen[contact.email] = true
    end
    expect(n).to.equal(250)
    expect(seen["l250@example.com"]).to.be_true()
    local pages = 0
    for _, call in ipairs(sim.calls()) do
      if call.method == "GET" then pages = pages + 1 end
    end
    expect(pages).to.equal(3)
  end)

  it("search with filters", function()
    for i = 1, 30 do lead { email = ("s%d@example.com"):format(i), country = i % 3 == 0 and "France" or "Spain" } end
    sim.advance("2s")
    local n = 0
    for contact in hubspot.contacts.search {
      filters = { { propertyName = "country", operator = "EQ", value = "France" } }, properties = { "email", "country" }, limit = 4 } do
      expect(contact.country).to.equal("France")
      n = n + 1
    end
    expect(n).to.equal(10)
  end)

  it("of owners find one by e-mail", function()
    local first
    for owner in hubspot.owners.list() do first = first or owner end
    if first then
      expect(hubspot.owners.by_email(first.email:upper()).id).to.equal(first.id)
      expect(hubspot.owners.get(first.id).email).to.equal(first.email)
    end
    expect(hubspot.owners.by_email("nobody@nowhere.example")).to.be_nil()
  end)
end)

describe("another version", function()
  it("of one call goes alone, under that version", function()
    local a = hubspot.contacts.create({ email = "v@example.com" }, { version = "2026-03" })
    hubspot.contacts.update("v@example.com", { city = "Ulm" }, { version = "2026-03", id_property = "email" })
    local got = hubspot.contacts.get(a.id, { "city" }, { version = "2026-03" })
    expect(got.city).to.equal("Ulm")
    expect(function() return got.phone end).to.raise("was not asked for")
    for one in hubspot.contacts.list { version = "2026-03", "email" } do expect(one.email).to.equal("v@example.com") end
    hubspot.contacts.archive(a.id, { version = "2026-03" })
    local seen = {}
    for i, call in ipairs(sim.calls()) do seen[i] = call.method .. " " .. call.path end
    expect(seen).to.equal { "POST /crm/objects/2026-03/contacts", "PATCH /crm/objects/2026-03/contacts/v%40example.com",
      "GET /crm/objects/2026-03/contacts/" .. a.id, "GET /crm/objects/2026-03/contacts", "DELETE /crm/objects/2026-03/contacts/" .. a.id }
    expect(function() hubspot.contacts.get("1", nil, { version = "v3" }) end).to.raise('must be a dated one')
  end)
end)

describe("the rest", function()
  it("associates and lists associations", function()
    local contact = lead {}
    local company = sim.create("companies", { name = "Example", domain = "example.com" })
    hubspot.associations.create("contacts", contact, "companies", company)
    local found = {}
    for to in hubspot.associations.list("contacts", contact, "companies") do found[#found + 1] = to.toObjectId end
    expect(found).to.equal { company }
    hubspot.associations.remove("contacts", contact, "companies", company)
    found = {}
    for to in hubspot.associations.list("contacts", contact, "companies") do found[#found + 1] = to.toObjectId end
    expect(found).to.equal {}
  end)

  it("reads property definitions and the account", function()
    expect(hubspot.properties("contacts").get("email").name).to.equal("email")
    local n = 0
    for definition in hubspot.properties("contacts").list() do n = n + (definition.name and 1 or 0) end
    expect(n).to.be_at_least(5)
    expect(tostring(hubspot.account.info().portalId)).to.equal("62515")
  end)

  it("sends anything else with request", function()
    local answer, status = hubspot.request { path = "/crm/objects/{version}/contacts",
      query = { limit = 1, properties = { "email", "city" } } }
    expect(status).to.equal(200)
    expect(answer.results).to.equal(json.array {})
    expect(function() hubspot.request { path = "crm" } end).to.raise("/")
    expect(function() hubspot.request {} end).to.raise("path")
  end)

  it("names unknown accounts and unknown parts", function()
    expect(function() hubspot.account("shop") end).to.raise('no account "shop"; there are: main')
    expect(function() return hubspot.kontakts end).to.raise("kontakts")
    expect(hubspot.account("main").contacts.get(lead {}, { "email" }).email).to.equal("ana@example.com")
  end)

  it("raises what the outside does", function()
    local id = lead {}
    sim.fail { match = { path = "/crm/objects" }, status = 403, times = 0 }
    expect(function() hubspot.contacts.get(id, { "email" }) end).to.raise { kind = "hubspot", status = 403 }
  end)
end)

describe("a day", function()
  it("that will not last is told to a person, once, and the next day again", function()
    sim.start { daily_limit = 1000 }
    local heard = {}
    on("hubloop.alert", function(event) heard[#heard + 1] = event.payload end)
    local function work(n)
      for _ = 1, n do hubspot.request { path = "/crm/owners/{version}" } end
      sim.settle()
    end
    work(400)
    expect(#heard).to.equal(1)
    expect(heard[1].kind).to.equal("budget_ending")
    expect(heard[1].text).to.contain("bulk calls are slowed down")
    expect(heard[1].day_limit).to.equal(1000)
    expect(heard[1].day_runs_out < heard[1].day_ends).to.be_true()
    sim.advance("2h")
    work(400)
    expect(#heard).to.equal(1)
    sim.advance("22h")
    work(400)
    expect(#heard).to.equal(2)
  end)
end)
