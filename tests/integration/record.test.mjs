// `hubloop record` keeps what a script asks of an account, masked; the simulator answers from it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { TOKEN, fake, project, request, run, sim, start } from './lib.mjs';

const SCRIPT = `local hubspot = require "hubspot"
for contact in hubspot.contacts.list { "email", "firstname", "lifecyclestage" } do
  print(contact.id, contact.email, contact.firstname, contact.lifecyclestage)
end
local found = hubspot.contacts.search { filters = { { propertyName = "lifecyclestage", operator = "EQ", value = "lead" } }, properties = { "email" } }
for contact in found do print("lead", contact.id, hubspot.contacts.get(contact.id, { "email", "firstname" }).firstname) end
`;

async function record(t, dir, to, args = []) {
  const p = start(t, ['record', 'shop.jsonl', '--port', '0', '--to', to, ...args], { cwd: dir });
  const [, url] = await p.line(/export HUBSPOT_BASE_URL=(\S+)/, 'out');
  return { p, url };
}

test('what a script was told, it is told again, by other names', { timeout: 60000 }, async (t) => {
  const dir = project(t, { 'report.lua': SCRIPT });
  const s = await sim(t, dir, ['--contacts', '30', '--owners', '1']);
  const { p, url } = await record(t, dir, s.url);
  const real = await run(t, ['run', 'report.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: url } });
  assert.equal(real.code, 0, real.err);
  assert.equal((await p.stop('SIGINT')).code, 0);
  assert.match(p.out, /^\d+ exchanges? in shop\.jsonl/m);

  const kept = fs.readFileSync(path.join(dir, 'shop.jsonl'), 'utf8');
  assert.equal(fs.statSync(path.join(dir, 'shop.jsonl')).mode & 0o777, 0o600);
  assert.ok(!kept.includes(TOKEN), 'the token');
  const people = real.out.trim().split('\n').map((l) => l.split('\t'));
  assert.ok(people.length > 30);
  for (const [, email, firstname] of people.filter((x) => x[0] !== 'lead')) {
    assert.ok(!email || email === 'nil' || !kept.includes(email), email);
    assert.ok(!firstname || firstname.length < 3 || firstname === 'nil' || !new RegExp(`"${firstname}\\b`).test(kept), firstname);
  }

  await s.stop();
  const replay = await sim(t, dir, ['--fixture', 'shop.jsonl']);
  const again = await run(t, ['run', 'report.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: replay.url } });
  assert.equal(again.code, 0, again.err);
  const masked = again.out.trim().split('\n').map((l) => l.split('\t'));
  assert.equal(masked.length, people.length);
  masked.forEach((row, i) => assert.deepEqual([row[0], row[3]], [people[i][0], people[i][3]], 'ids and stages stay'));
  assert.notEqual(masked[0][1], people[0][1]);

  const other = await run(t, ['run', 'other.lua'], { cwd: project(t, { 'other.lua': 'require("hubspot").deals.get("1", { "amount" })\n' }),
    env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: replay.url } });
  assert.equal(other.code, 1);
  assert.match(other.err, /shop\.jsonl has no answer to /);
});

test('what cannot be masked is passed on and not kept', { timeout: 60000 }, async (t) => {
  const dir = project(t, {});
  const seen = [];
  const upstream = await fake(t, (q, res) => {
    const reply = (status, body, headers = { 'Content-Type': 'application/json' }) => res.writeHead(status, headers).end(body);
    seen.push([q.method, q.url, q.headers.authorization]);
    if (q.url.startsWith('/csv')) reply(200, 'Ana,ana@acme.example', { 'Content-Type': 'text/csv' });
    else if (q.url.startsWith('/oauth')) reply(200, '{"access_token":"at"}');
    else reply(404, '{"message":"no ana@acme.example"}', { 'X-Private': 'p' });
  });
  const { p, url } = await record(t, dir, upstream.url, ['--keep', 'city']);
  const csv = await request('GET', `${url}/csv`, '', { authorization: 'Bearer abcdef-123' });
  assert.equal(csv.body, 'Ana,ana@acme.example');
  assert.equal((await request('POST', `${url}/oauth/2026-09/token`, 'client_secret=s')).status, 200);
  const missing = await request('GET', `${url}/crm/objects/2026-09/contacts/ana%40acme.example?idProperty=email`);
  assert.equal(missing.status, 404);
  assert.equal(missing.body, '{"message":"no ana@acme.example"}');
  assert.deepEqual(seen[0], ['GET', '/csv', 'Bearer abcdef-123']);
  await p.stop();
  assert.match(p.out, /1 exchange in shop\.jsonl, 2 not kept/);
  assert.match(p.err, /GET \/csv is passed on and not kept/);
  assert.doesNotMatch(p.err, /oauth/); // that is as it should be
  const kept = fs.readFileSync(path.join(dir, 'shop.jsonl'), 'utf8').trim().split('\n').map((l) => JSON.parse(l));
  assert.equal(kept.length, 1);
  assert.match(kept[0].path, /^\/crm\/objects\/2026-09\/contacts\/p[0-9a-f]{10}%40c[0-9a-f]{10}\.example$/);
  assert.equal(decodeURIComponent(kept[0].path.split('/').pop()), JSON.parse(kept[0].responseBody).message.slice(3));
  assert.deepEqual(Object.keys(kept[0].responseHeaders).filter((h) => h.toLowerCase() === 'x-private'), []);
});

test('misuse is told at once, and no file is left or written over', async (t) => {
  const dir = project(t, { 'there.jsonl': 'mine\n' });
  const there = await run(t, ['record', 'there.jsonl', '--port', '0'], { cwd: dir });
  assert.equal(there.code, 2);
  assert.match(there.err, /there\.jsonl is there already/);
  assert.equal(fs.readFileSync(path.join(dir, 'there.jsonl'), 'utf8'), 'mine\n');
  const to = await run(t, ['record', 'x.jsonl', '--to', 'https://api.hubapi.com/crm'], { cwd: dir });
  assert.equal(to.code, 2);
  assert.match(to.err, /--to takes an origin/);
  const bad = await run(t, ['sim', '--port', '0', '--fixture', 'there.jsonl'], { cwd: dir });
  assert.equal(bad.code, 2);
  assert.match(bad.err, /there\.jsonl:1: no exchange as hubloop record writes it/);
  const none = await run(t, ['sim', '--port', '0', '--fixture', 'none.jsonl'], { cwd: dir });
  assert.equal(none.code, 2);
  assert.match(none.err, /cannot read none\.jsonl: No such file/);
  assert.ok(!fs.existsSync(path.join(dir, 'x.jsonl')));
});

test('a server that does not answer: the connection ends, nothing is kept', { timeout: 60000 }, async (t) => {
  const dir = project(t, {});
  const { p, url } = await record(t, dir, 'http://127.0.0.1:9');
  await assert.rejects(request('GET', `${url}/crm/owners/2026-09`));
  await p.stop();
  assert.match(p.out, /^0 exchanges in shop\.jsonl/m);
  assert.match(p.err, /GET \/crm\/owners\/2026-09: /);
});
