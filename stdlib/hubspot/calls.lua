--- The functions of hubspot.lists, hubspot.campaigns, … out of the table in apis.lua, each made when it is first used.
--- See hubspot.lua for the whole picture.
---
---   hubspot.GROUP.NAME(path parameters …, body, options)
---
--- The body is there where the operation has one; `options` holds the query's parameters under HubSpot's names, and
--- `priority`, `version` and `account`-independent settings of the call. Collections come as iterators.
local _, host = ...
local arguments = require "hubspot.arguments"
local pages = require "hubspot.pages"

local calls = {}

---@class hubspot.operation
---@field name string "lists.memberships.add"
---@field method string
---@field path string "{version}" stands for the API version
---@field versions string[]|nil nil: all there are, or none in the path
---@field params string[] names of the path's parameters, in order
---@field query table<string, "required"|"optional">|nil nil: HubSpot's documents do not describe it
---@field body "json"|"array"|"multipart"|"text"|nil
---@field body_required boolean
---@field iterates boolean
---@field offset boolean pages by an offset in the body
---@field ids boolean integers under names of ids may be in the answer
---@field sent table<string, true>|nil ids that HubSpot wants as integers
---@field summary string

local CALL_OPTIONS = { priority = true, version = true, cursor = true }

---------------------------------------------------------------------------------------------------- the table

local parsed = {}

local function words(text, separator)
  local out = {}
  for word in text:gmatch("[^" .. separator .. "]+") do out[#out + 1] = word end
  return out
end

local function parse(group, line)
  local fields = {}
  for field in (line .. "|"):gmatch("([^|]*)|") do fields[#fields + 1] = field end
  local name, method, path, versions, query, body, flags, summary = table.unpack(fields)
  local o = { name = group .. "." .. name, method = method, path = path, params = {}, summary = summary or "",
    versions = versions and versions ~= "" and words(versions, ",") or nil, ids = false, iterates = false, offset = false }
  for param in path:gmatch("{([^}]+)}") do
    if param ~= "version" then o.params[#o.params + 1] = param end
  end
  if query ~= "?" then
    o.query = {}
    for _, word in ipairs(words(query or "", ",")) do
      o.query[word:gsub("!$", "")] = word:find("!$") and "required" or "optional"
    end
  end
  if body and body ~= "" then o.body, o.body_required = body:gsub("!$", ""), body:find("!$") ~= nil end
  for _, flag in ipairs(words(flags or "", ",")) do
    local sent = flag:match("^sent:(.*)")
    if sent then
      o.sent = {}
      for _, key in ipairs(words(sent, "+")) do o.sent[key] = true end
    else
      o[flag] = true
    end
  end
  return o
end

---The operations of a group by name, newest form first; nil when there is no such group.
---@param group string
---@return table<string, hubspot.operation[]>|nil
function calls.operations(group)
  local found = parsed[group]
  if found then return found end
  local text = require("hubspot.apis").groups[group]
  if not text then return nil end
  found = {}
  for line in text:gmatch("[^\n]+") do
    local o = parse(group, line)
    local name = o.name:sub(#group + 2)
    found[name] = found[name] or {}
    table.insert(found[name], o)
  end
  parsed[group] = found
  return found
end

---Names of all groups, sorted.
---@return string[]
function calls.groups()
  local names = {}
  for name in pairs(require("hubspot.apis").groups) do names[#names + 1] = name end
  table.sort(names)
  return names
end

---------------------------------------------------------------------------------------------------- arguments

-- Raised by the checks below, however deep they are; `checked` raises it again at the caller's line.
local Misuse = {}

local function misuse(format, ...) error(setmetatable({ format:format(...) }, Misuse), 0) end

local function usage(o)
  local list = table.move(o.params, 1, #o.params, 1, {})
  if o.body then list[#list + 1] = "body" end
  list[#list + 1] = "options"
  return ("%s(%s)"):format(o.name, table.concat(list, ", "))
end

local function keys(t)
  local out = {}
  for key in pairs(t) do out[#out + 1] = tostring(key) end
  table.sort(out)
  return out
end

local function segment(o, i, value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if math.type(value) == "float" and value == math.floor(value) then return ("%.0f"):format(value) end
  if type(value) ~= "string" or value == "" then
    misuse("%s: %s must be a string or an integer, not %s", usage(o), o.params[i],
      value == "" and "an empty one" or value == nil and "nil" or "a " .. type(value))
  end
  return host.url(value)
end

-- A query parameter's value; a list repeats the name, as HubSpot's documents have it.
local function query_value(o, key, value)
  local kind = type(value)
  if kind == "string" or kind == "boolean" then return tostring(value) end
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if kind == "number" then return (("%.14g"):format(value)) end
  misuse('%s: "%s" must be a string, a number, a boolean or a list of these, not a %s', o.name, key, kind)
end

-- "objectProperty.{propname}" stands for every name that begins so.
local function is_parameter(o, key)
  if o.query[key] then return true end
  for name in pairs(o.query) do
    local prefix = name:match("^([^{]+){")
    if prefix and #key > #prefix and key:sub(1, #prefix) == prefix then return true end
  end
  return false
end

local function query_text(o, options)
  local parts = {}
  for _, key in ipairs(keys(options)) do
    local value = options[key]
    if not CALL_OPTIONS[key] then
      if o.query and not is_parameter(o, key) then
        local known = keys(o.query)
        local near = host.nearest(key, known)
        misuse('%s has no parameter "%s"%s', o.name, key, near and ('; did you mean "%s"?'):format(near)
          or #known > 0 and "; there are: " .. table.concat(known, ", ") or ": it has none")
      end
      for _, one in ipairs(type(value) == "table" and value or { value }) do
        parts[#parts + 1] = host.url(key) .. "=" .. host.url(query_value(o, key, one))
      end
    end
  end
  for key, need in pairs(o.query or {}) do
    if need == "required" and options[key] == nil then
      misuse('%s: the options must hold "%s"', usage(o), key)
    end
  end
  return #parts > 0 and table.concat(parts, "&") or nil
end

---------------------------------------------------------------------------------------------------- versions

local function has(list, version)
  for _, one in ipairs(list) do
    if one == version then return true end
  end
  return false
end

-- The form of the operation for the account's version, or for the call's own.
local function choose(list, conn, wanted)
  if wanted ~= nil and not arguments.is_version(wanted) then
    misuse('%s: version must be a dated one, such as "2026-09", not %s', list[1].name, tostring(wanted))
  end
  local known = require("hubspot.apis").versions
  local newest = known[#known]
  local first = list[1]
  if not first.path:find("{version}", 1, true) then
    if wanted then misuse("%s has no dated form yet: leave version= out", first.name) end
    return first, first.path
  end
  if not wanted and #list == 1 and not first.versions then return first, first.path end
  local version = wanted or host.api_version(conn.account)
  -- A version that is younger than the table is taken to have what the newest one has.
  local like = version > newest and newest or version
  local all = {}
  for _, o in ipairs(list) do
    local versions = o.versions or known
    if has(versions, like) then return o, (o.path:gsub("{version}", version)) end
    table.move(versions, 1, #versions, #all + 1, all)
  end
  if wanted then
    table.sort(all)
    misuse('%s has no version "%s"; there is %s', first.name, tostring(wanted), table.concat(all, ", "))
  end
  local versions = first.versions or known
  return first, (first.path:gsub("{version}", versions[#versions]))
end

---------------------------------------------------------------------------------------------------- bodies

-- Ids come to scripts as strings; where HubSpot wants integers they go back as such.
local function sent_ids(value, names)
  local out = {}
  for key, item in pairs(value) do
    if type(item) == "table" and item ~= json.null then
      if names[key] and #item > 0 then
        local list = {}
        for i, one in ipairs(item) do list[i] = math.tointeger(tonumber(one)) or one end
        out[key] = list
      else
        out[key] = sent_ids(item, names)
      end
    elseif names[key] and type(item) == "string" then
      out[key] = math.tointeger(tonumber(item)) or item
    else
      out[key] = item
    end
  end
  return getmetatable(value) ~= nil and json.array(out) or out   -- an empty array stays one
end

local function is_id(key)
  return key == "id" or type(key) == "string" and key:find("I[dD]s?$") and not key:find("[tT]ypeIds?$")
end

local function received_ids(value)
  if type(value) ~= "table" then return value end
  for key, item in pairs(value) do
    if type(item) == "table" then
      if is_id(key) then
        for i, one in ipairs(item) do
          if math.type(one) == "integer" then item[i] = ("%d"):format(one) else received_ids(one) end
        end
      else
        received_ids(item)
      end
    elseif math.type(item) == "integer" and is_id(key) then
      value[key] = ("%d"):format(item)
    end
  end
  return value
end

-- { importRequest = { … }, files = { { name = "a.csv", content = "…", type = "text/csv" } } } as multipart/form-data.
local function multipart(o, body)
  local parts, all = {}, {}
  local function part(name, value)
    local file = type(value) == "table" and value.content
    if file and type(file) ~= "string" then misuse("%s: %s.content must be a string", o.name, name) end
    local content = file or (type(value) == "table" and json.encode(value)) or tostring(value)
    local head = ('Content-Disposition: form-data; name="%s"'):format(name)
    if file then
      local shown = tostring(value.name or name):gsub('[%c"]', "_")
      head = ('%s; filename="%s"\r\nContent-Type: %s'):format(head, shown, value.type or "application/octet-stream")
    elseif type(value) == "table" then
      head = head .. "\r\nContent-Type: application/json"
    end
    all[#all + 1] = content
    parts[#parts + 1] = head .. "\r\n\r\n" .. content .. "\r\n"
  end
  for _, name in ipairs(keys(body)) do
    local value = body[name]
    if type(value) == "table" and type(value[1]) == "table" and value[1].content then
      for _, file in ipairs(value) do part(name, file) end
    else
      part(name, value)
    end
  end
  local text, mark = table.concat(all), "hubloop-form-data"
  while text:find(mark, 1, true) do mark = mark .. ("-%08x"):format(math.random(0, 0x7fffffff)) end
  return "--" .. mark .. "\r\n" .. table.concat(parts, "--" .. mark .. "\r\n") .. "--" .. mark .. "--\r\n",
    "multipart/form-data; boundary=" .. mark
end

local function body_of(o, body)
  if body == nil then
    if o.body_required then misuse("%s: the body is missing", usage(o)) end
    return nil
  end
  local want = o.body == "text" and "string" or "table"
  if type(body) ~= want and not (want == "table" and type(body) == "string" and o.body ~= "multipart") then
    misuse("%s: the body must be a %s, not a %s", usage(o), want, type(body))
  end
  if o.body == "text" then return body, "text/plain" end
  if o.body == "multipart" then return multipart(o, body) end
  if type(body) == "string" then return body end
  if o.sent then body = sent_ids(body, o.sent) end
  return o.body == "array" and json.array(body) or body
end

---------------------------------------------------------------------------------------------------- the call

-- What an answer holds: its results, whatever HubSpot calls them, and the cursor of the next page. An operation that
-- takes no cursor gives all that it has.
local function items(o, answer, after)
  if type(answer) ~= "table" then return {}, nil end
  if not answer.results then return answer, nil end
  local cursor = pages.next_cursor(answer)
  if not cursor or o.query and not o.query.after then return answer.results, nil end
  if cursor == after then
    error(host.error { kind = "protocol", message = ("%s: HubSpot gave the cursor %s again; the pages would never end")
      :format(o.name, cursor) })
  end
  return answer.results, cursor
end

local function prepare(list, conn, ...)
  local n, args, first = select("#", ...), { ... }, list[1]
  local takes = #first.params + (first.body and 2 or 1)
  if n > takes then misuse("%s: %d arguments were given", usage(first), n) end
  local options = args[takes]
  if options == nil then options = {} end
  if type(options) ~= "table" then
    misuse("%s: the options must be a table, not a %s", usage(first), type(options))
  end
  local o, path = choose(list, conn, options.version)
  if options.cursor ~= nil and not o.iterates and not o.offset then misuse("%s takes no cursor: it is no collection", usage(o)) end
  local at = 0
  path = path:gsub("{([^}]+)}", function(name)
    if name == "version" then return nil end
    at = at + 1
    return segment(o, at, args[at])
  end)
  local body, content_type = nil, nil
  if o.body then body, content_type = body_of(o, args[#o.params + 1]) end
  return o, { path = path, query = query_text(o, options), body = body, content_type = content_type,
    priority = options.priority, cursor = options.cursor }
end

-- Called by the function that the script calls.
local function checked(list, conn, ...)
  local fine, o, call = pcall(prepare, list, conn, ...)
  if fine then return o, call end
  if getmetatable(o) == Misuse then error(o[1], 3) end
  error(o, 0)
end

local function send(o, conn, call, account)
  local answer, status = host.api {
    kind = "raw", method = o.method, path = call.path, query = call.query, body = call.body,
    content_type = call.content_type, account = account or conn.account, priority = call.priority, nulls = false,
  }
  if o.ids then received_ids(answer) end
  return answer, status
end

-- The query of the page after `cursor`: what the script gave, but its own cursor.
local function with_after(query, after)
  local parts = {}
  for part in (query or ""):gmatch("[^&]+") do
    if not part:find("^after=") then parts[#parts + 1] = part end
  end
  parts[#parts + 1] = "after=" .. host.url(after)
  return table.concat(parts, "&")
end

-- What makes a collection of calls another than others, for its cursors.
local function identity(o, call, own)
  local query = (call.query or ""):gsub("%f[^&\0]limit=[^&]*&?", "")   -- pages of another size are the same collection
  return { name = o.name, of = { own or "", call.path, query, call.body or "" }, cursor = call.cursor }
end

local function make(conn, list)
  if list[1].offset then
    return function(...)
      local o, call = checked(list, conn, ...)
      local own = conn.fixed_account()
      call.priority = call.priority or conn.class()
      return pages.iterate(function(after)
        local body = {}
        for key, value in pairs(call.body or {}) do body[key] = value end
        body.offset = after and math.tointeger(tonumber(after)) or body.offset
        local answer = send(o, conn, { path = call.path, query = call.query, body = body, priority = call.priority }, own)
        return answer.lists or {}, answer.hasMore and tostring(answer.offset) or nil
      end, identity(o, call, own))
    end
  end
  if list[1].iterates then
    return function(...)
      local o, call = checked(list, conn, ...)
      local own, query = conn.fixed_account(), call.query
      call.priority = call.priority or conn.class()
      local of = identity(o, call, own)
      return pages.iterate(function(after)
        if after then call.query = with_after(query, after) end
        return items(o, (send(o, conn, call, own)), after)
      end, of)
    end
  end
  return function(...)
    local o, call = checked(list, conn, ...)
    return send(o, conn, call)
  end
end

local node

---@param conn hubspot.connection
---@param group string
---@param operations table<string, hubspot.operation[]>
---@param prefix string "" or "memberships."
node = function(conn, group, operations, prefix)
  local meta = {}

  -- The function or table of that name; else nil and what to say.
  function meta.find(self, key)
    local name = prefix .. tostring(key)
    local value = rawget(self, key)
    if value ~= nil then return value end
    if operations[name] then
      value = make(conn, operations[name])
    else
      for other in pairs(operations) do
        if other:sub(1, #name + 1) == name .. "." then
          value = node(conn, group, operations, name .. ".")
          break
        end
      end
    end
    rawset(self, key, value)
    if value then return value end
    local children = {}
    for child in pairs(self) do children[child] = true end
    for other in pairs(operations) do
      if other:sub(1, #prefix) == prefix then children[other:sub(#prefix + 1):match("^[^.]+")] = true end
    end
    local near = arguments.meant(key, children)
    return nil, ('hubspot.%s has no "%s"; %s'):format((group .. "." .. prefix):sub(1, -2), tostring(key),
      near and ('did you mean "%s"?'):format(near) or ("hubloop help hubspot.%s lists what there is"):format(group))
  end

  function meta.__index(self, key)
    local value, message = meta.find(self, key)
    if value == nil then error(message, 2) end
    return value
  end

  return setmetatable({}, meta)
end

---The same functions with their first argument given: hubspot.properties("contacts").get("email").
---@param functions table
---@param first string
---@return table
function calls.bind(functions, first)
  return setmetatable({}, { __index = function(self, key)
    local value, message = getmetatable(functions).find(functions, key)
    if value == nil then error(message, 2) end
    local bound
    if type(value) == "table" then bound = calls.bind(value, first)
    else bound = function(...) return value(first, ...) end end
    rawset(self, key, bound)
    return bound
  end })
end

---A group's table of functions, or nil.
---@param conn hubspot.connection
---@param group string
---@return table|nil
function calls.group(conn, group)
  local operations = calls.operations(group)
  return operations and node(conn, group, operations, "")
end

return calls
