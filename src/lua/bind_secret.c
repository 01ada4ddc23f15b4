/* secret "NAME": an opaque handle (SEMANTICS 36). Its text is resolved where it
 * is used and never becomes a Lua string. Text may be put around it with ..,
 * which gives another handle ("Bearer " .. secret "KEY"). */
#include "base/mem.h"
#include "hubspot/seal.h"
#include "hubspot/secrets.h"
#include "lua/script.h"

#define SECRET_META "hubloop.secret"

/* User values: 1 name, 2 text before, 3 text after. */
static void push_secret(lua_State *L, int name, int before, int after) {
  lua_newuserdatauv(L, 1, 3);
  lua_pushvalue(L, name);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, before);
  lua_setiuservalue(L, -2, 2);
  lua_pushvalue(L, after);
  lua_setiuservalue(L, -2, 3);
  luaL_setmetatable(L, SECRET_META);
}

bool hl_secret_is(lua_State *L, int idx) { return luaL_testudata(L, idx, SECRET_META) != NULL; }

int hl_secret_resolve(lua_State *L, int idx, hl_buf *out, hl_error *err) {
  const hl_script *s = hl_script_of(L);
  hl_host *host = s->host;
  idx = lua_absindex(L, idx);
  lua_getiuservalue(L, idx, 1);
  lua_getiuservalue(L, idx, 2);
  lua_getiuservalue(L, idx, 3);
  const char *name = lua_tostring(L, -3), *before = lua_tostring(L, -2), *after = lua_tostring(L, -1);
  hl_buf value;
  hl_buf_init(&value, 64 * 1024);
  const char *told = hl_env_told(s, name);
  int rc = told ? hl_buf_puts(&value, told)
           : host->o.secret ? host->o.secret(host->o.secret_arg, name, &value, err)
                            : hl_secrets_get(NULL, name, &value, err);
  if (!rc) {
    if (value.n >= 4) hl_log_add_secret(hl_loop_log(host->o.loop), hl_buf_str(&value));
    rc = hl_buf_puts(out, before);
    if (!rc) rc = hl_buf_append(out, value.p, value.n);
    if (!rc) rc = hl_buf_puts(out, after);
    if (rc) hl_fail(err, rc, "the secret %s is too long", name);
  }
  hl_buf_wipe(&value);
  lua_pop(L, 3);
  return rc;
}

/* No script reads it through env any more. */
static void note_name(hl_host *host, const char *name) {
  for (size_t i = 0; i < host->n_secrets; i++)
    if (strcmp(host->secrets[i], name) == 0) return;
  host->secrets = hl_realloc(host->secrets, (host->n_secrets + 2) * sizeof *host->secrets);
  host->secrets[host->n_secrets++] = hl_strdup(name);
  host->secrets[host->n_secrets] = NULL;
}

static int l_secret(lua_State *L) {
  size_t n;
  const char *name = luaL_checklstring(L, 1, &n);
  if (n == 0 || n > 128 || strlen(name) != n)
    return luaL_error(L, "secret(): expects the name of a secret, such as secret \"FORM_KEY\"");
  lua_settop(L, 1);
  note_name(hl_script_of(L)->host, name);
  lua_pushliteral(L, "");
  push_secret(L, 1, 2, 2);
  return 1;
}

static int l_tostring(lua_State *L) {
  luaL_checkudata(L, 1, SECRET_META);
  lua_getiuservalue(L, 1, 1);
  lua_pushfstring(L, "[secret %s]", lua_tostring(L, -1));
  return 1;
}

static int l_concat(lua_State *L) {
  bool first = hl_secret_is(L, 1);
  if (hl_secret_is(L, 1) && hl_secret_is(L, 2)) return luaL_error(L, "two secrets cannot be joined");
  int me = first ? 1 : 2, text = first ? 2 : 1;
  luaL_checkstring(L, text);
  lua_getiuservalue(L, me, 1); /* 3 */
  lua_getiuservalue(L, me, 2); /* 4 */
  lua_getiuservalue(L, me, 3); /* 5 */
  if (first) {
    lua_pushvalue(L, 5);
    lua_pushvalue(L, text);
    lua_concat(L, 2);
    push_secret(L, 3, 4, 6);
  } else {
    lua_pushvalue(L, text);
    lua_pushvalue(L, 4);
    lua_concat(L, 2);
    push_secret(L, 3, 6, 5);
  }
  return 1;
}

void hl_bind_secret(lua_State *L) {
  luaL_newmetatable(L, SECRET_META);
  lua_pushcfunction(L, l_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, l_concat);
  lua_setfield(L, -2, "__concat");
  lua_pushliteral(L, "secret");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  lua_register(L, "secret", l_secret);
}
