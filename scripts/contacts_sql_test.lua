-- contacts_sql.lua against the simulator and a table in a file of the test's own.
local db

before_each(function()
  sim.start { contacts = 0 }
  db = sql.open "contacts.db"
  sim.load("contacts_sql.lua", { sql = { "contacts.db" } })
  sim.advance("11m")                                     -- the first run makes the table
end)

local function put(fields)
  db:exec("INSERT INTO contact(email, first_name, last_name, phone, changed) VALUES(?, ?, ?, ?, ?)",
    fields.email, fields.first, fields.last, fields.phone, time.iso())
end

local function change(email, column, value)
  db:exec(("UPDATE contact SET %s = ?, changed = ? WHERE email = ?"):format(column), value, time.iso(), email)
end

local function shown(...)
  local list = {}
  for i = 1, 4 do list[i] = select(i, ...) or "" end
  return table.concat(list, "|")
end

-- "e-mail|first|last|phone" of each row that is not gone, and of each contact.
local function rows()
  local list = {}
  for row in db:rows "SELECT * FROM contact WHERE gone IS NULL ORDER BY email" do
    list[#list + 1] = shown(row.email, row.first_name, row.last_name, row.phone)
  end
  return list
end

local function records()
  local list = {}
  for _, record in ipairs(sim.control("list", { type = "contacts", limit = 1000 }).results) do
    local p = record.properties
    list[#list + 1] = shown(p.email, p.firstname, p.lastname, p.phone)
  end
  table.sort(list)
  return list
end

local function same(want)
  expect(records()).to.equal(want)
  expect(rows()).to.equal(want)
  expect(sim.events().dead).to.equal(0)
end

describe("contacts and a table", function()
  it("brings both together, carries what changes over, and then writes nothing", function()
    sim.create("contacts", { email = "ann@example.com", firstname = "Ann" })
    sim.create("contacts", { email = "bo@example.com", lastname = "Bo" })
    put { email = "BO@example.com", phone = "+49 30 1" }
    put { email = "cy@example.com", first = "Cy" }
    sim.advance("10m")
    expect(records()).to.equal { "ann@example.com|Ann||", "bo@example.com||Bo|+49 30 1", "cy@example.com|Cy||" }
    expect(#rows()).to.equal(3)
    db:exec("UPDATE contact SET email = lower(email)")
    change("ann@example.com", "last_name", "Alt")
    sim.update("contacts", sim.control("list", { type = "contacts" }).results[2].id, { firstname = "Bodo" })
    sim.advance("10m")
    same { "ann@example.com|Ann|Alt|", "bo@example.com|Bodo|Bo|+49 30 1", "cy@example.com|Cy||" }
    local before, pairs_before = sim.writes(), rows()
    sim.advance("1h")
    expect(sim.writes()).to.equal(before)
    expect(rows()).to.equal(pairs_before)
  end)

  it("lets the newer value count, and of the phone number the table's", function()
    local ann = sim.create("contacts", { email = "ann@example.com", firstname = "Ann", phone = "1" })
    sim.advance("10m")
    sim.update("contacts", ann, { firstname = "Early", phone = "2" })
    sim.advance("1m")
    change("ann@example.com", "first_name", "Late")
    change("ann@example.com", "phone", "3")
    sim.advance("10m")
    same { "ann@example.com|Late||3" }
    change("ann@example.com", "first_name", "Early")
    change("ann@example.com", "phone", "4")
    sim.advance("1m")
    sim.update("contacts", ann, { firstname = "Later", phone = "5" })
    sim.advance("10m")
    same { "ann@example.com|Later||4" }
  end)

  it("follows deletions, and deletes no more than it may", function()
    local ids = {}
    for i = 1, 3 do ids[i] = sim.create("contacts", { email = ("c%d@example.com"):format(i) }) end
    sim.advance("10m")
    sim.control("delete", { type = "contacts", id = ids[1] })
    db:exec("UPDATE contact SET gone = ?, changed = ? WHERE email = ?", time.iso(), time.iso(), "c2@example.com")
    sim.advance("10m")
    same { "c3@example.com|||" }
    expect(db:query("SELECT gone FROM contact WHERE email = 'c1@example.com'")[1].gone).to.match "^2026%-"
    local records_of = {}
    for i = 1, 25 do records_of[i] = { email = ("d%03d@example.com"):format(i) } end
    sim.control("batch_create", { type = "contacts", records = records_of })
    sim.advance("20m")
    expect(#rows()).to.equal(26)
    db:exec("UPDATE contact SET gone = ?, changed = ?", time.iso(), time.iso())
    sim.advance("20m")
    expect(#records()).to.equal(26)
  end)

  it("leaves bad rows alone, says so, and takes them when they are mended", function()
    put { email = "no address", first = "Bad" }
    put { first = "Nobody" }
    put { email = "good@example.com", first = "Good" }
    sim.advance("10m")
    expect(records()).to.equal { "good@example.com|Good||" }
    expect(sim.log()).to.match "no address"
    expect(sim.log()).to.match "is left alone: "
    change("no address", "email", "mended@example.com")
    sim.advance("10m")
    expect(records()).to.equal { "good@example.com|Good||", "mended@example.com|Bad||" }
    expect(sim.events().dead).to.equal(0)
  end)

  it("gets through a storm of 429s", function()
    for i = 1, 20 do put { email = ("c%02d@example.com"):format(i) } end
    for i = 21, 40 do sim.create("contacts", { email = ("c%02d@example.com"):format(i) }) end
    sim.fail { status = 429, policy = "TEN_SECONDLY_ROLLING", times = 40 }
    sim.fail { status = 429, policy = "TEN_SECONDLY_ROLLING", path = "/batch/", times = 20 }
    sim.advance("2h")
    expect(sim.control("stats").limited).to.equal(60)
    expect(#records()).to.equal(40)
    same(rows())
  end)

  it("goes on after crashes in the middle, and makes nothing twice", function()
    for i = 1, 120 do put { email = ("c%04d@example.com"):format(i), first = "C" .. i } end
    sim.create("contacts", { email = "h@example.com", firstname = "H" })
    -- HubSpot makes a page of contacts, then changes the rest, and each time nobody hears of it.
    for _ = 1, 2 do
      local before = #records()
      sim.crash { method = "POST", path = "/batch/upsert" }
      sim.advance("10m")
      expect(#records() > before).to.be_true()
      sim.restart()
    end
    sim.advance("20m")
    expect(#records()).to.equal(121)
    same(rows())
    expect(sim.log()).to_not.contain("alert:")
    local before = sim.writes()
    sim.advance("30m")
    expect(sim.writes()).to.equal(before)
  end)

  it("goes on after lost answers and an hour without HubSpot", function()
    for i = 1, 20 do put { email = ("c%04d@example.com"):format(i), first = "C" .. i } end
    sim.fail { method = "POST", path = "/batch/", drop = "after", times = 2 }
    sim.advance("10m")
    expect(#records()).to.equal(20)
    sim.fail { status = 500, times = 0 }
    change("c0001@example.com", "first_name", "Late")
    sim.advance("1h")
    sim.fail {}
    sim.advance("1h")
    expect(records()[1]).to.equal("c0001@example.com|Late||")
    same(rows())
  end)

  it("bears values of the wrong type, and contacts that go between the look and the write", function()
    db:exec("INSERT INTO contact(email, first_name, phone, changed) VALUES(?, ?, ?, ?)", "n@example.com", 42, 4930.5, time.iso())
    db:exec("INSERT INTO contact(email, first_name, changed) VALUES(?, ?, ?)", "t@example.com", "T", "not a time")
    local ann = sim.create("contacts", { email = "ann@example.com", firstname = "Ann" })
    sim.advance("10m")
    expect(records()[2]).to.equal("n@example.com|42||4930.5")
    change("ann@example.com", "first_name", "Anna")
    sim.fail { method = "PATCH", path = "/contacts/" .. ann, latency_ms = 1000 }
    sim.advance(9 * 60 + 0.5)
    sim.control("delete", { type = "contacts", id = ann })
    sim.advance("20m")
    expect(records()).to.equal { "ann@example.com|Anna||", "n@example.com|42||4930.5", "t@example.com|T||" }
    same(rows())                                         -- what was changed since is kept: it is made again
    expect(sim.log()).to.contain("is left alone: PATCH")
    expect(sim.log()).to_not.contain("alert:")
  end)
end)
