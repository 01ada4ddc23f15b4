/* The page of a supervisor (SEMANTICS 45): what ran when a process was ended is
 * parked by the next one, once, and nothing else is. */
#include <unistd.h>

#include "engine/page.h"
#include "engine_util.h"

static const char WHY[] = "the process was ended because one call did not return for 5 s";
static hl_page page;

static void life(world *w) {
  world_loop(w, true);
  assert_int_equal(hl_engine_new(w->loop, &(hl_engine_options){.store = "page.db", .page = &page}, &w->e, &w->err), 0);
}

static void killed(world *w) {
  hl_engine_abandon(w->e);
  hl_loop_free(w->loop);
  hl_log_free(w->log);
}

/* As the supervisor does when the child is gone. */
static void note_end(void) {
  struct hl_page_end *to = &page.ended[0];
  while (to->run.kind != HL_PAGE_NONE) to++;
  *to = (struct hl_page_end){.run = {.kind = page.running.kind, .index = page.running.index, .who = page.running.who, .row = page.running.row}};
  snprintf(to->why, sizeof to->why, "%s", WHY);
  page.running.kind = HL_PAGE_NONE;
}

static unsigned ended(void) {
  unsigned n = 0;
  for (int i = 0; i < HL_PAGE_ENDED; i++) n += page.ended[i].run.kind != HL_PAGE_NONE;
  return n;
}

static void wait_acknowledged(world *w, const char *body) {
  answer a = {0};
  receive(w, body, &a);
  while (!a.calls) pass(w, 1);
  assert_int_equal(a.r.code, 0);
}

/* The virtual clock stands while the writer is at it. */
static void quiet(world *w) {
  for (int i = 0; i < 100000; i++) {
    if (hl_engine_idle(w->e)) return;
    pass(w, 1);
  }
  fail_msg("the engine does not become idle");
}

static void enters(probe *p, hl_run *run, const hl_event *event) {
  (void)p;
  /* The second of the body does not come back. */
  hl_page *entered = hl_run_enter(run);
  if (strcmp(event->id, "1.1") != 0) hl_run_leave(entered);
}

static void what_ran_is_parked_once(void **state) {
  (void)state;
  world w;
  static probe before, after, last;
  unlink("page.db");
  unlink("page.db-wal");
  memset(&page, 0, sizeof page);
  life(&w);
  before.hold = true;
  before.work = enters;
  listen_to(&w, "contact.creation", &before);
  world_start(&w);
  wait_acknowledged(&w, "[" CREATED(1, 10, 100) "," CREATED(2, 11, 100) "]");
  while (before.calls < 2) pass(&w, 1);
  assert_int_equal(page.running.kind, HL_PAGE_EVENT);
  assert_int_equal(page.running.row, 1);
  assert_int_equal(page.running.index, 1);
  assert_true(page.beats >= 2);
  killed(&w);
  note_end();

  life(&w);
  listen_to(&w, "contact.creation", &after);
  world_start(&w);
  quiet(&w);
  while (ended()) pass(&w, 1); /* free when it is committed */
  assert_int_equal(after.calls, 1);
  assert_string_equal(after.ids[0], "1.0");
  hl_engine_stats s = stats_of(&w);
  assert_int_equal(s.ran, 1);
  assert_int_equal(s.dead, 1);
  killed(&w);

  life(&w);
  listen_to(&w, "contact.creation", &last);
  world_start(&w);
  quiet(&w);
  assert_int_equal(last.calls, 0);
  assert_int_equal(stats_of(&w).dead, 1);
  world_end(&w);
}

static void only_that_handler_is_refused(void **state) {
  (void)state;
  world w;
  static probe one, two;
  unlink("page.db");
  unlink("page.db-wal");
  memset(&page, 0, sizeof page);
  page.ended[0].run.who = hl_page_name("b.lua", "contact.creation", "contact.creation");
  page.ended[0].run.row = 1;
  page.ended[0].run.kind = HL_PAGE_EVENT;
  snprintf(page.ended[0].why, sizeof page.ended[0].why, "%s", WHY);
  life(&w);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "a.lua"}, &one);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "b.lua"}, &two);
  world_start(&w);
  wait_acknowledged(&w, "[" CREATED(1, 10, 100) "," CREATED(2, 11, 100) "]");
  quiet(&w);
  while (ended()) pass(&w, 1);
  assert_int_equal(one.calls, 2);
  assert_int_equal(two.calls, 1);
  assert_string_equal(two.ids[0], "1.1");
  assert_int_equal(stats_of(&w).dead + stats_of(&w).waiting, 1);
  world_end(&w);
}

static void a_timer_goes_on_at_its_next_time(void **state) {
  (void)state;
  world w;
  static probe p;
  unlink("page.db");
  unlink("page.db-wal");
  memset(&page, 0, sizeof page);
  page.ended[0].run.who = hl_page_name("t.lua", "schedule", "every 10s");
  page.ended[0].run.kind = HL_PAGE_TIMER;
  life(&w);
  p.w = &w;
  assert_int_equal(hl_engine_schedule(w.e, &(hl_schedule_options){.every_ms = 10000, .text = "10s"},
                                      &(hl_handler_options){.script = "t.lua", .name = "every 10s"}, on_event, &p, NULL, &w.err), 0);
  world_start(&w);
  pass(&w, 15000);
  assert_int_equal(p.calls, 0);
  assert_int_equal(ended(), 0);
  pass(&w, 10000);
  assert_int_equal(p.calls, 1);
  world_end(&w);
}

static void a_main_chunk_is_named(void **state) {
  (void)state;
  world w;
  unlink("page.db");
  unlink("page.db-wal");
  memset(&page, 0, sizeof page);
  life(&w);
  hl_run *route = hl_engine_begin(w.e, "a.lua", ""), *loading = hl_engine_begin(w.e, "b.lua", "");
  hl_run_loads(loading);
  hl_run_enter(route);
  assert_int_equal(page.running.kind, HL_PAGE_OTHER);
  hl_run_leave(&page);
  hl_run_enter(loading);
  assert_int_equal(page.running.kind, HL_PAGE_LOADING);
  assert_null(hl_engine_ended_loading(w.e, "b.lua"));
  note_end();
  assert_string_equal(hl_engine_ended_loading(w.e, "b.lua"), WHY);
  assert_null(hl_engine_ended_loading(w.e, "a.lua"));
  hl_run_finish(route, HL_RUN_DONE, HL_STR(""));
  hl_run_finish(loading, HL_RUN_DONE, HL_STR(""));
  world_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_ran_is_parked_once),
      cmocka_unit_test(only_that_handler_is_refused),
      cmocka_unit_test(a_timer_goes_on_at_its_next_time),
      cmocka_unit_test(a_main_chunk_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
