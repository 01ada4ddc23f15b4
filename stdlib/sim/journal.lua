-- The webhooks journal: events kept for an app that reads instead of being called (FACTS 6).
-- An app's subscriptions say what is kept. What happens in one publishing interval becomes
-- files of up to FILE events, each under an offset; they stay for three days of this
-- account's clock. A file is fetched by a signed URL that ends, without a token.
-- Nothing is cut into files before somebody looks: when it was published follows from its time.
--
-- HubSpot does not document what follows here, so clients must take other answers, too: the
-- names of `type`, the fields of a merge, whether a CREATE holds the properties that are
-- subscribed to (here: yes), and what an expired offset answers (journal_expired: 404 or 204).
local U = require "sim.util"
local E = require "sim.errors"
local json, crypto = json, crypto

local J = {}

local DAY = 86400000
local KEPT = 3 * DAY
local FILE = 1000             -- events of a file
local BATCH = 100             -- files of a batch
local URL_LIFE = 10 * 60000
local PREFIX = "_sim-journal"

function J.attach(S)
  S.journals = {}             -- by app id
  S.journal_publish_ms = S.options.journal_publish_ms or 1000
  S.journal_expired = S.options.journal_expired or 404
end

local function journal_of(S, app_id)
  local A = S.journals[app_id]
  if not A then
    A = { app_id = app_id, subs = {}, next_sub = 1, filters = {}, next_filter = 1, pending = {}, files = {}, first = 1, last = 0,
      at = {}, statuses = {}, key = S.rng.uuid() }
    S.journals[app_id] = A
  end
  return A
end

-- ---- what happens ----

local function has(list, value)
  for _, v in ipairs(list or {}) do
    if tostring(v) == tostring(value) then return true end
  end
  return false
end

local TESTS = {
  EQ = function(v, c) return v == c.value end,
  N_EQ = function(v, c) return v ~= c.value end,
  CONTAINS = function(v, c) return v:find(c.value, 1, true) ~= nil end,
  STARTS_WITH = function(v, c) return v:sub(1, #c.value) == c.value end,
  ENDS_WITH = function(v, c) return c.value == "" or v:sub(-#c.value) == c.value end,
  IN = function(v, c) return has(c.values, v) end,
  NOT_IN = function(v, c) return not has(c.values, v) end,
  IS_EMPTY = function(v) return v == "" end,
  IS_NOT_EMPTY = function(v) return v ~= "" end,
}
for name, holds in pairs { LT = function(a, b) return a < b end, GT = function(a, b) return a > b end,
  LTE = function(a, b) return a <= b end, GTE = function(a, b) return a >= b end } do
  TESTS[name] = function(v, c)
    local a, b = tonumber(v), tonumber(c.value)
    if a and b then return holds(a, b) end
    return holds(v, c.value)
  end
end

-- All conditions of a filter hold; of several filters one is enough.
local function passes(A, sub, props)
  local any = true
  for _, f in ipairs(A.filters) do
    if f.sub == sub.id then
      any = false
      local all = true
      for _, c in ipairs(f.filter.conditions) do
        all = all and TESTS[c.operator](props[c.property] or "", c)
      end
      if all then return true end
    end
  end
  return any
end

-- Calls fn(journal, subscription) for each that is subscribed to this.
local function each(S, kind, type_id, action, n, props, fn)
  for _, A in pairs(S.journals) do
    for _, s in ipairs(A.subs) do
      if s.kind == kind and (s.type_id == type_id or not s.type_id) and has(s.actions, action)
          and (not n or #s.object_ids == 0 or has(s.object_ids, n)) and passes(A, s, props) then
        fn(A, s)
      end
    end
  end
end

local function keep(S, A, kind, action, fields)
  local event = { type = kind, portalId = S.portal, occurredAt = U.iso(S.event_at), action = action }
  for k, v in pairs(fields) do event[k] = v end
  A.pending[#A.pending + 1] = { at = S.event_at, event = event }
end

-- The subscribed properties among `names`, with their values now; nil when there is none.
local function changes(sub, rec, names)
  local out
  for _, name in ipairs(names) do
    if has(sub.properties, name) then
      out = out or {}
      out[name] = rec[4][name] or ""
    end
  end
  return out
end

---Whether anybody keeps a journal.
function J.kept(S) return next(S.journals) ~= nil end

---A record was created, changed or deleted: `action` CREATE, UPDATE or DELETE.
---@param names string[]|nil the properties that changed
function J.object(S, st, rec, action, names)
  each(S, "OBJECT", st.type_id, action, rec[1], rec[4], function(A, s)
    local changed = names and changes(s, rec, names)
    if action == "UPDATE" and not changed then return end
    keep(S, A, "OBJECT", action, { objectTypeId = st.type_id, objectId = rec[1], propertyChanges = changed })
  end)
end

function J.gdpr(S, st, n)
  each(S, "GDPR_PRIVACY_DELETION", st.type_id, "GDPR_DELETE", nil, {}, function(A)
    keep(S, A, "GDPR_PRIVACY_DELETION", "GDPR_DELETE", { objectTypeId = st.type_id, objectId = n })
  end)
end

function J.merged(S, st, rec, primary, other)
  each(S, "OBJECT", st.type_id, "MERGE", rec[1], rec[4], function(A)
    keep(S, A, "OBJECT", "MERGE", { objectTypeId = st.type_id, objectId = rec[1], primaryObjectId = primary,
      mergedObjectIds = json.array { other }, newObjectId = rec[1] })
  end)
end

function J.associated(S, st, rec, to, other, removed, primary)
  local action = removed and "ASSOCIATION_REMOVED" or "ASSOCIATION_ADDED"
  local function one(a, ra, b, rb)
    local pair = S.links[a.name] and S.links[a.name][b.name]
    each(S, "ASSOCIATION", a.type_id, action, ra[1], ra[4], function(A, s)
      if #s.associated > 0 and not has(s.associated, b.type_id) then return end
      keep(S, A, "ASSOCIATION", action, { fromObjectTypeId = a.type_id, fromObjectId = ra[1], toObjectTypeId = b.type_id,
        toObjectId = rb[1], associationTypeId = pair and pair.default, associationCategory = "HUBSPOT_DEFINED", isPrimary = primary })
    end)
  end
  one(st, rec, to, other)
  if st ~= to then one(to, other, st, rec) end
end

---A record entered or left a list.
function J.listed(S, st, n, list_id, added)
  S.event_at = S.host.now()
  local action = added and "ADDED_TO_LIST" or "REMOVED_FROM_LIST"
  each(S, "LIST_MEMBERSHIP", st.type_id, action, n, {}, function(A, s)
    if #s.list_ids > 0 and not has(s.list_ids, list_id) then return end
    keep(S, A, "LIST_MEMBERSHIP", action, { objectTypeId = st.type_id, objectId = n, listId = list_id })
  end)
end

-- ---- files ----

local function cut(S, A, events, published)
  A.last = A.last + 1
  local offset = S.rng.uuid()
  A.files[A.last] = { offset = offset, published = published, events = events }
  A.at[offset] = A.last
end

local function forget(A, upto)
  while A.first <= A.last and A.files[A.first].published <= upto do
    A.at[A.files[A.first].offset] = nil
    A.files[A.first] = nil
    A.first = A.first + 1
  end
end

-- Publishes what is due, and forgets what is too old.
local function settle(S, A)
  local now, every = S.host.now(), S.journal_publish_ms
  local events, due = {}, nil
  local done = 0
  for i, p in ipairs(A.pending) do
    local published = (p.at // every + 1) * every
    if published > now then break end
    if due and (due ~= published or #events == FILE) then
      cut(S, A, events, due)
      events = {}
    end
    events[#events + 1], due, done = p.event, published, i
  end
  if due then cut(S, A, events, due) end
  if done > 0 then A.pending = table.move(A.pending, done + 1, #A.pending, 1, {}) end
  forget(A, now - KEPT)
end

local function sign(A, offset, expires) return crypto.hmac_sha256(A.key, offset .. "\n" .. expires, "hex") end

local function shown(S, A, req, i)
  local f = A.files[i]
  local expires = S.host.now() + URL_LIFE
  return { currentOffset = f.offset, expiresAt = U.iso(expires),
    url = ("http://%s/%s/%d/%s.json?expires=%d&signature=%s"):format(req.headers.host or "127.0.0.1", PREFIX, A.app_id, f.offset,
      expires, sign(A, f.offset, expires)) }
end

local function denied(req, code, message)
  req.reply = { ["Content-Type"] = "application/xml" }
  return code, "<Error><Code>" .. message:gsub("%s", "") .. "</Code><Message>" .. message .. "</Message></Error>"
end

---A file: /_sim-journal/APP/OFFSET.json. As storage services do, it takes the signature or a token, not both.
function J.file(S, req, seg)
  local A = S.journals[math.tointeger(tonumber(seg[2]))]
  local offset = seg[3] and seg[3]:match("^(.*)%.json$")
  local q = req:args()
  local expires, signature = U.one(q, "expires") or "", U.one(q, "signature") or ""
  req.kind = "journal file"
  if req.headers.authorization then return denied(req, 400, "Only one auth mechanism allowed") end
  if not A or not offset or not crypto.same(signature, sign(A, offset, expires)) then
    return denied(req, 403, "Signature Does Not Match")
  end
  if S.host.now() >= tonumber(expires) then return denied(req, 403, "Request has expired") end
  local i = A.at[offset]
  if not i then return denied(req, 404, "No Such Key") end
  local f = A.files[i]
  return 200, { offset = f.offset, publishedAt = U.iso(f.published), journalEvents = json.array(f.events) }
end
J.PREFIX = PREFIX

-- ---- the journal API ----

local SCOPES = {
  journal = "developer.webhooks_journal.read",
  subscriptions_read = "developer.webhooks_journal.subscriptions.read",
  subscriptions_write = "developer.webhooks_journal.subscriptions.write",
  snapshots_read = "developer.webhooks_journal.snapshots.read",
  snapshots_write = "developer.webhooks_journal.snapshots.write",
}

local function need(req, what)
  local scope, token = SCOPES[what], req.token
  if token.kind ~= "client_credentials" or (token.scopes ~= true and not token.scopes[scope]) then
    error(E.missing_scopes { scope }, 0)
  end
end

local function expired(S)
  if S.journal_expired == 204 then return 204 end
  return E.not_found("The offset is unknown or has expired")
end

local function batch(S, A, req, from, n)
  local started, out = S.host.now(), {}
  for i = from, math.min(from + n - 1, A.last) do out[#out + 1] = shown(S, A, req, i) end
  return S:batch_answer(200, started, out, {})
end

local function count_of(text)
  local n = math.tointeger(tonumber(text))
  if not n or n < 1 or n > BATCH then E.bad_request("count must be between 1 and " .. BATCH) end
  return n
end

local function batch_read(S, A, req)
  local started, out, errors = S.host.now(), {}, {}
  local inputs = S:json(req).inputs
  if type(inputs) ~= "table" or #inputs == 0 or #inputs > BATCH then E.bad_request("inputs must be 1 to " .. BATCH .. " offsets") end
  for _, offset in ipairs(inputs) do
    local i = A.at[offset]
    if i then
      out[#out + 1] = shown(S, A, req, i)
    else
      errors[#errors + 1] = E.standard(E.new(404, "OBJECT_NOT_FOUND", "The offset is unknown or has expired"),
        { offset = json.array { tostring(offset) } })
    end
  end
  return S:batch_answer(200, started, out, errors)
end

local function status_of(A, id)
  local s = A.statuses[id]
  if not s then E.not_found("Snapshot status " .. tostring(id) .. " does not exist") end
  return { id = id, status = "SUCCESS", initiatedAt = s.at, completedAt = s.at }
end

local function read(S, A, req, seg)
  if seg[1] == "status" and seg[2] and not seg[3] then
    need(req, "snapshots_read")
    return 200, status_of(A, seg[2])
  end
  need(req, "journal")
  settle(S, A)
  local portal = U.one(req:args(), "installPortalId")
  local empty = A.first > A.last or (portal and portal ~= tostring(S.portal))
  local what = table.concat(seg, "/"):gsub("^(offset/)[^/]+", "%1?"):gsub("^(batch/)[^/]+(/next/)", "%1?%2")
  if what == "earliest" or what == "latest" then
    if empty then return 204 end
    return 200, shown(S, A, req, what == "latest" and A.last or A.first)
  elseif what == "offset/?/next" then
    local i = A.at[seg[2]]
    if not i then return expired(S) end
    if i == A.last or empty then return 204 end
    return 200, shown(S, A, req, i + 1)
  elseif seg[1] == "batch" and seg[2] == "earliest" and seg[3] and not seg[4] then
    local n = count_of(seg[3])
    return batch(S, A, req, empty and A.last + 1 or A.first, n)
  elseif seg[1] == "batch" and seg[2] == "latest" and seg[3] and not seg[4] then
    local n = count_of(seg[3])
    return batch(S, A, req, empty and A.last + 1 or math.max(A.first, A.last - n + 1), n)
  elseif seg[1] == "batch" and seg[3] == "next" and seg[4] and not seg[5] then
    local i, n = A.at[seg[2]], count_of(seg[4])
    if not i then return expired(S) end
    return batch(S, A, req, empty and A.last + 1 or i + 1, n)
  end
end

-- ---- subscriptions ----

-- What each kind must have (beside subscriptionType), and what it may do.
local KINDS = {
  OBJECT = { needs = { "actions", "objectIds", "objectTypeId", "portalId", "properties" },
    actions = { "CREATE", "UPDATE", "DELETE", "MERGE", "RESTORE", "SNAPSHOT" } },
  ASSOCIATION = { needs = { "actions", "associatedObjectTypeIds", "objectIds", "objectTypeId", "portalId" },
    actions = { "ASSOCIATION_ADDED", "ASSOCIATION_REMOVED" } },
  APP_LIFECYCLE_EVENT = { needs = { "eventTypeId", "properties" }, actions = {} },
  LIST_MEMBERSHIP = { needs = { "actions", "listIds", "objectIds", "portalId" }, actions = { "ADDED_TO_LIST", "REMOVED_FROM_LIST" } },
  GDPR_PRIVACY_DELETION = { needs = { "actions", "objectTypeId", "portalId" }, actions = { "GDPR_DELETE" } },
}

local function rendered(S, A, s)
  return { id = s.id, appId = A.app_id, subscriptionType = s.kind, portalId = S.portal, objectTypeId = s.type_id or "",
    actions = json.array(s.actions), properties = json.array(s.properties), objectIds = json.array(s.object_ids),
    associatedObjectTypeIds = json.array(s.associated), listIds = json.array(s.list_ids),
    createdAt = U.iso(s.created), updatedAt = U.iso(s.updated) }
end

local function upsert(S, A, body)
  local kind = KINDS[body.subscriptionType]
  if not kind then E.bad_request("Invalid subscriptionType: " .. tostring(body.subscriptionType)) end
  local missing = {}
  for _, name in ipairs(kind.needs) do
    if U.absent(body[name]) then missing[#missing + 1] = name end
  end
  if #missing > 0 then E.bad_request("Some required fields were not set: [" .. table.concat(missing, ", ") .. "]") end
  if body.portalId and body.portalId ~= S.portal then
    E.raise(403, "FORBIDDEN", "The app is not installed in portal " .. tostring(body.portalId))
  end
  local lists = {}
  for _, name in ipairs { "actions", "properties", "objectIds", "associatedObjectTypeIds", "listIds" } do
    lists[name] = E.list(body[name], name)
  end
  for _, action in ipairs(lists.actions) do
    if not has(kind.actions, action) then E.bad_request("Action " .. tostring(action) .. " is not one of " .. body.subscriptionType) end
  end
  local type_id = body.objectTypeId
  if type_id and not S.types[type_id] then E.bad_request("Unable to infer object type from: " .. tostring(type_id)) end
  if type_id then type_id = S.types[type_id].type_id end
  local now, found = S.host.now(), nil
  for _, s in ipairs(A.subs) do
    if s.kind == body.subscriptionType and s.type_id == type_id then found = s end
  end
  if not found then
    found = { id = A.next_sub, kind = body.subscriptionType, type_id = type_id, created = now }
    A.next_sub = A.next_sub + 1
    A.subs[#A.subs + 1] = found
  end
  found.updated = now
  found.actions, found.properties, found.object_ids = lists.actions, lists.properties, lists.objectIds
  found.associated, found.list_ids = lists.associatedObjectTypeIds, lists.listIds
  return rendered(S, A, found)
end

local function by_id(list, id, what)
  for i, x in ipairs(list) do
    if tostring(x.id) == id then return x, i end
  end
  return E.not_found(what .. " " .. tostring(id) .. " does not exist")
end

local function filters(S, A, req, seg)
  if not seg[2] and req.method == "POST" then
    need(req, "subscriptions_write")
    local body = S:json(req)
    local conditions = type(body.filter) == "table" and body.filter.conditions
    if U.absent(body.subscriptionId) or type(conditions) ~= "table" then
      E.bad_request("Some required fields were not set: [filter.conditions, subscriptionId]")
    end
    by_id(A.subs, tostring(body.subscriptionId), "Subscription")
    for _, c in ipairs(conditions) do
      if type(c) ~= "table" or not TESTS[c.operator] or type(c.property) ~= "string" or c.filterType ~= "CRM_OBJECT_PROPERTY" then
        E.bad_request("A condition needs filterType CRM_OBJECT_PROPERTY, property and a known operator")
      end
      if not c.operator:find("EMPTY") and not (c.operator:find("IN$") and type(c.values) == "table" or type(c.value) == "string") then
        E.bad_request("Operator " .. c.operator .. " needs " .. (c.operator:find("IN$") and "values" or "value"))
      end
    end
    local f = { id = A.next_filter, sub = body.subscriptionId, filter = body.filter, created = S.host.now() }
    A.next_filter = A.next_filter + 1
    A.filters[#A.filters + 1] = f
    return 200, { filterId = f.id }
  end
  local function show(f) return { id = f.id, createdAt = f.created, filter = f.filter } end
  if seg[2] == "subscription" and seg[3] and not seg[4] and req.method == "GET" then
    need(req, "subscriptions_read")
    local s, out = by_id(A.subs, seg[3], "Subscription"), {}
    for _, f in ipairs(A.filters) do
      if f.sub == s.id then out[#out + 1] = show(f) end
    end
    return 200, json.array(out)
  end
  if not seg[2] or seg[3] then return end
  need(req, req.method == "GET" and "subscriptions_read" or "subscriptions_write")
  local f, at = by_id(A.filters, seg[2], "Filter")
  if req.method == "GET" then return 200, show(f) end
  if req.method ~= "DELETE" then return end
  table.remove(A.filters, at)
  return 204
end

local function subscriptions(S, A, req, seg)
  local method = req.method
  if seg[1] == "filters" then return filters(S, A, req, seg) end
  need(req, method == "GET" and "subscriptions_read" or "subscriptions_write")
  if not seg[1] then
    if method == "GET" then
      local out = {}
      for i, s in ipairs(A.subs) do out[i] = rendered(S, A, s) end
      return 200, { results = json.array(out) }
    elseif method == "POST" then
      return 200, upsert(S, A, S:json(req))
    end
    return
  end
  if seg[1] == "portals" and seg[2] and not seg[3] and method == "DELETE" then
    if seg[2] == tostring(S.portal) then A.subs, A.filters = {}, {} end
    return 204
  end
  if seg[2] then return end
  local s, at = by_id(A.subs, seg[1], "Subscription")
  if method == "GET" then return 200, rendered(S, A, s) end
  if method ~= "DELETE" then return end
  table.remove(A.subs, at)
  for i = #A.filters, 1, -1 do
    if A.filters[i].sub == s.id then table.remove(A.filters, i) end
  end
  return 204
end

-- ---- snapshots ----

local function snapshots(S, A, req)
  need(req, "snapshots_write")
  local body = S:json(req)
  if type(body.snapshotRequests) ~= "table" then E.bad_request("Some required fields were not set: [snapshotRequests]") end
  local out, now = {}, S.host.now()
  S.event_at = now
  for i, r in ipairs(body.snapshotRequests) do
    local st = type(r) == "table" and S.types[r.objectTypeId]
    if not st or r.portalId ~= S.portal or type(r.properties) ~= "table" or not U.id(r.objectId) then
      E.bad_request("A snapshot needs portalId, objectTypeId, objectId and properties")
    end
    local id, rec = S.rng.uuid(), S.objects.find(st, r.objectId)
    A.statuses[id] = { at = now }
    if rec then
      local values = {}
      for _, name in ipairs(r.properties) do values[name] = S.objects.value_of(st, rec, rec[4], name) or "" end
      keep(S, A, "OBJECT", "SNAPSHOT", { objectTypeId = st.type_id, objectId = rec[1], propertyChanges = values, snapshotStatusId = id })
    end
    out[i] = { portalId = S.portal, objectTypeId = st.type_id, objectId = r.objectId, snapshotStatusId = id }
  end
  return 200, { snapshotResponses = json.array(out) }
end

---/webhooks-journal/…; version 2026-03 alone is published.
function J.route(S, req, seg)
  local room, version = seg[1], seg[2]
  if version ~= "2026-03" then return end
  req.kind = "webhooks-journal"
  local A = journal_of(S, req.token.app_id)
  local rest = table.move(seg, 3, #seg, 1, {})
  if room == "journal" or room == "journal-local" then
    if req.method == "POST" and table.concat(rest, "/") == "batch/read" then
      need(req, "journal")
      settle(S, A)
      return batch_read(S, A, req)
    end
    if req.method == "GET" then return read(S, A, req, rest) end
  elseif room == "subscriptions" then
    return subscriptions(S, A, req, rest)
  elseif room == "snapshots" and rest[1] == "crm" and not rest[2] and req.method == "POST" then
    return snapshots(S, A, req)
  end
end

-- ---- control ----

J.control = {}

local function each_journal(S, args, fn)
  for _, id in ipairs(U.keys(S.journals)) do
    if not args.app_id or args.app_id == id then fn(S.journals[id]) end
  end
end

---journal {app_id?}: the files and subscriptions that there are.
function J.control.journal(S, args)
  local files, subs, waiting = {}, {}, 0
  each_journal(S, args, function(A)
    settle(S, A)
    for i = A.first, A.last do
      local f = A.files[i]
      files[#files + 1] = { app_id = A.app_id, offset = f.offset, published = f.published, events = json.array(f.events) }
    end
    for _, s in ipairs(A.subs) do subs[#subs + 1] = rendered(S, A, s) end
    waiting = waiting + #A.pending
  end)
  return { files = json.array(files), subscriptions = json.array(subs), waiting = waiting }
end

---journal_expire {app_id?}: all that was published is as old as three days: files and offsets are gone.
function J.control.journal_expire(S, args)
  local n = 0
  each_journal(S, args, function(A)
    settle(S, A)
    n = n + A.last - A.first + 1
    forget(A, math.huge)
  end)
  return { expired = n }
end

return J
