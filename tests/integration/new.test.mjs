// `hubloop new`, and what help topic "testing" promises: green, red, green.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { project, run } from './lib.mjs';

const read = (...parts) => fs.readFileSync(path.join(...parts), 'utf8');

test('from nothing to a green test, a red one, and a green one again', async (t) => {
  const dir = project(t);
  const made = await run(t, ['new', 'my-automations'], { cwd: dir });
  assert.equal(made.code, 0, made.err);
  const at = path.join(dir, 'my-automations');
  assert.deepEqual(fs.readdirSync(at).sort(), ['hubloop.lua', 'welcome.lua', 'welcome_test.lua']);
  const green = await run(t, ['test'], { cwd: at });
  assert.match(green.out, /5 passed, 0 failed/);
  fs.writeFileSync(path.join(at, 'welcome.lua'), read(at, 'welcome.lua').replace('"welcome, "', '"willkommen, "'));
  const red = await run(t, ['test', '--filter', 'by name'], { cwd: at });
  assert.equal(red.code, 1);
  assert.match(red.out, /willkommen, Ana/);
  assert.match(red.out, /again: hubloop test welcome_test\.lua --seed 1 --filter 'welcome, greets a new contact by name'/);
  fs.writeFileSync(path.join(at, 'welcome_test.lua'), read(at, 'welcome_test.lua').replaceAll('"welcome, ', '"willkommen, '));
  assert.equal((await run(t, ['test'], { cwd: at })).code, 0);
});

test('nothing is overwritten, and a name that does not exist writes nothing', async (t) => {
  const dir = project(t, { 'p/welcome.lua': '-- mine\n' });
  const bad = await run(t, ['new', 'q', 'lead_routing', 'leadrouting'], { cwd: dir });
  assert.equal(bad.code, 2);
  assert.match(bad.err, /no script “leadrouting”; did you mean “lead_routing”\?/);
  assert.ok(!fs.existsSync(path.join(dir, 'q')));
  const kept = await run(t, ['new', 'p', 'welcome', 'lead_routing.lua'], { cwd: dir });
  assert.equal(kept.code, 0, kept.err);
  assert.match(kept.out, /p\/welcome\.lua +is there already/);
  assert.equal(read(dir, 'p/welcome.lua'), '-- mine\n');
  assert.ok(fs.existsSync(path.join(dir, 'p/lead_routing_test.lua')));
  fs.writeFileSync(path.join(dir, 'file'), '');
  const file = await run(t, ['new', 'file'], { cwd: dir });
  assert.equal(file.code, 1);
  assert.match(file.err, /cannot write file\/hubloop\.lua: Not a directory/);
});

test('--list names every script with what it does, within the terminal', async (t) => {
  const r = await run(t, ['new', '--list'], { cwd: project(t), env: { COLUMNS: '60' } });
  assert.match(r.out, /^lead_routing +every new contact/m);
  for (const line of r.out.trimEnd().split('\n')) assert.ok([...line].length <= 60, line);
});

test('what a script and its test need from lib comes with it', async (t) => {
  const dir = project(t);
  const made = await run(t, ['new', 'p', 'company_enrichment', 'contact_import', 'ecommerce_orders', 'welcome'], { cwd: dir });
  assert.equal(made.code, 0, made.err);
  const at = path.join(dir, 'p');
  assert.deepEqual(fs.readdirSync(path.join(at, 'lib')).sort(), ['company_enrichment_api.lua', 'contact_import_sample.csv', 'shop_api.lua']);
  const tests = await run(t, ['test', '--quiet'], { cwd: at });
  assert.equal(tests.code, 0, tests.out);
  const sample = await run(t, ['run', 'contact_import.lua', '--sim', '--for', '20m', '--allow-fs', 'lib,imports', '--allow-env', 'DRY_RUN'], { cwd: at });
  assert.match(sample.out, /5 read, 3 created, 2 bad/);
  // A file is read again with other settings: who sees bad rows mends them in the script.
  const german = 'Email;First Name;Last Name;Mobile;Country;Owner Email;Status;Created;Company\nann@x.example;Änne;Groß;;Deutschland;;Kunde;31.12.2024;Söhne\n';
  fs.mkdirSync(path.join(at, 'imports'), { recursive: true });
  fs.writeFileSync(path.join(at, 'imports/kunden.csv'), Buffer.from(german, 'latin1'));
  const script = read(at, 'contact_import.lua').replace(/file = "[^"]+"/, 'file = "imports/kunden.csv"').replace('customer = "customer"', 'kunde = "customer"');
  const again = ['run', 'contact_import.lua', '--sim', '--for', '20m', '--allow-fs', 'imports', '--allow-env', 'DRY_RUN', '--store', 'import.db'];
  fs.writeFileSync(path.join(at, 'contact_import.lua'), script);
  assert.match((await run(t, again, { cwd: at })).out, /1 read, 1 bad\n.*encoding = "windows-1252"/);
  fs.writeFileSync(path.join(at, 'contact_import.lua'), script.replace('encoding = nil', 'encoding = "windows-1252"'));
  assert.match((await run(t, again, { cwd: at })).out, /1 read, 1 created/);
  const list = await run(t, ['new', '--list'], { cwd: dir });
  assert.doesNotMatch(list.out, /^lib/m);
});
