// Holds recorded exchanges against HubSpot's OpenAPI documents: path, query,
// request body, and the answer's status and body.
//
// ajv rather than openapi-response-validator: it compiles all 36 documents as
// they are (3.0.1, of which only `nullable` and the int formats are not plain
// JSON Schema, and ajv knows both), and does requests and answers alike.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';

const here = path.dirname(fileURLToPath(import.meta.url));

// The documents live beside the repository, not in it.
export function documentsFolder() {
  const given = process.env.HL_OPENAPI;
  const found = [given, path.join(here, '../../../shared/hubspot/openapi'), path.join(here, '../../../../shared/hubspot/openapi')]
    .filter(Boolean).find((d) => fs.existsSync(d));
  return found ?? null;
}

const VERSION = '2026-09';

// Legacy paths, as the official client uses them, and the dated path whose
// document describes the same exchange.
const LEGACY = [
  ['/crm/v4/associations', '/crm/associations'], ['/crm/associations/v4', '/crm/associations'], ['/crm/v4/objects', '/crm/objects'],
  ['/crm/v3/objects', '/crm/objects'], ['/crm/v3/owners', '/crm/owners'], ['/crm/v3/properties', '/crm/properties'],
  ['/crm/v3/pipelines', '/crm/pipelines'], ['/crm/v3/lists', '/crm/lists'], ['/account-info/v3', '/account-info'],
  ['/oauth/v3', '/oauth'], ['/crm-object-schemas/v3', '/crm-object-schemas'],
  ['/webhooks/v3', '/app-webhooks'], ['/marketing/v3/emails', '/marketing/emails'],
  ['/marketing/v3/transactional', '/marketing/transactional'], ['/communication-preferences/v4', '/communication-preferences'],
  ['/communication-preferences/v3/status', '/communication-preferences', '/status'],
  ['/communication-preferences/v3/subscribe', '/communication-preferences', '/subscribe'],
  ['/communication-preferences/v3/unsubscribe', '/communication-preferences', '/unsubscribe'],
  ['/settings/v3/users', '/settings/users', '', '2026-03'],
  ['/automation/v4/flows', '/automation', '/flows', '2026-09-beta'],
  ['/automation/v4/workflow-id-mappings', '/automation', '/workflow-id-mappings', '2026-09-beta'],
];

function moved(p, from, to) { return p === from || p.startsWith(`${from}/`) ? to + p.slice(from.length) : null; }

export function datedPath(p) {
  const clean = p.length > 1 ? p.replace(/\/$/, '') : p;
  for (const [from, to, room = '', version = VERSION] of LEGACY) {
    const dated = moved(clean, from, `${to}/${version}${room}`);
    if (dated) return dated;
  }
  return clean;
}

// The way back: every v3 or v4 form of a dated path. Of objects, v4 has the associations alone.
export function legacyPaths(dated) {
  const v4 = /^\/crm\/objects\/[^/]+\/[^/]+\/[^/]+\/associations\//.test(dated);
  return LEGACY.filter(([to, from]) => from !== '/crm/objects' || to.includes('v4') === v4)
    .map(([to, from, room = '', version = VERSION]) => moved(dated, `${from}/${version}${room}`, to)).filter(Boolean);
}

// HubSpot's generator marks these as required although its own guides leave
// them out and the API accepts that. Nothing else is relaxed, and only in
// what is sent.
const OPTIONAL_IN_REQUESTS = {
  SimplePublicObjectInputForCreate: ['associations'],
  SimplePublicObjectBatchInputForCreate: ['associations'],
  PublicObjectSearchRequest: ['after', 'filterGroups', 'limit', 'properties', 'sorts'],
  BatchReadInputSimplePublicObjectId: ['propertiesWithHistory'],
  PublicFetchAssociationsBatchRequest: ['after'],
  BatchReadInputPropertyName: ['dataSensitivity'],
  ObjectSchemaEgg: ['allowsSensitiveProperties'],
};

// Batches whose legacy form answers with another status (as the official client expects): [path, status, the dated one].
const LEGACY_STATUS = [
  [/^\/crm\/(v4\/associations|associations\/v4)\/.*\/batch\/create$/, 201, 200], [/^\/crm\/v3\/properties\/.*\/batch\/create$/, 201, 200],
  [/^\/crm\/(v4\/associations|associations\/v4)\/.*\/batch\/((labels\/)?archive|purge)$/, 204, null],
];

// The string form alone is generated; the guides, and so everybody, send the
// object form, which the API takes.
const SORTS = {
  type: 'array', items: { anyOf: [{ type: 'string' }, {
    type: 'object', required: ['propertyName', 'direction'], additionalProperties: false,
    properties: { propertyName: { type: 'string' }, direction: { enum: ['ASCENDING', 'DESCENDING'] } },
  }] },
};

// What the v4 associations API writes otherwise than its dated successor: ids of
// objects are numbers, and the label of an unlabelled type is null.
function asDated(p, value) {
  if (!p.startsWith('/crm/v4/')) return value;
  return JSON.parse(JSON.stringify(value, (k, v) => {
    if ((k === 'toObjectId' || k === 'fromObjectId') && Number.isSafeInteger(v)) return String(v);
    return k === 'label' && v === null ? undefined : v;
  }));
}

// Fields which live answers carry and the documents leave out (FACTS 3, 4).
// `status` stands in each error body, the others in 429 and batch answers.
const UNDECLARED_IN_ERRORS = new Set(['status', 'errorType', 'policyName', 'groupName', 'requestId']);

// A base of which the documents leave out what is derived from it: only
// `active` is generated of what introspection answers.
const BASES = new Set(['TokenInfoResponseBaseIF']);

function isObjectSchema(s) {
  return s && typeof s === 'object' && s.type === 'object' && s.properties && s.additionalProperties === undefined &&
    !s.allOf && !s.oneOf && !s.anyOf && Object.keys(s.properties).length > 0;
}

// A map's values of any kind are generated as objects without properties, also where HubSpot's examples have texts.
function isAnything(s) { return s && s.type === 'object' && Object.keys(s.properties ?? {}).length === 0 && !s.additionalProperties; }

// A copy of a schema tree in which objects refuse fields that the document
// does not declare: a misspelt optional field would pass otherwise.
function closed(schema, name) {
  if (Array.isArray(schema)) return schema.map((x) => closed(x));
  if (!schema || typeof schema !== 'object') return schema;
  const out = {};
  for (const [k, v] of Object.entries(schema)) {
    if (k === 'example' || k === 'description') continue;
    if (k === 'additionalProperties' && isAnything(v)) continue;
    out[k] = k === 'properties' ? Object.fromEntries(Object.entries(v).map(([n, s]) => [n, closed(s)])) : closed(v);
  }
  if (isObjectSchema(schema) && !BASES.has(name)) {
    if (name === 'Error' || name === 'ErrorDetail' || name === 'StandardError') {
      for (const f of UNDECLARED_IN_ERRORS) if (!(f in out.properties)) out.properties[f] = {};
      // Generated without properties; the API sends text.
      if (out.properties.subCategory?.type === 'object') out.properties.subCategory = {};
    }
    out.additionalProperties = false;
  }
  return out;
}

function splitPath(p) { return p.split('/').filter(Boolean); }

export class Documents {
  constructor(folder) {
    this.operations = [];
    this.ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: false, validateFormats: true });
    addFormats(this.ajv);
    for (const file of fs.readdirSync(folder).filter((f) => f.endsWith('.json')).sort()) {
      const doc = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
      const schemas = doc.components?.schemas ?? {};
      for (const [side, relax] of [['answer', false], ['request', true]]) {
        const copy = {};
        for (const [name, schema] of Object.entries(schemas)) {
          copy[name] = closed(schema, name);
          const optional = relax && OPTIONAL_IN_REQUESTS[name];
          if (relax && name === 'PublicObjectSearchRequest') copy[name].properties.sorts = SORTS;
          if (optional && copy[name].required) copy[name].required = copy[name].required.filter((f) => !optional.includes(f));
        }
        this.ajv.addSchema({ $id: `${side}/${file}`, components: { schemas: copy } });
      }
      for (const [template, methods] of Object.entries(doc.paths)) {
        for (const [method, op] of Object.entries(methods)) {
          this.operations.push({ file, doc, template, parts: splitPath(template), method: method.toUpperCase(), op });
        }
      }
    }
    this.compiled = new Map();
  }

  // The operation with the most literal segments; among documents that share a
  // template, the one named after the object type, then the generic one.
  find(method, dated) {
    const parts = splitPath(dated);
    let best = null;
    let bestRank = -1;
    for (const o of this.operations) {
      if (o.method !== method || o.parts.length !== parts.length) continue;
      const literal = o.parts.filter((t, i) => t === parts[i]).length;
      if (!o.parts.every((t, i) => t === parts[i] || (t.startsWith('{') && t.endsWith('}')))) continue;
      const type = parts[3];
      const own = o.file === `crm-${String(type).replaceAll('_', '-')}.json` ? 2 : o.file === 'crm-objects.json' ? 1 : 0;
      const rank = literal * 10 + own;
      if (rank > bestRank) { best = o; bestRank = rank; }
    }
    return best;
  }

  validator(file, side, schema) {
    const inFile = JSON.parse(JSON.stringify(closed(schema)).replaceAll('"#/components', `"${side}/${file}#/components`));
    const key = JSON.stringify(inFile);
    if (!this.compiled.has(key)) this.compiled.set(key, this.ajv.compile(inFile));
    return this.compiled.get(key);
  }

  check(file, side, schema, value) {
    const validate = this.validator(file, side, schema);
    if (validate(value)) return [];
    return validate.errors.map((e) => `${side} ${e.instancePath || '/'} ${e.message}` +
      (e.params?.additionalProperty ? ` ("${e.params.additionalProperty}")` : ''));
  }

  // What is wrong with one exchange: a list of lines, empty when nothing is.
  // `described` is false when no document has the operation.
  validate(x) {
    const method = x.method.toUpperCase();
    const dated = datedPath(x.path);
    const found = this.find(method, dated);
    if (!found) return { described: false, errors: [], operation: `${method} ${dated}` };
    const errors = [];
    const well = x.status >= 200 && x.status < 300;
    // A request that the server refused as wrong may be wrong, and one that it does not know was not
    // looked at; it is the answer that must then fit. 401, 403, 429 and 5xx say nothing about it.
    if (![400, 404, 409, 501].includes(x.status)) {
      errors.push(...this.checkQuery(found, x.query), ...this.checkRequestBody(found, x.requestBody));
    }
    errors.push(...this.checkAnswer(found, x, well));
    return { described: true, errors, operation: `${method} ${found.template}`, file: found.file };
  }

  checkQuery(o, query) {
    const errors = [];
    const declared = new Map((o.op.parameters ?? []).filter((p) => p.in === 'query').map((p) => [p.name, p]));
    const params = new URLSearchParams(query ?? '');
    for (const name of new Set(params.keys())) {
      const p = declared.get(name);
      if (!p && Object.values(o.doc.components?.securitySchemes ?? {}).some((s) => s.in === 'query' && s.name === name)) continue;
      if (!p) { errors.push(`query parameter "${name}" is not declared`); continue; }
      const values = params.getAll(name);
      const type = p.schema?.type;
      if (type === 'array') continue;
      if (values.length > 1) errors.push(`query parameter "${name}" is given ${values.length} times`);
      const v = values[0];
      if (type === 'integer' && !/^-?\d+$/.test(v)) errors.push(`query parameter "${name}" must be an integer, is "${v}"`);
      if (type === 'boolean' && v !== 'true' && v !== 'false') errors.push(`query parameter "${name}" must be true or false, is "${v}"`);
      if (p.schema?.enum && !p.schema.enum.includes(v)) errors.push(`query parameter "${name}" must be one of ${p.schema.enum.join(', ')}, is "${v}"`);
    }
    for (const p of declared.values()) if (p.required && !params.has(p.name)) errors.push(`query parameter "${p.name}" is missing`);
    return errors;
  }

  checkRequestBody(o, body) {
    const value = asJson(body);
    const content = o.op.requestBody?.content;
    if (!content) return value === undefined || isEmpty(value) ? [] : ['request has a body, the operation has none'];
    if (value === undefined) return o.op.requestBody.required ? ['request body is missing'] : [];
    const schema = content['application/json']?.schema;
    if (!schema) return [];
    if (value === NOT_JSON) return ['request body is not JSON'];
    return this.check(o.file, 'request', schema, value);
  }

  checkAnswer(o, x, well) {
    let value = asJson(x.responseBody);
    if (value === NOT_JSON) return ['answer is not JSON'];
    if (value !== undefined) value = asDated(x.path, value);
    const responses = o.op.responses ?? {};
    // The dated documents describe a 207 by the schema of the full success.
    const legacy = LEGACY_STATUS.find(([re, status]) => status === x.status && re.test(x.path));
    let r = legacy ? responses[String(legacy[2])] ?? {} : responses[String(x.status)];
    if (!r && x.status === 207) r = responses['200'] ?? responses['201'];
    // The token endpoint's document has the error answer alone.
    if (!r && well && Object.keys(responses).join() === 'default') return [];
    if (!r && well) {
      return [`answer has status ${x.status}, declared are ${Object.keys(responses).join(', ')}`];
    }
    if (!r) {
      if (value === undefined) return ['an error answer has no body'];
      return this.check(o.file, 'answer', { $ref: '#/components/schemas/Error' }, value);
    }
    const schema = r.content?.['application/json']?.schema ?? r.content?.['*/*']?.schema;
    if (!schema) return value === undefined ? [] : [`answer ${x.status} has a body, declared is none`];
    if (value === undefined) return [`answer ${x.status} has no body`];
    return this.check(o.file, 'answer', schema, value);
  }
}

const NOT_JSON = Symbol('not JSON');

function isEmpty(v) { return v && typeof v === 'object' && Object.keys(v).length === 0; }

// Bodies are recorded as text or as JSON values; nothing is undefined.
function asJson(body) {
  if (body === undefined || body === null || body === '') return undefined;
  if (typeof body !== 'string') return body;
  try { return JSON.parse(body); } catch { return NOT_JSON; }
}

// The exchanges of one record file. Control calls of the simulator (/_sim/…)
// are no part of HubSpot's API, nor is what a fault left of an answer.
export function readRecord(file) {
  return fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line, i) => {
    try { return JSON.parse(line); } catch (e) { throw new Error(`${file}:${i + 1}: ${e.message}`); }
  }).filter((x) => !x.path.startsWith('/_sim') && !x.broken);
}
