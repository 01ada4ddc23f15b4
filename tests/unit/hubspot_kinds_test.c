#include "hubspot_model.h"

/* What each kind of call sends alone and in a batch, what its callers get, and
 * which calls keep their order. */

static struct { int status; const char *body; } plan[8];
static size_t n_plan, at_plan;

static void echo(model *m, model_request *r) {
  (void)m;
  if (at_plan < n_plan) {
    r->status = plan[at_plan].status;
    if (plan[at_plan].body) hl_buf_puts(&r->answer, plan[at_plan].body);
    at_plan++;
    return;
  }
  if (strcmp(r->method, "DELETE") == 0 || strstr(r->path, "batch/archive")) r->status = 204;
  else hl_buf_puts(&r->answer, "{\"id\":\"1\",\"properties\":{},\"results\":[]}");
}

static void answers(int status, const char *body) {
  plan[n_plan].status = status;
  plan[n_plan++].body = body;
}

static int setup(void **state) {
  model *m = model_new("professional", 1);
  n_plan = at_plan = 0;
  model_greet(m);
  m->answer = echo;
  *state = m;
  return 0;
}
static int teardown(void **state) {
  model_free(*state);
  return 0;
}

static void ask_kind(model *m, asked *a, hl_api_kind kind, const char *id, const char *body) {
  ask(m, a, &(hl_api_call){.kind = kind, .script = "a.lua", .type = "contacts", .id = id, .body = hl_str_of(body),
                           .id_property = kind == HL_API_UPSERT ? "email" : NULL});
}

static void ask_pair(model *m, asked *a, hl_api_kind kind, const char *id, const char *to, const char *types) {
  ask(m, a, &(hl_api_call){.kind = kind, .script = "a.lua", .type = "contacts", .id = id, .to_type = "companies", .to_id = to,
                           .body = hl_str_of(types)});
}

static void sent(model *m, const char *lines) {
  hl_loop_run(m->loop);
  assert_string_equal(m->lines, lines);
  m->lines_n = 0;
  m->lines[0] = 0;
}

#define P1 "{\"properties\":{\"x\":\"1\"}}"
#define LABEL "[{\"associationCategory\":\"HUBSPOT_DEFINED\",\"associationTypeId\":279}]"

static void one_call_is_a_plain_call(void **state) {
  model *m = *state;
  asked a;
  ask_kind(m, &a, HL_API_CREATE, NULL, P1);
  sent(m, "POST /crm/objects/2026-09/contacts {\"properties\":{\"x\":\"1\"},\"associations\":[]}\n");
  asked_free(&a);
  ask_kind(m, &a, HL_API_ARCHIVE, "7", "");
  sent(m, "DELETE /crm/objects/2026-09/contacts/7 \n");
  assert_int_equal(a.status, 204);
  assert_null(a.kind);
  asked_free(&a);
  ask_pair(m, &a, HL_API_ASSOCIATE, "7", "8", "");
  sent(m, "PUT /crm/objects/2026-09/contacts/7/associations/default/companies/8 \n");
  asked_free(&a);
  ask_pair(m, &a, HL_API_ASSOCIATE, "7", "8", LABEL);
  sent(m, "PUT /crm/objects/2026-09/contacts/7/associations/companies/8 " LABEL "\n");
  asked_free(&a);
  ask_pair(m, &a, HL_API_DISASSOCIATE, "7", "8", "");
  sent(m, "DELETE /crm/objects/2026-09/contacts/7/associations/companies/8 \n");
  asked_free(&a);
}

/* These have no single form. */
static void some_are_batches_of_one(void **state) {
  model *m = *state;
  asked a;
  answers(200, "{\"results\":[{\"id\":\"5\",\"new\":true,\"objectWriteTraceId\":\"0\",\"properties\":{}}]}");
  ask_kind(m, &a, HL_API_UPSERT, "a@x", P1);
  sent(m, "POST /crm/objects/2026-09/contacts/batch/upsert {\"inputs\":[{\"id\":\"a@x\",\"idProperty\":\"email\","
          "\"objectWriteTraceId\":\"0\",\"properties\":{\"x\":\"1\"}}]}\n");
  has(a.json, "\"new\":true");
  asked_free(&a);
  answers(200, "{\"results\":[]}");
  ask_pair(m, &a, HL_API_DISASSOCIATE, "7", "8", LABEL);
  sent(m, "POST /crm/associations/2026-09/contacts/companies/batch/labels/archive {\"inputs\":[{\"from\":{\"id\":\"7\"},"
          "\"to\":{\"id\":\"8\"},\"types\":" LABEL "}]}\n");
  assert_null(a.kind);
  asked_free(&a);
  answers(200, "{\"results\":[{\"from\":{\"id\":\"7\"},\"to\":[{\"toObjectId\":\"8\"}],\"paging\":{\"next\":{\"after\":\"c\"}}}]}");
  ask(m, &a, &(hl_api_call){.kind = HL_API_ASSOCIATIONS, .type = "contacts", .id = "7", .to_type = "companies", .after = "b"});
  sent(m, "POST /crm/associations/2026-09/contacts/companies/batch/read {\"inputs\":[{\"id\":\"7\",\"after\":\"b\"}]}\n");
  has(a.json, "\"after\":\"c\"");
  asked_free(&a);
  /* A query that no server would take. */
  enum { N = 400 };
  char names[N][40];
  const char *list[N + 1] = {NULL};
  for (int i = 0; i < N; i++) {
    snprintf(names[i], sizeof names[i], "a_rather_long_property_%d", i);
    list[i] = names[i];
  }
  answers(200, "{\"results\":[{\"id\":\"7\",\"properties\":{\"a_rather_long_property_399\":\"v\"}}]}");
  ask_get(m, &a, "7", list);
  hl_loop_run(m->loop);
  has(m->lines, "POST /crm/objects/2026-09/contacts/batch/read {\"properties\":[\"a_rather_long_property_0\",");
  has(a.json, "\"a_rather_long_property_399\":\"v\"");
  asked_free(&a);
}

static void rows_of_creates_are_told_by_their_trace(void **state) {
  model *m = *state;
  asked a[3];
  answers(207, "{\"status\":\"COMPLETE\",\"results\":[{\"id\":\"52\",\"objectWriteTraceId\":\"2\",\"properties\":{}},"
               "{\"id\":\"50\",\"objectWriteTraceId\":\"0\",\"properties\":{}}],\"numErrors\":1,\"errors\":[{\"status\":\"error\","
               "\"category\":\"CONFLICT\",\"message\":\"Contact already exists. Existing ID: 9\",\"context\":"
               "{\"objectWriteTraceId\":[\"1\"]}}]}");
  for (int i = 0; i < 3; i++) {
    char body[64];
    snprintf(body, sizeof body, "{\"properties\":{\"email\":\"c%d@x\"}}", i);
    ask_kind(m, &a[i], HL_API_CREATE, NULL, body);
  }
  sent(m, "POST /crm/objects/2026-09/contacts/batch/create {\"inputs\":["
          "{\"objectWriteTraceId\":\"0\",\"properties\":{\"email\":\"c0@x\"},\"associations\":[]},"
          "{\"objectWriteTraceId\":\"1\",\"properties\":{\"email\":\"c1@x\"},\"associations\":[]},"
          "{\"objectWriteTraceId\":\"2\",\"properties\":{\"email\":\"c2@x\"},\"associations\":[]}]}\n");
  has(a[0].json, "\"id\":\"50\"");
  assert_int_equal(a[0].status, 201);
  has(a[1].message, "already exists");
  assert_int_equal(a[1].status, 409);
  has(a[2].json, "\"id\":\"52\"");
  for (int i = 0; i < 3; i++) asked_free(&a[i]);
}

/* A refusal of the whole shows that nothing was written: halves are sent. An
 * answer that leaves a create out shows nothing. */
static void refused_creates_are_halved(void **state) {
  model *m = *state;
  asked a[2];
  answers(400, "{\"category\":\"VALIDATION_ERROR\",\"message\":\"one is bad\"}");
  answers(400, "{\"category\":\"VALIDATION_ERROR\",\"message\":\"this one\"}");
  answers(201, "{\"id\":\"51\",\"properties\":{}}");
  m->latency = 0;
  for (int i = 0; i < 2; i++) ask_kind(m, &a[i], HL_API_CREATE, NULL, P1);
  hl_loop_run(m->loop);
  assert_int_equal(m->requests, 3);
  has(a[0].message, "this one");
  has(a[1].json, "\"id\":\"51\"");
  for (int i = 0; i < 2; i++) asked_free(&a[i]);
  answers(201, "{\"results\":[{\"id\":\"52\",\"objectWriteTraceId\":\"1\",\"properties\":{}}]}");
  for (int i = 0; i < 2; i++) ask_kind(m, &a[i], HL_API_CREATE, NULL, P1);
  hl_loop_run(m->loop);
  assert_int_equal(m->requests, 4);
  assert_string_equal(a[0].kind, "uncertain");
  has(a[1].json, "\"id\":\"52\"");
  for (int i = 0; i < 2; i++) asked_free(&a[i]);
  answers(500, "{\"message\":\"half done?\"}"); /* no proof of anything */
  for (int i = 0; i < 2; i++) ask_kind(m, &a[i], HL_API_CREATE, NULL, P1);
  hl_loop_run(m->loop);
  assert_int_equal(m->requests, 5);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(a[i].status, 500);
    asked_free(&a[i]);
  }
}

static void archives_answer_without_rows(void **state) {
  model *m = *state;
  asked a[3];
  for (int i = 0; i < 3; i++) ask_kind(m, &a[i], HL_API_ARCHIVE, (const char *[]){"1", "2", "3"}[i], "");
  sent(m, "POST /crm/objects/2026-09/contacts/batch/archive {\"inputs\":[{\"id\":\"1\"},{\"id\":\"2\"},{\"id\":\"3\"}]}\n");
  for (int i = 0; i < 3; i++) {
    assert_null(a[i].kind);
    assert_int_equal(a[i].status, 204);
    asked_free(&a[i]);
  }
}

static void pairs_of_a_turn_share_a_batch(void **state) {
  model *m = *state;
  asked a[6];
  m->latency = 0;
  answers(200, "{\"results\":[{\"from\":{\"id\":\"1\"},\"to\":{\"id\":\"9\"},\"associationSpec\":{\"associationTypeId\":279}},"
               "{\"from\":{\"id\":\"9\"},\"to\":{\"id\":\"1\"}},"
               "{\"from\":{\"id\":\"1\"},\"to\":{\"id\":\"8\"}},{\"from\":{\"id\":\"8\"},\"to\":{\"id\":\"1\"}}]}");
  answers(207, "{\"results\":[{\"fromObjectId\":\"2\",\"toObjectId\":\"9\",\"labels\":[\"Primary\"]}],\"errors\":[{\"category\":"
               "\"OBJECT_NOT_FOUND\",\"message\":\"no 3\",\"context\":{\"fromObjectId\":[\"3\"],\"toObjectId\":[\"9\"]}}]}");
  answers(200, "{\"results\":[]}");
  ask_pair(m, &a[0], HL_API_ASSOCIATE, "1", "9", "");
  ask_pair(m, &a[1], HL_API_ASSOCIATE, "1", "8", "");
  ask_pair(m, &a[2], HL_API_ASSOCIATE, "2", "9", LABEL);
  ask_pair(m, &a[3], HL_API_ASSOCIATE, "3", "9", LABEL);
  ask_pair(m, &a[4], HL_API_DISASSOCIATE, "4", "9", "");
  ask_pair(m, &a[5], HL_API_DISASSOCIATE, "5", "9", "");
  sent(m, "POST /crm/associations/2026-09/contacts/companies/batch/associate/default {\"inputs\":["
          "{\"from\":{\"id\":\"1\"},\"to\":{\"id\":\"9\"}},{\"from\":{\"id\":\"1\"},\"to\":{\"id\":\"8\"}}]}\n"
          "POST /crm/associations/2026-09/contacts/companies/batch/create {\"inputs\":["
          "{\"from\":{\"id\":\"2\"},\"to\":{\"id\":\"9\"},\"types\":" LABEL "},"
          "{\"from\":{\"id\":\"3\"},\"to\":{\"id\":\"9\"},\"types\":" LABEL "}]}\n"
          "POST /crm/associations/2026-09/contacts/companies/batch/archive {\"inputs\":["
          "{\"from\":{\"id\":\"4\"},\"to\":[{\"id\":\"9\"}]},{\"from\":{\"id\":\"5\"},\"to\":[{\"id\":\"9\"}]}]}\n");
  has(a[0].json, "{\"status\":\"COMPLETE\",\"results\":[{\"from\":{\"id\":\"1\"},\"to\":{\"id\":\"9\"},");
  has(a[2].json, "Primary");
  assert_int_equal(a[3].status, 404);
  for (int i = 0; i < 6; i++) {
    assert_true(i == 3 || !a[i].kind);
    asked_free(&a[i]);
  }
}

/* An error that names no row of an archive: each is asked alone, for it can be
 * done again. */
static void an_error_without_a_row_is_found_alone(void **state) {
  model *m = *state;
  asked a[3];
  answers(207, "{\"results\":[],\"errors\":[{\"category\":\"OBJECT_NOT_FOUND\",\"message\":\"one of them\"}]}");
  for (int i = 0; i < 3; i++) ask_pair(m, &a[i], HL_API_DISASSOCIATE, (const char *[]){"1", "2", "3"}[i], "9", "");
  hl_loop_run(m->loop);
  assert_int_equal(m->requests, 4);
  for (int i = 0; i < 3; i++) {
    assert_null(a[i].kind);
    asked_free(&a[i]);
  }
}

static void pages_of_links(void **state) {
  model *m = *state;
  asked a[4];
  hl_api_call call = {.kind = HL_API_ASSOCIATIONS, .type = "contacts", .to_type = "companies"};
  answers(207, "{\"results\":[{\"from\":{\"id\":\"1\"},\"to\":[{\"toObjectId\":\"9\"}]}],\"errors\":[{\"category\":"
               "\"OBJECT_NOT_FOUND\",\"subCategory\":\"crm.associations.NO_ASSOCIATIONS_FOUND\",\"message\":\"none\","
               "\"context\":{\"fromObjectId\":[\"2\"]}}]}");
  answers(200, "{\"results\":[{\"from\":{\"id\":\"1\"},\"to\":[{\"toObjectId\":\"10\"}]}]}");
  m->latency = 0;
  call.id = "1", ask(m, &a[0], &call);
  call.id = "2", ask(m, &a[1], &call);
  call.id = "1", ask(m, &a[2], &call);
  call.after = "p", ask(m, &a[3], &call); /* the same row's next page cannot be in the same batch */
  sent(m, "POST /crm/associations/2026-09/contacts/companies/batch/read {\"inputs\":[{\"id\":\"1\"},{\"id\":\"2\"}]}\n"
          "POST /crm/associations/2026-09/contacts/companies/batch/read {\"inputs\":[{\"id\":\"1\",\"after\":\"p\"}]}\n");
  assert_string_equal(a[0].json, a[2].json);
  assert_string_equal(a[1].json, "{\"from\":{\"id\":\"2\"},\"to\":[]}");
  has(a[3].json, "\"10\"");
  for (int i = 0; i < 4; i++) asked_free(&a[i]);
}

/* ---- order ---- */

/* Asks for both in one turn, and says whether the second left after the first had come back. */
static bool waits(model *m, const hl_api_call *first, const hl_api_call *second) {
  asked a, b;
  size_t before = m->requests;
  m->most_out = 0;
  ask(m, &a, first);
  ask(m, &b, second);
  hl_loop_run(m->loop);
  assert_true(a.done && b.done);
  assert_true(m->requests - before == 2 || m->most_out == 1);
  bool ordered = m->requests - before == 2 && m->most_out == 1;
  if (ordered) assert_true(a.order < b.order);
  asked_free(&a), asked_free(&b);
  return ordered;
}

#define CALL(...) (&(hl_api_call){.script = "a.lua", __VA_ARGS__})
#define RAW(...) CALL(.kind = HL_API_RAW, __VA_ARGS__)
#define OBJECT(...) CALL(.type = "contacts", .body = HL_STR(P1), __VA_ARGS__)
#define PAIR(k_, id_, to_) CALL(.kind = k_, .type = "contacts", .id = id_, .to_type = "companies", .to_id = to_)

static void calls_on_one_object_keep_their_order(void **state) {
  model *m = *state;
  const hl_api_call *update = OBJECT(.kind = HL_API_UPDATE, .id = "7");
  assert_true(waits(m, update, OBJECT(.kind = HL_API_ARCHIVE, .id = "7")));
  assert_true(waits(m, OBJECT(.kind = HL_API_ARCHIVE, .id = "7"), OBJECT(.kind = HL_API_GET, .id = "7")));
  assert_true(waits(m, update, RAW(.method = "PATCH", .path = "/crm/objects/{version}/0-1/7")));
  assert_true(waits(m, RAW(.method = "DELETE", .path = "/crm/objects/{version}/contacts/7"), update));
  assert_true(waits(m, update, RAW(.method = "GET", .path = "/crm/objects/{version}/contacts/7")));
  assert_true(waits(m, RAW(.method = "POST", .path = "/crm/objects/{version}/contacts/merge",
                           .body = HL_STR("{\"primaryObjectId\":\"6\",\"objectIdToMerge\":\"7\"}")), update));
  assert_true(waits(m, update, RAW(.method = "POST", .path = "/crm/objects/{version}/contacts/gdpr-delete", .body = HL_STR("{\"objectId\":\"7\"}"))));
  assert_true(waits(m, update, PAIR(HL_API_ASSOCIATE, "7", "9")));
  assert_true(waits(m, PAIR(HL_API_DISASSOCIATE, "7", "9"), OBJECT(.kind = HL_API_ARCHIVE, .id = "7")));
  assert_true(waits(m, PAIR(HL_API_ASSOCIATE, "7", "9"),
                    CALL(.kind = HL_API_UPDATE, .type = "companies", .id = "9", .body = HL_STR(P1))));
  assert_true(waits(m, PAIR(HL_API_ASSOCIATE, "7", "9"), PAIR(HL_API_DISASSOCIATE, "7", "9")));
  assert_true(waits(m, PAIR(HL_API_ASSOCIATE, "7", "9"),
                    CALL(.kind = HL_API_DISASSOCIATE, .type = "companies", .id = "9", .to_type = "contacts", .to_id = "7")));
  assert_true(waits(m, PAIR(HL_API_ASSOCIATE, "7", "9"),
                    CALL(.kind = HL_API_ASSOCIATIONS, .type = "contacts", .id = "7", .to_type = "companies")));
  assert_true(waits(m, RAW(.method = "PUT", .path = "/crm/objects/{version}/contacts/7/associations/default/companies/9"), update));
  assert_true(waits(m, RAW(.method = "PATCH", .path = "/crm/objects/{version}/contacts/a%40x", .query = "idProperty=email"),
                    OBJECT(.kind = HL_API_UPSERT, .id = "A@x", .id_property = "email")));
  assert_true(waits(m, OBJECT(.kind = HL_API_UPSERT, .id = "a@x", .id_property = "email"), OBJECT(.kind = HL_API_UPSERT, .id = "A@X", .id_property = "email")));
  const hl_api_call *create = CALL(.kind = HL_API_CREATE, .type = "contacts", .body = HL_STR("{\"properties\":{\"email\":\"a@x\"}}"));
  assert_true(waits(m, create, create));
  assert_true(waits(m, create, OBJECT(.kind = HL_API_UPSERT, .id = "a@x", .id_property = "email")));
}

static void others_do_not_wait(void **state) {
  model *m = *state;
  const hl_api_call *update = OBJECT(.kind = HL_API_UPDATE, .id = "7");
  assert_false(waits(m, update, OBJECT(.kind = HL_API_ARCHIVE, .id = "8")));
  assert_false(waits(m, update, CALL(.kind = HL_API_ARCHIVE, .type = "companies", .id = "7")));
  assert_false(waits(m, OBJECT(.kind = HL_API_GET, .id = "7"), update));
  assert_false(waits(m, PAIR(HL_API_ASSOCIATE, "7", "9"), OBJECT(.kind = HL_API_GET, .id = "7")));
  assert_false(waits(m, PAIR(HL_API_ASSOCIATE, "7", "9"), PAIR(HL_API_DISASSOCIATE, "7", "8")));
  assert_false(waits(m, update, RAW(.method = "GET", .path = "/crm/owners/{version}")));
  /* Nobody has said yet that this is contact 7 ... */
  const hl_api_call *by_email = OBJECT(.kind = HL_API_UPDATE, .id = "s@x", .id_property = "email");
  assert_false(waits(m, by_email, OBJECT(.kind = HL_API_UPDATE, .id = "1")));
  /* ... and now the answer has: the model gives every record the id 1. */
  assert_true(waits(m, by_email, OBJECT(.kind = HL_API_UPDATE, .id = "1")));
  assert_true(waits(m, OBJECT(.kind = HL_API_UPDATE, .id = "1"), by_email));
}

/* ---- reads that are out ---- */

static void tick(hl_timer *timer, void *arg) { (void)timer, *(bool *)arg = true; }
static void pass(model *m, int64_t ms) {
  bool over = false;
  hl_timer timer = {0};
  hl_timer_start(m->loop, &timer, ms, tick, &over);
  hl_loop_run_until(m->loop, &over);
}

static void read_record(model *m, model_request *r) {
  (void)m;
  if (strcmp(r->method, "GET") == 0)
    hl_buf_puts(&r->answer, "{\"id\":\"7\",\"properties\":{\"a\":\"1\",\"b\":\"2\"}}");
  else hl_buf_puts(&r->answer, "{\"id\":\"7\",\"properties\":{}}");
}

static void a_read_that_is_out_is_shared(void **state) {
  model *m = *state;
  m->answer = read_record;
  asked a, b, c, d, e, w;
  const char *const both[] = {"a", "b", NULL}, *const one[] = {"b", NULL}, *const more[] = {"c", NULL};
  m->latency = 60000; /* so that it is out for long */
  ask_get(m, &a, "7", both);
  pass(m, 5);
  ask_get(m, &b, "7", one);   /* all it wants is asked for already */
  ask_get(m, &c, "7", more);  /* this is not */
  pass(m, 5);
  assert_int_equal(m->out, 2);
  ask(m, &w, OBJECT(.kind = HL_API_UPDATE, .id = "7"));
  ask_get(m, &d, "7", one);   /* after a write: not what was read before it */
  hl_loop_run_until(m->loop, &w.done);
  ask_get(m, &e, "7", one);
  hl_loop_run(m->loop);
  assert_int_equal(m->requests, 4);
  has(b.json, "\"properties\":{\"b\":\"2\"}");
  has(a.json, "\"a\":\"1\"");
  assert_true(d.order > w.order && e.order > w.order);
  asked_free(&a), asked_free(&b), asked_free(&c), asked_free(&d), asked_free(&e), asked_free(&w);
}

static void a_write_that_ended_ends_sharing(void **state) {
  model *m = *state;
  m->answer = read_record;
  const char *const one[] = {"b", NULL};
  /* Each of these may have changed what is being read. */
  const hl_api_call *writes[] = {
      OBJECT(.kind = HL_API_UPDATE, .id = "7"), OBJECT(.kind = HL_API_UPDATE, .id = "who@x", .id_property = "email"),
      RAW(.method = "PATCH", .path = "/crm/objects/{version}/contacts/7"), RAW(.method = "POST", .path = "/crm/objects/{version}/contacts/batch/update"),
      RAW(.method = "POST", .path = "/crm/imports/{version}"),
  };
  for (size_t i = 0; i < HL_COUNT(writes); i++) {
    asked a, b, w;
    bool shared = true;
    for (int seed = 0; seed < 30 && shared; seed++) { /* until the write is quicker than the read */
      size_t before = m->requests;
      m->latency = 60000;
      ask_get(m, &a, "7", one);
      pass(m, 1);
      m->latency = 1;
      ask(m, &w, writes[i]);
      hl_loop_run_until(m->loop, &w.done);
      bool early = !a.done;
      ask_get(m, &b, "7", one);
      hl_loop_run(m->loop);
      if (early) {
        assert_int_equal(m->requests - before, 3);
        shared = false;
      }
      asked_free(&a), asked_free(&b), asked_free(&w);
    }
    assert_false(shared);
  }
}

static void wrong_calls_are_refused(void **state) {
  model *m = *state;
  hl_error err = {0};
  static const struct { hl_api_call call; const char *why; } calls[] = {
      {{.kind = HL_API_CREATE, .type = "contacts", .id = "1", .body = {P1, sizeof P1 - 1}}, "a create has no id"},
      {{.kind = HL_API_CREATE, .type = "products", .id_property = "hs_sku", .body = {P1, sizeof P1 - 1}}, "hs_sku"},
      {{.kind = HL_API_CREATE, .type = "contacts", .body = {"{\"properties\":{},\"associations\":1}", 34}}, "a list"},
      {{.kind = HL_API_UPSERT, .type = "contacts", .id = "a@x", .body = {P1, sizeof P1 - 1}}, "unique property"},
      {{.kind = HL_API_ARCHIVE, .type = "contacts", .id = "a@x", .id_property = "email"}, "by record id only"},
      {{.kind = HL_API_ASSOCIATE, .type = "contacts", .id = "1", .to_type = "companies"}, "other id is missing"},
      {{.kind = HL_API_ASSOCIATE, .type = "contacts", .id = "1", .to_type = "companies", .to_id = "2", .body = {"{\"a\":1}", 7}},
       "must be a list"},
      {{.kind = HL_API_ASSOCIATIONS, .type = "contacts", .id = "1"}, "other object type is missing"},
      {{.kind = (hl_api_kind)99}, "no such kind"},
  };
  for (size_t i = 0; i < HL_COUNT(calls); i++) {
    assert_int_equal(hl_api_send(m->account, &calls[i].call, NULL, NULL, NULL, &err), HL_EINVAL);
    has(err.text, calls[i].why);
  }
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(one_call_is_a_plain_call), T(some_are_batches_of_one), T(rows_of_creates_are_told_by_their_trace),
      T(refused_creates_are_halved), T(archives_answer_without_rows), T(pairs_of_a_turn_share_a_batch),
      T(an_error_without_a_row_is_found_alone), T(pages_of_links), T(calls_on_one_object_keep_their_order),
      T(others_do_not_wait), T(a_read_that_is_out_is_shared), T(a_write_that_ended_ends_sharing), T(wrong_calls_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
