/* Own writes (SEMANTICS 11): what a handler wrote does not run it again, once for
 * each write, over restarts too; chains over HubSpot end. */
#include <unistd.h>

#include "engine_util.h"

static int next_event;

/* A propertyChange of object 7 (or as told), as HubSpot sends it. */
static void changed(world *w, const char *type, int object, const char *property, const char *value, const char *more) {
  char body[512];
  snprintf(body, sizeof body,
           "[{\"subscriptionType\":\"%s\",\"eventId\":%d,\"objectId\":%d,\"propertyName\":\"%s\",\"propertyValue\":\"%s\",\"occurredAt\":%d%s}]",
           type, next_event, object, property, value, 1000 + next_event, more);
  next_event++;
  received(w, body);
  for (int i = 0; i < 3; i++) pass(w, 1);
}
#define CHANGED(w, property, value) changed(w, "contact.propertyChange", 7, property, value, ",\"changeSource\":\"INTEGRATION\"")

static hl_own_mark last_mark;

/* Writes what the event "write" says, to the object of the event. */
static void write_back(probe *p, hl_run *run, const hl_event *event) {
  (void)p;
  if (strcmp(hl_json_str(event->json, "propertyName", ""), "go") != 0) return;
  last_mark = hl_run_wrote(run, HL_WRITE_UPDATE, event->account, "contacts", event->object_id,
                           HL_STR("{\"properties\":{\"city\":\"Ulm\",\"n\":5,\"flag\":true,\"none\":null}}"));
}

static void begin(world *w, probe *p, probe *other) {
  world_loop(w, true);
  world_engine(w, NULL);
  *p = (probe){.work = write_back};
  listen_with(w, "contact.propertyChange", false, (hl_handler_options){.script = "a.lua", .retries = 3}, p);
  if (other) {
    *other = (probe){0};
    listen_with(w, "contact.propertyChange", false, (hl_handler_options){.script = "b.lua", .retries = 3}, other);
  }
  world_start(w);
}

static void one_write_excuses_one_event(void **state) {
  (void)state;
  world w;
  static probe p, other;
  begin(&w, &p, &other);
  CHANGED(&w, "go", "1");
  assert_int_equal(p.calls, 1);
  const char *const written[][2] = {{"city", "Ulm"}, {"n", "5"}, {"flag", "true"}, {"none", ""}};
  for (int i = 0; i < 4; i++) {
    CHANGED(&w, written[i][0], written[i][1]);
    assert_int_equal(p.calls, 1 + i);             /* not by what it wrote */
    assert_int_equal(other.calls, 2 * i + 2);     /* others run */
    CHANGED(&w, written[i][0], written[i][1]);
    assert_int_equal(p.calls, 2 + i);             /* the second one is somebody else's */
    assert_int_equal(other.calls, 2 * i + 3);
  }
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 9);          /* `other` ran on each */
  world_end(&w);
}

static void alone_it_counts_as_own(void **state) {
  (void)state;
  world w;
  static probe p;
  begin(&w, &p, NULL);
  CHANGED(&w, "go", "1");
  CHANGED(&w, "city", "Ulm");
  settle_down(&w);
  assert_int_equal(stats_of(&w).own, 1);
  assert_int_equal(stats_of(&w).ran, 1);
  world_end(&w);
}

/* In doubt the handler runs. */
static void what_does_not_fit_runs(void **state) {
  (void)state;
  static const struct { const char *type; int object; const char *property, *value, *more; } other[] = {
      {"contact.propertyChange", 8, "city", "Ulm", ""},
      {"contact.propertyChange", 7, "city", "Bonn", ""},
      {"contact.propertyChange", 7, "zip", "Ulm", ""},
      {"contact.propertyChange", 7, "city", "Ulm", ",\"changeSource\":\"CRM_UI\""},
      {"contact.propertyChange", 7, "city", "Ulm", ",\"changeSource\":\"IMPORT\""},
      {"contact.propertyChange", 7, "city", "Ulm", ",\"sourceId\":\"userId:12\""},
  };
  for (size_t i = 0; i < HL_COUNT(other); i++) {
    world w;
    static probe p;
    begin(&w, &p, NULL);
    CHANGED(&w, "go", "1");
    changed(&w, other[i].type, other[i].object, other[i].property, other[i].value, other[i].more);
    assert_int_equal(p.calls, 2);
    CHANGED(&w, "city", "Ulm"); /* and the record is still there */
    assert_int_equal(p.calls, 2);
    world_end(&w);
  }
}

static void after_ten_minutes_it_is_forgotten(void **state) {
  (void)state;
  world w;
  static probe p;
  begin(&w, &p, NULL);
  CHANGED(&w, "go", "1");
  pass(&w, 10 * HL_MINUTE - 20);
  CHANGED(&w, "city", "Ulm");
  assert_int_equal(p.calls, 1);
  pass(&w, HL_MINUTE);
  CHANGED(&w, "n", "5");
  assert_int_equal(p.calls, 2);
  world_end(&w);
}

static void a_write_that_failed_excuses_nothing(void **state) {
  (void)state;
  world w;
  static probe p;
  begin(&w, &p, NULL);
  CHANGED(&w, "go", "1");
  assert_int_equal(last_mark.n, 4);
  hl_engine_not_written(w.e, last_mark);
  CHANGED(&w, "city", "Ulm");
  assert_int_equal(p.calls, 2);
  world_end(&w);
}

static void create_by_type(probe *p, hl_run *run, const hl_event *event) {
  (void)p;
  if (strcmp(event->object_id, "1") == 0) hl_run_wrote(run, HL_WRITE_CREATE, "main", "2-77", "99", HL_STR(""));
}

static void a_created_object_of_any_type_counts(void **state) {
  (void)state;
  world w;
  static probe p;
  world_loop(&w, true);
  world_engine(&w, NULL);
  p = (probe){.work = create_by_type};
  listen_to(&w, "object.creation", &p);
  world_start(&w);
  received(&w, "[{\"subscriptionType\":\"object.creation\",\"eventId\":1,\"objectId\":1,\"objectTypeId\":\"2-77\",\"occurredAt\":1}]");
  settle_down(&w);
  received(&w, "[{\"subscriptionType\":\"object.creation\",\"eventId\":2,\"objectId\":99,\"objectTypeId\":\"2-78\",\"occurredAt\":2}]");
  settle_down(&w);
  assert_int_equal(p.calls, 2);
  received(&w, "[{\"subscriptionType\":\"object.creation\",\"eventId\":3,\"objectId\":99,\"objectTypeId\":\"2-77\",\"occurredAt\":3}]");
  settle_down(&w);
  assert_int_equal(p.calls, 2);
  assert_int_equal(stats_of(&w).own, 1);
  world_end(&w);
}

static int own_seen[16], n_own_seen;
static void note_own(probe *p, hl_run *run, const hl_event *event) {
  own_seen[n_own_seen++] = event->own;
  write_back(p, run, event);
}

static void who_asks_gets_its_own_events_marked(void **state) {
  (void)state;
  world w;
  static probe p;
  world_loop(&w, true);
  world_engine(&w, NULL);
  n_own_seen = 0;
  p = (probe){.work = note_own};
  listen_with(&w, "contact.propertyChange", false, (hl_handler_options){.script = "a.lua", .own = true, .retries = 12}, &p);
  world_start(&w);
  CHANGED(&w, "go", "1");
  p.fail_first = 12;         /* long enough for it to leave memory */
  CHANGED(&w, "city", "Ulm");
  for (int i = 0; i < 200; i++) pass(&w, HL_MINUTE);
  assert_int_equal(n_own_seen, 14);
  assert_int_equal(own_seen[0], 0);
  for (int i = 1; i < 14; i++) assert_int_equal(own_seen[i], 1);
  settle_down(&w);
  assert_int_equal(stats_of(&w).ran, 2);
  world_end(&w);
}

/* ---- over restarts ---- */

static int64_t clock_ms;

static void open_life(world *w, probe *p, probe *other) {
  *w = (world){.log = hl_log_new(HL_LOG_OFF, false)};
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .start_ms = clock_ms, .seed = 7}, w->log, &w->loop, &w->err), 0);
  world_engine(w, "own.db");
  p->work = write_back;
  listen_with(w, "contact.propertyChange", false, (hl_handler_options){.script = "a.lua"}, p);
  listen_with(w, "contact.propertyChange", false, (hl_handler_options){.script = "b.lua"}, other);
  world_start(w);
}

static void store_change(world *w, const char *property, const char *value) {
  char body[256];
  answer a = {0};
  snprintf(body, sizeof body, "[{\"subscriptionType\":\"contact.propertyChange\",\"eventId\":%d,\"objectId\":7,\"propertyName\":\"%s\",\"propertyValue\":\"%s\",\"occurredAt\":%d}]",
           next_event, property, value, next_event);
  next_event++;
  receive(w, body, &a);
  while (!a.calls) pass(w, 1);
  assert_int_equal(a.r.code, 0);
  pass(w, 5);
}

static void end_life(world *w) {
  clock_ms = hl_loop_now(w->loop);
  world_end(w);
}

static void records_survive_a_restart(void **state) {
  (void)state;
  world w;
  static probe p, other;
  clock_ms = INT64_C(1800000000000);
  p = other = (probe){0};
  open_life(&w, &p, &other);
  store_change(&w, "go", "1");
  assert_int_equal(p.calls, 1);
  end_life(&w);
  p = other = (probe){0};
  open_life(&w, &p, &other);
  other.hold = true;
  store_change(&w, "city", "Ulm"); /* skipped; the other one is at it when the program ends */
  assert_int_equal(p.calls, 0);
  assert_int_equal(other.calls, 1);
  end_life(&w);
  p = other = (probe){0};
  open_life(&w, &p, &other);
  for (int i = 0; i < 20 && !other.calls; i++) pass(&w, 5);
  assert_int_equal(other.calls, 1);
  assert_int_equal(p.calls, 0);    /* still skipped */
  store_change(&w, "city", "Ulm"); /* what is spent stays spent */
  assert_int_equal(p.calls, 1);
  end_life(&w);
  clock_ms += 11 * HL_MINUTE;
  p = other = (probe){0};
  open_life(&w, &p, &other);
  store_change(&w, "n", "5");      /* that was too long ago */
  assert_int_equal(p.calls, 1);
  end_life(&w);
}

/* ---- chains ---- */

typedef struct ping { world *w; const char *writes; int calls; int value; } ping;
static int alerts;

static void on_ping(void *arg, hl_run *run, const hl_event *event) {
  ping *p = arg;
  char body[128];
  int value = (int)hl_json_int(event->json, "seq", 0) + 1;
  p->calls++;
  snprintf(body, sizeof body, "{\"properties\":{\"%s\":\"%d\"}}", p->writes, value);
  hl_run_wrote(run, HL_WRITE_UPDATE, event->account, "contacts", event->object_id, hl_str_of(body));
  p->value = value;
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
}

static void on_alert(void *arg, hl_run *run, const hl_event *event) {
  (void)arg;
  const cJSON *payload = cJSON_GetObjectItemCaseSensitive(event->json, "payload");
  if (strcmp(hl_json_str(payload, "kind", ""), "depth") == 0) alerts++;
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
}

/* a writes y when x changes, b writes x when y changes: without end, if nobody stopped it. */
static void a_chain_over_hubspot_ends(void **state) {
  (void)state;
  world w;
  ping a = {&w, "y", 0, 0}, b = {&w, "x", 0, 0};
  alerts = 0;
  world_loop(&w, true);
  world_engine(&w, NULL);
  hl_handler_options oa = {.script = "a.lua", .property = "x"}, ob = {.script = "b.lua", .property = "y"};
  assert_int_equal(hl_engine_on(w.e, "contact.propertyChange", false, &oa, on_ping, &a, NULL, &w.err), 0);
  assert_int_equal(hl_engine_on(w.e, "contact.propertyChange", false, &ob, on_ping, &b, NULL, &w.err), 0);
  assert_int_equal(hl_engine_on(w.e, HL_ALERT_TYPE, true, &(hl_handler_options){.script = "c.lua"}, on_alert, NULL, NULL, &w.err), 0);
  world_start(&w);
  char more[64] = "";
  int value = 0, turns = 0;
  for (; turns < 40; turns++) {
    ping *p = turns % 2 ? &b : &a;
    int before = p->calls;
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    snprintf(more, sizeof more, ",\"seq\":%d,\"changeSource\":\"INTEGRATION\"", value);
    changed(&w, "contact.propertyChange", 7, turns % 2 ? "y" : "x", text, more);
    if (p->calls == before) break;
    value = p->value;
  }
  assert_int_equal(turns, 9); /* the first, and eight that follow from it */
  settle_down(&w);
  pass(&w, HL_MINUTE);
  assert_int_equal(stats_of(&w).dead, 1);
  assert_int_equal(alerts, 1);
  /* What a person changes begins a chain of its own. */
  changed(&w, "contact.propertyChange", 7, "x", "100", ",\"seq\":100,\"changeSource\":\"CRM_UI\"");
  assert_int_equal(a.calls, 6);
  world_end(&w);
}

/* ---- against a model: as many events are excused as were written, never more ---- */

enum { OBJECTS = 5, VALUES = 3 };
typedef struct model { int written[OBJECTS][VALUES]; int ran, excused; } model;
static model m;
static bool expect_skip;
static hl_engine *engine;

static void on_model(void *arg, hl_run *run, const hl_event *event) {
  hl_rng *r = arg;
  char body[64];
  assert_false(expect_skip);
  m.ran++;
  for (int n = (int)hl_rng_below(r, 3); n > 0; n--) {
    int object = (int)hl_rng_below(r, OBJECTS), value = (int)hl_rng_below(r, VALUES);
    char id[16];
    snprintf(id, sizeof id, "%d", object + 1);
    snprintf(body, sizeof body, "{\"properties\":{\"p\":%d}}", value);
    hl_own_mark mark = hl_run_wrote(run, HL_WRITE_UPDATE, event->account, "0-1", id, hl_str_of(body));
    assert_int_equal(mark.n, 1);
    if (hl_rng_below(r, 5) == 0) hl_engine_not_written(engine, mark);
    else m.written[object][value]++;
  }
  hl_run_finish(run, hl_rng_below(r, 6) ? HL_RUN_DONE : HL_RUN_DEAD, HL_STR("dice"));
}

static void random_writes(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 4; seed++) {
    world w;
    hl_rng r;
    m = (model){0};
    hl_rng_init(&r, seed);
    world_loop(&w, true);
    world_engine(&w, NULL);
    assert_int_equal(hl_engine_on(w.e, "contact.propertyChange", false, &(hl_handler_options){.script = "a.lua"}, on_model, &r, NULL, &w.err), 0);
    world_start(&w);
    engine = w.e;
    for (int i = 0; i < 1500; i++) {
      int object = (int)hl_rng_below(&r, OBJECTS), value = (int)hl_rng_below(&r, VALUES);
      char text[16];
      snprintf(text, sizeof text, "%d", value);
      expect_skip = m.written[object][value] > 0;
      if (expect_skip) {
        m.written[object][value]--;
        m.excused++;
      }
      bool person = !expect_skip && hl_rng_below(&r, 2);
      changed(&w, "contact.propertyChange", object + 1, "p", text, person ? ",\"changeSource\":\"CRM_UI\"" : "");
      if (i % 50 == 49) { /* all is forgotten */
        pass(&w, 11 * HL_MINUTE);
        memset(m.written, 0, sizeof m.written);
      }
    }
    settle_down(&w);
    hl_engine_stats s = stats_of(&w);
    assert_int_equal(s.own, m.excused);
    assert_int_equal(s.ran + s.dead, 1500 - m.excused);
    assert_true(m.excused > 100);
    world_end(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_write_excuses_one_event),
      cmocka_unit_test(alone_it_counts_as_own),
      cmocka_unit_test(what_does_not_fit_runs),
      cmocka_unit_test(after_ten_minutes_it_is_forgotten),
      cmocka_unit_test(a_write_that_failed_excuses_nothing),
      cmocka_unit_test(a_created_object_of_any_type_counts),
      cmocka_unit_test(who_asks_gets_its_own_events_marked),
      cmocka_unit_test(records_survive_a_restart),
      cmocka_unit_test(a_chain_over_hubspot_ends),
      cmocka_unit_test(random_writes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
