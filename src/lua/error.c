/* Error values: what scripts catch, and the text that people read. */
#include "lua/core.h"

#define ERROR_MT "hl.error"

/* ---- the error table ---- */

static int error_tostring(lua_State *L) {
  lua_pushliteral(L, "message");
  lua_rawget(L, 1);
  if (lua_type(L, -1) != LUA_TSTRING) lua_pushliteral(L, "error");
  return 1;
}

static void set_text(lua_State *L, const char *key, const char *value) {
  if (!value) return;
  lua_pushstring(L, key);
  lua_pushstring(L, value);
  lua_rawset(L, -3);
}

void hl_lua_push_error(lua_State *L, const char *kind, const char *message, int status,
                       const char *category, const char *correlation_id, bool retryable) {
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, 0, 6);
  set_text(L, "kind", kind);
  set_text(L, "message", message ? message : kind);
  set_text(L, "category", category);
  set_text(L, "correlation_id", correlation_id);
  if (status) {
    lua_pushliteral(L, "status");
    lua_pushinteger(L, status);
    lua_rawset(L, -3);
  }
  lua_pushliteral(L, "retryable");
  lua_pushboolean(L, retryable);
  lua_rawset(L, -3);
  luaL_setmetatable(L, ERROR_MT);
}

/* Pushes "file:line: " of the nearest caller that is a script's own: a position
 * inside the shipped modules tells its writer nothing. */
static void push_where(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0 || strncmp(ar.short_src, "stdlib/", 7) == 0) continue;
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    return;
  }
  luaL_where(L, 1);
}

int hl_lua_raise(lua_State *L, const char *kind, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  push_where(L);
  lua_pushstring(L, text);
  lua_concat(L, 2);
  hl_lua_push_error(L, kind, lua_tostring(L, -1), 0, NULL, NULL, false);
  return lua_error(L);
}

static bool is_error_table(lua_State *L, int idx) {
  if (!lua_istable(L, idx) || !lua_getmetatable(L, idx)) return false;
  luaL_getmetatable(L, ERROR_MT);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

void hl_error_adapt(hl_state *s, lua_State *L, int status) {
  if (status != LUA_ERRMEM) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->memory_error);
  lua_replace(L, -2);
}

int hl_error_code(lua_State *L, int idx) {
  if (!is_error_table(L, idx)) return HL_ESCRIPT;
  lua_pushvalue(L, idx);
  lua_pushliteral(L, "kind");
  lua_rawget(L, -2);
  const char *kind = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  bool limit = strcmp(kind, "limit") == 0;
  lua_pop(L, 2);
  return limit ? HL_ELIMIT : HL_ESCRIPT;
}

/* ---- the text ---- */

static int protected_tostring(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Pushes the message of the value at absolute index idx. A script's own
 * __tostring runs as guarded as the script itself. */
static void push_message(hl_state *s, lua_State *L, int idx) {
  /* A table of the script's own may have a message without knowing how to print itself. */
  bool plain = lua_istable(L, idx) && luaL_getmetafield(L, idx, "__tostring") == LUA_TNIL;
  if (lua_istable(L, idx) && !plain) lua_pop(L, 1);
  if (plain || is_error_table(L, idx)) {
    lua_pushliteral(L, "message");
    lua_rawget(L, idx);
    if (lua_type(L, -1) == LUA_TSTRING) return;
    lua_pop(L, 1);
  }
  if (lua_type(L, idx) == LUA_TSTRING) {
    lua_pushvalue(L, idx);
    return;
  }
  if (lua_isnil(L, idx)) {
    lua_pushliteral(L, "error(nil)");
    return;
  }
  hl_watch saved;
  hl_watch_begin(s->cpu_ms, &saved);
  lua_State *before = hl_watch_enter(L);
  lua_pushcfunction(L, protected_tostring);
  lua_pushvalue(L, idx);
  s->limited++;
  int status = lua_pcall(L, 1, 1, 0);
  s->limited--;
  hl_watch_leave(L, before);
  hl_watch_end(&saved);
  if (status != LUA_OK || lua_type(L, -1) != LUA_TSTRING) {
    lua_pop(L, 1);
    lua_pushfstring(L, "(an error value of type %s)", luaL_typename(L, idx));
  }
}

/* Appends a traceback without the lines of C functions, which are ours. */
static void append_traceback(hl_buf *b, const char *text) {
  for (const char *line = text; *line;) {
    const char *end = strchr(line, '\n');
    size_t n = end ? (size_t)(end - line) : strlen(line);
    if (n > 0 && strncmp(line, "\t[C]:", 5) != 0) {
      if (b->n) (void)hl_buf_append(b, "\n", 1);
      (void)hl_buf_append(b, line, n);
    }
    line += n + (end ? 1 : 0);
  }
}

char *hl_error_text(hl_state *s, lua_State *L, int idx, lua_State *co, size_t *n) {
  unsigned limited = s->limited;
  s->limited = 0;
  hl_buf b;
  hl_buf_init(&b, 64 * 1024);
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 10, NULL);
  push_message(s, L, idx);
  size_t len = 0;
  const char *message = lua_tolstring(L, -1, &len);
  if (hl_buf_append(&b, message, len) != 0) (void)hl_buf_append(&b, message, 32 * 1024);
  lua_pop(L, 1);
  bool known = false;
  if (is_error_table(L, idx)) {
    lua_pushliteral(L, "traceback");
    lua_rawget(L, idx);
    if (lua_type(L, -1) == LUA_TSTRING) {
      append_traceback(&b, lua_tostring(L, -1));
      known = true;
    }
    lua_pop(L, 1);
  }
  if (co) {
    luaL_traceback(L, co, NULL, 0);
    hl_buf trace;
    hl_buf_init(&trace, 32 * 1024);
    append_traceback(&trace, lua_tostring(L, -1));
    lua_pop(L, 1);
    if (trace.p && strchr(trace.p, '\n')) { /* more than its heading */
      (void)hl_buf_append(&b, "\n", 1);
      (void)hl_buf_append(&b, trace.p, trace.n);
      if (!known && is_error_table(L, idx)) {
        lua_pushliteral(L, "traceback");
        lua_pushlstring(L, trace.p, trace.n);
        lua_rawset(L, idx);
      }
    }
    hl_buf_deinit(&trace);
  }
  s->limited = limited;
  *n = b.n;
  return hl_buf_detach(&b, NULL);
}

/* ---- pcall and xpcall ---- */

/* As Lua's own, but a memory error arrives as a table that names the limit, and
 * a message handler cannot go on when the watchdog has spoken: hooks are off
 * while a handler runs that a hook's error called. */
static int pcall_k(lua_State *L, int status, lua_KContext ctx) {
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)ctx;
  hl_error_adapt(hl_state_of(L), L, status);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

static int own_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, pcall_k);
  return pcall_k(L, status, 0);
}

static int handle_message(lua_State *L) {
  if (hl_watch_spent()) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

static int own_xpcall(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, handle_message, 1);
  lua_replace(L, 2);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  int status = lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, pcall_k);
  return pcall_k(L, status, 2);
}

void hl_error_open(lua_State *L) {
  hl_state *s = hl_state_of(L);
  luaL_newmetatable(L, ERROR_MT);
  lua_pushcfunction(L, error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "error");
  lua_setfield(L, -2, "__name");
  /* Out of a script's reach: a __gc put in here would run for each error, where no watchdog ends it. */
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  lua_pushcfunction(L, own_pcall);
  lua_setglobal(L, "pcall");
  lua_pushcfunction(L, own_xpcall);
  lua_setglobal(L, "xpcall");
  char text[128];
  snprintf(text, sizeof text, "out of memory: the script needs more than its limit of %.0f MiB",
           (double)s->limit / (1024.0 * 1024.0));
  hl_lua_push_error(L, "limit", text, 0, NULL, NULL, false);
  s->memory_error = luaL_ref(L, LUA_REGISTRYINDEX);
}
