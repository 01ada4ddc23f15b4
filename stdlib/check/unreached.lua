--- Handlers that are never registered, because what registers them never runs: behind a return or error(), in a branch
--- that is never taken, in a local function that nothing calls.
local handlers = require "check.handlers"

local unreached = {}

-- What the tree says of its variables: the one value of those that are set once, and which are read.
local function variables(tree)
  local value, read, set = {}, {}, {}
  handlers.each_function(tree, function(body)
    handlers.each(body, function(node)
      if node.tag == "local" then
        for i, var in ipairs(node.vars) do value[var] = node.exprs[i] or #node.exprs == 0 and { tag = "constant", word = "nil" } end
      elseif node.tag == "assign" then
        for _, target in ipairs(node.targets) do
          set[target] = true
          if target.var then value[target.var] = false end
        end
      elseif node.tag == "name" and node.var and not set[node] then
        read[node.var] = true
      end
    end)
  end)
  return value, read
end

local ALWAYS = { string = true, number = true, table = true, ["function"] = true }

---Whether the expression always holds (true), never (false), or neither is told by the text (nil).
local function holds(e, value)
  if e.tag == "constant" then return e.word == "true" end
  if ALWAYS[e.tag] then return true end
  if e.tag == "paren" then return holds(e.a, value) end
  if e.tag == "name" then
    local one = e.var and value[e.var]
    if one and (one.tag == "constant" or ALWAYS[one.tag]) then return holds(one, value) end
  elseif e.tag == "unary" and e.op == "not" then
    local inner = holds(e.a, value)
    if inner ~= nil then return not inner end
  elseif e.tag == "binary" and (e.op == "and" or e.op == "or") then
    local a, b = holds(e.a, value), holds(e.b, value)
    local decides = e.op == "or" -- the value of one side that decides the whole
    if a == decides or b == decides then return decides end
    if a ~= nil and b ~= nil then return not decides end
  end
  return nil
end

local LEAVES = { ["return"] = "return", ["break"] = "break" }

-- The statement behind which nothing runs, and what it is called.
local function leaving(s)
  if LEAVES[s.tag] then return s, LEAVES[s.tag] end
  if s.tag == "call" and s.call.tag == "call" and s.call.fn.tag == "name" and s.call.fn.name == "error" and not s.call.fn.var then
    return s, "error()"
  end
  if s.tag == "block" and #s.conds == 0 then
    for _, inner in ipairs(s.bodies[1]) do
      local found, word = leaving(inner)
      if found then return found, word end
    end
  end
end

---@param trees table[] of a program that flow.run has gone over
---@param report fun(rule: string, file: string, node: table, message: string)
function unreached.check(trees, report)
  for _, tree in ipairs(trees) do
    local value, read = variables(tree)

    local function tell(nodes, why)
      handlers.registrations(nodes, function(what, node)
        report("unreachable", tree.file, handlers.place(node), ("this %s() never runs: %s"):format(what, why))
      end)
    end

    local statements
    local function branches(s)
      local never -- why the rest of the branches is not taken
      for i, body in ipairs(s.bodies) do
        local cond = s.conds[i]
        local holding
        if cond and s.loop ~= "repeat" then holding = holds(cond, value) end
        if never then
          tell(body, never)
        elseif holding == false then
          tell(body, ("the condition of line %d is always false"):format(cond.line))
        else
          statements(body)
        end
        if holding and not never then never = ("the condition of line %d is always true"):format(cond.line) end
      end
    end

    statements = function(list)
      local why
      for _, s in ipairs(list) do
        if why then
          tell(s, why)
        elseif s.bodies then
          branches(s)
        elseif s.body then
          statements(s.body)
        end
        local left, word = leaving(s)
        if left and not why then why = ("the %s of line %d comes before it"):format(word, left.line) end
      end
    end

    handlers.each_function(tree, function(body)
      statements(body)
      handlers.each(body, function(node)
        if node.tag ~= "local" then return end
        for i, var in ipairs(node.vars) do
          local e = node.exprs[i]
          if e and e.tag == "function" and not read[var] then
            tell(e.body, ('nothing calls the function "%s" of line %d'):format(var.name, e.line))
          end
        end
      end)
    end)
  end
end

return unreached
