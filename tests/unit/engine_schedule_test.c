/* every and cron: what is run after downtime, when the wall clock steps, after a
 * failure, and over restarts in the middle of a run. */
#include <unistd.h>

#include "engine/step.h"
#include "engine_util.h"

static int64_t clock_ms;

static void open_life(world *w) {
  *w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = clock_ms, .seed = 7}, w->log, &w->loop, &w->err), 0);
  world_engine(w, "schedule.db");
}

static void end_life(world *w, bool killed) {
  clock_ms = hl_loop_now(w->loop);
  if (killed) hl_engine_abandon(w->e);
  else hl_engine_free(w->e);
  hl_loop_free(w->loop);
  hl_log_free(w->log);
}

static void fresh(const char *iso) {
  unlink("schedule.db");
  unlink("schedule.db-wal");
  assert_int_equal(hl_time_parse(hl_str_of(iso), &clock_ms, NULL), 0);
}

/* `text`: "every 3600000" in ms, or a cron expression, in Berlin's time. */
static void plan(world *w, const char *text, hl_catchup catchup, unsigned retries, probe *p) {
  hl_cron cron;
  hl_schedule_options s = {.text = text, .catchup = catchup};
  memset(p, 0, sizeof *p);
  p->w = w;
  if (strncmp(text, "every ", 6) == 0) {
    s.every_ms = atoll(text + 6);
  } else {
    assert_int_equal(hl_cron_parse(hl_str_of(text), &cron, &w->err), 0);
    assert_int_equal(hl_tz_load("Europe/Berlin", &s.tz, &w->err), 0);
    s.cron = &cron;
  }
  hl_handler_options o = {.script = "t.lua", .retries = retries};
  assert_int_equal(hl_engine_schedule(w->e, &s, &o, on_event, p, NULL, &w->err), 0);
}

static int64_t ms_of(const char *iso) {
  int64_t ms = 0;
  assert_int_equal(hl_time_parse(hl_str_of(iso), &ms, NULL), 0);
  return ms;
}

static void ran_for(const probe *p, int n, const char *iso) {
  assert_int_equal(p->calls, n);
  char got[25];
  hl_time_iso(p->occurred[n - 1], got);
  if (p->occurred[n - 1] != ms_of(iso)) fail_msg("run %d was for %s, not %s", n, got, iso);
}

/* Until the clock says so. */
static void until(world *w, const char *iso) { pass(w, ms_of(iso) - hl_loop_now(w->loop)); }

/* Three days without a program, daily at nine. */
static void downtime(void **state) {
  (void)state;
  for (hl_catchup how = HL_CATCHUP_ONCE; how <= HL_CATCHUP_ALL; how++) {
    world w;
    static probe p;
    fresh("2026-10-23T06:00:00Z");
    open_life(&w);
    plan(&w, "0 9 * * *", how, 0, &p);
    world_start(&w);
    until(&w, "2026-10-23T10:00:00Z");
    ran_for(&p, 1, "2026-10-23T07:00:00Z");
    end_life(&w, true);
    clock_ms = ms_of("2026-10-26T12:00:00Z"); /* the zone has changed meanwhile */
    open_life(&w);
    plan(&w, "0 9 * * *", how, 0, &p);
    world_start(&w);
    pass(&w, HL_HOUR);
    if (how == HL_CATCHUP_SKIP) {
      assert_int_equal(p.calls, 0);
    } else if (how == HL_CATCHUP_ONCE) {
      ran_for(&p, 1, "2026-10-26T08:00:00Z");
    } else {
      ran_for(&p, 3, "2026-10-26T08:00:00Z");
      assert_int_equal(p.occurred[0], ms_of("2026-10-24T07:00:00Z"));
      assert_int_equal(p.occurred[1], ms_of("2026-10-25T08:00:00Z"));
    }
    int before = p.calls;
    until(&w, "2026-10-27T09:00:00Z");
    ran_for(&p, before + 1, "2026-10-27T08:00:00Z");
    end_life(&w, false);
    /* A second start right after runs nothing. */
    open_life(&w);
    plan(&w, "0 9 * * *", how, 0, &p);
    world_start(&w);
    pass(&w, HL_HOUR);
    assert_int_equal(p.calls, 0);
    end_life(&w, false);
  }
}

/* A year of minutes: what is run is bounded, and nothing is walked for long. */
static void a_long_downtime_is_bounded(void **state) {
  (void)state;
  static const char *const what[] = {"* * * * *", "every 60000"};
  for (size_t k = 0; k < HL_COUNT(what); k++) {
    world w;
    static probe p;
    fresh("2026-01-01T00:00:30Z");
    open_life(&w);
    plan(&w, what[k], HL_CATCHUP_ALL, 0, &p);
    world_start(&w);
    pass(&w, HL_SECOND);
    end_life(&w, false);
    clock_ms = ms_of("2027-01-01T00:00:45Z");
    open_life(&w);
    plan(&w, what[k], HL_CATCHUP_ALL, 0, &p);
    world_start(&w);
    pass(&w, 10);
    assert_int_equal(p.calls, 1000);
    assert_int_equal(p.occurred[999] - p.occurred[0], 999 * HL_MINUTE);
    assert_true(clock_ms - p.occurred[999] < HL_MINUTE);
    end_life(&w, false);
  }
}

/* A run that was cut by a crash goes again for its own time, also with `skip`; what it did not commit is not there. */
static void a_crash_while_it_runs(void **state) {
  (void)state;
  world w;
  static probe p;
  fresh("2026-09-01T06:59:59Z");
  open_life(&w);
  plan(&w, "0 9 * * *", HL_CATCHUP_SKIP, 0, &p);
  p.hold = true;
  world_start(&w);
  pass(&w, 2 * HL_SECOND);
  assert_int_equal(p.calls, 1);
  end_life(&w, true);
  open_life(&w);
  plan(&w, "0 9 * * *", HL_CATCHUP_SKIP, 0, &p);
  world_start(&w);
  pass(&w, HL_SECOND);
  ran_for(&p, 1, "2026-09-01T07:00:00Z");
  end_life(&w, true); /* its completion is committed */
  open_life(&w);
  plan(&w, "0 9 * * *", HL_CATCHUP_SKIP, 0, &p);
  world_start(&w);
  pass(&w, HL_HOUR);
  assert_int_equal(p.calls, 0);
  end_life(&w, false);
}

static void count_step(void *arg, int code) {
  assert_int_equal(code, 0);
  ++*(int *)arg;
}

/* The held run's step "fetch": true when it was stored already. */
static bool fetched(world *w, probe *p) {
  hl_step *step;
  int done = 0;
  if (hl_run_step(p->held[0], HL_STR("fetch"), &step, NULL) == HL_EBUSY) {
    hl_run_steps_load(p->held[0], count_step, &done);
    while (!done) pass(w, 1);
    assert_int_equal(hl_run_step(p->held[0], HL_STR("fetch"), &step, NULL), 0);
  }
  if (hl_step_is(step) == HL_STEP_IS_DONE) return true;
  done = 0;
  hl_step_finish(step, HL_STR("1"), false, count_step, &done);
  while (!done) pass(w, 1);
  return false;
}

/* A run that goes on has its steps; one for a later time has none of them. */
static void steps_belong_to_one_time(void **state) {
  (void)state;
  for (int late = 0; late < 2; late++) {
    world w;
    static probe p;
    fresh("2026-09-01T06:59:59Z");
    for (int life = 0; life < 2; life++) {
      open_life(&w);
      plan(&w, "0 9 * * *", HL_CATCHUP_ONCE, 0, &p);
      p.hold = true;
      world_start(&w);
      pass(&w, 2 * HL_SECOND);
      assert_int_equal(p.calls, 1);
      assert_int_equal(fetched(&w, &p), life == 1 && !late);
      if (life) hl_run_finish(p.held[0], HL_RUN_DONE, HL_STR(""));
      end_life(&w, life == 0);
      if (late) clock_ms += 2 * HL_DAY;
    }
    ran_for(&p, 1, late ? "2026-09-03T07:00:00Z" : "2026-09-01T07:00:00Z");
  }
}

static void the_clock_steps_back(void **state) {
  (void)state;
  world w;
  static probe p, q;
  fresh("2026-09-01T06:00:00Z");
  open_life(&w);
  plan(&w, "0 9 * * *", HL_CATCHUP_ONCE, 0, &p);
  plan(&w, "every 600000", HL_CATCHUP_ONCE, 0, &q);
  world_start(&w);
  until(&w, "2026-09-01T07:05:00Z");
  ran_for(&p, 1, "2026-09-01T07:00:00Z");
  assert_int_equal(q.calls, 6);
  hl_loop_step_wall(w.loop, -HL_HOUR); /* 06:05 */
  pass(&w, 59 * HL_MINUTE);            /* nine comes again, and is not run again */
  assert_int_equal(p.calls, 1);
  assert_in_range(q.calls, 11, 12);    /* an interval goes on */
  until(&w, "2026-09-02T07:30:00Z");
  ran_for(&p, 2, "2026-09-02T07:00:00Z");
  hl_loop_step_wall(w.loop, -30 * HL_HOUR); /* the clock was wrong: 2026-09-01T01:30 */
  until(&w, "2026-09-01T07:30:00Z");
  ran_for(&p, 3, "2026-09-01T07:00:00Z");
  end_life(&w, false);
  /* The same over a restart. */
  clock_ms = ms_of("2026-09-01T06:45:00Z");
  open_life(&w);
  plan(&w, "0 9 * * *", HL_CATCHUP_ONCE, 0, &p);
  plan(&w, "every 600000", HL_CATCHUP_ONCE, 0, &q);
  world_start(&w);
  until(&w, "2026-09-01T08:00:00Z");
  assert_int_equal(p.calls, 0);
  assert_in_range(q.calls, 7, 8);
  end_life(&w, false);
}

static void the_clock_steps_forward(void **state) {
  (void)state;
  for (hl_catchup how = HL_CATCHUP_ONCE; how <= HL_CATCHUP_ALL; how++) {
    world w;
    static probe p;
    fresh("2026-09-01T06:30:00Z");
    open_life(&w);
    plan(&w, "0 * * * *", how, 0, &p);
    world_start(&w);
    pass(&w, HL_MINUTE);
    hl_loop_step_wall(w.loop, 5 * HL_HOUR); /* 11:31: seven to eleven have passed */
    pass(&w, HL_SECOND);
    assert_int_equal(p.calls, how == HL_CATCHUP_ONCE ? 1 : how == HL_CATCHUP_SKIP ? 0 : 5);
    if (p.calls) ran_for(&p, p.calls, "2026-09-01T11:00:00Z");
    int before = p.calls;
    until(&w, "2026-09-01T12:00:01Z");
    ran_for(&p, before + 1, "2026-09-01T12:00:00Z");
    end_life(&w, false);
  }
}

static void a_failed_run_is_tried_again_until_its_next_time(void **state) {
  (void)state;
  world w;
  static probe p;
  fresh("2026-09-01T06:30:00Z");
  open_life(&w);
  plan(&w, "0 * * * *", HL_CATCHUP_ONCE, 2, &p);
  p.fail_first = 1;
  world_start(&w);
  until(&w, "2026-09-01T07:30:00Z");
  ran_for(&p, 2, "2026-09-01T07:00:00Z");
  assert_int_equal(p.attempts[1], 2);
  p.fail_first = 3;
  until(&w, "2026-09-01T08:30:00Z");
  ran_for(&p, 5, "2026-09-01T08:00:00Z"); /* one and two more, and given up */
  assert_int_equal(p.attempts[4], 3);
  until(&w, "2026-09-01T09:30:00Z");
  ran_for(&p, 6, "2026-09-01T09:00:00Z");
  assert_int_equal(p.attempts[5], 1);
  end_life(&w, false);
  /* By the second, there is no time for a second try. */
  fresh("2026-09-01T06:30:00Z");
  open_life(&w);
  plan(&w, "every 1000", HL_CATCHUP_ONCE, 50, &p);
  p.fail_first = 10;
  world_start(&w);
  pass(&w, 9999);
  for (int i = 1; i < p.calls; i++) assert_true(p.occurred[i] >= p.occurred[i - 1]);
  assert_int_equal(p.occurred[p.calls - 1] - clock_ms, 9 * HL_SECOND);
  end_life(&w, false);
}

static void later(probe *p, hl_run *run, const hl_event *event) {
  (void)event;
  assert_int_equal(hl_run_emit(run, "later", HL_STR("{}"), 1000, NULL, NULL, &p->w->err), 0);
}

static void note_lateness(probe *p, hl_run *run, const hl_event *event) {
  (void)run;
  *(int64_t *)p->arg = hl_loop_now(p->w->loop) - event->occurred_at;
}

/* It is in the log before, so that nothing is left to do at its time; a crash in between changes nothing. */
static void a_delayed_event_comes_when_it_is_due(void **state) {
  (void)state;
  for (int killed = 0; killed < 2; killed++) {
    world w;
    static probe p, q;
    int64_t late = -1;
    fresh("2026-09-01T06:00:00Z");
    for (int life = 0; life <= killed; life++) {
      memset(&p, 0, sizeof p);
      memset(&q, 0, sizeof q);
      p.work = later;
      q.work = note_lateness;
      q.arg = &late;
      open_life(&w);
      listen_to(&w, "contact.creation", &p);
      listen_with(&w, "later", true, (hl_handler_options){.script = "t.lua"}, &q);
      world_start(&w);
      if (life == 0) {
        answer a = {0};
        receive(&w, "[" CREATED(1, 10, 100) "]", &a);
        until(&w, "2026-09-01T06:00:00.700Z");
        assert_int_equal(stats_of(&w).waiting, 1);
        until(&w, "2026-09-01T06:00:00.990Z");
        assert_int_equal(stats_of(&w).waiting, 0);
        assert_int_equal(stats_of(&w).pending, 1);
        assert_int_equal(q.calls, 0);
        if (killed) end_life(&w, true);
      }
    }
    until(&w, "2026-09-01T06:00:00.998Z");
    assert_int_equal(q.calls, 0);
    until(&w, "2026-09-01T06:00:01.100Z");
    assert_int_equal(q.calls, 1);
    assert_int_equal(late, 0);
    assert_int_equal(stats_of(&w).ran, 2);
    end_life(&w, false);
  }
}

/* Its time comes while the commit that holds it waits behind another one. */
static void a_short_delay_behind_a_slow_commit(void **state) {
  (void)state;
  world w;
  static probe p, q;
  memset(&p, 0, sizeof p);
  memset(&q, 0, sizeof q);
  world_loop(&w, true);
  world_engine(&w, NULL);
  p.hold = true;
  listen_to(&w, "contact.creation", &p);
  listen_with(&w, "later", true, (hl_handler_options){.script = "t.lua"}, &q);
  world_start(&w);
  assert_int_equal(received(&w, "[" CREATED(1, 10, 100) "]").code, 0);
  pass(&w, 1);
  hl_store_fault(hl_engine_store(w.e), "pause", 0, 1);
  answer a = {0};
  receive(&w, "[" CREATED(2, 11, 100) "]", &a);
  pass(&w, 1);
  assert_int_equal(hl_run_emit(p.held[0], "later", HL_STR("{}"), 5, NULL, NULL, &w.err), 0);
  hl_run_finish(p.held[0], HL_RUN_DONE, HL_STR(""));
  pass(&w, 10);
  hl_store_fault(hl_engine_store(w.e), "pause", 0, 0);
  pass(&w, 10);
  assert_int_equal(q.calls, 1);
  hl_run_finish(p.held[1], HL_RUN_DONE, HL_STR(""));
  world_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(downtime), cmocka_unit_test(a_long_downtime_is_bounded), cmocka_unit_test(a_crash_while_it_runs),
      cmocka_unit_test(steps_belong_to_one_time), cmocka_unit_test(the_clock_steps_back), cmocka_unit_test(the_clock_steps_forward),
      cmocka_unit_test(a_failed_run_is_tried_again_until_its_next_time), cmocka_unit_test(a_delayed_event_comes_when_it_is_due),
      cmocka_unit_test(a_short_delay_behind_a_slow_commit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
