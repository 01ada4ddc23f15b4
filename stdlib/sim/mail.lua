-- E-mails: those of the account (/marketing/emails/…) with drafts, revisions, A/B variants and statistics, and sending:
-- a published one to its lists, or one to one person through the two single-send APIs. Who has unsubscribed gets no
-- marketing e-mail (consent.lua); transactional ones reach everybody.
--   an e-mail   { id=, created=, updated=, def = what was given, draft = what is to be, published=, unpublished=, deleted=,
--                 revisions = {{ id=, at=, def= }}, cloned=, variant=, master= }
--   S.mail.sent   { at=, email=, to=, result=, status=, custom= } of everything that was to be sent, in order
local U = require "sim.util"
local E = require "sim.errors"
local O = require "sim.objects"
local G = require "sim.lists"
local K = require "sim.consent"
local json = json

local M = {}

local SEND_MS = 1000   -- a single send is done then
local USER = { id = "1001", email = "admin@example.com", fullName = "Account Admin" }

-- What may be given; everything else of an answer follows from it.
local GIVEN = {}
for name in ([[activeDomain archived businessUnitId campaign content feedbackSurveyId folderIdV2 from jitterSendTime language name
  publishDate rssData sendOnPublish state subcategory subject subscriptionDetails testing to webversion]]):gmatch("%S+") do
  GIVEN[name] = true
end

local TYPES = { batch = "BATCH_EMAIL", automated = "AUTOMATED_EMAIL", single_send_api = "SINGLE_SEND_API",
  marketing_single_send_api = "MARKETING_SINGLE_SEND_API", localtime = "LOCALTIME_EMAIL", ab_master = "AB_EMAIL", ab_variant = "AB_EMAIL",
  blog_email = "BLOG_EMAIL", rss_to_email = "RSS_EMAIL", optin_email = "OPTIN_EMAIL", resubscribe_email = "RESUBSCRIBE_EMAIL" }
local AUTOMATED = { automated = true, single_send_api = true, marketing_single_send_api = true }

function M.attach(S)
  S.mail = { by_id = {}, order = {}, next_id = 180000001, sent = {}, ids = {}, bounced = {}, status = {} }
end

-- ---- e-mails ----

local function merged(def, changes)
  local out = {}
  for k, v in pairs(def) do out[k] = v end
  for k, v in pairs(changes) do
    if GIVEN[k] then out[k] = v ~= json.null and v or nil end
  end
  return out
end

local function revise(S, e)
  e.updated = S.host.now()
  e.revisions[#e.revisions + 1] = { id = tostring(e.id * 100 + #e.revisions + 1), at = e.updated, def = e.def }
end

local function create(S, def, more)
  local X = S.mail
  local now = S.host.now()
  local e = more or {}
  e.id, e.created, e.revisions = X.next_id, now, {}
  X.next_id = X.next_id + 1
  e.def = merged({ subcategory = "batch", archived = false }, def)
  revise(S, e)
  X.by_id[tostring(e.id)] = e
  X.order[#X.order + 1] = e
  return e
end

local function find(S, id, archived)
  local e = S.mail.by_id[tostring(id)]
  if e and (e.deleted ~= nil) == (archived or false) then return e end
  return E.not_found("Email with id " .. tostring(id) .. " does not exist")
end

local function state_of(e)
  local live = e.published and not e.unpublished
  if AUTOMATED[e.def.subcategory] then return live and "AUTOMATED" or "AUTOMATED_DRAFT" end
  return live and "PUBLISHED" or "DRAFT"
end

-- ---- statistics ----

-- What became of the e-mails `sent` that fit.
local function count(S, fits)
  local counters = { sent = 0, delivered = 0, bounce = 0, open = 0, click = 0, unsubscribed = 0, dropped = 0 }
  local ids = {}
  for _, mail in ipairs(S.mail.sent) do
    if fits(mail) then
      ids[mail.email.id] = true
      if mail.result == "SENT" then
        counters.sent, counters.delivered = counters.sent + 1, counters.delivered + 1
      else
        counters.dropped = counters.dropped + 1
      end
    end
  end
  local ratio = counters.sent > 0 and counters.delivered * 100.0 / counters.sent or 0.0
  return { counters = counters, ratios = { deliveredratio = ratio, openratio = 0.0, clickratio = 0.0, bounceratio = 0.0 },
    deviceBreakdown = { open_device_type = { computer = 0, mobile = 0, unknown = 0 } }, qualifierStats = {} }, ids
end

local function numbers(q, name)
  local list = U.list(q, name)
  if not list then return nil end
  local out = {}
  for _, id in ipairs(list) do out[math.tointeger(tonumber(id)) or E.bad_request("Invalid " .. name .. ": " .. id)] = true end
  return out
end

local function instant(q, name, fallback)
  local text = U.one(q, name)
  if not text then return fallback end
  return U.ms(text) or E.bad_request("Invalid " .. name .. ": " .. text)
end

local INTERVALS = { SECOND = 1, MINUTE = 60, QUARTER_HOUR = 900, HOUR = 3600, DAY = 86400, WEEK = 604800, MONTH = 2592000,
  QUARTER = 7776000, YEAR = 31536000 }
local MOST_INTERVALS = 1000

local function statistics(S, req, what)
  local q = req:args()
  local ids = numbers(q, "emailIds")
  local from, to = instant(q, "startTimestamp", S.born), instant(q, "endTimestamp", S.host.now())
  local function fits(a, b)
    return function(mail) return mail.at >= a and mail.at <= b and (not ids or ids[mail.email.id]) end
  end
  if what == "list" then
    local data, seen = count(S, fits(from, to))
    return 200, { aggregate = data, emails = json.array(U.keys(seen)), campaignAggregations = {} }
  end
  local name = U.one(q, "interval") or "DAY"
  local span = INTERVALS[name] and INTERVALS[name] * 1000 or E.bad_request("Invalid interval: " .. name)
  if (to - from) // span >= MOST_INTERVALS then E.bad_request("The time range holds more than " .. MOST_INTERVALS .. " intervals") end
  local out = {}
  for at = from, to - 1, span do
    local stop = math.min(at + span, to)
    out[#out + 1] = { interval = { start = U.iso(at), ["end"] = U.iso(stop) }, aggregations = (count(S, fits(at, stop - 1))) }
  end
  return 200, { total = #out, results = json.array(out) }
end

-- ---- answers ----

---Under which the sends of an e-mail are counted.
function M.campaign(e) return tostring(e.id + 200000000) end

local function render(S, e, def, stats)
  local out = merged({}, def or e.def)
  out.id, out.archived = tostring(e.id), e.deleted ~= nil
  out.createdAt, out.updatedAt, out.deletedAt = U.iso(e.created), U.iso(e.updated), e.deleted and U.iso(e.deleted) or nil
  out.state, out.type = state_of(e), TYPES[out.subcategory] or "BATCH_EMAIL"
  out.isPublished = e.published ~= nil and not e.unpublished
  out.isTransactional = out.subcategory == "single_send_api"
  out.isAb = e.variant ~= nil or e.master ~= nil
  out.emailTemplateMode, out.createdById, out.updatedById = "DRAG_AND_DROP", USER.id, USER.id
  out.businessUnitId = out.businessUnitId ~= nil and tostring(out.businessUnitId) or nil
  if e.published then
    out.publishedAt, out.publishDate = U.iso(e.published), U.iso(e.published)
    out.publishedById, out.publishedByEmail, out.publishedByName = USER.id, USER.email, USER.fullName
  end
  out.unpublishedAt = e.unpublished and U.iso(e.unpublished) or nil
  out.clonedFrom, out.primaryEmailCampaignId = e.cloned, M.campaign(e)
  out.allEmailCampaignIds = json.array { out.primaryEmailCampaignId }
  if out.isAb then
    local testing = merged({}, {})
    for k, v in pairs(type(out.testing) == "table" and out.testing or {}) do testing[k] = v end
    testing.isAbVariation, testing.testId = e.master ~= nil, tostring(e.master or e.id)
    testing.abStatus = e.master and "variant" or "master"
    out.testing = testing
  end
  if stats then out.stats = (count(S, function(mail) return mail.email == e end)) end
  return out
end

local function revision(S, e, r)
  return { id = r.id, updatedAt = U.iso(r.at), object = render(S, e, r.def), user = USER }
end

-- ---- sending ----

-- To whom a published e-mail goes: contacts and lists, less those that are excluded.
local function recipients(S, to)
  local st = S.types.contacts
  local ids, out = {}, {}
  local function each(group, fn)
    for _, name in ipairs { "contactIlsLists", "contactLists" } do
      for _, id in ipairs(type(to[name]) == "table" and type(to[name][group]) == "table" and to[name][group] or {}) do
        for n in pairs(G.find(S, id).members) do fn(n) end
      end
    end
    local list = type(to.contactIds) == "table" and to.contactIds[group]
    for _, id in ipairs(type(list) == "table" and list or {}) do
      local rec = O.find(st, id)
      if rec then fn(rec[1]) end
    end
  end
  each("include", function(n) ids[n] = true end)
  each("exclude", function(n) ids[n] = nil end)
  for _, n in ipairs(U.keys(ids)) do
    local rec = O.find(st, n)
    if rec and rec[4].email then out[#out + 1] = rec[4].email end
  end
  return out
end

local function keep(S, e, to, result, more)
  local mail = more or {}
  mail.at, mail.email, mail.to, mail.result = S.host.now(), e, to, result
  local X = S.mail
  X.sent[#X.sent + 1] = mail
  return mail
end

-- What becomes of e-mail `e` to an address.
local function fate(S, e, to)
  if not to:find("^[^%s@,;<>]+@[^%s@,;<>]+%.[%w%-]+$") then return "INVALID_TO_ADDRESS" end
  if S.mail.bounced[to:lower()] then return "PREVIOUSLY_BOUNCED" end
  if not e.published or e.unpublished then return "EMAIL_DISABLED" end
  if e.def.subcategory == "single_send_api" then return "SENT" end
  local details = e.def.subscriptionDetails
  local t = type(details) == "table" and K.type(S, details.subscriptionId)
  return K.refuses(S, to, t and t.id) or "SENT"
end

local function publish(S, e)
  if e.draft then
    e.def, e.draft = e.draft, nil
  end
  e.published, e.unpublished = S.host.now(), nil
  revise(S, e)
  if AUTOMATED[e.def.subcategory] then return end
  for _, to in ipairs(recipients(S, type(e.def.to) == "table" and e.def.to or {})) do keep(S, e, to, fate(S, e, to)) end
end

-- Single sends say what became of them a moment later, under their status id.
local function send_status(S, mail)
  local done = S.host.now() >= mail.at + SEND_MS
  return { statusId = mail.status, status = done and "COMPLETE" or "PENDING", requestedAt = U.iso(mail.at),
    startedAt = done and U.iso(mail.at) or nil, completedAt = done and U.iso(mail.at + SEND_MS) or nil,
    sendResult = done and mail.result or nil,
    eventId = done and mail.result == "SENT" and { id = mail.event, created = U.iso(mail.at + SEND_MS) } or nil }
end

local function set_contact(S, req, to, properties)
  local st = S.types.contacts
  local values = {}
  for k, v in pairs(type(properties) == "table" and properties or {}) do values[k] = v end
  local rec = O.find_by(st, "email", to)
  if rec then
    local ok, e = O.update(S, st, rec, values, req.source)
    if not ok then error(e, 0) end
  else
    values.email = values.email or to
    local made, e = O.create(S, st, values, req.source)
    if not made then error(e, 0) end
  end
end

local function single_send(S, req, subcategory)
  local body = S:json(req)
  local message = body.message
  if U.absent(body.emailId) or type(message) ~= "table" then
    E.bad_request("Some required fields were not set: [emailId, message]")
  end
  if type(message.to) ~= "string" or message.to == "" then E.bad_request("Some required fields were not set: [message.to]") end
  local e = find(S, body.emailId)
  if e.def.subcategory ~= subcategory then
    E.bad_request("Email " .. e.id .. " is a " .. (TYPES[e.def.subcategory] or "BATCH_EMAIL") .. ", not a " .. TYPES[subcategory])
  end
  local to = message.to:match("<([^>]*)>%s*$") or message.to
  local result = fate(S, e, to)
  local id = type(message.sendId) == "string" and e.id .. "/" .. message.sendId or nil
  if id and S.mail.ids[id] then result = "IDEMPOTENT_IGNORE" end   -- at most one e-mail a sendId
  if result == "SENT" then
    set_contact(S, req, to:lower(), body.contactProperties)
    if id then S.mail.ids[id] = true end
  end
  local mail = keep(S, e, to, result, { status = S.rng.uuid(), event = S.rng.uuid(), send_id = message.sendId,
    custom = type(body.customProperties) == "table" and body.customProperties or nil })
  S.mail.status[mail.status] = mail
  return 200, send_status(S, mail)
end

---Sends an e-mail of the account as a workflow does.
function M.send(S, id, to)
  local e = find(S, id)
  keep(S, e, to, fate(S, e, to))
end

-- ---- /marketing/emails/… ----

local TIMES = { created = "createdAt", updated = "updatedAt", published = "publishedAt" }

-- Which e-mails a list shows.
local function listed(S, q)
  local archived = U.one(q, "archived") == "true"
  local type_, published, campaign = U.one(q, "type"), U.one(q, "isPublished"), U.one(q, "campaign")
  local bounds = {}
  for name in pairs(TIMES) do
    bounds[name] = { instant(q, name .. "After"), instant(q, name .. "Before"), instant(q, name .. "At") }
  end
  local out = {}
  for _, e in ipairs(S.mail.order) do
    local ok = (e.deleted ~= nil) == archived and (not type_ or (TYPES[e.def.subcategory] or "BATCH_EMAIL") == type_)
      and (not campaign or e.def.campaign == campaign)
      and (not published or (e.published ~= nil and not e.unpublished) == (published == "true"))
    for name, b in pairs(bounds) do
      local at = e[name]
      ok = ok and (not b[1] or (at and at > b[1])) and (not b[2] or (at and at < b[2])) and (not b[3] or at == b[3])
    end
    if ok then out[#out + 1] = e end
  end
  local sort = U.list(q, "sort")
  local down, field = (sort and sort[1] or "createdAt"):match("^(%-?)(.*)$")
  local function key(e) return field == "name" and (e.def.name or "") or e[field:match("^(%l+)At$") or ""] or 0 end
  table.sort(out, function(a, b)
    local x, y = key(a), key(b)
    if x == y then return a.id < b.id end
    if down == "-" then return x > y end
    return x < y
  end)
  return out
end

local function limit_of(q)
  local limit = math.tointeger(tonumber(U.one(q, "limit") or "10"))
  if not limit or limit < 1 or limit > 300 then E.bad_request("limit must be between 1 and 300") end
  return limit
end

local function page(req, list, show)
  local q = req:args()
  local limit, at = limit_of(q), math.tointeger(tonumber(U.one(q, "after") or "0"))
  if not at or at < 0 then E.bad_request("Invalid paging cursor: " .. U.one(q, "after")) end
  local out = {}
  for i = at + 1, math.min(at + limit, #list) do out[#out + 1] = show(list[i]) end
  local more = at + limit < #list and tostring(at + limit)
  return 200, { total = #list, results = json.array(out), paging = more and { next = { after = more,
    link = "https://api.hubapi.com" .. req.path .. "?limit=" .. limit .. "&after=" .. more } } or nil }
end

local function with_stats(req) return U.one(req:args(), "includeStats") == "true" end

local function clone(S, body)
  local from = find(S, body.id)
  local name = type(body.cloneName) == "string" and body.cloneName or (from.def.name or "") .. " (clone)"
  return create(S, merged(from.def, { name = name, language = body.language }), { cloned = tostring(from.id) })
end

local function create_variation(S, body)
  local master = find(S, body.contentId)
  if type(body.variationName) ~= "string" then E.bad_request("Some required fields were not set: [variationName]") end
  if master.variant or master.master then E.bad_request("Email " .. master.id .. " has a variation already") end
  local e = create(S, merged(master.def, { name = body.variationName, subcategory = "ab_variant" }), { master = master.id })
  master.variant, master.def = e.id, merged(master.def, { subcategory = "ab_master" })
  return e
end

local function route_revisions(S, req, e, seg)
  if not seg[1] then
    if req.method ~= "GET" then return end
    local list = {}
    for i = #e.revisions, 1, -1 do list[#list + 1] = e.revisions[i] end
    return page(req, list, function(r) return revision(S, e, r) end)
  end
  local r
  for _, one in ipairs(e.revisions) do if one.id == seg[1] then r = one end end
  if not r then E.not_found("Revision " .. seg[1] .. " of email " .. e.id .. " does not exist") end
  if not seg[2] and req.method == "GET" then return 200, revision(S, e, r) end
  if seg[3] or req.method ~= "POST" then return end
  if seg[2] == "restore" then
    e.def = r.def
    revise(S, e)
    return 204
  elseif seg[2] == "restore-to-draft" then
    e.draft = r.def
    return 200, render(S, e, e.draft)
  end
end

local function route_draft(S, req, e, rest)
  if rest == "" and req.method == "GET" then return 200, render(S, e, e.draft) end
  if rest == "" and req.method == "PATCH" then
    e.draft = merged(e.draft or e.def, S:json(req))
    return 200, render(S, e, e.draft)
  end
  if rest == "reset" and req.method == "POST" then
    e.draft = nil
    return 204
  end
end

---/marketing/emails/V/…
function M.route_emails(S, req, seg)
  req.kind = "emails"
  local method, first = req.method, seg[1]
  if not first then
    if method == "GET" then
      local stats = with_stats(req)
      return page(req, listed(S, req:args()), function(e) return render(S, e, nil, stats) end)
    elseif method == "POST" then
      local body = S:json(req)
      if type(body.name) ~= "string" then E.bad_request("Some required fields were not set: [name]") end
      return 201, render(S, create(S, body))
    end
    return
  end
  local what = table.concat(seg, "/")
  if method == "POST" and what == "clone" then return 200, render(S, clone(S, S:json(req))) end
  if method == "POST" and what == "ab-test/create-variation" then return 201, render(S, create_variation(S, S:json(req))) end
  if first == "statistics" then
    if method == "GET" and (what == "statistics/list" or what == "statistics/histogram") then return statistics(S, req, seg[2]) end
    return
  end
  local e = find(S, first, U.one(req:args(), "archived") == "true")
  local rest = table.concat(seg, "/", 2)
  if rest == "" then
    if method == "GET" then return 200, render(S, e, nil, with_stats(req)) end
    if method == "PATCH" then
      e.def = merged(e.def, S:json(req))
      revise(S, e)
      return 200, render(S, e)
    elseif method == "DELETE" then
      e.deleted = S.host.now()
      return 204
    end
  elseif method == "POST" and rest == "publish" then
    publish(S, e)
    return 204
  elseif method == "POST" and rest == "unpublish" then
    e.unpublished = e.published and S.host.now() or nil
    return 204
  elseif method == "GET" and rest == "ab-test/get-variation" then
    local other = e.variant or e.master
    if not other then E.not_found("Email " .. e.id .. " has no variation") end
    return 200, render(S, find(S, other), nil, with_stats(req))
  elseif seg[2] == "draft" then
    return route_draft(S, req, e, table.concat(seg, "/", 3))
  elseif seg[2] == "revisions" then
    return route_revisions(S, req, e, table.move(seg, 3, #seg, 1, {}))
  end
end

---/marketing/transactional/V/single-email/send
function M.route_transactional(S, req, seg)
  req.kind = "single-send"
  if req.method == "POST" and table.concat(seg, "/") == "single-email/send" then return single_send(S, req, "single_send_api") end
end

---/marketing/email-campaigns/V/single-send, in v4 below /marketing/v4/email, and /marketing/v3/email/send-statuses/{id} of both kinds
function M.route_sends(S, req, seg)
  req.kind = "single-send"
  if req.method == "POST" and seg[1] == "single-send" and not seg[2] then return single_send(S, req, "marketing_single_send_api") end
  if req.method == "GET" and seg[1] == "send-statuses" and seg[2] and not seg[3] then
    local mail = S.mail.status[seg[2]]
    if not mail then E.not_found("Status " .. seg[2] .. " does not exist") end
    return 200, send_status(S, mail)
  end
end

-- ---- from outside (control.lua) ----

M.control = {}

---create_email {name, subject?, subcategory? ("single_send_api"), subscription?, published? (true), to?}
function M.control.create_email(S, args)
  if type(args.name) ~= "string" then error("an e-mail has a name", 0) end
  local t = args.subscription and (K.type(S, args.subscription) or error("no subscription type " .. tostring(args.subscription), 0))
  local e = create(S, { name = args.name, subject = args.subject or args.name, subcategory = args.subcategory or "single_send_api",
    to = args.to, subscriptionDetails = t and { subscriptionId = tostring(t.id), subscriptionName = t.name } or nil })
  if args.published ~= false then publish(S, e) end
  return render(S, e)
end

---sent_emails {to?}: what was to be sent and what became of it, oldest first
function M.control.sent_emails(S, args)
  local out = {}
  for _, mail in ipairs(S.mail.sent) do
    if not args.to or mail.to:lower() == args.to:lower() then
      out[#out + 1] = { to = mail.to, at = mail.at, email = tostring(mail.email.id), name = mail.email.def.name, result = mail.result,
        sendId = mail.send_id, customProperties = mail.custom }
    end
  end
  return { emails = json.array(out) }
end

---bounce {email}: no e-mail reaches this address any more
function M.control.bounce(S, args)
  S.mail.bounced[tostring(args.email):lower()] = true
  return { bounced = true }
end

return M
