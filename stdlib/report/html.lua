--- One HTML page with tables and charts. It loads nothing and runs nothing: charts are inline SVG, the styles have their
--- hash in the page's policy, and every text is escaped.
local html = {}

local text = require "report.text"

local STYLE = [[
:root{color-scheme:light dark;--ink:#1f2430;--soft:#667085;--line:#d9dde5;--page:#fff;--bar:#2f6fde;--rgb:47,111,222}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa3b2;--line:#343b48;--page:#14171d;--bar:#6ea0ff;--rgb:110,160,255}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:2rem auto;max-width:60rem;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}p{color:var(--soft);margin:.3rem 0}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .6rem;text-align:left;border-bottom:1px solid var(--line)}th{color:var(--soft);font-weight:600}
.n{text-align:right;white-space:nowrap}tfoot td{font-weight:600;border-bottom:0;border-top:2px solid var(--line)}
svg{display:block;width:100%;height:auto;margin:.4rem 0 1rem}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg .s{fill:var(--soft)}svg .b{fill:var(--bar)}svg .l{fill:none;stroke:var(--bar);stroke-width:2}svg .g{stroke:var(--line)}
.h1{background:rgba(var(--rgb),.06)}.h2{background:rgba(var(--rgb),.12)}.h3{background:rgba(var(--rgb),.18)}
.h4{background:rgba(var(--rgb),.24)}.h5{background:rgba(var(--rgb),.3)}.h6{background:rgba(var(--rgb),.36)}
.h7{background:rgba(var(--rgb),.42)}.h8{background:rgba(var(--rgb),.48)}.h9{background:rgba(var(--rgb),.54)}
.h10{background:rgba(var(--rgb),.6)}
@media print{body{margin:0;max-width:none}}
]]

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }
local function escaped(s) return (text.value(tostring(s)):gsub("[&<>\"']", ENTITIES)) end
local function shown(value, kind) return escaped(text.value(value, kind)) end

---------------------------------------------------------------------------------------------------- charts

local LABELS, VALUES, WIDTH, ROW, BARS_MAX, PERIODS_MAX = 190, 90, 760, 24, 40, 2000

local function clipped(label, columns)
  if text.width(label) <= columns then return label end
  local out, n = {}, 0
  for _, code in utf8.codes(label) do
    n = n + text.width(utf8.char(code))
    if n > columns - 1 then break end
    out[#out + 1] = utf8.char(code)
  end
  return table.concat(out) .. "…"
end

local function number(value) return type(value) == "number" and value or nil end

-- { label, value } of each row; the label is what the text columns say.
local function points(t, at)
  local list = {}
  for i, row in ipairs(t.rows) do
    local names = {}
    for k, column in ipairs(t.columns) do
      if column.kind == "text" then names[#names + 1] = text.value(row[k]) end
    end
    list[i] = { table.concat(names, " · "), number(row[at]) }
  end
  return list
end

local function svg(height, label, inside)
  return ('<svg viewBox="0 0 %d %d" role="img" aria-label="%s">%s</svg>'):format(WIDTH, height, escaped(label), table.concat(inside))
end

local charts = {}

-- Bars from the left; below 0 nothing is drawn but the number. Centred: as a funnel.
local function bars(t, at, centred)
  local list, most, out = points(t, at), 0, {}
  for i = 1, math.min(#list, BARS_MAX) do most = math.max(most, list[i][2] or 0) end
  local room = WIDTH - LABELS - VALUES
  for i = 1, math.min(#list, BARS_MAX) do
    local label, value = list[i][1], list[i][2]
    local y = (i - 1) * ROW
    local length = most > 0 and math.max(0, value or 0) / most * room or 0
    local x = LABELS + (centred and (room - length) / 2 or 0)
    out[#out + 1] = ('<text x="%d" y="%d" text-anchor="end">%s</text>'):format(LABELS - 8, y + 16, escaped(clipped(label, 26)))
    out[#out + 1] = ('<rect class="b" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"/>'):format(x, y + 4, length, ROW - 8)
    out[#out + 1] = ('<text class="s" x="%.1f" y="%d">%s</text>'):format(centred and LABELS + room + 6 or x + length + 6, y + 16,
      shown(value, t.columns[at].kind))
  end
  return svg(math.max(1, math.min(#list, BARS_MAX)) * ROW, t.columns[at].label, out)
end

function charts.bar(t, at) return bars(t, at, false) end
function charts.funnel(t, at) return bars(t, at, true) end

-- The key of the period behind one.
local function following(period, key)
  if period == "year" then return ("%d"):format(math.tointeger(key) + 1) end
  local year, n, day = key:match("^(%d+)%-Q?(%d+)%-?(%d*)$")
  year, n = math.tointeger(year), math.tointeger(n) + 1
  if period == "quarter" then return ("%d-Q%d"):format(year + n // 5, n > 4 and 1 or n) end
  if period == "month" then return ("%d-%02d"):format(year + n // 13, n > 12 and 1 or n) end
  local ms = time.instant({ year = year, month = n - 1, day = math.tointeger(day) + (period == "week" and 7 or 1) }, "UTC")
  local c = time.civil(ms, "UTC")
  return ("%d-%02d-%02d"):format(c.year, c.month, c.day)
end

-- In the order of time, with the periods in which nothing was; as they are when that would be too many.
local function periods(t, at)
  local period, value, list, out = t.columns[1].period, {}, {}, {}
  for _, row in ipairs(t.rows) do
    if row[1]:find("^%d") then   -- not those without one
      list[#list + 1] = { row[1], number(row[at]) }
      value[row[1]] = list[#list]
    end
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  local last, key = list[#list], list[1] and list[1][1]
  while last and #out < PERIODS_MAX do
    out[#out + 1] = value[key] or { key, t.columns[at].empty }
    if key == last[1] then return out end
    key = following(period, key)
  end
  return list
end

function charts.line(t, at)
  local list, out = t.columns[1].period and periods(t, at) or points(t, at), {}
  local least, most = 0, 0
  for _, p in ipairs(list) do
    least, most = math.min(least, p[2] or 0), math.max(most, p[2] or 0)
  end
  if most == least then most = least + 1 end
  local left, top, width, height = 80, 12, WIDTH - 100, 200
  local function x(i) return left + (#list > 1 and (i - 1) / (#list - 1) * width or width / 2) end
  local function y(value) return top + (most - value) / (most - least) * height end
  for _, value in ipairs { least, (least + most) / 2, most } do
    out[#out + 1] = ('<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>'):format(left, left + width, y(value), y(value))
    out[#out + 1] = ('<text class="s" x="%d" y="%.1f" text-anchor="end">%s</text>'):format(left - 8, y(value) + 4,
      shown(value, t.columns[at].kind))
  end
  local path, going = {}, false
  for i, p in ipairs(list) do
    if p[2] then path[#path + 1] = ("%s%.1f %.1f"):format(going and "L" or "M", x(i), y(p[2])) end
    going = p[2] ~= nil
  end
  out[#out + 1] = ('<path class="l" d="%s"/>'):format(table.concat(path))
  local every = math.max(1, math.ceil(#list / 8))
  for i, p in ipairs(list) do
    if p[2] then out[#out + 1] = ('<circle class="b" cx="%.1f" cy="%.1f" r="3"/>'):format(x(i), y(p[2])) end
    if (i - 1) % every == 0 then
      out[#out + 1] = ('<text class="s" x="%.1f" y="%d" text-anchor="middle">%s</text>'):format(x(i), top + height + 20,
        escaped(clipped(p[1], 12)))
    end
  end
  return svg(top + height + 30, t.columns[at].label, out)
end

---------------------------------------------------------------------------------------------------- the page

local function put_table(out, t, heat)
  local function row(values, tag)
    out[#out + 1] = "<tr>"
    for i, column in ipairs(t.columns) do
      local value, class = values[i], column.kind ~= "text" and "n" or nil
      if heat and column.kind == "percent" and number(value) then
        class = ("n h%d"):format(math.max(0, math.min(10, math.ceil(value * 10))))
      end
      out[#out + 1] = ("<%s%s>%s</%s>"):format(tag, class and ' class="' .. class .. '"' or "", shown(value, column.kind), tag)
    end
    out[#out + 1] = "</tr>\n"
  end
  local labels = {}
  for i, column in ipairs(t.columns) do labels[i] = column.label end
  out[#out + 1] = '<div class="wide"><table><thead>'
  row(labels, "th")
  out[#out + 1] = "</thead><tbody>"
  for _, values in ipairs(t.rows) do row(values, "td") end
  out[#out + 1] = "</tbody>"
  if t.total then
    out[#out + 1] = "<tfoot>"
    row(t.total, "td")
    out[#out + 1] = "</tfoot>"
  end
  out[#out + 1] = "</table></div>\n"
  for _, note in ipairs(t.notes) do out[#out + 1] = ("<p>%s</p>\n"):format(escaped(note)) end
end

-- The column that a chart shows: the one that is named, or the first that has numbers.
local function column_of(t, label)
  for i, column in ipairs(t.columns) do
    if label and column.label == label or not label and column.kind ~= "text" then return i end
  end
  error(('report.page: the table has no column "%s"'):format(tostring(label)), 4)
end

function html.page(page)
  local out = {}
  out[1] = ([[<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-%s'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<style>%s</style></head><body>
<h1>%s</h1>
]]):format(crypto.sha256(STYLE, "base64"), escaped(page.title), STYLE, escaped(page.title))
  if page.intro then out[2] = ("<p>%s</p>\n"):format(escaped(page.intro)) end
  for i, section in ipairs(page) do
    local t = section
    if type(section) == "table" and not section.columns then t = section.table else section = {} end
    if type(t) ~= "table" or not t.columns then error(("report.page: section %d is no table"):format(i), 3) end
    local title, chart = section.title or t.title, section.chart
    if title then out[#out + 1] = ("<h2>%s</h2>\n"):format(escaped(title)) end
    if chart and chart ~= "heat" then
      if not charts[chart] then error(('report.page: chart "%s": there are bar, line, funnel and heat'):format(tostring(chart)), 3) end
      if #t.rows > 0 then out[#out + 1] = charts[chart](t, column_of(t, section.value)) .. "\n" end
    end
    put_table(out, t, chart == "heat")
  end
  out[#out + 1] = "</body></html>\n"
  return table.concat(out)
end

return html
