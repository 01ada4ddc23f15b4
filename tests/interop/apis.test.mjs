// Every function that hubloop makes out of HubSpot's operations is called once,
// by a script, against a server made from the OpenAPI documents: it holds
// method, path, query and body against them and answers an example of the
// operation's own answer. What no document describes is held against the list
// of operations (endpoints.tsv).
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { TOKEN, fake, project, run } from '../integration/lib.mjs';
import { build, dataFolder, documented, readEndpoints } from '../generate/apis.mjs';
import { Documents, documentsFolder } from './openapi.mjs';
import { example } from './example.mjs';

const folder = dataFolder();
const skip = folder && documentsFolder() ? false : 'HubSpot\'s operations (../shared/hubspot) are not here';
const NEXT = 'page two';

// A call of everything that is printed; iterators are run to their end.
const SCRIPT = (calls) => `
local hubspot = require "hubspot"
for _, call in ipairs(json.decode [==[${JSON.stringify(calls)}]==]) do
  local fn = hubspot
  for part in call.name:gmatch("[^.]+") do fn = fn[part] end
  local fine, answer = pcall(fn, table.unpack(call.args))
  local n, items = 0, {}
  if fine and call.iterates then
    fine, answer = pcall(function()
      for item in answer do
        n = n + 1
        items[n] = item
        if n > 5 then error("the iterator does not end") end
      end
      return json.array(items)
    end)
  end
  print(json.encode { name = call.name, fine = fine, n = n, answer = fine and answer or nil, error = not fine and tostring(answer) or nil })
end
`;

const HEADERS = { 'Content-Type': 'application/json', 'X-HubSpot-RateLimit-Max': '20000', 'X-HubSpot-RateLimit-Remaining': '19000',
  'X-HubSpot-RateLimit-Interval-Milliseconds': '10000' };

// Documents describe two APIs under other paths than scripts call.
function describedPath(p) {
  const candidates = [p, p.replace('/automation/v4/', '/automation/2026-09-beta/'),
    p.replace('/conversations/conversations/2026-09/', '/conversations/v3/conversations/'),
    p.replace('/conversations/conversations/2026-09/', '/conversations/conversations/v3/')];
  return candidates.filter((c, i) => candidates.indexOf(c) === i);
}

// Older releases are not described: the document of the newest one must fit their paths, where it is the same.
function findDocument(documents, method, p) {
  for (const c of describedPath(p)) {
    const found = documents.find(method, c);
    if (found && documented(found.template).split('/').filter((s) => !s.startsWith('{')).length > 2) return { ...found, at: c };
  }
  return null;
}

function queryExample(o) {
  const out = {};
  for (const p of (o?.op.parameters ?? []).filter((x) => x.in === 'query')) {
    if (p.name === 'after' || p.name === 'before' || p.name.includes('{')) continue;
    out[p.name] = example(o.doc, p.schema);
  }
  return out;
}

// Integers under names of ids as scripts have them: as strings.
function asStrings(value, names) {
  if (Array.isArray(value)) return value.map((x) => asStrings(x, names));
  if (!value || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => {
    if (!names.includes(k)) return [k, asStrings(v, names)];
    return [k, Array.isArray(v) ? v.map((x) => (Number.isInteger(x) ? String(x) : x)) : Number.isInteger(v) ? String(v) : asStrings(v, names)];
  }));
}

function callOf(documents, o, older) {
  const version = o.versions.at(-1);
  const path = o.path.replace('{version}', version ?? '');
  const parameters = o.params.map((name, i) => (name.toLowerCase().includes('objecttype') ? 'contacts' : name === 'count' ? 5 : `${name} ${i + 1}/ä`));
  let at = 0;
  const wire = path.replace(/\{[^}]+\}/g, () => encodeURIComponent(parameters[at++]));
  const found = findDocument(documents, o.method, wire);
  const described = o.file ? found : null;
  const args = [...parameters];
  if (o.body) {
    const content = found?.op.requestBody?.content;
    if (o.body.startsWith('multipart')) {
      args.push({ importRequest: { name: 'i' }, files: [{ name: 'a.csv', content: 'a,b\r\n1,2\r\n', type: 'text/csv' }, { name: 'b".csv', content: 'ä' }] });
    } else if (o.body.startsWith('text')) args.push('exports.main = () => {};');
    else args.push(content ? asStrings(example(found.doc, Object.values(content)[0].schema), o.bodyIds) : { id: '1' });
  }
  args.push({ ...queryExample(described), ...(older || (version && version !== '2026-09') ? { version } : {}) });
  return { name: o.full, args, iterates: o.iterates || o.full === 'lists.search', method: o.method, wire, described: Boolean(described), o };
}

function answerOf(documents, r, call, path) {
  const found = findDocument(documents, r.method, path);
  const second = new URL(r.url, 'http://x').searchParams.get('after') === NEXT || (r.json && r.json.offset === 25);
  if (!found || !call.described) {
    if (r.method === 'DELETE') return { status: 204 };
    const one = { id: call.o.query === null ? 7 : '7', name: second ? 'second' : 'first' };
    return { status: 200, value: call.iterates ? { results: [one], ...(second ? {} : { paging: { next: { after: NEXT } } }) } : one };
  }
  const [code, response] = Object.entries(found.op.responses).filter(([c]) => c[0] === '2').sort()[0] ?? ['204', {}];
  const schema = Object.values(response.content ?? {})[0]?.schema;
  if (!schema) return { status: Number(code) };
  const value = example(found.doc, schema);
  if (value.paging) value.paging = second ? undefined : { ...value.paging, next: { ...value.paging.next, after: NEXT } };
  if (call.name === 'lists.search') Object.assign(value, { hasMore: !second, offset: second ? 50 : 25 });
  return { status: Number(code), value };
}

test('every operation of HubSpot is a function that calls it rightly and reads its answer', { skip }, async (t) => {
  const documents = new Documents(documentsFolder());
  const { operations } = build(folder);
  const calls = operations.map((o, i) => callOf(documents, o, operations[i - 1]?.full === o.full));
  const published = new Set(readEndpoints(folder).map((r) => `${r.method} ${r.path.replace(/\/$/, '')}`));
  const wrong = [];
  const seen = new Map();

  const server = await fake(t, async (r, res) => {
    const url = new URL(r.url, 'http://x');
    const path = r.url.split('?')[0];
    const call = calls.find((c) => c.method === r.method && c.wire === path);
    const say = (text) => wrong.push(`${call?.name ?? '?'} ${r.method} ${r.url}: ${text}`);
    if (!call) {
      say('nobody should call that');
      res.writeHead(404, HEADERS).end('{"message":"unknown"}');
      return;
    }
    const type = r.headers['content-type'] ?? '';
    if (/json/.test(type) && r.body) r.json = JSON.parse(r.body);
    seen.set(call, (seen.get(call) ?? 0) + 1);
    const { status, value } = answerOf(documents, r, call, path);
    const text = value === undefined ? '' : JSON.stringify(value);
    const template = call.o.path.replace('{version}', call.o.versions.at(-1) ?? '');
    if (call.described) {
      const found = findDocument(documents, r.method, path);
      const v = documents.validate({ method: r.method, path: found.at, query: url.search.slice(1), status, requestBody: r.body, responseBody: text });
      if (!v.described) say('no document');
      for (const e of v.errors) say(e);
    } else if (!published.has(`${r.method} ${template}`) && call.o.row.query === undefined) say('not in endpoints.tsv');
    if (call.o.body.startsWith('multipart')) {
      const form = await new Response(r.body, { headers: { 'Content-Type': type } }).formData().catch((e) => e);
      if (form instanceof Error) say(`not multipart/form-data: ${form.message}`);
      else {
        assert.deepEqual(form.getAll('files').map((f) => f.name), ['a.csv', 'b_.csv']);
        assert.equal(await form.getAll('files')[0].text(), 'a,b\r\n1,2\r\n');
        assert.deepEqual(JSON.parse(await form.get('importRequest').text?.() ?? form.get('importRequest')), { name: 'i' });
      }
    } else if (call.o.body.startsWith('text') && !type.startsWith('text/plain')) say(`content type ${type}`);
    res.writeHead(status, HEADERS).end(text);
  });

  const dir = project(t, { 'all.lua': SCRIPT(calls.map(({ name, args, iterates }) => ({ name, args, iterates }))) });
  const r = await run(t, ['run', 'all.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: server.url, HUBSPOT_TIER: 'enterprise' }, ms: 120000 });
  assert.equal(r.code, 0, r.err);
  const results = r.out.trim().split('\n').map((l) => JSON.parse(l));
  assert.equal(results.length, calls.length);
  for (const [i, result] of results.entries()) {
    const call = calls[i];
    if (!result.fine) wrong.push(`${call.name}: ${result.error}`);
    else if (call.iterates) {
      // Two pages of one, where HubSpot takes a cursor; else the one that there is.
      const pages = seen.get(call) ?? 0;
      const cursor = call.o.query === null || call.o.query.includes('after') || call.name === 'lists.search';
      if (result.n !== pages || pages !== (cursor ? 2 : 1)) wrong.push(`${call.name}: ${result.n} items of ${pages} pages`);
    }
    for (const [k, v] of idsIn(result.answer)) if (Number.isInteger(v)) wrong.push(`${call.name}: ${k} is a number in the answer`);
  }
  for (const c of calls) if (!seen.has(c)) wrong.push(`${c.name}: ${c.method} ${c.wire} was never called`);
  assert.deepEqual(wrong, []);
  const described = calls.filter((c) => c.described).length;
  t.diagnostic(`note: ${calls.length} operations called, ${described} held against documents, ${calls.length - described} against endpoints.tsv`);
});

// What no script of CRM, marketing or automation asks for (tests/generate/apis.mjs): the CMS, OAuth (hubloop auth does
// it), and what only builders of HubSpot's own screens call. hubspot.request reaches it.
const LEFT_OUT = /^\/(cms|appinstalls|media-bridge|oauth|meta\/network-origins|crm\/extensions\/(cards-dev|videoconferencing)|feature-flags|url-mappings)\//;
const OBJECTS = /^\/crm\/objects\/20\d\d-\d\d\/([^/]+)(\/.*)?$/;
const OF_A_RECORD = new Set(['', '/{}', '/search', '/merge', '/gdpr-delete', ...['read', 'create', 'update', 'upsert', 'archive'].map((x) => `/batch/${x}`),
  '/{}/associations/{}', '/{}/associations/{}/{}', '/{}/associations/default/{}/{}']);

test('what HubSpot publishes has a function, but for what is left out on purpose', { skip }, (t) => {
  const { operations, types } = build(folder);
  const bare = (p) => p.replace(/\/$/, '').replace(/\{[^}]+\}/g, '{}');
  const names = new Set(types.map((x) => x.type));
  const functions = new Set(operations.flatMap((o) => o.versions.map((v) => `${o.method} ${bare(o.path.replace('{version}', v))}`)));
  const rows = readEndpoints(folder).filter((r) => /^20/.test(r.version) && !LEFT_OUT.test(r.path));
  const covered = (r) => {
    const m = OBJECTS.exec(r.path);
    if (!m) return functions.has(`${r.method} ${bare(r.path)}`);
    // A type is known by its name, by its id, or is given to hubspot.objects().
    return OF_A_RECORD.has(bare(m[2] ?? '')) && (m[1].startsWith('{') || /^0-/.test(m[1]) || names.has(m[1]));
  };
  assert.deepEqual(rows.filter((r) => !covered(r)).map((r) => `${r.version} ${r.method} ${r.path}`), []);
  t.diagnostic(`note: ${rows.length} published operations of dated versions have a function`);
});

test('the version is the account\'s, where the API has it, else the newest that it has', async (t) => {
  const paths = async (version) => {
    const server = await fake(t, (r, res) => res.writeHead(200, HEADERS).end('{"results":[]}'));
    const dir = project(t, {
      'hubloop.lua': `return { accounts = { main = { token = secret "HUBSPOT_TOKEN", base_url = "${server.url}", api_version = "${version}" } }, scripts = { "go.lua" } }`,
      'go.lua': `local hubspot = require "hubspot"
        hubspot.lists.get(1)
        hubspot.events.send { eventName = "e" }
        hubspot.conversations.inboxes.get(1)
        hubspot.webhooks_journal.latest()
        hubspot.settings.users.get(1)
        hubspot.flows.get(1)
        hubspot.contacts.list()()
        hubspot.lists.get(1, { version = "2026-03" })`,
    });
    const r = await run(t, ['run', dir], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
    assert.equal(r.code, 0, r.err);
    return server.requests.map((x) => x.url.split('?')[0]);
  };
  const same = ['/conversations/conversations/2026-09/inboxes/1', '/webhooks-journal/journal/2026-03/latest', '/settings/users/2026-03/1', '/automation/v4/flows/1'];
  assert.deepEqual(await paths('2026-09'), ['/crm/lists/2026-09/1', '/events/custom/2026-09/send', ...same, '/crm/objects/2026-09/contacts', '/crm/lists/2026-03/1']);
  assert.deepEqual(await paths('2026-03'), ['/crm/lists/2026-03/1', '/events/2026-03/send', ...same, '/crm/objects/2026-03/contacts', '/crm/lists/2026-03/1']);
  // A release that is younger than the tables has what the newest known one has.
  const next = same.map((p) => p.replace('2026-09', '2027-03'));
  assert.deepEqual(await paths('2027-03'), ['/crm/lists/2027-03/1', '/events/custom/2027-03/send', ...next, '/crm/objects/2027-03/contacts', '/crm/lists/2026-03/1']);
});

// Arguments that make one request each.
const WAYS = {
  list: [], get: ['1', ['p']], create: [{ p: 1.5 }], update: ['1', { p: true }], archive: ['1'], merge: ['1', '2'], gdpr_delete: ['1'],
  search: [{ query: 'x', properties: ['p'] }], batch_read: [['1', '2'], ['p']], batch_create: [[{ p: 'v' }]],
  batch_update: [[{ id: '1', properties: { p: ['a', 'b'] } }]], batch_upsert: ['p', [{ p: 'v' }]], batch_archive: [['1', '2']],
};
const SEARCHED = new Set(['contacts', 'contracts', 'goals']); // HubSpot allows five searches a second; one code serves all types

test('every object type does what HubSpot lets it do, and refuses the rest', { skip }, async (t) => {
  const documents = new Documents(documentsFolder());
  const { types } = build(folder);
  const wrong = [];
  const seen = [];
  const server = await fake(t, (r, res) => {
    const path = r.url.split('?')[0];
    const found = documents.find(r.method, path);
    const [code, response] = found ? Object.entries(found.op.responses).filter(([c]) => c[0] === '2').sort()[0] : ['404', {}];
    const schema = Object.values(response?.content ?? {})[0]?.schema;
    const value = schema && example(found.doc, schema);
    if (value) delete value.paging;
    // The rows that were asked for: a row left out of a batch is asked for singly.
    if (path.endsWith('/batch/read')) value.results = JSON.parse(r.body).inputs.map(({ id }) => ({ ...value.results[0], id }));
    const text = value ? JSON.stringify(value) : '';
    const v = documents.validate({ method: r.method, path, query: r.url.split('?')[1], status: Number(code), requestBody: r.body, responseBody: text });
    for (const e of v.described ? v.errors : ['no document']) wrong.push(`${r.method} ${r.url} ${r.body}: ${e}`);
    seen.push(`${r.method} ${path}`);
    res.writeHead(Number(code), HEADERS).end(text);
  });
  const calls = types.flatMap((x) => Object.entries(WAYS).map(([way, args]) => ({ name: `${x.name}.${way}`, type: x.type, way, args, can: x.ways.includes(way) })))
    .filter((c) => c.way !== 'search' || !c.can || SEARCHED.has(c.name.split('.')[0]));
  const dir = project(t, { 'all.lua': SCRIPT(calls.map(({ name, args, way }) => ({ name, args, iterates: way === 'list' || way === 'search' }))) });
  const r = await run(t, ['run', 'all.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: server.url, HUBSPOT_TIER: 'enterprise' }, ms: 120000 });
  assert.equal(r.code, 0, r.err);
  const results = r.out.trim().split('\n').map((l) => JSON.parse(l));
  assert.equal(results.length, calls.length);
  for (const [i, c] of calls.entries()) {
    const x = results[i];
    if (c.can !== x.fine) wrong.push(`${c.name}: ${x.error ?? 'was not refused'}`);
    else if (!x.fine && !x.error.includes(`hubspot.${c.name.split('.')[0]} has no "${c.way}"`)) wrong.push(x.error);
  }
  assert.deepEqual(wrong, []);
  const well = calls.filter((c) => c.can);
  assert.equal(seen.length, well.length, 'one request a call');
  well.forEach((c, i) => assert.ok(seen[i].includes(`/crm/objects/2026-09/${c.type}`), `${c.name} called ${seen[i]}`));
  t.diagnostic(`note: ${types.length} object types, ${well.length} calls, ${calls.length - well.length} refused`);
});

function* idsIn(value) {
  if (!value || typeof value !== 'object') return;
  for (const [k, v] of Object.entries(value)) {
    if (/(^id|I[dD])$/.test(k) && !/[tT]ypeId$/.test(k)) yield [k, v];
    yield* idsIn(v);
  }
}
