local sync = require "sync"

local n = 0
local function mapping(given)
  n = n + 1
  return sync.mapping("table " .. n, given)
end

local function people()
  local db = sql.open("crm.db")
  db:exec [[CREATE TABLE IF NOT EXISTS people(id INTEGER PRIMARY KEY, mail TEXT UNIQUE, name TEXT NOT NULL, changed TEXT, gone TEXT)]]
  return db
end

local function all(db)
  local out = {}
  for i, row in ipairs(db:query "SELECT id, mail, name FROM people ORDER BY id") do
    out[i] = ("%d %s %s"):format(row.id, row.mail, row.name)
  end
  return out
end

local FIELDS = { { from = "E-Mail", to = "mail", type = "email", key = true }, { from = "Name", to = "name" } }

describe("sync with a table", function()
  it("writes a file's rows, and a row that the table refuses fails alone", function()
    local db = people()
    fs.write("in.csv", "E-Mail,Name\na@example.com,Ann\nb@example.com,\nc@example.com,Cy\n")
    local m = mapping { from = sync.csv "in.csv", to = sync.sql(db, "people"), fields = FIELDS }
    local r = m:run()
    expect({ r.created, r.bad }).to.equal { 2, 1 }
    expect(r.bad_rows[1].reason).to.match "NOT NULL"
    expect(all(db)).to.equal { "1 a@example.com Ann", "2 c@example.com Cy" }
    fs.write("in.csv", "E-Mail,Name\na@example.com,Anna\nc@example.com,Cy\n")
    r = m:run()
    expect({ r.updated, r.unchanged }).to.equal { 1, 1 }
    expect(all(db)[1]).to.equal "1 a@example.com Anna"
  end)

  it("deletes what a file no longer has, but not too much, and nothing while a row cannot be read", function()
    local db = people()
    local rows = { "E-Mail,Name" }
    for i = 1, 9 do rows[#rows + 1] = ("p%d@example.com,P%d"):format(i, i) end
    db:exec("INSERT INTO people(mail, name) VALUES('own@example.com', 'not of the file')")
    fs.write("in.csv", table.concat(rows, "\n"))
    local m = mapping { from = sync.csv "in.csv", to = sync.sql(db, "people"), fields = FIELDS, deletes = "follow", page = 4,
      max_deletes = 2 }
    m:run()
    fs.write("in.csv", table.concat(rows, "\n", 1, 5))
    expect(function() m:run() end).to.raise("more than 2 records would be deleted")
    expect(all(db)).to.have_length(10)
    fs.write("in.csv", table.concat(rows, "\n", 1, 8) .. "\nnobody,X\n")
    expect(m:run().notes[1]).to.contain "nothing was deleted"
    fs.write("in.csv", table.concat(rows, "\n", 1, 8))
    expect(m:run().deleted).to.equal(2)
    expect(all(db)).to.have_length(8)
    expect(all(db)[1]).to.contain "own@example.com"
  end)

  -- What no JSON can hold, or is too long for the store, of rows 1 to 5; row 6 is well.
  local function uncarried(db)
    db:exec "CREATE TABLE odd(id INTEGER PRIMARY KEY, mail TEXT, name TEXT, size)"
    local function put(...) db:exec("INSERT INTO odd(mail, name, size) VALUES(?, ?, ?)", ...) end
    put("long@example.com", ("x"):rep(1000000), 1)
    db:exec "INSERT INTO odd(mail, name, size) VALUES('bytes@example.com', CAST(x'ff41' AS TEXT), 2)"
    db:exec "INSERT INTO odd(mail, name, size) VALUES('nul@example.com', 'a' || char(0) || 'b', 3)"
    db:exec "INSERT INTO odd(mail, name, size) VALUES('inf@example.com', 'Inf', 9e999)"
    put("wide@example.com", "Wide", "x" .. ("ü"):rep(40))   -- cut for people in the middle of a character
    put("well@example.com", "Well", 6)
  end

  for _, file in ipairs { false, "bad.csv", "bad.jsonl" } do
    it("puts rows that cannot be carried into the quarantine, and the rest goes on, one way, " .. tostring(file), function()
      local db = people()
      uncarried(db)
      local m = mapping { from = sync.sql(db, "odd", { id = "id" }), to = sync.hubspot "contacts", quarantine = file or nil, fields = {
        { from = "mail", to = "email", type = "email", key = true }, { from = "name", to = "lastname" },
        { from = "size", to = "numemployees", type = "number" } } }
      local r = m:run()
      expect({ r.created, r.bad }).to.equal { 1, 5 }
      expect(json.encode(r)).to.contain "bytes@example.com"
      local list = m:quarantined()
      expect(list).to.have_length(5)
      expect({ list[1].row.name, list[1].id }).to.equal { "?A", "bytes@example.com" }
      if not file then expect(m:retry_quarantine().bad).to.equal(5) end
      expect(m:retry_quarantine().created).to.equal(0)
      expect(m:run().unchanged).to.equal(1)
      db:exec "UPDATE odd SET name = 'N', size = 7"
      r = m:run()
      expect({ r.created, r.bad, #m:quarantined() }).to.equal { 5, 0, 0 }
    end)
  end

  it("puts rows that cannot be carried into the quarantine, and the rest goes on, two-way", function()
    local db = people()
    uncarried(db)
    local m = mapping { left = sync.hubspot "contacts", right = sync.sql(db, "odd", { id = "id" }), deletes = "follow", fields = {
      { left = "email", right = "mail", type = "email", key = true }, { left = "lastname", right = "name" },
      { left = "numemployees", right = "size", type = "number" } } }
    local r = m:run()
    expect({ r.created, r.deleted, r.bad }).to.equal { 1, 0, 5 }
    expect(m:quarantined()).to.have_length(5)
    db:exec "UPDATE odd SET name = 'N', size = 7"
    sim.advance "5m"
    r = m:run()
    expect({ r.created, r.bad, #m:quarantined() }).to.equal { 5, 0, 0 }
  end)

  for _, kind in ipairs { "INTEGER", "TEXT" } do
    it("knows the newest by a column of seconds, and goes on when the column is not told any more, " .. kind, function()
      local db = people()
      db:exec(("CREATE TABLE unix(id INTEGER PRIMARY KEY, mail TEXT, name TEXT, changed %s)"):format(kind))
      db:exec("INSERT INTO unix VALUES(1, 'a@example.com', 'A', ?)", time.now() // 1000)
      local fields = { { left = "email", right = "mail", type = "email", key = true }, { left = "lastname", right = "name" } }
      local m = mapping { left = sync.hubspot "contacts", right = sync.sql(db, "unix", { modified = "changed" }), fields = fields }
      expect(m:run().created).to.equal(1)
      sim.advance "5m"
      sim.update("contacts", sim.control("list", { type = "contacts" }).results[1].id, { lastname = "older" })
      sim.advance "5m"
      db:exec("UPDATE unix SET name = 'newer', changed = ?", time.now() // 1000)
      m:run()
      expect(db:query("SELECT name FROM unix")[1].name).to.equal "newer"
      sim.advance "5m"
      db:exec("UPDATE unix SET name = 'again', changed = ?", time.now() // 1000)
      m:run()
      expect(sim.control("list", { type = "contacts" }).results[1].properties.lastname).to.equal "again"
      local plain = mapping { left = sync.hubspot "contacts", right = sync.sql(db, "unix"), fields = fields }
      plain.state = m.state   -- the mapping as it was changed between two runs
      db:exec "UPDATE unix SET name = 'newest'"
      expect(plain:run().updated).to.equal(1)
    end)
  end

  it("says how many rows have no id, and lets none of them come and go", function()
    local db = people()
    db:exec "CREATE TABLE loose(id TEXT, mail TEXT)"
    for i = 1, 7 do db:exec("INSERT INTO loose(id, mail) VALUES(?, ?)", i > 5 and "r" .. i or nil, ("p%d@example.com"):format(i)) end
    local m = mapping { left = sync.hubspot "contacts", right = sync.sql(db, "loose", { id = "id" }), deletes = "follow", page = 2,
      fields = { { left = "email", right = "mail", type = "email", key = true } } }
    for i = 1, 3 do
      local r = m:run()
      expect({ r.created, r.deleted, r.bad }).to.equal { i == 1 and 2 or 0, 0, 1 }
      expect(r.bad_rows[1].reason).to.contain '5 rows have no value in the column "id"'
      sim.advance "5m"
    end
    local one = mapping { from = sync.sql(db, "loose", { id = "id" }), to = sync.hubspot "contacts", page = 2,
      fields = { { from = "mail", to = "email", type = "email", key = true } } }
    local r = one:run()
    expect({ r.unchanged, r.bad }).to.equal { 2, 1 }
    db:exec "UPDATE loose SET id = mail WHERE id IS NULL"
    r = m:run()
    expect({ r.created, r.bad, #m:quarantined() }).to.equal { 5, 0, 0 }
    db:exec "UPDATE loose SET id = 'same'"
    expect(function() m:run { full = true } end).to.raise 'the table loose has "same" more than once in the column "id"'
  end)

  it("is read from its last change on, with what was deleted", function()
    local db = people()
    for i, mail in ipairs { "a", "b", "c", "d", "e" } do
      db:exec("INSERT INTO people(mail, name, changed) VALUES(?, ?, ?)", mail .. "@example.com", "N" .. i,
        i == 3 and json.null or "2026-09-01 08:00:0" .. i)
    end
    local m = mapping { from = sync.sql(db, "people", { id = "id", modified = "changed", deleted = "gone", overlap = "1s" }),
      to = sync.hubspot "contacts", fields = { { from = "mail", to = "email", key = true }, { from = "name", to = "lastname" } },
      deletes = "follow", page = 2 }
    expect(m:run().created).to.equal(5)
    expect(m:run().read).to.equal(2)
    db:exec("UPDATE people SET name = 'New', changed = '2026-09-01 09:00:00' WHERE mail = 'a@example.com'")
    db:exec("UPDATE people SET gone = 'yes', changed = '2026-09-01 09:00:01' WHERE mail = 'b@example.com'")
    local r = m:run()
    expect({ r.updated, r.deleted }).to.equal { 1, 1 }
    expect(sim.control("list", { type = "contacts" }).total).to.equal(4)
    expect(m:run().deleted).to.equal(0)
  end)

  it("sees what changes also when the time of a row is nonsense, or yet to come", function()
    for _, odd in ipairs { "not a time", "2099-01-01 00:00:00" } do
      local db = sql.open((odd:sub(1, 3)) .. ".db")
      db:exec("CREATE TABLE people(id INTEGER PRIMARY KEY, mail TEXT, name TEXT, changed TEXT)")
      local m = mapping { from = sync.sql(db, "people", { id = "id", modified = "changed", overlap = "1s" }), to = sync.hubspot "contacts",
        fields = { { from = "mail", to = "email", key = true }, { from = "name", to = "lastname" } }, page = 2 }
      local function put(name, at)
        db:exec("INSERT INTO people(mail, name, changed) VALUES(?, ?, ?)", odd:sub(1, 3) .. name .. "@example.com", name, at)
      end
      put("a", "2026-09-01 07:00:00")
      put("b", odd)
      expect(m:run().created).to.equal(2)
      put("c", "2026-09-01 07:00:10")
      put("d", odd)
      expect(m:run().created).to.equal(2)
      put("e", "2026-09-01 07:00:20")
      expect(m:run().created).to.equal(1)
      db:exec("UPDATE people SET changed = '2026-09-01 07:00:30' WHERE name IN ('b', 'd')")
      m:run()
      expect(m:run().read).to.equal(2)                                  -- from its last change on, again
    end
  end)

  it("names a table or a column that is not there", function()
    local db = people()
    fs.write("in.csv", "E-Mail,Name\n")
    local function says(place, fields, text)
      local m = mapping { from = sync.csv "in.csv", to = place, fields = fields }
      expect(function() m:run() end).to.raise(text)
    end
    says(sync.sql(db, "peeple"), FIELDS, "the table peeple is not there")
    says(sync.sql(db, "people"), { FIELDS[1], { from = "Name", to = "nme" } }, 'the table people has no column "nme"$')
    db:exec("INSERT INTO people(name) VALUES('Ann')")
    says(sync.sql(db, "people"), { FIELDS[1], { from = "Name", to = "nme" } }, 'no column "nme"; did you mean "name"?')
    says(sync.sql(db, "people", { id = "uid" }), FIELDS, 'the table people has no column "uid"')
    expect(function() sync.sql(db, "people", { modifid = "x" }) end).to.raise('unknown option "modifid"')
  end)

  it("decides by a field's policy, clears what is empty when it is told to, and asks", function()
    local db = people()
    db:exec("CREATE TABLE lead(mail TEXT, a TEXT, b TEXT, c TEXT, d TEXT)")
    db:exec("INSERT INTO lead VALUES('x@example.com', 'old', 'old', 'old', 'old')")
    fs.write("in.csv", "mail,a,b,c,d\nx@example.com,new,,new,new\n")
    local m = mapping { from = sync.csv "in.csv", to = sync.sql(db, "lead"), fields = { { "mail", key = true },
      { "a", conflict = "never_overwrite" }, { "b", clear = true }, "c", { "d", conflict = "ask" } } }
    local r = m:run()
    expect(r.conflicts).to.equal(1)
    expect(db:query("SELECT * FROM lead")[1]).to.equal { mail = "x@example.com", a = "old", c = "new", d = "old" }
    expect(m:conflicts()[1].fields).to.equal { d = { left = "new", right = "old" } }
    m:decide("x@example.com", "left")
    m:run()
    expect(db:query("SELECT d FROM lead")[1].d).to.equal("new")
    expect(m:conflicts()).to.have_length(0)
  end)

  it("follows what was deleted, merged or given another key in HubSpot, and leaves alone what it did not bring", function()
    local db = people()
    db:exec("INSERT INTO people(mail, name) VALUES('own@example.com', 'own')")
    local ids = {}
    for _, name in ipairs { "a", "b", "c", "d", "e" } do
      ids[name] = sim.create("contacts", { email = name .. "@example.com", lastname = name:upper() })
    end
    local own = sim.create("contacts", { email = "own@example.com" })
    sim.control("delete", { type = "contacts", id = own })
    task.sleep(60)
    local m = mapping { from = sync.hubspot "contacts", to = sync.sql(db, "people"), deletes = "follow",
      max_deletes = 3, fields = { { from = "email", to = "mail", key = true }, { from = "lastname", to = "name" } } }
    expect(m:run().created).to.equal(5)
    sim.control("delete", { type = "contacts", id = ids.a })
    sim.control("merge", { type = "contacts", primary = ids.b, other = ids.c })
    sim.update("contacts", ids.d, { email = "dd@example.com" })
    sim.control("delete", { type = "contacts", id = ids.e })
    sim.create("contacts", { email = "e@example.com", lastname = "again" })
    task.sleep(60)
    local r = m:run()
    expect({ r.created, r.updated, r.deleted }).to.equal { 1, 1, 3 }
    local out = {}
    for i, row in ipairs(db:query "SELECT mail, name FROM people ORDER BY mail") do out[i] = row.mail .. " " .. row.name end
    expect(out).to.equal { "b@example.com B", "dd@example.com D", "e@example.com again", "own@example.com own" }
    task.sleep(600)
    r = m:run()
    expect({ r.created, r.updated, r.deleted }).to.equal { 0, 0, 0 }
    for _, record in ipairs(sim.control("list", { type = "contacts" }).results) do
      sim.control("delete", { type = "contacts", id = record.id })
    end
    db:exec("INSERT INTO people(mail, name) VALUES('more@example.com', 'x')")
    for i = 1, 4 do
      ids[i] = sim.create("contacts", { email = ("p%d@example.com"):format(i), lastname = "P" })
    end
    task.sleep(60)
    m:run()
    for i = 1, 4 do sim.control("delete", { type = "contacts", id = ids[i] }) end
    expect(function() m:run() end).to.raise("more than 3 records would be deleted")
    expect(db:query("SELECT count(*) AS n FROM people WHERE mail LIKE 'p%'")[1].n).to.equal(4)
  end)

  it("takes blanks for no value", function()
    local db = people()
    local m = mapping { from = sync.csv "mail,name,gone\na@example.com,Ann,  \n", to = sync.sql(db, "people"),
      fields = { { "mail", key = true }, "name", "gone" } }
    m:run()
    expect(db:query("SELECT gone FROM people")[1].gone).to.be_nil()
    expect(m:run().unchanged).to.equal(1)
  end)
end)
