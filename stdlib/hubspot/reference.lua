--- The text of `hubloop help hubspot.X`: what hubspot.X has, made from the tables and from the comments that stand
--- above the functions. Returns a function: name ("" for the list of everything), width -> text, or nil and why.
local _, host = ...
local calls = require "hubspot.calls"

-- Where functions are written by hand.
local OBJECTS = { "hubspot/objects.lua", "hubspot/batches.lua", "hubspot/pages.lua", "hubspot/search.lua" }
local BY_HAND = { associations = { "hubspot/associations.lua" }, owners = { "hubspot/owners.lua" } }

local function sorted(t)
  local out = {}
  for key in pairs(t) do out[#out + 1] = key end
  table.sort(out)
  return out
end

-- Words in lines of at most `width` columns, each with `indent` blanks before it.
local function wrap(text, width, indent)
  local lines, line = {}, nil
  for word in text:gmatch("%S+") do
    if line and utf8.len(line) + 1 + utf8.len(word) <= width - indent then
      line = line .. " " .. word
    else
      lines[#lines + 1] = line
      line = word
    end
  end
  lines[#lines + 1] = line
  local blank = (" "):rep(indent)
  return blank .. table.concat(lines, "\n" .. blank)
end

-- { { name=, args=, text= }, … } of the documented functions of `owner` in a file, in its order.
local function documented(file, owner)
  local found, comment = {}, {}
  for line in (host.shipped(file) or ""):gmatch("[^\n]*") do
    local said = line:match("^%s*%-%-%-(.*)$")
    local of, name, args = line:match("^%s*function ([%w_]+)[.:]([%w_]+)(%b())")
    if said then
      if not said:find("^@") then comment[#comment + 1] = said end
    elseif of == owner and #comment > 0 then
      found[#found + 1] = { name = name, args = args, text = table.concat(comment, " ") }
      comment = {}
    else
      comment = {}
    end
  end
  return found
end

local function scopes_text(scopes)
  if not scopes or #scopes == 0 then return nil end
  local out = {}
  for i, together in ipairs(scopes) do
    if i > 3 then
      out[#out + 1] = "…"
      break
    end
    out[i] = type(together) == "table" and table.concat(together, " and ") or together
  end
  return table.concat(out, ", or ")
end

local function operation_text(list, width)
  local o = list[1]
  local args = table.move(o.params, 1, #o.params, 1, {})
  if o.body then args[#args + 1] = "body" end
  args[#args + 1] = "options"
  local out = { ("  hubspot.%s(%s)%s"):format(o.name, table.concat(args, ", "),
    (o.iterates or o.offset) and "  an iterator" or "") }
  local function add(text) out[#out + 1] = wrap(text, width, 6) end
  if o.summary ~= "" then add(o.summary) end
  for _, form in ipairs(list) do
    local dated = form.path:find("{version}", 1, true)
    add(("%s %s%s"):format(form.method, form.path, dated and form.versions and " (" .. table.concat(form.versions, ", ") .. ")" or ""))
  end
  local published = host.operation(o.method, o.path)
  local scopes = published and scopes_text(published.scopes)
  if scopes then add("scopes: " .. scopes) end
  if not o.query then
    add("options: as in HubSpot's reference")
  else
    local names = {}
    for _, name in ipairs(sorted(o.query)) do
      names[#names + 1] = name .. (o.query[name] == "required" and " (required)" or "")
    end
    if #names > 0 then add("options: " .. table.concat(names, ", ")) end
  end
  return table.concat(out, "\n")
end

local function hand_text(prefix, f, width)
  return ("  hubspot.%s.%s%s\n%s"):format(prefix, f.name, f.args, wrap(f.text, width, 6))
end

local function title(text) return text .. "\n" .. ("="):rep(utf8.len(text)) .. "\n\n" end

local function type_text(name, known, width)
  local one = name == "companies" and "company" or name:gsub("s$", "")
  local out = { title("hubspot." .. name), wrap(([[Records of the type "%s". A record's fields are HubSpot's JSON, and
    %s.email reads through to its properties. options may hold priority ("live", "normal", "bulk") and, where one record
    is meant, id_property.]]):format(known.type, one), width, 0), "\n" }
  for _, method in ipairs { "GET", "POST" } do
    local published = host.operation(method, "/crm/objects/{version}/" .. known.type)
    local scopes = published and scopes_text(published.scopes)
    if scopes then out[#out + 1] = ("  %s: %s\n"):format(method == "GET" and "reading needs" or "writing needs", scopes) end
  end
  for _, file in ipairs(OBJECTS) do
    for _, f in ipairs(documented(file, "o")) do
      local core = known.can["*"] and f.name ~= "merge" and f.name ~= "gdpr_delete"
      if core or known.can[f.name] then out[#out + 1] = "\n" .. hand_text(name, f, width) .. "\n" end
    end
  end
  return table.concat(out)
end

local function group_text(group, width, only)
  local operations = calls.operations(group)
  local out, done = {}, {}
  for _, file in ipairs(BY_HAND[group] or {}) do
    for _, f in ipairs(documented(file, group)) do
      done[f.name] = true
      if not only or only == f.name then out[#out + 1] = hand_text(group, f, width) end
    end
  end
  for _, name in ipairs(sorted(operations)) do
    if not done[name] and (not only or name == only or name:sub(1, #only + 1) == only .. ".") then
      out[#out + 1] = operation_text(operations[name], width)
    end
  end
  if #out == 0 then return nil end
  local intro = only and "" or title("hubspot." .. group) .. wrap([[The path's parameters come first, then the body (a table
    as HubSpot's reference has it), then options: the query's parameters, and priority and version of the call. Each call
    waits; an iterator waits at each step.]], width, 0) .. "\n\n"
  return intro .. table.concat(out, "\n\n") .. "\n"
end

local function everything(types, width)
  local out = { "Object types (hubspot.NAME; hubloop help hubspot.contacts shows what each can)\n",
    wrap(table.concat(sorted(types), " "), width, 2), '\n  and objects("2-…") for the account\'s own\n\n',
    "Groups (hubloop help hubspot.NAME)\n" }
  for _, group in ipairs(calls.groups()) do
    local heads, seen, names = {}, {}, {}
    for name in pairs(calls.operations(group)) do names[name] = true end
    for _, file in ipairs(BY_HAND[group] or {}) do
      for _, f in ipairs(documented(file, group)) do names[f.name] = true end
    end
    for _, name in ipairs(sorted(names)) do
      local head = name:match("^[^.]+") .. (name:find(".", 1, true) and ".…" or "")
      if not seen[head] then heads[#heads + 1] = head end
      seen[head] = true
    end
    out[#out + 1] = ("  %s\n%s\n"):format(group, wrap(table.concat(heads, " "), width, 6))
  end
  out[#out + 1] = '\nhubspot.account("NAME") is all of this for another account; hubspot.request { … } sends anything else.\n'
  return table.concat(out)
end

---@param name string "", "lists", "lists.memberships", "contacts"
---@param width string columns
return function(name, width)
  local types = require("hubspot.types")
  width = math.max(40, math.min(math.tointeger(tonumber(width)) or 79, 100))
  if name == "" then return everything(types, width) end
  local first, rest = name:match("^([^.]+)%.?(.*)$")
  first = first or name
  local text
  if types[first] then text = type_text(first, types[first], width)
  elseif calls.operations(first) then text = group_text(first, width, rest ~= "" and rest or nil) end
  if text then return text end
  local names = calls.groups()
  for one in pairs(types) do names[#names + 1] = one end
  if calls.operations(first) then
    names = {}
    for one in pairs(calls.operations(first)) do names[#names + 1] = first .. "." .. one end
  end
  table.sort(names)
  local near = host.nearest(name, names)
  return nil, ('there is no hubspot.%s%s'):format(name, near and ('; did you mean hubspot.%s?'):format(near)
    or "; hubloop help hubspot lists what there is")
end
