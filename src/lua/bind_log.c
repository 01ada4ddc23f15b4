/* log.debug, info, warn, error: the values joined by blanks, tables as JSON. The
 * log itself redacts secrets. */
#include "lua/core.h"

enum { MAX_LINE = 16 << 10 };

static int write_log(lua_State *L, hl_log_level level) {
  hl_state *s = hl_state_of(L);
  hl_error err;
  int n = lua_gettop(L);
  /* First everything that may run a script's __tostring, which may log itself. */
  for (int i = 1; i <= n; i++) {
    if (lua_istable(L, i) && luaL_getmetafield(L, i, "__tostring") == LUA_TNIL) continue;
    lua_settop(L, n);
    luaL_tolstring(L, i, NULL);
    lua_replace(L, i);
  }
  hl_buf *b = hl_state_scratch(L);
  for (int i = 1; i <= n && b->n < MAX_LINE; i++) {
    if (i > 1) (void)hl_buf_append(b, " ", 1);
    if (lua_istable(L, i)) {
      if (hl_lua_encode(L, i, b, 0, &err) != 0) (void)hl_buf_puts(b, err.text);
    } else {
      size_t len;
      const char *text = lua_tolstring(L, i, &len);
      (void)hl_buf_append(b, text, len < MAX_LINE ? len : MAX_LINE);
    }
  }
  int len = b->n > MAX_LINE ? MAX_LINE : (int)b->n;
  if (s->heard) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level > HL_LOG_DEBUG) s->heard(L, names[level], (hl_str){b->p ? b->p : "", (size_t)len});
    return 0;
  }
  hl_log_write(hl_loop_log(s->loop), level, s->name, "%.*s%s", len, b->p ? b->p : "", b->n > MAX_LINE ? "…" : "");
  return 0;
}

static int log_debug(lua_State *L) { return write_log(L, HL_LOG_DEBUG); }
static int log_info(lua_State *L) { return write_log(L, HL_LOG_INFO); }
static int log_warn(lua_State *L) { return write_log(L, HL_LOG_WARN); }
static int log_error(lua_State *L) { return write_log(L, HL_LOG_ERROR); }

void hl_bind_log(lua_State *L) {
  static const luaL_Reg lib[] = {{"debug", log_debug}, {"info", log_info}, {"warn", log_warn}, {"error", log_error}, {NULL, NULL}};
  luaL_newlib(L, lib);
  hl_state_add_module(L, "log", true);
}
