--- A JSON API as a side of a sync: its list is read page by page; with `get` and `find` it is written to as well.
local _, host = ...
local values = require "sync.values"

local OPTIONS = { "url", "list", "id", "modified", "since", "since_format", "overlap", "paging", "auth", "headers", "query", "get",
  "find", "item", "update" }
local PAGING = { "by", "param", "next", "more", "size_param", "size", "first" }
local WAYS = { "cursor", "link", "next", "offset", "page" }
local NEEDS = { cursor = { "param", "next" }, next = { "next" }, offset = { "param" }, page = { "param" }, link = {} }
local TRIES = 6
local AT_ONCE = 4            -- writes on their way
local ROW_FAULTS = { [400] = true, [404] = true, [409] = true, [410] = true, [422] = true }

local function fail(kind, message) error(host.error { kind = kind, message = message }, 0) end

local function set(list)
  local out = {}
  for _, name in ipairs(list) do out[name] = true end
  return out
end

-- The value at "a.b.c"; "" and nil are the value itself.
local function pick(value, path)
  for name in (path or ""):gmatch("[^.]+") do
    if type(value) ~= "table" or value == json.null then return nil end
    value = value[name]
  end
  return value ~= json.null and value or nil
end

local function put(target, path, value)
  local names = {}
  for name in path:gmatch("[^.]+") do names[#names + 1] = name end
  for i = 1, #names - 1 do
    target[names[i]] = type(target[names[i]]) == "table" and target[names[i]] or {}
    target = target[names[i]]
  end
  target[names[#names]] = value
end

local function origin(url) return (url:match("^(https?://[^/?#]+)") or ""):lower() end

-- A link as the page has it, from this page's address. Never to another host: the credential would go there.
local function follow(url, link)
  if link:find("^/") then link = origin(url) .. link
  elseif link:find("^%?") then link = url:match("^[^?#]+") .. link
  elseif not link:find("^https?://") then link = url:match("^([^?#]*/)") .. link end
  if origin(link) ~= origin(url) then fail("denied", ("the next page is said to be at another host, %s"):format(origin(link))) end
  return link
end

local function with_query(url, query)
  local keys, parts = {}, {}
  for key in pairs(query) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do parts[i] = host.url(key) .. "=" .. host.url(tostring(query[key])) end
  return #parts == 0 and url or url .. (url:find("?", 1, true) and "&" or "?") .. table.concat(parts, "&")
end

local function check(o)
  if type(o) ~= "table" then return "expects a table { url = …, … }" end
  local known = set(OPTIONS)
  for key in pairs(o) do
    if not known[key] then
      local near = host.nearest(tostring(key), OPTIONS)
      return ('unknown option "%s"%s'):format(tostring(key), near and ('; did you mean "%s"?'):format(near) or "")
    end
  end
  if type(o.url) ~= "string" or origin(o.url) == "" then return 'url must be an address, such as "https://api.example.com/customers"' end
  if o.paging then
    local ways, names = set(WAYS), set(PAGING)
    if type(o.paging) ~= "table" or not ways[o.paging.by] then return 'paging.by must be "cursor", "link", "next", "offset" or "page"' end
    for key in pairs(o.paging) do
      if not names[key] then return ('paging: unknown option "%s"; there are %s'):format(tostring(key), table.concat(PAGING, ", ")) end
    end
    for _, name in ipairs(NEEDS[o.paging.by]) do
      if type(o.paging[name]) ~= "string" then return ('paging by "%s" needs %s'):format(o.paging.by, name) end
    end
  end
  if o.since and not o.modified then return "since needs modified, the field that says when a record was changed" end
  if (o.get == nil) ~= (o.find == nil) then return 'get and find go together: get = "/{id}", find = "?email={key}"' end
end

---@param o table
return function(o)
  local wrong = check(o)
  if wrong then error("sync.http: " .. wrong, 3) end
  local paging, overlap = o.paging or { by = "none" }, time.duration(o.overlap or "2m")
  local self = { sync_endpoint = true, label = o.url:match("^[^?#]+"), snapshot = o.since == nil,
    no_two_way = 'give get = "/{id}" and find = "?email={key}", by which records are read and found' }
  local id = o.id or "id"

  -- Asks until there is an answer: what says "later" is waited for.
  local function ask(method, url, body)
    for try = 1, TRIES do
      local ok, answer = pcall(http.request, { method = method, url = url, headers = o.headers, auth = o.auth, json = body,
        idempotent = method ~= "POST" or nil })
      local later = ok and (answer.status == 429 or answer.status == 503 or method == "GET" and answer.status >= 500)
        or not ok and method == "GET" and type(answer) == "table" and answer.retryable
      if not later or try == TRIES then
        if not ok then error(answer, 0) end
        return answer
      end
      local wait = ok and tonumber(answer.headers["retry-after"])
      task.sleep(math.min(wait or 2 ^ try, 300))
    end
  end

  local function read(url)
    local answer = ask("GET", url)
    if answer.status >= 400 then
      fail("http", ("GET %s answered %d: %s"):format(url:match("^[^?#]+"), answer.status, answer.body:sub(1, 200)))
    end
    local ok, body = pcall(answer.json)
    if not ok then fail("protocol", ("GET %s answered no JSON"):format(url:match("^[^?#]+"))) end
    return body, answer.headers
  end

  local function record_of(row, names)
    for _, name in ipairs(names) do
      if name:find(".", 1, true) and row[name] == nil then row[name] = pick(row, name) end
    end
    local key = pick(row, id)
    if key == nil then
      fail("protocol", ('%s: a record has no "%s"; id = "…" names the field that tells which it is'):format(self.label, id))
    end
    return { id = tostring(key), values = row, modified = o.modified and values.moment(pick(row, o.modified)) }
  end

  -- Where the page after this one is: the state of it, or nil.
  local function next_of(state, url, body, headers, n)
    local by = paging.by
    if by == "none" or paging.more and not pick(body, paging.more) then return nil end
    if by == "cursor" then
      local value = pick(body, paging.next)
      return value ~= nil and value ~= "" and { cursor = value } or nil
    elseif by == "next" or by == "link" then
      local link = by == "next" and pick(body, paging.next) or by == "link" and (headers.link or ""):match('<([^>]*)>[^,]-rel="?next"?')
      return type(link) == "string" and link ~= "" and { url = follow(url, link) } or nil
    end
    if n == 0 or paging.size and n < paging.size then return nil end
    if by == "page" then return { page = (state.page or paging.first or 1) + 1 } end
    return { offset = (state.offset or 0) + n }
  end

  local function address(state, since)
    if state.url then return state.url end
    local query = {}
    for key, value in pairs(o.query or {}) do query[key] = value end
    if paging.size_param then query[paging.size_param] = paging.size end
    if paging.by == "page" then query[paging.param] = state.page or paging.first or 1
    elseif paging.by == "offset" then query[paging.param] = state.offset or 0
    elseif state.cursor ~= nil then query[paging.param] = state.cursor end
    if since then
      local from = math.max(0, since - overlap)
      query[o.since] = o.since_format == "ms" and from or o.since_format == "s" and from // 1000 or time.iso(from)
    end
    return with_query(o.url, query)
  end

  ---@return fun(): {records: table[], cursor: any}|nil
  function self.changes(cursor, names)
    return coroutine.wrap(function()
      cursor = cursor or {}
      local since, state, last = cursor.since, cursor.at or {}, cursor.last
      while true do
        local url = address(state, since)
        local body, headers = read(url)
        local list, records = pick(body, o.list), {}
        if type(list) ~= "table" then
          fail("protocol", ('%s: the answer has no list%s'):format(self.label, o.list and ' at "' .. o.list .. '"' or ""))
        end
        for i, row in ipairs(list) do
          records[i] = record_of(row, names)
          last = math.max(last or 0, records[i].modified or 0)
        end
        local after = next_of(state, url, body, headers, #list)
        if after and json.encode(after) == json.encode(state) then
          fail("protocol", ("%s: the next page is said to be this one again"):format(self.label))
        end
        if not after then
          local done = o.since and last and last > 0 and last or since
          coroutine.yield { records = records, cursor = o.since and done and { since = done } or nil }
          return
        end
        coroutine.yield { records = records, cursor = { at = after, since = since, last = last } }
        state = after
      end
    end)
  end

  if not o.get then return self end

  local function path(template, name, value) return o.url .. template:gsub("{" .. name .. "}", (host.url(value):gsub("%%", "%%%%"))) end

  ---@return table<string, table>
  function self.get(ids, names)
    local out = {}
    local found = task.map(ids, function(one)
      local answer = ask("GET", path(o.get, "id", one))
      if answer.status == 404 or answer.status == 410 then return {} end
      if answer.status >= 400 then fail("http", ("GET %s answered %d: %s"):format(self.label, answer.status, answer.body:sub(1, 200))) end
      return { record_of(pick(answer.json(), o.item), names) }
    end, { concurrency = AT_ONCE })
    for i, one in ipairs(ids) do out[one] = found[i][1] end
    return out
  end

  ---@return table<string, table>
  function self.find(property, wanted, names)
    local out = {}
    local found = task.map(wanted, function(value)
      local list = {}
      for _, row in ipairs(pick(read(path(o.find, "key", value)), o.list) or {}) do
        -- A search may find more than what was asked for.
        if tostring(pick(row, property)):lower() == tostring(value):lower() then list[#list + 1] = record_of(row, names) end
      end
      return list
    end, { concurrency = AT_ONCE })
    for i, value in ipairs(wanted) do
      local list = found[i]
      if #list > 1 then
        local ids = {}
        for at, record in ipairs(list) do ids[at] = record.id end
        out[value] = { several = ids }
      else
        out[value] = list[1]
      end
    end
    return out
  end

  local function write_one(op)
    local method, url, body = "POST", o.url, nil
    if op.kind ~= "create" then method, url = op.kind == "delete" and "DELETE" or o.update or "PATCH", path(o.get, "id", op.id) end
    if op.kind ~= "delete" then
      local item = {}
      for name, value in pairs(op.values) do put(item, name, value) end
      body = o.item and { [o.item] = item } or item
    end
    local answer = ask(method, url, body)
    if op.kind == "delete" and (answer.status == 404 or answer.status == 410) or answer.status < 300 then
      local ok, made = pcall(answer.json)
      local new = op.kind == "create" and ok and pick(pick(made, o.item), id)
      if op.kind == "create" and new == nil then fail("protocol", ('POST %s answered without "%s"'):format(self.label, id)) end
      return { id = new and tostring(new) or op.id }
    end
    local said = ("%s answered %d: %s"):format(method, answer.status, answer.body:sub(1, 200))
    if ROW_FAULTS[answer.status] then return { error = said } end
    fail("http", said)
  end

  ---Waits.
  function self.write(ops) return task.map(ops, write_one, { concurrency = AT_ONCE }) end

  return self
end
