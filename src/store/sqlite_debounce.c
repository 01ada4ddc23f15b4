/* Debounce: which parked rows wait for more events of which key. */
#include "store/sql.h"

int sql_apply_debounce(hl_db *db, const hl_op *op) {
  sqlite3_stmt *st = sql_statement(db, ST_DEBOUNCE);
  for (int i = 0; i < 3; i++) sqlite3_bind_int64(st, i + 1, op->i[i]);
  sqlite3_bind_text64(st, 4, op->s[0].p, op->s[0].n, SQLITE_STATIC, SQLITE_UTF8);
  sql_bind_blob(st, 5, op->s[1]);
  int rc = sqlite3_step(st);
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
}

int hl_db_each_debounce(hl_db *db, void (*each)(void *arg, const hl_debounce_row *row), void *arg, hl_error *err) {
  sqlite3_stmt *st = sql_statement(db, ST_DEBOUNCES);
  int rc;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    hl_debounce_row row = {.id = sqlite3_column_int64(st, 0), .since = sqlite3_column_int64(st, 1),
                           .occurred = sqlite3_column_int64(st, 2), .handler = (const char *)sqlite3_column_text(st, 3),
                           .key = sql_blob(st, 4), .due = sqlite3_column_int64(st, 5), .event = sql_blob(st, 6)};
    each(arg, &row);
  }
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read what is debounced", err);
}
