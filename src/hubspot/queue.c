/* What waits: lanes by class and script, groups that can be merged, and objects
 * whose calls keep their order. leave.c decides what leaves when. */
#include <assert.h>

#include "base/mem.h"
#include "base/time.h"
#include "hubspot/held.h"
#include "hubspot/identity.h"
#include "hubspot/paths.h"
#include "hubspot/queue.h"


static void stream_init(hl_stream *s, hl_window *w) {
  s->window = w;
  for (int i = 0; i < HL_CLASSES; i++) {
    hl_link_init(&s->lanes[i]);
    hl_link_init(&s->again[i]);
  }
}

hl_queue *hl_queue_new(hl_hubspot *h, hl_credential *credential, const char *base_url, hl_net_policy policy,
                       hl_portal *portal, hl_bucket *bucket, hl_app *app) {
  hl_queue *q = HL_NEW(hl_queue);
  q->hubspot = h;
  q->credential = hl_credential_ref(credential);
  q->base_url = hl_strdup(base_url);
  q->policy = policy;
  hl_queue_use_portal(q, portal);
  q->bucket = bucket;
  q->app = app;
  stream_init(&q->streams[HL_STREAM_SEARCH], &portal->search);
  stream_init(&q->streams[HL_STREAM_MAIN], &bucket->window);
  for (int i = 0; i < HL_JOURNALS; i++) stream_init(&q->streams[HL_STREAM_JOURNAL + i], &app->journal[i]);
  stream_init(&q->streams[HL_STREAM_HELD], NULL);
  hl_link_init(&q->calls);
  hl_link_init(&q->lost);
  q->order = hl_order_new();
  return q;
}

void hl_queue_use_portal(hl_queue *q, hl_portal *portal) {
  q->portal = portal;
  q->day = hl_credential_app(q->credential) ? &portal->oauth_day : &portal->day;
}

void hl_queue_free(hl_queue *q) {
  assert(q->n_ops == 0 && hl_link_alone(&q->calls) && !q->groups);
  hl_timer_stop(q->hubspot->loop, &q->timer);
  hl_timer_stop(q->hubspot->loop, &q->day_timer);
  hl_identity_free(q);
  hl_timer_stop(q->hubspot->loop, &q->outage_tick);
  hl_defer_stop(q->hubspot->loop, &q->turn);
  hl_order_free(q->order);
  hl_credential_wait_stop(q->credential, &q->token_wait);
  hl_credential_unref(q->credential);
  hl_free(q->base_url);
  hl_free(q);
}

void hl_queue_kick(hl_queue *q) {
  if (!q->hubspot->closing) hl_defer_start(q->hubspot->loop, &q->turn, hl_queue_turn, q);
}

/* ---- lanes and groups ---- */

static hl_stream *stream_of(hl_queue *q, const hl_api_op *op) {
  return &q->streams[op->held ? HL_STREAM_HELD : op->stream];
}

static hl_lane *lane_of(hl_stream *s, hl_api_class klass, const char *script) {
  for (hl_link *l = s->lanes[klass].next; l != &s->lanes[klass]; l = l->next) {
    hl_lane *lane = HL_LINKED(l, hl_lane, ring);
    if (strcmp(lane->script, script) == 0) return lane;
  }
  hl_lane *lane = HL_NEW(hl_lane);
  lane->script = hl_strdup(script);
  hl_link_init(&lane->ops);
  hl_link_before(&s->lanes[klass], &lane->ring);
  return lane;
}

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static hl_group *group_of(hl_queue *q, const hl_api_op *op) {
  uint64_t hash = hl_hash(hl_hash(hl_hash(HL_HASH_START, op->type), op->id_property), op->to_type);
  hl_group *g = q->groups;
  while (g && (g->hash != hash || g->kind != op->kind || g->variant != op->variant || g->account != op->account ||
               strcmp(g->type, op->type) != 0 || !same(g->id_property, op->id_property) || !same(g->to_type, op->to_type)))
    g = g->next;
  if (g) return g;
  g = HL_NEW(hl_group);
  g->hash = hash;
  g->account = op->account;
  g->kind = op->kind;
  g->variant = op->variant;
  g->type = hl_strdup(op->type);
  g->id_property = hl_strdup(op->id_property);
  g->to_type = hl_strdup(op->to_type);
  for (int i = 0; i < HL_CLASSES; i++) hl_link_init(&g->ops[i]);
  g->next = q->groups;
  q->groups = g;
  return g;
}

static bool mergeable(const hl_api_op *op) { return hl_kinds[op->kind].most && !op->alone; }

void hl_queue_make_ready(hl_queue *q, hl_api_op *op, bool first) {
  op->held = hl_outage_isolates(q, op);
  hl_stream *s = stream_of(q, op);
  op->state = HL_OP_READY;
  op->lane = lane_of(s, op->klass, op->script);
  hl_link_before(first ? op->lane->ops.next : &op->lane->ops, &op->link);
  s->ready++;
  if (mergeable(op)) {
    op->group = group_of(q, op);
    hl_link_before(&op->group->ops[op->klass], &op->in_group);
    op->group->n++;
  }
}

static void leave_lane(hl_queue *q, hl_api_op *op) {
  hl_link_remove(&op->link);
  stream_of(q, op)->ready--;
  hl_lane *lane = op->lane;
  op->lane = NULL;
  if (hl_link_alone(&lane->ops)) {
    hl_link_remove(&lane->ring);
    hl_free(lane->script);
    hl_free(lane);
  }
  hl_group *g = op->group;
  if (!g) return;
  op->group = NULL;
  hl_link_remove(&op->in_group);
  if (--g->n) return;
  hl_group **at = &q->groups;
  while (*at != g) at = &(*at)->next;
  *at = g->next;
  hl_free(g->type);
  hl_free(g->id_property);
  hl_free(g->to_type);
  hl_free(g);
}

void hl_queue_reline(hl_queue *q, hl_api_op *op) {
  leave_lane(q, op);
  hl_queue_make_ready(q, op, false);
}

void hl_queue_take(hl_queue *q, hl_api_op *op, hl_call *call) {
  leave_lane(q, op);
  op->state = HL_OP_TRAVELLING;
  op->account->stats.queued--;
  hl_link_before(&call->ops, &op->link);
  op->call = call;
  call->n_ops++;
  if (op->klass < call->klass) call->klass = op->klass;
}

void hl_queue_alone(hl_queue *q, hl_api_op *op) {
  hl_link_remove(&op->link);
  hl_order_read(q, op);
  op->alone = true;
  op->call = NULL;
  op->input = 0;
  op->account->stats.queued++;
  hl_queue_make_ready(q, op, true);
  hl_queue_kick(q);
}

void hl_queue_again(hl_queue *q, hl_call *call) {
  const hl_api_op *op = HL_LINKED(call->ops.next, hl_api_op, link);
  hl_stream *s = hl_outage_isolates(q, op) ? &q->streams[HL_STREAM_HELD] : call->stream;
  hl_link_before(&s->again[call->klass], &call->link);
  s->ready++;
  hl_queue_kick(q);
}

/* ---- ends ---- */

static void op_free(hl_queue *q, hl_api_op *op) {
  hl_lost_free(op);
  q->n_ops--;
  if (op->state != HL_OP_TRAVELLING) op->account->stats.queued--;
  hl_free(op->script);
  hl_free(op->method);
  hl_free(op->path);
  hl_free(op->query);
  hl_free(op->content_type);
  hl_free(op->body);
  hl_free(op->type);
  hl_free(op->id);
  hl_free(op->id_property);
  hl_free(op->to_type);
  hl_free(op->to_id);
  hl_free(op->after);
  hl_free(op->row);
  for (char **p = op->properties; p && *p; p++) hl_free(*p);
  hl_free(op->properties);
  hl_free(op);
}

void hl_queue_finish(hl_queue *q, hl_api_op *op, int status, const cJSON *json, const hl_api_error *error) {
  if (error && hl_lost_refused(q, op, error)) return;
  hl_link_remove(&op->link);
  hl_order_read(q, op);
  hl_order_leave(q, op);
  hl_api_result result = {.status = status, .json = json, .text = op->call ? op->call->text : (hl_str){NULL, 0},
                          .error = error};
  if (error) op->account->stats.errors++;
  hl_call_note(op, status, json, error);
  hl_api_cb cb = op->cb;
  void *arg = op->arg;
  op_free(q, op);
  if (cb) cb(arg, &result);
}

static void refuse(hl_queue *q, hl_api_op *op, const hl_api_error *error) {
  if (op->state == HL_OP_READY) leave_lane(q, op);
  hl_queue_finish(q, op, error->status, NULL, error);
}

void hl_queue_refuse(hl_queue *q, hl_api_class from, const hl_api_error *error) {
  for (size_t i = 0; i <= HL_STREAM_HELD; i++) {
    hl_stream *s = &q->streams[i];
    size_t n = s->ready;
    for (int k = (int)from; k < HL_CLASSES; k++) {
      for (; n && !hl_link_alone(&s->again[k]); n--) {
        s->ready--;
        hl_call_fail(HL_LINKED(s->again[k].next, hl_call, link), error->status, error);
      }
      for (; n && !hl_link_alone(&s->lanes[k]); n--) {
        hl_lane *lane = HL_LINKED(s->lanes[k].next, hl_lane, ring);
        refuse(q, HL_LINKED(lane->ops.next, hl_api_op, link), error);
      }
    }
  }
}

bool hl_queue_ready(const hl_queue *q) {
  for (size_t i = 0; i < HL_STREAMS; i++)
    if (q->streams[i].ready) return true;
  return false;
}

void hl_queue_cancel_all(hl_queue *q) {
  hl_fault f;
  hl_fault_plain(&f, hl_err_name(HL_ECANCELLED), NULL, false, "the call was cancelled: hubloop is stopping");
  while (!hl_link_alone(&q->calls)) {
    hl_call *c = HL_LINKED(q->calls.next, hl_call, link);
    if (c->out) {
      q->hubspot->transport->cancel(q->hubspot->transport, c->http);
      c->out = false;
      q->in_flight--;
    }
    hl_call_fail(c, 0, &f.e);
  }
  /* Each end may make a waiting call ready, so until nothing is. */
  while (hl_queue_ready(q) || q->streams[HL_STREAM_HELD].ready || !hl_link_alone(&q->lost)) {
    hl_queue_refuse(q, HL_CLASS_LIVE, &f.e);
    hl_lost_cancel_all(q);
  }
  hl_fault_deinit(&f);
}

/* ---- the door ---- */

int hl_api_send(hl_account *account, const hl_api_call *call, hl_api_cb cb, void *arg, hl_api_op **out,
                hl_error *err) {
  return hl_queue_add(account, call, cb, arg, true, out, err);
}

/* Checked; in no list. */
static int new_op(hl_account *account, const hl_api_call *call, hl_api_cb cb, void *arg, hl_api_op **out, hl_error *err) {
  hl_queue *q = account->queue;
  hl_api_op *op = HL_NEW(hl_api_op);
  hl_link_init(&op->link);
  hl_link_init(&op->in_group);
  op->account = account;
  op->kind = call->kind;
  op->stream = HL_STREAM_MAIN;
  op->klass = call->klass;
  op->alone = call->no_batch;
  op->script = hl_strdup(call->script ? call->script : "");
  op->readable = call->readable;
  op->cb = cb;
  op->arg = arg;
  op->asked = hl_loop_mono(q->hubspot->loop);
  q->n_ops++;
  account->stats.queued++;
  int rc = hl_kind_fill(op, call, err);
  if (rc) {
    op_free(q, op);
    return rc;
  }
  *out = op;
  return 0;
}

int hl_api_hold(hl_account *account, const hl_api_call *call, const char *id, int64_t now, cJSON **answer, int *status,
                hl_error *err) {
  hl_api_op *op;
  int rc = new_op(account, call, NULL, NULL, &op, err);
  if (rc) return rc;
  *answer = hl_held_answer(op, id, now, status);
  op_free(account->queue, op);
  return 0;
}

int hl_queue_add(hl_account *account, const hl_api_call *call, hl_api_cb cb, void *arg, bool ordered, hl_api_op **out,
                 hl_error *err) {
  hl_queue *q = account->queue;
  hl_api_op *op;
  if (q->hubspot->closing) return hl_fail(err, HL_ECANCELLED, "no calls are taken: hubloop is stopping");
  int rc = new_op(account, call, cb, arg, &op, err);
  if (rc) return rc;
  if (ordered) account->stats.calls++;
  if (!ordered) hl_queue_make_ready(q, op, false);
  else if (hl_order_enter(q, op)) op->state = HL_OP_WAITING;
  else if (hl_order_join(q, op)) account->stats.queued--, account->stats.batched++;
  else hl_queue_make_ready(q, op, false);
  hl_queue_kick(q);
  if (out) *out = op;
  return 0;
}

bool hl_api_unsent(const hl_api_op *op) { return op->state != HL_OP_TRAVELLING && !op->lost; }

void hl_api_cancel(hl_api_op *op) {
  hl_queue *q = op->account->queue;
  op->cb = NULL;
  if (op->state == HL_OP_TRAVELLING) return; /* ends with its request */
  hl_api_error given_up = {.kind = hl_err_name(HL_ECANCELLED), .message = "given up before it was sent"};
  hl_call_note(op, 0, NULL, &given_up);
  if (op->state == HL_OP_READY) leave_lane(q, op);
  hl_link_remove(&op->link);
  hl_order_leave(q, op);
  op_free(q, op);
}

void hl_account_stats(const hl_account *a, hl_api_stats *out) {
  *out = a->stats;
  out->outage = hl_outage_on(a->queue);
  hl_queue_budgets(a->queue, out);
}
