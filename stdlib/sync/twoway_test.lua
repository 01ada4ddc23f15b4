local sync = require "sync"

local n = 0

local function setup(more, fields)
  n = n + 1
  local db = sql.open("crm.db")
  db:exec [[CREATE TABLE IF NOT EXISTS people(id INTEGER PRIMARY KEY, mail TEXT, name TEXT, phone TEXT, size INTEGER, changed INTEGER)]]
  local given = { left = sync.hubspot "contacts", right = sync.sql(db, "people", { id = "id", modified = "changed" }), deletes = "follow",
    fields = fields or {
      { left = "email", right = "mail", type = "email", key = true }, { left = "lastname", right = "name" },
      { left = "phone", right = "phone" }, { left = "numemployees", right = "size", type = "integer" },
    } }
  for key, value in pairs(more or {}) do given[key] = value end
  return sync.mapping("crm " .. n, given), db
end

local function put(db, row)
  db:exec("INSERT INTO people(mail, name, phone, size, changed) VALUES(?, ?, ?, ?, ?)", row.mail, row.name, row.phone, row.size, time.now())
end

local function change(db, mail, column, value)
  db:exec(("UPDATE people SET %s = ?, changed = ? WHERE mail = ?"):format(column), value, time.now(), mail)
end

local function rows(db)
  local out = {}
  for _, row in ipairs(db:query "SELECT mail, name, phone, size FROM people ORDER BY mail") do
    out[#out + 1] = ("%s|%s|%s|%s"):format(row.mail, row.name or "", row.phone or "", row.size or "")
  end
  return out
end

local function records()
  local out = {}
  for _, record in ipairs(sim.control("list", { type = "contacts" }).results) do
    local p = record.properties
    out[#out + 1] = ("%s|%s|%s|%s"):format(p.email, p.lastname or "", p.phone or "", p.numemployees or "")
  end
  table.sort(out)
  return out
end

local function writes()
  local count = 0
  for _, call in ipairs(sim.calls()) do
    if call.method ~= "GET" and not call.path:find("/search$") and not call.path:find("/read$") then count = count + 1 end
  end
  return count
end

describe("a two-way sync", function()
  it("brings both sides together, and then has nothing to do", function()
    local m, db = setup()
    local ann = sim.create("contacts", { email = "ann@example.com", lastname = "Ann" })
    sim.create("contacts", { email = "bo@example.com", lastname = "Bo", numemployees = "3" })
    put(db, { mail = "bo@example.com", phone = "123" })
    put(db, { mail = "cy@example.com", name = "Cy", size = 7 })
    task.sleep(5)
    local first = m:run()
    expect({ first.created, first.updated }).to.equal { 2, 2 }
    expect(rows(db)).to.equal { "ann@example.com|Ann||", "bo@example.com|Bo|123|3", "cy@example.com|Cy||7" }
    expect(records()).to.equal(rows(db))
    local before = writes()
    local second = m:run()
    expect({ second.created, second.updated, second.deleted }).to.equal { 0, 0, 0 }
    expect(writes()).to.equal(before)
    sim.update("contacts", ann, { lastname = "Anna" })
    change(db, "cy@example.com", "phone", "9")
    task.sleep(5)
    expect(m:run().updated).to.equal(2)
    expect(records()).to.equal { "ann@example.com|Anna||", "bo@example.com|Bo|123|3", "cy@example.com|Cy|9|7" }
    expect(records()).to.equal(rows(db))
    task.sleep(300)
    before = writes()
    local get, asked = m.def.right.get, 0
    m.def.right.get = function(ids, names)
      asked = asked + #ids
      return get(ids, names)
    end
    m.def.right.find = nil
    m:run()
    expect(writes()).to.equal(before)
    expect(asked).to.equal(3)   -- whether a row is gone; nothing was compared
  end)

  it("lets a key change, and two changes of different fields", function()
    local m, db = setup()
    local ann = sim.create("contacts", { email = "ann@example.com", lastname = "Ann" })
    task.sleep(5)
    m:run()
    sim.update("contacts", ann, { email = "anna@example.com" })
    change(db, "ann@example.com", "phone", "5")
    task.sleep(5)
    m:run()
    expect(records()).to.equal { "anna@example.com|Ann|5|" }
    expect(rows(db)).to.equal(records())
  end)

  it("follows deletions, and a change on the other side outlives them", function()
    local m, db = setup()
    local ids = {}
    for i, name in ipairs { "a", "b", "c", "d" } do ids[i] = sim.create("contacts", { email = name .. "@example.com" }) end
    task.sleep(5)
    m:run()
    sim.control("delete", { type = "contacts", id = ids[1] })
    db:exec("DELETE FROM people WHERE mail = 'b@example.com'")
    sim.control("delete", { type = "contacts", id = ids[3] })
    change(db, "c@example.com", "name", "Cy")
    db:exec("DELETE FROM people WHERE mail = 'd@example.com'")
    sim.update("contacts", ids[4], { lastname = "Di" })
    task.sleep(5)
    m:run()
    expect(records()).to.equal { "c@example.com|Cy||", "d@example.com|Di||" }
    expect(rows(db)).to.equal(records())
  end)

  it("leaves deleted records alone unless told to follow", function()
    local m, db = setup { deletes = "ignore" }
    local a = sim.create("contacts", { email = "a@example.com" })
    sim.create("contacts", { email = "b@example.com" })
    task.sleep(5)
    m:run()
    sim.control("delete", { type = "contacts", id = a })
    db:exec("DELETE FROM people WHERE mail = 'b@example.com'")
    change(db, "a@example.com", "name", "Ann")
    task.sleep(5)
    m:run()
    task.sleep(5)
    m:run()
    expect(records()).to.equal { "b@example.com|||" }
    expect(rows(db)).to.equal { "a@example.com|Ann||" }
  end)

  it("follows merges: one row stays, with what both had", function()
    local m, db = setup()
    local a = sim.create("contacts", { email = "a@example.com", lastname = "Ann" })
    local b = sim.create("contacts", { email = "b@example.com", phone = "77" })
    task.sleep(5)
    m:run()
    sim.control("merge", { type = "contacts", primary = a, other = b })
    task.sleep(5)
    expect(m:run().merged).to.equal(1)
    expect(records()).to.equal { "a@example.com|Ann|77|" }
    expect(rows(db)).to.equal(records())
    change(db, "a@example.com", "name", "Anna")
    task.sleep(5)
    m:run()
    expect(records()).to.equal { "a@example.com|Anna|77|" }
  end)

  local function both(policy, first)
    local m, db = setup(nil, { { left = "email", right = "mail", key = true }, { left = "lastname", right = "name", conflict = policy } })
    local id = sim.create("contacts", { email = "a@example.com", lastname = "x" })
    task.sleep(5)
    m:run()
    for _, side in ipairs { first, first == "left" and "right" or "left" } do
      if side == "left" then sim.update("contacts", id, { lastname = "L" }) else change(db, "a@example.com", "name", "R") end
      task.sleep(5)
    end
    local r = m:run()
    return records()[1] .. " " .. rows(db)[1], m, r, id, db
  end

  it("decides conflicts by each field's policy", function()
    expect(both("newest", "left")).to.equal("a@example.com|R|| a@example.com|R||")
  end)

  it("lets the newest win, whichever side it is", function()
    expect(both("newest", "right")).to.equal("a@example.com|L|| a@example.com|L||")
  end)

  it("lets the left or the right win", function()
    expect(both("left", "left")).to.equal("a@example.com|L|| a@example.com|L||")
  end)

  it("lets the right win", function()
    expect(both("right", "right")).to.equal("a@example.com|R|| a@example.com|R||")
  end)

  it("overwrites nothing", function()
    local said, m, _, id, db = both("never_overwrite", "left")
    expect(said).to.equal("a@example.com|L|| a@example.com|R||")
    change(db, "a@example.com", "name", nil)
    task.sleep(5)
    m:run()
    expect(rows(db)).to.equal { "a@example.com|L||" }
    sim.update("contacts", id, { lastname = "LL" })
    task.sleep(5)
    m:run()
    expect(rows(db)).to.equal { "a@example.com|L||" }
  end)

  it("asks a person, and does what was decided", function()
    local said, m, r, id, db = both("ask", "left")
    expect(said).to.equal("a@example.com|L|| a@example.com|R||")
    expect(r.conflicts).to.equal(1)
    local list = m:conflicts()
    expect(list[1].fields).to.equal { lastname = { left = "L", right = "R" } }
    expect(function() m:decide(list[1].id, "middle") end).to.raise('needs "left" or "right"')
    m:decide(list[1].id, "right")
    expect(m:conflicts()).to.have_length(0)
    sim.update("contacts", id, { lastname = "L2" })
    m:run()
    expect(rows(db)).to.equal { "a@example.com|R||" }
    expect(m:conflicts()[1].fields.lastname).to.equal { left = "L2", right = "R" }
    m:decide(list[1].id, { lastname = "right" })
    m:run()
    expect(records()).to.equal { "a@example.com|R||" }
    expect(m:conflicts()).to.have_length(0)
  end)

  it("keeps duplicates apart until one of them is gone", function()
    local m, db = setup()
    put(db, { mail = "a@example.com", name = "One" })
    put(db, { mail = "a@example.com", name = "Two" })
    m:run()
    expect(records()).to.equal { "a@example.com|One||" }
    expect(m:quarantined()[1].reason).to.match("has the same key as 1")
    db:exec("DELETE FROM people WHERE name = 'One'")
    m:run()
    task.sleep(300)
    m:run()
    expect(records()).to.equal { "a@example.com|Two||" }
    expect(rows(db)).to.equal(records())
    expect(m:quarantined()).to.have_length(0)
  end)

  it("shows in a dry run what it would do, and writes nothing", function()
    local m, db = setup()
    sim.create("contacts", { email = "a@example.com", lastname = "Ann" })
    put(db, { mail = "a@example.com", phone = "1" })
    put(db, { mail = "b@example.com" })
    task.sleep(5)
    local r = m:run { dry_run = true }
    expect({ r.created, r.updated }).to.equal { 1, 2 }
    expect(writes()).to.equal(0)
    expect(rows(db)).to.equal { "a@example.com||1|", "b@example.com|||" }
    expect(m.state:get "cursor").to.be_nil()
  end)
end)

describe("a two-way sync that is cut off", function()
  -- The side writes, and then the machine stops.
  local function cut(m, side)
    local write = m.def[side].write
    m.def[side].write = function(ops)
      write(ops)
      m.def[side].write = write
      error("the power failed", 0)
    end
    expect(function() m:run() end).to.raise("the power failed")
  end

  it("knows its own write again, and does not take it for a person's", function()
    local m, db = setup(nil, { { left = "email", right = "mail", key = true }, { left = "lastname", right = "name", conflict = "left" } })
    sim.create("contacts", { email = "a@example.com", lastname = "x" })
    task.sleep(5)
    m:run()
    change(db, "a@example.com", "name", "R1")
    cut(m, "left")
    expect(records()).to.equal { "a@example.com|R1||" }
    change(db, "a@example.com", "name", "R2")
    task.sleep(5)
    m:run()
    expect(records()).to.equal { "a@example.com|R2||" }
    expect(rows(db)).to.equal(records())
  end)

  it("finds what it has made, though the key has changed meanwhile", function()
    local m, db = setup()
    local id = sim.create("contacts", { email = "a@example.com", lastname = "x" })
    task.sleep(5)
    cut(m, "right")
    expect(rows(db)).to.equal { "a@example.com|x||" }
    sim.update("contacts", id, { email = "b@example.com" })
    put(db, { mail = "c@example.com" })
    task.sleep(5)
    cut(m, "left")
    task.sleep(5)
    m:run()
    task.sleep(200)
    m:run()
    expect(records()).to.equal { "b@example.com|x||", "c@example.com|||" }
    expect(rows(db)).to.equal(records())
  end)

  it("looks up twice what has no unique property, as the search lags", function()
    sim.start { lag_ms = 8000 }
    n = n + 1
    local db = sql.open("crm.db")
    db:exec("CREATE TABLE firm(id INTEGER PRIMARY KEY, domain TEXT, name TEXT)")
    db:exec("INSERT INTO firm(domain, name) VALUES('acme.com', 'Acme')")
    local m = sync.mapping("crm " .. n, { left = sync.hubspot "companies", right = sync.sql(db, "firm", { id = "id" }),
      fields = { { left = "domain", right = "domain", key = true }, "name" } })
    cut(m, "left")
    m:run()
    task.sleep(60)
    m:run()
    expect(sim.control("list", { type = "companies" }).total).to.equal(1)
    expect(db:query("SELECT count(*) AS n FROM firm")[1].n).to.equal(1)
  end)

  it("tells a row whose number the database gave out anew from the old one", function()
    local m, db = setup()
    sim.create("contacts", { email = "a@example.com" })
    task.sleep(5)
    m:run()
    db:exec("DELETE FROM people")
    sim.create("contacts", { email = "b@example.com" })
    task.sleep(5)
    m:run()
    expect(records()).to.equal { "b@example.com|||" }
    expect(rows(db)).to.equal(records())
  end)

  it("deletes no more than it may", function()
    local m, db = setup { max_deletes = 2 }
    for i = 1, 3 do sim.create("contacts", { email = ("p%d@example.com"):format(i) }) end
    task.sleep(5)
    m:run()
    db:exec("DELETE FROM people")
    expect(function() m:run() end).to.raise("more than 2 records would be deleted")
    expect(records()).to.have_length(3)
  end)

  it("holds what is refused apart, and takes it back", function()
    local m, db = setup()
    sim.control("validate", { type = "contacts", property = "lastname", rule = "MAX_LENGTH", arguments = { "3" } })
    put(db, { mail = "a@example.com", name = "Annabelle" })
    expect(m:run().bad).to.equal(1)
    expect(m:quarantined()[1].source).to.equal("1")
    change(db, "a@example.com", "name", "Ann")
    local r = m:retry_quarantine()
    expect({ r.created, r.bad }).to.equal { 1, 0 }
    expect(records()).to.equal { "a@example.com|Ann||" }
    expect(m:quarantined()).to.have_length(0)
  end)
end)
