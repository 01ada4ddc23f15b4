// Owners, and what the account says of itself.
const BASE = '/crm/owners/{v}';
export const flows = [{ name: 'account', calls: [
  ['GET', BASE, { query: { limit: '1', archived: 'false' }, save: { id: 'results.0.id', email: 'results.0.email', user: 'results.0.userId', after: 'paging.next.after' } }],
  ['GET', BASE, { query: { limit: '100', after: '$after' }, is: { results: (list) => list?.length === 2 } }],
  ['GET', BASE, { query: { email: '$email' }, is: { results: (list, vars) => list?.length === 1 && list[0].id === vars.id } }],
  ['GET', BASE, { query: { limit: '1000' }, status: 400 }],
  ['GET', `${BASE}/$id`, { is: { email: '$email', archived: false } }],
  ['GET', `${BASE}/$user`, { query: { idProperty: 'userId' }, is: { id: '$id' } }],
  ['GET', `${BASE}/999999`, { status: 404 }],
  ['GET', '/account-info/{v}/details', { is: { portalId: '$portal' } }],
  ['GET', '/account-info/{v}/details', { auth: null, status: 401 }],
  ['GET', '/account-info/{v}/api-usage/daily/private-apps', { is: { 'results.0.currentUsage': (n) => n > 0 } }],
  ['GET', '/account-info/{v}/api-usage/daily/private-apps', { auth: null, status: 401 }],
] }];
export const typed = [
  ['crm.owners.ownersApi.getPage', [undefined, undefined, 1], { save: { id: 'results.0.id' } }],
  ['crm.owners.ownersApi.getById', ['$id'], { is: { id: '$id' } }],
  ['crm.owners.ownersApi.getById', [999999], { code: 404 }],
];
