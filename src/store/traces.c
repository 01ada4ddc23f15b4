#include "store/traces.h"

#include "base/mem.h"
#include "store/sql.h"

enum { PAGE_BYTES = 4 << 20, PAGE_ROWS = 4000, PAGE_FOUND = 64 };

/* ---- changes ---- */

static int step_once(hl_db *db, sqlite3_stmt *st) {
  int rc = sqlite3_step(st);
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
}

static int drop_delayed(hl_db *db, int64_t id) {
  int rc = sql_run(db, ST_UNPARK, 1, &id, 0, NULL);
  if (rc || !sqlite3_changes(db->db)) return rc;
  db->state.counts.state[HL_ST_WAITING]--;
  db->state.counts.state[HL_ST_REMOVED]++;
  return 0;
}

static int drop_step(hl_db *db, int64_t rowid) {
  int rc = sql_run(db, ST_STEP_WAIT_DUE, 1, &rowid, 0, NULL);
  if (!rc) rc = sql_run(db, ST_STEP_WAIT_DEL, 1, &rowid, 0, NULL);
  return rc ? rc : sql_run(db, ST_STEP_ROW_DEL, 1, &rowid, 0, NULL);
}

int sql_apply_trace(hl_db *db, const hl_op *op) {
  switch (op->kind) {
    case OP_LOG_BODY: {
      sqlite3_stmt *st = sql_statement(db, ST_LOG_BODY);
      sqlite3_bind_int64(st, 1, op->i[0]);
      sql_bind_blob(st, 2, op->s[0]);
      return step_once(db, st);
    }
    case OP_PARKED_ERROR: return sql_run(db, ST_PARKED_ERROR, 1, op->i, 1, op->s);
    case OP_STEP_TEXT: return op->s[0].p || op->s[1].p ? sql_run(db, ST_STEP_TEXT, 1, op->i, 2, op->s) : drop_step(db, op->i[0]);
    case OP_AUDIT_TEXT: return op->s[0].p ? sql_run(db, ST_AUDIT_TEXT, 1, op->i, 1, op->s) : sql_run(db, ST_AUDIT_DEL, 1, op->i, 0, NULL);
    case OP_DROP_DELAYED: return drop_delayed(db, op->i[0]);
    default: return SQLITE_MISUSE;
  }
}

/* ---- finding ---- */

typedef struct trace_ask {
  hl_bag bag;
  hl_trace_table table;
  hl_person who;
  hl_trace after;
  hl_trace_page page;
  void (*cb)(void *arg, const hl_trace_page *page);
  void *arg;
} trace_ask;

static bool in(const trace_ask *a, sqlite3_stmt *st, int column) { return hl_person_in(&a->who, sql_blob(st, column)); }

/* The row at hand, when it holds something; SQLite's code. */
static int look(hl_db *db, trace_ask *a, sqlite3_stmt *st, hl_trace *v, bool *found) {
  int rc = 0;
  switch (a->table) {
    case HL_TRACE_LOG:
      if ((*found = in(a, st, 7))) rc = sql_read_logged(db, st, &a->bag, &v->row);
      break;
    case HL_TRACE_PARKED:
      if ((*found = in(a, st, 12) || in(a, st, 14))) sql_read_parked_whole(st, &a->bag, &v->parked);
      break;
    case HL_TRACE_STEPS:
      if ((*found = in(a, st, 1) || in(a, st, 2) || in(a, st, 3))) {
        v->what = sql_copy(&a->bag, st, 1);
        v->text = sql_copy(&a->bag, st, 2);
        v->name = sql_copy(&a->bag, st, 3);
      }
      break;
    case HL_TRACE_AUDIT:
      if ((*found = in(a, st, 1) || in(a, st, 2))) {
        v->name = sql_copy(&a->bag, st, 1);
        v->text = sql_copy(&a->bag, st, 2);
        v->account = sql_copy(&a->bag, st, 3).p;
      }
      break;
    case HL_TRACE_KV:
      if ((*found = in(a, st, 2) || in(a, st, 3))) {
        v->script = sql_copy(&a->bag, st, 0).p;
        v->account = sql_copy(&a->bag, st, 1).p;
        v->name = sql_copy(&a->bag, st, 2);
        v->text = sql_copy(&a->bag, st, 3);
        v->id = sqlite3_column_int64(st, 4);
      }
      break;
    case HL_TRACE_TABLES: break;
  }
  if (a->table != HL_TRACE_KV) v->id = sqlite3_column_int64(st, 0);
  return rc;
}

static size_t row_bytes(const trace_ask *a, sqlite3_stmt *st) {
  static const int columns[][2] = {[HL_TRACE_LOG] = {7, 7}, [HL_TRACE_PARKED] = {12, 14}, [HL_TRACE_STEPS] = {1, 2}, [HL_TRACE_AUDIT] = {2, 2}, [HL_TRACE_KV] = {2, 3}};
  return (size_t)sqlite3_column_bytes(st, columns[a->table][0]) + (size_t)sqlite3_column_bytes(st, columns[a->table][1]);
}

static void bind_after(const trace_ask *a, sqlite3_stmt *st) {
  if (a->table != HL_TRACE_KV) {
    sqlite3_bind_int64(st, 1, a->after.id);
    if (a->table == HL_TRACE_LOG) sqlite3_bind_int64(st, 2, INT64_MAX);
    return;
  }
  sqlite3_bind_text(st, 1, a->after.script ? a->after.script : "", -1, SQLITE_STATIC);
  sqlite3_bind_text(st, 2, a->after.account ? a->after.account : "", -1, SQLITE_STATIC);
  sql_bind_blob(st, 3, a->after.name.p ? a->after.name : HL_STR(""));
}

static void remember(trace_ask *a, sqlite3_stmt *st) {
  if (a->table != HL_TRACE_KV) {
    a->page.after.id = a->page.at = sqlite3_column_int64(st, 0);
    return;
  }
  a->page.after = (hl_trace){.script = sql_copy(&a->bag, st, 0).p, .account = sql_copy(&a->bag, st, 1).p, .name = sql_copy(&a->bag, st, 2)};
}

static void find(hl_db *db, void *arg) {
  static const struct { statement st; const char *last; } tables[] = {
      [HL_TRACE_PARKED] = {ST_TRACE_PARKED, "SELECT coalesce(max(id),0) FROM parked"},
      [HL_TRACE_LOG] = {ST_READ_LOG, "SELECT coalesce(max(id),0) FROM log"},
      [HL_TRACE_STEPS] = {ST_TRACE_STEPS, "SELECT coalesce(max(rowid),0) FROM step"},
      [HL_TRACE_AUDIT] = {ST_TRACE_AUDIT, "SELECT coalesce(max(id),0) FROM audit"},
      [HL_TRACE_KV] = {ST_TRACE_KV, "SELECT 0"},
  };
  trace_ask *a = arg;
  hl_trace *v = hl_bag_alloc(&a->bag, PAGE_FOUND * sizeof *v);
  sqlite3_stmt *st = sql_statement(db, tables[a->table].st);
  size_t bytes = 0, rows = 0;
  int rc = sql_int(db, tables[a->table].last, &a->page.of);
  bind_after(a, st);
  a->page.v = v;
  while (!rc && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (a->page.n == PAGE_FOUND || bytes > PAGE_BYTES || rows++ == PAGE_ROWS) {
      a->page.more = true;
      rc = SQLITE_DONE;
      break;
    }
    bool found = false;
    v[a->page.n] = (hl_trace){0};
    bytes += row_bytes(a, st);
    rc = look(db, a, st, &v[a->page.n], &found);
    if (found) a->page.n++;
    /* The texts of a kv cursor are only wanted from the last one: reading on would copy each. */
    if (a->table != HL_TRACE_KV || a->page.n == PAGE_FOUND || bytes > PAGE_BYTES || rows == PAGE_ROWS) remember(a, st);
  }
  sqlite3_reset(st);
  if (rc && rc != SQLITE_DONE) a->page.code = sql_fail(db, rc, "cannot read", NULL);
}

static void free_ask(void *arg) {
  trace_ask *a = arg;
  hl_bag_deinit(&a->bag);
  hl_free(a);
}

static void found(void *arg) {
  trace_ask *a = arg;
  a->cb(a->arg, &a->page);
  free_ask(a);
}

void hl_store_traces(hl_store *s, hl_trace_table table, const hl_person *who, const hl_trace *after,
                     void (*cb)(void *arg, const hl_trace_page *page), void *arg) {
  static const hl_store_call_type type = {find, found, free_ask};
  trace_ask *a = HL_NEW(trace_ask);
  *a = (trace_ask){.table = table, .after = *after, .cb = cb, .arg = arg};
  a->who.id = hl_bag_copy(&a->bag, who->id, strlen(who->id)).p;
  a->who.email = who->email ? hl_bag_copy(&a->bag, who->email, strlen(who->email)).p : NULL;
  if (after->script) a->after.script = hl_bag_copy(&a->bag, after->script, strlen(after->script)).p;
  if (after->account) a->after.account = hl_bag_copy(&a->bag, after->account, strlen(after->account)).p;
  if (after->name.p) a->after.name = hl_bag_copy(&a->bag, after->name.p, after->name.n);
  hl_store_call(s, &type, a);
}

/* ---- what was deleted ---- */

typedef struct compact_ask {
  int64_t max_bytes;
  hl_compacted done;
  void (*cb)(void *arg, const hl_compacted *done);
  void *arg;
} compact_ask;

/* Deleted bytes are overwritten (secure_delete), but SQLite leaves copies of rows that it once moved from page to
 * page between those that are used: only a file that is written anew is free of them. */
static void compact(hl_db *db, void *arg) {
  compact_ask *a = arg;
  int64_t pages = 0;
  int left, moved, rc = sql_int(db, "PRAGMA page_count", &pages);
  a->done.whole = !a->max_bytes || pages * db->page_bytes <= a->max_bytes;
  /* In memory it would be as large as the file. */
  if (!rc && a->done.whole && db->path) rc = sql_exec(db, "PRAGMA temp_store=FILE");
  if (!rc && a->done.whole) rc = sql_exec(db, "VACUUM");
  if (db->path) sql_exec(db, "PRAGMA temp_store=MEMORY");
  if (!rc && db->path) rc = sqlite3_wal_checkpoint_v2(db->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &left, &moved);
  if (rc) a->done.code = sql_fail(db, rc, "cannot write it anew", NULL);
  else db->wal_pages = 0;
}

static void compacted(void *arg) {
  compact_ask *a = arg;
  a->cb(a->arg, &a->done);
  hl_free(a);
}

void hl_store_compact(hl_store *s, int64_t max_bytes, void (*cb)(void *arg, const hl_compacted *done), void *arg) {
  static const hl_store_call_type type = {compact, compacted, hl_free};
  compact_ask *a = HL_NEW(compact_ask);
  *a = (compact_ask){.max_bytes = max_bytes, .cb = cb, .arg = arg};
  hl_store_call(s, &type, a);
}
