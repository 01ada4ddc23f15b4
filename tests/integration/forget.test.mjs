// `hubloop forget`, and contact.privacyDeletion: afterwards no file of the store holds the person.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { deliver, event, project, run, serve, sim } from './lib.mjs';

const ID = 987654321012;
const MAIL = 'ana.weber@example.com';
const LEADS = `
on("contact.creation", { concurrency = 1 }, function(event)
  kv.set("lead:" .. event.objectId, { owner = 7 })
  local all = kv.get("all") or {}
  all[#all + 1] = { id = event.objectId, mail = "someone" }
  kv.set("all", all)
  after("1d", "chase", { id = event.objectId })
  emit("greeted", { id = event.objectId })
end)
on("contact.propertyChange", { retries = 0 }, function(event)
  step("look", function() return { value = event.propertyValue } end)
  error("cannot write to " .. event.propertyValue)
end)
serve("GET /all", { auth = false }, function() return { json = kv.get("all") } end)
`;

// Every byte of the store's folder.
const traces = (dir) => fs.readdirSync(path.join(dir, 'data')).filter((f) => !f.endsWith('.sock')).flatMap((f) => {
  const bytes = fs.readFileSync(path.join(dir, 'data', f));
  return [String(ID), MAIL].filter((text) => bytes.includes(text)).map((text) => `${f}: ${text}`);
});

test('a person leaves the store of a running serve', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  const p = await serve(t, dir);
  const events = [event({ objectId: ID }), event({ objectId: 5 }), event({ objectId: ID, subscriptionType: 'contact.propertyChange', propertyName: 'email', propertyValue: MAIL }),
    event({ objectId: 6, subscriptionType: 'contact.propertyChange', propertyName: 'email', propertyValue: 'bo@example.com' }),
    event({ objectId: 7, subscriptionType: 'deal.propertyChange', propertyName: 'note', propertyValue: `call ${MAIL.toUpperCase()}` })];
  assert.equal((await deliver(p.hook, events)).status, 204);
  await p.settled((v) => v.engine.dead === 2 && v.engine.pending === 0 && v.engine.running === 0, 'all handled');
  const forget = (...args) => run(t, ['forget', ...args], { cwd: dir });
  const dry = await forget(String(ID), '--email', MAIL, '--dry-run');
  assert.equal(dry.code, 0, dry.err);
  assert.match(dry.out, /^ +4 events\n +2 dead letters and waiting events\n +1 step\n +2 kv keys\nwould be removed/m);
  assert.notEqual(traces(dir).length, 0);
  const r = await forget(String(ID), '--email', MAIL);
  assert.equal(r.code, 0, r.err);
  assert.match(r.out, /removed, or cleaned of it/);
  assert.deepEqual(traces(dir), []);
  assert.deepEqual((await (await fetch(`${p.url}/all`)).json()).map((l) => l.id), ['5']);
  const s = (await p.status()).engine;
  assert.equal(s.dead, 1); // the other one's stays
  assert.equal((await forget(String(ID), '--email', MAIL)).out, 'nothing\n');
  assert.equal((await deliver(p.hook, [event({ objectId: 8 })])).status, 204);
  await p.settled((v) => v.engine.ran >= s.ran + 1, 'and it goes on');
  await p.stop();
  assert.deepEqual(traces(dir), []);
  for (const [args, text] of [[['abc'], /no record's id/], [['1', '--email', 'x'], /no e-mail address/], [[], /takes ID/]]) {
    const bad = await forget(...args);
    assert.equal(bad.code, 2);
    assert.match(bad.err, text);
  }
});

test('without serve what is pending goes too', async (t) => {
  const dir = project(t, { 'leads.lua': LEADS });
  fs.writeFileSync(path.join(dir, 'new.json'), '[]');
  const p = await serve(t, dir);
  await p.stop();
  fs.writeFileSync(path.join(dir, 'new.json'), JSON.stringify([event({ objectId: ID }), event({ objectId: 9 })]));
  assert.equal((await run(t, ['events', 'inject', 'new.json'], { cwd: dir })).code, 0);
  const r = await run(t, ['forget', String(ID), '--json'], { cwd: dir });
  assert.equal(r.code, 0, r.err);
  assert.equal(JSON.parse(r.out).events, 1);
  assert.deepEqual(traces(dir), []);
  const q = await serve(t, dir);
  await q.settled((v) => v.engine.ran === 1 && v.engine.removed === 1 && v.engine.pending === 0, 'the other one handled');
  await q.stop();
});

// Ana is a contact with a row, and a row that cannot be read; Bo's row has the number of Ana's contact.
const CRM = `
local sync, hubspot = require "sync", require "hubspot"
local db = sql.open("crm.db")
db:exec("CREATE TABLE IF NOT EXISTS people(id INTEGER PRIMARY KEY, mail TEXT, name TEXT, size TEXT)")
local crm = sync.mapping("crm", { left = sync.hubspot "contacts", right = sync.sql(db, "people", { id = "id" }), deletes = "follow", fields = {
  { left = "email", right = "mail", type = "email", key = true }, { left = "lastname", right = "name" },
  { left = "numemployees", right = "size", type = "integer" } } })
local leads = sync.mapping("leads", { from = sync.csv("leads.csv"), to = sync.hubspot "contacts", quarantine = "bad.csv", deletes = "follow",
  fields = { { "email", type = "email", key = true }, { from = "size", to = "numemployees", type = "integer" } } })
serve("POST /begin", { auth = false }, function()
  local ana = hubspot.contacts.create { email = "${MAIL}", lastname = "Ana Weber" }.id
  hubspot.contacts.create { email = "bo@example.com", lastname = "Bo", numemployees = math.tointeger(ana) }
  db:exec("INSERT INTO people VALUES(?, 'bo@example.com', 'Bo', ?)", math.tointeger(ana), ana)
  db:exec("INSERT INTO people VALUES(1, 'Ana.Weber@example.com', 'Ana Weber', 'many')")
  local cy = hubspot.contacts.create { email = "cy@example.com", lastname = "Cy" }.id
  db:exec("INSERT INTO people VALUES(5, 'cy@example.com', 'Cy', NULL)")
  return { json = { ana, cy } }
end)
serve("POST /sync", { auth = false }, function()
  local r = crm:run { full = true }
  leads:run()
  return { json = { deleted = r.deleted, bad = r.bad, bo = #db:query("SELECT 1 FROM people WHERE name = 'Bo'") } }
end)
serve("POST /leave", { auth = false }, function()
  db:exec("DELETE FROM people WHERE name = 'Ana Weber'")
  for c in hubspot.contacts.list { properties = { "email" } } do
    if c.email == "${MAIL}" or c.email == "cy@example.com" then hubspot.contacts.archive(c.id) end
  end
  return { status = 204 }
end)
`;

test('a person leaves what sync remembers, and the others stay', async (t) => {
  const dir = project(t, { 'crm.lua': CRM, 'leads.csv': `email,size\n${MAIL},few\n`,
    'hubloop.lua': 'return { permissions = { ["crm.lua"] = { sql = { "crm.db" }, fs = { "." } } } }' });
  const s = await sim(t, dir);
  const p = await serve(t, dir, { env: { HUBSPOT_BASE_URL: s.url } });
  const post = async (what) => {
    const r = await fetch(`${p.url}/${what}`, { method: 'POST' });
    const text = await r.text();
    assert.ok(r.ok, `${what}: ${r.status} ${text}${p.err}`);
    return text;
  };
  const names = () => fs.readdirSync(path.join(dir, 'data')).filter((f) => !f.endsWith('.sock'))
    .filter((f) => /Ana Weber|ana\.weber@/i.test(fs.readFileSync(path.join(dir, 'data', f), 'latin1')));
  const [ana, cy] = JSON.parse(await post('begin'));
  await post('sync');
  assert.notDeepEqual(names(), []);
  assert.match(fs.readFileSync(path.join(dir, 'bad.csv'), 'utf8'), /ana\.weber/);
  await post('leave');
  fs.writeFileSync(path.join(dir, 'leads.csv'), 'email,size\n');
  assert.equal((await run(t, ['forget', cy], { cwd: dir })).code, 0); // whose row stays
  const r = await run(t, ['forget', ana, '--email', MAIL], { cwd: dir });
  assert.equal(r.code, 0, r.err);
  assert.deepEqual(names(), []);
  assert.deepEqual(JSON.parse(await post('sync')), { deleted: 0, bad: 0, bo: 1 });
  assert.equal((await s.control('list', { type: 'contacts' })).results.map((c) => c.properties.lastname).join(), 'Bo');
  assert.doesNotMatch(fs.readFileSync(path.join(dir, 'bad.csv'), 'utf8'), /ana\.weber/);
  assert.match(r.err, /Tables and files.*quarantine/);
  await p.stop();
  assert.deepEqual(names(), []);
});
