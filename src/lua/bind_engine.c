/* Runs of scripts' handlers, and emit and after. A run is a task whose effects
 * commit with its completion (SEMANTICS 5). */
#include "base/mem.h"
#include "engine/wait.h"
#include "lua/handler.h"

enum { PAYLOAD_MAX = 256 * 1024 };

typedef struct hl_running {   /* one run of a handler */
  hl_handler_fn *handler;
  hl_run *run;
  unsigned attempt;
  size_t n_batch;
  char id[40];
} hl_running;

static const char filtered_mark;  /* what a handler's task returns when its filter said no */

static const char *const emit_known[] = {"object_type", "object_id", "delay", NULL};

/* HubSpot's prefixes: after them a dot means one of HubSpot's own types. */
static const char *const objects[] = {"contact", "company", "deal", "ticket", "product", "line_item",
                                      "conversation", "object", NULL};

bool hl_own_name(const char *type, const char **nearest) {
  *nearest = NULL;
  if (hl_event_type_known(type, nearest)) return false;
  const char *dot = strchr(type, '.');
  if (!dot) return true;
  for (size_t i = 0; objects[i]; i++)
    if (hl_str_eqz((hl_str){type, (size_t)(dot - type)}, objects[i])) return false;
  return *nearest == NULL;
}

/* ---- pushing an event ---- */
static bool ends_with(const char *s, const char *tail) {
  size_t n = strlen(s), m = strlen(tail);
  return n >= m && strcmp(s + n - m, tail) == 0;
}

static void push_id(lua_State *L, const cJSON *item) {
  int64_t v;
  if (hl_json_is_int64(item, &v)) {
    lua_pushfstring(L, "%I", (LUAI_UACINT)v);
  } else {
    hl_lua_push_json(L, item, true);
  }
}

static void push_field(lua_State *L, const cJSON *item) {
  /* Ids are strings (SEMANTICS 30), whatever HubSpot sends. */
  if (ends_with(item->string, "Id")) {
    push_id(L, item);
  } else if (ends_with(item->string, "Ids") && cJSON_IsArray(item)) {
    lua_newtable(L);
    lua_Integer i = 0;
    const cJSON *v;
    cJSON_ArrayForEach(v, item) {
      push_id(L, v);
      lua_rawseti(L, -2, ++i);
    }
  } else {
    hl_lua_push_json(L, item, true);
  }
}

static void push_fields(lua_State *L, const cJSON *json) {
  const cJSON *item;
  cJSON_ArrayForEach(item, json) {
    if (!item->string) continue;
    push_field(L, item);
    lua_setfield(L, -2, item->string);
  }
}

static void set_str(lua_State *L, const char *key, const char *value) {
  if (!value || !*value) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

typedef struct start_args { int fn; const hl_event *event; const char *account; bool merged, batch; } start_args;

void hl_event_push(lua_State *L, const hl_event *e, const char *account, bool merged) {
  lua_createtable(L, 0, 20);
  push_fields(L, e->json);
  if (merged) {
    const cJSON *one;
    lua_Integer i = 0;
    lua_newtable(L);
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(e->json, "events")) {
      lua_createtable(L, 0, 16);
      push_fields(L, one);
      lua_rawseti(L, -2, ++i);
    }
    lua_setfield(L, -2, "events");
  }
  set_str(L, "id", e->id);
  set_str(L, "type", e->type);
  set_str(L, "account", account);
  set_str(L, "source", e->source);
  if (e->object_id && *e->object_id) set_str(L, "objectId", e->object_id);
  lua_pushboolean(L, e->own);
  lua_setfield(L, -2, "own");
  lua_pushinteger(L, e->attempt ? e->attempt : 1);
  lua_setfield(L, -2, "attempt");
  lua_pushinteger(L, e->occurred_at);
  lua_setfield(L, -2, "occurredAt");
}

/* Pushes the function and the event it is called with. */
static int push_start(lua_State *L) {
  start_args *a = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, a->fn);
  if (!a->batch) {
    hl_event_push(L, a->event, a->account, a->merged);
    return 2;
  }
  lua_createtable(L, (int)a->event->n_batch, 0);
  for (size_t i = 0; i < a->event->n_batch; i++) {
    hl_event_push(L, &a->event->batch[i], a->account, false);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 2;
}

/* ---- running ---- */
static int after_handler(lua_State *L, int status, lua_KContext ctx) {
  (void)L;
  (void)status;
  (void)ctx;
  return 0;
}

static int filter_then_handler(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (!lua_toboolean(L, -1)) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&filtered_mark);
    return 1;
  }
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_callk(L, 1, 0, 0, after_handler);
  return 0;
}

int hl_handler_body(lua_State *L) {
  lua_settop(L, 1);
  if (hl_run_has_waited(hl_task_run(hl_task_current(L)))) { /* the filter has said yes before */
    lua_pushboolean(L, 1);
    return filter_then_handler(L, LUA_OK, 0);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_callk(L, 1, 1, 0, filter_then_handler);
  return filter_then_handler(L, LUA_OK, 0);
}

/* At 1 the list, at 2 what has passed. i: the event whose answer is on top; 0: none yet. */
static int filter_batch(lua_State *L, int status, lua_KContext i) {
  (void)status;
  for (;;) {
    if (i && lua_toboolean(L, -1)) {
      lua_rawgeti(L, 1, i);
      lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
    } else if (i) {
      hl_run_filtered(hl_task_run(hl_task_current(L)), (size_t)i - 1);
    }
    lua_settop(L, 2);
    if (i++ == (lua_KContext)lua_rawlen(L, 1)) break;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_rawgeti(L, 1, i);
    lua_callk(L, 1, 1, i, filter_batch);
  }
  if (!lua_rawlen(L, 2)) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)&filtered_mark);
    return 1;
  }
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 2);
  lua_callk(L, 1, 0, 0, after_handler);
  return 0;
}

int hl_batch_body(lua_State *L) {
  lua_settop(L, 1);
  lua_newtable(L);
  return filter_batch(L, LUA_OK, 0);
}

/* What the error says of itself: DEAD: another attempt will end alike. AGAIN: it may not, and the
 * reason is not in the events. Of what says so only because the call cannot be repeated as it is,
 * the next attempt may end otherwise: the token may be valid again, HubSpot well, the script less busy. */
static hl_outcome failure(lua_State *L, int idx) {
  static const char *const mended[] = {"auth", "busy", "cancelled", "limit", "timeout", NULL};
  if (!lua_istable(L, idx)) return HL_RUN_FAILED;
  idx = lua_absindex(L, idx);
  lua_pushliteral(L, "retryable");
  lua_rawget(L, idx);
  lua_pushliteral(L, "kind");
  lua_rawget(L, idx);
  lua_pushliteral(L, "status");
  lua_rawget(L, idx);
  bool says = lua_isboolean(L, -3), dead = says && !lua_toboolean(L, -3);
  const char *kind = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
  lua_Integer status = lua_tointeger(L, -1);
  for (size_t i = 0; mended[i] && dead; i++) dead = strcmp(kind, mended[i]) != 0;
  bool answered = strcmp(kind, "hubspot") == 0 || strcmp(kind, "protocol") == 0;
  if (answered && (status == 401 || status == 403 || status >= 500)) dead = false;
  lua_pop(L, 3);
  return dead ? HL_RUN_DEAD : says ? HL_RUN_AGAIN : HL_RUN_FAILED;
}

static void log_failure(const hl_running *r, hl_str text) {
  const hl_handler_fn *h = r->handler;
  char more[40] = "";
  /* Where it was is told once; `hubloop events show` has it of each attempt. */
  const char *trace = r->attempt > 1 ? memmem(text.p, text.n, "\nstack traceback:", 17) : NULL;
  if (trace) text.n = (size_t)(trace - text.p);
  if (r->n_batch > 1) snprintf(more, sizeof more, " and %zu more", r->n_batch - 1);
  hl_log_write(hl_loop_log(h->script->host->o.loop), HL_LOG_WARN, h->script->name, "%s, event %s%s, attempt %u: " HL_STR_FMT, h->label, r->id, more,
               r->attempt, HL_STR_ARG(text));
}

static void run_ended(void *arg, int code, lua_State *L, int nresults, hl_str text) {
  hl_running *r = arg;
  hl_handler_fn *h = r->handler;
  hl_outcome outcome = HL_RUN_DONE;
  if (hl_run_is_over(r->run)) {
    outcome = HL_RUN_CUT; /* it waits, or its steps no longer fit: the engine knows */
  } else if (code == 0) {
    if (nresults == 1 && lua_touserdata(L, -1) == (const void *)&filtered_mark) outcome = HL_RUN_FILTERED;
  } else if (code == HL_ECANCELLED) {
    outcome = HL_RUN_CUT;
  } else {
    outcome = code == HL_ESCRIPT && L ? failure(L, -1) : HL_RUN_FAILED;
    if (!h->script->host->o.replay) log_failure(r, text);
  }
  hl_testbed_run_ended(h->script->host, r->run, outcome == HL_RUN_DONE);
  bool waits = outcome == HL_RUN_CUT && hl_run_is_over(r->run) && code == HL_ECANCELLED;
  hl_replay_ended(h->script->host, r->run,
                  outcome == HL_RUN_DONE ? "ran" : outcome == HL_RUN_FILTERED ? "filtered" : waits ? "waits" : outcome == HL_RUN_CUT ? "cut" : "failed", text);
  hl_run_finish(r->run, outcome, code && outcome != HL_RUN_CUT ? text : (hl_str){NULL, 0});
  hl_free(r);
}

static const char *account_of(const hl_handler_fn *h, const hl_event *event) {
  if (event->account && *event->account) return event->account;
  return h->account ? h->account : hl_host_default_account(h->script->host);
}

void hl_handler_start(void *arg, hl_run *run, const hl_event *event) {
  hl_handler_fn *h = arg;
  const char *account = account_of(h, event);
  start_args a = {h->ref, event, account, h->merged, h->batch};
  hl_error err;
  if (!hl_script_protected(h->script, push_start, &a, 2, &err)) {
    hl_run_finish(run, HL_RUN_FAILED, hl_str_of(err.text));
    return;
  }
  hl_running *r = HL_NEW(hl_running);
  r->handler = h;
  r->run = run;
  r->attempt = event->attempt;
  r->n_batch = event->n_batch;
  memcpy(r->id, event->id, sizeof r->id);
  hl_replay_began(h->script->host, run, h->label, event);
  bool bulk = event->bulk || h->script->host->o.replay;
  hl_task_options o = {.run = run, .account = account, .klass = bulk ? HL_CLASS_BULK : h->klass, .timeout_ms = h->timeout_ms};
  if (hl_work_start(h->script, 1, &o, run_ended, r, NULL, &err)) {
    hl_free(r);
    hl_replay_ended(h->script->host, run, "failed", hl_str_of(err.text));
    hl_run_finish(run, HL_RUN_FAILED, hl_str_of(err.text));
  }
}

int hl_handler_key(void *arg, const hl_event *event, hl_buf *out, hl_error *err) {
  hl_handler_fn *h = arg;
  lua_State *L = hl_state_lua(h->script->state);
  start_args a = {h->key, event, account_of(h, event), false, false};
  if (!hl_script_protected(h->script, push_start, &a, 2, err)) return HL_ELIMIT;
  int rc = hl_state_call(L, 1, 1, err);
  if (rc) {
    hl_fail_in(err, "option 'key'");
    return rc;
  }
  size_t n = 0;
  int type = lua_type(L, -1);
  const char *text = type == LUA_TSTRING || type == LUA_TNUMBER ? lua_tolstring(L, -1, &n) : NULL;
  if (text) rc = hl_buf_append(out, text, n);
  if (rc) hl_fail(err, rc, "option 'key': the function returned a text that is too long for a key");
  if (!text && type != LUA_TNIL)
    rc = hl_fail(err, HL_EINVAL, "option 'key': the function returned a %s; a key is a string, a number or nil", lua_typename(L, type));
  lua_pop(L, 1);
  return rc;
}

/* ---- emit and after ---- */
void hl_check_own_name(lua_State *L, const char *what, const char *name) {
  const char *nearest;
  if (!*name) luaL_error(L, "%s: the event's name is empty", what);
  if (!hl_own_name(name, &nearest))
    luaL_error(L, "%s: '%s' is HubSpot's name; choose one of your own, such as 'chase' or 'lead.%s'", what, name, "chase");
}

static void tell_emit(hl_host *host, hl_run *run, const char *name, hl_str payload, int64_t delay_ms) {
  char on[300];
  snprintf(on, sizeof on, "%s", name);
  if (delay_ms > 0) snprintf(on, sizeof on, "%lld s %s", (long long)((delay_ms + 999) / 1000), name);
  hl_replay_did(host, run, true, delay_ms > 0 ? "after" : "emit", on, payload, NULL);
}

static int do_emit(lua_State *L, const char *what, int name_at, int payload_at, int64_t delay_ms,
                   const char *object_type, const char *object_id) {
  const char *name = luaL_checkstring(L, name_at);
  hl_check_own_name(L, what, name);
  bool at_once;
  hl_run *run = hl_script_run(L, &at_once);
  hl_error err;
  hl_buf json;
  hl_buf_init(&json, PAYLOAD_MAX);
  int rc = lua_isnoneornil(L, payload_at) ? hl_buf_puts(&json, "null")
                                          : hl_lua_to_json(L, payload_at, &json, &err);
  if (!rc) rc = hl_run_emit(run, name, hl_buf_str(&json), delay_ms, object_type, object_id, &err);
  if (!rc) tell_emit(hl_script_of(L)->host, run, name, hl_buf_str(&json), delay_ms);
  hl_buf_deinit(&json);
  if (rc) return hl_lua_raise(L, hl_err_name(rc), "%s '%s': %s", what, name, err.text);
  return at_once ? hl_script_commit_now(L, run) : 0;
}

static int l_emit(lua_State *L) {
  lua_settop(L, 3);
  hl_lua_check_options(L, 3, "emit()", emit_known);
  int64_t delay = hl_lua_opt_duration(L, 3, "delay", 0);
  const char *type = hl_lua_opt_str(L, 3, "object_type", NULL);
  const char *id = NULL;
  if (lua_istable(L, 3) && lua_getfield(L, 3, "object_id") != LUA_TNIL) {
    id = lua_tostring(L, -1); /* an id given as an integer is its decimal text */
    if (!id) return luaL_error(L, "emit(): object_id must be a string");
  }
  return do_emit(L, "emit()", 1, 2, delay, type, id);
}

static int l_after(lua_State *L) {
  int64_t delay = hl_lua_check_duration(L, 1);
  lua_settop(L, 3);
  return do_emit(L, "after()", 2, 3, delay > 0 ? delay : 1, NULL, NULL);
}

void hl_bind_engine(lua_State *L) {
  static const luaL_Reg fns[] = {{"emit", l_emit}, {"after", l_after}, {NULL, NULL}};
  for (const luaL_Reg *r = fns; r->name; r++) lua_register(L, r->name, r->func);
}
