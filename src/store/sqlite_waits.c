/* Waits: a row each, found by what it waits for. */
#include "base/mem.h"
#include "store/sql.h"

enum { AT_ONCE = 1000 };     /* waits that one event ends in its own transaction */

int sql_apply_wait(hl_db *db, const hl_op *op) {
  sqlite3_stmt *st = sql_statement(db, ST_WAIT);
  sqlite3_bind_int64(st, 1, op->i[0]);
  sql_bind_blob(st, 2, op->s[0]);
  for (int k = 1; k <= 3; k++) {
    if (op->s[k].p) sqlite3_bind_text64(st, 2 + k, op->s[k].p, op->s[k].n, SQLITE_STATIC, SQLITE_UTF8);
    else sqlite3_bind_null(st, 2 + k);
  }
  for (int k = 1; k <= 3; k++) sqlite3_bind_int64(st, 5 + k, op->i[k]);
  sql_bind_blob(st, 9, op->s[6]);
  int rc = sqlite3_step(st);
  sqlite3_reset(st);
  if (rc != SQLITE_DONE) return sqlite3_extended_errcode(db->db);
  return sql_run(db, ST_WAIT_PARKED, 2, (int64_t[]){op->i[0], op->i[4]}, 2, op->s + 4);
}

/* The wait of `parked` is over; `now` 0: its row is due as it was. */
static int met(hl_db *db, int64_t parked, int64_t now, hl_str json) {
  int rc = sql_run(db, ST_WAIT_RESULT, 1, &parked, 1, &json);
  if (!rc && now) rc = sql_run(db, ST_WAIT_DUE, 2, (int64_t[]){parked, now}, 0, NULL);
  return rc ? rc : sql_run(db, ST_WAIT_DEL, 1, &parked, 0, NULL);
}

int sql_apply_wait_met(hl_db *db, const hl_op *op) { return met(db, op->i[0], op->i[1], op->s[0]); }

int sql_apply_wait_arrived(hl_db *db, const hl_op *op) {
  int64_t ids[AT_ONCE];
  size_t n = 0;
  int rc;
  sqlite3_stmt *st = sql_statement(db, ST_WAITS_FOR);
  sql_bind_blob(st, 1, op->s[0]);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < AT_ONCE) {
    if (op->s[2].p && hl_wait_is_own(sql_blob(st, 1), (const unsigned char *)op->s[2].p, op->i[1])) continue;
    ids[n++] = sqlite3_column_int64(st, 0);
  }
  sqlite3_reset(st);
  if (rc != SQLITE_DONE && rc != SQLITE_ROW) return sqlite3_extended_errcode(db->db);
  rc = 0;
  for (size_t k = 0; k < n && !rc; k++) rc = met(db, ids[k], op->i[1], op->s[1]);
  if (rc) return rc;
  st = sql_statement(db, ST_WAITS_LOOK);
  sql_bind_blob(st, 1, op->s[0]);
  sqlite3_bind_int64(st, 2, op->i[0]);
  sqlite3_bind_int64(st, 3, HL_WAIT_ALL);
  rc = sqlite3_step(st);
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
}

int sql_apply_wait_over(hl_db *db, const hl_op *op) {
  sqlite3_stmt *st = sql_statement(db, ST_WAIT_UPTO);
  sqlite3_bind_int64(st, 1, op->i[0]);
  int rc = sqlite3_step(st);
  bool over = rc == SQLITE_ROW && sqlite3_column_int64(st, 0) == 0;
  sqlite3_reset(st);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return sqlite3_extended_errcode(db->db);
  return over ? met(db, op->i[0], 0, HL_STR("null")) : 0;
}

/* Doubles an array in the bag when it is full. */
static void *room(hl_bag *bag, void *v, size_t n, size_t *cap, size_t size) {
  if (n < *cap) return v;
  *cap = *cap ? 2 * *cap : 64;
  void *more = hl_bag_alloc(bag, *cap * size);
  if (n) memcpy(more, v, n * size);
  return more;
}

static bool same_text(const char *a, sqlite3_stmt *st, int column) {
  return hl_str_eqz(sql_blob(st, column), a);
}

int hl_db_wait_index(hl_db *db, hl_bag *bag, hl_wait_index *out, hl_error *err) {
  sqlite3_stmt *st = sql_statement(db, ST_WAIT_INDEX);
  unsigned char *hashes = NULL;
  hl_wait_shape *shapes = NULL;
  size_t n = 0, cap = 0, n_shapes = 0, shapes_cap = 0;
  int rc;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    hl_str hash = sql_blob(st, 0);
    size_t k = 0;
    if (hash.n != HL_HASH_BYTES) continue;
    hashes = room(bag, hashes, n, &cap, HL_HASH_BYTES);
    memcpy(hashes + n++ * HL_HASH_BYTES, hash.p, HL_HASH_BYTES);
    while (k < n_shapes && !(same_text(shapes[k].type, st, 1) && same_text(shapes[k].fields, st, 2))) k++;
    if (k < n_shapes) continue;
    shapes = room(bag, shapes, n_shapes, &shapes_cap, sizeof *shapes);
    shapes[n_shapes++] = (hl_wait_shape){sql_copy(bag, st, 1).p, sql_copy(bag, st, 2).p};
  }
  sqlite3_reset(st);
  *out = (hl_wait_index){hashes, n, shapes, n_shapes};
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read what is waited for", err);
}

int hl_db_read_waits(hl_db *db, size_t max, hl_bag *bag, hl_wait_row **out, size_t *n) {
  sqlite3_stmt *st = sql_statement(db, ST_WAITS);
  hl_wait_row *v = NULL;
  size_t count = 0, cap = 0;
  int rc;
  sqlite3_bind_int64(st, 1, (int64_t)max);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    v = room(bag, v, count, &cap, sizeof *v);
    v[count++] = (hl_wait_row){.parked = sqlite3_column_int64(st, 0), .hash = sql_copy(bag, st, 1), .row = sqlite3_column_int64(st, 2),
                               .index = (unsigned)sqlite3_column_int64(st, 3), .upto = sqlite3_column_int64(st, 4), .own = sql_copy(bag, st, 5)};
  }
  sqlite3_reset(st);
  *out = v;
  *n = count;
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read what waits", NULL);
}
