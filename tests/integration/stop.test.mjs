// Signals: what SIGTERM and SIGINT end, when, and with which exit code; also
// while scripts load, and while one C call does not return.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { TOKEN, deliver, event, fake, project, request, serve, start } from './lib.mjs';

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
