/* The host's own coroutine library, and the trampoline: the only code that
 * resumes a Lua thread.
 *
 * A task is a stack of threads. coroutine.resume does not resume: it yields a
 * request, and the trampoline pushes the coroutine and goes on with it;
 * coroutine.yield yields one that pops it. So a wait inside any coroutine leaves
 * the whole stack of threads suspended under the task, and the watchdog knows
 * each thread that runs. Where C stands in between and nothing may yield (a
 * comparison in sort), the trampoline runs once more inside, and waiting is
 * refused there. */
#include "lua/core.h"

enum { CLOSING_ROOM = 256 << 10 };

hl_threads *hl_threads_current(hl_state *s) { return s->current ? &s->current->threads : &s->outer; }

static lua_State *top_of(const hl_threads *th) { return th->n ? th->v[th->n - 1] : th->main; }

void hl_threads_push(hl_threads *th, lua_State *co) {
  if (th->n == th->cap) {
    th->cap = th->cap ? th->cap * 2 : 4;
    th->v = hl_realloc(th->v, th->cap * sizeof *th->v);
  }
  th->v[th->n++] = co;
  hl_thread_set_busy(co, true);
}

int hl_thread_close(hl_state *s, lua_State *co) {
  if (hl_thread_deaf(co)) return LUA_ERRRUN;
  lua_State *before = hl_watch_enter(co);
  /* Closing must be possible in a state that is full, and not collect it each time. */
  size_t limit = s->limit;
  s->limit = (s->used > limit ? s->used : limit) + CLOSING_ROOM;
  s->limited++;
  int status = lua_resetthread(co);
  s->limited--;
  s->limit = limit;
  hl_watch_leave(co, before);
  return status;
}

/* Hands what `co` yielded, returned or raised to its resumer: a boolean and the
 * values. Gives the number of values for the resumer's continuation. */
static int deliver(hl_state *s, lua_State *co, lua_State *to, int status, int n) {
  bool ok = status == LUA_OK || status == LUA_YIELD;
  if (!ok) {
    hl_error_adapt(s, co, status);
    n = 1;
  }
  if (!lua_checkstack(to, n + 1)) {
    lua_pop(co, n);
    lua_pushboolean(to, 0);
    lua_pushliteral(to, "too many results to resume");
    return 2;
  }
  lua_pushboolean(to, ok);
  lua_xmove(co, to, n);
  return n + 1;
}

/* The watchdog stopped coroutines under C that cannot yield: they end, and the
 * first of them leaves the error for its resumer, whose own hook raises next. */
static void drop_threads(hl_state *s, hl_threads *th, unsigned base, lua_State *from) {
  unsigned limited = s->limited;
  while (th->n > base) {
    lua_State *co = th->v[--th->n];
    hl_thread_set_busy(co, false);
    (void)hl_thread_close(s, co);
    lua_settop(co, 0);
    if (th->n > base) continue;
    s->limited = 0;
    hl_lua_push_error(from, "limit", s->limit_text, 0, NULL, NULL, false);
    lua_xmove(from, co, 1);
    s->limited = limited;
  }
}

int hl_threads_spin(hl_state *s, hl_threads *th, unsigned base, lua_State *from, int nargs, int *nres) {
  for (;;) {
    lua_State *co = top_of(th);
    int n = 0;
    s->request = HL_REQ_NONE;
    s->hook_raised = false;
    s->limited++;
    lua_State *before = hl_watch_enter(co);
    int status = lua_resume(co, from, nargs, &n);
    hl_watch_leave(co, before);
    s->limited--;
    if (status == LUA_YIELD && s->request == HL_REQ_WAIT) return LUA_YIELD;
    if (status == LUA_YIELD && s->request == HL_REQ_LIMIT) {
      if (!from) return LUA_YIELD;
      drop_threads(s, th, base, from);
      *nres = 1;
      return LUA_ERRRUN;
    }
    if (status != LUA_OK && status != LUA_YIELD && s->hook_raised) *hl_thread_word(co) |= HL_THREAD_DEAF;
    if (status == LUA_YIELD && s->request == HL_REQ_RESUME) {
      nargs = s->req_nargs;
      hl_threads_push(th, s->req_co);
      continue;
    }
    *nres = n;
    if (th->n == 0) return status;
    th->n--;
    hl_thread_set_busy(co, false);
    if (th->n == base && from) return status;
    unsigned limited = s->limited;
    s->limited = 0;
    nargs = deliver(s, co, top_of(th), status, n);
    s->limited = limited;
  }
}

/* ---- the library ---- */

static lua_State *check_co(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  return co;
}

static bool resumable(lua_State *L, lua_State *co) {
  if (co == L || hl_thread_busy(co)) return false;
  int status = lua_status(co);
  return status == LUA_YIELD || (status == LUA_OK && lua_gettop(co) > 0);
}

static bool finished(lua_State *L, lua_State *co) {
  return co != L && !hl_thread_busy(co) && !resumable(L, co);
}

/* After the resume: a boolean and the values stand above index `ctx`. */
static int resume_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  return lua_gettop(L) - (int)ctx;
}

static int wrap_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  int first = (int)ctx + 1;
  if (lua_toboolean(L, first)) return lua_gettop(L) - first;
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  hl_state *s = hl_state_of(L);
  int st = lua_status(co);
  if (st != LUA_OK && st != LUA_YIELD && !hl_thread_busy(co)) {
    /* A coroutine that failed closes its variables before the error goes on. */
    lua_pushvalue(L, -1);
    lua_xmove(L, co, 1);
    int closed = hl_thread_close(s, co);
    if (closed != LUA_OK && closed != LUA_ERRMEM && lua_gettop(co) > 0) {
      lua_xmove(co, L, 1);
    }
  }
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

/* Resumes co with the nargs values on top of L; `keep` values stay below. */
static int resume(lua_State *L, lua_State *co, int nargs, lua_KFunction k) {
  hl_state *s = hl_state_of(L);
  int keep = lua_gettop(L) - nargs;
  const char *why = NULL;
  if (!resumable(L, co))
    why = finished(L, co) ? "cannot resume dead coroutine" : "cannot resume non-suspended coroutine";
  else if (!lua_checkstack(co, nargs))
    why = "too many arguments to resume";
  if (why) {
    lua_settop(L, keep);
    lua_pushboolean(L, 0);
    lua_pushstring(L, why);
    return k(L, LUA_OK, keep);
  }
  lua_xmove(L, co, nargs);
  hl_threads *th = hl_threads_current(s);
  if (lua_isyieldable(L) && top_of(th) == L) {
    s->request = HL_REQ_RESUME;
    s->req_co = co;
    s->req_nargs = nargs;
    return lua_yieldk(L, 0, keep, k);
  }
  int n = 0;
  unsigned base = th->n;
  hl_threads_push(th, co);
  th->nested++;
  int status = hl_threads_spin(s, th, base, L, nargs, &n);
  th->nested--;
  n = deliver(s, co, L, status, n);
  return k(L, LUA_OK, keep);
}

static int co_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_sethook(co, NULL, 0, 0);
  *hl_thread_word(co) = (uintptr_t)hl_state_of(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

static int co_resume(lua_State *L) {
  lua_State *co = check_co(L);
  return resume(L, co, lua_gettop(L) - 1, resume_k);
}

static int wrap_call(lua_State *L) {
  return resume(L, lua_tothread(L, lua_upvalueindex(1)), lua_gettop(L), wrap_k);
}

static int co_wrap(lua_State *L) {
  co_create(L);
  lua_pushcclosure(L, wrap_call, 1);
  return 1;
}

static bool in_coroutine(lua_State *L) {
  hl_threads *th = hl_threads_current(hl_state_of(L));
  return th->n > 0 && top_of(th) == L;
}

static int co_yield(lua_State *L) {
  hl_state *s = hl_state_of(L);
  if (!in_coroutine(L)) return luaL_error(L, "attempt to yield from outside a coroutine");
  if (!lua_isyieldable(L)) return luaL_error(L, "attempt to yield across a C-call boundary");
  s->request = HL_REQ_YIELD;
  return lua_yield(L, lua_gettop(L));
}

static int co_status(lua_State *L) {
  lua_State *co = check_co(L);
  if (co == L)
    lua_pushliteral(L, "running");
  else if (hl_thread_busy(co))
    lua_pushliteral(L, "normal");
  else
    lua_pushstring(L, resumable(L, co) ? "suspended" : "dead");
  return 1;
}

static int co_isyieldable(lua_State *L) {
  lua_State *co = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
  lua_pushboolean(L, co == L ? in_coroutine(L) && lua_isyieldable(L) : lua_isyieldable(co));
  return 1;
}

static int co_running(lua_State *L) {
  hl_state *s = hl_state_of(L);
  bool coroutine = in_coroutine(L);
  /* A script that holds the task's own thread must never meet it in another task. */
  if (!coroutine && s->current) s->current->exposed = true;
  lua_pushthread(L);
  lua_pushboolean(L, !coroutine);
  return 2;
}

static int co_close(lua_State *L) {
  lua_State *co = check_co(L);
  if (co == L || hl_thread_busy(co))
    return luaL_error(L, "cannot close a %s coroutine", co == L ? "running" : "normal");
  if (hl_thread_close(hl_state_of(L), co) == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  if (lua_gettop(co) > 0)
    lua_xmove(co, L, 1);
  else
    lua_pushnil(L);
  return 2;
}

void hl_coroutine_open(lua_State *L) {
  static const luaL_Reg lib[] = {{"create", co_create},           {"resume", co_resume},
                                 {"wrap", co_wrap},               {"yield", co_yield},
                                 {"status", co_status},           {"isyieldable", co_isyieldable},
                                 {"running", co_running},         {"close", co_close},
                                 {NULL, NULL}};
  luaL_newlib(L, lib);
  lua_setglobal(L, "coroutine");
}
