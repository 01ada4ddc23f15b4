/* hl_lua_read_json: what it reads, hl_json_parse reads too, and to the same value. */
#include <assert.h>
#include <stdint.h>

#include "lua/core.h"
#include "lua/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The values at the absolute indexes a and b, down to the kind of number. */
static bool same(lua_State *L, int a, int b) {
  if (lua_type(L, a) != lua_type(L, b) || lua_isinteger(L, a) != lua_isinteger(L, b)) return false;
  if (lua_type(L, a) != LUA_TTABLE) return lua_rawequal(L, a, b);
  int marks[2] = {lua_getmetatable(L, a), lua_getmetatable(L, b)};
  lua_pop(L, marks[0] + marks[1]);
  if (marks[0] != marks[1]) return false;
  int n = 0;
  luaL_checkstack(L, 8, NULL);
  for (lua_pushnil(L); lua_next(L, b); lua_pop(L, 1)) n++;
  for (lua_pushnil(L); lua_next(L, a); lua_pop(L, 2), n--) {
    lua_pushvalue(L, -2);
    lua_rawget(L, b);
    if (!same(L, lua_gettop(L) - 1, lua_gettop(L))) return false;
  }
  return n == 0;
}

static void compare(lua_State *L, hl_str text, bool null_as_nil) {
  bool reads = hl_lua_read_json(L, text, null_as_nil), would = hl_lua_reads_json(text);
  assert(reads == would);
  (void)would;
  if (!reads) {
    assert(lua_gettop(L) == 0);
    return;
  }
  hl_error err;
  cJSON *tree = NULL;
  assert(lua_gettop(L) == 1);
  int rc = hl_json_parse(text, &tree, &err);
  assert(rc == 0);
  hl_lua_push_json(L, tree, null_as_nil);
  cJSON_Delete(tree);
  bool equal = same(L, 1, 2);
  assert(equal);
  (void)rc;
  (void)equal;
  lua_settop(L, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static lua_State *L;
  static hl_state state; /* remembers the sizes of tables */
  if (!L) {
    L = luaL_newstate();
    *hl_thread_word(L) = (uintptr_t)&state;
    luaL_newmetatable(L, HL_JSON_ARRAY);
    lua_pop(L, 1);
  }
  compare(L, (hl_str){(const char *)data, size}, false);
  compare(L, (hl_str){(const char *)data, size}, true);
  return 0;
}
