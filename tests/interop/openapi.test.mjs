// The validator itself: it must accept what HubSpot's documents describe and
// find each kind of departure, or the checks that rest on it mean nothing.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Documents, datedPath, documentsFolder } from './openapi.mjs';

const folder = documentsFolder();
const skip = folder ? false : 'HubSpot\'s OpenAPI documents (../shared/hubspot/openapi) are not here';
const documents = folder && new Documents(folder);

const contact = {
  id: '101', archived: false, createdAt: '2026-11-01T10:00:00.000Z', updatedAt: '2026-11-01T10:00:00.000Z',
  properties: { email: 'ada@example.com', phone: null },
};
const created = (over) => ({
  method: 'POST', path: '/crm/objects/2026-09/contacts', query: '', status: 201,
  requestBody: JSON.stringify({ properties: { email: 'ada@example.com' }, associations: [] }),
  responseBody: JSON.stringify(contact), ...over,
});
const errorsOf = (x) => documents.validate(x).errors;

test('legacy paths are compared with their dated documents', () => {
  assert.equal(datedPath('/crm/v3/objects/contacts/12'), '/crm/objects/2026-09/contacts/12');
  assert.equal(datedPath('/crm/v3/owners'), '/crm/owners/2026-09');
  assert.equal(datedPath('/crm/v3/owners/'), '/crm/owners/2026-09');
  assert.equal(datedPath('/crm/v4/associations/contacts/companies/batch/read'), '/crm/associations/2026-09/contacts/companies/batch/read');
  assert.equal(datedPath('/crm/objects/2026-09/deals'), '/crm/objects/2026-09/deals');
});

test('every document compiles, and its every answer and request schema', { skip }, () => {
  let n = 0;
  for (const o of documents.operations) {
    for (const r of Object.values(o.op.responses ?? {})) {
      for (const c of Object.values(r.content ?? {})) if (c.schema) { documents.validator(o.file, 'answer', c.schema); n++; }
    }
    const c = o.op.requestBody?.content?.['application/json'];
    if (c?.schema) { documents.validator(o.file, 'request', c.schema); n++; }
  }
  assert.ok(n > 300, `only ${n} schemas`);
});

test('a right exchange has no errors, on the dated and the legacy path', { skip }, () => {
  assert.deepEqual(errorsOf(created({})), []);
  assert.deepEqual(errorsOf(created({ path: '/crm/v3/objects/contacts' })), []);
});

test('departures in an answer are found', { skip }, () => {
  const answer = (o) => errorsOf(created({ responseBody: JSON.stringify({ ...contact, ...o }) })).join('\n');
  assert.match(answer({ id: 101 }), /\/id must be string/);
  assert.match(answer({ createdAt: 'yesterday' }), /\/createdAt must match format "date-time"/);
  assert.match(answer({ properties: { amount: 3 } }), /\/properties\/amount must be string/);
  assert.match(answer({ updatedAt: undefined }), /required property 'updatedAt'/);
  assert.match(answer({ creatdAt: 'x' }), /additional properties \("creatdAt"\)/);
  assert.match(errorsOf(created({ status: 200 })).join(), /status 200, declared are 201/);
  assert.match(errorsOf(created({ responseBody: '<html>' })).join(), /not JSON/);
  assert.match(errorsOf(created({ responseBody: '' })).join(), /no body/);
});

test('error answers follow the error schema', { skip }, () => {
  const refused = (body) => errorsOf(created({ status: 429, responseBody: JSON.stringify(body) })).join('\n');
  const good = { status: 'error', message: 'm', category: 'RATE_LIMITS', correlationId: 'aeb5f871-7f07-4993-9211-075dc63e7cbf', policyName: 'SECONDLY' };
  assert.equal(refused(good), '');
  assert.match(refused({ ...good, correlationId: 'x' }), /format "uuid"/);
  assert.match(refused({ ...good, category: undefined }), /'category'/);
  assert.match(refused({ ...good, context: { id: 'not a list' } }), /\/context\/id must be array/);
});

test('departures in a request are found', { skip }, () => {
  const sent = (body) => errorsOf(created({ requestBody: JSON.stringify(body) })).join('\n');
  assert.equal(sent({ properties: {} }), '', 'associations may be left out, as the guides do');
  assert.match(sent({}), /'properties'/);
  assert.match(sent({ properties: { numemployees: 4 } }), /must be string/);
  assert.match(sent({ properties: {}, assocations: [] }), /\("assocations"\)/);
  const list = (query) => errorsOf({
    method: 'GET', path: '/crm/objects/2026-09/contacts', query, status: 200, requestBody: '', responseBody: JSON.stringify({ results: [contact] }),
  }).join('\n');
  assert.equal(list('limit=10&properties=email,phone&archived=false'), '');
  assert.match(list('limit=ten'), /"limit" must be an integer/);
  assert.match(list('archived=1'), /"archived" must be true or false/);
  assert.match(list('propertys=email'), /"propertys" is not declared/);
});

test('the v4 form of associations is read as such, and only on v4 paths', { skip }, () => {
  const read = (path, to) => errorsOf({
    method: 'POST', path, query: '', status: 200, requestBody: { inputs: [{ id: '1' }] },
    responseBody: { status: 'COMPLETE', startedAt: contact.createdAt, completedAt: contact.createdAt, results: [{ from: { id: '1' }, to: [to] }] },
  }).join('\n');
  const v4 = { toObjectId: 12, associationTypes: [{ category: 'HUBSPOT_DEFINED', typeId: 279, label: null }] };
  assert.equal(read('/crm/v4/associations/contacts/companies/batch/read', v4), '');
  assert.match(read('/crm/associations/2026-09/contacts/companies/batch/read', v4), /toObjectId must be string/);
  assert.match(read('/crm/associations/2026-09/contacts/companies/batch/read', v4), /label must be string/);
});

test('an operation that no document has is said to be undescribed', { skip }, () => {
  assert.equal(documents.validate(created({ path: '/crm/objects/2026-09/contacts/1/2/3/4' })).described, false);
});
