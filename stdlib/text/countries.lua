--- The countries of ISO 3166: alpha-2, alpha-3, calling code, then names as people write them (English
--- first). A country with many names has several lines.
local list = [[
AD AND 376 Andorra
AE ARE 971 United Arab Emirates|UAE|Emirates|Dubai|Abu Dhabi
AF AFG 93 Afghanistan
AG ATG 1 Antigua and Barbuda|Antigua
AI AIA 1 Anguilla
AL ALB 355 Albania|Shqiperia
AM ARM 374 Armenia
AO AGO 244 Angola
AQ ATA - Antarctica
AR ARG 54 Argentina
AS ASM 1 American Samoa
AT AUT 43 Austria|Österreich|Oesterreich|Osterreich|Autriche
AU AUS 61 Australia|Aus|Australien
AW ABW 297 Aruba
AX ALA 358 Åland Islands|Aland Islands|Aland
AZ AZE 994 Azerbaijan
BA BIH 387 Bosnia and Herzegovina|Bosnia|Bosna i Hercegovina
BB BRB 1 Barbados
BD BGD 880 Bangladesh
BE BEL 32 Belgium|Belgique|België|Belgie|Belgien
BF BFA 226 Burkina Faso
BG BGR 359 Bulgaria|България
BH BHR 973 Bahrain
BI BDI 257 Burundi
BJ BEN 229 Benin
BL BLM 590 Saint Barthélemy|St Barthelemy|Saint Barthelemy
BM BMU 1 Bermuda
BN BRN 673 Brunei Darussalam|Brunei
BO BOL 591 Bolivia|Bolivia Plurinational State of
BQ BES 599 Bonaire, Sint Eustatius and Saba|Caribbean Netherlands
BR BRA 55 Brazil|Brasil|Brasilien|Brésil
BS BHS 1 Bahamas
BT BTN 975 Bhutan
BV BVT - Bouvet Island
BW BWA 267 Botswana
BY BLR 375 Belarus
BZ BLZ 501 Belize
CA CAN 1 Canada|Kanada
CC CCK 61 Cocos (Keeling) Islands|Cocos Islands
CD COD 243 Congo, The Democratic Republic of the|DR Congo|DRC|Democratic Republic of the Congo|Congo Kinshasa
CF CAF 236 Central African Republic
CG COG 242 Congo|Republic of the Congo|Congo Brazzaville
CH CHE 41 Switzerland|Schweiz|Suisse|Svizzera|Swiss|Switz
CI CIV 225 Côte d'Ivoire|Ivory Coast
CK COK 682 Cook Islands
CL CHL 56 Chile
CM CMR 237 Cameroon|Cameroun
CN CHN 86 China|PRC|PR China|People's Republic of China|Mainland China|中国
CO COL 57 Colombia
CR CRI 506 Costa Rica
CU CUB 53 Cuba
CV CPV 238 Cabo Verde|Cape Verde
CW CUW 599 Curaçao
CX CXR 61 Christmas Island
CY CYP 357 Cyprus
CZ CZE 420 Czechia|Czech Republic|Czech Rep|Česko|Ceska republika|Česká republika|Tschechien
DE DEU 49 Germany|Deutschland|Ger|BRD|Allemagne|Alemania|Federal Republic of Germany|Duitsland|Tyskland
DJ DJI 253 Djibouti
DK DNK 45 Denmark|Danmark|Dänemark|Daenemark
DM DMA 1 Dominica
DO DOM 1 Dominican Republic|Republica Dominicana
DZ DZA 213 Algeria
EC ECU 593 Ecuador
EE EST 372 Estonia|Eesti
EG EGY 20 Egypt
EH ESH 212 Western Sahara
ER ERI 291 Eritrea
ES ESP 34 Spain|España|Spanien|Espagne|Espana
ET ETH 251 Ethiopia
FI FIN 358 Finland|Suomi|Finnland
FJ FJI 679 Fiji
FK FLK 500 Falkland Islands (Malvinas)|Falkland Islands
FM FSM 691 Micronesia, Federated States of|Micronesia
FO FRO 298 Faroe Islands
FR FRA 33 France|Frankreich|Francia
GA GAB 241 Gabon
GB GBR 44 United Kingdom|UK|Great Britain|Britain|England|Scotland|Wales|Northern Ireland|U.K.
GB GBR 44 United Kingdom of Great Britain and Northern Ireland|Grossbritannien|Großbritannien|Royaume-Uni
GB GBR 44 Vereinigtes Königreich|Reino Unido
GD GRD 1 Grenada
GE GEO 995 Georgia
GF GUF 594 French Guiana
GG GGY 44 Guernsey
GH GHA 233 Ghana
GI GIB 350 Gibraltar
GL GRL 299 Greenland
GM GMB 220 Gambia
GN GIN 224 Guinea
GP GLP 590 Guadeloupe
GQ GNQ 240 Equatorial Guinea
GR GRC 30 Greece|Ellada|Hellas|EL|Griechenland|Ελλάδα
GS SGS 500 South Georgia and the South Sandwich Islands
GT GTM 502 Guatemala
GU GUM 1 Guam
GW GNB 245 Guinea-Bissau
GY GUY 592 Guyana
HK HKG 852 Hong Kong|Hong Kong SAR|Hong Kong China|HongKong|香港
HM HMD - Heard Island and McDonald Islands
HN HND 504 Honduras
HR HRV 385 Croatia|Hrvatska|Kroatien
HT HTI 509 Haiti
HU HUN 36 Hungary|Magyarország|Magyarorszag|Ungarn
ID IDN 62 Indonesia
IE IRL 353 Ireland|Éire|Republic of Ireland|Irland|Irlande
IL ISR 972 Israel
IM IMN 44 Isle of Man
IN IND 91 India|Bharat|Indien
IO IOT 246 British Indian Ocean Territory
IQ IRQ 964 Iraq
IR IRN 98 Iran, Islamic Republic of|Iran
IS ISL 354 Iceland|Ísland|Island
IT ITA 39 Italy|Italia|Italien|Italie
JE JEY 44 Jersey
JM JAM 1 Jamaica
JO JOR 962 Jordan
JP JPN 81 Japan|Nippon|日本
KE KEN 254 Kenya
KG KGZ 996 Kyrgyzstan
KH KHM 855 Cambodia
KI KIR 686 Kiribati
KM COM 269 Comoros
KN KNA 1 Saint Kitts and Nevis|St Kitts and Nevis
KP PRK 850 Korea, Democratic People's Republic of|North Korea
KR KOR 82 Korea, Republic of|South Korea|Korea|Republic of Korea|한국|대한민국
KW KWT 965 Kuwait
KY CYM 1 Cayman Islands
KZ KAZ 7 Kazakhstan
LA LAO 856 Lao People's Democratic Republic|Laos
LB LBN 961 Lebanon
LC LCA 1 Saint Lucia|St Lucia
LI LIE 423 Liechtenstein
LK LKA 94 Sri Lanka
LR LBR 231 Liberia
LS LSO 266 Lesotho
LT LTU 370 Lithuania|Lietuva|Litauen
LU LUX 352 Luxembourg|Luxemburg
LV LVA 371 Latvia|Latvija|Lettland
LY LBY 218 Libya
MA MAR 212 Morocco|Maroc
MC MCO 377 Monaco
MD MDA 373 Moldova, Republic of|Moldova
ME MNE 382 Montenegro
MF MAF 590 Saint Martin (French part)|Saint Martin|St Martin
MG MDG 261 Madagascar
MH MHL 692 Marshall Islands
MK MKD 389 North Macedonia|Macedonia
ML MLI 223 Mali
MM MMR 95 Myanmar|Burma
MN MNG 976 Mongolia
MO MAC 853 Macao|Macau
MP MNP 1 Northern Mariana Islands
MQ MTQ 596 Martinique
MR MRT 222 Mauritania
MS MSR 1 Montserrat
MT MLT 356 Malta
MU MUS 230 Mauritius
MV MDV 960 Maldives
MW MWI 265 Malawi
MX MEX 52 Mexico|México|Mexiko
MY MYS 60 Malaysia
MZ MOZ 258 Mozambique
NA NAM 264 Namibia
NC NCL 687 New Caledonia
NE NER 227 Niger
NF NFK 672 Norfolk Island
NG NGA 234 Nigeria
NI NIC 505 Nicaragua
NL NLD 31 Netherlands|Holland|Nederland|Niederlande|Pays-Bas|NDL|Hollande
NO NOR 47 Norway|Norge|Norwegen|Noreg
NP NPL 977 Nepal
NR NRU 674 Nauru
NU NIU 683 Niue
NZ NZL 64 New Zealand|Aotearoa|Neuseeland
OM OMN 968 Oman
PA PAN 507 Panama
PE PER 51 Peru
PF PYF 689 French Polynesia
PG PNG 675 Papua New Guinea
PH PHL 63 Philippines|Pilipinas
PK PAK 92 Pakistan
PL POL 48 Poland|Polska|Polen
PM SPM 508 Saint Pierre and Miquelon
PN PCN 64 Pitcairn
PR PRI 1 Puerto Rico
PS PSE 970 Palestine, State of|Palestine
PT PRT 351 Portugal
PW PLW 680 Palau
PY PRY 595 Paraguay
QA QAT 974 Qatar
RE REU 262 Réunion
RO ROU 40 Romania|România|Rumänien
RS SRB 381 Serbia|Srbija|Serbien
RU RUS 7 Russian Federation|Russia|Russland|Россия
RW RWA 250 Rwanda
SA SAU 966 Saudi Arabia|KSA
SB SLB 677 Solomon Islands
SC SYC 248 Seychelles
SD SDN 249 Sudan
SE SWE 46 Sweden|Sverige|Schweden
SG SGP 65 Singapore|Singapur
SH SHN 290 Saint Helena, Ascension and Tristan da Cunha|Saint Helena
SI SVN 386 Slovenia|Slovenija|Slowenien
SJ SJM 47 Svalbard and Jan Mayen
SK SVK 421 Slovakia|Slovensko|Slovak Republic|Slowakei
SL SLE 232 Sierra Leone
SM SMR 378 San Marino
SN SEN 221 Senegal
SO SOM 252 Somalia
SR SUR 597 Suriname
SS SSD 211 South Sudan
ST STP 239 Sao Tome and Principe
SV SLV 503 El Salvador
SX SXM 1 Sint Maarten (Dutch part)|Sint Maarten
SY SYR 963 Syrian Arab Republic|Syria
SZ SWZ 268 Eswatini|Swaziland
TC TCA 1 Turks and Caicos Islands
TD TCD 235 Chad
TF ATF - French Southern Territories
TG TGO 228 Togo
TH THA 66 Thailand
TJ TJK 992 Tajikistan
TK TKL 690 Tokelau
TL TLS 670 Timor-Leste|East Timor
TM TKM 993 Turkmenistan
TN TUN 216 Tunisia|Tunisie
TO TON 676 Tonga
TR TUR 90 Türkiye|Turkey|Turkiye|Türkei
TT TTO 1 Trinidad and Tobago|Trinidad
TV TUV 688 Tuvalu
TW TWN 886 Taiwan, Province of China|Taiwan|台灣
TZ TZA 255 Tanzania, United Republic of|Tanzania
UA UKR 380 Ukraine|Україна
UG UGA 256 Uganda
UM UMI 1 United States Minor Outlying Islands
US USA 1 United States|United States of America|America|U.S.|U.S.A.|USofA|Estados Unidos|Vereinigte Staaten|Etats-Unis
US USA 1 The States|Unites States|Untied States|EEUU
UY URY 598 Uruguay
UZ UZB 998 Uzbekistan
VA VAT 39 Holy See (Vatican City State)|Holy See|Vatican|Vatican City
VC VCT 1 Saint Vincent and the Grenadines|St Vincent and the Grenadines
VE VEN 58 Venezuela, Bolivarian Republic of|Venezuela
VG VGB 1 Virgin Islands, British|British Virgin Islands
VI VIR 1 Virgin Islands, U.S.|US Virgin Islands
VN VNM 84 Viet Nam|Vietnam
VU VUT 678 Vanuatu
WF WLF 681 Wallis and Futuna
WS WSM 685 Samoa
XK XKX 383 Kosovo
YE YEM 967 Yemen
YT MYT 262 Mayotte
ZA ZAF 27 South Africa|RSA|Südafrika
ZM ZMB 260 Zambia
ZW ZWE 263 Zimbabwe
]]

---@type table<string, {alpha3: string, calling: string|nil, names: string[]}>
local countries = {}
for code, alpha3, calling, rest in list:gmatch("(%u%u) (%u%u%u) (%S+) ([^\n]+)") do
  local names = countries[code] and countries[code].names or {}
  for name in rest:gmatch("[^|]+") do names[#names + 1] = name end
  countries[code] = { alpha3 = alpha3, calling = calling ~= "-" and calling or nil, names = names }
end

return countries
