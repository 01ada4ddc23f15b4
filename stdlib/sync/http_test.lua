local sync = require "sync"

local n = 0

local function fields() return { { from = "email", to = "email", key = true }, { from = "address.city", to = "city" } } end

local function into_contacts(options, more)
  n = n + 1
  local given = { from = sync.http(options), to = sync.hubspot "contacts", fields = fields(), page = 2 }
  for key, value in pairs(more or {}) do given[key] = value end
  return sync.mapping("api " .. n, given)
end

local function person(i)
  return { id = i, email = ("p%d@example.com"):format(i), address = { city = "City " .. i }, changed = 1788249600000 + i * 1000 }
end

local function query_of(request)
  local out = {}
  for key, value in (request.url:match("%?(.*)$") or ""):gmatch("([^&=]+)=([^&]*)") do
    out[key] = value:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  end
  return out
end

-- An API of seven people, in pages of three, by whatever way.
local function serve(way)
  local seen = {}
  sim.http("api.example.com", function(request)
    local q = query_of(request)
    seen[#seen + 1] = request
    local from = tonumber(q.from or q.cursor or q.offset) or q.page and (tonumber(q.page) - 1) * 3 or 0
    local list = json.array {}
    for i = from + 1, math.min(7, from + 3) do list[#list + 1] = person(i) end
    local more, headers = from + 3 < 7, {}
    local meta = { more = more }
    if way == "cursor" and more then meta.next = tostring(from + 3) end
    if way == "next" and more then meta.next = "/v1/people?from=" .. from + 3 end
    if way == "link" and more then
      local link = '<https://api.example.com/v1/people?from=0>; rel="first", <https://api.example.com/v1/people?from=%d>; rel="next"'
      headers.Link = link:format(from + 3)
    end
    return { status = 200, json = { data = list, meta = meta }, headers = headers }
  end)
  return seen
end

local function total() return sim.control("list", { type = "contacts" }).total end

describe("sync from an HTTP API", function()
  local ways = {
    cursor = { by = "cursor", param = "cursor", next = "meta.next" },
    next = { by = "next", next = "meta.next" },
    link = { by = "link" },
    page = { by = "page", param = "page", size_param = "size", size = 3 },
    offset = { by = "offset", param = "offset" },
  }
  for _, way in ipairs { "cursor", "link", "next", "offset", "page" } do
    it("reads all pages by " .. way, function()
      local seen = serve(way)
      local m = into_contacts { url = "https://api.example.com/v1/people", list = "data", paging = ways[way] }
      local r = m:run()
      expect({ r.read, r.created }).to.equal { 7, 7 }
      expect(#seen).to.equal(way == "offset" and 4 or 3)
      expect(m:run().unchanged).to.equal(7)
      expect(sim.control("list", { type = "contacts" }).results[7].properties.city).to.equal("City 7")
    end)
  end

  it("goes on with the page that was not done", function()
    local seen = serve "cursor"
    local m = into_contacts { url = "https://api.example.com/v1/people", list = "data", paging = ways.cursor }
    local write, pages = m.def.right.write, 0
    m.def.right.write = function(ops)
      pages = pages + 1
      if pages == 2 then error("power", 0) end
      return write(ops)
    end
    expect(function() m:run() end).to.raise("power")
    expect(m:run().read).to.equal(4)
    expect(total()).to.equal(7)
    expect(#seen).to.equal(4)
  end)

  it("asks for what has changed since, a little earlier", function()
    local seen = serve "none"
    local m = into_contacts { url = "https://api.example.com/v1/people", list = "data", modified = "changed", since = "from_ms",
      since_format = "ms", query = { kind = "a b" } }
    m:run()
    m:run()
    expect(query_of(seen[1]).from_ms).to.be_nil()
    expect(query_of(seen[1]).kind).to.equal("a b")
    expect(query_of(seen[2]).from_ms).to.equal("1788249483000")
  end)

  it("waits when it is told to, and says what was answered", function()
    local asked = 0
    sim.http("api.example.com", function()
      asked = asked + 1
      if asked == 1 then return { status = 429, headers = { ["Retry-After"] = "7" } } end
      if asked == 2 then return { status = 502 } end
      return { status = 200, json = json.array { person(1) } }
    end)
    local m = into_contacts { url = "https://api.example.com/v1/people" }
    local began = time.now()
    expect(m:run().created).to.equal(1)
    expect(time.now() - began).to.be_at_least(11000)
    sim.http("api.example.com", function() return { status = 403, body = "no such key" } end)
    expect(function() m:run() end).to.raise("GET https://api.example.com/v1/people answered 403: no such key")
  end)

  it("gives its credential to no other host, and does not read one page for ever", function()
    sim.http("api.example.com", function()
      return { status = 200, json = { data = json.array { person(1) }, next = "https://evil.example.com/steal" } }
    end)
    local m = into_contacts { url = "https://api.example.com/v1/people", list = "data", paging = { by = "next", next = "next" } }
    expect(function() m:run() end).to.raise("at another host, https://evil.example.com")
    sim.http("api.example.com", function() return { status = 200, json = { data = json.array { person(1) }, next = "same" } } end)
    m = into_contacts { url = "https://api.example.com/v1/people", list = "data", paging = { by = "cursor", param = "c", next = "next" } }
    expect(function() m:run() end).to.raise("the next page is said to be this one again")
  end)

  it("says what is wrong with its options when it is declared", function()
    local function says(options, text) expect(function() sync.http(options) end).to.raise(text) end
    says({}, "url must be an address")
    says({ url = "https://api.example.com", pagin = {} }, 'unknown option "pagin"; did you mean "paging"?')
    says({ url = "https://api.example.com", paging = { by = "cursor", param = "c" } }, 'paging by "cursor" needs next')
    says({ url = "https://api.example.com", paging = { by = "pages" } }, "paging.by must be")
    says({ url = "https://api.example.com", get = "/{id}" }, "get and find go together")
    says({ url = "https://api.example.com", since = "from" }, "since needs modified")
    expect(function()
      sync.mapping("no", { left = sync.hubspot "contacts", right = sync.http { url = "https://api.example.com" }, fields = fields() })
    end).to.raise("cannot be one side of a two%-way sync: give get")
  end)
end)

-- A shop with customers that can be read, found and written.
local function shop()
  local people, last = {}, 0
  sim.http("shop.example.com", function(request)
    local id, q = request.url:match("/customers/(%d+)"), query_of(request)
    local body = request.body ~= "" and request.json() or {}
    if request.method == "GET" and id then
      return people[id] and { status = 200, json = { customer = people[id] } } or { status = 404 }
    elseif request.method == "GET" then
      local list, ids = json.array {}, {}
      for one in pairs(people) do ids[#ids + 1] = one end
      table.sort(ids)
      for _, one in ipairs(ids) do
        if not q.email or people[one].email == q.email then list[#list + 1] = people[one] end
      end
      return { status = 200, json = { customers = list } }
    elseif request.method == "POST" then
      if body.customer.email == "bad@example.com" then return { status = 422, body = "blocked" } end
      last = last + 1
      people[tostring(last)] = body.customer
      body.customer.id = last
      return { status = 201, json = { customer = body.customer } }
    elseif request.method == "PATCH" then
      for key, value in pairs(body.customer) do people[id][key] = value end
      return { status = 200, json = { customer = people[id] } }
    end
    people[id] = nil
    return { status = 204 }
  end)
  return people
end

local function customers()
  return sync.http { url = "https://shop.example.com/customers", list = "customers", item = "customer", get = "/{id}",
    find = "?email={key}" }
end

describe("sync with an HTTP API that is written to", function()
  it("creates and updates one way, and keeps what is refused apart", function()
    local people = shop()
    sim.create("contacts", { email = "a@example.com", city = "Bonn" })
    sim.create("contacts", { email = "bad@example.com", city = "Ulm" })
    n = n + 1
    local m = sync.mapping("api " .. n, { from = sync.hubspot "contacts", to = customers(), fields = {
      { from = "email", to = "email", key = true }, { from = "city", to = "address.city" } } })
    local r = m:run()
    expect({ r.created, r.bad }).to.equal { 1, 1 }
    expect(people["1"]).to.equal { id = 1, email = "a@example.com", address = { city = "Bonn" } }
    expect(m:quarantined()[1].reason).to.equal("POST answered 422: blocked")
    expect(m:run { full = true }.unchanged).to.equal(1)
  end)

  it("is one side of a two-way sync", function()
    local people = shop()
    local a = sim.create("contacts", { email = "a@example.com", city = "Bonn" })
    people["9"] = { id = 9, email = "b@example.com", town = "Ulm" }
    n = n + 1
    local m = sync.mapping("api " .. n, { left = sync.hubspot "contacts", right = customers(), deletes = "follow", fields = {
      { left = "email", right = "email", key = true }, { left = "city", right = "town" } } })
    m:run()
    expect(people["1"].town).to.equal("Bonn")
    expect(total()).to.equal(2)
    sim.update("contacts", a, { city = "Köln" })
    people["9"] = nil
    task.sleep(60)
    m:run()
    expect(people["1"].town).to.equal("Köln")
    expect(total()).to.equal(1)
  end)
end)
