#include <sys/stat.h>
#include <unistd.h>

#include "lua_fixture.h"

static void write_file(const char *path, const char *text) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

static int setup(void **state) {
  fixture *f = HL_NEW(fixture);
  (void)mkdir("project", 0700);
  (void)mkdir("project/lib", 0700);
  (void)mkdir("project/sub", 0700);
  write_file("outside.lua", "return 'outside'");
  write_file("project/one.lua", "local name = ... return {name = name}");
  write_file("project/lib/two.lua", "return 'two from lib'");
  write_file("project/sub/three.lua", "return 'three'");
  write_file("project/a.lua", "return require 'b'");
  write_file("project/b.lua", "return require 'a'");
  write_file("project/waits.lua", "task.sleep(1)");
  write_file("project/broken.lua", "local x =\nreturn");
  (void)unlink("project/leak.lua");
  assert_int_equal(symlink("../outside.lua", "project/leak.lua"), 0);
  fx_open(f, (hl_state_options){.root = "project"}, true);
  *state = f;
  return 0;
}
static int teardown(void **state) {
  fx_close(*state);
  hl_free(*state);
  return 0;
}

static void nothing_dangerous_is_there(void **state) {
  fixture *f = *state;
  fx_gives(f, "local t = {} for _, n in ipairs{'os','io','debug','package','dofile','loadfile'} do\n"
              "t[#t+1] = tostring(_G[n]) end return table.concat(t, ' ')", "nil nil nil nil nil nil");
  fx_gives(f, "return tostring(string.dump)", "nil");
  fx_raises(f, "setmetatable({}, {__gc = function() end})", "__gc is not available");
  fx_raises(f, "collectgarbage('stop')", "only \"count\"");
  fx_gives(f, "return math.type(collectgarbage('count'))", "float");
}

static void load_takes_text_only(void **state) {
  fixture *f = *state;
  fx_gives(f, "local fn, e = load('\\27Lua') return e", "attempt to load a binary chunk (mode is 't')");
  fx_gives(f, "local fn, e = load('\\27Lua', 'x', 'b') return e", "attempt to load a binary chunk: scripts load text only");
  fx_gives(f, "return load('return ...', 'x', 'bt')(5)", "5");
  fx_gives(f, "x = 1 return load('return x', 'x', 't', {x = 7})()", "7");
  fx_gives(f, "x = 1 return load('return x')()", "1");
  fx_gives(f, "return tostring(load('return x', 'c', 't', nil) ~= nil)", "true");
}

static void inner_modules_are_not_for_scripts(void **state) {
  fixture *f = *state;
  fx_raises(f, "require 'sim.server'", "inner part of hubloop");
  fx_raises(f, "require 'hubspot/calls'", "inner part of hubloop");
  fx_gives(f, "require 'text' return tostring(select(2, pcall(require, 'text.countries')))",
           "require \"text.countries\": that is an inner part of hubloop; scripts require \"hubspot\", \"routing\" and \"text\"");
  fx_raises(f, "coroutine.wrap(require)('sim.server')", "inner part of hubloop");
}

static void require_stays_inside(void **state) {
  fixture *f = *state;
  fx_gives(f, "return require('one').name", "one");
  fx_gives(f, "return tostring(require 'one' == require 'one')", "true");
  fx_gives(f, "return require 'two'", "two from lib");
  fx_gives(f, "return require 'sub.three'", "three");
  fx_raises(f, "require '../outside'", "stays inside the project");
  fx_raises(f, "require '..outside'", "stays inside the project");
  fx_raises(f, "require '/etc/passwd'", "stays inside the project");
  fx_raises(f, "require 'leak'", "leads out of the project");
  fx_raises(f, "require 'a'", "in a circle");
  fx_raises(f, "require 'missing'", "no such module");
  fx_raises(f, "require 'broken'", "broken.lua:2:");
  fx_raises(f, "require 'waits'", "cannot wait inside 'require'");
  fx_raises(f, "require 'a'", "in a circle"); /* the marks of the failed loads are gone */
}

static void strings_of_another_state_are_untouched(void **state) {
  fixture *f = *state;
  fixture g;
  fx_open(&g, (hl_state_options){.name = "other.lua"}, true);
  fx_gives(f, "getmetatable('').__index = {len = function() return 'mine' end} return ('abc'):len()", "mine");
  fx_gives(&g, "return ('abc'):len()", "3");
  fx_close(&g);
}

static void pairs_is_ordered_in_virtual_time(void **state) {
  fixture *f = *state;
  fx_gives(f,
           "local t, out = {}, {}\n"
           "t.b = 1 t.a = 1 t[10] = 1 t[2] = 1 t[-1] = 1 t[1.5] = 1 t[true] = 1 t.c = nil t.ab = 1\n"
           "for k in pairs(t) do out[#out+1] = tostring(k) end return table.concat(out, ' ')",
           "-1 2 10 1.5 a ab b true");
  fx_gives(f, "local t, n = {1,2,3,4}, 0 for k in pairs(t) do t[k] = nil t[k+1] = nil n = n + 1 end return n", "2");
  fx_gives(f, "local t = setmetatable({}, {__pairs = function(t) return next, {z = 1}, nil end})\n"
              "local out for k in pairs(t) do out = k end return out", "z");
  fx_raises(f, "for k in pairs(nil) do end", "bad argument");
}

static void random_numbers_are_seeded(void **state) {
  fixture *f = *state;
  fixture g;
  char first[sizeof f->result];
  fx_run(f, "return math.random(1, 1000000) .. ' ' .. crypto.uuid()");
  snprintf(first, sizeof first, "%s", f->result);
  fx_open(&g, (hl_state_options){0}, true);
  fx_gives(&g, "return math.random(1, 1000000) .. ' ' .. crypto.uuid()", first);
  fx_gives(&g, "math.randomseed(5) local a = math.random(0) math.randomseed(5) return tostring(a == math.random(0))", "true");
  fx_gives(&g, "local lo, hi = 9, 0 for _ = 1, 500 do local r = math.random(3) lo = math.min(lo, r) hi = math.max(hi, r) end\n"
               "return lo .. hi", "13");
  fx_raises(&g, "math.random(2, 1)", "interval is empty");
  fx_close(&g);
}

static void print_joins_with_tabs(void **state) {
  fixture *f = *state;
  fx_run(f, "print(1, nil, 'x', json.null)");
  assert_string_equal(f->out.p, "1\tnil\tx\tnull\n");
}

static void crypto_and_time(void **state) {
  fixture *f = *state;
  fx_gives(f, "return crypto.sha256('abc')", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  fx_gives(f, "return crypto.hmac_sha256('key', 'The quick brown fox jumps over the lazy dog')",
           "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
  fx_gives(f, "for n = 0, 40 do local s = crypto.random(n)\n"
              "assert(crypto.base64_decode(crypto.base64_encode(s)) == s) assert(crypto.hex_decode(crypto.hex_encode(s)) == s) end\n"
              "return crypto.base64_encode('hello')", "aGVsbG8=");
  fx_raises(f, "crypto.base64_decode('a!')", "unexpected character at 2");
  fx_raises(f, "crypto.base64_decode('aGVsbG8==')", "cut off");
  fx_gives(f, "return tostring(crypto.same('a', 'a')) .. tostring(crypto.same('a', 'b'))", "truefalse");
  fx_gives(f, "local t = time.now() task.sleep('90s') return time.now() - t", "90000");
  fx_gives(f, "return time.iso(time.parse('2026-09-01T12:00:00+02:00'))", "2026-09-01T10:00:00.000Z");
  fx_gives(f, "local c = time.civil(time.parse('2026-07-01T12:00:00Z'), 'Europe/Berlin')\n"
              "return c.hour .. ' ' .. time.iso(time.instant(c, 'Europe/Berlin'))", "14 2026-07-01T12:00:00.000Z");
  fx_raises(f, "time.civil(0, 'Mars/Olympus')", "Mars/Olympus");
  fx_raises(f, "time.iso(1e300)", "epoch milliseconds");
  fx_gives(f, "return time.duration('4h')", "14400000");
}

/* A finalizer runs where nothing can end it. */
static void no_way_to_a_finalizer(void **state) {
  fixture *f = *state;
  fx_gives(f, "return tostring(getmetatable(json.array{}))", "false");
  fx_gives(f, "local ok, e = pcall(task.sleep, -1) e = type(e) == 'table' and e or\n"
              "select(2, pcall(load 'return task.timeout(\"1s\", function() task.sleep(9) end)'))\n"
              "return type(e) .. ' ' .. tostring(getmetatable(e))", "table false");
  fx_raises(f, "setmetatable(json.array{}, {})", "protected metatable");
}

/* Each of these would go on for centuries in one call of C. */
static void endless_calls_are_refused(void **state) {
  fixture *f = *state;
  fx_gives(f, "return #string.rep('', 1 << 60) + #('ab'):rep(3, '')", "6");
  fx_raises(f, "return ('x'):rep(1 << 60)", "test.lua:1: resulting string too large");
  fx_raises(f, "table.move({}, 1, 1 << 62, 2)", "test.lua:1: bad argument #3 to 'move'");
  fx_raises(f, "table.move({}, math.mininteger, math.maxinteger, 2)", "too many elements");
  fx_raises(f, "table.insert(setmetatable({}, {__len = function() return 1 << 53 end}), 1, 1)", "more than a table can hold");
  fx_raises(f, "table.remove(setmetatable({}, {__len = function() return 1 << 53 end}), 1)", "more than a table can hold");
}

/* Lists behave as in Lua's manual, through metamethods too. */
static void list_functions_keep_their_meaning(void **state) {
  fixture *f = *state;
  fx_gives(f, "local t = {1, 2, 3} table.insert(t, 9) table.insert(t, 1, 0) table.insert(t, 6, 8)\n"
              "return table.concat(t, ' ')", "0 1 2 3 9 8");
  fx_gives(f, "local t = {1, 2, 3} local a, b, c = table.remove(t, 1), table.remove(t), table.remove(t, 2)\n"
              "return a .. b .. tostring(c) .. #t .. tostring(table.remove{}) .. tostring(table.remove({}, 0))", "13nil1nilnil");
  fx_gives(f, "local t = {[0] = 'z'} return tostring(table.remove(t)) .. tostring(t[0])", "znil");
  fx_gives(f, "return table.concat(table.move({1, 2, 3}, 2, 3, 1), ' ') .. table.concat(table.move({1, 2}, 1, 2, 3, {7, 8}))",
           "2 3 37812");
  fx_gives(f, "local seen = {} local p = setmetatable({}, {__len = function() return 2 end, __index = function(_, i) return i * 10 end,\n"
              "__newindex = function(_, i, v) seen[#seen + 1] = i .. '=' .. v end})\n"
              "table.insert(p, 1, 5) return table.concat(seen, ' ')", "3=20 2=10 1=5");
  fx_raises(f, "table.insert({}, 5, 1)", "test.lua:1: bad argument #2 to 'insert' (position out of bounds)");
  fx_raises(f, "table.remove({1}, 7)", "test.lua:1: bad argument #2 to 'remove' (position out of bounds)");
  fx_raises(f, "table.insert({}, 1, 2, 3)", "wrong number of arguments to 'insert'");
  fx_raises(f, "table.insert(nil, 1)", "test.lua:1: bad argument #1 to 'insert' (table expected, got nil)");
  fx_raises(f, "table.move(nil, 1, 2, 3)", "bad argument #1 to 'move' (table expected, got nil)");
}

static char seen[1024];
static void sink(void *arg, const char *line, size_t n) {
  (void)arg;
  snprintf(seen, sizeof seen, "%.*s", (int)n, line);
}

static void log_joins_values_and_redacts(void **state) {
  fixture *f = *state;
  hl_log_set_sink(f->log, sink, NULL);
  hl_log_add_secret(f->log, HL_STR("s3cret-value"));
  fx_run(f, "log.warn('lead', 7, {b = 1, a = {true}}, nil, 's3cret-value')");
  assert_non_null(strstr(seen, "test.lua: lead 7 {\"a\":[true],\"b\":1} nil [secret]"));
  fx_run(f, "log.warn(setmetatable({}, {__tostring = function() log.warn('inner') return 'outer' end}), 'x')");
  assert_non_null(strstr(seen, "outer x"));
  hl_log_set_sink(f->log, NULL, NULL);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(nothing_dangerous_is_there), T(load_takes_text_only), T(inner_modules_are_not_for_scripts), T(require_stays_inside),
      T(strings_of_another_state_are_untouched), T(pairs_is_ordered_in_virtual_time),
      T(random_numbers_are_seeded), T(print_joins_with_tabs), T(crypto_and_time), T(log_joins_values_and_redacts),
      T(no_way_to_a_finalizer), T(endless_calls_are_refused), T(list_functions_keep_their_meaning),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
