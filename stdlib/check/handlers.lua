--- What goes wrong when a handler runs again: writes that are made twice, steps that another run does not find. The
--- program has been gone over by check/flow.lua; here each handler is followed through the functions that it calls.
--- stdlib/help/steps.md has the rules.
local handlers = {}

-- The parts of a node that are nodes or lists of them, in the order in which they run.
local PARTS = { index = { "obj", "key" }, call = { "call", "fn", "args" }, method = { "obj", "args" }, paren = { "a" }, unary = { "a" },
  binary = { "a", "b" }, ["local"] = { "exprs" }, assign = { "exprs", "targets" }, block = { "conds", "bodies" },
  fornum = { "exprs", "body" }, forin = { "exprs", "body" }, ["return"] = { "exprs" } }
local LEAVES = { ["return"] = true, ["break"] = true, ["goto"] = true }
-- The end of the path of a POST that changes nothing, or the same thing again.
local READS = { search = true, read = true, query = true, introspect = true }
local SAME_AGAIN = { update = true, upsert = true, archive = true }

---Calls f(node) for every node below, functions' bodies left out.
---@param node table a node or a list
local function each(node, f)
  if not node.tag then
    for _, one in ipairs(node) do each(one, f) end
    return
  end
  f(node)
  for _, part in ipairs(PARTS[node.tag] or {}) do
    if node[part] then each(node[part], f) end
  end
  for _, item in ipairs(node.items or {}) do
    if item.key then each(item.key, f) end
    each(item.value, f)
  end
end
handlers.each = each

---The node that a person would point at.
function handlers.place(node)
  while node.tag == "call" do node = node.fn or node.call end
  return node
end

local function callees(node)
  if node.tag == "call" and node.fn then return node.fn.out end
  return node.tag == "method" and node.callee or nil
end

local function list_of(set) return set and set.list or {} end

local function unsteady(node)
  for _, value in ipairs(list_of(node.out)) do
    if value.kind == "unsteady" then return value end
  end
end

---@class check.walk
---@field report fun(rule: string, file: string, node: table, message: string)
---@field reached table<table, boolean> by function: whether a step or wait is reached from it
local Walk = {}
Walk.__index = Walk

---Whether running these nodes may come to a step or a wait; only_wait: to a wait.
function Walk:reaches(nodes, only_wait)
  local found = false
  local memo = only_wait and self.waits or self.reached
  local function value_reaches(value)
    if value.kind == "builtin" then return value.name == "wait" or (value.name == "step" and not only_wait) end
    if value.kind ~= "function" then return false end
    if memo[value.node] == nil then
      memo[value.node] = false
      memo[value.node] = self:reaches(value.node.body, only_wait)
    end
    return memo[value.node]
  end
  each(nodes, function(node)
    if found then return end
    for _, value in ipairs(list_of(callees(node))) do found = found or value_reaches(value) end
    -- Functions that are handed on are run by somebody.
    for _, arg in ipairs((node.tag == "call" or node.tag == "method") and node.args or {}) do
      for _, value in ipairs(list_of(arg.out)) do found = found or value_reaches(value) end
    end
  end)
  return found
end

-- "return" when these statements may leave the function, "break" when only the loop; nil: neither.
local function leaves(nodes)
  local found
  each(nodes, function(node)
    if LEAVES[node.tag] and (not found or node.tag ~= "break") then found = node.tag end
  end)
  return found
end

local function with(ctx, changes)
  return setmetatable(changes, { __index = ctx })
end

-- False instead of nil, so that it hides what the outer one has.
function Walk:call_function(f, ctx)
  local key = ("%s %s %s %s"):format(tostring(ctx.step), tostring(ctx.loop), tostring(ctx.child), ctx.guard and ctx.guard.line or "")
  local seen = ctx.seen[f] or {}
  if seen[key] then return end
  seen[key], ctx.seen[f] = true, seen
  self:statements(f.body, with(ctx, { file = f.file }))
end

---------------------------------------------------------------------------------------------------- writes

local function write(self, label, method, path, node, ctx)
  if method == "GET" or ctx.step then return end
  local last = path:match("[^/]*$")
  if method == "POST" and READS[last] then return end
  local again = method == "POST" and not SAME_AGAIN[last]
  if ctx.handler.waits then
    self.report("write-outside-step", ctx.file, node, ("%s outside a step, in a handler that waits: it runs again from the "
      .. "top after each wait, and makes this again; put it into step(\"…\", function() … end)"):format(label))
  elseif again and ctx.handler.retried then
    self.report("write-outside-step", ctx.file, node, ("%s outside a step: it is made again when the handler is tried again; "
      .. "put it into step(\"…\", function() … end)"):format(label))
  end
end

local HTTP = { ["http.post"] = "POST", ["http.put"] = "PUT", ["http.patch"] = "PATCH", ["http.delete"] = "DELETE" }

local function texts_of(table_sets, field)
  local out = {}
  for _, value in ipairs(list_of(table_sets)) do
    for _, text in ipairs(list_of(value.kind == "table" and value.fields[field])) do out[#out + 1] = text.text end
  end
  return out
end

-- The options of an http request say that a second one changes nothing more.
local function idempotent(options)
  for _, value in ipairs(list_of(options)) do
    local fields = value.kind == "table" and value.fields or {}
    if fields.idempotent then return true end
    for _, headers in ipairs(list_of(fields.headers)) do
      for name in pairs(headers.fields or {}) do
        if type(name) == "string" and name:lower() == "idempotency-key" then return true end
      end
    end
  end
  return false
end

-- A function of an API is called; args: sets.
local function call_api(self, value, args, node, ctx)
  if value.kind == "calling" then
    write(self, value.label, value.method, value.path, node, ctx)
  elseif value.kind == "operation" then
    write(self, value.label, value.o.method, value.o.path, node, ctx)
  elseif value.kind == "request" or value.name == "http.request" then
    local path = texts_of(args[1], "path")[1] or ""
    for _, method in ipairs(texts_of(args[1], "method")) do
      write(self, value.name or "hubspot.request", value.name and idempotent(args[1]) and "PUT" or method:upper(), path, node, ctx)
    end
  elseif HTTP[value.name] then
    write(self, value.name, idempotent(args[2]) and "PUT" or HTTP[value.name], "", node, ctx)
  end
end

---------------------------------------------------------------------------------------------------- steps

local function name_of_step(self, what, arg, node, ctx)
  local shaky = arg and unsteady(arg)
  if shaky then
    self.report("unsteady-steps", ctx.file, node, ("the name of this %s comes from %s (line %d), which the next run does not "
      .. "give again; name it after the event or the item"):format(what, shaky.what, shaky.line))
  elseif ctx.loop and arg and arg.tag == "string" then
    self.report("step-name", ctx.file, node, ("the %s %q comes again each time round the loop of line %d, and a name used twice "
      .. "raises; put the item's id into the name"):format(what, arg.value, ctx.loop.line))
  end
  if ctx.guard then
    self.report("unsteady-steps", ctx.guard.file, ctx.guard, ("whether the %s of line %d is reached depends on %s (line %d), which may "
      .. "differ when the handler runs again; read it inside a step"):format(what, node.line, ctx.guard.what, ctx.guard.from))
  end
end

local function begin_step(self, args, node, ctx)
  if ctx.step then
    self.report("step-place", ctx.file, node, ("a step inside the step of line %d; end that one first"):format(ctx.step.line))
  end
  name_of_step(self, "step", args[1], node, ctx)
  if args[2] then self:called(args[2].out, with(ctx, { step = node, loop = false, guard = false }), node) end
end

local function begin_wait(self, args, node, ctx)
  if ctx.step then
    self.report("step-place", ctx.file, node, ("wait() inside the step of line %d; wait between steps"):format(ctx.step.line))
  elseif ctx.child then
    self.report("step-place", ctx.file, node, "wait() in a child task; only the handler itself waits")
  end
  name_of_step(self, "wait", args[1], node, ctx)
end

---------------------------------------------------------------------------------------------------- calls

local REGISTER = { on = true, every = true, cron = true, serve = true }
local CHILDREN = { task_spawn = true, task_map = true, task_all = true, task_timeout = false }

---Whatever may be in the set is called, by somebody.
function Walk:called(set, ctx, node)
  for _, value in ipairs(list_of(set)) do
    if value.kind == "function" then
      self:call_function(value.node, ctx)
    elseif value.kind == "table" then
      for _, part in ipairs { value.items, value.any, table.unpack(self.sorted(value.fields)) } do
        for _, item in ipairs(list_of(part)) do
          if item.kind == "function" then self:call_function(item.node, ctx) end
        end
      end
    elseif value.kind ~= "builtin" then
      call_api(self, value, {}, node, ctx)
    end
  end
end

-- args: nodes
local function call_builtin(self, name, args, node, ctx)
  if name == "step" then
    begin_step(self, args, node, ctx)
  elseif name == "wait" then
    begin_wait(self, args, node, ctx)
  elseif REGISTER[name] then
    self.report("registration", ctx.file, node, ("%s() inside a handler: scripts register only while they load"):format(name))
  elseif name == "pcall" or name == "xpcall" then
    -- A step that raised may be begun again.
    local inner = with(ctx, { loop = false })
    for _, value in ipairs(list_of(args[1] and args[1].out)) do
      if value.kind == "builtin" then
        call_builtin(self, value.name, table.move(args, name == "pcall" and 2 or 3, #args, 1, {}), node, inner)
      else
        local one = { list = { value } }
        self:called(one, inner, node)
      end
    end
  elseif CHILDREN[name] ~= nil then
    local inner = with(ctx, { child = ctx.child or CHILDREN[name], loop = name == "task_map" and node or ctx.loop })
    for _, arg in ipairs(args) do self:called(arg.out, inner, node) end
  end
end

function Walk:call(node, ctx)
  local pointed = handlers.place(node)
  for _, value in ipairs(list_of(callees(node))) do
    if value.kind == "function" then
      self:call_function(value.node, ctx)
    elseif value.kind == "builtin" then
      call_builtin(self, value.name, node.args, pointed, ctx)
    elseif value.kind == "unknown" or value.kind == "string" then
      for _, arg in ipairs(node.args) do
        for _, given in ipairs(list_of(arg.out)) do
          if given.kind == "function" then self:call_function(given.node, ctx) end
        end
      end
    else
      local args = {}
      for i, arg in ipairs(node.args) do args[i] = arg.out end
      call_api(self, value, args, pointed, ctx)
    end
  end
end

---------------------------------------------------------------------------------------------------- order

-- What depends on an unsteady value must not choose among steps.
local function steers(self, cond, nodes, ctx)
  local shaky = unsteady(cond)
  if not shaky or not self:reaches(nodes) then return shaky end
  self.report("unsteady-steps", ctx.file, handlers.place(cond), ("%s (line %d) decides here which steps run, and may decide otherwise "
    .. "when the handler runs again; read it inside a step"):format(shaky.what, shaky.line))
  return nil
end

function Walk:expression(node, ctx)
  if node.tag == "binary" and (node.op == "and" or node.op == "or") then
    self:expression(node.a, ctx)
    steers(self, node.a, node.b, ctx)
    return self:expression(node.b, ctx)
  end
  for _, part in ipairs(PARTS[node.tag] or {}) do
    local below = node[part]
    if below and below.tag then self:expression(below, ctx)
    else
      for _, one in ipairs(below or {}) do self:expression(one, ctx) end
    end
  end
  for _, item in ipairs(node.items or {}) do
    if item.key then self:expression(item.key, ctx) end
    self:expression(item.value, ctx)
  end
  if callees(node) then self:call(node, ctx) end
end

-- Gives what guards the statements behind this one: it may have left for a reason that is unsteady.
function Walk:statement(s, ctx)
  local guard
  local loop = s.loop or s.tag == "fornum" or s.tag == "forin"
  local inner = loop and with(ctx, { loop = s }) or ctx
  local bodies = s.bodies or s.body and { s.body }
  if not bodies then return self:expression(s, ctx) end
  for _, cond in ipairs(s.conds or s.exprs) do
    self:expression(cond, ctx)
    local shaky = steers(self, cond, bodies, ctx)
    local left = shaky and not loop and leaves(bodies)
    if left then
      guard = { what = shaky.what, from = shaky.line, line = cond.line, col = handlers.place(cond).col, file = ctx.file, left = left }
    end
  end
  for _, body in ipairs(bodies) do guard = self:statements(body, inner) or guard end
  if loop and guard and guard.left == "break" then return nil end
  return guard
end

function Walk:statements(list, ctx)
  local guard
  local last = list[#list]
  if ctx.loop and last and LEAVES[last.tag] then ctx = with(ctx, { loop = false }) end -- it goes round once
  for _, s in ipairs(list) do
    local found = self:statement(s, ctx)
    if found then
      guard = guard or found
      ctx = with(ctx, { guard = ctx.guard or found })
    end
  end
  return guard
end

---------------------------------------------------------------------------------------------------- the door

---Calls f(body) for the file and every function in it.
---@param tree table
function handlers.each_function(tree, f)
  f(tree.body)
  each(tree.body, function(node)
    if node.tag == "function" then handlers.each_function(node, f) end
  end)
end

---Calls f(name, node) where on, every, cron, serve are called in these nodes, functions' bodies left out.
function handlers.registrations(nodes, f)
  each(nodes, function(node)
    for _, value in ipairs(list_of(callees(node))) do
      if value.kind == "builtin" and REGISTER[value.name] then f(value.name, node) end
    end
  end)
end

local function is_retried(what, args)
  local retries = #args > 2 and texts_of(args[2].out, "retries")[1]
  if what == "on" then return retries ~= "0" end
  return retries ~= nil and retries ~= false and retries ~= "0"
end

---@param trees table[] of a program that flow.run has gone over
---@param report fun(rule: string, file: string, node: table, message: string)
function handlers.check(trees, report)
  local walk = setmetatable({ report = report, reached = {}, waits = {}, sorted = function(fields)
    local names, list = {}, {}
    for name in pairs(fields) do names[#names + 1] = name end
    table.sort(names)
    for i, name in ipairs(names) do list[i] = fields[name] end
    return list
  end }, Walk)
  local function follow(what, node)
    local fn = node.args[#node.args]
    if what == "serve" or not fn then return end
    for _, value in ipairs(list_of(fn.out)) do
      if value.kind == "function" then
        local handler = { retried = is_retried(what, node.args), waits = walk:reaches(value.node.body, true) }
        walk:call_function(value.node, { handler = handler, seen = {}, file = value.node.file, step = false, loop = false,
          child = false, guard = false })
      end
    end
  end
  for _, tree in ipairs(trees) do
    handlers.each_function(tree, function(body) handlers.registrations(body, follow) end)
  end
end

return handlers
