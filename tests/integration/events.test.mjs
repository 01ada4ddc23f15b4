// `hubloop events`: through the control socket of the running serve, and on its store afterwards.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { HUBLOOP, deliver, environment, event, poll, project, run, serve } from './lib.mjs';

const LEADS = `
on("contact.creation", { retries = 0 }, function(event)
  step("look up", function() kv.incr("looked:" .. event.objectId) return { email = "ana@example.com" } end)
  if kv.get("broken") then error("no owner for contact " .. event.objectId) end
  kv.incr("n:" .. event.objectId)
end)
on("switch", function(event)
  if event.payload.broken then kv.set("broken", true) else kv.delete("broken") end
end)
serve("GET /n", { auth = false }, function(request) return { json = { n = kv.get(request.query.key) or 0 } } end)
`;
const stdin = (dir, args, input) => spawnSync(HUBLOOP, args, { cwd: dir, env: environment(dir), input, encoding: 'utf8' });
const lines = (text) => text.trim().split('\n').filter(Boolean).map((l) => JSON.parse(l));

test('a dead letter is found, shown and run again while serve runs', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const p = await serve(t, dir);
  const hubloop = (...args) => run(t, ['events', ...args], { cwd: dir });
  const n = async (key) => JSON.parse((await (await fetch(`${p.url}/n?key=${key}`)).text())).n;
  assert.equal(fs.statSync(path.join(dir, 'data/hubloop.db.sock')).mode & 0o777, 0o600);

  fs.writeFileSync(path.join(dir, 'switch.json'), JSON.stringify([{ subscriptionType: 'switch', payload: { broken: true } }]));
  assert.equal((await hubloop('inject', 'switch.json')).out, '1 event stored\n');
  await p.settled((v) => v.engine.ran === 1, 'the switch');
  assert.equal((await deliver(p.hook, [event({ objectId: 151 }), event({ objectId: 152 }), event({ subscriptionType: 'deal.creation' })])).status, 204);
  await p.settled((v) => v.engine.dead === 2, 'two dead letters');

  const dead = await hubloop('list', '--state', 'dead', '--script', 'leads.lua');
  assert.equal(dead.code, 0, dead.err);
  assert.match(dead.out, /^ID +STATE +SINCE \(UTC\) +TYPE +OBJECT +SCRIPT +TRIES/);
  assert.match(dead.out, /^2\.1 +dead +\S+ \S+ +contact\.creation +152 +leads\.lua +1$/m);
  assert.match(dead.out, /^ {4}leads\.lua:4: no owner for contact 152$/m);
  for (const line of dead.out.split('\n')) assert.ok([...line].length <= 80, line);
  const one = lines((await hubloop('list', '--state', 'dead', '--object', '151', '--json')).out);
  assert.deepEqual(one.map((e) => [e.id, e.state, e.script, e.attempts]), [['2.0', 'dead', 'leads.lua', 1]]);
  assert.match(one[0].error, /leads\.lua:4: .*\nstack traceback:/);
  const all = lines((await hubloop('list', '--json')).out);
  assert.deepEqual(all.map((e) => `${e.id} ${e.state}`), ['2.2 unhandled', '2.1 dead', '2.0 dead', '1.0 ran']);

  const shown = await hubloop('show', '2.0');
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, /^event 2\.0 {2}dead$/m);
  assert.match(shown.out, /leads\.lua “contact\.creation” {2}dead after 1 attempt, failed first \d{4}-/);
  assert.match(shown.out, /^ {4}stack traceback:$/m);
  assert.match(shown.out, /step “look up” done {2}\{"email":"ana@example\.com"\}/);
  assert.match(shown.out, /^ {4}"objectId": 151,?$/m);

  fs.writeFileSync(path.join(dir, 'switch.json'), JSON.stringify({ subscriptionType: 'switch', payload: {} }));
  assert.equal((await hubloop('inject', 'switch.json')).code, 0);
  await p.settled((v) => v.engine.ran === 2, 'the switch back');
  const retried = await hubloop('retry', '2.0');
  assert.deepEqual([retried.code, retried.out], [0, '1 to run again\n'], retried.err);
  await poll(async () => await n('n:151') === 1, 'contact 151 handled');
  assert.equal(await n('looked:151'), 1); // the step was kept
  const rest = await hubloop('retry', '--state', 'dead', '--script', 'leads.lua', '--json');
  assert.deepEqual(JSON.parse(rest.out), { retried: 1, left_alone: 0, left: [] });
  await poll(async () => await n('n:152') === 1, 'contact 152 handled');
  const s = await p.status();
  assert.equal(s.engine.dead, 0);

  const nothing = await hubloop('retry', '2.0');
  assert.equal(nothing.code, 1);
  assert.match(nothing.err, /nothing to retry/);
  const some = await hubloop('show', '2.0', '77.0');
  assert.equal(some.code, 3);
  assert.match(some.err, /no event 77\.0/);
  assert.equal((await p.stop()).code, 0);
  assert.equal(fs.existsSync(path.join(dir, 'data/hubloop.db.sock')), false);
});

test('without serve the store is worked on, and serve goes on from there', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  let p = await serve(t, dir);
  assert.equal((await deliver(p.hook, [event({ objectId: 7 })])).status, 204);
  await p.settled((v) => v.engine.ran === 1, 'an event handled');
  p.child.kill('SIGKILL'); // the socket stays behind
  await p.end();
  assert.equal(fs.existsSync(path.join(dir, 'data/hubloop.db.sock')), true);
  const hubloop = (...args) => run(t, ['events', ...args], { cwd: '/', env: { HOME: dir } });
  const at = ['--project', dir];
  assert.match((await hubloop('list', ...at)).out, /^1\.0 +ran /m);

  const body = [{ subscriptionType: 'switch', payload: { broken: true } }, { subscriptionType: 'contact.creation', objectId: '8' }, 5];
  const put = stdin(dir, ['events', 'inject', '-', ...at], JSON.stringify(body));
  assert.equal(put.status, 3, put.stderr);
  assert.equal(put.stdout, '2 events stored; they run when hubloop serve is started\n1 malformed, kept as dead letters: an event needs a subscriptionType\n');
  assert.match((await hubloop('list', '--state', 'pending', '--store', path.join(dir, 'data/hubloop.db'))).out, /^2\.1 +pending /m);
  p = await serve(t, dir);
  await p.settled((v) => v.engine.dead === 2, 'the dead letters');
  assert.match((await hubloop('list', '--state', 'dead', ...at)).out, /no owner for contact 8/);
  await p.stop();
  const retried = await hubloop('retry', '--state', 'dead', ...at);
  assert.equal(retried.code, 3); // the malformed one is left alone
  assert.match(retried.err, /event 2\.2: it has no handler/);
  assert.equal(retried.out, '1 to run again, when hubloop serve is started\n');
  const pruned = await hubloop('prune', '--older-than', '0', '--state', 'dead', ...at);
  assert.deepEqual([pruned.code, pruned.out], [0, '1 event removed\n'], pruned.err);
  assert.match((await hubloop('list', '--state', 'dead', ...at)).err, /no event matches/);
  assert.match((await hubloop('list', '--state', 'waiting', ...at)).out, /^2\.1 +waiting /m); // pruning spares it
});

test('a serve that was killed is taken over, with its socket; a second one is refused', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const p = await serve(t, dir);
  const second = await run(t, ['serve', dir, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'], { cwd: dir, env: { HUBSPOT_TOKEN: 'x'.repeat(20) } });
  assert.equal(second.code, 1);
  assert.equal((await run(t, ['events', 'list'], { cwd: dir })).code, 0); // and has not taken the socket away
  p.child.kill('SIGKILL');
  await p.end();
  const q = await serve(t, dir);
  assert.equal((await run(t, ['events', 'inject', '-'], { cwd: dir, stdin: 'ignore' })).code, 2); // empty input
  assert.equal(stdin(dir, ['events', 'inject', '-'], '[{"subscriptionType":"switch"}]').stdout, '1 event stored\n');
  await q.stop();
});

test('thousands of events are listed, retried and injected in pages', { timeout: 60000 }, async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const many = Array.from({ length: 3000 }, (_, i) => ({ subscriptionType: 'contact.creation', objectId: String(1000 + i), pad: 'x'.repeat(700) }));
  fs.writeFileSync(path.join(dir, 'many.json'), JSON.stringify([{ subscriptionType: 'switch', payload: { broken: true } }]));
  const p = await serve(t, dir);
  const hubloop = (...args) => run(t, ['events', ...args], { cwd: dir });
  await hubloop('inject', 'many.json');
  await p.settled((v) => v.engine.ran === 1, 'the switch');
  fs.writeFileSync(path.join(dir, 'many.json'), JSON.stringify(many));
  assert.equal((await hubloop('inject', 'many.json')).out, '3000 events stored\n');
  await p.settled((v) => v.engine.dead === 3000, 'the dead letters');
  const listed = lines((await hubloop('list', '--state', 'dead', '--limit', '10000', '--json')).out);
  assert.equal(new Set(listed.map((e) => e.id)).size, 3000);
  assert.equal(lines((await hubloop('list', '--limit', '10000', '--json')).out).length, 3001);
  assert.equal(lines((await hubloop('list', '--object', '1000', '--json')).out).length, 1);
  stdin(dir, ['events', 'inject', '-'], '[{"subscriptionType":"switch","payload":{}}]');
  await p.settled((v) => v.engine.ran === 2, 'the switch back');
  const r = await hubloop('retry', '--state', 'dead');
  assert.equal(r.out, '3000 to run again\n', r.err);
  await p.settled((v) => v.engine.ran === 3002 && v.engine.dead === 0, 'all of them handled');
  await p.stop();
});

test('misuse is told, and loses nothing', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS, 'bad.json': '[{"a":]', 'number.json': '7', 'notes.txt': 'hello', 'empty.db': '' });
  const cases = [
    [['list'], 1, /no store at .*--project names/], [['list', '--state', 'deed'], 1, /no store/], [['list', '--since', 'yesterday'], 2, /--since takes/],
    [['list', '--store', 'notes.txt'], 1, /no usable hubloop store/], [['list', '--store', 'empty.db'], 1, /is no hubloop store/],
    [['list', '--store', 'x', '--project', '.'], 2, /two ways/], [['list', '--project', 'nowhere'], 1, /cannot read nowhere/],
    [['retry'], 2, /takes ids, or --state/], [['retry', '1.0', '--state', 'dead'], 2, /takes ids, or --state/],
    [['retry', '1.0', '--again', '--done'], 2, /not both/], [['prune'], 2, /--older-than/], [['prune', '--older-than', 'x'], 2, /--older-than takes/],
    [['inject', 'bad.json'], 1, /no store/], [['lst'], 2, /did you mean “list”/], [['show'], 2, /takes ID/],
  ];
  for (const [args, code, text] of cases) {
    const r = await run(t, ['events', ...args], { cwd: dir });
    assert.equal(r.code, code, `${args}: ${r.err}`);
    assert.match(r.err, text);
  }
  assert.equal(fs.existsSync(path.join(dir, 'data')), false);
  assert.equal(fs.readFileSync(path.join(dir, 'notes.txt'), 'utf8'), 'hello');
  assert.equal(fs.statSync(path.join(dir, 'empty.db')).size, 0);
  const p = await serve(t, dir);
  for (const [args, code, text] of [
    [['list', '--state', 'deed'], 2, /no state “deed”; did you mean “dead”/], [['inject', 'bad.json'], 2, /bad\.json: /],
    [['inject', 'number.json'], 2, /neither an array/], [['inject', 'nothing.json'], 1, /cannot read nothing\.json/],
    [['prune', '--older-than', '1h'], 2, /last 25 hours are kept/], [['show', 'abc'], 2, /no event's id/],
  ]) {
    const r = await run(t, ['events', ...args], { cwd: dir });
    assert.equal(r.code, code, `${args}: ${r.err}`);
    assert.match(r.err, text);
  }
  // Garbage on the socket is answered, and serve goes on.
  const got = await new Promise((resolve) => {
    let text = '';
    const s = net.connect(path.join(dir, 'data/hubloop.db.sock'), () => s.write('hello\n'.repeat(1000)));
    s.on('data', (c) => { text += c; });
    s.on('error', () => {});
    s.on('close', () => resolve(text));
  });
  assert.match(got, /^\{"error":\{"kind":"invalid"/);
  assert.equal((await p.status()).engine.acknowledged, 0);
  await p.stop();
});

test('a store with too long a path is served, and says that commands cannot reach it', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const store = path.join(dir, 'x'.repeat(120), 'h.db');
  const p = await serve(t, dir, { store });
  assert.match(p.err, /control socket .* at most 107 bytes/);
  const r = await run(t, ['events', 'list', '--store', store], { cwd: dir });
  assert.equal(r.code, 1);
  assert.match(r.err, /has it open, and cannot be asked: .*shorter path/);
  await p.stop();
});
