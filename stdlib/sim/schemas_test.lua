-- Custom objects of the simulator, asked without a network.
local server = require "sim.server"

local TOKEN = "test-" .. "token"

local function account()
  local H = { tasks = {}, sent = {} }
  local S = server.new({ token = TOKEN, webhook_url = "http://127.0.0.1/hook", subscriptions = {} }, {
    now = function() return 1788249600000 end, random = function() return 0.5 end,
    spawn = function(fn) H.tasks[#H.tasks + 1] = fn end,
    deliver = function(request)
      for _, event in ipairs(json.decode(request.body)) do H.sent[#H.sent + 1] = event end
      return { status = 204, body = "" }
    end })
  local function call(method, target, body)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local answer = S:handle { method = method, path = path, query = query, headers = { authorization = "Bearer " .. TOKEN },
      body = type(body) == "table" and json.encode(body) or "" }
    return answer.status, answer.body ~= "" and json.decode(answer.body) or nil
  end
  function H.run()
    while #H.tasks > 0 do table.remove(H.tasks, 1)() end
  end
  return call, S, H
end

local SCHEMAS = "/crm-object-schemas/2026-09/schemas"

local function car(more)
  local body = { name = "car", labels = { singular = "Car", plural = "Cars" }, primaryDisplayProperty = "model",
    requiredProperties = json.array { "model" }, searchableProperties = json.array {}, secondaryDisplayProperties = json.array {},
    allowsSensitiveProperties = false, associatedObjects = json.array { "contacts" },
    properties = json.array { { name = "model", label = "Model", type = "string", fieldType = "text" },
      { name = "plate", label = "Plate", type = "string", fieldType = "text", hasUniqueValue = true } } }
  for k, v in pairs(more or {}) do body[k] = v end
  return body
end

describe("custom objects", function()
  it("have records, found by any of their names, and events", function()
    local call, S, H = account()
    local status, schema = call("POST", SCHEMAS, car())
    expect(status).to.equal(201)
    expect(schema.fullyQualifiedName).to.equal("p62515_car")
    S:control("subscribe", { types = { { type = "object.creation", object_type_id = schema.objectTypeId } } })
    local record
    status, record = call("POST", "/crm/objects/2026-09/p_car", { properties = { model = "T", plate = "B-1" } })
    expect(status).to.equal(201)
    for _, name in ipairs { schema.objectTypeId, "p62515_car", "car", "p_car" } do
      local _, read = call("GET", "/crm/objects/2026-09/" .. name .. "/B-1?idProperty=plate&properties=model")
      expect(read.id).to.equal(record.id)
    end
    local e
    status, e = call("POST", "/crm/objects/2026-09/car", { properties = { plate = "B-2" } })
    expect(status).to.equal(400)
    expect(e.errors[1].context.properties).to.equal { "model" }
    H.run()
    expect(#H.sent).to.equal(1)
    expect(H.sent[1].objectTypeId).to.equal(schema.objectTypeId)
  end)

  it("are made whole or not at all", function()
    local call = account()
    expect((call("POST", SCHEMAS, car { requiredProperties = json.array { "wheels" } }))).to.equal(400)
    expect((call("POST", SCHEMAS, car { associatedObjects = json.array { "nonsense" } }))).to.equal(400)
    expect((call("POST", SCHEMAS, car { name = "contacts" }))).to.equal(400)
    local _, none = call("GET", SCHEMAS)
    expect(none.results).to.equal {}
    expect((call("GET", "/crm/objects/2026-09/car"))).to.equal(400)
    local _, schema = call("POST", SCHEMAS, car())
    expect(schema.objectTypeId).to.equal("2-1001")
  end)

  it("end without records, and come back", function()
    local call = account()
    local _, schema = call("POST", SCHEMAS, car())
    local target = SCHEMAS .. "/" .. schema.objectTypeId
    local _, record = call("POST", "/crm/objects/2026-09/car", { properties = { model = "T" } })
    local status, e = call("DELETE", target)
    expect(status).to.equal(400)
    expect(e.message).to.contain("1 records")
    call("DELETE", "/crm/objects/2026-09/car/" .. record.id)
    expect((call("DELETE", target))).to.equal(204)
    expect((call("POST", SCHEMAS, car()))).to.equal(409)   -- the name is kept
    expect((call("PATCH", target, { restorable = true, clearDescription = false }))).to.equal(200)
    expect((call("GET", "/crm/objects/2026-09/car"))).to.equal(200)
    expect((call("DELETE", target))).to.equal(204)
    expect((call("DELETE", target .. "?archived=true"))).to.equal(204)
    local new
    status, new = call("POST", SCHEMAS, car())
    expect(status).to.equal(201)
    expect(new.objectTypeId).to.equal("2-1002")
  end)
end)
