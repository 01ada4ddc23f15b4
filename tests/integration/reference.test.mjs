// `hubloop help hubspot.X`: everything that the tables give is shown, by the
// same names that scripts use.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { project, run } from './lib.mjs';

const stdlib = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../stdlib/hubspot');

// { lists: ['lists.get', …] } as the table has them.
function groups() {
  const text = fs.readFileSync(path.join(stdlib, 'apis.lua'), 'utf8');
  return Object.fromEntries([...text.matchAll(/^(\w+) = \[\[\n([\s\S]*?)\n\]\],$/gm)]
    .map(([, group, lines]) => [group, lines.split('\n').map((l) => `${group}.${l.split('|')[0]}`)]));
}

test('each group shows its functions, with path and scopes', async (t) => {
  const dir = project(t);
  const all = groups();
  assert.ok(Object.keys(all).length > 30);
  const index = await run(t, ['help', 'hubspot'], { cwd: dir });
  assert.equal(index.code, 0, index.err);
  for (const [group, names] of Object.entries(all)) {
    assert.match(index.out, new RegExp(`^  ${group}$`, 'm'));
    const r = await run(t, ['help', `hubspot.${group}`], { cwd: dir });
    assert.equal(r.code, 0, r.err);
    for (const name of names) assert.ok(r.out.includes(`hubspot.${name}(`), `${name} is not in hubloop help hubspot.${group}`);
    for (const line of r.out.split('\n')) if (!/^ *(GET|POST|PUT|PATCH|DELETE) |^  hubspot\./.test(line)) assert.ok([...line].length < 80 || !line.trim().includes(' '), line);
  }
  const lists = await run(t, ['help', 'hubspot.lists.memberships'], { cwd: dir });
  assert.match(lists.out, /hubspot\.lists\.memberships\.add\(listId, body, options\)\n[^]*PUT \/crm\/lists\/\{version\}\/\{listId\}\/memberships\/add\n *scopes: crm\.lists\./);
  assert.doesNotMatch(lists.out, /hubspot\.lists\.create/);
});

test('object types show what can be done with them', async (t) => {
  const dir = project(t);
  const contacts = await run(t, ['help', 'hubspot.contacts'], { cwd: dir });
  assert.match(contacts.out, /reading needs: crm\.objects\.contacts\.read/);
  for (const name of ['get', 'create', 'update', 'upsert', 'archive', 'merge', 'search', 'list', 'batch_read']) {
    assert.match(contacts.out, new RegExp(`hubspot\\.contacts\\.${name}\\(.*\\)\n      [A-Z]`));
  }
  const notes = await run(t, ['help', 'hubspot.notes'], { cwd: dir });
  assert.doesNotMatch(notes.out, /notes\.merge/);
});

test('an unknown name brings the nearest one', async (t) => {
  const dir = project(t);
  for (const [word, near] of [['hubspot.lsts', 'hubspot.lists'], ['hubspot.lists.memberships.ad', 'hubspot.lists.memberships.add'], ['hubspot.contcts', 'hubspot.contacts']]) {
    const r = await run(t, ['help', word], { cwd: dir });
    assert.equal(r.code, 2);
    assert.match(r.err, new RegExp(`there is no ${word}; did you mean ${near}\\?`));
    assert.equal(r.out, '');
  }
});
