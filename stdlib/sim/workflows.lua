-- Workflows: definitions (/automation/v4/flows/…, in the newest document under 2026-09-beta), the old ids, and enrolment by
-- the old id (/automation/v2/workflows/{id}/enrollments/contacts/{email}). Of an enrolled contact the chain of actions
-- is run as far as it is made of delays, e-mails, set properties and static lists; at any other action it stops,
-- which `enrollments` says.
--   a flow   { id =, workflow =, def =, created =, updated =, revisions = {{ at =, def = }}, enrolled = list of
--              { contact =, at =, action =, ended =, why = } }
local U = require "sim.util"
local E = require "sim.errors"
local O = require "sim.objects"
local G = require "sim.lists"
local Mail = require "sim.mail"
local json = json

local Y = {}

local LIST_MAX = 100
local SOURCE = { change = "AUTOMATION_PLATFORM", id = "workflow" }

function Y.attach(S)
  S.flows = { by_id = {}, by_workflow = {}, order = {}, next = 1 }
end

-- ---- definitions ----

local SHARED = { "actions", "blockedDates", "customProperties", "isEnabled", "timeWindows", "type" }
local OF_CONTACTS = { "canEnrollFromSalesforce", "suppressionListIds" }

local function check(body, more)
  local missing = {}
  for _, list in ipairs { SHARED, body.type == "CONTACT_FLOW" and OF_CONTACTS or {}, more } do
    for _, name in ipairs(list) do
      if U.absent(body[name]) then missing[#missing + 1] = name end
    end
  end
  if #missing > 0 then E.bad_request("Some required fields were not set: [" .. table.concat(missing, ", ") .. "]") end
  if body.type ~= "CONTACT_FLOW" and body.type ~= "PLATFORM_FLOW" then E.bad_request("Invalid type: " .. tostring(body.type)) end
  if type(body.actions) ~= "table" then E.bad_json("actions must be a list") end
  for _, action in ipairs(body.actions) do
    if type(action) ~= "table" or type(action.actionId) ~= "string" then E.bad_request("Some required fields were not set: [actionId]") end
  end
end

local function revise(S, flow, def)
  flow.def, flow.updated = def, S.host.now()
  flow.revisions[#flow.revisions + 1] = { at = flow.updated, def = def }
end

local function create(S, body)
  check(body, { "flowType", "objectTypeId" })
  if not S.types[body.objectTypeId] then E.bad_request("Unable to infer object type from: " .. tostring(body.objectTypeId)) end
  local X = S.flows
  local flow = { id = tostring(1500000000 + X.next), workflow = 50000000 + X.next, created = S.host.now(), revisions = {}, enrolled = {} }
  X.next = X.next + 1
  revise(S, flow, body)
  X.by_id[flow.id], X.by_workflow[tostring(flow.workflow)] = flow, flow
  X.order[#X.order + 1] = flow
  return flow
end

local function find(S, id)
  return S.flows.by_id[tostring(id)] or E.not_found("Flow " .. tostring(id) .. " does not exist")
end

local function render(flow, def)
  local out = {}
  for k, v in pairs(def or flow.def) do
    if v ~= json.null then out[k] = v end
  end
  local last = 0
  for _, action in ipairs(out.actions) do last = math.max(last, math.tointeger(tonumber(action.actionId)) or 0) end
  out.id, out.revisionId, out.nextAvailableActionId = flow.id, tostring(#flow.revisions), tostring(last + 1)
  out.createdAt, out.updatedAt, out.crmObjectCreationStatus = U.iso(flow.created), U.iso(flow.updated), "COMPLETE"
  out.dataSources = out.dataSources or json.array {}
  return out
end

local function listing(flow)
  local def = flow.def
  return { id = flow.id, isEnabled = def.isEnabled, flowType = def.flowType, objectTypeId = def.objectTypeId, name = def.name,
    uuid = not U.absent(def.uuid) and def.uuid or nil, revisionId = tostring(#flow.revisions),
    createdAt = U.iso(flow.created), updatedAt = U.iso(flow.updated) }
end

local function update(S, flow, body)
  check(body, { "revisionId" })
  if tostring(body.revisionId) ~= tostring(#flow.revisions) then
    E.raise(409, "CONFLICT", "Revision " .. tostring(body.revisionId) .. " is not the latest revision of flow " .. flow.id)
  end
  if body.type ~= flow.def.type then E.bad_request("The type of a flow cannot be changed") end
  local def = {}
  for k, v in pairs(body) do def[k] = v end
  for _, name in ipairs { "flowType", "objectTypeId", "uuid" } do
    if U.absent(def[name]) then def[name] = flow.def[name] end
  end
  revise(S, flow, def)
  return render(flow)
end

local function list(req, items, show)
  local q = req:args()
  local limit, at = math.tointeger(tonumber(U.one(q, "limit") or LIST_MAX)), math.tointeger(tonumber(U.one(q, "after") or "0"))
  if not limit or limit < 1 or limit > LIST_MAX then E.bad_request("limit must be between 1 and " .. LIST_MAX) end
  if not at or at < 0 then E.bad_request("Invalid paging cursor: " .. U.one(q, "after")) end
  local out = {}
  for i = at + 1, math.min(at + limit, #items) do out[#out + 1] = show(items[i]) end
  local more = at + limit < #items and tostring(at + limit)
  return 200, { results = json.array(out), paging = more and { next = { after = more,
    link = "https://api.hubapi.com" .. req.path .. "?limit=" .. limit .. "&after=" .. more } } or nil }
end

-- Rows by an id of either kind; what is not there becomes an error of the batch.
local function batch(S, req, show)
  local started, out, errors = S.host.now(), {}, {}
  for _, input in ipairs(S:inputs(S:json(req), 100)) do
    local flow = not U.absent(input.workflowId) and S.flows.by_workflow[tostring(input.workflowId)]
      or not U.absent(input.flowId) and S.flows.by_id[tostring(input.flowId)]
    if flow then
      out[#out + 1] = show(flow)
    else
      local id = tostring(input.flowId or input.workflowId)
      errors[#errors + 1] = E.standard(E.new(404, "OBJECT_NOT_FOUND", "Flow " .. id .. " does not exist"), { ids = json.array { id } })
    end
  end
  return S:batch_answer(200, started, out, errors)
end

local function email_campaigns(S, req)
  local wanted = U.list(req:args(), "flowId")
  local only, rows = {}, {}
  for _, id in ipairs(wanted or {}) do only[id] = true end
  for _, flow in ipairs(S.flows.order) do
    for _, action in ipairs((not wanted or only[flow.id]) and flow.def.actions or {}) do
      local e = action.actionTypeId == "0-4" and type(action.fields) == "table" and S.mail.by_id[tostring(action.fields.content_id)]
      if e then rows[#rows + 1] = { flowId = flow.id, emailContentId = tostring(e.id), emailCampaignId = Mail.campaign(e) } end
    end
  end
  return list(req, rows, function(row) return row end)
end

local function route_flows(S, req, seg)
  req.kind = "automation"
  local method, first = req.method, seg[1]
  if not first then
    if method == "GET" then return list(req, S.flows.order, listing) end
    if method == "POST" then return 201, render(create(S, S:json(req))) end
    return
  end
  if first == "batch" then
    if method == "POST" and seg[2] == "read" and not seg[3] then return batch(S, req, render) end
    return
  end
  if first == "email-campaigns" and not seg[2] and method == "GET" then return email_campaigns(S, req) end
  if first == "performance" then return end
  local flow = find(S, first)
  if seg[2] == "revisions" and seg[3] and not seg[4] and method == "GET" then
    local n = math.tointeger(tonumber(seg[3]))
    local r = n and flow.revisions[n] or E.not_found("Flow " .. flow.id .. " has no revision " .. seg[3])
    return 200, { id = flow.id, revisionId = seg[3], revisionCreatedAt = U.iso(r.at), flow = render(flow, r.def) }
  end
  if seg[2] then return end
  if method == "GET" then return 200, render(flow) end
  if method == "PUT" then return 200, update(S, flow, S:json(req)) end
  if method == "DELETE" then
    local X = S.flows
    X.by_id[flow.id], X.by_workflow[tostring(flow.workflow)] = nil, nil
    for i, other in ipairs(X.order) do
      if other == flow then table.remove(X.order, i) break end
    end
    for _, e in ipairs(flow.enrolled) do e.ended = e.ended or S.host.now() end
    return 204
  end
end

-- ---- enrolment ----

local UNITS = { SECONDS = 1, MINUTES = 60, HOURS = 3600, DAYS = 86400 }

-- What an action does with its fields and the contact; gives seconds to wait, or nothing. Errors say why not.
local ACTIONS = {
  ["0-1"] = function(_, f)
    return (tonumber(f.delta) or 0) * (UNITS[f.time_unit] or error("a delay in " .. tostring(f.time_unit) .. " is not simulated", 0))
  end,
  ["0-4"] = function(S, f, rec)
    if rec[4].email then Mail.send(S, f.content_id, rec[4].email) end
  end,
  ["0-5"] = function(S, f, rec)
    local value = type(f.value) == "table" and f.value or {}
    if value.type ~= "STATIC_VALUE" then error("a value of type " .. tostring(value.type) .. " is not simulated", 0) end
    local ok, e = O.update(S, S.types.contacts, rec, { [f.property_name] = value.staticValue }, SOURCE)
    if not ok then error(e.message, 0) end
  end,
  ["0-13"] = function(S, f, rec)
    local l = G.find(S, f.list_id)
    if l.type == "DYNAMIC" then error("the list " .. l.name .. " follows its filters", 0) end
    G.change(S, l, { rec[1] }, f.operation ~= "REMOVE")
  end,
}

local function action_of(flow, id)
  for _, action in ipairs(flow.def.actions) do
    if action.actionId == id then return action end
  end
end

-- Runs the actions from `id` on, until a delay, an end, or what is not simulated.
local function run(S, flow, e, id)
  local flows = S.flows
  while id do
    local action = action_of(flow, id)
    e.action = id
    if not action then break end
    local rec = O.find(S.types.contacts, e.contact)
    if not rec then
      e.why = "the contact is gone"
      break
    end
    local act = action.type == "SINGLE_CONNECTION" and ACTIONS[action.actionTypeId]
    if not act then
      e.why = "an action " .. tostring(action.actionTypeId or action.type) .. " is not simulated"
      break
    end
    local ok, wait = pcall(act, S, type(action.fields) == "table" and action.fields or {}, rec)
    if not ok then
      e.why = E.is(wait) and wait.message or tostring(wait)
      break
    end
    id = not U.absent(action.connection) and action.connection.nextActionId or nil
    if wait and id then
      S.spawn(function()
        task.sleep(wait)
        if S.flows == flows and not e.ended then run(S, flow, e, id) end
      end)
      return
    end
  end
  e.ended = S.host.now()
end

local function contact_of(S, email)
  return O.find_by(S.types.contacts, "email", email) or E.not_found("Contact with email " .. email .. " does not exist")
end

---Enrols a contact; one that is in it, or was and may not come back, stays as it is.
function Y.enroll(S, flow, rec)
  local def = flow.def
  if not def.isEnabled then E.bad_request("Workflow " .. flow.workflow .. " is not turned on") end
  if def.objectTypeId ~= "0-1" then E.bad_request("Workflow " .. flow.workflow .. " does not enroll contacts") end
  local again = type(def.enrollmentCriteria) == "table" and def.enrollmentCriteria.shouldReEnroll
  for _, e in ipairs(flow.enrolled) do
    if e.contact == rec[1] and (not e.ended or not again) then return false end
  end
  local e = { contact = rec[1], at = S.host.now() }
  flow.enrolled[#flow.enrolled + 1] = e
  run(S, flow, e, not U.absent(def.startActionId) and def.startActionId or nil)
  return true
end

local function unenroll(S, flow, rec)
  for _, e in ipairs(flow.enrolled) do
    if e.contact == rec[1] and not e.ended then e.ended, e.why = S.host.now(), "unenrolled" end
  end
end

local function route_ids(S, req, seg)
  req.kind = "automation"
  if req.method ~= "POST" or seg[1] ~= "batch" or seg[2] ~= "read" or seg[3] then return end
  return batch(S, req, function(flow) return { flowId = math.tointeger(tonumber(flow.id)), workflowId = flow.workflow } end)
end

---Below /automation/v4.
Y.rooms = { flows = route_flows, ["workflow-id-mappings"] = route_ids }

---/automation/v2/workflows/{id}/enrollments/contacts/{email}
function Y.route_old(S, req, seg)
  req.kind = "automation"
  if seg[2] ~= "enrollments" or seg[3] ~= "contacts" or not seg[4] or seg[5] then return end
  if req.method ~= "POST" and req.method ~= "DELETE" then return end
  local flow = S.flows.by_workflow[seg[1]] or E.not_found("Workflow " .. seg[1] .. " does not exist")
  local rec = contact_of(S, seg[4])
  if req.method == "POST" then Y.enroll(S, flow, rec) else unenroll(S, flow, rec) end
  return 204
end

-- ---- from outside (control.lua) ----

Y.control = {}

local function named(S, id)
  for _, flow in ipairs(S.flows.order) do
    if flow.id == tostring(id) or tostring(flow.workflow) == tostring(id) or flow.def.name == id then return flow end
  end
  error("no workflow " .. tostring(id), 0)
end

---create_workflow {name, actions? = as HubSpot has them, enabled? (true), re_enroll?}: of contacts, enrolled by hand. Returns both ids.
function Y.control.create_workflow(S, args)
  local actions = args.actions or {}
  local flow = create(S, { type = "CONTACT_FLOW", flowType = "WORKFLOW", objectTypeId = "0-1", name = args.name or "Workflow",
    isEnabled = args.enabled ~= false, actions = json.array(actions), startActionId = actions[1] and actions[1].actionId,
    blockedDates = json.array {}, timeWindows = json.array {}, customProperties = {}, canEnrollFromSalesforce = false,
    suppressionListIds = json.array {}, enrollmentCriteria = { type = "MANUAL", shouldReEnroll = args.re_enroll == true } })
  return { flowId = flow.id, workflowId = flow.workflow }
end

---enrollments {workflow = id or name}: who is or was in it, and where
function Y.control.enrollments(S, args)
  local out = {}
  for i, e in ipairs(named(S, args.workflow).enrolled) do
    out[i] = { contact = tostring(e.contact), at = e.at, action = e.action, ended = e.ended, why = e.why }
  end
  return { enrollments = json.array(out) }
end

---enroll {workflow = id or name, email}: as a person does it by hand
function Y.control.enroll(S, args)
  return { enrolled = Y.enroll(S, named(S, args.workflow), contact_of(S, tostring(args.email))) }
end

return Y
