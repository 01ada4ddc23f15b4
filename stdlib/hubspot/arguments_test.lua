-- Misuse of an object type's functions names the script's line and what would be right.
local hubspot = require "hubspot"

local contacts = hubspot.contacts

local function refused(fn, pattern) expect(fn).to.raise("^arguments_test.lua:%d+: .*" .. pattern) end

describe("misuse", function()
  it("of lists names the script's line", function()
    refused(function() contacts.batch_read() end, "batch_read: expects a list, not a nil")
    refused(function() contacts.batch_read("151") end, "expects a list, not a string")
    refused(function() contacts.batch_read { {} } end, "a record's id must be a string")
    refused(function() contacts.batch_archive(7) end, "batch_archive: expects a list")
    refused(function() contacts.batch_create { "a@example.com" } end, "item 1 of the list is a string, not a table")
    refused(function() contacts.batch_create { email = "a@example.com" } end, "a list of tables, not one table with names")
    refused(function() contacts.batch_update { { properties = {} } } end, "a record's id must be a string, not a nil")
    refused(function() contacts.batch_update { { id = "1" } } end, "properties must be a table")
    refused(function() contacts.batch_upsert({ { email = "x" } }) end, "the name of a property comes first")
    refused(function() contacts.batch_upsert("email", { { city = "x" } }) end, 'record 1 has no "email"')
  end)

  it("of names brings the right one", function()
    refused(function() return contacts.gett end, 'records of type "contacts" have no function "gett"; did you mean "get"')
    refused(function() contacts.delete("1") end, 'did you mean "archive"')
    refused(function() contacts.remove("1") end, 'no function "remove"; did you mean "archive"')
    refused(function() contacts.batchCreate {} end, 'did you mean "batch_create"')
    refused(function() return contacts[1] end, 'have no function "1"')
  end)

  it("of options names the right one", function()
    refused(function() contacts.get("1", nil, { idProperty = "email" }) end, 'no option "idProperty"; did you mean "id_property"')
    refused(function() contacts.get("1", nil, "email") end, "the options must be a table, not a string")
    refused(function() contacts.update("1", {}, { priority = "high" }) end, 'priority must be "live", "normal" or "bulk", not high')
    refused(function() contacts.archive("1", 7) end, "the options must be a table, not a number")
    refused(function() contacts.archive("1", { "live" }) end, "the options have names")
    refused(function() contacts.create({ email = "a@example.com" }, {}, 1) end, "create takes 2 arguments")
    refused(function() contacts.get("1", { "email" }, { batch = "no" }) end, '"batch" must be a boolean, not a string')
  end)

  it("of list and search names the script's line", function()
    refused(function() contacts.list(7) end, "list: the options must be a table, not a number")
    refused(function() contacts.list { property = { "email" } } end, 'did you mean "properties"')
    refused(function() contacts.list { properties = "email" } end, "properties must be a list of names, not a string")
    refused(function() contacts.list { limit = 0 } end, "limit must be a whole number of 1 or more")
    refused(function() contacts.list { limit = "ten" } end, '"limit" must be a number, not a string')
    refused(function() contacts.search() end, "search: expects a table")
    refused(function() contacts.search { filter = {} } end, 'did you mean "filters"')
  end)

  it("of owners and other groups too", function()
    refused(function() hubspot.owners.list("ana@example.com") end, "the options must be a table, not a string")
    refused(function() hubspot.owners.list { mail = "x" } end, 'did you mean "email"')
    refused(function() hubspot.owners.get() end, "ownerId must be a string or an integer")
    refused(function() hubspot.owners.by_email() end, "expects an e%-mail address")
  end)

  it("of request does as well", function()
    refused(function() hubspot.request "GET" end, "expects a table with path")
    refused(function() hubspot.request { path = "/crm/owners/{version}", methd = "GET" } end, 'did you mean "method"')
    refused(function() hubspot.request { path = "/crm/owners/{version}", method = "FETCH" } end, "not FETCH")
    refused(function() hubspot.request { path = "/crm/owners/{version}", method = "POST", body = {} } end, "json takes tables")
    refused(function() hubspot.request { path = "/crm/owners/{version}", query = 7 } end, "query must be a table or a string")
    refused(function() hubspot.request { path = "/crm/owners/{version}", version = "v3" } end, 'such as "2026%-09", not v3')
    hubspot.request { path = "/crm/owners/{version}", version = "2026-03" }
    expect(sim.calls()[#sim.calls()].path).to.equal("/crm/owners/2026-03")
  end)

  it("leaves what is right alone", function()
    local id = sim.create("contacts", { email = "right@example.com" })
    expect(contacts.get("right@example.com", { "email" }, { id_property = "email", priority = "bulk", batch = false }).id).to.equal(id)
    local n = 0
    for _ in contacts.list { "email", limit = 1 } do n = n + 1 end
    expect(n).to.equal(1)
    expect(hubspot.objects("contacts").get(id, { "email" }).id).to.equal(id)
  end)
end)
