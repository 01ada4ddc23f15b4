-- What answers for other hosts when a script is tried out.
local server = require "sim.server"

describe("a stand-in", function()
  local function with(text)
    local S = server.new({}, { now = function() return 1788249600000 end, random = function() return 0.5 end, spawn = function() end,
      read = function() return text end })
    S:control("stand_in", { host = "api.example.com", file = "api.lua" })
    return function(url, body) return S:elsewhere { url = url, method = "POST", headers = {}, body = body or "" } end
  end

  it("answers for its host with what its function gives", function()
    local ask = with [[return function(request)
      if request.url:find("gone") then return 404 end
      if request.url:find("text") then return "plain" end
      if request.url:find("broken") then error "the line is cut" end
      return { status = 201, headers = { ["X-Kind"] = "echo" }, json = { name = request.json().name, method = request.method } }
    end]]
    local r = ask("https://api.example.com/echo", '{"name":"Ada"}')
    expect(r.status).to.equal(201)
    expect(json.decode(r.body)).to.equal { name = "Ada", method = "POST" }
    expect(r.headers["X-Kind"]).to.equal "echo"
    expect(ask("https://api.example.com/gone").status).to.equal(404)
    expect(ask("https://api.example.com/text").body).to.equal "plain"
    expect(ask("https://api.example.com/broken").status).to.equal(0)
    expect(ask("https://api.example.com/broken").why).to.contain "the line is cut"
  end)

  it("leaves other hosts unreachable, and says so", function()
    local r = with("return function() return 200 end")("https://elsewhere.example.com/")
    expect(r.status).to.equal(0)
    expect(r.why).to.contain "nothing stands in for elsewhere.example.com"
  end)

  it("is a file that returns a function", function()
    expect(function() with("return {}") end).to.raise("api.lua returns a table")
    expect(function() with("return (") end).to.raise("api.lua")
  end)
end)
