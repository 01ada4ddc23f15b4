// The peers of the bench `client`: asks a local server for one contact, 32 at a
// time, until it is ended. peer_client.mjs undici URL | official BASE
import { createRequire } from 'node:module';

const [mode, url] = process.argv.slice(2);
const require = createRequire(import.meta.url);

async function undici() {
  const { Agent, request } = require('undici');
  const dispatcher = new Agent({ connections: 32, pipelining: 1 });
  return async () => {
    const { statusCode, body } = await request(url, { dispatcher });
    const record = await body.json();
    if (statusCode !== 200 || record.id !== '151') throw new Error('wrong answer');
  };
}

// Without its limiter, which would allow 9 calls a second.
async function official() {
  const { Client } = require('@hubspot/api-client');
  const client = new Client({ accessToken: process.env.HUBSPOT_TOKEN, basePath: url });
  return async () => {
    const record = await client.crm.contacts.basicApi.getById('151');
    if (record.properties.email.slice(0, 3) !== 'ana') throw new Error('wrong answer');
  };
}

console.log('going');
const call = await { undici, official }[mode]();
await Promise.all(Array.from({ length: 32 }, async () => { for (;;) await call(); }));
