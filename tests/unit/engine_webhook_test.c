/* The push door: signatures, portals, shapes, and the answer after the commit. */
#include "engine/webhook.h"
#include "engine_util.h"
#include "hubspot/signature.h"

typedef struct door {
  world w;
  hl_hubspot *h;
  hl_webhook *hook;
  probe p;
} door;

typedef struct got {
  int calls, status;
} got;

static void on_reply(void *arg, int status, const char *text) {
  got *g = arg;
  (void)text;
  g->calls++;
  g->status = status;
}

static void no_send(hl_transport *t) { (void)t; }
static hl_transport transport = {.free = no_send};

static void note_account(probe *p, hl_run *run, const hl_event *event) {
  (void)run;
  const char *account = hl_json_int(event->json, "portalId", 0) == 62515 ? "main" : "shop";
  assert_string_equal(event->account, account);
  ((int *)p->arg)[account[0] == 's']++;
}

static void open_door(door *d, bool secrets, bool v2) {
  hl_str one[] = {HL_STR("old-secret-of-main"), HL_STR("new-secret-of-main")}, two[] = {HL_STR("secret-of-shop")};
  hl_buf token;
  hl_account *a;
  world_loop(&d->w, true);
  world_engine(&d->w, NULL);
  memset(&d->p, 0, sizeof d->p);
  listen_to(&d->w, "contact.creation", &d->p);
  world_start(&d->w);
  d->h = hl_hubspot_new(d->w.loop, &transport);
  hl_buf_init(&token, 100);
  hl_buf_puts(&token, "token-for-");
  hl_buf_puts(&token, "tests");
  assert_int_equal(hl_hubspot_add_account(d->h, &(hl_account_options){.name = "main", .token = token.p, .portal = 62515,
                       .client_secrets = one, .n_client_secrets = secrets ? 2 : 0}, &a, &d->w.err), 0);
  assert_int_equal(hl_hubspot_add_account(d->h, &(hl_account_options){.name = "shop", .token = token.p, .portal = 777,
                       .client_secrets = two, .n_client_secrets = secrets ? 1 : 0}, &a, &d->w.err), 0);
  hl_buf_deinit(&token);
  d->hook = hl_webhook_new(d->w.e, d->h, &(hl_webhook_options){.public_url = "https://hooks.example.com/in/hubspot", .accept_v2 = v2});
}

static void close_door(door *d) {
  hl_webhook_free(d->hook);
  hl_hubspot_free(d->h);
  world_end(&d->w);
}

static int deliver(door *d, const hl_delivery *v) {
  got g = {0};
  hl_webhook_deliver(d->hook, v, on_reply, &g);
  assert_int_equal(g.calls, 0);
  for (int i = 0; i < 1000 && !g.calls; i++) pass(&d->w, 0);
  assert_int_equal(g.calls, 1);
  return g.status;
}

static int deliver_v3(door *d, const char *body, const char *secret, int64_t age_ms) {
  char signature[45], timestamp[24];
  snprintf(timestamp, sizeof timestamp, "%lld", (long long)(hl_loop_now(d->w.loop) - age_ms));
  hl_signature_v3(hl_str_of(secret), "POST", "https://hooks.example.com/in/hubspot", hl_str_of(body), timestamp, signature);
  return deliver(d, &(hl_delivery){.method = "POST", .target = "/in/hubspot", .host = "x", .signature_v3 = signature,
                                   .timestamp = timestamp, .body = hl_str_of(body)});
}

static int deliver_v1(door *d, const char *body, const char *secret) {
  char signature[65];
  hl_signature_v1(hl_str_of(secret), hl_str_of(body), signature);
  return deliver(d, &(hl_delivery){.method = "POST", .target = "/in/hubspot", .host = "x", .signature = signature,
                                   .signature_version = "v1", .body = hl_str_of(body)});
}

static void takes_what_is_signed(void **state) {
  (void)state;
  static door d;
  hl_webhook_stats s;
  open_door(&d, true, false);
  assert_string_equal(hl_webhook_path(d.hook), "/in/hubspot");
  assert_int_equal(deliver_v3(&d, "[" CREATED(1, 1, 1) "]", "new-secret-of-main", 0), 204);
  assert_int_equal(deliver_v3(&d, "[" CREATED(2, 1, 1) "]", "old-secret-of-main", 4 * HL_MINUTE), 204);
  assert_int_equal(deliver_v3(&d, "[" CREATED(3, 1, 1) "]", "new-secret-of-main", 6 * HL_MINUTE), 401);
  assert_int_equal(deliver_v3(&d, "[" CREATED(4, 1, 1) "]", "guessed", 0), 401);
  assert_int_equal(deliver(&d, &(hl_delivery){.method = "POST", .target = "/in/hubspot", .body = HL_STR("[]")}), 401);
  assert_int_equal(deliver(&d, &(hl_delivery){.method = "GET", .target = "/in/hubspot"}), 405);
  assert_int_equal(deliver_v3(&d, "{\"no\":\"array\"}", "new-secret-of-main", 0), 400);
  assert_int_equal(deliver_v3(&d, "[", "new-secret-of-main", 0), 400);
  settle_down(&d.w);
  assert_int_equal(d.p.calls, 2);
  hl_webhook_stats_get(d.hook, &s);
  assert_int_equal(s.requests, 8);
  assert_int_equal(s.accepted_requests, 2);
  assert_int_equal(s.forged, 3);
  assert_int_equal(s.malformed_bodies, 2);
  close_door(&d);
}

static void the_secret_binds_the_portal(void **state) {
  (void)state;
  static door d;
  hl_webhook_stats s;
  open_door(&d, true, false);
  assert_int_equal(deliver_v3(&d, "[" CREATED(1, 1, 1) "]", "secret-of-shop", 0), 401); /* portal 62515 */
  assert_int_equal(deliver_v3(&d, "[{\"portalId\":777,\"subscriptionType\":\"contact.creation\",\"objectId\":5}]", "secret-of-shop", 0), 204);
  hl_webhook_stats_get(d.hook, &s);
  assert_int_equal(s.foreign_portal, 1);
  settle_down(&d.w);
  assert_int_equal(d.p.calls, 1);
  assert_int_equal(stats_of(&d.w).acknowledged, 1);
  close_door(&d);
}

/* One app in two portals: its secret verifies for both, the portal says whose an event is. */
static void a_shared_secret_splits_by_portal(void **state) {
  (void)state;
  static door d;
  hl_webhook_stats s;
  hl_account *a;
  hl_str shared = HL_STR("secret-of-the-app");
  int calls[2] = {0, 0};
  open_door(&d, false, false);
  hl_webhook_free(d.hook);
  hl_hubspot_free(d.h);
  d.h = hl_hubspot_new(d.w.loop, &transport);
  hl_buf token;
  hl_buf_init(&token, 100);
  hl_buf_printf(&token, "%s-%s", "token-for", "tests");
  static const struct { const char *name; int64_t portal; } of[] = {{"main", 62515}, {"shop", 777}};
  for (size_t i = 0; i < HL_COUNT(of); i++)
    assert_int_equal(hl_hubspot_add_account(d.h, &(hl_account_options){.name = of[i].name, .token = token.p, .portal = of[i].portal,
                         .client_secrets = &shared, .n_client_secrets = 1}, &a, &d.w.err), 0);
  hl_buf_deinit(&token);
  d.hook = hl_webhook_new(d.w.e, d.h, &(hl_webhook_options){.public_url = "https://hooks.example.com/in/hubspot"});
  d.p.work = note_account;
  d.p.arg = calls;
#define OF_SHOP(id) "{\"eventId\":" #id ",\"portalId\":777,\"occurredAt\":1,\"subscriptionType\":\"contact.creation\",\"objectId\":1}"
  const char *mixed = "[" CREATED(1, 1, 1) "," OF_SHOP(2) "," CREATED(3, 2, 1) "," OF_SHOP(4) ",7]";
  assert_int_equal(deliver_v3(&d, mixed, shared.p, 0), 204);
  assert_int_equal(deliver_v3(&d, "[" OF_SHOP(5) "]", shared.p, 0), 204);
  settle_down(&d.w);
  assert_int_equal(calls[0], 2);
  assert_int_equal(calls[1], 3);
  assert_int_equal(stats_of(&d.w).dead, 1); /* the 7 */
  /* The same again: nothing but duplicates, whichever way it was split. */
  assert_int_equal(deliver_v3(&d, "[" CREATED(1, 1, 1) "," OF_SHOP(2) "]", shared.p, 0), 204);
  settle_down(&d.w);
  assert_int_equal(calls[0] + calls[1], 5);
  assert_int_equal(stats_of(&d.w).duplicate, 2);
  /* A third portal is neither's, and takes the whole body with it. */
  assert_int_equal(deliver_v3(&d, "[" CREATED(9, 1, 1) ",{\"portalId\":5,\"subscriptionType\":\"contact.creation\",\"objectId\":1}]", shared.p, 0), 401);
  hl_webhook_stats_get(d.hook, &s);
  assert_int_equal(s.foreign_portal, 1);
  /* A part that cannot be stored: the whole is sent again. */
  hl_store_fault(hl_engine_store(d.w.e), "commit", HL_EIO, 1);
  assert_int_equal(deliver_v3(&d, "[" CREATED(9, 1, 1) "," OF_SHOP(10) "]", shared.p, 0), 503);
  pass(&d.w, HL_MINUTE);
  assert_int_equal(deliver_v3(&d, "[" CREATED(9, 1, 1) "," OF_SHOP(10) "]", shared.p, 0), 204);
  settle_down(&d.w);
  assert_int_equal(calls[0], 3);
  assert_int_equal(calls[1], 4);
  close_door(&d);
}

static void v1_must_be_recent(void **state) {
  (void)state;
  static door d;
  char body[200];
  open_door(&d, true, false);
  int64_t now = hl_loop_now(d.w.loop);
  for (int hours = 0; hours < 30; hours += 24) {
    snprintf(body, sizeof body, "[{\"portalId\":62515,\"subscriptionType\":\"contact.creation\",\"eventId\":%d,\"occurredAt\":%lld}]",
             hours, (long long)(now - hours * HL_HOUR));
    assert_int_equal(deliver_v1(&d, body, "new-secret-of-main"), 204);
  }
  snprintf(body, sizeof body, "[{\"portalId\":62515,\"subscriptionType\":\"contact.creation\",\"occurredAt\":%lld}]",
           (long long)(now - 26 * HL_HOUR));
  assert_int_equal(deliver_v1(&d, body, "new-secret-of-main"), 401);
  snprintf(body, sizeof body, "[{\"portalId\":62515,\"subscriptionType\":\"contact.creation\",\"occurredAt\":%lld}]",
           (long long)(now + HL_HOUR));
  assert_int_equal(deliver_v1(&d, body, "new-secret-of-main"), 401);
  assert_int_equal(deliver_v1(&d, "[{\"portalId\":62515,\"subscriptionType\":\"contact.creation\"}]", "new-secret-of-main"), 401);
  close_door(&d);
}

static void v2_only_when_accepted(void **state) {
  (void)state;
  for (int accept = 0; accept < 2; accept++) {
    static door d;
    const char *body = "[" CREATED(1, 1, 1) "]";
    char signature[65];
    open_door(&d, true, accept);
    hl_signature_v2(HL_STR("new-secret-of-main"), "POST", "https://hooks.example.com/in/hubspot?x=1", hl_str_of(body), signature);
    assert_int_equal(deliver(&d, &(hl_delivery){.method = "POST", .target = "/in/hubspot?x=1", .signature = signature,
                                                .signature_version = "v2", .body = hl_str_of(body)}), accept ? 204 : 401);
    close_door(&d);
  }
}

static void without_a_secret_nothing_enters(void **state) {
  (void)state;
  static door d;
  open_door(&d, false, true);
  assert_int_equal(deliver_v3(&d, "[" CREATED(1, 1, 1) "]", "", 0), 401);
  assert_int_equal(deliver_v1(&d, "[]", ""), 401);
  assert_int_equal(stats_of(&d.w).acknowledged, 0);
  close_door(&d);
}

static void says_503_when_it_cannot_store(void **state) {
  (void)state;
  static door d;
  hl_webhook_stats s;
  open_door(&d, true, false);
  settle_down(&d.w);
  hl_store_fault(hl_engine_store(d.w.e), "commit", HL_EFULL, 2);
  assert_int_equal(deliver_v3(&d, "[" CREATED(1, 1, 1) "]", "new-secret-of-main", 0), 503);
  assert_int_equal(deliver_v3(&d, "[" CREATED(1, 1, 1) "]", "new-secret-of-main", 0), 503);
  pass(&d.w, HL_MINUTE);
  assert_int_equal(deliver_v3(&d, "[" CREATED(1, 1, 1) "]", "new-secret-of-main", 0), 204);
  settle_down(&d.w);
  assert_int_equal(d.p.calls, 1);
  hl_webhook_stats_get(d.hook, &s);
  assert_int_equal(s.unavailable, 2);
  close_door(&d);
}

/* The n-th allocation of a receipt fails, for every n there is: what is not stored
 * is not acknowledged, nobody is called a forger for it, and it is taken when it
 * comes again. Nobody listens, because the way of a committed event ends the process. */
static void memory_ends_during_a_receipt(void **state) {
  (void)state;
  static door d;
  hl_webhook_stats s;
  char body[400];
  int refused = 0;
  enum { TIMES = 25 };
  open_door(&d, true, false);
  for (unsigned n = 1; n <= TIMES; n++) {
    snprintf(body, sizeof body, "[{\"eventId\":%u,\"portalId\":62515,\"occurredAt\":%lld,\"subscriptionType\":\"contact.deletion\","
             "\"objectId\":90071992547409%02u,\"\\u0061\":1}]" /* not for the quick reader */, n, (long long)hl_loop_now(d.w.loop), n);
    hl_mem_fail_at(n);
    int status = n % 2 ? deliver_v3(&d, body, "new-secret-of-main", 0) : deliver_v1(&d, body, "old-secret-of-main");
    hl_mem_fail_at(0);
    assert_true(status == 204 || status == 503);
    if (status == 503) {
      refused++;
      assert_int_equal(deliver_v3(&d, body, "new-secret-of-main", 0), 204);
    }
  }
  settle_down(&d.w);
  assert_int_equal(stats_of(&d.w).acknowledged, TIMES);
  assert_int_equal(stats_of(&d.w).unhandled, TIMES);
  hl_webhook_stats_get(d.hook, &s);
  assert_true(refused > 0);
  assert_int_equal(s.unavailable, refused);
  assert_int_equal(s.accepted_requests, TIMES);
  assert_int_equal(s.forged, 0);
  assert_int_equal(s.malformed_bodies, 0);
  close_door(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(takes_what_is_signed),  cmocka_unit_test(the_secret_binds_the_portal),
      cmocka_unit_test(a_shared_secret_splits_by_portal),
      cmocka_unit_test(v1_must_be_recent),     cmocka_unit_test(v2_only_when_accepted),
      cmocka_unit_test(without_a_secret_nothing_enters), cmocka_unit_test(says_503_when_it_cannot_store),
      cmocka_unit_test(memory_ends_during_a_receipt),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
