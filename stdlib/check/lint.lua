--- What `hubloop check` finds in scripts, without running them. The values are followed by check/flow.lua, handlers by
--- check/handlers.lua; what is only text (secrets, old paths) by check/text.lua.
local _, host = ...
local account = require "check.account"
local flow = require "check.flow"
local handlers = require "check.handlers"
local hubspot = require "check.hubspot"
local properties = require "check.properties"
local scopes = require "check.scopes"
local texts = require "check.text"
local unreached = require "check.unreached"

local lint = {}

---The rules: what each of them finds; errors do not work, warnings may not do what was meant.
lint.rules = {
  { "syntax", "error", "the file is no Lua" },
  { "unknown-global", "error", "a global name that neither hubloop nor the script has" },
  { "unknown-name", "error", "a name that a module does not have" },
  { "registration", "error", "on, every, cron, serve, emit or after with what they do not take, or inside a handler" },
  { "module", "error", "a module that is not there" },
  { "property", "error", "a property, a value of one, a pipeline or a stage that the account does not have" },
  { "owner", "error", "an owner of a pool whom the account does not have" },
  { "path", "error", "a HubSpot path that is not published" },
  { "old-path", "error", "a v1-v4 path of HubSpot that ends in 2027" },
  { "api-key", "error", "an API key (hapikey): HubSpot ended them in 2022" },
  { "secret", "error", "a token or secret in the text" },
  { "write-outside-step", "warning", "a write that a handler makes again when it is tried again" },
  { "unsteady-steps", "warning", "a clock or random value that decides which steps run, or their names" },
  { "step-name", "warning", "a step's name that comes twice in one run" },
  { "unheard", "warning", "an event that is emitted and that no script of the project listens to" },
  { "unreachable", "warning", "a handler that never runs: no script of the project emits its event, or it is never registered" },
  { "step-place", "warning", "a step or wait where it cannot be" },
}

local LEVELS = {}
for _, rule in ipairs(lint.rules) do LEVELS[rule[1]] = rule[2] end

---------------------------------------------------------------------------------------------------- names

-- What there is in a script from the start, and what its tables hold.
local globals, fields = {}, {}
local _ = { text, csv, sql } -- loaded at their first use
for name, value in pairs(_G) do
  globals[#globals + 1] = name
  globals[name] = true
  if type(value) == "table" and name ~= "_G" then fields[name] = value end
end
for name in pairs(flow.globals) do
  if not globals[name] then
    globals[#globals + 1] = name
    globals[name] = true
  end
end
globals._ENV = true
table.sort(globals)

-- Names of Lua's that scripts do not have, and what they have instead.
local INSTEAD = { os = "time.now(), time.iso(), env", io = "fs", debug = "log", dofile = "require", loadfile = "require",
  package = "require", loadstring = "load", unpack = "table.unpack", setfenv = "load", module = "require" }
local TEST_GLOBALS = { describe = true, it = true, before_each = true, after_each = true, expect = true, sim = true }

-- What a run does not give a second time; true: only when called without arguments.
local UNSTEADY = { ["time.now"] = false, ["time.iso"] = true, ["time.civil"] = true, ["math.random"] = false,
  ["crypto.random"] = false, ["crypto.uuid"] = false }

local api = setmetatable({}, { __index = hubspot })
lint.api = api

local function suggestion(word, names)
  local near = host.nearest(word, names)
  return near and ('; did you mean "%s"?'):format(near) or ""
end

---A global name of hubloop's; unknown ones are told.
function api.library(program, node)
  local name = node.name
  if fields[name] then
    return api.kept(program, "library " .. name, function() return { kind = "library", name = name, names = fields[name] } end)
  end
  if not program.recording or globals[name] or program.asked[name] then return nil end
  if program.file:find("_test%.lua$") and TEST_GLOBALS[name] then return nil end
  program:cannot_tell(node, ('there is no global "%s"%s'):format(name,
    INSTEAD[name] and "; scripts have " .. INSTEAD[name] or suggestion(name, globals)), "unknown-global")
end

---What library.key is.
function api.member(program, base, key, node)
  local known = flow.globals[base.name]
  if known and known[key] then return program.builtins[known[key]] end
  if base.names[key] == nil then
    if program.recording then
      local names = {}
      for name in pairs(base.names) do names[#names + 1] = tostring(name) end
      table.sort(names)
      program:cannot_tell(node, ('%s has no "%s"%s'):format(base.name, key, suggestion(key, names)), "unknown-name")
    end
    return flow.UNKNOWN
  end
  local name = base.name .. "." .. key
  return api.kept(program, "member " .. name, function() return { kind = "member", name = name } end)
end

---Shipped modules whose names can be told; hubspot, routing and sync are followed further.
function api.module(program, name)
  local out = hubspot.module(program, name)
  if not out or name == "hubspot" or hubspot.modules[name] or name == "sync" then return out end
  local ok, real = pcall(require, name)
  if not ok or type(real) ~= "table" or getmetatable(real) then return out end
  out = flow.passing_set()
  program:add(out, api.kept(program, "shipped " .. name, function() return { kind = "library", name = name, names = real } end))
  return out
end

function api.index(program, base, keys, unknown_key, out, node)
  if base.kind == "module" and program.recording then
    local ok, real = pcall(require, base.name)
    for _, key in ipairs(ok and keys or {}) do
      if real[key] == nil then api.member(program, { name = base.name, names = real }, key, node) end
    end
  end
  return hubspot.index(program, base, keys, unknown_key, out, node)
end

-- What can be called here and nothing else, by itself or by pcall; nil: one of several.
local function only(node)
  local callee = node.tag == "call" and node.fn and node.fn.out or node.callee
  local value = callee and #callee.list == 1 and callee.list[1] or nil
  if value and value.kind == "builtin" and value.name == "pcall" then
    local passed = node.args[1] and node.args[1].out
    return passed and #passed.list == 1 and passed.list[1] or nil
  end
  return value
end

function api.call(program, value, args, node)
  if program.recording and value.object_type then properties.note(program, value, args, handlers.place(node), only(node) == value) end
  local noted = program.recording and properties.of_modules[value.kind]
  if noted then noted(program, args, handlers.place(node), only(node) == value) end
  if value.kind ~= "member" then return hubspot.call(program, value, args, node) end
  local out = flow.passing_set()
  local bare = UNSTEADY[value.name]
  if bare == false or (bare and #args == 0) then
    program:add(out, api.kept(program, ("unsteady %s %s:%d"):format(value.name, program.file, node.line), function()
      return { kind = "unsteady", what = value.name .. "()", line = node.line }
    end))
  end
  for _, set in ipairs(args) do program:carry(out, set) end
  program:add(out, flow.UNKNOWN)
  return { out }
end

---------------------------------------------------------------------------------------------------- registration

-- All texts that the set may be; none when it may be something else.
local function known_texts(program, set)
  local list, unknown = program:texts_of(set)
  local whole = {}
  for _, text in ipairs(list) do
    if not text:find(flow.HOLE, 1, true) then whole[#whole + 1] = text end
  end
  return unknown and {} or whole
end

local function wrong(program, node, message)
  program:cannot_tell(handlers.place(node), message, "registration")
end

local function refusal(f, ...)
  local ok, message = pcall(f, ...)
  return not ok and (type(message) == "table" and message.message or message) or nil
end

local function duration(program, what, set, node)
  for _, text in ipairs(known_texts(program, set)) do
    local refused = refusal(time.duration, tonumber(text) or text)
    if refused then wrong(program, node, ("%s(): %s"):format(what, refused:match("%((.*)%)$") or refused)) end
  end
end

-- Beyond those of every event.
local OF_TYPE = require("engine.derived").options

local function options(program, what, set, node, type)
  for _, value in ipairs(set and set.list or {}) do
    local names = {}
    for name in pairs(value.kind == "table" and value.fields or {}) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      local refused = not (OF_TYPE[type] and OF_TYPE[type][name]) and refusal(host.check_options, what, { [name] = true })
      if refused then wrong(program, node, refused) end
    end
  end
end

local function option_texts(program, set, name)
  local out = {}
  for _, value in ipairs(set and set.list or {}) do
    if value.kind == "table" and value.fields[name] then
      table.move(known_texts(program, value.fields[name]), 1, 64, #out + 1, out)
    end
  end
  return out
end

local function is_own(name) return not refusal(host.check_own_name, "", name) end

-- Events of one's own: who sends and who listens; a name that is not written out may be any.
local function note(program, kind, set, node)
  local notes = program[kind] or {}
  program[kind] = notes
  local names = known_texts(program, set)
  if #names == 0 then notes.any = true end
  for _, name in ipairs(names) do
    if is_own(name) and not name:find("^hubloop%.") then
      notes[#notes + 1] = { name = name, file = program.file, node = handlers.place(node) }
    end
  end
end

local Registered = {}

-- The option `property` of an event of the type `text`; args[at] are its options.
local function note_properties(program, text, args, at, node)
  local names = option_texts(program, args[at], "property")
  local one_type = #args[at - 1].list == 1
  if #names > 1 and not one_type then return end
  for _, name in ipairs(names) do
    properties.note_event(program, text, name, handlers.place(node), #names == 1 and one_type and only(node) ~= nil)
  end
end

function Registered.on(program, args, node)
  for _, text in ipairs(known_texts(program, args[1])) do
    local refused = refusal(host.check_type, text)
    if refused then wrong(program, node, refused) end
    note_properties(program, text, args, 2, node)
  end
  note(program, "listens", args[1], node)
end

local function option(set, name)
  for _, value in ipairs(set and set.list or {}) do
    if value.kind == "table" and value.fields[name] then return value.fields[name] end
  end
end

function Registered.wait(program, args, node)
  if #program:texts_of(args[2]) == 0 then
    options(program, "wait time", args[2], node)
    duration(program, "wait", option(args[2], "for"), node)
    return
  end
  note(program, "listens", args[2], node)
  for _, text in ipairs(known_texts(program, args[2])) do
    local refused = refusal(host.check_type, text)
    if refused then wrong(program, node, refused) end
    note_properties(program, text, args, 3, node)
  end
  options(program, "wait", args[3], node)
  duration(program, "wait", option(args[3], "timeout"), node)
end

function Registered.every(program, args, node) duration(program, "every", args[1], node) end

function Registered.cron(program, args, node)
  local zones = option_texts(program, args[2], "tz")
  if #zones == 0 then zones[1] = "UTC" end
  for _, text in ipairs(known_texts(program, args[1])) do
    for _, zone in ipairs(zones) do
      local refused = refusal(host.check_cron, text, zone)
      if refused then wrong(program, node, refused) end
    end
  end
end

function Registered.after(program, args, node)
  duration(program, "after", args[1], node)
  Registered.emit(program, { args[2] }, node, "after")
end

function Registered.emit(program, args, node, what)
  for _, text in ipairs(known_texts(program, args[1])) do
    local refused = refusal(host.check_own_name, (what or "emit") .. "()", text)
    if refused then wrong(program, node, refused) end
  end
  note(program, "sends", args[1], node)
end

local TAKES_FUNCTION = { on = true, every = true, cron = true, serve = true }

local function may_be_function(set)
  if not set then return false end
  for _, value in ipairs(set.list) do
    if value.kind ~= "string" and value.kind ~= "table" then return true end
  end
  return #set.list == 0 -- nil as far as the text tells; a value that is not followed is there as unknown
end

---A call of on, every, cron, serve, emit, after, wait.
function api.registered(program, what, args, node)
  if TAKES_FUNCTION[what] then
    if #args < 2 or not may_be_function(args[#args]) then
      wrong(program, node, what .. "(): the last argument must be the function to run")
    elseif #args > 2 then
      options(program, what, args[2], node, known_texts(program, args[1])[1])
    end
  elseif what == "emit" then
    options(program, what, args[3], node)
  end
  if Registered[what] then Registered[what](program, args, node) end
end

---------------------------------------------------------------------------------------------------- the door

---@class check.finding
---@field rule string
---@field level "error"|"warning"
---@field file string
---@field line integer
---@field col integer|nil
---@field message string

-- "x.lua:2: unexpected symbol near '='"; of what is too deep for Lua there is no place.
local function syntax(message, sources, name)
  local file, line, text = message:match("^(.-):(%d+): (.*)$")
  if name and not file then return { rule = "syntax", file = name, line = 1, message = message } end
  if not file or not sources[file] then error(message, 0) end
  line = tonumber(line)
  local near = text:match("near '(.*)'$")
  local source = texts.line(sources[file], line)
  return { rule = "syntax", file = file, line = line, col = near and source and source:find(near, 1, true) or nil, message = text }
end

---@param file { name: string, text: string }
---@param read fun(name: string): string|nil, string|nil
---@param sources table<string, string> text by name: what was read is put in here
---@return check.finding[]
---@return check.program|nil
local function check_file(file, read, sources, answers)
  local found = {}
  local function report(rule, name, node, message)
    found[#found + 1] = { rule = rule, file = name, line = node.line, col = node.col, message = message }
  end
  local function reading(name)
    local text, path, wrong_text = read(name)
    if text then sources[path] = text end
    return text, path, wrong_text
  end
  sources[file.name] = file.text
  local fine, message = load(file.text, "@" .. file.name, "t")
  if not fine then return { syntax(message, sources, file.name) } end
  local ok, result = pcall(flow.run, api, file.name, file.text, reading)
  if not ok then return { syntax(tostring(result), sources) } end -- of a module
  for _, item in ipairs(scopes.judge(result).unknown) do
    if item.wrong then report(item.wrong, item.file, item, item.why) end
  end
  if answers then properties.check(result.program, answers, report) end
  local trees = {}
  for _, name in ipairs(texts.sorted(result.trees)) do trees[#trees + 1] = result.trees[name] end
  handlers.check(trees, report)
  unreached.check(trees, report)
  for _, name in ipairs(texts.sorted(result.trees)) do
    handlers.each_function(result.trees[name], function(nodes)
      handlers.each(nodes, function(node)
        if node.tag == "string" then
          local old, dated = texts.old_path(node.value)
          if old then report("old-path", name, node, ("the legacy path %s ends in 2027; use %s"):format(old, dated)) end
        end
      end)
    end)
  end
  return found, result.program
end

-- The events of one's own that the scripts of a project send and listen to.
---@param programs check.program[]
---@param report fun(rule: string, file: string, node: table, message: string)
local function check_events(programs, report)
  local all = { sends = {}, listens = {} }
  for _, program in ipairs(programs) do
    for kind, notes in pairs(all) do
      for _, one in ipairs(program[kind] or {}) do
        notes[#notes + 1] = one
        notes[one.name] = true
      end
      notes.any = notes.any or (program[kind] and program[kind].any)
    end
  end
  local names = {}
  for _, one in ipairs(all.listens) do names[#names + 1] = one.name end
  table.sort(names)
  for _, one in ipairs(all.listens.any and {} or all.sends) do
    if not all.listens[one.name] then
      report("unheard", one.file, one.node, ('no script listens to "%s"%s'):format(one.name, suggestion(one.name, names)))
    end
  end
  for _, one in ipairs(all.sends.any and {} or all.listens) do
    if not all.sends[one.name] then
      report("unreachable", one.file, one.node, ('no script emits "%s"'):format(one.name))
    end
  end
end

---@param files { name: string, text: string, root: string, settings: boolean|nil, whole: boolean|nil }[] whole: its project is among them
---@param reader fun(root: string): fun(name: string): string|nil, string|nil
---@param answers check.answers|nil what the account says to the questions of an earlier look
---@return check.finding[] findings by file and line
---@return table<string, string> sources by name
---@return check.questions questions
function lint.check(files, reader, answers)
  local sources, findings, seen, ignored = {}, {}, {}, {}
  local all, projects, programs_of = {}, {}, {}
  for _, file in ipairs(files) do
    if file.settings then
      sources[file.name] = file.text
    else
      local found, program = check_file(file, reader(file.root), sources, answers)
      programs_of[#programs_of + 1] = program
      table.move(found, 1, #found, #all + 1, all)
      if file.whole then
        local programs = projects[file.root] or {}
        projects[file.root] = programs
        if program then programs[#programs + 1] = program else programs.unread = true end
      end
    end
  end
  for _, root in ipairs(texts.sorted(projects)) do
    if not projects[root].unread then
      check_events(projects[root], function(rule, name, node, message)
        all[#all + 1] = { rule = rule, file = name, line = node.line, col = node.col, message = message }
      end)
    end
  end
  for _, name in ipairs(texts.sorted(sources)) do
    for _, item in ipairs(texts.secrets(sources[name])) do
      item.file = name
      all[#all + 1] = item
    end
    ignored[name] = texts.ignored(sources[name])
  end
  for _, item in ipairs(all) do
    local key = ("%s:%d:%s:%s"):format(item.file, item.line, item.rule, item.rule == "old-path" and "" or item.message)
    local lines = ignored[item.file] and ignored[item.file][item.line]
    if not seen[key] and not (lines and (lines.all or lines[item.rule])) then
      seen[key] = true
      item.level, item.message = LEVELS[item.rule], texts.readable(item.message)
      findings[#findings + 1] = item
    end
  end
  table.sort(findings, function(a, b)
    if a.file ~= b.file then return a.file < b.file end
    if a.line ~= b.line then return a.line < b.line end
    if (a.col or 0) ~= (b.col or 0) then return (a.col or 0) < (b.col or 0) end
    return a.message < b.message
  end)
  return findings, sources, account.questions(programs_of)
end

return lint
