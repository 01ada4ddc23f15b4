// The wall clock steps, back and forward, while events, delayed events and timers
// are under way.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { Client, FULL, SEED, counter, event, fake, faults, files, freePort, noShim, project, random, serve, verify } from './lib.mjs';

const MINUTE = 60000;
const HOUR = 60 * MINUTE;

test('steps of the clock under load', { skip: noShim, timeout: 240000 }, async (t) => {
  const rng = random(SEED);
  const told = await counter(t);
  const dir = project(t, files(told));
  const f = faults(t, dir);
  const store = path.join(dir, 'events.db');
  const port = await freePort();
  let p = await serve(t, dir, { store, port, env: f.env });
  const client = new Client(t, port, rng, told, { clock: () => f.ahead });
  client.begin();
  const steps = FULL ? 60 : 8;
  for (let i = 0; i < steps; i++) {
    await client.more(40);
    const size = [2000, 5 * MINUTE, HOUR, 25 * HOUR][Math.floor(rng() * 4)];
    f.clock(Math.max(-30 * HOUR, Math.min(30 * HOUR, f.ahead + (rng() < 0.5 ? -size : size))));
    if (rng() < 0.3) {
      await p.stop('SIGKILL');
      p = await serve(t, dir, { store, port, env: f.env });
    }
  }
  f.clock(32 * HOUR); // whatever was delayed is due
  await client.more(40);
  const r = await verify(p, client, told, store);
  t.diagnostic(`note: ${r.acknowledged} events acknowledged over ${steps} steps of the clock; ${r.ticks} times of a timer, each once`);
});

test('a cron time that comes twice is run once; one that is skipped is caught up', { skip: noShim, timeout: 120000 }, async (t) => {
  const ran = [];
  const heard = await fake(t, (q, res) => { ran.push(JSON.parse(q.body)); res.writeHead(204).end(); if (heard.onTold) heard.onTold(); });
  const until = (check) => new Promise((resolve) => { heard.onTold = () => { if (check()) { heard.onTold = null; resolve(); } }; heard.onTold(); });
  const dir = project(t, {
    'clock.lua': `
local function tell(name, e) http.post("${heard.url}/", { json = { name = name, at = time.iso(e.occurredAt) } }) end
cron("0 12 * * *", function(e) tell("noon", e) end)
cron("1 12 * * *", function(e) tell("after noon", e) end)
cron("0 15 * * *", { catchup = "skip" }, function(e) tell("three", e) end)
cron("30 15 * * *", function(e) tell("half past", e) end)
cron("0 18 * * *", function(e) tell("six", e) end)
on("contact.creation", function(e) after("2h", "later", {}) end)
on("later", function(e) tell("later", e) end)
`,
    'hubloop.lua': `return { permissions = { ["clock.lua"] = { hosts = { "127.0.0.1:${heard.port}" } } } }\n`,
  });
  const f = faults(t, dir);
  const to = (iso) => f.clock(Date.parse(iso) - Date.now());
  const names = () => ran.map((r) => `${r.name} ${r.at.slice(11, 16)}`);
  to('2026-09-01T11:59:58Z');
  const store = path.join(dir, 'events.db');
  const p = await serve(t, dir, { store, env: f.env });
  const client = new Client(t, p.port, random(SEED), null, { clock: () => f.ahead });
  await until(() => ran.length === 1);
  to('2026-09-01T11:30:00Z'); // back, and over noon again
  assert.equal((await client.deliver([event()])).status, 204);
  await p.settled((s) => s.engine.waiting === 1, 'a delayed event'); // due at 13:30
  to('2026-09-01T11:59:59Z');
  to('2026-09-01T12:00:59Z');
  await until(() => ran.length === 2);
  assert.deepEqual(names(), ['noon 12:00', 'after noon 12:01']);
  to('2026-09-01T17:00:00Z'); // forward: half past is caught up, three is not; the delayed event is due
  await until(() => ran.length === 4);
  assert.deepEqual(names().slice(2).sort(), ['half past 15:30', 'later 13:30']);
  to('2026-09-01T17:59:59Z');
  await until(() => ran.length === 5);
  assert.equal(names()[4], 'six 18:00');
  // 30 hours back: the clock was wrong before, so the noon of that day is run.
  to('2026-08-31T11:59:58Z');
  await until(() => ran.length === 6);
  assert.deepEqual(ran[5], { name: 'noon', at: '2026-08-31T12:00:00.000Z' });
  assert.equal((await p.stop()).code, 0, p.err);
});
