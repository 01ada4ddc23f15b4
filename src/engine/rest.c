/* Lanes that must not start yet: hold, throttle, and batches that gather.
 *
 * Hold: an event waits from its receipt, so that one which occurred before it and
 * comes later goes first. Throttle: at most `throttle_n` starts of a lane, or of
 * the whole handler, within any `throttle_ms`. Their times are kept, so that the
 * limit holds exactly, also over a restart: each is stored with the commit that
 * gathers. A lane whose next start is far away keeps nothing in memory but
 * these: its events wait in the store (backlog.c).
 *
 * A batch's events wait in the store until there are batch_size of them or the first
 * has waited for batch_wait_ms. After a start it is not known how many wait and since
 * when: what is there then is a batch. */
#include "base/mem.h"
#include "engine/inside.h"
#include "store/lanes.h"

enum { FAR_MS = 2000 };        /* what waits longer does so in the store */

/* Starts within the throttle's time, the oldest first. */
typedef struct pace {
  int64_t *at;                 /* mono ms; a ring of cap */
  unsigned n, cap, first;
} pace;

struct hl_rest {
  hl_timer timer;
  pace pace;
  size_t away;                 /* of a batch, in the store; as far as is known */
  int64_t since;               /* mono ms: when the first of them came */
  int64_t not_before;          /* mono ms */
};

/* ---- pace ---- */

static void pace_forget(pace *p, int64_t before) {
  while (p->n && p->at[p->first] <= before) {
    p->first = (p->first + 1) % p->cap;
    p->n--;
  }
}

static void pace_add(pace *p, int64_t at) {
  if (p->n == p->cap) {
    unsigned cap = p->cap ? 2 * p->cap : 4;
    int64_t *v = hl_alloc(cap * sizeof *v);
    for (unsigned i = 0; i < p->n; i++) v[i] = p->at[(p->first + i) % p->cap];
    hl_free(p->at);
    p->at = v;
    p->cap = cap;
    p->first = 0;
  }
  p->at[(p->first + p->n++) % p->cap] = at;
}

/* How long until one more may start. */
static int64_t pace_ms(const hl_handler *h, pace *p, int64_t now) {
  pace_forget(p, now - h->throttle_ms);
  return p->n < h->throttle_n ? 0 : p->at[(p->first + p->n - h->throttle_n) % p->cap] + h->throttle_ms - now;
}

/* ---- lanes ---- */

static hl_rest *rest_of(hl_lane *lane) {
  if (!lane->rest) {
    lane->rest = HL_NEW(hl_rest);
    lane->rest->timer.unref = true;
  }
  return lane->rest;
}

static bool keyed(const hl_handler *h) { return h->throttle_n && !h->throttle_all; }

bool hl_handler_groups(const hl_handler *h) { return keyed(h) || h->batch_size; }

static void on_timer(hl_timer *t, void *arg) {
  (void)t;
  hl_lane *lane = arg;
  if (lane->h->e->freeing) return;
  hl_lane_again(lane);
  hl_backlog_wants(lane);
  hl_lane_check(lane);
}

static void rest_for(hl_lane *lane, int64_t ms) {
  hl_timer_start(lane->h->e->loop, &rest_of(lane)->timer, ms, on_timer, lane);
}

static int64_t pause_ms(hl_lane *lane) {
  if (!keyed(lane->h) || !lane->rest) return 0;
  return pace_ms(lane->h, &lane->rest->pace, hl_loop_mono(lane->h->e->loop));
}

/* The lane may go once one of its runs has waited; one that has failed has been through it. */
static int64_t hold_ms(const hl_lane *lane) {
  int64_t hold = lane->h->hold_ms, now = hl_loop_now(lane->h->e->loop), least = hold;
  for (const hl_run *run = lane->first; run && least > 0; run = run->lane_next) {
    int64_t wait = run->attempt ? 0 : run->ev->received + hold - now;
    if (wait < least) least = wait;
  }
  return least; /* at most `hold`, also when the clock was set back */
}

bool hl_lane_rests(hl_lane *lane) {
  hl_handler *h = lane->h;
  int64_t pause = pause_ms(lane), hold = h->hold_ms && lane->mapped ? hold_ms(lane) : 0;
  if (pause <= 0 && hold <= 0) return false;
  rest_for(lane, pause > hold ? pause : hold);
  if (pause > FAR_MS) hl_backlog_put_away(lane);
  return true;
}

void hl_rest_away(hl_lane *lane, size_t n) {
  if (!lane->h->batch_size) return;
  hl_rest *r = rest_of(lane);
  if (!r->away) r->since = hl_loop_mono(lane->h->e->loop);
  r->away += n;
}

void hl_rest_read(hl_lane *lane, size_t n, int64_t received, bool all) {
  hl_engine *e = lane->h->e;
  hl_rest *r = lane->rest;
  if (!r || !lane->h->batch_size) return;
  r->away = all || r->away < n ? 0 : r->away - n;
  r->since = hl_loop_mono(e->loop) - (received ? hl_loop_now(e->loop) - received : 0);
}

void hl_rest_not_before(hl_lane *lane, int64_t ms) {
  rest_of(lane)->not_before = hl_loop_mono(lane->h->e->loop) + ms;
}

/* How long a batch gathers yet, if it does not become full. */
static int64_t gathers_ms(const hl_lane *lane, int64_t now) {
  const hl_handler *h = lane->h;
  const hl_rest *r = lane->rest;
  if (!h->batch_size || !r || !r->away) return 0;
  int64_t wait = r->since + h->batch_wait_ms - now;
  return wait < h->batch_wait_ms ? wait : h->batch_wait_ms;
}

bool hl_rest_gathers(const hl_lane *lane) { return gathers_ms(lane, hl_loop_mono(lane->h->e->loop)) > 0; }

bool hl_rest_reads(hl_lane *lane, size_t *rows) {
  hl_handler *h = lane->h;
  int64_t now = hl_loop_mono(h->e->loop), wait = pause_ms(lane), gathers = 0;
  if (h->batch_size && lane->rest && lane->rest->away < h->batch_size) gathers = gathers_ms(lane, now);
  if (h->batch_size && lane->first) return false; /* one at a time */
  if (lane->rest && lane->rest->not_before - now > wait) wait = lane->rest->not_before - now;
  if (gathers > wait) wait = gathers;
  if (wait > 0) {
    rest_for(lane, wait);
    return false;
  }
  if (!rows) return true;
  if (h->batch_size) {
    *rows = h->batch_size + 1; /* the last one tells since when the next batch gathers */
  } else if (keyed(h)) {
    size_t left = h->throttle_n - (lane->rest ? lane->rest->pace.n : 0);
    if (left < *rows) *rows = left;
  }
  return true;
}

bool hl_rest_keeps(hl_lane *lane) {
  hl_handler *h = lane->h;
  if (!lane->rest || !keyed(h) || h->gone) return false;
  pace *p = &lane->rest->pace;
  int64_t now = hl_loop_mono(h->e->loop);
  pace_forget(p, now - h->throttle_ms);
  if (!p->n) return false;
  if (!hl_timer_armed(&lane->rest->timer)) rest_for(lane, p->at[(p->first + p->n - 1) % p->cap] + h->throttle_ms - now);
  return true;
}

void hl_rest_free(hl_lane *lane) {
  if (!lane->rest) return;
  hl_timer_stop(lane->h->e->loop, &lane->rest->timer);
  hl_free(lane->rest->pace.at);
  hl_free(lane->rest);
  lane->rest = NULL;
}

/* ---- the handler ---- */

struct hl_pause {
  hl_timer timer;
  pace pace;
};

static hl_pause *pause_of(hl_handler *h) {
  if (!h->pause) {
    h->pause = HL_NEW(hl_pause);
    h->pause->timer.unref = true;
  }
  return h->pause;
}

static void on_pause(hl_timer *t, void *arg) {
  (void)t;
  hl_pump_handler(arg);
}

bool hl_pauses(hl_handler *h) {
  if (!h->throttle_all || !h->pause) return false;
  int64_t pause = pace_ms(h, &h->pause->pace, hl_loop_mono(h->e->loop));
  if (pause > 0) hl_timer_start(h->e->loop, &h->pause->timer, pause, on_pause, h);
  return pause > 0;
}

void hl_pause_free(hl_handler *h) {
  if (!h->pause) return;
  hl_timer_stop(h->e->loop, &h->pause->timer);
  hl_free(h->pause->pace.at);
  hl_free(h->pause);
  h->pause = NULL;
}

/* ---- starts ---- */

void hl_rest_began(hl_lane *lane) {
  hl_handler *h = lane->h;
  hl_engine *e = h->e;
  if (!h->throttle_n) return;
  pace_add(h->throttle_all ? &pause_of(h)->pace : &rest_of(lane)->pace, hl_loop_mono(e->loop));
  hl_buf name;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  hl_tx_started(e->tx, name.p, h->throttle_all ? HL_STR("") : (hl_str){lane->key, lane->key_n}, hl_loop_now(e->loop), h->throttle_ms);
  hl_buf_deinit(&name);
  hl_touch(e);
}

static void started(void *arg, const char *handler, hl_str lane, int64_t at) {
  hl_engine *e = arg;
  hl_handler *h = hl_handler_by_name(e, handler);
  int64_t age = hl_loop_now(e->loop) - at;
  if (!h || !h->throttle_n || age >= h->throttle_ms) return;
  if (h->throttle_all) pace_add(&pause_of(h)->pace, hl_loop_mono(e->loop) - (age > 0 ? age : 0));
  if (h->throttle_all || !lane.n || e->lanes.n >= MAX_LANES) return;
  hl_lane *known = hl_lane_named(e, h, lane);
  pace_add(&rest_of(known)->pace, hl_loop_mono(e->loop) - (age > 0 ? age : 0));
  hl_lane_check(known);
}

int hl_rest_start(hl_engine *e, hl_error *err) { return hl_store_each_start(e->store, hl_loop_now(e->loop), started, e, err); }
