/* The queue while HubSpot does not answer (breaker.h): what leaves, how long calls
 * wait for it, and what people are told. Calls stay in their lanes, so that what
 * comes together in an outage leaves together after it.
 *
 * When all that failed was one family of calls, and a call of another is answered,
 * that family is isolated: its calls wait in lanes of their own, with a breaker of
 * their own, and everything else goes on. */
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

/* For people, and without what may be an e-mail address. */
static void name_of(const hl_call *c, const hl_api_op *op, char out[160]) {
  if (op && op->kind == HL_API_RAW) {
    int n = (int)strcspn(op->path, "%@");
    while (op->path[n] && n > 0 && op->path[n - 1] != '/') n--;
    snprintf(out, 160, "%s %.*s", op->method, n < 140 ? n : 140, op->path);
  }
  else if (op) snprintf(out, 160, "%s calls of %.100s", hl_api_kind_name(op->kind), op->type);
  else snprintf(out, 160, "%s", c->method);
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

/* ---- one family ---- */

static bool is_isolated(const hl_queue *q, const hl_api_op *op) {
  return q->family.isolated && op && family_of(op) == q->family.id;
}

bool hl_outage_isolates(hl_queue *q, const hl_api_op *op) {
  hl_family *f = &q->family;
  if (!f->isolated || f->pass || family_of(op) != f->id) return false;
  wait_on(q);
  return true;
}

/* The ready ops of a stream that are of the family (0: all), into the lanes where they belong now. */
static void reline(hl_queue *q, hl_stream *s, uint64_t family) {
  for (int k = 0; k < HL_CLASSES; k++) {
    size_t lanes = 0;
    for (hl_link *l = s->lanes[k].next; l != &s->lanes[k]; l = l->next) lanes++;
    for (hl_link *l = s->lanes[k].next, *next_lane; lanes; lanes--, l = next_lane) {
      hl_lane *lane = HL_LINKED(l, hl_lane, ring);
      next_lane = l->next;
      size_t n = 0; /* the lane goes with its last op */
      for (hl_link *o = lane->ops.next; o != &lane->ops; o = o->next) n++;
      for (hl_link *o = lane->ops.next, *next; n; n--, o = next) {
        next = o->next;
        hl_api_op *op = HL_LINKED(o, hl_api_op, link);
        if (!family || family_of(op) == family) hl_queue_reline(q, op);
      }
    }
    size_t calls = 0;
    for (hl_link *l = s->again[k].next; l != &s->again[k]; l = l->next) calls++;
    for (hl_link *l = s->again[k].next, *next; calls; calls--, l = next) {
      next = l->next;
      hl_call *c = HL_LINKED(l, hl_call, link);
      if (family && family_of(first_op(c)) != family) continue;
      s->ready--;
      hl_link_remove(&c->link);
      hl_queue_again(q, c);
    }
  }
}

static void isolate(hl_queue *q, const hl_account *a) {
  hl_family *f = &q->family;
  *f = (hl_family){.isolated = true, .id = q->breaker.families[0], .breaker = q->breaker};
  memcpy(f->what, q->outage_what, sizeof f->what);
  memcpy(f->why, q->outage_why, sizeof f->why);
  f->breaker.probing = false;
  f->breaker.others = 0;
  for (size_t i = 0; i < HL_STREAMS; i++) reline(q, &q->streams[i], f->id);
  hl_log_write(hl_loop_log(q->hubspot->loop), HL_LOG_ERROR, "hubspot",
               "%s: HubSpot answers, except for %s (%s): these wait, one at a time asks whether it does again, and all others go on",
               a->name, f->what, f->why);
}

static void release(hl_queue *q) {
  q->family.isolated = false;
  reline(q, &q->streams[HL_STREAM_HELD], 0);
}

/* One of the family leaves, to ask. */
static void probe_family(hl_queue *q, int64_t now) {
  hl_family *f = &q->family;
  hl_stream *s = &q->streams[HL_STREAM_HELD];
  if (!f->isolated || !s->ready || hl_breaker_free_at(&f->breaker, now) > now) return;
  f->pass = true;
  for (int k = 0; k < HL_CLASSES && f->pass; k++) {
    if (!hl_link_alone(&s->again[k])) {
      hl_call *c = HL_LINKED(s->again[k].next, hl_call, link);
      s->ready--;
      hl_link_remove(&c->link);
      hl_queue_again(q, c);
      f->pass = false;
    } else if (!hl_link_alone(&s->lanes[k])) {
      hl_lane *lane = HL_LINKED(s->lanes[k].next, hl_lane, ring);
      hl_queue_reline(q, HL_LINKED(lane->ops.next, hl_api_op, link));
      f->pass = false;
    }
  }
  hl_breaker_sent(&f->breaker, now);
}

int64_t hl_outage_free_at(const hl_call *c) {
  const hl_queue *q = c->queue;
  const hl_api_op *op = first_op(c);
  return hl_breaker_free_at(is_isolated(q, op) ? &q->family.breaker : &q->breaker, hl_loop_mono(q->hubspot->loop));
}

/* ---- those that wait too long ---- */

static void unavailable(hl_queue *q, const hl_breaker *b, hl_fault *f) {
  char since[25], next[25];
  bool all = b == &q->breaker;
  time_of(q, b->since, since);
  time_of(q, b->next, next);
  hl_fault_plain(f, hl_err_name(HL_ENET), "UNAVAILABLE", true,
                 "the call was not sent: HubSpot has not answered%s%s since %s (%s), and %d minutes of waiting are over. "
                 "Next try: %s. Status of HubSpot: https://status.hubspot.com", all ? "" : " ", all ? "" : q->family.what,
                 since, all ? q->outage_why : q->family.why, HL_RETRY_DEADLINE_MS / 60000, next);
}

static void end(hl_queue *q, const hl_breaker *b, hl_call *c) {
  hl_fault f;
  unavailable(q, b, &f);
  for (const hl_link *l = c->ops.next; l != &c->ops; l = l->next)
    HL_LINKED(l, const hl_api_op, link)->account->stats.unavailable++;
  hl_call_fail(c, 0, &f.e);
  hl_fault_deinit(&f);
}

static hl_call *expired_call(hl_stream *s, const hl_breaker *b, int64_t now) {
  for (int k = 0; k < HL_CLASSES; k++) {
    for (hl_link *l = s->again[k].next; l != &s->again[k]; l = l->next) {
      hl_call *c = HL_LINKED(l, hl_call, link);
      int64_t from = c->attempts ? c->first_sent : b->opened;
      if (now - from < HL_RETRY_DEADLINE_MS) continue;
      s->ready--;
      hl_link_remove(&c->link);
      return c;
    }
  }
  return NULL;
}

/* All of a stream at once, in one request that is never sent: a callback may ask
 * for, or give up, any other call. */
static hl_call *expired_ops(hl_queue *q, hl_stream *s, const hl_breaker *b, int64_t now) {
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
        int64_t from = op->asked > b->opened ? op->asked : b->opened;
        if (now - from < HL_RETRY_DEADLINE_MS) continue;
        if (!c) c = hl_call_new(q, op->account, s);
        hl_queue_take(q, op, c);
        op->call = NULL; /* it never left */
      }
    }
  return c;
}

static void end_expired(hl_queue *q, hl_stream *s, const hl_breaker *b, int64_t now) {
  hl_call *c;
  while (b->open && (c = expired_call(s, b, now))) end(q, b, c);
  if (b->open && (c = expired_ops(q, s, b, now))) end(q, b, c);
}

static void tick(hl_timer *timer, void *arg) {
  (void)timer;
  hl_queue *q = arg;
  int64_t now = hl_loop_mono(q->hubspot->loop);
  for (size_t i = 0; i < HL_STREAMS; i++) end_expired(q, &q->streams[i], &q->breaker, now);
  if (q->family.isolated) end_expired(q, &q->streams[HL_STREAM_HELD], &q->family.breaker, now);
  probe_family(q, now);
  if (q->streams[HL_STREAM_HELD].ready) wait_on(q);
  if (q->breaker.open) hl_queue_kick(q); /* which starts it again when something has to wait */
}

/* ---- opening and closing ---- */

bool hl_outage_on(const hl_queue *q) { return q->breaker.open || q->family.isolated; }

void hl_outage_sent(hl_call *c) {
  hl_queue *q = c->queue;
  if (is_isolated(q, first_op(c))) c->probe = true; /* nothing else of it leaves */
  else c->probe = hl_breaker_sent(&q->breaker, hl_loop_mono(q->hubspot->loop));
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

static void closes(hl_queue *q, const hl_account *a, int64_t since) {
  hl_loop *loop = q->hubspot->loop;
  hl_log_write(hl_loop_log(loop), HL_LOG_WARN, "hubspot", "%s: HubSpot answers again, after %lld s", a->name,
               (long long)((hl_loop_mono(loop) - since + 500) / 1000));
  if (!hl_outage_on(q)) hl_timer_stop(loop, &q->outage_tick);
  hl_queue_kick(q);
}

static void mask_why(const char *text, char out[160]) {
  hl_buf b;
  hl_buf_init(&b, 4096);
  hl_mask(&b, hl_str_of(text), (hl_str){NULL, 0});
  snprintf(out, 160, "%.150s", b.p ? b.p : "");
  hl_buf_deinit(&b);
}

void hl_outage_answer(hl_call *c, int status, const hl_error *err) {
  hl_queue *q = c->queue;
  hl_loop *loop = q->hubspot->loop;
  int64_t now = hl_loop_mono(loop);
  const hl_api_op *op = first_op(c);
  hl_breaker *b = is_isolated(q, op) ? &q->family.breaker : &q->breaker;
  if (hl_breaker_is_failure(status, err->code)) {
    char *why = b == &q->breaker ? q->outage_why : q->family.why;
    if (status) snprintf(why, sizeof q->outage_why, "it answers %d", status);
    else mask_why(err->text, why);
    name_of(c, op, q->outage_what);
    if (hl_breaker_failed(b, now, op ? family_of(op) : 0, c->probe, hl_rng_unit(hl_loop_rng(loop)))) opened(q, c->account);
  } else if (!status) {
    if (c->probe) hl_breaker_gone(b);
  } else {
    int64_t since = b->since;
    if (b != &q->breaker) {
      release(q);
      closes(q, c->account, since);
    } else if (b->open && b->n_families == 1 && op && b->families[0] != family_of(op) && !q->family.isolated) {
      isolate(q, c->account);
      hl_breaker_answered(b);
      hl_queue_kick(q);
    } else if (hl_breaker_answered(b)) {
      closes(q, c->account, since);
    }
  }
  c->probe = false;
}
