/* host.operation(method, path): what HubSpot publishes about a call; for
 * stdlib/hubspot, stdlib/check and the simulator. */
#include "base/mem.h"
#include "hubspot/operations.h"
#include "lua/core.h"

/* "a|b+c" as { { "a" }, { "b", "c" } } */
static void push_scopes(lua_State *L, hl_str text) {
  lua_Integer alternatives = 0, scopes = 0;
  lua_newtable(L);
  for (size_t at = 0; at < text.n;) {
    size_t n = strcspn(text.p + at, "|+");
    if (scopes == 0) lua_newtable(L);
    lua_pushlstring(L, text.p + at, n);
    lua_rawseti(L, -2, ++scopes);
    at += n;
    if (at == text.n || text.p[at] == '|') {
      lua_rawseti(L, -2, ++alternatives);
      scopes = 0;
    }
    at++;
  }
}

/* {api=, method=, path=, summary=, versions={…}, scopes={{…}, …}}: path is the template, scopes are
 * alternatives ({}: any token; nil: the object type in the path is not known). nil when
 * there is no such operation, and then the dated form of a legacy path. */
static int l_operation(lua_State *L) {
  const char *method = luaL_checkstring(L, 1);
  size_t n;
  const char *p = luaL_checklstring(L, 2, &n);
  hl_str path = {p, n};
  hl_buf *text = hl_state_scratch(L);
  const hl_operation *op = hl_operation_find(method, path);
  if (!op) {
    lua_pushnil(L);
    if (hl_operation_dated(path, luaL_optstring(L, 3, "{version}"), text)) return 1;
    lua_pushlstring(L, text->p, text->n);
    return 2;
  }
  lua_createtable(L, 0, 6);
  lua_pushstring(L, op->api);
  lua_setfield(L, -2, "api");
  lua_pushstring(L, op->method);
  lua_setfield(L, -2, "method");
  lua_pushstring(L, op->path);
  lua_setfield(L, -2, "path");
  lua_pushstring(L, op->summary);
  lua_setfield(L, -2, "summary");
  const char *versions[HL_OPERATION_VERSIONS];
  size_t count = hl_operation_versions(op, versions, HL_OPERATION_VERSIONS);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushstring(L, versions[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "versions");
  if (hl_operation_scopes(op, path, text) == 0) {
    push_scopes(L, hl_buf_str(text));
    lua_setfield(L, -2, "scopes");
  }
  return 1;
}

void hl_bind_operations(lua_State *L) {
  hl_state_push_host(L);
  lua_pushcfunction(L, l_operation);
  lua_setfield(L, -2, "operation");
  lua_pop(L, 1);
}
