#include "store/sql.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

static const char *const SQL[ST_COUNT] = {
#define X(name, sql) [ST_##name] = sql,
    STATEMENTS(X)
#undef X
};

/* ---- results ---- */

struct hl_bag_block {
  struct hl_bag_block *next;
  max_align_t bytes[];
};

void *hl_bag_alloc(hl_bag *bag, size_t n) {
  struct hl_bag_block *b = hl_alloc(sizeof *b + n);
  b->next = bag->blocks;
  bag->blocks = b;
  return b->bytes;
}

hl_str hl_bag_copy(hl_bag *bag, const void *p, size_t n) {
  char *copy = hl_bag_alloc(bag, n + 1);
  if (n) memcpy(copy, p, n);
  return (hl_str){copy, n};
}

void hl_bag_deinit(hl_bag *bag) {
  while (bag->blocks) {
    struct hl_bag_block *next = bag->blocks->next;
    hl_free(bag->blocks);
    bag->blocks = next;
  }
}

/* ---- errors ---- */

int sql_fail(hl_db *db, int rc, const char *what, hl_error *err) {
  const char *why = db->db ? sqlite3_errmsg(db->db) : sqlite3_errstr(rc);
  int os = db->db ? sqlite3_system_errno(db->db) : 0;
  if (!os && (rc & 0xff) == SQLITE_IOERR) os = db->os_error;
  const char *file = db->path ? db->path : "in memory";
  switch (rc & 0xff) {
    case SQLITE_FULL:
      return hl_fail(err, HL_EFULL, "store %s: %s: the disk is full; free space, nothing is lost meanwhile", file, what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return hl_fail(err, HL_EBUSY, "store %s: another process has it open; stop that hubloop, or give this one a store of its own", file);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return hl_fail(err, HL_ECORRUPT, "store %s: this is no usable hubloop store (%s); move it away and start again, or put a backup in its place", file, why);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return hl_fail(err, HL_EIO, "store %s: %s: %s%s%s; make the file and its folder writable for this user", file, what, why,
                     os ? ": " : "", os ? strerror(os) : "");
    default:
      return hl_fail(err, HL_EIO, "store %s: %s: %s%s%s", file, what, why, os ? ": " : "", os ? strerror(os) : "");
  }
}

/* ---- statements ---- */

sqlite3_stmt *sql_statement(hl_db *db, statement id) {
  if (!db->st[id]) {
    int rc = sqlite3_prepare_v3(db->db, SQL[id], -1, SQLITE_PREPARE_PERSISTENT, &db->st[id], NULL);
    if (rc) db->st[id] = NULL;
  }
  return db->st[id];
}

int sql_run(hl_db *db, statement id, size_t n_ints, const int64_t *ints, size_t n_texts, const hl_str *texts) {
  sqlite3_stmt *st = sql_statement(db, id);
  if (!st) return sqlite3_errcode(db->db);
  for (size_t k = 0; k < n_ints; k++) sqlite3_bind_int64(st, (int)k + 1, ints[k]);
  for (size_t k = 0; k < n_texts; k++) {
    int at = (int)(n_ints + k) + 1;
    if (texts[k].p) sqlite3_bind_text64(st, at, texts[k].p, texts[k].n, SQLITE_STATIC, SQLITE_UTF8);
    else sqlite3_bind_null(st, at);
  }
  errno = 0;
  int rc = sqlite3_step(st);
  if ((rc & 0xff) == SQLITE_IOERR) db->os_error = errno;
  sqlite3_reset(st);
  return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : sqlite3_extended_errcode(db->db);
}

hl_str sql_blob(sqlite3_stmt *st, int i) {
  const void *p = sqlite3_column_blob(st, i);
  return (hl_str){p, (size_t)sqlite3_column_bytes(st, i)};
}

hl_str sql_copy(hl_bag *bag, sqlite3_stmt *st, int i) {
  hl_str s = sql_blob(st, i);
  return hl_bag_copy(bag, s.p, s.n);
}

void sql_bind_blob(sqlite3_stmt *st, int at, hl_str s) {
  if (s.p) sqlite3_bind_blob64(st, at, s.p, s.n, SQLITE_STATIC);
  else sqlite3_bind_null(st, at);
}

int sql_exec(hl_db *db, const char *sql) {
  int rc = sqlite3_exec(db->db, sql, NULL, NULL, NULL);
  return rc ? sqlite3_extended_errcode(db->db) : 0;
}

int sql_int(hl_db *db, const char *sql, int64_t *out) {
  sqlite3_stmt *st = NULL;
  int rc = sqlite3_prepare_v2(db->db, sql, -1, &st, NULL);
  if (!rc) {
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
      *out = sqlite3_column_int64(st, 0);
      rc = 0;
    } else {
      rc = rc == SQLITE_DONE ? SQLITE_CORRUPT : sqlite3_extended_errcode(db->db);
    }
  }
  sqlite3_finalize(st);
  return rc;
}
