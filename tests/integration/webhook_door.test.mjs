// The door for HubSpot's webhooks, as HubSpot and those who are not HubSpot
// knock at it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { SECRET, deliver, event, project, raw, request, serve, signatures } from './lib.mjs';

const COUNT = `
on("contact.creation", function(e) kv.incr("n:" .. e.objectId) end)
on("contact.propertyChange", { property = "email" }, function(e) kv.incr("p:" .. e.propertyValue) end)
serve("GET /count", { auth = false }, function(request)
  return { json = { n = kv.get(request.query.key) or 0 } }
end)
`;

async function door(t, settings, options) {
  const dir = project(t, { 'count.lua': COUNT, ...(settings ? { 'hubloop.lua': settings } : {}) });
  const p = await serve(t, dir, options);
  p.dir = dir;
  p.count = async (key) => JSON.parse((await request('GET', `${p.url}/count?key=${encodeURIComponent(key)}`)).body).n;
  p.idle = (ran) => p.settled((s) => s.engine.pending === 0 && s.engine.running === 0 && s.engine.ran >= ran, `${ran} handled events`);
  return p;
}

const ACCEPT_V2 = `return {
  accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET" } },
  webhooks = { accept = { "v2" } },
}
`;

test('v1 and v3 are accepted and handled once; v2 only where the settings name it', async (t) => {
  const p = await door(t);
  const [a, b, c] = [event(), event(), event()];
  assert.equal((await deliver(p.hook, [a], { version: 'v3' })).status, 204);
  assert.equal((await deliver(p.hook, [b], { version: 'v1' })).status, 204);
  assert.equal((await deliver(p.hook, [c], { version: 'v2' })).status, 401);
  await p.idle(2);
  assert.equal(await p.count(`n:${a.objectId}`), 1);
  assert.equal(await p.count(`n:${b.objectId}`), 1);
  assert.equal(await p.count(`n:${c.objectId}`), 0);
  const q = await door(t, ACCEPT_V2);
  assert.equal((await deliver(q.hook, [c], { version: 'v2' })).status, 204);
});

test('forged, tampered, unsigned and old requests get 401, are counted, and leave nothing', async (t) => {
  const p = await door(t);
  const body = JSON.stringify([event()]);
  const cases = {
    unsigned: {},
    'other secret': signatures.v3('another secret', body, p.hook),
    'tampered body': signatures.v3(SECRET, body.replace('CRM', 'API'), p.hook),
    'other URI': signatures.v3(SECRET, body, `${p.hook}?x=1`),
    'other method': signatures.v3(SECRET, body, p.hook, 'PUT'),
    'six minutes old': signatures.v3(SECRET, body, p.hook, 'POST', Date.now() - 6 * 60000),
    'six minutes ahead': signatures.v3(SECRET, body, p.hook, 'POST', Date.now() + 6 * 60000),
    'no timestamp': { 'X-HubSpot-Signature-v3': signatures.v3(SECRET, body, p.hook)['X-HubSpot-Signature-v3'] },
    'wrong v3 beside a right v1': { ...signatures.v1(SECRET, body), ...signatures.v3('another secret', body, p.hook) },
    'v1 with an old event': null,
  };
  for (const [name, headers] of Object.entries(cases)) {
    const old = JSON.stringify([event({ occurredAt: Date.now() - 50 * 3600 * 1000 })]);
    const r = headers ? await deliver(p.hook, body, { headers }) : await deliver(p.hook, old, { version: 'v1' });
    assert.equal(r.status, 401, name);
    assert.ok(!r.body.includes(SECRET));
  }
  const s = await p.status();
  assert.equal(s.webhook.forged, Object.keys(cases).length);
  assert.equal(s.engine.acknowledged, 0);
});

test('the window of a v3 timestamp: just inside is accepted on both sides', async (t) => {
  const p = await door(t);
  for (const ago of [4.5, -4.5]) {
    const body = JSON.stringify([event()]);
    assert.equal((await deliver(p.hook, body, { headers: signatures.v3(SECRET, body, p.hook, 'POST', Date.now() - ago * 60000) })).status, 204);
  }
});

test('without a client secret nothing is accepted', async (t) => {
  const p = await door(t, null, { secret: null });
  const body = JSON.stringify([event()]);
  assert.equal((await deliver(p.hook, body)).status, 401);
  assert.equal((await deliver(p.hook, body, { headers: signatures.v3('', body, p.hook) })).status, 401);
  assert.match(p.err, /HUBSPOT_CLIENT_SECRET|client_secret/);
});

test('no JSON array: 400', async (t) => {
  const p = await door(t);
  for (const body of ['{"eventId":1}', '"text"', '[{"eventId":1}', 'nonsense', '', '[1,2,', 'null']) {
    const r = await deliver(p.hook, body);
    assert.equal(r.status, 400, `${body}: ${r.status}`);
  }
  const s = await p.status();
  assert.equal(s.engine.acknowledged, 0);
});

test('one malformed element is parked, the rest runs; an unknown type is kept', async (t) => {
  const p = await door(t);
  const good = event();
  const r = await deliver(p.hook, JSON.stringify([17, good, event({ subscriptionType: 'gadget.creation' })]));
  assert.equal(r.status, 204);
  const s = await p.settled((x) => x.engine.ran === 1 && x.engine.pending === 0, 'the good event handled');
  assert.equal(s.engine.dead, 1);
  assert.equal(s.engine.unhandled, 1);
  assert.equal(s.engine.acknowledged, 3);
  assert.equal(await p.count(`n:${good.objectId}`), 1);
});

test('the states add up to what was acknowledged', async (t) => {
  const p = await door(t);
  const twice = event();
  await deliver(p.hook, [twice, twice, event(), 'no event', event({ subscriptionType: 'deal.creation' }),
    event({ subscriptionType: 'contact.propertyChange', propertyName: 'phone', propertyValue: '1' })]);
  await deliver(p.hook, [twice]);
  const { engine: e } = await p.idle(2);
  const sum = e.pending + e.ran + e.filtered + e.duplicate + e.waiting + e.dead + e.unhandled + e.orphaned + e.own + e.debounced + e.removed;
  assert.equal(sum, e.acknowledged, JSON.stringify(e));
});

test('duplicates are handled once: in a body, in another body, concurrently, after a restart', async (t) => {
  const p = await door(t);
  const [a, b] = [event(), event()];
  assert.equal((await deliver(p.hook, [a, a])).status, 204);
  assert.equal((await deliver(p.hook, [{ ...a, attemptNumber: 1 }])).status, 204);
  const many = await Promise.all(Array.from({ length: 20 }, (_, i) => deliver(p.hook, [{ ...b, attemptNumber: i }])));
  assert.ok(many.every((r) => r.status === 204));
  await p.idle(2);
  assert.equal(await p.count(`n:${a.objectId}`), 1);
  assert.equal(await p.count(`n:${b.objectId}`), 1);
  assert.equal((await p.stop()).code, 0);
  const again = await serve(t, p.dir);
  const c = event();
  assert.equal((await deliver(again.hook, [a, b, c])).status, 204);
  await again.settled((s) => s.engine.pending === 0 && s.engine.ran >= 1, 'the new event handled');
  const n = async (e) => JSON.parse((await request('GET', `${again.url}/count?key=n:${e.objectId}`)).body).n;
  assert.deepEqual([await n(a), await n(b), await n(c)], [1, 1, 1]);
});

test('same eventId, other object: no duplicate', async (t) => {
  const p = await door(t);
  const a = event();
  const b = event({ eventId: a.eventId, occurredAt: a.occurredAt });
  assert.notEqual(a.objectId, b.objectId);
  await deliver(p.hook, [a, b]);
  await p.idle(2);
  assert.equal(await p.count(`n:${b.objectId}`), 1);
});

test('a property\'s changes reach the handler of that property only', async (t) => {
  const p = await door(t);
  const change = (propertyName, propertyValue) => event({ subscriptionType: 'contact.propertyChange', propertyName, propertyValue });
  await deliver(p.hook, [change('email', 'a'), change('phone', 'b'), change('email', 'a')]);
  await p.idle(2);
  assert.equal(await p.count('p:a'), 2);
  assert.equal(await p.count('p:b'), 0);
});

test('other methods and paths', async (t) => {
  const p = await door(t);
  assert.equal((await request('GET', p.hook)).status, 405);
  assert.equal((await request('POST', `${p.url}/elsewhere`, '[]')).status, 404);
});

test('keep-alive: many requests on one connection', async (t) => {
  const p = await door(t);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const sockets = new Set();
  const original = agent.createConnection;
  agent.createConnection = function connect(...args) { const s = original.apply(this, args); sockets.add(s); return s; };
  for (let i = 0; i < 20; i++) assert.equal((await deliver(p.hook, [event()], { agent })).status, 204);
  assert.equal(sockets.size, 1);
});

test('a body that is too large: 413', async (t) => {
  const p = await door(t);
  const got = await raw(p.port, `POST /hubspot HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${64 << 20}\r\n\r\n${'x'.repeat(5 << 20)}`);
  assert.match(got, /^HTTP\/1\.1 413 /);
  assert.equal((await deliver(p.hook, [event()])).status, 204, 'the server goes on');
});

test('headers that are too large: 431', async (t) => {
  const p = await door(t);
  const got = await raw(p.port, `GET /hubspot HTTP/1.1\r\nHost: x\r\nX-Much: ${'x'.repeat(100 * 1024)}\r\nConnection: close\r\n\r\n`);
  assert.match(got, /^HTTP\/1\.1 431 /);
});

test('what is not HTTP: 400, or the connection is closed', async (t) => {
  const p = await door(t);
  const bad = {
    'no Host': 'POST /hubspot HTTP/1.1\r\n\r\n',
    'a length that is no number': 'POST /hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n',
    'a header without a colon': 'POST /hubspot HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n',
    'no path': 'POST  HTTP/1.1\r\nHost: x\r\n\r\n',
  };
  for (const [name, text] of Object.entries(bad)) assert.match(await raw(p.port, text), /^HTTP\/1\.[01] 400 /, name);
  assert.doesNotMatch(await raw(p.port, 'GARBAGE\r\n\r\n', { end: true }), /^HTTP\/1\.[01] 2/);
  assert.equal((await deliver(p.hook, [event()])).status, 204, 'the server goes on');
});

// The deadline is ten seconds of real time; the test waits for the answer.
test('a slow sender: 408, although it is never silent', async (t) => {
  const p = await door(t);
  const got = await new Promise((resolve, reject) => {
    let text = '';
    const s = net.connect(p.port, '127.0.0.1', () => s.write('POST /hubspot HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n'));
    const drip = setInterval(() => s.write('x'), 500);
    s.setEncoding('latin1').on('data', (c) => { text += c; });
    s.on('close', () => { clearInterval(drip); resolve(text); });
    s.on('error', () => {});
    s.setTimeout(60000, () => { clearInterval(drip); reject(new Error('never ended')); });
    t.after(() => { clearInterval(drip); s.destroy(); });
  });
  assert.match(got, /^HTTP\/1\.1 408 /);
});

test('a peer that leaves before the answer does no harm', async (t) => {
  const p = await door(t);
  for (let i = 0; i < 20; i++) {
    const body = JSON.stringify([event()]);
    const head = Object.entries(signatures.v3(SECRET, body, p.hook)).map(([k, v]) => `${k}: ${v}\r\n`).join('');
    await new Promise((resolve) => {
      const s = net.connect(p.port, '127.0.0.1', () => {
        s.write(`POST /hubspot HTTP/1.1\r\nHost: 127.0.0.1:${p.port}\r\n${head}Content-Length: ${body.length}\r\n\r\n${body}`, () => s.destroy());
      });
      s.on('error', () => {});
      s.on('close', resolve);
    });
  }
  assert.equal((await deliver(p.hook, [event()])).status, 204);
  await p.settled((s) => s.engine.pending === 0 && s.engine.running === 0, 'an empty inbox');
});

test('rotation: two client secrets at once', async (t) => {
  const p = await door(t, `return {
  accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = { secret "HUBSPOT_CLIENT_SECRET", secret "OLD_SECRET" } } },
}
`, { env: { OLD_SECRET: 'the old one' } });
  assert.equal((await deliver(p.hook, [event()])).status, 204);
  assert.equal((await deliver(p.hook, [event()], { secret: 'the old one' })).status, 204);
  assert.equal((await deliver(p.hook, [event()], { secret: 'a third' })).status, 401);
});

test('behind a proxy the signed URI is the public one', async (t) => {
  const p = await door(t, `return {
  accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET" } },
  webhooks = { public_url = "https://hooks.example.com/in/hubspot" },
}
`);
  const body = JSON.stringify([event()]);
  const local = `${p.url}/in/hubspot`;
  assert.equal((await deliver(local, body, { headers: signatures.v3(SECRET, body, 'https://hooks.example.com/in/hubspot') })).status, 204);
  assert.equal((await deliver(local, body, { headers: signatures.v3(SECRET, body, local) })).status, 401);
});

test('an event of another portal is refused and counted', async (t) => {
  const p = await door(t, `return {
  accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET", portal = 62515 } },
}
`);
  await deliver(p.hook, [event({ portalId: 4711 })]);
  await deliver(p.hook, [event()]);
  const s = await p.settled((x) => x.engine.ran === 1 && x.engine.pending === 0, 'the own portal\'s event handled');
  assert.equal(s.webhook.foreign_portal, 1);
});
