/* Reading option tables, and small pushes that must not leak when memory ends. */
#include "base/mem.h"
#include "lua/core.h"
#include "lua/script.h"

static bool listed(const char *const *list, const char *key) {
  for (; *list; list++)
    if (strcmp(*list, key) == 0) return true;
  return false;
}

void hl_lua_check_options(lua_State *L, int idx, const char *what, const char *const *known) {
  if (lua_isnoneornil(L, idx)) return;
  luaL_checktype(L, idx, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "%s: options are named, but there is one without a name", what);
    size_t n;
    const char *key = lua_tolstring(L, -1, &n);
    if (listed(known, key)) continue;
    const char *near = hl_str_nearest((hl_str){key, n}, known);
    if (near) luaL_error(L, "%s: there is no option '%s'; did you mean '%s'?", what, key, near);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; known[i]; i++) {
      if (i) luaL_addstring(&b, ", ");
      luaL_addstring(&b, known[i]);
    }
    luaL_pushresult(&b);
    luaL_error(L, "%s: there is no option '%s'; there are: %s", what, key, lua_tostring(L, -1));
  }
}

static bool field(lua_State *L, int idx, const char *key) {
  if (!lua_istable(L, idx)) return false;
  if (lua_getfield(L, idx, key) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

/* The string stays valid while the options table holds it. */
const char *hl_lua_opt_str(lua_State *L, int idx, const char *key, const char *fallback) {
  if (!field(L, idx, key)) return fallback;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "option '%s' must be a string, not a %s", key, luaL_typename(L, -1));
  const char *s = lua_tostring(L, -1);
  lua_pop(L, 1);
  return s;
}

lua_Integer hl_lua_opt_int(lua_State *L, int idx, const char *key, lua_Integer lo, lua_Integer hi,
                           lua_Integer fallback) {
  if (!field(L, idx, key)) return fallback;
  int isnum;
  lua_Integer v = lua_tointegerx(L, -1, &isnum);
  if (!isnum || v < lo || v > hi)
    luaL_error(L, "option '%s' must be a whole number from %I to %I", key, (LUAI_UACINT)lo, (LUAI_UACINT)hi);
  lua_pop(L, 1);
  return v;
}

int64_t hl_lua_opt_duration(lua_State *L, int idx, const char *key, int64_t fallback_ms) {
  if (!field(L, idx, key)) return fallback_ms;
  int64_t ms = 0;
  hl_error err;
  if (hl_lua_read_duration(L, -1, &ms, &err)) luaL_error(L, "option '%s': %s", key, err.text);
  lua_pop(L, 1);
  return ms;
}

static const char *const class_names[] = {"live", "normal", "bulk"};

const char *hl_lua_class_name(hl_api_class klass) { return class_names[klass]; }

hl_api_class hl_lua_opt_class(lua_State *L, int idx, const char *key, hl_api_class fallback) {
  const char *s = hl_lua_opt_str(L, idx, key, NULL);
  if (!s) return fallback;
  for (int i = 0; i < 3; i++)
    if (strcmp(s, class_names[i]) == 0) return (hl_api_class)i;
  luaL_error(L, "option '%s' is 'live', 'normal' or 'bulk', not '%s'", key, s);
  return fallback;
}

typedef struct push_args { const cJSON *tree; bool null_as_nil; } push_args;

static int push_tree(lua_State *L) {
  push_args *a = lua_touserdata(L, 1);
  hl_lua_push_json(L, a->tree, a->null_as_nil);
  return 1;
}

void hl_lua_push_json_take(lua_State *L, cJSON *tree, bool null_as_nil) {
  push_args a = {tree, null_as_nil};
  if (!lua_checkstack(L, 4)) {
    cJSON_Delete(tree);
    luaL_error(L, "stack overflow");
    return;
  }
  lua_pushcfunction(L, push_tree);
  lua_pushlightuserdata(L, &a);
  int rc = lua_pcall(L, 1, 1, 0);
  cJSON_Delete(tree);
  if (rc != LUA_OK) lua_error(L);
}

void hl_lua_push_json_text(lua_State *L, hl_str text, bool null_as_nil) {
  hl_error err;
  cJSON *tree = NULL;
  if (hl_lua_read_json(L, text, null_as_nil)) return;
  if (hl_json_parse(text, &tree, &err)) {
    hl_lua_raise(L, "invalid", "not JSON: %s", err.text);
    return;
  }
  hl_lua_push_json_take(L, tree, null_as_nil);
}

static int l_json_of(lua_State *L) {
  size_t n;
  const char *p = lua_tolstring(L, lua_upvalueindex(1), &n);
  hl_lua_push_json_text(L, (hl_str){p, n}, false);
  return 1;
}

void hl_lua_push_json_fn(lua_State *L) { lua_pushcclosure(L, l_json_of, 1); }
