/* What scripts would do, told: against the simulator, which nothing of it may reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cmd/replay.h"

static const int64_t START = INT64_C(1788249600000);

typedef struct scene {
  hl_runtime *rt;
  hl_replayer *r;
  bool stop;
  hl_error err;
} scene;

static int open_scene(scene *s, const char *text, const char *before) {
  const char *texts[] = {text, before}, *names[] = {"a.lua", "b.lua"};
  *s = (scene){0};
  for (int i = 0; i < 2 && texts[i]; i++) {
    FILE *f = fopen(names[i], "w");
    assert_non_null(f);
    fputs(texts[i], f);
    fclose(f);
  }
  hl_runtime_options o = {.path = "a.lua", .simulator = true, .offline = true, .log_level = HL_LOG_OFF};
  if (hl_runtime_new(&o, &s->rt, &s->err)) fail_msg("%s", s->err.text);
  hl_replayer_options ro = {.rt = s->rt, .scripts = {"a.lua", before ? "b.lua" : NULL}, .start_ms = START, .reads = true, .stop = &s->stop};
  return hl_replayer_new(&ro, &s->r, &s->err);
}

static void close_scene(scene *s) {
  hl_replayer_free(s->r);
  hl_runtime_free(s->rt);
}

/* One request that brought these events, so long after the start. */
static void show(scene *s, int id, int64_t after_ms, const char *events) {
  cJSON *row = cJSON_CreateObject(), *list = NULL, *of = cJSON_AddArrayToObject(row, "events");
  int n = 0;
  assert_int_equal(hl_json_parse(hl_str_of(events), &list, &s->err), 0);
  while (list->child) {
    cJSON *one = cJSON_CreateObject();
    cJSON_AddNumberToObject(one, "at", n++);
    cJSON_AddItemToObject(one, "event", cJSON_DetachItemFromArray(list, 0));
    cJSON_AddItemToArray(of, one);
  }
  cJSON_AddNumberToObject(row, "id", id);
  cJSON_AddNumberToObject(row, "n", n);
  cJSON_AddItemToObject(row, "received", hl_json_int64(START + after_ms));
  cJSON_AddStringToObject(row, "source", "push");
  cJSON_AddStringToObject(row, "account", "elsewhere");
  if (hl_replayer_show(s->r, row, &s->err)) fail_msg("%s", s->err.text);
  cJSON_Delete(list);
  cJSON_Delete(row);
}

/* "1.0 ran: create contacts as held-1.0-1, emit chase; 1.1 failed: …; " */
static const char *told(scene *s, size_t i) {
  static char text[8192];
  size_t n = 0;
  cJSON *tales = hl_replayer_tales(s->r, i);
  text[0] = 0;
  for (const cJSON *t = tales->child; t; t = t->next) {
    n += (size_t)snprintf(text + n, sizeof text - n, "%s %s:", hl_json_str(t, "event", "-"), hl_json_str(t, "outcome", "?"));
    for (const cJSON *a = hl_json_get(t, "does")->child; a; a = a->next) {
      const char *held = hl_json_str(a, "held", NULL);
      char *with = hl_json_get(a, "with") ? hl_json_print(hl_json_get(a, "with")) : NULL;
      n += (size_t)snprintf(text + n, sizeof text - n, "%s %s%s%s%s%s%s%s", a->prev->next ? "," : "", hl_json_str(a, "what", ""), hl_json_get(a, "on") ? " " : "",
                            hl_json_str(a, "on", ""), held ? " as " : "", held ? held : "", with ? " " : "", with ? with : "");
      hl_free(with);
    }
    n += (size_t)snprintf(text + n, sizeof text - n, "; ");
  }
  cJSON_Delete(tales);
  return text;
}

static void end(scene *s) {
  if (hl_replayer_end(s->r, START + HL_DAY, &s->err)) fail_msg("%s", s->err.text);
}

#define ON(type, body) "local hubspot = require 'hubspot'\non('" type "', function(event)\n" body "\nend)\n"
#define GO(n) "{\"subscriptionType\":\"go\",\"payload\":{\"n\":" #n "}}"

static void what_is_written_and_what_it_answers(void **state) {
  (void)state;
  scene s;
  assert_int_equal(open_scene(&s, ON("go",
      "local c = hubspot.contacts.create { email = 'a@example.com', numberofemployees = 3 }\n"
      "hubspot.contacts.update(c.id, { city = c.properties.numberofemployees })\n"
      "hubspot.associations.create('contacts', c.id, 'companies', '7')\n"
      "hubspot.contacts.archive(c.id)\n"
      "local _, e = pcall(hubspot.contacts.get, c.id)\n"
      "log.info(e.status, time.iso(event.occurredAt), time.iso(time.now()))"), NULL), 0);
  show(&s, 5, 1000, "[" GO(1) "]");
  end(&s);
  assert_string_equal(told(&s, 0),
      "5.0 ran: create contacts as held-5.0-1 {\"email\":\"a@example.com\",\"numberofemployees\":\"3\"}, update contacts held-5.0-1 {\"city\":\"3\"}, "
      "associate contacts held-5.0-1 → companies 7, archive contacts held-5.0-1, get contacts held-5.0-1, "
      "log info \"404 2026-09-01T08:00:01.000Z 2026-09-01T08:00:01.000Z\"; ");
  assert_string_equal(told(&s, 0), "");
  close_scene(&s);
}

/* Local effects go with a run that fails, unless a step has sealed them; writes have left. */
static void a_failure_leaves_no_local_effects(void **state) {
  (void)state;
  scene s;
  assert_int_equal(open_scene(&s, ON("go",
      "kv.set('a', 1)\n"
      "if event.payload.n == 1 then step('s', function() hubspot.notes.create { hs_note_body = 'x' } end) end\n"
      "kv.set('b', 2) emit('later', {}) hubspot.contacts.archive('9')\n"
      "error('no')"), NULL), 0);
  show(&s, 1, 0, "[" GO(1) "," GO(2) "]");
  end(&s);
  const char *text = told(&s, 0);
  assert_non_null(strstr(text, "1.0 failed: kv set a 1, create notes as held-1.0-1 {\"hs_note_body\":\"x\"}, archive contacts 9; "));
  assert_non_null(strstr(text, "1.1 failed: archive contacts 9; "));
  close_scene(&s);
}

static void a_wait_goes_on_and_repeats_no_step(void **state) {
  (void)state;
  scene s;
  assert_int_equal(open_scene(&s, ON("go",
      "step('s', function() hubspot.contacts.archive('9') end)\n"
      "kv.incr('n')\n"
      "local e = wait('w', 'signed', { timeout = '2h' })\n"
      "log.info(e and e.id or 'nobody', kv.get('n'))"), NULL), 0);
  show(&s, 1, 0, "[" GO(1) "]");
  show(&s, 2, HL_HOUR, "[{\"subscriptionType\":\"signed\"}]");
  show(&s, 3, HL_HOUR, "[" GO(2) "]");
  end(&s);
  assert_string_equal(told(&s, 0),
      "1.0 waits: archive contacts 9, kv incr n 1, wait “w” signed until 2026-09-01T10:00:00.000Z {}; 1.0 ran: log info \"2.0 1\"; "
      "3.0 waits: archive contacts 9, kv incr n 1, wait “w” signed until 2026-09-01T11:00:00.000Z {}; 3.0 ran: log info \"nobody 2\"; ");
  close_scene(&s);
}

static void two_scripts_see_the_same(void **state) {
  (void)state;
  scene s;
  assert_int_equal(open_scene(&s, ON("go", "log.info(kv.get('x') or 'none') kv.set('x', 'a')"), ON("go", "log.info(kv.get('x') or 'none') kv.set('x', 'b')")), 0);
  show(&s, 1, 0, "[" GO(1) "]");
  show(&s, 2, 0, "[" GO(2) "]");
  end(&s);
  assert_string_equal(told(&s, 0), "1.0 ran: log info \"none\", kv set x \"a\"; 2.0 ran: log info \"a\", kv set x \"a\"; ");
  assert_string_equal(told(&s, 1), "1.0 ran: log info \"none\", kv set x \"b\"; 2.0 ran: log info \"b\", kv set x \"b\"; ");
  close_scene(&s);
}

static void it_can_be_left_at_any_time(void **state) {
  (void)state;
  scene s;
  assert_int_equal(open_scene(&s, ON("go", "kv.set('x', 1) if event.payload.n == 1 then task.sleep(60) else hubspot.contacts.get('1') end"), NULL), 0);
  show(&s, 1, 0, "[" GO(1) "," GO(2) "]");
  close_scene(&s); /* nothing has begun */
  assert_int_equal(open_scene(&s, ON("go", "kv.set('x', 1) task.sleep(60)"), NULL), 0);
  show(&s, 1, 0, "[" GO(1) "," GO(2) "]");
  show(&s, 2, 1000, "[" GO(3) "]");
  assert_string_equal(told(&s, 0), "");
  s.stop = true;
  end(&s);
  close_scene(&s);
}

static void what_does_not_load_is_told_with_its_line(void **state) {
  (void)state;
  static const struct { const char *text, *says; } rows[] = {
      {"\nlocal = 1", "a.lua:2:"}, {"\n\nerror('no')", "a.lua:3: no"}, {"on('contact.creaton', print)", "a.lua:1:"},
      {"local hubspot = require 'hubspot'\nhubspot.contacts.get('1')", "a.lua:2: in main chunk"}, {"", "there is nothing to show it"},
  };
  for (size_t i = 0; i < HL_COUNT(rows); i++) {
    scene s;
    assert_int_not_equal(open_scene(&s, rows[i].text, NULL), 0);
    if (!strstr(s.err.text, rows[i].says)) fail_msg("%s", s.err.text);
    close_scene(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_and_what_it_answers), cmocka_unit_test(a_failure_leaves_no_local_effects),
      cmocka_unit_test(a_wait_goes_on_and_repeats_no_step),  cmocka_unit_test(two_scripts_see_the_same),
      cmocka_unit_test(it_can_be_left_at_any_time),          cmocka_unit_test(what_does_not_load_is_told_with_its_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
