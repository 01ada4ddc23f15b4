// sync as a person runs it: killed in the middle, large files in little memory, an API with a password, and many
// random interleavings of two-way runs (HL_LONG=1: 1,000 of them).
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { project, run, sim, start, TOKEN } from './lib.mjs';
import { Postgres, missing } from './postgres.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');

const csv = (n) => 'email,name\n' + Array.from({ length: n }, (_, i) => `p${i}@example.com,Person ${i}\n`).join('');

const LEADS = `
local sync = require "sync"
local m = sync.mapping("leads", { from = sync.csv("leads.csv"), to = sync.hubspot("contacts"), page = 100,
  fields = { { "email", key = true }, { from = "name", to = "lastname" } } })
print(json.encode(m:run()))`;

const point = (s) => ({ HUBSPOT_TOKEN: TOKEN, HUBSPOT_BASE_URL: s.url });

test('a run that is killed goes on, and makes nothing twice', async (t) => {
  const dir = project(t, { 'leads.csv': csv(1500), 'leads.lua': LEADS });
  const s = await sim(t, dir, ['--latency', '30']);
  const args = ['run', 'leads.lua', '--allow-fs', '.'];
  const count = async () => (await s.control('list', { type: 'contacts', limit: 1 })).total;
  for (const least of [200, 700]) {
    const p = start(t, args, { cwd: dir, env: point(s) });
    while (await count() < least && !p.ended) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(p.ended, undefined, p.err);
    await p.stop('SIGKILL');
  }
  const last = await run(t, args, { cwd: dir, env: point(s) });
  assert.equal(last.code, 0, last.err);
  const r = JSON.parse(last.out);
  assert.ok(r.read < 1000, `it began anew: ${r.read} rows`);
  assert.equal(await count(), 1500);
  const again = JSON.parse((await run(t, args, { cwd: dir, env: point(s) })).out);
  assert.deepEqual([again.read, again.created, again.updated, again.unchanged], [1500, 0, 0, 1500]);
});

test('100,000 rows of a file pass in little memory', async (t) => {
  const dir = project(t, {
    'leads.csv': csv(100000),
    'x.lua': `
      local sync = require "sync"
      local db = sql.open("out.db")
      db:exec("CREATE TABLE people(email TEXT PRIMARY KEY, name TEXT)")
      print(sync.mapping("x", { from = sync.csv("leads.csv"), to = sync.sql(db, "people"), fields = { { "email", key = true }, "name" } }):run().created)
      print("done") task.sleep("60s")`,
  });
  const p = start(t, ['run', '--sim', 'x.lua', '--allow-fs', '.', '--allow-sql', 'out.db'], { cwd: dir });
  await p.line(/done/, 'out');
  const peak = Number(fs.readFileSync(`/proc/${p.pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)[1]);
  assert.match(p.out, /^100000\n/);
  if (!process.env.ASAN_OPTIONS) assert.ok(peak < 60000, `${peak} kB at its peak`);
  assert.equal(p.err, '', 'progress is for terminals');
});

test('an API with a name and a password is read', async (t) => {
  const seen = [];
  const server = http.createServer((req, res) => {
    seen.push(req.headers.authorization);
    const page = Number(new URL(req.url, 'http://x').searchParams.get('page'));
    res.end(JSON.stringify(page <= 2 ? [{ id: page, email: `p${page}@example.com` }] : []));
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await new Promise((resolve) => { server.on('listening', resolve); });
  const host = `127.0.0.1:${server.address().port}`;
  const dir = project(t, {
    'x.lua': `
      local sync = require "sync"
      local m = sync.mapping("x", { from = sync.http { url = "http://${host}/people", paging = { by = "page", param = "page" },
        auth = { "ann", secret "SHOP_PASSWORD" } }, to = sync.hubspot("contacts"), fields = { { "email", key = true } } })
      print(m:run().created)`,
  });
  const r = await run(t, ['run', '--sim', 'x.lua', '--allow-host', host], { cwd: dir, env: { SHOP_PASSWORD: 'open sesame' } });
  assert.equal(r.code, 0, r.err);
  assert.equal(r.out, '2\n');
  assert.deepEqual([...new Set(seen)], [`Basic ${Buffer.from('ann:open sesame').toString('base64')}`]);
});

test('in a handler each page is stored when it is done, and a retry goes on behind it', async (t) => {
  const dir = project(t, {
    'x.lua': `
      local sync = require "sync"
      local m = sync.mapping("leads", { from = sync.csv("leads.csv"), to = sync.hubspot("contacts"), page = 10,
        fields = { { "email", key = true }, { from = "name", to = "lastname" } } })
      local write, page = m.def.right.write, 0
      m.def.right.write = function(ops)
        page = page + 1
        if page == 3 then error("the power failed", 0) end
        return write(ops)
      end
      on("go", function()
        local r = m:run()
        log.info(("read %d, created %d"):format(r.read, r.created))
      end)
      every("1h", function() emit("go", {}) end)`,
    'x_test.lua': `
      it("goes on", function()
        local rows = { "email,name" }
        for i = 1, 50 do rows[#rows + 1] = ("p%d@example.com,P%d"):format(i, i) end
        fs.write("leads.csv", table.concat(rows, "\\n"))
        sim.load("x.lua", { fs = { "." } })
        sim.advance("61m")
        sim.settle()
        expect(sim.log()).to.contain("read 30, created 30")
        expect(sim.control("list", { type = "contacts", limit = 1 }).total).to.equal(50)
        sim.advance("1h")
        sim.settle()
        expect(sim.log()).to.contain("read 50, created 0")
      end)`,
  });
  const r = await run(t, ['test', dir], { cwd: dir });
  assert.equal(r.code, 0, r.out + r.err);
});

// `hubloop test` runs 50 of them.
if (process.env.HL_LONG) {
  test('1,000 two-way syncs at random end with both sides equal', async (t) => {
    let equal = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const r = await run(t, ['test', path.join(root, 'stdlib/sync/random_test.lua'), '--seed', String(seed)], { cwd: root, ms: 300000 });
      assert.equal(r.code, 0, r.out);
      equal += 50;
    }
    t.diagnostic(`${equal} interleavings, both sides equal in each`);
    assert.equal(equal, 1000);
  });
}

test('a table of PostgreSQL is one side of a two-way sync', { skip: missing }, async (t) => {
  const pg = await Postgres.start();
  t.after(() => pg.remove());
  pg.ask(`CREATE TABLE people(id bigserial PRIMARY KEY, mail text UNIQUE, name text, size integer, born date, changed timestamptz NOT NULL DEFAULT now());
    CREATE FUNCTION touch() RETURNS trigger AS $$ BEGIN NEW.changed = now(); RETURN NEW; END $$ LANGUAGE plpgsql;
    CREATE TRIGGER touch BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touch();
    INSERT INTO people(mail, name, size, born) VALUES('bo@example.com', 'Bo', 3, '1990-02-03'), ('cy@example.com', 'Cy', 4, NULL)`);
  const dir = project(t, {
    'x.lua': `
      local sync, hubspot = require "sync", require "hubspot"
      local db = sql.open(secret "DB_URL")
      local m = sync.mapping("crm", { left = sync.hubspot("contacts"), right = sync.sql(db, "public.people", { id = "id", modified = "changed" }),
        deletes = "follow", page = 2, fields = { { left = "email", right = "mail", type = "email", key = true }, { left = "lastname", right = "name" },
          { left = "numemployees", right = "size", type = "integer" }, { left = "closedate", right = "born", type = "date" } } })
      hubspot.contacts.create { email = "ann@example.com", lastname = "Ann", numemployees = 12 }
      local function show(r)
        local out = {}
        for c in hubspot.contacts.list { "email", "lastname", "numemployees" } do
          out[#out + 1] = ("%s %s %s"):format(c.email, c.lastname, c.numemployees)
        end
        table.sort(out)
        print(r.created, r.updated, r.deleted, r.bad, table.concat(out, ", "))
      end
      show(m:run())
      show(m:run())
      db:exec("UPDATE people SET size = 30 WHERE mail = 'bo@example.com'")
      db:exec("DELETE FROM people WHERE mail = 'cy@example.com'")
      db:exec("INSERT INTO people(mail, name) SELECT 'p' || i || '@example.com', 'P' || i FROM generate_series(1, 5) AS i")
      local ann = hubspot.contacts.get("ann@example.com", { "email" }, { id_property = "email" })
      hubspot.contacts.update(ann.id, { lastname = "Anna", numemployees = json.null })
      local third = m:run()
      print(third.created, third.deleted)
      m:run { full = true }   -- HubSpot's search may not have shown the change of a moment ago
      show(m:run())
      local ok, why = pcall(m.run, sync.mapping("no", { left = sync.hubspot("contacts"), right = sync.sql(db, "public.people", { id = "id" }),
        fields = { { left = "email", right = "male", key = true } } }))
      print(why.message)`,
  });
  const r = await run(t, ['run', '--sim', 'x.lua', '--allow-sql', pg.place()], { cwd: dir, env: { DB_URL: pg.url() } });
  assert.equal(r.code, 0, r.err + r.out);
  assert.deepEqual(r.out.trim().split('\n'), [
    '3\t0\t0\t0\tann@example.com Ann 12, bo@example.com Bo 3, cy@example.com Cy 4',
    '0\t0\t0\t0\tann@example.com Ann 12, bo@example.com Bo 3, cy@example.com Cy 4',
    '5\t1',
    '0\t0\t0\t0\tann@example.com Anna nil, bo@example.com Bo 30, p1@example.com P1 nil, p2@example.com P2 nil, p3@example.com P3 nil, p4@example.com P4 nil, p5@example.com P5 nil',
    'sync no: the table public.people has no column "male"; did you mean "mail"?',
  ]);
  assert.equal(pg.ask("SELECT mail, name, size, born FROM people WHERE mail NOT LIKE 'p%' ORDER BY mail"), 'ann@example.com|Anna||\nbo@example.com|Bo|30|1990-02-03');
});
