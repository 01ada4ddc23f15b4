/* Waiting handlers at the engine's door: what ends a wait, over restarts. */
#include <sqlite3.h>
#include <stdlib.h>

#include "wait_script.h"

/* Rows of a table, while nobody has the file open. */
static int rows_in(const char *table) {
  sqlite3 *db;
  sqlite3_stmt *st;
  char sql[64];
  snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
  assert_int_equal(sqlite3_open("waits.db", &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(st), SQLITE_ROW);
  int n = sqlite3_column_int(st, 0);
  sqlite3_finalize(st);
  sqlite3_close(db);
  return n;
}

static void nothing_is_left(void) {
  assert_int_equal(rows_in("wait"), 0);
  assert_int_equal(rows_in("step"), 0);
  assert_int_equal(rows_in("parked"), 0);
}

/* Killed at each step of the way: before the wait, while it waits, behind the event, behind the run. */
static void a_wait_survives(void **state) {
  (void)state;
  for (int kill_after = 0; kill_after < 24; kill_after += 2) {
    world w;
    script s = wait_script();
    fresh();
    begin_life(&w, &s);
    put(&w, "[" CREATED(1, 10, 100) "]");
    for (int i = 0; i < kill_after; i++) pass(&w, i < 16 ? 0 : 1);
    kill_life(&w);

    begin_life(&w, &s);
    calm(&w);
    assert_int_equal(stats_of(&w).waiting, 1);
    assert_int_equal(s.finished, 0);
    int runs = s.runs;
    put(&w, "[" CHANGED(7, 16, "no") "," CHANGED(8, 17, "yes") "]");
    for (int i = 0; i < kill_after; i++) pass(&w, i < 16 ? 0 : 1);
    kill_life(&w);

    begin_life(&w, &s);
    calm(&w);
    assert_true(s.finished == 1 || s.finished == 2); /* 2: cut in the gap before its commit */
    assert_in_range(s.runs, runs, runs + 2);
    assert_string_equal(s.results[1], "17 yes");
    assert_int_equal(s.attempt, 1);
    assert_int_equal(s.done[0] > 1, 0); /* its commit was answered once at most */
    hl_engine_stats st = stats_of(&w);
    assert_int_equal(st.waiting, 0);
    assert_int_equal(st.dead, 0);
    assert_int_equal(st.unhandled, 2);
    assert_int_equal(st.ran, st.acknowledged - 2);
    /* Each action has committed what was before it, once. */
    assert_int_equal(st.ran, 1 + 3);
    end_life(&w);
    nothing_is_left();
  }
}

static void its_time_passes_while_nothing_runs(void **state) {
  (void)state;
  world w;
  script s = wait_script();
  fresh();
  begin_life(&w, &s);
  put(&w, "[" CREATED(1, 10, 100) "]");
  calm(&w);
  int64_t began = clock_ms;
  end_life(&w);
  clock_ms = began + 3 * HL_DAY - 2000;
  begin_life(&w, &s);
  calm(&w);
  assert_int_equal(s.runs, 1);
  pass(&w, 3000);
  calm(&w);
  assert_int_equal(s.runs, 2);
  assert_int_equal(s.finished, 1);
  assert_string_equal(s.results[1], "nothing");
  end_life(&w);
  nothing_is_left();
}

/* What is received before anybody listens, in a life that never starts. */
static void an_event_of_the_night_ends_it(void **state) {
  (void)state;
  world w;
  script s = wait_script();
  fresh();
  begin_life(&w, &s);
  put(&w, "[" CREATED(1, 10, 100) "]");
  calm(&w);
  end_life(&w);
  open_life(&w);
  put(&w, "[" CHANGED(8, 17, "yes") "]");
  kill_life(&w);
  begin_life(&w, &s);
  calm(&w);
  assert_int_equal(s.finished, 1);
  assert_string_equal(s.results[1], "17 yes");
  end_life(&w);
  nothing_is_left();
}

/* The handler is away when the event comes; its result is there when it is back. */
static void without_its_handler_it_is_ended_all_the_same(void **state) {
  (void)state;
  world w;
  script s = wait_script();
  fresh();
  begin_life(&w, &s);
  put(&w, "[" CREATED(1, 10, 100) "]");
  calm(&w);
  end_life(&w);
  open_life(&w);
  world_start(&w);
  put(&w, "[" CHANGED(8, 17, "yes") "]");
  calm(&w);
  assert_int_equal(stats_of(&w).orphaned, 1);
  end_life(&w);
  begin_life(&w, &s);
  calm(&w);
  assert_int_equal(s.finished, 1);
  assert_string_equal(s.results[1], "17 yes");
  end_life(&w);
  nothing_is_left();
}

/* Before the wait: in the log, in the order of the log, also what is done already, but no duplicates. */
static void what_came_before_is_looked_up(void **state) {
  (void)state;
  for (int killed = 0; killed < 3; killed++) {
    world w;
    script s = wait_script();
    script other = {.n = 0};
    s.actions[2] = (action)WAIT("next", "deal.propertyChange", DEAL(17), HL_DAY);
    s.stops = true;
    s.stop_at = 1;
    fresh();
    open_life(&w);
    listen_script(&w, &s);
    other.w = &w;
    hl_handler_options o = {.script = "other.lua"};
    assert_int_equal(hl_engine_on(w.e, "deal.propertyChange", false, &o, on_script, &other, NULL, &w.err), 0);
    world_start(&w);
    put(&w, "[" CHANGED(5, 17, "before") "]");
    put(&w, "[" CHANGED(6, 17, "same body, before") "," CREATED(1, 10, 100) "," CHANGED(7, 18, "other") "]");
    some_time(&w);
    put(&w, "[" CHANGED(5, 17, "before") "," CHANGED(8, 17, "one") "]");
    for (int i = 0; i < 600; i++) { /* more rows than one read gives */
      char body[300];
      snprintf(body, sizeof body, "[{\"subscriptionType\":\"deal.propertyChange\",\"eventId\":%d,\"objectId\":99,\"occurredAt\":7}]", 1000 + i);
      hl_engine_receive(w.e, "push", "main", hl_str_of(body), NULL, NULL);
    }
    put(&w, "[" CHANGED(9, 17, "two") "]");
    some_time(&w);
    assert_int_equal(stats_of(&w).ran, stats_of(&w).acknowledged - 2); /* but the duplicate, and the one that is held */
    assert_int_equal(s.runs, 1);
    kill_life(&w); /* its run is cut */
    s.stops = false;
    begin_life(&w, &s);
    if (killed) {
      for (int i = 0; i < 5 * killed; i++) pass(&w, 0);
      kill_life(&w);
      begin_life(&w, &s);
    }
    calm(&w);
    assert_int_equal(s.finished, 1);
    assert_string_equal(s.results[1], "17 one");
    assert_string_equal(s.results[2], "17 two");
    end_life(&w);
    nothing_is_left();
  }
}

/* While the log is looked through: the earliest one counts, not the one that comes meanwhile. */
static void the_earliest_event_ends_it(void **state) {
  (void)state;
  world w;
  script s = wait_script();
  s.stops = true;
  s.stop_at = 1;
  fresh();
  begin_life(&w, &s);
  put(&w, "[" CREATED(1, 10, 100) "]");
  some_time(&w);
  put(&w, "[" CHANGED(8, 17, "one") "]");
  some_time(&w);
  kill_life(&w);
  s.stops = false;
  begin_life(&w, &s);
  /* Two events come in each phase of the new run. */
  for (int i = 0; i < 30; i++) {
    char body[300];
    snprintf(body, sizeof body, "[{\"subscriptionType\":\"deal.propertyChange\",\"eventId\":%d,\"objectId\":17,\"occurredAt\":7,"
             "\"propertyValue\":\"late\"}]", 1000 + i);
    hl_engine_receive(w.e, "push", "main", hl_str_of(body), NULL, NULL);
    pass(&w, 0);
  }
  calm(&w);
  assert_int_equal(s.finished, 1);
  assert_string_equal(s.results[1], "17 one");
  end_life(&w);
  nothing_is_left();
}

/* Neither when its event is in the log before the wait, nor when it comes behind it; in another life, too. */
static void own_writes_do_not_end_it(void **state) {
  (void)state;
  for (int before = 0; before < 2; before++) {
    world w;
    script s = wait_script();
    s.writes = true;
    fresh();
    begin_life(&w, &s);
    if (before) {
      put(&w, "[" CREATED(1, 10, 100) "," CHANGED(7, 17, "ours") "]");
    } else {
      put(&w, "[" CREATED(1, 10, 100) "]");
      calm(&w);
      kill_life(&w);
      begin_life(&w, &s);
      put(&w, "[" CHANGED(7, 17, "ours") "]");
    }
    calm(&w);
    assert_int_equal(s.runs, 1);
    assert_int_equal(stats_of(&w).waiting, 1);
    put(&w, "[" CHANGED(8, 17, "theirs") "]");
    calm(&w);
    assert_string_equal(s.results[1], "17 theirs");
    assert_int_equal(s.finished, 1);
    end_life(&w);
    nothing_is_left();
  }
}

/* Nor what a step has written, however many lives ago: its write is not made again, and its event may be in the log. */
static void nor_do_those_of_a_step(void **state) {
  (void)state;
  for (int turn = 0; turn < 4; turn++) {
    world w;
    script s = wait_script();
    bool late = turn % 2 == 1;
    if (turn < 2) s.step_writes = true;
    else s.write_kept = true;
    s.actions[1] = (action)WAIT("cool", NULL, NULL, late ? 2 * HL_DAY : HL_MINUTE);
    s.actions[2] = (action)WAIT("signed", "deal.propertyChange", DEAL(17), HL_DAY);
    fresh();
    begin_life(&w, &s);
    put(&w, "[" CREATED(1, 10, 100) "]");
    calm(&w);
    put(&w, "[" CHANGED(7, 17, "ours") "]");
    kill_life(&w);
    if (s.write_kept) { /* the step is done in a later life than its write */
      begin_life(&w, &s);
      pass(&w, 20000);
      calm(&w);
      assert_int_equal(s.done[0], 1);
      kill_life(&w);
    }
    begin_life(&w, &s);
    pass(&w, (late ? 2 * HL_DAY : HL_MINUTE) + 1000);
    calm(&w);
    assert_int_equal(stats_of(&w).waiting, 1);
    assert_int_equal(s.finished, 0);
    put(&w, "[" CHANGED(8, 17, "ours") "," CHANGED(9, 17, "theirs") "]");
    calm(&w);
    assert_string_equal(s.results[2], late ? "17 ours" : "17 theirs");
    assert_int_equal(s.finished, 1);
    end_life(&w);
    nothing_is_left();
  }
}

/* A step that was cut behind its write has its place where the attempt that ends it asks for it. */
static void a_step_that_was_cut_has_its_place(void **state) {
  (void)state;
  for (int turn = 0; turn < 4; turn++) {
    world w;
    script s = wait_script();
    script two = {.actions = {STEP("a"), STEP("b"), WAIT("signed", "deal.propertyChange", DEAL(17), HL_DAY)}, .n = 3, .fail_at = -1};
    memcpy(s.actions, two.actions, sizeof s.actions);
    s.write_kept = true;
    s.kept_at = 1;
    fresh();
    begin_life(&w, &s);
    put(&w, "[" CREATED(1, 10, 100) "]");
    some_time(&w);
    assert_int_equal(s.runs, 1);
    if (turn % 2) { /* in another life */
      kill_life(&w);
      begin_life(&w, &s);
    }
    if (turn / 2) { /* behind a step that the first attempt did not come to */
      s.actions[1] = (action)STEP("between");
      s.actions[2] = two.actions[1];
      s.actions[3] = two.actions[2];
      s.n = 4;
      s.kept_at = 2;
    }
    pass(&w, HL_MINUTE);
    calm(&w);
    assert_int_equal(stats_of(&w).waiting, 1);
    put(&w, "[" CHANGED(8, 17, "theirs") "]");
    calm(&w);
    assert_int_equal(stats_of(&w).dead, 0);
    assert_int_equal(s.finished, 1);
    end_life(&w);
    nothing_is_left();
  }
}

/* The body that is refused ends nothing; when it comes again, it does. */
static void what_is_not_committed_ends_nothing(void **state) {
  (void)state;
  world w;
  script s = wait_script();
  fresh();
  begin_life(&w, &s);
  put(&w, "[" CREATED(1, 10, 100) "]");
  calm(&w);
  hl_store_fault(hl_engine_store(w.e), "commit", HL_EFULL, 1);
  assert_int_equal(put(&w, "[" CHANGED(8, 17, "yes") "]").code, HL_EFULL);
  pass(&w, 10000);
  calm(&w);
  assert_int_equal(s.runs, 1);
  assert_int_equal(stats_of(&w).waiting, 1);
  assert_int_equal(put(&w, "[" CHANGED(8, 17, "yes") "]").accepted, 1);
  calm(&w);
  assert_int_equal(s.finished, 1);
  end_life(&w);
  nothing_is_left();
}

static void a_read_that_fails_is_tried_again(void **state) {
  (void)state;
  world w;
  script s = wait_script();
  fresh();
  begin_life(&w, &s);
  hl_store_fault(hl_engine_store(w.e), "read", HL_EIO, 7);
  put(&w, "[" CREATED(1, 10, 100) "," CHANGED(8, 17, "yes") "]");
  for (int i = 0; i < 600 && !s.finished; i++) pass(&w, 1000);
  assert_int_equal(s.finished, 1);
  assert_string_equal(s.results[1], "17 yes");
  end_life(&w);
}

/* The time passes and the event comes in one moment: one of them, and the same for ever. */
static void the_store_decides_at_the_last_moment(void **state) {
  (void)state;
  int events = 0, times = 0;
  for (int k = 0; k < 28; k++) {
    world w;
    script s = wait_script();
    s.fail_at = 2;
    s.fail_times = 2;
    fresh();
    begin_life(&w, &s);
    put(&w, "[" CREATED(1, 10, 100) "]");
    calm(&w);
    answer a = {0};
    bool timed = k >= 14;
    int turns = k % 14 * 2;
    if (timed) pass(&w, 3 * HL_DAY - 15);
    for (int i = 0; i < turns; i++) pass(&w, timed ? 1 : 0);
    if (!timed) pass(&w, 3 * HL_DAY - 10);
    receive(&w, "[" CHANGED(8, 17, "yes") "]", &a);
    for (int i = 0; i < turns; i++) pass(&w, 1);
    char before[200] = "";
    for (int i = 0; i < 1000 && !s.finished; i++) {
      pass(&w, 1000);
      if (s.results[1][0] && before[0]) assert_string_equal(s.results[1], before);
      snprintf(before, sizeof before, "%s", s.results[1]);
    }
    assert_int_equal(s.finished, 1);
    if (strcmp(s.results[1], "nothing") == 0) times++;
    else events++;
    assert_int_equal(s.done[2], 1);
    end_life(&w);
    nothing_is_left();
  }
  assert_true(events > 0 && times > 0);
}

static void put_many(world *w, int n) {
  for (int i = 0; i < n; i += 100) {
    hl_buf b;
    hl_buf_init(&b, 1 << 20);
    for (int k = i; k < i + 100; k++)
      hl_buf_printf(&b, "%c{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":5}", k == i ? '[' : ',', k + 1, k);
    hl_buf_puts(&b, "]");
    put(w, b.p);
    hl_buf_deinit(&b);
  }
}

/* More than one transaction should end at once: the rest follows. */
static void one_event_ends_thousands(void **state) {
  (void)state;
  enum { N = 2500 };
  world w;
  script s = wait_script();
  fresh();
  s.n = 2;
  s.actions[1] = (action)WAIT("all", "deal.propertyChange", NULL, 0);
  begin_life(&w, &s);
  put_many(&w, N);
  calm(&w);
  assert_int_equal(stats_of(&w).waiting, N);
  end_life(&w);
  for (int life = 0; life < 2; life++) {
    begin_life(&w, &s);
    if (life == 0) put(&w, "[" CHANGED(9000, 17, "yes") "]");
    if (life == 0) kill_life(&w);
  }
  calm(&w);
  assert_int_equal(stats_of(&w).waiting, 0);
  assert_int_equal(stats_of(&w).dead, 0);
  assert_true(s.finished >= N);
  assert_string_equal(s.results[1], "17 yes");
  end_life(&w);
  nothing_is_left();
}

/* They are read as others finish. */
static void more_is_due_than_memory_takes(void **state) {
  (void)state;
  enum { N = 6000 };
  world w;
  script s = wait_script();
  fresh();
  s.n = 2;
  s.actions[0] = (action)WAIT("a while", NULL, NULL, HL_HOUR);
  s.actions[1] = (action)STEP("b");
  begin_life(&w, &s);
  put_many(&w, N);
  calm(&w);
  assert_int_equal(stats_of(&w).waiting, N);
  s.stops = true;
  s.stop_at = 1;
  pass(&w, HL_HOUR);
  for (int i = 0; i < 2000; i++) pass(&w, 1);
  assert_int_equal(s.runs, N + 50); /* as many as may run at once */
  s.stops = false;
  let_go();
  for (int i = 0; i < 20000 && s.finished < N; i++) pass(&w, 1);
  assert_int_equal(s.finished, N);
  calm(&w);
  end_life(&w);
  nothing_is_left();
}

/* A wait that began after the event that ended others is not ended by it. */
static void an_event_counts_for_what_began_before(void **state) {
  (void)state;
  world w;
  script s = wait_script();
  fresh();
  begin_life(&w, &s);
  put(&w, "[" CREATED(1, 10, 100) "]");
  calm(&w);
  put(&w, "[" CHANGED(8, 17, "yes") "," CREATED(2, 11, 200) "]");
  calm(&w);
  assert_int_equal(s.finished, 1);
  assert_int_equal(stats_of(&w).waiting, 1);
  put(&w, "[" CREATED(3, 12, 300) "," CHANGED(9, 17, "again") "]");
  calm(&w);
  assert_int_equal(s.finished, 3);
  assert_string_equal(s.results[1], "17 again");
  end_life(&w);
  nothing_is_left();
}

/* Another account's events are not this one's. */
static void accounts_are_kept_apart(void **state) {
  (void)state;
  world w;
  script s = wait_script();
  fresh();
  begin_life(&w, &s);
  put(&w, "[" CREATED(1, 10, 100) "]");
  calm(&w);
  hl_engine_receive(w.e, "push", "shop", HL_STR("[" CHANGED(8, 17, "theirs") "]"), NULL, NULL);
  calm(&w);
  assert_int_equal(s.finished, 0);
  put(&w, "[" CHANGED(9, 17, "ours") "]");
  calm(&w);
  assert_string_equal(s.results[1], "17 ours");
  end_life(&w);
}

/* A retry before the wait counts its attempts; the wait none, and it holds no lane over a restart. */
static void attempts_and_lanes(void **state) {
  (void)state;
  world w;
  script s = wait_script();
  s.fail_at = 1;
  s.fail_times = 2;
  fresh();
  begin_life(&w, &s);
  put(&w, "[" CREATED(1, 10, 100) "]");
  for (int i = 0; i < 100 && s.runs < 3; i++) pass(&w, 100);
  calm(&w);
  assert_int_equal(s.attempt, 3);
  assert_int_equal(stats_of(&w).retried, 2);
  kill_life(&w);
  begin_life(&w, &s);
  pass(&w, 1);
  put(&w, "[" CREATED(2, 10, 200) "]"); /* of the same object */
  calm(&w);
  assert_int_equal(s.runs, 4);
  put(&w, "[" CHANGED(8, 17, "yes") "]");
  calm(&w);
  assert_int_equal(s.runs, 6);
  assert_int_equal(s.finished, 2);
  assert_int_equal(s.done[0], 2);
  assert_int_equal(stats_of(&w).waiting, 0);
  end_life(&w);
  nothing_is_left();
}

/* The filter is read anew now and then, while waits begin and end. */
static void the_filter_is_read_anew(void **state) {
  (void)state;
  enum { N = 48 };
  world w;
  script s = wait_script();
  fresh();
  wait_spare = 6;
  s.n = 2;
  begin_life(&w, &s);
  int finished = 0;
  for (int i = 0; i < N; i++) {
    char body[300];
    static char match[40];
    snprintf(match, sizeof match, "{\"objectId\":%d}", i);
    s.actions[1] = (action)WAIT("signed", "deal.propertyChange", match, HL_DAY);
    snprintf(body, sizeof body, "[{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":5}]", 2 * i, i);
    put(&w, body);
    for (int k = 0; k < i % 7; k++) pass(&w, 0);
    if (i % 7 == 6) calm(&w);
    else for (int k = 0; k < 12; k++) pass(&w, 0);
  }
  calm(&w);
  for (int i = 0; i < N; i++) {
    char body[300];
    snprintf(body, sizeof body, "[{\"subscriptionType\":\"deal.propertyChange\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":5}]", 2 * i + 1, i);
    put(&w, body);
    calm(&w);
    finished += 1;
    assert_int_equal(s.finished, finished);
  }
  end_life(&w);
  nothing_is_left();
}

/* ---- code that changed ---- */

static char reason[400];
static void note_alert(probe *p, hl_run *run, const hl_event *event) {
  (void)p;
  (void)run;
  snprintf(reason, sizeof reason, "%s", hl_json_str(hl_json_get(event->json, "payload"), "text", ""));
}

static void park_with(const action *actions, int n, const char *why) {
  world w;
  static probe alerts;
  script s = wait_script();
  memset(&alerts, 0, sizeof alerts);
  reason[0] = 0;
  fresh();
  s.actions[2] = (action)STEP("b");
  s.actions[3] = (action)WAIT("paid", "deal.propertyChange", DEAL(18), HL_DAY);
  s.actions[4] = (action)STEP("c");
  s.n = 5;
  begin_life(&w, &s);
  put(&w, "[" CREATED(1, 10, 100) "]");
  calm(&w);
  put(&w, "[" CHANGED(8, 17, "yes") "]");
  calm(&w);
  assert_int_equal(stats_of(&w).waiting, 1);
  end_life(&w);

  script changed = wait_script();
  for (int i = 0; i < n; i++) changed.actions[i] = actions[i];
  changed.n = n;
  open_life(&w);
  listen_script(&w, &changed);
  alerts.work = note_alert;
  alerts.w = &w;
  assert_int_equal(hl_engine_on(w.e, HL_ALERT_TYPE, true, &(hl_handler_options){.script = "ops.lua"}, on_event, &alerts, NULL, &w.err), 0);
  world_start(&w);
  calm(&w);
  assert_int_equal(changed.runs, 0); /* it waits on */
  put(&w, "[" CHANGED(9, 18, "yes") "]");
  calm(&w);
  if (!why) {
    assert_int_equal(changed.finished, 1);
  } else {
    assert_int_equal(stats_of(&w).dead, 1);
    if (!strstr(reason, why) || !strstr(reason, "its stored steps no longer fit: ")) fail_msg("“%s” is not in “%s”", why, reason);
  }
  end_life(&w);
  if (!why) {
    nothing_is_left();
    return;
  }
  /* The old code goes on with it, once somebody puts it back. */
  begin_life(&w, &s);
  hl_engine_settle_uncertain(w.e, 1, true);
  calm(&w);
  assert_int_equal(s.finished, 1);
  assert_string_equal(s.results[3], "18 yes");
  assert_int_equal(s.done[0], 1);
  assert_int_equal(s.done[2], 1);
  end_life(&w);
  nothing_is_left();
}

#define SIGNED WAIT("signed", "deal.propertyChange", DEAL(17), HL_DAY)
#define PAID WAIT("paid", "deal.propertyChange", DEAL(18), HL_DAY)

static void code_that_no_longer_fits(void **state) {
  (void)state;
  park_with((action[]){STEP("a"), SIGNED, STEP("b"), PAID, STEP("c"), STEP("d")}, 6, NULL);
  park_with((action[]){STEP("a"), SIGNED, PAID, STEP("c")}, 4, NULL); /* a step that is not needed any more */
  park_with((action[]){STEP("a2"), SIGNED, STEP("b"), PAID}, 4, "the code asks for “a2” where the wait “signed” was");
  park_with((action[]){STEP("a"), WAIT("signed by all", "deal.propertyChange", DEAL(17), HL_DAY), STEP("b"), PAID}, 4,
            "the code asks for “signed by all” where the wait “signed” was");
  park_with((action[]){STEP("a"), STEP("b"), SIGNED, PAID}, 4, "the code asks for “b” where the wait “signed” was");
  park_with((action[]){SIGNED, STEP("a"), STEP("b"), PAID}, 4, "the code asks for “a” behind “signed”, and it was before");
  park_with((action[]){STEP("a"), STEP("b"), PAID}, 3, "the code asks for “b” where the wait “signed” was");
  park_with((action[]){STEP("a"), SIGNED, STEP("b"), STEP("paid")}, 4, "“paid” was a wait, and the code has a step of that name now");
  park_with((action[]){WAIT("a", NULL, NULL, 5), SIGNED, STEP("b"), PAID}, 4, "“a” was a step, and the code has a wait of that name now");
  park_with((action[]){STEP("a"), SIGNED, STEP("b")}, 3, "the code ends without the wait “paid”");
  park_with(NULL, 0, "it has waited, and the code has no step and no wait any more");
}

/* ---- random lives ---- */

/* Events whose handlers have steps, waits for signals, and failures; killed at random instants. */
enum { EVENTS = 24, LIVES = 20, PLAN = 6 };
typedef struct random_handler {
  world *w;
  hl_rng r;
  char plan[EVENTS][PLAN + 1];     /* s: a step, e: a wait for an event, t: for a time */
  char seen[EVENTS][PLAN][64];     /* what a step or wait has said, once its commit was answered or it was read back */
  int finished[EVENTS];
} random_handler;

typedef struct random_act {
  random_handler *h;
  hl_run *run;
  hl_step *step;
  int event, at;
  struct random_act *next;
} random_act;
static random_act *acts;

static void random_go(random_act *a);
static void random_ready(void *arg, int code) {
  assert_int_equal(code, 0);
  random_go(arg);
}

static void random_end(random_act *a, hl_outcome outcome) {
  random_act **p = &acts;
  hl_run *run = a->run;
  while (*p != a) p = &(*p)->next;
  *p = a->next;
  if (outcome == HL_RUN_DONE && !hl_run_is_over(run)) a->h->finished[a->event]++;
  hl_free(a);
  hl_run_finish(run, outcome, HL_STR("dice"));
}

/* The same for ever. */
static void random_see(random_act *a, const char *what) {
  char *seen = a->h->seen[a->event][a->at];
  if (*seen) assert_string_equal(seen, what);
  snprintf(seen, sizeof a->h->seen[0][0], "%s", what);
}

static void random_go(random_act *a) {
  random_handler *h = a->h;
  for (; h->plan[a->event][a->at]; a->at++, a->step = NULL) {
    char kind = h->plan[a->event][a->at], name[16], text[64];
    if (!a->step) {
      hl_error err;
      cJSON *match = NULL;
      if (hl_rng_below(&h->r, 15) == 0) {
        random_end(a, HL_RUN_FAILED);
        return;
      }
      snprintf(name, sizeof name, "%c%d", kind, a->at);
      snprintf(text, sizeof text, "{\"objectId\":%d}", a->event * PLAN + a->at);
      assert_int_equal(hl_json_parse(hl_str_of(text), &match, &err), 0);
      hl_wait_for what = {kind == 'e' ? "signal" : NULL, kind == 'e' ? match : NULL,
                          kind == 'e' && a->event % 2 ? HL_WAIT_FOREVER : hl_loop_now(h->w->loop) + 20000};
      int rc = kind == 's' ? hl_run_step(a->run, hl_str_of(name), &a->step, &err) : hl_run_wait(a->run, hl_str_of(name), &what, &a->step, &err);
      cJSON_Delete(match);
      if (rc == HL_EBUSY) {
        hl_run_steps_load(a->run, random_ready, a);
        return;
      }
      assert_int_equal(rc, 0);
    }
    if (kind == 's' && hl_step_active(a->step)) {
      assert_int_equal(h->seen[a->event][a->at][0], 0); /* never again */
      int n = snprintf(text, sizeof text, "%llu", (unsigned long long)hl_rng_next(&h->r));
      hl_step_finish(a->step, (hl_str){text, (size_t)n}, false, random_ready, a);
      return;
    }
    if (kind == 's') {
      hl_str r = hl_step_result(a->step);
      snprintf(text, sizeof text, HL_STR_FMT, HL_STR_ARG(r));
      random_see(a, text);
      continue;
    }
    hl_wait_state is = hl_wait_is(a->step);
    if (is == HL_WAIT_DUE) {
      hl_wait_settle(a->step, random_ready, a);
      return;
    }
    if (is == HL_WAIT_BEGINS) {
      assert_int_equal(h->seen[a->event][a->at][0], 0); /* what is over stays so */
      hl_wait_end(a->step);
      random_end(a, HL_RUN_CUT);
      return;
    }
    hl_wait_event event;
    if (hl_wait_result(a->step, &event)) {
      snprintf(text, sizeof text, "%s", event.event.id);
      char object[16];
      snprintf(object, sizeof object, "%d", a->event * PLAN + a->at);
      assert_string_equal(event.event.object_id, object);
      hl_wait_event_deinit(&event);
      random_see(a, text);
    } else {
      assert_true(kind == 't' || a->event % 2 == 0);
      random_see(a, "nothing");
    }
  }
  random_end(a, HL_RUN_DONE);
}

static void random_run(void *arg, hl_run *run, const hl_event *event) {
  random_handler *h = arg;
  random_act *a = HL_NEW(random_act);
  *a = (random_act){.h = h, .run = run, .event = (int)hl_json_int(event->json, "eventId", 0), .next = acts};
  acts = a;
  random_go(a);
}

/* A signal that somebody may wait for, now or later. */
static void signal_one(random_handler *h, int event, int at) {
  char body[200];
  static int n;
  snprintf(body, sizeof body, "[{\"subscriptionType\":\"signal\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":%d}]", 100000 + n, event * PLAN + at, n);
  n++;
  hl_engine_receive(h->w->e, "push", "main", hl_str_of(body), NULL, NULL);
}

static void random_lives(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= (getenv("HL_LONG") ? 40 : 2); seed++) {
    world w;
    static random_handler h;
    memset(&h, 0, sizeof h);
    hl_rng_init(&h.r, seed);
    for (int i = 0; i < EVENTS; i++)
      for (int k = 0; k < 2 + (int)hl_rng_below(&h.r, PLAN - 1); k++) h.plan[i][k] = "seest"[hl_rng_below(&h.r, 5)];
    fresh();
    wait_spare = 8;
    for (int life = 0; life <= LIVES; life++) {
      open_life(&w);
      h.w = &w;
      hl_handler_options o = {.script = "s.lua", .retries = 1000, .concurrency = 8};
      assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &o, random_run, &h, NULL, &w.err), 0);
      world_start(&w);
      if (life == 0) {
        hl_buf b;
        hl_buf_init(&b, 1 << 16);
        for (int i = 0; i < EVENTS; i++)
          hl_buf_printf(&b, "%c{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d,\"occurredAt\":%d}",
                        i ? ',' : '[', i, i % 7, i);
        hl_buf_puts(&b, "]");
        put(&w, b.p);
        hl_buf_deinit(&b);
      }
      int turns = life == LIVES ? 0 : (int)hl_rng_below(&h.r, 60);
      for (int i = 0; i < turns; i++) {
        if (hl_rng_below(&h.r, 3) == 0) signal_one(&h, (int)hl_rng_below(&h.r, EVENTS), (int)hl_rng_below(&h.r, PLAN));
        pass(&w, (int64_t)hl_rng_below(&h.r, 200));
      }
      for (int i = 0; life == LIVES && i < 20000; i++) {
        int left = 0;
        for (int k = 0; k < EVENTS; k++) left += !h.finished[k];
        if (!left) break;
        if (i % 50 == 0) /* somebody signs at last */
          for (int k = 0; k < EVENTS; k++)
            for (int n = 0; n < PLAN && !h.finished[k]; n++) signal_one(&h, k, n);
        pass(&w, 1000);
      }
      while (acts) {
        random_act *a = acts;
        acts = a->next;
        if (life == LIVES) fail_msg("a handler is left");
        hl_free(a);
      }
      if (life == LIVES) {
        calm(&w);
        hl_engine_stats st = stats_of(&w);
        assert_int_equal(st.ran, EVENTS);
        assert_int_equal(st.waiting, 0);
        assert_int_equal(st.dead, 0);
      }
      kill_life(&w);
    }
    for (int i = 0; i < EVENTS; i++) {
      assert_true(h.finished[i] >= 1);
      for (int k = 0; h.plan[i][k]; k++) assert_true(h.seen[i][k][0]);
    }
    nothing_is_left();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_wait_survives),
      cmocka_unit_test(its_time_passes_while_nothing_runs),
      cmocka_unit_test(an_event_of_the_night_ends_it),
      cmocka_unit_test(without_its_handler_it_is_ended_all_the_same),
      cmocka_unit_test(what_came_before_is_looked_up),
      cmocka_unit_test(the_earliest_event_ends_it),
      cmocka_unit_test(own_writes_do_not_end_it),
      cmocka_unit_test(nor_do_those_of_a_step),
      cmocka_unit_test(a_step_that_was_cut_has_its_place),
      cmocka_unit_test(what_is_not_committed_ends_nothing),
      cmocka_unit_test(a_read_that_fails_is_tried_again),
      cmocka_unit_test(the_store_decides_at_the_last_moment),
      cmocka_unit_test(one_event_ends_thousands),
      cmocka_unit_test(more_is_due_than_memory_takes),
      cmocka_unit_test(an_event_counts_for_what_began_before),
      cmocka_unit_test(accounts_are_kept_apart),
      cmocka_unit_test(attempts_and_lanes),
      cmocka_unit_test(the_filter_is_read_anew),
      cmocka_unit_test(code_that_no_longer_fits),
      cmocka_unit_test(random_lives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
