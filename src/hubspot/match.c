/* Taking the answer of a batch apart: which row is whose (FACTS 4). Rows are found
 * by their trace id, or by what names them (kind.c), through one hash table, so a
 * batch of 2,000 costs what its rows cost. */
#include <assert.h>

#include "base/mem.h"
#include "hubspot/queue.h"

enum { ROW_MAX = 2048 };

typedef struct answer { /* what the answer says about each input */
  size_t n;
  const hl_api_op **op;              /* one of the ops of the input */
  const cJSON **result, **error;
  size_t *by_row, cap;               /* hash table of input + 1 */
  bool strange;                      /* an error whose row is not known */
} answer;

static void answer_init(answer *a, const hl_call *c) {
  *a = (answer){.n = c->inputs, .cap = 16};
  while (a->cap < a->n * 2) a->cap *= 2;
  a->op = hl_alloc(a->n * sizeof(const hl_api_op *));
  a->result = hl_alloc(a->n * sizeof(const cJSON *));
  a->error = hl_alloc(a->n * sizeof(const cJSON *));
  a->by_row = hl_alloc(a->cap * sizeof *a->by_row);
  for (const hl_link *l = c->ops.next; l != &c->ops; l = l->next) {
    const hl_api_op *op = HL_LINKED(l, const hl_api_op, link);
    assert(op->input < a->n);
    if (a->op[op->input]) continue;
    a->op[op->input] = op;
    if (!op->row) continue;
    size_t at = hl_hash(HL_HASH_START, op->row) & (a->cap - 1);
    while (a->by_row[at]) at = (at + 1) & (a->cap - 1);
    a->by_row[at] = op->input + 1;
  }
}

static void answer_deinit(answer *a) {
  hl_free(a->op);
  hl_free(a->result);
  hl_free(a->error);
  hl_free(a->by_row);
}

/* The input with this row; a->n when there is none. */
static size_t find(const answer *a, const hl_buf *row) {
  if (!row->p) return a->n;
  size_t at = hl_hash(HL_HASH_START, row->p) & (a->cap - 1);
  for (; a->by_row[at]; at = (at + 1) & (a->cap - 1))
    if (strcmp(a->op[a->by_row[at] - 1]->row, row->p) == 0) return a->by_row[at] - 1;
  return a->n;
}

static size_t traced(const answer *a, const cJSON *trace) {
  int64_t input;
  if (!cJSON_IsString(trace) || hl_str_int64(hl_str_of(trace->valuestring), &input)) return a->n;
  return input >= 0 && (size_t)input < a->n ? (size_t)input : a->n;
}

static void take_error(answer *a, const hl_kind *kind, const cJSON *error) {
  const cJSON *context = hl_json_get(error, "context"), *trace = hl_json_get(context, "objectWriteTraceId"), *t;
  bool found = false;
  if (cJSON_IsString(trace)) {
    size_t i = traced(a, trace);
    if (i < a->n) a->error[i] = error, found = true;
  }
  if (cJSON_IsArray(trace)) {
    cJSON_ArrayForEach(t, trace) {
      size_t i = traced(a, t);
      if (i < a->n) a->error[i] = error, found = true;
    }
  }
  hl_buf row;
  hl_buf_init(&row, ROW_MAX);
  for (size_t at = 0; !found && kind->error_row && at < a->n; at++) {
    hl_buf_clear(&row);
    if (!kind->error_row(a->op[0], context, at, &row)) break;
    size_t i = find(a, &row);
    if (i == a->n) continue;
    a->error[i] = error;
    found = at + 1 == a->n;
    if (!found) { /* the rest of its list */
      for (at++; at < a->n; at++) {
        hl_buf_clear(&row);
        if (!kind->error_row(a->op[0], context, at, &row)) break;
        i = find(a, &row);
        if (i < a->n) a->error[i] = error;
      }
      found = true;
    }
  }
  hl_buf_deinit(&row);
  if (!found) a->strange = true;
}

static void match(answer *a, const hl_kind *kind, const cJSON *results, const cJSON *errors) {
  const cJSON *r, *stray = NULL;
  size_t strays = 0, open = 0, last = 0;
  hl_buf row;
  hl_buf_init(&row, ROW_MAX);
  cJSON_ArrayForEach(r, errors) take_error(a, kind, r);
  cJSON_ArrayForEach(r, results) {
    size_t i = kind->read ? a->n : traced(a, hl_json_get(r, "objectWriteTraceId"));
    if (i == a->n && kind->result_row) {
      hl_buf_clear(&row);
      if (kind->result_row(a->op[0], r, &row)) i = find(a, &row);
    }
    if (i < a->n && !a->result[i]) a->result[i] = r;
    else if (i == a->n) stray = r, strays++;
  }
  hl_buf_deinit(&row);
  for (size_t i = 0; i < a->n; i++)
    if (!a->result[i] && !a->error[i]) open++, last = i;
  /* One update without an answer and one answer without an update: a merged
   * record, which answers with its new id. */
  if (strays == 1 && open == 1 && a->op[last]->kind == HL_API_UPDATE) a->result[last] = stray;
  /* Only one was asked for, so what came is its. */
  if (a->n == 1 && strays && !a->error[0] && !a->result[0]) a->result[0] = results->child;
}

/* ---- giving ---- */

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

/* What a default association answers alone: its rows in a list. */
static cJSON *listed(cJSON *row) {
  cJSON *out = cJSON_CreateObject();
  cJSON_AddStringToObject(out, "status", "COMPLETE");
  cJSON *results = cJSON_AddArrayToObject(out, "results");
  if (row) cJSON_AddItemReferenceToArray(results, row);
  return out;
}

static cJSON *no_links(const hl_api_op *op) {
  cJSON *out = cJSON_CreateObject();
  cJSON_AddStringToObject(cJSON_AddObjectToObject(out, "from"), "id", op->id);
  cJSON_AddArrayToObject(out, "to");
  return out;
}

static void give(hl_call *c, hl_api_op *op, int status, const cJSON *row) {
  /* cJSON has no const references; what is made here is read only like the row. */
  union { const cJSON *in; cJSON *out; } unconst = {.in = row};
  cJSON *own = NULL;
  hl_order_learn(c->queue, op, row);
  bool shared = c->n_ops > 1; /* alone it asked for all that came */
  if (shared && op->kind == HL_API_GET && op->properties && op->cb && cJSON_IsObject(row)) own = view(unconst.out, op);
  if (op->kind == HL_API_ASSOCIATE && !op->variant && c->inputs) own = listed(unconst.out);
  if (op->kind == HL_API_ASSOCIATIONS && !row) own = no_links(op);
  hl_queue_finish(c->queue, op, status, own ? own : row, NULL);
  cJSON_Delete(own);
}

void hl_batch_give_all(hl_call *c, int status, const cJSON *json) {
  while (!hl_link_alone(&c->ops)) give(c, HL_LINKED(c->ops.next, hl_api_op, link), status, json);
}

/* HubSpot says that there is nothing as an error; a subCategory is not promised. */
static bool says_no_links(const cJSON *error) {
  if (strstr(hl_json_str(error, "subCategory", ""), "NO_ASSOCIATIONS_FOUND")) return true;
  return strcmp(hl_json_str(error, "category", ""), "OBJECT_NOT_FOUND") == 0 &&
         hl_json_get(hl_json_get(error, "context"), "fromObjectId");
}

bool hl_batch_take_apart(hl_call *c, int status, const cJSON *json) {
  const hl_kind *kind = &hl_kinds[c->kind];
  const cJSON *results = hl_json_get(json, "results"), *errors = hl_json_get(json, "errors");
  if (!cJSON_IsArray(results) && !kind->silent) return false;
  if (!json && !kind->bodiless) return false;
  hl_fault_place at = {.account = c->account->name, .method = c->method, .path = c->path,
                       .log = hl_loop_log(c->queue->hubspot->loop)};
  int well = c->kind == HL_API_CREATE ? 201 : status == 207 ? 200 : status;
  answer a;
  answer_init(&a, c);
  match(&a, kind, results, errors);
  while (!hl_link_alone(&c->ops)) {
    hl_api_op *op = HL_LINKED(c->ops.next, hl_api_op, link);
    size_t i = op->input;
    bool wanted = op->cb || !kind->read;
    if (a.error[i] && c->kind == HL_API_ASSOCIATIONS && says_no_links(a.error[i])) {
      give(c, op, 200, NULL);
    } else if (a.error[i] || (c->inputs == 1 && a.strange)) {
      hl_fault f;
      hl_fault_row(&f, &at, a.error[i] ? a.error[i] : errors->child, hl_json_str(json, "correlationId", NULL));
      hl_queue_finish(c->queue, op, f.e.status, NULL, &f.e);
      hl_fault_deinit(&f);
    } else if (a.result[i]) {
      give(c, op, well, a.result[i]);
    } else if (kind->silent && !a.strange) {
      hl_queue_finish(c->queue, op, 204, NULL, NULL);
    } else if (c->inputs == 1 && c->kind == HL_API_ASSOCIATIONS) {
      give(c, op, 200, NULL);
    } else if (c->kind == HL_API_CREATE) { /* neither made nor refused, as far as the answer says */
      hl_lost_create(c->queue, op, status, "HubSpot's answer does not say what became of it", c->first_sent);
    } else if (c->inputs == 1) {
      hl_fault f;
      hl_fault_row(&f, &at, NULL, hl_json_str(json, "correlationId", NULL));
      hl_queue_finish(c->queue, op, f.e.status, NULL, &f.e);
      hl_fault_deinit(&f);
    } else if (wanted) {
      hl_queue_alone(c->queue, op);
    } else {
      hl_queue_finish(c->queue, op, 0, NULL, NULL);
    }
  }
  answer_deinit(&a);
  return true;
}
