/* env: the environment variables that the script may read (SEMANTICS 24), and of those none that holds a secret (36):
 * neither by its name, nor by its value. A test says what is in them: sim.load("x.lua", { env = { REGION = "emea" } }). */
#include "base/mem.h"
#include "lua/core.h"
#include "lua/script.h"
#include "lua/testbed.h"

static bool is_name(const char *name) {
  for (const char *p = name; *p; p++)
    if (!((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || *p == '_' || (p > name && *p >= '0' && *p <= '9'))) return false;
  return *name != 0;
}

static bool is_secret(const hl_host *host, const char *name, const char *value) {
  static const char *const usual[] = {"HUBSPOT_TOKEN", "HUBSPOT_CLIENT_SECRET", NULL};
  const char *const *lists[] = {usual, host->o.secret_names, (const char *const *)host->secrets};
  for (size_t i = 0; i < HL_COUNT(lists); i++)
    for (const char *const *s = lists[i]; s && *s; s++)
      if (strcmp(*s, name) == 0) return true;
  hl_buf said;
  hl_buf_init(&said, SIZE_MAX / 4);
  (void)hl_log_redact(hl_loop_log(host->o.loop), hl_str_of(value), &said);
  bool same = strcmp(said.p ? said.p : "", value) == 0;
  hl_buf_deinit(&said);
  return !same;
}

const char *hl_env_told(const hl_script *s, const char *name) {
  size_t n = strlen(name);
  for (char **e = s->host->bed ? s->env : NULL; e && *e; e++)
    if (strncmp(*e, name, n) == 0 && (*e)[n] == '=') return *e + n + 1;
  return NULL;
}

/* env.get(name): a string, or nil where there is no such variable. */
static int l_get(lua_State *L) {
  const char *name = luaL_checkstring(L, 1), *value = NULL;
  hl_script *s = hl_script_of(L);
  const hl_testbed *bed = s->host->bed;
  if (!is_name(name)) return luaL_error(L, "env.get: expects a variable's name, such as env.get(\"REGION\")");
  if ((value = hl_env_told(s, name))) {
    lua_pushstring(L, value);
    return 1;
  }
  bool may = bed && s == bed->script;
  for (char **e = s->env; e && *e && !may; e++) may = strcmp(*e, name) == 0;
  if (!may)
    return hl_lua_raise(L, "denied", "env.get: this script may not read %s: permit it with permissions = { [\"%s\"] = { env = { \"%s\" } } } in "
                        "hubloop.lua, or --allow-env %s for a lone script, which reads no hubloop.lua", name, s->name, name, name);
  if (!(value = getenv(name))) return 0;
  if (is_secret(s->host, name, value))
    return hl_lua_raise(L, "denied", "env.get: %s holds a secret, which no script reads: secret \"%s\" hands it on", name, name);
  lua_pushstring(L, value);
  return 1;
}

void hl_bind_env(lua_State *L) {
  static const luaL_Reg lib[] = {{"get", l_get}, {NULL, NULL}};
  luaL_newlib(L, lib);
  hl_state_add_module(L, "env", true);
}
