--- `hubloop migrate` (src/cmd/cmd_migrate.c): begin(request), walk() until it is done, finish().
local _, host = ...
local document = require "migrate.document"
local legacy = require "migrate.legacy"
local plan = require "migrate.plan"
local readable = require "check.text".readable
local scan = require "migrate.scan"
local text = require "migrate.text"
local tree = require "migrate.tree"

local report = {}

local STRIDE <const>, BYTES <const> = 500, 8 << 20 -- of one walk()
local MARK <const> = 'content="hubloop migrate"'   -- our own report is none of their code

local run

---@param request { paths: string[], write: boolean, json: boolean, markdown: string|nil, html: string|nil }
function report.begin(request)
  run = { request = request, walk = tree.begin(request.paths), findings = {}, files = 0, mentions = 0, rewritten = 0, failed = {},
    unwritten = {},
    bearer = {}, signs = {} }
  return {}
end

local function write(file, bytes, s, encoding, found)
  local new, n = scan.rewrite(s, found)
  if n == 0 then return end
  local back = text.encode(s, encoding)
  local ok, why
  if back ~= bytes then why = "its encoding does not come back as it was"
  else ok, why = host.replace(file.path, text.encode(new, encoding), file.path .. ".orig", bytes) end
  if not ok then
    table.insert(run.unwritten, { file = file.name, why = why })
    return
  end
  for _, finding in ipairs(found) do
    if finding.edit then finding.rewritten = true end
  end
  run.rewritten = run.rewritten + n
end

local function look(file)
  local bytes, why = host.source(file.path, file.named and tree.most_named or tree.most)
  if not bytes then
    table.insert(run.failed, { file = file.name, why = why })
    return 0
  end
  run.files = run.files + 1
  local s, encoding = text.decode(bytes)
  if not s and file.named then s = bytes end
  if not s or s:find(MARK, 1, true) then return #bytes end
  local found, mentions, also = scan.file(file.name, s)
  run.mentions = run.mentions + mentions
  for name in pairs(also.bearer) do run.bearer[name] = true end
  for sign in pairs(also.signs or {}) do run.signs[sign] = true end
  if #found == 0 then return #bytes end
  if run.request.write then write(file, bytes, s, encoding, found) end
  for _, finding in ipairs(found) do
    finding.file, finding.edit = file.name, nil
    table.insert(run.findings, finding)
  end
  return #bytes
end

---@return { done: integer } in thousandths
function report.walk()
  local n, bytes = 0, 0
  while n < STRIDE and bytes < BYTES do
    local file = tree.next(run.walk)
    if not file then return { done = 1000 } end
    bytes = bytes + look(file)
    n = n + 1
  end
  return { done = math.min(999, math.floor(tree.done(run.walk) * 1000)) }
end

local function save(path, body)
  if not path then return nil end
  local ok, why = host.replace(path, body)
  return not ok and ("cannot write %s: %s"):format(path, why) or nil
end

---@return { notes: string, code: integer }
function report.finish()
  local request = run.request
  table.move(run.walk.failed, 1, #run.walk.failed, #run.failed + 1, run.failed)
  -- A variable that some file sends as a bearer token holds no API key, whatever it is called.
  local kept = {}
  for _, finding in ipairs(run.findings) do
    if not (finding.name and run.bearer[finding.name]) then kept[#kept + 1] = finding end
    finding.file = readable(finding.file)
  end
  local result = { findings = kept, files = run.files, mentions = run.mentions, rewritten = run.rewritten, failed = run.failed,
    unwritten = run.unwritten,
    large = run.walk.large, version = legacy.version, paths = request.paths, written = request.write }
  for _, list in ipairs { result.failed, result.unwritten, result.large } do
    for _, item in ipairs(list) do item.file = readable(item.file) end
  end
  plan.make(result, run.signs)
  if request.json then document.json(result, host.put)
  else document.text(result, host.put) end
  local notes = {}
  for _, item in ipairs(run.failed) do notes[#notes + 1] = ("cannot read %s: %s"):format(item.file, item.why) end
  for _, item in ipairs(run.unwritten) do notes[#notes + 1] = ("%s is not rewritten: %s"):format(item.file, item.why) end
  local left = #kept
  for _, finding in ipairs(kept) do
    if finding.rewritten then left = left - 1 end
  end
  local code = (#run.failed > 0 or #run.unwritten > 0) and 3 or left > 0 and 1 or 0
  for _, wrong in ipairs { save(request.markdown, request.markdown and document.markdown(result)) or false,
    save(request.html, request.html and document.html(result)) or false } do
    if wrong then
      notes[#notes + 1] = wrong
      code = 3
    end
  end
  return { notes = table.concat(notes, "\n"), code = code }
end

return report
