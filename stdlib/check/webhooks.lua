--- What `hubloop webhooks` prints and does: the subscriptions that the scripts' on() calls need, against those that there
--- are. Pure: src/cmd/cmd_webhooks.c asks HubSpot, carries out `actions` and keeps `state`, which is what we made.
local webhooks = {}

-- Type ids of the objects that have event types of their own, and what a person calls them.
local OBJECTS = { contact = "0-1", company = "0-2", deal = "0-3", ticket = "0-5", product = "0-7", line_item = "0-8" }
local PLURALS = { ["0-1"] = "contacts", ["0-2"] = "companies", ["0-3"] = "deals", ["0-5"] = "tickets", ["0-7"] = "products",
  ["0-8"] = "line items" }
-- The journal's actions, in its order.
local ACTIONS = { "CREATE", "UPDATE", "DELETE", "MERGE", "RESTORE" }
local ACTION_OF = { creation = "CREATE", propertyChange = "UPDATE", deletion = "DELETE", merge = "MERGE", restore = "RESTORE" }
local PUSH, JOURNAL = "/app-webhooks/2026-09/%s", "/webhooks-journal/subscriptions/2026-03"
local CONCURRENT = 10
local MAX_SUBSCRIPTIONS = 1000  -- of an app

local function keys(t)
  local out = {}
  for k in pairs(t) do out[#out + 1] = k end
  table.sort(out)
  return out
end

local function set_of(list)
  local out = {}
  for _, v in ipairs(list or {}) do out[v] = true end
  return out
end

local function union(a, b)
  local out = {}
  for k in pairs(a) do out[k] = true end
  for k in pairs(b) do out[k] = true end
  return out
end

local function covers(a, b)
  for k in pairs(b) do
    if not a[k] then return false end
  end
  return true
end

local function ordered_actions(set)
  local out = {}
  for _, a in ipairs(ACTIONS) do
    if set[a] then out[#out + 1] = a end
  end
  for _, a in ipairs(keys(set)) do
    if not set_of(ACTIONS)[a] then out[#out + 1] = a end
  end
  return out
end

-- ---- what is needed ----

-- One row for each event type, property and object type: { type, property?, object_type?, by = {script = true} }.
local function needs(request)
  local rows, by_key, problems, listeners = {}, {}, {}, request.listeners
  local function add(l, type_, property, object_type)
    local key = table.concat({ type_, property or "", object_type or "" }, "\n")
    local row = by_key[key]
    if not row then
      row = { type = type_, property = property, object_type = object_type, by = {}, accounts = {} }
      by_key[key], rows[#rows + 1] = row, row
    end
    row.by[l.script] = true
    if l.account then row.accounts[l.account] = true else row.every = true end
  end
  for _, l in ipairs(listeners) do
    local object, kind = l.type:match("^([%a_]+)%.(%a+)$")
    if OBJECTS[object] or object == "object" or object == "conversation" then
      if kind == "propertyChange" and not l.property then
        problems[#problems + 1] = ("%s: %s without property: HubSpot wants each property named: property = \"…\""):format(l.script, l.type)
      elseif object == "object" and #request.object_types == 0 then
        problems[#problems + 1] = ("%s: %s: of which object types? --object-types 0-27,2-77 names them"):format(l.script, l.type)
      elseif object == "object" then
        for _, id in ipairs(request.object_types) do add(l, l.type, l.property, id) end
      else
        add(l, l.type, l.property)
      end
    end
  end
  table.sort(rows, function(a, b)
    if a.type ~= b.type then return a.type < b.type end
    if a.property ~= b.property then return (a.property or "") < (b.property or "") end
    return (a.object_type or "") < (b.object_type or "")
  end)
  return rows, problems
end

local function label(type_, property, object_type)
  return type_ .. (object_type and " of " .. object_type or "") .. (property and " " .. property or "")
end

-- A line of a section, and what `apply` does for it.
local function adder(out, section, common)
  return function(mark, what, why, action)
    section.rows[#section.rows + 1] = { mark = mark, what = what, why = why }
    if not action then return end
    for k, v in pairs(common) do action[k] = v end
    action.what = what
    out.actions[#out.actions + 1] = action
  end
end

-- ---- push ----

local function push_key(type_, property, object_type) return table.concat({ type_, property or "", object_type or "" }, "\n") end

-- The app's one target URL. One that somebody else has set is changed only when that is asked for.
local function plan_target(request, app, mine, out, line)
  local url, settings = request.public_url, request.push.settings
  local target = settings and settings.targetUrl
  if target == url then return end
  if target and mine.target ~= target and not request.set_target then
    out.problems[#out.problems + 1] = ("the app's target URL is %s, which hubloop did not set; --set-target changes it to %s")
      :format(target, url)
    return
  end
  line(target and "~" or "+", "target URL " .. url, target and "instead of " .. target, { verb = target and "change" or "create",
    method = "PUT", path = PUSH:format(app) .. "/settings", state = { "push", app }, key = "target", value = url,
    body = { targetUrl = url, throttling = settings and settings.throttling or { maxConcurrentRequests = CONCURRENT } } })
end

local function plan_push(request, rows, out)
  local push, app = request.push, tostring(request.push.app)
  local base = PUSH:format(app) .. "/subscriptions"
  local mine = request.state.push and request.state.push[app] or {}
  local ours = mine.subscriptions or {}
  local there, wanted = {}, {}
  for _, s in ipairs(push.subscriptions) do there[push_key(s.eventType, s.propertyName, s.objectTypeId)] = s end
  local section = { title = ("Push: app %s to %s"):format(app, request.public_url), rows = {} }
  out.sections[#out.sections + 1] = section
  local line = adder(out, section, { where = "push" })
  plan_target(request, app, mine, out, line)
  for _, row in ipairs(rows) do
    local key, what = push_key(row.type, row.property, row.object_type), label(row.type, row.property, row.object_type)
    local s = there[key]
    wanted[key] = true
    local by = table.concat(keys(row.by), ", ")
    if not s then
      line("+", what, by, { verb = "create", method = "POST", path = base, state = { "push", app, "subscriptions" }, key = "id",
        value = { type = row.type, property = row.property, object_type = row.object_type },
        body = { eventType = row.type, propertyName = row.property, objectTypeId = row.object_type, active = true } })
    elseif not s.active then
      line("~", what, "is paused", { verb = "change", method = "PATCH", path = base .. "/" .. s.id, body = { active = true } })
    else
      line("=", what, by .. (ours[s.id] and "" or "; not made by hubloop"))
    end
  end
  for _, s in ipairs(push.subscriptions) do
    if not wanted[push_key(s.eventType, s.propertyName, s.objectTypeId)] then
      local what = label(s.eventType, s.propertyName, s.objectTypeId)
      if ours[s.id] then
        line("-", what, "no script listens", { verb = "delete", method = "DELETE", path = base .. "/" .. s.id,
          state = { "push", app, "subscriptions" }, key = s.id })
      else
        line(" ", what, "not made by hubloop, left alone")
      end
    end
  end
  if #rows > MAX_SUBSCRIPTIONS then
    out.problems[#out.problems + 1] = ("an app has at most %d subscriptions; the scripts need %d"):format(MAX_SUBSCRIPTIONS, #rows)
  end
end

-- ---- the journal ----

-- { "OBJECT 0-1" = { kind, type_id, actions = set, properties = set, by = set } } of one account.
local function journal_needs(rows, account, problems)
  local out = {}
  local function need(kind, type_id)
    local key = kind .. " " .. type_id
    out[key] = out[key] or { kind = kind, type_id = type_id, actions = {}, properties = {}, by = {} }
    return out[key]
  end
  for _, row in ipairs(rows) do
    if row.every or row.accounts[account.name] then
      local object, kind = row.type:match("^([%a_]+)%.(%a+)$")
      local type_id = row.object_type or OBJECTS[object]
      local n
      if not type_id then
        problems[#problems + 1] = ("%s: the journal has no conversations; they come through push only")
          :format(table.concat(keys(row.by), ", "))
      elseif kind == "associationChange" then
        n = need("ASSOCIATION", type_id)
        n.actions.ASSOCIATION_ADDED, n.actions.ASSOCIATION_REMOVED = true, true
      elseif kind == "privacyDeletion" then
        n = need("GDPR_PRIVACY_DELETION", type_id)
        n.actions.GDPR_DELETE = true
      else
        n = need("OBJECT", type_id)
        n.actions[ACTION_OF[kind]] = true
        if row.property then n.properties[row.property] = true end
      end
      if n then n.by = union(n.by, row.by) end
    end
  end
  return out
end

local function body_of(portal, n, there)
  local body = { subscriptionType = n.kind, portalId = portal, objectTypeId = n.type_id, actions = json.array(ordered_actions(n.actions)) }
  if n.kind == "GDPR_PRIVACY_DELETION" then return body end
  body.objectIds = json.array {}
  if n.kind == "OBJECT" then body.properties = json.array(keys(n.properties)) end
  if n.kind == "ASSOCIATION" then body.associatedObjectTypeIds = json.array(there and there.associatedObjectTypeIds or {}) end
  return body
end

local function describe(n)
  return (PLURALS[n.type_id] or n.type_id) .. " " .. table.concat(ordered_actions(n.actions), " ")
    .. (next(n.properties) and "; " .. table.concat(keys(n.properties), " ") or "")
end

local function shape_of(s)
  return { kind = s.subscriptionType, type_id = tostring(s.objectTypeId), actions = set_of(s.actions), properties = set_of(s.properties) }
end

-- One subscription that is needed, against the one that is there (`s`, nil: none).
local function plan_one(n, s, own, out, line, write)
  local by = table.concat(keys(n.by), ", ")
  if not s then
    line("+", describe(n), by, write("create", n, nil, true))
    return
  end
  local has = shape_of(s)
  local fits = covers(has.actions, n.actions) and covers(has.properties, n.properties)
  local exact = fits and covers(n.actions, has.actions) and covers(n.properties, has.properties)
  if own and not exact then
    line("~", describe(n), "instead of " .. describe(has), write("change", n, s, true))
  elseif own or (fits and #(s.objectIds or {}) == 0) then
    line("=", describe(has), by .. (own and "" or "; not made by hubloop"))
  elseif #(s.objectIds or {}) > 0 then
    out.problems[#out.problems + 1] = ("subscription %s (%s) is for single records and was not made by hubloop: change it yourself")
      :format(s.id, describe(has))
  else   -- what others asked for stays
    local both = { kind = n.kind, type_id = n.type_id, actions = union(n.actions, has.actions),
      properties = union(n.properties, has.properties) }
    line("~", describe(both), "besides " .. describe(has) .. ", not made by hubloop", write("change", both, s, false))
  end
end

local function plan_journal_of(account, journal, ours, rows, out)
  local section = { title = ("Journal %s: account %s, portal %s"):format(journal.name, account.name, account.portal), rows = {} }
  out.sections[#out.sections + 1] = section
  local line = adder(out, section, { where = "journal", journal = journal.name })
  local wanted, there = journal_needs(rows, account, out.problems), {}
  local function write(verb, n, s, own)
    return { verb = verb, method = "POST", path = JOURNAL, body = body_of(account.portal, n, s),
      state = own and { "journal", journal.name } or nil, key = own and "id" or nil,
      value = own and { portal = account.portal, kind = n.kind, object_type = n.type_id } or nil }
  end
  for _, s in ipairs(journal.subscriptions) do
    if s.portalId == account.portal and not s.deletedAt then there[s.subscriptionType .. " " .. tostring(s.objectTypeId)] = s end
  end
  for _, key in ipairs(keys(wanted)) do
    local s = there[key]
    plan_one(wanted[key], s, s and ours[tostring(s.id)] ~= nil, out, line, write)
  end
  for _, key in ipairs(keys(there)) do
    local s = there[key]
    if not wanted[key] and ours[tostring(s.id)] then
      line("-", describe(shape_of(s)), "no script listens", { verb = "delete", method = "DELETE", path = JOURNAL .. "/" .. s.id,
        state = { "journal", journal.name }, key = tostring(s.id) })
    elseif not wanted[key] then
      line(" ", describe(shape_of(s)), "not made by hubloop, left alone")
    end
  end
end

local function plan_journal(request, journal, rows, out)
  local ours = request.state.journal and request.state.journal[journal.name] or {}
  for _, account in ipairs(request.accounts) do
    if account.journal == journal.name then plan_journal_of(account, journal, ours, rows, out) end
  end
end

-- ---- what a person sets ----

local HAND = {
  private_app = "its private app's settings, tab Webhooks (Settings > Integrations > Private Apps)",
  platform_app = "the app's project file src/app/webhooks/webhooks-hsmeta.json (--hsmeta prints it)",
  oauth = "the app's project file src/app/webhooks/webhooks-hsmeta.json (--hsmeta prints it); a legacy public app's by webhooks.app and "
    .. "webhooks.developer_key in hubloop.lua",
}

local function plan_hand(request, rows, out)
  for _, account in ipairs(request.accounts) do
    if account.kind == "service_key" then
      if not account.journal then
        out.problems[#out.problems + 1] = ("account %s has a service key, which has no webhooks: read the journal (hubloop help webhooks)")
          :format(account.name)
      end
    else
      local place = HAND[account.kind] or HAND.private_app
      local section = { title = ("Push, by hand: account %s, in %s"):format(account.name, place), rows = {} }
      section.rows[1] = { mark = " ", what = "target URL " .. (request.public_url or "https://YOUR-ADDRESS/hubspot"),
        why = not request.public_url and "webhooks.public_url of hubloop.lua" or nil }
      for _, row in ipairs(rows) do
        if row.every or row.accounts[account.name] then
          section.rows[#section.rows + 1] = { mark = " ", what = label(row.type, row.property, row.object_type),
            why = table.concat(keys(row.by), ", ") }
        end
      end
      out.sections[#out.sections + 1] = section
    end
  end
end

local function hsmeta(request, rows)
  local crm, legacy, hub = json.array {}, json.array {}, json.array {}
  for _, row in ipairs(rows) do
    local s = { subscriptionType = row.type, propertyName = row.property, active = true }
    if row.object_type then
      s.objectType = row.object_type
      crm[#crm + 1] = s
    elseif row.type:find("^conversation%.") or row.type:find("privacyDeletion$") then
      hub[#hub + 1] = s
    else
      legacy[#legacy + 1] = s
    end
  end
  return json.pretty { uid = "webhooks", type = "webhooks", config = {
    settings = { targetUrl = request.public_url or "https://YOUR-ADDRESS/hubspot", maxConcurrentRequests = CONCURRENT },
    subscriptions = { crmObjects = crm, legacyCrmObjects = legacy, hubEvents = hub } } } .. "\n"
end

-- ---- text ----

local function table_of(sections, columns)
  local parts, widest = {}, 0
  for _, section in ipairs(sections) do
    for _, row in ipairs(section.rows) do widest = math.max(widest, #row.what) end
  end
  widest = math.min(widest, math.max(20, columns - 24))
  for i, section in ipairs(sections) do
    parts[#parts + 1] = (i > 1 and "\n" or "") .. section.title .. "\n"
    for _, row in ipairs(section.rows) do
      local text = ("  %s %-" .. widest .. "s  %s"):format(row.mark, row.what, row.why or "")
      parts[#parts + 1] = text:gsub("%s+$", "") .. "\n"
    end
    if #section.rows == 0 then parts[#parts + 1] = "    nothing\n" end
  end
  return table.concat(parts)
end

local function count(actions)
  local n = { create = 0, change = 0, delete = 0 }
  for _, a in ipairs(actions) do n[a.verb] = n[a.verb] + 1 end
  return n
end

---@param request { listeners: table[], object_types: string[], public_url: string|nil, accounts: table[], push: table|nil,
---  journals: table[], state: table, set_target: boolean, as: "table"|"json"|"hsmeta", columns: integer, applying: boolean }
---@return { text: string, actions: table[], problems: string[] }
function webhooks.plan(request)
  local rows, problems = needs(request)
  local out = { sections = {}, actions = {}, problems = problems }
  if request.as == "hsmeta" then
    return { text = hsmeta(request, rows), actions = json.array {}, problems = json.array(problems) }
  end
  if request.push then plan_push(request, rows, out)
  elseif request.public_url or #request.journals == 0 then plan_hand(request, rows, out)
  end
  for _, journal in ipairs(request.journals) do plan_journal(request, journal, rows, out) end
  local n = count(out.actions)
  if request.as == "json" then
    local sections = json.array {}
    for i, s in ipairs(out.sections) do sections[i] = { title = s.title, rows = json.array(s.rows) } end
    return { text = json.pretty { sections = sections, create = n.create, change = n.change, delete = n.delete,
      problems = json.array(problems) } .. "\n", actions = json.array(out.actions), problems = json.array(problems) }
  end
  local text = table_of(out.sections, request.columns)
  if #rows == 0 then text = text .. "The scripts listen to no event that HubSpot sends.\n" end
  if #out.actions > 0 then
    text = text .. ("\n%d to create, %d to change, %d to delete%s\n"):format(n.create, n.change, n.delete,
      request.applying and "" or ": hubloop webhooks apply")
  elseif request.push or #request.journals > 0 then
    text = text .. "\nNothing to do.\n"
  elseif #rows > 0 then
    text = text .. "\nHubSpot lets no program set these; hubloop webhooks test tries the way.\n"
  end
  return { text = text, actions = json.array(out.actions), problems = json.array(problems) }
end

-- Every subscription that there is, and which of them we made.
---@param request table as for plan
function webhooks.list(request)
  local sections, all = {}, json.array {}
  local function add(section, id, what, ours, more)
    section.rows[#section.rows + 1] = { mark = ours and "*" or " ", what = what, why = "id " .. id .. (more and ", " .. more or "") }
    all[#all + 1] = { where = section.title, id = id, what = what, ours = ours or false, state = more }
  end
  if request.push then
    local app = tostring(request.push.app)
    local ours = request.state.push and request.state.push[app] and request.state.push[app].subscriptions or {}
    local target = request.push.settings and request.push.settings.targetUrl or "no target URL"
    local section = { title = ("Push: app %s to %s"):format(app, target), rows = {} }
    sections[1] = section
    for _, s in ipairs(request.push.subscriptions) do
      add(section, s.id, label(s.eventType, s.propertyName, s.objectTypeId), ours[s.id] ~= nil,
        not s.active and "paused" or nil)
    end
  end
  for _, journal in ipairs(request.journals) do
    local ours = request.state.journal and request.state.journal[journal.name] or {}
    local section = { title = "Journal " .. journal.name, rows = {} }
    sections[#sections + 1] = section
    for _, s in ipairs(journal.subscriptions) do
      add(section, tostring(s.id), describe(shape_of(s)), ours[tostring(s.id)] ~= nil, "portal " .. tostring(s.portalId))
    end
  end
  if request.as == "json" then return { text = json.pretty(all) .. "\n", actions = json.array {}, problems = json.array {} } end
  local text = #sections == 0 and "Neither an app (webhooks.app) nor a journal is set in hubloop.lua; nothing can be listed.\n"
    or table_of(sections, request.columns) .. "\n* made by hubloop webhooks apply\n"
  return { text = text, actions = json.array {}, problems = json.array {} }
end

return webhooks
