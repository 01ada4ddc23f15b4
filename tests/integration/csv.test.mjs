// csv and fs as a script has them: its folders and no others, and files of any size in little memory.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { project, run, start } from './lib.mjs';

const said = (r) => r.out.trim().split('\n');

test('a script uses the folders that it may, and no link leads out of them', async (t) => {
  const outside = project(t, { 'secret.csv': 'a\n1\n' });
  const dir = project(t, {
    'data/in.csv': 'a,b\n1,2\n', 'other/x.csv': 'a\n1\n', 'database/y.csv': 'a\n1\n',
    'x.lua': `
      local function try(what, ...) local ok, why = pcall(what, ...) print(ok and "ok" or tostring(why)) end
      for row in csv.rows("data/in.csv") do print(row.b) end
      try(fs.read, "data/inside.csv")
      for _, name in ipairs { "other/x.csv", "database/y.csv", "x.lua", "/etc/passwd", "data/out.csv", "data/folder/secret.csv", "data/pipe" } do try(fs.read, name) end
      try(fs.write, "data/folder/new.csv", "x")
      try(fs.write, "data/out.csv", "mine")
      try(fs.write, "data/new/deep/list.csv", "mine")
      print(table.concat(fs.list("data"), " "))
      for _, name in ipairs { "data/folder", ".", "other" } do try(fs.list, name) end
      try(fs.remove, "data/folder/secret.csv") try(fs.remove, "other/x.csv") print(fs.remove("data/inside.csv"))`,
  });
  fs.symlinkSync('in.csv', path.join(dir, 'data/inside.csv'));
  fs.symlinkSync(path.join(outside, 'secret.csv'), path.join(dir, 'data/out.csv'));
  fs.symlinkSync(outside, path.join(dir, 'data/folder'));
  const r = await run(t, ['run', '--sim', 'x.lua', '--allow-fs', 'data'], { cwd: dir });
  assert.equal(r.code, 0, r.err);
  const lines = said(r);
  assert.deepEqual(lines.slice(0, 2), ['2', 'ok']);
  for (const i of [2, 3, 4, 5]) assert.match(lines[i], /this script may not use .*--allow-fs/);
  assert.match(lines[3], /--allow-fs database/);
  for (const i of [6, 7, 9]) assert.match(lines[i], /a link leads out of the folder/);
  assert.match(lines[8], /cannot read data\/pipe: No such file/);
  assert.deepEqual(lines.slice(10, 13), ['ok', 'ok', 'folder in.csv inside.csv new/ out.csv']);
  for (const i of [13, 16]) assert.match(lines[i], /a link leads out of the folder/);
  for (const i of [14, 15, 17]) assert.match(lines[i], /this script may not use/);
  assert.deepEqual([lines[18], fs.existsSync(path.join(dir, 'data/inside.csv')), fs.existsSync(path.join(dir, 'data/in.csv'))], ['true', false, true]);
  assert.deepEqual(fs.readdirSync(outside), ['secret.csv']);
  assert.equal(fs.readFileSync(path.join(outside, 'secret.csv'), 'utf8'), 'a\n1\n'); // the link was replaced, not followed
  assert.equal(fs.readFileSync(path.join(dir, 'data/new/deep/list.csv'), 'utf8'), 'mine');
});

test('without a permission there are no files', async (t) => {
  const dir = project(t, { 'x.lua': 'fs.write("x.csv", "x")' });
  const r = await run(t, ['run', '--sim', 'x.lua'], { cwd: dir });
  assert.equal(r.code, 1);
  assert.match(r.err, /x\.lua:1: fs\.write: this script may not use x\.csv: permit its folder .*--allow-fs \. for a lone script/);
  assert.deepEqual(fs.readdirSync(dir).filter((f) => f.includes('csv')), []);
});

test('a writer that is killed leaves the old file, and the next one takes its place', async (t) => {
  const dir = project(t, {
    'data/list.csv': 'old\n',
    'x.lua': `
      local w = csv.writer("data/list.csv", { columns = { "n" } })
      for i = 1, 200000 do w:write { n = i } end
      w.file:write("") print("half")
      if kv.get("again") then w:close() return end
      kv.set("again", true) task.sleep("1h")`,
  });
  const p = start(t, ['run', '--sim', '--store', 'store.db', 'x.lua', '--allow-fs', 'data'], { cwd: dir });
  await p.line(/half/, 'out');
  p.child.kill('SIGKILL');
  await p.exited;
  assert.equal(fs.readFileSync(path.join(dir, 'data/list.csv'), 'utf8'), 'old\n');
  fs.writeFileSync(path.join(dir, 'x.lua'), fs.readFileSync(path.join(dir, 'x.lua'), 'utf8').replace('kv.get("again")', 'true'));
  const r = await run(t, ['run', '--sim', 'x.lua', '--allow-fs', 'data'], { cwd: dir });
  assert.equal(r.code, 0, r.err);
  assert.equal(fs.readFileSync(path.join(dir, 'data/list.csv'), 'utf8').split('\r\n').length, 200002);
  assert.deepEqual(fs.readdirSync(path.join(dir, 'data')), ['list.csv']);
});

test('1,000,000 rows pass in less than 100 MB', { skip: process.env.ASAN_OPTIONS ? 'memory is the sanitizer\'s' : false }, async (t) => {
  const dir = project(t, {
    'data/in.csv': '',
    'x.lua': `
      local rows, sum = 0, 0
      for row in csv.rows("data/in.csv") do rows, sum = rows + 1, sum + #row.name + row.id end
      print(rows, math.tointeger(sum), "read")
      task.sleep("1h")`,
  });
  const out = fs.openSync(path.join(dir, 'data/in.csv'), 'w');
  fs.writeSync(out, 'id;email;name;country\n');
  for (let k = 0; k < 100; k++) {
    const piece = [];
    for (let i = k * 10000 + 1; i <= (k + 1) * 10000; i++) piece.push(`${i};lead${i}@firm.example;"Doe; ""J."" Ü";DE\n`);
    fs.writeSync(out, piece.join(''));
  }
  fs.closeSync(out);
  const p = start(t, ['run', '--sim', 'x.lua', '--allow-fs', 'data'], { cwd: dir });
  const [, rows, sum] = await p.line(/(\d+)\t(\d+)\tread/, 'out');
  assert.deepEqual([rows, sum], ['1000000', String(500000500000 + 12 * 1000000)]);
  const peak = Number(/VmHWM:\s*(\d+) kB/.exec(fs.readFileSync(`/proc/${p.pid}/status`, 'utf8'))[1]);
  t.diagnostic(`peak ${Math.round(peak / 1024)} MB`);
  assert.ok(peak < 100 * 1024, `${peak} kB`);
  await p.stop('SIGKILL');
});
