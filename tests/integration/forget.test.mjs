// `hubloop forget`, and contact.privacyDeletion: afterwards no file of the store holds the person.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { deliver, event, project, run, serve } from './lib.mjs';

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
