-- Forms: definitions (/marketing/v3/forms), the submissions of a form, newest first
-- (/form-integrations/v1/submissions/forms/ID), and sending one in (/submissions/v3/integration/submit/PORTAL/ID, and
-- /secure/submit with a token). A form is { id, created, updated, archived, def, submissions }, a submission
-- { id, at, values, page, name }; those of a form stand in the order of their times.
local U = require "sim.util"
local E = require "sim.errors"
local O = require "sim.objects"
local json = json

local F = {}

local PAGE_MAX = 50
local LIST_MAX = 100
local MONTH = 31 * 86400000
local FIELDS_MAX = 1000
local REQUIRED = { "configuration", "displayOptions", "fieldGroups", "formType", "legalConsentOptions", "name" }

function F.attach(S)
  S.forms = { by_id = {}, order = {} }
end

-- ---- definitions ----

local function render(form)
  local out = {}
  for key, value in pairs(form.def) do out[key] = value end
  out.id, out.archived = form.id, form.archived ~= nil
  out.createdAt, out.updatedAt = U.iso(form.created), U.iso(form.updated)
  out.archivedAt = form.archived and U.iso(form.archived) or nil
  return out
end
F.render = render

local function field(name)
  local out = { name = name, label = name, objectTypeId = "0-1", required = false, hidden = false, dependentFields = json.array {},
    fieldType = name == "email" and "email" or "single_line_text" }
  if name == "email" then out.validation = { blockedEmailDomains = json.array {}, useDefaultBlockList = false } end
  return out
end

---The definition of a form of fields by these names, with everything that HubSpot wants of one.
function F.definition(name, fields)
  local list = {}
  for i, one in ipairs(fields) do list[i] = field(one) end
  return {
    name = name, formType = "hubspot",
    fieldGroups = json.array { { groupType = "default_group", richTextType = "text", fields = json.array(list) } },
    configuration = { language = "en", cloneable = true, editable = true, archivable = true, recaptchaEnabled = false,
      notifyContactOwner = false, notifyRecipients = json.array {}, createNewContactForNewEmail = false, prePopulateKnownValues = true,
      allowLinkToResetKnownValues = false, lifecycleStages = json.array {},
      postSubmitAction = { type = "thank_you", value = "Thanks for submitting the form." } },
    displayOptions = { renderRawHtml = false, theme = "default_style", submitButtonText = "Submit", style = {
      backgroundWidth = "100%", fontFamily = "arial", helpTextColor = "#7C98B6", helpTextSize = "11px", labelTextColor = "#33475b",
      labelTextSize = "13px", legalConsentTextColor = "#33475b", legalConsentTextSize = "13px", submitAlignment = "left",
      submitColor = "#ff7a59", submitFontColor = "#ffffff", submitSize = "12px" } },
    legalConsentOptions = { type = "none" },
  }
end

local function checked(def)
  local missing = {}
  for _, name in ipairs(REQUIRED) do
    if U.absent(def[name]) then missing[#missing + 1] = name end
  end
  if #missing > 0 then E.bad_request("Some required fields were not set: [" .. table.concat(missing, ", ") .. "]") end
  return def
end

---Makes a form as `POST /marketing/v3/forms` does.
function F.create(S, def, id)
  local now = S.host.now()
  local form = { id = id or S.rng.uuid(), created = now, updated = now, def = checked(def), submissions = {} }
  S.forms.by_id[form.id] = form
  S.forms.order[#S.forms.order + 1] = form
  return form
end

---The form of an id or a name; raises 404.
function F.find(S, id)
  local form = S.forms.by_id[tostring(id)]
  if form then return form end
  for _, other in ipairs(S.forms.order) do
    if other.def.name == id then return other end
  end
  return E.not_found("No form found with ID: " .. tostring(id))
end

local function by_id(S, id, archived)
  local form = S.forms.by_id[id]
  if form and (form.archived ~= nil) == archived then return form end
  return E.not_found("No form found with ID: " .. id)
end

local function limit_of(q, default, max)
  local limit = math.tointeger(tonumber(U.one(q, "limit") or default))
  if not limit or limit < 1 or limit > max then E.bad_request("limit must be between 1 and " .. max) end
  return limit
end

local function next_page(req, limit, after)
  return { next = { after = after, link = "https://api.hubapi.com" .. req.path .. "?limit=" .. limit .. "&after=" .. after } }
end

---/marketing/v3/forms/…
function F.route(S, req, seg)
  local method, q = req.method, req:args()
  local archived = U.one(q, "archived") == "true"
  if not seg[1] then
    if method == "POST" then return 201, render(F.create(S, S:json(req))) end
    if method ~= "GET" then return end
    local limit, after, out, more = limit_of(q, "20", LIST_MAX), U.one(q, "after"), {}, nil
    local at = after and math.tointeger(tonumber(after)) or 0
    if at < 0 then E.bad_request("Invalid paging cursor: " .. after) end
    for i = at + 1, #S.forms.order do
      local form = S.forms.order[i]
      if (form.archived ~= nil) == archived then
        if #out == limit then
          more = tostring(i - 1)
          break
        end
        out[#out + 1] = render(form)
      end
    end
    return 200, { results = json.array(out), paging = more and next_page(req, limit, more) or nil }
  end
  if seg[2] then return end
  local form = by_id(S, seg[1], archived)
  if method == "GET" then return 200, render(form) end
  if method == "DELETE" then
    form.archived = S.host.now()
    return 204
  elseif method == "PATCH" or method == "PUT" then
    local body, def = S:json(req), {}
    if method == "PATCH" then
      for key, value in pairs(form.def) do def[key] = value end
    end
    for _, key in ipairs(REQUIRED) do
      if body[key] ~= nil then def[key] = body[key] end
    end
    form.def, form.updated = checked(def), S.host.now()
    return 200, render(form)
  end
end

-- ---- submissions ----

-- The contact that a submission is of: made, or changed where the form says something else.
local function save_contact(S, form, values)
  local st, properties = S.types.contacts, {}
  for _, v in ipairs(values) do
    local def = st.defs[v.name]
    if v.objectTypeId == "0-1" and def and not def.read_only and v.value ~= "" then
      properties[v.name] = properties[v.name] and properties[v.name] .. ";" .. v.value or v.value
    end
  end
  if not properties.email then return end
  local source = { change = "FORM", id = form.id }
  local n = st.unique.email[properties.email:lower():match("^%s*(.-)%s*$")]
  local rec = n and O.find(st, n)
  if rec then O.update(S, st, rec, properties, source) else O.create(S, st, properties, source) end
end

---Adds a submission as a visitor makes one.
---@param values table[] { objectTypeId=, name=, value= }
function F.submit(S, form, values, page, name, at)
  local submission = { id = S.rng.uuid(), at = at or S.host.now(), values = values, page = page, name = name }
  local list = form.submissions
  local i = #list
  while i > 0 and list[i].at > submission.at do i = i - 1 end
  table.insert(list, i + 1, submission)
  save_contact(S, form, values)
  return submission
end

local function shown(s)
  local values = {}
  for i, v in ipairs(s.values) do values[i] = { name = v.name, value = v.value, objectTypeId = v.objectTypeId } end
  return { conversionId = s.id, submittedAt = s.at, values = json.array(values), pageUrl = s.page, pageName = s.name }
end

---/form-integrations/v1/submissions/forms/ID: newest first. A cursor names the last submission of its page or, with
---offset_cursors, how many came before it: HubSpot does not tell which.
function F.route_submissions(S, req, seg)
  if req.method ~= "GET" or not seg[1] or seg[2] then return end
  local form, q = by_id(S, seg[1], false), req:args()
  local limit, after, list = limit_of(q, "20", PAGE_MAX), U.one(q, "after"), form.submissions
  local ok, plain = pcall(crypto.base64_decode, after or "")
  local first = #list
  if after and S.offset_cursors then
    first = #list - (math.tointeger(tonumber(ok and plain)) or E.bad_request("Invalid paging cursor: " .. after))
  elseif after then
    while first > 0 and list[first].id ~= plain do first = first - 1 end
    if first == 0 then E.bad_request("Invalid paging cursor: " .. after) end
    first = first - 1
  end
  local out, last = {}, math.max(1, first - limit + 1)
  for i = first, last, -1 do out[#out + 1] = shown(list[i]) end
  local more = last > 1 and #out > 0
  return 200, { results = json.array(out), paging = more and next_page(req, limit, crypto.base64_encode(
    S.offset_cursors and tostring(#list - last + 1) or list[last].id)) or nil }
end

local function defined(form)
  local names = {}
  for _, group in ipairs(form.def.fieldGroups) do
    for _, f in ipairs(group.fields or {}) do names[f.name] = true end
  end
  return names
end

local function submit_errors(list)
  E.raise(400, "VALIDATION_ERROR", "The request is not valid", { errors = json.array(list) })
end

---/submissions/v3/integration/[secure/]submit/PORTAL/ID; `secure`: with a token, so that fields need not be in the form.
function F.route_submit(S, req, seg, secure)
  if req.method ~= "POST" or not seg[2] or seg[3] then return end
  if seg[1] ~= tostring(S.portal) then E.not_found("Portal " .. seg[1] .. " does not exist") end
  local form, body = by_id(S, seg[2], false), S:json(req)
  if type(body.fields) ~= "table" or #body.fields == 0 then E.bad_request("Some required fields were not set: [fields]") end
  if #body.fields > FIELDS_MAX then E.bad_request("At most " .. FIELDS_MAX .. " fields can be submitted") end
  local names, values, errors = defined(form), {}, {}
  for i, f in ipairs(body.fields) do
    if type(f) ~= "table" or type(f.name) ~= "string" then E.bad_json("fields must hold objects with a name") end
    if not secure and not names[f.name] then
      errors[#errors + 1] = { message = "Error in 'fields." .. f.name .. "'. The field is not in the form definition",
        code = "FIELD_NOT_IN_FORM_DEFINITION" }
    end
    values[i] = { name = f.name, value = U.absent(f.value) and "" or tostring(f.value),
      objectTypeId = type(f.objectTypeId) == "string" and f.objectTypeId or "0-1" }
    if f.name == "email" and not values[i].value:find("^[^@%s]+@[^@%s]+%.[^@%s]+$") then
      errors[#errors + 1] = { message = "Error in 'fields.email'. Invalid email address", code = "INVALID_EMAIL" }
    end
  end
  if #errors > 0 then submit_errors(errors) end
  local at = not U.absent(body.submittedAt) and math.tointeger(tonumber(body.submittedAt)) or nil
  if at and at < S.host.now() - MONTH then E.bad_request("submittedAt must not be older than one month") end
  local context = type(body.context) == "table" and body.context or {}
  F.submit(S, form, values, context.pageUri, context.pageName, at)
  return 200, { inlineMessage = form.def.configuration.postSubmitAction.value }
end

return F
