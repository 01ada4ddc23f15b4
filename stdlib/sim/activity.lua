--- What goes on in an account by itself: leads come in, are answered, forms are sent, deals begin, move and end.
--- Each act is a person's in HubSpot, with its events; how many a day is said, when is drawn.
local U = require "sim.util"
local N = require "sim.population"
local F = require "sim.forms"
local task = task

local Y = {}

local DAY <const> = 86400000
local TRIES <const> = 20
local ANSWERS <const> = { "OPEN", "ATTEMPTED_TO_CONTACT", "IN_PROGRESS", "CONNECTED", "UNQUALIFIED" }
local FIELDS <const> = { "email", "firstname", "lastname", "company" }
local PERSON <const> = { change = "CRM_UI", id = "userId:1001" }

-- A live record, or nil when few of them are left.
local function any(S, st)
  for _ = 1, TRIES do
    local rec = #st.order > 0 and st.records[S.population.pick(st.order)]
    if rec and not rec[3] then return rec end
  end
  return nil
end

local function update(S, st, rec, values)
  if rec then S.objects.update(S, st, rec, values, PERSON) end
end

local function new_lead(S) S.objects.create(S, S.types.contacts, N.next_lead(S), PERSON) end

local function answered(S)
  update(S, S.types.contacts, any(S, S.types.contacts), { hs_lead_status = S.population.pick(ANSWERS) })
end

local function called(S)
  update(S, S.types.contacts, any(S, S.types.contacts), { phone = ("+1 202 555 %04d"):format(S.population.int(0, 9999)) })
end

local function taken_over(S)
  update(S, S.types.contacts, any(S, S.types.contacts), { hubspot_owner_id = N.anyone(S)(), hs_lead_status = "NEW" })
end

local function form_sent(S)
  local form, lead, values = S.population.pick(S.forms.order), N.next_lead(S), {}
  if form.archived then return end
  for i, name in ipairs(FIELDS) do values[i] = { name = name, value = lead[name] or "", objectTypeId = "0-1" } end
  F.submit(S, form, values, "https://www.example.com/contact", "Contact")
end

local function new_deal(S)
  local R, now = S.population, S.host.now()
  local firm = #S.firms > 0 and R.pick(S.firms) or nil
  S.serial = S.serial + 1
  local deal = N.deal(R, firm, N.anyone(S)(), S.serial, now, now)
  deal.dealstage = S.pipelines.first_stage(S.types.deals)
  S.objects.create(S, S.types.deals, deal, PERSON)
end

local function new_company(S)
  S.objects.create(S, S.types.companies, N.companies(S.population, 1, N.anyone(S))[1], PERSON)
end

-- One stage on: what is won or lost stays so.
local function deal_moved(S)
  local deals = S.types.deals
  local deal = any(S, deals)
  if not deal then return end
  local open, won, lost = S.pipelines.ahead(deals, deal[4])
  local stage = S.population.chance(0.1) and lost or open or won
  if stage then update(S, deals, deal, { dealstage = stage }) end
end

local ACTS <const> = { { new_lead, 30 }, { taken_over, 5 }, { answered, 15 }, { called, 5 }, { form_sent, 15 },
  { new_company, 5 }, { new_deal, 10 }, { deal_moved, 25 } }

---@param per_day number how many acts a day, on average
function Y.start(S, per_day)
  local R = U.rng((S.options.seed or 7) + 2)
  local run = {}
  S.activity = run
  if per_day == 0 then return end
  if #S.forms.order == 0 then F.create(S, F.definition("Contact us", FIELDS)) end
  S.spawn(function()
    while true do
      task.sleep(-math.log(1 - R.float()) * DAY / per_day / 1000)
      if S.activity ~= run then return end
      R.weighted(ACTS)(S)
    end
  end)
end

return Y
