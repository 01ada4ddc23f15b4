-- Welcome: greets each new contact in the log. The smallest automation, to begin with.
--
-- Scopes    crm.objects.contacts.read
-- Webhooks  contact.creation
-- Try       hubloop run welcome.lua --sim --contacts 50 --for 1d
-- Change    what happens: `hubloop help events` and `hubloop help hubspot` have the rest.
local hubspot = require "hubspot"

on("contact.creation", function(event)
  local contact = hubspot.contacts.get(event.objectId, { "firstname", "email" })
  log.info("welcome, " .. (contact.firstname or contact.email or "stranger"))
  kv.incr("welcomed")
end)
