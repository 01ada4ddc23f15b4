/* An engine that is shown what another one has received. */
#include "engine_util.h"

#include "store/operate.h"

static void open_replay(world *w) {
  world_loop(w, true);
  hl_engine_options o = {.replay = true};
  assert_int_equal(hl_engine_new(w->loop, &o, &w->e, &w->err), 0);
}

static void show(world *w, int64_t row, const char *source, const char *body, const bool *skipped) {
  hl_recorded r = {.row = row, .source = source, .account = "main", .body = hl_str_of(body), .skipped = skipped};
  assert_int_equal(hl_engine_replay(w->e, &r, &w->err), 0);
  settle_down(w);
}

static const bool none[8];

static void events_keep_their_ids_and_what_is_skipped_is_not_shown(void **state) {
  (void)state;
  world w;
  probe p = {0};
  open_replay(&w);
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  const bool skipped[] = {false, true, false, false};
  show(&w, 7, "push", "[" CREATED(1, 10, 100) "," CREATED(2, 11, 100) "," CREATED(1, 10, 100) ",{\"subscriptionType\":\"deal.creation\",\"objectId\":1}]", skipped);
  show(&w, 9, "push", "[" CREATED(1, 10, 100) "]", none); /* the same again: where it came from it was none */
  assert_int_equal(p.calls, 3);
  assert_string_equal(p.ids[0], "7.0");
  assert_string_equal(p.ids[1], "7.2");
  assert_string_equal(p.ids[2], "9.0");
  hl_engine_stats s = stats_of(&w);
  assert_int_equal(s.ran, 3);
  assert_int_equal(s.unhandled, 1);
  hl_recorded bad = {.row = 12, .source = "push", .account = "main", .body = HL_STR("{}"), .skipped = none};
  assert_int_equal(hl_engine_replay(w.e, &bad, &w.err), HL_EINVAL);
  world_end(&w);
}

static void emits_now_and_later(probe *p, hl_run *run, const hl_event *event) {
  (void)event;
  assert_int_equal(hl_run_emit(run, "chase", HL_STR("{}"), 0, NULL, NULL, &p->w->err), 0);
  assert_int_equal(hl_run_emit(run, "chase", HL_STR("{}"), 1000, NULL, NULL, &p->w->err), 0);
  assert_int_equal(hl_run_audit(run, "routing", "contact 1", HL_STR("{}"), &p->w->err), 0);
  assert_int_equal(hl_kv_set(run, (hl_kv_scope){"t.lua", "main"}, HL_STR("k"), HL_STR("1"), 0, &p->w->err), 0);
}

static void on_count(void *arg, int code, const hl_audit *v, size_t n) {
  (void)code, (void)v;
  *(int *)arg = (int)n;
}

static void reads_kv(probe *p, hl_run *run, const hl_event *event) {
  hl_str value = {0};
  (void)event;
  assert_int_equal(hl_kv_get(run, (hl_kv_scope){"t.lua", "main"}, HL_STR("k"), &value), 0);
  assert_true(hl_str_eqz(value, "1"));
  p->arg = p;
}

static void what_runs_emit_goes_nowhere_and_kv_lasts(void **state) {
  (void)state;
  world w;
  probe p = {.work = emits_now_and_later}, q = {0}, r = {.work = reads_kv};
  int audits = -1;
  open_replay(&w);
  listen_to(&w, "contact.creation", &p);
  listen_with(&w, "chase", true, (hl_handler_options){.script = "t.lua"}, &q);
  listen_to(&w, "company.creation", &r);
  world_start(&w);
  show(&w, 1, "push", "[" CREATED(1, 10, 100) "]", none);
  pass(&w, HL_HOUR);
  assert_int_equal(p.calls, 1);
  assert_int_equal(q.calls, 0);
  show(&w, 2, "emit", "[{\"subscriptionType\":\"chase\",\"payload\":{}}]", none); /* but those of the record are shown */
  assert_int_equal(q.calls, 1);
  show(&w, 3, "push", "[{\"subscriptionType\":\"company.creation\",\"objectId\":1}]", none);
  assert_ptr_equal(r.arg, &r);
  hl_engine_audits(w.e, "routing", "contact 1", 10, on_count, &audits);
  pass(&w, 0);
  assert_int_equal(audits, 0);
  world_end(&w);
}

static void nothing_is_tried_again_and_no_timer_fires(void **state) {
  (void)state;
  world w;
  probe p = {.fail_first = 1}, timer = {0}, alerts = {0};
  hl_handler *h;
  open_replay(&w);
  listen_to(&w, "contact.creation", &p);
  listen_with(&w, HL_ALERT_TYPE, true, (hl_handler_options){.script = "t.lua"}, &alerts);
  timer.w = &w;
  hl_schedule_options so = {.every_ms = 1000, .text = "1s"};
  hl_handler_options ho = {.script = "t.lua", .name = "every 1s"};
  assert_int_equal(hl_engine_schedule(w.e, &so, &ho, on_event, &timer, &h, &w.err), 0);
  world_start(&w);
  show(&w, 1, "push", "[" CREATED(1, 10, 100) "," CREATED(2, 10, 101) "]", none);
  pass(&w, HL_DAY);
  assert_int_equal(p.calls, 2); /* the one that failed, and the next of its lane */
  assert_int_equal(p.attempts[1], 1);
  assert_int_equal(timer.calls, 0);
  hl_engine_alert(w.e, "dead_letter", "of a test", NULL);
  settle_down(&w);
  assert_int_equal(alerts.calls, 0);
  hl_engine_stats s = stats_of(&w);
  assert_int_equal(s.dead + s.waiting, 0);
  assert_int_equal(s.filtered, 1);
  world_end(&w);
}

static void on_span(void *arg, const hl_log_span *span) { *(hl_log_span *)arg = *span; }

static hl_log_span span_of(world *w, int64_t since) {
  hl_log_span span = {.code = 1};
  hl_store_log_since(hl_engine_store(w->e), since, on_span, &span);
  pass(w, 0);
  assert_int_equal(span.code, 0);
  return span;
}

static void rows_that_are_done_are_forgotten(void **state) {
  (void)state;
  world w;
  probe p = {.hold = true};
  open_replay(&w);
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  show(&w, 1, "push", "[{\"subscriptionType\":\"deal.creation\",\"objectId\":1}]", none);
  pass(&w, 10 * HL_MINUTE);
  int64_t then = hl_loop_now(w.loop);
  hl_recorded r = {.row = 2, .source = "push", .account = "main", .body = HL_STR("[" CREATED(1, 10, 100) "]"), .skipped = none};
  assert_int_equal(hl_engine_replay(w.e, &r, &w.err), 0);
  pass(&w, HL_MINUTE);
  assert_int_equal(span_of(&w, 0).kept, then - 10 * HL_MINUTE);
  hl_engine_replayed(w.e, INT64_MAX);
  assert_int_equal(span_of(&w, 0).kept, then); /* the one that runs stays */
  hl_run_finish(p.held[0], HL_RUN_DONE, HL_STR(""));
  settle_down(&w);
  hl_engine_replayed(w.e, INT64_MAX);
  assert_int_equal(span_of(&w, 0).newest, 0);
  world_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(events_keep_their_ids_and_what_is_skipped_is_not_shown),
      cmocka_unit_test(what_runs_emit_goes_nowhere_and_kv_lasts),
      cmocka_unit_test(nothing_is_tried_again_and_no_timer_fires),
      cmocka_unit_test(rows_that_are_done_are_forgotten),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
