/* The simulator's doors in C: requests, control calls, the transport, the record. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lua/sim.h"

typedef struct world {
  hl_log *log;
  hl_loop *loop;
  hl_sim *sim;
  hl_headers headers;
  bool answered;
  int status, err;
  hl_buf body;
  unsigned answers;
  hl_sim_way way;
  hl_transport door;       /* where webhooks arrive */
  hl_buf delivered;
  bool signed_v3;
} world;

static void on_answer(void *arg, const hl_http_response *r) {
  world *w = arg;
  w->answered = true;
  w->answers++;
  w->status = r->status;
  w->err = r->err.code;
  hl_buf_clear(&w->body);
  hl_buf_append(&w->body, r->body.p ? r->body.p : "", r->body.n);
}

static void at_the_door(void *arg, const hl_http_response *r, const hl_sim_way *way) {
  ((world *)arg)->way = *way;
  on_answer(arg, r);
}

typedef struct reply { hl_defer defer; hl_http_cb cb; void *arg; } reply;

static void reply_now(hl_defer *d, void *arg) {
  reply *r = arg;
  (void)d;
  hl_http_response response = {.status = 204};
  r->cb(r->arg, &response);
  hl_free(r);
}

static int door_send(hl_transport *t, const hl_http_request *q, hl_http_cb cb, void *arg, hl_http_op **op,
                     hl_error *err) {
  world *w = HL_CONTAINER(t, world, door);
  (void)err;
  hl_buf_append(&w->delivered, q->body.p, q->body.n);
  w->signed_v3 = hl_headers_get(q->headers, "X-HubSpot-Signature-v3") != NULL;
  reply *r = HL_NEW(reply);
  r->cb = cb;
  r->arg = arg;
  hl_defer_start(w->loop, &r->defer, reply_now, r);
  *op = (hl_http_op *)(void *)r;
  return 0;
}

static void door_cancel(hl_transport *t, hl_http_op *op) {
  (void)t;
  (void)op;
}

static world *world_new(const char *json, const char *record) {
  world *w = HL_NEW(world);
  hl_error err;
  hl_buf_init(&w->body, 1 << 24);
  hl_buf_init(&w->delivered, 1 << 24);
  w->log = hl_log_new(HL_LOG_OFF, false);
  hl_loop_options lo = {.is_virtual = true, .seed = 3};
  assert_int_equal(hl_loop_new(&lo, w->log, &w->loop, &err), 0);
  w->door = (hl_transport){door_send, door_cancel, NULL, NULL};
  hl_sim_options so = {.json = json, .record = record, .deliver = &w->door};
  if (hl_sim_new(w->loop, &so, &w->sim, &err)) fail_msg("%s", err.text);
  hl_headers_add(&w->headers, HL_STR("Authorization"), HL_STR("Bearer token-of-the-test"));
  hl_headers_add(&w->headers, HL_STR("Content-Type"), HL_STR("application/json"));
  return w;
}

static void world_free(world *w) {
  hl_sim_free(w->sim);
  hl_loop_run(w->loop);
  hl_loop_free(w->loop);
  hl_log_free(w->log);
  hl_headers_deinit(&w->headers);
  hl_buf_deinit(&w->body);
  hl_buf_deinit(&w->delivered);
  hl_free(w);
}

#define OPTIONS "{\"token\":\"token-of-the-test\",\"client_secret\":\"s3cret\"}"

static void ask(world *w, const char *method, const char *target, const char *body) {
  w->answered = false;
  hl_sim_handle(w->sim, method, target, &w->headers, hl_str_of(body), at_the_door, w);
  assert_false(w->answered); /* never from inside */
  assert_int_equal(hl_loop_run_until(w->loop, &w->answered), 0);
}

static char *control(world *w, const char *name, const char *args) {
  char *out = NULL;
  hl_error err;
  if (hl_sim_control(w->sim, name, hl_str_of(args), &out, &err)) fail_msg("%s", err.text);
  return out;
}

static void answers_requests(void **state) {
  (void)state;
  world *w = world_new(OPTIONS, NULL);
  ask(w, "POST", "/crm/objects/2026-09/contacts",
      "{\"properties\":{\"email\":\"a@example.com\"},\"associations\":[]}");
  assert_int_equal(w->status, 201);
  assert_non_null(strstr(w->body.p, "a@example.com"));
  ask(w, "GET", "/crm/objects/2026-09/contacts?limit=1&properties=email", "");
  assert_int_equal(w->status, 200);
  assert_non_null(strstr(w->body.p, "a@example.com"));
  hl_headers_deinit(&w->headers);
  ask(w, "GET", "/crm/objects/2026-09/contacts", "");
  assert_int_equal(w->status, 401);
  world_free(w);
}

static void control_calls_answer_at_once(void **state) {
  (void)state;
  world *w = world_new(OPTIONS, NULL);
  char *made = control(w, "create", "{\"type\":\"contacts\",\"properties\":{\"email\":\"b@example.com\"}}");
  assert_non_null(strstr(made, "b@example.com"));
  hl_free(made);
  char *out = (char *)1;
  hl_error err;
  assert_int_not_equal(hl_sim_control(w->sim, "no_such_thing", HL_STR("{}"), &out, &err), 0);
  assert_non_null(strstr(err.text, "no_such_thing"));
  assert_int_not_equal(hl_sim_control(w->sim, "create", HL_STR("{not json"), &out, &err), 0);
  assert_int_not_equal(hl_sim_control(w->sim, "create", HL_STR("{\"type\":\"unicorns\"}"), &out, &err), 0);
  assert_ptr_equal(out, (char *)1); /* untouched on failure */
  world_free(w);
}

static void wrong_options_are_named(void **state) {
  (void)state;
  hl_log *log = hl_log_new(HL_LOG_OFF, false);
  hl_loop *loop;
  hl_error err;
  hl_loop_options lo = {.is_virtual = true};
  assert_int_equal(hl_loop_new(&lo, log, &loop, &err), 0);
  hl_sim *sim;
  assert_int_not_equal(hl_sim_new(loop, &(hl_sim_options){.json = "{\"contact\":5}"}, &sim, &err), 0);
  assert_non_null(strstr(err.text, "contact"));
  assert_int_not_equal(hl_sim_new(loop, &(hl_sim_options){.json = "{"}, &sim, &err), 0);
  assert_int_not_equal(hl_sim_new(loop, &(hl_sim_options){.record = "/no/such/folder/file"}, &sim, &err), 0);
  assert_non_null(strstr(err.text, "/no/such/folder/file"));
  hl_loop_run(loop);
  hl_loop_free(loop);
  hl_log_free(log);
}

static void transport_answers_for_any_host(void **state) {
  (void)state;
  world *w = world_new(OPTIONS, NULL);
  hl_transport *t = hl_sim_transport(w->sim);
  hl_http_request q = {.method = "GET", .url = "https://api.hubapi.com/crm/owners/2026-09?limit=2",
                       .headers = &w->headers};
  hl_http_op *op;
  hl_error err;
  assert_int_equal(t->send(t, &q, on_answer, w, &op, &err), 0);
  assert_int_equal(hl_loop_run_until(w->loop, &w->answered), 0);
  assert_int_equal(w->status, 200);
  world_free(w);
}

static void slow_answers_time_out_and_dropped_ones_fail(void **state) {
  (void)state;
  world *w = world_new(OPTIONS, NULL);
  hl_free(control(w, "fail", "{\"match\":{\"path\":\"/crm/owners\"},\"latency_ms\":60000,\"times\":1}"));
  hl_transport *t = hl_sim_transport(w->sim);
  hl_http_request q = {.method = "GET", .url = "https://api.hubapi.com/crm/owners/2026-09", .headers = &w->headers,
                       .timeout_ms = 5000};
  hl_http_op *op;
  hl_error err;
  int64_t from = hl_loop_now(w->loop);
  assert_int_equal(t->send(t, &q, on_answer, w, &op, &err), 0);
  assert_int_equal(hl_loop_run_until(w->loop, &w->answered), 0);
  assert_int_equal(w->status, 0);
  assert_int_equal(w->err, HL_ETIMEOUT);
  assert_int_equal(hl_loop_now(w->loop) - from, 5000); /* virtual */
  hl_free(control(w, "fail", "{}"));
  hl_free(control(w, "fail", "{\"match\":{\"path\":\"/crm/owners\"},\"drop\":true,\"times\":1}"));
  w->answered = false;
  assert_int_equal(t->send(t, &q, on_answer, w, &op, &err), 0);
  assert_int_equal(hl_loop_run_until(w->loop, &w->answered), 0);
  assert_int_equal(w->status, 0);
  assert_int_equal(w->err, HL_ENET);
  assert_int_equal(w->answers, 2);
  world_free(w);
}

/* A door on a network has to break the answer itself; a transport without one tells what a client would see. */
static void broken_and_slow_answers_have_their_way(void **state) {
  (void)state;
  world *w = world_new(OPTIONS, "broken.jsonl");
  hl_free(control(w, "fail", "{\"drop\":\"half\",\"times\":2}"));
  ask(w, "GET", "/crm/owners/2026-09", "");
  assert_int_equal(w->status, 200);
  assert_true(w->way.half);
  hl_transport *t = hl_sim_transport(w->sim);
  hl_http_request q = {.method = "GET", .url = "https://api.hubapi.com/crm/owners/2026-09", .headers = &w->headers};
  hl_http_op *op;
  hl_error err;
  w->answered = false;
  assert_int_equal(t->send(t, &q, on_answer, w, &op, &err), 0);
  assert_int_equal(hl_loop_run_until(w->loop, &w->answered), 0);
  assert_int_equal(w->status, 0);
  assert_int_equal(w->err, HL_ENET);

  hl_free(control(w, "fail", "{\"trickle_ms\":4000,\"times\":2}"));
  int64_t from = hl_loop_now(w->loop);
  ask(w, "GET", "/crm/owners/2026-09", "");
  assert_int_equal(w->way.trickle_ms, 4000);
  assert_false(w->way.half);
  assert_int_equal(hl_loop_now(w->loop) - from, 0);
  w->answered = false;
  assert_int_equal(t->send(t, &q, on_answer, w, &op, &err), 0);
  assert_int_equal(hl_loop_run_until(w->loop, &w->answered), 0);
  assert_int_equal(w->status, 200);
  assert_int_equal(hl_loop_now(w->loop) - from, 4000);
  world_free(w);

  FILE *f = fopen("broken.jsonl", "r");
  assert_non_null(f);
  char line[65536];
  for (size_t i = 0; i < 4; i++) {
    assert_non_null(fgets(line, sizeof line, f));
    assert_true((strstr(line, "\"broken\":true") != NULL) == (i == 0)); /* the second never left */
  }
  fclose(f);
}

static void cancelled_calls_never_answer(void **state) {
  (void)state;
  world *w = world_new(OPTIONS, NULL);
  hl_transport *t = hl_sim_transport(w->sim);
  hl_http_request q = {.method = "GET", .url = "https://api.hubapi.com/crm/owners/2026-09", .headers = &w->headers};
  hl_http_op *op;
  hl_error err;
  assert_int_equal(t->send(t, &q, on_answer, w, &op, &err), 0);
  t->cancel(t, op);
  assert_int_equal(hl_loop_run_until(w->loop, &w->answered), HL_ETIMEOUT);
  assert_int_equal(w->answers, 0);
  /* One that is out when the simulator goes. */
  assert_int_equal(t->send(t, &q, on_answer, w, &op, &err), 0);
  world_free(w);
}

static void record_has_a_line_a_request(void **state) {
  (void)state;
  world *w = world_new(OPTIONS, "record.jsonl");
  ask(w, "GET", "/crm/owners/2026-09?limit=1", "");
  ask(w, "POST", "/crm/objects/2026-09/contacts", "{}");
  world_free(w);
  FILE *f = fopen("record.jsonl", "r");
  assert_non_null(f);
  char line[65536];
  static const char *const paths[] = {"/crm/owners/2026-09", "/crm/objects/2026-09/contacts"};
  for (size_t i = 0; i < 2; i++) {
    assert_non_null(fgets(line, sizeof line, f));
    cJSON *j = cJSON_Parse(line);
    assert_non_null(j);
    assert_string_equal(hl_json_str(j, "path", ""), paths[i]);
    assert_string_equal(hl_json_str(j, "query", "none"), i == 0 ? "limit=1" : "");
    assert_int_equal(hl_json_int(j, "status", 0), i == 0 ? 200 : 400);
    assert_non_null(hl_json_get(j, "responseHeaders"));
    assert_true(strlen(hl_json_str(j, "responseBody", "")) > 2);
    assert_string_equal(hl_json_str(j, "requestBody", "none"), i == 0 ? "" : "{}");
    cJSON_Delete(j);
  }
  assert_null(fgets(line, sizeof line, f));
  fclose(f);
}

static void webhooks_leave_signed(void **state) {
  (void)state;
  world *w = world_new("{\"client_secret\":\"s3cret\",\"webhook_url\":\"https://hooks.test/hubspot\","
                       "\"subscriptions\":[\"contact.creation\"]}", NULL);
  hl_free(control(w, "create", "{\"type\":\"contacts\",\"properties\":{\"email\":\"c@example.com\"}}"));
  hl_loop_run(w->loop);
  assert_true(w->signed_v3);
  cJSON *events = cJSON_Parse(w->delivered.p);
  assert_int_equal(cJSON_GetArraySize(events), 1);
  assert_string_equal(hl_json_str(cJSON_GetArrayItem(events, 0), "subscriptionType", ""), "contact.creation");
  cJSON_Delete(events);
  world_free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_requests),
      cmocka_unit_test(control_calls_answer_at_once),
      cmocka_unit_test(wrong_options_are_named),
      cmocka_unit_test(transport_answers_for_any_host),
      cmocka_unit_test(slow_answers_time_out_and_dropped_ones_fail),
      cmocka_unit_test(broken_and_slow_answers_have_their_way),
      cmocka_unit_test(cancelled_calls_never_answer),
      cmocka_unit_test(record_has_a_line_a_request),
      cmocka_unit_test(webhooks_leave_signed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
