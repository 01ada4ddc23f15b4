-- Iterators against the simulator: paging ahead, windows, cursors, and what changes while one runs.
local hubspot = require "hubspot"

local function contacts(n, make)
  local list = {}
  for i = 1, n do
    list[i] = make and make(i) or {}
    list[i].email = list[i].email or ("p%d@example.com"):format(i)
  end
  return sim.control("batch_create", { type = "contacts", records = list }).ids
end

local function ids(iterator)
  local out = {}
  for item in iterator do out[#out + 1] = item.id end
  return out
end

local function calls(part)
  local n = 0
  for _, call in ipairs(sim.calls()) do
    if call.path:find(part, 1, true) then n = n + 1 end
  end
  return n
end

local EMAIL = { properties = { "email" }, limit = 10 }

describe("an iterator", function()
  it("reads the next page while the script works on this one", function()
    sim.start { latency_ms = 1000 }
    contacts(30)
    local began = time.now()
    for _ in hubspot.contacts.list(EMAIL) do task.sleep(0.2) end
    -- The first page's latency and the work: the other two pages came meanwhile.
    expect(time.now() - began).to.equal(1000 + 30 * 200)
    expect(calls("/contacts")).to.equal(3)
  end)

  it("is one page ahead, not more, and not before the second record is asked for", function()
    contacts(40)
    local it = hubspot.contacts.list(EMAIL)
    it()
    task.sleep("10s")
    expect(calls("/contacts")).to.equal(1)
    it()
    task.sleep("10s")
    expect(calls("/contacts")).to.equal(2)
    for _ = 3, 11 do it() end
    task.sleep("10s")
    expect(calls("/contacts")).to.equal(3)
  end)

  it("reads more properties than a URL holds, page by page in the same order", function()
    contacts(25)
    local names = { "email" }
    for i = 1, 600 do names[#names + 1] = ("a_custom_property_%d"):format(i) end
    local it, emails = hubspot.contacts.list { properties = names, limit = 10 }, {}
    for contact in it do
      emails[#emails + 1] = contact.email
      expect(contact.a_custom_property_600).to.be_nil()
      expect(pcall(function() return contact.city end)).to.be_false()
      if #emails == 15 then break end
    end
    for contact in hubspot.contacts.list { properties = names, limit = 10, after = it:cursor() } do emails[#emails + 1] = contact.email end
    expect(#emails).to.equal(25)
    for i, email in ipairs(emails) do expect(email).to.equal(("p%d@example.com"):format(i)) end
    expect(calls("/contacts/batch/read")).to.be_at_least(3)
    for _ in hubspot.contacts.list { properties = names, archived = true } do error("nothing is archived") end
  end)

  it("ends what it reads ahead when the loop is left", function()
    contacts(40)
    sim.advance("2s")
    local others = 12   -- more than HubSpot takes in a second: what is read ahead waits behind them
    local function leave(how)
      local n = 0
      for _ in hubspot.contacts.search(EMAIL) do
        n = n + 1
        if n == 1 then
          for _ = 1, others do task.spawn(function() hubspot.companies.search {} () end) end
        elseif n == 2 then
          task.sleep(0.1)
          if how == "break" then break end
          error("enough")
        end
      end
    end
    leave("break")
    task.sleep("10s")
    expect(calls("/contacts/search")).to.equal(1)
    expect(calls("/companies/search")).to.equal(others)
    expect(leave).to.raise("enough")
    task.sleep("10s")
    expect(calls("/contacts/search")).to.equal(2)
  end)

  it("goes on in another task when the one that read ahead has ended", function()
    sim.start { latency_ms = 1000 }
    local made = contacts(25)
    local it, got = hubspot.contacts.list(EMAIL), {}
    task.spawn(function()
      for _ = 1, 5 do got[#got + 1] = it().id end   -- and ends while the second page is on its way
    end):wait()
    for contact in it do got[#got + 1] = contact.id end
    expect(got).to.equal(made)
  end)

  it("can be shared by tasks: each record goes to one of them", function()
    sim.start { latency_ms = 100 }
    local made = contacts(57)
    local it, got = hubspot.contacts.list(EMAIL), {}
    local workers = {}
    for i = 1, 4 do
      workers[i] = function()
        for contact in it do
          got[#got + 1] = contact.id
          task.sleep(0.01)
        end
      end
    end
    task.all(workers)
    table.sort(got, function(a, b) return tonumber(a) < tonumber(b) end)
    expect(got).to.equal(made)
    expect(calls("/contacts")).to.equal(6)
  end)

  it("raises what a page failed with when the script gets there, and then tries again", function()
    local made = contacts(25)
    local it, got = hubspot.contacts.list(EMAIL), {}
    got[1] = it().id
    sim.fail { match = { path = "/contacts" }, status = 403, times = 1 }
    for i = 2, 10 do got[i] = it().id end
    task.sleep("1s")
    expect(function() it() end).to.raise { kind = "hubspot", status = 403 }
    for contact in it do got[#got + 1] = contact.id end
    expect(got).to.equal(made)
  end)

  it("that nobody goes on with keeps its page's failure to itself", function()
    contacts(25)
    local it = hubspot.contacts.list(EMAIL)
    it()
    sim.fail { match = { path = "/contacts" }, status = 403, times = 1 }
    it()
    task.sleep("1s")
    expect(calls("/contacts")).to.equal(2)
  end)

  it("is empty for nothing, and stays at its end", function()
    local it = hubspot.contacts.list(EMAIL)
    expect(it()).to.be_nil()
    expect(it()).to.be_nil()
    local search = hubspot.contacts.search(EMAIL)
    expect(search()).to.be_nil()
  end)

  it("keeps its class for what it reads ahead", function()
    contacts(30)
    sim.advance("2s")
    local it = hubspot.contacts.search { limit = 10, priority = "live" }
    it()
    for _ = 1, 20 do task.spawn(function() hubspot.companies.search {} () end) end
    task.sleep(0.01)
    it()   -- others wait by now, of a class that waits
    task.sleep("20s")
    local order = {}
    for _, call in ipairs(sim.calls()) do order[#order + 1] = call.path:match("/(%w+)/search$") end
    local last = 0
    for i, name in ipairs(order) do if name == "contacts" then last = i end end
    expect(#order).to.equal(22)
    expect(last).to.be_at_most(7)
  end)
end)

describe("cursors", function()
  it("of a list go on after the last record that was received", function()
    local made = contacts(25)
    for n = 0, 25 do
      local it, got = hubspot.contacts.list(EMAIL), {}
      for i = 1, n do got[i] = it().id end
      local cursor = it:cursor()
      for contact in hubspot.contacts.list { properties = { "email" }, limit = 7, after = cursor } do got[#got + 1] = contact.id end
      expect(got).to.equal(made)
    end
  end)

  it("live in kv, and are gone on with in turn", function()
    local made = contacts(25)
    sim.advance("2s")
    local got = {}
    for _ = 1, 9 do
      local it = hubspot.contacts.search { limit = 4, cursor = kv.get("cursor") }
      for _ = 1, 3 do
        local contact = it()
        if contact then got[#got + 1] = contact.id end
      end
      kv.set("cursor", it:cursor())
    end
    expect(got).to.equal(made)
    made[26] = sim.create("contacts", { email = "late@example.com" })
    sim.advance("2s")
    for contact in hubspot.contacts.search { cursor = kv.get("cursor") } do got[#got + 1] = contact.id end
    expect(got).to.equal(made)
  end)

  it("survive that received records are deleted and others come", function()
    local made = contacts(25)
    local it, got = hubspot.contacts.list(EMAIL), {}
    for i = 1, 14 do got[i] = it().id end
    local cursor = it:cursor()
    sim.control("delete", { type = "contacts", id = made[14] })
    sim.control("delete", { type = "contacts", id = made[11] })
    made[26] = sim.create("contacts", { email = "late@example.com" })
    for contact in hubspot.contacts.list { limit = 10, after = cursor } do got[#got + 1] = contact.id end
    expect(got).to.equal(made)
  end)

  it("are refused elsewhere", function()
    contacts(3)
    local it = hubspot.contacts.list(EMAIL)
    it()
    local list, search = it:cursor(), hubspot.contacts.search(EMAIL):cursor()
    expect(function() hubspot.contacts.list { after = "abc" } end).to.raise("pages_test.lua:%d+: contacts.list: the cursor is no text")
    expect(function() hubspot.contacts.list { after = search } end)
      .to.raise("pages_test.lua:%d+: contacts.list: this cursor comes from contacts.search")
    expect(function() hubspot.companies.list { after = list } end).to.raise("comes from contacts.list")
    expect(function() hubspot.contacts.list { archived = true, after = list } end).to.raise("another query")
    expect(function()
      hubspot.contacts.search { filters = { { propertyName = "email", operator = "HAS_PROPERTY" } }, cursor = search }
    end).to.raise("pages_test.lua:%d+: contacts.search: this cursor comes from another query")
    expect(function() hubspot.contacts.search { sorts = { "email" }, cursor = search } end).to.raise("another query")
    expect(function() hubspot.contacts.search { cursor = search, after = search } end).to.raise("not both")
    expect(function() hubspot.contacts.search { cursor = search .. "x" } end).to.raise("cursor")
  end)
end)

describe("a search", function()
  it("passes 10,000 results, each of them once", function()
    sim.start { tier = "unlimited" }
    for b = 1, 21 do contacts(500, function(i) return { email = ("p%d@example.com"):format(b * 1000 + i) } end) end
    sim.advance("2s")
    local n, last = 0, 0
    for contact in hubspot.contacts.search { properties = { "email" } } do
      local id = math.tointeger(tonumber(contact.id))
      if id <= last then error("out of order: " .. id) end
      n, last = n + 1, id
    end
    expect(n).to.equal(10500)
  end)

  it("passes what HubSpot gives out also where one value is shared by more than that", function()
    sim.start { tier = "unlimited", search_results = 40 }
    contacts(130, function(i) return { city = i <= 110 and "Ulm" or i <= 120 and ("C%d"):format(i) or nil } end)
    sim.advance("2s")
    for _, sort in ipairs { "city", "-city" } do
      local seen, n, missing = {}, 0, 0
      for contact in hubspot.contacts.search { properties = { "city" }, sorts = { sort }, limit = 20 } do
        expect(seen[contact.id]).to.be_nil()
        seen[contact.id], n = true, n + 1
        if not contact.city then missing = missing + 1 else expect(missing).to.equal(0) end
      end
      expect(n).to.equal(130)
      expect(missing).to.equal(10)
    end
  end)

  it("keeps all that HubSpot shows when it sorts and no properties were asked for", function()
    contacts(3, function(i) return { firstname = "F" .. i, city = "C" .. 4 - i } end)
    sim.advance("2s")
    local names = {}
    for contact in hubspot.contacts.search { sorts = { { propertyName = "city", direction = "ASCENDING" } } } do
      names[#names + 1] = contact.firstname
      expect(contact.email).to.contain("@")
    end
    expect(names).to.equal { "F3", "F2", "F1" }
  end)

  it("that changes what it finds misses nothing", function()
    local made = contacts(60, function() return { lifecyclestage = "lead" } end)
    sim.advance("2s")
    local n = 0
    for contact in hubspot.contacts.search { limit = 10,
      filters = { { propertyName = "lifecyclestage", operator = "EQ", value = "lead" } } } do
      hubspot.contacts.update(contact.id, { lifecyclestage = "customer" })
      task.sleep("2s")   -- the index knows it before the next page
      n = n + 1
    end
    expect(n).to.equal(#made)
  end)

  it("finds text in the order of ids", function()
    local made = contacts(25, function(i) return { firstname = i % 2 == 0 and "Ana" or "Bo" } end)
    sim.advance("2s")
    local got = ids(hubspot.contacts.search { query = "ana", limit = 5 })
    expect(#got).to.equal(12)
    expect(got[1]).to.equal(made[2])
    expect(got[12]).to.equal(made[24])
  end)

  it("without room for a window pages by position, and says at the end what would help", function()
    sim.start { tier = "unlimited", search_results = 40 }
    contacts(30, function() return { city = "Ulm" } end)
    sim.advance("2s")
    local filters = {}
    for i = 1, 6 do filters[i] = { propertyName = "city", operator = "NEQ", value = "X" .. i } end
    local query = { filters = filters, limit = 7 }
    local got = ids(hubspot.contacts.search(query))
    expect(#got).to.equal(30)
    local it = hubspot.contacts.search(query)
    for i = 1, 10 do expect(it().id).to.equal(got[i]) end
    query.cursor = it:cursor()
    expect(#ids(hubspot.contacts.search(query))).to.equal(20)
  end)

  it("by an enumeration goes by position, from any record and with pages of any size", function()
    local deals = {}
    for i = 1, 30 do
      deals[i] = { dealname = "D" .. i, dealstage = "appointmentscheduled", pipeline = "default",
        dealtype = i % 3 == 0 and "newbusiness" or i % 3 == 1 and "existingbusiness" or nil }
    end
    sim.control("batch_create", { type = "deals", records = deals })
    sim.advance("2s")
    local function query(limit, cursor) return { properties = { "dealtype" }, sorts = { "-dealtype" }, limit = limit, cursor = cursor } end
    local all = ids(hubspot.deals.search(query(200)))
    expect(#all).to.equal(30)
    for _, sizes in ipairs { { 200, 5 }, { 7, 4 }, { 7, 11 } } do
      for n = 0, 30, 3 do
        local it, got, seen = hubspot.deals.search(query(sizes[1])), {}, {}
        for i = 1, n do got[i] = it().id end
        for deal in hubspot.deals.search(query(sizes[2], it:cursor())) do got[#got + 1] = deal.id end
        for _, id in ipairs(got) do seen[id] = true end
        expect(#got).to.equal(30)
        for _, id in ipairs(all) do expect(seen[id]).to.be_true() end
      end
    end
  end)

  it("by a text for which HubSpot takes no bounds goes by position", function()
    local made = contacts(40, function(i) return { city = i % 4 > 0 and "C" .. i % 4 or nil } end)
    sim.advance("2s")
    local it, got = hubspot.contacts.search { properties = { "city" }, sorts = { "city" }, limit = 10 }, {}
    got[it().id] = true
    sim.fail { match = { path = "/search" }, status = 400, times = 1 }
    local n = 1
    for contact in it do
      expect(got[contact.id]).to.be_nil()
      got[contact.id], n = true, n + 1
    end
    expect(n).to.equal(#made)
  end)

  it("refuses what HubSpot cannot take", function()
    expect(function() hubspot.contacts.search { sorts = { "email", "city" } } end)
      .to.raise("pages_test.lua:%d+: search: HubSpot sorts by one property")
    expect(function() hubspot.contacts.search { sorts = { { direction = "ASCENDING" } } } end).to.raise("a sort is")
    expect(function() hubspot.contacts.search { sorts = "email" } end).to.raise("must be a table")
    local names = {}
    for i = 1, 200 do names[i] = "a_property_with_a_long_name_" .. i end
    expect(function() hubspot.contacts.search { properties = names } end)
      .to.raise("pages_test.lua:%d+: search: the request has %d+ characters, and HubSpot takes 3000")
  end)
end)

-- Random data with many equal values, random queries, changes on the way, and new starts from a cursor:
-- whatever was there and was not touched comes exactly once, and in order.
describe("random searches", function()
  local function number(text) return text and (tonumber(text) or time.parse(text)) end

  local SORTS = {
    { },
    { key = "hs_object_id", down = true, of = function(r) return tonumber(r.id) end },
    { key = "amount", of = function(r) return number(r.properties.amount) end },
    { key = "amount", down = true, of = function(r) return number(r.properties.amount) end },
    { key = "closedate", of = function(r) return number(r.properties.closedate) end },
    { key = "closedate", down = true, of = function(r) return number(r.properties.closedate) end },
    { key = "description", of = function(r) return r.properties.description and r.properties.description:lower() end },
    { key = "description", down = true, of = function(r) return r.properties.description and r.properties.description:lower() end },
  }
  local WORDS = { "a", "A", "Ab", "b", "2026-03-01", "2026-03-02", "10", "9", "é" }

  local function random_deal(round, spread)
    return {
      dealname = "round" .. round, dealstage = "appointmentscheduled", pipeline = "default",
      amount = math.random() < 0.8 and tostring(math.random(spread)) or nil,
      closedate = math.random() < 0.8 and tostring(1788249600000 + math.random(spread)) or nil,
      description = math.random() < 0.8 and WORDS[math.random(math.min(spread, #WORDS))] or nil,
    }
  end

  local function run(round, changes)
    local spread = math.random() < 0.5 and 3 or 40
    local records = {}
    for i = 1, math.random(0, 70) do records[i] = random_deal(round, spread) end
    local made = sim.control("batch_create", { type = "deals", records = records }).ids
    sim.advance("2s")
    local sort = SORTS[math.random(#SORTS)]
    local query = { limit = math.random(1, 12), properties = { "dealname" }, sorts = sort.key and
      { { propertyName = sort.key, direction = sort.down and "DESCENDING" or "ASCENDING" } } or nil }
    local mine = { propertyName = "dealname", operator = "EQ", value = "round" .. round }
    if math.random() < 0.5 then query.filters = { mine }
    else query.filterGroups = { { filters = { mine } }, { filters = { mine, { propertyName = "amount", operator = "HAS_PROPERTY" } } } } end

    local touched, count, order = {}, {}, {}
    local it = hubspot.deals.search(query)
    for _ = 1, 1000 do
      if math.random() < 0.1 then   -- the process ends here
        query.cursor, query.limit = it:cursor(), math.random(1, 12)
        it = hubspot.deals.search(query)
      end
      local deal = it()
      if not deal then break end
      count[deal.id] = (count[deal.id] or 0) + 1
      order[#order + 1] = deal
      if changes and #made > 0 and math.random() < 0.3 then
        local id = made[math.random(#made)]
        local what = math.random(3)
        if what == 1 then
          sim.create("deals", random_deal(round, spread))
        elseif not touched[id] then
          touched[id] = true
          if what == 2 then sim.control("delete", { type = "deals", id = id })
          else sim.control("update", { type = "deals", id = id, properties = { amount = tostring(math.random(spread)),
            closedate = tostring(1788249600000 + math.random(spread)), description = WORDS[math.random(#WORDS)] } }) end
        end
        if math.random() < 0.5 then sim.advance("2s") end
      end
    end

    local label = ("round %d: %d records, sort %s%s, pages of %d"):format(round, #made, sort.down and "-" or "",
      sort.key or "(ids)", query.limit)
    for _, id in ipairs(made) do
      if not touched[id] and count[id] ~= 1 then error(("%s: %s came %d times"):format(label, id, count[id] or 0)) end
      if not sort.key and (count[id] or 0) > 1 then error(label .. ": " .. id .. " came twice") end
    end
    if changes then return end
    local last
    for _, deal in ipairs(order) do
      local key = sort.of and sort.of(deal)
      if sort.of and last ~= nil and key ~= nil and (sort.down and key > last or not sort.down and key < last) then
        error(label .. ": out of order at " .. deal.id)
      end
      if sort.of and last == nil and key ~= nil and deal ~= order[1] then error(label .. ": a value after none at " .. deal.id) end
      last = key
    end
  end

  it("find everything once, in order", function()
    sim.start { tier = "unlimited", search_results = 50 }
    for round = 1, 60 do run(round, false) end
  end)

  it("find what does not change once, while the rest does", function()
    sim.start { tier = "unlimited", search_results = 50 }
    for round = 1, 60 do run(round, true) end
  end)
end)

describe("other collections", function()
  it("of associations and owners page ahead too", function()
    sim.start { owners = 5 }
    local contact = contacts(1)[1]
    local companies = {}
    for i = 1, 5 do
      companies[i] = sim.create("companies", { name = "C" .. i, domain = ("c%d.example"):format(i) })
      hubspot.associations.create("contacts", contact, "companies", companies[i])
    end
    local found = {}
    for to in hubspot.associations.list("contacts", contact, "companies") do found[#found + 1] = to.toObjectId end
    expect(found).to.equal(companies)
    local all = ids(hubspot.owners.list { limit = 2 })
    expect(#all).to.equal(5)
    expect(calls("/owners")).to.equal(3)
    for n = 0, 5 do
      local it, got = hubspot.owners.list { limit = 2 }, {}
      for i = 1, n do got[i] = it().id end
      for owner in hubspot.owners.list { limit = 3, cursor = it:cursor() } do got[#got + 1] = owner.id end
      expect(got).to.equal(all)
      it = hubspot.associations.list("contacts", contact, "companies")
      got = {}
      for i = 1, n do got[i] = it().toObjectId end
      for to in hubspot.associations.list("contacts", contact, "companies", { cursor = it:cursor() }) do got[#got + 1] = to.toObjectId end
      expect(got).to.equal(companies)
    end
    local cursor = hubspot.owners.list():cursor()
    expect(function() hubspot.owners.list { archived = true, cursor = cursor } end)
      .to.raise("owners.list: this cursor comes from another query")
    expect(function() hubspot.owners.get(all[1], { cursor = cursor }) end).to.raise("takes no cursor")
  end)
end)
