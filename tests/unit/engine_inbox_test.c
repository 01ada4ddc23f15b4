/* Receipt, duplicates, shape, states. In memory, virtual time. */
#include "engine_util.h"

static void runs_what_it_receives(void **state) {
  (void)state;
  world w;
  static probe p;
  memset(&p, 0, sizeof p);
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  hl_receipt r = received(&w, "[" CREATED(1, 10, 100) "," CREATED(2, 11, 101) "]");
  assert_int_equal(r.code, 0);
  assert_int_equal(r.accepted, 2);
  settle_down(&w);
  assert_int_equal(p.calls, 2);
  assert_string_equal(p.ids[0], "1.0");
  assert_string_equal(p.ids[1], "1.1");
  assert_string_equal(p.objects[1], "11");
  assert_int_equal(p.attempts[0], 1);
  assert_int_equal(stats_of(&w).ran, 2);
  world_end(&w);
}

static void drops_duplicates(void **state) {
  (void)state;
  world w;
  static probe p;
  memset(&p, 0, sizeof p);
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  /* In one body, later, and with another attemptNumber. */
  hl_receipt r = received(&w, "[" CREATED(1, 10, 100) "," CREATED(1, 10, 100) "]");
  assert_int_equal(r.accepted, 1);
  assert_int_equal(r.duplicates, 1);
  r = received(&w, "[{\"eventId\":1,\"subscriptionId\":1,\"portalId\":\"62515\",\"occurredAt\":100,"
                   "\"subscriptionType\":\"contact.creation\",\"attemptNumber\":4,\"objectId\":10}]");
  assert_int_equal(r.duplicates, 1);
  /* The same eventId alone is not enough. */
  r = received(&w, "[" CREATED(1, 11, 100) "]");
  assert_int_equal(r.accepted, 1);
  settle_down(&w);
  assert_int_equal(p.calls, 2);
  assert_int_equal(stats_of(&w).duplicate, 2);
  assert_int_equal(stats_of(&w).acknowledged, 4);
  world_end(&w);
}

static void duplicate_of_uncommitted_shares_its_fate(void **state) {
  (void)state;
  world w;
  static probe p;
  memset(&p, 0, sizeof p);
  answer a = {0}, b = {0};
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  settle_down(&w);
  hl_store *s = hl_engine_store(w.e);
  hl_store_fault(s, "pause", 0, 1);
  receive(&w, "[" CREATED(1, 10, 100) "]", &a);
  pass(&w, 1); /* submitted, not committed */
  receive(&w, "[" CREATED(1, 10, 100) "]", &b);
  pass(&w, 1);
  assert_int_equal(a.calls + b.calls, 0);
  hl_store_fault(s, "commit", HL_EFULL, 1);
  hl_store_fault(s, "pause", 0, 0);
  pass(&w, 10);
  assert_int_equal(a.calls, 1);
  assert_int_equal(b.calls, 1);
  assert_int_equal(a.r.code, HL_EFULL);
  assert_int_equal(b.r.code, HL_EFULL);
  assert_int_equal(stats_of(&w).acknowledged, 0);
  /* Redelivered, it is new. */
  pass(&w, 200);
  assert_false(stats_of(&w).stalled);
  hl_receipt r = received(&w, "[" CREATED(1, 10, 100) "]");
  assert_int_equal(r.code, 0);
  assert_int_equal(r.accepted, 1);
  settle_down(&w);
  assert_int_equal(p.calls, 1);
  world_end(&w);
}

static void refuses_what_is_no_array(void **state) {
  (void)state;
  static const char *const bad[] = {"", "{", "{}", "null", "[1", "\"x\"", "[] []"};
  world w;
  world_loop(&w, true);
  world_engine(&w, NULL);
  world_start(&w);
  for (size_t i = 0; i < HL_COUNT(bad); i++) assert_int_equal(received(&w, bad[i]).code, HL_EINVAL);
  assert_int_equal(received(&w, "[]").code, 0);
  assert_int_equal(stats_of(&w).acknowledged, 0);
  world_end(&w);
}

static void parks_one_bad_element(void **state) {
  (void)state;
  world w;
  static probe p;
  memset(&p, 0, sizeof p);
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  hl_receipt r = received(&w, "[7," CREATED(1, 10, 100) ",{\"objectId\":3},{\"subscriptionType\":\"new.type\",\"eventId\":9}]");
  assert_int_equal(r.code, 0);
  assert_int_equal(r.malformed, 2);
  assert_int_equal(r.accepted, 2);
  assert_int_equal(r.unhandled, 1);
  settle_down(&w);
  hl_engine_stats s = stats_of(&w);
  assert_int_equal(p.calls, 1);
  assert_int_equal(s.dead, 2);
  assert_int_equal(s.unhandled, 1);
  assert_int_equal(s.ran, 1);
  world_end(&w);
}

static void filters_by_property_and_account(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_with(&w, "contact.propertyChange", false, (hl_handler_options){.script = "a.lua", .property = "email"}, &a);
  listen_with(&w, "contact.propertyChange", false, (hl_handler_options){.script = "b.lua", .account = "other"}, &b);
  world_start(&w);
  received(&w, "[{\"subscriptionType\":\"contact.propertyChange\",\"objectId\":1,\"propertyName\":\"email\"},"
               "{\"subscriptionType\":\"contact.propertyChange\",\"objectId\":1,\"propertyName\":\"phone\"}]");
  settle_down(&w);
  assert_int_equal(a.calls, 1);
  assert_int_equal(b.calls, 0);
  assert_int_equal(stats_of(&w).ran, 1);
  assert_int_equal(stats_of(&w).filtered, 1);
  world_end(&w);
}

static void names_the_nearest_type(void **state) {
  (void)state;
  world w;
  world_loop(&w, true);
  world_engine(&w, NULL);
  hl_handler_options o = {.script = "t.lua"};
  assert_int_equal(hl_engine_on(w.e, "contact.creatoin", false, &o, on_event, NULL, NULL, &w.err), HL_EINVAL);
  assert_non_null(strstr(w.err.text, "contact.creation"));
  assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &o, on_event, NULL, NULL, &w.err), 0);
  assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &o, on_event, NULL, NULL, &w.err), HL_EINVAL);
  o.name = "second";
  assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &o, on_event, NULL, NULL, &w.err), 0);
  assert_int_equal(hl_engine_on(w.e, "chase", true, &o, on_event, NULL, NULL, &w.err), 0);
  world_end(&w);
}

static void one_commit_for_many(void **state) {
  (void)state;
  world w;
  static answer a[50];
  memset(a, 0, sizeof a);
  world_loop(&w, true);
  world_engine(&w, NULL);
  world_start(&w);
  settle_down(&w);
  uint64_t before = stats_of(&w).commits;
  for (int i = 0; i < 50; i++) {
    char body[200];
    snprintf(body, sizeof body, "[{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":1}]", i);
    receive(&w, body, &a[i]);
  }
  pass(&w, 1);
  for (int i = 0; i < 50; i++) assert_int_equal(a[i].calls, 1);
  assert_int_equal(stats_of(&w).commits, before + 1);
  assert_int_equal(stats_of(&w).unhandled, 50);
  world_end(&w);
}

static void nothing_runs_while_it_cannot_commit(void **state) {
  (void)state;
  world w;
  static probe p;
  memset(&p, 0, sizeof p);
  p.hold = true;
  world_loop(&w, true);
  world_engine(&w, NULL);
  hl_store *s = hl_engine_store(w.e);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .concurrency = 1}, &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 100) "," CREATED(2, 11, 100) "]");
  pass(&w, 1);
  assert_int_equal(p.n_held, 1);
  hl_store_fault(s, "commit", HL_EIO, 4);
  hl_run_finish(p.held[0], HL_RUN_DONE, HL_STR(""));
  pass(&w, 10);
  assert_true(stats_of(&w).stalled);
  int started = p.calls;
  hl_receipt r = received(&w, "[" CREATED(3, 12, 100) "]");
  assert_int_equal(r.code, HL_EIO);
  assert_int_equal(p.calls, started);
  pass(&w, 10000);
  assert_false(stats_of(&w).stalled);
  /* The completion was kept, the rest goes on. */
  assert_int_equal(p.calls, 2);
  hl_run_finish(p.held[1], HL_RUN_DONE, HL_STR(""));
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 2);
  assert_int_equal(stats_of(&w).acknowledged, 2);
  world_end(&w);
}

static void a_backlog_is_read_in_windows(void **state) {
  (void)state;
  enum { BODIES = 1000, EACH = 100 };
  world w;
  static probe p;
  static answer a[BODIES];
  memset(&p, 0, sizeof p);
  memset(a, 0, sizeof a);
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_to(&w, "contact.creation", &p);
  hl_buf b;
  hl_buf_init(&b, 1 << 20);
  for (int i = 0; i < BODIES; i++) {
    hl_buf_clear(&b);
    for (int k = 0; k < EACH; k++)
      hl_buf_printf(&b, "%c{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":%d}", k ? ',' : '[',
                    i * EACH + k, k, i);
    hl_buf_puts(&b, "]");
    receive(&w, b.p, &a[i]);
  }
  hl_buf_deinit(&b);
  pass(&w, 1);
  assert_int_equal(stats_of(&w).pending, BODIES * EACH);
  world_start(&w);
  settle_down(&w);
  assert_int_equal(p.calls, BODIES * EACH);
  assert_int_equal(stats_of(&w).ran, BODIES * EACH);
  world_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs_what_it_receives),
      cmocka_unit_test(drops_duplicates),
      cmocka_unit_test(duplicate_of_uncommitted_shares_its_fate),
      cmocka_unit_test(refuses_what_is_no_array),
      cmocka_unit_test(parks_one_bad_element),
      cmocka_unit_test(filters_by_property_and_account),
      cmocka_unit_test(names_the_nearest_type),
      cmocka_unit_test(one_commit_for_many),
      cmocka_unit_test(nothing_runs_while_it_cannot_commit),
      cmocka_unit_test(a_backlog_is_read_in_windows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
