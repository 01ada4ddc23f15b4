// Scripts are held against the account right after they are loaded (SEMANTICS 25). One that does not fit is halted: its events
// wait, the others go on, an alert says why; it goes on by a reload, or when the account has changed.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { deliver, event, poll, project, request, serve, sim } from './lib.mjs';

const LEADS = (property) => `local hubspot = require "hubspot"
on("contact.creation", function(event)
  if event.objectId == "0" then hubspot.contacts.get(event.objectId, { "email", "${property}" }) end
  kv.incr("n")
end)
serve("GET /leads", { auth = false }, function() return tostring(kv.get("n") or 0) end)
`;
const OTHER = `on("contact.creation", function(event)
  if event.objectId == "0" then require("hubspot").contacts.get(event.objectId, { "email" }) end
  kv.incr("n")
end)
on("hubloop.alert", function(event) kv.set(event.payload.kind, event.payload.script .. " " .. event.payload.text) end)
serve("GET /other", { auth = false }, function(request) return tostring(kv.get(request.query.key) or 0) end)
`;
const text = async (p, where) => (await request('GET', p.url + where)).body;

test('a script that names what is not there is halted, and its events wait', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS('emial'), 'other.lua': OTHER });
  const s = await sim(t, dir);
  const env = { HUBSPOT_BASE_URL: s.url };
  const p = await serve(t, dir, { env });
  await p.line(/script_halted: leads\.lua does not fit the account, so its events wait until it does: leads\.lua:3: contacts have no property "emial" in this account; did you mean "email"\?/);
  assert.equal((await deliver(p.hook, [event(), event()])).status, 204);
  await poll(async () => await text(p, '/other?key=n') === '2', 'the other script goes on');
  await poll(async () => /^leads\.lua leads\.lua does not fit/.test(await text(p, '/other?key=script_halted')), 'the alert');
  const status = await p.status();
  assert.match(status.halted['leads.lua'], /emial/);
  assert.equal(status.engine.pending, 2);
  assert.equal(await text(p, '/leads'), '0');
  // A version that does not fit either.
  fs.writeFileSync(path.join(dir, 'leads.lua'), LEADS('emaill'));
  p.child.kill('SIGHUP');
  await p.line(/script_halted: .*"emaill"/);
  assert.equal((await p.stop()).code, 0);
  // Over a restart, also while HubSpot does not answer; others are not held for long by that.
  const away = await serve(t, dir);
  assert.equal((await deliver(away.hook, [event()])).status, 204);
  await away.line(/scripts are held against the account once HubSpot answers \(it has not in 3 s\); until then they run, but for those that were halted before/);
  assert.match((await away.status()).halted['leads.lua'], /emaill/);
  await poll(async () => await text(away, '/other?key=n') === '3', 'the other script runs');
  assert.equal(await text(away, '/leads'), '0');
  assert.equal((await away.stop()).code, 0);
  const q = await serve(t, dir, { env });
  fs.writeFileSync(path.join(dir, 'leads.lua'), LEADS('phone'));
  q.child.kill('SIGHUP');
  await q.line(/leads\.lua: fits the account now and goes on with what has waited/);
  await poll(async () => await text(q, '/leads') === '3', 'what has waited');
  assert.deepEqual((await q.status()).halted, {});
  assert.equal(await text(q, '/other?key=n'), '3');
  assert.equal((await q.stop()).code, 0);
});

test('owners, stages and scopes', async (t) => {
  const dir = project(t);
  const s = await sim(t, dir);
  const gone = (await s.control('owners')).results[0].email;
  await s.control('owner', { email: gone, archived: true });
  fs.writeFileSync(path.join(dir, 'deals.lua'), `local hubspot = require "hubspot"
local pool = require("routing").pool("inbound", { members = { { owner = "qqqqqqqqqq@elsewhere.org" }, { owner = "${gone}" } } })
on("deal.creation", function(event)
  hubspot.deals.update(event.objectId, { dealstage = "closedwonn" })
  hubspot.tickets.get("1")                    -- hubloop: ignore scope
  hubspot.companies.get("1")
end)
`);
  const { token } = await s.control('issue_token', { scopes: ['crm.objects.deals.read', 'crm.objects.deals.write', 'crm.objects.owners.read'] });
  const p = await serve(t, dir, { token, env: { HUBSPOT_BASE_URL: s.url } });
  const [, why] = await p.line(/script_halted: deals\.lua does not fit the account, so its events wait until it does: (.*)/);
  assert.deepEqual(why.split('; deals.lua:'), ['deals.lua:4: deals have no stage "closedwonn" in this account; did you mean "closedwon"?',
    '2: there is no owner "qqqqqqqqqq@elsewhere.org" in this account', '6: hubspot.companies.get needs the scope crm.objects.companies.read, which the token does not have']);
  assert.equal((await p.stop()).code, 0);
});
