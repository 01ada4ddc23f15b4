#include "store/lanes.h"

#include "base/mem.h"
#include "store/sql.h"

int sql_apply_lane(hl_db *db, const hl_op *op) { return sql_run(db, ST_LANE, 4, op->i, 2, op->s); }

int sql_apply_started(hl_db *db, const hl_op *op) {
  int rc = sql_run(db, ST_STARTED_OVER, 1, op->i, 0, NULL);
  return rc ? rc : sql_run(db, ST_STARTED, 2, op->i, 2, op->s);
}

int hl_db_each_start(hl_db *db, int64_t now, void (*each)(void *arg, const char *handler, hl_str lane, int64_t at), void *arg,
                     hl_error *err) {
  sqlite3_stmt *st = sql_statement(db, ST_STARTS);
  int rc;
  sqlite3_bind_int64(st, 1, now);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW)
    each(arg, (const char *)sqlite3_column_text(st, 0), sql_blob(st, 1), sqlite3_column_int64(st, 2));
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read what was throttled", err);
}

typedef struct lanes_ask {
  hl_bag bag;
  hl_str handler, after;
  size_t max, max_bytes;
  hl_lane_ask *asks;             /* NULL: names */
  hl_store_lanes lanes;
  hl_str *names;
  size_t n_names;
  int code;
  union {
    void (*names)(void *arg, int code, const hl_str *names, size_t n);
    void (*lanes)(void *arg, const hl_store_lanes *lanes);
  } cb;
  void *arg;
} lanes_ask;

static void read_names(hl_db *db, void *arg) {
  lanes_ask *a = arg;
  sqlite3_stmt *st = sql_statement(db, ST_LANE_NAMES);
  hl_str after = a->after;
  int rc = SQLITE_ROW;
  a->names = hl_bag_alloc(&a->bag, a->max * sizeof *a->names);
  /* One seek a lane: it may have many rows. */
  while (a->n_names < a->max && rc == SQLITE_ROW) {
    sqlite3_bind_text64(st, 1, a->handler.p, a->handler.n, SQLITE_STATIC, SQLITE_UTF8);
    sql_bind_blob(st, 2, after);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) after = a->names[a->n_names++] = sql_copy(&a->bag, st, 0);
    sqlite3_reset(st);
  }
  if (rc != SQLITE_DONE && rc != SQLITE_ROW) a->code = sql_fail(db, rc, "cannot read parked rows", NULL);
}

static void read_lanes(hl_db *db, void *arg) {
  lanes_ask *a = arg;
  sqlite3_stmt *st = sql_statement(db, ST_READ_LANE);
  size_t most = 0, bytes = 0, *counts = hl_bag_alloc(&a->bag, a->max * sizeof *counts);
  int rc = SQLITE_DONE;
  for (size_t k = 0; k < a->max; k++) most += a->asks[k].max;
  hl_parked *v = hl_bag_alloc(&a->bag, most * sizeof *v);
  hl_store_lanes *out = &a->lanes;
  out->parked = v;
  out->counts = counts;
  for (size_t k = 0; k < a->max && !out->cut && !out->code; k++) {
    sqlite3_bind_text64(st, 1, a->handler.p, a->handler.n, SQLITE_STATIC, SQLITE_UTF8);
    sql_bind_blob(st, 2, a->asks[k].lane);
    sqlite3_bind_int64(st, 3, (int64_t)a->asks[k].max);
    while (!out->cut && (rc = sqlite3_step(st)) == SQLITE_ROW) {
      hl_parked *p = &v[out->n++];
      sql_read_parked(st, &a->bag, p);
      sql_read_lane(st, &a->bag, p);
      counts[k]++;
      bytes += p->event.n;
      out->cut = bytes >= a->max_bytes;
    }
    sqlite3_reset(st);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) out->code = sql_fail(db, rc, "cannot read parked rows", NULL);
  }
}

static void dropped(void *arg) {
  lanes_ask *a = arg;
  hl_bag_deinit(&a->bag);
  hl_free(a);
}

static void names_read(void *arg) {
  lanes_ask *a = arg;
  a->cb.names(a->arg, a->code, a->names, a->n_names);
  dropped(a);
}

static void lanes_read(void *arg) {
  lanes_ask *a = arg;
  a->cb.lanes(a->arg, &a->lanes);
  dropped(a);
}

static lanes_ask *new_ask(const char *handler, size_t max, void *arg) {
  lanes_ask *a = HL_NEW(lanes_ask);
  a->handler = hl_bag_copy(&a->bag, handler, strlen(handler));
  a->max = max;
  a->arg = arg;
  return a;
}

void hl_store_read_lane_names(hl_store *s, const char *handler, hl_str after, size_t max,
                              void (*cb)(void *arg, int code, const hl_str *names, size_t n), void *arg) {
  static const hl_store_call_type type = {read_names, names_read, dropped};
  lanes_ask *a = new_ask(handler, max, arg);
  a->after = hl_bag_copy(&a->bag, after.p, after.n);
  a->cb.names = cb;
  hl_store_call(s, &type, a);
}

void hl_store_read_lanes(hl_store *s, const char *handler, const hl_lane_ask *asks, size_t n, size_t max_bytes,
                         void (*cb)(void *arg, const hl_store_lanes *lanes), void *arg) {
  static const hl_store_call_type type = {read_lanes, lanes_read, dropped};
  lanes_ask *a = new_ask(handler, n, arg);
  a->asks = hl_bag_alloc(&a->bag, n * sizeof *a->asks);
  for (size_t k = 0; k < n; k++) a->asks[k] = (hl_lane_ask){hl_bag_copy(&a->bag, asks[k].lane.p, asks[k].lane.n), asks[k].max};
  a->max_bytes = max_bytes;
  a->cb.lanes = cb;
  hl_store_call(s, &type, a);
}
