#include "lua_fixture.h"

static int setup(void **state) {
  fixture *f = HL_NEW(fixture);
  fx_open(f, (hl_state_options){.cpu_ms = 60000}, true);
  *state = f;
  return 0;
}
static int teardown(void **state) {
  fx_close(*state);
  hl_free(*state);
  return 0;
}

static void values_encode(void **state) {
  fixture *f = *state;
  fx_gives(f, "return json.encode{b = 1, a = {1, 2.5, 'x'}, c = json.null, d = {}, e = json.array{}, f = true}",
           "{\"a\":[1,2.5,\"x\"],\"b\":1,\"c\":null,\"d\":{},\"e\":[],\"f\":true}");
  fx_gives(f, "return json.encode(9007199254740993)", "9007199254740993");
  fx_gives(f, "return json.encode(math.mininteger)", "-9223372036854775808");
  fx_gives(f, "return json.encode(10/2) .. json.encode(0.1) .. json.encode(-0.0) .. json.encode(1e300)", "50.101e+300");
  fx_gives(f, "return json.encode('a\"\\\\\\n\\1\\u{e9}')", "\"a\\\"\\\\\\n\\u0001\u00e9\"");
  fx_gives(f, "return json.pretty{a = {1, {}}, b = {}}", "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {}\n}");
}

static void what_cannot_be_encoded_is_named(void **state) {
  fixture *f = *state;
  fx_raises(f, "json.encode{items = {{}, {name = print}}}", "cannot encode items[2].name as JSON: it is a function");
  fx_raises(f, "json.encode{a = 0/0}", "cannot encode a as JSON: JSON has no NaN");
  fx_raises(f, "json.encode{a = {b = math.huge}}", "cannot encode a.b as JSON");
  fx_raises(f, "local t = {} t.a = {t} json.encode(t)", "cannot encode a[1] as JSON: the table contains itself");
  fx_raises(f, "local t = {} for _ = 1, 200 do t = {t} end json.encode(t)", "more than 100 deep");
  fx_raises(f, "json.encode{1, nil, 3}", "the list has 3 but nothing at 2");
  fx_raises(f, "json.encode{[1000] = 1}", "use tostring(key) for ids");
  fx_raises(f, "json.encode{1, a = 2}", "both a list and named fields");
  fx_raises(f, "json.encode{[true] = 1}", "a key is a boolean");
  fx_raises(f, "json.encode('a\\0b')", "NUL character");
  fx_raises(f, "json.encode{x = '\\xff'}", "cannot encode x as JSON: the string is not valid UTF-8");
  fx_raises(f, "json.encode()", "bad argument");
}

static void text_decodes(void **state) {
  fixture *f = *state;
  fx_gives(f, "local v = json.decode('{\"a\":[1,2.5,null,12345678901234567],\"b\":{\"c\":\"\\\\u00e9\"}}')\n"
              "return json.encode(v) .. math.type(v.a[1]) .. tostring(v.a[3] == json.null)",
           "{\"a\":[1,2.5,null,12345678901234567],\"b\":{\"c\":\"\u00e9\"}}integertrue");
  fx_gives(f, "return json.encode(json.decode '[]') .. json.encode(json.decode '{}')", "[]{}");
  fx_raises(f, "json.decode('{\"a\":\\n  tru}')", "line 2 column");
  fx_raises(f, "json.decode('')", "JSON line 1");
  fx_raises(f, "json.decode('\"\\\\u0000\"')", "NUL");
  fx_gives(f, "local ok, e = pcall(json.decode, '[1,') return e.kind", "invalid");
}

static void random_values_survive(void **state) {
  fixture *f = *state;
  fx_gives(f,
           "local function value(depth)\n"
           "  local k = math.random(1, depth > 4 and 5 or 7)\n"
           "  if k == 1 then return math.random(0) end\n"
           "  if k == 2 then return (math.random() - 0.5) * 10 ^ math.random(-20, 20) end\n"
           "  if k == 3 then local s = {} for i = 1, math.random(0, 12) do s[i] = utf8.char(math.random(1, 0xd7ff)) end return table.concat(s) end\n"
           "  if k == 4 then return math.random(2) == 1 end\n"
           "  if k == 5 then return json.null end\n"
           "  local t = {}\n"
           "  if k == 6 then for i = 1, math.random(0, 5) do t[i] = value(depth + 1) end return json.array(t) end\n"
           "  for _ = 1, math.random(0, 5) do t['k' .. math.random(100)] = value(depth + 1) end return t\n"
           "end\n"
           "local function same(a, b)\n"
           "  if type(a) ~= 'table' then return a == b end\n"
           "  if type(b) ~= 'table' then return false end\n"
           "  for k, v in next, a do if not same(v, b[k]) then return false end end\n"
           "  for k in next, b do if a[k] == nil then return false end end\n"
           "  return true\n"
           "end\n"
           "for i = 1, 3000 do\n"
           "  local v = value(0) local text = json.encode(v) local back = json.decode(text)\n"
           "  if not same(v, back) then error(text .. '\\n' .. json.encode(back)) end\n"
           "  if json.encode(back) ~= text or json.encode(json.decode(json.pretty(v))) ~= text then error(text) end\n"
           "end return 'ok'",
           "ok");
}

static void mangled_text_never_crashes(void **state) {
  fixture *f = *state;
  fx_gives(f,
           "local seed = '{\"a\":[1,-2.5e3,true,null,{\"b\":\"x\\\\ny\\\\u20ac\"}],\"n\":12345678901234567890}'\n"
           "local bad = 0\n"
           "for i = 1, 5000 do\n"
           "  local b = {seed:byte(1, -1)}\n"
           "  for _ = 1, math.random(1, 4) do b[math.random(#b)] = math.random(0, 255) end\n"
           "  local ok, e = pcall(json.decode, string.char(table.unpack(b)))\n"
           "  if not ok then bad = bad + 1 assert(e.kind == 'invalid', tostring(e)) end\n"
           "end return tostring(bad > 1000)",
           "true");
}

static void c_functions_convert(void **state) {
  fixture *f = *state;
  lua_State *L = hl_state_lua(f->s);
  cJSON *item = NULL;
  hl_error err;
  hl_buf b;
  assert_int_equal(hl_json_parse(HL_STR("{\"id\":98765432109876543,\"v\":null,\"l\":[null]}"), &item, &err), 0);
  hl_lua_push_json(L, item, true);
  cJSON_Delete(item);
  assert_int_equal(lua_getfield(L, -1, "v"), LUA_TNIL);
  lua_pop(L, 1);
  hl_buf_init(&b, 1000);
  assert_int_equal(hl_buf_puts(&b, "text "), 0);
  assert_int_equal(hl_lua_to_json(L, -1, &b, &err), 0);
  assert_string_equal(b.p, "text {\"id\":98765432109876543,\"l\":[null]}");
  lua_pushcfunction(L, luaopen_utf8);
  lua_setfield(L, -2, "z");
  assert_int_equal(hl_lua_to_json(L, -1, &b, &err), HL_EINVAL);
  assert_string_equal(b.p, "text {\"id\":98765432109876543,\"l\":[null]}");
  hl_buf_deinit(&b);
  hl_buf_init(&b, 10);
  lua_pushliteral(L, "longer than ten bytes");
  assert_int_equal(hl_lua_to_json(L, -1, &b, &err), HL_ELIMIT);
  hl_buf_deinit(&b);
  lua_settop(L, 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(values_encode), T(what_cannot_be_encoded_is_named), T(text_decodes), T(random_values_survive),
      T(mangled_text_never_crashes), T(c_functions_convert),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
