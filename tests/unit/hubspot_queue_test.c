#include "hubspot_model.h"

/* Seeded histories against the model's limiter: what must hold whatever comes. */

enum { SCRIPTS = 3, CALLS = 1500 };

typedef struct traffic {
  model *m;
  hl_api_class klass;
  int script;
  bool search, done;
  int64_t asked, started, ended;
  hl_timer timer;
  struct history *in;
} traffic;

typedef struct history {
  traffic calls[CALLS];
  size_t order[CALLS], n; /* in the order they arrived at the model */
} history;

static const char *const script_names[SCRIPTS] = {"a.lua", "b.lua", "c.lua"};

static void came(void *arg, const hl_api_result *r) {
  traffic *t = arg;
  assert_null(r->error);
  assert_false(t->done);
  t->done = true;
  t->ended = hl_loop_mono(t->m->loop);
}

static void go(hl_timer *timer, void *arg) {
  (void)timer;
  traffic *t = arg;
  hl_error err;
  char body[32];
  snprintf(body, sizeof body, "{\"n\":%td}", t - t->in->calls);
  t->asked = hl_loop_mono(t->m->loop);
  hl_api_call call = {.kind = HL_API_RAW, .klass = t->klass, .script = script_names[t->script], .method = "POST",
                      .path = t->search ? "/crm/objects/{version}/contacts/search" : "/x/batch/read",
                      .body = hl_str_of(body)};
  assert_int_equal(hl_api_send(t->m->account, &call, came, t, NULL, &err), 0);
}

static history *now_history; /* of the one test that runs */

static void note_order(model *m, model_request *r) {
  size_t i = (size_t)hl_json_int(r->body, "n", -1);
  history *h = now_history;
  h->calls[i].started = hl_loop_mono(m->loop);
  h->order[h->n++] = i;
  hl_buf_puts(&r->answer, "{}");
}

static void run_seed(uint64_t seed, unsigned limit, bool headers) {
  model *m = model_new(limit == 190 ? "professional" : "free", seed);
  history *h = now_history = HL_NEW(history);
  m->limit = limit;
  m->search_limit = 5;
  m->headers = headers;
  m->latency = (int64_t)hl_rng_below(&m->rng, 400);
  m->answer = note_order;
  size_t searches = 0;
  for (size_t i = 0; i < CALLS; i++) {
    traffic *t = &h->calls[i];
    t->m = m;
    t->in = h;
    t->klass = (hl_api_class)hl_rng_below(&m->rng, 3);
    t->script = (int)hl_rng_below(&m->rng, SCRIPTS);
    t->search = hl_rng_below(&m->rng, 20) == 0;
    searches += t->search;
    hl_timer_start(m->loop, &t->timer, (int64_t)hl_rng_below(&m->rng, 40000), go, t);
  }
  hl_loop_run(m->loop);
  assert_int_equal(m->refused, 0);
  assert_int_equal(h->n, CALLS);
  /* 16, and as many as a whole window of slow answers needs. */
  assert_true(m->most_out <= 16 || m->most_out <= 4 * (size_t)m->latency * limit / 10000);
  for (size_t i = 0; i < CALLS; i++) assert_true(h->calls[i].done);
  assert_int_equal(m->n_arrivals, CALLS - searches);
  hl_free(h);
  model_free(m);
}

static void the_limits_are_never_exceeded(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 12; seed++) run_seed(seed, seed % 2 ? 190 : 100, seed % 3 == 0);
}

static void asks(model *m, history *h, size_t n, hl_api_class klass, int script, bool search) {
  for (size_t i = 0; i < n; i++) {
    traffic *t = &h->calls[h->n + i];
    *t = (traffic){.m = m, .in = h, .klass = klass, .script = script, .search = search};
    go(NULL, t);
  }
  h->n += n;
}

static history *start(model *m, unsigned limit) {
  m->limit = limit;
  m->search_limit = 5;
  m->answer = note_order;
  return now_history = HL_NEW(history);
}

/* Work waits and budget is free: never. With latency L one window of calls
 * takes interval + 2L at most, whatever else. */
static void the_budget_is_used(void **state) {
  (void)state;
  model *m = model_new("professional", 5);
  history *h = start(m, 190);
  m->latency = 20;
  asks(m, h, 1140, HL_CLASS_NORMAL, 0, false); /* six windows of 190 */
  h->n = 0;
  hl_loop_run(m->loop);
  assert_int_equal(m->refused, 0);
  int64_t last = h->calls[h->order[1139]].started;
  /* The first window leaves at once, 14 at a time; each later one 10 s and a round trip after. */
  if (last > 5 * (10000 + 44) + 14 * 41) fail_msg("6 windows took %lld ms", (long long)last);
  hl_free(h);
  model_free(m);
}

static void searches_wait_for_searches_only(void **state) {
  (void)state;
  model *m = model_new("professional", 6);
  history *h = start(m, 190);
  m->latency = 10;
  asks(m, h, 400, HL_CLASS_LIVE, 0, false);
  asks(m, h, 5, HL_CLASS_NORMAL, 1, true);
  h->n = 0;
  hl_loop_run(m->loop);
  assert_int_equal(m->refused, 0);
  for (size_t i = 400; i < 405; i++) assert_true(h->calls[i].started <= 100);
  hl_free(h);
  model_free(m);
}

static void live_goes_before_normal_before_bulk(void **state) {
  (void)state;
  model *m = model_new("free", 7);
  history *h = start(m, 100);
  m->latency = 0; /* arrivals in the order of sending */
  asks(m, h, 150, HL_CLASS_BULK, 0, false);
  asks(m, h, 60, HL_CLASS_NORMAL, 0, false);
  asks(m, h, 60, HL_CLASS_LIVE, 0, false);
  h->n = 0;
  hl_loop_run(m->loop);
  for (size_t i = 1; i < 270; i++)
    assert_true(h->calls[h->order[i - 1]].klass <= h->calls[h->order[i]].klass);
  hl_free(h);
  model_free(m);
}

static void scripts_take_turns(void **state) {
  (void)state;
  model *m = model_new("free", 8);
  history *h = start(m, 100);
  m->latency = 0;
  asks(m, h, 300, HL_CLASS_NORMAL, 0, false);
  asks(m, h, 30, HL_CLASS_NORMAL, 1, false);
  asks(m, h, 30, HL_CLASS_NORMAL, 2, false);
  h->n = 0;
  hl_loop_run(m->loop);
  size_t seen[SCRIPTS] = {0};
  for (size_t i = 0; i < 90; i++) {
    seen[h->calls[h->order[i]].script]++;
    size_t most = seen[0], least = seen[0];
    for (size_t s = 1; s < SCRIPTS; s++) {
      if (seen[s] > most) most = seen[s];
      if (seen[s] < least) least = seen[s];
    }
    assert_true(most - least <= 1);
  }
  /* Inside a script the order is that of asking. */
  size_t before = 0;
  for (size_t i = 0; i < 360; i++) {
    if (h->calls[h->order[i]].script != 0) continue;
    assert_true(h->order[i] >= before);
    before = h->order[i];
  }
  hl_free(h);
  model_free(m);
}

typedef struct others { model *m; hl_timer timer; int left; } others;
static void other_use(hl_timer *timer, void *arg) {
  others *o = arg;
  model_foreign(o->m);
  if (--o->left) hl_timer_start(o->m->loop, timer, 200, other_use, o);
}

/* Somebody else sends five calls a second with the same token. */
static void others_use_is_seen(void **state) {
  (void)state;
  model *m = model_new("free", 9);
  history *h = start(m, 100);
  m->headers = true;
  m->latency = 20;
  others o = {.m = m, .left = 1000};
  hl_timer_start(m->loop, &o.timer, 0, other_use, &o);
  asks(m, h, 600, HL_CLASS_BULK, 0, false);
  h->n = 0;
  hl_loop_run(m->loop);
  assert_int_equal(h->n, 600);
  /* What others will do while a request is on its way cannot be known; HubSpot
   * asks that at most 5 % of the requests fail. */
  if (m->refused * 20 > m->requests) fail_msg("%zu of %zu refused", m->refused, m->requests);
  assert_true(m->n_arrivals >= 600);
  hl_free(h);
  model_free(m);
}

/* The account has less than its tier promised: one refusal is seen, no herd. */
static void a_refusal_pauses_all(void **state) {
  (void)state;
  model *m = model_new("professional", 10);
  history *h = start(m, 100);
  m->latency = 20;
  asks(m, h, 400, HL_CLASS_BULK, 0, false);
  h->n = 0;
  hl_loop_run(m->loop);
  assert_int_equal(h->n, 400);
  /* Those that were out together may all be refused, and then single probes. */
  if (m->refused > 16 * 4 + 30) fail_msg("%zu refused", m->refused);
  hl_api_stats s;
  hl_account_stats(m->account, &s);
  assert_int_equal(s.limited, m->refused);
  hl_free(h);
  model_free(m);
}

static void a_higher_limit_is_used(void **state) {
  (void)state;
  model *m = model_new("free", 11);
  history *h = start(m, 250);
  m->headers = true;
  m->latency = 10;
  asks(m, h, 249, HL_CLASS_NORMAL, 0, false);
  h->n = 0;
  hl_loop_run(m->loop);
  assert_true(h->calls[h->order[248]].started < 9000);
  assert_int_equal(m->refused, 0);
  hl_free(h);
  model_free(m);
}

static void a_used_up_day_is_said(void **state) {
  (void)state;
  model *m = model_new("free", 12);
  m->daily = 250000;
  m->daily_remaining = 0;
  asked a, b, c;
  ask_raw(m, &a, "GET", "/x", "");
  hl_loop_run(m->loop);
  assert_null(a.kind);
  ask_raw(m, &b, "GET", "/x", "");
  hl_loop_run(m->loop);
  assert_string_equal(b.kind, "hubspot");
  assert_string_equal(b.category, "RATE_LIMITS");
  has(b.message, "daily limit of 250000 calls is used up");
  has(b.message, "before 2026-09-01T08:15:00");
  assert_int_equal(m->requests, 1);
  /* Later one call tries, and finds calls again. */
  m->daily_remaining = 1000;
  hl_timer wait = {0};
  others o = {.m = m, .left = 1};
  hl_timer_start(m->loop, &wait, 16 * 60 * 1000, other_use, &o);
  hl_loop_run(m->loop);
  ask_raw(m, &c, "GET", "/x", "");
  hl_loop_run(m->loop);
  assert_null(c.kind);
  asked_free(&a), asked_free(&b), asked_free(&c);
  model_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_limits_are_never_exceeded), cmocka_unit_test(the_budget_is_used),
      cmocka_unit_test(searches_wait_for_searches_only), cmocka_unit_test(live_goes_before_normal_before_bulk),
      cmocka_unit_test(scripts_take_turns), cmocka_unit_test(others_use_is_seen),
      cmocka_unit_test(a_refusal_pauses_all), cmocka_unit_test(a_higher_limit_is_used),
      cmocka_unit_test(a_used_up_day_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
