/* Operator actions as the control socket and the commands ask for them, in virtual time. */
#include "engine_util.h"

#include "admin/control.h"
#include "engine/step.h"

#include <unistd.h>

typedef struct asked {
  cJSON *json;
  int calls;
} asked;

static void on_asked(void *arg, const cJSON *json) {
  asked *a = arg;
  a->calls++;
  cJSON_Delete(a->json);
  a->json = cJSON_Duplicate(json, true);
}

typedef struct ops {
  world w;
  hl_actions *actions;
  asked last;
} ops;

static void open_ops(ops *o, const char *path) {
  *o = (ops){0};
  world_loop(&o->w, path == NULL);
  world_engine(&o->w, path);
  o->actions = hl_actions_new(o->w.e, "main");
}

static void close_ops(ops *o) {
  hl_engine_free(o->w.e);
  hl_actions_free(o->actions);
  hl_loop_free(o->w.loop);
  hl_log_free(o->w.log);
  cJSON_Delete(o->last.json);
}

/* Asks with one line, as from a connection. */
static const cJSON *ask(ops *o, const char *fmt, ...) {
  char line[4096];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(line, sizeof line, fmt, ap);
  va_end(ap);
  int before = o->last.calls;
  hl_control_line(o->actions, hl_str_of(line), on_asked, &o->last);
  for (int i = 0; i < 100000 && o->last.calls == before; i++) pass(&o->w, 0);
  assert_int_equal(o->last.calls, before + 1);
  return o->last.json;
}

static const char *error_of(const cJSON *a) { return hl_json_str(hl_json_get(a, "error"), "text", ""); }
static const char *kind_of(const cJSON *a) { return hl_json_str(hl_json_get(a, "error"), "kind", ""); }

/* "2.0:dead 1.0:ran " of a list. */
static const char *listed(const cJSON *a) {
  static char text[4096];
  size_t n = 0;
  text[0] = 0;
  if (hl_json_get(a, "error")) fail_msg("%s", error_of(a));
  for (const cJSON *e = hl_json_get(a, "events")->child; e; e = e->next)
    n += (size_t)snprintf(text + n, sizeof text - n, "%s:%s ", hl_json_str(e, "id", "?"), hl_json_str(e, "state", "?"));
  return text;
}

#define TYPED(type, object, at) \
  "{\"eventId\":" #at ",\"subscriptionType\":\"" type "\",\"occurredAt\":" #at ",\"objectId\":" #object "}"

static void lists_the_log_newest_first_with_states(void **state) {
  (void)state;
  ops o;
  probe p = {.fail_first = 1}, q = {.hold = true};
  open_ops(&o, NULL);
  listen_with(&o.w, "contact.creation", false, (hl_handler_options){.script = "a.lua", .retries = 3}, &p);
  listen_with(&o.w, "company.creation", false, (hl_handler_options){.script = "b.lua"}, &q);
  world_start(&o.w);
  received(&o.w, "[" TYPED("contact.creation", 10, 1) ",{\"no\":1}," TYPED("deal.creation", 12, 2) "]"); /* the first one fails and waits */
  pass(&o.w, 0);
  received(&o.w, "[" TYPED("contact.creation", 11, 3) "," TYPED("company.creation", 11, 4) "]");
  received(&o.w, "[" TYPED("contact.creation", 11, 3) "," TYPED("contact.creation", 13, 5) "]");
  pass(&o.w, 0);
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\"}")),
                      "3.1:ran 3.0:duplicate 2.1:pending 2.0:ran 1.2:unhandled 1.1:dead 1.0:waiting ");
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\",\"state\":\"pending\"}")), "2.1:pending ");
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\",\"state\":\"unhandled\"}")), "1.2:unhandled ");
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\",\"type\":\"contact.creation\",\"state\":\"ran\"}")), "3.1:ran 2.0:ran ");
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\",\"object\":\"11\"}")), "3.0:duplicate 2.1:pending 2.0:ran ");
  /* Pages end anywhere, also inside a body. */
  char all[4096] = "", cursor[64] = "";
  for (int pages = 0;; pages++) {
    const cJSON *a = ask(&o, "{\"do\":\"events.list\",\"limit\":2%s%s%s}", *cursor ? ",\"cursor\":\"" : "", cursor, *cursor ? "\"" : "");
    strncat(all, listed(a), sizeof all - strlen(all) - 1);
    snprintf(cursor, sizeof cursor, "%s", hl_json_str(a, "cursor", ""));
    if (!*cursor) break;
    assert_true(pages < 5);
  }
  assert_string_equal(all, "3.1:ran 3.0:duplicate 2.1:pending 2.0:ran 1.2:unhandled 1.1:dead 1.0:waiting ");
  hl_run_finish(q.held[0], HL_RUN_DONE, HL_STR(""));
  close_ops(&o);
}

static void since_ends_the_walk(void **state) {
  (void)state;
  ops o;
  open_ops(&o, NULL);
  world_start(&o.w);
  received(&o.w, "[" TYPED("deal.creation", 1, 1) "]");
  pass(&o.w, 3 * HL_HOUR);
  received(&o.w, "[" TYPED("deal.creation", 2, 2) "]");
  long long then = hl_loop_now(o.w.loop) - HL_MINUTE;
  const cJSON *a = ask(&o, "{\"do\":\"events.list\",\"since\":%lld}", then);
  assert_string_equal(listed(a), "2.0:unhandled ");
  assert_null(hl_json_get(a, "cursor"));
  close_ops(&o);
}

/* A long walk without a match is many short answers. */
static void a_list_looks_at_a_bounded_part(void **state) {
  (void)state;
  ops o;
  open_ops(&o, NULL);
  world_start(&o.w);
  received(&o.w, "[" TYPED("company.creation", 7, 7) "]");
  for (int i = 1; i <= 700; i++) {
    char body[200];
    snprintf(body, sizeof body, "[{\"eventId\":%d,\"subscriptionType\":\"deal.creation\",\"occurredAt\":%d,\"objectId\":1}]", 100 + i, i);
    received(&o.w, body);
  }
  const cJSON *a = ask(&o, "{\"do\":\"events.list\",\"type\":\"company.creation\"}");
  assert_string_equal(listed(a), "");
  assert_true(hl_json_int(a, "at", 0) > 0 && hl_json_int(a, "at", 0) < hl_json_int(a, "of", 0));
  for (int pages = 1; hl_json_get(a, "cursor"); pages++) {
    char cursor[64];
    assert_true(pages < 5);
    snprintf(cursor, sizeof cursor, "%s", hl_json_str(a, "cursor", ""));
    a = ask(&o, "{\"do\":\"events.list\",\"type\":\"company.creation\",\"cursor\":\"%s\"}", cursor);
  }
  assert_string_equal(listed(a), "1.0:unhandled ");
  close_ops(&o);
}

/* "2.0 2.1 | 3.1 " of what events.read gives. */
static const char *rows_of(const cJSON *a) {
  static char text[4096];
  size_t n = 0;
  text[0] = 0;
  if (hl_json_get(a, "error")) fail_msg("%s", error_of(a));
  for (const cJSON *r = hl_json_get(a, "rows")->child; r; r = r->next) {
    for (const cJSON *e = hl_json_get(r, "events")->child; e; e = e->next)
      n += (size_t)snprintf(text + n, sizeof text - n, "%d.%d ", (int)hl_json_int(r, "id", 0), (int)hl_json_int(e, "at", -1));
    n += (size_t)snprintf(text + n, sizeof text - n, "%s", r->next ? "| " : "");
  }
  return text;
}

static void the_record_is_read_in_order(void **state) {
  (void)state;
  ops o;
  open_ops(&o, NULL);
  world_start(&o.w);
  assert_string_equal(rows_of(ask(&o, "{\"do\":\"events.read\"}")), "");
  assert_null(hl_json_get(o.last.json, "kept"));
  long long first = hl_loop_now(o.w.loop);
  received(&o.w, "[" TYPED("deal.creation", 1, 1) ",{\"no\":1}," TYPED("contact.creation", 2, 2) "," TYPED("deal.creation", 1, 1) "]");
  pass(&o.w, 3 * HL_HOUR);
  long long second = hl_loop_now(o.w.loop);
  received(&o.w, "[" TYPED("deal.creation", 3, 3) "]");
  pass(&o.w, 3 * HL_HOUR);
  received(&o.w, "[" TYPED("contact.creation", 4, 4) "]");
  const cJSON *a = ask(&o, "{\"do\":\"events.read\"}");
  assert_string_equal(rows_of(a), "1.0 1.2 | 2.0 | 3.0 "); /* neither what is malformed nor the duplicate */
  assert_int_equal(hl_json_int(a, "kept", 0), first);
  assert_null(hl_json_get(a, "cursor"));
  const cJSON *row = hl_json_get(a, "rows")->child;
  assert_int_equal(hl_json_int(row, "received", 0), first);
  assert_int_equal(hl_json_int(row, "n", 0), 4);
  assert_string_equal(hl_json_str(row, "account", ""), "main");
  assert_string_equal(hl_json_str(row, "source", ""), "push");
  assert_int_equal(hl_json_int(hl_json_get(hl_json_get(row, "events")->child, "event"), "objectId", 0), 1);
  assert_string_equal(rows_of(ask(&o, "{\"do\":\"events.read\",\"type\":\"contact.creation\"}")), "1.2 | 3.0 ");
  assert_string_equal(rows_of(ask(&o, "{\"do\":\"events.read\",\"since\":%lld}", second)), "2.0 | 3.0 ");
  assert_string_equal(rows_of(ask(&o, "{\"do\":\"events.read\",\"until\":%lld}", second)), "1.0 1.2 ");
  assert_string_equal(rows_of(ask(&o, "{\"do\":\"events.read\",\"since\":%lld,\"until\":%lld}", second, second + 1)), "2.0 ");
  /* What the retention or an operator has taken is said to be gone. */
  pass(&o.w, 2 * HL_DAY);
  ask(&o, "{\"do\":\"events.prune\",\"before\":%lld}", second);
  a = ask(&o, "{\"do\":\"events.read\",\"since\":%lld}", first);
  assert_int_equal(hl_json_int(a, "kept", 0), first); /* a dead letter keeps its row */
  ask(&o, "{\"do\":\"events.prune\",\"before\":%lld,\"state\":\"dead\"}", second);
  ask(&o, "{\"do\":\"events.prune\",\"before\":%lld}", second);
  a = ask(&o, "{\"do\":\"events.read\",\"since\":%lld}", first);
  assert_string_equal(rows_of(a), "2.0 | 3.0 ");
  assert_int_equal(hl_json_int(a, "kept", 0), second);
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.read\",\"cursor\":\"x\"}")), "invalid");
  close_ops(&o);
}

static void a_long_record_comes_in_pages(void **state) {
  (void)state;
  ops o;
  char cursor[64] = "";
  int seen = 0, pages = 0;
  open_ops(&o, NULL);
  world_start(&o.w);
  for (int i = 1; i <= 700; i++) {
    char body[200];
    snprintf(body, sizeof body, "[{\"eventId\":%d,\"subscriptionType\":\"deal.creation\",\"occurredAt\":%d,\"objectId\":%d}]", i, i, i);
    received(&o.w, body);
  }
  do {
    const cJSON *a = ask(&o, "{\"do\":\"events.read\"%s%s%s}", *cursor ? ",\"cursor\":\"" : "", cursor, *cursor ? "\"" : "");
    for (const cJSON *r = hl_json_get(a, "rows")->child; r; r = r->next) assert_int_equal(hl_json_int(r, "id", 0), ++seen);
    snprintf(cursor, sizeof cursor, "%s", hl_json_str(a, "cursor", ""));
    if (!pages) received(&o.w, "[" TYPED("deal.creation", 9, 9) "]"); /* what comes meanwhile is not of it */
    assert_true(++pages < 6);
  } while (*cursor);
  assert_int_equal(seen, 700);
  assert_true(pages > 2);
  close_ops(&o);
}

/* Both handlers of an event give up; each goes back by itself. */
static void a_dead_letter_runs_again(void **state) {
  (void)state;
  ops o;
  probe p = {.fail_first = 2}, q = {.fail_first = 1};
  open_ops(&o, NULL);
  listen_with(&o.w, "contact.creation", false, (hl_handler_options){.script = "a.lua", .retries = 0}, &p);
  listen_with(&o.w, "contact.creation", false, (hl_handler_options){.script = "lib/b.lua", .name = "second", .retries = 0}, &q);
  world_start(&o.w);
  received(&o.w, "[" CREATED(1, 10, 100) "," CREATED(2, 11, 100) "]");
  settle_down(&o.w);
  assert_int_equal(stats_of(&o.w).dead, 2);
  const cJSON *a = ask(&o, "{\"do\":\"events.list\",\"state\":\"dead\"}");
  assert_string_equal(listed(a), "1.1:dead 1.0:dead 1.0:dead ");
  assert_string_equal(hl_json_str(hl_json_get(a, "events")->child, "error", ""), "told to fail");
  assert_int_equal(hl_json_int(hl_json_get(a, "events")->child, "attempts", 0), 1);
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\",\"state\":\"dead\",\"script\":\"lib/b.lua\"}")), "1.0:dead ");
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\",\"state\":\"dead\",\"script\":\"lib/b\"}")), "");

  assert_int_equal(hl_json_int(ask(&o, "{\"do\":\"events.retry\",\"id\":\"1.0\",\"script\":\"lib/b.lua\"}"), "retried", 0), 1);
  pass(&o.w, 1);
  settle_down(&o.w);
  assert_int_equal(p.calls, 2);
  assert_int_equal(q.calls, 3); /* both events, and one again */
  assert_int_equal(q.attempts[2], 1);
  assert_int_equal(stats_of(&o.w).dead, 2); /* the other handler still has them */

  assert_int_equal(hl_json_int(ask(&o, "{\"do\":\"events.retry\",\"state\":\"dead\"}"), "retried", 0), 2);
  pass(&o.w, 1);
  settle_down(&o.w);
  assert_int_equal(p.calls, 4);
  assert_int_equal(stats_of(&o.w).dead, 0);
  assert_int_equal(stats_of(&o.w).ran, 2);
  a = ask(&o, "{\"do\":\"events.retry\",\"id\":\"1.0\"}");
  assert_non_null(strstr(error_of(a), "nothing to retry"));
  close_ops(&o);
}

static void what_cannot_run_again_is_left_alone(void **state) {
  (void)state;
  ops o;
  probe p = {.fail_first = 1};
  open_ops(&o, NULL);
  listen_with(&o.w, "contact.creation", false, (hl_handler_options){.script = "a.lua", .retries = 5}, &p);
  world_start(&o.w);
  received(&o.w, "[" CREATED(1, 10, 100) ",17]");
  pass(&o.w, 0);
  const cJSON *a = ask(&o, "{\"do\":\"events.retry\",\"state\":\"dead\"}"), *left = hl_json_get(a, "left");
  assert_int_equal(hl_json_int(a, "retried", -1), 0);
  assert_int_equal(hl_json_int(a, "left_alone", -1), 1);
  assert_string_equal(hl_json_str(left->child, "id", ""), "1.1");
  assert_non_null(strstr(hl_json_str(left->child, "why", ""), "no handler"));
  a = ask(&o, "{\"do\":\"events.retry\",\"id\":\"1.0\"}");
  assert_int_equal(hl_json_int(a, "left_alone", -1), 1);
  assert_non_null(strstr(hl_json_str(hl_json_get(a, "left")->child, "why", ""), "it waits"));
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.retry\",\"id\":\"1.7\"}")), "not_found");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.retry\",\"state\":\"waiting\"}")), "invalid");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.retry\"}")), "invalid");
  close_ops(&o);
}

/* ---- uncertain steps ---- */

typedef struct unsure {
  world *w;
  int calls;
  hl_run *run;
} unsure;

static void on_unsure(void *arg, hl_run *run, const hl_event *event) {
  unsure *u = arg;
  (void)event;
  u->calls++;
  u->run = run;
}

static void set_flag(void *arg, int code) { *(bool *)arg = code == 0; }

static void an_uncertain_one_is_settled_first(void **state) {
  (void)state;
  for (int again = 0; again < 2; again++) {
    ops o;
    unsure u = {0};
    hl_step *step;
    hl_write_state ws;
    bool flag = false;
    open_ops(&o, NULL);
    u.w = &o.w;
    assert_int_equal(hl_engine_on(o.w.e, "contact.creation", false, &(hl_handler_options){.script = "a.lua", .retries = 5}, on_unsure, &u, NULL, &o.w.err), 0);
    world_start(&o.w);
    received(&o.w, "[" CREATED(1, 10, 100) "]");
    pass(&o.w, 0);
    assert_int_equal(hl_run_step(u.run, HL_STR("make"), &step, &o.w.err), 0);
    hl_write *x = hl_step_write(step, HL_STR("{\"kind\":\"create\"}"), HL_STR("{"), &ws);
    hl_write_intend(x, set_flag, &flag);
    while (!flag) pass(&o.w, 0);
    hl_write_uncertain(x);
    hl_step_leave(step, (hl_str){NULL, 0});
    hl_run_finish(u.run, HL_RUN_FAILED, HL_STR("cut off"));
    pass(&o.w, 0);
    assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\",\"state\":\"uncertain\"}")), "1.0:uncertain ");
    const cJSON *e = hl_json_get(ask(&o, "{\"do\":\"events.show\",\"id\":\"1.0\"}"), "event");
    assert_string_equal(hl_json_str(e, "state", ""), "uncertain");
    const cJSON *shown = hl_json_get(hl_json_get(e, "handlers")->child, "steps")->child;
    assert_string_equal(hl_json_str(shown, "state", ""), "intended");
    assert_string_equal(hl_json_str(hl_json_get(shown, "write"), "kind", ""), "create");
    const cJSON *a = ask(&o, "{\"do\":\"events.retry\",\"id\":\"1.0\"}");
    assert_non_null(strstr(hl_json_str(hl_json_get(a, "left")->child, "why", ""), "nobody knows"));
    assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.retry\",\"id\":\"1.0\",\"settle\":\"maybe\"}")), "invalid");
    u.run = NULL;
    assert_int_equal(hl_json_int(ask(&o, "{\"do\":\"events.retry\",\"id\":\"1.0\",\"settle\":\"%s\"}", again ? "again" : "done"), "retried", 0), 1);
    for (int i = 0; i < 10 && !u.run; i++) pass(&o.w, 1);
    int rc = hl_run_step(u.run, HL_STR("make"), &step, &o.w.err);
    if (rc == HL_EBUSY) {
      flag = false;
      hl_run_steps_load(u.run, set_flag, &flag);
      while (!flag) pass(&o.w, 0);
      rc = hl_run_step(u.run, HL_STR("make"), &step, &o.w.err);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(hl_step_is(step), again ? HL_STEP_IS_OPEN : HL_STEP_IS_DONE);
    hl_run_finish(u.run, HL_RUN_DONE, HL_STR(""));
    settle_down(&o.w);
    assert_int_equal(stats_of(&o.w).ran, 1);
    close_ops(&o);
  }
}

/* ---- show ---- */

static void an_event_is_shown_whole(void **state) {
  (void)state;
  ops o;
  probe p = {.fail_first = 1}, q = {.hold = true};
  open_ops(&o, NULL);
  listen_with(&o.w, "contact.creation", false, (hl_handler_options){.script = "a.lua", .retries = 0}, &p);
  listen_with(&o.w, "contact.creation", false, (hl_handler_options){.script = "b.lua"}, &q);
  world_start(&o.w);
  hl_run *run = hl_engine_begin(o.w.e, "a.lua", "main");
  received(&o.w, "[" CREATED(1, 10, 100) "," CREATED(2, 11, 200) "]");
  pass(&o.w, 0);
  const cJSON *e = hl_json_get(ask(&o, "{\"do\":\"events.show\",\"id\":\"1.0\"}"), "event");
  assert_string_equal(hl_json_str(e, "state", ""), "pending");
  assert_string_equal(hl_json_str(e, "type", ""), "contact.creation");
  assert_string_equal(hl_json_str(e, "object", ""), "10");
  assert_int_equal(hl_json_int(e, "occurred", 0), 100);
  assert_int_equal(hl_json_int(hl_json_get(e, "event"), "eventId", 0), 1);
  const cJSON *h = hl_json_get(e, "handlers")->child;
  assert_string_equal(hl_json_str(h, "script", ""), "a.lua");
  assert_string_equal(hl_json_str(h, "state", ""), "dead");
  assert_string_equal(hl_json_str(h, "error", ""), "told to fail");
  /* A delayed event has no row yet. */
  assert_int_equal(hl_run_emit(run, "chase", HL_STR("{\"id\":7}"), HL_HOUR, NULL, NULL, &o.w.err), 0);
  hl_run_finish(run, HL_RUN_DONE, HL_STR(""));
  pass(&o.w, 0);
  const cJSON *list = ask(&o, "{\"do\":\"events.list\",\"state\":\"delayed\"}");
  char id[48];
  snprintf(id, sizeof id, "%s", hl_json_str(hl_json_get(list, "events")->child, "id", ""));
  assert_memory_equal(id, "after.", 6);
  assert_int_equal(hl_json_int(hl_json_get(list, "events")->child, "due", 0), hl_loop_now(o.w.loop) + HL_HOUR);
  e = hl_json_get(ask(&o, "{\"do\":\"events.show\",\"id\":\"%s\"}", id), "event");
  assert_string_equal(hl_json_str(e, "type", ""), "chase");
  assert_int_equal(hl_json_int(hl_json_get(hl_json_get(e, "event"), "payload"), "id", 0), 7);
  static const char *const wrong[] = {"", "1", "x.1", "1.x", "-1.0", "0.1", "1.-1", "after.", "after.0", "after.x", "99999999999999999999.0"};
  for (size_t i = 0; i < HL_COUNT(wrong); i++)
    assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.show\",\"id\":\"%s\"}", wrong[i])), "invalid");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.show\",\"id\":\"1.2\"}")), "not_found");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.show\",\"id\":\"after.1\"}")), "not_found"); /* a parked row, but no delayed one */
  for (int i = 0; i < q.n_held; i++) hl_run_finish(q.held[i], HL_RUN_DONE, HL_STR(""));
  close_ops(&o);
}

/* ---- inject ---- */

static void injected_events_are_events(void **state) {
  (void)state;
  ops o;
  probe p = {0};
  open_ops(&o, NULL);
  listen_to(&o.w, "contact.creation", &p);
  world_start(&o.w);
  const cJSON *a = ask(&o, "{\"do\":\"events.inject\",\"events\":[" CREATED(1, 10, 100) ",{\"subscriptionType\":\"contact.creation\",\"objectId\":11},"
                       "{\"subscriptionType\":\"contact.creation\",\"objectId\":11},5,{\"subscriptionType\":\"x\"}," CREATED(1, 10, 100) "]}");
  assert_int_equal(hl_json_int(a, "accepted", -1), 4);
  assert_int_equal(hl_json_int(a, "duplicates", -1), 1);
  assert_int_equal(hl_json_int(a, "malformed", -1), 1);
  assert_int_equal(hl_json_int(a, "unhandled", -1), 1);
  settle_down(&o.w);
  assert_int_equal(p.calls, 3);
  const cJSON *e = hl_json_get(ask(&o, "{\"do\":\"events.show\",\"id\":\"1.1\"}"), "event");
  assert_string_equal(hl_json_str(e, "source", ""), "manual");
  assert_string_equal(hl_json_str(e, "account", ""), "main");
  ask(&o, "{\"do\":\"events.inject\",\"account\":\"shop\",\"events\":[" CREATED(9, 12, 100) "]}");
  e = hl_json_get(ask(&o, "{\"do\":\"events.show\",\"id\":\"2.0\"}"), "event");
  assert_string_equal(hl_json_str(e, "account", ""), "shop");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.inject\",\"events\":{}}")), "invalid");
  hl_store_fault(hl_engine_store(o.w.e), "commit", HL_EFULL, 2);
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.inject\",\"events\":[" CREATED(10, 12, 100) "]}")), "full");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.inject\",\"events\":[" CREATED(11, 12, 100) "]}")), "io");
  close_ops(&o);
}

/* ---- prune ---- */

static void pruning_spares_what_is_not_finished(void **state) {
  (void)state;
  ops o;
  probe p = {.fail_first = 1}, q = {.hold = true};
  open_ops(&o, NULL);
  listen_with(&o.w, "contact.creation", false, (hl_handler_options){.script = "a.lua", .retries = 0}, &p);
  listen_with(&o.w, "company.creation", false, (hl_handler_options){.script = "b.lua"}, &q);
  world_start(&o.w);
  received(&o.w, "[" TYPED("contact.creation", 1, 1) "]");                                     /* dead */
  received(&o.w, "[" TYPED("contact.creation", 2, 2) "," TYPED("deal.creation", 2, 3) "]");    /* ran, unhandled */
  settle_down(&o.w);
  received(&o.w, "[" TYPED("company.creation", 3, 4) "]");                                     /* runs */
  received(&o.w, "[" TYPED("contact.creation", 4, 5) "]");                                     /* above the mark */
  pass(&o.w, 2 * HL_DAY);
  long long before = hl_loop_now(o.w.loop) - HL_DAY - HL_HOUR;
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.prune\",\"before\":%lld}", before + 2 * HL_HOUR)), "invalid"); /* within the window */
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.prune\"}")), "invalid");
  assert_int_equal(hl_json_int(ask(&o, "{\"do\":\"events.prune\",\"before\":%lld,\"dry_run\":true}", before), "removed", -1), 2);
  assert_int_equal(hl_json_int(ask(&o, "{\"do\":\"events.prune\",\"before\":%lld}", before), "removed", -1), 2);
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\"}")), "4.0:ran 3.0:pending 1.0:dead ");
  /* A dead letter goes when it is asked for, and its event counts as removed. */
  assert_int_equal(hl_json_int(ask(&o, "{\"do\":\"events.prune\",\"state\":\"dead\",\"before\":1000}"), "removed", -1), 0);
  assert_int_equal(hl_json_int(ask(&o, "{\"do\":\"events.prune\",\"state\":\"dead\",\"before\":%lld,\"dry_run\":true}", before), "removed", -1), 1);
  assert_int_equal(stats_of(&o.w).dead, 1);
  assert_int_equal(hl_json_int(ask(&o, "{\"do\":\"events.prune\",\"state\":\"dead\",\"before\":%lld}", before), "removed", -1), 1);
  assert_int_equal(stats_of(&o.w).dead, 0);
  assert_int_equal(stats_of(&o.w).removed, 1);
  assert_int_equal(hl_json_int(ask(&o, "{\"do\":\"events.prune\",\"before\":%lld}", before), "removed", -1), 1);
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\"}")), "4.0:ran 3.0:pending ");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"events.prune\",\"state\":\"pending\",\"before\":%lld}", before)), "invalid");
  hl_run_finish(q.held[0], HL_RUN_DONE, HL_STR(""));
  settle_down(&o.w);
  assert_int_equal(stats_of(&o.w).ran, 3);
  close_ops(&o);
}

/* ---- backup ---- */

static const char *here(const char *name) {
  static char path[4200];
  char folder[4096];
  assert_non_null(getcwd(folder, sizeof folder));
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void a_backup_is_begun_and_looked_at(void **state) {
  (void)state;
  ops o;
  open_ops(&o, NULL);
  world_start(&o.w);
  received(&o.w, "[" TYPED("deal.creation", 1, 1) "]");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"backup.look\"}")), "not_found");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"backup.start\"}")), "invalid");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"backup.start\",\"to\":\"b.db\"}")), "invalid");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"backup.start\",\"to\":\"%s\"}", here("b.db"))), "");
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"backup.start\",\"to\":\"%s\"}", here("c.db"))), "busy");
  const cJSON *a;
  while (strcmp(hl_json_str(a = ask(&o, "{\"do\":\"backup.look\"}"), "phase", ""), "done") != 0) {
    assert_string_equal(kind_of(a), "");
    pass(&o.w, 1); /* lets the loop look at its workers */
  }
  assert_true(hl_json_int(a, "pages", 0) > 0 && hl_json_int(a, "bytes", 0) > 0);
  assert_int_equal(access("b.db", F_OK), 0);
  assert_string_equal(kind_of(ask(&o, "{\"do\":\"backup.start\",\"to\":\"%s\"}", here("b.db"))), "invalid"); /* it is there now */
  /* Ended by hand, and by itself when nobody looks any more. */
  for (int by_hand = 0; by_hand < 2; by_hand++) {
    hl_store_fault(hl_engine_store(o.w.e), "pause", 0, 1);
    assert_string_equal(kind_of(ask(&o, "{\"do\":\"backup.start\",\"to\":\"%s\"}", here("c.db"))), "");
    if (by_hand) ask(&o, "{\"do\":\"backup.look\",\"stop\":true}");
    else pass(&o.w, 20000);
    hl_store_fault(hl_engine_store(o.w.e), "pause", 0, 0);
    pass(&o.w, 10);
    assert_string_equal(kind_of(ask(&o, "{\"do\":\"backup.look\"}")), "not_found");
    assert_int_not_equal(access("c.db", F_OK), 0);
    assert_int_not_equal(access("c.db.part", F_OK), 0);
  }
  close_ops(&o);
}

/* ---- without a server ---- */

static void the_store_alone_is_enough(void **state) {
  (void)state;
  ops o;
  probe p = {.fail_first = 1};
  unlink("alone.db");
  open_ops(&o, "alone.db");
  listen_with(&o.w, "contact.creation", false, (hl_handler_options){.script = "a.lua", .retries = 0}, &p);
  world_start(&o.w);
  received(&o.w, "[" CREATED(1, 10, 100) "]");
  settle_down(&o.w);
  close_ops(&o);

  /* Nobody runs: the store is opened without the window of duplicates. */
  o = (ops){0};
  world_loop(&o.w, false);
  assert_int_equal(hl_engine_new(o.w.loop, &(hl_engine_options){.store = "alone.db", .no_receipt = true}, &o.w.e, &o.w.err), 0);
  o.actions = hl_actions_new(o.w.e, "main");
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\"}")), "1.0:dead ");
  assert_int_equal(hl_json_int(ask(&o, "{\"do\":\"events.retry\",\"id\":\"1.0\"}"), "retried", 0), 1);
  assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\",\"state\":\"waiting\"}")), "1.0:waiting ");
  close_ops(&o);

  open_ops(&o, "alone.db");
  listen_with(&o.w, "contact.creation", false, (hl_handler_options){.script = "a.lua", .retries = 0}, &p);
  world_start(&o.w);
  for (int i = 0; i < 1000 && p.calls < 2; i++) pass(&o.w, 1);
  settle_down(&o.w);
  assert_int_equal(p.calls, 2);
  assert_int_equal(stats_of(&o.w).ran, 1);
  close_ops(&o);
}

/* Without its handler an event is orphaned, and a retry says so; with it, it goes on. */
static void an_orphan_needs_its_handler(void **state) {
  (void)state;
  ops o;
  probe p = {.fail_first = 1};
  unlink("orphan.db");
  for (int life = 0; life < 3; life++) {
    open_ops(&o, "orphan.db");
    if (life != 1) listen_with(&o.w, "contact.creation", false, (hl_handler_options){.script = "a.lua", .retries = 3}, &p);
    world_start(&o.w);
    if (life == 0) received(&o.w, "[" CREATED(1, 10, 100) "]");
    if (life == 1) {
      assert_string_equal(listed(ask(&o, "{\"do\":\"events.list\",\"state\":\"orphaned\"}")), "1.0:orphaned ");
      const cJSON *a = ask(&o, "{\"do\":\"events.retry\",\"state\":\"orphaned\"}");
      assert_int_equal(hl_json_int(a, "left_alone", -1), 1);
      assert_non_null(strstr(hl_json_str(hl_json_get(a, "left")->child, "why", ""), "a.lua has no handler “contact.creation” any more"));
    }
    for (int i = 0; i < 3000 && life != 1 && p.calls <= life / 2; i++) pass(&o.w, 1);
    settle_down(&o.w);
    close_ops(&o);
  }
  assert_int_equal(p.calls, 2);
}

static void what_waits_is_never_answered_after_the_end(void **state) {
  (void)state;
  ops o;
  open_ops(&o, NULL);
  world_start(&o.w);
  hl_store_fault(hl_engine_store(o.w.e), "pause", 0, 1);
  hl_control_line(o.actions, HL_STR("{\"do\":\"events.list\"}"), on_asked, &o.last);
  hl_control_line(o.actions, HL_STR("{\"do\":\"events.show\",\"id\":\"1.0\"}"), on_asked, &o.last);
  hl_control_line(o.actions, HL_STR("{\"do\":\"events.list\",\"state\":\"dead\"}"), on_asked, &o.last);
  hl_control_line(o.actions, HL_STR("{\"do\":\"events.inject\",\"events\":[" CREATED(1, 1, 1) "]}"), on_asked, &o.last);
  close_ops(&o);
  assert_int_equal(o.last.calls, 0);
}

static void nonsense_is_refused(void **state) {
  (void)state;
  static const char *const lines[] = {"", "x", "[]", "7", "{\"do\":7}", "{}", "{\"do\":\"rm\"}", "{\"do\":\"events.list\",\"state\":\"bogus\"}",
                                      "{\"do\":\"events.list\",\"limit\":0}", "{\"do\":\"events.list\",\"limit\":1e9}",
                                      "{\"do\":\"events.list\",\"cursor\":\"x\"}", "{\"do\":\"events.list\",\"cursor\":\"1.-1\"}",
                                      "{\"do\":\"events.list\",\"script\":\"a.lua\"}", "{\"do\":\"audits\"}",
                                      "{\"do\":\"audits\",\"kind\":\"routing\",\"key\":\"x\",\"max\":0}", "{\"do\":\"events.list\""};
  ops o;
  open_ops(&o, NULL);
  world_start(&o.w);
  for (size_t i = 0; i < HL_COUNT(lines); i++) {
    const cJSON *a = ask(&o, "%s", lines[i]);
    if (strcmp(kind_of(a), "invalid") != 0) fail_msg("%s: %s", lines[i], kind_of(a));
  }
  assert_non_null(strstr(error_of(ask(&o, "{\"do\":\"events.list\",\"state\":\"deed\"}")), "did you mean “dead”"));
  close_ops(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_the_log_newest_first_with_states), cmocka_unit_test(since_ends_the_walk),
      cmocka_unit_test(a_list_looks_at_a_bounded_part),         cmocka_unit_test(the_record_is_read_in_order),
      cmocka_unit_test(a_long_record_comes_in_pages),           cmocka_unit_test(a_dead_letter_runs_again),
      cmocka_unit_test(what_cannot_run_again_is_left_alone),    cmocka_unit_test(an_uncertain_one_is_settled_first),
      cmocka_unit_test(an_event_is_shown_whole),                cmocka_unit_test(injected_events_are_events),
      cmocka_unit_test(pruning_spares_what_is_not_finished),    cmocka_unit_test(a_backup_is_begun_and_looked_at),        cmocka_unit_test(the_store_alone_is_enough),
      cmocka_unit_test(an_orphan_needs_its_handler),
      cmocka_unit_test(what_waits_is_never_answered_after_the_end), cmocka_unit_test(nonsense_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
