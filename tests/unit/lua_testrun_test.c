/* The test runner: what passes, fails, is skipped or cannot run, and what is said. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "lua/testrun.h"

typedef struct seen {
  hl_buf lines;   /* "outcome name:line\nmessage\n" of each */
  hl_test_counts counts;
} seen;

static void on_result(void *arg, const hl_test_result *r) {
  static const char *const outcomes[] = {"passed", "failed", "skipped"};
  hl_buf_printf(&((seen *)arg)->lines, "%s %s:%d\n%s\n", outcomes[r->outcome], r->name, r->line, r->message);
}

static int run(seen *s, const char *text, const hl_testrun_options *o, hl_error *err) {
  FILE *f = fopen("a_test.lua", "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
  *s = (seen){0};
  hl_buf_init(&s->lines, 1 << 20);
  hl_buf_puts(&s->lines, "");
  static const hl_testrun_options none;
  hl_test_reporter reporter = {on_result, s};
  return hl_testrun_file("a_test.lua", o ? o : &none, &reporter, &s->counts, err);
}

static void counts(const seen *s, unsigned passed, unsigned failed, unsigned skipped) {
  if (s->counts.passed != passed || s->counts.failed != failed || s->counts.skipped != skipped)
    fail_msg("%u passed, %u failed, %u skipped:\n%s", s->counts.passed, s->counts.failed, s->counts.skipped,
             s->lines.p);
}

static void has(const seen *s, const char *part) {
  if (!strstr(s->lines.p, part)) fail_msg("expected to find: %s\nin: %s", part, s->lines.p);
}

static void passes_fails_and_skips(void **state) {
  (void)state;
  seen s;
  hl_error err;
  assert_int_equal(run(&s,
                       "describe('outer', function()\n"
                       "  it('passes', function() expect(1).to.equal(1) end)\n"
                       "  it('fails', function()\n"
                       "    log.info('on the way')\n"
                       "    expect({ a = 1 }).to.equal { a = 2 }\n"
                       "  end)\n"
                       "  it('is to be written')\n"
                       "end)\n", NULL, &err), 0);
  counts(&s, 1, 1, 1);
  has(&s, "passed outer, passes:2\n");
  has(&s, "failed outer, fails:3\na_test.lua:5: expected { a = 2 }");
  has(&s, "at .a: expected 2, got 1");
  has(&s, "on the way");
  has(&s, "skipped outer, is to be written:7\n");
  hl_buf_deinit(&s.lines);
}

static void a_failure_stays_in_its_test(void **state) {
  (void)state;
  seen s;
  hl_error err;
  assert_int_equal(run(&s,
                       "local n = 0\n"
                       "it('raises a table', function() n = n + 1 error { kind = 'odd' } end)\n"
                       "it('loops', function() n = n + 1 while true do end end)\n"
                       "it('allocates', function() local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(65536) .. i end end)\n"
                       "it('waits for ever', function() task.channel(1):receive() end)\n"
                       "it('has a child that fails', function() task.all { function() error('in the child') end } end)\n"
                       "it('is as new', function() expect(n).to.equal(0) end)\n", NULL, &err), 0);
  counts(&s, 1, 5, 0);
  has(&s, "kind = \"odd\"");
  has(&s, "without yielding");
  has(&s, "never comes");
  has(&s, "in the child");
  hl_buf_deinit(&s.lines);
}

static void hooks_run_around(void **state) {
  (void)state;
  seen s;
  hl_error err;
  assert_int_equal(run(&s,
                       "local order = {}\n"
                       "before_each(function() order[#order + 1] = 'a' end)\n"
                       "after_each(function() expect(table.concat(order)).to.equal('abx') end)\n"
                       "describe('in', function()\n"
                       "  before_each(function() order[#order + 1] = 'b' end)\n"
                       "  it('good', function() order[#order + 1] = 'x' end)\n"
                       "  it('bad', function() order[#order + 1] = 'y' end)\n"
                       "end)\n", NULL, &err), 0);
  counts(&s, 1, 1, 0);
  has(&s, "after_each: a_test.lua:3:");
  hl_buf_deinit(&s.lines);
}

static void filter_picks_by_name(void **state) {
  (void)state;
  seen s;
  hl_error err;
  hl_testrun_options o = {.filter = "two"};
  assert_int_equal(run(&s, "it('one', function() error 'no' end) it('two', function() end)", &o, &err), 0);
  counts(&s, 1, 0, 0);
  hl_buf_deinit(&s.lines);
}

static void what_cannot_run_says_why(void **state) {
  (void)state;
  seen s;
  hl_error err;
  assert_int_equal(run(&s, "it('x', function( end)", NULL, &err), HL_ESCRIPT);
  assert_non_null(strstr(err.text, "a_test.lua:1:"));
  hl_buf_deinit(&s.lines);
  assert_int_equal(run(&s, "\nerror('at the top')", NULL, &err), HL_ESCRIPT);
  assert_non_null(strstr(err.text, "a_test.lua:2: at the top"));
  hl_buf_deinit(&s.lines);
  hl_testrun_options o = {0};
  hl_test_counts n = {0};
  assert_int_equal(hl_testrun_file("b_test.lua", &o, NULL, &n, &err), HL_ENOTFOUND);
  assert_non_null(strstr(err.text, "a_test.lua"));
}

static void same_seed_same_world(void **state) {
  (void)state;
  static const char text[] =
      "it('x', function()\n"
      "  local list = {}\n"
      "  for i = 1, 20 do list[i] = math.random(1000) end\n"
      "  error(table.concat(list, ' ') .. ' ' .. time.now() .. ' ' .. crypto.uuid(), 0)\n"
      "end)\n";
  seen a, b, c;
  hl_error err;
  hl_testrun_options o = {.seed = 5}, other = {.seed = 6};
  assert_int_equal(run(&a, text, &o, &err), 0);
  assert_int_equal(run(&b, text, &o, &err), 0);
  assert_int_equal(run(&c, text, &other, &err), 0);
  assert_string_equal(a.lines.p, b.lines.p);
  assert_string_not_equal(a.lines.p, c.lines.p);
  hl_buf_deinit(&a.lines);
  hl_buf_deinit(&b.lines);
  hl_buf_deinit(&c.lines);
}

static void the_whole_way(void **state) {
  (void)state;
  seen s;
  hl_error err;
  FILE *f = fopen("greet.lua", "w");
  fputs("local hubspot = require 'hubspot'\n"
        "on('contact.creation', function(event)\n"
        "  local lead = hubspot.contacts.get(event.objectId, { 'email' })\n"
        "  hubspot.contacts.update(lead.id, { company = 'of ' .. lead.email })\n"
        "  kv.incr('greeted')\n"
        "end)\n", f);
  fclose(f);
  assert_int_equal(run(&s,
                       "it('a contact is created, and the script writes to it', function()\n"
                       "  sim.load 'greet.lua'\n"
                       "  local ids = {}\n"
                       "  for i = 1, 120 do ids[i] = sim.create('contacts', { email = ('p%d@example.com'):format(i) }) end\n"
                       "  sim.settle()\n"
                       "  for i, id in ipairs(ids) do expect(sim.contact(id).company).to.equal(('of p%d@example.com'):format(i)) end\n"
                       "  expect(sim.kv('greet.lua').get('greeted')).to.equal(120)\n"
                       "  local calls = sim.calls()\n"
                       "  for _, call in ipairs(calls) do expect(call.status).to_not.equal(429) end\n"
                       "end)\n"
                       "it('a script that is not there', function() sim.load 'greed.lua' end)\n", NULL, &err), 0);
  counts(&s, 1, 1, 0);
  has(&s, "did you mean");
  has(&s, "greet.lua");
  hl_buf_deinit(&s.lines);
}

static void other_hosts_answer_what_the_test_says(void **state) {
  (void)state;
  static const char *const hosts[] = {"api.example.com", "down.example.com", NULL};
  hl_permissions p = {.hosts = hosts};
  hl_testrun_options o = {.permissions = &p};
  seen s;
  hl_error err;
  assert_int_equal(run(&s,
                       "it('x', function()\n"
                       "  local asked\n"
                       "  sim.http('api.example.com', function(request)\n"
                       "    asked = request\n"
                       "    task.sleep(2)\n"
                       "    return { status = 201, headers = { ['X-A'] = 'b' }, json = { got = request.json().n } }\n"
                       "  end)\n"
                       "  local r = http.post('https://api.example.com/v1', { json = { n = 7 } })\n"
                       "  expect(asked.method).to.equal('POST')\n"
                       "  expect(asked.url).to.equal('https://api.example.com/v1')\n"
                       "  expect(asked.headers['content-type']).to.equal('application/json')\n"
                       "  expect(r.status).to.equal(201)\n"
                       "  expect(r.headers['x-a']).to.equal('b')\n"
                       "  expect(r.json()).to.equal { got = 7 }\n"
                       "  expect(function() http.get('https://down.example.com/') end).to.raise('no network')\n"
                       "  expect(function() http.get('https://other.example.com/') end).to.raise('may not reach')\n"
                       "  sim.http('api.example.com', function() error('broken') end)\n"
                       "  expect(function() http.get('https://api.example.com/') end).to.raise { kind = 'network' }\n"
                       "  sim.http('api.example.com', function() task.sleep(100) return 'late' end)\n"
                       "  expect(function() http.get('https://api.example.com/', { timeout = '5s' }) end).to.raise { kind = 'timeout' }\n"
                       "  sim.http('api.example.com', function() return print end)\n"
                       "  expect(function() http.get('https://api.example.com/') end).to.raise { kind = 'protocol' }\n"
                       "end)\n"
                       "it('ends while a handler and a child still wait', function()\n"
                       "  sim.http('api.example.com', function() task.sleep(20) return 'late' end)\n"
                       "  on('a', function() http.get('https://api.example.com/') end)\n"
                       "  emit 'a'\n"
                       "  task.spawn(function() http.get('https://api.example.com/') end)\n"
                       "  sim.advance('1s')\n"
                       "end)\n", &o, &err), 0);
  counts(&s, 2, 0, 0);
  hl_buf_deinit(&s.lines);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(passes_fails_and_skips),
      cmocka_unit_test(a_failure_stays_in_its_test),
      cmocka_unit_test(hooks_run_around),
      cmocka_unit_test(filter_picks_by_name),
      cmocka_unit_test(what_cannot_run_says_why),
      cmocka_unit_test(same_seed_same_world),
      cmocka_unit_test(the_whole_way),
      cmocka_unit_test(other_hosts_answer_what_the_test_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
