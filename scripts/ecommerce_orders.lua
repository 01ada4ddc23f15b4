-- Shop orders: each order of a web shop becomes a deal with its line items and its buyer, and the shop hears of the deal.
--
-- The shop's webhook comes to /shop/orders, signed with HMAC-SHA256 over its raw body; what is not signed by the shop is
-- answered with 401. Every 15 minutes the shop is asked for what has changed, so an order whose webhook was lost comes as
-- well. An order that comes twice, late or out of order is one deal with the newest state: deals and line items have the
-- shop's ids in a unique property, which this script makes. When people move such a deal, the order gets a tag.
--
-- Scopes    crm.objects.contacts.write, crm.objects.deals.read, crm.objects.deals.write, crm.objects.line_items.write,
--           crm.schemas.deals.write, crm.schemas.line_items.read, e-commerce
-- Webhooks  deal.propertyChange of dealstage; the shop's "order created" and "order updated" to /shop/orders
-- Settings  permissions = { ["ecommerce_orders.lua"] = { hosts = { "shop.example" } } }
-- Try       hubloop run ecommerce_orders.lua --sim --contacts 9 --for 2d --allow-host shop.example --sim-http shop.example=lib/shop_api.lua
-- Change    the shop's address and secrets, the pipeline and what each state of an order means there. The names of the
--           fields are Shopify's.
local hubspot = require "hubspot"

local SHOP = "https://shop.example/admin/api/2026-07"
local TOKEN, SIGNED_BY = secret "SHOP_TOKEN", secret "SHOP_WEBHOOK_SECRET"
local SIGNATURE = "x-shopify-hmac-sha256"
local PIPELINE, OPEN, LOST = "default", "contractsent", "closedlost"
local STAGES = { paid = "closedwon", pending = OPEN, authorized = OPEN, partially_paid = OPEN, refunded = LOST, voided = LOST }
local KEY = table.concat { "shop", "_id" }  -- of deals and line items; put together, so that nobody misses it before it is made
local PAGE = 50

local function shop(method, path, body)
  local answer = http.request { method = method, url = SHOP .. path, json = body, headers = { ["X-Shopify-Access-Token"] = TOKEN } }
  if answer.status >= 400 then
    error { message = ("the shop answered %d to %s"):format(answer.status, path), retryable = answer.status == 429 or answer.status >= 500 }
  end
  return answer
end

-- An order has an id and the time of its last change, by which it is told which state is the newest.
local function is_order(order) return type(order) == "table" and order.id and type(order.updated_at) == "string" end

-- The unique properties, made when they are missing.
local function prepare()
  if kv.get "prepared" then return end
  for _, object in ipairs { "deals", "line_items" } do
    step("property of " .. object, function()
      local function is_there() return (pcall(hubspot.properties.get, object, KEY)) end
      if is_there() then return end
      local group
      for one in hubspot.properties.groups.list(object) do group = group or one.name end
      local made, e = pcall(hubspot.properties.create, object, { name = KEY, label = "Shop id", groupName = group, type = "string",
        fieldType = "text", hasUniqueValue = true })
      if not made and not is_there() then error(e, 0) end
    end)
  end
  kv.set("prepared", true)
end

serve("POST /shop/orders", { auth = false }, function(request)
  local signature = crypto.hmac_sha256(SIGNED_BY, request.body, "base64")
  if not crypto.same(signature, request.headers[SIGNATURE] or "") then return { status = 401 } end
  local ok, order = pcall(request.json)
  if not ok or not is_order(order) then return { status = 400 } end
  emit("shop order", { id = tostring(order.id), order = order })
  return { status = 202 }
end)

every("15m", { name = "orders that were not told", priority = "bulk" }, function()
  local since = kv.get "since" or time.iso(time.now() - 86400000)
  local newest, page, left = since, 1, true
  while left do
    local path = ("/orders.json?status=any&limit=%d&page=%d&updated_at_min=%s"):format(PAGE, page, since)
    local orders = shop("GET", path).json().orders
    for _, order in ipairs(orders) do
      if not is_order(order) then
        log.warn("the shop gave an order without its id or the time of its last change: left out")
      else
        if order.updated_at > newest then newest = order.updated_at end
        if order.updated_at > (kv.get("order " .. order.id) or "") then emit("shop order", { id = tostring(order.id), order = order }) end
      end
    end
    page, left = page + 1, #orders == PAGE
  end
  kv.set("since", newest)                     -- with what was emitted, or not at all
end)

on("shop order", { key = "id" }, function(event)
  local id, order = event.payload.id, event.payload.order
  if (kv.get("order " .. id) or "") >= tostring(order.updated_at) then return end
  prepare()
  local buyer = type(order.customer) == "table" and order.customer or {}
  local contact = buyer.email and step("contact", function()
    return hubspot.contacts.upsert("email", { email = buyer.email, firstname = buyer.first_name, lastname = buyer.last_name }).id
  end)
  local stage = order.cancelled_at and LOST or STAGES[order.financial_status] or OPEN
  kv.set("stage " .. id, stage)               -- commits with the deal, before the event that it causes
  local deal = step("deal", function()
    return hubspot.deals.upsert(KEY, { [KEY] = id, dealname = "Order " .. tostring(order.name or id), pipeline = PIPELINE,
      dealstage = stage, amount = tonumber(order.total_price), closedate = order.created_at }).id
  end)
  if contact then step("whose", function() hubspot.associations.create("deals", deal, "contacts", contact) end) end
  for _, item in ipairs(type(order.line_items) == "table" and order.line_items or {}) do
    local line = step("line " .. item.id, function()
      return hubspot.line_items.upsert(KEY, { [KEY] = tostring(item.id), name = item.title, hs_sku = item.sku,
        quantity = item.quantity, price = tonumber(item.price) }).id
    end)
    step("line of " .. item.id, function() hubspot.associations.create("deals", deal, "line_items", line) end)
  end
  kv.set("order " .. id, tostring(order.updated_at))
  log.info(("order %s is deal %s: %s"):format(order.name or id, deal, stage))
end)

-- Back: what people decide about the deal. What came from the shop it knows already.
on("deal.propertyChange", { property = "dealstage", name = "tell the shop" }, function(event)
  if not kv.get "prepared" then return end
  local order = step("order", function()
    local found, deal = pcall(hubspot.deals.get, event.objectId, { KEY })
    if not found and deal.status ~= 404 then error(deal, 0) end
    return found and deal[KEY] or false
  end)
  if not order or kv.get("stage " .. order) == event.propertyValue then return end
  kv.set("stage " .. order, event.propertyValue)
  step("tag", function()
    shop("PUT", ("/orders/%s.json"):format(order), { order = { id = order, tags = "HubSpot: " .. event.propertyValue } })
  end)
end)
