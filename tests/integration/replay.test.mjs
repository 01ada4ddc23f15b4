// `hubloop events replay`: recorded events through a script whose writes are held back.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { SECRET, TOKEN, deliver, event, fake, project, run, serve, sim, start } from './lib.mjs';

const OLD = `
local hubspot = require "hubspot"
on("contact.creation", function(event)
  local lead = hubspot.contacts.get(event.objectId, { "email" })
  hubspot.contacts.update(lead.id, { city = "Rome" })
  emit("chase", { id = lead.id })
end)
on("chase", function() end)
`;
const NEW = `
local hubspot = require "hubspot"
on("contact.creation", function(event)
  local lead = hubspot.contacts.get(event.objectId, { "email" })
  log.info("it is", time.iso(time.now()):sub(1, 4), lead.email)
  step("owner", function() hubspot.contacts.update(lead.id, { city = "Bonn" }) end)
  local note = hubspot.notes.create({ hs_note_body = "hello", hs_timestamp = "2026-09-01" })
  local rate = http.get("HOST/rate").json().rate
  http.post("HOST/in?key=1", { json = { id = lead.id, rate = rate } })
  kv.incr("n")
  emit("chase", { id = lead.id })
  after("4h", "chase", { note = note.id })
end)
every("1s", function() error("no timer fires") end)
`;
const settings = (url, host) => `return {
  accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET", base_url = "${url}" } },
  scripts = { "leads.lua" }, permissions = { ["new.lua"] = { hosts = { "${host}" } } },
}`;
const env = { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET };
const lines = (text) => text.trim().split('\n').filter(Boolean).map((l) => JSON.parse(l));
const digest = (file) => crypto.createHash('sha256').update(fs.readFileSync(file)).digest('hex');
const writes = (record) => lines(fs.readFileSync(record, 'utf8')).map((c) => `${c.method} ${c.path}`).filter((c) => /^(POST|PATCH|PUT|DELETE) \/crm\/(?!.*\/read$)/.test(c));

test('what a new version would do, while serve runs and when it does not; nothing changes', async (t) => {
  const other = await fake(t, (q, res) => res.end('{"rate":3}'));
  const dir = project(t, { 'leads.lua': OLD, 'new.lua': NEW.replaceAll('HOST', other.url) });
  const hubspot = await sim(t, dir);
  fs.writeFileSync(path.join(dir, 'hubloop.lua'), settings(hubspot.url, `127.0.0.1:${other.port}`));
  const p = await serve(t, dir, { env });
  const list = [{ email: 'ana@example.com' }, { email: 'bo@example.com' }];
  const ids = (await hubspot.control('create', { type: 'contacts', list })).results.map((c) => c.id);
  assert.equal((await deliver(p.hook, ids.map((objectId) => event({ objectId })))).status, 204);
  await p.settled((v) => v.engine.ran === 4, 'two contacts and two chases');
  const before = [writes(hubspot.record).length, await p.status()];
  assert.ok(before[0] > 0);

  const replay = (...args) => run(t, ['events', 'replay', '--script', 'new.lua', '--dry-run', ...args], { cwd: dir, env });
  const running = await replay('--since', '1h');
  assert.equal(running.code, 0, running.err);
  assert.match(running.out, /^1\.0 {2}contact\.creation {2}\d+ {2}\d{4}-/m);
  assert.match(running.out, /^ {4}log {7}info it is \d{4} \S+@/m);
  assert.match(running.out, /^ {4}update {4}contacts \d+ \{"city":"Bonn"\}$/m);
  assert.match(running.out, /^ {4}create {4}notes as held-1\.0-1 \{"hs_note_body":"hello"/m);
  assert.match(running.out, /^ {4}http {6}POST http:\/\/127\.0\.0\.1:\d+\/in \{"id":"\d+","rate":3\}$/m);
  assert.match(running.out, /^ {4}kv incr {3}n 1$/m);
  assert.match(running.out, /^ {4}emit {6}chase \{"id":"\d+"\}$/m);
  assert.match(running.out, /^ {4}after {5}14400 s chase \{"note":"held-1\.1-1"\}$/m);
  assert.match(running.out, /\n\n4 events; 2 handled, 2 not listened to\. Nothing was changed\.\n$/);
  for (const line of running.out.split('\n')) assert.ok([...line].length <= 80, line);
  const after = [writes(hubspot.record).length, await p.status()];
  assert.equal(after[0], before[0]);
  for (const name of ['acknowledged', 'pending', 'ran', 'waiting', 'dead']) assert.equal(after[1].engine[name], before[1].engine[name], name);

  const differ = await replay('--against', 'leads.lua', '--type', 'contact.creation', '--limit', '1');
  assert.equal(differ.code, 0, differ.err);
  assert.match(differ.out, /^ {2}- update {4}contacts \d+ \{"city":"Rome"\}$/m);
  assert.match(differ.out, /^ {2}\+ update {4}contacts \d+ \{"city":"Bonn"\}$/m);
  assert.doesNotMatch(differ.out, /emit/); // both do
  assert.match(differ.out, /\n\n1 of 1 event differs; 1 handled\./);

  assert.equal((await p.stop()).code, 0);
  const store = path.join(dir, 'data/hubloop.db'), was = digest(store);
  const stopped = await replay('--since', '1h');
  assert.equal(stopped.out, running.out, stopped.err);
  assert.equal(digest(store), was);
  assert.equal(writes(hubspot.record).length, before[0]);
  assert.deepEqual([...new Set(other.requests.map((q) => `${q.method} ${q.url}`))], ['GET /rate']);
  const same = await run(t, ['events', 'replay', '--script', 'leads.lua', '--against', 'leads.lua', '--dry-run', '--store', store], { cwd: dir, env: { ...env, HUBSPOT_BASE_URL: hubspot.url } });
  assert.equal(same.out, '0 of 4 events differ; 4 handled. Nothing was changed.\n', same.err);
  const json = lines((await replay('--json', '--reads')).out);
  assert.deepEqual(json[0].does.map((d) => d.what), ['get', 'log', 'update', 'create', 'http', 'http', 'kv incr', 'emit', 'after']);
  assert.equal(json[0].does[3].held, 'held-1.0-1');
  assert.deepEqual(json.at(-1).summary, { events: 4, ran: 2, filtered: 0, failed: 0, waits: 0, own: 0, unhandled: 2, kept: json.at(-1).summary.kept });
});

// Events in the store of a project whose scripts do not listen to them; reads are the simulator's.
async function recorded(t, files, events) {
  const dir = project(t, { 'none.lua': 'on("nothing", function() end)' });
  const p = await serve(t, dir);
  for (const body of events) {
    fs.writeFileSync(path.join(dir, 'events.json'), JSON.stringify(body));
    assert.equal((await run(t, ['events', 'inject', 'events.json'], { cwd: dir })).code, 0);
  }
  await p.stop();
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(dir, name), text);
  return (...args) => run(t, ['events', 'replay', '--dry-run', '--sim', ...args], { cwd: dir });
}

test('failures, filters, waits and debounce, in the time of the events', async (t) => {
  const replay = await recorded(t, {
    'try.lua': `
local hubspot = require "hubspot"
on("signup", { filter = function(e) return e.payload.n ~= 2 end }, function(e)
  kv.set("seen", e.payload.n)
  if e.payload.n == 3 then error("three is bad") end
  hubspot.request { method = "POST", path = "/crm/objects/{version}/contacts/batch/create", json = { inputs = { { properties = { email = "a@example.com" } } } } }
  local signed = wait("signed", "signed", { key = { n = e.payload.n }, timeout = "1h" })
  log.info("signed by", signed and signed.payload.by or "nobody")
end)
on("touch", { debounce = "30s", key = "n" }, function(e) log.info("touched", e.payload.v) end)
on("lazy", function() task.sleep(30) log.info("slept") end)`,
  }, [
    [1, 2, 3].map((n) => ({ subscriptionType: 'signup', payload: { n } })),
    [{ subscriptionType: 'signed', payload: { n: 1, by: 'ana' } }, { subscriptionType: 'lazy' }],
    [1, 2].map((v) => ({ subscriptionType: 'touch', payload: { n: 'x', v } })),
  ]);
  const r = await replay('--script', 'try.lua');
  assert.equal(r.code, 3, r.err);
  const said = r.out.replaceAll(/ {2}\d{4}-\S+ \S+$|(?<= until )\S+/gm, '').split('\n').slice(0, -2);
  assert.deepEqual(said, [
    '1.0  signup  -',
    '    kv set    seen 1',
    '    call      POST /crm/objects/{version}/contacts/batch/create as held-1.0-1 {…',
    '    wait      “signed” signed until  {"n":1}',
    '1.2  signup  -',
    '    raises    try.lua:5: three is bad',
    '1.0  signup  -',
    '    call      POST /crm/objects/{version}/contacts/batch/create as held-1.0-1 {…',
    '    log       info signed by ana',
    '2.1  lazy  -',
    '    log       info slept',
    '3.1  touch  -',
    '    log       info touched 2',
    '',
  ]);
  assert.match(r.out, /7 events; 3 handled, 1 raised, 1 filtered, 1 waiting/);
});

test('a script that does not load, and other misuse', async (t) => {
  const replay = await recorded(t, {
    'syntax.lua': 'on("x", function()\n  local = 1\nend)', 'raises.lua': '\nerror("no settings")', 'empty.lua': '-- nothing',
    'wants.lua': 'on("contact.creaton", function() end)', 'fine.lua': 'on("x", function() end)',
  }, [[{ subscriptionType: 'x' }]]);
  const cases = [
    [['--script', 'syntax.lua'], 1, /syntax\.lua:2: .*\n {2}2 \| {3}local = 1/], [['--script', 'raises.lua'], 1, /raises\.lua:2: no settings/],
    [['--script', 'empty.lua'], 2, /empty\.lua has no on\(…\)/], [['--script', 'wants.lua'], 1, /wants\.lua:1: .*did you mean 'contact\.creation'/],
    [['--script', 'fine.lua', '--against', 'syntax.lua'], 1, /syntax\.lua:2:/], [['--script', 'gone.lua'], 2, /--script: cannot read gone\.lua/],
    [[], 2, /needs --script FILE/], [['--script', 'fine.lua', '--since', 'x'], 2, /--since takes/],
    [['--script', 'fine.lua', '--since', '1h', '--until', '2h'], 2, /--until is before --since/], [['--script', 'fine.lua', '--limit', '0'], 2, /--limit/],
  ];
  for (const [args, code, text] of cases) {
    const r = await replay(...args);
    assert.equal(r.code, code, `${args}: ${r.err}`);
    assert.match(r.err, text);
  }
  const old = await replay('--script', 'fine.lua', '--since', '90d');
  assert.match(old.err, /^kept since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: what was received before that is not in the store any more/);
  assert.equal(old.out, '1 event; 1 handled. Nothing was changed.\n');
  assert.match((await replay('--script', 'fine.lua', '--type', 'y')).err, /no event matches/);
});

test('without --dry-run it is refused; Ctrl-C ends a read that is never answered', async (t) => {
  const dir = project(t, { 'leads.lua': 'on("nothing", function() end)', 'new.lua': OLD });
  const slow = await fake(t, () => {});
  fs.writeFileSync(path.join(dir, 'hubloop.lua'), settings(slow.url, 'example.com'));
  const p = await serve(t, dir, { env });
  await deliver(p.hook, [event()]);
  await p.settled((v) => v.engine.unhandled === 1, 'an event');
  const plain = await run(t, ['events', 'replay', '--script', 'new.lua'], { cwd: dir, env });
  assert.deepEqual([plain.code, plain.out], [2, '']);
  assert.match(plain.err, /say --dry-run\. .*hubloop events retry .*or inject/);
  const r = start(t, ['events', 'replay', '--script', 'new.lua', '--dry-run'], { cwd: dir, env });
  await new Promise((resolve) => { const look = () => (slow.requests.length ? resolve() : setTimeout(look, 10)); look(); });
  const ended = await r.stop('SIGINT');
  assert.equal(ended.code, 130, r.err);
  assert.match(r.err, /stopped before the end/);
  await p.stop();
});
