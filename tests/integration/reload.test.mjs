// Scripts are exchanged while serve runs (SEMANTICS 27): no event is lost or
// handled twice, order per object holds, and what does not load changes nothing.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { deliver, event, fake, poll, project, request, serve } from './lib.mjs';

const settings = (port, more = '') => `return {
  accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET" } },
  permissions = { ["leads.lua"] = { hosts = { "127.0.0.1:${port}" } } },
  ${more}
}
`;
const write = (dir, name, text) => {
  fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
  fs.writeFileSync(path.join(dir, name), text);
};
// SIGHUP, and the line that ends that reload.
async function reload(p, pattern = /reloaded: \d+ script/g) {
  const count = () => (p.err.match(pattern) ?? []).length;
  const before = count();
  p.child.kill('SIGHUP');
  await p.until(() => count() > before, `another ${pattern}`);
}
const text = async (p, where) => (await request('GET', p.url + where)).body;
const counting = (version) => `
on("contact.creation", function(e) kv.incr("n") kv.incr("v${version}") end)
serve("GET /version", { auth = false }, function() return "${version}" end)
serve("GET /n", { auth = false }, function(q) return tostring(kv.get(q.query.key or "n") or 0) end)
`;

// What a script may say that cannot be taken, each with what the log then names.
const broken = [
  ['on("contact.creation", function(e) end', /leads\.lua:\d+: .*expected/],
  ['on("contact.creation", function(e) end)\nerror("no")', /leads\.lua:2: no/],
  ['on("contact.creation", { concurency = 5 }, function(e) end)', /leads\.lua:1: .*concurency.*concurrency/],
  ['on("contact.creations", function(e) end)', /leads\.lua:1: unknown event type 'contact\.creations'; did you mean 'contact\.creation'/],
  ['require "nothing"', /leads\.lua:1: require "nothing": no such module/],
  ['on("x", function() end)\non("x", function() end)', /leads\.lua:2: .*“x” has a handler named “x” already/],
  ['require("hubspot").contacts.get("1")', /while the script loads/],
  ['', /leads\.lua: the file is empty/],
];

test('twenty swaps under load, every third of a broken script', { timeout: 120000 }, async (t) => {
  const objects = 40;
  const seen = new Map();   // object -> the numbers of its events, as handlers began
  const versions = new Set();
  let ran = 0, look = () => {};
  const counter = await fake(t, (q, res) => {
    const { object, number, version } = JSON.parse(q.body);
    if (!seen.has(object)) seen.set(object, []);
    seen.get(object).push(number);
    versions.add(version);
    ran++;
    look();
    setImmediate(() => res.writeHead(204).end());
  });
  const script = (version) => `
local names = require "lib.names"
on("contact.creation", { concurrency = ${5 + version} }, function(e)
  http.post("${counter.url}/ran", { json = { object = e.objectId, number = e.number, version = names.version } })
  kv.incr("n:" .. e.objectId)
end)
serve("POST /counts", { auth = false }, function(request)
  local out = {}
  for _, id in ipairs(request.json().ids) do out[id] = kv.get("n:" .. id) or 0 end
  return { json = out }
end)
`;
  const dir = project(t, { 'leads.lua': script(0), 'lib/names.lua': 'return { version = 0 }\n', 'hubloop.lua': settings(counter.port) });
  const p = await serve(t, dir, { store: path.join(dir, 'events.db') });
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const sent = new Map();   // object -> how many events
  let sending = true, acknowledged = 0, at = Date.now();
  // Each sender has objects of its own, so that the order of an object's events is that of its bodies.
  async function sender(mine) {
    for (let turn = 0; sending; turn++) {
      const events = Array.from({ length: 1 + (turn % 5) }, (_, i) => {
        const objectId = mine[(turn + i) % mine.length];
        sent.set(objectId, (sent.get(objectId) ?? 0) + 1);
        return event({ objectId, number: sent.get(objectId), occurredAt: at++ });
      });
      const r = await deliver(p.hook, events, { agent });
      assert.equal(r.status, 204, `refused with ${r.status}: ${r.body}`);
      acknowledged += events.length;
    }
  }
  const ids = Array.from({ length: objects }, (_, i) => 1000 + i);
  const senders = Promise.all([0, 1, 2, 3].map((k) => sender(ids.filter((_, i) => i % 4 === k))));
  senders.catch(() => {});
  const more = (n) => Promise.race([senders, new Promise((resolve) => { const to = ran + n; look = () => ran >= to && resolve(); })]);
  let good = 0;
  for (let swap = 1; swap <= 20; swap++) {
    await more(25);
    if (swap % 3 === 0) {
      const [lua, why] = broken[(swap / 3) % broken.length];
      write(dir, 'leads.lua', lua);
      const from = p.err.length;
      await reload(p);
      assert.match(p.err.slice(from), why);
      assert.match(p.err.slice(from), /the version before keeps running/);
    } else {
      good = swap;
      write(dir, 'lib/names.lua', `return { version = ${swap} }\n`);
      write(dir, 'leads.lua', script(swap));
      await reload(p, /reloaded: 1 script, 2 handlers/g);
    }
  }
  await more(25);
  sending = false;
  await senders;
  const s = await p.settled((v) => v.engine.pending === 0 && v.engine.running === 0, 'an empty inbox', 60000);
  assert.equal(s.engine.acknowledged, acknowledged);
  assert.equal(s.engine.ran, acknowledged, JSON.stringify(s.engine));
  const counts = JSON.parse((await request('POST', `${p.url}/counts`, JSON.stringify({ ids: ids.map(String) }))).body);
  for (const [id, n] of sent) {
    assert.equal(counts[id], n, `contact ${id} was handled ${counts[id]} times for ${n} events`);
    assert.deepEqual(seen.get(String(id)), Array.from({ length: n }, (_, i) => i + 1), `contact ${id} out of order`);
  }
  assert.ok(versions.has(good) && versions.size > 10, `versions seen: ${[...versions]}`);
  t.diagnostic(`note: ${acknowledged} events over 20 swaps, ${versions.size} versions ran; each event once and in order`);
  assert.deepEqual(await p.stop(), { code: 0, signal: null }, p.err);
});

test('what runs ends on the old script, what is new starts on the new; the deadline cuts and gives back', async (t) => {
  const held = [];
  const f = await fake(t, (q, res) => held.push([JSON.parse(q.body), res]));
  const script = (version) => `
on("contact.creation", { concurrency = 2 }, function(e)
  http.post("${f.url}/", { json = { id = e.objectId, version = ${version}, attempt = e.attempt } })
  kv.incr("n")
end)
serve("GET /n", { auth = false }, function() return tostring(kv.get("n") or 0) end)
`;
  const dir = project(t, { 'leads.lua': script(1), 'hubloop.lua': settings(f.port) });
  const p = await serve(t, dir, { store: path.join(dir, 'events.db'), args: ['--drain', '700ms'] });
  const at = Date.now();
  const body = [1, 1, 2, 3].map((objectId, i) => event({ objectId, occurredAt: at + i }));
  assert.equal((await deliver(p.hook, body)).status, 204);
  const waits = (n) => poll(() => held.length === n, `${n} requests of handlers`);
  await waits(2);
  assert.deepEqual(held.map(([b]) => `${b.id}.${b.version}`), ['1.1', '2.1']);
  write(dir, 'leads.lua', script(2));
  await reload(p);
  held[1][1].writeHead(204).end();   // contact 2 ends on the old one; its slot goes to contact 3, on the new one
  await waits(3);
  assert.deepEqual([held[2][0].id, held[2][0].version], ['3', 2]);
  // Contact 1 does not end: its first event is cut and runs again, on the new script, before its second.
  await p.line(/leads\.lua: 1 task of its earlier version had not ended in time and is cut; events go back to the inbox/);
  await waits(4);
  assert.deepEqual(held[3][0], { id: '1', version: 2, attempt: 1 });
  held[2][1].writeHead(204).end();
  held[3][1].writeHead(204).end();
  await waits(5);
  assert.deepEqual([held[4][0].id, held[4][0].version], ['1', 2]);
  held[4][1].writeHead(204).end();
  const s = await p.settled((v) => v.engine.ran === 4, 'all handled');
  assert.equal(s.engine.retried, 0);
  assert.equal(await text(p, '/n'), '4');
  assert.deepEqual(await p.stop(), { code: 0, signal: null }, p.err);
});

test('scripts and routes come and go', async (t) => {
  const dir = project(t, { 'leads.lua': counting(1), 'other.lua': 'serve("GET /other", { auth = false }, function() return "other" end)\n' });
  const p = await serve(t, dir, { store: path.join(dir, 'events.db') });
  assert.equal(await text(p, '/version'), '1');
  // The route moves from one script to the other within one reload.
  write(dir, 'leads.lua', counting(2) + 'serve("GET /other", { auth = false }, function() return "moved" end)\n');
  write(dir, 'other.lua', 'serve("GET /mine", { auth = false }, function() return "mine" end)\n');
  await reload(p);
  assert.deepEqual([await text(p, '/version'), await text(p, '/other'), await text(p, '/mine')], ['2', 'moved', 'mine']);
  // Two that serve the same: the one that comes later stays as it was.
  write(dir, 'other.lua', 'serve("GET /version", { auth = false }, function() return "stolen" end)\n');
  write(dir, 'third.lua', 'serve("GET /third", { auth = false }, function() return "third" end)\n');
  await reload(p);
  assert.match(p.err, /other\.lua:1: serve\("GET \/version"\): leads\.lua already serves it/);
  assert.deepEqual([await text(p, '/version'), await text(p, '/mine'), await text(p, '/third')], ['2', 'mine', 'third']);
  // Gone, with its handlers: what comes then is unhandled.
  fs.rmSync(path.join(dir, 'leads.lua'));
  write(dir, 'other.lua', 'serve("GET /version", { auth = false }, function() return "after" end)\n');
  await reload(p);
  assert.match(p.err, /leads\.lua: it is gone from the project, and with it its handlers and routes/);
  assert.equal(await text(p, '/version'), 'after');
  assert.equal((await deliver(p.hook, [event()])).status, 204);
  assert.equal((await p.status()).engine.unhandled, 1);
  // The last one does not go.
  fs.rmSync(path.join(dir, 'other.lua'));
  fs.rmSync(path.join(dir, 'third.lua'));
  await reload(p, /everything keeps running as it was/g);
  assert.equal(await text(p, '/version'), 'after');
  assert.deepEqual(await p.stop(), { code: 3, signal: null }, p.err); // the last load failed
});

test('what waits goes on with the new code; without its script it is kept', async (t) => {
  const waits = (version) => `
on("contact.creation", function(e)
  local mark = step("mark", function() kv.incr("marked") return "${version}" end)
  local signed = wait("signed", "deal.propertyChange", { key = e.objectId, property = "dealstage" })
  kv.set("went on " .. e.objectId, mark .. " " .. signed.propertyValue .. " ${version}")
end)
serve("GET /n", { auth = false }, function(q) return tostring(kv.get(q.query.key)) end)
`;
  const sign = (objectId) => event({ subscriptionType: 'deal.propertyChange', objectId, propertyName: 'dealstage', propertyValue: 'won' });
  const dir = project(t, { 'leads.lua': waits('one'), 'other.lua': 'on("x", print)' });
  const p = await serve(t, dir, { store: path.join(dir, 'events.db') });
  assert.equal((await deliver(p.hook, [event({ objectId: 1 }), event({ objectId: 2 })])).status, 204);
  await p.settled((s) => s.engine.waiting === 2 && s.engine.running === 0, 'two that wait');
  write(dir, 'leads.lua', waits('two'));
  await reload(p);
  assert.equal((await deliver(p.hook, [sign(1)])).status, 204);
  await p.settled((s) => s.engine.waiting === 1 && s.engine.ran === 1 && s.engine.running === 0, 'one that went on');
  assert.equal(await text(p, '/n?key=went%20on%201'), 'one won two');
  fs.rmSync(path.join(dir, 'leads.lua'));
  await reload(p);
  await p.settled((s) => s.engine.orphaned === 1, 'an orphan');
  assert.equal((await deliver(p.hook, [sign(2)])).status, 204);
  write(dir, 'leads.lua', waits('three'));
  await reload(p);
  await p.settled((s) => s.engine.orphaned === 0 && s.engine.ran === 2 && s.engine.running === 0, 'the other one');
  assert.equal(await text(p, '/n?key=went%20on%202'), 'one won three');
  assert.equal(await text(p, '/n?key=marked'), '2');
  assert.equal((await p.stop()).code, 0, p.err);
});

test('settings: secrets, accounts, permissions and the public address are taken up; what is not is named', async (t) => {
  const calls = [];
  const hubspot = await fake(t, (q, res) => {
    calls.push(q.headers.authorization);
    res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"portalId":62515}');
  });
  const outside = await fake(t, (q, res) => res.writeHead(200).end('outside'));
  const token = () => ['pat', 'na1', crypto.randomUUID()].join('-');
  const tokens = [token(), token()], secrets = [crypto.randomUUID(), crypto.randomUUID()];
  const settings = ({ account = '', more = '' }) => `return {
  accounts = { main = { token = secret "SHOP", client_secret = secret "SIGN", portal = 62515, base_url = "${hubspot.url}"${account} } },
  ${more}
}
`;
  const dir = project(t, {
    'leads.lua': `local hubspot = require "hubspot"
on("contact.creation", function(e) kv.incr("n") end)
serve("GET /ask", { auth = false }, function() return tostring(hubspot.request { method = "GET", path = "/account-info/{version}/details" }.portalId) end)
serve("GET /out", { auth = false }, function()
  local ok, r = pcall(http.get, "${outside.url}/")
  return ok and r.body or tostring(r)
end)
`,
    'hubloop.lua': settings({}), token: tokens[0], secret: secrets[0],
  });
  const env = { SHOP_FILE: path.join(dir, 'token'), SIGN_FILE: path.join(dir, 'secret') };
  const p = await serve(t, dir, { store: path.join(dir, 'events.db'), env });
  const door = async (url, secret) => (await deliver(url, [event()], { secret })).status;
  assert.equal(await door(p.hook, secrets[0]), 204);
  assert.equal(await text(p, '/ask'), '62515');
  assert.equal(calls.at(-1), `Bearer ${tokens[0]}`);
  assert.match(await text(p, '/out'), /may not reach/);
  write(dir, 'token', tokens[1]);
  write(dir, 'secret', secrets[1]);
  write(dir, 'hubloop.lua', settings({ more: `permissions = { ["leads.lua"] = { hosts = { "127.0.0.1:${outside.port}" } } },` }));
  await reload(p);
  assert.deepEqual([await door(p.hook, secrets[0]), await door(p.hook, secrets[1])], [401, 204]);
  assert.equal(await text(p, '/ask'), '62515');
  assert.equal(calls.at(-1), `Bearer ${tokens[1]}`);
  assert.equal(await text(p, '/out'), 'outside');
  assert.doesNotMatch(p.err, /counts from the next start/);
  // A secret that is gone: nothing is taken up, and it goes on with the one it has.
  fs.rmSync(path.join(dir, 'secret'));
  await reload(p, /everything keeps running as it was/g);
  assert.match(p.err, /the secret SIGN: cannot read .*, which SIGN_FILE names/);
  assert.equal(await door(p.hook, secrets[1]), 204);
  write(dir, 'secret', secrets[1]);
  // Another account, and another address; what cannot change is named in one line.
  write(dir, 'hubloop.lua', settings({
    account: ', tier = "starter"',
    more: `http = { listen = "127.0.0.1:1" }, store = "other.db", calls = false,
  webhooks = { public_url = "${p.url}/hooks" },`,
  }).replace('accounts = {', 'accounts = { eu = { token = secret "SHOP", client_secret = secret "SIGN", portal = 7 }, '));
  write(dir, 'leads.lua', 'on("contact.creation", { account = "eu" }, function(e) kv.incr("eu") end)\n');
  await reload(p);
  assert.match(p.err, /settings: accounts\.main\.tier, store, http\.listen, calls changed, which counts from the next start/);
  assert.equal(await door(p.hook, secrets[1]), 404);
  const hook = `${p.url}/hooks`;
  assert.equal((await deliver(hook, [event({ portalId: 7 })], { secret: secrets[1] })).status, 204);
  await p.settled((s) => s.engine.pending === 0 && s.engine.ran === 4, 'the event of the new account');
  assert.ok(![...tokens, ...secrets].some((v) => p.err.includes(v)), 'a secret was logged');
  assert.deepEqual(await p.stop(), { code: 0, signal: null }, p.err);
});

test('a script that cannot be loaded at the start: its events are pending until it can', async (t) => {
  const dir = project(t, { 'leads.lua': counting(1), 'other.lua': 'on("contact.creation", function(e) kv.incr("n") end)\n' });
  const store = path.join(dir, 'events.db');
  const p = await serve(t, dir, { store });
  assert.equal((await deliver(p.hook, [event()])).status, 204);
  await p.settled((s) => s.engine.ran === 1, 'the first event');
  assert.equal((await p.stop()).code, 0);
  write(dir, 'leads.lua', 'on("contact.creation", function(e)');
  const q = await serve(t, dir, { store });
  assert.match(q.err, /leads\.lua:1: .*\n.*\n *events for what it listened to before, and those that nobody else listens to, are kept until it loads/);
  assert.equal((await deliver(q.hook, [event(), event(), event({ subscriptionType: 'deal.creation' })])).status, 204);
  const s = await q.settled((v) => v.engine.pending === 3 && v.engine.running === 0, 'three pending events');
  assert.deepEqual([s.engine.acknowledged, s.engine.unhandled, s.engine.orphaned], [4, 0, 0]);
  // Neither the reload of a still broken script nor a restart changes that; and a new one that is broken may listen too.
  write(dir, 'new.lua', 'on("ticket.creation", function(e)');
  await reload(q);
  assert.match(q.err, /it does not run; events that nobody else listens to are kept until it loads/);
  assert.equal((await deliver(q.hook, [event({ subscriptionType: 'ticket.creation' })])).status, 204);
  assert.equal((await q.stop('SIGKILL')).signal, 'SIGKILL');
  const r = await serve(t, dir, { store });
  assert.equal((await r.status()).engine.pending, 4);
  write(dir, 'leads.lua', counting(2));
  write(dir, 'new.lua', 'on("deal.creation", function() end)\non("ticket.creation", function() end)\n');
  await reload(r);
  const last = await r.settled((v) => v.engine.pending === 0 && v.engine.ran === 4, 'the events handled');
  assert.equal(last.engine.unhandled, 1); // the deal came before there was a script that may have wanted it
  assert.equal(await text(r, '/n'), '3');
  assert.deepEqual(await r.stop(), { code: 0, signal: null }, r.err);
});

test('SIGHUP while scripts load, while another reload goes on, and while it stops', async (t) => {
  const held = [];
  const f = await fake(t, (q, res) => held.push(res));
  const slow = (version) => `${counting(version)}\ntask.sleep("400ms")\n
on("deal.creation", function() http.post("${f.url}/", { json = {} }) end)`;
  const dir = project(t, { 'leads.lua': slow(1), 'hubloop.lua': settings(f.port) });
  for (const args of [[], ['--no-supervisor']]) {
    held.length = 0;
    const p = await serve(t, dir, { store: path.join(dir, `${args.length}.db`), args });
    write(dir, 'leads.lua', slow(2));
    p.child.kill('SIGHUP');
    await poll(async () => { p.child.kill('SIGHUP'); return /reloaded/.test(p.err); }, 'a reload');
    await p.until(() => p.err.match(/reloaded: 1 script/g)?.length >= 2, 'the one that follows');
    assert.equal(await text(p, '/version'), '2');
    // A reload that goes on does not hold up the end, nor does a signal during it.
    assert.equal((await deliver(p.hook, [event({ subscriptionType: 'deal.creation' })])).status, 204);
    await poll(() => held.length === 1, 'a running handler');
    p.child.kill('SIGHUP');
    p.child.kill('SIGTERM');
    await p.line(/stopping/);
    p.child.kill('SIGHUP');
    held[0].writeHead(204).end();
    assert.deepEqual(await p.end(), { code: 0, signal: null }, p.err);
    write(dir, 'leads.lua', slow(1));
  }
});

test('--watch: however an editor writes, and modules, folders and settings too', { timeout: 60000 }, async (t) => {
  const module = (v) => `return { v = "${v}" }\n`;
  const script = 'local v = require("lib.v").v .. require("part").v\nserve("GET /v", { auth = false }, function() return v end)\n';
  const dir = project(t, { 'a.lua': script, 'lib/v.lua': module(1), 'part.lua': module('a'), 'hubloop.lua': 'return { scripts = { "a.lua" } }\n' });
  const p = await serve(t, dir, { args: ['--watch'] });
  await p.line(/watching .*: changed scripts are loaded again/);
  const reloads = () => p.err.match(/reloaded: |as it was$/gm)?.length ?? 0;
  let n = reloads();
  const becomes = async (v) => {
    await poll(async () => await text(p, '/v') === v, `version ${v}`);
    await p.until(() => reloads() > n, 'the line of a reload');
    n = reloads();
  };
  assert.equal(await text(p, '/v'), '1a');
  // Into the file; beside it, and renamed over it; emptied first and filled a while later; by pieces.
  write(dir, 'lib/v.lua', module(2));
  await becomes('2a');
  write(dir, 'lib/.v.lua.swp', module(3));
  fs.renameSync(path.join(dir, 'lib/.v.lua.swp'), path.join(dir, 'lib/v.lua'));
  await becomes('3a');
  fs.writeFileSync(path.join(dir, 'a.lua'), '');
  await p.line(/a\.lua: the file is empty/);
  assert.equal(await text(p, '/v'), '3a');
  write(dir, 'a.lua', script);
  await p.until(() => reloads() > n + 1, 'the filled file');
  n = reloads();
  // A folder that comes later, and one that is moved away.
  write(dir, 'lib/more/v.lua', module(4));
  write(dir, 'a.lua', script.replace('lib.v', 'lib.more.v'));
  await becomes('4a');
  write(dir, 'lib/more/v.lua', module(5));
  await becomes('5a');
  fs.renameSync(path.join(dir, 'lib'), path.join(dir, 'away'));
  await p.line(/no such module[^]*the version before keeps running/);
  fs.renameSync(path.join(dir, 'away'), path.join(dir, 'lib'));
  await p.until(() => /reloaded: 1 script/.test(p.err.slice(p.err.lastIndexOf('no such module'))), 'the folder back');
  n = reloads();
  // Settings: another script; a mistake.
  write(dir, 'b.lua', 'serve("GET /b", { auth = false }, function() return "b" end)\n');
  write(dir, 'hubloop.lua', 'return { scripts = { "a.lua", "b.lua" } }\n');
  await poll(async () => await text(p, '/b') === 'b', 'the other script');
  n = reloads();
  write(dir, 'hubloop.lua', 'return { script = {} }\n');
  await p.until(() => reloads() > n, 'the mistake');
  assert.match(p.err, /has no setting “script”; did you mean “scripts”\?\n +everything keeps running as it was/);
  // What is no part of the project's code.
  n = reloads();
  write(dir, 'a_test.lua', 'x');
  write(dir, '.#a.lua', 'x');
  write(dir, 'notes.txt', 'x');
  write(dir, 'node_modules/x/y.lua', 'x');
  write(dir, 'lib/more/v.lua', module(6));
  write(dir, 'hubloop.lua', 'return { scripts = { "a.lua" } }\n');
  await becomes('6a');
  assert.equal(reloads(), n);
  assert.deepEqual(await p.stop(), { code: 0, signal: null }, p.err);
});

test('--watch: a hundred writes are few reloads, and the last one counts', { timeout: 60000 }, async (t) => {
  const dir = project(t, { 'leads.lua': counting(0) });
  const p = await serve(t, dir, { args: ['--watch'] });
  for (let i = 1; i <= 100; i++) {
    write(dir, 'leads.lua', counting(i));
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await poll(async () => await text(p, '/version') === '100', 'the last version');
  assert.ok((p.err.match(/reloaded: /g) ?? []).length < 10, p.err);
  assert.deepEqual(await p.stop(), { code: 0, signal: null }, p.err);
});
