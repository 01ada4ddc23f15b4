/* Handlers and lanes. A lane is (handler, account, object type, object id): its
 * runs go one at a time in the order of occurredAt. Lanes that may go queue up
 * at their handler, and handlers at the engine, so that none starves another. */
#include <assert.h>
#include <limits.h>

#include "base/mem.h"
#include "engine/inside.h"
#include "hubspot/paths.h"

enum {
  STARTS_A_TURN = 256,
  LIVE_STARTS = 8,             /* live runs that start before a bulk one that waits */
  MAX_KEY = 1024,
};

/* ---- handlers ---- */

void hl_handler_durable(const hl_handler *h, hl_buf *out) {
  hl_buf_clear(out);
  if (hl_buf_printf(out, "%s\t%s\t%s", h->script, h->type, h->name) == HL_ENOMEM) hl_mem_ended();
}

hl_handler *hl_handler_by_name(hl_engine *e, const char *durable) {
  hl_buf b;
  hl_handler *found = NULL;
  hl_buf_init(&b, 1 << 16);
  for (hl_handler *h = e->handlers; h && !found; h = h->next) {
    hl_handler_durable(h, &b);
    if (hl_str_eqz(hl_buf_str(&b), durable)) found = h;
  }
  hl_buf_deinit(&b);
  return found;
}

static char **copy_names(const char *const *names) {
  size_t n = 0;
  while (names && names[n]) n++;
  if (!n) return NULL;
  char **out = hl_alloc((n + 1) * sizeof *out);
  for (size_t i = 0; i < n; i++) out[i] = hl_strdup(names[i]);
  return out;
}

static hl_handler *add_handler(hl_engine *e, const char *type, const hl_handler_options *o, const char *name,
                               hl_handler_cb cb, void *arg) {
  hl_handler *h = HL_NEW(hl_handler);
  h->e = e;
  h->type = hl_strdup(type);
  h->script = hl_strdup(o->script ? o->script : "");
  h->name = hl_strdup(name);
  h->who = hl_page_name(h->script, h->type, h->name);
  h->account = hl_strdup(o->account);
  h->property = hl_strdup(o->property);
  h->object_type = hl_strdup(o->object_type);
  h->concurrency = o->concurrency ? o->concurrency : DEFAULT_CONCURRENCY;
  h->retries = o->retries == UINT_MAX ? DEFAULT_RETRIES : o->retries;
  h->retry_base_ms = o->retry_base_ms ? o->retry_base_ms : RETRY_BASE_MS;
  h->retry_cap_ms = o->retry_cap_ms ? o->retry_cap_ms : h->retry_base_ms > RETRY_CAP_MS ? h->retry_base_ms : RETRY_CAP_MS;
  h->cb = cb;
  h->arg = arg;
  h->key = o->key;
  h->own = o->own;
  h->debounce_ms = o->debounce_ms;
  h->debounce_max_ms = o->debounce_max_ms;
  h->debounce_merged = o->debounce_merged;
  h->key_fields = copy_names(o->key_fields);
  h->live = o->live;
  h->hold_ms = o->hold_ms;
  h->batch_size = o->batch_size;
  h->batch_wait_ms = o->batch_wait_ms;
  h->throttle_n = o->throttle_n;
  h->throttle_ms = o->throttle_ms;
  h->throttle_all = o->throttle_n && o->throttle_all;
  h->crew = hl_crew_of(e, h->script);
  for (int k = 0; k < 2; k++) h->ready[k].tail = &h->ready[k].first;
  h->wanting_tail = &h->wanting;
  hl_handler **p = o->swap ? hl_swap_list(o->swap) : &e->handlers;
  while (*p) p = &(*p)->next;
  *p = h;
  return h;
}

static int check_name(hl_engine *e, const hl_handler_options *o, const char *type, const char *script, const char *name, hl_error *err) {
  for (const hl_handler *h = o->swap ? *hl_swap_list(o->swap) : e->handlers; h; h = h->next)
    if (strcmp(h->script, script) == 0 && strcmp(h->type, type) == 0 && strcmp(h->name, name) == 0)
      return hl_fail(err, HL_EINVAL, "%s: “%s” has a handler named “%s” already; give this one a name of its own: { name = \"…\" }",
                     script, type, name);
  return 0;
}

hl_handler *hl_handler_stand_in(hl_engine *e, const char *type, const hl_handler_options *o) {
  hl_handler *h = add_handler(e, type, o, o->name, NULL, NULL);
  hl_handler_listen(h);
  return h;
}

int hl_engine_on(hl_engine *e, const char *type, bool own, const hl_handler_options *o, hl_handler_cb cb, void *arg,
                 hl_handler **out, hl_error *err) {
  const char *nearest = NULL, *script = o->script ? o->script : "", *name = o->name ? o->name : type;
  if (!type || !*type) return hl_fail(err, HL_EINVAL, "%s: an event type is needed", script);
  if (!own && !hl_event_type_known(type, &nearest))
    return nearest ? hl_fail(err, HL_EINVAL, "“%s” is no event type of HubSpot; did you mean “%s”?", type, nearest)
                   : hl_fail(err, HL_EINVAL, "“%s” is no event type of HubSpot; they look like “contact.creation” or “deal.propertyChange”", type);
  int rc = check_name(e, o, type, script, name, err);
  if (rc) return rc;
  hl_handler *h = add_handler(e, type, o, name, cb, arg);
  if (!o->swap) hl_handler_listen(h);
  if (out) *out = h;
  return 0;
}

int hl_engine_schedule(hl_engine *e, const hl_schedule_options *s, const hl_handler_options *o, hl_handler_cb cb,
                       void *arg, hl_handler **out, hl_error *err) {
  const char *script = o->script ? o->script : "", *name = o->name ? o->name : s->text ? s->text : "";
  hl_tz *tz = s->tz;
  int rc = check_name(e, o, "schedule", script, name, err);
  if (!rc && !tz) rc = hl_tz_load("UTC", &tz, err);
  if (!rc && !s->cron && s->every_ms < 1)
    rc = hl_fail(err, HL_EINVAL, "%s: “%s”: an interval must be longer than zero", script, name);
  if (!rc && s->cron && hl_cron_next(s->cron, tz, hl_loop_now(e->loop)) == INT64_MAX)
    rc = hl_fail(err, HL_EINVAL, "%s: “%s” never comes in its time zone", script, name);
  if (rc) {
    hl_tz_free(tz);
    return rc;
  }
  hl_handler *h = add_handler(e, "schedule", o, name, cb, arg);
  h->scheduled = true;
  if (o->retries == UINT_MAX) h->retries = 0; /* it goes on at its next time */
  h->every_ms = s->every_ms;
  if (s->cron) h->cron = *s->cron;
  if (s->cron) h->every_ms = 0;
  h->tz = tz;
  h->catchup = s->catchup;
  h->text = hl_strdup(s->text ? s->text : name);
  h->json = cJSON_CreateObject();
  h->timer.unref = true;
  if (e->started && !o->swap) hl_schedule_start(e, h);
  if (out) *out = h;
  return 0;
}

/* ---- runs ---- */

hl_run *hl_run_new(hl_engine *e, hl_run_kind kind, hl_handler *h) {
  hl_run *run = HL_NEW(hl_run);
  run->e = e;
  run->kind = kind;
  run->h = h;
  run->timer.unref = true;
  run->effects.next = run->effects.prev = &run->effects;
  run->next = e->runs;
  if (run->next) run->next->prev = run;
  e->runs = run;
  return run;
}

void hl_run_free(hl_run *run) {
  hl_engine *e = run->e;
  hl_run_drop_effects(run);
  hl_steps_free(run);
  hl_backlog_left(run);
  if (run->prev) run->prev->next = run->next;
  else e->runs = run->next;
  if (run->next) run->next->prev = run->prev;
  hl_timer_stop(e->loop, &run->timer);
  /* A lane of one is nowhere else once its run goes; the others die with the map. */
  if (run->lane && !run->lane->mapped) hl_free(run->lane);
  hl_batch_free(run);
  if (run->ev) hl_ev_unref(e, run->ev);
  hl_free(run->refused);
  hl_free(run->wrote);
  hl_free(run->script);
  hl_free(run->account);
  hl_free(run);
}

/* ---- dispatch ---- */

bool hl_handler_wants(const hl_handler *h, const hl_ev *ev) {
  if (h->account && strcmp(h->account, ev->account) != 0) return false;
  if (h->object_type && strcmp(h->object_type, hl_path_type_id(ev->object_type)) != 0) return false;
  return !h->property || strcmp(h->property, hl_json_str(ev->json, "propertyName", "")) == 0;
}

/* True when an earlier life of this program has finished `h` with the event. */
static bool already(const hl_handler *h, hl_ev *ev, const hl_store_partial *partials, size_t n) {
  hl_buf b;
  bool found = false;
  if (!n) return false;
  hl_buf_init(&b, 1 << 16);
  hl_handler_durable(h, &b);
  for (size_t i = 0; i < n && !found; i++) {
    if (partials[i].index != ev->index || !hl_str_eqz(hl_buf_str(&b), partials[i].handler)) continue;
    found = true;
    if (partials[i].state == HL_ST_WAITING) ev->parks = true;
    if (partials[i].state == HL_ST_RAN) ev->base = HL_ST_RAN;
    if ((partials[i].state == HL_ST_OWN || partials[i].state == HL_ST_DEBOUNCED) && ev->base == HL_ST_FILTERED)
      ev->base = partials[i].state;
  }
  hl_buf_deinit(&b);
  return found;
}

/* Whether the event is skipped for `h`, which caused it. */
static bool is_own(hl_handler *h, hl_ev *ev) {
  int64_t id = h->own ? 0 : hl_own_take(h->e, h, ev);
  if (!id) return false;
  hl_tx_own_drop(h->e->tx, id);
  if (ev->base == HL_ST_FILTERED) ev->base = HL_ST_OWN;
  return true;
}

/* What is skipped must be known after a restart too, when others still have the event. */
static void note_skipped(hl_engine *e, hl_ev *ev, hl_handler *h) {
  hl_buf name;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  hl_ev_done_by(e, ev, name.p, HL_ST_OWN);
  hl_buf_deinit(&name);
}

static void give(hl_engine *e, hl_ev *ev, hl_handler *h, int depth, int written, bool mass) {
  hl_run *run = hl_run_new(e, RUN_EVENT, h);
  run->ev = ev;
  run->occurred = ev->occurred;
  run->depth = depth;
  run->bulk = mass && !h->live;
  if (h->own) run->own_id = hl_own_take(e, h, ev);
  run->own = run->own_id != 0;
  if (written > MAX_DEPTH)
    run->refused = hl_strdup("writes to HubSpot chained deeper than 8: handlers that answer each other's writes without end?");
  ev->refs++;
  ev->left++;
  if (h->absent || h->behind) hl_absent_keep(run);
  else if (h->batch_size && !run->refused) hl_batch_wait(run);
  else if (!h->debounce_ms || run->refused || !hl_debounce(run)) hl_lane_enter(run);
}

static int depth_of(hl_engine *e, const hl_ev *ev, int *written) {
  int depth = (int)hl_json_int(ev->json, "depth", 0);
  *written = hl_own_depth(e, ev);
  return *written > depth ? *written : depth;
}

void hl_dispatch_to(hl_engine *e, hl_ev *ev, hl_handler *h) {
  int written, depth = depth_of(e, ev, &written);
  assert(ev->left > 0);
  if (!hl_handler_wants(h, ev)) return;
  if (is_own(h, ev)) note_skipped(e, ev, h);
  else give(e, ev, h, depth, written, false);
}

void hl_dispatch_event(hl_engine *e, hl_ev *ev, const hl_store_partial *partials, size_t n) {
  hl_type *t = hl_takers_of(e, ev->type);
  hl_handler **skipped = NULL;
  size_t n_skipped = 0;
  ev->refs = ev->left = 1; /* ours, until all its handlers have been found */
  for (size_t i = 0; i < n; i++)
    if (partials[i].index == ev->index) hl_ev_note(e, ev, partials[i].handler);
  int written, depth = depth_of(e, ev, &written);
  bool mass = t && hl_mass(e, ev);
  for (hl_handler *h = t ? t->handlers : NULL; h; h = h->type_next) {
    if (!hl_handler_wants(h, ev) || already(h, ev, partials, n)) continue;
    if (!h->absent && is_own(h, ev)) {
      skipped = hl_realloc(skipped, (n_skipped + 1) * sizeof *skipped);
      skipped[n_skipped++] = h;
      continue;
    }
    give(e, ev, h, depth, written, mass);
  }
  if (written > MAX_DEPTH && ev->left > 1) hl_alert_depth(e, ev->parked_row, ev->index, ev->type, "writes to HubSpot");
  for (size_t i = 0; i < n_skipped && ev->left > 1; i++) note_skipped(e, ev, skipped[i]);
  hl_free(skipped);
  if (--ev->left == 0) hl_event_done(e, ev);
  hl_ev_unref(e, ev);
}

/* ---- lanes ---- */

static bool same_lane(const hl_node *node, const void *key) {
  const hl_lane *a = HL_CONTAINER(node, hl_lane, node), *b = key;
  return a->h == b->h && a->key_n == b->key_n && memcmp(a->key, b->key, a->key_n) == 0;
}

static hl_lane *new_lane(hl_handler *h, const char *key, size_t n) {
  hl_lane *lane = hl_alloc(sizeof *lane + n);
  lane->h = h;
  lane->key_n = n;
  if (n) memcpy(lane->key, key, n);
  return lane;
}

/* "k account NUL key" or "o account NUL type NUL id NUL". */
hl_lane *hl_lane_named(hl_engine *e, hl_handler *h, hl_str name) {
  hl_lane *lane = new_lane(h, name.p, name.n);
  uint64_t hash = hl_map_hash(&e->lanes, lane->key, name.n) ^ (uintptr_t)h;
  hl_node *node = hl_map_find(&e->lanes, hash, same_lane, lane);
  if (node) {
    hl_free(lane);
    return HL_CONTAINER(node, hl_lane, node);
  }
  lane->mapped = true;
  hl_map_add(&e->lanes, &lane->node, hash);
  return lane;
}

static int put(hl_buf *b, const char *text) { return hl_buf_append(b, text, strlen(text) + 1); }

/* Fields one after the other, each with its length, so that no two lists of values look alike. */
static int fields_key(const hl_handler *h, const hl_ev *ev, hl_buf *out) {
  const cJSON *payload = cJSON_GetObjectItemCaseSensitive(ev->json, "payload");
  bool any = false;
  size_t from = out->n;
  int rc = 0;
  for (size_t i = 0; h->key_fields[i] && !rc; i++) {
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(ev->json, h->key_fields[i]);
    if (!v) v = cJSON_GetObjectItemCaseSensitive(payload, h->key_fields[i]);
    if (!v || cJSON_IsNull(v)) {
      rc = hl_buf_puts(out, "-;");
      continue;
    }
    any = true;
    if (cJSON_IsString(v)) { /* an id is the same key as text and as a number */
      rc = hl_buf_printf(out, "%zu:%s;", strlen(v->valuestring), v->valuestring);
    } else {
      char *text = hl_json_print(v);
      rc = hl_buf_printf(out, "%zu:%s;", strlen(text), text);
      hl_free(text);
    }
  }
  if (!any) out->n = from;
  return rc;
}

static int key_of(hl_run *run, hl_buf *out, hl_error *err) {
  hl_handler *h = run->h;
  hl_event event = {0};
  if (h->key_fields) {
    int rc = fields_key(h, run->ev, out);
    return rc ? hl_fail(err, rc, "the key of the event is too long, at most %d bytes are allowed", MAX_KEY) : 0;
  }
  hl_event_view(run->ev, run->attempt + 1, &event);
  return h->key(h->arg, &event, out, err);
}

void hl_lane_name(hl_run *run, hl_buf *name) {
  hl_ev *ev = run->ev;
  hl_error err;
  int rc = 0;
  if (run->h->key || run->h->key_fields) {
    rc = hl_buf_puts(name, "k");
    if (!rc) rc = put(name, ev->account);
    size_t bare = name->n;
    if (!rc) rc = key_of(run, name, &err);
    if (!rc && name->n - bare > MAX_KEY)
      rc = hl_fail(&err, HL_ELIMIT, "the key of the event has %zu bytes, at most %d are allowed", name->n - bare, MAX_KEY);
    if (rc && !run->refused) run->refused = hl_strdup(err.text);
    if (!rc && name->n > bare) return;
  }
  hl_buf_clear(name);
  if (!rc && run->h->batch_size) { /* "b account NUL" */
    if (hl_buf_puts(name, "b") || put(name, ev->account)) hl_mem_ended();
    return;
  }
  if (rc || !ev->object_id[0]) return;
  rc = hl_buf_puts(name, "o");
  if (!rc) rc = put(name, ev->account);
  if (!rc) rc = put(name, ev->object_type);
  if (!rc) rc = put(name, ev->object_id);
  if (rc) hl_buf_clear(name);
}

hl_lane *hl_lane_of(hl_run *run) {
  hl_buf name;
  hl_buf_init(&name, 1 << 16);
  hl_lane_name(run, &name);
  if (!name.n && !run->refused && hl_handler_groups(run->h) && hl_buf_puts(&name, HL_NO_LANE)) hl_mem_ended();
  hl_lane *lane = name.n ? hl_lane_named(run->e, run->h, hl_buf_str(&name)) : NULL;
  hl_buf_deinit(&name);
  return lane;
}

/* Bulk runs leave a quarter of the slots to others. */
static bool may_start_bulk(const hl_handler *h) {
  return h->ready[1].first && h->bulk_running < h->concurrency - h->concurrency / 4;
}

static bool may_start(hl_handler *h) {
  return h->running < h->concurrency && h->crew->running < h->crew->limit && (h->ready[0].first || may_start_bulk(h)) &&
         !hl_handler_stands(h) && !hl_pauses(h);
}

void hl_pump_handler(hl_handler *h) {
  hl_engine *e = h->e;
  if (h->active || !may_start(h)) return;
  h->active = true;
  h->active_next = NULL;
  *e->active_tail = h;
  e->active_tail = &h->active_next;
  hl_pump_soon(e);
}

void hl_lane_again(hl_lane *lane) {
  hl_handler *h = lane->h;
  if (lane->busy || lane->ready || !lane->first) return;
  if (hl_lane_rests(lane)) return;
  hl_ready *list = &h->ready[lane->first->bulk];
  h->n_ready[lane->first->bulk]++;
  lane->ready = true;
  lane->ready_next = NULL;
  *list->tail = lane;
  list->tail = &lane->ready_next;
  hl_pump_handler(h);
}

void hl_lane_back(hl_lane *lane) {
  lane->busy = false;
  lane->h->waiting[lane->first->bulk]++;
  hl_lane_again(lane);
}

static void enter(hl_run *run, hl_lane *lane) {
  if (!lane) lane = new_lane(run->h, NULL, 0);
  run->lane = lane;
  lane->n++;
  lane->h->waiting[run->bulk]++;
  if (!lane->first) {
    lane->first = lane->last = run;
  } else if (lane->last->occurred <= run->occurred || lane->last == (lane->busy ? lane->first : NULL)) {
    lane->last->lane_next = run;
    lane->last = run;
  } else {
    /* Before the first later one; a busy lane's first has begun and stays. */
    hl_run **p = lane->busy ? &lane->first->lane_next : &lane->first;
    while ((*p)->occurred <= run->occurred) p = &(*p)->lane_next;
    run->lane_next = *p;
    *p = run;
  }
  hl_lane_again(lane);
}

void hl_lane_enter(hl_run *run) {
  hl_lane *lane = run->refused ? NULL : hl_lane_of(run); /* it will be parked: in no order */
  if (!hl_backlog_takes(run, lane)) enter(run, lane);
}
void hl_lane_put(hl_run *run, hl_lane *lane) { enter(run, lane ? lane : hl_lane_of(run)); }
void hl_lane_enter_alone(hl_run *run) { enter(run, NULL); }

void hl_lane_hold(hl_run *run) {
  hl_lane *lane = hl_lane_of(run);
  if (!lane || lane->first) lane = new_lane(run->h, NULL, 0);
  run->lane = lane;
  lane->first = lane->last = run;
  lane->n = 1;
  lane->busy = true;
}

void hl_lane_leave(hl_run *run) {
  hl_lane *lane = run->lane;
  assert(lane->first == run && lane->busy);
  run->lane = NULL;
  lane->busy = false;
  lane->first = run->lane_next;
  lane->n--;
  run->lane_next = NULL;
  if (!lane->first) lane->last = NULL;
  hl_lane_again(lane);
  hl_backlog_wants(lane);
  hl_lane_check(lane);
}

void hl_lane_check(hl_lane *lane) {
  hl_engine *e = lane->h->e;
  bool more = lane->more && !lane->h->gone;
  if (e->freeing || lane->first || lane->ready || more || lane->wanting || lane->loading || lane->loaded || lane->leaving || hl_rest_keeps(lane)) return;
  hl_rest_free(lane);
  if (lane->mapped) hl_map_remove(&e->lanes, &lane->node);
  hl_free(lane);
}

void hl_lane_take(hl_run *run) {
  hl_lane *lane = run->lane;
  hl_run *before = NULL;
  assert(!run->running && !run->waiting && !lane->ready);
  for (hl_run *r = lane->first; r != run; r = r->lane_next) before = r;
  if (before) before->lane_next = run->lane_next;
  else lane->first = run->lane_next;
  if (lane->last == run) lane->last = before;
  run->lane = NULL;
  run->lane_next = NULL;
  lane->n--;
  run->h->waiting[run->bulk]--;
  hl_lane_check(lane);
}

static unsigned bucket(int64_t us) {
  unsigned i = 0;
  while (i < 31 && us >= (INT64_C(1) << i)) i++;
  return i;
}

void hl_event_view(const hl_ev *ev, unsigned attempt, hl_event *out) {
  *out = (hl_event){.type = ev->type, .account = ev->account, .source = ev->source, .occurred_at = ev->occurred,
                    .received_at = ev->received, .received_us = ev->received_us, .attempt = attempt,
                    .object_type = ev->object_type, .object_id = ev->object_id, .json = ev->json};
  snprintf(out->id, sizeof out->id, "%lld.%u", (long long)ev->parked_row, ev->index);
}

void hl_run_start(hl_run *run) {
  hl_engine *e = run->e;
  hl_handler *h = run->h;
  hl_ev *ev = run->ev;
  hl_event event = {0};
  run->running = true;
  h->running++;
  h->crew->running++;
  e->running++;
  if (run->bulk) h->bulk_running++;
  if (!run->refused) run->refused = hl_strdup(hl_page_refuses(run));
  if (run->refused) {
    hl_run_finish(run, HL_RUN_DEAD, hl_str_of(run->refused));
    return;
  }
  if (run->kind == RUN_SCHEDULE) {
    event.attempt = run->attempt + 1;
    snprintf(event.id, sizeof event.id, "timer.%lld", (long long)run->fired_at);
    event.type = h->text;
    event.account = h->account ? h->account : "";
    event.source = "timer";
    event.occurred_at = run->fired_at;
    event.received_at = hl_loop_now(e->loop);
    event.object_type = event.object_id = "";
    event.json = h->json;
  } else {
    hl_event_view(ev, run->attempt + 1, &event);
    event.own = run->own;
    event.bulk = run->bulk && !h->live;
    if (h->batch_size) hl_batch_view(run, &event);
    else hl_batch_apart(run); /* the handler had batches before */
    if (ev->committed_us && !run->attempt) {
      int64_t now = hl_loop_mono_us(e->loop);
      e->dispatch_us[bucket(now - ev->committed_us)]++;
      e->start_us[bucket(now - ev->received_us)]++;
    }
  }
  h->cb(h->arg, run, &event);
  hl_free((void *)(uintptr_t)event.batch);
}

/* Live before bulk, which has its turn all the same. */
static hl_lane *next_lane(hl_handler *h) {
  bool bulk = !h->ready[0].first || (h->live_starts >= LIVE_STARTS && may_start_bulk(h));
  hl_ready *list = &h->ready[bulk];
  hl_lane *lane = list->first;
  h->live_starts = bulk ? 0 : h->live_starts + 1;
  h->n_ready[bulk]--;
  list->first = lane->ready_next;
  if (!list->first) list->tail = &list->first;
  lane->ready = false;
  return lane;
}

void hl_lanes_forget_ready(hl_handler *h) {
  for (int k = 0; k < 2; k++) {
    for (hl_lane *lane = h->ready[k].first; lane; lane = lane->ready_next) lane->ready = false;
    h->ready[k] = (hl_ready){NULL, &h->ready[k].first};
    h->n_ready[k] = 0;
  }
}

void hl_lanes_unready(hl_handler *h) {
  for (int k = 0; k < 2; k++) {
    hl_ready *list = &h->ready[k];
    hl_lane *lane = list->first;
    list->tail = &list->first;
    for (; lane; lane = lane->ready_next) {
      lane->ready = lane->first != NULL;
      if (!lane->ready) {
        h->n_ready[k]--;
        continue;
      }
      *list->tail = lane;
      list->tail = &lane->ready_next;
    }
    *list->tail = NULL;
  }
}

/* One start for each handler in turn. */
static void pump(hl_engine *e) {
  for (int starts = 0; e->active && hl_may_dispatch(e); starts++) {
    if (starts == STARTS_A_TURN) {
      hl_pump_soon(e);
      return;
    }
    hl_handler *h = e->active;
    e->active = h->active_next;
    if (!e->active) e->active_tail = &e->active;
    h->active = false;
    if (!may_start(h)) continue;
    hl_lane *lane = next_lane(h);
    hl_run *run = lane->first;
    hl_rest_began(lane);
    lane->busy = true;
    h->waiting[run->bulk]--;
    h->running++;  /* so that its concurrency counts it */
    hl_pump_handler(h);
    h->running--;
    hl_run_start(run);
  }
}

static void on_pump_later(hl_timer *t, void *arg) {
  (void)t;
  pump(arg);
}

static void on_pump(hl_defer *d, void *arg) {
  (void)d;
  hl_engine *e = arg;
  pump(e);
  /* The rest goes on in the next turn, after the sockets have had theirs. */
  hl_defer_stop(e->loop, &e->pump);
  if (e->active && hl_may_dispatch(e)) hl_timer_start(e->loop, &e->pump_later, 0, on_pump_later, e);
}

void hl_pump_soon(hl_engine *e) {
  if (!e->freeing && hl_may_dispatch(e) && e->active && !hl_timer_armed(&e->pump_later)) hl_defer_start(e->loop, &e->pump, on_pump, e);
}
