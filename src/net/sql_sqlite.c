/* SQLite behind net/sql.h. A file is set to write-ahead logging, so that a reader holds up no writer; foreign keys
 * are on, and what a stranger's file could bring along (triggers and views that call functions) is not trusted. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/owned.h"
#include "net/sql_inside.h"

/* VM instructions between two looks at `stop`; how many looks a statement has in virtual time, where no timer ends
 * it (some 1e8 instructions: a second or two); how long another process may lock the file. */
enum { LOOK_EVERY = 1000, LOOKS_VIRTUAL = 100 * 1000, BUSY_MS = 5000, BUSY_STEP_MS = 5, LENGTH_MAX = 32 << 20 };

typedef struct lite {
  sqlite3 *db;
  hl_sql_call *call;
  unsigned looks;
  bool inside;               /* a text of our own runs */
} lite;

static const char *name_of(int rc) {
  switch (rc & 0xff) {
#define X(name) case name: return #name;
    X(SQLITE_ERROR) X(SQLITE_BUSY) X(SQLITE_LOCKED) X(SQLITE_NOMEM) X(SQLITE_READONLY) X(SQLITE_INTERRUPT) X(SQLITE_IOERR) X(SQLITE_CORRUPT)
    X(SQLITE_FULL) X(SQLITE_CANTOPEN) X(SQLITE_PROTOCOL) X(SQLITE_SCHEMA) X(SQLITE_TOOBIG) X(SQLITE_CONSTRAINT) X(SQLITE_MISMATCH)
    X(SQLITE_MISUSE) X(SQLITE_AUTH) X(SQLITE_RANGE) X(SQLITE_NOTADB)
#undef X
    default: return "SQLITE_ERROR";
  }
}

static const char *category_of(int rc) {
  switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE: case SQLITE_CONSTRAINT_PRIMARYKEY: case SQLITE_CONSTRAINT_ROWID: return "unique";
    case SQLITE_CONSTRAINT_FOREIGNKEY: return "foreign_key";
    case SQLITE_CONSTRAINT_NOTNULL: return "not_null";
    case SQLITE_CONSTRAINT_CHECK: return "check";
    default: break;
  }
  switch (rc & 0xff) {
    case SQLITE_CONSTRAINT: return "constraint";
    case SQLITE_BUSY: case SQLITE_LOCKED: return "busy";
    case SQLITE_FULL: return "full";
    case SQLITE_CORRUPT: case SQLITE_NOTADB: return "corrupt";
    case SQLITE_READONLY: return "read_only";
    case SQLITE_TOOBIG: case SQLITE_NOMEM: return "too_large";
    case SQLITE_AUTH: return "denied";
    case SQLITE_IOERR: case SQLITE_CANTOPEN: return "io";
    case SQLITE_MISMATCH: case SQLITE_RANGE: return "values";
    default: return "statement";
  }
}

static int failed(lite *l, hl_sql_call *call, int rc) {
  const char *hint = "";
  if ((rc & 0xff) == SQLITE_INTERRUPT || (atomic_load(&call->stop) && (rc & 0xff) == SQLITE_BUSY)) {
    if (!atomic_load(&call->stop)) atomic_store(&call->stop, HL_SQL_TIMED_OUT);
    return hl_sql_stopped(call);
  }
  int kind = rc & 0xff;
  bool again = kind == SQLITE_BUSY || kind == SQLITE_LOCKED || kind == SQLITE_FULL || kind == SQLITE_IOERR || kind == SQLITE_NOMEM;
  if (kind == SQLITE_AUTH) hint = " (a script's statements neither attach files, nor change settings of the database, nor begin or end transactions: db:transaction does)";
  else if (kind == SQLITE_BUSY) hint = ": another program writes to the file";
  else if (kind == SQLITE_FULL) hint = ": no space is left on the disk";
  return hl_sql_fail(call, kind == SQLITE_FULL ? HL_EFULL : kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB ? HL_ECORRUPT : HL_EIO, name_of(rc),
                     category_of(rc), again, "%s%s", l->db ? sqlite3_errmsg(l->db) : sqlite3_errstr(rc), hint);
}

static int look(void *arg) {
  lite *l = arg;
  if (!l->call) return 0;
  if (l->call->is_virtual && ++l->looks > LOOKS_VIRTUAL) return 1;
  return atomic_load(&l->call->stop) != HL_SQL_GOES_ON;
}

/* Another process has the file. */
static int wait_busy(void *arg, int times) {
  lite *l = arg;
  if (times * BUSY_STEP_MS >= BUSY_MS || (l->call && atomic_load(&l->call->stop))) return 0;
  sqlite3_sleep(BUSY_STEP_MS);
  return 1;
}

static bool listed(const char *const *list, const char *name) {
  for (; *list; list++)
    if (sqlite3_stricmp(*list, name) == 0) return true;
  return false;
}

static int authorize(void *arg, int what, const char *a, const char *b, const char *c, const char *d) {
  /* Those that only tell. */
  static const char *const telling[] = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
                                        "foreign_key_check", "integrity_check", "quick_check", "page_count", "page_size", "freelist_count",
                                        "database_list", "compile_options", "collation_list", NULL};
  static const char *const settable[] = {"user_version", "application_id", "optimize", NULL};
  const lite *l = arg;
  (void)c;
  (void)d;
  if (l->inside) return SQLITE_OK;
  switch (what) {
    case SQLITE_ATTACH: case SQLITE_DETACH: case SQLITE_TRANSACTION: case SQLITE_SAVEPOINT: return SQLITE_DENY;
    case SQLITE_PRAGMA: return a && (listed(telling, a) || listed(settable, a)) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION: return b && sqlite3_stricmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    default: return SQLITE_OK;
  }
}

static int exec(lite *l, const char *text) {
  l->inside = true;
  int rc = sqlite3_exec(l->db, text, NULL, NULL, NULL);
  l->inside = false;
  return rc;
}

static void shut(hl_sql_conn *c) {
  lite *l = c->handle;
  for (hl_sql_cursor *r; (r = c->cursors) != NULL;) {
    c->cursors = r->next;
    sqlite3_finalize(r->handle);
    r->handle = NULL;
    r->open = false;
  }
  c->handle = NULL;
  c->in_transaction = false;
  if (!l) return;
  l->call = NULL;
  sqlite3_close(l->db);
  hl_free(l);
}

/* Its folder must be there, and it must be none of ours. */
static int check_file(const hl_sql *db, hl_sql_call *call) {
  const char *name = strrchr(db->place, '/') + 1;
  char folder[4096];
  struct stat dir, st;
  snprintf(folder, sizeof folder, "%.*s", (int)(name - db->place), db->place);
  if (stat(folder, &dir)) return hl_sql_fail(call, HL_ENOTFOUND, "", "io", false, "%s: its folder: %s", db->place, strerror(errno));
  bool there = stat(db->place, &st) == 0;
  if (!there && lstat(db->place, &st) == 0) /* what SQLite would make at its end could be ours */
    return hl_sql_fail(call, HL_EINVAL, "", "io", false, "%s is a link to a file that is not there", db->place);
  if (hl_owned((const char *const *)db->own, there ? &st : NULL, &dir, name))
    return hl_sql_fail(call, HL_EDENIED, "", "denied", false, "%s is where hubloop keeps its own state: no script opens that", db->place);
  if (!there && db->read_only) return hl_sql_fail(call, HL_ENOTFOUND, "", "io", false, "%s: there is no such file", db->place);
  if (there && !S_ISREG(st.st_mode)) return hl_sql_fail(call, HL_EINVAL, "", "io", false, "%s is no file", db->place);
  return 0;
}

static int open_it(hl_sql_conn *c, hl_sql_call *call) {
  int rc = check_file(c->db, call);
  if (rc) return rc;
  lite *l = HL_NEW(lite);
  l->call = call;
  c->handle = l;
  rc = sqlite3_open_v2(c->db->place, &l->db,
                       (c->db->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX |
                           SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE, NULL);
  if (rc) goto out;
  sqlite3_db_config(l->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(l->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_db_config(l->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
  sqlite3_db_config(l->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
  sqlite3_limit(l->db, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_limit(l->db, SQLITE_LIMIT_LENGTH, LENGTH_MAX);
  sqlite3_busy_handler(l->db, wait_busy, l);
  sqlite3_progress_handler(l->db, LOOK_EVERY, look, l);
  sqlite3_set_authorizer(l->db, authorize, l);
  /* A file that cannot be written stays as it is. */
  if (!c->db->read_only && !sqlite3_db_readonly(l->db, "main")) rc = exec(l, "PRAGMA journal_mode=WAL");
out:
  if (rc) failed(l, call, rc);
  if (rc) shut(c);
  return rc;
}

static int bind_values(lite *l, hl_sql_call *call, sqlite3_stmt *st) {
  int rc = hl_sql_count_values(call, (size_t)sqlite3_bind_parameter_count(st));
  if (rc) return rc;
  for (size_t i = 0; i < call->q.n_values && !rc; i++) {
    const hl_sql_value *v = &call->q.values[i];
    int at = (int)i + 1;
    switch (v->type) {
      case HL_SQL_INTEGER: rc = sqlite3_bind_int64(st, at, v->integer); break;
      case HL_SQL_REAL: rc = sqlite3_bind_double(st, at, v->real); break;
      case HL_SQL_TRUE: case HL_SQL_FALSE: rc = sqlite3_bind_int(st, at, v->type == HL_SQL_TRUE); break;
      case HL_SQL_TEXT: rc = sqlite3_bind_text64(st, at, call->q.bytes + v->at, v->n, SQLITE_STATIC, SQLITE_UTF8); break;
      case HL_SQL_BLOB: rc = sqlite3_bind_blob64(st, at, call->q.bytes + v->at, v->n, SQLITE_STATIC); break;
      default: rc = sqlite3_bind_null(st, at);
    }
    if (rc) failed(l, call, rc);
  }
  return rc;
}

static int prepare(lite *l, hl_sql_call *call, sqlite3_stmt **st) {
  const char *rest = "";
  int rc = sqlite3_prepare_v2(l->db, call->q.text.p, (int)call->q.text.n, st, &rest);
  if (rc) return failed(l, call, rc);
  sqlite3_stmt *more = NULL;
  int left = (int)(call->q.text.p + call->q.text.n - rest);
  if (left > 0 && (sqlite3_prepare_v2(l->db, rest, left, &more, NULL) || more)) rc = -1;
  sqlite3_finalize(more);
  if (rc) return hl_sql_fail(call, HL_EINVAL, "", "statement", false, "one statement at a time: there is a second one behind the first");
  if (!*st) return hl_sql_fail(call, HL_EINVAL, "", "statement", false, "there is no statement in the text");
  return bind_values(l, call, *st);
}

static int put_row(hl_sql_call *call, sqlite3_stmt *st) {
  int rc = 0;
  for (int i = 0; i < (int)call->r.n_columns && !rc; i++) {
    int64_t integer;
    double real;
    switch (sqlite3_column_type(st, i)) {
      case SQLITE_INTEGER:
        integer = sqlite3_column_int64(st, i);
        rc = hl_sql_put(call, HL_SQL_INTEGER, &integer, sizeof integer);
        break;
      case SQLITE_FLOAT:
        real = sqlite3_column_double(st, i);
        rc = hl_sql_put(call, HL_SQL_REAL, &real, sizeof real);
        break;
      case SQLITE_NULL: rc = hl_sql_put(call, HL_SQL_NULL, NULL, 0); break;
      default: { /* the blob of a text is its bytes, also behind a NUL */
        const void *p = sqlite3_column_blob(st, i);
        rc = hl_sql_put(call, HL_SQL_TEXT, p, (size_t)sqlite3_column_bytes(st, i));
      }
    }
  }
  call->r.n_rows++;
  return rc;
}

static int put_names(hl_sql_call *call, sqlite3_stmt *st) {
  int rc = 0, n = sqlite3_column_count(st);
  for (int i = 0; i < n && !rc; i++) {
    const char *name = sqlite3_column_name(st, i);
    rc = hl_sql_name(call, name ? name : "");
  }
  return rc;
}

/* QUERY and EXEC. */
static void do_whole(lite *l, hl_sql_call *call) {
  sqlite3_stmt *st = NULL;
  int rc = prepare(l, call, &st);
  int64_t before = sqlite3_total_changes64(l->db);
  bool wanted = call->q.kind == HL_SQL_QUERY;
  if (!rc && wanted) rc = put_names(call, st);
  if (!rc) {
    int step;
    while ((step = sqlite3_step(st)) == SQLITE_ROW && !(rc = wanted ? put_row(call, st) : 0)) {}
    if (!rc && step != SQLITE_DONE) rc = failed(l, call, step);
  }
  if (!rc && sqlite3_total_changes64(l->db) != before) call->r.changes = sqlite3_changes64(l->db);
  sqlite3_finalize(st);
}

static void leave(hl_sql_conn *c, hl_sql_cursor *r) {
  if (!r->open) return;
  hl_sql_cursor **at = &c->cursors;
  while (*at != r) at = &(*at)->next;
  *at = r->next;
  sqlite3_finalize(r->handle);
  r->handle = NULL;
  r->open = false;
}

static void do_page(hl_sql_conn *c, lite *l, hl_sql_call *call, hl_sql_cursor *r) {
  int step = SQLITE_ROW, rc = put_names(call, r->handle);
  while (!rc && !hl_sql_page_full(call) && (step = sqlite3_step(r->handle)) == SQLITE_ROW) rc = put_row(call, r->handle);
  if (!rc && step != SQLITE_ROW && step != SQLITE_DONE) rc = failed(l, call, step);
  if (rc || step != SQLITE_ROW) leave(c, r);
}

static void do_read(hl_sql_conn *c, lite *l, hl_sql_call *call) {
  sqlite3_stmt *st = NULL;
  hl_sql_cursor *r = call->q.cursor;
  int rc = prepare(l, call, &st);
  if (!rc && !sqlite3_stmt_readonly(st)) rc = hl_sql_fail(call, HL_EINVAL, "", "statement", false, "db:rows reads only; db:query gives what a statement returns that writes");
  if (rc) {
    sqlite3_finalize(st);
    return;
  }
  /* The values must outlive the call. */
  for (size_t i = 0; i < call->q.n_values; i++) {
    const hl_sql_value *v = &call->q.values[i];
    if (v->type == HL_SQL_TEXT) sqlite3_bind_text64(st, (int)i + 1, call->q.bytes + v->at, v->n, SQLITE_TRANSIENT, SQLITE_UTF8);
    else if (v->type == HL_SQL_BLOB) sqlite3_bind_blob64(st, (int)i + 1, call->q.bytes + v->at, v->n, SQLITE_TRANSIENT);
  }
  r->handle = st;
  r->open = true;
  r->next = c->cursors;
  c->cursors = r;
  do_page(c, l, call, r);
}

/* BEGIN, COMMIT, UNDO. A transaction takes the file's write lock at once, so none has to give up in its middle. */
static void do_bounds(hl_sql_conn *c, lite *l, hl_sql_call *call) {
  char text[96];
  if (call->q.kind != HL_SQL_BEGIN && call->depth == (call->q.kind == HL_SQL_UNDO ? call->levels : 1))
    while (c->cursors) leave(c, c->cursors);
  if (call->q.kind == HL_SQL_BEGIN) {
    if (call->depth) snprintf(text, sizeof text, "SAVEPOINT hl_%u", call->depth + 1);
    else snprintf(text, sizeof text, c->db->read_only || sqlite3_db_readonly(l->db, "main") ? "BEGIN" : "BEGIN IMMEDIATE");
  } else if (call->q.kind == HL_SQL_COMMIT) {
    if (call->depth > 1) snprintf(text, sizeof text, "RELEASE hl_%u", call->depth);
    else snprintf(text, sizeof text, "COMMIT");
  } else {
    if (!c->in_transaction) return;
    unsigned first = call->depth - call->levels + 1;
    if (first > 1) snprintf(text, sizeof text, "ROLLBACK TO hl_%u; RELEASE hl_%u", first, first);
    else snprintf(text, sizeof text, "ROLLBACK");
  }
  int rc = exec(l, text);
  if (rc) failed(l, call, rc);
  if (rc && call->q.kind == HL_SQL_UNDO) shut(c); /* which rolls back, too */
}

static void run(hl_sql_conn *c, hl_sql_call *call) {
  if (call->q.kind == HL_SQL_SHUT) {
    shut(c);
    return;
  }
  if (call->q.kind == HL_SQL_LEAVE) {
    leave(c, call->q.cursor);
    return;
  }
  if (atomic_load(&call->stop) && call->q.kind < HL_SQL_UNDO) {
    hl_sql_stopped(call);
    return;
  }
  if (call->depth && !c->in_transaction && call->q.kind != HL_SQL_UNDO) {
    hl_sql_fail(call, HL_EINVAL, "", "transaction", true, "the transaction was rolled back, by what failed in it before");
    return;
  }
  if (!c->handle && (call->q.kind == HL_SQL_UNDO || open_it(c, call))) return;
  lite *l = c->handle;
  l->call = call;
  l->looks = 0;
  switch (call->q.kind) {
    case HL_SQL_QUERY: case HL_SQL_EXEC: do_whole(l, call); break;
    case HL_SQL_READ: do_read(c, l, call); break;
    case HL_SQL_MORE:
      if (call->q.cursor->open) do_page(c, l, call, call->q.cursor);
      else hl_sql_fail(call, HL_EINVAL, "", "transaction", false, "the transaction that the rows were read in is over");
      break;
    default: do_bounds(c, l, call);
  }
  if (!(l = c->handle)) return;
  l->call = NULL;
  c->in_transaction = !sqlite3_get_autocommit(l->db);
}

const hl_sql_engine hl_sql_sqlite = {.run = run};
