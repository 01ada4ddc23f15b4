--- A file as `hubloop migrate` reads it: its encoding, its lines, and what in it is a comment.
local text = {}

local CODE <const> = { js = "c", ts = "c", jsx = "c", tsx = "c", mjs = "c", cjs = "c", vue = "c", svelte = "c", java = "c", kt = "c",
  kts = "c",
  scala = "c", go = "c", c = "c", h = "c", cc = "c", cpp = "c", hpp = "c", cs = "c", swift = "c", dart = "c", rs = "c", php = "c#",
  phtml = "c#", inc = "c#", groovy = "c", gradle = "c", jsonc = "c", json5 = "c", fs = "c", m = "c", mm = "c", gs = "c", apex = "c",
    cls = "c",
  trigger = "c", bal = "c", zig = "c", sol = "c", html = "x", htm = "x", xml = "x", py = "#", rb = "#", sh = "#", bash = "#", zsh = "#",
  fish = "#", pl = "#", pm = "#", t = "#", r = "#", jl = "#", yaml = "#", yml = "#", toml = "#", ex = "#", exs = "#", cr = "#", nim = "#",
  ps1 = "#", psm1 = "#", tf = "#", properties = "#", conf = "#", env = "#", ini = "#;", cfg = "#;", http = "#", rest = "#", rake = "#",
  sql = "-", lua = "-", hs = "-", elm = "-", clj = ";", cljs = ";", lisp = ";", el = ";", erl = "%", hrl = "%", vb = "'", bas = "'",
  vbs = "'", frm = "'", coffee = "#", graphql = "#" }
local PROSE <const> = { md = true, markdown = true, rst = true, txt = true, adoc = true, mdx = true, org = true }

---The name's last part after a dot, in small letters: "js"; ".env.local" is "env", "Dockerfile" and its like "sh".
---@param name string
---@return string
function text.extension(name)
  local base = name:match("[^/]*$"):lower()
  if base:find("^%.?env$") or base:find("^%.env%.") or base:find("%.env$") then return "env" end
  if base:find("^dockerfile") or base:find("^makefile") or base:find("^jenkinsfile") or base:find("^procfile") or base:find("^gemfile")
    or base:find("^rakefile") then
    return "sh"
  end
  return base:match("%.([%w]+)$") or ""
end

---@param name string
function text.is_prose(name) return PROSE[text.extension(name)] ~= nil and not name:find("requirements[^/]*%.txt$") end


-- Two bytes as a character; halves of a pair are kept as they are, so that the way back is exact.
local function wide(little)
  return setmetatable({}, { __index = function(t, pair)
    local a, b = pair:byte(1, 2)
    local char = utf8.char(little and a | b << 8 or a << 8 | b)
    t[pair] = char
    return char
  end })
end

---@param bytes string
---@return string|nil s nil: no text
---@return string encoding "bytes", "utf-16le" or "utf-16be"
function text.decode(bytes)
  local mark = bytes:sub(1, 2)
  local little = mark == "\xff\xfe"
  if not little and mark ~= "\xfe\xff" then
    if not bytes:sub(1, 8192):find("\0", 1, true) then return bytes, "bytes" end
    -- Letters with NULs between them: UTF-16 that does not say so.
    local head = bytes:sub(1, 512)
    local _, low = head:gsub("[\t\r\n -~]%z", "")
    local _, high = head:gsub("%z[\t\r\n -~]", "")
    if #bytes % 2 ~= 0 or math.max(low, high) * 2 < #head * 0.9 then return nil, "bytes" end
    little = bytes:find("^[^%z]%z") ~= nil
  end
  if #bytes % 2 ~= 0 then return nil, "bytes" end
  return (bytes:gsub("..", wide(little))), little and "utf-16le" or "utf-16be"
end

---@param s string
---@param encoding string
---@return string
function text.encode(s, encoding)
  if encoding == "bytes" then return s end
  local little = encoding == "utf-16le"
  local unit_of = {}
  return (s:gsub("[%z\1-\x7f\xc2-\xfd][\x80-\xbf]*", function(char)
    local pair = unit_of[char]
    if not pair then
      local code = utf8.codepoint(char, 1, 1, true)
      pair = little and string.char(code & 255, code >> 8) or string.char(code >> 8, code & 255)
      unit_of[char] = pair
    end
    return pair
  end))
end

---Where lines begin.
---@param s string
---@return integer[]
function text.lines(s)
  local starts, at = { 1 }, 0
  while true do
    at = s:find("\n", at + 1, true)
    if not at then return starts end
    starts[#starts + 1] = at + 1
  end
end

---@param starts integer[]
---@param at integer
---@return integer
function text.line_of(starts, at)
  local low, high = 1, #starts
  while low < high do
    local mid = (low + high + 1) // 2
    if starts[mid] <= at then low = mid else high = mid - 1 end
  end
  return low
end

-- Where a comment to the line's end begins in `line`, or nil. Strings that do not end on the line are none.
local function line_comment(line, kind)
  local at = 1
  while true do
    local found = line:find("[\"'`/#;%%%-]", at)
    if not found then return nil end
    local c = line:sub(found, found)
    local two = line:sub(found, found + 1)
    if (c == '"' or c == "`" or (c == "'" and not kind:find("'", 1, true))) then
      local close = line:find("[\\" .. c .. "]", found + 1)
      while close and line:sub(close, close) == "\\" do close = line:find("[\\" .. c .. "]", close + 2) end
      at = close and close + 1 or found + 1
    elseif c == "'" then return found
    elseif two == "//" and kind:find("c", 1, true) and line:sub(found - 1, found - 1) ~= ":" then return found
    elseif c == "#" and kind:find("#", 1, true) and (found == 1 or line:find("^%s", found - 1)) then return found
    elseif c == ";" and kind:find(";", 1, true) and (found == 1 or line:find("^%s", found - 1)) then return found
    elseif two == "--" and kind:find("-", 1, true) then return found
    elseif c == "%" and kind:find("%", 1, true) and (found == 1 or line:find("^%s", found - 1)) then return found
    else at = found + (two == "//" and 2 or 1) end
  end
end

local BLOCKS <const> = { c = { { "/*", "*/" } }, x = { { "<!--", "-->" } }, ["-"] = { { "--[[", "]]" }, { "/*", "*/" } } }

---A function that tells whether the byte at a position belongs to a comment.
---@param s string
---@param name string
---@param starts integer[]
---@return fun(at: integer): boolean
function text.comments(s, name, starts)
  local kind = CODE[text.extension(name)]
  if not kind then return function() return false end end
  local function line_at(n) return s:sub(starts[n], (starts[n + 1] or #s + 2) - 1) end
  local begins = {} -- by line: where its comment begins; false: it has none
  local function on_its_line(at)
    local n = text.line_of(starts, at)
    if begins[n] == nil then
      local line = line_at(n)
      local from = #line < 20000 and line_comment(line, kind) -- a longer one is machine-made
      begins[n] = from and starts[n] + from - 1
    end
    return begins[n] and begins[n] <= at
  end
  local function quoted(at) -- on its line, before `at`
    local n = text.line_of(starts, at)
    local before = s:sub(math.max(starts[n], at - 2000), at - 1)
    for _, quote in ipairs { '"', "'", "`" } do
      local _, count = before:gsub("\\.", ""):gsub(quote, "")
      if count % 2 == 1 then return true end
    end
    return false
  end
  local ranges = {}
  local function add(open, close)
    local at = 1
    while true do
      local from, to = s:find(open, at, true)
      if not from then return end
      if on_its_line(from) or quoted(from) then at = to + 1
      else
        local _, last = s:find(close, to + 1, true)
        last = last or #s
        ranges[#ranges + 1] = { from, last }
        at = last + 1
      end
    end
  end
  for one in kind:gmatch(".") do
    for _, block in ipairs(BLOCKS[one] or {}) do add(block[1], block[2]) end
  end
  if kind == "c" and name:find("%.vue$") or name:find("%.svelte$") then add("<!--", "-->") end
  if name:find("%.py$") then
    for _, mark in ipairs { '"""', "'''" } do
      local at = 1
      while true do
        local from, to = s:find(mark, at, true)
        if not from then break end
        local _, last = s:find(mark, to + 1, true)
        last = last or #s
        -- A text that is a statement of its own says something to people.
        local before = starts[text.line_of(starts, from)]
        if from - before < 200 and s:sub(before, from - 1):find("^%s*[rRuU]?$") then ranges[#ranges + 1] = { from, last } end
        at = last + 1
      end
    end
  elseif name:find("%.rb$") then add("\n=begin", "\n=end")
  end
  table.sort(ranges, function(a, b) return a[1] < b[1] end)
  local opens, ends = {}, {}
  for _, range in ipairs(ranges) do
    if #ends > 0 and range[1] <= ends[#ends] then ends[#ends] = math.max(ends[#ends], range[2])
    else opens[#opens + 1], ends[#ends + 1] = range[1], range[2] end
  end
  return function(at)
    local n = #opens > 0 and text.line_of(opens, at)
    return n and opens[n] <= at and at <= ends[n] or on_its_line(at)
  end
end

---Of prose (Markdown and its like): whether the byte stands where people copy from: fenced code, or a line with a command.
---@param s string
---@param starts integer[]
---@return fun(at: integer): boolean
function text.shown(s, starts)
  local fenced, open = {}, false
  for n, from in ipairs(starts) do
    if s:find("^[ \t]*```", from) or s:find("^[ \t]*~~~", from) then
      open = not open
    end
    fenced[n] = open
  end
  return function(at)
    local n = text.line_of(starts, at)
    local before = s:sub(starts[n], at)
    return fenced[n] or before:find("%f[%w]curl%s") ~= nil or before:find("%f[%w]wget%s") ~= nil
      or before:find("^%s*%u+ https?://") ~= nil
  end
end

return text
