--- Cleans what people type: e-mail addresses, domains, phone numbers, countries, company names.
--- Pure functions: nothing here waits, reads the account or raises for dirty input. What cannot be
--- understood is nil, so that a script can say `text.country(lead.country) or "unknown"`.
---@class text
local text = {}

local countries = require "text.countries"
local states = require "text.states"
local firms = require "text.firms"

-- Latin letters with marks, folded to what people type without them. Other scripts stay as they are.
local fold_map = {}
for plain, marked in pairs {
  a = "àáâãåāăąǎ", ae = "äæ", c = "çćĉċč", d = "ðďđ", e = "èéêëēĕėęě", g = "ĝğġģ", h = "ĥħ",
  i = "ìíîïĩīĭįı", j = "ĵ", k = "ķ", l = "ĺļľŀł", n = "ñńņňŋ", o = "òóôõøōŏő", oe = "öœ",
  r = "ŕŗř", s = "śŝşšș", ss = "ß", t = "ţťŧț", th = "þ", u = "ùúûũūŭůűų", ue = "ü", w = "ŵ",
  y = "ýÿŷ", z = "źżž",
} do
  for _, code in utf8.codes(marked) do fold_map[utf8.char(code)] = plain end
end
for plain, marked in pairs {
  a = "ÀÁÂÃÅĀĂĄ", ae = "ÄÆ", c = "ÇĆĈĊČ", d = "ÐĎĐ", e = "ÈÉÊËĒĔĖĘĚ", g = "ĜĞĠĢ", h = "ĤĦ",
  i = "ÌÍÎÏĨĪĬĮİ", j = "Ĵ", k = "Ķ", l = "ĹĻĽŁ", n = "ÑŃŅŇ", o = "ÒÓÔÕØŌŎŐ", oe = "ÖŒ",
  r = "ŔŖŘ", s = "ŚŜŞŠȘ", t = "ŢŤŦȚ", th = "Þ", u = "ÙÚÛŨŪŬŮŰŲ", ue = "Ü", w = "Ŵ", y = "ÝŶŸ", z = "ŹŻŽ",
} do
  for _, code in utf8.codes(marked) do fold_map[utf8.char(code)] = plain end
end

local function words(s)
  -- Marks that follow their letter ("u" and a diaeresis), quotes and dashes of typesetters, signs.
  if s:find("[\xC2\xCC\xCD\xE2]") then
    s = s:gsub("\xCC[\x80-\xBF]", ""):gsub("\xCD[\x80-\xAF]", ""):gsub("\xE2\x80[\x98\x99]", ""):gsub("\xC2\xB4", "")
    s = s:gsub("\xE2\x80[\x80-\xBF]", " "):gsub("\xE2\x84\xA2", " "):gsub("\xC2[\x80-\xBF]", " ")
  end
  s = s:gsub("[\xC3-\xC8][\x80-\xBF]", fold_map):lower()
  s = s:gsub("['`]", ""):gsub("[%p%s]+", " ")
  return (s:gsub("^%s+", ""):gsub("%s+$", ""))
end

--- Lower case, no accents ("Ä" is "ae"), punctuation as single spaces: the form to compare names in.
---@param s string|nil
---@return string|nil
function text.fold(s)
  if type(s) ~= "string" then return nil end
  return words(s)
end

local function trim(s) return (s:gsub("^[%s\xC2\xA0]+", ""):gsub("[%s\xC2\xA0]+$", "")) end

--- The bare host of a domain, URL or "www." form, in lower case: "https://www.Acme.com/about" is "acme.com".
--- International names are left as written. nil when there is no dot in it or it holds what a host cannot.
---@param s string|nil
---@return string|nil
function text.domain(s)
  if type(s) ~= "string" then return nil end
  s = trim(s):lower()
  s = s:gsub("^%a[%w+.-]*://", ""):gsub("^//", "")
  s = s:gsub("[/?#].*$", ""):gsub("^[^@]*@", ""):gsub(":%d*$", "")
  s = s:gsub("%.+$", ""):gsub("^www%d?%.", "")
  if #s > 253 or not s:find(".", 1, true) then return nil end
  if s:find("[^%w%.%-\x80-\xFF]") or s:find("..", 1, true) or s:find("^[%.%-]") then return nil end
  if s:find("^[%d%.]+$") then return nil end
  return s
end

--- An address in its usual form: " Ana Silva <Ana.Silva@ACME.com> " is "ana.silva@acme.com". nil when it is none.
---@param s string|nil
---@return string|nil email
---@return string|nil domain
function text.email(s)
  if type(s) ~= "string" then return nil end
  s = trim(s)
  s = s:match("<([^<>]+)>%s*$") or s
  s = trim(s:gsub("^[Mm][Aa][Ii][Ll][Tt][Oo]:", "")):gsub("[.,;]+$", "")
  local name, host = s:match("^([^@%s]+)@([^@%s]+)$")
  if not name or #name > 64 or name:find("[<>(),;:\"\\]") or name:find("..", 1, true) or name:find("^%.") then
    return nil
  end
  if host:find("[/?#:]") then return nil end
  local dot = host:lower():gsub("%.+$", "")
  if not text.domain("x." .. dot) or not dot:find(".", 1, true) then return nil end
  -- text.domain strips "www.", which is part of an address's host.
  return name:lower() .. "@" .. dot, (text.domain(dot))
end

local free_mail = {}
for host in ([[
  gmail.com googlemail.com outlook.com outlook.de outlook.fr hotmail.com hotmail.co.uk hotmail.fr hotmail.de
  hotmail.it hotmail.es live.com live.co.uk live.fr live.nl msn.com yahoo.com yahoo.co.uk yahoo.fr yahoo.de
  yahoo.it yahoo.es yahoo.ca yahoo.com.br yahoo.co.in yahoo.co.jp ymail.com rocketmail.com aol.com icloud.com
  me.com mac.com gmx.de gmx.net gmx.at gmx.ch gmx.com web.de t-online.de freenet.de posteo.de mailbox.org
  proton.me protonmail.com pm.me tutanota.com fastmail.com zoho.com mail.com mail.ru yandex.ru yandex.com
  bk.ru inbox.ru list.ru qq.com 163.com 126.com sina.com naver.com hanmail.net daum.net orange.fr wanadoo.fr
  free.fr laposte.net sfr.fr libero.it virgilio.it tiscali.it alice.it btinternet.com sky.com talktalk.net
  comcast.net verizon.net att.net sbcglobal.net cox.net charter.net shaw.ca rogers.com bigpond.com
  optusnet.com.au xtra.co.nz telenet.be skynet.be ziggo.nl kpnmail.nl bluewin.ch wp.pl o2.pl onet.pl seznam.cz
  centrum.cz uol.com.br bol.com.br terra.com.br rediffmail.com hey.com duck.com mailinator.com yopmail.com
]]):gmatch("%S+") do free_mail[host] = true end

--- Whether anybody can have an address there, so that it says nothing about a company. Takes a domain or an address.
---@param domain string|nil
---@return boolean
function text.is_free_mail(domain)
  local host = text.domain(domain)
  return host ~= nil and free_mail[host] == true
end

local country_by_name = {}
for code, entry in pairs(countries) do
  country_by_name[code:lower()] = code
  country_by_name[entry.alpha3:lower()] = code
  for _, name in ipairs(entry.names) do country_by_name[words(name)] = code end
end

-- "Republic of Austria", "Germany (DE)", "DE - Germany"
local wrappings = {
  "^republic of (.+)$", "^kingdom of (.+)$", "^state of (.+)$", "^federal republic of (.+)$",
  "^(.+) %a%a%a?$", "^%a%a%a? (.+)$",
}

--- The ISO 3166 alpha-2 code of a country as people write it: "deutschland", "U.S.A.", "GBR", "the Netherlands", "UK".
---@param s string|nil a name, a code, or a common dirty form of one
---@return string|nil code
function text.country(s)
  if type(s) ~= "string" then return nil end
  if s:lower():find("^%s*n%s*[/.]%s*a[/.]?%s*$") then return nil end   -- "n/a" is not Namibia
  local key = words(s)
  local tight = key:gsub(" ", "")
  local code = country_by_name[key] or country_by_name[key:gsub("^the ", "")]
      or country_by_name[key:gsub(" the$", "")]
  if code then return code end
  if #tight <= 4 then return country_by_name[tight] end         -- "U. S. A."
  for _, wrapped in ipairs(wrappings) do
    local inner = key:match(wrapped)
    if inner and country_by_name[inner] then return country_by_name[inner] end
  end
  local last = s:match("[,/|]%s*([^,/|]+)%s*$")                 -- "Munich, Germany"
  if last and #last < #s then return text.country(last) end
  return nil
end

local states_by_name = {}   -- { "US-WA", "AU-WA" } of "wa"
for _, entry in ipairs(states) do
  local function put(key)
    states_by_name[key] = states_by_name[key] or {}
    table.insert(states_by_name[key], entry.country .. "-" .. entry.code)
  end
  put(entry.code:lower())
  put(entry.country:lower() .. " " .. entry.code:lower())
  for _, name in ipairs(entry.names) do put(words(name)) end
end

--- The ISO 3166-2 codes that a state may mean, as people write it: "Calif.", "CA" and "california" are "US-CA", "WA" is
--- "US-WA" or "AU-WA". Knows the states of the USA, Canada, Australia and Germany.
---@param s string|nil
---@param country string|nil alpha-2: only its states
---@return string[] codes none when it is not understood
function text.states(s, country)
  local out = {}
  local key = type(s) == "string" and words(s) or ""
  for _, code in ipairs(states_by_name[key] or states_by_name[key:gsub(" ", "")] or {}) do
    if not country or code:sub(1, 2) == country then out[#out + 1] = code end
  end
  return out
end

--- The English name of a code.
---@param code string alpha-2
---@return string|nil
function text.country_name(code)
  local entry = type(code) == "string" and countries[code:upper()]
  return entry and entry.names[1] or nil
end

--- A phone number as "+491701234567" (E.164). A number without a country code needs `country`.
---@param s string|nil
---@param country string|nil as text.country takes it
---@return string|nil
function text.phone(s, country)
  if type(s) ~= "string" then return nil end
  local n = s:lower():gsub("%s*e?xt?%.?%s*%d+%s*$", ""):gsub("^%s*tel[:.]?", "")
  n = n:gsub("%(0%)", "")
  if n:find("[%a]") then return nil end
  local plus = n:find("^%s*%(?%+") ~= nil
  n = n:gsub("%D", "")
  if not plus and n:find("^00") then plus, n = true, n:sub(3) end
  if not plus then
    local code = text.country(country)
    local prefix = code and countries[code].calling
    if not prefix then return nil end
    if prefix == "1" then
      if #n == 11 and n:sub(1, 1) == "1" then n = n:sub(2) end
      if #n ~= 10 then return nil end
    elseif code == "RU" or code == "KZ" then
      if #n == 11 and n:sub(1, 1) == "8" then n = n:sub(2) end
    elseif code ~= "IT" and code ~= "SM" and code ~= "VA" then  -- Italy keeps its leading zero
      n = n:gsub("^0", "")
    end
    n = prefix .. n
  end
  if #n < 8 or #n > 15 or n:sub(1, 1) == "0" then return nil end
  return "+" .. n
end

--- The name to compare companies by: no legal form, accents or punctuation. "ACME Trading GmbH & Co. KG" is "acme trading".
---@param s string|nil
---@return string|nil
function text.company_name(s)
  if type(s) ~= "string" then return nil end
  local name = firms.plain(words((s:gsub("&", " and "))))
  return name ~= "" and name or nil
end

return text
