// The bench: run.mjs [NAME…]. Each figure is a line that a program can read; the
// heading says machine, sizes and command. Both sides of a comparison run in the
// same run, alternating. Nothing here asserts. Peers (npm, installed by run.sh):
// better-sqlite3, undici, the official Node client, and Node's own.
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import * as api from './api.mjs';
import * as engine from './engine.mjs';
import * as sim from './sim.mjs';
import * as sync from './sync.mjs';
import { HUBLOOP, ROUNDS, SECONDS, SECRET, SPAWN, TOKEN, here, line, load, median, project, quantile, round, rss, say, serve, started, stopped } from './lib.mjs';

// ---- durable receipt ----

const sides = {
  // A script that listens to something else: receipt alone, no handler.
  hubloop: () => serve(project('hubloop', { 'receipt.lua': 'on("deal.deletion", function() end)\n' })),
  node_tx: () => peer('tx'),
  node_group: () => peer('group'),
};

async function peer(mode) {
  const dir = project(`node_${mode}`, {});
  const child = await started('node', [path.join(here, 'peer_receipt.mjs'), mode, SECRET, path.join(dir, 'inbox.db')], /listening (\d+)/);
  child.port = child.match[1];
  return child;
}

async function receipt(name, batch, targets) {
  // As many prepared bodies as the fastest side could take.
  const requests = batch === 1 ? 70000 * SECONDS : 3500 * SECONDS;
  say(`# ${name}: ${batch} event${batch > 1 ? 's' : ''} a request (about ${batch === 1 ? '288 B' : `${(0.288 * batch).toFixed(1)} KB`}), v3 signature, 64 keep-alive connections, ${SECONDS} s, median of ${ROUNDS} rounds, sides alternating; fresh store each round`);
  const results = { hubloop: [], node_tx: [], node_group: [] };
  for (let r = 0; r < ROUNDS; r++) {
    for (const side of Object.keys(results)) {
      if (side === 'node_tx' && !targets.node_tx) continue;
      const child = await sides[side]();
      const x = await load(child.port, { batch, requests, seconds: SECONDS, connections: 64 });
      await stopped(child, 'SIGTERM');
      if (x.refused || x.broken) say(`# ${side}: ${x.refused} refused (first ${x.first_refusal}), ${x.broken} connections broken`);
      results[side].push(x);
    }
  }
  const value = (side, field) => median(results[side].map((x) => x[field]));
  for (const side of Object.keys(results)) {
    if (results[side].length) say(`# ${side}: ${round(value(side, 'events_per_s'))} events/s (${round(value(side, 'requests_per_s'))} requests/s), p50 ${round(value(side, 'p50_us') / 1000)} ms, p99 ${round(value(side, 'p99_us') / 1000)} ms`);
  }
  const own = value('hubloop', 'events_per_s');
  for (const side of ['node_tx', 'node_group']) {
    if (!targets[side]) continue;
    const other = value(side, 'events_per_s');
    line(name, own, 'events/s', side, other, own / other, targets[side]);
  }
  const p99 = value('hubloop', 'p99_us') / 1000;
  line(`${name}_p99`, p99, 'ms', 'limit', targets.p99, p99 / targets.p99, '<=1');
}

// ---- dispatch ----

async function dispatch() {
  const seconds = 10;
  say(`# dispatch: commit to handler start, 1,000 requests/s of one event for ${seconds} s, a handler that increments a counter, 64 connections`);
  const child = await serve(project('dispatch', { 'count.lua': 'on("contact.propertyChange", function() kv.incr("n") end)\n' }));
  const before = (await child.status()).engine.dispatch_us;
  await load(child.port, { rate: 1000, requests: 1000 * seconds, seconds: seconds + 1 });
  const s = await child.status();
  await stopped(child);
  const took = s.engine.dispatch_us.map((n, i) => n - before[i]);
  const n = took.reduce((a, b) => a + b, 0);
  const p99 = quantile(took, 0.99) / 1000;
  say(`# dispatch: ${n} handlers started, p50 ${round(quantile(took, 0.5) / 1000)} ms`);
  line('dispatch', p99, 'ms_p99', 'limit', 2, p99 / 2, '<=1');
}

// ---- idle tasks ----

const TASKS = 100000;
const STATES = 20; // a state holds 10,000 tasks by default
const sleeper = (n) => `
local ready = 0
on("contact.creation", function()
  for _ = 1, ${n} do task.spawn(function() ready = ready + 1; task.sleep("50s") end) end
  task.sleep("50s")
end)
serve("GET /ready/NAME", { auth = false }, function() return { json = { ready = ready } } end)
`;

async function idleTask() {
  say(`# idle_task: ${TASKS} tasks that sleep, in ${STATES} scripts; resident memory above the same project without them; peer: as many async functions that await a timer in Node`);
  const measure = async (n) => {
    const dir = project(`idle${n}`, Object.fromEntries(Array.from({ length: STATES }, (_, i) => [`s${i}.lua`, sleeper(n / STATES).replace('NAME', `s${i}`)])));
    const child = await serve(dir);
    const base = `http://127.0.0.1:${child.port}`;
    const body = JSON.stringify([{ eventId: 1, subscriptionId: 1, portalId: 62515, occurredAt: Date.now(), subscriptionType: 'contact.creation', attemptNumber: 0, objectId: 7 }]);
    const at = Date.now();
    const signature = crypto.createHmac('sha256', SECRET).update(`POST${base}/hubspot${body}${at}`).digest('base64');
    const r = await fetch(`${base}/hubspot`, { method: 'POST', body, headers: { 'X-HubSpot-Signature-v3': signature, 'X-HubSpot-Request-Timestamp': String(at) } });
    if (r.status !== 204) throw new Error(`idle_task: ${r.status} ${await r.text()}`);
    let ready = 0;
    const end = Date.now() + 30000;
    do {
      ready = 0;
      for (let i = 0; i < STATES; i++) ready += (await (await fetch(`${base}/ready/s${i}`)).json()).ready;
    } while (ready < n && Date.now() < end);
    const bytes = rss(child.pid);
    await stopped(child, 'SIGKILL');
    if (ready < n) throw new Error(`idle_task: only ${ready} of ${n} tasks came to wait\n${child.text()}`);
    return bytes;
  };
  const empty = await measure(0);
  const full = await measure(TASKS);
  const peerText = spawnSync('node', ['--expose-gc', '-e', `
    const wait = async () => { await new Promise((r) => setTimeout(r, 100000)); };
    gc(); const before = process.memoryUsage().rss;
    for (let i = 0; i < ${TASKS}; i++) wait();
    setTimeout(() => { gc(); console.log(process.memoryUsage().rss - before); process.exit(); }, 200);`], { encoding: 'utf8' }).stdout;
  const own = (full - empty) / TASKS;
  const other = Number(peerText) / TASKS;
  say(`# idle_task: ${round(empty / 1e6)} MB without, ${round(full / 1e6)} MB with ${TASKS} tasks; Node ${round(other)} B each`);
  line('idle_task', own, 'bytes', 'limit', 2048, own / 2048, '<=1');
  line('idle_task_total', full / 1e6, 'MB', 'limit', 300, full / 300e6, '<=1');
}

// ---- startup ----

function startup() {
  const dir = project('startup', { 'empty.lua': '' });
  say('# startup: hubloop run empty.lua, fork to exit, median of 50, alternating with node -e 0');
  const r = spawnSync(SPAWN, ['50', HUBLOOP, 'run', '--sim', path.join(dir, 'empty.lua'), '--', HUBLOOP, 'run', path.join(dir, 'empty.lua'), '--', 'node', '-e', '0', '--', HUBLOOP, 'version'], {
    encoding: 'utf8', env: { PATH: process.env.PATH, HOME: dir, HUBSPOT_TOKEN: TOKEN },
  });
  if (r.status !== 0) throw new Error(`startup: ${r.stderr}`);
  const [sim, own, node, version] = r.stdout.trim().split('\n').map((us) => Number(us) / 1000);
  say(`# startup: with --sim ${round(sim)} ms; hubloop version (no work at all) ${round(version)} ms`);
  line('startup', own, 'ms', 'limit', 8, own / 8, '<=1');
  line('startup', own, 'ms', 'node', node, node / own, '>=1');
}

const benches = {
  receipt_batch1: () => receipt('receipt_batch1', 1, { node_tx: '>=6', node_group: '>=1.5', p99: 10 }),
  receipt_batch100: () => receipt('receipt_batch100', 100, { node_group: '>=4', p99: 25 }),
  dispatch,
  idle_task: idleTask,
  startup,
  ...engine,
  ...api,
  ...sim,
  ...sync,
};

const wanted = process.argv.slice(2);
for (const name of wanted) {
  if (!benches[name]) { console.error(`no bench ${name}; there are ${Object.keys(benches).join(', ')}`); process.exit(2); }
}
const commit = spawnSync('git', ['-C', here, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).stdout.trim();
say(`# machine: ${os.cpus().length} x ${os.cpus()[0].model}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} ${os.release()}, Node ${process.version}; the load generator shares the cores; load average ${os.loadavg()[0].toFixed(2)}`);
say(`# command: make bench${wanted.length ? ` B=${wanted.join(' ')}` : ''} (commit ${commit})`);
for (const name of wanted.length ? wanted : Object.keys(benches)) await benches[name]();
