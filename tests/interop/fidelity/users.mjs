// The account's users; their document is that of 2026-03.
const BASE = '/settings/users/2026-03';
const user = (email, more) => ({ email, sendWelcomeEmail: false, ...more });
export const flows = [{ name: 'users', calls: [
  ['GET', BASE, { query: { limit: '1' }, save: { after: 'paging.next.after' }, is: { 'results.0.superAdmin': true } }],
  ['GET', BASE, { query: { after: '$after' }, is: { results: (l) => l?.length === 3 } }],
  ['GET', BASE, { query: { limit: '9999' }, status: 400 }],
  ['GET', `${BASE}/roles`, { save: { role: 'results.0.id' } }],
  ['GET', `${BASE}/roles`, { auth: null, status: 401 }],
  ['GET', `${BASE}/teams`, { save: { team: 'results.0.id' } }],
  ['GET', `${BASE}/teams`, { auth: null, status: 401 }],
  ['POST', BASE, { body: user('new@example.com', { roleId: '$role' }), save: { user: 'id' }, is: { 'roleIds.0': '$role' } }],
  ['POST', BASE, { body: user('new@example.com'), status: 409 }],
  ['GET', `${BASE}/new@example.com`, { query: { idProperty: 'EMAIL' }, is: { id: '$user' } }],
  ['GET', `${BASE}/1`, { status: 404 }],
  ['PUT', `${BASE}/$user`, { body: { primaryTeamId: '$team' }, is: { primaryTeamId: '$team' } }],
  ['PUT', `${BASE}/1`, { body: {}, status: 404 }],
  ['DELETE', `${BASE}/$user`],
  ['DELETE', `${BASE}/$user`, { status: 404 }],
] }];
const U = 'settings.users.usersApi';
export const typed = [
  ['settings.users.rolesApi.getAll', [], { save: { role: 'results.0.id' } }],
  ['settings.users.teamsApi.getAll'],
  [`${U}.create`, [user('typed@example.com')], { save: { id: 'id' } }],
  [`${U}.getById`, ['$id'], { is: { email: 'typed@example.com' } }],
  [`${U}.getById`, ['1'], { code: 404 }],
  [`${U}.getPage`, [], { is: { results: (l) => l.length > 1 } }],
  [`${U}.replace`, ['$id', { roleId: '$role' }], { is: { roleId: '$role' } }],
  [`${U}.archive`, ['$id']],
];
