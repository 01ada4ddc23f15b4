#include "base/time.h"
#include "hubspot_model.h"

/* What several credentials share: HubSpot counts here by app, portal or both. */

enum { TOKENS = 4, N = 400 };
typedef struct whose { int app, portal; } whose;

static struct world {
  whose of[TOKENS];
  char names[TOKENS][64];
  const char *zone;
  bool silent;          /* neither question is known */
  bool vague;           /* every question is answered, with nothing in it */
  bool old;             /* only the older one */
  size_t asked, refused;
  struct { int64_t at[4096]; size_t n; } calls[8][8], searches[8]; /* [app][portal], [portal] */
} world;

static bool count(int64_t *at, size_t *n, int64_t now, int64_t interval, size_t limit) {
  if (in_window(at, *n, now, interval) >= limit) return false;
  at[(*n)++] = now;
  return true;
}

static void serve(model *m, model_request *r) {
  int i = 0;
  while (i < TOKENS && !strstr(r->auth, world.names[i])) i++;
  assert_true(i < TOKENS);
  whose w = world.of[i];
  int64_t now = hl_loop_mono(m->loop);
  if (strstr(r->path, "/account-info/") || strncmp(r->path, "/oauth/", 7) == 0) {
    world.asked++;
    bool older = strstr(r->path, "private-apps") != NULL;
    if (world.silent || (world.old && !older && r->path[1] == 'o')) {
      r->status = 404;
      hl_buf_puts(&r->answer, "{\"status\":\"error\",\"message\":\"no such thing\"}");
    } else if (world.vague) {
      hl_buf_puts(&r->answer, "{}");
    } else if (r->path[1] == 'a') {
      hl_buf_printf(&r->answer, "{\"portalId\":%d,\"timeZone\":\"%s\"}", w.portal, world.zone);
    } else if (older) {
      hl_buf_printf(&r->answer, "{\"userId\":7,\"hubId\":%d,\"appId\":%d,\"scopes\":[\"oauth\"]}", w.portal, w.app);
    } else {
      hl_buf_printf(&r->answer, "{\"active\":true,\"hub_id\":%d,\"app_id\":%d,\"user_id\":7,\"scopes\":[\"oauth\",\"x.read\"]}", w.portal,
                    w.app);
    }
    return;
  }
  size_t n = strlen(r->path);
  bool search = n > 7 && strcmp(r->path + n - 7, "/search") == 0;
  bool fits = search ? count(world.searches[w.portal].at, &world.searches[w.portal].n, now, 1000, 5)
                     : count(world.calls[w.app][w.portal].at, &world.calls[w.app][w.portal].n, now, 10000, 190);
  if (!fits) {
    world.refused++;
    r->status = 429;
    hl_buf_printf(&r->answer, "{\"policyName\":\"%s\"}", search ? "SECONDLY" : "TEN_SECONDLY_ROLLING");
    return;
  }
  hl_buf_puts(&r->answer, "{}");
}

typedef struct seen { bool done; int64_t app, portal; size_t scopes; char zone[64], kind[32], error[32]; } seen;

static void identified(void *arg, const hl_identity *id, const hl_api_error *error) {
  seen *s = arg;
  assert_false(s->done);
  s->done = true;
  if (error) {
    assert_non_null(error->message);
    snprintf(s->error, sizeof s->error, "%s", error->kind);
    return;
  }
  s->app = id->app_id;
  s->portal = id->portal;
  while (id->scopes && id->scopes[s->scopes]) s->scopes++;
  snprintf(s->zone, sizeof s->zone, "%s", id->time_zone ? id->time_zone : "");
  snprintf(s->kind, sizeof s->kind, "%s", id->kind);
}

static model *two(uint64_t seed, whose a, whose b, hl_account *out[2]) {
  hl_error err;
  model *m = model_new("professional", seed);
  world = (struct world){.of = {a, b}, .zone = "Europe/Berlin"};
  m->latency = 20;
  m->answer = serve;
  hl_hubspot_free(m->hubspot);
  m->hubspot = hl_hubspot_new(m->loop, &m->t);
  for (int i = 0; i < TOKENS; i++) snprintf(world.names[i], sizeof world.names[i], "%s-%s-%d-test", "pat", "na1", i);
  for (int i = 0; i < 2; i++) {
    hl_account_options o = {.name = i ? "two" : "one", .token = world.names[i], .tier = "professional"};
    if (hl_hubspot_add_account(m->hubspot, &o, &out[i], &err)) fail_msg("%s", err.text);
  }
  return m;
}

static void identify(model *m, hl_account *a, seen *s) {
  hl_error err;
  *s = (seen){0};
  assert_int_equal(hl_account_identify(a, identified, s, &err), 0);
  assert_false(s->done);
  hl_loop_run(m->loop);
  assert_true(s->done);
}

static asked many[2][N];

/* ms until the last of n calls of each account was answered. */
static int64_t rush(model *m, hl_account *a[2], size_t n, bool search) {
  int64_t from = hl_loop_mono(m->loop), last = 0;
  for (size_t i = 0; i < n; i++)
    for (int k = 0; k < 2; k++) {
      m->account = a[k];
      ask(m, &many[k][i], &(hl_api_call){.kind = HL_API_RAW, .klass = HL_CLASS_NORMAL, .script = "a.lua", .method = search ? "POST" : "GET",
                                         .path = search ? "/crm/objects/{version}/contacts/search" : "/x"});
    }
  hl_loop_run(m->loop);
  for (size_t i = 0; i < n; i++)
    for (int k = 0; k < 2; k++) {
      assert_null(many[k][i].kind);
      if (many[k][i].at > last) last = many[k][i].at;
      asked_free(&many[k][i]);
    }
  return last - from;
}

static void what_is_one_is_counted_as_one(void **state) {
  (void)state;
  static const struct { whose a, b; bool window, search; } cases[] = {
    {{1, 2}, {1, 2}, true, true},   /* two tokens of one app, while one replaces the other */
    {{1, 2}, {3, 2}, false, true},  /* two apps of one portal */
    {{1, 2}, {1, 3}, false, false}, /* one app in two portals */
    {{1, 2}, {3, 4}, false, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hl_account *a[2];
    seen s;
    model *m = two(i + 1, cases[i].a, cases[i].b, a);
    for (int k = 0; k < 2; k++) {
      identify(m, a[k], &s);
      assert_int_equal(s.app, world.of[k].app);
      assert_int_equal(s.portal, world.of[k].portal);
      assert_int_equal(s.scopes, 2);
      assert_string_equal(s.zone, "Europe/Berlin");
      assert_string_equal(s.kind, "private_app");
    }
    assert_int_equal(world.asked, 4);
    identify(m, a[0], &s); /* remembered */
    assert_int_equal(world.asked, 4);
    int64_t took = rush(m, a, N, false), least = cases[i].window ? 40000 : 20000;
    if (took < least || took > least + 3000) fail_msg("case %zu: %d calls each took %lld ms", i, N, (long long)took);
    took = rush(m, a, 20, true);
    least = cases[i].search ? 7000 : 3000;
    if (took < least || took > least + 500) fail_msg("case %zu: 20 searches each took %lld ms", i, (long long)took);
    assert_int_equal(world.refused, 0);
    model_free(m);
  }
}

/* Nobody asked: it is found out beside the first calls, which do not wait for it;
 * what was sent before it was known counts in the window that is then shared. */
static void it_is_found_out_when_it_matters(void **state) {
  (void)state;
  hl_account *a[2];
  model *m = two(11, (whose){1, 2}, (whose){1, 2}, a);
  asked first;
  m->account = a[0];
  int64_t from = hl_loop_mono(m->loop);
  ask_raw(m, &first, "GET", "/x", "");
  hl_loop_run(m->loop);
  assert_true(first.at - from <= 40); /* one round trip */
  asked_free(&first);
  rush(m, a, 60, false);
  assert_int_equal(world.asked, 4);
  int64_t took = rush(m, a, N, false);
  assert_true(took >= 40000 && took < 54000);
  assert_int_equal(world.refused, 0);
  model_free(m);
}

static void one_account_alone_asks_nothing(void **state) {
  (void)state;
  model *m = model_new("professional", 12);
  asked a;
  ask_raw(m, &a, "GET", "/x", "");
  hl_loop_run(m->loop);
  assert_int_equal(m->requests, 1);
  asked_free(&a);
  model_free(m);
}

static void what_is_not_told_is_borne(void **state) {
  (void)state;
  hl_account *a[2];
  seen s;
  model *m = two(13, (whose){1, 2}, (whose){1, 2}, a);
  world.silent = true;
  identify(m, a[0], &s);
  assert_string_equal(s.error, "hubspot");
  rush(m, a, 20, false);
  model_free(m);

  m = two(14, (whose){1, 2}, (whose){1, 2}, a);
  world.old = true;
  world.zone = "Mars/Olympus";
  for (int k = 0; k < 2; k++) identify(m, a[k], &s);
  assert_int_equal(s.app, 1);
  assert_int_equal(s.scopes, 1);
  assert_int_equal(world.asked, 6);
  assert_true(rush(m, a, N, false) >= 40000);
  assert_int_equal(world.refused, 0);
  /* Stopping ends it. */
  model_free(m);
  m = two(15, (whose){1, 2}, (whose){1, 2}, a);
  hl_error err;
  s = (seen){0};
  assert_int_equal(hl_account_identify(a[0], identified, &s, &err), 0);
  hl_hubspot_free(m->hubspot);
  m->hubspot = NULL;
  assert_string_equal(s.error, "cancelled");
  model_free(m);
}

typedef struct again { hl_account *account; seen second; char *said; } again;

static void asks_again(void *arg, const hl_identity *id, const hl_api_error *error) {
  again *g = arg;
  hl_error err;
  assert_null(id);
  assert_int_equal(hl_account_identify(g->account, identified, &g->second, &err), 0);
  g->said = hl_strdup(error->message); /* it is there until the callback returns */
}

static void an_answer_that_says_nothing_is_an_error(void **state) {
  (void)state;
  hl_account *a[2];
  model *m = two(17, (whose){1, 2}, (whose){1, 2}, a);
  world.vague = true;
  again g = {.account = a[0]};
  hl_error err;
  assert_int_equal(hl_account_identify(a[0], asks_again, &g, &err), 0);
  hl_loop_run(m->loop);
  assert_true(g.second.done);
  assert_string_equal(g.second.error, "protocol");
  assert_non_null(strstr(g.said, "account \"one\""));
  hl_free(g.said);
  model_free(m);
}

/* The day ends where the account is. */
static void the_day_is_the_accounts(void **state) {
  (void)state;
  hl_account *a[2];
  seen s;
  model *m = two(16, (whose){1, 2}, (whose){3, 2}, a);
  hl_api_stats stats;
  int64_t midnight;
  hl_error err;
  assert_int_equal(hl_time_parse(HL_STR("2026-09-01T22:00:00Z"), &midnight, &err), 0);
  for (int k = 0; k < 2; k++) identify(m, a[k], &s);
  m->daily = 625000;
  m->daily_remaining = 600000;
  asked x, y;
  m->account = a[0];
  ask_raw(m, &x, "GET", "/x", "");
  hl_loop_run(m->loop);
  hl_account_stats(a[1], &stats); /* of one portal: one day */
  assert_int_equal(stats.day_ends, midnight);
  assert_int_equal(stats.day_remaining, 600000);
  assert_int_equal(stats.day_reserved, 31250);
  m->daily_remaining = 0;
  ask_raw(m, &y, "GET", "/x", "");
  hl_loop_run(m->loop);
  asked_free(&x), asked_free(&y);
  m->account = a[1];
  ask_raw(m, &x, "GET", "/x", "");
  hl_loop_run(m->loop);
  assert_string_equal(x.category, "RATE_LIMITS");
  asked_free(&x);
  model_free(m);
}

/* FACTS 3: the day is that of the portal's private apps; an OAuth app's calls do not count there. */
static void an_oauth_app_has_no_part_in_the_day(void **state) {
  (void)state;
  for (int known = 0; known < 2; known++) { /* the settings say that it is one portal, or the identities do */
    hl_account *a[2];
    hl_error err;
    hl_api_stats stats;
    seen s;
    asked x;
    model *m = two(18, (whose){1, 2}, (whose){3, 2}, a);
    hl_hubspot_free(m->hubspot);
    m->hubspot = hl_hubspot_new(m->loop, &m->t);
    hl_credential_options co = {.loop = m->loop, .transport = &m->t, .kind = HL_CREDENTIAL_OAUTH, .name = "shop",
      .app = {.base_url = "https://api.hubapi.com", .version = "2026-09", .client_id = "id", .client_secret = "secret"},
      .grant = {.access = world.names[1], .refresh = world.names[2], .life_ms = 1800000, .expires_at = hl_loop_now(m->loop) + 1800000}};
    hl_credential *c = hl_credential_new(&co);
    hl_account_options o = {.name = "shop", .credential = c, .portal = known ? 2 : 0};
    assert_int_equal(hl_hubspot_add_account(m->hubspot, &o, &a[1], &err), 0);
    hl_credential_unref(c);
    o = (hl_account_options){.name = "main", .token = world.names[0], .tier = "enterprise", .portal = known ? 2 : 0};
    assert_int_equal(hl_hubspot_add_account(m->hubspot, &o, &a[0], &err), 0);
    for (int k = 0; k < 2; k++) identify(m, a[k], &s);
    m->daily = 1000000;
    m->daily_remaining = 0;
    m->account = a[0];
    ask_raw(m, &x, "GET", "/x", "");
    hl_loop_run(m->loop);
    asked_free(&x);
    ask_raw(m, &x, "GET", "/x", "");
    hl_loop_run(m->loop);
    assert_string_equal(x.category, "RATE_LIMITS");
    asked_free(&x);
    m->daily = 0; /* its answers do not tell of the day */
    m->account = a[1];
    ask_raw(m, &x, "GET", "/x", "");
    hl_loop_run(m->loop);
    assert_int_equal(x.status, 200);
    asked_free(&x);
    hl_account_stats(a[0], &stats);
    assert_int_equal(stats.day_limit, 1000000);
    assert_int_equal(stats.day_remaining, 0);
    hl_account_stats(a[1], &stats);
    assert_int_equal(stats.day_limit, 0);
    assert_int_equal(stats.day_remaining, -1);
    model_free(m);
  }
}

/* The token of client credentials is of an app and no account: that one question is asked, and the journal is the app's. */
static void an_apps_own_token_is_of_no_account(void **state) {
  (void)state;
  for (int knows = 0; knows < 2; knows++) {
    hl_account *a[2];
    hl_error err;
    seen s;
    model *m = two(19, (whose){1, 2}, (whose){1, 0}, a);
    hl_credential_options co = {.loop = m->loop, .transport = &m->t, .kind = HL_CREDENTIAL_CLIENT, .name = "journal",
      .scopes = "developer.webhooks_journal.read",
      .app = {.base_url = "https://api.hubapi.com", .version = "2026-09", .client_id = "id", .client_secret = "secret"},
      .grant = {.access = world.names[1], .life_ms = 1800000, .expires_at = hl_loop_now(m->loop) + 1800000}};
    hl_credential *c = hl_credential_new(&co);
    hl_account_options o = {.name = "journal", .credential = c};
    assert_int_equal(hl_hubspot_add_account(m->hubspot, &o, &a[1], &err), 0);
    hl_credential_unref(c);
    world.vague = !knows;
    identify(m, a[1], &s);
    assert_int_equal(world.asked, 1);
    assert_int_equal(s.app, knows);
    assert_int_equal(s.portal, 0);
    model_free(m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_one_is_counted_as_one), cmocka_unit_test(it_is_found_out_when_it_matters),
      cmocka_unit_test(one_account_alone_asks_nothing), cmocka_unit_test(what_is_not_told_is_borne),
      cmocka_unit_test(an_answer_that_says_nothing_is_an_error), cmocka_unit_test(the_day_is_the_accounts),
      cmocka_unit_test(an_oauth_app_has_no_part_in_the_day),
      cmocka_unit_test(an_apps_own_token_is_of_no_account),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
