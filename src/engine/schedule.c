/* every and cron. The last firing is in the store and moves in the commit of the
 * run's completion, so that a crash repeats a run and never loses one. */
#include <assert.h>

#include "base/mem.h"
#include "engine/inside.h"

static const int64_t LOOK_AGAIN_MS = 60 * 60 * 1000; /* the wall clock may step */

static int64_t next_after(const hl_handler *h, int64_t ms) {
  if (h->every_ms) return ms + h->every_ms;
  return hl_cron_next(&h->cron, h->tz, ms);
}

/* The last time due at or before `now`; `due` is one of them. */
static int64_t latest(const hl_handler *h, int64_t due, int64_t now) {
  if (h->every_ms) return due + (now - due) / h->every_ms * h->every_ms;
  for (int64_t next; (next = hl_cron_next(&h->cron, h->tz, due)) <= now;) due = next;
  return due;
}

static void record(hl_handler *h, int64_t at) {
  hl_buf name;
  h->last = at;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  hl_tx_fired(h->e->tx, name.p, at);
  hl_buf_deinit(&name);
  hl_touch(h->e);
}

static void on_timer(hl_timer *t, void *arg);

static void arm(hl_handler *h) {
  hl_engine *e = h->e;
  if (e->freeing || h->due == INT64_MAX) return;
  int64_t wait = h->due - hl_loop_now(e->loop);
  hl_timer_start(e->loop, &h->timer, wait < LOOK_AGAIN_MS ? wait : LOOK_AGAIN_MS, on_timer, h);
}

static void on_timer(hl_timer *t, void *arg) {
  (void)t;
  hl_handler *h = arg;
  hl_engine *e = h->e;
  if (h->firing || !hl_may_dispatch(e)) return; /* hl_schedule_ended or _resume arms again */
  if (hl_loop_now(e->loop) < h->due) {
    arm(h);
    return;
  }
  hl_run *run = hl_run_new(e, RUN_SCHEDULE, h);
  run->fired_at = h->due;
  h->firing = true;
  hl_run_start(run);
}

void hl_schedule_start(hl_engine *e, hl_handler *h) {
  int64_t now = hl_loop_now(e->loop);
  if (!h->last) record(h, now);
  h->due = next_after(h, h->last);
  if (h->due <= now) {
    switch (h->catchup) {
      case HL_CATCHUP_ONCE: h->due = latest(h, h->due, now); break;
      case HL_CATCHUP_ALL: h->catch_until = now; break;
      case HL_CATCHUP_SKIP:
        record(h, latest(h, h->due, now));
        h->due = next_after(h, h->last);
        break;
    }
  }
  arm(h);
}

void hl_schedule_ended(hl_run *run, bool done) {
  hl_handler *h = run->h;
  hl_engine *e = run->e;
  int64_t now = hl_loop_now(e->loop);
  h->firing = false;
  if (done) {
    record(h, run->fired_at);
    h->due = next_after(h, h->last);
    /* Times that passed while it ran are skipped, except those it is catching up on. */
    if (h->due <= now && h->due > h->catch_until) h->due = next_after(h, latest(h, h->due, now));
  }
  hl_run_free(run);
  arm(h);
}

void hl_schedule_resume(hl_engine *e) {
  for (hl_handler *h = e->handlers; h; h = h->next)
    if (h->scheduled && !h->firing && !hl_timer_armed(&h->timer)) arm(h);
}
