--- Stand-ins: APIs of other hosts that scripts reach with `http`, answered inside the simulator. A stand-in is a Lua file
--- that returns what a test would give to sim.http: a function(request), where request has method, url, headers (names in
--- small letters), body and json(); it gives { status?, headers?, body? | json? }, a status, or a text. What it raises is
--- a connection that breaks.
local json = json

local I = {}

function I.add(S, args)
  if type(args.host) ~= "string" or args.host == "" then error("stand_in needs a host", 0) end
  local chunk, e = load(S.host.read(args.file), "@" .. args.file, "t")
  if not chunk then error(e, 0) end
  local answer = chunk()
  if type(answer) ~= "function" then error(args.file .. " returns a " .. type(answer) .. ", not the function that answers", 0) end
  S.stand_ins[args.host] = answer
  return { host = args.host }
end

local function plain(given)
  if given == nil then return { status = 204 } end
  if math.type(given) == "integer" then return { status = given } end
  if type(given) == "string" then return { body = given } end
  if type(given) ~= "table" then error("a stand-in gives a table, a status or a text, not a " .. type(given), 0) end
  return given
end

---One request to another host. Status 0: no answer, and why.
---@param req table url, method, headers, body
function I.handle(S, req)
  local host = req.url:match("^%a+://([^/?#:]+)")
  local fn = S.stand_ins[host]
  if not fn then
    return { status = 0, why = "nothing stands in for " .. host .. ", and no real network is used here (--sim-http HOST=FILE)" }
  end
  local request = { method = req.method, url = req.url, headers = req.headers, body = req.body }
  function request.json() return json.decode(req.body) end
  local ok, out = pcall(function() return plain(fn(request)) end)
  if not ok then return { status = 0, why = host .. ": " .. tostring(out) } end
  return { status = out.status or 200, headers = out.headers or {}, body = out.json ~= nil and json.encode(out.json) or out.body or "" }
end

return I
