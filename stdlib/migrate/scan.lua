--- What one file holds of HubSpot's API keys and old paths: `hubloop migrate` asks for each file of a tree.
local clients = require "migrate.clients"
local keys = require "migrate.keys"
local legacy = require "migrate.legacy"
local paths = require "migrate.paths"
local text = require "migrate.text"

local scan = {}

---@class migrate.finding
---@field line integer
---@field kind "api-key"|"old-path"|"client"
---@field path string|nil
---@field method string|nil
---@field replacement string|nil
---@field new_method string|nil where it is another
---@field body "same"|"differs"|"unknown"|nil
---@field scopes string[][]|nil alternatives
---@field note string|nil
---@field safe boolean --write rewrites it
---@field edit { from: integer, to: integer, text: string }|nil

---Whether the bytes can hold anything: cheap, for most files say no.
---@param name string
---@param s string
local function worth(name, s)
  return s:find("/v[1-4]%f[^%w]") or s:find("[\"']v[1-4][\"']") or s:lower():find("hapi[_%-]?key")
    or name:lower():find("hubspot", 1, true) or s:lower():find("hubspot", 1, true)
end

local VERBS <const> = { get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE", del = "DELETE", destroy = "DELETE" }

-- The method of the call around a place: on its line, else shortly after it, else shortly before.
local function method_of(s, place)
  local start = math.max(1, place.first - 160)
  local line = s:sub(start, place.first - 1):match("[^\n]*$")
  local low = line:lower()
  local named = line:match("%f[%w](%u+)[\"'`]?%s*,?%s*[\"'`]?%s*%S*$")
  if named and VERBS[named:lower()] and named == named:upper() then return named end
  local called = low:match("[.:>%s](%a+)%s*[<%w>]*[%(%s]%s*[fr@$]*[\"'`]?$") or low:match("%f[%w](%a+)async%s*%([^)]*$")
    or low:match("[.:>](%a+)[%w_]*%s*%([^()]*$")
  local verb = called and (VERBS[called] or VERBS[called:match("^(%a-)async$") or ""] or VERBS[called:match("^http(%a+)$") or ""])
  if verb then return verb end
  -- curl: -X POST, or data without it.
  if low:find("%f[%w]curl%f[%W]") or low:find("%-%-request") or low:find("^%s*\\?$") then
    local command = s:sub(math.max(1, place.first - 600), place.first - 1):match("%f[%w]curl%f[%W][^\n]*[%s%S]*$")
    local tail = s:sub(place.last, place.last + 600)
    local stop = tail:find("[^\\]\n")
    tail = stop and tail:sub(1, stop) or tail
    if command then
      local all = command .. tail
      local x = all:match("%-X%s*[\"']?(%u+)") or all:match("%-%-request[%s=][\"']?(%u+)")
      if x and VERBS[x:lower()] then return x end
      if all:find("%s%-d%f[%W]") or all:find("%-%-data") or all:find("%s%-F%f[%W]") or all:find("%-%-json") then return "POST" end
      return "GET"
    end
  end
  -- An object or call around it: method: "POST", HttpMethod.POST, CURLOPT_POST.
  local ahead = s:sub(place.last + 1, place.last + 400)
  local cut = ahead:find("\n%s*\n") or ahead:find(";%s*\n")
  ahead = cut and ahead:sub(1, cut) or ahead
  local behind = s:sub(math.max(1, place.first - 300), place.first - 1)
  local last
  for from in behind:gmatch("()\n%s*\n") do last = from end
  for from in behind:gmatch(";%s*\n()") do last = math.max(last or 0, from) end
  behind = last and behind:sub(last) or behind
  for _, part in ipairs { ahead, behind } do
    local name = part:match("[mM]ethod[\"']?%s*[:=]>?%s*[\"'`:]?%s*[%w.]-%f[%w](%u+)%f[%W]")
      or part:match("[mM]ethod[\"']?%s*[:=]>?%s*[\"'`:](%l+)[\"'`]?")
      or part:match("Method%.(%a+)") or part:match("http%.Method(%a+)") or part:match("CURLOPT_CUSTOMREQUEST%s*,?=?>?%s*[\"'](%u+)")
      or part:match("RequestMethod%s*%(%s*[\"'](%u+)")
    local verb2 = name and VERBS[name:lower()]
    if verb2 then return verb2 end
    if part == ahead and part:find("CURLOPT_POST%f[%W]") then return "POST" end
  end
  local java = ahead:match("^[^;]-%.%s*(%u+)%s*%(") -- .POST(BodyPublishers…)
  if java and VERBS[java:lower()] then return java end
  return nil
end

local function head_of(path, keep)
  local list = {}
  for segment in path:gmatch("[^/]+") do list[#list + 1] = segment end
  local out = {}
  for i = 1, #list - keep do out[i] = list[i] end
  return out
end

-- The bytes to put in place of the old head, when it stands in the text in one piece.
local function edit_of(s, place, verdict)
  local old, new = head_of(place.path, verdict.keep), head_of(verdict.replacement, verdict.keep)
  for _, segment in ipairs(old) do
    if segment == "{}" then return nil end
  end
  if place.list then
    if #old ~= #new then return nil end
    local i, piece = 0, s:sub(place.list.from, place.list.to)
    local text_now = piece:gsub(place.list.quote .. "([^\"']*)" .. place.list.quote, function(word)
      i = i + 1
      if i > #old then return nil end
      if word ~= old[i] then i = math.maxinteger end
      return i <= #old and place.list.quote .. new[i] .. place.list.quote or nil
    end)
    return i < math.maxinteger and { from = place.list.from, to = place.list.to, text = text_now } or nil
  end
  local pattern = {}
  for i, segment in ipairs(old) do pattern[i] = segment:gsub("%W", "%%%0") end
  local whole = table.concat(pattern, "\1?/")
  local piece = s:sub(place.first, place.last)
  local at = 1
  local from, to
  while true do
    from, to = piece:find(whole .. "%f[^%w_%-]", at)
    if not from then return nil end
    if place.first + from - 1 <= place.at and place.at <= place.first + to - 1 then break end
    at = from + 1
  end
  local lead = piece:sub(from - 1, from - 1)
  if lead ~= "/" and from ~= 1 then return nil end
  local slash = piece:sub(from, to):find("\1", 1, true) and "\\/" or "/"
  return { from = place.first + from - 1, to = place.first + to - 1, text = table.concat(new, slash) }
end

---@param name string
---@param s string the text, decoded
---@return migrate.finding[] found sorted by line
---@return integer mentions in comments and prose
---@return { bearer: table<string, true> } also
function scan.file(name, s)
  if not worth(name, s) then return {}, 0, { bearer = {} } end
  local extension, view = text.extension(name), paths.view(s)
  local low = view:lower()
  local context = low:find("hubspot", 1, true) ~= nil or low:find("hubapi", 1, true) ~= nil or low:find("hapikey", 1, true) ~= nil
    or name:lower():find("hubspot", 1, true) ~= nil
  local places, named, elsewhere = paths.find(view, extension, true)
  if not context then
    context = not elsewhere and paths.speak(places)
    if not context then places, named = paths.find(view, extension, false) end
  end
  local credentials, talked, bearer = keys.find(view, extension, context, name:match("[^/]*$"):lower():find("hubspot", 1, true) ~= nil)
  local found, mentions = {}, #named + #talked
  local starts = text.lines(s)
  local in_comment = text.comments(s, name, starts)
  local shown = text.is_prose(name) and text.shown(s, starts)
  local function hidden(at) return in_comment(at) or shown and not shown(at) end

  for _, key in ipairs(credentials) do
    -- A key that is written out is one in a comment, too.
    if hidden(key.at) and not key.value then mentions = mentions + 1
    else
      found[#found + 1] = { line = text.line_of(starts, key.at), kind = "api-key", note = key.what .. (key.value and (" (" .. key.value
        .. ")") or ""), name = key.name,
        safe = false }
    end
  end
  local seen = {}
  for _, place in ipairs(places) do
    local line = text.line_of(starts, place.at)
    local id = line .. " " .. place.path
    if hidden(place.at) then mentions = mentions + 1
    elseif not seen[id] or not place.based then
      seen[id] = true
      local method = place.list and nil or method_of(view, place)
      local verdict = legacy.judge(place.path, method)
      if method and not verdict.replacement and not verdict.known then verdict = legacy.judge(place.path) end
      local finding = { line = line, kind = "old-path", path = place.path, method = method, replacement = verdict.replacement,
        new_method = verdict.new_method,
        body = verdict.body, scopes = verdict.scopes, others = verdict.others, note = verdict.note, api = verdict.api, safe = false }
      if place.unsure and verdict.body == "same" then
        finding.note = "the file calls other hosts too: make sure that this is HubSpot's" .. (verdict.note and "; " .. verdict.note or "")
      elseif verdict.body == "same" and verdict.keep and not place.based then
        finding.edit = edit_of(view, place, verdict)
        finding.safe = finding.edit ~= nil
      end
      if place.based then finding.note = ("its beginning stands in %s"):format(place.based) .. (verdict.note and "; " .. verdict.note
        or "") end
      found[#found + 1] = finding
    end
  end
  for _, call in ipairs(context and clients.find(name, view) or {}) do
    local verdict = call.path and legacy.judge(call.path, call.method) or {}
    if hidden(call.at) then mentions = mentions + 1
    else
      found[#found + 1] = { line = text.line_of(starts, call.at), kind = "client", path = call.path, method = call.method,
        replacement = verdict.replacement, body = verdict.body, scopes = verdict.scopes, note = call.note, api = verdict.api, safe = false }
    end
  end
  table.sort(found, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    if a.kind ~= b.kind then return a.kind < b.kind end
    return (a.path or "") < (b.path or "")
  end)
  local signs = {}
  for _, finding in ipairs(found) do
    if finding.path and finding.path:find("^/oauth/") then signs.oauth = true end
    if finding.path and finding.path:find("^/webhooks/") then signs.webhooks = true end
  end
  if context and low:find("x%-hubspot%-signature") then signs.webhooks = true end
  return found, mentions, { bearer = bearer, signs = signs }
end

---The text with the safe findings rewritten.
---@param s string
---@param found migrate.finding[]
---@return string
---@return integer n how many
function scan.rewrite(s, found)
  local edits = {}
  for _, finding in ipairs(found) do
    if finding.edit then edits[#edits + 1] = finding.edit end
  end
  table.sort(edits, function(a, b) return a.from < b.from end)
  local parts, at, n = {}, 1, 0
  for _, edit in ipairs(edits) do
    if edit.from >= at then
      parts[#parts + 1] = s:sub(at, edit.from - 1)
      parts[#parts + 1] = edit.text
      at, n = edit.to + 1, n + 1
    end
  end
  parts[#parts + 1] = s:sub(at)
  return table.concat(parts), n
end

return scan
