--- Out of all findings: the least set of scopes, and which credential takes the API key's place.
local scopes = require "check.scopes"

local plan = {}

local KINDS <const> = {
  service_key = { name = "a service key",
    why = "the calls are one program's to one account, and nothing here receives webhooks",
    steps = { "In HubSpot: Settings > Integrations > Service Keys, create one.", "Tick the scopes of this report, no others.",
      "Keep it in the environment or a secret store, not in the code: `export HUBSPOT_TOKEN=…`.",
      "Send it as `Authorization: Bearer TOKEN`; take `hapikey` out of URLs, options and settings." } },
  platform_app = { name = "an app on the developer platform with a static token",
    why = "the code receives HubSpot's webhooks, which a service key cannot have",
    steps = { "Create an app project (`hs project create`) with static authentication.",
      "Put these scopes into requiredScopes, and the webhook subscriptions into the project's files.",
      "Deploy it, install it in the account, and keep the token and the client secret in the environment or a secret store.",
      "Send the token as `Authorization: Bearer TOKEN`; take `hapikey` out of URLs, options and settings." } },
  oauth = { name = "OAuth",
    why = "the code goes through OAuth already, so one app serves several accounts",
    steps = { "Add these scopes to the app's requiredScopes, and ask for the same ones in the authorization URL.",
      "Exchange and refresh at POST /oauth/2026-09/token, before `expires_in` is over; a 401 is not the signal to refresh.",
      "Accounts that are connected already consent again when the scopes grow.",
      "Send the access token as `Authorization: Bearer TOKEN`; take `hapikey` out of URLs, options and settings." } },
}

---@param result table findings get `needs`: the names of the scopes chosen for them
---@param signs { oauth: true|nil, webhooks: true|nil }
function plan.make(result, signs)
  local uses, maybe = {}, {}
  for _, finding in ipairs(result.findings) do
    finding.needs = {}
    if finding.scopes and #finding.scopes > 0 then
      uses[#uses + 1] = { scopes = finding.scopes, file = finding.file, line = finding.line, label = finding.path or "", finding = finding }
    elseif finding.path and not finding.scopes then finding.unknown_scopes = true
    end
  end
  result.scopes = scopes.choose(uses)
  local chosen = {}
  for _, need in ipairs(result.scopes) do
    chosen[need.scope] = true
    for _, use in ipairs(need.uses) do
      local list = use.finding.needs
      if list[#list] ~= need.scope then list[#list + 1] = need.scope end
    end
  end
  -- What a place may need besides, when the text does not tell its method.
  local names = {}
  for _, finding in ipairs(result.findings) do
    for _, other in ipairs(finding.others or {}) do
      for _, scope in ipairs(other.scopes and other.scopes[1] or {}) do
        if not chosen[scope] then
          if not names[scope] then
            names[scope] = {}
            maybe[#maybe + 1] = scope
          end
          table.insert(names[scope], finding)
        end
      end
    end
    finding.others = nil
  end
  table.sort(maybe)
  result.maybe = {}
  for i, scope in ipairs(maybe) do result.maybe[i] = { scope = scope, uses = names[scope] } end
  local kind = signs.oauth and "oauth" or signs.webhooks and "platform_app" or "service_key"
  result.credential = { kind = kind, name = KINDS[kind].name, why = KINDS[kind].why, steps = KINDS[kind].steps }
end

return plan
