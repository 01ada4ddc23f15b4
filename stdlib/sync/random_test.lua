-- Two sides, a HubSpot account and a table, are edited at random while the sync runs, is killed at random moments, and
-- sees the same thing more than once. In the end both sides hold the same. --seed N: other 50 interleavings than
-- usual; tests/integration/sync.test.mjs runs 1,000 of them with HL_LONG=1.
local sync = require "sync"

local NAMES = { "a", "b", "c", "d", "e", "f" }

local function random_of(seed)
  local x = seed * 7919 + 17
  return function(n)
    x = (x * 1103515245 + 12345) % 2147483648
    return (x >> 8) % n + 1
  end
end

local function people(db)
  local out = {}
  for _, row in ipairs(db:query "SELECT mail, name, phone, size FROM people") do
    out[#out + 1] = ("%s|%s|%s|%s"):format(row.mail, row.name or "", row.phone or "", row.size or "")
  end
  table.sort(out)
  return out
end

local function contacts(all)
  local out = {}
  for _, record in ipairs(all) do
    local p = record.properties
    out[#out + 1] = ("%s|%s|%s|%s"):format(p.email, p.lastname or "", p.phone or "", p.numemployees or "")
  end
  table.sort(out)
  return out
end

local function all_contacts() return sim.control("list", { type = "contacts", limit = 1000 }).results end

-- One interleaving; returns what happened, for the message of a failure.
local function interleave(seed, counts)
  local random, said = random_of(seed), {}
  local db = sql.open(("r%d.db"):format(seed))
  db:exec [[CREATE TABLE people(id INTEGER PRIMARY KEY, mail TEXT, name TEXT, phone TEXT, size INTEGER, changed INTEGER)]]
  for _, record in ipairs(all_contacts()) do sim.control("delete", { type = "contacts", id = record.id }) end
  local policies = { "newest", "left", "right" }
  local m = sync.mapping("random " .. seed, {
    left = sync.hubspot "contacts", right = sync.sql(db, "people", { id = "id", modified = "changed" }), deletes = "follow",
    page = random(4) + 1,
    fields = {
      { left = "email", right = "mail", type = "email", key = true, conflict = policies[random(3)] },
      { left = "lastname", right = "name", conflict = policies[random(3)] },
      { left = "phone", right = "phone", conflict = policies[random(3)] },
      { left = "numemployees", right = "size", type = "integer", conflict = policies[random(3)] },
    } })

  local function note(...) said[#said + 1] = ("%.1f "):format(time.now() % 1e7 / 1000) .. table.concat({ ... }, " ") end
  local function address() return NAMES[random(#NAMES)] .. "@example.com" end
  local function value() return "v" .. random(50) end

  local function edit_left()
    local all = all_contacts()
    local one, what = all[random(math.max(1, #all))], random(12)
    if what <= 3 or not one then
      local mail = address()
      if pcall(sim.create, "contacts", { email = mail, lastname = value() }) then note("left: new", mail) end
    elseif what <= 8 then
      local name = ({ "lastname", "phone", "numemployees" })[random(3)]
      local v = name == "numemployees" and tostring(random(9)) or random(5) == 1 and "" or value()
      note("left:", one.id, name, "=", v)
      sim.update("contacts", one.id, { [name] = v })
    elseif what == 9 then
      local mail = address()
      if pcall(sim.update, "contacts", one.id, { email = mail }) then note("left:", one.id, "is", mail) end
    elseif what == 10 then
      note("left: delete", one.id)
      sim.control("delete", { type = "contacts", id = one.id })
    else
      local two = all[random(#all)]
      if two.id ~= one.id then
        note("left: merge", one.id, two.id)
        sim.control("merge", { type = "contacts", primary = one.id, other = two.id })
        counts.merges = counts.merges + 1
      end
    end
  end

  local function edit_right()
    local all = db:query "SELECT id FROM people ORDER BY id"
    local one, what = all[random(math.max(1, #all))], random(11)
    if what <= 3 or not one then
      local mail = address()
      if what == 1 and one then counts.duplicates = counts.duplicates + 1 end
      note("right: new", mail)
      db:exec("INSERT INTO people(mail, name, changed) VALUES(?, ?, ?)", mail, value(), time.now())
    elseif what <= 8 then
      local name = ({ "name", "phone", "size" })[random(3)]
      local v = name == "size" and random(9) or random(5) == 1 and json.null or value()
      note("right:", one.id, name, "=", tostring(v))
      db:exec(("UPDATE people SET %s = ?, changed = ? WHERE id = ?"):format(name), v, time.now(), one.id)
    elseif what == 9 then
      local mail = address()
      note("right:", one.id, "is", mail)
      db:exec("UPDATE people SET mail = ?, changed = ? WHERE id = ?", mail, time.now(), one.id)
    else
      note("right: delete", one.id)
      db:exec("DELETE FROM people WHERE id = ?", one.id)
    end
  end

  -- The run, killed after some time or let finish; what fails is told, and the next run goes on.
  local function run(kill_after)
    local handle = task.spawn(function()
      local ok, why = pcall(m.run, m, { progress = false })
      note("run:", ok and why:text() .. json.encode(why.changes) or tostring(why))
    end)
    return handle, function()
      if kill_after then
        task.sleep(kill_after)
        if not handle:done() then
          note("killed")
          handle:cancel()
          counts.crashes = counts.crashes + 1
        end
      end
      pcall(handle.wait, handle)
    end
  end

  for _ = 1, 3 + random(4) do
    for _ = 1, random(4) do
      if random(2) == 1 then edit_left() else edit_right() end
      counts.edits = counts.edits + 1
      if random(3) == 1 then task.sleep(random(20) / 10) end
    end
    local _, finish = run(random(2) == 1 and random(110) / 250 or nil)
    for _ = 1, random(3) - 1 do
      task.sleep(random(100) / 250)
      if random(2) == 1 then edit_left() else edit_right() end
      counts.edits = counts.edits + 1
    end
    finish()
  end

  -- Rest: nobody edits. A person sees to what is in quarantine: deletes a duplicate in the table, and gives another
  -- address to one that HubSpot refused, because somebody has it there.
  local calm
  for round = 1, 12 do
    task.sleep(150)
    local result = m:run { progress = false }
    note("rest:", result:text(), json.encode(result.changes))
    for _, entry in ipairs(m:quarantined()) do
      if entry.side == "right" then
        note("right: a person sees to", entry.source, entry.reason)
        if entry.duplicate then db:exec("DELETE FROM people WHERE id = ?", entry.source)
        else
          local mail = ("z%d@example.com"):format(round)
          db:exec("UPDATE people SET mail = ?, changed = ? WHERE id = ?", mail, time.now(), entry.source)
        end
        counts.by_hand = counts.by_hand + 1
        result.bad = result.bad + 1
      end
    end
    calm = result.created + result.updated + result.deleted + result.merged + result.bad == 0
    if calm and round > 1 then break end
  end
  local left, right = contacts(all_contacts()), people(db)
  db:close()
  return table.concat(left, "\n") == table.concat(right, "\n") and calm, said, left, right
end

describe("two-way, at random", function()
  local first = math.random(1 << 30)
  local last = first + 49
  it("ends with both sides equal", function()
    sim.start { lag_ms = 3000, latency_ms = 40 }
    local counts, equal = { edits = 0, crashes = 0, merges = 0, duplicates = 0, by_hand = 0 }, 0
    for seed = first, last do
      local same, said, left, right = interleave(seed, counts)
      if not same then
        error(("seed %d: the sides differ\nleft:\n%s\nright:\n%s\n%s"):format(seed, table.concat(left, "\n"), table.concat(right, "\n"),
          table.concat(said, "\n")), 0)
      end
      equal = equal + 1
    end
    log.info(("%d interleavings, both sides equal in %d: %d edits, %d crashes, %d merges, %d duplicates, "
      .. "%d rows seen to by a person"):format(last - first + 1, equal,
      counts.edits, counts.crashes, counts.merges, counts.duplicates, counts.by_hand))
    expect(equal).to.equal(last - first + 1)
  end)
end)
