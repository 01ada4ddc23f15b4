// Workflows: the newest document has them under 2026-09-beta, scripts under v4.
const BASE = '/automation/2026-09-beta/flows';
const action = { type: 'SINGLE_CONNECTION', actionId: '1', actionTypeId: '0-4', actionTypeVersion: 0, fields: { content_id: '$mail' } };
const shared = (name) => ({ type: 'CONTACT_FLOW', isEnabled: true, name, startActionId: '1', actions: [action], blockedDates: [], timeWindows: [],
  customProperties: {}, canEnrollFromSalesforce: false, suppressionListIds: [], enrollmentCriteria: { type: 'MANUAL', shouldReEnroll: false } });
const flow = (name) => ({ ...shared(name), flowType: 'WORKFLOW', objectTypeId: '0-1', dataSources: [] });
export const flows = [{ name: 'workflows', calls: [
  ['SIM', 'create_email', { body: { name: 'Welcome', subcategory: 'automated' }, save: { mail: 'id' } }],
  ['POST', BASE, { body: flow('Nurture'), save: { flow: 'id' }, is: { revisionId: '1', nextAvailableActionId: '2' } }],
  ['POST', BASE, { body: { type: 'CONTACT_FLOW' }, status: 400 }],
  ['POST', BASE, { body: flow('Other') }],
  ['GET', BASE, { query: { limit: '1' }, save: { after: 'paging.next.after' }, is: { 'results.0.id': '$flow' } }],
  ['GET', BASE, { query: { after: '$after' }, is: { 'results.0.name': 'Other' } }],
  ['GET', BASE, { query: { limit: '9999' }, status: 400 }],
  ['GET', `${BASE}/$flow`, { is: { 'actions.0.actionTypeId': '0-4' } }],
  ['GET', `${BASE}/1`, { status: 404 }],
  ['PUT', `${BASE}/$flow`, { body: { ...shared('Nurture 2'), revisionId: '1' }, is: { name: 'Nurture 2', revisionId: '2', flowType: 'WORKFLOW' } }],
  ['PUT', `${BASE}/$flow`, { body: { ...shared('Late'), revisionId: '1' }, status: 409 }],
  ['GET', `${BASE}/$flow/revisions/1`, { is: { 'flow.name': 'Nurture' } }],
  ['GET', `${BASE}/$flow/revisions/9`, { status: 404 }],
  ['POST', `${BASE}/batch/read`, { body: { inputs: [{ type: 'FLOW_ID', flowId: '$flow' }] }, is: { 'results.0.id': '$flow' } }],
  ['POST', `${BASE}/batch/read`, { body: { inputs: [{ type: 'FLOW_ID', flowId: '$flow' }, { type: 'FLOW_ID', flowId: '1' }] }, status: 207, is: { numErrors: 1 } }],
  ['POST', `${BASE}/batch/read`, { body: { inputs: [] }, status: 400 }],
  ['POST', '/automation/2026-09-beta/workflow-id-mappings/batch/read', { body: { inputs: [{ type: 'FLOW_ID', flowId: '$flow' }] }, is: { 'results.0.workflowId': (n) => n > 0 } }],
  ['POST', '/automation/2026-09-beta/workflow-id-mappings/batch/read', { body: { inputs: [] }, status: 400 }],
  ['GET', `${BASE}/email-campaigns`, { query: { flowId: '$flow' }, is: { 'results.0.emailContentId': '$mail' } }],
  ['GET', `${BASE}/email-campaigns`, { query: { limit: '0' }, status: 400 }],
  ['DELETE', `${BASE}/$flow`],
  ['DELETE', `${BASE}/$flow`, { status: 404 }],
] }];
