// The embedding API: a C program that uses include/hubloop.h alone, with a store
// in a file and a project with a script.
import test from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { HUBLOOP, project, run } from './lib.mjs';

const SCRIPT = 'on("contact.creation", function(event) emit("seen", { contact = event.objectId }) end)\n';

test('a C program embeds the runtime', async (t) => {
  const dir = project(t, { 'automations/greet.lua': SCRIPT, 'broken.lua': '\nerror("no luck")\n' });
  const program = path.join(path.dirname(HUBLOOP), 'tests/embed');
  const r = await run(t, ['embed.db', 'automations', 'automations/greet.lua', 'broken.lua'], { cwd: dir, command: program });
  assert.equal(r.code, 0, r.out + r.err);
  assert.match(r.out, /embed: all well\n$/);
  assert.equal(r.out.match(/^ok /gm).length, 20);
});
