-- Pipelines and stages of deals and tickets: HubSpot's default pipelines, read only.
-- A stage of a deal says in its metadata whether it is closed and how probable a win is.
local U = require "sim.util"
local E = require "sim.errors"
local json = json

local L = {}

local PIPELINES = {
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

local function stage_of(pipeline, id)
  for i, s in ipairs(pipeline.stages) do
    if s[1] == id then return s, i end
  end
end

---Is `value` a pipeline or stage that property `name` may hold? Returns false and HubSpot's message otherwise.
function L.check(st, name, value)
  local pipeline, fields = PIPELINES[st.name], FIELDS[st.name]
  if name == fields.pipeline then
    if value == pipeline.id then return true end
    return false, value .. " is not a valid pipeline ID. Valid options: [" .. pipeline.id .. "]"
  end
  if stage_of(pipeline, value) then return true end
  local ids = {}
  for i, s in ipairs(pipeline.stages) do ids[i] = s[1] end
  return false, value .. " is not a valid pipeline stage ID for pipeline " .. pipeline.id
    .. ". Valid options: [" .. table.concat(ids, ", ") .. "]"
end

---What follows from a new stage: the pipeline of a new record, closed flags and probability of a deal.
---@param props table stored values, changed in place
---@param creating boolean
function L.settle(st, props, creating)
  local pipeline, fields = PIPELINES[st.name], FIELDS[st.name]
  if not pipeline then return end
  if creating and not props[fields.pipeline] then props[fields.pipeline] = pipeline.id end
  local stage = stage_of(pipeline, props[fields.stage])
  if not stage or st.name ~= "deals" then return end
  local meta = stage[3]
  props.hs_is_closed = meta.isClosed
  props.hs_is_closed_won = tostring(meta.isClosed == "true" and meta.probability == "1.0")
  props.hs_deal_stage_probability = meta.probability
end

local function render_stage(S, s, i)
  local t = U.iso(S.born)
  return { id = s[1], label = s[2], displayOrder = i - 1, metadata = s[3], archived = false, createdAt = t, updatedAt = t,
    writePermissions = "CRM_PERMISSIONS_ENFORCEMENT" }
end

local function render(S, p)
  local stages = {}
  for i, s in ipairs(p.stages) do stages[i] = render_stage(S, s, i) end
  local t = U.iso(S.born)
  return { id = p.id, label = p.label, displayOrder = 0, stages = json.array(stages), archived = false, createdAt = t, updatedAt = t }
end

---/crm/pipelines/V/{type}/…; returns status and body, or nothing (501).
function L.route(S, st, req, seg)
  if req.method ~= "GET" then return end
  local p = PIPELINES[st.name]
  if not p then
    if seg[1] then E.not_found("Pipeline " .. seg[1] .. " does not exist") end
    return 200, { results = json.array {} }
  end
  if not seg[1] then return 200, { results = json.array { render(S, p) } } end
  if seg[1] ~= p.id then E.not_found("Pipeline " .. seg[1] .. " does not exist") end
  if not seg[2] then return 200, render(S, p) end
  if seg[2] ~= "stages" or seg[4] then return end
  if not seg[3] then return 200, { results = render(S, p).stages } end
  local s, i = stage_of(p, seg[3])
  if not s then E.not_found("Stage " .. seg[3] .. " does not exist") end
  return 200, render_stage(S, s, i)
end

return L
