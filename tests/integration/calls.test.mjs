// The API call log as a user meets it: what `run` and `serve` leave, and what
// `hubloop calls` says of it, while they run and afterwards.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { TOKEN, deliver, event, fake, project, run, serve, start } from './lib.mjs';

const RECORD = (id) => ({ id, archived: false, createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z', properties: { email: 'ada@example.com' } });
const json = (res, status, body, headers = {}) => res.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));

// Answers reads; refuses updates as HubSpot refuses a bad value.
function hubspot(q, res) {
  if (q.url.includes('/batch/read')) return json(res, 200, { status: 'COMPLETE', results: JSON.parse(q.body).inputs.map((i) => RECORD(i.id)) });
  if (q.method === 'PATCH') {
    return json(res, 400, {
      status: 'error', category: 'VALIDATION_ERROR', correlationId: 'aeb5f871-7f07-4993-9211-075dc63e7cbf',
      message: 'Property values were not valid', errors: [{ message: '“blue” was not one of the allowed options: [open, closed]' }],
    });
  }
  return json(res, 200, RECORD(decodeURIComponent(q.url.split('?')[0].split('/').pop())), { 'X-HubSpot-Correlation-Id': 'c0ffee00-0000-4000-8000-000000000001' });
}

const SCRIPT = `
local hubspot = require "hubspot"
task.all{
  function() hubspot.contacts.get("1", { "email" }) end,
  function() hubspot.contacts.get("2", { "email" }) end,
}
hubspot.contacts.get("ada@example.com", { "email" }, { id_property = "email" })
hubspot.request{ method = "GET", path = "/crm/objects/{version}/contacts/7", query = { after = "secret-cursor" } }
pcall(hubspot.contacts.update, "3", { hs_lead_status = "blue" })
`;

async function ran(t, { settings, script = SCRIPT } = {}) {
  const f = await fake(t, hubspot);
  const dir = project(t, { 'p/asks.lua': script, ...(settings ? { 'p/hubloop.lua': settings } : {}) });
  const env = { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: f.url };
  const where = settings ? 'p' : 'p/asks.lua';
  const r = await run(t, ['run', where], { cwd: dir, env });
  assert.equal(r.code, 0, r.err);
  const calls = (...args) => run(t, ['calls', where, ...args], { cwd: dir });
  return { dir, env, calls, where };
}

const files = (dir) => fs.readdirSync(dir, { recursive: true }).map((f) => path.join(dir, String(f))).filter((f) => /calls\.log\.\d+$/.test(f));

test('what run leaves, and the summary with errors first', async (t) => {
  const { dir, calls } = await ran(t);
  const all = await calls('--json');
  assert.equal(all.code, 0, all.err);
  const lines = all.out.trimEnd().split('\n').map((l) => JSON.parse(l));
  assert.deepEqual(lines.map((l) => [l.method, l.path, l.status, l.batch]), [
    ['POST', '/crm/objects/2026-09/contacts/batch/read', 200, 2], ['POST', '/crm/objects/2026-09/contacts/batch/read', 200, 2],
    ['GET', '/crm/objects/2026-09/contacts/{email}', 200, 1], ['GET', '/crm/objects/2026-09/contacts/7', 200, 1],
    ['PATCH', '/crm/objects/2026-09/contacts/3', 400, 1],
  ]);
  assert.equal(lines[0].request, lines[1].request);
  assert.deepEqual(lines.map((l) => l.id), ['1', '2', undefined, undefined, '3']);
  assert.equal(lines[3].correlation_id, 'c0ffee00-0000-4000-8000-000000000001');
  for (const l of lines) {
    assert.equal(l.script, 'asks.lua');
    assert.equal(l.account, 'main');
    assert.equal(l.class, 'normal');
    assert.equal(l.attempts, 1);
    assert.ok(Math.abs(Date.parse(l.time) - Date.now()) < 3600e3, l.time);
    for (const k of ['wait', 'latency', 'total']) assert.ok(Number.isInteger(l[k]) && l[k] >= 0, `${k} ${l[k]}`);
  }
  const kept = files(path.join(dir, '.state')).map((f) => fs.readFileSync(f, 'utf8')).join('');
  for (const never of [TOKEN, 'ada@', 'ada%40', 'secret-cursor', 'blue"']) assert.ok(!kept.includes(never), `${never} was kept:\n${kept}`);

  const s = await calls();
  assert.equal(s.code, 0, s.err);
  const rows = s.out.split('\n').filter((l) => / (GET|POST|PATCH) …?\//.test(l) && /^ +\d/.test(l));
  assert.equal(rows.length, 4, s.out);
  assert.match(rows[0], /^ +1 +1 +0 .* PATCH .*contacts\/\{id\}$/);
  assert.match(s.out, /^asks\.lua$/m);
  assert.match(s.out, / 2 +0 +0 .* 2\.0 +POST .*batch\/read$/m);
  assert.match(s.out, /5 calls in 4 requests, 1 error,/);
  assert.match(s.out, /^400 +1× asks\.lua +PATCH /m);
  assert.match(s.out.replace(/\s+/g, ' '), /VALIDATION_ERROR: Property values were not valid; “blue” was not one of the allowed options: \[open, closed\]/);
  assert.match(s.out, /correlation id aeb5f871-7f07-4993-9211-075dc63e7cbf/);
  assert.match(s.out, /bodies = true/);
  for (const line of s.out.split('\n')) assert.ok([...line].length <= 80, `${[...line].length} columns: ${line}`);
});

test('ids and counts in a message do not make it another reason, names do', async (t) => {
  const { dir, calls } = await ran(t);
  const kept = files(path.join(dir, '.state'))[0];
  const bad = fs.readFileSync(kept, 'utf8').split('\n').map((l) => l && JSON.parse(l)).find((l) => l?.error);
  const lines = ['busy (tried 9 times in 280 s)', 'busy (tried 12 times in 301 s)', 'p1 is wrong', 'p2 is wrong', 'no contact 1234567', 'no contact 7654321'];
  fs.writeFileSync(kept, lines.map((text) => `${JSON.stringify({ ...bad, error: { ...bad.error, message: text } })}\n`).join(''));
  const s = await calls();
  assert.deepEqual(s.out.match(/^400 .*/gm).map((l) => l.match(/(\d)×/)[1]), ['2', '1', '1', '2'], s.out);
});

test('filters', async (t) => {
  const { calls } = await ran(t);
  const count = async (...args) => { const r = await calls('--json', ...args); assert.equal(r.code, 0, r.err); return r.out.split('\n').length - 1; };
  assert.equal(await count('--status', 'error'), 1);
  assert.equal(await count('--status', 'ok'), 4);
  assert.equal(await count('--status', '4xx'), 1);
  assert.equal(await count('--status', '200'), 4);
  assert.equal(await count('--path', 'batch/read'), 2);
  assert.equal(await count('--script', 'asks.lua'), 5);
  assert.equal(await count('--script', 'other.lua'), 0);
  assert.equal(await count('--account', 'shop'), 0);
  assert.equal(await count('--since', '1h'), 5);
  assert.equal(await count('--since', '2999-01-01T00:00:00Z'), 0);
  const slow = await calls('--slow', '--limit', '2');
  assert.equal(slow.out.match(/^\d\d:\d\d:\d\d\.\d{3} /gm).length, 2, slow.out);
  assert.match((await calls('--status', '500')).out, /no call matches/);
});

test('a body is kept when asked for, without the token', async (t) => {
  const { calls } = await ran(t, { settings: 'return { calls = { bodies = true, max = "1MB" } }' });
  const refused = JSON.parse((await calls('--json', '--status', 'error')).out);
  assert.match(refused.sent, /hs_lead_status.*blue/);
  assert.match((await calls('--status', '400')).out, /sent: .*hs_lead_status/);
});

test('run --sim keeps a log only beside the store it is given', async (t) => {
  const dir = project(t, { 'a.lua': 'require("hubspot").contacts.create{ email = "ada@example.com" }\n' });
  assert.equal((await run(t, ['run', '--sim', 'a.lua'], { cwd: dir })).code, 0);
  assert.deepEqual(files(dir), []);
  assert.equal((await run(t, ['run', '--sim', '--store', 'trial.db', 'a.lua'], { cwd: dir })).code, 0);
  const line = JSON.parse((await run(t, ['calls', '--store', 'trial.db', '--json'], { cwd: dir })).out);
  assert.equal(line.simulator, true);
  assert.equal(line.status, 201);
  const none = await run(t, ['calls', '--store', 'other.db'], { cwd: dir });
  assert.equal(none.code, 1);
  assert.match(none.err, /no call log other\.calls\.log\.1 beside other\.db/);
});

test('calls = false keeps nothing, and says so', async (t) => {
  const { dir, calls } = await ran(t, { settings: 'return { calls = false }' });
  assert.deepEqual(files(dir), []);
  const r = await calls();
  assert.equal(r.code, 1);
  assert.match(r.err, /calls = false/);
});

test('settings that are none', async (t) => {
  for (const [settings, wrong] of [['calls = true', /calls must be a table/], ['calls = { max = "1 lot" }', /calls\.max must be a size such as "64MB"/],
    ['calls = { max = 10 }', /calls\.max/], ['calls = { bodys = true }', /no setting “bodys”; did you mean “bodies”/], ['calls = { bodies = 1 }', /calls\.bodies/]]) {
    const dir = project(t, { 'hubloop.lua': `return { ${settings} }`, 'a.lua': '' });
    const r = await run(t, ['run', '.'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
    assert.equal(r.code, 2, settings);
    assert.match(r.err, wrong);
  }
});

test('nothing recorded, a misspelt filter: what to do', async (t) => {
  const dir = project(t, { 'a.lua': '' });
  const none = await run(t, ['calls', 'a.lua'], { cwd: dir });
  assert.equal(none.code, 1);
  assert.match(none.err, /no call has been recorded for a\.lua.*hubloop run/s);
  const bad = await run(t, ['calls', '--status', 'broken'], { cwd: dir });
  assert.equal(bad.code, 2);
  assert.match(bad.err, /429.*4xx.*error/);
  const since = await run(t, ['calls', '--since', 'yesterday'], { cwd: dir });
  assert.equal(since.code, 2);
  assert.match(since.err, /--since takes a duration/);
});

const HANDLER = `
local hubspot = require "hubspot"
on("contact.creation", { name = "read" }, function(event)
  hubspot.contacts.get(event.objectId, { "email" })   -- hubloop: ignore
end)
`;

test('while serve runs: beside its store, followed, and what kill -9 leaves', async (t) => {
  const f = await fake(t, hubspot);
  const dir = project(t, { 'reads.lua': HANDLER });
  const p = await serve(t, dir, { env: { HUBSPOT_BASE_URL: f.url } });
  const follow = start(t, ['calls', dir, '--follow'], { cwd: dir });
  await follow.line(/new calls/);
  await deliver(p.hook, [event({ objectId: 41 })]);
  await follow.line(/ 200 +reads\.lua +GET .*contacts\/41 /, 'out');
  const one = JSON.parse((await run(t, ['calls', dir, '--json'], { cwd: dir })).out);
  assert.equal(one.path, '/crm/objects/2026-09/contacts/41');
  assert.equal(one.class, 'live');
  assert.deepEqual(fs.readdirSync(path.join(dir, 'data')).filter((n) => n.startsWith('calls.log')), ['calls.log.1']);
  await p.stop('SIGKILL');
  fs.appendFileSync(path.join(dir, 'data/calls.log.1'), '{"time":"2026-'); // as in the middle of a write
  const again = await serve(t, dir, { env: { HUBSPOT_BASE_URL: f.url } });
  await deliver(again.hook, [event({ objectId: 42 })]);
  await follow.line(/ 200 +reads\.lua +GET .*contacts\/42 /, 'out');
  const ended = await follow.stop('SIGINT');
  assert.equal(ended.code, 0, follow.err);
  assert.equal(follow.out.match(/contacts\/41 /g).length, 1, follow.out);
  await again.stop();
  const ids = (await run(t, ['calls', dir, '--json'], { cwd: dir })).out.trimEnd().split('\n').map((l) => JSON.parse(l).id);
  assert.deepEqual(ids, ['41', '42']);
});

test('a script reads the log of its runs, from the files', async (t) => {
  const dir = project(t, {
    'x.lua': `
      local hubspot = require "hubspot"
      local n, refused = 0, 0
      for call in hubspot.call_log { since = "1h" } do
        n = n + 1
        if call.error then refused = refused + 1 end
      end
      print(n, refused)
      for i = 1, 3 do hubspot.contacts.create { email = ("p%d@x.example"):format(i) } end
      pcall(hubspot.contacts.get, "999", { "email" })`,
  });
  for (const expected of ['0\t0', '4\t1', '8\t2']) {
    const r = await run(t, ['run', '--sim', '--store', 'store.db', 'x.lua'], { cwd: dir });
    assert.equal(r.code, 0, r.err);
    assert.equal(r.out.trim(), expected);
  }
});
