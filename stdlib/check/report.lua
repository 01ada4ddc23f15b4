--- What `hubloop scopes` and `hubloop check` print. src/cmd/cmd_scopes.c calls scopes(request), cmd_check.c check(request).
local _, host = ...
local account = require "check.account"
local flow = require "check.flow"
local lint = require "check.lint"
local tell = require "check.findings"
local scopes = require "check.scopes"
local texts = require "check.text"

local report = {}

-- A script's text; a mark of its encoding and a "#!" line are none of Lua's.
local function source(path)
  local text, message = host.source(path)
  if not text then return nil, message end
  return (text:gsub("^\xef\xbb\xbf", ""):gsub("^#[^\n]*", ""))
end

-- A module of the project as its scripts require it: beside them, or in lib/. The third value is what Lua says against it.
local function reader(root)
  return function(name)
    if not name:find("^[%w_][%w_%-./]*$") or name:find("..", 1, true) then return nil end
    for _, folder in ipairs { "", "lib/" } do
      local path = folder .. name:gsub("%.", "/") .. ".lua"
      local text = source(root .. "/" .. path)
      if text then
        local _, message = load(text, "@" .. path, "t")
        return text, path, message
      end
    end
  end
end

local function find(files)
  local found = { uses = {}, unknown = {} }
  for _, file in ipairs(files) do
    local text, message = source(file.path)
    if not text then error(("cannot read %s: %s"):format(file.name, message), 0) end
    local ok, wrong = load(text, "@" .. file.name, "t")
    if not ok then error(wrong, 0) end
    local one = scopes.find({ { name = file.name, text = text } }, reader(file.root))
    table.move(one.uses, 1, #one.uses, #found.uses + 1, found.uses)
    table.move(one.unknown, 1, #one.unknown, #found.unknown + 1, found.unknown)
  end
  return found
end

-- "lead_routing.lua:45 routing.watch_companies, :51, 2 more", as far as `width` goes.
local function places(uses, width)
  local list, seen = {}, {}
  for _, use in ipairs(uses) do
    local where = use.file .. ":" .. use.line
    if not seen[where] then list[#list + 1] = use end
    seen[where] = true
  end
  local text = list[1].file .. ":" .. list[1].line
  if #text + 1 + #list[1].label <= width - (#list > 1 and 9 or 0) then text = text .. " " .. list[1].label end
  for i = 2, #list do
    local use = list[i]
    local more = ", " .. (use.file == list[i - 1].file and "" or use.file) .. ":" .. use.line
    if #text + #more > width - (i < #list and 9 or 0) then return ("%s, %d more"):format(text, #list - i + 1) end
    text = text .. more
  end
  return text
end

-- Side by side, or one below the other when the first place of a scope would not fit beside it.
local function rows(needs, columns, indent)
  local widest, longest, lines = 0, 0, {}
  for _, need in ipairs(needs) do
    local first = need.uses[1]
    widest = math.max(widest, #need.scope)
    longest = math.max(longest, #first.file + #tostring(first.line) + #first.label + 11)
  end
  local room = columns - #indent - widest - 2
  for _, need in ipairs(needs) do
    if room >= longest then
      lines[#lines + 1] = ("%s%-" .. widest .. "s  %s\n"):format(indent, need.scope, places(need.uses, room))
    else
      lines[#lines + 1] = ("%s%s\n%s    %s\n"):format(indent, need.scope, indent, places(need.uses, columns - #indent - 4))
    end
  end
  return table.concat(lines)
end

local function unknown_text(unknown)
  if #unknown == 0 then return "" end
  local lines = { "\nThe text does not tell these; look at them yourself:" }
  for _, item in ipairs(unknown) do lines[#lines + 1] = ("  %s:%d  %s"):format(item.file, item.line, item.why) end
  return table.concat(lines, "\n") .. "\n"
end

local function names(needs)
  local list = json.array {}
  for i, need in ipairs(needs) do list[i] = need.scope end
  return list
end

local function details(needs)
  local list = json.array {}
  for i, need in ipairs(needs) do
    local uses = json.array {}
    for j, use in ipairs(need.uses) do
      uses[j] = { file = use.file, line = use.line, call = use.label, method = use.method, path = use.path }
    end
    list[i] = { scope = need.scope, uses = uses }
  end
  return list
end

local function compared(needs, unknown, token, columns)
  local lacks, excess = scopes.compare(needs, token.scopes)
  local parts = { token.name }
  parts[#parts + 1] = #lacks == 0 and " has every scope that the scripts need.\n"
    or (" lacks\n" .. rows(lacks, columns, "  ") .. "Add them to the app or key in HubSpot; the scripts get 403 until then.\n")
  if #excess > 0 then
    parts[#parts + 1] = "\nIt has in excess, as far as the scripts tell\n  " .. table.concat(excess, "\n  ") .. "\n"
  end
  return table.concat(parts) .. unknown_text(unknown), lacks, excess
end

---@param request { files: { name: string, path: string, root: string }[], as: "table"|"json"|"app", columns: integer,
---  token: { name: string, scopes: string[] }|nil }
---@return { text: string, notes: string, lacks: integer } # notes: for stderr
function report.scopes(request)
  local found, token, columns = find(request.files), request.token, request.columns
  local given
  if token then
    given = {}
    for _, scope in ipairs(token.scopes) do given[scope] = true end
  end
  local needs = scopes.choose(found.uses, given)
  local lacks, excess, text = {}, {}, nil
  if token then text, lacks, excess = compared(needs, found.unknown, token, columns) end
  if request.as == "json" then
    local unknown = json.array {}
    for i, item in ipairs(found.unknown) do unknown[i] = { file = item.file, line = item.line, why = item.why } end
    local out = { scopes = details(needs), unknown = unknown }
    if token then out.lacks, out.excess = names(lacks), json.array(excess) end
    return { text = json.pretty(out) .. "\n", notes = "", lacks = #lacks }
  end
  if request.as == "app" then
    local out = { requiredScopes = names(needs), optionalScopes = json.array {}, conditionallyRequiredScopes = json.array {} }
    return { text = json.pretty(out) .. "\n", notes = unknown_text(found.unknown), lacks = #lacks }
  end
  if not text then
    text = #needs > 0 and rows(needs, columns, "") or "The scripts need no scope.\n"
    text = text .. unknown_text(found.unknown)
  end
  return { text = text, notes = "", lacks = #lacks }
end

---@param request { files: { name: string, path: string, root: string, settings: boolean|nil, whole: boolean|nil }[],
---  as: "people"|"json"|"sarif", version: string, answers: check.answers|nil }
---@return { text: string, findings: integer, questions: check.questions }
function report.check(request)
  for _, file in ipairs(request.files) do
    local text, message = source(file.path)
    if not text then error(("cannot read %s: %s"):format(file.name, message), 0) end
    file.text = text
  end
  local findings, sources, questions = lint.check(request.files, reader, request.answers)
  return { text = tell[request.as](findings, sources, request.version), findings = #findings, questions = questions }
end

---What a script names of the account, for report.fit. src/cmd/fit.c asks for both.
---@param request { file: { name: string, path: string, root: string } }
---@return { needs: check.needs, questions: check.questions }
function report.needs(request)
  local file = request.file
  local text, message = source(file.path)
  if not text then error(("cannot read %s: %s"):format(file.name, message), 0) end
  return account.needs(flow.run(lint.api, file.name, text, reader(file.root)), file.name, text)
end

---@param request { needs: table<string, check.needs>, accounts: table<string, check.answers> } by script, by name
---@return table<string, { wrong: string[], open: boolean }> by script
function report.fit(request)
  local out = {}
  for name, needs in pairs(request.needs) do out[name] = account.fit(needs, request.accounts) end
  return out
end

---The e-mails of owners that scripts name.
---@param request { files: { name: string, path: string, root: string, settings: boolean|nil }[] }
---@return { owners: string[] }
function report.owners(request)
  local emails = {}
  for _, file in ipairs(request.files) do
    local text = source(file.path)
    for _, use in ipairs(text and flow.run(lint.api, file.name, text, reader(file.root)).program.owners or {}) do
      if use.owner:find("@", 1, true) then emails[use.owner] = true end
    end
  end
  return { owners = json.array(texts.sorted(emails)) }
end

--- `hubloop webhooks plan` and `list` (src/cmd/cmd_webhooks.c).
function report.webhooks_plan(request) return require("check.webhooks").plan(request) end
function report.webhooks_list(request) return require("check.webhooks").list(request) end

return report
