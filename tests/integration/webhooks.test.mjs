// hubloop webhooks: plan, apply, list and test against the simulator.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { PORTAL, SECRET, TOKEN, project, request, run, serve, sim, start } from './lib.mjs';

const APP = 'journal-app';
const APP_SECRET = crypto.randomUUID();
const KEY = crypto.randomUUID();
const SCRIPT = 'on("contact.creation", function() end)\non("contact.propertyChange", { property = "phone" }, function() end)\n';
const settings = (webhooks = '', account = '') => `return {
  accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET", portal = ${PORTAL}${account} } },
  webhooks = { public_url = "https://hooks.example.com/hubspot"${webhooks} },
}
`;
const PUSH = settings(', app = 77, developer_key = secret "HUBSPOT_DEVELOPER_KEY"');

async function setup(t, text) {
  const dir = project(t, { 'leads.lua': SCRIPT, 'hubloop.lua': text });
  const s = await sim(t, dir, ['--oauth-app', APP], { env: { HUBSPOT_APP_SECRET: APP_SECRET, HUBSPOT_DEVELOPER_KEY: KEY } });
  const env = { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET, HUBSPOT_BASE_URL: s.url, HUBSPOT_DEVELOPER_KEY: KEY, HUBLOOP_VAULT: path.join(dir, 'vault'), APP_SECRET };
  const hooks = (...args) => run(t, ['webhooks', ...args], { cwd: dir, env });
  return { dir, s, env, hooks };
}
const STATE = 'data/hubloop.db-webhooks.json';

test('push: a plan, applied, changed with the scripts, and nothing foreign deleted', async (t) => {
  const { dir, s, hooks } = await setup(t, PUSH);
  // Somebody else's subscription.
  const made = await request('POST', `${s.url}/app-webhooks/2026-09/77/subscriptions?hapikey=${KEY}`, JSON.stringify({ eventType: 'ticket.creation', active: true }), { 'Content-Type': 'application/json' });
  assert.equal(made.status, 201);
  const plan = await hooks('plan');
  assert.equal(plan.code, 0, plan.err);
  assert.match(plan.out, /\+ target URL https:\/\/hooks\.example\.com\/hubspot\n.*\+ contact\.creation +leads\.lua\n.*\+ contact\.propertyChange phone +leads\.lua\n {4}ticket\.creation +not made by hubloop, left alone\n/);
  assert.match(plan.out, /3 to create, 0 to change, 0 to delete: hubloop webhooks apply/);
  assert.equal((await s.control('subscriptions')).subscriptions.length, 1, 'a plan changes nothing');
  const applied = await hooks('apply');
  assert.equal(applied.code, 0, applied.err);
  assert.match(applied.out, /created contact\.creation\ncreated contact\.propertyChange phone\n/);
  assert.ok(!fs.readFileSync(path.join(dir, STATE), 'utf8').includes(KEY));
  assert.equal(fs.statSync(path.join(dir, STATE)).mode & 0o777, 0o600);
  assert.match((await hooks('plan')).out, /Nothing to do/);
  fs.writeFileSync(path.join(dir, 'leads.lua'), 'on("deal.won", function() end)\n');
  const json = JSON.parse((await hooks('plan', '--json')).out);
  assert.deepEqual([json.create, json.change, json.delete], [1, 0, 2]);
  const again = JSON.parse((await hooks('apply', '--json')).out);
  assert.deepEqual(again.map((a) => [a.verb, a.done]), [['create', true], ['delete', true], ['delete', true]]);
  assert.deepEqual((await s.control('subscriptions')).subscriptions.map((x) => [x.type, x.property]).sort(), [['deal.propertyChange', 'dealstage'], ['ticket.creation', undefined]]);
  const list = await hooks('list');
  assert.match(list.out, /\* deal\.propertyChange dealstage/);
  assert.match(list.out, / {4}ticket\.creation/);
  // Without the memory of what is ours nothing is deleted.
  fs.rmSync(path.join(dir, STATE));
  fs.writeFileSync(path.join(dir, 'leads.lua'), 'on("note", function() end)\n');
  assert.match((await hooks('apply')).out, /Nothing to do/);
  assert.equal((await s.control('subscriptions')).subscriptions.length, 2);
});

test('push: what HubSpot refuses is told, and the rest is done', async (t) => {
  const { dir, s, hooks, env } = await setup(t, PUSH);
  await s.control('fail', { match: { method: 'POST', path: '/app-webhooks/' }, status: 400, times: 1 });
  const r = await hooks('apply');
  assert.equal(r.code, 3, r.err);
  assert.match(r.err, /could not create contact\.creation: HubSpot answers 400/);
  assert.match(r.out, /created contact\.propertyChange phone/);
  assert.equal((await hooks('apply')).code, 0);
  const wrong = await run(t, ['webhooks', 'plan'], { cwd: dir, env: { ...env, HUBSPOT_DEVELOPER_KEY: crypto.randomUUID() } });
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /HubSpot does not accept webhooks\.developer_key for app 77/);
  assert.ok(!wrong.err.includes('hapikey'));
  fs.writeFileSync(path.join(dir, STATE), '{ broken');
  assert.match((await hooks('plan')).err, /hubloop\.db-webhooks\.json/);
});

test('journal: subscriptions of client credentials, from which serve then lives', async (t) => {
  const { dir, s, env, hooks } = await setup(t, settings('', ', journal = "events"').replace(/public_url = [^ ]+ /, ''));
  const scopes = ['read', 'subscriptions.read', 'subscriptions.write'].map((x) => `developer.webhooks_journal.${x}`).join(' ');
  const add = start(t, ['auth', 'add', 'events', '--kind', 'client_credentials', '--client-id', APP, '--scopes', scopes, '--env', 'APP_SECRET'], { cwd: dir, env });
  assert.equal((await add.end()).code, 0, add.err);
  const plan = await hooks('plan');
  assert.equal(plan.code, 0, plan.err);
  assert.match(plan.out, /^Journal events: account main, portal 62515\n {2}\+ contacts CREATE UPDATE; phone +leads\.lua\n/);
  const applied = await hooks('apply');
  assert.equal(applied.code, 0, applied.err);
  assert.match((await hooks('plan')).out, /Nothing to do/);
  fs.appendFileSync(path.join(dir, 'leads.lua'), 'on("contact.deletion", function(e) kv.set("gone", e.objectId) end)\nserve("GET /gone", { auth = false }, function() return { json = { gone = kv.get("gone") } } end)\n');
  assert.match((await hooks('plan')).out, /~ contacts CREATE UPDATE DELETE; phone +instead of contacts CREATE UPDATE; phone/);
  assert.equal((await hooks('apply')).code, 0);
  await s.control('configure', { journal_publish_ms: 20 });
  const p = await serve(t, dir, { env });
  await p.settled((x) => x.journal.events.read_until > 0);
  const c = await s.control('create', { type: 'contacts', properties: { email: 'a@example.com' } });
  await s.control('delete', { type: 'contacts', id: c.id });
  await p.settled((x) => x.engine.ran >= 2);
  assert.equal(JSON.parse((await request('GET', `${p.url}/gone`)).body).gone, c.id);
  fs.writeFileSync(path.join(dir, 'leads.lua'), 'on("note", function() end)\n');
  assert.match((await hooks('apply')).out, /deleted contacts CREATE UPDATE DELETE; phone/);
  assert.equal((await s.control('journal')).subscriptions.length, 0);
});

test('private apps: a table, and a file for platform apps', async (t) => {
  const { dir, hooks } = await setup(t, settings());
  fs.writeFileSync(path.join(dir, 'answer.lua'), 'require("routing").sla("answer", { open = { hs_lead_status = { "NEW" } }, remind = "1h" })\n');
  const plan = await hooks('plan');
  assert.match(plan.out, /^Push, by hand: account main, in its private app's settings/);
  assert.match(plan.out, /contact\.propertyChange phone +leads\.lua/);
  assert.match(plan.out, /contact\.propertyChange hs_lead_status +answer\.lua/); // what an sla waits for
  fs.rmSync(path.join(dir, 'answer.lua'));
  const meta = JSON.parse((await hooks('plan', '--hsmeta')).out);
  assert.deepEqual(meta.config.subscriptions.legacyCrmObjects[1], { active: true, propertyName: 'phone', subscriptionType: 'contact.propertyChange' });
  assert.match((await hooks('apply')).out, /no program set these/);
});

test('a sample event: accepted, refused, or nobody there', async (t) => {
  const { dir, env, hooks } = await setup(t, settings().replace(/public_url = [^ ]+ /, ''));
  const nobody = await hooks('test');
  assert.equal(nobody.code, 1);
  assert.match(nobody.err, /does serve run there/);
  const p = await serve(t, dir, { env });
  const well = await hooks('test', '--to', p.hook);
  assert.equal(well.code, 0, well.err);
  assert.match(well.out, /answers 204: accepted and stored; nobody listens to it/);
  assert.equal((await p.status()).engine.unhandled, 1);
  const ran = JSON.parse((await hooks('test', '--to', p.hook, '--type', 'contact.creation', '--object', '151', '--json')).out);
  assert.deepEqual([ran.status, ran.accepted], [204, true]);
  await p.settled((x) => x.engine.ran === 1);
  const wrong = await run(t, ['webhooks', 'test', '--to', p.hook], { cwd: dir, env: { ...env, HUBSPOT_CLIENT_SECRET: 'another' } });
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /answers 401: not accepted: the serve that answers has another client secret/);
});

test('settings that cannot be: one clear line', async (t) => {
  const { dir, hooks } = await setup(t, settings());
  const says = async (text, re) => { fs.writeFileSync(path.join(dir, 'hubloop.lua'), text); const r = await hooks('plan'); assert.notEqual(r.code, 0); assert.match(r.err, re); };
  await says(settings(', app = 77'), /webhooks\.app and webhooks\.developer_key go together/);
  await says(settings(', app = "77", developer_key = secret "K"'), /webhooks\.app must be the app's number/);
  await says(settings(', app = 77, developer_key = "plain"'), /developer_key must be secret "NAME"/);
  await says(PUSH.replace('public_url = "https://hooks.example.com/hubspot", ', ''), /webhooks\.public_url must be given/);
  fs.writeFileSync(path.join(dir, 'hubloop.lua'), settings());
  fs.writeFileSync(path.join(dir, 'leads.lua'), 'on("contact.creatoin", function() end)\n');
  assert.match((await hooks('plan')).err, /all of them load.*contact\.creation/s);
});
