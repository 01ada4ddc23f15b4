// Requests to other hosts inside a step: what becomes of them over kill -9.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { deliver, event, fake, fakeTcp, freePort, poll, project, run, serve } from './lib.mjs';

const files = (url, call) => ({
  'order.lua': `
on("contact.creation", { retries = 5 }, function(event)
  local n = step("order", function()
    local r = ${call(`"${url}/orders?contact=" .. event.objectId`)}
    return r.json().n
  end)
  log.info("ordered " .. n)
end)
on("hubloop.alert", function(alert) log.info("alarm: " .. alert.payload.kind) end)
`,
  'hubloop.lua': `return {
  permissions = { ["order.lua"] = { hosts = { "${url.slice('http://'.length)}" } } },
  accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET", portal = 62515 } },
}`,
});

// A host that takes orders, and answers the first one only when it is told to.
async function shop(t) {
  const waiting = [];
  const f = await fake(t, (r, res) => {
    const answer = () => res.end(JSON.stringify({ n: f.requests.length }));
    if (f.requests.length === 1) waiting.push(answer); else answer();
  });
  return Object.assign(f, { waiting });
}

async function killedOnTheWay(t, call) {
  const f = await shop(t);
  const dir = project(t, files(f.url, call));
  const p = await serve(t, dir);
  assert.equal((await deliver(p.hook, [event({ objectId: 11 })])).status, 204);
  await poll(() => f.requests.length === 1, 'the request');
  await p.stop('SIGKILL');
  return { f, dir, p: await serve(t, dir) };
}

test('a post that kill -9 has cut is not made again: a person is asked, and settles it', async (t) => {
  const { f, dir, p } = await killedOnTheWay(t, (url) => `http.post(${url}, { json = {} })`);
  await p.settled((s) => s.engine.dead === 1, 'a dead letter');
  await p.until(() => p.err.includes('alarm: uncertain_step'), 'the alert');
  const list = await run(t, ['events', 'list', '--state', 'uncertain', '--json'], { cwd: dir });
  assert.match(JSON.parse(list.out).error, /^uncertain: POST http:\/\/127\.0\.0\.1:\d+\/orders: an earlier attempt was ended while it made this request/);
  assert.equal(f.requests.length, 1);
  const again = await run(t, ['events', 'retry', '1.0', '--again'], { cwd: dir });
  assert.equal(again.code, 0, again.err);
  await p.settled((s) => s.engine.dead === 0 && s.engine.running === 0, 'nothing dead');
  await p.until(() => p.err.includes('ordered 2'), 'the order');
  assert.equal(f.requests.length, 2);
  assert.equal((await p.stop()).code, 0, p.err);
});

test('with idempotent = true it is made again', async (t) => {
  const { f, p } = await killedOnTheWay(t, (url) => `http.post(${url}, { idempotent = true })`);
  await p.until(() => p.err.includes('ordered 2'), 'the order');
  assert.equal(f.requests.length, 2);
  assert.equal((await p.stop()).code, 0, p.err);
});

test('one that nobody took is made again', async (t) => {
  const port = await freePort();
  const dir = project(t, files(`http://127.0.0.1:${port}`, (url) => `http.post(${url})`));
  const p = await serve(t, dir);
  assert.equal((await deliver(p.hook, [event({ objectId: 11 })])).status, 204);
  await p.until(() => p.err.includes('cannot connect to'), 'the first attempt');
  const f = await fake(t, (r, res) => res.end('{"n":1}'), port);
  await p.until(() => p.err.includes('ordered 1'), 'the order');
  assert.equal(f.requests.length, 1);
  assert.equal((await p.stop()).code, 0, p.err);
});

test('one that was cut before it left is made again: the host never ended its greeting', async (t) => {
  let connections = 0;
  const f = await fakeTcp(t, () => { connections++; });
  const made = files(f.url, (url) => `http.post(((${url}):gsub("^http:", "https:")))`);
  made['order.lua'] = made['order.lua'].replace('retries = 5', 'retries = 5, timeout = 0.2');
  const dir = project(t, made);
  const p = await serve(t, dir);
  assert.equal((await deliver(p.hook, [event({ objectId: 11 })])).status, 204);
  await poll(() => connections >= 3, 'three attempts');
  assert.doesNotMatch(p.err, /uncertain/);
  assert.equal((await p.stop()).code, 0, p.err);
});
