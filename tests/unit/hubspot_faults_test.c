#include "hubspot_model.h"

/* The n-th arrival is answered by the n-th step; the last one repeats. */
typedef struct script {
  struct step { int status; const char *body, *header, *value; bool lost, unsent; } steps[8];
  size_t n, at;
} script;

static script plan;

static void by_plan(model *m, model_request *r) {
  (void)m;
  const struct step *s = &plan.steps[plan.at < plan.n - 1 ? plan.at++ : plan.n - 1];
  r->status = s->status;
  r->lost = s->lost;
  r->unsent = s->unsent;
  if (s->body) hl_buf_puts(&r->answer, s->body);
  if (s->header) hl_headers_add(&r->headers, hl_str_of(s->header), hl_str_of(s->value));
}

#define PLAN(...) \
  do { \
    const struct step list[] = {__VA_ARGS__}; \
    plan = (script){.n = HL_COUNT(list)}; \
    memcpy(plan.steps, list, sizeof list); \
  } while (0)

static int setup(void **state) {
  model *m = model_new("professional", 3);
  m->answer = by_plan;
  *state = m;
  return 0;
}
static int teardown(void **state) {
  model_free(*state);
  return 0;
}

static void call(model *m, asked *a, const char *method, const char *path) {
  ask_raw(m, a, method, path, strcmp(method, "POST") == 0 ? "{}" : "");
  hl_loop_run(m->loop);
  assert_true(a->done);
}

static void passing_failures_are_repeated(void **state) {
  model *m = *state;
  static const int statuses[] = {423, 477, 502, 503, 504, 521, 522, 523, 524, 429};
  for (size_t i = 0; i < HL_COUNT(statuses); i++) {
    asked a;
    size_t before = m->requests;
    int64_t t0 = hl_loop_mono(m->loop);
    PLAN({.status = statuses[i], .body = "<html>busy</html>", .header = "Retry-After", .value = "3"},
         {.status = 200, .body = "{\"ok\":1}"});
    call(m, &a, "GET", "/x");
    assert_int_equal(m->requests - before, 2);
    assert_string_equal(a.json, "{\"ok\":1}");
    assert_true(a.at - t0 >= 3000);
    asked_free(&a);
  }
}

static void final_answers_are_not(void **state) {
  model *m = *state;
  static const int statuses[] = {400, 401, 403, 404, 409, 414, 500};
  for (size_t i = 0; i < HL_COUNT(statuses); i++) {
    asked a;
    size_t before = m->requests;
    PLAN({.status = statuses[i], .body = "{\"status\":\"error\",\"message\":\"why it is\",\"category\":\"SOME\","
                                         "\"correlationId\":\"c-1\"}"});
    call(m, &a, "GET", "/x");
    assert_int_equal(m->requests - before, 1);
    assert_string_equal(a.kind, "hubspot");
    assert_int_equal(a.status, statuses[i]);
    assert_string_equal(a.category, "SOME");
    has(a.message, "why it is");
    assert_false(a.retryable);
    asked_free(&a);
  }
}

static void the_deadline_ends_repetition(void **state) {
  model *m = *state;
  asked a;
  PLAN({.status = 503, .body = "{\"message\":\"down\"}"});
  call(m, &a, "GET", "/x");
  assert_int_equal(a.status, 503);
  assert_true(a.retryable);
  assert_true(a.at <= 5 * 60 * 1000 + 1000);
  assert_true(m->requests > 8);
  asked_free(&a);
}

typedef struct heard {
  model *m;
  unsigned n;
  int64_t at[16];
  char first[512];
} heard;

static void hear(void *arg, const char *line, size_t n) {
  heard *h = arg;
  if (!memmem(line, n, "main: HubSpot", 13)) return;
  if (h->n == 0) snprintf(h->first, sizeof h->first, "%.*s", (int)n, line);
  if (h->n < HL_COUNT(h->at)) h->at[h->n] = hl_loop_mono(h->m->loop);
  h->n++;
}

static void hear_clock(void *arg, const char *line, size_t n) {
  heard *h = arg;
  if (!memmem(line, n, "clock", 5)) return;
  if (h->n++ == 0) snprintf(h->first, sizeof h->first, "%.*s", (int)n, line);
}

static void rung(hl_timer *timer, void *arg) { (void)timer, (void)arg; }

static heard listen_to(model *m) { return (heard){.m = m}; }

/* Five minutes of silence look like a hang; a line for each of many calls is noise. */
static void an_outage_is_said_now_and_then(void **state) {
  model *m = *state;
  asked a[20];
  heard h = listen_to(m);
  hl_log_set_sink(m->log, hear, &h);
  PLAN({.unsent = true});
  for (size_t i = 0; i < HL_COUNT(a); i++) ask_raw(m, &a[i], "GET", "/x", "");
  int64_t start = hl_loop_mono(m->loop);
  hl_loop_run(m->loop);
  has(h.first, "warn");
  has(h.first, "main: HubSpot does not answer (connection reset by peer); trying again for up to 5 minutes");
  assert_int_equal(h.n, 2); /* and that one at a time asks from now on: hubspot_breaker_test.c */
  assert_true(h.at[0] - start < 1000); /* the first failure is said at once */
  for (size_t i = 0; i < HL_COUNT(a); i++) {
    assert_string_equal(a[i].kind, "network");
    asked_free(&a[i]);
  }

  h = listen_to(m);
  PLAN({.status = 200, .body = "{}"});
  call(m, &a[0], "GET", "/x");
  has(h.first, "main: HubSpot answers again, after 3");
  assert_int_equal(h.n, 1);
  asked_free(&a[0]);

  h = listen_to(m); /* a failing gateway is an outage too */
  PLAN({.status = 503, .body = "{}", .header = "Retry-After", .value = "60"},
       {.status = 503, .body = "{}", .header = "Retry-After", .value = "60"}, {.status = 200, .body = "{}"});
  call(m, &a[0], "GET", "/x");
  assert_in_range(h.n, 1, 2);
  has(h.first, "main: HubSpot answers 503; trying again");
  asked_free(&a[0]);

  h = listen_to(m); /* what is well, or final, is no outage */
  PLAN({.status = 200, .body = "{}"}, {.status = 404, .body = "{}"});
  call(m, &a[0], "GET", "/x");
  asked_free(&a[0]);
  call(m, &a[0], "GET", "/x");
  asked_free(&a[0]);
  assert_int_equal(h.n, 0);
  hl_log_set_sink(m->log, model_quiet, NULL);
}

static void a_late_answer_is_said(void **state) {
  model *m = *state;
  heard h = listen_to(m);
  hl_log_set_sink(m->log, hear, &h);
  PLAN({.status = 200, .body = "{}"});
  unsigned slow = 0, quick = 0;
  for (unsigned i = 0; i < 40; i++) {
    asked a;
    h = listen_to(m);
    m->latency = i % 2 ? 2000 : 30000; /* at most, each way */
    int64_t start = hl_loop_mono(m->loop);
    call(m, &a, "GET", "/x");
    bool late = a.at - start > 5000;
    if (late) slow++;
    else quick++;
    if (!late) assert_int_equal(h.n, 0);
    else if (slow == 1) has(h.first, "main: HubSpot does not answer (nothing for 5 seconds); still waiting");
    assert_true(h.n <= 1);
    asked_free(&a);
  }
  assert_true(slow > 0 && quick > 0);
  hl_log_set_sink(m->log, model_quiet, NULL);
}

static void lost_connections(void **state) {
  model *m = *state;
  asked a;
  PLAN({.lost = true}, {.unsent = true}, {.status = 200, .body = "{}"});
  call(m, &a, "GET", "/x");
  assert_null(a.kind);
  assert_int_equal(m->requests, 3);
  asked_free(&a);
  /* A create may have happened: it is never repeated. */
  PLAN({.lost = true}, {.status = 201, .body = "{}"});
  call(m, &a, "POST", "/crm/objects/{version}/contacts");
  assert_string_equal(a.kind, "uncertain");
  has(a.message, "connection reset by peer");
  assert_false(a.retryable);
  assert_int_equal(m->requests, 4);
  asked_free(&a);
  /* It cannot have: it is. */
  PLAN({.unsent = true}, {.status = 201, .body = "{}"});
  call(m, &a, "POST", "/crm/objects/{version}/contacts");
  assert_null(a.kind);
  asked_free(&a);
  PLAN({.status = 504, .body = "{}"}, {.status = 201, .body = "{}"});
  call(m, &a, "POST", "/crm/objects/{version}/contacts");
  assert_string_equal(a.kind, "uncertain");
  assert_int_equal(a.status, 504);
  asked_free(&a);
  PLAN({.status = 201, .body = "{\"id\":\"1"});
  call(m, &a, "POST", "/crm/objects/{version}/contacts");
  assert_string_equal(a.kind, "uncertain");
  asked_free(&a);
}

static void answers_that_are_no_json(void **state) {
  model *m = *state;
  asked a;
  char token[64], page[200];
  model_token(token);
  snprintf(page, sizeof page, "\n<html>\n<body>hello %s</body>", token);
  PLAN({.status = 200, .body = page});
  call(m, &a, "GET", "/x");
  assert_string_equal(a.kind, "protocol");
  assert_int_equal(a.status, 200);
  has(a.message, "answered 200 with HTML");
  has(a.message, "<html> <body>hello");
  assert_null(strstr(a.message, token));
  asked_free(&a);
  PLAN({.status = 200, .body = "{\"results\":[{\"id\""});
  call(m, &a, "GET", "/x");
  assert_string_equal(a.kind, "protocol");
  has(a.message, "no valid JSON");
  asked_free(&a);
  PLAN({.status = 500, .body = "<h1>oops"});
  call(m, &a, "GET", "/x");
  assert_string_equal(a.kind, "protocol");
  assert_int_equal(a.status, 500);
  asked_free(&a);
  PLAN({.status = 204});
  call(m, &a, "DELETE", "/x");
  assert_null(a.kind);
  assert_int_equal(a.status, 204);
  asked_free(&a);
  PLAN({.status = 200, .body = "{\"surprise\":true}"});
  asked b;
  ask_get(m, &a, "1", NULL);
  ask_get(m, &b, "2", NULL);
  hl_loop_run(m->loop);
  assert_string_equal(a.kind, "protocol");
  assert_string_equal(b.kind, "protocol");
  asked_free(&a), asked_free(&b);
}

static void refused_tokens_and_scopes(void **state) {
  model *m = *state;
  asked a;
  PLAN({.status = 401, .body = "{\"message\":\"expired\",\"category\":\"INVALID_AUTHENTICATION\"}"});
  call(m, &a, "GET", "/x");
  has(a.message, "refused the token of account \"main\"");
  has(a.message, "rotate");
  asked_free(&a);
  PLAN({.status = 403, .body = "{\"category\":\"MISSING_SCOPES\",\"message\":\"This app hasn't been granted all required "
                               "scopes\",\"errors\":[{\"message\":\"x\",\"context\":{\"requiredGranularScopes\":"
                               "[\"crm.objects.deals.read\",\"crm.objects.deals.write\"]}}]}"});
  call(m, &a, "GET", "/x");
  assert_string_equal(a.category, "MISSING_SCOPES");
  has(a.message, "Missing scopes: crm.objects.deals.read, crm.objects.deals.write");
  asked_free(&a);
}

/* The shapes that HubSpot gives a lack of scopes (FACTS 2, 4), and its own words when it names none. */
static void each_lack_of_scopes_names_them(void **state) {
  model *m = *state;
  static const struct { const char *body, *says; } cases[] = {
      {"{\"category\":\"MISSING_SCOPES\",\"message\":\"not granted all\",\"errors\":[{\"message\":\"One or more of the following "
       "scopes are required.\",\"context\":{\"requiredGranularScopes\":[\"crm.lists.read\",\"cms.membership.access_groups.write\"]}}]}",
       "Missing scopes, one of: crm.lists.read, cms.membership.access_groups.write. Add"},
      {"{\"category\":\"MISSING_SCOPES\",\"context\":{\"requiredScopes\":[\"automation\"]}}", "Missing scopes: automation. Add"},
      {"{\"category\":\"MISSING_SCOPES\",\"message\":\"not granted\"}", "documentation this call needs crm.objects.contacts.read"},
      {"{\"message\":\"This access_token does not have proper permissions! (requires any of [contacts-read])\"}", "requires any of "
       "[contacts-read]). Add what is missing to the app or key of account \"main\""},
      {"", "needs nothing"},
      {"{\"category\":\"BANNED\",\"message\":\"this portal is closed\"}", "403 BANNED: this portal is closed"},
  };
  for (size_t i = 0; i < HL_COUNT(cases); i++) {
    asked a;
    PLAN({.status = 403, .body = cases[i].body});
    call(m, &a, "GET", "/crm/objects/{version}/contacts/1");
    assert_int_equal(a.status, 403);
    assert_false(a.retryable);
    if (i == 4) assert_null(strstr(a.message, "Add"));
    else has(a.message, cases[i].says);
    if (i == 5) assert_null(strstr(a.message, "Add"));
    asked_free(&a);
  }
}

/* A 429 with and without its fields, its Retry-After in seconds or milliseconds: waited for, then well. */
static void each_dress_of_a_429(void **state) {
  (void)state;
  static const struct { const char *body, *after; int64_t least; } cases[] = {
      {"{\"status\":\"error\",\"message\":\"You have reached your ten_secondly_rolling limit.\",\"errorType\":\"RATE_LIMIT\","
       "\"correlationId\":\"c\",\"policyName\":\"TEN_SECONDLY_ROLLING\"}", NULL, 1},
      {"{\"category\":\"RATE_LIMITS\",\"policyName\":\"TEN_SECONDLY_ROLLING\",\"groupName\":\"publicapi:crm\"}", "3", 3000},
      {"{\"policyName\":\"SECONDLY\"}", "12500", 12500},
      {"{\"message\":\"slow down\"}", "2", 2000},
      {"{}", NULL, 1},
      {"", "20", 20000},
      {"<html>Too Many Requests</html>", NULL, 1},
      {"{\"policyName\":7,\"errorType\":[],\"message\":{}}", "soon", 1},
  };
  for (size_t i = 0; i < HL_COUNT(cases); i++) {
    model *m = model_new("professional", i + 1);
    asked a;
    m->answer = by_plan;
    PLAN({.status = 429, .body = cases[i].body, .header = cases[i].after ? "Retry-After" : NULL, .value = cases[i].after},
         {.status = 200, .body = "{\"ok\":1}"});
    call(m, &a, "GET", "/x");
    if (a.kind) fail_msg("%s: %s", cases[i].body, a.message);
    assert_in_range(a.at, cases[i].least, 60 * 1000);
    assert_int_equal(m->requests, 2);
    asked_free(&a);
    model_free(m);
  }
}

/* What is repeated for minutes and then given up keeps what the last answer said. */
static void given_up_in_the_end(void **state) {
  model *m = *state;
  static const struct { int status; const char *body, *kind, *category, *says; } cases[] = {
      {423, "{\"message\":\"locked by an import\"}", "hubspot", NULL, "answered 423: locked by an import"},
      {429, "", "hubspot", "RATE_LIMITS", "answered 429 RATE_LIMITS"},
      {429, "{\"errorType\":\"RATE_LIMIT\",\"policyName\":\"TEN_SECONDLY_ROLLING\",\"groupName\":\"publicapi:crm\"}", "hubspot",
       "RATE_LIMITS", "answered 429"},
      {429, "<html>slow down</html>", "protocol", NULL, "answered 429 with HTML"},
      {477, "{\"message\":\"migration\"}", "hubspot", NULL, "answered 477: migration"},
      {502, "", "hubspot", NULL, "answered 502"},
      {503, "<html>Service Unavailable", "protocol", NULL, "503 with HTML instead of JSON: <html>Service"},
      {521, "<!DOCTYPE html><title>521: Web server is down</title>", "protocol", NULL, "521 with HTML"},
      {522, "<!DOCTYPE html>", "protocol", NULL, "522 with HTML"},
      {523, "error code: 523", "protocol", NULL, "523 with no valid JSON instead of JSON: error code: 523"},
      {524, "<!DOCTYPE html>", "protocol", NULL, "524 with HTML"},
  };
  for (size_t i = 0; i < HL_COUNT(cases); i++) {
    asked a;
    PLAN({.status = 200, .body = "{}"}); /* so that no outage is left from the case before */
    call(m, &a, "GET", "/x");
    asked_free(&a);
    PLAN({.status = cases[i].status, .body = cases[i].body});
    size_t before = m->requests;
    int64_t start = hl_loop_mono(m->loop);
    call(m, &a, "GET", "/x");
    if (!a.kind) fail_msg("%d: no error", cases[i].status);
    assert_string_equal(a.kind, cases[i].kind);
    assert_int_equal(a.status, cases[i].status);
    assert_true(a.retryable);
    has(a.message, cases[i].says);
    has(a.message, " (tried ");
    if (cases[i].category) assert_string_equal(a.category, cases[i].category);
    assert_in_range(a.at - start, 60 * 1000, 5 * 60 * 1000 + 15 * 1000); /* and the pause after a last 429 */
    assert_in_range(m->requests - before, 5, 200);
    asked_free(&a);
  }
}

/* A clock that is off is said once an hour, however many answers tell it. */
static void a_wrong_clock_is_said(void **state) {
  (void)state;
  static const struct { const char *date, *says; } cases[] = {
      {"Tue, 01 Sep 2026 06:59:00 GMT", "clock is 61 minutes ahead of HubSpot's"},
      {"Tue, 01 Sep 2026 08:00:30 GMT", NULL},
      {"no date", NULL},
  };
  for (size_t i = 0; i < HL_COUNT(cases); i++) {
    model *fresh = model_new("professional", 5); /* begins at 2026-09-01T08:00Z */
    fresh->answer = by_plan;
    asked a[3];
    heard h = {.m = fresh};
    hl_log_set_sink(fresh->log, hear_clock, &h);
    PLAN({.status = 200, .body = "{}", .header = "Date", .value = cases[i].date});
    for (size_t k = 0; k < 3; k++) {
      call(fresh, &a[k], "GET", "/x");
      asked_free(&a[k]);
      hl_timer t = {0};
      hl_timer_start(fresh->loop, &t, 2 * 60 * 1000, rung, NULL);
      hl_loop_run(fresh->loop);
    }
    assert_int_equal(h.n, cases[i].says ? 1 : 0);
    if (cases[i].says) has(h.first, cases[i].says);
    hl_log_set_sink(fresh->log, model_quiet, NULL);
    model_free(fresh);
  }
}

static void add(hl_hubspot *h, const hl_account_options *o, int code, const char *why) {
  hl_error err = {0};
  hl_account *a;
  int rc = hl_hubspot_add_account(h, o, &a, &err);
  if (rc != code) fail_msg("%d instead of %d: %s", rc, code, err.text);
  if (code) has(err.text, why);
}

static void accounts_are_checked(void **state) {
  model *m = *state;
  hl_hubspot *h = m->hubspot;
  char key[40];
  snprintf(key, sizeof key, "%s-%s", "01234567-89ab", "cdef-0123-456789abcdef");
  add(h, &(hl_account_options){.name = "b", .token = key}, HL_EAUTH, "2022-11-30");
  add(h, &(hl_account_options){.name = "b", .token = "hapikey=1"}, HL_EAUTH, "service key");
  add(h, &(hl_account_options){.name = "b", .token = ""}, HL_EAUTH, "has no token");
  add(h, &(hl_account_options){.name = "b", .token = "abc\n"}, HL_EAUTH, "line break");
  add(h, &(hl_account_options){.name = "main", .token = "abcdef"}, HL_EINVAL, "already");
  add(h, &(hl_account_options){.name = "b", .token = "abcdef", .tier = "pro"}, HL_EINVAL, "professional");
  add(h, &(hl_account_options){.name = "b", .token = "abcdef", .version = "v3"}, HL_EINVAL, "2026-09");
  static const char *const bad[] = {"http://example.com", "ftp://x", "https://u@x", "https://x/crm", "https://",
                                    "http://127.0.0.1.evil.com", "http://localhost@evil.com", "http://127.1.1"};
  for (size_t i = 0; i < HL_COUNT(bad); i++)
    add(h, &(hl_account_options){.name = "b", .token = "abcdef", .base_url = bad[i]}, HL_EINVAL, "base_url");
  add(h, &(hl_account_options){.name = "b", .token = "abcdef", .base_url = "http://127.0.0.1:9000/"}, 0, "");
  add(h, &(hl_account_options){.name = "c", .token = "ghijkl", .base_url = "http://[::1]:9000"}, 0, "");
  hl_account *a;
  hl_error err;
  assert_int_equal(hl_hubspot_account(h, NULL, &a, &err), HL_EINVAL);
  has(err.text, "main, b, c");
  assert_int_equal(hl_hubspot_account(h, "x", &a, &err), HL_ENOTFOUND);
  assert_int_equal(hl_hubspot_account(h, "b", &a, &err), 0);
  assert_string_equal(hl_account_name(a), "b");
  assert_string_equal(hl_account_version(a), "2026-09");
}

static void misuse_is_refused_at_once(void **state) {
  model *m = *state;
  hl_error err = {0};
  hl_api_op *op;
  static const hl_api_call calls[] = {
      {.kind = HL_API_RAW, .method = "GET", .path = "/crm/v3/objects/contacts"},
      {.kind = HL_API_RAW, .method = "FETCH", .path = "/x"},
      {.kind = HL_API_RAW, .method = "GET", .path = "/x", .query = "a b"},
      {.kind = HL_API_GET, .type = "contacts", .id = ""},
      {.kind = HL_API_GET, .type = "contacts", .id = ".."},
      {.kind = HL_API_UPDATE, .type = "contacts", .id = "1", .body = {"{\"x\":1}", 7}},
      {.kind = HL_API_UPDATE, .type = "contacts", .id = "1", .body = {"{", 1}},
  };
  for (size_t i = 0; i < HL_COUNT(calls); i++) {
    asked a = {.m = m};
    assert_int_equal(hl_api_send(m->account, &calls[i], asked_done, &a, &op, &err), HL_EINVAL);
  }
  hl_loop_run(m->loop);
  assert_int_equal(m->requests, 0);
  hl_api_stats s;
  hl_account_stats(m->account, &s);
  assert_int_equal(s.queued + s.calls, 0);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(passing_failures_are_repeated), T(final_answers_are_not), T(the_deadline_ends_repetition),
      T(an_outage_is_said_now_and_then), T(a_late_answer_is_said), T(lost_connections), T(answers_that_are_no_json), T(refused_tokens_and_scopes),
      T(each_lack_of_scopes_names_them), T(each_dress_of_a_429), T(given_up_in_the_end), T(a_wrong_clock_is_said), T(accounts_are_checked),
      T(misuse_is_refused_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
