#include "lua/check.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "lua/script.h"

enum { CPU_MS = 120 * 1000, SOURCE_MAX = 8 << 20, ANSWER_MAX = 64 << 20 };

/* host.source(path): the file's text, or nil and why. */
static int h_source(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  luaL_Buffer b;
  struct stat st;
  FILE *f = fopen(path, "rb");
  if (!f || fstat(fileno(f), &st) || !S_ISREG(st.st_mode) || st.st_size > SOURCE_MAX) {
    lua_pushnil(L);
    lua_pushstring(L, !f ? strerror(errno) : "it is no file, or larger than 8 MiB");
    if (f) fclose(f);
    return 2;
  }
  size_t n = (size_t)st.st_size;
  char *p = hl_alloc(n + 1);
  n = fread(p, 1, n, f);
  fclose(f);
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, p, n);
  hl_free(p);
  luaL_pushresult(&b);
  return 1;
}

static int answer_of(lua_State *L, cJSON **out, hl_error *err) {
  hl_buf text;
  hl_buf_init(&text, ANSWER_MAX);
  int rc = hl_lua_to_json(L, -1, &text, err);
  if (!rc) rc = hl_json_parse(hl_buf_str(&text), out, err);
  hl_buf_deinit(&text);
  return rc;
}

int hl_check_call(hl_loop *loop, const char *name, int64_t cpu_ms, const cJSON *request, cJSON **out, hl_error *err) {
  static const luaL_Reg fns[] = {{"source", h_source}, {NULL, NULL}};
  hl_state *s;
  hl_state_options o = {.loop = loop, .name = "check", .cpu_ms = cpu_ms ? cpu_ms : CPU_MS};
  int rc = hl_state_new(&o, &s, err);
  if (rc) return rc;
  lua_State *L = hl_state_lua(s);
  hl_bind_script(L); /* what scripts have is what they may name; nothing of it is called */
  hl_state_push_host(L);
  luaL_setfuncs(L, fns, 0);
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "check.report");
  if ((rc = hl_state_call(L, 1, 1, err))) goto out;
  lua_getfield(L, -1, name);
  hl_lua_push_json(L, request, true);
  if ((rc = hl_state_call(L, 1, 1, err))) {
    if (rc == HL_ESCRIPT) err->code = rc = HL_EINVAL;
    goto out;
  }
  rc = answer_of(L, out, err);
out:
  hl_state_free(s);
  return rc;
}
