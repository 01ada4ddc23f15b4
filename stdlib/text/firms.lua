--- What a company's name is made of: the words that tell it from others, and those that do not (legal forms, articles,
--- "and"). Two forms of the words: as text.fold leaves them, and canonical ones, in which spellings of one word agree
--- ("Müller", "Mueller", "Muller"; "Tech", "Technologies"; "Ромашка", "Romashka").
local firms = {}

local function set(words)
  local found = {}
  for word in words:gmatch("%S+") do found[word] = true end
  return found
end

-- Legal forms by the countries whose law has them ("*": several that say little about where).
local forms = {}
for countries, words in pairs {
  ["DE AT CH LI"] = "gmbh mbh ggmbh ag kg kgaa ohg gbr ug ek eg ev partg og haftungsbeschraenkt haftungsbeschrankt",
  ["US CA"] = "inc incorporated", ["US AE"] = "llc", ["US GB IN AU CA SG"] = "llp lp", ["US"] = "pllc",
  ["*"] = "corp corporation co company sa se cv cie compagnie kk gk ltda limitada sc snc ad bt ik",
  ["GB IE US AU NZ IN CA SG HK ZA NG KE GH MT CY IL PK BD LK MY AE TH TR CN JP KR TW"] = "ltd limited",
  ["GB IE"] = "plc cic lbg dac teoranta teo",
  ["FR BE LU CH MA TN DZ"] = "sarl sas sasu eurl sca sci scop",
  ["BE NL LU"] = "bv nv vof bvba sprl scrl commv asbl vzw stichting",
  ["IT SM"] = "spa srl sapa srls scarl sas ss",
  ["ES"] = "sl slu sau sll slp", ["MX"] = "sapi", ["CL PE CO"] = "sac spa eirl",
  ["CA"] = "ltee", ["PT BR"] = "lda unipessoal eireli",
  ["SE FI"] = "ab publ hb", ["DK NO"] = "as asa aps is ans da", ["FI"] = "oy oyj ky", ["IS"] = "ehf hf",
  ["PL"] = "spzoo spk psa", ["CZ SK"] = "sro spol vos as", ["HU"] = "kft zrt nyrt", ["RO MD"] = "srl pfa",
  ["SI HR RS BA ME MK"] = "doo dd jdoo dooel", ["BG"] = "ood eood ead", ["GR CY"] = "ae epe ike oe",
  ["EE"] = "oue ou", ["LT"] = "uab", ["LV"] = "sia", ["TR"] = "sti",
  ["RU BY KZ"] = "ooo oao zao pao", ["UA"] = "tov",
  ["IN PK BD LK"] = "pvt private opc", ["AU NZ ZA"] = "pty pl", ["SG"] = "pte", ["MY BN"] = "sdn bhd",
  ["ID"] = "pt tbk", ["AE QA KW OM BH"] = "fze fzco fzc wll saoc dmcc", ["LB"] = "sal",
} do
  for word in words:gmatch("%S+") do
    local known = forms[word] or {}
    forms[word] = known
    for country in countries:gmatch("%S+") do known[country] = true end
  end
end

-- Forms of several words, as folded, letters joined; longer ones before what they contain.
local phrases = {
  { "gesellschaft mit beschraenkter haftung", "gmbh" }, { "gesellschaft mit beschrankter haftung", "gmbh" },
  { "spolka z ograniczona odpowiedzialnoscia", "spzoo" }, { "spoleczenstwo z ograniczona odpowiedzialnoscia", "spzoo" },
  { "limited liability company", "llc" }, { "limited liability partnership", "llp" }, { "public limited company", "plc" },
  { "private limited", "pvt" }, { "societe anonyme", "sa" }, { "societe a responsabilite limitee", "sarl" },
  { "sociedad anonima", "sa" }, { "sociedad limitada", "sl" }, { "sociedade anonima", "sa" }, { "societa per azioni", "spa" },
  { "besloten vennootschap", "bv" }, { "naamloze vennootschap", "nv" }, { "kabushiki kaisha", "kk" },
  { "spolka akcyjna", "sa" }, { "aktiengesellschaft", "ag" }, { "kommanditgesellschaft", "kg" }, { "aktiebolag", "ab" },
  { "osakeyhtioe", "oy" }, { "osakeyhtio", "oy" }, { "anpartsselskab", "aps" }, { "aktieselskab", "as" }, { "aksjeselskap", "as" },
  { "s de rl de cv", "sa" }, { "srl de cv", "sa" }, { "sa de cv", "sa" }, { "sp zoo", "spzoo" }, { "sp z oo", "spzoo" },
  { "sp j", "spk" }, { "sp k", "spk" },
}

-- Forms that nobody's name is: left out wherever they stand. The others only at the end, and some at the front.
local anywhere = set [[gmbh mbh ggmbh kgaa inc incorporated llc llp pllc ltd limited plc sarl sasu eurl bvba sprl spzoo kft zrt nyrt
  aps oyj ehf eood pvt pty sdn bhd fzco uab]]
local in_front = set "pt ooo oao zao pao tov uab sia sarl sas sa sl srl sc eurl ad as ab oy stichting"

local articles = set "the die der das le la les el los las il lo de het"
local conjunctions = set "and und et og och en"

--- Words that come and go with the same firm.
firms.fillers = set [[group holding international worldwide global enterprises hq headquarters office team department branch europe]]
firms.fillers.global = nil   -- part of too many names

-- What a word stands for: abbreviations, and the same word in other languages and numbers.
local same = {}
for word, others in pairs {
  group = "grp gruppe groupe grupo gruppo groep gruppen koncern koncernen groups",
  holding = "holdings hldg hldgs beteiligungs beteiligungen", international = "intl internacional internationale internationaal int",
  technologies = "technology tech techn technologie technologia technologii tecnologia tecnologias",
  technik = "tecnica technika teknik", services = "service svc svcs serv servicios servizi dienste",
  solutions = "solution sol soln solns loesungen soluciones soluzioni", systems = "system sys systeme systemes sistemas sistemi",
  manufacturing = "mfg manuf manufacturers manufacturer", management = "mgmt mgt mngt", brothers = "bros gebr gebrueder gebruder",
  associates = "assoc assocs association associations associated", development = "dev devel developments",
  engineering = "eng engg engr engineers ingenieria ingegneria ingenieure", industries = "ind inds industry industrie industrial industria",
  consulting = "consult cons consultants consultancy consultores beratung", logistics = "logistik logistic logistique logistica logistiek",
  laboratories = "lab labs laboratory laboratoires labor", pharmaceuticals = "pharma pharm pharmaceutical",
  electronics = "electronic elektronik",
  electric = "elec elektro electrical elektrik", distribution = "distr distributors distributor distribucion", marketing = "mktg mktng",
  center = "centre ctr zentrum centro centrum", software = "sw softw", communications = "comm comms communication kommunikation",
  construction = "constr constructions construcciones bau", transport = "transports transportation transporte trasporti transp",
  trading = "trade traders", properties = "property", insurance = "ins versicherung", university = "univ universitaet",
  national = "natl", saint = "st sankt sint", machinery = "maschinenbau", energy = "energie energia energi", foods = "food",
  media = "medien", partners = "partner partnership", sons = "soehne filhos figli hijos fils", design = "designs",
  products = "product prod prods", equipment = "equip equipments", advisors = "advisers advisory", health = "healthcare",
  hospital = "hosp", production = "productions produktion", enterprises = "enterprise ent entreprises unternehmen",
} do
  for other in others:gmatch("%S+") do same[other], same[other:gsub("([aou])e", "%1")] = word, word end
end

--- Words that many firms have in their name, and that say what they do rather than who they are.
firms.common = set [[group holding international technologies technik services solutions systems manufacturing management brothers
  associates development engineering industries consulting logistics laboratories pharmaceuticals electronics electric distribution
  marketing center software communications construction transport trading properties insurance university national machinery energy
  foods media partners sons design products equipment advisors health hospital production enterprises global digital data studio
  studios capital finance financial bank security network networks online web it agency company shop store handel auto motors
  travel hotel restaurant clinic dental legal law real estate immobilien invest investments ventures labs robotics analytics
  creative interactive medical pharma bio green power supply tools metal steel plastics packaging print printing verlag]]
for word in pairs(firms.common) do
  if same[word] then firms.common[same[word]] = true end
end

local letters = {}
local function spell(alphabet, latin)
  local list = {}
  for word in latin:gmatch("%S+") do list[#list + 1] = word ~= "-" and word or "" end
  local i = 0
  for _, code in utf8.codes(alphabet) do
    i = i + 1
    letters[utf8.char(code)] = list[i]
  end
end
spell("абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґ",
  "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch - y - e yu ya i yi ye g")
spell("АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯІЇЄҐ",
  "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch - y - e yu ya i yi ye g")
spell("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋ", "a v g d e z i th i k l m n x o p r s s t y f ch ps o a e i i o y o i y")
spell("ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΆΈΉΊΌΎΏ", "a v g d e z i th i k l m n x o p r s t y f ch ps o a e i i o y o")

local function latin(s)
  if not s:find("[\xCE-\xD2]") then return s end
  return (s:gsub("[\xCE-\xD2][\x80-\xBF]", letters))
end

-- One spelling of a folded word: marks written out or left out, doubled letters.
local function canonical(word)
  word = same[word] or word
  if word:find("%d") then return word end
  local short = word:gsub("([aou])e", "%1"):gsub("(%a)%1", "%1")
  return #short >= 4 and short or word
end

-- "s p a" is spelt out, "spa" is not: runs of single letters are one word.
local function join_letters(words)
  local list, run = {}, nil
  for _, word in ipairs(words) do
    if #word == 1 and word:find("%a") then
      run = (run or "") .. word
    else
      if run then list[#list + 1] = run end
      list[#list + 1], run = word, nil
    end
  end
  if run then list[#list + 1] = run end
  return list
end

local function without_forms(words)
  local found, first, last = nil, 1, #words
  local function take(word) found = found or word end
  while first < last and articles[words[first]] do first = first + 1 end
  while last > first do
    local word = words[last]
    if forms[word] then take(word) elseif not conjunctions[word] then break end
    last = last - 1
  end
  while first < last and in_front[words[first]] do
    if forms[words[first]] then take(words[first]) end
    first = first + 1
  end
  local list = {}
  for i = first, last do
    local word = words[i]
    if anywhere[word] and last > first then take(word) else list[#list + 1] = word end
  end
  if #list == 0 then list[1] = words[first] end
  return list, found
end

local function split(folded)
  local words = {}
  for word in folded:gmatch("%S+") do words[#words + 1] = word end
  local joined = " " .. table.concat(join_letters(words), " ") .. " "
  for _, phrase in ipairs(phrases) do
    if joined:find(phrase[1], 1, true) then
      joined = joined:gsub(" " .. phrase[1] .. " ", " " .. phrase[2] .. " ")
    end
  end
  words = {}
  for word in joined:gmatch("%S+") do words[#words + 1] = word end
  return words
end

--- The folded name without legal forms and what else is left out at its ends, in Latin letters: "acme trading".
---@param folded string as text.fold gives it, "&" written as "and"
---@return string
function firms.plain(folded)
  local words = without_forms(split(latin(folded)))
  while #words > 1 and (firms.fillers[same[words[#words]] or words[#words]] or conjunctions[words[#words]]) do words[#words] = nil end
  return table.concat(words, " ")
end

---@class text.firm
---@field words string[] canonical, without legal forms, articles in front and "and"
---@field folded string[] the same words as written
---@field pair integer|nil where the word after "and" is: "Smith and Jones"
---@field form string|nil the last legal form
---@field countries table<string, boolean> that have that form; "*": it says nothing

local nowhere = {}

--- The countries that have a legal form; "*" when it says little about where.
---@param form string|nil
---@return table<string, boolean>
function firms.countries(form) return form and forms[form] or nowhere end

--- Takes a name apart, to compare it with others.
---@param folded string as text.fold gives it, "&" written as "and"
---@return text.firm
function firms.read(folded)
  local words, found = without_forms(split(latin(folded)))
  local firm = { words = {}, folded = {}, form = found, countries = firms.countries(found) }
  for i, word in ipairs(words) do
    if not conjunctions[word] or #words == 1 or i == 1 then
      firm.words[#firm.words + 1] = canonical(word)
      firm.folded[#firm.folded + 1] = word
    elseif not firm.pair and i < #words then
      firm.pair = #firm.words + 1
    end
  end
  return firm
end

--- A word that was two: "blueocean" where `known` knows "blue" and "ocean".
---@param word string as text.fold leaves it
---@param known fun(part: string): boolean whether there is such a canonical word
---@return string[]|nil canonical
---@return string[]|nil folded
function firms.divide(word, known)
  for cut = 3, #word - 3 do
    local one, two = canonical(word:sub(1, cut)), canonical(word:sub(cut + 1))
    if known(one) and known(two) then return { one, two }, { word:sub(1, cut), word:sub(cut + 1) } end
  end
  return nil
end

--- Whether a word could be a legal form or a filler, also with a letter wrong, or what is left of a form. `slips` as match_index.slips.
---@param word string folded
---@param slips fun(a: string, b: string, most: integer): integer|nil
---@return boolean
function firms.nearly_left_out(word, slips)
  if #word == 1 or forms[word] then return true end
  if #word < 4 then return false end
  for form in pairs(forms) do
    if #form >= 4 and slips(word, form, 1) then return true end
  end
  for filler in pairs(firms.fillers) do
    if slips(word, filler, 1) then return true end
  end
  return false
end

firms.latin = latin

return firms
