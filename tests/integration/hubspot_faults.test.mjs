// HubSpot misbehaving, seen by a script: each answer that is no answer becomes
// an error table with a message to act on, and only what may be repeated is.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { SECRET, TOKEN, deliver, event, fake, fakeTcp, freePort, project, run, serve, signatures, start } from './lib.mjs';

const ERROR = (status, category, more = {}) => JSON.stringify({
  status: 'error', message: `refused with ${status}`, correlationId: 'aeb5f871-7f07-4993-9211-075dc63e7cbf', category, ...more,
});

// Reads a contact and prints the error's fields as one line of JSON.
const CAUGHT = `
local hubspot = require "hubspot"
local ok, e = pcall(function() return hubspot.contacts.get("1", { "email" }) end)
print(json.encode{ ok = ok, kind = e.kind, status = e.status, category = e.category, message = e.message, retryable = e.retryable,
  correlation_id = e.correlation_id, text = tostring(e) })
`;
const UNCAUGHT = 'local hubspot = require "hubspot"\nprint(hubspot.contacts.get("1", { "email" }).email)\n';

async function against(t, url, script = CAUGHT) {
  const dir = project(t, { 'read.lua': script });
  const r = await run(t, ['run', 'read.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: url } });
  assert.ok(!(r.out + r.err).includes(TOKEN), 'the token was printed');
  return r;
}

async function caught(t, handler) {
  const f = await fake(t, handler);
  const r = await against(t, f.url);
  assert.equal(r.code, 0, r.err);
  const e = JSON.parse(r.out);
  assert.equal(e.ok, false);
  assert.ok(e.message && e.text.includes(e.message), `tostring(e) is "${e.text}", e.message "${e.message}"`);
  return { e, f };
}

const answer = (status, body, type = 'application/json') => (q, res) => res.writeHead(status, { 'Content-Type': type }).end(body);

test('the token travels as a bearer token, on the dated path', async (t) => {
  const f = await fake(t, answer(404, ERROR(404, 'OBJECT_NOT_FOUND')));
  await against(t, f.url);
  assert.equal(f.requests[0].headers.authorization, `Bearer ${TOKEN}`);
  assert.match(f.requests[0].url, /^\/crm\/objects\/2026-09\/contacts\//);
});

test('HTML where JSON belongs', async (t) => {
  const { e } = await caught(t, answer(200, '<!doctype html><title>Maintenance</title>', 'text/html'));
  assert.match(e.message, /JSON|HTML/i);
  assert.equal(e.kind, 'protocol');
});

test('HTML with status 404 keeps its status', async (t) => {
  const { e } = await caught(t, answer(404, '<html>no such page</html>', 'text/html'));
  assert.equal(e.status, 404);
});

test('truncated JSON', async (t) => {
  const { e } = await caught(t, answer(200, '{"id":"1","properties":{"email":"ada@exam'));
  assert.equal(e.kind, 'protocol');
  assert.match(e.message, /JSON/);
});

test('401: what to check, once, not repeated', async (t) => {
  const { e, f } = await caught(t, answer(401, ERROR(401, 'INVALID_AUTHENTICATION')));
  assert.equal(e.status, 401);
  assert.equal(e.category, 'INVALID_AUTHENTICATION');
  assert.equal(e.retryable, false);
  assert.equal(e.correlation_id, 'aeb5f871-7f07-4993-9211-075dc63e7cbf');
  assert.equal(f.requests.length, 1);
  const r = await against(t, f.url, UNCAUGHT);
  assert.equal(r.code, 1);
  assert.match(r.err, /401|INVALID_AUTHENTICATION/);
  assert.match(r.err, /token/i);
  assert.match(r.err, /read\.lua:2/);
});

test('403 with missing scopes names them', async (t) => {
  const { e, f } = await caught(t, answer(403, ERROR(403, 'MISSING_SCOPES', {
    errors: [{ message: 'One or more of the following scopes are required.', context: { requiredGranularScopes: ['crm.objects.contacts.read'] } }],
  })));
  assert.equal(e.status, 403);
  assert.equal(e.category, 'MISSING_SCOPES');
  assert.match(e.text, /crm\.objects\.contacts\.read/);
  assert.equal(f.requests.length, 1);
});

test('500', async (t) => {
  const { e } = await caught(t, answer(500, ERROR(500, 'INTERNAL_ERROR')));
  assert.equal(e.status, 500);
});

test('503 is repeated and then succeeds, unseen by the script', async (t) => {
  let n = 0;
  const f = await fake(t, (q, res) => {
    if (++n === 1) return answer(503, ERROR(503, 'SERVICE_UNAVAILABLE'))(q, res);
    return answer(200, JSON.stringify({ id: '1', archived: false, createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z', properties: { email: 'ada@example.com' } }))(q, res);
  });
  const r = await against(t, f.url, UNCAUGHT);
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, 'ada@example.com\n');
  assert.equal(f.requests.length, 2);
});

test('429 with Retry-After is waited for', async (t) => {
  let n = 0;
  const f = await fake(t, (q, res) => {
    if (++n === 1) {
      res.writeHead(429, { 'Content-Type': 'application/json', 'Retry-After': '1' });
      return res.end(ERROR(429, 'RATE_LIMITS', { errorType: 'RATE_LIMIT', policyName: 'TEN_SECONDLY_ROLLING' }));
    }
    return answer(200, JSON.stringify({ id: '1', archived: false, createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z', properties: { email: 'ada@example.com' } }))(q, res);
  });
  const r = await against(t, f.url, UNCAUGHT);
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, 'ada@example.com\n');
});

test('what waits for HubSpot is told without the address it asks for', async (t) => {
  let n = 0;
  const f = await fake(t, (q, res) => {
    if (++n === 1) return res.socket.destroy();
    if (n === 2) return answer(429, ERROR(429, 'RATE_LIMITS', { policyName: 'TEN_SECONDLY_ROLLING' }))(q, res);
    return answer(200, JSON.stringify({ id: '1', properties: { email: 'ada@example.com' } }))(q, res);
  });
  const r = await against(t, f.url, 'local hubspot = require "hubspot"\nhubspot.contacts.get("ada@example.com", { "email" }, { id_property = "email" })\n');
  assert.equal(r.code, 0, r.err);
  assert.equal(n, 3);
  assert.match(r.err, /warn .*HubSpot does not answer/);
  assert.match(r.err, /warn .*429 TEN_SECONDLY_ROLLING for \S*\/contacts\//);
  assert.doesNotMatch(r.err, /(@|%40)example/);
});

test('a create that may have arrived is not repeated', async (t) => {
  const f = await fake(t, (q, res) => res.socket.destroy());
  const r = await against(t, f.url, `
local hubspot = require "hubspot"
local ok, e = pcall(function() return hubspot.deals.create{ dealname = "Big", dealstage = "closedwon" } end)
print(ok, e.kind)
print(e.message)
`);
  assert.equal(r.code, 0, r.err);
  assert.match(r.out, /^false\tuncertain\n.*look in HubSpot whether it is there/);
  assert.equal(f.requests.length, 1);
});

test('a create with a unique property that may have arrived is looked for', async (t) => {
  const f = await fake(t, (q, res) => {
    if (q.method === 'POST') return res.socket.destroy();
    const made = { id: '7', properties: { email: 'ada@example.com' }, createdAt: new Date().toISOString(), archived: false };
    return res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(made));
  });
  const r = await against(t, f.url, `
local hubspot = require "hubspot"
print(hubspot.contacts.create{ email = "ada@example.com" }.id)
`);
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, '7\n');
  assert.deepEqual(f.requests.map((q) => `${q.method} ${q.url}`), ['POST /crm/objects/2026-09/contacts',
    'GET /crm/objects/2026-09/contacts/ada%40example.com?properties=email&idProperty=email']);
});

// These are repeated for minutes, as an outage of HubSpot needs; the script
// decides how long it waits.
const PATIENT = `
local hubspot = require "hubspot"
local ok, e = pcall(task.timeout, "2s", function() return hubspot.contacts.get("1", { "email" }) end)
print(ok, e.kind)
`;

test('nobody listens: said at once; the script\'s own timeout ends the repeating', async (t) => {
  const r = await against(t, `http://127.0.0.1:${await freePort()}`, PATIENT);
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, 'false\ttimeout\n');
  assert.match(r.err, /warn .*main: HubSpot does not answer \(.*127\.0\.0\.1.*\); trying again for up to 5 minutes/);
  assert.equal(r.err.match(/does not answer/g).length, 1, r.err);
});

test('a connection that is closed without an answer: repeated, then answered', async (t) => {
  let n = 0;
  const f = await fake(t, (q, res) => {
    if (++n < 3) return res.socket.destroy();
    return answer(200, JSON.stringify({ id: '1', archived: false, createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z', properties: { email: 'ada@example.com' } }))(q, res);
  });
  const r = await against(t, f.url, UNCAUGHT);
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, 'ada@example.com\n');
});

test('nothing at all: the script\'s own timeout ends it', async (t) => {
  const f = await fakeTcp(t, () => {});
  const r = await against(t, f.url, `
local hubspot = require "hubspot"
local ok, e = pcall(task.timeout, "500ms", function() return hubspot.contacts.get("1", { "email" }) end)
print(ok, e.kind)
`);
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, 'false\ttimeout\n');
});

test('nothing at all is said while it lasts', async (t) => {
  const f = await fakeTcp(t, () => {});
  const dir = project(t, { 'read.lua': UNCAUGHT });
  const p = start(t, ['run', 'read.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: f.url } });
  await p.line(/warn .*main: HubSpot does not answer \(nothing for 5 seconds\); still waiting/);
  const ended = await p.stop('SIGINT');
  assert.ok(ended.code === 130 || ended.signal === 'SIGINT', JSON.stringify(ended));
});

test('plain http leaves loopback only', async (t) => {
  const r = await against(t, 'http://api.example.com', UNCAUGHT);
  assert.notEqual(r.code, 0);
  assert.match(r.err, /http:\/\/api\.example\.com/);
  assert.match(r.err, /https/);
});

// ---- what a person got wrong, or a machine: one line, with the remedy ----

const RECORD = JSON.stringify({ id: '1', archived: false, createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z', properties: { email: 'ada@example.com' } });

test('a token of another region', async (t) => {
  const f = await fake(t, answer(401, ERROR(401, 'INVALID_AUTHENTICATION')));
  const dir = project(t, { 'read.lua': UNCAUGHT });
  const europe = TOKEN.replace('-na1-', '-eu1-');
  const r = await run(t, ['run', 'read.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: europe, HUBSPOT_BASE_URL: f.url } });
  assert.equal(r.code, 1);
  assert.match(r.err, /It is a token of region eu1, but the calls go to http:\/\/127\.0\.0\.1:\d+: set region = "eu1" for account main/);
  assert.ok(!r.err.includes(europe));
});

test('an account that is not there', async (t) => {
  const f = await fake(t, answer(200, RECORD));
  const r = await against(t, f.url, 'local hubspot = require "hubspot"\nprint(hubspot.account("shop").contacts.get("1", { "email" }).email)\n');
  assert.equal(r.code, 1);
  assert.match(r.err, /read\.lua:2: there is no account "shop"; there are: main/);
  assert.equal(f.requests.length, 0);
});

test('a clock that is off is said once; calls go on', async (t) => {
  const f = await fake(t, (q, res) => { res.setHeader('Date', new Date(Date.now() - 61 * 60e3 - 5e3).toUTCString()); answer(200, RECORD)(q, res); });
  const r = await against(t, f.url, UNCAUGHT.repeat(2).replace('local hubspot', 'hubspot = nil\nlocal hubspot'));
  assert.equal(r.code, 0, r.err);
  assert.match(r.err, /warn .*this machine's clock is 61 minutes ahead of HubSpot's \(.* GMT\): .*timedatectl set-ntp true/);
  assert.equal(r.err.match(/clock is/g).length, 1);
});

test('webhooks that are signed well at another time than ours: refused, and why is said once', async (t) => {
  const dir = project(t, { 'a.lua': 'on("contact.creation", function() end)\n' });
  const p = await serve(t, dir);
  const at = (minutes, secret = SECRET) => {
    const body = JSON.stringify([event()]);
    return deliver(p.hook, body, { headers: signatures.v3(secret, body, p.hook, 'POST', Date.now() + minutes * 60e3) });
  };
  assert.equal((await at(90, `${SECRET}x`)).status, 401); // forged: nobody's clock
  assert.equal((await at(61.5)).status, 401);
  assert.equal((await at(-45)).status, 401);
  assert.equal((await at(0)).status, 204);
  assert.match(p.err, /warn .*refused a webhook with a good signature whose time is 61 minutes ahead of this machine's clock: set the clock/);
  assert.equal(p.err.match(/a good signature/g).length, 1, p.err);
  await p.stop();
});

test('a host that is not found', async (t) => {
  const dir = project(t, { 'read.lua': UNCAUGHT });
  const p = start(t, ['run', 'read.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: 'https://hubspot.invalid' } });
  await p.line(/main: HubSpot does not answer \(GET https:\/\/hubspot\.invalid.*the host hubspot\.invalid cannot be found; check its name and this machine's DNS\); trying again/);
  await p.stop('SIGINT');
});

// A certificate made for this test, which nobody has reason to trust.
function certificate(t) {
  const dir = project(t);
  const at = (name) => path.join(dir, name);
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1', '-subj', '/CN=127.0.0.1',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', at('key.pem'), '-out', at('cert.pem')], { stdio: 'pipe' });
  return { key: fs.readFileSync(at('key.pem')), cert: fs.readFileSync(at('cert.pem')) };
}

test('a certificate that is not trusted is said at once, and the token is not sent', async (t) => {
  const seen = [];
  const server = https.createServer(certificate(t), (q, res) => { seen.push(q.headers); res.end(RECORD); });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => { server.closeAllConnections(); server.close(); });
  const r = await against(t, `https://127.0.0.1:${server.address().port}`);
  assert.equal(r.code, 0, r.err);
  const e = JSON.parse(r.out);
  assert.equal(e.kind, 'network');
  assert.equal(e.retryable, false);
  assert.match(e.message, /the TLS certificate of 127\.0\.0\.1 is not trusted \(.*\); check the URL and this machine's clock and CA certificates/);
  assert.deepEqual(seen, []);
});

test('https to what speaks no TLS', async (t) => {
  const f = await fake(t, answer(200, RECORD));
  const r = await against(t, f.url.replace('http:', 'https:'), PATIENT);
  assert.equal(r.code, 0, r.err);
  assert.match(r.err, /main: HubSpot does not answer \(.*no TLS connection with 127\.0\.0\.1 \(.*check the URL's scheme and port/);
});
