-- Webhooks: what a change becomes for the subscriber (FACTS 5). Writes queue events;
-- a pump sends them as JSON arrays of up to 100, at most S.max_concurrent at once,
-- signed. What is not answered with 2xx within 5 s comes again, up to 10 times over
-- a day, `attemptNumber` counting. On request the pump shuffles, and sends some twice.
local U = require "sim.util"
local E = require "sim.errors"
local J = require "sim.journal"
local Q = require "sim.faults"
local json = json

local W = {}

local BATCH = 100
local TIMEOUT = 5
-- Minutes between attempts: ten redeliveries within 24 hours.
local GAPS = { 1, 3, 10, 30, 60, 120, 180, 240, 300, 360 }

local KINDS = { creation = true, deletion = true, merge = true, restore = true, propertyChange = true,
  associationChange = true, privacyDeletion = true }
local OBJECTS = { contact = true, company = true, deal = true, ticket = true, product = true, line_item = true, object = true }

function W.attach(S)
  S.hooks = {
    subs = {}, next_sub = 1500001, next_event = 100,
    queue = {}, head = 1, tail = 0,     -- events to send
    in_flight = 0, flying = 0, delayed = 0,   -- requests out, events in them, events that wait for another try
    sent = 0, requests = 0, acked = 0, failed = 0, redelivered = 0, duplicated = 0, given_up = 0, lost = 0,
    first_sent = {},                    -- contact id -> ms, until its owner is set
    latencies = {},
    settings = nil,
  }
end

---True for a type that HubSpot knows.
function W.valid_type(name)
  local object, kind = tostring(name):match("^([%a_]+)%.(%a+)$")
  if object == "conversation" then return true end
  return OBJECTS[object] and KINDS[kind] or false
end

---Adds a subscription. `property` nil means every property.
function W.subscribe(S, type_, property, object_type_id, active)
  local H = S.hooks
  for _, s in ipairs(H.subs) do
    if s.type == type_ and s.property == property and s.object_type_id == object_type_id then
      s.active = active ~= false
      return s
    end
  end
  local s = { id = H.next_sub, type = type_, property = property, object_type_id = object_type_id, active = active ~= false,
    created = S.host.now() }
  H.next_sub = H.next_sub + 1
  H.subs[#H.subs + 1] = s
  return s
end

-- ---- from changes to events ----

local function push(H, item)
  H.tail = H.tail + 1
  H.queue[H.tail] = item
end

local function copy_of(event)
  local copy = {}
  for k, v in pairs(event) do copy[k] = v end
  return copy
end

-- Puts the items into the queue after `ms`; meanwhile others overtake them.
local function push_later(S, items, ms)
  local H = S.hooks
  H.delayed = H.delayed + #items
  S.spawn(function()
    task.sleep(ms / 1000)
    if S.hooks ~= H then return end   -- reset
    H.delayed = H.delayed - #items
    for _, item in ipairs(items) do push(H, item) end
    W.pump(S)
  end)
end

local function queue(S, event)
  local H = S.hooks
  local fault = Q.webhook(S, event)
  local what = fault and fault.webhook
  if what == "lost" then
    H.lost = H.lost + 1
    return
  end
  local item = { event = event, attempt = 0, unheard = what == "unheard" }
  if what == "reordered" then
    push_later(S, { item }, fault.delay(S.rng))
    return
  end
  push(H, item)
  if what == "doubled" then
    H.duplicated = H.duplicated + 1
    push(H, { event = copy_of(event), attempt = 0, twin = true })
  end
  W.pump(S)
end
W.queue = queue

local function build(S, sub_id, type_, n, fields)
  local H = S.hooks
  H.next_event = H.next_event + 1
  local event = {
    eventId = H.next_event, subscriptionId = sub_id, portalId = S.portal, appId = S.app_id,
    occurredAt = S.event_at, subscriptionType = type_, attemptNumber = 0, objectId = n,
  }
  for k, v in pairs(fields) do event[k] = v end
  return event
end

local function matching(S, st, kind, property)
  local out
  local type_ = st.singular .. "." .. kind
  for _, s in ipairs(S.hooks.subs) do
    if s.active and (s.type == type_ or (s.type == "object." .. kind and s.object_type_id == st.type_id))
        and (not s.property or s.property == property) then
      out = out or {}
      out[#out + 1] = s
    end
  end
  return out
end

local function emit(S, st, kind, n, source, flag, fields, property)
  local subs = matching(S, st, kind, property)
  if not subs then return end
  for _, s in ipairs(subs) do
    local e = build(S, s.id, s.type, n, fields)
    e.changeSource, e.sourceId, e.changeFlag = source.change, source.id, flag
    if s.type:sub(1, 7) == "object." then e.objectTypeId = st.type_id end
    queue(S, e)
  end
end

local function names_of(rec)
  local out = {}
  for name in pairs(rec[4]) do
    if name ~= 1 then out[#out + 1] = name end
  end
  table.sort(out)
  return out
end

-- Push, journal and record tell the same time of one change.
local function stamp(S, at) S.event_at = at end

function W.created(S, st, rec, source)
  stamp(S, rec[2])
  if J.kept(S) then J.object(S, st, rec, "CREATE", names_of(rec)) end
  if #S.hooks.subs == 0 then return end
  emit(S, st, "creation", rec[1], source, "CREATED", {})
  if S.options.creation_changes then
    for _, name in ipairs(names_of(rec)) do
      emit(S, st, "propertyChange", rec[1], source, nil, { propertyName = name, propertyValue = rec[4][name] }, name)
    end
  end
end

function W.changed(S, st, rec, names, source)
  stamp(S, rec[4][1])
  local H = S.hooks
  if st.name == "contacts" and rec[4].hubspot_owner_id then
    local at = H.first_sent[rec[1]]
    if at then
      H.latencies[#H.latencies + 1] = S.host.now() - at
      H.first_sent[rec[1]] = nil
    end
  end
  if J.kept(S) then J.object(S, st, rec, "UPDATE", names) end
  if #H.subs == 0 then return end
  for _, name in ipairs(names) do
    emit(S, st, "propertyChange", rec[1], source, nil, { propertyName = name, propertyValue = rec[4][name] or "" }, name)
  end
end

function W.deleted(S, st, rec, source, kind)
  stamp(S, kind == "deletion" and rec[3] or S.host.now())
  S.hooks.first_sent[rec[1]] = nil
  if J.kept(S) then
    if kind == "deletion" then J.object(S, st, rec, "DELETE") else J.gdpr(S, st, rec[1]) end
  end
  if #S.hooks.subs == 0 then return end
  emit(S, st, kind, rec[1], source, "DELETED", {})
end

function W.restored(S, st, rec, source)
  stamp(S, S.host.now())
  if J.kept(S) then J.object(S, st, rec, "RESTORE") end
  if #S.hooks.subs == 0 then return end
  emit(S, st, "restore", rec[1], source, "RESTORED", {})
end

function W.merged(S, st, rec, primary, other, moved, source)
  stamp(S, S.host.now())
  if J.kept(S) then J.merged(S, st, rec, primary, other) end
  if #S.hooks.subs == 0 then return end
  emit(S, st, "merge", rec[1], source, "MERGED", { primaryObjectId = primary, mergedObjectIds = json.array { other },
    newObjectId = rec[1], numberOfPropertiesMoved = moved })
end

function W.associated(S, st, rec, to, other, removed, primary, source)
  stamp(S, S.host.now())
  if J.kept(S) then J.associated(S, st, rec, to, other, removed, primary) end
  if #S.hooks.subs == 0 then return end
  local function one(a, ra, b, rb)
    emit(S, a, "associationChange", ra[1], source, nil, {
      associationType = a.upper .. "_TO_" .. b.upper, fromObjectId = ra[1], toObjectId = rb[1],
      associationRemoved = removed, isPrimaryAssociation = primary })
  end
  one(st, rec, to, other)
  if st ~= to then one(to, other, st, rec) end
end

---An event made to order: `trigger`. Fields given win over what HubSpot would fill in.
function W.trigger(S, type_, fields)
  local object = tostring(type_):match("^([%a_]+)%.")
  if not W.valid_type(type_) then error("sim: unknown event type '" .. tostring(type_) .. "' (like contact.creation)", 0) end
  local sub_id = 0
  for _, s in ipairs(S.hooks.subs) do
    if s.type == type_ then sub_id = s.id end
  end
  local st = S.types[object]
  stamp(S, S.host.now())
  local n = U.id(fields.objectId) or (st and st.next_id - 1) or 1
  local e = build(S, sub_id, type_, n, fields)
  e.objectId = n
  e.changeSource = e.changeSource or "CRM_UI"
  e.sourceId = e.sourceId or "userId:1001"
  if e.changeFlag == nil and type_:find("%.creation$") then e.changeFlag = "CREATED" end
  return e
end

-- ---- delivery ----

local DECODED = { ["3A"] = ":", ["2F"] = "/", ["3F"] = "?", ["40"] = "@", ["21"] = "!", ["24"] = "$", ["27"] = "'",
  ["28"] = "(", ["29"] = ")", ["2A"] = "*", ["2C"] = ",", ["3B"] = ";" }

---The headers of a signed request. `at`: epoch ms, now unless given.
function W.sign(S, url, body, version, at)
  local secret = S.client_secret
  local headers = { ["content-type"] = "application/json", ["user-agent"] = "HubSpot Connect 2.0 (http://dev.hubspot.com/) - WebHooks" }
  if not secret or secret == "" then return headers end
  if version == "v1" then
    headers["x-hubspot-signature"] = crypto.sha256(secret .. body, "hex")
    headers["x-hubspot-signature-version"] = "v1"
  elseif version == "v2" then
    headers["x-hubspot-signature"] = crypto.sha256(secret .. "POST" .. url .. body, "hex")
    headers["x-hubspot-signature-version"] = "v2"
  else
    at = tostring(at or S.host.now())
    local uri = url:gsub("%%(%x%x)", function(h) return DECODED[h:upper()] end)
    headers["x-hubspot-request-timestamp"] = at
    headers["x-hubspot-signature-v3"] = crypto.hmac_sha256(secret, "POST" .. uri .. body .. at, "base64")
  end
  return headers
end

local function send(S, items)
  local H = S.hooks
  local url = S.webhook_url
  local now = S.host.now()
  local events = {}
  for i, item in ipairs(items) do
    local e = item.event
    e.attemptNumber = item.attempt
    events[i] = e
    if not item.sent then
      item.sent = true
      H.sent = H.sent + 1
      if e.subscriptionType == "contact.creation" and not H.first_sent[e.objectId] then
        local st = S.types.contact
        local rec = st.records[e.objectId]
        -- A lead that has an owner already is not waiting for one.
        if rec and not rec[4].hubspot_owner_id then H.first_sent[e.objectId] = now end
      end
    else
      H.redelivered = H.redelivered + 1
    end
  end
  local body = json.encode(json.array(events))
  H.requests = H.requests + 1
  local ok, answer = pcall(S.host.deliver, { method = "POST", url = url,
    headers = W.sign(S, url, body, S.webhook_signature), body = body, timeout = TIMEOUT })
  return ok and type(answer) == "table" and answer.status >= 200 and answer.status < 300, answer
end

-- Failed events wait outside the queue and come back together.
local function redeliver(S, items)
  local H = S.hooks
  local gap = GAPS[items[1].attempt + 1]
  if not gap then
    H.given_up = H.given_up + #items
    return
  end
  for _, item in ipairs(items) do item.attempt = item.attempt + 1 end
  push_later(S, items, gap * S.redelivery_ms * (0.9 + 0.2 * S.rng.float()))
end

local function deliver(S, items)
  local H = S.hooks
  local ok, answer = send(S, items)
  for _, item in ipairs(items) do
    if item.unheard then ok, answer, item.unheard = false, "the answer was lost", false end
  end
  H.in_flight, H.flying = H.in_flight - 1, H.flying - #items
  H.last = ok and answer.status or tostring(type(answer) == "table" and (answer.status or answer.message) or answer)
  if S.hooks == H then
    if ok then
      H.acked = H.acked + #items
    else
      H.failed = H.failed + #items
      -- Items of one request may be on different attempts; each group keeps its own pace.
      local by = {}
      for _, item in ipairs(items) do
        by[item.attempt] = by[item.attempt] or {}
        table.insert(by[item.attempt], item)
      end
      for _, attempt in ipairs(U.keys(by)) do redeliver(S, by[attempt]) end
    end
    W.pump(S)
  end
end

local function take(S)
  local H = S.hooks
  local items = {}
  while #items < S.webhook_batch and H.head <= H.tail do
    if S.webhook_shuffle then
      -- Exchange the head with an event from among the next few thousand.
      local j = S.rng.int(H.head, math.min(H.tail, H.head + 4095))
      H.queue[H.head], H.queue[j] = H.queue[j], H.queue[H.head]
    end
    local item = H.queue[H.head]
    H.queue[H.head] = nil
    H.head = H.head + 1
    items[#items + 1] = item
    if S.webhook_duplicates > 0 and item.attempt == 0 and not item.twin and S.rng.chance(S.webhook_duplicates) then
      -- The same event once more: HubSpot does this; nothing but attemptNumber may differ.
      H.duplicated = H.duplicated + 1
      push(H, { event = copy_of(item.event), attempt = 0, twin = true })
    end
  end
  return items
end

---Starts deliveries while there are events and free places. Events of one turn travel together:
---the requests are put together only when the new task runs.
function W.pump(S)
  local H = S.hooks
  if not S.webhook_url or H.starting then return end
  if H.head > H.tail or H.in_flight >= S.max_concurrent then return end
  H.starting = true
  S.spawn(function()
    H.starting = false
    if S.hooks ~= H then return end
    while H.head <= H.tail and H.in_flight < S.max_concurrent do
      local items = take(S)
      H.in_flight, H.flying = H.in_flight + 1, H.flying + #items
      S.spawn(function() deliver(S, items) end)
    end
  end)
end

---Events that are not settled yet, and requests that are out.
function W.pending(S)
  local H = S.hooks
  return H.tail - H.head + 1 + H.delayed + H.flying, H.in_flight
end

-- ---- /app-webhooks/V/{appId}/… ----

local function render_sub(s)
  local t = U.iso(s.created)
  return { id = tostring(s.id), eventType = s.type, propertyName = s.property, objectTypeId = s.object_type_id,
    active = s.active, createdAt = t, updatedAt = t }
end

local function render_settings(H)
  local c = H.settings
  if not c then E.not_found("No webhook settings exist for this app") end
  return { targetUrl = c.url, throttling = { maxConcurrentRequests = c.concurrent },
    createdAt = U.iso(c.created), updatedAt = U.iso(c.updated) }
end

local function route_settings(S, req)
  local H = S.hooks
  if req.method == "GET" then return 200, render_settings(H) end
  if req.method == "PUT" then
    local body = S:json(req)
    local t = body.throttling
    if type(body.targetUrl) ~= "string" or type(t) ~= "table" or math.type(t.maxConcurrentRequests) ~= "integer" then
      E.bad_request("Some required fields were not set: [targetUrl, throttling.maxConcurrentRequests]")
    end
    if t.maxConcurrentRequests < 5 then E.bad_request("maxConcurrentRequests must be at least 5") end
    local now = S.host.now()
    H.settings = { url = body.targetUrl, concurrent = t.maxConcurrentRequests,
      created = H.settings and H.settings.created or now, updated = now }
    S.webhook_url, S.max_concurrent = body.targetUrl, t.maxConcurrentRequests
    return 200, render_settings(H)
  end
  if req.method == "DELETE" then
    H.settings, S.webhook_url = nil, nil
    return 204
  end
end

---`seg` is the path after the app id.
function W.route(S, req, seg)
  local H, method = S.hooks, req.method
  if seg[1] == "settings" and not seg[2] then return route_settings(S, req) end
  if seg[1] ~= "subscriptions" then return end
  if not seg[2] then
    if method == "GET" then
      local out = {}
      for i, s in ipairs(H.subs) do out[i] = render_sub(s) end
      return 200, { results = json.array(out) }
    elseif method == "POST" then
      local body = S:json(req)
      if not W.valid_type(body.eventType) then E.bad_request("Invalid eventType: " .. tostring(body.eventType)) end
      if #H.subs >= 1000 then E.bad_request("An app may have at most 1000 subscriptions") end
      local s = W.subscribe(S, body.eventType, type(body.propertyName) == "string" and body.propertyName or nil,
        type(body.objectTypeId) == "string" and body.objectTypeId or nil, body.active == true)
      return 201, render_sub(s)
    end
    return
  end
  local function by_id(id)
    for i, s in ipairs(H.subs) do
      if tostring(s.id) == tostring(id) then return s, i end
    end
    return E.not_found("Subscription " .. tostring(id) .. " does not exist")
  end
  if seg[2] == "batch" and seg[3] == "update" and method == "POST" then
    local started = S.host.now()
    local out = {}
    for i, input in ipairs(S:inputs(S:json(req), 100)) do
      local s = by_id(input.id)
      s.active = input.active == true
      out[i] = render_sub(s)
    end
    return S:batch_answer(200, started, out, {})
  end
  if seg[3] then return end
  local s, at = by_id(seg[2])
  if method == "GET" then return 200, render_sub(s) end
  if method == "PATCH" then
    local body = S:json(req)
    if type(body.active) == "boolean" then s.active = body.active end
    return 200, render_sub(s)
  end
  if method == "DELETE" then
    table.remove(H.subs, at)
    return 204
  end
end

W.MAX_BATCH = BATCH

return W
