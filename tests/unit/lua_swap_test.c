/* Scripts exchanged while their tasks run: staging, the swap, what becomes of the
 * old state. In virtual time, the engine in memory. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lua/script.h"

typedef struct world {
  hl_log *log;
  hl_loop *loop;
  hl_engine *engine;
  hl_host *host;
  hl_buf printed, logged;
} world;

static void on_print(void *arg, const char *line, size_t n) {
  world *w = arg;
  hl_buf_append(&w->printed, line, n);
  hl_buf_puts(&w->printed, "\n");
}

static void on_log(void *arg, const char *line, size_t n) { hl_buf_append(&((world *)arg)->logged, line, n); }

static void open_world(world *w) {
  hl_error err;
  *w = (world){.log = hl_log_new(HL_LOG_INFO, false)};
  hl_buf_init(&w->printed, 1 << 20);
  hl_buf_init(&w->logged, 1 << 20);
  hl_buf_puts(&w->logged, "");
  hl_log_set_sink(w->log, on_log, w);
  assert_int_equal(hl_loop_new(&(hl_loop_options){.is_virtual = true, .seed = 3}, w->log, &w->loop, &err), 0);
  assert_int_equal(hl_engine_new(w->loop, &(hl_engine_options){0}, &w->engine, &err), 0);
  hl_host_options o = {.loop = w->loop, .engine = w->engine, .root = ".", .serving = true, .print = on_print, .print_arg = w};
  assert_int_equal(hl_host_new(&o, &w->host, &err), 0);
}

static void end_world(world *w) {
  hl_host_free(w->host);
  hl_engine_free(w->engine);
  hl_loop_run(w->loop);
  hl_loop_free(w->loop);
  hl_log_free(w->log);
  hl_buf_deinit(&w->printed);
  hl_buf_deinit(&w->logged);
}

static void on_tick(hl_timer *t, void *arg) {
  (void)t;
  *(bool *)arg = true;
}

static void pass(world *w, int64_t ms) {
  hl_timer t = {0};
  bool flag = false;
  hl_timer_start(w->loop, &t, ms, on_tick, &flag);
  assert_int_equal(hl_loop_run_until(w->loop, &flag), 0);
}

static void start(world *w) {
  hl_error err;
  assert_int_equal(hl_engine_start(w->engine, &err), 0);
}

static hl_engine_stats stats(world *w) {
  hl_engine_stats s;
  hl_engine_stats_get(w->engine, &s);
  assert_int_equal(s.acknowledged, s.pending + s.ran + s.filtered + s.duplicate + s.waiting + s.dead + s.unhandled + s.orphaned + s.own + s.debounced);
  return s;
}

static void deliver(world *w, int id, int object, int at) {
  char body[256];
  snprintf(body, sizeof body, "[{\"eventId\":%d,\"subscriptionId\":1,\"portalId\":1,\"occurredAt\":%d,\"subscriptionType\":\"contact.creation\",\"objectId\":%d}]",
           id, at, object);
  hl_engine_receive(w->engine, "push", "main", hl_str_of(body), NULL, NULL);
}

static void printed(world *w, const char *expected) {
  assert_string_equal(w->printed.p ? w->printed.p : "", expected);
  hl_buf_clear(&w->printed);
}

static void loaded(void *arg, int code, hl_str text) {
  if (code) fail_msg(HL_STR_FMT, HL_STR_ARG(text));
  *(bool *)arg = true;
}

static hl_script *stage(world *w, const char *name, const char *text) {
  hl_error err;
  hl_script *s;
  bool done = false;
  FILE *f = fopen(name, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
  if (hl_host_stage(w->host, name, NULL, 0, &s, &err)) fail_msg("%s", err.text);
  hl_script_on_end(s, loaded, &done);
  hl_loop_run_until(w->loop, &done);
  pass(w, 0);
  return s;
}

static void swap(world *w, hl_script *s) {
  hl_change c = {.name = hl_script_name(s), .script = s};
  hl_host_swap(w->host, &c, 1, 10000);
  assert_int_equal(c.err.code, 0);
}

static void take(world *w, const char *text) { swap(w, stage(w, "s.lua", text)); }

static void old_tasks_end_on_the_old_state(void **state) {
  (void)state;
  world w;
  open_world(&w);
  take(&w, "local seen = 0\n"
           "on('contact.creation', function(e) seen = seen + 1 task.sleep(5) print('one', e.objectId, seen) kv.incr('n') emit('done', e.objectId) end)\n"
           "on('done', function(e) print('done one', e.payload) end)");
  start(&w);
  deliver(&w, 1, 10, 1);
  deliver(&w, 2, 11, 2);
  pass(&w, 1000);
  hl_script *s = stage(&w, "s.lua", "on('contact.creation', function(e) print('two', e.objectId, kv.get('n')) end)\n"
                                    "on('done', function(e) print('done two', e.payload) end)");
  deliver(&w, 3, 12, 3); /* staged is not taken: the old one still gets it */
  pass(&w, 1000);
  swap(&w, s);
  deliver(&w, 4, 10, 4); /* waits for the lane of contact 10 */
  deliver(&w, 5, 13, 5);
  pass(&w, 1000);
  printed(&w, "two\t13\tnil\n");
  assert_non_null(w.host->apart);
  pass(&w, 10000);
  printed(&w, "one\t10\t3\none\t11\t3\ntwo\t10\t2\ndone two\t10\ndone two\t11\none\t12\t3\ndone two\t12\n");
  assert_null(w.host->apart); /* the old state is gone */
  assert_int_equal(stats(&w).ran, 8);
  assert_int_equal(hl_host_handlers(w.host), 2);
  end_world(&w);
}

static void what_waits_goes_on_when_the_old_state_is_gone(void **state) {
  (void)state;
  world w;
  open_world(&w);
  take(&w, "on('contact.creation', { concurrency = 1, key = function(e) print('key one') return e.objectId end }, function(e)\n"
           "  print('one', e.objectId) error('no') end)");
  start(&w);
  for (int i = 0; i < 4; i++) deliver(&w, i + 1, 10 + i % 2, i + 1);
  pass(&w, 0); /* two have failed and hold their lanes; two wait behind them */
  hl_buf_clear(&w.printed);
  take(&w, "on('contact.creation', { key = function(e) print('key two') return 'all' end }, function(e) print('two', e.objectId, e.attempt) end)");
  pass(&w, 0);
  assert_null(w.host->apart);
  printed(&w, "key two\nkey two\ntwo\t10\t1\ntwo\t11\t1\n");
  pass(&w, 60000);
  assert_int_equal(stats(&w).ran, 4);
  end_world(&w);
}

static void the_deadline_cuts_and_gives_back(void **state) {
  (void)state;
  world w;
  open_world(&w);
  take(&w, "on('contact.creation', function(e)\n"
           "  local t <close> = setmetatable({}, { __close = function() print('closed') end })\n"
           "  task.all { function() task.sleep(50) end, function() kv.incr('n') task.sleep(50) end } end)\n"
           "every('1m', function() task.sleep(50) end)");
  start(&w);
  pass(&w, 61 * 1000);
  deliver(&w, 1, 10, 1);
  pass(&w, 10);
  take(&w, "on('contact.creation', function(e) print('two', e.attempt, kv.get('n')) end)\nevery('1m', function() print('tick') end)");
  pass(&w, 9900);
  printed(&w, "");
  pass(&w, 200);
  printed(&w, "closed\ntwo\t1\tnil\ntick\n");
  assert_non_null(strstr(w.logged.p, "2 tasks of its earlier version had not ended in time and are cut; events go back to the inbox"));
  assert_null(w.host->apart);
  end_world(&w);
}

static void failed(void *arg, int code, hl_str text) {
  (void)text;
  *(int *)arg = code;
}

static void what_is_not_taken_leaves_nothing(void **state) {
  (void)state;
  world w;
  hl_script *s;
  hl_error err;
  int code = 0;
  open_world(&w);
  take(&w, "on('contact.creation', function(e) print('one') end)");
  start(&w);
  /* It raises after it has registered; it does not end; it is dropped while it waits, or after it has ended. */
  FILE *f = fopen("s.lua", "w");
  fputs("on('contact.creation', function(e) print('bad') end)\non('x', function() end)\nerror('no')", f);
  fclose(f);
  assert_int_equal(hl_host_stage(w.host, "s.lua", NULL, 0, &s, &err), 0);
  hl_script_on_end(s, failed, &code);
  pass(&w, 0);
  assert_int_equal(code, HL_ESCRIPT);
  hl_script_drop(s);
  f = fopen("s.lua", "w");
  fputs("on('contact.creation', function(e) print('bad') end)\ntask.sleep('1h')", f);
  fclose(f);
  assert_int_equal(hl_host_stage(w.host, "s.lua", NULL, 5000, &s, &err), 0);
  hl_script_on_end(s, failed, &code);
  pass(&w, 6000);
  assert_int_equal(code, HL_ESCRIPT);
  hl_script_drop(s);
  assert_int_equal(hl_host_stage(w.host, "s.lua", NULL, 0, &s, &err), 0);
  pass(&w, 10);
  hl_script_drop(s);
  hl_script_drop(stage(&w, "s.lua", "on('contact.creation', function(e) print('bad') end)"));
  pass(&w, 0);
  assert_null(w.host->apart);
  deliver(&w, 1, 10, 1);
  pass(&w, 10);
  printed(&w, "one\n");
  assert_int_equal(hl_host_handlers(w.host), 1);
  end_world(&w);
}

static hl_change change(world *w, const char *name, const char *text) {
  hl_script *s = text ? stage(w, name, text) : NULL;
  return (hl_change){.name = name, .script = s};
}

static void routes_that_clash(void **state) {
  (void)state;
  world w;
  open_world(&w);
#define SERVE(path) "serve('GET " path "', { auth = false }, function() end)\n"
  hl_change first[] = {change(&w, "a.lua", SERVE("/a")), change(&w, "b.lua", SERVE("/b")), change(&w, "c.lua", SERVE("/c"))};
  hl_host_swap(w.host, first, 3, 0);
  for (int i = 0; i < 3; i++) assert_int_equal(first[i].err.code, 0);
  /* They change places. */
  hl_change places[] = {change(&w, "a.lua", SERVE("/b")), change(&w, "b.lua", SERVE("/c")), change(&w, "c.lua", SERVE("/a"))};
  hl_host_swap(w.host, places, 3, 0);
  for (int i = 0; i < 3; i++) assert_int_equal(places[i].err.code, 0);
  /* b clashes with c, stays as it was, and then a does not get what b would have left. */
  hl_change chain[] = {change(&w, "a.lua", SERVE("/c")), change(&w, "b.lua", "\n" SERVE("/a")), change(&w, "d.lua", SERVE("/d"))};
  hl_host_swap(w.host, chain, 3, 0);
  assert_int_equal(chain[0].err.code, HL_EINVAL);
  assert_string_equal(chain[0].err.text, "a.lua:1: serve(\"GET /c\"): b.lua already serves it");
  assert_string_equal(chain[1].err.text, "b.lua:2: serve(\"GET /a\"): c.lua already serves it");
  assert_int_equal(chain[2].err.code, 0);
  assert_int_equal(hl_host_handlers(w.host), 4);
  /* One that goes makes room. */
  hl_change room[] = {change(&w, "d.lua", SERVE("/a")), {.name = "c.lua"}};
  hl_host_swap(w.host, room, 2, 0);
  assert_int_equal(room[0].err.code, 0);
  assert_int_equal(hl_host_handlers(w.host), 3);
  pass(&w, 0);
  assert_null(w.host->apart);
  end_world(&w);
}

/* SEMANTICS 20: old steps and waits, new code; and what becomes of it when the code does not fit, or is gone. */
static void a_waiting_handler_goes_on_with_the_new_code(void **state) {
  (void)state;
#define BEGIN(text)                                                                                      \
  "on('contact.creation', function(e)\n"                                                                 \
  "  if tonumber(e.objectId) > 90 then emit('signal', { id = tostring(e.objectId - 90), text = 'yes' }) return end\n" \
  "  local mark = step('mark', function() print('" text " marks', e.objectId) return '" text "' end)\n"
  world w;
  open_world(&w);
  take(&w, BEGIN("one") "  local got = wait('signed', 'signal', { key = { id = e.objectId } })\n  print('one', mark, got.payload.text) end)");
  start(&w);
  for (int id = 1; id <= 4; id++) deliver(&w, id, id, id);
  pass(&w, 1000);
  printed(&w, "one marks\t1\none marks\t2\none marks\t3\none marks\t4\n");
  assert_int_equal(stats(&w).waiting, 4);
  take(&w, BEGIN("two") "  local got = wait('signed', 'signal', { key = { id = e.objectId } })\n"
                        "  print('two', mark, got.payload.text, step('more', function() return 'more' end)) end)");
  pass(&w, 1000);
  assert_null(w.host->apart);
  deliver(&w, 11, 91, 11);
  pass(&w, 1000);
  printed(&w, "two\tone\tyes\tmore\n");
  take(&w, BEGIN("three") "  wait('another name', 'signal') end)");
  deliver(&w, 12, 92, 12);
  pass(&w, 1000);
  assert_int_equal(stats(&w).dead, 1);
  assert_non_null(strstr(w.logged.p, "its stored steps no longer fit: the code asks for “another name” where the wait “signed” was"));
  take(&w, "on('something else', print)");
  pass(&w, 1000);
  assert_int_equal(stats(&w).orphaned, 2);
  take(&w, "on('contact.creation', function(e) if e.objectId == '93' then emit('signal', { id = '3' }) end end)");
  deliver(&w, 13, 93, 13);
  pass(&w, 1000);
  assert_int_equal(stats(&w).dead, 2); /* it has no wait any more */
  assert_int_equal(stats(&w).waiting, 1);
  printed(&w, "");
  end_world(&w);
}

static void event_types_are_those_of_the_scripts_that_run(void **state) {
  (void)state;
  world w;
  open_world(&w);
  take(&w, "on('contact.creation', function() end)\non('deal.creation', function() end)\non('own', function() end)");
  assert_string_equal(hl_host_event_types(w.host)[0], "contact.creation");
  assert_string_equal(hl_host_event_types(w.host)[1], "deal.creation");
  take(&w, "on('deal.creation', { name = 'a' }, function() end)\non('deal.creation', function() end)");
  assert_string_equal(hl_host_event_types(w.host)[0], "deal.creation");
  assert_null(hl_host_event_types(w.host)[1]);
  end_world(&w);
}

static void freed_in_the_middle(void **state) {
  (void)state;
  world w;
  hl_script *s;
  hl_error err;
  open_world(&w);
  take(&w, "on('contact.creation', function(e) kv.get('x') task.sleep(50) end)");
  start(&w);
  deliver(&w, 1, 10, 1);
  pass(&w, 10);
  take(&w, "on('contact.creation', { name = 'other' }, function(e) end)");
  FILE *f = fopen("s.lua", "w");
  fputs("on('x', function() end)\ntask.sleep('1h')", f);
  fclose(f);
  assert_int_equal(hl_host_stage(w.host, "s.lua", NULL, 0, &s, &err), 0);
  pass(&w, 10);
  end_world(&w); /* one staged, one retired with a task, one running */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(old_tasks_end_on_the_old_state),
      cmocka_unit_test(what_waits_goes_on_when_the_old_state_is_gone),
      cmocka_unit_test(the_deadline_cuts_and_gives_back),
      cmocka_unit_test(what_is_not_taken_leaves_nothing),
      cmocka_unit_test(routes_that_clash),
      cmocka_unit_test(a_waiting_handler_goes_on_with_the_new_code),
      cmocka_unit_test(event_types_are_those_of_the_scripts_that_run),
      cmocka_unit_test(freed_in_the_middle),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
