// The committed tables are what the generators make of HubSpot's data.
import test from 'node:test';
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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

test('what a v1 or v2 call becomes is a call that HubSpot publishes', { skip }, () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'hubloop-'));
  try {
    writeFileSync(path.join(dir, 'rows_test.lua'), `it("rows", function()
  local legacy = require "migrate.legacy"
  for _, row in ipairs(legacy.rows) do print(("row %s %s %s %s"):format(row[1], row[2], row[3], (row[4]:gsub("{version}", legacy.version)))) end
end)\n`);
    const r = spawnSync(process.env.HUBLOOP ?? path.join(root, 'build/hubloop'), ['test', dir], { encoding: 'utf8', timeout: 60000 });
    const rows = [...r.stdout.matchAll(/^ *row (\S+ \S+) (\S+) (\S+)$/gm)];
    assert.ok(rows.length > 90, r.stdout + r.stderr);
    const published = readFileSync(path.join(data, 'endpoints.tsv'), 'utf8').split('\n').slice(1).map((line) => line.split('\t'))
      .map((field) => ({ method: field[2], segments: (field[3] ?? '').split('/') }));
    const is = (method, target) => published.some((o) => o.method === method && o.segments.length === target.length
      && o.segments.every((s, i) => s === target[i] || s.startsWith('{')));
    const missing = rows.filter(([, , method, target]) => !is(method, target.split('/'))).map(([, old, method, target]) => `${old}: ${method} ${target}`);
    assert.deepEqual(missing, []);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
