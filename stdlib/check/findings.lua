--- How the findings of `hubloop check` are told: to people, as JSON, as SARIF 2.1.0.
local lint = require "check.lint"
local texts = require "check.text"

local tell = {}

local WIDEST <const> = 120

-- In characters, from 1.
local function column(source, item)
  local line = item.col and source and texts.line(source, item.line)
  return line and utf8.len(texts.readable(line:sub(1, item.col - 1))) + 1 or nil
end

-- The line with a caret under the column; long lines are shown around it.
local function shown(source, item)
  local line = source and texts.line(source, item.line)
  if not line or not line:find("%S") then return "" end
  local col = item.col or line:find("%S")
  local before, after = texts.readable(line:sub(1, col - 1):gsub("%c", " ")), texts.readable(line:sub(col):gsub("%c", " "))
  local blanks = utf8.len(before)
  if blanks > WIDEST - 20 then before, blanks = "…" .. before:sub(utf8.offset(before, -40)), 41 end
  local cut = utf8.offset(after, WIDEST - blanks + 1)
  if cut and cut <= #after then after = after:sub(1, cut - 1) .. "…" end
  return ("  %s%s\n  %s^\n"):format(before, after, (" "):rep(blanks))
end

local function count(n, one) return ("%d %s%s"):format(n, one, n == 1 and "" or "s") end

---@param findings check.finding[]
---@param sources table<string, string>
---@return string
function tell.people(findings, sources)
  local parts, files, n = {}, {}, 0
  for _ in pairs(sources) do n = n + 1 end
  for _, item in ipairs(findings) do
    parts[#parts + 1] = ("%s:%d: %s: %s [%s]\n%s"):format(item.file, item.line, item.level, item.message, item.rule,
      shown(sources[item.file], item))
    files[item.file] = true
  end
  if #findings == 0 then return ("%s, nothing found\n"):format(count(n, "file")) end
  local with = #texts.sorted(files)
  parts[#parts + 1] = ("%s in %d of %s\n"):format(count(#findings, "finding"), with, count(n, "file"))
  return table.concat(parts)
end

---@return string
function tell.json(findings, sources)
  local list = json.array {}
  for i, item in ipairs(findings) do
    list[i] = { rule = item.rule, level = item.level, file = item.file, line = item.line,
      column = column(sources[item.file], item), message = item.message }
  end
  return json.pretty { findings = list, files = #texts.sorted(sources) } .. "\n"
end

local function uri(path)
  return (path:gsub("[^%w%-._~/]", function(c) return ("%%%02X"):format(c:byte()) end))
end

---@param version string of hubloop
---@return string
function tell.sarif(findings, sources, version)
  local rules, results, index = json.array {}, json.array {}, {}
  for i, rule in ipairs(lint.rules) do
    index[rule[1]] = i - 1
    rules[i] = { id = rule[1], shortDescription = { text = rule[3] }, defaultConfiguration = { level = rule[2] } }
  end
  for i, item in ipairs(findings) do
    results[i] = { ruleId = item.rule, ruleIndex = index[item.rule], level = item.level, message = { text = item.message },
      locations = json.array { { physicalLocation = { artifactLocation = { uri = uri(item.file) },
        region = { startLine = item.line, startColumn = column(sources[item.file], item) } } } } }
  end
  return json.pretty { ["$schema"] = "https://json.schemastore.org/sarif-2.1.0.json", version = "2.1.0",
    runs = json.array { { tool = { driver = { name = "hubloop", version = version, rules = rules } },
      columnKind = "unicodeCodePoints", results = results } } } .. "\n"
end

return tell
