--- How values read, and tables for a terminal.
local text = {}

-- Ranges of East Asian wide characters and emoji, which take two columns.
local WIDE = { { 0x1100, 0x115F }, { 0x231A, 0x231B }, { 0x23E9, 0x23EC }, { 0x2614, 0x2615 }, { 0x2705, 0x2705 }, { 0x2728, 0x2728 },
  { 0x274C, 0x274C }, { 0x2753, 0x2755 }, { 0x2795, 0x2797 }, { 0x2B1B, 0x2B1C }, { 0x2B50, 0x2B50 }, { 0x2B55, 0x2B55 },
  { 0x2E80, 0x303E }, { 0x3041, 0x33FF }, { 0x3400, 0x4DBF }, { 0x4E00, 0xA4CF }, { 0xA960, 0xA97F }, { 0xAC00, 0xD7A3 },
  { 0xF900, 0xFAFF }, { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 }, { 0x1F004, 0x1F004 }, { 0x1F300, 0x1F64F },
  { 0x1F680, 0x1F6FF }, { 0x1F7E0, 0x1F7EB }, { 0x1F900, 0x1F9FF }, { 0x1FA70, 0x1FAFF }, { 0x20000, 0x3FFFD } }
-- Marks that join the character before them.
local NARROW = { { 0x0300, 0x036F }, { 0x0483, 0x0489 }, { 0x0591, 0x05BD }, { 0x0610, 0x061A }, { 0x064B, 0x065F }, { 0x0E31, 0x0E31 },
  { 0x0E34, 0x0E3A }, { 0x0E47, 0x0E4E }, { 0x1AB0, 0x1AFF }, { 0x1DC0, 0x1DFF }, { 0x200B, 0x200F }, { 0x202A, 0x202E },
  { 0x2060, 0x2064 }, { 0x20D0, 0x20FF }, { 0xFE00, 0xFE0F }, { 0xFE20, 0xFE2F }, { 0xFEFF, 0xFEFF }, { 0xE0100, 0xE01EF } }

local function within(ranges, code)
  for _, range in ipairs(ranges) do
    if code < range[1] then return false end
    if code <= range[2] then return true end
  end
  return false
end

local function columns_of(code)
  if code < 0x300 then return 1 end
  return within(NARROW, code) and 0 or within(WIDE, code) and 2 or 1
end

---How many columns of a terminal a text takes.
---@param s string # UTF-8
---@return integer
function text.width(s)
  if not s:find("[\x80-\xff]") then return #s end
  local n = 0
  for _, code in utf8.codes(s) do n = n + columns_of(code) end
  return n
end

-- UTF-8, on one line, with nothing in it that steers a terminal or turns the direction of the text.
local function plain(s)
  if not utf8.len(s) then s = s:gsub("[\x80-\xff]", "?") end
  s = s:gsub("[%z\1-\31\127]+", " "):gsub("\xc2[\x80-\x9f]", " ")
  return (s:gsub("\xe2\x80[\x8b-\x8f\xaa-\xae]", ""):gsub("\xe2\x81[\xa0-\xaf]", ""))
end

local function cut(s, width)
  if text.width(s) <= width then return s end
  local n = 0
  for at, code in utf8.codes(s) do
    n = n + columns_of(code)
    if n > width - 1 then return s:sub(1, at - 1) .. "…" end
  end
  return s
end

local function grouped(digits)
  return (digits:reverse():gsub("(%d%d%d)", "%1,"):gsub(",$", ""):reverse())
end

---A value as people read it: 12,345.60, 42.5 %, – for none.
---@param value any
---@param kind string|nil # "percent": 0.425 is 42.5 %
---@return string
function text.value(value, kind)
  if value == nil or value == json.null then return "–" end
  if type(value) ~= "number" then return plain(tostring(value)) end
  if kind == "percent" then return ("%.1f%%"):format(value * 100) end
  local whole = math.tointeger(value)
  local sign = value < 0 and "-" or ""
  if whole then return sign .. grouped((("%d"):format(whole):gsub("^-", ""))) end
  local digits, rest = ("%.2f"):format(math.abs(value)):match("^(%d+)(%..*)$")
  if not digits or #digits > 18 then return ("%g"):format(value) end
  return sign .. grouped(digits) .. rest
end

local function pad(s, width, right)
  local blanks = (" "):rep(width - text.width(s))
  return right and blanks .. s or s .. blanks
end

---A text in exactly so many columns.
---@param s string
---@param width integer
---@return string
function text.fit(s, width) return pad(cut(plain(s), width), width) end

---@param t report.table
---@param width integer
---@return string
function text.render(t, width)
  local widths, cells, out = {}, {}, {}
  local function line_of(row)
    local line = {}
    for i, column in ipairs(t.columns) do
      line[i] = text.value(row[i], column.kind)
      widths[i] = math.max(widths[i] or 0, text.width(line[i]))
    end
    return line
  end
  local head = {}
  for i, column in ipairs(t.columns) do head[i] = plain(column.label) end
  for i, label in ipairs(head) do widths[i] = text.width(label) end
  for i, row in ipairs(t.rows) do cells[i] = line_of(row) end
  local total = t.total and line_of(t.total)
  -- Texts give way first, the widest most; then the headings of numbers.
  local function all()
    local sum = 2 * (#widths - 1)
    for _, w in ipairs(widths) do sum = sum + w end
    return sum
  end
  for _, least in ipairs { 12, 6 } do
    while all() > width do
      local widest
      for i in ipairs(widths) do
        local gives = t.columns[i].kind == "text"
        if gives and widths[i] > least and (not widest or widths[i] > widths[widest]) then widest = i end
      end
      if not widest then break end
      widths[widest] = widths[widest] - 1
    end
  end
  for i = #widths, 1, -1 do
    if t.columns[i].kind ~= "text" and all() > width then
      local need = 3
      for _, line in ipairs(cells) do need = math.max(need, text.width(line[i])) end
      if total then need = math.max(need, text.width(total[i])) end
      widths[i] = math.max(need, widths[i] - (all() - width))
    end
  end
  local function put(line)
    local parts = {}
    for i, cell in ipairs(line) do parts[i] = pad(cut(cell, widths[i]), widths[i], t.columns[i].kind ~= "text") end
    out[#out + 1] = (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  local rule = {}
  for i, w in ipairs(widths) do rule[i] = ("─"):rep(w) end
  if t.title then out[#out + 1] = plain(t.title) end
  put(head)
  out[#out + 1] = table.concat(rule, "  ")
  for _, line in ipairs(cells) do put(line) end
  if total then
    out[#out + 1] = table.concat(rule, "  ")
    put(total)
  end
  for _, note in ipairs(t.notes) do out[#out + 1] = plain(note) end
  return table.concat(out, "\n")
end

return text
