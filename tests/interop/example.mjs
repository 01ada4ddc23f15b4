// Values that fit a schema of HubSpot's OpenAPI documents: requests that a script
// might send and answers that HubSpot might give. The same for the same schema.

const DEEP = 5; // below that only what is required: some schemas hold themselves

function resolve(doc, schema) {
  return schema?.$ref ? doc.components.schemas[schema.$ref.split('/').pop()] : schema ?? {};
}

function text(s) {
  if (s.format === 'date-time') return '2026-09-01T08:30:00Z';
  if (s.format === 'date') return '2026-09-01';
  if (s.format === 'uuid') return '3f2b8c1e-6c1d-4f0a-9b7e-2d1c5a4e8f90';
  if (s.format === 'uri') return 'https://example.com/a';
  if (s.format === 'email') return 'ana@example.com';
  return 'text'.padEnd(s.minLength ?? 0, '-');
}

export function example(doc, schema, depth = 0) {
  const s = resolve(doc, schema);
  if (s.enum) return s.enum[0];
  if (s.allOf) return Object.assign({}, ...s.allOf.map((x) => example(doc, x, depth)));
  const choice = s.oneOf ?? s.anyOf;
  if (choice) return example(doc, choice[0], depth + 1);
  switch (s.type) {
    case 'string': return text(s);
    case 'integer': return s.minimum ?? 7;
    case 'number': return s.minimum ?? 1.5;
    case 'boolean': return true;
    case 'array': return depth >= DEEP && !s.minItems ? [] : [example(doc, s.items, depth + 1)];
    default: break;
  }
  const out = {};
  for (const [name, value] of Object.entries(s.properties ?? {})) {
    if (depth < DEEP || (s.required ?? []).includes(name)) out[name] = example(doc, value, depth + 1);
  }
  if (!s.properties && s.additionalProperties && typeof s.additionalProperties === 'object' && depth < DEEP) {
    out.key = example(doc, s.additionalProperties, depth + 1);
  }
  return out;
}
