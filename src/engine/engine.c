#include "engine/engine.h"

#include <assert.h>

#include "base/mem.h"
#include "engine/inside.h"

static const size_t WINDOW_EVENTS = 4000000, WINDOW_GENERATION = 1000000;
static const int64_t PROBE_MIN_MS = 50, PROBE_MAX_MS = 5000;

const char *hl_intern(hl_engine *e, const char *name) {
  if (!name) name = "";
  for (size_t i = 0; i < e->n_names; i++)
    if (strcmp(e->names[i], name) == 0) return e->names[i];
  e->names = hl_realloc(e->names, (e->n_names + 1) * sizeof *e->names);
  return e->names[e->n_names++] = hl_strdup(name);
}

void hl_receipts_push(hl_receipts *list, hl_receipt_job *job) {
  job->next = NULL;
  *list->tail = job;
  list->tail = &job->next;
}

static hl_receipt_job *receipts_take(hl_receipts *list) {
  hl_receipt_job *job = list->first;
  if (!job) return NULL;
  list->first = job->next;
  if (!list->first) list->tail = &list->first;
  return job;
}

int64_t hl_longer_wait(int64_t ms) {
  if (ms < REREAD_MIN_MS) return REREAD_MIN_MS;
  return ms > REREAD_MAX_MS / 2 ? REREAD_MAX_MS : 2 * ms;
}

bool hl_may_dispatch(const hl_engine *e) { return e->started && !e->draining && !e->stalled && !e->freeing; }

/* ---- the commit ---- */

static void submit(hl_engine *e);

static void resume(hl_engine *e) {
  hl_inbox_more(e);
  hl_parked_check(e);
  hl_waits_look(e);
  hl_schedule_resume(e);
  hl_backlog_resume(e);
  hl_pump_soon(e);
}

static void on_probe(hl_timer *t, void *arg) {
  (void)t;
  hl_engine *e = arg;
  e->want_commit = true;
  submit(e);
}

/* What has run must still be recorded; what came in is refused, with everything
 * that gathered behind it: a duplicate shares the fate of its original. */
static void commit_failed(hl_engine *e, hl_tx *tx, int code, const char *why) {
  hl_receipts kept = {NULL, NULL};
  hl_receipt_job *job;
  bool first = false;
  kept.tail = &kept.first;
  e->failures++;
  if (!e->stalled) {
    e->stalled = first = true;
    e->probe_ms = PROBE_MIN_MS;
  } else if ((e->probe_ms *= 2) > PROBE_MAX_MS) {
    e->probe_ms = PROBE_MAX_MS;
  }
  hl_tx_drop_receipts(tx);
  hl_tx_drop_receipts(e->tx);
  hl_tx_prepend(e->tx, tx);
  while ((job = receipts_take(&e->flying)))
    if (job->cb) hl_inbox_refuse(e, job, code, why);
    else hl_receipts_push(&kept, job);
  while ((job = receipts_take(&e->receipts)))
    if (job->cb) hl_inbox_refuse(e, job, code, why);
    else hl_receipts_push(&kept, job);
  while ((job = receipts_take(&kept))) hl_receipts_push(&e->receipts, job);
  if (first) {
    char text[600];
    snprintf(text, sizeof text, "the store cannot commit, so nothing is dispatched and webhooks get 503 until it can: %s", why);
    hl_engine_alert(e, "store_stalled", text, NULL); /* waits for the commit like everything else */
  }
  hl_timer_start(e->loop, &e->probe, e->probe_ms, on_probe, e);
}

static void run_waiters(hl_engine *e) {
  while (e->waiters && e->waiters->seq <= e->done_seq) {
    hl_waiter *w = e->waiters;
    e->waiters = w->next;
    w->cb(w->arg, 0);
    hl_free(w);
  }
}

static void on_commit(void *arg, hl_tx *tx, int code, const hl_store_counts *counts, const char *why) {
  hl_engine *e = arg;
  e->out = false;
  if (code) {
    commit_failed(e, tx, code, why);
    return;
  }
  hl_receipts done = e->flying;
  bool was_stalled = e->stalled;
  if (!done.first) done.tail = &done.first;
  e->flying = (hl_receipts){NULL, NULL};
  e->flying.tail = &e->flying.first;
  e->commits++;
  e->counts = *counts;
  e->done_seq = e->seq - 1;
  if (was_stalled) {
    e->stalled = false;
    hl_log_write(e->log, HL_LOG_INFO, "store", "commits again");
  }
  /* The writer goes on with what has gathered while we answer. */
  submit(e);
  hl_parked_committed(e);
  hl_receipt_job *job;
  while ((job = receipts_take(&done))) hl_inbox_committed(e, job);
  hl_tx_free(tx); /* receipts have looked into its bodies */
  run_waiters(e);
  if (was_stalled) resume(e);
  if (e->wanting) hl_backlog_resume(e);
  hl_inbox_more(e);
  hl_drain_check(e);
}

static void submit(hl_engine *e) {
  if (e->out) return;
  hl_row_progress(e);
  hl_kv_flush(e);
  for (int k = 0; k < HL_ST_MAX; k++) {
    if (!e->moved[k]) continue;
    hl_tx_count(e->tx, (hl_state)k, e->moved[k]);
    e->moved[k] = 0;
  }
  if (hl_tx_empty(e->tx) && !e->want_commit) return;
  e->want_commit = false;
  hl_tx *tx = e->tx;
  e->tx = hl_tx_new();
  e->flying = e->receipts;
  if (!e->flying.first) e->flying.tail = &e->flying.first;
  e->receipts = (hl_receipts){NULL, NULL};
  e->receipts.tail = &e->receipts.first;
  e->out = true;
  e->seq++;
  hl_store_commit(e->store, tx, on_commit, e);
  if (e->due_after_submit) hl_parked_check(e);
}

static void on_flush(hl_defer *d, void *arg) {
  (void)d;
  hl_engine *e = arg;
  hl_receipt_job *job;
  while ((job = receipts_take(&e->failed)))
    hl_inbox_refuse(e, job, job->result.code, job->result.text);
  while (e->answered) {
    hl_waiter *w = e->answered;
    e->answered = w->next;
    w->cb(w->arg, w->code);
    hl_free(w);
  }
  if (!e->stalled) submit(e);
  hl_drain_check(e);
}

void hl_touch(hl_engine *e) {
  if (!e->freeing) hl_defer_start(e->loop, &e->flush, on_flush, e);
}

void hl_waiter_add(hl_engine *e, bool now, int code, void (*cb)(void *arg, int code), void *arg) {
  hl_waiter *w = HL_NEW(hl_waiter), **p = now ? &e->answered : &e->waiters;
  *w = (hl_waiter){.seq = e->seq, .code = code, .cb = cb, .arg = arg};
  while (*p) p = &(*p)->next;
  *p = w;
  if (!now) e->want_commit = true;
  hl_touch(e);
}

static void free_waiters(hl_waiter *w) {
  while (w) {
    hl_waiter *next = w->next;
    hl_free(w);
    w = next;
  }
}

/* ---- life ---- */

int hl_engine_new(hl_loop *loop, const hl_engine_options *o, hl_engine **out, hl_error *err) {
  hl_store *store;
  hl_store_state state;
  hl_retention keep = {o->retention_ms ? o->retention_ms : 7 * HL_DAY, o->audit_ms ? o->audit_ms : 365 * HL_DAY};
  int64_t window = o->dedupe_window_ms ? o->dedupe_window_ms : HL_DEDUPE_WINDOW_MS;
  size_t memory = o->dedupe_memory ? o->dedupe_memory : WINDOW_EVENTS;
  if (keep.events_ms < window) keep.events_ms = window; /* duplicates are found in the log */
  int rc = hl_store_open(loop, o->store, &keep, &store, err);
  if (rc) return rc;
  hl_engine *e = HL_NEW(hl_engine);
  hl_store_state_get(store, &state);
  e->loop = loop;
  e->log = hl_loop_log(loop);
  e->store = store;
  e->page = o->page;
  e->privacy_ms = o->privacy_ms;
  e->path = hl_strdup(o->store);
  e->replay = o->replay;
  e->max_events = o->max_events ? o->max_events : MAX_EVENTS;
  memcpy(e->key, state.key, sizeof e->key);
  hl_rng_init(&e->rng, hl_rng_next(hl_loop_rng(loop)));
  e->types.seed = hl_rng_next(&e->rng);
  e->lanes.seed = hl_rng_next(&e->rng);
  e->kv.seed = hl_rng_next(&e->rng);
  e->debounced.seed = e->debounced_ids.seed = e->sources.seed = hl_rng_next(&e->rng);
  e->tx = hl_tx_new();
  e->seq = 1;
  e->receipts.tail = &e->receipts.first;
  e->flying.tail = &e->flying.first;
  e->failed.tail = &e->failed.first;
  e->active_tail = &e->active;
  e->leaving_tail = &e->leaving;
  e->kv_asks.prev = e->kv_asks.next = &e->kv_asks;
  e->step_ops.prev = e->step_ops.next = &e->step_ops;
  e->early.prev = e->early.next = &e->early;
  e->kv_lru.prev = e->kv_lru.next = &e->kv_lru;
  e->next_due = INT64_MAX;
  e->due_timer.unref = e->press.unref = e->load_again.unref = true;
  e->counts = state.counts;
  e->steps_stored = state.steps;
  e->mark = e->cursor = state.mark;
  e->committed = state.last_row;
  e->next_row = state.last_row + 1;
  e->next_parked = state.last_parked + 1;
  e->dedupe = hl_dedupe_new(window, memory);
  e->own = hl_own_new();
  e->twins = hl_twins_new(e->key);
  /* Before anything can be received, so that the window is in the order of the log. */
  if (!o->no_receipt) rc = hl_spill_new(e, window, memory, o->dedupe_generation ? o->dedupe_generation : WINDOW_GENERATION, &e->spill, err);
  if (!rc) rc = hl_waits_new(e, o->wait_spare, err);
  if (rc) hl_engine_abandon(e);
  else *out = e;
  return rc;
}

static hl_state fate_of(void *arg, const char *durable) {
  if (hl_absent_any(durable)) return hl_absent_fate(arg, durable);
  const hl_handler *h = hl_handler_by_name(arg, durable);
  return !h ? HL_ST_ORPHANED : h->absent ? HL_ST_PENDING : HL_ST_WAITING;
}

static void remember_schedule(void *arg, const char *name, int64_t last) {
  hl_handler *h = hl_handler_by_name(arg, name);
  if (h && h->scheduled) h->last = last;
  else hl_schedule_remember(arg, name, last);
}

int hl_engine_start(hl_engine *e, hl_error *err) {
  assert(!e->started);
  int64_t now = hl_loop_now(e->loop);
  int rc = hl_absent_start(e, err);
  if (!rc) rc = hl_crews_start(e, err);
  if (!rc) rc = hl_store_reconcile(e->store, fate_of, e, &e->counts, err);
  if (!rc) rc = hl_store_each_schedule(e->store, remember_schedule, e, err);
  if (!rc) rc = hl_own_start(e, err);
  if (!rc) rc = hl_debounce_start(e, err);
  if (!rc) rc = hl_rest_start(e, err);
  if (!rc) rc = hl_parked_start(e, err);
  if (rc) return rc;
  e->started = true;
  for (hl_handler *h = e->handlers; h; h = h->next)
    if (h->scheduled && !e->replay) hl_schedule_start(e, h);
  hl_privacy_start(e);
  for (hl_handler *h = e->handlers; h; h = h->next) hl_backlog_open(h);
  hl_parked_due(e, now);
  hl_parked_check(e);
  hl_waits_look(e);
  hl_inbox_more(e);
  hl_pump_soon(e);
  return 0;
}

/* ---- draining ---- */

static void drained(hl_engine *e) {
  void (*done)(void *arg) = e->drained;
  void *arg = e->drained_arg;
  if (!done) return;
  e->drained = NULL;
  hl_timer_stop(e->loop, &e->drain_timer);
  done(arg);
}

void hl_drain_check(hl_engine *e) {
  if (!e->drained || e->running || e->out || e->receipts.first || e->dirty_rows || e->kv_dirty) return;
  if (!hl_tx_empty(e->tx)) return;
  drained(e);
}

static void on_drain_deadline(hl_timer *t, void *arg) {
  (void)t;
  drained(arg);
}

void hl_engine_drain(hl_engine *e, int64_t deadline_ms, void (*done)(void *arg), void *arg) {
  assert(!e->drained);
  e->draining = true;
  e->drained = done;
  e->drained_arg = arg;
  hl_timer_start(e->loop, &e->drain_timer, deadline_ms, on_drain_deadline, e);
  hl_touch(e);
}

static void free_handlers(hl_engine *e) {
  hl_node *node;
  while ((node = hl_map_pop(&e->types))) {
    hl_type *t = HL_CONTAINER(node, hl_type, node);
    hl_free(t->name);
    hl_free(t);
  }
  hl_handler **lists[] = {&e->handlers, &e->gone};
  for (size_t k = 0; k < HL_COUNT(lists); k++) {
    while (*lists[k]) {
      hl_handler *h = *lists[k];
      *lists[k] = h->next;
      hl_handler_free(h);
    }
  }
  hl_schedule_deinit(e);
}

static void engine_free(hl_engine *e, bool keep) {
  if (!e) return;
  if (keep && !e->stalled) {
    /* The store finishes what was submitted before it closes: finished runs count. */
    hl_receipt_job *job;
    while ((job = receipts_take(&e->flying))) hl_receipts_push(&e->failed, job);
    e->out = e->want_commit = false;
    submit(e);
  }
  e->freeing = true;
  while (e->runs) hl_run_free(e->runs);
  hl_store_free(e->store);
  hl_timer *timers[] = {&e->probe, &e->due_timer, &e->pump_later, &e->drain_timer, &e->reread, &e->press, &e->load_again};
  for (size_t i = 0; i < HL_COUNT(timers); i++) hl_timer_stop(e->loop, timers[i]);
  hl_defer_stop(e->loop, &e->flush);
  hl_defer_stop(e->loop, &e->pump);
  hl_defer_stop(e->loop, &e->put_away);
  hl_alerts_deinit(e);
  hl_early_deinit(e);
  hl_privacy_deinit(e);
  hl_forgets_deinit(e);
  hl_inbox_deinit(e);
  hl_kv_deinit(e);
  hl_steps_deinit(e);
  hl_node *node;
  while ((node = hl_map_pop(&e->parked))) hl_free(HL_CONTAINER(node, hl_parked_ref, node));
  while ((node = hl_map_pop(&e->lanes))) {
    hl_lane *lane = HL_CONTAINER(node, hl_lane, node);
    hl_rest_free(lane);
    hl_free(lane);
  }
  free_handlers(e);
  hl_crews_deinit(e);
  hl_mass_deinit(e);
  free_waiters(e->waiters);
  free_waiters(e->answered);
  hl_tx_free(e->tx);
  hl_spill_free(e->spill);
  hl_dedupe_free(e->dedupe);
  hl_own_free(e->own);
  hl_absent_deinit(e);
  hl_twins_free(e->twins);
  hl_debounce_deinit(e);
  hl_waits_free(e);
  for (size_t i = 0; i < e->n_names; i++) hl_free(e->names[i]);
  hl_free(e->names);
  hl_free(e->path);
  hl_free(e);
}

void hl_engine_free(hl_engine *e) { engine_free(e, true); }
void hl_engine_abandon(hl_engine *e) { engine_free(e, false); }
hl_store *hl_engine_store(hl_engine *e) { return e->store; }
hl_loop *hl_engine_loop(const hl_engine *e) { return e->loop; }

/* ---- reading ---- */

int64_t hl_engine_window_ms(const hl_engine *e) { return hl_dedupe_window_ms(e->dedupe, hl_loop_now(e->loop)); }

void hl_engine_stats_get(const hl_engine *e, hl_engine_stats *out) {
  const int64_t *s = e->counts.state;
  *out = (hl_engine_stats){
      .acknowledged = (uint64_t)e->counts.acknowledged,
      .pending = (uint64_t)s[HL_ST_PENDING],
      .ran = (uint64_t)s[HL_ST_RAN],
      .filtered = (uint64_t)s[HL_ST_FILTERED],
      .duplicate = (uint64_t)s[HL_ST_DUPLICATE],
      .waiting = (uint64_t)s[HL_ST_WAITING],
      .dead = (uint64_t)s[HL_ST_DEAD],
      .unhandled = (uint64_t)s[HL_ST_UNHANDLED],
      .orphaned = (uint64_t)s[HL_ST_ORPHANED],
      .own = (uint64_t)s[HL_ST_OWN],
      .debounced = (uint64_t)s[HL_ST_DEBOUNCED],
      .removed = (uint64_t)s[HL_ST_REMOVED],
      .running = e->running,
      .gaps = e->gaps,
      .near_misses = e->near_misses,
      .in_memory = e->events,
      .retried = e->retried,
      .runs_failed = e->failed_runs,
      .commits = e->commits,
      .stalled = e->stalled,
  };
  memcpy(out->dispatch_us, e->dispatch_us, sizeof out->dispatch_us);
  memcpy(out->start_us, e->start_us, sizeof out->start_us);
}

int hl_engine_place(hl_engine *e, const char *source, hl_buf *out, hl_error *err) { return hl_store_place(e->store, source, out, err); }
void hl_engine_pulls(hl_engine *e, const char *account) { hl_twins_watch(e->twins, hl_intern(e, account)); }

bool hl_engine_push_live(const hl_engine *e, const char *account, hl_str type) {
  for (size_t i = 0; i < e->n_names; i++)
    if (strcmp(e->names[i], account) == 0) return hl_twins_live(e->twins, e->names[i], type, hl_loop_mono(e->loop));
  return false;
}

bool hl_engine_listens(const hl_engine *e, const char *type) { return hl_type_of(e, type) != NULL || hl_waits_for(e, type); }

void hl_engine_listeners(const hl_engine *e, void (*each)(void *arg, const hl_listener *l), void *arg) {
  for (const hl_handler *h = e->handlers; h; h = h->next)
    if (!h->scheduled && *h->type) each(arg, &(hl_listener){h->type, h->script, h->account, h->property, h->object_type});
  hl_waits_each(e, each, arg);
}

void hl_engine_audits(hl_engine *e, const char *kind, const char *key, unsigned max, hl_audits_cb cb, void *arg) {
  hl_store_read_audits(e->store, kind, key, max, cb, arg);
}

bool hl_engine_idle(const hl_engine *e) {
  return e->running == 0 && !e->out && hl_tx_empty(e->tx) && !e->receipts.first && !e->dirty_rows && !e->kv_dirty &&
         e->counts.state[HL_ST_PENDING] == 0 && !e->reading_due && hl_waits_idle(e) && !e->wanting && !e->loads &&
         (e->next_due == INT64_MAX || e->next_due > hl_loop_now(e->loop));
}
