/* Library functions that would loop in C for as long as a script says. The
 * watchdog's hook runs between instructions, so it cannot end them: what they
 * may be asked for is bounded here, before they start. */
#include "lua/core.h"

/* More elements than a state has memory for: only a table that lies about its
 * length (__len, or keys chosen so that # finds a far border) is refused. */
enum { MAX_ELEMENTS = 1 << 26, MAX_REPEATED = 1 << 30 };

/* upvalue 1: Lua's own */
static int own_rep(lua_State *L) {
  size_t n, sep;
  (void)luaL_checklstring(L, 1, &n);
  lua_Integer times = luaL_checkinteger(L, 2);
  (void)luaL_optlstring(L, 3, "", &sep);
  if (times <= 0 || n + sep == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  if (n + sep > (size_t)MAX_REPEATED / (size_t)times) return luaL_error(L, "resulting string too large");
  lua_settop(L, 3);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 3, 1);
  return 1;
}

/* The table at 1, or a value that says by metamethods how it is one; its length. */
static lua_Integer check_list(lua_State *L) {
  if (lua_type(L, 1) != LUA_TTABLE) {
    if (!luaL_getmetafield(L, 1, "__index")) luaL_checktype(L, 1, LUA_TTABLE);
    lua_pop(L, 1);
  }
  lua_Integer n = luaL_len(L, 1);
  luaL_argcheck(L, n <= MAX_ELEMENTS, 1, "its length is more than a table can hold");
  return n;
}

/* table.insert(list, [place,] value): what lies from the place on moves up. */
static int own_insert(lua_State *L) {
  int top = lua_gettop(L);
  lua_Integer n = check_list(L), place = n + 1;
  if (top != 2 && top != 3) return luaL_error(L, "wrong number of arguments to 'insert'");
  if (top == 3) {
    place = luaL_checkinteger(L, 2);
    luaL_argcheck(L, place >= 1 && place <= n + 1, 2, "position out of bounds");
  }
  for (lua_Integer i = n; i >= place; i--) {
    lua_geti(L, 1, i);
    lua_seti(L, 1, i + 1);
  }
  lua_seti(L, 1, place);
  return 0;
}

/* table.remove(list, [place]): what lies behind the place moves down. */
static int own_remove(lua_State *L) {
  lua_Integer n = check_list(L), place = luaL_optinteger(L, 2, n);
  bool given = !lua_isnone(L, 2);
  /* Place n + 1 is allowed too, and 0 where the list is empty. */
  if (given) luaL_argcheck(L, (place >= 1 && place <= n + 1) || (n == 0 && place == 0), 2, "position out of bounds");
  lua_geti(L, 1, place);
  for (; place < n; place++) {
    lua_geti(L, 1, place + 1);
    lua_seti(L, 1, place);
  }
  lua_pushnil(L);
  lua_seti(L, 1, place);
  return 1;
}

/* upvalue 1: Lua's own */
static int own_move(lua_State *L) {
  luaL_checkany(L, 1);
  lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
  int target = lua_isnoneornil(L, 5) ? 1 : 5;
  if (!luaL_getmetafield(L, 1, "__index")) luaL_checktype(L, 1, LUA_TTABLE);
  if (!luaL_getmetafield(L, target, "__newindex")) luaL_checktype(L, target, LUA_TTABLE);
  if (last >= first) {
    luaL_argcheck(L, (lua_Unsigned)last - (lua_Unsigned)first < MAX_ELEMENTS, 3, "too many elements to move");
    luaL_argcheck(L, to <= LUA_MAXINTEGER - MAX_ELEMENTS, 4, "destination wrap around");
  }
  lua_settop(L, 5);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 5, 1);
  return 1;
}

static void replace(lua_State *L, const char *library, const char *name, lua_CFunction with) {
  lua_getglobal(L, library);
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, with, 1);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

void hl_doors_open(lua_State *L) {
  replace(L, "string", "rep", own_rep);
  replace(L, "table", "insert", own_insert);
  replace(L, "table", "remove", own_remove);
  replace(L, "table", "move", own_move);
}
