// The supervisor (SEMANTICS 45): a call that does not return, a crash, a stopped
// process. What ran is parked and never retried by itself; everything else goes on.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { deliver, event, freePort, poll, project, request, serve } from './lib.mjs';

// One call that takes longer than any test waits.
const ENDLESS = 'string.find(string.rep("a", 3000), ".-.-.-.-.-b")';
const LEADS = `
on("contact.creation", function(e)
  if e.objectId == "666" then ${ENDLESS} end
  kv.incr("n:" .. e.objectId)
end)
on("hubloop.alert", function(e) kv.incr("alert:" .. e.payload.kind) end)
serve("GET /n", { auth = false }, function(request) return { json = { n = kv.get(request.query.key) or 0 } } end)
`;

// A stall is 4 s of the child's CPU time, however long a busy machine takes to give it them.
const LONG = 300000;

// A restarted child listens where the first one did.
async function supervised(t, dir, store, args = []) {
  const admin = await freePort();
  const p = await serve(t, dir, { store, ms: LONG, port: await freePort(), args: ['--admin', `127.0.0.1:${admin}`, ...args] });
  p.childPid = () => Number(fs.readFileSync(`/proc/${p.pid}/task/${p.pid}/children`, 'utf8').trim().split(' ')[0]);
  p.starts = (n) => p.until(() => p.err.split('status on http').length > n, `${n} starts`, LONG);
  p.told = (pattern) => p.line(pattern, 'err', LONG);
  p.n = async (key) => JSON.parse((await request('GET', `${p.url}/n?key=${key}`)).body).n;
  return p;
}
// Gone, or waiting for somebody to ask how it ended.
const alive = (pid) => { try { return !/\) Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8')); } catch { return false; } };

test('an event whose handler does not return is parked; everything else goes on', { timeout: 3 * LONG }, async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const store = path.join(dir, 'events.db');
  const p = await supervised(t, dir, store);
  const first = p.childPid();
  const events = [event({ objectId: 1 }), event({ objectId: 666 }), event({ objectId: 2 }), event({ objectId: 666 }), event({ objectId: 3 })];
  assert.equal((await deliver(p.hook, events)).status, 204);
  await p.told(/did not return for 5 s; the event 1\.1 was running and is parked; it is started again/);
  await p.starts(2);
  assert.notEqual(p.childPid(), first);
  // The second of that object hangs as well, and is parked in its turn.
  await p.told(/the event 1\.3 was running and is parked/);
  await p.starts(3);
  const s = await p.settled((v) => v.engine.pending === 0 && v.engine.running === 0 && v.engine.waiting === 0, 'an empty inbox');
  assert.equal(s.engine.dead, 2);
  assert.match(p.err, /leads\.lua “contact\.creation” event 1\.1: dead letter after 1 attempt: the process was ended because one call did not return for 5 s/);
  for (const id of [1, 2, 3]) assert.equal(await p.n(`n:${id}`), 1, `contact ${id}`);
  assert.equal(await p.n('n:666'), 0);
  assert.equal(await p.n('alert:supervisor_restart'), 2);
  assert.equal((await deliver(p.hook, [event({ objectId: 4 })])).status, 204);
  await poll(async () => await p.n('n:4') === 1, 'the next event handled');
  assert.deepEqual(await p.stop(), { code: 0, signal: null }, p.err);
  // Parked for good: the next life does not try it.
  const q = await supervised(t, dir, store);
  const again = await q.settled((v) => v.engine.running === 0 && v.engine.pending === 0, 'an empty inbox');
  assert.equal(again.engine.dead, 2);
  assert.equal((await q.stop()).code, 0);
});

test('a script that does not come back while it loads is skipped; the others go on', { timeout: 3 * LONG }, async (t) => {
  const dir = project(t, { 'leads.lua': LEADS, 'stuck.lua': `${ENDLESS}\n` });
  const p = await supervised(t, dir, path.join(dir, 'events.db'));
  assert.match(p.err, /a script was loading and is skipped; it is started again/);
  assert.match(p.err, /stuck\.lua: skipped, because while it loaded the process was ended because one call did not return for 5 s/);
  assert.equal((await deliver(p.hook, [event({ objectId: 1 })])).status, 204);
  await poll(async () => await p.n('n:1') === 1, 'an event handled');
  assert.equal((await p.stop()).code, 3);
});

test('a timer whose handler does not return goes on at its next time', { timeout: 3 * LONG }, async (t) => {
  const dir = project(t, {
    'timer.lua': `every("1s", function() ${ENDLESS} end)\n`,
  });
  const p = await supervised(t, dir, path.join(dir, 'events.db'));
  await p.told(/a timer's handler was running; it goes on at its next time; it is started again/);
  await p.told(/“1s” failed for .*; it goes on at its next time: the process was ended because one call did not return for 5 s/);
  p.child.kill('SIGKILL');
  await p.end();
});

test('a crash starts the child again, five times', { timeout: 3 * LONG }, async (t) => {
  // None that hears of the restart: it would be what runs at the next crash.
  const dir = project(t, { 'leads.lua': 'on("contact.creation", function() end)\n' });
  const p = await supervised(t, dir, path.join(dir, 'events.db'));
  for (let i = 1; i <= 6; i++) {
    await p.starts(i);
    process.kill(p.childPid(), 'SIGSEGV');
    await p.until(() => p.err.split(/\(Segmentation fault\); no script was running/).length > i, `crash ${i} noticed`);
  }
  assert.deepEqual(await p.end(), { code: 1, signal: null });
  assert.match(p.err, /started again 5 times within 10 minutes and ended again: the process ended with signal 11/);
});

test('a stopped process is not stuck; SIGTERM drains it', { timeout: 3 * LONG }, async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const p = await supervised(t, dir, path.join(dir, 'events.db'));
  const child = p.childPid();
  process.kill(child, 'SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 6500)); // longer than a stall: nothing else would show it
  process.kill(child, 'SIGCONT');
  assert.equal((await deliver(p.hook, [event({ objectId: 1 })])).status, 204);
  await poll(async () => await p.n('n:1') === 1, 'an event handled');
  assert.equal(p.childPid(), child);
  assert.deepEqual(await p.stop(), { code: 0, signal: null });
  assert.equal(alive(child), false);
});

test('the child dies with its parent, and the next one can start at once', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const store = path.join(dir, 'events.db');
  const p = await supervised(t, dir, store);
  const child = p.childPid();
  await p.stop('SIGKILL');
  const q = await supervised(t, dir, store);
  assert.equal(alive(child), false);
  assert.equal((await q.stop()).code, 0);
});

test('--no-supervisor is one process', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const p = await supervised(t, dir, path.join(dir, 'events.db'), ['--no-supervisor']);
  assert.equal(p.childPid(), 0);
  assert.equal((await p.stop()).code, 0);
});

test('a script that does not come back at a reload ends the child; the next reload tries it again', { timeout: 3 * LONG }, async (t) => {
  const other = (v) => `on("deal.creation", function(e) kv.incr("n") end)
serve("GET /other", { auth = false }, function() return "${v}" .. (kv.get("n") or 0) end)\n`;
  const dir = project(t, { 'leads.lua': LEADS, 'other.lua': other('a') });
  const p = await supervised(t, dir, path.join(dir, 'events.db'));
  fs.writeFileSync(path.join(dir, 'other.lua'), `${ENDLESS}\n`);
  p.child.kill('SIGHUP');
  await p.told(/did not return for 5 s; a script was loading and is skipped; it is started again/);
  await p.starts(2);
  assert.match(p.err, /other\.lua: skipped, because while it loaded the process was ended because one call did not return for 5 s; correct it and send SIGHUP/);
  assert.equal((await request('GET', `${p.url}/other`)).status, 404);
  assert.equal((await deliver(p.hook, [event({ objectId: 1 }), event({ subscriptionType: 'deal.creation' })])).status, 204);
  await p.settled((s) => s.engine.pending === 1 && s.engine.running === 0, 'one event kept for the script that is skipped');
  fs.writeFileSync(path.join(dir, 'other.lua'), other('b'));
  p.child.kill('SIGHUP');
  await p.told(/reloaded: 2 scripts/);
  await poll(async () => (await request('GET', `${p.url}/other`)).body === 'b1', 'what was kept for it');
  await poll(async () => await p.n('n:1') === 1, 'the event handled');
  assert.deepEqual(await p.stop(), { code: 0, signal: null }, p.err);
});
