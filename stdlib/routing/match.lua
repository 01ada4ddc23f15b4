--- Which company a lead belongs to, out of an index (match_index.lua): a judgement in points, as logarithms of odds, for
--- what agrees and what contradicts (Fellegi and Sunter's way of linking records). The score is their probability.
---
--- A domain that a company has decides, the lead's name and place only choose among several that have it. Without one,
--- the name decides with the rest as evidence; a pick needs the threshold, and nobody else about as near.
local firms = require "text.firms"
local index = require "routing.match_index"
local text = require "text"

local match = {}

match.THRESHOLD = 0.8

-- In points. Measured on the labelled sets of match_test.lua.
local DOMAIN <const>, ADDITIONAL <const>, PARENT <const> = 4.5, -0.6, -0.5
local SAME_NAME <const>, NO_DOMAIN <const> = 3.0, -0.2
local CLEAR <const> = 0.7           -- between the best and the next; less is ambiguous

-- Country codes of domains that everybody takes.
local anywhere = {}
for code in ("ai app cc co eu fm gg io la me ms sh st to tv ws vc"):gmatch("%S+") do anywhere[code] = true end

local function country_of_domain(domain)
  local top = domain and domain:match("%.(%a%a)$")
  if not top or anywhere[top] then return nil end
  return top == "uk" and "GB" or text.country(top)
end

-- The part of a domain that was chosen: "acme" of "mail.acme.com" and of "acme.co.uk".
local function label(domain)
  local up = domain
  while index.parent(up) do up = index.parent(up) end
  return up:match("^[^.]+")
end

-- What a word means as a place; kept for one lead, because its candidates share their words.
local function about(facts, word)
  local known = facts.about[word]
  if not known then
    known = { country = text.country(word), city = index.city(word) }
    facts.about[word] = known
  end
  return known
end

-- A country that a word of the name tells ("Acme Deutschland"), and the name is not only that.
local function country_of_words(facts, firm)
  for i = #firm.folded, 2, -1 do
    local word = firm.folded[i]
    local code = (#word > 3 or word == "uk" or word == "usa") and about(facts, word).country
    if code then return code end
  end
  return nil
end

local function country_of_form(firm)
  local only
  for code in pairs(firm.countries) do
    if only or code == "*" then return nil end
    only = code
  end
  return only
end

-- Whether the name's legal form is none of that country, and nothing better tells where the firm is.
local function abroad(firm, country, known)
  return country and not known and firm.form and not firm.countries["*"] and not firm.countries[country] and next(firm.countries) ~= nil
end

---@class routing.lead_facts
---@field id string|nil
---@field domain string|nil of the e-mail, no free-mail one
---@field site string|nil of the website
---@field name string|nil
---@field firm text.firm|nil
---@field country string|nil
---@field sure boolean the country is the lead's own property
---@field city string
---@field phone string|nil
---@field about table<string, table> see about()

--- What a lead tells.
---@param lead table
---@return routing.lead_facts
function match.facts(lead)
  -- A property that was not asked for raises when it is read; all but the e-mail are optional here.
  local function get(name)
    local asked, value = pcall(function() return lead[name] end)
    return asked and type(value) == "string" and value ~= "" and value or nil
  end
  local _, domain = text.email(lead.email)
  local name = get "company"
  local facts = {
    domain = index.own_domain(domain), site = index.own_domain(get "website"), name = name, firm = index.firm(name),
    city = index.city(get "city"), phone = index.phone(get "phone"), country = text.country(get "country"),
    about = {},
  }
  facts.sure = facts.country ~= nil
  if name and not name:find("%S%s+%S") and text.domain(name) then        -- "www.acme.com" in the field for the company
    facts.site = facts.site or index.own_domain(name)
    facts.firm = index.firm((label(text.domain(name)):gsub("%-", " ")))
  end
  if facts.firm then facts.country = facts.country or country_of_words(facts, facts.firm) or country_of_form(facts.firm) end
  facts.country = facts.country or index.country_of_phone(get "phone") or country_of_domain(facts.domain)
  return facts
end

local function place_of(facts, entry, firm)
  local country, city = entry.place:match("^([^;]*);([^;]*)")
  if country ~= "" then return country, city, true end
  return firm and (country_of_words(facts, firm) or country_of_form(firm)) or country_of_domain(entry.domains), city, false
end

---------------------------------------------------------------------------------------------------- names

-- The words as pairs of canonical and folded form, joined where the other name has them as one: "blue ocean" beside
-- "blueocean".
local function joined(firm, other)
  local there, list, i = {}, {}, 1
  for _, word in ipairs(other) do there[word] = true end
  while i <= #firm.words do
    local both = firm.words[i + 1] and firm.words[i] .. firm.words[i + 1]
    local one = there[both]
    list[#list + 1] = one and { both, both } or { firm.words[i], firm.folded[i], firm.pair == i }
    i = i + (one and 2 or 1)
  end
  return list
end

-- The lead's name, divided where nobody has its word and companies have its parts: "BlueoceanFreight".
local function divided(data, firm)
  local list, folded = {}, {}
  for i, word in ipairs(firm.words) do
    local parts, written
    if data:frequency(word) == 0 then
      parts, written = firms.divide(firm.folded[i], function(part)
        return part == "the" or data:frequency(part) > 0 or data.cities[index.city(part)] ~= nil
      end)
      if parts and parts[1] == "the" then parts, written = { parts[2] }, { written[2] } end
    end
    table.move(parts or { word }, 1, 2, #list + 1, list)
    table.move(written or { firm.folded[i] }, 1, 2, #folded + 1, folded)
  end
  return { words = list, folded = folded, pair = firm.pair, form = firm.form, countries = firm.countries }
end

-- How near two words are, from 0 to 1, and the slips between them, in the form in which there are fewer.
local function alike(x, y, later)
  if x[1] == y[1] then return 1, 0 end
  if later and #x[2] >= 3 and y[2]:sub(1, #x[2]) == x[2] then return 0.85, 0 end     -- "Log." of "Logistics"
  local best, fewest = 0, nil
  for form = 1, 2 do
    local a, b = x[form], y[form]
    local long = math.max(#a, #b)
    if math.min(#a, #b) >= 4 and not (a .. b):find("%d") then
      local slips = index.slips(a, b, long < 8 and 1 or 2)
      if slips and 1 - slips / long > best then best, fewest = 1 - slips / long, slips end
    end
  end
  return best, fewest
end

---@class routing.comparison
---@field likeness number 0 to 1, for people
---@field told number what the shared words tell: 1 is one that nobody else has
---@field rare number the best of them that is no common word
---@field slips integer
---@field known boolean a word of the lead's with slips is one that other firms have
---@field lacks number points for the words that only one has: most when each has some

-- Two names, word by word.
local function compare(data, facts, firm, place)
  local a = joined(facts.firm, firm.words)
  local words = {}
  for i, x in ipairs(a) do words[i] = x[1] end
  local b = joined(firm, words)
  local function worth(word, i)
    if firms.fillers[word] then return 0.05 end
    local it = about(facts, word)
    if it.country and (#word > 3 or i and i > 1 and (it.country == facts.country or it.country == place.country)) then return 0.05 end
    if i and i > 1 and data.cities[it.city] then return 0.05 end
    if it.city ~= "" and (place.city:find(it.city, 1, true) or facts.city:find(it.city, 1, true)) then return 0.05 end
    return data:weight(word) ^ 2 * (firms.common[word] and 0.5 or 1)
  end
  local found = {}
  for i, x in ipairs(a) do
    for j, y in ipairs(b) do
      local s, slips = alike(x, y, i > 1 and j > 1)
      if s > 0 then found[#found + 1] = { s, i, j, slips } end
    end
  end
  table.sort(found, function(p, q)
    if p[1] ~= q[1] then return p[1] > q[1] end
    if p[2] ~= q[2] then return p[2] < q[2] end
    return p[3] < q[3]
  end)
  local c = { told = 0, rare = 0, slips = 0, known = false, lacks = 0 }
  local used_a, used_b, same = {}, {}, 0
  for _, one in ipairs(found) do
    local s, i, j, slips = one[1], one[2], one[3], one[4]
    if not used_a[i] and not used_b[j] then
      used_a[i], used_b[j] = true, true
      local w = slips > 0 and worth(b[j][1]) or (worth(a[i][1]) + worth(b[j][1])) / 2
      same, c.told, c.slips = same + w * s, c.told + w, c.slips + slips
      if not firms.common[b[j][1]] then c.rare = math.max(c.rare, w) end
      if slips > 0 then
        if data:frequency(a[i][1]) > 0 and not firms.common[a[i][1]] then c.known = true end
      end
    end
  end
  -- People shorten a name at its end, and seldom add to it.
  local function rest(list, used, elsewhere)
    local sum, cost, last, form = 0, 0, 0, true
    for i in ipairs(list) do last = used[i] and i or last end
    for i = #list, 1, -1 do
      local word = list[i]
      form = form and i > 1 and not used[i] and data:frequency(word[1]) == 0 and firms.nearly_left_out(word[2], index.slips)
      local w = used[i] and 0 or form and 0.05 or worth(word[1], i)
      sum, cost = sum + w, cost + w * (i > last and not word[3] and 1 or elsewhere)
    end
    return sum, cost
  end
  local mine, more = rest(a, used_a, 1.6)
  local its, less = rest(b, used_b, 3)
  local all = 2 * c.told + mine + its
  if all == 0 then all, less = 1, 1 end
  c.lacks = (mine > 0.06 and its > 0.06 and 16 * (mine + its) + 1.5 * all or 9 * more + 4 * less) / all
  if less > 0.06 then c.lacks = c.lacks + 0.4 end
  c.likeness = 2 * same / all
  if c.lacks > 0 and table.concat(words) == table.concat(firm.words) then c.lacks, c.likeness = 0, 1 end
  return c
end

---------------------------------------------------------------------------------------------------- evidence

-- With and without the marks of letters written out.
local function bare(word) return (word:gsub("([aou])e", "%1")) end

-- "near" (a slip), "related" (another ending, or it has the other or the name in it) or "other"; nil when one has none.
local function domains_agree(domain, domains, firm)
  if not domain or not domains then return nil end
  local mine, ending = label(domain):gsub("%-", ""), domain:match("[^.]+$")
  local first = #firm.folded[1] < 3 and firm.folded[1] .. (firm.folded[2] or "") or firm.folded[1]
  local found = #first >= 3 and mine:sub(1, #first) == first and "related" or "other"
  for one in domains:gmatch("[^;]+") do
    local its = label(one):gsub("%-", "")
    if mine == its then
      found = "related"
      if (#ending > 2 or ending == "co" or ending == "cm") and index.slips(ending, one:match("[^.]+$"), 1) == 1 then return "near" end
    elseif #its >= 5 and mine:gsub("%D", "") == its:gsub("%D", "") and index.slips(mine, its, #its < 12 and 1 or 2) then
      return "near"
    elseif #its >= 5 and mine:find(its, 1, true) then
      found = "related"
    end
  end
  return found
end

-- Whether the lead's domain has a word of its company name that the other name has spelt otherwise: then it is no slip.
local function spells_its_own(domain, firm, other)
  local flat, theirs = bare(label(domain):gsub("%-", "")), ""
  for _, word in ipairs(other.folded) do theirs = theirs .. bare(word) end
  for _, word in ipairs(firm.folded) do
    word = bare(word)
    if #word >= 4 and not theirs:find(word, 1, true) and flat:find(word, 1, true) then
      for _, its in ipairs(other.folded) do
        if index.slips(word, bare(its), 2) then return true end
      end
    end
  end
  return false
end

-- Adds what place, phone and domain say.
local function weigh_rest(facts, place, entry, agree, note)
  if facts.country and place.country then
    local sure = facts.sure and place.sure
    if facts.country == place.country then note(0.7, "same country") else
      note(sure and -4 or -2.5, ("country %s, not %s"):format(facts.country, place.country))
    end
  end
  if facts.city ~= "" and place.city ~= "" then
    if facts.city == place.city then note(1.2, "same city") else note(agree == "near" and -2 or -3.5, "another city") end
  end
  if facts.phone and facts.phone == entry.phone then note(3, "same phone") end
end

local function probability(points) return math.floor(1000 / (1 + math.exp(-points)) + 0.5) / 1000 end

local function city_of_words(data, facts, firm)
  for i = 2, #firm.folded do
    local city = about(facts, firm.folded[i]).city
    if data.cities[city] then return city end
  end
  return ""
end

local function judge(data, facts, entry)
  local firm = index.firm_of(entry)
  local place = {}
  place.country, place.city, place.sure = place_of(facts, entry, firm)
  if place.city == "" then place.city = city_of_words(data, facts, firm) end
  local said, points = {}, NO_DOMAIN
  local function note(n, what)
    points = points + n
    said[#said + 1] = what
  end
  local c = compare(data, facts, firm, place)
  local same = c.lacks < 0.1 and c.slips == 0
  note(SAME_NAME - c.lacks - 0.9 * c.slips + (c.lacks < 0.1 and 0.5 or 0), same and "same name" or ("name alike %.2f"):format(c.likeness))
  if c.rare < 0.2 then note(-2, "common words only") elseif c.told >= 1.2 then note(0.4) end
  if c.known then note(-1.5, "its word is known as another") end
  if facts.firm.form and firm.form then
    if facts.firm.form == firm.form then note(0.4) else note(-0.4, "another legal form") end
  end
  if abroad(facts.firm, place.country, facts.country) or abroad(firm, facts.country, place.country) then
    note(-1.5, "a legal form of another country")
  end
  local domain = facts.domain or facts.site
  local agree = domains_agree(domain, entry.domains, firm)
  weigh_rest(facts, place, entry, agree, note)
  if domain and spells_its_own(domain, facts.firm, firm) then note(-3.5, "its own domain spells it so") elseif agree == "near" then
    note(1.5, "a similar domain")
  elseif agree == "other" then
    note(c.lacks < 1 and c.slips == 0 and -1.2 or -2, "another domain")
  end
  return { entry = entry, points = points, said = said, how = same and "name" or "similar name" }
end

---------------------------------------------------------------------------------------------------- the pick

-- Of equals, one with an owner comes first, then the older, then the smaller id.
local function before(a, b)
  if (a.owner ~= nil) ~= (b.owner ~= nil) then return a.owner ~= nil, "it has an owner" end
  if a.created ~= b.created then
    if a.created == 0 or b.created == 0 then return b.created == 0, "it is older" end
    return a.created < b.created, "it is older"
  end
  if #a.id ~= #b.id then return #a.id < #b.id, "its id is smaller" end
  return a.id < b.id, "its id is smaller"
end

local function by_points(p, q)
  if math.abs(p.points - q.points) > 1e-9 then return p.points > q.points end
  return (before(p.entry, q.entry))
end

local MOST <const> = 5   -- candidates told

local function outcome(list, threshold)
  local told = {}
  for i = 1, math.min(#list, MOST) do
    local entry = list[i].entry
    told[i] = { id = entry.id, name = entry.name, owner = entry.owner, how = list[i].how, score = probability(list[i].points) }
  end
  return { candidates = told, threshold = threshold }
end

local function named(entry) return ("company %s (%s)"):format(entry.id, entry.name or "no name") end

local function picked(out, one, explanation)
  local entry = one.entry
  out.id, out.name, out.owner, out.how, out.score = entry.id, entry.name, entry.owner, one.how, probability(one.points)
  out.explanation = explanation
  return out
end

-- Companies that have the domain, or the nearest parent of it that one has.
local function by_domain(data, facts, domain, what)
  local host, list = domain, {}
  while host and #list == 0 do
    index.each(data.by_domain[host], function(entry)
      local firm = index.firm_of(entry)
      local place, said = {}, {}
      place.country, place.city, place.sure = place_of(facts, entry, firm)
      local primary = entry.domains:match("^[^;]+") == host
      local one = { entry = entry, points = DOMAIN, said = said, how = primary and "domain" or "additional domain" }
      local function note(n, why)
        one.points = one.points + n
        if n > 0 and why then said[#said + 1] = why end
      end
      if not primary then note(ADDITIONAL) end
      if host ~= domain then note(PARENT) end
      if facts.firm and entry.key ~= "" then
        local likeness = compare(data, facts, firm, place).likeness
        if likeness >= 0.8 then note(1.5 * likeness, "its name fits") end
      end
      if facts.country and place.country then note(facts.country == place.country and 0.5 or -0.3, "same country") end
      if facts.city ~= "" and facts.city == place.city then note(0.5, "same city") end
      list[#list + 1] = one
    end)
    if #list == 0 then host = index.parent(host) end
  end
  if #list == 0 then return nil end
  table.sort(list, by_points)
  local best, second = list[1], list[2]
  local explanation = ("%s by %s %s%s"):format(named(best.entry), best.how, host,
    what == "website" and " of the lead's website" or host ~= domain and (", which %s is under"):format(domain) or "")
  if second then
    local why
    if best.points - second.points > 1e-9 then
      why = table.concat(best.said, ", ")
      if best.how ~= second.how then why = (why ~= "" and why .. ", " or "") .. "the more exact domain" end
      if why == "" then why = "the others are elsewhere" end
    else
      why = select(2, before(best.entry, second.entry))
    end
    explanation = ("%s, chosen of %d with that domain: %s"):format(explanation, #list, why)
  end
  return picked(outcome(list), best, explanation)
end

-- Records of one firm: they share a domain, or nothing of name and place is different.
local function one_firm(a, b)
  if index.flat(a) ~= index.flat(b) then return false end
  if a.domains and b.domains then
    for domain in a.domains:gmatch("[^;]+") do
      if (";" .. b.domains .. ";"):find(";" .. domain .. ";", 1, true) then return true end
    end
    return false
  end
  local country, city = a.place:match("^([^;]+);([^;]+);")
  return country ~= nil and b.place:find(country .. ";" .. city .. ";", 1, true) == 1
end

local function by_name(data, facts, threshold)
  local list = {}
  facts.firm = divided(data, facts.firm)
  if facts.city == "" then facts.city = city_of_words(data, facts, facts.firm) end
  for i, entry in ipairs(data:candidates(facts.firm.words)) do list[i] = judge(data, facts, entry) end
  table.sort(list, by_points)
  local out, best = outcome(list, threshold), list[1]
  if not best then
    out.explanation = ('no company has a name like "%s"'):format(facts.name)
    return nil, out
  end
  local score = probability(best.points)
  local told = ('%s by %s: %s'):format(named(best.entry), best.how, table.concat(best.said, ", "))
  if score < threshold then
    out.explanation = ("no match: %s: score %.2f is below %.2f"):format(told, score, threshold)
    return nil, out
  end
  local equals = 1
  while list[equals + 1] and best.points - list[equals + 1].points < CLEAR do equals = equals + 1 end
  local why = ""
  if equals > 1 then
    for i = 2, equals do
      if not one_firm(best.entry, list[i].entry) then
        out.explanation = ("no match: ambiguous between %s, score %.2f, and %s, score %.2f"):format(named(best.entry), score,
          named(list[i].entry), probability(list[i].points))
        return nil, out
      end
    end
    local first = best
    for i = 2, equals do
      if before(list[i].entry, first.entry) then first = list[i] end
    end
    local second = first == best and list[2] or best
    why = ("; chosen of %d records of that firm: %s"):format(equals, select(2, before(first.entry, second.entry)))
    best = first
  end
  return picked(out, best, ("%s; score %.2f%s"):format(told:gsub("^company %S+ %b()", named(best.entry):gsub("%%", "%%%%")), score, why))
end

---@class routing.match
---@field id string the company's id
---@field name string|nil
---@field owner string|nil its owner's id
---@field how "domain"|"additional domain"|"name"|"similar name"
---@field score number 0 to 1
---@field explanation string for people: what agreed, and why this one of several
---@field candidates {id: string, name: string|nil, owner: string|nil, how: string, score: number}[] best first, at most five

--- The company, or nil and why none.
---@param data routing.match_index
---@param facts routing.lead_facts
---@param threshold number
---@return routing.match|nil
---@return {explanation: string, candidates: table[]} the same, or without a pick
function match.find(data, facts, threshold)
  local found = facts.domain and by_domain(data, facts, facts.domain)
      or facts.site and by_domain(data, facts, facts.site, "website") or nil
  if found then return found, found end
  if facts.firm then
    local one, out = by_name(data, facts, threshold)
    return one, out or one
  end
  return nil, { candidates = {}, explanation = facts.domain and ("no company has the domain %s"):format(facts.domain)
    or "the lead has neither a company's domain nor a company name" }
end

return match
