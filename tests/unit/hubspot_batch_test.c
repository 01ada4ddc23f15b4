#include "hubspot_model.h"

/* A small CRM: answers gets, reads and updates of contacts. Ids: "404" is not
 * there, "old" was merged into "new" (batch reads leave it out), "bad" makes a
 * batch fail whole; properties echo their name. */
static void record(hl_buf *b, const char *id, const cJSON *names) {
  const cJSON *n;
  hl_buf_printf(b, "{\"id\":\"%s\",\"properties\":{\"hs_object_id\":\"%s\"", id, id);
  cJSON_ArrayForEach(n, names) hl_buf_printf(b, ",\"%s\":\"%s of %s\"", n->valuestring, n->valuestring, id);
  if (names && !names->child) hl_buf_puts(b, ",\"email\":\"default\"");
  hl_buf_puts(b, "},\"createdAt\":\"2026-01-01T00:00:00Z\",\"updatedAt\":\"2026-01-01T00:00:00Z\",\"archived\":false}");
}

static void crm_batch(model_request *r, bool read) {
  const cJSON *in, *inputs = hl_json_get(r->body, "inputs");
  assert_in_range(cJSON_GetArraySize(inputs), 1, 100);
  if (read) {
    assert_true(cJSON_IsArray(hl_json_get(r->body, "properties")));
    assert_true(cJSON_IsArray(hl_json_get(r->body, "propertiesWithHistory")));
  }
  hl_buf errors;
  hl_buf_init(&errors, 1 << 20);
  bool first = true, missing = false;
  cJSON_ArrayForEach(in, inputs) {
    for (const cJSON *other = in->next; other; other = other->next)
      assert_string_not_equal(hl_json_str(in, "id", ""), hl_json_str(other, "id", ""));
    if (!read) assert_true(cJSON_IsObject(hl_json_get(in, "properties")));
    if (strcmp(hl_json_str(in, "id", ""), "bad") == 0) {
      r->status = 400;
      hl_buf_puts(&r->answer, "{\"status\":\"error\",\"category\":\"VALIDATION_ERROR\",\"message\":\"bad row\"}");
      hl_buf_deinit(&errors);
      return;
    }
  }
  hl_buf_puts(&r->answer, "{\"status\":\"COMPLETE\",\"results\":[");
  const cJSON *last = inputs->child->prev; /* backwards: order is not promised */
  for (in = last; in; in = in == inputs->child ? NULL : in->prev) {
    const char *id = hl_json_str(in, "id", "");
    if (strcmp(id, "old") == 0) continue;
    if (strcmp(id, "404") == 0) {
      missing = true;
      hl_buf_puts(&errors, "{\"status\":\"error\",\"category\":\"OBJECT_NOT_FOUND\",\"message\":\"no such contact\","
                           "\"context\":{\"ids\":[\"404\"]}}");
      continue;
    }
    if (!first) hl_buf_puts(&r->answer, ",");
    first = false;
    record(&r->answer, id, read ? hl_json_get(r->body, "properties") : NULL);
  }
  hl_buf_puts(&r->answer, "]");
  if (missing) {
    r->status = 207;
    hl_buf_printf(&r->answer, ",\"numErrors\":1,\"errors\":[%s]", errors.p);
  }
  hl_buf_puts(&r->answer, "}");
  hl_buf_deinit(&errors);
}

static void crm(model *m, model_request *r) {
  (void)m;
  const char *id = strrchr(r->path, '/') + 1;
  if (strcmp(r->path, "/crm/objects/2026-09/contacts/batch/read") == 0) crm_batch(r, true);
  else if (strcmp(r->path, "/crm/objects/2026-09/contacts/batch/update") == 0) crm_batch(r, false);
  else if (strcmp(id, "404") == 0 || strcmp(id, "bad") == 0) {
    r->status = strcmp(id, "bad") == 0 ? 400 : 404;
    hl_buf_printf(&r->answer, "{\"status\":\"error\",\"category\":\"%s\",\"message\":\"single %s\"}",
                  r->status == 400 ? "VALIDATION_ERROR" : "OBJECT_NOT_FOUND", id);
  } else {
    record(&r->answer, strcmp(id, "old") == 0 ? "new" : id, NULL);
  }
}

static int setup(void **state) {
  model *m = model_new("professional", 1);
  m->answer = crm;
  m->limit = 190;
  *state = m;
  return 0;
}
static int teardown(void **state) {
  model_free(*state);
  return 0;
}

static void one_call_travels_alone(void **state) {
  model *m = *state;
  asked a, b;
  ask_get(m, &a, "7", (const char *[]){"email", "a b", NULL});
  hl_loop_run(m->loop);
  assert_string_equal(m->lines, "GET /crm/objects/2026-09/contacts/7?properties=email,a%20b \n");
  m->lines_n = 0;
  ask_update(m, &b, "a/b", "{\"properties\":{\"x\":\"1\"}}");
  hl_loop_run(m->loop);
  assert_string_equal(m->lines, "PATCH /crm/objects/2026-09/contacts/a%2Fb {\"properties\":{\"x\":\"1\"}}\n");
  assert_null(a.kind);
  asked_free(&a);
  asked_free(&b);
}

static void gets_of_a_turn_share_one_read(void **state) {
  model *m = *state;
  asked a, b, c, d, e;
  ask_get(m, &a, "1", (const char *[]){"email", NULL});
  ask_get(m, &b, "2", (const char *[]){"phone", "email", NULL});
  ask_get(m, &c, "1", (const char *[]){"city", NULL});
  ask_get(m, &d, "3", NULL);
  ask_get(m, &e, "4", NULL);
  hl_loop_run(m->loop);
  assert_int_equal(m->requests, 2);
  has(m->lines, "{\"properties\":[\"email\",\"phone\",\"city\"],\"propertiesWithHistory\":[],"
                "\"inputs\":[{\"id\":\"1\"},{\"id\":\"2\"}]}");
  has(m->lines, "{\"properties\":[],\"propertiesWithHistory\":[],\"inputs\":[{\"id\":\"3\"},{\"id\":\"4\"}]}");
  has(a.json, "\"properties\":{\"hs_object_id\":\"1\",\"email\":\"email of 1\"}");
  has(b.json, "\"properties\":{\"hs_object_id\":\"2\",\"email\":\"email of 2\",\"phone\":\"phone of 2\"}");
  has(c.json, "\"properties\":{\"hs_object_id\":\"1\",\"city\":\"city of 1\"}");
  has(d.json, "\"email\":\"default\"");
  hl_api_stats s;
  hl_account_stats(m->account, &s);
  assert_int_equal(s.calls, 5);
  assert_int_equal(s.requests, 2);
  assert_int_equal(s.batched, 5);
  assert_int_equal(s.queued + s.in_flight, 0);
  asked_free(&a), asked_free(&b), asked_free(&c), asked_free(&d), asked_free(&e);
}

static void each_row_has_its_own_end(void **state) {
  model *m = *state;
  asked a, b, c;
  ask_get(m, &a, "1", NULL);
  ask_get(m, &b, "404", NULL);
  ask_get(m, &c, "old", NULL);
  hl_loop_run(m->loop);
  has(a.json, "\"id\":\"1\"");
  assert_int_equal(b.status, 404);
  assert_string_equal(b.category, "OBJECT_NOT_FOUND");
  has(b.message, "no such contact");
  has(c.json, "\"id\":\"new\""); /* left out of the batch: asked singly */
  assert_int_equal(m->requests, 2);
  asked_free(&a), asked_free(&b), asked_free(&c);
}

static void a_bad_row_fails_alone(void **state) {
  model *m = *state;
  asked a[9];
  for (int i = 0; i < 9; i++) {
    char id[16];
    snprintf(id, sizeof id, i == 5 ? "bad" : "%d", i);
    ask_update(m, &a[i], id, "{\"properties\":{\"x\":\"1\"}}");
  }
  hl_loop_run(m->loop);
  for (int i = 0; i < 9; i++) {
    assert_true(a[i].done);
    if (i == 5) {
      assert_int_equal(a[i].status, 400);
      has(a[i].message, "single bad");
    } else {
      assert_null(a[i].kind);
    }
    asked_free(&a[i]);
  }
}

static void writes_of_an_object_keep_their_order(void **state) {
  model *m = *state;
  asked a, b, c, d, e;
  ask_update(m, &a, "1", "{\"properties\":{\"x\":\"first\"}}");
  ask_get(m, &b, "1", NULL);
  ask_update(m, &c, "1", "{\"properties\":{\"x\":\"second\"}}");
  ask_get(m, &d, "1", NULL);
  /* Another spelling of the same object. */
  ask(m, &e, &(hl_api_call){.kind = HL_API_UPDATE, .type = "0-1", .id = "1", .body = HL_STR("{\"properties\":{\"x\":\"third\"}}")});
  hl_loop_run(m->loop);
  char *first = strstr(m->lines, "first"), *second = strstr(m->lines, "second"), *third = strstr(m->lines, "third");
  assert_true(first && second && third && first < second && second < third);
  assert_true(a.order < b.order && a.order < c.order && c.order < d.order && c.order < e.order);
  assert_true(strstr(m->lines, "GET") > first);
  asked_free(&a), asked_free(&b), asked_free(&c), asked_free(&d), asked_free(&e);
}

static void ten_thousand_updates_are_a_hundred_requests(void **state) {
  model *m = *state;
  enum { N = 10000 };
  asked *a = hl_alloc(N * sizeof *a);
  for (int i = 0; i < N; i++) {
    char id[16];
    snprintf(id, sizeof id, "%d", 100000 + i);
    ask_update(m, &a[i], id, "{\"properties\":{\"x\":\"1\"}}");
  }
  hl_loop_run(m->loop);
  assert_int_equal(m->requests, 100);
  assert_int_equal(m->done, N);
  assert_int_equal(m->failed, 0);
  assert_int_equal(m->most_out, 16);
  for (int i = 0; i < N; i++) asked_free(&a[i]);
  hl_free(a);
}

static void other_keys_have_their_own_batch(void **state) {
  model *m = *state;
  asked a, b, c;
  hl_api_call call = {.kind = HL_API_UPDATE, .type = "contacts", .id = "a@x", .id_property = "email",
                      .body = HL_STR("{\"properties\":{\"x\":\"1\"}}")};
  ask(m, &a, &call);
  ask_update(m, &b, "1", "{\"properties\":{\"x\":\"1\"}}");
  call.id = "2";
  call.id_property = NULL;
  call.no_batch = true;
  ask(m, &c, &call);
  hl_loop_run(m->loop);
  assert_int_equal(m->requests, 3);
  has(m->lines, "PATCH /crm/objects/2026-09/contacts/a%40x?idProperty=email ");
  asked_free(&a), asked_free(&b), asked_free(&c);
}

static void cancelled_calls_are_not_called_back(void **state) {
  model *m = *state;
  asked a, b, c, d;
  hl_api_op *gone = ask_get(m, &a, "1", NULL);
  ask_get(m, &b, "2", NULL);
  hl_api_op *writer = ask_update(m, &c, "3", "{\"properties\":{\"x\":\"1\"}}");
  ask_get(m, &d, "3", NULL); /* waits for the write that is cancelled */
  hl_api_cancel(gone);
  hl_api_cancel(writer);
  hl_loop_run(m->loop);
  assert_false(a.done);
  assert_true(b.done);
  assert_false(c.done);
  assert_true(d.done);
  assert_int_equal(m->requests, 1);
  asked_free(&b), asked_free(&d);
}

static void freeing_ends_every_call(void **state) {
  model *m = *state;
  asked a[20], w, g;
  for (int i = 0; i < 20; i++) ask_raw(m, &a[i], "GET", "/crm/owners/{version}", "");
  ask_update(m, &w, "1", "{\"properties\":{}}");
  ask_get(m, &g, "1", NULL);
  bool *first = &a[0].done;
  hl_loop_run_until(m->loop, first);
  hl_hubspot_free(m->hubspot);
  m->hubspot = NULL;
  assert_int_equal(m->done, 22);
  assert_string_equal(g.kind, "cancelled");
  for (int i = 0; i < 20; i++) asked_free(&a[i]);
  asked_free(&w), asked_free(&g);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(one_call_travels_alone), T(gets_of_a_turn_share_one_read), T(each_row_has_its_own_end),
      T(a_bad_row_fails_alone), T(writes_of_an_object_keep_their_order),
      T(ten_thousand_updates_are_a_hundred_requests), T(other_keys_have_their_own_batch),
      T(cancelled_calls_are_not_called_back), T(freeing_ends_every_call),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
