-- form.submission, list.added and list.removed: what HubSpot has to be asked for.
local seen

local function note(event) seen[#seen + 1] = event end

local function calls(path)
  local n = 0
  for _, call in ipairs(sim.calls()) do
    if call.path:find(path, 1, true) then n = n + 1 end
  end
  return n
end

local function ids(field)
  local out = {}
  for i, event in ipairs(seen) do out[i] = event[field] end
  table.sort(out)
  return out
end

before_each(function() seen = {} end)

describe("form.submission", function()
  local function submit(form, from, to, options)
    local out = {}
    for i = from, to do out[#out + 1] = sim.submit_form(form, { email = ("s%d@example.com"):format(i), firstname = "N" .. i }, options) end
    return out
  end

  -- As many submissions as asked for, each once.
  local function expect_all(n)
    expect(#seen).to.equal(n)
    local known = {}
    for _, event in ipairs(seen) do
      expect(known[event.submissionId]).to.be_nil()
      known[event.submissionId] = true
    end
  end

  it("brings what is filled in, with its fields, and nothing from before", function()
    local form = sim.create_form("Contact us")
    submit(form, 1, 3)
    sim.advance("1m")
    on("form.submission", { form = "Contact us" }, note)
    sim.advance(5)
    sim.submit_form(form, { email = "Ada@example.com", city = "Ulm" }, { page = "https://example.com/a", page_name = "A" })
    local at = time.now()
    sim.advance("2m")
    expect(#seen).to.equal(1)
    local event = seen[1]
    expect(event.type).to.equal("form.submission")
    expect(event.formId).to.equal(form)
    expect(event.formName).to.equal("Contact us")
    expect(event.values).to.equal { email = "Ada@example.com", city = "Ulm" }
    expect(event.email).to.equal("Ada@example.com")
    expect(event.pageUrl).to.equal("https://example.com/a")
    expect(event.pageName).to.equal("A")
    expect(event.occurredAt).to.equal(at)
    expect(event.account).to.equal("main")
    expect(event.payload).to.be_nil()
    sim.advance("10m")
    expect(#seen).to.equal(1)
  end)

  it("is by name, by id, or of all forms, and of new ones too", function()
    local one, two = sim.create_form("One"), sim.create_form("Two")
    on("form.submission", { name = "by name", form = "One" }, function(event) note { id = "name " .. event.formName } end)
    on("form.submission", { name = "by id", form = two }, function(event) note { id = "id " .. event.formName } end)
    on("form.submission", { name = "all", filter = function(event) return event.values.firstname ~= "N9" end },
      function(event) note { id = "all " .. event.formName } end)
    submit(one, 1, 1)
    submit(two, 2, 2)
    submit(two, 9, 9)
    sim.advance("2m")
    submit(sim.create_form("Three"), 3, 3)
    sim.advance("12m")
    expect(ids("id")).to.equal { "all One", "all Three", "all Two", "id Two", "id Two", "name One" }
  end)

  it("may have any name", function()
    local names = { ("ä"):rep(120), "two\nlines", '100% "sure"' }
    for i, name in ipairs(names) do
      sim.create_form(name)
      on("form.submission", { name = tostring(i), form = name }, note)
      submit(name, i, i)
    end
    sim.advance("2m")
    expect_all(3)
  end)

  it("tells everything from the earliest when asked, the oldest first", function()
    local form = sim.create_form("Contact us")
    for i = 1, 120 do
      submit(form, i, i)
      sim.advance("1h")
    end
    on("form.submission", { form = form, from = "earliest", concurrency = 1 }, note)
    sim.advance("2m")
    expect_all(120)
    expect(seen[1].values.firstname).to.equal("N1")
    expect(seen[120].values.firstname).to.equal("N120")
    sim.advance("1h")
    expect_all(120)
  end)

  for _, offsets in ipairs { false, true } do
    it("takes a backlog in parts, while more comes, with cursors that are " .. (offsets and "places" or "items"), function()
      sim.start { offset_cursors = offsets }
      local form = sim.create_form("Contact us")
      for i = 1, 2500 do submit(form, i, i, { at = time.now() - (3000 - i) * 1000 }) end
      on("form.submission", { form = form, from = "earliest" }, note)
      sim.advance(70)
      expect(#seen).to.equal(2000)
      submit(form, 2501, 2600)
      sim.advance("3m")
      expect_all(2600)
      submit(form, 2601, 2601)
      sim.advance("2m")
      expect_all(2601)
    end)
  end

  it("neither loses nor doubles submissions of one millisecond, of whatever order", function()
    local form = sim.create_form("Contact us")
    on("form.submission", { form = form }, note)
    local at = time.now() + 30000
    submit(form, 1, 30, { at = at })
    sim.advance("61s")
    expect_all(30)
    submit(form, 31, 80, { at = at })       -- shown later, with the same time
    submit(form, 81, 90, { at = at - 1 })   -- and before it
    sim.advance("1m")
    expect_all(90)
    sim.advance("1h")
    expect_all(90)
  end)

  it("outlasts a day without HubSpot, 429s and broken answers", function()
    local form = sim.create_form("Contact us")
    on("form.submission", { form = form }, note)
    submit(form, 1, 5)
    sim.advance("2m")
    sim.fail { status = 503, times = 0 }
    submit(form, 6, 70)
    sim.advance("12h")
    submit(form, 71, 75)
    sim.advance("12h")
    expect_all(5)
    sim.fail {}
    sim.advance("10m")
    expect_all(75)
    local faults = { { status = 429, times = 3 }, { drop = true, times = 3 }, { truncate = true, times = 2 }, { html = true, times = 2 } }
    for _, fault in ipairs(faults) do
      sim.fail(fault)
      submit(form, 76, 76)
      sim.advance("10m")
    end
    expect_all(79)
    local warned = select(2, sim.log():gsub("cannot be read; it goes on from where it was", ""))
    expect(warned).to.be_at_most(26)   -- once an hour
    expect(sim.log()).to.contain("form.submission of Contact us: can be read again")
  end)

  it("says once that a form's submissions may not be read, and asks less", function()
    local form = sim.create_form("Contact us")
    on("form.submission", { form = "Contact us" }, note)
    sim.fail { match = { path = "/form-integrations/" }, status = 403, times = 0 }
    sim.advance("1d")
    expect(calls("/form-integrations/")).to.be_at_most(40)
    expect(select(2, sim.log():gsub("cannot be read", ""))).to.equal(1)
    expect(select(2, sim.log():gsub("can be read again", ""))).to.equal(0)
    sim.fail {}
    submit(form, 1, 1)
    sim.advance("1h")
    expect_all(1)
  end)

  it("says what is not there, and that it is there again", function()
    sim.create_form("Contact us")
    on("form.submission", { form = "Contact  us" }, note)
    sim.advance("10m")
    expect(sim.log()).to.contain('there is no form "Contact  us"; did you mean "Contact us"?')
    local form = sim.create_form("Contact  us")
    submit(form, 1, 1)
    sim.advance("12m")
    expect_all(1)
  end)

  it("asks once a minute, or as told, and in the class of timers", function()
    local form = sim.create_form("Contact us")
    on("form.submission", { form = form }, note)
    sim.advance("10m")
    expect(calls("/form-integrations/")).to.be_at_least(9)
    expect(calls("/form-integrations/")).to.be_at_most(10)
    on("form.submission", { name = "slow", form = form, every = "1h" }, note)
    on("form.submission", { name = "another", form = form }, note)
    sim.advance("1h")
    expect(calls("/form-integrations/")).to.be_at_most(72)
    expect(calls("/marketing/")).to.be_at_most(9)
  end)

  it("refuses misuse with the line", function()
    local function refused(options, text)
      expect(function() on("form.submission", options, print) end).to.raise("watch_test.lua:%d+: .*" .. text)
    end
    refused({ form = {} }, "option 'form': an id or a name")
    refused({ form = ("x"):rep(301) }, "option 'form': an id or a name")
    refused({ every = "soon" }, "option 'every': how often HubSpot is asked")
    refused({ every = 0.2 }, "at least every second")
    refused({ from = "yesterday" }, "option 'from': \"now\", or \"earliest\"")
    refused({ frm = "now" }, "there is no option 'frm'")
    refused({ property = "x" }, "is about no property")
    refused({ account = "shop" }, "shop")
    expect(function() emit("form.submission", {}) end).to.raise("HubSpot's name")
  end)

  it("leaves out values that are longer than an event may be", function()
    local form = sim.create_form("Contact us")
    on("form.submission", { form = form }, note)
    sim.submit_form(form, { firstname = ("x"):rep(300 * 1024) })
    sim.advance("2m")
    expect_all(1)
    expect(seen[1].truncated).to.be_true()
    expect(seen[1].values).to.be_nil()
  end)
end)

describe("list.added and list.removed", function()
  local function contacts(n)
    local made = {}
    for i = 1, n do made[i] = { email = ("c%d@example.com"):format(i) } end
    return sim.control("batch_create", { type = "contacts", records = made }).ids
  end

  local function told()
    local out = {}
    for i, event in ipairs(seen) do out[i] = event.type .. " " .. event.objectId end
    table.sort(out)
    return out
  end

  it("tell who joins and who leaves, from now on", function()
    local list, people = sim.create_list("VIP"), contacts(6)
    sim.add_to_list(list, { people[1], people[2] })
    sim.advance("1m")
    on("list.added", { list = "VIP" }, note)
    on("list.removed", { list = "VIP" }, note)
    sim.advance(10)
    sim.add_to_list(list, people[3])
    local at = time.now()
    sim.advance("5m")
    expect(told()).to.equal { "list.added " .. people[3] }
    expect(seen[1].listId).to.equal(list)
    expect(seen[1].listName).to.equal("VIP")
    expect(seen[1].objectTypeId).to.equal("0-1")
    expect(seen[1].occurredAt).to.equal(at)
    sim.remove_from_list(list, { people[1], people[3] })
    sim.add_to_list(list, { people[4], people[5] })
    sim.advance("5m")
    expect(told()).to.equal { "list.added " .. people[3], "list.added " .. people[4], "list.added " .. people[5],
      "list.removed " .. people[1], "list.removed " .. people[3] }
    sim.advance("3d")
    expect(#seen).to.equal(5)
  end)

  it("follow a dynamic list, and records that are deleted", function()
    sim.create_list("Customers", { where = { lifecyclestage = "customer" } })
    on("list.added", { list = "Customers" }, note)
    on("list.removed", { list = "Customers" }, note)
    local id = sim.create("contacts", { email = "a@example.com", lifecyclestage = "lead" })
    sim.advance("2m")
    sim.update("contacts", id, { lifecyclestage = "customer" })
    sim.advance("5m")
    sim.control("delete", { type = "contacts", id = id })
    sim.advance("5m")
    expect(told()).to.equal { "list.added " .. id, "list.removed " .. id }
  end)

  it("tell all members from the earliest, each list for itself, by id too", function()
    local one, two, people = sim.create_list("One"), sim.create_list("Two"), contacts(4)
    sim.add_to_list(one, people)
    sim.add_to_list(two, people[1])
    sim.advance(1)
    on("list.added", { name = "one", list = one, from = "earliest" }, note)
    on("list.added", { name = "two", list = two }, note)
    sim.advance("5m")
    for i, id in ipairs(people) do expect(told()[i]).to.equal("list.added " .. id) end
    expect(#seen).to.equal(4)
    sim.add_to_list(two, people[2])
    sim.advance("5m")
    expect(#seen).to.equal(5)
    expect(seen[5].listName).to.equal("Two")
  end)

  for _, offsets in ipairs { false, true } do
    it("page through large lists in parts, with cursors that are " .. (offsets and "places" or "items"), function()
      sim.start { offset_cursors = offsets, tier = "enterprise" }
      local list, people = sim.create_list("Many"), contacts(12000)
      sim.add_to_list(list, people)
      on("list.added", { list = list, from = "earliest", concurrency = 1000 }, note)
      on("list.removed", { list = list, concurrency = 1000 }, note)
      sim.advance("10m")
      expect(#seen).to.equal(12000)
      seen = {}
      local going, staying = {}, {}
      for i, id in ipairs(people) do table.insert(i % 2 == 0 and going or staying, id) end
      sim.remove_from_list(list, going)
      local more = contacts(0)
      for i = 1, 20 do more[i] = sim.create("contacts", { email = ("m%d@example.com"):format(i) }) end
      sim.add_to_list(list, more)
      sim.advance("30m")
      expect(#seen).to.equal(6020)
      local known = {}
      for _, event in ipairs(seen) do
        expect(known[event.objectId]).to.be_nil()
        known[event.objectId] = event.type
      end
      for _, id in ipairs(going) do expect(known[id]).to.equal("list.removed") end
      for _, id in ipairs(more) do expect(known[id]).to.equal("list.added") end
      sim.remove_from_list(list, staying)
      sim.remove_from_list(list, more)
      sim.advance("30m")
      expect(#seen).to.equal(6020 + 6020)
    end)
  end

  it("know the others still when a member is forgotten, and a list whose id is that of a person", function()
    local people = contacts(6)
    local list = sim.create_list("VIP")
    sim.add_to_list(list, people)
    on("list.added", { list = list, from = "earliest" }, note)
    on("list.removed", { list = list }, note)
    on("contact.privacyDeletion", function() end)
    sim.advance("5m")
    expect(#seen).to.equal(6)
    sim.control("delete", { type = "contacts", id = people[3] })
    sim.trigger("contact.privacyDeletion", { objectId = people[3] })
    sim.trigger("contact.privacyDeletion", { objectId = list })
    sim.trigger("contact.privacyDeletion", { objectId = "6" })   -- as the list has members
    sim.advance("3d")
    expect(sim.log()).to.contain("is forgotten: ")
    expect(sim.log():find("cannot be read", 1, true)).to.be_nil()
    expect(told()[7]).to.equal("list.removed " .. people[3])
    expect(#seen).to.equal(7)
    seen = {}
    sim.remove_from_list(list, people[1])
    sim.advance("5m")
    expect(told()).to.equal { "list.removed " .. people[1] }
  end)

  it("ask little while nothing changes", function()
    local list, people = sim.create_list("VIP"), contacts(3)
    sim.add_to_list(list, people)
    on("list.removed", { list = list }, note)
    sim.advance("20m")
    expect(calls("/memberships")).to.be_at_most(4)
    expect(calls("/crm/lists/2026-09/search")).to.be_at_most(20)
    sim.advance("2d")
    expect(calls("/memberships")).to.be_at_most(8)
  end)

  it("outlast a day without HubSpot, and its end in the middle of a list", function()
    local list, people = sim.create_list("Many"), contacts(3000)
    on("list.added", { list = list, concurrency = 1000 }, note)
    on("list.removed", { list = list, concurrency = 1000 }, note)
    sim.advance("5m")
    sim.add_to_list(list, people)
    sim.advance("2m")
    sim.fail { match = { path = "/memberships" }, status = 503, times = 0, share = 0.5 }
    sim.remove_from_list(list, { table.unpack(people, 1, 1000) })
    sim.advance("1h")
    sim.fail {}
    sim.fail { status = 503, times = 0 }
    sim.add_to_list(list, { table.unpack(people, 1, 10) })
    sim.advance("1d")
    sim.fail {}
    sim.advance("30m")
    local n = { ["list.added"] = 0, ["list.removed"] = 0 }
    for _, event in ipairs(seen) do n[event.type] = n[event.type] + 1 end
    expect(n).to.equal { ["list.added"] = 3010, ["list.removed"] = 1000 }
  end)

  it("ask less and less for a list that is not there, say so once, and see it within an hour", function()
    on("list.added", { list = "Later" }, note)
    on("list.removed", { list = "Later" }, note)
    sim.advance("10m")
    expect(calls("/lists/2026-09/search")).to.be_at_least(3)
    sim.advance("7d")
    expect(calls("/lists/2026-09/search")).to.be_at_most(180)
    expect(calls("/lists/2026-09/search")).to.be_at_least(160)
    expect(select(2, sim.log():gsub('there is no list "Later"', ""))).to.equal(1)
    sim.add_to_list(sim.create_list("Later"), contacts(2))
    sim.advance("1h")
    expect(#seen).to.equal(2)
    expect(select(2, sim.log():gsub("the list Later: can be read again", ""))).to.equal(1)
    local before = calls("/lists/2026-09/search")
    sim.advance("10m")
    expect(calls("/lists/2026-09/search") - before).to.be_at_least(9)   -- once a minute again
  end)

  it("refuse misuse with the line, and say which list there is not", function()
    expect(function() on("list.added", print) end).to.raise("watch_test.lua:%d+: list.added: which list")
    expect(function() on("list.removed", { list = "x", from = "earliest" }, print) end).to.raise("watch_test.lua:%d+: .*from")
    sim.create_list("Customers")
    on("list.added", { list = "Custumers" }, note)
    sim.advance("5m")
    expect(sim.log()).to.contain('there is no list "Custumers"')
  end)
end)
