-- Pipelines and stages of deals and tickets: HubSpot's default pipelines, and what is made beside them. A stage of a deal
-- says in its metadata whether it is closed and how probable a win is. A pipeline is { id, label, order, stages, created,
-- updated, archived, audit }, a stage { id, label, order, meta, … } likewise; those of a store and of a pipeline stand in
-- the order of their making, and are shown by display order. What is in use is not deleted, unless that is asked for; before
-- 2026-09 it must be asked for to be kept.
local U = require "sim.util"
local E = require "sim.errors"
local json = json

local L = {}

local DEFAULTS = {
  deals = { id = "default", label = "Sales Pipeline", stages = {
    { "appointmentscheduled", "Appointment Scheduled", { probability = "0.2", isClosed = "false" } },
    { "qualifiedtobuy", "Qualified To Buy", { probability = "0.4", isClosed = "false" } },
    { "presentationscheduled", "Presentation Scheduled", { probability = "0.6", isClosed = "false" } },
    { "decisionmakerboughtin", "Decision Maker Bought-In", { probability = "0.8", isClosed = "false" } },
    { "contractsent", "Contract Sent", { probability = "0.9", isClosed = "false" } },
    { "closedwon", "Closed Won", { probability = "1.0", isClosed = "true" } },
    { "closedlost", "Closed Lost", { probability = "0.0", isClosed = "true" } },
  } },
  tickets = { id = "0", label = "Support Pipeline", stages = {
    { "1", "New", { ticketState = "OPEN" } },
    { "2", "Waiting on contact", { ticketState = "OPEN" } },
    { "3", "Waiting on us", { ticketState = "OPEN" } },
    { "4", "Closed", { ticketState = "CLOSED" } },
  } },
}

local FIELDS = {
  deals = { pipeline = "pipeline", stage = "dealstage" },
  tickets = { pipeline = "hs_pipeline", stage = "hs_pipeline_stage" },
}

---Gives each store its pipelines: st.pipelines, nil for types without.
function L.attach(S)
  for _, st in ipairs(S.stores) do
    local default = DEFAULTS[st.name]
    if default then
      local p = { id = default.id, label = default.label, order = 0, created = S.born, updated = S.born, stages = {}, audit = {} }
      for i, s in ipairs(default.stages) do
        p.stages[i] = { id = s[1], label = s[2], order = i - 1, meta = s[3], created = S.born, updated = S.born, audit = {} }
      end
      st.pipelines = { p }
    end
  end
  S.next_stage = 1001
end

---The pipeline, or stage, of an id in a list; archived ones do not count. With its place.
local function find(list, id)
  for i, x in ipairs(list or {}) do
    if x.id == id and not x.archived then return x, i end
  end
end

local function live(list)
  local out = {}
  for _, x in ipairs(list) do
    if not x.archived then out[#out + 1] = x end
  end
  table.sort(out, function(a, b)
    if a.order ~= b.order then return a.order < b.order end
    if a.label ~= b.label then return a.label < b.label end
    return a.id < b.id
  end)
  return out
end

-- The pipeline of a record that names none.
local function default_of(st) return live(st.pipelines)[1] end

local function ids_of(list)
  local ids = {}
  for i, x in ipairs(live(list)) do ids[i] = x.id end
  return table.concat(ids, ", ")
end

---Is `value` a pipeline or stage that property `name` may hold? Returns false and HubSpot's message otherwise.
---@param pipeline string|nil the record's, after the write; nil: the default one
function L.check(st, name, value, pipeline)
  if name == FIELDS[st.name].pipeline then
    if find(st.pipelines, value) then return true end
    return false, value .. " is not a valid pipeline ID. Valid options: [" .. ids_of(st.pipelines) .. "]"
  end
  local p = find(st.pipelines, pipeline) or default_of(st)
  if find(p.stages, value) then return true end
  return false, value .. " is not a valid pipeline stage ID for pipeline " .. p.id
    .. ". Valid options: [" .. ids_of(p.stages) .. "]"
end

---The property that names a record's pipeline, nil for types without.
function L.field(st) return FIELDS[st.name] and FIELDS[st.name].pipeline end

---The id of the stage in which a record of the default pipeline begins.
function L.first_stage(st) return live(default_of(st).stages)[1].id end

---Where a deal that is open may go: the ids of the next open stage, of that of the won and that of the lost ones.
---Each may be nil.
function L.ahead(st, props)
  local pipeline = find(st.pipelines, props.pipeline)
  local here = pipeline and find(pipeline.stages, props.dealstage)
  if not here or here.meta.isClosed == "true" then return nil end
  local next_open, won, lost
  for _, s in ipairs(live(pipeline.stages)) do
    if s.meta.isClosed ~= "true" then
      if s.order > here.order then next_open = next_open or s.id end
    elseif s.meta.probability == "1.0" then
      won = won or s.id
    else
      lost = lost or s.id
    end
  end
  return next_open, won, lost
end

---What follows from a new stage: the pipeline of a new record, closed flags and probability of a deal.
---@param props table stored values, changed in place
---@param creating boolean
function L.settle(st, props, creating)
  local fields = FIELDS[st.name]
  if not fields then return end
  if creating and not props[fields.pipeline] then props[fields.pipeline] = default_of(st).id end
  local pipeline = find(st.pipelines, props[fields.pipeline])
  local stage = pipeline and find(pipeline.stages, props[fields.stage])
  if not stage or st.name ~= "deals" then return end
  local meta = stage.meta
  props.hs_is_closed = meta.isClosed
  props.hs_is_closed_won = tostring(meta.isClosed == "true" and meta.probability == "1.0")
  props.hs_deal_stage_probability = meta.probability
end

-- ---- definitions ----

-- A deal's stage is closed when a win is certain or out of question.
local function metadata(st, given)
  local meta = {}
  for key, value in pairs(given) do meta[key] = tostring(value) end
  if st.name ~= "deals" then return meta end
  local probability = tonumber(meta.probability)
  if not probability or probability < 0 or probability > 1 then
    E.bad_request("The stage metadata of deals must have a probability between 0.0 and 1.0")
  end
  meta.probability = ("%.1f"):format(probability)
  meta.isClosed = tostring(probability == 0 or probability == 1)
  return meta
end

local function require_label(list, label, self)
  if type(label) ~= "string" or label == "" then E.bad_request("Some required fields were not set: [label]") end
  for _, x in ipairs(list) do
    if x ~= self and not x.archived and x.label:lower() == label:lower() then
      E.raise(409, "CONFLICT", "The label " .. label .. " is already in use")
    end
  end
  return label
end

local function order_of(body, default)
  if U.absent(body.displayOrder) then return default end
  return math.type(body.displayOrder) == "integer" and body.displayOrder or E.bad_json("displayOrder must be a whole number")
end

local function render_stage(s)
  return { id = s.id, label = s.label, displayOrder = s.order, metadata = s.meta, archived = s.archived ~= nil,
    archivedAt = s.archived and U.iso(s.archived) or nil, createdAt = U.iso(s.created), updatedAt = U.iso(s.updated),
    writePermissions = "CRM_PERMISSIONS_ENFORCEMENT" }
end

---A pipeline as the `Pipeline` schema has it.
function L.render(p)
  local stages = {}
  for i, s in ipairs(live(p.stages)) do stages[i] = render_stage(s) end
  return { id = p.id, label = p.label, displayOrder = p.order, stages = json.array(stages), archived = p.archived ~= nil,
    archivedAt = p.archived and U.iso(p.archived) or nil, createdAt = U.iso(p.created), updatedAt = U.iso(p.updated) }
end

-- A pipeline or stage was made, changed or deleted.
local function audit(S, x, action, render)
  x.updated = S.host.now()
  table.insert(x.audit, 1, { action = action, at = x.updated, raw = render(x) })
end

local function add_stage(S, st, p, body)
  if type(body) ~= "table" or type(body.label) ~= "string" or type(body.metadata) ~= "table" then
    E.bad_request("Some required fields were not set: [label, metadata]")
  end
  local id = type(body.stageId) == "string" and body.stageId or tostring(S.next_stage)
  S.next_stage = S.next_stage + 1
  for _, other in ipairs { p, table.unpack(st.pipelines) } do
    if other.id ~= p.id and find(other.stages, id) or find(p.stages, id) then
      E.raise(409, "CONFLICT", "A stage with the ID " .. id .. " exists already")
    end
  end
  local s = { id = id, label = require_label(p.stages, body.label), order = order_of(body, #p.stages), meta = metadata(st, body.metadata),
    created = S.host.now(), audit = {} }
  p.stages[#p.stages + 1] = s
  audit(S, s, "CREATE", render_stage)
  return s
end

---Makes a pipeline as `POST /crm/pipelines/V/{type}` does.
function L.create(S, st, body)
  if type(body.label) ~= "string" or type(body.stages) ~= "table" then
    E.bad_request("Some required fields were not set: [label, stages]")
  end
  local id = type(body.pipelineId) == "string" and body.pipelineId or tostring(S.next_stage)
  S.next_stage = S.next_stage + 1
  if find(st.pipelines, id) then E.raise(409, "CONFLICT", "A pipeline with the ID " .. id .. " exists already") end
  local p = { id = id, label = require_label(st.pipelines, body.label), order = order_of(body, #st.pipelines), created = S.host.now(),
    stages = {}, audit = {} }
  for _, stage in ipairs(body.stages) do add_stage(S, st, p, stage) end
  st.pipelines[#st.pipelines + 1] = p
  audit(S, p, "CREATE", L.render)
  return p
end

-- How many records stand in a pipeline, or in one of these stages of it.
local function users(st, p, stages)
  local fields, n = FIELDS[st.name], 0
  for _, rec in pairs(st.records) do
    if not rec[3] and rec[4][fields.pipeline] == p.id and (not stages or stages[rec[4][fields.stage]]) then n = n + 1 end
  end
  return n
end

local function refuse_in_use(st, req, what, n)
  local flag = st.name == "deals" and "validateDealStageUsagesBeforeDelete" or "validateReferencesBeforeDelete"
  local asked = U.one(req:args(), flag)
  if n == 0 or asked == "false" or (not asked and (req.legacy or req.version < "2026-09")) then return end
  E.bad_request(what .. " cannot be deleted: it is used by " .. n .. " " .. st.name .. ". Move them first, or pass "
    .. flag .. "=false", { subCategory = "PipelineErrors.IN_USE" })
end

local function replace_stages(S, st, req, p, list)
  local kept, gone = {}, {}
  for _, body in ipairs(list) do
    if type(body) == "table" and body.stageId then kept[body.stageId] = true end
  end
  for _, s in ipairs(p.stages) do
    if not s.archived and not kept[s.id] then gone[s.id] = true end
  end
  refuse_in_use(st, req, "A stage of pipeline " .. p.id, users(st, p, gone))
  local new = { id = p.id, stages = {} }   -- a bad stage leaves the pipeline as it is
  for _, body in ipairs(list) do
    local old = type(body) == "table" and find(p.stages, body.stageId)
    if old then
      local s = {}
      for k, v in pairs(old) do s[k] = v end
      s.label, s.order = require_label(new.stages, body.label), order_of(body, #new.stages)
      if type(body.metadata) == "table" then s.meta = metadata(st, body.metadata) end
      new.stages[#new.stages + 1] = s
      audit(S, s, "UPDATE", render_stage)
    else
      add_stage(S, st, new, body)
    end
  end
  p.stages = new.stages
end

-- ---- routes ----

local function show_audit(S, x)
  local out = {}
  for i, a in ipairs(x.audit) do
    out[i] = { portalId = S.portal, identifier = x.id, action = a.action, timestamp = U.iso(a.at), fromUserId = 1001, rawObject = a.raw }
  end
  return 200, { results = json.array(out) }
end

-- `archived` of a PATCH only restores; returns what was restored.
local function restored(list, id, body)
  if U.absent(body.archived) then return end
  for _, x in ipairs(list) do
    if x.id == id and x.archived and body.archived == false then
      x.archived = nil
      return x
    end
  end
  E.bad_request("archived can only be given to restore what is archived")
end

local function stage_of(p, id) return find(p.stages, id) or E.not_found("Stage " .. id .. " does not exist") end

local function route_stage(S, st, req, p, id, what)
  local method = req.method
  if what then
    if what ~= "audit" or method ~= "GET" then return end
    return show_audit(S, stage_of(p, id))
  end
  if method == "PATCH" or method == "PUT" then
    local body = S:json(req)
    local s = method == "PATCH" and restored(p.stages, id, body) or stage_of(p, id)
    if method == "PUT" and (U.absent(body.label) or type(body.metadata) ~= "table") then
      E.bad_request("Some required fields were not set: [displayOrder, label, metadata]")
    end
    local label = U.absent(body.label) and s.label or require_label(p.stages, body.label, s)
    local meta = s.meta
    if type(body.metadata) == "table" and next(body.metadata) then meta = metadata(st, body.metadata) end
    s.label, s.order, s.meta = label, order_of(body, s.order), meta
    audit(S, s, "UPDATE", render_stage)
    return 200, render_stage(s)
  end
  local s = stage_of(p, id)
  if method == "GET" then return 200, render_stage(s) end
  if method ~= "DELETE" then return end
  refuse_in_use(st, req, "Stage " .. id, users(st, p, { [id] = true }))
  s.archived = S.host.now()
  audit(S, s, "DELETE", render_stage)
  return 204
end

local function route_stages(S, st, req, p, seg)
  if seg[1] then
    if not seg[3] then return route_stage(S, st, req, p, seg[1], seg[2]) end
  elseif req.method == "GET" then
    return 200, { results = L.render(p).stages }
  elseif req.method == "POST" then
    return 201, render_stage(add_stage(S, st, p, S:json(req)))
  end
end

local function change(S, st, req, p)
  local body = S:json(req)
  if req.method == "PUT" and (U.absent(body.label) or type(body.stages) ~= "table") then
    E.bad_request("Some required fields were not set: [displayOrder, label, stages]")
  end
  local label = U.absent(body.label) and p.label or require_label(st.pipelines, body.label, p)
  local order = order_of(body, p.order)
  if req.method == "PUT" then replace_stages(S, st, req, p, body.stages) end
  p.label, p.order = label, order
  audit(S, p, "UPDATE", L.render)
  return 200, L.render(p)
end

---/crm/pipelines/V/{type}/…; returns status and body, or nothing (501).
function L.route(S, st, req, seg)
  local method, id = req.method, seg[1]
  if not st.pipelines then
    if method ~= "GET" then E.bad_request("Objects of type " .. st.name .. " have no pipelines") end
    if id then E.not_found("Pipeline " .. id .. " does not exist") end
    return 200, { results = json.array {} }
  end
  if not id then
    if method == "POST" then return 201, L.render(L.create(S, st, S:json(req))) end
    if method ~= "GET" then return end
    local out = {}
    for i, p in ipairs(live(st.pipelines)) do out[i] = L.render(p) end
    return 200, { results = json.array(out) }
  end
  local p = method == "PATCH" and not seg[2] and restored(st.pipelines, id, S:json(req)) or find(st.pipelines, id)
  if not p then E.not_found("Pipeline " .. id .. " does not exist") end
  if seg[2] == "stages" then return route_stages(S, st, req, p, table.move(seg, 3, #seg, 1, {})) end
  if seg[2] == "audit" and not seg[3] and method == "GET" then return show_audit(S, p) end
  if seg[2] then return end
  if method == "GET" then return 200, L.render(p) end
  if method == "PATCH" or method == "PUT" then return change(S, st, req, p) end
  if method ~= "DELETE" then return end
  if #live(st.pipelines) == 1 then E.bad_request("The last pipeline of " .. st.name .. " cannot be deleted") end
  refuse_in_use(st, req, "Pipeline " .. id, users(st, p))
  p.archived = S.host.now()
  audit(S, p, "DELETE", L.render)
  return 204
end

return L
