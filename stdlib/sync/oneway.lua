--- One way: rows of the source are found at the target by their key, compared, and written where they differ. No record
--- of links is kept, so a million rows take no room, and a second run finds nothing to do.
local definition = require "sync.definition"
local guards = require "sync.guards"
local state = require "sync.state"

local oneway = {}

-- The text of what the target holds, whatever it is.
local function held_text(field, row)
  local s, why = field.read.right(row)
  if s == nil and why then return tostring(row[field.right]) end
  return s
end

local function shown(op, key, fields) return { action = op, on = "right", key = key, fields = fields } end

-- A row that cannot go on: kept with its reason, found again by its key, or its place in the source.
local function put_bad(run, row, reason)
  local id = row.key or row.record.id
  local entry = state.bad(id, reason, row.record)
  run.result:add_bad(id, entry.reason, entry.row)
  run.bad_ids[state.bad_id(id)] = true
  run.puts["q/" .. state.bad_id(id)] = entry
end

local function put_well(run, row)
  for _, id in ipairs { row.key, row.record.bad_id or row.record.id } do
    if run.bad_ids[state.bad_id(id)] then
      run.bad_ids[state.bad_id(id)] = nil
      run.puts["q/" .. state.bad_id(id)] = false
    end
  end
end

-- What the source's records had as key when they were brought, by their ids (deletes = "follow"). Waits.
local function known_keys(run, records)
  local ids, out = {}, {}
  for _, record in ipairs(records) do
    ids[#ids + 1] = state.spread("i", record.id)
    for _, old in ipairs(record.merged or {}) do ids[#ids + 1] = state.spread("i", old) end
  end
  local stored = run.state:get_all(ids)
  for _, id in ipairs(ids) do
    if run.puts[id] ~= nil then out[id] = run.puts[id] or nil else out[id] = stored[id] end
  end
  return out
end

-- A row that deletes what a record had brought under a key that is no longer its own.
local function add_gone(run, rows, known, id, key)
  local at = state.spread("i", id)
  if not known[at] or known[at] == key then return end
  rows[#rows + 1] = { record = { id = id, values = {}, deleted = true }, texts = {}, key = known[at] }
  run.puts[at] = false
end

-- The rows of a page that can be read, in their order; of one key the last. Waits.
local function read_rows(run, records)
  local def, rows, by_key, gone = run.def, {}, {}, {}
  local known = run.ids and known_keys(run, records)
  for _, record in ipairs(records) do
    local texts, wrong = {}, record.bad
    if not wrong then texts, wrong = definition.texts(def, "left", record.values) end
    local row = { record = record, texts = texts, key = texts[def.key.name] }
    if record.deleted then
      if known then add_gone(run, gone, known, record.id)
      elseif row.key and not record.merged_away then gone[#gone + 1] = row end
    else
      run.result.read = run.result.read + 1
      if wrong then
        if not row.key then run.unreadable = true end
        put_bad(run, row, wrong)
      elseif by_key[row.key] then
        rows[by_key[row.key]] = row
      else
        rows[#rows + 1] = row
        by_key[row.key] = #rows
      end
      if row.key and run.marks then run.puts[state.spread("k", row.key)] = run.number end
      if row.key and known then
        add_gone(run, gone, known, record.id, row.key)
        for _, old in ipairs(record.merged or {}) do add_gone(run, gone, known, old, row.key) end
        run.puts[state.spread("i", record.id)] = row.key
      end
    end
  end
  for _, row in ipairs(gone) do
    if not by_key[row.key] then
      rows[#rows + 1] = row
      by_key[row.key] = #rows
    end
  end
  return rows
end

-- Without deleted rows whose key somebody has at the source. Waits.
local function without_living(run, rows)
  local def, wanted = run.def, {}
  for _, row in ipairs(rows) do
    if row.record.deleted then wanted[#wanted + 1] = row.key end
  end
  if #wanted == 0 or not def.left.find then return rows end
  local living, out = def.left.find(def.key.left, wanted, def.names.left), {}
  for _, row in ipairs(rows) do
    local one = row.record.deleted and living[row.key]
    -- HubSpot finds a contact by its other addresses, too.
    if not one or not one.several and def.key.read.left(one.values) ~= row.key then out[#out + 1] = row end
  end
  return out
end

local function keeps(run, field, row, existing, a, b)
  if b == nil or field.conflict == "source" then return false end
  if field.conflict == "never_overwrite" then return true end
  if field.conflict == "newest" then
    return row.record.modified ~= nil and existing.modified ~= nil and existing.modified > row.record.modified
  end
  -- ask: a person decides; what was decided for this very pair of values counts.
  local key = "c/" .. state.bad_id(row.key)
  local decided = run.decided[key] and run.decided[key][field.name]
  if decided and decided.left == a and decided.right == b then return decided.side == "right" end
  local conflict = run.conflicts[key] or { id = row.key, source = row.record.id, row = row.record.values, fields = {} }
  conflict.fields[field.name] = { left = a, right = b }
  run.conflicts[key] = conflict
  return true
end

-- What has to be written for a row: nil when nothing.
local function difference(run, row, existing)
  local def, written, fields, kept = run.def, {}, {}, false
  for _, field in ipairs(def.fields) do
    local a, b = row.texts[field.name], existing and held_text(field, existing.values) or nil
    if a ~= b and (a ~= nil or existing and field.clear) and not (existing and field.key) then
      if existing and keeps(run, field, row, existing, a, b) then
        kept = true
      else
        local value = field.write.right(a)
        written[field.right] = value == nil and json.null or value
        fields[field.name] = { from = b, to = a }
      end
    end
  end
  if not next(written) then return nil, nil, kept end
  return written, fields, kept
end

local function deletion(run, row, existing, ops, rows)
  if run.def.deletes ~= "follow" or not existing then return end
  run.deleted = (run.deleted or 0) + 1
  guards.deletes(run, run.deleted)
  ops[#ops + 1] = { kind = "delete", id = existing.id, key = row.key, key_property = run.def.key.right }
  rows[#rows + 1] = { row = row, count = "deleted", change = shown("delete", row.key) }
end

-- The target's records of these rows, by key.
local function find(run, rows)
  local def, wanted = run.def, {}
  for i, row in ipairs(rows) do wanted[i] = row.key end
  if run.held then
    local out = {}
    for _, key in ipairs(wanted) do out[key] = run.held[key] and { values = run.held[key] } end
    return out
  end
  return #wanted > 0 and def.right.find(def.key.right, wanted, def.names.right) or {}
end

local function plan(run, rows)
  local def, found, ops, of = run.def, find(run, rows), {}, {}
  for _, row in ipairs(rows) do
    local existing = found[row.key]
    if existing and existing.several then
      put_bad(run, row, ("%d records of %s have this key: %s"):format(#existing.several, def.right.label,
        table.concat(existing.several, ", ")))
    elseif row.record.deleted then
      deletion(run, row, existing, ops, of)
    elseif existing and def.mode == "create" or not existing and def.mode == "update" then
      run.result:add("skipped")
      put_well(run, row)
    else
      local ok, written, fields, kept = pcall(difference, run, row, existing)
      local conflict = "c/" .. state.bad_id(row.key)
      if run.known_conflicts[conflict] and not run.conflicts[conflict] then run.puts[conflict] = false end
      if not ok then
        put_bad(run, row, type(written) == "table" and written.message or tostring(written))
      elseif not written then
        run.result:add(kept and "skipped" or "unchanged")
        put_well(run, row)
      else
        local kind = existing and "update" or "create"
        ops[#ops + 1] = { kind = kind, id = existing and existing.id, key = row.key, key_property = def.key.right, values = written }
        of[#of + 1] = { row = row, count = existing and "updated" or "created", change = shown(kind, row.key, fields) }
      end
    end
  end
  return ops, of
end

local function write(run, ops, of)
  local outcomes = run.dry_run and {} or #ops > 0 and run.def.right.write(ops) or {}
  for i, what in ipairs(of) do
    local outcome = outcomes[i]
    if outcome and outcome.error then
      put_bad(run, what.row, outcome.error)
    else
      run.result:add(what.count, what.change)
      put_well(run, what.row)
    end
  end
end

local function put_conflicts(run)
  for key, conflict in pairs(run.conflicts) do
    run.result:add("conflicts")
    run.puts[key] = conflict
  end
  run.conflicts = {}
end

---A page of records, as far as what is to be stored with it (run.puts). Waits.
function oneway.page(run, records)
  local rows = without_living(run, read_rows(run, records))
  if run.out then
    for _, row in ipairs(rows) do
      local line = {}
      for _, field in ipairs(run.def.fields) do line[field.right] = field.write.right(row.texts[field.name]) end
      run.out:write(line)
      if not run.result.dry_run then put_well(run, row) end
      run.result:add "created"
    end
  else
    local ops, of = plan(run, rows)
    write(run, ops, of)
  end
  put_conflicts(run)
  guards.bad(run)
end

-- What an earlier run brought and the source no longer has.
local function sweep(run)
  local def, gone = run.def, {}
  if run.unreadable then
    table.insert(run.result.notes, "rows without a readable key: nothing was deleted, because one of them may be meant")
    return
  end
  for keys in run.state:keys "k/" do
    local seen = run.state:get_all(keys)
    for _, key in ipairs(keys) do
      if seen[key] ~= run.number and not run.puts[key] then
        gone[#gone + 1] = key
        guards.deletes(run, #gone)
      end
    end
  end
  for at = 1, #gone, def.page do
    local rows = {}
    for i = at, math.min(#gone, at + def.page - 1) do
      local key = gone[i]:match("^k/[^/]+/(.*)$")
      rows[#rows + 1] = { key = key, texts = {}, record = { id = key, deleted = true, values = {} } }
      run.puts[gone[i]] = false
    end
    local ops, of = plan(run, rows)
    write(run, ops, of)
    run.commit()
  end
end

---Runs a mapping of one way.
---@param run table what sync.lua makes of a definition and its options
function oneway.run(run)
  local def = run.def
  local saved = run.state:get "cursor"
  local cursor = saved and not run.full and saved.at or nil
  if def.right.sink then
    cursor = nil     -- a file is written whole
    if run.dry_run then run.held = def.right.held(def.key.right)
    else
      local columns = {}
      for i, field in ipairs(def.fields) do columns[i] = field.right end
      run.out = def.right.sink(columns)
    end
  end
  run.marks = def.deletes == "follow" and def.left.snapshot and not def.right.sink
  run.ids = def.deletes == "follow" and not def.left.snapshot and not def.right.sink
  -- A snapshot that is gone on with keeps its number: what its first part has brought is there.
  run.number = (saved and saved.number or 0) + (cursor and 0 or 1)
  local how = { size = def.page, total = run.shown, key = def.key.left, deletes = def.deletes == "follow" and not def.right.sink }
  for page in def.left.changes(cursor, def.names.left, how) do
    oneway.page(run, page.records)
    if page.well then put_well(run, { record = { id = page.well } }) end
    run.progress(run.result.read, page.share)
    if not run.out then
      run.puts.cursor = { at = page.cursor, number = run.number }
      if page.cursor ~= nil or not run.marks then run.commit() end
    end
  end
  if run.out then
    run.out:close()
    run.commit()
  end
  if run.marks then
    sweep(run)
    run.commit()
  end
end

---Feeds rows of the quarantine through the mapping again. Waits.
---@param rows {id: string, row: table, line: integer|nil, reason: string|nil, unfit: boolean|nil}[]
function oneway.retry(run, rows)
  for at = 1, #rows, run.def.page do
    local records = {}
    for i = at, math.min(#rows, at + run.def.page - 1) do
      local row = rows[i]
      records[#records + 1] = { id = row.id, bad_id = row.id, line = row.line, values = row.row, unfit = row.unfit,
        bad = row.unfit and row.reason }
    end
    oneway.page(run, records)
    run.commit()
  end
end

return oneway
