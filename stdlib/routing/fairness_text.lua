--- What `hubloop route simulate` prints: for each pool a table, what kept whom from a turn, and a chart.
local table_text = require "report.text"

local fairness_text = {}

local HOUR <const> = 3600000
local EIGHTHS <const> = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }
local number = table_text.value

local function signed(x)
  local text = ("%+.2f"):format(x)
  return (text == "-0.00" or text == "+0.00") and "0.00" or text
end

local function bar(share, width)
  local eighths = math.floor(share * width * 8 + 0.5)
  return ("█"):rep(eighths // 8) .. (EIGHTHS[eighths % 8] or "")
end

local function kept_of(m)
  local list = {}
  for kind, n in pairs(m.kept) do list[#list + 1] = { kind, n } end
  table.sort(list, function(a, b) return a[2] > b[2] or a[2] == b[2] and a[1] < b[1] end)
  for i, one in ipairs(list) do list[i] = ("%s %s"):format(one[1], number(one[2])) end
  return list
end

-- Words behind a label, in as many lines as it takes.
local function wrap(out, label, parts, width)
  local line, empty = table_text.fit(label, math.min(table_text.width(label), width // 2)), true
  for i, part in ipairs(parts) do
    part = part .. (i < #parts and "," or "")
    if not empty and table_text.width(line) + 1 + table_text.width(part) > width then
      out[#out + 1] = line
      line = (" "):rep(math.min(table_text.width(label), width // 4))
    end
    line, empty = line .. " " .. part, false
  end
  out[#out + 1] = line
end

local function summary(out, label, p, width)
  local parts = { ("%s in turn"):format(number(p.turns)) }
  for _, by in ipairs { { "prefer", "preferred" }, { "sticky", "sticky" }, { "fallback", "to a fallback" }, { "nobody", "to nobody" } } do
    if p.by[by[1]] then parts[#parts + 1] = ("%s %s"):format(number(p.by[by[1]]), by[2]) end
  end
  local done = p.held - p.waiting
  if p.held > 0 then
    parts[#parts + 1] = done == 0 and ("%s held"):format(number(p.held))
      or ("%s held (%.1f h each, %.1f h at most)"):format(number(p.held), p.held_ms / done / HOUR, p.held_longest / HOUR)
  end
  if p.waiting > 0 then parts[#parts + 1] = ("%s waiting at the end"):format(number(p.waiting)) end
  if p.off_owner then parts[#parts + 1] = ("never more than %.2f leads from a share"):format(p.off) end
  wrap(out, label .. ":", parts, width)
end

local function by_owner(p)
  local map = {}
  for _, m in ipairs(p and p.members or {}) do map[m.owner] = m end
  return map
end

local function put_pool(out, p, before, labels, width)
  local was, seen, rows, most = by_owner(before), {}, {}, 1
  local function add(m, old)
    rows[#rows + 1] = {
      owner = m and m.owner or old.owner, now = m and m.got + m.outside or 0, old = old and old.got + old.outside or 0,
      cells = { m and m.owner or old.owner, m and m.weight or json.null, m and m.turns_share or json.null,
        m and m.weight and number(m.share + 0.0) or json.null, m and m.got or 0, m and m.weight and signed(m.got - m.share) or json.null,
        m and m.outside or 0, old and old.got + old.outside or json.null },
    }
    most = math.max(most, rows[#rows].now, rows[#rows].old)
  end
  for _, m in ipairs(p.members) do
    m.turns_share = m.weight and p.turns > 0 and m.could / p.turns or nil
    seen[m.owner] = true
    add(m, was[m.owner])
  end
  for _, old in ipairs(before and before.members or {}) do
    if not seen[old.owner] then add(nil, old) end
  end
  local columns = { { label = "Member", kind = "text" }, { label = "Weight", kind = "number" }, { label = "Could", kind = "percent" },
    { label = "Share", kind = "number" }, { label = "In turn", kind = "number" }, { label = "Off", kind = "number" },
    { label = "Other", kind = "number" }, before and { label = "Before", kind = "number" } or nil }
  local cells = {}
  for i, row in ipairs(rows) do cells[i] = row.cells end
  out[#out + 1] = table_text.render({ title = ('Pool "%s": %s leads'):format(p.pool, number(p.leads)), columns = columns, rows = cells,
    notes = {} }, width)
  out[#out + 1] = ""
  summary(out, labels.now, p, width)
  if before then summary(out, labels.before, before, width) end
  local first = true
  for _, m in ipairs(p.members) do
    local kept = kept_of(m)
    if #kept > 0 then
      if first then out[#out + 1] = "\nKept from a turn, " .. labels.now end
      first = false
      wrap(out, "  " .. m.owner .. ":", kept, width)
    end
  end
  out[#out + 1] = ""
  local name, count = 0, #number(most)
  for _, row in ipairs(rows) do name = math.max(name, math.min(table_text.width(row.owner), width // 3)) end
  local label = before and math.min(math.max(table_text.width(labels.now), table_text.width(labels.before)), width // 5) or 0
  local room = math.max(1, width - name - count - label - (before and 4 or 3))
  for _, row in ipairs(rows) do
    local function line(owner, what, n)
      local parts = { table_text.fit(owner, name), before and table_text.fit(what, label) or nil }
      if n > 0 then parts[#parts + 1] = bar(n / most, room) end
      parts[#parts + 1] = number(n)
      out[#out + 1] = table.concat(parts, " ")
    end
    line(row.owner, labels.now, row.now)
    if before then line("", labels.before, row.old) end
  end
end

--- The whole text.
---@param given { pools: { now: table, before: table|nil }[], labels: { now: string, before: string }, title: string[], notes: string[] }
---@param width integer columns
---@return string
function fairness_text.render(given, width)
  local out = {}
  wrap(out, given.title[1] .. ",", { table.unpack(given.title, 2) }, width)
  for _, pair in ipairs(given.pools) do
    out[#out + 1] = ""
    put_pool(out, pair.now, pair.before, given.labels, width)
  end
  for i, note in ipairs(given.notes) do
    if i == 1 then out[#out + 1] = "" end
    out[#out + 1] = note
  end
  return table.concat(out, "\n") .. "\n"
end

return fairness_text
