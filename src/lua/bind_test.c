/* What stdlib/test.lua needs from the host: the simulator, virtual time, and the
 * records that handlers left. Only in test states. */
#include "base/mem.h"
#include "lua/testbed.h"

static hl_testbed *bed_of(lua_State *L) { return hl_script_of(L)->host->bed; }

static void ready(lua_State *L) {
  hl_error err;
  if (hl_testbed_ready(bed_of(L), &err)) luaL_error(L, "%s", err.text);
}

/* sim(name, args) -> result */
static int t_sim(lua_State *L) {
  hl_testbed *bed = bed_of(L);
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 2);
  ready(L);
  hl_error err;
  hl_buf args;
  char *out = NULL;
  hl_buf_init(&args, 64 * 1024 * 1024);
  int rc = lua_isnil(L, 2) ? hl_buf_puts(&args, "{}") : hl_lua_to_json(L, 2, &args, &err);
  if (!rc) rc = hl_testbed_sim(bed, NULL, &err);
  if (!rc) rc = hl_sim_control(bed->sim, name, hl_buf_str(&args), &out, &err);
  hl_buf_deinit(&args);
  if (rc) return luaL_error(L, "%s", err.text);
  cJSON *tree = NULL;
  rc = hl_json_parse(hl_str_of(out), &tree, &err);
  hl_free(out);
  if (rc) return luaL_error(L, "%s", err.text);
  hl_lua_push_json_take(L, tree, true);
  return 1;
}

/* start(options): the simulator with options of the test's own. */
static int t_start(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  hl_error err;
  hl_buf json;
  hl_buf_init(&json, 1024 * 1024);
  int rc = hl_lua_to_json(L, 1, &json, &err);
  if (!rc) rc = hl_testbed_sim(bed_of(L), json.p, &err);
  hl_buf_deinit(&json);
  return rc ? luaL_error(L, "%s", err.text) : 0;
}

/* ---- load ---- */
typedef struct load_op {
  hl_task *task;
  int code;
  hl_str text;
} load_op;

static void load_dropped(void *arg) { ((load_op *)arg)->task = NULL; }

static int push_loaded(lua_State *L, void *arg) {
  load_op *op = arg;
  if (!op->code) return 0;
  lua_pushlstring(L, op->text.p, op->text.n);
  return -1;
}

static void load_ended(void *arg, int code, hl_str text) {
  load_op *op = arg;
  op->code = code;
  op->text = text;
  if (op->task) hl_task_resume(op->task, push_loaded, op);
  hl_free(op);
}

static void list_strings(lua_State *L, int idx, const char *key, const char **out, size_t max) {
  size_t n = 0;
  if (lua_getfield(L, idx, key) == LUA_TTABLE) {
    for (; n + 1 < max && lua_rawgeti(L, -1, (lua_Integer)n + 1) == LUA_TSTRING; n++) {
      out[n] = lua_tostring(L, -1);
      lua_pop(L, 1);
    }
  }
  out[n] = NULL;
}

/* { NAME = "value" } as "NAME=value", besides what is listed already. */
static void list_pairs(lua_State *L, int idx, const char *key, const char **out, size_t max) {
  size_t n = 0;
  while (out[n]) n++;
  if (lua_getfield(L, idx, key) != LUA_TTABLE) return;
  int table = lua_gettop(L);
  for (lua_pushnil(L); n + 1 < max && lua_next(L, table); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) continue;
    out[n++] = lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_insert(L, table); /* it stays there, below the table */
    table++;
  }
  out[n] = NULL;
}

/* load(path, permissions): the script beside the test; returns when its main chunk has ended. */
static int t_load(lua_State *L) {
  hl_testbed *bed = bed_of(L);
  const char *path = luaL_checkstring(L, 1);
  lua_settop(L, 2);
  hl_task *t = hl_task_check_wait(L);
  const char *hosts[32], *fs[32], *env[32], *sql[32];
  hl_permissions p = {0};
  if (lua_istable(L, 2)) {
    luaL_checkstack(L, 60, NULL);
    list_strings(L, 2, "hosts", hosts, HL_COUNT(hosts));
    list_strings(L, 2, "fs", fs, HL_COUNT(fs));
    list_strings(L, 2, "env", env, HL_COUNT(env));
    list_pairs(L, 2, "env", env, HL_COUNT(env));
    list_strings(L, 2, "sql", sql, HL_COUNT(sql));
    p = (hl_permissions){.hosts = hosts, .fs = fs, .env = env, .sql = sql};
  }
  const char *full = path[0] == '/' ? path : lua_pushfstring(L, "%s/%s", bed->dir, path);
  hl_error err;
  hl_script *s;
  if (hl_host_load(bed->host, full, &p, &s, &err)) return luaL_error(L, "%s", err.text);
  load_op *op = HL_NEW(load_op);
  op->task = t;
  hl_task_wait(t, load_dropped, op);
  hl_script_on_end(s, load_ended, op);
  return hl_task_yield(L);
}

/* ---- killed, and started again ---- */
/* crash(method, path, n): when the n-th such call from now on has been answered; n nil: at once. */
static int t_crash(lua_State *L) {
  hl_testbed *bed = bed_of(L);
  const char *method = luaL_optstring(L, 1, NULL), *path = luaL_optstring(L, 2, NULL);
  lua_Integer n = luaL_optinteger(L, 3, 0);
  luaL_argcheck(L, n >= 0 && n <= 1000000, 3, "call: 1 is the next one");
  ready(L);
  hl_free(bed->crash_method);
  hl_free(bed->crash_path);
  bed->crash_method = hl_strdup(method);
  bed->crash_path = hl_strdup(path);
  bed->crash_in = (unsigned)n;
  if (!n) hl_testbed_crash(bed);
  return 0;
}

/* crashed() -> the names of the scripts that have been killed, or nil when none has. */
static int t_crashed(lua_State *L) {
  hl_testbed *bed = bed_of(L);
  if (!bed->down) return 0;
  lua_newtable(L);
  for (hl_script *s = bed->host->scripts; s; s = s->next) {
    if (s == bed->script) continue;
    lua_pushstring(L, s->name);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
  return 1;
}

typedef struct again_op {
  hl_host *host;
  hl_script *fresh;
  hl_task *task;
  char *name;
  int code;
  hl_str text;
} again_op;

static void again_dropped(void *arg) { ((again_op *)arg)->task = NULL; }

static int push_again(lua_State *L, void *arg) {
  again_op *op = arg;
  if (!op->code) return 0;
  lua_pushlstring(L, op->text.p, op->text.n);
  return -1;
}

static void again_ended(void *arg, int code, hl_str text) {
  again_op *op = arg;
  hl_change change = {.name = op->name, .script = op->fresh};
  if (!code) hl_host_swap(op->host, &change, 1, 0);
  op->code = code ? code : change.err.code;
  op->text = code ? text : hl_str_of(change.err.text);
  if (op->task) hl_task_resume(op->task, push_again, op);
  hl_free(op->name);
  hl_free(op);
}

/* again(name): the script anew, with its permissions; returns when its main chunk has ended. */
static int t_again(lua_State *L) {
  hl_testbed *bed = bed_of(L);
  const char *name = luaL_checkstring(L, 1);
  hl_task *t = hl_task_check_wait(L);
  hl_script *old = bed->host->scripts, *s;
  while (old && strcmp(old->name, name) != 0) old = old->next;
  if (!old) return luaL_error(L, "no script %s", name);
  hl_permissions p = {.hosts = (const char *const *)old->hosts, .fs = (const char *const *)old->fs,
                      .env = (const char *const *)old->env, .sql = (const char *const *)old->sql};
  hl_error err;
  if (hl_host_stage(bed->host, lua_pushfstring(L, "%s/%s", bed->host->root, name), &p, 0, &s, &err)) return luaL_error(L, "%s", err.text);
  again_op *op = HL_NEW(again_op);
  *op = (again_op){.host = bed->host, .fresh = s, .task = t, .name = hl_strdup(name)};
  hl_task_wait(t, again_dropped, op);
  hl_script_on_end(s, again_ended, op);
  return hl_task_yield(L);
}

/* up(): they go on. */
static int t_up(lua_State *L) {
  hl_testbed_up(bed_of(L));
  return 0;
}

/* ---- virtual time ---- */
typedef struct sleep_op {
  hl_loop *loop;
  hl_task *task;
  hl_timer timer;
} sleep_op;

static void sleep_cancel(void *arg) {
  sleep_op *op = arg;
  hl_timer_stop(op->loop, &op->timer);
  hl_free(op);
}

static void sleep_over(hl_timer *timer, void *arg) {
  sleep_op *op = arg;
  (void)timer;
  hl_task_resume(op->task, NULL, NULL);
  hl_free(op);
}

/* advance(ms): waits that long in virtual time; timers and handlers run meanwhile. */
static int t_advance(lua_State *L) {
  lua_Integer ms = luaL_checkinteger(L, 1);
  luaL_argcheck(L, ms >= 0, 1, "time does not run backwards");
  ready(L);
  hl_task *t = hl_task_check_wait(L);
  sleep_op *op = HL_NEW(sleep_op);
  op->loop = bed_of(L)->loop;
  op->task = t;
  hl_task_wait(t, sleep_cancel, op);
  hl_timer_start(op->loop, &op->timer, ms, sleep_over, op);
  return hl_task_yield(L);
}

/* idle() -> true, or false and what is still going on. */
static int t_idle(lua_State *L) {
  char why[128] = "";
  ready(L);
  bool idle = hl_testbed_idle(bed_of(L), why, sizeof why);
  lua_pushboolean(L, idle);
  lua_pushstring(L, why);
  return 2;
}

/* audit(kind or nil) -> { {kind=, key=, at=, record=}, … } of stored records. */
static int t_audit(lua_State *L) {
  const char *kind = luaL_optstring(L, 1, NULL);
  lua_newtable(L);
  lua_Integer n = 0;
  for (hl_audit_record *a = bed_of(L)->audits; a; a = a->next) {
    if (a->run && a->run != hl_script_of(L)->main_run) continue;
    if (kind && strcmp(kind, a->kind) != 0) continue;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, a->kind);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, a->key);
    lua_setfield(L, -2, "key");
    lua_pushinteger(L, a->at);
    lua_setfield(L, -2, "at");
    hl_lua_push_json_text(L, hl_str_of(a->json), true);
    lua_setfield(L, -2, "record");
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* place(level) -> the line of the caller at that level. */
static int t_line(lua_State *L) {
  lua_Debug ar;
  if (!lua_getstack(L, (int)luaL_checkinteger(L, 1), &ar)) return 0;
  lua_getinfo(L, "l", &ar);
  lua_pushinteger(L, ar.currentline);
  return 1;
}

/* traceback(level): of the caller's stack. */
static int t_traceback(lua_State *L) {
  luaL_traceback(L, L, NULL, (int)luaL_optinteger(L, 1, 1));
  return 1;
}

static int t_log(lua_State *L) {
  hl_buf *b = &bed_of(L)->logged;
  lua_pushlstring(L, b->p ? b->p : "", b->n);
  return 1;
}

static int t_stats(lua_State *L) {
  hl_engine_stats s;
  hl_engine_stats_get(bed_of(L)->engine, &s);
  const struct { const char *name; uint64_t value; } list[] = {
      {"acknowledged", s.acknowledged}, {"pending", s.pending}, {"ran", s.ran}, {"filtered", s.filtered},
      {"duplicate", s.duplicate}, {"waiting", s.waiting}, {"dead", s.dead}, {"unhandled", s.unhandled},
      {"orphaned", s.orphaned}, {"own", s.own}, {"debounced", s.debounced}, {"removed", s.removed}, {"retried", s.retried}, {"failed", s.runs_failed}};
  lua_createtable(L, 0, (int)HL_COUNT(list));
  for (size_t i = 0; i < HL_COUNT(list); i++) {
    lua_pushinteger(L, (lua_Integer)list[i].value);
    lua_setfield(L, -2, list[i].name);
  }
  return 1;
}

int hl_bind_test_entry(lua_State *L) {
  static const luaL_Reg fns[] = {{"sim", t_sim}, {"start", t_start}, {"load", t_load}, {"crash", t_crash}, {"crashed", t_crashed}, {"again", t_again}, {"up", t_up},
                                 {"advance", t_advance}, {"idle", t_idle}, {"audit", t_audit}, {"http", hl_testweb_register},
                                 {"line", t_line}, {"traceback", t_traceback}, {"log", t_log}, {"stats", t_stats}, {NULL, NULL}};
  static const char *const globals[] = {"describe", "it", "before_each", "after_each", "expect"};
  hl_state_push_host(L);
  luaL_newlib(L, fns);
  lua_setfield(L, -2, "test");
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "test");
  lua_call(L, 1, 1);
  for (size_t i = 0; i < HL_COUNT(globals); i++) {
    lua_getfield(L, -1, globals[i]);
    lua_setglobal(L, globals[i]);
  }
  lua_getfield(L, -1, "sim");
  hl_state_add_module(L, "sim", true);
  lua_pop(L, 1);
  return 0;
}
