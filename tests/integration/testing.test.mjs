// `hubloop test` as other programs see it: JUnit's XML, coverage.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { poll, project, run, start } from './lib.mjs';

// Line numbers count. Between `far` and what is before it lie more lines than a step of Lua's line table holds.
const script = `local shared = require "shared"
local function never(x)
  return x + 1
end
on("contact.creation", function(event)
  if event.objectId == "none" then
    log.info("not in this test")
    never(1)
  else
    log.info(shared.greet {
      name = "Ana",
    })
  end
end)
${'\n'.repeat(300)}local function far()
  return 1
end
far()
`;
const shared = `local M = {}
function M.greet(t)
  return "hello " .. t.name
end
function M.unused()
  return nil
end
return M
`;
const tests = `describe("a <group> & \\"more\\"", function()
  it("passes", function()
    sim.load("script.lua")
    sim.create("contacts", { email = "ana@example.com" })
    sim.settle()
    expect(sim.log()).to.contain("hello Ana")
  end)
  it("fails", function() expect("\\27[31m\\1").to.equal("b") end)
  it("is for later")
end)
`;

test('coverage tells what did not run, also of functions that nobody called', async (t) => {
  const dir = project(t, { 'app/script.lua': script, 'app/lib/shared.lua': shared, 'app/script_test.lua': tests });
  const r = await run(t, ['test', 'app', '--coverage', '--lcov', 'out.info', '--filter', 'passes'], { cwd: dir });
  assert.equal(r.code, 0, r.err + r.out);
  const rows = r.out.slice(r.out.indexOf('coverage')).split('\n').map((l) => l.split(/ {2,}/));
  assert.deepEqual(rows.slice(1, 4), [
    ['app/lib/shared.lua', '8', '7', '87%', '6'],
    ['app/script.lua', '13', '10', '76%', '3, 7-8'],
    ['total', '21', '17', '80%'],
  ]);
  const info = fs.readFileSync(path.join(dir, 'out.info'), 'utf8').split('\n');
  const of = (file) => info.slice(info.indexOf(`SF:${file}`) + 1).slice(0, info.slice(info.indexOf(`SF:${file}`)).indexOf('end_of_record') - 1);
  assert.deepEqual(of('app/lib/shared.lua'), ['DA:1,1', 'DA:2,1', 'DA:3,1', 'DA:4,1', 'DA:5,1', 'DA:6,0', 'DA:7,1', 'DA:8,1', 'LF:8', 'LH:7']);
  assert.ok(of('app/script.lua').includes('DA:317,1'), 'a line far below');
});

test('a JUnit report is XML whatever a test says', async (t) => {
  const dir = project(t, { 'script.lua': script, 'lib/shared.lua': shared, 'script_test.lua': tests, 'broken_test.lua': 'describe(' });
  const r = await run(t, ['test', '--junit', 'report.xml'], { cwd: dir });
  assert.equal(r.code, 1);
  const xml = fs.readFileSync(path.join(dir, 'report.xml'), 'utf8');
  assert.match(xml, /<testsuites name="hubloop test" tests="4" failures="2" errors="0" skipped="1" time="[\d.]+">/);
  assert.match(xml, /<testcase classname="broken_test\.lua" name="loading"/);
  assert.match(xml, /name="a &lt;group&gt; &amp; &quot;more&quot;, passes" file="script_test\.lua" line="2" time="[\d.]+"\/>/);
  assert.match(xml, /is for later" file="script_test\.lua" line="9" time="0\.000"><skipped\/>/);
  assert.match(xml, /<failure message="script_test\.lua:8: expected &quot;b&quot;/);
  assert.doesNotMatch(xml, /[\x00-\x08\x0b-\x1f]/); // eslint-disable-line no-control-regex
  // Every element that is opened is closed, in order.
  const open = [];
  for (const [, slash, name, self] of xml.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)) {
    if (slash) assert.equal(open.pop(), name);
    else if (!self) open.push(name);
  }
  assert.deepEqual(open, []);
});

test('a report that cannot be written fails the run', async (t) => {
  const dir = project(t, { 'script_test.lua': 'it("passes", function() end)\n' });
  const r = await run(t, ['test', '--junit', 'no/such/folder.xml'], { cwd: dir });
  assert.equal(r.code, 1);
  assert.match(r.err, /cannot write the JUnit report to no\/such\/folder\.xml: No such file or directory/);
});

test('--watch runs them again when a script or a test changes', async (t) => {
  const body = (want) => `it("adds", function() expect(require("shared").sum(1, 2)).to.equal(${want}) end)\n`;
  const sum = (sign) => `return { sum = function(a, b) return a ${sign} b end }\n`;
  const dir = project(t, { 'lib/shared.lua': sum('+'), 'sum_test.lua': body(3) });
  const p = start(t, ['test', '--watch'], { cwd: dir });
  const ran = (n, end) => poll(() => {
    const ends = p.out.match(/\d+ passed, \d+ failed/g) ?? [];
    return ends.length === n && ends.at(-1) === end;
  }, `run ${n}: ${end}`);
  await ran(1, '1 passed, 0 failed');
  fs.writeFileSync(path.join(dir, 'lib/shared.lua'), sum('-'));
  await ran(2, '0 passed, 1 failed');
  fs.writeFileSync(path.join(dir, 'sum_test.lua'), body(-1));
  await ran(3, '1 passed, 0 failed');
  fs.writeFileSync(path.join(dir, 'sum_test.lua'), 'it("');
  await ran(4, '0 passed, 1 failed');
});

test('--watch ends where there is nothing to run', async (t) => {
  const r = await run(t, ['test', '--watch'], { cwd: project(t, { 'script.lua': '' }) });
  assert.equal(r.code, 2);
  assert.match(r.err, /no \*_test\.lua found/);
});

const killed = `local hubspot = require "hubspot"
local here = 0
on("contact.creation", function(event)
  here = here + 1
  step("first", function() hubspot.contacts.update(event.objectId, { city = "Bonn" }) end)
  step("second", function() hubspot.contacts.update(event.objectId, { jobtitle = "run " .. here }) end)
  kv.incr("done")
end)
on("company.creation", function() hubspot.companies.create { name = "twin" } end)
on("deal.creation", function(event)
  step("note", function() hubspot.notes.create { hs_note_body = event.objectId, hs_timestamp = "2026-01-01T00:00:00Z" } end)
end)
every("1h", function() kv.incr("hours") end)
`;
const kills = `describe("a crash", function()
  local id

  before_each(function() sim.load "script.lua" end)

  local function calls(method)
    local n = 0
    for _, c in ipairs(sim.calls()) do n = n + (c.method == method and 1 or 0) end
    return n
  end

  it("cuts off what runs; what was stored is not done again", function()
    sim.crash { method = "PATCH", call = 2 }
    id = sim.create("contacts", { email = "bo@example.com" })
    sim.advance("10m")
    expect({ sim.contact(id).city, sim.contact(id).jobtitle, sim.events().ran }).to.equal { "Bonn", "run 1", 0 }
    expect(sim.kv("script.lua").get("done")).to.be_nil()
    sim.restart()
    sim.settle()
    expect(sim.contact(id).jobtitle).to.equal("run 1")                  -- anew from the top, without what was in memory
    expect(calls "PATCH").to.equal(3)
    expect(sim.kv("script.lua").get("done")).to.equal(1)
    expect(sim.events().dead).to.equal(0)
  end)

  it("lets nothing be done twice of which nobody knows whether it was", function()
    sim.crash { method = "POST", path = "/notes" }
    sim.create("deals", { dealname = "Big", pipeline = "default", dealstage = "contractsent" })
    sim.advance("10m")
    sim.restart()
    sim.advance("1h")
    expect(calls "POST").to.equal(1)
    expect(sim.events().dead).to.equal(1)
  end)

  it("leaves webhooks and timers to the time after it", function()
    sim.advance("90m")
    sim.crash()
    id = sim.create("contacts", { email = "bo@example.com" })
    sim.advance("5h")
    expect(sim.contact(id).city).to.be_nil()
    expect(sim.kv("script.lua").get("hours")).to.equal(1)
    sim.restart()
    sim.advance("1m")
    expect(sim.kv("script.lua").get("hours")).to.equal(2)              -- once for what was missed
    sim.advance("12h")
    expect(sim.contact(id).jobtitle).to.equal("run 1")                  -- HubSpot delivers for a day
  end)

  it("is told from none", function()
    expect(sim.restart).to.raise("nothing has crashed")
    expect(function() sim.crash { pth = "/notes" } end).to.raise("there is no 'pth'")
  end)
end)
`;

test('scripts are killed and started again in virtual time', async (t) => {
  const dir = project(t, { 'script.lua': killed, 'script_test.lua': kills });
  const r = await run(t, ['test', 'script_test.lua'], { cwd: dir });
  assert.equal(r.code, 0, r.err + r.out);
  assert.match(r.out, /4 passed/);
});

// A file of so many tests; each prints its name.
const printing = (name, n, more = '') => `describe("${name}", function()
  for i = 1, ${n} do it("test " .. i, function() print("${name} says " .. i) sim.create("contacts", { email = "a@example.com" }) ${more} end) end
end)
`;

test('files side by side: the same results in the same order, and what is printed with its test', async (t) => {
  const files = { 'broken_test.lua': 'it("x"', 'b_test.lua': printing('b', 3), 'c_test.lua': printing('c', 2, 'if i == 2 then error("no luck") end') };
  for (let i = 0; i < 6; i++) files[`d${i}_test.lua`] = printing(`d${i}`, 4);
  const dir = project(t, files);
  const one = await run(t, ['test', '--jobs', '1', '--junit', 'one.xml'], { cwd: dir });
  const four = await run(t, ['test', '--jobs', '4', '--junit', 'four.xml'], { cwd: dir });
  assert.equal(one.code, 1);
  assert.equal(four.code, 1);
  assert.equal(four.out, one.out);
  assert.match(four.out, /\n28 passed, 2 failed\n$/);
  assert.match(four.out, /✓ b, test 2\n {6}b says 2\n/);
  assert.match(four.out, /✗ c, test 2\n {6}c says 2\n {6}c_test.lua:2: no luck/);
  assert.match(four.out, /broken_test.lua\n {2}✗ cannot be run: broken_test.lua:1: /);
  const cases = (name) => fs.readFileSync(path.join(dir, name), 'utf8').replace(/ time="[^"]*"/g, '');
  assert.equal(cases('four.xml'), cases('one.xml'));
  const quiet = await run(t, ['test', '--quiet'], { cwd: dir });
  assert.doesNotMatch(quiet.out, /b says/);
  assert.match(quiet.out, /c says 2/);
});

test('a process of tests that is killed takes its file with it, and no other', async (t) => {
  const long = 'it("takes long", function() every("1s", function() end) sim.advance("300d") end)\n';
  const dir = project(t, { 'b_test.lua': printing('b', 2), 'c_test.lua': printing('c', 2), 'd_test.lua': long });
  const p = start(t, ['test', '--jobs', '2'], { cwd: dir });
  // The one that is left when the others have ended: it is at the long file.
  const children = () => fs.readFileSync(`/proc/${p.child.pid}/task/${p.child.pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  await p.line(/✓ c, test 2/, 'out');
  await poll(() => children().length === 1, 'one process');
  process.kill(Number(children()[0]), 'SIGKILL');
  const { code } = await p.end();
  assert.equal(code, 1);
  assert.match(p.out, /d_test.lua\n {2}✗ cannot be run: the process that ran it was ended by signal 9 \(Killed\)/);
  assert.match(p.out, /\n4 passed, 1 failed\n$/);
});
