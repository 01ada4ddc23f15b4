/* host.call_log(since), host.call_lines(reader), host.call_shape(path): the call log for stdlib/hubspot/call_log.lua.
 * Files are read on another thread, a piece at a time; a log in memory is one piece. */
#include "base/mem.h"
#include "hubspot/call_log.h"
#include "hubspot/call_read.h"
#include "lua/script.h"

#define READER_MT "hl.calls"

enum { PIECE = 256 << 10, PIECE_MAX = 8 << 20, PATH_LONGEST = 64 << 10 };

typedef struct reader {
  hl_calls *calls;           /* NULL: not opened yet, or a job has it */
  char *base;                /* NULL: in memory, or read out */
  int64_t since;
  bool busy;
  hl_buf kept;
} reader;

typedef struct read_op {
  hl_task *task;             /* NULL: it has ended meanwhile, and the reader may be gone */
  reader *reader;
  hl_calls *calls;
  char *base;
  int64_t since;
  hl_buf out;
  int code;
  hl_error err;
} read_op;

/* On another thread. */
static void work(void *arg) {
  read_op *o = arg;
  hl_str line;
  if (!o->calls) o->calls = hl_calls_open(o->base, o->since);
  while (o->out.n < PIECE && (o->code = hl_calls_next(o->calls, &line, &o->err)) > 0) {
    o->code = hl_buf_append(&o->out, line.p, line.n);
    if (!o->code) o->code = hl_buf_append(&o->out, "\n", 1);
    if (o->code) {
      hl_fail(&o->err, o->code, "no memory to read the call log");
      break;
    }
  }
}

static int push(lua_State *L, void *arg) {
  read_op *o = arg;
  if (o->code < 0) {
    hl_lua_push_error(L, hl_err_name(o->code), o->err.text, 0, NULL, NULL, false);
    return -1;
  }
  if (o->out.n) lua_pushlstring(L, o->out.p, o->out.n);
  else lua_pushnil(L);
  return 1;
}

static void done(void *arg) {
  read_op *o = arg;
  if (o->task) {
    o->reader->calls = o->calls; /* the reader is an argument of the call that waits */
    o->reader->busy = false;
    hl_task_resume(o->task, push, o);
  } else {
    hl_calls_close(o->calls);
  }
  hl_buf_deinit(&o->out);
  hl_free(o->base);
  hl_free(o);
}

static void dropped(void *arg) { ((read_op *)arg)->task = NULL; }

/* host.call_log(since in epoch ms): a reader, or nil when no log is kept */
static int l_call_log(lua_State *L) {
  lua_Integer since = luaL_checkinteger(L, 1);
  const hl_call_log *log = hl_hubspot_call_log(hl_script_of(L)->host->o.hubspot);
  if (!log) return 0;
  reader *r = lua_newuserdatauv(L, sizeof *r, 0);
  *r = (reader){.since = since};
  hl_buf_init(&r->kept, PIECE_MAX);
  luaL_setmetatable(L, READER_MT);
  hl_str kept = hl_call_log_kept(log);
  if (hl_call_log_path(log)) r->base = hl_strdup(hl_call_log_path(log));
  else if (kept.n && hl_buf_append(&r->kept, kept.p, kept.n)) return luaL_error(L, "no memory to read the call log");
  return 1;
}

/* host.call_lines(reader): some whole lines in one text, or nil after the last. Waits. */
static int l_call_lines(lua_State *L) {
  reader *r = luaL_checkudata(L, 1, READER_MT);
  lua_settop(L, 1);
  if (r->busy) return luaL_error(L, "call_log: another task reads from it right now");
  if (!r->base) {
    if (!r->kept.n) return 0;
    lua_pushlstring(L, r->kept.p, r->kept.n);
    hl_buf_clear(&r->kept);
    return 1;
  }
  hl_task *t = hl_task_check_wait(L);
  read_op *o = HL_NEW(read_op);
  *o = (read_op){.task = t, .reader = r, .calls = r->calls, .base = hl_strdup(r->base), .since = r->since};
  hl_buf_init(&o->out, PIECE_MAX);
  r->calls = NULL;
  r->busy = true;
  hl_task_wait(t, dropped, o);
  hl_loop_work(hl_script_of(L)->host->o.loop, work, done, o);
  return hl_task_yield(L);
}

/* host.call_shape(path): "/crm/objects/2026-09/contacts/{id}" */
static int l_call_shape(lua_State *L) {
  hl_str path;
  hl_buf out;
  path.p = luaL_checklstring(L, 1, &path.n);
  hl_buf_init(&out, PATH_LONGEST);
  if (hl_call_path_shape(path, &out)) hl_buf_clear(&out);
  lua_pushlstring(L, out.n ? out.p : path.p, out.n ? out.n : path.n);
  hl_buf_deinit(&out);
  return 1;
}

static int reader_gc(lua_State *L) {
  reader *r = luaL_checkudata(L, 1, READER_MT);
  hl_calls_close(r->calls);
  hl_buf_deinit(&r->kept);
  hl_free(r->base);
  r->calls = NULL;
  r->base = NULL;
  return 0;
}

void hl_bind_calls(lua_State *L) {
  static const luaL_Reg fns[] = {{"call_log", l_call_log}, {"call_lines", l_call_lines}, {"call_shape", l_call_shape}, {NULL, NULL}};
  luaL_newmetatable(L, READER_MT);
  lua_pushcfunction(L, reader_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  hl_state_push_host(L);
  luaL_setfuncs(L, fns, 0);
  lua_pop(L, 1);
}
