// Every shape of error that HubSpot gives (FACTS 3 and 4), answered by a small
// server, and what a script then catches and a person reads. JSON bodies are held
// against the OpenAPI documents' Error schema, so that the shapes are HubSpot's.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { TOKEN, fake, project, run } from '../integration/lib.mjs';
import { Documents, documentsFolder } from './openapi.mjs';

const folder = documentsFolder();
const documents = folder && new Documents(folder);
const ID = 'aeb5f871-7f07-4993-9211-075dc63e7cbf';
const OTHER_ID = 'c0ffee00-0000-4000-8000-000000000001';
const error = (category, message, more = {}) => ({ status: 'error', category, message, correlationId: ID, ...more });
const record = (id, properties = {}) => ({ id, archived: false, createdAt: '2026-01-01T00:00:00.000Z', updatedAt: '2026-01-01T00:00:00.000Z', properties });

// The calls that the shapes are answers to.
const CALLS = {
  get: 'hubspot.contacts.get("151", { "email" })',
  update: 'hubspot.contacts.update("151", { hs_lead_status = "blue" })',
  create: 'hubspot.contacts.create{ email = "ada@example.com" }',
  make: 'hubspot.contacts.create{ firstname = "Ada" }', // nothing unique, by which it could be looked for
  search: 'for c in hubspot.contacts.search{ query = "x", limit = 1 } do return c end',
  raw: 'hubspot.request{ method = "GET", path = "/crm/owners/{version}" }',
  upsert: 'hubspot.contacts.upsert("email", { email = "ada@example.com" })',
  journal: 'hubspot.webhooks_journal.next("3f6c0e9a-0000-4000-8000-000000000001")',
};

const PROGRAM = (call) => `
local hubspot = require "hubspot"
local ok, e = pcall(function() return ${call} end)
if ok then print(json.encode{ ok = true }) return end
print(json.encode{ kind = e.kind, status = e.status, category = e.category, message = e.message, retryable = e.retryable,
  correlation_id = e.correlation_id, context = e.context, text = tostring(e) })
`;
const search = (s) => s.replace(/^for .*$/, '(function() $& end)()');

// Answers with the shapes in turn, then with the last one again.
async function server(t, shapes) {
  let n = 0;
  return fake(t, (q, res) => {
    const shape = shapes[Math.min(n++, shapes.length - 1)];
    if (shape.answer) return shape.answer(q, res);
    const json = shape.body !== undefined && typeof shape.body === 'object' && !Buffer.isBuffer(shape.body);
    if (json && documents) {
      const url = new URL(q.url, 'http://x');
      const v = documents.validate({ method: q.method, path: url.pathname, query: url.search, requestBody: q.body, status: shape.status, responseBody: JSON.stringify(shape.body) });
      if (v.errors.length || !v.described) shape.wrong = [v.operation, ...v.errors].join('\n');
    }
    const body = json ? JSON.stringify(shape.body) : shape.body ?? '';
    return res.writeHead(shape.status, { 'Content-Type': json ? 'application/json;charset=utf-8' : 'text/html', ...shape.headers }).end(body);
  });
}

async function answered(t, call, shapes, { env = {} } = {}) {
  const f = await server(t, shapes);
  const dir = project(t, { 'ask.lua': PROGRAM(search(CALLS[call] ?? call)) });
  const r = await run(t, ['run', 'ask.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: f.url, ...env } });
  assert.equal(r.code, 0, r.err);
  assert.ok(!(r.out + r.err).includes(TOKEN), 'the token was printed');
  for (const s of shapes) assert.equal(s.wrong, undefined, `no answer of HubSpot's: ${s.wrong}`);
  return { e: JSON.parse(r.out), f, err: r.err, dir };
}

const SCOPES = 'This app hasn\'t been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.';

// name, call, answer, and what of the error table has to be so.
const SHAPES = [
  ['401 expired', 'get', { status: 401, body: error('EXPIRED_AUTHENTICATION', 'The OAuth token used to make this call expired 5 second(s) ago.') },
    { kind: 'hubspot', status: 401, category: 'EXPIRED_AUTHENTICATION', says: /refused the token of account "main" \(401 EXPIRED_AUTHENTICATION\): .*rotate.*expired 5 second/ }],
  ['401 revoked or mistyped', 'get', { status: 401, body: error('INVALID_AUTHENTICATION', 'Authentication credentials not found.') },
    { status: 401, category: 'INVALID_AUTHENTICATION', says: /not revoked; rotate it in HubSpot's settings and store the new one/ }],
  ['401 without a body', 'get', { status: 401 }, { kind: 'hubspot', status: 401, says: /refused the token of account "main" \(401\): check/, correlation_id: undefined }],
  ['401 in HTML', 'get', { status: 401, body: '<html>Unauthorized</html>' }, { kind: 'hubspot', status: 401, says: /refused the token/, correlation_id: undefined }],
  ['403 with granular scopes', 'get', { status: 403, body: error('MISSING_SCOPES', SCOPES, {
    errors: [{ message: 'One or more of the following scopes are required.', context: { requiredGranularScopes: ['crm.objects.contacts.read', 'crm.objects.contacts.sensitive.read.v2'] } }],
    links: { scopes: 'https://developers.hubspot.com/scopes' },
  }) }, { category: 'MISSING_SCOPES', says: /Missing scopes, one of: crm\.objects\.contacts\.read, crm\.objects\.contacts\.sensitive\.read\.v2\. Add .* account "main"/,
    context: (c) => assert.deepEqual(c.missing_scopes, ['crm.objects.contacts.read', 'crm.objects.contacts.sensitive.read.v2']) }],
  ['403 with scopes in the context', 'raw', { status: 403, body: error('MISSING_SCOPES', SCOPES, { context: { missingScopes: ['crm.objects.owners.read'] } }) },
    { category: 'MISSING_SCOPES', says: /Missing scopes: crm\.objects\.owners\.read\. Add/ }],
  ['403 that names no scope', 'update', { status: 403, body: error('MISSING_SCOPES', SCOPES) },
    { category: 'MISSING_SCOPES', says: /By HubSpot's documentation this call needs crm\.objects\.contacts\.write/ }],
  ['403 of another kind', 'get', { status: 403, body: error('PERMISSION_DENIED', 'This portal does not have access to the feature.') },
    { category: 'PERMISSION_DENIED', says: /403 PERMISSION_DENIED: This portal does not have access to the feature\.$/ }],
  ['404', 'get', { status: 404, body: error('OBJECT_NOT_FOUND', 'Object not found.  objectId are usually numeric.', { subCategory: 'crm.objects.missing' }) },
    { category: 'OBJECT_NOT_FOUND', says: /GET \/crm\/objects\/2026-09\/contacts\/151 \(account "main"\): HubSpot answered 404 OBJECT_NOT_FOUND: Object not found/,
      context: (c) => assert.equal(c.subCategory, 'crm.objects.missing') }],
  ['404 without a body', 'get', { status: 404, headers: { 'X-HubSpot-Correlation-Id': OTHER_ID } }, { kind: 'hubspot', status: 404, says: /answered 404$/, correlation_id: OTHER_ID }],
  ['409 names the record that exists', 'create', { status: 409, body: error('CONFLICT', 'Contact already exists. Existing ID: 18446744073709551') },
    { category: 'CONFLICT', says: /Existing ID: 18446744073709551/, context: (c) => assert.equal(c.existing_id, '18446744073709551') }],
  ['400 for a unique value that is taken', 'update', { status: 400, body: error('VALIDATION_ERROR', 'Cannot set PropertyValueCoordinates{portalId=1, objectTypeId=0-1, propertyName=ext} on 151. 101 already has that value.') },
    { category: 'VALIDATION_ERROR', context: (c) => assert.equal(c.existing_id, '101') }],
  ['400 with a list of errors', 'update', { status: 400, body: error('VALIDATION_ERROR', 'Property values were not valid', { errors: [
    { message: 'blue was not one of the allowed options: [open, closed]', code: 'INVALID_OPTION', context: { propertyName: ['hs_lead_status'] } },
    { message: 'b is wrong' }, { message: 'c is wrong' }, { message: 'd is wrong' }, { message: 'e is wrong' }] }) },
  { category: 'VALIDATION_ERROR', says: /Property values were not valid; hs_lead_status: blue was not one of the allowed options: \[open, closed\]; b is wrong; c is wrong; and 2 more/,
    context: (c) => assert.equal(c.errors.length, 5) }],
  ['400 with nothing in it', 'get', { status: 400, body: {} }, { kind: 'hubspot', status: 400, says: /answered 400$/, correlation_id: undefined }, 'no schema'],
  ['400 for a page beyond 10,000 results', 'search', { status: 400, body: error('VALIDATION_ERROR', 'Paging through search results is limited to 10000 total.') },
    { category: 'VALIDATION_ERROR', says: /limited to 10000 total/ }],
  ['400 of a rule that an admin set', 'update', { status: 400, body: error('VALIDATION_ERROR', 'Property values were not valid', { errors: [
    { message: 'must be one of the values that rule 7 allows', code: 'VALIDATION_RULE', context: { properties: ['hs_lead_status'] } }] }) },
  { category: 'VALIDATION_ERROR', says: /Property values were not valid; hs_lead_status: must be one of the values that rule 7 allows/ }],
  ['400 of an upsert', 'upsert', { status: 400, body: error('VALIDATION_ERROR', 'email is not a unique property', { context: { ids: ['ada@example.com'] } }) },
    { category: 'VALIDATION_ERROR', says: /email is not a unique property/ }],
  ['404 of an offset of the journal that has expired', 'journal', { status: 404, body: error('OBJECT_NOT_FOUND', 'offset not found') },
    { category: 'OBJECT_NOT_FOUND', says: /GET \/webhooks-journal\/journal\/2026-03\/offset\/3f6c0e9a-0000-4000-8000-000000000001\/next .*offset not found/ }],
  ['403 of the journal', 'journal', { status: 403, body: error('MISSING_SCOPES', SCOPES) },
    { category: 'MISSING_SCOPES', says: /this call needs developer\.webhooks_journal\.read\. Add/ }],
  ['400 that quotes the token', 'get', { status: 400, body: error('VALIDATION_ERROR', `what is ${TOKEN}?`, { errors: [{ message: `${TOKEN} again` }] }) },
    { says: /what is \[secret\]\?/, context: (c) => assert.equal(c.errors[0].message, '[secret] again') }],
  ['400 compressed', 'get', { status: 400, headers: { 'Content-Encoding': 'gzip', 'Content-Type': 'application/json' }, body: zlib.gzipSync(JSON.stringify(error('VALIDATION_ERROR', 'small'))) },
    { category: 'VALIDATION_ERROR', says: /small/ }],
  ['414 in HTML', 'get', { status: 414, body: '<html>Request-URI Too Large</html>' }, { kind: 'protocol', status: 414, says: /The address is too long: ask for fewer/, correlation_id: undefined }],
  ['500', 'get', { status: 500, body: error('INTERNAL_ERROR', 'internal error') }, { kind: 'hubspot', status: 500, says: /500 INTERNAL_ERROR: internal error/ }],
  ['500 in HTML', 'get', { status: 500, body: '<h1>oops</h1>', headers: { 'X-HubSpot-Correlation-Id': OTHER_ID } }, { kind: 'protocol', status: 500, says: /500 with HTML instead of JSON: <h1>oops/, correlation_id: OTHER_ID }],
  ['502 after a create', 'make', { status: 502, body: '<html>Bad Gateway</html>' }, { kind: 'uncertain', status: 502, says: /may or may not have been carried out.*look in HubSpot/, correlation_id: undefined }],
  ['504 after a create', 'make', { status: 504 }, { kind: 'uncertain', status: 504, says: /may or may not/, correlation_id: undefined }],
  ['524 after a create', 'make', { status: 524, body: '<html>' }, { kind: 'uncertain', status: 524, says: /may or may not/, correlation_id: undefined }],
  ['200 in HTML: a proxy\'s page', 'get', { status: 200, body: '<!doctype html><title>Sign in to the network</title>' },
    { kind: 'protocol', status: 200, says: /Sign in to the network.*a proxy, a login page or a wrong base_url/, correlation_id: undefined }],
  ['200 with nothing in it', 'get', { status: 200 }, { kind: 'protocol', status: 200, says: /answered 200 with nothing instead of JSON/, correlation_id: undefined }],
];

for (const [name, call, shape, want, note] of SHAPES) {
  test(name, async (t) => {
    const { e, f } = await answered(t, call, [note ? { ...shape, body: JSON.stringify(shape.body) } : shape]);
    assert.equal(e.ok, undefined, 'no error was raised');
    for (const key of ['kind', 'status', 'category']) if (want[key]) assert.equal(e[key], want[key], `${key}: ${e.message}`);
    assert.equal(e.status, shape.status);
    assert.equal(e.retryable, false);
    assert.equal(e.correlation_id, 'correlation_id' in want ? want.correlation_id : shape.headers?.['X-HubSpot-Correlation-Id'] ?? ID);
    if (want.says) assert.match(e.message, want.says);
    assert.ok(e.text.includes(e.message) && !e.message.includes('\n'), 'one line');
    if (want.context) want.context(e.context);
    assert.equal(f.requests.length, 1, 'sent once');
  });
}

// Once: the pause is as long as HubSpot's window. All dresses of a 429 are in
// virtual time, in tests/unit/hubspot_faults_test.c.
test('a 429 is waited for, unseen by the script, and counted', async (t) => {
  const { e, f, dir } = await answered(t, 'get', [
    { status: 429, headers: { 'Retry-After': '1' }, body: { ...error('RATE_LIMITS', 'You have reached your ten_secondly_rolling limit.'), policyName: 'TEN_SECONDLY_ROLLING', groupName: 'publicapi:private-apps-api-calls' } },
    { status: 200, body: record('151', { email: 'ada@example.com' }) },
  ]);
  assert.equal(e.ok, true, e.message);
  assert.equal(f.requests.length, 2);
  const line = JSON.parse((await run(t, ['calls', 'ask.lua', '--json'], { cwd: dir })).out);
  assert.equal(line.attempts, 2);
  assert.equal(line.limited, 1);
  assert.equal(line.status, 200);
});

// In short rows, since the pauses between attempts grow.
const html = (status) => ({ status, body: `<!DOCTYPE html><title>${status}</title>` });
for (const row of [
  [{ status: 477, headers: { 'Retry-After': '1' } }, { status: 423, body: error('LOCKED', 'locked') }],
  [{ status: 502 }, { status: 503, body: error('SERVICE_UNAVAILABLE', 'busy') }, { status: 504, body: '<html>' }],
  [html(521), html(522)], [html(523), html(524)],
]) {
  test(`what passes is repeated, unseen by the script: ${row.map((s) => s.status).join(', ')}`, async (t) => {
    const { e, f, err } = await answered(t, 'update', [...row, { status: 200, body: record('151') }]);
    assert.equal(e.ok, true, e.message);
    assert.equal(f.requests.length, row.length + 1);
    assert.match(err, new RegExp(`main: HubSpot answers ${row[0].status}; trying again`));
  });
}

test('a search limit pauses the search', async (t) => {
  const { e, f } = await answered(t, 'search', [
    { status: 429, headers: { 'Retry-After': '1' }, body: { ...error('RATE_LIMITS', 'You have reached your secondly limit.'), policyName: 'SECONDLY' } },
    { status: 200, body: { total: 0, results: [] } },
  ]);
  assert.equal(e.ok, true, e.message);
  assert.equal(f.requests.length, 2);
});

test('the journal has nothing newer, and is limited by itself', async (t) => {
  const { e, f } = await answered(t, '{ hubspot.webhooks_journal.next("3f6c0e9a-0000-4000-8000-000000000001") == nil }', [
    { status: 429, headers: { 'Retry-After': '1' }, body: JSON.stringify({ status: 'error', message: 'You have reached your secondly limit.', errorType: 'RATE_LIMIT' }) }, // fields are left out
    { status: 204 }]);
  assert.equal(e.ok, true, e.message);
  assert.equal(f.requests.length, 2);
});

test('the daily limit is said to the script, and nothing more is sent', async (t) => {
  const { e, f } = await answered(t, 'get', [{ status: 429, body: { ...error('RATE_LIMITS', 'You have reached your daily limit.'), policyName: 'DAILY' } }]);
  assert.equal(e.kind, 'hubspot');
  assert.equal(e.status, 429);
  assert.equal(e.category, 'RATE_LIMITS');
  assert.equal(e.retryable, true);
  assert.match(e.message, /daily limit.*midnight/);
  assert.equal(f.requests.length, 1);
});

test('answers that break off, and answers that do not decompress, are asked for again', async (t) => {
  const good = { status: 200, body: record('151') };
  const half = { answer: (q, res) => { res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '500' }); res.write('{"id":"151",'); res.socket.end(); } };
  const broken = { status: 200, headers: { 'Content-Encoding': 'gzip', 'Content-Type': 'application/json' }, body: Buffer.from('no gzip at all') };
  const { e, f } = await answered(t, 'get', [half, broken, good]);
  assert.equal(e.ok, true, e.message);
  assert.equal(f.requests.length, 3);
  const lost = await answered(t, 'make', [half]);
  assert.equal(lost.e.kind, 'uncertain');
  assert.equal(lost.f.requests.length, 1);
});

test('207: each caller gets its own result or error', async (t) => {
  const f = await server(t, [{ status: 207, body: {
    status: 'COMPLETE', startedAt: '2026-01-01T00:00:00.000Z', completedAt: '2026-01-01T00:00:00.000Z', numErrors: 1,
    results: [record('1', { email: 'one@example.com' })],
    errors: [{ status: 'error', category: 'OBJECT_NOT_FOUND', message: 'Could not get some CONTACT objects, they may be deleted or not exist.', context: { ids: ['2'] } }],
  } }]);
  const dir = project(t, { 'ask.lua': `
local hubspot = require "hubspot"
local e
local function miss() local _, err = pcall(hubspot.contacts.get, "2", { "email" }) e = err end
local function hit() print(hubspot.contacts.get("1", { "email" }).email) end
task.all{ hit, miss }
print(e.kind, e.status, e.category, e.retryable, e.context.context.ids[1])
print(e.message)
` });
  const r = await run(t, ['run', 'ask.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: f.url } });
  assert.equal(r.code, 0, r.err);
  const lines = r.out.trimEnd().split('\n');
  assert.equal(lines[0], 'one@example.com');
  assert.equal(lines[1], 'hubspot\t404\tOBJECT_NOT_FOUND\tfalse\t2');
  assert.match(lines[2], /batch\/read \(account "main"\): HubSpot answered 404 OBJECT_NOT_FOUND: Could not get some/);
  assert.equal(f.requests.length, 1);
});

// The calls of one turn, and a line for each: what it got, or the kind, status and category of its error.
async function together(t, calls, shapes) {
  const f = await server(t, shapes);
  const dir = project(t, { 'ask.lua': `
local hubspot = require "hubspot"
local out = {}
local fns = {}
for i, call in ipairs { ${calls.map((c) => `function() return ${c} end`).join(', ')} } do
  fns[i] = function()
    local ok, e = pcall(call)
    out[i] = ok and "ok " .. tostring(type(e) == "table" and e.id or e) or ("%s %d %s"):format(e.kind, e.status, e.category)
  end
end
task.all(fns)
print(table.concat(out, "\\n"))
` });
  const r = await run(t, ['run', 'ask.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: f.url } });
  assert.equal(r.code, 0, r.err);
  for (const s of shapes) assert.equal(s.wrong, undefined, `no answer of HubSpot's: ${s.wrong}`);
  return { lines: r.out.trimEnd().split('\n'), f };
}

const AT = { status: 'COMPLETE', startedAt: '2026-01-01T00:00:00.000Z', completedAt: '2026-01-01T00:00:00.000Z' };

test('207 of creates: rows are told apart by their trace ids', async (t) => {
  const { lines, f } = await together(t, ['a', 'b', 'c'].map((x) => `hubspot.deals.create{ dealname = "${x}" }`), [{ status: 207, body: { ...AT, numErrors: 2,
    results: [{ ...record('72'), objectWriteTraceId: '1' }],
    errors: [
      { status: 'error', category: 'VALIDATION_ERROR', message: 'dealstage is required', errors: [], links: {}, context: { objectWriteTraceId: ['2'] } },
      { status: 'error', category: 'CONFLICT', message: 'a deal of that name exists. Existing ID: 9', errors: [], links: {}, context: { objectWriteTraceId: ['0'] } },
    ] } }]);
  assert.deepEqual(lines, ['hubspot 409 CONFLICT', 'ok 72', 'hubspot 400 VALIDATION_ERROR']);
  assert.equal(f.requests.length, 1);
  assert.deepEqual(JSON.parse(f.requests[0].body).inputs.map((i) => [i.objectWriteTraceId, i.properties.dealname]), [['0', 'a'], ['1', 'b'], ['2', 'c']]);
});

test('a batch that is refused whole is halved until the bad row stands alone', async (t) => {
  const bad = error('VALIDATION_ERROR', 'Property values were not valid');
  const { lines, f } = await together(t, [1, 2, 3, 4, 5].map((n) => `hubspot.contacts.update("${n}", { city = "${n === 3 ? 'bad' : 'Ulm'}" })`), [{ answer: (q, res) => {
    const inputs = q.method === 'PATCH' ? [{ id: q.url.split('/').at(-1), ...JSON.parse(q.body) }] : JSON.parse(q.body).inputs;
    const refused = inputs.some((i) => i.properties.city === 'bad');
    res.writeHead(refused ? 400 : 200, { 'Content-Type': 'application/json' });
    return res.end(JSON.stringify(refused ? bad : q.method === 'PATCH' ? record(inputs[0].id) : { ...AT, results: inputs.map((i) => record(i.id)) }));
  } }]);
  assert.deepEqual(lines, ['ok 1', 'ok 2', 'hubspot 400 VALIDATION_ERROR', 'ok 4', 'ok 5']);
  assert.equal(f.requests.length, 5); // 5; 2 well, 3; 1 bad, 2 well
});

test('a record that was merged answers with another id, and one without links is no error', async (t) => {
  const { lines } = await together(t, ['hubspot.contacts.get("1", { "email" })', 'hubspot.contacts.get("2", { "email" })',
    'hubspot.associations.list("contacts", "1", "companies")()'], [{ answer: (q, res) => {
    const one = (id) => record(id === '1' ? '900' : id, { email: 'x' });
    if (q.url.includes('/crm/associations/')) {
      res.writeHead(207, { 'Content-Type': 'application/json' });
      return res.end(JSON.stringify({ ...AT, results: [], numErrors: 1, errors: [{ status: 'error', category: 'OBJECT_NOT_FOUND', subCategory: 'crm.associations.NO_ASSOCIATIONS_FOUND',
        message: 'No company is associated with contact 1.', context: { fromObjectId: ['1'] } }] }));
    }
    const inputs = q.method === 'GET' ? null : JSON.parse(q.body).inputs;
    res.writeHead(200, { 'Content-Type': 'application/json' });
    return res.end(JSON.stringify(inputs ? { ...AT, results: inputs.map((i) => one(i.id)) } : one(q.url.split('/').at(-1).split('?')[0])));
  } }]);
  assert.deepEqual(lines, ['ok 900', 'ok 2', 'ok nil']);
});
