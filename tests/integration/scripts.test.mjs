// The scripts that ship, as people try them: the line in each one's header is run
// as it stands, and stands in the README's table; what the header says of scopes
// and webhooks is what `hubloop scopes` and `check` read out of the script.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { project, run } from './lib.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const SCRIPTS = path.join(ROOT, 'scripts');
const README = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');
const names = fs.readdirSync(SCRIPTS).filter((f) => f.endsWith('.lua') && !f.endsWith('_test.lua') && f !== 'hubloop.lua');

// Of the header: { Scopes, Webhooks, Try, … }, each its lines in one.
function header(text) {
  const out = {};
  let last;
  for (const line of text.split('\n')) {
    if (!line.startsWith('--')) break;
    const begins = line.match(/^-- ([A-Z]\w+) {2,}(.*)$/);
    if (begins) { [, last] = begins; out[last] = begins[2]; } else if (last && /^-- {8,}\S/.test(line)) out[last] += ` ${line.slice(2).trim()}`;
  }
  return out;
}

const scopes = (text) => text.replace(/\([^)]*\)/g, '').split(/[,;\s]+/).filter(Boolean).sort();

for (const name of names) {
  test(`${name}: its header, its line in the README, and a try`, async (t) => {
    const text = fs.readFileSync(path.join(SCRIPTS, name), 'utf8');
    const said = header(text);
    for (const word of ['Scopes', 'Webhooks', 'Try', 'Change']) assert.ok(said[word], `the header has no ${word}`);
    const [command] = said.Try.split(/ {2,}/);
    assert.match(command, new RegExp(`^hubloop run ${name.replace('.', '\\.')} --sim .*--for \\d+[dh]`));
    assert.ok(README.includes(`\`${command}\``), `README.md has no \`${command}\``);
    const dir = project(t);
    fs.cpSync(SCRIPTS, dir, { recursive: true });
    const needs = await run(t, ['scopes', '--json', name], { cwd: dir });
    assert.equal(needs.code, 0, needs.err);
    assert.deepEqual(scopes(said.Scopes), JSON.parse(needs.out).scopes.map((s) => s.scope).sort());
    const checked = await run(t, ['check', name], { cwd: dir });
    assert.equal(checked.code, 0, checked.out + checked.err);
    const args = command.split(' ').slice(1);
    for (const [i, arg] of args.entries()) if (arg === '--allow-fs') fs.mkdirSync(path.join(dir, args[i + 1]), { recursive: true });
    const tried = await run(t, args, { cwd: dir });
    assert.equal(tried.code, 0, tried.err);
    assert.match(tried.err, / runs ended well, 0 failed, 0 events parked; .* 0 x 429\n$/);
    assert.doesNotMatch(tried.err, / (warn|error) /);
  });
}
