// The peer of the bench `coalesce`: the official Node client with the limiter
// settings that it recommends updates each of the ids and prints the milliseconds.
// peer_coalesce.mjs BASE IDS.json JOBTITLE
import fs from 'node:fs';
import { createRequire } from 'node:module';

const [base, file, job] = process.argv.slice(2);
const { Client, DEFAULT_LIMITER_OPTIONS } = createRequire(import.meta.url)('@hubspot/api-client');
const client = new Client({ accessToken: process.env.HUBSPOT_TOKEN, basePath: base, limiterOptions: DEFAULT_LIMITER_OPTIONS });
const ids = JSON.parse(fs.readFileSync(file, 'utf8'));
const began = performance.now();
await Promise.all(ids.map((id) => client.crm.contacts.basicApi.update(id, { properties: { jobtitle: job } })));
console.log(`took ${(performance.now() - began).toFixed(0)}`);
