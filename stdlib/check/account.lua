--- What scripts name that an account must have: properties and their values, pipelines and stages, owners of pools, and
--- the scopes of the calls that they make. `hubloop check --properties` tells of it; `hubloop serve` stops a script
--- only for what is sure: written in its own file, where nothing else can be meant.
local properties = require "check.properties"
local scopes = require "check.scopes"
local texts = require "check.text"

local account = {}

---@class check.questions what to ask HubSpot
---@field properties string[] object types
---@field pipelines string[] object types
---@field owners boolean
---@field scopes boolean

---@class check.needs
---@field properties check.property_use[]
---@field owners table[] { owner=, file=, node = { line= } }
---@field calls table[] as of scopes.judge

local function questions(uses, owners, calls)
  local asked = { properties = {}, pipelines = {} }
  for _, use in ipairs(uses) do asked[properties.asks(use)][use.type] = true end
  return { properties = json.array(texts.sorted(asked.properties)), pipelines = json.array(texts.sorted(asked.pipelines)),
    owners = owners, scopes = calls }
end

---@param programs check.program[]
---@return check.questions
function account.questions(programs)
  local uses, owners = {}, false
  for _, program in ipairs(programs) do
    table.move(program.properties or {}, 1, #(program.properties or {}), #uses + 1, uses)
    owners = owners or program.owners ~= nil
  end
  return questions(uses, owners, false)
end

---@param result table of flow.run
---@param name string of the script
---@param text string its source
---@return { needs: check.needs, questions: check.questions }
function account.needs(result, name, text)
  local ignored = texts.ignored(text)
  local function counts(rule, file, line)
    local lines = ignored[line]
    return file == name and not (lines and (lines.all or lines[rule]))
  end
  local function sure(rule, list)
    local out = json.array {}
    for _, use in ipairs(list or {}) do
      if use.sure and counts(rule, use.file, use.node.line) then
        out[#out + 1] = { type = use.type, name = use.name, value = use.value, owner = use.owner, file = use.file,
          node = { line = use.node.line } }
      end
    end
    return out
  end
  local calls = json.array {}
  for _, use in ipairs(scopes.judge(result).uses) do
    -- The app that is subscribed may be another one than the token's; a side of a sync may only be read.
    local made = not use.heard and use.label ~= "sync.hubspot"
    if made and #use.scopes > 0 and counts("scope", use.file, use.line) then calls[#calls + 1] = use end
  end
  local needs = { properties = sure("property", result.program.properties), owners = sure("owner", result.program.owners),
    calls = calls }
  return { needs = needs, questions = questions(needs.properties, #needs.owners > 0, #calls > 0) }
end

-- Wrong when no account has it; open while one of them has not said.
local function judge(uses, accounts, told, wrong, say)
  local open = false
  for _, use in ipairs(uses) do
    local first, fits
    for _, name in ipairs(texts.sorted(accounts)) do
      local known = told(use, accounts[name]) ~= nil
      local here = known and wrong(use, accounts[name])
      first, fits, open = first or here, fits or not here, open or not known
    end
    if first and not fits then say(("%s:%d: %s"):format(use.file, use.node and use.node.line or use.line, first)) end
  end
  return open
end

local function missing(call, answers)
  if not answers.scopes then return nil end
  local given = {}
  for _, scope in ipairs(answers.scopes) do given[scope] = true end
  local lacks = scopes.compare(scopes.choose({ call }, given), answers.scopes)
  local names = {}
  for i, need in ipairs(lacks) do names[i] = need.scope end
  return #names > 0 and ("%s needs the scope %s, which the token does not have"):format(call.label, table.concat(names, ", "))
end

---@param needs check.needs
---@param accounts table<string, check.answers> by name; false: it does not tell, nil: it has not told yet
---@return { wrong: string[], open: boolean } # open: there is more to be told
function account.fit(needs, accounts)
  local wrong, seen = json.array {}, {}
  local function say(text)
    text = texts.readable(text:sub(1, 400))
    if not seen[text] then wrong[#wrong + 1] = text end
    seen[text] = true
  end
  local open = false
  local function all(uses, known, f) open = judge(uses, accounts, known, f, say) or open end
  all(needs.properties, function(use, answers)
    local part = answers[properties.asks(use)]
    return part and part[use.type]
  end, properties.judge)
  all(needs.owners, function(_, answers) return answers.owners end, properties.judge_owner)
  all(needs.calls, function(_, answers) return answers.scopes end, missing)
  return { wrong = wrong, open = open }
end

return account
