// Records of each type that has a document of its own, and of calls for the document of all types.

// create: what a record needs; of and links: the type that it is associated with, undefined: by a label of one's own; change: a property and two values; unique: an idProperty, made first where HubSpot defines none.
const TYPES = {
  contacts: { create: { email: 'first@fidelity.example', firstname: 'Ada' }, second: { email: 'second@fidelity.example' }, change: ['lastname', 'Lovelace', 'King'], unique: 'email', ids: ['first@fidelity.example', 'new@fidelity.example'], merge: true, gdpr: true },
  companies: { create: { name: 'Fidelity', domain: 'fidelity.example' }, second: { name: 'Other' }, change: ['city', 'Berlin', 'Wien'], merge: true },
  deals: { create: { dealname: 'First', dealstage: 'qualifiedtobuy', amount: '12.5' }, second: { dealname: 'Second', dealstage: 'closedwon' }, change: ['amount', '7', '8'], merge: true },
  tickets: { create: { subject: 'Help', hs_pipeline_stage: '1' }, second: { subject: 'Again', hs_pipeline_stage: '2' }, change: ['content', 'more', 'still more'], merge: true, links: 'companies' },
  leads: { create: { hs_lead_name: 'A lead' }, second: { hs_lead_name: 'B lead' }, change: ['hs_lead_label', 'HOT', 'COLD'], of: ['contacts', 578] },
  products: { create: { name: 'Chair', price: '10' }, second: { name: 'Table', price: '90' }, change: ['price', '11', '12'], links: 'deals', undefined: true },
  line_items: { create: { name: 'Chair', quantity: '2', price: '10' }, second: { name: 'Table', quantity: '1', price: '90' }, change: ['quantity', '3', '4'], links: 'deals' },
  notes: { create: { hs_note_body: 'Called', hs_timestamp: '2026-09-01T08:00:00.000Z' }, second: { hs_note_body: 'B', hs_timestamp: '2026-09-01T09:00:00.000Z' }, change: ['hs_note_body', 'Wrote', 'Met'] },
  tasks: { create: { hs_task_subject: 'Call', hs_timestamp: '2026-09-01T08:00:00.000Z' }, second: { hs_task_subject: 'Write', hs_timestamp: '2026-09-01T09:00:00.000Z' }, change: ['hs_task_status', 'COMPLETED', 'DEFERRED'] },
  calls: { create: { hs_call_title: 'Intro', hs_timestamp: '2026-09-01T08:00:00.000Z' }, second: { hs_call_title: 'Next', hs_timestamp: '2026-09-01T09:00:00.000Z' }, change: ['hs_call_body', 'good', 'better'] },
};

const NOBODY = '999999999';
const uniqueOf = (x) => x.unique ?? 'fidelity_key';

function flow(type, x) {
  const base = `/crm/objects/{v}/${type}`;
  const [name, one, two] = x.change;
  const unique = uniqueOf(x);
  const [known, fresh] = x.ids ?? ['k-1', 'k-2'];
  const create = x.unique ? x.create : { ...x.create, [unique]: known };
  const links = x.of ? [{ to: { id: '$partner' }, types: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: x.of[1] }] }] : [];
  const trace = (i) => `${type}-${i}`;
  const partner = x.of?.[0] ?? x.links;
  return [
    ...(x.unique ? [] : [
      ['GET', `/crm/properties/{v}/${type}/groups`, { save: { group: 'results.0.name' } }],
      ['POST', `/crm/properties/{v}/${type}`, { body: { name: unique, label: 'Key', type: 'string', fieldType: 'text', groupName: '$group', hasUniqueValue: true } }],
    ]),
    ...(partner ? [['GET', `/crm/objects/{v}/${partner}`, { query: { limit: '1' }, save: { partner: 'results.0.id' } }]] : []),
    ['POST', base, { body: { properties: create, associations: links }, save: { id: 'id' }, is: { archived: false } }],
    ['POST', base, { body: { properties: { nonsense: 'x' }, associations: [] }, status: 400, is: { category: 'VALIDATION_ERROR' } }],
    ['POST', base, { body: '{"properties":', status: 400 }],
    ['GET', `${base}/$id`, { query: { properties: `${name},${unique}`, archived: 'false' }, is: { id: '$id', [`properties.${unique}`]: known } }],
    ['GET', `${base}/${known}`, { query: { idProperty: unique }, is: { id: '$id' } }],
    ['GET', `${base}/${NOBODY}`, { status: 404, is: { category: 'OBJECT_NOT_FOUND' } }],
    ['PATCH', `${base}/$id`, { body: { properties: { [name]: one } }, is: { [`properties.${name}`]: one } }],
    ['GET', `${base}/$id`, { query: { propertiesWithHistory: name }, is: { [`propertiesWithHistory.${name}.0.value`]: one } }],
    ['PATCH', `${base}/$id`, { body: { properties: { hs_object_id: '7' } }, status: 400 }],
    ['PATCH', `${base}/${NOBODY}`, { body: { properties: { [name]: one } }, status: 404 }],

    ['POST', `${base}/batch/create`, { body: { inputs: [{ properties: x.second, associations: links, objectWriteTraceId: trace(1) }] }, save: { second: 'results.0.id' }, is: { status: 'COMPLETE', 'results.0.objectWriteTraceId': trace(1) } }],
    ['POST', `${base}/batch/create`, { body: { inputs: [{ properties: { nonsense: 'x' }, associations: links, objectWriteTraceId: trace(2) }, { properties: x.unique ? { email: 'third@fidelity.example' } : x.second, associations: links, objectWriteTraceId: trace(3) }] }, status: 207, is: { numErrors: 1, 'errors.0.context.objectWriteTraceId': [trace(2)] } }],
    ['POST', `${base}/batch/create`, { body: { inputs: [] }, status: 400 }],
    ['POST', `${base}/batch/read`, { body: { inputs: [{ id: '$id' }], properties: [name], propertiesWithHistory: [] }, is: { 'results.0.id': '$id', [`results.0.properties.${name}`]: one } }],
    ['POST', `${base}/batch/read`, { body: { inputs: [{ id: known }], idProperty: unique, properties: [name], propertiesWithHistory: [] }, is: { 'results.0.id': '$id' } }],
    ['POST', `${base}/batch/read`, { body: { inputs: [{ id: '$id' }, { id: NOBODY }], properties: [], propertiesWithHistory: [] }, status: 207, is: { 'errors.0.category': 'OBJECT_NOT_FOUND' } }],
    ['POST', `${base}/batch/read`, { body: { inputs: [], properties: [], propertiesWithHistory: [] }, status: 400 }],
    ['POST', `${base}/batch/update`, { body: { inputs: [{ id: '$id', properties: { [name]: two } }] }, is: { 'results.0.id': '$id', [`results.0.properties.${name}`]: two } }],
    ['POST', `${base}/batch/update`, { body: { inputs: [{ id: '$id', properties: { nonsense: two } }] }, status: 400 }],
    ['POST', `${base}/batch/upsert`, { body: { inputs: [{ id: known, idProperty: unique, properties: { [name]: one } }, { id: fresh, idProperty: unique, properties: { ...(x.unique ? {} : x.second), [name]: one } }] }, save: { third: 'results.1.id' }, is: { 'results.0.id': '$id', 'results.0.new': false, 'results.1.new': true } }],
    ['POST', `${base}/batch/upsert`, { body: { inputs: [{ id: 'x', idProperty: 'nonsense', properties: {} }] }, status: 400 }],

    ['POST', `${base}/search`, { body: { filterGroups: [{ filters: [{ propertyName: unique, operator: 'EQ', value: known }] }], properties: [name], sorts: [{ propertyName: name, direction: 'ASCENDING' }], limit: 1, after: '0' }, until: true, is: { total: 1, 'results.0.id': '$id' } }],
    ['POST', `${base}/search`, { body: { filterGroups: [], properties: [name], limit: 1 }, until: true, is: { 'paging.next.after': '1' } }],
    ['POST', `${base}/search`, { body: { filterGroups: [{ filters: [{ propertyName: 'nonsense', operator: 'EQ', value: 'x' }] }] }, status: 400 }],
    ['GET', base, { query: { limit: '1', properties: name }, save: { after: 'paging.next.after' }, is: { results: (list) => list?.length === 1 } }],
    ['GET', base, { query: { limit: '100', after: '$after' }, is: { results: (list, vars) => list?.length > 0 && !list.some((r) => r.id === vars.after) } }],
    ['GET', base, { query: { limit: '1000' }, status: 400 }],

    ...(x.undefined ? [['POST', `/crm/associations/{v}/${type}/${x.links}/labels`, { body: { label: 'Sold in', name: 'sold_in', inverseLabel: 'Sells' } }]] : []),
    ...(x.links ? [
      ['PUT', `${base}/$id/associations/default/${x.links}/$partner`, { save: { association: 'results.0.associationSpec.associationTypeId', category: 'results.0.associationSpec.associationCategory' } }],
      ['PUT', `${base}/${NOBODY}/associations/default/${x.links}/$partner`, { status: 404 }],
      ['PUT', `${base}/$id/associations/${x.links}/$partner`, { body: [{ associationCategory: '$category', associationTypeId: '$association' }], is: { toObjectId: '$partner' } }],
      ['PUT', `${base}/$id/associations/${x.links}/$partner`, { body: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: 9999 }], status: 400 }],
      ['GET', `${base}/$id`, { query: { associations: x.links }, is: { [`associations.${x.links}.results.0.id`]: '$partner' } }],
      ['DELETE', `${base}/$id/associations/${x.links}/$partner`],
      ['GET', `${base}/$id`, { query: { associations: x.links }, is: { associations: undefined } }],
      ['DELETE', `${base}/$id/associations/nonsense/$partner`, { status: 400 }],
    ] : []),
    ...(x.merge ? [
      ['POST', `${base}/merge`, { body: { primaryObjectId: '$id', objectIdToMerge: '$second' }, save: { merged: 'id' } }],
      ['GET', `${base}/$second`, { is: { id: '$merged' } }],
      ['POST', `${base}/merge`, { body: { primaryObjectId: '$id', objectIdToMerge: '$id' }, status: 400 }],
      ['POST', `${base}/merge`, { body: { primaryObjectId: '$id', objectIdToMerge: NOBODY }, status: 404 }],
    ] : []),
    ...(x.gdpr ? [
      ['POST', `${base}/gdpr-delete`, { body: { objectId: '$third' } }],
      ['GET', `${base}/$third`, { query: { archived: 'true' }, status: 404 }],
      ['POST', `${base}/gdpr-delete`, { body: {}, status: 400 }],
    ] : []),
    ['DELETE', `${base}/$id`],
    ['GET', `${base}/$id`, { status: 404 }],
    ...(x.merge ? [] : [['GET', `${base}/$id`, { query: { archived: 'true' }, is: { id: '$id', archived: true } }]]),
    ['DELETE', `${base}/nonsense`, { status: 404 }],
    ['POST', `${base}/batch/archive`, { body: { inputs: [{ id: '$third' }] } }],
    ['GET', `${base}/$third`, { status: 404 }],
    ['POST', `${base}/batch/archive`, { body: { inputs: [] }, status: 400 }],
  ];
}

export const flows = Object.entries(TYPES).map(([type, x]) => ({ name: type, calls: flow(type, x) }));

// Types without a document of their own that the client knows.
const OTHERS = {
  emails: { create: { hs_email_subject: 'Hi', hs_email_direction: 'EMAIL' }, change: ['hs_email_text', 'a', 'b'] },
  meetings: { create: { hs_meeting_title: 'Meet' }, change: ['hs_meeting_body', 'a', 'b'] },
  communications: { create: { hs_communication_channel_type: 'SMS' }, change: ['hs_communication_body', 'a', 'b'] },
  goal_targets: { create: { hs_goal_name: 'Sell' }, change: ['hs_target_amount', '7', '8'], api: 'goals' },
  postal_mail: { create: { hs_postal_mail_body: 'Hi' }, change: ['hs_postal_mail_body', 'a', 'b'], api: 'postalMail' },
  taxes: { create: { hs_label: 'VAT', hs_type: 'PERCENT' }, change: ['hs_value', '7', '19'] },
  quotes: { create: { hs_title: 'Q' }, change: ['hs_status', 'DRAFT', 'APPROVED'], api: '../quotes' },
  invoices: { create: { hs_currency: 'EUR' }, change: ['hs_invoice_status', 'draft', 'open'], api: '../commerce.invoices' },
};
const CLIENT = { ...Object.fromEntries(['contacts', 'companies', 'deals', 'tickets', 'products'].map((t) => [t, t])), line_items: 'lineItems', leads: 'objects.leads', notes: 'objects.notes', tasks: 'objects.tasks', calls: 'objects.calls',
  ...Object.fromEntries(Object.entries(OTHERS).map(([t, x]) => [t, x.api?.startsWith('../') ? x.api.slice(3) : `objects.${x.api ?? t}`])) };

export const typed = Object.entries(CLIENT).flatMap(([type, where]) => {
  const x = TYPES[type] ?? { ...OTHERS[type], second: OTHERS[type].create };
  const api = `crm.${where}`;
  const [name, one, two] = x.change;
  const links = x.of ? [{ to: { id: '$partner' }, types: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: x.of[1] }] }] : [];
  const unique = x.unique ?? 'fidelity_key';
  return [
    ...(x.of ? [[`crm.${x.of[0]}.basicApi.getPage`, [1], { save: { partner: 'results.0.id' } }]] : []),
    ...(x.unique ? [] : [
      ['crm.properties.groupsApi.getAll', [type], { save: { group: 'results.0.name' } }],
      ['crm.properties.coreApi.create', [type, { name: unique, label: 'Key', type: 'string', fieldType: 'text', groupName: '$group', hasUniqueValue: true }]],
    ]),
    [`${api}.basicApi.create`, [{ properties: x.create, associations: links }], { save: { id: 'id' }, is: { createdAt: (v) => v instanceof Date } }],
    [`${api}.basicApi.getById`, ['$id', [name]], { is: { id: '$id' } }],
    [`${api}.basicApi.getById`, [NOBODY], { code: 404 }],
    [`${api}.basicApi.update`, ['$id', { properties: { [name]: one } }], { is: { [`properties.${name}`]: one } }],
    [`${api}.basicApi.getPage`, [1], { is: { results: (v) => v.length === 1 } }],
    [`${api}.batchApi.create`, [{ inputs: [{ properties: x.second, associations: links }] }], { save: { second: 'results.0.id' } }],
    [`${api}.batchApi.read`, [{ inputs: [{ id: '$id' }], properties: [name], propertiesWithHistory: [] }], { is: { 'results.0.id': '$id' } }],
    [`${api}.batchApi.update`, [{ inputs: [{ id: '$id', properties: { [name]: two } }] }], { is: { [`results.0.properties.${name}`]: two } }],
    [`${api}.batchApi.upsert`, [{ inputs: [{ id: x.ids?.[1] ?? 'k-9', idProperty: unique, properties: x.unique ? {} : x.second }] }], { is: { 'results.0._new': true }, save: { third: 'results.0.id' } }],
    [`${api}.searchApi.doSearch`, [{ filterGroups: [{ filters: [{ propertyName: 'hs_object_id', operator: 'EQ', value: '$id' }] }], properties: [name], limit: 10, after: '0', sorts: [] }], { until: true, is: { total: 1 } }],
    ...(x.merge ? [[`${api}.basicApi.merge`, [{ primaryObjectId: '$id', objectIdToMerge: '$second' }], { save: { id: 'id' } }]] : []),
    ...(x.gdpr ? [[`${api}.basicApi.purge`, [{ objectId: '$third' }]]] : []),
    [`${api}.basicApi.archive`, ['$id']],
    [`${api}.batchApi.archive`, [{ inputs: [{ id: '$third' }] }]],
  ];
}).concat([
  ['crm.objects.feedbackSubmissions.basicApi.getPage', []],
  ['crm.objects.feedbackSubmissions.basicApi.getById', [NOBODY], { code: 404 }],
  ['crm.objects.feedbackSubmissions.batchApi.read', [{ inputs: [{ id: NOBODY }], properties: [], propertiesWithHistory: [] }], { is: { numErrors: 1 } }],
  ['crm.objects.feedbackSubmissions.searchApi.doSearch', [{ filterGroups: [], properties: [], limit: 1, after: '0', sorts: [] }], { is: { total: 0 } }],
  ['crm.objects.basicApi.create', ['calls', { properties: TYPES.calls.create, associations: [] }], { save: { id: 'id' } }],
  ['crm.objects.basicApi.getById', ['calls', '$id'], { is: { id: '$id' } }],
  ['crm.objects.basicApi.update', ['calls', '$id', { properties: { hs_call_body: 'x' } }]],
  ['crm.objects.basicApi.getPage', ['calls', 1]],
  ['crm.objects.batchApi.create', ['calls', { inputs: [{ properties: TYPES.calls.create, associations: [] }] }], { save: { second: 'results.0.id' } }],
  ['crm.objects.batchApi.read', ['calls', { inputs: [{ id: '$id' }], properties: [], propertiesWithHistory: [] }]],
  ['crm.objects.batchApi.update', ['calls', { inputs: [{ id: '$id', properties: { hs_call_body: 'y' } }] }]],
  ['crm.objects.batchApi.upsert', ['calls', { inputs: [{ id: 'k-8', idProperty: 'fidelity_key', properties: {} }] }]],
  ['crm.objects.searchApi.doSearch', ['calls', { filterGroups: [], properties: [], limit: 1, after: '0', sorts: [] }], { until: true, is: { 'results.0.id': /\d/ } }],
  ['crm.objects.basicApi.archive', ['calls', '$id']],
  ['crm.objects.batchApi.archive', ['calls', { inputs: [{ id: '$second' }] }]],
]);
