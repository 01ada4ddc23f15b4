--- The scopes that scripts need, out of the calls in them. `hubloop scopes` prints what comes from here.
local _, host = ...
local flow = require "check.flow"
local hubspot = require "check.hubspot"

local scopes = {}

---@class check.need
---@field scope string
---@field uses table[] { label=, file=, line= } in the order of files and lines

---@class check.found
---@field uses table[] { label=, file=, line=, method=, path=, scopes = { { "a" }, … } }
---@field unknown table[] { file=, line=, why= }: what the texts do not tell

local function by_place(a, b)
  if a.file ~= b.file then return a.file < b.file end
  if a.line ~= b.line then return a.line < b.line end
  return (a.why or a.label) < (b.why or b.label)
end

-- What the hubspot module reaches that is in none of HubSpot's documents.
local UNPUBLISHED <const> = { { "^/automation/v2/workflows/[^/]+/enrollments/contacts/[^/]+$", { { "automation" } } },
  { "^/form%-integrations/v1/submissions/forms/[^/]+$", { { "forms" } } } }

local function unpublished(path)
  for _, row in ipairs(UNPUBLISHED) do
    if path:find(row[1]) then return { scopes = row[2] } end
  end
end

---The calls that flow.run has found, with their scopes; those that cannot be made are among what the text does not tell.
---@param result { uses: table[], unknown: table[] }
---@return check.found
function scopes.judge(result)
  local found = { uses = {}, unknown = table.move(result.unknown, 1, #result.unknown, 1, {}) }
  for _, item in ipairs(result.uses) do
    local function wrong(rule, why, ...)
      table.insert(found.unknown, { file = item.file, line = item.line, col = item.col, wrong = rule,
        why = ("%s: " .. why):format(item.label, ...) })
    end
    local operation, dated = host.operation(item.method, item.path)
    if not operation then operation = unpublished(item.path) end
    if not operation and dated then
      wrong("old-path", "the legacy path %s is refused; use %s", item.path, dated)
      operation = host.operation(item.method, dated)
    elseif not operation then
      wrong("path", "HubSpot publishes no %s %s", item.method, item.path)
    end
    if operation and not operation.scopes then
      wrong(nil, "the object type in %s has no known scopes", item.path)
    elseif operation then
      item.scopes = operation.scopes
      table.insert(found.uses, item)
    end
  end
  return found
end

---Everything that the files can ask of HubSpot.
---@param files { name: string, text: string }[]
---@param read fun(name: string): string|nil, string|nil
---@return check.found
function scopes.find(files, read)
  local found, seen = { uses = {}, unknown = {} }, {}
  for _, file in ipairs(files) do
    local result = scopes.judge(flow.run(hubspot, file.name, file.text, read))
    for kind, list in pairs(result) do
      for _, item in ipairs(list) do
        local key = ("%s %s:%d %s %s"):format(kind, item.file, item.line, item.why or item.label, item.path or "")
        if not seen[key] then
          seen[key] = true
          table.insert(found[kind], item)
        end
      end
    end
  end
  table.sort(found.uses, by_place)
  table.sort(found.unknown, by_place)
  return found
end

-- How many scopes of the alternative are not in `have`.
local function lacking(alternative, have)
  local n = 0
  for _, scope in ipairs(alternative) do
    if not have[scope] then n = n + 1 end
  end
  return n
end

-- The alternative that takes the fewest more; of equal ones the first, which is the narrowest.
local function cheapest(use, have)
  local best, fewest
  for _, alternative in ipairs(use.scopes) do
    local n = lacking(alternative, have)
    if not best or n < fewest then best, fewest = alternative, n end
  end
  return best, fewest
end

---The smallest set of scopes that lets all of the calls through, as far as choosing one call after the other gets
---there: first the calls that leave no choice.
---@param uses table[]
---@param given table<string, true>|nil what a token has: preferred where there is a choice
---@return check.need[] needs sorted by scope
function scopes.choose(uses, given)
  local chosen, needs, left = {}, {}, {}
  local function take(use, alternative)
    for _, scope in ipairs(alternative) do
      local need = chosen[scope]
      if not need then
        need = { scope = scope, uses = {} }
        chosen[scope] = need
        needs[#needs + 1] = need
      end
      need.uses[#need.uses + 1] = use
    end
  end
  for _, use in ipairs(uses) do
    if #use.scopes == 1 then take(use, use.scopes[1])
    elseif #use.scopes > 1 then left[#left + 1] = use end
  end
  for _, use in ipairs(left) do
    local best, fewest = cheapest(use, chosen)
    if given and fewest > 0 then
      local held, missing = cheapest(use, given)
      if missing == 0 then best = held end
    end
    take(use, best)
  end
  table.sort(needs, function(a, b) return a.scope < b.scope end)
  for _, need in ipairs(needs) do table.sort(need.uses, by_place) end
  return needs
end

---Names of the scopes that calls need, sorted.
---@param uses { method: string, path: string }[]
---@return string[]
function scopes.of(uses)
  local list, names = {}, {}
  for i, use in ipairs(uses) do
    local operation = host.operation(use.method, use.path)
    list[i] = { label = "", file = "", line = i, scopes = operation and operation.scopes or {} }
  end
  for i, need in ipairs(scopes.choose(list)) do names[i] = need.scope end
  return names
end

---@param needs check.need[]
---@param granted string[]
---@return check.need[] lacks
---@return string[] excess
function scopes.compare(needs, granted)
  local have, lacks, used, excess = {}, {}, {}, {}
  for _, scope in ipairs(granted) do have[scope] = true end
  for _, need in ipairs(needs) do
    used[need.scope] = true
    if not have[need.scope] then lacks[#lacks + 1] = need end
  end
  for _, scope in ipairs(granted) do
    -- Every app has "oauth"; it grants nothing by itself.
    if not used[scope] and scope ~= "oauth" then excess[#excess + 1] = scope end
  end
  table.sort(excess)
  return lacks, excess
end

return scopes
