/* Batches: each event is in one of them and ends once, in order, over failures and
 * restarts; no batch is larger or waits longer than asked for. */
#include <unistd.h>

#include "engine_util.h"

enum { KEYS = 4, SIZE = 10, MOST = 4000, BAD = 53 };
static const int64_t WAIT = 5000;

typedef struct out { hl_run *run; int key, n, ids[SIZE]; } out;

typedef struct life {
  world w;
  hl_rng r;
  const char *path;
  int64_t now;
  bool fails, keyed, quick;
  int sent, done, dead, filtered, batches, full, largest;
  int64_t at[MOST];             /* receipt */
  unsigned char ended[MOST];
  int last[KEYS];
  out out[KEYS];
  int n_out;
} life;

static life L;
static const char *const team[] = {"team", NULL};

/* Every BAD-th event fails whatever it is with. */
static void end(out *o) {
  out it = *o;
  bool bad = false;
  *o = L.out[--L.n_out];
  for (int i = 0; i < it.n; i++) bad = bad || it.ids[i] % BAD == BAD - 1;
  if (L.fails && (bad || (it.n > 1 && hl_rng_below(&L.r, 6) == 0))) {
    hl_run_finish(it.run, bad ? HL_RUN_FAILED : HL_RUN_AGAIN, HL_STR("told to"));
    return;
  }
  for (int i = 0; i < it.n; i++) {
    assert_int_equal(L.ended[it.ids[i]], 0); /* none twice */
    L.ended[it.ids[i]] = 1;
    if (it.ids[i] % 7 == 3) {
      hl_run_filtered(it.run, (size_t)i);
      L.filtered++;
    } else {
      L.done++;
    }
  }
  hl_run_finish(it.run, HL_RUN_DONE, HL_STR(""));
}

static void on_batch(void *arg, hl_run *run, const hl_event *event) {
  (void)arg;
  int64_t now = hl_loop_now(L.w.loop);
  int key = (int)hl_json_int(event->json, "team", -1), before = -1;
  assert_in_range(key, 0, KEYS - 1);
  assert_in_range(event->n_batch, 1, SIZE);
  assert_true(L.n_out < KEYS);
  for (int i = 0; i < L.n_out; i++) assert_true(event->attempt > 3 || L.out[i].key != key || !L.keyed);
  out *o = &L.out[L.n_out++];
  *o = (out){.run = run, .key = key, .n = (int)event->n_batch};
  for (int i = 0; i < o->n; i++) {
    const hl_event *e = &event->batch[i];
    int id = o->ids[i] = (int)hl_json_int(e->json, "eventId", -1);
    assert_in_range(id, 0, L.sent - 1);
    assert_true(id > before);
    if (L.keyed) assert_int_equal(hl_json_int(e->json, "team", -1), key);
    before = id;
  }
  L.batches++;
  if (o->n == SIZE) L.full++;
  if (o->n > L.largest) L.largest = o->n;
  if (event->attempt == 1) {
    int lane = L.keyed ? key : 0;
    assert_true(o->ids[0] > L.last[lane] || L.path); /* a restart begins again what it cut */
    L.last[lane] = o->ids[o->n - 1];
    /* Fewer than it might be: the first has waited, and not for long. A restart does not wait. */
    if (!L.path && o->n < SIZE) assert_true(now - L.at[o->ids[0]] >= WAIT);
    if (L.quick) assert_true(now - L.at[o->ids[0]] <= WAIT + 50);
  }
  if (L.quick) end(o);
}

static void begin(void) {
  L.w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = L.now, .seed = 7}, L.w.log, &L.w.loop, &L.w.err), 0);
  world_engine(&L.w, L.path);
  hl_handler_options o = {.script = "t.lua", .batch_size = SIZE, .batch_wait_ms = WAIT, .key_fields = L.keyed ? team : NULL, .retries = 4,
                          .retry_cap_ms = 4000};
  assert_int_equal(hl_engine_on(L.w.e, "contact.creation", false, &o, on_batch, NULL, NULL, &L.w.err), 0);
  world_start(&L.w);
}

static void stop(void) {
  L.now = hl_loop_now(L.w.loop);
  L.n_out = 0;
  world_end(&L.w);
}

static void send_some(int n) {
  hl_buf b;
  answer a = {0};
  hl_buf_init(&b, 1 << 20);
  for (int i = 0; i < n; i++, L.sent++) {
    assert_true(L.sent < MOST);
    L.at[L.sent] = hl_loop_now(L.w.loop);
    hl_buf_printf(&b, "%s{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d,\"team\":%d,\"occurredAt\":%d}", i ? "," : "[",
                  L.sent, L.sent, (int)hl_rng_below(&L.r, KEYS), L.sent + 1);
  }
  hl_buf_puts(&b, "]");
  receive(&L.w, b.p, &a);
  while (!a.calls) pass(&L.w, 1);
  assert_int_equal(a.r.code, 0);
  hl_buf_deinit(&b);
}

static void a_life(const char *path, bool keyed, bool fails, bool quick, uint64_t seed, int most) {
  memset(&L, 0, sizeof L);
  L = (life){.path = path, .keyed = keyed, .fails = fails, .quick = quick, .now = INT64_C(1800000000000)};
  for (int i = 0; i < KEYS; i++) L.last[i] = -1;
  hl_rng_init(&L.r, seed);
  if (path) {
    unlink("batch.db");
    unlink("batch.db-wal");
  }
  begin();
  hl_engine_stats s;
  for (int step = 0;; step++) {
    assert_true(step < 40000);
    if (L.sent < most && hl_rng_below(&L.r, 3)) send_some(1 + (int)hl_rng_below(&L.r, hl_rng_below(&L.r, 5) ? 3 : 40));
    else if (L.n_out && hl_rng_below(&L.r, 3)) end(&L.out[hl_rng_below(&L.r, (uint64_t)L.n_out)]);
    else pass(&L.w, (int64_t)hl_rng_below(&L.r, 3000));
    if (path && hl_rng_below(&L.r, 50) == 0) {
      stop();
      begin();
    }
    s = stats_of(&L.w);
    assert_int_equal(s.acknowledged, L.sent);
    assert_true(s.in_memory <= KEYS * SIZE + 100);
    if (L.sent >= most && !s.pending && !s.waiting && !L.n_out) break;
  }
  int bad = 0;
  for (int i = 0; i < L.sent; i++) bad += L.fails && i % BAD == BAD - 1;
  assert_int_equal(s.dead, bad); /* alone */
  assert_int_equal(s.ran, L.done);
  assert_int_equal(s.filtered, L.filtered);
  assert_int_equal(L.done + L.filtered + bad, L.sent);
  assert_true(L.full > 5 && L.largest == SIZE);
  stop();
}

static void each_event_once_in_order(void **state) {
  (void)state;
  a_life(NULL, true, false, true, 1, 1500);
  a_life(NULL, true, false, false, 2, 1500);
  a_life(NULL, false, false, false, 3, 800);
}

static void one_that_fails_is_alone_in_the_end(void **state) {
  (void)state;
  a_life(NULL, true, true, false, 4, 1000);
  a_life(NULL, false, true, false, 5, 600);
}

static void over_restarts_too(void **state) {
  (void)state;
  a_life("batch.db", true, false, false, 6, 200);
  a_life("batch.db", true, true, false, 7, 200);
}

static void one_event(probe *p, hl_run *run, const hl_event *event) {
  (void)run;
  p->arg = (void *)(event->n_batch + 1);
}

/* A reload takes the batches away, and gives them back. */
static void handlers_change_while_batches_wait(void **state) {
  (void)state;
  world w;
  static probe p;
  p = (probe){.work = one_event, .hold = true};
  world_loop(&w, true);
  world_engine(&w, NULL);
  hl_handler_options o = {.script = "t.lua", .batch_size = 3, .batch_wait_ms = WAIT, .concurrency = 1};
  listen_with(&w, "contact.creation", false, o, &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 1, 1) "," CREATED(2, 2, 2) "," CREATED(3, 3, 3) "," CREATED(4, 4, 4) "]");
  pass(&w, 10);
  assert_int_equal(p.calls, 1);
  assert_int_equal((size_t)p.arg, 4);
  hl_run_finish(p.held[0], HL_RUN_CUT, HL_STR("")); /* it is to start again */
  pass(&w, 10);
  assert_int_equal(p.calls, 2);
  for (int k = 0; k < 2; k++) {
    hl_swap *swap = hl_swap_new(w.e, "t.lua");
    o.swap = swap;
    o.batch_size = k ? 3 : 0;
    listen_with(&w, "contact.creation", false, o, &p);
    hl_engine_swap(w.e, &swap, 1);
    hl_run_finish(p.held[p.n_held - 1], HL_RUN_CUT, HL_STR(""));
    pass(&w, 10);
    if (!k) assert_int_equal((size_t)p.arg, 1); /* no list any more */
  }
  p.hold = false;
  hl_run_finish(p.held[p.n_held - 1], HL_RUN_DONE, HL_STR(""));
  pass(&w, 2 * WAIT);
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 4);
  assert_int_equal(stats_of(&w).waiting, 0);
  world_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_event_once_in_order),
      cmocka_unit_test(one_that_fails_is_alone_in_the_end),
      cmocka_unit_test(over_restarts_too),
      cmocka_unit_test(handlers_change_while_batches_wait),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
