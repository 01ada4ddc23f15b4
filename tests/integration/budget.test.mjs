// Budgets as the binary shows and shares them, against `hubloop sim`.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { TOKEN, project, run, serve, sim } from './lib.mjs';

const owners = `
local hubspot = require "hubspot"
serve("GET /owners", { auth = false }, function()
  hubspot.request { method = "GET", path = "/crm/owners/{version}" }
  return { status = 200, body = "ok" }
end)
`;

test('the status says what is left of the window and of the day', async (t) => {
  const dir = project(t, { 'hubloop.lua': 'return { accounts = { main = { token = secret "HUBSPOT_TOKEN", tier = "free", day_reserve = 10 } } }', 'a.lua': owners });
  const s = await sim(t, dir, ['--tier', 'enterprise']);
  const p = await serve(t, dir, { env: { HUBSPOT_BASE_URL: s.url } });
  let { budget } = (await p.status()).api.main;
  assert.equal(budget.limit, 100); // the tier's, until an answer says more
  assert.equal(budget.day_remaining, -1);
  assert.equal((await fetch(`${p.url}/owners`)).status, 200);
  ({ budget } = (await p.settled((x) => x.api.main.budget.limit === 190)).api.main);
  assert.equal(budget.used, 1);
  assert.equal(budget.others, 0);
  assert.equal(budget.day_limit, 1000000);
  assert.equal(budget.day_remaining, 999999);
  assert.equal(budget.day_reserved, 100000);
  assert.equal(budget.day_runs_out, 0);
});

test('a day that is used up ends the call with a word on when it goes on', async (t) => {
  const dir = project(t, { 'a.lua': `
local hubspot = require "hubspot"
local ok, e = pcall(hubspot.request, { method = "GET", path = "/crm/owners/{version}" })
print(ok, e.kind, e.category, e.message)` });
  const s = await sim(t, dir);
  await s.control('fail', { status: 429, policy: 'DAILY', times: 1 });
  const r = await run(t, ['run', 'a.lua'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: s.url } });
  assert.match(r.out, /^false\thubspot\tRATE_LIMITS\t.*daily limit.* is used up; HubSpot resets it at midnight/);
});

test('settings that are none', async (t) => {
  for (const value of ['-1', '91', '"5%"', '2.5']) {
    const dir = project(t, { 'hubloop.lua': `return { accounts = { main = { token = secret "HUBSPOT_TOKEN", day_reserve = ${value} } } }`, 'a.lua': '' });
    const r = await run(t, ['run', '.'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
    assert.equal(r.code, 2, value);
    assert.match(r.err, /accounts\.main\.day_reserve must be how many percent.*0 to 90/);
  }
});
