// `hubloop backup` while serve is under load, and `hubloop restore`.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { deliver, event, poll, project, run, serve } from './lib.mjs';

const LEADS = 'on("contact.creation", function(event) kv.incr("n:" .. event.objectId) end)\n';

test('a backup under load is one consistent moment, and becomes a store again', { timeout: 90000 }, async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const p = await serve(t, dir);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  const hubloop = (...args) => run(t, args, { cwd: dir });
  let sent = 0, going = true;
  const one = async () => {
    while (going) {
      const r = await deliver(p.hook, Array.from({ length: 100 }, (_, i) => event({ objectId: 1000 + i })), { agent });
      assert.equal(r.status, 204);
      sent += 100;
    }
  };
  const senders = [one(), one(), one()];
  await p.settled((v) => v.engine.acknowledged > 3000, 'some events');
  const before = (await p.status()).engine.acknowledged;
  const r = await hubloop('backup', 'copy.db');
  const after = (await p.status()).engine.acknowledged;
  going = false;
  await Promise.all(senders);
  agent.destroy();
  assert.equal(r.code, 0, r.err);
  assert.match(r.out, /^copy\.db: \d+\.\d MB, checked\n$/);
  assert.deepEqual(fs.readdirSync(dir).filter((f) => f.startsWith('copy')), ['copy.db']);
  const busy = await hubloop('restore', 'copy.db');
  assert.equal(busy.code, 1);
  assert.match(busy.err, /hubloop serve runs on .*stop it/);
  await p.settled((v) => v.engine.pending === 0 && v.engine.acknowledged === sent, 'all handled');
  await p.stop();

  const restored = await hubloop('restore', 'copy.db', '--json');
  assert.equal(restored.code, 0, restored.err);
  const { acknowledged: n, kept, last_received } = JSON.parse(restored.out);
  assert.ok(n >= before && n <= after, `${before} ${n} ${after}`);
  assert.ok(last_received > Date.now() - 120000);
  const lines = (store) => run(t, ['events', 'list', '--store', store, '--limit', '100000', '--json'], { cwd: dir }).then((l) => l.out.split('\n').length - 1);
  assert.equal(await lines('data/hubloop.db'), n); // what it counts is what it holds
  assert.equal(await lines(kept), sent);
  const q = await serve(t, dir);
  const s = await q.settled((v) => v.engine.pending === 0 && v.engine.running === 0, 'what was pending in the backup is handled');
  assert.equal(s.engine.acknowledged, n);
  assert.equal(s.engine.ran, n);
  await q.stop();
});

test('a serve that is killed while it makes a backup leaves its store whole', { timeout: 60000 }, async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const p = await serve(t, dir);
  for (let i = 0; i < 20; i++) await deliver(p.hook, Array.from({ length: 100 }, () => event({ pad: 'x'.repeat(3000) })));
  const b = run(t, ['backup', 'copy.db'], { cwd: dir });
  await poll(() => fs.existsSync(path.join(dir, 'copy.db.part')) || fs.existsSync(path.join(dir, 'copy.db')), 'the beginning of a backup');
  p.child.kill('SIGKILL');
  await p.end();
  const r = await b;
  if (r.code !== 0) assert.match(r.err, /went away/);
  const again = await run(t, ['backup', 'copy2.db'], { cwd: dir });
  assert.equal(again.code, 0, again.err);
  const restored = await run(t, ['restore', 'copy2.db'], { cwd: dir });
  assert.match(restored.out, /is as it was backed up: 2000 events, the last one received \d{4}-\S+ \S+ UTC, \d+ still to do\nwhat was there is kept as \S+/);
});

test('wrong files are told', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS, 'note.txt': 'hello' });
  for (const [args, code, text] of [
    [['backup', 'x.db'], 1, /no store at/], [['restore', 'note.txt'], 1, /note\.txt is no hubloop store/], [['restore', 'gone.db'], 1, /cannot read gone\.db/],
    [['backup'], 2, /takes FILE/], [['restore'], 2, /takes FILE/],
  ]) {
    const r = await run(t, args, { cwd: dir });
    assert.equal(r.code, code, `${args}: ${r.err}`);
    assert.match(r.err, text);
  }
  assert.equal(fs.existsSync(path.join(dir, 'data')), false);
});
