-- contact_import.lua against the simulator, with the sample beside it and with files of the test's own.
local FILE, BAD = "lib/contact_import_sample.csv", "imports/contacts_bad.csv"
local HEADER = "Email,First Name,Last Name,Mobile,Country,Owner Email,Status,Created,Company\n"

local function start(text, options)
  options = options or {}
  sim.start { owners = 3 }
  fs.write(FILE, text)
  sim.load("contact_import.lua", { fs = { "lib", "imports" }, env = { DRY_RUN = options.dry_run or "no" } })
end


local function contacts()
  local hubspot, list, n = require "hubspot", {}, 0
  for record in hubspot.contacts.list { properties = { "email", "firstname", "lastname", "phone", "country", "lifecyclestage",
    "hubspot_owner_id", "closedate", "company" } } do
    list[record.properties.email or record.id], n = record.properties, n + 1
  end
  return list, n
end

local function people(n)
  local rows = { HEADER }
  for i = 1, n do rows[i + 1] = ("p%d@x.example,P%d,,,,,Open lead,,\n"):format(i, i) end
  return table.concat(rows)
end

local function bad_rows()
  local list = {}
  for row in csv.rows(BAD) do list[#list + 1] = row end
  return list
end

describe("contact import", function()
  it("brings what people type into one form", function()
    start(HEADER .. " Ada@Engine.Example ,Ada,Lovelace,020 7946 0018,UK,,Open lead,01.03.2025,\"Engine, Ltd\"\n"
      .. "gh@navy.example,Grace,Hopper,(212) 555-0142,,,CUSTOMER,31/12/2024,\n")
    sim.advance("16m")
    local list, n = contacts()
    expect(n).to.equal(2)
    local ada = list["ada@engine.example"]
    expect({ ada.firstname, ada.phone, ada.country, ada.lifecyclestage, ada.closedate:sub(1, 10), ada.company })
      .to.equal { "Ada", "+442079460018", "United Kingdom", "lead", "2025-03-01", "Engine, Ltd" }
    expect(list["gh@navy.example"].phone).to.equal("+12125550142")
    expect(list["gh@navy.example"].lifecyclestage).to.equal("customer")
    expect(pcall(fs.read, BAD)).to.be_false()
  end)

  it("finds owners by e-mail, and leaves an owner and a stage that are there", function()
    sim.start { owners = 3 }
    local owner, first
    for person in require "hubspot".owners.list() do owner, first = person, first or person.id end
    sim.create("contacts", { email = "old@x.example", lifecyclestage = "customer", hubspot_owner_id = first })
    fs.write(FILE, HEADER .. ("new@x.example,N,,,,%s,,,\nold@x.example,O,,,,%s,Open lead,,\nno@x.example,,,,,nobody@x.example,,,\n")
      :format(owner.email:upper(), owner.email))
    sim.load("contact_import.lua", { fs = { "lib", "imports" }, env = { "DRY_RUN" } })
    sim.advance("16m")
    local list = contacts()
    expect(list["new@x.example"].hubspot_owner_id).to.equal(owner.id)
    expect({ list["old@x.example"].firstname, list["old@x.example"].lifecyclestage, list["old@x.example"].hubspot_owner_id })
      .to.equal { "O", "customer", first }
    expect(list["no@x.example"]).to.be_nil()
    expect(bad_rows()[1]._reason).to.contain("nobody in HubSpot has the e-mail")
  end)

  it("keeps bad rows with their reasons, and takes them when they are corrected", function()
    start(HEADER .. "none,A,,,,,,,\nd@x.example,D,,,,,,31/02/2025,\np@x.example,P,,call me,,,,,\nc@x.example,C,,,Atlantis,,,,\n"
      .. "s@x.example,S,,,,,Whale,,\ntoo,many,columns,1,2,3,4,5,6,7,8\nok@x.example,OK,,,,,,,\n")
    sim.advance("16m")
    local list, n = contacts()
    expect(n).to.equal(1)
    expect(list["ok@x.example"].firstname).to.equal("OK")
    local bad = bad_rows()
    local said = {}
    for i, row in ipairs(bad) do said[i] = row._line .. " " .. row._reason end
    expect(#bad).to.equal(6)
    local all = table.concat(said, "\n")
    for _, reason in ipairs { "2 email:", "3 closedate:", '4 phone: "call me"', '5 country: "Atlantis"', '6 lifecyclestage:', "7 " } do
      expect(all).to.contain(reason)
    end
    fs.write(BAD, (fs.read(BAD):gsub("31/02/2025", "28/02/2025")))
    sim.advance("15m")
    expect(contacts()["d@x.example"].closedate:sub(1, 10)).to.equal("2025-02-28")
    expect(#bad_rows()).to.equal(5)
    local calls = #sim.calls()
    sim.advance("1h")                                     -- what nobody corrects is not tried again
    expect(#sim.calls()).to.equal(calls)
  end)

  it("makes no error of who is deleted in HubSpot meanwhile", function()
    start(people(3))
    sim.advance("16m")
    local id = {}
    for _, record in ipairs(sim.control("list", { type = "contacts" }).results) do id[record.properties.firstname] = record.id end
    sim.control("delete", { type = "contacts", id = id.P1 })
    fs.write(FILE, people(3):gsub(",P", ",Q"))
    sim.fail { path = "/contacts", latency_ms = 1000, times = 0 }
    sim.advance(14 * 60 + 2)
    sim.control("delete", { type = "contacts", id = id.P2 })
    sim.advance("1h")
    sim.fail {}
    local list, n = contacts()
    expect(n).to.equal(2)
    expect({ list["p1@x.example"].firstname, list["p3@x.example"].firstname }).to.equal { "Q1", "Q3" }     -- the file says so
    expect({ #bad_rows(), bad_rows()[1].Email }).to.equal { 1, "p2@x.example" }
    expect(bad_rows()[1]._reason).to.contain("404")       -- went between the look and the write: kept, not lost
    fs.write(BAD, fs.read(BAD) .. "\n")
    sim.advance("16m")
    expect(contacts()["p2@x.example"].firstname).to.equal("Q2")
    expect(#bad_rows()).to.equal(0)
    expect(sim.events().failed).to.equal(0)
  end)

  it("writes nothing the second time, and what differs in a new file", function()
    start(people(3))
    sim.advance("16m")
    local before = sim.writes()
    sim.advance("1h")
    expect(sim.writes()).to.equal(before)
    fs.write(FILE, people(3) .. "p2@x.example,Two,,,,,Open lead,,\n")
    sim.advance("15m")
    local list, n = contacts()
    expect(n).to.equal(3)
    expect(list["p2@x.example"].firstname).to.equal("Two")
    expect(sim.writes()).to.equal(before + 1)
  end)

  it("writes nothing in a dry run, after which the file is still to be imported", function()
    start(people(3) .. "none,A,,,,,,,\n", { dry_run = "yes" })
    sim.advance("1h")
    local _, n = contacts()
    expect(n).to.equal(0)
    expect(sim.writes()).to.equal(0)
    expect(pcall(fs.read, BAD)).to.be_false()
    expect(sim.kv("contact_import.lua").get("seen")).to.be_nil()
  end)

  it("gets through a storm of 429s", function()
    start(people(150))
    sim.fail { status = 429, times = 25 }
    sim.fail { status = 429, path = "/batch/", times = 15 }
    sim.advance("2h")
    local _, n = contacts()
    expect(n).to.equal(150)
    expect(sim.control("stats").limited).to.equal(40)
    expect(sim.writes()).to.equal(2)
    expect(pcall(fs.read, BAD)).to.be_false()
  end)

  it("goes on behind the last page when it was cut off", function()
    start(people(250))
    sim.fail { path = "/contacts", latency_ms = 1000, times = 0 }
    sim.advance(15 * 60 + 2.5)                            -- the first page is written, the second one is looked for
    sim.fail {}
    sim.fail { path = "/contacts", status = 500, times = 2 }
    sim.advance("3h")
    local list, n = contacts()
    expect(n).to.equal(250)
    expect(list["p250@x.example"].firstname).to.equal("P250")
    expect(sim.events().failed).to.be_at_least(1)
    expect(sim.writes()).to.equal(3)                          -- a page each
    expect(pcall(fs.read, BAD)).to.be_false()
  end)

  it("waits for a file that is not there", function()
    sim.start {}
    sim.load("contact_import.lua", { fs = { "lib", "imports" }, env = { "DRY_RUN" } })
    sim.advance("1h")
    expect(sim.log()).to_not.contain("failed")
    expect(select(2, sim.log():gsub("waits for the file " .. FILE, ""))).to.equal(1)
    fs.write(FILE, people(1))
    sim.advance("16m")
    local _, n = contacts()
    expect(n).to.equal(1)
  end)

  it("goes on after a crash behind a page, and writes nobody twice", function()
    start(people(250))
    sim.crash { method = "POST", path = "/batch/", call = 2 }
    sim.advance("20m")
    sim.restart()
    sim.advance("1h")
    local list, n = contacts()
    expect(n).to.equal(250)
    expect(list["p250@x.example"].firstname).to.equal("P250")
    expect(sim.writes()).to.equal(3)
    expect(pcall(fs.read, BAD)).to.be_false()
    expect(sim.events().dead).to.equal(0)
    sim.advance("1h")
    expect(sim.writes()).to.equal(3)
  end)
end)
