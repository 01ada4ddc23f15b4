// Pipelines and stages of deals, with what protects those that are in use.
const BASE = '/crm/pipelines/{v}/deals';
const stage = (label, displayOrder, probability) => ({ label, displayOrder, metadata: { probability } });
const IN_USE = { validateDealStageUsagesBeforeDelete: 'true' };
const ANYWAY = { validateDealStageUsagesBeforeDelete: 'false' };

export const flows = [{ name: 'pipelines', calls: [
  ['POST', BASE, { body: { label: 'Renewals', displayOrder: 1, stages: [stage('Open', 0, '0.5'), stage('Won', 1, '1.0')] }, save: { id: 'id', open: 'stages.0.id', won: 'stages.1.id' }, is: { label: 'Renewals', 'stages.1.metadata.isClosed': 'true' } }],
  ['POST', BASE, { body: { label: 'renewals', displayOrder: 2, stages: [] }, status: 409 }],
  ['POST', BASE, { body: { displayOrder: 2 }, status: 400 }],
  ['GET', BASE, { is: { results: (list, vars) => list?.length === 2 && list.some((p) => p.id === vars.id) } }],
  ['GET', '/crm/pipelines/{v}/nonsense', { status: 400 }],
  ['GET', `${BASE}/$id`, { is: { 'stages.0.id': '$open' } }],
  ['GET', `${BASE}/nonsense`, { status: 404 }],
  ['PATCH', `${BASE}/$id`, { body: { label: 'Renewal', displayOrder: 5 }, is: { label: 'Renewal', displayOrder: 5 } }],
  ['PATCH', `${BASE}/nonsense`, { body: { label: 'x' }, status: 404 }],
  ['GET', `${BASE}/$id/stages`, { is: { results: (list) => list?.length === 2 } }],
  ['GET', `${BASE}/nonsense/stages`, { status: 404 }],
  ['POST', `${BASE}/$id/stages`, { body: stage('Talking', 1, '0.7'), save: { stage: 'id' }, is: { label: 'Talking', 'metadata.probability': '0.7' } }],
  ['POST', `${BASE}/$id/stages`, { body: stage('Sure', 1, '7'), status: 400 }],
  ['POST', `${BASE}/$id/stages`, { body: stage('talking', 1, '0.7'), status: 409 }],
  ['GET', `${BASE}/$id/stages/$stage`, { is: { id: '$stage' } }],
  ['GET', `${BASE}/$id/stages/nonsense`, { status: 404 }],
  ['PATCH', `${BASE}/$id/stages/$stage`, { body: { label: 'Haggling', metadata: { probability: '0.8' } }, is: { label: 'Haggling', 'metadata.probability': '0.8' } }],
  ['PATCH', `${BASE}/$id/stages/nonsense`, { body: { label: 'x', metadata: {} }, status: 404 }],
  ['PUT', `${BASE}/$id/stages/$stage`, { body: stage('Lost', 2, '0.0'), is: { label: 'Lost', 'metadata.isClosed': 'true' } }],
  ['PUT', `${BASE}/$id/stages/$stage`, { body: { label: 'x' }, status: 400 }],
  ['GET', `${BASE}/$id/stages/$stage/audit`, { is: { results: (list, vars) => list?.length === 3 && list.every((x) => x.identifier === vars.stage && x.portalId === vars.portal) } }],
  ['GET', `${BASE}/$id/stages/nonsense/audit`, { status: 404 }],
  ['POST', '/crm/objects/{v}/deals', { body: { properties: { dealname: 'In it', pipeline: '$id', dealstage: '$stage' }, associations: [] }, save: { deal: 'id' } }],
  ['DELETE', `${BASE}/$id/stages/$stage`, { status: 400, only: '2026-09' }],
  ['PATCH', '/crm/objects/{v}/deals/$deal', { body: { properties: { dealstage: '$open' } } }],
  ['DELETE', `${BASE}/$id/stages/$stage`],
  ['GET', `${BASE}/$id/stages/$stage`, { status: 404 }],
  ['PUT', `${BASE}/$id`, { body: { label: 'Rebuilt', displayOrder: 1, stages: [stage('Only', 0, '0.4')] }, query: IN_USE, status: 400 }],
  ['PATCH', '/crm/objects/{v}/deals/$deal', { body: { properties: { pipeline: 'default', dealstage: 'qualifiedtobuy' } } }],
  ['PUT', `${BASE}/$id`, { body: { label: 'Rebuilt', displayOrder: 1, stages: [stage('Only', 0, '0.4')] }, is: { label: 'Rebuilt', stages: (list) => list?.length === 1 } }],
  ['GET', `${BASE}/$id/audit`, { is: { 'results.0.action': /./, results: (list, vars) => list?.length >= 3 && list.every((x) => x.identifier === vars.id) } }],
  ['GET', `${BASE}/nonsense/audit`, { status: 404 }],
  ['DELETE', `${BASE}/default`, { query: IN_USE, status: 400 }],
  ['DELETE', `${BASE}/$id`, { query: ANYWAY }],
  ['GET', `${BASE}/$id`, { status: 404 }],
] }];

const T = 'crm.pipelines';
export const typed = [
  [`${T}.pipelinesApi.create`, ['deals', { label: 'Typed', displayOrder: 1, stages: [stage('Open', 0, '0.5')] }], { save: { id: 'id' }, is: { createdAt: (v) => v instanceof Date } }],
  [`${T}.pipelinesApi.getAll`, ['deals'], { is: { results: (list) => list.length === 2 } }],
  [`${T}.pipelinesApi.getById`, ['deals', '$id'], { is: { id: '$id' } }],
  [`${T}.pipelinesApi.getById`, ['deals', 'nonsense'], { code: 404 }],
  [`${T}.pipelinesApi.update`, ['deals', '$id', { label: 'Typed 2' }], { is: { label: 'Typed 2' } }],
  [`${T}.pipelinesApi.replace`, ['deals', '$id', { label: 'Typed 3', displayOrder: 2, stages: [stage('A', 0, '0.1')] }], { is: { 'stages.0.label': 'A' } }],
  [`${T}.pipelineStagesApi.create`, ['deals', '$id', stage('B', 1, '0.2')], { save: { stage: 'id' } }],
  [`${T}.pipelineStagesApi.getAll`, ['deals', '$id'], { is: { results: (list) => list.length === 2 } }],
  [`${T}.pipelineStagesApi.getById`, ['deals', '$id', '$stage'], { is: { id: '$stage' } }],
  [`${T}.pipelineStagesApi.update`, ['deals', '$id', '$stage', { label: 'C', metadata: { probability: '0.3' } }], { is: { label: 'C' } }],
  [`${T}.pipelineStagesApi.replace`, ['deals', '$id', '$stage', stage('D', 1, '0.4')], { is: { label: 'D' } }],
  [`${T}.pipelineStageAuditsApi.getAudit`, ['deals', '$stage'], { code: 404 }], // the client leaves {pipelineId} in the path as it is
  [`${T}.pipelineAuditsApi.getAudit`, ['deals', '$id'], { is: { results: (list) => list.length >= 3 } }],
  [`${T}.pipelineStagesApi.archive`, ['deals', '$id', '$stage']],
  [`${T}.pipelinesApi.archive`, ['deals', '$id']],
];
