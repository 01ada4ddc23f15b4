// hubloop check, as a person runs it.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TOKEN, project, run, sim } from './lib.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const FILES = {
  'leads.lua': `local hubspot = require "hubspot"
local crm = require "crm"
on("contact.creation", function(event)
  crm.note("é", event.objectId)
\tkv.gett("é")
end)
`,
  'lib/crm.lua': `local hubspot = require "hubspot"
local crm = {}
function crm.note(who, id) return hubspot.notes.create { hs_note_body = who .. id } end
return crm
`,
  'leads_test.lua': 'prnt "not a script of the project"',
};
const WARNING = 'hubspot.notes.create outside a step: it is made again when the handler is tried again; put it into step("…", function() … end)';

test('people get the line and a caret', async (t) => {
  const dir = project(t, FILES);
  const r = await run(t, ['check'], { cwd: dir });
  assert.equal(r.code, 3, r.err);
  assert.equal(r.out, `leads.lua:5: error: kv has no "gett"; did you mean "get"? [unknown-name]
   kv.gett("é")
      ^
lib/crm.lua:3: warning: ${WARNING} [write-outside-step]
  function crm.note(who, id) return hubspot.notes.create { hs_note_body = who .. id } end
                                                  ^
2 findings in 2 of 2 files
`);
});

test('JSON and SARIF', async (t) => {
  const dir = project(t, FILES);
  const json = await run(t, ['check', '--json'], { cwd: dir });
  assert.equal(json.code, 3);
  assert.deepEqual(JSON.parse(json.out), { files: 2, findings: [
    { rule: 'unknown-name', level: 'error', file: 'leads.lua', line: 5, column: 5, message: 'kv has no "gett"; did you mean "get"?' },
    { rule: 'write-outside-step', level: 'warning', file: 'lib/crm.lua', line: 3, column: 49, message: WARNING },
  ] });
  const sarif = await run(t, ['check', '--sarif'], { cwd: dir });
  assert.equal(sarif.code, 3);
  const log = JSON.parse(sarif.out);
  assert.equal(log.version, '2.1.0');
  const [one] = log.runs;
  const [first, second] = one.results;
  assert.equal(one.tool.driver.name, 'hubloop');
  assert.equal(one.tool.driver.rules[first.ruleIndex].id, 'unknown-name');
  assert.deepEqual(second, { ruleId: 'write-outside-step', ruleIndex: one.tool.driver.rules.findIndex((r) => r.id === 'write-outside-step'), level: 'warning', message: { text: WARNING },
    locations: [{ physicalLocation: { artifactLocation: { uri: 'lib/crm.lua' }, region: { startLine: 3, startColumn: 49 } } }] });
  const both = await run(t, ['check', '--json', '--sarif'], { cwd: dir });
  assert.equal(both.code, 2);
  assert.match(both.err, /--json and --sarif/);
});

test('a file that is no Lua hides nothing of the others', async (t) => {
  const dir = project(t, { 'a.lua': 'local x =\n  = 1\n', 'b.lua': '#!/usr/bin/env hubloop\nprnt(1)\n', 'c.lua': 'require "d"\n', 'lib/d.lua': 'x = = 1\n' });
  const r = await run(t, ['check', '.'], { cwd: dir });
  assert.equal(r.code, 3);
  assert.match(r.out, /^a\.lua:2: error: unexpected symbol near '=' \[syntax\]\n {4}= 1\n {4}\^\n/);
  assert.match(r.out, /^b\.lua:2: error: there is no global "prnt"; did you mean "print"\? \[unknown-global\]$/m);
  assert.match(r.out, /^lib\/d\.lua:1: error: unexpected symbol near '=' \[syntax\]$/m);
  assert.match(r.out, /3 findings in 3 of 4 files/);
});

test('odd files get an answer', async (t) => {
  const dir = project(t, {
    'bytes.lua': Buffer.from('local s = "\xff\xfe" prnt(s)\n', 'latin1'), 'binary.lua': Buffer.from([0, 1, 0xff, 0x80, 10, 0x27]),
    'deep.lua': `x = ${'{'.repeat(400)}${'}'.repeat(400)}\n`, 'long.lua': `local s = "${'x'.repeat(100000)}" prnt(s)\n`, 'empty.lua': '',
    'nul.lua': 'local s = "a\0b" prnt(s)\r\n',
  });
  const files = fs.readdirSync(dir).filter((f) => f.endsWith('.lua')).sort();
  const r = await run(t, ['check', ...files], { cwd: dir });
  assert.equal(r.code, 3, r.err);
  assert.match(r.out, /^bytes\.lua:1: error: there is no global "prnt".*\n {2}local s = "\?\?" prnt\(s\)\n {17}\^$/m);
  assert.match(r.out, /^binary\.lua:1: error: .*\[syntax\]$/m);
  assert.match(r.out, /^deep\.lua:1: error: .*overflow.*\[syntax\]$/m);
  assert.match(r.out, /^nul\.lua:1: error: there is no global "prnt"/m);
  for (const line of r.out.split('\n')) assert.ok(line.length < 200, line);
  const json = JSON.parse((await run(t, ['check', '--json', ...files], { cwd: dir })).out);
  assert.equal(json.findings.filter((f) => f.rule === 'unknown-global').length, 3);
  assert.equal(json.files, 6);
});

test('properties are held against the account, or the simulator', async (t) => {
  const dir = project(t, { 'x.lua': `local hubspot = require "hubspot"
local c = hubspot.contacts.get("1", { "email", "emial" })
hubspot.contacts.update("1", { lifecyclestage = "leed" })
hubspot.objects("p_nothing").get("1", { "x" })
` });
  const out = `x.lua:2: error: contacts have no property "emial" in this account; did you mean "email"? [property]
  local c = hubspot.contacts.get("1", { "email", "emial" })
                             ^
x.lua:3: error: "lifecyclestage" of contacts has no value "leed" in this account; did you mean "lead"? [property]
  hubspot.contacts.update("1", { lifecyclestage = "leed" })
                   ^
2 findings in 1 of 1 file
`;
  const notes = 'HubSpot knows no object type “p_nothing”; its properties were not looked at\n';
  const own = await run(t, ['check', 'x.lua', '--sim'], { cwd: dir });
  assert.deepEqual([own.code, own.out, own.err], [3, out, notes]);
  const s = await sim(t, dir);
  const { token } = await s.control('issue_token', { scopes: ['crm.objects.contacts.read', 'crm.schemas.custom.read'] });
  const env = { HUBSPOT_TOKEN: token, HUBSPOT_BASE_URL: s.url };
  const real = await run(t, ['check', 'x.lua', '--properties'], { cwd: dir, env });
  assert.deepEqual([real.code, real.out, real.err], [3, out, notes]);
  const settings = project(t, { 'x.lua': 'require "hubspot".contacts.get("1", { "emial" })\n',
    'hubloop.lua': 'return { accounts = { shop = { token = secret "A" }, main = { token = secret "B" } } }\n' });
  const named = await run(t, ['check', settings, '--account', 'shop'], { cwd: settings, env: { ...env, A: token, B: TOKEN } });
  assert.equal(named.code, 3, named.err);
  assert.match(named.out, /emial/);
  const unknown = await run(t, ['check', settings, '--account', 'shpo'], { cwd: settings, env: { ...env, A: token, B: TOKEN } });
  assert.notEqual(unknown.code, 0);
  assert.match(unknown.err, /shpo/);
  const refused = await run(t, ['check', 'x.lua', '--properties'], { cwd: dir, env: { ...env, HUBSPOT_TOKEN: TOKEN.replace(/.$/, 'x') } });
  assert.equal(refused.code, 1, refused.out);
  assert.match(refused.err, /^hubloop: the properties of \w+: .*401/m);
});

test('settings are looked at for secrets; what is not there is misuse', async (t) => {
  const dir = project(t, { 'x.lua': 'print(1)\n' });
  fs.writeFileSync(path.join(dir, 'hubloop.lua'), `return { scripts = { "x.lua" } } -- ${TOKEN}\n`);
  const r = await run(t, ['check'], { cwd: dir });
  assert.equal(r.code, 3);
  assert.match(r.out, /^hubloop\.lua:1: error: a HubSpot token in the text; .* \[secret\]$/m);
  const none = await run(t, ['check', 'nothing.lua'], { cwd: dir });
  assert.equal(none.code, 2);
  assert.match(none.err, /cannot read nothing\.lua; name a script or a project's folder/);
  assert.equal(none.out, '');
});

test('nothing is wrong in the shipped scripts, and each rule has its line in the help', async (t) => {
  const r = await run(t, ['check', path.join(root, 'scripts')]);
  assert.equal(r.code, 0, r.out);
  assert.match(r.out, /files, nothing found\n$/);
  const shipped = fs.readdirSync(path.join(root, 'scripts')).filter((f) => f.endsWith('.lua')).map((f) => path.join(root, 'scripts', f));
  const all = await run(t, ['check', ...shipped]);
  assert.equal(all.code, 0, all.out);
  const fits = await run(t, ['check', '--sim', path.join(root, 'scripts')]);
  assert.equal(fits.code, 0, fits.out);
  const help = fs.readFileSync(path.join(root, 'stdlib/help/check.md'), 'utf8');
  const rules = JSON.parse((await run(t, ['check', '--sarif', shipped[0]])).out).runs[0].tool.driver.rules;
  for (const { id } of rules) assert.match(help, new RegExp(`^ {4}${id} `, 'm'));
});
