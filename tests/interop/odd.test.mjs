// What nobody would send: the scenarios' requests (fidelity/) with parts left out or exchanged for something else. The
// simulator refuses them as HubSpot would, or takes them; it never fails. HL_SEED=N for other ones.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { at, fill, known, loadScenarios, simulated } from './fidelity.mjs';
import { request } from '../integration/lib.mjs';

const TIMES = 3; // odd ones before each right request
const ODD = [null, [], {}, '', 'x', -1, 0, 1e18, 1.5, true, false, [null], [[]], ['x'], { a: 1 }, '99999999999999999999', 2 ** 53, 'contacts',
  '100001', 'default', 'a\u0000b', '\ud800', 'x'.repeat(5000)];

function random(seed) {
  let x = BigInt(seed) | 1n;
  return (n) => {
    x = (x * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number((x >> 33n) % BigInt(n));
  };
}

function mutated(value, percent, rnd) {
  if (rnd(100) < percent) return ODD[rnd(ODD.length)];
  if (Array.isArray(value)) return value.map((v) => mutated(v, percent, rnd));
  if (value?.constructor !== Object) return value;
  return Object.fromEntries(Object.entries(value).filter(() => rnd(100) >= percent / 3).map(([k, v]) => [k, mutated(v, percent, rnd)]));
}

test('odd requests are refused or taken, and never fail', async (t) => {
  const seed = Number(process.env.HL_SEED ?? 7);
  const rnd = random(seed);
  const { flows } = await loadScenarios();
  const server = await simulated(t);
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const vars = known();
  const failed = [];
  let n = 0;
  const send = async (method, path, query, body, call) => {
    const type = call.form ? 'application/x-www-form-urlencoded' : 'application/json';
    const headers = { 'Content-Type': type, ...(call.auth !== null && { Authorization: `Bearer ${fill(call.auth ?? '$token', vars)}` }) };
    const target = path + (query ? `?${new URLSearchParams(query)}` : '');
    const r = await request(method, server.url + target, body ?? '', headers, { agent });
    n++;
    if (r.status >= 500 && r.status !== 501) failed.push(`${method} ${target} ${body}`);
    return r;
  };
  for (const { calls } of flows) {
    for (const [method, template, call = {}] of calls) {
      let answer;
      if (method === 'SIM') answer = await server.control(template, fill(call.body ?? {}, vars));
      else {
        const path = fill(template.replace('{v}', '2026-09'), vars).replace(/[^/]+/g, (s) => encodeURIComponent(decodeURIComponent(s)));
        const query = fill(call.query, vars);
        const right = call.form ? new URLSearchParams(fill(call.form, vars)).toString()
          : typeof call.body === 'string' && !call.body.startsWith('$') ? call.body : JSON.stringify(fill(call.body, vars));
        for (let i = 0; i < TIMES && method !== 'DELETE'; i++) {
          const odd = query && Object.fromEntries(Object.entries(query).map(([k, v]) => [k, rnd(3) ? v : String(ODD[rnd(ODD.length)])]));
          const body = call.body === undefined ? right : JSON.stringify(mutated(fill(call.body, vars), [3, 12, 30][rnd(3)], rnd));
          await send(method, path, odd, body, call);
        }
        const r = await send(method, path, query, right, call);
        try { answer = JSON.parse(r.body); } catch { answer = undefined; }
      }
      for (const [name, where] of Object.entries(call.save ?? {})) vars[name] = at(answer, where);
    }
  }
  assert.deepEqual(failed, [], `HL_SEED=${seed}\n${server.err}`);
  t.diagnostic(`note: ${n} requests, seed ${seed}`);
});
