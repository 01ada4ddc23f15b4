/* Throttle: never more starts than allowed within any stretch of its time, over
 * restarts too; the rest waits in order, in the store. */
#include <unistd.h>

#include "engine_util.h"

enum { KEYS = 5, MOST = 4000 };
static const int64_t PER = 60000;

typedef struct life {
  world w;
  hl_rng r;
  unsigned n;                   /* of the throttle */
  bool all, retries, quick;
  const char *path;
  int64_t now;
  int sent, done, out_n;
  int64_t starts[KEYS + 1][MOST];
  int n_starts[KEYS + 1];       /* the last row: of all keys */
  int last[KEYS];               /* eventId of the newest first attempt */
  hl_run *out[64];
} life;

static life L;

static void note(int row) {
  int64_t now = hl_loop_now(L.w.loop), *v = L.starts[row];
  int n = L.n_starts[row]++;
  assert_true(n < MOST);
  v[n] = now;
  /* Of the stretch that ends here. */
  if ((row == KEYS) == L.all && n >= (int)L.n) assert_true(now - v[n - (int)L.n] >= PER);
}

static void on_start(void *arg, hl_run *run, const hl_event *event) {
  (void)arg;
  int key = (int)hl_json_int(event->json, "objectId", -1), id = (int)hl_json_int(event->json, "eventId", -1);
  assert_in_range(key, 0, KEYS - 1);
  note(key);
  note(KEYS);
  if (event->attempt == 1) {
    assert_true(id >= L.last[key]); /* a restart begins again what it cut */
    L.last[key] = id;
  }
  if (!L.quick && L.out_n < 64 && hl_rng_below(&L.r, 4) == 0) {
    L.out[L.out_n++] = run;
    return;
  }
  if (L.retries && hl_rng_below(&L.r, 5) == 0) {
    hl_run_finish(run, HL_RUN_FAILED, HL_STR("told to"));
    return;
  }
  L.done++;
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
}

static void begin(void) {
  L.w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = L.now, .seed = 7}, L.w.log, &L.w.loop, &L.w.err), 0);
  world_engine(&L.w, L.path);
  hl_handler_options o = {.script = "t.lua", .throttle_n = L.n, .throttle_ms = PER, .throttle_all = L.all, .retries = 1000, .retry_cap_ms = 5000};
  assert_int_equal(hl_engine_on(L.w.e, "contact.creation", false, &o, on_start, NULL, NULL, &L.w.err), 0);
  world_start(&L.w);
}

static void end(void) {
  L.now = hl_loop_now(L.w.loop);
  L.out_n = 0;
  world_end(&L.w);
}

static void send_one(int key) {
  char body[256];
  answer a = {0};
  snprintf(body, sizeof body, "[{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":%d}]", L.sent + 1, key, L.sent + 1);
  L.sent++;
  receive(&L.w, body, &a);
  while (!a.calls) pass(&L.w, 1);
}

static void a_life(const char *path, unsigned n, bool all, bool retries, uint64_t seed, int most) {
  memset(&L, 0, sizeof L);
  L = (life){.n = n, .all = all, .retries = retries, .path = path, .now = INT64_C(1800000000000)};
  hl_rng_init(&L.r, seed);
  if (path) {
    unlink("throttle.db");
    unlink("throttle.db-wal");
  }
  begin();
  for (int step = 0; L.done < L.sent || L.sent < most; step++) {
    assert_true(step < 20000);
    if (L.sent < most && hl_rng_below(&L.r, 3)) {
      /* Bursts of one key among single ones. */
      int key = (int)hl_rng_below(&L.r, KEYS), burst = hl_rng_below(&L.r, 20) ? 1 : 30;
      for (int i = 0; i < burst && L.sent < most; i++) send_one(key);
    } else if (L.out_n && hl_rng_below(&L.r, 2)) {
      L.done++;
      hl_run_finish(L.out[--L.out_n], HL_RUN_DONE, HL_STR(""));
    } else {
      pass(&L.w, (int64_t)hl_rng_below(&L.r, L.sent < most ? 2000 : 20000));
    }
    if (path && hl_rng_below(&L.r, 60) == 0) {
      end();
      begin();
    }
    hl_engine_stats s = stats_of(&L.w);
    assert_int_equal(s.acknowledged, L.sent);
  }
  pass(&L.w, 10);
  for (int i = 0; i < 100 && stats_of(&L.w).pending; i++) pass(&L.w, 1);
  assert_int_equal(stats_of(&L.w).ran, L.sent);
  end();
}

static void never_more_than_allowed(void **state) {
  (void)state;
  a_life(NULL, 3, false, false, 1, 600);
  a_life(NULL, 1, false, false, 2, 100);
  a_life(NULL, 50, false, true, 3, 1500);
  a_life(NULL, 10, true, false, 4, 300);
  a_life(NULL, 10, true, true, 5, 300);
}

static void over_restarts_too(void **state) {
  (void)state;
  a_life("throttle.db", 5, false, false, 6, 200);
  a_life("throttle.db", 20, true, true, 7, 200);
}

/* What waits for a long time does not fill memory, and the lane of another key is free. */
static void a_flood_of_one_key(void **state) {
  (void)state;
  memset(&L, 0, sizeof L);
  L = (life){.n = 10, .quick = true, .now = INT64_C(1800000000000)};
  hl_rng_init(&L.r, 9);
  begin();
  for (int i = 0; i < 3000; i++) send_one(0);
  pass(&L.w, 100);
  assert_true(stats_of(&L.w).in_memory < 100);
  assert_int_equal(L.n_starts[0], 10);
  send_one(1);
  pass(&L.w, 1);
  assert_int_equal(L.n_starts[1], 1);
  pass(&L.w, PER);
  assert_int_equal(L.n_starts[0], 20);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(never_more_than_allowed),
      cmocka_unit_test(over_restarts_too),
      cmocka_unit_test(a_flood_of_one_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
