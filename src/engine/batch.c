/* Batches: a handler that gets many events at once. Its events wait in the store,
 * in the lane of their key or of their account (backlog.c), until there are enough
 * or the first has waited long enough (rest.c). One batch of a lane is out at a
 * time: a run whose first event is the run's own, and the others are members.
 *
 * A batch that fails goes again whole. When it has failed for its own sake a few
 * times, it goes as two halves, and these again, so that in the end the event that
 * fails is alone and is treated as any other. */
#include "base/mem.h"
#include "engine/inside.h"

enum { WHOLE = 3 };            /* attempts before a batch is taken apart */

void hl_batch_wait(hl_run *run) {
  hl_lane *lane = hl_lane_of(run);
  if (run->refused) hl_lane_enter(run); /* it has no key: it is parked where others run */
  else hl_backlog_park(run, lane);
}

/* `other` becomes the last member of `run`. */
void hl_batch_join(hl_run *run, hl_run *other) {
  size_t n = run->batch ? run->batch->n : 0;
  run->batch = hl_realloc(run->batch, sizeof *run->batch + (n + 1) * sizeof run->batch->v[0]);
  run->batch->n = n + 1;
  run->batch->v[n] = (hl_member){.ev = other->ev, .parked = other->parked, .ref = other->ref, .occurred = other->occurred, .own = other->own};
  if (other->attempt > run->attempt) run->attempt = other->attempt;
  if (other->depth > run->depth) run->depth = other->depth;
  other->ev = NULL;
  hl_run_free(other);
}

size_t hl_batch_members(const hl_run *run) { return run->batch ? run->batch->n : 0; }

void hl_batch_view(hl_run *run, hl_event *event) {
  size_t n = hl_batch_members(run) + 1;
  run->filtered = false;
  hl_event *v = hl_alloc(n * sizeof *v);
  v[0] = *event;
  for (size_t i = 1; i < n; i++) {
    const hl_member *m = &run->batch->v[i - 1];
    hl_event_view(m->ev, run->attempt + 1, &v[i]);
    v[i].own = m->own;
    v[i].bulk = event->bulk;
    run->batch->v[i - 1].filtered = false;
  }
  event->batch = v;
  event->n_batch = n;
}

void hl_run_filtered(hl_run *run, size_t i) {
  if (i == 0) run->filtered = true;
  else if (i <= hl_batch_members(run)) run->batch->v[i - 1].filtered = true;
}

/* ---- its end: what becomes of the members ---- */

void hl_batch_done(hl_run *run, hl_state state) {
  hl_engine *e = run->e;
  for (size_t i = 0; i < hl_batch_members(run); i++) {
    hl_member *m = &run->batch->v[i];
    hl_tx_unpark(e->tx, m->parked, m->filtered ? HL_ST_FILTERED : state);
    hl_parked_leave(e, m->ref);
  }
}

/* Their rows are as they were. */
void hl_batch_leave(hl_run *run) {
  for (size_t i = 0; i < hl_batch_members(run); i++) hl_parked_leave(run->e, run->batch->v[i].ref);
}

void hl_batch_repark(hl_run *run, hl_state kind, hl_str error) {
  for (size_t i = 0; i < hl_batch_members(run); i++)
    hl_tx_repark(run->e->tx, run->batch->v[i].parked, kind, run->attempt, 0, error);
}

void hl_batch_free(hl_run *run) {
  for (size_t i = 0; i < hl_batch_members(run); i++) hl_ev_unref(run->e, run->batch->v[i].ev);
  hl_free(run->batch);
  run->batch = NULL;
}

/* ---- failure ---- */

/* The members from `at` on become a run of their own, which is the next of the lane. */
static void cut_off(hl_run *run, size_t at) {
  hl_batch *all = run->batch;
  hl_lane *lane = run->lane;
  hl_run *next = hl_run_new(run->e, RUN_EVENT, run->h);
  const hl_member *m = &all->v[at];
  next->ev = m->ev;
  next->parked = m->parked;
  next->ref = m->ref;
  next->occurred = m->occurred;
  next->own = m->own;
  next->attempt = run->attempt;
  next->first_failed = run->first_failed;
  next->depth = run->depth;
  next->bulk = run->bulk;
  next->home = run->home;
  size_t n = all->n - at - 1;
  if (n) {
    next->batch = hl_alloc(sizeof *next->batch + n * sizeof *m);
    next->batch->n = n;
    memcpy(next->batch->v, m + 1, n * sizeof *m);
  }
  all->n = at;
  if (!at) {
    hl_free(all);
    run->batch = NULL;
  }
  next->lane = lane;
  next->lane_next = run->lane_next;
  run->lane_next = next;
  if (lane->last == run) lane->last = next;
  lane->n++;
  run->h->waiting[run->bulk]++;
}

void hl_batch_apart(hl_run *run) {
  while (run->batch) cut_off(run, run->batch->n - 1);
}

/* Its rows keep their place in the lane, and the number of its attempts. */
static void store_attempt(hl_run *run, hl_str error) {
  hl_lane *lane = run->home;
  hl_parked p = {.id = run->parked, .attempts = run->attempt, .due = INT64_MAX, .lane = {lane->key, lane->key_n},
                 .occurred = run->occurred, .error = error};
  hl_tx_lane(run->e->tx, &p);
  for (size_t i = 0; i < run->batch->n; i++) {
    p.id = run->batch->v[i].parked;
    p.occurred = run->batch->v[i].occurred;
    hl_tx_lane(run->e->tx, &p);
  }
}

bool hl_batch_failed(hl_run *run, bool dead, bool outside, int64_t delay, hl_str error) {
  hl_engine *e = run->e;
  hl_lane *lane = run->lane;
  if (!run->batch || !run->home || run->h->gone || run->refused) return false;
  store_attempt(run, error);
  hl_touch(e);
  hl_run_ended(run);
  if (dead || (!outside && run->attempt >= WHOLE)) {
    cut_off(run, run->batch->n / 2);
    hl_lane_back(lane);
  } else if (hl_run_may_hold(run, delay)) {
    hl_run_hold(run, delay);
  } else { /* its lane waits for it in the store */
    hl_rest_not_before(lane, delay);
    hl_backlog_away(lane, run->occurred, hl_batch_members(run) + 1);
    hl_batch_leave(run);
    hl_parked_leave(e, run->ref);
    hl_lane_leave(run);
    hl_run_free(run);
  }
  return true;
}
