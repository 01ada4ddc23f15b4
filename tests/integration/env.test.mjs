// env: the variables that a script may read, and no secret under whatever name.
import test from 'node:test';
import assert from 'node:assert/strict';
import { project, run, serve } from './lib.mjs';

const TRY = 'local function try(...) local ok, why = pcall(env.get, ...) print(ok and "got " .. tostring(why) or tostring(why)) end\n';

test('a script reads the variables that it may, and no secret', async (t) => {
  const dir = project(t, { 'x.lua': `${TRY}
    for _, name in ipairs { "REGION", "NOTHING", "HOME", "HUBSPOT_TOKEN", "LATER", "COPY", "no name" } do try(name) end
    local key = secret "LATER"
    try("LATER")
    print((pcall(http.get, "https://127.0.0.1:9/", { headers = { authorization = "Bearer " .. key } })))
    try("COPY")` });
  const names = ['REGION', 'NOTHING', 'HUBSPOT_TOKEN', 'LATER', 'COPY'];
  const r = await run(t, ['run', '--sim', 'x.lua', '--allow-host', '127.0.0.1:9', ...names.flatMap((n) => ['--allow-env', n])],
    { cwd: dir, env: { REGION: 'emea', HUBSPOT_TOKEN: 'x'.repeat(20), LATER: 'not-for-scripts', COPY: 'has not-for-scripts in it' } });
  assert.equal(r.code, 0, r.err);
  const lines = r.out.trim().split('\n');
  assert.deepEqual(lines.slice(0, 2), ['got emea', 'got nil']);
  assert.match(lines[2], /x\.lua:\d+: env\.get: this script may not read HOME: permit it .*--allow-env HOME for a lone script/);
  assert.match(lines[3], /HUBSPOT_TOKEN holds a secret/);
  assert.deepEqual(lines.slice(4, 6), ['got not-for-scripts', 'got has not-for-scripts in it']); // nobody has called it a secret
  assert.match(lines[6], /expects a variable's name/);
  assert.match(lines[7], /LATER holds a secret, which no script reads: secret "LATER" hands it on/);
  assert.match(lines[9], /COPY holds a secret/); // by its value, once it is known
});

test('secrets of the settings are none of a script\'s variables', async (t) => {
  const dir = project(t, {
    'hubloop.lua': `return { accounts = { main = { token = secret "MY_TOKEN", client_secret = secret "MY_SECRET" } },
      permissions = { ["x.lua"] = { env = { "MY_TOKEN", "MY_SECRET", "REGION" } } } }`,
    'x.lua': `serve("GET /", { auth = false }, function()
      local out = {}
      for _, name in ipairs { "MY_TOKEN", "MY_SECRET", "REGION" } do local _, why = pcall(env.get, name) out[name] = tostring(why) end
      return { json = out } end)`,
  });
  const p = await serve(t, dir, { env: { MY_TOKEN: 'x'.repeat(20), MY_SECRET: 'y'.repeat(20), REGION: 'emea' } });
  const answer = await (await fetch(`${p.url}/`)).json();
  assert.match(answer.MY_TOKEN, /holds a secret/);
  assert.match(answer.MY_SECRET, /holds a secret/);
  assert.equal(answer.REGION, 'emea');
});

test('a test says what the variables hold, and opens no server', async (t) => {
  const dir = project(t, {
    'x.lua': 'kv.set("region", env.get("REGION"))\nkv.set("why", tostring(select(2, pcall(sql.open, "postgres://127.0.0.1/shop"))))\n' +
      'local db = sql.open("shop.db")\ndb:exec("CREATE TABLE t(x)")\nkv.set("other", tostring(select(2, pcall(sql.open, "other.db"))))\n',
    'y.lua': `kv.set("got", http.get(secret "HOOK").body)
kv.set("why", tostring(select(2, pcall(sql.open, secret "DB_URL"))))`,
    'x_test.lua': `it("says what a secret is", function()
      sim.http("a.example", function(request) return { status = 200, body = "to " .. request.url } end)
      sim.load("y.lua", { hosts = { "a.example" }, env = { HOOK = "https://a.example/x" } })
      expect(sim.kv("y.lua").get("got")).to.equal("to https://a.example/x")
      expect(sim.kv("y.lua").get("why")).to.match("no database server is reached in virtual time")
    end)
    it("says", function()
      sim.load("x.lua", { env = { "HOME", REGION = "emea" }, sql = { "shop.db", "postgres://127.0.0.1/shop" } })
      local seen = sim.kv("x.lua")
      expect(seen.get("region")).to.equal("emea")
      expect(seen.get("why")).to.match("no real network in virtual time")
      expect(seen.get("other")).to.match("may not use other.db")
    end)`,
  });
  const r = await run(t, ['test', 'x_test.lua'], { cwd: dir, env: { REGION: 'apac' } });
  assert.match(r.out, /2 passed, 0 failed/, r.out + r.err);
});
