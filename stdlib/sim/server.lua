-- The simulator of HubSpot's API: the part that hubspot/openapi describes and
-- automations use, in both path versions, with its limits, errors and webhooks.
--
--   local S = require "sim.server".new(options, host)
--   S:handle{ method=, path=, query=, headers=, body= } -> { status=, headers=, body= }
--   S:control(name, args) -> result            (control.lua)
--
-- handle runs as a task and may sleep; status 0 means that the connection is dropped.
-- host gives now(), random(), spawn(fn), deliver{…}. Options (all optional):
--   tier  seed  owners  companies  contacts  deals  portal  region ("na1")  client_secret
--   token  tokens = {{token=, scopes=, kind=, app_id=, expires_in=}}  oauth_apps (oauth.lua)
--   webhook_url  subscriptions = {"contact.creation", …}  webhook_signature ("v3", "v2", "v1")  webhook_shuffle
--   webhook_duplicates (share)  webhook_batch  max_concurrent  redelivery_ms (the first gap)  creation_changes
--   latency_ms, faults = {spec, …} (faults.lua)  lag_ms (of search)  rate_limit  search_limit  search_results (10000)  daily_limit
--   time_zone ("UTC")  log (calls kept)
--   offset_cursors (of lists and submissions: places, not items)  developer_key (of webhook settings, beside tokens)
--   fixture (a file of hubloop record: fixture.lua)
--   journal_publish_ms (1000)  journal_expired (404; 204: what an unknown offset answers)
--
-- A request goes: faults, credentials, limits, then the room that its path names.
-- A room returns status and body (a table or ready JSON), raises an error of errors.lua,
-- or returns nothing: the operation is not simulated, which is said aloud with 501.
local modname, chunk_host = ...
local U = require "sim.util"
local E = require "sim.errors"
local M = require "sim.limits"
local P = require "sim.properties"
local L = require "sim.pipelines"
local O = require "sim.objects"
local X = require "sim.search"
local A = require "sim.associations"
local R = require "sim.records"
local W = require "sim.webhooks"
local J = require "sim.journal"
local N = require "sim.population"
local C = require "sim.control"
local I = require "sim.standin"
local G = require "sim.lists"
local F = require "sim.forms"
local D = require "sim.schemas"
local account = require "sim.account"
local T = require "sim.oauth"
local scopes = require "sim.scopes"
local fixture = require "sim.fixture"
local Q = require "sim.faults"
local K = require "sim.consent"
local Mail = require "sim.mail"
local Flows = require "sim.workflows"
local Users = require "sim.users"
local json = json

local Server = {}
Server.__index = Server

local DEFAULT_TYPES = { "contact.creation", "contact.deletion", "contact.merge", "company.creation", "company.deletion", "company.merge",
  "company.propertyChange", "deal.creation", "deal.deletion", "deal.propertyChange", "ticket.creation", "ticket.deletion" }

local KNOWN = {}
for name in ([[tier seed owners companies contacts deals portal region token tokens oauth_apps client_secret webhook_url
  subscriptions webhook_signature webhook_shuffle webhook_duplicates webhook_batch max_concurrent redelivery_ms creation_changes
  latency_ms lag_ms rate_limit search_limit search_results daily_limit time_zone log offset_cursors developer_key journal_publish_ms
  journal_expired fixture faults]]):gmatch("%S+") do KNOWN[name] = true end

---Makes an account. Raises a text when an option is unknown or wrong.
---@param options table|nil
---@param host table|nil now, random, spawn, deliver
local function new(options, host)
  options = options or {}
  for _, name in ipairs(U.keys(options)) do
    if not KNOWN[name] then
      error("sim: unknown option '" .. tostring(name) .. "' (" .. table.concat(U.keys(KNOWN), ", ") .. ")", 0)
    end
  end
  local S = setmetatable({ options = options, host = host or chunk_host }, Server)
  S.spawn = S.host.spawn or task.spawn
  S.stand_ins = {}
  S.objects, S.search, S.associations, S.webhooks, S.pipelines, S.listing = O, X, A, W, L, G
  S.budgets = M
  S:start()
  return S
end

---Puts the account into its first state; also `reset`.
function Server:start()
  local S, o = self, self.options
  S.rng = U.rng((o.seed or 7) + 1)
  S.portal = o.portal or 62515
  S.born = S.host.now() // 1000 * 1000 - 1500 * 86400000   -- definitions and owners are older than any record
  S.lag = o.lag_ms or 500
  S:set_latency(o.latency_ms or 0)
  S.client_secret = o.client_secret
  S.webhook_url = o.webhook_url
  S.webhook_signature = o.webhook_signature or "v3"
  S.webhook_shuffle = o.webhook_shuffle or false
  S.webhook_duplicates = o.webhook_duplicates or 0
  S.webhook_batch = math.min(o.webhook_batch or W.MAX_BATCH, W.MAX_BATCH)
  S.max_concurrent = o.max_concurrent or 10
  S.redelivery_ms = o.redelivery_ms or 60000
  S.offset_cursors = o.offset_cursors or false
  Q.attach(S)
  S.rules = nil   -- validations.lua
  S.requests, S.by_status, S.by_kind = 0, {}, {}
  S.calls = { n = 0, max = o.log or 20000 }
  M.attach(S)
  W.attach(S)
  A.attach(S)
  O.attach(S)
  L.attach(S)
  D.attach(S)
  G.attach(S)
  F.attach(S)
  T.attach(S)
  J.attach(S)
  for _, room in ipairs { K, Mail, Flows, Users } do room.attach(S) end
  N.seed(S)
  S.fixture = o.fixture and fixture.read(S.host.read(o.fixture), o.fixture)
  local contacts = S.types.contacts
  S.seeded = { live = contacts.live, owners = {} }
  for id, n in pairs(contacts.owners) do S.seeded.owners[id] = n end
  local types = o.subscriptions or (o.webhook_url and DEFAULT_TYPES) or {}
  if #types > 0 then C.run(S, "subscribe", { types = types }) end
end

function Server:control(name, args)
  local result = C.run(self, name, args)
  return type(result) == "string" and json.decode(result) or result
end

---The same as JSON text, for the host.
function Server:control_text(name, args)
  local result = C.run(self, name, args)
  return type(result) == "string" and result or json.encode(result)
end

---What every answer waits, drawn anew each time.
function Server:set_latency(v)
  self.latency = Q.delay(v) or error("sim: latency_ms takes " .. Q.DELAYS, 0)
end

-- ---- what rooms use ----

local Request = {}
Request.__index = Request

---The parsed query string.
function Request:args()
  local q = self.parsed
  if not q then
    q = self.query == "" and {} or U.query(self.query)
    self.parsed = q
  end
  return q
end

---The body as a table; raises 400.
function Server.json(_, req)
  local ok, value = pcall(json.decode, req.body)
  if not ok or type(value) ~= "table" then
    E.bad_json(req.body == "" and "a body is required" or "the body is not well-formed JSON")
  end
  return value
end

---The inputs of a batch: 1 to `max` objects; raises 400.
function Server:inputs(body, max)
  local inputs = body.inputs
  if type(inputs) ~= "table" then E.bad_request("Some required fields were not set: [inputs]") end
  if #inputs == 0 then E.bad_request("inputs must not be empty") end
  if #inputs > max then
    E.bad_request("The batch has " .. #inputs .. " inputs; the maximum is " .. max, {
      errors = json.array { { message = "Too many inputs", code = "BATCH_SIZE_EXCEEDED",
        context = { maximum = json.array { tostring(max) } } } } })
  end
  for _, input in ipairs(inputs) do
    if type(input) ~= "table" then E.bad_json("inputs must hold objects") end
  end
  if self.current then self.current.batch = #inputs end
  return inputs
end

---Status and body of a batch: 207 when some inputs failed.
function Server:batch_answer(ok_status, started, results, errors)
  local answer = { status = "COMPLETE", results = json.array(results), startedAt = U.iso(started), completedAt = U.iso(self.host.now()) }
  if #errors == 0 then return ok_status, answer end
  answer.numErrors, answer.errors = #errors, json.array(errors)
  return 207, answer
end

-- ---- routing ----

local function tail(seg, from) return table.move(seg, from, #seg, 1, {}) end

local function object_type(S, name)
  local st = name and S.types[name]
  if not st then E.bad_request("Unable to infer object type from: " .. tostring(name)) end
  return st
end

local CRM = {}

function CRM.objects(S, req, seg)
  if not seg[1] then return end
  local st = object_type(S, seg[1])
  local rest = tail(seg, 2)
  -- v4 has associations only, the default ones in a place of their own.
  if req.v4 and rest[2] ~= "associations" then return end
  req.kind = rest[1] == "batch" and "objects/batch/" .. tostring(rest[2]) or rest[1] == "search" and "objects/search" or "objects"
  return R.route(S, st, req, rest)
end

function CRM.associations(S, req, seg)
  req.kind = "associations"
  return A.route(S, req, seg)
end

function CRM.properties(S, req, seg)
  if not seg[1] then return end
  req.kind = "properties"
  return P.route(S, object_type(S, seg[1]), req, tail(seg, 2))
end

function CRM.pipelines(S, req, seg)
  if not seg[1] then return end
  req.kind = "pipelines"
  return L.route(S, object_type(S, seg[1]), req, tail(seg, 2))
end

function CRM.lists(S, req, seg)
  req.kind = "lists"
  return G.route(S, req, seg)
end

function CRM.owners(S, req, seg)
  req.kind = "owners"
  return account.route_owners(S, req, seg)
end

CRM["property-validations"] = require "sim.validations".route

-- ---- rooms ----

local DATED = { ["2026-03"] = true, ["2026-09"] = true }

-- What answers below a path; V stands for any dated version.
local ROOMS = { crm = { v3 = CRM, v4 = { objects = CRM.objects, associations = CRM.associations } } }
for name, room in pairs(CRM) do ROOMS.crm[name] = { V = room } end
ROOMS.crm.associations.v4 = CRM.associations   -- as the limits of labels are published

local function schemas(S, req, seg)
  req.kind = "schemas"
  return D.route(S, req, seg)
end
ROOMS["crm-object-schemas"] = { V = { schemas = schemas }, v3 = { schemas = schemas } }

local function info(S, req, seg)
  req.kind = "account-info"
  return account.route_info(S, req, seg)
end
ROOMS["account-info"] = { V = info, v3 = info }

local function webhooks(S, req, seg)
  req.kind = "webhooks"
  if seg[1] then return W.route(S, req, tail(seg, 2)) end
end
ROOMS["app-webhooks"] = { V = webhooks }
ROOMS.webhooks = { v3 = webhooks }

ROOMS["webhooks-journal"] = function(S, req, seg) return J.route(S, req, seg) end

local function forms(S, req, seg)
  req.kind = "forms"
  return F.route(S, req, seg)
end
ROOMS.marketing = { v3 = { forms = forms, emails = Mail.route_emails, transactional = Mail.route_transactional, email = Mail.route_sends },
  v4 = { email = Mail.route_sends }, emails = { V = Mail.route_emails }, transactional = { V = Mail.route_transactional },
  ["email-campaigns"] = { V = Mail.route_sends } }

ROOMS["communication-preferences"] = { V = K.route, v3 = K.route, v4 = K.route }
ROOMS.automation = { v4 = Flows.rooms, ["2026-09-beta"] = Flows.rooms, v2 = { workflows = Flows.route_old } }
ROOMS.settings = { users = { V = Users.route, v3 = Users.route }, v3 = { users = Users.route } }

ROOMS["form-integrations"] = { v1 = { submissions = { forms = function(S, req, seg)
  req.kind = "forms/submissions"
  return F.route_submissions(S, req, seg)
end } } }

ROOMS.submissions = { v3 = { integration = { secure = { submit = function(S, req, seg)
  req.kind = "forms/submit"
  return F.route_submit(S, req, seg, true)
end } } } }

ROOMS.integrations = { v1 = { me = function(S, req)
  if req.method ~= "GET" then return end
  return 200, { portalId = S.portal, timeZone = "UTC", currency = "USD", utcOffset = "+00:00", utcOffsetMilliseconds = 0 }
end } }

-- Calls the room of a path with the segments behind its own; nothing when there is none.
local function dispatch(S, req, seg)
  local room, n = ROOMS, 0
  repeat
    n = n + 1
    local name = seg[n]
    if not name then return end
    if DATED[name] or name:find("^v%d$") then req.version = name end
    room = room[name] or DATED[name] and room.V
  until type(room) ~= "table"
  if not room then return end
  req.v4 = req.version == "v4"
  req.legacy = req.v4 or req.version == "v3"
  return room(S, req, tail(seg, n + 1))
end

-- 501 names the operation as HubSpot publishes it.
local function missing(req)
  local found = scopes.operation(req.method, req.path)
  local text = "HubSpot publishes no operation " .. req.method .. " " .. req.path .. "; the simulator has none of its own"
  if found then
    text = "The simulator does not have " .. found.method .. " " .. found.path
      .. (found.summary ~= "" and " (" .. found.summary .. ")" or "") .. " of HubSpot's API " .. found.api
  end
  E.raise(501, "NOT_IMPLEMENTED", text)
end

local function split(path)
  local seg, n = {}, 0
  for part in path:gmatch("[^/]+") do
    n = n + 1
    seg[n] = U.decode(part)
  end
  return seg
end

-- Everything between the first look at a request and its answer's body. Runs protected.
local function work(S, req)
  S.current = req   -- rooms never wait, so there is one current request
  for _, text in ipairs { req.path, req.query } do
    if text:find("%00", 1, true) then E.bad_request("the URL holds a NUL character (%00)") end
    if text:find("[%%\128-\255]") and not utf8.len(U.decode(text)) then E.bad_request("the URL is not UTF-8") end
  end
  local seg = split(req.path)
  if seg[1] == "oauth" then
    req.kind = "oauth"
    local status, body = T.route(S, req, seg)
    if status then return status, body end
    missing(req)
  end
  if seg[1] == J.PREFIX and req.method == "GET" then return J.file(S, req, seg) end
  if seg[1] == "submissions" and seg[2] == "v3" and seg[3] == "integration" and seg[4] == "submit" then
    req.kind = "forms/submit"   -- by anybody's browser
    local status, body = F.route_submit(S, req, tail(seg, 5), false)
    if status then return status, body end
  end
  req.token = T.developer(S, req, seg[1]) or T.authenticate(S, req)
  req.source = req.token.source
  if seg[1] == "webhooks-journal" then
    M.admit_journal(S, req.token, seg[2])   -- its scopes have other names than those that are published
  else
    local searching = req.method == "POST" and seg[#seg] == "search" and seg[1] == "crm"
    req.limits = M.admit(S, req.token, searching)
    scopes.check(req)
  end
  if S.fixture and seg[1] ~= "account-info" then return S.fixture:answer(S, req, seg) end
  local status, body = dispatch(S, req, seg)
  if not status then missing(req) end
  return status, body
end

-- ---- one request ----

local function note(S, req, status)
  S.requests = S.requests + 1
  S.by_status[status] = (S.by_status[status] or 0) + 1
  local kind = req.kind or "other"
  S.by_kind[kind] = (S.by_kind[kind] or 0) + 1
  local log = S.calls
  if log.max == 0 then return end
  local at = log.n % log.max + 1
  log.n = log.n + 1
  -- Entries are used again: a busy simulator makes no garbage for its log.
  local c = log[at]
  if not c then
    c = {}
    log[at] = c
  end
  c.method, c.path, c.status, c.at, c.batch = req.method, req.path, status, S.host.now(), req.batch
end

local JSON = { ["Content-Type"] = "application/json;charset=utf-8" }

local function answer(S, req)
  local ok, status, body = pcall(work, S, req)
  S.current = nil
  local headers = req.reply or req.limits or JSON
  if ok then
    if type(body) == "table" then body = json.encode(body) end
    return status, headers, body or ""
  end
  local e = status
  if not E.is(e) then error(e, 0) end
  return e.status, e.headers or headers, E.body(S, e)
end

function Server:handle(req)
  local S = self
  setmetatable(req, Request)
  req.method = req.method:upper()
  req.query, req.body, req.headers = req.query or "", req.body or "", req.headers or {}
  local happens = Q.pick(S, req)
  local wait = S.latency(S.rng) + (happens and happens.wait or 0)
  if wait > 0 then task.sleep(wait / 1000) end
  local fault = happens and happens.first or {}
  local status, headers, body
  if fault.drop == "before" then
    status = 0
  elseif fault.status then
    status, headers, body = Q.answer(S, fault)
  else
    if fault.token then Q.end_token(S, fault.token, req.headers.authorization) end
    status, headers, body = answer(S, req)
  end
  if fault.truncate then body = body:sub(1, #body // 2) end
  note(S, req, status)   -- what was done, also when nobody hears of it
  if fault.drop == "after" then status = 0 end
  local half, trickle = fault.drop == "half", happens and happens.trickle_ms
  if req.in_process then
    -- Whoever asks without a network sees an answer as a whole, late or never.
    if trickle then task.sleep(trickle / 1000) end
    if half then status = 0 end
    half, trickle = nil, nil
  end
  return { status = status, headers = headers or {}, body = body or "", half = half or nil, trickle_ms = trickle,
    broken = (fault.html or fault.bare or fault.truncate) and true or nil }
end

---A request to a host that is not HubSpot's.
function Server:elsewhere(req) return I.handle(self, req) end

return { new = new, name = modname }
