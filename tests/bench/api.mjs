// The benches of the API queue and the HTTP client. The queue runs against
// `hubloop sim` with a Professional tier's limits (190 calls in any 10 s) and
// 50 ms latency; the simulator's log says what arrived, when, and how it was
// answered. The client runs against tests/bench/answer.c, which is never the limit.
import fs from 'node:fs';
import path from 'node:path';
import { HUBLOOP, ROUNDS, SECONDS, SECRET, TOKEN, build, folder, here, line, median, project, round, say, started, stopped } from './lib.mjs';

const LATENCY = 50;
const WINDOW = 10;
const LIMIT = 190;
const LENGTH = Number(process.env.LENGTH ?? 60); // s that a queue is watched for; whole windows
const AGENT = { HUBSPOT_TOKEN: TOKEN, HUBSPOT_TIER: 'professional' };

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function sim(...args) {
  const child = await started(HUBLOOP, ['sim', '--port', '0', '--tier', 'professional', '--latency', String(LATENCY), ...args],
    /HUBSPOT_BASE_URL=(http:\S+)/, { env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET } });
  child.url = child.match[1];
  child.control = async (name, body = {}) => {
    const r = await fetch(`${child.url}/_sim/${name}`, { method: 'POST', body: JSON.stringify(body) });
    if (!r.ok) throw new Error(`/_sim/${name}: ${r.status} ${await r.text()}`);
    return r.json();
  };
  child.ids = async () => (await child.control('list', { type: 'contacts', limit: 100000 })).results.map((c) => c.id);
  return child;
}

// Calls of ours and of others, in the order of their arrival.
async function arrivals(s) {
  const { calls, total } = await s.control('calls');
  if (total > calls.length) throw new Error(`the simulator kept only ${calls.length} of ${total} calls`);
  calls.sort((a, b) => a.at - b.at);
  return { ours: calls.filter((c) => c.path.includes('/contacts')), others: calls.filter((c) => !c.path.includes('/contacts')) };
}

const admitted = (calls, from, to) => calls.filter((c) => c.status !== 429 && c.at >= from && c.at < to).length;
const refused = (calls) => calls.filter((c) => c.status === 429).length;

// Starts a program and watches for `seconds` after its first call; then it is ended
// in the middle of its work.
async function watched(s, args, env, seconds) {
  const child = await started(HUBLOOP, ['run', ...args], /going/, { env: { ...AGENT, HUBSPOT_BASE_URL: s.url, ...env } });
  let first;
  while (!first) {
    await sleep(100);
    first = (await arrivals(s)).ours[0]?.at;
  }
  await sleep(first + seconds * 1000 + 500 - Date.now());
  const text = child.text();
  await stopped(child, 'SIGKILL');
  return { first, text, ...await arrivals(s) };
}

// ---- coalesce ----

const JOB = 'Head of Benches'; // no contact of the simulator begins with it

const coalesceScript = (ids) => `
local hubspot = require "hubspot"
local ids = json.decode [==[${JSON.stringify(ids)}]==]
task.map(ids, function(id) hubspot.contacts.update(id, { jobtitle = "${JOB}" }) end, { concurrency = 5000 })
`;

async function buyers(s) {
  return (await s.control('list', { type: 'contacts', limit: 100000 })).results.filter((c) => c.properties.jobtitle === JOB).length;
}

export async function coalesce() {
  const calls = 10000, sample = 300;
  say(`# coalesce: ${calls} single updates of as many contacts, from process start to exit, median of ${ROUNDS}; peer: the official Node client with its recommended limiter (9 calls a second, 6 at once) on a sample of ${sample} calls, without its start, scaled to ${calls}`);
  const took = [];
  let limited = 0, requests = 0;
  for (let r = 0; r < ROUNDS; r++) {
    const s = await sim('--contacts', String(calls));
    const dir = project('coalesce', { 'update.lua': coalesceScript(await s.ids()) });
    const began = performance.now();
    const child = started(HUBLOOP, ['run', path.join(dir, 'update.lua')], /never/, { env: { ...AGENT, HUBSPOT_BASE_URL: s.url } });
    const end = await child.catch((e) => e.message);
    took.push((performance.now() - began) / 1000);
    const stats = await s.control('stats');
    limited += stats.limited;
    requests = stats.requests;
    const done = await buyers(s);
    await stopped(s);
    if (done !== calls) throw new Error(`coalesce: ${done} of ${calls} contacts were updated\n${end}`);
  }
  const s = await sim('--contacts', String(sample));
  const file = path.join(folder, 'ids.json');
  fs.writeFileSync(file, JSON.stringify(await s.ids()));
  const peer = await started('node', [path.join(here, 'peer_coalesce.mjs'), s.url, file, JOB], /took (\d+)/, { env: { HUBSPOT_TOKEN: TOKEN } });
  const done = await buyers(s);
  await stopped(s);
  if (done !== sample) throw new Error(`coalesce: the peer updated ${done} of ${sample} contacts`);
  const other = sample / (Number(peer.match[1]) / 1000), own = calls / median(took);
  say(`# coalesce: ${median(took).toFixed(2)} s and ${requests} requests; the official client ${(sample / other).toFixed(1)} s for its ${sample}, which makes ${(calls / other).toFixed(0)} s`);
  line('coalesce', own, 'updates/s', 'official_node_scaled', other, own / other, '>=50');
  line('coalesce_429', limited, 'answers', 'limit', 0, limited, '<=0');
}

// ---- utilisation ----

export async function utilisation() {
  const full = LENGTH / WINDOW * LIMIT;
  say(`# utilisation: single gets with batch=false, 64 tasks, for ${LENGTH} s from the first arrival; full: ${full} calls`);
  const s = await sim('--contacts', '100');
  const dir = project('utilisation', { 'get.lua': `
local hubspot = require "hubspot"
local ids = json.decode [==[${JSON.stringify(await s.ids())}]==]
for n = 1, 64 do
  task.spawn(function()
    for i = n, math.huge do hubspot.contacts.get(ids[i % #ids + 1], { "email" }, { batch = false }) end
  end)
end
print("going")
` });
  const w = await watched(s, [path.join(dir, 'get.lua')], {}, LENGTH + WINDOW);
  await stopped(s);
  const own = admitted(w.ours, w.first, w.first + LENGTH * 1000);
  const later = admitted(w.ours, w.first + WINDOW * 1000, w.first + (LENGTH + WINDOW) * 1000);
  say(`# utilisation: ${later} in the ${LENGTH} s that begin ${WINDOW} s later`);
  line('utilisation', own, `calls/${LENGTH}s`, 'limit', full, own / full, '>=0.99');
  line('utilisation_429', refused(w.ours), 'answers', 'limit', 0, refused(w.ours), '<=0');
}

// ---- live_wait ----

export async function live_wait() {
  const scripts = 20, queued = 100000;
  say(`# live_wait: 10 live gets a second with batch=false over ${queued} bulk gets with batch=false that ${scripts} scripts have queued, for ${LENGTH} s; wait: the time that the script waited less the latency of ${LATENCY} ms; bulk's share is of what live leaves`);
  const s = await sim('--contacts', '100');
  const [id] = await s.ids();
  const files = { 'live.lua': `
local hubspot = require "hubspot"
task.sleep("2s")   -- until all is queued
print("going")
local start = time.now()
for n = 1, math.huge do
  task.spawn(function()
    local began = time.now()
    hubspot.contacts.get("${id}", { "firstname" }, { batch = false, priority = "live" })
    print(("wait %d %d"):format(began, time.now() - began))
  end)
  task.sleep(math.max(0, start + n * 100 - time.now()) / 1000)
end
` };
  for (let i = 0; i < scripts; i++) files[`bulk${i}.lua`] = `
local hubspot = require "hubspot"
for _ = 1, ${queued / scripts} do
  task.spawn(function() hubspot.contacts.get("${id}", { "email" }, { batch = false, priority = "bulk" }) end)
end
`;
  const w = await watched(s, [project('live_wait', files)], {}, LENGTH + WINDOW);
  await stopped(s);
  // Bulk begins at once and live two seconds later: the first window is left out.
  const from = w.first + WINDOW * 1000, to = from + LENGTH * 1000;
  const waits = [...w.text.matchAll(/wait (\d+) (\d+)/g)].filter((m) => m[1] >= from && m[1] < to).map((m) => Math.max(0, Number(m[2]) - LATENCY)).sort((a, b) => a - b);
  const due = 10 * LENGTH;
  const p99 = waits.length >= 0.95 * due ? waits[Math.floor(waits.length * 0.99)] : Infinity;
  const all = admitted(w.ours, from, to), live = Math.min(waits.length, due), rest = LENGTH / WINDOW * LIMIT - live;
  say(`# live_wait: ${waits.length} live calls, p50 ${waits[Math.floor(waits.length / 2)]} ms, longest ${waits[waits.length - 1]} ms; ${all - live} bulk calls of ${rest}; ${refused(w.ours)} times 429`);
  line('live_wait', p99, 'ms_p99', 'limit', 150, p99 / 150, '<=1');
  line('live_wait_bulk', all - live, `calls/${LENGTH}s`, 'rest', rest, (all - live) / rest, '>=0.95');
}

// ---- foreign ----

// Another process's use of the same token: `burst` calls at once, 30 % of the limit
// in all. What is refused it asks for again a second later, as such programs do.
function foreigner(s, burst) {
  const gap = burst / (0.3 * LIMIT / WINDOW) * 1000;
  let ended = false, next = performance.now();
  const one = async () => {
    for (;;) {
      const r = await fetch(`${s.url}/crm/owners/2026-09?limit=1`, { headers: { authorization: `Bearer ${TOKEN}` } });
      await r.arrayBuffer();
      if (r.status !== 429 || ended) return;
      await sleep(1000);
    }
  };
  const running = (async () => {
    while (!ended) {
      await Promise.all(Array.from({ length: burst }, one));
      next += gap;
      await sleep(Math.max(0, next - performance.now()));
    }
  })();
  return async () => { ended = true; await running; };
}

async function shared(name, burst) {
  const s = await sim('--contacts', '100', '--owners', '3');
  const dir = project(name, { 'get.lua': `
local hubspot = require "hubspot"
local ids = json.decode [==[${JSON.stringify(await s.ids())}]==]
for n = 1, 64 do
  task.spawn(function()
    for i = n, math.huge do hubspot.contacts.get(ids[i % #ids + 1], { "email" }, { batch = false }) end
  end)
end
print("going")
` });
  const end = foreigner(s, burst);
  await sleep(2 * WINDOW * 1000); // its use is steady when ours begins
  const seconds = LENGTH + WINDOW;
  const w = await watched(s, [path.join(dir, 'get.lua')], {}, seconds);
  await end();
  await stopped(s);
  const from = w.first + WINDOW * 1000, to = from + LENGTH * 1000;
  const others = admitted(w.others, from, to), own = admitted(w.ours, from, to), left = LENGTH / WINDOW * LIMIT - others;
  const limited = refused(w.ours) / (seconds / 60);
  say(`# ${name}: others ${others} calls in ${LENGTH} s (and ${refused(w.others)} times 429), ours ${own}, and ${refused(w.ours)} times 429 in ${seconds} s`);
  line(name, own, `calls/${LENGTH}s`, 'left', left, own / left, '>=0.95');
  line(`${name}_429`, limited, 'answers/min', 'limit', 1, limited, '<=1');
}

export async function foreign() {
  say(`# foreign: another process spends 30 % of the same token's budget, one call after the other, then in bursts of ${0.3 * LIMIT} each ${WINDOW} s; ours: single gets with batch=false, 64 tasks, ${LENGTH} s after the first ${WINDOW}`);
  await shared('foreign_steady', 1);
  await shared('foreign_bursty', 0.3 * LIMIT);
}

// ---- client ----

const asking = (url) => `
local url = "${url}"
for _ = 1, 32 do
  task.spawn(function()
    while true do
      local r = http.get(url)
      if r.status ~= 200 or r.json().id ~= "151" then error("wrong answer") end
    end
  end)
end
print("going")
`;

const getting = `
local hubspot = require "hubspot"
for _ = 1, 32 do
  task.spawn(function()
    while true do
      local contact = hubspot.contacts.get("151", nil, { batch = false })
      if contact.email:sub(1, 3) ~= "ana" then error("wrong answer") end
    end
  end)
end
print("going")
`;

// User and system seconds of all threads.
function cpu(pid) {
  const f = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /s, '').split(' ');
  return (Number(f[11]) + Number(f[12])) / 100;
}

// Requests a second of this client's processor time, after a second of warming up.
async function rate(server, start) {
  const count = async () => Number(await (await fetch(`http://127.0.0.1:${server.port}/_count`)).text());
  const child = await start();
  await sleep(1000);
  const [n, c] = [await count(), cpu(child.pid)];
  await sleep(SECONDS * 1000);
  const [n2, c2] = [await count(), cpu(child.pid)];
  await stopped(child, 'SIGKILL');
  return (n2 - n) / (c2 - c);
}

export async function client() {
  say(`# client: 1 KB of JSON from a local server, parsed, 32 tasks, keep-alive; http with 4 headers in the answer, hubspot with the 18 that HubSpot sends; requests a second of the client's own processor time (user and system), ${SECONDS} s, median of ${ROUNDS} rounds, sides alternating; the official client without its limiter`);
  const server = await started(path.join(build, 'bench/answer'), [], /listening (\d+)/);
  server.port = server.match[1];
  const at = `http://127.0.0.1:${server.port}`, contact = '/crm/objects/2026-09/contacts/151';
  const own = (text) => () => started(HUBLOOP, ['run', '--allow-host', `127.0.0.1:${server.port}`, path.join(project('client', { 'client.lua': text }), 'client.lua')],
    /going/, { env: { ...AGENT, HUBSPOT_BASE_URL: at } });
  const peer = (mode, where) => () => started('node', [path.join(here, 'peer_client.mjs'), mode, where], /going/, { env: { HUBSPOT_TOKEN: TOKEN } });
  const sides = {
    http: own(asking(`${at}/contacts/151`)), undici: peer('undici', `${at}/contacts/151`),
    hubspot: own(getting), official: peer('official', at),
    http_18: own(asking(`${at}${contact}`)), undici_18: peer('undici', `${at}${contact}`),
  };
  const results = Object.fromEntries(Object.keys(sides).map((k) => [k, []]));
  for (let r = 0; r < ROUNDS; r++) for (const k of Object.keys(sides)) results[k].push(await rate(server, sides[k]));
  await stopped(server, 'SIGKILL');
  const v = Object.fromEntries(Object.keys(sides).map((k) => [k, median(results[k])]));
  say(`# client: µs a request: ${Object.keys(v).map((k) => `${k} ${(1e6 / v[k]).toFixed(1)}`).join(', ')}`);
  line('client_http', v.http, 'requests/cpu_s', 'undici_request', v.undici, v.http / v.undici, '>=1.8');
  line('client_hubspot', v.hubspot, 'requests/cpu_s', 'official_node', v.official, v.hubspot / v.official, '>=8');
}
