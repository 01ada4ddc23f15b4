// The README and the help topics hold what they say: their scripts run, and the
// README's output is what comes out.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { HUBLOOP, project, environment } from './lib.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');

// { 'hello.lua': text } of blocks whose first line is a comment that names the file.
function scripts(blocks) {
  const files = {};
  for (const block of blocks) {
    const name = /^-- ([\w/]+\.lua)/.exec(block)?.[1];
    if (name) files[name] = block;
  }
  return files;
}

function fenced(text, kind) {
  return [...text.matchAll(new RegExp('^```' + kind + '\\n([\\s\\S]*?)^```$', 'gm'))].map((m) => m[1]);
}

// Indented blocks: four spaces in, separated by lines that are not.
function indented(text) {
  return text.split(/\n(?! {4}|\n)/).flatMap((part) => part.split(/\n\n(?=\S)/))
    .map((part) => part.split('\n').filter((line) => line === '' || line.startsWith('    ')).map((line) => line.slice(4)).join('\n').trim())
    .map((block) => block.split('\n').filter((line) => !/^(\S+=\S+ )*hubloop /.test(line)).join('\n').trim()) // commands are no Lua
    .filter(Boolean);
}

function hubloop(args, dir) {
  return execFileSync(HUBLOOP, args, { cwd: dir, env: environment(dir), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

test('the README: each command prints what is shown', (t) => {
  const text = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
  const files = scripts(fenced(text, 'lua'));
  const dir = project(t, files);
  assert.match(hubloop(['check', ...Object.keys(files)], dir), /nothing found/);
  const sessions = fenced(text, 'console');
  assert.ok(sessions.length > 0);
  for (const session of sessions) {
    for (const part of session.split(/^\$ /m).slice(1)) {
      const [command, ...shown] = part.trimEnd().split('\n');
      const words = command.split(' ');
      assert.equal(words.shift(), 'hubloop', command);
      assert.equal(hubloop(words, dir).trimEnd(), shown.join('\n').trimEnd(), command);
    }
  }
});

for (const file of fs.readdirSync(path.join(root, 'stdlib/help')).sort()) {
  const text = fs.readFileSync(path.join(root, 'stdlib/help', file), 'utf8');
  const files = scripts(indented(text));
  const index = scripts(indented(fs.readFileSync(path.join(root, 'stdlib/help/index.md'), 'utf8')));
  for (const name of Object.keys(files)) {
    test(`help ${file}: ${name} works`, (t) => {
      const dir = project(t, { ...index, ...files });
      if (name === 'hubloop.lua') {
        fs.writeFileSync(path.join(dir, 'nothing.lua'), '');
        const env = { HUBSPOT_TOKEN: 'x'.repeat(20), HUBSPOT_CLIENT_SECRET: 'y'.repeat(20), SHOP_TOKEN: 'z'.repeat(20), SHOP_SECRET: 'w'.repeat(20) };
        execFileSync(HUBLOOP, ['run', dir], { env: environment(dir, env), stdio: 'pipe' });
        return;
      }
      assert.match(hubloop(['check', name], dir), /nothing found/);
      if (name.endsWith('_test.lua')) assert.match(hubloop(['test', name], dir), /[1-9]\d* passed, 0 failed/);
      else hubloop(['run', '--sim', name, ...(text.match(`hubloop run ${name}.* (--allow-.*)`)?.[1].split(' ') ?? [])], dir);
    });
  }
}
