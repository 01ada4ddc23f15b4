-- What tests, the demo and `hubloop sim` do to the account from outside HubSpot's API
-- (over HTTP: POST /_sim/NAME with a JSON object). Nothing here waits or counts against
-- limits; changes are made as a person in HubSpot makes them, and cause events.
--
--   create {type, properties | list}        -> record | {results}
--   update {type, id, properties}           -> record
--   get {type, id, archived?}               -> record | null
--   delete {type, id}                       -> {deleted}     restore {type, id}   an archived one comes back -> record
--   list {type, limit?}                     -> {results, total}
--   batch_create {type, records}            -> {created, ids, errors}
--   merge {type, primary, other}            -> record
--   associate {from_type, from, to_type, to, type_id?}
--   create_pipeline {type, label, pipelineId?, stages = {{label, stageId?, metadata = {probability=}}}}
--   create_list {name, type?, where? = {property = value} | filterBranch?}  dynamic with one of the two
--   add_to_list, remove_from_list {list = id or name, id | ids}   members {list}   delete_list {list}
--   create_form {name, fields? = names, id?}
--   submit_form {form = id or name, values = {name = value}, page?, page_name?, at?}   also makes the contact
--   populate {contacts?, companies?, per_second?}  leads as a busy form brings them
--   activity {per_day}                      from now on things happen, so many a day (activity.lua), 0: no more; there are a
--                                           list, Leads, an e-mail, Newsletter, a workflow, Nurture, and a form, Contact us
--   stand_in {host, file}                   another host's API: the file returns function(request) -> answer (standin.lua)
--   subscribe {types = {"contact.creation", {type=, property=}…}, url?, secret?}
--   trigger {type, …fields}                 builds an event and delivers it
--   fail {status=, times=, …}               what goes wrong from now on (faults.lua); {}: ends all   faults {}  what is left
--   calls {limit?, method?, path?, clear?}  the API call log, oldest first
--   sign {url, body, at?, version?}         the headers with which this account signs a webhook
--   authorize {client_id?, redirect_uri, scope, state?, code_challenge?…}  -> {code}: a person's consent
--   issue_token {token?, scopes?, kind?, client_id?, expires_in?}   expire_token deactivate_token revoke_token {token? | client_id?}
--   journal {app_id?}  the webhooks journals' files and subscriptions   journal_expire {app_id?}  all offsets so far are gone
--   opt_out {email, subscription?}  opt_in {email, subscription}  create_subscription_type {name}   what people want (consent.lua)
--   create_email {name, subcategory?, subscription?, to?}  sent_emails {to?}  bounce {email}   (mail.lua)
--   validate {type?, property, rule, arguments?}   a rule of the account's administrator (validations.lua)
--   create_workflow {name, actions?, re_enroll?}  enroll {workflow, email}  enrollments {workflow}   (workflows.lua)   create_team {name}
--   stats {}   owners {}   owner {email|id, archived?: an e-mail that nobody has makes one}   tokens {}   configure {…options}   reset {}
local U = require "sim.util"
local E = require "sim.errors"
local O = require "sim.objects"
local W = require "sim.webhooks"
local N = require "sim.population"
local A = require "sim.account"
local T = require "sim.oauth"
local users = require "sim.users"
local J = require "sim.journal"
local L = require "sim.pipelines"
local G = require "sim.lists"
local F = require "sim.forms"
local Q = require "sim.faults"
local Y = require "sim.activity"
local I = require "sim.standin"
local json = json

local C = {}

local SOURCE = { change = "CRM_UI", id = "userId:1001" }

local function store(S, args)
  local st = S.types[args.type or "contacts"]
  if not st then error("unknown object type '" .. tostring(args.type) .. "'", 0) end
  return st
end

-- Ready JSON, as any result of a control function may be.
local function show(st, rec) return O.render(st, rec, O.all_names(st, rec)) end

local function show_list(out, total) return ('{"results":[%s],"total":%d}'):format(table.concat(out, ","), total) end

local function must(st, id, archived)
  local rec = O.find(st, id, archived)
  if not rec then error(st.singular .. " " .. tostring(id) .. " does not exist", 0) end
  return rec
end

local function make(S, st, properties)
  local rec, e = O.create(S, st, properties or {}, SOURCE)
  if not rec then error(e, 0) end
  return rec
end

-- The properties of one of several records: given alone, or as { properties = }.
local function properties_of(record)
  if type(record) ~= "table" then error("a record must be an object", 0) end
  return record.properties or record
end

function C.create(S, args)
  local st = store(S, args)
  if args.list then
    if type(args.list) ~= "table" then error("list must be a list of records", 0) end
    local out = {}
    for i, record in ipairs(args.list) do out[i] = show(st, make(S, st, properties_of(record))) end
    return show_list(out, #out)
  end
  local rec = make(S, st, args.properties)
  return args.brief and { id = tostring(rec[1]) } or show(st, rec)
end

function C.update(S, args)
  local st = store(S, args)
  local rec = must(st, args.id)
  local ok, e = O.update(S, st, rec, args.properties or {}, SOURCE)
  if not ok then error(e, 0) end
  return args.brief and { id = tostring(rec[1]) } or show(st, rec)
end

function C.get(S, args)
  local st = store(S, args)
  local rec = O.find(st, args.id, args.archived)
  return rec and show(st, rec) or nil
end

C["delete"] = function(S, args)
  local st = store(S, args)
  O.archive(S, st, must(st, args.id), SOURCE)
  return { deleted = true }
end

---Brings an archived record back, within the 90 days that HubSpot gives.
function C.restore(S, args)
  local st = store(S, args)
  local rec = must(st, args.id, true)
  O.restore(S, st, rec, SOURCE)
  return show(st, rec)
end

function C.list(S, args)
  local st = store(S, args)
  local out = {}
  local limit = args.limit or 1000
  for _, n in ipairs(st.order) do
    local rec = st.records[n]
    if rec and not rec[3] then
      if #out == limit then break end
      out[#out + 1] = show(st, rec)
    end
  end
  return show_list(out, st.live)
end

function C.batch_create(S, args)
  local st = store(S, args)
  local ids, errors = {}, {}
  for i, record in ipairs(args.records or {}) do
    local rec, e = O.create(S, st, properties_of(record), SOURCE)
    if rec then
      ids[#ids + 1] = tostring(rec[1])
    else
      errors[#errors + 1] = { index = i, message = e.message, category = e.category }
    end
  end
  return { created = #ids, ids = json.array(ids), errors = json.array(errors) }
end

function C.merge(S, args)
  local st = store(S, args)
  return show(st, O.merge(S, st, must(st, args.primary), must(st, args.other), SOURCE))
end

function C.associate(S, args)
  local from, to = store(S, { type = args.from_type }), store(S, { type = args.to_type })
  S.associations.link(S, from, must(from, args.from), to, must(to, args.to), args.type_id and { args.type_id } or {}, SOURCE)
  return { associated = true }
end

function C.create_pipeline(S, args)
  local st = store(S, { type = args.type or "deals" })
  if not st.pipelines then error(st.name .. " have no pipelines", 0) end
  return L.render(L.create(S, st, args))
end

function C.create_list(S, args)
  local st = store(S, args)
  local branch = args.filterBranch or args.where and G.where(st, args.where)
  return G.render(G.create(S, { name = args.name, objectTypeId = st.type_id, processingType = branch and "DYNAMIC" or "MANUAL",
    filterBranch = branch }))
end

local function change_list(S, args, joined)
  local l = G.find(S, args.list)
  if l.type == "DYNAMIC" then error("the list " .. l.name .. " follows its filters", 0) end
  local done, missing = G.change(S, l, args.ids or { args.id }, joined)
  if #missing > 0 then error("no " .. l.st.singular .. " " .. table.concat(missing, ", "), 0) end
  return { changed = #done }
end

function C.add_to_list(S, args) return change_list(S, args, true) end
function C.remove_from_list(S, args) return change_list(S, args, false) end

function C.members(S, args)
  local ids = {}
  for i, n in ipairs(U.keys(G.find(S, args.list).members)) do ids[i] = tostring(n) end
  return { ids = json.array(ids) }
end

function C.delete_list(S, args)
  G.find(S, args.list).deleted = S.host.now()
  return { deleted = true }
end

function C.create_form(S, args)
  if type(args.name) ~= "string" then error("a form has a name", 0) end
  return F.render(F.create(S, F.definition(args.name, args.fields or { "email", "firstname", "lastname" }), args.id))
end

function C.submit_form(S, args)
  local form, values = F.find(S, args.form), {}
  if form.archived then error("the form " .. form.def.name .. " takes no submissions any more", 0) end
  for i, name in ipairs(U.keys(args.values or {})) do
    values[i] = { name = name, value = tostring(args.values[name]), objectTypeId = "0-1" }
  end
  local submission = F.submit(S, form, values, args.page, args.page_name, args.at)
  return { id = submission.id, form = form.id }
end

local function new_lead(S) return make(S, S.types.contacts, N.next_lead(S)) end

function C.populate(S, args)
  for _, properties in ipairs(N.companies(S.population, args.companies or 0, N.anyone(S))) do
    make(S, S.types.companies, properties)
    if properties.domain then
      S.firms[#S.firms + 1] = { name = properties.name, domain = properties.domain, country = properties.country }
    end
  end
  local left = args.contacts or 0
  if args.per_second then
    local total, hooks = left, S.hooks
    S.spawn(function()
      -- A tenth of a second's worth at a time, so that the rate holds whatever a sleep costs.
      local began, made = S.host.now(), 0
      while made < total and S.hooks == hooks do
        local due = math.min(total, math.ceil((S.host.now() - began + 100) / 1000 * args.per_second))
        while made < due do
          new_lead(S)
          made = made + 1
        end
        if made < total then task.sleep(0.1) end
      end
    end)
    return { started = total }
  end
  local first, last
  for i = 1, left do
    local rec = new_lead(S)
    if i == 1 then first = rec[1] end
    last = rec[1]
  end
  return { created = left, first = first and tostring(first), last = last and tostring(last) }
end

function C.activity(S, args)
  if type(args.per_day) ~= "number" or args.per_day < 0 then error("activity needs per_day, a number, 0 to end it", 0) end
  if not S.activity then   -- what most accounts have
    C.create_list(S, { name = "Leads", where = { lifecyclestage = "lead" } })
    C.create_email(S, { name = "Newsletter", subcategory = "marketing_single_send_api", subscription = "Marketing Information" })
    C.create_workflow(S, { name = "Nurture" })
  end
  Y.start(S, args.per_day)
  return { per_day = args.per_day }
end

function C.stand_in(S, args) return I.add(S, args) end

function C.subscribe(S, args)
  if args.url then S.webhook_url = args.url end
  if args.secret then S.client_secret = args.secret end
  local out = {}
  for _, item in ipairs(args.types or { args.type }) do
    local type_ = type(item) == "table" and item.type or item
    if not W.valid_type(type_) then error("unknown event type '" .. tostring(type_) .. "'", 0) end
    local property = type(item) == "table" and item.property or nil
    local s = W.subscribe(S, type_, property, type(item) == "table" and item.object_type_id or nil)
    out[#out + 1] = { id = tostring(s.id), type = s.type, property = s.property, active = s.active }
  end
  return { subscriptions = json.array(out) }
end

function C.subscriptions(S)
  local out = {}
  for i, s in ipairs(S.hooks.subs) do out[i] = { id = tostring(s.id), type = s.type, property = s.property, active = s.active } end
  return { subscriptions = json.array(out) }
end

function C.trigger(S, args)
  local fields = {}
  for k, v in pairs(args.fields or args) do
    if k ~= "type" then fields[k] = v end
  end
  local e = W.trigger(S, args.type, fields)
  W.queue(S, e)
  return e
end

function C.fail(S, args)
  if args.spec ~= nil and type(args.spec) ~= "string" then error("spec must be a text such as status=503 times=3", 0) end
  if next(args) == nil then Q.clear(S) else Q.add(S, args.spec or args) end
  return { faults = #S.faults }
end

function C.faults(S) return Q.list(S) end

function C.calls(S, args)
  local log = S.calls
  local out = {}
  for i = math.max(1, log.n - log.max + 1), log.n do
    local c = log[(i - 1) % log.max + 1]
    if (not args.method or c.method == args.method) and (not args.path or c.path:find(args.path, 1, true)) then
      out[#out + 1] = { method = c.method, path = c.path, status = c.status, at = c.at, batch = c.batch }
    end
  end
  if args.limit then
    local from = #out - args.limit
    if from > 0 then out = table.move(out, from + 1, #out, 1, {}) end
  end
  local total = log.n
  if args.clear then log.n = 0 end
  return { calls = json.array(out), total = total }
end

local function copy(t)
  local out = {}
  for k, v in pairs(t) do out[tostring(k)] = v end
  return out
end

function C.stats(S)
  local H = S.hooks
  local sorted = table.move(H.latencies, 1, #H.latencies, 1, {})
  table.sort(sorted)
  local pending, in_flight = W.pending(S)
  local st = S.types.contacts
  -- Counts since the account was seeded: what the running system did.
  local owners, routed = {}, 0
  for _, o in ipairs(S.owners) do
    local n = (st.owners[o.id] or 0) - (S.seeded.owners[o.id] or 0)
    routed = routed + n
    owners[#owners + 1] = { o.firstName .. " " .. o.lastName, n, o.id, o.email }
  end
  return {
    requests = S.requests, limited = S.by_status[429] or 0, by_status = copy(S.by_status), by_kind = copy(S.by_kind),
    daily_used = S.day_used, daily_limit = S.daily,
    contacts = st.live, companies = S.types.companies.live, deals = S.types.deals.live,
    routed = routed, unrouted = st.live - S.seeded.live - routed,
    owners = json.array(owners),
    webhooks = { sent = H.sent, requests = H.requests, acked = H.acked, failed = H.failed, redelivered = H.redelivered,
      duplicated = H.duplicated, lost = H.lost, given_up = H.given_up,
      pending = pending, in_flight = in_flight, waiting = H.delayed, last = H.last },
    count = #sorted, p50 = U.percentile(sorted, 0.5), p99 = U.percentile(sorted, 0.99), max = sorted[#sorted],
  }
end

function C.latencies(S)
  return { ms = json.array(table.move(S.hooks.latencies, 1, #S.hooks.latencies, 1, {})) }
end

function C.owners(S)
  local out = {}
  for i, o in ipairs(S.owners) do out[i] = A.render_owner(S, o) end
  return { results = json.array(out) }
end

-- Whoever has the e-mail or id; an e-mail that nobody has makes an owner (made = true).
function C.owner(S, args)
  local found, made
  for _, o in ipairs(S.owners) do
    if o.id == tostring(args.id) or (args.email and o.email == args.email:lower()) then found = o end
  end
  if not found and not args.email then error("no owner " .. tostring(args.id), 0) end
  if not found then found, made = users.invite(S, args), true end
  if args.archived ~= nil then
    found.archived = args.archived or nil
    found.changed = S.host.now()
  end
  local out = A.render_owner(S, found)
  out.made = made
  return out
end

function C.tokens(S)
  local out = {}
  for _, text in ipairs(U.keys(S.tokens)) do out[#out + 1] = text end
  return { tokens = json.array(out) }
end

for _, room in ipairs { T, J, require "sim.consent", require "sim.mail", require "sim.workflows", require "sim.users",
  require "sim.validations" } do
  for name, fn in pairs(room.control) do C[name] = fn end
end

function C.sign(S, args)
  if type(args.url) ~= "string" or type(args.body) ~= "string" then error("url and body must be strings", 0) end
  if not S.client_secret or S.client_secret == "" then error("the account has no client_secret", 0) end
  return { headers = W.sign(S, args.url, args.body, args.version or S.webhook_signature, args.at) }
end

---Settings that may change while the simulator runs.
local SETTINGS = { webhook_url = "string", client_secret = "string", webhook_shuffle = "boolean", webhook_duplicates = "number",
  webhook_signature = "string", webhook_batch = "number", redelivery_ms = "number", max_concurrent = "number",
  latency_ms = "delay", lag_ms = "number", offset_cursors = "boolean", journal_publish_ms = "number", journal_expired = "number" }

function C.configure(S, args)
  for _, name in ipairs(U.keys(args)) do
    local kind = SETTINGS[name]
    if not kind then error("unknown setting '" .. name .. "' (" .. table.concat(U.keys(SETTINGS), ", ") .. ")", 0) end
    if kind == "delay" then
      S:set_latency(args[name])
    elseif type(args[name]) ~= kind then
      error(name .. " must be a " .. kind, 0)
    else
      S[name == "lag_ms" and "lag" or name] = args[name]
    end
  end
  W.pump(S)
  return { configured = true }
end

function C.reset(S)
  S:start()
  return { reset = true }
end

-- What arguments of these names are, whoever takes them.
local KINDS = { properties = "table", records = "table", ids = "table", types = "table", values = "table", actions = "table",
  arguments = "table", fields = "table", contacts = "number", companies = "number", per_second = "number", limit = "number" }

local function check(args)
  if type(args) ~= "table" then error("the arguments must be an object", 0) end
  for name, kind in pairs(KINDS) do
    if args[name] ~= nil and type(args[name]) ~= kind then
      error(name .. " must be a " .. (kind == "table" and "list or an object" or kind), 0)
    end
  end
  return args
end

---Runs control function `name`; raises a text.
function C.run(S, name, args)
  local f = C[name]
  if name == "run" or not f then
    local names = {}
    for _, k in ipairs(U.keys(C)) do if k ~= "run" then names[#names + 1] = k end end
    error("sim: no control function '" .. tostring(name) .. "' (" .. table.concat(names, ", ") .. ")", 0)
  end
  local ok, result = pcall(function() return f(S, check(args == nil and {} or args)) end)
  if ok then return result end
  if E.is(result) then result = result.message end
  error("sim: " .. name .. ": " .. tostring(result), 0)
end

return C
