-- Tokens: what HubSpot's OAuth server gives out, and what it says about them.
--
-- An app of option oauth_apps asks a person for consent (GET /oauth/authorize, a page with two buttons),
-- is sent back with a code, and changes it for an access token and a refresh token. Every token the account
-- knows stands in S.tokens, private app tokens included:
--   { kind=, scopes = set or true, all=, app_id=, app=, client_id=, user_id=, source=, expires_at=, grant=, deactivated= }
-- `app` is one table for all tokens of an app: what is counted by app (limits) hangs there.
-- Refresh tokens and codes have tables of their own: they open nothing but this room.
--
--   oauth_apps = { { client_id=, client_secret=, name=, app_id=, scopes=, optional_scopes=, redirect_uris=,
--                    expires_in = seconds (1800), code_expires_in = seconds (600), rotate = false|true|"on_use",
--                    rfc_errors = bool, refuses = {scope, …} }, … }
--
-- rotate: a refresh also gives a new refresh token; the old one ends at once (true), or when the new access
-- token is first used ("on_use"). HubSpot documents neither, so clients are tried against both. The same
-- holds for errors: BAD_REFRESH_TOKEN in `status`, or RFC 6749's `error` with rfc_errors.
-- refuses: optional scopes that this account cannot grant; they are left out of the token.
local U = require "sim.util"
local E = require "sim.errors"
local rights = require "sim.scopes"
local json, crypto = json, crypto

local T = {}

local USER = { id = 1001, email = "admin@example.com" }
local DATED = { ["2026-03"] = true, ["2026-09"] = true, v3 = true }

local function set(list)
  local out = {}
  for _, name in ipairs(list) do out[name] = true end
  return out
end

local function words(text)
  local out = {}
  for name in (text or ""):gmatch("[^%s,]+") do out[#out + 1] = name end
  return out
end

local APP_OPTIONS = set { "client_id", "client_secret", "name", "app_id", "scopes", "optional_scopes", "redirect_uris",
  "expires_in", "code_expires_in", "rotate", "rfc_errors", "refuses" }

local function read_apps(S)
  local apps = {}
  for i, o in ipairs(S.options.oauth_apps or {}) do
    for _, name in ipairs(U.keys(o)) do
      if not APP_OPTIONS[name] then
        error("sim: oauth_apps: unknown option '" .. tostring(name) .. "' (" .. table.concat(U.keys(APP_OPTIONS), ", ") .. ")", 0)
      end
    end
    if not o.client_id or not o.client_secret then error("sim: oauth_apps: an app needs client_id and client_secret", 0) end
    if o.rotate and o.rotate ~= true and o.rotate ~= "on_use" then error('sim: oauth_apps: rotate is false, true or "on_use"', 0) end
    apps[o.client_id] = {
      kind = "oauth", id = o.app_id or 4000000 + i, client_id = o.client_id, secret = o.client_secret, name = o.name or "Example app",
      scopes = o.scopes, optional = o.optional_scopes, redirects = o.redirect_uris or { "http://127.0.0.1/" },
      expires_in = o.expires_in or 1800, code_expires_in = o.code_expires_in or 600, rotate = o.rotate or false,
      rfc_errors = o.rfc_errors or false, refuses = set(o.refuses or {}),
    }
  end
  return apps
end

local function register(S, text, app, fields)
  local token = fields
  token.kind, token.app, token.app_id, token.all = token.kind or app.kind, app, app.id, S.all_scopes
  token.user_id = token.user_id or USER.id
  token.source = { change = "INTEGRATION", id = tostring(app.id) }
  S.tokens[text] = token
  return token
end

function T.attach(S)
  local o = S.options
  S.region = o.region or "na1"
  S.all_scopes = rights.all(S)
  S.tokens = {}
  S.oauth = { apps = read_apps(S), codes = {}, refresh = {}, asked = {} }
  for i, t in ipairs(o.tokens or { o.token or "pat-" .. "na1-" .. "simulator" }) do
    local given = type(t) == "table" and t or { token = t }
    local app = { kind = given.kind or "private_app", id = given.app_id or 3000000 + i }
    register(S, given.token, app, {
      scopes = given.scopes and set(given.scopes) or true,
      expires_at = given.expires_in and S.host.now() + given.expires_in * 1000 or nil,
    })
  end
  S.app_id = 3000001
end

-- ---- checking a token ----

local function ago(ms)
  local s = ms // 1000
  if s < 120 then return s .. " second(s)" end
  if s < 7200 then return s // 60 .. " minute(s)" end
  return s // 3600 .. " hour(s)"
end

-- The token that a rotated one replaces ends with the first use of the new one.
local function used(S, token)
  local old = token.replaces
  if old then
    S.oauth.refresh[old] = nil
    token.replaces = nil
  end
end

---The token of a request; raises 401.
function T.authenticate(S, req)
  local header = req.headers.authorization
  local text = header and header:match("^[Bb]earer%s+(%S+)%s*$")
  local token = text and S.tokens[text]
  local now = S.host.now()
  if token and not token.deactivated then
    if not token.expires_at or now < token.expires_at then
      used(S, token)
      return token
    end
    E.raise(401, "EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired " .. ago(now - token.expires_at) .. " ago.",
      { context = { ["expire time"] = json.array { U.iso(token.expires_at) } } })
  elseif token then
    E.raise(401, "INVALID_AUTHENTICATION", "The access token of this call was deactivated. Create a new one in the app's settings.")
  end
  if not header and req.query:find("hapikey=", 1, true) then
    E.raise(401, "INVALID_AUTHENTICATION", "API keys are no longer supported. Use the access token of a private app " ..
      "instead: https://developers.hubspot.com/changelog/upcoming-api-key-sunset")
  elseif not header then
    E.raise(401, "INVALID_AUTHENTICATION", "Authentication credentials not found. This API supports OAuth 2.0 " ..
      "authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview")
  end
  local region = text and text:match("^pat%-(%l+%d+)%-")
  if region and region ~= S.region then
    E.raise(401, "INVALID_AUTHENTICATION", "The access token belongs to an account of the data region " .. region
      .. "; this account is in " .. S.region .. ".")
  end
  E.raise(401, "INVALID_AUTHENTICATION",
    "Authentication credentials not found or expired. The token of this request is not known to this account.")
end

---The developer API key of a request for an app's webhook settings (in the query, FACTS 2); nil when it carries none; raises 401.
function T.developer(S, req, root)
  if root ~= "app-webhooks" and root ~= "webhooks" then return nil end
  local key = U.one(req:args(), "hapikey")
  if not key or not S.options.developer_key then return nil end
  if not crypto.same(key, S.options.developer_key) then E.raise(401, "INVALID_AUTHENTICATION", "The API key provided is invalid.") end
  return { kind = "developer", app_id = "developer", scopes = true }
end

-- ---- scopes ----

local function scopes_of(token)
  if token.scopes == true then return json.array(token.all or {}) end
  return json.array(U.keys(token.scopes))
end

-- ---- giving out tokens ----

-- Token texts are made from the account's seed: the same run gives the same tokens.
local function make_text(S, prefix) return prefix .. S.region .. "-" .. S.rng.uuid() .. "-" .. S.rng.uuid():sub(1, 8) end

local function issue(S, app, grant)
  local text = make_text(S, "C")
  register(S, text, app, { kind = grant.kind, scopes = set(grant.scopes), user_id = grant.user_id, client_id = app.client_id,
    expires_at = S.host.now() + app.expires_in * 1000, grant = grant })
  return text
end

local function token_answer(S, app, grant, access, refresh)
  return {
    access_token = access, refresh_token = refresh, token_type = "bearer", expires_in = app.expires_in,
    hub_id = grant.kind ~= "client_credentials" and S.portal or nil,
    user_id = grant.kind ~= "client_credentials" and grant.user_id or nil, scopes = json.array(grant.scopes),
  }
end

-- ---- the token endpoint ----

-- Name, message, RFC 6749 code.
local REFUSALS = {
  grant_type = { "BAD_GRANT_TYPE", "missing or unknown grant type", "unsupported_grant_type" },
  client_id = { "BAD_CLIENT_ID", "missing or unknown client id", "invalid_client" },
  client_secret = { "BAD_CLIENT_SECRET", "missing or invalid client secret", "invalid_client" },
  code = { "BAD_AUTH_CODE", "missing or unknown auth code", "invalid_grant" },
  expired = { "EXPIRED_AUTH_CODE", "the auth code has expired", "invalid_grant" },
  redirect = { "MISMATCH_REDIRECT_URI_AUTH_CODE", "redirect uri does not match the one of the auth code", "invalid_grant" },
  verifier = { "BAD_CODE_VERIFIER", "missing or invalid code verifier", "invalid_grant" },
  refresh = { "BAD_REFRESH_TOKEN", "missing or invalid refresh token", "invalid_grant" },
  scope = { "BAD_SCOPES", "the scopes are not a part of what was granted", "invalid_scope" },
}

local NO_STORE = { ["Content-Type"] = "application/json;charset=utf-8", ["Cache-Control"] = "no-store" }

local function refuse(S, req, what, app)
  local r = REFUSALS[what]
  if app and app.rfc_errors then return 400, { error = r[3], error_description = r[2] } end
  if not DATED[req.oauth_version] then
    return 400, { status = r[1], message = r[2], correlationId = S.rng.uuid(), requestId = S.rng.uuid() }
  end
  return 400, { status = r[1], message = r[2], correlationId = S.rng.uuid(), category = "VALIDATION_ERROR" }
end

-- The app that the form names with its secret, or what is wrong.
local function client(S, form)
  local app = S.oauth.apps[U.one(form, "client_id") or ""]
  if not app then return nil, "client_id" end
  if not crypto.same(U.one(form, "client_secret") or "", app.secret) then return nil, "client_secret", app end
  return app
end

local function challenge_of(verifier)
  return (crypto.sha256(verifier, "base64"):gsub("=+$", ""):gsub("%+", "-"):gsub("/", "_"))
end

local GRANTS = {}

function GRANTS.authorization_code(S, req, app, form)
  local text = U.one(form, "code") or ""
  local code = S.oauth.codes[text]
  if not code or code.app ~= app then return refuse(S, req, "code", app) end
  if U.one(form, "redirect_uri") ~= code.redirect_uri then return refuse(S, req, "redirect", app) end
  S.oauth.codes[text] = nil   -- one exchange, well or not, from here on
  if S.host.now() >= code.expires_at then return refuse(S, req, "expired", app) end
  if code.challenge then
    local verifier = U.one(form, "code_verifier") or ""
    if #verifier < 43 or #verifier > 128 or challenge_of(verifier) ~= code.challenge then return refuse(S, req, "verifier", app) end
  end
  local grant = { scopes = code.scopes, user_id = USER.id, kind = "oauth" }
  local refresh = make_text(S, "R")
  S.oauth.refresh[refresh] = { app = app, grant = grant }
  return 200, token_answer(S, app, grant, issue(S, app, grant), refresh)
end

function GRANTS.refresh_token(S, req, app, form)
  local text = U.one(form, "refresh_token") or ""
  local held = S.oauth.refresh[text]
  if not held or held.app ~= app then return refuse(S, req, "refresh", app) end
  local grant = held.grant
  local asked = words(U.one(form, "scope"))
  if #asked > 0 then
    local have = set(grant.scopes)
    for _, name in ipairs(asked) do
      if not have[name] then return refuse(S, req, "scope", app) end
    end
    grant = { scopes = asked, user_id = grant.user_id, kind = grant.kind, of = grant }
  end
  local access = issue(S, app, grant)
  used(S, held)
  local refresh = text
  if app.rotate then
    refresh = make_text(S, "R")
    local fresh = { app = app, grant = held.grant }
    S.oauth.refresh[refresh] = fresh
    if app.rotate == true then
      S.oauth.refresh[text] = nil
    else
      fresh.replaces, S.tokens[access].replaces = text, text
    end
  end
  return 200, token_answer(S, app, grant, access, refresh)
end

-- An app's own token, for the webhooks journal: no account, no person, no refresh token.
function GRANTS.client_credentials(S, req, app, form)
  local scopes = words(U.one(form, "scope"))
  if #scopes == 0 then return refuse(S, req, "scope", app) end
  local have = app.scopes and set(app.scopes)
  for _, name in ipairs(scopes) do
    if have and not have[name] and not name:find("^developer%.webhooks_journal%.") then return refuse(S, req, "scope", app) end
  end
  local grant = { scopes = scopes, kind = "client_credentials" }
  return 200, token_answer(S, app, grant, issue(S, app, grant), nil)
end

local function route_token(S, req)
  local form = U.query(req.body)
  local grant = GRANTS[U.one(form, "grant_type") or ""]
  if not grant then return refuse(S, req, "grant_type") end
  local app, wrong, named = client(S, form)
  if not app then return refuse(S, req, wrong, named) end
  return grant(S, req, app, form)
end

-- ---- asking about tokens, ending them ----

local function about(S, token)
  local portal = token.kind ~= "client_credentials"
  return {
    active = true, token_use = "access_token", token_type = "bearer", app_id = token.app_id, client_id = token.client_id,
    hub_id = portal and S.portal or nil, hub_domain = portal and S.portal .. ".example.com" or nil,
    user_id = portal and token.user_id or nil, user = portal and USER.email or nil, scopes = scopes_of(token),
    expires_in = token.expires_at and (token.expires_at - S.host.now()) // 1000 or nil,
    is_private_distribution = token.kind ~= "oauth",
  }
end

local function about_refresh(S, held)
  return { active = true, token_use = "refresh_token", token_type = "bearer", client_id = held.app.client_id, app_id = held.app.id,
    hub_id = S.portal, hub_domain = S.portal .. ".example.com", user_id = held.grant.user_id, user = USER.email,
    scopes = json.array(held.grant.scopes) }
end

local function live(S, text)
  local token = S.tokens[text]
  if token and not token.deactivated and (not token.expires_at or S.host.now() < token.expires_at) then return token end
end

-- Ends a grant: its refresh tokens and its access tokens.
local function end_grant(S, grant)
  grant = grant.of or grant
  for text, held in pairs(S.oauth.refresh) do
    if held.grant == grant then S.oauth.refresh[text] = nil end
  end
  for text, token in pairs(S.tokens) do
    local g = token.grant
    if g and (g == grant or g.of == grant) then S.tokens[text] = nil end
  end
end

-- A token of an OAuth app is told about to that app only.
local function client_fits(S, form, token)
  if not U.one(form, "client_id") then return true end
  local app, wrong = client(S, form)
  if not app then return false, wrong end
  return token.app == app, "client_id"
end

local function route_introspect(S, req)
  local form = U.query(req.body)
  local text = U.one(form, "token")
  if not text or text == "" then E.bad_request("missing or unknown token") end
  local token, held = live(S, text), S.oauth.refresh[text]
  if not token and not held then return 200, { active = false } end
  local fits, wrong = client_fits(S, form, token or held)
  if not fits then return refuse(S, req, wrong) end
  return 200, token and about(S, token) or about_refresh(S, held)
end

local function route_revoke(S, req)
  local form = U.query(req.body)
  local text = U.one(form, "token")
  if not text or text == "" then E.bad_request("missing or unknown token") end
  local held, token = S.oauth.refresh[text], S.tokens[text]
  local fits, wrong = client_fits(S, form, held or token or {})
  if (held or token) and not fits then return refuse(S, req, wrong) end
  -- RFC 7009: a token that is not known is revoked already.
  if held then end_grant(S, held.grant)
  elseif token and token.grant then S.tokens[text] = nil end
  return 200, ""
end

-- ---- consent ----

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }
local function html(text) return (tostring(text):gsub("[&<>\"']", ENTITIES)) end

local function page(req, status, title, body)
  -- No form-action: browsers hold the redirect after a form against it, too.
  req.reply = { ["Content-Type"] = "text/html; charset=utf-8", ["Cache-Control"] = "no-store", ["Referrer-Policy"] = "no-referrer",
    ["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'" }
  return status, ([[<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%s</title><meta name="viewport" content="width=device-width">
<style>body{font:16px/1.5 sans-serif;max-width:34em;margin:3em auto;padding:0 1em;color:#213343}button{font:inherit;padding:.5em 1.2em}
code{background:#eef2f6;padding:0 .2em}</style></head>
<body><h1>%s</h1>
%s
<p><small>This is the simulator of hubloop, not HubSpot.</small></p></body></html>
]]):format(html(title), html(title), body)
end

local function failed(req, why) return page(req, 400, "Couldn't complete the connection", "<p>" .. html(why) .. "</p>") end

-- Scheme, host and path of a redirect URI with the port of a loopback host left out: a native
-- app listens on whatever port it gets (RFC 8252, 7.3).
local function redirect_key(uri)
  local scheme, host, rest = uri:match("^(%a[%w+.-]*)://([^/?#]*)(.*)$")
  if not scheme or host:find("@", 1, true) or rest:find("#", 1, true) then return nil end
  local name = host:match("^(%[.-%])") or host:match("^[^:]*")
  local loopback = name == "127.0.0.1" or name == "localhost" or name == "[::1]"
  if scheme ~= "https" and not (scheme == "http" and loopback) then return nil end
  if rest == "" then rest = "/" end
  return scheme .. "://" .. (loopback and name or host) .. rest
end

local function registered(app, uri)
  local key = redirect_key(uri)
  if not key then return false end
  for _, known in ipairs(app.redirects) do
    if redirect_key(known) == key then return true end
  end
  return false
end

---What an app asks for, checked: { app, redirect_uri, scopes, state, challenge }, or nil and why not.
local function asked(S, q)
  local app = S.oauth.apps[U.one(q, "client_id") or ""]
  if not app then return nil, "Authorization failed because the client ID is missing or is not the ID of a known app." end
  local uri = U.one(q, "redirect_uri") or ""
  if not registered(app, uri) then
    return nil, "Authorization failed because the redirect URL " .. uri .. " doesn't match a registered redirect URL of the app."
  end
  local scopes = words(U.one(q, "scope"))
  if #scopes == 0 then return nil, "Authorization failed because no scopes were asked for." end
  local wanted, optional, allowed = set(scopes), words(U.one(q, "optional_scope")), nil
  if app.scopes then
    allowed = set(app.scopes)
    for _, name in ipairs(app.scopes) do
      if not wanted[name] then
        return nil, "Authorization failed because the provided scopes are insufficient: the app requires " .. name .. "."
      end
    end
    for _, name in ipairs(app.optional or {}) do allowed[name] = true end
  end
  for _, list in ipairs { scopes, optional } do
    for _, name in ipairs(list) do
      if allowed and not allowed[name] then
        return nil, "Authorization failed because there is a scope mismatch: " .. name .. " is not a scope of the app."
      end
    end
  end
  for _, name in ipairs(scopes) do
    if app.refuses[name] then
      return nil, "This account doesn't have access to some features that are required by this app: " .. name .. "."
    end
  end
  for _, name in ipairs(optional) do
    if not wanted[name] and not app.refuses[name] then
      wanted[name] = true
      scopes[#scopes + 1] = name
    end
  end
  local challenge, method = U.one(q, "code_challenge"), U.one(q, "code_challenge_method")
  if (challenge or method) and (method ~= "S256" or not (challenge or ""):find("^[%w_-]+$") or #challenge ~= 43) then
    return nil, "Authorization failed because the code challenge is not one of method S256."
  end
  return { app = app, redirect_uri = uri, scopes = scopes, state = U.one(q, "state"), challenge = challenge }
end

local function url(text)
  return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function back(req, a, fields)
  local parts = {}
  for _, f in ipairs(fields) do
    if f[2] then parts[#parts + 1] = f[1] .. "=" .. url(f[2]) end
  end
  local join = a.redirect_uri:find("?", 1, true) and "&" or "?"
  req.reply = { Location = a.redirect_uri .. join .. table.concat(parts, "&"), ["Cache-Control"] = "no-store" }
  return 302, ""
end

local function make_code(S, a)
  local code = make_text(S, "")
  S.oauth.codes[code] = { app = a.app, redirect_uri = a.redirect_uri, scopes = a.scopes, challenge = a.challenge,
    expires_at = S.host.now() + a.app.code_expires_in * 1000 }
  return code
end

local function show_consent(S, req)
  local a, why = asked(S, req:args())
  if not a then return failed(req, why) end
  local ticket = S.rng.uuid()
  S.oauth.asked[ticket] = a
  local items = {}
  for i, name in ipairs(a.scopes) do items[i] = "<li><code>" .. html(name) .. "</code></li>" end
  return page(req, 200, "Connect " .. a.app.name .. " to HubSpot", ([[
<form method="post" action="/oauth/authorize">
<p><label>Account <select name="portal"><option value="%d" selected>Simulated account (%d)</option></select></label></p>
<p><strong>%s</strong> asks to be allowed:</p>
<ul>%s</ul>
<input type="hidden" name="ticket" value="%s">
<button type="submit" name="decision" value="connect">Connect app</button>
<button type="submit" name="decision" value="cancel">Cancel</button>
</form>]]):format(S.portal, S.portal, html(a.app.name), table.concat(items), ticket))
end

local function decide(S, req)
  local form = U.query(req.body)
  local ticket = U.one(form, "ticket") or ""
  local a = S.oauth.asked[ticket]
  if not a then return failed(req, "This page has been answered already, or is too old. Start again from the app.") end
  S.oauth.asked[ticket] = nil
  if U.one(form, "decision") ~= "connect" then
    local why = "The user denied access to the app"
    return back(req, a, { { "error", "access_denied" }, { "error_description", why }, { "state", a.state } })
  end
  return back(req, a, { { "code", make_code(S, a) }, { "state", a.state } })
end

-- ---- routes ----

local function route_old_metadata(S, req, what, text)
  if what == "access-tokens" and req.method == "GET" then
    local token = live(S, text)
    if not token then E.not_found("The access token is unknown or expired") end
    return 200, about(S, token)
  elseif what == "refresh-tokens" and (req.method == "GET" or req.method == "DELETE") then
    local held = S.oauth.refresh[text]
    if not held then E.not_found("The refresh token is unknown") end
    if req.method == "GET" then return 200, about_refresh(S, held) end
    end_grant(S, held.grant)
    return 204, ""
  end
end

---/oauth/…; needs no Authorization header.
---@param seg string[] the path's segments, "oauth" the first
function T.route(S, req, seg)
  local last = seg[#seg]
  if last == "authorize" and (#seg == 2 or (#seg == 3 and seg[2]:find("^%d+$"))) then
    if req.method == "GET" then return show_consent(S, req) end
    if req.method == "POST" and #seg == 2 then return decide(S, req) end
    return
  end
  local version = seg[2]
  req.oauth_version = version
  if version == "v1" and seg[4] and not seg[5] then return route_old_metadata(S, req, seg[3], seg[4]) end
  if req.method ~= "POST" then return end
  local what = table.concat(seg, "/", 3)
  if what == "private-apps/get/access-token-info" then
    local body = S:json(req)
    local token = type(body.tokenKey) == "string" and live(S, body.tokenKey)
    if not token then E.not_found("The access token is unknown") end
    return 200, { userId = token.user_id, hubId = S.portal, appId = token.app_id, scopes = scopes_of(token) }
  end
  if not DATED[version] and not (version == "v1" and what == "token") then return end
  req.reply = NO_STORE
  if what == "token" then return route_token(S, req)
  elseif what == "token/introspect" then return route_introspect(S, req)
  elseif what == "token/revoke" then return route_revoke(S, req) end
  req.reply = nil
end

-- ---- from outside (control.lua) ----

T.control = {}

local function app_of(S, id)
  local _, first = next(S.oauth.apps)
  local app = id and S.oauth.apps[id] or not id and first
  if not app then error("there is no OAuth app " .. tostring(id or "") .. " (option oauth_apps)", 0) end
  return app
end

-- fn(text, token) for the tokens that args name: one, an app's, or all.
local function each_token(S, args, fn)
  local n = 0
  for _, text in ipairs(U.keys(S.tokens)) do
    local token = S.tokens[text]   -- nil: ended with another one
    if token and text == args.token or (token and not args.token and (not args.client_id or token.client_id == args.client_id)) then
      fn(text, token)
      n = n + 1
    end
  end
  if args.token and n == 0 then error("the token is not known", 0) end
  return { tokens = n }
end

---authorize {client_id?, redirect_uri, scope, …as in the query}: the code, as if a person had pressed Connect app.
function T.control.authorize(S, args)
  local q = {}
  for k, v in pairs(args) do q[k] = { tostring(v) } end
  q.client_id = q.client_id or { app_of(S).client_id }
  local a, why = asked(S, q)
  if not a then error(why, 0) end
  return { code = make_code(S, a), state = a.state }
end

---issue_token {token?, scopes?, kind?, client_id?, expires_in?}: a token outside any flow.
function T.control.issue_token(S, args)
  local app = args.client_id and app_of(S, args.client_id) or { kind = args.kind or "private_app", id = 3000900 + #U.keys(S.tokens) }
  local text = args.token or make_text(S, "pat-")
  register(S, text, app, { kind = args.kind, scopes = args.scopes and set(args.scopes) or true, client_id = args.client_id,
    expires_at = args.expires_in and S.host.now() + args.expires_in * 1000 or nil })
  return { token = text }
end

---expire_token {token? | client_id?}: from now on 401 EXPIRED_AUTHENTICATION.
function T.control.expire_token(S, args)
  return each_token(S, args, function(_, token) token.expires_at = S.host.now() end)
end

---deactivate_token {token? | client_id?}: as a person does in the app's settings.
function T.control.deactivate_token(S, args)
  return each_token(S, args, function(_, token) token.deactivated = true end)
end

---revoke_token {token? | client_id?}: the person disconnects the app; its refresh tokens end, too.
function T.control.revoke_token(S, args)
  local held = args.token and S.oauth.refresh[args.token]
  if held then
    end_grant(S, held.grant)
    return { tokens = 1 }
  end
  for text, h in pairs(S.oauth.refresh) do
    if not args.token and (not args.client_id or h.app.client_id == args.client_id) then S.oauth.refresh[text] = nil end
  end
  return each_token(S, args, function(text, token)
    if token.grant then end_grant(S, token.grant) end
    S.tokens[text] = nil
  end)
end

return T
