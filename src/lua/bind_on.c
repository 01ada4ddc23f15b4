/* on, every, cron: what a script registers with the engine while it loads, and
 * the options of it. */
#include <limits.h>

#include "base/mem.h"
#include "engine/types.h"
#include "hubspot/paths.h"
#include "lua/handler.h"

enum { TIMEOUT_MS = 5 * 60 * 1000, NAME_MAX_BYTES = 200 };

static const char *const on_known[] = {"property", "filter", "concurrency", "retries", "timeout",
                                       "name", "account", "priority", "key", "own", "debounce", "hold", "throttle",
                                       "batch", "object_type", NULL};
static const char *const every_known[] = {"name", "account", "timeout", "priority", "retries",
                                          "catchup", NULL};
static const char *const cron_known[] = {"tz", "catchup", "name", "account", "timeout", "priority",
                                         "retries", NULL};

static hl_handler_fn *new_handler(lua_State *L, int opts, int fn, const char *label, hl_api_class klass, bool batch) {
  hl_script *s = hl_script_of(L);
  int64_t timeout = hl_lua_opt_duration(L, opts, "timeout", TIMEOUT_MS);
  if (timeout < 1) luaL_error(L, "option 'timeout' is how long one attempt may take, and longer than zero");
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
    lua_pushcclosure(L, batch ? hl_batch_body : hl_handler_body, 2);
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
  h->batch = batch;
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

/* A durable name is a line of text. */
static const char *read_name(lua_State *L) {
  const char *name = hl_lua_opt_str(L, 2, "name", NULL);
  if (!name) return NULL;
  for (const char *c = name; *c; c++)
    if ((unsigned char)*c < ' ') luaL_error(L, "option 'name': a name has no control characters in it");
  if (!*name || strlen(name) > NAME_MAX_BYTES) luaL_error(L, "option 'name': a name has 1 to %d bytes", NAME_MAX_BYTES);
  return name;
}

/* How often, or { max =, base =, cap = }. */
static void read_retries(lua_State *L, hl_handler_options *o) {
  static const char *const known[] = {"max", "base", "cap", NULL};
  if (!lua_istable(L, 2)) return;
  int from = 2;
  const char *key = "retries";
  if (lua_getfield(L, 2, "retries") == LUA_TTABLE) {
    from = lua_gettop(L);
    key = "max";
    hl_lua_check_options(L, from, "option 'retries'", known);
    o->retry_base_ms = hl_lua_opt_duration(L, from, "base", 0);
    o->retry_cap_ms = hl_lua_opt_duration(L, from, "cap", 0);
    if (o->retry_cap_ms > HL_DAY) luaL_error(L, "option 'retries': cap is the longest pause, a day at most");
    if (o->retry_base_ms > (o->retry_cap_ms ? o->retry_cap_ms : HL_DAY))
      luaL_error(L, "option 'retries': base is the first pause, and longer than %s", o->retry_cap_ms ? "cap" : "a day");
  }
  lua_Integer retries = hl_lua_opt_int(L, from, key, 0, 1000, -1);
  if (retries >= 0) o->retries = (unsigned)retries;
}

static void read_options(lua_State *L, hl_handler_options *o) {
  *o = (hl_handler_options){.script = hl_script_of(L)->name,
                            .name = read_name(L),
                            .account = hl_lua_opt_str(L, 2, "account", NULL),
                            .property = hl_lua_opt_str(L, 2, "property", NULL),
                            .concurrency = (unsigned)hl_lua_opt_int(L, 2, "concurrency", 1, 10000, 0),
                            .swap = hl_script_of(L)->swap,
                            .retries = UINT_MAX};
  read_retries(L, o);
}

/* A property that no event of the type names would make a handler that never runs. */
static void check_property(lua_State *L, const char *type, bool own, const char *property) {
  static const char tail[] = ".propertyChange";
  size_t n = strlen(type), m = sizeof tail - 1;
  if (!property) return;
  if (!*property) luaL_error(L, "option 'property' is empty");
  if (own || n < m || strcmp(type + n - m, tail) != 0)
    luaL_error(L, "option 'property' is for propertyChange events; those of '%s' name no property", type);
}

/* Of object.* events those of one type: "2-77", or a name of HubSpot's. */
static const char *read_object_type(lua_State *L, const char *type) {
  const char *given = hl_lua_opt_str(L, 2, "object_type", NULL);
  if (!given) return NULL;
  if (strncmp(type, "object.", 7) != 0)
    luaL_error(L, "option 'object_type' is for object.* events; '%s' says which objects it is about", type);
  const char *id = hl_path_type_id(given);
  if (strspn(id, "0123456789-") != strlen(id) || !strchr(id, '-'))
    luaL_error(L, "option 'object_type': '%s' is neither a type id such as \"2-77\" nor a name of HubSpot's such as \"tasks\"", given);
  return id;
}

/* `key` is a field's name, a list of names, or a function of the event. The list
 * lies in a userdata on the stack, its strings in the options' table. */
static void read_key(lua_State *L, hl_handler_options *o) {
  enum { MOST = 16 };
  if (!lua_istable(L, 2)) return;
  switch (lua_getfield(L, 2, "key")) {
    case LUA_TNIL: return;
    case LUA_TFUNCTION: o->key = hl_handler_key; return;
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
    o->debounce_ms = hl_lua_opt_duration(L, 2, "debounce", 0);
  } else {
    hl_lua_check_options(L, at, "option 'debounce'", known);
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

/* "10/1m", or { count =, per =, of = "key"|"handler" }. */
static void read_throttle(lua_State *L, hl_handler_options *o) {
  static const char *const known[] = {"count", "per", "of", NULL};
  static const char want[] = "option 'throttle' is \"10/1m\" (starts and time) or { count =, per =, of = }";
  enum { MOST = 10000, MOST_OF_A_KEY = 1000 };
  int64_t count = 0;
  hl_error err;
  if (!lua_istable(L, 2) || lua_getfield(L, 2, "throttle") == LUA_TNIL) return;
  int at = lua_gettop(L);
  if (lua_istable(L, at)) {
    hl_lua_check_options(L, at, "option 'throttle'", known);
    count = hl_lua_opt_int(L, at, "count", 1, MOST, 0);
    o->throttle_ms = hl_lua_opt_duration(L, at, "per", 0);
    const char *of = hl_lua_opt_str(L, at, "of", "key");
    o->throttle_all = strcmp(of, "handler") == 0;
    if (!o->throttle_all && strcmp(of, "key") != 0) luaL_error(L, "option 'throttle': it is of each 'key' or of the 'handler', not of '%s'", of);
    if (!count || !o->throttle_ms) luaL_error(L, "option 'throttle': count and per say how many starts there are within which time, such as \"10/1m\"");
  } else {
    if (lua_type(L, at) != LUA_TSTRING) luaL_error(L, "%s, not a %s", want, luaL_typename(L, at));
    size_t n;
    const char *text = lua_tolstring(L, at, &n), *slash = memchr(text, '/', n);
    if (!slash || hl_str_int64((hl_str){text, (size_t)(slash - text)}, &count)) luaL_error(L, "%s, not \"%s\"", want, text);
    if (hl_duration_parse((hl_str){slash + 1, (size_t)(text + n - slash - 1)}, &o->throttle_ms, &err)) luaL_error(L, "option 'throttle': %s", err.text);
  }
  int most = o->throttle_all ? MOST : MOST_OF_A_KEY;
  if (count < 1 || count > most) luaL_error(L, "option 'throttle': 1 to %d starts, not %I", most, (LUAI_UACINT)count);
  if (o->throttle_ms < 1 || o->throttle_ms > 31 * HL_DAY) luaL_error(L, "option 'throttle': the time is longer than zero, and 31 days at most");
  o->throttle_n = (unsigned)count;
}

/* 100, or { size =, wait = }. */
static void read_batch(lua_State *L, hl_handler_options *o, bool derived) {
  static const char *const known[] = {"size", "wait", NULL};
  enum { MOST = 1000, WAIT_MS = 5000 };
  if (!lua_istable(L, 2) || lua_getfield(L, 2, "batch") == LUA_TNIL) return;
  int at = lua_gettop(L), from = lua_istable(L, at) ? at : 2;
  if (from == at) hl_lua_check_options(L, at, "option 'batch'", known);
  o->batch_size = (unsigned)hl_lua_opt_int(L, from, from == at ? "size" : "batch", 1, MOST, 0);
  o->batch_wait_ms = from == at ? hl_lua_opt_duration(L, at, "wait", WAIT_MS) : WAIT_MS;
  if (!o->batch_size) luaL_error(L, "option 'batch': size says how many events the handler gets at once, 1 to %d", MOST);
  if (o->batch_wait_ms < 1 || o->batch_wait_ms > HL_DAY)
    luaL_error(L, "option 'batch': wait is how long the first event of a batch waits for others, a day at most");
  if (o->debounce_ms || o->hold_ms) luaL_error(L, "option 'batch': a handler with '%s' has no batches", o->hold_ms ? "hold" : "debounce");
  if (derived) luaL_error(L, "option 'batch': events of this type are made one by one");
}

static void read_hold(lua_State *L, hl_handler_options *o) {
  if (!lua_istable(L, 2) || lua_getfield(L, 2, "hold") == LUA_TNIL) return;
  o->hold_ms = hl_lua_opt_duration(L, 2, "hold", 0);
  if (o->hold_ms < 1 || o->hold_ms > HL_HOUR)
    luaL_error(L, "option 'hold' is how long an event waits for earlier ones of its object, an hour at most");
  if (o->debounce_ms) luaL_error(L, "option 'hold': a handler with 'debounce' waits already");
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

void hl_script_note_type(hl_script *s, const char *type) {
  for (size_t i = 0; i < s->n_types; i++)
    if (strcmp(s->types[i], type) == 0) return;
  s->types = hl_realloc(s->types, (s->n_types + 2) * sizeof *s->types);
  s->types[s->n_types++] = hl_strdup(type);
  s->types[s->n_types] = NULL;
}

/* Raises for a type that there is not. True: a name of our own. */
static bool check_type(lua_State *L, const char *type) {
  const char *nearest;
  bool own = hl_own_name(type, &nearest);
  if (!own && !hl_event_type_known(type, NULL)) {
    if (nearest) luaL_error(L, "unknown event type '%s'; did you mean '%s'?", type, nearest);
    luaL_error(L, "unknown event type '%s': HubSpot has no such webhook subscription", type);
  }
  if (!*type) luaL_error(L, "on(): the event's name is empty");
  if (strncmp(type, "hubloop.", 8) == 0 && strcmp(type, HL_ALERT_TYPE) != 0)
    luaL_error(L, "unknown event type '%s'; of hubloop's own there is '%s'", type, HL_ALERT_TYPE);
  return own;
}

static int l_on(lua_State *L) {
  luaL_checkstring(L, 1);
  hl_script_check_loading(L, "on()");
  shift_arguments(L, "on()");
  bool derived = hl_event_type_derived(lua_tostring(L, 1)), own = hl_derive(L);
  const char *type = lua_tostring(L, 1);
  hl_lua_check_options(L, 2, "on()", on_known);
  own = own || check_type(L, type);
  hl_handler_options o;
  read_options(L, &o);
  check_property(L, type, own, o.property);
  o.object_type = read_object_type(L, type);
  read_key(L, &o);
  o.own = read_own(L);
  read_debounce(L, &o);
  read_hold(L, &o);
  read_throttle(L, &o);
  read_batch(L, &o, derived);
  o.live = hl_lua_opt_str(L, 2, "priority", NULL) != NULL; /* it says itself what it is */
  hl_script *s = hl_script_of(L);
  hl_handler_fn *h = new_handler(L, 2, 3, o.name ? o.name : type, HL_CLASS_LIVE, o.batch_size > 0);
  h->merged = o.debounce_merged;
  hl_error err;
  hl_handler *out;
  if (hl_engine_on(s->host->o.engine, type, own, &o, hl_handler_start, h, &out, &err))
    return luaL_error(L, "on(): %s", err.text);
  s->registered++;
  if (!own) hl_script_note_type(s, type);
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
  hl_handler_fn *h = new_handler(L, 2, 3, o.name, HL_CLASS_NORMAL, false);
  hl_error err;
  hl_handler *out;
  if (hl_engine_schedule(s->host->o.engine, so, &o, hl_handler_start, h, &out, &err))
    return luaL_error(L, "%s: %s", what, err.text);
  s->registered++;
  return 0;
}

static int l_every(lua_State *L) {
  int64_t ms = hl_lua_check_duration(L, 1);
  hl_script_check_loading(L, "every()");
  shift_arguments(L, "every()");
  hl_lua_check_options(L, 2, "every()", every_known);
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
  hl_lua_check_options(L, 2, "cron()", cron_known);
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
  hl_handler_fn *h = new_handler(L, 2, 3, o.name, HL_CLASS_NORMAL, false);
  if (tz && hl_tz_load(tz, &so.tz, &err)) return luaL_error(L, "cron(): %s", err.text);
  hl_handler *out;
  if (hl_engine_schedule(s->host->o.engine, &so, &o, hl_handler_start, h, &out, &err))
    return luaL_error(L, "cron(): %s", err.text);
  s->registered++;
  return 0;
}

/* ---- for `hubloop check`: each raises what the registration would ---- */

static int h_check_type(lua_State *L) {
  const char *type = luaL_checkstring(L, 1);
  if (!hl_event_type_derived(type)) check_type(L, type);
  return 0;
}

static int h_check_own_name(lua_State *L) {
  hl_check_own_name(L, luaL_checkstring(L, 1), luaL_checkstring(L, 2));
  return 0;
}

static int h_check_cron(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  hl_cron cron;
  hl_tz *tz;
  hl_error err;
  if (hl_cron_parse((hl_str){text, n}, &cron, &err) || hl_tz_load(luaL_checkstring(L, 2), &tz, &err))
    return luaL_error(L, "cron(): %s", err.text);
  hl_tz_free(tz);
  return 0;
}

/* check_options("on", options); "wait time": those of a wait for a time */
static int h_check_options(lua_State *L) {
  static const struct { const char *what; const char *const *known; } all[] = {
      {"on", on_known}, {"every", every_known}, {"cron", cron_known},
      {"wait", hl_wait_event_options}, {"wait time", hl_wait_time_options}};
  const char *what = luaL_checkstring(L, 1);
  for (size_t i = 0; i < HL_COUNT(all); i++)
    if (strcmp(all[i].what, what) == 0) hl_lua_check_options(L, 2, lua_pushfstring(L, "%s()", *what == 'w' ? "wait" : what), all[i].known);
  return 0;
}

void hl_bind_on(lua_State *L) {
  static const luaL_Reg inner[] = {{"check_type", h_check_type}, {"check_own_name", h_check_own_name}, {"check_cron", h_check_cron},
                                   {"check_options", h_check_options}, {"every", l_every}, {NULL, NULL}};
  lua_register(L, "on", l_on);
  lua_register(L, "every", l_every);
  lua_register(L, "cron", l_cron);
  hl_state_push_host(L);
  luaL_setfuncs(L, inner, 0);
  lua_pop(L, 1);
}
