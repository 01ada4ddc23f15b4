// SQLite files as a script has them: those that it may use, never hubloop's own, and what goes wrong on a real disk.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { TOKEN, SECRET, deliver, event, project, run, serve, sim, start } from './lib.mjs';

const TRY = `local function try(what, ...) local ok, why = pcall(what, ...)
  print(ok and "ok" or (type(why) == "table" and why.kind .. " " .. tostring(why.category) .. " " .. tostring(why.retryable) .. " " .. why.message) or tostring(why)) end
`;
const said = (r) => r.out.trim().split('\n');
const ask = (file, statement) => execFileSync('sqlite3', [file, statement], { encoding: 'utf8' }).trim();

test('a script uses the databases that it may, and hubloop\'s own under no name', async (t) => {
  const dir = project(t, {
    'data/.keep': '',
    'hubloop.lua': `return { store = "data/hubloop.db", permissions = { ["x.lua"] = { fs = { "data" }, sql = { "data/shop.db", "data/hubloop.db", "data/link.db", "data/hubloop.db-wal", "data/nowhere.db" } } } }`,
    'x.lua': `${TRY}
      local function use(place) sql.open(place):exec("CREATE TABLE IF NOT EXISTS t(x)") end
      for _, place in ipairs { "data/shop.db", "./data//shop.db", "data/other.db", "data/hubloop.db", "data/link.db", "data/hubloop.db-wal", "data/nowhere.db" } do try(use, place) end
      for _, name in ipairs { "hubloop.db", "hubloop.db-journal", "link.db" } do try(fs.write, "data/" .. name, "x") try(fs.read, "data/" .. name) end
      try(fs.remove, "data/hubloop.db")
      try(fs.write, "data/hubloop.db-other", "x")`,
  });
  ask(path.join(dir, 'data/hubloop.db'), 'CREATE TABLE log(id)');
  fs.symlinkSync('hubloop.db', path.join(dir, 'data/link.db'));
  fs.symlinkSync('hubloop.db-shm', path.join(dir, 'data/nowhere.db'));
  const r = await run(t, ['run', dir], { cwd: dir, env: { HUBSPOT_TOKEN: 'x'.repeat(20) } });
  assert.equal(r.code, 0, r.err + r.out);
  const lines = said(r);
  assert.deepEqual(lines.slice(0, 2), ['ok', 'ok']);
  assert.match(lines[2], /denied.*this script may not use data\/other\.db: permit it .*--allow-sql data\/other\.db/);
  for (const i of [3, 4, 5, 7, 8, 9, 11, 12]) assert.match(lines[i], /^denied .*hubloop keeps its own state/, `${i}: ${lines[i]}`);
  assert.match(lines[6], /nowhere\.db is a link to a file that is not there/);
  assert.match(lines[10], /No such file/);
  assert.match(lines[13], /own state/);
  assert.equal(lines[14], 'ok');
  assert.equal(ask(path.join(dir, 'data/hubloop.db'), 'SELECT group_concat(name) FROM sqlite_schema'), 'log');
  assert.equal(ask(path.join(dir, 'data/shop.db'), 'PRAGMA journal_mode'), 'wal');
});

test('without a permission there is no database', async (t) => {
  const dir = project(t, { 'x.lua': 'sql.open("shop.db")' });
  const r = await run(t, ['run', '--sim', 'x.lua'], { cwd: dir });
  assert.equal(r.code, 1);
  assert.match(r.err, /x\.lua:1: sql\.open: this script may not use shop\.db: permit it .*--allow-sql shop\.db for a lone script/);
  assert.deepEqual(fs.readdirSync(dir).filter((f) => f.includes('.db')), []);
});

test('in a replay databases are only read', async (t) => {
  const dir = project(t, { 'x.lua': `local db = sql.open("shop.db")
    on("contact.creation", function(event)
      local n = db:query("SELECT count(*) AS n FROM t")[1].n
      db:transaction(function() db:exec("INSERT INTO t VALUES(?)", event.objectId) end)
      local ok, why = pcall(db.query, db, "INSERT INTO t VALUES('sly') RETURNING x")
      log.info("there were", n, ok and "wrote" or why.category)
    end)` });
  const file = path.join(dir, 'shop.db');
  ask(file, "CREATE TABLE t(x)");
  const hubspot = await sim(t, dir);
  const env = { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET };
  fs.writeFileSync(path.join(dir, 'hubloop.lua'), `return { accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET",
    base_url = "${hubspot.url}" } }, permissions = { ["x.lua"] = { sql = { "shop.db" } } } }`);
  const p = await serve(t, dir, { env });
  assert.equal((await deliver(p.hook, [event({ objectId: 7 })])).status, 204);
  await p.line(/there were 0 wrote/);
  await p.settled((s) => s.engine.ran === 1);
  const r = await run(t, ['events', 'replay', '--script', 'x.lua', '--dry-run', '--since', '1h'], { cwd: dir, env });
  assert.equal(r.code, 0, r.err);
  assert.match(r.out, /^ {4}sql +\S*shop\.db "INSERT INTO t VALUES\(\?\)"$/m);
  assert.match(r.out, /there were 2 read_only/);
  assert.equal(ask(file, 'SELECT count(*) FROM t'), '2');
});

test('an endless statement is stopped and holds up nothing', async (t) => {
  const dir = project(t, { 'x.lua': `${TRY}
    local db = sql.open("x.db", { timeout = 0.3 })
    local ticks, over = 0, false
    task.spawn(function() while not over do task.sleep(0.01) ticks = ticks + 1 end end)
    local endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    try(db.query, db, endless)
    over = true
    print(ticks >= 5 and "the loop ran" or "the loop stood")
    local slow = sql.open("x.db", { timeout = "1h" })
    try(task.timeout, 0.05, function() slow:query(endless) end)
    print(slow:query("SELECT 1 AS one")[1].one)` });
  const r = await run(t, ['run', '--sim', 'x.lua', '--allow-sql', 'x.db'], { cwd: dir });
  assert.equal(r.code, 0, r.err);
  const lines = said(r);
  assert.match(lines[0], /^sql timeout true sql: x\.db: the statement did not end within 0\.3 s/);
  assert.equal(lines[1], 'the loop ran');
  assert.match(lines[2], /timed out after 0\.05 s/);
  assert.equal(lines[3], '1');
});

test('files of others: locked, damaged, read only, none', async (t) => {
  const dir = project(t, {
    'damaged.db': 'this is no database at all, but it is long enough to be looked at '.repeat(40),
    'x.lua': `${TRY}
      local function open(name, statement, options) try(function() sql.open(name, options):exec(statement) end) end
      open("damaged.db", "CREATE TABLE t(x)")
      open("torn.db", "SELECT sum(length(x)) FROM t")
      open("missing.db", "SELECT 1", { read_only = true })
      open("kept.db", "INSERT INTO t VALUES(1)", { read_only = true })
      open("folder.db", "SELECT 1")
      print("begin")
      open("locked.db", "INSERT INTO t VALUES(1)", { timeout = 0.2 })`,
  });
  const file = (name) => path.join(dir, name);
  for (const name of ['torn.db', 'kept.db', 'locked.db']) ask(file(name), "PRAGMA journal_mode=WAL; CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 500) INSERT INTO t SELECT randomblob(100) FROM n");
  const fd = fs.openSync(file('torn.db'), 'r+');
  fs.writeSync(fd, Buffer.alloc(20000, 0xaa), 0, 20000, 8192);
  fs.closeSync(fd);
  fs.mkdirSync(file('folder.db'));
  const holder = spawn('sqlite3', [file('locked.db')], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => holder.kill('SIGKILL'));
  holder.stdin.write("BEGIN IMMEDIATE;\nSELECT 'held';\n");
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  const r = await run(t, ['run', '--sim', 'x.lua', ...['damaged', 'torn', 'missing', 'kept', 'folder', 'locked'].flatMap((n) => ['--allow-sql', `${n}.db`])], { cwd: dir });
  assert.equal(r.code, 0, r.err);
  const lines = said(r);
  assert.match(lines[0], /^sql corrupt false sql: damaged\.db: file is not a database/);
  assert.match(lines[1], /^sql corrupt false sql: torn\.db: /);
  assert.match(lines[2], /^sql io false sql: missing\.db: .*there is no such file/);
  assert.match(lines[3], /^sql read_only false /);
  assert.match(lines[4], /is no file/);
  assert.match(lines[6], /^sql (timeout|busy) true /);
  assert.equal(ask(file('kept.db'), 'SELECT count(*) FROM t'), '500');
});

test('a full disk is told and the transaction is rolled back', async (t) => {
  const dir = project(t, { 'x.lua': `${TRY}
    local db = sql.open("full.db")
    try(db.transaction, db, function()
      db:exec("INSERT INTO t VALUES('kept?')")
      try(db.exec, db, "INSERT INTO t VALUES(randomblob(9000000))")
      try(db.exec, db, "INSERT INTO t VALUES('outside')")
    end)
    print(db:query("SELECT count(*) AS n FROM t")[1].n)` });
  ask(path.join(dir, 'full.db'), 'CREATE TABLE t(x)');
  // The largest file that the process may write stands for a full disk.
  const r = await run(t, ['-c', 'ulimit -f 4000; trap "" XFSZ; exec "$0" run --sim x.lua --allow-sql full.db', process.env.HUBLOOP ?? path.resolve('build/hubloop')], { cwd: dir, command: '/bin/bash' });
  const lines = said(r);
  assert.match(lines[0], /^sql (full|io) true /, r.err + r.out);
  assert.match(lines[1], /^sql transaction true .*the transaction was rolled back/);
  assert.match(lines[2], /^sql transaction true /);
  assert.equal(lines[3], '0');
});

test('a script that is killed in a transaction leaves nothing of it', async (t) => {
  const dir = project(t, { 'x.lua': `
    local db = sql.open("x.db")
    db:exec("CREATE TABLE IF NOT EXISTS t(x)")
    db:exec("INSERT INTO t VALUES('before')")
    db:transaction(function() db:exec("INSERT INTO t VALUES('in')") print("in") task.sleep("1h") end)` });
  const args = ['run', '--sim', 'x.lua', '--allow-sql', 'x.db'];
  const p = start(t, args, { cwd: dir });
  await p.line(/in/, 'out');
  await p.stop('SIGKILL');
  assert.equal(ask(path.join(dir, 'x.db'), 'SELECT group_concat(x) FROM t'), 'before');
  const q = start(t, args, { cwd: dir });
  await q.line(/in/, 'out');
  await q.stop('SIGTERM');
  assert.equal(ask(path.join(dir, 'x.db'), 'SELECT group_concat(x) FROM t'), 'before,before');
  assert.deepEqual(fs.readdirSync(dir).filter((f) => /-wal|-shm/.test(f)), []); // it was closed properly
});
