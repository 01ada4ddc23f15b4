/* What a restart must not change: the lane of a retry, times that passed while
 * nothing ran, reads that fail at first, a store of an earlier version. The clock
 * is virtual, so that lives are hours apart. */
#include <sqlite3.h>
#include <unistd.h>

#include "engine_util.h"

static int64_t clock_ms;

static void open_life(world *w) {
  *w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = clock_ms, .seed = 7}, w->log, &w->loop, &w->err), 0);
  world_engine(w, "restart.db");
}

static void end_life(world *w) {
  clock_ms = hl_loop_now(w->loop);
  world_end(w);
}

static void fresh(void) {
  unlink("restart.db");
  unlink("restart.db-wal");
  clock_ms = INT64_C(1800000000000);
}

/* The virtual clock stands while the writer is at it. */
static void store_one(world *w, const char *body) {
  answer a = {0};
  receive(w, body, &a);
  while (!a.calls) pass(w, 1);
  assert_int_equal(a.r.code, 0);
}

static void wait_calls(world *w, const probe *p, int calls, int64_t at_most) {
  int64_t until = hl_loop_now(w->loop) + at_most;
  while (p->calls < calls && hl_loop_now(w->loop) < until) pass(w, 10);
  assert_int_equal(p->calls, calls);
}

static void a_retry_holds_its_lane_over_a_restart(void **state) {
  (void)state;
  world w;
  static probe p;
  /* Shortly before the restart: the later event waits. Longer ago: it passes. */
  for (int late = 0; late < 2; late++) {
    fresh();
    memset(&p, 0, sizeof p);
    open_life(&w);
    p.fail_first = 1;
    listen_to(&w, "contact.creation", &p);
    world_start(&w);
    store_one(&w, "[" CREATED(1, 10, 100) "]");
    wait_calls(&w, &p, 1, 10);
    pass(&w, 1);
    assert_int_equal(stats_of(&w).waiting, 1);
    end_life(&w);
    /* Received, not run: the store takes it while nothing dispatches. */
    open_life(&w);
    store_one(&w, "[" CREATED(2, 10, 200) "," CREATED(3, 11, 200) "]");
    end_life(&w);
    if (late) clock_ms += HL_MINUTE;

    memset(&p, 0, sizeof p);
    open_life(&w);
    p.hold = true;
    listen_to(&w, "contact.creation", &p);
    world_start(&w);
    pass(&w, 1);
    if (late) {
      wait_calls(&w, &p, 3, 100); /* the retry is due as well, alone */
    } else {
      wait_calls(&w, &p, 1, 1);
      assert_string_equal(p.objects[0], "11");
      wait_calls(&w, &p, 2, 5000);
      assert_int_equal(p.attempts[1], 2);
      assert_string_equal(p.ids[1], "1.0");
      pass(&w, 10);
      assert_int_equal(p.calls, 2);
      hl_run_finish(p.held[1], HL_RUN_DONE, HL_STR(""));
      wait_calls(&w, &p, 3, 100);
      assert_string_equal(p.ids[2], "2.0");
      hl_run_finish(p.held[0], HL_RUN_DONE, HL_STR(""));
      hl_run_finish(p.held[2], HL_RUN_DONE, HL_STR(""));
      pass(&w, 10);
      assert_int_equal(stats_of(&w).ran, 3);
      assert_int_equal(stats_of(&w).waiting, 0);
    }
    end_life(&w);
  }
}

static void note_time(probe *p, hl_run *run, const hl_event *event) {
  (void)p;
  (void)run;
  assert_string_equal(event->source, "timer");
}

/* An hourly timer, three and a half hours of downtime. */
static void times_that_passed_are_caught_up_as_told(void **state) {
  (void)state;
  static const hl_catchup how[] = {HL_CATCHUP_ONCE, HL_CATCHUP_SKIP, HL_CATCHUP_ALL};
  for (size_t k = 0; k < HL_COUNT(how); k++) {
    world w;
    static probe p;
    fresh();
    int64_t first = clock_ms;
    for (int life = 0; life < 2; life++) {
      memset(&p, 0, sizeof p);
      open_life(&w);
      p.w = &w;
      p.work = note_time;
      hl_schedule_options s = {.every_ms = HL_HOUR, .text = "every 1h", .catchup = how[k]};
      assert_int_equal(hl_engine_schedule(w.e, &s, &(hl_handler_options){.script = "t.lua"}, on_event, &p, NULL, &w.err), 0);
      world_start(&w);
      pass(&w, 1);
      if (life == 0) {
        pass(&w, HL_HOUR);
        assert_int_equal(p.calls, 1);
        pass(&w, 1);
        end_life(&w);
        clock_ms = first + 4 * HL_HOUR + HL_HOUR / 2; /* 2 h, 3 h, 4 h have passed */
      }
    }
    pass(&w, HL_MINUTE);
    assert_int_equal(p.calls, how[k] == HL_CATCHUP_ONCE ? 1 : how[k] == HL_CATCHUP_SKIP ? 0 : 3);
    for (int i = 0; i < p.calls; i++)
      assert_int_equal((p.occurred[i] - first) / HL_HOUR, how[k] == HL_CATCHUP_ONCE ? 4 : 2 + i);
    int before = p.calls;
    pass(&w, HL_HOUR / 2);
    assert_int_equal(p.calls, before + 1); /* and goes on as before */
    assert_int_equal((p.occurred[before] - first) / HL_HOUR, 5);
    end_life(&w);
  }
}

static void a_read_that_fails_is_tried_again(void **state) {
  (void)state;
  world w;
  static probe p;
  fresh();
  open_life(&w);
  store_one(&w, "[" CREATED(1, 1, 1) "," CREATED(2, 2, 1) "]");
  end_life(&w);
  memset(&p, 0, sizeof p);
  open_life(&w);
  p.fail_first = 2;
  listen_to(&w, "contact.creation", &p);
  hl_store_fault(hl_engine_store(w.e), "read", HL_EIO, 7);
  world_start(&w);
  pass(&w, 20);
  assert_int_equal(p.calls, 0);
  wait_calls(&w, &p, 4, HL_MINUTE); /* and nothing else came in that would have woken it */
  pass(&w, 10);
  assert_int_equal(stats_of(&w).ran, 2);
  end_life(&w);
}

/* Rows that came from an earlier schema (store_schema_test.c) do not say when they failed first. */
static void a_retry_of_an_earlier_schema_goes_on(void **state) {
  (void)state;
  world w;
  static probe p;
  fresh();
  memset(&p, 0, sizeof p);
  open_life(&w);
  p.fail_first = 1;
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  store_one(&w, "[" CREATED(1, 10, 100) "]");
  wait_calls(&w, &p, 1, 10);
  pass(&w, 1);
  end_life(&w);
  sqlite3 *db;
  assert_int_equal(sqlite3_open("restart.db", &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "UPDATE parked SET failed=0", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  memset(&p, 0, sizeof p);
  open_life(&w);
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  wait_calls(&w, &p, 1, 5000);
  assert_int_equal(p.attempts[0], 2);
  pass(&w, 10);
  assert_int_equal(stats_of(&w).ran, 1);
  end_life(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_retry_holds_its_lane_over_a_restart),
      cmocka_unit_test(times_that_passed_are_caught_up_as_told),
      cmocka_unit_test(a_read_that_fails_is_tried_again),
      cmocka_unit_test(a_retry_of_an_earlier_schema_goes_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
