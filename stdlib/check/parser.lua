--- A Lua source as a tree, with every name bound to its variable. Light: it takes what Lua takes, and leaves the
--- judgement of mistakes to Lua's own compiler, which reads a script first.
---
--- Expressions  { tag = "name", name, var|nil } (no var: a global), index { obj, key }, call { fn, args },
---   method { obj, name, args }, ["function"] { params, body, vararg, self|nil }, table { items = { { key|nil, value } } },
---   string { value }, number { value }, constant { word }, vararg, binary { op, a, b }, unary { op, a }
--- Statements   ["local"] { vars, exprs }, assign { targets, exprs }, call { call }, block { bodies, conds, loop = true|"repeat"|nil },
---   fornum { exprs, body }, forin { vars, exprs, body }, ["return"] { exprs }, ["break"], ["goto"]
--- Each has line and col. A variable is { name =, line = }.
local lexer = require "check.lexer"

local parser = {}

-- Left and right priority of the binary operators (Lua 5.4 manual, 3.4.8).
local BINARY = { ["or"] = { 1, 1 }, ["and"] = { 2, 2 }, ["<"] = { 3, 3 }, [">"] = { 3, 3 }, ["<="] = { 3, 3 }, [">="] = { 3, 3 },
  ["~="] = { 3, 3 }, ["=="] = { 3, 3 }, ["|"] = { 4, 4 }, ["~"] = { 5, 5 }, ["&"] = { 6, 6 }, ["<<"] = { 7, 7 }, [">>"] = { 7, 7 },
  [".."] = { 9, 8 }, ["+"] = { 10, 10 }, ["-"] = { 10, 10 }, ["*"] = { 11, 11 }, ["/"] = { 11, 11 }, ["//"] = { 11, 11 },
  ["%"] = { 11, 11 }, ["^"] = { 14, 13 } }
local UNARY = { ["not"] = true, ["-"] = true, ["#"] = true, ["~"] = true }
local UNARY_PRIORITY = 12
local BLOCK_ENDS = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }
local DEEPEST = 180          -- nested expressions and blocks; Lua's own limit is 200

---@param source string
---@return table tree a function node: the chunk
---@return check.comment[]
function parser.parse(source)
  local tokens, comments = lexer.tokens(source)
  local at, depth = 1, 0
  local scope
  local expression, block

  local function fail(message) error({ line = tokens[at].line, message = message }, 0) end
  local function kind() return tokens[at].kind end
  local function node(tag, fields, token) -- token: its first, or the one it is named by
    token = token or tokens[at]
    fields.tag, fields.line, fields.col = tag, token.line, token.col
    return fields
  end
  local function accept(want)
    if kind() ~= want then return nil end
    at = at + 1
    return tokens[at - 1]
  end
  local function expect(want) return accept(want) or fail(("%q expected"):format(want)) end
  local function deeper()
    depth = depth + 1
    if depth > DEEPEST then fail("too deeply nested") end
  end

  local function open() scope = { up = scope, names = {} } end
  local function close() scope = scope.up end
  local function declare(name, line)
    local var = { name = name, line = line }
    scope.names[name] = var
    return var
  end
  local function find(name)
    local s = scope
    while s do
      if s.names[name] then return s.names[name] end
      s = s.up
    end
  end

  local function expressions()
    local list = { expression(0) }
    while accept(",") do list[#list + 1] = expression(0) end
    return list
  end

  -- After "function NAME"; is_method adds self.
  local function body_of(first, is_method)
    local f = node("function", { params = {} }, first)
    deeper()
    open()
    if is_method then
      f.self = declare("self", first.line)
      f.params[1] = f.self
    end
    expect("(")
    if not accept(")") then
      repeat
        if accept("...") then
          f.vararg = { name = "...", line = first.line }
          break
        end
        local token = expect("name")
        f.params[#f.params + 1] = declare(token.value, token.line)
      until not accept(",")
      expect(")")
    end
    f.body = block()
    expect("end")
    close()
    depth = depth - 1
    return f
  end

  local function table_constructor()
    local t = node("table", { items = {} })
    expect("{")
    while kind() ~= "}" do
      local key
      if kind() == "[" then
        at = at + 1
        key = expression(0)
        expect("]")
        expect("=")
      elseif kind() == "name" and tokens[at + 1].kind == "=" then
        key = node("string", { value = tokens[at].value })
        at = at + 2
      end
      t.items[#t.items + 1] = { key = key, value = expression(0) }
      if not accept(",") and not accept(";") then break end
    end
    expect("}")
    return t
  end

  local function arguments()
    local token = tokens[at]
    if accept("string") then return { node("string", { value = token.value }, token) } end
    if kind() == "{" then return { table_constructor() } end
    expect("(")
    if accept(")") then return {} end
    local list = expressions()
    expect(")")
    return list
  end

  local function suffixed()
    local token = tokens[at]
    local e
    if accept("(") then
      e = node("paren", { a = expression(0) }, token)
      expect(")")
    else
      expect("name")
      e = node("name", { name = token.value, var = find(token.value) }, token)
    end
    while true do
      local sign = tokens[at]
      if accept(".") then
        local name = expect("name")
        e = node("index", { obj = e, key = node("string", { value = name.value }, name) }, name)
      elseif accept("[") then
        local key = expression(0)
        expect("]")
        e = node("index", { obj = e, key = key }, sign)
      elseif accept(":") then
        local name = expect("name")
        e = node("method", { obj = e, name = name.value, args = arguments() }, name)
      elseif kind() == "(" or kind() == "string" or kind() == "{" then
        e = node("call", { fn = e, args = arguments() }, sign)
      else
        return e
      end
    end
  end

  local function simple()
    local token = tokens[at]
    if accept("string") then return node("string", { value = token.value }, token) end
    if accept("number") then return node("number", { value = token.value }, token) end
    if accept("nil") or accept("true") or accept("false") then return node("constant", { word = token.kind }, token) end
    if accept("...") then return node("vararg", {}, token) end
    if kind() == "{" then return table_constructor() end
    if accept("function") then return body_of(token, false) end
    return suffixed()
  end

  expression = function(limit)
    deeper()
    local token = tokens[at]
    local left
    if UNARY[token.kind] then
      at = at + 1
      left = node("unary", { op = token.kind, a = expression(UNARY_PRIORITY) }, token)
    else
      left = simple()
    end
    while BINARY[kind()] and BINARY[kind()][1] > limit do
      local op = tokens[at]
      at = at + 1
      left = node("binary", { op = op.kind, a = left, b = expression(BINARY[op.kind][2]) }, op)
    end
    depth = depth - 1
    return left
  end

  local function scoped_block()
    open()
    local b = block()
    close()
    return b
  end

  local function for_statement(first)
    local names = { expect("name") }
    local s
    if accept("=") then
      s = node("fornum", { exprs = expressions() }, first)
    else
      while accept(",") do names[#names + 1] = expect("name") end
      expect("in")
      s = node("forin", { exprs = expressions(), vars = {} }, first)
    end
    expect("do")
    open()
    for i, name in ipairs(names) do
      local var = declare(name.value, name.line)
      if s.vars then s.vars[i] = var end
    end
    s.body = block()
    close()
    expect("end")
    return s
  end

  local function if_statement(first)
    local s = node("block", { bodies = {}, conds = {} }, first)
    repeat
      s.conds[#s.conds + 1] = expression(0)
      expect("then")
      s.bodies[#s.bodies + 1] = scoped_block()
    until not accept("elseif")
    if accept("else") then s.bodies[#s.bodies + 1] = scoped_block() end
    expect("end")
    return s
  end

  local function local_statement(first)
    if accept("function") then
      local name = expect("name")
      local var = declare(name.value, name.line)
      return node("local", { vars = { var }, exprs = { body_of(first, false) } }, first)
    end
    local names = {}
    repeat
      names[#names + 1] = expect("name")
      if accept("<") then
        expect("name")
        expect(">")
      end
    until not accept(",")
    local s = node("local", { vars = {}, exprs = accept("=") and expressions() or {} }, first)
    for i, name in ipairs(names) do s.vars[i] = declare(name.value, name.line) end
    return s
  end

  local function function_statement(first)
    local token = expect("name")
    local target = node("name", { name = token.value, var = find(token.value) }, first)
    local is_method = false
    while kind() == "." or kind() == ":" do
      is_method = kind() == ":"
      at = at + 1
      local name = expect("name")
      target = node("index", { obj = target, key = node("string", { value = name.value }, name) }, first)
      if is_method then break end
    end
    return node("assign", { targets = { target }, exprs = { body_of(first, is_method) } }, first)
  end

  local function statement()
    local first = tokens[at]
    if accept(";") then return nil end
    if accept("break") then return node("break", {}, first) end
    if accept("if") then return if_statement(first) end
    if accept("for") then return for_statement(first) end
    if accept("local") then return local_statement(first) end
    if accept("function") then return function_statement(first) end
    if accept("goto") then
      expect("name")
      return node("goto", {}, first)
    end
    if accept("::") then
      expect("name")
      expect("::")
      return nil
    end
    if accept("do") then
      local s = node("block", { bodies = { scoped_block() }, conds = {} }, first)
      expect("end")
      return s
    end
    if accept("while") then
      local s = node("block", { conds = { expression(0) }, loop = true }, first)
      expect("do")
      s.bodies = { scoped_block() }
      expect("end")
      return s
    end
    if accept("repeat") then
      open() -- the condition sees the body's locals
      local s = node("block", { bodies = { block() }, loop = "repeat" }, first)
      expect("until")
      s.conds = { expression(0) }
      close()
      return s
    end
    local e = suffixed()
    if kind() == "=" or kind() == "," then
      local targets = { e }
      while accept(",") do targets[#targets + 1] = suffixed() end
      expect("=")
      return node("assign", { targets = targets, exprs = expressions() }, first)
    end
    if e.tag ~= "call" and e.tag ~= "method" then fail("syntax error") end
    return node("call", { call = e }, first)
  end

  block = function()
    local list = {}
    deeper()
    while not BLOCK_ENDS[kind()] and kind() ~= "eof" do
      local first = tokens[at]
      if accept("return") then
        local s = node("return", { exprs = {} }, first)
        if not BLOCK_ENDS[kind()] and kind() ~= "eof" and kind() ~= ";" then s.exprs = expressions() end
        accept(";")
        list[#list + 1] = s
        break
      end
      list[#list + 1] = statement()
    end
    depth = depth - 1
    return list
  end

  open()
  local chunk = node("function", { params = {}, vararg = { name = "...", line = 1 } })
  chunk.body = block()
  if kind() ~= "eof" then fail(("unexpected %q"):format(tokens[at].value or tokens[at].kind)) end
  return chunk, comments
end

return parser
