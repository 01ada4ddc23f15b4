/* What on() may ask for, at the engine's door, in virtual time. */
#include "engine_util.h"

static const char *const company[] = {"company", NULL};

/* Events of 200 objects under 7 keys, in random order, runs that end when they
 * like: one at a time of each key, in the order of occurredAt among pending ones. */
enum { KEYS = 7, N = 3000 };

typedef struct keyed {
  world w;
  hl_run *out[KEYS];
  int64_t out_at[KEYS], pending[KEYS][N]; /* pending: occurredAt, 0: none */
  int runs, most;
} keyed;

static void keyed_run(void *arg, hl_run *run, const hl_event *event) {
  keyed *k = arg;
  int key = (int)hl_json_int(event->json, "company", *hl_json_str(event->json, "company", "-") - '0'), n = (int)hl_json_int(event->json, "eventId", -1), out = 0;
  assert_in_range(key, 0, KEYS - 1);
  assert_null(k->out[key]);
  assert_int_equal(k->pending[key][n], event->occurred_at);
  for (int i = 0; i < N; i++)
    if (k->pending[key][i]) assert_true(k->pending[key][i] >= event->occurred_at);
  k->pending[key][n] = 0;
  k->out[key] = run;
  k->runs++;
  for (int i = 0; i < KEYS; i++) out += k->out[i] != NULL;
  if (out > k->most) k->most = out;
}

static void a_key_is_a_lane(void **state) {
  (void)state;
  static keyed k;
  hl_rng r;
  hl_rng_init(&r, 5);
  world_loop(&k.w, true);
  world_engine(&k.w, NULL);
  hl_handler_options o = {.script = "t.lua", .key_fields = company};
  assert_int_equal(hl_engine_on(k.w.e, "contact.creation", false, &o, keyed_run, &k, NULL, &k.w.err), 0);
  world_start(&k.w);
  int sent = 0;
  while (k.runs < N) {
    if (sent < N && hl_rng_below(&r, 3)) {
      char body[256];
      int key = (int)hl_rng_below(&r, KEYS);
      int64_t at = 1 + (int64_t)hl_rng_below(&r, 100000);
      /* An id is the same key as a number and as text. */
      snprintf(body, sizeof body,
               hl_rng_below(&r, 2) ? "[{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d,\"company\":%d,\"occurredAt\":%lld}]"
                                   : "[{\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"objectId\":%d,\"company\":\"%d\",\"occurredAt\":%lld}]",
               sent, (int)hl_rng_below(&r, 200), key, (long long)at);
      k.pending[key][sent++] = at;
      received(&k.w, body);
    } else {
      int key = (int)hl_rng_below(&r, KEYS);
      hl_run *run = k.out[key];
      k.out[key] = NULL;
      if (run) hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
    }
    pass(&k.w, 0);
  }
  for (int i = 0; i < KEYS; i++)
    if (k.out[i]) hl_run_finish(k.out[i], HL_RUN_DONE, HL_STR(""));
  settle_down(&k.w);
  assert_int_equal(stats_of(&k.w).ran, N);
  assert_int_equal(k.most, KEYS); /* keys do not wait for each other */
  world_end(&k.w);
}

static void without_the_field_it_is_the_object(void **state) {
  (void)state;
  world w;
  static probe p;
  p = (probe){.hold = true};
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .key_fields = company}, &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 7, 10) "," CREATED(2, 7, 11) "," CREATED(3, 8, 12) "]");
  pass(&w, 0);
  assert_int_equal(p.calls, 2);
  hl_run_finish(p.held[0], HL_RUN_DONE, HL_STR(""));
  pass(&w, 0);
  assert_int_equal(p.calls, 3);
  assert_string_equal(p.objects[2], "7");
  for (int i = 1; i < 3; i++) hl_run_finish(p.held[i], HL_RUN_DONE, HL_STR(""));
  world_end(&w);
}

static void the_payload_of_an_own_event_has_fields_too(void **state) {
  (void)state;
  world w;
  static probe p;
  p = (probe){.hold = true};
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_with(&w, "chase", true, (hl_handler_options){.script = "t.lua", .key_fields = company}, &p);
  world_start(&w);
  hl_run *run = hl_engine_begin(w.e, "t.lua", "main");
  const char *payloads[] = {"{\"company\":\"5\"}", "{\"company\":5}", "{\"company\":\"6\"}"};
  for (int i = 0; i < 3; i++) assert_int_equal(hl_run_emit(run, "chase", hl_str_of(payloads[i]), 0, NULL, NULL, &w.err), 0);
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  for (int i = 0; i < 5; i++) pass(&w, 0);
  assert_int_equal(p.calls, 2);
  hl_run_finish(p.held[0], HL_RUN_DONE, HL_STR(""));
  pass(&w, 0);
  assert_int_equal(p.calls, 3);
  for (int i = 1; i < 3; i++) hl_run_finish(p.held[i], HL_RUN_DONE, HL_STR(""));
  world_end(&w);
}

static int no_key(void *arg, const hl_event *event, hl_buf *out, hl_error *err) {
  (void)arg;
  if (strcmp(event->object_id, "7") != 0) return hl_buf_puts(out, event->object_id);
  return hl_fail(err, HL_ESCRIPT, "no luck with 7");
}

/* It is not run in an order that nobody knows; the others go on. */
static void an_event_without_its_key_is_parked(void **state) {
  (void)state;
  world w;
  static probe p;
  p = (probe){0};
  world_loop(&w, true);
  world_engine(&w, NULL);
  listen_with(&w, "contact.creation", false, (hl_handler_options){.script = "t.lua", .key = no_key}, &p);
  world_start(&w);
  received(&w, "[" CREATED(1, 7, 10) "," CREATED(2, 8, 11) "]");
  settle_down(&w);
  assert_int_equal(p.calls, 1);
  assert_string_equal(p.objects[0], "8");
  hl_engine_stats s = stats_of(&w);
  assert_int_equal(s.dead, 1);
  assert_int_equal(s.ran, 1);
  world_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_key_is_a_lane),
      cmocka_unit_test(without_the_field_it_is_the_object),
      cmocka_unit_test(the_payload_of_an_own_event_has_fields_too),
      cmocka_unit_test(an_event_without_its_key_is_parked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
