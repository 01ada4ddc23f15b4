/* Handlers exchanged while events run, wait and come in (SEMANTICS 2, 27). */
#include <unistd.h>

#include "engine_util.h"

#define CHANGED(id, object, name, at) \
  "{\"eventId\":" #id ",\"subscriptionId\":1,\"portalId\":62515,\"occurredAt\":" #at \
  ",\"subscriptionType\":\"contact.propertyChange\",\"objectId\":" #object ",\"propertyName\":\"" name "\",\"propertyValue\":\"x\"}"

static void open_world(world *w) {
  world_loop(w, true);
  world_engine(w, NULL);
}

/* One handler of t.lua in a swap of its own. */
static void swap_to(world *w, const char *type, hl_handler_options o, probe *p) {
  hl_swap *swap = hl_swap_new(w->e, "t.lua");
  if (p) {
    o.script = "t.lua";
    o.swap = swap;
    listen_with(w, type, strchr(type, '.') == NULL, o, p);
  }
  hl_engine_swap(w->e, &swap, 1);
}

static void finish(probe *p, int i, hl_outcome outcome) { hl_run_finish(p->held[i], outcome, HL_STR("told to")); }

static void what_runs_ends_as_it_was_and_its_lane_waits(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  a.hold = b.hold = true;
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .concurrency = 2}, &a);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "," CREATED(2, 10, 2) "," CREATED(3, 11, 3) "," CREATED(4, 12, 4) "]");
  pass(&w, 1);
  assert_int_equal(a.calls, 2); /* 1 and 3; 2 waits for its lane, 4 for a slot */
  swap_to(&w, "contact.creation", (hl_handler_options){.concurrency = 2}, &b);
  pass(&w, 1);
  assert_int_equal(b.calls, 0); /* the slots are the handler's, not the script's */
  finish(&a, 1, HL_RUN_DONE);
  pass(&w, 1);
  assert_int_equal(b.calls, 1);
  assert_string_equal(b.objects[0], "12");
  finish(&b, 0, HL_RUN_DONE);
  pass(&w, 1);
  assert_int_equal(b.calls, 1); /* 2 still waits */
  finish(&a, 0, HL_RUN_DONE);
  pass(&w, 1);
  assert_int_equal(b.calls, 2);
  assert_string_equal(b.ids[1], "1.1");
  finish(&b, 1, HL_RUN_DONE);
  settle_down(&w);
  assert_int_equal(a.calls, 2);
  assert_int_equal(stats_of(&w).ran, 4);
  world_end(&w);
}

/* The deadline: what is cut runs again at once, by the new one, in its lane's order. */
static void what_is_cut_runs_again_by_the_new_one(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  a.hold = true;
  listen_to(&w, "contact.creation", &a);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "," CREATED(2, 10, 2) "]");
  pass(&w, 1);
  swap_to(&w, "contact.creation", (hl_handler_options){0}, &b);
  pass(&w, 1);
  assert_int_equal(b.calls, 0);
  finish(&a, 0, HL_RUN_CUT);
  settle_down(&w);
  assert_int_equal(b.calls, 2);
  assert_string_equal(b.ids[0], "1.0");
  assert_int_equal(b.attempts[0], 1);
  assert_string_equal(b.ids[1], "1.1");
  assert_int_equal(stats_of(&w).ran, 2);
  world_end(&w);
}

static void a_failed_one_is_retried_by_the_new_one(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  a.hold = true;
  listen_to(&w, "contact.creation", &a);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "," CREATED(2, 10, 2) "," CREATED(3, 11, 3) "]");
  pass(&w, 1);
  finish(&a, 1, HL_RUN_FAILED); /* waits in memory */
  swap_to(&w, "contact.creation", (hl_handler_options){.retries = 3}, &b);
  finish(&a, 0, HL_RUN_FAILED); /* fails after it */
  assert_int_equal(stats_of(&w).running, 0);
  pass(&w, 10000);
  assert_int_equal(b.calls, 3);
  for (int i = 0; i < 3; i++) assert_int_equal(b.attempts[i], strcmp(b.ids[i], "1.1") == 0 ? 1 : 2);
  assert_int_equal(stats_of(&w).ran, 3);
  world_end(&w);
}

static void a_handler_that_goes_leaves_what_had_not_begun_unhandled(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  a.hold = true;
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .concurrency = 3, .retries = 3}, &a);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "," CREATED(2, 10, 2) "," CREATED(3, 11, 3) "," CREATED(4, 12, 4) "," CREATED(5, 13, 5) "]");
  pass(&w, 1);
  assert_int_equal(a.calls, 3);
  swap_to(&w, NULL, (hl_handler_options){0}, NULL);
  pass(&w, 1);
  assert_int_equal(stats_of(&w).unhandled, 2);
  assert_int_equal(stats_of(&w).pending, 3);
  finish(&a, 0, HL_RUN_DONE);
  finish(&a, 1, HL_RUN_CUT);
  finish(&a, 2, HL_RUN_FAILED);
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 1);
  assert_int_equal(stats_of(&w).unhandled, 3);
  assert_int_equal(stats_of(&w).orphaned, 1);
  assert_int_equal(received(&w, "[" CREATED(6, 10, 6) "]").unhandled, 1);
  /* It is back: the one that failed waits for it, and runs. */
  swap_to(&w, "contact.creation", (hl_handler_options){0}, &b);
  pass(&w, 1000);
  assert_int_equal(b.calls, 1);
  assert_string_equal(b.ids[0], "1.3");
  assert_int_equal(b.attempts[0], 2);
  assert_int_equal(stats_of(&w).ran, 2);
  assert_int_equal(stats_of(&w).orphaned, 0);
  assert_int_equal(stats_of(&w).unhandled, 4);
  assert_int_equal(received(&w, "[" CREATED(7, 10, 7) "]").unhandled, 0);
  settle_down(&w);
  assert_int_equal(b.calls, 2);
  world_end(&w);
}

static void waiting_rows_are_orphaned_and_come_back(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  a.fail_first = 2;
  listen_to(&w, "contact.creation", &a);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "," CREATED(2, 11, 2) "," CREATED(3, 10, 3) "]");
  pass(&w, 0);
  assert_int_equal(a.calls, 2);
  swap_to(&w, NULL, (hl_handler_options){0}, NULL);
  pass(&w, 60 * 1000);
  assert_int_equal(a.calls, 2);
  assert_int_equal(stats_of(&w).orphaned, 2);
  assert_int_equal(stats_of(&w).unhandled, 1); /* 3 waited in the lane of 1 */
  swap_to(&w, "contact.creation", (hl_handler_options){0}, &b);
  pass(&w, 1000);
  assert_int_equal(b.calls, 2);
  assert_int_equal(stats_of(&w).orphaned, 0);
  assert_int_equal(stats_of(&w).ran, 2);
  world_end(&w);
}

/* Gone and back while the first run of it still goes on: it is the same handler. */
static void back_before_its_last_run_has_ended(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  a.hold = true;
  listen_to(&w, "contact.creation", &a);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "]");
  pass(&w, 1);
  swap_to(&w, NULL, (hl_handler_options){0}, NULL);
  swap_to(&w, "contact.creation", (hl_handler_options){.retries = 3}, &b);
  received(&w, "[" CREATED(2, 10, 2) "," CREATED(3, 11, 3) "]");
  pass(&w, 1);
  assert_int_equal(b.calls, 1);
  assert_string_equal(b.objects[0], "11");
  finish(&a, 0, HL_RUN_FAILED);
  pass(&w, 10000);
  assert_int_equal(b.calls, 3);
  assert_string_equal(b.ids[1], "1.0"); /* the retry, then what waited behind it */
  assert_string_equal(b.ids[2], "2.0");
  assert_int_equal(stats_of(&w).ran, 3);
  world_end(&w);
}

static void a_new_name_takes_over_what_had_not_begun(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  a.hold = true;
  listen_to(&w, "contact.creation", &a);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "," CREATED(2, 10, 1) "," CREATED(3, 10, 1) "," CREATED(4, 11, 1) "," CREATED(5, 11, 1) "]");
  pass(&w, 1);
  swap_to(&w, "contact.creation", (hl_handler_options){.name = "leads", .concurrency = 1}, &b);
  pass(&w, 1);
  assert_int_equal(b.calls, 3);
  assert_string_equal(b.ids[0], "1.1");
  assert_string_equal(b.ids[1], "1.4"); /* the other object's turn */
  assert_string_equal(b.ids[2], "1.2");
  /* What runs under the old name is the new one's only when it is cut. */
  finish(&a, 0, HL_RUN_DONE);
  finish(&a, 1, HL_RUN_CUT);
  settle_down(&w);
  assert_int_equal(b.calls, 4);
  assert_string_equal(b.ids[3], "1.3");
  assert_int_equal(stats_of(&w).ran, 5);
  world_end(&w);
}

static void who_has_finished_an_event_does_not_get_it_again(void **state) {
  (void)state;
  world w;
  static probe a, b, slow;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  memset(&slow, 0, sizeof slow);
  open_world(&w);
  slow.hold = true;
  listen_to(&w, "contact.creation", &a);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "slow.lua"}, &slow);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "]");
  pass(&w, 1);
  assert_int_equal(a.calls, 1);
  assert_int_equal(slow.n_held, 1);
  swap_to(&w, NULL, (hl_handler_options){0}, NULL);
  swap_to(&w, "contact.creation", (hl_handler_options){0}, &b);
  pass(&w, 1);
  assert_int_equal(b.calls, 0);
  finish(&slow, 0, HL_RUN_DONE);
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 1);
  world_end(&w);
}

static void what_it_wants_is_asked_again(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  a.hold = true;
  listen_with(&w, "contact.propertyChange", false, (hl_handler_options){.script = "t.lua", .property = "email", .concurrency = 1}, &a);
  world_start(&w);
  received(&w, "[" CHANGED(1, 10, "email", 1) "," CHANGED(2, 11, "email", 2) "]");
  pass(&w, 1);
  swap_to(&w, "contact.propertyChange", (hl_handler_options){.property = "phone"}, &b);
  pass(&w, 1);
  assert_int_equal(stats_of(&w).filtered, 1);
  assert_int_equal(stats_of(&w).unhandled, 0);
  received(&w, "[" CHANGED(3, 12, "phone", 3) "]");
  finish(&a, 0, HL_RUN_DONE);
  settle_down(&w);
  assert_int_equal(b.calls, 1);
  assert_string_equal(b.objects[0], "12");
  assert_int_equal(stats_of(&w).ran, 2);
  world_end(&w);
}

static void lanes_are_those_of_the_new_key(void **state) {
  (void)state;
  world w;
  static probe a, b;
  static const char *const by_property[] = {"propertyName", NULL};
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  a.hold = b.hold = true;
  listen_with(&w, "contact.propertyChange", false, (hl_handler_options){.script = "t.lua", .concurrency = 1}, &a);
  world_start(&w);
  received(&w, "[" CHANGED(1, 9, "email", 1) "," CHANGED(2, 10, "email", 2) "," CHANGED(3, 11, "email", 3) "," CHANGED(4, 12, "phone", 4) "]");
  pass(&w, 1);
  swap_to(&w, "contact.propertyChange", (hl_handler_options){.key_fields = by_property}, &b);
  pass(&w, 1);
  assert_int_equal(b.calls, 2); /* the first of each property */
  finish(&b, 0, HL_RUN_DONE);
  pass(&w, 1);
  assert_int_equal(b.calls, 3);
  finish(&b, 1, HL_RUN_DONE);
  finish(&b, 2, HL_RUN_DONE);
  finish(&a, 0, HL_RUN_DONE);
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 4);
  world_end(&w);
}

static void what_is_debounced_waits_on(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .debounce_ms = 1000}, &a);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "]");
  pass(&w, 500);
  swap_to(&w, "contact.creation", (hl_handler_options){.debounce_ms = 1000}, &b);
  received(&w, "[" CREATED(2, 10, 2) "]");
  pass(&w, 900);
  assert_int_equal(b.calls, 0);
  pass(&w, 200);
  assert_int_equal(b.calls, 1);
  assert_string_equal(b.ids[0], "2.0");
  assert_int_equal(stats_of(&w).debounced, 1);
  /* Gone and back: it runs by itself. */
  received(&w, "[" CREATED(3, 11, 3) "]");
  pass(&w, 1);
  swap_to(&w, NULL, (hl_handler_options){0}, NULL);
  pass(&w, 5000);
  assert_int_equal(stats_of(&w).orphaned, 1);
  swap_to(&w, "contact.creation", (hl_handler_options){.debounce_ms = 1000, .debounce_merged = true}, &b);
  pass(&w, 100);
  assert_int_equal(b.calls, 2);
  /* Another mode: what waits is not merged with what comes. */
  received(&w, "[" CREATED(4, 12, 4) "]");
  pass(&w, 1);
  swap_to(&w, "contact.creation", (hl_handler_options){.debounce_ms = 1000}, &b);
  received(&w, "[" CREATED(5, 12, 5) "]");
  pass(&w, 3000);
  assert_int_equal(b.calls, 4);
  assert_int_equal(a.calls, 0);
  assert_int_equal(stats_of(&w).waiting, 0);
  world_end(&w);
}

static void schedule_to(world *w, const char *name, int64_t every_ms, probe *p) {
  hl_swap *swap = hl_swap_new(w->e, "t.lua");
  if (p) {
    hl_schedule_options s = {.every_ms = every_ms, .text = "every", .catchup = HL_CATCHUP_ONCE};
    p->w = w;
    assert_int_equal(hl_engine_schedule(w->e, &s, &(hl_handler_options){.script = "t.lua", .name = name, .swap = swap}, on_event, p, NULL, &w->err), 0);
  }
  hl_engine_swap(w->e, &swap, 1);
}

static void a_schedule_keeps_its_last_firing(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  schedule_to(&w, "clean", HL_HOUR, &a); /* before the start */
  world_start(&w);
  pass(&w, HL_HOUR + HL_MINUTE);
  assert_int_equal(a.calls, 1);
  int64_t first = a.occurred[0];
  for (int i = 0; i < 5; i++) {
    schedule_to(&w, "clean", HL_HOUR, i % 2 ? &a : &b);
    pass(&w, HL_MINUTE);
  }
  assert_int_equal(a.calls + b.calls, 1);
  pass(&w, HL_HOUR - 5 * HL_MINUTE);
  assert_int_equal(b.calls, 1);
  assert_int_equal(b.occurred[0] - first, HL_HOUR);
  /* Gone for two hours: caught up once, at the time it would have had. */
  schedule_to(&w, "clean", 0, NULL);
  pass(&w, 2 * HL_HOUR);
  assert_int_equal(a.calls + b.calls, 2);
  schedule_to(&w, "clean", HL_HOUR, &b);
  pass(&w, 1000);
  assert_int_equal(b.calls, 2);
  assert_int_equal(b.occurred[1] - first, 3 * HL_HOUR);
  /* Another interval counts from the last firing. */
  schedule_to(&w, "clean", 2 * HL_HOUR, &a);
  pass(&w, 2 * HL_HOUR);
  assert_int_equal(b.calls, 2);
  assert_int_equal(a.calls, 2);
  assert_int_equal(a.occurred[1] - b.occurred[1], 2 * HL_HOUR);
  world_end(&w);
}

static void a_firing_that_runs_is_not_doubled(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  a.hold = true;
  schedule_to(&w, "clean", HL_MINUTE, &a);
  world_start(&w);
  pass(&w, HL_MINUTE + 1000);
  assert_int_equal(a.n_held, 1);
  schedule_to(&w, "clean", 0, NULL);            /* gone, while it runs */
  schedule_to(&w, "clean", HL_MINUTE, &b);      /* and back */
  pass(&w, 5 * HL_MINUTE);
  assert_int_equal(b.calls, 0);
  finish(&a, 0, HL_RUN_DONE);
  pass(&w, HL_MINUTE);
  assert_int_equal(b.calls, 1);
  assert_int_equal((b.occurred[0] - a.occurred[0]) % HL_MINUTE, 0);
  world_end(&w);
}

static void a_swap_before_the_start_and_one_that_is_given_up(void **state) {
  (void)state;
  world w;
  static probe a, b;
  memset(&a, 0, sizeof a);
  memset(&b, 0, sizeof b);
  open_world(&w);
  swap_to(&w, "contact.creation", (hl_handler_options){0}, &a);
  hl_swap *swap = hl_swap_new(w.e, "t.lua");
  hl_handler_options o = {.script = "t.lua", .swap = swap};
  listen_with(&w, "contact.creation", false, o, &b);
  assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &o, on_event, &b, NULL, &w.err), HL_EINVAL); /* named so twice */
  hl_swap_free(swap);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 1) "]");
  settle_down(&w);
  assert_int_equal(a.calls, 1);
  assert_int_equal(b.calls, 0);
  world_end(&w);
}

/* ---- scripts that cannot be loaded at the start ---- */

static int64_t clock_ms;

static void open_life(world *w) {
  *w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = clock_ms, .seed = 7}, w->log, &w->loop, &w->err), 0);
  world_engine(w, "absent.db");
}

static void end_life(world *w) {
  clock_ms = hl_loop_now(w->loop);
  world_end(w);
}

/* The virtual clock stands while the writer is at it. */
static void let_pass(world *w, int times) {
  for (int i = 0; i < times; i++) pass(w, 10);
}

static hl_receipt stored(world *w, const char *body) {
  answer a = {0};
  receive(w, body, &a);
  while (!a.calls) pass(w, 1);
  return a.r;
}

static void what_an_absent_script_listened_to_is_kept(void **state) {
  (void)state;
  world w;
  static probe a, other;
  clock_ms = INT64_C(1800000000000);
  unlink("absent.db");
  for (int life = 0; life < 5; life++) {
    memset(&a, 0, sizeof a);
    memset(&other, 0, sizeof other);
    open_life(&w);
    listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "other.lua"}, &other);
    switch (life) {
      case 0: /* it listens, and one event waits for its retry */
        swap_to(&w, "contact.creation", (hl_handler_options){.name = "leads", .retries = 3}, &a);
        world_start(&w);
        a.hold = true;
        stored(&w, "[" CREATED(1, 10, 1) "]");
        let_pass(&w, 2);
        finish(&a, 0, HL_RUN_FAILED);
        let_pass(&w, 2);
        assert_int_equal(stats_of(&w).waiting, 1);
        break;
      case 1: /* it cannot be loaded */
        hl_engine_absent(w.e, "t.lua");
        world_start(&w);
        stored(&w, "[" CREATED(2, 11, 2) "," CHANGED(3, 11, "email", 3) "]");
        let_pass(&w, 1000);
        assert_int_equal(other.calls, 1);
        assert_int_equal(stats_of(&w).pending, 3); /* it may listen to the other one now */
        assert_int_equal(stats_of(&w).waiting, 0);
        break;
      case 2: /* still; then a reload brings it */
        hl_engine_absent(w.e, "t.lua");
        assert_string_equal(hl_engine_absent_script(w.e, 0), "t.lua");
        world_start(&w);
        stored(&w, "[" CREATED(4, 12, 4) "]");
        let_pass(&w, 10);
        assert_int_equal(stats_of(&w).pending, 4);
        swap_to(&w, "contact.creation", (hl_handler_options){.name = "leads"}, &a);
        assert_null(hl_engine_absent_script(w.e, 0));
        let_pass(&w, 10);
        assert_int_equal(a.calls, 3);
        assert_int_equal(stats_of(&w).pending, 0);
        assert_int_equal(stats_of(&w).ran, 3);
        assert_int_equal(stats_of(&w).unhandled, 1);
        stored(&w, "[" CREATED(5, 13, 5) "]");
        let_pass(&w, 10);
        assert_int_equal(a.calls, 4);
        break;
      case 3:
        hl_engine_absent(w.e, "t.lua");
        world_start(&w);
        stored(&w, "[" CREATED(6, 14, 6) "]");
        let_pass(&w, 10);
        assert_int_equal(stats_of(&w).pending, 1);
        break;
      case 4: /* it is gone for good */
        world_start(&w);
        let_pass(&w, 10);
        assert_int_equal(stats_of(&w).pending, 0);
        assert_int_equal(stats_of(&w).orphaned, 1);
        break;
    }
    end_life(&w);
  }
}

static void an_absent_script_that_is_removed_leaves_orphans(void **state) {
  (void)state;
  world w;
  static probe a;
  unlink("absent.db");
  for (int life = 0; life < 3; life++) {
    memset(&a, 0, sizeof a);
    open_life(&w);
    if (life == 0) {
      swap_to(&w, "contact.creation", (hl_handler_options){0}, &a);
      world_start(&w);
    } else {
      hl_engine_absent(w.e, "t.lua");
      world_start(&w);
      stored(&w, life == 1 ? "[" CREATED(1, 10, 1) "]" : "[" CREATED(2, 11, 2) "]");
      let_pass(&w, 10);
      assert_int_equal(stats_of(&w).pending, life);
    }
    if (life == 2) {
      swap_to(&w, NULL, (hl_handler_options){0}, NULL);
      let_pass(&w, 10);
      assert_int_equal(stats_of(&w).orphaned, 2);
      assert_int_equal(stored(&w, "[" CREATED(3, 12, 3) "]").unhandled, 1);
    }
    end_life(&w);
  }
}

#define OWN(id, object, name, at) \
  "{\"eventId\":" #id ",\"occurredAt\":" #at ",\"subscriptionType\":\"" name "\",\"objectId\":" #object "}"

/* A script that has never been loaded may listen to anything that nobody else does; also one that comes while it runs. */
static void what_a_new_script_may_listen_to_is_kept(void **state) {
  (void)state;
  world w;
  static probe a, b, other;
  unlink("absent.db");
  for (int life = 0; life < 3; life++) {
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&other, 0, sizeof other);
    open_life(&w);
    listen_with(&w, "deal.creation", false, (hl_handler_options){.script = "other.lua"}, &other);
    if (life == 1) hl_engine_absent(w.e, "t.lua");
    world_start(&w);
    if (life == 0) {
      assert_int_equal(stored(&w, "[" CREATED(1, 10, 1) "]").unhandled, 1); /* nobody is about to listen */
      hl_engine_absent(w.e, "t.lua");
      hl_engine_absent(w.e, "t.lua");
      hl_engine_absent(w.e, "u.lua");
      stored(&w, "[" CREATED(3, 10, 3) "," CREATED(2, 10, 2) "," OWN(4, 7, "chase", 4) "," OWN(5, 7, "deal.creation", 5) "]");
      let_pass(&w, 5);
      assert_int_equal(stats_of(&w).pending, 3);
      assert_int_equal(stats_of(&w).ran, 1);
      /* The one that comes has nothing of it; the other one still may. */
      hl_swap *swap = hl_swap_new(w.e, "u.lua");
      listen_with(&w, "ticket.creation", false, (hl_handler_options){.script = "u.lua", .swap = swap}, &b);
      hl_engine_swap(w.e, &swap, 1);
      let_pass(&w, 5);
      assert_int_equal(stats_of(&w).pending, 3);
      assert_int_equal(b.calls, 0);
    } else if (life == 1) {
      stored(&w, "[" CREATED(6, 11, 6) "," CHANGED(7, 11, "email", 7) "," CHANGED(8, 11, "phone", 8) "]");
      let_pass(&w, 5);
      assert_int_equal(stats_of(&w).pending, 6);
      hl_swap *swap = hl_swap_new(w.e, "t.lua");
      a.hold = true;
      listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .swap = swap}, &a);
      listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .name = "second", .swap = swap}, &b);
      listen_with(&w, "contact.propertyChange", false, (hl_handler_options){.script = "t.lua", .property = "email", .swap = swap}, &b);
      hl_engine_swap(w.e, &swap, 1);
      let_pass(&w, 5);
      assert_int_equal(a.calls, 2); /* one at a time of each object */
      assert_string_equal(a.ids[0], "2.1");
      finish(&a, 0, HL_RUN_DONE);
      let_pass(&w, 5);
      assert_string_equal(a.ids[2], "2.0");
      assert_int_equal(b.calls, 4);
      finish(&a, 1, HL_RUN_DONE);
      finish(&a, 2, HL_RUN_DONE);
      let_pass(&w, 5);
      assert_int_equal(stats_of(&w).ran, 5);
      assert_int_equal(stats_of(&w).unhandled, 3); /* contact 1, chase, phone */
      assert_int_equal(stored(&w, "[" OWN(9, 7, "chase", 9) "]").unhandled, 1);
    } else {
      let_pass(&w, 5);
      assert_int_equal(stats_of(&w).pending + stats_of(&w).waiting + stats_of(&w).orphaned + stats_of(&w).dead, 0);
      assert_int_equal(stats_of(&w).unhandled, 4);
    }
    end_life(&w);
  }
}

/* The crash between the exchange and what follows from it. */
static void what_is_offered_survives_a_crash(void **state) {
  (void)state;
  for (int turns = 0; turns < 12; turns++) {
    world w;
    static probe a;
    unlink("absent.db");
    unlink("absent.db-wal");
    open_life(&w);
    hl_engine_absent(w.e, "t.lua");
    world_start(&w);
    stored(&w, "[" CREATED(1, 10, 1) "," CREATED(2, 11, 2) "," OWN(3, 7, "chase", 4) "]");
    let_pass(&w, 5);
    memset(&a, 0, sizeof a);
    swap_to(&w, "contact.creation", (hl_handler_options){0}, &a);
    for (int i = 0; i < turns; i++) pass(&w, 1);
    clock_ms = hl_loop_now(w.loop);
    hl_engine_abandon(w.e);
    hl_loop_free(w.loop);
    hl_log_free(w.log);
    int before = a.calls;
    open_life(&w);
    swap_to(&w, "contact.creation", (hl_handler_options){0}, &a);
    world_start(&w);
    let_pass(&w, 10);
    assert_true(a.calls >= 2 && a.calls <= 2 + before);
    assert_int_equal(stats_of(&w).ran, 2);
    assert_int_equal(stats_of(&w).unhandled, 1);
    end_life(&w);
  }
}

static int64_t last[7];
static int out_of_order;
static void note_order(probe *p, hl_run *run, const hl_event *event) {
  int64_t *at = &last[event->object_id[0] - '0'];
  (void)p, (void)run;
  if (event->occurred_at < *at) out_of_order++;
  *at = event->occurred_at;
}

/* What comes while what was kept is on its way back goes behind it, however much that is. */
static void what_was_kept_comes_back_in_order(void **state) {
  (void)state;
  enum { KEPT = 5000, LATER = 200 };
  for (int known = 0; known < 2; known++) {
    world w;
    static probe a;
    static char body[200 * 150];
    int n = 0;
    memset(&a, 0, sizeof a);
    memset(last, 0, sizeof last);
    out_of_order = 0;
    a.work = note_order;
    unlink("absent.db");
    unlink("absent.db-wal");
    open_life(&w);
    if (known) {
      swap_to(&w, "contact.creation", (hl_handler_options){0}, &a);
      world_start(&w);
      let_pass(&w, 5);
      end_life(&w);
      open_life(&w);
    }
    hl_engine_absent(w.e, "t.lua");
    world_start(&w);
    while (n < KEPT) {
      size_t at = 0;
      for (int i = 0; i < 100; i++, n++)
        at += (size_t)snprintf(body + at, sizeof body - at, "%c{\"eventId\":%d,\"occurredAt\":%d,\"subscriptionType\":\"contact.creation\",\"objectId\":%d}",
                               i ? ',' : '[', n + 1, n + 1, n % 7);
      snprintf(body + at, sizeof body - at, "]");
      stored(&w, body);
    }
    let_pass(&w, 5);
    assert_int_equal(stats_of(&w).pending, KEPT);
    swap_to(&w, "contact.creation", (hl_handler_options){0}, &a);
    for (int k = 0; k < LATER; k++, n++) {
      snprintf(body, sizeof body, "[{\"eventId\":%d,\"occurredAt\":%d,\"subscriptionType\":\"contact.creation\",\"objectId\":%d}]", n + 1, n + 1, n % 7);
      stored(&w, body);
      if (k % 3 == 0) pass(&w, 1);
    }
    for (int i = 0; i < 100000 && stats_of(&w).ran < KEPT + LATER; i++) pass(&w, 10);
    assert_int_equal(stats_of(&w).ran, KEPT + LATER);
    assert_int_equal(a.calls, KEPT + LATER);
    assert_int_equal(out_of_order, 0);
    snprintf(body, sizeof body, "[{\"eventId\":%d,\"occurredAt\":%d,\"subscriptionType\":\"contact.creation\",\"objectId\":1}]", n + 1, n + 1);
    stored(&w, body);
    pass(&w, 1);
    assert_int_equal(a.calls, KEPT + LATER + 1); /* and is done with that */
    end_life(&w);
  }
}

/* ---- at random ---- */

enum { OBJECTS = 12, EVENTS = 1500, VERSIONS = 2 };

typedef struct storm {
  world w;
  probe versions[VERSIONS];
  hl_rng rng;
  int finished[EVENTS + 1];     /* how often each event ended well */
  int64_t last[OBJECTS];        /* the number of the last one that began */
  bool strict;                  /* no failures: order holds */
  hl_run *out[EVENTS];
  int number[EVENTS], n_out;
} storm;

static void storm_event(void *arg, hl_run *run, const hl_event *event) {
  storm *s = ((probe *)arg)->arg;
  int n = (int)hl_json_int(event->json, "eventId", 0), object = (int)strtol(event->object_id, NULL, 10);
  if (s->strict) assert_true(n >= s->last[object]);
  s->last[object] = n;
  s->out[s->n_out] = run;
  s->number[s->n_out++] = n;
}

static void end_one(storm *s) {
  if (!s->n_out) return;
  int i = (int)hl_rng_below(&s->rng, (uint64_t)s->n_out), n = s->number[i];
  hl_run *run = s->out[i];
  uint64_t die = hl_rng_below(&s->rng, 10);
  hl_outcome outcome = die < 2 ? HL_RUN_CUT : die < 4 && !s->strict ? HL_RUN_FAILED : HL_RUN_DONE;
  s->out[i] = s->out[--s->n_out];
  s->number[i] = s->number[s->n_out];
  if (outcome == HL_RUN_DONE) s->finished[n]++;
  hl_run_finish(run, outcome, HL_STR("told to"));
}



static void swaps_at_random(void **state) {
  (void)state;
  static storm s;
  for (int round = 0; round < 30; round++) {
    memset(&s, 0, sizeof s);
    s.strict = round % 2 == 0;
    open_world(&s.w);
    hl_rng_init(&s.rng, (uint64_t)round + 1);
    for (int v = 0; v < VERSIONS; v++) s.versions[v].arg = &s;
    int sent = 0, swaps = 0;
    bool there = false;
    for (int step = 0; sent < EVENTS || s.n_out || !there || !hl_engine_idle(s.w.e) || stats_of(&s.w).waiting; step++) {
      assert_true(step < 100000);
      uint64_t die = hl_rng_below(&s.rng, 12);
      if (step == 5) world_start(&s.w);
      if (step < 5 || die == 0 || (sent == EVENTS && !there)) {
        /* There before the start and at the end; in the strict rounds always. */
        hl_swap *swap = hl_swap_new(s.w.e, "t.lua");
        there = step < 5 || s.strict || sent == EVENTS || hl_rng_below(&s.rng, 4) > 0;
        hl_handler_options o = {.script = "t.lua", .concurrency = 1 + (unsigned)hl_rng_below(&s.rng, 6), .retries = 1000, .swap = swap};
        if (there) assert_int_equal(hl_engine_on(s.w.e, "contact.creation", false, &o, storm_event, &s.versions[swaps++ % VERSIONS], NULL, &s.w.err), 0);
        hl_engine_swap(s.w.e, &swap, 1);
      } else if (die < 4 && sent < EVENTS && there && step > 5) {
        char body[8192];
        size_t at = 0;
        size_t n = 1 + hl_rng_below(&s.rng, 8);
        for (size_t i = 0; i < n && sent < EVENTS; i++) {
          sent++;
          at += (size_t)snprintf(body + at, sizeof body - at, "%s{\"eventId\":%d,\"portalId\":62515,\"occurredAt\":%d,\"subscriptionType\":\"contact.creation\",\"objectId\":%d}",
                                 i ? "," : "[", sent, sent, (int)hl_rng_below(&s.rng, OBJECTS));
        }
        snprintf(body + at, sizeof body - at, "]");
        received(&s.w, body);
      } else if (die < 10) {
        end_one(&s);
      } else {
        pass(&s.w, (int64_t)hl_rng_below(&s.rng, 3) * 1000);
      }
    }
    hl_engine_stats got = stats_of(&s.w);
    int ran = 0;
    for (int i = 1; i <= EVENTS; i++) {
      assert_true(s.finished[i] <= 1);
      ran += s.finished[i];
    }
    assert_int_equal(got.acknowledged, EVENTS);
    assert_int_equal(got.ran, ran);
    assert_int_equal(got.ran + got.unhandled, EVENTS);
    if (s.strict) assert_int_equal(ran, EVENTS);
    else assert_true(got.unhandled > 0);
    world_end(&s.w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_runs_ends_as_it_was_and_its_lane_waits),
      cmocka_unit_test(what_is_cut_runs_again_by_the_new_one),
      cmocka_unit_test(a_failed_one_is_retried_by_the_new_one),
      cmocka_unit_test(a_handler_that_goes_leaves_what_had_not_begun_unhandled),
      cmocka_unit_test(waiting_rows_are_orphaned_and_come_back),
      cmocka_unit_test(back_before_its_last_run_has_ended),
      cmocka_unit_test(a_new_name_takes_over_what_had_not_begun),
      cmocka_unit_test(who_has_finished_an_event_does_not_get_it_again),
      cmocka_unit_test(what_it_wants_is_asked_again),
      cmocka_unit_test(lanes_are_those_of_the_new_key),
      cmocka_unit_test(what_is_debounced_waits_on),
      cmocka_unit_test(a_schedule_keeps_its_last_firing),
      cmocka_unit_test(a_firing_that_runs_is_not_doubled),
      cmocka_unit_test(a_swap_before_the_start_and_one_that_is_given_up),
      cmocka_unit_test(what_an_absent_script_listened_to_is_kept),
      cmocka_unit_test(an_absent_script_that_is_removed_leaves_orphans),
      cmocka_unit_test(what_a_new_script_may_listen_to_is_kept),
      cmocka_unit_test(what_is_offered_survives_a_crash),
      cmocka_unit_test(what_was_kept_comes_back_in_order),
      cmocka_unit_test(swaps_at_random),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
