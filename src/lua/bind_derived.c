/* Events that HubSpot does not send as such: what stdlib/engine/derived.lua makes
 * of them needs from the host. */
#include "engine/types.h"
#include "lua/handler.h"

bool hl_derive(lua_State *L) {
  static const char load[] = "require \"engine.derived\"";
  if (!hl_event_type_derived(lua_tostring(L, 1))) return false;
  hl_state_push_host(L);
  if (lua_getfield(L, -1, "derived") == LUA_TNIL) { /* as shipped code: scripts cannot require inner parts */
    lua_pop(L, 1);
    if (luaL_loadbufferx(L, load, sizeof load - 1, "@stdlib/engine", "t") != LUA_OK) lua_error(L);
    lua_call(L, 0, 0);
    lua_getfield(L, -1, "derived");
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_call(L, 2, 3);
  bool own = lua_toboolean(L, -1);
  lua_pop(L, 1);
  lua_replace(L, 2);
  lua_replace(L, 1);
  lua_settop(L, 3);
  return own;
}
