--- Owners: what hubspot.owners has beyond HubSpot's own operations. See hubspot.lua for the whole picture.

---@param _ hubspot.connection
---@param owners table
return function(_, owners)
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
end
