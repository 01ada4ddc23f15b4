/* Merging gets and updates into batch/read and batch/update, and taking the
 * answers apart again. An object is one input, however many gets ask for it; an
 * object with an update out is not ready (queue.c), so no batch holds it twice.
 * Gets that named no properties want HubSpot's default set, which an empty list
 * stands for, so they do not travel with gets that named some. */
#include <assert.h>

#include "base/mem.h"
#include "hubspot/paths.h"
#include "hubspot/queue.h"

/* A longer query goes into the body of a batch/read of one. */
enum { QUERY_MAX = 4000, TEXT_MAX = 1 << 20 };

static void quote(hl_buf *b, const char *s) {
  cJSON *item = cJSON_CreateStringReference(s);
  hl_json_print_to(item, b);
  cJSON_Delete(item);
}

static hl_api_op *first_op(const hl_call *c) { return HL_LINKED(c->ops.next, hl_api_op, link); }

/* The distinct names of all members, in order of appearance; the id's property
 * among them where results are matched by it. */
typedef struct names {
  const char **v;
  size_t n, cap;
} names;

static void add_name(names *u, const char *name) {
  for (size_t i = 0; i < u->n; i++)
    if (strcmp(u->v[i], name) == 0) return;
  if (u->n == u->cap) {
    u->cap = u->cap * 2 + 16;
    u->v = hl_realloc(u->v, u->cap * sizeof *u->v);
  }
  u->v[u->n++] = name;
}

static names united(const hl_call *c) {
  names u = {0};
  for (const hl_link *l = c->ops.next; l != &c->ops; l = l->next) {
    const hl_api_op *op = HL_LINKED(l, const hl_api_op, link);
    for (char **p = op->properties; p && *p; p++) add_name(&u, *p);
  }
  return u;
}

static void object_path(const hl_api_op *op, const char *tail, hl_buf *b) {
  hl_buf_printf(b, "/crm/objects/%s/", op->account->version);
  hl_buf_urlencode(b, hl_str_of(op->type));
  hl_buf_puts(b, "/");
  if (tail) hl_buf_puts(b, tail);
  else hl_buf_urlencode(b, hl_str_of(op->id));
}

static int single_query(const hl_api_op *op, const names *u, hl_buf *b) {
  int rc = 0;
  for (size_t i = 0; i < u->n && !rc; i++) {
    rc = hl_buf_puts(b, i ? "," : "properties=");
    if (!rc) rc = hl_buf_urlencode(b, hl_str_of(u->v[i]));
  }
  if (!rc && op->id_property) {
    rc = hl_buf_puts(b, u->n ? "&idProperty=" : "idProperty=");
    if (!rc) rc = hl_buf_urlencode(b, hl_str_of(op->id_property));
  }
  return rc;
}

static void read_body(hl_call *c, names *u) {
  hl_buf *b = &c->body;
  const hl_api_op *one = first_op(c);
  if (one->id_property) add_name(u, one->id_property);
  hl_buf_puts(b, "{\"properties\":[");
  for (size_t i = 0; i < u->n; i++) {
    if (i) hl_buf_puts(b, ",");
    quote(b, u->v[i]);
  }
  hl_buf_puts(b, "],\"propertiesWithHistory\":[],");
  if (one->id_property) {
    hl_buf_puts(b, "\"idProperty\":");
    quote(b, one->id_property);
    hl_buf_puts(b, ",");
  }
  hl_buf_puts(b, "\"inputs\":[");
  size_t input = 0;
  for (hl_link *l = c->ops.next; l != &c->ops; l = l->next) {
    const hl_api_op *op = HL_LINKED(l, const hl_api_op, link);
    if (op->input != input) continue; /* one that shares an earlier input */
    hl_buf_puts(b, input ? ",{\"id\":" : "{\"id\":");
    quote(b, op->id);
    hl_buf_puts(b, "}");
    input++;
  }
  hl_buf_puts(b, "]}");
}

static void update_body(hl_call *c) {
  hl_buf *b = &c->body;
  hl_buf_puts(b, "{\"inputs\":[");
  for (hl_link *l = c->ops.next; l != &c->ops; l = l->next) {
    const hl_api_op *op = HL_LINKED(l, const hl_api_op, link);
    hl_buf_puts(b, op->input ? ",{\"id\":" : "{\"id\":");
    quote(b, op->id);
    if (op->id_property) { /* the answer has record ids: the trace id tells the rows apart */
      hl_buf_puts(b, ",\"idProperty\":");
      quote(b, op->id_property);
      hl_buf_printf(b, ",\"objectWriteTraceId\":\"%zu\"", op->input);
    }
    hl_buf_puts(b, ",\"properties\":");
    hl_buf_puts(b, op->body);
    hl_buf_puts(b, "}");
  }
  hl_buf_puts(b, "]}");
}

/* Path, query and body for the ops, which hold n inputs numbered from 0 in the
 * order of their first appearance. */
static void encode(hl_call *c, size_t n) {
  const hl_api_op *one = first_op(c);
  names u = united(c);
  hl_buf path, query;
  hl_buf_init(&path, TEXT_MAX);
  hl_buf_init(&query, QUERY_MAX);
  c->kind = one->kind;
  c->safe = true;
  bool batch = n > 1 || single_query(one, &u, &query) != 0;
  if (one->kind == HL_API_GET) {
    object_path(one, batch ? "batch/read" : NULL, &path);
    c->method = batch ? "POST" : "GET";
    if (batch) read_body(c, &u);
  } else {
    object_path(one, batch ? "batch/update" : NULL, &path);
    c->method = batch ? "POST" : "PATCH";
    if (batch) {
      update_body(c);
    } else {
      hl_buf_puts(&c->body, "{\"properties\":");
      hl_buf_puts(&c->body, one->body);
      hl_buf_puts(&c->body, "}");
    }
  }
  c->inputs = batch ? n : 0;
  c->path = hl_buf_detach(&path, NULL);
  if (!batch && query.n) c->query = hl_buf_detach(&query, NULL);
  hl_buf_deinit(&query);
  hl_free(u.v);
}

static void raw(hl_call *c, hl_api_op *op) {
  c->kind = HL_API_RAW;
  c->method = c->method_own = hl_strdup(op->method);
  c->path = hl_strdup(op->path);
  c->query = hl_strdup(op->query);
  c->content_type = hl_strdup(op->content_type);
  if (op->body_n) hl_buf_append(&c->body, op->body, op->body_n);
  c->safe = hl_path_is_safe(c->method, hl_str_of(c->path));
}

hl_call *hl_batch_gather(hl_queue *q, hl_api_op *op) {
  hl_call *c = hl_call_new(q, op->account, op->search ? &q->search : &q->main);
  hl_group *g = op->group;
  bool more = g && g->n > 1;
  op->input = 0;
  hl_queue_take(q, op, c);
  if (op->kind == HL_API_RAW) {
    raw(c, op);
    return c;
  }
  const char *ids[HL_BATCH_MAX] = {op->id};
  size_t n = 1, members = 1;
  for (int k = 0; k < HL_CLASSES && more; k++) {
    for (hl_link *l = g->ops[k].next, *next; more && l != &g->ops[k] && n < HL_BATCH_MAX; l = next) {
      next = l->next;
      hl_api_op *other = HL_LINKED(l, hl_api_op, in_group);
      size_t i = 0;
      while (i < n && strcmp(ids[i], other->id) != 0) i++;
      assert(i == n || op->kind == HL_API_GET);
      if (i == n) ids[n++] = other->id;
      other->input = i;
      more = g->n > 1; /* the group goes with its last member */
      hl_queue_take(q, other, c);
      members++;
    }
  }
  if (members > 1) op->account->stats.batched += members;
  encode(c, n);
  return c;
}

void hl_batch_halve(hl_call *c) {
  size_t half = c->inputs / 2;
  hl_call *parts[2];
  for (int i = 0; i < 2; i++) {
    parts[i] = hl_call_new(c->queue, c->account, c->stream);
    parts[i]->klass = c->klass;
  }
  while (!hl_link_alone(&c->ops)) {
    hl_api_op *op = first_op(c);
    int part = op->input >= half;
    if (part) op->input -= half;
    hl_link_remove(&op->link);
    hl_link_before(&parts[part]->ops, &op->link);
    op->call = parts[part];
    parts[part]->n_ops++;
  }
  size_t n[2] = {half, c->inputs - half};
  for (int i = 0; i < 2; i++) {
    encode(parts[i], n[i]);
    hl_queue_again(c->queue, parts[i]);
  }
}

/* ---- taking apart ---- */

typedef struct answer { /* what the answer says about each input */
  const hl_api_op *op[HL_BATCH_MAX]; /* one of the ops of the input */
  const cJSON *result[HL_BATCH_MAX], *error[HL_BATCH_MAX];
  size_t n;
} answer;

static bool is_input(const hl_api_op *op, const char *id) {
  return op->id_property ? hl_str_ieqz(hl_str_of(op->id), id) : strcmp(op->id, id) == 0;
}

static bool has_trace(const cJSON *trace, size_t input) {
  char text[24];
  snprintf(text, sizeof text, "%zu", input);
  if (cJSON_IsArray(trace)) trace = trace->child;
  return cJSON_IsString(trace) && strcmp(trace->valuestring, text) == 0;
}

static bool result_is(const cJSON *result, const hl_api_op *op) {
  if (!op->id_property) {
    char id[64];
    return hl_json_id(result, "id", id, sizeof id) && is_input(op, id);
  }
  if (op->kind == HL_API_UPDATE && has_trace(hl_json_get(result, "objectWriteTraceId"), op->input)) return true;
  const char *value = hl_json_str(hl_json_get(result, "properties"), op->id_property, NULL);
  return value && is_input(op, value);
}

static bool error_is(const cJSON *row, const hl_api_op *op) {
  const cJSON *context = hl_json_get(row, "context"), *id;
  if (op->id_property && op->kind == HL_API_UPDATE &&
      has_trace(hl_json_get(context, "objectWriteTraceId"), op->input))
    return true;
  static const char *const keys[] = {"ids", "id"};
  for (size_t i = 0; i < HL_COUNT(keys); i++) {
    const cJSON *list = hl_json_get(context, keys[i]);
    if (cJSON_IsString(list) && is_input(op, list->valuestring)) return true;
    cJSON_ArrayForEach(id, list)
      if (cJSON_IsString(id) && is_input(op, id->valuestring)) return true;
  }
  return false;
}

static void match(answer *a, const cJSON *results, const cJSON *errors) {
  const cJSON *row;
  const cJSON *stray = NULL;
  size_t strays = 0, open = 0, at = 0;
  cJSON_ArrayForEach(row, results) {
    bool found = false;
    for (size_t i = 0; i < a->n && !found; i++) {
      if (a->result[i] || !result_is(row, a->op[i])) continue;
      a->result[i] = row;
      found = true;
    }
    if (!found) stray = row, strays++;
  }
  cJSON_ArrayForEach(row, errors)
    for (size_t i = 0; i < a->n; i++)
      if (!a->result[i] && !a->error[i] && error_is(row, a->op[i])) a->error[i] = row;
  for (size_t i = 0; i < a->n; i++)
    if (!a->result[i] && !a->error[i]) open++, at = i;
  /* One update without an answer and one answer without an update: a merged
   * record, which answers with its new id. */
  if (strays == 1 && open == 1 && a->op[at]->kind == HL_API_UPDATE) a->result[at] = stray;
}

static bool always_there(const char *name) {
  static const char *const always[] = {"hs_object_id", "createdate", "hs_createdate", "lastmodifieddate",
                                      "hs_lastmodifieddate"};
  for (size_t i = 0; i < HL_COUNT(always); i++)
    if (strcmp(always[i], name) == 0) return true;
  return false;
}

/* The record with the properties that `op` asked for, and those that HubSpot
 * adds to every answer. Borrows from `record`. */
static cJSON *view(cJSON *record, const hl_api_op *op) {
  cJSON *out = cJSON_CreateObject(), *child, *p;
  cJSON_ArrayForEach(child, record) {
    if (strcmp(child->string, "properties") != 0 || !cJSON_IsObject(child)) {
      cJSON_AddItemReferenceToObject(out, child->string, child);
      continue;
    }
    cJSON *properties = cJSON_AddObjectToObject(out, "properties");
    cJSON_ArrayForEach(p, child) {
      bool keep = always_there(p->string);
      for (char **name = op->properties; !keep && *name; name++) keep = strcmp(*name, p->string) == 0;
      if (keep) cJSON_AddItemReferenceToObject(properties, p->string, p);
    }
  }
  return out;
}

static void give(hl_call *c, hl_api_op *op, const cJSON *record) {
  if (op->kind != HL_API_GET || !op->properties || !op->cb) {
    hl_queue_finish(c->queue, op, 200, record, NULL);
    return;
  }
  /* cJSON has no const references; the view is read only like its record. */
  union { const cJSON *in; cJSON *out; } unconst = {.in = record};
  cJSON *v = view(unconst.out, op);
  hl_queue_finish(c->queue, op, 200, v, NULL);
  cJSON_Delete(v);
}

bool hl_batch_take_apart(hl_call *c, int status, const cJSON *json) {
  (void)status; /* 200 and 207 differ in nothing that is not in the body */
  const cJSON *results = hl_json_get(json, "results");
  if (!cJSON_IsArray(results)) return false;
  hl_fault_place at = {.account = c->account->name, .method = c->method, .path = c->path, .log = hl_loop_log(c->queue->hubspot->loop)};
  answer a = {.n = c->inputs};
  for (hl_link *l = c->ops.next; l != &c->ops; l = l->next) {
    const hl_api_op *op = HL_LINKED(l, const hl_api_op, link);
    if (!a.op[op->input]) a.op[op->input] = op;
  }
  match(&a, results, hl_json_get(json, "errors"));
  while (!hl_link_alone(&c->ops)) {
    hl_api_op *op = first_op(c);
    size_t i = op->input;
    if (a.result[i]) {
      give(c, op, a.result[i]);
    } else if (a.error[i] || c->inputs == 1) {
      hl_fault f;
      hl_fault_row(&f, &at, a.error[i], hl_json_str(json, "correlationId", NULL));
      hl_queue_finish(c->queue, op, f.e.status, NULL, &f.e);
      hl_fault_deinit(&f);
    } else if (op->cb || op->kind == HL_API_UPDATE) {
      hl_queue_alone(c->queue, op);
    } else {
      hl_queue_finish(c->queue, op, 0, NULL, NULL);
    }
  }
  return true;
}
