// The simulator's OAuth server over HTTP: the way of a browser and of an app, and
// the official client's. The exchanges are recorded and validated (records.test.mjs).
import { test } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { createRequire } from 'node:module';
import { project, request, run, sim } from '../integration/lib.mjs';

const { Client } = createRequire(import.meta.url)('@hubspot/api-client');

const APP = 'app-of-the-test';
const APP_SECRET = crypto.randomUUID();
const CALLBACK = 'http://127.0.0.1:50505/callback';
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

const app = (t, args = []) => sim(t, project(t), ['--contacts', '3', '--oauth-app', APP, ...args], { env: { HUBSPOT_APP_SECRET: APP_SECRET } });
const post = async (s, path, fields) => {
  const r = await request('POST', s.url + path, new URLSearchParams(fields).toString(), FORM);
  return { status: r.status, headers: r.headers, body: r.body && r.headers['content-type']?.includes('json') ? JSON.parse(r.body) : r.body };
};

async function consent(s, query, decision = 'connect') {
  const page = await request('GET', `${s.url}/oauth/authorize?${new URLSearchParams(query)}`, '', {});
  assert.equal(page.status, 200, page.body);
  assert.match(page.headers['content-type'], /^text\/html/);
  const ticket = /name="ticket" value="([^"]+)"/.exec(page.body)[1];
  const r = await post(s, '/oauth/authorize', { ticket, decision });
  assert.equal(r.status, 302);
  return new URL(r.headers.location).searchParams;
}

test('consent with PKCE, exchange, introspection, refresh, revocation', async (t) => {
  const s = await app(t, ['--oauth-scopes', 'oauth crm.objects.contacts.read', '--oauth-rotate', 'now', '--oauth-expires', '90']);
  const verifier = crypto.randomBytes(32).toString('base64url');
  const query = {
    client_id: APP, redirect_uri: CALLBACK, scope: 'oauth crm.objects.contacts.read', state: 'a b',
    code_challenge: crypto.createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  };
  assert.equal((await consent(s, query, 'cancel')).get('error'), 'access_denied');
  const back = await consent(s, query);
  assert.equal(back.get('state'), 'a b');
  const who = { client_id: APP, client_secret: APP_SECRET };
  const exchange = { ...who, grant_type: 'authorization_code', code: back.get('code'), redirect_uri: CALLBACK, code_verifier: verifier };
  const tokens = await post(s, '/oauth/2026-09/token', exchange);
  assert.equal(tokens.status, 200, JSON.stringify(tokens.body));
  assert.equal(tokens.body.expires_in, 90);
  const again = await post(s, '/oauth/2026-09/token', exchange);
  assert.deepEqual([again.status, again.body.status], [400, 'BAD_AUTH_CODE']);
  const about = await post(s, '/oauth/2026-09/token/introspect', { ...who, token: tokens.body.access_token });
  assert.deepEqual([about.body.active, about.body.hub_id], [true, 62515]);
  const fresh = await post(s, '/oauth/v3/token', { ...who, grant_type: 'refresh_token', refresh_token: tokens.body.refresh_token });
  assert.notEqual(fresh.body.refresh_token, tokens.body.refresh_token);
  const read = (token) => request('GET', `${s.url}/crm/objects/2026-09/contacts`, '', { Authorization: `Bearer ${token}` });
  assert.equal((await read(fresh.body.access_token)).status, 200);
  assert.equal((await post(s, '/oauth/2026-09/token/revoke', { ...who, token: fresh.body.refresh_token })).status, 200);
  assert.equal((await read(fresh.body.access_token)).status, 401);
});

test('the official client exchanges and refreshes', async (t) => {
  const s = await app(t);
  const hubspot = new Client({ basePath: s.url });
  const back = await consent(s, { client_id: APP, redirect_uri: CALLBACK, scope: 'oauth crm.objects.contacts.read' });
  const first = await hubspot.oauth.tokensApi.create('authorization_code', back.get('code'), CALLBACK, APP, APP_SECRET);
  assert.equal(first.expiresIn, 1800);
  const second = await hubspot.oauth.tokensApi.create('refresh_token', undefined, undefined, APP, APP_SECRET, first.refreshToken);
  hubspot.setAccessToken(second.accessToken);
  assert.equal((await hubspot.crm.contacts.basicApi.getPage(2)).results.length, 2);
  await s.control('expire_token', { client_id: APP });
  await assert.rejects(hubspot.crm.contacts.basicApi.getPage(2), (e) => e.code === 401 && e.body.category === 'EXPIRED_AUTHENTICATION');
  await assert.rejects(hubspot.oauth.tokensApi.create('refresh_token', undefined, undefined, APP, APP_SECRET, 'nonsense'), (e) => e.code === 400 && e.body.status === 'BAD_REFRESH_TOKEN');
});

test('flags of the app are checked', async (t) => {
  const dir = project(t);
  const alone = await run(t, ['sim', '--oauth-rotate', 'now'], { cwd: dir });
  assert.equal(alone.code, 2);
  assert.match(alone.err, /--oauth-rotate needs --oauth-app/);
  const often = await run(t, ['sim', '--oauth-app', 'x', '--oauth-rotate', 'often'], { cwd: dir });
  assert.equal(often.code, 2);
  assert.match(often.err, /now, on_use or never/);
});
