// Settings: limits of a script.
import test from 'node:test';
import assert from 'node:assert/strict';
import { project, run } from './lib.mjs';

const busy = `
local running, most = 0, 0
local function work()
  running = running + 1
  most = math.max(most, running)
  task.sleep(0.01)
  running = running - 1
  print("most at once: " .. most)
end
on("a", work)
on("b", work)
for i = 1, 20 do emit("a", i) emit("b", i) end
`;

test('a script\'s handlers keep to its limit together', async (t) => {
  const dir = project(t, { 'hubloop.lua': 'return { limits = { ["busy.lua"] = { concurrency = 3 } } }', 'busy.lua': busy });
  const r = await run(t, ['run', dir, '--sim'], { cwd: dir });
  assert.equal(r.code, 0, r.err);
  const lines = r.out.trim().split('\n');
  assert.equal(lines.length, 40);
  assert.equal(lines.at(-1), 'most at once: 3');
});

test('limits that are none are one line', async (t) => {
  for (const [limits, wrong] of [
    ['5', /limits must be a table: \["script\.lua"\] = \{ concurrency = 20 \}/],
    ['{ ["a.lua"] = 5 }', /limits must be a table/],
    ['{ ["a.lua"] = { concurency = 5 } }', /limits\["a\.lua"\] has no setting “concurency”; did you mean “concurrency”/],
    ['{ ["a.lua"] = { concurrency = 0 } }', /limits\["a\.lua"\]\.concurrency must be how many events.*1 to 10000/],
    ['{ ["a.lua"] = { concurrency = "5" } }', /limits\["a\.lua"\]\.concurrency must be how many/],
  ]) {
    const dir = project(t, { 'hubloop.lua': `return { limits = ${limits} }`, 'a.lua': '' });
    const r = await run(t, ['run', dir, '--sim'], { cwd: dir });
    assert.notEqual(r.code, 0);
    assert.match(r.err, wrong);
  }
});
