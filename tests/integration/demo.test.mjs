// `make run` in small: the simulator, `serve` on the shipped lead routing, contacts whose
// webhooks arrive shuffled and doubled, forged ones in between, the summary.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { HUBLOOP, poll, project, request, run, start } from './lib.mjs';


test('the demo routes 300 leads and ends well', { timeout: 120000 }, async (t) => {
  const dir = project(t);
  const r = await run(t, ['demo', '--contacts', '300', '--once'], { cwd: dir, env: { TMPDIR: dir, ONCE: '1' }, ms: 110000 });
  assert.equal(r.code, 0, r.err + r.out);
  for (const word of [/accepted/i, /duplicate/i, /refused/i, /429/, /p50/, /p99/, /API/]) assert.match(r.out, word);
  assert.match(r.out, /\b300\b/);
  assert.doesNotMatch(r.out, /\x1b\[/, 'no colours without a terminal'); // eslint-disable-line no-control-regex
  assert.deepEqual(fs.readdirSync(dir).filter((f) => f.startsWith('hubloop-demo')), [], 'the demo leaves its folder behind');
});

test('the demo says so when its scripts cannot be loaded', async (t) => {
  const dir = project(t, { 'broken.lua': 'on(\n' });
  const r = await run(t, ['demo', dir, '--contacts', '10', '--once'], { cwd: dir, env: { TMPDIR: dir, ONCE: '1' } });
  assert.equal(r.code, 1);
  assert.match(r.err, /broken\.lua/);
});

test('on a terminal it goes on after the summary: a contact made by hand gets its owner; Ctrl-C ends it', { timeout: 60000 }, async (t) => {
  const dir = project(t);
  // script(1) gives the demo a terminal; standard input stays open.
  const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`;
  const p = start(t, ['-qec', `${quoted(HUBLOOP)} demo --contacts 50`, '/dev/null'],
    { command: '/usr/bin/script', cwd: dir, env: { TMPDIR: dir, TERM: 'xterm' }, stdin: 'pipe' });
  const [, sim] = await p.line(/curl -X POST (http:\S+)\/_sim\/create/, 'out');
  assert.match(p.out, /█/);
  const made = await request('POST', `${sim}/_sim/create`, '{"type":"contacts","properties":{"email":"new@example.com"}}');
  const id = JSON.parse(made.body).id;
  await poll(async () => JSON.parse((await request('POST', `${sim}/_sim/get`, JSON.stringify({ type: 'contacts', id }))).body)
    .properties.hubspot_owner_id, 'an owner');
  p.child.stdin.write('\x03');
  await p.exited;
});
