// HubSpot is down for a day: outage_test.lua, in virtual time.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { project, run } from './lib.mjs';

test('HubSpot is down for a virtual day', { timeout: 120000 }, async (t) => {
  const file = path.join(path.dirname(fileURLToPath(import.meta.url)), 'outage_test.lua');
  const r = await run(t, ['test', file], { cwd: project(t), ms: 100000 });
  assert.equal(r.code, 0, r.out + r.err);
  for (const [, what] of r.out.matchAll(/(\d+ of 60 handled, \d+ parked)/g)) t.diagnostic(`note: ${what}`);
});
