/* host.sql, for stdlib/sql.lua: databases of scripts (net/sql.h). Permissions, values in and rows out; what tasks
 * hold (transactions, readings) ends with them. In a test SQLite files lie in the test's own folder; in a replay
 * databases are only read. */
#include "base/mem.h"
#include "hubspot/seal.h"
#include "lua/core.h"
#include "lua/script.h"
#include "lua/testbed.h"
#include "net/sql.h"

#define DB_MT "hl.sql.db"
#define GUARD_MT "hl.sql.transaction"
#define CURSOR_MT "hl.sql.rows"
#define BLOB_MT "hl.sql.blob"

enum { TEXT_MAX = 1 << 20, VALUES_MAX = 32766, BYTES_MAX = 32 << 20 };

typedef struct sql_db {
  hl_sql *db;                /* NULL: closed */
  char *label;               /* of messages; no secret */
  bool real;                 /* a server */
} sql_db;

/* A transaction of a task, in a userdata. */
struct hl_sql_guard {
  hl_sql_guard *next, **at;  /* of the script */
  hl_held held;
  hl_sql *db;                /* to compare with */
  hl_sql_lease *lease;       /* counted; NULL: it is over */
  unsigned level;            /* its place among those in one another, from 1 on */
  hl_task *owner;
};

typedef struct sql_op {
  hl_task *task;             /* NULL: it has ended meanwhile */
  hl_script *script;
  hl_sql_call *call;
  hl_sql_kind kind;
  char *label;
  hl_sql_guard *guard;       /* BEGIN, COMMIT: on the task's stack */
  hl_sql_lease *lease;       /* BEGIN: that it is in, or NULL */
  hl_sql_cursor **cursor;    /* READ, MORE: in a userdata on the task's stack */
  hl_sql_result *r;
} sql_op;

static sql_db *check_db(lua_State *L) {
  sql_db *d = luaL_checkudata(L, 1, DB_MT);
  if (!d->db) hl_lua_raise(L, "invalid", "sql: the database %s is closed", d->label ? d->label : "");
  return d;
}

/* ---- opening ---- */
static int denied(lua_State *L, const char *label) {
  hl_script *s = hl_script_of(L);
  return hl_lua_raise(L, "denied", "sql.open: this script may not use %s: permit it with permissions = { [\"%s\"] = { sql = { \"%s\" } } } in "
                      "hubloop.lua, or --allow-sql %s for a lone script, which reads no hubloop.lua", label, s->name, label, label);
}

static bool is_url(const char *place) { return hl_str_starts(hl_str_of(place), "postgres://") || hl_str_starts(hl_str_of(place), "postgresql://"); }

/* *full: the file's path. */
static bool may_file(lua_State *L, const char *path, hl_buf *full) {
  hl_script *s = hl_script_of(L);
  hl_testbed *bed = s->host->bed;
  hl_buf entry;
  hl_buf_init(&entry, 4096);
  bool may = bed && s == bed->script;
  hl_script_place(L, path, full);
  for (char **e = s->sql; e && *e && !may; e++) {
    if (is_url(*e)) continue;
    hl_script_place(L, *e, &entry);
    may = hl_str_eq(hl_buf_str(&entry), hl_buf_str(full));
  }
  hl_buf_deinit(&entry);
  return may;
}

/* "host:port/database" of the URL is permitted; *label: what names it. */
static bool may_server(hl_script *s, const char *url, hl_buf *label, int *code, hl_error *err) {
  hl_buf entry;
  bool may = false;
  if ((*code = hl_sql_place(url, false, label, err))) return false;
  hl_buf_init(&entry, 4096);
  for (char **e = s->sql; e && *e && !may; e++) {
    hl_error ignored;
    hl_buf_clear(&entry);
    if (!is_url(*e) || hl_sql_place(*e, true, &entry, &ignored)) continue;
    may = entry.p[entry.n - 1] == '/' ? hl_str_starts(hl_buf_str(label), entry.p) : hl_str_eq(hl_buf_str(&entry), hl_buf_str(label));
  }
  hl_buf_deinit(&entry);
  return may;
}

static void add_secrets(hl_log *log, const char *url) {
  hl_buf password;
  hl_error err;
  hl_buf_init(&password, 4096);
  hl_log_add_secret(log, hl_str_of(url));
  if (!hl_sql_password(url, &password, &err) && password.n >= 4) hl_log_add_secret(log, hl_buf_str(&password));
  hl_buf_wipe(&password);
}

typedef struct opening { hl_buf url, full, label; int code; hl_error err; } opening;

/* Arguments: place or secret, read_only. */
static int open_inside(lua_State *L, sql_db *d, opening *o) {
  hl_script *s = hl_script_of(L);
  hl_host *host = s->host;
  const char *place;
  if (hl_secret_is(L, 1)) {
    if ((o->code = hl_secret_resolve(L, 1, &o->url, &o->err))) return o->code;
    place = o->url.p ? o->url.p : "";
    if (!is_url(place) && hl_loop_is_virtual(host->o.loop))
      return o->code = hl_fail(&o->err, HL_EDENIED, "no database server is reached in virtual time (tests, run --sim --for): name a file, "
                               "such as \"try.db\", while you try it");
    if (!is_url(place)) return o->code = hl_fail(&o->err, HL_EINVAL, "the secret does not begin with postgres://");
  } else {
    place = lua_tostring(L, 1);
  }
  hl_sql_options so = {.read_only = lua_toboolean(L, 2) || host->o.replay, .own = host->o.own};
  if (is_url(place)) {
    if (!may_server(s, place, &o->label, &o->code, &o->err)) return o->code ? o->code : HL_EDENIED;
    if ((o->code = hl_loop_need_real(host->o.loop, "a database server", &o->err))) return o->code;
    add_secrets(hl_loop_log(host->o.loop), place);
    so.url = place;
    d->real = true;
  } else {
    (void)hl_buf_puts(&o->label, place);
    if (!may_file(L, place, &o->full)) return HL_EDENIED;
    so.path = o->full.p;
  }
  if (!host->sqls) host->sqls = hl_sqls_new(host->o.loop);
  if ((o->code = hl_sql_open(host->sqls, &so, &d->db, &o->err))) return o->code;
  d->label = hl_strdup(o->label.p);
  return 0;
}

/* host.sql.open(place or secret, read_only) */
static int l_open(lua_State *L) {
  hl_str place = {NULL, 0};
  if (!hl_secret_is(L, 1)) {
    place.p = luaL_checklstring(L, 1, &place.n);
    if (strlen(place.p) != place.n || !place.n) return hl_lua_raise(L, "invalid", "sql.open: expects a file's path or postgres://HOST/DATABASE");
    if (!is_url(place.p)) hl_script_check_path(L, "sql.open", false, place);
  }
  lua_settop(L, 2);
  sql_db *d = lua_newuserdatauv(L, sizeof *d, 0);
  *d = (sql_db){0};
  luaL_setmetatable(L, DB_MT);
  opening o = {0};
  hl_buf_init(&o.url, 64 * 1024);
  hl_buf_init(&o.full, 8192);
  hl_buf_init(&o.label, 8192);
  int rc = open_inside(L, d, &o);
  char label[512];
  snprintf(label, sizeof label, "%s%.500s", o.full.n ? "" : rc == HL_EDENIED && !o.code ? "postgres://" : "", o.label.p ? o.label.p : "");
  hl_buf_wipe(&o.url);
  hl_buf_deinit(&o.full);
  hl_buf_deinit(&o.label);
  if (rc && !o.code) return denied(L, label);
  if (rc) return hl_lua_raise(L, hl_err_name(o.code), "sql.open: %s", o.err.text);
  return 1;
}

static int l_close(lua_State *L) {
  sql_db *d = luaL_checkudata(L, 1, DB_MT);
  if (d->db) hl_sql_close(d->db);
  d->db = NULL;
  return 0;
}

static int db_gc(lua_State *L) {
  sql_db *d = luaL_checkudata(L, 1, DB_MT);
  l_close(L);
  hl_free(d->label);
  d->label = NULL;
  return 0;
}

/* ---- values in ---- */
/* host.sql.blob(text): a value that is bytes, not text. */
static int l_blob(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_newuserdatauv(L, 1, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, BLOB_MT);
  return 1;
}

/* Reads the value at idx; its bytes are appended. An error's text, or NULL. */
static const char *read_value(lua_State *L, int idx, hl_sql_value *v, hl_buf *bytes) {
  hl_str s = {NULL, 0};
  switch (lua_type(L, idx)) {
    case LUA_TNIL: v->type = HL_SQL_NULL; return NULL;
    case LUA_TBOOLEAN: v->type = lua_toboolean(L, idx) ? HL_SQL_TRUE : HL_SQL_FALSE; return NULL;
    case LUA_TLIGHTUSERDATA: v->type = HL_SQL_NULL; return NULL; /* json.null */
    case LUA_TNUMBER:
      v->type = lua_isinteger(L, idx) ? HL_SQL_INTEGER : HL_SQL_REAL;
      if (v->type == HL_SQL_INTEGER) v->integer = lua_tointeger(L, idx);
      else v->real = lua_tonumber(L, idx);
      return NULL;
    case LUA_TSTRING:
      s.p = lua_tolstring(L, idx, &s.n);
      v->type = hl_utf8_valid(s) && !memchr(s.p, 0, s.n) ? HL_SQL_TEXT : HL_SQL_BLOB;
      break;
    case LUA_TUSERDATA:
      if (!luaL_testudata(L, idx, BLOB_MT)) return "a value is a string, a number, a boolean, nil or sql.blob(bytes)";
      lua_getiuservalue(L, idx, 1);
      s.p = lua_tolstring(L, -1, &s.n);
      lua_pop(L, 1); /* the userdata keeps it */
      v->type = HL_SQL_BLOB;
      break;
    case LUA_TTABLE: return "a table is no value of a column: json.encode(it) is";
    default: return "a value is a string, a number, a boolean, nil or sql.blob(bytes)";
  }
  v->at = bytes->n;
  v->n = s.n;
  return hl_buf_append(bytes, s.p, s.n) || hl_buf_append(bytes, "", 1) ? "the values have more than 32 MiB" : NULL;
}

/* ---- rows out ---- */
static const char *push_value(lua_State *L, const char *p) {
  char type = *p++;
  int64_t integer;
  double real;
  size_t n;
  switch (type) {
    case HL_SQL_INTEGER:
      memcpy(&integer, p, sizeof integer);
      lua_pushinteger(L, integer);
      return p + sizeof integer;
    case HL_SQL_REAL:
      memcpy(&real, p, sizeof real);
      lua_pushnumber(L, real);
      return p + sizeof real;
    case HL_SQL_TEXT:
      memcpy(&n, p, sizeof n);
      p += sizeof n;
      lua_pushlstring(L, p, n);
      return p + n;
    case HL_SQL_TRUE: case HL_SQL_FALSE: lua_pushboolean(L, type == HL_SQL_TRUE); return p;
    default: lua_pushnil(L); return p;
  }
}

/* Pushes the list of rows. */
static void push_rows(lua_State *L, const hl_sql_result *r) {
  int n = (int)r->n_columns;
  luaL_checkstack(L, 6, "rows");
  lua_createtable(L, n, 0);
  const char *p = r->names.p;
  for (int i = 1; i <= n; i++, p += strlen(p) + 1) {
    lua_pushstring(L, p);
    lua_rawseti(L, -2, i);
  }
  int names = lua_gettop(L);
  lua_createtable(L, (int)r->n_rows, 0);
  p = r->rows.p;
  for (size_t row = 1; row <= r->n_rows; row++) {
    lua_createtable(L, 0, n);
    for (int i = 1; i <= n; i++) {
      lua_rawgeti(L, names, i);
      p = push_value(L, p);
      lua_rawset(L, -3);
    }
    lua_rawseti(L, -2, (lua_Integer)row);
  }
  lua_remove(L, names);
}

static int push_failure(lua_State *L, sql_op *o) {
  hl_sql_result *r = o->r;
  hl_buf text;
  hl_buf_init(&text, 8192);
  char all[2048];
  snprintf(all, sizeof all, "sql: %.300s: %s", o->label, r->err.text);
  (void)hl_log_redact(hl_loop_log(o->script->host->o.loop), hl_str_of(all), &text);
  snprintf(all, sizeof all, "%s", text.p ? text.p : "sql: a statement failed");
  hl_buf_deinit(&text);
  hl_lua_push_error(L, r->code == HL_EDENIED ? "denied" : "sql", all, 0, r->category, NULL, r->retryable);
  if (*r->state) {
    lua_pushliteral(L, "code");
    lua_pushstring(L, r->state);
    lua_rawset(L, -3);
  }
  return -1;
}

static int push_result(lua_State *L, void *arg) {
  sql_op *o = arg;
  if (o->r->code) return push_failure(L, o);
  switch (o->kind) {
    case HL_SQL_EXEC: lua_pushinteger(L, o->r->changes); return 1;
    case HL_SQL_QUERY: push_rows(L, o->r); return 1;
    case HL_SQL_READ: case HL_SQL_MORE:
      push_rows(L, o->r);
      if (*o->cursor) lua_pushvalue(L, 1);
      else lua_pushnil(L);
      return 2;
    case HL_SQL_BEGIN: lua_pushvalue(L, 1); return 1;
    default: return 0;
  }
}

/* ---- transactions ---- */
static void guard_unlink(hl_sql_guard *g) {
  if (!g->lease) return;
  hl_task_unhold(&g->held);
  *g->at = g->next;
  if (g->next) g->next->at = g->at;
  hl_sql_lease_unref(g->lease);
  g->lease = NULL;
}

static void guard_undo(hl_sql_guard *g) {
  if (!g->lease) return;
  hl_sql_lease_undo(g->lease, g->level - 1);
  guard_unlink(g);
}

static void on_task_end(hl_held *h) { guard_undo(HL_CONTAINER(h, hl_sql_guard, held)); }

static void guard_link(hl_script *s, hl_sql_guard *g, hl_sql_lease *lease) {
  g->lease = lease;
  g->level = hl_sql_lease_depth(lease);
  g->next = s->guards;
  g->at = &s->guards;
  if (g->next) g->next->at = &g->next;
  s->guards = g;
  g->held.drop = on_task_end;
  hl_task_hold(g->owner, &g->held);
}

/* The innermost transaction in this database that the task works in: its own, or that of a task above it. */
static hl_sql_guard *find_guard(hl_script *s, const hl_sql *db, const hl_task *t) {
  hl_sql_guard *g = s->guards;
  while (g && !(g->db == db && hl_task_is_within(t, g->owner))) g = g->next;
  return g;
}

static int guard_gc(lua_State *L) {
  guard_undo(luaL_checkudata(L, 1, GUARD_MT));
  return 0;
}

static int cursor_gc(lua_State *L) {
  hl_sql_cursor **c = luaL_checkudata(L, 1, CURSOR_MT);
  if (*c) hl_sql_cursor_end(*c);
  *c = NULL;
  return 0;
}

/* ---- calls ---- */
static void op_free(sql_op *o) {
  hl_free(o->label);
  hl_free(o);
}

static void on_done(void *arg, hl_sql_result *r) {
  sql_op *o = arg;
  o->r = r;
  if (o->cursor) *o->cursor = r->cursor;
  if (o->kind == HL_SQL_BEGIN && !r->code) {
    if (o->lease) hl_sql_lease_ref(o->lease);
    guard_link(o->script, o->guard, r->lease ? r->lease : o->lease);
  } else if (o->kind == HL_SQL_COMMIT && !r->code) {
    guard_unlink(o->guard);
  }
  hl_task_resume(o->task, push_result, o);
  op_free(o);
}

static void cancelled(void *arg) {
  sql_op *o = arg;
  hl_sql_cancel(o->call);
  op_free(o);
}

static int start(lua_State *L, const sql_db *d, hl_sql *db, const hl_sql_request *q, sql_op *made) {
  made->task = hl_task_current(L);
  made->script = hl_script_of(L);
  made->kind = q->kind;
  made->label = hl_strdup(d->label);
  hl_task_wait(made->task, cancelled, made);
  made->call = hl_sql_start(db, q, on_done, made);
  return hl_task_yield(L);
}

static hl_task *check_wait(lua_State *L, const sql_db *d, const char *what) {
  hl_task *t = hl_task_check_wait(L);
  if (d->real && hl_task_offline(t)) luaL_error(L, "%s is not possible while the script loads: move this into a handler", what);
  return t;
}

static int64_t check_timeout(lua_State *L) {
  lua_Integer ms = luaL_checkinteger(L, 2);
  luaL_argcheck(L, ms > 0, 2, "a time to wait");
  return ms;
}

/* host.sql.call(db, timeout, kind, text, …): the rows of "query", the number of changed rows of "exec"; of "rows" those
 * of the first page, and what gives the next (nil: these are all). */
static int l_call(lua_State *L) {
  static const char *const kinds[] = {"query", "exec", "rows", NULL};
  static const hl_sql_kind means[] = {HL_SQL_QUERY, HL_SQL_EXEC, HL_SQL_READ};
  sql_db *d = check_db(L);
  hl_sql_request q = {.timeout_ms = check_timeout(L), .kind = means[luaL_checkoption(L, 3, NULL, kinds)]};
  const char *what = lua_tostring(L, 3);
  if (lua_type(L, 4) != LUA_TSTRING) return hl_lua_raise(L, "invalid", "db:%s: the statement is a string", what);
  q.text.p = lua_tolstring(L, 4, &q.text.n);
  int n = lua_gettop(L) - 4;
  if (q.text.n > TEXT_MAX || strlen(q.text.p) != q.text.n || n > VALUES_MAX)
    return hl_lua_raise(L, "invalid", "db:%s: a statement has up to 1 MiB, no NUL and up to %d values", what, VALUES_MAX);
  hl_task *t = check_wait(L, d, "sql");
  hl_script *s = hl_script_of(L);
  if (q.kind == HL_SQL_EXEC && s->host->o.replay) { /* in a replay nothing is written */
    hl_replay_did(s->host, hl_task_run(t), false, "sql", d->label, q.text, NULL);
    lua_pushinteger(L, 0);
    return 1;
  }
  hl_sql_cursor **cursor = NULL;
  if (q.kind == HL_SQL_READ) {
    cursor = lua_newuserdatauv(L, sizeof *cursor, 1);
    *cursor = NULL;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, CURSOR_MT);
    lua_replace(L, 1); /* where host.sql.page finds it; the database hangs from it */
  }
  hl_buf bytes;
  hl_buf_init(&bytes, BYTES_MAX);
  q.values = hl_alloc(((size_t)n + 1) * sizeof *q.values);
  q.n_values = (size_t)n;
  for (int i = 0; i < n; i++) {
    const char *wrong = read_value(L, i + 5, &q.values[i], &bytes);
    if (!wrong) continue;
    hl_buf_deinit(&bytes);
    hl_free(q.values);
    return hl_lua_raise(L, "invalid", "db:%s: value %d: %s", what, i + 1, wrong);
  }
  q.bytes = hl_buf_detach(&bytes, NULL);
  hl_sql_guard *g = find_guard(s, d->db, t);
  q.lease = g ? g->lease : NULL;
  sql_op *o = HL_NEW(sql_op);
  o->cursor = cursor;
  return start(L, d, d->db, &q, o);
}

/* host.sql.page(rows, timeout): the next rows, and itself or nil, as above. */
static int l_page(lua_State *L) {
  hl_sql_cursor **cursor = luaL_checkudata(L, 1, CURSOR_MT);
  hl_sql_request q = {.timeout_ms = check_timeout(L), .kind = HL_SQL_MORE, .cursor = *cursor};
  lua_getiuservalue(L, 1, 1);
  const sql_db *d = lua_touserdata(L, -1);
  if (!*cursor || !d->db) return hl_lua_raise(L, "invalid", "sql: the reading is over");
  check_wait(L, d, "sql");
  sql_op *o = HL_NEW(sql_op);
  o->cursor = cursor;
  return start(L, d, d->db, &q, o);
}

/* host.sql.begin(db, timeout): a transaction, which ends with host.sql.commit or rolls back when it is closed. */
static int l_begin(lua_State *L) {
  sql_db *d = check_db(L);
  hl_sql_request q = {.timeout_ms = check_timeout(L), .kind = HL_SQL_BEGIN};
  hl_task *t = check_wait(L, d, "sql");
  const hl_sql_guard *in = find_guard(hl_script_of(L), d->db, t);
  if (in && in->owner != t)
    return hl_lua_raise(L, "invalid", "db:transaction: this task works in a transaction that another has begun; that one begins those inside of it");
  hl_sql_guard *g = lua_newuserdatauv(L, sizeof *g, 1);
  *g = (hl_sql_guard){.db = d->db, .owner = t};
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, GUARD_MT);
  lua_replace(L, 1);
  sql_op *o = HL_NEW(sql_op);
  o->guard = g;
  o->lease = q.lease = in ? in->lease : NULL;
  return start(L, d, d->db, &q, o);
}

/* host.sql.commit(transaction, timeout) */
static int l_commit(lua_State *L) {
  hl_sql_guard *g = luaL_checkudata(L, 1, GUARD_MT);
  hl_sql_request q = {.timeout_ms = check_timeout(L), .kind = HL_SQL_COMMIT, .lease = g->lease};
  lua_getiuservalue(L, 1, 1);
  const sql_db *d = lua_touserdata(L, -1);
  if (!g->lease) return hl_lua_raise(L, "invalid", "sql: the transaction is over");
  check_wait(L, d, "sql");
  sql_op *o = HL_NEW(sql_op);
  o->guard = g;
  return start(L, d, g->db, &q, o);
}

static void add_type(lua_State *L, const char *name, lua_CFunction end) {
  luaL_newmetatable(L, name);
  if (end) {
    lua_pushcfunction(L, end);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, end);
    lua_setfield(L, -2, "__close");
  }
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

void hl_bind_sql(lua_State *L) {
  static const luaL_Reg fns[] = {{"open", l_open}, {"close", l_close}, {"blob", l_blob}, {"call", l_call}, {"page", l_page},
                                 {"begin", l_begin}, {"commit", l_commit}, {NULL, NULL}};
  add_type(L, DB_MT, db_gc);
  add_type(L, GUARD_MT, guard_gc);
  add_type(L, CURSOR_MT, cursor_gc);
  add_type(L, BLOB_MT, NULL);
  hl_state_push_host(L);
  luaL_newlib(L, fns);
  lua_setfield(L, -2, "sql");
  lua_pop(L, 1);
}
