--- CSV and JSON lines as a side of a sync: read row by row, written whole.
local _, host = ...

local files = {}

local PIECE = 256 * 1024
local LINE_MAX = 4 * 1024 * 1024
local CSV = { delimiter = true, encoding = true, header = true, spreadsheet = true, bom = true }
local NO_TWO_WAY = "a file is read or written as a whole; use a table (sync.sql), or two syncs one way each"

local function check(path, options, known, what)
  if type(path) ~= "string" or path == "" then error(what .. ": expects the path of a file", 4) end
  if options ~= nil and type(options) ~= "table" then error(what .. ": options are a table", 4) end
  for key in pairs(options or {}) do
    if not known[key] then error(('%s: unknown option "%s"'):format(what, tostring(key)), 4) end
  end
  return options or {}
end

local function fail(message) error(host.error { kind = "invalid", message = message }, 0) end

-- The lines of a file that hold JSON objects: row, line; or nil, line, what is wrong.
local function json_rows(file)
  local rest, line, done = "", 0, false
  return function()
    while true do
      local at = rest:find("\n", 1, true)
      if not at and done then
        if rest == "" then return nil end
        at = #rest + 1
      end
      if at then
        local text = rest:sub(1, at - 1)
        rest, line = rest:sub(at + 1), line + 1
        if text:find("%S") then
          local ok, row = pcall(json.decode, text)
          if ok and type(row) == "table" and #row == 0 then return row, line end
          return false, line, "the line is no JSON object", text
        end
      else
        if #rest > LINE_MAX then fail(("line %d is longer than %d bytes"):format(line + 1, LINE_MAX)) end
        local piece = file:read(PIECE)
        if piece then rest = rest .. piece else done = true end
      end
    end
  end
end

-- Of a line that is not UTF-8, and so cannot be stored: as if it were Latin-1, which most such files are.
local function readable(text) return utf8.len(text) and text or text:gsub("[\x80-\xff]", function(b) return utf8.char(b:byte()) end) end

-- Rows of either kind, bad ones as { bad = why }.
local function reader(self, format, path, o)
  local file = not self.text and fs.open(path)
  local bytes, consumed = file and file:size() or #path, 0
  local function read()
    local piece
    if file then piece = file:read(PIECE) else piece = consumed < bytes and path or nil end
    consumed = consumed + (piece and #piece or 0)
    return piece
  end
  local function share() return bytes > 0 and consumed / bytes or nil end
  if format == "csv" then
    local waiting = {}
    local rows = csv.rows(read, { delimiter = o.delimiter, encoding = o.encoding, header = o.header, name = self.label,
      bad = function(problem) waiting[#waiting + 1] = { bad = problem.message, line = problem.line,
        values = { _raw = readable(table.concat(problem.fields or {}, o.delimiter or ",")) } } end })
    local held
    return function()
      if #waiting > 0 then return table.remove(waiting, 1) end
      if held then
        local row = held
        held = nil
        return row
      end
      local row, line = rows()
      held = row and { values = row, line = line } or nil
      if #waiting > 0 then return table.remove(waiting, 1) end
      row, held = held, nil
      return row
    end, share
  end
  local rows = json_rows { read = read }
  return function()
    local row, line, why, text = rows()
    if row == nil then return nil end
    if row == false then return { bad = why, line = line, values = { _raw = readable(text) } } end
    return { values = row, line = line }
  end, share
end

local function fingerprint(row) return crypto.sha256(json.encode(row.values)):sub(1, 16) end

local function source(self, format, path, o)
  ---Pages of rows. The cursor holds while the file is read; when it is through, the next run reads it anew. Waits.
  function self.changes(cursor, names, how)
    return coroutine.wrap(function()
      local next_row, share = reader(self, format, path, o)
      local at, checked = 0, format ~= "csv"
      -- Of no bytes at all: it does not say that there are no rows any more, and nothing is to be deleted.
      if not checked and names[1] and not o.header and not share() then
        fail(('%s is empty: it has no header with "%s"'):format(self.label, names[1]))
      end
      local function look(row)
        if checked or row.bad then return end
        checked = true
        for _, name in ipairs(names) do
          if row.values[name] == nil then
            local there = {}
            for column in pairs(row.values) do there[#there + 1] = column end
            table.sort(there)
            local near = host.nearest(name, there)
            fail(('%s has no column "%s"; %s'):format(self.label, name, near and ('did you mean "%s"?'):format(near)
              or "there are " .. table.concat(there, ", ")))
          end
        end
      end
      if cursor and cursor.row then
        local last
        for row in next_row do
          look(row)
          at, last = at + 1, row
          if at == cursor.row then break end
        end
        -- Another file than the one that was begun: from the start.
        if at < cursor.row or fingerprint(last) ~= cursor.sum then
          next_row, share = reader(self, format, path, o)
          at = 0
        end
      end
      local records = {}
      for row in next_row do
        look(row)
        at = at + 1
        row.id = ("line %d"):format(row.line)
        records[#records + 1] = row
        if #records >= how.size then
          coroutine.yield { records = records, cursor = { row = at, sum = fingerprint(row) }, share = share() }
          records = {}
        end
      end
      coroutine.yield { records = records, cursor = nil, share = 1 }
    end)
  end
end

local function sink(self, format, path, o)
  ---A file that is written from its start, and stands under its name when close has returned.
  ---@param columns string[]
  function self.sink(columns)
    if format == "csv" then
      return csv.writer(path, { columns = columns, delimiter = o.delimiter, spreadsheet = o.spreadsheet, bom = o.bom, newline = "\n" })
    end
    local file, held, size = fs.open(path, "w"), {}, 0
    local out = {}
    local function flush()
      file:write(table.concat(held))
      held, size = {}, 0
    end
    function out.write(_, row)
      local text = json.encode(row) .. "\n"
      held[#held + 1], size = text, size + #text
      if size > PIECE then flush() end
    end
    function out.close()
      flush()
      file:close()
    end
    return out
  end

  ---What the file holds now: rows by the key's value; none when there is no file. Waits.
  function self.held(key)
    local out = {}
    local ok, next_row = pcall(reader, self, format, path, { delimiter = o.delimiter })
    if not ok then
      if type(next_row) == "table" and next_row.kind == "not_found" then return out end
      error(next_row, 0)
    end
    for row in next_row do
      local value = not row.bad and row.values[key]
      if value then out[tostring(value)] = row.values end
    end
    return out
  end
end

local function endpoint(format, path, o)
  local text = path:find("[\r\n]") ~= nil
  local self = { sync_endpoint = true, label = text and "the text" or path, text = text, snapshot = true, no_two_way = NO_TWO_WAY }
  source(self, format, path, o)
  if not text then sink(self, format, path, o) end
  return self
end

---@param path string or a text with line ends, to read from
---@param options table|nil
function files.csv(path, options) return endpoint("csv", path, check(path, options, CSV, "sync.csv")) end

---@param path string
function files.jsonl(path, options) return endpoint("jsonl", path, check(path, options, {}, "sync.jsonl")) end

-- For the quarantine, whose format its name tells.
function files.of(path) return endpoint(path:find("%.csv$") and "csv" or "jsonl", path, {}) end

return files
