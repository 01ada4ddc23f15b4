--- CSV, read and written row by row: a file of any size passes in little memory.
---
---     for row, line in csv.rows("data/leads.csv") do print(line, row.email) end
---
--- What is wrong with a row (too few fields, a quote in the wrong place) is an error with its line, or is given to
--- `bad`, and reading goes on behind it. `hubloop help csv` has the whole picture.
local _, host = ...
---@class csv
local csv = {}

local PIECE = 256 * 1024

local ENCODINGS = { ["utf-8"] = "UTF-8", utf8 = "UTF-8", latin1 = "ISO-8859-1", ["utf-16"] = "UTF-16" }
local READ = { header = true, delimiter = true, encoding = true, bad = true, name = true }
local WRITE = { columns = true, header = true, delimiter = true, newline = true, bom = true, spreadsheet = true }

local function check_options(options, known, what, level)
  if options ~= nil and type(options) ~= "table" then error(what .. ": options are a table", level + 1) end
  for key in pairs(options or {}) do
    if not known[key] then
      local names = {}
      for name in pairs(known) do names[#names + 1] = name end
      table.sort(names)
      error(("%s: unknown option \"%s\"; there are %s"):format(what, tostring(key), table.concat(names, ", ")), level + 1)
    end
  end
  local delimiter = options and options.delimiter
  if delimiter ~= nil and (type(delimiter) ~= "string" or #delimiter ~= 1 or delimiter:find('["\r\n]')) then
    error(what .. ": delimiter is one character, such as \";\" or \"\\t\"", level + 1)
  end
  return options or {}
end

-- A function that gives the source's next piece, nil at its end, and what to close.
local function pieces(source, level)
  if type(source) == "function" then return source end
  if type(source) ~= "string" then error("csv: the source is a path, a text or a function that gives pieces", level + 1) end
  if not source:find("[\r\n]") then
    local file = fs.open(source)
    return function() return file:read(PIECE) end, file
  end
  local at = 1
  return function()
    if at > #source then return nil end
    local piece = source:sub(at, at + PIECE - 1)
    at = at + PIECE
    return piece
  end
end

local function wrong_names(names, line)
  local seen = {}
  for i, name in ipairs(names) do
    if name == "" then return ("line %d: column %d of the header has no name"):format(line, i) end
    if seen[name] then return ("line %d: the header has \"%s\" twice, in columns %d and %d"):format(line, name, seen[name], i) end
    seen[name] = i
  end
  return nil
end

---Iterates over the rows of a CSV text: `for row, line in csv.rows(…)`. With a header (the default) a row is a table by
---the header's names; all values are strings, an empty field is "". Waits for the file.
---
---Options: `header`: false for none (rows are lists), or a list of names when the file has no header line; `delimiter`
---(default: found out among , ; tab |); `encoding`, such as "windows-1252" (default: UTF-8, or UTF-16 with its mark);
---`bad`: function(problem) with line, message and fields, called for each row that is wrong instead of raising; `name`:
---what errors call the source (default: its path).
---@param source string|fun(): string|nil # a path, a text (it has a line end), or a function that gives pieces
---@param options {header: boolean|string[]|nil, delimiter: string?, encoding: string?, bad: fun(problem: table)?, name: string?}|nil
---@return fun(): table|nil, integer|nil
function csv.rows(source, options)
  local o = check_options(options, READ, "csv.rows", 2)
  local header = o.header == nil or o.header
  local encoding = o.encoding and (ENCODINGS[o.encoding:lower()] or o.encoding)
  local pull, file = pieces(source, 2)
  local reader, ended
  local name = o.name or file and source or "csv"

  local function raise(text) error(host.error { kind = "invalid", message = name .. ": " .. text }) end

  local function check_names(names, line)
    local wrong = wrong_names(names, line)
    if wrong then raise(wrong) end
  end

  local function feed()
    local piece = pull()
    if not reader then
      local first = piece or ""
      while piece and #first < 4 do
        piece = pull()
        first = first .. (piece or "")
      end
      if first:sub(1, 4) == "PK\3\4" then raise("this is a spreadsheet or an archive (ZIP), not CSV; export it as CSV") end
      local mark = first:sub(1, 2)
      reader = host.csv(encoding or (mark == "\xff\xfe" or mark == "\xfe\xff") and "UTF-16" or "UTF-8")
      if first ~= "" then reader:feed(first) end
      if not piece then reader:feed(nil) end
    else
      reader:feed(piece)
    end
    ended = not piece
    if ended and file then file:close() end
  end

  local function begin()
    repeat feed() until reader:begin(o.delimiter)
    if type(header) == "table" then
      check_names(header, 0)
      reader:names(header)
    elseif header then
      local names, line, message
      repeat
        names, line, message = reader:next()
        if names == nil and not ended then feed() end
      until names ~= nil or ended and names == nil
      if names == false then raise(message) end
      if names then
        check_names(names, line)
        reader:names(names)
      end
    end
  end

  return function()
    if not reader then begin() end
    while true do
      local row, line, message, fields = reader:next()
      if row then return row, line end
      if row == false then
        if not o.bad then raise(message) end
        o.bad { line = line, message = message, fields = fields }
      elseif ended then
        return nil
      else
        feed()
      end
    end
  end
end

---------------------------------------------------------------------------------------------------- writing

local function text_of(value)
  if value == nil or value == json.null then return "" end
  if math.type(value) == "float" and value == math.floor(value) and math.abs(value) < 1e15 then return ("%d"):format(value) end
  if type(value) == "table" then return json.encode(value) end
  return tostring(value)
end

-- A function that gives the line of a row.
local function line_maker(o)
  local delimiter, newline = o.delimiter or ",", o.newline or "\r\n"
  local special = '["\r\n' .. (delimiter:match("%w") or "%" .. delimiter) .. "]"
  return function(row)
    local out = {}
    local n = o.columns and #o.columns or #row
    for i = 1, n do
      local value = row[i]
      if value == nil and o.columns then value = row[o.columns[i]] end
      local field = text_of(value)
      -- What a spreadsheet would run as a formula is text to it.
      if o.spreadsheet and type(value) == "string" and field:find("^[=+@\t\r-]") then field = "'" .. field end
      if field:find(special) or field:find("^%s") or field:find("%s$") then field = '"' .. field:gsub('"', '""') .. '"' end
      out[i] = field
    end
    -- A row of one empty field would be an empty line, which is none.
    if n == 1 and out[1] == "" then out[1] = '""' end
    return table.concat(out, delimiter) .. newline
  end
end

local function check_write(options, what, level)
  local o = check_options(options, WRITE, what, level + 1)
  if o.newline ~= nil and o.newline ~= "\n" and o.newline ~= "\r\n" then
    error(what .. ": newline is \"\\n\" or \"\\r\\n\"", level + 1)
  end
  return o
end

local function head(o, line)
  local text = o.bom and "\xef\xbb\xbf" or ""
  if o.columns and o.header ~= false then text = text .. line(o.columns) end
  return text
end

---The CSV text of rows: lists, or records with the option `columns`. For many rows see csv.writer.
---@param rows table[]|fun(): table|nil
---@param options table|nil # as csv.writer's
---@return string
function csv.format(rows, options)
  local o = check_write(options, "csv.format", 2)
  local line = line_maker(o)
  local out = { head(o, line) }
  if type(rows) == "function" then
    for row in rows do out[#out + 1] = line(row) end
  else
    for _, row in ipairs(rows) do out[#out + 1] = line(row) end
  end
  return table.concat(out)
end

---@class csv.writer
local Writer = {}
Writer.__index = Writer

---Opens a CSV file for writing. It stands under its name, whole, when close() has returned; before that the old one does.
---
---Options: `columns`: names, written as the header (unless `header` is false) and read from records; `delimiter` (","),
---`newline` ("\r\n"), `bom`: with the mark by which Excel knows UTF-8, `spreadsheet`: a ' before what a spreadsheet would
---take for a formula (values that strangers typed).
---@param path string
---@param options table|nil
---@return csv.writer
function csv.writer(path, options)
  local o = check_write(options, "csv.writer", 2)
  local line = line_maker(o)
  local first = head(o, line)
  return setmetatable({ file = fs.open(path, "w"), line = line, held = { first }, size = #first, rows = 0 }, Writer)
end

local function flush(self)
  local text = table.concat(self.held)
  self.held, self.size = {}, 0
  self.file:write(text)
end

---Writes a row: a list, or a record with the option `columns`.
---@param row table
function Writer:write(row)
  local text = self.line(row)
  self.held[#self.held + 1] = text
  self.size, self.rows = self.size + #text, self.rows + 1
  if self.size >= PIECE then flush(self) end
end

---Ends the file: it stands under its name, safely on the disk, when this has returned.
function Writer:close()
  flush(self)
  self.file:close()
end

return csv
