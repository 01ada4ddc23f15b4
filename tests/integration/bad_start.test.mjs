// What is wrong before any script runs: the path or the settings.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { SECRET, TOKEN, project, request, run, serve } from './lib.mjs';

const QUIET = 'on("contact.creation", function() end)\n';
const says = (r, ...patterns) => {
  for (const p of patterns) assert.match(r.err, p);
  assert.doesNotMatch(r.err, /AddressSanitizer|\.[ch]:\d+:\d+: runtime error|Assertion/);
};

test('a missing script', async (t) => {
  const dir = project(t, { 'leads.lua': QUIET });
  const r = await run(t, ['run', '--sim', 'laeds.lua'], { cwd: dir });
  assert.equal(r.code, 2, r.err);
  says(r, /laeds\.lua/);
});

test('a missing folder', async (t) => {
  const dir = project(t);
  const r = await run(t, ['serve', 'nowhere'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
  assert.ok(r.code === 1 || r.code === 2, `exit ${r.code}`);
  says(r, /nowhere/);
});

test('a public address that is no web address is refused', async (t) => {
  const dir = project(t, { 'hubloop.lua': 'return { webhooks = { public_url = "hooks.example.com/hubspot" } }\n', 'a.lua': QUIET });
  const r = await run(t, ['serve', dir, '--listen', '127.0.0.1:0', '--admin', 'off'], { env: { HUBSPOT_TOKEN: TOKEN } });
  assert.equal(r.code, 2, r.err);
  assert.match(r.err, /hubloop\.lua: webhooks\.public_url must be .*https:/);
});

test('settings that are wrong name the file and the key', async (t) => {
  const short = project(t, { 'hubloop.lua': 'return { retention = "1d" }\n', 'a.lua': QUIET });
  const kept = await run(t, ['run', short], { cwd: short });
  assert.equal(kept.code, 2);
  assert.match(kept.err, /hubloop\.lua: retention must be "25h" or longer/);
  for (const audit of ['0', '"0d"', '"soon"', 'false']) {
    const dir = project(t, { 'hubloop.lua': `return { audit_retention = ${audit} }\n`, 'a.lua': QUIET });
    const r = await run(t, ['run', dir], { cwd: dir });
    assert.equal(r.code, 2);
    says(r, /hubloop\.lua/, /audit_retention/);
  }
  const unknown = project(t, { 'hubloop.lua': 'return { acounts = {} }\n', 'a.lua': QUIET });
  const a = await run(t, ['serve', unknown], { cwd: unknown, env: { HUBSPOT_TOKEN: TOKEN } });
  assert.notEqual(a.code, 0);
  says(a, /hubloop\.lua/, /acounts/, /accounts/);
  const broken = project(t, { 'hubloop.lua': 'return {\n  store = \n}\n', 'a.lua': QUIET });
  const b = await run(t, ['serve', broken], { cwd: broken, env: { HUBSPOT_TOKEN: TOKEN } });
  assert.notEqual(b.code, 0);
  says(b, /hubloop\.lua:[23]:/);
});

test('an admin listener that others could reach is refused, and a foreign Host is not answered', async (t) => {
  const dir = project(t, { 'a.lua': 'on("contact.creation", function() end)\n' });
  const env = { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET };
  const r = await run(t, ['serve', dir, '--listen', '127.0.0.1:0', '--admin', '0.0.0.0:0'], { cwd: dir, env });
  assert.equal(r.code, 2);
  assert.match(r.err, /0\.0\.0\.0:0 is not on this machine.*127\.0\.0\.1:PORT/);
  const p = await serve(t, dir);
  assert.equal((await request('GET', `${p.admin}/status`)).status, 200);
  assert.equal((await request('GET', `${p.admin}/status`, '', { Host: 'evil.example.com' })).status, 421);
});
