-- The simulator's OAuth server, asked as an app asks it, without a network.
local server = require "sim.server"

local NOW = 1788249600000
local CLIENT, SECRET = "00000000-app", "secret-" .. "of-the-app"
local CALLBACK = "http://127.0.0.1:53123/callback"
local TOKEN = "/oauth/2026-09/token"
local CONTACTS = "/crm/objects/2026-09/contacts"
local READ = "crm.objects.contacts.read"

local function url(text) return (text:gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end)) end

local function form(fields)
  local parts = {}
  for k, v in pairs(fields) do parts[#parts + 1] = k .. "=" .. url(v) end
  table.sort(parts)
  return table.concat(parts, "&")
end

local function account(app, options)
  local H = { at = NOW }
  local a = { client_id = CLIENT, client_secret = SECRET, name = "Lead <Sync>", scopes = { "oauth", READ },
    optional_scopes = { "crm.objects.contacts.write", "crm.lists.read" },
    redirect_uris = { "http://127.0.0.1/callback", "https://app.example.com/cb?x=1" } }
  for k, v in pairs(app or {}) do a[k] = v end
  local o = { oauth_apps = { a }, contacts = 1 }
  for k, v in pairs(options or {}) do o[k] = v end
  local S = server.new(o, { now = function() return H.at end, random = function() return 0.5 end, spawn = function() end })
  local function call(method, target, body, headers)
    local path, query = target:match("^([^?]*)%??(.*)$")
    local answer = S:handle { method = method, path = path, query = query, headers = headers or {}, body = body or "" }
    local decoded = answer.body:sub(1, 1) == "{" and json.decode(answer.body) or answer.body
    return answer.status, decoded, answer.headers
  end
  local function token(fields)
    fields.client_id, fields.client_secret = fields.client_id or CLIENT, fields.client_secret or SECRET
    return call("POST", TOKEN, form(fields))
  end
  -- What a person's browser does: the page, then one of its buttons. Gives the place it is sent to.
  local function consent(query, decision)
    local status, text = call("GET", "/oauth/authorize?" .. form(query))
    if status ~= 200 then return nil, text end
    local ticket = text:match('name="ticket" value="([^"]+)"')
    local _, _, headers = call("POST", "/oauth/authorize", form { ticket = ticket, decision = decision or "connect", portal = "62515" })
    return headers.Location, text
  end
  return { call = call, token = token, consent = consent, S = S, H = H,
    read = function(access) return call("GET", CONTACTS, nil, { authorization = "Bearer " .. access }) end,
    code = function(query) return (consent(query):match("[?&]code=([^&]+)")) end,
    control = function(name, args) return S:control(name, args) end }
end

local function ask(more)
  local q = { client_id = CLIENT, redirect_uri = CALLBACK, scope = "oauth " .. READ, state = "s/1" }
  for k, v in pairs(more or {}) do q[k] = v end
  return q
end

local function exchange(code, more)
  local f = { grant_type = "authorization_code", code = code, redirect_uri = CALLBACK }
  for k, v in pairs(more or {}) do f[k] = v end
  return f
end

describe("consent", function()
  it("is a page that names the app and its scopes, and leads back with a code and the state", function()
    local a = account()
    local back, text = a.consent(ask())
    expect(text).to.contain("Lead &lt;Sync&gt;")
    expect(text).to.contain("<code>" .. READ .. "</code>")
    expect(text).to.contain("Connect app")
    expect(text).to.contain("Cancel")
    expect(back).to.match("^http://127%.0%.0%.1:53123/callback%?code=na1%-[%x-]+&state=s%%2F1$")
  end)

  it("leads back with access_denied after Cancel, and answers once", function()
    local a = account()
    expect((a.consent(ask(), "cancel"))).to
      .match("^http://127%.0%.0%.1:53123/callback%?error=access_denied&error_description=.*&state=s%%2F1$")
    local _, text = a.call("GET", "/oauth/authorize?" .. form(ask()))
    local ticket = text:match('name="ticket" value="([^"]+)"')
    expect((a.call("POST", "/oauth/authorize", form { ticket = ticket, decision = "connect" }))).to.equal(302)
    local status, again = a.call("POST", "/oauth/authorize", form { ticket = ticket, decision = "connect" })
    expect(status).to.equal(400)
    expect(again).to.contain("answered already")
  end)

  it("leads only to a registered URL; a loopback host may have any port", function()
    local a = account()
    for _, uri in ipairs { "http://localhost:53123/callback", "http://127.0.0.1:53123/other", "https://app.example.com/cb",
      "https://app.example.com:8443/cb?x=1", "http://127.0.0.1:1@evil.example/callback", "https://evil.example/callback", "" } do
      local back, text = a.consent(ask { redirect_uri = uri })
      expect(back).to.be_nil()
      expect(text).to.contain("registered redirect URL")
    end
    expect((a.consent(ask { redirect_uri = "http://127.0.0.1:9/callback" }))).to.contain("http://127.0.0.1:9/callback?code=")
    expect((a.consent(ask { redirect_uri = "https://app.example.com/cb?x=1" }))).to.contain("cb?x=1&code=")
  end)

  it("refuses unknown apps, missing and foreign scopes, and other challenges than S256", function()
    local a = account { refuses = { "crm.lists.read" } }
    local function why(more) return select(2, a.consent(ask(more))) end
    expect(why { client_id = "nobody" }).to.contain("client ID")
    expect(why { scope = "oauth" }).to.contain("insufficient")
    expect(why { scope = "oauth automation " .. READ }).to.contain("scope mismatch")
    expect(why { scope = "oauth crm.lists.read " .. READ }).to.contain("doesn&#39;t have access")
    expect(why { code_challenge = "abc", code_challenge_method = "plain" }).to.contain("S256")
    expect(why { code_challenge = ("a"):rep(43) }).to.contain("S256")
  end)

  it("leaves out optional scopes that the account cannot grant", function()
    local a = account { refuses = { "crm.lists.read" } }
    local code = a.code(ask { optional_scope = "crm.lists.read crm.objects.contacts.write" })
    local _, t = a.token(exchange(code))
    expect(t.scopes).to.equal(json.array { "oauth", READ, "crm.objects.contacts.write" })
  end)
end)

describe("the token endpoint", function()
  it("changes a code for tokens, once", function()
    local a = account()
    local code = a.code(ask())
    local status, t, headers = a.token(exchange(code))
    expect(status).to.equal(200)
    expect(headers["Cache-Control"]).to.equal("no-store")
    expect(t.token_type).to.equal("bearer")
    expect(t.expires_in).to.equal(1800)
    expect(t.hub_id).to.equal(62515)
    expect(t.scopes).to.equal(json.array { "oauth", READ })
    expect((a.read(t.access_token))).to.equal(200)
    local again, e = a.token(exchange(code))
    expect(again).to.equal(400)
    expect(e.status).to.equal("BAD_AUTH_CODE")
    expect(e.correlationId).to.match("^%x+%-")
    expect(e.category).to.equal("VALIDATION_ERROR")
  end)

  it("checks who asks, and with what", function()
    local a = account()
    local function wrong(fields) return select(2, a.token(fields)).status end
    expect(wrong { grant_type = "password" }).to.equal("BAD_GRANT_TYPE")
    expect(wrong(exchange("x", { client_id = "nobody" }))).to.equal("BAD_CLIENT_ID")
    expect(wrong(exchange("x", { client_secret = SECRET .. "x" }))).to.equal("BAD_CLIENT_SECRET")
    expect(wrong(exchange("x"))).to.equal("BAD_AUTH_CODE")
    local code = a.code(ask())
    expect(wrong(exchange(code, { redirect_uri = "http://127.0.0.1:1/callback" }))).to.equal("MISMATCH_REDIRECT_URI_AUTH_CODE")
    a.H.at = a.H.at + 600 * 1000
    expect(wrong(exchange(code))).to.equal("EXPIRED_AUTH_CODE")
    -- Credentials in the URL are what the dated endpoint was made against.
    local _, e = a.call("POST", TOKEN .. "?" .. form(exchange("x", { client_id = CLIENT, client_secret = SECRET })))
    expect(e.status).to.equal("BAD_GRANT_TYPE")
  end)

  it("holds a code to its verifier", function()
    -- The pair of RFC 7636, appendix B.
    local verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    local a = account()
    local function try(given)
      local code = a.code(ask { code_challenge = challenge, code_challenge_method = "S256" })
      local status, t = a.token(exchange(code, { code_verifier = given }))
      return status == 200 and "well" or t.status
    end
    expect(try(verifier)).to.equal("well")
    expect(try(nil)).to.equal("BAD_CODE_VERIFIER")
    expect(try(verifier:reverse())).to.equal("BAD_CODE_VERIFIER")
  end)

  it("refreshes, and keeps, rotates at once or on the first use of the new token", function()
    local function run(rotate)
      local a = account { rotate = rotate }
      local _, t = a.token(exchange(a.code(ask())))
      local function refresh(text) return a.token { grant_type = "refresh_token", refresh_token = text } end
      return a, t.refresh_token, refresh
    end
    local a, old, refresh = run(false)
    local _, t = refresh(old)
    expect(t.refresh_token).to.equal(old)
    expect((a.read(t.access_token))).to.equal(200)

    a, old, refresh = run(true)
    _, t = refresh(old)
    expect(t.refresh_token == old).to.be_false()
    expect(select(2, refresh(old)).status).to.equal("BAD_REFRESH_TOKEN")
    expect((refresh(t.refresh_token))).to.equal(200)
    expect((a.read(t.access_token))).to.equal(200)

    a, old, refresh = run("on_use")
    _, t = refresh(old)
    expect((refresh(old))).to.equal(200)   -- the answer may have been lost
    a.read(t.access_token)
    expect((refresh(old))).to.equal(400)
    expect((refresh(t.refresh_token))).to.equal(200)
  end)

  it("words errors as the path's version or RFC 6749 does", function()
    local a = account()
    local body = form { grant_type = "refresh_token", refresh_token = "x", client_id = CLIENT, client_secret = SECRET }
    local _, old = a.call("POST", "/oauth/v1/token", body)
    expect(old.status).to.equal("BAD_REFRESH_TOKEN")
    expect(old.category).to.be_nil()
    expect(select(2, a.call("POST", "/oauth/v3/token", body)).category).to.equal("VALIDATION_ERROR")
    local _, e = account({ rfc_errors = true }).token { grant_type = "refresh_token", refresh_token = "x" }
    expect(e).to.equal { error = "invalid_grant", error_description = "missing or invalid refresh token" }
    expect((a.call("POST", "/oauth/v2/token", body))).to.equal(501)
  end)

  it("gives an app a token of its own", function()
    local a = account()
    local _, t = a.token { grant_type = "client_credentials", scope = "developer.webhooks_journal.read" }
    expect(t.refresh_token).to.be_nil()
    expect(t.hub_id).to.be_nil()
    local _, about = a.call("POST", TOKEN .. "/introspect", form { token = t.access_token })
    expect(about.scopes).to.equal(json.array { "developer.webhooks_journal.read" })
    expect(about.hub_id).to.be_nil()
    expect(select(2, a.token { grant_type = "client_credentials", scope = "automation" }).status).to.equal("BAD_SCOPES")
  end)
end)

describe("a token", function()
  it("expires by the clock", function()
    local a = account { expires_in = 60 }
    local _, t = a.token(exchange(a.code(ask())))
    a.H.at = a.H.at + 59999
    expect((a.read(t.access_token))).to.equal(200)
    a.H.at = a.H.at + 5001
    local status, e = a.read(t.access_token)
    expect(status).to.equal(401)
    expect(e.category).to.equal("EXPIRED_AUTHENTICATION")
    expect(e.message).to.equal("The OAuth token used to make this call expired 5 second(s) ago.")
    local _, about = a.call("POST", TOKEN .. "/introspect", form { token = t.access_token })
    expect(about).to.equal { active = false }
  end)

  it("tells what it is to the app it belongs to", function()
    local a = account()
    local _, t = a.token(exchange(a.code(ask())))
    local function introspect(fields) return a.call("POST", TOKEN .. "/introspect", form(fields)) end
    local _, about = introspect { token = t.access_token, client_id = CLIENT, client_secret = SECRET }
    expect(about.active).to.be_true()
    expect(about.hub_id).to.equal(62515)
    expect(about.app_id).to.equal(4000001)
    expect(about.expires_in).to.equal(1800)
    expect(about.token_use).to.equal("access_token")
    local _, refresh = introspect { token = t.refresh_token, client_id = CLIENT, client_secret = SECRET }
    expect(refresh.token_use).to.equal("refresh_token")
    expect((introspect { token = t.access_token, client_id = CLIENT, client_secret = "wrong" })).to.equal(400)
    expect(select(2, introspect { token = "nonsense" })).to.equal { active = false }
    expect((introspect {})).to.equal(400)
    local text = "pat-" .. "na1-" .. "simulator"
    local _, private = introspect { token = text }
    expect(private.app_id).to.equal(3000001)
    expect(private.expires_in).to.be_nil()
    local has = {}
    for _, scope in ipairs(private.scopes) do has[scope] = true end
    for _, scope in ipairs { "crm.objects.contacts.write", "crm.objects.owners.read", "crm.lists.read", "crm.lists.write", "forms",
      "crm.schemas.deals.read" } do
      expect(has[scope] and scope).to.equal(scope)   -- it may do all of it
    end
    local _, old = a.call("POST", "/oauth/v2/private-apps/get/access-token-info", json.encode { tokenKey = text })
    expect(old.hubId).to.equal(62515)
  end)

  it("ends when it is revoked; a refresh token takes its access tokens along", function()
    local a = account()
    local _, t = a.token(exchange(a.code(ask())))
    local function revoke(text)
      return (a.call("POST", TOKEN .. "/revoke", form { token = text, client_id = CLIENT, client_secret = SECRET }))
    end
    expect(revoke(t.refresh_token)).to.equal(200)
    local status, e = a.read(t.access_token)
    expect(status).to.equal(401)
    expect(e.category).to.equal("INVALID_AUTHENTICATION")
    expect((a.token { grant_type = "refresh_token", refresh_token = t.refresh_token })).to.equal(400)
    expect(revoke("unknown")).to.equal(200)
  end)

  it("of another data region is named as such", function()
    local a = account()
    local status, e = a.read("pat-" .. "eu1-" .. "12345678")
    expect(status).to.equal(401)
    expect(e.message).to.contain("data region eu1")
    expect((account(nil, { region = "eu1", token = "pat-" .. "eu1-" .. "12345678" }).read("pat-" .. "eu1-" .. "12345678"))).to.equal(200)
  end)

  it("is issued, expired, deactivated and revoked from outside", function()
    local a = account()
    local code = a.control("authorize", { redirect_uri = CALLBACK, scope = "oauth " .. READ, state = "z" })
    expect(code.state).to.equal("z")
    local _, t = a.token(exchange(code.code))
    a.control("expire_token", { client_id = CLIENT })
    expect(select(2, a.read(t.access_token)).category).to.equal("EXPIRED_AUTHENTICATION")
    local _, fresh = a.token { grant_type = "refresh_token", refresh_token = t.refresh_token }
    expect((a.read(fresh.access_token))).to.equal(200)
    a.control("revoke_token", { client_id = CLIENT })
    expect((a.read(fresh.access_token))).to.equal(401)
    expect((a.token { grant_type = "refresh_token", refresh_token = t.refresh_token })).to.equal(400)
    local issued = a.control("issue_token", { scopes = { READ }, kind = "service_key" })
    expect((a.read(issued.token))).to.equal(200)
    a.control("deactivate_token", { token = issued.token })
    expect(select(2, a.read(issued.token)).message).to.contain("deactivated")
    expect(function() a.control("expire_token", { token = "unknown" }) end).to.raise("not known")
  end)

  it("of an app without a needed scope is refused with the scope's name", function()
    local a = account()
    local _, t = a.token(exchange(a.code(ask())))
    local status, e = a.call("POST", CONTACTS, json.encode { properties = { email = "a@example.com" } },
      { authorization = "Bearer " .. t.access_token })
    expect(status).to.equal(403)
    expect(e.category).to.equal("MISSING_SCOPES")
    expect(e.errors[1].context.requiredGranularScopes).to.equal(json.array { "crm.objects.contacts.write" })
  end)
end)

describe("options of an app", function()
  it("are refused when they are unknown or missing", function()
    expect(function() account { rotates = true } end).to.raise("rotates")
    expect(function() account { rotate = "often" } end).to.raise("on_use")
    local host = { now = function() return NOW end }
    expect(function() server.new({ oauth_apps = { { client_id = "x" } } }, host) end).to.raise("client_secret")
  end)
end)
