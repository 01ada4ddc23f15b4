--- Owners. See hubspot.lua for the whole picture.
local _, host = ...
local pages = require "hubspot.pages"
local values = require "hubspot.values"

---@param conn hubspot.connection
return function(conn)
  local owners = {}

  ---Iterates over the account's owners; each step may wait.
  ---@param options {email: string|nil, archived: boolean|nil}|nil
  ---@return fun(): table|nil # id, email, firstName, lastName, userId, archived, …
  function owners.list(options)
    options = options or {}
    local query = { limit = 100, email = options.email, archived = tostring(options.archived or false) }
    local own = conn.fixed_account()
    return pages.iterate(function(after)
      query.after = after
      local answer = conn.raw("GET", "/crm/owners/{version}", { account = own, query = query })
      return answer.results or {}, pages.next_cursor(answer)
    end)
  end

  ---Reads one owner. Waits.
  ---@param id string|integer
  ---@return table
  function owners.get(id)
    return (conn.raw("GET", "/crm/owners/{version}/" .. host.url(values.check_id(id, 2))))
  end

  ---The owner with this e-mail address, or nil. Waits.
  ---@param email string
  ---@return table|nil
  function owners.by_email(email)
    if type(email) ~= "string" then error("owners.by_email: expects an e-mail address", 2) end
    for owner in owners.list { email = email } do
      if type(owner.email) == "string" and owner.email:lower() == email:lower() then return owner end
    end
    return nil
  end

  return owners
end
