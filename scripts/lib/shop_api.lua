-- Stands in for the shop of ecommerce_orders.lua: an order every two hours, each paid a day after it was made.
local START <const> = "2026-09-01T"

local function order(n)
  local day, hour = 1 + n * 2 // 24, n * 2 % 24
  return { id = 5000 + n, name = "#" .. 1000 + n, created_at = ("2026-09-%02dT%02d:00:00Z"):format(day, hour),
    updated_at = ("2026-09-%02dT%02d:00:00Z"):format(day, hour), currency = "EUR", total_price = ("%d.50"):format(20 + n),
    financial_status = n % 3 == 0 and "paid" or "pending",
    customer = { email = ("buyer%d@shop-%d.example"):format(n % 7, n % 7), first_name = "Buyer", last_name = tostring(n % 7) },
    line_items = { { id = 70000 + n, title = "Lamp", sku = "L-1", quantity = 1 + n % 3, price = "10.25" } } }
end

return function(request)
  if request.method ~= "GET" then return 200 end
  local since = request.url:match "updated_at_min=([^&]*)"
  local page = tonumber(request.url:match "[?&]page=(%d+)")
  local orders = {}
  if since < START then since = START end
  for n = 0, 40 do
    local one = order(n)
    if one.updated_at >= since and one.updated_at <= since:sub(1, 11) .. "24" and page == 1 then orders[#orders + 1] = one end
  end
  return { json = { orders = orders } }
end
