--- Lua's words: a source text as a list of tokens, and its comments. What does not belong to the language raises { line=, message= }.
--- For stdlib/check/parser.lua.
local lexer = {}

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
  until while]]):gmatch("%S+") do KEYWORDS[word] = true end

local ESCAPES = { a = "\a", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", v = "\v", ["\\"] = "\\", ['"'] = '"', ["'"] = "'",
  ["\n"] = "\n", ["\r"] = "\n" }
local THREE = { ["..."] = true }
local TWO = { ["=="] = true, ["~="] = true, ["<="] = true, [">="] = true, ["//"] = true, ["::"] = true, ["<<"] = true,
  [">>"] = true, [".."] = true }

---@class check.token
---@field kind "name"|"string"|"number"|"eof" or the keyword or sign itself
---@field value string|nil of names, strings and numbers
---@field line integer
---@field col integer

---@class check.comment
---@field line integer
---@field text string
---@field alone boolean nothing else is on its line

local function fail(line, message) error({ line = line, message = message }, 0) end

-- The text between [==[ and ]==] that begins at `at`, and where it ends; nil when none begins there.
local function long_text(source, at, line)
  local equals = source:match("^%[(=*)%[", at)
  if not equals then return nil end
  local from = at + #equals + 2
  local close = source:find("]" .. equals .. "]", from, true)
  if not close then fail(line, "a long string or comment is not closed") end
  if source:sub(from, from) == "\n" then from = from + 1
  elseif source:sub(from, from + 1) == "\r\n" then from = from + 2 end
  return source:sub(from, close - 1), close + #equals + 2
end

local function short_text(source, at, line)
  local quote, parts = source:sub(at, at), {}
  at = at + 1
  while true do
    local stop = source:find("[\"'\\\n]", at)
    if not stop then fail(line, "a string is not closed") end
    parts[#parts + 1] = source:sub(at, stop - 1)
    local c = source:sub(stop, stop)
    at = stop + 1
    if c == quote then return table.concat(parts), at end
    if c == "\n" then fail(line, "a string is not closed") end
    if c ~= "\\" then
      parts[#parts + 1] = c
    else
      local e = source:sub(at, at)
      at = at + 1
      if ESCAPES[e] then
        parts[#parts + 1] = ESCAPES[e]
        if e == "\r" and source:sub(at, at) == "\n" then at = at + 1 end
      elseif e == "x" then
        local hex = source:match("^%x%x", at) or fail(line, "a \\x needs two hexadecimal digits")
        parts[#parts + 1], at = string.char(tonumber(hex, 16)), at + 2
      elseif e == "u" then
        local hex = source:match("^{(%x+)}", at) or fail(line, "a \\u needs {hexadecimal digits}")
        parts[#parts + 1], at = utf8.char(tonumber(hex, 16)), at + #hex + 2
      elseif e == "z" then
        at = at + #source:match("^%s*", at)
      else
        local digits = source:match("^%d%d?%d?", at - 1) or fail(line, "an escape that Lua does not have")
        parts[#parts + 1], at = string.char(tonumber(digits) % 256), at - 1 + #digits
      end
    end
  end
end

---@param source string
---@return check.token[]
---@return check.comment[]
function lexer.tokens(source)
  local out, comments, at, line = {}, {}, 1, 1
  local from, token_at, token_line = 1, 1, 1 -- where the line begins; where the token does
  local function pass(text, stop) -- lines of a text that ends before `stop`
    local n = select(2, text:gsub("\n", ""))
    if n > 0 then line, from = line + n, stop - #text:match("[^\n]*$") end
    at = stop
  end
  local function push(kind, value) out[#out + 1] = { kind = kind, value = value, line = token_line, col = token_at - from + 1 } end
  while true do
    local blank = source:match("^%s*", at)
    pass(blank, at + #blank)
    token_at, token_line = at, line
    if at > #source then break end
    local c = source:sub(at, at)
    if source:find("^%-%-", at) then
      local text, stop = long_text(source, at + 2, line)
      stop = stop or source:find("\n", at, true) or #source + 1
      comments[#comments + 1] = { line = line, text = text or source:sub(at + 2, stop - 1),
        alone = not source:sub(from, at - 1):find("%S") }
      pass(source:sub(at, stop - 1), stop)
    elseif c:find("[%a_]") then
      local word = source:match("^[%w_]+", at)
      if KEYWORDS[word] then push(word) else push("name", word) end
      at = at + #word
    elseif c:find("%d") or source:find("^%.%d", at) then
      local number = source:match("^0[xX][%x.]*[pP]?[+-]?%x*", at) or source:match("^[%d.]+[eE][+-]?%d+", at)
        or source:match("^[%d.]+", at)
      push("number", number)
      at = at + #number
    elseif c == '"' or c == "'" then
      local text, stop = short_text(source, at, line)
      push("string", text)
      pass(source:sub(at, stop - 1), stop)
    else
      local text, stop = long_text(source, at, line)
      if text then
        push("string", text)
        pass(source:sub(at, stop - 1), stop)
      else
        local sign = source:sub(at, at + 2)
        if not THREE[sign] then sign = sign:sub(1, 2) end
        if not THREE[sign] and not TWO[sign] then sign = c end
        if not sign:find("^[%^+%-*/%%&~|#<>=(){}%[%];:,.]") then fail(line, ("unexpected %q"):format(c)) end
        push(sign)
        at = at + #sign
      end
    end
  end
  push("eof")
  return out, comments
end

return lexer
