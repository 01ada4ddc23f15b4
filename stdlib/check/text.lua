--- What `hubloop check` finds in a script's bare text: secrets, API keys, old paths, and the comments that silence it.
local _, host = ...
local lexer = require "check.lexer"

local text = {}

---@param t table<string, any>
---@return string[]
function text.sorted(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  table.sort(list)
  return list
end

---Without bytes that are no UTF-8.
---@param s string
---@return string
function text.readable(s)
  local parts, from = {}, 1
  while true do
    local fine, bad = utf8.len(s, from)
    if fine then return table.concat(parts) .. s:sub(from) end
    parts[#parts + 1] = s:sub(from, bad - 1) .. "?"
    from = bad + 1
  end
end

---@param source string
---@param n integer
---@return string|nil
function text.line(source, n)
  local i = 0
  for line in (source .. "\n"):gmatch("(.-)\r?\n") do
    i = i + 1
    if i == n then return line end
  end
end

local HEX = "%x%x%x%x"
local UUID = HEX .. HEX .. "%-" .. HEX .. "%-" .. HEX .. "%-" .. HEX .. "%-" .. HEX .. HEX .. HEX
local SECRETS = {
  { "pat%-%l%l%d%-" .. UUID, "a HubSpot token" },
  { "[Bb]earer%s+[%w%-%._~+/]+", "a bearer token", 28 },
  { "xox[abprs]%-%w+%-[%w%-]+", "a Slack token" },
  { "gh[pousr]_%w+", "a GitHub token", 30 },
  { "sk_live_%w+", "a Stripe key", 20 },
  { "AKIA%u%d[%u%d]+", "an AWS key", 20 },
  { "%-%-%-%-%-BEGIN [%u ]*PRIVATE KEY%-%-%-%-%-", "a private key" },
}
-- A UUID is a secret where it is called one.
local NAMED = { "secret", "token", "apikey", "api_key", "password", "access_key" }

local KEEP <const> = 'secrets come from the environment, a file or the encrypted store: secret "NAME"'

---@param source string
---@return check.finding[] without their file
function text.secrets(source)
  local found, n = {}, 0
  for line in (source .. "\n"):gmatch("(.-)\r?\n") do
    n = n + 1
    local key = line:find("hapikey[\"'%]]*%s*[=:]")
    if key then
      found[#found + 1] = { rule = "api-key", line = n, col = key,
        message = "API keys (hapikey) ended on 2022-11-30 and HubSpot refuses them; use a private app's token or a service key" }
    end
    for _, one in ipairs(SECRETS) do
      local from, to = line:find(one[1])
      if from and to - from + 1 >= (one[3] or 0) then
        found[#found + 1] = { rule = "secret", line = n, col = from, message = ("%s in the text; %s"):format(one[2], KEEP) }
      end
    end
    local from = line:find(UUID)
    local before = from and line:sub(1, from - 1):lower()
    for _, word in ipairs(before and not before:find("pat%-%l%l%d%-$") and not key and NAMED or {}) do
      if before:find(word .. "[%w_]*[\"'%]]*%s*[=:]%s*[\"']?$") then
        found[#found + 1] = { rule = "secret", line = n, col = from, message = ("a secret in the text; %s"):format(KEEP) }
        break
      end
    end
  end
  return found
end

---The legacy path in a text, and the dated one that replaces it. A URL counts when its host is HubSpot's.
---@param value string
---@return string|nil path
---@return string|nil dated
function text.old_path(value)
  if not value:find("/v[1-4]/") and not value:find("/v[1-4]$") then return nil end
  local name, rest = value:match("^%a[%w+.-]*://([^/]+)(/.*)$")
  if name and not name:find("hubapi%.com$") and not name:find("hubspot%.com$") then return nil end
  local path = (rest or value):match("^(/[^%s?#]*)")
  if not path then return nil end
  local _, dated = host.operation("GET", path)
  if not dated then return nil end
  return path, dated
end

---Lines that a comment silences: `-- hubloop: ignore`, or with names of rules; alone on its line it is for the next one.
---@param source string
---@return table<integer, { all: boolean, [string]: true }>
function text.ignored(source)
  local lines = {}
  local ok, _, comments = pcall(lexer.tokens, source)
  for _, comment in ipairs(ok and comments or {}) do
    local rules = comment.text:match("^%s*hubloop:%s*ignore%s*(.*)$")
    if rules then
      local set = lines[comment.alone and comment.line + 1 or comment.line] or {}
      set.all = set.all or not rules:find("%S")
      for rule in rules:gmatch("[%w%-]+") do set[rule] = true end
      lines[comment.alone and comment.line + 1 or comment.line] = set
    end
  end
  return lines
end

return text
