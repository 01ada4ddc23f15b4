// Custom objects: their schemas, and that records of them work.
const BASE = '/crm-object-schemas/{v}/schemas';
const text = (name, more) => ({ name, label: name, type: 'string', fieldType: 'text', ...more });
const car = (name) => ({
  name, labels: { singular: 'Car', plural: 'Cars' }, allowsSensitiveProperties: false, associatedObjects: ['CONTACT'], description: 'What we rent',
  primaryDisplayProperty: 'model', requiredProperties: ['model'], searchableProperties: ['model'], secondaryDisplayProperties: ['plate'],
  properties: [text('model'), text('plate', { hasUniqueValue: true })],
});
const all = { includePropertyDefinitions: true, includeAssociationDefinitions: true, includeAuditMetadata: true };

export const flows = [{ name: 'schemas', calls: [
  ['POST', BASE, { body: car('car'), save: { id: 'objectTypeId', full: 'fullyQualifiedName' }, is: { name: 'car', requiredProperties: ['model'], associations: (list) => list?.length === 12 } }],
  ['POST', BASE, { body: car('car'), status: 409 }],
  ['POST', BASE, { body: { ...car('bus'), requiredProperties: ['nonsense'] }, status: 400 }],
  ['GET', BASE, { query: { archived: 'false' }, is: { 'results.0.objectTypeId': '$id', results: (list) => list?.length === 1 } }],
  ['GET', BASE, { auth: null, status: 401 }],
  ['GET', `${BASE}/$full`, { is: { labels: { singular: 'Car', plural: 'Cars' }, properties: (list) => list?.some((p) => p.name === 'plate' && p.hasUniqueValue) } }],
  ['GET', `${BASE}/nonsense`, { status: 404 }],
  ['POST', `${BASE}/batch/read`, { body: { ...all, inputs: ['$id', 'contacts'] }, is: { 'results.0.name': 'car', 'results.1.objectTypeId': '0-1' } }],
  ['POST', `${BASE}/batch/read`, { body: { ...all, inputs: ['nonsense'] }, status: 400 }],
  ['PATCH', `${BASE}/$id`, { body: { clearDescription: false, description: 'What we sell', requiredProperties: ['model', 'plate'] }, is: { description: 'What we sell', requiredProperties: ['model', 'plate'] } }],
  ['PATCH', `${BASE}/contacts`, { body: { clearDescription: false }, status: 400 }],
  ['POST', '/crm/objects/{v}/$id', { body: { properties: { model: 'T' }, associations: [] }, status: 400 }],
  ['POST', '/crm/objects/{v}/$full', { body: { properties: { model: 'T', plate: 'B-1' }, associations: [] }, save: { record: 'id' } }],
  ['GET', '/crm/objects/{v}/contacts', { query: { limit: '1' }, save: { contact: 'results.0.id' } }],
  ['POST', `${BASE}/$id/associations`, { body: { fromObjectTypeId: '$id', toObjectTypeId: '0-2', name: 'car_to_company' }, save: { association: 'id' }, is: { toObjectTypeId: '0-2' } }],
  ['POST', `${BASE}/$id/associations`, { body: { fromObjectTypeId: '$id', toObjectTypeId: '0-2' }, status: 409 }],
  ['PUT', '/crm/objects/{v}/$id/$record/associations/default/contacts/$contact', { is: { 'results.0.associationSpec.associationCategory': 'USER_DEFINED' } }],
  ['GET', '/crm/objects/{v}/$id/$record', { query: { associations: 'contacts' }, is: { 'associations.contacts.results.0.id': '$contact' } }],
  ['POST', '/crm/objects/{v}/$id/search', { body: { filterGroups: [{ filters: [{ propertyName: 'plate', operator: 'EQ', value: 'B-1' }] }], properties: ['model'], limit: 1, after: '0', sorts: [] }, until: true, is: { total: 1 } }],
  ['DELETE', `${BASE}/$id/associations/$association`],
  ['DELETE', `${BASE}/$id/associations/$association`, { status: 404 }],
  ['DELETE', `${BASE}/$id`, { status: 400 }],
  ['DELETE', '/crm/objects/{v}/$id/$record'],
  ['DELETE', `${BASE}/$id`],
  ['GET', '/crm/objects/{v}/$id', { status: 400 }],
  ['GET', BASE, { query: { archived: 'true' }, is: { 'results.0.archived': true } }],
] }];

const T = 'crm.schemas.coreApi';
export const typed = [
  [`${T}.create`, [car('truck')], { save: { id: 'objectTypeId' }, is: { fullyQualifiedName: /truck/ } }],
  [`${T}.getAll`, [], { is: { results: (list) => list.length === 1 } }],
  [`${T}.getById`, ['$id'], { is: { 'properties.0.createdAt': (v) => v instanceof Date } }],
  [`${T}.update`, ['$id', { description: 'Big', clearDescription: false }], { is: { description: 'Big' } }],
  [`${T}.createAssociation`, ['$id', { fromObjectTypeId: '$id', toObjectTypeId: '0-3', name: 'truck_to_deal' }], { save: { association: 'id' } }],
  [`${T}.archiveAssociation`, ['$id', '$association']],
  [`${T}.archive`, ['$id']],
];
