/* Debounce (SEMANTICS 6): one row a key, the newest event or all of them, over
 * restarts too; every event is in exactly one state. */
#include <unistd.h>

#include "engine_util.h"

enum { KEYS = 6 };
static const int64_t WAIT = 30000, MAX = 120000;

typedef struct seen { int calls, fail_first; int64_t at[64]; int last[64], events[64]; char changes[64][200]; } seen;

typedef struct life { world w; seen s[KEYS]; bool merged; int64_t max, clock; const char *path; } life;

static void on_quiet(void *arg, hl_run *run, const hl_event *event) {
  life *l = arg;
  int object;
  assert_true(hl_json_int(event->json, "objectId", -1) >= 0);
  object = (int)hl_json_int(event->json, "objectId", -1);
  seen *s = &l->s[object];
  int k = s->calls++ % 64;
  s->at[k] = hl_loop_now(l->w.loop);
  s->last[k] = (int)hl_json_int(event->json, "eventId", -1);
  s->events[k] = cJSON_GetArraySize(hl_json_get(event->json, "events"));
  const cJSON *changes = hl_json_get(event->json, "changes");
  char *text = changes ? hl_json_print(changes) : NULL;
  snprintf(s->changes[k], sizeof s->changes[k], "%s", text ? text : "");
  hl_free(text);
  if (s->fail_first) {
    s->fail_first--;
    hl_run_finish(run, HL_RUN_FAILED, HL_STR("told to"));
  } else {
    hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  }
}

static void open_life(life *l) {
  l->w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = l->clock, .seed = 7}, l->w.log, &l->w.loop, &l->w.err), 0);
  world_engine(&l->w, l->path);
  hl_handler_options o = {.script = "t.lua", .debounce_ms = WAIT, .debounce_max_ms = l->max, .debounce_merged = l->merged, .retries = 5};
  assert_int_equal(hl_engine_on(l->w.e, "contact.propertyChange", false, &o, on_quiet, l, NULL, &l->w.err), 0);
  world_start(&l->w);
}

static void close_life(life *l) {
  l->clock = hl_loop_now(l->w.loop);
  world_end(&l->w);
}

static void begin(life *l, bool merged, int64_t max, const char *path) {
  *l = (life){.merged = merged, .max = max, .clock = INT64_C(1800000000000), .path = path};
  if (path) {
    unlink("debounce.db");
    unlink("debounce.db-wal");
  }
  open_life(l);
}

static int next_event;
static int send_at(life *l, int object, const char *property, const char *value, int64_t at) {
  char body[256];
  answer a = {0};
  snprintf(body, sizeof body, "[{\"subscriptionType\":\"contact.propertyChange\",\"eventId\":%d,\"objectId\":%d,\"propertyName\":\"%s\",\"propertyValue\":\"%s\",\"occurredAt\":%lld}]",
           ++next_event, object, property, value, (long long)at);
  receive(&l->w, body, &a);
  while (!a.calls) pass(&l->w, 1);
  assert_int_equal(a.r.code, 0);
  pass(&l->w, 1);
  return next_event;
}
static int send_one(life *l, int object) { return send_at(l, object, "city", "Ulm", hl_loop_now(l->w.loop)); }

static void the_newest_runs_when_it_is_quiet(void **state) {
  (void)state;
  static life l;
  begin(&l, false, 0, NULL);
  int last = 0;
  for (int i = 0; i < 5; i++) {
    last = send_one(&l, 1);
    pass(&l.w, WAIT - 100);
    assert_int_equal(l.s[1].calls, 0);
    assert_int_equal(stats_of(&l.w).waiting, 1);
  }
  int other = send_one(&l, 2);
  pass(&l.w, 200);
  assert_int_equal(l.s[1].calls, 1);
  assert_int_equal(l.s[1].last[0], last);
  assert_int_equal(l.s[2].calls, 0);
  pass(&l.w, WAIT);
  assert_int_equal(l.s[2].last[0], other);
  hl_engine_stats s = stats_of(&l.w);
  assert_int_equal(s.debounced, 4);
  assert_int_equal(s.ran, 2);
  assert_int_equal(s.waiting, 0);
  close_life(&l);
}

static void it_waits_no_longer_than_max(void **state) {
  (void)state;
  static life l;
  begin(&l, false, MAX, NULL);
  int64_t from = hl_loop_now(l.w.loop);
  while (!l.s[1].calls) {
    send_one(&l, 1);
    pass(&l.w, 10000);
  }
  assert_in_range(l.s[1].at[0] - from, MAX, MAX + 100);
  close_life(&l);
}

static void a_straggler_is_not_the_newest(void **state) {
  (void)state;
  static life l;
  begin(&l, false, 0, NULL);
  int newest = send_at(&l, 1, "city", "Bonn", 2000);
  pass(&l.w, WAIT - 100);
  send_at(&l, 1, "city", "Ulm", 1000);
  pass(&l.w, WAIT - 100);
  assert_int_equal(l.s[1].calls, 0); /* it came, so it is not quiet */
  pass(&l.w, 200);
  assert_int_equal(l.s[1].last[0], newest);
  assert_int_equal(stats_of(&l.w).debounced, 1);
  assert_int_equal(stats_of(&l.w).ran, 1);
  close_life(&l);
}

static void merged_has_all_of_them(void **state) {
  (void)state;
  static life l;
  begin(&l, true, 0, NULL);
  send_at(&l, 1, "city", "Ulm", 1000);
  int top = send_at(&l, 1, "zip", "53111", 4000);
  send_at(&l, 1, "city", "Bonn", 3000);
  send_at(&l, 1, "city", "Kiel", 2000);
  pass(&l.w, WAIT + 10);
  assert_int_equal(l.s[1].calls, 1);
  assert_int_equal(l.s[1].events[0], 4);
  assert_int_equal(l.s[1].last[0], top);
  assert_non_null(strstr(l.s[1].changes[0], "\"city\":\"Bonn\""));
  assert_non_null(strstr(l.s[1].changes[0], "\"zip\":\"53111\""));
  /* A hundred are enough. */
  for (int i = 0; i < 130; i++) send_one(&l, 2);
  assert_int_equal(l.s[2].calls, 1);
  assert_int_equal(l.s[2].events[0], 100);
  pass(&l.w, WAIT + 10);
  assert_int_equal(l.s[2].events[1], 30);
  assert_int_equal(stats_of(&l.w).ran, 3);
  assert_int_equal(stats_of(&l.w).debounced, 3 + 99 + 29);
  close_life(&l);
}

static void one_that_fails_is_retried_whole(void **state) {
  (void)state;
  static life l;
  begin(&l, true, 0, NULL);
  l.s[1].fail_first = 3;
  send_one(&l, 1);
  send_one(&l, 1);
  for (int i = 0; i < 60; i++) pass(&l.w, HL_MINUTE);
  assert_int_equal(l.s[1].calls, 4);
  for (int i = 0; i < 4; i++) assert_int_equal(l.s[1].events[i], 2);
  assert_int_equal(stats_of(&l.w).ran, 1);
  assert_int_equal(stats_of(&l.w).debounced, 1);
  close_life(&l);
}

static void it_goes_on_after_a_restart(void **state) {
  (void)state;
  static life l;
  for (int merged = 0; merged < 2; merged++) {
    begin(&l, merged, MAX, "debounce.db");
    int64_t from = hl_loop_now(l.w.loop);
    int last = 0;
    for (int i = 0; i < 6; i++) {
      last = send_one(&l, 1);
      pass(&l.w, 15000);
      close_life(&l);
      open_life(&l);
      assert_int_equal(l.s[1].calls, 0);
      assert_int_equal(stats_of(&l.w).waiting, 1);
    }
    for (int i = 0; i < 400 && !l.s[1].calls; i++) pass(&l.w, 100);
    assert_int_equal(l.s[1].last[0], last);
    assert_in_range(l.s[1].at[0] - from, 15000 * 5 + WAIT, MAX + 1000);
    if (merged) assert_int_equal(l.s[1].events[0], 6);
    for (int i = 0; i < 20; i++) pass(&l.w, 10);
    close_life(&l);
    open_life(&l); /* it is over */
    pass(&l.w, 2 * MAX);
    assert_int_equal(l.s[1].calls, 1);
    assert_int_equal(stats_of(&l.w).ran, 1);
    assert_int_equal(stats_of(&l.w).debounced, 5);
    close_life(&l);
  }
}

/* At random: each run comes WAIT after the last event of its key or MAX after the
 * first one, has the newest, and together they account for every event. */
static void random_life(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 6; seed++) {
    static life l;
    hl_rng r;
    int64_t first[KEYS] = {0}, last_at[KEYS] = {0};
    int newest[KEYS] = {0}, calls[KEYS] = {0}, sent = 0, pending[KEYS] = {0};
    hl_rng_init(&r, seed);
    begin(&l, seed % 2, MAX, NULL);
    for (int step = 0; step < 1500 || stats_of(&l.w).waiting; step++) {
      int key = (int)hl_rng_below(&r, KEYS);
      if (step < 1500 && hl_rng_below(&r, 3)) {
        int before = l.s[key].calls;
        int id = send_one(&l, key);
        sent++;
        if (l.s[key].calls == before && calls[key] == before) {
          last_at[key] = hl_loop_now(l.w.loop);
          if (!pending[key]++) first[key] = last_at[key];
          newest[key] = id;
        } else {
          fail_msg("a run in the middle of a send");
        }
      } else {
        pass(&l.w, 1 + (int64_t)hl_rng_below(&r, 9000));
      }
      for (int i = 0; i < KEYS; i++) {
        seen *s = &l.s[i];
        if (s->calls == calls[i]) continue;
        assert_int_equal(s->calls, calls[i] + 1);
        int k = calls[i]++ % 64;
        int64_t quiet = s->at[k] - last_at[i], all = s->at[k] - first[i];
        assert_true(quiet >= WAIT - 5 || all >= MAX - 5);
        assert_true(all <= MAX + 5);
        assert_int_equal(s->last[k], newest[i]);
        if (l.merged) assert_int_equal(s->events[k], pending[i]);
        pending[i] = 0;
      }
    }
    hl_engine_stats s = stats_of(&l.w);
    int runs = 0;
    for (int i = 0; i < KEYS; i++) runs += l.s[i].calls;
    assert_int_equal(s.ran, runs);
    assert_int_equal(s.debounced, sent - runs);
    assert_true(runs > 50 && runs < sent / 2);
    close_life(&l);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_newest_runs_when_it_is_quiet),
      cmocka_unit_test(it_waits_no_longer_than_max),
      cmocka_unit_test(a_straggler_is_not_the_newest),
      cmocka_unit_test(merged_has_all_of_them),
      cmocka_unit_test(one_that_fails_is_retried_whole),
      cmocka_unit_test(it_goes_on_after_a_restart),
      cmocka_unit_test(random_life),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
