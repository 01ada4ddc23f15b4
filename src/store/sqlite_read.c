/* What the store is asked: nothing here writes. */
#include "store/sql.h"

/* The last id after `lo` behind which every row was received since `since`, give or
 * take the steps of a wall clock: so the log is not walked from its beginning. */
int64_t sql_skip_older(hl_db *db, int64_t lo, int64_t hi, int64_t since) {
  static const int64_t SLACK_MS = 60 * 60 * 1000;
  sqlite3_stmt *st = sql_statement(db, ST_NEXT_ROW);
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2;
    sqlite3_bind_int64(st, 1, mid);
    bool older = sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int64(st, 0) < since - SLACK_MS;
    sqlite3_reset(st);
    if (older) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

int hl_db_each_hash(hl_db *db, int64_t after, int64_t upto, int64_t since,
                    void (*each)(void *arg, int64_t row, int64_t received, hl_str hashes), void *arg, hl_error *err) {
  sqlite3_stmt *st = sql_statement(db, ST_HASHES);
  int rc;
  sqlite3_bind_int64(st, 1, sql_skip_older(db, after, upto, since));
  sqlite3_bind_int64(st, 2, upto);
  sqlite3_bind_int64(st, 3, since);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) each(arg, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), sql_blob(st, 2));
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read the log", err);
}

int hl_db_each_schedule(hl_db *db, void (*each)(void *arg, const char *name, int64_t last), void *arg, hl_error *err) {
  sqlite3_stmt *st = sql_statement(db, ST_SCHEDULES);
  int rc;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW)
    each(arg, (const char *)sqlite3_column_text(st, 0), sqlite3_column_int64(st, 1));
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read the schedules", err);
}

int hl_db_place(hl_db *db, const char *source, hl_buf *out, hl_error *err) {
  sqlite3_stmt *st = sql_statement(db, ST_PLACE);
  sqlite3_bind_text(st, 1, source, -1, SQLITE_STATIC);
  int rc = sqlite3_step(st), full = 0;
  if (rc == SQLITE_ROW) {
    hl_str place = sql_blob(st, 0);
    full = hl_buf_append(out, place.p, place.n);
    rc = SQLITE_DONE;
  }
  sqlite3_reset(st);
  if (full) return hl_fail(err, full, "the place of %s is too long", source);
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read the place of a source", err);
}

int hl_db_read_log(hl_db *db, int64_t after, int64_t upto, size_t max_rows, size_t max_bytes, hl_bag *bag,
                   hl_store_rows *out) {
  sqlite3_stmt *st = sql_statement(db, ST_READ_LOG);
  hl_store_row *rows = hl_bag_alloc(bag, max_rows * sizeof *rows);
  size_t n = 0, bytes = 0;
  int rc = SQLITE_DONE;
  sqlite3_bind_int64(st, 1, after);
  sqlite3_bind_int64(st, 2, upto);
  while (n < max_rows && (n == 0 || bytes < max_bytes) && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    hl_store_row *r = &rows[n++];
    r->id = sqlite3_column_int64(st, 0);
    r->received = sqlite3_column_int64(st, 1);
    r->source = sql_copy(bag, st, 2).p;
    r->account = sql_copy(bag, st, 3).p;
    r->n = (unsigned)sqlite3_column_int64(st, 4);
    r->hashes = sql_copy(bag, st, 5);
    r->states = sql_copy(bag, st, 6);
    r->body = sql_copy(bag, st, 7);
    bytes += r->body.n;
  }
  sqlite3_reset(st);
  if (rc != SQLITE_DONE && rc != SQLITE_ROW) return sql_fail(db, rc, "cannot read the log", NULL);
  out->rows = rows;
  out->n = n;
  if (!n) return 0;
  size_t cap = 0, count = 0;
  hl_store_partial *partials = NULL;
  st = sql_statement(db, ST_READ_PARTIAL);
  sqlite3_bind_int64(st, 1, after);
  sqlite3_bind_int64(st, 2, rows[n - 1].id);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (count == cap) {
      cap = cap ? 2 * cap : 64;
      hl_store_partial *more = hl_bag_alloc(bag, cap * sizeof *more);
      if (count) memcpy(more, partials, count * sizeof *more);
      partials = more;
    }
    hl_store_partial *p = &partials[count++];
    p->row = sqlite3_column_int64(st, 0);
    p->index = (unsigned)sqlite3_column_int64(st, 1);
    p->handler = sql_copy(bag, st, 2).p;
    p->state = (hl_state)sqlite3_column_int(st, 3);
  }
  sqlite3_reset(st);
  out->partials = partials;
  out->n_partials = count;
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read the log", NULL);
}

void sql_read_parked(sqlite3_stmt *st, hl_bag *bag, hl_parked *p) {
  *p = (hl_parked){
      .id = sqlite3_column_int64(st, 0), .row = sqlite3_column_int64(st, 1), .index = (unsigned)sqlite3_column_int64(st, 2),
      .kind = (hl_state)sqlite3_column_int(st, 3), .open = sqlite3_column_int(st, 4) != 0,
      .received = sqlite3_column_int64(st, 5), .due = sqlite3_column_int64(st, 6),
      .attempts = (unsigned)sqlite3_column_int64(st, 7), .handler = sql_copy(bag, st, 8).p,
      .type = sql_copy(bag, st, 9).p, .source = sql_copy(bag, st, 10).p, .account = sql_copy(bag, st, 11).p,
      .event = sql_copy(bag, st, 12),
  };
}

void sql_read_lane(sqlite3_stmt *st, hl_bag *bag, hl_parked *p) {
  if (sqlite3_column_type(st, 13) != SQLITE_NULL) p->lane = sql_copy(bag, st, 13);
  p->occurred = sqlite3_column_int64(st, 14);
}

int hl_db_each_held(hl_db *db, int64_t since, int64_t hold_ms, void (*each)(void *arg, const hl_parked *p), void *arg,
                    hl_error *err) {
  sqlite3_stmt *st = sql_statement(db, ST_READ_HELD);
  int rc;
  sqlite3_bind_int64(st, 1, since);
  sqlite3_bind_int64(st, 2, since + 2 * hold_ms);
  sqlite3_bind_int64(st, 3, hold_ms);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    hl_bag bag = {0};
    hl_parked p;
    sql_read_parked(st, &bag, &p);
    p.failed = sqlite3_column_int64(st, 13);
    each(arg, &p);
    hl_bag_deinit(&bag);
  }
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read parked rows", err);
}

int hl_db_read_due(hl_db *db, int64_t until, int64_t early, size_t max, hl_bag *bag, hl_store_due *out) {
  sqlite3_stmt *st = sql_statement(db, ST_READ_DUE);
  hl_parked *v = hl_bag_alloc(bag, max * sizeof *v);
  size_t n = 0;
  int rc;
  sqlite3_bind_int64(st, 1, (int64_t)max + 1);
  out->next = INT64_MAX;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    int64_t due = sqlite3_column_int64(st, 6), next = due;
    bool full = n == max || due > until + early;
    if (due > until + early) next -= early; /* it may be a delayed one, or one behind it */
    if (full || (due > until && sqlite3_column_int(st, 3) != HL_ST_DELAYED)) {
      if (next < out->next) out->next = next;
      if (!full) continue;
      rc = SQLITE_DONE;
      break;
    }
    sql_read_parked(st, bag, &v[n]);
    sql_read_lane(st, bag, &v[n++]);
  }
  sqlite3_reset(st);
  out->parked = v;
  out->n = n;
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read parked rows", NULL);
}

int hl_db_kv_get(hl_db *db, const char *script, const char *account, hl_str key, int64_t now, hl_bag *bag,
                 hl_str *value, int64_t *expires) {
  sqlite3_stmt *st = sql_statement(db, ST_KV_GET);
  sqlite3_bind_text(st, 1, script, -1, SQLITE_STATIC);
  sqlite3_bind_text(st, 2, account, -1, SQLITE_STATIC);
  sql_bind_blob(st, 3, key);
  *value = (hl_str){0};
  *expires = 0;
  int rc = sqlite3_step(st);
  if (rc == SQLITE_ROW) {
    int64_t at = sqlite3_column_int64(st, 1);
    if (at == 0 || at > now) {
      *value = sql_copy(bag, st, 0);
      *expires = at;
    }
    rc = SQLITE_DONE;
  }
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read kv", NULL);
}

/* The first key behind all that begin with `prefix`, so that listing reads no
 * others. A prefix of nothing but 0xff has none: then one longer than any key. */
static hl_str key_after(hl_bag *bag, hl_str prefix) {
  enum { LONGER_THAN_KEYS = 1024 };
  size_t n = prefix.n;
  while (n && (unsigned char)prefix.p[n - 1] == 0xff) n--;
  char *bytes = hl_bag_alloc(bag, n ? n : LONGER_THAN_KEYS);
  if (!n) {
    memset(bytes, 0xff, LONGER_THAN_KEYS);
    return (hl_str){bytes, LONGER_THAN_KEYS};
  }
  memcpy(bytes, prefix.p, n);
  bytes[n - 1]++;
  return (hl_str){bytes, n};
}

int hl_db_kv_list(hl_db *db, const char *script, const char *account, hl_str prefix, size_t max, int64_t now,
                  hl_bag *bag, hl_str **keys, size_t *n) {
  sqlite3_stmt *st = sql_statement(db, ST_KV_LIST);
  hl_str *v = NULL, from = prefix.p ? prefix : HL_STR("");
  size_t count = 0, cap = 0;
  int rc;
  sqlite3_bind_text(st, 1, script, -1, SQLITE_STATIC);
  sqlite3_bind_text(st, 2, account, -1, SQLITE_STATIC);
  sql_bind_blob(st, 3, from);
  sql_bind_blob(st, 6, key_after(bag, from));
  sqlite3_bind_int64(st, 4, now);
  sqlite3_bind_int64(st, 5, (int64_t)max);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (count == cap) {
      cap = cap ? 2 * cap : 64;
      hl_str *more = hl_bag_alloc(bag, cap * sizeof *more);
      if (count) memcpy(more, v, count * sizeof *more);
      v = more;
    }
    v[count++] = sql_copy(bag, st, 0);
  }
  sqlite3_reset(st);
  *keys = v;
  *n = count;
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read kv", NULL);
}

int hl_db_read_audits(hl_db *db, const char *kind, hl_str key, size_t max, hl_bag *bag, hl_audit **out, size_t *n) {
  sqlite3_stmt *st = sql_statement(db, ST_AUDITS);
  hl_audit *v = NULL;
  size_t count = 0, cap = 0;
  int rc;
  sqlite3_bind_text(st, 1, kind, -1, SQLITE_STATIC);
  sqlite3_bind_text64(st, 2, key.p, key.n, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_int64(st, 3, (int64_t)max);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (count == cap) {
      cap = cap ? 2 * cap : 16;
      hl_audit *more = hl_bag_alloc(bag, cap * sizeof *more);
      if (count) memcpy(more, v, count * sizeof *more);
      v = more;
    }
    hl_audit *a = &v[count++];
    a->at = sqlite3_column_int64(st, 0);
    a->script = sql_copy(bag, st, 1).p;
    a->account = sql_copy(bag, st, 2).p;
    a->kind = sql_copy(bag, st, 3).p;
    a->key = sql_copy(bag, st, 4).p;
    a->json = sql_copy(bag, st, 5);
  }
  sqlite3_reset(st);
  *out = v;
  *n = count;
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read audit records", NULL);
}
