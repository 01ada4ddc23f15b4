local function failure(fn, ...)
  local ok, err = pcall(fn, ...)
  expect(ok).to.equal(false)
  return err
end

local function shop()
  local db = sql.open("shop.db")
  db:exec("CREATE TABLE customer(id INTEGER PRIMARY KEY, email TEXT UNIQUE NOT NULL, spent REAL, photo BLOB)")
  return db
end

local function count(db) return db:query("SELECT count(*) AS n FROM customer")[1].n end

describe("sql", function()
  it("gives rows as tables, NULL absent, integers whole", function()
    local db = shop()
    local big = 9007199254740993
    expect(db:exec("INSERT INTO customer VALUES(?, ?, ?, ?)", big, "ann@example.com", 1.5, nil)).to.equal(1)
    local rows = db:query("SELECT * FROM customer WHERE email = ?", "ann@example.com")
    expect(#rows).to.equal(1)
    expect(rows[1]).to.equal({ id = big, email = "ann@example.com", spent = 1.5 })
    expect(math.type(rows[1].id)).to.equal("integer")
    expect(db:query("SELECT 1 AS one WHERE 0")).to.equal({})
  end)

  it("binds every kind of value", function()
    local db = sql.open("values.db")
    local bytes = "\0\1\255"
    local row = db:query("SELECT ? AS t, ? AS f, ? AS n, ? AS j, ? AS b, typeof(?) AS tb, typeof(?) AS ts, typeof(?) AS te",
      true, false, nil, json.null, bytes, bytes, "text", sql.blob("text"))[1]
    expect(row).to.equal({ t = 1, f = 0, b = bytes, tb = "blob", ts = "text", te = "blob" })
    expect(db:query("SELECT ? AS x", "'; DROP TABLE customer; --")[1].x).to.equal("'; DROP TABLE customer; --")
    expect(failure(db.query, db, "SELECT ?", {}).message).to.match("a table is no value")
    expect(failure(db.query, db, "SELECT ?").message).to.match("1 placeholder %(%?%), and 0 values are given")
    expect(failure(db.query, db, "SELECT ?", 1, 2).message).to.match("1 placeholder %(%?%), and 2 values are given")
  end)

  it("counts the rows that a statement changes", function()
    local db = shop()
    db:exec("INSERT INTO customer(email) VALUES('a'), ('b'), ('c')")
    expect(db:exec("UPDATE customer SET spent = 1 WHERE email > ?", "a")).to.equal(2)
    expect(db:exec("CREATE INDEX by_spent ON customer(spent)")).to.equal(0)
    expect(db:exec("SELECT * FROM customer")).to.equal(0)
    expect(db:query("DELETE FROM customer WHERE email = 'c' RETURNING id")).to.equal({ { id = 3 } })
  end)

  it("says what is wrong", function()
    local db = shop()
    db:exec("INSERT INTO customer(email) VALUES('a')")
    local err = failure(db.exec, db, "INSERT INTO customer(email) VALUES(?)", "a")
    expect(err.kind).to.equal("sql")
    expect(err.category).to.equal("unique")
    expect(err.code).to.equal("SQLITE_CONSTRAINT")
    expect(err.retryable).to.equal(false)
    expect(err.message).to.match("^sql: shop.db: UNIQUE constraint failed: customer.email")
    expect(failure(db.exec, db, "INSERT INTO customer(email) VALUES(NULL)").category).to.equal("not_null")
    expect(failure(db.exec, db, "INSRT").category).to.equal("statement")
    expect(failure(db.exec, db, "SELECT 1; SELECT 2").message).to.match("one statement at a time")
    expect(failure(db.exec, db, " -- nothing").message).to.match("no statement")
    expect(failure(db.exec, db, 7).message).to.match("sql_test.lua:%d+: db:exec: the statement is a string")
    expect(db:exec("SELECT 1; -- and a remark ")).to.equal(0)
    db:close()
    expect(failure(db.exec, db, "SELECT 1").message).to.match("shop.db is closed")
  end)

  it("reads page by page, and is written meanwhile", function()
    local db = shop()
    db:exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1800) " ..
      "INSERT INTO customer(email) SELECT 'c' || i FROM n")
    local seen, sum = 0, 0
    for row in db:rows("SELECT id, email FROM customer WHERE id > ?", 0) do
      seen, sum = seen + 1, sum + row.id
      if seen % 100 == 0 then db:exec("UPDATE customer SET spent = ? WHERE id = ?", seen, row.id) end
    end
    expect(seen).to.equal(1800)
    expect(sum).to.equal(1800 * 1801 // 2)
    expect(db:query("SELECT count(spent) AS n FROM customer")[1].n).to.equal(18)
    for _ = 1, 20 do -- more than there are connections: each is given back
      for row in db:rows("SELECT * FROM customer ORDER BY id") do
        if row.id == 3 then break end
      end
    end
    expect(failure(db.rows, db, "DELETE FROM customer RETURNING id").message).to.match("db:rows reads only")
    expect(count(db)).to.equal(1800)
  end)

  it("has so many readings at once, and waits for the next no longer than the timeout", function()
    shop():exec("INSERT INTO customer(email) VALUES('a'), ('b')")
    local db = sql.open("shop.db", { timeout = "5s" })
    db:exec("INSERT INTO customer(email) SELECT 'c' || key FROM json_each('[' || ? || '0]')", ("0, "):rep(600))
    local function deep(depth)
      for row in db:rows("SELECT id FROM customer") do
        if row.id == 1 and depth > 1 then deep(depth - 1) end
      end
    end
    deep(8)
    local err = failure(deep, 9)
    expect(err.category).to.equal("timeout")
    expect(err.message).to.match("no connection became free within 5 s")
    deep(8)
  end)

  it("bounds what a query gives", function()
    local db = sql.open("big.db")
    local many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) SELECT i FROM n"
    expect(#db:query(many, 50000)).to.equal(50000)
    local err = failure(db.query, db, many, 50001)
    expect(err.category).to.equal("too_large")
    expect(err.message).to.match("more than 50000 rows or 32 MiB: db:rows")
    expect(failure(db.query, db, "SELECT randomblob(20000000) AS a, randomblob(20000000) AS b").category).to.equal("too_large")
  end)

  it("refuses what is not a script's business", function()
    local db = shop()
    for _, statement in ipairs { "ATTACH 'other.db' AS other", "DETACH main", "VACUUM INTO 'copy.db'", "PRAGMA journal_mode = DELETE",
      "PRAGMA writable_schema = 1", "SELECT load_extension('x')", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT x", "RELEASE x" } do
      local err = failure(db.exec, db, statement)
      expect(err.kind).to.equal("sql")
      expect(err.category == "denied" or err.category == "statement").to.equal(true)
    end
    expect(db:query("PRAGMA table_info(customer)")[1].name).to.equal("id")
    expect(#db:query("PRAGMA database_list")).to.equal(1)
    expect(failure(sql.open, "../shop.db").message).to.match("cannot go up")
    expect(failure(sql.open, "folder/").message).to.match("names a folder")
    expect(failure(sql.open, "shop.db", { timeot = 1 })).to.match("unknown option \"timeot\"")
    expect(failure(function() sql.open("nowhere/shop.db"):query("SELECT 1") end).message).to.match("its folder: No such file")
  end)
end)

describe("sql servers", function()
  it("are not there in virtual time", function()
    local err = failure(sql.open, "postgres://ann:verysecret@127.0.0.1/shop")
    expect(err.kind).to.equal("denied")
    expect(err.message).to.match("may not use postgres://127.0.0.1:5432/shop")
  end)
end)

describe("sql transactions", function()
  it("count as a whole", function()
    local db = shop()
    local a, b = db:transaction(function(tx)
      tx:exec("INSERT INTO customer(email) VALUES('a')")
      db:exec("INSERT INTO customer(email) VALUES('b')")
      expect(count(db)).to.equal(2)
      return "x", nil
    end)
    expect({ a, b }).to.equal({ "x" })
    expect(count(db)).to.equal(2)
  end)

  it("leave nothing when they fail", function()
    local db = shop()
    local err = failure(db.transaction, db, function()
      db:exec("INSERT INTO customer(email) VALUES('a')")
      error("no", 0)
    end)
    expect(err).to.equal("no")
    expect(count(db)).to.equal(0)
    expect(db:transaction(function() return count(db) end)).to.equal(0)
  end)

  it("may fail inside of one another", function()
    local db = shop()
    db:transaction(function()
      db:exec("INSERT INTO customer(email) VALUES('outer')")
      local err = failure(db.transaction, db, function()
        db:exec("INSERT INTO customer(email) VALUES('inner')")
        db:transaction(function() db:exec("INSERT INTO customer(email) VALUES('innermost')") end)
        db:exec("INSERT INTO customer(email) VALUES('outer')")
      end)
      expect(err.category).to.equal("unique")
      db:transaction(function() db:exec("INSERT INTO customer(email) VALUES('second')") end)
    end)
    expect(db:query("SELECT email FROM customer ORDER BY id")).to.equal({ { email = "outer" }, { email = "second" } })
  end)

  it("keep other tasks out, and let their own in", function()
    local db = shop()
    local order = {}
    task.all {
      function()
        db:transaction(function()
          db:exec("INSERT INTO customer(email) VALUES('a')")
          task.sleep("10s")
          task.all { function() db:exec("INSERT INTO customer(email) VALUES('child')") end }
          order[#order + 1] = "first"
        end)
      end,
      function()
        task.sleep("1s")
        local n = count(db)
        order[#order + 1] = ("second sees %d"):format(n)
      end,
    }
    expect(order).to.equal({ "first", "second sees 2" })
  end)

  it("take in no statement that comes too late", function()
    local db = shop()
    local err
    db:transaction(function()
      task.spawn(function() err = failure(db.exec, db, "INSERT INTO customer(email) VALUES('late')") end)
    end)
    task.sleep(1)
    expect(err.category).to.equal("transaction")
    expect(count(db)).to.equal(0)
  end)

  it("are waited for no longer than the timeout", function()
    local db = shop()
    local waited = sql.open("shop.db", { timeout = "5s" })
    task.spawn(function() db:transaction(function() task.sleep("1h") end) end)
    task.sleep(1)
    local begun = time.now()
    local err = failure(waited.query, waited, "SELECT 1")
    expect(err.category).to.equal("timeout")
    expect(err.retryable).to.equal(true)
    expect(err.message).to.match("no connection became free within 5 s")
    expect(time.now() - begun).to.equal(5000)
  end)

  it("end with their task, however that ends", function()
    local db = shop()
    local function dies(how)
      local ok = pcall(function()
        task.timeout("2s", function()
          db:transaction(function()
            db:exec("INSERT INTO customer(email) VALUES('lost')")
            how()
          end)
        end)
      end)
      expect(ok).to.equal(false)
      expect(count(db)).to.equal(0)
    end
    dies(function() task.sleep("1h") end)
    dies(function() error("no") end)
    dies(function() db:query("SELECT * FROM nothing") end)
    dies(function() table.sort({ 1, 2, 3 }, function() while true do string.rep("x", 10) end end) end)
  end)

  it("read what they have written, also page by page", function()
    local db = shop()
    db:transaction(function()
      for i = 1, 700 do db:exec("INSERT INTO customer(email) VALUES(?)", "c" .. i) end
      local seen = 0
      for row in db:rows("SELECT id FROM customer ORDER BY id") do
        seen = seen + 1
        db:exec("UPDATE customer SET spent = 1 WHERE id = ?", row.id)
      end
      expect(seen).to.equal(700)
    end)
    expect(db:query("SELECT count(*) AS n FROM customer WHERE spent = 1")[1].n).to.equal(700)
    local stale
    db:transaction(function() stale = db:rows("SELECT id FROM customer") end)
    for _ = 1, 500 do stale() end
    expect(failure(stale).message).to.match("over")
  end)

  it("take few connections however many ask", function()
    local db = shop()
    local jobs = {}
    for i = 1, 200 do
      jobs[i] = function()
        db:transaction(function()
          local n = count(db)
          task.sleep(0.01)
          db:exec("INSERT INTO customer(id, email) VALUES(?, ?)", n + 1, "c" .. i)
        end)
      end
    end
    task.all(jobs)
    expect(count(db)).to.equal(200)
  end)
end)
