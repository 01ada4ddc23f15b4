-- The functions that are made out of the table of operations.
local hubspot = require "hubspot"

-- What reached HubSpot last.
local function last_call()
  local list = sim.calls()
  return list[#list]
end

local function refused(fn, pattern)
  expect(fn).to.raise("^calls_test.lua:%d+: .*" .. pattern)
end

describe("names", function()
  it("that nobody has bring the nearest one", function()
    refused(function() return hubspot.contcts end, 'hubspot has no "contcts"; did you mean "contacts"')
    refused(function() return hubspot.workflows end, "did you mean hubspot.flows")
    refused(function() return hubspot.lists.gett end, 'hubspot.lists has no "gett"; did you mean "get"')
    refused(function() return hubspot.lists.membership.add end, 'did you mean "memberships"')
    refused(function() return hubspot.campaigns.delete end, 'hubspot.campaigns has no "delete"; did you mean "archive"')
    refused(function() return hubspot.properties("contacts").gt end, 'hubspot.properties has no "gt"; did you mean "get"')
  end)

  it("are refused where HubSpot cannot do that with a type", function()
    refused(function() hubspot.feedback_submissions.create {} end, 'hubspot.feedback_submissions has no "create"')
    refused(function() hubspot.notes.merge("1", "2") end, 'hubspot.notes has no "merge"')
    expect(type(hubspot.goals.create)).to.equal("function")
    expect(hubspot.payments.type).to.equal("commerce_payments")
    expect(type(hubspot.objects("2-7").merge)).to.equal("function")
  end)
end)

describe("arguments", function()
  it("are the path's parameters, the body and the options, and misuse names the script's line", function()
    refused(function() hubspot.lists.get() end, "lists.get%(listId, options%): listId must be a string or an integer, not nil")
    refused(function() hubspot.lists.get("") end, "not an empty one")
    refused(function() hubspot.lists.get("1", "x") end, "the options must be a table, not a string")
    refused(function() hubspot.lists.get("1", {}, 3) end, "3 arguments were given")
    refused(function() hubspot.lists.create() end, "lists.create%(body, options%): the body is missing")
    refused(function() hubspot.lists.create(7) end, "the body must be a table, not a number")
    refused(function() hubspot.lists.get("1", { includefilters = true }) end, 'did you mean "includeFilters"')
    refused(function() hubspot.sequences.list() end, 'the options must hold "userId"')
    refused(function() hubspot.lists.get("1", { includeFilters = {{}} }) end, 'not a table')
  end)

  it("may have names that HubSpot leaves open", function()
    pcall(function() return hubspot.events.list({ objectType = "contact", ["objectProperty.email"] = "a@example.com" })() end)
    expect(last_call().path).to.equal("/events/event-occurrences/2026-09")
    refused(function() hubspot.events.list { ["objectProperty."] = "x" } end, "has no parameter")
  end)

  it("reach HubSpot encoded", function()
    pcall(hubspot.lists.get_by_name, "0-1", "Über 50/50?", { includeFilters = true })
    expect(last_call().path).to.equal("/crm/lists/2026-09/object-type-id/0-1/name/%C3%9Cber%2050%2F50%3F")
  end)
end)

describe("versions", function()
  it("are the account's, the call's, or the newest that there is", function()
    pcall(hubspot.lists.get, 1)
    expect(last_call().path).to.equal("/crm/lists/2026-09/1")
    pcall(hubspot.lists.get, 1, { version = "2026-03" })
    expect(last_call().path).to.equal("/crm/lists/2026-03/1")
    pcall(hubspot.webhooks_journal.latest)
    expect(last_call().path).to.equal("/webhooks-journal/journal/2026-03/latest")
    pcall(hubspot.events.send, { eventName = "e" })
    expect(last_call().path).to.equal("/events/custom/2026-09/send")
    pcall(hubspot.events.send, { eventName = "e" }, { version = "2026-03" })
    expect(last_call().path).to.equal("/events/2026-03/send")
    pcall(hubspot.flows.get, 7)
    expect(last_call().path).to.equal("/automation/v4/flows/7")
  end)

  it("that an operation does not have are refused", function()
    refused(function() hubspot.lists.get(1, { version = "2025-03" }) end,
      'lists.get has no version "2025%-03"; there is 2026%-03, 2026%-09')
    for _, version in ipairs { "v3", "2026-09/../x", "2026-09%2f", 2026 } do
      refused(function() hubspot.lists.get(1, { version = version }) end, "version must be a dated one")
      refused(function() hubspot.contacts.get(1, nil, { version = version }) end, "version must be a dated one")
      refused(function() hubspot.request { path = "/crm/lists/{version}/1", version = version } end, "version must be a dated one")
    end
    refused(function() hubspot.flows.list { version = "2026-03" } end, "flows.list has no dated form yet")
  end)
end)

describe("answers", function()
  it("of collections are iterators", function()
    local names = {}
    for stage in hubspot.pipelines.stages.list("deals", "default") do names[#names + 1] = stage.id end
    expect(#names).to.be_at_least(2)
    local same = {}
    for stage in hubspot.pipelines("deals").stages.list("default") do same[#same + 1] = stage.id end
    expect(same).to.equal(names)
    local n = 0
    for owner in hubspot.owners.list { limit = 1 } do n = n + (owner.id and 1 or 0) end
    expect(n).to.be_at_least(2)
  end)

  it("have ids as strings", function()
    expect(hubspot.account.details().portalId).to.equal("62515")
    expect(hubspot.account.info().portalId).to.equal("62515")
  end)
end)

describe("junk", function()
  -- Whatever is given, the error is HubSpot's or names this file, never a line of the module.
  local JUNK = { false, 7.5, "", "x", {}, { 1, 2 }, { a = {} }, print, math.huge, json.null }

  local function held(name, fn, ...)
    local args = table.pack(...)
    local fine, e = pcall(function()
      local answer = fn(table.unpack(args, 1, args.n))
      if type(answer) == "function" then answer() end
    end)
    if fine or type(e) ~= "string" then return end
    expect(name .. ": " .. e).to.match("^[%w_.]+: calls_test%.lua:%d+: ")
  end

  it("given to any function is refused at the script's line", function()
    local calls = require "hubspot.calls"
    local random = 1
    local n = 0
    for _, group in ipairs(calls.groups()) do
      local names = {}
      for name in pairs(calls.operations(group)) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do
        local fn = hubspot[group]
        for part in name:gmatch("[^.]+") do fn = fn[part] end
        for count = 0, 3 do
          local args = {}
          for i = 1, count do
            random = (random * 48271) % 0x7fffffff
            args[i] = JUNK[random % #JUNK + 1]
          end
          held(group .. "." .. name, fn, table.unpack(args, 1, count))
          n = n + 1
        end
      end
    end
    expect(n).to.be_at_least(1600)
  end)

  it("given to the functions of an object type as well", function()
    local random = 7
    for way, fn in pairs(hubspot.contacts) do
      if type(fn) == "function" then
        for round = 1, 60 do
          local args = {}
          for i = 1, round % 5 do
            random = (random * 48271) % 0x7fffffff
            args[i] = JUNK[random % #JUNK + 1]
          end
          held("contacts." .. way, fn, table.unpack(args, 1, round % 5))
        end
      end
    end
  end)
end)
