// A PostgreSQL server of the test's own: on the loopback, in a temporary folder, gone with the test. Not as root, which
// PostgreSQL refuses: as its own user then.
import { execFileSync, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const base = '/usr/lib/postgresql';
const bin = fs.existsSync(base) ? fs.readdirSync(base).map((v) => path.join(base, v, 'bin')).filter((d) => fs.existsSync(path.join(d, 'initdb'))).at(-1) : undefined;
export const missing = bin ? false : 'the package postgresql is not installed (sh tests/setup.sh test)';

const freePort = () => new Promise((resolve) => {
  const s = net.createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)); });
});

export class Postgres {
  static async start() {
    const p = new Postgres();
    p.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'hubloop-pg-'));
    p.password = crypto.randomBytes(12).toString('hex');
    p.user = process.getuid() ? {} : { uid: Number(execFileSync('id', ['-u', 'postgres'])), gid: Number(execFileSync('id', ['-g', 'postgres'])) };
    fs.writeFileSync(path.join(p.dir, 'password'), p.password);
    if (p.user.uid) for (const f of ['', 'password']) fs.chownSync(path.join(p.dir, f), p.user.uid, p.user.gid);
    execFileSync(path.join(bin, 'initdb'), ['-D', path.join(p.dir, 'data'), '-U', 'tester', '-A', 'scram-sha-256', '--pwfile', path.join(p.dir, 'password'),
      '--locale=C', '-E', 'UTF8', '--no-sync', '--no-instructions'], { ...p.user, cwd: p.dir, stdio: 'pipe' });
    p.port = await freePort();
    await p.up();
    return p;
  }

  async up() {
    this.child = spawn(path.join(bin, 'postgres'), ['-D', path.join(this.dir, 'data'), '-k', this.dir, '-h', '127.0.0.1', '-p', this.port, '-F', '-c', 'max_connections=40'],
      { ...this.user, cwd: this.dir, stdio: ['ignore', 'ignore', 'pipe'] });
    this.log = '';
    await new Promise((resolve, reject) => {
      this.child.stderr.setEncoding('utf8').on('data', (text) => { this.log += text; if (/ready to accept connections/.test(this.log)) resolve(); });
      this.child.on('exit', () => reject(new Error(this.log)));
    });
  }

  // SIGINT: in order; SIGQUIT: at once, as if it had crashed.
  async down(signal = 'SIGINT') {
    if (this.child.exitCode !== null || this.child.signalCode) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    await gone;
  }

  async remove() {
    await this.down();
    fs.rmSync(this.dir, { recursive: true, force: true });
  }

  url(database = 'postgres', password = this.password) { return `postgres://tester:${password}@127.0.0.1:${this.port}/${database}`; }
  place(database = 'postgres') { return `postgres://127.0.0.1:${this.port}/${database}`; }

  ask(statement, database = 'postgres') {
    return execFileSync(path.join(bin, 'psql'), ['-h', '127.0.0.1', '-p', this.port, '-U', 'tester', '-d', database, '-Atqc', statement],
      { env: { PATH: process.env.PATH, PGPASSWORD: this.password }, encoding: 'utf8' }).trim();
  }
}
