/* The core of `task`: groups of children, handles, sleeping, and cells to park
 * on. stdlib/task.lua builds all, race, map, timeout, semaphores and channels
 * from it.
 *
 * A group is a set of children of the task that made it. Each that ends leaves
 * an entry {index, ok, values…} in the group's list; take() gives them in the
 * order of their ends. A handle (task.spawn) is a group with one child whose
 * entry stays. */
#include <assert.h>

#include "base/time.h"
#include "lua/core.h"

#define GROUP_MT "hl.task.group"
#define HANDLE_MT "hl.task.handle"
#define CELL_MT "hl.task.cell"

typedef struct group group;
typedef struct member {
  group *g;
  hl_task *task;
  lua_Integer index;
  struct member *next, *prev;
} member;
typedef struct waiter {
  group *g;
  hl_task *task;
  struct waiter *next, *prev;
} waiter;
struct group {
  hl_state *state;
  member *members;             /* live ones; they keep the group's anchor */
  waiter *first, *last;
  lua_Integer head, tail;      /* entries head+1 … tail are in the uservalue */
  int anchor;
  bool solo;
};

int hl_lua_read_duration(lua_State *L, int idx, int64_t *ms, hl_error *err) {
  if (lua_type(L, idx) == LUA_TNUMBER) {
    lua_Number sec = lua_tonumber(L, idx);
    if (!(sec >= 0 && sec <= 1e10)) return hl_fail(err, HL_EINVAL, "a duration is between 0 and 1e10 seconds");
    *ms = (int64_t)(sec * 1000.0 + 0.5);
    return 0;
  }
  size_t n;
  const char *p = lua_tolstring(L, idx, &n);
  if (!p) return hl_fail(err, HL_EINVAL, "a duration is \"15m\", \"4h\", \"2d\" or a number of seconds, not a %s", luaL_typename(L, idx));
  return hl_duration_parse((hl_str){p, n}, ms, err);
}

int64_t hl_lua_check_duration(lua_State *L, int idx) {
  hl_error err;
  int64_t ms = 0;
  if (hl_lua_read_duration(L, idx, &ms, &err)) luaL_argerror(L, idx, err.text);
  return ms;
}

/* What is wrong with a duration, or nil: for shipped Lua, which raises at its caller's line. */
static int core_duration_error(lua_State *L) {
  hl_error err;
  int64_t ms;
  lua_settop(L, 1);
  if (hl_lua_read_duration(L, 1, &ms, &err)) lua_pushstring(L, err.text);
  else lua_pushnil(L);
  return 1;
}

/* ---- groups ---- */

static void push_anchored(hl_state *s, lua_State *L, int ref) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchors);
  lua_rawgeti(L, -1, ref);
  lua_remove(L, -2);
}

static void drop_waiter(waiter *w) {
  group *g = w->g;
  if (w->prev) w->prev->next = w->next; else g->first = w->next;
  if (w->next) w->next->prev = w->prev; else g->last = w->prev;
  hl_free(w);
}
static void cancel_waiter(void *arg) { drop_waiter(arg); }

/* Pushes entry `place` of the group at absolute index idx: ok, then the values; gives
 * their count. The entry itself is {index, ok, n, values…}. */
static int push_entry(lua_State *L, int idx, lua_Integer place, bool with_index) {
  lua_getiuservalue(L, idx, 1);
  lua_rawgeti(L, -1, place);
  int entry = lua_gettop(L);
  lua_rawgeti(L, entry, 3);
  int n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n + 4, "results");
  if (with_index) lua_rawgeti(L, entry, 1);
  lua_rawgeti(L, entry, 2);
  for (int i = 1; i <= n; i++) lua_rawgeti(L, entry, 3 + i);
  return n + (with_index ? 2 : 1);
}

/* The next end (group), or the one there is (handle: values, or the error raised). */
static int push_taken(lua_State *L, group *g, int idx) {
  if (!g->solo) {
    lua_Integer place = ++g->head;
    int n = push_entry(L, idx, place, true);
    lua_getiuservalue(L, idx, 1);
    lua_pushnil(L);
    lua_rawseti(L, -2, place);
    lua_pop(L, 1);
    return n;
  }
  int n = push_entry(L, idx, 1, false);
  if (lua_toboolean(L, -n)) return n - 1;
  return -1;
}

static int push_resumed(lua_State *L, void *arg) {
  group *g = arg;
  push_anchored(g->state, L, g->anchor);
  return push_taken(L, g, lua_gettop(L));
}

static void member_end(void *arg, hl_task *t, int code, lua_State *L, int nresults, hl_str text) {
  member *m = arg;
  group *g = m->g;
  hl_state *s = g->state;
  hl_task *parent = t->parent;
  int n = code == 0 ? nresults : 1;
  luaL_checkstack(L, 6, NULL);
  push_anchored(s, L, g->anchor);
  int self = lua_gettop(L);
  lua_createtable(L, n + 3, 0);
  lua_pushinteger(L, m->index);
  lua_rawseti(L, -2, 1);
  lua_pushboolean(L, code == 0);
  lua_rawseti(L, -2, 2);
  lua_pushinteger(L, n);
  lua_rawseti(L, -2, 3);
  for (int i = 1; i <= n; i++) {
    lua_pushvalue(L, self - n + i - 1);
    lua_rawseti(L, -2, 3 + i);
  }
  lua_getiuservalue(L, self, 1);
  lua_insert(L, -2);
  lua_rawseti(L, -2, ++g->tail);
  lua_settop(L, self - 1);
  if (m->prev) m->prev->next = m->next; else g->members = m->next;
  if (m->next) m->next->prev = m->prev;
  hl_free(m);
  bool waited = g->first != NULL;
  while (g->first && (g->solo || g->head < g->tail)) {
    hl_task *w = g->first->task;
    drop_waiter(g->first);
    hl_task_resume(w, push_resumed, g);
  }
  if (g->solo && !waited && code != 0 && code != HL_ECANCELLED && parent) {
    lua_pushvalue(L, -1);
    hl_task_fail(parent, code, L, text);
  }
  if (!g->members) {
    lua_rawgeti(s->L, LUA_REGISTRYINDEX, s->anchors);
    luaL_unref(s->L, -1, g->anchor);
    lua_pop(s->L, 1);
    g->anchor = LUA_NOREF;
  }
}

static group *new_group(lua_State *L, const char *mt) {
  group *g = lua_newuserdatauv(L, sizeof *g, 1);
  *g = (group){.state = hl_state_of(L), .anchor = LUA_NOREF};
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, mt);
  return g;
}

/* Starts the function below its nargs arguments as a child, in the group at absolute index idx. */
static void start_member(lua_State *L, group *g, int idx, lua_Integer index, int nargs, int64_t timeout_ms) {
  hl_task *parent = hl_task_current(L);
  if (!parent || parent->phase != HL_TASK_RUNNING)
    hl_lua_raise(L, "misuse", "tasks are started from a running task only");
  if (g->anchor == LUA_NOREF) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, g->state->anchors);
    lua_pushvalue(L, idx);
    g->anchor = luaL_ref(L, -2);
    lua_pop(L, 1);
  }
  hl_error err;
  hl_task_options o = {.timeout_ms = timeout_ms};
  hl_task *t = NULL;
  if (hl_task_spawn(L, parent, nargs, &o, member_end, NULL, &t, &err) != 0) {
    hl_lua_raise(L, "limit", "%s", err.text);
    return;
  }
  /* Only now: hl_task_spawn may raise, and would lose it. */
  member *m = HL_NEW(member);
  *m = (member){.g = g, .task = t, .index = index, .next = g->members};
  if (m->next) m->next->prev = m;
  g->members = m;
  t->end_arg = m;
}

static int core_group(lua_State *L) {
  new_group(L, GROUP_MT);
  return 1;
}

/* group:start(index, timeout or nil, fn, …) */
static int group_start(lua_State *L) {
  group *g = luaL_checkudata(L, 1, GROUP_MT);
  lua_Integer index = luaL_checkinteger(L, 2);
  int64_t timeout = lua_isnil(L, 3) ? 0 : hl_lua_check_duration(L, 3);
  luaL_checktype(L, 4, LUA_TFUNCTION);
  start_member(L, g, 1, index, lua_gettop(L) - 4, lua_isnil(L, 3) ? 0 : timeout > 0 ? timeout : 1);
  return 0;
}

static int wait_for(lua_State *L, group *g) {
  hl_task *t = hl_task_check_wait(L);
  waiter *w = HL_NEW(waiter);
  *w = (waiter){.g = g, .task = t, .prev = g->last};
  if (g->last) g->last->next = w; else g->first = w;
  g->last = w;
  hl_task_wait(t, cancel_waiter, w);
  return hl_task_yield(L);
}

/* group:take() gives index, ok, values… of the next child that has ended. Waits. */
static int group_take(lua_State *L) {
  group *g = luaL_checkudata(L, 1, GROUP_MT);
  if (g->head < g->tail) return push_taken(L, g, 1);
  if (!g->members) return luaL_error(L, "no child is left in this group");
  return wait_for(L, g);
}

static int cancel_members(lua_State *L, group *g) {
  (void)L;
  for (member *m = g->members; m; m = m->next) hl_task_cancel(m->task, HL_ECANCELLED, "it was cancelled");
  return 0;
}
static int group_close(lua_State *L) { return cancel_members(L, luaL_checkudata(L, 1, GROUP_MT)); }

/* ---- handles ---- */

static int core_spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  int nargs = lua_gettop(L) - 1;
  group *g = new_group(L, HANDLE_MT);
  g->solo = true;
  lua_insert(L, 1);
  start_member(L, g, 1, 1, nargs, 0);
  lua_settop(L, 1);
  return 1;
}

static int handle_wait(lua_State *L) {
  group *g = luaL_checkudata(L, 1, HANDLE_MT);
  lua_settop(L, 1);
  if (g->tail == 0) {
    if (g->members && g->members->task == hl_task_current(L))
      return luaL_error(L, "a task cannot wait for itself");
    return wait_for(L, g);
  }
  int n = push_taken(L, g, 1);
  return n < 0 ? lua_error(L) : n;
}
static int handle_cancel(lua_State *L) { return cancel_members(L, luaL_checkudata(L, 1, HANDLE_MT)); }
static int handle_done(lua_State *L) {
  group *g = luaL_checkudata(L, 1, HANDLE_MT);
  lua_pushboolean(L, g->tail > 0);
  return 1;
}

/* ---- cells: one task parks, another wakes it ---- */

typedef struct cell {
  hl_loop *loop;
  hl_task *task;               /* parked; its stack keeps the cell alive */
  hl_defer defer;
  bool signalled;              /* woken before it parked */
} cell;

static int core_cell(lua_State *L) {
  cell *c = lua_newuserdatauv(L, sizeof *c, 0);
  *c = (cell){.loop = hl_state_of(L)->loop};
  luaL_setmetatable(L, CELL_MT);
  return 1;
}
static void unpark(void *arg) {
  cell *c = arg;
  c->task = NULL;
  hl_defer_stop(c->loop, &c->defer);
}
static int cell_park(lua_State *L) {
  cell *c = luaL_checkudata(L, 1, CELL_MT);
  if (c->signalled) {
    c->signalled = false;
    return 0;
  }
  hl_task *t = hl_task_check_wait(L);
  if (c->task) return luaL_error(L, "a task waits here already");
  c->task = t;
  hl_task_wait(t, unpark, c);
  return hl_task_yield(L);
}
static void wake_cb(hl_defer *defer, void *arg) {
  (void)defer;
  cell *c = arg;
  hl_task *t = c->task;
  c->task = NULL;
  hl_task_resume(t, NULL, NULL); /* c may be gone */
}
static int cell_wake(lua_State *L) {
  cell *c = luaL_checkudata(L, 1, CELL_MT);
  if (c->task)
    hl_defer_start(c->loop, &c->defer, wake_cb, c);
  else
    c->signalled = true;
  return 0;
}

static int core_sleep(lua_State *L) {
  int64_t ms = hl_lua_check_duration(L, 1);
  hl_task_sleep(hl_task_check_wait(L), ms);
  return hl_task_yield(L);
}

static void metatable(lua_State *L, const char *name, const char *shown, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, shown);
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
}

void hl_bind_task(lua_State *L) {
  static const luaL_Reg group_methods[] = {{"start", group_start}, {"take", group_take}, {"cancel", group_close}, {NULL, NULL}};
  static const luaL_Reg handle_methods[] = {{"wait", handle_wait}, {"join", handle_wait}, {"cancel", handle_cancel}, {"done", handle_done}, {NULL, NULL}};
  static const luaL_Reg cell_methods[] = {{"park", cell_park}, {"wake", cell_wake}, {NULL, NULL}};
  static const luaL_Reg core[] = {{"group", core_group}, {"spawn", core_spawn}, {"cell", core_cell}, {"sleep", core_sleep},
                                  {"duration_error", core_duration_error}, {NULL, NULL}};
  metatable(L, GROUP_MT, "task group", group_methods);
  lua_pushcfunction(L, group_close);
  lua_setfield(L, -2, "__close");
  metatable(L, HANDLE_MT, "task", handle_methods);
  metatable(L, CELL_MT, "task cell", cell_methods);
  lua_pop(L, 3);
  hl_state_push_host(L);
  luaL_newlib(L, core);
  lua_setfield(L, -2, "task");
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "task");
  lua_call(L, 1, 1);
  hl_state_add_module(L, "task", true);
}
