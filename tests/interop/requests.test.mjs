// Drives what hubloop's own `hubspot` module sends, so that the recorded
// requests can be held against the OpenAPI documents (records.test.mjs).
import { test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TOKEN, project, run, serve, sim } from '../integration/lib.mjs';
import { readRecord } from './openapi.mjs';

const scripts = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../scripts');

const SCRIPT = `
local hubspot = require "hubspot"
local a = hubspot.contacts.create{ email = "a@requests.example", firstname = "A" }
local b = hubspot.contacts.create{ email = "b@requests.example", firstname = "B" }
hubspot.contacts.get(a.id, { "email", "firstname" })
hubspot.contacts.get("b@requests.example", { "email" }, { id_property = "email" })
hubspot.contacts.update(a.id, { lastname = "One", numemployees = "5" })
-- Merged into one batch/read and one batch/update.
task.all{
  function() hubspot.contacts.get(a.id, { "email" }) end,
  function() hubspot.contacts.get(b.id, { "firstname" }) end,
}
task.all{
  function() hubspot.contacts.update(a.id, { city = "Ulm" }) end,
  function() hubspot.contacts.update(b.id, { city = "Bonn" }) end,
}
-- Every other kind, merged.
local labelled = { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 279 } }
local made = task.map({ 1, 2, 3 }, function(i) return hubspot.companies.create{ name = "M" .. i, domain = "m" .. i .. ".example" } end)
task.map({ "u1@requests.example", "b@requests.example" }, function(email) return hubspot.contacts.upsert("email", { email = email, city = "Köln" }) end)
task.map({ "b@requests.example", "u1@requests.example" }, function(email)
  return hubspot.contacts.update(email, { city = "Trier" }, { id_property = "email" })
end)
task.map(made, function(c) hubspot.associations.create("contacts", a.id, "companies", c.id) end)
task.map(made, function(c) hubspot.associations.create("contacts", b.id, "companies", c.id, labelled) end)
task.map(made, function(c)
  local found = 0
  for _ in hubspot.associations.list("companies", c.id, "contacts") do found = found + 1 end
  assert(found == 2)
end)
task.map(made, function(c) hubspot.associations.remove("contacts", b.id, "companies", c.id, labelled) end)
task.map(made, function(c) hubspot.associations.remove("contacts", a.id, "companies", c.id) end)
task.map(made, function(c) hubspot.companies.archive(c.id) end)
local company = hubspot.companies.create{ name = "Requests", domain = "requests.example" }
local deal = hubspot.deals.create{ dealname = "Big", dealstage = "appointmentscheduled", pipeline = "default", amount = 1200, closedate = "2026-12-24" }
local n = 0
for _ in hubspot.contacts.list{ properties = { "email" }, limit = 2 } do n = n + 1 if n == 5 then break end end
for _ in hubspot.companies.search{ filters = { { propertyName = "domain", operator = "EQ", value = "requests.example" } }, properties = { "name" } } do end
for _ in hubspot.owners.list() do end
hubspot.contacts.batch_create{ { email = "c@requests.example" }, { email = "d@requests.example" } }
hubspot.contacts.batch_update{ { id = a.id, properties = { city = "Köln" } } }
hubspot.contacts.batch_read({ a.id, b.id }, { "email" })
hubspot.associations.create("contacts", a.id, "companies", company.id)
for to in hubspot.associations.list("contacts", a.id, "companies") do assert(to.toObjectId == company.id) end
hubspot.associations.create("deals", deal.id, "contacts", a.id, { { associationCategory = "HUBSPOT_DEFINED", associationTypeId = 3 } })
hubspot.associations.remove("deals", deal.id, "contacts", a.id)
hubspot.contacts.upsert("email", { email = "e@requests.example", firstname = "E" })
hubspot.contacts.upsert("email", { email = "a@requests.example", firstname = "A2" })
local merged = hubspot.contacts.create{ email = "f@requests.example" }
hubspot.contacts.merge(a.id, merged.id)
local owner
for o in hubspot.owners.list() do owner = o end
hubspot.owners.get(owner.id)
assert(hubspot.owners.by_email(owner.email).id == owner.id)
assert(hubspot.account.info().portalId)
for _ in hubspot.properties("contacts").list() do end
hubspot.properties("contacts").get("email")
hubspot.request{ method = "GET", path = "/crm/pipelines/{version}/deals" }
hubspot.companies.batch_archive{ company.id }
hubspot.contacts.archive(b.id)
print("done")
`;

test('every function of the hubspot module that calls the API, against the simulator over HTTP', async (t) => {
  const dir = project(t, { 'calls.lua': SCRIPT });
  const s = await sim(t, dir, ['--contacts', '6', '--companies', '2', '--owners', '3']);
  const r = await run(t, ['run', 'calls.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: s.url } });
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, 'done\n');
  const calls = readRecord(s.record);
  assert.ok(calls.every((c) => !/\/v[1-4]\//.test(c.path)), 'hubloop sends dated paths only');
  const paths = calls.map((c) => `${c.method} ${c.path}`);
  for (const want of ['POST /crm/objects/2026-09/contacts/batch/read', 'POST /crm/objects/2026-09/contacts/batch/update',
    'POST /crm/objects/2026-09/companies/search', 'GET /crm/owners/2026-09', 'POST /crm/objects/2026-09/companies/batch/create',
    'POST /crm/objects/2026-09/contacts/batch/upsert', 'POST /crm/objects/2026-09/companies/batch/archive',
    ...['associate/default', 'create', 'archive', 'labels/archive'].map((x) => `POST /crm/associations/2026-09/contacts/companies/batch/${x}`),
    'POST /crm/associations/2026-09/companies/contacts/batch/read']) {
    assert.ok(paths.includes(want), `${want} was not sent; sent were\n${paths.join('\n')}`);
  }
  assert.ok(calls.every((c) => c.status < 400), calls.filter((c) => c.status >= 400).map((c) => `${c.method} ${c.path}: ${c.responseBody}`).join('\n'));
});

test('what lead routing sends while it routes, against the simulator over HTTP', async (t) => {
  const dir = project(t);
  const s = await sim(t, dir, ['--companies', '60', '--owners', '12']);
  const p = await serve(t, scripts, { store: path.join(dir, 'leads.db'), env: { HUBSPOT_BASE_URL: s.url, HUBSPOT_TIER: 'professional' } });
  await s.control('subscribe', { url: p.hook, types: ['contact.creation'] });
  await s.control('populate', { contacts: 60, per_second: 200 });
  await p.settled((x) => x.engine.ran >= 60 && x.engine.pending === 0 && x.engine.running === 0, '60 routed leads');
  const calls = readRecord(s.record);
  assert.ok(calls.some((c) => c.path === '/crm/objects/2026-09/contacts/batch/update' || c.method === 'PATCH'), 'no owner was set');
  assert.equal(calls.filter((c) => c.status === 429).length, 0);
  assert.equal((await p.stop()).code, 0, p.err);
});
