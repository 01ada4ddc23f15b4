--- What `hubloop migrate` prints and writes: lines for people, JSON, and the report in Markdown or as one HTML page.
local document = {}

local function count(n, one, many) return ("%d %s"):format(n, n == 1 and one or many or one .. "s") end
local function plain(s) return (s:gsub("%c", "?")) end

local BODY <const> = { same = "the same", differs = "differs", unknown = "not told" }

local function old_call(finding) return (finding.method and finding.method .. " " or "") .. finding.path end

local function new_call(finding)
  if not finding.replacement then return nil end
  local method = finding.new_method or finding.method
  return (method and (finding.method or finding.new_method) and method .. " " or "") .. finding.replacement
end

local function needs(finding)
  if #finding.needs > 0 then return table.concat(finding.needs, ", ") end
  if finding.unknown_scopes then return finding.replacement and "depends on the object type" or "not told" end
  return "none"
end

local function tally(result)
  local by = { ["api-key"] = 0, ["old-path"] = 0, client = 0 }
  local files, n = {}, 0
  for _, finding in ipairs(result.findings) do
    by[finding.kind] = by[finding.kind] + 1
    if not files[finding.file] then
      files[finding.file] = true
      n = n + 1
    end
  end
  return by, n
end

local function summary(result)
  local by, files = tally(result)
  local parts = {}
  if by["api-key"] > 0 then parts[#parts + 1] = count(by["api-key"], "API key") end
  if by["old-path"] > 0 then parts[#parts + 1] = count(by["old-path"], "old path") end
  if by.client > 0 then parts[#parts + 1] = count(by.client, "client call") end
  local text = #parts == 0 and "nothing found in " .. count(result.files, "file")
    or ("%s in %d of %s"):format(table.concat(parts, ", "), files, count(result.files, "file"))
  if result.rewritten > 0 then text = text .. ("; %d rewritten, the old files are FILE.orig"):format(result.rewritten) end
  return text
end

-- Remarks that are no findings.
local function remarks(result)
  local list = {}
  if result.mentions > 0 then list[#list + 1] = ("%s in comments, messages and prose left out"):format(count(result.mentions,
    "mention")) end
  for _, item in ipairs(result.large) do list[#list + 1] = ("not read: %s: %s"):format(plain(item.file), item.why) end
  return list
end

local function safe_left(result)
  local n = 0
  for _, finding in ipairs(result.findings) do
    if finding.safe and not finding.rewritten then n = n + 1 end
  end
  return n
end

---@param result table
---@param put fun(s: string)
function document.text(result, put)
  local file
  for _, finding in ipairs(result.findings) do
    if finding.file ~= file then
      file = finding.file
    end
    local where = ("%s:%d: "):format(plain(finding.file), finding.line)
    if not finding.path then put(("%s%s [%s]\n"):format(where, finding.note, finding.kind))
    else
      put(("%s%s → %s [%s]%s\n"):format(where, old_call(finding), new_call(finding) or "nothing yet", finding.kind,
        finding.rewritten and " rewritten" or ""))
      local line = ("  body: %s; scopes: %s"):format(BODY[finding.body] or "not told", needs(finding))
      put(line .. "\n")
      if finding.note then put("  " .. finding.note .. "\n") end
    end
  end
  put(summary(result) .. "\n")
  for _, remark in ipairs(remarks(result)) do put(remark .. "\n") end
  if #result.findings == 0 then return end
  local left = safe_left(result)
  if left > 0 and not result.written then put(("--write rewrites %d of them\n"):format(left)) end
  if #result.scopes > 0 then
    put("\nScopes\n")
    for _, need in ipairs(result.scopes) do
      put(("  %s  (%s)\n"):format(need.scope, count(#need.uses, "place")))
    end
  end
  for _, need in ipairs(result.maybe) do
    put(("  %s, if %s:%d writes%s\n"):format(need.scope, plain(need.uses[1].file), need.uses[1].line, #need.uses > 1
      and (" (and %d more)"):format(#need.uses - 1) or ""))
  end
  put(("\nCredential: %s, because %s\n"):format(result.credential.name, result.credential.why))
  for i, step in ipairs(result.credential.steps) do put(("  %d. %s\n"):format(i, step)) end
end

local function of_json(finding)
  return { file = finding.file, line = finding.line, kind = finding.kind, path = finding.path, method = finding.method,
    replacement = finding.replacement,
    replacement_method = finding.new_method, body = finding.body, scopes = json.array(finding.needs), note = finding.note,
      api = finding.api,
    safe = finding.safe, rewritten = finding.rewritten or false }
end

---@param result table
---@param put fun(s: string)
function document.json(result, put)
  put('{\n  "findings": [')
  for i, finding in ipairs(result.findings) do put((i > 1 and ",\n    " or "\n    ") .. json.encode(of_json(finding))) end
  put(#result.findings > 0 and "\n  ],\n" or "],\n")
  local scopes, maybe = json.array {}, json.array {}
  for i, need in ipairs(result.scopes) do scopes[i] = need.scope end
  for i, need in ipairs(result.maybe) do maybe[i] = need.scope end
  local rest = { { "scopes", scopes }, { "scopes_if_written", maybe }, { "credential", { kind = result.credential.kind,
    why = result.credential.why, steps = json.array(result.credential.steps) } },
    { "files", result.files }, { "mentions", result.mentions }, { "rewritten", result.rewritten }, { "unreadable",
      json.array(result.failed) },
    { "not_rewritten", json.array(result.unwritten) }, { "left_out", json.array(result.large) } }
  for i, pair in ipairs(rest) do put(('  "%s": %s%s\n'):format(pair[1], json.encode(pair[2]), i < #rest and "," or "")) end
  put("}\n")
end

-- ---- the report: one list of parts, two ways to write them ----

local INTRO <const> = "HubSpot has refused API keys since 2022-11-30, and ends support for v1-v4 paths in 2027. This report lists each "
  .. "place in the code that uses one, the call that replaces it, and the scopes that the new credential needs. Dated paths apply "
  .. "HubSpot's property validation rules to every write: a write that passed before can be refused."

local function parts_of(result)
  local parts = { { "h1", "HubSpot migration" }, { "p", INTRO }, { "p", "Looked at: " .. table.concat(result.paths, ", ") .. ". Found: "
    .. summary(result) .. "." } }
  local function add(...) parts[#parts + 1] = { ... } end
  if #result.findings > 0 then
    add("h2", "The credential")
    local name = result.credential.name
    add("p", ("%s: %s."):format(name:sub(1, 1):upper() .. name:sub(2), result.credential.why))
    add("ol", result.credential.steps)
    add("h2", "Scopes")
    local rows = {}
    for _, need in ipairs(result.scopes) do
      local places = {}
      for i = 1, math.min(3, #need.uses) do places[i] = ("%s:%d"):format(need.uses[i].file, need.uses[i].line) end
      if #need.uses > 3 then places[#places + 1] = ("%d more"):format(#need.uses - 3) end
      rows[#rows + 1] = { "`" .. need.scope .. "`", table.concat(places, ", ") }
    end
    for _, need in ipairs(result.maybe) do rows[#rows + 1] = { "`" .. need.scope .. "`",
      ("only if %s:%d writes"):format(need.uses[1].file, need.uses[1].line) } end
    add("table", { "Scope", "Needed at" }, rows)
    local file
    for _, finding in ipairs(result.findings) do
      if finding.file ~= file then
        if file == nil then add("h2", "The places") end
        file = finding.file
        add("h3", file)
        add("table", { "Line", "Now", "Becomes", "Body", "Scopes", "Remark" }, {})
      end
      local list = parts[#parts][3]
      if not finding.path then
        local key = finding.kind == "api-key"
        list[#list + 1] = { tostring(finding.line), key and "API key" or "old client", key and "a bearer token" or "", "", "",
          finding.note }
      else
        local new = new_call(finding)
        list[#list + 1] = { tostring(finding.line), "`" .. old_call(finding) .. "`", new and "`" .. new .. "`" or "nothing yet",
          BODY[finding.body] or "", needs(finding),
          (finding.rewritten and "rewritten. " or finding.safe and "safe to rewrite. " or "") .. (finding.note or "") }
      end
    end
  end
  local list = remarks(result)
  for _, item in ipairs(result.failed) do list[#list + 1] = ("could not be read: %s: %s"):format(item.file, item.why) end
  for _, item in ipairs(result.unwritten) do list[#list + 1] = ("not rewritten: %s: %s"):format(item.file, item.why) end
  if #list > 0 then
    add("h2", "Remarks")
    add("ul", list)
  end
  return parts
end

local function escape_md(s) return (plain(s):gsub("[\\|<>*_%[%]#]", "\\%0")) end

-- `code` keeps its marks; what is in it is not escaped but for the table's own divider.
local function inline_md(s)
  local out, at = {}, 1
  while true do
    local from, to, code = s:find("`([^`]*)`", at)
    out[#out + 1] = escape_md(s:sub(at, (from or 0) - 1))
    if not from then return table.concat(out) end
    out[#out + 1] = "`" .. plain(code):gsub("|", "\\|") .. "`"
    at = to + 1
  end
end

---@param result table
---@return string
function document.markdown(result)
  local out = {}
  local function put(...) out[#out + 1] = table.concat { ... } end
  for _, part in ipairs(parts_of(result)) do
    local kind = part[1]
    if kind == "h1" then put("# ", part[2], "\n\n")
    elseif kind == "h2" then put("## ", part[2], "\n\n")
    elseif kind == "h3" then put("### ", escape_md(part[2]), "\n\n")
    elseif kind == "p" then put(inline_md(part[2]), "\n\n")
    elseif kind == "ol" or kind == "ul" then
      for i, item in ipairs(part[2]) do put(kind == "ol" and i .. ". " or "- ", inline_md(item), "\n") end
      put("\n")
    elseif kind == "table" and #part[3] > 0 then
      put("| ", table.concat(part[2], " | "), " |\n|", ("---|"):rep(#part[2]), "\n")
      for _, row in ipairs(part[3]) do
        local cells = {}
        for i, cell in ipairs(row) do cells[i] = inline_md(cell) end
        put("| ", table.concat(cells, " | "), " |\n")
      end
      put("\n")
    end
  end
  return table.concat(out)
end

local ENTITIES <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }
local function escape_html(s) return (plain(s):gsub("[&<>\"']", ENTITIES)) end
local function inline_html(s) return (escape_html(s):gsub("`([^`]*)`", "<code>%1</code>")) end

local STYLE <const> = [[body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}
body{color:#1b1b1b;background:#fff}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}
th,td{text-align:left;vertical-align:top;border-bottom:1px solid #ddd;padding:.3rem .6rem;overflow-wrap:anywhere}
th{font-weight:600}code{font-family:ui-monospace,monospace;font-size:.9em}
h3{margin-bottom:.2rem;font-family:ui-monospace,monospace;font-size:1rem}
@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}th,td{border-color:#444}}]]

---@param result table
---@return string
function document.html(result)
  local out = { '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="hubloop migrate">',
    '<meta name="viewport" content="width=device-width">',
    [[<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">]],
    "<title>HubSpot migration</title><style>", STYLE, "</style></head><body>\n" }
  local function put(...) out[#out + 1] = table.concat { ... } end
  for _, part in ipairs(parts_of(result)) do
    local kind = part[1]
    if kind == "ol" or kind == "ul" then
      put("<", kind, ">\n")
      for _, item in ipairs(part[2]) do put("<li>", inline_html(item), "</li>\n") end
      put("</", kind, ">\n")
    elseif kind == "table" then
      if #part[3] > 0 then
        put("<table><thead><tr>")
        for _, head in ipairs(part[2]) do put("<th>", escape_html(head), "</th>") end
        put("</tr></thead><tbody>\n")
        for _, row in ipairs(part[3]) do
          put("<tr>")
          for _, cell in ipairs(row) do put("<td>", inline_html(cell), "</td>") end
          put("</tr>\n")
        end
        put("</tbody></table>\n")
      end
    else put("<", kind, ">", kind == "p" and inline_html(part[2]) or escape_html(part[2]), "</", kind, ">\n") end
  end
  put("</body></html>\n")
  return table.concat(out)
end

return document
