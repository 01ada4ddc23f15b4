#include "hubspot_model.h"

#include "hubspot/held.h"

/* Writes that are held back: what changes something, and what a script is told. */

static const int64_t NOW = INT64_C(1788249600000);

static int setup(void **state) {
  *state = model_new("professional", 1);
  return 0;
}
static int teardown(void **state) {
  model *m = *state;
  assert_int_equal(m->requests, 0); /* nothing has left */
  model_free(m);
  return 0;
}

static void told(model *m, hl_api_call call, int status, const char *json) {
  cJSON *answer = NULL;
  int got;
  hl_error err;
  call.script = "a.lua";
  if (call.kind != HL_API_RAW) call.type = "contacts";
  if (hl_api_hold(m->account, &call, "held-1.0-1", NOW, &answer, &got, &err)) fail_msg("%s", err.text);
  char *text = answer ? hl_json_print(answer) : NULL;
  assert_int_equal(got, status);
  if (json) assert_string_equal(text ? text : "(none)", json);
  else assert_null(text);
  hl_free(text);
  cJSON_Delete(answer);
}

#define AT "\"2026-09-01T08:00:00.000Z\""
#define PROPERTIES "{\"properties\":{\"a\":\"1\",\"b\":2,\"c\":true,\"d\":1.5,\"e\":12345678901234567,\"f\":null}}"
#define AS_TEXT "\"properties\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"true\",\"d\":\"1.5\",\"e\":\"12345678901234567\",\"f\":null}"

static void writes_of_one_record(void **state) {
  told(*state, (hl_api_call){.kind = HL_API_CREATE, .body = HL_STR(PROPERTIES)}, 201,
       "{\"id\":\"held-1.0-1\"," AS_TEXT ",\"createdAt\":" AT ",\"updatedAt\":" AT ",\"archived\":false}");
  told(*state, (hl_api_call){.kind = HL_API_UPDATE, .id = "151", .body = HL_STR(PROPERTIES)}, 200,
       "{\"id\":\"151\"," AS_TEXT ",\"updatedAt\":" AT ",\"archived\":false}");
  told(*state, (hl_api_call){.kind = HL_API_UPSERT, .id = "a@example.com", .id_property = "email", .body = HL_STR("{\"properties\":{}}")}, 200,
       "{\"id\":\"held-1.0-1\",\"properties\":{},\"updatedAt\":" AT ",\"archived\":false}");
  told(*state, (hl_api_call){.kind = HL_API_ARCHIVE, .id = "151"}, 204, NULL);
  told(*state, (hl_api_call){.kind = HL_API_ASSOCIATE, .id = "151", .to_type = "companies", .to_id = "7"}, 204, NULL);
  told(*state, (hl_api_call){.kind = HL_API_DISASSOCIATE, .id = "151", .to_type = "companies", .to_id = "7"}, 204, NULL);
}

static hl_api_call raw(const char *method, const char *path, const char *body) {
  return (hl_api_call){.kind = HL_API_RAW, .method = method, .path = path, .body = hl_str_of(body)};
}

static void raw_writes(void **state) {
  told(*state, raw("POST", "/crm/objects/{version}/contacts/batch/create", "{\"inputs\":[{\"properties\":{\"n\":1}},{}]}"), 201,
       "{\"status\":\"COMPLETE\",\"results\":["
       "{\"id\":\"held-1.0-1.1\",\"properties\":{\"n\":\"1\"},\"createdAt\":" AT ",\"updatedAt\":" AT ",\"archived\":false},"
       "{\"id\":\"held-1.0-1.2\",\"properties\":{},\"createdAt\":" AT ",\"updatedAt\":" AT ",\"archived\":false}]}");
  told(*state, raw("POST", "/crm/objects/{version}/contacts/batch/update", "{\"inputs\":[{\"id\":\"7\"},{\"id\":\"x\",\"idProperty\":\"email\"}]}"), 200,
       "{\"status\":\"COMPLETE\",\"results\":[{\"id\":\"7\",\"properties\":{},\"updatedAt\":" AT ",\"archived\":false},"
       "{\"id\":\"held-1.0-1.2\",\"properties\":{},\"updatedAt\":" AT ",\"archived\":false}]}");
  told(*state, raw("POST", "/crm/objects/{version}/contacts/batch/archive", "{\"inputs\":[]}"), 204, NULL);
  told(*state, raw("POST", "/crm/objects/{version}/contacts/merge", "{\"primaryObjectId\":\"1\",\"objectIdToMerge\":\"2\"}"), 201,
       "{\"primaryObjectId\":\"1\",\"objectIdToMerge\":\"2\",\"id\":\"1\"}");
  told(*state, raw("POST", "/crm/lists/{version}", "{\"name\":\"x\"}"), 201, "{\"name\":\"x\",\"id\":\"held-1.0-1\"}");
  told(*state, raw("PUT", "/crm/lists/{version}/7/memberships/add", "[1,2]"), 204, NULL);
  told(*state, raw("PATCH", "/crm/properties/{version}/contacts/x", "{\"label\":\"X\"}"), 200, "{\"label\":\"X\"}");
  told(*state, raw("DELETE", "/crm/lists/{version}/7", NULL), 204, NULL);
}

/* What would not leave is refused in the same words. */
static void misuse_is_refused(void **state) {
  model *m = *state;
  const hl_api_call calls[] = {
      {.kind = HL_API_UPDATE, .type = "contacts", .id = "1", .body = HL_STR("{}")}, {.kind = HL_API_CREATE, .type = "contacts", .id = "1", .body = HL_STR(PROPERTIES)},
      {.kind = HL_API_UPSERT, .type = "contacts", .id = "1", .body = HL_STR(PROPERTIES)}, {.kind = HL_API_RAW, .method = "POST", .path = "//evil"},
      {.kind = HL_API_ARCHIVE, .type = "contacts", .id = ".."},
  };
  for (size_t i = 0; i < HL_COUNT(calls); i++) {
    hl_error held, sent;
    cJSON *answer = NULL;
    int status;
    assert_int_equal(hl_api_hold(m->account, &calls[i], "held", NOW, &answer, &status, &held), HL_EINVAL);
    assert_int_equal(hl_api_send(m->account, &calls[i], NULL, NULL, NULL, &sent), HL_EINVAL);
    assert_string_equal(held.text, sent.text);
    assert_null(answer);
  }
}

static void what_changes_something(void **state) {
  (void)state;
  static const struct { const char *method, *path; bool changes; } rows[] = {
      {"GET", "/crm/objects/{version}/contacts", false}, {"HEAD", "/x", false}, {"POST", "/crm/objects/{version}/contacts/search", false},
      {"POST", "/crm/objects/{version}/contacts/batch/read", false}, {"POST", "/crm/lists/{version}/idmapping", false},
      {"POST", "/communication-preferences/{version}/statuses/batch/unsubscribe-all/read", false}, {"POST", "/crm/objects/{version}/contacts", true},
      {"POST", "/crm/objects/{version}/contacts/batch/create", true}, {"PUT", "/x/search", true}, {"DELETE", "/x/batch/read", true}, {"PATCH", "/x", true},
      {"POST", "/search", true},
  };
  for (size_t i = 0; i < HL_COUNT(rows); i++)
    if (hl_api_changes(HL_API_RAW, rows[i].method, rows[i].path) != rows[i].changes) fail_msg("%s %s", rows[i].method, rows[i].path);
  assert_false(hl_api_changes(HL_API_GET, NULL, NULL));
  assert_false(hl_api_changes(HL_API_ASSOCIATIONS, NULL, NULL));
  static const hl_api_kind writes[] = {HL_API_CREATE, HL_API_UPDATE, HL_API_UPSERT, HL_API_ARCHIVE, HL_API_ASSOCIATE, HL_API_DISASSOCIATE};
  for (size_t i = 0; i < HL_COUNT(writes); i++) assert_true(hl_api_changes(writes[i], NULL, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(writes_of_one_record, setup, teardown),
      cmocka_unit_test_setup_teardown(raw_writes, setup, teardown),
      cmocka_unit_test_setup_teardown(misuse_is_refused, setup, teardown),
      cmocka_unit_test(what_changes_something),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
