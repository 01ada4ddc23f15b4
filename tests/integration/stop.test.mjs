// Signals: what SIGTERM and SIGINT end, when, and with which exit code; also
// while scripts load, and while one C call does not return.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { TOKEN, deliver, event, fake, poll, project, request, serve, start } from './lib.mjs';

// One call of string.find that takes longer than any test waits.
const ENDLESS = 'string.find(string.rep("a", 3000), ".-.-.-.-.-b")';

const projects = { 'one.lua': 'log.info("one")\n', 'slow.lua': 'print("loading")\ntask.sleep("1h")\n' };

test('run DIR ends at SIGTERM while scripts load', async (t) => {
  const dir = project(t, projects);
  const p = start(t, ['run', dir, '--sim'], { cwd: dir });
  await p.line(/loading/, 'out');
  assert.deepEqual(await p.stop(), { code: 143, signal: null }, p.err);
  assert.equal(p.err, '');
});

test('run DIR ends at SIGINT while scripts load', async (t) => {
  const dir = project(t, projects);
  const p = start(t, ['run', dir, '--sim'], { cwd: dir });
  await p.line(/loading/, 'out');
  assert.deepEqual(await p.stop('SIGINT'), { code: 130, signal: null }, p.err);
});

test('serve ends at SIGTERM while scripts load', async (t) => {
  const dir = project(t, projects);
  const p = start(t, ['serve', dir, '--listen', '127.0.0.1:0', '--admin', 'off'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
  await p.line(/loading/, 'out');
  assert.deepEqual(await p.stop(), { code: 0, signal: null }, p.err);
});

test('run: the second SIGTERM ends a C call that does not return', async (t) => {
  const dir = project(t, { 'stuck.lua': `print("stuck")\n${ENDLESS}\n` });
  const p = start(t, ['run', path.join(dir, 'stuck.lua'), '--sim'], { cwd: dir });
  await p.line(/stuck/, 'out');
  const again = setInterval(() => p.child.kill('SIGTERM'), 20);
  t.after(() => clearInterval(again));
  assert.deepEqual(await p.stop(), { code: 143, signal: null }, p.err);
});

test('what the drain deadline cuts goes back to the inbox, with no attempt counted', async (t) => {
  const held = [];
  const f = await fake(t, (q, res) => held.push([q, res]));
  const dir = project(t, {
    'leads.lua': `on("contact.creation", function(e) http.post("${f.url}/ran", { json = { attempt = e.attempt } }) end)\n`,
    'hubloop.lua': `return {
  accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET" } },
  permissions = { ["leads.lua"] = { hosts = { "127.0.0.1:${f.port}" } } },
}\n`,
  });
  const store = path.join(dir, 'events.db');
  const p = await serve(t, dir, { store, args: ['--drain', '0s'] });
  assert.equal((await deliver(p.hook, [event()])).status, 204);
  await p.settled((s) => s.engine.running === 1 && held.length === 1, 'a running handler');
  assert.deepEqual(await p.stop(), { code: 0, signal: null }, p.err);
  const q = await serve(t, dir, { store });
  await q.settled((s) => s.engine.running === 1 && held.length === 2, 'the handler again');
  assert.equal(JSON.parse(held[1][0].body).attempt, 1);
  held[1][1].writeHead(204).end();
  const s = await q.settled((v) => v.engine.pending === 0, 'an empty inbox');
  assert.equal(s.engine.ran, 1);
  assert.equal((await request('GET', `${q.admin}/status`)).status, 200);
  assert.equal((await q.stop()).code, 0);
});

test('--drain takes a time', async (t) => {
  const dir = project(t, { 'one.lua': '' });
  const p = start(t, ['serve', dir, '--drain', 'soon'], { cwd: dir });
  assert.deepEqual(await p.end(), { code: 2, signal: null });
  assert.match(p.err, /--drain takes a time of at most a day, such as 30s, not “soon”/);
});

test('SIGTERM drains: what runs ends and is committed, what waits is kept', async (t) => {
  const held = [];
  const ran = new Map();
  const release = () => { for (const res of held) if (!res.writableEnded) res.writeHead(204).end(); };
  const heard = await fake(t, (q, res) => {
    const { id } = JSON.parse(q.body);
    ran.set(id, (ran.get(id) ?? 0) + 1);
    held.push(res);
    if (heard.onTold) heard.onTold();
  });
  const dir = project(t, {
    'leads.lua': `
on("contact.creation", { concurrency = 20 }, function(e)
  http.post("${heard.url}/", { json = { id = e.objectId } })
  kv.incr("n")
end)
serve("GET /n", { auth = false }, function() return { json = { n = kv.get("n") or 0 } } end)
`,
    'hubloop.lua': `return { permissions = { ["leads.lua"] = { hosts = { "127.0.0.1:${heard.port}" } } } }\n`,
  });
  const store = path.join(dir, 'events.db');
  const p = await serve(t, dir, { store });
  assert.equal((await deliver(p.hook, Array.from({ length: 50 }, () => event()))).status, 204);
  await p.settled((s) => s.engine.running === 20, 'twenty running handlers');
  await new Promise((resolve) => { heard.onTold = () => { if (held.length === 20) resolve(); }; heard.onTold(); });
  p.child.kill('SIGTERM');
  await p.line(/stopping/);
  await poll(() => request('GET', p.url).then(() => false, () => true), 'a listener that is closed');
  release();
  assert.equal((await p.end()).code, 0, p.err);
  assert.equal(ran.size, 20, 'a handler was started while draining');
  heard.onTold = () => setImmediate(release);
  const again = await serve(t, dir, { store });
  await again.settled((s) => s.engine.pending === 0 && s.engine.running === 0 && s.engine.ran >= 50, 'the other thirty handled');
  assert.equal(JSON.parse((await request('GET', `${again.url}/n`)).body).n, 50);
  assert.deepEqual([...new Set(ran.values())], [1], 'a committed handler ran again');
  assert.equal((await again.stop()).code, 0);
});
