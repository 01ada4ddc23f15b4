// hubloop auth, the encrypted store, and where tokens may go: as a user runs it,
// against the simulator. The browser's clicks are requests here; a real browser
// does them in tests/interop.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { HUBLOOP, SECRET, TOKEN, deliver, event, fake, project, request, run, serve, sim, start } from './lib.mjs';

const APP = 'app-of-the-test';
const APP_SECRET = crypto.randomUUID();
const SCOPES = 'oauth crm.objects.contacts.read';
const token = (region = 'na1') => ['pat', region, crypto.randomUUID()].join('-');

// `hubloop auth …` with the secret on standard input.
async function auth(t, dir, args, { input, env = {}, ms } = {}) {
  const p = start(t, ['auth', ...args], { cwd: dir, env, stdin: input === undefined ? 'ignore' : 'pipe' });
  p.child.stdin?.on('error', () => {}); // it may end before it has read
  p.child.stdin?.end(input);
  const ended = await p.end(ms);
  const r = { ...ended, out: p.out, err: p.err };
  for (const secret of [TOKEN, APP_SECRET, input?.trim()].filter((s) => s?.length > 8))
    assert.ok(!(r.out + r.err).includes(secret), 'a secret was printed');
  return r;
}
const lines = (text) => text.trim().split('\n').length;
// The refusals are one line each, on standard error.
function refused(r, code, ...patterns) {
  assert.equal(r.code, code, r.err + r.out);
  assert.equal(lines(r.err), 1, r.err);
  for (const p of patterns) assert.match(r.err, p);
}
const vault = (dir) => path.join(dir, '.config/hubloop/vault');
const whoami = 'local hubspot = require "hubspot"\nprint("portal " .. hubspot.request{ method = "GET", path = "/account-info/{version}/details" }.portalId)\n';

test('a token: add, list, test, rotate, remove', async (t) => {
  const s = await sim(t, project(t));
  const dir = project(t, { 'who.lua': whoami });
  const env = { HUBSPOT_BASE_URL: s.url };
  const added = await auth(t, dir, ['add', 'shop', '--kind', 'service_key'], { input: `${TOKEN}\n`, env });
  assert.equal(added.code, 0, added.err);
  assert.match(added.out, /^stored shop: \w+ of portal 62515/);
  assert.equal(fs.statSync(vault(dir)).mode & 0o777, 0o600);
  assert.equal(fs.statSync(`${vault(dir)}.key`).mode & 0o777, 0o600);
  assert.ok(!fs.readFileSync(vault(dir)).includes(TOKEN));

  const listed = await auth(t, dir, ['list']);
  assert.match(listed.out, /^NAME +KIND +PORTAL .*\nshop +service_key +62515 .*rotate by \d{4}-\d\d-\d\d +vault\n$/);
  const json = JSON.parse((await auth(t, dir, ['list', '--json'])).out);
  assert.deepEqual(json.map((a) => [a.name, a.kind, a.portal, a.source]), [['shop', 'service_key', 62515, 'vault']]);

  const tested = await auth(t, dir, ['test', 'shop']);
  assert.equal(tested.code, 0, tested.err);
  assert.match(tested.out, /^shop: service_key of portal 62515, \d+ scopes\n {2}app \d+\n {2}time zone \S+\n {2}scopes: .*crm\.objects\.contacts\.read/);
  assert.match(tested.out, /stored 0 days ago; rotate it within 180 days/);

  // Without HUBSPOT_TOKEN the only stored account is used, at its own address, and that is said.
  const ran = await run(t, ['run', 'who.lua'], { cwd: dir });
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.err, /HUBSPOT_TOKEN is not set; using the stored account shop/);
  assert.equal(ran.out, 'portal 62515\n');

  refused(await auth(t, dir, ['add', 'shop'], { input: `${TOKEN}\n`, env }), 2, /auth rotate shop/);
  refused(await auth(t, dir, ['rotate', 'shop'], { input: `${TOKEN}\n` }), 2, /stored already/);
  // A new token that HubSpot refuses changes nothing.
  refused(await auth(t, dir, ['rotate', 'shop'], { input: `${token()}\n` }), 1, /unchanged/, /refused the token/);
  assert.equal((await auth(t, dir, ['test', 'shop'])).code, 0);

  assert.match((await auth(t, dir, ['remove', 'shop'])).out, /^removed shop/);
  refused(await auth(t, dir, ['remove', 'shop']), 1, /no credential “shop”/);
  assert.deepEqual(JSON.parse((await auth(t, dir, ['list', '--json'])).out), []);
});

test('rotate: the new token is tried first, and the old one goes when the new one has worked', async (t) => {
  const seen = [];
  let good = TOKEN;
  const hubspot = await fake(t, (r, res) => {
    seen.push(r.headers.authorization);
    const ok = r.headers.authorization === `Bearer ${good}`;
    res.writeHead(ok ? 200 : 401, { 'Content-Type': 'application/json' });
    const introspected = { active: true, hub_id: 7, app_id: 9, user_id: 1, scopes: ['oauth'], token_type: 'bearer', portalId: 7, timeZone: 'Europe/Berlin' };
    res.end(JSON.stringify(ok || r.url.includes('introspect') ? introspected : { category: 'INVALID_AUTHENTICATION', message: 'no' }));
  });
  const dir = project(t, { 'who.lua': whoami });
  const env = { HUBSPOT_BASE_URL: hubspot.url };
  assert.equal((await auth(t, dir, ['add', 'shop'], { input: `${TOKEN}\n`, env })).code, 0);
  good = token();
  const rotated = await auth(t, dir, ['rotate', 'shop', '--env', 'NEW'], { env: { NEW: good } });
  assert.equal(rotated.code, 0, rotated.err);
  assert.match(rotated.out, /^rotated shop: the new token works/);
  // The new one turns out to be no good after all: the old one still is.
  const bad = good;
  good = TOKEN;
  const ran = await run(t, ['run', 'who.lua'], { cwd: dir });
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.err, /the new token was refused; going on with the one before/);
  assert.deepEqual(seen.slice(-2), [`Bearer ${bad}`, `Bearer ${TOKEN}`]);
  good = bad;
  assert.equal((await run(t, ['run', 'who.lua'], { cwd: dir })).code, 0); // works: the old one is dropped
  good = TOKEN;
  const late = await run(t, ['run', 'who.lua'], { cwd: dir });
  assert.equal(late.code, 1);
  assert.match(late.err, /refused the token of account "shop" \(401.*hubloop auth rotate shop/);
});

test('a token rotated while serve runs is taken up, and two names for one credential share it', async (t) => {
  let good = TOKEN;
  let calls = 0;
  const hubspot = await fake(t, (r, res) => {
    calls++;
    const ok = r.headers.authorization === `Bearer ${good}`;
    res.writeHead(ok ? 200 : 401, { 'Content-Type': 'application/json' });
    res.end(ok ? '{"portalId":7,"active":true,"hub_id":7,"scopes":["oauth"]}' : '{"category":"INVALID_AUTHENTICATION","message":"no"}');
  });
  const dir = project(t, {
    'hubloop.lua': 'return { accounts = { one = { token = secret "shop" }, two = { token = secret "shop" } } }\n',
    'a.lua': 'local hubspot = require "hubspot"\nserve("POST /ask", { auth = false }, function(q)\n'
      + '  return { status = 200, json = hubspot.account(q.query.name).request{ method = "GET", path = "/account-info/{version}/details" } }\nend)\n',
  });
  assert.equal((await auth(t, dir, ['add', 'shop'], { input: `${TOKEN}\n`, env: { HUBSPOT_BASE_URL: hubspot.url } })).code, 0);
  const p = await serve(t, dir, { env: { HUBSPOT_BASE_URL: '', HUBSPOT_TOKEN: '' }, secret: null });
  const ask = (name) => request('POST', `${p.url}/ask?name=${name}`);
  assert.equal((await ask('one')).status, 200);
  const next = token();
  good = next;
  assert.equal((await auth(t, dir, ['rotate', 'shop', '--env', 'NEW'], { env: { NEW: next } })).code, 0);
  calls = 0;
  assert.equal((await ask('one')).status, 200); // 401, the store, the new token
  assert.equal((await ask('two')).status, 200); // the same queue: it has it already
  assert.equal(calls, 3);
  await p.stop();
});

test('what add refuses', async (t) => {
  const s = await sim(t, project(t), ['--portal', '1234']);
  const dir = project(t);
  const env = { HUBSPOT_BASE_URL: s.url };
  const add = (args, input, more = {}) => auth(t, dir, ['add', ...args], { input, env: { ...env, ...more } });
  refused(await add(['shop'], `${crypto.randomUUID()}\n`), 1, /API key \(hapikey\)/, /service key/);
  refused(await add(['shop'], 'two words\n'), 1, /holds a blank/);
  refused(await add(['shop'], '\n'), 2, /no token of shop was given/);
  refused(await add(['shop'], `${token()}\n`), 1, /refused the token of account "shop" \(401/);
  refused(await add(['shop', '--portal', '99'], `${TOKEN}\n`), 2, /of portal 1234, and shop is portal 99/);
  refused(await add(['shop', token()], ''), 2, /no place on the command line/);
  refused(await add(['../shop'], ''), 2, /no name for a credential/);
  refused(await add(['shop', '--kind', 'hapikey'], ''), 2, /private_app, service_key/);
  refused(await add(['shop', '--kind', 'oauth'], ''), 2, /hubloop auth login shop/);
  refused(await add(['shop', '--env', 'NOT_THERE'], ''), 2, /NOT_THERE is not set/);
  refused(await add(['shop', '--region', 'mars'], ''), 2, /no region/);
  refused(await add(['shop', '--base-url', 'http://example.com'], `${TOKEN}\n`), 2, /plain http to another machine/);
  assert.ok(!fs.existsSync(vault(dir)), 'nothing was stored');
  // HubSpot out of reach is no reason to lose what was typed in.
  const kept = await add(['shop'], `${TOKEN}\n`, { HUBSPOT_BASE_URL: 'http://127.0.0.1:9' });
  assert.equal(kept.code, 0, kept.err);
  assert.match(kept.out, /could not be asked/);
});

test('on a terminal the token is asked for and not shown; Ctrl-C leaves the terminal as it was', async (t) => {
  const dir = project(t);
  // script(1) gives a terminal; stty says afterwards whether it still shows what is typed.
  const ask = async (typed) => {
    const p = start(t, ['-qec', `'${HUBLOOP}' auth add shop --no-test; echo "code $?"; stty -a`, '/dev/null'],
      { command: '/usr/bin/script', cwd: dir, env: { TERM: 'xterm' }, stdin: 'pipe' });
    await p.line(/token of shop \(not shown\): /, 'out');
    p.child.stdin.write(typed);
    await p.line(/code \d+[^]* echo /, 'out');
    await p.end();
    assert.ok(!p.out.includes(TOKEN) && !p.out.includes(TOKEN.slice(0, 12)));
    assert.doesNotMatch(p.out, / -echo /);
    return p.out;
  };
  assert.match(await ask(`${TOKEN}\x03`), /stopped; nothing was stored[^]*code 1/);
  assert.ok(!fs.existsSync(vault(dir)));
  assert.match(await ask(`wrong\x15${TOKEN}x\x7f\r`), /stored shop: private_app[^]*code 0/);
  const ran = await run(t, ['run', 'who.lua'], { cwd: project(t, { 'who.lua': whoami }), env: { HUBLOOP_VAULT: vault(dir), HUBSPOT_TIER: 'none' } });
  assert.match(ran.err, /unknown tier/); // the token was whole: what came next is refused
});

test('the store: wrong key, damage, other readers', async (t) => {
  const dir = project(t);
  const env = { HUBLOOP_VAULT: path.join(dir, 'v'), HUBLOOP_KEY: crypto.randomBytes(32).toString('base64') };
  assert.equal((await auth(t, dir, ['add', 'KEY', '--kind', 'secret'], { input: 'opensesame\n', env })).code, 0);
  assert.ok(!fs.existsSync(path.join(dir, 'v.key')));
  refused(await auth(t, dir, ['list'], { env: { ...env, HUBLOOP_KEY: 'a'.repeat(64) } }), 1, /another key than that of HUBLOOP_KEY/);
  refused(await auth(t, dir, ['list'], { env: { ...env, HUBLOOP_KEY: 'short' } }), 2, /HUBLOOP_KEY: it must be 32 bytes/);
  fs.chmodSync(env.HUBLOOP_VAULT, 0o640);
  refused(await auth(t, dir, ['list'], { env }), 1, /chmod 600/);
  fs.chmodSync(env.HUBLOOP_VAULT, 0o600);
  const bytes = fs.readFileSync(env.HUBLOOP_VAULT);
  fs.truncateSync(env.HUBLOOP_VAULT, bytes.length - 3);
  refused(await auth(t, dir, ['list'], { env }), 1, /cut off/);
  fs.writeFileSync(env.HUBLOOP_VAULT, bytes);
  assert.match((await auth(t, dir, ['list'], { env })).out, /KEY +secret/);
});

test('secret "NAME": the environment, then a file, then the store', async (t) => {
  const s = await fake(t, (r, res) => { res.writeHead(200, { 'Content-Type': 'application/json' }); res.end(JSON.stringify({ got: r.headers['x-key'] === 'Bearer ' ? 'none' : r.headers['x-key'].length })); });
  const script = `local r = http.get("${s.url}/", { headers = { ["X-Key"] = "Bearer " .. secret "FORM_KEY" } })\nprint(r:json().got)\n`;
  const dir = project(t, { 'k.lua': script, 'key.txt': `${'f'.repeat(20)}\n` });
  const go = async (env = {}) => run(t, ['run', 'k.lua', '--allow-host', `127.0.0.1:${s.port}`], { cwd: dir, env });
  const none = await go();
  assert.equal(none.code, 1);
  assert.match(none.err, /secret FORM_KEY is not set: export FORM_KEY, name a file in FORM_KEY_FILE, or store it: hubloop auth add FORM_KEY --kind secret/);
  assert.equal((await auth(t, dir, ['add', 'FORM_KEY', '--kind', 'secret'], { input: `${'v'.repeat(10)}\n` })).code, 0);
  const lengths = [];
  for (const env of [{}, { FORM_KEY_FILE: path.join(dir, 'key.txt') }, { FORM_KEY_FILE: path.join(dir, 'key.txt'), FORM_KEY: 'e'.repeat(30) }]) {
    const r = await go(env);
    assert.equal(r.code, 0, r.err);
    lengths.push(Number(r.out) - 'Bearer '.length);
  }
  assert.deepEqual(lengths, [10, 20, 30]);
  assert.match((await go({ FORM_KEY_FILE: path.join(dir, 'nowhere') })).err, /cannot read .*nowhere, which FORM_KEY_FILE names/);
});

test('settings of accounts that are wrong', async (t) => {
  const say = async (accounts, pattern) => {
    const dir = project(t, { 'hubloop.lua': `return { accounts = ${accounts} }\n`, 'a.lua': 'on("contact.creation", function() end)\n' });
    const r = await run(t, ['serve', dir, '--listen', '127.0.0.1:0', '--admin', 'off'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
    assert.notEqual(r.code, 0);
    assert.match(r.err, pattern);
    assert.equal(lines(r.err), 1, r.err);
  };
  await say('{ shop = {} }', /hubloop\.lua: accounts\.shop needs token = secret .* or oauth/);
  await say('{ shop = { oauth = "x", token = secret "HUBSPOT_TOKEN" } }', /hubloop\.lua: accounts\.shop has both/);
  await say('{ shop = { oauth = "x", region = "eu1" } }', /region is stored with the credential/);
  await say('{ shop = { token = secret "HUBSPOT_TOKEN", region = "moon" } }', /accounts\.shop\.region: “moon” is no region/);
  await say('{ shop = { token = secret "HUBSPOT_TOKEN", region = "eu", base_url = "https://x.example" } }', /both region and base_url/);
  await say('{ shop = { token = secret "HUBSPOT_TOKEN", kind = "key" } }', /accounts\.shop\.kind: unknown kind/);
  await say('{ shop = { oauth = "shop" } }', /account “shop”: no credential “shop” is stored/);
  await say(`{ shop = { token = "${TOKEN.slice(0, 12)}" } }`, /secret "NAME"/);
});

// ---- OAuth ----

const app = (t, args = []) => sim(t, project(t), ['--contacts', '3', '--oauth-app', APP, '--oauth-scopes', SCOPES, ...args],
  { env: { HUBSPOT_APP_SECRET: APP_SECRET } });

// Starts a login and gives the address of the page that it shows.
async function login(t, dir, s, args = [], input = `${APP_SECRET}\n`) {
  const p = start(t, ['auth', 'login', 'shop', '--client-id', APP, '--scopes', SCOPES, '--port', '0', '--no-browser', ...args],
    { cwd: dir, env: { HUBSPOT_BASE_URL: s.url }, stdin: 'pipe' });
  p.child.stdin.end(input);
  p.page = new URL((await p.line(/^ {2}(http\S+)$/m))[1]);
  return p;
}

// What a person does on the page: where the browser is sent then.
async function consent(s, page, decision = 'connect') {
  const shown = await request('GET', page.href);
  assert.equal(shown.status, 200, shown.body);
  const ticket = /name="ticket" value="([^"]+)"/.exec(shown.body)[1];
  const r = await request('POST', `${s.url}/oauth/authorize`, new URLSearchParams({ ticket, decision }).toString(), { 'Content-Type': 'application/x-www-form-urlencoded' });
  assert.equal(r.status, 302);
  return new URL(r.headers.location.replace('//localhost', '//127.0.0.1'));
}

async function connect(t, dir, s, args) {
  const p = await login(t, dir, s, args);
  const r = await request('GET', (await consent(s, p.page)).href);
  assert.equal(r.status, 200);
  const ended = await p.end();
  assert.equal(ended.code, 0, p.err);
  assert.ok(!(p.out + p.err).includes(APP_SECRET));
  return p;
}

test('a store behind a link: what the link names is changed, and the link stays', async (t) => {
  const dir = project(t);
  const elsewhere = path.join(dir, 'vaults');
  fs.mkdirSync(elsewhere, { mode: 0o700 });
  assert.equal((await auth(t, dir, ['add', 'one', '--kind', 'secret'], { input: 'the first\n' })).code, 0);
  fs.renameSync(vault(dir), path.join(elsewhere, 'v'));
  fs.symlinkSync(path.join(elsewhere, 'v'), vault(dir));
  assert.equal((await auth(t, dir, ['remove', 'one'])).code, 0);
  assert.equal((await auth(t, dir, ['add', 'two', '--kind', 'secret'], { input: 'the second\n' })).code, 0);
  assert.ok(fs.lstatSync(vault(dir)).isSymbolicLink());
  assert.deepEqual(JSON.parse((await auth(t, dir, ['list', '--json'])).out).map((a) => a.name), ['two']);
});

test('what HubSpot answers steers no terminal, and a plain secret has no address', async (t) => {
  const f = await fake(t, (q, a) => {
    a.writeHead(403, { 'Content-Type': 'application/json' });
    a.end(JSON.stringify({ status: 'error', category: 'BANNED', message: 'no \u001b[2J\u009b31m entry', correlationId: 'c' }));
  });
  const dir = project(t);
  const env = { HUBSPOT_BASE_URL: f.url };
  const r = await auth(t, dir, ['add', 'shop'], { input: `${token()}\n`, env });
  assert.equal(r.code, 1, r.err);
  assert.match(r.err, /no \\x1b\[2J\\x9b31m entry/);
  const plain = await auth(t, dir, ['add', 'KEY', '--kind', 'secret'], { input: 'some text\n', env });
  assert.doesNotMatch(plain.out, /calls go to/);
});

test('login, a script with it, renewal after expiry, removal', async (t) => {
  const s = await app(t, ['--oauth-expires', '2', '--oauth-rotate', 'on_use']);
  const dir = project(t, { 'who.lua': whoami });
  const p = await connect(t, dir, s);
  const q = p.page.searchParams;
  assert.equal(q.get('code_challenge_method'), 'S256');
  assert.equal(q.get('code_challenge').length, 43);
  assert.ok(q.get('state').length >= 32);
  assert.match(q.get('redirect_uri'), /^http:\/\/localhost:\d+\/callback$/);
  assert.match(p.out, /^connected shop: oauth of portal 62515/);
  assert.match((await auth(t, dir, ['list'])).out, /shop +oauth +62515 +2 +renews itself +vault/);
  // Each run begins with a token that ended, or ends while it runs.
  for (let i = 0; i < 4; i++) {
    const ran = await run(t, ['run', 'who.lua'], { cwd: dir });
    assert.equal(ran.code, 0, ran.err);
    assert.equal(ran.out, 'portal 62515\n');
    await new Promise((resolve) => { setTimeout(resolve, 700); }); // real time passes for a token's life
  }
  assert.match((await auth(t, dir, ['rotate', 'shop'])).out, /^rotated shop: a new access token/);
  assert.equal((await auth(t, dir, ['test', 'shop'])).code, 0);
  // Settings name it.
  fs.writeFileSync(path.join(dir, 'hubloop.lua'), 'return { accounts = { main = { oauth = "shop" } } }\n');
  const ran = await run(t, ['run', dir], { cwd: dir });
  assert.equal(ran.code, 0, ran.err);
  assert.equal(ran.out, 'portal 62515\n');
  // The app's client secret signs the account's webhooks.
  fs.writeFileSync(path.join(dir, 'who.lua'), 'on("contact.creation", function() end)\n');
  const served = await serve(t, dir, { env: { HUBSPOT_BASE_URL: '', HUBSPOT_TOKEN: '' }, secret: null });
  assert.equal((await deliver(served.hook, [event()], { secret: APP_SECRET })).status, 204);
  assert.equal((await deliver(served.hook, [event()], { secret: SECRET })).status, 401);
  await served.stop();
  assert.match((await auth(t, dir, ['remove', 'shop'])).out, /its grant is revoked at HubSpot/);
});

test('logins that fail say why, in one line', async (t) => {
  const s = await app(t);
  const dir = project(t);
  const fails = async (act, code, pattern, args) => {
    const p = await login(t, dir, s, args);
    await act(p);
    const ended = await p.end();
    assert.equal(ended.code, code, p.err);
    assert.match(p.err.trim().split('\n').at(-1), pattern);
    assert.ok(!fs.existsSync(vault(dir)));
  };
  const back = (p, query) => request('GET', `${p.page.searchParams.get('redirect_uri').replace('localhost', '127.0.0.1')}?${new URLSearchParams(query)}`);
  const state = (p) => p.page.searchParams.get('state');
  await fails(async (p) => assert.equal((await request('GET', (await consent(s, p.page, 'cancel')).href)).status, 400), 1, /consent was not given \(access_denied: The user denied/);
  // Any page can send a wrong state: it is refused and said, and ends nothing.
  await fails(async (p) => {
    for (let i = 0; i < 2; i++) assert.equal((await back(p, { code: 'x', state: 'another' })).status, 400);
    assert.match(p.err, /its state is another/);
    await request('GET', (await consent(s, p.page, 'cancel')).href);
  }, 1, /consent was not given/);
  await fails(async (p) => assert.equal((await back(p, { state: state(p) })).status, 400), 1, /without a code/);
  await fails((p) => back(p, { code: 'made-up', state: state(p) }), 1, /no token came: HubSpot refused it/);
  await fails(() => {}, 1, /nobody gave consent in time/, ['--timeout', '1']);
  await fails(async (p) => {
    const url = (await consent(s, p.page)).href;
    await request('GET', url);
  }, 2, /consent was given for portal 62515, not 77/, ['--portal', '77']);
  // What is not the callback does not end the login; another site's page gets nothing.
  await fails(async (p) => {
    const url = new URL(p.page.searchParams.get('redirect_uri').replace('localhost', '127.0.0.1'));
    assert.equal((await request('GET', `${url.origin}/favicon.ico`)).status, 404);
    assert.equal((await request('GET', url.href, '', { Host: 'evil.example.com' })).status, 421);
    p.child.kill('SIGINT');
  }, 1, /stopped/);

  const taken = await fake(t, () => {});
  refused(await auth(t, dir, ['login', 'shop', '--client-id', APP, '--scopes', SCOPES, '--port', String(taken.port), '--no-browser'], { input: `${APP_SECRET}\n` }), 1,
    new RegExp(`port ${taken.port} is in use.*--port N`));
  refused(await auth(t, dir, ['login', 'shop', '--client-id', APP], { input: '' }), 2, /--scopes/);
  refused(await auth(t, dir, ['login', 'shop'], { input: '' }), 2, /--client-id/);
  // The client secret does not travel in the clear, nor to what is no address.
  for (const base of ['http://198.51.100.7', 'ftp://localhost', 'https://user@example.com', 'https://example.com/path'])
    refused(await auth(t, dir, ['login', 'shop', '--client-id', APP, '--scopes', SCOPES, '--base-url', base], { input: `${APP_SECRET}\n` }), 2, /base_url of account "shop"/);
});

test('a wrong client secret, and a grant that was revoked', async (t) => {
  const s = await app(t, ['--oauth-expires', '1']);
  const dir = project(t, { 'who.lua': whoami });
  const wrong = await login(t, dir, s, [], 'not-the-secret\n');
  await request('GET', (await consent(s, wrong.page)).href);
  assert.equal((await wrong.end()).code, 1);
  assert.match(wrong.err, /client id or client secret/);
  await connect(t, dir, s);
  await s.stop();
  // Another HubSpot at the same address knows none of our tokens.
  const gone = await sim(t, project(t), ['--port', String(s.port), '--oauth-app', APP], { env: { HUBSPOT_APP_SECRET: APP_SECRET } });
  const ran = await run(t, ['run', 'who.lua'], { cwd: dir });
  assert.equal(ran.code, 1);
  assert.match(ran.err, /“shop” has to be connected again: .*hubloop auth login shop/);
  refused(await auth(t, dir, ['test', 'shop']), 1, /hubloop auth login shop/);
  await gone.stop();
});

test('killed at any moment of a renewal, the next start has a token', async (t) => {
  const s = await app(t, ['--oauth-expires', '1', '--oauth-rotate', 'on_use', '--latency', '15']);
  const dir = project(t, { 'who.lua': whoami });
  await connect(t, dir, s);
  for (let ms = 4; ms <= 100; ms += 6) {
    const p = start(t, ms % 4 ? ['auth', 'rotate', 'shop'] : ['run', 'who.lua'], { cwd: dir });
    await new Promise((resolve) => { setTimeout(resolve, ms); });
    await p.stop('SIGKILL');
  }
  const ran = await run(t, ['run', 'who.lua'], { cwd: dir });
  assert.equal(ran.code, 0, ran.err);
  assert.equal(ran.out, 'portal 62515\n');
});

test('killed at any moment of a rotation, the old token or the new one is there', async (t) => {
  const accepted = new Set();
  const hubspot = await fake(t, (r, res) => {
    const ok = accepted.has(r.headers.authorization);
    setTimeout(() => res.writeHead(ok ? 200 : 401, { 'Content-Type': 'application/json' })
      .end(JSON.stringify(ok ? { active: true, hub_id: 7, app_id: 9, scopes: ['oauth'], portalId: 7, timeZone: 'UTC' } : { category: 'INVALID_AUTHENTICATION', message: 'no' })), 5);
  });
  const dir = project(t);
  const env = { HUBSPOT_BASE_URL: hubspot.url };
  accepted.add(`Bearer ${TOKEN}`);
  assert.equal((await auth(t, dir, ['add', 'shop'], { input: `${TOKEN}\n`, env })).code, 0);
  let killed = 0;
  for (let ms = 3; ms <= 75; ms += 9) {
    const fresh = token();
    accepted.add(`Bearer ${fresh}`);
    const p = start(t, ['auth', 'rotate', 'shop', '--env', 'NEW'], { cwd: dir, env: { ...env, NEW: fresh } });
    await new Promise((resolve) => { setTimeout(resolve, ms); });
    if ((await p.stop('SIGKILL')).signal) killed++;
    const there = await auth(t, dir, ['test', 'shop'], { env });
    assert.equal(there.code, 0, there.err);
  }
  assert.ok(killed > 0);
  t.diagnostic(`note: ${killed} of 9 rotations were killed`);
});

test('client credentials: a token for the journal, and a new client secret that is tried first', async (t) => {
  const s = await app(t);
  const dir = project(t);
  const env = { HUBSPOT_BASE_URL: s.url };
  const add = (input) => auth(t, dir, ['add', 'journal', '--kind', 'client_credentials', '--client-id', APP, '--scopes', 'developer.webhooks_journal.read'], { input, env });
  refused(await add('not-the-secret\n'), 1, /client id or client secret/);
  const added = await add(`${APP_SECRET}\n`);
  assert.equal(added.code, 0, added.err);
  assert.match(added.out, /journal = "journal"/);
  assert.match((await auth(t, dir, ['test', 'journal'])).out, /gives a token for: developer\.webhooks_journal\.read/);
  refused(await auth(t, dir, ['rotate', 'journal'], { input: 'not-the-secret\n' }), 1, /unchanged/);
  assert.equal((await auth(t, dir, ['test', 'journal'])).code, 0);
  assert.match((await auth(t, dir, ['list'])).out, /journal +client_credentials +1 +renews itself/);
  // It names no account, so it is not the one that a script without HUBSPOT_TOKEN takes.
  fs.writeFileSync(path.join(dir, 'who.lua'), whoami);
  assert.match((await run(t, ['run', 'who.lua'], { cwd: dir })).err, /no HubSpot account is set up/);
});

test('a stored token that settings name as a secret keeps its address', async (t) => {
  const s = await sim(t, project(t));
  const dir = project(t, { 'who.lua': whoami, 'hubloop.lua': 'return { accounts = { main = { token = secret "shop" } } }\n' });
  assert.equal((await auth(t, dir, ['add', 'shop'], { input: `${TOKEN}\n`, env: { HUBSPOT_BASE_URL: s.url } })).code, 0);
  const ran = await run(t, ['run', dir], { cwd: dir });
  assert.equal(ran.code, 0, ran.err);
  assert.equal(ran.out, 'portal 62515\n');
  // Neither settings nor a script can send it elsewhere.
  const thief = await fake(t, (r, res) => res.end('{}'));
  fs.writeFileSync(path.join(dir, 'hubloop.lua'), `return { accounts = { main = { token = secret "shop", base_url = "${thief.url}" } } }\n`);
  refused(await run(t, ['run', dir], { cwd: dir }), 2, /account “main”: the stored credential “shop” goes to http.*leave base_url out/);
  fs.writeFileSync(path.join(dir, 'who.lua'), `http.get("${thief.url}", { headers = { ["X-Key"] = secret "shop" } })\n`);
  const script = await run(t, ['run', 'who.lua', '--allow-host', `127.0.0.1:${thief.port}`], { cwd: dir });
  assert.equal(script.code, 1);
  assert.match(script.err, /“shop” is the stored credential of an account/);
  assert.equal(thief.requests.length, 0);
});

test('many processes share one renewal', async (t) => {
  const s = await app(t, ['--oauth-expires', '3', '--oauth-rotate', 'now', '--latency', '50']);
  const dir = project(t, { 'who.lua': whoami });
  await connect(t, dir, s);
  await new Promise((resolve) => { setTimeout(resolve, 3100); }); // the access token ends
  const N = 5; // each with a refresh of its own would end the others' grants
  const ran = await Promise.all(Array.from({ length: N }, (_, i) => run(t, ['run', 'who.lua', '--store', `${i}.db`], { cwd: dir })));
  for (const r of ran) assert.equal(r.code, 0, r.err);
  await s.stop();
  const renewals = fs.readFileSync(s.record, 'utf8').split('\n').filter((l) => l.includes('grant_type=refresh_token')).length;
  assert.ok(renewals >= 1 && renewals < N, `${renewals} renewals`);
});

// ---- where a token may go ----

test('a redirect does not take the token along', async (t) => {
  const elsewhere = await fake(t, (r, res) => { res.writeHead(200, { 'Content-Type': 'application/json' }); res.end('{"portalId":1}'); });
  for (const status of [301, 302, 303, 307, 308]) {
    const hubspot = await fake(t, (r, res) => { res.writeHead(status, { Location: `${elsewhere.url}${r.url}` }); res.end(); });
    const dir = project(t, { 'who.lua': whoami });
    const r = await run(t, ['run', 'who.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: hubspot.url } });
    assert.equal(r.code, 1, r.out);
    assert.equal(hubspot.requests.length, 1);
    assert.equal(hubspot.requests[0].headers.authorization, `Bearer ${TOKEN}`);
    assert.match(r.err, new RegExp(`answered ${status} .*Redirects are not followed, so that the token stays with the account's own host`));
    assert.ok(!r.err.includes(TOKEN));
  }
  assert.equal(elsewhere.requests.length, 0);
  const dir = project(t, { 'who.lua': whoami });
  const plain = await run(t, ['run', 'who.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: 'http://198.51.100.7' } });
  assert.equal(plain.code, 2);
  assert.match(plain.err, /plain http to another machine/);
});

test('two accounts: events, calls and tokens stay apart', async (t) => {
  const other = token();
  const one = await sim(t, project(t), ['--portal', '111']);
  const two = await sim(t, project(t), ['--portal', '222'], { env: { HUBSPOT_TOKEN: other } });
  const secrets = [SECRET, crypto.randomUUID()];
  const dir = project(t, {
    'hubloop.lua': `return { accounts = {
      one = { token = secret "ONE", client_secret = secret "ONE_SECRET", portal = 111, base_url = "${one.url}" },
      two = { token = secret "TWO", client_secret = secret "TWO_SECRET", portal = 222, base_url = "${two.url}" },
    } }\n`,
    'a.lua': `local hubspot = require "hubspot"
      local function portal(h) return tostring(h.request{ method = "GET", path = "/account-info/{version}/details" }.portalId) end
      on("contact.creation", function(event)
        log.warn(("event of %s: own %s, other %s"):format(event.portalId, portal(hubspot), portal(hubspot.account(event.account == "one" and "two" or "one"))))
      end)\n`,
  });
  const p = await serve(t, dir, { env: { ONE: TOKEN, TWO: other, ONE_SECRET: secrets[0], TWO_SECRET: secrets[1] } });
  assert.equal((await deliver(p.hook, [event({ portalId: 111 })], { secret: secrets[0] })).status, 204);
  assert.equal((await deliver(p.hook, [event({ portalId: 222 })], { secret: secrets[1] })).status, 204);
  await p.line(/event of 111: own 111, other 222/);
  await p.line(/event of 222: own 222, other 111/);
  // The other portal's secret does not open this one's door.
  await deliver(p.hook, [event({ portalId: 222 })], { secret: secrets[0] });
  await p.settled((v) => v.webhook.foreign_portal + v.webhook.forged > 0 && v.engine.ran === 2, 'two handled, one refused');
  await p.stop();
  assert.ok(!p.err.includes(TOKEN) && !p.err.includes(other));
});

test('a token of another region is named, with the remedy', async (t) => {
  const s = await fake(t, (r, res) => { res.writeHead(401, { 'Content-Type': 'application/json' }); res.end('{"category":"INVALID_AUTHENTICATION","message":"no"}'); });
  const dir = project(t, { 'who.lua': whoami });
  const r = await run(t, ['run', 'who.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: token('eu1'), HUBSPOT_BASE_URL: s.url } });
  assert.equal(r.code, 1);
  assert.match(r.err, /token of region eu1, but the calls go to http:\/\/127.*set region = "eu1" for account main/);
});
