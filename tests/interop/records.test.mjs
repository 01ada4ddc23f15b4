// Every answer that the simulator gave in the integration and interop tests, and
// every request that reached it, against HubSpot's OpenAPI documents. Runs last
// (run.sh), over the record files that the other tests left.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Documents, documentsFolder, readRecord } from './openapi.mjs';

const folder = documentsFolder();
const records = process.env.HL_RECORDS;
const skip = !folder ? 'HubSpot\'s OpenAPI documents (../shared/hubspot/openapi) are not here'
  : !records ? 'no records: run tests/interop/run.sh' : false;

// Operations that live APIs and the official client have and the documents of
// 2026-09 leave out.
const UNDESCRIBED = new Set([
  'GET /crm/objects/2026-09/*/*/associations/*',
  'GET /oauth/authorize', 'GET /oauth/*/authorize', 'POST /oauth/authorize', // a page, not an API
  'POST /oauth/v1/token',
  'GET /communication-preferences/v3/definitions', // in another shape than today's
  'GET /marketing/v3/email/send-statuses/*', 'POST /automation/v2/workflows/*/enrollments/contacts/*',
  'DELETE /automation/v2/workflows/*/enrollments/contacts/*',
  'GET /form-integrations/v1/submissions/forms/*', 'POST /submissions/v3/integration/submit/*/*',
  'POST /submissions/v3/integration/secure/submit/*/*',
]);
const shape = (operation) => operation.replace(/\/(\d+|[\da-f-]{36}|[^/]+(?:@|%40)[^/]+|contacts|companies|deals|tickets)(?=\/|$)/g, '/*');

function recordFiles(dir) {
  if (!fs.existsSync(dir)) return [];
  return fs.readdirSync(dir, { withFileTypes: true }).flatMap((e) => {
    const p = path.join(dir, e.name);
    return e.isDirectory() ? recordFiles(p) : e.name.endsWith('.jsonl') ? [p] : [];
  });
}

test('recorded exchanges match the OpenAPI documents', { skip }, (t) => {
  const documents = new Documents(folder);
  const wrong = new Map();
  const undescribed = new Map();
  const seen = new Map();
  let n = 0;
  for (const file of recordFiles(records)) {
    for (const x of readRecord(file)) {
      if (x.status === 0) continue; // dropped on purpose: there is no answer
      n++;
      const v = documents.validate(x);
      if (!v.described) {
        // What nobody describes must be refused as unknown, or be listed above.
        if (x.status !== 404 && x.status !== 405 && x.status !== 501 && !UNDESCRIBED.has(shape(v.operation))) undescribed.set(v.operation, x.status);
        continue;
      }
      seen.set(v.operation, (seen.get(v.operation) ?? 0) + 1);
      for (const e of v.errors) {
        const key = `${v.operation} ${x.status}: ${e}`;
        const w = wrong.get(key) ?? { times: 0, example: `${x.method} ${x.path}?${x.query ?? ''}\n    ${text(x.requestBody)}\n    ${text(x.responseBody)}` };
        w.times++;
        wrong.set(key, w);
      }
    }
  }
  t.diagnostic(`note: ${n} exchanges of ${seen.size} operations validated`);
  assert.ok(n > 0, `no exchange was recorded in ${records}`);
  assert.equal(wrong.size, 0, [...wrong].map(([k, w]) => `${k} (${w.times} times)\n    ${w.example}`).join('\n'));
  assert.deepEqual([...undescribed], [], 'operations that no document describes');
});

function text(body) {
  const s = typeof body === 'string' ? body : JSON.stringify(body ?? '');
  return s.length > 400 ? `${s.slice(0, 400)}…` : s;
}
