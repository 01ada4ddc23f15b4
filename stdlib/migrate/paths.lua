--- Old paths of HubSpot in a text of any language: whole URLs, paths put together from pieces (+, .., f"", ${}), bases in
--- constants, lists of segments. Nothing is parsed: a version segment is an anchor, and what stands around it is read.
local legacy = require "migrate.legacy"

local paths = {}

local STEPS <const> = 12   -- pieces on either side
local PIECE <const> = 600  -- bytes of one

-- `\/` and `\"` as JSON writes them become one byte that says nothing and the character itself: positions stay.
local function view_of(s)
  if not s:find("\\", 1, true) then return s end
  return (s:gsub('\\([/"])', "\1%1"))
end
paths.view = view_of

local PLAIN <const> = "^[%w%-_.~%%@:/\1]"
local RUN <const> = PLAIN .. "+"

-- The first byte of the placeholder that ends at `at` ("${x}", "#{x}", "{{x}}", "\(x)", "<x>"), or nil.
local function placeholder_start(s, at)
  local c, low = s:sub(at, at), math.max(1, at - 200)
  local open = ({ ["}"] = "{", [")"] = "(", [">"] = "<" })[c]
  if not open then return nil end
  local depth = 0
  for i = at, low, -1 do
    local b = s:sub(i, i)
    if b == "\n" then return nil end
    if b == c then depth = depth + 1
    elseif b == open then
      depth = depth - 1
      if depth == 0 then
        local before = s:sub(i - 1, i - 1)
        if open == "(" then return (before == "\\" or before == "$") and i - 1 or nil end
        if open == "<" then return not s:sub(i, at):find("%s") and i or s:sub(i, i + 1) == "<%" and i or nil end
        return (before == "$" or before == "#") and i - 1 or i
      end
    end
  end
end

-- The last byte of the placeholder that begins at `at`, or nil.
local function placeholder_end(s, at)
  local two = s:sub(at, at + 1)
  local from, open, close
  if two == "${" or two == "#{" then from, open, close = at + 1, "{", "}"
  elseif two == "\\(" or two == "$(" then from, open, close = at + 1, "(", ")"
  elseif two:find("^{") then from, open, close = at, "{", "}"
  elseif two:find("^%$[%a_]") then
    local _, last = s:find("^%$[%a_][%w_]*", at)
    return last
  elseif two:find("^<[%a_%%$]") then
    local _, last = s:find("^<%%?[%w%s_%-.$=]+%%?>", at)
    return last
  else return nil end
  local depth = 0
  for i = from, math.min(#s, at + 200) do
    local b = s:sub(i, i)
    if b == "\n" then return nil end
    if b == open then depth = depth + 1
    elseif b == close then
      depth = depth - 1
      if depth == 0 then return i end
    end
  end
end

-- Back over one literal run of a path; the first byte of it.
local function run_back(s, at)
  local low = math.max(0, at - PIECE)
  local i = at
  while i > low do
    local c = s:sub(i, i)
    if c:find(PLAIN) then i = i - #s:sub(math.max(low + 1, i - 60), i):match("[%w%-_.~%%@:/\1]*$")
    elseif c == "$" and s:find("^[%a_]", i + 1) then i = i - 1
    else
      local from = placeholder_start(s, i)
      if not from then break end
      i = from - 1
    end
  end
  return i + 1
end

local function run_on(s, at)
  local high = math.min(#s, at + PIECE)
  local i = at
  while i <= high do
    local _, stop = s:find(RUN, i)
    if stop then i = stop + 1
    else
      local last = placeholder_end(s, i)
      if not last then break end
      i = last + 1
    end
  end
  return i - 1
end

local JOINS <const> = { "%+%+", "%+", "%.%.", "||", "<>", "~" }
local DOTS <const> = { php = true, phtml = true, inc = true, pl = true, pm = true, t = true }
local AMPS <const> = { vb = true, bas = true, vbs = true, cls = true, frm = true, cs = false }
local SIDE_BY_SIDE <const> = { py = true, c = true, h = true, cc = true, cpp = true, hpp = true, m = true, mm = true, d = true }

local function joins_of(extension)
  local list = table.move(JOINS, 1, #JOINS, 1, {})
  if DOTS[extension] then list[#list + 1] = "%." end
  if AMPS[extension] then list[#list + 1] = "&" end
  return list
end

local QUOTE <const> = "^[\"'`]"

-- The operand that ends at `at`: a name or a call; its first byte.
local function operand_back(s, at)
  local i = at
  local low = math.max(1, at - 300)
  while i >= low do
    local c = s:sub(i, i)
    if c:find("[%w_.$@]") then i = i - 1
    elseif c == ">" and s:sub(i - 1, i - 1) == "-" then i = i - 2
    elseif c == ")" or c == "]" then
      local depth, open = 0, c == ")" and "(" or "["
      local j = i
      while j >= low do
        local b = s:sub(j, j)
        if b == c then depth = depth + 1 elseif b == open then depth = depth - 1 end
        if depth == 0 then break end
        j = j - 1
      end
      if depth ~= 0 then return nil end
      i = j - 1
    else break end
  end
  return i < at and i + 1 or nil
end

local function operand_on(s, at)
  local i = at
  local high = math.min(#s, at + 300)
  while i <= high do
    if s:find("^[%w_$@]", i) then i = i + 1
    elseif s:find("^%.[%a_]", i) then i = i + 1
    elseif s:find("^%->[%a_]", i) then i = i + 2
    elseif s:find("^::[%a_]", i) then i = i + 2
    elseif s:find("^%b()", i) and i > at then i = select(2, s:find("^%b()", i)) + 1
    elseif s:find("^%b()", i) then return select(2, s:find("^%b()", i))
    elseif s:find("^%b[]", i) and i > at then i = select(2, s:find("^%b[]", i)) + 1
    else break end
  end
  return i > at and i - 1 or nil
end

-- Up to a query or fragment; Ruby's #{x} is none.
local function without_query(s)
  local query, hash = s:find("?", 1, true) or #s + 1, s:find("#%f[^#{]") or #s + 1
  return s:sub(1, math.min(query, hash) - 1)
end

local function last_word(expression) return expression:match("([%a_][%w_]*)[^%w_]*$") end

-- A literal's text: bytes that say nothing gone.
local function clean(s) return (s:gsub("\1", "")) end

local HOSTS <const> = { "^api[%w%-]*%.hubapi%.com$", "^api[%w%-]*%.hubspot%.com$", "^api%.hubapi%.com%.?$", "^api[%w%-]*%.hubapiqa%.com$" }

local function is_api_host(host)
  host = host:lower():gsub(":%d+$", ""):gsub("^.*@", "")
  for _, pattern in ipairs(HOSTS) do
    if host:find(pattern) then return true end
  end
  return false
end

local TYPES <const> = { string = true, str = true, uri = true, url = true }

---Constants of the text that hold a host, a path or a version: by the last word of their name. false: several values.
---@param s string the view
---@return table<string, string|false> found
---@return { ours: boolean, others: boolean } bases whose hosts its bases name: the API's, and other vendors'
function paths.constants(s)
  local found, bases = {}, { ours = false, others = false }
  local function note(from, value)
    local begin = from
    for i = from, math.max(1, from - 300), -1 do
      if s:sub(i, i) == "\n" then break end
      begin = i
    end
    local before = s:sub(begin, from - 1)
    local name = before:match("([%a_][%w_%-]*)[\"'%]]*%s*[:=]+>?%s*[fr@$]*[\"'`]?$") or before:match("[\"']([%a_][%w_]*)[\"']%s*,%s*[\"']$")
      or before:match("^%s*[%w_%s]-([%a_][%w_]*)[%s%w<>%[%]&*':]-%s*:?=[^=>]")
      or before:match("%f[%w]define%(([%a_][%w_]*)")
    -- Go's `root string = "…"`, Rust's `ROOT: &'static str = "…"`.
    local typed = name and TYPES[name:lower()] and before:gsub("[&']%l*%s+%f[%l]", ""):match("([%a_][%w_]*)[%s:&]+" .. name .. "%s*=")
    name = typed or name
    if not name or name == "url" or name == "path" or name == "uri" then return end
    name = name:gsub("%-", "_")
    value = clean(value):gsub("[/.,;]+$", "")
    local host = value:match("^https?://([^/]+)")
    if host and is_api_host(host) then bases.ours = true
    elseif host and not host:find("hubspot", 1, true) and not host:find("^schema%.") then bases.others = true end
    if found[name] == nil then found[name] = value
    elseif found[name] ~= value then found[name] = false end
  end
  local at = 1
  while true do
    local from, to = s:find("https?:\1?/\1?/[%w%-_.~%%@:/\1]+", at)
    if not from then break end
    note(from, s:sub(from, to))
    at = to + 1
  end
  for from, value in s:gmatch("()[\"'](v[1-4])[\"']") do note(from + 1, value) end
  for from, value in s:gmatch("\n%s*[%a_][%w_]*=()(v[1-4])%f[%s]") do note(from, value) end -- a shell's
  for from, value in s:gmatch("[=:]%s*[\"']()(/[%a][%w%-/]*)[\"']") do note(from, value) end
  return found, bases
end

local function is_placeholder(s)
  return s:find("[{}<>$]") ~= nil or s:find("^:[%a_]") ~= nil or s:find("%%[sdv@iu]") ~= nil or s:find("%%%d+%$s") ~= nil
    or s:find("\\%(") ~= nil
end

-- Segments as the rules want them.
local function normal(path)
  local list = {}
  for segment in path:gmatch("[^/]+") do list[#list + 1] = is_placeholder(segment) and "{}" or segment end
  return "/" .. table.concat(list, "/")
end

---@class migrate.place
---@field at integer of the version, in the text
---@field path string with {} where the text does not tell
---@field host string|nil
---@field base string|nil the expression before the path
---@field relative boolean it begins with no slash
---@field from integer|nil where the path's first segment begins, when path and version are in one piece
---@field to integer|nil the last byte of that piece
---@field before string the byte before it
---@field unsure boolean|nil the text has other vendors' bases too, and does not tell whose this is

-- "{BASE}contacts": a placeholder whose value ends with a slash, and the first segment.
local function split_hole(first)
  local hole, word = first:match("^([$#]?%b{})(%a[%w%-]*)$")
  if not hole then hole, word = first:match("^(%%s)(%a[%w%-]*)$") end
  return hole, word
end

-- What a whole text before the path says: a host, an expression, or neither, and the path itself.
local function parted(full)
  local host, rest = full:match("^.-%a[%w+.%-]*:/+([^/]+)(/.*)$")
  if not host then host, rest = full:match("^//([%w.%-]+%.%a+)(/.*)$") end
  if host and not is_placeholder(host) then return host, nil, rest end
  if host then return nil, host, rest end
  if full:find("^/") then return nil, nil, full end
  local first, tail = full:match("^([^/]+)(/.*)$")
  if not first then return nil, nil, "/" .. full, true end
  if is_placeholder(first) then
    local hole, word = split_hole(first)
    return nil, hole or first, hole and "/" .. word .. tail or tail
  end
  if first:find("^[%w%-]+%.[%w%-.]*%a+:?%d*$") or first:find("^[%w%-]+:%d+$") then return first, nil, tail end
  return nil, nil, "/" .. full, true
end

-- Back from `at` over pieces that are joined to what follows. Returns the text, and the first byte of the last piece.
local function back(s, at, joins, constants, beside)
  local from = run_back(s, at)
  local text, first = s:sub(from, at), from
  local base
  for _ = 1, STEPS do
    local quote = s:sub(first - 1, first - 1)
    if not quote:find(QUOTE) or #text > 2000 then break end
    -- Prefixes of literals: f"", r"", @"", $"".
    local before = s:sub(math.max(1, first - 220), first - 2):gsub("\1$", "")
    local edge = first - 2 - (s:sub(first - 2, first - 2) == "\1" and 1 or 0)
    local prefix = before:match("%f[%w][fFrRbuU]+$") or before:match("[$@]+$") or ""
    edge = edge - #prefix
    local _, _, blanks = s:sub(math.max(1, edge - 200), edge):find("([%s\\]*)$")
    local stop = edge - #(blanks or "")
    local op
    for _, pattern in ipairs(joins) do
      local a = s:sub(math.max(1, stop - 1), stop):match(pattern .. "$")
      if a then
        op = a
        break
      end
    end
    local operand_end
    if op then
      local tail = s:sub(math.max(1, stop - #op - 200), stop - #op):match("([%s\\]*)$")
      operand_end = stop - #op - #tail
    elseif beside and s:sub(stop, stop):find(QUOTE) then operand_end = stop
    else break end
    local c = s:sub(operand_end, operand_end)
    if c:find(QUOTE) then
      local last = operand_end - 1
      if s:sub(last, last) == "\1" then last = last - 1 end
      local start = run_back(s, last)
      if start > last then break end
      text, first = s:sub(start, last) .. text, start
    else
      local start = operand_back(s, operand_end)
      if not start then break end
      local expression = s:sub(start, operand_end)
      local word = last_word(expression)
      local value = word and constants[word]
      local slash = text:find("^/") and "" or "/"
      if value then text = value .. slash .. text
      else text, base = "{" .. expression:gsub("[{}/]", "") .. "}" .. slash .. text, expression end
      break
    end
  end
  return text, from, base
end

-- On from `at` over pieces that are joined. Returns the text up to a query, and the last byte of the first piece.
local function on(s, at, joins, constants, beside)
  local to = run_on(s, at)
  local text, last = s:sub(at, to), to
  for _ = 1, STEPS do
    local quote_at = last + 1
    if s:sub(quote_at, quote_at) == "\1" then quote_at = quote_at + 1 end
    if not s:sub(quote_at, quote_at):find(QUOTE) or #text > 2000 then break end
    local _, edge = s:find("^[%s\\]*", quote_at + 1)
    local op
    for _, pattern in ipairs(joins) do
      op = s:match("^" .. pattern, edge + 1)
      if op then break end
    end
    local start
    if op then
      local _, stop = s:find("^[%s\\]*", edge + 1 + #op)
      start = stop + 1
    elseif beside and s:find(QUOTE, edge + 1) then start = edge + 1
    else break end
    local skip = s:match("^[fFrRbuU$@]+[\"'`]", start)
    if skip then start = start + #skip - 1 end
    if s:sub(start, start) == "\1" then start = start + 1 end
    if s:find(QUOTE, start) then
      local stop = run_on(s, start + 1)
      text, last = text .. s:sub(start + 1, stop), stop
    else
      local stop = operand_on(s, start)
      if not stop then break end
      local word = s:sub(start, stop):match("^[%a_][%w_]*$")
      local value = word and constants[word]
      if value and (value:find("^/") or value:find("^v%d$")) then text = text .. value else text = text .. "{}" end
      -- What follows an operand: an operator and a literal again.
      local _, gap = s:find("^[%s\\]*", stop + 1)
      local more
      for _, pattern in ipairs(joins) do
        more = s:match("^" .. pattern, gap + 1)
        if more then break end
      end
      if not more then break end
      local _, after = s:find("^[%s\\]*", gap + 1 + #more)
      local q = after + 1
      local fix = s:match("^[fFrRbuU$@]+[\"'`]", q)
      if fix then q = q + #fix - 1 end
      if s:sub(q, q) == "\1" then q = q + 1 end
      if not s:find(QUOTE, q) then break end
      local tail = run_on(s, q + 1)
      text, last = text .. s:sub(q + 1, tail), tail
    end
  end
  return text, to
end

local POSITIONAL <const> = { "^%%%d*%$?[sv]$", "^{%d*}$" }

local function is_positional(s)
  for _, pattern in ipairs(POSITIONAL) do
    if s:find(pattern) then return true end
  end
  return false
end

-- What stands for the "%s" or "{}" at a literal's beginning: the first argument after it.
local function argument(s, from, to)
  local quote = s:sub(from - 1, from - 1)
  local after = s:sub(to + 1, to + 500)
  local close = quote:find(QUOTE) and after:find(quote, 1, true)
  if not close then return nil end
  local rest = after:sub(close + 1)
  return rest:match("^%s*,%s*([^,)]+)") or rest:match("^%s*%.format%(%s*([^,)]+)") or rest:match("^%s*%%%s*%(?%s*([^,)]+)")
end

-- `left` and `right` are the bytes on both sides of the version segment "/vN".
local function assemble(s, left, right, version, joins, constants, beside)
  local before, from, base = back(s, left, joins, constants, beside)
  local after, to = on(s, right, joins, constants, beside)
  before, after = clean(before), without_query(clean(after))
  local full = before .. version .. after
  -- Names of constants in placeholders of the text: "${BASE}/crm", "{base}/crm".
  local head, tail = full:match("^([^/]*[{$<%%][^/]-)(/.*)$")
  if head and is_placeholder(head) and not head:find("://", 1, true) then
    local hole, first = split_hole(head)
    if hole then head, tail = hole, "/" .. first .. tail end
    local expression = is_positional(head) and (argument(s, from, to) or "") or head
    local word = last_word(expression)
    local value = expression:match("^[\"'`](https?://[^\"'`]+)") or word and constants[word]
    base = base or expression
    if value then full = value:gsub("/+$", "") .. tail end
  end
  local host, expression, path, relative = parted(full)
  local place = { host = host, base = expression or base, path = path, relative = relative or false, before = s:sub(from - 1, from - 1),
    first = from, last = to }
  return place
end

local VERSION <const> = "/v[1-4]%f[^%w_%-.]"

-- Words that tell that a line names a module or a file, not a path of HubSpot's.
local function is_module(line)
  return line:find("^%s*import%f[%W]") or line:find("^%s*from%s") or line:find("require%s*[('\"]") or line:find("%f[%w]import%s*%(")
    or line:find("^%s*#?include") or line:find("^%s*use%s") or line:find("^%s*export%s.*%sfrom%s") or line:find("^%s*package%s")
end

-- Routes that a program serves itself, and what a test says must not be there.
local ROUTES <const> = { "%f[%w]app[%.>:%-]+%l+%s*%(%s*$", "[rR]outer[%.>:%-]+%a+%s*%(%s*$", "%f[%w]Route::%l+%s*%(%s*$",
  "@[%w.]*[rR]oute%s*%(%s*$",
  "@%u%l+Mapping%s*%([%w%s=]*$", "%[Http%u%l+%s*%(%s*$", "%[Route%s*%(%s*$", "^%s*r?e?_?path%s*%(%s*r?$", "Handle%a*%s*%(%s*$",
    "@%w+%.%l+%s*%(%s*$",
  "^%s*location%s", "[fF]astify%.%l+%s*%(%s*$", "%f[%w]prefix%s*=%s*$",
  "source[\"']?%s*:%s*$", "%f[%w]Map%u%l+%s*%(%s*$", "%f[%w]route%s*%(%s*{[^{}]*path%s*:%s*$", "%f[%w]PathPrefix%s*%(%s*$",
  "@Path%s*%(%s*$",
  "route_?[kK]ey[\"']?%s*[:=]%s*[\"']?%u*%s*$" }
-- The same words, where they are what a client calls.
local CALLED <const> = { "@FeignClient", "@HttpExchange", "@RegisterRestClient" }
local DENIALS <const> = { "%.not%.", "assertnot", "assert_not", "refute", "not%s+in%f[%W]", "not_to", "to_not", "doesnot", "shouldnot" }

local function is_denied(line)
  for _, pattern in ipairs(DENIALS) do
    if line:lower():find(pattern) then return true end
  end
end

local function is_route(before)
  for _, pattern in ipairs(ROUTES) do
    if before:find(pattern) then return true end
  end
end

local VERBS <const> = { GET = true, POST = true, PUT = true, PATCH = true, DELETE = true }

-- Whether what follows is said to people: logger.info("…, throw new Error("….
local function is_said(before)
  local low = before:lower()
  return low:find("log[%w_]*[.:>%-]+%a+%s*%([^()]*$") ~= nil or low:find("error%s*%([^()]*$") ~= nil
    or low:find("exception%s*%([^()]*$") ~= nil or low:find("print%a*%s*%([^()]*$") ~= nil
end

-- Whether a path without a host can begin here: in quotes, after a verb, or bare in a format that has no quotes.
local function begins(s, place, bare)
  local c = place.before
  if c == "" or c:find("[\"'`>]") then return true end
  if place.base then return true end
  if not c:find("[%s=(,]") then return false end
  local start = math.max(1, place.first - 80)
  local line = s:sub(start, place.first - 1):match("[^\n]*$")
  local verb = line:match("(%u+)%s+$")
  if verb and VERBS[verb] then
    -- "GET /crm/v3/owners" is a call, "GET /crm/v3/owners failed" a message.
    local quote = line:match("([\"'`])%u+%s+$")
    return not quote or not is_said(line) and s:find("^\1?[" .. quote .. "?+]", place.last + 1) ~= nil
  end
  return bare and (line:find("^%s*$") or line:find("[=:]%s*$") or line:find("^%s*%-%s+$")) ~= nil
end

local BARE <const> = { yaml = true, yml = true, properties = true, ini = true, cfg = true, conf = true, env = true, sh = true,
  http = true, rest = true,
  toml = true, bash = true, tf = true }

-- Another host's URL before it on its line: nock("https://api.x.io").get("/contacts/v1").
local function names_another_host(s, place)
  local line = s:sub(math.max(1, place.first - 300), place.first - 1):match("[^\n]*$")
  local host = line:match(".*https?:\1?/\1?/([%w.%-]+)")
  return host ~= nil and not is_api_host(host)
end

-- Whether the text describes a service of another host: OpenAPI's servers.
local function serves_itself(s)
  if not s:find("openapi[\"']?%s*:") and not s:find("swagger[\"']?%s*:") then return false end
  local from = s:find("%f[%w]servers[\"']?%s*:")
  local other = false
  for host in s:sub(from or 1, from and from + 1000 or 0):gmatch("url[\"']?%s*:%s*[\"']?https?://([%w.%-]+)") do
    if is_api_host(host) then return false end
    other = true
  end
  return other
end

-- Bases with an API's name but no version: "https://api.hubapi.com/crm".
local function roots_of(constants)
  local roots = {}
  for _, value in pairs(constants) do
    local host, path = (value or ""):match("^https?://([^/]+)(/[%w%-/]+)$")
    if host and is_api_host(host) and not path:find("/v%d") then roots[#roots + 1] = { host = host, path = path } end
  end
  return roots
end

-- A path that begins with its version belongs to the root below which HubSpot has such a call.
local function under_root(place, roots, constants)
  if place.base and constants[last_word(place.base) or ""] then return end
  for _, root in ipairs(roots) do
    local verdict = legacy.judge(root.path .. place.path)
    if verdict.sure then
      place.host, place.path = root.host, root.path .. place.path
      return
    end
  end
end

---@param s string the view
---@param extension string
---@param context boolean the file tells that it is about HubSpot
---@return migrate.place[] places
---@return integer[] mentions where a path is named but not used
---@return boolean elsewhere its bases are other vendors' alone
function paths.find(s, extension, context)
  local found, mentions = {}, {}
  local joins, beside = joins_of(extension), SIDE_BY_SIDE[extension] or false
  local constants, bases = paths.constants(s)
  local seen, roots = {}, roots_of(constants)
  local own, called = serves_itself(s), false
  for _, word in ipairs(CALLED) do called = called or s:find(word, 1, true) ~= nil end
  local function add(at, left, right, version)
    local place = assemble(s, left, right, version, joins, constants, beside)
    place.at = at
    place.path = normal(place.path)
    if seen[place.first] and not place.spread then return end
    local depth = 0
    for segment in place.path:gmatch("[^/]+") do
      depth = depth + 1
      if segment:find("^v[1-4]$") then break end
      if segment:find("^20%d%d%-%d%d") then return end
    end
    if depth > 5 then return end
    if not place.host and depth == 1 then under_root(place, roots, constants) end
    if place.host then
      if not is_api_host(place.host) then return end
      place.sure = true
      place.judged = true
    else
      if own then return end
      local word = place.base and (last_word(place.base) or "")
      local named = place.base and place.base:lower():find("hubspot") or place.base and place.base:lower():find("hubapi")
      local theirs = word and (constants[word] or word:lower():find("^our_") or word:lower():find("^own_")) -- another host's
      if theirs and not named then return end
      local verdict = legacy.judge(place.path)
      if not verdict.known then return end
      if not named then
        if not legacy.distinct(place.path) and not (context and (verdict.sure or place.path:find("^/crm/v[34]$"))) then return end
        if place.relative and not context then return end
      end
      local before = s:sub(math.max(1, place.first - 200), place.first - 1):match("[^\n]*$")
      if place.relative and is_module(before) or is_denied(before) then return end
      if not place.base and names_another_host(s, place) then return end
      if not context and bases.others and not bases.ours then return end
      place.unsure = bases.others and not named
      if not place.base and not called and is_route(before:gsub("[\"'`]$", "")) then return end
      if not begins(s, place, BARE[extension]) then
        mentions[#mentions + 1] = at
        return
      end
    end
    seen[place.first] = true
    found[#found + 1] = place
  end

  local at = 1
  while true do
    local from, to = s:find(VERSION, at)
    if not from then break end
    add(from + 1, from, to + 1, s:sub(from + 1, to))
    at = to + 1
  end
  -- A literal that begins with its version: of what it is joined to, or of a root.
  for quote, from, to in s:gmatch("()[\"'`]()v[1-4]%f[^%w_%-.]()") do
    local joined = s:sub(math.max(1, quote - 8), quote - 1):find("[+.~&>|]%s*$")
    if s:find("^/", to) or joined and s:find("^[\"'`]", to) then add(from, quote, to, s:sub(from, to - 1)) end
  end
  -- One whose version is a constant.
  for name, value in pairs(constants) do
    if value and value:find("^v[1-4]$") then
      local pos = 1
      while true do
        local from, to = s:find(name, pos, true)
        if not from then break end
        local left = s:sub(math.max(1, from - 12), from - 1)
        local inside = left:match("/[$#]?{+%s*[%w_.]*$")
        local bare = left:match("/%$$")
        if inside and s:find("^%s*}+", to + 1) then
          local _, close = s:find("^%s*}+", to + 1)
          add(from, from - #inside, close + 1, value)
        elseif bare and not s:find("^[%w_]", to + 1) then add(from, from - #bare, to + 1, value)
        else
          local gap = left:match("/\1?[\"'`]%s*[+.&]+%s*$")
          local _, close = s:find("^%s*[+.&]+%s*[\"'`]", to + 1)
          if gap and close then add(from, from - #gap, close + 1, value) end
        end
        pos = to + 1
      end
    end
  end
  paths.segments(s, context, bases.others, found)
  paths.based(s, extension, constants, joins, found)
  table.sort(found, function(a, b) return a.at < b.at end)
  return found, mentions, bases.others and not bases.ours
end

-- Between segments: a list's comma, an operator (/, Haskell's /:), the next call of a builder.
local BETWEEN <const> = { "%s*,%s*", "%s*/:?%s*", "%s*%)%s*%.%s*[%a_][%w_]*%s*%(%s*" }

-- Whose host stands before a list of segments: "ours", "others", or nil when the text does not tell.
local function listed_host(s, first)
  local before = s:sub(math.max(1, first - 300), first - 1)
  local listed = before:match("\"host\"%s*:%s*%[([^%]]*)%]%s*,%s*\"path\"%s*:%s*%[%s*$")
  if listed then return listed:find("hubapi", 1, true) and "ours" or not listed:find("{{", 1, true) and "others" or nil end
  for _, between in ipairs(BETWEEN) do
    local host = before:match("[\"'`]h?t?t?p?s?:?/?/?([%w%-]+%.[%w%-.]*%a)[^\"'`]*[\"'`]%)?" .. between .. "$")
    if host then return is_api_host(host) and "ours" or "others" end
  end
  return nil
end

---Whether paths found as if the text spoke of HubSpot tell that it does: several that nobody else has.
---@param found migrate.place[]
---@return boolean
function paths.speak(found)
  local n, seen = 0, {}
  for _, place in ipairs(found) do
    if n < 3 and not seen[place.path] and not place.base and legacy.distinct(place.path) and legacy.judge(place.path).sure then
      n, seen[place.path] = n + 1, true
    end
  end
  return n >= 3
end

---Paths as lists of segments: "path": ["crm", "v3", "objects"], ["crm", "v3"].join("/"), path.Join(base, "crm", "v3"),
---base.segment("crm").segment("v3"), base /: "crm" /: "v3".
---@param s string
---@param context boolean
---@param others boolean the text has other vendors' bases too
---@param found migrate.place[]
function paths.segments(s, context, others, found)
  if not context then return end
  for from, quote, at, version in s:gmatch("()([\"'])()(v[1-4])%2") do
    for _, between in ipairs(BETWEEN) do
      local list, first, last = { version }, from, at + 2
      local left = from - 1
      for _ = 1, 4 do
        local low = math.max(1, left - 120)
        local begin, segment = s:sub(low, left):match("()" .. quote .. "([%w%-]+)" .. quote .. between .. "$")
        if not begin then break end
        table.insert(list, 1, segment)
        left = low + begin - 2
        first = left + 1
      end
      if #list > 1 then
        local right = last + 1
        for _ = 1, 8 do
          local segment, stop = s:match("^" .. between .. quote .. "([^\"'%s]*)" .. quote .. "()", right)
          if not segment then break end
          list[#list + 1] = segment
          right = stop
        end
        local path = normal(table.concat(list, "/"))
        local verdict, whose = legacy.judge(path), listed_host(s, first)
        if (verdict.sure or legacy.distinct(path) or path:find("^/crm/v[34]$")) and whose ~= "others" then
          found[#found + 1] = { at = at, path = path, first = first, last = right, before = "", relative = false, sure = true,
            unsure = others and not whose,
            list = { from = first, to = right - 1, quote = quote } }
        end
        break
      end
    end
  end
end

---Uses of a constant that holds host, API and version: `${BASE}/objects/contacts`, BASE + "/objects".
---@param s string
---@param extension string
---@param constants table<string, string|false>
---@param joins string[]
---@param found migrate.place[]
function paths.based(s, extension, constants, joins, found)
  for name, value in pairs(constants) do
    local host, root = (value or ""):match("^https?://([^/]+)(/.*)$")
    if host and is_api_host(host) and root:find("/v[1-4]$") and not root:find("/v[1-4]/") then
      local pos = 1
      while true do
        local from, to = s:find("%f[%w_]" .. name .. "%f[^%w_]", pos)
        if not from then break end
        pos = to + 1
        local start
        local _, close = s:find("^%s*}+%f[/]", to + 1)
        if close then start = close + 1
        elseif s:find("^/[%a]", to + 1) and s:sub(from - 1, from - 1) == "$" then start = to + 1
        else
          local _, edge = s:find("^[%s\\]*", to + 1)
          for _, pattern in ipairs(joins) do
            local op = s:match("^" .. pattern, edge + 1)
            local _, stop = s:find("^[%s\\]*[fFrR$@]*[\"'`]", edge + 1 + #(op or ""))
            if op and stop then
              start = stop + 1
              break
            end
          end
        end
        if start then
          local after = on(s, start, joins, constants, SIDE_BY_SIDE[extension] or false)
          after = without_query(clean(after))
          if after:find("%w") then
            found[#found + 1] = { at = start, path = normal(root .. "/" .. after), host = host, first = from, last = start, before = "",
              relative = false,
              sure = true, based = name }
          end
        end
      end
    end
  end
end

return paths
