// The simulator is what HubSpot's documents describe: the whole of fidelity.mjs, and what it must reach.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { documentsFolder } from './openapi.mjs';
import { measure, print, summary } from './fidelity.mjs';

const skip = documentsFolder() ? false : 'HubSpot\'s OpenAPI documents (../shared/hubspot/openapi) are not here';
const WANTED = 100; // percent of the operations of the named documents

test('the operations of the documents are called, and their answers fit', { skip }, async (t) => {
  const report = await measure(t);
  const s = summary(report);
  const all = () => print(report, { all: false, width: 200 });
  assert.deepEqual(report.invalid, [], all());
  assert.ok(s.percent >= WANTED, `${s.percent} % validated, expected ${WANTED}\n${all()}`);
  assert.deepEqual(report.strays, [], 'calls that no document has');
  assert.deepEqual(report.others, [], 'older versions of the paths');
  assert.deepEqual(report.unnamed, [], 'what is missing answers 501 and is named');
  assert.deepEqual([...report.typed].filter(([, v]) => v), [], 'typed calls of the official client');
  t.diagnostic(`note: ${s.validated} of ${s.operations} operations (${s.percent} %), ${s.exchanges} exchanges, ${s.typed.well} typed calls`);
});
