// One call out of a hundred, with the binary and the simulator as people run them.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { TOKEN, project, run, sim } from './lib.mjs';

const SCRIPT = `
local hubspot = require "hubspot"
local ids = {}
for i = 1, 10000 do ids[i] = tostring(100000 + i) end
task.map(ids, function(id, i) hubspot.contacts.update(id, { city = "City " .. i }) end, { concurrency = 5000 })
local seen = hubspot.contacts.batch_read({ ids[1], ids[4321], ids[10000] }, { "city" })
for _, c in ipairs(seen) do print(c.id, c.city) end
`;

test('10,000 single updates are about 100 requests', async (t) => {
  const dir = project(t, { 'all.lua': SCRIPT });
  const s = await sim(t, dir, ['--tier', 'professional', '--contacts', '10000', '--companies', '2']);
  const r = await run(t, ['run', 'all.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: s.url, HUBSPOT_TIER: 'professional' }, ms: 60000 });
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, '100001\tCity 1\n104321\tCity 4321\n110000\tCity 10000\n');
  const calls = fs.readFileSync(s.record, 'utf8').trim().split('\n').map((l) => JSON.parse(l)).filter((c) => c.path.startsWith('/crm/objects/'));
  const updates = calls.filter((c) => c.path.endsWith('/batch/update'));
  t.diagnostic(`note: 10,000 updates in ${updates.length} requests`);
  assert.ok(updates.length <= 110, `${updates.length} requests`);
  assert.equal(updates.reduce((n, c) => n + JSON.parse(c.requestBody).inputs.length, 0), 10000);
  assert.deepEqual(calls.filter((c) => c.status >= 400 || c.method === 'PATCH').length, 0);
});
