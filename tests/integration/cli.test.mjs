// The program as somebody meets it first: help, version, a one-file script
// against the simulator, from a copy of the binary with nothing else on the PATH.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { HUBLOOP, TOKEN, project, request, run, sim, start } from './lib.mjs';

const HELLO = `
local hubspot = require "hubspot"
local made = hubspot.contacts.create{ email = "ada@example.com", firstname = "Ada", lastname = "Lovelace" }
local read = hubspot.contacts.get(made.id, { "email", "firstname" })
print("hello " .. read.firstname .. " <" .. read.email .. ">")
`;

test('one binary, copied elsewhere, with an empty PATH, runs a script against the simulator', async (t) => {
  const dir = project(t, { 'work/hello.lua': HELLO });
  const copy = path.join(dir, 'hubloop');
  fs.copyFileSync(HUBLOOP, copy);
  fs.chmodSync(copy, 0o755);
  const env = { PATH: path.join(dir, 'nothing') };
  const cwd = path.join(dir, 'work');
  const r = await run(t, ['run', '--sim', 'hello.lua'], { cwd, env, command: copy });
  assert.equal(r.out, 'hello Ada <ada@example.com>\n');
  assert.equal(r.code, 0, r.err);
  assert.equal((await run(t, ['version'], { cwd, env, command: copy })).code, 0);
  assert.equal((await run(t, ['help'], { cwd, env, command: copy })).code, 0);
  assert.deepEqual(fs.readdirSync(cwd), ['hello.lua'], 'a simulated run leaves nothing behind');
});

test('what a script prints reaches a pipe line by line, before it ends', async (t) => {
  const dir = project(t, { 'wait.lua': 'print("one")\nprint("two")\ntask.sleep("1h")\n' });
  const p = start(t, ['run', '--sim', 'wait.lua'], { cwd: dir });
  await p.line(/^one\ntwo\n$/, 'out');
  await p.stop('SIGINT');
});

test('a fault of the simulator breaks the connection', async (t) => {
  const s = await sim(t, project(t));
  await s.control('fail', { match: { method: 'GET' }, drop: true });
  const get = () => request('GET', `${s.url}/crm/objects/2026-09/contacts`, '', { Authorization: `Bearer ${TOKEN}` });
  await assert.rejects(get, (e) => e.code === 'ECONNRESET');
  assert.equal((await get()).status, 200); // once only
});

test('a permission given twice permits both, and a failed request is named once', async (t) => {
  const dir = project(t, { 'two.lua': 'for _, p in ipairs { 1, 2 } do print(pcall(http.get, "http://127.0.0.1:" .. p .. "/")) end\n' });
  const r = await run(t, ['run', 'two.lua', '--allow-host', '127.0.0.1:1', '--allow-host', '127.0.0.1:2'],
    { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN } });
  const lines = r.out.trim().split('\n');
  assert.equal(lines.length, 2, r.err);
  for (const line of lines) {
    assert.doesNotMatch(line, /may not reach/);
    assert.equal(line.split('GET http://').length, 2, line);
  }
});

test('version prints one line', async (t) => {
  for (const args of [['version'], ['--version']]) {
    const r = await run(t, args);
    assert.match(r.out, /^hubloop \d+\.\d+\.\d+/);
    assert.equal(r.code, 0);
  }
});

test('help lists topics and each topic is there', async (t) => {
  const r = await run(t, ['help']);
  assert.equal(r.code, 0);
  const topics = r.out.match(/^Topics .*\n((?: {2}.*\n)+)/m)[1].trim().split(/\s+/);
  assert.ok(topics.length >= 5, `topics: ${topics}`);
  for (const topic of topics) {
    const one = await run(t, ['help', topic]);
    assert.equal(one.code, 0, `help ${topic}: ${one.err}`);
    assert.ok(one.out.split('\n').length > 5, `help ${topic} says nothing`);
  }
  // A command without a topic of its own has its options; summaries stand below each other.
  assert.match((await run(t, ['help', 'new'])).out, /^hubloop new DIR .*\n[^]*--list/);
  for (const line of r.out.match(/^ {2}(new|run|test|check) .*/gm)) assert.match([...line].slice(23, 26).join(''), /^ {1,2}\S/u, line);
  const wrong = await run(t, ['help', 'webhoks']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /webhooks/);
});

test('every command that this version lists explains itself', async (t) => {
  for (const command of ['run', 'serve', 'test', 'sim', 'help', 'version']) {
    const r = await run(t, [command, '--help']);
    assert.equal(r.code, 0, `${command}: ${r.err}`);
    assert.match(r.out, new RegExp(`hubloop ${command}`));
  }
});

test('misuse: exit code 2 and the nearest name', async (t) => {
  const command = await run(t, ['serv']);
  assert.equal(command.code, 2);
  assert.match(command.err, /serv.*serve/);
  const flag = await run(t, ['run', '--smi', 'x.lua']);
  assert.equal(flag.code, 2);
  assert.match(flag.err, /--smi.*--sim/);
  const none = await run(t, ['run']);
  assert.equal(none.code, 2);
  assert.match(none.err, /FILE/);
  const number = await run(t, ['sim', '--port', 'http']);
  assert.equal(number.code, 2);
  assert.match(number.err, /--port.*http/);
});

test('a simulator that cannot start prints no exports', async (t) => {
  const r = await run(t, ['sim', '--port', '0', '--tier', 'gold']);
  assert.equal(r.code, 2, r.err);
  assert.match(r.err, /gold.*professional/);
  assert.equal(r.out, '');
});

test('permissions of a project are those of its settings: --allow-host is refused, and said', async (t) => {
  const dir = project(t, { 'hubloop.lua': 'return {}', 'a.lua': 'print("ran")' });
  const r = await run(t, ['run', '--sim', dir, '--allow-host', 'api.example.com']);
  assert.equal(r.code, 2, r.err);
  assert.match(r.err, /--allow-host.*hubloop\.lua.*hosts = \{ "api\.example\.com" \}/);
  assert.equal(r.out, '');
});

test('COLUMNS is the width where no terminal tells one', async (t) => {
  const dir = project(t);
  const env = { HUBSPOT_TOKEN: TOKEN, COLUMNS: '40' };
  const r = await run(t, ['auth', 'list'], { cwd: dir, env });
  assert.equal(r.code, 0, r.err);
  for (const line of r.out.split('\n')) assert.ok(line.length <= 40, line);
});

test('no colours or bars when the output is not a terminal', async (t) => {
  const r = await run(t, ['run', 'nothing.lua']);
  assert.doesNotMatch(r.out + r.err, /\x1b\[/); // eslint-disable-line no-control-regex
});

test('hubloop test: passing and failing files, exit codes, place of a failure', async (t) => {
  const dir = project(t, {
    'good_test.lua': 'describe("sums", function()\n  it("adds", function() expect(1 + 1).to.equal(2) end)\nend)\n',
    'bad_test.lua': 'describe("sums", function()\n  it("adds wrongly", function()\n    expect(1 + 1).to.equal(3)\n  end)\nend)\n',
  });
  const good = await run(t, ['test', 'good_test.lua'], { cwd: dir });
  assert.equal(good.code, 0, good.err + good.out);
  const bad = await run(t, ['test', 'bad_test.lua'], { cwd: dir });
  assert.equal(bad.code, 1);
  assert.match(bad.out + bad.err, /bad_test\.lua:3/);
  assert.match(bad.out + bad.err, /adds wrongly/);
  const none = await run(t, ['test', 'missing'], { cwd: dir });
  assert.notEqual(none.code, 0);
  assert.match(none.out + none.err, /missing/);
});

test('run --sim --for: days of a script\'s life in virtual time, and another host stood in for', async (t) => {
  const dir = project(t, {
    'fails.lua': 'on("contact.creation", { retries = 2 }, function() error "boom" end)',
    'wrong.lua': 'every("soon", print)',
    'own.lua': `
      local hubspot, routing = require "hubspot", require "routing"
      local pool = routing.pool("ours", { members = { { owner = "Ana@mine.example" } }, fallback = "desk@mine.example" })
      on("contact.creation", { name = "a" }, function(event)
        hubspot.contacts.update(event.objectId, { hubspot_owner_id = pool:assign(hubspot.contacts.get(event.objectId)).owner_id })
      end)
      on("contact.propertyChange", { property = "hubspot_owner_id" }, print)`,
    'life.lua': `
      local leads = 0
      on("contact.creation", function(event) leads = leads + 1 end)
      cron("0 9 * * *", { tz = "UTC" }, function()
        print(time.iso(), leads > 0, http.get("https://api.example.com/rate").json().rate)
      end)`,
    'api.lua': 'return function(request) return { json = { rate = request.url:match("rate") and 7 } } end',
  });
  const again = [];
  for (let i = 0; i < 2; i++) {
    const r = await run(t, ['run', 'life.lua', '--sim', '--contacts', '50', '--for', '3d', '--activity', '100', '--allow-host', 'api.example.com',
      '--sim-http', 'api.example.com=api.lua'], { cwd: dir });
    assert.equal(r.code, 0, r.err);
    again.push(r.out);
    assert.match(r.err, /^3d in [0-9.]+ s: \d+ events, \d+ handled[^;]*; 0 runs failed, 0 events parked; /);
  }
  assert.equal(again[0], [1, 2, 3].map((d) => `2026-09-0${d}T09:00:00.000Z\ttrue\t7\n`).join(''));
  assert.equal(again[1], again[0]);
  const own = await run(t, ['run', 'own.lua', '--sim', '--for', '1d', '--store', 'day.db'], { cwd: dir });
  assert.match(own.err, /the scripts name owners that the account had not, and has now: ana@mine\.example, desk@mine\.example\n/);
  assert.match(own.err, /\d+ handled, \d+ filtered; 0 runs failed, 0 events parked/);
  const why = await run(t, ['route', 'explain', '100001', '--store', 'day.db'], { cwd: dir });
  assert.match(why.out, /^contact 100001 -> ana@mine\.example/);
  const fails = await run(t, ['run', 'fails.lua', '--sim', '--for', '1d', '--activity', '20'], { cwd: dir });
  const times = (what) => fails.err.match(what)?.length;   // of each event the traceback once, and all else in one line
  assert.ok(times(/attempt 1: .*boom/g) > 0, fails.err);
  assert.equal(times(/attempt 3: .*boom/g), times(/attempt 1: .*boom/g));
  assert.equal(times(/dead_letter: .*boom/g), times(/attempt 1: .*boom/g));
  assert.equal(times(/stack traceback/g), times(/attempt 1: .*boom/g));
  const wrong = await run(t, ['run', 'wrong.lua', '--sim', '--for', '1d'], { cwd: dir });
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /^hubloop: wrong\.lua:1: /);
  assert.doesNotMatch(wrong.err, /1d in/);
  for (const [args, why] of [
    [['--for', '3d'], /--for is about the simulator: it needs --sim/], [['--contacts', '3'], /--contacts is about the simulator/],
    [['--sim', '--for', 'soon'], /--for takes a duration such as 12h, 7d or 30d/], [['--sim', '--activity', '3'], /need --for/],
    [['--sim', '--for', '1d', '--sim-http', 'api.lua'], /--sim-http takes HOST=FILE/],
    [['--sim', '--for', '1d', '--sim-http', 'a=gone.lua'], /cannot read gone.lua: No such file/],
  ]) {
    const r = await run(t, ['run', 'life.lua', ...args], { cwd: dir });
    assert.equal(r.code, 2, args.join(' '));
    assert.match(r.err, why);
  }
});
