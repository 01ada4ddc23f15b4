// A store that cannot be written: the disk is full, has become read-only, belongs to
// another process, does not answer, or its writer crashes.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { ABORT, Client, FULL, HANG, READ_ONLY, SECRET, SEED, TOKEN, counter, faults, files, freePort, noShim, project, random, run, serve, sound, start, verify } from './lib.mjs';

const in_full = FULL ? test : () => {}; // the sample of make test is short

async function busy(t, { folder, env } = {}) {
  const told = await counter(t);
  const dir = project(t, files(told));
  const store = path.join(folder ?? dir, 'events.db');
  const port = await freePort();
  const again = (more = {}) => serve(t, dir, { store, port, env, ...more });
  const p = await again();
  const client = new Client(t, port, random(SEED), told);
  client.begin();
  await client.more(100);
  return { told, dir, store, port, p, client, again };
}

// While it cannot commit: 503 for the client, and no handler begins (SEMANTICS 12). A small
// commit may go well in between.
async function stands(p, client, told) {
  await p.line(/cannot commit, so nothing is dispatched/);
  const seen = () => ({ ran: told.total.ran, acknowledged: client.acknowledged.size });
  for (let n = 0; ; n++) {
    const commits = (await p.status()).engine.commits;
    await client.more(50, 'refused'); // what had begun has told so
    const before = seen();
    await client.more(50, 'refused');
    const after = seen();
    if ((await p.status()).engine.commits !== commits) { assert.ok(n < 100, 'it never stands still'); continue; }
    assert.deepEqual(after, before, 'something began or was acknowledged while the store could not commit');
    return;
  }
}

async function goesOn(p, client) {
  await p.settled((s) => !s.engine.stalled, 'a store that commits');
  assert.match(p.err, /commits again/);
  await client.more(100);
}

function tmpfs(t, size) {
  const folder = fs.mkdtempSync('/tmp/hubloop-disk-');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder], { stdio: 'pipe' });
  } catch (e) {
    fs.rmdirSync(folder);
    t.skip(`a small disk cannot be mounted here: ${String(e.stderr ?? e).trim()}`);
    return null;
  }
  t.after(() => { execFileSync('umount', ['-l', folder]); fs.rmdirSync(folder); });
  return folder;
}

test('the disk is full', { timeout: 120000 }, async (t) => {
  const folder = tmpfs(t, '24m');
  if (!folder) return;
  const { told, store, p, client } = await busy(t, { folder });
  const ballast = path.join(folder, 'ballast');
  const block = Buffer.alloc(4096);
  const fd = fs.openSync(ballast, 'w');
  const fill = () => { try { for (;;) fs.writeSync(fd, block); } catch (e) { assert.equal(e.code, 'ENOSPC'); } };
  const filling = setInterval(fill, 5); // what a checkpoint frees, too
  fill();
  await p.line(/the disk is full; free space/);
  await stands(p, client, told);
  clearInterval(filling);
  fs.closeSync(fd);
  fs.rmSync(ballast);
  await goesOn(p, client);
  const r = await verify(p, client, told, store);
  t.diagnostic(`note: ${r.acknowledged} events acknowledged around a full disk, ${client.refused} times 503`);
});

in_full('a full disk at the instant of a kill', { timeout: 120000 }, async (t) => {
  const folder = tmpfs(t, '24m');
  if (!folder) return;
  const { told, store, p, client, again, dir } = await busy(t, { folder });
  const ballast = path.join(folder, 'ballast');
  try { fs.writeFileSync(ballast, Buffer.alloc(32 << 20)); } catch (e) { assert.equal(e.code, 'ENOSPC'); }
  await client.more(5, 'refused');
  await p.stop('SIGKILL');
  sound(store);
  // It starts on a full disk or says why not; either way nothing is lost.
  const cut = start(t, ['serve', dir, '--store', store, '--listen', '127.0.0.1:0', '--admin', 'off'],
    { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET } });
  await cut.line(/the disk is full/);
  await cut.stop('SIGKILL');
  sound(store);
  fs.rmSync(ballast);
  const q = await again();
  await client.more(50);
  await verify(q, client, told, store);
});

test('files may grow no more', { timeout: 120000 }, async (t) => {
  const { told, store, p, client } = await busy(t);
  const child = Number(fs.readFileSync(`/proc/${p.pid}/task/${p.pid}/children`, 'utf8').trim().split(' ')[0]);
  const limit = (n) => execFileSync('prlimit', ['--pid', String(child), `--fsize=${n}:`]);
  limit(64 << 10);
  await stands(p, client, told);
  limit('unlimited');
  await goesOn(p, client);
  await verify(p, client, told, store);
});

test('the disk becomes read-only', { skip: noShim, timeout: 120000 }, async (t) => {
  const told = await counter(t);
  const dir = project(t, files(told));
  const f = faults(t, dir);
  const store = path.join(dir, 'events.db');
  const port = await freePort();
  let p = await serve(t, dir, { store, port, env: f.env });
  const client = new Client(t, port, random(SEED), told);
  client.begin();
  await client.more(100);
  f.set(READ_ONLY);
  await stands(p, client, told);
  assert.match(p.err, /store \S*events\.db: cannot \w+: .*Read-only file system/);
  await p.stop('SIGKILL');
  sound(store);
  const cut = await run(t, ['serve', dir, '--store', store, '--listen', '127.0.0.1:0', '--admin', 'off'],
    { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET, ...f.env } });
  assert.equal(cut.code, 1, cut.err);
  assert.match(cut.err, /^hubloop: store \S*events\.db: .*Read-only file system.*$/m);
  f.set(0);
  p = await serve(t, dir, { store, port, env: f.env });
  await client.more(100);
  await verify(p, client, told, store);
});

test('another process has the database', { timeout: 120000 }, async (t) => {
  const { told, dir, store, p, client, again } = await busy(t);
  await p.stop('SIGKILL');
  const other = spawn('sqlite3', [store], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => other.kill('SIGKILL'));
  other.stdin.write('BEGIN EXCLUSIVE;\nSELECT 1;\n');
  await new Promise((resolve) => { other.stdout.once('data', resolve); });
  const cut = await run(t, ['serve', dir, '--store', store, '--listen', '127.0.0.1:0', '--admin', 'off'],
    { cwd: dir, env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: SECRET } });
  assert.equal(cut.code, 1, cut.err);
  assert.match(cut.err, /^hubloop: store \S*events\.db: another process has it open; stop that hubloop, or give this one a store of its own$/m);
  other.stdin.end('COMMIT;\n');
  await new Promise((resolve) => { other.once('exit', resolve); });
  const q = await again();
  await client.more(50);
  // While it runs, others are kept out, and it does not notice.
  assert.throws(() => execFileSync('sqlite3', [store, 'DELETE FROM log'], { stdio: 'pipe' }), /locked/);
  await client.more(50);
  await verify(q, client, told, store);
});

test('the writer crashes in a commit', { skip: noShim, timeout: 120000 }, async (t) => {
  const told = await counter(t);
  const dir = project(t, files(told));
  const f = faults(t, dir);
  const store = path.join(dir, 'events.db');
  const port = await freePort();
  const rng = random(SEED);
  const admin = await freePort();
  const p = await serve(t, dir, { store, port, env: f.env, args: ['--admin', `127.0.0.1:${admin}`] });
  const client = new Client(t, port, rng, told);
  client.begin();
  for (let crash = 1; crash <= 3; crash++) {
    await client.more(100);
    f.set(ABORT, Math.floor(rng() * 20));
    await p.until(() => p.err.split('listening on http').length > crash + 1, `${crash} restarts`);
    assert.equal(f.mode(), 0);
  }
  await client.more(100);
  // What ran Lua at that instant is parked with the reason (SEMANTICS 45).
  const r = await verify(p, client, told, store, { dead: 3 });
  t.diagnostic(`note: ${r.acknowledged} events acknowledged over 3 crashes of the writer, ${r.dead} parked, ${r.cut} runs cut`);
});

in_full('the disk does not answer for a while', { skip: noShim, timeout: 120000 }, async (t) => {
  const told = await counter(t);
  const dir = project(t, files(told));
  const f = faults(t, dir);
  const store = path.join(dir, 'events.db');
  const port = await freePort();
  const p = await serve(t, dir, { store, port, env: f.env });
  const client = new Client(t, port, random(SEED), told);
  client.begin();
  await client.more(100);
  f.set(HANG);
  const before = (await p.status()).engine.commits;
  const ran = told.total.ran;
  for (let i = 0; i < 50; i++) await p.status(); // the loop goes on
  const s = await p.status();
  assert.ok(s.engine.commits <= before + 1, 'a commit while the disk hangs');
  assert.ok(told.total.ran <= ran + 40, 'handlers of what is not committed');
  f.set(0);
  await client.more(100);
  await verify(p, client, told, store);
});
