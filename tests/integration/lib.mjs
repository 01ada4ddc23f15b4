// What the integration tests share: the binary as a user runs it, in a folder
// and environment of its own; signed webhooks; small fake servers. Nothing here
// sleeps to wait: each wait is for a line of output, an answer or an exit.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
export const HUBLOOP = path.resolve(process.env.HUBLOOP ?? path.join(here, '../../build/hubloop'));

// Made at run time: a token's shape in a file would be taken for a leak.
export const TOKEN = ['pat', 'na1', crypto.createHash('sha256').update('hubloop tests').digest('hex')
  .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5')].join('-');
export const SECRET = ['0'.repeat(8), '1'.repeat(4), '2'.repeat(4), '3'.repeat(4), 'hubloop-test'].join('-');
export const PORTAL = 62515;
const PATIENCE = 30000;

const running = new Set();
process.on('exit', () => { for (const c of running) try { process.kill(c.pid, 'SIGKILL'); } catch { /* gone */ } });

// A folder that is removed when the test ends, with the given files in it.
export function project(t, files = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hubloop-test-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true, maxRetries: 20 }));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    fs.writeFileSync(path.join(dir, name), text);
  }
  return dir;
}

// Only what is named reaches the program: no HUBSPOT_ variable of the person
// who runs the tests does.
export function environment(dir, env = {}) {
  const base = { PATH: '/usr/bin:/bin', HOME: dir, XDG_STATE_HOME: path.join(dir, '.state'), TMPDIR: os.tmpdir(), NO_COLOR: '1', LANG: 'C.UTF-8' };
  for (const name of ['ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS']) if (process.env[name]) base[name] = process.env[name];
  return { ...base, ...env };
}

// A started hubloop. `out` and `err` grow; `exited` resolves with {code, signal}.
export class Process {
  constructor(args, { cwd, env, stdin = 'ignore', command = HUBLOOP }) {
    this.out = '';
    this.err = '';
    this.listeners = new Set();
    this.child = spawn(command, args, { cwd, env, stdio: [stdin, 'pipe', 'pipe'] });
    running.add(this.child);
    this.pid = this.child.pid;
    for (const name of ['out', 'err']) {
      this.child[`std${name}`].setEncoding('utf8').on('data', (text) => {
        this[name] += text;
        for (const l of [...this.listeners]) l();
      });
    }
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (code, signal) => {
        running.delete(this.child);
        this.ended = { code, signal };
        for (const l of [...this.listeners]) l();
        resolve(this.ended);
      });
    });
    this.exited.catch(() => {});
  }

  // The match of `pattern` in `out` or `err`, when it is there.
  async line(pattern, where = 'err', ms = PATIENCE) {
    return this.until(() => this[where].match(pattern), `${pattern} on std${where}`, ms);
  }

  until(check, what, ms = PATIENCE) {
    return new Promise((resolve, reject) => {
      const done = (f, v) => { clearTimeout(timer); this.listeners.delete(look); f(v); };
      const look = () => {
        const found = check();
        if (found) done(resolve, found);
        else if (this.ended) done(reject, new Error(`ended (${JSON.stringify(this.ended)}) before ${what}\n${this.err}${this.out}`));
      };
      const timer = setTimeout(() => done(reject, new Error(`no ${what} within ${ms} ms\n${this.err}${this.out}`)), ms);
      this.listeners.add(look);
      look();
    });
  }

  async end(ms = PATIENCE) {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`still running after ${ms} ms\n${this.err}${this.out}`)), ms); });
    try { return await Promise.race([this.exited, late]); } finally { clearTimeout(timer); }
  }

  async stop(signal = 'SIGTERM') {
    if (!this.ended) this.child.kill(signal);
    return this.end();
  }
}

export function start(t, args, { cwd, env = {}, ...rest } = {}) {
  const p = new Process(args, { cwd, env: environment(cwd ?? os.tmpdir(), env), ...rest });
  t.after(async () => { if (!p.ended) { p.child.kill('SIGKILL'); await p.exited; } });
  return p;
}

// Runs to the end: {code, signal, out, err}.
export async function run(t, args, options = {}) {
  const p = start(t, args, options);
  const ended = await p.end(options.ms);
  return { ...ended, out: p.out, err: p.err };
}

// `hubloop serve` on free ports. url: webhooks and routes; status(): the status page.
export async function serve(t, dir, { env = {}, args = [], store, secret = SECRET, token = TOKEN, port = 0, ms = PATIENCE } = {}) {
  const p = start(t, ['serve', dir, '--listen', `127.0.0.1:${port}`, '--admin', '127.0.0.1:0',
    ...(store ? ['--store', store] : []), ...args], {
    cwd: dir, env: { HUBSPOT_TOKEN: token, ...(secret ? { HUBSPOT_CLIENT_SECRET: secret } : {}), HUBSPOT_BASE_URL: 'http://127.0.0.1:9', ...env },
  });
  const at = await p.line(/listening on (http:\/\/[\d.]+:(\d+))/, 'err', ms);
  const admin = await p.line(/status on (http:\/\/[\d.]+:\d+)/, 'err', ms);
  p.url = at[1];
  p.port = Number(at[2]);
  p.hook = `${p.url}/hubspot`;
  p.admin = admin[1];
  p.status = async () => JSON.parse((await request('GET', `${p.admin}/status`)).body);
  // Asks again after each answer until `check` holds.
  p.settled = (check, what = 'the expected status', ms = PATIENCE) => poll(async () => { const s = await p.status(); return check(s) && s; }, what, ms);
  return p;
}

export async function sim(t, dir, args = [], { env = {} } = {}) {
  const folder = process.env.HL_RECORD_DIR ?? dir;
  fs.mkdirSync(folder, { recursive: true });
  const record = path.join(folder, `sim-${process.pid}-${crypto.randomBytes(4).toString('hex')}.jsonl`);
  const p = start(t, ['sim', '--port', '0', '--record', record, ...args], {
    cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET, ...env },
  });
  const at = await p.until(() => p.err.match(/listening on (http:\/\/127\.0\.0\.1:(\d+))/), 'the simulator\'s address');
  p.url = at[1];
  p.port = Number(at[2]);
  p.record = record;
  p.control = async (name, body = {}) => {
    const r = await request('POST', `${p.url}/_sim/${name}`, JSON.stringify(body), { 'Content-Type': 'application/json' });
    if (r.status !== 200) throw new Error(`/_sim/${name}: ${r.status} ${r.body}`);
    return r.body ? JSON.parse(r.body) : null;
  };
  return p;
}

export async function poll(check, what, ms = PATIENCE) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > end) throw new Error(`no ${what} within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// {status, headers, body} of one request; rejects when there is no answer.
export function request(method, url, body = '', headers = {}, { agent, ms = PATIENCE } = {}) {
  return new Promise((resolve, reject) => {
    const q = http.request(url, { method, agent, headers: { ...headers, 'Content-Length': Buffer.byteLength(body) } }, (res) => {
      const chunks = [];
      res.on('data', (c) => chunks.push(c));
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks).toString('utf8') }));
      res.on('error', reject);
    });
    q.setTimeout(ms, () => q.destroy(new Error(`no answer within ${ms} ms`)));
    q.on('error', reject);
    q.end(body);
  });
}

// ---- webhooks ----

let eventIds = Date.now() % 1e9;
export function event(over = {}) {
  return {
    eventId: ++eventIds, subscriptionId: 12345, portalId: PORTAL, appId: 54321, occurredAt: Date.now(),
    subscriptionType: 'contact.creation', attemptNumber: 0, objectId: 100000 + eventIds, changeSource: 'CRM', changeFlag: 'NEW', ...over,
  };
}

export const signatures = {
  v1: (secret, body) => ({
    'X-HubSpot-Signature': crypto.createHash('sha256').update(secret + body).digest('hex'), 'X-HubSpot-Signature-Version': 'v1',
  }),
  v2: (secret, body, url, method = 'POST') => ({
    'X-HubSpot-Signature': crypto.createHash('sha256').update(secret + method + url + body).digest('hex'), 'X-HubSpot-Signature-Version': 'v2',
  }),
  v3: (secret, body, url, method = 'POST', at = Date.now()) => ({
    'X-HubSpot-Signature-v3': crypto.createHmac('sha256', secret).update(method + url + body + at).digest('base64'),
    'X-HubSpot-Request-Timestamp': String(at),
  }),
};

// Posts events (or a raw body) as HubSpot does.
export function deliver(url, events, { version = 'v3', secret = SECRET, agent, headers } = {}) {
  const body = typeof events === 'string' ? events : JSON.stringify(events);
  return request('POST', url, body, { 'Content-Type': 'application/json', ...(headers ?? signatures[version](secret, body, url)) }, { agent });
}

// ---- fakes ----

// An HTTP server, on a free port unless told: {url, port, server, requests}.
export async function fake(t, handler, at = 0) {
  const requests = [];
  const server = http.createServer((req, res) => {
    const chunks = [];
    req.on('data', (c) => chunks.push(c));
    req.on('end', () => {
      const r = { method: req.method, url: req.url, headers: req.headers, body: Buffer.concat(chunks).toString('utf8') };
      requests.push(r);
      handler(r, res);
    });
  });
  await new Promise((resolve) => { server.listen(at, '127.0.0.1', resolve); });
  t.after(() => { server.closeAllConnections(); server.close(); });
  const { port } = server.address();
  return { url: `http://127.0.0.1:${port}`, port, server, requests };
}

// A TCP listener for what no HTTP server does.
export async function fakeTcp(t, onSocket) {
  const sockets = new Set();
  const server = net.createServer((s) => { sockets.add(s); s.on('error', () => {}); s.on('close', () => sockets.delete(s)); onSocket(s); });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  t.after(() => { for (const s of sockets) s.destroy(); server.close(); });
  return { port: server.address().port, url: `http://127.0.0.1:${server.address().port}` };
}

// A port on which nothing listens.
export async function freePort() {
  const s = net.createServer();
  await new Promise((resolve) => { s.listen(0, '127.0.0.1', resolve); });
  const { port } = s.address();
  await new Promise((resolve) => { s.close(resolve); });
  return port;
}

// Sends raw bytes and resolves with all that came back until the peer closed.
export function raw(port, text, { end = false, ms = PATIENCE } = {}) {
  return new Promise((resolve, reject) => {
    let got = '';
    const s = net.connect(port, '127.0.0.1', () => { if (end) s.end(text); else s.write(text); });
    s.setEncoding('latin1').on('data', (c) => { got += c; });
    s.setTimeout(ms, () => { s.destroy(); reject(new Error(`not closed within ${ms} ms; got ${got}`)); });
    s.on('close', () => resolve(got));
    s.on('error', (e) => (got ? resolve(got) : reject(e)));
  });
}
