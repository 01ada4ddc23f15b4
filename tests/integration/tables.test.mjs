// The committed tables are what the generators make of HubSpot's data.
import test from 'node:test';
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const data = path.join(root, '../shared/hubspot');
const skip = existsSync(data) ? false : 'HubSpot\'s data (../shared/hubspot) is not here';

for (const name of readdirSync(path.join(root, 'tests/generate')).filter(n => n.endsWith('.mjs'))) {
  test(`${name} gives the committed table`, { skip }, () => {
    const r = spawnSync(process.execPath, [path.join(root, 'tests/generate', name), '--check'], { encoding: 'utf8', timeout: 60000 });
    assert.equal(r.status, 0, r.stderr);
  });
}
