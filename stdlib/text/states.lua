--- States and provinces (ISO 3166-2) of the countries whose addresses carry them, with their postal abbreviations: code,
--- then names as people write them (English first).
local list = [[
US AL Alabama|Ala
US AK Alaska
US AZ Arizona|Ariz
US AR Arkansas|Ark
US CA California|Calif|Cal
US CO Colorado|Colo
US CT Connecticut|Conn
US DE Delaware|Del
US DC District of Columbia|Washington DC
US FL Florida|Fla
US GA Georgia
US HI Hawaii
US ID Idaho
US IL Illinois|Ill
US IN Indiana|Ind
US IA Iowa
US KS Kansas|Kan
US KY Kentucky
US LA Louisiana
US ME Maine
US MD Maryland
US MA Massachusetts|Mass
US MI Michigan|Mich
US MN Minnesota|Minn
US MS Mississippi|Miss
US MO Missouri
US MT Montana|Mont
US NE Nebraska|Neb
US NV Nevada|Nev
US NH New Hampshire
US NJ New Jersey
US NM New Mexico
US NY New York|New York State
US NC North Carolina
US ND North Dakota
US OH Ohio
US OK Oklahoma|Okla
US OR Oregon|Ore
US PA Pennsylvania|Penn
US RI Rhode Island
US SC South Carolina
US SD South Dakota
US TN Tennessee|Tenn
US TX Texas|Tex
US UT Utah
US VT Vermont
US VA Virginia
US WA Washington|Wash|Washington State
US WV West Virginia
US WI Wisconsin|Wis
US WY Wyoming|Wyo
CA AB Alberta|Alta
CA BC British Columbia
CA MB Manitoba
CA NB New Brunswick
CA NL Newfoundland and Labrador|Newfoundland
CA NT Northwest Territories
CA NS Nova Scotia
CA NU Nunavut
CA ON Ontario|Ont
CA PE Prince Edward Island|PEI
CA QC Quebec|Que
CA SK Saskatchewan|Sask
CA YT Yukon
AU ACT Australian Capital Territory
AU NSW New South Wales
AU NT Northern Territory
AU QLD Queensland
AU SA South Australia
AU TAS Tasmania
AU VIC Victoria
AU WA Western Australia
DE BW Baden-Württemberg
DE BY Bavaria|Bayern
DE BE Berlin
DE BB Brandenburg
DE HB Bremen
DE HH Hamburg
DE HE Hesse|Hessen
DE MV Mecklenburg-Western Pomerania|Mecklenburg-Vorpommern
DE NI Lower Saxony|Niedersachsen
DE NW North Rhine-Westphalia|Nordrhein-Westfalen|NRW
DE RP Rhineland-Palatinate|Rheinland-Pfalz
DE SL Saarland
DE SN Saxony|Sachsen
DE ST Saxony-Anhalt|Sachsen-Anhalt
DE SH Schleswig-Holstein
DE TH Thuringia|Thüringen
]]

---@type {country: string, code: string, names: string[]}[]
local states = {}
for country, code, rest in list:gmatch("(%u%u) (%u+) ([^\n]+)") do
  local names = {}
  for name in rest:gmatch("[^|]+") do names[#names + 1] = name end
  states[#states + 1] = { country = country, code = code, names = names }
end

return states
