local sync = require "sync"

local LEADS = "E-Mail,Name,Score\nAnn@Example.com,Ann,1\nbo@example.com,Bo,2.50\n"

local result = require "sync.result"

local n = 0
local function fresh(given)
  n = n + 1
  return sync.mapping("leads " .. n, given)
end

local function leads(more)
  local given = { from = sync.csv "leads.csv", to = sync.hubspot "contacts", quarantine = "bad/leads.csv", fields = {
    { from = "E-Mail", to = "email", type = "email", key = true },
    { from = "Name", to = "lastname" },
    { from = "Score", to = "hs_analytics_num_visits", type = "number" },
  } }
  given.fields[3].to = "numemployees"
  for key, value in pairs(more or {}) do given[key] = value end
  return fresh(given)
end

local function contacts()
  local out = {}
  for _, record in ipairs(sim.control("list", { type = "contacts" }).results) do out[record.properties.email] = record end
  return out
end

describe("sync from CSV to HubSpot", function()
  it("creates, and the second time finds nothing to do", function()
    fs.write("leads.csv", LEADS)
    local m = leads()
    local first = m:run()
    expect({ first.read, first.created, first.updated, first.bad }).to.equal { 2, 2, 0, 0 }
    expect(contacts()["ann@example.com"].properties.lastname).to.equal("Ann")
    local before = sim.writes()
    local second = m:run()
    expect({ second.read, second.created, second.updated, second.unchanged }).to.equal { 2, 0, 0, 2 }
    expect(sim.writes()).to.equal(before)
  end)

  it("shows the difference in a dry run, and writes nothing", function()
    fs.write("leads.csv", LEADS)
    sim.create("contacts", { email = "bo@example.com", lastname = "Old", numemployees = "2.5" })
    local m = leads()
    local would = m:run { dry_run = true }
    expect(would.changes).to.equal(json.array {
      { action = "create", on = "right", key = "ann@example.com", fields = { email = { to = "ann@example.com" },
        lastname = { to = "Ann" }, numemployees = { to = "1" } } },
      { action = "update", on = "right", key = "bo@example.com", fields = { lastname = { from = "Old", to = "Bo" } } } })
    expect(would:text()).to.contain("dry run, nothing is written: 2 read, 1 created, 1 updated")
    expect(would:text()).to.match("update +right +bo@example.com +lastname +Old +Bo")
    expect(json.decode(json.encode(would)).created).to.equal(1)
    expect(sim.writes()).to.equal(0)
    expect(m.state:get "cursor").to.be_nil()
  end)

  it("keeps bad rows apart with the reason, and takes them back when they are corrected", function()
    fs.write("leads.csv", "E-Mail,Name,Score\nann@example.com,Ann,many\nno address,Bo,2\ntoo,few\ncy@example.com,Cy,3\n")
    local m = leads()
    local first = m:run()
    expect({ first.created, first.bad }).to.equal { 1, 3 }
    local file = fs.read("bad/leads.csv")
    expect(file).to.contain('numemployees: ""many"" is no number')
    expect(file).to.contain('email: ""no address"" is no email')
    expect(file).to.contain("line 4")
    fs.write("bad/leads.csv", (file:gsub("many", "4"):gsub("no address", "bo@example.com")))
    local again = m:retry_quarantine()
    expect({ again.created, again.bad }).to.equal { 2, 1 }
    expect(contacts()["ann@example.com"].properties.numemployees).to.equal("4")
    expect(#m:quarantined()).to.equal(1)
    local rest = fs.read("bad/leads.csv")
    expect(rest).to_not.contain("ann@example.com")
    expect(rest).to.contain("line 4")
  end)

  it("keeps rows that are not UTF-8 apart, and says how to read them", function()
    fs.write("leads.csv", "E-Mail,Name,Score\nann@example.com,M\xfcller,1\nbo@example.com,Bo,2\n")
    local first = leads():run()
    expect({ first.created, first.bad }).to.equal { 1, 1 }
    expect(first.bad_rows[1].reason).to.contain('not UTF-8; say which encoding the file has, such as encoding = "windows-1252"')
    expect(fs.read "bad/leads.csv").to.contain("ann@example.com,Müller,1")
  end)

  it("deletes nothing because a file is empty", function()
    fs.write("leads.csv", LEADS)
    local given = { from = sync.csv "leads.csv", to = sync.hubspot "contacts", deletes = "follow", fields = {
      { "E-Mail", to = "email", key = true }, { "Name", to = "lastname" } } }
    local m = sync.mapping("followed", given)
    local before = m:run().created
    fs.write("leads.csv", "")
    expect(function() m:run() end).to.raise('leads.csv is empty: it has no header with "E%-Mail"')
    expect(#sim.control("list", { type = "contacts" }).results).to.equal(before)
    fs.write("leads.csv", "E-Mail,E-Mail\n")
    expect(function() m:run() end).to.raise('leads.csv: line 1: the header has "E%-Mail" twice')
  end)

  it("puts what HubSpot refuses into the quarantine, and a corrected source clears it", function()
    sim.control("validate", { type = "contacts", property = "lastname", rule = "MAX_LENGTH", arguments = { "3" } })
    fs.write("leads.csv", "E-Mail,Name,Score\nann@example.com,Annabelle,1\nbo@example.com,Bo,2\n")
    local m = leads()
    local first = m:run()
    expect({ first.created, first.bad }).to.equal { 1, 1 }
    expect(m:quarantined()[1].id).to.equal("ann@example.com")
    fs.write("leads.csv", LEADS)
    expect(m:run().created).to.equal(1)
    expect(m:quarantined()).to.have_length(0)
  end)

  it("goes on in the middle after a crash, and not into another file", function()
    local rows = { "E-Mail,Name,Score" }
    for i = 1, 60 do rows[#rows + 1] = ("p%d@example.com,P%d,%d"):format(i, i, i) end
    fs.write("leads.csv", table.concat(rows, "\n") .. "\n")
    local m = leads { page = 10 }
    local writer = m.def.right.write
    local pages = 0
    m.def.right.write = function(ops)
      pages = pages + 1
      if pages == 4 then error("the power failed", 0) end
      return writer(ops)
    end
    expect(function() m:run() end).to.raise("the power failed")
    m.def.right.write = writer
    local second = m:run()
    expect({ second.read, second.created }).to.equal { 30, 30 }
    expect(sim.control("list", { type = "contacts" }).total).to.equal(60)
    pages = 0
    m.def.right.write = function(ops)
      pages = pages + 1
      if pages == 1 then error("again", 0) end
      return writer(ops)
    end
    rows[12] = "p11@example.com,New,11"
    fs.write("leads.csv", table.concat(rows, "\n") .. "\n")
    expect(function() m:run() end).to.raise("again")
    rows[11] = "p10@example.com,Other,10"
    fs.write("leads.csv", table.concat(rows, "\n") .. "\n")
    m.def.right.write = writer
    local third = m:run()
    expect({ third.read, third.updated }).to.equal { 60, 2 }
  end)
end)

describe("sync by a property that is not unique", function()
  it("finds the records by a search, and leaves alone what is there twice", function()
    local rows = { "domain,name" }
    for i = 1, 120 do rows[#rows + 1] = ("a-rather-long-name-of-a-firm-%03d.example.com,Firm %d"):format(i, i) end
    sim.create("companies", { domain = "a-rather-long-name-of-a-firm-007.example.com", name = "Seven" })
    for _ = 1, 2 do sim.create("companies", { domain = "a-rather-long-name-of-a-firm-008.example.com", name = "Eight" }) end
    task.sleep(60)
    local m = fresh { from = sync.csv(table.concat(rows, "\n")), to = sync.hubspot "companies",
      fields = { { "domain", key = true }, "name" } }
    local r = m:run()
    expect({ r.created, r.updated, r.bad }).to.equal { 118, 1, 1 }
    expect(r.bad_rows[1].reason).to.match "2 records of HubSpot companies have this key: "
    task.sleep(60)
    expect(m:run().unchanged).to.equal(119)
  end)
end)

describe("sync from HubSpot to a file", function()
  it("writes it whole, and a dry run compares it", function()
    sim.create("contacts", { email = "bo@example.com", lastname = "Bo", numemployees = "7" })
    sim.create("contacts", { email = "ann@example.com", lastname = "O\"Hara, Ann" })
    local m = fresh { from = sync.hubspot "contacts", to = sync.csv "out/people.csv", fields = {
      { from = "email", to = "mail", key = true }, { from = "lastname", to = "name" },
      { from = "numemployees", to = "size", type = "integer" } } }
    expect(m:run { dry_run = true }.created).to.equal(2)
    expect(function() fs.read("out/people.csv") end).to.raise("No such file")
    expect(m:run().created).to.equal(2)
    expect(fs.read("out/people.csv")).to.equal('mail,name,size\nbo@example.com,Bo,7\nann@example.com,"O""Hara, Ann",\n')
    expect(m:run { dry_run = true }.unchanged).to.equal(2)
  end)

  it("writes JSON lines, which are read back", function()
    sim.create("contacts", { email = "bo@example.com", numemployees = "7" })
    fresh { from = sync.hubspot "contacts", to = sync.jsonl "people.jsonl", fields = {
      { from = "email", to = "email", key = true }, { from = "numemployees", to = "size", type = "integer" } } }:run()
    expect(json.decode(fs.read("people.jsonl"))).to.equal { email = "bo@example.com", size = 7 }
    fs.write("people.jsonl", '{"email":"bo@example.com","size":8}\n\nnonsense\n')
    local m = fresh { from = sync.jsonl "people.jsonl", to = sync.hubspot "contacts", fields = {
      { "email", key = true }, { from = "size", to = "numemployees", type = "integer" } } }
    local r = m:run()
    expect({ r.updated, r.bad }).to.equal { 1, 1 }
    expect(m:quarantined()[1].reason).to.equal("the line is no JSON object")
    expect(contacts()["bo@example.com"].properties.numemployees).to.equal("8")
  end)
end)

describe("a mapping that cannot work", function()
  local function says(given, text) expect(function() fresh(given) end).to.raise(text) end
  local csv_in, crm = sync.csv "a.csv", sync.hubspot "contacts"

  it("says so in one line when it is declared", function()
    local email = { "email", key = true }
    says({ to = crm, fields = { email } }, 'from must be a source')
    says({ from = csv_in, to = crm, fields = {} }, "fields must be a list")
    says({ from = csv_in, to = crm, fields = { "email" } }, "no field has key = true")
    says({ from = csv_in, to = crm, fields = { email, { "phone", key = true } } },
      'two fields are keys: "email" and "phone"')
    says({ from = csv_in, to = crm, fields = { email, { from = "b", to = "email" } } },
      'two fields are mapped to "email" of HubSpot contacts')
    says({ from = csv_in, to = crm, fields = { { "email", key = true, type = "emial" } } },
      'unknown type "emial"; did you mean "email"?')
    says({ from = csv_in, to = crm, fields = { { "email", key = true, conflict = "never" } } }, 'unknown conflict policy "never"')
    says({ from = csv_in, to = crm, fields = { email }, confict = "ask" }, 'unknown option "confict"; did you mean "conflict"?')
    says({ from = csv_in, to = crm, fields = { { "email", key = true, tranform = tostring } } },
      'did you mean "transform"?')
    says({ from = csv_in, to = crm, fields = { email, { "phone", type = "phone", country = "Deutschlnd" } } },
      'field "phone": country: "Deutschlnd" is no country')
    says({ from = csv_in, to = crm, fields = { email }, mode = "insert" }, 'unknown mode "insert"')
    says({ from = csv_in, to = crm, fields = { email }, quarantine = "bad" }, "quarantine must be a file")
    says({ left = csv_in, right = crm, fields = { email } }, "a.csv cannot be one side of a two%-way sync")
  end)

  it("names a property or a column that is not there when it runs", function()
    fs.write("leads.csv", LEADS)
    local m = leads { fields = { { from = "E-Mail", to = "emial", key = true } } }
    expect(function() m:run() end).to.raise('HubSpot contacts have no property "emial"; did you mean "email"?')
    m = leads { fields = { { from = "Email", to = "email", key = true } } }
    expect(function() m:run() end).to.raise('leads.csv has no column "Email"; did you mean "E%-Mail"?')
    m = leads { fields = { { from = "E-Mail", to = "email", key = true }, { from = "Name", to = "createdate" } } }
    expect(function() m:run() end).to.raise('the property "createdate" is read only')
  end)
end)

describe("progress", function()
  it("tells rows, their rate, and the time that is left", function()
    expect(result.progress_line("leads", 1234, nil, 2000)).to.equal("leads: 1,234 rows, 617/s")
    expect(result.progress_line("leads", 250000, 0.25, 10000)).to.equal("leads: 250,000 rows, 25,000/s, 25 %, 30 s left")
    expect(result.progress_line("leads", 1000, 0.01, 120000)).to.equal("leads: 1,000 rows, 8/s, 1 %, 3.3 h left")
    expect(result.progress_line("leads", 1000, 0.1, 600000)).to.equal("leads: 1,000 rows, 1/s, 10 %, 1.5 h left")
  end)

  it("knows how much HubSpot has", function()
    for i = 1, 5 do sim.create("contacts", { email = ("p%d@example.com"):format(i) }) end
    task.sleep(60)
    local side, shares, cursor = sync.hubspot "contacts", {}, nil
    for page in side.changes(nil, { "email" }, { size = 2, total = true }) do
      shares[#shares + 1] = page.share
      cursor = page.cursor
    end
    expect(shares).to.equal { 0.4, 0.8, 1.0 }
    shares = {}
    for page in side.changes({ since = cursor.since - 3600000 }, { "email" }, { size = 4, total = true }) do
      shares[#shares + 1] = page.share
    end
    expect(shares).to.equal { 0.8, 1.0 }
  end)
end)
