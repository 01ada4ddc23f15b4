// What the benches share: started programs, the load generator, a folder that
// goes away, and the line that a figure is printed as.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = path.dirname(fileURLToPath(import.meta.url));
export const build = path.resolve(process.env.BUILD_DIR ?? path.join(here, '../../build'));
export const HUBLOOP = path.resolve(process.env.HUBLOOP ?? path.join(build, 'hubloop'));
export const LOAD = path.join(build, 'bench/load');
export const SPAWN = path.join(build, 'bench/spawn');
export const ROUNDS = Number(process.env.ROUNDS ?? 3);
export const SECONDS = Number(process.env.SECONDS ?? 3);
export const SECRET = crypto.randomBytes(18).toString('hex');
export const TOKEN = ['pat', 'na1', crypto.randomUUID()].join('-');

export const folder = fs.mkdtempSync(path.join(process.env.BENCH_DIR ?? os.tmpdir(), 'hubloop-bench-'));
const children = new Set();
process.on('exit', () => {
  for (const c of children) { try { process.kill(c.pid, 'SIGKILL'); } catch { /* gone */ } }
  fs.rmSync(folder, { recursive: true, force: true });
});
for (const s of ['SIGINT', 'SIGTERM']) process.on(s, () => process.exit(130));

export const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
export const round = (v) => (v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toPrecision(2));
// The quantile of a histogram whose bucket i counts what took less than 2^i µs,
// linear within the bucket.
export function quantile(histogram, q) {
  const total = histogram.reduce((a, b) => a + b, 0);
  let rest = total * q;
  for (let i = 0; i < histogram.length; i++) {
    if (rest <= histogram[i]) {
      const low = i ? 2 ** (i - 1) : 0;
      return low + (2 ** i - low) * (rest / histogram[i]);
    }
    rest -= histogram[i];
  }
  return 2 ** (histogram.length - 1);
}

export const say = (text) => console.log(text);

// `bench NAME VALUE UNIT vs PEER VALUE ratio R target >=X ok|short`
export function line(name, value, unit, peer, peerValue, ratio, target) {
  const [, sense, limit] = target.match(/^(>=|<=)([\d.]+)$/);
  const met = sense === '>=' ? ratio >= Number(limit) : ratio <= Number(limit);
  say(`bench ${name} ${round(value)} ${unit} vs ${peer} ${round(peerValue)} ratio ${ratio.toPrecision(3)} target ${target} ${met ? 'ok' : 'short'}`);
}

export function started(command, args, pattern, { cwd = folder, env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { PATH: process.env.PATH, HOME: folder, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    children.add(child);
    let text = '';
    const look = (c) => {
      text += c;
      const m = text.match(pattern);
      if (m) { child.text = () => text; resolve(Object.assign(child, { match: m })); }
    };
    child.stdout.setEncoding('utf8').on('data', look);
    child.stderr.setEncoding('utf8').on('data', look);
    child.on('close', (code) => { children.delete(child); reject(new Error(`${path.basename(command)} ended with ${code}: ${text}`)); });
    child.on('error', reject);
  });
}

export function stopped(child, signal = 'SIGTERM') {
  return new Promise((resolve) => { child.on('close', resolve); child.kill(signal); });
}

export function project(name, files) {
  const dir = path.join(folder, name);
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir, { recursive: true });
  for (const [file, text] of Object.entries(files)) fs.writeFileSync(path.join(dir, file), text);
  return dir;
}

export async function serve(dir) {
  const child = await started(HUBLOOP, ['serve', dir, '--no-supervisor', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--store', path.join(dir, 'bench.db')],
    /listening on http:\/\/127\.0\.0\.1:(\d+)[\s\S]*status on (http:\S+)/, {
      cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET, HUBSPOT_BASE_URL: 'http://127.0.0.1:9' },
    });
  child.port = child.match[1];
  child.status = async () => (await fetch(child.match[2])).json();
  return child;
}

let seed = Date.now() % 1e6;
export function load(port, options) {
  const args = Object.entries({ port, secret: SECRET, seed: ++seed, ...options }).flatMap(([k, v]) => [`--${k}`, String(v)]);
  return new Promise((resolve, reject) => {
    const child = spawn(LOAD, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (c) => { text += c; });
    child.on('close', () => { try { resolve(JSON.parse(text)); } catch (e) { reject(new Error(`load: ${text || e.message}`)); } });
  });
}

export function rss(pid) {
  return Number(fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+) kB/m)[1]) * 1024;
}

