#include "lua_fixture.h"

static int setup(void **state) {
  fixture *f = HL_NEW(fixture);
  fx_open(f, (hl_state_options){.cpu_ms = 20000}, true);
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
  fx_raises(f, "task.timeout('soon', print)", "test.lua:1: task.timeout: “soon” is no duration");
  fx_raises(f, "task.timeout(nil, print)", "test.lua:1: task.timeout: a duration is");
  fx_gives(f, "return task.timeout(3, function(x) task.sleep(2) return x end, 'in time')", "in time");
  fx_gives(f, "local live, most = 0, 0\n"
              "local r = task.map({1,2,3,4,5,6}, function(x) live = live + 1 most = math.max(most, live)\n"
              "task.sleep(x) live = live - 1 return x * x end, {concurrency = 2})\n"
              "return table.concat(r, ' ') .. '/' .. most", "1 4 9 16 25 36/2");
}

static void structured_concurrency_in_detail(void **state) {
  fixture *f = *state;
  fx_gives(f, "local t0 = time.now()\n"
              "local ok, e = pcall(task.all, {function() task.sleep(1) error({kind = 'mine'}) end, function() task.sleep(100) print('never') end})\n"
              "return e.kind .. ' ' .. time.now() - t0", "mine 1000");
  assert_int_equal(f->out.n, 0);
  fx_gives(f, "local ok, e = pcall(task.race, {function() task.sleep(1) error('lost', 0) end, function() task.sleep(2) end}) return e", "lost");
  fx_gives(f, "return select('#', task.race{function() return nil, nil end})", "2");
  fx_gives(f, "return #task.all{}", "0");
  fx_raises(f, "task.race{}", "at least one function");
  fx_raises(f, "task.all{1}", "test.lua:1: task.all: item 1 is a number");
  fx_raises(f, "task.map({1}, print, {concurrency = 0})", "concurrency");
  fx_raises(f, "task.sleep('soon')", "soon");
  fx_raises(f, "task.sleep(-1)", "duration");
  fx_gives(f, "local h = task.spawn(function(a, b) task.sleep(1) return a + b end, 2, 3)\n"
              "assert(not h:done()) return h:wait() .. ' ' .. h:wait()", "5 5");
  fx_gives(f, "local h = task.spawn(function() task.sleep(50) end) task.sleep(1) h:cancel()\n"
              "local ok, e = pcall(h.wait, h) return e.kind", "cancelled");
  fx_gives(f, "local h = task.spawn(function() return 'x' end)\n"
              "local r = task.map({1, 2, 3}, function() return h:wait() end) return table.concat(r)", "xxx");
  fx_gives(f, "local h h = task.spawn(function() local ok, e = pcall(h.wait, h) return e end) return h:wait():match('itself')", "itself");
  /* A cancel reaches what waits below, and pcall does not hold it. */
  fx_gives(f, "local ok, e = pcall(task.timeout, 1, function()\n"
              "  task.all{function() while true do pcall(task.sleep, 100) print('caught') end end} end) return e.kind", "timeout");
  assert_int_equal(f->out.n, 0);
  fx_gives(f, "local h h = task.spawn(function() h:cancel() task.sleep(1) print('never') end)\n"
              "local ok, e = pcall(h.wait, h) return e.kind", "cancelled");
  assert_int_equal(f->out.n, 0);
}

static void an_error_nobody_waits_for_ends_the_parent(void **state) {
  fixture *f = *state;
  fx_raises(f, "task.spawn(function() task.sleep(1) error('child broke') end) pcall(task.sleep, 100) print('never')", "test.lua:1: child broke");
  assert_int_equal(f->out.n, 0);
  fx_raises(f, "task.spawn(function() task.sleep(1) error('late child') end)", "test.lua:1: late child");
  fx_gives(f, "local h = task.spawn(function() error('seen', 0) end) local ok, e = pcall(h.wait, h) return e", "seen");
}

static void main_waits_for_its_children(void **state) {
  fixture *f = *state;
  fx_gives(f, "task.spawn(function() task.sleep('3h') print('child') end) return 'main'", "main");
  assert_string_equal(f->out.p, "child\n");
}

static void a_deadline_ends_the_task(void **state) {
  fixture *f = *state;
  fx_start_with(f, "local c <close> = setmetatable({}, {__close = function(_, e) print('closed') end})\n"
                   "local function deep() pcall(task.sleep, '1h') end deep()", (hl_task_options){.timeout_ms = 5000});
  hl_loop_run(f->loop);
  assert_int_equal(f->code, HL_ETIMEOUT);
  assert_non_null(strstr(f->text, "timed out after 5 s"));
  assert_non_null(strstr(f->text, "test.lua:2: in"));
  assert_string_equal(f->out.p, "closed\n");
}

/* A binding that waits, as every bind_X.c does it. */
typedef struct operation { hl_task *task; unsigned cleaned, completed; } operation;
static operation op;
static void op_cleanup(void *arg) { ((operation *)arg)->cleaned++; }
static int op_start(lua_State *L) {
  op.task = hl_task_check_wait(L);
  hl_task_wait(op.task, op_cleanup, &op);
  return hl_task_yield(L);
}
static int op_push(lua_State *L, void *arg) {
  ((operation *)arg)->completed++;
  lua_pushliteral(L, "answer");
  lua_pushinteger(L, 42);
  return 2;
}
static int op_push_error(lua_State *L, void *arg) {
  (void)arg;
  hl_lua_push_error(L, "hubspot", "no such contact", 404, "OBJECT_NOT_FOUND", "c-1", false);
  return -1;
}

static void a_binding_waits_and_is_cancelled_once(void **state) {
  fixture *f = *state;
  static const bool never = false;
  lua_State *L = hl_state_lua(f->s);
  lua_register(L, "op", op_start);
  op = (operation){0};
  fx_start(f, "local a, b = op(1, 2, 3) return a .. b");
  (void)hl_loop_run_until(f->loop, &never);
  assert_non_null(op.task);
  hl_task_resume(op.task, op_push, &op);
  hl_loop_run(f->loop);
  assert_string_equal(f->result, "answer42");
  assert_int_equal(op.cleaned, 0);

  fx_start(f, "local co = coroutine.wrap(function() return op() end)\n"
              "local ok, e = pcall(co) return e.status .. e.category .. tostring(e) .. tostring(e.retryable)");
  (void)hl_loop_run_until(f->loop, &never);
  hl_task_resume(op.task, op_push_error, NULL);
  hl_loop_run(f->loop);
  assert_string_equal(f->result, "404OBJECT_NOT_FOUNDno such contactfalse");

  hl_task *t = fx_start(f, "local a <close> = setmetatable({}, {__close = function() print('outer') end})\n"
                           "local co = coroutine.wrap(function() local b <close> = setmetatable({}, {__close = function()\n"
                           "print('inner', pcall(task.sleep, 1)) end}) pcall(op) end) co()");
  (void)hl_loop_run_until(f->loop, &never);
  hl_task_cancel(t, HL_ECANCELLED, "shutdown");
  hl_task_cancel(t, HL_ECANCELLED, "shutdown again");
  assert_int_equal(op.cleaned, 1);
  assert_false(f->ended); /* on_end comes later */
  unsigned ends = f->ends;
  hl_loop_run(f->loop);
  assert_int_equal(f->ends, ends + 1);
  assert_int_equal(f->code, HL_ECANCELLED);
  assert_int_equal(op.cleaned, 1);
  assert_string_equal(f->out.p, "inner\tfalse\ttest.lua:3: cannot wait here: the task is being ended\nouter\n");

  fx_start(f, "op()");
  (void)hl_loop_run_until(f->loop, &never); /* freed by teardown while it waits */
}

static void waiting_in_a_wrong_place_is_explained(void **state) {
  fixture *f = *state;
  fx_raises(f, "table.sort({2, 1}, function() task.sleep(1) end)", "cannot wait inside 'sort'");
  fx_raises(f, "string.gsub('a', 'a', function() task.sleep(1) end)", "cannot wait inside 'gsub'");
  fx_raises(f, "table.sort({2, 1}, coroutine.wrap(function() task.sleep(1) end))", "cannot wait");
  fx_gives(f, "local t = {3, 1, 2} table.sort(t, function(a, b) return coroutine.wrap(function() coroutine.yield() end)() or a < b end) return table.concat(t)", "123");
  lua_State *L = hl_state_lua(f->s);
  hl_error err;
  assert_int_equal(luaL_loadstring(L, "task.sleep(1)"), LUA_OK);
  assert_int_equal(hl_state_call(L, 0, 0, &err), HL_ESCRIPT);
  assert_non_null(strstr(err.text, "does not run in a task"));
}

static void coroutines_behave_as_in_lua(void **state) {
  fixture *f = *state;
  fx_gives(f,
           "local co co = coroutine.create(function(a) assert(coroutine.status(co) == 'running')\n"
           "  assert(coroutine.isyieldable()) local b, c = coroutine.yield(a, 2) assert(b == 'b' and c == nil) return 'r', nil end)\n"
           "assert(coroutine.status(co) == 'suspended' and not coroutine.isyieldable())\n"
           "assert(select('#', coroutine.resume(co, 1)) == 3)\n"
           "assert(select('#', coroutine.resume(co, 'b', nil)) == 3 and coroutine.status(co) == 'dead')\n"
           "local ok, e = coroutine.resume(co) assert(not ok and e == 'cannot resume dead coroutine')\n"
           "local me, main = coroutine.running() assert(main)\n"
           "ok, e = coroutine.resume(me) assert(not ok and e == 'cannot resume non-suspended coroutine')\n"
           "local outer outer = coroutine.wrap(function() local s = coroutine.running()\n"
           "  return coroutine.wrap(function() return coroutine.status(s), pcall(coroutine.close, s) end)() end)\n"
           "local st, ok2 = outer() assert(st == 'normal' and ok2 == false)\n"
           "ok, e = pcall(coroutine.wrap(function() error('in wrap') end)) assert(e:find('in wrap'))\n"
           "local t = {} ok, e = pcall(coroutine.wrap(function() error(t) end)) assert(e == t)\n"
           "local closed co = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() closed = true end}) coroutine.yield() end)\n"
           "coroutine.resume(co) assert(coroutine.close(co) and closed and coroutine.status(co) == 'dead')\n"
           "assert(not pcall(coroutine.yield)) assert(not pcall(coroutine.resume, 5))\n"
           "local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)\n"
           "local sum = 0 for v in gen do sum = sum + v end assert(sum == 6)\n"
           "local function rec(n) if n == 0 then task.sleep(1) return 0 end return 1 + coroutine.wrap(rec)(n - 1) end\n"
           "return rec(500)", "500");
  fx_raises(f, "local function f() table.sort({1, 2}, coroutine.wrap(f)) end f()", "overflow");
  fx_gives(f, "local co = coroutine.create(function() task.sleep(10) return 'a' end)\n"
              "task.spawn(coroutine.resume, co) task.sleep(1)\n"
              "return select(2, coroutine.resume(co)) .. coroutine.status(co)", "cannot resume non-suspended coroutinenormal");
}

static void channels_and_semaphores(void **state) {
  fixture *f = *state;
  fx_gives(f, "local ch, out = task.channel(2), {}\n"
              "task.spawn(function() for i = 1, 6 do ch:send(i) out[#out+1] = 's' .. i end ch:close() end)\n"
              "for v in ch:each() do task.sleep(1) out[#out+1] = 'r' .. v end\n"
              "return table.concat(out, ' ')", "s1 s2 s3 r1 s4 r2 s5 r3 s6 r4 r5 r6");
  fx_gives(f, "local ch = task.channel() task.spawn(function() task.sleep(1) ch:send('x') end) return ch:receive()", "x");
  fx_raises(f, "local ch = task.channel() ch:close() ch:send(1)", "the channel is closed");
  fx_gives(f, "local ch = task.channel() task.spawn(function() task.sleep(1) ch:close() end) return tostring(ch:receive())", "nil");
  fx_gives(f, "local s, live, most = task.semaphore(2), 0, 0\n"
              "task.map({1,2,3,4,5}, function() s:with(function() live = live + 1 most = math.max(most, live) task.sleep(1) live = live - 1 end) end)\n"
              "return most .. live .. s.free", "202");
  /* One that is cancelled while it waits, or just after it was given its turn, loses nothing. */
  fx_gives(f, "local s = task.semaphore(1) s:acquire()\n"
              "local a = task.spawn(function() s:acquire() print('a') end)\n"
              "local b = task.spawn(function() s:acquire() print('b') end)\n"
              "local c = task.spawn(function() s:acquire() print('c') s:release() end)\n"
              "task.sleep(1) a:cancel() s:release() b:cancel() c:wait() return s.free", "1");
  assert_string_equal(f->out.p, "c\n");
  fx_raises(f, "task.semaphore(1):release()", "more often than acquired");
}

static void ten_thousand_tasks_sleep_and_are_cancelled(void **state) {
  fixture *f = *state;
  hl_task *t = fx_start(f, "for i = 1, 9999 do task.spawn(function() task.sleep(i) n = (n or 0) + 1 end) end task.sleep('5000s')");
  static const bool never = false;
  (void)t;
  (void)never;
  hl_loop_run(f->loop);
  assert_int_equal(f->code, 0);
  assert_int_equal(hl_state_live_tasks(f->s), 0);
  fx_gives(f, "return n >= 4999 and n <= 5000", "true");
  fx_raises(f, "for i = 1, 10001 do task.spawn(task.sleep, 1) end", "live tasks, which is its limit");
  assert_int_equal(hl_state_live_tasks(f->s), 0);
}

static void a_waiting_task_is_small(void **state) {
  (void)state;
  fixture f;
  fx_open(&f, (hl_state_options){.max_tasks = 30000, .memory_limit = 256u << 20}, true);
  size_t before = f.s->used;
  fx_start(&f, "for i = 1, 20000 do task.spawn(function() task.sleep(100) end) end task.sleep(1) print(collectgarbage('count')) task.sleep(200)");
  hl_loop_run(f.loop);
  double kib = strtod(f.out.p, NULL);
  size_t each = (size_t)(kib * 1024.0 - (double)before) / 20000;
  print_message("a waiting child task: %zu bytes in Lua, %zu outside\n", each, sizeof(hl_task));
  assert_true(each <= 2048);
  fx_close(&f);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(a_result_comes_back), T(an_error_has_message_and_traceback), T(coroutines_work_across_waiting),
      T(a_child_is_cancelled_with_its_parent), T(all_race_timeout_map), T(structured_concurrency_in_detail),
      T(an_error_nobody_waits_for_ends_the_parent), T(main_waits_for_its_children), T(a_deadline_ends_the_task),
      T(a_binding_waits_and_is_cancelled_once), T(waiting_in_a_wrong_place_is_explained),
      T(coroutines_behave_as_in_lua), T(channels_and_semaphores), T(ten_thousand_tasks_sleep_and_are_cancelled),
      cmocka_unit_test(a_waiting_task_is_small),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
