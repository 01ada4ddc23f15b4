-- Answers as a real account did: the file that `hubloop record` (or `hubloop sim
-- --record`) wrote, a JSON object a line.
--
-- A request is answered by a recorded one with the same method, path, query and
-- body, whatever the order of parts and members. Times do not count, and neither
-- does the version in a CRM path, so a script that has been moved to dated paths
-- still finds what its predecessor was told. Several answers to the same request
-- come in their order; the last one stays. Reads of records by id, one or many,
-- are also answered from records that any answer held, since how reads are put
-- together into batches depends on the moment. All else is 501.
local U = require "sim.util"
local E = require "sim.errors"
local json = json

local Fixture = {}
Fixture.__index = Fixture

-- ---- what makes two requests the same ----

local function timeless(text)
  text = text:gsub("%f[%d]%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d[%d%.]*Z?", "<time>")
  return (text:gsub("%f[%d]1[4-9]" .. ("%d"):rep(11) .. "%f[%D]", "<time>"))
end

local function canonical(v, out)
  if type(v) ~= "table" then
    out[#out + 1] = type(v) == "string" and ("%q"):format(timeless(v)) or timeless(tostring(v))
  elseif #v > 0 then
    out[#out + 1] = "["
    for _, item in ipairs(v) do
      canonical(item, out)
      out[#out + 1] = ","
    end
    out[#out + 1] = "]"
  else
    out[#out + 1] = "{"
    for _, key in ipairs(U.keys(v)) do
      if v[key] ~= json.null then
        out[#out + 1] = key .. ":"
        canonical(v[key], out)
        out[#out + 1] = ","
      end
    end
    out[#out + 1] = "}"
  end
  return out
end

local function query_of(query)
  local parts = {}
  for part in query:gmatch("[^&]+") do parts[#parts + 1] = timeless(U.decode((part:gsub("%+", " ")))) end
  table.sort(parts)
  return table.concat(parts, "&")
end

-- "/crm/objects/2026-09/contacts" and "/crm/v3/objects/contacts" are one place.
local function place_of(path)
  local room, rest = path:match("^/crm/v%d/(%w+)(.*)$")
  if not room then room, rest = path:match("^/crm/(%w+)/%d%d%d%d%-%d%d(.*)$") end
  return timeless(U.decode(room and "/crm/" .. room .. rest or path):gsub("/$", ""))
end

local function body_of(text)
  local ok, tree = pcall(json.decode, text)
  return ok and table.concat(canonical(tree, {})) or timeless(text)
end

-- ---- records ----

-- The objects of an answer, each with id and properties.
local function note_record(self, kind, r)
  if type(r) ~= "table" or not r.id or type(r.properties) ~= "table" or type(r.archived) ~= "boolean" then return end
  local of = self.records[kind] or {}
  self.records[kind] = of
  local known = of[tostring(r.id)]
  if not known then
    known = { id = tostring(r.id), properties = {} }
    of[known.id] = known
  end
  known.createdAt, known.updatedAt, known.archived = r.createdAt, r.updatedAt, r.archived
  for name, value in pairs(r.properties) do known.properties[name] = value end
end

local function kind_of(place) return place:match("^/crm/objects/([^/]+)") end

local function note_records(self, place, answer)
  local kind = kind_of(place)
  if not kind or place:find("/associations/", 1, true) or type(answer) ~= "table" then return end
  note_record(self, kind, answer)
  for _, r in ipairs(type(answer.results) == "table" and answer.results or {}) do note_record(self, kind, r) end
end

local ALWAYS = { "createdate", "hs_object_id", "lastmodifieddate", "hs_lastmodifieddate" }

-- The record as a read of `wanted` shows it; nil when a property was never recorded.
local function view(known, wanted)
  local properties = {}
  for _, name in ipairs(wanted) do
    if known.properties[name] == nil then return nil end
    properties[name] = known.properties[name]
  end
  for _, name in ipairs(ALWAYS) do properties[name] = known.properties[name] end
  return { id = known.id, properties = properties, createdAt = known.createdAt, updatedAt = known.updatedAt, archived = known.archived }
end

local function find(self, kind, id, by)
  local of = self.records[kind] or {}
  if not by or by == "hs_object_id" then return of[tostring(id)] end
  for _, key in ipairs(U.keys(of)) do
    local value = of[key].properties[by]
    if type(value) == "string" and value:lower() == tostring(id):lower() then return of[key] end
  end
end

local function from_records(self, S, req, place)
  local kind = kind_of(place)
  if not kind then return end
  if req.method == "POST" and place == "/crm/objects/" .. kind .. "/batch/read" then
    local body, results, started = S:json(req), {}, S.host.now()
    if body.propertiesWithHistory and #body.propertiesWithHistory > 0 then return end
    for i, input in ipairs(S:inputs(body, 100)) do
      local known = find(self, kind, input.id, body.idProperty)
      results[i] = known and view(known, body.properties or {})
      if not results[i] then return end
    end
    return S:batch_answer(200, started, results, {})
  end
  local id = req.method == "GET" and place:match("^/crm/objects/[^/]+/([^/]+)$")
  local args = id and req:args()
  if not id or args.associations or args.propertiesWithHistory then return end
  local known = find(self, kind, id, U.one(args, "idProperty"))
  local r = known and view(known, U.list(args, "properties") or {})
  if r then return 200, r end
end

-- ---- answers ----

local LIKE = { ["content-type"] = true, ["retry-after"] = true }

local function headers_of(recorded)
  local out = {}
  for name, value in pairs(recorded or {}) do
    if LIKE[name:lower()] then out[name] = value end
  end
  return out
end

---Status and body of what was recorded; raises 501 when nothing was.
function Fixture:answer(S, req)
  local place = place_of(req.path)
  local here = self.places[req.method .. " " .. place]
  req.kind = "fixture"
  local exact = here and here[query_of(req.query) .. "\n" .. body_of(req.body)]
  if exact then
    exact.next = math.min(exact.next + 1, #exact)
    local e = exact[exact.next]
    req.reply = headers_of(e.headers)
    return e.status, e.body
  end
  local status, body = from_records(self, S, req, place)
  if status then return status, body end
  local like = 0
  for _ in pairs(here or {}) do like = like + 1 end
  E.raise(501, "NOT_IMPLEMENTED", ("%s has no answer to %s %s%s: record it again with this request"):format(self.name, req.method, req.path,
    like > 0 and (" with this query and body (%d other%s recorded)"):format(like, like == 1 and "" or "s") or ""))
end

---Reads the file's text; raises a text that names file and line.
local function read(text, name)
  local self = setmetatable({ name = name, places = {}, records = {} }, Fixture)
  local at = 0
  for line in text:gmatch("[^\n]+") do
    at = at + 1
    local ok, x = pcall(json.decode, line)
    if not ok or type(x) ~= "table" or type(x.method) ~= "string" or type(x.path) ~= "string" or math.type(x.status) ~= "integer" then
      error(("%s:%d: no exchange as hubloop record writes it"):format(name, at), 0)
    end
    if x.status > 0 then
      local place = place_of(x.path)
      local id = x.method .. " " .. place
      local here = self.places[id] or {}
      self.places[id] = here
      local key = query_of(x.query or "") .. "\n" .. body_of(x.requestBody or "")
      local list = here[key] or { next = 0 }
      here[key] = list
      list[#list + 1] = { status = x.status, headers = x.responseHeaders, body = x.responseBody or "" }
      local good, answer = pcall(json.decode, list[#list].body)
      if good and x.status < 300 then note_records(self, place, answer) end
    end
  end
  if at == 0 then error(name .. ": the fixture is empty", 0) end
  return self
end

return { read = read }
