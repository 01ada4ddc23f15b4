/* Exchanging the handlers of scripts while the engine runs (SEMANTICS 2, 27).
 *
 * A handler is known by its durable name. Where the script has it before and
 * after, its struct stays, with its lanes and what runs in them, and only takes
 * over what the new script says. One that is gone starts nothing more; its struct
 * lives until its last run has ended, and is taken up again when it comes back
 * before that. Then the events in memory are gone through once, as a restart
 * would do with those in the log: what has not begun is dispatched anew. */
#include <assert.h>
#include <stddef.h>

#include "base/mem.h"
#include "engine/inside.h"

struct hl_swap {
  hl_engine *e;
  char *script;
  hl_handler *handlers;
};

hl_swap *hl_swap_new(hl_engine *e, const char *script) {
  hl_swap *swap = HL_NEW(hl_swap);
  swap->e = e;
  swap->script = hl_strdup(script ? script : "");
  return swap;
}

hl_handler **hl_swap_list(hl_swap *swap) { return &swap->handlers; }

void hl_swap_free(hl_swap *swap) {
  if (!swap) return;
  while (swap->handlers) {
    hl_handler *h = swap->handlers;
    swap->handlers = h->next;
    hl_handler_free(h);
  }
  hl_free(swap->script);
  hl_free(swap);
}

void hl_handler_free(hl_handler *h) {
  hl_timer_stop(h->e->loop, &h->timer);
  hl_backlog_free(h);
  hl_pause_free(h);
  hl_free(h->type);
  hl_free(h->script);
  hl_free(h->name);
  hl_free(h->account);
  hl_free(h->property);
  hl_free(h->object_type);
  for (size_t i = 0; h->key_fields && h->key_fields[i]; i++) hl_free(h->key_fields[i]);
  hl_free(h->key_fields);
  hl_free(h->text);
  cJSON_Delete(h->json);
  hl_tz_free(h->tz);
  hl_free(h);
}

/* ---- who listens to a type ---- */

void hl_handler_listen(hl_handler *h) {
  hl_engine *e = h->e;
  hl_type *t = hl_type_of(e, h->type);
  if (!t) {
    t = HL_NEW(hl_type);
    t->name = hl_strdup(h->type);
    t->tail = &t->handlers;
    hl_map_add(&e->types, &t->node, hl_map_hash(&e->types, h->type, strlen(h->type)));
  }
  h->type_next = NULL;
  *t->tail = h;
  t->tail = &h->type_next;
  t->n++;
}

static void unlisten(hl_handler *h) {
  hl_engine *e = h->e;
  hl_type *t = hl_type_of(e, h->type);
  hl_handler **p = &t->handlers;
  while (*p != h) p = &(*p)->type_next;
  *p = h->type_next;
  if (!*p) t->tail = p;
  if (--t->n) return;
  hl_map_remove(&e->types, &t->node);
  hl_free(t->name);
  hl_free(t);
}

/* ---- parked rows ---- */

static void on_back(void *arg, int code) {
  hl_engine *e = arg;
  if (code) return;
  hl_parked_due(e, hl_loop_now(e->loop));
  for (hl_handler *h = e->handlers; h; h = h->next) {
    if (h->back) hl_backlog_open(h);
    h->back = false;
  }
}

/* Before the start hl_store_reconcile does it for all. */
static void move_rows(hl_handler *h, hl_state from, hl_state to) {
  hl_engine *e = h->e;
  hl_buf name;
  if (!e->started) return;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  hl_tx_repark_all(e->tx, name.p, from, to);
  hl_buf_deinit(&name);
  if (to == HL_ST_WAITING) hl_waiter_add(e, false, 0, on_back, e);
}

/* ---- scripts that could not be loaded ----
 *
 * For each handler that such a script had when it was loaded last there is a stand-in, and one more for what it may
 * listen to now: of the type "", which takes events that nobody listens to. What they are given waits in the store; when
 * the script is there, each handler finds its rows, and those of the last kind are offered to all of them. */

static void stand_in(hl_engine *e, const char *script, const char *type, const hl_handler_options *o) {
  hl_handler_options its = *o;
  its.script = script;
  hl_handler_stand_in(e, type, &its)->absent = true;
}

static bool is_absent(const hl_engine *e, const char *script) {
  for (size_t i = 0; i < e->n_absent; i++)
    if (strcmp(e->absent[i], script) == 0) return true;
  return false;
}

void hl_engine_absent(hl_engine *e, const char *script) {
  if (is_absent(e, script)) return;
  e->absent = hl_realloc(e->absent, (e->n_absent + 1) * sizeof *e->absent);
  e->absent[e->n_absent++] = hl_strdup(script);
  stand_in(e, script, "", &(hl_handler_options){.name = ""});
}

const char *hl_engine_absent_script(const hl_engine *e, size_t i) { return i < e->n_absent ? e->absent[i] : NULL; }

static void absent_no_more(hl_engine *e, const char *script) {
  for (size_t i = 0; i < e->n_absent; i++) {
    if (strcmp(e->absent[i], script) != 0) continue;
    hl_free(e->absent[i]);
    e->absent[i] = e->absent[--e->n_absent];
    return;
  }
}

void hl_absent_deinit(hl_engine *e) {
  for (size_t i = 0; i < e->n_absent; i++) hl_free(e->absent[i]);
  hl_free(e->absent);
}

static void listened_before(void *arg, const hl_listened *l) {
  if (is_absent(arg, l->script))
    stand_in(arg, l->script, l->type, &(hl_handler_options){.name = l->name, .account = l->account, .property = l->property});
}

int hl_absent_start(hl_engine *e, hl_error *err) {
  return e->n_absent ? hl_store_each_listened(e->store, listened_before, e, err) : 0;
}

/* The durable name of the last kind ends with two empty names. */
bool hl_absent_any(const char *durable) {
  size_t n = strlen(durable);
  return n > 2 && strcmp(durable + n - 2, "\t\t") == 0;
}

hl_state hl_absent_fate(const hl_engine *e, const char *durable) {
  char *script = hl_strndup(durable, strlen(durable) - 2);
  bool absent = is_absent(e, script);
  hl_free(script);
  return absent ? HL_ST_PENDING : HL_ST_WAITING;
}

void hl_absent_offer(hl_engine *e, const hl_parked *p) {
  size_t n = strlen(p->handler) - 2;
  cJSON *json = NULL;
  int rc = hl_json_parse(p->event, &json, NULL);
  if (rc == HL_ENOMEM) hl_mem_ended();
  hl_ev *ev = rc ? NULL : hl_ev_parked(e, p, json);
  hl_type *t = ev ? hl_type_of(e, ev->type) : NULL;
  hl_buf name;
  hl_buf_init(&name, 1 << 16);
  for (hl_handler *h = t ? t->handlers : NULL; h; h = h->type_next) {
    if (strncmp(h->script, p->handler, n) != 0 || h->script[n] || !hl_handler_wants(h, ev)) continue;
    hl_handler_durable(h, &name);
    hl_parked its = *p;
    its.id = e->next_parked++;
    its.handler = name.p;
    its.error = (hl_str){NULL, 0};
    hl_tx_park(e->tx, &its, false);
    hl_parked_enter(e, h, &its, false);
  }
  hl_buf_deinit(&name);
  hl_tx_unpark(e->tx, p->id, HL_ST_UNHANDLED);
  hl_parked_leave(e, hl_parked_hold(e, p->id));
  if (ev) hl_ev_unref(e, ev);
  else cJSON_Delete(json);
}

void hl_absent_keep(hl_run *run) {
  hl_engine *e = run->e;
  hl_ev *ev = run->ev;
  hl_buf name;
  char *json = hl_run_parked_json(run, ev->json);
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(run->h, &name);
  hl_parked p = {.id = e->next_parked++, .row = ev->parked_row, .index = ev->index, .kind = HL_ST_PENDING, .open = true,
                 .handler = name.p, .type = ev->type, .source = ev->source, .account = ev->account, .received = ev->received,
                 .event = hl_str_of(json), .error = HL_STR("its script could not be loaded")};
  if (run->h->behind) {
    p.kind = HL_ST_WAITING;
    p.error = (hl_str){NULL, 0};
    run->h->kept_seq = e->seq;
    hl_parked_due(e, hl_loop_now(e->loop));
  }
  hl_tx_park(e->tx, &p, false);
  hl_buf_deinit(&name);
  hl_free(json);
  ev->split = ev->parks = true;
  hl_run_settle(run, HL_ST_WAITING);
  hl_run_free(run);
  hl_touch(e);
}

void hl_absent_caught_up(hl_engine *e, uint64_t seq) {
  for (hl_handler *h = e->handlers; h; h = h->next)
    if (h->behind && h->kept_seq <= seq) h->behind = false;
}

static void note_listeners(hl_engine *e, const char *script) {
  hl_tx_listened_drop(e->tx, script);
  for (const hl_handler *h = e->handlers; h; h = h->next)
    if (!h->scheduled && *h->type && strcmp(h->script, script) == 0)
      hl_tx_listened(e->tx, &(hl_listened){h->script, h->type, h->name, h->account, h->property});
}

/* ---- coming and going ---- */

static bool same_name(const hl_handler *a, const hl_handler *b) {
  return strcmp(a->script, b->script) == 0 && strcmp(a->type, b->type) == 0 && strcmp(a->name, b->name) == 0 &&
         a->scheduled == b->scheduled;
}

static hl_handler **find(hl_handler **list, const hl_handler *like) {
  while (*list && !same_name(*list, like)) list = &(*list)->next;
  return list;
}

static void append(hl_handler **list, hl_handler *h) {
  while (*list) list = &(*list)->next;
  h->next = NULL;
  *list = h;
}

/* What the two say, from `account` up to `running`. */
static void exchange(hl_handler *a, hl_handler *b) {
  enum { FROM = offsetof(hl_handler, account), SIZE = offsetof(hl_handler, running) - FROM };
  char said[SIZE];
  memcpy(said, (char *)a + FROM, SIZE);
  memcpy((char *)a + FROM, (char *)b + FROM, SIZE);
  memcpy((char *)b + FROM, said, SIZE);
}

static void leave_active(hl_handler *h) {
  hl_engine *e = h->e;
  hl_handler **p = &e->active;
  if (!h->active) return;
  while (*p != h) p = &(*p)->active_next;
  *p = h->active_next;
  if (!*p) e->active_tail = p;
  h->active = false;
}

static void take_up(hl_engine *e, hl_handler *fresh) {
  hl_handler **at = find(&e->handlers, fresh), *h = *at;
  bool back = !h;
  if (!h && *(at = find(&e->gone, fresh))) { /* it still runs something */
    h = *at;
    *at = h->next;
    h->gone = false;
  }
  if (!h) {
    h = fresh;
    fresh = NULL;
  } else {
    exchange(h, fresh);
    h->back = h->absent;
    if (h->absent) move_rows(h, HL_ST_PENDING, HL_ST_WAITING);
    h->absent = false;
    if (h->scheduled && !back) hl_schedule_changed(h, fresh);
    if (h->debounce_merged != fresh->debounce_merged) hl_debounce_forget(h);
    hl_handler_free(fresh);
  }
  h->swapped = true;
  hl_lanes_forget_ready(h); /* until the events have been gone through */
  if (!back) return;
  append(&e->handlers, h);
  if (h->scheduled) {
    if (e->started && !h->firing) hl_schedule_start(e, h);
    return;
  }
  hl_handler_listen(h);
  h->back = true;
  move_rows(h, HL_ST_ORPHANED, HL_ST_WAITING);
}

static void let_go(hl_handler *h) {
  h->gone = h->swapped = true;
  hl_lanes_forget_ready(h);
  leave_active(h);
  if (h->scheduled) {
    hl_schedule_gone(h);
  } else {
    unlisten(h);
    hl_debounce_forget(h);
    hl_backlog_forget(h);
    move_rows(h, h->absent ? HL_ST_PENDING : HL_ST_WAITING, *h->type ? HL_ST_ORPHANED : HL_ST_WAITING);
  }
  append(&h->e->gone, h);
}

static void swap_script(hl_engine *e, hl_swap *swap) {
  bool was_absent = e->started && is_absent(e, swap->script);
  while (swap->handlers) {
    hl_handler *h = swap->handlers;
    swap->handlers = h->next;
    h->next = NULL;
    take_up(e, h);
  }
  for (hl_handler **p = &e->handlers; *p;) {
    hl_handler *h = *p;
    if (h->swapped || strcmp(h->script, swap->script) != 0) {
      p = &h->next;
      continue;
    }
    *p = h->next;
    let_go(h);
  }
  for (hl_handler *h = e->handlers; h && was_absent; h = h->next) {
    if (h->scheduled || strcmp(h->script, swap->script) != 0) continue;
    h->behind = true;
    h->kept_seq = e->seq; /* in which what was kept for it is due again */
  }
  absent_no_more(e, swap->script);
  note_listeners(e, swap->script);
  hl_swap_free(swap);
}

/* ---- the events in memory ---- */

/* Leaves the handler as if it had never been dispatched to it. */
static void drop(hl_run *run) {
  hl_engine *e = run->e;
  hl_ev *ev = run->ev;
  if (run->parked) {
    hl_batch_leave(run);
    hl_parked_leave(e, run->ref); /* its row says what becomes of it */
  } else if (--ev->left == 0) {
    if (ev->base == HL_ST_FILTERED && !ev->split && !hl_takers_of(e, ev->type)) ev->base = HL_ST_UNHANDLED;
    hl_event_done(e, ev);
  }
  hl_run_free(run);
}

static bool has(const hl_ev *ev, const char *durable) {
  for (size_t i = 0; i < ev->n_done; i++)
    if (strcmp(ev->done[i], durable) == 0) return true;
  return false;
}

typedef struct runs { hl_run **v; size_t n; } runs;

/* True: it has not begun and takes the place that its handler's lanes have for it now. */
static bool returns(const hl_run *run) { return run->h->swapped && !run->running && (run->h->gone || !run->parked); }

/* Runs of one event side by side, events as they came. */
static int by_event(const void *a, const void *b) {
  const hl_ev *x = (*(hl_run *const *)a)->ev, *y = (*(hl_run *const *)b)->ev;
  if (x->parked_row != y->parked_row) return x->parked_row < y->parked_row ? -1 : 1;
  if (x->index != y->index) return x->index < y->index ? -1 : 1;
  return (uintptr_t)x < (uintptr_t)y ? -1 : (uintptr_t)x > (uintptr_t)y;
}

/* To the handlers that have not had it; `all` are the n runs of one event. While a handler that is gone
 * still works on it, it is nobody else's: the new one may be the same under another name. */
static void dispatch_anew(hl_engine *e, hl_run *const *all, size_t n) {
  hl_ev *ev = all[0]->ev;
  hl_type *t = ev->row ? hl_takers_of(e, ev->type) : NULL;
  hl_buf name;
  for (size_t i = 0; i < n; i++)
    if (all[i]->running && all[i]->h->gone) return;
  hl_buf_init(&name, 1 << 16);
  for (hl_handler *h = t ? t->handlers : NULL; h; h = h->type_next) {
    bool had = false;
    for (size_t i = 0; i < n && !had; i++) had = all[i]->h == h;
    if (had) continue;
    hl_handler_durable(h, &name);
    if (!has(ev, name.p)) hl_dispatch_to(e, ev, h);
  }
  hl_buf_deinit(&name);
}

static void go_through(hl_engine *e) {
  runs all = {0}, in = {0}, out = {0};
  for (hl_run *run = e->runs; run; run = run->next) all.n += run->kind == RUN_EVENT;
  if (!all.n) return;
  all.v = hl_alloc(all.n * sizeof *all.v);
  in.v = hl_alloc(all.n * sizeof *in.v);
  out.v = hl_alloc(all.n * sizeof *out.v);
  /* The newest is the first in the list; lanes want the order in which they came. */
  size_t at = all.n;
  for (hl_run *run = e->runs; run; run = run->next)
    if (run->kind == RUN_EVENT) all.v[--at] = run;
  for (size_t i = 0; i < all.n; i++) {
    hl_run *run = all.v[i];
    if (!returns(run)) continue;
    hl_run_unhold(run);
    hl_lane_take(run);
    if (run->h->gone || !hl_handler_wants(run->h, run->ev)) out.v[out.n++] = run;
    else in.v[in.n++] = run;
  }
  for (size_t i = 0; i < in.n; i++) hl_lane_put(in.v[i], NULL);
  qsort(all.v, all.n, sizeof *all.v, by_event);
  for (size_t i = 0, n; i < all.n; i += n) {
    for (n = 1; i + n < all.n && all.v[i + n]->ev == all.v[i]->ev;) n++;
    dispatch_anew(e, all.v + i, n);
  }
  for (size_t i = 0; i < out.n; i++) drop(out.v[i]);
  hl_free(all.v);
  hl_free(in.v);
  hl_free(out.v);
}

void hl_engine_swap(hl_engine *e, hl_swap **swaps, size_t n) {
  for (size_t i = 0; i < n; i++) swap_script(e, swaps[i]);
  go_through(e);
  for (hl_run *run = e->runs; run; run = run->next)
    if (run->kind == RUN_EVENT && run->h->swapped && run->lane) hl_lane_again(run->lane);
  for (hl_handler *h = e->handlers; h; h = h->next) {
    h->swapped = false;
    hl_pump_handler(h);
  }
  for (hl_handler *h = e->gone, *next; h; h = next) {
    next = h->next;
    h->swapped = false;
    hl_gone_ended(h);
  }
  hl_inbox_more(e);
  hl_touch(e);
}

/* ---- runs of a handler that is gone ---- */

void hl_gone_cut(hl_run *run) {
  hl_engine *e = run->e;
  hl_run **all = NULL;
  size_t n = 0;
  hl_batch_repark(run, HL_ST_ORPHANED, HL_STR("its handler does not exist any more"));
  if (run->parked) hl_tx_repark(e->tx, run->parked, HL_ST_ORPHANED, run->attempt, 0, HL_STR("its handler does not exist any more"));
  hl_lane_leave(run);
  for (hl_run *r = run->parked ? NULL : e->runs; r; r = r->next) {
    if (r->kind != RUN_EVENT || r->ev != run->ev) continue;
    all = hl_realloc(all, (n + 1) * sizeof *all);
    all[n++] = r;
  }
  if (n) dispatch_anew(e, all, n);
  hl_free(all);
  drop(run);
}

void hl_gone_ended(hl_handler *h) {
  if (!h->gone || h->running || h->swapped || h->loading) return;
  hl_handler **p = &h->e->gone;
  while (*p != h) p = &(*p)->next;
  *p = h->next;
  hl_handler_free(h);
}
