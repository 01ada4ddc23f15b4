--- form.submission: the submissions of forms, which HubSpot gives newest first, by a cursor of times. A submission that is
--- older than `floor` has been told (or came before anybody listened); of the others `seen` holds those that were told.
--- So equal times do no harm, nor what HubSpot shows late, as long as it is not older than the floor.
---
---   state = { floor = epoch ms, seen = { id = epoch ms }, descent = nil or what is below }
---
--- When there is more than one reading takes, the next ones go on where it ended, down to the line where the first one
--- would have stopped, and only then look at the top again: descent = { after = HubSpot's cursor, line = epoch ms,
--- low = { ms, ids }: the oldest ones so far, top = the state when it is done }.
local _, host = ...
local watch = require "engine.watch"

local forms = {}

local PAGE, PAGES = 50, 40          -- a reading tells at most 2,000
local OVERLAP = 5 * 60 * 1000       -- HubSpot may show a submission later than one that came after it
local KEEP, MOST = 100, 2000        -- ids in `seen`: at least so many, those of the overlap, at most so many
local FRESH = 10 * 60 * 1000        -- how long names are believed
local FORMS_MAX = 20                -- pages of forms

---------------------------------------------------------------------------------------------------- which forms

local named = {}   -- account -> { at, list }

local function get(account, path, query)
  return (host.api { kind = "raw", method = "GET", path = path, query = query, account = account, nulls = false })
end

local function all_forms(account)
  local cache = named[account]
  if cache and host.now() - cache.at < FRESH then return cache.list end
  local list, after = {}, nil
  for _ = 1, FORMS_MAX do
    local answer = get(account, "/marketing/v3/forms", "limit=100" .. (after and "&after=" .. host.url(after) or ""))
    for _, form in ipairs(answer.results or {}) do list[#list + 1] = { id = form.id, name = form.name } end
    after = watch.next_page(answer, after)
    if not after then break end
  end
  named[account] = { at = host.now(), list = list }
  return list
end

local function is_id(text) return #text == 36 and text:find("^%x+%-%x+%-%x+%-%x+%-%x+$") ~= nil end

-- The forms that are meant: all of them, those of a name, or the one with the id.
local function meant(account, wanted)
  local list, out = all_forms(account), {}
  if not wanted then return list end
  for _, form in ipairs(list) do
    if form.id == wanted or form.name == wanted then out[#out + 1] = form end
  end
  if #out > 0 then return out end
  if is_id(wanted) then return { { id = wanted } } end   -- a pop-up form, which is not among them
  local names = {}
  for i, form in ipairs(list) do names[i] = form.name end
  watch.absent("form", wanted, names)
end

---------------------------------------------------------------------------------------------------- reading

-- What tells a submission from others. HubSpot has an id for it; it is not promised.
local function identity(s)
  local parts = { s.conversionId }
  if not parts[1] then
    parts = { tostring(s.submittedAt), tostring(s.pageUrl) }
    for _, value in ipairs(s.values or {}) do parts[#parts + 1] = ("%s=%s"):format(tostring(value.name), tostring(value.value)) end
  end
  return crypto.sha256(table.concat(parts, "\n")):sub(1, 16)
end

-- The newest of what was seen, and the floor below which no more is remembered.
local function pruned(seen, floor)
  local list, kept = {}, {}
  for id, ms in pairs(seen) do list[#list + 1] = { id, ms } end
  table.sort(list, function(a, b) return a[2] > b[2] end)
  local recent = list[1] and list[1][2] - OVERLAP
  for i, one in ipairs(list) do
    if i > MOST or i > KEEP and one[2] < recent then
      floor = math.max(floor, one[2] + 1)
      break
    end
  end
  for _, one in ipairs(list) do
    if one[2] >= floor then kept[one[1]] = one[2] end
  end
  return { floor = floor, seen = kept }
end

local function newest(seen)
  local ms
  for _, at in pairs(seen) do ms = math.max(ms or at, at) end
  return ms
end

-- What a reading has come to: the oldest time, and the ids that have it.
local function lowest(fresh, low)
  for _, one in ipairs(fresh) do
    if not low or one.ms < low.ms then low = { ms = one.ms, ids = {} } end
    if one.ms == low.ms then low.ids[one.id] = true end
  end
  return low
end

-- The new submissions, and the state when they are told. Waits.
local function collect(account, form, state)
  local descent, fresh, mine, last = state.descent, {}, {}, false
  local low, after = descent and descent.low, descent and descent.after
  local line = descent and descent.line or math.max(state.floor, (newest(state.seen) or 0) - OVERLAP)
  for _ = 1, PAGES do
    local answer = get(account, "/form-integrations/v1/submissions/forms/" .. host.url(form.id),
      ("limit=%d%s"):format(PAGE, after and "&after=" .. host.url(after) or ""))
    for _, s in ipairs(answer.results or {}) do
      local ms, id = math.tointeger(s.submittedAt) or host.now(), identity(s)
      local passed = low and descent and (ms > low.ms or ms == low.ms and low.ids[id])   -- a cursor may have moved
      if ms >= state.floor and not state.seen[id] and not mine[id] and not passed then
        mine[id] = ms
        fresh[#fresh + 1] = { ms = ms, id = id, submission = s }
      end
      if ms < line then last = true end
    end
    after = watch.next_page(answer, after)
    last = last or not after
    if last then break end
  end
  local seen = {}
  for id, ms in pairs(state.seen) do seen[id] = ms end
  for id, ms in pairs(mine) do seen[id] = ms end
  if last then return fresh, descent and descent.top or pruned(seen, state.floor) end
  return fresh, { floor = state.floor, seen = state.seen, descent = { after = after, line = line, low = lowest(fresh, descent and low),
    top = descent and descent.top or pruned(seen, state.floor) } }
end

---------------------------------------------------------------------------------------------------- events

-- The values by name; several of one name are joined as HubSpot joins them.
local function values_of(s)
  local out = {}
  for _, value in ipairs(s.values or {}) do
    if value.name and value.value ~= nil then
      out[value.name] = out[value.name] and out[value.name] .. ";" .. tostring(value.value) or tostring(value.value)
    end
  end
  return out
end

local function found(form, one)
  local s = one.submission
  local values = values_of(s)
  local payload = { formId = form.id, formName = form.name, submissionId = s.conversionId or one.id, values = values,
    fields = s.values, email = values.email, pageUrl = s.pageUrl, pageName = s.pageName }
  local options = { occurred_at = one.ms }
  if not pcall(host.found, "form.submission", payload, options) then   -- longer than an event may be
    payload.values, payload.fields, payload.truncated = nil, nil, true
    host.found("form.submission", payload, options)
  end
end

-- Everything new of one form into the run.
local function read(account, form, from)
  local store = host.kv("hubloop:forms", account)
  local state = store.get(form.id) or { floor = from, seen = {} }
  local fresh, after = collect(account, form, state)
  if #fresh == 0 and not state.descent and not after.descent then return end
  for i, one in ipairs(fresh) do one.at = i end
  table.sort(fresh, function(a, b)   -- the oldest one first
    if a.ms ~= b.ms then return a.ms < b.ms end
    return a.at > b.at
  end)
  for _, one in ipairs(fresh) do found(form, one) end
  store.set(form.id, after)
end

---Starts to read for a handler of form.submission.
---@param event string
---@param own { form: string|nil, every: any, from: string|nil }
---@param account string|nil
function forms.start(event, own, account)
  local label = own.form or "all forms"
  watch.start(event, label, own, account, function(name, from)
    local list
    watch.reading(("%s of %s"):format(event, label), ("forms %s %s"):format(name, label), function() list = meant(name, own.form) end)
    for _, form in ipairs(list or {}) do
      watch.reading(("%s of %s"):format(event, form.name or form.id), ("form %s %s"):format(name, form.id),
        function() read(name, form, from) end)
    end
  end)
end

---Whether a handler asked for this event.
function forms.matches(event, own)
  return not own.form or event.formId == own.form or event.formName == own.form
end

return forms
