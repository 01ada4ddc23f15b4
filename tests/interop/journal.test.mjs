// The simulator's webhooks journal and webhook settings over HTTP. The exchanges
// are recorded and held against HubSpot's documents (records.test.mjs); where the
// official client has typed calls, it makes them.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { createRequire } from 'node:module';
import { TOKEN, poll, project, request, sim } from '../integration/lib.mjs';

const { Client } = createRequire(import.meta.url)('@hubspot/api-client');
const APP = 'journal-app';
const APP_SECRET = crypto.randomUUID();
const SCOPES = ['read', 'subscriptions.read', 'subscriptions.write', 'snapshots.read', 'snapshots.write'].map((s) => `developer.webhooks_journal.${s}`).join(' ');
const [JOURNAL, LOCAL, SUBS, SNAPS] = ['journal', 'journal-local', 'subscriptions', 'snapshots'].map((s) => `/webhooks-journal/${s}/2026-03`);

test('subscribe, read, fetch, filter, snapshot', async (t) => {
  const s = await sim(t, project(t), ['--oauth-app', APP], { env: { HUBSPOT_APP_SECRET: APP_SECRET } });
  await s.control('configure', { journal_publish_ms: 10 });
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: APP, client_secret: APP_SECRET, scope: SCOPES });
  const answer = await request('POST', `${s.url}/oauth/2026-09/token`, form.toString(), { 'Content-Type': 'application/x-www-form-urlencoded' });
  const token = JSON.parse(answer.body).access_token;
  const call = async (method, path, body) => {
    const r = await request(method, s.url + path, body ? JSON.stringify(body) : '', { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' });
    return { status: r.status, body: r.body ? JSON.parse(r.body) : undefined };
  };
  const object = { subscriptionType: 'OBJECT', portalId: 62515, objectTypeId: '0-1', actions: ['CREATE', 'UPDATE'], properties: ['email'], objectIds: [] };
  const made = await call('POST', SUBS, object);
  assert.equal(made.status, 200, JSON.stringify(made.body));
  for (const body of [
    { subscriptionType: 'ASSOCIATION', portalId: 62515, objectTypeId: '0-1', actions: ['ASSOCIATION_ADDED'], associatedObjectTypeIds: [], objectIds: [] },
    { subscriptionType: 'LIST_MEMBERSHIP', portalId: 62515, actions: ['ADDED_TO_LIST'], listIds: [1], objectIds: [] },
    { subscriptionType: 'GDPR_PRIVACY_DELETION', portalId: 62515, objectTypeId: '0-1', actions: ['GDPR_DELETE'] },
    { subscriptionType: 'APP_LIFECYCLE_EVENT', eventTypeId: '4-1909196', properties: [] },
  ]) assert.equal((await call('POST', SUBS, body)).status, 200, body.subscriptionType);
  assert.equal((await call('GET', SUBS)).body.results.length, 5);
  assert.equal((await call('GET', `${SUBS}/${made.body.id}`)).status, 200);
  const condition = { filterType: 'CRM_OBJECT_PROPERTY', property: 'email', operator: 'IN', values: ['ada@example.com'] };
  const filter = await call('POST', `${SUBS}/filters`, { subscriptionId: made.body.id, filter: { conditions: [condition] } });
  assert.equal((await call('GET', `${SUBS}/filters/subscription/${made.body.id}`)).body.length, 1);
  assert.equal((await call('GET', `${SUBS}/filters/${filter.body.filterId}`)).body.filter.conditions[0].values[0], 'ada@example.com');
  for (const email of ['ada@example.com', 'bo@example.com']) await s.control('create', { type: 'contacts', properties: { email } });
  assert.equal((await call('DELETE', `${SUBS}/filters/${filter.body.filterId}`)).status, 204);

  const first = await poll(async () => { const r = await call('GET', `${JOURNAL}/earliest`); return r.status === 200 && r.body; }, 'a file');
  const file = await request('GET', first.url, '', {});
  assert.deepEqual(JSON.parse(file.body).journalEvents.map((e) => e.propertyChanges.email), ['ada@example.com']);
  assert.equal((await request('GET', first.url, '', { Authorization: `Bearer ${token}` })).status, 400);
  const snapshot = await call('POST', `${SNAPS}/crm`, { snapshotRequests: [{ portalId: 62515, objectTypeId: '0-1', objectId: JSON.parse(file.body).journalEvents[0].objectId, properties: ['email'] }] });
  assert.equal((await call('GET', `${LOCAL}/status/${snapshot.body.snapshotResponses[0].snapshotStatusId}`)).body.status, 'SUCCESS');
  const next = await poll(async () => { const r = await call('GET', `${LOCAL}/batch/${first.currentOffset}/next/10?installPortalId=62515`); return r.body.results[0]; }, 'the snapshot');
  const read = await call('POST', `${JOURNAL}/batch/read`, { inputs: [next.currentOffset, crypto.randomUUID()] });
  assert.deepEqual([read.status, read.body.results.length, read.body.numErrors], [207, 1, 1]);
  assert.equal((await call('GET', `${JOURNAL}/batch/latest/1`)).body.results[0].currentOffset, next.currentOffset);
  assert.equal((await call('GET', `${JOURNAL}/batch/earliest/1`)).body.results[0].currentOffset, first.currentOffset);
  assert.equal((await call('GET', `${JOURNAL}/offset/${next.currentOffset}/next`)).status, 204);
  await s.control('journal_expire');
  assert.equal((await call('GET', `${JOURNAL}/offset/${next.currentOffset}/next`)).status, 404);
  assert.equal((await call('POST', SUBS, { ...object, subscriptionType: 'OBJEKT' })).status, 400);
  assert.equal((await call('DELETE', `${SUBS}/${made.body.id}`)).status, 204);
  assert.equal((await call('DELETE', `${SUBS}/portals/62515`)).status, 204);
});

test('the official client manages an app\'s webhooks with the developer key', async (t) => {
  const key = crypto.randomUUID();
  const s = await sim(t, project(t), [], { env: { HUBSPOT_DEVELOPER_KEY: key } });
  const { settingsApi, subscriptionsApi } = new Client({ developerApiKey: key, basePath: s.url }).webhooks;
  const settings = await settingsApi.configure(77, { targetUrl: 'https://hooks.example.com/hubspot', throttling: { maxConcurrentRequests: 10 } });
  assert.equal(settings.targetUrl, 'https://hooks.example.com/hubspot');
  const sub = await subscriptionsApi.create(77, { eventType: 'contact.propertyChange', propertyName: 'email', active: false });
  assert.equal(sub.active, false);
  await subscriptionsApi.update(Number(sub.id), 77, { active: true });
  assert.deepEqual((await subscriptionsApi.getAll(77)).results.map((x) => [x.eventType, x.propertyName, x.active]), [['contact.propertyChange', 'email', true]]);
  await subscriptionsApi.archive(Number(sub.id), 77);
  assert.equal((await subscriptionsApi.getAll(77)).results.length, 0);
  const wrong = new Client({ developerApiKey: crypto.randomUUID(), basePath: s.url });
  await assert.rejects(wrong.webhooks.subscriptionsApi.getAll(77), (e) => e.code === 401);
  await assert.rejects(new Client({ accessToken: TOKEN, basePath: s.url }).crm.contacts.basicApi.getById('1'), (e) => e.code === 404);
});
