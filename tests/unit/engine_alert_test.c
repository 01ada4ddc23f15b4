/* Alerts: what is told to on("hubloop.alert"), and what must not be. In memory, virtual time. */
#include "engine_util.h"

enum { TEXTS = 64 };
typedef struct heard {
  int n;
  char kind[TEXTS][32], text[TEXTS][2600], event[TEXTS][40];
  int count[TEXTS];
} heard;

static void note(probe *p, hl_run *run, const hl_event *event) {
  heard *h = p->arg;
  (void)run;
  const cJSON *payload = cJSON_GetObjectItem(event->json, "payload");
  int k = h->n++;
  assert_true(k < TEXTS);
  snprintf(h->kind[k], sizeof h->kind[k], "%s", hl_json_str(payload, "kind", ""));
  snprintf(h->text[k], sizeof h->text[k], "%s", hl_json_str(payload, "text", ""));
  snprintf(h->event[k], sizeof h->event[k], "%s", hl_json_str(payload, "event", ""));
  h->count[k] = (int)hl_json_int(payload, "count", 0);
}

static world w;
static probe alerts, others;
static heard h;

static void open_world(void) {
  memset(&alerts, 0, sizeof alerts);
  memset(&others, 0, sizeof others);
  memset(&h, 0, sizeof h);
  world_loop(&w, true);
  world_engine(&w, NULL);
  alerts.work = note;
  alerts.arg = &h;
}

static void listen_to_alerts(void) {
  listen_with(&w, HL_ALERT_TYPE, true, (hl_handler_options){.script = "alerts.lua", .retries = 0}, &alerts);
}

static void a_dead_letter_is_told(void **state) {
  (void)state;
  open_world();
  listen_to_alerts();
  others.fail_first = 1;
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .retries = 0}, &others);
  world_start(&w);
  received(&w, "[" CREATED(1, 10, 300) "]");
  settle_down(&w);
  assert_int_equal(h.n, 1);
  assert_string_equal(h.kind[0], "dead_letter");
  assert_non_null(strstr(h.text[0], "t.lua “contact.creation” event 1.0: dead letter after 1 attempt: told to fail"));
  assert_string_equal(h.event[0], "1.0");
  assert_int_equal(stats_of(&w).dead, 1);
  assert_int_equal(stats_of(&w).ran, 1);
  world_end(&w);
}

/* One alert for a body, when it is stored; none for what the store has refused. */
static void malformed_events_are_told(void **state) {
  (void)state;
  answer a = {0};
  open_world();
  listen_to_alerts();
  world_start(&w);
  hl_store_fault(hl_engine_store(w.e), "commit", HL_EFULL, 1);
  receive(&w, "[{\"eventId\":5}]", &a);
  pass(&w, 10 * HL_SECOND);
  settle_down(&w);
  assert_int_equal(a.r.code, HL_EFULL);
  assert_int_equal(h.n, 1);
  assert_string_equal(h.kind[0], "store_stalled");
  received(&w, "[" CREATED(1, 10, 300) ",{\"eventId\":5},7,null]");
  settle_down(&w);
  assert_int_equal(h.n, 2);
  assert_string_equal(h.kind[1], "dead_letter");
  char text[160];
  snprintf(text, sizeof text, "event %s and 2 more of its body (push): malformed, so a dead letter: no object, or no subscriptionType", h.event[1]);
  assert_string_equal(h.text[1], text);
  assert_non_null(strstr(h.event[1], ".1"));
  assert_int_equal(stats_of(&w).dead, 3);
  for (int i = 0; i < 100; i++) received(&w, "[7]");
  settle_down(&w);
  assert_int_equal(h.n, 11); /* ten a minute, of its kind */
  world_end(&w);
}

/* Told when nothing will try it again: after its retries, and each time it was due. */
static void a_failed_schedule_is_told(void **state) {
  (void)state;
  for (unsigned retries = 0; retries < 3; retries += 2) {
    open_world();
    listen_to_alerts();
    others.fail_first = 4;
    others.w = &w;
    hl_schedule_options s = {.every_ms = HL_HOUR, .text = "every 1h"};
    hl_handler_options o = {.script = "t.lua", .retries = retries};
    assert_int_equal(hl_engine_schedule(w.e, &s, &o, on_event, &others, NULL, &w.err), 0);
    world_start(&w);
    pass(&w, 90 * HL_MINUTE);
    settle_down(&w);
    assert_int_equal(others.calls, 1 + retries);
    assert_int_equal(h.n, 1);
    assert_string_equal(h.kind[0], "schedule_failed");
    assert_non_null(strstr(h.text[0], "t.lua “every 1h” failed for "));
    assert_non_null(strstr(h.text[0], "told to fail"));
    pass(&w, HL_HOUR);
    settle_down(&w);
    assert_int_equal(h.n, retries ? 1 : 2); /* with retries the fifth attempt goes well */
    world_end(&w);
  }
}

static void a_failing_alert_handler_does_not_alert(void **state) {
  (void)state;
  open_world();
  listen_to_alerts();
  alerts.fail_first = 100;
  world_start(&w);
  hl_engine_alert(w.e, "journal_expired", "too old", NULL);
  settle_down(&w);
  pass(&w, 10 * HL_MINUTE);
  settle_down(&w);
  assert_int_equal(h.n, 1);
  assert_int_equal(stats_of(&w).dead, 1);
  assert_int_equal(stats_of(&w).acknowledged, 1);
  world_end(&w);
}

static void without_a_listener_nothing_is_stored(void **state) {
  (void)state;
  open_world();
  world_start(&w);
  hl_engine_alert(w.e, "depth", "deep", cJSON_CreateObject());
  settle_down(&w);
  assert_int_equal(stats_of(&w).acknowledged, 0);
  world_end(&w);
}

static void many_of_a_kind_are_folded(void **state) {
  (void)state;
  open_world();
  listen_to_alerts();
  world_start(&w);
  for (int i = 0; i < 1000; i++) {
    char text[32];
    snprintf(text, sizeof text, "number %d", i);
    hl_engine_alert(w.e, "dead_letter", text, NULL);
  }
  hl_engine_alert(w.e, "depth", "another kind", NULL);
  pass(&w, 59 * 1000);
  settle_down(&w);
  assert_int_equal(h.n, 11);
  pass(&w, 2000);
  settle_down(&w);
  assert_int_equal(h.n, 12);
  assert_int_equal(h.count[11], 990);
  assert_string_equal(h.text[11], "990 more within a minute, the last one: number 999");
  hl_engine_alert(w.e, "dead_letter", "later", NULL); /* a new window */
  settle_down(&w);
  assert_int_equal(h.n, 13);
  assert_string_equal(h.text[12], "later");
  world_end(&w);
}

/* A script may listen to alerts and cause them: at most so many a minute. */
static void alert_loop(probe *p, hl_run *run, const hl_event *event) {
  note(p, run, event);
  hl_engine_alert(w.e, "dead_letter", "again", NULL);
  if (h.n > TEXTS / 2) h.n = TEXTS / 2;
}

static void alerts_that_cause_alerts_are_slow(void **state) {
  (void)state;
  open_world();
  listen_to_alerts();
  alerts.work = alert_loop;
  world_start(&w);
  hl_engine_alert(w.e, "dead_letter", "first", NULL);
  pass(&w, 10 * HL_MINUTE);
  assert_in_range(alerts.calls, 11, 11 * 12);
  world_end(&w);
}

static void a_stall_is_told_when_it_is_over(void **state) {
  (void)state;
  open_world();
  listen_to_alerts();
  world_start(&w);
  hl_store_fault(hl_engine_store(w.e), "commit", HL_EFULL, 3);
  answer a = {0};
  receive(&w, "[" CREATED(1, 10, 300) "]", &a);
  pass(&w, 1);
  assert_true(stats_of(&w).stalled);
  assert_int_equal(h.n, 0);
  pass(&w, 10000);
  assert_false(stats_of(&w).stalled);
  settle_down(&w);
  assert_int_equal(h.n, 1);
  assert_string_equal(h.kind[0], "store_stalled");
  world_end(&w);
}

static void emit_again(probe *p, hl_run *run, const hl_event *event) {
  (void)p, (void)event;
  assert_int_equal(hl_run_emit(run, "loop", HL_STR("{}"), 0, NULL, NULL, NULL), 0);
}

static void depth_is_told(void **state) {
  (void)state;
  open_world();
  listen_to_alerts();
  others.work = emit_again;
  listen_with(&w, "loop", true, (hl_handler_options){.script = "t.lua"}, &others);
  world_start(&w);
  hl_run *run = hl_engine_begin(w.e, "t.lua", "main");
  emit_again(NULL, run, NULL);
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  settle_down(&w);
  assert_int_equal(h.n, 1);
  assert_string_equal(h.kind[0], "depth");
  assert_non_null(strstr(h.text[0], "“loop”"));
  world_end(&w);
}

/* A text cut inside a character stays text; the caller's details do not replace kind and text. */
static void odd_texts_and_details(void **state) {
  (void)state;
  open_world();
  listen_to_alerts();
  world_start(&w);
  cJSON *details = cJSON_CreateObject();
  cJSON_AddStringToObject(details, "text", "not this");
  cJSON_AddStringToObject(details, "event", "7.1");
  hl_engine_alert(w.e, "dead_letter", "gr\xc3\xbc\xc3", details);
  hl_engine_alert(w.e, "dead_letter", "", NULL);
  hl_engine_alert(w.e, "dead_letter", "\x80\x80", NULL);
  hl_engine_alert(w.e, "dead_letter", "\xf0\x9f\x98\x80", NULL);
  settle_down(&w);
  assert_int_equal(h.n, 4);
  assert_string_equal(h.text[0], "gr\xc3\xbc");
  assert_string_equal(h.event[0], "7.1");
  assert_string_equal(h.text[3], "\xf0\x9f\x98\x80");
  world_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_dead_letter_is_told),
      cmocka_unit_test(malformed_events_are_told),
      cmocka_unit_test(a_failed_schedule_is_told),
      cmocka_unit_test(a_failing_alert_handler_does_not_alert),
      cmocka_unit_test(without_a_listener_nothing_is_stored),
      cmocka_unit_test(many_of_a_kind_are_folded),
      cmocka_unit_test(alerts_that_cause_alerts_are_slow),
      cmocka_unit_test(a_stall_is_told_when_it_is_over),
      cmocka_unit_test(depth_is_told),
      cmocka_unit_test(odd_texts_and_details),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
