// `make run` in small: the simulator, `serve` on scripts/, contacts whose
// webhooks arrive shuffled and doubled, forged ones in between, the summary.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { project, run } from './lib.mjs';

const scripts = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../scripts');

test('the demo routes 300 leads and ends well', { timeout: 120000 }, async (t) => {
  const dir = project(t);
  const r = await run(t, ['demo', scripts, '--contacts', '300', '--once'], { cwd: dir, env: { TMPDIR: dir, ONCE: '1' }, ms: 110000 });
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
