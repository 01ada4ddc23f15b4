-- ecommerce_orders.lua against the simulator and a shop that the test plays, in virtual time: 2026-09-01, 08:00 UTC.
local hubspot = require "hubspot"

local shop   -- orders it has, what it was told, and what it answers instead

local function order(fields)
  local o = { id = 5001, name = "#1001", updated_at = "2026-09-01T08:00:01Z", created_at = "2026-09-01T08:00:00Z", total_price = "30.50",
    financial_status = "pending", customer = { email = "ana@x.example", first_name = "Ana", last_name = "Ek" },
    line_items = { { id = 71, title = "Lamp", sku = "L-1", quantity = 2, price = "10.25" },
      { id = 72, title = "Bulb", quantity = 1, price = "10" } } }
  for name, value in pairs(fields or {}) do o[name] = value end
  return o
end

before_each(function()
  sim.start {}
  shop = { orders = {}, told = {}, status = nil, token = nil }
  sim.http("shop.example", function(request)
    shop.token = request.headers["x-shopify-access-token"]
    if shop.status then return shop.status end
    if request.method == "PUT" then
      table.insert(shop.told, request.url:match "/orders/(.*)%.json" .. " " .. request.json().order.tags)
      return 200
    end
    local since, list = request.url:match "updated_at_min=([^&]*)", {}
    local page = tonumber(request.url:match "[?&]page=(%d+)")
    for _, o in ipairs(shop.orders) do
      if type(o) ~= "table" or not o.updated_at or o.updated_at >= since then list[#list + 1] = o end
    end
    return { json = { orders = json.array(table.move(list, 50 * (page - 1) + 1, 50 * page, 1, {})) } }
  end)
  sim.load("ecommerce_orders.lua", { hosts = { "shop.example" } })
end)

-- What there is: each deal with its stage, its lines and its people.
local function deals()
  local list = {}
  for deal in hubspot.deals.list { properties = { "dealname", "dealstage", "amount" } } do
    local n, of = 0, {}
    for _ in hubspot.associations.list("deals", deal.id, "line_items") do n = n + 1 end
    for to in hubspot.associations.list("deals", deal.id, "contacts") do of[#of + 1] = sim.contact(to.toObjectId).email end
    list[#list + 1] = ("%s %s %s, %d lines, %s"):format(deal.dealname, deal.dealstage, deal.amount, n, table.concat(of, " "))
  end
  table.sort(list)
  return list
end

local function lines()
  local n = 0
  for _ in hubspot.line_items.list() do n = n + 1 end
  return n
end

local ONE <const> = "Order #1001 contractsent 30.5, 2 lines, ana@x.example"

-- What a timer cannot do, at last, is told.
local function expect_well()
  expect(sim.events().dead).to.equal(0)
  expect(sim.log()).to_not.contain("alert:")
end

describe("shop orders", function()
  it("become deals with their lines and buyers, and follow what becomes of them", function()
    shop.orders = { order() }
    sim.advance("16m")
    expect(deals()).to.equal { ONE }
    expect(shop.token).to.equal "sim-SHOP_TOKEN"
    shop.orders[1] = order { updated_at = "2026-09-01T09:00:00Z", financial_status = "paid" }
    sim.advance("2h")
    expect(deals()).to.equal { "Order #1001 closedwon 30.5, 2 lines, ana@x.example" }
    expect(lines()).to.equal(2)
    expect(shop.told).to.equal {}                                       -- it knows what came from it
    expect_well()
  end)

  it("are told what people do with the deal", function()
    shop.orders = { order() }
    sim.advance("16m")
    for deal in hubspot.deals.list() do sim.update("deals", deal.id, { dealstage = "closedlost" }) end
    local other = sim.create("deals", { dealname = "No order", pipeline = "default", dealstage = "contractsent" })
    sim.update("deals", other, { dealstage = "closedwon" })
    sim.advance("1m")
    expect(shop.told).to.equal { "5001 HubSpot: closedlost" }
    for deal in hubspot.deals.list { properties = { "dealname" } } do
      if deal.dealname ~= "No order" then sim.update("deals", deal.id, { dealstage = "contractsent" }) end
    end
    sim.advance("1m")
    expect(shop.told).to.equal { "5001 HubSpot: closedlost", "5001 HubSpot: contractsent" }
    expect_well()
  end)

  it("come late, out of order and together, and have their newest state", function()
    local paid = order { updated_at = "2026-09-01T09:00:00Z", financial_status = "paid" }
    emit("shop order", { id = "5001", order = paid })
    emit("shop order", { id = "5001", order = order() })
    sim.advance("10m")
    expect(deals()).to.equal { "Order #1001 closedwon 30.5, 2 lines, ana@x.example" }
    emit("shop order", { id = "5001", order = order() })
    sim.advance("10m")
    expect(deals()).to.equal { "Order #1001 closedwon 30.5, 2 lines, ana@x.example" }
    shop.orders = { order { id = 5002, name = "#1002", updated_at = "2026-09-01T08:20:00Z" } }
    sim.advance("30m")
    table.insert(shop.orders, order { id = 5003, name = "#1003", line_items = json.null, updated_at = "2026-09-01T08:21:00Z" })
    sim.advance("3h")                                                   -- it was told hours after its time
    expect(#deals()).to.equal(3)
    expect_well()
  end)

  it("come as they are: no buyer, no lines, strange states, nonsense for an amount", function()
    shop.orders = { order { customer = json.null, line_items = json.null, financial_status = "new", total_price = "free" },
      order { id = 5002, name = "#1002", customer = { first_name = "Bo" }, line_items = json.array {},
        cancelled_at = "2026-09-01T08:00:00Z" }, { id = 5003 }, "nonsense", { updated_at = "2026-09-01T08:00:05Z" } }
    sim.advance("16m")
    expect(sim.log()).to.contain("without its id")
    expect(deals()).to.equal { "Order #1001 contractsent nil, 0 lines, ", "Order #1002 closedlost 30.5, 0 lines, " }
    expect_well()
  end)

  it("come when the shop is there again, page by page, and the cursor stays until then", function()
    shop.status = 503
    for i = 1, 120 do
      shop.orders[i] = order { id = 6000 + i, name = "#" .. i, customer = json.null, line_items = json.null,
        updated_at = ("2026-09-01T08:%02d:%02dZ"):format(i // 60, i % 60) }
    end
    sim.advance("3h")
    expect(deals()).to.equal {}
    shop.status = nil
    sim.advance("30m")
    expect(#deals()).to.equal(120)
    expect(sim.events().dead).to.equal(0)
  end)

  it("come through a storm of 429s", function()
    shop.orders = { order(), order { id = 5002, name = "#1002", line_items = json.null } }
    sim.fail { status = 429, times = 40 }
    sim.fail { status = 429, path = "/objects/2026-09/deals", times = 20 }
    sim.advance("1h")
    expect(sim.control("stats").limited).to.equal(60)
    expect(#deals()).to.equal(2)
    expect(lines()).to.equal(2)
    expect_well()
  end)

  it("are cut off in the middle, and go on; a second run changes nothing", function()
    for _, at in ipairs { { method = "POST", path = "/properties", call = 2 }, { method = "POST", path = "/objects/2026-09/contacts" },
      { method = "POST", path = "/objects/2026-09/deals" }, { method = "POST", path = "/objects/2026-09/line_items" },
      { method = "PUT", path = "/associations/" } } do
      shop.orders = { order() }
      sim.crash(at)
      sim.advance("20m")
      sim.restart()
    end
    sim.advance("1h")
    expect(deals()).to.equal { ONE }
    expect(lines()).to.equal(2)
    expect(sim.writes "/properties").to.equal(2)
    local before = #sim.calls()
    sim.advance("3h")
    expect(#sim.calls()).to.equal(before)
    expect(deals()).to.equal { ONE }
    expect_well()
  end)
end)
