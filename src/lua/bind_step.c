/* host.step: durable steps of a handler's run; stdlib/engine/step.lua makes step()
 * of it. A step's result is what JSON keeps of it, in the first run as in later ones. */
#include "base/mem.h"
#include "lua/script.h"

#define STEP_MT "hl.step"
#define NOT_FIT "its stored steps no longer fit"

typedef struct step_box {
  hl_step *step;
  hl_task *task;
} step_box;

typedef struct step_wait {
  hl_task *task;
  hl_step_op *op;
  hl_step *step;
  hl_run *run;
  char *name;
  int code;
  hl_error err;
} step_wait;

static void wait_free(step_wait *w) {
  hl_free(w->name);
  hl_free(w);
}

static void wait_dropped(void *arg) {
  step_wait *w = arg;
  if (w->op) hl_step_op_drop(w->op);
  wait_free(w);
}

static void no_cleanup(void *arg) { (void)arg; }

/* Returns the result, or raises why it is not there. */
static int push_result(lua_State *L, const hl_step *step, const char *name) {
  hl_str json = hl_step_result(step);
  if (hl_step_is(step) == HL_STEP_IS_DONE) {
    hl_lua_push_json_text(L, json, true);
    return 1;
  }
  if (hl_step_is(step) == HL_STEP_IS_RAISED) {
    hl_lua_push_json_text(L, json, true);
    if (lua_getfield(L, -1, "error") != LUA_TTABLE) lua_getfield(L, -2, "value");
    else luaL_setmetatable(L, "hl.error");
    return -1;
  }
  lua_pushfstring(L, "step \"%s\" was done, but its result cannot be stored: %s; return nothing, or what JSON can hold in "
                  "256 KB", name, json.p ? json.p : "");
  hl_lua_push_error(L, "unstorable", lua_tostring(L, -1), 0, NULL, NULL, false);
  return -1;
}

static int begun(lua_State *L, hl_task *t, hl_step *step, const char *name) {
  hl_script *s = hl_script_of(L);
  if (!hl_step_active(step)) {
    /* What its task has buffered was committed with it then, and is dropped. */
    if (hl_step_is(step) != HL_STEP_IS_RAISED) hl_testbed_run_ended(s->host, hl_task_run(t), false);
    lua_pushboolean(L, 1);
    int n = push_result(L, step, name);
    return n < 0 ? n : n + 1;
  }
  hl_task_set_step(t, step);
  lua_pushboolean(L, 0);
  step_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = (step_box){step, t};
  luaL_setmetatable(L, STEP_MT);
  return 2;
}

static int push_begun(lua_State *L, void *arg) {
  step_wait *w = arg;
  if (w->code) {
    hl_lua_push_error(L, hl_err_name(w->code), w->code == HL_EIO ? "the store cannot be read at the moment" : w->err.text, 0, NULL, NULL,
                      w->code == HL_EIO);
    return -1;
  }
  return begun(L, w->task, w->step, w->name);
}

static void on_loaded(void *arg, int code) {
  step_wait *w = arg;
  w->op = NULL;
  hl_run_as(w->run, hl_task_writer(w->task));
  w->code = code ? HL_EIO : hl_run_step(w->run, hl_str_of(w->name), &w->step, &w->err);
  if (w->code == HL_ECANCELLED) {
    hl_task_cancel(w->task, HL_ECANCELLED, NOT_FIT); /* and w is gone */
    return;
  }
  hl_task_resume(w->task, push_begun, w);
  wait_free(w);
}

/* host.step.begin(name) -> true, result; or false, a step to work in. */
static int l_begin(lua_State *L) {
  size_t n;
  const char *name = luaL_checklstring(L, 1, &n);
  hl_task *t = hl_task_current(L);
  hl_run *run = t ? hl_task_run(t) : NULL;
  hl_error err;
  hl_step *step;
  if (!run || !hl_run_has_steps(run))
    return hl_lua_raise(L, "misuse", "step(): only a handler (on without \"batch\", every, cron) has steps: what runs outside of one is not repeated");
  if (memchr(name, 0, n)) return hl_lua_raise(L, "invalid", "step(): a name has no NUL in it");
  if (hl_task_step(t)) return hl_lua_raise(L, "misuse", "step(\"%s\"): a step has no steps inside it: call them one after the other", name);
  t = hl_task_check_wait(L);
  hl_run_as(run, hl_task_writer(t));
  int rc = hl_run_step(run, (hl_str){name, n}, &step, &err);
  if (rc == HL_EBUSY) {
    step_wait *w = HL_NEW(step_wait);
    *w = (step_wait){.task = t, .run = run, .name = hl_strndup(name, n)};
    w->op = hl_run_steps_load(run, on_loaded, w);
    hl_task_wait(t, wait_dropped, w);
    return hl_task_yield(L);
  }
  if (rc == HL_ECANCELLED) { /* its stored steps do not fit: the run is over, and no error that could be caught */
    hl_task_cancel(t, rc, NOT_FIT);
    hl_task_wait(t, no_cleanup, NULL);
    return hl_task_yield(L);
  }
  if (rc) return hl_lua_raise(L, hl_err_name(rc), "%s", err.text);
  int got = begun(L, t, step, name);
  return got < 0 ? lua_error(L) : got;
}

static int push_finished(lua_State *L, void *arg) {
  step_wait *w = arg;
  return push_result(L, w->step, w->name);
}

static void on_finished(void *arg, int code) {
  step_wait *w = arg;
  (void)code;
  hl_task_resume(w->task, push_finished, w);
  wait_free(w);
}

/* step:finish(name, result) -> the result, when it is stored. */
static int l_finish(lua_State *L) {
  step_box *box = luaL_checkudata(L, 1, STEP_MT);
  const char *name = luaL_checkstring(L, 2);
  lua_settop(L, 3);
  hl_task *t = hl_task_check_wait(L);
  hl_run *run = hl_task_run(t);
  hl_error err;
  hl_buf json;
  if (hl_task_step(t) != box->step) return hl_lua_raise(L, "misuse", "this step is over");
  if (hl_script_seal(L, run, &err)) return hl_lua_raise(L, "error", "%s", err.text);
  hl_buf_init(&json, HL_STEP_RESULT_MAX);
  int rc = lua_isnil(L, 3) ? hl_buf_puts(&json, "null") : hl_lua_to_json(L, 3, &json, &err);
  hl_testbed_run_ended(hl_script_of(L)->host, run, true);
  step_wait *w = HL_NEW(step_wait);
  *w = (step_wait){.task = t, .run = run, .step = box->step, .name = hl_strdup(name)};
  hl_task_wait(t, wait_dropped, w);
  w->op = hl_step_finish(box->step, rc ? hl_str_of(err.text) : hl_buf_str(&json), rc != 0, on_finished, w);
  hl_buf_deinit(&json);
  return hl_task_yield(L);
}

/* host.step.name(base) -> a name that is free in this attempt: base, "base 2", …; nil where a step cannot begin. */
static int l_name(lua_State *L) {
  size_t n;
  const char *base = luaL_checklstring(L, 1, &n);
  hl_task *t = hl_task_current(L);
  hl_run *run = t ? hl_task_run(t) : NULL;
  if (!run || !hl_run_has_steps(run) || hl_task_step(t)) return 0;
  lua_pushvalue(L, 1);
  for (int i = 2; hl_run_step_used(run, (hl_str){base, n}); i++) {
    lua_pop(L, 1);
    lua_pushfstring(L, "%s %d", lua_tostring(L, 1), i);
    base = lua_tolstring(L, -1, &n);
  }
  return 1;
}

/* The error at 2 as JSON: {"error": an error of the host's, with its fields} or {"value": what else was raised}. */
static int print_error(lua_State *L, hl_buf *out) {
  hl_error err;
  bool meta = lua_istable(L, 2) && lua_getmetatable(L, 2);
  lua_settop(L, 2);
  int rc = hl_buf_puts(out, meta ? "{\"error\":" : "{\"value\":");
  if (!rc) rc = hl_lua_to_json(L, 2, out, &err);
  return rc ? rc : hl_buf_puts(out, "}");
}

/* (step, what was raised or nil) */
static int l_close(lua_State *L) {
  step_box *box = luaL_checkudata(L, 1, STEP_MT);
  hl_buf json;
  if (hl_task_step(box->task) != box->step) return 0;
  hl_buf_init(&json, HL_STEP_RESULT_MAX);
  if (lua_isnoneornil(L, 2)) {
    hl_step_leave(box->step, (hl_str){0});
  } else {
    bool whole = !print_error(L, &json);
    hl_step_leave(box->step, whole ? hl_buf_str(&json) : HL_STR("{\"value\":\"the step raised what cannot be stored\"}"));
  }
  hl_buf_deinit(&json);
  return 0;
}

void hl_bind_step(lua_State *L) {
  static const luaL_Reg methods[] = {{"finish", l_finish}, {NULL, NULL}};
  static const luaL_Reg fns[] = {{"begin", l_begin}, {"name", l_name}, {NULL, NULL}};
  luaL_newmetatable(L, STEP_MT);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, l_close);
  lua_setfield(L, -2, "__close");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  hl_state_push_host(L);
  luaL_newlib(L, fns);
  hl_bind_writes(L);
  lua_setfield(L, -2, "step");
  lua_pop(L, 1);
  /* As shipped code: scripts cannot require inner parts. */
  static const char load[] = "return require \"engine.step\"";
  if (luaL_loadbufferx(L, load, sizeof load - 1, "@stdlib/engine", "t") != LUA_OK) lua_error(L);
  lua_call(L, 0, 1);
  lua_setglobal(L, "step");
}
