#include "hubspot_model.h"

#include "hubspot/breaker.h"

/* ---- alone ---- */

static void failures_in_a_row_open_it(void **state) {
  (void)state;
  hl_breaker b = {0};
  for (int i = 0; i < HL_BREAKER_ROW - 1; i++) assert_false(hl_breaker_failed(&b, i, 1, false, 0));
  assert_false(hl_breaker_answered(&b)); /* any answer ends the row */
  for (int i = 0; i < HL_BREAKER_ROW - 1; i++) assert_false(hl_breaker_failed(&b, 100 + i, 1, false, 0));
  assert_int_equal(hl_breaker_free_at(&b, 200), 200);
  assert_true(hl_breaker_failed(&b, 200, 1, false, 0));
  assert_int_equal(b.since, 100);
  assert_int_equal(hl_breaker_free_at(&b, 201), 200 + HL_BREAKER_FIRST_MS);
  assert_false(hl_breaker_failed(&b, 300, 1, false, 0)); /* was out already */
  assert_int_equal(hl_breaker_free_at(&b, 301), 200 + HL_BREAKER_FIRST_MS);
  assert_true(hl_breaker_answered(&b));
  assert_int_equal(hl_breaker_free_at(&b, 302), 302);
  /* Rare failures are no row. */
  for (int i = 0; i < 3 * HL_BREAKER_ROW; i++) assert_false(hl_breaker_failed(&b, 1000 + i * 61000, 1, false, 0));
}

static void probes_come_at_growing_intervals(void **state) {
  (void)state;
  hl_breaker b = {0};
  int64_t now = 0, before = 0;
  for (int i = 0; i < HL_BREAKER_ROW; i++) hl_breaker_failed(&b, now, 1, false, 0.5);
  for (int i = 0; i < 20; i++) {
    int64_t at = hl_breaker_free_at(&b, now), gap = at - now;
    assert_true(gap >= before || gap >= HL_BREAKER_LONGEST_MS);
    assert_true(gap >= HL_BREAKER_FIRST_MS && gap <= HL_BREAKER_LONGEST_MS * 5 / 4);
    before = gap;
    now = at;
    assert_true(hl_breaker_sent(&b, now));
    assert_true(hl_breaker_free_at(&b, now) == INT64_MAX); /* one at a time */
    now += 10;
    hl_breaker_failed(&b, now, 1, true, 0.5);
  }
  now = hl_breaker_free_at(&b, now);
  assert_true(hl_breaker_sent(&b, now));
  hl_breaker_gone(&b); /* was given up: another one may ask */
  assert_int_equal(hl_breaker_free_at(&b, now), now);
}

static void what_counts(void **state) {
  (void)state;
  static const int bad[] = {500, 502, 503, 504, 521, 524}, fine[] = {200, 204, 400, 401, 404, 423, 429, 477, 501};
  for (size_t i = 0; i < HL_COUNT(bad); i++) assert_true(hl_breaker_is_failure(bad[i], 0));
  for (size_t i = 0; i < HL_COUNT(fine); i++) assert_false(hl_breaker_is_failure(fine[i], 0));
  assert_true(hl_breaker_is_failure(0, HL_ENET) && hl_breaker_is_failure(0, HL_ETIMEOUT));
  assert_false(hl_breaker_is_failure(0, HL_ECANCELLED) || hl_breaker_is_failure(0, HL_EDENIED));
}

/* ---- in the queue ---- */

enum { MINUTE = 60 * 1000 };
static struct {
  int64_t from, to;       /* nothing answers */
  int how;                /* 0: lost, 1: nobody listens, else a status */
  const char *bad;        /* only this path is bad */
  int64_t arrivals[4096];
  size_t n, bad_n;
} world;

static void mortal(model *m, model_request *r) {
  int64_t now = hl_loop_mono(m->loop);
  assert_true(world.n < HL_COUNT(world.arrivals));
  world.arrivals[world.n++] = now;
  bool bad = now >= world.from && now < world.to && (!world.bad || strstr(r->path, world.bad));
  if (!bad) {
    const cJSON *in;
    hl_buf_puts(&r->answer, "{\"id\":\"1\",\"properties\":{},\"results\":[");
    cJSON_ArrayForEach(in, hl_json_get(r->body, "inputs"))
      hl_buf_printf(&r->answer, "%s{\"id\":\"%s\"}", in->prev->next ? "," : "", hl_json_str(in, "id", ""));
    hl_buf_puts(&r->answer, "]}");
    return;
  }
  world.bad_n++;
  if (world.how == 0) r->lost = true;
  else if (world.how == 1) r->unsent = true;
  else {
    r->status = world.how;
    hl_buf_puts(&r->answer, "<html>");
  }
}

static model *dying(uint64_t seed, int64_t from, int64_t to, int how) {
  model *m = model_new("professional", seed);
  memset(&world, 0, sizeof world);
  world.from = from, world.to = to, world.how = how;
  m->answer = mortal;
  return m;
}

typedef struct later { model *m; asked *a; hl_api_call call; char id[16]; hl_timer timer; } later;
static void ask_later(hl_timer *timer, void *arg) {
  (void)timer;
  later *l = arg;
  l->call.id = l->call.kind == HL_API_RAW ? NULL : l->id;
  ask(l->m, l->a, &l->call);
}

static size_t most_in_a_minute(void) {
  size_t most = 0;
  for (size_t i = 0, k = 0; i < world.n; i++) {
    while (world.arrivals[i] - world.arrivals[k] >= MINUTE) k++;
    if (i - k + 1 > most) most = i - k + 1;
  }
  return most;
}

/* Whatever is queued, and whatever way it is dead. */
static void a_dead_api_gets_few_requests(void **state) {
  (void)state;
  static const int ways[] = {0, 1, 503, 502};
  for (uint64_t seed = 1; seed <= 12; seed++) {
    enum { N = 600 };
    model *m = dying(seed, 0, INT64_MAX, ways[seed % HL_COUNT(ways)]);
    asked *a = hl_alloc(N * sizeof *a);
    later *l = hl_alloc(N * sizeof *l);
    static const char *const paths[] = {"/crm/owners/{version}", "/crm/lists/{version}/7", "/x", "/marketing/emails/{version}"};
    for (int i = 0; i < N; i++) {
      static const hl_api_kind kinds[] = {HL_API_RAW, HL_API_GET, HL_API_UPDATE, HL_API_ARCHIVE};
      l[i] = (later){.m = m, .a = &a[i]};
      snprintf(l[i].id, sizeof l[i].id, "%d", i);
      l[i].call = (hl_api_call){.kind = kinds[hl_rng_below(&m->rng, 4)], .klass = (hl_api_class)hl_rng_below(&m->rng, 3),
                                .script = "a.lua", .type = "contacts", .method = "GET",
                                .path = paths[hl_rng_below(&m->rng, 4)], .no_batch = hl_rng_below(&m->rng, 2)};
      if (l[i].call.kind == HL_API_UPDATE) l[i].call.body = HL_STR("{\"properties\":{}}");
      hl_timer_start(m->loop, &l[i].timer, (int64_t)hl_rng_below(&m->rng, 10 * MINUTE), ask_later, &l[i]);
    }
    hl_loop_run(m->loop);
    size_t unsent = 0;
    for (int i = 0; i < N; i++) {
      assert_true(a[i].done);
      assert_non_null(a[i].kind);
      if (a[i].category && strcmp(a[i].category, "UNAVAILABLE") == 0) {
        unsent++;
        assert_string_equal(a[i].kind, "network");
        assert_true(a[i].retryable);
        has(a[i].message, "has not answered since 2026-");
        has(a[i].message, "Next try: 2026-");
      }
      asked_free(&a[i]);
    }
    hl_api_stats s;
    hl_account_stats(m->account, &s);
    assert_int_equal(s.unavailable, unsent);
    assert_true(unsent > N / 2 && s.outage && s.outages == 1);
    size_t most = most_in_a_minute(), bound = HL_BREAKER_ROW + 16 + HL_BREAKER_OTHERS + 5;
    if (most > bound) fail_msg("%zu requests in a minute", most);
    hl_free(a);
    hl_free(l);
    model_free(m);
  }
}

/* All are answered, soon after HubSpot is there again; and what gathered leaves in batches. */
static void a_recovery_is_noticed(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 10; seed++) {
    enum { N = 500 };
    int64_t dead = 3000 + (int64_t)(seed * 23 * 1000);
    model *m = dying(seed, 0, dead, seed % 2 ? 0 : 503);
    asked a[N];
    for (int i = 0; i < N; i++) {
      char id[16];
      snprintf(id, sizeof id, "%d", i);
      ask_get(m, &a[i], id, NULL);
    }
    hl_loop_run(m->loop);
    for (int i = 0; i < N; i++) {
      assert_true(a[i].done);
      if (a[i].kind) fail_msg("%s", a[i].message);
      if (a[i].at > dead + HL_BREAKER_LONGEST_MS * 5 / 4 + HL_BREAKER_LONGEST_MS + 2000)
        fail_msg("%lld ms after the end", (long long)(a[i].at - dead));
      asked_free(&a[i]);
    }
    hl_api_stats s;
    hl_account_stats(m->account, &s);
    assert_false(s.outage);
    model_free(m);
  }
}

static char said[4096];
static void hear(void *arg, const char *line, size_t n) {
  (void)arg;
  size_t at = strlen(said);
  snprintf(said + at, sizeof said - at, "%.*s", (int)n, line);
}

static size_t count(const char *what) {
  size_t n = 0;
  for (const char *p = said; (p = strstr(p, what)); p++) n++;
  return n;
}

/* One endpoint fails and the others do not wait for it. */
static void one_bad_endpoint_does_not_stop_the_others(void **state) {
  (void)state;
  enum { N = 200 };
  for (int together = 0; together < 2; together++) {
    model *m = dying(7, 0, INT64_MAX, 503);
    world.bad = "/contacts";
    said[0] = 0;
    hl_log_set_sink(m->log, hear, NULL);
    asked bad[N], fine[N];
    later l[N];
    for (int i = 0; i < N; i++)
      ask(m, &bad[i], &(hl_api_call){.kind = HL_API_RAW, .klass = HL_CLASS_LIVE, .script = "a.lua", .method = "GET",
                                     .path = "/crm/objects/{version}/contacts"});
    for (int i = 0; i < N; i++) { /* after those have opened the circuit, one a second; or at once */
      l[i] = (later){.m = m, .a = &fine[i], .call = {.kind = HL_API_RAW, .klass = HL_CLASS_BULK, .script = "b.lua",
                                                     .method = "GET", .path = "/crm/owners/{version}"}};
      hl_timer_start(m->loop, &l[i].timer, together ? 0 : 20000 + i * 1000, ask_later, &l[i]);
    }
    hl_loop_run(m->loop);
    for (int i = 0; i < N; i++) {
      if (fine[i].kind) fail_msg("%s", fine[i].message);
      int64_t waited = fine[i].at - (together ? 0 : 20000 + i * 1000);
      /* The bad ones are live and are tried again with every closing: they use the budget, too, up to a window of it. */
      if (!together && waited > 12000) fail_msg("call %d waited %lld ms", i, (long long)waited);
      assert_non_null(bad[i].kind);
      if (bad[i].category && strcmp(bad[i].category, "UNAVAILABLE") == 0) has(bad[i].message, "not answered GET /crm/objects/2026-09/contacts since");
      asked_free(&bad[i]), asked_free(&fine[i]);
    }
    assert_true(world.bad_n < 150); /* in more than five minutes */
    assert_int_equal(count("except for GET /crm/objects/2026-09/contacts (it answers 503)"), 1);
    hl_log_set_sink(m->log, model_quiet, NULL);
    model_free(m);
  }
}

/* It is well again: its calls leave, those that came meanwhile too. */
static void a_bad_endpoint_gets_well(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 8; seed++) {
    enum { N = 120 };
    model *m = dying(seed, 0, 100000, seed % 2 ? 503 : 0);
    world.bad = "/contacts";
    asked bad[N], fine[N];
    later l[2 * N];
    for (int i = 0; i < N; i++) {
      l[i] = (later){.m = m, .a = &fine[i], .call = {.kind = HL_API_RAW, .script = "b.lua", .method = "GET", .path = "/crm/owners/{version}"}};
      l[N + i] = (later){.m = m, .a = &bad[i], .call = {.kind = HL_API_GET, .script = "a.lua", .type = "contacts"}};
      snprintf(l[N + i].id, sizeof l[N + i].id, "%d", i);
      hl_timer_start(m->loop, &l[i].timer, (int64_t)hl_rng_below(&m->rng, 150000), ask_later, &l[i]);
      hl_timer_start(m->loop, &l[N + i].timer, i < N / 2 ? 0 : (int64_t)hl_rng_below(&m->rng, 150000), ask_later, &l[N + i]);
    }
    hl_loop_run(m->loop);
    for (int i = 0; i < N; i++) {
      if (fine[i].kind) fail_msg("%s", fine[i].message);
      if (bad[i].kind) fail_msg("%s", bad[i].message);
      assert_true(bad[i].at <= 100000 + HL_BREAKER_LONGEST_MS * 5 / 4 + 52000 && fine[i].at < 155000);
      asked_free(&bad[i]), asked_free(&fine[i]);
    }
    hl_api_stats s;
    hl_account_stats(m->account, &s);
    assert_false(s.outage);
    model_free(m);
  }
}

static void tick(hl_timer *timer, void *arg) { (void)timer, *(bool *)arg = true; }

/* Calls of an isolated family are given up, and the whole is freed. */
static void freeing_ends_those_that_wait(void **state) {
  (void)state;
  model *m = dying(5, 0, INT64_MAX, 503);
  enum { N = 80 };
  asked bad[N], fine;
  hl_api_op *ops[N];
  bool over = false;
  hl_timer timer = {0};
  world.bad = "/contacts";
  for (int i = 0; i < N; i++) ops[i] = ask_raw(m, &bad[i], "GET", "/crm/objects/{version}/contacts", "");
  hl_timer_start(m->loop, &timer, 4000, tick, &over);
  hl_loop_run_until(m->loop, &over);
  ask_raw(m, &fine, "GET", "/crm/owners/{version}", "");
  hl_loop_run_until(m->loop, &fine.done);
  hl_api_stats s;
  hl_account_stats(m->account, &s);
  assert_true(s.outage && s.queued > N / 2);
  for (int i = 60; i < N; i++) hl_api_cancel(ops[i]);
  hl_hubspot_free(m->hubspot);
  m->hubspot = NULL;
  for (int i = 0; i < N; i++) {
    assert_int_equal(bad[i].done, i < 60);
    if (i < 60) assert_string_equal(bad[i].kind, "cancelled");
    if (i < 60) asked_free(&bad[i]);
  }
  asked_free(&fine);
  model_free(m);
}

static void it_says_so_once(void **state) {
  (void)state;
  model *m = dying(3, 0, 2 * MINUTE, 0);
  asked a[100];
  said[0] = 0;
  hl_log_set_sink(m->log, hear, NULL);
  for (int i = 0; i < 100; i++) ask_raw(m, &a[i], "GET", "/crm/owners/{version}", "");
  hl_loop_run(m->loop);
  has(said, "main: HubSpot does not answer: 10 calls in a row have failed (connection reset by peer). Calls wait up to 5 minutes");
  has(said, "next at 2026-09-01T08:00:0");
  assert_int_equal(count("calls in a row"), 1);
  assert_int_equal(count("answers again, after 1"), 1);
  assert_true(count("main: HubSpot") <= 3); /* and that the first call is tried again */
  for (int i = 0; i < 100; i++) asked_free(&a[i]);
  hl_log_set_sink(m->log, model_quiet, NULL);
  model_free(m);
}

/* A script that asks again whenever it is told that HubSpot is away, and one that gives up. */
typedef struct stubborn { model *m; int left; } stubborn;
static void again(void *arg, const hl_api_result *r) {
  stubborn *s = arg;
  (void)r;
  if (s->left-- > 0)
    assert_int_equal(hl_api_send(s->m->account, &(hl_api_call){.kind = HL_API_RAW, .method = "GET", .path = "/x"}, again, s, NULL, NULL), 0);
}

static void calls_may_come_and_go(void **state) {
  (void)state;
  model *m = dying(4, 0, INT64_MAX, 1);
  asked a[60];
  hl_api_op *ops[60];
  stubborn s = {m, 5};
  for (int i = 0; i < 60; i++) ops[i] = ask_raw(m, &a[i], "GET", "/x", "");
  again(&s, NULL);
  for (int i = 40; i < 60; i++) hl_api_cancel(ops[i]);
  hl_loop_run(m->loop);
  for (int i = 0; i < 60; i++) assert_int_equal(a[i].done, i < 40);
  assert_true(s.left < 0);
  for (int i = 0; i < 40; i++) asked_free(&a[i]);
  model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(failures_in_a_row_open_it), cmocka_unit_test(probes_come_at_growing_intervals),
      cmocka_unit_test(what_counts), cmocka_unit_test(a_dead_api_gets_few_requests),
      cmocka_unit_test(a_recovery_is_noticed), cmocka_unit_test(one_bad_endpoint_does_not_stop_the_others),
      cmocka_unit_test(a_bad_endpoint_gets_well), cmocka_unit_test(freeing_ends_those_that_wait), cmocka_unit_test(it_says_so_once), cmocka_unit_test(calls_may_come_and_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
