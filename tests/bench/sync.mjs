// A file of a million rows into a table, and once more when nothing has changed: how much memory at its peak, how fast.
import fs from 'node:fs';
import path from 'node:path';
import { HUBLOOP, line, project, round, say, started, stopped } from './lib.mjs';

const ROWS = 1e6;

function file(name) {
  const out = fs.openSync(name, 'w');
  fs.writeSync(out, 'E-Mail,Name,Company,Employees\n');
  for (let at = 0; at < ROWS; at += 10000) {
    fs.writeSync(out, Array.from({ length: 10000 }, (_, i) => `person${at + i}@example.com,Person ${at + i},"Company, ${(at + i) % 5000}",${(at + i) % 900}\n`).join(''));
  }
  fs.closeSync(out);
}

const script = `
local sync = require "sync"
local db = sql.open("out.db")
db:exec("CREATE TABLE IF NOT EXISTS people(id INTEGER PRIMARY KEY, mail TEXT UNIQUE, name TEXT, company TEXT, size INTEGER)")
local m = sync.mapping("million", { from = sync.csv("leads.csv"), to = sync.sql(db, "people"), fields = {
  { from = "E-Mail", to = "mail", type = "email", key = true }, { from = "Name", to = "name" }, { from = "Company", to = "company" },
  { from = "Employees", to = "size", type = "integer" } } })
local began = time.now()
local r = m:run()
print("done " .. time.now() - began .. " " .. r.created .. " " .. r.unchanged)
task.sleep("10m")`;

async function pass(dir) {
  const child = await started(HUBLOOP, ['run', '--sim', 'million.lua', '--allow-fs', '.', '--allow-sql', 'out.db'], /done (\d+) (\d+) (\d+)/, { cwd: dir });
  const peak = Number(fs.readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)[1]) / 1000;
  await stopped(child, 'SIGKILL');
  const [ms, created, unchanged] = child.match.slice(1).map(Number);
  return { ms, created, unchanged, peak };
}

export async function sync_million() {
  const dir = project('million', { 'million.lua': script });
  file(path.join(dir, 'leads.csv'));
  say(`# sync_million: ${ROWS} CSV rows (${round(fs.statSync(path.join(dir, 'leads.csv')).size / 1e6)} MB) into a SQLite table of 4 columns, pages of 500; then the same file again`);
  const first = await pass(dir);
  const second = await pass(dir);
  say(`# sync_million: ${first.created} created at ${round(ROWS / first.ms * 1000)} rows/s, then ${second.unchanged} unchanged at ${round(ROWS / second.ms * 1000)} rows/s`);
  if (first.created !== ROWS || second.unchanged !== ROWS) throw new Error(`sync_million: ${JSON.stringify([first, second])}`);
  const peak = Math.max(first.peak, second.peak);
  line('sync_million', peak, 'MB', 'limit', 100, peak / 100, '<=1');
}
