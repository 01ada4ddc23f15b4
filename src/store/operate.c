#include "store/operate.h"

#include "base/mem.h"
#include "store/sql.h"

enum { LOOK_AT = 2000, MAX_STEPS = 10000, AUDIT_ROWS = 500, AUDIT_BYTES = 1 << 20 };

const char *const hl_event_state_names[] = {
    [HL_ST_PENDING] = "pending", [HL_ST_RAN] = "ran", [HL_ST_FILTERED] = "filtered", [HL_ST_DUPLICATE] = "duplicate",
    [HL_ST_WAITING] = "waiting", [HL_ST_DEAD] = "dead", [HL_ST_UNHANDLED] = "unhandled", [HL_ST_ORPHANED] = "orphaned",
    [HL_ST_OWN] = "own", [HL_ST_DEBOUNCED] = "debounced", [HL_ST_REMOVED] = "removed", [HL_ST_MAX] = "finished", "delayed", NULL,
};

const char *hl_event_state_name(hl_state state) {
  if (state == HL_ST_DELAYED) return "delayed";
  return state <= HL_ST_MAX ? hl_event_state_names[state] : "?";
}

bool hl_event_state_named(const char *name, hl_state *out) {
  for (int i = 0; hl_event_state_names[i]; i++) {
    if (strcmp(hl_event_state_names[i], name) != 0) continue;
    *out = i > HL_ST_MAX ? HL_ST_DELAYED : (hl_state)i;
    return true;
  }
  return false;
}

/* An array in a bag that grows. */
static void *one_more(hl_bag *bag, void *v, size_t n, size_t *cap, size_t size) {
  if (n < *cap) return v;
  *cap = *cap ? 2 * *cap : 16;
  void *more = hl_bag_alloc(bag, *cap * size);
  if (n) memcpy(more, v, n * size);
  return more;
}

/* ---- the log ---- */

typedef struct log_ask {
  hl_bag bag;
  int64_t before;
  size_t max_rows, max_bytes;
  hl_logged_page page;
  void (*cb)(void *arg, const hl_logged_page *page);
  void *arg;
} log_ask;

/* What LIST_LOG gives, with the state of each of its events. */
int sql_read_logged(hl_db *db, sqlite3_stmt *st, hl_bag *bag, hl_logged *r) {
  static const char zero[HL_HASH_BYTES];
  hl_str hashes = sql_blob(st, 5);
  *r = (hl_logged){.id = sqlite3_column_int64(st, 0), .received = sqlite3_column_int64(st, 1), .source = sql_copy(bag, st, 2).p,
                   .account = sql_copy(bag, st, 3).p, .n = (unsigned)sqlite3_column_int64(st, 4), .body = sql_copy(bag, st, 7)};
  uint8_t *states = hl_bag_alloc(bag, r->n);
  hl_str known = sql_blob(st, 6);
  memset(states, r->id <= db->state.mark ? HL_ST_RAN : HL_ST_PENDING, r->n);
  if (known.n) memcpy(states, known.p, known.n < r->n ? known.n : r->n);
  r->states = states;
  for (unsigned i = 0; i < r->n; i++) {
    if (states[i] <= HL_ST_RAN && hashes.n >= (i + 1) * (size_t)HL_HASH_BYTES && memcmp(hashes.p + i * (size_t)HL_HASH_BYTES, zero, sizeof zero) == 0)
      states[i] = HL_ST_DUPLICATE;
    if (states[i] != HL_ST_WAITING && states[i] != HL_ST_DEAD) continue;
    hl_state state;
    int rc = sql_event_state(db, r->id, i, states[i] == HL_ST_DEAD ? HL_ST_REMOVED : HL_ST_MAX, &state);
    if (rc) return rc;
    states[i] = (uint8_t)state;
  }
  return 0;
}

static void list_log(hl_db *db, void *arg) {
  log_ask *a = arg;
  hl_logged *rows = hl_bag_alloc(&a->bag, a->max_rows * sizeof *rows);
  size_t bytes = 0;
  int rc = sql_int(db, "SELECT coalesce(min(id),0) FROM log", &a->page.oldest);
  if (!rc) rc = sql_int(db, "SELECT coalesce(max(id),0) FROM log", &a->page.newest);
  sqlite3_stmt *st = sql_statement(db, ST_LIST_LOG);
  sqlite3_bind_int64(st, 1, a->before ? a->before : INT64_MAX);
  a->page.rows = rows;
  a->page.mark = db->state.mark;
  while (!rc && a->page.n < a->max_rows && (a->page.n == 0 || bytes < a->max_bytes) && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    hl_logged *r = &rows[a->page.n++];
    rc = sql_read_logged(db, st, &a->bag, r);
    bytes += r->body.n;
  }
  sqlite3_reset(st);
  if (rc && rc != SQLITE_DONE) a->page.code = sql_fail(db, rc, "cannot read the log", NULL);
}

static void log_listed(void *arg) {
  log_ask *a = arg;
  a->cb(a->arg, &a->page);
  hl_bag_deinit(&a->bag);
  hl_free(a);
}

static void log_dropped(void *arg) {
  log_ask *a = arg;
  hl_bag_deinit(&a->bag);
  hl_free(a);
}

void hl_store_list_log(hl_store *s, int64_t before, size_t max_rows, size_t max_bytes,
                       void (*cb)(void *arg, const hl_logged_page *page), void *arg) {
  static const hl_store_call_type type = {list_log, log_listed, log_dropped};
  log_ask *a = HL_NEW(log_ask);
  *a = (log_ask){.before = before, .max_rows = max_rows, .max_bytes = max_bytes, .cb = cb, .arg = arg};
  hl_store_call(s, &type, a);
}

typedef struct span_ask {
  int64_t since;
  hl_log_span span;
  void (*cb)(void *arg, const hl_log_span *span);
  void *arg;
} span_ask;

static void look_at_span(hl_db *db, void *arg) {
  span_ask *a = arg;
  int64_t oldest = 0;
  int rc = sql_int(db, "SELECT coalesce(min(id),0) FROM log", &oldest);
  if (!rc) rc = sql_int(db, "SELECT coalesce(max(id),0) FROM log", &a->span.newest);
  if (!rc) rc = sql_int(db, "SELECT coalesce((SELECT received FROM log ORDER BY id LIMIT 1),0)", &a->span.kept);
  if (rc) a->span.code = sql_fail(db, rc, "cannot read the log", NULL);
  else if (oldest) a->span.before = sql_skip_older(db, oldest - 1, a->span.newest, a->since);
}

static void span_found(void *arg) {
  span_ask *a = arg;
  a->cb(a->arg, &a->span);
  hl_free(a);
}

void hl_store_log_since(hl_store *s, int64_t since, void (*cb)(void *arg, const hl_log_span *span), void *arg) {
  static const hl_store_call_type type = {look_at_span, span_found, hl_free};
  span_ask *a = HL_NEW(span_ask);
  *a = (span_ask){.since = since, .cb = cb, .arg = arg};
  hl_store_call(s, &type, a);
}

/* ---- parked rows ---- */

typedef struct parked_ask {
  hl_bag bag;
  hl_parked_query q;
  hl_parked_page page;
  void (*cb)(void *arg, const hl_parked_page *page);
  void *arg;
} parked_ask;

void sql_read_parked_whole(sqlite3_stmt *st, hl_bag *bag, hl_parked *p) {
  sql_read_parked(st, bag, p);
  p->failed = sqlite3_column_int64(st, 13);
  p->error = sql_copy(bag, st, 14);
}

/* A durable name begins with its script's. */
static bool is_of(const hl_parked_query *q, hl_str handler, hl_str type) {
  size_t n = q->script ? strlen(q->script) : 0;
  if (q->script && !(handler.n > n && handler.p[n] == '\t' && memcmp(handler.p, q->script, n) == 0)) return false;
  return !q->type || hl_str_eqz(type, q->type);
}

bool hl_parked_is_of(const hl_parked_query *q, const hl_parked *p) { return is_of(q, hl_str_of(p->handler), hl_str_of(p->type)); }

static void list_parked(hl_db *db, void *arg) {
  parked_ask *a = arg;
  hl_parked_page *page = &a->page;
  hl_parked *rows = hl_bag_alloc(&a->bag, a->q.max * sizeof *rows);
  bool by_due = a->q.kind == HL_ST_WAITING || a->q.kind == HL_ST_DELAYED;
  sqlite3_stmt *st = sql_statement(db, by_due ? ST_LIST_DUE : ST_LIST_GIVEN_UP);
  int rc;
  sqlite3_bind_int64(st, 1, a->q.kind);
  sqlite3_bind_int64(st, 2, by_due ? (a->q.id ? a->q.due : INT64_MIN) : a->q.id ? a->q.id : INT64_MAX);
  if (by_due) sqlite3_bind_int64(st, 3, a->q.id);
  page->rows = rows;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (page->looked_at == LOOK_AT || page->n == a->q.max) {
      page->more = true;
      rc = SQLITE_DONE;
      break;
    }
    page->looked_at++;
    page->id = sqlite3_column_int64(st, 0);
    page->due = sqlite3_column_int64(st, 6);
    if (is_of(&a->q, sql_blob(st, 8), sql_blob(st, 9))) sql_read_parked_whole(st, &a->bag, &rows[page->n++]);
  }
  sqlite3_reset(st);
  if (rc != SQLITE_DONE) page->code = sql_fail(db, rc, "cannot read parked rows", NULL);
}

static void parked_dropped(void *arg) {
  parked_ask *a = arg;
  hl_bag_deinit(&a->bag);
  hl_free(a);
}

static void parked_listed(void *arg) {
  parked_ask *a = arg;
  a->cb(a->arg, &a->page);
  parked_dropped(a);
}

void hl_store_list_parked(hl_store *s, const hl_parked_query *q, void (*cb)(void *arg, const hl_parked_page *page), void *arg) {
  static const hl_store_call_type type = {list_parked, parked_listed, parked_dropped};
  parked_ask *a = HL_NEW(parked_ask);
  *a = (parked_ask){.q = *q, .cb = cb, .arg = arg};
  a->q.script = q->script ? hl_bag_copy(&a->bag, q->script, strlen(q->script)).p : NULL;
  a->q.type = q->type ? hl_bag_copy(&a->bag, q->type, strlen(q->type)).p : NULL;
  hl_store_call(s, &type, a);
}

/* ---- one event ---- */

typedef struct event_ask {
  hl_bag bag;
  int64_t row, parked;
  unsigned index;
  hl_stored_event event;
  void (*cb)(void *arg, const hl_stored_event *event);
  void *arg;
} event_ask;

static int read_parked_of(hl_db *db, event_ask *a) {
  sqlite3_stmt *st = sql_statement(db, a->row ? ST_PARKED_OF : ST_PARKED_ID);
  hl_parked *v = NULL;
  size_t n = 0, cap = 0;
  int rc;
  sqlite3_bind_int64(st, 1, a->row ? a->row : a->parked);
  if (a->row) sqlite3_bind_int64(st, 2, a->index);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    v = one_more(&a->bag, v, n, &cap, sizeof *v);
    sql_read_parked_whole(st, &a->bag, &v[n]);
    if (a->row || v[n].kind == HL_ST_DELAYED) n++;
  }
  sqlite3_reset(st);
  a->event.parked = v;
  a->event.n_parked = n;
  return rc == SQLITE_DONE ? 0 : rc;
}

static int read_partials_of(hl_db *db, event_ask *a) {
  sqlite3_stmt *st = sql_statement(db, ST_READ_PARTIAL);
  hl_store_partial *v = NULL;
  size_t n = 0, cap = 0;
  int rc;
  sqlite3_bind_int64(st, 1, a->row - 1);
  sqlite3_bind_int64(st, 2, a->row);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (sqlite3_column_int64(st, 1) != a->index) continue;
    v = one_more(&a->bag, v, n, &cap, sizeof *v);
    v[n++] = (hl_store_partial){.row = a->row, .index = a->index, .handler = sql_copy(&a->bag, st, 2).p, .state = (hl_state)sqlite3_column_int(st, 3)};
  }
  sqlite3_reset(st);
  a->event.partials = v;
  a->event.n_partials = n;
  return rc == SQLITE_DONE ? 0 : rc;
}

static int read_steps_of(hl_db *db, event_ask *a) {
  sqlite3_stmt *st = sql_statement(db, ST_STEPS_OF);
  hl_stored_step *v = NULL;
  size_t n = 0, cap = 0;
  int rc;
  sqlite3_bind_int64(st, 1, a->row);
  sqlite3_bind_int64(st, 2, a->index);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < MAX_STEPS) {
    v = one_more(&a->bag, v, n, &cap, sizeof *v);
    v[n++] = (hl_stored_step){sql_copy(&a->bag, st, 0).p,
                              {.name = sql_copy(&a->bag, st, 1), .n = (unsigned)sqlite3_column_int64(st, 2),
                               .place = (unsigned)sqlite3_column_int64(st, 3), .kind = (hl_step_kind)sqlite3_column_int(st, 4),
                               .what = sql_copy(&a->bag, st, 5), .json = sql_copy(&a->bag, st, 6)}};
  }
  sqlite3_reset(st);
  a->event.steps = v;
  a->event.n_steps = n;
  return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : rc;
}

static int read_row_of(hl_db *db, event_ask *a) {
  sqlite3_stmt *st = sql_statement(db, ST_LIST_LOG);
  sqlite3_bind_int64(st, 1, a->row + 1);
  int rc = sqlite3_step(st);
  if (rc == SQLITE_ROW && sqlite3_column_int64(st, 0) == a->row && a->index < (unsigned)sqlite3_column_int64(st, 4))
    rc = sql_read_logged(db, st, &a->bag, &a->event.row);
  else if (rc == SQLITE_ROW || rc == SQLITE_DONE) rc = 0;
  sqlite3_reset(st);
  return rc;
}

static void read_event(hl_db *db, void *arg) {
  event_ask *a = arg;
  int rc = a->row ? read_row_of(db, a) : 0;
  if (!rc) rc = read_parked_of(db, a);
  if (!rc && a->row) rc = read_partials_of(db, a);
  if (!rc && a->row) rc = read_steps_of(db, a);
  if (rc) a->event.code = sql_fail(db, rc, "cannot read an event", NULL);
  else if (!a->event.row.id && !a->event.n_parked) a->event.code = HL_ENOTFOUND;
}

static void event_dropped(void *arg) {
  event_ask *a = arg;
  hl_bag_deinit(&a->bag);
  hl_free(a);
}

static void event_found(void *arg) {
  event_ask *a = arg;
  a->cb(a->arg, &a->event);
  event_dropped(a);
}

void hl_store_read_event(hl_store *s, int64_t row, unsigned index, int64_t parked,
                         void (*cb)(void *arg, const hl_stored_event *event), void *arg) {
  static const hl_store_call_type type = {read_event, event_found, event_dropped};
  event_ask *a = HL_NEW(event_ask);
  *a = (event_ask){.row = row, .index = index, .parked = parked, .cb = cb, .arg = arg};
  hl_store_call(s, &type, a);
}

/* ---- pruning ---- */

typedef struct prune_ask {
  int64_t before, after;
  bool dry_run;
  hl_pruned pruned;
  void (*cb)(void *arg, const hl_pruned *pruned);
  void *arg;
} prune_ask;

static void prune(hl_db *db, void *arg) {
  prune_ask *a = arg;
  int rc = sql_prune(db, a->before, a->after, a->dry_run, &a->pruned);
  if (rc) a->pruned.code = sql_fail(db, rc, "cannot prune", NULL);
}

static void pruned(void *arg) {
  prune_ask *a = arg;
  a->cb(a->arg, &a->pruned);
  hl_free(a);
}

void hl_store_prune(hl_store *s, int64_t before, int64_t after, bool dry_run, void (*cb)(void *arg, const hl_pruned *pruned), void *arg) {
  static const hl_store_call_type type = {prune, pruned, hl_free};
  prune_ask *a = HL_NEW(prune_ask);
  *a = (prune_ask){.before = before, .after = after, .dry_run = dry_run, .cb = cb, .arg = arg};
  hl_store_call(s, &type, a);
}

/* ---- audit records in the order of time ---- */

typedef struct scan_ask {
  hl_bag bag;
  char *kind;
  int64_t since, until;
  hl_audit_page page;
  void (*cb)(void *arg, const hl_audit_page *page);
  void *arg;
} scan_ask;

static void scan(hl_db *db, void *arg) {
  scan_ask *a = arg;
  hl_audit *v = hl_bag_alloc(&a->bag, AUDIT_ROWS * sizeof *v);
  size_t looked = 0, bytes = 0;
  sqlite3_stmt *st = sql_statement(db, ST_AUDIT_SCAN);
  int rc = sql_int(db, "SELECT coalesce(max(id),0) FROM audit", &a->page.of);
  sqlite3_bind_int64(st, 1, a->page.at);
  a->page.v = v;
  while (!rc && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (a->page.n == AUDIT_ROWS || bytes > AUDIT_BYTES || looked++ == LOOK_AT) {
      a->page.more = true;
      rc = SQLITE_DONE;
      break;
    }
    rc = 0;
    int64_t at = sqlite3_column_int64(st, 0);
    a->page.at = sqlite3_column_int64(st, 6);
    const char *kind = (const char *)sqlite3_column_text(st, 3);
    if (at < a->since || at >= a->until || !kind || strcmp(kind, a->kind) != 0) continue;
    v[a->page.n] = (hl_audit){.at = at, .script = sql_copy(&a->bag, st, 1).p, .account = sql_copy(&a->bag, st, 2).p,
                              .kind = sql_copy(&a->bag, st, 3).p, .key = sql_copy(&a->bag, st, 4).p, .json = sql_copy(&a->bag, st, 5)};
    bytes += v[a->page.n++].json.n;
  }
  sqlite3_reset(st);
  if (rc && rc != SQLITE_DONE) a->page.code = sql_fail(db, rc, "cannot read audit records", NULL);
}

static void scan_dropped(void *arg) {
  scan_ask *a = arg;
  hl_bag_deinit(&a->bag);
  hl_free(a->kind);
  hl_free(a);
}

static void scanned(void *arg) {
  scan_ask *a = arg;
  a->cb(a->arg, &a->page);
  scan_dropped(a);
}

void hl_store_scan_audits(hl_store *s, const char *kind, int64_t since, int64_t until, int64_t after,
                          void (*cb)(void *arg, const hl_audit_page *page), void *arg) {
  static const hl_store_call_type type = {scan, scanned, scan_dropped};
  scan_ask *a = HL_NEW(scan_ask);
  *a = (scan_ask){.kind = hl_strdup(kind), .since = since, .until = until, .page = {.at = after}, .cb = cb, .arg = arg};
  hl_store_call(s, &type, a);
}
