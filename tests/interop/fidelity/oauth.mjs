// An app's token from a person's consent to its end.
const client = { client_id: '$app', client_secret: '$secret' };
const REDIRECT = 'http://localhost/callback';
export const flows = [{ name: 'oauth', calls: [
  ['SIM', 'authorize', { body: { client_id: '$app', redirect_uri: REDIRECT, scope: 'crm.objects.contacts.read oauth' }, save: { code: 'code' } }],
  ['POST', '/oauth/{v}/token', { auth: null, form: { grant_type: 'authorization_code', ...client, redirect_uri: REDIRECT, code: '$code' }, save: { access: 'access_token', refresh: 'refresh_token' }, is: { token_type: 'bearer', access_token: /./ } }],
  ['POST', '/oauth/{v}/token', { auth: null, form: { grant_type: 'refresh_token', ...client, refresh_token: '$refresh' }, save: { access: 'access_token' }, is: { expires_in: 1800 } }],
  ['POST', '/oauth/{v}/token', { auth: null, form: { grant_type: 'refresh_token', ...client, refresh_token: 'nonsense' }, status: 400 }],
  ['GET', '/crm/objects/{v}/contacts', { auth: '$access' }],
  ['GET', '/crm/objects/{v}/deals', { auth: '$access', status: 403 }],
  ['POST', '/oauth/{v}/token/introspect', { auth: null, form: { ...client, token: '$access' }, is: { active: true, hub_id: '$portal', token_use: 'access_token' } }],
  ['POST', '/oauth/{v}/token/introspect', { auth: null, form: { ...client }, status: 400 }],
  ['POST', '/oauth/{v}/token/revoke', { auth: null, form: { ...client, token: '$refresh' } }],
  ['POST', '/oauth/{v}/token/revoke', { auth: null, form: { ...client }, status: 400 }],
  ['GET', '/crm/objects/{v}/contacts', { auth: '$access', status: 401 }],
] }];
