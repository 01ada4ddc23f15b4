// The simulator and virtual time: what a plane needs to hold.
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { HUBLOOP, ROUNDS, SECONDS, TOKEN, folder, here, line, load, median, project, round, rss, say, started, stopped } from './lib.mjs';

function simulator(args) {
  return started(HUBLOOP, ['sim', '--port', '0', '--tier', 'unlimited', ...args], /listening on http:\/\/127\.0\.0\.1:(\d+)/,
    { env: { HUBSPOT_TOKEN: TOKEN, HUBSPOT_CLIENT_SECRET: 'not used' } });
}

const FIRST = 100001; // the id of the first contact

export async function sim_reads() {
  const contacts = 10000;
  say(`# sim_reads: GET of one contact by id, ${contacts} contacts, 16 keep-alive connections, ${SECONDS} s, median of ${ROUNDS} rounds; the simulator has one thread`);
  const rates = [];
  const child = await simulator(['--contacts', String(contacts)]);
  for (let r = 0; r < ROUNDS; r++) {
    const x = await load(child.match[1], { secret: TOKEN, path: '/crm/objects/2026-09/contacts', first: FIRST, ids: contacts, connections: 16, requests: 40000 * SECONDS, seconds: SECONDS });
    if (x.refused || x.broken) say(`# sim_reads: ${x.refused} refused (first ${x.first_refusal}), ${x.broken} connections broken`);
    rates.push(x.requests_per_s);
  }
  await stopped(child);
  line('sim_reads', median(rates), 'reads/s', 'limit', 15000, median(rates) / 15000, '>=1');
}

export async function sim_memory() {
  const contacts = 100000;
  say(`# sim_memory: hubloop sim --contacts ${contacts}, once it listens`);
  const from = performance.now();
  const child = await simulator(['--contacts', String(contacts)]);
  const seconds = (performance.now() - from) / 1000;
  const bytes = rss(child.pid);
  await stopped(child);
  say(`# sim_memory: listening after ${round(seconds)} s`);
  line('sim_memory', bytes / 1e6, 'MB', 'limit', 400, bytes / 400e6, '<=1');
}

// User and system seconds of the children that have ended.
function children() {
  const f = fs.readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ');
  return (Number(f[13]) + Number(f[14])) / 100;
}

// A `hubloop test`: how long, on how much processor time, and what it printed.
function tested(args, cwd) {
  const from = performance.now();
  const cpu = children();
  const r = spawnSync(HUBLOOP, ['test', ...args], { cwd, encoding: 'utf8', maxBuffer: 1 << 26, env: { PATH: process.env.PATH, HOME: folder } });
  if (r.status !== 0) throw new Error(`hubloop test ${args.join(' ')}: ${r.stdout}${r.stderr}`);
  return { seconds: (performance.now() - from) / 1000, cpu: children() - cpu, text: r.stdout };
}

export async function test_scripts() {
  say(`# test_scripts: hubloop test scripts, median of ${ROUNDS}`);
  const runs = Array.from({ length: ROUNDS }, () => tested(['--quiet', 'scripts'], path.join(here, '../..')).seconds);
  line('test_scripts', median(runs), 's', 'limit', 3, median(runs) / 3, '<=1');
}

const PROPERTIES = ['city', 'zip', 'address', 'phone', 'mobilephone', 'state', 'company', 'website', 'firstname', 'lastname'];
const SCRIPT = (property) => `
local hubspot = require "hubspot"
on("contact.propertyChange", { property = "${property}", concurrency = 50 }, function(event)
  local c = hubspot.contacts.get(event.objectId, { "email", "jobtitle" })
  hubspot.contacts.update(c.id, { jobtitle = "${property} " .. event.propertyValue })
  if event.propertyValue:sub(-2) == "77" then log.info(event.propertyValue .. " " .. (c.email or "no e-mail")) end
end)
`;
const MONTH = (events) => `
local PROPERTIES = { "${PROPERTIES.join('", "')}" }
it("a month", function()
  sim.start{ contacts = 2000, owners = 12, tier = "enterprise" }
  for _, name in ipairs(PROPERTIES) do sim.load(name .. ".lua") end
  local n, minutes = 0, 30 * 24 * 60
  for minute = 1, minutes do
    while n < ${events} * minute // minutes do
      n = n + 1
      sim.trigger("contact.propertyChange", { objectId = ${FIRST} + math.random(0, 1999), propertyName = PROPERTIES[n % 10 + 1], propertyValue = "v" .. n })
    end
    sim.advance("1m")
  end
  sim.settle()
  local e = sim.events()
  print(("MONTH %d events, %d ran, %d dead"):format(n, e.ran, e.dead))
  print(sim.log())
end)
`;

export async function virtual_month() {
  const events = Number(process.env.EVENTS ?? 1000000);
  say(`# virtual_month: 10 scripts, ${events} events over 30 virtual days, a get and an update for each (${2 * events} calls through the limits of an enterprise account), twice with one seed; processor time of the first run`);
  const files = Object.fromEntries(PROPERTIES.map((p) => [`${p}.lua`, SCRIPT(p)]));
  const dir = project('month', { ...files, 'month_test.lua': MONTH(events) });
  const runs = [0, 1].map(() => tested(['--seed', '7', 'month_test.lua'], dir));
  const logs = runs.map((r) => crypto.createHash('sha256').update(r.text).digest('hex'));
  say(`# virtual_month: ${/MONTH (.*)/.exec(runs[0].text)[1]}; wall ${round(runs[0].seconds)} s; the log of the second run is ${logs[0] === logs[1] ? 'the same' : 'ANOTHER ONE'}`);
  const limit = 60 * events / 1000000;
  line('virtual_month', runs[0].cpu, 's', 'limit', limit, runs[0].cpu / limit, '<=1');
}
