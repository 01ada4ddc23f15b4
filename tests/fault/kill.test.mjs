// kill -9 at random instants, with restarts: under load, while it starts, while its
// scripts are exchanged, at the instant of a timer.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { Client, FULL, SEED, counter, files, freePort, project, random, serve, sound, start, verify, SECRET, TOKEN } from './lib.mjs';

const KILLS = FULL ? 200 : 15;
// Behind so many more of what; or in the middle of a start.
const MOMENTS = [['acknowledged', 120], ['ran', 120], ['step', 60], ['behind', 60], ['done', 60], ['tick', 1], ['start', 1]];

test(`kill -9 at ${KILLS} random instants`, { timeout: FULL ? 3600000 : 240000 }, async (t) => {
  const rng = random(SEED);
  const told = await counter(t);
  const dir = project(t, files(told));
  const store = path.join(dir, 'events.db');
  const port = await freePort();
  let p = await serve(t, dir, { store, port });
  const client = new Client(t, port, rng, told);
  let moment = null; // { count, at, fire }
  const look = () => { if (moment && moment.count() >= moment.at) { const m = moment; moment = null; m.fire(); } };
  told.onTold = () => setImmediate(look);
  client.onTold = look;
  client.begin();
  for (let kill = 0; kill < KILLS; kill++) {
    const [what, most] = MOMENTS[Math.floor(rng() * MOMENTS.length)];
    const more = 1 + Math.floor(rng() * most);
    // A few more turns of this process, so that the instant is not always the one right after an answer.
    const turns = Math.floor(rng() * 40), hangup = Math.floor(rng() * 60);
    if (what === 'start') {
      await p.stop('SIGKILL');
      p = start(t, ['serve', dir, '--store', store, '--listen', `127.0.0.1:${port}`, '--admin', 'off'],
        { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET, HUBSPOT_BASE_URL: 'http://127.0.0.1:9' } });
      await new Promise((resolve) => { setTimeout(resolve, rng() * 120); });
    } else {
      const count = () => (what === 'acknowledged' ? client.acknowledged.size : told.total[what]);
      await Promise.race([client.failed, new Promise((resolve) => {
        moment = { count, at: count() + more, fire: resolve };
        look();
      })]);
      for (let i = 0; i < turns; i++) {
        if (i === hangup) p.child.kill('SIGHUP');
        await new Promise((resolve) => { setImmediate(resolve); });
      }
    }
    const ended = await p.stop('SIGKILL');
    assert.equal(ended.signal, 'SIGKILL', `it had ended before: ${p.err}`);
    sound(store);
    p = await serve(t, dir, { store, port });
  }
  const r = await verify(p, client, told, store);
  assert.ok(r.acknowledged > 50, `only ${r.acknowledged} events were acknowledged`);
  t.diagnostic(`note: ${r.acknowledged} events acknowledged over ${KILLS} kills (seed ${SEED}); each handled once; ${r.cut} runs were cut before their commit and ran again; ${r.ticks} times of a timer, each once`);
});
