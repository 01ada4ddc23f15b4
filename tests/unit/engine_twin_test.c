/* Push and journal together (SEMANTICS 9), and the place of a source that is read. */
#include "engine_util.h"

#include <unistd.h>

#define EVENT(type, object, at, more) \
  "{\"portalId\":62515,\"subscriptionType\":\"" type "\",\"objectId\":\"" object "\",\"occurredAt\":" at more "}"
#define PUSHED(n, sub) ",\"eventId\":" n ",\"subscriptionId\":" sub

static hl_receipt from(world *w, const char *source, const char *body) {
  answer a = {0};
  hl_engine_receive(w->e, source, "main", hl_str_of(body), on_answer, &a);
  for (int i = 0; i < 100000 && !a.calls; i++) pass(w, 0);
  assert_int_equal(a.calls, 1);
  assert_int_equal(a.r.code, 0);
  return a.r;
}

static void begin(world *w, const char *path, probe *p, const char *type) {
  world_engine(w, path);
  listen_to(w, type, p);
  hl_engine_pulls(w->e, "main");
  world_start(w);
}

static void either_comes_first_and_one_is_handled(void **state) {
  (void)state;
  static const char *const sources[][2] = {{"push", "journal"}, {"journal", "push"}};
  static const char *const bodies[2] = {"[" EVENT("contact.propertyChange", "5", "1000", ",\"propertyName\":\"email\",\"propertyValue\":\"a\"" PUSHED("1", "9")) "]",
                                        "[" EVENT("contact.propertyChange", "5", "1000", ",\"propertyName\":\"email\",\"propertyValue\":\"a\",\"objectTypeId\":\"0-1\"") "]"};
  for (int k = 0; k < 2; k++) {
    world w;
    probe p = {0};
    world_loop(&w, true);
    begin(&w, NULL, &p, "contact.propertyChange");
    assert_int_equal(from(&w, sources[k][0], bodies[k]).accepted, 1);
    hl_receipt r = from(&w, sources[k][1], bodies[1 - k]);
    assert_int_equal(r.accepted, 0);
    assert_int_equal(r.duplicates, 1);
    /* And again, each of them. */
    assert_int_equal(from(&w, "push", bodies[0]).duplicates, 1);
    assert_int_equal(from(&w, "journal", bodies[1]).duplicates, 1);
    settle_down(&w);
    assert_int_equal(p.calls, 1);
    assert_int_equal(stats_of(&w).near_misses, 0);
    world_end(&w);
  }
}

static void twins_are_known_after_a_restart(void **state) {
  (void)state;
  static const char PUSH[] = "[" EVENT("contact.creation", "5", "1000", PUSHED("1", "9")) "," EVENT("contact.creation", "6", "1000", PUSHED("2", "9")) "]";
  static const char JOURNAL[] = "[" EVENT("contact.creation", "6", "1000", "") "," EVENT("contact.creation", "7", "1000", "") "]";
  static const char BOTH[] = "[" EVENT("contact.creation", "7", "1000", PUSHED("3", "9")) "," EVENT("contact.creation", "5", "1000", PUSHED("1", "9")) "]";
  world w;
  probe p = {0};
  unlink("twin.db");
  world_loop(&w, false);
  begin(&w, "twin.db", &p, "contact.creation");
  assert_int_equal(from(&w, "push", PUSH).accepted, 2);
  hl_engine_abandon(w.e);
  begin(&w, "twin.db", &p, "contact.creation");
  assert_int_equal(from(&w, "journal", JOURNAL).accepted, 1);
  hl_engine_abandon(w.e);
  begin(&w, "twin.db", &p, "contact.creation");
  assert_int_equal(from(&w, "push", BOTH).accepted, 0);
  settle_down(&w);
  world_end(&w);
}

/* What push sends twice under two subscriptions are two events (SEMANTICS 8), and so is what differs. */
static void only_the_other_source_has_twins(void **state) {
  (void)state;
  world w;
  probe p = {0}, g = {0};
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_to(&w, "contact.creation", &p);
  listen_to(&w, "object.creation", &g);
  hl_engine_pulls(w.e, "main");
  world_start(&w);
  assert_int_equal(from(&w, "push", "[" EVENT("contact.creation", "5", "1000", PUSHED("1", "9")) "," EVENT("contact.creation", "5", "1000", PUSHED("1", "10")) "]").accepted, 2);
  assert_int_equal(from(&w, "push", "[" EVENT("object.creation", "5", "1000", ",\"objectTypeId\":\"0-1\"" PUSHED("1", "11")) "]").accepted, 1);
  /* The journal's: the first two are told already, and so is the generic one; another object type is not. */
  hl_receipt r = from(&w, "journal", "[" EVENT("contact.creation", "5", "1000", "") "," EVENT("object.creation", "5", "1000", ",\"objectTypeId\":\"0-1\"") ","
                      EVENT("object.creation", "5", "1000", ",\"objectTypeId\":\"0-2\"") "]");
  assert_int_equal(r.accepted, 1);
  /* Both ends of an association, and whether it began or ended, count. */
#define LINK(from, to, removed) "{\"portalId\":62515,\"subscriptionType\":\"contact.associationChange\",\"fromObjectId\":" from ",\"toObjectId\":" to \
  ",\"associationRemoved\":" removed ",\"associationType\":\"CONTACT_TO_COMPANY\",\"occurredAt\":1000}"
  assert_int_equal(from(&w, "push", "[" LINK("1", "2", "false") "]").accepted, 1);
  assert_int_equal(from(&w, "journal", "[" LINK("1", "2", "false") "," LINK("1", "2", "true") "," LINK("1", "3", "false") "]").accepted, 2);
  settle_down(&w);
  assert_int_equal(p.calls, 2);
  assert_int_equal(g.calls, 2);
  world_end(&w);
}

static void without_a_journal_nothing_is_compared(void **state) {
  (void)state;
  world w;
  probe p = {0};
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_to(&w, "contact.creation", &p);
  world_start(&w);
  assert_int_equal(from(&w, "push", "[" EVENT("contact.creation", "5", "1000", PUSHED("1", "9")) "]").accepted, 1);
  assert_int_equal(from(&w, "journal", "[" EVENT("contact.creation", "5", "1000", "") "]").accepted, 1);
  settle_down(&w);
  assert_int_equal(p.calls, 2);
  world_end(&w);
}

static void a_moment_apart_is_told_and_handled(void **state) {
  (void)state;
  world w;
  probe p = {0};
  world_loop(&w, true);
  begin(&w, NULL, &p, "contact.creation");
  from(&w, "push", "[" EVENT("contact.creation", "5", "100000", PUSHED("1", "9")) "]");
  assert_int_equal(from(&w, "journal", "[" EVENT("contact.creation", "5", "100003", "") "," EVENT("contact.creation", "6", "100003", "") "]").accepted, 2);
  assert_int_equal(stats_of(&w).near_misses, 1);
  from(&w, "journal", "[" EVENT("contact.creation", "5", "109000", "") "]"); /* another time */
  settle_down(&w);
  assert_int_equal(stats_of(&w).near_misses, 1);
  assert_int_equal(p.calls, 4);
  world_end(&w);
}

static void what_push_missed_is_counted(void **state) {
  (void)state;
  world w;
  probe p = {0};
  world_loop(&w, true);
  begin(&w, NULL, &p, "contact.creation");
  assert_int_equal(from(&w, "journal", "[" EVENT("contact.creation", "4", "1000", "") "]").gaps, 0); /* the journal is all there is */
  assert_false(hl_engine_push_live(w.e, "main", HL_STR("contact.creation")));
  from(&w, "push", "[" EVENT("contact.creation", "5", "1000", PUSHED("1", "9")) "]");
  assert_true(hl_engine_push_live(w.e, "main", HL_STR("contact.creation")));
  assert_false(hl_engine_push_live(w.e, "main", HL_STR("contact.deletion")));
  assert_int_equal(from(&w, "journal", "[" EVENT("contact.creation", "5", "1000", "") "," EVENT("contact.creation", "6", "1000", "") "]").gaps, 1);
  assert_int_equal(stats_of(&w).gaps, 1);
  pass(&w, 61 * 60 * 1000);
  assert_false(hl_engine_push_live(w.e, "main", HL_STR("contact.creation")));
  world_end(&w);
}

static void place_is(world *w, const char *want) {
  hl_buf b;
  hl_buf_init(&b, 1000);
  assert_int_equal(hl_engine_place(w->e, "journal:app", &b, &w->err), 0);
  assert_string_equal(b.p ? b.p : "", want);
  hl_buf_deinit(&b);
}

/* A place is as durable as the bodies of its turn, and goes when they go. */
static void a_place_is_saved_with_its_events(void **state) {
  (void)state;
  world w;
  probe p = {0};
  answer a = {0}, b = {0};
  unlink("place.db");
  world_loop(&w, false);
  begin(&w, "place.db", &p, "contact.creation");
  place_is(&w, "");
  hl_engine_receive(w.e, "journal", "main", HL_STR("[" EVENT("contact.creation", "5", "1000", "") "]"), on_answer, &a);
  hl_engine_save_place(w.e, "journal:app", HL_STR("{\"offset\":\"1\"}"), on_answer, &b);
  while (!a.calls || !b.calls) pass(&w, 0);
  assert_int_equal(b.r.code, 0);
  hl_engine_abandon(w.e);
  begin(&w, "place.db", &p, "contact.creation");
  place_is(&w, "{\"offset\":\"1\"}");

  a = b = (answer){0};
  hl_store_fault(hl_engine_store(w.e), "commit", HL_EFULL, 1);
  hl_engine_receive(w.e, "journal", "main", HL_STR("[" EVENT("contact.creation", "6", "1000", "") "]"), on_answer, &a);
  hl_engine_save_place(w.e, "journal:app", HL_STR("{\"offset\":\"2\"}"), on_answer, &b);
  while (!a.calls || !b.calls) pass(&w, 0);
  assert_int_equal(a.r.code, HL_EFULL);
  assert_int_equal(b.r.code, HL_EFULL);
  b = (answer){0};
  hl_engine_save_place(w.e, "journal:app", HL_STR("{\"offset\":\"3\"}"), on_answer, &b); /* while it cannot commit */
  while (!b.calls) pass(&w, 0);
  assert_int_equal(b.r.code, HL_EIO);
  pass(&w, 200);
  settle_down(&w);
  place_is(&w, "{\"offset\":\"1\"}");
  assert_int_equal(p.calls, 1);
  /* It may be taken again. */
  assert_int_equal(from(&w, "journal", "[" EVENT("contact.creation", "6", "1000", "") "]").accepted, 1);
  settle_down(&w);
  world_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(either_comes_first_and_one_is_handled), cmocka_unit_test(twins_are_known_after_a_restart),
      cmocka_unit_test(only_the_other_source_has_twins),       cmocka_unit_test(without_a_journal_nothing_is_compared),
      cmocka_unit_test(a_moment_apart_is_told_and_handled),    cmocka_unit_test(what_push_missed_is_counted),
      cmocka_unit_test(a_place_is_saved_with_its_events),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
