#include "lua_fixture.h"

static int setup(void **state) {
  fixture *f = HL_NEW(fixture);
  fx_open(f, (hl_state_options){.cpu_ms = 100}, true);
  *state = f;
  return 0;
}
static int teardown(void **state) {
  fx_close(*state);
  hl_free(*state);
  return 0;
}

static void a_result_comes_back(void **state) {
  fixture *f = *state;
  fx_gives(f, "return 1 + 1", "2");
  fx_gives(f, "task.sleep('2h') return 'late'", "late");
}

static void an_error_has_message_and_traceback(void **state) {
  fixture *f = *state;
  fx_raises(f, "local function inner() error('boom') end\ninner()", "test.lua:1: boom\nstack traceback:\n\ttest.lua:1: in");
  assert_int_equal(f->code, HL_ESCRIPT);
  assert_null(strstr(f->text, "[C]"));
  fx_raises(f, "error({})", "test.lua");
  fx_raises(f, "error(setmetatable({}, {__tostring = function() return 'mine' end}))", "mine");
  fx_raises(f, "error(setmetatable({}, {__tostring = function() while true do end end}))", "an error value of type table");
}

static void coroutines_work_across_waiting(void **state) {
  fixture *f = *state;
  fx_gives(f,
           "local log = {}\n"
           "local co = coroutine.wrap(function(a)\n"
           "  task.sleep(1) log[#log+1] = a\n"
           "  local b = coroutine.yield('y1') task.sleep(1) log[#log+1] = b\n"
           "  return 'done'\n"
           "end)\n"
           "local y = co('a') log[#log+1] = y local d = co('b') log[#log+1] = d\n"
           "return table.concat(log, ' ')",
           "a y1 b done");
  fx_gives(f,
           "local co = coroutine.create(function() task.sleep(1) error('x', 0) end)\n"
           "local ok, e = coroutine.resume(co)\n"
           "return tostring(ok) .. e .. coroutine.status(co)", "falsexdead");
}

static void a_child_is_cancelled_with_its_parent(void **state) {
  fixture *f = *state;
  fx_start(f, "task.spawn(function() local g <close> = setmetatable({}, {__close = function() print('closed') end})\n"
              "task.sleep(1000) print('never') end) task.sleep(1)");
  hl_loop_run(f->loop);
  assert_int_equal(f->code, 0);
  assert_string_equal(f->out.p, "closed\n");
}

static void all_race_timeout_map(void **state) {
  fixture *f = *state;
  fx_gives(f, "local r = task.all{function() task.sleep(2) return 'a' end, function() return 'b' end}\n"
              "return r[1] .. r[2]", "ab");
  fx_gives(f, "return task.race{function() task.sleep(2) return 'slow' end, function() task.sleep(1) return 'fast' end}", "fast");
  fx_gives(f, "local ok, e = pcall(task.timeout, 1, function() task.sleep(2) end) return e.kind", "timeout");
  fx_gives(f, "return task.timeout(3, function(x) task.sleep(2) return x end, 'in time')", "in time");
  fx_gives(f, "local live, most = 0, 0\n"
              "local r = task.map({1,2,3,4,5,6}, function(x) live = live + 1 most = math.max(most, live)\n"
              "task.sleep(x) live = live - 1 return x * x end, {concurrency = 2})\n"
              "return table.concat(r, ' ') .. '/' .. most", "1 4 9 16 25 36/2");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_result_comes_back, setup, teardown),
      cmocka_unit_test_setup_teardown(an_error_has_message_and_traceback, setup, teardown),
      cmocka_unit_test_setup_teardown(coroutines_work_across_waiting, setup, teardown),
      cmocka_unit_test_setup_teardown(a_child_is_cancelled_with_its_parent, setup, teardown),
      cmocka_unit_test_setup_teardown(all_race_timeout_map, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
