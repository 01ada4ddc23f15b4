// stdlib/hubspot/apis.lua and types.lua out of HubSpot's data (../shared/hubspot):
// which functions hubspot.lists, hubspot.campaigns, … have, what each calls, and
// which object types there are. `make tables` runs it; with --check it only compares.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const repository = path.join(here, '../..');

export function dataFolder() {
  return [process.env.HL_HUBSPOT, path.join(repository, '../shared/hubspot'), path.join(repository, '../../shared/hubspot')]
    .filter(Boolean).find((d) => fs.existsSync(path.join(d, 'endpoints.tsv'))) ?? null;
}

// Which paths make a group of functions. What follows the prefix gives the
// names in it. Left out on purpose: the CMS, OAuth (hubloop auth does it), and
// what only builders of HubSpot's own screens call (cards, feature flags, video
// conferencing); hubspot.request reaches them.
const GROUPS = [
  ['account', '/account-info/{version}'],
  ['actions', '/automation/actions/{version}/{appId}', '/automation/actions/{version}', '/automation/actions/callbacks/{version}'],
  ['associations', '/crm/associations/{version}'],
  ['business_units', '/business-units/public/{version}/business-units'],
  ['calling', '/crm/extensions/calling/{version}'],
  ['campaigns', '/marketing/campaigns/{version}'],
  ['conversations', '/conversations/conversations/{version}'],
  ['custom_channels', '/conversations/custom-channels/{version}'],
  ['data_studio', '/data-studio/data-source/{version}', '/data-studio/{version}/data-source'],
  ['deal_splits', '/deal-splits/{version}'],
  ['events', '/events/custom/{version}', '/events/{version}', '/events/event-occurrences/{version}'],
  ['exports', '/crm/exports/{version}/export'],
  ['files', '/files/{version}'],
  ['flows', '/automation/v4/flows', '/automation/v4', '/automation/v2/workflows'],
  ['forecast_types', '/forecast-settings/{version}/forecast-types'],
  ['forms', '/marketing/v3/forms', '/form-integrations/v1/submissions/forms'],
  ['imports', '/crm/imports/{version}'],
  ['limits', '/crm/limits/{version}'],
  ['lists', '/crm/lists/{version}'],
  ['marketing_emails', '/marketing/emails/{version}', '/marketing/email-campaigns/{version}'],
  ['marketing_events', '/marketing/marketing-events/{version}'],
  ['object_library', '/crm/object-library/{version}'],
  ['owners', '/crm/owners/{version}'],
  ['payments_subscriptions', '/payments-subscriptions/v1/subscriptions/crm'],
  ['pipelines', '/crm/pipelines/{version}/{objectType}'],
  ['properties', '/crm/properties/{version}/{objectType}'],
  ['properties.validations', '/crm/property-validations/{version}'],
  ['scheduler', '/scheduler/{version}/meetings'],
  ['schemas', '/crm-object-schemas/{version}/schemas'],
  ['sequences', '/automation/sequences/{version}'],
  ['settings.currencies', '/settings/currencies/{version}'],
  ['settings.users', '/settings/users/{version}'],
  ['single_send', '/marketing/transactional/{version}'],
  ['subscriptions', '/communication-preferences/{version}'],
  ['tax_rates', '/tax-rates/{version}/tax-rates'],
  ['timeline', '/integrators/timeline/{version}'],
  ['visitor_identification', '/visitor-identification/{version}'],
  ['webhooks', '/app-webhooks/{version}', '/webhooks/{version}'],
  ['webhooks_journal', '/webhooks-journal'],
];

// A path that ends in one of these is an action of what stands before it; any
// other last word is a collection, whose functions are list, get, create, ….
const ACTIONS = new Set(`add add-and-remove add-from cancel clone complete create-variation email-create email-upsert
  get-variation move move-list password-reset publish rename reset restore restore-to-draft search unpublish
  update-list-filters update-list-name update-visibility upsert send unsubscribe-all subscribe unsubscribe resubscribe
  generate pause unpause complete import-from-url gdpr-delete signed-url add-currency inbound-call single-send`.split(/\s+/));

// Names that the rules below make badly, by method and path after the prefix.
const NAMES = {
  account: {
    'GET /details': 'details', 'GET /api-usage/daily/private-apps': 'api_usage',
  },
  actions: {
    'POST /complete': 'batch_complete', 'POST /{callbackId}/complete': 'complete',
    'GET /{definitionId}/requires-object': 'requires_object',
    'POST /{definitionId}/requires-object': 'set_requires_object',
    'DELETE /{definitionId}/functions/{functionType}': 'functions.archive_by_type',
    'GET /{definitionId}/functions/{functionType}': 'functions.get_by_type',
    'PUT /{definitionId}/functions/{functionType}': 'functions.replace_by_type',
  },
  associations: {
    'POST /{fromObjectType}/{toObjectType}/batch/associate/default': 'batch_create_default',
    'POST /{fromObjectType}/{toObjectType}/batch/labels/archive': 'batch_archive_labels',
    'PUT /{fromObjectType}/{toObjectType}/labels': 'labels.update',
    'GET /definitions/configurations/all': 'limits.list_all',
    'GET /definitions/configurations/{fromObjectType}/{toObjectType}': 'limits.list',
    'POST /definitions/configurations/{fromObjectType}/{toObjectType}/batch/create': 'limits.batch_create',
    'POST /definitions/configurations/{fromObjectType}/{toObjectType}/batch/update': 'limits.batch_update',
    'POST /definitions/configurations/{fromObjectType}/{toObjectType}/batch/purge': 'limits.batch_purge',
    'POST /usage/high-usage-report/{userId}': 'high_usage_report',
  },
  business_units: { 'GET /user/{userId}': 'list' },
  calling: {
    'GET /{appId}/settings': 'settings.get', 'GET /{appId}/settings/recording': 'settings.recording.get',
    'GET /{appId}/settings/channel-connection': 'settings.channel_connection.get',
    'POST /recordings/ready': 'recording_ready',
    'POST /inbound-call': 'inbound_call',
  },
  campaigns: {
    'GET /{campaignGuid}/assets/{assetType}': 'assets.list', 'PUT /{campaignGuid}/assets/{assetType}/{assetId}': 'assets.add',
    'DELETE /{campaignGuid}/assets/{assetType}/{assetId}': 'assets.remove',
    'GET /{campaignGuid}/budget/totals': 'budget.totals',
    'GET /{campaignGuid}/reports/contacts/{contactType}': 'reports.contacts',
  },
  conversations: {
    'PUT /threads/{threadId}/assignee': 'threads.assign', 'DELETE /threads/{threadId}/assignee': 'threads.unassign',
    'GET /threads/{threadId}/messages/{messageId}/original-content': 'threads.messages.original_content',
    'POST /threads/{threadId}/messages': 'threads.messages.send',
  },
  custom_channels: {
    'POST /{channelId}/messages': 'messages.send',
    'PATCH /{channelId}/channel-account-staging-tokens/{accountToken}': 'update_staging_token',
  },
  events: {
    'GET ': 'list', 'GET /event-types': 'types', 'POST /send/batch': 'batch_send',
  },
  exports: { 'POST /async': 'create', 'GET /async/tasks/{taskId}/status': 'status' },
  files: {
    'GET /files/search': 'search', 'GET /files/stat/{path}': 'get_by_path', 'GET /files/{fileId}': 'get', 'PATCH /files/{fileId}': 'update',
    'POST /files': 'upload', 'PUT /files/{fileId}': 'replace', 'DELETE /files/{fileId}': 'delete',
    'DELETE /files/{fileId}/gdpr-delete': 'gdpr_delete', 'GET /files/{fileId}/signed-url': 'signed_url',
    'POST /files/import-from-url/async': 'import_from_url', 'GET /files/import-from-url/async/tasks/{taskId}/status': 'import_status',
    'GET /folders/{folderPath}': 'folders.get_by_path', 'DELETE /folders/{folderPath}': 'folders.delete_by_path',
    'POST /folders/update/async': 'folders.update_async', 'GET /folders/update/async/tasks/{taskId}/status': 'folders.update_status',
  },
  flows: {
    'GET /email-campaigns': 'email_campaigns', 'GET /performance/{flowId}': 'performance', 'PUT /{flowId}': 'update',
    'POST /workflow-id-mappings/batch/read': 'batch_read_id_mappings',
  },
  limits: {
    'GET /associations/labels': 'association_labels', 'GET /associations/records/from': 'association_records_from',
    'GET /associations/records/{fromObjectTypeId}/to': 'association_records_to',
    'GET /associations/records/{fromObjectTypeId}/{toObjectTypeId}': 'association_records',
    'GET /calculated-properties': 'calculated_properties', 'GET /custom-object-types': 'custom_object_types',
    'GET /custom-properties': 'custom_properties', 'GET /pipelines': 'pipelines', 'GET /records': 'records',
  },
  lists: {
    'GET ': 'batch_read', 'GET /object-type-id/{objectTypeId}/name/{listName}': 'get_by_name',
    'GET /folders': 'folders.get', 'PUT /folders/move-list': 'folders.move_list',
    'PUT /folders/{folderId}/move/{newParentFolderId}': 'folders.move', 'PUT /folders/{folderId}/rename': 'folders.rename',
    'GET /idmapping': 'id_mapping', 'POST /idmapping': 'batch_id_mapping',
    'GET /records/{objectTypeId}/{recordId}/memberships': 'memberships.of_record',
    'POST /records/memberships/batch/read': 'memberships.batch_of_records',
    'DELETE /{listId}/memberships': 'memberships.remove_all', 'PUT /{listId}/memberships/add-from/{sourceListId}': 'memberships.add_from',
    'GET /{listId}/memberships/join-order': 'memberships.list_by_join_order',
    'PUT /{listId}/update-list-filters': 'update_filters', 'PUT /{listId}/update-list-name': 'update_name',
    'GET /{listId}/schedule-conversion': 'conversion.get', 'PUT /{listId}/schedule-conversion': 'conversion.schedule',
    'DELETE /{listId}/schedule-conversion': 'conversion.cancel',
    'GET /{listId}/size-and-edits-history/between': 'size_history',
  },
  marketing_emails: {
    'POST /ab-test/create-variation': 'create_ab_variation', 'GET /{emailId}/ab-test/get-variation': 'get_ab_variation',
    'GET /statistics/histogram': 'statistics_histogram', 'GET /statistics/list': 'statistics',
    'GET /{emailId}/draft': 'draft.get', 'PATCH /{emailId}/draft': 'draft.update', 'POST /{emailId}/draft/reset': 'draft.reset',
    'POST /single-send': 'single_send',
  },
  marketing_events: {
    'GET /associations/{externalAccountId}/{externalEventId}/lists': 'lists.list_by_external_id',
    'PUT /associations/{externalAccountId}/{externalEventId}/lists/{listId}': 'lists.add_by_external_id',
    'DELETE /associations/{externalAccountId}/{externalEventId}/lists/{listId}': 'lists.remove_by_external_id',
    'GET /associations/{marketingEventId}/lists': 'lists.list', 'PUT /associations/{marketingEventId}/lists/{listId}': 'lists.add',
    'DELETE /associations/{marketingEventId}/lists/{listId}': 'lists.remove',
    'POST /attendance/{externalEventId}/{subscriberState}/create': 'attendance.record_by_external_id',
    'POST /attendance/{externalEventId}/{subscriberState}/email-create': 'attendance.record_emails_by_external_id',
    'POST /{objectId}/attendance/{subscriberState}/create': 'attendance.record',
    'POST /{objectId}/attendance/{subscriberState}/email-create': 'attendance.record_emails',
    'POST /events': 'create', 'POST /events/delete': 'batch_delete_by_external_id', 'POST /events/upsert': 'batch_upsert',
    'GET /events/search': 'search', 'GET /events/{externalEventId}': 'get_by_external_id',
    'PUT /events/{externalEventId}': 'upsert', 'PATCH /events/{externalEventId}': 'update_by_external_id',
    'DELETE /events/{externalEventId}': 'delete_by_external_id',
    'POST /events/{externalEventId}/cancel': 'cancel', 'POST /events/{externalEventId}/complete': 'complete',
    'POST /events/{externalEventId}/{subscriberState}/upsert': 'upsert_subscribers',
    'POST /events/{externalEventId}/{subscriberState}/email-upsert': 'upsert_subscriber_emails',
    'GET /participations/contacts/{contactIdentifier}/breakdown': 'participations.of_contact',
    'GET /participations/{externalAccountId}/{externalEventId}': 'participations.count_by_external_id',
    'GET /participations/{externalAccountId}/{externalEventId}/breakdown': 'participations.list_by_external_id',
    'GET /participations/{marketingEventId}': 'participations.count',
    'GET /participations/{marketingEventId}/breakdown': 'participations.list',
    'GET /{appId}/settings': 'settings.get', 'POST /{appId}/settings': 'settings.update',
    'GET /{externalEventId}/identifiers': 'identifiers', 'DELETE /{objectId}': 'delete',
  },
  object_library: { 'GET /enablement': 'enablement', 'GET /enablement/{objectTypeId}': 'enabled' },
  pipelines: { 'GET /{pipelineId}/audit': 'audit', 'GET /{pipelineId}/stages/{stageId}/audit': 'stages.audit' },
  'properties.validations': {
    'GET /{objectTypeId}': 'list', 'GET /{objectTypeId}/{propertyName}': 'of_property',
    'GET /{objectTypeId}/{propertyName}/rule-type/{ruleType}': 'get',
    'PUT /{objectTypeId}/{propertyName}/rule-type/{ruleType}': 'replace',
  },
  scheduler: {
    'GET /meeting-links/book/availability-page/{slug}': 'meeting_links.availability', 'GET /meeting-links/book/{slug}': 'meeting_links.get',
    'POST /meeting-links/book': 'meeting_links.book', 'POST /calendar': 'create_meeting',
  },
  schemas: {
    'POST /{objectType}/associations': 'associations.create',
    'DELETE /{objectType}/associations/{associationIdentifier}': 'associations.archive',
  },
  sequences: { 'POST /enrollments': 'enroll', 'GET /enrollments/contact/{contactId}': 'enrollment' },
  'settings.currencies': {
    'GET /company-currency': 'company', 'PUT /company-currency': 'set_company',
    'GET /central-fx-rates/information': 'central_rates', 'POST /central-fx-rates/add-currency': 'add_central',
    'GET /central-fx-rates/unsupported-currencies': 'unsupported',
  },
  single_send: { 'POST /single-email/send': 'send', 'POST /smtp-tokens/{tokenId}/password-reset': 'smtp_tokens.reset_password' },
  subscriptions: {
    'GET /definitions': 'definitions', 'POST /links/generate': 'generate_link', 'GET /status/email/{emailAddress}': 'status',
    'GET /statuses/{subscriberIdString}': 'statuses.list', 'POST /statuses/{subscriberIdString}': 'statuses.update',
    'GET /statuses/{subscriberIdString}/unsubscribe-all': 'statuses.unsubscribed_from_all',
    'POST /statuses/{subscriberIdString}/unsubscribe-all': 'statuses.unsubscribe_all',
    'POST /statuses/batch/unsubscribe-all': 'statuses.batch_unsubscribe_all',
    'POST /statuses/batch/unsubscribe-all/read': 'statuses.batch_unsubscribed_from_all', 'POST /statuses/batch/write': 'statuses.batch_update',
  },
  timeline: { 'POST /events': 'create_event', 'POST /events/batch': 'batch_create_events', 'POST /types/projects': 'create_type' },
  visitor_identification: { 'POST /tokens/create': 'create_token' },
  webhooks: {
    'GET /{appId}/settings': 'settings.get', 'PUT /{appId}/settings': 'settings.update', 'DELETE /{appId}/settings': 'settings.delete',
  },
  webhooks_journal: {
    ...Object.fromEntries(['journal', 'journal-local'].flatMap((j) => {
      const ns = j === 'journal' ? '' : 'local_account.';
      return [['earliest', 'earliest'], ['latest', 'latest'], ['offset/{offset}/next', 'next'], ['status/{statusId}', 'status'],
        ['batch/earliest/{count}', 'batch_earliest'], ['batch/latest/{count}', 'batch_latest'], ['batch/{offset}/next/{count}', 'batch_next']]
        .map(([p, name]) => [`GET /${j}/{version}/${p}`, ns + name]).concat([[`POST /${j}/{version}/batch/read`, `${ns}batch_read`]]);
    })),
    'POST /snapshots/{version}/crm': 'create_snapshots',
    'GET /subscriptions/{version}': 'subscriptions.list', 'POST /subscriptions/{version}': 'subscriptions.upsert',
    'GET /subscriptions/{version}/{subscriptionId}': 'subscriptions.get', 'DELETE /subscriptions/{version}/{subscriptionId}': 'subscriptions.delete',
    'DELETE /subscriptions/{version}/portals/{portalId}': 'subscriptions.delete_for_portal',
    'POST /subscriptions/{version}/filters': 'subscriptions.filters.create',
    'GET /subscriptions/{version}/filters/subscription/{subscriptionId}': 'subscriptions.filters.list',
    'GET /subscriptions/{version}/filters/{filterId}': 'subscriptions.filters.get',
    'DELETE /subscriptions/{version}/filters/{filterId}': 'subscriptions.filters.delete',
  },
};

// HubSpot's reference speaks of archiving where a deleted thing can come back.
const ARCHIVED = new Set(['actions', 'campaigns', 'forms', 'marketing_emails', 'pipelines', 'properties', 'schemas']);

// In no document of HubSpot's collection, and the only way to what they do.
// (Legacy workflow ids; flows.batch_read_id_mappings translates a flow's.)
const BESIDE = [
  { version: 'v1', method: 'GET', path: '/form-integrations/v1/submissions/forms/{formId}', name: 'submissions',
    summary: 'Submissions of a form, newest first', query: ['after', 'limit'], iterate: true },
  { version: 'v2', method: 'POST', name: 'enroll', path: '/automation/v2/workflows/{workflowId}/enrollments/contacts/{email}',
    summary: 'Enroll a contact in a workflow, by its legacy id', query: [] },
  { version: 'v2', method: 'DELETE', name: 'unenroll', path: '/automation/v2/workflows/{workflowId}/enrollments/contacts/{email}',
    summary: 'Take a contact out of a workflow, by its legacy id', query: [] },
];

// Collections whose names do not say so, and for which no document does.
const ITERATED = new Set(['account.activity.audit_logs', 'account.activity.login', 'account.activity.security', 'files.search',
  'files.folders.search', 'lists.memberships.of_record', 'marketing_events.search', 'marketing_events.identifiers']);

// Uploads that no document describes.
const MULTIPART = new Set(['files.upload', 'files.replace']);

const WORDS = { 'event-definitions': 'definitions', property: 'properties' };

const VERSION = /\/(20\d\d-\d\d)(?=\/|$)/;
const PARAM = /\{([^}]+)\}/g;
const snake = (s) => (WORDS[s] ?? s).replace(/([a-z0-9])([A-Z])/g, '$1_$2').replace(/[^A-Za-z0-9]+/g, '_').toLowerCase();

export function readEndpoints(folder) {
  const [head, ...rows] = fs.readFileSync(path.join(folder, 'endpoints.tsv'), 'utf8').trimEnd().split('\n').map((l) => l.split('\t'));
  return rows.map((r) => Object.fromEntries(head.map((h, i) => [h, r[i] ?? ''])));
}

// The documents' operations by "METHOD path" with the names of parameters left out.
function readDocuments(folder) {
  const found = new Map();
  const dir = path.join(folder, 'openapi');
  for (const file of fs.readdirSync(dir).filter((f) => f.endsWith('.json')).sort()) {
    const doc = JSON.parse(fs.readFileSync(path.join(dir, file), 'utf8'));
    for (const [template, methods] of Object.entries(doc.paths)) {
      for (const [method, op] of Object.entries(methods)) {
        const key = shape(method.toUpperCase(), documented(template));
        if (!found.has(key)) found.set(key, { doc, op, file, template });
      }
    }
  }
  return found;
}

const shape = (method, p) => `${method} ${p.replace(VERSION, '/{version}').replaceAll('{version}', '\0').replace(PARAM, '{}')}`;

// Two documents describe other versions of the paths that scripts call.
export function documented(template) {
  return template.replace('/automation/2026-09-beta/', '/automation/v4/')
    .replace(/^\/conversations\/v3\/conversations\b/, '/conversations/conversations/2026-09')
    .replace(/^\/conversations\/conversations\/v3\b/, '/conversations/conversations/2026-09');
}

function resolve(doc, schema) {
  return schema?.$ref ? doc.components.schemas[schema.$ref.split('/').pop()] : schema;
}

// Names of fields that hold ids and are integers somewhere below `schema`;
// numbers of types (associationTypeId) are constants and stay numbers.
function integerIds(doc, schema, seen = new Set(), out = new Set()) {
  if (!schema || typeof schema !== 'object' || seen.has(schema)) return out;
  seen.add(schema);
  const s = resolve(doc, schema);
  for (const [name, value] of Object.entries(s.properties ?? {})) {
    const v = resolve(doc, value);
    const kind = v?.type === 'array' ? resolve(doc, v.items)?.type : v?.type;
    if (kind === 'integer' && /(^id|Id|Ids|ID)$/.test(name) && !/[tT]ypeIds?$/.test(name) && !/^m(ax|in)/.test(name)
      && !/MaxTo/.test(name)) out.add(name);
    integerIds(doc, value, seen, out);
  }
  for (const k of ['items', 'additionalProperties']) integerIds(doc, s[k], seen, out);
  for (const k of ['allOf', 'oneOf', 'anyOf']) for (const x of s[k] ?? []) integerIds(doc, x, seen, out);
  return out;
}

const success = (op) => Object.entries(op.responses ?? {}).filter(([c]) => c[0] === '2').sort()
  .map(([, r]) => Object.values(r.content ?? {})[0]?.schema).find(Boolean);

// What the document adds: query, body, how the answer pages, ids.
function describe(entry, method) {
  if (!entry) return { query: null, body: method === 'GET' || method === 'DELETE' ? '' : 'json', answerIds: [], bodyIds: [] };
  const { doc, op } = entry;
  const query = (op.parameters ?? []).filter((p) => p.in === 'query');
  const names = query.map((p) => p.name + (p.required ? '!' : ''));
  const content = op.requestBody?.content;
  const type = content && Object.keys(content)[0];
  const bodySchema = content && resolve(doc, content[type].schema);
  let body = '';
  if (type === 'multipart/form-data') body = 'multipart';
  else if (type === 'text/plain') body = 'text';
  else if (type) body = bodySchema?.type === 'array' ? 'array' : 'json';
  if (body && op.requestBody.required) body += '!';
  const schema = success(op);
  const answer = resolve(doc, schema);
  const fields = answer?.properties ?? {};
  const paged = fields.results && fields.paging && query.some((p) => p.name === 'after');
  return { query: names, body, file: entry.file, operationId: op.operationId,
    paged: Boolean(paged), array: Boolean(fields.results) || answer?.type === 'array',
    answerIds: [...integerIds(doc, schema)].sort(), bodyIds: content ? [...integerIds(doc, content[type].schema)].sort() : [],
    summary: op.summary || '' };
}

function groupOf(p) {
  let best = null;
  for (const [group, ...prefixes] of GROUPS) {
    for (const prefix of prefixes) {
      if ((p === prefix || p.startsWith(`${prefix}/`)) && (!best || prefix.length > best.prefix.length)) best = { group, prefix };
    }
  }
  return best;
}

// By the rules: the words of the path are tables, the method is the verb.
function nameOf(group, method, rest, hasSiblings, isList) {
  const given = NAMES[group]?.[`${method} ${rest}`];
  if (given) return given;
  const parts = rest.split('/').filter(Boolean);
  const words = parts.filter((p) => !p.startsWith('{'));
  const endsInParameter = parts.length > 0 && parts.at(-1).startsWith('{');
  const at = words.indexOf('batch');
  if (at >= 0) return [...words.slice(0, at), `batch_${words.slice(at + 1).join('_')}`].map(snake).join('.');
  const last = words.at(-1);
  if (last && ACTIONS.has(last)) return words.map(snake).join('.');
  const archive = ARCHIVED.has(group) ? 'archive' : 'delete';
  if (method === 'GET' && last && !endsInParameter && !hasSiblings) return words.map(snake).join('.');
  const verb = endsInParameter || (last && !isList && method !== 'POST')
    ? { GET: 'get', PUT: 'replace', PATCH: 'update', DELETE: archive, POST: 'update' }[method]
    : { GET: 'list', POST: 'create', PUT: 'replace', PATCH: 'update', DELETE: archive }[method];
  return [...words.map(snake), verb].join('.');
}

export function build(folder) {
  const documents = readDocuments(folder);
  const rows = readEndpoints(folder);
  const operations = new Map();
  const versions = [...new Set(rows.map((r) => r.version).filter((v) => /^20/.test(v)))].sort();
  for (const r of [...rows, ...BESIDE]) {
    const dated = VERSION.test(r.path);
    const p = r.path.replace(VERSION, '/{version}').replace(/\/$/, '');
    const g = groupOf(p);
    if (!g || g.prefix.includes('{version}') && !dated) continue;
    // Two of the legacy single-version groups share a prefix with dated ones.
    if (/^\/automation\/v4\/(actions|sequences)/.test(p)) continue;
    const key = `${r.method} ${p}`;
    const o = operations.get(key) ?? { ...g, method: r.method, path: p, rest: p.slice(g.prefix.length), versions: new Set(), summaries: [], row: r };
    if (dated) o.versions.add(r.version);
    o.summaries.unshift(r.summary);
    operations.set(key, o);
  }
  const all = [...operations.values()];
  for (const o of all) {
    const bare = o.path.replaceAll('{version}', [...o.versions].sort().at(-1) ?? '');
    const entry = documents.get(shape(o.method, documented(bare)));
    Object.assign(o, describe(entry, o.method));
    if (o.row.query) Object.assign(o, { query: o.row.query, body: '' });
    o.params = [...o.path.matchAll(PARAM)].map((m) => m[1]).filter((n) => n !== 'version');
    o.summary = (o.summaries.find(Boolean) || o.summary || '').replace(/\s+/g, ' ').trim().replace(/\.$/, '');
    o.versions = [...o.versions].sort();
  }
  for (const o of all) {
    const literal = (x) => x.rest.split('/').filter((s) => s && !s.startsWith('{')).join('/');
    const mine = literal(o);
    const siblings = all.some((x) => x !== o && x.group === o.group && (literal(x) === mine || literal(x).startsWith(`${mine}/`)));
    o.name = o.row.name ?? nameOf(o.group, o.method, o.rest, siblings, o.array || o.params.length === 0 || !o.file);
  }
  for (const o of all) {
    o.full = `${o.group}.${o.name}`;
    if (MULTIPART.has(o.full)) o.body = 'multipart!';
    o.iterates = Boolean(o.paged || o.row.iterate || ITERATED.has(o.full) || (/(^|\.)list(_|$)/.test(o.name) && (o.array || !o.file)));
  }
  all.sort((a, b) => (a.full < b.full ? -1 : a.full > b.full ? 1 : (b.versions.at(-1) ?? '').localeCompare(a.versions.at(-1) ?? '')));
  // Older forms of an operation that has moved are described by the newer one's document.
  for (const [i, o] of all.entries()) {
    const newer = all[i - 1];
    if (newer?.full !== o.full) continue;
    if (!o.file) for (const k of ['query', 'body', 'answerIds', 'bodyIds', 'iterates', 'summary']) o[k] = k === 'summary' ? o[k] || newer[k] : newer[k];
    o.versions = o.versions.filter((v) => !newer.versions.includes(v));
  }
  check(all);
  return { versions, operations: all, types: objectTypes(rows) };
}

// New data must not give two operations one name, or a name that Lua cannot have.
function check(all) {
  const KEYWORDS = /^(and|break|do|else|elseif|end|false|for|function|goto|if|in|local|nil|not|or|repeat|return|then|true|until|while)$/;
  const taken = new Map();
  for (const o of all) {
    for (const v of o.versions.length ? o.versions : ['']) {
      const other = taken.get(`${o.full} ${v}`);
      if (other) throw new Error(`${o.full} is both ${other.method} ${other.path} and ${o.method} ${o.path}: name one in NAMES`);
      taken.set(`${o.full} ${v}`, o);
    }
    for (const part of o.full.split('.')) if (!/^[a-z][a-z0-9_]*$/.test(part) || KEYWORDS.test(part)) throw new Error(`${o.full} is no name for Lua`);
    const above = all.find((x) => o.full.startsWith(`${x.full}.`));
    if (above) throw new Error(`${above.full} is a function, and ${o.full} stands below it: name one in NAMES`);
  }
}

// The object types that have paths of their own, and what can be done with each.
function objectTypes(rows) {
  const WAYS = { 'GET ': 'list', 'POST ': 'create', 'GET /{}': 'get', 'PATCH /{}': 'update', 'DELETE /{}': 'archive', 'POST /search': 'search',
    'POST /merge': 'merge', 'POST /gdpr-delete': 'gdpr_delete', 'POST /batch/read': 'batch_read', 'POST /batch/create': 'batch_create',
    'POST /batch/update': 'batch_update', 'POST /batch/upsert': 'batch_upsert', 'POST /batch/archive': 'batch_archive' };
  const ALIASES = { goal_targets: 'goals', commerce_payments: 'payments' };
  const GENERIC = new Set(['objects', 'customObjects', 'associations', 'dealSplits', 'payments']);
  const NAMED = { appointments: '0-421', deals: 'deals' };   // the documents give no name for the path
  const types = new Map();
  for (const r of rows) {
    const m = /^\/crm\/(?:v3\/objects|objects\/(?:v3|20\d\d-\d\d))\/([^/]+)(.*)$/.exec(r.path);
    const way = m && WAYS[`${r.method} ${m[2].replace(PARAM, '{}')}`];
    if (!way || GENERIC.has(r.api)) continue;
    const t = types.get(r.api) ?? { name: snake(r.api), literals: new Set(), ways: new Set() };
    if (!m[1].startsWith('{')) t.literals.add(m[1]);
    t.ways.add(way);
    types.set(r.api, t);
  }
  return [...types.values()].flatMap((t) => {
    const named = [...t.literals].sort((a, b) => /\d/.test(a) - /\d/.test(b));
    const one = { name: t.name, type: NAMED[t.name] ?? named[0] ?? t.name, ways: Object.values(WAYS).filter((w) => t.ways.has(w)) };
    return ALIASES[t.name] ? [one, { ...one, name: ALIASES[t.name] }] : [one];
  }).sort((a, b) => (a.name < b.name ? -1 : 1));
}

const short = (s) => (s.length <= 72 ? s : `${s.slice(0, 72).replace(/[ ,]+[^ ]*$/, '')} …`);

// One line an operation; stdlib/hubspot/calls.lua reads them.
function line(o, versions) {
  const query = o.query === null ? '?' : o.query.join(',');
  const own = o.versions.length === versions.length ? '' : o.versions.join(',');
  const flags = [o.iterates ? 'iterates' : '', o.full === 'lists.search' ? 'offset' : '',
    o.query === null || o.answerIds.length ? 'ids' : '', o.bodyIds.length ? `sent:${o.bodyIds.join('+')}` : ''].filter(Boolean).join(',');
  const local = o.full.slice(o.full.indexOf('.') + 1);
  return [local, o.method, o.path, own, query, o.body, flags, short(o.summary)].join('|').replace(/\|+$/, '');
}

const HEAD = (what) => `-- Made by \`make tables\` (tests/generate/apis.mjs) out of hubspot/endpoints.tsv and hubspot/openapi/*.json,
-- HubSpot's published operations; do not edit. ${what}.
`;

// File name -> text.
export function files(folder) {
  const { versions, operations, types } = build(folder);
  const groups = new Map();
  for (const o of operations) {
    const top = o.full.split('.')[0];
    groups.set(top, [...(groups.get(top) ?? []), line(o, versions)]);
  }
  const core = ['list', 'create', 'get', 'update', 'archive', 'search', 'batch_read', 'batch_create', 'batch_update', 'batch_upsert', 'batch_archive'];
  const ways = (w) => (core.every((c) => w.includes(c)) ? ['["*"]', ...w.filter((x) => !core.includes(x))] : w).map((x) => `${x} = true`).join(', ');
  return {
    'stdlib/hubspot/types.lua': `${HEAD(`${types.length} names of object types`)}-- luacheck: ignore 631
-- type: as paths have it; can: "*" is list create get update upsert archive search and their batches.
return {
${types.map((t) => `  ${t.name} = { type = "${t.type}", can = { ${ways(t.ways)} } },`).join('\n')}
}
`,
    'stdlib/hubspot/apis.lua': `${HEAD(`${operations.length} operations in ${groups.size} groups`)}-- luacheck: ignore 631
-- A line: name|method|path|versions (empty: all, or none in the path)|query (?: not described, !: required)|body|
-- how bodies and answers are read|summary. stdlib/hubspot/calls.lua reads them.
return { versions = { ${versions.map((v) => `"${v}"`).join(', ')} }, groups = {
${[...groups].map(([g, lines]) => `${g} = [[\n${lines.join('\n')}\n]],`).join('\n')}
} }
`,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = dataFolder();
  if (!folder) {
    console.error("make tables: HubSpot's data (../shared/hubspot/endpoints.tsv) is not here; HL_HUBSPOT names its folder");
    process.exit(1);
  }
  for (const [name, text] of Object.entries(files(folder))) {
    const file = path.join(repository, name);
    if (!process.argv.includes('--check')) fs.writeFileSync(file, text);
    else if (!fs.existsSync(file) || fs.readFileSync(file, 'utf8') !== text) {
      console.error(`${name} is not what the data gives: run make tables`);
      process.exitCode = 1;
    }
  }
}
