--- What values reach which place of a script, without running it: strings, tables, functions, and the parts of the
--- hubspot module. Which HubSpot calls it can make follows from that.
---
--- Each variable, field and expression holds the set of the values that it may have, whatever the order of execution.
--- The whole is gone over until no set grows; then once more, and what the script asks of HubSpot is written down. A text
--- has a HOLE where a part of it is not known; UNKNOWN is any value that cannot be followed. A value of the kind
--- "unsteady" (the api makes them: a clock, a random number) goes along with what is made of it. MIXED says of a field
--- that which of its values it has goes together with something else: for k, v in pairs(a) do b[k] = v end.
local parser = require "check.parser"

local flow = {}

local HOLE <const> = "\0"
local UNKNOWN <const> = { kind = "unknown" }
local MIXED <const> = { kind = "mixed" }
local MOST <const> = 64      -- texts of one set; more are UNKNOWN. Other values are as many as the script writes
local PASSES <const> = 300   -- sets are bounded, so that far fewer do
flow.HOLE, flow.UNKNOWN, flow.MIXED = HOLE, UNKNOWN, MIXED

---@class check.set
---@field list table[] values: { kind = "string", text = }, "table", "function", "builtin", "unknown", or the API's own
---@field has table<table, true>
---@field texts integer|nil how many of them are
---@field passing boolean|nil

local function new_set() return { list = {}, has = {} } end

-- Of one step only: that it fills says nothing about growth.
local function passing_set() return { list = {}, has = {}, passing = true } end

---@class check.program
---@field api table what stands for the hubspot module: index(), call(), event(), module(); and may have library(name), member(),
---   unknown(), registered(), finish()
---@field read fun(name: string): string|nil, string|nil text and path of a module of the project
---@field file string the file that is being gone over
---@field recording boolean the last time
---@field holes boolean what is still without a value will stay so
local Program = {}
Program.__index = Program

function Program:add(set, value)
  if set.has[value] then return end
  if value.kind == "string" then
    set.texts = (set.texts or 0) + 1
    if set.texts > MOST then return self:add(set, UNKNOWN) end
  end
  set.has[value] = true
  set.list[#set.list + 1] = value
  if not set.passing then self.changed = true end
end

function Program:add_all(set, other)
  if not other or other == set then return end
  for i = 1, #other.list do self:add(set, other.list[i]) end
end

---What of `other` differs from run to run.
function Program:carry(set, other)
  for _, value in ipairs(other and other.list or {}) do
    if value.kind == "unsteady" then self:add(set, value) end
  end
end

function Program:text(text)
  local value = self.texts[text]
  if not value then
    value = { kind = "string", text = text }
    self.texts[text] = value
  end
  return value
end

---The texts of a set; `unknown` when it may have another value too.
---@param set check.set|nil
---@return string[] texts
---@return boolean unknown
function Program:texts_of(set)
  local texts, unknown = {}, false
  for _, value in ipairs(set and set.list or {}) do
    if value.kind == "string" then texts[#texts + 1] = value.text
    elseif value ~= MIXED then unknown = true end
  end
  if #texts == 0 and self.holes then unknown = true end
  return texts, unknown
end

-- The texts, with HOLE for what is not known.
local function pieces(self, set)
  local texts, unknown = self:texts_of(set)
  if unknown then texts[#texts + 1] = HOLE end
  return texts
end

local function out_of(node)
  local set = node.out
  if not set then
    set = new_set()
    node.out = set
  end
  return set
end

local function var_set(var)
  local set = var.set
  if not set then
    set = new_set()
    var.set = set
  end
  return set
end

local function field_set(t, key)
  local set = t.fields[key]
  if not set then
    set = new_set()
    t.fields[key] = set
  end
  return set
end

local function new_table() return { kind = "table", fields = {}, items = new_set(), any = new_set(), meta = new_set() } end

---------------------------------------------------------------------------------------------------- reading fields

local call_value

---Adds to `out` what base[key] may be.
---@param seen table<table, true>|nil tables behind which nothing more is to be found
function Program:index(base, keys, unknown_key, out, node, seen)
  if base.kind == "unknown" then
    self:add(out, UNKNOWN)
  elseif base.kind == "unsteady" then
    self:add(out, base)
  elseif base.kind == "library" then
    for _, key in ipairs(keys) do self:add(out, self.api.member(self, base, key, node)) end
    if unknown_key then self:add(out, UNKNOWN) end
  elseif base.kind == "table" then
    local found = false
    for _, key in ipairs(keys) do
      if base.fields[key] then
        self:add_all(out, base.fields[key])
        found = true
      end
    end
    self:add_all(out, base.any)
    if unknown_key or #keys == 0 then
      self:add_all(out, base.items)
      for _, set in pairs(base.fields) do self:add_all(out, set) end
    end
    if not found and #base.meta.list > 0 and not (seen and seen[base]) then
      seen = seen or {}
      seen[base] = true
      for _, meta in ipairs(base.meta.list) do
        if meta.kind ~= "table" then
          self:add(out, UNKNOWN)
        elseif meta.fields.__index then
          for _, behind in ipairs(meta.fields.__index.list) do
            if behind.kind == "function" then self:add_all(out, (call_value(self, behind, {}, node))[1])
            else self:index(behind, keys, unknown_key, out, node, seen) end
          end
        end
      end
    end
  elseif base.kind == "string" then
    for _, key in ipairs(keys) do
      if key == "format" then self:add(out, self.builtins.string_format) else self:add(out, UNKNOWN) end
    end
  elseif base.kind ~= "function" and base.kind ~= "builtin" and base.kind ~= "iterator" and base ~= MIXED then
    self.api.index(self, base, keys, unknown_key, out, node)
  end
end

---------------------------------------------------------------------------------------------------- functions that are known

local function format(self, texts, args, first)
  local out = passing_set()
  for _, text in ipairs(texts) do
    local results, n, too_many = { "" }, first, false
    local rest = text
    while true do
      local before, spec, after = rest:match("^([^%%]*)(%%%%)(.*)$")
      if not before then before, spec, after = rest:match("^([^%%]*)(%%[%d.%-+ #]*%a)(.*)$") end
      if not before then break end
      local choices = spec == "%%" and { "%" } or (spec == "%s" or spec == "%d") and pieces(self, args[n]) or { HOLE }
      if spec ~= "%%" then n = n + 1 end
      local grown = {}
      for _, head in ipairs(results) do
        for _, choice in ipairs(choices) do
          if #grown < MOST then grown[#grown + 1] = head .. before .. choice else too_many = true end
        end
      end
      results, rest = grown, after
    end
    for _, head in ipairs(results) do self:add(out, self:text(head .. rest)) end
    if too_many then self:add(out, UNKNOWN) end
  end
  for i = first, #args do self:carry(out, args[i]) end
  return { out }
end

local function tail(args, from) return table.move(args, from, #args, 1, {}) end

local function elements(self, set)
  local out = passing_set()
  for _, value in ipairs(set and set.list or {}) do
    if value.kind == "table" then
      self:add_all(out, value.items)
      self:add_all(out, value.any)
      for _, field in pairs(value.fields) do self:add_all(out, field) end
    elseif value ~= MIXED then
      self:add(out, UNKNOWN)
    end
  end
  return out
end

local function keys_of(self, set)
  local out = passing_set()
  for _, value in ipairs(set and set.list or {}) do
    if value ~= MIXED and (value.kind ~= "table" or #value.any.list > 0) then self:add(out, UNKNOWN) end
    for key in pairs(value.fields or {}) do self:add(out, self:text(key)) end
  end
  return out
end

local function call_set(self, set, args, node)
  local results = {}
  for _, value in ipairs(set and set.list or {}) do
    for i, result in ipairs(call_value(self, value, args, node)) do
      results[i] = results[i] or passing_set()
      self:add_all(results[i], result)
    end
  end
  return results
end

local Known = {}

function Known.require(self, args, node)
  local out = passing_set()
  for _, name in ipairs((self:texts_of(args[1]))) do self:add_all(out, self:module(name, node)) end
  return { out }
end

function Known.setmetatable(self, args)
  for _, value in ipairs(args[1] and args[1].list or {}) do
    if value.kind == "table" then self:add_all(value.meta, args[2]) end
  end
  return { args[1] }
end

function Known.pcall(self, args, node)
  return { passing_set(), table.unpack(call_set(self, args[1], tail(args, 2), node)) }
end

function Known.xpcall(self, args, node)
  call_set(self, args[2], {}, node)
  return { passing_set(), table.unpack(call_set(self, args[1], tail(args, 3), node)) }
end

-- What a for loop goes over.
local function iterator(self, args, node, with_keys)
  node.iterator = node.iterator or { kind = "iterator", keys = new_set(), values = new_set() }
  self:add_all(node.iterator.values, elements(self, args[1]))
  if with_keys then self:add_all(node.iterator.keys, keys_of(self, args[1])) end
  local out = passing_set()
  self:add(out, node.iterator)
  return { out }
end

function Known.ipairs(self, args, node) return iterator(self, args, node, false) end
function Known.pairs(self, args, node) return iterator(self, args, node, true) end
function Known.harmless() return {} end
function Known.assert(_, args) return args end
function Known.tostring(_, args) return { args[1] } end
function Known.string_format(self, args) return format(self, pieces(self, args[1]), args, 2) end

-- What a step gives is the same in each run.
function Known.step(self, args, node)
  local results = {}
  for i, set in ipairs(call_set(self, args[2], {}, node)) do
    results[i] = passing_set()
    for _, value in ipairs(set.list) do
      if value.kind ~= "unsteady" then self:add(results[i], value) end
    end
  end
  return results
end

-- The function that comes last runs later.
local function registration(name)
  return function(self, args, node)
    if self.recording and self.api.registered then self.api.registered(self, name, args, node) end
    call_set(self, args[#args], { passing_set() }, node)
    return {}
  end
end
Known.every, Known.cron, Known.serve = registration "every", registration "cron", registration "serve"
local register_on = registration "on"

function Known.on(self, args, node)
  if self.recording then
    local texts, unknown = self:texts_of(args[1])
    local object_types = {}   -- option object_type, where the options are written out
    for _, value in ipairs(args[3] and args[2].list or {}) do
      local given = value.kind == "table" and value.fields.object_type
      if given then table.move(self:texts_of(given), 1, 64, #object_types + 1, object_types) end
    end
    for _, text in ipairs(texts) do self.api.event(self, text, node, object_types) end
    if unknown then self:cannot_tell(node, 'on(…): the type of the event is not written out') end
  end
  return register_on(self, args, node)
end

local function unknown_result(self)
  local out = passing_set()
  self:add(out, UNKNOWN)
  return { out }
end

local function sending(name)
  return function(self, args, node)
    if self.recording and self.api.registered then self.api.registered(self, name, args, node) end
    return unknown_result(self)
  end
end
Known.emit, Known.after, Known.wait = sending "emit", sending "after", sending "wait"

function Known.task_spawn(self, args, node)
  call_set(self, args[1], tail(args, 2), node)
  return {}
end

function Known.task_timeout(self, args, node) return call_set(self, args[2], tail(args, 3), node) end

function Known.task_map(self, args, node)
  call_set(self, args[2], { elements(self, args[1]) }, node)
  return {}
end

function Known.task_all(self, args, node)
  call_set(self, elements(self, args[1]), {}, node)
  return {}
end

-- Global names, and fields of global tables.
local GLOBALS = { require = "require", setmetatable = "setmetatable", pcall = "pcall", xpcall = "xpcall", ipairs = "ipairs",
  pairs = "pairs", assert = "assert", tostring = "tostring", print = "harmless", type = "harmless", on = "on", step = "step",
  every = "every", cron = "cron", serve = "serve", emit = "emit", after = "after", wait = "wait",
  string = { format = "string_format" }, task = { spawn = "task_spawn", timeout = "task_timeout", map = "task_map",
    all = "task_all", race = "task_all" } }

local function make_builtins()
  local builtins = {}
  for name in pairs(Known) do builtins[name] = { kind = "builtin", name = name } end
  return builtins
end

---------------------------------------------------------------------------------------------------- calls

-- Parts of the hubspot module that go where they cannot be followed.
local function escapes(self, set, node, where)
  if not self.recording then return end
  for _, value in ipairs(set and set.list or {}) do
    local name = self.api.name_of(value)
    if name then self:cannot_tell(node, name .. where) end
  end
end

-- Sets of the results, by place. args: sets, by place.
call_value = function(self, value, args, node)
  if value.kind == "function" then
    local f = value.node
    for i, param in ipairs(f.params) do self:add_all(var_set(param), args[i]) end
    for i = #f.params + 1, #args do
      if f.vararg then self:add_all(var_set(f.vararg), args[i]) end
    end
    return f.returns
  elseif value.kind == "builtin" then
    return Known[value.name](self, args, node)
  elseif value.kind == "table" then
    local out = {}
    for _, meta in ipairs(value.meta.list) do
      if meta.kind == "table" and meta.fields.__call then
        local own = passing_set()
        self:add(own, value)
        out = call_set(self, meta.fields.__call, { own, table.unpack(args) }, node)
      end
    end
    return out
  elseif value.kind == "unknown" or value.kind == "unsteady" or value.kind == "string" or value.kind == "iterator" then
    local out = passing_set()
    for _, set in ipairs(args) do
      escapes(self, set, node, " is handed to a function whose text is not seen")
      self:carry(out, set)
    end
    self:add(out, UNKNOWN)
    return { out }
  elseif value == MIXED then
    return {}
  end
  return self.api.call(self, value, args, node) or {}
end

---------------------------------------------------------------------------------------------------- expressions

local expression, run_function

-- Sets of the values of a list of expressions, by place; the last call gives all of its results.
local function values_of(self, exprs)
  local sets = {}
  for i, e in ipairs(exprs) do
    sets[i] = expression(self, e)
    if i == #exprs and (e.tag == "call" or e.tag == "method") then
      for j, result in ipairs(e.results or {}) do sets[i + j - 1] = result end
    end
  end
  return sets
end

local function call(self, node, callee, args)
  node.results = node.results or {}
  for i, result in ipairs(call_set(self, callee, args, node)) do
    node.results[i] = node.results[i] or new_set()
    self:add_all(node.results[i], result)
  end
end

local Expressions = {}

function Expressions.name(self, node, out)
  if node.var then return self:add_all(out, var_set(node.var)) end
  local set = self.globals[node.name]
  if set then return self:add_all(out, set) end
  local known = GLOBALS[node.name]
  local library = self.api.library and self.api.library(self, node)
  if type(known) == "string" then
    self:add(out, self.builtins[known])
  elseif library then
    self:add(out, library)
  elseif known then
    local t = self.tables[node.name]
    if not t then
      t = new_table()
      for field, name in pairs(known) do self:add(field_set(t, field), self.builtins[name]) end
      self.tables[node.name] = t
    end
    self:add(out, t)
  else
    self:add(out, UNKNOWN)
  end
end

function Expressions.index(self, node, out)
  local base = expression(self, node.obj)
  local keys, unknown = self:texts_of(expression(self, node.key))
  for i = 1, #base.list do self:index(base.list[i], keys, unknown, out, node) end
end

function Expressions.call(self, node, out)
  local callee = expression(self, node.fn)
  call(self, node, callee, values_of(self, node.args))
  self:add_all(out, node.results[1])
end

function Expressions.method(self, node, out)
  local base = expression(self, node.obj)
  local args = values_of(self, node.args)
  node.callee = node.callee or new_set()
  for i = 1, #base.list do self:index(base.list[i], { node.name }, false, node.callee, node) end
  call(self, node, node.callee, { base, table.unpack(args) })
  self:add_all(out, node.results[1])
end

-- t[key] = what is in the set; key is one of these.
local function put(self, t, keys, set)
  for _, key in ipairs(keys) do
    self:add_all(field_set(t, key), set)
    if #keys > 1 then self:add(field_set(t, key), MIXED) end
  end
end

Expressions["function"] = function(self, node, out)
  node.value = node.value or { kind = "function", node = node }
  run_function(self, node)
  self:add(out, node.value)
end

function Expressions.table(self, node, out)
  node.value = node.value or new_table()
  node.value.exact = true   -- each of its items is one text
  for i, item in ipairs(node.items) do
    local set = expression(self, item.value)
    node.value.exact = node.value.exact and #set.list == 1
    if not item.key then
      self:add_all(node.value.items, set)
      if i == #node.items then
        for j = 2, #(item.value.results or {}) do self:add_all(node.value.items, item.value.results[j]) end
      end
    else
      local keys, unknown = self:texts_of(expression(self, item.key))
      put(self, node.value, keys, set)
      if unknown then self:add_all(node.value.any, set) end
    end
  end
  self:add(out, node.value)
end

function Expressions.string(self, node, out) self:add(out, self:text(node.value)) end
function Expressions.number(self, node, out) self:add(out, self:text(node.value)) end
function Expressions.constant() end
function Expressions.paren(self, node, out) self:add_all(out, expression(self, node.a)) end
function Expressions.vararg(self, _, out)
  if self.fn.vararg then self:add_all(out, var_set(self.fn.vararg)) end
end

-- Whether there is such a name at all.
local function asked(self, node)
  if node.tag == "name" and not node.var then self.asked[node.name] = true end
end

function Expressions.unary(self, node, out)
  if node.op == "not" then asked(self, node.a) end
  self:carry(out, expression(self, node.a))
  if node.op ~= "not" then self:add(out, UNKNOWN) end
end

function Expressions.binary(self, node, out)
  local a, b = expression(self, node.a), expression(self, node.b)
  if node.op == "or" or node.op == "and" then asked(self, node.a) end
  if node.op == "or" then
    self:add_all(out, a)
    self:add_all(out, b)
    return
  end
  self:carry(out, a)
  self:carry(out, b)
  if node.op == "and" then
    self:add_all(out, b)
  elseif node.op == ".." then
    for _, left in ipairs(pieces(self, a)) do
      for _, right in ipairs(pieces(self, b)) do self:add(out, self:text(left .. right)) end
    end
  elseif not node.op:find("^[<>=~]=?$") then
    self:add(out, UNKNOWN)
  end
end

expression = function(self, node)
  local out = out_of(node)
  Expressions[node.tag](self, node, out)
  return out
end

---------------------------------------------------------------------------------------------------- statements

local statements

local function assign(self, target, set)
  if target.tag == "name" then
    if target.var then return self:add_all(var_set(target.var), set) end
    local global = self.globals[target.name]
    if not global then
      global = new_set()
      self.globals[target.name] = global
    end
    return self:add_all(global, set)
  end
  local keys, unknown = self:texts_of(expression(self, target.key))
  for _, base in ipairs(expression(self, target.obj).list) do
    if base.kind == "table" then
      put(self, base, keys, set)
      if unknown then self:add_all(base.any, set) end
    elseif base.kind == "unknown" then
      escapes(self, set, target, " is put where it is not followed")
    end
  end
end

local Statements = { ["break"] = function() end, ["goto"] = function() end }

Statements["local"] = function(self, node)
  -- A function sees its own name (local function).
  local sets = values_of(self, node.exprs)
  for i, var in ipairs(node.vars) do self:add_all(var_set(var), sets[i]) end
end

function Statements.assign(self, node)
  local sets = values_of(self, node.exprs)
  for i, target in ipairs(node.targets) do assign(self, target, sets[i]) end
end

function Statements.call(self, node) expression(self, node.call) end

function Statements.block(self, node)
  for _, cond in ipairs(node.conds) do
    expression(self, cond)
    asked(self, cond)
  end
  for _, body in ipairs(node.bodies) do statements(self, body) end
end

function Statements.fornum(self, node)
  values_of(self, node.exprs)
  statements(self, node.body)
end

function Statements.forin(self, node)
  local sets = values_of(self, node.exprs)
  for _, over in ipairs(sets[1] and sets[1].list or {}) do
    if over.kind == "iterator" then
      self:add_all(var_set(node.vars[1]), over.keys)
      if node.vars[2] then self:add_all(var_set(node.vars[2]), over.values) end
    else
      for _, var in ipairs(node.vars) do self:add(var_set(var), UNKNOWN) end
    end
  end
  statements(self, node.body)
end

Statements["return"] = function(self, node)
  for i, set in ipairs(values_of(self, node.exprs)) do
    self.fn.returns[i] = self.fn.returns[i] or new_set()
    self:add_all(self.fn.returns[i], set)
  end
end

statements = function(self, list)
  for _, s in ipairs(list) do Statements[s.tag](self, s) end
end

-- A body is gone over once a pass, where it stands; its calls only bind arguments.
run_function = function(self, f)
  f.returns = f.returns or {}
  if f.pass == self.pass then return end
  f.pass, f.file = self.pass, self.file
  local before = self.fn
  self.fn = f
  statements(self, f.body)
  self.fn = before
end

---------------------------------------------------------------------------------------------------- files

local function parse(source, file)
  local ok, tree = pcall(parser.parse, source)
  if ok then return tree end
  error(type(tree) == "table" and ("%s:%d: %s"):format(file, tree.line, tree.message) or tree, 0)
end

local function run_file(self, tree, file)
  local before = self.file
  self.file = file
  run_function(self, tree)
  self.file = before
end

---What require(name) gives.
function Program:module(name, node)
  local known = self.api.module(self, name)
  if known then return known end
  local chunk = self.chunks[name]
  if chunk == nil then
    local text, path, wrong = self.read(name)
    if wrong then error(wrong, 0) end
    chunk = text and { tree = parse(text, path), path = path } or false
    self.chunks[name] = chunk
  end
  if not chunk then
    if self.recording then self:cannot_tell(node, ('require "%s": there is no such module'):format(name), "module") end
    return new_set()
  end
  run_file(self, chunk.tree, chunk.path)
  return chunk.tree.returns[1] or new_set()
end

---Something that the text does not tell.
---@param wrong string|nil the name of the rule when it is a mistake
function Program:cannot_tell(node, why, wrong)
  local key = ("%s:%d:%s"):format(self.file, node.line, why)
  if self.told[key] then return end
  self.told[key] = true
  self.unknown[#self.unknown + 1] = { file = self.file or self.main, line = node.line, col = node.col, why = why, wrong = wrong }
end

---A HubSpot call that the script can make.
---@param label string as the script's author would say it
---@param heard boolean|nil no call is made: it is what a subscription needs
function Program:use(node, label, method, path, heard)
  local key = ("%s:%d:%s %s"):format(self.file, node.line, method, path)
  if not self.recording or self.told[key] then return end
  self.told[key] = true
  self.uses[#self.uses + 1] = { file = self.file, line = node.line, col = node.col, label = label, method = method, path = path,
    heard = heard }
end

---@param api table
---@param file string its name, for places
---@param source string valid Lua
---@param read fun(name: string): string|nil, string|nil
---@return { uses: table[], unknown: table[], program: check.program, trees: table<string, table> } trees: by file
function flow.run(api, file, source, read)
  local self = setmetatable({ api = api, read = read, texts = {}, globals = {}, asked = {}, tables = {}, chunks = {}, told = {}, uses = {},
    unknown = {}, builtins = make_builtins(), pass = 0, holes = false, recording = false, main = file }, Program)
  local tree = parse(source, file)
  -- First what is known spreads; then what had no value by then counts as not known, and spreads too.
  for _, holes in ipairs { false, true } do
    self.holes = holes
    local passes = 0
    repeat
      self.changed, self.pass, passes = false, self.pass + 1, passes + 1
      run_file(self, tree, file)
    until not self.changed or passes == PASSES
    if self.changed then self:cannot_tell({ line = 1 }, "too intricate to be followed to the end") end
  end
  self.pass, self.recording = self.pass + 1, true
  run_file(self, tree, file)
  if self.api.finish then self.api.finish(self) end
  local trees = { [file] = tree }
  for _, chunk in pairs(self.chunks) do
    if chunk then trees[chunk.path] = chunk.tree end
  end
  return { uses = self.uses, unknown = self.unknown, program = self, trees = trees }
end

flow.new_set, flow.passing_set = new_set, passing_set
flow.globals = GLOBALS

return flow
