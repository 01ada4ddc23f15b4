// The webhooks journal: `hubloop sim` keeps it, `hubloop serve` reads it, over HTTP;
// killed in between, down for a while, with offsets that expire, and beside push.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { PORTAL, SECRET, TOKEN, deliver, event, fake, poll, project, request, serve, sim, start } from './lib.mjs';

const APP = 'journal-app';
const APP_SECRET = crypto.randomUUID();
const SCOPES = 'developer.webhooks_journal.read developer.webhooks_journal.subscriptions.read developer.webhooks_journal.subscriptions.write';
const SUBS = '/webhooks-journal/subscriptions/2026-03';

const SCRIPT = `
on("contact.creation", { concurrency = 20 }, function(e)
  kv.incr("n:" .. e.objectId)
  kv.set("source:" .. e.objectId, e.source)
end)
on("contact.propertyChange", { property = "phone" }, function(e) kv.incr("phone:" .. e.objectId .. ":" .. e.propertyValue) end)
on("hubloop.alert", function(e) kv.set("alert", e.payload) end)
serve("POST /kv", { auth = false }, function(request)
  local out = {}
  for _, key in ipairs(request.json()) do out[key] = kv.get(key) end
  return { json = out }
end)
`;
const SETTINGS = `return {
  accounts = {
    main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET", portal = ${PORTAL}, journal = "events" },
  },
}
`;

async function token(s) {
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: APP, client_secret: APP_SECRET, scope: SCOPES });
  return JSON.parse((await request('POST', `${s.url}/oauth/2026-09/token`, form.toString(), { 'Content-Type': 'application/x-www-form-urlencoded' })).body).access_token;
}

// A simulator with an app, a project that reads its journal, and the subscription.
async function setup(t) {
  const dir = project(t, { 'leads.lua': SCRIPT, 'hubloop.lua': SETTINGS });
  const s = await sim(t, dir, ['--oauth-app', APP], { env: { HUBSPOT_APP_SECRET: APP_SECRET } });
  await s.control('configure', { journal_publish_ms: 50 });
  const env = { HUBSPOT_BASE_URL: s.url, HUBLOOP_VAULT: path.join(dir, 'vault'), APP_SECRET };
  await store(t, dir, env);
  const headers = { Authorization: `Bearer ${await token(s)}`, 'Content-Type': 'application/json' };
  const body = { subscriptionType: 'OBJECT', portalId: PORTAL, objectTypeId: '0-1', actions: ['CREATE', 'UPDATE'], properties: ['phone'], objectIds: [] };
  assert.equal((await request('POST', s.url + SUBS, JSON.stringify(body), headers)).status, 200);
  const up = async () => {
    const p = await serve(t, dir, { env });
    p.kv = async (keys) => JSON.parse((await request('POST', `${p.url}/kv`, JSON.stringify(keys))).body);
    p.journal = async () => (await p.status()).journal.events;
    return p;
  };
  return { dir, s, env, up };
}

// Client credentials, as `hubloop auth` stores them.
async function store(t, dir, env) {
  const p = start(t, ['auth', 'add', 'events', '--kind', 'client_credentials', '--client-id', APP, '--scopes', SCOPES, '--env', 'APP_SECRET'], { cwd: dir, env });
  assert.equal((await p.end()).code, 0, p.err);
}

const create = async (s, n, from = 0) => (await s.control('create', { type: 'contacts', list: Array.from({ length: n }, (_, i) => ({ email: `c${from + i}@example.com` })) })).results.map((c) => c.id);
const handled = (p, ids) => poll(async () => { const got = await p.kv(ids.map((id) => `n:${id}`)); return ids.every((id) => got[`n:${id}`]) && got; }, 'all events handled');

test('events come through the journal, over kill -9 and downtime, each once', async (t) => {
  const { s, up } = await setup(t);
  let p = await up();
  await poll(async () => (await p.journal()).polls > 0 && (await p.journal()).read_until > 0, 'the beginning');
  const ids = await create(s, 20);
  assert.ok(Object.values(await handled(p, ids)).every((n) => n === 1));
  assert.equal((await p.kv([`source:${ids[0]}`]))[`source:${ids[0]}`], 'journal');
  await s.control('update', { type: 'contacts', id: ids[0], properties: { phone: '42', city: 'Rome' } });
  await poll(async () => (await p.kv([`phone:${ids[0]}:42`]))[`phone:${ids[0]}:42`] === 1, 'the change');
  // Killed in the middle of a backlog, five times.
  for (let i = 0; i < 5; i++) {
    ids.push(...await create(s, 40, 100 * (i + 1)));
    await new Promise((resolve) => { setTimeout(resolve, 15 * i); });
    await p.stop('SIGKILL');
    ids.push(...await create(s, 10, 100 * (i + 1) + 50));
    p = await up();
  }
  const all = await handled(p, ids);
  assert.deepEqual(Object.entries(all).filter(([, n]) => n !== 1), []);
  const status = await p.status();
  assert.equal(status.engine.duplicate, 0, 'nothing was even read twice');
  assert.equal((await p.kv(['alert'])).alert, undefined);
  assert.equal((await p.stop()).code, 0);
});

test('what happened during a long downtime is read at once, file by file', async (t) => {
  const { dir, s, up } = await setup(t);
  let p = await up();
  await poll(async () => (await p.journal()).read_until > 0, 'the beginning');
  await p.stop();
  const write = (text) => fs.writeFileSync(path.join(dir, 'hubloop.lua'), text);
  write(SETTINGS.replace('client_secret = secret "HUBSPOT_CLIENT_SECRET", ', ''));
  const ids = [];
  for (let i = 0; i < 30; i++) { // as many files
    ids.push(...await create(s, 5, 10 * i));
    await poll(async () => (await s.control('journal')).waiting === 0, 'the file');
  }
  p = await up();
  assert.deepEqual(Object.entries(await handled(p, ids)).filter(([, n]) => n !== 1), []);
  const j = await p.journal();
  assert.ok(j.files >= 30 && j.polls < 15, JSON.stringify(j));
  assert.doesNotMatch(p.err, /client secret/, 'whose events come through the journal needs none');
  // A reload leaves the reader alone.
  write(SETTINGS.replace('"events"', '{ credential = "events", from = "earliest" }'));
  p.child.kill('SIGHUP');
  await p.line(/settings: accounts\.main\.journal changed, which counts from the next start/);
  await p.line(/reloaded: 1 script/);
  assert.deepEqual(Object.values(await handled(p, await create(s, 5, 400))), [1, 1, 1, 1, 1]);
});

test('an expired offset: an alert, and what changed meanwhile is found', async (t) => {
  const { s, up } = await setup(t);
  let p = await up();
  await poll(async () => (await p.journal()).read_until > 0, 'the beginning');
  const [first] = await create(s, 1);
  await handled(p, [first]);
  await p.stop();
  const missed = await create(s, 30, 10);
  await s.control('update', { type: 'contacts', id: first, properties: { phone: '7' } });
  await poll(async () => (await s.control('journal')).waiting === 0, 'the file');
  assert.ok((await s.control('journal_expire')).expired > 0);
  const after = await create(s, 2, 100);
  p = await up();
  assert.deepEqual(Object.entries(await handled(p, [first, ...missed, ...after])).filter(([, n]) => n !== 1), []);
  await poll(async () => (await p.kv([`phone:${first}:7`]))[`phone:${first}:7`] === 1, 'the change');
  const { alert } = await p.kv(['alert']);
  assert.equal(alert.kind, 'journal_expired');
  assert.match(alert.text, /webhooks journal events: events since .* may be missing .*not found are contact\.privacyDeletion$/);
  assert.match(p.err, /journal_expired/);
});

test('push and journal together: each change is handled once, and gaps are filled', async (t) => {
  const { s, up } = await setup(t);
  const p = await up();
  await poll(async () => (await p.journal()).read_until > 0, 'the beginning');
  // The simulator pushes to us as well, and now and then the connection breaks.
  await s.control('subscribe', { url: p.hook, secret: SECRET, types: ['contact.creation'] });
  await s.control('configure', { redelivery_ms: 20 });
  const ids = await create(s, 50);
  await handled(p, ids);
  const status = await p.settled((x) => x.engine.duplicate >= 50, 'the journal\'s twins');
  assert.equal(status.engine.duplicate, 50);
  assert.equal(status.engine.gaps, 0);
  await s.control('configure', { webhook_url: 'http://127.0.0.1:9/' }); // push ends
  const more = await create(s, 3, 1000);
  await handled(p, more);
  assert.deepEqual(Object.entries(await p.kv([...ids, ...more].map((id) => `n:${id}`))).filter(([, n]) => n !== 1), []);
  assert.equal((await p.status()).engine.gaps, 3);
  assert.match(p.err, /push did not bring/);
});

// A journal of one file, whose answer the test writes.
async function oneFile(t, answer) {
  const offset = crypto.randomUUID();
  let begun = false; // nothing is there when it begins
  const f = await fake(t, (q, res) => {
    const json = (status, body) => { res.writeHead(status, { 'Content-Type': 'application/json' }); res.end(JSON.stringify(body)); };
    if (q.url.startsWith('/oauth/')) json(200, { access_token: `C${crypto.randomUUID()}`, expires_in: 1800, token_type: 'bearer' });
    else if (q.url.endsWith('/latest') && !begun) { begun = true; res.writeHead(204); res.end(); }
    else if (q.url.endsWith('/latest')) json(200, { currentOffset: offset, expiresAt: new Date().toISOString(), url: f.url });
    else if (q.url.includes('/batch/earliest/')) json(200, { status: 'COMPLETE', results: [{ currentOffset: offset, expiresAt: new Date(Date.now() + 6e5).toISOString(), url: answer.url?.(f) ?? `${f.url}/file?signature=hush-hush` }] });
    else if (q.url.includes(offset)) json(200, { status: 'COMPLETE', results: [] });
    else if (q.url.startsWith('/file')) answer.file(q, res);
    else json(404, { status: 'error', message: 'no', category: 'OBJECT_NOT_FOUND', correlationId: crypto.randomUUID() });
  });
  const dir = project(t, { 'leads.lua': SCRIPT, 'hubloop.lua': SETTINGS });
  const env = { HUBSPOT_BASE_URL: f.url, HUBLOOP_VAULT: path.join(dir, 'vault'), APP_SECRET };
  await store(t, dir, env);
  const p = await serve(t, dir, { env });
  p.kv = async (keys) => JSON.parse((await request('POST', `${p.url}/kv`, JSON.stringify(keys))).body);
  return { p, f, dir };
}

const FILE = JSON.stringify({ publishedAt: new Date(0).toISOString(), journalEvents: [{ portalId: PORTAL, action: 'CREATE', occurredAt: '2026-09-01T08:00:00Z', objectTypeId: '0-1', objectId: 5 }] });

test('a file is fetched without our token, compressed or not, and its URL is kept nowhere', async (t) => {
  const { p, f, dir } = await oneFile(t, { file: (q, res) => { res.writeHead(200, { 'Content-Encoding': 'gzip' }); res.end(zlib.gzipSync(FILE)); } });
  await poll(async () => (await p.kv(['n:5']))['n:5'] === 1, 'the event');
  const fetched = f.requests.filter((q) => q.url.startsWith('/file'));
  assert.equal(fetched.length, 1);
  assert.equal(fetched[0].headers.authorization, undefined);
  assert.ok(f.requests.some((q) => q.headers.authorization));
  await p.stop();
  assert.doesNotMatch(p.err + p.out, /hush-hush/);
  for (const name of fs.readdirSync(dir, { recursive: true })) {
    const file = path.join(dir, name);
    if (fs.statSync(file).isFile()) assert.ok(!fs.readFileSync(file).includes('hush-hush'), name);
  }
});

test('files that are too large, before or after they are inflated, redirects and other machines are refused', async (t) => {
  const bomb = zlib.gzipSync(Buffer.alloc(40 << 20, ' '));
  const empty = Buffer.from([0, 0, 0, 0xff, 0xff]); // a stored block of nothing
  const head = zlib.gzipSync('').subarray(0, 10);
  const cases = [
    [{ file: (q, res) => { res.writeHead(200, { 'Content-Encoding': 'gzip' }); res.end(bomb); } }, /larger than the limit/],
    [{ file: (q, res) => { // much comes, and inflates to nothing
      res.writeHead(200, { 'Content-Encoding': 'gzip' });
      res.write(head);
      const block = Buffer.concat(Array(20000).fill(empty));
      const more = () => { let ok = true; while (ok && !res.destroyed) ok = res.write(block); };
      res.on('drain', more);
      more();
    } }, /larger than the limit/],
    [{ file: (q, res) => { res.writeHead(302, { Location: '/file2' }); res.end(); } }, /answers 302/],
    [{ url: () => 'http://example.com/file?signature=hush-hush', file: () => {} }, /not https/],
    [{ url: () => 'https://127.0.0.1:9/file?signature=hush-hush', file: () => {} }, /no public address/],
    [{ file: (q, res) => { res.writeHead(200); res.end('<Error>no</Error>'); } }, /file of the webhooks journal/],
  ];
  for (const [answer, why] of cases) {
    const { p, f } = await oneFile(t, answer);
    await p.line(why);
    assert.doesNotMatch(p.err, /hush-hush/);
    assert.ok(!f.requests.some((q) => q.url === '/file2'));
    await p.stop();
  }
});

test('a journal that cannot be: one clear line', async (t) => {
  const dir = project(t, { 'leads.lua': SCRIPT, 'hubloop.lua': SETTINGS });
  const env = { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET, HUBLOOP_VAULT: path.join(dir, 'vault') };
  const run = async (text) => {
    if (text) fs.writeFileSync(path.join(dir, 'hubloop.lua'), text);
    const p = start(t, ['serve', dir, '--listen', '127.0.0.1:0', '--admin', 'off', '--no-supervisor'], { cwd: dir, env });
    assert.notEqual((await p.end()).code, 0);
    return p.err;
  };
  assert.match(await run(), /the webhooks journal “events”: /);
  const with_ = (journal) => SETTINGS.replace('journal = "events"', `journal = ${journal}`);
  assert.match(await run(with_('5')), /accounts\.main\.journal must be the name of client credentials/);
  assert.match(await run(with_('{ credential = "events", form = "latest" }')), /did you mean “from”/);
  assert.match(await run(with_('{ credential = "events", from = "now" }')), /from = "latest" or "earliest"/);
  assert.match(await run(with_('{ from = "latest" }')), /which credential/);
  assert.match(await run(with_('{ credential = "events", portal_only = 1 }')), /portal_only = true or false/);
});
