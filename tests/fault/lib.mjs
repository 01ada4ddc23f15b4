// What the fault tests share: a script whose every effect is counted inside and
// outside, a client that records every acknowledgement, and the rules that must
// hold after each fault (SEMANTICS 3, 4).
//
// Inside: the handler's kv.incr, emit and after commit with its completion, so a
// count of 2 would be a second run after a commit. Outside: it tells a counter over
// HTTP where it is. A step gives its result only when that is stored, and "done" is
// an event that its completion commits; so once the counter has heard what comes
// behind a step or a completion, hearing of that step or handler again is a mistake.
// What was cut before its commit runs again, and is counted apart.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { SECRET, event, fake, poll, request, signatures } from '../integration/lib.mjs';

export * from '../integration/lib.mjs';

export const FULL = process.env.HL_FAULT === 'full';

// mulberry32: the moments are the same in each run with the same seed.
export function random(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let z = Math.imul(a ^ (a >>> 15), 1 | a);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };
}
export const SEED = Number(process.env.HL_SEED ?? 20261123);

// ---- the script, and the counter that it tells ----

export const files = (counter) => ({
  'leads.lua': `
local function tell(what, body) return http.post("${counter.url}/" .. what, { json = body, idempotent = true }) end
on("contact.creation", { concurrency = 20 }, function(e)
  tell("ran", { id = e.objectId })
  local token = step("work", function() return tell("step", { id = e.objectId }).json().token end)
  tell("behind", { id = e.objectId, token = token })
  kv.incr("n:" .. e.objectId)
  emit("done", { id = e.objectId })
  after("30ms", "later", { id = e.objectId })
end)
on("done", { concurrency = 20 }, function(e)
  tell("done", { id = e.payload.id })
  kv.incr("d:" .. e.payload.id)
end)
on("later", function(e) kv.incr("l:" .. e.payload.id) end)
every("1s", { catchup = "all" }, function(e)
  tell("tick", { at = e.occurredAt })
  kv.incr("t:" .. e.occurredAt)
end)
serve("POST /counts", { auth = false }, function(request)
  local out = {}
  for _, key in ipairs(request.json()) do out[key] = kv.get(key) or 0 end
  return { json = out }
end)
serve("GET /keys", { auth = false }, function(request) return { json = json.array(kv.list(request.query.prefix)) } end)
`,
  'hubloop.lua': `return {
  accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET" } },
  permissions = { ["leads.lua"] = { hosts = { "127.0.0.1:${counter.port}" } } },
}
`,
});

// total[what]: how often it was told; wrong: what must not have been told.
export async function counter(t) {
  const f = await fake(t, (q, res) => {
    const what = q.url.slice(1);
    const { id, token, at } = JSON.parse(q.body);
    f.total[what] += 1;
    const seen = f.seen.get(id) ?? { ran: 0 };
    if (id !== undefined) f.seen.set(id, seen);
    if (what === 'ran') {
      seen.ran += 1;
      if (seen.done) f.wrong.push(`handler of ${id} ran again after its commit`);
    } else if (what === 'step') {
      if (seen.behind) f.wrong.push(`step of ${id} ran again after its commit`);
      seen.token = `t${f.total.step}`;
    } else if (what === 'behind') {
      if (seen.token !== token) f.wrong.push(`step of ${id} gave ${token}, what ran last was ${seen.token}`);
      seen.behind = true;
    } else if (what === 'done') {
      if (!seen.done) f.finished += 1;
      seen.done = true;
    } else if (what === 'tick') {
      f.ticks.set(at, (f.ticks.get(at) ?? 0) + 1);
    }
    if (f.onTold) f.onTold(what);
    if (what === 'step') res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ token: seen.token }));
    else res.writeHead(204).end();
  });
  f.total = { ran: 0, step: 0, behind: 0, done: 0, tick: 0 };
  f.finished = 0;
  f.seen = new Map();
  f.ticks = new Map();
  f.wrong = [];
  return f;
}

// ---- the client ----

// Acknowledged and not finished, as `told` has it: more than so many of them would keep a busy machine long after the end.
const BACKLOG = 300;

// Six senders, each with one body at a time; what is not acknowledged is sent again,
// as HubSpot does, until it is. With a backlog they send a few a second, so that a store
// that does not commit is still seen. clock(): ms that the program's clock is ahead.
export class Client {
  constructor(t, port, rng, told, { clock = () => 0 } = {}) {
    Object.assign(this, { url: `http://127.0.0.1:${port}/hubspot`, rng, told, clock, acknowledged: new Set(), sent: new Set(), refused: 0 });
    this.agent = new http.Agent({ keepAlive: true });
    t.after(() => { this.sending = false; this.agent.destroy(); });
  }

  async deliver(events) {
    const body = JSON.stringify(events);
    const at = Date.now() + this.clock();
    return request('POST', this.url, body, { 'Content-Type': 'application/json', ...signatures.v3(SECRET, body, this.url, 'POST', at) },
      { agent: this.agent });
  }

  async #send() {
    while (this.sending) {
      for (let i = 0; i < 50 && this.sending && this.acknowledged.size - this.told.finished > BACKLOG; i++) {
        await new Promise((resolve) => { setTimeout(resolve, 10); });
      }
      const events = Array.from({ length: 1 + Math.floor(this.rng() * 8) }, () => event({ occurredAt: Date.now() + this.clock() }));
      for (const e of events) this.sent.add(String(e.objectId));
      for (let attempt = 0; ; attempt++) {
        const clock = this.clock();
        try {
          const r = await this.deliver(events.map((e) => ({ ...e, attemptNumber: attempt })));
          if (r.status >= 200 && r.status < 300) { for (const e of events) this.acknowledged.add(String(e.objectId)); break; }
          // A signature of before the step is too old, or of the future.
          if (r.status !== 401 || clock === this.clock()) assert.equal(r.status, 503, `refused with ${r.status}: ${r.body}`);
          this.refused += 1;
        } catch (e) {
          if (e.code === 'ERR_ASSERTION') throw e;
        }
        if (this.onTold) this.onTold();
        if (!this.sending) break; // the last bodies may stay unacknowledged
        await new Promise((resolve) => { setTimeout(resolve, 5); });
      }
      if (this.onTold) this.onTold();
    }
  }

  begin() {
    this.sending = true;
    this.failed = Promise.all(Array.from({ length: 6 }, () => this.#send()));
    this.failed.catch(() => {});
  }

  async end() {
    this.sending = false;
    await this.failed;
  }

  // Until so many more are acknowledged (or refused).
  async more(n, what = 'acknowledged') {
    const count = () => (what === 'refused' ? this.refused : this.acknowledged.size);
    const target = count() + n;
    await Promise.race([this.failed, new Promise((resolve) => {
      this.onTold = () => { if (count() >= target) { this.onTold = null; resolve(); } };
    })]);
  }
}

// ---- the rules ----

// The database as the process has left it, looked at in a copy.
export function look(store) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hubloop-look-'));
  try {
    const copy = path.join(dir, 'copy.db');
    for (const tail of ['', '-wal']) if (fs.existsSync(store + tail)) fs.copyFileSync(store + tail, copy + tail);
    const sql = (text) => execFileSync('sqlite3', ['-cmd', '.timeout 1000', copy, text], { encoding: 'utf8' }).trim();
    const tally = JSON.parse(sql("SELECT json_object('acknowledged', acknowledged, 'pending', s0, 'dead', s5,"
      + ` 'sum', ${sql("SELECT group_concat(name, '+') FROM pragma_table_info('tally') WHERE name GLOB 's[0-9]*'")}) FROM tally`));
    // A dead letter keeps its steps: when it is retried, it goes on behind them.
    const steps = 'SELECT count(*) FROM step s WHERE NOT EXISTS (SELECT 1 FROM parked p WHERE p.row=s.row AND p.idx=s.idx AND p.handler=s.handler AND p.kind=5)';
    return { ...tally, integrity: sql('PRAGMA integrity_check'), steps: Number(sql(steps)),
      parked: Number(sql('SELECT count(*) FROM parked WHERE kind<>5')), partial: Number(sql('SELECT count(*) FROM partial')) };
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

export function sound(store) {
  const db = look(store);
  assert.equal(db.integrity, 'ok');
  assert.equal(db.sum, db.acknowledged, 'acknowledged is not the sum of the states');
  return db;
}

async function counts(p, keys) {
  const all = {};
  for (let i = 0; i < keys.length; i += 500) {
    Object.assign(all, JSON.parse((await request('POST', `${p.url}/counts`, JSON.stringify(keys.slice(i, i + 500)))).body));
  }
  return all;
}

// Everything that was acknowledged is handled, once; then the process ends and its
// database is sound. `dead`: how many events may have been parked instead.
export async function verify(p, client, told, store, { dead = 0 } = {}) {
  await client.end();
  let e;
  await p.settled((v) => { e = v.engine; return e.pending === 0 && e.running === 0 && e.waiting === 0; }, 'everything handled', 60000)
    .catch((why) => { if (process.env.HL_KEEP) for (const tail of ['', '-wal']) fs.copyFileSync(store + tail, process.env.HL_KEEP + tail); throw new Error(`${why.message}: ${JSON.stringify(e)}\n${p.err.slice(-2000)}`); });
  const sent = [...client.sent];
  const n = await counts(p, sent.flatMap((id) => [`n:${id}`, `d:${id}`, `l:${id}`]));
  const where = `(seed ${SEED})`;
  const lost = [...client.acknowledged].filter((id) => n[`n:${id}`] === 0);
  assert.deepEqual(sent.filter((id) => n[`n:${id}`] > 1), [], `handled again after their commit ${where}`);
  // What was running in a process that crashed is parked; "done" and "later" are events too.
  const apart = ['d', 'l'].flatMap((what) => sent.filter((id) => n[`${what}:${id}`] !== n[`n:${id}`]));
  assert.ok(e.dead <= dead, `${e.dead} dead letters ${where}`);
  assert.ok(lost.length + apart.length <= e.dead, `not handled, and no dead letters: ${lost.slice(0, 5)} ${apart.slice(0, 5)} ${where}`);
  assert.deepEqual(told.wrong, [], where);
  const ticks = JSON.parse((await request('GET', `${p.url}/keys?prefix=t:`)).body);
  const t = await counts(p, ticks);
  assert.deepEqual(ticks.filter((key) => t[key] !== 1), [], `timers fired twice for one time ${where}`);
  assert.equal((await p.stop()).code, 0, p.err);
  const db = sound(store);
  assert.equal(db.pending, 0);
  assert.deepEqual({ steps: db.steps, parked: db.parked, partial: db.partial }, { steps: 0, parked: 0, partial: 0 });
  assert.ok(db.acknowledged >= client.acknowledged.size);
  const cut = [...told.seen.values()].reduce((sum, one) => sum + Math.max(0, one.ran - 1), 0);
  return { acknowledged: client.acknowledged.size, cut, ticks: ticks.length, dead: e.dead };
}

export { poll };

// ---- the shim ----

const SHIM = process.env.HL_FAULT_SHIM;
export const noShim = SHIM ? false : 'no shim (sh tests/fault/run.sh builds it)';
export const READ_ONLY = 1;
export const ABORT = 2;
export const HANG = 3;

// Faults of a program whose store is in `dir`: env for it, and what to do when.
export function faults(t, dir) {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'hubloop-fault-')), 'faults');
  t.after(() => fs.rmSync(path.dirname(file), { recursive: true, force: true }));
  fs.writeFileSync(file, Buffer.alloc(16));
  const fd = fs.openSync(file, 'r+');
  t.after(() => fs.closeSync(fd));
  const write = (at, fill) => { const b = Buffer.alloc(8); fill(b); fs.writeSync(fd, b, 0, at === 0 ? 8 : 4, at); };
  return {
    ahead: 0,
    env: { LD_PRELOAD: SHIM, HL_FAULT_FILE: file, HL_FAULT_DIR: dir,
      ...(process.env.ASAN_OPTIONS || process.env.BUILD?.includes('asan') ? { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0` } : {}) },
    clock(ms) { this.ahead = ms; write(0, (b) => b.writeBigInt64LE(BigInt(ms))); },
    set(mode, after = 0) {
      write(12, (b) => b.writeInt32LE(after));
      write(8, (b) => b.writeInt32LE(mode));
    },
    mode() { const b = Buffer.alloc(4); fs.readSync(fd, b, 0, 4, 8); return b.readInt32LE(); },
  };
}
