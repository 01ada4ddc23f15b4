/* The queue while HubSpot does not answer (breaker.h): what leaves, how long calls
 * wait for it, and what people are told. Calls stay in their lanes, so that what
 * comes together in an outage leaves together after it. */
#include "base/mem.h"
#include "base/time.h"
#include "hubspot/queue.h"
#include "hubspot/retry.h"

enum { TICK_MS = 1000, LOOK_AT = 512 };

/* The path without what names one object: contacts/1 and contacts/2 are one family. */
static uint64_t family_of(const hl_api_op *op) {
  if (op->kind != HL_API_RAW)
    return hl_hash(hl_hash(HL_HASH_START + (uint64_t)op->kind, op->type), op->to_type);
  uint64_t h = hl_hash(HL_HASH_START, op->method);
  for (const char *p = op->path; *p;) {
    size_t n = strcspn(p + 1, "/") + 1;
    bool names_one = strcspn(p, "0123456789%@") < n;
    for (size_t i = 0; i < n && !names_one; i++) h = (h ^ (unsigned char)p[i]) * UINT64_C(1099511628211);
    h = h * UINT64_C(1099511628211) + 1;
    p += n;
  }
  return h;
}

static hl_api_op *first_op(const hl_call *c) {
  return hl_link_alone(&c->ops) ? NULL : HL_LINKED(c->ops.next, hl_api_op, link);
}

/* A ready call of a path that has not failed in this outage. */
static hl_api_op *untried(hl_queue *q, hl_stream *s) {
  size_t looked = 0;
  if (!q->breaker.others || q->breaker.probing) return NULL;
  for (int k = 0; k < HL_CLASSES; k++)
    for (hl_link *l = s->lanes[k].next; l != &s->lanes[k]; l = l->next) {
      hl_lane *lane = HL_LINKED(l, hl_lane, ring);
      for (hl_link *o = lane->ops.next; o != &lane->ops && looked < LOOK_AT; o = o->next, looked++) {
        hl_api_op *op = HL_LINKED(o, hl_api_op, link);
        if (hl_breaker_may_try(&q->breaker, family_of(op))) return op;
      }
    }
  return NULL;
}

static void tick(hl_timer *timer, void *arg);

/* The tick keeps the loop alive only for calls that wait. */
static void wait_on(hl_queue *q) {
  if (hl_timer_armed(&q->outage_tick) && !q->outage_tick.unref) return;
  q->outage_tick.unref = false;
  hl_timer_start(q->hubspot->loop, &q->outage_tick, TICK_MS, tick, q);
}

bool hl_outage_holds(hl_queue *q, hl_stream *s, hl_api_op **first) {
  *first = NULL;
  if (!q->breaker.open) return false;
  int64_t now = hl_loop_mono(q->hubspot->loop);
  *first = untried(q, s);
  if (*first || hl_breaker_free_at(&q->breaker, now) <= now) return false;
  wait_on(q); /* something waits for it */
  return true;
}

static void time_of(hl_queue *q, int64_t mono, char out[25]) {
  hl_loop *loop = q->hubspot->loop;
  hl_time_iso(hl_loop_now(loop) + mono - hl_loop_mono(loop), out);
}

/* ---- those that wait too long ---- */

static void unavailable(hl_queue *q, hl_fault *f) {
  char since[25], next[25];
  time_of(q, q->breaker.since, since);
  time_of(q, q->breaker.next, next);
  hl_fault_plain(f, hl_err_name(HL_ENET), "UNAVAILABLE", true,
                 "the call was not sent: HubSpot has not answered since %s (%s), and %d minutes of waiting are over. "
                 "Next try: %s. Status of HubSpot: https://status.hubspot.com", since, q->outage_why,
                 HL_RETRY_DEADLINE_MS / 60000, next);
}

static void end(hl_queue *q, hl_call *c) {
  hl_fault f;
  unavailable(q, &f);
  for (const hl_link *l = c->ops.next; l != &c->ops; l = l->next)
    HL_LINKED(l, const hl_api_op, link)->account->stats.unavailable++;
  hl_call_fail(c, 0, &f.e);
  hl_fault_deinit(&f);
}

static hl_call *expired_call(hl_queue *q, int64_t now) {
  for (size_t i = 0; i < HL_STREAMS; i++)
    for (int k = 0; k < HL_CLASSES; k++) {
      hl_link *head = &q->streams[i].again[k];
      for (hl_link *l = head->next; l != head; l = l->next) {
        hl_call *c = HL_LINKED(l, hl_call, link);
        int64_t from = c->attempts ? c->first_sent : q->breaker.opened;
        if (now - from < HL_RETRY_DEADLINE_MS) continue;
        c->stream->ready--;
        hl_link_remove(&c->link);
        return c;
      }
    }
  return NULL;
}

/* All of a stream at once, in one request that is never sent: a callback may ask
 * for, or give up, any other call. */
static hl_call *expired_ops(hl_queue *q, hl_stream *s, int64_t now) {
  hl_call *c = NULL;
  for (int k = 0; k < HL_CLASSES; k++)
    for (hl_link *l = s->lanes[k].next, *next_lane; l != &s->lanes[k]; l = next_lane) {
      hl_lane *lane = HL_LINKED(l, hl_lane, ring);
      next_lane = l->next;
      size_t n = 0; /* the lane goes with its last op */
      for (hl_link *o = lane->ops.next; o != &lane->ops; o = o->next) n++;
      for (hl_link *o = lane->ops.next, *next; n; n--, o = next) {
        hl_api_op *op = HL_LINKED(o, hl_api_op, link);
        next = o->next;
        int64_t from = op->asked > q->breaker.opened ? op->asked : q->breaker.opened;
        if (now - from < HL_RETRY_DEADLINE_MS) continue;
        if (!c) c = hl_call_new(q, op->account, s);
        hl_queue_take(q, op, c);
        op->call = NULL; /* it never left */
      }
    }
  return c;
}

static void tick(hl_timer *timer, void *arg) {
  hl_queue *q = arg;
  hl_loop *loop = q->hubspot->loop;
  int64_t now = hl_loop_mono(loop);
  hl_call *c;
  while (q->breaker.open && (c = expired_call(q, now))) end(q, c);
  for (size_t i = 0; i < HL_STREAMS && q->breaker.open; i++)
    if ((c = expired_ops(q, &q->streams[i], now))) end(q, c);
  if (!q->breaker.open) return;
  (void)timer;
  hl_queue_kick(q); /* which starts it again when something has to wait */
}

/* ---- opening and closing ---- */

bool hl_outage_on(const hl_queue *q) { return q->breaker.open; }

void hl_outage_sent(hl_call *c) {
  c->probe = hl_breaker_sent(&c->queue->breaker, hl_loop_mono(c->queue->hubspot->loop));
}

static void opened(hl_queue *q, const hl_account *a) {
  hl_loop *loop = q->hubspot->loop;
  char next[25];
  time_of(q, q->breaker.next, next);
  for (hl_account *at = q->hubspot->accounts; at; at = at->next)
    if (at->queue == q) at->stats.outages++;
  hl_log_write(hl_loop_log(loop), HL_LOG_ERROR, "hubspot",
               "%s: HubSpot does not answer: %d calls in a row have failed (%s). Calls wait up to %d minutes; until it "
               "answers, one at a time asks whether it does, next at %s", a->name, HL_BREAKER_ROW, q->outage_why,
               HL_RETRY_DEADLINE_MS / 60000, next);
}

void hl_outage_answer(hl_call *c, int status, const hl_error *err) {
  hl_queue *q = c->queue;
  hl_loop *loop = q->hubspot->loop;
  int64_t now = hl_loop_mono(loop), since = q->breaker.since;
  const hl_api_op *op = first_op(c);
  if (hl_breaker_is_failure(status, err->code)) {
    if (status) snprintf(q->outage_why, sizeof q->outage_why, "it answers %d", status);
    else snprintf(q->outage_why, sizeof q->outage_why, "%.150s", err->text);
    if (hl_breaker_failed(&q->breaker, now, op ? family_of(op) : 0, c->probe, hl_rng_unit(hl_loop_rng(loop)))) opened(q, c->account);
  } else if (!status) {
    if (c->probe) hl_breaker_gone(&q->breaker);
  } else if (hl_breaker_answered(&q->breaker)) {
    hl_timer_stop(loop, &q->outage_tick);
    hl_log_write(hl_loop_log(loop), HL_LOG_WARN, "hubspot", "%s: HubSpot answers again, after %lld s", c->account->name,
                 (long long)((now - since + 500) / 1000));
    hl_queue_kick(q);
  }
  c->probe = false;
}
