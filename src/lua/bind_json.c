/* json.encode, decode, pretty, array, null. */
#include "lua/core.h"

#define BOX_MT "hl.json.box"

static int encode(lua_State *L, int indent) {
  hl_error err;
  luaL_checkany(L, 1);
  hl_buf *b = hl_state_scratch(L);
  if (hl_lua_encode(L, 1, b, indent, &err) != 0) return hl_lua_raise(L, "invalid", "%s", err.text);
  lua_pushlstring(L, b->p, b->n);
  return 1;
}
static int json_encode(lua_State *L) { return encode(L, 0); }
static int json_pretty(lua_State *L) { return encode(L, 2); }

/* The parsed tree hangs from a userdata: an error while it becomes tables frees it. */
static int box_gc(lua_State *L) {
  cJSON **box = lua_touserdata(L, 1);
  cJSON_Delete(*box);
  *box = NULL;
  return 0;
}

static int json_decode(lua_State *L) {
  size_t n;
  const char *p = luaL_checklstring(L, 1, &n);
  hl_error err;
  if (hl_lua_read_json(L, (hl_str){p, n}, false)) return 1;
  cJSON **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, BOX_MT);
  if (hl_json_parse((hl_str){p, n}, box, &err) != 0) return hl_lua_raise(L, "invalid", "%s", err.text);
  hl_lua_push_json(L, *box, false);
  cJSON_Delete(*box);
  *box = NULL;
  return 1;
}

static int json_array(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_setmetatable(L, HL_JSON_ARRAY);
  return 1;
}

static int null_tostring(lua_State *L) {
  if (lua_touserdata(L, 1))
    lua_pushliteral(L, "light userdata");
  else
    lua_pushliteral(L, "null");
  return 1;
}

void hl_bind_json(lua_State *L) {
  static const luaL_Reg lib[] = {{"encode", json_encode}, {"decode", json_decode}, {"pretty", json_pretty},
                                 {"array", json_array},   {NULL, NULL}};
  luaL_newmetatable(L, HL_JSON_ARRAY);
  lua_pushliteral(L, "json array");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0); /* out of a script's reach, as the one of errors */
  lua_setfield(L, -2, "__metatable");
  luaL_newmetatable(L, BOX_MT);
  lua_pushcfunction(L, box_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 2);
  /* All light userdata share one metatable; json.null is the only one that scripts meet. */
  lua_pushlightuserdata(L, NULL);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, null_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  luaL_newlib(L, lib);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  hl_state_add_module(L, "json", true);
}
