// PostgreSQL as a script has it, against a real server: values, errors, transactions, and what happens when the server,
// the connection or the task goes away.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { project, run, serve, start } from './lib.mjs';
import { Postgres, missing } from './postgres.mjs';

let pg;
const options = { skip: missing };
before(async () => { if (!missing) pg = await Postgres.start(); });
after(async () => { await pg?.remove(); });

const HEAD = `local db = sql.open(secret "DB_URL")
local function failure(fn, ...) local ok, why = pcall(fn, ...) assert(not ok, "it went well") return why end
local function tell(why) print(why.kind, why.category, why.code, why.retryable, why.message) end
`;
async function runs(t, script, { args = [], env = {}, ok = true } = {}) {
  const dir = project(t, { 'x.lua': HEAD + script });
  const r = await run(t, ['run', '--sim', 'x.lua', '--allow-sql', pg.place(), ...args], { cwd: dir, env: { DB_URL: pg.url(), ...env } });
  if (ok) assert.equal(r.code, 0, r.err + r.out);
  assert.ok(!(r.out + r.err).includes(pg.password), 'the password is told');
  return r.out.trim().split('\n');
}
const json = async (...args) => JSON.parse((await runs(...args)).at(-1));

test('values keep what they are', options, async (t) => {
  const row = await json(t, `
    local bytes = "\\0\\1\\\\\\255"
    local row = db:query([[SELECT ?::bigint AS big, ?::int AS whole, ?::float8 AS real, ?::bool AS yes, NOT ?::bool AS no, ?::text AS t, ?::bytea AS b,
      ?::text IS NULL AS empty, NULL AS absent, 12.50::numeric AS money, '{"a": 1}'::jsonb AS j, DATE '2026-02-03' AS day,
      TIMESTAMPTZ '2026-02-03 04:05:06.789+02' AS stamp, TIMESTAMP '2026-02-03 04:05:06' AS civil, 'infinity'::timestamptz AS never,
      '?' AS q, $$ ? $$ AS dollar, '{"a":1}'::jsonb ?? 'a' AS has, E'it\\'s ?' AS e /* ? */ -- ?
    ]], 9007199254740993, 3.0, 0.1, true, true, "'; DROP TABLE x; --", bytes, nil)[1]
    assert(row.b == bytes and math.type(row.big) == "integer" and math.type(row.whole) == "integer")
    row.b, row.big = nil, tostring(row.big)
    print(json.encode(row))`);
  assert.deepEqual(row, { big: '9007199254740993', whole: 3, real: 0.1, yes: true, no: false, t: "'; DROP TABLE x; --", empty: true, money: '12.50', j: '{"a": 1}',
    day: '2026-02-03', stamp: '2026-02-03T02:05:06.789Z', civil: '2026-02-03T04:05:06', never: 'infinity', q: '?', dollar: ' ? ', has: true, e: "it's ?" });
});

test('rows change, come in pages, and are bounded', options, async (t) => {
  const lines = await runs(t, `
    db:exec("CREATE TABLE paged(id int PRIMARY KEY, t text)")
    print(db:exec("INSERT INTO paged SELECT i, 'row ' || i FROM generate_series(1, ?) AS i", 20000))
    print(db:exec("UPDATE paged SET t = t || '!' WHERE id <= ?", 5), db:exec("SELECT * FROM paged"))
    local n, sum = 0, 0
    for row in db:rows("SELECT * FROM paged WHERE id > ? ORDER BY id", 0) do
      n, sum = n + 1, sum + row.id
      if n % 5000 == 0 then db:exec("UPDATE paged SET t = 'seen' WHERE id = ?", row.id) end
    end
    print(n, sum, db:query("SELECT count(*) AS n FROM paged WHERE t = 'seen'")[1].n)
    for _ = 1, 20 do for row in db:rows("SELECT * FROM paged ORDER BY id") do if row.id == 3 then break end end end
    db:transaction(function()
      db:exec("UPDATE paged SET t = 'mine'")
      local mine = 0
      for row in db:rows("SELECT t FROM paged") do mine = mine + (row.t == "mine" and 1 or 0) end
      for row in db:rows("SELECT t FROM paged") do print(mine, row.t) break end
      print(db:exec("DELETE FROM paged WHERE id > 10"))
    end)
    print(json.encode(db:query("DELETE FROM paged WHERE id = ? RETURNING id, t", 7)))
    tell(failure(db.query, db, "SELECT * FROM generate_series(1, 60000)"))
    tell(failure(db.query, db, "SELECT repeat('x', 20000000) AS a, repeat('y', 20000000) AS b"))
    print(db:query("SELECT 1 AS one")[1].one)`);
  assert.deepEqual(lines.slice(0, 6), ['20000', '5\t0', '20000\t200010000\t4', '20000\tmine', '19990', '[{"id":7,"t":"mine"}]'].map((l) => l.replaceAll('\\t', '\t')));
  assert.match(lines[6], /^sql\ttoo_large\tnil\tfalse\t.*more than 50000 rows/);
  assert.match(lines[7], /^sql\ttoo_large/);
  assert.equal(lines[8], '1');
});

test('what fails says what, by the same names as SQLite', options, async (t) => {
  const lines = await runs(t, `
    db:exec("CREATE TABLE strict(id int PRIMARY KEY, e text UNIQUE NOT NULL, n int CHECK (n > 0), s int REFERENCES strict(id))")
    db:exec("INSERT INTO strict(id, e) VALUES(1, 'a')")
    for _, statement in ipairs { "INSERT INTO strict(id, e) VALUES(2, 'a')", "INSERT INTO strict(id) VALUES(2)", "INSERT INTO strict(id, e, n) VALUES(2, 'b', 0)",
      "INSERT INTO strict(id, e, s) VALUES(2, 'b', 9)", "SELEKT 1", "SELECT 'x'::int", "SELECT 1; SELECT 2", "", "BEGIN", "SET x.y = 1", " /* a */ commit", "COPY strict TO STDOUT" } do
      tell(failure(db.exec, db, statement))
    end
    tell(failure(db.exec, db, "SELECT ?, ?", 1))
    tell(failure(db.rows, db, "DELETE FROM strict RETURNING id"))
    local reader = sql.open(secret "DB_URL", { read_only = true })
    tell(failure(reader.exec, reader, "DELETE FROM strict"))
    print(db:query("SELECT count(*) AS n FROM strict")[1].n)`);
  const wanted = [/unique\t23505\tfalse.*strict_e_key/, /not_null\t23502/, /check\t23514/, /foreign_key\t23503/, /statement\t42601/, /values\t22P02/, /statement\t42601/,
    /no statement/, /^denied\tdenied.*BEGIN is not/, /^denied.*SET is not/, /^denied.*COMMIT is not/, /^denied.*COPY is not/, /2 placeholders \(\?\), and 1 value is/,
    /statement\t42601/, /read_only\t25006/, /^1$/];
  wanted.forEach((w, i) => assert.match(lines[i], w, `line ${i}`));
});

test('transactions: whole, nested, spoilt, and ended with their task', options, async (t) => {
  const lines = await runs(t, `
    db:exec("CREATE TABLE tx(t text UNIQUE)")
    local function all() return db:query("SELECT coalesce(string_agg(t, ',' ORDER BY t), '') AS a FROM tx")[1].a end
    db:transaction(function()
      db:exec("INSERT INTO tx VALUES('a')")
      pcall(db.transaction, db, function() db:exec("INSERT INTO tx VALUES('b')") db:exec("INSERT INTO tx VALUES('a')") end)
      db:transaction(function() db:exec("INSERT INTO tx VALUES('c')") end)
    end)
    print(all())
    tell(failure(db.transaction, db, function()
      db:exec("INSERT INTO tx VALUES('d')")
      pcall(db.exec, db, "INSERT INTO tx VALUES('a')")
    end))
    print(all())
    pcall(db.transaction, db, function() db:exec("INSERT INTO tx VALUES('e')") error("no") end)
    pcall(task.timeout, 0.2, function() db:transaction(function() db:exec("INSERT INTO tx VALUES('f')") task.sleep("1h") end) end)
    pcall(task.timeout, 0.2, function() db:transaction(function() db:exec("INSERT INTO tx VALUES('g')") db:query("SELECT pg_sleep(3600)") end) end)
    print(all())
    local others = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'hubloop' AND state <> 'idle' AND pid <> pg_backend_pid()"
    repeat until db:query(others)[1].n == 0
    local list = {}
    for i = 1, 60 do list[i] = i end
    task.map(list, function(i) db:transaction(function() db:exec("INSERT INTO tx VALUES(?)", "m" .. i) db:query("SELECT pg_sleep(0.001)") end) end, { concurrency = 60 })
    print(db:query("SELECT count(*) AS n FROM tx WHERE t LIKE 'm%'")[1].n,
      db:query("SELECT count(*) <= 4 AS few FROM pg_stat_activity WHERE application_name = 'hubloop'")[1].few)`);
  assert.equal(lines[0], 'a,c');
  assert.match(lines[1], /^sql\ttransaction\t25P02\tfalse\t.*rolled back, as a statement in it had failed/);
  assert.deepEqual(lines.slice(2), ['a,c', 'a,c', '60\ttrue']);
});

test('a statement is stopped, at the server too, and holds up nothing', options, async (t) => {
  const lines = await runs(t, `
    local quick = sql.open(secret "DB_URL", { timeout = 0.3 })
    local ticks, over = 0, false
    task.spawn(function() while not over do task.sleep(0.01) ticks = ticks + 1 end end)
    local function pid() return quick:query("SELECT pg_backend_pid() AS pid")[1].pid end
    local before = pid()
    tell(failure(quick.query, quick, "SELECT pg_sleep(3600)"))
    over = true
    print(pid() == before and "the same connection" or "another connection") -- the server was told, and has obeyed
    print(ticks >= 5 and "the loop ran" or "the loop stood")
    pcall(task.timeout, 0.1, function() for _ in db:rows("SELECT pg_sleep(3600)") do end end)
    local left
    repeat left = db:query("SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3600)%' AND state = 'active' AND pid <> pg_backend_pid()")[1].n until left == 0
    print(left)`);
  assert.match(lines[0], /^sql\ttimeout\tnil\ttrue\t.*did not end within 0\.3 s/);
  assert.deepEqual(lines.slice(1), ['the same connection', 'the loop ran', '0']);
});

test('a lost connection is told, and made again', options, async (t) => {
  const lines = await runs(t, `
    local other = sql.open(secret "DB_URL", { read_only = true })
    db:exec("CREATE TABLE lost(t text)")
    local function kill(pid) repeat other:query("SELECT pg_terminate_backend(?)", pid) until #other:query("SELECT 1 FROM pg_stat_activity WHERE pid = ?", pid) == 0 end
    kill(db:query("SELECT pg_backend_pid() AS pid")[1].pid)
    print(db:query("SELECT 1 AS idle")[1].idle)
    tell(failure(db.exec, db, "SELECT pg_terminate_backend(pg_backend_pid())"))
    print(db:query("SELECT 2 AS again")[1].again)
    tell(failure(db.transaction, db, function()
      db:exec("INSERT INTO lost VALUES('before')")
      kill(db:query("SELECT pg_backend_pid() AS pid")[1].pid)
      tell(failure(db.exec, db, "INSERT INTO lost VALUES('during')"))
      tell(failure(db.exec, db, "INSERT INTO lost VALUES('outside')"))
    end))
    print(db:query("SELECT count(*) AS n FROM lost")[1].n)`);
  assert.equal(lines[0], '1');
  assert.match(lines[1], /^sql\tconnection\t.*true/);
  assert.equal(lines[2], '2');
  assert.match(lines[3], /^sql\tconnection\t.*true/);
  assert.match(lines[4], /^sql\ttransaction\tnil\ttrue\t.*was rolled back/);
  assert.match(lines[5], /^sql\ttransaction/);
  assert.equal(lines[6], '0');
});

test('a server that crashes and comes back', options, async (t) => {
  const dir = project(t, { 'x.lua': `${HEAD}
    db:exec("CREATE TABLE crash(t text)")
    print("sleeps")
    tell(failure(db.query, db, "SELECT pg_sleep(3600)"))
    local why, ok
    repeat why = failure(db.query, db, "SELECT 1") until why.message:find("refused") or task.sleep(0.05)
    tell(why)
    repeat ok = pcall(db.exec, db, "INSERT INTO crash VALUES('again')") until ok or task.sleep(0.05)
    print("back", db:query("SELECT count(*) AS n FROM crash")[1].n)` });
  const p = start(t, ['run', '--sim', 'x.lua', '--allow-sql', pg.place()], { cwd: dir, env: { DB_URL: pg.url() } });
  await p.line(/sleeps/, 'out');
  await pg.down('SIGQUIT');
  await p.line(/refused/, 'out');
  await pg.up();
  await p.line(/back\t1/, 'out');
  assert.equal((await p.end()).code, 0, p.err);
  const lines = p.out.trim().split('\n');
  assert.match(lines[1], /^sql\tconnection\t.*true\t/);
  assert.match(lines[2], /^sql\tconnection\tnil\ttrue\t.*refused/);
});

test('only the servers and databases that are permitted, under no other name', options, async (t) => {
  const at = `127.0.0.1:${pg.port}`;
  const lines = await runs(t, `
    for _, url in ipairs { "postgres://x@${at}/template1", "postgres://x@localhost:${pg.port}/postgres", "postgres://x@127.0.0.1:1/postgres", "postgres://x@${at}/postgres?host=10.0.0.1",
      "postgres://x@${at}/postgres?dbname=template1", "postgres://x@${at}/postgres?hostaddr=10.0.0.1", "postgres://x@${at}/postgres?service=a", "postgres://x@${at}/postgres?options=-cx",
      "postgres://x@${at},10.0.0.1/postgres", "postgres:///postgres", "postgres://x@${at}", "postgres://x:pa%zz@${at}/postgres" } do
      local why = failure(sql.open, url)
      print(why.kind, why.message)
    end
    tell(failure(function() sql.open("postgres://tester:wrongpassword@${at}/postgres"):query("SELECT 1") end))`);
  for (const i of [0, 1, 2, 3, 4]) assert.match(lines[i], /^denied\t.*may not use postgres:\/\/[\w.]+:\d+\/\w+: permit it/, lines[i]);
  for (const i of [5, 6, 7]) assert.match(lines[i], /has the option "(hostaddr|service|options)", which scripts may not set/);
  for (const i of [8, 9]) assert.match(lines[i], /names no host, or several/);
  assert.match(lines[10], /names no database/);
  assert.match(lines[11], /cannot be read/);
  assert.doesNotMatch(lines[11], /pa%zz/);
  assert.match(lines[12], /^sql\tconnection\tnil\tfalse\t.*password authentication failed/);
  assert.doesNotMatch(lines[12], /wrongpassword/);
});

test('while serve loads there is no server; in a handler there is', options, async (t) => {
  const dir = project(t, {
    'hubloop.lua': `return { accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET" } }, permissions = { ["x.lua"] = { sql = { "${pg.place()}" } } } }`,
    'x.lua': `local db = sql.open(secret "DB_URL")
      local ok, why = pcall(db.query, db, "SELECT 1")
      serve("GET /", { auth = false }, function() return { json = { loading = tostring(why), now = db:query("SELECT 41 + 1 AS n")[1].n } } end)`,
  });
  const p = await serve(t, dir, { env: { DB_URL: pg.url() } });
  const answer = await (await fetch(`${p.url}/`)).json();
  assert.match(answer.loading, /not possible while the script loads/);
  assert.equal(answer.now, 42);
  assert.equal((await p.stop()).code, 0, p.err);
  assert.ok(!(p.err + p.out).includes(pg.password));
  assert.ok(fs.existsSync(path.join(dir, 'x.lua')));
});

test('a script that is killed in a transaction leaves nothing of it', options, async (t) => {
  const dir = project(t, { 'x.lua': `${HEAD}
    db:exec("CREATE TABLE IF NOT EXISTS killed(x text)")
    db:transaction(function() db:exec("INSERT INTO killed VALUES('in')") print("in") db:query("SELECT pg_sleep(3600)") end)` });
  for (const signal of ['SIGKILL', 'SIGTERM']) {
    const p = start(t, ['run', '--sim', 'x.lua', '--allow-sql', pg.place()], { cwd: dir, env: { DB_URL: pg.url() } });
    await p.line(/in/, 'out');
    await p.stop(signal);
  }
  assert.equal(pg.ask('SELECT count(*) FROM killed'), '0');
});

test('scripts/contacts_sql.lua with a table of the server', options, async (t) => {
  const script = fs.readFileSync(new URL('../../scripts/contacts_sql.lua', import.meta.url), 'utf8');
  const once = script.replace('sql.open "contacts.db"', 'sql.open(secret "DB_URL")').replace('id INTEGER PRIMARY KEY', 'id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY')
    .replace('changed TEXT', 'changed timestamptz').replace(/every\("10m".*?function\(\)\n/s, 'local function once()\n').replace(/end\)\s*$/, 'end\n');
  const dir = project(t, { 'x.lua': `${once}
    make_table()
    db:exec("INSERT INTO contact(email, first_name, phone, changed) VALUES('bo@example.com', 'Bo', '1', now()), ('no address', 'Bad', NULL, now())")
    local ann = require "hubspot".contacts.create { email = "ann@example.com", firstname = "Ann" }
    once() once()
    print(json.encode(db:query("SELECT email, first_name FROM contact ORDER BY email")))
    db:exec("UPDATE contact SET first_name = 'Anna', changed = now() WHERE email = 'ann@example.com'")
    once()
    print(require "hubspot".contacts.get(ann.id, { "firstname" }).firstname, contacts:run { progress = false }.updated)` });
  const r = await run(t, ['run', '--sim', 'x.lua', '--allow-sql', pg.place()], { cwd: dir, env: { DB_URL: pg.url() } });
  assert.equal(r.code, 0, r.err + r.out);
  const lines = r.out.trim().split('\n');
  assert.deepEqual(JSON.parse(lines[0]).map((row) => `${row.email} ${row.first_name}`), ['ann@example.com Ann', 'bo@example.com Bo', 'no address Bad']);
  assert.equal(lines[1], 'Anna\t0');
  assert.match(r.err, /is left alone: /);
});
