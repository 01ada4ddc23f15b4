/* The backlog: events that wait in the store for their turn in a lane.
 *
 * Memory has room for MAX_EVENTS. When it is full and nothing could be read for a
 * second, handlers do not keep up: those that keep most of them waiting put them
 * away, as parked rows with the name of their lane, and go on so with what else
 * comes in bulk. So a slow object, a handler that hangs or an import of a million
 * records costs the others that second, and memory is bounded.
 *
 * A lane with rows in the store is known by name (`more`); what arrives for it
 * goes behind them, unless it occurred before what of the lane is in memory. Lanes
 * take turns in coming back, a few rows each, as the handler gets on; what comes
 * back is bulk. After a start, or when there were too many lanes to know them all,
 * a handler is `unlisted`: its lanes' names are read from the store, and until all
 * are known a lane that is not may have rows there. */
#include "base/mem.h"
#include "engine/inside.h"

enum {
  PRESS_MS = 1000,
  LANES_A_READ = 64, ROWS_A_READ = 512, ROWS_OF_A_LANE = 64,
  READ_BYTES = 4 << 20,
  NAMES_A_READ = 1000,
};

struct hl_load {
  uint64_t seq, failures;      /* of the engine when the store was asked */
  size_t n;
  struct { hl_lane *lane; size_t asked; } v[LANES_A_READ];
};

/* What it may keep waiting in memory while it has a backlog. */
static size_t share(const hl_handler *h) {
  size_t least = h->e->max_events / 20, most = h->e->max_events / 4, n = (size_t)4 * h->concurrency;
  return n < least ? least : n > most ? most : n;
}

/* How many rows of a lane come at a time: what waits behind the runs that are out takes a quarter of memory at most. */
static size_t rows_of_a_lane(const hl_handler *h) {
  size_t n = h->e->max_events / 4 / h->concurrency;
  return n < 1 ? 1 : n > ROWS_OF_A_LANE ? ROWS_OF_A_LANE : n;
}

static size_t rows_a_read(const hl_handler *h) {
  size_t n = h->e->max_events / 40;
  return n < 1 ? 1 : n > ROWS_A_READ ? ROWS_A_READ : n;
}

/* What waited because there was much of it; what was throttled is as it was. */
static bool comes_bulk(const hl_handler *h) { return h->pressed || !(h->throttle_n || h->batch_size); }

static void set_more(hl_lane *lane, bool more) {
  hl_handler *h = lane->h;
  if (lane->more == more) return;
  lane->more = more;
  if (more) h->lanes_away++;
  else h->lanes_away--;
  if (!h->lanes_away && !h->unlisted) h->pressed = false;
}

/* ---- into the store ---- */

/* `run` is gone on return. */
static void put_away(hl_run *run, hl_str lane) {
  hl_engine *e = run->e;
  hl_parked p = {.kind = HL_ST_WAITING, .due = INT64_MAX, .attempts = run->attempt, .lane = lane, .occurred = run->occurred};
  if (run->parked) {
    p.id = run->parked;
    hl_tx_lane(e->tx, &p);
    hl_batch_leave(run); /* the others are in their lane */
    hl_parked_leave(e, run->ref);
  } else {
    hl_run_park_as(run, &p);
  }
  hl_run_free(run);
  hl_touch(e);
}

void hl_backlog_away(hl_lane *lane, int64_t occurred, size_t n) {
  hl_handler *h = lane->h;
  hl_engine *e = h->e;
  set_more(lane, true);
  if (lane->park_seq != e->seq || occurred < lane->park_least) lane->park_least = occurred;
  lane->park_seq = e->seq;
  hl_rest_away(lane, n);
  if (lane->loading && occurred < lane->late) lane->late = occurred;
  if (!lane->first && e->lanes.n > MAX_LANES && !lane->wanting && !lane->loading) {
    /* One more than can be known. */
    set_more(lane, false);
    h->unlisted = h->list_again = true;
    hl_lane_check(lane);
  } else {
    hl_backlog_wants(lane);
  }
}

void hl_backlog_park(hl_run *run, hl_lane *lane) {
  int64_t occurred = run->occurred;
  size_t n = hl_batch_members(run) + 1;
  if (!lane) lane = hl_lane_named(run->e, run->h, HL_STR(HL_NO_LANE));
  lane->bulk = run->bulk;
  put_away(run, (hl_str){lane->key, lane->key_n});
  hl_backlog_away(lane, occurred, n);
}

bool hl_backlog_takes(hl_run *run, hl_lane *lane) {
  hl_handler *h = run->h;
  bool before = lane && lane->last && run->occurred < lane->last->occurred;
  bool away = lane && (lane->more || (h->unlisted && !lane->first));
  if (run->refused || before) return false;
  bool crowded = h->pressed ? run->bulk || h->waiting[0] >= share(h) : h->throttle_all && h->waiting[0] + h->waiting[1] >= share(h);
  if (!away && !crowded) return false;
  hl_backlog_park(run, lane);
  return true;
}

/* All of the lane that has not begun. */
static void put_lane_away(hl_lane *lane) {
  hl_handler *h = lane->h;
  hl_run *run = lane->busy ? lane->first->lane_next : lane->first;
  hl_lane *home = lane->mapped ? lane : NULL;
  if (lane->busy) {
    lane->last = lane->first;
    lane->first->lane_next = NULL;
  } else {
    lane->first = lane->last = NULL;
  }
  while (run) {
    hl_run *next = run->lane_next;
    lane->n--;
    h->waiting[run->bulk]--;
    run->lane = NULL;
    run->lane_next = NULL;
    hl_backlog_park(run, home);
    run = next;
  }
}

/* The lanes that came last, until no more than `keep` wait. */
static void spill(hl_handler *h, size_t keep) {
  hl_lane **v = NULL;
  size_t n = 0, cap = 0, left = h->waiting[0] + h->waiting[1];
  for (hl_run *run = h->e->runs; run && left > keep; run = run->next) {
    hl_lane *lane = run->lane;
    if (run->h != h || !lane || lane->leaving || (lane->busy && lane->first == run)) continue;
    if (n == cap) {
      cap = cap ? 2 * cap : 256;
      v = hl_realloc(v, cap * sizeof(hl_lane *));
    }
    lane->leaving = true;
    v[n++] = lane;
    left -= lane->n - lane->busy;
  }
  for (size_t i = 0; i < n; i++) put_lane_away(v[i]);
  hl_lanes_unready(h);
  for (size_t i = 0; i < n; i++) {
    v[i]->leaving = false;
    hl_lane_check(v[i]);
  }
  hl_free(v);
  h->pressed = true;
}

static void on_put_away(hl_defer *d, void *arg) {
  (void)d;
  hl_engine *e = arg;
  while (e->leaving_lanes) {
    hl_lane *lane = e->leaving_lanes;
    e->leaving_lanes = lane->leaving_next;
    if (!lane->busy && !lane->ready) put_lane_away(lane);
    lane->leaving = false;
    hl_lane_check(lane);
  }
}

void hl_backlog_put_away(hl_lane *lane) {
  hl_engine *e = lane->h->e;
  if (lane->leaving || !lane->first) return;
  lane->leaving = true;
  lane->leaving_next = e->leaving_lanes;
  e->leaving_lanes = lane;
  hl_defer_start(e->loop, &e->put_away, on_put_away, e);
}

static bool is_blocked(const hl_engine *e) { return e->due_blocked || hl_inbox_blocked(e); }

static void on_press(hl_timer *t, void *arg) {
  (void)t;
  hl_engine *e = arg;
  size_t n = 0, keep;
  if (!hl_may_dispatch(e) || !is_blocked(e)) return;
  for (hl_handler *h = e->handlers; h; h = h->next)
    if (h->waiting[0] + h->waiting[1]) n++;
  keep = e->max_events / 4 / (n ? n : 1);
  if (e->bytes > MAX_BYTES / 2) { /* few, but large */
    size_t few = (size_t)((double)e->events / (double)e->bytes * MAX_BYTES / 4) / (n ? n : 1);
    if (few < keep) keep = few;
  }
  for (hl_handler *h = e->handlers; h; h = h->next) {
    size_t waiting = h->waiting[0] + h->waiting[1];
    if (waiting <= keep) continue;
    hl_log_write(e->log, HL_LOG_INFO, "engine", "%s “%s” does not keep up: of %zu events that wait, %zu stay in memory and the others wait in the store",
                 h->script, h->name, waiting, keep);
    spill(h, keep);
  }
  hl_inbox_more(e);
  hl_parked_check(e);
}

void hl_backlog_blocked(hl_engine *e) {
  if (!hl_timer_armed(&e->press)) hl_timer_start(e->loop, &e->press, PRESS_MS, on_press, e);
}

void hl_backlog_flows(hl_engine *e) { hl_timer_stop(e->loop, &e->press); }

/* ---- out of the store ---- */

void hl_backlog_wants(hl_lane *lane) {
  hl_handler *h = lane->h;
  if (lane->more && !h->gone && !lane->wanting && !lane->loading && lane->n <= rows_of_a_lane(h) / 2 && hl_rest_reads(lane, NULL)) {
    lane->wanting = true;
    lane->wanting_next = NULL;
    *h->wanting_tail = lane;
    h->wanting_tail = &lane->wanting_next;
    h->e->wanting++;
  }
  hl_backlog_more(h);
}

/* The run of a row that has come, at home in `lane`; *batch: the one that gathers. */
static void come_back(hl_lane *lane, const hl_parked *p, hl_run **batch) {
  hl_handler *h = lane->h;
  hl_run *run = hl_parked_run(h->e, h, p);
  if (!run) return;
  run->bulk = h->batch_size ? lane->bulk : comes_bulk(h);
  run->occurred = p->occurred;
  lane->loaded++;
  h->e->loaded++;
  if (h->batch_size && *batch) {
    hl_batch_join(*batch, run);
    return;
  }
  run->home = lane;
  if (h->batch_size) *batch = run;
  else if (!hl_handler_groups(h) && hl_str_eqz((hl_str){lane->key, lane->key_n}, HL_NO_LANE)) hl_lane_enter_alone(run);
  else hl_lane_put(run, lane);
}

void hl_backlog_left(hl_run *run) {
  hl_lane *lane = run->home;
  if (!lane) return;
  run->home = NULL;
  size_t n = hl_batch_members(run) + 1;
  lane->loaded -= (unsigned)n;
  run->e->loaded -= n;
  hl_lane_check(lane);
}

static void on_again(hl_timer *t, void *arg) {
  (void)t;
  hl_backlog_resume(arg);
}

/* The store could not be read. */
static void again_later(hl_engine *e) {
  e->load_again_ms = hl_longer_wait(e->load_again_ms);
  hl_timer_start(e->loop, &e->load_again, e->load_again_ms, on_again, e);
}

static void on_lanes(void *arg, const hl_store_lanes *lanes) {
  hl_handler *h = arg;
  hl_engine *e = h->e;
  const hl_load *l = h->load;
  const hl_parked *p = lanes->parked;
  bool sure = !lanes->code && !e->stalled && e->failures == l->failures && !h->gone, any = false;
  e->loads--;
  if (!lanes->code) e->load_again_ms = 0;
  for (size_t k = 0; k < l->n; k++) {
    hl_lane *lane = l->v[k].lane;
    size_t n = lanes->code ? 0 : lanes->counts[k];
    hl_run *batch = NULL;
    size_t taken = 0;
    int64_t received = 0;
    bool all = sure && !lanes->cut && n < l->v[k].asked && lane->park_seq < l->seq;
    /* Of a batch the rest is not committed yet. */
    bool early = h->batch_size && !all && !lanes->cut && n < h->batch_size && hl_rest_gathers(lane);
    /* Nothing that occurred after what is not committed yet: it would be run before it. */
    for (size_t i = 0; i < n; i++, p++) {
      if (early || hl_parked_known(e, p->id)) continue;
      all = all && p->occurred <= lane->late;
      if (!sure || p->occurred > lane->late) continue;
      if (h->batch_size && taken == h->batch_size) {
        received = p->received;
        all = false;
        continue;
      }
      come_back(lane, p, &batch);
      taken++;
    }
    any = any || taken;
    if (batch) hl_lane_put(batch, lane);
    if (taken || all) hl_rest_read(lane, taken, received, all);
    lane->loading = false;
    if (all || h->gone) set_more(lane, false);
    hl_backlog_wants(lane);
    hl_lane_check(lane);
  }
  h->loading = false; /* not before: `l` is used again */
  if (!any) h->idle_seq = l->seq; /* what is new is not committed */
  if (lanes->code) again_later(e);
  else hl_backlog_more(h);
  hl_touch(e);
  hl_gone_ended(h);
}

static void load_lanes(hl_handler *h) {
  hl_engine *e = h->e;
  hl_lane_ask asks[LANES_A_READ];
  size_t waiting = 0;
  if (!h->load) h->load = HL_NEW(hl_load);
  hl_load *l = h->load;
  *l = (hl_load){.seq = e->seq, .failures = e->failures};
  for (hl_lane *lane = h->wanting; lane && waiting < LANES_A_READ; lane = lane->wanting_next) waiting++;
  size_t rows = rows_a_read(h), most = rows < LANES_A_READ ? rows : LANES_A_READ, each = rows / waiting;
  if (each > rows_of_a_lane(h)) each = rows_of_a_lane(h);
  if (each < 1) each = 1;
  while (h->wanting && l->n < most) {
    hl_lane *lane = h->wanting;
    h->wanting = lane->wanting_next;
    lane->wanting = false;
    lane->loading = true;
    lane->late = lane->park_seq == e->seq ? lane->park_least : INT64_MAX;
    e->wanting--;
    size_t rows_of_it = each;
    if (!hl_rest_reads(lane, &rows_of_it)) rows_of_it = 0;
    /* Those of it that are in memory are still in the store, and come first. */
    l->v[l->n].lane = lane;
    l->v[l->n].asked = rows_of_it + lane->loaded;
    asks[l->n] = (hl_lane_ask){{lane->key, lane->key_n}, l->v[l->n].asked};
    l->n++;
  }
  if (!h->wanting) h->wanting_tail = &h->wanting;
  hl_buf name;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  h->loading = true;
  e->loads++;
  hl_store_read_lanes(e->store, name.p, asks, l->n, READ_BYTES, on_lanes, h);
  hl_buf_deinit(&name);
}

static void on_names(void *arg, int code, const hl_str *names, size_t n) {
  hl_handler *h = arg;
  hl_engine *e = h->e;
  size_t k;
  h->loading = false;
  e->loads--;
  if (h->gone) {
    hl_gone_ended(h);
    return;
  }
  if (code) {
    again_later(e);
    return;
  }
  for (k = 0; k < n && e->lanes.n < MAX_LANES; k++) {
    hl_lane *lane = hl_lane_named(e, h, names[k]);
    set_more(lane, true);
    hl_backlog_wants(lane);
  }
  if (k < n || n == NAMES_A_READ) {
    hl_free(h->listed);
    h->listed = k ? hl_strndup(names[k - 1].p, names[k - 1].n) : h->listed;
    h->listed_n = k ? names[k - 1].n : h->listed_n;
  } else {
    hl_free(h->listed);
    h->listed = NULL;
    h->listed_n = 0;
    h->unlisted = h->list_again;
    h->list_again = false;
    if (!h->lanes_away && !h->unlisted) h->pressed = false;
  }
  hl_backlog_more(h);
}

static void load_names(hl_handler *h) {
  hl_engine *e = h->e;
  hl_buf name;
  hl_buf_init(&name, 1 << 16);
  hl_handler_durable(h, &name);
  h->loading = true;
  e->loads++;
  hl_store_read_lane_names(e->store, name.p, (hl_str){h->listed, h->listed_n}, NAMES_A_READ, on_names, h);
  hl_buf_deinit(&name);
}

void hl_backlog_more(hl_handler *h) {
  hl_engine *e = h->e;
  if (h->loading || h->gone || !hl_may_dispatch(e) || hl_timer_armed(&e->load_again) || h->idle_seq == e->seq) return;
  bool bulk = comes_bulk(h);
  if (h->unlisted && e->lanes.n < MAX_LANES / 2) load_names(h);
  else if (h->wanting && h->n_ready[bulk] < rows_a_read(h) / 2 + 1 && h->waiting[bulk] < e->max_events / 2 && hl_inbox_room(e)) load_lanes(h);
}

void hl_backlog_resume(hl_engine *e) {
  for (hl_handler *h = e->handlers; h; h = h->next) hl_backlog_more(h);
}

void hl_backlog_open(hl_handler *h) {
  h->unlisted = !h->scheduled;
  hl_backlog_more(h);
}

void hl_backlog_forget(hl_handler *h) {
  h->unlisted = h->list_again = false;
  hl_free(h->listed);
  h->listed = NULL;
  h->listed_n = 0;
  while (h->wanting) {
    hl_lane *lane = h->wanting;
    h->wanting = lane->wanting_next;
    lane->wanting = false;
    h->e->wanting--;
    set_more(lane, false);
    hl_lane_check(lane);
  }
  h->wanting_tail = &h->wanting;
}

void hl_backlog_due(hl_engine *e, hl_handler *h, const hl_parked *p) {
  hl_parked back = {.id = p->id, .attempts = p->attempts, .due = INT64_MAX, .lane = p->lane, .occurred = p->occurred};
  hl_lane *lane = hl_lane_named(e, h, p->lane);
  hl_tx_lane(e->tx, &back);
  hl_parked_leave(e, hl_parked_hold(e, p->id));
  hl_backlog_away(lane, p->occurred, 1);
}

void hl_backlog_free(hl_handler *h) {
  hl_free(h->listed);
  hl_free(h->load);
}
