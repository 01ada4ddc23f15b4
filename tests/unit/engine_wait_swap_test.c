/* Handlers that wait, exchanged meanwhile (SEMANTICS 20): they go on with the new code and what is stored. */
#include "wait_script.h"

static script before, after;

/* NULL: the script has no handlers any more. */
static void swap_to(world *w, script *s) {
  hl_swap *swap = hl_swap_new(w->e, "s.lua");
  if (s) {
    hl_handler_options o = {.script = "s.lua", .retries = 5, .swap = swap};
    s->w = w;
    assert_int_equal(hl_engine_on(w->e, "contact.creation", false, &o, on_script, s, NULL, &w->err), 0);
    assert_int_equal(hl_engine_on(w->e, "noted", true, &(hl_handler_options){.script = "s.lua", .swap = swap}, on_event, &noted, NULL, &w->err), 0);
  }
  hl_engine_swap(w->e, &swap, 1);
}

/* The new code has the old one's step and wait, and another step behind. */
static void begin(world *w) {
  before = after = wait_script();
  after.actions[2] = (action)STEP("new");
  fresh();
  begin_life(w, &before);
}

static void begun(world *w) {
  begin(w);
  put(w, "[" CREATED(1, 10, 100) "]");
  calm(w);
  assert_int_equal(stats_of(w).waiting, 1);
}

static void went_on(world *w, const char *result) {
  calm(w);
  assert_int_equal(before.finished, 0);
  assert_int_equal(after.finished, 1);
  assert_int_equal(before.done[0], 1);
  assert_int_equal(after.done[0], 0); /* it has what is stored */
  assert_string_equal(after.results[0], "1");
  assert_string_equal(after.results[1], result);
  assert_int_equal(after.done[2], 1);
  hl_engine_stats st = stats_of(w);
  assert_int_equal(st.waiting + st.orphaned + st.dead + st.pending, 0);
  end_life(w);
}

static void it_goes_on_with_the_new_code(void **state) {
  (void)state;
  world w;
  begun(&w);
  swap_to(&w, &after);
  calm(&w);
  assert_int_equal(after.runs, 0);
  put(&w, "[" CHANGED(7, 17, "yes") "]");
  went_on(&w, "17 yes");

  begun(&w);
  swap_to(&w, &after);
  pass(&w, 3 * HL_DAY + 1000);
  went_on(&w, "nothing");
}

/* The old code runs while it is exchanged, and comes to its wait then; the event is there before, or comes behind. */
static void what_runs_waits_for_the_new_one(void **state) {
  (void)state;
  for (int first = 0; first < 2; first++) {
    world w;
    begin(&w);
    before.stops = true;
    before.stop_at = 1;
    put(&w, "[" CREATED(1, 10, 100) "]");
    some_time(&w);
    swap_to(&w, &after);
    if (first) put(&w, "[" CHANGED(7, 17, "yes") "]");
    before.stops = false;
    let_go();
    some_time(&w);
    if (!first) put(&w, "[" CHANGED(7, 17, "yes") "]");
    went_on(&w, "17 yes");
  }
}

/* Its wait is over and the old code has gone on, when the deadline cuts it. */
static void what_is_cut_behind_its_wait(void **state) {
  (void)state;
  world w;
  begun(&w);
  before.stops = true;
  before.stop_at = 2;
  put(&w, "[" CHANGED(7, 17, "yes") "]");
  some_time(&w);
  assert_int_equal(before.runs, 2);
  swap_to(&w, &after);
  some_time(&w);
  assert_int_equal(after.runs, 0); /* one at a time */
  act *a = hung;
  hung = NULL;
  end(a, HL_RUN_CUT);
  went_on(&w, "17 yes");
}

static void what_does_not_fit_is_parked(void **state) {
  (void)state;
  world w;
  begun(&w);
  after.actions[1] = (action)WAIT("signed by all", "deal.propertyChange", DEAL(17), HL_DAY);
  swap_to(&w, &after);
  put(&w, "[" CHANGED(7, 17, "yes") "]");
  calm(&w);
  assert_int_equal(after.runs, 1);
  assert_int_equal(after.finished, 0);
  assert_int_equal(stats_of(&w).dead, 1);
  end_life(&w);
}

/* Without its handler it is orphaned, and hears all the same; with it, it goes on. */
static void without_its_handler(void **state) {
  (void)state;
  for (int ends = 0; ends < 3; ends++) {
    world w;
    begun(&w);
    swap_to(&w, NULL);
    calm(&w);
    assert_int_equal(stats_of(&w).orphaned, 1);
    assert_int_equal(stats_of(&w).waiting, 0);
    if (ends == 0) put(&w, "[" CHANGED(7, 17, "yes") "]");
    if (ends == 1) pass(&w, 4 * HL_DAY);
    calm(&w);
    assert_int_equal(before.runs, 1);
    assert_int_equal(stats_of(&w).orphaned, 1);
    swap_to(&w, &after);
    calm(&w);
    if (ends == 2) {
      assert_int_equal(after.runs, 0);
      assert_int_equal(stats_of(&w).waiting, 1);
      put(&w, "[" CHANGED(7, 17, "yes") "]");
    }
    went_on(&w, ends == 1 ? "nothing" : "17 yes");
  }
}

/* The last run of a handler that is gone comes to a wait: its first one, or a second. */
static void a_wait_that_begins_without_its_handler(void **state) {
  (void)state;
  for (int second = 0; second < 2; second++) {
    world w;
    begin(&w);
    if (second) {
      before.actions[2] = (action)WAIT("paid", "deal.propertyChange", DEAL(18), 0);
      after.actions[2] = before.actions[2];
    }
    before.stops = true;
    before.stop_at = second ? 2 : 1;
    put(&w, "[" CREATED(1, 10, 100) "]");
    some_time(&w);
    if (second) {
      put(&w, "[" CHANGED(7, 17, "yes") "]");
      some_time(&w);
      assert_int_equal(before.runs, 2);
    }
    swap_to(&w, NULL);
    before.stops = false;
    let_go();
    calm(&w);
    assert_int_equal(stats_of(&w).orphaned, 1);
    assert_int_equal(stats_of(&w).waiting, 0);
    put(&w, second ? "[" CHANGED(8, 18, "paid") "]" : "[" CHANGED(7, 17, "yes") "]");
    calm(&w);
    swap_to(&w, &after);
    calm(&w);
    assert_int_equal(after.finished, 1);
    assert_string_equal(after.results[1], "17 yes");
    if (second) assert_string_equal(after.results[2], "18 paid");
    assert_int_equal(stats_of(&w).orphaned, 0);
    end_life(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_goes_on_with_the_new_code),
      cmocka_unit_test(what_runs_waits_for_the_new_one),
      cmocka_unit_test(what_is_cut_behind_its_wait),
      cmocka_unit_test(what_does_not_fit_is_parked),
      cmocka_unit_test(without_its_handler),
      cmocka_unit_test(a_wait_that_begins_without_its_handler),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
