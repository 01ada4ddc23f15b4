/* Work: a task with a run, tracked so that the host can cut it, whose
 * host.on_end functions are called before its effects are sealed. */
#include "lua/script.h"

#include "base/mem.h"

struct hl_work {
  hl_work *next, *prev;
  hl_script *script;
  hl_task *task;
  hl_run *run;
  hl_work_end end;         /* NULL: it was cut, the task's end is of no interest any more */
  void *arg;
};

hl_script *hl_script_of(lua_State *L) { return hl_state_owner(hl_state_of(L)); }

const char *hl_host_default_account(hl_host *host) {
  hl_account *a[2];
  if (!host->o.hubspot || hl_hubspot_accounts(host->o.hubspot, a, 2) != 1) return "";
  return hl_account_name(a[0]);
}

const char *hl_script_account(lua_State *L) {
  hl_task *t = hl_task_current(L);
  const char *name = t ? hl_task_account(t) : "";
  return name && *name ? name : hl_host_default_account(hl_script_of(L)->host);
}

hl_run *hl_script_run(lua_State *L, bool *at_once) {
  hl_script *s = hl_script_of(L);
  hl_run *run = s->hook_run;
  hl_task *t = hl_task_current(L);
  if (!run) run = t ? hl_task_run(t) : NULL;
  if (!run) {
    hl_lua_raise(L, "invalid", "there is nothing here that this could be stored with");
    return NULL;
  }
  hl_run_as(run, t ? hl_task_writer(t) : 0);
  if (at_once) *at_once = run == s->main_run && run != s->hook_run;
  return run;
}

void hl_script_check_loading(lua_State *L, const char *what) {
  if (!hl_script_of(L)->loading)
    luaL_error(L, "%s is only possible while the script loads: call it at the top of the file, "
                  "not inside a handler", what);
}

/* ---- host.on_end: functions kept under the run's address in the registry ---- */

/* A list: function, its task's number, function, … */
static const char hooks_key;

static void push_hooks(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &hooks_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &hooks_key);
  }
}

static int l_on_end(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  hl_run *run = hl_script_run(L, NULL);
  push_hooks(L);
  if (lua_rawgetp(L, -1, run) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, run);
  }
  hl_task *t = hl_task_current(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, n + 1);
  lua_pushinteger(L, t ? hl_task_writer(t) : 0);
  lua_rawseti(L, -2, n + 2);
  return 0;
}

/* Arguments: run (light userdata), ok, the task's number or nil for all. Every function is
 * called, also after one raised; the first error is raised at the end. */
static int call_hooks(lua_State *L) {
  void *run = lua_touserdata(L, 1);
  lua_settop(L, 3);
  push_hooks(L);
  if (lua_rawgetp(L, 4, run) != LUA_TTABLE) return 0;
  lua_newtable(L); /* those of other tasks stay */
  lua_Integer n = (lua_Integer)lua_rawlen(L, 5), kept = 0;
  bool failed = false;
  for (lua_Integer i = 1; i < n; i += 2) {
    lua_rawgeti(L, 5, i);
    lua_rawgeti(L, 5, i + 1);
    if (lua_isnil(L, 3) || lua_rawequal(L, 3, -1)) {
      lua_pop(L, 2);
      continue;
    }
    lua_rawseti(L, 6, kept + 2);
    lua_rawseti(L, 6, kept + 1);
    kept += 2;
  }
  if (kept) lua_pushvalue(L, 6);
  else lua_pushnil(L);
  lua_rawsetp(L, 4, run);
  for (lua_Integer i = 1; i < n; i += 2) {
    lua_rawgeti(L, 5, i + 1);
    bool mine = lua_isnil(L, 3) || lua_rawequal(L, 3, -1);
    lua_pop(L, 1);
    if (!mine) continue;
    lua_rawgeti(L, 5, i);
    lua_pushvalue(L, 2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
      if (failed) lua_pop(L, 1);
      failed = true;
    }
  }
  return failed ? lua_error(L) : 0;
}

/* `writer` below 0: of all tasks. */
static bool run_hooks(lua_State *L, hl_script *s, hl_run *run, bool ok, int64_t writer, hl_error *err) {
  luaL_checkstack(L, 8, NULL);
  /* Most runs have none. */
  bool any = false;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &hooks_key) == LUA_TTABLE) {
    any = lua_rawgetp(L, -1, run) == LUA_TTABLE;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (!any) return true;
  hl_run *before = s->hook_run;
  s->hook_run = run;
  lua_pushcfunction(L, call_hooks);
  lua_pushlightuserdata(L, run);
  lua_pushboolean(L, ok);
  if (writer < 0) lua_pushnil(L);
  else lua_pushinteger(L, writer);
  int rc = hl_state_call(L, 3, 0, err);
  s->hook_run = before;
  return rc == 0;
}

int hl_script_seal(lua_State *L, hl_run *run, hl_error *err) {
  hl_task *t = hl_task_current(L);
  return run_hooks(L, hl_script_of(L), run, true, t ? hl_task_writer(t) : 0, err) ? 0 : HL_ESCRIPT;
}

static void unlink_work(hl_work *w) {
  if (w->prev) w->prev->next = w->next;
  else w->script->works = w->next;
  if (w->next) w->next->prev = w->prev;
}

static void work_ended(void *arg, hl_task *t, int code, lua_State *L, int nresults, hl_str text) {
  hl_work *w = arg;
  (void)t;
  hl_error err;
  if (!w->end) return;
  unlink_work(w);
  if (w->run && !run_hooks(hl_state_lua(w->script->state), w->script, w->run, code == 0, -1, &err) && code == 0) {
    code = HL_ESCRIPT;
    nresults = 0;
    lua_pushnil(L); /* the error value's place */
    w->end(w->arg, code, L, nresults, hl_str_of(err.text));
  } else {
    w->end(w->arg, code, L, nresults, text);
  }
  hl_script *s = w->script;
  hl_free(w);
  if (!s->works) hl_script_idle(s);
}

int hl_work_start(hl_script *s, int nargs, const hl_task_options *o, hl_work_end end, void *arg,
                  hl_work **out, hl_error *err) {
  lua_State *L = hl_state_lua(s->state);
  hl_work *w = HL_NEW(hl_work);
  w->script = s;
  w->run = o->run;
  w->end = end;
  w->arg = arg;
  int rc = hl_task_start(L, nargs, o, work_ended, w, &w->task, err);
  if (rc) {
    hl_free(w);
    return rc;
  }
  w->next = s->works;
  if (w->next) w->next->prev = w;
  s->works = w;
  if (out) *out = w;
  return 0;
}

void hl_works_cut(hl_script *s) {
  hl_error err;
  for (hl_work *w = s->works; w; w = w->next) {
    hl_work_end end = w->end;
    w->end = NULL;
    if (w->run) run_hooks(hl_state_lua(s->state), s, w->run, false, -1, &err);
    end(w->arg, HL_ECANCELLED, NULL, 0, HL_STR("the host is closing"));
  }
}

void hl_works_free(hl_script *s) {
  while (s->works) {
    hl_work *w = s->works;
    s->works = w->next;
    hl_free(w);
  }
}

void hl_works_cancel(hl_script *s, const char *why) {
  for (hl_work *w = s->works; w; w = w->next) hl_task_cancel(w->task, HL_ECANCELLED, why);
}

void hl_work_cancel(hl_work *w, int code, const char *why) { hl_task_cancel(w->task, code, why); }
hl_task *hl_work_task(hl_work *w) { return w->task; }
hl_work *hl_work_next(const hl_work *w) { return w->next; }

typedef struct protected_call { lua_CFunction fn; void *arg; } protected_call;

bool hl_script_protected(hl_script *s, lua_CFunction fn, void *arg, int want, hl_error *err) {
  lua_State *L = hl_state_lua(s->state);
  if (!lua_checkstack(L, want + 4)) {
    hl_fail(err, HL_ELIMIT, "%s: no stack left", s->name);
    return false;
  }
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, arg);
  if (lua_pcall(L, 1, want, 0) == LUA_OK) return true;
  const char *text = lua_tostring(L, -1);
  hl_fail(err, HL_ELIMIT, "%s: %s", s->name, text ? text : "out of memory");
  lua_pop(L, 1);
  return false;
}

/* ---- committing at once ---- */
typedef struct commit_op {
  hl_task *task;   /* NULL once the waiter is gone: the commit cannot be called back */
  int code;
} commit_op;

static void commit_dropped(void *arg) { ((commit_op *)arg)->task = NULL; }

static int push_committed(lua_State *L, void *arg) {
  commit_op *op = arg;
  if (op->code == 0) return 0;
  hl_lua_push_error(L, hl_err_name(op->code), "the store cannot commit: what was written is not stored",
                    0, NULL, NULL, true);
  return -1;
}

static void committed(void *arg, int code) {
  commit_op *op = arg;
  op->code = code;
  if (op->task) hl_task_resume(op->task, push_committed, op);
  hl_free(op);
}

int hl_script_commit_now(lua_State *L, hl_run *run) {
  hl_task *t = hl_task_check_wait(L);
  commit_op *op = HL_NEW(commit_op);
  op->task = t;
  hl_task_wait(t, commit_dropped, op);
  hl_run_commit(run, committed, op);
  return hl_task_yield(L);
}

/* ---- host.audit ---- */
static void tell_audit(hl_host *host, hl_run *run, const char *kind, const char *key, hl_str json) {
  char on[300];
  snprintf(on, sizeof on, "%s %s", kind, key);
  hl_replay_did(host, run, true, "audit", on, json, NULL);
}

static int l_audit(lua_State *L) {
  const char *kind = luaL_checkstring(L, 1), *key = luaL_checkstring(L, 2);
  bool at_once;
  hl_run *run = hl_script_run(L, &at_once);
  hl_error err;
  hl_buf json;
  hl_buf_init(&json, 256 * 1024);
  int rc = hl_lua_to_json(L, 3, &json, &err);
  if (!rc) rc = hl_run_audit(run, kind, key, hl_buf_str(&json), &err);
  if (!rc) hl_testbed_audited(hl_script_of(L)->host, run, kind, key, hl_buf_str(&json));
  if (!rc) tell_audit(hl_script_of(L)->host, run, kind, key, hl_buf_str(&json));
  hl_buf_deinit(&json);
  if (rc) return hl_lua_raise(L, hl_err_name(rc), "audit record: %s", err.text);
  return at_once ? hl_script_commit_now(L, run) : 0;
}

static int l_account(lua_State *L) {
  lua_pushstring(L, hl_script_account(L));
  return 1;
}

static int l_class(lua_State *L) {
  hl_task *t = hl_task_current(L);
  lua_pushstring(L, hl_lua_class_name(t ? hl_task_class(t) : HL_CLASS_NORMAL));
  return 1;
}

static int l_now(lua_State *L) {
  lua_pushinteger(L, hl_loop_now(hl_script_of(L)->host->o.loop));
  return 1;
}

void hl_bind_effects(lua_State *L) {
  static const luaL_Reg fns[] = {
      {"on_end", l_on_end}, {"audit", l_audit}, {"account", l_account}, {"class", l_class}, {"now", l_now}, {NULL, NULL}};
  hl_state_push_host(L);
  luaL_setfuncs(L, fns, 0);
  const hl_script *s = hl_script_of(L); /* NULL: a state that only looks at scripts */
  lua_pushstring(L, s ? s->name : "");
  lua_setfield(L, -2, "script");
  lua_pop(L, 1);
}
