/* Scripts that are held against an account: who waits, for how long, and what lets them go on. Virtual time. */
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/fit.h"
#include "cmd/reload.h"
#include "hubspot_model.h"

static const char LEADS[] = "local hubspot = require 'hubspot'\n"
                            "on('contact.creation', function(event)\n"
                            "  if event.objectId == '0' then hubspot.contacts.get('0', { 'plan' }) end\n"
                            "end)\n";

static struct account {
  bool away, has_plan, may_read;
  size_t asked;
} account;

static void answer_as(model *m, model_request *r) {
  (void)m;
  account.asked++;
  r->unsent = account.away;
  if (strstr(r->path, "/crm/properties/")) hl_buf_printf(&r->answer, "{\"results\":[{\"name\":\"%s\"}]}", account.has_plan ? "plan" : "plans");
  else if (strstr(r->path, "/introspect")) hl_buf_printf(&r->answer, "{\"active\":true,\"hub_id\":1,\"app_id\":2,\"scopes\":[\"%s\"]}",
                                                         account.may_read ? "crm.objects.contacts.read" : "oauth");
  else hl_buf_puts(&r->answer, "{\"portalId\":1}");
}

typedef struct world {
  model *m;
  hl_runtime rt;
} world;

static void write_file(const char *name, const char *text) {
  FILE *f = fopen(name, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static void open_world(world *w, const char *store) {
  hl_error err = {0};
  hl_load_result loaded;
  *w = (world){.m = model_new("professional", 5)};
  w->m->answer = answer_as;
  w->rt = (hl_runtime){.log = w->m->log, .loop = w->m->loop, .hubspot = w->m->hubspot, .serving = true, .root = hl_strdup("fit")};
  (void)mkdir("fit", 0700);
  write_file("fit/leads.lua", LEADS);
  write_file("fit/quiet.lua", "on('contact.creation', function() end)\n");
  if (hl_project_load("fit", &w->rt.project, &err)) fail_msg("%s", err.text);
  assert_int_equal(hl_engine_new(w->m->loop, &(hl_engine_options){.store = store}, &w->rt.engine, &err), 0);
  hl_host_options ho = {.loop = w->m->loop, .engine = w->rt.engine, .hubspot = w->m->hubspot, .root = "fit", .serving = true};
  assert_int_equal(hl_host_new(&ho, &w->rt.host, &err), 0);
  w->rt.webhook = hl_webhook_new(w->rt.engine, w->m->hubspot, &(hl_webhook_options){0});
  w->rt.secrets = hl_secrets_new(w->m->loop, NULL);
  w->rt.fit = hl_fit_new(&w->rt);
  hl_runtime_load(&w->rt, NULL, &loaded);
  assert_int_equal(loaded.failed, 0);
  assert_int_equal(hl_engine_start(w->rt.engine, &err), 0);
  hl_fit_start(w->rt.fit);
}

static void close_world(world *w) {
  hl_fit_free(w->rt.fit);
  hl_host_free(w->rt.host);
  hl_webhook_free(w->rt.webhook);
  hl_secrets_free(w->rt.secrets);
  hl_engine_free(w->rt.engine);
  hl_project_free(w->rt.project);
  hl_free(w->rt.root);
  model_free(w->m);
}

static void on_tick(hl_timer *t, void *arg) {
  (void)t;
  *(bool *)arg = true;
}

static void pass(world *w, int64_t ms) {
  hl_timer t = {0};
  bool flag = false;
  hl_timer_start(w->m->loop, &t, ms, on_tick, &flag);
  assert_int_equal(hl_loop_run_until(w->m->loop, &flag), 0);
}

static const char *halted(world *w) { return hl_engine_halted(w->rt.engine, "leads.lua"); }

/* Events that the two scripts have finished. */
static void receive(world *w, int id) {
  char body[200];
  snprintf(body, sizeof body, "[{\"eventId\":%d,\"occurredAt\":%d,\"subscriptionType\":\"contact.creation\",\"objectId\":%d}]", id, id, id);
  hl_engine_receive(w->rt.engine, "push", "main", hl_str_of(body), NULL, NULL);
}
static unsigned ran(world *w) {
  hl_engine_stats s;
  hl_engine_stats_get(w->rt.engine, &s);
  return (unsigned)s.ran;
}

static void what_the_account_gets_lets_it_go_on(void **state) {
  (void)state;
  world w;
  account = (struct account){.may_read = true};
  open_world(&w, NULL);
  receive(&w, 1);
  pass(&w, 3 * HL_SECOND);
  assert_string_equal(halted(&w), "leads.lua:3: contacts have no property \"plan\" in this account; did you mean \"plans\"?");
  assert_null(hl_engine_halted(w.rt.engine, "quiet.lua"));
  assert_int_equal(ran(&w), 0); /* one of its handlers has not had it */
  account.has_plan = true;
  pass(&w, 55 * HL_SECOND);
  assert_non_null(halted(&w));
  pass(&w, 10 * HL_SECOND);
  assert_null(halted(&w));
  assert_int_equal(ran(&w), 1);
  size_t asked_by_then = account.asked;
  pass(&w, HL_DAY); /* nothing is asked for any more */
  assert_int_equal(account.asked, asked_by_then);
  close_world(&w);
}

/* Beside one that is too much to be looked through: it runs, and the others are held against the account all the same. */
static void a_script_that_is_too_intricate_runs(void **state) {
  (void)state;
  world w;
  hl_buf text;
  hl_buf_init(&text, 4 << 20);
  hl_buf_puts(&text, "local X, hubspot = {}, require 'hubspot'\n");
  for (int i = 0; i < 6000; i++) hl_buf_printf(&text, "X.f%d = function(e) hubspot.contacts.update(e.id, { p%d = 'x', q = e.v }) return X.f%d end\n", i, i, i * 7 % 6000);
  hl_buf_puts(&text, "on('contact.creation', function() end)\n");
  (void)mkdir("fit", 0700);
  write_file("fit/intricate.lua", text.p);
  hl_buf_deinit(&text);
  account = (struct account){.may_read = true};
  open_world(&w, NULL);
  receive(&w, 1);
  pass(&w, 3 * HL_SECOND);
  assert_non_null(halted(&w));
  assert_null(hl_engine_halted(w.rt.engine, "intricate.lua"));
  account.has_plan = true;
  pass(&w, 2 * HL_MINUTE);
  assert_null(halted(&w));
  assert_int_equal(ran(&w), 1);
  unlink("fit/intricate.lua");
  close_world(&w);
}

static void so_does_a_scope(void **state) {
  (void)state;
  world w;
  account = (struct account){.has_plan = true};
  open_world(&w, NULL);
  pass(&w, 3 * HL_SECOND);
  assert_string_equal(halted(&w), "leads.lua:3: hubspot.contacts.get needs the scope crm.objects.contacts.read, which the token does not have");
  pass(&w, HL_HOUR);
  assert_non_null(halted(&w));
  account.may_read = true;
  pass(&w, 16 * HL_MINUTE); /* it is asked for ever more seldom */
  assert_null(halted(&w));
  close_world(&w);
}

/* No network: after some seconds scripts run, but one that was halted in an earlier life. */
static void an_account_that_does_not_answer(void **state) {
  (void)state;
  for (int before = 0; before < 2; before++) {
    world w;
    unlink("fit.db");
    unlink("fit.db-wal");
    if (before) {
      account = (struct account){.may_read = true};
      open_world(&w, "fit.db");
      pass(&w, 3 * HL_SECOND);
      assert_non_null(halted(&w));
      close_world(&w);
    }
    account = (struct account){.away = true};
    open_world(&w, "fit.db");
    receive(&w, 1);
    pass(&w, 2 * HL_SECOND);
    assert_int_equal(ran(&w), 0);
    pass(&w, 2 * HL_SECOND);
    assert_int_equal(ran(&w), before ? 0 : 1);
    pass(&w, HL_HOUR);
    assert_int_equal(halted(&w) != NULL, before);
    account = (struct account){.has_plan = true, .may_read = true};
    pass(&w, 20 * HL_MINUTE);
    assert_null(halted(&w));
    assert_int_equal(ran(&w), 1);
    close_world(&w);
  }
}

static void set_flag(void *arg, const hl_reload_result *result) {
  assert_int_equal(result->failed, 0);
  *(bool *)arg = true;
}

/* By the reload: the answers are asked for anew, and without HubSpot those of before count. */
static void a_reload_is_held_against_it_too(void **state) {
  (void)state;
  world w;
  account = (struct account){.has_plan = true, .may_read = true};
  open_world(&w, NULL);
  pass(&w, 3 * HL_SECOND);
  assert_null(halted(&w));
  for (int away = 0; away < 2; away++) {
    bool done = false;
    hl_reload *r = hl_reload_new(&w.rt, 1000);
    account.away = away;
    write_file("fit/leads.lua", "local hubspot = require 'hubspot'\non('deal.creation', function() hubspot.contacts.get('0', { 'plan', 'pln' }) end)\n");
    hl_reload_start(r, true, set_flag, &done);
    hl_loop_run_until(w.m->loop, &done);
    pass(&w, 4 * HL_SECOND);
    assert_string_equal(halted(&w), "leads.lua:2: contacts have no property \"pln\" in this account; did you mean \"plan\"?");
    done = false;
    write_file("fit/leads.lua", LEADS);
    hl_reload_start(r, true, set_flag, &done);
    hl_loop_run_until(w.m->loop, &done);
    pass(&w, 4 * HL_SECOND);
    assert_null(halted(&w));
    hl_reload_free(r);
  }
  unlink("fit/leads.lua");
  close_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_the_account_gets_lets_it_go_on),
      cmocka_unit_test(a_script_that_is_too_intricate_runs),
      cmocka_unit_test(so_does_a_scope),
      cmocka_unit_test(an_account_that_does_not_answer),
      cmocka_unit_test(a_reload_is_held_against_it_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
