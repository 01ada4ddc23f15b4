// hubloop scopes, as a person runs it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TOKEN, deliver, event, project, run, serve, sim } from './lib.mjs';

const SCRIPTS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../scripts');

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

// Scripts that make every call they hold, against a simulator that checks each call's scopes.
const RUNS = {
  'records and owners': `local h = require "hubspot"
local contact = h.contacts.list { limit = 1 }()
h.contacts.update(contact.id, { firstname = "Ada" })
for owner in h.owners.list() do print(owner.id) end
`,
  'both sides of associations': `local h = require "hubspot"
local company = h.companies.list()()
local deal = h.deals.list()()
local link = h.associations.create
link("deals", deal.id, "companies", company.id)
for a in h.associations.list("deals", deal.id, "companies") do print(a.toObjectId) end
local note = h.notes.create { hs_note_body = "x", hs_timestamp = "2026-01-01T00:00:00Z" }
link("notes", note.id, "deals", deal.id)
`,
  'definitions, tickets and paths': `local h = require "hubspot"
h.properties("deals").list()() -- the first step of an iterator asks
h.properties("contacts").create { name = ("tier%d"):format(math.random(1 << 40)), label = "Tier", type = "string", fieldType = "text", groupName = "contactinformation" }
h.tickets.create { subject = "x", hs_pipeline_stage = "1" }
local function get(what) return h.request { path = "/crm/objects/{version}/" .. what } end
get("products")
`,
  'a module and a loop': `local crm = require "crm"
for _, kind in ipairs { "companies", "leads" } do crm.first(kind) end
crm.hub.batch_read({ "1" })
`,
};
const LIBRARY = `local h = require "hubspot"
local crm = { hub = h.deals }
function crm.first(kind) return h.objects(kind).list { limit = 1 }() end
return crm
`;

for (const [name, script] of Object.entries(RUNS)) {
  test(`the scopes are enough, and none too many: ${name}`, async (t) => {
    const dir = project(t, { 'x.lua': script, 'lib/crm.lua': LIBRARY });
    const s = await sim(t, dir, ['--contacts', '2', '--companies', '2', '--deals', '2', '--owners', '2']);
    const needed = JSON.parse((await run(t, ['scopes', 'x.lua', '--json'], { cwd: dir })).out).scopes.map((n) => n.scope);
    assert.ok(needed.length >= 3, needed.join());
    const attempt = async (scopes) => {
      const { token } = await s.control('issue_token', { scopes });
      return run(t, ['run', 'x.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: token, HUBSPOT_BASE_URL: s.url } });
    };
    const all = await attempt(needed);
    assert.equal(all.code, 0, all.err);
    for (const missing of needed) {
      const r = await attempt(needed.filter((n) => n !== missing));
      assert.equal(r.code, 1, missing);
      assert.match(r.err, /HubSpot answered 403 MISSING_SCOPES/);
      assert.ok(r.err.includes(missing), `${missing} is not named: ${r.err}`);
    }
  });
}

test('the scopes of the shipped lead routing are enough, and none too many', async (t) => {
  const needed = JSON.parse((await run(t, ['scopes', path.join(SCRIPTS, 'lead_routing.lua'), '--json'])).out).scopes.map((n) => n.scope);
  assert.deepEqual(needed, ['crm.objects.companies.read', 'crm.objects.contacts.read', 'crm.objects.contacts.write', 'crm.objects.owners.read']);
  for (const missing of [null, ...needed]) {
    // Else it would be halted before it calls.
    const text = fs.readFileSync(path.join(SCRIPTS, 'lead_routing.lua'), 'utf8').replace(/$/gm, ' -- hubloop: ignore scope');
    const dir = project(t, { 'lead_routing.lua': text });
    const s = await sim(t, dir, ['--contacts', '1', '--owners', '12', '--companies', '1']);
    const { id } = await s.control('create', { type: 'contacts', properties: { email: 'bo@acme-example.com', country: 'DE' } });
    const { token } = await s.control('issue_token', { scopes: needed.filter((n) => n !== missing) });
    const p = await serve(t, dir, { token, env: { HUBSPOT_BASE_URL: s.url } });
    assert.equal((await deliver(p.hook, [event({ objectId: Number(id) })])).status, 204);
    if (missing) {
      const at = await p.until(() => p.err.match(/answered 403 MISSING_SCOPES[^\n]*/), `403 without ${missing}`);
      assert.ok(at[0].includes(missing), at[0]);
    } else {
      await p.settled((v) => v.engine.ran >= 1, 'a routed contact');
      assert.doesNotMatch(p.err, /403/);
    }
    await p.stop('SIGKILL');
    await s.stop('SIGKILL');
  }
});

test('--compare tells what the token lacks and what it has in excess', async (t) => {
  const dir = project(t, { 'x.lua': RUNS['records and owners'] });
  const s = await sim(t, dir);
  const compare = async (scopes, ...args) => {
    const { token } = await s.control('issue_token', { scopes });
    return run(t, ['scopes', 'x.lua', '--compare', ...args], { cwd: dir, env: { HUBSPOT_TOKEN: token, HUBSPOT_BASE_URL: s.url } });
  };
  const needed = ['crm.objects.contacts.read', 'crm.objects.contacts.write', 'crm.objects.owners.read'];
  const well = await compare(needed);
  assert.equal(well.code, 0, well.err);
  assert.match(well.out, /^The token of account “main” \(private_app, portal 62515\) has every scope that the scripts need\.\n$/);

  const off = await compare(['crm.objects.contacts.read', 'crm.objects.owners.read', 'tickets', 'crm.lists.read']);
  assert.equal(off.code, 3, off.err);
  assert.match(off.out, /^The token of account “main” \([^)]*\) lacks\n {2}crm\.objects\.contacts\.write {2}x\.lua:3 hubspot\.contacts\.update\nAdd /);
  assert.match(off.out, /\nIt has in excess, as far as the scripts tell\n {2}crm\.lists\.read\n {2}tickets\n$/);

  const json = await compare(['crm.objects.contacts.read', 'contacts'], '--json');
  assert.equal(json.code, 3);
  const told = JSON.parse(json.out);
  assert.deepEqual(told.lacks, ['crm.objects.contacts.write']);
  assert.deepEqual(told.excess, []); // "contacts" reads the owners
  assert.deepEqual(told.scopes.map((n) => n.scope), ['contacts', 'crm.objects.contacts.read', 'crm.objects.contacts.write']);
});

test('--compare with a token that is refused, an unknown account, or none', async (t) => {
  const dir = project(t, { 'x.lua': RUNS['records and owners'] });
  const s = await sim(t, dir);
  const env = { HUBSPOT_TOKEN: TOKEN.replace(/.$/, 'x'), HUBSPOT_BASE_URL: s.url };
  const refused = await run(t, ['scopes', 'x.lua', '--compare'], { cwd: dir, env });
  assert.equal(refused.code, 1, refused.out);
  assert.match(refused.err, /account "main"/);
  assert.doesNotMatch(refused.err, new RegExp(env.HUBSPOT_TOKEN));
  const unknown = await run(t, ['scopes', 'x.lua', '--compare', '--account', 'shop'], { cwd: dir, env });
  assert.notEqual(unknown.code, 0);
  assert.match(unknown.err, /shop/);
  const alone = await run(t, ['scopes', 'x.lua', '--account', 'shop'], { cwd: dir, env });
  assert.equal(alone.code, 2);
  assert.match(alone.err, /--compare/);
  const two = project(t, { 'x.lua': '', 'hubloop.lua': 'return { accounts = { a = { token = secret "A" }, b = { token = secret "B" } } }' });
  const several = await run(t, ['scopes', '--compare'], { cwd: two, env: { A: TOKEN, B: TOKEN, HUBSPOT_BASE_URL: s.url } });
  assert.equal(several.code, 2);
  assert.match(several.err, /several accounts: name one with --account NAME/);
  const picked = await run(t, ['scopes', '--compare', '--account', 'b'], { cwd: two, env: { A: TOKEN, B: TOKEN, HUBSPOT_BASE_URL: s.url } });
  assert.match(picked.out, /^The token of account “b” /);
  assert.equal(picked.code, 0);
  const none = await run(t, ['scopes', 'x.lua', '--compare'], { cwd: dir });
  assert.notEqual(none.code, 0);
  assert.match(none.err, /HUBSPOT_TOKEN|account/);
});
