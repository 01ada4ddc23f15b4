/* Steps of handlers: rows by event and handler, few and short-lived. */
#include "base/mem.h"
#include "store/sql.h"

static void bind_key(sqlite3_stmt *st, const hl_op *op) {
  sqlite3_bind_int64(st, 1, op->i[0]);
  sqlite3_bind_int64(st, 2, op->i[1]);
  sqlite3_bind_text64(st, 3, op->s[0].p, op->s[0].n, SQLITE_STATIC, SQLITE_UTF8);
}

static void bind_text(sqlite3_stmt *st, int at, hl_str s) {
  if (s.p) sqlite3_bind_text64(st, at, s.p, s.n, SQLITE_STATIC, SQLITE_UTF8);
  else sqlite3_bind_null(st, at);
}

static int finish(hl_db *db, sqlite3_stmt *st) {
  int rc = sqlite3_step(st);
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
}

int sql_apply_step(hl_db *db, const hl_op *op) {
  sqlite3_stmt *st;
  if (op->i[2] == 0) {
    st = sql_statement(db, ST_STEP_WRITES_DEL);
    bind_key(st, op);
    bind_text(st, 4, op->s[1]);
    int rc = finish(db, st);
    if (rc) return rc;
  }
  st = sql_statement(db, ST_STEP);
  bind_key(st, op);
  bind_text(st, 4, op->s[1]);
  sqlite3_bind_int64(st, 5, op->i[2]);
  sqlite3_bind_int64(st, 6, op->i[3]);
  sqlite3_bind_int64(st, 7, op->i[4]);
  bind_text(st, 8, op->s[2]);
  bind_text(st, 9, op->s[3]);
  return finish(db, st);
}

int sql_apply_step_forget(hl_db *db, const hl_op *op) {
  sqlite3_stmt *st = sql_statement(db, ST_STEP_DEL);
  bind_key(st, op);
  bind_text(st, 4, op->s[1]);
  sqlite3_bind_int64(st, 5, op->i[2]);
  return finish(db, st);
}

int sql_apply_steps_drop(hl_db *db, const hl_op *op) {
  sqlite3_stmt *st = sql_statement(db, op->i[0] > 0 ? ST_STEPS_DROP : ST_STEPS_DROP_OF);
  bind_key(st, op);
  return finish(db, st);
}

int sql_apply_steps_settle(hl_db *db, const hl_op *op) {
  int rc = op->i[1] ? 0 : sql_run(db, ST_STEPS_DONE, 1, op->i, 0, NULL);
  return rc ? rc : sql_run(db, ST_STEPS_LOST_DEL, 1, op->i, 0, NULL);
}

int hl_db_read_steps(hl_db *db, int64_t row, int64_t index, hl_str handler, hl_bag *bag, hl_step_row **out, size_t *n) {
  sqlite3_stmt *st = sql_statement(db, ST_STEPS);
  hl_step_row *v = NULL;
  size_t count = 0, cap = 0;
  int rc;
  sqlite3_bind_int64(st, 1, row);
  sqlite3_bind_int64(st, 2, index);
  bind_text(st, 3, handler);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (count == cap) {
      cap = cap ? 2 * cap : 16;
      hl_step_row *more = hl_bag_alloc(bag, cap * sizeof *more);
      if (count) memcpy(more, v, count * sizeof *more);
      v = more;
    }
    v[count++] = (hl_step_row){.name = sql_copy(bag, st, 0), .n = (unsigned)sqlite3_column_int64(st, 1),
                               .place = (unsigned)sqlite3_column_int64(st, 2), .kind = (hl_step_kind)sqlite3_column_int(st, 3),
                               .what = sql_copy(bag, st, 4), .json = sql_copy(bag, st, 5)};
  }
  sqlite3_reset(st);
  *out = v;
  *n = count;
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read steps", NULL);
}
