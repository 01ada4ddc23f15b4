// An app's webhook settings and subscriptions, and the journal that it reads instead.
const APP = '/app-webhooks/{v}/54321';
const JOURNAL = '/webhooks-journal/journal/2026-03';
const LOCAL = '/webhooks-journal/journal-local/2026-03';
const SUBS = '/webhooks-journal/subscriptions/2026-03';
const SCOPES = ['read', 'subscriptions.read', 'subscriptions.write', 'snapshots.read', 'snapshots.write'].map((s) => `developer.webhooks_journal.${s}`).join(' ');
const LATE = '00000000-0000-4000-8000-000000000000';
const object = { subscriptionType: 'OBJECT', portalId: '$portal', objectTypeId: '0-1', actions: ['CREATE', 'UPDATE'], properties: ['email'], objectIds: [] };
const condition = { filterType: 'CRM_OBJECT_PROPERTY', property: 'email', operator: 'CONTAINS', value: 'journal' };
const as = (call) => ({ auth: '$journal', ...call });
const here = { installPortalId: '$portal' };

const reads = (room) => [
  ['GET', `${room}/earliest`, as({ query: here, until: true, save: { first: 'currentOffset' }, is: { url: /^http/ } })],
  ['GET', `${room}/earliest`, { status: 403 }],
  ['GET', `${room}/latest`, as({ query: here, save: { last: 'currentOffset' } })],
  ['GET', `${room}/latest`, { status: 403 }],
  ['GET', `${room}/offset/$first/next`, as({ query: here, is: { currentOffset: (v, vars) => v !== vars.first } })],
  ['GET', `${room}/offset/${LATE}/next`, as({ query: here, status: 404 })],
  ['GET', `${room}/batch/earliest/2`, as({ query: here, is: { 'results.0.currentOffset': '$first' } })],
  ['GET', `${room}/batch/earliest/5000`, as({ query: here, status: 400 })],
  ['GET', `${room}/batch/latest/1`, as({ query: here, is: { 'results.0.currentOffset': '$last' } })],
  ['GET', `${room}/batch/latest/0`, as({ query: here, status: 400 })],
  ['GET', `${room}/batch/$first/next/2`, as({ query: here })],
  ['GET', `${room}/batch/${LATE}/next/2`, as({ query: here, status: 404 })],
  ['POST', `${room}/batch/read`, as({ query: here, body: { inputs: ['$first'] }, is: { 'results.0.currentOffset': '$first' } })],
  ['POST', `${room}/batch/read`, as({ query: here, body: { inputs: ['$first', LATE] }, status: 207, is: { numErrors: 1 } })],
  ['POST', `${room}/batch/read`, as({ query: here, body: { inputs: [] }, status: 400 })],
  ['GET', `${room}/status/$snapshot`, as({ is: { status: 'SUCCESS' } })],
  ['GET', `${room}/status/${LATE}`, as({ status: 404 })],
];

export const flows = [
  { name: 'webhook settings', calls: [
    ['GET', `${APP}/settings`, { status: 404 }],
    ['PUT', `${APP}/settings`, { body: { targetUrl: 'https://127.0.0.1:9/hook', throttling: { maxConcurrentRequests: 7 } }, is: { 'throttling.maxConcurrentRequests': 7 } }],
    ['PUT', `${APP}/settings`, { body: { targetUrl: 'https://127.0.0.1:9/hook', throttling: { maxConcurrentRequests: 1 } }, status: 400 }],
    ['GET', `${APP}/settings`, { is: { targetUrl: 'https://127.0.0.1:9/hook' } }],
    ['POST', `${APP}/subscriptions`, { body: { eventType: 'contact.propertyChange', propertyName: 'email', active: false }, save: { sub: 'id' }, is: { active: false, propertyName: 'email' } }],
    ['POST', `${APP}/subscriptions`, { body: { eventType: 'contact.nonsense', active: true }, status: 400 }],
    ['GET', `${APP}/subscriptions`, { is: { results: (list, vars) => list?.some((s) => s.id === vars.sub) } }],
    ['GET', `${APP}/subscriptions`, { auth: null, status: 401 }],
    ['GET', `${APP}/subscriptions/$sub`, { is: { id: '$sub' } }],
    ['GET', `${APP}/subscriptions/7`, { status: 404 }],
    ['PATCH', `${APP}/subscriptions/$sub`, { body: { active: true }, is: { active: true } }],
    ['PATCH', `${APP}/subscriptions/7`, { body: { active: true }, status: 404 }],
    ['POST', `${APP}/subscriptions/batch/update`, { body: { inputs: [{ id: '$sub:number', active: false }] }, is: { 'results.0.active': false } }],
    ['POST', `${APP}/subscriptions/batch/update`, { body: { inputs: [] }, status: 400 }],
    ['DELETE', `${APP}/subscriptions/$sub`],
    ['DELETE', `${APP}/subscriptions/$sub`, { status: 404 }],
    ['DELETE', `${APP}/settings`],
    ['DELETE', `${APP}/settings`, { auth: null, status: 401 }],
    ['GET', `${APP}/settings`, { status: 404 }],
  ] },
  { name: 'journal', calls: [
    ['POST', '/oauth/2026-09/token', { auth: null, form: { grant_type: 'client_credentials', client_id: '$app', client_secret: '$secret', scope: SCOPES }, save: { journal: 'access_token' } }],
    ['POST', SUBS, as({ body: object, save: { sub: 'id' }, is: { subscriptionType: 'OBJECT', actions: ['CREATE', 'UPDATE'] } })],
    ['POST', SUBS, as({ body: { ...object, actions: ['NONSENSE'] }, status: 400 })],
    ['POST', SUBS, as({ body: { subscriptionType: 'LIST_MEMBERSHIP', portalId: '$portal', actions: ['ADDED_TO_LIST'], listIds: [], objectIds: [] }, save: { other: 'id' } })],
    ['GET', SUBS, as({ is: { results: (list) => list?.length === 2 } })],
    ['GET', SUBS, { status: 403 }],
    ['GET', `${SUBS}/$sub`, as({ is: { id: '$sub' } })],
    ['GET', `${SUBS}/999`, as({ status: 404 })],
    ['POST', `${SUBS}/filters`, as({ body: { subscriptionId: '$sub', filter: { conditions: [condition] } }, save: { filter: 'filterId' } })],
    ['POST', `${SUBS}/filters`, as({ body: { subscriptionId: 999, filter: { conditions: [condition] } }, status: 404 })],
    ['GET', `${SUBS}/filters/$filter`, as({ is: { 'filter.conditions.0.value': 'journal' } })],
    ['GET', `${SUBS}/filters/999`, as({ status: 404 })],
    ['GET', `${SUBS}/filters/subscription/$sub`, as({ is: { '0.id': '$filter' } })],
    ['GET', `${SUBS}/filters/subscription/999`, as({ status: 404 })],
    ['SIM', 'create', { body: { type: 'contacts', properties: { email: 'journal@fidelity.example' } } }],
    ['GET', `${JOURNAL}/earliest`, as({ query: here, until: true })],
    ['GET', '/crm/objects/2026-09/contacts/journal@fidelity.example', { query: { idProperty: 'email' }, save: { contact: 'id' } }],
    ['POST', '/webhooks-journal/snapshots/2026-03/crm', as({ body: { snapshotRequests: [{ portalId: '$portal', objectTypeId: '0-1', objectId: '$contact:number', properties: ['email'] }] }, save: { snapshot: 'snapshotResponses.0.snapshotStatusId' } })],
    ['POST', '/webhooks-journal/snapshots/2026-03/crm', as({ body: { snapshotRequests: [{ portalId: 7, objectTypeId: '0-1', objectId: 7, properties: [] }] }, status: 400 })],
    ['GET', `${JOURNAL}/batch/earliest/2`, as({ query: here, until: true, is: { results: (list) => list?.length === 2 } })],
    ...reads(JOURNAL), ...reads(LOCAL),
    ['DELETE', `${SUBS}/filters/$filter`, as({})],
    ['DELETE', `${SUBS}/filters/$filter`, as({ status: 404 })],
    ['DELETE', `${SUBS}/$other`, as({})],
    ['DELETE', `${SUBS}/$other`, as({ status: 404 })],
    ['DELETE', `${SUBS}/portals/$portal`, as({})],
    ['DELETE', `${SUBS}/portals/$portal`, { status: 403 }],
    ['GET', SUBS, as({ is: { results: [] } })],
  ] },
];

const APP_ID = 54321;
export const typed = [
  ['webhooks.settingsApi.configure', [APP_ID, { targetUrl: 'https://127.0.0.1:9/hook', throttling: { maxConcurrentRequests: 6 } }], { is: { createdAt: (v) => v instanceof Date } }],
  ['webhooks.settingsApi.getAll', [APP_ID], { is: { 'throttling.maxConcurrentRequests': 6 } }],
  ['webhooks.subscriptionsApi.create', [APP_ID, { eventType: 'deal.creation', active: false }], { save: { sub: 'id' } }],
  ['webhooks.subscriptionsApi.getById', ['$sub:number', APP_ID], { is: { eventType: 'deal.creation' } }],
  ['webhooks.subscriptionsApi.getById', [7, APP_ID], { code: 404 }],
  ['webhooks.subscriptionsApi.getAll', [APP_ID], { is: { results: (list) => list.length === 1 } }],
  ['webhooks.subscriptionsApi.update', ['$sub:number', APP_ID, { active: true }], { is: { active: true } }],
  ['webhooks.subscriptionsApi.updateBatch', [APP_ID, { inputs: [{ id: '$sub:number', active: false }] }], { is: { 'results.0.active': false } }],
  ['webhooks.subscriptionsApi.archive', ['$sub:number', APP_ID]],
  ['webhooks.settingsApi.clear', [APP_ID]],
];
