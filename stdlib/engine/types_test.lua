-- Every event type that HubSpot sends reaches its handler with the fields that HubSpot gives it.
local OBJECTS = { "contact", "company", "deal", "ticket", "product", "line_item", "object" }
local KINDS = { "creation", "deletion", "merge", "restore", "propertyChange", "associationChange" }

local function all_types()
  local out = { "contact.privacyDeletion" }
  for _, object in ipairs(OBJECTS) do
    for _, kind in ipairs(KINDS) do out[#out + 1] = object .. "." .. kind end
  end
  for _, kind in ipairs { "creation", "deletion", "privacyDeletion", "propertyChange", "newMessage" } do
    out[#out + 1] = "conversation." .. kind
  end
  return out
end

-- What HubSpot adds for a kind; numbers as it sends them, and what a handler gets.
local EXTRA = {
  propertyChange = { propertyName = "city", propertyValue = "Ulm" },
  merge = { primaryObjectId = 9007199254740993, mergedObjectIds = { 9007199254740993, 12 }, newObjectId = 13, numberOfPropertiesMoved = 4 },
  associationChange = { associationType = "CONTACT_TO_COMPANY", fromObjectId = 14, toObjectId = 15, associationRemoved = false,
    isPrimaryAssociation = true },
  newMessage = { messageId = "m-1", messageType = "MESSAGE" },
}
local GOT = {
  merge = { primaryObjectId = "9007199254740993", mergedObjectIds = { "9007199254740993", "12" }, newObjectId = "13",
    numberOfPropertiesMoved = 4 },
  associationChange = { associationType = "CONTACT_TO_COMPANY", fromObjectId = "14", toObjectId = "15", associationRemoved = false,
    isPrimaryAssociation = true },
}

describe("each of HubSpot's event types", function()
  it("is accepted and arrives with its fields", function()
    local seen = {}
    for _, name in ipairs(all_types()) do
      on(name, function(event)
        expect(seen[name]).to.be_nil()
        seen[name] = event
      end)
    end
    for i, name in ipairs(all_types()) do
      local fields = { objectId = 9007199254740000 + i, changeSource = "CRM_UI", sourceId = "userId:7" }
      for key, value in pairs(EXTRA[name:match("%a+$")] or {}) do fields[key] = value end
      if name:find("^object%.") then fields.objectTypeId = "2-77" end
      sim.trigger(name, fields)
    end
    sim.settle()
    for i, name in ipairs(all_types()) do
      local event, kind = seen[name], name:match("%a+$")
      expect(event and event.type).to.equal(name)
      if kind ~= "associationChange" then expect(event.objectId).to.equal(("%d"):format(9007199254740000 + i)) end
      expect(event.changeSource).to.equal("CRM_UI")
      expect(event.source).to.equal("push")
      expect(event.objectTypeId).to.equal(name:find("^object%.") and "2-77" or nil)
      for key, value in pairs(GOT[kind] or EXTRA[kind] or {}) do expect(event[key]).to.equal(value) end
    end
    expect(sim.events().ran).to.equal(#all_types())
  end)

  it("of object.* is asked for by the type of the object", function()
    local seen = {}
    on("object.creation", { object_type = "2-77" }, function(event) seen[#seen + 1] = "custom " .. event.objectId end)
    on("object.creation", { name = "tasks", object_type = "tasks" }, function(event) seen[#seen + 1] = "task " .. event.objectId end)
    on("object.creation", { name = "any" }, function(event) seen[#seen + 1] = "any " .. event.objectId end)
    for id, type_id in ipairs { "2-77", "2-78", "0-27" } do sim.trigger("object.creation", { objectId = id, objectTypeId = type_id }) end
    sim.settle()
    table.sort(seen)
    expect(seen).to.equal { "any 1", "any 2", "any 3", "custom 1", "task 3" }
    expect(function() on("contact.creation", { object_type = "0-1" }, print) end)
      .to.raise("types_test.lua:%d+: option 'object_type' is for object%.%* events")
    expect(function() on("object.creation", { object_type = "cars" }, print) end).to.raise("'cars' is neither a type id")
  end)

  it("comes of what people do: merges and associations", function()
    local merge, associations = nil, {}
    on("contact.merge", function(event) merge = event end)
    on("contact.associationChange", function(event) associations[#associations + 1] = event end)
    local a, b = sim.create("contacts", { email = "a@example.com" }), sim.create("contacts", { email = "b@example.com", city = "Ulm" })
    local company = sim.create("companies", { name = "C" })
    sim.control("associate", { from_type = "contacts", from = a, to_type = "companies", to = company })
    local merged = sim.control("merge", { type = "contacts", primary = a, other = b })
    sim.settle()
    expect(associations[1].fromObjectId).to.equal(a)
    expect(associations[1].toObjectId).to.equal(company)
    expect(associations[1].associationType).to.equal("CONTACT_TO_COMPANY")
    expect(associations[1].associationRemoved).to.be_false()
    expect(merge.primaryObjectId).to.equal(a)
    expect(merge.mergedObjectIds).to.equal { b }
    expect(merge.newObjectId).to.equal(merged.id)
  end)
end)
