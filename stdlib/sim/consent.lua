-- Who wants which e-mails (/communication-preferences/…): the account's subscription types, and of each address
-- what it has said to them, or to all of them at once. E-mails are sent by it (mail.lua).
--   S.consent.types    list of { id=, name=, description=, internal= }
--   S.consent.people   address -> { all = ms or nil, by = { [type id] = { state=, at=, basis=, why=, source= } } }
local U = require "sim.util"
local E = require "sim.errors"
local O = require "sim.objects"
local json = json

local K = {}

local MAX = 100   -- addresses of a batch
local STATES = { SUBSCRIBED = true, UNSUBSCRIBED = true, NOT_SPECIFIED = true }
local BASES = { CONSENT_WITH_NOTICE = true, LEGITIMATE_INTEREST_CLIENT = true, LEGITIMATE_INTEREST_OTHER = true,
  LEGITIMATE_INTEREST_PQL = true, NON_GDPR = true, PERFORMANCE_OF_CONTRACT = true, PROCESS_AND_STORE = true }

local function add_type(S, name, description, internal)
  local types = S.consent.types
  local t = { id = 7100001 + #types, name = name, description = description or "", internal = internal or false, created = S.host.now() }
  types[#types + 1] = t
  return t
end

function K.attach(S)
  S.consent = { types = {}, people = {} }
  add_type(S, "Marketing Information", "Marketing offers and updates.")
  add_type(S, "Customer Service Communication", "Receive feedback requests and customer service information.")
  add_type(S, "One to One", "One to One emails", true)
  for _, t in ipairs(S.consent.types) do t.created = S.born end
end

---The type of an id or a name; nil.
function K.type(S, id)
  for _, t in ipairs(S.consent.types) do
    if tostring(t.id) == tostring(id) or t.name == id then return t end
  end
end

local function type_of(S, id)
  return K.type(S, id) or E.bad_request("Subscription definition " .. tostring(id) .. " does not exist")
end

local function address(text)
  if type(text) ~= "string" or not text:find("^[^%s@,;<>]+@[^%s@,;<>]+%.[%w%-]+$") then
    E.bad_request("Email address " .. tostring(text) .. " is invalid")
  end
  return text:lower()
end

local function person(S, email)
  local p = S.consent.people[email]
  if not p then
    p = { by = {} }
    S.consent.people[email] = p
  end
  return p
end

-- ---- changing ----

-- The contact's own property follows.
local function tell_contact(S, email, source)
  local st = S.types.contacts
  local rec = O.find_by(st, "email", email)
  local all = S.consent.people[email].all
  if rec and (all ~= nil) ~= (rec[4].hs_email_optout == "true") then
    O.apply(S, st, rec, { hs_email_optout = all and "true" or "" }, source)
  end
end

---Sets what an address has said to a type. Returns what that was: HubSpot's setStatusSuccessReason.
---@param how table { basis=, why=, origin=, source= }
function K.set(S, email, t, state, how)
  local p = person(S, email)
  local before = p.by[t.id]
  if (before and before.state or "NOT_SPECIFIED") == state then return "NO_STATUS_CHANGE" end
  local back = state == "SUBSCRIBED" and before and before.state == "UNSUBSCRIBED"
  p.by[t.id] = { state = state, at = S.host.now(), basis = how.basis, why = how.why, source = how.origin }
  if state == "SUBSCRIBED" then p.all = nil end
  tell_contact(S, email, how.source)
  return back and "RESUBSCRIBE_OCCURRED" or "REQUESTED_CHANGE_OCCURRED"
end

function K.unsubscribe_all(S, email, how)
  local p = person(S, email)
  local now = S.host.now()
  p.all = p.all or now
  for _, t in ipairs(S.consent.types) do
    local before = p.by[t.id]
    if not before or before.state ~= "UNSUBSCRIBED" then p.by[t.id] = { state = "UNSUBSCRIBED", at = now, source = how.origin } end
  end
  tell_contact(S, email, how.source)
end

---Why an e-mail of this type may not be sent to the address, as HubSpot's sendResult says it; nil: it may.
function K.refuses(S, email, type_id)
  local p = S.consent.people[email:lower()]
  if not p then return nil end
  if p.all then return "PREVIOUSLY_UNSUBSCRIBED_PORTAL" end
  local said = type_id and p.by[type_id]
  return said and said.state == "UNSUBSCRIBED" and "PREVIOUSLY_UNSUBSCRIBED_MESSAGE" or nil
end

-- ---- answers ----

local function status(S, email, t, reason)
  local p = S.consent.people[email]
  local said = p and p.by[t.id]
  return { channel = "EMAIL", subscriberIdString = email, subscriptionId = t.id, subscriptionName = t.name,
    status = said and said.state or "NOT_SPECIFIED", source = said and said.source or "Not specified",
    legalBasis = said and said.basis, legalBasisExplanation = said and said.why, timestamp = U.iso(said and said.at or t.created),
    setStatusSuccessReason = reason }
end

local function statuses(S, email, reason)
  local out = {}
  for i, t in ipairs(S.consent.types) do out[i] = status(S, email, t, reason) end
  return json.array(out)
end

local function wide(S, email)
  local p = S.consent.people[email]
  local at = p and p.all
  return json.array { { channel = "EMAIL", subscriberIdString = email, wideStatusType = "PORTAL_WIDE",
    status = at and "UNSUBSCRIBED" or "NOT_SPECIFIED", timestamp = U.iso(at or S.born) } }
end

-- The older form of one status: there are two of them only.
local function old_status(S, email, t)
  local p = S.consent.people[email]
  local said = p and p.by[t.id]
  return { id = tostring(t.id), name = t.name, description = t.description,
    status = said and said.state == "SUBSCRIBED" and "SUBSCRIBED" or "NOT_SUBSCRIBED",
    sourceOfStatus = p and p.all and "PORTAL_WIDE_STATUS" or "SUBSCRIPTION_STATUS",
    legalBasis = said and said.basis, legalBasisExplanation = said and said.why }
end

local function definition(t)
  local at = U.iso(t.created)
  return { id = tostring(t.id), name = t.name, description = t.description, purpose = t.internal and "One to One" or "Marketing",
    communicationMethod = "Email", isActive = true, isDefault = true, isInternal = t.internal, createdAt = at, updatedAt = at }
end

-- ---- requests ----

local function check_channel(req)
  local channel = U.one(req:args(), "channel")
  if channel ~= "EMAIL" then
    E.bad_request(channel and "Invalid channel: " .. channel or "Required query parameter 'channel' was not provided")
  end
end

local function how(req, body)
  if not U.absent(body.legalBasis) and not BASES[body.legalBasis] then
    E.bad_request("Invalid legalBasis: " .. tostring(body.legalBasis))
  end
  return { basis = not U.absent(body.legalBasis) and body.legalBasis or nil, origin = "API", source = req.source,
    why = type(body.legalBasisExplanation) == "string" and body.legalBasisExplanation or nil }
end

local function set_from(S, req, email, body)
  local missing = {}
  for _, name in ipairs { "channel", "statusState", "subscriptionId" } do
    if U.absent(body[name]) then missing[#missing + 1] = name end
  end
  if #missing > 0 then E.bad_request("Some required fields were not set: [" .. table.concat(missing, ", ") .. "]") end
  if body.channel ~= "EMAIL" then E.bad_request("Invalid channel: " .. tostring(body.channel)) end
  if not STATES[body.statusState] then E.bad_request("Invalid statusState: " .. tostring(body.statusState)) end
  local t = type_of(S, body.subscriptionId)
  return status(S, email, t, K.set(S, email, t, body.statusState, how(req, body)))
end

-- The addresses of a batch.
local function addresses(S, req)
  local inputs = S:json(req).inputs
  if type(inputs) ~= "table" or #inputs == 0 then E.bad_request("Some required fields were not set: [inputs]") end
  if #inputs > MAX then E.bad_request("The batch has " .. #inputs .. " inputs; the maximum is " .. MAX) end
  req.batch = #inputs
  local out = {}
  for i, text in ipairs(inputs) do out[i] = address(text) end
  return out
end

local BATCH = {}

function BATCH.read(S, req, email) check_channel(req) return { subscriberIdString = email, statuses = statuses(S, email) } end

BATCH["unsubscribe-all/read"] = function(S, req, email)
  check_channel(req)
  return { subscriberIdString = email, wideStatuses = wide(S, email) }
end

BATCH["unsubscribe-all"] = function(S, req, email)
  check_channel(req)
  K.unsubscribe_all(S, email, { origin = "API", source = req.source })
  local verbose = U.one(req:args(), "verbose") == "true"
  return { subscriberIdString = email, statuses = verbose and statuses(S, email, "UNSUBSCRIBE_FROM_ALL_OCCURRED") or nil }
end

local function route_batch(S, req, what)
  if req.method ~= "POST" then return end
  local started, out = S.host.now(), {}
  if what == "write" then
    for i, input in ipairs(S:inputs(S:json(req), MAX)) do out[i] = set_from(S, req, address(input.subscriberIdString), input) end
  elseif BATCH[what] then
    for i, email in ipairs(addresses(S, req)) do out[i] = BATCH[what](S, req, email) end
  else
    return
  end
  return S:batch_answer(200, started, out, {})
end

local function route_person(S, req, seg)
  local email, started = address(seg[2]), S.host.now()
  if not seg[3] then
    if req.method == "GET" then
      check_channel(req)
      return S:batch_answer(200, started, statuses(S, email), {})
    elseif req.method == "POST" then
      return S:batch_answer(200, started, { set_from(S, req, email, S:json(req)) }, {})
    end
  elseif seg[3] == "unsubscribe-all" and not seg[4] then
    check_channel(req)
    if req.method == "GET" then return S:batch_answer(200, started, wide(S, email), {}) end
    if req.method ~= "POST" then return end
    K.unsubscribe_all(S, email, { origin = "API", source = req.source })
    local verbose = U.one(req:args(), "verbose") == "true"
    return S:batch_answer(200, started, verbose and statuses(S, email, "UNSUBSCRIBE_FROM_ALL_OCCURRED") or {}, {})
  end
end

-- subscribe, resubscribe and unsubscribe: one type of one address.
local function route_one(S, req, what)
  local body = S:json(req)
  if U.absent(body.emailAddress) or U.absent(body.subscriptionId) then
    E.bad_request("Some required fields were not set: [emailAddress, subscriptionId]")
  end
  local email, t = address(body.emailAddress), type_of(S, body.subscriptionId)
  local said = person(S, email).by[t.id]
  if what == "subscribe" and said and said.state == "UNSUBSCRIBED" then
    E.bad_request("Subscription " .. t.id .. " for " .. email .. " cannot be updated because they have unsubscribed")
  end
  K.set(S, email, t, what == "unsubscribe" and "UNSUBSCRIBED" or "SUBSCRIBED", how(req, body))
  return 200, old_status(S, email, t)
end

local function generate_links(S, req)
  check_channel(req)
  local body = S:json(req)
  local email = address(body.subscriberIdString)
  local t = not U.absent(body.subscriptionId) and type_of(S, body.subscriptionId)
  local function link(page) return ("https://%d.example.com/hs/%s?d=%s"):format(S.portal, page, S.rng.uuid()) end
  return 200, { subscriberIdString = email, managePreferencesUrl = link("manage-preferences"),
    unsubscribeAllUrl = link("preferences-center/unsubscribe-all"),
      unsubscribeSingleUrl = t and link("preferences-center/unsubscribe") or nil }
end

---/communication-preferences/V/…; `seg` is the path after the version.
function K.route(S, req, seg)
  req.kind = "communication-preferences"
  local version, what, post = req.version, seg[1], req.method == "POST"
  if what == "definitions" and not seg[2] and req.method == "GET" then
    local out = {}
    for i, t in ipairs(S.consent.types) do out[i] = definition(t) end
    if version == "v3" then return 200, { subscriptionDefinitions = json.array(out) } end
    return S:batch_answer(200, S.host.now(), out, {})
  end
  if version ~= "v3" then
    if what == "statuses" and seg[2] then
      if seg[2] == "batch" then return route_batch(S, req, table.concat(seg, "/", 3)) end
      return route_person(S, req, seg)
    elseif what == "links" and seg[2] == "generate" and post then
      return generate_links(S, req)
    elseif what == "resubscribe" and version ~= "v4" and not seg[2] and post then
      return route_one(S, req, what)
    end
  end
  if version == "v4" then return end   -- the newest releases have what v3 has, too
  if what == "status" and seg[2] == "email" and seg[3] and not seg[4] and req.method == "GET" then
    local email, out = address(seg[3]), {}
    for i, t in ipairs(S.consent.types) do out[i] = old_status(S, email, t) end
    return 200, { recipient = email, subscriptionStatuses = json.array(out) }
  elseif (what == "subscribe" or what == "unsubscribe") and not seg[2] and post then
    return route_one(S, req, what)
  end
end

-- ---- from outside (control.lua): what a person does on the preferences page ----

local CLICK = { origin = "Preferences page", source = { change = "CONTACTS", id = "preferences" } }

K.control = {}

---create_subscription_type {name, description?}
function K.control.create_subscription_type(S, args)
  if type(args.name) ~= "string" then error("a subscription type has a name", 0) end
  return definition(add_type(S, args.name, args.description))
end

local function named(S, args)
  return K.type(S, args.subscription) or error("no subscription type " .. tostring(args.subscription), 0)
end

---opt_out {email, subscription? (id or name)}: from one type, or from all e-mail
function K.control.opt_out(S, args)
  local email = address(args.email)
  if args.subscription then K.set(S, email, named(S, args), "UNSUBSCRIBED", CLICK) else K.unsubscribe_all(S, email, CLICK) end
  return { statuses = statuses(S, email) }
end

---opt_in {email, subscription}
function K.control.opt_in(S, args)
  local email = address(args.email)
  K.set(S, email, named(S, args), "SUBSCRIBED", CLICK)
  return { statuses = statuses(S, email) }
end

return K
