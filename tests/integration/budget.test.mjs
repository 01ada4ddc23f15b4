// Budgets as the binary shows and shares them, against `hubloop sim`.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { TOKEN, fake, project, run, serve, sim } from './lib.mjs';

const owners = `
local hubspot = require "hubspot"
serve("GET /owners", { auth = false }, function()
  hubspot.request { method = "GET", path = "/crm/owners/{version}" }   -- hubloop: ignore scope
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

test('a day that ends early is told to a person, once', async (t) => {
  const dir = project(t, { 'a.lua': `
local hubspot = require "hubspot"
on("hubloop.alert", function(event)
  local a = event.payload
  log.info(("heard %s account=%s limit=%d reserved=%d early=%s"):format(a.kind, a.account, a.day_limit, a.day_reserved,
    tostring(a.day_runs_out < a.day_ends)))
end)
${owners}` });
  let left = 600000;
  const zone = new Date().getUTCHours() < 12 ? 'UTC' : 'Etc/GMT+12'; // its midnight is hours away
  const hubspot = await fake(t, (q, res) => {
    left -= 100000; // others are at work
    res.writeHead(200, { 'Content-Type': 'application/json', 'X-HubSpot-RateLimit-Daily': '625000', 'X-HubSpot-RateLimit-Daily-Remaining': String(left) })
      .end(q.url.includes('details') ? JSON.stringify({ portalId: 62515, timeZone: zone }) : '{"results":[]}');
  });
  const p = await serve(t, dir, { env: { HUBSPOT_BASE_URL: hubspot.url } });
  for (let i = 0; i < 2; i++) assert.equal((await fetch(`${p.url}/owners`)).status, 200);
  await p.line(/heard budget_ending account=main limit=625000 reserved=31250 early=true/);
  assert.equal((await fetch(`${p.url}/owners`)).status, 200);
  const { budget } = (await p.status()).api.main;
  assert.ok(budget.day_runs_out > 0 && budget.day_runs_out < budget.day_ends);
  await p.stop();
  assert.equal(p.err.match(/alert: budget_ending: account main: at the rate of the last hour/g).length, 1);
  assert.equal(p.err.match(/heard/g).length, 1);
});

test('settings that are none', async (t) => {
  for (const value of ['-1', '91', '"5%"', '2.5']) {
    const dir = project(t, { 'hubloop.lua': `return { accounts = { main = { token = secret "HUBSPOT_TOKEN", day_reserve = ${value} } } }`, 'a.lua': '' });
    const r = await run(t, ['run', '.'], { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
    assert.equal(r.code, 2, value);
    assert.match(r.err, /accounts\.main\.day_reserve must be how many percent.*0 to 90/);
  }
});
