local flow = require "check.flow"
local hubspot = require "check.hubspot"
local scopes = require "check.scopes"
local task = require "task"

-- The modules of a project that the scripts below require.
local function no_modules() end

local function found_in(text, modules)
  assert(load(text, "@x.lua", "t"))
  return scopes.find({ { name = "x.lua", text = text } }, modules and function(name)
    return modules[name], name .. ".lua"
  end or no_modules)
end

local function names(needs)
  local list = {}
  for i, need in ipairs(needs) do list[i] = need.scope:gsub("^crm%.objects%.", "") end
  return table.concat(list, " ")
end

local function need(text, modules) return names(scopes.choose(found_in(text, modules).uses)) end

local function unknown(text, modules)
  local list = {}
  for i, item in ipairs(found_in(text, modules).unknown) do list[i] = ("%d %s"):format(item.line, item.why) end
  return table.concat(list, "\n")
end

-- { what, script, scopes (without crm.objects.), what cannot be told }
local CORPUS = {
  { "nothing", [[print(1)]], "" },
  { "a read", [[local hubspot = require "hubspot" hubspot.contacts.get("1")]], "contacts.read" },
  { "events that HubSpot does not send", [[on("deal.lost", print) on("contact.stage", { to = "lead" }, print)]],
    "contacts.read deals.read" },
  { "what has to be asked for", [[on("form.submission", print) on("list.removed", { list = "x" }, print)]], "crm.lists.read forms" },
  { "parentheses", [[local h = require("hubspot") h.contacts.get("1")]], "contacts.read" },
  { "no local at all", [[require "hubspot".deals.update("1", {})]], "deals.write" },
  { "every kind of read", [[local h = require "hubspot"
      for d in h.deals.list() do print(d) end for d in h.leads.search {} do print(d) end h.orders.batch_read {}]],
    "deals.read leads.read orders.read" },
  { "every kind of write", [[local h = require "hubspot" local c = h.contacts c.create {} h.companies.update("1", {})
      h.deals.upsert("x", {}) h.leads.archive("1") h.orders.batch_create {} h.carts.batch_update {} h.invoices.batch_upsert("x", {})
      h.users.batch_archive {} h.courses.merge("1", "2")]],
    "carts.write companies.write contacts.write courses.write deals.write invoices.write leads.write orders.write users.write" },
  { "a table as an alias", [[local h = require "hubspot" local c = h.contacts c.get("1")]], "contacts.read" },
  { "a function as an alias", [[local get = require "hubspot".contacts.get get("1")]], "contacts.read" },
  { "a function handed on", [[local h = require "hubspot" print(pcall(h.contacts.get, "1"))]], "contacts.read" },
  { "an alias in a field", [[local api = { crm = require "hubspot" } function api.read() return api.crm.deals.get("1") end]],
    "deals.read" },
  { "an object", [[local C = {} C.__index = C
      function C.new(api) return setmetatable({ api = api }, C) end
      function C:read(id) return self.api.tickets.get(id) end
      C.new(require "hubspot"):read("1")]], "tickets" },
  { "a parameter", [[local h = require "hubspot" local function read(api, id) return api.get(id) end
      read(h.contacts, "1") read(h.deals, "2")]], "contacts.read deals.read" },
  { "what a function returns", [[local function crm() return require "hubspot" end crm().contacts.get("1")]], "contacts.read" },
  { "either of two", [[local h = require "hubspot" local o = math.random() > 0.5 and h.deals or h.leads o.get("1")]],
    "deals.read leads.read" },
  { "another account", [[local h = require "hubspot" h.account("shop").deals.update("1", {})]], "deals.write" },
  { "account or the task's", [[local h = require "hubspot" local a = x and h.account(x) or h for c in a.companies.list() do end]],
    "companies.read" },
  { "custom objects", [[local h = require "hubspot" h.objects("2-55").get("1") h.objects("p_cars").update("1", {})]],
    "custom.read custom.write" },
  { "objects by a standard name or id", [[local h = require "hubspot" h.objects("deals").get("1") h.objects("0-1").get("1")]],
    "contacts.read deals.read" },
  { "objects in a loop", [[local h = require "hubspot" for _, t in ipairs { "contacts", "companies" } do h.objects(t).get("1") end]],
    "companies.read contacts.read" },
  { "objects by a table's keys", [[local h = require "hubspot" local map = { deals = 1, leads = 2 }
      for name in pairs(map) do h[name].get("1") end]], "deals.read leads.read" },
  { "objects that only run time knows", [[local h = require "hubspot" return function(t) return h.objects(t).get("1") end]], "",
    "1 hubspot.objects(…).get: which object type is known only when it runs" },
  { "one type known, another not", [[local h = require "hubspot"
      local function read(t) return h.objects(t).get("1") end read("deals") read(kv.get("type"))]], "deals.read",
    "2 hubspot.objects(…).get: which object type is known only when it runs" },
  { "activities go with contacts", [[local h = require "hubspot" h.notes.create {} h.tasks.get("1")]],
    "contacts.read contacts.write" },
  { "emails need one more", [[require "hubspot".emails.get("1")]], "contacts.read sales-email-read" },
  { "associations need both sides", [[local h = require "hubspot" for a in h.associations.list("contacts", "1", "deals") do end]],
    "contacts.read deals.read" },
  { "associations written", [[local a = require "hubspot".associations a.create("contacts", "1", "companies", "2")
      a.remove("deals", "1", "companies", "2")]], "companies.write contacts.write deals.write" },
  { "an association by an alias", [[local list = require "hubspot".associations.list
      local function of(kind) return list("contacts", "1", kind) end of("deals") of("tickets")]], "contacts.read deals.read tickets" },
  { "an association through pcall", [[pcall(require "hubspot".associations.create, "contacts", "1", "companies", "2")]],
    "companies.write contacts.write" },
  { "an association handed on", [[kv.f = nil run(require "hubspot".associations.create)]], "",
    "1 hubspot.associations.create: is handed on, so that its object types are not seen" },
  { "an association of a type known later", [[local h = require "hubspot" h.associations.list(x, "1", "deals")]], "",
    "1 hubspot.associations.list: argument 1, the object type, is known only when it runs" },
  { "owners: the narrower of two", [[for o in require "hubspot".owners.list() do end]], "owners.read" },
  { "owners by hand", [[require "hubspot".owners.by_email("a@example.com")]], "owners.read" },
  { "definitions: what is there already will do", [[local h = require "hubspot" h.properties("contacts").list() h.contacts.get("1")]],
    "contacts.read" },
  { "definitions alone", [[require "hubspot".properties("contacts").list()]], "crm.schemas.contacts.read" },
  { "definitions written", [[require "hubspot".properties.create("deals", {})]], "crm.schemas.deals.write" },
  { "pipelines", [[local p = require "hubspot".pipelines("tickets") p.list()]], "tickets" },
  { "lists", [[local h = require "hubspot" h.lists.memberships.add("1", { "2" })]], "crm.lists.read crm.lists.write" },
  { "an API without a dated form", [[require "hubspot".forms.get("x")]], "forms" },
  { "what any token may do", [[local h = require "hubspot" print(h.account.info(), h.account.details())]], "" },
  { "request with a path", [[require "hubspot".request { path = "/crm/pipelines/{version}/deals" }]], "crm.schemas.deals.read" },
  { "request with a method", [[require "hubspot".request { method = "PATCH", path = "/crm/objects/2026-09/leads/7", json = {} }]],
    "leads.write" },
  { "request with a joined path", [[local h = require "hubspot" local base = "/crm/objects/{version}/"
      local function get(id) return h.request { path = base .. "deals/" .. id } end get(event.objectId)]], "deals.read" },
  { "request with a formatted path", [[local h = require "hubspot"
      h.request { method = "POST", path = ("/crm/objects/{version}/%s/search"):format("leads") }
      h.request { path = string.format("/crm/objects/{version}/%s/%d", "deals", id) }]], "deals.read leads.read" },
  { "every sign of a format", [[local h = require "hubspot" h.objects(("%s%s"):format("dea", "ls")).get("1")
      h.request { path = ("/crm/objects/{version}/%s/%%/%05d/%q"):format("leads", 1, "x") }]], "deals.read",
    "2 hubspot.request: HubSpot publishes no GET /crm/objects/{version}/leads/%/{}/{}" },
  { "request with a table made before", [[local h = require "hubspot" local call = { method = "DELETE" }
      call.path = "/crm/objects/{version}/deals/7" h.request(call)]], "deals.write" },
  { "request with a path of run time", [[local h = require "hubspot" h.request { path = path }]], "",
    "1 hubspot.request: the path is known only when it runs" },
  { "request with a type of run time", [[local h = require "hubspot" h.request { path = "/crm/objects/{version}/" .. t .. "/7" }]], "",
    "1 hubspot.request: the object type in /crm/objects/{version}/{}/7 has no known scopes" },
  { "request with a legacy path", [[require "hubspot".request { path = "/crm/v3/objects/deals/7" }]], "deals.read",
    "1 hubspot.request: the legacy path /crm/v3/objects/deals/7 is refused; use /crm/objects/{version}/deals/7" },
  { "request with a path that is not published", [[require "hubspot".request { path = "/crm/nothing" }]], "",
    "1 hubspot.request: HubSpot publishes no GET /crm/nothing" },
  { "what the module reaches and HubSpot does not publish", [[local h = require "hubspot" h.flows.enroll(7, "a@x.example")
      h.flows.unenroll(7, "a@x.example")]], "automation" },
  { "submissions of a form", [[for s in require "hubspot".forms.submissions(form) do print(s) end]], "forms" },
  { "an event needs its object's read scope", [[on("deal.propertyChange", function() end)]], "deals.read" },
  { "every CRM event", [[for _, t in ipairs { "contact", "company", "ticket", "product", "line_item" } do
      on(t .. ".creation", function() end) end]], "companies.read contacts.read line_items.read products.read e-commerce tickets" },
  { "conversations", [[on("conversation.newMessage", function() end)]], "conversations.read" },
  { "events of one's own", [[on("chase", function() end) on("billing.paid", function() end)]], "" },
  { "an event of one object type", [[on("object.creation", { object_type = "leads" }, print)
      local t = x and "2-77" or "0-123" on("object.merge", { object_type = t }, print)]], "custom.read leads.read orders.read" },
  { "an event of any object", [[on("object.creation", function() end)]], "",
    '1 on("object.creation"): which object type it is about is not written out' },
  { "an event that run time knows", [[on(kv.get("type"), function() end)]], "", "1 on(…): the type of the event is not written out" },
  { "inside handlers and tasks", [[local h = require "hubspot" on("chase", function(e) task.spawn(function()
      task.map({ "1" }, function(id) h.contacts.get(id) end) end) step("s", function() return h.deals.create {} end) end)]],
    "contacts.read deals.write" },
  { "names of Lua's own around it", [[local h <const> = require "hubspot"
      do local h = nil end goto done ::done:: repeat local d = h.deals until d.get("1")
      while false do h.leads.get("1") end for i = 1, 2 do h.orders.get(i) end local a, b = h.carts, h.users b.get("1")]],
    "deals.read leads.read orders.read users.read" },
  { "a comment and a string are no calls", [==[local h = require "hubspot" -- h.deals.get("1")
      --[[ h.deals.get("1") ]] local s = [[h.deals.get("1")]] local t = "h.deals.get('1')" h.contacts.get("1")]==], "contacts.read" },
  { "a name that hides the module", [[local h = require "hubspot" local function f(h) h.deals.get("1") end f({ deals = {} })
      h.contacts.get("1")]], "contacts.read" },
  { "a name that the module does not have", [[require "hubspot".contcats.get("1")]], "",
    '1 hubspot has no "contcats"; did you mean "contacts"?' },
  { "a function that it does not have", [[require "hubspot".contacts.fetch("1")]], "",
    '1 records of type "contacts" have no function "fetch"; did you mean "get"?' },
  { "routing: a pool reads the owners", [[local routing = require "routing" routing.pool("x", { members = {} })]], "owners.read" },
  { "routing: absences are those of users", [[require("routing").watch_away("hs_out_of_office_hours")]], "users.read" },
  { "routing: an sla reads and gives away contacts, and makes tasks",
    [[require("routing").sla("x", { open = { a = {} }, remind = "1h" })]], "contacts.read contacts.write owners.read" },
  { "routing: the match reads the companies", [[local routing = require "routing" print(routing.match_account {})]],
    "companies.read" },
  { "sync: a side of HubSpot's records", [[local sync = require "sync"
      sync.mapping("m", { left = sync.csv("a.csv"), right = sync.hubspot "contacts", fields = {} })]], "contacts.read contacts.write" },
  { "sync: a type that is not written out", [[require("sync").hubspot(kv.get("type"))]], "",
    "1 sync.hubspot: the object type is known only when it runs" },
  { "modules that call nothing", [[local text = require "text" local sim = require "task" print(text, sim)]], "" },
  { "handed out of sight", [[local h = require "hubspot" sort(h.contacts) other.field = h.lists.folders print(h)]], "",
    "1 hubspot.contacts is handed to a function whose text is not seen\n1 hubspot.lists.folders is put where it is not followed" },
  { "a text that grows", [[local h, s = require "hubspot", "/crm" for i = 1, 9 do s = s .. "/x" end h.request { path = s }]], "", true },
  { "more texts than are followed", [[local h = require "hubspot" local f = "%s%s%s"
      for _, a in ipairs { "a", "b", "c", "d", "e" } do for _, b in ipairs { "a", "b", "c", "d", "e" } do
      for _, c in ipairs { "a", "b", "c", "d", "e" } do h.objects(f:format(a, b, c)).get("1") end end end]], "custom.read",
    "3 hubspot.objects(…).get: which object type is known only when it runs" },
  { "no such module", [[require "nothing.here"]], "", '1 require "nothing.here": there is no such module' },
}

describe("scopes", function()
  for _, case in ipairs(CORPUS) do
    it(case[1], function()
      expect(need(case[2])).to.equal(case[3])
      if case[4] == true then expect(unknown(case[2])).to_not.equal("")
      else expect(unknown(case[2])).to.equal(case[4] or "") end
    end)
  end

  it("follow the project's own modules", function()
    local modules = {
      crm = [[local h = require "hubspot" local M = {} function M.read(id) return h.deals.get(id) end
        function M.of(kind) return h.objects(kind) end M.hub = h return M]],
    }
    expect(need([[local crm = require "crm" crm.of("leads").update("1", {}) crm.hub.tickets.get("1")]], modules))
      .to.equal("deals.read leads.write tickets")
    expect(found_in([[local crm = require "crm" print(crm)]], modules).uses[1].file).to.equal("crm.lua")
  end)

  it("of modules that require each other are found", function()
    local modules = { a = [[local M = { } M.b = require "b" function M.go() return require "hubspot".deals end return M]],
      b = [[local M = {} function M.go() return require "a".go().get("1") end return M]] }
    expect(need([[require "b".go()]], modules)).to.equal("deals.read")
  end)

  it("say where each is needed", function()
    local needs = scopes.choose(found_in('local h = require "hubspot"\nh.deals.get("1")\n\nh.deals.list()\nh.leads.get("1")').uses)
    expect(needs[1].scope).to.equal("crm.objects.deals.read")
    expect(needs[1].uses[1].line).to.equal(2)
    expect(needs[1].uses[1].label).to.equal("hubspot.deals.get")
    expect(needs[1].uses[2].line).to.equal(4)
    expect(needs[2].uses[1].line).to.equal(5)
  end)

  it("take what the token has, where there is a choice", function()
    local uses = found_in([[for o in require "hubspot".owners.list() do end]]).uses
    expect(names(scopes.choose(uses, { contacts = true }))).to.equal("contacts")
    expect(names(scopes.choose(uses, { other = true }))).to.equal("owners.read")
  end)

  it("lack and excess", function()
    local needs = scopes.choose(found_in([[local h = require "hubspot" h.deals.get("1") h.leads.get("1")]]).uses)
    local lacks, excess = scopes.compare(needs, { "oauth", "crm.objects.leads.read", "tickets", "forms" })
    expect(names(lacks)).to.equal("deals.read")
    expect(table.concat(excess, " ")).to.equal("forms tickets")
  end)

  it("of the hubspot module's own functions are known", function()
    local real, n = require "hubspot", 0
    for name, value in pairs(real.contacts) do
      if type(value) == "function" then
        expect(hubspot.object_functions[name]).to_not.be_nil()
        n = n + 1
      end
    end
    expect(n).to.be_at_least(10)
    for group, functions in pairs(hubspot.by_hand) do
      for name in pairs(functions) do expect(type(rawget(real[group], name))).to.equal("function") end
      for name, value in pairs(real[group]) do
        if type(value) == "function" then
          expect(functions[name] or require("hubspot.calls").operations(group)[name]).to_not.be_nil()
        end
      end
    end
  end)

  it("of nearly every function of the module are told", function()
    local calls = require "hubspot.calls"
    local lines, n = { 'local h = require "hubspot"' }, 0
    for _, group in ipairs(calls.groups()) do
      for name, operations in pairs(calls.operations(group)) do
        lines[#lines + 1] = ("h.%s.%s(%s)"):format(group, name, ('"contacts", '):rep(#operations[1].params) .. "nil")
        n = n + 1
      end
    end
    local found = found_in(table.concat(lines, "\n"))
    expect(#found.uses + #found.unknown).to.be_at_least(n)
    expect(n).to.be_at_least(400)
    -- What is older than HubSpot's list of operations is told to be so.
    expect(n - #found.unknown).to.be_at_least(n - n // 20)
    for _, item in ipairs(found.unknown) do expect(item.why).to.contain("HubSpot publishes no") end
  end)

  it("of shipped modules are what their sources say", function()
    for name, functions in pairs(hubspot.modules) do
      local declared = {}
      for _, operations in pairs(functions) do
        for _, o in ipairs(operations) do
          declared[#declared + 1] = { file = "", line = 1, label = "", method = o[1], path = o[2] }
        end
      end
      -- Every module of that name, as if it were the project's own.
      local function read(module)
        if module:match("^[^.]+") == name then return hubspot.source(module), module end
      end
      local seen = {}
      local real = hubspot.module
      local as_own = setmetatable({ module = function(program, module)
        task.sleep(0) -- it takes long, and none may keep the loop for a second
        if module:match("^[^.]+") ~= name then return real(program, module) end
        seen[module] = true
      end }, { __index = hubspot })
      local result = flow.run(as_own, name, hubspot.source(name), read)
      expect(seen[name .. ".owners"]).to.be_true()
      expect(table.concat(scopes.of(result.uses), " ")).to.equal(table.concat(scopes.of(declared), " "))
      expect(#result.unknown).to.equal(0)
    end
  end)
end)

describe("the parser", function()
  local parser = require "check.parser"

  it("takes what Lua takes", function()
    for _, text in ipairs {
      "return", "return;", "local a <close>, b <const> = 1", "a.b.c, d[1] = 1, 2", "x = a.b:c 'd' { e } [[f]]",
      "x = function(...) local a, b = ... return ... end", "function a.b.c:d(e, ...) end", "goto x ::x:: ;;; do end",
      "x = -2 ^ 2 .. 'a' .. 1 // 2 >> 3 & ~4 ~ 5 | 6 << 7", "x = not a == b ~= c", "x = 0x.8p1 + 3. + .5e-3 + 0xA + 1e10",
      "x = '\\x41\\u{48}\\z  \n  a\\065\\\n b' .. \"\\\"\"", "x = [==[ ]] ]=] ]==] --[==[ ]] \n ]==] y = 1",
      "for i = 1, 2, 3 do break end for a, b in pairs(c), d do end", "while x do end repeat local y until y",
      "if a then elseif b then return 1 else end", "x = { 1, a = 2; ['b'] = 3, f(), }", "(a or b).c()", "x = a --[[b]] + c -- d",
    } do
      assert(load(text, "@t", "t"))
      expect(parser.parse(text).tag).to.equal("function")
    end
  end)

  it("names the line of what it does not take", function()
    local ok, e = pcall(parser.parse, "local a = 1\nlocal b = = 2")
    expect(ok).to.equal(false)
    expect(e.line).to.equal(2)
  end)

  it("does not follow a source without end", function()
    local ok, e = pcall(parser.parse, "x = " .. ("("):rep(5000))
    expect(ok).to.equal(false)
    expect(e.message).to.contain("too deeply nested")
  end)
end)
