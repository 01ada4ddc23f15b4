--- Iterators over pages: list and search. See hubspot.lua for the whole picture.
local _, host = ...
local record = require "hubspot.record"
local values = require "hubspot.values"

local pages = {}
local PAGE = 100             -- largest page of a list
local SEARCH_PAGE = 200      -- largest page of a search
local SEARCH_MAX = 10000     -- results that HubSpot gives out for one query

---An iterator over pages: fetch(after) gives a list and the next cursor.
---@param fetch fun(after: string|nil): table[], string|nil
function pages.iterate(fetch)
  local list, at, after, finished = {}, 0, nil, false
  return function()
    while at >= #list do
      if finished then return nil end
      list, after = fetch(after)
      at, finished = 0, after == nil
    end
    at = at + 1
    return list[at]
  end
end

---@param answer table
---@return string|nil
function pages.next_cursor(answer)
  local paging = answer.paging
  local next_page = paging and paging.next
  return next_page and next_page.after or nil
end

---@param o hubspot.objects
---@param conn hubspot.connection
---@param path string
function pages.add(o, conn, path)
  ---Iterates over what a search finds; each step may wait. New and changed records appear in searches moments
  ---later, so read back by id. HubSpot gives out at most 10,000 results for one search.
  ---@param query hubspot.query
  ---@return fun(): hubspot.record|nil
  function o.search(query)
    if type(query) ~= "table" then error("search: expects a table { filters = …, properties = … }", 2) end
    local names = values.check_names(query.properties, 2)
    if query.filters and query.filterGroups then error("search: give filters or filterGroups, not both", 2) end
    local groups = query.filterGroups or (query.filters and { { filters = query.filters } }) or {}
    local page = math.min(query.limit or SEARCH_PAGE, SEARCH_PAGE)
    local seen, own = 0, conn.fixed_account()
    return pages.iterate(function(after)
      if seen >= SEARCH_MAX then
        error(host.error { kind = "limit", message = ("HubSpot gives out only the first %d results of a search, and "
          .. "this one has more: narrow it with filters (going on past them is not in this version yet)"):format(SEARCH_MAX) })
      end
      local answer = conn.raw("POST", path .. "/search", { account = own, priority = query.priority, body = {
        filterGroups = json.array(groups), properties = json.array(names or {}), query = query.query,
        sorts = json.array(query.sorts or {}), limit = math.min(page, SEARCH_MAX - seen), after = after or "0" } })
      local list = answer.results or {}
      seen = seen + #list
      for _, item in ipairs(list) do record.wrap(item, names) end
      return list, pages.next_cursor(answer)
    end)
  end

  ---Iterates over all records, page by page; each step may wait.
  ---@param options string[]|{properties: string[]|nil, limit: integer|nil, archived: boolean|nil, priority: string|nil}|nil
  ---@return fun(): hubspot.record|nil
  function o.list(options)
    options = options or {}
    local names = values.check_names(options.properties or (options[1] and options) or nil, 2)
    local query = { limit = math.min(options.limit or PAGE, PAGE), archived = tostring(options.archived or false),
      properties = names and #names > 0 and table.concat(names, ",") or nil }
    local own = conn.fixed_account()
    return pages.iterate(function(after)
      query.after = after
      local answer = conn.raw("GET", path, { account = own, query = query, priority = options.priority })
      for _, item in ipairs(answer.results or {}) do record.wrap(item, names) end
      return answer.results or {}, pages.next_cursor(answer)
    end)
  end
end

return pages
