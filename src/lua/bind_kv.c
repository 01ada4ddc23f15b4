/* kv: durable values of a script. In a handler writes are buffered in its run
 * and commit with it; outside events they commit at once, which waits. A key
 * that is not in memory is loaded first, which waits too. */
#include "base/mem.h"
#include "lua/script.h"

#define OP_META "hubloop.kv_op"

enum { VALUE_MAX = 256 * 1024, LIST_MAX = 10000, LOADS_MAX = 5 };

typedef enum { KV_GET, KV_SET, KV_INCR, KV_CAS, KV_DELETE } kv_what;

/* An operation that waits. The engine's callbacks cannot be called off, so it is
 * freed in the last of them, whether or not its task is still there. */
typedef struct kv_op {
  kv_what what;
  hl_task *task;           /* NULL: the waiter was cancelled, its run may be gone */
  hl_engine *engine;
  hl_host *host;
  hl_run *run;
  bool at_once, own;       /* own: the script's own values, no shipped module's */
  char *script, *account, *key, *value, *old;
  size_t key_n, value_n, old_n;
  int64_t expires_at, delta;
  unsigned loads;
  int code;                /* result */
  hl_error err;
  hl_str got;              /* GET, borrowed */
  int64_t sum;
  bool swapped;
} kv_op;

static void op_free(kv_op *op) {
  hl_free(op->script);
  hl_free(op->account);
  hl_free(op->key);
  hl_free(op->value);
  hl_free(op->old);
  hl_free(op);
}

static int l_op_gc(lua_State *L) {
  kv_op **box = lua_touserdata(L, 1);
  if (*box) op_free(*box);
  *box = NULL;
  return 0;
}

static hl_kv_scope scope_of(const kv_op *op) { return (hl_kv_scope){op->script, op->account}; }

static int try(kv_op *op) {
  hl_kv_scope scope = scope_of(op);
  hl_str key = {op->key, op->key_n};
  hl_str value = {op->value, op->value_n};
  int rc;
  switch (op->what) {
    case KV_GET:
      return hl_kv_get(op->run, scope, key, &op->got);
    case KV_SET:
    case KV_DELETE:
      return hl_kv_set(op->run, scope, key, value, op->expires_at, &op->err);
    case KV_INCR:
      rc = hl_kv_incr(op->run, scope, key, op->delta, &op->sum, &op->err);
      return rc;
    case KV_CAS:
      rc = hl_kv_get(op->run, scope, key, &op->got);
      if (rc) return rc;
      op->swapped = (op->got.p == NULL) == (op->old == NULL) &&
                    (!op->old || hl_str_eq(op->got, (hl_str){op->old, op->old_n}));
      return op->swapped ? hl_kv_set(op->run, scope, key, value, op->expires_at, &op->err) : 0;
  }
  return HL_EINVAL;
}

/* One try. HL_EBUSY: the key has to be loaded. */
static int attempt(kv_op *op) {
  static const char *const names[] = {[KV_SET] = "kv set", [KV_CAS] = "kv set", [KV_INCR] = "kv incr", [KV_DELETE] = "kv delete"};
  char by[32];
  int rc = try(op);
  if (rc || !op->own || !op->host->o.replay || op->what == KV_GET || (op->what == KV_CAS && !op->swapped)) return rc;
  snprintf(by, sizeof by, "%lld", (long long)op->delta);
  hl_replay_did(op->host, op->run, true, names[op->what], op->key, op->what == KV_INCR ? hl_str_of(by) : (hl_str){op->value, op->value_n}, NULL);
  return 0;
}

static int push_result(lua_State *L, void *arg) {
  kv_op *op = arg;
  if (op->code) {
    const char *text = op->err.code ? op->err.text
                       : op->code == HL_EBUSY ? "the key could not be loaded"
                                              : "the store cannot commit: what was written is not stored";
    hl_lua_push_error(L, hl_err_name(op->code), text, 0, NULL, NULL, op->code == HL_EIO);
    return -1;
  }
  switch (op->what) {
    case KV_GET:
      if (op->got.p) hl_lua_push_json_text(L, op->got, false);
      else lua_pushnil(L);
      return 1;
    case KV_INCR: lua_pushinteger(L, op->sum); return 1;
    case KV_CAS: lua_pushboolean(L, op->swapped); return 1;
    case KV_SET:
    case KV_DELETE: return 0;
  }
  return 0;
}

static void finish(kv_op *op) {
  if (op->task) hl_task_resume(op->task, push_result, op);
  op_free(op);
}

static void on_commit(void *arg, int code) {
  kv_op *op = arg;
  if (!op->code) op->code = code;
  finish(op);
}

static bool needs_commit(const kv_op *op) {
  return op->at_once && op->what != KV_GET && !(op->what == KV_CAS && !op->swapped);
}

static void on_load(void *arg, int code) {
  kv_op *op = arg;
  if (!op->task) { /* its run may be gone */
    op_free(op);
    return;
  }
  hl_run_as(op->run, hl_task_writer(op->task));
  op->code = code ? code : attempt(op);
  /* Memory is short and it went again: once more, then it is an error. */
  if (op->code == HL_EBUSY && op->loads++ < LOADS_MAX) {
    hl_kv_load(op->engine, scope_of(op), (hl_str){op->key, op->key_n}, on_load, op);
    return;
  }
  if (!op->code && needs_commit(op)) hl_run_commit(op->run, on_commit, op);
  else finish(op);
}

static void dropped(void *arg) { ((kv_op *)arg)->task = NULL; }

/* Takes `op` over. */
static int perform(lua_State *L, kv_op *op) {
  op->code = attempt(op);
  if (op->code != HL_EBUSY && (op->code || !needs_commit(op))) {
    int code = op->code;
    hl_error err = op->err;
    if (code) {
      op_free(op);
      return hl_lua_raise(L, hl_err_name(code), "kv: %s", err.code ? err.text : hl_err_name(code));
    }
    switch (op->what) {
      case KV_GET: {
        hl_str got = op->got;
        op_free(op);
        if (got.p) hl_lua_push_json_text(L, got, false);
        else lua_pushnil(L);
        return 1;
      }
      case KV_INCR: lua_pushinteger(L, op->sum); break;
      case KV_CAS: lua_pushboolean(L, op->swapped); break;
      case KV_SET:
      case KV_DELETE: lua_pushnil(L); break;
    }
    op_free(op);
    return 1;
  }
  /* It has to wait. Until the engine holds on to op, a userdata does: the check may raise. */
  kv_op **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = op;
  luaL_setmetatable(L, OP_META);
  op->task = hl_task_check_wait(L);
  *box = NULL;
  hl_task_wait(op->task, dropped, op);
  if (op->code == HL_EBUSY) hl_kv_load(op->engine, scope_of(op), (hl_str){op->key, op->key_n}, on_load, op);
  else hl_run_commit(op->run, on_commit, op);
  return hl_task_yield(L);
}

/* Upvalue 1: scope name, or nil for the script's own; upvalue 2: account or nil. */
static kv_op *new_op(lua_State *L, kv_what what, hl_str key) {
  hl_script *s = hl_script_of(L);
  bool at_once;
  hl_run *run = hl_script_run(L, &at_once);
  const char *scope = lua_tostring(L, lua_upvalueindex(1));
  const char *account = scope ? lua_tostring(L, lua_upvalueindex(2)) : hl_script_account(L);
  kv_op *op = HL_NEW(kv_op);
  op->what = what;
  op->engine = s->host->o.engine;
  op->host = s->host;
  op->own = !scope;
  op->run = run;
  op->at_once = at_once;
  op->script = hl_strdup(scope ? scope : s->name);
  op->account = hl_strdup(account ? account : "");
  op->key = hl_strndup(key.p, key.n);
  op->key_n = key.n;
  return op;
}

static hl_str check_key(lua_State *L) {
  hl_str key;
  key.p = luaL_checklstring(L, 1, &key.n);
  if (key.n == 0 || key.n > 512)
    luaL_error(L, "kv: a key has 1 to 512 bytes, this one has %d", (int)key.n);
  return key;
}

/* JSON text of the value at idx; hl_free it. Raises. */
static char *check_value(lua_State *L, int idx, size_t *n) {
  hl_error err;
  hl_buf json;
  hl_buf_init(&json, VALUE_MAX);
  int rc = hl_lua_to_json(L, idx, &json, &err);
  if (rc) {
    hl_buf_deinit(&json);
    hl_lua_raise(L, hl_err_name(rc), "kv: %s", rc == HL_ELIMIT ? "a value has at most 256 KiB as JSON" : err.text);
    return NULL;
  }
  return hl_buf_detach(&json, n);
}

static int64_t check_ttl(lua_State *L, int idx) {
  static const char *const known[] = {"ttl", NULL};
  hl_lua_check_options(L, idx, "kv", known);
  int64_t ttl = hl_lua_opt_duration(L, idx, "ttl", 0);
  return ttl > 0 ? hl_loop_now(hl_script_of(L)->host->o.loop) + ttl : 0;
}

static int l_get(lua_State *L) { return perform(L, new_op(L, KV_GET, check_key(L))); }

static int l_set(lua_State *L) {
  lua_settop(L, 3);
  hl_str key = check_key(L);
  if (lua_isnil(L, 2)) return luaL_error(L, "kv.set: the value is nil; use kv.delete to remove a key");
  int64_t expires = check_ttl(L, 3);
  hl_script_run(L, NULL); /* raises before anything is held */
  size_t value_n;
  char *value = check_value(L, 2, &value_n);
  kv_op *op = new_op(L, KV_SET, key);
  op->expires_at = expires;
  op->value = value;
  op->value_n = value_n;
  return perform(L, op);
}

static int l_delete(lua_State *L) { return perform(L, new_op(L, KV_DELETE, check_key(L))); }

static int l_incr(lua_State *L) {
  hl_str key = check_key(L);
  lua_Integer by = luaL_optinteger(L, 2, 1);
  kv_op *op = new_op(L, KV_INCR, key);
  op->delta = by;
  return perform(L, op);
}

static int l_cas(lua_State *L) {
  lua_settop(L, 4);
  hl_str key = check_key(L);
  int64_t expires = check_ttl(L, 4);
  size_t old_n = 0, value_n = 0;
  char *old = NULL, *value = NULL;
  hl_script_run(L, NULL); /* raises before anything is held */
  if (!lua_isnil(L, 3)) value = check_value(L, 3, &value_n);
  if (!lua_isnil(L, 2)) {
    hl_error err;
    hl_buf json;
    hl_buf_init(&json, VALUE_MAX);
    int rc = hl_lua_to_json(L, 2, &json, &err);
    if (rc) {
      hl_buf_deinit(&json);
      hl_free(value);
      return hl_lua_raise(L, hl_err_name(rc), "kv.cas: %s", err.text);
    }
    old = hl_buf_detach(&json, &old_n);
  }
  kv_op *op = new_op(L, KV_CAS, key);
  op->expires_at = expires;
  op->old = old;
  op->old_n = old_n;
  op->value = value;
  op->value_n = value_n;
  return perform(L, op);
}

/* ---- list ---- */
typedef struct list_op {
  hl_task *task;
  const hl_str *keys;
  size_t n;
} list_op;

static void list_dropped(void *arg) { ((list_op *)arg)->task = NULL; }

static int push_keys(lua_State *L, void *arg) {
  list_op *op = arg;
  lua_createtable(L, (int)op->n, 0);
  for (size_t i = 0; i < op->n; i++) {
    lua_pushlstring(L, op->keys[i].p, op->keys[i].n);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static void listed(void *arg, const hl_str *keys, size_t n) {
  list_op *op = arg;
  op->keys = keys;
  op->n = n;
  if (op->task) hl_task_resume(op->task, push_keys, op);
  hl_free(op);
}

static int l_list(lua_State *L) {
  static const char *const known[] = {"max", NULL};
  size_t n;
  const char *prefix = luaL_optlstring(L, 1, "", &n);
  hl_lua_check_options(L, 2, "kv.list", known);
  unsigned max = (unsigned)hl_lua_opt_int(L, 2, "max", 1, LIST_MAX, 1000);
  hl_script *s = hl_script_of(L);
  hl_run *run = hl_script_run(L, NULL);
  const char *scope = lua_tostring(L, lua_upvalueindex(1));
  const char *account = scope ? luaL_optstring(L, lua_upvalueindex(2), "") : hl_script_account(L);
  hl_task *t = hl_task_check_wait(L);
  list_op *op = HL_NEW(list_op);
  op->task = t;
  hl_task_wait(t, list_dropped, op);
  hl_kv_list(run, (hl_kv_scope){scope ? scope : s->name, account}, (hl_str){prefix, n}, max, listed, op);
  return hl_task_yield(L);
}

static const luaL_Reg kv_fns[] = {{"get", l_get}, {"set", l_set}, {"incr", l_incr}, {"cas", l_cas},
                                  {"delete", l_delete}, {"list", l_list}, {NULL, NULL}};

/* put({ key = JSON text or false, … }): sets and deletes them in one commit. */
static int l_put(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    bool fits = lua_type(L, 3) == LUA_TSTRING ? lua_rawlen(L, 3) <= VALUE_MAX : lua_type(L, 3) == LUA_TBOOLEAN && !lua_toboolean(L, 3);
    if (lua_type(L, 2) != LUA_TSTRING || lua_rawlen(L, 2) < 1 || lua_rawlen(L, 2) > 512 || !fits)
      return luaL_error(L, "kv.put: a key has 1 to 512 bytes, a value is JSON of at most 256 KiB, or false");
  }
  kv_op *op = new_op(L, KV_SET, HL_STR("put"));
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    hl_str key = {lua_tostring(L, 2), lua_rawlen(L, 2)}, value = {lua_tostring(L, 3), lua_rawlen(L, 3)};
    if (!op->code) op->code = hl_kv_set(op->run, scope_of(op), key, value, 0, &op->err);
  }
  if (!op->code && !op->at_once) {
    op_free(op);
    return 0;
  }
  kv_op **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = op;
  luaL_setmetatable(L, OP_META);
  op->task = hl_task_check_wait(L);
  *box = NULL;
  hl_task_wait(op->task, dropped, op);
  hl_run_commit(op->run, on_commit, op);
  return hl_task_yield(L);
}

/* host.kv(scope, [account]): the same functions over a scope of a shipped module's own, and put. */
static int l_host_kv(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 2);
  luaL_newlibtable(L, kv_fns);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  luaL_setfuncs(L, kv_fns, 2);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, l_put, 2);
  lua_setfield(L, -2, "put");
  return 1;
}

void hl_bind_kv(lua_State *L) {
  luaL_newmetatable(L, OP_META);
  lua_pushcfunction(L, l_op_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newlibtable(L, kv_fns);
  lua_pushnil(L);
  lua_pushnil(L);
  luaL_setfuncs(L, kv_fns, 2);
  hl_state_add_module(L, "kv", true);
  hl_state_push_host(L);
  lua_pushcfunction(L, l_host_kv);
  lua_setfield(L, -2, "kv");
  lua_pop(L, 1);
}
