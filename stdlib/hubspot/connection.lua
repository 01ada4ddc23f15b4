--- Calls that are bound to one account. See hubspot.lua for the whole picture.
local _, host = ...
local values = require "hubspot.values"

---@param account string|nil account name; nil: the task's
---@return hubspot.connection
return function(account)
  ---@class hubspot.connection
  local conn = { account = account }

  ---One call. Waits.
  ---@param method string
  ---@param path string
  ---@param options {query: table|string|nil, body: any, account: string|nil, priority: string|nil, nulls: boolean|nil}|nil
  ---@return any answer
  ---@return integer status
  function conn.raw(method, path, options)
    options = options or {}
    return host.api {
      kind = "raw", method = method, path = path, query = values.query_text(options.query, 3), body = options.body,
      account = options.account or account, priority = options.priority, nulls = options.nulls or false,
    }
  end

  ---An iterator stays with the account of the task that made it (SEMANTICS 21).
  ---@return string|nil
  function conn.fixed_account()
    if account then return account end
    local name = host.account()
    return name ~= "" and name or nil
  end

  ---The class of the calls of this task: an iterator keeps the one of the task that made it, too.
  ---@return "live"|"normal"|"bulk"
  function conn.class() return host.class() end

  return conn
end
