// `hubloop auth login` with the browser that people have: Chromium, headless,
// opened as xdg-open opens one, clicks its way through the simulator's consent
// page and back to the callback; then scripts run with the account. And a report's
// page: it draws its charts, and wants nothing from anywhere.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { project, run, sim, start } from '../integration/lib.mjs';

const APP = 'app-of-the-test';
const APP_SECRET = crypto.randomUUID();
const SCOPES = 'oauth crm.objects.contacts.read';
const whoami = 'local hubspot = require "hubspot"\nprint("portal " .. hubspot.request{ method = "GET", path = "/account-info/{version}/details" }.portalId)\n';

async function open(t) {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((p) => fs.existsSync(p));
  assert.ok(executablePath, 'chromium is missing: sh tests/setup.sh test installs it');
  const browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  t.after(() => browser.close());
  return browser.newPage();
}

// xdg-open is ours: what it is told to open, the test's browser opens.
function login(t, dir, s, args = []) {
  const bin = path.join(dir, 'bin');
  const note = path.join(dir, 'opened');
  fs.mkdirSync(bin, { recursive: true });
  fs.writeFileSync(path.join(bin, 'xdg-open'), `#!/bin/sh\nenv >'${note}.env'\nprintf '%s' "$1" >'${note}.part'\nmv '${note}.part' '${note}'\n`, { mode: 0o755 });
  const p = start(t, ['auth', 'login', 'shop', '--client-id', APP, '--scopes', SCOPES, '--port', '0', '--env', 'APP_SECRET', ...args],
    { cwd: dir, env: { PATH: `${bin}:/usr/bin:/bin`, DISPLAY: ':99', HUBSPOT_BASE_URL: s.url, APP_SECRET } });
  p.opened = async () => {
    await p.line(/Your browser opens this page/);
    while (!fs.existsSync(note)) await new Promise((resolve) => { setTimeout(resolve, 10); });
    return fs.readFileSync(note, 'utf8');
  };
  p.environment = () => fs.readFileSync(`${note}.env`, 'utf8');
  return p;
}

test('a person connects an account, refuses once, and scripts go on past the token\'s end', async (t) => {
  const dir = project(t, { 'who.lua': whoami });
  const s = await sim(t, dir, ['--contacts', '3', '--oauth-app', APP, '--oauth-scopes', SCOPES,
    '--oauth-expires', '2', '--oauth-rotate', 'now'], { env: { HUBSPOT_APP_SECRET: APP_SECRET } });
  const page = await open(t);

  const no = login(t, dir, s);
  await page.goto(await no.opened());
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('heading', { name: 'Not connected' }).waitFor();
  assert.equal((await no.end()).code, 1);
  assert.match(no.err, /consent was not given/);
  fs.rmSync(path.join(dir, 'opened'));

  const yes = login(t, dir, s);
  const url = await yes.opened();
  assert.ok(!url.includes(APP_SECRET));
  assert.ok(!yes.environment().includes(APP_SECRET), 'the browser got the secret in its environment');
  await page.goto(url);
  for (const scope of SCOPES.split(' ')) await page.getByText(scope, { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Connect app' }).click();
  await page.getByRole('heading', { name: 'Connected' }).waitFor();
  assert.match(page.url(), /^http:\/\/localhost:\d+\/callback\?code=/);
  const ended = await yes.end();
  assert.equal(ended.code, 0, yes.err);
  assert.match(yes.out, /^connected shop: oauth of portal 62515/);

  const tested = await run(t, ['auth', 'test', 'shop'], { cwd: dir });
  assert.equal(tested.code, 0, tested.err);
  assert.match(tested.out, /portal 62515/);
  for (let i = 0; i < 3; i++) {
    const ran = await run(t, ['run', 'who.lua'], { cwd: dir });
    assert.equal(ran.code, 0, ran.err);
    assert.equal(ran.out, 'portal 62515\n');
    await new Promise((resolve) => { setTimeout(resolve, 1100); }); // the access token lives 2 s
  }
  // The answer of a login is good once.
  const late = await page.goto(page.url()).catch((e) => e);
  assert.match(String(late), /ERR_CONNECTION_REFUSED/);
});

test('a report opens as a page: charts and tables, no script, nothing from elsewhere', async (t) => {
  const dir = project(t, { 'deals.lua': `
    local hubspot, report = require "hubspot", require "report"
    local deals = hubspot.deals.list { properties = { "dealstage", "amount", "createdate", "closedate" } }
    local stages, months, funnel, cohorts = report.read(deals, report.group { by = "dealstage", report.count("Deals"), report.sum("amount", "Sum") },
      report.group { by = report.period("createdate", "month"), report.count("Deals") },
      report.funnel { stages = { "appointmentscheduled", "contractsent", "closedwon" }, at = "dealstage" },
      report.cohorts { from = "createdate", to = "closedate", period = "month", periods = 6 })
    fs.write("page.html", report.page { title = "<b>Deals</b>", stages:section { chart = "bar", value = "Deals", title = "Stages" },
      months:section { chart = "line", value = "Deals", title = "Months" }, funnel:section { chart = "funnel", title = "Funnel" },
      cohorts:section { chart = "heat", title = "Cohorts" } })` });
  const r = await run(t, ['run', 'deals.lua', '--sim', '--contacts', '400', '--allow-fs', '.'], { cwd: dir });
  assert.equal(r.code, 0, r.err);
  const page = await open(t), asked = [], wrong = [];
  page.on('request', (q) => asked.push(q.url()));
  page.on('console', (m) => wrong.push(m.text()));
  page.on('pageerror', (e) => wrong.push(e.message));
  const url = `file://${path.join(dir, 'page.html')}`;
  await page.goto(url);
  assert.deepEqual([asked, wrong], [[url], []]);
  assert.equal(await page.title(), '<b>Deals</b>');
  const bars = await page.locator('svg rect').evaluateAll((all) => all.map((b) => b.getBoundingClientRect().width));
  assert.ok(bars.length >= 5 && bars.every((w) => w > 0), `${bars}`);
  assert.ok(await page.getByText('closedwon').first().isVisible());
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, 'it is wider than the window');
  if (process.env.HL_SHOT) await page.screenshot({ path: process.env.HL_SHOT.replace(".png", "-wide.png"), fullPage: true });
  await page.setViewportSize({ width: 380, height: 800 });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, 'it is wider than a telephone');
  if (process.env.HL_SHOT) await page.screenshot({ path: process.env.HL_SHOT, fullPage: true }); // to look at
});
