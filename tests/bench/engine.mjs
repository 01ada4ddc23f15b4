// The rule engine: events through handlers, a start with a long backlog, timers.
import fs from 'node:fs';
import path from 'node:path';
import { ROUNDS, SECONDS, line, load, median, project, quantile, round, rss, say, serve, stopped } from './lib.mjs';

const COUNT = 'on("contact.propertyChange", function() kv.incr("n") end)\n';
const sleep = (ms) => new Promise((r) => { setTimeout(r, ms); });
// User and system time of a process, seconds.
const cpu = (pid) => {
  const f = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(f[11]) + Number(f[12])) / 100;
};

async function until(child, done, limitMs = 60000) {
  const end = Date.now() + limitMs;
  for (;;) {
    const { engine } = await child.status();
    if (done(engine)) return engine;
    if (Date.now() > end) throw new Error(`still not done after ${limitMs / 1000} s: ${JSON.stringify(engine)}\n${child.text()}`);
    await sleep(5);
  }
}

// Signed webhook to finished handler. Throughput: a number of events is posted as
// fast as it is taken, and the clock stops when the last one has run. Then the
// time from receipt to start at half the target, with as many events a request.
export async function handled() {
  const target = 40000;
  const batch = 100;
  const events = target * SECONDS * 5;
  say(`# handled: ${events} events, ${batch} a request (v3 signature), 64 connections, a handler with one kv.incr each, one object each; first post to last handler finished, median of ${ROUNDS} rounds; then ${target / 2} events/s for ${SECONDS} s`);
  const rates = [];
  const late = [];
  for (let r = 0; r < ROUNDS; r++) {
    const child = await serve(project('handled', { 'count.lua': COUNT }));
    const cpu0 = cpu(child.pid);
    const from = performance.now();
    let posted = 0;
    const posting = load(child.port, { batch, requests: events / batch, seconds: 60, connections: 64 }).then((x) => { posted = x.seconds; return x; });
    let prepared = 0; // the generator signs its bodies before it posts the first one
    await until(child, (e) => { if (!prepared && e.acknowledged) prepared = performance.now(); return e.ran >= events; });
    const seconds = (performance.now() - (prepared || from)) / 1000;
    const x = await posting;
    const used = cpu(child.pid) - cpu0;
    if (x.refused || x.broken) say(`# handled: ${x.refused} refused, ${x.broken} connections broken`);
    say(`# handled: round ${r + 1}: ${round(seconds)} s, received in ${round(posted)} s, ${round(used * 1e6 / events)} µs of CPU an event`);
    rates.push(events / seconds);
    const before = (await child.status()).engine.start_us;
    await load(child.port, { batch, rate: target / 2 / batch, requests: (target / 2 / batch) * SECONDS, seconds: SECONDS + 1 });
    const s = await until(child, (e) => e.pending === 0);
    const took = s.start_us.map((n, i) => n - before[i]);
    late.push(quantile(took, 0.99) / 1000);
    say(`# handled: round ${r + 1}: receipt to start p50 ${round(quantile(took, 0.5) / 1000)} ms, p99 ${round(late.at(-1))} ms, ${took.reduce((a, b) => a + b, 0)} handlers`);
    await stopped(child);
  }
  line('handled', median(rates), 'events/s', 'limit', target, median(rates) / target, '>=1');
  line('handled_p99', median(late), 'ms', 'limit', 10, median(late) / 10, '<=1');
}

// A million events that no handler has seen, then a start with one that listens.
export async function backlog() {
  const events = 1000000;
  const open = (e) => e.pending + e.waiting;
  say(`# backlog: ${events} events that nobody has handled, 100 a request; then the start (exec to first answer of the status page) with a handler that waits, and the memory once it is at work`);
  const dir = project('backlog', { 'wait.lua': 'on("contact.propertyChange", { concurrency = 1 }, function() task.sleep("50s") end)\n' });
  let child = await serve(dir);
  for (let left = events; left > 0; left -= 100000)
    await load(child.port, { batch: 100, requests: 1000, seconds: 60, connections: 64 });
  const filled = (await child.status()).engine;
  await stopped(child, 'SIGKILL');
  const size = fs.readdirSync(dir).filter((f) => f.startsWith('bench.db')).reduce((n, f) => n + fs.statSync(path.join(dir, f)).size, 0);
  const times = [];
  const sizes = [];
  for (let r = 0; r < ROUNDS; r++) {
    const from = performance.now();
    child = await serve(dir);
    const { engine } = await child.status();
    times.push(performance.now() - from);
    await sleep(2000);
    sizes.push(rss(child.pid));
    if (open(engine) < open(filled)) throw new Error(`backlog: ${open(engine)} open after the start, ${open(filled)} before`);
    await stopped(child, 'SIGKILL');
  }
  say(`# backlog: ${filled.pending} pending, ${filled.waiting} waiting in the store by lane, ${round(size / 1e6)} MB on disk; starts ${times.map((t) => round(t)).join(', ')} ms`);
  line('backlog_start', median(times), 'ms', 'limit', 1000, median(times) / 1000, '<=1');
  line('backlog_rss', median(sizes) / 1e6, 'MB', 'limit', 200, median(sizes) / 200e6, '<=1');
}

// 100,000 `after` timers over a restart, and how late those fire that come due.
export async function timers() {
  const far = 100000;
  const soon = 2000;
  say(`# timers: ${far} pending \`after\` timers that are a day away: start (exec to first answer of the status page); then ${soon} spread over 10 s: how late their handlers start`);
  const dir = project('timers', {
    'timers.lua': `
local late, n, worst = {}, 0, 0
on("far", function() end)
on("near", function(event)
  local ms = time.now() - event.occurredAt
  n = n + 1
  late[ms] = (late[ms] or 0) + 1
  if ms > worst then worst = ms end
end)
serve("GET /arm", { auth = false }, function(request)
  local q = request.query
  local from, step = tonumber(q.from), tonumber(q.step)
  for i = 1, tonumber(q.n) do after(("%dms"):format(from + math.floor(i * step)), q.name, { i = i }) end
  return { json = { ok = true } }
end)
serve("GET /late", { auth = false }, function()
  local list = {}
  for ms, count in pairs(late) do list[#list + 1] = { ms, count } end
  return { json = { n = n, worst = worst, late = list } }
end)
` });
  let child = await serve(dir);
  const get = async (url) => (await fetch(`http://127.0.0.1:${child.port}${url}`)).json();
  for (let i = 0; i < far; i += 5000) {
    const r = await get(`/arm?name=far&n=5000&from=86400000&step=1`);
    if (!r.ok) throw new Error(`timers: ${JSON.stringify(r)}\n${child.text()}`);
  }
  await stopped(child, 'SIGKILL');
  const times = [];
  for (let r = 0; r < ROUNDS; r++) {
    const from = performance.now();
    child = await serve(dir);
    const { engine } = await child.status();
    times.push(performance.now() - from);
    if (engine.waiting < far) throw new Error(`timers: ${engine.waiting} of ${far} are there after the start`);
    if (r + 1 < ROUNDS) await stopped(child, 'SIGKILL');
  }
  line('timers_start', median(times), 'ms', 'limit', 1000, median(times) / 1000, '<=1');
  await get(`/arm?name=near&n=${soon}&from=500&step=${10000 / soon}`);
  await sleep(11000);
  const got = await get('/late');
  await stopped(child);
  if (got.n !== soon) throw new Error(`timers: ${got.n} of ${soon} fired`);
  let rest = soon * 0.99;
  let p99 = 0;
  for (const [ms, count] of got.late.sort((a, b) => a[0] - b[0])) { p99 = ms; rest -= count; if (rest <= 0) break; }
  say(`# timers: ${got.n} fired; the latest was ${got.worst} ms late`);
  line('timers_late_p99', p99, 'ms', 'limit', 5, p99 / 5, '<=1');
}
