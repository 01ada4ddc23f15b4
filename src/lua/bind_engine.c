/* on, every, cron, emit, after: scripts' handlers with the engine. A handler's
 * run is a task whose effects commit with its completion (SEMANTICS 5). */
#include <limits.h>

#include "base/mem.h"
#include "lua/script.h"

enum { PAYLOAD_MAX = 256 * 1024, TIMEOUT_MS = 5 * 60 * 1000 };

struct hl_handler_fn {
  hl_handler_fn *next;
  hl_script *script;
  int ref;               /* the function, or handler_body over filter and function */
  char *label;           /* for the log: "contact.creation" */
  char *account;         /* option account, or NULL */
  bool merged;           /* its events carry those that were merged */
  int key;               /* a function of the event, or LUA_NOREF */
  int64_t timeout_ms;
  hl_api_class klass;
};

typedef struct hl_running {   /* one run of a handler */
  hl_handler_fn *handler;
  hl_run *run;
  unsigned attempt;
  char id[40];
} hl_running;

static const char filtered_mark;  /* what a handler's task returns when its filter said no */

static const char *const on_known[] = {"property", "filter", "concurrency", "retries", "timeout",
                                       "name", "account", "priority", "key", "own", "debounce", NULL};
static const char *const on_later[] = {"throttle", "batch", "hold", NULL};
static const char *const every_known[] = {"name", "account", "timeout", "priority", "retries",
                                          "catchup", NULL};
static const char *const cron_known[] = {"tz", "catchup", "name", "account", "timeout", "priority",
                                         "retries", NULL};
static const char *const emit_known[] = {"object_type", "object_id", "delay", NULL};

/* HubSpot's prefixes: after them a dot means one of HubSpot's own types. */
static const char *const objects[] = {"contact", "company", "deal", "ticket", "product", "line_item",
                                      "conversation", "object", NULL};

/* A name of our own: without a dot, or with a prefix that is no HubSpot object
 * and near no HubSpot type. *nearest for the message when it is not. */
static bool own_name(const char *type, const char **nearest) {
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
  if (cJSON_IsNumber(item) && hl_json_is_int64(item, &v)) {
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

typedef struct start_args { int fn; const hl_event *event; const char *account; bool merged; } start_args;

/* Pushes the function and the event it is called with. */
static int push_start(lua_State *L) {
  start_args *a = lua_touserdata(L, 1);
  const hl_event *e = a->event;
  lua_rawgeti(L, LUA_REGISTRYINDEX, a->fn);
  lua_createtable(L, 0, 20);
  push_fields(L, e->json);
  if (a->merged) {
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
  set_str(L, "account", a->account);
  set_str(L, "source", e->source);
  if (e->object_id && *e->object_id) set_str(L, "objectId", e->object_id);
  lua_pushboolean(L, e->own);
  lua_setfield(L, -2, "own");
  lua_pushinteger(L, e->attempt ? e->attempt : 1);
  lua_setfield(L, -2, "attempt");
  lua_pushinteger(L, e->occurred_at);
  lua_setfield(L, -2, "occurredAt");
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

/* Upvalues: filter, handler. Argument: the event. Both may wait. */
static int handler_body(lua_State *L) {
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_callk(L, 1, 1, 0, filter_then_handler);
  return filter_then_handler(L, LUA_OK, 0);
}

/* What is refused now will be refused again. */
static bool incurable(lua_State *L, int idx) {
  if (!lua_istable(L, idx)) return false;
  idx = lua_absindex(L, idx);
  bool dead = false;
  lua_pushliteral(L, "kind");
  lua_rawget(L, idx);
  lua_pushliteral(L, "status");
  lua_rawget(L, idx);
  const char *kind = lua_tostring(L, -2);
  if (kind && strcmp(kind, "unstorable") == 0) dead = true; /* the step will say so each time */
  if (kind && strcmp(kind, "hubspot") == 0) {
    switch (lua_tointeger(L, -1)) {
      case 400: case 404: case 409: case 414: case 422: dead = true; break;
      default: break;
    }
  }
  lua_pop(L, 2);
  return dead;
}

static void run_ended(void *arg, int code, lua_State *L, int nresults, hl_str text) {
  hl_running *r = arg;
  hl_handler_fn *h = r->handler;
  hl_outcome outcome = HL_RUN_DONE;
  if (code == 0) {
    if (nresults == 1 && lua_touserdata(L, -1) == (const void *)&filtered_mark) outcome = HL_RUN_FILTERED;
  } else if (code == HL_ECANCELLED) {
    outcome = HL_RUN_CUT;
  } else {
    outcome = code == HL_ESCRIPT && L && incurable(L, -1) ? HL_RUN_DEAD : HL_RUN_FAILED;
    hl_log_write(hl_loop_log(h->script->host->o.loop), HL_LOG_WARN, h->script->name,
                 "%s, event %s, attempt %u: " HL_STR_FMT, h->label, r->id, r->attempt, HL_STR_ARG(text));
  }
  hl_testbed_run_ended(h->script->host, r->run, outcome == HL_RUN_DONE);
  hl_run_finish(r->run, outcome, code && outcome != HL_RUN_CUT ? text : (hl_str){NULL, 0});
  hl_free(r);
}

static const char *account_of(const hl_handler_fn *h, const hl_event *event) {
  if (event->account && *event->account) return event->account;
  return h->account ? h->account : hl_host_default_account(h->script->host);
}

static void start_run(void *arg, hl_run *run, const hl_event *event) {
  hl_handler_fn *h = arg;
  const char *account = account_of(h, event);
  start_args a = {h->ref, event, account, h->merged};
  hl_error err;
  if (!hl_script_protected(h->script, push_start, &a, 2, &err)) {
    hl_run_finish(run, HL_RUN_FAILED, hl_str_of(err.text));
    return;
  }
  hl_running *r = HL_NEW(hl_running);
  r->handler = h;
  r->run = run;
  r->attempt = event->attempt;
  memcpy(r->id, event->id, sizeof r->id);
  hl_task_options o = {.run = run, .account = account, .klass = h->klass, .timeout_ms = h->timeout_ms};
  if (hl_work_start(h->script, 1, &o, run_ended, r, NULL, &err)) {
    hl_free(r);
    hl_run_finish(run, HL_RUN_FAILED, hl_str_of(err.text));
  }
}

/* The option `key` as a function: under protection, and it cannot wait. */
static int run_key(void *arg, const hl_event *event, hl_buf *out, hl_error *err) {
  hl_handler_fn *h = arg;
  lua_State *L = hl_state_lua(h->script->state);
  start_args a = {h->key, event, account_of(h, event), false};
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

/* ---- registration ---- */
static hl_handler_fn *new_handler(lua_State *L, int opts, int fn, const char *label, hl_api_class klass) {
  hl_script *s = hl_script_of(L);
  int64_t timeout = hl_lua_opt_duration(L, opts, "timeout", TIMEOUT_MS);
  klass = hl_lua_opt_class(L, opts, "priority", klass);
  const char *account = hl_lua_opt_str(L, opts, "account", NULL);
  if (account) {
    hl_account *a;
    hl_error err;
    if (s->host->o.hubspot && hl_hubspot_account(s->host->o.hubspot, account, &a, &err))
      luaL_error(L, "option 'account': %s", err.text);
  }
  bool has_filter = lua_istable(L, opts) && lua_getfield(L, opts, "filter") != LUA_TNIL;
  if (has_filter) {
    if (!lua_isfunction(L, -1)) luaL_error(L, "option 'filter' must be a function that takes the event");
    lua_pushvalue(L, fn);
    lua_pushcclosure(L, handler_body, 2);
  } else {
    lua_pushvalue(L, fn);
  }
  int ref = luaL_ref(L, LUA_REGISTRYINDEX), key = LUA_NOREF;
  if (lua_istable(L, opts)) {
    if (lua_getfield(L, opts, "key") == LUA_TFUNCTION) key = luaL_ref(L, LUA_REGISTRYINDEX);
    else lua_pop(L, 1);
  }
  hl_handler_fn *h = HL_NEW(hl_handler_fn);
  h->script = s;
  h->ref = ref;
  h->key = key;
  h->label = hl_strdup(label);
  h->account = hl_strdup(account);
  h->timeout_ms = timeout;
  h->klass = klass;
  /* The engine may keep it as a callback's argument from now on. */
  h->next = s->handlers;
  s->handlers = h;
  return h;
}

void hl_handler_fns_free(hl_script *s) {
  while (s->handlers) {
    hl_handler_fn *h = s->handlers;
    s->handlers = h->next;
    hl_free(h->label);
    hl_free(h->account);
    hl_free(h);
  }
}

/* The arguments (what, [opts], fn): leaves them at 1, 2 (a table or nil), 3. */
static void shift_arguments(lua_State *L, const char *what) {
  if (lua_isfunction(L, 2)) {
    lua_settop(L, 2);
    lua_pushnil(L);
    lua_insert(L, 2);
  }
  lua_settop(L, 3);
  if (!lua_isfunction(L, 3)) luaL_error(L, "%s: the last argument must be the function to run", what);
  if (!lua_isnil(L, 2) && !lua_istable(L, 2))
    luaL_error(L, "%s: options must be a table, not a %s", what, luaL_typename(L, 2));
}

static void read_options(lua_State *L, hl_handler_options *o) {
  *o = (hl_handler_options){.script = hl_script_of(L)->name,
                            .name = hl_lua_opt_str(L, 2, "name", NULL),
                            .account = hl_lua_opt_str(L, 2, "account", NULL),
                            .property = hl_lua_opt_str(L, 2, "property", NULL),
                            .concurrency = (unsigned)hl_lua_opt_int(L, 2, "concurrency", 1, 10000, 0),
                            .retries = UINT_MAX};
  lua_Integer retries = hl_lua_opt_int(L, 2, "retries", 0, 1000, -1);
  if (retries >= 0) o->retries = (unsigned)retries;
}

/* `key` is a field's name, a list of names, or a function of the event. The list
 * lies in a userdata on the stack, its strings in the options' table. */
static void read_key(lua_State *L, hl_handler_options *o) {
  enum { MOST = 16 };
  if (!lua_istable(L, 2)) return;
  switch (lua_getfield(L, 2, "key")) {
    case LUA_TNIL: return;
    case LUA_TFUNCTION: o->key = run_key; return;
    case LUA_TSTRING:
    case LUA_TTABLE: break;
    default: luaL_error(L, "option 'key' is a field's name, a list of names, or a function that takes the event; this is a %s",
                        luaL_typename(L, -1));
  }
  bool one = lua_isstring(L, -1);
  lua_Integer n = one ? 1 : luaL_len(L, -1);
  if (n < 1 || n > MOST) luaL_error(L, "option 'key': a list has 1 to %d names of fields", MOST);
  const char **list = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *list, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    if (one) lua_pushvalue(L, -2);
    else lua_rawgeti(L, -2, i);
    if (lua_type(L, -1) != LUA_TSTRING || !*lua_tostring(L, -1))
      luaL_error(L, "option 'key': #%d is no name of a field, but a %s", (int)i, luaL_typename(L, -1));
    list[i - 1] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  list[n] = NULL;
  o->key_fields = list;
}

/* "30s", seconds, or {wait=, max=, mode="last"|"merged"}. */
static void read_debounce(lua_State *L, hl_handler_options *o) {
  static const char *const known[] = {"wait", "max", "mode", NULL};
  if (!lua_istable(L, 2) || lua_getfield(L, 2, "debounce") == LUA_TNIL) return;
  int at = lua_gettop(L);
  if (!lua_istable(L, at)) {
    if (!lua_isstring(L, at)) luaL_error(L, "option 'debounce' is a time (\"30s\") or { wait =, max =, mode = }, not a %s", luaL_typename(L, at));
    o->debounce_ms = hl_lua_check_duration(L, at);
  } else {
    hl_lua_check_options(L, at, "option 'debounce'", known, NULL);
    o->debounce_ms = hl_lua_opt_duration(L, at, "wait", 0);
    o->debounce_max_ms = hl_lua_opt_duration(L, at, "max", 0);
    const char *mode = hl_lua_opt_str(L, at, "mode", "last");
    o->debounce_merged = strcmp(mode, "merged") == 0;
    if (!o->debounce_merged && strcmp(mode, "last") != 0)
      luaL_error(L, "option 'debounce': the mode is 'last' or 'merged', not '%s'", mode);
  }
  if (o->debounce_ms < 1) luaL_error(L, "option 'debounce': it needs how long to wait, such as \"30s\" or { wait = \"30s\" }");
  if (o->debounce_max_ms && o->debounce_max_ms < o->debounce_ms)
    luaL_error(L, "option 'debounce': max is how long the first event waits at most, and shorter than wait");
}

static bool read_own(lua_State *L) {
  if (!lua_istable(L, 2)) return false;
  int type = lua_getfield(L, 2, "own");
  bool own = type == LUA_TBOOLEAN ? lua_toboolean(L, -1) : type == LUA_TSTRING && strcmp(lua_tostring(L, -1), "include") == 0;
  if (!own && type != LUA_TNIL && type != LUA_TBOOLEAN)
    luaL_error(L, "option 'own' is \"include\" or true to run on events that the handler's own writes cause, or false");
  lua_pop(L, 1);
  return own;
}

static void note_type(hl_host *host, const char *type) {
  for (size_t i = 0; i < host->n_types; i++)
    if (strcmp(host->types[i], type) == 0) return;
  host->types = hl_realloc(host->types, (host->n_types + 2) * sizeof *host->types);
  host->types[host->n_types++] = hl_strdup(type);
  host->types[host->n_types] = NULL;
}

static int l_on(lua_State *L) {
  const char *type = luaL_checkstring(L, 1);
  hl_script_check_loading(L, "on()");
  shift_arguments(L, "on()");
  hl_lua_check_options(L, 2, "on()", on_known, on_later);
  const char *nearest;
  bool own = own_name(type, &nearest);
  if (!own && !hl_event_type_known(type, NULL)) {
    static const char *const later[] = {"deal.won", "deal.lost", "deal.closed", "contact.stage", NULL};
    for (size_t i = 0; later[i]; i++)
      if (strcmp(later[i], type) == 0)
        return luaL_error(L, "the event type '%s' is not in this version yet; there is '%s' with { property = \"%s\" }", type,
                          i < 3 ? "deal.propertyChange" : "contact.propertyChange", i < 3 ? "dealstage" : "lifecyclestage");
    if (nearest) return luaL_error(L, "unknown event type '%s'; did you mean '%s'?", type, nearest);
    return luaL_error(L, "unknown event type '%s': HubSpot has no such webhook subscription", type);
  }
  if (!*type) return luaL_error(L, "on(): the event's name is empty");
  if (strncmp(type, "hubloop.", 8) == 0 && strcmp(type, HL_ALERT_TYPE) != 0)
    return luaL_error(L, "unknown event type '%s'; of hubloop's own there is '%s'", type, HL_ALERT_TYPE);
  hl_handler_options o;
  read_options(L, &o);
  read_key(L, &o);
  o.own = read_own(L);
  read_debounce(L, &o);
  hl_script *s = hl_script_of(L);
  hl_handler_fn *h = new_handler(L, 2, 3, o.name ? o.name : type, HL_CLASS_LIVE);
  h->merged = o.debounce_merged;
  hl_error err;
  hl_handler *out;
  if (hl_engine_on(s->host->o.engine, type, own, &o, start_run, h, &out, &err))
    return luaL_error(L, "on(): %s", err.text);
  s->host->handlers++;
  if (!own) note_type(s->host, type);
  return 0;
}

static hl_catchup read_catchup(lua_State *L) {
  static const char *const names[] = {"once", "skip", "all"};
  const char *c = hl_lua_opt_str(L, 2, "catchup", "once");
  for (int i = 0; i < 3; i++)
    if (strcmp(names[i], c) == 0) return (hl_catchup)i;
  luaL_error(L, "option 'catchup' is 'once', 'skip' or 'all', not '%s'", c);
  return HL_CATCHUP_ONCE;
}

static int schedule(lua_State *L, hl_schedule_options *so, const char *what) {
  hl_script *s = hl_script_of(L);
  hl_handler_options o;
  read_options(L, &o);
  const char *label = lua_pushfstring(L, "%s %s", what, so->text);
  if (!o.name) o.name = label;
  hl_handler_fn *h = new_handler(L, 2, 3, o.name, HL_CLASS_NORMAL);
  hl_error err;
  hl_handler *out;
  if (hl_engine_schedule(s->host->o.engine, so, &o, start_run, h, &out, &err))
    return luaL_error(L, "%s: %s", what, err.text);
  s->host->handlers++;
  return 0;
}

static int l_every(lua_State *L) {
  int64_t ms = hl_lua_check_duration(L, 1);
  hl_script_check_loading(L, "every()");
  shift_arguments(L, "every()");
  hl_lua_check_options(L, 2, "every()", every_known, on_later);
  if (ms < 1000) return luaL_error(L, "every(): the shortest interval is 1 s");
  hl_schedule_options so = {.every_ms = ms, .catchup = read_catchup(L)};
  lua_pushvalue(L, 1);
  so.text = lua_tostring(L, -1);
  return schedule(L, &so, "every");
}

static int l_cron(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  hl_script_check_loading(L, "cron()");
  shift_arguments(L, "cron()");
  hl_lua_check_options(L, 2, "cron()", cron_known, on_later);
  hl_cron cron;
  hl_error err;
  if (hl_cron_parse((hl_str){text, n}, &cron, &err)) return luaL_error(L, "cron(): %s", err.text);
  hl_schedule_options so = {.cron = &cron, .text = text, .catchup = read_catchup(L)};
  const char *tz = hl_lua_opt_str(L, 2, "tz", NULL);
  /* Everything that may raise comes before the zone is ours to give away. */
  hl_handler_options o;
  read_options(L, &o);
  hl_script *s = hl_script_of(L);
  const char *label = lua_pushfstring(L, "cron %s", text);
  if (!o.name) o.name = label;
  hl_handler_fn *h = new_handler(L, 2, 3, o.name, HL_CLASS_NORMAL);
  if (tz && hl_tz_load(tz, &so.tz, &err)) return luaL_error(L, "cron(): %s", err.text);
  hl_handler *out;
  if (hl_engine_schedule(s->host->o.engine, &so, &o, start_run, h, &out, &err))
    return luaL_error(L, "cron(): %s", err.text);
  s->host->handlers++;
  return 0;
}

/* ---- emit and after ---- */
static int do_emit(lua_State *L, const char *what, int name_at, int payload_at, int64_t delay_ms,
                   const char *object_type, const char *object_id) {
  const char *name = luaL_checkstring(L, name_at);
  const char *nearest;
  if (!*name) return luaL_error(L, "%s: the event's name is empty", what);
  if (!own_name(name, &nearest))
    return luaL_error(L, "%s: '%s' is HubSpot's name; choose one of your own, such as 'chase' or 'lead.%s'",
                      what, name, "chase");
  bool at_once;
  hl_run *run = hl_script_run(L, &at_once);
  hl_error err;
  hl_buf json;
  hl_buf_init(&json, PAYLOAD_MAX);
  int rc = lua_isnoneornil(L, payload_at) ? hl_buf_puts(&json, "null")
                                          : hl_lua_to_json(L, payload_at, &json, &err);
  if (!rc) rc = hl_run_emit(run, name, hl_buf_str(&json), delay_ms, object_type, object_id, &err);
  hl_buf_deinit(&json);
  if (rc) return hl_lua_raise(L, hl_err_name(rc), "%s '%s': %s", what, name, err.text);
  return at_once ? hl_script_commit_now(L, run) : 0;
}

static int l_emit(lua_State *L) {
  lua_settop(L, 3);
  hl_lua_check_options(L, 3, "emit()", emit_known, NULL);
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

static int l_not_yet(lua_State *L) {
  return luaL_error(L, "%s is not in this version yet", lua_tostring(L, lua_upvalueindex(1)));
}

void hl_bind_engine(lua_State *L) {
  static const luaL_Reg fns[] = {{"on", l_on}, {"every", l_every}, {"cron", l_cron},
                                 {"emit", l_emit}, {"after", l_after}, {NULL, NULL}};
  static const char *const later[] = {"wait", NULL};
  for (const luaL_Reg *r = fns; r->name; r++) lua_register(L, r->name, r->func);
  for (size_t i = 0; later[i]; i++) {
    lua_pushfstring(L, "%s()", later[i]);
    lua_pushcclosure(L, l_not_yet, 1);
    lua_setglobal(L, later[i]);
  }
}
