#include "hubspot_model.h"

#include "hubspot/credential.h"

/* A token endpoint beside the model's API, a keeper in memory, and calls that
 * check which token they came with. */

enum { LIFE_S = 1800 };

typedef enum rotation { NEVER, AT_ONCE, ON_USE } rotation;

typedef struct server {
  model *m;
  rotation rotation;
  unsigned grants;                 /* given out */
  char access[64], refresh[64];    /* good now */
  char old_refresh[64];            /* ON_USE: good until access is used */
  int64_t ends;                    /* of access, loop ms */
  char before[96];                 /* the access token before it lives out its time */
  int64_t before_ends;
  unsigned asked, api, unauthorized;
  int fail_status;                 /* the next `failures` token requests are answered so; 0: lost */
  unsigned failures;
  int expires_in;                  /* said; 0: LIFE_S */
  bool revoked;
} server;

typedef struct memory {            /* what is "on disk" */
  hl_keeper k;
  hl_grant kept;
  bool leased, other;              /* other: another process holds the lease */
  unsigned saves, reads, failures;
  int freed;
} memory;

static server *at;                 /* of the one test that runs */
static memory *disk;

static int begin(hl_keeper *k, hl_grant *kept, hl_error *err) {
  memory *d = HL_CONTAINER(k, memory, k);
  if (d->other) return hl_fail(err, HL_EBUSY, "held");
  assert_false(d->leased);
  d->leased = true;
  d->reads++;
  hl_grant_copy(kept, &d->kept);
  return 0;
}

static int save(hl_keeper *k, const hl_grant *g, hl_error *err) {
  memory *d = HL_CONTAINER(k, memory, k);
  assert_true(d->leased);
  if (d->failures) {
    d->failures--;
    return hl_fail(err, HL_EFULL, "no space left on device");
  }
  hl_grant_wipe(&d->kept);
  hl_grant_copy(&d->kept, g);
  d->saves++;
  return 0;
}

static void end(hl_keeper *k) { HL_CONTAINER(k, memory, k)->leased = false; }
static void free_it(hl_keeper *k) { HL_CONTAINER(k, memory, k)->freed++; }

static bool form_is(const model_request *r, const char *name, const char *value) {
  char part[160];
  snprintf(part, sizeof part, "%s=%s", name, value);
  return memmem(r->raw.p, r->raw.n, part, strlen(part)) != NULL;
}

static void give(model_request *r) {
  server *s = at;
  s->grants++;
  snprintf(s->before, sizeof s->before, "Bearer %s", s->access);
  s->before_ends = s->ends;
  snprintf(s->access, sizeof s->access, "%s-%u", "access", s->grants);
  s->ends = hl_loop_mono(s->m->loop) + LIFE_S * 1000;
  if (s->rotation != NEVER) {
    snprintf(s->old_refresh, sizeof s->old_refresh, "%s", s->rotation == ON_USE ? s->refresh : "");
    snprintf(s->refresh, sizeof s->refresh, "%s-%u", "refresh", s->grants);
  }
  hl_buf_printf(
      &r->answer,
      "{\"access_token\":\"%s\",\"refresh_token\":\"%s\",\"expires_in\":%d,\"hub_id\":62515,\"scopes\":[\"oauth\"]}",
      s->access, s->refresh, s->expires_in ? s->expires_in : LIFE_S);
}

static void answer(model *m, model_request *r) {
  server *s = at;
  if (strcmp(r->path, "/oauth/2026-09/token") == 0) {
    s->asked++;
    assert_null(r->auth);
    if (s->failures) {
      s->failures--;
      r->status = s->fail_status;
      r->lost = s->fail_status == 0;
      return;
    }
    if (!form_is(r, "client_secret", "hush")) {
      r->status = 400;
      hl_buf_puts(&r->answer, "{\"status\":\"BAD_CLIENT_SECRET\",\"message\":\"missing or invalid client secret\"}");
    } else if (form_is(r, "grant_type", "client_credentials")) {
      assert_true(form_is(r, "scope", "developer.webhooks_journal.read"));
      give(r);
    } else if (!s->revoked && (form_is(r, "refresh_token", s->refresh) ||
                               (*s->old_refresh && form_is(r, "refresh_token", s->old_refresh)))) {
      give(r);
    } else {
      r->status = 400;
      hl_buf_puts(&r->answer, "{\"status\":\"BAD_REFRESH_TOKEN\",\"message\":\"missing or invalid refresh token\"}");
    }
    return;
  }
  s->api++;
  char wanted[96];
  snprintf(wanted, sizeof wanted, "Bearer %s", s->access);
  int64_t now = hl_loop_mono(m->loop);
  bool old = r->auth && strcmp(r->auth, s->before) == 0 && now < s->before_ends;
  bool newest = r->auth && strcmp(r->auth, wanted) == 0 && now < s->ends;
  if ((!old && !newest) || s->revoked) {
    s->unauthorized++;
    r->status = 401;
    hl_buf_puts(
        &r->answer,
        "{\"category\":\"EXPIRED_AUTHENTICATION\",\"message\":\"The OAuth token used to make this call expired\"}");
    return;
  }
  if (newest) *s->old_refresh = 0;
  /* What a call carries is kept already. */
  if (newest && disk && disk->kept.access) assert_string_equal(disk->kept.access, s->access);
  hl_buf_puts(&r->answer, "{}");
}

typedef struct setting {
  hl_credential_kind kind;
  const char *access, *refresh, *older;
  int64_t left_ms;                 /* of access, by the wall clock */
  const char *secret;
  bool memory_only;
} setting;

/* A model whose account has this credential. */
static model *begin_with(server *s, memory *d, setting o) {
  model *m = model_new("free", 11);
  hl_error err = {0};
  *d = (memory){.k = {.begin = begin, .save = save, .end = end, .free = free_it}};
  union { const char *in; char *out; } access = {.in = o.access}, refresh = {.in = o.refresh}, older = {.in = o.older};
  hl_grant g = {.access = access.out, .refresh = refresh.out, .older = older.out, .life_ms = LIFE_S * 1000,
                .expires_at = o.left_ms ? hl_loop_now(m->loop) + o.left_ms : 0};
  hl_grant_copy(&d->kept, &g);
  hl_credential_options co = {.loop = m->loop,
                              .transport = &m->t,
                              .name = "shop",
                              .kind = o.kind,
                              .grant = g,
                              .scopes = "developer.webhooks_journal.read",
                              .app = {.base_url = "https://api.hubapi.com",
                                      .version = "2026-09",
                                      .client_id = "app",
                                      .client_secret = o.secret ? o.secret : "hush"},
                              .keeper = o.memory_only ? NULL : &d->k};
  hl_credential *c = hl_credential_new(&co);
  hl_account_options ao = {.name = "shop", .credential = c, .tier = "free", .portal = 9};
  if (hl_hubspot_add_account(m->hubspot, &ao, &m->account, &err)) fail_msg("%s", err.text);
  hl_credential_unref(c);
  m->answer = answer;
  s->m = m;
  at = s;
  disk = d;
  return m;
}

static void done_with(model *m) {
  model_free(m);
  hl_grant_wipe(&disk->kept);
  assert_false(disk->leased);
  disk = NULL;
}

static server good(rotation r) {
  server s = {.rotation = r};
  snprintf(s.access, sizeof s.access, "access-0");
  snprintf(s.refresh, sizeof s.refresh, "refresh-0");
  return s;
}

static setting oauth(int64_t left_ms) {
  return (setting){.kind = HL_CREDENTIAL_OAUTH, .access = "access-0", .refresh = "refresh-0", .left_ms = left_ms};
}

static void set_past(hl_timer *t, void *arg) {
  (void)t;
  *(bool *)arg = true;
}

static void one_renewal_however_many_wait(void **state) {
  (void)state;
  enum { N = 60 };
  server s = good(ON_USE);
  memory d;
  asked a[N];
  model *m = begin_with(&s, &d, oauth(-1000)); /* ended while we were away */
  for (int i = 0; i < N; i++) ask_raw(m, &a[i], "GET", "/crm/owners/{version}", "");
  hl_loop_run(m->loop);
  assert_int_equal(s.asked, 1);
  assert_int_equal(s.unauthorized, 0);
  assert_int_equal(s.api, N);
  assert_int_equal(m->failed, 0);
  assert_int_equal(d.saves, 1);
  assert_string_equal(d.kept.refresh, "refresh-1");
  assert_string_equal(d.kept.older, "refresh-0"); /* until the new one has worked */
  for (int i = 0; i < N; i++) asked_free(&a[i]);
  done_with(m);
  assert_int_equal(d.freed, 1);
}

/* Calls every 7 s for a day: no call ever meets an expired token, none waits. */
static void renewed_before_the_end_by_the_clock(void **state) {
  (void)state;
  server s = good(AT_ONCE);
  memory d;
  model *m = begin_with(&s, &d, oauth(LIFE_S * 1000));
  s.ends = LIFE_S * 1000;
  int64_t slowest = 0;
  for (int64_t t = 0; t < 24 * 3600 * 1000; t += 7000) {
    asked a;
    int64_t from = hl_loop_mono(m->loop);
    ask_raw(m, &a, "GET", "/crm/owners/{version}", "");
    assert_int_equal(hl_loop_run_until(m->loop, &a.done), 0);
    if (a.at - from > slowest) slowest = a.at - from;
    asked_free(&a);
    bool past = false;
    hl_timer timer = {0};
    hl_timer_start(m->loop, &timer, 7000 - (hl_loop_mono(m->loop) - from), set_past, &past);
    hl_loop_run_until(m->loop, &past);
  }
  assert_int_equal(s.unauthorized, 0);
  assert_int_equal(m->failed, 0);
  assert_in_range(s.asked, 24 * 3600 / LIFE_S, 24 * 3600 / (LIFE_S - 400) + 1);
  assert_in_range(slowest, 0, 2 * m->latency);
  done_with(m);
}

static void call_once(model *m, asked *a) {
  ask_raw(m, a, "GET", "/crm/owners/{version}", "");
  assert_int_equal(hl_loop_run_until(m->loop, &a->done), 0);
}

/* Our clock says ten years, HubSpot says expired. */
static void a_bad_clock_is_survived(void **state) {
  (void)state;
  server s = good(ON_USE);
  memory d;
  asked a;
  model *m = begin_with(&s, &d, oauth(INT64_C(10) * 365 * 86400 * 1000));
  call_once(m, &a); /* ends is 0: 401, one renewal, sent again */
  assert_null(a.kind);
  assert_int_equal(s.unauthorized, 1);
  assert_int_equal(s.asked, 1);
  asked_free(&a);
  call_once(m, &a);
  assert_int_equal(s.unauthorized, 1);
  asked_free(&a);
  done_with(m);

  /* However far off the stored end is, no token is believed for more than its life. */
  server s2 = good(ON_USE);
  m = begin_with(&s2, &d, oauth(INT64_C(10) * 365 * 86400 * 1000));
  s2.ends = LIFE_S * 1000;
  bool past = false;
  hl_timer timer = {0};
  hl_timer_start(m->loop, &timer, LIFE_S * 1000 + 1, set_past, &past);
  hl_loop_run_until(m->loop, &past);
  call_once(m, &a);
  assert_null(a.kind);
  assert_int_equal(s2.unauthorized, 0);
  asked_free(&a);
  done_with(m);
}

/* expires_in far too long: the 401 is believed, at most once a minute. */
static void a_lying_expires_in(void **state) {
  (void)state;
  server s = good(ON_USE);
  s.expires_in = 9 * 3600;
  memory d;
  asked a[20];
  model *m = begin_with(&s, &d, oauth(-1));
  call_once(m, &a[0]);
  assert_null(a[0].kind);
  asked_free(&a[0]);
  bool past = false;
  hl_timer timer = {0};
  hl_timer_start(m->loop, &timer, LIFE_S * 1000 + 1, set_past, &past);
  hl_loop_run_until(m->loop, &past);
  for (int i = 0; i < 20; i++)
    ask_raw(m, &a[i], "POST", "/crm/objects/{version}/notes", "{}"); /* not safe to repeat, but a 401 did nothing */
  hl_loop_run(m->loop);
  assert_int_equal(m->failed, 0);
  assert_int_equal(s.asked, 2);
  for (int i = 0; i < 20; i++) asked_free(&a[i]);
  done_with(m);
}

static void both_refused_is_final_until_somebody_logs_in(void **state) {
  (void)state;
  server s = good(ON_USE);
  s.revoked = true;
  memory d;
  asked a, b;
  setting o = oauth(-1);
  o.older = "refresh-older";
  model *m = begin_with(&s, &d, o);
  call_once(m, &a);
  assert_string_equal(a.kind, "auth");
  has(a.message, "“shop” has to be connected again");
  has(a.message, "hubloop auth login shop");
  assert_null(strchr(a.message, '\n'));
  assert_false(a.retryable);
  assert_int_equal(s.asked, 2); /* the new one and the one before */
  assert_int_equal(s.api, 0);
  call_once(m, &b);
  assert_string_equal(b.kind, "auth");
  assert_int_equal(s.asked, 2); /* HubSpot is not asked again */
  asked_free(&a);
  asked_free(&b);
  /* hubloop auth login, in another process: the store has a new grant. */
  s.revoked = false;
  snprintf(s.refresh, sizeof s.refresh, "refresh-77");
  hl_free(d.kept.refresh);
  d.kept.refresh = hl_strdup("refresh-77");
  bool past = false;
  hl_timer timer = {0};
  hl_timer_start(m->loop, &timer, 16000, set_past, &past);
  hl_loop_run_until(m->loop, &past);
  call_once(m, &a);
  assert_null(a.kind);
  asked_free(&a);
  done_with(m);
}

static void the_older_one_when_the_newest_is_refused(void **state) {
  (void)state;
  server s = good(ON_USE);
  memory d;
  asked a;
  setting o = oauth(-1);
  o.refresh = "never-arrived-there";
  o.older = "refresh-0";
  model *m = begin_with(&s, &d, o);
  call_once(m, &a);
  assert_null(a.kind);
  assert_int_equal(s.asked, 2);
  assert_string_equal(d.kept.refresh, "refresh-1");
  assert_string_equal(d.kept.older, "refresh-0");
  asked_free(&a);
  done_with(m);
}

static void the_apps_secret_is_wrong(void **state) {
  (void)state;
  server s = good(NEVER);
  memory d;
  asked a;
  setting o = oauth(-1);
  o.secret = "wrong";
  model *m = begin_with(&s, &d, o);
  call_once(m, &a);
  assert_string_equal(a.kind, "auth");
  has(a.message, "client id or client secret");
  asked_free(&a);
  done_with(m);
}

static void the_token_endpoint_is_tried_again(void **state) {
  (void)state;
  static const int statuses[] = {0, 429, 500, 503, 408};
  for (size_t i = 0; i < HL_COUNT(statuses); i++) {
    server s = good(ON_USE);
    memory d;
    asked a;
    s.fail_status = statuses[i];
    s.failures = 4;
    model *m = begin_with(&s, &d, oauth(-1));
    call_once(m, &a);
    assert_null(a.kind);
    assert_int_equal(s.asked, 5);
    asked_free(&a);
    done_with(m);
  }
}

static void a_dead_token_endpoint_is_said(void **state) {
  (void)state;
  server s = good(ON_USE);
  memory d;
  asked a;
  s.fail_status = 503;
  s.failures = 1000000;
  model *m = begin_with(&s, &d, oauth(-1));
  call_once(m, &a);
  assert_string_equal(a.kind, "timeout");
  assert_true(a.retryable);
  has(a.message, "token endpoint does not answer");
  assert_in_range(s.asked, 4, 30); /* with growing pauses */
  asked_free(&a);
  s.failures = 0;
  call_once(m, &a);
  assert_null(a.kind);
  asked_free(&a);
  done_with(m);
}

static void a_token_that_cannot_be_stored_is_not_used(void **state) {
  (void)state;
  server s = good(AT_ONCE);
  memory d;
  asked a;
  model *m = begin_with(&s, &d, oauth(-1));
  d.failures = 3;
  call_once(m, &a); /* answer() asserts that it is kept before it is used */
  assert_null(a.kind);
  assert_int_equal(s.asked, 1); /* what was received is stored later, not asked for again */
  assert_int_equal(d.saves, 1);
  asked_free(&a);
  done_with(m);
  /* A disk that stays full: the calls end with an error, and what came is kept in memory. */
  server s2 = good(AT_ONCE);
  m = begin_with(&s2, &d, oauth(-1));
  d.failures = 100;
  call_once(m, &a);
  assert_string_equal(a.kind, "timeout");
  has(a.message, "cannot be stored");
  asked_free(&a);
  d.failures = 0;
  call_once(m, &a);
  assert_null(a.kind);
  assert_int_equal(s2.asked, 1);
  asked_free(&a);
  done_with(m);
}

static void another_process_was_quicker(void **state) {
  (void)state;
  server s = good(ON_USE);
  memory d;
  asked a;
  model *m = begin_with(&s, &d, oauth(-1));
  hl_free(d.kept.access);
  d.kept.access = hl_strdup("access-8");
  d.kept.expires_at = hl_loop_now(m->loop) + LIFE_S * 1000;
  snprintf(s.access, sizeof s.access, "access-8");
  s.ends = LIFE_S * 1000;
  d.other = true; /* and is at it for a while */
  ask_raw(m, &a, "GET", "/crm/owners/{version}", "");
  bool past = false;
  hl_timer timer = {0};
  hl_timer_start(m->loop, &timer, 3000, set_past, &past);
  hl_loop_run_until(m->loop, &past);
  assert_false(a.done);
  d.other = false;
  hl_loop_run(m->loop);
  assert_true(a.done);
  assert_null(a.kind);
  assert_int_equal(s.asked, 0);
  asked_free(&a);
  done_with(m);
}

static void client_credentials(void **state) {
  (void)state;
  server s = good(NEVER);
  memory d;
  asked a;
  model *m = begin_with(&s, &d, (setting){.kind = HL_CREDENTIAL_CLIENT});
  call_once(m, &a);
  assert_null(a.kind);
  assert_int_equal(s.asked, 1);
  assert_string_equal(d.kept.access, "access-1");
  asked_free(&a);
  done_with(m);
}

/* The window counts on through a renewal. */
static void the_limiter_survives(void **state) {
  (void)state;
  enum { N = 350 };
  server s = good(ON_USE);
  memory d;
  asked *a = hl_alloc(N * sizeof *a);
  model *m = begin_with(&s, &d, oauth(LIFE_S * 1000));
  m->limit = 111; /* the token requests count here too, and are not the queue's */
  s.ends = 5000; /* HubSpot ends it in the middle */
  for (int i = 0; i < N; i++) ask_raw(m, &a[i], "GET", "/crm/owners/{version}", "");
  hl_loop_run(m->loop);
  assert_int_equal(m->failed, 0);
  assert_int_equal(m->refused, 0);
  assert_int_equal(s.asked, 1);
  for (int i = 0; i < N; i++) asked_free(&a[i]);
  hl_free(a);
  done_with(m);
}

static void stopping_in_the_middle_leaves_nothing(void **state) {
  (void)state;
  for (int ms = 0; ms < 120; ms += 5) {
    server s = good(ON_USE);
    memory d;
    asked a;
    model *m = begin_with(&s, &d, oauth(-1));
    ask_raw(m, &a, "GET", "/crm/owners/{version}", "");
    bool past = false;
    hl_timer timer = {0};
    hl_timer_start(m->loop, &timer, ms, set_past, &past);
    hl_loop_run_until(m->loop, &past);
    hl_hubspot_free(m->hubspot);
    m->hubspot = NULL;
    assert_true(a.done);
    asked_free(&a);
    done_with(m);
    assert_int_equal(d.freed, 1);
  }
}

/* ---- several accounts ---- */

static void two_portals(model *m, model_request *r) {
  (void)m;
  /* Each path names the token that it must come with. */
  char wanted[64];
  snprintf(wanted, sizeof wanted, "Bearer token-%s", strrchr(r->path, '/') + 1);
  assert_string_equal(r->auth, wanted);
  hl_buf_puts(&r->answer, "{}");
}

static void tokens_are_never_mixed(void **state) {
  (void)state;
  enum { N = 90 };
  model *m = model_new("free", 3);
  hl_error err;
  hl_account *one, *two, *alias;
  asked *a = hl_alloc(2 * N * sizeof *a);
  m->answer = two_portals;
  hl_account_options o = {.name = "one", .token = "token-one", .tier = "free", .portal = 1};
  assert_int_equal(hl_hubspot_add_account(m->hubspot, &o, &one, &err), 0);
  o = (hl_account_options){.name = "two", .token = "token-two", .tier = "free", .portal = 2};
  assert_int_equal(hl_hubspot_add_account(m->hubspot, &o, &two, &err), 0);
  o = (hl_account_options){.name = "alias", .token = "token-one", .tier = "free", .portal = 1};
  assert_int_equal(hl_hubspot_add_account(m->hubspot, &o, &alias, &err), 0);
  for (int i = 0; i < 2 * N; i++) {
    a[i] = (asked){.m = m};
    hl_api_call call = {.kind = HL_API_RAW, .script = "a.lua", .method = "GET", .path = i % 2 ? "/x/two" : "/x/one"};
    hl_account *from = i % 2 ? two : i % 4 ? alias : one;
    assert_int_equal(hl_api_send(from, &call, asked_done, &a[i], NULL, &err), 0);
  }
  hl_loop_run(m->loop);
  assert_int_equal(m->failed, 0);
  /* Two budgets of 100 in 10 s: nobody had to wait for the other account. */
  for (int i = 0; i < 2 * N; i++) assert_in_range(a[i].at, 0, 9000);
  for (int i = 0; i < 2 * N; i++) asked_free(&a[i]);
  hl_free(a);
  model_free(m);
}

/* ---- static tokens ---- */

static void static_answer(model *m, model_request *r) {
  (void)m;
  if (strcmp(r->auth, "Bearer rotated-out") == 0) {
    hl_buf_puts(&r->answer, "{}");
    return;
  }
  r->status = 401;
  hl_buf_puts(&r->answer, "{\"category\":\"INVALID_AUTHENTICATION\",\"message\":\"no\"}");
}

static void a_rotated_token_that_fails(void **state) {
  (void)state;
  server s = good(NEVER);
  memory d;
  asked a, b;
  model *m = begin_with(&s, &d, (setting){.kind = HL_CREDENTIAL_SERVICE_KEY, .access = "new-but-bad", .older = "rotated-out"});
  m->answer = static_answer;
  call_once(m, &a);
  assert_null(a.kind);
  call_once(m, &b);
  assert_null(b.kind);
  assert_int_equal(m->requests, 3);
  asked_free(&a);
  asked_free(&b);
  done_with(m);
}

static void only_newest(model *m, model_request *r) {
  (void)m;
  if (strcmp(r->auth, "Bearer newest") == 0) {
    hl_buf_puts(&r->answer, "{}");
    return;
  }
  r->status = 401;
  hl_buf_puts(&r->answer, "{\"category\":\"INVALID_AUTHENTICATION\",\"message\":\"no\"}");
}

static void a_token_rotated_in_the_store_is_taken_up(void **state) {
  (void)state;
  enum { N = 12 };
  server s = good(NEVER);
  memory d;
  asked a[N], b;
  model *m = begin_with(&s, &d, (setting){.kind = HL_CREDENTIAL_SERVICE_KEY, .access = "yesterdays"});
  m->answer = only_newest;
  hl_free(d.kept.access);
  d.kept.access = hl_strdup("newest");
  for (int i = 0; i < N; i++) ask_raw(m, &a[i], "GET", "/crm/owners/{version}", "");
  hl_loop_run(m->loop);
  assert_int_equal(m->failed, 0);
  assert_int_equal(d.reads, 1); /* of the store, however many calls were refused */
  for (int i = 0; i < N; i++) asked_free(&a[i]);
  /* Revoked for good: each call ends with its 401, and the store is not read for each. */
  hl_free(d.kept.access);
  d.kept.access = hl_strdup("newest");
  m->answer = static_answer;
  for (int i = 0; i < 3; i++) {
    call_once(m, &b);
    assert_int_equal(b.status, 401);
    has(b.message, "hubloop auth rotate shop");
    asked_free(&b);
  }
  assert_in_range(d.reads, 1, 2);
  done_with(m);
}

static void all_well(model *m, model_request *r) {
  (void)m;
  hl_buf_puts(&r->answer, "{}");
}

static void a_rotated_token_that_works_ends_the_old_one(void **state) {
  (void)state;
  server s = good(NEVER);
  memory d;
  asked a;
  model *m = begin_with(&s, &d, (setting){.kind = HL_CREDENTIAL_PRIVATE_APP, .access = "new", .older = "rotated-out"});
  m->answer = all_well;
  call_once(m, &a);
  hl_loop_run(m->loop);
  assert_null(d.kept.older);
  assert_string_equal(d.kept.access, "new");
  asked_free(&a);
  done_with(m);
}

static void a_token_of_another_region(void **state) {
  (void)state;
  static const struct { const char *region, *base, *said; } cases[] = {
      {"eu1", "https://api.hubapi.com", "set region = \"eu1\" for account two"},
      {"na1", "https://api-eu1.hubapi.com", "leave region and base_url of account two out"},
      {"eu1", "https://api-eu1.hubapi.com", NULL},
      {"na1", "https://api.hubapi.com", NULL},
  };
  for (size_t i = 0; i < HL_COUNT(cases); i++) {
    server s = good(NEVER);
    model *m = model_new("free", 3);
    asked a;
    hl_error err;
    char token[64];
    (void)s;
    snprintf(token, sizeof token, "%s-%s-%s", "pat", cases[i].region, "x1-test");
    hl_account_options o = {.name = "two", .token = token, .base_url = cases[i].base};
    assert_int_equal(hl_hubspot_add_account(m->hubspot, &o, &m->account, &err), 0);
    m->answer = static_answer;
    call_once(m, &a);
    assert_int_equal(a.status, 401);
    has(a.message, "HubSpot refused the token of account \"two\" (401");
    if (cases[i].said) has(a.message, cases[i].said);
    else assert_null(strstr(a.message, "region"));
    assert_null(strstr(a.message, token));
    asked_free(&a);
    model_free(m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_renewal_however_many_wait),
      cmocka_unit_test(renewed_before_the_end_by_the_clock),
      cmocka_unit_test(a_bad_clock_is_survived),
      cmocka_unit_test(a_lying_expires_in),
      cmocka_unit_test(both_refused_is_final_until_somebody_logs_in),
      cmocka_unit_test(the_older_one_when_the_newest_is_refused),
      cmocka_unit_test(the_apps_secret_is_wrong),
      cmocka_unit_test(the_token_endpoint_is_tried_again),
      cmocka_unit_test(a_dead_token_endpoint_is_said),
      cmocka_unit_test(a_token_that_cannot_be_stored_is_not_used),
      cmocka_unit_test(another_process_was_quicker),
      cmocka_unit_test(client_credentials),
      cmocka_unit_test(the_limiter_survives),
      cmocka_unit_test(stopping_in_the_middle_leaves_nothing),
      cmocka_unit_test(tokens_are_never_mixed),
      cmocka_unit_test(a_rotated_token_that_fails),
      cmocka_unit_test(a_rotated_token_that_works_ends_the_old_one),
      cmocka_unit_test(a_token_rotated_in_the_store_is_taken_up),
      cmocka_unit_test(a_token_of_another_region),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
