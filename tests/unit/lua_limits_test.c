/* The watchdog and the memory limit. No test asserts a time: the watchdog counts
 * the thread's own CPU time, and each test only needs the task to end. */
#include "lua_fixture.h"

static int setup(void **state) {
  fixture *f = HL_NEW(fixture);
  /* Under valgrind, collecting what a bomb left behind takes longer than the budget of a task. */
  fx_open(f, (hl_state_options){.cpu_ms = getenv("HL_SLOW") ? 2000 : 50, .memory_limit = 8 << 20}, true);
  *state = f;
  return 0;
}
static int teardown(void **state) {
  fx_close(*state);
  hl_free(*state);
  return 0;
}

static void runs_on_and_is_ended(fixture *f, const char *code) {
  fx_raises(f, code, "ms without yielding at test.lua:");
  assert_int_equal(f->code, HL_ELIMIT);
  /* Only that task: the state goes on, at full speed and with no hook left. */
  assert_int_equal(lua_gethookmask(hl_state_lua(f->s)), 0);
  fx_gives(f, "local n = 0 for i = 1, 1000 do n = n + 1 end return n", "1000");
}

static void endless_code_is_ended(void **state) {
  fixture *f = *state;
  runs_on_and_is_ended(f, "while true do end");
  runs_on_and_is_ended(f, "local function f() return f() end f()");
  runs_on_and_is_ended(f, "task.sleep(1) repeat until false");
  fx_raises(f, "local function f() while true do end end f()", "stack traceback:\n\ttest.lua:1: in");
}

static void no_pcall_holds_on(void **state) {
  fixture *f = *state;
  runs_on_and_is_ended(f, "while true do pcall(function() while true do end end) end");
  runs_on_and_is_ended(f, "local function again() pcall(again) while true do end end while true do pcall(again) end");
  runs_on_and_is_ended(f, "xpcall(function() while true do end end, function() while true do end end) while true do end");
  runs_on_and_is_ended(f, "while true do xpcall(error, function() while true do end end) end");
  runs_on_and_is_ended(f, "pcall(function() while true do end end) task.sleep(1) local x = 1 while true do x = x + 1 end");
}

static void no_coroutine_hides(void **state) {
  fixture *f = *state;
  runs_on_and_is_ended(f, "while true do pcall(coroutine.wrap(function() while true do end end)) end");
  runs_on_and_is_ended(f, "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end");
  runs_on_and_is_ended(f, "while true do coroutine.resume(coroutine.create(function() pcall(function() while true do end end) while true do end end)) end");
  runs_on_and_is_ended(f, "table.sort({1,2,3}, function() coroutine.wrap(function() while true do end end)() end) while true do end");
}

static void no_odd_place_hides(void **state) {
  fixture *f = *state;
  runs_on_and_is_ended(f, "local t = setmetatable({}, {__index = function() while true do end end}) return t.x");
  runs_on_and_is_ended(f, "do local c <close> = setmetatable({}, {__close = function() while true do end end}) end");
  runs_on_and_is_ended(f, "local c <close> = setmetatable({}, {__close = function() while true do end end}) while true do end");
  runs_on_and_is_ended(f, "local c <close> = setmetatable({}, {__close = function() while true do end end}) table.sort({1,2,3}, function() while true do end end)");
  hl_buf_clear(&f->out);
  runs_on_and_is_ended(f, "local c <close> = setmetatable({}, {__close = function() print('closed') end}) pcall(function() while true do end end)");
  assert_string_equal(f->out.p, "closed\n");
  fx_run(f, "local c <close> = setmetatable({}, {__close = function() while true do end end}) error('x', 0)");
  assert_int_equal(f->code, HL_ESCRIPT);
  runs_on_and_is_ended(f, "for _ in function() while true do end end do end");
  runs_on_and_is_ended(f, "string.gsub('aaa', 'a', function() while true do end end) while true do end");
  runs_on_and_is_ended(f, "load(function() while true do end end) while true do end");
  runs_on_and_is_ended(f, "print(setmetatable({}, {__tostring = function() while true do end end}))");
}

static void closing_a_cancelled_task_is_guarded(void **state) {
  fixture *f = *state;
  hl_task *t = fx_start(f, "local c <close> = setmetatable({}, {__close = function() while true do end end}) task.sleep(100)");
  fixture g = {0};
  lua_State *L = hl_state_lua(f->s);
  hl_error err;
  assert_int_equal(luaL_loadstring(L, "task.sleep(1)"), LUA_OK);
  assert_int_equal(hl_task_start(L, 0, NULL, fx_end, &g, NULL, &err), 0);
  assert_int_equal(hl_loop_run_until(f->loop, &g.ended), 0);
  hl_task_cancel(t, HL_ECANCELLED, "no more");
  hl_loop_run(f->loop);
  assert_true(f->ended);
  assert_int_equal(f->code, HL_ECANCELLED);
}

static void hooks_do_not_travel_to_other_tasks(void **state) {
  fixture *f = *state;
  fx_start(f, "while true do pcall(task.spawn, function() end) end");
  hl_loop_run(f->loop);
  assert_int_equal(f->code, HL_ELIMIT);
  fx_gives(f, "return task.all{function() return 1 end, function() return 2 end}[2]", "2");
}

static void an_allocation_bomb_fails_alone(void **state) {
  fixture *f = *state;
  static const char *const bombs[] = {
      "local t = {} while true do t[#t+1] = ('x'):rep(1000) .. #t end",
      "local s = 'x' while true do s = s .. s end",
      "return ('x'):rep(1 << 40)",
      "return table.concat({('x'):rep(1 << 22), ('y'):rep(1 << 22)})",
      "local t = {} for i = 1, 1 << 40 do t[i] = i end",
      "local t = {} while true do t = {t, coroutine.create(function() end)} end",
      "local t = json.decode('[' .. ('{},'):rep(200000) .. '1]') return t",
      "local function f(...) return f(1, ...) end f()",
  };
  for (size_t i = 0; i < HL_COUNT(bombs); i++) {
    fx_run(f, bombs[i]);
    assert_int_not_equal(f->code, 0);
    if (!strstr(f->text, "limit of 8 MiB") && !strstr(f->text, "too large") && !strstr(f->text, "overflow") && !strstr(f->text, "without yielding"))
      fail_msg("%zu: %s", i, f->text);
    fx_gives(f, "local t = {} for i = 1, 1000 do t[i] = {i} end return #t", "1000");
  }
  fx_gives(f, "local ok, e = pcall(function() local s = ('x'):rep(1 << 20) while true do s = s .. s end end)\n"
              "return e.kind .. ' ' .. tostring(e.message:match('limit of 8 MiB'))", "limit limit of 8 MiB");
}

/* Fails the n-th limited allocation (and its retry) of a script that uses most of
 * the room, for every n until none is left to fail: the task fails or not, the
 * state stays usable, and nothing leaks (AddressSanitizer, and the byte count). */
static void any_allocation_may_fail(void **state) {
  fixture *f = *state;
  static const char script[] =
      "local function work(x)\n"
      "  local co = coroutine.wrap(function(a) local b = coroutine.yield(a .. 'y') task.sleep(0.01) return {b} end)\n"
      "  local s = co(x) local r = co(s)\n"
      "  return json.decode(json.encode{list = json.array{r[1], 2}, text = s, n = 1.5})\n"
      "end\n"
      "local out = task.map({'a', 'b', 'c'}, work, {concurrency = 2})\n"
      "local h = task.spawn(function(...) local c <close> = setmetatable({}, {__close = function() print('c' .. 1) end}) task.sleep(1) return ... end, 1, 2)\n"
      "local ok, e = pcall(task.timeout, 0.5, function() task.sleep(5) end)\n"
      "local ch, sem = task.channel(1), task.semaphore(1)\n"
      "task.all{function() for i = 1, 3 do ch:send(i) end ch:close() end, function() for v in ch:each() do sem:with(function() task.sleep(0.1) end) end end}\n"
      "local t = {} for k, v in pairs{z = 1, y = 2, 3} do t[#t + 1] = tostring(k) end\n"
      "log.debug('x', t, crypto.sha256('x', 'base64'), time.iso())\n"
      "require 'text'\n"
      "return table.concat(t, ' ') .. h:wait()";
  unsigned failed = 0, n = 1;
  for (bool left = true; left; n++) {
    fx_start_with(f, script, (hl_task_options){.wait_children = true});
    f->s->fail_at = n;
    hl_loop_run(f->loop);
    assert_true(f->ended);
    left = f->s->fail_at == 0;
    f->s->fail_at = f->s->fail_left = 0;
    if (f->code != 0) failed++;
    assert_int_equal(hl_state_live_tasks(f->s), 0);
    assert_null(f->s->current);
    assert_int_equal(f->s->limited, 0);
    hl_buf_clear(&f->out);
    lua_gc(f->s->L, LUA_GCCOLLECT);
    assert_true(f->s->used < (1 << 20));
  }
  assert_true(failed > 50);
  if (f->code != 0) fail_msg("%s", f->text);
  assert_string_equal(f->result, "1 y z1");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(endless_code_is_ended), T(no_pcall_holds_on), T(no_coroutine_hides), T(no_odd_place_hides),
      T(closing_a_cancelled_task_is_guarded), T(hooks_do_not_travel_to_other_tasks),
      T(an_allocation_bomb_fails_alone), T(any_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
