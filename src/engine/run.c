/* Runs: what a handler does locally is buffered here and commits with its
 * completion, or not at all (SEMANTICS 5). */
#include <assert.h>
#include <limits.h>

#include "base/mem.h"
#include "engine/inside.h"

enum { MAX_PAYLOAD = 1 << 20, MAX_NAME = 200, MAX_ERROR = 16 << 10 };

hl_run *hl_engine_begin(hl_engine *e, const char *script, const char *account) {
  hl_run *run = hl_run_new(e, RUN_FREE, NULL);
  run->script = hl_strdup(script ? script : "");
  run->account = hl_strdup(account ? account : "");
  if (e->page) run->who = hl_page_name(run->script, "", "");
  return run;
}

const char *hl_run_script(const hl_run *run) { return run->h ? run->h->script : run->script; }
const char *hl_run_account(const hl_run *run) {
  if (run->ev) return run->ev->account;
  if (run->h) return run->h->account ? run->h->account : "";
  return run->account;
}

/* ---- buffered effects ---- */

static void drop_effect(hl_run *run, hl_effect *f) {
  f->prev->next = f->next;
  f->next->prev = f->prev;
  if (f->pinned) hl_kv_unpin(run->e, f->pinned);
  hl_free(f->script);
  hl_free(f->account);
  hl_free(f->name);
  hl_free(f->text);
  hl_free(f);
}

void hl_run_drop_effects(hl_run *run) {
  while (run->effects.next != &run->effects) drop_effect(run, run->effects.next);
}

void hl_run_drop_effects_of(hl_run *run, unsigned writer) {
  for (hl_effect *f = run->effects.next, *next; f != &run->effects; f = next) {
    next = f->next;
    if (f->writer == writer) drop_effect(run, f);
  }
}

hl_effect *hl_run_add_effect(hl_run *run, hl_effect_kind kind) {
  hl_effect *f = HL_NEW(hl_effect);
  f->kind = kind;
  f->writer = run->over ? UINT_MAX : run->writer; /* what is left is dropped */
  f->next = &run->effects;
  f->prev = run->effects.prev;
  f->prev->next = f;
  run->effects.prev = f;
  return f;
}

int hl_run_emit(hl_run *run, const char *name, hl_str payload, int64_t delay_ms, const char *object_type,
                const char *object_id, hl_error *err) {
  cJSON *json = NULL;
  size_t n = name ? strlen(name) : 0;
  if (!n || n > MAX_NAME) return hl_fail(err, HL_EINVAL, "emit: an event's name has 1 to %d bytes", MAX_NAME);
  if (payload.n > MAX_PAYLOAD)
    return hl_fail(err, HL_ELIMIT, "emit “%s”: the payload has %zu bytes, at most %d are allowed", name, payload.n, MAX_PAYLOAD);
  if (payload.n && hl_json_parse(payload, &json, err)) {
    if (err) hl_fail_in(err, "emit “%s”", name);
    return HL_EINVAL;
  }
  cJSON_Delete(json);
  hl_effect *f = hl_run_add_effect(run, EF_EMIT);
  f->name = hl_strdup(name);
  f->text = payload.n ? hl_strndup(payload.p, payload.n) : hl_strdup("null");
  f->number = delay_ms > 0 ? delay_ms : 0;
  f->script = hl_strdup(object_type);
  f->account = hl_strdup(object_id);
  return 0;
}

int hl_run_emit_found(hl_run *run, const char *name, hl_str payload, int64_t occurred_at, const char *object_type,
                      const char *object_id, hl_error *err) {
  int rc = hl_run_emit(run, name, payload, 0, object_type, object_id, err);
  if (!rc) run->effects.prev->at = occurred_at;
  return rc;
}

int hl_run_audit(hl_run *run, const char *kind, const char *key, hl_str json, hl_error *err) {
  if (json.n > MAX_PAYLOAD)
    return hl_fail(err, HL_ELIMIT, "audit “%s”: the record has %zu bytes, at most %d are allowed", key, json.n, MAX_PAYLOAD);
  hl_effect *f = hl_run_add_effect(run, EF_AUDIT);
  f->script = hl_strdup(kind);
  f->account = hl_strdup(key);
  f->text = hl_strndup(json.p ? json.p : "", json.n);
  f->text_n = json.n;
  return 0;
}

/* The body of an event of our own, as it lies in the log. The payload is spliced
 * in as text: it was JSON when it came. */
static char *own_body(hl_run *run, const hl_effect *f, int64_t at) {
  cJSON *head = cJSON_CreateObject();
  cJSON_AddStringToObject(head, "subscriptionType", f->name);
  cJSON_AddItemToObject(head, "occurredAt", hl_json_int64(f->at ? f->at : at));
  cJSON_AddStringToObject(head, "account", hl_run_account(run));
  if (f->script) cJSON_AddStringToObject(head, "objectTypeId", f->script);
  if (f->account) cJSON_AddStringToObject(head, "objectId", f->account);
  cJSON_AddNumberToObject(head, "depth", run->depth + 1);
  char *text = hl_json_print(head);
  cJSON_Delete(head);
  text[strlen(text) - 1] = 0; /* the closing brace */
  size_t size = strlen(text) + strlen(f->text) + sizeof "[,\"payload\":}]";
  char *body = hl_alloc(size);
  snprintf(body, size, "[%s,\"payload\":%s}]", text, f->text);
  hl_free(text);
  return body;
}

static void apply_effect(hl_run *run, const hl_effect *f) {
  hl_engine *e = run->e;
  int64_t now = hl_loop_now(e->loop);
  if (f->kind == EF_SET || f->kind == EF_INCR) {
    hl_kv_write(e, f);
  } else if (e->replay) {
    return;
  } else if (f->kind == EF_AUDIT) {
    hl_tx_audit(e->tx, now, hl_run_script(run), hl_run_account(run), f->script, f->account, (hl_str){f->text, f->text_n});
  } else if (f->number > 0) {
    char *body = own_body(run, f, now + f->number);
    hl_parked p = {.id = e->next_parked++, .kind = HL_ST_DELAYED, .handler = "", .type = f->name, .source = "emit",
                   .account = hl_run_account(run), .received = now, .due = now + f->number, .event = hl_str_of(body)};
    hl_tx_park(e->tx, &p, false);
    hl_free(body);
    hl_parked_due(e, p.due - EARLY_MS);
  } else {
    hl_inbox_append_own(e, own_body(run, f, now), now);
  }
}

/* All of a run's effects into the transaction that gathers. */
static void apply(hl_run *run) {
  for (hl_effect *f = run->effects.next; f != &run->effects; f = f->next) apply_effect(run, f);
  hl_run_drop_effects(run);
  hl_touch(run->e);
}

void hl_run_apply_of(hl_run *run, unsigned writer) {
  for (hl_effect *f = run->effects.next; f != &run->effects; f = f->next)
    if (f->writer == writer) apply_effect(run, f);
  hl_run_drop_effects_of(run, writer);
  hl_touch(run->e);
}

void hl_run_commit(hl_run *run, void (*cb)(void *arg, int code), void *arg) {
  assert(run->kind == RUN_FREE);
  hl_engine *e = run->e;
  bool empty = run->effects.next == &run->effects;
  /* While the store cannot commit, what is buffered stays so. */
  if (empty || e->stalled) {
    hl_waiter_add(e, true, empty ? 0 : HL_EIO, cb, arg);
    return;
  }
  apply(run);
  hl_waiter_add(e, false, 0, cb, arg);
}

/* ---- finishing ---- */

void hl_run_ended(hl_run *run) {
  hl_handler *h = run->h;
  hl_crew *crew = h->crew;
  bool full = crew->running-- >= crew->limit;
  run->running = false;
  h->running--;
  run->e->running--;
  if (run->bulk) h->bulk_running--;
  if (full) { /* other handlers of its script may have waited for it */
    for (hl_handler *other = run->e->handlers; other; other = other->next)
      if (other->crew == crew) hl_pump_handler(other);
  }
  hl_pump_handler(h);
  hl_backlog_more(h);
}

void hl_run_settle(hl_run *run, hl_state state) {
  hl_engine *e = run->e;
  hl_ev *ev = run->ev;
  if (state == HL_ST_RAN) ev->base = HL_ST_RAN;
  if (--ev->left == 0) {
    hl_event_done(e, ev);
  } else if (ev->row) {
    hl_buf name;
    hl_buf_init(&name, 1 << 16);
    hl_handler_durable(run->h, &name);
    hl_ev_done_by(e, ev, name.p, state);
    hl_buf_deinit(&name);
  }
}

/* The record of the write that caused the event goes with the event. */
static void drop_own(hl_run *run) {
  if (run->own_id) hl_tx_own_drop(run->e->tx, run->own_id);
  run->own_id = 0;
}

static void finish_done(hl_run *run, hl_state state) {
  hl_engine *e = run->e;
  drop_own(run);
  if (state == HL_ST_RAN) apply(run);
  hl_steps_leave(run);
  if (run->parked) {
    hl_batch_done(run, state);
    hl_tx_unpark(e->tx, run->parked, run->filtered ? HL_ST_FILTERED : state);
    if (state == HL_ST_RAN) run->ev->base = HL_ST_RAN;
    hl_parked_leave(e, run->ref);
  } else {
    hl_run_settle(run, state);
  }
  hl_lane_leave(run);
  hl_run_ended(run);
  hl_run_free(run);
}

void hl_run_unhold(hl_run *run) {
  if (!run->waiting) return;
  hl_timer_stop(run->e->loop, &run->timer);
  run->waiting = run->lane->busy = false;
  run->h->waiting[run->bulk]++;
  run->e->held--;
}

static void on_retry(hl_timer *t, void *arg) {
  (void)t;
  hl_run *run = arg;
  hl_run_unhold(run);
  /* The lane was kept: its first run goes again. */
  if (!run->e->freeing) hl_lane_again(run->lane);
}

bool hl_run_may_hold(const hl_run *run, int64_t delay) {
  const hl_engine *e = run->e;
  return run->lane && e->held < MAX_HELD && !e->draining && hl_loop_mono(e->loop) + delay - run->first_failed <= HOLD_MS;
}

void hl_run_hold(hl_run *run, int64_t delay) {
  run->waiting = true;
  run->e->held++;
  hl_timer_start(run->e->loop, &run->timer, delay, on_retry, run);
}

static void report_dead(const hl_run *run, bool uncertain, hl_str error) {
  const hl_ev *ev = run->ev;
  char text[1024], id[40];
  snprintf(id, sizeof id, "%lld.%u", (long long)ev->parked_row, ev->index);
  snprintf(text, sizeof text, "%s “%s” event %s: dead letter after %u attempt%s: " HL_STR_FMT, run->h->script, ev->type, id,
           run->attempt, run->attempt == 1 ? "" : "s", (int)(error.n > 300 ? 300 : error.n), error.p ? error.p : "");
  if (strcmp(run->h->type, HL_ALERT_TYPE) == 0) { /* it would alert itself for ever */
    hl_log_write(run->e->log, HL_LOG_ERROR, "alert", "an alert's own handler failed: %s", text);
    return;
  }
  cJSON *details = cJSON_CreateObject();
  cJSON_AddStringToObject(details, "event", id);
  cJSON_AddStringToObject(details, "type", ev->type);
  cJSON_AddStringToObject(details, "script", run->h->script);
  cJSON_AddStringToObject(details, "handler", run->h->name);
  cJSON_AddStringToObject(details, "objectId", ev->object_id);
  cJSON_AddNumberToObject(details, "attempts", run->attempt);
  hl_engine_alert(run->e, uncertain ? "uncertain_step" : "dead_letter", text, details);
}

/* What is not HubSpot's is kept with the row: this handler's own write, the depth, that it has waited. */
char *hl_run_parked_json(hl_run *run, cJSON *json) {
  cJSON_DeleteItemFromObjectCaseSensitive(json, "own");
  cJSON_DeleteItemFromObjectCaseSensitive(json, "depth");
  cJSON_DeleteItemFromObjectCaseSensitive(json, "waited");
  if (run->own) cJSON_AddTrueToObject(json, "own");
  if (run->waited) cJSON_AddTrueToObject(json, "waited");
  if (run->depth) cJSON_AddNumberToObject(json, "depth", run->depth);
  char *text = hl_json_print(json);
  drop_own(run);
  return text;
}

void hl_run_park_as(hl_run *run, hl_parked *p) {
  hl_engine *e = run->e;
  hl_ev *ev = run->ev;
  char *json = p->event.p ? NULL : hl_run_parked_json(run, ev->json);
  hl_buf name;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(run->h, &name);
  p->id = e->next_parked++;
  p->row = ev->parked_row;
  p->index = ev->index;
  p->open = true;
  p->handler = name.p;
  p->type = ev->type;
  p->source = ev->source;
  p->account = ev->account;
  p->received = ev->received;
  if (json) p->event = hl_str_of(json);
  hl_tx_park(e->tx, p, false);
  hl_buf_deinit(&name);
  hl_free(json);
  ev->split = ev->parks = true;
  hl_run_settle(run, HL_ST_WAITING);
  hl_touch(e);
}

/* Between half of the pause and all of it, so that what failed together does not come back together. */
int64_t hl_run_backoff(const hl_handler *h, unsigned attempt) {
  int64_t pause = h->retry_base_ms, cap = h->retry_cap_ms;
  for (unsigned i = 1; i < attempt && pause < cap; i++) pause *= 2;
  if (pause > cap) pause = cap;
  return pause - (int64_t)hl_rng_below(&h->e->rng, (uint64_t)pause / 2 + 1);
}

void hl_run_park(hl_run *run, hl_state kind, int64_t due, int64_t failed, hl_str error) {
  hl_parked p = {.kind = kind, .due = due, .failed = failed, .attempts = run->attempt, .error = error};
  hl_run_park_as(run, &p);
  run->parked = p.id;
  run->ref = hl_parked_hold(run->e, p.id);
}

static void finish_failed(hl_run *run, bool dead, bool outside, hl_str error) {
  hl_engine *e = run->e;
  int64_t now = hl_loop_now(e->loop), mono = hl_loop_mono(e->loop), delay = 0;
  bool uncertain = run->uncertain;
  hl_buf why;
  hl_buf_init(&why, MAX_ERROR);
  if (uncertain) { /* a retry would only find the same */
    dead = true;
    if (hl_buf_printf(&why, "uncertain: " HL_STR_FMT, (int)(error.n > MAX_ERROR / 2 ? MAX_ERROR / 2 : error.n), error.p ? error.p : ""))
      hl_mem_ended();
    error = hl_buf_str(&why);
  }
  hl_run_drop_effects(run);
  hl_steps_again(run);
  e->failed_runs++;
  run->attempt++;
  if (run->attempt == 1) run->first_failed = mono;
  if (error.n > MAX_ERROR) error.n = MAX_ERROR;
  if (run->attempt > run->h->retries) dead = true;
  bool orphaned = !dead && run->h->gone;
  if (!dead && !orphaned) {
    delay = hl_run_backoff(run->h, run->attempt);
    e->retried++;
  }
  hl_state kind = dead ? HL_ST_DEAD : orphaned ? HL_ST_ORPHANED : HL_ST_WAITING;
  if (hl_batch_failed(run, dead, outside, delay, error)) {
    hl_buf_deinit(&why);
    return;
  }
  hl_batch_repark(run, kind, error);
  hl_batch_leave(run);
  if (run->parked) {
    hl_tx_repark(e->tx, run->parked, kind, run->attempt, now + delay, error);
    hl_touch(e);
  } else {
    hl_run_park(run, kind, now + delay, now, error);
  }
  hl_backlog_left(run);
  if (dead) report_dead(run, uncertain, error);
  hl_buf_deinit(&why);
  hl_run_ended(run);
  if (!dead && !orphaned && hl_run_may_hold(run, delay)) {
    /* Its lane waits with it. */
    hl_run_hold(run, delay);
  } else {
    hl_parked_leave(e, run->ref);
    if (!dead && !orphaned) hl_parked_due(e, now + delay);
    hl_lane_leave(run);
    hl_run_free(run);
  }
}

void hl_run_finish(hl_run *run, hl_outcome outcome, hl_str error) {
  hl_engine *e = run->e;
  hl_handler *h = run->h;
  if (run->kind == RUN_FREE) {
    if (outcome == HL_RUN_DONE) apply(run);
    hl_run_free(run);
    return;
  }
  assert(run->running);
  if (run->kind == RUN_EVENT && !run->over && (outcome == HL_RUN_DONE || outcome == HL_RUN_FILTERED)) (void)hl_steps_fit_end(run);
  if (run->over && run->refused) {
    outcome = HL_RUN_DEAD;
    error = hl_str_of(run->refused);
  }
  if (e->replay && outcome != HL_RUN_DONE && outcome != HL_RUN_CUT) {
    if (run->refused) hl_log_write(e->log, HL_LOG_WARN, hl_run_script(run), "event %lld.%u: %s", (long long)run->ev->parked_row, run->ev->index, run->refused);
    outcome = HL_RUN_FILTERED;
  }
  if (run->over && !run->refused) {
    hl_wait_finish(run);
  } else if (run->kind == RUN_SCHEDULE) {
    if (outcome == HL_RUN_DONE) apply(run);
    hl_run_ended(run);
    hl_schedule_finish(run, outcome, error);
  } else if (outcome == HL_RUN_CUT) {
    hl_run_ended(run);
    hl_run_drop_effects(run);
    hl_steps_again(run);
    if (h->gone) hl_gone_cut(run);
    else hl_lane_back(run->lane);
  } else if (outcome == HL_RUN_FAILED || outcome == HL_RUN_AGAIN || outcome == HL_RUN_DEAD) {
    finish_failed(run, outcome == HL_RUN_DEAD, outcome == HL_RUN_AGAIN, error);
  } else {
    finish_done(run, outcome == HL_RUN_DONE ? HL_ST_RAN : HL_ST_FILTERED);
  }
  hl_gone_ended(h);
  hl_inbox_more(e);
  hl_touch(e);
}
