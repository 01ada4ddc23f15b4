/* The SQLite store. The inbox is a log: one appended row a request, under
 * ascending ids and without another index, because a unique index over random
 * keys costs six times the append. What is finished is a low-water mark, plus a
 * byte an event for rows above it that are partly done or that hold something
 * else than "ran". Only what deviates has a row of its own (parked).
 *
 * A page is 16 KiB: a body of a hundred events fills two and not eight, so a
 * commit and a checkpoint are a quarter of the system calls: 580k against 450k
 * events/s and a 99th percentile of 20 against 31 ms (4 KiB), and for one event a
 * request no slower.
 *
 * Appended pages are seldom read again, so a small page cache, whose memory is
 * used over and over, beats a large one that grows: 120k against 94k events/s.
 *
 * The counters are kept in memory beside the file and written once a
 * transaction; a rollback restores them. */
#include "store/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"

enum { PRUNE_ROWS = 200, PRUNE_BYTES = 4 << 20, PRUNE_LOOK_AT = 2000 }; /* in one transaction: receipt waits behind it */

/* ---- opening ---- */

int sql_make_folders(const char *path, hl_error *err) {
  char *copy = hl_strdup(path);
  int rc = 0;
  for (char *p = copy + 1; !rc && (p = strchr(p, '/')); p++) {
    *p = 0;
    if (mkdir(copy, 0700) && errno != EEXIST)
      rc = hl_fail(err, HL_EIO, "store %s: cannot make the folder %s: %s", path, copy, strerror(errno));
    *p = '/';
  }
  hl_free(copy);
  return rc;
}

static int read_state(hl_db *db) {
  sqlite3_stmt *st = NULL;
  hl_store_state *s = &db->state;
  int rc = sqlite3_prepare_v2(db->db, "SELECT mark,acknowledged,s0,s1,s2,s3,s4,s5,s6,s7,s8,s9,s10 FROM tally WHERE id=1", -1, &st, NULL);
  if (!rc) {
    rc = sqlite3_step(st) == SQLITE_ROW ? 0 : SQLITE_CORRUPT;
    if (!rc) {
      s->mark = sqlite3_column_int64(st, 0);
      s->counts.acknowledged = sqlite3_column_int64(st, 1);
      for (int k = 0; k < HL_ST_MAX; k++) s->counts.state[k] = sqlite3_column_int64(st, 2 + k);
    }
  }
  sqlite3_finalize(st);
  st = NULL;
  if (!rc) rc = sqlite3_prepare_v2(db->db, "SELECT value FROM meta WHERE key='hash_key'", -1, &st, NULL);
  if (!rc) {
    if (sqlite3_step(st) == SQLITE_ROW && sqlite3_column_bytes(st, 0) == HL_STORE_KEY_BYTES)
      memcpy(s->key, sqlite3_column_blob(st, 0), HL_STORE_KEY_BYTES);
    else rc = SQLITE_CORRUPT;
  }
  sqlite3_finalize(st);
  /* Ids below the mark are never given again, also when their rows are gone. */
  if (!rc) rc = sql_int(db, "SELECT max((SELECT coalesce(max(id),0) FROM log), (SELECT mark FROM tally))", &s->last_row);
  if (!rc) rc = sql_int(db, "SELECT coalesce(max(id),0) FROM parked", &s->last_parked);
  int64_t steps = 0;
  if (!rc) rc = sql_int(db, "SELECT EXISTS(SELECT 1 FROM step)", &steps);
  s->steps = steps != 0;
  return rc;
}

static int on_wal(void *arg, sqlite3 *handle, const char *name, int pages) {
  (void)handle;
  (void)name;
  hl_db *db = arg;
  db->wal_pages = pages;
  return SQLITE_OK;
}

int hl_db_open(const char *path, const unsigned char fresh_key[HL_STORE_KEY_BYTES], hl_db **out, hl_error *err) {
  hl_db *db = HL_NEW(hl_db);
  const char *doing = "cannot open";
  int64_t version = 0, application = 0, objects = 0;
  int rc = 0;
  db->path = hl_strdup(path);
  if (path) {
    size_t n = strlen(path) + sizeof "-wal";
    db->wal_path = hl_alloc(n);
    snprintf(db->wal_path, n, "%s-wal", path);
    rc = sql_make_folders(path, err);
    if (rc) goto out;
    /* Made by us first, so that the file is private from its first byte. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      rc = errno == ENOSPC || errno == EDQUOT
               ? hl_fail(err, HL_EFULL, "store %s: the disk is full", path)
               : hl_fail(err, HL_EIO, "store %s: cannot open: %s; make the file and its folder writable for this user", path, strerror(errno));
      goto out;
    }
    close(fd);
  }
  rc = sqlite3_open_v2(path ? path : ":memory:", &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
  if (!rc) {
    sqlite3_extended_result_codes(db->db, 1);
    rc = sql_exec(db, path ? "PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size=16384; PRAGMA temp_store=MEMORY"
                           : "PRAGMA page_size=4096; PRAGMA temp_store=MEMORY");
  }
  /* The first access takes the lock and finds what is no database. */
  if (!rc) rc = sql_int(db, "PRAGMA schema_version", &version);
  if (!rc && path) rc = sql_exec(db, "PRAGMA journal_mode=WAL");
  if (!rc) rc = sql_exec(db, "PRAGMA synchronous=FULL; PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=0;"
                         "PRAGMA journal_size_limit=67108864; PRAGMA trusted_schema=OFF; PRAGMA secure_delete=ON");
  if (!rc) rc = sql_exec(db, "BEGIN IMMEDIATE; COMMIT");
  if (!rc) rc = sql_int(db, "PRAGMA page_size", &db->page_bytes);
  if (!rc) rc = sql_int(db, "PRAGMA user_version", &version);
  if (!rc) rc = sql_int(db, "PRAGMA application_id", &application);
  if (!rc) rc = sql_int(db, "SELECT count(*) FROM sqlite_master", &objects);
  if (rc) goto sqlite;
  if (objects == 0) {
    doing = "cannot make the tables";
    rc = sql_create(db, fresh_key);
    if (rc) goto sqlite;
  } else if (application != SQL_APPLICATION_ID) {
    rc = hl_fail(err, HL_ECORRUPT, "store %s: this SQLite file was not made by hubloop; name another file as the store", path);
    goto out;
  } else if (version > SQL_SCHEMA_VERSION) {
    rc = hl_fail(err, HL_ECORRUPT, "store %s: it was written by a newer hubloop (schema %lld, this one knows %d); install that version",
                 path, (long long)version, SQL_SCHEMA_VERSION);
    goto out;
  } else if (version < SQL_SCHEMA_VERSION) {
    doing = "cannot bring the tables up to date";
    rc = sql_migrate(db, version);
    if (rc) goto sqlite;
  }
  doing = "cannot read";
  rc = read_state(db);
  for (int k = 0; !rc && k < ST_COUNT; k++)
    if (!sql_statement(db, (statement)k)) rc = SQLITE_CORRUPT;
  if (rc) goto sqlite;
  if (path && stat(path, &db->file) != 0) {
    rc = hl_fail(err, HL_EIO, "store %s: cannot open: %s", path, strerror(errno));
    goto out;
  }
  sqlite3_wal_hook(db->db, on_wal, db);
  *out = db;
  return 0;
sqlite:
  rc = sql_fail(db, rc, doing, err);
out:
  hl_db_close(db);
  return rc;
}

void hl_db_close(hl_db *db) {
  if (!db) return;
  sql_backup_end(db);
  for (int k = 0; k < ST_COUNT; k++) sqlite3_finalize(db->st[k]);
  sqlite3_close(db->db);
  hl_free(db->path);
  hl_free(db->wal_path);
  hl_free(db);
}

int hl_db_each_halted(hl_db *db, void (*each)(void *arg, const char *script, const char *why), void *arg, hl_error *err) {
  sqlite3_stmt *st = sql_statement(db, ST_HALTED);
  int rc;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW)
    each(arg, (const char *)sqlite3_column_text(st, 0), (const char *)sqlite3_column_text(st, 1));
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read which scripts are halted", err);
}

int hl_db_each_listened(hl_db *db, void (*each)(void *arg, const hl_listened *l), void *arg, hl_error *err) {
  sqlite3_stmt *st = sql_statement(db, ST_LISTENERS);
  int rc;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    const char *v[5];
    for (int i = 0; i < 5; i++) v[i] = (const char *)sqlite3_column_text(st, i);
    each(arg, &(hl_listened){.script = v[0], .type = v[1], .name = v[2], .account = v[3], .property = v[4]});
  }
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read who listened", err);
}

void hl_db_state(hl_db *db, hl_store_state *out) { *out = db->state; }

/* ---- applying a transaction ---- */

/* The state of an event that has left the log: what its parked rows say, first
 * pending, then waiting, orphaned, dead; without rows `base`. */
int sql_event_state(hl_db *db, int64_t row, int64_t index, hl_state base, hl_state *out) {
  sqlite3_stmt *st = sql_statement(db, ST_EVENT_STATE);
  int rc, best = 0;
  static const int rank[HL_ST_MAX] = {[HL_ST_DEAD] = 1, [HL_ST_ORPHANED] = 2, [HL_ST_WAITING] = 3, [HL_ST_PENDING] = 4};
  sqlite3_bind_int64(st, 1, row);
  sqlite3_bind_int64(st, 2, index);
  *out = base;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    int kind = sqlite3_column_int(st, 0);
    if (kind >= 0 && kind < HL_ST_MAX && rank[kind] > best) {
      best = rank[kind];
      *out = (hl_state)kind;
    }
  }
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
}

typedef struct parked_at {
  int64_t row, index;
  bool found, open;
  hl_state base, kind, before;
} parked_at;

static int find_parked(hl_db *db, int64_t id, parked_at *out) {
  sqlite3_stmt *st = sql_statement(db, ST_PARKED);
  *out = (parked_at){0};
  sqlite3_bind_int64(st, 1, id);
  int rc = sqlite3_step(st);
  if (rc == SQLITE_ROW) {
    out->found = true;
    out->row = sqlite3_column_int64(st, 0);
    out->index = sqlite3_column_int64(st, 1);
    out->open = sqlite3_column_int(st, 2) != 0;
    out->base = (hl_state)sqlite3_column_int(st, 3);
    out->kind = (hl_state)sqlite3_column_int(st, 4);
  }
  sqlite3_reset(st);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return sqlite3_extended_errcode(db->db);
  /* Delayed events are of no row: all of them would be looked at together. */
  out->before = out->base;
  return out->row ? sql_event_state(db, out->row, out->index, out->base, &out->before) : 0;
}

/* Moves the event's count after a change of its parked rows. */
static int recount(hl_db *db, const parked_at *p, hl_state base) {
  hl_state now;
  if (p->open) return 0;
  int rc = sql_event_state(db, p->row, p->index, base, &now);
  if (rc) return rc;
  db->state.counts.state[p->before]--;
  db->state.counts.state[now]++;
  return 0;
}

static int apply_append(hl_db *db, const hl_op *op) {
  hl_store_counts *c = &db->state.counts;
  sqlite3_stmt *st = sql_statement(db, ST_APPEND);
  sqlite3_bind_int64(st, 1, op->i[0]);
  sqlite3_bind_int64(st, 2, op->i[1]);
  sqlite3_bind_text64(st, 3, op->s[0].p, op->s[0].n, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_text64(st, 4, op->s[1].p, op->s[1].n, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_int64(st, 5, op->i[2]);
  sql_bind_blob(st, 6, op->s[2]);
  sql_bind_blob(st, 7, op->s[4]);
  int rc = sqlite3_step(st);
  sqlite3_reset(st);
  if (rc != SQLITE_DONE) return sqlite3_extended_errcode(db->db);
  c->acknowledged += op->i[2];
  for (int k = 0; k < HL_ST_MAX; k++) c->state[k] += op->i[3 + k];
  if (op->i[0] > db->state.last_row) db->state.last_row = op->i[0];
  if (!op->s[3].n) return 0;
  return sql_run(db, ST_PROGRESS, 2, (int64_t[]){op->i[0], 1}, 1, &op->s[3]);
}

static int apply_leave(hl_db *db, const hl_op *op) {
  hl_state now;
  int rc = sql_run(db, ST_PARTIAL_DEL, 2, op->i, 0, NULL);
  if (!rc) rc = sql_run(db, ST_LEAVE, 3, op->i, 0, NULL);
  if (!rc) rc = sql_event_state(db, op->i[0], op->i[1], (hl_state)op->i[2], &now);
  if (rc) return rc;
  db->state.counts.state[HL_ST_PENDING]--;
  db->state.counts.state[now]++;
  return 0;
}

static int apply_park(hl_db *db, const hl_op *op) {
  /* id,row,idx,kind,open | received,due,attempts,failed,occurred | texts: one flat list for `run`. */
  int rc = sql_run(db, ST_PARK, 10, op->i, 7, op->s);
  if (rc) return rc;
  if (op->i[3] == HL_ST_DELAYED) {
    db->state.counts.acknowledged++;
    db->state.counts.state[HL_ST_WAITING]++;
  }
  if (op->i[0] > db->state.last_parked) db->state.last_parked = op->i[0];
  return 0;
}

static int apply_repark(hl_db *db, const hl_op *op) {
  parked_at p;
  int rc = find_parked(db, op->i[0], &p);
  if (rc || !p.found) return rc;
  rc = sql_run(db, ST_REPARK, 4, op->i, 1, op->s);
  return rc ? rc : recount(db, &p, p.base);
}

static int apply_retry(hl_db *db, const hl_op *op) {
  parked_at p;
  int rc = find_parked(db, op->i[0], &p);
  if (rc || !p.found) return rc;
  rc = sql_run(db, ST_RETRY, 2, op->i, 0, NULL);
  return rc ? rc : recount(db, &p, p.base);
}

static int apply_repark_all(hl_db *db, const hl_op *op) {
  sqlite3_stmt *st = sql_statement(db, ST_OF_HANDLER);
  int64_t *ids = NULL;
  size_t n = 0, cap = 0;
  int rc;
  sqlite3_bind_text64(st, 1, op->s[0].p, op->s[0].n, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_int64(st, 2, op->i[0]);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (n == cap) ids = hl_realloc(ids, (cap = cap ? 2 * cap : 64) * sizeof *ids);
    ids[n++] = sqlite3_column_int64(st, 0);
  }
  sqlite3_reset(st);
  rc = rc == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
  for (size_t i = 0; i < n && !rc; i++) {
    parked_at p;
    rc = find_parked(db, ids[i], &p);
    if (!rc) rc = sql_run(db, ST_REPARK_KIND, 2, (int64_t[]){ids[i], op->i[1]}, 0, NULL);
    if (!rc) rc = recount(db, &p, p.base);
  }
  hl_free(ids);
  return rc;
}

static int apply_unpark(hl_db *db, const hl_op *op) {
  parked_at p;
  int rc = find_parked(db, op->i[0], &p);
  if (rc || !p.found) return rc;
  rc = sql_run(db, ST_UNPARK, 1, op->i, 0, NULL);
  if (!rc) rc = sql_run(db, ST_WAIT_DEL, 1, op->i, 0, NULL);
  /* Of several handlers, one that ran outweighs those that filtered; an event
   * parked straight at receipt has nothing but this handler. */
  hl_state base = p.base == HL_ST_RAN ? HL_ST_RAN : (hl_state)op->i[1];
  if (!rc && base != p.base && !p.open)
    rc = sql_run(db, ST_BASE, 3, (int64_t[]){p.row, p.index, base}, 0, NULL);
  return rc ? rc : recount(db, &p, base);
}

static int apply_release(hl_db *db, const hl_op *op) {
  parked_at p;
  int rc = find_parked(db, op->i[0], &p);
  if (rc || !p.found) return rc;
  rc = sql_run(db, ST_UNPARK, 1, op->i, 0, NULL);
  if (rc) return rc;
  db->state.counts.acknowledged--;
  db->state.counts.state[HL_ST_WAITING]--;
  return 0;
}

static int apply_kv(hl_db *db, const hl_op *op) {
  sqlite3_stmt *st = sql_statement(db, op->s[3].p ? ST_KV_SET : ST_KV_DEL);
  sqlite3_bind_text64(st, 1, op->s[0].p, op->s[0].n, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_text64(st, 2, op->s[1].p, op->s[1].n, SQLITE_STATIC, SQLITE_UTF8);
  sql_bind_blob(st, 3, op->s[2]);
  if (op->s[3].p) {
    sql_bind_blob(st, 4, op->s[3]);
    sqlite3_bind_int64(st, 5, op->i[0]);
  }
  int rc = sqlite3_step(st);
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
}

static int apply(hl_db *db, const hl_op *op) {
  hl_store_counts *c = &db->state.counts;
  switch (op->kind) {
    case OP_APPEND: return apply_append(db, op);
    case OP_DUPLICATES:
      c->acknowledged += op->i[0];
      c->state[HL_ST_DUPLICATE] += op->i[0];
      return 0;
    case OP_COUNT:
      c->state[HL_ST_PENDING] -= op->i[1];
      c->state[op->i[0]] += op->i[1];
      return 0;
    case OP_PROGRESS: return sql_run(db, ST_PROGRESS, 2, op->i, 1, op->s);
    case OP_MARK:
      db->state.mark = op->i[1];
      return sql_run(db, ST_MARK, 2, op->i, 0, NULL);
    case OP_PARTIAL: {
      sqlite3_stmt *st = sql_statement(db, ST_PARTIAL);
      sqlite3_bind_int64(st, 1, op->i[0]);
      sqlite3_bind_int64(st, 2, op->i[1]);
      sqlite3_bind_text64(st, 3, op->s[0].p, op->s[0].n, SQLITE_STATIC, SQLITE_UTF8);
      sqlite3_bind_int64(st, 4, op->i[2]);
      int rc = sqlite3_step(st);
      sqlite3_reset(st);
      return rc == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
    }
    case OP_LEAVE: return apply_leave(db, op);
    case OP_PARK: return apply_park(db, op);
    case OP_REPARK: return apply_repark(db, op);
    case OP_LANE: return sql_apply_lane(db, op);
    case OP_STARTED: return sql_apply_started(db, op);
    case OP_RETRY: return apply_retry(db, op);
    case OP_REPARK_ALL: return apply_repark_all(db, op);
    case OP_UNPARK: return apply_unpark(db, op);
    case OP_RELEASE: return apply_release(db, op);
    case OP_STEP: return sql_apply_step(db, op);
    case OP_STEP_FORGET: return sql_apply_step_forget(db, op);
    case OP_STEPS_SETTLE: return sql_apply_steps_settle(db, op);
    case OP_STEPS_DROP: return sql_apply_steps_drop(db, op);
    case OP_WAIT: return sql_apply_wait(db, op);
    case OP_WAIT_ON: return sql_run(db, ST_WAIT_ON, 2, op->i, 0, NULL);
    case OP_WAIT_ARRIVED: return sql_apply_wait_arrived(db, op);
    case OP_WAIT_MET: return sql_apply_wait_met(db, op);
    case OP_WAIT_LOOKED: return sql_run(db, ST_WAIT_LOOKED, 3, op->i, 0, NULL);
    case OP_WAIT_OVER: return sql_apply_wait_over(db, op);
    case OP_KV: return apply_kv(db, op);
    case OP_DEBOUNCE: return sql_apply_debounce(db, op);
    case OP_DEBOUNCE_DROP: return sql_run(db, ST_DEBOUNCE_DROP, 1, op->i, 0, NULL);
    case OP_OWN: return sql_apply_own(db, op);
    case OP_OWN_DROP: return sql_run(db, ST_OWN_DROP, 1, op->i, 0, NULL);
    case OP_OWN_UPTO: return sql_run(db, ST_OWN_UPTO, 1, op->i, 0, NULL);
    case OP_LOG_BODY:
    case OP_PARKED_ERROR:
    case OP_STEP_TEXT:
    case OP_AUDIT_TEXT:
    case OP_DROP_DELAYED: return sql_apply_trace(db, op);
    case OP_LISTENER: return sql_run(db, ST_LISTENER, 0, NULL, 5, op->s);
    case OP_HALTED: return op->s[1].p ? sql_run(db, ST_HALT, 0, NULL, 2, op->s) : sql_run(db, ST_HALT_DROP, 0, NULL, 1, op->s);
    case OP_LISTENERS_DROP: return sql_run(db, ST_LISTENERS_DROP, 0, NULL, 1, op->s);
    case OP_PLACE: return sql_run(db, ST_PLACE_SET, 0, NULL, 2, op->s);
    case OP_AUDIT: return sql_run(db, ST_AUDIT, 1, op->i, 5, op->s);
    case OP_FIRED: {
      sqlite3_stmt *st = sql_statement(db, ST_FIRED);
      sqlite3_bind_text64(st, 1, op->s[0].p, op->s[0].n, SQLITE_STATIC, SQLITE_UTF8);
      sqlite3_bind_int64(st, 2, op->i[0]);
      int rc = sqlite3_step(st);
      sqlite3_reset(st);
      return rc == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
    }
  }
  return SQLITE_MISUSE;
}

static int save_tally(hl_db *db) {
  int64_t v[2 + HL_ST_MAX] = {db->state.mark, db->state.counts.acknowledged};
  memcpy(v + 2, db->state.counts.state, sizeof db->state.counts.state);
  return sql_run(db, ST_TALLY, HL_COUNT(v), v, 0, NULL);
}

static bool same_file(const char *path, const struct stat *was) {
  struct stat st;
  return stat(path, &st) == 0 && st.st_dev == was->st_dev && st.st_ino == was->st_ino;
}

/* What is written to a file that has lost its name is gone with this process,
 * and SQLite does not look. */
static int still_there(hl_db *db, hl_error *err) {
  if (!db->path) return 0;
  if (!db->wal.st_ino && stat(db->wal_path, &db->wal) != 0) db->wal.st_ino = 0;
  const char *gone = !same_file(db->path, &db->file)                            ? db->path
                     : db->wal.st_ino && !same_file(db->wal_path, &db->wal) ? db->wal_path
                                                                              : NULL;
  if (!gone) return 0;
  return hl_fail(err, HL_EIO, "store %s: the file was removed or replaced while in use; move it back, or restart to go on with what is there now", gone);
}

int hl_db_apply(hl_db *db, const hl_tx *tx, hl_error *err) {
  if (still_there(db, err)) return HL_EIO;
  hl_store_state before = db->state;
  const char *doing = "cannot write";
  int rc = sql_run(db, ST_BEGIN, 0, NULL, 0, NULL);
  for (const hl_op *op = tx->first; op && !rc; op = op->next) rc = apply(db, op);
  if (!rc) rc = save_tally(db);
  if (!rc) {
    doing = "cannot commit";
    rc = sql_run(db, ST_COMMIT, 0, NULL, 0, NULL);
  }
  if (!rc) return 0;
  int code = sql_fail(db, rc, doing, err);
  if (!sqlite3_get_autocommit(db->db)) sql_run(db, ST_ROLLBACK, 0, NULL, 0, NULL);
  db->state = before;
  return code;
}

int hl_db_reconcile(hl_db *db, hl_state (*fate)(void *arg, const char *handler), void *arg, hl_error *err) {
  hl_tx *tx = hl_tx_new();
  sqlite3_stmt *st = sql_statement(db, ST_HANDLERS);
  int rc;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(st, 0);
    hl_state to = fate(arg, name);
    if (to == HL_ST_WAITING) hl_tx_repark_all(tx, name, HL_ST_ORPHANED, to);
    else hl_tx_repark_all(tx, name, HL_ST_WAITING, to);
    if (to != HL_ST_PENDING) hl_tx_repark_all(tx, name, HL_ST_PENDING, to);
  }
  sqlite3_reset(st);
  rc = rc == SQLITE_DONE ? 0 : sql_fail(db, rc, "cannot read parked rows", err);
  if (!rc && !hl_tx_empty(tx)) rc = hl_db_apply(db, tx, err);
  hl_tx_free(tx);
  return rc;
}

/* ---- housekeeping ---- */

int64_t hl_db_wal_bytes(const hl_db *db) { return db->wal_pages * db->page_bytes; }

void hl_db_checkpoint(hl_db *db) {
  int left = 0, moved = 0;
  int rc = sqlite3_wal_checkpoint_v2(db->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &left, &moved);
  if (!rc) db->wal_pages = left - moved > 0 ? left - moved : 0;
}

/* Finished rows received before `before`, behind `after`: as many as a slice takes. */
int sql_prune(hl_db *db, int64_t before, int64_t after, bool dry_run, hl_pruned *out) {
  struct { int64_t id, n; } old[PRUNE_ROWS];
  sqlite3_stmt *st = sql_statement(db, ST_OLDEST);
  size_t n = 0, looked_at = 0;
  int64_t bytes = 0;
  int rc;
  *out = (hl_pruned){.after = after, .upto = db->state.mark};
  sqlite3_bind_int64(st, 1, after);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    int64_t id = sqlite3_column_int64(st, 0);
    if (sqlite3_column_int64(st, 1) >= before || id > db->state.mark) break;
    out->more = true;
    if (n == PRUNE_ROWS || bytes > PRUNE_BYTES || looked_at++ == PRUNE_LOOK_AT) break;
    out->more = false;
    out->after = id;
    if (sqlite3_column_int(st, 4)) continue; /* it has parked rows */
    bytes += sqlite3_column_int64(st, 3);
    old[n].id = id;
    old[n++].n = sqlite3_column_int64(st, 2);
  }
  sqlite3_reset(st);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return rc;
  rc = n && !dry_run ? sql_run(db, ST_BEGIN, 0, NULL, 0, NULL) : 0;
  for (size_t k = 0; k < n && !rc; k++) {
    out->rows++;
    out->events += old[k].n;
    if (dry_run) continue;
    rc = sql_run(db, ST_FORGET, 1, &old[k].id, 0, NULL);
    if (!rc) rc = sql_run(db, ST_FORGET_PROGRESS, 1, &old[k].id, 0, NULL);
  }
  if (n && !dry_run && !rc) rc = sql_run(db, ST_COMMIT, 0, NULL, 0, NULL);
  if (rc && !sqlite3_get_autocommit(db->db)) sql_run(db, ST_ROLLBACK, 0, NULL, 0, NULL);
  return rc;
}

/* As many rows as a slice takes, older than `before`; true when there may be more. */
static bool expire(hl_db *db, statement st, int64_t before) {
  int64_t i[2] = {before, PRUNE_ROWS};
  return sql_run(db, st, 2, i, 0, NULL) == 0 && sqlite3_changes(db->db) == PRUNE_ROWS;
}

bool hl_db_expire(hl_db *db, int64_t events, int64_t audits, int64_t now) {
  hl_pruned pruned;
  bool keys = expire(db, ST_KV_EXPIRE, now), records = expire(db, ST_AUDIT_EXPIRE, audits);
  bool rows = sql_prune(db, events, db->expire_after, false, &pruned) == 0 && pruned.more;
  db->expire_after = rows ? pruned.after : 0;
  return keys || records || rows;
}
