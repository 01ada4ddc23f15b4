/* Parked rows: retries that do not wait in memory, and delayed events. Only what
 * is due is read, so that their number costs no memory. A row that has been read
 * is known by its id until the commit in which it goes. */
#include "base/mem.h"
#include "engine/inside.h"

enum { READ_MORE = 1024, MAX_DUE = 4096 };  /* rows read together; that are in memory because they were due */

static bool same_id(const hl_node *node, const void *key) {
  return HL_CONTAINER(node, hl_parked_ref, node)->id == *(const int64_t *)key;
}

bool hl_parked_known(const hl_engine *e, int64_t id) {
  return hl_map_find(&e->parked, hl_map_hash(&e->parked, &id, sizeof id), same_id, &id) != NULL;
}

hl_parked_ref *hl_parked_hold(hl_engine *e, int64_t id) {
  hl_parked_ref *ref = HL_NEW(hl_parked_ref);
  ref->id = id;
  hl_map_add(&e->parked, &ref->node, hl_map_hash(&e->parked, &id, sizeof id));
  return ref;
}

void hl_parked_leave(hl_engine *e, hl_parked_ref *ref) {
  ref->seq = e->seq;
  ref->next = NULL;
  *e->leaving_tail = ref;
  e->leaving_tail = &ref->next;
  hl_touch(e);
}

void hl_parked_committed(hl_engine *e) {
  while (e->leaving && e->leaving->seq <= e->done_seq) {
    hl_parked_ref *ref = e->leaving;
    e->leaving = ref->next;
    if (!e->leaving) e->leaving_tail = &e->leaving;
    hl_map_remove(&e->parked, &ref->node);
    hl_free(ref);
  }
}

static void on_timer(hl_timer *t, void *arg) {
  (void)t;
  hl_parked_check(arg);
}

static void arm(hl_engine *e) {
  if (e->next_due == INT64_MAX || e->freeing) return;
  hl_timer_start_at(e->loop, &e->due_timer, e->next_due, on_timer, e);
}

void hl_parked_due(hl_engine *e, int64_t due) {
  if (due >= e->next_due) return;
  e->next_due = due;
  if (e->started && !e->reading_due) arm(e);
}

hl_run *hl_parked_run(hl_engine *e, hl_handler *h, const hl_parked *p) {
  cJSON *json = NULL;
  if (!h) {
    hl_tx_repark(e->tx, p->id, HL_ST_ORPHANED, p->attempts, 0, HL_STR("its handler does not exist any more"));
    hl_parked_leave(e, hl_parked_hold(e, p->id));
    return NULL;
  }
  if (h->absent) {
    hl_tx_repark(e->tx, p->id, HL_ST_PENDING, p->attempts, p->due, HL_STR("its script could not be loaded"));
    hl_parked_leave(e, hl_parked_hold(e, p->id));
    return NULL;
  }
  int rc = hl_json_parse(p->event, &json, NULL);
  if (rc == HL_ENOMEM) hl_mem_ended();
  hl_ev *ev = rc ? NULL : hl_ev_parked(e, p, json);
  if (!ev) {
    cJSON_Delete(json);
    hl_tx_repark(e->tx, p->id, HL_ST_DEAD, p->attempts, 0, HL_STR("the stored event cannot be read"));
    hl_parked_leave(e, hl_parked_hold(e, p->id));
    return NULL;
  }
  hl_run *run = hl_run_new(e, RUN_EVENT, h);
  run->ev = ev;
  run->occurred = ev->occurred;
  run->parked = p->id;
  run->attempt = p->attempts;
  run->first_failed = INT64_MIN / 2; /* long ago: it waits in the store */
  run->depth = (int)hl_json_int(ev->json, "depth", 0);
  run->own = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(ev->json, "own"));
  run->waited = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(ev->json, "waited"));
  run->ref = hl_parked_hold(e, p->id);
  return run;
}

/* A retry goes alone: later events of its object have passed it by now. What has waited goes on in its lane, and what was
 * kept and never tried has its turn there. */
void hl_parked_enter(hl_engine *e, hl_handler *h, const hl_parked *p, bool debounced) {
  hl_run *run = hl_parked_run(e, h, p);
  if (!run) return;
  if (h->batch_size && !run->attempt) hl_batch_wait(run);
  else if (debounced || run->waited || !run->attempt || (h->throttle_n && !h->batch_size)) hl_lane_enter(run);
  else hl_lane_enter_alone(run);
}

static void due_now(hl_engine *e, const hl_parked *p) {
  bool debounced = hl_debounce_fires(e, p->id);
  hl_handler *h = hl_handler_by_name(e, p->handler);
  if (!h && hl_absent_any(p->handler)) hl_absent_offer(e, p);
  else if (h && p->lane.p) hl_backlog_due(e, h, p);
  else hl_parked_enter(e, h, p, debounced);
}

/* It failed shortly before the restart: its lane waits for it as it would have. */
static void hold_again(void *arg, const hl_parked *p) {
  hl_engine *e = arg;
  int64_t now = hl_loop_now(e->loop);
  hl_handler *h = hl_handler_by_name(e, p->handler);
  if (e->held >= MAX_HELD || p->failed > now || !h) return;
  hl_run *run = hl_parked_run(e, h, p);
  if (!run) return;
  run->first_failed = hl_loop_mono(e->loop) - (now - p->failed);
  hl_lane_hold(run);
  hl_run_hold(run, p->due - now);
}

int hl_parked_start(hl_engine *e, hl_error *err) {
  return hl_store_each_held(e->store, hl_loop_now(e->loop) - HOLD_MS, HOLD_MS, hold_again, e, err);
}

static void on_due(void *arg, const hl_store_due *due) {
  hl_engine *e = arg;
  e->reading_due = false;
  if (due->code) {
    if (!e->due_again_ms) hl_log_write(e->log, HL_LOG_ERROR, "store", "cannot read what is due; it is tried again until it can");
    e->due_again_ms = hl_longer_wait(e->due_again_ms);
    e->next_due = hl_loop_now(e->loop) + e->due_again_ms;
    arm(e);
    return;
  }
  e->due_again_ms = 0;
  int64_t now = hl_loop_now(e->loop);
  for (size_t i = 0; i < due->n; i++) {
    const hl_parked *p = &due->parked[i];
    if (hl_parked_known(e, p->id)) continue;
    if (p->kind == HL_ST_WAITING) {
      due_now(e, p);
      continue;
    }
    hl_tx_release(e->tx, p->id);
    hl_inbox_append_own(e, hl_strndup(p->event.p, p->event.n), p->due > now ? p->due : now);
    hl_parked_leave(e, hl_parked_hold(e, p->id));
  }
  if (due->next > now) hl_absent_caught_up(e, e->due_seq);
  if (due->next < e->next_due) e->next_due = due->next;
  arm(e);
  hl_touch(e);
}

/* Neither in their lanes, waiting for a retry, nor from the backlog. */
static size_t due_in_memory(const hl_engine *e) { return e->parked.n - e->held - e->loaded; }

void hl_parked_check(hl_engine *e) {
  int64_t now = hl_loop_now(e->loop);
  if (!hl_may_dispatch(e) || e->reading_due || e->next_due == INT64_MAX) return;
  if (e->next_due > now) {
    arm(e);
    return;
  }
  e->due_blocked = !hl_inbox_room(e) || due_in_memory(e) >= MAX_DUE;
  if (e->due_blocked) {
    hl_backlog_blocked(e);
    return;
  }
  e->due_after_submit = !hl_tx_empty(e->tx);
  if (e->due_after_submit) return;
  e->reading_due = true;
  e->due_seq = e->done_seq;
  e->next_due = INT64_MAX; /* what becomes known meanwhile counts, and the answer */
  hl_store_read_due(e->store, now, EARLY_MS, e->parked.n + READ_MORE, on_due, e);
}

void hl_parked_more(hl_engine *e) {
  if (e->due_blocked && hl_inbox_room(e) && due_in_memory(e) < MAX_DUE / 2) hl_parked_check(e);
}
