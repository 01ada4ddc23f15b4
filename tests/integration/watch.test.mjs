// Submissions of forms and members of lists, read from the simulator while the
// process is ended with kill -9: each is handled once, in each of two scripts.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { poll, project, request, serve, sim } from './lib.mjs';

const SCRIPT = (route) => `
on("form.submission", { form = "Contact us", every = 1 }, function(event) kv.incr("s:" .. event.submissionId) end)
on("list.added", { list = "VIP", every = 1 }, function(event) kv.incr("a:" .. event.objectId) end)
on("list.removed", { list = "VIP", every = 1 }, function(event) kv.incr("r:" .. event.objectId) end)
serve("GET /${route}", { auth = false }, function(request)
  local out = {}
  for _, key in ipairs(kv.list("", { max = 10000 })) do out[key] = kv.get(key) end
  return { json = out }
end)
`;

test('kill -9 while forms and lists are read: nothing lost, nothing twice', { timeout: 120000 }, async (t) => {
  const dir = project(t, { 'one.lua': SCRIPT('one'), 'two.lua': SCRIPT('two') });
  const store = path.join(dir, 'events.db');
  const s = await sim(t, dir, ['--contacts', '0', '--owners', '1', '--tier', 'enterprise']);
  await s.control('create_form', { name: 'Contact us' });
  await s.control('create_list', { name: 'VIP' });
  const records = Array.from({ length: 300 }, (_, i) => ({ email: `c${i}@watch.example` }));
  const { ids } = await s.control('batch_create', { type: 'contacts', records });
  const expected = { s: new Set(), a: new Set(), r: new Set() };
  const env = { HUBSPOT_BASE_URL: s.url, HUBSPOT_TIER: 'enterprise' };
  let p = await serve(t, dir, { store, env });
  const counts = async () => Promise.all(['one', 'two'].map(async (r) => JSON.parse((await request('GET', `${p.url}/${r}`)).body)));
  // The list's first reading is what later ones are compared with.
  await poll(async () => (await s.control('calls', { path: '/memberships' })).calls.length > 0, 'a first reading');

  let next = 0;
  const moments = [0, 40, 15, 3, 70, 25];
  for (const turns of moments) {
    for (let i = 0; i < 25; i++) {
      const made = await s.control('submit_form', { form: 'Contact us', values: { email: `s${expected.s.size}@watch.example` } });
      expected.s.add(made.id);
    }
    const joining = ids.slice(next, next + 30);
    const leaving = ids.slice(next - 30 < 0 ? 0 : next - 30, next - 10 < 0 ? 0 : next - 10);
    next += 30;
    await s.control('add_to_list', { list: 'VIP', ids: joining });
    for (const id of joining) expected.a.add(id);
    const before = (await s.control('calls', {})).total;
    // In the middle of a reading, or a moment after it.
    await poll(async () => (await s.control('calls', {})).total > before + 2, 'a reading');
    if (leaving.length > 0) {
      // Who joined has been seen by now, or joins and leaves unseen: only those that were told can be told to leave.
      await poll(async () => (await counts()).every((c) => leaving.every((id) => c[`a:${id}`])), 'those that leave had joined');
      await s.control('remove_from_list', { list: 'VIP', ids: leaving });
      for (const id of leaving) expected.r.add(id);
    }
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
    await p.stop('SIGKILL');
    p = await serve(t, dir, { store, env });
  }
  const want = (kind) => [...expected[kind]].map((x) => `${kind}:${x}`);
  const wanted = [...want('s'), ...want('a'), ...want('r')];
  await poll(async () => (await counts()).every((c) => wanted.every((key) => c[key])), 'everything handled', 60000);
  for (const c of await counts()) {
    assert.deepEqual(Object.entries(c).filter(([key, n]) => n !== 1 || !wanted.includes(key)), []);
    assert.equal(Object.keys(c).length, wanted.length);
  }
  t.diagnostic(`note: ${expected.s.size} submissions, ${expected.a.size} joined, ${expected.r.size} left, ${moments.length} kills`);
  assert.equal((await p.stop()).code, 0, p.err);
});
