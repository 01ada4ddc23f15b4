-- The people and firms of a simulated account: seeded, so the same options give the
-- same account on every machine. Plausible rather than uniform: few countries have
-- most of the leads, most companies are small, some records are duplicates, dirty or
-- half empty. The owners are a fixed list, so that scripts can name them.
local U = require "sim.util"

local N = {}

local DAY = 86400000

-- The first twelve are the default account's owners; the last of them is a shared desk.
N.OWNERS = {
  { "Anna", "Weber" }, { "Jonas", "Becker" }, { "Lena", "Huber" }, { "Oliver", "Smith" }, { "Freya", "Nilsson" },
  { "Aoife", "Murphy" }, { "Grace", "Miller" }, { "Carlos", "Garcia" }, { "Maya", "Johnson" }, { "Priya", "Sharma" },
  { "Kenji", "Tanaka" }, { "Sales", "Desk", "desk" },
}
local MORE_FIRST = { "Chloe", "Marco", "Ines", "Piotr", "Sofia", "Liam", "Noor", "Tomas", "Elif", "Hugo", "Mei", "Ravi" }
local MORE_LAST = { "Martin", "Rossi", "Silva", "Nowak", "Costa", "Walsh", "Haddad", "Novak", "Kaya", "Dubois", "Chen", "Patel" }

---The owners of an account, as { id, email, firstName, lastName, … } in order.
function N.owners(count)
  local out = {}
  for i = 1, count do
    local first, last, mailbox
    local o = N.OWNERS[i]
    if o then
      first, last, mailbox = o[1], o[2], o[3]
    else
      local k = i - #N.OWNERS - 1
      first = MORE_FIRST[k % #MORE_FIRST + 1]
      last = MORE_LAST[(k + k // #MORE_FIRST) % #MORE_LAST + 1]
      if k >= #MORE_FIRST * #MORE_LAST then last = last .. tostring(k) end
    end
    out[i] = {
      id = tostring(70000000 + i * 17), userId = 9000000 + i, firstName = first, lastName = last,
      email = (mailbox or (first .. "." .. last):lower()) .. "@example.com",
    }
  end
  return out
end

-- country, weight, domain ending, city, first names, last names
local COUNTRIES = {
  { { "United States", ".com", "Boston" }, 34 }, { { "Germany", ".de", "Berlin" }, 16 }, { { "United Kingdom", ".co.uk", "London" }, 12 },
  { { "France", ".fr", "Lyon" }, 7 }, { { "Canada", ".ca", "Toronto" }, 5 }, { { "Netherlands", ".nl", "Utrecht" }, 4 },
  { { "Austria", ".at", "Vienna" }, 3 }, { { "Switzerland", ".ch", "Zurich" }, 3 }, { { "Sweden", ".se", "Malmo" }, 3 },
  { { "Ireland", ".ie", "Dublin" }, 2 }, { { "Spain", ".es", "Madrid" }, 3 }, { { "Brazil", ".com.br", "Recife" }, 2 },
  { { "India", ".in", "Pune" }, 3 }, { { "Australia", ".com.au", "Perth" }, 2 }, { { "Japan", ".jp", "Osaka" }, 1 },
  { { "Denmark", ".dk", "Aarhus" }, 1 }, { { "Norway", ".no", "Bergen" }, 1 }, { { "Mexico", ".mx", "Puebla" }, 1 },
}
-- How people write a country when nobody checks.
local DIRTY = { ["United States"] = { "USA", "us", "U.S.", "United States of America" }, ["Germany"] = { "DE", "Deutschland", "germany " },
  ["United Kingdom"] = { "UK", "England", "GB" }, ["Austria"] = { "AT", "Oesterreich" }, ["Switzerland"] = { "CH", "Schweiz" },
  ["Netherlands"] = { "NL", "Holland" }, ["France"] = { "FR", "FRANCE" } }

local FIRST = { "Emma", "Liam", "Olivia", "Noah", "Ava", "Lucas", "Mia", "Elias", "Sophie", "Leon", "Hannah", "Finn", "Clara",
  "Paul", "Julia", "Max", "Laura", "Ben", "Sarah", "Tim", "Lea", "Jack", "Amelia", "Harry", "Isla", "George", "Louise", "Hugo",
  "Camille", "Arthur", "Sven", "Astrid", "Diego", "Lucia", "Mateo", "Ananya", "Arjun", "Yuki", "Haruto", "Zo\xC3\xAB",
  "Bj\xC3\xB6rn", "Ren\xC3\xA9e" }
local LAST = { "Smith", "Jones", "Taylor", "Brown", "M\xC3\xBCller", "Schmidt", "Schneider", "Fischer", "Meyer", "Wagner", "Martin",
  "Bernard", "Dubois", "Moreau", "Garcia", "Lopez", "Silva", "Santos", "Johansson", "Andersson", "Hansen", "Jensen", "de Vries",
  "Jansen", "O'Brien", "Kelly", "Walsh", "Patel", "Singh", "Kumar", "Sato", "Suzuki", "Williams", "Davis", "Wilson", "Clark",
  "Lewis", "Young", "King", "Wright" }
local STEM_A = { "Nord", "Blue", "Acme", "Prime", "Alpine", "Metro", "Solar", "Quantum", "Harbor", "Silver", "Vertex", "Lumen",
  "Delta", "Pioneer", "Cedar", "Iron", "Bright", "Summit", "River", "Atlas", "Orbit", "Falcon", "Maple", "Granite", "Coral",
  "Ember", "Nova", "Polar", "Rapid", "Terra" }
local STEM_B = { "soft", "works", "tech", "logistics", "foods", "labs", "media", "systems", "motors", "health", "energy", "retail", "build",
  "consult", "data", "pharma", "finance", "travel", "design", "robotics" }
local LEGAL = { { "", 40 }, { " Inc.", 18 }, { " GmbH", 14 }, { " Ltd", 12 }, { " LLC", 8 }, { " AG", 4 }, { " B.V.", 2 }, { " SAS", 2 } }
local FREE = { "gmail.com", "outlook.com", "yahoo.com", "gmx.de", "web.de", "hotmail.com", "icloud.com", "proton.me", "orange.fr" }
local TITLES = { "CEO", "Head of Sales", "Marketing Manager", "Operations Lead", "CTO", "Buyer", "Consultant", "Account Executive",
  "Office Manager", "Developer" }
local INDUSTRIES = { "COMPUTER_SOFTWARE", "INFORMATION_TECHNOLOGY_AND_SERVICES", "FINANCIAL_SERVICES", "HOSPITAL_HEALTH_CARE", "RETAIL",
  "CONSTRUCTION", "MACHINERY", "MARKETING_AND_ADVERTISING", "LOGISTICS_AND_SUPPLY_CHAIN", "FOOD_BEVERAGES" }
-- Employees: a long tail.
local SIZES = { { { 1, 10 }, 46 }, { { 11, 50 }, 28 }, { { 51, 200 }, 14 }, { { 201, 1000 }, 8 }, { { 1001, 10000 }, 3 },
  { { 10001, 90000 }, 1 } }
local STAGES = { { "lead", 40 }, { "marketingqualifiedlead", 20 }, { "salesqualifiedlead", 10 }, { "opportunity", 8 },
  { "customer", 16 }, { "other", 6 } }

local ASCII = { ["\xC3\xBC"] = "ue", ["\xC3\xB6"] = "oe", ["\xC3\xAB"] = "e", ["\xC3\xA9"] = "e" }
local function mailbox(text)
  return (text:lower():gsub("[\xC3][\x80-\xBF]", ASCII):gsub("[^%w]", ""))
end

local PHONES = { "+1 617 555 %04d", "+49 30 5550%04d", "+44 20 7946 %04d", "(617) 555-%04d", "0049-30-5550%04d" }
local function phone(R) return R.pick(PHONES):format(R.int(0, 9999)) end

---Property tables of `count` companies. Some share a domain, lack one, or are spelt badly.
---@param owner fun(): string|nil picks one; about two thirds of the companies have it
function N.companies(R, count, owner)
  local out = {}
  for i = 1, count do
    local props = {}
    local earlier = i > 10 and R.chance(0.03) and out[R.int(1, i - 1)]
    if earlier then
      -- The same firm entered twice, in other words.
      props.name = (earlier.name or "Unknown"):upper()
      props.domain, props.country = earlier.domain, earlier.country
    else
      local place = R.weighted(COUNTRIES)
      local a, b = R.pick(STEM_A), R.pick(STEM_B)
      local number = i > #STEM_A * 8 and tostring(R.int(2, 99)) or ""
      props.name = a .. b .. (number ~= "" and " " .. number or "") .. R.weighted(LEGAL)
      if R.chance(0.93) then props.domain = (a .. b .. number):lower() .. place[2] end
      if R.chance(0.95) then props.country = place[1] end
      if R.chance(0.6) then props.city = place[3] end
    end
    local range = R.weighted(SIZES)
    if R.chance(0.85) then props.numberofemployees = R.int(range[1], range[2]) end
    if R.chance(0.7) then props.industry = R.pick(INDUSTRIES) end
    if R.chance(0.5) then props.annualrevenue = R.int(range[1], range[2]) * R.int(60, 240) * 1000 end
    if R.chance(0.4) then props.phone = phone(R) end
    props.lifecyclestage = R.weighted(STAGES)
    if R.chance(0.65) then props.hubspot_owner_id = owner() end
    out[i] = props
  end
  return out
end

---One lead: about half from a known company, a quarter with free mail, the rest of unknown firms.
---@param firms table list of { name, domain, country } of known companies; may be empty
---@param serial integer makes the e-mail unique
function N.lead(R, firms, serial)
  local props = {}
  local first, last = R.pick(FIRST), R.pick(LAST)
  local place = R.weighted(COUNTRIES)
  local country, company = place[1], nil
  local domain
  local kind = R.float()
  if kind < 0.5 and #firms > 0 then
    local firm = R.pick(firms)
    domain, company = firm.domain, firm.name
    country = firm.country or country
  elseif kind < 0.75 then
    domain = R.pick(FREE)
    if R.chance(0.3) then company = R.pick(STEM_A) .. R.pick(STEM_B) end
  else
    local stem = R.pick(STEM_A) .. R.pick(STEM_B)
    company = stem .. R.weighted(LEGAL)
    domain = stem:lower() .. "-group" .. place[2]
  end
  if R.chance(0.97) then props.firstname = R.chance(0.05) and first:lower() or first end
  if R.chance(0.95) then props.lastname = R.chance(0.05) and last:upper() or last end
  local address = mailbox(first) .. "." .. mailbox(last) .. serial .. "@" .. (domain or R.pick(FREE))
  if R.chance(0.04) then address = address:upper() end   -- stored in lower case all the same
  props.email = address
  if company and R.chance(0.8) then
    props.company = R.chance(0.1) and company:upper() or (R.chance(0.05) and " " .. company .. " " or company)
  end
  if R.chance(0.9) then
    local dirty = R.chance(0.15) and DIRTY[country]
    props.country = dirty and R.pick(dirty) or country
  end
  if R.chance(0.35) then props.phone = phone(R) end
  if R.chance(0.4) then props.jobtitle = R.pick(TITLES) end
  if R.chance(0.3) then props.city = place[3] end
  props.lifecyclestage = "lead"
  return props
end

local DEAL_STAGES = { { "appointmentscheduled", 30 }, { "qualifiedtobuy", 20 }, { "presentationscheduled", 14 },
  { "decisionmakerboughtin", 8 }, { "contractsent", 6 }, { "closedwon", 12 }, { "closedlost", 10 } }

---One deal; amounts have a long tail, some deals lack one or an owner.
---@param at integer epoch ms at which it was made: its close date lies after it, and before now when it is closed
function N.deal(R, firm, owner, serial, at, now)
  local props = {
    dealname = (firm and firm.name or R.pick(STEM_A) .. R.pick(STEM_B)) .. " - " ..
      R.pick { "New business", "Renewal", "Pilot", "Expansion" } .. " " .. serial,
    dealstage = R.weighted(DEAL_STAGES), dealtype = R.pick { "newbusiness", "newbusiness", "existingbusiness" },
  }
  if R.chance(0.9) then props.amount = math.floor(500 * 10 ^ (R.float() * 2.6)) end
  if R.chance(0.8) then
    local close = U.midnight(at) + R.int(5, 150) * DAY
    if props.dealstage:find("^closed") then close = math.min(close, U.midnight(now)) end
    props.closedate = U.iso(close)
  end
  if R.chance(0.85) then props.hubspot_owner_id = owner end
  return props
end

-- ---- contacts that have been in the account for a while ----

local LIFE = { { "subscriber", 18 }, { "lead", 36 }, { "marketingqualifiedlead", 14 }, { "salesqualifiedlead", 7 }, { "opportunity", 6 },
  { "customer", 15 }, { "evangelist", 1 }, { "other", 3 } }
local LEAD_STATUS = { { "NEW", 30 }, { "OPEN", 14 }, { "IN_PROGRESS", 10 }, { "ATTEMPTED_TO_CONTACT", 16 }, { "CONNECTED", 10 },
  { "UNQUALIFIED", 15 }, { "BAD_TIMING", 5 } }
local SOURCES = { { "ORGANIC_SEARCH", 28 }, { "DIRECT_TRAFFIC", 22 }, { "OFFLINE", 22 }, { "PAID_SEARCH", 9 }, { "REFERRALS", 8 },
  { "SOCIAL_MEDIA", 6 }, { "EMAIL_MARKETING", 5 } }
-- What is in every account: tests, keyboards, placeholders.
local JUNK = { { "Test", "Test" }, { "asdf", "asdf" }, { "-", "-" }, { "Unknown", "Unknown" }, { "info", nil } }
local TYPOS = { ["gmail.com"] = "gmial.com", ["outlook.com"] = "outlok.com", ["yahoo.com"] = "yaho.com", ["hotmail.com"] = "hotmial.com" }

-- A lead of long ago: most things are as when it came in, some have been filled in, and some people are there twice.
local function contact(S, R, earlier)
  S.serial = S.serial + 1
  local props
  if earlier and R.chance(0.03) then
    -- The same person once more, under another address.
    props = {}
    for _, name in ipairs { "firstname", "lastname", "company", "country", "phone", "jobtitle" } do props[name] = earlier[name] end
    props.email = mailbox(props.firstname or "info") .. S.serial .. "@" .. R.pick(FREE)
    if props.lastname and R.chance(0.4) then props.lastname = props.lastname:upper() end
  else
    props = N.lead(R, S.firms, S.serial)
  end
  if R.chance(0.005) then
    local junk = R.pick(JUNK)
    props.firstname, props.lastname = junk[1], junk[2]
  end
  local domain = props.email:match("@(.*)$")
  if TYPOS[domain] and R.chance(0.02) then props.email = props.email:gsub("@.*$", "@" .. TYPOS[domain]) end
  if props.phone and (props.firstname or props.lastname) and R.chance(0.08) then props.email = nil end   -- called, never wrote
  if props.firstname and R.chance(0.01) then props.firstname = props.firstname .. " " end
  if R.chance(0.97) then props.lifecyclestage = R.weighted(LIFE) else props.lifecyclestage = nil end
  if R.chance(0.35) then props.hs_lead_status = R.weighted(LEAD_STATUS) end
  return props
end

-- ---- the seeded account ----

local YEARS = 3 * 365 * DAY

-- When the i-th of n was made: the account has grown all the time.
local function moment(R, now, i, n) return now - math.floor(YEARS * (1 - math.sqrt((i - R.float()) / n))) end

-- Few have most of the work.
local function portfolio(owners)
  local out = {}
  for i, owner in ipairs(owners) do out[i] = { owner.id, 1 / (i + 1) } end
  return out
end

-- What a record has gone through since it was made, without events.
local function age(R, rec, now)
  local at = rec[2]
  if R.chance(0.7) then rec[4][1] = at + math.floor((now - at) * R.float() ^ 2) end
end

---A function that picks one of the account's owners, all alike.
function N.anyone(S)
  return function() return #S.owners > 0 and S.population.pick(S.owners).id or nil end
end

---The seeded account: owners, companies, contacts, deals, as they have come in over three years, linked as HubSpot
---links them; written without events or lag. Reports its progress to host.progress(done, total).
function N.seed(S)
  local o = S.options
  S.owners = N.owners(o.owners or 12)
  S.owners_by_id = {}
  for _, owner in ipairs(S.owners) do S.owners_by_id[owner.id] = owner end
  local R = U.rng(o.seed or 7)
  S.population = R
  S.firms, S.serial = {}, 0
  local lag, now, owners = S.lag, S.host.now(), portfolio(S.owners)
  S.lag = 0
  local done, total = 0, (o.companies or 0) + (o.contacts or 0) + (o.deals or 0)
  local source = { change = "IMPORT", id = "seed" }
  local function create(st, props, i, n)
    done = done + 1
    if S.host.progress and done % 1000 == 0 then S.host.progress(done, total) end
    source.at = moment(R, now, i, n)
    local rec = S.objects.create(S, st, props, source)
    if rec then age(R, rec, now) end
    return rec
  end
  local function owner() return #owners > 0 and R.weighted(owners) or nil end

  local firms = {}   -- domain -> company
  for i, props in ipairs(N.companies(R, o.companies or 0, owner)) do
    local rec = create(S.types.companies, props, i, o.companies)
    if rec and props.domain then
      S.firms[#S.firms + 1] = { name = props.name, domain = props.domain, country = props.country, rec = rec }
      firms[rec[4].domain] = firms[rec[4].domain] or rec
    end
  end
  local contacts, companies, earlier = S.types.contacts, S.types.companies, nil
  local buyers = {}   -- company id -> a contact
  for i = 1, o.contacts or 0 do
    local props = contact(S, R, earlier)
    if R.chance(0.7) then props.hubspot_owner_id = owner() end
    if not earlier or R.chance(0.2) then earlier = props end
    local rec = create(contacts, props, i, o.contacts)
    if rec then
      rec[4].hs_analytics_source = R.weighted(SOURCES)
      local firm = firms[rec[4].hs_email_domain or ""]
      if firm then
        S.associations.link(S, contacts, rec, companies, firm, {})
        buyers[firm[1]] = buyers[firm[1]] or rec
      end
    end
  end
  for i = 1, o.deals or 0 do
    local firm = #S.firms > 0 and R.pick(S.firms) or nil
    local at = moment(R, now, i, o.deals)
    local rec = create(S.types.deals, N.deal(R, firm, owner(), i, at, now), i, o.deals)
    if rec and firm then
      S.associations.link(S, S.types.deals, rec, companies, firm.rec, {})
      local buyer = buyers[firm.rec[1]]
      if buyer then S.associations.link(S, S.types.deals, rec, contacts, buyer, {}) end
    end
  end
  for _, firm in ipairs(S.firms) do firm.rec = nil end
  S.lag = lag
end

---The next lead of this account.
function N.next_lead(S)
  S.serial = S.serial + 1
  return N.lead(S.population, S.firms, S.serial)
end

return N
