// `hubloop sim` as other programs meet it: what goes wrong on demand, over a real network.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { TOKEN, project, run, sim } from './lib.mjs';

const OWNERS = '/crm/owners/2026-09';

// An answer as it comes: { status, headers, body, whole, error }.
function ask(url, method = 'GET', body = undefined) {
  return new Promise((resolve) => {
    const got = { body: '' };
    const done = (error) => resolve({ ...got, error: error?.code });
    const r = http.request(url, { method, agent: false, headers: { Authorization: `Bearer ${TOKEN}`, ...(body && { 'Content-Type': 'application/json' }) } }, (a) => {
      Object.assign(got, { status: a.statusCode, headers: a.headers });
      a.setEncoding('utf8').on('data', (d) => { got.body += d; }).on('end', () => done()).on('error', done);
    });
    r.on('error', done).end(body);
  });
}

test('faults from the command line and from outside: dropped, half-sent, slow and refused answers', async (t) => {
  const dir = project(t);
  const s = await sim(t, dir, ['--fault', 'drop=half path=/owners', '--fault', 'policy=DAILY method=POST times=2', '--latency', '1..3']);
  const half = await ask(s.url + OWNERS);
  assert.equal(half.status, 200);
  assert.equal(half.error, 'ECONNRESET');
  const whole = await ask(s.url + OWNERS);
  assert.equal(whole.error, undefined);
  assert.ok(JSON.parse(whole.body).results.length > 0);
  assert.equal(half.body, whole.body.slice(0, Math.floor(whole.body.length / 2)));
  assert.equal(Number(half.headers['content-length']), whole.body.length);

  const refused = await ask(`${s.url}/crm/objects/2026-09/contacts`, 'POST', '{"properties":{"email":"ana@example.com"}}');
  assert.equal(refused.status, 429);
  assert.equal(JSON.parse(refused.body).policyName, 'DAILY');
  assert.equal(refused.headers['x-hubspot-ratelimit-daily-remaining'], '0');

  await s.control('fail', { spec: 'drop=true' });
  assert.equal((await ask(s.url + OWNERS)).error, 'ECONNRESET');
  await s.control('fail', { trickle_ms: 100 });
  const slow = await ask(s.url + OWNERS);
  assert.equal(slow.body, whole.body);
  await s.control('fail', { status: 522 });
  const page = await ask(s.url + OWNERS);
  assert.equal(page.status, 522);
  assert.match(page.headers['content-type'], /text\/html/);
  const { faults } = await s.control('faults');
  assert.deepEqual(faults, [{ policy: 'DAILY', method: 'POST', status: 429, times: 1 }]);
  await assert.rejects(s.control('fail', { status: 'soon' }), /400 sim: fail: status takes a status such as 503, not "soon"/);
});

test('a fault or a delay that cannot be meant is one line, and misuse', async (t) => {
  for (const [args, says] of [
    [['--fault', 'status=abc'], /^hubloop: .*fault: status takes a status such as 503, not "abc"\n$/],
    [['--fault', ''], /^hubloop: .*fault: say what happens: [^\n]*\n$/],
    [['--latency', 'soon'], /^hubloop: .*latency_ms takes milliseconds[^\n]*\n$/],
  ]) {
    const r = await run(t, ['sim', '--port', '0', ...args]);
    assert.equal(r.code, 2, r.err);
    assert.match(r.err, says);
  }
});
