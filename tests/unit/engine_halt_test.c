/* A script that is held or halted: nothing of it begins, nothing of it is lost, the others do not notice. */
#include <unistd.h>

#include "engine_util.h"

static const hl_handler_options T = {.script = "t.lua", .retries = 3}, OTHER = {.script = "other.lua", .retries = 3};

static void open_life(world *w, const char *path, size_t max_events) {
  world_loop(w, true);
  assert_int_equal(hl_engine_new(w->loop, &(hl_engine_options){.store = path, .max_events = max_events}, &w->e, &w->err), 0);
}

static void nothing_of_it_begins(void **state) {
  (void)state;
  world w;
  static probe p, other, alerts, timer;
  memset(&p, 0, sizeof p);
  memset(&other, 0, sizeof other);
  memset(&alerts, 0, sizeof alerts);
  memset(&timer, 0, sizeof timer);
  open_life(&w, NULL, 0);
  listen_with(&w, "contact.creation", false, T, &p);
  listen_with(&w, "contact.creation", false, OTHER, &other);
  listen_with(&w, HL_ALERT_TYPE, true, T, &alerts);
  hl_schedule_options s = {.every_ms = HL_HOUR, .text = "every 1h"};
  timer.w = &w;
  assert_int_equal(hl_engine_schedule(w.e, &s, &T, on_event, &timer, NULL, &w.err), 0);
  world_start(&w);
  p.hold = true;
  received(&w, "[" CREATED(1, 10, 1) "]");
  pass(&w, 1);
  assert_int_equal(p.calls, 1); /* runs, and will end as ever */
  hl_engine_halt(w.e, "t.lua", "no property");
  assert_string_equal(hl_engine_halted(w.e, "t.lua"), "no property");
  assert_null(hl_engine_halted(w.e, "other.lua"));
  received(&w, "[" CREATED(2, 10, 3) "," CREATED(3, 10, 2) "," CREATED(4, 11, 4) "]");
  hl_run_finish(p.held[0], HL_RUN_DONE, HL_STR(""));
  p.hold = false;
  hl_engine_alert(w.e, "dead_letter", "told", NULL);
  pass(&w, 150 * HL_MINUTE);
  assert_int_equal(p.calls, 1);
  assert_int_equal(timer.calls, 0);
  assert_int_equal(alerts.calls, 1);
  assert_int_equal(other.calls, 4);
  assert_int_equal(stats_of(&w).pending, 3);
  hl_engine_hold(w.e, "t.lua", true);
  hl_engine_halt(w.e, "t.lua", NULL);
  pass(&w, HL_MINUTE);
  assert_int_equal(p.calls, 1); /* it is held as well */
  hl_engine_hold(w.e, "t.lua", false);
  settle_down(&w);
  assert_int_equal(p.calls, 4);
  assert_string_equal(p.ids[1], "2.2");
  assert_string_equal(p.ids[2], "2.1"); /* by occurredAt, as if they had come now */
  assert_string_equal(p.ids[3], "2.0");
  assert_int_equal(timer.calls, 1); /* of the two that have passed the newest */
  pass(&w, HL_HOUR);
  assert_int_equal(timer.calls, 2);
  assert_int_equal(stats_of(&w).ran, 5);
  world_end(&w);
}

static void a_retry_waits_too(void **state) {
  (void)state;
  world w;
  static probe p;
  memset(&p, 0, sizeof p);
  open_life(&w, NULL, 0);
  p.fail_first = 1;
  listen_with(&w, "contact.creation", false, T, &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "]");
  pass(&w, 1);
  hl_engine_hold(w.e, "t.lua", true);
  pass(&w, HL_HOUR);
  assert_int_equal(p.calls, 1);
  hl_engine_hold(w.e, "t.lua", false);
  pass(&w, 1);
  assert_int_equal(p.calls, 2);
  assert_int_equal(stats_of(&w).ran, 1);
  world_end(&w);
}

/* More than memory has room for; and over a restart, and an exchange of the script. */
static void much_of_it_waits_in_the_store(void **state) {
  (void)state;
  enum { MANY = 600 };
  static probe p, other;
  memset(&p, 0, sizeof p);
  memset(&other, 0, sizeof other);
  unlink("halt.db");
  unlink("halt.db-wal");
  for (int life = 0; life < 2; life++) {
    world w;
    open_life(&w, "halt.db", 100);
    listen_with(&w, "contact.creation", false, T, &p);
    listen_with(&w, "contact.creation", false, OTHER, &other);
    world_start(&w);
    if (!life) hl_engine_halt(w.e, "t.lua", "no such owner");
    for (int i = 0; !life && i < MANY; i++) {
      char body[300];
      snprintf(body, sizeof body, "[{\"eventId\":%d,\"subscriptionId\":1,\"occurredAt\":%d,\"subscriptionType\":\"contact.creation\",\"objectId\":%d}]", i + 1, i + 1, i % 5);
      answer a = {0};
      receive(&w, body, &a);
      while (!a.calls) pass(&w, 1);
    }
    for (int i = 0; i < 100000 && other.calls < MANY; i++) pass(&w, 100);
    assert_int_equal(other.calls, MANY);
    assert_int_equal(p.calls, 0);
    assert_string_equal(hl_engine_halted(w.e, "t.lua"), "no such owner");
    assert_int_equal(stats_of(&w).pending + stats_of(&w).waiting, MANY);
    if (!life) {
      hl_engine_free(w.e);
    } else {
      hl_swap *swap = hl_swap_new(w.e, "t.lua");
      hl_handler_options o = T;
      o.swap = swap;
      listen_with(&w, "contact.creation", false, o, &p);
      hl_engine_swap(w.e, &swap, 1);
      pass(&w, HL_MINUTE);
      assert_int_equal(p.calls, 0);
      hl_engine_halt(w.e, "t.lua", NULL);
      for (int i = 0; i < 100000 && p.calls < MANY; i++) pass(&w, 100);
      assert_int_equal(p.calls, MANY);
      pass(&w, 100);
      int64_t last[5] = {0};
      for (int i = 0; i < MANY; i++) { /* each object's in their order */
        int64_t *at = &last[p.objects[i][0] - '0'];
        assert_true(p.occurred[i] > *at);
        *at = p.occurred[i];
      }
      assert_int_equal(stats_of(&w).ran, MANY);
      hl_engine_free(w.e);
    }
    hl_loop_free(w.loop);
    hl_log_free(w.log);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_of_it_begins),
      cmocka_unit_test(a_retry_waits_too),
      cmocka_unit_test(much_of_it_waits_in_the_store),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
