// hubloop scopes, as a person runs it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { project, run } from './lib.mjs';

const SCRIPT = `local hubspot = require "hubspot"
local crm = require "crm"
on("deal.propertyChange", function(event)
  local deal = hubspot.deals.get(event.objectId)
  crm.note(deal.id)
  hubspot.objects(kv.get("type")).get("1")
end)
`;
const CRM = `local hubspot = require "hubspot"
local crm = {}
function crm.note(id)
  local note = hubspot.notes.create { hs_note_body = "x" }
  hubspot.associations.create("notes", note.id, "deals", id)
end
return crm
`;
const files = { 'deals.lua': SCRIPT, 'lib/crm.lua': CRM, 'deals_test.lua': 'error "no script"' };

test('a table that names file and line, and what cannot be told', async (t) => {
  const dir = project(t, files);
  const r = await run(t, ['scopes'], { cwd: dir });
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, `crm.objects.contacts.write  lib/crm.lua:4 hubspot.notes.create, :5
crm.objects.deals.read      deals.lua:3 on("deal.propertyChange"), :4
crm.objects.deals.write     lib/crm.lua:5 hubspot.associations.create

The text does not tell these; look at them yourself:
  deals.lua:6  hubspot.objects(…).get: which object type is known only when it runs
`);
  assert.equal((await run(t, ['scopes', path.join(dir, 'deals.lua')], { cwd: '/' })).out, r.out);
});

test('JSON with every call, and settings for an app', async (t) => {
  const dir = project(t, files);
  const json = JSON.parse((await run(t, ['scopes', '--json'], { cwd: dir })).out);
  assert.deepEqual(json.scopes.map((s) => s.scope), ['crm.objects.contacts.write', 'crm.objects.deals.read', 'crm.objects.deals.write']);
  assert.deepEqual(json.scopes[1].uses[1],
    { file: 'deals.lua', line: 4, call: 'hubspot.deals.get', method: 'GET', path: '/crm/objects/{version}/deals/{id}' });
  assert.equal(json.unknown.length, 1);
  const app = await run(t, ['scopes', '--app'], { cwd: dir });
  assert.deepEqual(JSON.parse(app.out), { requiredScopes: ['crm.objects.contacts.write', 'crm.objects.deals.read', 'crm.objects.deals.write'],
    optionalScopes: [], conditionallyRequiredScopes: [] });
  assert.match(app.err, /deals\.lua:6/);
});

test('many places and long names fit eighty columns', async (t) => {
  const calls = Array.from({ length: 40 }, () => 'hubspot.feedback_submissions.get("1")').join('\n');
  const dir = project(t, { 'a_script_with_quite_a_long_name.lua': `local hubspot = require "hubspot"\n${calls}\n` });
  const r = await run(t, ['scopes'], { cwd: dir });
  assert.match(r.out, /long_name\.lua:2, :3, .*\d more/);
  for (const line of r.out.split('\n')) assert.ok(line.length <= 80, line);
});

test('what is wrong has its place', async (t) => {
  const dir = project(t, { 'bad.lua': 'local x =\n= 1\n', 'uses.lua': 'require "broken"', 'lib/broken.lua': 'x = = 1' });
  const bad = await run(t, ['scopes', 'bad.lua'], { cwd: dir });
  assert.equal(bad.code, 2);
  assert.match(bad.err, /^hubloop: bad\.lua:2: unexpected symbol near '='\n$/);
  assert.match((await run(t, ['scopes', 'uses.lua'], { cwd: dir })).err, /lib\/broken\.lua:1: unexpected symbol/);
  const none = await run(t, ['scopes', 'nothing.lua'], { cwd: dir });
  assert.equal(none.code, 2);
  assert.match(none.err, /cannot read nothing\.lua; name a script or a project's folder/);
  assert.equal((await run(t, ['scopes', '--compared'], { cwd: dir })).code, 2);
});
