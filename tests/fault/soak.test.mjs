// The shipped automations as a team runs them: `serve` beside a simulated account in which leads come and things happen,
// HubSpot refusing and failing now and then, settings read again, kill -9. HL_SOAK_SECONDS of it (make soak: SOAK_SECONDS=…).
// Afterwards every lead has been handled once and has got its owner once, and the process has grown by no more than it must.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { SEED, freePort, project, random, request, run, serve, sim, sound, TOKEN } from './lib.mjs';

const SECONDS = Number(process.env.HL_SOAK_SECONDS ?? 8);
const SCRIPTS = ['lead_routing', 'speed_to_lead', 'lead_scoring', 'lifecycle_stage', 'form_follow_up', 'deal_onboarding'];
const LEADS_PER_SECOND = 20;
const MOST_KB_A_LEAD = 8; // its wait, its keys, its events' ids

const LEDGER = `
on("contact.creation", { concurrency = 100 }, function(e)
  step("counted", function() kv.incr("seen:" .. e.objectId) end)
  emit("counted", { id = e.objectId })
end)
on("counted", { concurrency = 100 }, function(e) kv.incr("n:" .. e.payload.id) end)
serve("POST /counts", { auth = false }, function(request)
  local out = {}
  for _, id in ipairs(request.json()) do out[id] = { kv.get("seen:" .. id) or 0, kv.get("n:" .. id) or 0 } end
  return { json = out }
end)
`;
// What goes wrong at HubSpot's, each for a while.
const TROUBLE = [
  { policy: 'TEN_SECONDLY_ROLLING', times: 5 }, { status: 503, share: 0.2, during: '2s' }, { drop: 'half', share: 0.05, during: '2s' },
  { latency_ms: 'p50:80,p99:900', during: '3s' }, { webhook: 'doubled', share: 0.3, times: 20 }, { webhook: 'unheard', share: 0.2, times: 10 },
  { webhook: 'reordered', latency_ms: 300, share: 0.3, times: 20 },
];

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// Of the process that does the work, below the one that watches over it.
function size(watcher) {
  const pid = fs.readFileSync(`/proc/${watcher}/task/${watcher}/children`, 'utf8').trim();
  const kb = Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);
  return { mb: kb / 1024, fds: fs.readdirSync(`/proc/${pid}/fd`).length };
}

async function owners(account, ids) {
  const history = new Map();
  for (let i = 0; i < ids.length; i += 50) {
    const body = { inputs: ids.slice(i, i + 50).map((id) => ({ id })), properties: ['hubspot_owner_id'], propertiesWithHistory: ['hubspot_owner_id'] };
    const ask = () => request('POST', `${account.url}/crm/objects/2026-09/contacts/batch/read`, JSON.stringify(body),
      { 'Content-Type': 'application/json', Authorization: `Bearer ${TOKEN}` });
    let r = await ask();
    while (r.status === 429) { await sleep(1000); r = await ask(); }
    assert.equal(r.status, 200, r.body);
    for (const c of JSON.parse(r.body).results) history.set(c.id, c.propertiesWithHistory.hubspot_owner_id ?? []);
  }
  return history;
}

test(`${SECONDS} s of leads, trouble and kills`, { timeout: SECONDS * 1000 + 180000 }, async (t) => {
  const rng = random(SEED);
  const dir = project(t);
  assert.equal((await run(t, ['new', 'app', ...SCRIPTS], { cwd: dir })).code, 0);
  const app = path.join(dir, 'app');
  fs.writeFileSync(path.join(app, 'ledger.lua'), LEDGER);
  const port = await freePort();
  const account = await sim(t, dir, ['--contacts', '300', '--tier', 'enterprise', '--seed', String(SEED), '--webhook-url', `http://127.0.0.1:${port}/hubspot`]);
  await account.control('configure', { redelivery_ms: 50 });
  await account.control('subscribe', { types: ['contact', 'company', 'deal'].flatMap((o) => [`${o}.creation`, `${o}.propertyChange`, `${o}.deletion`]) });
  const store = path.join(dir, 'soak.db');
  const env = { HUBSPOT_BASE_URL: account.url };
  let p = await serve(t, app, { store, port, env });
  await account.control('activity', { per_day: 86400 * 3 });

  const began = Date.now(), end = began + SECONDS * 1000, calm = began + SECONDS * 500; // no kills in the second half: it is measured
  const ids = [], sizes = [], created = new Map();
  let kills = 0, troubles = 0, next = began + 2000;
  while (Date.now() < end) {
    const records = Array.from({ length: LEADS_PER_SECOND / 4 }, (_, i) => ({ email: `lead${ids.length + i}@soak.example`, country: ['DE', 'US', 'GB', 'JP'][i % 4] }));
    const made = await account.control('batch_create', { type: 'contacts', records });
    for (const id of made.ids.map(String)) { ids.push(id); created.set(id, Date.now()); }
    if (Date.now() > next) {
      next = Date.now() + 1500 + rng() * 3000;
      await account.control('fail', TROUBLE[troubles++ % TROUBLE.length]);
      if (rng() < 0.4) p.child.kill('SIGHUP');
      if (Date.now() < calm) {
        kills++;
        const ended = await p.stop('SIGKILL');
        assert.equal(ended.signal, 'SIGKILL', `it had ended before: ${p.err.slice(-2000)}`);
        sound(store);
        p = await serve(t, app, { store, port, env });
      }
    }
    if (Date.now() > calm) sizes.push({ ...size(p.pid), leads: ids.length });
    await sleep(250);
  }
  await account.control('fail', {});
  await account.control('activity', { per_day: 0 });
  let e;
  await p.settled((v) => { e = v.engine; return e.pending === 0 && e.running === 0; }, 'everything handled', 60000)
    .catch(async (why) => { throw new Error(`${why.message}: ${JSON.stringify(e)}\n${p.err.slice(-2000)}`); });

  const counted = {};
  for (let i = 0; i < ids.length; i += 500) Object.assign(counted, JSON.parse((await request('POST', `${p.url}/counts`, JSON.stringify(ids.slice(i, i + 500)))).body));
  assert.deepEqual(ids.filter((id) => counted[id][0] !== 1 || counted[id][1] !== 1).map((id) => [id, ...counted[id]]), [], `leads that were not handled once (seed ${SEED})`);
  const history = await owners(account, ids);
  // People take leads over, too, and after an hour speed_to_lead gives them to somebody else.
  const given = ids.map((id) => history.get(id).filter((h) => h.sourceType === 'API' && Date.parse(h.timestamp) < created.get(id) + 1800000).length);
  assert.deepEqual(ids.filter((id, i) => given[i] !== 1).map((id) => [id, JSON.stringify(history.get(id))]).slice(0, 5), [], `leads that were not given away once (seed ${SEED})`);
  // A task whose request was out at a kill: nobody can tell whether it was made, so it is a person's to settle.
  const listed = async (state) => (await run(t, ['events', 'list', '--state', state, '--store', store, '--json', '--limit', '100000'], { cwd: app })).out.split('\n').filter(Boolean).map((l) => JSON.parse(l));
  const uncertain = new Set((await listed('uncertain')).map((v) => v.id));
  assert.deepEqual((await listed('dead')).filter((v) => !uncertain.has(v.id)), [], 'events are parked');
  const third = sizes.slice(0, Math.ceil(sizes.length / 3)), last = sizes.slice(-Math.ceil(sizes.length / 3));
  const most = (list, what) => Math.max(...list.map((s) => s[what]));
  const grown = 1024 * (most(last, 'mb') - most(third, 'mb')) / (most(last, 'leads') - most(third, 'leads'));
  await p.stop();
  sound(store);
  t.diagnostic(`note: ${ids.length} leads and ${e.ran} runs in ${SECONDS} s over ${kills} kills and ${troubles} troubles (seed ${SEED}); each lead handled once and given away once, ${uncertain.size} writes left to a person; `
    + `${most(third, 'mb').toFixed(1)} MB then ${most(last, 'mb').toFixed(1)} MB (${grown.toFixed(1)} KB a lead), at most ${most(sizes, 'fds')} open files; the store is ${(fs.statSync(store).size / 1e6).toFixed(1)} MB`);
  // Before that a process fills what it keeps of anything.
  if (SECONDS >= 300) assert.ok(grown < MOST_KB_A_LEAD, `the process has grown by ${grown.toFixed(1)} KB a lead`);
  assert.ok(most(last, 'fds') <= most(third, 'fds') + 20, `${most(last, 'fds')} open files, ${most(third, 'fds')} before`);
});
