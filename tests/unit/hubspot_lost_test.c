#include "hubspot_model.h"

#include "base/time.h"

/* Creates that are lost, against a HubSpot that keeps what it made. */

typedef struct made { char value[64], x[16]; int64_t at; int times; } made;
static struct {
  made list[4096];
  size_t n;
  int lose;               /* of 100 answers to creates, before or after they are carried out */
  int plan[16];           /* the n-th create request: 0 well, 1 lost before, 2 lost after, 3 504 after, 4 late */
  size_t n_plan, at_plan;
  int hidden;             /* looks that do not find what is there */
  bool no_reads;
  size_t creates, looks;
} crm;

static made *find(const char *value) {
  for (size_t i = 0; i < crm.n; i++)
    if (*value && strcasecmp(crm.list[i].value, value) == 0) return &crm.list[i];
  return NULL;
}

static made *make(model *m, const cJSON *properties, const char *unique) {
  made *r = &crm.list[crm.n++];
  assert_true(crm.n <= HL_COUNT(crm.list));
  *r = (made){.at = hl_loop_now(m->loop), .times = 1};
  snprintf(r->value, sizeof r->value, "%s", unique);
  snprintf(r->x, sizeof r->x, "%s", hl_json_str(properties, "x", ""));
  return r;
}

static void show(hl_buf *b, const made *r, const char *trace) {
  char iso[25];
  hl_time_iso(r->at, iso);
  hl_buf_printf(b, "{\"id\":\"%td\",\"properties\":{\"email\":\"%s\",\"x\":\"%s\"},\"createdAt\":\"%s\"", r - crm.list + 1, r->value,
                r->x, iso);
  if (trace) hl_buf_printf(b, ",\"objectWriteTraceId\":\"%s\"", trace);
  hl_buf_puts(b, "}");
}

static void refuse(model_request *r) {
  r->status = 409;
  hl_buf_puts(&r->answer, "{\"category\":\"CONFLICT\",\"message\":\"Contact already exists\"}");
}

static void create(model *m, model_request *r) {
  const cJSON *inputs = hl_json_get(r->body, "inputs"), *in;
  int fate = crm.at_plan < crm.n_plan ? crm.plan[crm.at_plan++] : 0;
  crm.creates++;
  if (!crm.n_plan && (int)hl_rng_below(&m->rng, 100) < crm.lose) fate = 1 + (int)hl_rng_below(&m->rng, 3);
  if (fate == 1) {
    r->lost = true;
    return;
  }
  if (!inputs) {
    const cJSON *p = hl_json_get(r->body, "properties");
    const char *email = hl_json_str(p, "email", "");
    r->status = 201;
    if (find(email)) refuse(r);
    else show(&r->answer, make(m, p, email), NULL);
  } else {
    hl_buf errors;
    hl_buf_init(&errors, 1 << 20);
    r->status = 201;
    hl_buf_puts(&r->answer, "{\"results\":[");
    bool first = true;
    cJSON_ArrayForEach(in, inputs) {
      const cJSON *p = hl_json_get(in, "properties");
      const char *email = hl_json_str(p, "email", ""), *trace = hl_json_str(in, "objectWriteTraceId", "?");
      for (const cJSON *other = in->next; other && *email; other = other->next)
        assert_string_not_equal(email, hl_json_str(hl_json_get(other, "properties"), "email", ""));
      if (find(email)) {
        hl_buf_printf(&errors, "%s{\"category\":\"CONFLICT\",\"message\":\"Contact already exists\",\"context\":"
                      "{\"objectWriteTraceId\":[\"%s\"]}}", errors.n ? "," : "", trace);
        continue;
      }
      if (!first) hl_buf_puts(&r->answer, ",");
      first = false;
      show(&r->answer, make(m, p, email), trace);
    }
    hl_buf_puts(&r->answer, "]");
    if (errors.n) {
      r->status = 207;
      hl_buf_printf(&r->answer, ",\"errors\":[%s]", errors.p);
    }
    hl_buf_puts(&r->answer, "}");
    hl_buf_deinit(&errors);
  }
  if (fate == 2) r->lost = true;
  if (fate == 3) {
    r->status = 504;
    hl_buf_clear(&r->answer);
  }
}

static void look(model_request *r, bool batch) {
  const cJSON *in;
  crm.looks++;
  if (crm.no_reads) {
    r->status = 403;
    hl_buf_puts(&r->answer, "{\"category\":\"MISSING_SCOPES\",\"message\":\"no\"}");
    return;
  }
  if (!batch) {
    char value[64];
    snprintf(value, sizeof value, "%s", strrchr(r->path, '/') + 1);
    char *at = strstr(value, "%40");
    if (at) memmove(at + 1, at + 3, strlen(at + 3) + 1), *at = '@';
    made *f = crm.hidden-- > 0 ? NULL : find(value);
    has(r->query, "idProperty=email");
    if (f) show(&r->answer, f, NULL);
    else r->status = 404, hl_buf_puts(&r->answer, "{\"category\":\"OBJECT_NOT_FOUND\",\"message\":\"not there\"}");
    return;
  }
  assert_string_equal(hl_json_str(r->body, "idProperty", ""), "email");
  hl_buf gone;
  hl_buf_init(&gone, 1 << 20);
  hl_buf_puts(&r->answer, "{\"results\":[");
  bool first = true;
  cJSON_ArrayForEach(in, hl_json_get(r->body, "inputs")) {
    const char *value = hl_json_str(in, "id", "");
    made *f = find(value);
    if (!f) {
      hl_buf_printf(&gone, "%s\"%s\"", gone.n ? "," : "", value);
      continue;
    }
    if (!first) hl_buf_puts(&r->answer, ",");
    first = false;
    show(&r->answer, f, NULL);
  }
  hl_buf_puts(&r->answer, "]");
  if (gone.n) {
    r->status = 207;
    hl_buf_printf(&r->answer, ",\"errors\":[{\"category\":\"OBJECT_NOT_FOUND\",\"message\":\"not there\",\"context\":{\"ids\":[%s]}}]", gone.p);
  }
  hl_buf_puts(&r->answer, "}");
  hl_buf_deinit(&gone);
}

static void answer(model *m, model_request *r) {
  if (strstr(r->path, "batch/read")) look(r, true);
  else if (strcmp(r->method, "GET") == 0) look(r, false);
  else create(m, r);
}

static model *fresh(uint64_t seed) {
  memset(&crm, 0, sizeof crm);
  model *m = model_new("professional", seed);
  m->answer = answer;
  return m;
}

static void ask_create(model *m, asked *a, const char *email, const char *x) {
  char body[128];
  if (email) snprintf(body, sizeof body, "{\"properties\":{\"email\":\"%s\",\"x\":\"%s\"}}", email, x);
  else snprintf(body, sizeof body, "{\"properties\":{\"x\":\"%s\"}}", x);
  ask(m, a, &(hl_api_call){.kind = HL_API_CREATE, .script = "a.lua", .type = email ? "contacts" : "deals", .body = hl_str_of(body)});
}

#define PLAN(...) (memcpy(crm.plan, (int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__})), crm.n_plan = sizeof((int[]){__VA_ARGS__}) / sizeof(int))

static void one(model *m, asked *a, const char *email) {
  ask_create(m, a, email, "1");
  hl_loop_run(m->loop);
  assert_true(a->done);
}

static void what_was_made_is_found(void **state) {
  (void)state;
  for (int fate = 2; fate <= 3; fate++) {
    model *m = fresh(1);
    asked a;
    PLAN(fate);
    one(m, &a, "Ana@x");
    assert_null(a.kind);
    assert_int_equal(a.status, 201);
    has(a.json, "\"id\":\"1\"");
    assert_int_equal(crm.n, 1);
    assert_int_equal(crm.creates, 1);
    asked_free(&a);
    model_free(m);
  }
}

static void what_was_not_made_is_made(void **state) {
  (void)state;
  model *m = fresh(2);
  asked a;
  PLAN(1);
  one(m, &a, "ana@x");
  assert_null(a.kind);
  assert_int_equal(crm.n, 1);
  assert_int_equal(crm.creates, 2);
  assert_int_equal(crm.looks, 2); /* it may take a moment to be found */
  asked_free(&a);
  model_free(m);
}

/* Carried out, but not found in time: the second create is refused, and it was ours. */
static void what_is_found_late_is_ours(void **state) {
  (void)state;
  model *m = fresh(3);
  asked a;
  PLAN(2);
  crm.hidden = 2;
  one(m, &a, "ana@x");
  assert_null(a.kind);
  has(a.json, "\"id\":\"1\"");
  assert_int_equal(crm.n, 1);
  assert_int_equal(crm.creates, 2);
  asked_free(&a);
  model_free(m);
}

static void pass(model *m, int64_t ms);

/* Somebody else's record of long ago is not ours: HubSpot's refusal reaches the script. */
static void what_is_older_is_not_ours(void **state) {
  (void)state;
  model *m = fresh(4);
  asked a, b;
  one(m, &a, "ana@x");
  pass(m, 10 * HL_MINUTE);
  crm.at_plan = 0;
  PLAN(1);
  one(m, &b, "ana@x");
  assert_int_equal(b.status, 409);
  has(b.message, "already exists");
  assert_int_equal(crm.n, 1);
  asked_free(&a), asked_free(&b);
  model_free(m);
}

static void without_a_unique_value_it_is_uncertain(void **state) {
  (void)state;
  model *m = fresh(5);
  asked a;
  PLAN(2);
  one(m, &a, NULL);
  assert_string_equal(a.kind, "uncertain");
  assert_false(a.retryable);
  has(a.message, "POST /crm/objects/2026-09/deals");
  has(a.message, "connection reset by peer");
  has(a.message, "look in HubSpot whether it is there");
  has(a.message, "unique=");
  assert_int_equal(crm.creates, 1);
  assert_int_equal(crm.looks, 0);
  asked_free(&a);
  crm.no_reads = true; /* the lookup is not allowed */
  PLAN(2, 2, 2);
  one(m, &a, "b@x");
  assert_string_equal(a.kind, "uncertain");
  has(a.message, "looking for it failed, too");
  asked_free(&a);
  model_free(m);
}

static void it_does_not_go_on_for_ever(void **state) {
  (void)state;
  model *m = fresh(6);
  asked a;
  PLAN(1, 1, 1, 1, 1, 1, 1, 1);
  one(m, &a, "ana@x");
  assert_string_equal(a.kind, "uncertain");
  assert_true(crm.creates <= 4);
  asked_free(&a);
  model_free(m);
}

static void tick(hl_timer *timer, void *arg) { (void)timer, *(bool *)arg = true; }
static void pass(model *m, int64_t ms) {
  bool over = false;
  hl_timer timer = {0};
  hl_timer_start(m->loop, &timer, ms, tick, &over);
  hl_loop_run_until(m->loop, &over);
}

static void it_can_be_cancelled_anywhere(void **state) {
  (void)state;
  for (int ms = 0; ms < 5000; ms += 37) {
    model *m = fresh(7 + (uint64_t)ms);
    asked a[3], b;
    hl_api_op *ops[3];
    PLAN(1);
    for (int i = 0; i < 3; i++) {
      char body[64];
      snprintf(body, sizeof body, "{\"properties\":{\"email\":\"c%d@x\"}}", i);
      ops[i] = ask(m, &a[i], &(hl_api_call){.kind = HL_API_CREATE, .type = "contacts", .body = hl_str_of(body)});
    }
    ask_create(m, &b, "c1@x", "2"); /* waits for the second of them */
    pass(m, ms);
    bool cancel = !a[1].done;
    if (cancel) hl_api_cancel(ops[1]);
    if (ms % 2) hl_loop_run(m->loop);
    else {
      hl_hubspot_free(m->hubspot);
      m->hubspot = NULL;
    }
    assert_true(a[0].done && a[2].done && b.done && a[1].done != cancel);
    for (int i = 0; i < 3; i++) asked_free(&a[i]);
    asked_free(&b);
    model_free(m);
  }
}

/* Whatever is lost: each create has one answer, its own, and nothing is made twice. */
static void no_create_is_doubled(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 30; seed++) {
    enum { N = 250 };
    model *m = fresh(seed);
    crm.lose = (int)(seed * 2);
    asked a[N];
    for (int i = 0; i < N; i++) {
      char email[32], x[16];
      snprintf(email, sizeof email, "c%d@x", i);
      snprintf(x, sizeof x, "%d", i);
      ask_create(m, &a[i], i % 3 ? email : NULL, x);
      if (i % 40 == 0) pass(m, 30);
    }
    hl_loop_run(m->loop);
    for (int i = 0; i < N; i++) {
      char x[32];
      int times = 0;
      snprintf(x, sizeof x, "%d", i);
      for (size_t k = 0; k < crm.n; k++) times += strcmp(crm.list[k].x, x) == 0;
      assert_true(a[i].done && times <= 1);
      snprintf(x, sizeof x, "\"x\":\"%d\"", i);
      if (a[i].json) has(a[i].json, x);
      if (a[i].json) assert_int_equal(times, 1);
      else assert_string_equal(a[i].kind, "uncertain");
      if (!a[i].json && i % 3 && seed < 10) fail_msg("%s", a[i].message);
      asked_free(&a[i]);
    }
    model_free(m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_made_is_found), cmocka_unit_test(what_was_not_made_is_made),
      cmocka_unit_test(what_is_found_late_is_ours), cmocka_unit_test(what_is_older_is_not_ours),
      cmocka_unit_test(without_a_unique_value_it_is_uncertain), cmocka_unit_test(it_does_not_go_on_for_ever),
      cmocka_unit_test(it_can_be_cancelled_anywhere), cmocka_unit_test(no_create_is_doubled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
