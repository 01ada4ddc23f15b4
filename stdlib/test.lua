--- Tests in Lua: `hubloop test` runs every *_test.lua, each `it` in a runtime of its own, in virtual time, against
--- the simulator.
---
---   describe("routing", function()
---     it("gives a German lead to the German desk", function()
---       sim.load "lead_routing.lua"
---       local id = sim.create("contacts", { email = "a@example.com", country = "DE" })
---       sim.settle()
---       expect(sim.contact(id).hubspot_owner_id).to.equal("12")
---     end)
---   end)
---
--- describe, it, before_each, after_each, expect and sim are globals in a test file.
---@class test
local test = {}

local _, host = ...
local T = host.test

local show

-- Raised at the line of the test that called.
local function call(fn, ...)
  local ok, result = pcall(fn, ...)
  if not ok then error(type(result) == "string" and result:gsub("^stdlib/test%.lua:%d+: ", "") or result, 3) end
  return result
end

---------------------------------------------------------------------------------------------------- declaring

local tests, inside = {}, { name = "", before = {}, after = {} }

---Groups tests; may be nested.
---@param name string
---@param fn fun()
function test.describe(name, fn)
  if type(name) ~= "string" or type(fn) ~= "function" then error("describe(name, function)", 2) end
  local outer = inside
  inside = { name = outer.name == "" and name or outer.name .. ", " .. name, before = {}, after = {}, outer = outer }
  fn()
  inside = outer
end

---Declares a test. Without a function it is skipped, and counted so.
---@param name string
---@param fn fun()|nil may wait: for the simulator, for virtual time
function test.it(name, fn)
  if type(name) ~= "string" or (fn ~= nil and type(fn) ~= "function") then error("it(name, function)", 2) end
  tests[#tests + 1] = { name = inside.name == "" and name or inside.name .. ", " .. name, fn = fn, group = inside,
    line = T.line(2), skip = fn == nil }
end

---Runs before each test of this group and of those in it, outer groups first.
---@param fn fun()
function test.before_each(fn) inside.before[#inside.before + 1] = fn end

---Runs after each test, also when it failed, inner groups first.
---@param fn fun()
function test.after_each(fn) inside.after[#inside.after + 1] = fn end

---For the runner: what was declared.
function test.list() return tests end

local function run_before(group)
  if group.outer then run_before(group.outer) end
  for _, fn in ipairs(group.before) do fn() end
end

-- What failed, and where it came from without the frames of this file.
local function explain(err)
  local lines = {}
  for line in T.traceback(2):gmatch("[^\n]+") do
    if not line:find("stdlib/test.lua:", 1, true) and not line:find("[C]: in", 1, true) then lines[#lines + 1] = line end
  end
  local text = tostring(err)
  local meta = getmetatable(err) -- false: the host's own errors, which print well
  if type(err) == "table" and (meta == nil or type(meta) == "table" and not meta.__tostring) then text = show(err) end
  return text .. (#lines > 1 and "\n" .. table.concat(lines, "\n") or "")
end

---For the runner: runs the index-th test. Returns the text of its failure, or nothing.
---@param index integer
---@return string|nil
function test.run(index)
  local it = tests[index]
  local ok, failure = xpcall(function()
    run_before(it.group)
    it.fn()
  end, explain)
  local texts, group = {}, it.group
  if not ok then texts[1] = failure end
  while group do
    for i = #group.after, 1, -1 do
      local fine, why = xpcall(group.after[i], explain)
      if not fine then texts[#texts + 1] = "after_each: " .. why end
    end
    group = group.outer
  end
  if #texts > 0 then return table.concat(texts, "\n") end
end

---------------------------------------------------------------------------------------------------- comparing

show = function(value, depth)
  depth = depth or 0
  local kind = type(value)
  if kind == "string" then return ("%q"):format(value):gsub("\\\n", "\\n") .. "" end
  if kind ~= "table" then return tostring(value) end
  if value == json.null then return "json.null" end
  if depth > 4 then return "{…}" end
  local keys, parts, listed = {}, {}, #value
  for i = 1, math.min(listed, 40) do parts[#parts + 1] = show(value[i], depth + 1) end
  if listed > 40 then parts[#parts + 1] = ("… %d more"):format(listed - 40) end
  for key in next, value do
    if not (math.type(key) == "integer" and key >= 1 and key <= listed) then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    local name = type(key) == "string" and key:match("^[%a_][%w_]*$") and key or "[" .. show(key, depth + 1) .. "]"
    parts[#parts + 1] = name .. " = " .. show(rawget(value, key), depth + 1)
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

-- Appends the places at which two values differ: "at .a[2]: expected 1, got 2".
local function differences(expected, got, path, out, seen)
  if #out > 10 then return end
  if rawequal(expected, got) then return end
  if type(expected) ~= "table" or type(got) ~= "table" then
    if expected ~= got or math.type(expected) ~= math.type(got) and tostring(expected) ~= tostring(got) then
      out[#out + 1] = ("at %s: expected %s, got %s"):format(path == "" and "the value itself" or path, show(expected),
        show(got))
    end
    return
  end
  if seen[expected] == got then return end
  seen[expected] = got
  local keys, have = {}, {}
  for key in next, expected do keys[#keys + 1], have[key] = key, true end
  for key in next, got do
    if not have[key] then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return tostring(a) < tostring(b)
  end)
  for _, key in ipairs(keys) do
    local step = math.type(key) == "integer" and "[" .. key .. "]" or "." .. tostring(key)
    differences(rawget(expected, key), rawget(got, key), path .. step, out, seen)
  end
end

local function equal(expected, got)
  local out = {}
  differences(expected, got, "", out, {})
  return #out == 0, out
end

local checks = {}

function checks.equal(got, expected)
  local same, where = equal(expected, got)
  local text = ("expected %s\n     got %s"):format(show(expected), show(got))
  if not same and type(expected) == "table" and type(got) == "table" then
    text = text .. "\n  " .. table.concat(where, "\n  ")
  end
  return same, text, ("expected something else than %s"):format(show(expected))
end

function checks.be(got, expected)
  return rawequal(got, expected), ("expected the very same %s, got %s"):format(show(expected), show(got)),
    ("expected another object than %s"):format(show(expected))
end

function checks.be_nil(got)
  return got == nil, ("expected nil, got %s"):format(show(got)), "expected something else than nil"
end

function checks.be_true(got)
  return got == true, ("expected true, got %s"):format(show(got)), "expected something else than true"
end

function checks.be_false(got)
  return got == false, ("expected false, got %s"):format(show(got)), "expected something else than false"
end

function checks.be_truthy(got)
  return got and true or false, ("expected a true value, got %s"):format(show(got)),
    ("expected nil or false, got %s"):format(show(got))
end

function checks.contain(got, part)
  local found = false
  if type(got) == "string" then
    found = type(part) == "string" and got:find(part, 1, true) ~= nil
  elseif type(got) == "table" then
    for _, item in ipairs(got) do
      if equal(part, item) then
        found = true
        break
      end
    end
  end
  return found, ("expected %s to contain %s"):format(show(got), show(part)),
    ("expected %s not to contain %s"):format(show(got), show(part))
end

function checks.match(got, pattern)
  return type(got) == "string" and got:match(pattern) ~= nil,
    ("expected %s to match %q"):format(show(got), pattern), ("expected %s not to match %q"):format(show(got), pattern)
end

function checks.have_property(got, name, value)
  local has = type(got) == "table" and got[name] or nil
  if value == nil then
    return has ~= nil, ("expected a property %s in %s"):format(name, show(got)),
      ("expected no property %s, it is %s"):format(name, show(has))
  end
  return equal(value, has), ("expected the property %s to be %s, it is %s"):format(name, show(value), show(has)),
    ("expected the property %s not to be %s"):format(name, show(value))
end

function checks.have_length(got, n)
  local length = (type(got) == "table" or type(got) == "string") and #got or nil
  return length == n, ("expected %d entries, got %s in %s"):format(n, tostring(length), show(got)),
    ("expected another number of entries than %d"):format(n)
end

function checks.be_at_least(got, n)
  return type(got) == "number" and got >= n, ("expected at least %s, got %s"):format(show(n), show(got)),
    ("expected less than %s, got %s"):format(show(n), show(got))
end

function checks.be_at_most(got, n)
  return type(got) == "number" and got <= n, ("expected at most %s, got %s"):format(show(n), show(got)),
    ("expected more than %s, got %s"):format(show(n), show(got))
end

local function error_text(err)
  if type(err) == "table" and rawget(err, "message") then
    return ("%s: %s"):format(tostring(rawget(err, "kind")), tostring(rawget(err, "message")))
  end
  return tostring(err)
end

---expect(function).to.raise("pattern"): the pattern is found in "kind: message", or is a table of fields.
function checks.raise(fn, pattern)
  if type(fn) ~= "function" then return false, "expect(…).to.raise wants a function", "expect(…) wants a function" end
  local ok, err = pcall(fn)
  if ok then return false, "expected an error, and nothing was raised", "" end
  local text = error_text(err)
  if pattern == nil then return true, "", ("expected no error, got %s"):format(text) end
  if type(pattern) == "table" then
    for key, value in pairs(pattern) do
      if type(err) ~= "table" or not equal(value, err[key]) then
        return false, ("expected an error with %s = %s, got %s"):format(tostring(key), show(value), show(err)), ""
      end
    end
    return true, "", ("expected no such error, got %s"):format(text)
  end
  return text:find(pattern) ~= nil, ("expected an error that matches %q, got %s"):format(pattern, text),
    ("expected no error that matches %q, got %s"):format(pattern, text)
end

local function checker(value, negated)
  return setmetatable({}, {
    __index = function(_, name)
      local check = checks[name]
      if not check then
        local names = {}
        for known in pairs(checks) do names[#names + 1] = known end
        table.sort(names)
        error(("expect(…).to has no '%s'; there are: %s"):format(tostring(name), table.concat(names, ", ")), 2)
      end
      return function(...)
        local ok, text, negated_text = check(value, ...)
        if negated then ok, text = not ok, negated_text end
        if not ok then error(text, 2) end
      end
    end,
  })
end

---expect(value).to.equal(other), .to_not.be_nil(), …: see `checks` above for all of them.
---@param value any
function test.expect(value)
  return { to = checker(value, false), to_not = checker(value, true) }
end

---------------------------------------------------------------------------------------------------- the simulator

---@class sim
local sim = {}
test.sim = sim

local function fields(record)
  return setmetatable(record, { __index = function(t, key)
    local properties = rawget(t, "properties")
    return type(properties) == "table" and properties[key] or nil
  end })
end

---Starts the simulator with options of its own (tier, contacts, companies, owners, latency_ms, …). Without it the
---first use starts an empty one.
---@param options table
function sim.start(options) call(T.start, options) end

---Loads a script beside the test file, as `hubloop serve` would. Waits until its top level has ended.
---@param path string
---@param permissions {hosts: string[]|nil, fs: string[]|nil, env: string[]|table<string, string>|nil, sql: string[]|nil}|nil
function sim.load(path, permissions)
  call(T.load, path, permissions)
  T.sim("stats", {})
end

---Ends the scripts under test as `kill -9` would: what they were doing is cut off, what they had stored is there, and
---HubSpot's webhooks find nobody. At once, or when HubSpot has done a call of which nobody hears the answer any more.
---@param at {method: string|nil, path: string|nil, call: integer|nil}|nil the call-th (1) of this method to this part of a path
function sim.crash(at)
  for key in pairs(at or {}) do
    if key ~= "method" and key ~= "path" and key ~= "call" then
      error(("crash: there is no '%s'; there are method, path and call"):format(tostring(key)), 2)
    end
  end
  call(T.crash, at and at.method, at and at.path, at and (at.call or 1))
end

---Starts them again; raises when nothing has crashed.
function sim.restart()
  local names = T.crashed() or error("restart: nothing has crashed", 2)
  for _, name in ipairs(names) do call(T.again, name) end
  T.up()
end

---Calls a control function of the simulator.
---@param name string
---@param args table|nil
---@return table
function sim.control(name, args)
  local result = call(T.sim, name, args or {})
  return result
end

local function as_type(object_type)
  local plural = { contact = "contacts", company = "companies", deal = "deals", ticket = "tickets" }
  return plural[object_type] or object_type
end

local function texts(properties)
  local out = {}
  for key, value in pairs(properties) do
    out[key] = type(value) == "string" and value or math.type(value) == "integer" and ("%d"):format(value)
      or tostring(value)
  end
  return out
end

---Creates a record as a person in HubSpot would; its webhook events follow. Returns the id.
---@param object_type string
---@param properties table
---@return string id
function sim.create(object_type, properties)
  local made = call(T.sim, "create", { type = as_type(object_type), properties = texts(properties), brief = true })
  return made.id
end

---Changes a record as a person in HubSpot would.
---@param object_type string
---@param id string|integer
---@param properties table
function sim.update(object_type, id, properties)
  call(T.sim, "update", { type = as_type(object_type), id = tostring(id), properties = texts(properties), brief = true })
end

---A record as HubSpot holds it now, with all its properties; nil when there is none.
---@param object_type string
---@param id string|integer
---@return table|nil
function sim.get(object_type, id)
  local got = T.sim("get", { type = as_type(object_type), id = tostring(id) })
  if type(got) == "table" and got.record then got = got.record end
  return type(got) == "table" and got.id and fields(got) or nil
end

function sim.contact(id) return sim.get("contacts", id) end
function sim.company(id) return sim.get("companies", id) end
function sim.deal(id) return sim.get("deals", id) end

---Creates a form. Returns its id.
---@param name string
---@param names string[]|nil of its fields: e-mail, first and last name
---@return string id
function sim.create_form(name, names) return call(T.sim, "create_form", { name = name, fields = names }).id end

---Fills in a form as a visitor would: the contact is made or changed, and the submission is there to be read.
---@param form string id or name
---@param values table<string, string> field -> value
---@param options {page: string|nil, page_name: string|nil, at: integer|nil}|nil at: epoch ms, now unless given
---@return string id of the submission
function sim.submit_form(form, values, options)
  local args = { form = form, values = values }
  for key, value in pairs(options or {}) do args[key] = value end
  local made = call(T.sim, "submit_form", args)
  return made.id
end

---Creates a list: a static one, or one of all records in which the properties are as in `where`. Returns its id.
---@param name string
---@param options {object_type: string|nil, where: table<string, string>|nil}|nil of contacts unless told
---@return string id
function sim.create_list(name, options)
  options = options or {}
  local made = call(T.sim, "create_list", { name = name, type = as_type(options.object_type or "contacts"), where = options.where })
  return made.listId
end

---Puts a record into a static list, or several, as a person in HubSpot would.
---@param list string id or name
---@param id string|string[]
function sim.add_to_list(list, id)
  local changed = call(T.sim, "add_to_list", { list = list, ids = type(id) == "table" and id or { id } })
  return changed
end

---Takes a record out of a static list, or several.
---@param list string id or name
---@param id string|string[]
function sim.remove_from_list(list, id)
  local changed = call(T.sim, "remove_from_list", { list = list, ids = type(id) == "table" and id or { id } })
  return changed
end

---Delivers one event as a signed webhook, whether or not anything changed.
---@param event_type string "contact.creation"
---@param event table its fields: objectId, propertyName, propertyValue, …
function sim.trigger(event_type, event)
  local args = { type = event_type }
  for key, value in pairs(event or {}) do args[key] = value end
  local made = call(T.sim, "trigger", args)
  return made
end

local units = { ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000 }

---Lets virtual time pass: "3d", "15m", or seconds. Timers, retries and handlers run meanwhile.
---@param duration string|number
function sim.advance(duration)
  local ms
  if type(duration) == "number" then
    ms = duration * 1000
  else
    local number, unit = tostring(duration):match("^(%d+%.?%d*)(%a+)$")
    ms = number and units[unit] and tonumber(number) * units[unit]
  end
  if not ms or ms < 0 then error(('advance: "%s" is no duration, such as "15m" or "3d"'):format(tostring(duration)), 2) end
  T.advance(math.tointeger(ms) or math.floor(ms))
end

---Waits until every delivered event has been handled and nothing is on its way.
---@param limit_s number|nil virtual seconds after which it gives up; 1,800
function sim.settle(limit_s)
  local calm, why = 0, ""
  for _ = 1, (limit_s or 1800) * 100 do
    T.advance(10)
    local idle
    idle, why = T.idle()
    calm = idle and calm + 1 or 0
    if calm >= 3 then return end
  end
  error("settle: it does not come to rest: " .. why, 2)
end

---The API calls that the simulator has answered: { { method=, path=, status=, … }, … }.
---@return table[]
function sim.calls()
  local answer = T.sim("calls", {})
  return answer.calls or answer
end

---How many requests that change something HubSpot has done; those that it refused are not among them.
---@param part string|nil with this part in their path only
---@return integer
function sim.writes(part)
  local n = 0
  for _, c in ipairs(sim.calls()) do
    local reads = c.method == "GET" or c.path:find "/search$" or c.path:find "/read$"
    if not reads and c.status >= 200 and c.status < 300 and (not part or c.path:find(part, 1, true)) then n = n + 1 end
  end
  return n
end

---The e-mails that were to be sent: { { to=, name=, result = "SENT" or why not, … }, … }, oldest first.
---@param to string|nil to this address only
---@return table[]
function sim.emails(to) return call(T.sim, "sent_emails", { to = to }).emails end

---What goes wrong from now on (hubloop help sim): { status = 503, times = 2 }, { drop = "half", path = "/search" },
---{ latency_ms = "p50:80,p99:900", times = 0 }, { webhook = "lost", share = 0.1 }, or a text as for --fault. {} ends all.
---@param fault table|string
function sim.fail(fault) call(T.sim, "fail", type(fault) == "string" and { spec = fault } or fault) end

---What another host answers to http requests; without it a request raises. fn gets { method, url, headers, body,
---json() } and returns a status, a text or { status=, headers=, body= or json= }; an error breaks the connection.
---@param name string "api.example.com", with its port when it is not the scheme's own
---@param fn (fun(request: table): any)|nil
function sim.http(name, fn) call(T.http, name, fn) end

---The audit records that finished handlers left: { { kind=, key=, at=, record= }, … }.
---@param kind string|nil
---@return table[]
function sim.audit(kind) return T.audit(kind) end

---What became of the events: acknowledged, ran, filtered, duplicate, waiting, dead, unhandled, …
---@return table
function sim.events() return T.stats() end

---What the scripts of this test have logged so far.
---@return string
function sim.log() return T.log() end

---The durable values of a script, as its own kv has them.
---@param script string the script's name, as in sim.load
function sim.kv(script) return host.kv(script, "main") end

return test
