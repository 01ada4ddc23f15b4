--- API keys of HubSpot in a text: the hapikey parameter, options of its clients, names of variables, n8n's credentials.
local keys = {}

-- What no program sends: a pattern that strips the key out of URLs, or what stands in its place.
local SCRUBBED <const> = { "^%[%^", "^%[%w%-", "^%[?%(?%?", "^%(%[", "^\\[wSsdb]", "^%.[*+]", "^%*", "^%[?<?[Rr][Ee][Dd][Aa][Cc]",
  "^%[?<?[Hh]idden", "^%[?<?HIDDEN",
  "^%[?<?[Mm]asked", "^%[?<?MASKED", "^%[?[Ff][Ii][Ll][Tt][Ee][Rr]", "^%[?<?[Rr]emoved", "^%[%%%w", "^%[0%-9", "^%[a%-", "^%[A%-" }

local STRIPS <const> = { "redact", "scrub", "sanit", "mask", "filter", "strip", "hide", "censor", "delete", "remove", "unset", "omit",
  "ignore", "exclude",
  "assertnot", "refute", "tobefalsy", "not_to", "tonotcontain", "doesnotmatch", "deprecated", "forbid", "disallow", "reject",
  "banned" }

local READS <const> = { "get", "env", "fetch", "secret", "config", "param", "lookup", "read", "propert", "setting", "require", "query",
  "append", "set", "header", "format", "post",
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

local HEX <const> = "%x%x%x%x"
local UUID <const> = HEX .. HEX .. "%-" .. HEX .. "%-" .. HEX .. "%-" .. HEX .. "%-" .. HEX .. HEX .. HEX

-- A key that is written out, masked.
local function uuid(value) return value and value:find("^" .. UUID .. "$") and value:sub(1, 4) .. "…" or nil end

local JOINED <const> = "^\1?[\"'`]%s*[+.&~|<,%%\\]"
local NOTHING <const> = { ["false"] = true, null = true, undefined = true, ["nil"] = true, None = true, NULL = true, string = true }

-- What is taken out of a request or a log, or said not to be there: within the last words before the place.
local function is_stripped(before, after)
  local low = before:sub(-70):lower()
  return any(low, STRIPS) or low:find("secrets[\"']?%s*[:=]")
    or low:find("not%s+in%f[%W]") or low:find("%.not%.") or low:find("%f[%w]no%s+[\"'`?&]*$")
    or after:lower():find("^[\"'`]%s+not%s+in%f[%W]")
end

-- `hapikey=…`, `hapikey: …`, `"hapikey" => …`: what follows the name; nil when it is given nothing.
local function given(before, after)
  local value = after:match("^=([^=~].*)$")
  if value then
    for _, pattern in ipairs(SCRUBBED) do
      if value:find(pattern) then return nil end
    end
    -- "…?hapikey=" + key goes on; includes("hapikey=") does not.
    if value:find("^\1?[\"'`]%s*,%s*%d") then return nil end -- a table of what is hidden: { "hapikey=", 8 }
    if value:find("^\1?[\"'`]") and not before:find("^[^\"'`]*$") then return value:find(JOINED) and value end
    return not value:find("^%s") and value or not before:find("[?&]$") and value:find("%S") and value or nil
  end
  after = after:gsub("^%.%$(\1?[\"'])", "%1") -- a path of values: "hapikey.$": "$.key"
  value = after:match("^\1?[\"'%]]*%s*=>?%s*([^=%s].*)$") or after:match("^\1?[\"'`%]]*%s*:%s*([^=%s].*)$")
    or after:match("^\1?[\"']%s*%->%s*(%S.*)$")
  return value and not NOTHING[value:match("^[%a]*")] and value or nil
end

local NAMES <const> = { "[Kk]ey", "[Nn]ame", "[Vv]alue", "[Ff]ield", "[Pp]aram[%w_]*" }

-- The name in quotes: an argument, an index, a member of a list of parameters; not one of a list of words.
local function is_named(before, after)
  local rest = after:gsub("^\1?[\"'`]", "")
  for _, name in ipairs(NAMES) do
    if before:find(name .. "\1?[\"']?%s*[:=]>?%s*\1?[\"'`]$") then return true end
  end
  if before:find("[%w_]%s*=%s*[\"'`]$") and rest:find("^%s*;?%s*$") then return true end -- a constant
  if before:find("^%s*%l+%s+\"$") or before:find("^%s*%l+%s+\"[%w_]+\"%s+\"$") then return rest:find("^%s*{") ~= nil end -- a block's label
  if before:lower():find("auth[%w_]*[\"']?%s*[:=]>?%s*[%[(]%s*[\"']$") then return true end
  if before:find("`[^`]*%f[%w]%l+:\"$") then return true end -- Go's tag
  if before:find("[%w_>]%s*{%s*[\"']$") and rest:find("^%s*}") then return true end -- Perl's index
  if before:find("{%s*[\"']$") and rest:find("^%s+[%(%a:]") then return true end -- Clojure's pair
  local call, open = before:match("([%w_]+)%s*([%(%[])%s*\1?[\"'`:]$")
  if open == "[" and not before:find("[=:(,]%s*%[%s*\1?[\"'`:]$") then return rest:find("^%s*%]") ~= nil end
  if call and open == "(" then
    if rest:find("^%s*%)") then return any(call:lower(), READS) ~= nil end
    if rest:find("^%s*,%s*[\"'`]") then return any(call:lower(), READS) ~= nil and rest:find("^%s*,%s*[\"'`][^\"'`]*[\"'`]%s*%)") ~= nil end
    return rest:find("^%s*,") ~= nil and not call:lower():find("pop")
  end
  call = before:match("([%w_]+)%s*%([^()]*,%s*\1?[\"'`]$")
  if call and any(call:lower(), READS) and rest:find("^%s*,") and not rest:find("^%s*,%s*[\"'`]") then return true end
  call = before:match("([%w_]+)%s*%(%s*[\"'][%w_.%-]+[\"']%s*,%s*[\"']$") -- get("hubspot", "hapikey")
  if call and any(call:lower(), READS) and rest:find("^%s*%)") then return true end
  if before:find("[%(%[{]%s*\1?[\"'`:]$") then -- a pair: ("hapikey", key), {"hapikey", key}
    local second = rest:match("^%s*,%s*(.-)%s*[%)%]}]")
    return second ~= nil and not second:find("^[\"'`:]")
  end
  return false
end

-- Whether the word at from..to is used: given, asked for or named in a request; not talked about.
local function is_use(s, from, to, indented)
  local before, after = line_before(s, from), line_after(s, to + 1)
  if before:find("[\"'`][^\"'`]*%l%l%l %($") and after:find("^%)[%s.:,;]") then return false end -- said: "an API key (hapikey)."
  if indented and before:find("%[[^%]{}\"']*$") then return false end -- a list of words
  if is_stripped(before, after) or before:lower():find("log[%w_]*%.%a+%s*%([\"'`]$") then return false end
  local value = given(before, after)
  local quoted = before:find("[\"'`]$") and after:find("^\1?[\"'`]")
  if value then
    -- Prose: "the old hapikey: it is gone".
    local said = after:find("^:%s") and before:find("%a%s+$")
    if not said or before:find("^%s*%a[%w_]*%s+$") == nil and before:find("[{,(]%s*$") then return true end
    if not said then return true end
  end
  if after:find("^=[=~]") or before:find("%-%-$") then return true end
  if before:find("{[?&][%w_,]*$") and after:find("^[,}]") then return true end -- a URI template's {?hapikey}
  if quoted or before:find(":$") and after:find("^[%s,%]%)]") and before:find("[%[(,]%s*:$") then return is_named(before, after) end
  -- A variable or a member that is passed on: options.hapikey, $hapikey, { hapikey }, key = hapikey.
  if before:find("[%w_)%]][.]$") or before:find("%->$") or before:find("::$") or before:find("%$[{]?$") or before:find("@$") then
    return true end
  if before:find("[{,(]%s*$") and after:find("^%s*[,})]") then return true end
  if before:find("[{%s]:$") and after:find("^%s+[%w(]") then return true end -- {:hapikey key}
  local ends = after:find("^%s*[,;)}%]&+.|]") or after:find("^%s*$")
  if ends and (before:find("[=:+]%s*$") or before:find("[#$%%]{%s*$") or before:find("{{%s*$") or before:find("%f[%w]return%s+$")) then
    return true end
  return after:find("^[\"'%]]*%s*[=:]>?%s*$") ~= nil and (before:find("^%s*[\"']?$") or before:find("[{(,]%s*[\"']?$")) ~= nil
end

-- The word that calls or opens what surrounds a position: callee and keys of up to `depth` brackets outwards.
local function around(s, at, depth)
  local words, level, low = {}, 0, math.max(1, at - 1500)
  local brackets = {}
  for i, c in s:sub(low, at - 1):gmatch("()([%(%)%[%]{}])") do brackets[#brackets + 1] = { low + i - 1, c } end
  for n = #brackets, 1, -1 do
    local i, c = brackets[n][1], brackets[n][2]
    if c == ")" or c == "}" or c == "]" then level = level + 1
    elseif level > 0 then level = level - 1
    else
      words[#words + 1] = { open = c, text = s:sub(math.max(1, i - 160), i - 1):match("[^;{}()]*$"), at = i }
      if #words == depth then break end
    end
  end
  return words
end

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
        or line:match("^%s*use%s+[\\%w]*[Hh]ub[sS]pot[\\%w]*\\([%w_]+)%s*;") or line:match("^%s*use%s+.*[Hh]ub[sS]pot.*%sas%s+([%w_]+)")
        or line:match("^%s*([%w_]+)%s+\"[^\"]*[Hh]ub[sS]pot[^\"]*\"%s*$") or line:match("^%s*import%s+([%w_]+)%s+\"[^\"]*[Hh]ub[sS]pot")
      if list then take(list) end
    end
  end
  return names
end

local function has_hubspot(word) return word:lower():find("hubspot", 1, true) ~= nil or word:find("%f[%w]hapi%f[%W]") ~= nil end

-- Members that say what an object is about, and keys that say nothing of it.
local NAMING <const> = { name = true, type = true, source = true, service = true, app = true, integration = true, connector = true,
  provider = true, vendor = true, system = true, slug = true }
local GENERIC <const> = { credentials = true, config = true, configuration = true, connectionconfiguration = true, settings = true,
  options = true, params = true, parameters = true, auth = true, authentication = true, connection = true, portals = true, accounts = true,
  default = true, development = true, test = true, staging = true, production = true }

-- {"name": "hubspot", "config": {"api_key": …}}: whether an object around the place is HubSpot's by a member of its own.
local function is_in_hubspots_object(s, at, file)
  for _, one in ipairs(around(s, at, 4)) do
    if one.open ~= "{" then return false end
    if file and one.at == s:find("%S") then return true end
    local own = s:sub(one.at + 1, one.at + 1500):gsub("%b{}", ""):match("^[^}]*")
    for member, value in own:gmatch("\"(%a+)\"%s*:%s*\"([^\"]*)\"") do
      if NAMING[member:lower()] and has_hubspot(value) then return true end
    end
    local key = one.text:match("\"([%w_]+)\"%s*:%s*$")
    if not key or not GENERIC[key:lower()] then return false end
  end
  return false
end

-- An option named apiKey: HubSpot's where HubSpot's client or a part of settings that is called so surrounds it.
local function option_is_hubspots(s, from, to, names, yaml, file)
  local after = s:sub(to + 1, to + 40)
  local quoted = after:match("^\1?[\"']")
  local rest = after:gsub("^\1?[\"']", "")
  if not rest:find("^%s*[:=]") and not (rest:find("^%s*[,}]") and not quoted) and not rest:find("^%s*=>") then return false end
  if rest:find("^%s*==") then return false end
  if quoted and is_in_hubspots_object(s, from - 1, file) then return true end
  local entry = s:sub(math.max(1, from - 300), from - 1):match("%f[%w]config%s+:[^\n]-[Hh]ub[sS]pot[%w_.]*,([^\n]*\n?[^\n]*)$") -- Elixir's
  if entry and not entry:find("%f[%w]config%s") then return true end
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
    local at, generic = from, true
    for _ = 1, 12 do
      local start = s:sub(1, at):find("\n[^\n]*$")
      if not start then break end
      local line = s:sub(math.max(1, start - 200), start - 1):match("[^\n]*$")
      local own = #line:match("^%s*")
      if line:find("%S") and own < indent then
        local key = line:match("^%s*%-?%s*([%w_%-.]+):") or line:match("^%s*%[([^%]]+)%]") or ""
        if has_hubspot(key) then return true end
        generic = generic and (line:find("^%s*%-") ~= nil or GENERIC[key:lower()] ~= nil)
        indent = own
      elseif line:match("^%s*%[([^%]]+)%]") then return has_hubspot(line) end
      at = start - 1
      if at < 1 then break end
    end
    if file and generic then return true end
  end
  return false
end

---@class migrate.key
---@field at integer
---@field what string what is found, in few words
---@field value string|nil what is written out there, masked
---@field name string|nil a variable's name, for which other files may tell that it holds a token

-- Words on lines that send a bearer token.
local function bearer_words(s, low)
  local words = {}
  for _, mark in ipairs { "bearer", "access_?token" } do
    local at = 1
    while true do
      local from, to = low:find(mark, at)
      if not from then break end
      for word in (line_before(s, from) .. line_after(s, from)):gmatch("[%a_][%w_]*") do words[word] = true end
      at = to + 1
    end
  end
  return words
end

-- Names such as HUBSPOT_API_KEY, hubspotApiKey, hubspot.api-key, HS_API_KEY; not those of a developer's key.
local function each_variable(low, fn)
  local at = 1
  while true do
    local hit, to = low:find("api[_.%-]?key", at)
    if not hit then return end
    at = to + 1
    local from = hit - #low:sub(math.max(1, hit - 60), hit - 1):match("[%w_.%-]*$")
    local stop = to + #low:match("^[%w_%-]*", to + 1)
    local small = low:sub(from, stop):gsub("[_.%-]", "")
    local ours = small:find("hubspotapikey", 1, true) or small == "hsapikey"
    if ours and not small:find("developer", 1, true) and not small:find("hapikey", 1, true) then fn(from, stop) end
  end
end

local INDENTED <const> = { yaml = true, yml = true, ini = true, toml = true, cfg = true }

-- The parameter hapikey, and names that hold it: hubspotHapikey, HAPIKEY.
local function parameters(s, low, extension, context, add, mention)
  local at, indented = 1, INDENTED[extension]
  while true do
    local from, to = low:find("hapi[_%-]?key", at)
    if not from then return end
    at = to + 1
    local before = low:sub(math.max(1, from - 12), from - 1)
    if whole(s, from, to) and (context or to - from == 6) and not before:find("developer[_%-]$") then
      local name = s:sub(math.max(1, from - 40), to):match("[%w_]+$")
      local constant = name == name:upper() and not line_before(s, from):find("[\"'`][^\"'`]*%s$")
      -- "/prod/hubspot/hapikey", "Hubspot:HapiKey": where a secret or a setting lies.
      local place = s:sub(math.max(1, from - 80), to):match("[\"']([%w_/][%w_%-./:]*)$")
      if is_use(s, from, to, indented) or #name > to - from + 1 and is_use(s, to - #name + 1, to, indented) or constant
        or place and #place > #name and not place:find("//", 1, true) and is_use(s, to - #place + 1, to, indented) then
        local value = line_after(s, to + 1):match("^\1?[\"'%]]*%s*[=:]>?%s*\1?[\"'`]?([%w%-_]+)")
        add(from, "the API key parameter hapikey", { value = uuid(value) })
      else mention(from) end
    end
  end
end

local function variables(s, low, bearer, add)
  local sent = bearer_words(s, low)
  each_variable(low, function(from, stop)
    local name = s:sub(from, stop)
    local before, after = line_before(s, from), line_after(s, stop + 1)
    local value, short = after:match("^[\"']?%s*[=:]%s*[\"']?([%w%-_]+)"), name:match("[%w_]+$")
    -- The name that it is given to: const key: string = process.env.…
    local alias = (before:match("^(.*)=[^=]*$") or ""):gsub("%s*:[%s%w_&<>|]*$", ""):match("([%a_][%w_]*)%s*$")
    local passed = alias and sent[alias] and not low:find("hapikey[^\n]-%f[%w_]" .. alias:lower() .. "%f[^%w_]")
    if sent[short] or passed or value and value:find("^pat%-%l%l%d") then bearer[short] = true
    elseif not any(before:lower(), STRIPS) and not before:find("[\"'`][^\"'`]*%s$") and not before:find("https?://[^%s\"'?]*[^${%s\"'?]$")
      and not before:find("%f[%w]id[\"']?%s*[:=]%s*[\"']?$") then
      add(from, ("the API key in %s"):format(name), { name = short, value = uuid(value) })
    end
  end)
end

local function options(s, low, extension, names, file, add)
  local at = 1
  while true do
    local from, to = low:find("%f[%w_]api[_%-]?key%f[^%w_]", at)
    if not from then return end
    at = to + 1
    if not s:find("^[?&]", from - 1) and option_is_hubspots(s, from, to, names, INDENTED[extension], file) then
      local value = line_after(s, to + 1):match("^\1?[\"']?%s*[=:]>?%s*\1?[\"'`]([%w%-_]+)")
      if not (value and value:find("^pat%-%l%l%d")) then add(from, "an API key as the option of a HubSpot client",
        { value = uuid(value) }) end
    end
  end
end

-- What takes a key and nothing else; and what else must stand before it on its line.
local LOGINS <const> = {
  { "()createWithApiKey%s*%(", nil, "an API key given to HubSpot's PHP client" },
  { "()[Ss]etApiKey%s*%(", "hubspot", "an API key given to a HubSpot client" },
  { "()[Ss]etApiKey%s*%([\"']hapi", nil, "an API key given to a HubSpot client" },
  { "()SetAPIKey%s*%(", "hubspot", "an API key given to a HubSpot client" },
  { "()Hubspot\\Factory::create%s*%(%s*[\"'$]", nil, "an API key given to a HubSpot client" },
  { "()new%s+HubSpotApi%s*%(", nil, "an API key given to a HubSpot client" },
  -- The app token's and OAuth's credentials have other names.
  { "()\"hubspotApi\"%s*:", nil, "n8n's HubSpot API credential, which is an API key" },
}

-- Variables that hold a client of HubSpot's: const c = new Client(), c = HubSpot().
local function clients(s, names)
  local found = {}
  for variable, callee in s:gmatch("%f[%w_]([%a_][%w_]*)%s*:?=%s*([%w_.:\\ ]+)%(") do
    callee = callee:gsub("^new%s+", "")
    if names[callee:match("^\\?([%a_][%w_]*)") or ""] or has_hubspot(callee) then found[variable] = true end
  end
  return found
end

local function logins(s, names, add)
  if s:find("use%s+SevenShores\\Hubspot\\Factory%s*;") then
    for from in s:gmatch("()%f[%w_\\]Factory::create%s*%(%s*[\"'$%a]") do add(from, "an API key given to HubSpot's PHP client") end
  end
  local held = clients(s, names)
  for from, to in s:gmatch("()[aA][pP][iI]_?[kK][eE][yY]()") do
    -- client.apiKey = …, client.config.apiKey = …, client.setApiKey(…)
    local before, after = line_before(s, from, 100), line_after(s, to, 40)
    local setter = before:find("[sS]et_?$") and after:find("^%s*%(")
    local variable = before:match("([%a_][%w_]*)[%w_.>%-]*[.>]" .. (setter and "[sS]et_?$" or "_?$"))
    if variable and held[variable] and (setter or after:find("^%s*=[^=]")) then add(from, "an API key given to a HubSpot client") end
  end
  for _, login in ipairs(LOGINS) do
    for from in s:gmatch(login[1]) do
      if not login[2] or line_before(s, from):lower():find(login[2], 1, true) then add(from, login[3]) end
    end
  end
  for from in s:gmatch("()\"authentication\"%s*:%s*\"apiKey\"") do
    for _, one in ipairs(around(s, from, 2)) do
      local node = s:match("^%b{}", one.at) or ""
      if node:find("\"type\"%s*:%s*\"[^\"]*[hH]ub[sS]pot") and not node:find("\"hubspotApi\"", 1, true) then
        add(from, "an n8n node that logs in with an API key")
        break
      end
    end
  end
end

---@param s string the view
---@param extension string
---@param context boolean it speaks of HubSpot
---@param file boolean its name does: config/hubspot.json
---@return migrate.key[] found one a line
---@return integer[] mentions
---@return table<string, true> bearer variables that are sent as a bearer token
function keys.find(s, extension, context, file)
  local found, mentions, lines, bearer, low = {}, {}, {}, {}, s:lower()
  local function add(from, what, more)
    local start = from - #line_before(s, from, 4000)
    if lines[start] then return end
    lines[start] = true
    more = more or {}
    more.at, more.what = from, what
    found[#found + 1] = more
  end
  parameters(s, low, extension, context, add, function(from) mentions[#mentions + 1] = from end)
  variables(s, low, bearer, add)
  if context then
    local names = bound(s)
    options(s, low, extension, names, file, add)
    logins(s, names, add)
  end
  table.sort(found, function(a, b) return a.at < b.at end)
  return found, mentions, bearer
end

return keys
