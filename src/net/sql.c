#include "net/sql.h"

#include <assert.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/sql_inside.h"

/* Pool threads are also what files are read with: SQL leaves some free. A database that hangs must not hold up all
 * others, so there are more of them than libuv's four (cmd/cmd.c asks for them). */
enum { POOL = 4, SPARE = 4, SHARED = 4, APART = 8, DEPTH_MAX = 50 };

struct hl_sqls {
  hl_loop *loop;
  hl_sql *list;
  size_t out, most;              /* calls on threads */
  hl_sql_queue ready;            /* those that have a connection and no thread */
  bool freed;
};

/* ---- queues ---- */
static void queue_init(hl_sql_queue *q) { *q = (hl_sql_queue){NULL, &q->first}; }

static void append(hl_sql_queue *q, hl_sql_call *c) {
  c->next = NULL;
  c->in = q;
  *q->end = c;
  q->end = &c->next;
}

static void take_out(hl_sql_call *c) {
  hl_sql_call **at = &c->in->first;
  while (*at != c) at = &(*at)->next;
  if (!(*at = c->next)) c->in->end = at;
  c->in = NULL;
}

static hl_sql_call *pop(hl_sql_queue *q) {
  hl_sql_call *c = q->first;
  if (c) take_out(c);
  return c;
}

/* ---- for the engines ---- */
int hl_sql_fail(hl_sql_call *call, int code, const char *state, const char *category, bool retryable, const char *fmt, ...) {
  va_list ap;
  hl_sql_result *r = &call->r;
  r->code = r->err.code = code;
  r->category = category;
  r->retryable = retryable;
  snprintf(r->state, sizeof r->state, "%s", state ? state : "");
  va_start(ap, fmt);
  vsnprintf(r->err.text, sizeof r->err.text, fmt, ap);
  va_end(ap);
  return code;
}

int hl_sql_stopped(hl_sql_call *call) {
  if (atomic_load(&call->stop) == HL_SQL_CANCELLED) return hl_sql_fail(call, HL_ECANCELLED, "", "cancelled", false, "the statement was stopped");
  return hl_sql_fail(call, HL_ETIMEOUT, "", "timeout", true, "the statement did not end within %g s and was stopped",
                     (double)call->q.timeout_ms / 1000);
}

static int too_large(hl_sql_call *call) {
  return hl_sql_fail(call, HL_ELIMIT, "", "too_large", false,
                     call->q.kind == HL_SQL_QUERY ? "the result has more than %d rows or %d MiB: db:rows(…) gives it in pieces, or the statement asks for less"
                                                  : "%d rows of the result have more than %d MiB: ask for fewer columns",
                     call->q.kind == HL_SQL_QUERY ? HL_SQL_ROWS_MAX : HL_SQL_PAGE_ROWS, HL_SQL_BYTES_MAX >> 20);
}

int hl_sql_put(hl_sql_call *call, char type, const void *p, size_t n) {
  hl_buf *b = &call->r.rows;
  int rc = hl_buf_append(b, &type, 1);
  if (!rc && type == HL_SQL_TEXT) rc = hl_buf_append(b, &n, sizeof n);
  if (!rc && n) rc = hl_buf_append(b, p, n);
  return rc || call->r.n_rows >= HL_SQL_ROWS_MAX ? too_large(call) : 0;
}

int hl_sql_name(hl_sql_call *call, const char *name) {
  call->r.n_columns++;
  return hl_buf_append(&call->r.names, name, strlen(name) + 1) ? too_large(call) : 0;
}

bool hl_sql_page_full(const hl_sql_call *call) { return call->r.n_rows >= HL_SQL_PAGE_ROWS || call->r.rows.n >= HL_SQL_PAGE_BYTES; }

int hl_sql_count_values(hl_sql_call *call, size_t places) {
  size_t n = call->q.n_values;
  if (places == n) return 0;
  return hl_sql_fail(call, HL_EINVAL, "", "values", false, "the statement has %zu placeholder%s (?), and %zu value%s %s given", places,
                     places == 1 ? "" : "s", n, n == 1 ? "" : "s", n == 1 ? "is" : "are");
}

/* ---- a call's end ---- */
static void call_free(hl_sql_call *c) {
  hl_timer_stop(c->db->all->loop, &c->timer);
  if (c->q.lease) hl_sql_lease_unref(c->q.lease);
  hl_free(c->q.values);
  hl_free(c->q.bytes);
  hl_free(c->text);
  hl_buf_deinit(&c->r.names);
  hl_buf_deinit(&c->r.rows);
  hl_free(c);
}

static void settle(hl_sql *db);
static void lease_over(hl_sql_lease *l);

/* The database may be gone on return. */
static void finish(hl_sql_call *c) {
  hl_sql *db = c->db;
  db->opened++;
  if (c->done) c->done(c->arg, &c->r);
  call_free(c);
  db->opened--;
  settle(db);
}

static void finish_later(hl_defer *d, void *arg) {
  hl_sql_call *c = arg;
  (void)d;
  c->db->opened--;
  finish(c);
}

static void cursor_free(hl_sql_cursor *r) {
  r->conn->n_cursors--;
  if (r->own && r->lease->conn) lease_over(r->lease);
  hl_sql_lease_unref(r->lease);
  hl_free(r);
}

/* Of a call that never ran. A MORE that was cancelled leaves it to its owner. */
static void drop_cursor(hl_sql_call *c) {
  hl_sql_cursor *r = c->q.cursor;
  if (c->q.kind == HL_SQL_READ && r->conn) cursor_free(r);
  else if (c->q.kind == HL_SQL_READ) hl_free(r);
  else if (c->q.kind == HL_SQL_MORE && c->done) hl_sql_cursor_end(r);
  c->q.cursor = NULL;
}

/* From where `done` must not be called. It is in no queue. */
static void fail_later(hl_sql_call *c) {
  hl_timer_stop(c->db->all->loop, &c->timer);
  drop_cursor(c);
  c->db->opened++;
  hl_defer_start(c->db->all->loop, &c->defer, finish_later, c);
}

static void fail_over(hl_sql_call *c) {
  hl_sql_fail(c, HL_EINVAL, "", "transaction", false, "the transaction is over");
  fail_later(c);
}

/* ---- a call's way ---- */
static void on_done(void *arg);
static void on_time(hl_timer *t, void *arg);

static void work(void *arg) {
  hl_sql_call *c = arg;
  c->db->engine->run(c->conn, c);
}

static void run_ready(hl_sqls *all) {
  while (all->out < all->most && all->ready.first) {
    all->out++;
    hl_loop_work(all->loop, work, on_done, pop(&all->ready));
  }
}

static void submit(hl_sql_conn *conn, hl_sql_call *c) {
  assert(!conn->call);
  c->conn = conn;
  conn->call = c;
  if (c->q.kind >= HL_SQL_UNDO) hl_timer_start(conn->db->all->loop, &c->timer, c->q.timeout_ms, on_time, c);
  append(&conn->db->all->ready, c);
  run_ready(conn->db->all);
}

static hl_sql_call *call_new(hl_sql *db, hl_sql_kind kind) {
  hl_sql_call *c = HL_NEW(hl_sql_call);
  c->db = db;
  c->q.kind = kind;
  c->q.timeout_ms = 10 * 1000;
  c->is_virtual = hl_loop_is_virtual(db->all->loop);
  hl_buf_init(&c->r.names, 1 << 20);
  hl_buf_init(&c->r.rows, HL_SQL_BYTES_MAX);
  return c;
}

/* What we do ourselves, in order with the rest of the connection's. */
static void run_inside(hl_sql_conn *conn, hl_sql_call *c) {
  if (conn->call) append(&conn->queue, c);
  else submit(conn, c);
}

/* What a connection does next, when it does nothing. */
static void settle_conn(hl_sql_conn *conn) {
  if (conn->call) return;
  if (conn->queue.first) submit(conn, pop(&conn->queue));
  else if (!conn->lease && !conn->n_cursors && (conn->apart || !conn->db->opened)) run_inside(conn, call_new(conn->db, HL_SQL_SHUT));
}

static hl_sql_lease *lease_new(hl_sql_conn *conn, unsigned depth) {
  hl_sql_lease *l = HL_NEW(hl_sql_lease);
  *l = (hl_sql_lease){.conn = conn, .refs = 1, .depth = depth};
  conn->lease = l;
  return l;
}

/* A connection that the call may have, or NULL. */
static hl_sql_conn *find_conn(hl_sql *db, const hl_sql_call *c) {
  bool apart = c->q.kind == HL_SQL_READ;
  hl_sql_conn *k = apart ? NULL : db->conns;
  while (k && (k->apart || k->call || k->lease || k->queue.first)) k = k->next;
  if (k) return k;
  if (apart ? db->n_apart >= APART : db->n_shared >= db->most_shared) return NULL;
  k = HL_NEW(hl_sql_conn);
  *k = (hl_sql_conn){.db = db, .next = db->conns, .apart = apart, .wake = db->engine->polls ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1};
  queue_init(&k->queue);
  db->conns = k;
  if (apart) db->n_apart++;
  else db->n_shared++;
  return k;
}

static bool start_on_free(hl_sql_call *c) {
  hl_sql_conn *conn = find_conn(c->db, c);
  if (!conn) return false;
  if (c->in) take_out(c);
  if (c->q.kind == HL_SQL_READ) {
    hl_sql_cursor *r = c->q.cursor;
    r->conn = conn;
    r->lease = lease_new(conn, 0);
    r->own = true;
    conn->n_cursors++;
  }
  submit(conn, c);
  return true;
}

static void db_free(hl_sql *db) {
  hl_sqls *all = db->all;
  hl_sql **at = &all->list;
  while (*at != db) at = &(*at)->next;
  *at = db->next;
  for (size_t i = 0; db->own && db->own[i]; i++) hl_free(db->own[i]);
  hl_free(db->own);
  explicit_bzero(db->place, strlen(db->place));
  hl_free(db->place);
  hl_free(db);
  if (all->freed && !all->list) hl_free(all);
}

/* Starts what can be; closes what nobody has open. It may be gone on return. */
static void settle(hl_sql *db) {
  for (hl_sql_call *c = db->waiting.first, *next; c; c = next) {
    next = c->next;
    (void)start_on_free(c);
  }
  if (db->opened) return;
  for (hl_sql_conn *k = db->conns; k; k = k->next) settle_conn(k);
  if (!db->conns && !db->waiting.first) db_free(db);
}

/* ---- leases and cursors ---- */
void hl_sql_lease_ref(hl_sql_lease *l) { l->refs++; }
void hl_sql_lease_unref(hl_sql_lease *l) {
  if (--l->refs) return;
  assert(!l->conn && "a lease is given back before its end");
  hl_free(l);
}
unsigned hl_sql_lease_depth(const hl_sql_lease *l) { return l->conn ? l->depth : 0; }

/* The connection is for others, as soon as what is queued is done. */
static void lease_over(hl_sql_lease *l) {
  hl_sql_conn *conn = l->conn;
  l->conn = NULL;
  conn->lease = NULL;
  l->depth = 0;
  for (hl_sql_call *c = conn->queue.first, *next; c; c = next) {
    next = c->next;
    if (c->q.lease != l) continue;
    take_out(c);
    fail_over(c);
  }
}

void hl_sql_lease_undo(hl_sql_lease *l, unsigned depth) {
  hl_sql_conn *conn = l->conn;
  if (!conn || l->depth <= depth) return;
  hl_sql_call *c = call_new(conn->db, HL_SQL_UNDO);
  c->depth = l->depth;
  c->levels = l->depth - depth;
  l->depth = depth;
  if (!depth) lease_over(l);
  run_inside(conn, c);
}

void hl_sql_cursor_end(hl_sql_cursor *r) {
  hl_sql_call *c = call_new(r->conn->db, HL_SQL_LEAVE);
  r->ended = true;
  c->q.cursor = r;
  run_inside(r->conn, c);
}

/* What a call that is done has changed. */
static void take_effect(hl_sql_call *c) {
  hl_sql_lease *l = c->q.lease;
  hl_sql_cursor *r = c->q.cursor;
  bool well = c->r.code == 0;
  switch (c->q.kind) {
    case HL_SQL_BEGIN:
      if (!well) break;
      if (l) {
        if (l->conn) l->depth++;
        if (!c->done) hl_sql_lease_undo(l, c->depth);
        break;
      }
      l = lease_new(c->conn, 1);
      if (c->done) {
        c->r.lease = l;
      } else {
        hl_sql_lease_undo(l, 0);
        hl_sql_lease_unref(l);
      }
      break;
    case HL_SQL_COMMIT:
      if (well && l->conn && l->depth == c->depth && --l->depth == 0) lease_over(l);
      break;
    case HL_SQL_READ:
    case HL_SQL_MORE:
      if (r->open && c->done) c->r.cursor = r;
      else if (c->q.kind == HL_SQL_READ || c->done) {
        if (r->open) hl_sql_cursor_end(r);
        else if (!r->ended) cursor_free(r);
      }
      break;
    case HL_SQL_LEAVE: cursor_free(r); break;
    default: break;
  }
}

static void conn_free(hl_sql_conn *conn) {
  hl_sql *db = conn->db;
  hl_sql_conn **at = &db->conns;
  while (*at != conn) at = &(*at)->next;
  *at = conn->next;
  if (conn->apart) db->n_apart--;
  else db->n_shared--;
  if (conn->wake >= 0) close(conn->wake);
  hl_free(conn);
}

static void on_done(void *arg) {
  hl_sql_call *c = arg;
  hl_sql_conn *conn = c->conn;
  hl_sql *db = c->db;
  hl_timer_stop(db->all->loop, &c->timer);
  db->all->out--;
  conn->call = NULL;
  if (c->q.kind == HL_SQL_SHUT) {
    conn_free(conn);
  } else {
    take_effect(c);
    settle_conn(conn);
  }
  run_ready(db->all);
  finish(c);
}

/* ---- starting and stopping ---- */
static void tell_to_stop(hl_sql_call *c, int why) {
  uint64_t one = 1;
  int expected = HL_SQL_GOES_ON;
  atomic_compare_exchange_strong(&c->stop, &expected, why);
  if (c->conn->wake >= 0 && write(c->conn->wake, &one, sizeof one) < 0) {} /* full: it is awake */
}

static void on_time(hl_timer *t, void *arg) {
  hl_sql_call *c = arg;
  (void)t;
  if (c->conn) {
    tell_to_stop(c, HL_SQL_TIMED_OUT);
    return;
  }
  take_out(c);
  drop_cursor(c);
  hl_sql_fail(c, HL_ETIMEOUT, "", "timeout", true, "no connection became free within %g s: transactions and db:rows loops hold them all",
              (double)c->q.timeout_ms / 1000);
  finish(c);
}

hl_sql_call *hl_sql_start(hl_sql *db, const hl_sql_request *q, void (*done)(void *arg, hl_sql_result *r), void *arg) {
  hl_sql_call *c = call_new(db, q->kind);
  c->q = *q;
  c->text = hl_strndup(q->text.p ? q->text.p : "", q->text.n);
  c->q.text = (hl_str){c->text, q->text.n};
  c->done = done;
  c->arg = arg;
  if (q->kind == HL_SQL_MORE) c->q.lease = q->cursor->lease;
  hl_sql_lease *l = c->q.lease;
  if (l) hl_sql_lease_ref(l);
  if (q->kind == HL_SQL_READ) {
    c->q.cursor = HL_NEW(hl_sql_cursor);
    c->q.cursor->page = 32;
  }
  if (l && !l->conn) {
    fail_over(c);
    return c;
  }
  if (l && q->kind == HL_SQL_BEGIN && l->depth >= DEPTH_MAX) {
    hl_sql_fail(c, HL_ELIMIT, "", "transaction", false, "%d transactions lie in one another already", DEPTH_MAX);
    fail_later(c);
    return c;
  }
  hl_timer_start(db->all->loop, &c->timer, q->timeout_ms, on_time, c);
  if (!l) {
    if (db->waiting.first || !start_on_free(c)) append(&db->waiting, c);
    if (c->in == &db->waiting) settle(db);
    return c;
  }
  c->depth = l->depth;
  if (q->kind == HL_SQL_READ) {
    hl_sql_lease_ref(l);
    c->q.cursor->lease = l;
    c->q.cursor->conn = l->conn;
    l->conn->n_cursors++;
  }
  if (l->conn->call) append(&l->conn->queue, c);
  else submit(l->conn, c);
  return c;
}

void hl_sql_cancel(hl_sql_call *c) {
  c->done = NULL;
  if (c->defer.next) return;
  if (c->conn) {
    tell_to_stop(c, HL_SQL_CANCELLED);
    return;
  }
  take_out(c);
  drop_cursor(c);
  finish(c);
}

/* ---- databases ---- */
static bool same_own(char **a, const char *const *b) {
  size_t i = 0;
  for (; a && b && a[i] && b[i]; i++)
    if (strcmp(a[i], b[i]) != 0) return false;
  return (!a || !a[i]) && (!b || !b[i]);
}

int hl_sql_open(hl_sqls *all, const hl_sql_options *o, hl_sql **out, hl_error *err) {
  const char *place = o->url ? o->url : o->path;
  const hl_sql_engine *engine = o->url ? &hl_sql_postgres : &hl_sql_sqlite;
  hl_sql *db = all->list;
  (void)err;
  while (db && !(db->engine == engine && db->read_only == o->read_only && strcmp(db->place, place) == 0 && same_own(db->own, o->own))) db = db->next;
  if (!db) {
    db = HL_NEW(hl_sql);
    *db = (hl_sql){.all = all, .next = all->list, .engine = engine, .place = hl_strdup(place), .read_only = o->read_only,
                   .most_shared = o->url ? SHARED : 1};
    queue_init(&db->waiting);
    size_t n = 0;
    while (o->own && o->own[n]) n++;
    db->own = hl_alloc((n + 1) * sizeof *db->own);
    for (size_t i = 0; i < n; i++) db->own[i] = hl_strdup(o->own[i]);
    all->list = db;
  }
  db->opened++;
  *out = db;
  return 0;
}

void hl_sql_close(hl_sql *db) {
  db->opened--;
  settle(db);
}

hl_sqls *hl_sqls_new(hl_loop *loop) {
  hl_sqls *all = HL_NEW(hl_sqls);
  int64_t threads = POOL;
  const char *said = getenv("UV_THREADPOOL_SIZE");
  if (said) (void)hl_str_int64(hl_str_of(said), &threads);
  *all = (hl_sqls){.loop = loop, .most = threads > 2 * SPARE ? (size_t)threads - SPARE : 2};
  queue_init(&all->ready);
  return all;
}

void hl_sqls_free(hl_sqls *all) {
  if (!all) return;
  all->freed = true;
  if (!all->list) hl_free(all);
}
