--- The iterators of an object type: list and search. See iterator.lua for how they page.
local iterator = require "hubspot.iterator"
local record = require "hubspot.record"
local search = require "hubspot.search"
local values = require "hubspot.values"

local pages = { iterate = iterator.pages }
local PAGE = 100             -- largest page of a list
local NAMES_MAX = 6000       -- characters of property names in a URL; it comes through proxies that take 8,192

---@class hubspot.list_options
---@field properties string[]|nil
---@field limit integer|nil records a page, at most 100
---@field archived boolean|nil
---@field after string|nil a cursor
---@field priority string|nil

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
  search(o, conn, path)

  -- The records of a page, read with more properties than its URL holds. Those deleted meanwhile are left out.
  local function read(list, names, call)
    if #list == 0 then return list end
    local inputs, by_id, out = {}, {}, {}
    for i, item in ipairs(list) do inputs[i] = { id = item.id } end
    local answer = conn.raw("POST", path .. "/batch/read", { account = call.account, priority = call.priority,
      query = { archived = call.query.archived },
      body = { inputs = json.array(inputs), properties = json.array(names), propertiesWithHistory = json.array {} } })
    for _, item in ipairs(answer.results or {}) do by_id[item.id] = item end
    for _, item in ipairs(list) do out[#out + 1] = by_id[item.id] end
    return out
  end

  ---Iterates over all records; each step may wait. The next page is read while the script works on this one. Goes on
  ---after an earlier run's `:cursor()` with `after = cursor`.
  ---@param options string[]|hubspot.list_options|nil a list of property names is enough
  ---@return hubspot.iterator
  function o.list(options)
    options = options or {}
    local names = values.check_names(options.properties or (options[1] and options) or nil, 2)
    local archived = tostring(options.archived or false)
    local query = { limit = math.min(options.limit or PAGE, PAGE), archived = archived,
      properties = names and #names > 0 and table.concat(names, ",") or nil }
    local many = query.properties and #query.properties > NAMES_MAX
    if many then query.properties = nil end
    local own, class = conn.fixed_account(), options.priority or conn.class()
    return iterator.pages(function(after)
      query.after = after
      local call = { account = own, query = query, priority = class }
      local answer = conn.raw("GET", path, call)
      local list = answer.results or {}
      if many then list = read(list, names, call) end
      for _, item in ipairs(list) do record.wrap(item, names) end
      return list, pages.next_cursor(answer)
    end, { name = o.type .. ".list", of = { own or "", archived }, cursor = iterator.cursor_option(options, 2) })
  end
end

return pages
