-- Pipelines and stages of deals and tickets: HubSpot's default pipelines, and what is made beside them. Stages are
-- added, never changed or removed. A stage of a deal says in its metadata whether it is closed and how probable a win is.
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
      st.pipelines = { { id = default.id, label = default.label, created = S.born,
        stages = table.move(default.stages, 1, #default.stages, 1, {}) } }
    end
  end
  S.next_stage = 1001
end

local function stage_of(pipeline, id)
  for i, s in ipairs(pipeline.stages) do
    if s[1] == id then return s, i end
  end
end

local function pipeline_of(st, id)
  for _, p in ipairs(st.pipelines or {}) do
    if p.id == id then return p end
  end
end

local function ids_of(list, key)
  local ids = {}
  for i, x in ipairs(list) do ids[i] = x[key] end
  return table.concat(ids, ", ")
end

---Is `value` a pipeline or stage that property `name` may hold? Returns false and HubSpot's message otherwise.
---@param pipeline string|nil the record's, after the write; nil: the default one
function L.check(st, name, value, pipeline)
  if name == FIELDS[st.name].pipeline then
    if pipeline_of(st, value) then return true end
    return false, value .. " is not a valid pipeline ID. Valid options: [" .. ids_of(st.pipelines, "id") .. "]"
  end
  local p = pipeline_of(st, pipeline) or st.pipelines[1]
  if stage_of(p, value) then return true end
  return false, value .. " is not a valid pipeline stage ID for pipeline " .. p.id
    .. ". Valid options: [" .. ids_of(p.stages, 1) .. "]"
end

---The property that names a record's pipeline, nil for types without.
function L.field(st) return FIELDS[st.name] and FIELDS[st.name].pipeline end

---What follows from a new stage: the pipeline of a new record, closed flags and probability of a deal.
---@param props table stored values, changed in place
---@param creating boolean
function L.settle(st, props, creating)
  local fields = FIELDS[st.name]
  if not fields then return end
  if creating and not props[fields.pipeline] then props[fields.pipeline] = st.pipelines[1].id end
  local pipeline = pipeline_of(st, props[fields.pipeline])
  local stage = pipeline and stage_of(pipeline, props[fields.stage])
  if not stage or st.name ~= "deals" then return end
  local meta = stage[3]
  props.hs_is_closed = meta.isClosed
  props.hs_is_closed_won = tostring(meta.isClosed == "true" and meta.probability == "1.0")
  props.hs_deal_stage_probability = meta.probability
end

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

local function add_stage(S, st, p, body)
  if type(body) ~= "table" or type(body.label) ~= "string" or type(body.metadata) ~= "table" then
    E.bad_request("Some required fields were not set: [label, metadata]")
  end
  local id = type(body.stageId) == "string" and body.stageId or tostring(S.next_stage)
  S.next_stage = S.next_stage + 1
  for _, other in ipairs(st.pipelines) do
    if stage_of(other, id) then E.raise(409, "CONFLICT", "A stage with the ID " .. id .. " exists already") end
  end
  p.stages[#p.stages + 1] = { id, body.label, metadata(st, body.metadata), S.host.now() }
  return p.stages[#p.stages], #p.stages
end

---Makes a pipeline as `POST /crm/pipelines/V/{type}` does.
function L.create(S, st, body)
  if type(body.label) ~= "string" or type(body.stages) ~= "table" then
    E.bad_request("Some required fields were not set: [label, stages]")
  end
  local id = type(body.pipelineId) == "string" and body.pipelineId or tostring(S.next_stage)
  S.next_stage = S.next_stage + 1
  if pipeline_of(st, id) then E.raise(409, "CONFLICT", "A pipeline with the ID " .. id .. " exists already") end
  local p = { id = id, label = body.label, created = S.host.now(), stages = {} }
  for _, stage in ipairs(body.stages) do add_stage(S, st, p, stage) end
  st.pipelines[#st.pipelines + 1] = p
  return p
end

local function render_stage(S, s, i)
  local t = U.iso(s[4] or S.born)
  return { id = s[1], label = s[2], displayOrder = i - 1, metadata = s[3], archived = false, createdAt = t, updatedAt = t,
    writePermissions = "CRM_PERMISSIONS_ENFORCEMENT" }
end

function L.render(S, st, p)
  local stages = {}
  for i, s in ipairs(p.stages) do stages[i] = render_stage(S, s, i) end
  local t, order = U.iso(p.created), 0
  while st.pipelines[order + 1] ~= p do order = order + 1 end
  return { id = p.id, label = p.label, displayOrder = order, stages = json.array(stages), archived = false, createdAt = t,
    updatedAt = t }
end

---/crm/pipelines/V/{type}/…; returns status and body, or nothing (501).
function L.route(S, st, req, seg)
  local post = req.method == "POST"
  if req.method ~= "GET" and not post then return end
  if not st.pipelines then
    if post then return end
    if seg[1] then E.not_found("Pipeline " .. seg[1] .. " does not exist") end
    return 200, { results = json.array {} }
  end
  if not seg[1] then
    if post then return 201, L.render(S, st, L.create(S, st, S:json(req))) end
    local out = {}
    for i, p in ipairs(st.pipelines) do out[i] = L.render(S, st, p) end
    return 200, { results = json.array(out) }
  end
  local p = pipeline_of(st, seg[1])
  if not p then E.not_found("Pipeline " .. seg[1] .. " does not exist") end
  if not seg[2] then
    if post then return end
    return 200, L.render(S, st, p)
  end
  if seg[2] ~= "stages" or seg[4] then return end
  if not seg[3] then
    if post then return 201, render_stage(S, add_stage(S, st, p, S:json(req))) end
    return 200, { results = L.render(S, st, p).stages }
  end
  if post then return end
  local s, i = stage_of(p, seg[3])
  if not s then E.not_found("Stage " .. seg[3] .. " does not exist") end
  return 200, render_stage(S, s, i)
end

return L
