--- A table of a database as a side of a sync (`hubloop help sql`).
---
--- With a column of the last change (`modified`) a run reads what has changed since the one before, beginning a little
--- earlier (`overlap`) for transactions that committed late; without it, the whole table in the order of its ids.
local _, host = ...
local values = require "sync.values"

local OPTIONS = { id = true, modified = true, deleted = true, deleted_value = true, overlap = true, ignore_case = true }
local AT_ONCE = 500          -- values of one IN (…), rows of one INSERT
local VALUES_MAX = 30000     -- of one statement
local ROW_FAULTS = { unique = true, foreign_key = true, not_null = true, check = true, constraint = true, values = true }

local function fail(message) error(host.error { kind = "invalid", message = message }, 0) end

local function quoted(name) return '"' .. name:gsub('"', '""') .. '"' end

local function marks(n) return ("?, "):rep(n):sub(1, -3) end

-- A moment a little before, written as the column writes it.
local function earlier(value, ms)
  if type(value) == "number" then
    local back = math.abs(value) > 1e11 and ms or ms / 1000
    return math.type(value) == "integer" and value - (back // 1 | 0) or value - back
  end
  if value:find("^%d%d%d%d%d%d%d%d%d%d+$") then return ("%d"):format(earlier(math.tointeger(value), ms)) end
  local at = values.moment(value)
  if not at then return value end
  local iso = time.iso(at - ms)
  if not value:find("T", 1, true) then iso = iso:gsub("T", " ") end
  if not value:find("Z$") then iso = iso:gsub("Z$", "") end
  if not value:find("%.%d+") then iso = iso:gsub("%.%d+", "") end
  local zone = value:match(":%d%d[%d.]*([%+%-]%d%d:?%d*)$")
  if zone then return value end   -- of a server, which keeps the moment and not the text: read anew from there
  return iso
end

-- The newest of some moments from which the next run may begin; behind one that is nonsense, or yet to come, it would
-- see no change any more. A day's grace: what has no zone may be of any.
local function newest(rows, column)
  local now = time.now()
  for i = #rows, 1, -1 do
    local value = rows[i][column]
    local at = type(value) == "string" and values.moment(value)
    if at and at <= now + 86400000 or type(value) == "number" then return value end
  end
  return nil
end

---@param place string|userdata|sql.db
---@param name string
---@param options table|nil
return function(place, name, options)
  options = options or {}
  if type(options) ~= "table" then error("sync.sql: options are a table", 3) end
  for key in pairs(options) do
    if not OPTIONS[key] then
      error(('sync.sql: unknown option "%s"; there are deleted, deleted_value, id, ignore_case, modified, overlap')
        :format(tostring(key)), 3)
    end
  end
  if type(name) ~= "string" or name == "" or name:find("%z") then error("sync.sql: expects the name of a table", 3) end
  local db = type(place) == "table" and place.query and place or sql.open(place)
  local overlap = time.duration(options.overlap or "1m")
  local parts = {}
  for part in name:gmatch("[^.]+") do parts[#parts + 1] = quoted(part) end
  local from = table.concat(parts, ".")
  local id, modified, deleted = options.id, options.modified, options.deleted
  local server                -- PostgreSQL
  local self = { sync_endpoint = true, label = "the table " .. name, deletions = deleted ~= nil, snapshot = modified == nil }

  -- The names, and the columns that tell which row it is and when it changed.
  local function with_own(names)
    local list, seen = {}, {}
    for _, column in ipairs(names) do list[#list + 1] = column end
    for _, column in ipairs { id, modified or id, deleted or id } do list[#list + 1] = column end
    local out = {}
    for _, column in ipairs(list) do
      if not seen[column] then out[#out + 1] = column end
      seen[column] = true
    end
    return out
  end

  ---Checks the columns. Waits.
  function self.prepare(names, _, key)
    id = options.id or key
    server = pcall(db.query, db, "SELECT version()")   -- SQLite has no such function
    for _, column in ipairs(with_own(names)) do
      -- With the table's name before it: an unknown name in quotes is a text to SQLite.
      local ok, why = pcall(db.query, db, ("SELECT t.%s FROM %s AS t LIMIT 0"):format(quoted(column), from))
      if not ok then
        if type(why) ~= "table" or why.category ~= "statement" then error(why, 0) end
        local there = pcall(db.query, db, ("SELECT 1 FROM %s LIMIT 0"):format(from))
        if not there then fail(("%s is not there"):format(self.label)) end
        local near = {}
        for row in db:rows(("SELECT * FROM %s LIMIT 1"):format(from)) do
          for known in pairs(row) do near[#near + 1] = known end
        end
        table.sort(near)
        near = host.nearest(column, near)
        fail(('%s has no column "%s"%s'):format(self.label, column, near and ('; did you mean "%s"?'):format(near) or ""))
      end
    end
  end

  local function selected(names)
    local list = with_own(names)
    for i, column in ipairs(list) do list[i] = "t." .. quoted(column) end
    -- Its moments have microseconds, and come as milliseconds: a page begins behind the very last one.
    if server and modified then list[#list + 1] = ("t.%s::text AS hl_exactly"):format(quoted(modified)) end
    return ("SELECT %s FROM %s AS t"):format(table.concat(list, ", "), from)
  end

  local function is_deleted(row)
    local value = deleted and row[deleted]
    return not (value == nil or value == false or value == 0 or value == "" or value == "f" or value == "false")
  end

  local function record_of(row)
    return { id = tostring(row[id]), values = row, modified = modified and values.moment(row[modified]), deleted = is_deleted(row) or nil }
  end

  -- Rows whose column has one of the values.
  local function rows_with(column, wanted, names, folded)
    local out = {}
    for at = 1, #wanted, AT_ONCE do
      local part = table.move(wanted, at, math.min(#wanted, at + AT_ONCE - 1), 1, {})
      local left = folded and ("lower(t.%s)"):format(quoted(column)) or "t." .. quoted(column)
      for _, row in ipairs(db:query(("%s WHERE %s IN (%s)"):format(selected(names), left, marks(#part)), table.unpack(part))) do
        if not is_deleted(row) then out[#out + 1] = row end
      end
    end
    return out
  end

  ---@return table<string, table>
  function self.get(ids, names)
    local out = {}
    for _, row in ipairs(rows_with(id, ids, names)) do out[tostring(row[id])] = record_of(row) end
    return out
  end

  ---@return table<string, table>
  function self.find(column, wanted, names)
    local of, asked, out = {}, {}, {}
    local function form(value) return options.ignore_case and tostring(value):lower() or tostring(value) end
    for i, value in ipairs(wanted) do
      asked[i] = form(value)
      of[asked[i]] = value
    end
    for _, row in ipairs(rows_with(column, asked, names, options.ignore_case)) do
      local value = of[form(row[column])]
      local before = value and out[value]
      if before then
        before.several = before.several or { before.id }
        table.insert(before.several, tostring(row[id]))
      elseif value then
        out[value] = record_of(row)
      end
    end
    return out
  end

  -- Rows without an id cannot be told apart, nor gone on behind.
  local function page_of(where, order, size, names, ...)
    local rows = db:query(("%s WHERE t.%s IS NOT NULL%s ORDER BY %s LIMIT %d"):format(selected(names), quoted(id),
      where and " AND (" .. where .. ")" or "", order, size), ...)
    local records = {}
    for i, row in ipairs(rows) do records[i] = record_of(row) end
    return records, rows[#rows], rows
  end

  ---@return fun(): {records: table[], cursor: any}|nil
  function self.changes(cursor, names, o)
    return coroutine.wrap(function()
      local q = "t." .. quoted(id)
      cursor = cursor or {}
      if not cursor.since or not modified then
        local since = cursor.from
        if modified and since == nil then
          since = newest(db:query(("SELECT max(t.%s) AS m FROM %s AS t"):format(quoted(modified), from)), "m")
        end
        local counted = db:query(("SELECT count(*) AS n, count(%s) AS known FROM %s AS t"):format(q, from))[1]
        local total, last, read = counted.n, cursor.scan, 0
        local without = total - counted.known
        while true do
          local records, row
          if last == nil then records, row = page_of(nil, q, o.size, names)
          else records, row = page_of(("%s > ?"):format(q), q, o.size, names, last) end
          if #records == 0 then break end
          for i = 2, #records do
            if records[i].id == records[i - 1].id then
              fail(('%s has "%s" more than once in the column "%s"; name one that tells the rows apart (id = …)')
                :format(self.label, records[i].id, id))
            end
          end
          last, read = row[id], read + #records
          coroutine.yield { records = records, cursor = { scan = last, from = since }, share = not cursor.scan and read / total or nil }
        end
        local loose = { id = "rows without " .. id, values = {}, loose = true,
          bad = ('%d row%s no value in the column "%s"'):format(without, without == 1 and " has" or "s have", id) }
        coroutine.yield { records = without > 0 and { loose } or {}, well = without == 0 and loose.id or nil,
          cursor = since ~= nil and { since = since } or nil, share = 1 }
        return
      end
      local m = "t." .. quoted(modified)
      local since = cursor.since
      local at, last = earlier(since, overlap), nil
      while true do
        local records, row, rows
        local order = m .. ", " .. q
        if last == nil then records, row, rows = page_of(("%s >= ?"):format(m), order, o.size, names, at)
        else
          records, row, rows = page_of(("%s > ? OR (%s = ? AND %s > ?)"):format(m, m, q), order, o.size, names, at, at, last)
        end
        if #records == 0 then break end
        at, last, since = row.hl_exactly or row[modified], row[id], newest(rows, modified) or since
        coroutine.yield { records = records, cursor = { since = since } }
        if #records < o.size then break end
      end
      coroutine.yield { records = {}, cursor = { since = since } }
    end)
  end

  local function columns_of(op)
    local list = {}
    for column in pairs(op.values) do list[#list + 1] = column end
    table.sort(list)
    local given = {}
    for i, column in ipairs(list) do given[i] = op.values[column] end
    return list, given
  end

  local function write_one(op)
    if op.kind == "delete" then
      if not deleted then db:exec(("DELETE FROM %s WHERE %s = ?"):format(from, quoted(id)), op.id)
      else
        local value = options.deleted_value
        if value == nil then value = time.iso() end
        db:exec(("UPDATE %s SET %s = ? WHERE %s = ?"):format(from, quoted(deleted), quoted(id)), value, op.id)
      end
      return op.id
    end
    local list, given = columns_of(op)
    if op.kind == "update" then
      local set = {}
      for i, column in ipairs(list) do set[i] = quoted(column) .. " = ?" end
      given[#given + 1] = op.id
      if db:exec(("UPDATE %s SET %s WHERE %s = ?"):format(from, table.concat(set, ", "), quoted(id)), table.unpack(given)) == 0 then
        error({ row = "the row is not there any more" }, 0)
      end
      return op.id
    end
    for i, column in ipairs(list) do list[i] = quoted(column) end
    local made = db:query(("INSERT INTO %s (%s) VALUES (%s) RETURNING %s"):format(from, table.concat(list, ", "), marks(#list), quoted(id)),
      table.unpack(given))
    return tostring(made[1][id])
  end

  local function is_row_fault(e)
    return type(e) == "table" and (e.row ~= nil or e.kind == "sql" and ROW_FAULTS[e.category] == true)
  end

  -- New rows of the same columns in one statement.
  local function insert_many(group, out)
    local columns, most = group.columns, math.min(AT_ONCE, VALUES_MAX // #group.columns)
    local names = {}
    for i, column in ipairs(columns) do names[i] = quoted(column) end
    for at = 1, #group, most do
      local given, at_key, n = {}, {}, math.min(most, #group - at + 1)
      for i = 0, n - 1 do
        local op = group[at + i].op
        for _, column in ipairs(columns) do given[#given + 1] = op.values[column] end
        at_key[op.key] = group[at + i].at
      end
      local rows = ("(" .. marks(#columns) .. "), "):rep(n):sub(1, -3)
      local key = group[at].op.key_property
      local statement = ("INSERT INTO %s (%s) VALUES %s RETURNING %s AS i, %s AS k"):format(from, table.concat(names, ", "), rows,
        quoted(id), quoted(key))
      for i, row in ipairs(db:query(statement, table.unpack(given))) do
        out[at_key[tostring(row.k)] or group[at + i - 1].at] = { id = tostring(row.i) }
      end
    end
  end

  local function write_all(ops)
    local out, groups, order = {}, {}, {}
    for i, op in ipairs(ops) do
      if op.kind == "create" and next(op.values) then
        local columns = columns_of(op)
        local signature = table.concat(columns, "\0")
        if not groups[signature] then
          groups[signature] = { columns = columns }
          order[#order + 1] = signature
        end
        table.insert(groups[signature], { op = op, at = i })
      else
        out[i] = { id = write_one(op) }
      end
    end
    for _, signature in ipairs(order) do insert_many(groups[signature], out) end
    return out
  end

  local function write_each(ops)
    local out = {}
    for i, op in ipairs(ops) do
      local ok, made = pcall(db.transaction, db, function() return write_one(op) end)
      if ok then out[i] = { id = made }
      elseif is_row_fault(made) then out[i] = { error = made.row or made.message }
      else error(made, 0) end
    end
    return out
  end

  ---A page is one transaction; a row that the database refuses fails alone: then the page is written row by row. Waits.
  function self.write(ops)
    local ok, out = pcall(db.transaction, db, function() return write_all(ops) end)
    if ok then return out end
    if not is_row_fault(out) then error(out, 0) end
    return db:transaction(function() return write_each(ops) end)
  end

  return self
end
