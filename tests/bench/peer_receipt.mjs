// The receipt of webhooks as one writes it in Node: signature check, JSON, one
// row an event under a key that is unique (so duplicates fall out), answer after
// the commit. better-sqlite3, WAL, synchronous=FULL, as hubloop's own store.
//
//   node peer_receipt.mjs tx|group SECRET FILE
//
// tx:    one transaction a request.
// group: tuned: requests that arrive together share a transaction; cache 64 MB,
//        wal_autocheckpoint 10000, prepared statements, ascending row ids.
import http from 'node:http';
import crypto from 'node:crypto';
import Database from 'better-sqlite3';

const [mode, secret, file] = process.argv.slice(2);
if (!['tx', 'group'].includes(mode) || !secret || !file) {
  console.error('usage: node peer_receipt.mjs tx|group SECRET FILE');
  process.exit(2);
}
const db = new Database(file);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
if (mode === 'group') {
  db.pragma('cache_size = -65536');
  db.pragma('wal_autocheckpoint = 10000');
}
db.exec('CREATE TABLE inbox (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, event TEXT NOT NULL, state INTEGER NOT NULL DEFAULT 0)');
const insert = db.prepare('INSERT OR IGNORE INTO inbox (key, event) VALUES (?, ?)');
const store = db.transaction((bodies) => {
  for (const events of bodies) {
    for (const e of events) {
      insert.run(`${e.subscriptionId}:${e.objectId}:${e.propertyName ?? ''}:${e.occurredAt}:${e.eventId}`, JSON.stringify(e));
    }
  }
});

function verified(req, body) {
  const timestamp = req.headers['x-hubspot-request-timestamp'];
  if (Math.abs(Date.now() - Number(timestamp)) > 300000) return false;
  const mac = crypto.createHmac('sha256', secret);
  mac.update(`POST${`http://${req.headers.host}${req.url}`}`);
  mac.update(body);
  mac.update(timestamp);
  const want = mac.digest();
  const got = Buffer.from(req.headers['x-hubspot-signature-v3'] ?? '', 'base64');
  return got.length === want.length && crypto.timingSafeEqual(got, want);
}

let waiting = [];
function commitWaiting() {
  const group = waiting;
  waiting = [];
  store(group.map((w) => w.events));
  for (const w of group) w.res.writeHead(204).end();
}

const server = http.createServer((req, res) => {
  const chunks = [];
  req.on('data', (c) => chunks.push(c));
  req.on('end', () => {
    const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    if (!verified(req, body)) return res.writeHead(401).end();
    const events = JSON.parse(body.toString('utf8'));
    if (mode === 'tx') {
      store([events]);
      return res.writeHead(204).end();
    }
    waiting.push({ events, res });
    if (waiting.length === 1) setImmediate(commitWaiting);
  });
});
server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
process.on('SIGTERM', () => { console.log(`rows ${db.prepare('SELECT count(*) n FROM inbox').get().n}`); process.exit(0); });
