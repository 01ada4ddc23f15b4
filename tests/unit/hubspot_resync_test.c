/* The search for what was deleted, against answers that the simulator does not give. Virtual time. */
#include "hubspot/resync.h"
#include "hubspot_model.h"

static struct search {
  char told[4096];
  bool refuse, done, again;
  char error[256];
  uint64_t records;
  hl_loop *loop;
  hl_journal_done taken;
  void *taken_arg;
  hl_timer later;
} search;

static void archived(model_request *r, const char *id, const char *at) {
  hl_buf_printf(&r->answer, "%s{\"id\":\"%s\",\"archived\":true,\"archivedAt\":\"%s\"}", r->answer.p[r->answer.n - 1] == '[' ? "" : ",", id, at);
}

/* 1 and 5 were deleted, 2 was before that time, 3 is merged into 9, 4 is back. */
static void answer_as(model *m, model_request *r) {
  (void)m;
  if (search.refuse) {
    r->status = 403;
    hl_buf_puts(&r->answer, "{\"message\":\"no\"}");
  } else if (strstr(r->query, "archived=true")) {
    bool second = strstr(r->query, "after=a%2Bb") != NULL;
    hl_buf_puts(&r->answer, "{\"results\":[");
    if (second) {
      archived(r, "5", "2026-11-02T00:00:00Z");
      hl_buf_puts(&r->answer, "]}");
    } else {
      archived(r, "1", "2026-11-01T12:00:00.250Z");
      archived(r, "2", "2026-10-01T00:00:00Z");
      archived(r, "3", "2026-11-01T00:00:00Z");
      archived(r, "4", "2026-11-01T00:00:00Z");
      hl_buf_puts(&r->answer, "],\"paging\":{\"next\":{\"after\":\"a+b\"}}}");
    }
  } else if (strstr(r->path, "/0-1/3") || strstr(r->path, "/0-1/4")) {
    hl_buf_printf(&r->answer, "{\"id\":\"%s\"}", strstr(r->path, "/3") ? "9" : "4");
  } else {
    r->status = 404;
    hl_buf_puts(&r->answer, "{\"message\":\"no such record\"}");
  }
}

static void on_later(hl_timer *t, void *arg) {
  (void)t, (void)arg;
  search.taken(search.taken_arg, 0);
}

static void deliver(void *arg, hl_str body, hl_journal_done done, void *done_arg) {
  cJSON *list, *e;
  (void)arg;
  assert_int_equal(hl_json_parse(body, &list, NULL), 0);
  cJSON_ArrayForEach(e, list) {
    size_t n = strlen(search.told);
    snprintf(search.told + n, sizeof search.told - n, "%s %s %lld %d\n", hl_json_str(e, "subscriptionType", ""), hl_json_str(e, "objectId", ""),
             (long long)hl_json_int(e, "occurredAt", 0), cJSON_IsTrue(hl_json_get(e, "resync")));
  }
  cJSON_Delete(list);
  search.taken = done;
  search.taken_arg = done_arg;
  hl_timer_start(search.loop, &search.later, 5, on_later, NULL);
}

static void finished(void *arg, const char *error, bool again, uint64_t records) {
  (void)arg;
  search.done = true;
  search.again = again;
  search.records = records;
  snprintf(search.error, sizeof search.error, "%s", error ? error : "");
}

static void run_search(bool refuse, model **out) {
  model *m = model_new("professional", 3);
  search = (struct search){.refuse = refuse, .loop = m->loop};
  m->answer = answer_as;
  hl_resync_options o = {.loop = m->loop, .account = m->account, .portal = 1, .since = INT64_C(1793491200000), /* 2026-11-01 */
                         .wants = HL_NEW(hl_resync_want), .n = 1, .deliver = deliver, .finished = finished};
  o.wants[0] = (hl_resync_want){.type_id = "0-1", .deletion = true};
  hl_resync *r = hl_resync_start(&o);
  assert_int_equal(hl_loop_run_until(m->loop, &search.done), 0);
  hl_resync_free(r);
  *out = m;
}

static void only_what_was_deleted_is_told(void **state) {
  (void)state;
  model *m;
  run_search(false, &m);
  assert_string_equal(search.error, "");
  assert_string_equal(search.told, "contact.deletion 1 1793534400250 1\ncontact.deletion 5 1793577600000 1\n");
  assert_int_equal(search.records, 4);
  assert_null(strstr(m->lines, "/search")); /* nobody listens to anything else */
  model_free(m);
}

static void a_refusal_ends_it(void **state) {
  (void)state;
  model *m;
  run_search(true, &m);
  assert_false(search.again);
  has(search.error, "403");
  assert_string_equal(search.told, "");
  model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_what_was_deleted_is_told),
      cmocka_unit_test(a_refusal_ends_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
