/* Merging calls into one batch. A row is one input, however many reads ask for it;
 * an object with a write out is not ready (order.c), so no batch holds it twice.
 * Gets that named no properties want HubSpot's default set, which an empty list
 * stands for, so they do not travel with gets that named some (their variant). */
#include <assert.h>

#include "base/mem.h"
#include "hubspot/queue.h"

/* Rows beyond this many bytes wait for the next batch. */
enum { BATCH_BYTES = 4 << 20 };

typedef struct rows { /* the inputs so far, by what names them */
  hl_api_op **op;     /* hash table */
  size_t cap, n, most;
} rows;

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* False when the op cannot be an input beside the others: a list's two pages. */
static bool add(rows *r, hl_api_op *op) {
  if (!hl_kinds[op->kind].read) { /* order.c keeps writes of one row apart */
    op->input = r->n++;
    return true;
  }
  size_t at = hl_hash(HL_HASH_START, op->row) & (r->cap - 1);
  for (; r->op[at]; at = (at + 1) & (r->cap - 1)) {
    if (strcmp(r->op[at]->row, op->row) != 0) continue;
    op->input = r->op[at]->input;
    return same(r->op[at]->after, op->after);
  }
  r->op[at] = op;
  op->input = r->n++;
  return true;
}

static void leaves(hl_queue *q, hl_call *c) {
  size_t next = 0;
  for (hl_link *l = c->ops.next; l != &c->ops; l = l->next) {
    hl_api_op *op = HL_LINKED(l, hl_api_op, link);
    if (op->input == next) hl_order_reading(q, op), next++;
  }
}

hl_call *hl_batch_gather(hl_queue *q, hl_api_op *op) {
  hl_call *c = hl_call_new(q, op->account, &q->streams[op->stream]);
  hl_group *g = op->group;
  bool more = g && g->n > 1;
  rows r = {.cap = 16, .most = hl_kinds[op->kind].most};
  size_t members = 1, bytes = op->body_n;
  op->input = 0;
  if (more && hl_kinds[op->kind].read) {
    while (r.cap < r.most * 2 && r.cap < g->n * 2) r.cap *= 2;
    r.op = hl_alloc(r.cap * sizeof(hl_api_op *));
  }
  if (more) add(&r, op);
  hl_queue_take(q, op, c);
  for (int k = 0; k < HL_CLASSES && more; k++) {
    for (hl_link *l = g->ops[k].next, *next; more && l != &g->ops[k] && r.n < r.most; l = next) {
      next = l->next;
      hl_api_op *other = HL_LINKED(l, hl_api_op, in_group);
      if (bytes + other->body_n > BATCH_BYTES) break;
      if (!add(&r, other)) continue;
      more = g->n > 1; /* the group goes with its last member */
      bytes += other->body_n;
      hl_queue_take(q, other, c);
      members++;
    }
  }
  if (members > 1) op->account->stats.batched += members;
  hl_kind_encode(c, r.n ? r.n : 1);
  leaves(q, c);
  hl_free(r.op);
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
    hl_api_op *op = HL_LINKED(c->ops.next, hl_api_op, link);
    int part = op->input >= half;
    if (part) op->input -= half;
    hl_link_remove(&op->link);
    hl_link_before(&parts[part]->ops, &op->link);
    op->call = parts[part];
    parts[part]->n_ops++;
  }
  size_t n[2] = {half, c->inputs - half};
  for (int i = 0; i < 2; i++) {
    hl_kind_encode(parts[i], n[i]);
    hl_queue_again(c->queue, parts[i]);
  }
}
