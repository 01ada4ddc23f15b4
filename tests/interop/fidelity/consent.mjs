// Communication preferences. Every call that reads or sets them names a channel.
const BASE = '/communication-preferences/{v}';
const PERSON = `${BASE}/statuses/cy@example.com`;
const BATCH = `${BASE}/statuses/batch`;
const EMAIL = { channel: 'EMAIL' };
const one = { emailAddress: 'ada@example.com', subscriptionId: '$id' };
const set = (statusState, more) => ({ channel: 'EMAIL', statusState, subscriptionId: '$id:number', ...more });
export const flows = [{ name: 'consent', calls: [
  ['GET', `${BASE}/definitions`, { save: { id: 'results.0.id' }, is: { 'results.0.name': 'Marketing Information' } }],
  ['GET', `${BASE}/definitions`, { auth: null, status: 401 }],
  ['POST', `${BASE}/subscribe`, { body: { ...one, legalBasis: 'CONSENT_WITH_NOTICE', legalBasisExplanation: 'asked' }, is: { status: 'SUBSCRIBED' } }],
  ['POST', `${BASE}/unsubscribe`, { body: one, is: { status: 'NOT_SUBSCRIBED' } }],
  ['POST', `${BASE}/unsubscribe`, { body: { emailAddress: 'ada@example.com' }, status: 400 }],
  ['POST', `${BASE}/subscribe`, { body: one, status: 400 }],
  ['POST', `${BASE}/resubscribe`, { body: one, is: { status: 'SUBSCRIBED' } }],
  ['POST', `${BASE}/resubscribe`, { body: { emailAddress: 'nobody', subscriptionId: '$id' }, status: 400 }],
  ['GET', `${BASE}/status/email/ada@example.com`, { is: { recipient: 'ada@example.com', subscriptionStatuses: (l) => l?.length === 3 } }],
  ['GET', `${BASE}/status/email/nobody`, { status: 400 }],
  ['GET', PERSON, { query: EMAIL, is: { results: (l) => l?.length === 3 } }],
  ['GET', PERSON, { status: 400 }],
  ['POST', PERSON, { body: set('UNSUBSCRIBED'), is: { 'results.0.status': 'UNSUBSCRIBED', 'results.0.setStatusSuccessReason': 'REQUESTED_CHANGE_OCCURRED' } }],
  ['POST', PERSON, { body: set('PERHAPS'), status: 400 }],
  ['GET', `${PERSON}/unsubscribe-all`, { query: EMAIL, is: { 'results.0.status': 'NOT_SPECIFIED' } }],
  ['POST', `${PERSON}/unsubscribe-all`, { query: { ...EMAIL, verbose: 'true' }, is: { results: (l) => l?.length === 3 } }],
  ['POST', `${PERSON}/unsubscribe-all`, { query: EMAIL }],
  ['POST', `${PERSON}/unsubscribe-all`, { query: { channel: 'SMS' }, status: 400 }],
  ['GET', `${PERSON}/unsubscribe-all`, { query: EMAIL, is: { 'results.0.status': 'UNSUBSCRIBED' } }],
  ['GET', `${PERSON}/unsubscribe-all`, { status: 400 }],
  ['POST', `${BATCH}/write`, { body: { inputs: [set('SUBSCRIBED', { subscriberIdString: 'cy@example.com' })] }, is: { 'results.0.setStatusSuccessReason': 'RESUBSCRIBE_OCCURRED' } }],
  ['POST', `${BATCH}/write`, { body: { inputs: [] }, status: 400 }],
  ['POST', `${BATCH}/read`, { query: EMAIL, body: { inputs: ['cy@example.com', 'bo@example.com'] }, is: { 'results.0.statuses.0.status': 'SUBSCRIBED' } }],
  ['POST', `${BATCH}/read`, { query: EMAIL, body: { inputs: [] }, status: 400 }],
  ['POST', `${BATCH}/unsubscribe-all`, { query: { ...EMAIL, verbose: 'true' }, body: { inputs: ['bo@example.com'] }, is: { 'results.0.statuses.0.status': 'UNSUBSCRIBED' } }],
  ['POST', `${BATCH}/unsubscribe-all`, { body: { inputs: ['bo@example.com'] }, status: 400 }],
  ['POST', `${BATCH}/unsubscribe-all/read`, { query: EMAIL, body: { inputs: ['bo@example.com'] }, is: { 'results.0.wideStatuses.0.status': 'UNSUBSCRIBED' } }],
  ['POST', `${BATCH}/unsubscribe-all/read`, { query: EMAIL, body: { inputs: ['nobody'] }, status: 400 }],
  ['POST', `${BASE}/links/generate`, { query: EMAIL, body: { subscriberIdString: 'ada@example.com', subscriptionId: '$id:number' }, is: { unsubscribeSingleUrl: /^https:/ } }],
  ['POST', `${BASE}/links/generate`, { query: EMAIL, body: { subscriberIdString: 'nobody' }, status: 400 }],
] }];
const S = 'communicationPreferences.statusApi';
export const typed = [
  ['communicationPreferences.definitionApi.getPage', [], { save: { id: 'subscriptionDefinitions.0.id' } }],
  [`${S}.subscribe`, [one], { is: { status: 'SUBSCRIBED' } }],
  [`${S}.unsubscribe`, [one], { is: { status: 'NOT_SUBSCRIBED' } }],
  [`${S}.subscribe`, [one], { code: 400 }],
  [`${S}.getEmailStatus`, ['ada@example.com'], { is: { 'subscriptionStatuses.0.status': 'NOT_SUBSCRIBED' } }],
];
