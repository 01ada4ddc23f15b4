// HubSpot's official client against `hubloop sim`, and its signature helper
// against `hubloop serve`.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { SECRET, TOKEN, deliver, event, fake, poll, project, request, serve, sim } from '../integration/lib.mjs';

const { Client, Signature } = createRequire(import.meta.url)('@hubspot/api-client');

async function client(t, args = ['--contacts', '40', '--companies', '12', '--owners', '3']) {
  const s = await sim(t, project(t), args);
  return { s, hubspot: new Client({ accessToken: TOKEN, basePath: s.url }) };
}

test('contacts: create, read, update, archive', async (t) => {
  const { hubspot } = await client(t);
  const api = hubspot.crm.contacts.basicApi;
  const made = await api.create({ properties: { email: 'ada@lovelace.example', firstname: 'Ada', lastname: 'Lovelace' }, associations: [] });
  assert.match(made.id, /^\d+$/);
  assert.equal(made.properties.email, 'ada@lovelace.example');
  assert.ok(made.createdAt instanceof Date);
  const read = await api.getById(made.id, ['email', 'firstname', 'phone']);
  assert.equal(read.properties.firstname, 'Ada');
  const byEmail = await api.getById('ada@lovelace.example', ['email'], undefined, undefined, false, 'email');
  assert.equal(byEmail.id, made.id);
  const updated = await api.update(made.id, { properties: { firstname: 'Augusta Ada' } });
  assert.equal(updated.properties.firstname, 'Augusta Ada');
  assert.ok(updated.updatedAt >= made.updatedAt);
  await api.archive(made.id);
  await assert.rejects(api.getById(made.id), (e) => e.code === 404);
});

test('a second contact with the same e-mail: 409 with the existing id', async (t) => {
  const { hubspot } = await client(t);
  const api = hubspot.crm.contacts.basicApi;
  const made = await api.create({ properties: { email: 'grace@hopper.example' }, associations: [] });
  await assert.rejects(api.create({ properties: { email: 'grace@hopper.example' }, associations: [] }), (e) => {
    assert.equal(e.code, 409);
    assert.equal(e.body.category, 'CONFLICT');
    assert.match(e.body.message, new RegExp(made.id));
    return true;
  });
});

test('a property that does not exist: 400', async (t) => {
  const { hubspot } = await client(t);
  await assert.rejects(hubspot.crm.contacts.basicApi.create({ properties: { shoesize: '43' }, associations: [] }), (e) => {
    assert.equal(e.code, 400);
    assert.equal(e.body.category, 'VALIDATION_ERROR');
    assert.match(JSON.stringify(e.body), /shoesize/);
    return true;
  });
});

test('listing pages through all contacts', async (t) => {
  const { hubspot } = await client(t);
  const all = await hubspot.crm.contacts.getAll(10, undefined, ['email']);
  assert.equal(all.length, 40);
  assert.equal(new Set(all.map((c) => c.id)).size, 40);
});

test('search: filters, sorts, paging, total', async (t) => {
  const { hubspot } = await client(t, ['--contacts', '0', '--companies', '0', '--owners', '1']);
  const inputs = Array.from({ length: 7 }, (_, i) => ({ properties: { email: `s${i}@search.example`, lastname: 'Seeker', firstname: `N${i}` }, associations: [] }));
  await hubspot.crm.contacts.batchApi.create({ inputs });
  const query = {
    filterGroups: [{ filters: [{ propertyName: 'lastname', operator: 'EQ', value: 'Seeker' }] }],
    sorts: [{ propertyName: 'firstname', direction: 'DESCENDING' }], properties: ['firstname'], limit: 5, after: '0',
  };
  // Search lags writes, as HubSpot's does: ask until the last row is there. Five
  // searches a second are allowed; one that is refused is asked again.
  const search = (q) => poll(async () => {
    const page = await hubspot.crm.contacts.searchApi.doSearch(q).catch((e) => { if (e.code !== 429) throw e; });
    return page?.total === 7 && page;
  }, 'seven results');
  const first = await search(query);
  assert.equal(first.total, 7);
  assert.deepEqual(first.results.map((r) => r.properties.firstname), ['N6', 'N5', 'N4', 'N3', 'N2']);
  const next = await search({ ...query, after: first.paging.next.after });
  assert.deepEqual(next.results.map((r) => r.properties.firstname), ['N1', 'N0']);
  assert.equal(next.paging, undefined);
});

test('batch create with one bad row: 207, the others are made', async (t) => {
  const { hubspot, s } = await client(t);
  await hubspot.crm.contacts.basicApi.create({ properties: { email: 'taken@batch.example' }, associations: [] });
  const answer = await hubspot.crm.contacts.batchApi.create({
    inputs: [
      { objectWriteTraceId: 'row-1', properties: { email: 'one@batch.example' }, associations: [] },
      { objectWriteTraceId: 'row-2', properties: { email: 'taken@batch.example' }, associations: [] },
      { objectWriteTraceId: 'row-3', properties: { email: 'three@batch.example' }, associations: [] },
    ],
  });
  assert.deepEqual(answer.results.map((r) => r.properties.email).sort(), ['one@batch.example', 'three@batch.example']);
  assert.equal(answer.numErrors, 1);
  assert.equal(answer.errors.length, 1);
  assert.deepEqual(answer.errors[0].context.objectWriteTraceId, ['row-2']);
  // The client does not tell its caller the status.
  const raw = await request('POST', `${s.url}/crm/v3/objects/contacts/batch/create`,
    JSON.stringify({ inputs: [{ objectWriteTraceId: 'a', properties: { email: 'taken@batch.example' }, associations: [] }, { objectWriteTraceId: 'b', properties: { email: 'four@batch.example' }, associations: [] }] }),
    { 'Content-Type': 'application/json', Authorization: `Bearer ${TOKEN}` });
  assert.equal(raw.status, 207);
});

test('batch read, update and archive', async (t) => {
  const { hubspot } = await client(t);
  const { results } = await hubspot.crm.companies.batchApi.create({
    inputs: ['a', 'b', 'c'].map((n) => ({ properties: { name: `Company ${n}`, domain: `${n}.batch.example` }, associations: [] })),
  });
  const ids = results.map((r) => r.id);
  await hubspot.crm.companies.batchApi.update({ inputs: ids.map((id) => ({ id, properties: { city: 'Berlin' } })) });
  const read = await hubspot.crm.companies.batchApi.read({ inputs: ids.map((id) => ({ id })), properties: ['city'], propertiesWithHistory: [] });
  assert.deepEqual(read.results.map((r) => r.properties.city), ['Berlin', 'Berlin', 'Berlin']);
  await hubspot.crm.companies.batchApi.archive({ inputs: ids.map((id) => ({ id })) });
  await assert.rejects(hubspot.crm.companies.basicApi.getById(ids[0]), (e) => e.code === 404);
});

test('associations: contact and company, both ways', async (t) => {
  const { hubspot } = await client(t);
  const contact = await hubspot.crm.contacts.basicApi.create({ properties: { email: 'emp@assoc.example' }, associations: [] });
  const company = await hubspot.crm.companies.basicApi.create({ properties: { name: 'Assoc', domain: 'assoc.example' }, associations: [] });
  const deal = await hubspot.crm.deals.basicApi.create({
    properties: { dealname: 'First', dealstage: 'appointmentscheduled', pipeline: 'default' },
    associations: [{ to: { id: contact.id }, types: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: 3 }] }],
  });
  const api = hubspot.crm.associations.v4;
  await api.basicApi.createDefault('contacts', contact.id, 'companies', company.id);
  const there = await api.batchApi.getPage('contacts', 'companies', { inputs: [{ id: contact.id }] });
  assert.deepEqual(there.results[0].to.map((r) => String(r.toObjectId)), [company.id]);
  const back = await api.batchApi.getPage('companies', 'contacts', { inputs: [{ id: company.id }] });
  assert.deepEqual(back.results[0].to.map((r) => String(r.toObjectId)), [contact.id]);
  const ofDeal = await api.batchApi.getPage('deals', 'contacts', { inputs: [{ id: deal.id }] });
  assert.deepEqual(ofDeal.results[0].to.map((r) => String(r.toObjectId)), [contact.id]);
  const withAssociations = await hubspot.crm.contacts.basicApi.getById(contact.id, ['email'], undefined, ['companies']);
  assert.equal(withAssociations.associations.companies.results[0].id, company.id);
});

test('owners: list, by e-mail, by id', async (t) => {
  const { hubspot } = await client(t);
  const api = hubspot.crm.owners.ownersApi;
  const page = await api.getPage(undefined, undefined, 100);
  assert.equal(page.results.length, 3);
  const one = page.results[0];
  assert.match(one.email, /@/);
  assert.equal((await api.getPage(one.email, undefined, 10)).results[0].id, one.id);
  assert.equal((await api.getById(Number(one.id))).email, one.email);
});

test('properties and pipelines', async (t) => {
  const { hubspot } = await client(t);
  const all = await hubspot.crm.properties.coreApi.getAll('contacts');
  assert.ok(all.results.some((p) => p.name === 'email'));
  const made = await hubspot.crm.properties.coreApi.create('contacts', { name: 'lead_score', label: 'Lead score', type: 'number', fieldType: 'number', groupName: 'contactinformation' });
  assert.equal(made.name, 'lead_score');
  const contact = await hubspot.crm.contacts.basicApi.create({ properties: { email: 'p@props.example', lead_score: '17' }, associations: [] });
  assert.equal((await hubspot.crm.contacts.basicApi.getById(contact.id, ['lead_score'])).properties.lead_score, '17');
  const pipelines = await hubspot.crm.pipelines.pipelinesApi.getAll('deals');
  assert.ok(pipelines.results[0].stages.length > 1);
  const partners = await hubspot.crm.pipelines.pipelinesApi.create('deals', { label: 'Partners', displayOrder: 1, stages: [
    { label: 'Talks', displayOrder: 0, metadata: { probability: '0.3' } }, { label: 'Signed', displayOrder: 1, metadata: { probability: '1.0' } }] });
  assert.deepEqual(partners.stages.map((s) => s.metadata.isClosed), ['false', 'true']);
  const gone = await hubspot.crm.pipelines.pipelineStagesApi.create('deals', partners.id, { label: 'Gone', displayOrder: 2, metadata: { probability: '0' } });
  assert.equal(gone.metadata.isClosed, 'true');
  const deal = await hubspot.crm.deals.basicApi.create({ properties: { dealname: 'P', pipeline: partners.id, dealstage: partners.stages[0].id }, associations: [] });
  await assert.rejects(hubspot.crm.deals.basicApi.update(deal.id, { properties: { dealstage: 'closedwon' } }), (e) => e.code === 400);
  await hubspot.crm.deals.basicApi.update(deal.id, { properties: { dealstage: partners.stages[1].id } });
  const read = await hubspot.crm.deals.basicApi.getById(deal.id, ['dealstage'], ['dealstage']);
  assert.deepEqual(read.propertiesWithHistory.dealstage.map((v) => v.value), [partners.stages[1].id, partners.stages[0].id]);
});

test('lists: static and dynamic, members by id and by join', async (t) => {
  const { hubspot, s } = await client(t, ['--contacts', '0', '--companies', '0', '--owners', '1']);
  const { listsApi, membershipsApi } = hubspot.crm.lists;
  const inputs = Array.from({ length: 12 }, (_, i) => ({ properties: { email: `l${i}@lists.example`, lifecyclestage: i < 3 ? 'customer' : 'lead' }, associations: [] }));
  const ids = (await hubspot.crm.contacts.batchApi.create({ inputs })).results.map((r) => r.id);
  const { list } = await listsApi.create({ name: 'VIP', objectTypeId: '0-1', processingType: 'MANUAL' });
  assert.ok(list.createdAt instanceof Date);
  const added = await membershipsApi.add(list.listId, [...ids, '1']);
  assert.equal(added.recordsIdsAdded.length, 12);
  assert.deepEqual(added.recordIdsMissing, ['1']);
  const seen = [];
  for (let after; ;) {
    const page = await membershipsApi.getPage(list.listId, after, undefined, 5);
    assert.ok(page.results[0].membershipTimestamp instanceof Date);
    seen.push(...page.results.map((m) => m.recordId));
    after = page.paging?.next?.after;
    if (!after) break;
  }
  assert.deepEqual(seen, [...ids].sort((a, b) => a - b));
  assert.equal((await membershipsApi.getPageOrderedByAddedToListDate(list.listId, undefined, undefined, 250)).results.length, 12);
  assert.deepEqual((await membershipsApi.remove(list.listId, [ids[0]])).recordIdsRemoved, [ids[0]]);
  assert.equal((await listsApi.getById(list.listId)).list.size, 11);
  assert.equal((await listsApi.getByName('VIP', '0-1')).list.listId, list.listId);
  assert.equal((await membershipsApi.getLists('0-1', ids[1])).results[0].listId, list.listId);
  const filter = (value) => ({ filterBranchType: 'OR', filterBranchOperator: 'OR', filters: [], filterBranches: [{ filterBranchType: 'AND', filterBranchOperator: 'AND', filterBranches: [],
    filters: [{ filterType: 'PROPERTY', property: 'lifecyclestage', operation: { operationType: 'ENUMERATION', operator: 'IS_ANY_OF', values: [value], includeObjectsWithNoValueSet: false } }] }] });
  const dynamic = (await listsApi.create({ name: 'Customers', objectTypeId: '0-1', processingType: 'DYNAMIC', filterBranch: filter('customer') })).list;
  assert.equal(dynamic.size, 3);
  assert.equal((await listsApi.updateListFilters(dynamic.listId, { filterBranch: filter('lead') })).updatedList.size, 9);
  await assert.rejects(membershipsApi.add(dynamic.listId, ids), (e) => e.code === 400);
  const found = await listsApi.doSearch({ listIds: [], offset: 0, count: 1, processingTypes: [], additionalProperties: [], query: '' });
  assert.equal(found.total, 2);
  assert.equal(found.hasMore, true);
  assert.equal(found.lists[0].additionalProperties.hs_list_size, '11');
  assert.equal((await listsApi.updateName(list.listId, 'VIPs')).updatedList.name, 'VIPs');
  assert.equal((await listsApi.getAll([list.listId, dynamic.listId], true)).lists[1].filterBranch.filterBranchType, 'OR');
  await listsApi.remove(list.listId);
  await assert.rejects(listsApi.getById(list.listId), (e) => e.code === 404);
  await listsApi.restore(list.listId);
  await membershipsApi.removeAll(list.listId);
  assert.deepEqual((await s.control('members', { list: 'VIPs' })).ids, []);
});

test('forms: definitions, and submissions that are made and read', async (t) => {
  const { hubspot, s } = await client(t, ['--contacts', '0', '--companies', '0', '--owners', '1']);
  const api = hubspot.marketing.forms.formsApi;
  const first = await s.control('create_form', { name: 'Contact us' });
  const { id, archived, createdAt, updatedAt, ...definition } = first;
  assert.equal(archived, false);
  const second = await api.create({ ...definition, name: 'Second', archived: false, createdAt: new Date(), updatedAt: new Date() });
  assert.equal(second.name, 'Second');
  assert.deepEqual((await api.getPage()).results.map((f) => f.id), [id, second.id]);
  assert.equal((await api.update(second.id, { name: 'Third' })).name, 'Third');
  assert.equal((await api.getById(second.id)).fieldGroups[0].fields[0].name, 'email');
  await api.archive(second.id);
  await assert.rejects(api.getById(second.id), (e) => e.code === 404);
  const { portalId } = await (await hubspot.apiRequest({ path: '/account-info/2026-09/details' })).json();
  const sent = await hubspot.apiRequest({ method: 'POST', path: `/submissions/v3/integration/secure/submit/${portalId}/${id}`,
    body: { fields: [{ objectTypeId: '0-1', name: 'email', value: 'f@forms.example' }], context: { pageUri: 'https://forms.example/' } } });
  assert.equal(sent.status, 200);
  const page = await (await hubspot.apiRequest({ path: `/form-integrations/v1/submissions/forms/${id}` })).json();
  assert.deepEqual(page.results[0].values, [{ name: 'email', value: 'f@forms.example', objectTypeId: '0-1' }]);
  assert.equal((await hubspot.crm.contacts.basicApi.getById('f@forms.example', ['email'], undefined, undefined, false, 'email')).properties.email, 'f@forms.example');
  assert.ok(createdAt && updatedAt);
});

test('a wrong token: 401; the limits: 429 with a body as HubSpot\'s, and headers before', async (t) => {
  const s = await sim(t, project(t), ['--contacts', '1', '--tier', 'free']);
  const stranger = new Client({ accessToken: TOKEN.replace(/.$/, 'x'), basePath: s.url });
  await assert.rejects(stranger.crm.contacts.basicApi.getPage(), (e) => e.code === 401 && e.body.category === 'INVALID_AUTHENTICATION');
  const hubspot = new Client({ accessToken: TOKEN, basePath: s.url, limiterOptions: { maxConcurrent: 50, minTime: 0 } });
  const calls = await Promise.allSettled(Array.from({ length: 130 }, () => hubspot.crm.contacts.basicApi.getPage(1)));
  const refused = calls.filter((c) => c.status === 'rejected').map((c) => c.reason);
  assert.ok(refused.length >= 30 && refused.length < 130, `${refused.length} of 130 refused at 100 in 10 s`);
  for (const e of refused) {
    assert.equal(e.code, 429);
    assert.equal(e.body.policyName, 'TEN_SECONDLY_ROLLING');
  }
});

const LISTEN = 'on("contact.creation", function(e) kv.incr("n") end)\n';

for (const signatureVersion of ['v1', 'v3']) {
  test(`webhooks signed with the client's helper (${signatureVersion}) are accepted, tampered ones refused`, async (t) => {
    const dir = project(t, { 'listen.lua': LISTEN });
    const p = await serve(t, dir);
    const requestBody = JSON.stringify([event(), event()]);
    const timestamp = Date.now();
    const signature = Signature.getSignature('POST', signatureVersion, { clientSecret: SECRET, requestBody, url: p.hook, timestamp });
    const headers = signatureVersion === 'v3'
      ? { 'X-HubSpot-Signature-v3': signature, 'X-HubSpot-Request-Timestamp': String(timestamp) }
      : { 'X-HubSpot-Signature': signature, 'X-HubSpot-Signature-Version': 'v1' };
    assert.equal((await deliver(p.hook, requestBody.replace('"CRM"', '"API"'), { headers })).status, 401);
    assert.equal((await deliver(p.hook, requestBody, { headers })).status, 204);
    const s = await p.settled((x) => x.engine.ran === 2, 'two handled events');
    assert.equal(s.webhook.forged, 1);
  });
}

test('the simulator\'s own webhooks pass the client\'s check', async (t) => {
  const seen = [];
  const receiver = await fake(t, (q, res) => { seen.push(q); res.writeHead(204).end(); });
  const { hubspot, s } = await client(t, ['--contacts', '0', '--companies', '0', '--owners', '1']);
  await s.control('subscribe', { types: ['contact.creation'], url: `${receiver.url}/hubspot` });
  const made = await hubspot.crm.contacts.basicApi.create({ properties: { email: 'w@hook.example' }, associations: [] });
  while (seen.length === 0) await new Promise((resolve) => receiver.server.once('request', () => setImmediate(resolve)));
  const [q] = seen;
  assert.ok(Signature.isValid({
    signatureVersion: 'v3', method: 'POST', clientSecret: SECRET, requestBody: q.body, url: `${receiver.url}/hubspot`,
    signature: q.headers['x-hubspot-signature-v3'], timestamp: Number(q.headers['x-hubspot-request-timestamp']),
  }));
  const [e] = JSON.parse(q.body);
  assert.equal(String(e.objectId), made.id);
  assert.equal(e.subscriptionType, 'contact.creation');
});
