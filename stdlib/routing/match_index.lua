--- Companies in memory, to be found by domain and by words of their name, also misspelt ones. Nothing here waits.
---
--- An entry is in by_domain under each of its domains, in by_name under its whole name (canonical words, no spaces),
--- and in by_word under each word. Words of four letters and more are in by_gram under each three letters in a row, so
--- that a misspelt word finds its neighbours: d slips spoil at most 4d of a word's grams, so the 4d + 1 rarest of them
--- meet every word that is that near.
---
--- A map's value is the entry or word itself while it is the only one, else a list: most are, and 100,000 tables less.
local countries = require "text.countries"
local firms = require "text.firms"
local text = require "text"

local index = {}
local Index = {}
Index.__index = Index

---@class routing.company an entry: eight fields, which is what a Lua table of 250 bytes holds
---@field id string
---@field name string|nil
---@field key string canonical words of the name, "" without a name; "|" and the words as folded where these differ, "&" before
---one after "and"
---@field domains string|nil ";" between several, the primary one first
---@field owner string|nil
---@field created integer epoch ms; 0: unknown
---@field place string country ";" city ";" legal form, as compared
---@field phone string|nil the last nine digits

-- What is no company's own domain, whatever a record says: subdomains there belong to anybody.
local shared = {}
for host in ([[facebook.com linkedin.com instagram.com twitter.com x.com youtube.com xing.com google.com wordpress.com blogspot.com
  wixsite.com weebly.com myshopify.com github.io onmicrosoft.com jimdo.com jimdofree.com webnode.com squarespace.com business.site
  herokuapp.com netlify.app vercel.app web.app godaddysites.com tumblr.com amazonaws.com azurewebsites.net hubspot.com]])
  :gmatch("%S+") do shared[host] = true end

--- The domain that tells a company, nil for a free-mail or shared host.
---@param value string|nil
---@return string|nil
function index.own_domain(value)
  local domain = text.domain(value)
  if not domain or text.is_free_mail(domain) or shared[domain] then return nil end
  local up = domain:match("^[^.]+%.(.+)$")
  while up do
    if shared[up] then return nil end
    up = up:match("^[^.]+%.(.+)$")
  end
  return domain
end

local registries = {}
for label in ("ac asso co com edu gob gouv gov gv id ltd me mil ne net nom or org plc sch"):gmatch("%S+") do
  registries[label] = true
end

--- The parent of a host, unless that is where a country registers names ("co.uk").
---@param domain string
---@return string|nil
function index.parent(domain)
  local up = domain:match("^[^.]+%.(.+)$")
  if not up or not up:find(".", 1, true) then return nil end
  local second, top = up:match("^([^.]+)%.(%a%a)$")
  if top and registries[second] then return nil end
  return up
end

local function is_entry(value) return value.id ~= nil end

local function put_in(map, key, value, single)
  local there = map[key]
  if there == nil then
    map[key] = value
  elseif single(there) then
    map[key] = { there, value }
  else
    there[#there + 1] = value
  end
end

-- Whether nothing is left under the key.
local function take_out(map, key, value)
  local there = map[key]
  if there == value then
    map[key] = nil
    return true
  elseif type(there) ~= "table" or there.id then
    return false
  end
  for i = 1, #there do
    if there[i] == value then
      table.remove(there, i)
      break
    end
  end
  if #there == 1 then map[key] = there[1] end
  return false
end

local function is_word(value) return type(value) == "string" end

-- f(gram) for each distinct one. Words of another length have grams of their own.
local function each_gram(word, length, f)
  local framed, seen, size = "^" .. word .. "$", {}, string.char(length & 0xff)
  for i = 1, #framed - 2 do
    local gram = framed:sub(i, i + 2) .. size
    if not seen[gram] then
      seen[gram] = true
      f(gram)
    end
  end
end

local function spellable(word) return #word >= 4 and not word:find("%d") end

---@return routing.match_index
function index.new()
  return setmetatable({ size = 0, by_id = {}, by_domain = {}, by_name = {}, by_word = {}, by_gram = {}, cities = {} }, Index)
end

local function each_domain(entry, f)
  for domain in (entry.domains or ""):gmatch("[^;]+") do f(domain) end
end

local function each_word(key, f)
  local seen = {}
  for word in key:gmatch("%S+") do
    if not seen[word] then
      seen[word] = true
      f(word)
    end
  end
end

--- The whole name in canonical letters.
---@param entry routing.company
---@return string
function index.flat(entry) return (entry.key:match("^[^|]*"):gsub(" ", "")) end

--- The parts of the name of an entry.
---@param entry routing.company
---@return text.firm
function index.firm_of(entry)
  local words, folded = entry.key:match("^([^|]*)|?(.*)$")
  local firm = { words = {}, folded = {}, form = entry.place:match(";([^;]+)$") }
  firm.countries = firms.countries(firm.form)
  for word in words:gmatch("%S+") do firm.words[#firm.words + 1] = word end
  if folded == "" then
    firm.folded = firm.words
    return firm
  end
  for word in folded:gmatch("%S+") do
    if word:byte() == 38 then firm.pair, word = #firm.folded + 1, word:sub(2) end
    firm.folded[#firm.folded + 1] = word
  end
  return firm
end

--- Adds an entry, or puts it in the place of the one with its id.
---@param entry routing.company
function Index:put(entry)
  self:remove(entry.id)
  self.by_id[entry.id], self.size = entry, self.size + 1
  local city = entry.place:match(";([^;]+);")
  if city then self.cities[city] = (self.cities[city] or 0) + 1 end
  each_domain(entry, function(domain) put_in(self.by_domain, domain, entry, is_entry) end)
  if entry.key == "" then return end
  put_in(self.by_name, index.flat(entry), entry, is_entry)
  each_word(entry.key:match("^[^|]+"), function(word)
    if not self.by_word[word] and spellable(word) then
      each_gram(word, #word, function(gram) put_in(self.by_gram, gram, word, is_word) end)
    end
    put_in(self.by_word, word, entry, is_entry)
  end)
end

--- Forgets the company, if it is there.
---@param id string
function Index:remove(id)
  local entry = self.by_id[id]
  if not entry then return end
  self.by_id[id], self.size = nil, self.size - 1
  local city = entry.place:match(";([^;]+);")
  if city then self.cities[city] = self.cities[city] > 1 and self.cities[city] - 1 or nil end
  each_domain(entry, function(domain) take_out(self.by_domain, domain, entry) end)
  if entry.key == "" then return end
  take_out(self.by_name, index.flat(entry), entry)
  each_word(entry.key:match("^[^|]+"), function(word)
    if take_out(self.by_word, word, entry) and spellable(word) then
      each_gram(word, #word, function(gram) take_out(self.by_gram, gram, word) end)
    end
  end)
end

local function count(there) return there == nil and 0 or (type(there) == "string" or there.id) and 1 or #there end
local function each(there, f)
  if there == nil then return end
  if type(there) == "string" or there.id then return f(there) end
  for i = 1, #there do f(there[i]) end
end
index.each = each

--- How many companies have the word in their name.
---@param word string canonical
---@return integer
function Index:frequency(word) return count(self.by_word[word]) end

--- How much a word tells, from 0 (every company has it) to 1 (none or one has it).
---@param word string canonical
---@return number
function Index:weight(word)
  local n = count(self.by_word[word])
  return n <= 1 and 1 or math.log((self.size + 1) / n) / math.log(self.size + 1)
end

local rows = { {}, {}, {} }   -- used again: a lookup compares hundreds of words

--- The slips (a letter wrong, more, fewer, or two swapped) between two words, up to `most`; beyond that, nil.
---@param a string
---@param b string
---@param most integer
---@return integer|nil
function index.slips(a, b, most)
  local n, m = #a, #b
  if n - m > most or m - n > most then return nil end
  if a == b then return 0 end
  local byte = string.byte
  local first = 1
  while first <= n and byte(a, first) == byte(b, first) do first = first + 1 end
  while n >= first and m >= first and byte(a, n) == byte(b, m) do n, m = n - 1, m - 1 end
  local skip = first - 1
  n, m = n - skip, m - skip
  if n == 0 or m == 0 then return n + m <= most and n + m or nil end
  local before, above, row = rows[1], rows[2], rows[3]
  local far = most + 1
  for j = 0, m do above[j] = j end
  for i = 1, n do
    local x, least = byte(a, skip + i), far
    local left, right = i - most, i + most       -- beyond, a cell is more than `most`
    if left < 1 then left = 1 end
    if right > m then right = m end
    row[left - 1] = left == 1 and i or far
    for j = left, right do
      local y = byte(b, skip + j)
      local best = above[j - 1] + (x == y and 0 or 1)
      local up = j < i + most and above[j] + 1 or far
      if up < best then best = up end
      if row[j - 1] + 1 < best then best = row[j - 1] + 1 end
      if i > 1 and j > 1 and x == byte(b, skip + j - 1) and byte(a, skip + i - 1) == y and before[j - 2] + 1 < best then
        best = before[j - 2] + 1
      end
      row[j] = best
      if best < least then least = best end
    end
    if least > most then return nil end
    before, above, row = above, row, before
  end
  return above[m] <= most and above[m] or nil
end

--- How many slips two spellings of one word may have.
---@param word string
---@return integer
function index.allowed(word) return #word < 4 and 0 or #word < 8 and 1 or 2 end

--- The words of the index that are `word` but for a slip, or, when there is none and it is long, two.
---@param word string canonical
---@return table<string, integer> slips by word
function Index:near(word)
  local found = {}
  if not spellable(word) then return found end
  for i = 1, #word - 1 do                        -- two letters swapped spoil four grams, all of a short word
    local other = word:sub(1, i - 1) .. word:sub(i + 1, i + 1) .. word:sub(i, i) .. word:sub(i + 2)
    if other ~= word and self.by_word[other] then found[other] = 1 end
  end
  for most = 1, self.by_word[word] and 1 or index.allowed(word) do
    for length = #word - most, #word + most do
      local grams, distinct, tried = {}, 0, { [word] = true }
      each_gram(word, length, function(gram)
        distinct = distinct + 1
        local there = self.by_gram[gram]
        if there then grams[#grams + 1] = there end
      end)
      table.sort(grams, function(a, b) return count(a) < count(b) end)
      for i = 1, 3 * most + 1 - (distinct - #grams) do         -- those that no word has count as looked at
        each(grams[i], function(other)
          if tried[other] then return end
          tried[other] = true
          found[other] = found[other] or index.slips(word, other, most)
        end)
      end
    end
    if next(found) then break end
  end
  return found
end

local SURE <const> = 3          -- firms with a word make it a word, not somebody's slip
local FIRST <const>, MORE <const> = 3000, 300   -- companies looked through for the rarest word, and for the others
local BEST <const> = 12         -- candidates that are compared in full

--- Companies whose name could be the one asked for, best first as far as their words tell.
---@param words string[] canonical
---@return routing.company[]
function Index:candidates(words)
  local lists = {}
  local function ask(word, share)
    local n = count(self.by_word[word])
    if n > 0 then lists[#lists + 1] = { word = word, n = n, worth = share * self:weight(word) } end
  end
  for i, word in ipairs(words) do
    ask(word, 1)
    if self:frequency(word) < SURE then
      for other, slips in pairs(self:near(word)) do ask(other, 1 - 0.2 * slips) end
    end
    if words[i + 1] then ask(word .. words[i + 1], 2) end            -- "blue ocean", and it is called "blueocean"
  end
  table.sort(lists, function(a, b) return a.n < b.n or a.n == b.n and a.word < b.word end)
  local sum, found = {}, {}
  local function add(there, worth)
    each(there, function(entry)
      local before = sum[entry]
      if not before then found[#found + 1] = entry end
      sum[entry] = (before or 0) + worth
    end)
  end
  add(self.by_name[table.concat(words)], 100)
  local seen = 0
  for i, list in ipairs(lists) do
    seen = seen + list.n
    if seen <= MORE or i == 1 and seen <= FIRST then
      add(self.by_word[list.word], list.worth)
    else                                  -- of a word that many have, only who is among the found
      for _, entry in ipairs(found) do
        if entry.key:find(list.word, 1, true) then sum[entry] = sum[entry] + list.worth end
      end
    end
  end
  table.sort(found, function(a, b) return sum[a] > sum[b] or sum[a] == sum[b] and a.id < b.id end)
  for i = #found, 1, -1 do
    if i > BEST or sum[found[i]] < 0.3 * sum[found[1]] and sum[found[1]] < 100 then found[i] = nil end
  end
  return found
end

local function filled(value) return value ~= nil and value ~= "" and value or nil end

--- The canonical name and what it was made of.
---@param name string|nil as typed
---@return text.firm|nil
function index.firm(name)
  local folded = type(name) == "string" and text.fold((name:gsub("[&+]", " and "))) or ""
  return folded ~= "" and firms.read(folded) or nil
end

--- The last nine digits of a phone number, which are the same with and without the country's prefix.
---@param value string|nil
---@return string|nil
function index.phone(value)
  local digits = type(value) == "string" and value:gsub("%D", "") or ""
  return #digits >= 7 and digits:sub(-9) or nil
end

local by_prefix = {}
for code, country in pairs(countries) do
  local prefix = country.calling
  if prefix and prefix ~= "1" then by_prefix[prefix] = by_prefix[prefix] == nil and code or false end   -- false: several have it
end

--- The country of a number that begins with "+" and a prefix that one country has.
---@param value string|nil
---@return string|nil
function index.country_of_phone(value)
  local digits = type(value) == "string" and value:match("^%s*%(?%+(.*)$")
  if not digits then return nil end
  digits = digits:gsub("%D", "")
  for n = 3, 1, -1 do
    if by_prefix[digits:sub(1, n)] ~= nil then return by_prefix[digits:sub(1, n)] or nil end
  end
  return nil
end

--- The city as compared.
---@param value string|nil
---@return string
function index.city(value)
  local folded = type(value) == "string" and text.fold(value) or ""
  return (firms.latin(folded):gsub("([aou])e", "%1"):gsub("(%a)%1", "%1"):gsub("%d+", ""):gsub("^%s+", ""):gsub("%s+$", ""))
end

index.properties = { "domain", "hs_additional_domains", "name", "hubspot_owner_id", "createdate", "hs_lastmodifieddate", "country",
  "city", "phone", "website" }

--- The entry of a company's record, read with index.properties.
---@param company table
---@return routing.company
function index.entry(company)
  local domains, seen = {}, {}
  local function add(value)
    local domain = index.own_domain(value)
    if domain and not seen[domain] then
      seen[domain] = true
      domains[#domains + 1] = domain
    end
  end
  add(company.domain)
  if #domains == 0 then add(company.website) end
  for one in (filled(company.hs_additional_domains) or ""):gmatch("[^;,%s]+") do add(one) end
  local firm = index.firm(company.name)
  local key = firm and table.concat(firm.words, " ") or ""
  if firm then
    if firm.pair and firm.folded[firm.pair] then firm.folded[firm.pair] = "&" .. firm.folded[firm.pair] end
    local folded = table.concat(firm.folded, " ")
    if folded ~= key then key = key .. "|" .. folded end
  end
  local created = filled(company.createdate) or filled(company.createdAt)
  local ok, ms = pcall(time.parse, created)
  return {
    id = tostring(company.id), name = filled(company.name), key = key,
    domains = domains[1] and table.concat(domains, ";"), owner = filled(company.hubspot_owner_id),
    created = ok and ms or 0,
    place = ("%s;%s;%s"):format(text.country(company.country) or "", index.city(company.city), firm and firm.form or ""),
    phone = index.phone(company.phone),
  }
end

return index
