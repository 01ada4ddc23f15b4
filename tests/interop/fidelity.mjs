// How much of HubSpot's API the simulator is: every operation of the OpenAPI documents is called as a client
// would, in a scenario that builds on what came before, and each request and answer is held against its schema.
//
//   node fidelity.mjs [--summary] [--json]
//
// An operation is
//   validated    it succeeded with the status that its document has, with a body that is not empty where there is
//                one, erred (4xx) when asked wrongly, and no answer broke its schema or the scenario's expectation
//   implemented  it succeeded, but something of that is amiss: the line says what
//   missing      it was called and did not succeed
//   not called   no scenario calls it: nothing is known
// Nothing else counts. Older versions of the paths (2026-03, v3, v4), where HubSpot publishes them, are gone through in
// the same way and counted apart, and so are the typed calls of HubSpot's own client. What no scenario calls is tried
// once: it must answer 501 and name the operation.
//
// The scenarios are the data in fidelity/*.mjs. `flows`: [{ name, calls: [[method, path, call], …] }], one account for
// all, in the order of the files; {v} in a path is the version. A call has, all optional,
//   query body form auth   what is sent; auth: a token, or null for none; a body that is text is sent as it is
//   status legacy          what must come, unless the document's success; legacy: the success of v3 and v4
//   is                     what the answer must hold: path -> value, pattern, or function
//   save                   name -> path in the answer, for "$name" (and "$name:number") in later calls
//   until only             asked again until it fits; in this version alone
// SIM calls a control function of the simulator. `typed`: [method of the client, arguments, { save, is, code, until }].
import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import crypto from 'node:crypto';
import { Documents, datedPath, documentsFolder, legacyPaths, readRecord } from './openapi.mjs';
import { example } from './example.mjs';
import { TOKEN, request, sim } from '../integration/lib.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

// The documents whose operations the percentage is of; the others are listed after them.
export const NAMED = ['crm-objects', 'crm-contacts', 'crm-companies', 'crm-deals', 'crm-tickets', 'crm-leads', 'crm-products',
  'crm-line-items', 'crm-notes', 'crm-tasks', 'crm-associations', 'crm-associations-schema', 'crm-properties', 'crm-pipelines',
  'crm-owners', 'crm-lists', 'oauth', 'webhooks', 'webhooks-journal'];

const VERSION = '2026-09';
const APP = { id: 'fidelity-app', secret: crypto.randomUUID() };
const DEVELOPER_KEY = crypto.randomUUID();
const PATIENCE = 5000;

// ---- scenarios ----

export async function loadScenarios() {
  const folder = path.join(here, 'fidelity');
  const files = fs.readdirSync(folder).filter((f) => f.endsWith('.mjs')).sort();
  const loaded = await Promise.all(files.map((f) => import(path.join(folder, f))));
  return { flows: loaded.flatMap((m) => m.flows ?? []), typed: loaded.flatMap((m) => m.typed ?? []) };
}

// What calls can name before anything is saved.
export const known = () => ({ portal: 62515, app: APP.id, secret: APP.secret, token: TOKEN });

export const at = (value, where) => where.split('.').filter(Boolean).reduce((v, k) => v?.[k], value);

// "$id" is what was saved under that name, with its type when it stands alone; "$id:number" is it as a number.
export function fill(value, vars) {
  if (typeof value === 'string') {
    const alone = /^\$(\w+)(:number)?$/.exec(value);
    if (alone) return alone[2] ? Number(vars[alone[1]]) : vars[alone[1]];
    return value.replace(/\$(\w+)/g, (_, name) => vars[name]);
  }
  if (Array.isArray(value)) return value.map((v) => fill(v, vars));
  if (value?.constructor === Object) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fill(v, vars)]));
  return value;
}

function unmet(is, body, vars) {
  for (const [where, given] of Object.entries(is ?? {})) {
    const wanted = given instanceof RegExp || typeof given === 'function' ? given : fill(given, vars);
    const has = at(body, where);
    const fits = wanted instanceof RegExp ? wanted.test(String(has)) : typeof wanted === 'function' ? wanted(has, vars) : isDeepStrictEqual(has, wanted);
    if (!fits) return `${where} is ${JSON.stringify(has)?.slice(0, 120)}, expected ${typeof wanted === 'function' ? 'otherwise' : String(wanted?.source ?? JSON.stringify(wanted))}`;
  }
  return null;
}

// ---- the operations ----

const mainStatus = (op) => Number(Object.keys(op.responses).filter((c) => /^2/.test(c) && c !== '207').sort()[0] ?? 200);

// What only wraps content.
const ENVELOPE = new Set(['status', 'startedAt', 'completedAt', 'requestedAt', 'total', 'offset', 'hasMore']);

// Whether a body has content: an item in some list that its schema requires, or a required member that is no list.
function content(schema, body) {
  if (Array.isArray(body)) return body.length > 0;
  const members = Object.entries(schema.properties ?? {}).filter(([n]) => (schema.required ?? []).includes(n) && !ENVELOPE.has(n));
  if (members.length === 0) return Object.keys(body ?? {}).length > 0;
  return members.some(([n, m]) => (m.type === 'array' ? body?.[n]?.length > 0 : body?.[n] !== undefined));
}

class Operation {
  constructor(o) {
    this.file = o.file.replace(/\.json$/, '');
    this.method = o.method;
    this.template = o.template;
    this.name = o.op.summary ?? '';
    this.status = mainStatus(o.op);
    const answer = Object.values(o.op.responses[this.status]?.content ?? {})[0]?.schema;
    const named = answer?.$ref && o.doc.components.schemas[answer.$ref.split('/').pop()];
    this.schema = /BatchResponseVoid$/.test(answer?.$ref ?? '') ? null : named ?? answer ?? null;
    this.calls = 0;
    this.wrong = [];     // what broke a schema or an expectation
    this.failed = [];    // calls that should have succeeded
    this.also = {};      // other versions of its path: false after a failure
  }

  get state() {
    if (this.calls === 0) return 'not called';
    if (!this.worked) return 'missing';
    return this.why ? 'implemented' : 'validated';
  }

  get why() {
    if (this.calls === 0) return 'no scenario calls it';
    if (!this.worked) return this.failed[0] ?? 'was called with wrong requests only';
    if (this.wrong.length || this.failed.length) return [...this.wrong, ...this.failed][0];
    if (this.schema && !this.told) return 'no answer with content';
    if (!this.erred) return 'no call that errs';
    return '';
  }
}

// ---- calling ----

class Run {
  constructor(report, server, version) {
    Object.assign(this, { report, server, version });
    this.agent = new http.Agent({ keepAlive: true });
    this.vars = known();
  }

  // The path in this version, when it is published; the documents' own version always is.
  path(method, template) {
    const filled = (p) => fill(p, this.vars).replace(/[^/]+/g, (s) => encodeURIComponent(decodeURIComponent(s)));
    if (this.version === VERSION) return filled(template.replace('{v}', VERSION));
    if (!template.includes('{v}')) return null;
    const forms = this.version === 'legacy' ? legacyPaths(template.replace('{v}', VERSION)) : [template.replace('{v}', this.version)];
    return forms.map(filled).find((p) => this.report.endpoints.has(method, p)) ?? null;
  }

  async send(method, target, call) {
    const headers = {};
    if (call.auth !== null) headers.Authorization = `Bearer ${fill(call.auth ?? '$token', this.vars)}`;
    let body = '';
    if (call.form) {
      headers['Content-Type'] = 'application/x-www-form-urlencoded';
      body = new URLSearchParams(fill(call.form, this.vars)).toString();
    } else if (call.body !== undefined) {
      headers['Content-Type'] = 'application/json';
      body = typeof call.body === 'string' && !call.body.startsWith('$') ? call.body : JSON.stringify(fill(call.body, this.vars));
    }
    const r = await request(method, this.server.url + target, body, headers, { agent: this.agent });
    let value;
    try { value = r.body === '' ? undefined : JSON.parse(r.body); } catch { value = r.body; }
    return { status: r.status, body: value, text: r.body, sent: call.form ? '' : body };
  }

  async call([method, template, call = {}]) {
    if (method === 'SIM') {
      const result = await this.server.control(template, fill(call.body ?? {}, this.vars));
      for (const [name, where] of Object.entries(call.save ?? {})) this.vars[name] = at(result, where);
      return result;
    }
    const filled = call.only && call.only !== this.version ? null : this.path(method, template);
    if (!filled) return null;
    const query = call.query ? new URLSearchParams(fill(call.query, this.vars)).toString() : '';
    const described = this.version === '2026-03' ? filled.replace('2026-03', VERSION) : datedPath(filled);
    const operation = this.report.of(method, described);
    const legacy = this.version === 'legacy';
    const expected = (legacy && call.legacy) || call.status || operation?.status || 200;
    let answer, amiss;
    const end = Date.now() + (call.until ? PATIENCE : 0);
    for (;;) {
      answer = await this.send(method, filled + (query && `?${query}`), call);
      amiss = answer.status !== expected ? `answered ${answer.status} ${answer.body?.message ?? ''}`.trim() : unmet(call.is, answer.body, this.vars);
      if (!amiss || Date.now() > end) break;
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    for (const [name, where] of Object.entries(call.save ?? {})) this.vars[name] = at(answer.body, where);
    if (operation) this.judge(operation, { method, path: filled, described, query, call, expected, answer, amiss });
    else this.report.strays.push(`${method} ${filled}: no document has it`);
    return answer;
  }

  judge(operation, { method, path: target, described: at_, query, call, expected, answer, amiss }) {
    const label = `${method} ${target}${query && `?${query}`}`;
    const other = this.version !== VERSION;
    const described = this.report.documents.validate({
      method, path: this.version === 'legacy' ? target : at_, query, status: answer.status, requestBody: answer.sent, responseBody: answer.text,
    }).errors;
    const well = !amiss && described.length === 0;
    for (const e of described) this.report.invalid.push(`${label} ${answer.status}: ${e}`);
    this.report.exchanges++;
    if (other) {
      const key = this.version === 'legacy' ? 'legacy' : this.version;
      if (expected < 400) operation.also[key] = (operation.also[key] ?? true) && well;
      else if (!well) operation.also[key] = false;
      if (!well) this.report.others.push(`${label}: ${amiss ?? described[0]}`);
      return;
    }
    operation.calls++;
    if (expected >= 400) {
      if (well) operation.erred = true;
    } else if (answer.status === expected) {
      operation.worked = true;
      if (operation.schema && content(operation.schema, answer.body)) operation.told = true;
    } else {
      operation.failed.push(`${label} ${amiss}`);
      return;
    }
    if (amiss) operation.wrong.push(`${label} ${amiss}`);
    for (const e of described) operation.wrong.push(`${label} ${answer.status}: ${e}`);
  }

  close() { this.agent.destroy(); }
}

// The published paths of all versions, by method and length.
class Endpoints {
  constructor(folder) {
    this.rows = new Map();
    for (const line of fs.readFileSync(path.join(folder, '../endpoints.tsv'), 'utf8').trim().split('\n').slice(1)) {
      const [, , method, p] = line.split('\t');
      const parts = p.split('/').filter(Boolean);
      const key = `${method} ${parts.length}`;
      if (!this.rows.has(key)) this.rows.set(key, []);
      this.rows.get(key).push(parts);
    }
  }

  has(method, p) {
    const parts = p.split('/').filter(Boolean);
    return (this.rows.get(`${method} ${parts.length}`) ?? []).some((row) => row.every((s, i) => s === parts[i] || s.startsWith('{')));
  }
}

// ---- the official client ----

const { Client } = createRequire(import.meta.url)('@hubspot/api-client');

// Which typed calls the client has, below the roots that scenarios use: "crm.lists.listsApi" -> names.
function typedApis(client, roots) {
  const out = new Map();
  const seen = new Set();
  const walk = (o, where, depth) => {
    if (!o || typeof o !== 'object' || seen.has(o) || depth > 5) return;
    seen.add(o);
    const proto = Object.getPrototypeOf(o);
    const own = Object.entries(Object.getOwnPropertyDescriptors(proto ?? {}));
    if (/Api$/.test(where)) {
      out.set(where, own.filter(([n, d]) => typeof d.value === 'function' && n !== 'constructor' && !n.endsWith('WithHttpInfo')).map(([n]) => n));
      return;
    }
    for (const n of [...Object.keys(o), ...own.filter(([, d]) => d.get).map(([k]) => k)]) if (!/^(_|configuration|config)/.test(n)) walk(o[n], `${where}.${n}`, depth + 1);
  };
  for (const root of roots) walk(at(client, root), root, 0);
  return out;
}

async function runTyped(report, server, typed) {
  const client = new Client({ accessToken: TOKEN, developerApiKey: DEVELOPER_KEY, basePath: server.url });
  const vars = known();
  const roots = new Set(typed.map(([name]) => name.split('.').slice(0, name.startsWith('crm.') ? 2 : -2).join('.') || name.split('.')[0]));
  // null: not called; '': well; text: what went wrong.
  for (const [where, methods] of typedApis(client, roots)) for (const m of methods) report.typed.set(`${where}.${m}`, null);
  for (const [name, args = [], call = {}] of typed) {
    const [api, method] = [name.slice(0, name.lastIndexOf('.')), name.slice(name.lastIndexOf('.') + 1)];
    const target = at(client, api);
    let amiss = null;
    const end = Date.now() + (call.until ? PATIENCE : 0);
    for (;;) {
      try {
        const value = await target[method](...fill(args, vars));
        for (const [saved, where] of Object.entries(call.save ?? {})) vars[saved] = at(value, where);
        amiss = call.code ? `did not throw ${call.code}` : unmet(call.is, value, vars);
      } catch (e) {
        amiss = call.code && e.code === call.code ? null : String(e.body?.message ?? e.message).slice(0, 300);
      }
      if (!amiss || Date.now() > end) break;
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    // An error that was expected does not make a method one that works.
    if (amiss) report.typed.set(name, amiss);
    else if (!call.code && !report.typed.get(name)) report.typed.set(name, '');
  }
}

// ---- the whole ----

// An account as the scenarios want it.
export async function simulated(t) {
  delete process.env.HL_RECORD_DIR;   // everything is held against the documents right here
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hubloop-fidelity-'));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const s = await sim(t, dir, ['--contacts', '30', '--companies', '10', '--deals', '5', '--owners', '3', '--tier', 'unlimited', '--oauth-app', APP.id],
    { env: { HUBSPOT_APP_SECRET: APP.secret, HUBSPOT_DEVELOPER_KEY: DEVELOPER_KEY } });
  await s.control('configure', { journal_publish_ms: 10, lag_ms: 0 });
  return s;
}

export async function measure(t) {
  const folder = documentsFolder();
  const documents = new Documents(folder);
  const operations = documents.operations.map((o) => new Operation(o));
  const index = new Map(documents.operations.map((o, i) => [o, operations[i]]));
  const report = { documents, operations, endpoints: new Endpoints(folder), invalid: [], others: [], strays: [], unnamed: [], typed: new Map(), exchanges: 0 };
  report.of = (method, dated) => index.get(documents.find(method, dated));
  const { flows, typed } = await loadScenarios();
  for (const version of [VERSION, '2026-03', 'legacy']) {
    const server = await simulated(t);
    const run = new Run(report, server, version);
    for (const flow of flows) {
      if (version === '2026-03' && flow.calls.every(([, p]) => !p.includes('{v}'))) continue;
      for (const call of flow.calls) await run.call(call);
    }
    if (version === VERSION) await probe(report, run);
    run.close();
    await server.stop();
  }
  const server = await simulated(t);
  await runTyped(report, server, typed);
  await server.stop();
  for (const x of readRecord(server.record)) {
    report.exchanges++;
    const v = documents.validate(x);
    for (const e of v.errors) report.invalid.push(`client: ${x.method} ${x.path} ${x.status}: ${e}`);
  }
  return report;
}

// What no scenario calls must not be made up: it answers 501 and tells the operation.
async function probe(report, run) {
  for (const [i, o] of report.documents.operations.entries()) {
    if (report.operations[i].calls > 0) continue;
    const target = o.template.replace(/\{(\w+)\}/g, (_, name) => (/objecttype/i.test(name) ? 'contacts' : '7'));
    const content = o.op.requestBody?.content?.['application/json'];
    const answer = await run.send(o.method, target, content ? { body: example(o.doc, content.schema) } : {});
    const named = String(answer.body?.message).startsWith(`The simulator does not have ${o.method} /`);
    if (answer.status !== 501 || (!named && report.endpoints.has(o.method, o.template))) {
      report.unnamed.push(`${o.method} ${o.template}: answered ${answer.status} ${answer.body?.message ?? ''}`);
    }
  }
}

const percent = (n, of) => (of ? Math.floor((1000 * n) / of) / 10 : 0);

export function summary(report) {
  const documents = [...new Set(report.operations.map((o) => o.file))];
  const rows = documents.map((file) => {
    const list = report.operations.filter((o) => o.file === file);
    const count = (state) => list.filter((o) => o.state === state).length;
    const also = (key) => list.filter((o) => key in o.also);
    return {
      document: file, named: NAMED.includes(file), operations: list.length, validated: count('validated'), implemented: count('implemented'),
      missing: count('missing'), notCalled: count('not called'),
      older: ['2026-03', 'legacy'].map((key) => [also(key).filter((o) => o.also[key]).length, also(key).length]),
    };
  }).sort((a, b) => (b.named - a.named) || (NAMED.indexOf(a.document) - NAMED.indexOf(b.document)));
  const named = rows.filter((r) => r.named);
  const sum = (list, key) => list.reduce((n, r) => n + r[key], 0);
  const typed = [...report.typed.values()];
  return {
    rows, percent: percent(sum(named, 'validated'), sum(named, 'operations')), validated: sum(named, 'validated'), operations: sum(named, 'operations'),
    exchanges: report.exchanges, invalid: report.invalid.length,
    typed: { methods: typed.length, well: typed.filter((v) => v === '').length, failed: typed.filter((v) => v).length },
    older: [0, 1].map((i) => [rows.reduce((n, r) => n + r.older[i][0], 0), rows.reduce((n, r) => n + r.older[i][1], 0)]),
  };
}

function print(report, { all, width }) {
  const s = summary(report);
  const cut = (text) => (text.length > width ? `${text.slice(0, width - 1)}…` : text);
  const out = [];
  for (const row of s.rows.filter((r) => r.notCalled < r.operations)) {
    const list = report.operations.filter((o) => o.file === row.document && (all || o.state !== 'validated'));
    if (list.length === 0) continue;
    out.push('', row.document);
    for (const o of list) {
      out.push(cut(`  ${o.state.padEnd(11)} ${o.method.padEnd(6)} ${o.template}${o.name && all ? `  ${o.name}` : ''}`));
      if (o.why && o.state !== 'not called') out.push(cut(`              ${o.why}`));
    }
  }
  const listed = (title, lines) => { if (lines.length) out.push('', title, ...lines.map((l) => cut(`  ${l}`))); };
  listed('Answers that break their schema:', [...new Set(report.invalid)]);
  listed('Other versions that fail:', report.others);
  listed('Not simulated, and not said so by name (501):', report.unnamed);
  listed('Calls of no document:', report.strays);
  listed('Typed calls of the official client that fail:', [...report.typed].filter(([, v]) => v).map(([k, v]) => `${k}: ${v}`));
  const uncalled = new Map();
  for (const [name, v] of report.typed) {
    const api = name.split('.').slice(0, -1).join('.');
    if (v === null) uncalled.set(api, [...(uncalled.get(api) ?? []), name.split('.').at(-1)]);
  }
  listed('Typed calls of the official client that no scenario makes with success:', [...uncalled].map(([api, names]) => `${api}: ${names.join(' ')}`));
  const line = (r) => [r.document.padEnd(24), ...[r.operations, r.validated, r.implemented, r.missing, r.notCalled].map((n, i) => String(n).padStart([3, 9, 11, 7, 8][i])),
    ...r.older.map(([a, b]) => (b ? `${a}/${b}` : '-').padStart(7))].join(' ');
  out.push('', 'document                 ops validated implemented missing uncalled 2026-03   v3/v4');
  for (const r of s.rows.filter((x) => x.named)) out.push(line(r));
  out.push(`${'= named documents'.padEnd(24)} ${String(s.operations).padStart(3)} ${String(s.validated).padStart(9)}   ${s.percent} % validated`);
  for (const r of s.rows.filter((x) => !x.named && x.notCalled < x.operations)) out.push(line(r));
  const none = s.rows.filter((r) => r.notCalled === r.operations);
  out.push('', cut(`${none.reduce((n, r) => n + r.operations, 0)} operations of ${none.length} other documents are not simulated`));
  out.push(`${s.exchanges} exchanges held against schemas, ${s.invalid} errors`,
    `official client: ${s.typed.well} of ${s.typed.methods} typed calls made well`);
  out.push(`older paths, of those that are published: 2026-03 ${s.older[0].join('/')}, v3 and v4 ${s.older[1].join('/')}`);
  return out.join('\n').trimStart();
}
export { print };

async function main() {
  const after = [];
  const flags = new Set(process.argv.slice(2));
  if (!documentsFolder()) {
    console.error('fidelity: HubSpot\'s OpenAPI documents (../shared/hubspot/openapi) are not here; HL_OPENAPI names their folder');
    process.exit(1);
  }
  let report;
  try { report = await measure({ after: (f) => after.push(f) }); } finally { for (const f of after.reverse()) await f(); }
  const s = summary(report);
  if (flags.has('--json')) {
    const operations = report.operations.map(({ file, method, template, state, why, also, calls }) => ({ document: file, method, path: template, state, ...(why && { why }), calls, older: also }));
    console.log(JSON.stringify({ ...s, operations, invalidAnswers: report.invalid, typedCalls: Object.fromEntries(report.typed) }, null, 1));
  } else console.log(print(report, { all: !flags.has('--summary'), width: process.stdout.columns || Number(process.env.COLUMNS) || 120 }));
  process.exitCode = s.percent >= 95 && s.invalid === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
