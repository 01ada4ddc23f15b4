/* Events that HubSpot does not send as such: what stdlib/engine/derived.lua makes
 * of them needs from the host. */
#include "base/mem.h"
#include "engine/types.h"
#include "lua/handler.h"

enum { PAYLOAD_MAX = 256 * 1024 };

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
  for (int i = 1; i <= 3; i++) lua_pushvalue(L, i);
  lua_call(L, 3, 4);
  bool own = lua_toboolean(L, -1);
  lua_pop(L, 1);
  for (int i = 3; i; i--) lua_replace(L, i);
  lua_settop(L, 3);
  return own;
}

/* host.found(type, payload, {object_type=, object_id=, occurred_at=}): an event that was read from HubSpot, committed
 * with its handler's run. Raises when the payload is too large. */
static int l_found(lua_State *L) {
  const char *type = luaL_checkstring(L, 1);
  lua_settop(L, 3);
  const char *object_type = hl_lua_opt_str(L, 3, "object_type", NULL), *object_id = hl_lua_opt_str(L, 3, "object_id", NULL);
  int64_t at = hl_lua_opt_int(L, 3, "occurred_at", 0, INT64_MAX, 0);
  hl_run *run = hl_script_run(L, NULL);
  hl_error err;
  hl_buf json;
  hl_buf_init(&json, PAYLOAD_MAX);
  int rc = hl_lua_to_json(L, 2, &json, &err);
  if (!rc) rc = hl_run_emit_found(run, type, hl_buf_str(&json), at, object_type, object_id, &err);
  hl_buf_deinit(&json);
  return rc ? hl_lua_raise(L, hl_err_name(rc), "%s: %s", type, err.text) : 0;
}

static int l_listens(lua_State *L) {
  lua_pushboolean(L, hl_engine_listens(hl_script_of(L)->host->o.engine, luaL_checkstring(L, 1)));
  return 1;
}

static size_t lock_at(const hl_host *host, const char *name) {
  size_t i = 0;
  while (i < host->n_locks && strcmp(host->locks[i], name) != 0) i++;
  return i;
}

/* host.lock(name): false when somebody has it, in whatever script. */
static int l_lock(lua_State *L) {
  hl_host *host = hl_script_of(L)->host;
  const char *name = luaL_checkstring(L, 1);
  bool is_free = lock_at(host, name) == host->n_locks;
  if (is_free) {
    host->locks = hl_realloc(host->locks, (host->n_locks + 2) * sizeof *host->locks);
    host->locks[host->n_locks++] = hl_strdup(name);
    host->locks[host->n_locks] = NULL;
  }
  lua_pushboolean(L, is_free);
  return 1;
}

static int l_unlock(lua_State *L) {
  hl_host *host = hl_script_of(L)->host;
  size_t i = lock_at(host, luaL_checkstring(L, 1));
  if (i == host->n_locks) return 0;
  hl_free(host->locks[i]);
  host->locks[i] = host->locks[--host->n_locks];
  host->locks[host->n_locks] = NULL;
  return 0;
}

void hl_bind_derived(lua_State *L) {
  static const luaL_Reg fns[] = {{"found", l_found}, {"listens", l_listens}, {"lock", l_lock}, {"unlock", l_unlock}, {NULL, NULL}};
  hl_state_push_host(L);
  luaL_setfuncs(L, fns, 0);
  lua_pop(L, 1);
}
