/* Forgetting a person: what is taken out, what stays, and that no byte of it is left in the files. */
#include "engine_util.h"

#include <ctype.h>
#include <dirent.h>
#include <unistd.h>

#include "engine/forget.h"
#include "engine/wait.h"
#include "store/operate.h"

#define ID "987654321012"
#define MAIL "ana.weber@example.com"
static const hl_person ANA = {.id = ID, .email = MAIL};

static void fresh(void) {
  DIR *d = opendir(".");
  for (struct dirent *e; (e = readdir(d));)
    if (strncmp(e->d_name, "f.db", 4) == 0 || strncmp(e->d_name, "f.calls", 7) == 0) unlink(e->d_name);
  closedir(d);
}

/* Bytes of the person in all files of the store, also where SQLite has deleted something. */
static int traces(void) {
  int n = 0;
  DIR *d = opendir(".");
  for (struct dirent *e; (e = readdir(d));) {
    if (strncmp(e->d_name, "f.", 2) != 0) continue;
    FILE *f = fopen(e->d_name, "rb");
    hl_buf all;
    char piece[4096];
    size_t got;
    hl_buf_init(&all, 1 << 30);
    while ((got = fread(piece, 1, sizeof piece, f)) > 0) hl_buf_append(&all, piece, got);
    fclose(f);
    const char *const texts[] = {ID, MAIL, "Ana Weber"};
    for (size_t i = 0; i < HL_COUNT(texts); i++) {
      const char *at = all.p;
      while (at && (at = memmem(at, all.n - (size_t)(at - all.p), texts[i], strlen(texts[i])))) {
        if (i == 0 && isdigit((unsigned char)at[strlen(ID)])) { /* another's */
          at++;
          continue;
        }
        if (getenv("HL_VERBOSE")) print_message("%s at %zu: %.100s\n", e->d_name, (size_t)(at - all.p), at);
        at++;
        n++;
      }
    }
    hl_buf_deinit(&all);
  }
  closedir(d);
  return n;
}

static hl_forgotten forget(world *w, bool dry_run) {
  hl_forget *f;
  hl_forgotten r;
  int rc = hl_forget_new(w->e, &ANA, NULL, dry_run, NULL, NULL, &f, &w->err);
  if (rc) fail_msg("%s", w->err.text);
  for (int i = 0; i < 100000; i++) {
    hl_forget_look(f, &r);
    if (r.done) break;
    pass(w, 1);
  }
  assert_true(r.done);
  if (r.err.code) fail_msg("%s", r.err.text);
  hl_forget_free(f);
  return r;
}

/* A handler that leaves something of the person everywhere, and fails for contacts. */
typedef struct trail {
  world *w;
  hl_run *run;
  int calls;
  bool fail, hold;
} trail;

static void set_flag(void *arg, int code) {
  assert_int_equal(code, 0);
  *(bool *)arg = true;
}

static void on_trail(void *arg, hl_run *run, const hl_event *event) {
  trail *t = arg;
  t->calls++;
  if (t->hold) {
    t->run = run;
    return;
  }
  hl_kv_scope s = {"s.lua", "main"};
  hl_step *step;
  (void)event;
  hl_kv_set(run, s, HL_STR("lead:" ID), HL_STR("{\"owner\":7}"), 0, NULL);
  hl_kv_set(run, s, HL_STR("leads"), HL_STR("{\"list\":[{\"id\":\"" ID "\",\"name\":\"Ana Weber\"},{\"id\":\"5\",\"name\":\"Bo\"}],\"n\":2}"), 0, NULL);
  hl_kv_set(run, s, HL_STR("other"), HL_STR("{\"n\":1}"), 0, NULL);
  hl_run_audit(run, "routing", "contact " ID, HL_STR("{\"lead\":\"Ana Weber\",\"pick\":7}"), NULL);
  hl_run_audit(run, "routing", "contact 5", HL_STR("{\"pick\":7,\"others\":[\"" ID "\"]}"), NULL);
  hl_run_emit(run, "chase", HL_STR("{\"id\":\"" ID "\",\"name\":\"Ana Weber\"}"), HL_DAY, NULL, NULL, NULL);
  hl_run_emit(run, "chase", HL_STR("{\"id\":\"5\"}"), HL_DAY, NULL, NULL, NULL);
  int rc = hl_run_step(run, HL_STR("look"), &step, NULL);
  if (rc == 0) hl_step_finish(step, HL_STR("{\"contact\":{\"id\":\"" ID "\",\"name\":\"Ana Weber\"},\"n\":1}"), false, NULL, NULL);
  if (t->fail) hl_run_finish(run, HL_RUN_DEAD, HL_STR("cannot mail " MAIL));
  else hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
}

static void open_world(world *w, trail *t, bool start) {
  world_loop(w, false);
  world_engine(w, "f.db");
  if (t) {
    t->w = w;
    assert_int_equal(hl_engine_on(w->e, "contact.creation", false, &(hl_handler_options){.script = "s.lua", .retries = 3}, on_trail, t, NULL, &w->err), 0);
    assert_int_equal(hl_engine_on(w->e, "deal.creation", false, &(hl_handler_options){.script = "s.lua", .retries = 3}, on_trail, t, NULL, &w->err), 0);
  }
  if (start) world_start(w);
}

static void quiet(world *w) {
  for (int i = 0; i < 50; i++) pass(w, 1);
}

static void calls_log(void) {
  FILE *f = fopen("f.calls.log.1", "w");
  for (int i = 0; i < 1000; i++) fprintf(f, "{\"time\":\"2026-09-01T08:00:00.000Z\",\"path\":\"/crm/objects/2026-09/contacts/%d\",\"status\":200}\n", i);
  fputs("{\"time\":\"2026-09-01T08:00:00.000Z\",\"path\":\"/crm/objects/2026-09/contacts/" ID "\",\"id\":\"" ID "\"}\n", f);
  fputs("{\"time\":\"2026-09-01T08:00:00.000Z\",\"sent\":\"{\\\"email\\\":\\\"" MAIL "\\\"}\"}\n{\"cut off " ID, f);
  fclose(f);
}

#define DEAL(n, text) "{\"eventId\":" #n ",\"occurredAt\":1,\"subscriptionType\":\"deal.creation\",\"objectId\":" #n text "}"

static const char EVENTS[] =
    "[{\"eventId\":1,\"occurredAt\":1,\"subscriptionType\":\"contact.creation\",\"objectId\":" ID "}," DEAL(2, "") ","
    "{\"eventId\":3,\"occurredAt\":1,\"subscriptionType\":\"contact.propertyChange\",\"objectId\":" ID ",\"propertyName\":\"firstname\",\"propertyValue\":\"Ana Weber\"},"
    "{\"eventId\":4,\"occurredAt\":1,\"subscriptionType\":\"contact.associationChange\",\"fromObjectId\":5,\"toObjectId\":" ID "},"
    "{\"eventId\":5,\"occurredAt\":1,\"subscriptionType\":\"contact.merge\",\"primaryObjectId\":9,\"mergedObjectIds\":[8," ID "]},"
    "{\"eventId\":6,\"occurredAt\":1,\"subscriptionType\":\"deal.propertyChange\",\"objectId\":6,\"propertyName\":\"note\",\"propertyValue\":\"write to Ana.Weber@Example.com\"},"
    "{\"subscriptionType\":\"greeted\",\"payload\":{\"contact\":\"" ID "\",\"name\":\"Ana Weber\"}},{\"odd\":\"" ID "\"},"
    "{\"eventId\":7,\"occurredAt\":1,\"subscriptionType\":\"contact.creation\",\"objectId\":9876543210121}]";

static void nothing_is_left_in_the_files(void **state) {
  (void)state;
  for (int started = 0; started < 2; started++) {
    world w;
    trail t = {.fail = true};
    fresh();
    open_world(&w, &t, true);
    received(&w, EVENTS);
    quiet(&w);
    t.fail = false;
    received(&w, "[" DEAL(12, "") "]"); /* well: its kv, delayed events and records are committed */
    quiet(&w);
    calls_log();
    hl_engine_free(w.e);
    hl_loop_free(w.loop);
    hl_log_free(w.log);
    assert_true(traces() > 20);

    open_world(&w, started ? &t : NULL, started != 0);
    quiet(&w);
    hl_forgotten dry = forget(&w, true);
    assert_true(traces() > 20);
    hl_forgotten r = forget(&w, false);
    assert_int_equal(r.in_hand, 0);
    assert_int_equal(r.events, 7); /* of nine: a deal, and a contact with a longer id, stay */
    assert_int_equal(r.parked, 8); /* a dead letter, two for their reason, a malformed one, four delayed ones */
    assert_int_equal(r.steps, 2);  /* of dead letters that stay; the contact's went with it */
    assert_int_equal(r.records, 8);
    assert_int_equal(r.keys, 2);
    assert_int_equal(r.calls, 3);
    assert_int_equal(dry.events, r.events);
    assert_int_equal(dry.parked, r.parked);
    assert_int_equal(dry.records, r.records);
    assert_int_equal(dry.keys, r.keys);
    assert_int_equal(dry.calls, r.calls);
    assert_int_equal(traces(), 0); /* while it runs, and afterwards */
    r = forget(&w, false);
    assert_int_equal(r.events + r.parked + r.steps + r.records + r.keys + r.calls, 0);
    stats_of(&w);

    /* What is not the person's is as it was. */
    hl_kv_scope s = {"s.lua", "main"};
    hl_run *run = hl_engine_begin(w.e, "s.lua", "main");
    hl_str value;
    bool loaded = false;
    if (hl_kv_get(run, s, HL_STR("leads"), &value)) {
      hl_kv_load(w.e, s, HL_STR("leads"), set_flag, &loaded);
      while (!loaded) pass(&w, 1);
      assert_int_equal(hl_kv_get(run, s, HL_STR("leads"), &value), 0);
    }
    assert_true(hl_str_eqz(value, "{\"list\":[{\"id\":\"5\",\"name\":\"Bo\"}],\"n\":2}"));
    hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
    world_end(&w);
    assert_int_equal(traces(), 0);
    FILE *f = fopen("f.calls.log.1", "r");
    int lines = 0, json = 0;
    char line[1000];
    while (fgets(line, sizeof line, f)) lines++, json += line[0] == '{';
    fclose(f);
    assert_int_equal(lines, 1003);
    assert_int_equal(json, 1000);

    /* And it goes on: dead letters of others, delayed events. */
    open_world(&w, &t, true);
    quiet(&w);
    hl_engine_stats st = stats_of(&w);
    assert_int_equal(st.dead, 2); /* the deal's, and that of the longer id */
    assert_true(st.removed >= 2);
    world_end(&w);
  }
}

/* What a handler has in its hands is left to it, and goes the next time. */
static void what_runs_is_left_to_its_handler(void **state) {
  (void)state;
  world w;
  trail t = {.hold = true};
  fresh();
  open_world(&w, &t, true);
  received(&w, "[{\"eventId\":1,\"occurredAt\":1,\"subscriptionType\":\"contact.creation\",\"objectId\":" ID "}]");
  quiet(&w);
  assert_int_equal(t.calls, 1);
  hl_forgotten r = forget(&w, false);
  assert_int_equal(r.in_hand, 1);
  assert_int_equal(r.events, 0);
  hl_run_finish(t.run, HL_RUN_FAILED, HL_STR("later")); /* now it waits in memory */
  quiet(&w);
  r = forget(&w, false);
  assert_int_equal(r.in_hand, 1);
  assert_int_equal(hl_forget_new(w.e, &(hl_person){.id = "x"}, NULL, false, NULL, NULL, &(hl_forget *){NULL}, &w.err), HL_EINVAL);
  hl_engine_abandon(w.e);
  hl_loop_free(w.loop);
  hl_log_free(w.log);

  /* Nobody runs: it is in nobody's hands, pending or waiting. */
  open_world(&w, NULL, false);
  received(&w, "[{\"eventId\":2,\"occurredAt\":1,\"subscriptionType\":\"contact.creation\",\"objectId\":" ID "}," DEAL(3, "") "]");
  assert_true(stats_of(&w).pending >= 2);
  r = forget(&w, false);
  assert_int_equal(r.in_hand, 0);
  assert_true(r.events >= 1 && r.parked == 1);
  assert_int_equal(traces(), 0);
  world_end(&w);
  t = (trail){0};
  open_world(&w, &t, true);
  settle_down(&w);
  assert_int_equal(t.calls, 1); /* the deal */
  hl_engine_stats s = stats_of(&w);
  assert_int_equal(s.removed, 2);
  assert_int_equal(s.ran, 1);
  world_end(&w);
}

/* Handlers that wait: 21 by a name that names her, 22 for what she does and then for a time, 23 for something else; and
 * one of her own event. */
typedef struct waiting { hl_run *run; int deal, calls[30]; bool forgotten; } waiting;

static void wait_on(void *arg, int code) {
  waiting *t = arg;
  hl_step *step;
  hl_error err;
  hl_wait_for what = {.type = "reply", .until = HL_WAIT_FOREVER};
  const char *name = "reply";
  cJSON *match = cJSON_CreateObject();
  assert_int_equal(code, 0);
  if (t->deal == 21) name = t->forgotten ? "reply of nobody" : "reply of " MAIL;
  if (t->deal == 22) what.type = "contact.propertyChange", cJSON_AddStringToObject(match, "objectId", ID);
  what.match = match;
  for (int n = 0; n < 2; n++) {
    int rc = hl_run_wait(t->run, hl_str_of(name), &what, &step, &err);
    if (rc == HL_EBUSY) {
      hl_run_steps_load(t->run, wait_on, t);
      goto out;
    }
    if (rc) fail_msg("%s", err.text);
    if (hl_wait_is(step) != HL_WAIT_OVER) {
      hl_wait_end(step);
      break;
    }
    what = (hl_wait_for){.until = HL_WAIT_FOREVER};
    name = "later";
  }
  hl_run_finish(t->run, HL_RUN_DONE, (hl_str){0});
out:
  cJSON_Delete(match);
}

static void on_waiting(void *arg, hl_run *run, const hl_event *event) {
  waiting *t = arg;
  int64_t id = hl_json_int(event->json, "objectId", 0);
  t->run = run;
  t->deal = id < 30 ? (int)id : 0;
  t->calls[t->deal]++;
  wait_on(t, 0);
}

static void waits_of_her_end(void **state) {
  (void)state;
  for (int started = 0; started < 2; started++) {
    world w;
    waiting t = {0};
    fresh();
    for (int life = 0; life < 3; life++) {
      world_loop(&w, false);
      world_engine(&w, "f.db");
      if (life != 1 || started) {
        hl_handler_options o = {.script = "s.lua", .concurrency = 1};
        assert_int_equal(hl_engine_on(w.e, "deal.creation", false, &o, on_waiting, &t, NULL, &w.err), 0);
        assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &o, on_waiting, &t, NULL, &w.err), 0);
        world_start(&w);
      }
      if (life == 0) {
        received(&w, "[" DEAL(21, "") "," DEAL(22, "") "," DEAL(23, "") ",{\"eventId\":1,\"occurredAt\":1,\"subscriptionType\":\"contact.creation\",\"objectId\":" ID "},"
                     "{\"eventId\":3,\"occurredAt\":1,\"subscriptionType\":\"contact.propertyChange\",\"objectId\":" ID ",\"propertyName\":\"firstname\",\"propertyValue\":\"Ana Weber\"}]");
        settle_down(&w);
        assert_int_equal(stats_of(&w).waiting, 4);
        assert_int_equal(t.calls[22], 2);
        assert_true(traces() > 5);
      }
      if (life == 1) {
        t.forgotten = true; /* where the name came from, too */
        hl_forgotten f = forget(&w, false);
        assert_int_equal(f.in_hand, 0);
        assert_int_equal(f.parked, 2); /* her own, and 21's reason */
        assert_int_equal(f.steps, 2);  /* 21's wait, and what ended 22's */
        assert_int_equal(traces(), 0);
      }
      if (life == 2) settle_down(&w);
      hl_engine_stats st = stats_of(&w);
      assert_int_equal(st.removed, life > 0 ? 1 : 0);
      if (life == 2) {
        assert_int_equal(t.calls[21], 2);
        assert_int_equal(t.calls[23], 1);
        assert_int_equal(st.waiting, 3);
        assert_int_equal(st.dead, 0);
        received(&w, "[{\"subscriptionType\":\"reply\",\"payload\":{}}]");
        settle_down(&w);
        assert_int_equal(t.calls[23], 2); /* what waits still hears */
        assert_int_equal(t.calls[21], 3);
      }
      world_end(&w);
    }
    assert_int_equal(traces(), 0);
  }
}

static void on_pruned(void *arg, const hl_pruned *p) {
  assert_int_equal(p->code, 0);
  *(hl_pruned *)arg = *p;
}

/* What was deleted long before: rows of the log, and keys between keys that stay. */
static void leave_free_space(world *w) {
  hl_pruned p = {.more = true};
  while (p.more) {
    p.upto = -1;
    hl_store_prune(hl_engine_store(w->e), INT64_MAX, p.after, false, on_pruned, &p);
    while (p.upto < 0) pass(w, 1);
  }
  for (int gone = 0; gone < 2; gone++) {
    hl_run *run = hl_engine_begin(w->e, "s.lua", "main");
    for (int i = 0; i < 400; i++) {
      char key[64];
      snprintf(key, sizeof key, "space:%d", i);
      hl_str value = i % 2 ? HL_STR("{\"x\":\"somebody else, and a text of the same length or about it\"}") : HL_STR("{\"id\":\"" ID "\",\"x\":\"Ana Weber, and a text of some length\"}");
      if (!gone || i % 2 == 0) hl_kv_set(run, (hl_kv_scope){"s.lua", "main"}, hl_str_of(key), gone ? (hl_str){0} : value, 0, NULL);
    }
    hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
    settle_down(w);
  }
}

/* Another account's contact with the same id stays. */
static void one_account_is_one(void **state) {
  (void)state;
  world w;
  hl_forget *f;
  hl_forgotten r;
  answer a = {0}, b = {0};
  fresh();
  open_world(&w, NULL, true);
  hl_engine_receive(w.e, "push", "main", HL_STR("[{\"subscriptionType\":\"contact.creation\",\"objectId\":" ID "}]"), on_answer, &a);
  hl_engine_receive(w.e, "push", "shop", HL_STR("[{\"subscriptionType\":\"contact.creation\",\"objectId\":" ID "}]"), on_answer, &b);
  hl_run *run = hl_engine_begin(w.e, "s.lua", "main");
  hl_kv_set(run, (hl_kv_scope){"s.lua", "main"}, HL_STR("k"), HL_STR("\"" ID "\""), 0, NULL);
  hl_kv_set(run, (hl_kv_scope){"s.lua", "shop"}, HL_STR("k"), HL_STR("\"" ID "\""), 0, NULL);
  hl_kv_set(run, (hl_kv_scope){"pool:x", ""}, HL_STR("k"), HL_STR("\"" ID "\""), 0, NULL);
  hl_run_audit(run, "routing", "contact " ID, HL_STR("{}"), NULL);
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  quiet(&w);
  for (int k = 0; k < 3; k++) {
    static const char *const accounts[] = {"shop", "shop", "main"};
    assert_int_equal(hl_forget_new(w.e, &ANA, accounts[k], false, NULL, NULL, &f, &w.err), 0);
    do {
      pass(&w, 1);
      hl_forget_look(f, &r);
    } while (!r.done);
    hl_forget_free(f);
    assert_int_equal(r.events, k != 1);
    assert_int_equal(r.keys, k == 0 ? 2 : k == 1 ? 0 : 1); /* a pool's state is of no account */
    assert_int_equal(r.records, k == 2);
  }
  assert_int_equal(traces(), 0);
  world_end(&w);
}

/* Pages split and merge, rows move, the store is opened with a full log: whatever was before, nothing is left. */
static void whatever_happened_before(void **state) {
  (void)state;
  hl_rng r;
  hl_rng_init(&r, 11);
  for (int life = 0; life < 6; life++) {
    world w;
    trail t = {.fail = life % 2 == 0};
    fresh();
    open_world(&w, &t, true);
    for (int i = 0; i < 60; i++) {
      static char body[200000];
      size_t n = 0, events = 1 + hl_rng_below(&r, 40);
      n += (size_t)snprintf(body, sizeof body, "[");
      for (size_t k = 0; k < events; k++) {
        bool ana = hl_rng_below(&r, 4) == 0, deal = hl_rng_below(&r, 3) == 0;
        n += (size_t)snprintf(body + n, sizeof body - n, "%s{\"eventId\":%d,\"occurredAt\":%d,\"subscriptionType\":\"%s\",\"objectId\":%s,\"x\":\"%.*s\"}", k ? "," : "",
                              life * 100000 + i * 100 + (int)k, i, deal ? "deal.creation" : "contact.creation", ana && !deal ? ID : "77",
                              40 + (int)hl_rng_below(&r, 3000), ana ? MAIL " Ana Weber ................................................................" : "----------------------------------");
      }
      snprintf(body + n, sizeof body - n, "]");
      received(&w, body);
      if (hl_rng_below(&r, 8) == 0) {
        hl_run *run = hl_engine_begin(w.e, "s.lua", "main");
        for (int k = 0; k < 50; k++) {
          char key[64], value[600];
          snprintf(key, sizeof key, hl_rng_below(&r, 3) ? "k%d" : "k" ID ":%d", (int)hl_rng_below(&r, 200));
          bool ana = hl_rng_below(&r, 2) != 0;
          snprintf(value, sizeof value, "{\"id\":\"%s\",\"x\":\"%.*s\"}", ana ? ID : "5", 80 + (int)hl_rng_below(&r, 300),
                   ana ? "Ana Weber, again and again, more or less, and so on, as far as it goes, at any length that is asked for, or more" : "somebody else, again and again, and so on");
          bool gone = hl_rng_below(&r, 3) == 0;
          hl_kv_set(run, (hl_kv_scope){"s.lua", "main"}, hl_str_of(key), gone ? (hl_str){0} : hl_str_of(value), 0, NULL);
        }
        hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
      }
    }
    settle_down(&w);
    if (life >= 3) leave_free_space(&w);
    hl_forgotten f = forget(&w, false);
    assert_int_equal(f.in_hand, 0);
    if (life < 3) assert_true(f.events > 50);
    if (traces()) fail_msg("life %d: %d traces", life, traces());
    stats_of(&w);
    world_end(&w);
  }
}

#define DELETED "{\"eventId\":90,\"occurredAt\":9,\"subscriptionType\":\"contact.privacyDeletion\",\"objectId\":" ID "}"

/* HubSpot says so, and it is done by itself: after its handlers, and over a restart. */
static void a_deletion_in_hubspot_is_one_here(void **state) {
  (void)state;
  world w;
  trail t = {.hold = true};
  fresh();
  open_world(&w, &t, true);
  received(&w, "[{\"eventId\":1,\"occurredAt\":1,\"subscriptionType\":\"contact.creation\",\"objectId\":" ID "}," DELETED "]");
  quiet(&w);
  hl_engine_abandon(w.e);
  hl_loop_free(w.loop);
  hl_log_free(w.log);
  assert_true(traces() > 0);
  for (int life = 0; life < 2; life++) {
    t = (trail){.w = &w, .hold = life == 0};
    world_loop(&w, false);
    assert_int_equal(hl_engine_new(w.loop, &(hl_engine_options){.store = "f.db", .privacy_ms = 20}, &w.e, &w.err), 0);
    assert_int_equal(hl_engine_on(w.e, "contact.creation", false, &(hl_handler_options){.script = "s.lua", .retries = 3}, on_trail, &t, NULL, &w.err), 0);
    world_start(&w);
    for (int i = 0; i < 5000 && (life ? traces() > 0 : i < 300); i++) pass(&w, 1);
    if (life == 0) assert_int_equal(t.calls, 1); /* it is in its hands: not yet */
    if (life == 0) hl_run_finish(t.run, HL_RUN_DONE, HL_STR(""));
    quiet(&w);
    world_end(&w);
    if (life == 0) assert_true(traces() > 0);
  }
  assert_int_equal(traces(), 0);
}

static void it_ends_with_the_engine(void **state) {
  (void)state;
  for (int order = 0; order < 3; order++) {
    world w;
    hl_forget *f;
    hl_forgotten r;
    fresh();
    open_world(&w, NULL, true);
    received(&w, EVENTS);
    assert_int_equal(hl_forget_new(w.e, &ANA, NULL, false, NULL, NULL, &f, &w.err), 0);
    hl_forget *second;
    assert_int_equal(hl_forget_new(w.e, &ANA, NULL, false, NULL, NULL, &second, &w.err), HL_EBUSY);
    if (order == 1) hl_forget_free(f);
    if (order == 2) pass(&w, 1);
    hl_engine_free(w.e);
    if (order != 1) {
      hl_forget_look(f, &r);
      assert_true(r.done);
      hl_forget_free(f);
    }
    hl_loop_free(w.loop);
    hl_log_free(w.log);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_is_left_in_the_files), cmocka_unit_test(what_runs_is_left_to_its_handler), cmocka_unit_test(waits_of_her_end),
      cmocka_unit_test(one_account_is_one), cmocka_unit_test(whatever_happened_before),     cmocka_unit_test(a_deletion_in_hubspot_is_one_here), cmocka_unit_test(it_ends_with_the_engine),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
