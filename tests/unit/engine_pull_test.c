/* The journal into the inbox, against the simulator, in virtual time: what happens is
 * handled once, whatever happens in between; what may be missing is told and searched for. */
#include "engine_util.h"

#include "base/time.h"
#include "engine/pull.h"
#include "lua/sim.h"

typedef struct pulled {
  world w;
  hl_sim *sim;
  hl_hubspot *crm, *app;
  hl_account *account, *credential;
  hl_pull *pull;
  bool loopback;
  probe made, changed, deleted, alerts;
  char last_alert[2000], source[16];
  int64_t started;
} pulled;

static char *control(pulled *f, const char *name, const char *json) {
  char *out = NULL;
  hl_error err;
  if (hl_sim_control(f->sim, name, hl_str_of(json), &out, &err)) fail_msg("%s", err.text);
  return out;
}

static void does(pulled *f, const char *name, const char *json) { hl_free(control(f, name, json)); }

static void on_alert(probe *p, hl_run *run, const hl_event *e) {
  pulled *f = p->arg;
  char *text = hl_json_print(e->json);
  (void)run;
  snprintf(f->last_alert, sizeof f->last_alert, "%s", text);
  hl_free(text);
}

static void note_source(probe *p, hl_run *run, const hl_event *e) {
  (void)run;
  snprintf(((pulled *)p->arg)->source, sizeof ((pulled *)p->arg)->source, "%s", e->source);
}

/* A token of the kind and with the scopes that the simulator asks for. */
static hl_account *account_with(pulled *f, hl_hubspot *h, const char *name, const char *issue, int64_t portal) {
  char *json = control(f, "issue_token", issue);
  cJSON *root = NULL;
  hl_account *a;
  hl_error err;
  assert_int_equal(hl_json_parse(hl_str_of(json), &root, NULL), 0);
  hl_account_options o = {.name = name, .token = hl_json_str(root, "token", ""), .base_url = "http://127.0.0.1", .tier = "professional", .portal = portal};
  if (hl_hubspot_add_account(h, &o, &a, &err)) fail_msg("%s", err.text);
  cJSON_Delete(root);
  hl_free(json);
  return a;
}

static void pull_start(pulled *f, bool earliest) {
  hl_pull_options o = {.engine = f->w.e, .app = f->credential, .transport = hl_sim_transport(f->sim), .loopback = f->loopback, .name = "app",
                       .accounts = &f->account, .n = 1, .earliest = earliest};
  if (hl_pull_new(&o, &f->pull, &f->w.err)) fail_msg("%s", f->w.err.text);
  hl_pull_start(f->pull);
}

static void pull_stop(pulled *f) {
  hl_pull_free(f->pull);
  f->pull = NULL;
}

static void on_property(pulled *f, const char *type, const char *property, probe *p) {
  listen_with(&f->w, type, false, (hl_handler_options){.script = "t.lua", .name = property, .property = property, .retries = 3}, p);
}

static void setup(pulled *f, bool begin) {
  static const char SCOPES[] = "\"developer.webhooks_journal.read\",\"developer.webhooks_journal.subscriptions.write\"";
  char issue[300];
  hl_error err;
  *f = (pulled){.loopback = true};
  world_loop(&f->w, true);
  hl_sim_options so = {.json = "{\"oauth_apps\":[{\"client_id\":\"app\",\"client_secret\":\"s\",\"app_id\":77}],\"portal\":62515}"};
  if (hl_sim_new(f->w.loop, &so, &f->sim, &err)) fail_msg("%s", err.text);
  f->crm = hl_hubspot_new(f->w.loop, hl_sim_transport(f->sim));
  f->app = hl_hubspot_new(f->w.loop, hl_sim_transport(f->sim));
  f->account = account_with(f, f->crm, "main", "{}", 62515);
  snprintf(issue, sizeof issue, "{\"client_id\":\"app\",\"kind\":\"client_credentials\",\"scopes\":[%s]}", SCOPES);
  f->credential = account_with(f, f->app, "app", issue, 0);
  world_engine(&f->w, NULL);
  f->made.work = note_source;
  f->made.arg = f->alerts.arg = f;
  f->alerts.work = on_alert;
  listen_to(&f->w, "contact.creation", &f->made);
  on_property(f, "contact.propertyChange", "phone", &f->changed);
  listen_to(&f->w, "contact.deletion", &f->deleted);
  listen_with(&f->w, HL_ALERT_TYPE, true, (hl_handler_options){.script = "t.lua", .retries = 3}, &f->alerts);
  world_start(&f->w);
  /* The subscription is there before anything happens. */
  hl_api_call call = {.kind = HL_API_RAW, .method = "POST", .path = "/webhooks-journal/subscriptions/2026-03", .script = "t",
                      .body = HL_STR("{\"subscriptionType\":\"OBJECT\",\"portalId\":62515,\"objectTypeId\":\"0-1\",\"objectIds\":[],"
                                     "\"actions\":[\"CREATE\",\"UPDATE\",\"DELETE\"],\"properties\":[\"phone\"]}")};
  assert_int_equal(hl_api_send(f->credential, &call, NULL, NULL, NULL, &err), 0);
  pass(&f->w, 2000);
  f->started = hl_loop_mono(f->w.loop);
  if (begin) {
    pull_start(f, false);
    pass(&f->w, 5000);
  }
}

static void teardown(pulled *f) {
  pull_stop(f);
  pass(&f->w, 100);
  hl_hubspot_free(f->crm);
  hl_hubspot_free(f->app);
  hl_sim_free(f->sim);
  world_end(&f->w);
}

static int contacts;
static void make(pulled *f, int n) {
  char json[200];
  for (int i = 0; i < n; i++) {
    snprintf(json, sizeof json, "{\"type\":\"contacts\",\"properties\":{\"email\":\"c%d@example.com\"}}", contacts++);
    does(f, "create", json);
  }
}

static int64_t status_of(pulled *f, const char *name) {
  cJSON *json = cJSON_CreateObject();
  hl_pull_status(f->pull, json);
  int64_t v = hl_json_int(json, name, -1);
  cJSON_Delete(json);
  return v;
}

static void what_happens_is_handled(void **state) {
  (void)state;
  pulled f;
  setup(&f, true);
  make(&f, 3);
  pass(&f.w, 10000);
  assert_int_equal(f.made.calls, 3);
  assert_string_equal(f.source, "journal");
  char *json = control(&f, "list", "{\"type\":\"contacts\"}");
  cJSON *root = NULL;
  assert_int_equal(hl_json_parse(hl_str_of(json), &root, NULL), 0);
  const char *id = hl_json_str(hl_json_get(root, "results")->child, "id", "");
  assert_string_equal(f.made.objects[0], id);
  char update[200];
  snprintf(update, sizeof update, "{\"type\":\"contacts\",\"id\":\"%s\",\"properties\":{\"phone\":\"1\",\"city\":\"Rome\"}}", id);
  does(&f, "update", update);
  snprintf(update, sizeof update, "{\"type\":\"contacts\",\"id\":\"%s\"}", id);
  does(&f, "delete", update);
  pass(&f.w, 10000);
  assert_int_equal(f.changed.calls, 1);
  assert_int_equal(f.deleted.calls, 1);
  assert_int_equal(f.alerts.calls, 0);
  assert_int_equal(stats_of(&f.w).duplicate, 0);
  cJSON_Delete(root);
  hl_free(json);
  teardown(&f);
}

/* It begins with what happens from then on, or with what there is. */
static void it_begins_where_it_is_told(void **state) {
  (void)state;
  for (int earliest = 0; earliest < 2; earliest++) {
    pulled f;
    setup(&f, false);
    make(&f, 3);
    pass(&f.w, 2000);
    pull_start(&f, earliest);
    pass(&f.w, 8000);
    make(&f, 2);
    pass(&f.w, 8000);
    assert_int_equal(f.made.calls, earliest ? 5 : 2);
    /* And not again after a restart. */
    pull_stop(&f);
    pull_start(&f, earliest);
    pass(&f.w, 8000);
    assert_int_equal(f.made.calls, earliest ? 5 : 2);
    assert_int_equal(f.alerts.calls, 0);
    teardown(&f);
  }
}

/* An empty journal has a beginning, too, and it is kept. */
static void what_comes_first_while_it_is_down_is_read(void **state) {
  (void)state;
  pulled f;
  setup(&f, true);
  pull_stop(&f);
  make(&f, 2);
  pass(&f.w, HL_HOUR);
  pull_start(&f, false);
  pass(&f.w, 8000);
  assert_int_equal(f.made.calls, 2);
  teardown(&f);
}

static void an_hour_of_downtime_is_made_up_for(void **state) {
  (void)state;
  pulled f;
  setup(&f, true);
  make(&f, 1);
  pass(&f.w, 8000);
  pull_stop(&f);
  for (int i = 0; i < 200; i++) { /* as many files, four times what is asked for at once */
    make(&f, 3);
    pass(&f.w, HL_HOUR / 200);
  }
  pull_start(&f, false);
  int64_t polls = status_of(&f, "polls");
  pass(&f.w, 8000);
  assert_int_equal(f.made.calls, 601);
  assert_int_equal(f.alerts.calls, 0);
  assert_true(status_of(&f, "polls") - polls < 20);
  teardown(&f);
}

/* Ended at any moment, begun anew: nothing is lost, nothing handled twice, and nothing
 * even read twice, which the duplicates would show. */
static void it_may_end_at_any_moment(void **state) {
  (void)state;
  pulled f;
  hl_rng rng;
  setup(&f, true);
  hl_rng_init(&rng, 5);
  int made = 0;
  for (int i = 0; i < 300; i++) {
    int n = (int)hl_rng_below(&rng, 4);
    make(&f, n);
    made += n;
    pass(&f.w, (int64_t)hl_rng_below(&rng, 3000));
    if (hl_rng_below(&rng, 2)) {
      pull_stop(&f);
      pull_start(&f, false);
    }
    if (hl_rng_below(&rng, 20) == 0) hl_store_fault(hl_engine_store(f.w.e), "commit", HL_EFULL, 3);
    if (hl_rng_below(&rng, 20) == 0) does(&f, "fail", "{\"match\":{\"path\":\"journal\"},\"status\":503,\"times\":3}");
    if (hl_rng_below(&rng, 20) == 0) does(&f, "fail", "{\"match\":{\"path\":\"_sim-journal\"},\"drop\":true,\"times\":2}");
    if (hl_rng_below(&rng, 20) == 0) does(&f, "fail", "{\"match\":{\"path\":\"_sim-journal\"},\"truncate\":true,\"times\":2}");
  }
  pass(&f.w, 5 * HL_MINUTE);
  settle_down(&f.w);
  assert_int_equal(f.made.calls, made);
  assert_int_equal(stats_of(&f.w).duplicate, 0);
  teardown(&f);
}

static void polls_grow_rare_and_are_at_once_when_there_is_more(void **state) {
  (void)state;
  pulled f;
  setup(&f, true);
  pass(&f.w, HL_MINUTE);
  int64_t before = status_of(&f, "polls");
  pass(&f.w, 10 * HL_MINUTE);
  int64_t polls = status_of(&f, "polls") - before;
  assert_in_range(polls, 120, 145); /* every 5 s, and once a minute "latest" */
  make(&f, 1);
  pass(&f.w, 7000);
  assert_int_equal(f.made.calls, 1);
  teardown(&f);
}

/* Nothing happens for more than three days, and the offset expires meanwhile: that is no loss. */
static void quiet_days_are_no_loss(void **state) {
  (void)state;
  for (int told = 0; told < 2; told++) {
    pulled f;
    setup(&f, true);
    if (told) does(&f, "configure", "{\"journal_expired\":204}");
    make(&f, 1);
    pass(&f.w, 8000);
    /* It is looked into now and then, which is what it does all the time. */
    for (int hour = 0; hour < 74; hour += 2) {
      pull_stop(&f);
      pass(&f.w, 2 * HL_HOUR - 2 * HL_MINUTE);
      pull_start(&f, false);
      pass(&f.w, 2 * HL_MINUTE);
    }
    if (!told) pull_stop(&f);
    make(&f, 1);
    pass(&f.w, HL_MINUTE);
    if (!told) pull_start(&f, false);
    pass(&f.w, 2 * HL_MINUTE);
    assert_int_equal(f.made.calls, 2);
    assert_int_equal(f.alerts.calls, 0);
    teardown(&f);
  }
}

static void change(pulled *f, int at, const char *phone) {
  char json[200];
  snprintf(json, sizeof json, "{\"type\":\"contacts\",\"id\":\"%s\",\"properties\":{\"phone\":\"%s\"}}", f->made.objects[at], phone);
  does(f, "update", json);
}

/* Down for longer than HubSpot keeps: said aloud, searched for, and then it goes on. */
static void an_expired_offset_is_alerted_and_searched_for(void **state) {
  (void)state;
  for (int told = 0; told < 2; told++) {
    pulled f;
    setup(&f, true);
    if (told) does(&f, "configure", "{\"journal_expired\":204}");
    make(&f, 2);
    pass(&f.w, 8000);
    pull_stop(&f);
    pass(&f.w, HL_HOUR);
    make(&f, 250); /* more than a page */
    change(&f, 0, "1");
    pass(&f.w, 4 * HL_DAY); /* those are gone */
    make(&f, 3);
    pass(&f.w, 2000);
    pull_start(&f, false);
    pass(&f.w, HL_MINUTE);
    settle_down(&f.w);
    assert_int_equal(f.alerts.calls, 1);
    assert_non_null(strstr(f.last_alert, "\"kind\":\"journal_expired\""));
    assert_non_null(strstr(f.last_alert, "not read for three days"));
    assert_int_equal(f.made.calls, 255);
    assert_int_equal(f.changed.calls, 1);
    make(&f, 1);
    pass(&f.w, 20000);
    assert_int_equal(f.made.calls, 256);
    /* The search is over: a restart does not make it again. */
    uint64_t acknowledged = stats_of(&f.w).acknowledged;
    pull_stop(&f);
    pull_start(&f, false);
    pass(&f.w, HL_MINUTE);
    assert_int_equal(stats_of(&f.w).acknowledged, acknowledged);
    assert_int_equal(f.alerts.calls, 1);
    teardown(&f);
  }
}

static void says(pulled *f, const char *text) {
  if (!strstr(f->last_alert, text)) fail_msg("no “%s” in %s", text, f->last_alert);
}

/* What was deleted meanwhile is found, each once with its time; one that was merged was not. What cannot be found is named. */
static void deletions_are_searched_for(void **state) {
  (void)state;
  pulled f;
  char json[200];
  probe merged = {0};
  setup(&f, true);
  listen_to(&f.w, "contact.merge", &merged);
  make(&f, 8);
  pass(&f.w, 10 * HL_MINUTE);
  does(&f, "delete", (snprintf(json, sizeof json, "{\"type\":\"contacts\",\"id\":\"%s\"}", f.made.objects[0]), json));
  pass(&f.w, 20000);
  assert_int_equal(f.deleted.calls, 1); /* told by the journal, long before */
  pull_stop(&f);
  pass(&f.w, HL_HOUR);
  int64_t at = hl_loop_now(f.w.loop);
  for (int i = 1; i < 4; i++)
    does(&f, "delete", (snprintf(json, sizeof json, "{\"type\":\"contacts\",\"id\":\"%s\"}", f.made.objects[i]), json));
  does(&f, "merge", (snprintf(json, sizeof json, "{\"type\":\"contacts\",\"primary\":\"%s\",\"other\":\"%s\"}", f.made.objects[4], f.made.objects[5]), json));
  pass(&f.w, 4 * HL_DAY);
  pull_start(&f, false);
  pass(&f.w, HL_MINUTE);
  settle_down(&f.w);
  says(&f, "\"not_found\":[\"contact.merge\",\"contact.privacyDeletion\"]");
  says(&f, "not found are contact.merge, contact.privacyDeletion");
  assert_int_equal(f.alerts.calls, 1);
  assert_int_equal(f.deleted.calls, 4);
  for (int i = 1; i < 4; i++) {
    assert_string_equal(f.deleted.objects[i], f.made.objects[i]);
    assert_int_equal(f.deleted.occurred[i], at);
  }
  assert_int_equal(f.made.calls, 8);
  assert_int_equal(merged.calls, 0);
  teardown(&f);
}

/* An offset that is gone before its time: HubSpot forgot it, or the app is another one. */
static void an_unknown_offset_is_alerted(void **state) {
  (void)state;
  for (int empty = 0; empty < 2; empty++) {
    pulled f;
    setup(&f, true);
    make(&f, 1);
    pass(&f.w, 8000);
    pull_stop(&f);
    make(&f, 2);
    change(&f, 0, "7");
    pass(&f.w, 3000);
    does(&f, "journal_expire", "{}");
    if (!empty) {
      make(&f, 1);
      pass(&f.w, 3000);
    }
    pull_start(&f, false);
    pass(&f.w, HL_MINUTE);
    assert_int_equal(f.alerts.calls, 1);
    assert_non_null(strstr(f.last_alert, "does not know the offset"));
    assert_int_equal(f.made.calls, empty ? 3 : 4);
    assert_int_equal(f.changed.calls, 1);
    make(&f, 1);
    pass(&f.w, 20000);
    assert_int_equal(f.made.calls, empty ? 4 : 5);
    teardown(&f);
  }
}

/* The search goes on where a restart cut it. */
static void the_search_survives_a_restart(void **state) {
  (void)state;
  pulled f;
  setup(&f, true);
  make(&f, 1);
  pass(&f.w, 8000);
  pull_stop(&f);
  make(&f, 40);
  pass(&f.w, 3000);
  does(&f, "journal_expire", "{}");
  does(&f, "fail", "{\"match\":{\"path\":\"/search\"},\"status\":503,\"times\":5}");
  pull_start(&f, false);
  pass(&f.w, 3000);
  assert_int_equal(f.made.calls, 1);
  assert_true(status_of(&f, "searching_since") > 0);
  pull_stop(&f);
  pull_start(&f, false);
  pass(&f.w, 5 * HL_MINUTE);
  assert_int_equal(f.made.calls, 41);
  assert_int_equal(f.alerts.calls, 1);
  assert_int_equal(status_of(&f, "searching_since"), 0);
  teardown(&f);
}

static void a_search_that_is_refused_is_alerted(void **state) {
  (void)state;
  pulled f;
  setup(&f, true);
  make(&f, 1);
  pass(&f.w, 8000);
  pull_stop(&f);
  does(&f, "journal_expire", "{}");
  does(&f, "fail", "{\"match\":{\"path\":\"/search\"},\"status\":403,\"times\":0}");
  pull_start(&f, false);
  pass(&f.w, HL_MINUTE);
  assert_int_equal(f.alerts.calls, 2);
  assert_non_null(strstr(f.last_alert, "could not be searched for"));
  assert_int_equal(status_of(&f, "searching_since"), 0);
  teardown(&f);
}

/* Files that cannot be had for a moment are waited for; in order. */
static void files_may_be_late(void **state) {
  (void)state;
  static const char *const faults[] = {"\"status\":404,\"times\":6", "\"status\":500,\"times\":6", "\"drop\":true,\"times\":6",
                                       "\"truncate\":true,\"times\":6", "\"latency_ms\":70000,\"times\":2", "\"html\":true,\"times\":4"};
  for (size_t i = 0; i < HL_COUNT(faults); i++) {
    pulled f;
    char json[200];
    setup(&f, true);
    snprintf(json, sizeof json, "{\"match\":{\"path\":\"_sim-journal\"},%s}", faults[i]);
    does(&f, "fail", json);
    for (int k = 0; k < 5; k++) {
      make(&f, 1);
      pass(&f.w, 1500);
    }
    pass(&f.w, 10 * HL_MINUTE);
    assert_int_equal(f.made.calls, 5);
    for (int k = 1; k < 5; k++) assert_true(f.made.occurred[k] > f.made.occurred[k - 1]);
    assert_int_equal(f.alerts.calls, 0);
    teardown(&f);
  }
}

/* URLs end after ten minutes; a store that cannot commit for longer makes them useless. */
static void urls_that_ended_are_asked_for_again(void **state) {
  (void)state;
  pulled f;
  setup(&f, true);
  make(&f, 1);
  hl_store_fault(hl_engine_store(f.w.e), "commit", HL_EFULL, 400);
  for (int k = 0; k < 20; k++) {
    pass(&f.w, 2000);
    make(&f, 1);
  }
  pass(&f.w, HL_HOUR);
  settle_down(&f.w);
  assert_int_equal(f.made.calls, 21);
  assert_int_equal(stats_of(&f.w).duplicate, 0);
  teardown(&f);
}

/* A file that is lost for good is left out after an hour, said aloud and searched for. */
static void a_lost_file_is_left_out(void **state) {
  (void)state;
  pulled f;
  setup(&f, true);
  make(&f, 1);
  pass(&f.w, 8000);
  make(&f, 2);
  pass(&f.w, 1200);
  char *json = control(&f, "journal", "{}"), fault[200];
  cJSON *root = NULL;
  assert_int_equal(hl_json_parse(hl_str_of(json), &root, NULL), 0);
  const cJSON *files = hl_json_get(root, "files");
  const char *offset = hl_json_str(cJSON_GetArrayItem(files, cJSON_GetArraySize(files) - 1), "offset", "");
  snprintf(fault, sizeof fault, "{\"match\":{\"path\":\"%s.json\"},\"status\":404,\"times\":0}", offset);
  does(&f, "fail", fault);
  make(&f, 3);
  pass(&f.w, 50 * HL_MINUTE);
  assert_int_equal(f.made.calls, 1);
  assert_int_equal(f.alerts.calls, 0);
  pass(&f.w, 20 * HL_MINUTE);
  settle_down(&f.w);
  assert_int_equal(f.alerts.calls, 1);
  assert_non_null(strstr(f.last_alert, "a file of the journal cannot be read"));
  assert_non_null(strstr(f.last_alert, "404"));
  assert_null(strstr(f.last_alert, "signature"));
  assert_int_equal(f.made.calls, 6);
  cJSON_Delete(root);
  hl_free(json);
  teardown(&f);
}

/* HubSpot does not answer at all: nothing is left out, however long it takes. */
static void an_outage_leaves_nothing_out(void **state) {
  (void)state;
  pulled f;
  setup(&f, true);
  does(&f, "fail", "{\"drop\":true,\"times\":0}");
  make(&f, 5);
  pass(&f.w, 6 * HL_HOUR);
  assert_int_equal(f.made.calls, 0);
  does(&f, "fail", "{}");
  pass(&f.w, 5 * HL_MINUTE);
  assert_int_equal(f.made.calls, 5);
  assert_int_equal(f.alerts.calls, 0);
  teardown(&f);
}

/* Plain http is for this machine, and for an API on this machine. */
static void plain_urls_are_for_this_machine(void **state) {
  (void)state;
  pulled f;
  setup(&f, false);
  f.loopback = false;
  pull_start(&f, false);
  pass(&f.w, 5000);
  make(&f, 1);
  char *before = control(&f, "stats", "{}");
  pass(&f.w, HL_MINUTE);
  char *after = control(&f, "stats", "{}");
  assert_int_equal(f.made.calls, 0);
  assert_null(strstr(after, "\"journal file\""));
  hl_free(before);
  hl_free(after);
  teardown(&f);
}

static void another_portals_events_are_left_out(void **state) {
  (void)state;
  pulled f;
  setup(&f, false);
  hl_account *other = account_with(&f, f.crm, "other", "{}", 4711);
  f.account = other;
  pull_start(&f, false);
  pass(&f.w, 5000);
  make(&f, 2);
  pass(&f.w, 8000);
  assert_int_equal(f.made.calls, 0);
  assert_int_equal(status_of(&f, "foreign"), 2);
  teardown(&f);
}

/* What push has brought is not handled again, and what it has missed comes a moment later. */
static void push_comes_first_and_the_journal_fills_gaps(void **state) {
  (void)state;
  pulled f;
  answer a = {0};
  char body[400];
  setup(&f, true);
  make(&f, 1);
  pass(&f.w, 8000);
  assert_int_equal(f.made.calls, 1);
  snprintf(body, sizeof body, "[{\"eventId\":1,\"subscriptionId\":2,\"portalId\":62515,\"occurredAt\":%lld,\"subscriptionType\":\"contact.creation\",\"objectId\":77}]",
           (long long)hl_loop_now(f.w.loop));
  hl_engine_receive(f.w.e, "push", "main", hl_str_of(body), on_answer, &a);
  pass(&f.w, 1000);
  assert_int_equal(f.made.calls, 2);
  make(&f, 1); /* push does not bring it */
  pass(&f.w, 4000);
  assert_int_equal(f.made.calls, 2);
  pass(&f.w, 8000);
  assert_int_equal(f.made.calls, 3);
  assert_int_equal(stats_of(&f.w).gaps, 1);
  teardown(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_happens_is_handled),
      cmocka_unit_test(it_begins_where_it_is_told),
      cmocka_unit_test(what_comes_first_while_it_is_down_is_read),
      cmocka_unit_test(an_hour_of_downtime_is_made_up_for),
      cmocka_unit_test(it_may_end_at_any_moment),
      cmocka_unit_test(polls_grow_rare_and_are_at_once_when_there_is_more),
      cmocka_unit_test(quiet_days_are_no_loss),
      cmocka_unit_test(an_expired_offset_is_alerted_and_searched_for),
      cmocka_unit_test(an_unknown_offset_is_alerted),
      cmocka_unit_test(deletions_are_searched_for),
      cmocka_unit_test(the_search_survives_a_restart),
      cmocka_unit_test(a_search_that_is_refused_is_alerted),
      cmocka_unit_test(files_may_be_late),
      cmocka_unit_test(urls_that_ended_are_asked_for_again),
      cmocka_unit_test(a_lost_file_is_left_out),
      cmocka_unit_test(an_outage_leaves_nothing_out),
      cmocka_unit_test(plain_urls_are_for_this_machine),
      cmocka_unit_test(another_portals_events_are_left_out),
      cmocka_unit_test(push_comes_first_and_the_journal_fills_gaps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
