--- API keys of HubSpot in a text: the hapikey parameter, options of its clients, names of variables, n8n's credentials.
local keys = {}

-- What no program sends: a pattern that strips the key out of URLs, or what stands in its place.
local SCRUBBED <const> = { "^%[%^", "^%[%w%-", "^%[?%(?%?", "^%(%[", "^\\[wSsdb]", "^%.[*+]", "^%*", "^%[?<?[Rr][Ee][Dd][Aa][Cc]",
  "^%[?<?[Hh]idden", "^%[?<?HIDDEN",
  "^%[?<?[Mm]asked", "^%[?<?MASKED", "^%[?[Ff][Ii][Ll][Tt][Ee][Rr]", "^%[?<?[Rr]emoved", "^%[%%%w", "^%[0%-9", "^%[a%-", "^%[A%-" }

local STRIPS <const> = { "redact", "scrub", "sanit", "mask", "filter", "strip", "hide", "censor", "delete", "remove", "unset", "omit",
  "ignore", "exclude",
  "assertnot", "refute", "tobefalsy", "not_to", "tonotcontain", "doesnotmatch", "deprecated", "forbid", "disallow", "reject", "banned",
    "secrets" }

local READS <const> = { "get", "env", "fetch", "secret", "config", "param", "lookup", "read", "propert", "setting", "require", "query",
  "append", "set", "header",
  "put", "add", "option", "arg", "input", "value", "var", "field", "key", "with", "build", "pair", "name", "push", "insert", "create",
    "tuple" }

local function any(s, words)
  for _, word in ipairs(words) do
    if s:find(word, 1, true) then return word end
  end
end

-- The text before a position on its line, in small letters.
local function line_before(s, at, most)
  return s:sub(math.max(1, at - (most or 300)), at - 1):match("[^\n]*$")
end

local function line_after(s, at, most)
  return s:sub(at, at + (most or 300)):match("^[^\n]*")
end

-- Whether the word that ends at `to` ends there, and begins at `from`: "hapikeys" and "chapikey" are other words.
local function whole(s, from, to)
  if s:find("^[%l]", to + 1) or s:find("^%d", to + 1) then return false end
  local before = s:sub(from - 1, from - 1)
  if before:find("%a") then return s:find("^%u", from) and before:find("%l") ~= nil end
  return true
end

-- A value that is written out, masked: the first four characters and how many there are.
local function masked(value)
  if #value <= 8 then return ("…"):rep(1) end
  return value:sub(1, 4) .. "…"
end
keys.masked = masked

local HEX <const> = "%x%x%x%x"
local UUID <const> = HEX .. HEX .. "%-" .. HEX .. "%-" .. HEX .. "%-" .. HEX .. "%-" .. HEX .. HEX .. HEX
keys.UUID = UUID

-- Whether the word "hapikey" at from..to is used: given, asked for or named in a request; not talked about.
local function is_use(s, from, to)
  local before, after = line_before(s, from), line_after(s, to + 1)
  local low = before:lower()
  -- A regular expression, a scrubber, an assertion that it is not there.
  local value = after:match("^\1?[\"'%]]*%s*[=:]>?%s*\1?[\"'`]?(.*)$")
  local assigned = after:match("^=%s*(.*)$")
  if assigned then
    for _, pattern in ipairs(SCRUBBED) do
      if assigned:find(pattern) then return false end
    end
    if before:find("[?&\"'`%s]$") and before:find("%f[%w_]not_?[%a]*%W[^\n]*$") and low:find("assert") then return false end
  end
  if any(low, STRIPS) then return false end
  if low:find("not%s+in%f[%W]") or low:find("%.not%.") or low:find("%f[%w]no%s+$") or after:lower():find("^[\"'`]%s+not%s+in%f[%W]") then
    return false end
  local query = before:find("[?&]$") or before:find("\\u0026$") or before:find("&amp;$") or before:find("%%3[Ff]$") or before:find("%%26$")
  if assigned and query then return assigned:find("%S") ~= nil end
  if after:find("^=[=~]") then return true end
  local quoted = before:match("[\"'`:]$") and after:match("^\1?[\"'`]") or nil
  if value and value:find("%S") then
    -- "'hapikey': key", "hapikey=key", "hapikey => key"; prose goes on with a blank and has no value.
    if assigned or quoted or after:find("^[\"'%]]*%s*[=:]") then
      if after:find("^:%s") and before:find("%a%s+$") and not before:find("[{,(]%s*$") and not before:find("^%s*[%w_]*%s*$") then
        return false end
      return true
    end
  end
  if value and not quoted and after:find("^[\"'%]]*%s*[=:]>?%s*$") and (before:find("^%s*$") or before:find("[{(,]%s*$")) then
    return true end
  if quoted then
    local call = before:match("([%w_.:>%-]+)%s*[%(%[]%s*\1?[\"'`:]$") or before:match("([%w_.:>%-]+)%s*[%(%[][^%)%]]*,%s*\1?[\"'`]$")
    -- name = "hapikey", { "key": "hapikey", … }: the parameter in a list of them.
    if before:find("[Kk]ey\1?[\"']?%s*[:=]>?%s*\1?[\"'`]$") or before:find("[Nn]ame\1?[\"']?%s*[:=]>?%s*\1?[\"'`]$")
      or before:find("[Vv]alue\1?[\"']?%s*[:=]>?%s*\1?[\"'`]$") or before:find("[Ff]ield\1?[\"']?%s*[:=]>?%s*\1?[\"'`]$")
      or before:find("[Pp]aram[%w_]*\1?[\"']?%s*[:=]>?%s*\1?[\"'`]$") then return true end
    local rest = after:gsub("^\1?[\"'`]", "")
    if call and any(call:lower(), READS) then
      return rest:find("^%s*[,%)%]]") ~= nil
    end
    if call == nil and before:find("[%(%[{]%s*\1?[\"'`:]$") then -- a pair: ("hapikey", key), {"hapikey", key}
      local second = rest:match("^%s*,%s*(.-)%s*[%)%]}]")
      if second then return not second:find("^[\"'`:]") end
      return rest:find("^%s*%]%s*=[^=]") ~= nil
    end
    if call and before:find("%[%s*\1?[\"'`:]$") then return true end -- params["hapikey"]
    if call and rest:find("^%s*,") then return not rest:find("^%s*,%s*[\"'`]") or rest:find("^%s*,%s*[\"'`][^\"'`]*[\"'`]%s*%)") ~= nil
      and any(call:lower(), READS) ~= nil end
    return false
  end
  -- A name of a variable or a member that is passed on: options.hapikey, $hapikey, { hapikey }, (hapikey).
  if before:find("[%w_)%]][.]$") or before:find("%->$") or before:find("::$") or before:find("%$[{]?$") or before:find("@$") then
    return true end
  if before:find("[{,(]%s*$") and after:find("^%s*[,})]") then return true end
  if before:find("[=:+]%s*$") or before:find("[#$%%]{%s*$") or before:find("{{%s*$") then return true end
  if before:find("%f[%w]return%s+$") then return true end
  return false
end

-- The word that calls or opens what surrounds a position: callee and keys of up to `depth` brackets outwards.
local function around(s, at, depth)
  local words, level = {}, 0
  local i, low = at - 1, math.max(1, at - 3000)
  while i >= low and depth > 0 do
    local c = s:sub(i, i)
    if c == ")" or c == "}" or c == "]" then level = level + 1
    elseif c == "(" or c == "{" or c == "[" then
      if level > 0 then level = level - 1
      else
        depth = depth - 1
        local before = s:sub(math.max(1, i - 160), i - 1):match("[^;{}()]*$")
        words[#words + 1] = { open = c, text = before, at = i }
      end
    end
    i = i - 1
  end
  return words
end
keys.around = around

local LIBRARIES <const> = { "@hubspot/api%-client", "%f[%w]hubspot%f[%W]", "HubSpot", "hubspot%-api%-client", "hubspot3", "hubspot%-php",
  "Hubspot" }

-- Names that the text binds to HubSpot's client: const { Client } = require('@hubspot/api-client').
local function bound(s)
  local names = {}
  local function take(list)
    for word in list:gmatch("[%a_][%w_]*") do
      if word ~= "as" and word ~= "type" and word ~= "default" then names[word] = true end
    end
  end
  for line in s:gmatch("[^\n]+") do
    if line:lower():find("hubspot", 1, true) then
      local list = line:match("^%s*import%s+(.-)%s+from%s*[\"'][^\"']*[Hh]ub[sS]pot")
        or line:match("^%s*%l+%s+(.-)%s*=%s*require%s*%(?%s*[\"'][^\"']*[Hh]ub[sS]pot")
        or line:match("^%s*from%s+[%w_.]*[Hh]ub[sS]pot[%w_.]*%s+import%s+(.+)$")
          or line:match("^%s*import%s+[%w_.]*[Hh]ub[sS]pot[%w_.]*%s+as%s+([%w_]+)")
        or line:match("^%s*use%s+\\?[Hh]ub[sS]pot[\\%w]*\\([%w_]+)%s*;") or line:match("^%s*use%s+.*[Hh]ub[sS]pot.*%sas%s+([%w_]+)")
        or line:match("^%s*([%w_]+)%s+\"[^\"]*[Hh]ub[sS]pot[^\"]*\"%s*$") or line:match("^%s*import%s+([%w_]+)%s+\"[^\"]*[Hh]ub[sS]pot")
      if list then take(list) end
    end
  end
  return names
end

local OPTION <const> = { "[aA][pP][iI]_?%-?[kK][eE][yY]" }

local function has_hubspot(word) return word:lower():find("hubspot", 1, true) ~= nil or word:find("%f[%w]hapi%f[%W]") ~= nil end

-- An option named apiKey: HubSpot's where HubSpot's client or a part of settings that is called so surrounds it.
local function option_is_hubspots(s, from, to, names, yaml)
  local after = s:sub(to + 1, to + 40)
  local quoted = after:match("^\1?[\"']")
  local rest = after:gsub("^\1?[\"']", "")
  if not rest:find("^%s*[:=]") and not (rest:find("^%s*[,}]") and not quoted) and not rest:find("^%s*=>") then return false end
  if rest:find("^%s*==") then return false end
  for depth, one in ipairs(around(s, from, 3)) do
    local callee = one.text:match("([%w_.:\\>$-]+)[%s\"'%]]*[:=]?>?%s*$") or ""
    local head = callee:match("^[^%w_$\\]*([%a_][%w_]*)") or ""
    if one.open == "(" or one.open == "{" or one.open == "[" then
      if has_hubspot(callee) or names[head] and (one.open == "(" or one.open == "{") then return true end
      if one.open == "(" then return false end -- another call's
      local key = one.text:match("[\"']([%w_ .%-]+)[\"']%s*[:=]>?%s*$")
      if key and has_hubspot(key) then return true end
      if depth > 1 and callee ~= "" and one.open == "(" then return false end
    end
  end
  if yaml then
    local indent = #line_before(s, from):match("^%s*")
    local at = from
    for _ = 1, 12 do
      local start = s:sub(1, at):find("\n[^\n]*$")
      if not start then break end
      local line = s:sub(math.max(1, start - 200), start - 1):match("[^\n]*$")
      local own = #line:match("^%s*")
      if line:find("%S") and own < indent then
        if has_hubspot(line:match("^%s*%-?%s*([%w_%-.]+):") or line:match("^%s*%[([^%]]+)%]") or "") then return true end
        indent = own
      elseif line:match("^%s*%[([^%]]+)%]") then return has_hubspot(line) end
      at = start - 1
      if at < 1 then break end
    end
  end
  return false
end

---@class migrate.key
---@field at integer
---@field what string what is found, in few words
---@field value string|nil what is written out there, masked
---@field name string|nil a variable's name, for which other files may tell that it holds a token

---@param s string the view
---@param extension string
---@param context boolean
---@return migrate.key[] found
---@return integer[] mentions
---@return table<string, true> bearer variables that are sent as a bearer token
function keys.find(s, extension, context)
  local found, mentions, lines, bearer = {}, {}, {}, {}
  local function add(from, what, more)
    local start = from
    while start > 1 and s:sub(start - 1, start - 1) ~= "\n" and from - start < 4000 do start = start - 1 end
    if lines[start] then return end
    lines[start] = true
    more = more or {}
    more.at, more.what = from, what
    found[#found + 1] = more
  end

  local low = s:lower()
  local at = 1
  while true do
    local from, to = low:find("hapi[_%-]?key", at)
    if not from then break end
    at = to + 1
    local exact = low:sub(from, to) == "hapikey"
    if whole(s, from, to) and (exact or context) and not low:find("developer[_%-]?$", 1) then
      local before = low:sub(math.max(1, from - 12), from - 1)
      local name = before:find("[%w_]$") and s:sub(math.max(1, from - 40), to):match("([%w_]+)$") or nil
      if before:find("developer[_%-]$") then goto continue end
      local variable = name and #name > #"hapikey"
      if is_use(s, from, to) or (variable and is_use(s, to - #name + 1, to)) or s:sub(from, to):find("^HAPI_?KEY$") then
        local value = s:sub(to + 1, to + 120):match("^\1?[\"'%]]*%s*[=:]>?%s*\1?[\"'`]?([%w%-_]+)")
        add(from, "the API key parameter hapikey", { value = value and (value:find("^" .. UUID .. "$") and masked(value) or nil) })
      else
        mentions[#mentions + 1] = from
      end
    end
    ::continue::
  end

  -- Variables: HUBSPOT_API_KEY, hubspotApiKey, hubspot.api-key. A token under that name is told by how it is sent.
  for from, name, stop in s:gmatch("()([%a_][%w_.%-]*)()") do
    local small = name:lower():gsub("[_.%-]", "")
    local begin = small:find("hubspotapikey", 1, true) or small:find("hubspotkey$") and small:find("^hubspotkey$")
      or small:find("hsapikey", 1, true) and small:find("^hsapikey$")
    if begin and not small:find("developer", 1, true) and not small:find("hapikey", 1, true) or small == "hubspotapikey" then
      local before, after = line_before(s, from), line_after(s, stop)
      local whole_line = (before .. name .. after):lower()
      local value = after:match("^%s*[=:]%s*[\"']?([%w%-_]+)")
      local short = name:match("[%w_]+$")
      if whole_line:find("bearer", 1, true) or whole_line:find("access_?token") then bearer[short] = true
      elseif value and value:find("^pat%-%l%l%d") then bearer[short] = true
      elseif not any(before:lower(), STRIPS) and not before:find("[\"'`][^\"'`]*%s$") then
        add(from, ("the API key in %s"):format(name), { name = short, value = value and value:find("^" .. UUID .. "$") and masked(value)
          or nil })
      end
    end
  end

  if context then
    local names, yaml = bound(s), extension == "yaml" or extension == "yml" or extension == "ini" or extension == "toml"
      or extension == "cfg"
    for _, pattern in ipairs(OPTION) do
      local pos = 1
      while true do
        local from, to = s:find(pattern, pos)
        if not from then break end
        pos = to + 1
        local before = s:sub(from - 1, from - 1)
        if not before:find("[%w_]") and not s:find("^[%w_]", to + 1) and option_is_hubspots(s, from, to, names, yaml) then
          local value = s:sub(to + 1, to + 120):match("^\1?[\"']?%s*[=:]>?%s*\1?[\"'`]([%w%-_]+)")
          if not (value and value:find("^pat%-%l%l%d")) then
            add(from, "an API key as the option of a HubSpot client", { value = value and value:find("^" .. UUID .. "$")
              and masked(value) or nil })
          end
        end
      end
    end
    for from in s:gmatch("()createWithApiKey%s*%(") do add(from, "an API key given to HubSpot's PHP client") end
    for from in s:gmatch("()[Ss]etApiKey%s*%(") do
      local before = line_before(s, from):lower()
      if before:find("hubspot", 1, true) or before:find("hapi", 1, true) then add(from, "an API key given to a HubSpot client") end
    end
    for from in s:gmatch("()SetAPIKey%s*%(") do
      if line_before(s, from):lower():find("hubspot", 1, true) then add(from, "an API key given to a HubSpot client") end
    end
    for from in s:gmatch("()Hubspot\\Factory::create%s*%(%s*[\"'$]") do add(from, "an API key given to a HubSpot client") end
    for from in s:gmatch("()new%s+HubSpotApi%s*%(") do add(from, "an API key given to a HubSpot client") end
    -- n8n: the credential "HubSpot API" is a key; the app token's and OAuth's have other names.
    for from in s:gmatch("()\"hubspotApi\"%s*:") do add(from, "n8n's HubSpot API credential, which is an API key") end
    for from in s:gmatch("()\"authentication\"%s*:%s*\"apiKey\"") do
      for _, one in ipairs(around(s, from, 2)) do
        local stop = select(2, s:find("^%b{}", one.at)) or one.at
        if s:sub(one.at, stop):find("\"type\"%s*:%s*\"[^\"]*[hH]ub[sS]pot") and not s:sub(one.at, stop):find("\"hubspotApi\"", 1, true) then
          add(from, "an n8n node that logs in with an API key")
          break
        end
      end
    end
  end
  table.sort(found, function(a, b) return a.at < b.at end)
  return found, mentions, bearer
end

keys.libraries = LIBRARIES

return keys
