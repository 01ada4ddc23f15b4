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
local SAME_NAME <const>, NO_DOMAIN <const> = 3.0, -0.5
local SLOPE <const> = 14            -- from equal names on, by what they lack
local CLEAR <const> = 0.7           -- between the best and the next; less is ambiguous

-- Country codes of domains that everybody takes.
local anywhere = {}
for code in ("ai app cc co eu fm gg io la me ms sh st to tv ws vc"):gmatch("%S+") do anywhere[code] = true end

local function country_of_domain(domain)
  local top = domain and domain:match("%.(%a%a)$")
  if not top or anywhere[top] then return nil end
  return top == "uk" and "GB" or text.country(top)
end

-- A country that a word of the name tells ("Acme Deutschland"), and the name is not only that.
local function country_of_words(firm)
  for i = #firm.folded, 2, -1 do
    local word = firm.folded[i]
    local code = (#word > 3 or word == "uk" or word == "usa") and text.country(word)
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
  }
  facts.sure = facts.country ~= nil
  if facts.firm then facts.country = facts.country or country_of_words(facts.firm) or country_of_form(facts.firm) end
  facts.country = facts.country or country_of_domain(facts.domain)
  return facts
end

local function place_of(entry, firm)
  local country, city = entry.place:match("^([^;]*);(.*)$")
  if country ~= "" then return country, city, true end
  return firm and (country_of_words(firm) or country_of_form(firm)) or country_of_domain(entry.domains), city, false
end

---------------------------------------------------------------------------------------------------- names

-- Words that are one in the other name, joined: "blue ocean" beside "blueocean".
local function joined(words, other)
  local there, list, i = {}, {}, 1
  for _, word in ipairs(other) do there[word] = true end
  while i <= #words do
    local both = words[i + 1] and words[i] .. words[i + 1]
    if both and there[both] then
      list[#list + 1] = both
      i = i + 2
    else
      list[#list + 1] = words[i]
      i = i + 1
    end
  end
  return list
end

local function alike(a, b)
  if a == b then return 1 end
  local short, long = a, b
  if #short > #long then short, long = long, short end
  if #short >= 4 and not long:find("%d") then
    local slips = index.slips(short, long, index.allowed(long))
    if slips then return 1 - 1.2 * slips / #long end
    if long:sub(1, #short) == short then return 0.7 end
  end
  return 0
end

-- How much of two names is the same, from 0 to 1; what the shared words tell, and the best of them that not many firms
-- have; whether one is misspelt, and whether the lead's spelling is another firm's word.
local function compare(data, facts, firm, place)
  local a, b = joined(facts.firm.words, firm.words), joined(firm.words, facts.firm.words)
  local function worth(word)
    if firms.fillers[word] then return 0.12 end
    local city = index.city(word)
    if city ~= "" and (place.city:find(city, 1, true) or facts.city:find(city, 1, true)) then return 0.12 end
    if #word > 3 and text.country(word) then return 0.12 end
    return data:weight(word) * (firms.common[word] and 0.5 or 1)
  end
  local pairs_found = {}
  for i, x in ipairs(a) do
    for j, y in ipairs(b) do
      local s = alike(x, y)
      if s > 0 then pairs_found[#pairs_found + 1] = { s, i, j } end
    end
  end
  table.sort(pairs_found, function(p, q)
    if p[1] ~= q[1] then return p[1] > q[1] end
    if p[2] ~= q[2] then return p[2] < q[2] end
    return p[3] < q[3]
  end)
  local used_a, used_b, same, told, rare, slipped, known = {}, {}, 0, 0, 0, false, false
  for _, pair in ipairs(pairs_found) do
    local s, i, j = pair[1], pair[2], pair[3]
    if not used_a[i] and not used_b[j] then
      used_a[i], used_b[j] = true, true
      local w = (worth(a[i]) + worth(b[j])) / 2
      same, told = same + w * s * 2, told + w
      if not firms.common[b[j]] then rare = math.max(rare, w) end
      if s < 1 then
        slipped = true
        if data:frequency(a[i]) > 0 and not firms.common[a[i]] then known = true end
      end
    end
  end
  local all = 0
  for _, word in ipairs(a) do all = all + worth(word) end
  for _, word in ipairs(b) do all = all + worth(word) end
  if table.concat(a) == table.concat(b) then return 1, told, rare, false, false end
  return all > 0 and math.min(1, same / all) or 0, told, rare, slipped, known
end

---------------------------------------------------------------------------------------------------- evidence

local function label(domain) return domain:match("^([^.]+)%.[^.]+$") or domain:match("([^.]+)%.[^.]+%.[^.]+$") or domain:match("^[^.]+") end

-- "same", "near" (another ending, a slip) or "other"; nil when one has none.
local function domains_agree(domain, domains)
  if not domain or not domains then return nil end
  local mine, found = label(domain), "other"
  for one in domains:gmatch("[^;]+") do
    if one == domain then return "same", one end
    local its = label(one)
    if mine == its or #its >= 5 and index.slips(mine, its, index.allowed(its)) then found = "near" end
  end
  return found
end

-- Adds what place, phone and domain say.
local function weigh_rest(facts, place, entry, note)
  if facts.country and place.country then
    local sure = facts.sure and place.sure
    if facts.country == place.country then note(0.7, "same country") else
      note(sure and -4 or -2.5, ("country %s, not %s"):format(facts.country, place.country))
    end
  end
  if facts.city ~= "" and place.city ~= "" then
    if facts.city == place.city then note(1.2, "same city") else note(-1.2, "another city") end
  end
  if facts.phone and facts.phone == entry.phone then note(3, "same phone") end
end

local function probability(points) return math.floor(1000 / (1 + math.exp(-points)) + 0.5) / 1000 end

local function judge(data, facts, entry)
  local firm = index.firm(entry.name)
  local place = {}
  place.country, place.city, place.sure = place_of(entry, firm)
  local said, points = {}, NO_DOMAIN
  local function note(n, what)
    points = points + n
    said[#said + 1] = what
  end
  local likeness, told, rare, slipped, known = compare(data, facts, firm, place)
  note(SAME_NAME - SLOPE * (1 - likeness), likeness == 1 and "same name" or ("name alike %.2f"):format(likeness))
  if rare < 0.5 then note(-1.5, "common words only") elseif told >= 1.5 then note(0.4) end
  if slipped and known then note(-1.5, "its word is known as another") end
  if facts.firm.form and firm.form and facts.firm.form ~= firm.form then note(-0.4, "another legal form") end
  weigh_rest(facts, place, entry, note)
  local agree = domains_agree(facts.domain or facts.site, entry.domains)
  if agree == "near" then note(1.5, "a similar domain") elseif agree == "other" then
    note(likeness == 1 and -1.2 or -2, "another domain")
  end
  return { entry = entry, points = points, said = said, how = likeness == 1 and "name" or "similar name", place = entry.place }
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
      local firm = index.firm(entry.name)
      local place, said = {}, {}
      place.country, place.city, place.sure = place_of(entry, firm)
      local primary = entry.domains:match("^[^;]+") == host
      local one = { entry = entry, points = DOMAIN, said = said, how = primary and "domain" or "additional domain" }
      local function note(n, why)
        one.points = one.points + n
        if n > 0 and why then said[#said + 1] = why end
      end
      if not primary then note(ADDITIONAL) end
      if host ~= domain then note(PARENT) end
      if facts.firm and firm then
        local likeness = compare(data, facts, firm, place)
        if likeness >= 0.85 then note(1.5 * likeness, "its name fits") end
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
  if a.key:gsub(" ", "") ~= b.key:gsub(" ", "") then return false end
  if a.domains and b.domains then
    for domain in a.domains:gmatch("[^;]+") do
      if (";" .. b.domains .. ";"):find(";" .. domain .. ";", 1, true) then return true end
    end
    return false
  end
  return a.place == b.place and not a.place:find("^;") and not a.place:find(";$")
end

local function by_name(data, facts, threshold)
  local list = {}
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
