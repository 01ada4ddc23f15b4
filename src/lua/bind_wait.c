/* wait(): a handler ends, its event waits in the store, and the handler runs again
 * when that is over (SEMANTICS 17). What ends it is no error, so no script can hold it up. */
#include "base/mem.h"
#include "engine/types.h"
#include "base/time.h"
#include "engine/wait.h"
#include "lua/handler.h"
#include "lua/script.h"

typedef struct wait_op {
  hl_task *task;
  hl_run *run;
  hl_step_op *op;        /* NULL: nothing is out */
  hl_step *step;         /* NULL: what is stored is not known yet */
  hl_wait_for what;
  char *name, *type;
  size_t name_n;
  cJSON *match;
  int code;
  hl_error err;
} wait_op;

static void op_free(wait_op *w) {
  cJSON_Delete(w->match);
  hl_free(w->name);
  hl_free(w->type);
  hl_free(w);
}

static void op_dropped(void *arg) {
  wait_op *w = arg;
  if (w->op) hl_step_op_drop(w->op);
  op_free(w);
}

/* ---- the answer ---- */

static int push_event(lua_State *L) {
  const hl_event *event = lua_touserdata(L, 1);
  hl_event_push(L, event, event->account, false);
  return 1;
}

static int push_result(lua_State *L, const hl_step *step) {
  hl_wait_event event;
  if (!hl_wait_result(step, &event)) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushcfunction(L, push_event);
  lua_pushlightuserdata(L, &event.event);
  int rc = lua_pcall(L, 1, 1, 0);
  hl_wait_event_deinit(&event);
  return rc == LUA_OK ? 1 : -1;
}

static int push_code(lua_State *L, int code, const hl_error *err) {
  hl_lua_push_error(L, hl_err_name(code), code == HL_EIO ? "the store cannot be read at the moment" : err->text, 0, NULL, NULL, code == HL_EIO);
  return -1;
}

static int push_answer(lua_State *L, void *arg) {
  wait_op *w = arg;
  return w->code ? push_code(L, w->code, &w->err) : push_result(L, w->step);
}

/* ---- its way ---- */

static void on_op(void *arg, int code);

static void tell_wait(hl_host *host, const wait_op *w) {
  char on[400], iso[25] = "";
  if (!host->o.replay) return;
  if (w->what.until < HL_WAIT_FOREVER) hl_time_iso(w->what.until, iso);
  snprintf(on, sizeof on, "“%s”%s%s%s%s", w->name, w->type ? " " : "", w->type ? w->type : "", *iso ? " until " : "", iso);
  char *match = w->what.match ? hl_json_print(w->what.match) : NULL;
  hl_replay_did(host, w->run, false, "wait", on, hl_str_of(match), NULL);
  hl_free(match);
}

/* True when there is an answer. */
static bool proceed(lua_State *L, wait_op *w) {
  hl_script *s = hl_script_of(L);
  hl_run_as(w->run, 0);
  w->code = w->step ? 0 : hl_run_wait(w->run, (hl_str){w->name, w->name_n}, &w->what, &w->step, &w->err);
  if (w->code == HL_EBUSY) {
    w->op = hl_run_steps_load(w->run, on_op, w);
    return false;
  }
  if (w->code == HL_ECANCELLED) {
    hl_task_cancel(w->task, HL_ECANCELLED, "its stored steps do not fit"); /* w is gone with it, or later */
    return false;
  }
  if (w->code) return true;
  switch (hl_wait_is(w->step)) {
    case HL_WAIT_OVER:
      hl_testbed_run_ended(s->host, w->run, false); /* committed with it then */
      return true;
    case HL_WAIT_DUE:
      w->op = hl_wait_settle(w->step, on_op, w);
      return false;
    case HL_WAIT_BEGINS: break;
  }
  w->code = hl_script_seal(L, w->run, &w->err);
  if (w->code) return true;
  hl_testbed_run_ended(s->host, w->run, true);
  tell_wait(s->host, w);
  hl_wait_end(w->step);
  hl_task_cancel(w->task, HL_ECANCELLED, "it waits");
  return false;
}

static void on_op(void *arg, int code) {
  wait_op *w = arg;
  w->op = NULL;
  if (!code && !proceed(hl_state_lua(hl_task_state(w->task)), w)) return;
  if (code) w->code = HL_EIO;
  hl_task_resume(w->task, push_answer, w);
  op_free(w);
}

/* ---- the arguments ---- */

const char *const hl_wait_event_options[] = {"key", "property", "value", "timeout", NULL};
const char *const hl_wait_time_options[] = {"for", "until", NULL};

/* The value on top (popped) as what a field must be. */
static void add_match(lua_State *L, cJSON *match, const char *what, const char *field) {
  size_t n;
  const char *text;
  cJSON *v = NULL;
  switch (lua_type(L, -1)) {
    case LUA_TSTRING:
      text = lua_tolstring(L, -1, &n);
      if (!memchr(text, 0, n)) v = cJSON_CreateString(text);
      break;
    case LUA_TNUMBER: {
      int whole;
      lua_Integer i = lua_tointegerx(L, -1, &whole);
      v = whole ? hl_json_int64(i) : cJSON_CreateNumber(lua_tonumber(L, -1));
      break;
    }
    case LUA_TBOOLEAN: v = cJSON_CreateBool(lua_toboolean(L, -1)); break;
    default: break;
  }
  if (!v) hl_lua_raise(L, "misuse", "%s: the value of %s is a text, a number or a boolean, not a %s", what, field, luaL_typename(L, -1));
  cJSON_AddItemToObject(match, field, v);
  lua_pop(L, 1);
}

static int free_match(lua_State *L) {
  cJSON **p = lua_touserdata(L, 1);
  cJSON_Delete(*p);
  *p = NULL;
  return 0;
}

/* An object in a userdata on the stack: what is raised meanwhile does not lose it. */
static cJSON **new_match(lua_State *L) {
  cJSON **p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = NULL;
  if (luaL_newmetatable(L, "hl.wait.match")) {
    lua_pushcfunction(L, free_match);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  *p = cJSON_CreateObject();
  return p;
}

/* `key` is the object's id, or { field = value, … }. */
static void read_match(lua_State *L, const char *what, bool own, cJSON *match) {
  const char *property = hl_lua_opt_str(L, 3, "property", NULL);
  int type = lua_istable(L, 3) ? lua_getfield(L, 3, "key") : LUA_TNIL;
  if (type == LUA_TNIL && !own)
    hl_lua_raise(L, "misuse", "%s: which one is waited for? key = the object's id, or key = { field = value }", what);
  if (type == LUA_TTABLE) {
    int n = 0;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      if (lua_type(L, -2) != LUA_TSTRING) hl_lua_raise(L, "misuse", "%s: option 'key' is an object's id, or { field = value }", what);
      add_match(L, match, what, lua_tostring(L, -2));
      n++;
    }
    if (!n) hl_lua_raise(L, "misuse", "%s: option 'key' is empty", what);
  } else if (type == LUA_TSTRING || type == LUA_TNUMBER) {
    lua_pushvalue(L, -1);
    add_match(L, match, what, "objectId");
  } else if (type != LUA_TNIL) {
    hl_lua_raise(L, "misuse", "%s: option 'key' is an object's id, or { field = value }, not a %s", what, luaL_typename(L, -1));
  }
  if (lua_istable(L, 3) && lua_getfield(L, 3, "value") != LUA_TNIL) {
    if (!property) hl_lua_raise(L, "misuse", "%s: option 'value' needs the property that is to have it", what);
    add_match(L, match, what, "propertyValue");
  }
  if (property) {
    lua_pushstring(L, property);
    add_match(L, match, what, "propertyName");
  }
  lua_settop(L, 5);
}

static int64_t read_time(lua_State *L, const char *what) {
  int64_t at = 0;
  hl_error err;
  int type = lua_getfield(L, 3, "until");
  if (type == LUA_TNIL) {
    if (lua_getfield(L, 3, "for") == LUA_TNIL)
      hl_lua_raise(L, "misuse", "%s: wait for an event (name, type, options), or for a time: { [\"for\"] = \"2d\" } or { [\"until\"] = … }", what);
    lua_pop(L, 2);
    return hl_loop_now(hl_state_loop(hl_state_of(L))) + hl_lua_opt_duration(L, 3, "for", 0);
  }
  if (lua_getfield(L, 3, "for") != LUA_TNIL) hl_lua_raise(L, "misuse", "%s: 'for' or 'until', not both", what);
  lua_pop(L, 1);
  if (type == LUA_TNUMBER) {
    lua_Number ms = lua_tonumber(L, -1);
    if (!(ms >= 0 && ms <= (lua_Number)HL_WAIT_FOREVER)) hl_lua_raise(L, "misuse", "%s: option 'until' is epoch milliseconds or ISO 8601", what);
    at = (int64_t)ms;
  } else {
    size_t n = 0;
    const char *p = type == LUA_TSTRING ? lua_tolstring(L, -1, &n) : "";
    if (hl_time_parse((hl_str){p, n}, &at, &err)) hl_lua_raise(L, "misuse", "%s: option 'until' is epoch milliseconds or ISO 8601", what);
  }
  lua_pop(L, 1);
  return at;
}

/* The run that waits; raises where none can. */
static hl_run *check_run(lua_State *L, const char *what) {
  hl_task *t = hl_task_current(L);
  hl_run *run = t ? hl_task_run(t) : NULL;
  if (!run || !hl_run_has_steps(run))
    hl_lua_raise(L, "misuse", "%s: only a handler (on) can wait for days; here, task.sleep waits", what);
  else if (!hl_run_can_wait(run))
    hl_lua_raise(L, "misuse", "%s: a timer (every, cron) has no event that could wait: emit one of your own, and wait in its handler", what);
  else if (hl_task_writer(t))
    hl_lua_raise(L, "misuse", "%s: only the handler itself can wait, not a task that it has started", what);
  else if (hl_task_step(t))
    hl_lua_raise(L, "misuse", "%s: a step has no wait inside it: wait before or behind it", what);
  return run;
}

/* wait(name, type, { key =, property =, value =, timeout = }) -> the event, or nil when its time has passed;
 * wait(name, { for = | until = }) */
static int l_wait(lua_State *L) {
  size_t n;
  const char *name = luaL_checklstring(L, 1, &n);
  if (lua_istable(L, 2)) {
    lua_settop(L, 2);
    lua_pushnil(L);
    lua_insert(L, 2);
  }
  lua_settop(L, 3);
  const char *what = lua_pushfstring(L, "wait(\"%s\")", name); /* at 4 */
  const char *type = luaL_optstring(L, 2, NULL), *nearest = NULL;
  if (memchr(name, 0, n)) return hl_lua_raise(L, "misuse", "wait(): a name has no NUL in it");
  hl_lua_check_options(L, 3, what, type ? hl_wait_event_options : hl_wait_time_options);
  hl_run *run = check_run(L, what);
  cJSON **match = NULL;
  int64_t until = HL_WAIT_FOREVER;
  if (type) {
    bool own = hl_own_name(type, &nearest);
    if (hl_event_type_derived(type))
      return hl_lua_raise(L, "misuse", "%s: '%s' is for on(); wait for what it is made of, or emit() an event of your own from on(\"%s\")",
                          what, type, type);
    if (!own && !hl_event_type_known(type, NULL))
      return hl_lua_raise(L, "misuse", nearest ? "%s: unknown event type '%s'; did you mean '%s'?" : "%s: unknown event type '%s'", what, type, nearest);
    if (!own) hl_script_note_type(hl_script_of(L), type);
    match = new_match(L); /* at 5 */
    read_match(L, what, own, *match);
    int64_t timeout = hl_lua_opt_duration(L, 3, "timeout", -1);
    if (timeout >= 0) until = hl_loop_now(hl_state_loop(hl_state_of(L))) + timeout;
  } else {
    until = read_time(L, what);
  }
  hl_task *t = hl_task_check_wait(L);
  wait_op *w = HL_NEW(wait_op);
  *w = (wait_op){.task = t, .run = run, .name = hl_strndup(name, n), .name_n = n, .type = hl_strdup(type)};
  if (match) {
    w->match = *match;
    *match = NULL;
  }
  w->what = (hl_wait_for){.type = w->type, .match = w->match, .until = until};
  if (!proceed(L, w)) {
    hl_task_wait(t, op_dropped, w);
    return hl_task_yield(L);
  }
  hl_step *step = w->step;
  int code = w->code;
  hl_error err = w->err;
  op_free(w);
  if (code) return hl_lua_raise(L, hl_err_name(code), "%s", err.text);
  int got = push_result(L, step);
  return got < 0 ? lua_error(L) : got;
}

/* host.awaits(type, property): while the script loads, as if wait(…, type, { property = }) stood in its text. */
static int l_awaits(lua_State *L) {
  hl_script *s = hl_script_of(L);
  const char *type = luaL_checkstring(L, 1);
  hl_script_note_type(s, type);
  hl_engine_awaits(s->host->o.engine, s->name, type, luaL_checkstring(L, 2));
  return 0;
}

void hl_bind_wait(lua_State *L) {
  lua_register(L, "wait", l_wait);
  hl_state_push_host(L);
  lua_pushcfunction(L, l_awaits);
  lua_setfield(L, -2, "awaits");
  lua_pop(L, 1);
}
