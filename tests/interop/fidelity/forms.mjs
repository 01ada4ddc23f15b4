// Definitions of forms; what visitors send in has no document.
const field = { objectTypeId: '0-1', name: 'email', label: 'E-mail', required: true, hidden: false, fieldType: 'email', dependentFields: [], validation: { blockedEmailDomains: [], useDefaultBlockList: false } };
const form = (name) => ({
  name, formType: 'hubspot', archived: false, createdAt: '2026-09-01T08:00:00.000Z', updatedAt: '2026-09-01T08:00:00.000Z',
  fieldGroups: [{ groupType: 'default_group', richTextType: 'text', fields: [field] }],
  configuration: { language: 'en', cloneable: true, editable: true, archivable: true, recaptchaEnabled: false, notifyContactOwner: false, notifyRecipients: [], createNewContactForNewEmail: false, prePopulateKnownValues: true, allowLinkToResetKnownValues: false, lifecycleStages: [], postSubmitAction: { type: 'thank_you', value: 'Thanks' } },
  displayOptions: { renderRawHtml: false, theme: 'default_style', submitButtonText: 'Send', style: { backgroundWidth: '100%', fontFamily: 'arial', helpTextColor: '#000', helpTextSize: '11px', labelTextColor: '#000', labelTextSize: '13px', legalConsentTextColor: '#000', legalConsentTextSize: '13px', submitAlignment: 'left', submitColor: '#000', submitFontColor: '#fff', submitSize: '12px' } },
  legalConsentOptions: { type: 'none' },
});
const BASE = '/marketing/v3/forms';
export const flows = [{ name: 'forms', calls: [
  ['POST', BASE, { body: form('Contact us'), save: { id: 'id' }, is: { name: 'Contact us' } }],
  ['POST', BASE, { body: { name: 'x' }, status: 400 }],
  ['POST', BASE, { body: form('Second') }],
  ['GET', BASE, { query: { limit: '1' }, save: { after: 'paging.next.after' }, is: { 'results.0.id': '$id' } }],
  ['GET', BASE, { query: { after: '$after', limit: '10' }, is: { 'results.0.name': 'Second' } }],
  ['GET', BASE, { query: { limit: '9999' }, status: 400 }],
  ['GET', `${BASE}/$id`, { is: { 'fieldGroups.0.fields.0.name': 'email' } }],
  ['GET', `${BASE}/nonsense`, { status: 404 }],
  ['PATCH', `${BASE}/$id`, { body: { name: 'Write to us' }, is: { name: 'Write to us', formType: 'hubspot' } }],
  ['PATCH', `${BASE}/nonsense`, { body: { name: 'x' }, status: 404 }],
  ['PUT', `${BASE}/$id`, { body: { ...form('Whole'), id: '$id' }, is: { name: 'Whole' } }],
  ['PUT', `${BASE}/$id`, { body: { name: 'x' }, status: 400 }],
  ['DELETE', `${BASE}/$id`],
  ['DELETE', `${BASE}/$id`, { status: 404 }],
  ['GET', `${BASE}/$id`, { query: { archived: 'true' }, is: { archived: true } }],
] }];
const T = 'marketing.forms.formsApi';
const dated = (name) => ({ ...form(name), createdAt: new Date(0), updatedAt: new Date(0) });
export const typed = [
  [`${T}.create`, [dated('Typed')], { save: { id: 'id' } }],
  [`${T}.getById`, ['$id'], { is: { name: 'Typed' } }],
  [`${T}.getById`, ['nonsense'], { code: 404 }],
  [`${T}.getPage`, [], { is: { results: (list) => list.length === 1 } }],
  [`${T}.update`, ['$id', { name: 'Typed 2' }], { is: { name: 'Typed 2' } }],
  [`${T}.replace`, ['$id', { ...dated('Typed 3'), id: '$id' }], { is: { name: 'Typed 3' } }],
  [`${T}.archive`, ['$id']],
];
