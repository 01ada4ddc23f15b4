// Writes src/hubspot/operations.inc out of HubSpot's published operations
// (../shared/hubspot: endpoints.tsv and openapi/). `make tables` runs it; with
// --check it only compares, prints the first difference and exits 1.
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { dataFolder } from './apis.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const data = dataFolder()
const target = path.join(root, 'src/hubspot/operations.inc')

const DATED = /^20\d\d-\d\d(-beta)?$/
const LEGACY = /^v\d$/
const ANY = '*any-object-scope*'

function fail(text) {
  console.error(`operations.mjs: ${text}`)
  process.exit(1)
}

if (!data) fail("HubSpot's data (../shared/hubspot/endpoints.tsv) is not here; HL_HUBSPOT names its folder")

const segments = p => p.split('/').slice(1).filter((s, i, all) => s !== '' || i < all.length - 1)
const isParam = s => s.startsWith('{') && s !== '{version}'
const blank = list => list.map(s => isParam(s) ? '{}' : s)
const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0

const rows = fs.readFileSync(path.join(data, 'endpoints.tsv'), 'utf8').trim().split('\n').slice(1).map(line => {
  const [, api, method, p, scopes, summary] = line.split('\t')
  const list = segments(p)
  const version = list.find(s => DATED.test(s) || LEGACY.test(s))
  if (!version) fail(`no version in ${p}`)
  return { api, method, list, version, dated: DATED.test(version), scopes: scopes || '', summary: (summary || '').trim() }
})
const versions = [...new Set(rows.filter(r => r.dated).map(r => r.version))].sort().reverse()

// ---- object types ----

// Ids that the operations' paths do not show (FACTS 1; appointments have no name in a path at all).
const IDS = { appointments: '0-421', contacts: '0-1', companies: '0-2', deals: '0-3', tickets: '0-5', products: '0-7', line_items: '0-8', quotes: '0-14',
  communications: '0-18', feedback_submissions: '0-19', tasks: '0-27', notes: '0-46', meetings: '0-47', calls: '0-48',
  emails: '0-49', invoices: '0-53', goal_targets: '0-74', orders: '0-123', leads: '0-136', carts: '0-142' }
const snake = s => s.replace(/[A-Z]/g, c => '_' + c.toLowerCase())

// The segments after the object type's, when the path is one of objects.
function objectPath(list) {
  const at = list[0] !== 'crm' ? -1 : list[1] === 'objects' ? 3 : list[2] === 'objects' ? 3 : -1
  if (at < 0 || list.length <= at) return null
  const rest = blank(list.slice(at + 1)).join('/')
  return /^($|\{\}$|\{\}\/associations|batch\/|search$|merge$|gdpr-delete$)/.test(rest) ? { type: list[at], rest: list.slice(at + 1) } : null
}

const isRead = r => r.method === 'GET' || /^(search|read)$/.test(r.list.at(-1))
const newestFirst = (a, b) => (b.dated - a.dated) || compare(b.version, a.version) || compare(a.api, b.api)

function openapiScopes(file, p, method) {
  const doc = JSON.parse(fs.readFileSync(path.join(data, 'openapi', file), 'utf8'))
  const found = doc.paths[p]?.[method]?.security
  if (!found) fail(`openapi/${file} has no ${method} ${p}`)
  return new Set(found.flatMap(s => Object.values(s).map(list => list.join('+'))))
}
const objectScopes = openapiScopes('crm-objects.json', '/crm/objects/2026-09/{objectType}', 'get')
const schemaReads = openapiScopes('crm-properties.json', '/crm/properties/2026-09/{objectType}', 'get')
const schemaWrites = openapiScopes('crm-properties.json', '/crm/properties/2026-09/{objectType}', 'post')

function findTypes() {
  const apis = new Map()
  for (const r of rows) {
    const o = objectPath(r.list)
    if (!o || o.rest.includes('associations')) continue
    if (!apis.has(r.api)) apis.set(r.api, { names: new Set(), ids: new Set(), rows: [] })
    const api = apis.get(r.api)
    if (/^0-\d+$/.test(o.type)) api.ids.add(o.type)
    else if (!isParam(o.type)) api.names.add(o.type)
    if (r.scopes) api.rows.push(r)
  }
  const types = []
  for (const [name, api] of apis) {
    const own = snake(name)
    const names = [...api.names].length ? [...api.names] : [own]
    if (names.length > 1) fail(`${name} has several object names: ${names}`)
    const granted = kind => {
      const list = api.rows.filter(r => isRead(r) === (kind === 'read')).sort(newestFirst)
      const told = list.find(r => r.scopes !== ANY)
      if (told) return alternatives(told.scopes, kind === 'read', told.list)
      const guess = `crm.objects.${names[0]}.${kind}`
      return list.length && objectScopes.has(guess) ? guess : ''
    }
    const type = { name: names[0], id: IDS[names[0]] ?? [...api.ids][0] ?? '', read: granted('read'), write: granted('write') }
    if (!api.names.size && !type.read && name !== 'forecasts') continue // not a type: the generic APIs
    types.push(type)
  }
  types.push({ name: 'custom', id: '2-', read: 'crm.objects.custom.read', write: 'crm.objects.custom.write' })
  for (const t of types) {
    const object = /crm\.objects\.([\w-]+)\.read/.exec(t.read)?.[1]
    const read = `crm.schemas.${object}.read`, write = `crm.schemas.${object}.write`
    t.schemaRead = schemaReads.has(read) ? `${read}|${t.read}` : t.read
    t.schemaWrite = schemaWrites.has(write) ? write : t.write
  }
  return types.sort((a, b) => compare(a.name, b.name))
}

// ---- scopes ----

// The journal's scopes as an app asks for them; the data has HubSpot's own names. One of them is for both ways.
const JOURNAL = {
  'webhooks-journal-data-access': 'developer.webhooks_journal.read',
  'webhooks-journal-subscription-read': 'developer.webhooks_journal.subscriptions.read',
  'webhooks-journal-subscription-management': 'developer.webhooks_journal.subscriptions.write',
}
const asked = (s, read) => s === 'webhooks-journal-snapshot-management' ? `developer.webhooks_journal.snapshots.${read ? 'read' : 'write'}` : JOURNAL[s] ?? s

// "a b c+d" as "b|a|c+d": the narrowest first. Scopes that HubSpot keeps for itself go, and so does "oauth",
// which every token has: an operation that takes it needs no other.
function alternatives(text, read, list) {
  const words = new Set(list.flatMap(s => s.split(/[^a-z_]+/)))
  const all = text.split(' ').filter(s => s && !/ACCEPTANCE_TEST|_legacy\b|\.ui_hidden\./.test(s)).map(s => asked(s, read))
  if (all.includes('oauth')) return ''
  const rank = s => {
    const parts = s.split('+')
    const wants = read ? /[.-]read$/ : /[.-](write|send|delete|create|publish|send)$/
    let n = parts.length * 2
    if (!parts.some(p => /[.]/.test(p))) n += 40
    if (!parts.some(p => wants.test(p))) n += 8
    if (parts.some(p => read && /write$/.test(p))) n += 4
    n += 3 * parts.filter(p => !p.split('.').some(w => words.has(w))).length
    return n
  }
  return [...new Set(all)].sort((a, b) => rank(a) - rank(b) || compare(a, b)).join('|')
}

// How `*any-object-scope*` follows from the object types in the path; operations.c reads these marks.
function anyScopes(list) {
  const types = list.filter(s => /^\{\w*bjectType(Id)?\}$/.test(s)).length
  if (list[1] === 'properties' || list[1] === 'pipelines' || list[1] === 'property-validations') return '*schema'
  if (types === 2 && list.includes('associations')) return '*objects'
  if (types === 1 && list[1] === 'objects') return '*objects'
  if (list[0] === 'scheduler' || /^(limits|object-library|associations)$/.test(list[1])) return '*any'
  return fail(`no rule for the scopes of /${list.join('/')}`)
}

// ---- operations ----

function template(r) {
  const o = objectPath(r.list)
  if (o) {
    const rest = o.rest.map((s, i) => i === 0 && isParam(s) ? '{objectId}' : s)
    if (rest[1] === 'associations' && rest[2] !== 'default' && isParam(rest[2] ?? '')) rest[2] = '{toObjectType}'
    return [...(r.dated ? ['crm', 'objects', '{version}'] : r.list.slice(0, 3)), '{objectType}', ...rest]
  }
  return r.list.map(s => s === r.version && r.dated ? '{version}' : s)
}

const sortKey = list => blank(list).map(s => s === '{}' ? '\x7f' : s === '{version}' ? '\x7e' : s)
const byPath = (a, b) => {
  for (let i = 0; i < Math.min(a.key.length, b.key.length); i++) if (a.key[i] !== b.key[i]) return compare(a.key[i], b.key[i])
  return a.key.length - b.key.length || compare(a.method, b.method)
}

function fold(list) {
  const found = new Map()
  for (const r of [...list].sort(newestFirst)) {
    const t = template(r), id = `${r.method} ${blank(t).join('/')}`
    const object = objectPath(r.list) !== null
    let scopes = r.scopes === ANY ? anyScopes(t) : alternatives(r.scopes, isRead(r), r.list)
    if (object) scopes = '*objects'
    if (!found.has(id)) found.set(id, { method: r.method, list: t, key: sortKey(t), api: object ? 'objects' : r.api, scopes, versions: new Set() })
    const op = found.get(id)
    if (!op.scopes && !/\boauth\b/.test(r.scopes)) op.scopes = scopes
    if (!op.summary && (!object || r.api === 'objects')) op.summary = r.summary
    op.versions.add(r.version)
  }
  return [...found.values()].sort(byPath)
}

// ---- legacy paths ----

// Operations whose dated path has other words; each target is looked up below.
const MOVED = {
  '/business-units/v3/business-units/user/{}': '/business-units/public/{version}/business-units/user/{}',
  '/crm/objects/v3/deals/splits/batch/read': '/deal-splits/{version}/batch/read',
  '/crm/objects/v3/deals/splits/batch/upsert': '/deal-splits/{version}/batch/upsert',
  '/events/v3/events': '/events/event-occurrences/{version}',
  '/events/v3/events/event-types': '/events/event-occurrences/{version}/event-types',
  '/events/v3/send': '/events/custom/{version}/send',
  '/events/v3/send/batch': '/events/custom/{version}/send/batch',
  '/marketing/v4/email/single-send': '/marketing/email-campaigns/{version}/single-send',
}
const MOVED_BELOW = { '/events/v3/event-definitions': '/events/custom/{version}/event-definitions', '/webhooks/v3': '/app-webhooks/{version}' }
// v1 and v2 APIs that the data no longer lists: what follows means nothing in the dated API, so only its beginning is
// named. After a blank the last release that has it.
const OLDER = {
  '/companies/v2': '/crm/objects/{version}/companies', '/contacts/v1': '/crm/objects/{version}/contacts',
  '/contacts/v1/groups': '/crm/properties/{version}/contacts', '/contacts/v1/lists': '/crm/lists/{version}',
  '/contacts/v1/properties': '/crm/properties/{version}/contacts',
  '/crm-associations/v1': '/crm/associations/{version}', '/crm-objects/v1': '/crm/objects/{version}',
  '/crm-pipelines/v1': '/crm/pipelines/{version}', '/crm/v3/schemas': '/crm-object-schemas/{version}/schemas',
  '/deals/v1': '/crm/objects/{version}/deals', '/email/public/v1/campaigns': '/marketing/emails/{version}',
  '/email/public/v1/singleEmail': '/marketing/transactional/{version}/single-email',
  '/email/public/v1/smtpapi': '/marketing/transactional/{version}/smtp-tokens 2026-03',
  '/email/public/v1/subscriptions': '/communication-preferences/{version}',
  '/engagements/v1': '/crm/objects/{version}/notes', '/filemanager/api/v2': '/files/{version}/files 2026-03',
  '/filemanager/api/v3': '/files/{version}/files 2026-03', '/hubdb/api/v2': '/cms/hubdb/{version}/tables 2026-03',
  '/integrations/v1/limit/daily': '/account-info/{version}/api-usage/daily/private-apps',
  '/integrations/v1/me': '/account-info/{version}/details', '/marketing-emails/v1': '/marketing/emails/{version}',
  '/owners/v2': '/crm/owners/{version}', '/owners/v3': '/crm/owners/{version}',
  '/properties/v1': '/crm/properties/{version}', '/properties/v2': '/crm/properties/{version}',
  '/webhooks/v1': '/app-webhooks/{version}',
}

// The longest rule that matches; of two as long, the one whose first different segment is literal.
function ruleFor(at, rules) {
  const list = segments(at)
  const hits = [...rules.keys()].map(segments).filter(p => p.length <= list.length && p.every((s, i) => s === '{}' || s === list[i]))
  hits.sort((a, b) => b.length - a.length || compare(a.map(s => s === '{}').join(), b.map(s => s === '{}').join()))
  return hits.length ? rules.get('/' + hits[0].join('/')) : undefined
}

function groupBy(list, keyOf) {
  const groups = new Map()
  for (const item of list) {
    const key = keyOf(item)
    if (!groups.has(key)) groups.set(key, [])
    groups.get(key).push(item)
  }
  return groups
}

// A dated path and release for a legacy path: the one that has most of its methods, then the newest.
function pick(ops, methods) {
  let best = null
  for (const path of new Set(ops.map(op => '/' + blank(op.list).join('/')))) {
    for (const release of versions) {
      const has = ops.filter(op => '/' + blank(op.list).join('/') === path && op.versions.has(release))
      const n = has.filter(op => methods.has(op.method)).length
      if (n && (!best || n > best.n || (n === best.n && release > best.release))) best = { n, release, list: blank(has[0].list) }
    }
  }
  return best
}

function legacyRules(dated) {
  const byWords = groupBy(dated, op => op.key.filter(s => s !== '\x7e').join('/'))
  const byPath = groupBy(dated, op => '/' + blank(op.list).join('/'))
  const legacy = new Map()
  for (const r of rows.filter(row => !row.dated)) {
    const list = blank(objectPath(r.list) ? [...r.list.slice(0, 3), '{}', ...r.list.slice(4)] : r.list)
    const old = '/' + list.join('/')
    if (!legacy.has(old)) legacy.set(old, { list, methods: new Set() })
    legacy.get(old).methods.add(r.method)
  }
  const rules = new Map(), wanted = new Map(), counts = new Map(), tree = { children: new Map() }
  for (const [old, { list, methods }] of legacy) {
    let to = MOVED[old]
    for (const [from, below] of Object.entries(MOVED_BELOW)) if ((old + '/').startsWith(from + '/')) to = below + old.slice(from.length)
    const found = pick((to ? byPath.get(to) : byWords.get(sortKey(list).filter(s => !LEGACY.test(s)).join('/'))) ?? [], methods)
    if (MOVED[old] && !found) fail(`the data has no ${to}`)
    let rule = ''
    if (found) {
      const a = [...list], b = [...found.list]
      while (a.length && b.length && a.at(-1) === b.at(-1)) { a.pop(); b.pop() }
      const from = '/' + a.join('/'), dest = `/${b.join('/')}${found.release === versions[0] ? '' : ' ' + found.release}`
      rule = `${from} ${dest}`
      if (!counts.has(from)) counts.set(from, new Map())
      counts.get(from).set(dest, (counts.get(from).get(dest) ?? 0) + 1)
    }
    wanted.set(old, rule)
    let node = tree
    for (const s of list) {
      if (!node.children.has(s)) node.children.set(s, { children: new Map() })
      node = node.children.get(s)
    }
    node.rule = rule
  }
  // A path that the data does not list goes the way of most of its neighbours; the newest release when they are even.
  const usual = new Map()
  for (const [from, list] of counts) {
    const rule = [...list].sort((a, b) => b[1] - a[1] || a[0].length - b[0].length)[0][0]
    usual.set(from, `${from} ${rule}`)
  }
  const uniform = node => {
    const all = new Set(node.rule === undefined ? [] : [node.rule])
    for (const child of node.children.values()) for (const rule of uniform(child)) all.add(rule)
    return all
  }
  // A rule begins where it replaces something or deeper; a path without a dated form is excepted exactly.
  const depth = at => at.split('/').length
  const walk = (node, at, inherited) => {
    const below = [...uniform(node)]
    let rule = usual.get(at) ?? node.rule ?? (below.length === 1 && below[0] ? below[0] : inherited)
    if (rule && depth(at) < depth(rule.split(' ')[0])) rule = inherited
    if (rule !== inherited) rules.set(at, rule)
    for (const [s, child] of node.children) walk(child, `${at}/${s}`, rule)
  }
  walk(tree, '', '')
  // A literal path beside an excepted {} one is matched by that exception: it gets a rule of its own.
  for (const [at, rule] of wanted) if ((ruleFor(at, rules) ?? '') !== rule) rules.set(at, rule)
  const out = []
  for (const [at, rule] of rules) {
    const [from = '', to = '', newest = ''] = rule.split(' ')
    out.push({ old: at, drop: depth(from) - 1, dated: rule ? to : null, newest })
  }
  for (const [old, rule] of Object.entries(OLDER)) {
    const [to, newest = ''] = rule.split(' ')
    const api = to.slice(0, to.indexOf('{version}') + 9)
    if (!dated.some(op => `/${op.list.join('/')}/`.startsWith(`${api}/`) && op.versions.has(newest || versions[0]))) fail(`the data has no ${rule}`)
    out.push({ old, drop: 0, dated: to, newest })
  }
  return out.sort((a, b) => compare(a.old, b.old))
}

// ---- the file ----

const c = text => text === null ? 'NULL' : `"${text.replace(/[\\"]/g, '\\$&')}"`

function generate() {
  const types = findTypes()
  const dated = fold(rows.filter(r => r.dated))
  const rules = legacyRules(dated)
  const byOld = new Map(rules.map(r => [r.old, r.dated]))
  const refused = r => Boolean(ruleFor('/' + blank(r.list).join('/'), byOld))
  const only = fold(rows.filter(r => !r.dated && !refused(r)))
  const ops = [...dated, ...only].sort(byPath)
  const bit = op => [...op.versions].filter(v => DATED.test(v)).reduce((n, v) => n | 1 << versions.indexOf(v), 0)
  return `/* Generated by \`make tables\` (tests/generate/operations.mjs) from HubSpot's published
 * operations: endpoints.tsv (${rows.length} rows) and openapi/crm-objects.json, crm-properties.json.
 * Do not edit. Included by operations.c only. */

/* Dated releases, newest first: bit i of an operation's versions. */
static const char *const releases[] = {${versions.map(c).join(', ')}};

/* Object types by name; the ids that the data tells. Scopes: alternatives divided by '|',
 * the narrowest first; 'a+b' needs both; "": unknown. "custom" stands for all of the account's own. */
static const hl_object_type types[] = { /* ${types.length} */
${types.map(t => `  {${[t.name, t.id, t.read, t.write, t.schemaRead, t.schemaWrite].map(c).join(', ')}},`).join('\n')}
};

/* Sorted by segments, literal ones before {…}. A path with v1-v4 in it has no dated form. */
static const hl_operation operations[] = { /* ${ops.length} */
${ops.map(o => `  {"${o.method}", "/${o.list.join('/')}", "${o.api}", "${o.scopes}", ${bit(o)}, ${c(o.summary ?? '')}},`).join('\n')}
};

/* Legacy paths and what they are in dated form; {} is any segment, the longest match decides,
 * and of two as long the literal one. dated stands for the first 'drop' segments and the rest stays; drop 0: the rest
 * means nothing in the dated API. dated NULL: has no dated form, and passes. newest: the
 * last release that has it, where that is not the newest. */
static const struct legacy { const char *old; unsigned drop; const char *dated, *newest; } legacies[] = { /* ${rules.length} */
${rules.map(r => `  {"${r.old}", ${r.drop}, ${c(r.dated)}, ${r.newest ? c(r.newest) : 'NULL'}},`).join('\n')}
};
`
}

const text = generate()
if (process.argv.includes('--check')) {
  const now = fs.existsSync(target) ? fs.readFileSync(target, 'utf8') : ''
  if (now !== text) {
    const a = now.split('\n'), b = text.split('\n'), at = b.findIndex((line, i) => line !== a[i])
    fail(`src/hubspot/operations.inc is not what the data gives; run make tables. Line ${at + 1}:\n  has  ${a[at]}\n  data ${b[at]}`)
  }
} else {
  fs.writeFileSync(target, text)
  console.log(`src/hubspot/operations.inc: ${text.split('\n').length} lines, ${text.length} bytes`)
}
