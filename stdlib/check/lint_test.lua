local lint = require "check.lint"

local function check(text, modules)
  local sources = modules or {}
  return lint.check({ { name = "x.lua", text = text, root = "/" } }, function()
    return function(name)
      local source = sources[name]
      if not source then return nil end
      local _, message = load(source, "@" .. name .. ".lua", "t")
      return source, name .. ".lua", message
    end
  end)
end

-- "1 rule: message", a line each.
local function said(text, modules)
  local list = {}
  for i, item in ipairs((check(text, modules))) do
    list[i] = ("%s%d %s: %s"):format(item.file == "x.lua" and "" or item.file .. ":", item.line, item.rule, item.message)
  end
  return table.concat(list, "\n")
end

local HEAD <const> = 'local hubspot = require "hubspot"\n'
local function in_handler(body, options)
  return HEAD .. 'on("contact.creation", ' .. (options or "") .. "function(event)\n" .. body .. "\nend)"
end

-- { what, script, what is said (all of it, or its beginnings, a line each) }
local FOUND = {
  { "what is no Lua", "local x =\n= 1", "2 syntax: unexpected symbol near '='" },
  { "a global that is not there", "prnt(1)\nlocal y = contcat", '1 unknown-global: there is no global "prnt"; did you mean "print"?\n'
    .. '2 unknown-global: there is no global "contcat"' },
  { "what scripts have instead", "print(os.time())", '1 unknown-global: there is no global "os"; scripts have time.now()' },
  { "a name that a module does not have", "kv.gett 'x'\nlocal s = string\ns.fromat('')",
    '1 unknown-name: kv has no "gett"; did you mean "get"?\n3 unknown-name: string has no "fromat"; did you mean "format"?' },
  { "a name of a shipped module", 'local t = require "text"\nt.emial("x")\nrequire "routing".pol("x")',
    '2 unknown-name: text has no "emial"; did you mean "email"?\n3 unknown-name: routing has no "pol"; did you mean "pool"?' },
  { "HubSpot's names", HEAD .. "hubspot.contcats.get('1')\nlocal c = hubspot.contacts\nc.fetch('1')\nhubspot.lists.membershps.add('1')",
    '2 unknown-name: hubspot has no "contcats"; did you mean "contacts"?\n'
    .. '4 unknown-name: records of type "contacts" have no function "fetch"; did you mean "get"?\n'
    .. '5 unknown-name: hubspot.lists has no "membershps"; did you mean "memberships"?' },
  { "a module that is not there", 'require "nothing"', '1 module: require "nothing": there is no such module' },
  { "an event, an option", 'on("contact.creatoin", { concurency = 1 }, print)',
    "1 registration: on(): there is no option 'concurency'; did you mean 'concurrency'?\n"
    .. "1 registration: unknown event type 'contact.creatoin'; did you mean 'contact.creation'?" },
  { "timers", 'cron("0 0 30 2 *", print)\ncron("* * * * *", { tz = "Mars" }, print)\nevery("soon", print)\nafter("x", "y")',
    "1 registration: cron(): cron: “0 0 30 2 *” never comes\n2 registration: cron(): “Mars” is no time zone here\n"
    .. "3 registration: every(): “soon” is no duration\n4 registration: after(): “x” is no duration" },
  { "HubSpot's name for an event of one's own", 'emit("contact.creation")',
    "1 registration: emit(): 'contact.creation' is HubSpot's name" },
  { "no function to run", 'on("contact.creation")\nevery("1h", { name = "x" })',
    "1 registration: on(): the last argument must be the function to run\n"
    .. "2 registration: every(): the last argument must be the function to run" },
  { "registration in a handler, by a function", 'local function later() on("deal.creation", print) end\n' .. in_handler("later()"),
    "1 registration: on() inside a handler" },
  { "old paths", 'local u = "https://api.hubapi.com/crm/v3/objects/contacts?limit=1"\n' .. HEAD
    .. 'hubspot.request { path = "/crm/v3/objects/" .. "deals" }',
    "1 old-path: the legacy path /crm/v3/objects/contacts ends in 2027; use /crm/objects/{version}/contacts\n"
    .. "3 old-path: hubspot.request: the legacy path /crm/v3/objects/deals is refused; use /crm/objects/{version}/deals" },
  { "a path that is not there", HEAD .. 'hubspot.request { path = "/crm/nothing" }',
    "2 path: hubspot.request: HubSpot publishes no GET /crm/nothing" },
  { "an API key, in a comment too", '-- ?hapikey=' .. ("0"):rep(8), "1 api-key: API keys (hapikey) ended on 2022-11-30" },

  { "a create outside a step", in_handler("hubspot.deals.create {}"), "3 write-outside-step: hubspot.deals.create outside a step" },
  { "a post", in_handler('http.post("https://example.com/")\nhttp.request { url = "x", method = "POST" }'),
    "3 write-outside-step: http.post outside a step\n4 write-outside-step: http.request outside a step" },
  { "a create in a function, behind pcall, by an alias, in a module",
    'local crm = require "crm"\nlocal create = require "hubspot".notes.create\nlocal function note() create {} end\n'
    .. 'on("chase", function() note() pcall(require "hubspot".tasks.create, {}) crm.add() end)',
    "crm.lua:2 write-outside-step: hubspot.deals.create outside\n3 write-outside-step: hubspot.notes.create outside\n"
    .. "4 write-outside-step: hubspot.tasks.create outside",
    { crm = 'return { add = function()\nrequire "hubspot".deals.create {} end }' } },
  { "raw calls", in_handler('hubspot.request { method = "POST", path = "/crm/objects/{version}/deals" }'),
    "3 write-outside-step: hubspot.request outside a step" },
  { "a timer that is tried again", HEAD .. 'every("1h", { retries = 2 }, function() hubspot.deals.create {} end)',
    "2 write-outside-step: hubspot.deals.create" },
  { "a handler that waits makes every write again", in_handler('hubspot.contacts.update("1", {})\nwait("a", { ["for"] = "1d" })'),
    "3 write-outside-step: hubspot.contacts.update outside a step, in a handler that waits" },

  { "a clock that chooses", in_handler('local now = time.now()\nif now > event.occurredAt then step("a", print) end'),
    "4 unsteady-steps: time.now() (line 3) decides here which steps run" },
  { "chance, through a function and a table", 'local function lucky() return { yes = math.random() > 0.5 } end\n'
    .. in_handler('local l = lucky()\nlocal x = l.yes and step("a", print)'),
    "5 unsteady-steps: math.random() (line 1) decides here which steps run" },
  { "steps in a function that is called", 'local function send(name) step(name, print) end\n'
    .. in_handler('while time.iso() < "2027" do send(event.id) end'), "4 unsteady-steps: time.iso() (line 4) decides here" },
  { "what leaves before a step", in_handler('if time.now() > 5 then return end\nstep("a", print)'),
    "3 unsteady-steps: whether the step of line 4 is reached depends on time.now() (line 3)" },
  { "a loop that is as long as chance has it", in_handler('for i = 1, math.random(3) do step("a" .. i, print) end'),
    "3 unsteady-steps: math.random() (line 3) decides here" },
  { "a name by the clock", in_handler('step("a" .. time.now(), print)\nstep(("b %d"):format(time.now()), print)'),
    "3 unsteady-steps: the name of this step comes from time.now() (line 3)\n"
    .. "4 unsteady-steps: the name of this step comes from time.now() (line 4)" },
  { "one name in a loop", in_handler('for _, id in ipairs(event.ids) do\nstep("mail", print)\nend'),
    '4 step-name: the step "mail" comes again each time round the loop of line 3' },
  { "one name in a function called in a loop", 'local function mail() step("mail", print) end\n'
    .. in_handler("repeat mail() until event.done"), '1 step-name: the step "mail" comes again each time round the loop of line 4' },
  { "one name for a list of tasks", in_handler('task.map(event.ids, function() step("mail", print) end)'), '3 step-name: the step "mail"' },
  { "a step in a step, a wait in one", in_handler('step("a", function() step("b", print) wait("c") end)'),
    "3 step-place: a step inside the step of line 3\n3 step-place: wait() inside the step of line 3" },
  { "a wait for what there is not", in_handler('wait("a", "deal.propertyChang", { key = 1 })\nwait("b", "note", { timeot = "1d" })\n'
    .. 'wait("c", "note", { timeout = "soon" })\nwait("d", { ["for"] = "2x" })\nwait("e", { key = 1 })'),
    "3 registration: unknown event type 'deal.propertyChang'; did you mean 'deal.propertyChange'?\n"
    .. "4 registration: wait(): there is no option 'timeot'; did you mean 'timeout'?\n5 registration: wait(): “soon” is no duration\n"
    .. "6 registration: wait(): “2x” is no duration\n7 registration: wait(): there is no option 'key'; there are: for, until" },
  { "a wait in a child", in_handler('task.spawn(function() wait("c") end)'), "3 step-place: wait() in a child task" },
}

-- Nothing is said.
local FINE = {
  { "Lua's own", 'local t <const> = { 1 }\nfor k, v in pairs(t) do print(k, v, #t, -k) end\ngoto x\n::x::\nreturn select("#", ...)' },
  { "the script's own globals", "function helper() end\nanswer = 42\nhelper(answer, _ENV)" },
  { "asking if there is a name",
    "local j = jit and jit.version or _VERSION\nif not bit then print(j) end\nif utf9 then utf9.go() end" },
  { "a name that hides a global", "local os = { time = print }\nos.time()" },
  { "tables that stand behind each other in every order", 'local function with(t, u) return setmetatable(u, { __index = t }) end\n'
    .. 'local function go(t)\n' .. ('go(with(t, { a = t.b }))\n'):rep(12) .. 'return t.c\nend\ngo({ c = 1 })' },
  { "names put into a library", "local M = setmetatable({}, { __index = string })\nfunction M.more() end\nM.more(M.upper)" },
  { "own events",
    'on("lead routed", print)\non("billing.paid", print)\nemit("lead routed")\nafter("4h", "chase", {})\nafter(90, "chase")' },
  { "events that hubloop makes", 'on("deal.won", print)\non("contact.stage", { to = "customer" }, print)\n'
    .. 'on("form.submission", { form = "x", every = "5m", from = "earliest" }, print)\non("list.removed", { list = "y" }, print)' },
  { "options made elsewhere", 'local o = {}\no[kv.get("k")] = 1\non("contact.creation", o, print)' },
  { "a handler from elsewhere", 'local h = require "text"\non("contact.creation", h.email)\non("deal.creation", kv.get("h"))' },
  { "a step around it", in_handler('step("a", function() hubspot.deals.create {} http.post("https://example.com/") end)') },
  { "what changes nothing when made again", in_handler('hubspot.contacts.update("1", {})\nhubspot.contacts.upsert("email", {})\n'
    .. 'hubspot.contacts.archive("1")\nhubspot.associations.create("contacts", "1", "deals", "2")\nhttp.put("https://example.com/")\n'
    .. 'http.post("https://example.com/", { idempotent = true })\nhttp.request { url = "x", method = "POST", idempotent = true }\n'
    .. 'http.post("https://example.com/", { headers = { ["Idempotency-Key"] = event.id } })') },
  { "reads", in_handler('for d in hubspot.deals.search {} do print(d) end\nhubspot.deals.batch_read { "1" }\n'
    .. 'hubspot.request { method = "POST", path = "/crm/objects/{version}/deals/search" }') },
  { "a handler that is not tried again", in_handler("hubspot.deals.create {}", "{ retries = 0 }, ") },
  { "timers, routes and the main part", HEAD .. 'every("1h", function() hubspot.deals.create {} end)\n'
    .. 'serve("POST /x", { auth = false }, function() hubspot.deals.create {} end)\nhubspot.deals.create {}' },
  { "a clock read in a step", in_handler('local now = step("now", function() return time.now() end)\n'
    .. 'if now > event.occurredAt then step("a", print) end') },
  { "a clock that chooses no step", in_handler('if time.now() > 5 then log.info("late") end\nstep("a", print)\n'
    .. 'for i = 1, 2 do if math.random() > 0.5 then break end end\nstep("b", print)\nif time.now() > 5 then return end\nlog.info("x")') },
  { "time of an instant", in_handler('if time.civil(event.occurredAt).weekday == 0 then step("a", print) end\n'
    .. 'if time.iso(event.occurredAt) > "2027" then step("b", print) end') },
  { "names by the item", in_handler('for _, id in ipairs(event.ids) do step("mail " .. id, print) end') },
  { "a loop that ends with its step", in_handler('for _, id in ipairs(event.ids) do\nif id then step("first", print) break end\nend\n'
    .. 'while true do return step("only", print) end') },
  { "a step that is begun again", in_handler('for _ = 1, 3 do if pcall(step, "a", print) then break end end\n'
    .. 'for _ = 1, 3 do if pcall(function() step("b", print) end) then break end end') },
  { "helpers that register", 'local function both(f) on("contact.creation", f) on("deal.creation", f) end\nboth(print)' },
  { "other people's versions", 'local u = "https://api.example.com/crm/v3/objects/contacts"\nlocal p = "/v1/orders"\nprint(u, p, "v3/x")' },
  { "paths that have no other form", HEAD .. 'hubspot.request { path = "/marketing/v3/forms" }' },
  { "ids that are no secrets", 'local form = "' .. ("a"):rep(8) .. "-1111-2222-3333-" .. ("b"):rep(12) .. '"\nprint(form)' },
}

describe("check", function()
  for _, case in ipairs(FOUND) do
    it("finds " .. case[1], function()
      local got = said(case[2], case[4])
      local lines = {}
      for line in (case[3] .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
      local n = 0
      for line in (got .. "\n"):gmatch("(.-)\n") do
        n = n + 1
        if not lines[n] or line:sub(1, #lines[n]) ~= lines[n] then expect(got).to.equal(case[3]) end
      end
      if n ~= #lines then expect(got).to.equal(case[3]) end
    end)
  end

  for _, case in ipairs(FINE) do
    it("leaves alone: " .. case[1], function() expect(said(case[2])).to.equal("") end)
  end

  it("knows secrets by their shape and by their names", function()
    local uuid = ("%s-%s-%s-%s-%s"):format(("a1"):rep(4), ("b2"):rep(2), ("c3"):rep(2), ("d4"):rep(2), ("e5"):rep(6))
    local secret = "1 secret: "
    for _, text in ipairs { 'local t = "pat-na1-' .. uuid .. '"', "-- pat-eu1-" .. uuid, 'client_secret = "' .. uuid .. '"',
      'local o = { ["token"] = "' .. uuid .. '" }', 'local h = "Bearer ' .. ("x9"):rep(20) .. '"',
      'local k = "-----BEGIN RSA PRIVATE' .. ' KEY-----"', 'local s = "xoxb' .. '-123-abc"' } do
      expect(said(text):sub(1, #secret)).to.equal(secret)
      expect(select(2, said(text):gsub("secret: ", ""))).to.equal(1)
    end
  end)

  it("is silenced by a comment", function()
    expect(said("prnt(1) -- hubloop: ignore\n-- hubloop: ignore\nprnt(2)\nprnt(3) -- hubloop: ignore unknown-global")).to.equal("")
    expect(said("prnt(1) -- hubloop: ignore step-name\nlocal s = '-- hubloop: ignore' prnt(2)")).to.contain("1 unknown-global")
    expect(said("local s = '-- hubloop: ignore' prnt(2)")).to.contain("1 unknown-global")
    expect(said("-- hubloop: ignore\n\nprnt(2)")).to.contain("3 unknown-global")
  end)

  it("goes on behind a module that is no Lua", function()
    expect(said('require "broken"', { broken = "x = = 1" })).to.equal("broken.lua:1 syntax: unexpected symbol near '='")
  end)

  it("looks at the events of a whole project", function()
    local function events(...)
      local files, list = {}, {}
      for i, text in ipairs { ... } do files[i] = { name = i .. ".lua", text = text, root = "/", whole = true } end
      for i, item in ipairs((lint.check(files, function() return function() end end))) do
        list[i] = ("%s:%d %s: %s"):format(item.file, item.line, item.rule, item.message)
      end
      return table.concat(list, "\n")
    end
    expect(events('emit("chsae")\nafter("1h", "remind", {})', 'on("chase", print)\non("remind", print)'))
      .to.equal('1.lua:1 unheard: no script listens to "chsae"; did you mean "chase"?\n2.lua:1 unreachable: no script emits "chase"')
    expect(events('emit("chase")', 'on("chase", print)\non("contact.creation", print)\non("hubloop.alert", print)')).to.equal("")
    expect(events('emit("a." .. kv.get("what"))', 'on("a.b", print)')).to.equal("")
    expect(events('emit("signed")',
      'on("contact.creation", function() wait("x", "signed", {}) wait("y", { ["for"] = "1d" }) end)')).to.equal("")
    expect(events('emit("chase")', "x = = 1")).to.equal("2.lua:1 syntax: unexpected symbol near '='")
    expect(said('emit("chase")\non("other", print)')).to.equal("") -- a file alone
  end)

  it("finds handlers that are never registered", function()
    local never = {
      ["do return end\non('contact.creation', print)"] = "2 unreachable: this on() never runs: the return of line 1 comes before it",
      ["error('not yet')\nevery('5m', print)"] = "2 unreachable: this every() never runs: the error() of line 1 comes before it",
      ["if false then\n  cron('0 8 * * *', print)\nend"] =
        "2 unreachable: this cron() never runs: the condition of line 1 is always false",
      ["local LIVE = true\nif not LIVE then\n  on('contact.creation', print)\nend"] =
        "3 unreachable: this on() never runs: the condition of line 2 is always false",
      ["if env.get('X') or true then\n  print(1)\nelse\n  on('contact.creation', print)\nend"] =
        "4 unreachable: this on() never runs: the condition of line 1 is always true",
      ["while nil and kv do\n  on('contact.creation', print)\nend"] =
        "2 unreachable: this on() never runs: the condition of line 1 is always false",
      ["for _ = 1, 2 do\n  break\nend\nlocal function setup()\n  on('contact.creation', print)\nend"] =
        '5 unreachable: this on() never runs: nothing calls the function "setup" of line 4',
      ["local setup = function()\n  return 1\nend\nsetup = nil\nlocal off = function()\n  serve('POST', '/x', print)\nend"] =
        '6 unreachable: this serve() never runs: nothing calls the function "off" of line 5',
    }
    for text, want in pairs(never) do expect(said(text)).to.equal(want) end
    local runs = {
      "local live = false\nlocal function go() live = true end\ngo()\nif live then on('contact.creation', print) end",
      "local function setup() on('contact.creation', print) end\nlocal M = { setup = setup }\nreturn M",
      "function setup() on('contact.creation', print) end",
      "repeat on('contact.creation', print) until false",
      "for _ = 1, 2 do if kv.get('x') then break end on('contact.creation', print) end",
      "if kv.get('x') then return end\non('contact.creation', print)",
      "goto over\n::over::\non('contact.creation', print)",
      "local x\nfor _, y in ipairs { 1 } do x = y end\nif x then on('contact.creation', print) end",
    }
    for _, text in ipairs(runs) do expect(said(text)).to.equal("") end
  end)

  it("holds properties against the account's", function()
    local answers = { properties = {
      contacts = { { name = "email", type = "string" }, { name = "lifecyclestage", type = "enumeration", options = { { value = "lead" },
        { value = "customer" } } }, { name = "colours", type = "enumeration", fieldType = "checkbox", options = { { value = "red" },
        { value = "blue" } } },
        { name = "hubspot_owner_id", type = "enumeration", options = { { value = "1" } }, externalOptions = true } },
      deals = { { name = "dealname", type = "string" }, { name = "dealstage" }, { name = "pipeline" } },
    }, pipelines = { deals = { { id = "default", stages = { { id = "closedwon" } } } } },
      owners = { { id = "77", email = "ana@example.com" } } }
    local function against(text)
      local list = {}
      local files = { { name = "x.lua", text = HEAD .. text, root = "/" } }
      local findings, _, questions = lint.check(files, function() return function() end end, answers)
      for i, item in ipairs(findings) do list[i] = ("%d %s: %s"):format(item.line, item.rule, item.message) end
      return table.concat(list, "\n"), questions
    end
    local said_of, questions = against([[
hubspot.contacts.get("1", { "emial", "email" })
hubspot.contacts.update("1", { lifecyclestage = "leed", colours = "red;blue", hubspot_owner_id = "77", email = kv.get("e") })
hubspot.deals.search { properties = { "dealnam" }, filters = { { propertyName = "amont", operator = "GT", value = 1 } } }
hubspot.contacts.upsert("emial", { colours = "red;green" })
on("contact.propertyChange", { property = "emal" }, print)
local p = kv.get("p") hubspot.contacts.create { [p] = "x", lifecyclestage = kv.get("s") or "lead" }
hubspot.tickets.get("1", { "anything" })
hubspot.contacts.list { properties = { "email" } }
hubspot.deals.update("1", { pipeline = "default", dealstage = "closedwonn" })
require("routing").pool("inbound", { members = { { owner = "an@example.com" }, { owner = "77" } }, fallback = "Ana@example.com" })
require("routing").pool("late", { members = { { owner = "77" } }, fallback = { "77", "bo@example.com" } })
require("routing").sla("answer", { open = { lifecyclestage = { "lead", "new" } }, remind = "1h", manager = "77", escalate = "2h" })
require("routing").sla("call", { open = { called = { "no" } }, escalate = "2h", manager = "mo@example.com" })
local READ = { contacts = { "email", "emal" }, deals = { "dealname", "emal" } }
for kind, list in pairs(READ) do hubspot[kind].list { properties = list } end
local NEW = { contacts = { lifecyclestage = "lead" }, deals = { dealname = "x" } }
for kind, record in pairs(NEW) do record.dealname = kind; hubspot[kind].create(record) end
local BAD = { contacts = { lifecyclestage = "leed" }, deals = { dealname = "x" } }
for kind, record in pairs(BAD) do hubspot[kind].create(record) end
local sync = require "sync"
sync.mapping("one", { from = sync.csv("x.csv"), to = sync.hubspot("contacts"), fields = {
  { from = "emal", to = "emial", key = true }, { from = function() end, to = "lifecyclestage" }, "colour" } })
sync.mapping("two", { left = sync.sql("db", "t"), right = sync.hubspot("deals"), fields = { { left = "x", right = "dealnam" } } })]])
    expect(said_of).to.equal([[
2 property: contacts have no property "emial" in this account; did you mean "email"?
3 property: "lifecyclestage" of contacts has no value "leed" in this account; did you mean "lead"?
4 property: deals have no property "amont" in this account
4 property: deals have no property "dealnam" in this account; did you mean "dealname"?
5 property: "colours" of contacts has no value "red;green" in this account
5 property: contacts have no property "emial" in this account; did you mean "email"?
6 property: contacts have no property "emal" in this account; did you mean "email"?
10 property: deals have no stage "closedwonn" in this account; did you mean "closedwon"?
11 owner: there is no owner "an@example.com" in this account; did you mean "ana@example.com"?
12 owner: there is no owner "bo@example.com" in this account; did you mean "ana@example.com"?
13 property: "lifecyclestage" of contacts has no value "new" in this account
14 property: contacts have no property "called" in this account
14 owner: there is no owner "mo@example.com" in this account; did you mean "ana@example.com"?
16 property: contacts have no property "emal" in this account; did you mean "email"?
16 property: deals have no property "emal" in this account
20 property: "lifecyclestage" of contacts has no value "leed" in this account; did you mean "lead"?
22 property: contacts have no property "colour" in this account; did you mean "colours"?
22 property: contacts have no property "emial" in this account; did you mean "email"?
24 property: deals have no property "dealnam" in this account; did you mean "dealname"?]])
    expect(questions.properties).to.equal { "contacts", "deals", "tickets" }
    expect(questions.pipelines).to.equal { "deals" }
    expect(questions.owners).to.equal(true)
  end)

  it("does not take together what does not go together", function()
    local answers = { properties = { contacts = { { name = "email" }, { name = "lifecyclestage", type = "enumeration",
      options = { { value = "lead" } } } }, deals = { { name = "dealname" } } } }
    local function against(text)
      local list = {}
      local files = { { name = "x.lua", text = HEAD .. text, root = "/" } }
      for i, item in ipairs((lint.check(files, function() return function() end end, answers))) do
        list[i] = ("%d %s: %s"):format(item.line, item.rule, item.message)
      end
      return table.concat(list, "\n")
    end
    expect(against([[
local function read(object, names) return hubspot[object].get("1", names) end
read("contacts", { "email" })
read("deals", { "dealname" })
local DEFAULTS = { email = "bo@example.com", lifecyclestage = "lead" }
local lead = {}
for name, value in pairs(DEFAULTS) do lead[name] = value end
hubspot.contacts.create(lead)
for kind, name in pairs { contact = "email", deal = "dealname" } do on(kind .. ".propertyChange", { property = name }, print) end]]))
      .to.equal("")
    expect(against([[
local function read(names) return hubspot.contacts.get("1", names) end
read { "email" }
read { "emial" }
for _, stage in ipairs { "lead", "leed" } do hubspot.contacts.create { lifecyclestage = stage } end]])).to.equal(
      '2 property: contacts have no property "emial" in this account; did you mean "email"?\n'
      .. '5 property: "lifecyclestage" of contacts has no value "leed" in this account; did you mean "lead"?')
  end)

  it("knows the place", function()
    local findings = check('local a = 1\n  local b = "é" .. kv.gett("x")')
    expect(findings[1].line).to.equal(2)
    expect(findings[1].col).to.equal(24)
    expect(findings[1].level).to.equal("error")
  end)

  it("tells one thing once, wherever it is required from", function()
    local a, b = { name = "a.lua", text = 'require "m"', root = "/" }, { name = "b.lua", text = 'require "m"', root = "/" }
    local findings = lint.check({ a, b },
      function() return function(name) return "prnt(1)", name .. ".lua" end end)
    expect(#findings).to.equal(1)
    expect(findings[1].file).to.equal("m.lua")
  end)
end)
