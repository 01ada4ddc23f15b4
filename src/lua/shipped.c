#include "lua/shipped.h"

#include "base/embed.h"
#include "lua/script.h"

/* host.shipped(path): the text of a file below stdlib/, or nil. */
static int l_shipped(lua_State *L) {
  const hl_embedded *e = hl_embedded_find(luaL_checkstring(L, 1));
  if (!e) return 0;
  lua_pushlstring(L, e->bytes, e->size);
  return 1;
}

typedef struct shipped_call {
  const char *module;
  const char *const *args;
  size_t n;
} shipped_call;

/* Stack: a shipped_call. Leaves what the module's function gives. */
static int call(lua_State *L) {
  const shipped_call *c = lua_touserdata(L, 1);
  hl_bind_hubspot(L);
  hl_state_push_host(L);
  lua_pushcfunction(L, l_shipped);
  lua_setfield(L, -2, "shipped");
  lua_settop(L, 0);
  luaL_checkstack(L, (int)c->n + 4, "arguments");
  lua_getglobal(L, "require");
  lua_pushstring(L, c->module);
  lua_call(L, 1, 1);
  for (size_t i = 0; i < c->n; i++) lua_pushstring(L, c->args[i]);
  lua_call(L, (int)c->n, 2);
  return 2;
}

int hl_shipped_call(const char *module, const char *const *args, size_t n, hl_buf *out, hl_error *err) {
  hl_state *state = NULL;
  hl_loop *loop = NULL;
  shipped_call c = {module, args, n};
  hl_log *log = hl_log_new(HL_LOG_WARN, false);
  int rc = hl_loop_new(&(hl_loop_options){.is_virtual = true}, log, &loop, err);
  if (!rc) rc = hl_state_new(&(hl_state_options){.loop = loop, .name = module}, &state, err);
  if (rc) goto out;
  lua_State *L = hl_state_lua(state);
  lua_pushcfunction(L, call);
  lua_pushlightuserdata(L, &c);
  rc = hl_state_call(L, 1, 2, err);
  if (rc) goto out;
  size_t len;
  const char *text = lua_tolstring(L, -2, &len);
  if (text) {
    rc = hl_buf_append(out, text, len);
    if (rc) hl_fail(err, rc, "the text of %s is too long", module);
  } else {
    const char *why = lua_tostring(L, -1);
    rc = hl_fail(err, HL_EINVAL, "%s", why ? why : "nothing to say");
  }
out:
  hl_state_free(state);
  hl_loop_free(loop);
  hl_log_free(log);
  return rc;
}
