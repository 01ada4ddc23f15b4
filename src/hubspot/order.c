/* Calls on one object keep their order; identical reads that are out are one.
 *
 * A write waits for every earlier write to its object, a read for every earlier
 * write to it; so no batch holds two writes of an object. An association write
 * belongs to both of its objects: it waits for their writes and they for it, but
 * two associations of one object wait for each other only when they join the same
 * pair, so that a hundred of them are still one batch.
 *
 * Each object is a queue of holds in program order, a hold waits for those before
 * it, and all holds of an op are entered at once: so the oldest op never waits,
 * and there is no deadlock.
 *
 * Known are: update, archive, upsert, get and the association kinds; raw GET, PUT,
 * PATCH and DELETE below /crm/objects/V/TYPE/ID, raw merge and gdpr-delete; a
 * create with a unique value against calls by that value. A unique value and a
 * record id are known to be one object once an answer has named both.
 * Not known are: raw batch calls, imports, what HubSpot changes by itself, and a
 * unique value that no answer has named yet against its record id. */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hubspot/paths.h"
#include "hubspot/queue.h"

enum { ALIASES = 2048, READS = 1024, KEY_MAX = 4096 }; /* powers of two */

typedef struct hl_object { /* gone when nobody holds or waits */
  struct hl_object *next;
  uint64_t hash;
  char *key;
  size_t writes, links;   /* active holds */
  hl_link waiting;        /* in program order */
} hl_object;

struct hl_order {
  hl_object **objects;    /* hash table, power of two */
  size_t n, cap;
  struct { uint64_t hash; char *id; } *aliases; /* what unique values were last seen to name; forgets */
  hl_api_op **reads;      /* an op of a read that is out, by its object; forgets */
  uint64_t *read_at;      /* ... and the count of writes when it left */
  uint64_t writes, unknown; /* all; those whose object is not known by id */
  uint64_t *unknown_at;
};

struct hl_order *hl_order_new(void) {
  struct hl_order *o = HL_NEW(struct hl_order);
  o->cap = 64;
  o->objects = hl_alloc(o->cap * sizeof *o->objects);
  o->aliases = hl_alloc(ALIASES * sizeof *o->aliases);
  o->reads = hl_alloc(READS * sizeof(hl_api_op *));
  o->read_at = hl_alloc(READS * sizeof *o->read_at);
  o->unknown_at = hl_alloc(READS * sizeof *o->unknown_at);
  return o;
}

void hl_order_free(struct hl_order *o) {
  assert(o->n == 0);
  for (size_t i = 0; i < ALIASES; i++) hl_free(o->aliases[i].id);
  hl_free(o->aliases);
  hl_free(o->reads);
  hl_free(o->read_at);
  hl_free(o->unknown_at);
  hl_free(o->objects);
  hl_free(o);
}

/* ---- keys ---- */

static char *key_of(const char *type, const char *property, const char *id) {
  hl_buf b;
  hl_buf_init(&b, KEY_MAX);
  hl_must(hl_buf_puts(&b, hl_path_type_id(type)));
  hl_must(hl_buf_append(&b, "\x1f", 1));
  if (property) hl_must(hl_buf_puts(&b, property));
  hl_must(hl_buf_append(&b, "\x1f", 1));
  size_t at = b.n;
  hl_must(hl_buf_puts(&b, id));
  for (; property && at < b.n; at++) b.p[at] = (char)tolower((unsigned char)b.p[at]); /* HubSpot folds the case of unique values */
  return hl_buf_detach(&b, NULL);
}

/* The same from either side. */
static char *pair_key(const hl_api_op *op) {
  char *a = key_of(op->type, NULL, op->id), *b = key_of(op->to_type, NULL, op->to_id);
  bool swap = strcmp(a, b) > 0;
  hl_buf k;
  hl_buf_init(&k, KEY_MAX);
  hl_must(hl_buf_printf(&k, "%s\x1e%s", swap ? b : a, swap ? a : b));
  hl_free(a);
  hl_free(b);
  return hl_buf_detach(&k, NULL);
}

/* ---- objects ---- */

static hl_object *find(struct hl_order *o, uint64_t hash, const char *key) {
  hl_object *at = o->objects[hash & (o->cap - 1)];
  while (at && (at->hash != hash || strcmp(at->key, key) != 0)) at = at->next;
  return at;
}

static void grow(struct hl_order *o) {
  size_t cap = o->cap * 2;
  hl_object **table = hl_alloc(cap * sizeof *table);
  for (size_t i = 0; i < o->cap; i++) {
    for (hl_object *at = o->objects[i], *next; at; at = next) {
      next = at->next;
      at->next = table[at->hash & (cap - 1)];
      table[at->hash & (cap - 1)] = at;
    }
  }
  hl_free(o->objects);
  o->objects = table;
  o->cap = cap;
}

static void object_free(struct hl_order *o, hl_object *object) {
  hl_object **at = &o->objects[object->hash & (o->cap - 1)];
  while (*at != object) at = &(*at)->next;
  *at = object->next;
  o->n--;
  hl_free(object->key);
  hl_free(object);
}

static bool may_pass(const hl_object *object, hl_hold_mode mode) {
  if (object->writes) return false;
  return !object->links || mode == HL_HOLD_LINK || mode == HL_HOLD_READ;
}

static void activate(hl_hold *hold) {
  if (hold->mode == HL_HOLD_WRITE) hold->object->writes++;
  else if (hold->mode == HL_HOLD_LINK) hold->object->links++;
  else hold->object = NULL; /* a read holds nothing */
  hold->active = true;
}

static uint64_t read_hash(uint64_t object, hl_api_kind kind) { return object * UINT64_C(0x9E3779B97F4A7C15) + (uint64_t)kind; }

/* Takes the key. */
static void enter(hl_queue *q, hl_api_op *op, hl_hold_mode mode, char *key) {
  struct hl_order *o = q->order;
  uint64_t hash = hl_hash(HL_HASH_START, key);
  hl_object *object = find(o, hash, key);
  bool read = mode == HL_HOLD_READ || mode == HL_HOLD_READ_LINKS;
  for (unsigned i = 0; i < op->n_holds && object; i++)
    if (op->holds[i].object == object) goto out; /* an object with itself */
  if (read && (!object || (hl_link_alone(&object->waiting) && may_pass(object, mode)))) goto out;
  if (!object) {
    if (o->n >= o->cap) grow(o);
    object = HL_NEW(hl_object);
    object->hash = hash;
    object->key = key;
    key = NULL;
    hl_link_init(&object->waiting);
    object->next = o->objects[hash & (o->cap - 1)];
    o->objects[hash & (o->cap - 1)] = object;
    o->n++;
  }
  assert(op->n_holds < HL_HOLDS_MAX);
  hl_hold *hold = &op->holds[op->n_holds++];
  *hold = (hl_hold){.object = object, .op = op, .mode = mode};
  hl_link_init(&hold->link);
  if (hl_link_alone(&object->waiting) && may_pass(object, mode)) {
    activate(hold);
  } else {
    hl_link_before(&object->waiting, &hold->link);
    op->blocked++;
  }
  if (read) goto out;
  /* Reads of it that are out may have been read before this write. */
  if (mode == HL_HOLD_WRITE) o->reads[read_hash(hash, HL_API_GET) & (READS - 1)] = NULL;
  o->reads[read_hash(hash, HL_API_ASSOCIATIONS) & (READS - 1)] = NULL;
out:
  hl_free(key);
}

static void enter_object(hl_queue *q, hl_api_op *op, hl_hold_mode mode, const char *type, const char *property, const char *id) {
  char *key = key_of(type, property, id);
  if (property) {
    uint64_t hash = hl_hash(HL_HASH_START, key);
    const char *known = q->order->aliases[hash & (ALIASES - 1)].id;
    if (known && q->order->aliases[hash & (ALIASES - 1)].hash == hash) enter(q, op, mode, key_of(type, NULL, known));
  }
  enter(q, op, mode, key);
}

static void hold_pair(hl_queue *q, hl_api_op *op) {
  enter_object(q, op, HL_HOLD_LINK, op->type, NULL, op->id);
  enter_object(q, op, HL_HOLD_LINK, op->to_type, NULL, op->to_id);
  enter(q, op, HL_HOLD_WRITE, pair_key(op));
}

/* ---- raw calls ---- */

/* The next segment of a path, percent-decoded; NULL at the end. */
static char *segment(const char **path) {
  if (**path != '/') return NULL;
  const char *p = *path + 1;
  hl_buf b;
  hl_buf_init(&b, KEY_MAX);
  for (; *p && *p != '/'; p++) {
    char c = *p;
    if (c == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
      char hex[3] = {p[1], p[2], 0};
      c = (char)strtoul(hex, NULL, 16);
      p += 2;
    }
    if (!c || hl_buf_append(&b, &c, 1)) break;
  }
  *path = p + strcspn(p, "/");
  return b.n ? hl_buf_detach(&b, NULL) : NULL;
}

static char *query_value(const char *query, const char *name) {
  size_t n = strlen(name);
  for (const char *p = query; p && *p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL)
    if (strncmp(p, name, n) == 0 && p[n] == '=' && p[n + 1] && p[n + 1] != '&')
      return hl_strndup(p + n + 1, strcspn(p + n + 1, "&"));
  return NULL;
}

/* A raw call's body names the objects that merge and gdpr-delete change. */
static bool hold_named(hl_queue *q, hl_api_op *op, const char *type, const char *verb) {
  cJSON *body = NULL;
  char id[600], other[600];
  bool known = false;
  if (hl_json_parse((hl_str){op->body, op->body_n}, &body, NULL)) return false;
  if (strcmp(verb, "merge") == 0 && hl_json_id(body, "primaryObjectId", id, sizeof id) &&
      hl_json_id(body, "objectIdToMerge", other, sizeof other)) {
    enter_object(q, op, HL_HOLD_WRITE, type, NULL, id);
    enter_object(q, op, HL_HOLD_WRITE, type, NULL, other);
  } else if (strcmp(verb, "gdpr-delete") == 0 && hl_json_id(body, "objectId", id, sizeof id)) {
    const char *property = hl_json_str(body, "idProperty", NULL);
    enter_object(q, op, HL_HOLD_WRITE, type, property, id);
    known = !property;
  }
  cJSON_Delete(body);
  return known; /* a merge makes a third object, which nobody knows yet */
}

/* False when the call may write something that is not known here. */
static bool hold_raw(hl_queue *q, hl_api_op *op) {
  bool get = strcmp(op->method, "GET") == 0 || strcmp(op->method, "HEAD") == 0, post = strcmp(op->method, "POST") == 0;
  bool known = get || op->stream == HL_STREAM_SEARCH;
  if (strncmp(op->path, "/crm/objects/", 13) != 0) return known;
  const char *p = op->path + 12;
  char *seg[7] = {0};
  size_t n = 0;
  while (n < HL_COUNT(seg) && (seg[n] = segment(&p))) n++;
  const char *type = seg[1], *id = seg[2];
  if (n == 3 && post) {
    known = op->stream == HL_STREAM_SEARCH || hold_named(q, op, type, id);
  } else if (n == 3) {
    char *property = query_value(op->query, "idProperty");
    enter_object(q, op, get ? HL_HOLD_READ : HL_HOLD_WRITE, type, property, id);
    known = known || !property;
    hl_free(property);
  } else if (n >= 5 && strcmp(seg[3], "associations") == 0 && get) {
    enter_object(q, op, HL_HOLD_READ_LINKS, type, NULL, id);
  } else if (n >= 6 && strcmp(seg[3], "associations") == 0) {
    size_t to = strcmp(seg[4], "default") == 0 ? 5 : 4;
    if (to + 1 < n) {
      hl_api_op pair = {.type = seg[1], .id = seg[2], .to_type = seg[to], .to_id = seg[to + 1]};
      enter_object(q, op, HL_HOLD_LINK, pair.type, NULL, pair.id);
      enter_object(q, op, HL_HOLD_LINK, pair.to_type, NULL, pair.to_id);
      enter(q, op, HL_HOLD_WRITE, pair_key(&pair));
      known = true;
    }
  }
  for (size_t i = 0; i < n; i++) hl_free(seg[i]);
  return known;
}

/* ---- the way of an op ---- */

bool hl_order_enter(hl_queue *q, hl_api_op *op) {
  bool known = true, write = !hl_kinds[op->kind].read;
  switch (op->kind) {
  case HL_API_RAW:
    known = hold_raw(q, op);
    write = !known || op->n_holds;
    break;
  case HL_API_GET:
    enter_object(q, op, HL_HOLD_READ, op->type, op->id_property, op->id);
    break;
  case HL_API_ASSOCIATIONS:
    enter_object(q, op, HL_HOLD_READ_LINKS, op->type, NULL, op->id);
    break;
  case HL_API_ASSOCIATE:
  case HL_API_DISASSOCIATE:
    hold_pair(q, op);
    break;
  case HL_API_CREATE:
    if (op->id) enter_object(q, op, HL_HOLD_WRITE, op->type, op->id_property, op->id);
    break;
  default:
    enter_object(q, op, HL_HOLD_WRITE, op->type, op->id_property, op->id);
    known = !op->id_property;
  }
  if (write) q->order->writes++;
  if (!known) q->order->unknown++;
  return op->blocked > 0;
}

void hl_order_leave(hl_queue *q, hl_api_op *op) {
  for (unsigned i = 0; i < op->n_holds; i++) {
    hl_hold *hold = &op->holds[i];
    hl_object *object = hold->object;
    if (!object) continue;
    hl_link_remove(&hold->link);
    if (hold->active && hold->mode == HL_HOLD_WRITE) object->writes--;
    else if (hold->active) object->links--;
    hold->object = NULL;
    while (!hl_link_alone(&object->waiting)) {
      hl_hold *next = HL_LINKED(object->waiting.next, hl_hold, link);
      if (!may_pass(object, next->mode)) break;
      hl_link_remove(&next->link);
      activate(next);
      if (--next->op->blocked) continue;
      hl_queue_make_ready(q, next->op, false);
      hl_queue_kick(q);
    }
    if (!object->writes && !object->links && hl_link_alone(&object->waiting)) object_free(q->order, object);
  }
  op->n_holds = 0;
}

void hl_order_learn(hl_queue *q, const hl_api_op *op, const cJSON *record) {
  char id[64];
  if (!op->id_property || !hl_json_id(record, "id", id, sizeof id)) return;
  char *key = key_of(op->type, op->id_property, op->id);
  uint64_t hash = hl_hash(HL_HASH_START, key);
  hl_free(key);
  char **known = &q->order->aliases[hash & (ALIASES - 1)].id;
  if (*known && q->order->aliases[hash & (ALIASES - 1)].hash == hash && strcmp(*known, id) == 0) return;
  hl_free(*known);
  *known = hl_strdup(id);
  q->order->aliases[hash & (ALIASES - 1)].hash = hash;
}

/* ---- reads that are out ---- */

static size_t read_place(const hl_api_op *op) {
  char *key = key_of(op->type, op->id_property, op->id);
  uint64_t hash = read_hash(hl_hash(HL_HASH_START, key), op->kind);
  hl_free(key);
  return hash & (READS - 1);
}

void hl_order_reading(hl_queue *q, hl_api_op *op) {
  if (!hl_kinds[op->kind].read || op->alone) return;
  size_t at = read_place(op);
  q->order->reads[at] = op;
  q->order->read_at[at] = q->order->writes;
  q->order->unknown_at[at] = q->order->unknown;
  op->read_slot = at + 1;
}

void hl_order_read(hl_queue *q, hl_api_op *op) {
  if (op->read_slot && q->order->reads[op->read_slot - 1] == op) q->order->reads[op->read_slot - 1] = NULL;
  op->read_slot = 0;
}

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* Whether somebody in the call asks for the property. */
static bool asks_for(const hl_call *c, const char *name) {
  for (const hl_link *l = c->ops.next; l != &c->ops; l = l->next) {
    const hl_api_op *op = HL_LINKED(l, const hl_api_op, link);
    for (char **p = op->properties; p && *p; p++)
      if (strcmp(*p, name) == 0) return true;
  }
  return false;
}

/* SEMANTICS 33: it began after the last write to the object. A write by record id
 * has taken its object's reads out of the table; of other writes only the count is
 * known, and of a read by a unique value not even which writes concern it. */
bool hl_order_join(hl_queue *q, hl_api_op *op) {
  if (!hl_kinds[op->kind].read || op->alone || op->n_holds) return false;
  size_t at = read_place(op);
  const hl_api_op *r = q->order->reads[at];
  if (!r || !r->call->out || q->order->unknown_at[at] != q->order->unknown ||
      (op->id_property && q->order->read_at[at] != q->order->writes))
    return false;
  if (r->kind != op->kind || r->variant != op->variant || r->account != op->account || !same(r->type, op->type) ||
      !same(r->row, op->row) || !same(r->id_property, op->id_property) || !same(r->to_type, op->to_type) ||
      !same(r->after, op->after))
    return false;
  for (char **p = op->properties; p && *p; p++)
    if (!asks_for(r->call, *p)) return false;
  op->input = r->input;
  op->call = r->call;
  op->state = HL_OP_TRAVELLING;
  hl_link_before(&r->call->ops, &op->link);
  r->call->n_ops++;
  return true;
}
