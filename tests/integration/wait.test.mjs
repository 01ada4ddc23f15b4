// wait(): the real binary, killed while handlers wait, and started again with code that has changed.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { deliver, event, freePort, project, request, run, serve } from './lib.mjs';

const SIGN = `
on("contact.creation", { concurrency = 40 }, function(event)
  local id = event.objectId
  step("count", function() kv.incr("steps:" .. id) end)
  kv.incr("before:" .. id)
  local signed = wait("signed", "deal.propertyChange", { key = id, property = "dealstage", timeout = "3d" })
  kv.incr("after:" .. id)
  kv.set("value:" .. id, signed and signed.propertyValue or "nothing")
end)
serve("POST /get", { auth = false }, function(request)
  local out = {}
  for _, key in ipairs(request.json().keys) do out[key] = kv.get(key) end
  return { json = out }
end)
`;
const signed = (id, value = 'won', over = {}) => event({ subscriptionType: 'deal.propertyChange', objectId: id, propertyName: 'dealstage', propertyValue: value, ...over });
const get = async (p, ...keys) => JSON.parse((await request('POST', `${p.url}/get`, JSON.stringify({ keys }))).body);

test('a handler waits over kill -9, and goes on with the event', async (t) => {
  const dir = project(t, { 'sign.lua': SIGN });
  let p = await serve(t, dir);
  assert.equal((await deliver(p.hook, [event({ objectId: 11 }), event({ objectId: 12 })])).status, 204);
  await p.settled((s) => s.engine.waiting === 2 && s.engine.running === 0, 'two that wait');
  assert.deepEqual(await get(p, 'before:11', 'after:11'), { 'before:11': 1 });
  const list = await run(t, ['events', 'list', '--state', 'waiting'], { cwd: dir });
  assert.match(list.out, /waits: signed \(deal\.propertyChange\) until \d{4}-/);
  await p.stop('SIGKILL');

  const shown = await run(t, ['events', 'show', '1.0'], { cwd: dir });
  assert.match(shown.out, /step “count” done/);
  assert.match(shown.out, /wait “signed” waiting/);
  p = await serve(t, dir);
  assert.equal((await deliver(p.hook, [signed(13), signed(12, 'lost', { propertyName: 'amount' }), signed(12, 'yes')])).status, 204);
  await p.settled((s) => s.engine.waiting === 1 && s.engine.ran === 1 && s.engine.running === 0, 'one that went on');
  assert.deepEqual(await get(p, 'before:12', 'after:12', 'steps:12', 'value:12', 'after:11'),
    { 'before:12': 1, 'after:12': 1, 'steps:12': 1, 'value:12': 'yes' });
  assert.equal((await p.stop()).code, 0, p.err);
});

test('kill -9 at random moments: what is acknowledged ends its wait, once', { timeout: 240000 }, async (t) => {
  const N = 120;
  let seed = Number(process.env.HL_SEED ?? 7);
  const random = (n) => { seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff; return Math.floor(seed / 65536) % n; };
  const dir = project(t, { 'sign.lua': SIGN });
  const port = await freePort();
  let p = await serve(t, dir, { port });
  // Handlers begin to wait and are signed at the same time; each body is sent until it is acknowledged, a signature behind its contact.
  const groups = [];
  for (let i = 0; i < N; i += 4) {
    const ids = [i, i + 1, i + 2, i + 3].map((k) => 1000 + k);
    groups.push([ids.map((objectId) => event({ objectId })), ids.map((id) => signed(id, `v${id}`))]);
  }
  let next = 0;
  const sender = async () => {
    while (next < groups.length) {
      for (const body of groups[next++]) {
        while ((await deliver(p.hook, body).catch(() => null))?.status !== 204) await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  };
  const senders = Promise.all([sender(), sender(), sender()]);
  for (let kill = 0; kill < 6; kill++) {
    const at = next + 2 + random(4);
    while (next < Math.min(at, groups.length)) await new Promise((resolve) => setTimeout(resolve, 1));
    for (let i = random(30); i > 0; i--) await new Promise((resolve) => setImmediate(resolve));
    await p.stop('SIGKILL');
    p = await serve(t, dir, { port });
  }
  await senders;
  await p.settled((s) => s.engine.pending === 0 && s.engine.running === 0 && s.engine.waiting === 0, 'nothing that waits', 60000);
  const ids = Array.from({ length: N }, (_, i) => 1000 + i);
  const all = await get(p, ...ids.flatMap((id) => [`before:${id}`, `after:${id}`, `steps:${id}`, `value:${id}`]));
  for (const id of ids) {
    assert.deepEqual([all[`before:${id}`], all[`after:${id}`], all[`steps:${id}`], all[`value:${id}`]], [1, 1, 1, `v${id}`], `contact ${id}`);
  }
  assert.equal((await p.stop()).code, 0, p.err);
});

test('code that no longer fits parks the event, and the old code takes it up again', async (t) => {
  const dir = project(t, { 'sign.lua': SIGN });
  let p = await serve(t, dir);
  assert.equal((await deliver(p.hook, [event({ objectId: 21 })])).status, 204);
  await p.settled((s) => s.engine.waiting === 1, 'one that waits');
  assert.equal((await p.stop()).code, 0);
  fs.writeFileSync(path.join(dir, 'sign.lua'), SIGN.replace('wait("signed"', 'wait("signed by all"'));
  p = await serve(t, dir);
  assert.equal((await deliver(p.hook, [signed(21)])).status, 204);
  await p.settled((s) => s.engine.dead === 1, 'a dead letter');
  const list = await run(t, ['events', 'list', '--state', 'dead', '--json'], { cwd: dir });
  assert.equal(JSON.parse(list.out).error, 'its stored steps no longer fit: the code asks for “signed by all” where the wait “signed” was');
  assert.equal((await p.stop()).code, 0);
  fs.writeFileSync(path.join(dir, 'sign.lua'), SIGN);
  p = await serve(t, dir);
  assert.equal((await run(t, ['events', 'retry', '1.0'], { cwd: dir })).code, 0);
  await p.settled((s) => s.engine.ran === 1 && s.engine.running === 0, 'the event handled');
  assert.deepEqual(await get(p, 'before:21', 'after:21', 'steps:21', 'value:21'), { 'before:21': 1, 'after:21': 1, 'steps:21': 1, 'value:21': 'won' });
  assert.equal((await p.stop()).code, 0);
});
