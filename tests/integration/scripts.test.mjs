// The scripts that ship, as people try them: the line in each one's header is run
// as it stands, and stands in the README's table; what the header says of scopes
// and webhooks is what `hubloop scopes` and `check` read out of the script.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PORTAL, deliver, event, poll, project, request, run, serve, sim } from './lib.mjs';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const SCRIPTS = path.join(ROOT, 'scripts');
const README = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');
const names = fs.readdirSync(SCRIPTS).filter((f) => f.endsWith('.lua') && !f.endsWith('_test.lua') && f !== 'hubloop.lua');

// Of the header: { Scopes, Webhooks, Try, … }, each its lines in one.
function header(text) {
  const out = {};
  let last;
  for (const line of text.split('\n')) {
    if (!line.startsWith('--')) break;
    const begins = line.match(/^-- ([A-Z]\w+) {2,}(.*)$/);
    if (begins) { [, last] = begins; out[last] = begins[2]; } else if (last && /^-- {8,}\S/.test(line)) out[last] += ` ${line.slice(2).trim()}`;
  }
  return out;
}

const scopes = (text) => text.replace(/\([^)]*\)/g, '').split(/[,;\s]+/).filter((w) => w && w !== 'none').sort();

for (const name of names) {
  test(`${name}: its header, its line in the README, and a try`, async (t) => {
    const text = fs.readFileSync(path.join(SCRIPTS, name), 'utf8');
    const said = header(text);
    for (const word of ['Scopes', 'Webhooks', 'Try', 'Change']) assert.ok(said[word], `the header has no ${word}`);
    const [command] = said.Try.split(/ {2,}/);
    assert.match(command, new RegExp(`^hubloop run ${name.replace('.', '\\.')} --sim .*--for \\d+[dh]`));
    assert.ok(README.includes(`\`${command}\``), `README.md has no \`${command}\``);
    const dir = project(t);
    fs.cpSync(SCRIPTS, dir, { recursive: true });
    const needs = await run(t, ['scopes', '--json', name], { cwd: dir });
    assert.equal(needs.code, 0, needs.err);
    assert.deepEqual(scopes(said.Scopes), JSON.parse(needs.out).scopes.map((s) => s.scope).sort());
    const checked = await run(t, ['check', name], { cwd: dir });
    assert.equal(checked.code, 0, checked.out + checked.err);
    const args = command.split(' ').slice(1);
    for (const [i, arg] of args.entries()) if (arg === '--allow-fs') fs.mkdirSync(path.join(dir, args[i + 1]), { recursive: true });
    const tried = await run(t, args, { cwd: dir });
    assert.equal(tried.code, 0, tried.err);
    assert.match(tried.err, / handled[^;]*; 0 runs failed, 0 events parked; .* 0 x 429\n$/);
    assert.doesNotMatch(tried.err, /, 0 handled; .*; 0 calls in /, 'it did nothing');
  });
}

test('serve: all of them at once are let in by an account that has what they name', async (t) => {
  const dir = project(t);
  fs.cpSync(SCRIPTS, dir, { recursive: true });
  for (const folder of ['reports', 'backups', 'duplicates', 'imports']) fs.mkdirSync(path.join(dir, folder), { recursive: true });
  const checked = await run(t, ['check', '--properties', '--sim'], { cwd: dir });
  assert.equal(checked.code, 0, checked.out + checked.err);
  const s = await sim(t, dir, ['--contacts', '50']);
  const p = await serve(t, dir, { store: path.join(dir, 'all.db'), env: { HUBSPOT_BASE_URL: s.url, SHOP_WEBHOOK_SECRET: crypto.randomUUID(), SHOP_TOKEN: crypto.randomUUID() } });
  // Events are handled from when the account has been asked.
  const lead = await s.control('create', { type: 'contacts', properties: { email: 'bo@nobody.example' } });
  assert.equal((await deliver(p.hook, [event({ objectId: Number(lead.id) })])).status, 204);
  const status = await p.settled((v) => v.engine.ran > 0, 'an event is handled');
  assert.deepEqual(status.halted, {}, p.err);
  assert.equal(status.engine.dead, 0, p.err);
  assert.equal((await p.stop()).code, 0, p.err);
});

test('ecommerce_orders.lua: what the shop has signed comes in, and nothing else', async (t) => {
  const dir = project(t, { 'hubloop.lua': `return { accounts = { main = { token = secret "HUBSPOT_TOKEN", client_secret = secret "HUBSPOT_CLIENT_SECRET", portal = ${PORTAL} } } }` });
  fs.copyFileSync(path.join(SCRIPTS, 'ecommerce_orders.lua'), path.join(dir, 'ecommerce_orders.lua'));
  const s = await sim(t, dir);
  const key = crypto.randomUUID();
  const p = await serve(t, dir, { env: { HUBSPOT_BASE_URL: s.url, SHOP_WEBHOOK_SECRET: key, SHOP_TOKEN: crypto.randomUUID() } });
  const order = (id) => JSON.stringify({ id, name: `#${id}`, updated_at: '2026-09-01T08:00:00Z', total_price: '12.50', financial_status: 'paid', customer: { email: 'ana@x.example' }, line_items: [{ id: 7, title: 'Lamp', quantity: 1, price: '12.50' }] });
  const post = async (body, signature) => (await request('POST', `${p.url}/shop/orders`, body, { 'Content-Type': 'application/json', ...(signature ? { 'X-Shopify-Hmac-Sha256': signature } : {}) })).status;
  const sign = (body, k = key) => crypto.createHmac('sha256', k).update(body).digest('base64');
  assert.equal(await post(order(1)), 401);
  assert.equal(await post(order(1), sign(order(1), 'another key')), 401);
  assert.equal(await post(order(2), sign(order(1))), 401);
  for (const bad of ['{"id":', '[]', '{"id":5}', '{"updated_at":"2026-09-01T08:00:00Z"}']) assert.equal(await post(bad, sign(bad)), 400);
  for (let i = 0; i < 2; i++) assert.equal(await post(order(5), sign(order(5))), 202);
  const deals = async () => (await s.control('list', { type: 'deals' })).results.map((d) => [d.properties.dealname, d.properties.dealstage]);
  await poll(async () => (await deals()).length > 0, 'the deal');
  await p.settled((x) => x.engine.ran >= 2, 'both orders');
  assert.deepEqual(await deals(), [['Order #5', 'closedwon']]);
  assert.equal((await s.control('list', { type: 'line_items' })).results.length, 1);
  assert.equal((await p.stop()).code, 0);
  assert.ok(!(p.err + p.out).includes(key));
});
