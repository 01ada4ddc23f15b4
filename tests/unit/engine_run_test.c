/* Lanes, retries, effects, schedules. In memory, virtual time. */
#include <limits.h>

#include "engine_util.h"

static void open_world(world *w, probe *p) {
  memset(p, 0, sizeof *p);
  world_loop(w, true);
  world_engine(w, NULL);
}

static void one_at_a_time_in_order(void **state) {
  (void)state;
  world w;
  static probe p;
  open_world(&w, &p);
  p.hold = true;
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 300) "," CREATED(2, 10, 100) "," CREATED(3, 11, 50) "," CREATED(4, 10, 200) "]");
  pass(&w, 1);
  assert_int_equal(p.calls, 2); /* one of each object */
  assert_int_equal(p.occurred[0], 100);
  assert_int_equal(p.occurred[1], 50);
  received(&w, "[" CREATED(5, 10, 150) "]"); /* late, but before what is pending */
  hl_run_finish(p.held[0], HL_RUN_DONE, HL_STR(""));
  pass(&w, 1);
  assert_int_equal(p.occurred[2], 150);
  hl_run_finish(p.held[2], HL_RUN_DONE, HL_STR(""));
  pass(&w, 1);
  assert_int_equal(p.occurred[3], 200);
  hl_run_finish(p.held[3], HL_RUN_FILTERED, HL_STR(""));
  pass(&w, 1);
  assert_int_equal(p.occurred[4], 300);
  assert_int_equal(p.calls, 5);
  hl_run_finish(p.held[4], HL_RUN_DONE, HL_STR(""));
  hl_run_finish(p.held[1], HL_RUN_DONE, HL_STR(""));
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 4);
  assert_int_equal(stats_of(&w).filtered, 1);
  world_end(&w);
}

static void keeps_to_its_concurrency(void **state) {
  (void)state;
  world w;
  static probe p, q;
  open_world(&w, &p);
  memset(&q, 0, sizeof q);
  p.hold = true;
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "a.lua", .concurrency = 2}, &p);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "b.lua"}, &q);
  world_start(&w);
  received(&w, "[" CREATED(1, 1, 1) "," CREATED(2, 2, 1) "," CREATED(3, 3, 1) "," CREATED(4, 4, 1) "]");
  pass(&w, 1);
  assert_int_equal(p.calls, 2);
  assert_int_equal(q.calls, 4); /* the other handler is not held up */
  assert_int_equal(stats_of(&w).running, 2);
  assert_int_equal(stats_of(&w).pending, 4); /* an event is done when all its handlers are */
  for (int i = 0; i < 4; i++) {
    hl_run_finish(p.held[i], HL_RUN_DONE, HL_STR(""));
    pass(&w, 1);
  }
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 4);
  world_end(&w);
}

static void retries_then_parks(void **state) {
  (void)state;
  world w;
  static probe p;
  open_world(&w, &p);
  p.fail_first = 100;
  listen_to(&w, "contact.creation", &p); /* 3 retries */
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 100) "]");
  pass(&w, 0);
  assert_int_equal(p.calls, 1);
  assert_int_equal(stats_of(&w).waiting, 1);
  assert_int_equal(stats_of(&w).pending, 0);
  pass(&w, 60 * HL_SECOND);
  assert_int_equal(p.calls, 4);
  for (unsigned i = 0; i < 4; i++) assert_int_equal(p.attempts[i], i + 1);
  assert_string_equal(p.ids[3], "1.0");
  settle_down(&w);
  assert_int_equal(stats_of(&w).dead, 1);
  assert_int_equal(stats_of(&w).waiting, 0);
  assert_int_equal(stats_of(&w).runs_failed, 4);
  world_end(&w);
}

static void fail_the_third(probe *p, hl_run *run, const hl_event *event) {
  (void)run;
  p->fail_first = p->arg && event->occurred_at == 300;
}

static void a_retry_holds_its_lane_for_a_minute_at_most(void **state) {
  (void)state;
  world w;
  static probe p;
  open_world(&w, &p);
  p.fail_first = 1;
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .retries = 20}, &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 100) "," CREATED(2, 10, 200) "," CREATED(3, 11, 1) "]");
  pass(&w, 0);
  assert_int_equal(p.calls, 2); /* the failed one and the other object */
  pass(&w, 2 * HL_SECOND);
  assert_int_equal(p.calls, 4);
  assert_int_equal(p.occurred[2], 100); /* still before the later one */
  assert_int_equal(p.occurred[3], 200);
  /* One that goes on failing lets the others pass. */
  p.work = fail_the_third;
  p.arg = &p;
  received(&w, "[" CREATED(4, 10, 300) "," CREATED(5, 10, 400) "]");
  pass(&w, 0);
  assert_int_equal(p.calls, 5);
  pass(&w, 61 * HL_SECOND);
  bool passed = false;
  for (int i = 5; i < p.calls; i++) passed |= p.occurred[i] == 400;
  assert_true(passed);
  assert_int_equal(stats_of(&w).waiting, 1);
  p.arg = NULL;
  pass(&w, 11 * HL_MINUTE);
  settle_down(&w);
  assert_int_equal(p.occurred[p.calls - 1], 300);
  assert_int_equal(stats_of(&w).ran, 5);
  assert_int_equal(stats_of(&w).waiting, 0);
  world_end(&w);
}

static hl_kv_scope SCOPE = {"t.lua", "main"};

static void note_load(void *arg, int code) {
  assert_int_equal(code, 0);
  *(bool *)arg = true;
}

static char *kv_text(world *w, const char *key) {
  hl_run *run = hl_engine_begin(w->e, "t.lua", "main");
  hl_str v;
  bool loaded = false;
  if (hl_kv_get(run, SCOPE, hl_str_of(key), &v) == HL_EBUSY) {
    hl_kv_load(w->e, SCOPE, hl_str_of(key), note_load, &loaded);
    for (int i = 0; i < 1000 && !loaded; i++) pass(w, hl_loop_is_virtual(w->loop) ? 0 : 1);
    assert_int_equal(hl_kv_get(run, SCOPE, hl_str_of(key), &v), 0);
  }
  char *copy = v.p ? hl_strndup(v.p, v.n) : NULL;
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  return copy;
}

static void expect_kv(world *w, const char *key, const char *want) {
  char *got = kv_text(w, key);
  if (want) {
    assert_non_null(got);
    assert_string_equal(got, want);
  } else {
    assert_null(got);
  }
  hl_free(got);
}

static void all_effects(probe *p, hl_run *run, const hl_event *event) {
  (void)event;
  hl_str v;
  int64_t n;
  assert_int_equal(hl_kv_set(run, SCOPE, HL_STR("a"), HL_STR("\"x\""), 0, &p->w->err), 0);
  assert_int_equal(hl_kv_get(run, SCOPE, HL_STR("a"), &v), 0); /* its own write */
  assert_true(hl_str_eqz(v, "\"x\""));
  assert_int_equal(hl_kv_incr(run, SCOPE, HL_STR("n"), 2, &n, &p->w->err), 0);
  assert_int_equal(hl_run_emit(run, "follow", HL_STR("{\"k\":1}"), 0, NULL, NULL, &p->w->err), 0);
  assert_int_equal(hl_run_emit(run, "follow", HL_STR("{\"k\":2}"), HL_HOUR, NULL, NULL, &p->w->err), 0);
  assert_int_equal(hl_run_audit(run, "routing", "contact 10", HL_STR("{}"), &p->w->err), 0);
}

typedef struct audits {
  int calls, code;
  size_t n;
  int64_t at[8];
  char json[8][64], script[16], account[16];
} audits;

static void note_audits(void *arg, int code, const hl_audit *v, size_t n) {
  audits *a = arg;
  a->calls++;
  a->code = code;
  a->n = n;
  assert_true(n <= 8);
  for (size_t i = 0; i < n; i++) {
    a->at[i] = v[i].at;
    snprintf(a->json[i], sizeof a->json[i], HL_STR_FMT, HL_STR_ARG(v[i].json));
    assert_string_equal(v[i].kind, "routing");
  }
  if (n) snprintf(a->script, sizeof a->script, "%s", v[0].script);
  if (n) snprintf(a->account, sizeof a->account, "%s", v[0].account);
}

static audits read_audits(world *w, const char *kind, const char *key, unsigned max) {
  audits a = {0};
  hl_engine_audits(w->e, kind, key, max, note_audits, &a);
  assert_int_equal(a.calls, 0); /* never from inside */
  while (!a.calls) pass(w, 0);
  assert_int_equal(a.code, 0);
  return a;
}

static void audit_one(probe *p, hl_run *run, const hl_event *event) {
  char key[64], json[64];
  snprintf(key, sizeof key, "contact %s", event->object_id);
  snprintf(json, sizeof json, "{\"event\":%lld}", (long long)hl_json_int(event->json, "eventId", 0));
  assert_int_equal(hl_run_audit(run, "routing", key, hl_str_of(json), &p->w->err), 0);
  assert_int_equal(hl_run_audit(run, "other", key, HL_STR("0"), &p->w->err), 0);
}

static void audits_are_read_newest_first(void **state) {
  (void)state;
  world w;
  static probe p;
  open_world(&w, &p);
  p.work = audit_one;
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 100) "]");
  received(&w, "[" CREATED(2, 11, 100) "]");
  settle_down(&w);
  pass(&w, HL_MINUTE);
  received(&w, "[" CREATED(3, 10, 200) "]");
  settle_down(&w);
  p.hold = true; /* what has not finished has left no record */
  received(&w, "[" CREATED(4, 10, 300) "]");
  pass(&w, 0);
  assert_int_equal(p.n_held, 1);
  audits a = read_audits(&w, "routing", "contact 10", 8);
  assert_int_equal(a.n, 2);
  assert_string_equal(a.json[0], "{\"event\":3}");
  assert_string_equal(a.json[1], "{\"event\":1}");
  assert_true(a.at[0] >= a.at[1] + HL_MINUTE);
  assert_string_equal(a.script, "t.lua");
  assert_string_equal(a.account, "main");
  assert_int_equal(read_audits(&w, "routing", "contact 10", 1).n, 1);
  assert_int_equal(read_audits(&w, "routing", "contact 1", 8).n, 0);
  assert_int_equal(read_audits(&w, "contact 10", "routing", 8).n, 0);
  hl_run_finish(p.held[0], HL_RUN_FAILED, HL_STR("no"));
  assert_int_equal(read_audits(&w, "routing", "contact 10", 8).n, 2);
  world_end(&w);
}

static void effects_commit_with_completion_or_not_at_all(void **state) {
  (void)state;
  world w;
  static probe p, q;
  open_world(&w, &p);
  memset(&q, 0, sizeof q);
  p.work = all_effects;
  p.fail_first = 1;
  listen_to(&w, "contact.creation", &p);
  listen_with(&w, "follow", true, (hl_handler_options){.script = "t.lua"}, &q);
  world_start(&w);
  expect_kv(&w, "n", NULL); /* loads it */
  received(&w, "[" CREATED(1, 10, 100) "]");
  pass(&w, 0);
  assert_int_equal(p.calls, 1);
  assert_int_equal(q.calls, 0);
  expect_kv(&w, "a", NULL);
  expect_kv(&w, "n", NULL);
  pass(&w, 2 * HL_SECOND); /* the retry */
  assert_int_equal(p.calls, 2);
  assert_int_equal(q.calls, 1);
  expect_kv(&w, "a", "\"x\"");
  expect_kv(&w, "n", "2");
  assert_int_equal(stats_of(&w).waiting, 1); /* the delayed one */
  pass(&w, HL_HOUR);
  settle_down(&w);
  assert_int_equal(q.calls, 2);
  assert_int_equal(stats_of(&w).waiting, 0);
  assert_int_equal(stats_of(&w).ran, 3);
  world_end(&w);
}

static void add_one(probe *p, hl_run *run, const hl_event *event) {
  int64_t n;
  (void)event;
  assert_int_equal(hl_kv_incr(run, SCOPE, HL_STR("n"), 1, &n, &p->w->err), 0);
  p->arg = (void *)(intptr_t)n;
}

static void concurrent_increments_add_up(void **state) {
  (void)state;
  world w;
  static probe p;
  open_world(&w, &p);
  p.work = add_one;
  p.hold = true;
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  expect_kv(&w, "n", NULL);
  received(&w, "[" CREATED(1, 1, 1) "," CREATED(2, 2, 1) "," CREATED(3, 3, 1) "]");
  pass(&w, 0);
  assert_int_equal(p.n_held, 3);
  assert_int_equal((intptr_t)p.arg, 1); /* each saw none of the others */
  for (int i = 0; i < 3; i++) hl_run_finish(p.held[i], HL_RUN_DONE, HL_STR(""));
  settle_down(&w);
  expect_kv(&w, "n", "3");
  world_end(&w);
}

static void note_keys(void *arg, const hl_str *keys, size_t n) {
  hl_buf *b = arg;
  for (size_t i = 0; i < n; i++) hl_buf_printf(b, HL_STR_FMT ",", HL_STR_ARG(keys[i]));
  hl_buf_puts(b, ".");
}

static void lists_keys_with_own_writes(void **state) {
  (void)state;
  world w;
  static probe p;
  hl_buf b;
  hl_buf_init(&b, 1000);
  open_world(&w, &p);
  world_start(&w);
  hl_run *run = hl_engine_begin(w.e, "t.lua", "main");
  hl_kv_set(run, SCOPE, HL_STR("a/1"), HL_STR("1"), 0, NULL);
  hl_kv_set(run, SCOPE, HL_STR("a/2"), HL_STR("2"), 0, NULL);
  hl_kv_set(run, SCOPE, HL_STR("b/1"), HL_STR("3"), 0, NULL);
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  pass(&w, 10);
  run = hl_engine_begin(w.e, "t.lua", "main");
  hl_kv_set(run, SCOPE, HL_STR("a/0"), HL_STR("0"), 0, NULL);
  hl_kv_set(run, SCOPE, HL_STR("a/1"), (hl_str){0}, 0, NULL);
  hl_kv_list(run, SCOPE, HL_STR("a/"), 10, note_keys, &b);
  pass(&w, 1);
  assert_string_equal(b.p, "a/0,a/2,.");
  hl_buf_clear(&b);
  hl_kv_list(run, SCOPE, HL_STR(""), 2, note_keys, &b);
  pass(&w, 1);
  assert_string_equal(b.p, "a/0,a/2,.");
  hl_run_finish(run, HL_RUN_FAILED, HL_STR("dropped"));
  expect_kv(&w, "a/1", "1");
  hl_buf_deinit(&b);
  world_end(&w);
}

static void expired_keys_are_gone(void **state) {
  (void)state;
  world w;
  static probe p;
  open_world(&w, &p);
  world_start(&w);
  hl_run *run = hl_engine_begin(w.e, "t.lua", "main");
  hl_kv_set(run, SCOPE, HL_STR("k"), HL_STR("1"), hl_loop_now(w.loop) + HL_MINUTE, NULL);
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  expect_kv(&w, "k", "1");
  pass(&w, HL_MINUTE + 1);
  expect_kv(&w, "k", NULL);
  world_end(&w);
}

static void note_code(void *arg, int code) { *(int *)arg = code; }

static void work_outside_events_commits(void **state) {
  (void)state;
  world w;
  static probe p;
  int code = 1;
  open_world(&w, &p);
  world_start(&w);
  settle_down(&w);
  hl_run *run = hl_engine_begin(w.e, "t.lua", "main");
  uint64_t commits = stats_of(&w).commits;
  hl_run_commit(run, note_code, &code); /* nothing to do costs no commit */
  assert_int_equal(code, 1);
  pass(&w, 0);
  assert_int_equal(code, 0);
  assert_int_equal(stats_of(&w).commits, commits);
  assert_int_equal(hl_kv_set(run, SCOPE, HL_STR("k"), HL_STR("1"), 0, &w.err), 0);
  hl_run_commit(run, note_code, &code);
  pass(&w, 1);
  assert_int_equal(stats_of(&w).commits, commits + 1);
  hl_store_fault(hl_engine_store(w.e), "commit", HL_EIO, 3);
  received(&w, "[" CREATED(1, 1, 1) "]");
  assert_true(stats_of(&w).stalled);
  assert_int_equal(hl_kv_set(run, SCOPE, HL_STR("k"), HL_STR("2"), 0, &w.err), 0);
  hl_run_commit(run, note_code, &code);
  pass(&w, 0);
  assert_int_equal(code, HL_EIO);
  expect_kv(&w, "k", "1");
  pass(&w, HL_MINUTE);
  hl_run_commit(run, note_code, &code);
  pass(&w, 1);
  assert_int_equal(code, 0);
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  expect_kv(&w, "k", "2");
  world_end(&w);
}

static void emit_again(probe *p, hl_run *run, const hl_event *event) {
  (void)event;
  assert_int_equal(hl_run_emit(run, "again", HL_STR("null"), 0, NULL, NULL, &p->w->err), 0);
}

static void chains_have_an_end(void **state) {
  (void)state;
  world w;
  static probe p;
  open_world(&w, &p);
  p.work = emit_again;
  listen_with(&w, "again", true, (hl_handler_options){.script = "t.lua"}, &p);
  world_start(&w);
  hl_run *run = hl_engine_begin(w.e, "t.lua", "main");
  emit_again(&p, run, NULL);
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  pass(&w, 10);
  settle_down(&w);
  assert_int_equal(p.calls, 8);
  assert_int_equal(stats_of(&w).dead, 1);
  world_end(&w);
}

static void cut_runs_come_back(void **state) {
  (void)state;
  world w;
  static probe p;
  open_world(&w, &p);
  p.hold = true;
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 100) "]");
  pass(&w, 0);
  hl_run_finish(p.held[0], HL_RUN_CUT, HL_STR(""));
  pass(&w, 0);
  assert_int_equal(p.calls, 2);
  assert_int_equal(p.attempts[1], 1); /* no attempt counted */
  hl_run_finish(p.held[1], HL_RUN_DEAD, HL_STR("gone"));
  settle_down(&w);
  assert_int_equal(stats_of(&w).dead, 1);
  world_end(&w);
}

static void set_flag(void *arg) { *(bool *)arg = true; }

static void drains(void **state) {
  (void)state;
  world w;
  static probe p;
  bool done = false;
  open_world(&w, &p);
  p.hold = true;
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .concurrency = 1}, &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 100) "," CREATED(2, 11, 100) "]");
  pass(&w, 0);
  hl_engine_drain(w.e, HL_MINUTE, set_flag, &done);
  pass(&w, HL_SECOND);
  assert_false(done);
  hl_run_finish(p.held[0], HL_RUN_DONE, HL_STR(""));
  pass(&w, HL_SECOND);
  assert_true(done);
  assert_int_equal(p.calls, 1); /* nothing new began */
  assert_int_equal(stats_of(&w).pending, 1);
  world_end(&w);
}

/* ---- schedules ---- */

static hl_handler *every(world *w, int64_t ms, probe *p) {
  hl_handler *h = NULL;
  p->w = w;
  assert_int_equal(hl_engine_schedule(w->e, &(hl_schedule_options){.every_ms = ms, .text = "every"},
                                      &(hl_handler_options){.script = "t.lua"}, on_event, p, &h, &w->err), 0);
  return h;
}

static void every_fires_and_does_not_overlap(void **state) {
  (void)state;
  world w;
  static probe p;
  open_world(&w, &p);
  every(&w, HL_MINUTE, &p);
  world_start(&w);
  pass(&w, 10 * HL_MINUTE + 1);
  assert_int_equal(p.calls, 10);
  assert_int_equal(p.occurred[1] - p.occurred[0], HL_MINUTE);
  p.hold = true;
  pass(&w, 5 * HL_MINUTE);
  assert_int_equal(p.calls, 11); /* it is still running */
  p.hold = false;
  hl_run_finish(p.held[0], HL_RUN_FAILED, HL_STR("logged, not retried"));
  pass(&w, 1);
  assert_int_equal(p.calls, 11);
  pass(&w, HL_MINUTE);
  assert_int_equal(p.calls, 12);
  world_end(&w);
}

static void cron_keeps_local_time_over_dst(void **state) {
  (void)state;
  world w;
  static probe p;
  hl_cron cron;
  hl_schedule_options s = {.cron = &cron, .text = "0 9 * * *"};
  int64_t start;
  memset(&p, 0, sizeof p);
  w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_time_parse(HL_STR("2026-10-23T00:00:00Z"), &start, &w.err), 0);
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = start, .seed = 1}, w.log, &w.loop, &w.err), 0);
  world_engine(&w, NULL);
  assert_int_equal(hl_cron_parse(hl_str_of(s.text), &cron, &w.err), 0);
  assert_int_equal(hl_tz_load("Europe/Berlin", &s.tz, &w.err), 0);
  p.w = &w;
  assert_int_equal(hl_engine_schedule(w.e, &s, &(hl_handler_options){.script = "t.lua"}, on_event, &p, NULL, &w.err), 0);
  world_start(&w);
  pass(&w, 4 * HL_DAY);
  assert_int_equal(p.calls, 4);
  assert_int_equal(p.occurred[0] - start, 7 * HL_HOUR);
  assert_int_equal(p.occurred[2] - p.occurred[1], 25 * HL_HOUR); /* the night clocks go back */
  assert_int_equal(p.occurred[3] - p.occurred[2], 24 * HL_HOUR);
  world_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_at_a_time_in_order),
      cmocka_unit_test(keeps_to_its_concurrency),
      cmocka_unit_test(retries_then_parks),
      cmocka_unit_test(a_retry_holds_its_lane_for_a_minute_at_most),
      cmocka_unit_test(effects_commit_with_completion_or_not_at_all), cmocka_unit_test(audits_are_read_newest_first),
      cmocka_unit_test(concurrent_increments_add_up),
      cmocka_unit_test(lists_keys_with_own_writes),
      cmocka_unit_test(expired_keys_are_gone),
      cmocka_unit_test(work_outside_events_commits),
      cmocka_unit_test(chains_have_an_end),
      cmocka_unit_test(cut_runs_come_back),
      cmocka_unit_test(drains),
      cmocka_unit_test(every_fires_and_does_not_overlap),
      cmocka_unit_test(cron_keeps_local_time_over_dst),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
