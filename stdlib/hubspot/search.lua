--- Searches that go on past HubSpot's 10,000 results. See iterator.lua for how iterators page.
---
--- HubSpot pages through a search by position, up to 10,000, and a position means another record as soon as one
--- before it comes or goes. So each page here is a search of its own, for what stands behind the last record:
---
---   no sort, or by hs_object_id    hs_object_id GT the last id. Ids are unique and never change, so this is exact.
---   by a property P                P GTE the last value (LTE when descending), without the records of that value
---                                  that were given out. When that value fills more than half a page, the records
---                                  that have it are read by their ids (P EQ the value, hs_object_id GT the last),
---                                  and then those with P GT the value. Records without a value come last, by id.
---
--- A window is one filter more in each group (two or three where a value is shared by many), and HubSpot allows 6 in a
--- group and 18 in all, and 3,000 characters. Where there is no room, the search pages by position and ends at 10,000.
local _, host = ...
local iterator = require "hubspot.iterator"
local record = require "hubspot.record"
local values = require "hubspot.values"

local PAGE = 200             -- largest page
local MAX = 10000            -- results that HubSpot gives out by position
local GROUP, FILTERS = 6, 18 -- filters of a group, and of all
local BODY = 3000            -- characters
local ID = "hs_object_id"

-- What HubSpot shows when no properties are asked for: a sort asks for one, and the others have to stay.
local DEFAULTS = {
  contacts = { "createdate", "email", "firstname", "lastmodifieddate", "lastname" },
  companies = { "createdate", "domain", "hs_lastmodifieddate", "name" },
  deals = { "amount", "closedate", "createdate", "dealname", "dealstage", "hs_lastmodifieddate", "pipeline" },
  tickets = { "content", "createdate", "hs_lastmodifieddate", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_category",
    "hs_ticket_priority", "subject" },
}

---------------------------------------------------------------------------------------------------- values

-- What a property's type means for its order. Enumerations and booleans have one of HubSpot's own.
local KINDS = { number = "number", date = "time", datetime = "time", string = "text", phone_number = "text" }

-- The number that stands for a value, nil for texts. Times are epoch ms.
local function number_of(kind, value)
  if kind == "text" or not value then return nil end
  local number = tonumber(value)
  if number or kind == "number" then return number end
  local ok, ms = pcall(time.parse, value)
  return ok and ms or nil
end

-- How a filter names a value: times as epoch ms, as HubSpot's guide has them.
local function operand(kind, value)
  local number = kind == "time" and number_of(kind, value)
  return number and ("%d"):format(number) or value
end

-- Whether HubSpot may hold two values for the same. Never false when it does.
local function same(kind, a, b)
  if not a or not b then return false end
  if a == b or a:lower() == b:lower() then return true end
  local x, y = number_of(kind, a), number_of(kind, b)
  return x ~= nil and x == y
end

local function filter(name, operator, value) return { propertyName = name, operator = operator, value = value } end

---------------------------------------------------------------------------------------------------- the query

-- { name=, down= } out of HubSpot's forms: "amount", "-amount", { propertyName=, direction= }.
local function read_sort(sorts, level)
  if sorts == nil then return nil end
  if type(sorts) ~= "table" then error("search: sorts must be a list, such as { \"-createdate\" }", level + 1) end
  if #sorts > 1 then error("search: HubSpot sorts by one property; sorts has " .. #sorts, level + 1) end
  local sort = sorts[1]
  if sort == nil then return nil end
  local name, down = sort, false
  if type(sort) == "table" then
    name, down = sort.propertyName, tostring(sort.direction):upper():find("^DESC") ~= nil
  elseif type(sort) == "string" and sort:sub(1, 1) == "-" then
    name, down = sort:sub(2), true
  end
  if type(name) ~= "string" or name == "" then
    error('search: a sort is "amount", "-amount" or { propertyName = "amount", direction = "DESCENDING" }', level + 1)
  end
  return { name = name, down = down }
end

local function limit_error(text) return host.error { kind = "limit", message = "search: " .. text } end

---@param o hubspot.objects
---@param conn hubspot.connection
---@param path string
return function(o, conn, path)
  local name = o.type .. ".search"
  local types = {}             -- account and property -> kind, false: none

  -- One search: what every page has, and the functions that read one.
  local function source(query, level)
    local names = values.check_names(query.properties, level + 1)
    local groups = query.filterGroups or (query.filters and { { filters = query.filters } }) or {}
    local sort = read_sort(query.sorts, level + 1)
    local by = sort and sort.name ~= ID and sort.name or nil
    local down = sort and sort.down or false
    local size = math.min(query.limit or PAGE, PAGE)
    local own, class = conn.fixed_account(), query.priority or conn.class()
    local asked = names or by and DEFAULTS[o.type] or {}
    asked = table.move(asked, 1, #asked, 1, {})
    if by then asked[#asked + 1] = by end

    local function room(more)
      local total = 0
      for _, group in ipairs(groups) do
        local n = #(group.filters or {})
        if n + more > GROUP then return false end
        total = total + n + more
      end
      return total <= FILTERS
    end

    local function body_of(more, order, after, n)
      local with = {}
      for i, group in ipairs(groups) do
        local list = {}
        for _, f in ipairs(group.filters or {}) do list[#list + 1] = f end
        for _, f in ipairs(more) do list[#list + 1] = f end
        with[i] = { filters = json.array(list) }
      end
      if #groups == 0 and #more > 0 then with[1] = { filters = json.array(more) } end
      return { filterGroups = json.array(with), properties = json.array(asked), query = query.query, limit = n, after = after,
        sorts = json.array { { propertyName = order, direction = down and "DESCENDING" or "ASCENDING" } } }
    end

    local function fits(body) return #json.encode(body) <= BODY end

    -- Reads one page: the records, and whether there are more.
    local function read(more, order, after, n)
      if #more > 0 and not room(#more) then
        error(limit_error(("more than half a page of records has one %s, and to go on inside it takes %d more filters in "
          .. "each group; HubSpot allows %d in a group and %d in all"):format(by or ID, #more, GROUP, FILTERS)))
      end
      local body = body_of(more, order, after or "0", n or size)
      if not fits(body) then
        error(limit_error(("the request has more than the %d characters that HubSpot takes: ask for fewer properties or "
          .. "use shorter filters"):format(BODY)))
      end
      local answer = conn.raw("POST", path .. "/search", { account = own, priority = class, body = body })
      local list = answer.results or {}
      for _, item in ipairs(list) do record.wrap(item, names) end
      return list, answer.paging ~= nil and answer.paging.next ~= nil
    end

    local function behind(id) return filter(ID, down and "LT" or "GT", id) end

    local function not_kept()
      return limit_error("HubSpot's answer does not keep to the window that was asked for; ask for another sort")
    end

    ---------------------------------------------------------------- by id

    local function fetch_by_id(state)
      local list, more = read(state.gt and { behind(state.gt) } or {}, ID)
      local first, last = list[1], list[#list]
      if first and state.gt then
        local a, b = math.tointeger(tonumber(first.id)), math.tointeger(tonumber(state.gt))
        if a == b or (a < b) ~= down then error(not_kept()) end
      end
      return list, more and last and { gt = last.id } or nil
    end

    ---------------------------------------------------------------- by position

    local function fetch_by_position(state)
      local after = math.tointeger(tonumber(state.after or "0"))
      if after >= MAX then
        local help = ("leave %d of the %d filters of each group and of the %d in all free"):format(by and 2 or 1, GROUP, FILTERS)
        if state.m then help = "sort by a number, a time or the id" end
        error(limit_error(("there are more than the %d results that HubSpot gives out by position, and here it cannot be "
          .. "asked for those behind them: %s"):format(MAX, help)))
      end
      local n = math.min(size, MAX - after)
      local list, more = read({}, by or ID, ("%d"):format(after), n)
      local given, rest = iterator.rest(state, list)
      rest.after, rest.m = ("%d"):format(after + n), state.m
      return given, more and rest or nil
    end

    ---------------------------------------------------------------- by a property

    local function value_of(item)
      local value = item.properties and item.properties[by]
      return value ~= "" and value or nil
    end

    -- "number", "time", "text", or nil: an order that windows cannot follow.
    local function kind_of()
      local key = (own or "") .. "/" .. o.type .. "/" .. by
      if types[key] == nil then
        local definition = conn.raw("GET", "/crm/properties/{version}/" .. host.url(o.type) .. "/" .. host.url(by),
          { account = own, priority = class })
        types[key] = KINDS[definition.type] or false
      end
      return types[key] or nil
    end

    -- Texts are the same to HubSpot by rules that are its own, so all of the page's records are remembered then.
    local function remembered(state, items, at, v, kind)
      local seen = {}
      if same(kind, state.v, v) then table.move(state.seen, 1, #state.seen, 1, seen) end
      for i = 1, at do
        if kind == "text" or same(kind, value_of(items[i]), v) then seen[#seen + 1] = items[i].id end
      end
      return seen
    end

    local function unseen(state, list)
      if not state.seen or #state.seen == 0 then return list end
      local given, out = {}, {}
      for _, id in ipairs(state.seen) do given[id] = true end
      for _, item in ipairs(list) do
        if not given[item.id] then out[#out + 1] = item end
      end
      return out
    end

    local function next_range(state, items, kind)
      local v, ties = value_of(items[#items]), 0
      for _, item in ipairs(items) do
        if same(kind, value_of(item), v) then ties = ties + 1 end
      end
      return { m = ties > #items / 2 and "tie" or "range", k = kind, op = "E", v = v, seen = remembered(state, items, #items, v, kind) }
    end

    -- The answer's first record must not stand before the bound: an endless loop would come of it.
    local function kept(kind, state, list)
      local a, b = number_of(kind, list[1] and value_of(list[1])), number_of(kind, state.v)
      return not a or not b or a == b or (a > b) ~= down
    end

    local fetch = { position = fetch_by_position }

    function fetch.first()
      local list, more = read({}, by)
      local kind = more and kind_of()
      if more and not kind then return list, { m = "position", after = ("%d"):format(size) } end
      local valued, missing = {}, {}
      for _, item in ipairs(list) do
        local part = value_of(item) and valued or missing
        part[#part + 1] = item
      end
      if not more then   -- that is all there is
        table.sort(missing, function(a, b)
          local x, y = tonumber(a.id), tonumber(b.id)
          if down then return x > y end
          return x < y
        end)
        return table.move(missing, 1, #missing, #valued + 1, valued), nil
      end
      -- The missing ones have their own turn, at the end.
      if #valued == 0 then return {}, { m = "range", k = kind, op = "HAS", seen = {} } end
      local state = next_range({}, valued, kind)
      state.first = true
      return valued, state
    end

    function fetch.range(state)
      local kind = state.k
      local window = state.op == "HAS" and filter(by, "HAS_PROPERTY")
        or filter(by, (down and "LT" or "GT") .. state.op, operand(kind, state.v))
      local list, more = read({ window }, by)
      if not kept(kind, state, list) then error(not_kept()) end
      return unseen(state, list), more and next_range(state, list, kind) or { m = "none" }
    end

    function fetch.tie(state)
      local window, v = {}, operand(state.k, state.v)
      if state.k == "text" then window[1], window[2] = filter(by, "GTE", v), filter(by, "LTE", v)
      else window[1] = filter(by, "EQ", v) end
      if state.gt then window[#window + 1] = behind(state.gt) end
      local list, more = read(window, ID)
      if not more then return unseen(state, list), { m = "range", k = state.k, op = "", v = state.v, seen = {} } end
      return unseen(state, list), { m = "tie", k = state.k, v = state.v, seen = state.seen, gt = list[#list].id }
    end

    function fetch.none(state)
      local window = { filter(by, "NOT_HAS_PROPERTY") }
      if state.gt then window[2] = behind(state.gt) end
      local list, more = read(window, ID)
      return list, more and { m = "none", gt = list[#list].id } or nil
    end

    -- The page after the first: only now it shows whether HubSpot takes bounds for texts like these. Where it does not,
    -- it goes on by position, from the start, without what the first page gave out.
    local function fetch_second(state)
      local kind = state.k or kind_of()
      if kind then
        state.k = kind
        local ok, list, next_state = pcall(fetch[state.m], state)
        if ok then return list, next_state end
        if kind ~= "text" or type(list) ~= "table" or list.status ~= 400 then error(list, 0) end
      end
      return fetch_by_position { m = "position", after = "0", ids = state.seen }
    end

    local function fetch_by_value(state)
      if state.first then return fetch_second(state) end
      return fetch[state.m or "first"](state)
    end

    local function resume_by_value(state, items, at)
      local item = items[at]
      if state.m == "position" then
        local after = iterator.after_resume(state, items, at)
        after.m = "position"
        return after
      end
      if state.m == "tie" then return { m = "tie", k = state.k, v = state.v, seen = state.seen, gt = item.id } end
      local v = value_of(item)
      if state.m == "none" or not v then return { m = "none", gt = item.id } end
      -- A first page that was all there is did not ask for the property's type.
      return { m = "range", k = state.k, op = "E", v = v, first = not state.m or nil,
        seen = remembered(state, items, at, v, state.k or "text") }
    end

    local sample = { filter(by or ID, "GTE", ("0"):rep(24)), by and filter(ID, "GT", ("0"):rep(16)) or nil }
    local windows = room(#sample) and fits(body_of(sample, by or ID, "0", size))
    if not windows and not fits(body_of({}, by or ID, "0", size)) then
      error(("search: the request has %d characters, and HubSpot takes %d: ask for fewer properties or use shorter filters")
        :format(#json.encode(body_of({}, by or ID, "0", size)), BODY), level + 1)
    end
    local s = { name = name, of = { own or "", groups, query.query or "", sort and sort.name or ID, down, windows } }
    if not windows then s.fetch, s.resume = fetch_by_position, iterator.after_resume
    elseif by then s.fetch, s.resume = fetch_by_value, resume_by_value
    else s.fetch, s.resume = fetch_by_id, function(_, items, at) return { gt = items[at].id } end end
    return s
  end

  ---Iterates over all that a search finds, also past 10,000 results; each step may wait. The next page is read while
  ---the script works on this one. Without `sorts` the order is that of the ids, also with `query`, and every record that
  ---matches all the time comes once, whatever changes meanwhile. With a sort, a record whose sorted value changes
  ---meanwhile may come twice, or not at all; the others come once. New and changed records appear in searches moments
  ---later, so read back by id. `cursor = it:cursor()` goes on where an earlier run stopped.
  ---@param query hubspot.query
  ---@return hubspot.iterator
  function o.search(query)
    if type(query) ~= "table" then error("search: expects a table { filters = …, properties = … }", 2) end
    if query.filters and query.filterGroups then error("search: give filters or filterGroups, not both", 2) end
    local s = source(query, 2)
    return iterator.new(s, iterator.start(s, iterator.cursor_option(query, 2)))
  end
end
