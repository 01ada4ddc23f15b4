// Bad input. Each case must end with a message that names the thing, the place
// and the remedy, and with the exit code of the contract: 1 failed, 2 misuse, 3
// some items failed.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { HUBLOOP, TOKEN, deliver, event, poll, project, run, serve, start } from './lib.mjs';

const QUIET = 'on("contact.creation", function() end)\n';
const says = (r, ...patterns) => {
  for (const p of patterns) assert.match(r.err, p);
  assert.doesNotMatch(r.err, /AddressSanitizer|\.[ch]:\d+:\d+: runtime error|Assertion/);
};

test('a syntax error: file, line, and the line itself', async (t) => {
  const dir = project(t, { 'broken.lua': 'local a = 1\n\nif a == 1 the print(a) end\n' });
  const r = await run(t, ['run', '--sim', 'broken.lua'], { cwd: dir });
  assert.equal(r.code, 1, r.err);
  says(r, /broken\.lua:3:/, /if a == 1 the print\(a\) end/);
});

test('one broken script of a project: the others are served, and the exit code says some failed', async (t) => {
  const dir = project(t, { 'broken.lua': 'on("contact.creation", function( end)\n', 'fine.lua': QUIET });
  const p = await serve(t, dir);
  says(p, /broken\.lua:1:/);
  assert.equal((await deliver(p.hook, [event()])).status, 204);
  const ended = await p.stop();
  assert.equal(ended.code, 3, p.err);
});

test('an unknown event type: the nearest name, at the line of the call', async (t) => {
  const dir = project(t, { 'typo.lua': '\non("contact.creatoin", function() end)\n' });
  const r = await run(t, ['run', '--sim', 'typo.lua'], { cwd: dir });
  assert.equal(r.code, 1, r.err);
  says(r, /typo\.lua:2/, /contact\.creatoin/, /contact\.creation\b/);
});

test('HUBSPOT_TOKEN unset', async (t) => {
  const dir = project(t, { 'read.lua': 'local hubspot = require "hubspot"\nprint(hubspot.contacts.get("1", { "email" }).email)\n' });
  const r = await run(t, ['run', 'read.lua'], { cwd: dir });
  assert.notEqual(r.code, 0);
  says(r, /HUBSPOT_TOKEN/, /export|set |--sim/);
});

test('an API key where a token belongs: refused with the way to migrate, and never printed', async (t) => {
  const key = [8, 4, 4, 4, 12].map((n) => 'a1b2c3d4e5f6'.slice(0, n).padEnd(n, '7')).join('-');
  const dir = project(t, { 'read.lua': 'local hubspot = require "hubspot"\nprint(hubspot.contacts.get("1", { "email" }).email)\n' });
  const r = await run(t, ['run', 'read.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: key } });
  assert.notEqual(r.code, 0);
  says(r, /API key/, /private app|service key|token/);
  assert.ok(!(r.err + r.out).includes(key), 'the key was printed');
});

test('a port in use', async (t) => {
  const taken = net.createServer();
  await new Promise((resolve) => { taken.listen(0, '127.0.0.1', resolve); });
  t.after(() => taken.close());
  const { port } = taken.address();
  const dir = project(t, { 'a.lua': QUIET });
  const r = await run(t, ['serve', dir, '--listen', `127.0.0.1:${port}`, '--admin', 'off'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
  assert.equal(r.code, 1, r.err);
  says(r, new RegExp(`${port}`), /in use/, /--listen|listen/);
});

test('a store in a place that cannot be written', async (t) => {
  const dir = project(t, { 'a.lua': QUIET, 'file.txt': 'no folder' });
  const store = path.join(dir, 'file.txt', 'events.db');
  const r = await run(t, ['serve', dir, '--listen', '127.0.0.1:0', '--admin', 'off', '--store', store], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
  assert.equal(r.code, 1, r.err);
  says(r, /events\.db/);
});

test('a corrupt store', async (t) => {
  const dir = project(t, { 'a.lua': QUIET });
  const store = path.join(dir, 'events.db');
  fs.writeFileSync(store, 'this is a text and no database\n'.repeat(500));
  const r = await run(t, ['serve', dir, '--listen', '127.0.0.1:0', '--admin', 'off', '--store', store], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
  assert.equal(r.code, 1, r.err);
  says(r, /events\.db/, /database|corrupt/i, /restore|move|backup|another|--store/i);
  assert.match(fs.readFileSync(store, 'utf8'), /^this is a text/, 'the file was overwritten');
});

test('a store that another process has open', async (t) => {
  const dir = project(t, { 'a.lua': QUIET });
  const store = path.join(dir, 'events.db');
  await serve(t, dir, { store });
  const r = await run(t, ['serve', dir, '--listen', '127.0.0.1:0', '--admin', 'off', '--store', store], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
  assert.equal(r.code, 1, r.err);
  says(r, /events\.db/, /another|use/);
});

test('a full disk: 503, nothing acknowledged is lost, and it goes on when there is room', async (t) => {
  const dir = project(t, { 'count.lua': 'on("contact.creation", function(e) kv.incr("n:" .. e.objectId) end)\nserve("GET /counts", { auth = false }, function() return { json = { n = #kv.list("n:") } } end)\n' });
  const disk = path.join(dir, 'disk');
  fs.mkdirSync(disk);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'hubloop-test', disk], { encoding: 'utf8' });
  if (mounted.status !== 0) { t.skip(`a small tmpfs cannot be mounted here: ${mounted.stderr.trim()}`); return; }
  // Test hooks run in order of registration, so these run before lib's rm -rf
  // could meet a mounted folder only when the mount is gone: unmount here.
  let p;
  try {
    p = await serve(t, dir, { store: path.join(disk, 'events.db') });
    assert.equal((await deliver(p.hook, [event()])).status, 204);
    const filler = path.join(disk, 'filler');
    fill(filler);
    let accepted = 1;
    let refused = 0;
    for (let i = 0; i < 300 && refused < 3; i++) {
      const r = await deliver(p.hook, Array.from({ length: 100 }, () => event()));
      if (r.status === 204) accepted += 100; else { assert.equal(r.status, 503, r.body); refused++; }
    }
    assert.equal(refused, 3, 'the disk never filled');
    await p.line(/full|no space/i);
    fs.rmSync(filler);
    // HubSpot redelivers after a 503; so does this.
    const again = [event()];
    await poll(async () => (await deliver(p.hook, again)).status === 204, 'a 204 after room was made');
    accepted += 1;
    await p.settled((s) => s.engine.pending === 0 && s.engine.running === 0, 'an empty inbox');
    const status = await p.status();
    assert.equal(status.engine.ran, accepted, JSON.stringify(status.engine));
    assert.equal((await p.stop()).code, 0, p.err);
  } finally {
    if (p && !p.ended) await p.stop('SIGKILL');
    spawnSync('umount', [disk]);
  }
});

function fill(file) {
  const fd = fs.openSync(file, 'w');
  const block = Buffer.alloc(4096, 1);
  try { for (;;) fs.writeSync(fd, block); } catch (e) { if (e.code !== 'ENOSPC') throw e; } finally { fs.closeSync(fd); }
}

test('a script that never yields', async (t) => {
  const dir = project(t, { 'spin.lua': 'local n = 0\nwhile true do\n  n = n + 1\nend\n' });
  const r = await run(t, ['run', '--sim', 'spin.lua'], { cwd: dir });
  assert.equal(r.code, 1, r.err);
  says(r, /spin\.lua:[234]/, /yield|budget|too long|CPU/i);
});

test('a handler that never yields is ended; the others go on', async (t) => {
  const dir = project(t, { 'spin.lua': 'on("contact.creation", { retries = 0 }, function(e)\n  if e.objectId == "1" then while true do end end\n  kv.incr("n")\nend)\n' });
  const p = await serve(t, dir);
  assert.equal((await deliver(p.hook, [event({ objectId: 1 }), event({ objectId: 2 }), event({ objectId: 3 })])).status, 204);
  const s = await p.settled((x) => x.engine.ran === 2 && x.engine.dead === 1, 'two handled and one parked');
  assert.equal(s.engine.pending, 0);
  says(p, /spin\.lua:2/);
  assert.equal((await p.stop()).code, 0);
});

test('a script that allocates without end', async (t) => {
  const dir = project(t, { 'hoard.lua': 'local t = {}\nwhile true do\n  t[#t + 1] = ("x"):rep(5000000) .. #t\n  task.sleep(0)\nend\n' });
  const r = await run(t, ['run', '--sim', 'hoard.lua'], { cwd: dir });
  assert.equal(r.code, 1, r.err);
  says(r, /hoard\.lua/, /memory/);
});

test('a handler that raises: retried, then parked; traceback with its place; the rest is handled', async (t) => {
  const dir = project(t, {
    'raise.lua': 'local function find(lead)\n  return lead.owner.id\nend\non("contact.creation", { retries = 1 }, function(e)\n  if e.objectId == "7" then find({}) end\nend)\n',
  });
  const p = await serve(t, dir);
  assert.equal((await deliver(p.hook, [event({ objectId: 7 }), event({ objectId: 8 })])).status, 204);
  const s = await p.settled((x) => x.engine.dead === 1 && x.engine.ran === 1, 'one parked and one handled');
  assert.equal(s.engine.runs_failed, 2, 'one attempt and one retry');
  says(p, /raise\.lua:2/, /owner/, /traceback/);
  assert.equal((await p.stop()).code, 0);
});

test('a main task that raises: exit code 1, message and traceback', async (t) => {
  const dir = project(t, { 'fail.lua': 'local function inner() error("no such segment") end\ninner()\n' });
  const r = await run(t, ['run', '--sim', 'fail.lua'], { cwd: dir });
  assert.equal(r.code, 1);
  says(r, /fail\.lua:1: no such segment/, /traceback/);
});

test('an event that could not be handled in `run`: exit code 3', async (t) => {
  const dir = project(t, { 'emit.lua': 'on("chase", { retries = 0 }, function() error("nobody there") end)\nemit("chase", { id = 1 })\n' });
  const r = await run(t, ['run', '--sim', 'emit.lua'], { cwd: dir });
  assert.equal(r.code, 3, r.err);
  says(r, /nobody there/, /emit\.lua:1/);
});

test('Ctrl-C ends a run at once, with the shell\'s code for it', async (t) => {
  const dir = project(t, { 'wait.lua': 'log.warn("waiting")\ntask.sleep("1h")\n' });
  const p = start(t, ['run', '--sim', 'wait.lua'], { cwd: dir });
  await p.line(/waiting/);
  const ended = await p.stop('SIGINT');
  assert.ok(ended.code === 130 || ended.signal === 'SIGINT', JSON.stringify(ended));
});

test('the binary under test is there', () => {
  assert.ok(fs.existsSync(HUBLOOP), `${HUBLOOP} is missing: make first`);
});
