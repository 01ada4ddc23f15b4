/* The SQLite store. The inbox is a log: one appended row a request, under
 * ascending ids and without another index, because a unique index over random
 * keys costs six times the append. What is finished is a low-water mark, plus a
 * byte an event for rows above it that are partly done or that hold something
 * else than "ran". Only what deviates has a row of its own (parked).
 *
 * Appended pages are seldom read again, so a small page cache, whose memory is
 * used over and over, beats a large one that grows: 120k against 94k events/s.
 *
 * The counters are kept in memory beside the file and written once a
 * transaction; a rollback restores them. */
#include "store/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { SCHEMA_VERSION = 2, APPLICATION_ID = 0x6875626c };

static const char *const SCHEMA =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE tally(id INTEGER PRIMARY KEY, mark INTEGER, acknowledged INTEGER, s0 INTEGER, s1 INTEGER,"
    " s2 INTEGER, s3 INTEGER, s4 INTEGER, s5 INTEGER, s6 INTEGER, s7 INTEGER);"
    "INSERT INTO tally VALUES(1,0,0,0,0,0,0,0,0,0,0);"
    "CREATE TABLE log(id INTEGER PRIMARY KEY, received INTEGER NOT NULL, source TEXT NOT NULL,"
    " account TEXT NOT NULL, n INTEGER NOT NULL, hashes BLOB, body BLOB NOT NULL);"
    "CREATE TABLE progress(row INTEGER PRIMARY KEY, keep INTEGER NOT NULL, states BLOB NOT NULL);"
    "CREATE TABLE partial(row INTEGER, idx INTEGER, handler TEXT, state INTEGER NOT NULL,"
    " PRIMARY KEY(row, idx, handler)) WITHOUT ROWID;"
    "CREATE TABLE parked(id INTEGER PRIMARY KEY, row INTEGER NOT NULL, idx INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, open INTEGER NOT NULL, base INTEGER NOT NULL, handler TEXT, type TEXT, source TEXT,"
    " account TEXT, received INTEGER, due INTEGER, attempts INTEGER, event BLOB, error TEXT,"
    " failed INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX parked_event ON parked(row, idx);"
    "CREATE INDEX parked_due ON parked(due) WHERE kind IN (4, 20);"
    "CREATE TABLE kv(script TEXT, account TEXT, key BLOB, value BLOB NOT NULL, expires INTEGER NOT NULL,"
    " PRIMARY KEY(script, account, key)) WITHOUT ROWID;"
    "CREATE INDEX kv_expires ON kv(expires) WHERE expires > 0;"
    "CREATE TABLE audit(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, script TEXT, account TEXT, kind TEXT, key TEXT,"
    " json TEXT);"
    "CREATE INDEX audit_key ON audit(kind, key);"
    "CREATE TABLE schedule(name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;";

#define STATEMENTS(X)                                                                                      \
  X(BEGIN, "BEGIN IMMEDIATE")                                                                              \
  X(COMMIT, "COMMIT")                                                                                      \
  X(ROLLBACK, "ROLLBACK")                                                                                  \
  X(TALLY, "UPDATE tally SET mark=?1, acknowledged=?2, s0=?3, s1=?4, s2=?5, s3=?6, s4=?7, s5=?8, s6=?9, s7=?10") \
  X(APPEND, "INSERT INTO log(id,received,source,account,n,hashes,body) VALUES(?,?,?,?,?,?,?)")             \
  X(PROGRESS, "INSERT INTO progress(row,keep,states) VALUES(?1,?2,?3)"                                     \
              " ON CONFLICT(row) DO UPDATE SET keep=excluded.keep, states=excluded.states")                \
  X(MARK, "DELETE FROM progress WHERE row>?1 AND row<=?2 AND keep=0")                                      \
  X(PARTIAL, "INSERT OR REPLACE INTO partial(row,idx,handler,state) VALUES(?,?,?,?)")                      \
  X(PARTIAL_DEL, "DELETE FROM partial WHERE row=?1 AND idx=?2")                                            \
  X(LEAVE, "UPDATE parked SET open=0, base=?3 WHERE row=?1 AND idx=?2")                                    \
  X(EVENT_STATE, "SELECT kind, base FROM parked WHERE row=?1 AND idx=?2")                                  \
  X(PARK, "INSERT INTO parked(id,row,idx,kind,open,base,received,due,attempts,failed,handler,type,source,account,event,error)" \
          " VALUES(?1,?2,?3,?4,?5,5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)")                                 \
  X(PARKED, "SELECT row, idx, open, base, kind FROM parked WHERE id=?1")                                   \
  X(REPARK, "UPDATE parked SET kind=?2, attempts=?3, due=?4, error=?5 WHERE id=?1")                        \
  X(UNPARK, "DELETE FROM parked WHERE id=?1")                                                              \
  X(BASE, "UPDATE parked SET base=?3 WHERE row=?1 AND idx=?2")                                             \
  X(KV_SET, "INSERT INTO kv(script,account,key,value,expires) VALUES(?1,?2,?3,?4,?5)"                      \
            " ON CONFLICT DO UPDATE SET value=excluded.value, expires=excluded.expires")                   \
  X(KV_DEL, "DELETE FROM kv WHERE script=?1 AND account=?2 AND key=?3")                                    \
  X(KV_GET, "SELECT value, expires FROM kv WHERE script=?1 AND account=?2 AND key=?3")                     \
  X(KV_LIST, "SELECT key FROM kv WHERE script=?1 AND account=?2 AND key>=?3 AND key<?6"                    \
             " AND (expires=0 OR expires>?4) ORDER BY key LIMIT ?5")                                       \
  X(KV_EXPIRE, "DELETE FROM kv WHERE (script,account,key) IN"                                              \
               " (SELECT script,account,key FROM kv WHERE expires>0 AND expires<=?1 LIMIT 200)")           \
  X(AUDIT, "INSERT INTO audit(at,script,account,kind,key,json) VALUES(?,?,?,?,?,?)")                       \
  X(AUDITS, "SELECT at,script,account,kind,key,json FROM audit WHERE kind=?1 AND key=?2 ORDER BY id DESC LIMIT ?3") \
  X(FIRED, "INSERT INTO schedule(name,last) VALUES(?1,?2) ON CONFLICT DO UPDATE SET last=excluded.last")   \
  X(SCHEDULES, "SELECT name,last FROM schedule ORDER BY name")                                             \
  X(HASHES, "SELECT id,received,hashes FROM log WHERE id>?1 AND id<=?2 AND received>=?3 ORDER BY id")      \
  X(NEXT_ROW, "SELECT received FROM log WHERE id>?1 ORDER BY id LIMIT 1")                                  \
  X(READ_LOG, "SELECT l.id,l.received,l.source,l.account,l.n,l.hashes,p.states,l.body"                     \
              " FROM log l LEFT JOIN progress p ON p.row=l.id WHERE l.id>?1 AND l.id<=?2 ORDER BY l.id")   \
  X(READ_PARTIAL, "SELECT row,idx,handler,state FROM partial WHERE row>?1 AND row<=?2")                    \
  X(READ_DUE, "SELECT id,row,idx,kind,open,received,due,attempts,handler,type,source,account,event FROM parked" \
              " WHERE kind IN (4, 20) ORDER BY due, id LIMIT ?1")                                          \
  X(READ_HELD, "SELECT id,row,idx,kind,open,received,due,attempts,handler,type,source,account,event,failed FROM parked" \
               " WHERE kind IN (4, 20) AND kind=4 AND due>?1 AND due<=?2 AND failed>?1 AND due-failed<=?3"  \
               " ORDER BY failed, id")                                                                     \
  X(HANDLERS, "SELECT DISTINCT handler FROM parked WHERE kind IN (4, 7)")                                  \
  X(OF_HANDLER, "SELECT id FROM parked WHERE handler=?1 AND kind=?2")                                      \
  X(OLDEST, "SELECT id,received FROM log WHERE id>?1 ORDER BY id LIMIT 200")                               \
  X(FORGET, "DELETE FROM log WHERE id=?1 AND NOT EXISTS(SELECT 1 FROM parked WHERE row=?1)")               \
  X(FORGET_PROGRESS, "DELETE FROM progress WHERE row=?1 AND NOT EXISTS(SELECT 1 FROM log WHERE id=?1)")

typedef enum statement {
#define X(name, sql) ST_##name,
  STATEMENTS(X)
#undef X
  ST_COUNT
} statement;

static const char *const SQL[ST_COUNT] = {
#define X(name, sql) [ST_##name] = sql,
    STATEMENTS(X)
#undef X
};

struct hl_db {
  sqlite3 *db;
  sqlite3_stmt *st[ST_COUNT];
  char *path, *wal_path;
  struct stat file, wal;   /* which files these were; wal.st_ino 0: not known yet */
  hl_store_state state;
  int wal_pages;
  int64_t expire_after;    /* where the walk over old rows goes on */
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

static int fail(hl_db *db, int rc, const char *what, hl_error *err) {
  const char *why = db->db ? sqlite3_errmsg(db->db) : sqlite3_errstr(rc);
  int os = db->db ? sqlite3_system_errno(db->db) : 0;
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

static sqlite3_stmt *statement_of(hl_db *db, statement id) {
  if (!db->st[id]) {
    int rc = sqlite3_prepare_v3(db->db, SQL[id], -1, SQLITE_PREPARE_PERSISTENT, &db->st[id], NULL);
    if (rc) db->st[id] = NULL;
  }
  return db->st[id];
}

/* Runs a statement that answers no rows. `ints` are bound first, texts after. */
static int run(hl_db *db, statement id, size_t n_ints, const int64_t *ints, size_t n_texts, const hl_str *texts) {
  sqlite3_stmt *st = statement_of(db, id);
  if (!st) return sqlite3_errcode(db->db);
  for (size_t k = 0; k < n_ints; k++) sqlite3_bind_int64(st, (int)k + 1, ints[k]);
  for (size_t k = 0; k < n_texts; k++) {
    int at = (int)(n_ints + k) + 1;
    if (texts[k].p) sqlite3_bind_text64(st, at, texts[k].p, texts[k].n, SQLITE_STATIC, SQLITE_UTF8);
    else sqlite3_bind_null(st, at);
  }
  int rc = sqlite3_step(st);
  sqlite3_reset(st);
  return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : sqlite3_extended_errcode(db->db);
}

static hl_str blob_column(sqlite3_stmt *st, int i) {
  const void *p = sqlite3_column_blob(st, i);
  return (hl_str){p, (size_t)sqlite3_column_bytes(st, i)};
}

static hl_str column_copy(hl_bag *bag, sqlite3_stmt *st, int i) {
  hl_str s = blob_column(st, i);
  return hl_bag_copy(bag, s.p, s.n);
}

static void bind_blob(sqlite3_stmt *st, int at, hl_str s) {
  if (s.p) sqlite3_bind_blob64(st, at, s.p, s.n, SQLITE_STATIC);
  else sqlite3_bind_null(st, at);
}

/* ---- opening ---- */

static int exec(hl_db *db, const char *sql) {
  int rc = sqlite3_exec(db->db, sql, NULL, NULL, NULL);
  return rc ? sqlite3_extended_errcode(db->db) : 0;
}

static int pragma_int(hl_db *db, const char *sql, int64_t *out) {
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

/* Creates the folders of `path` that are missing. */
static int make_folders(const char *path, hl_error *err) {
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
  int rc = sqlite3_prepare_v2(db->db, "SELECT mark,acknowledged,s0,s1,s2,s3,s4,s5,s6,s7 FROM tally WHERE id=1", -1, &st, NULL);
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
  if (!rc) rc = pragma_int(db, "SELECT max((SELECT coalesce(max(id),0) FROM log), (SELECT mark FROM tally))", &s->last_row);
  if (!rc) rc = pragma_int(db, "SELECT coalesce(max(id),0) FROM parked", &s->last_parked);
  return rc;
}

static int create(hl_db *db, const unsigned char *key) {
  sqlite3_stmt *st = NULL;
  char stamp[96];
  snprintf(stamp, sizeof stamp, "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID, SCHEMA_VERSION);
  int rc = exec(db, "BEGIN IMMEDIATE");
  if (!rc) rc = exec(db, SCHEMA);
  if (!rc) rc = sqlite3_prepare_v2(db->db, "INSERT INTO meta(key,value) VALUES('hash_key',?)", -1, &st, NULL);
  if (!rc) {
    bind_blob(st, 1, (hl_str){(const char *)key, HL_STORE_KEY_BYTES});
    rc = sqlite3_step(st) == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
  }
  sqlite3_finalize(st);
  if (!rc) rc = exec(db, stamp);
  if (!rc) rc = exec(db, "COMMIT");
  return rc;
}

/* From the schema of an earlier version, in place; all of it or nothing. */
static int migrate(hl_db *db, int64_t version) {
  char stamp[64];
  int rc = exec(db, "BEGIN IMMEDIATE");
  if (!rc && version < 2) rc = exec(db, "ALTER TABLE parked ADD COLUMN failed INTEGER NOT NULL DEFAULT 0");
  snprintf(stamp, sizeof stamp, "PRAGMA user_version=%d", SCHEMA_VERSION);
  if (!rc) rc = exec(db, stamp);
  if (!rc) rc = exec(db, "COMMIT");
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
    rc = make_folders(path, err);
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
    rc = exec(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size=4096; PRAGMA temp_store=MEMORY");
  }
  /* The first access takes the lock and finds what is no database. */
  if (!rc) rc = pragma_int(db, "PRAGMA schema_version", &version);
  if (!rc && path) rc = exec(db, "PRAGMA journal_mode=WAL");
  if (!rc) rc = exec(db, "PRAGMA synchronous=FULL; PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=0;"
                         "PRAGMA journal_size_limit=67108864; PRAGMA trusted_schema=OFF");
  if (!rc) rc = exec(db, "BEGIN IMMEDIATE; COMMIT");
  if (!rc) rc = pragma_int(db, "PRAGMA user_version", &version);
  if (!rc) rc = pragma_int(db, "PRAGMA application_id", &application);
  if (!rc) rc = pragma_int(db, "SELECT count(*) FROM sqlite_master", &objects);
  if (rc) goto sqlite;
  if (objects == 0) {
    doing = "cannot make the tables";
    rc = create(db, fresh_key);
    if (rc) goto sqlite;
  } else if (application != APPLICATION_ID) {
    rc = hl_fail(err, HL_ECORRUPT, "store %s: this SQLite file was not made by hubloop; name another file as the store", path);
    goto out;
  } else if (version > SCHEMA_VERSION) {
    rc = hl_fail(err, HL_ECORRUPT, "store %s: it was written by a newer hubloop (schema %lld, this one knows %d); install that version",
                 path, (long long)version, SCHEMA_VERSION);
    goto out;
  } else if (version < SCHEMA_VERSION) {
    doing = "cannot bring the tables up to date";
    rc = migrate(db, version);
    if (rc) goto sqlite;
  }
  doing = "cannot read";
  rc = read_state(db);
  for (int k = 0; !rc && k < ST_COUNT; k++)
    if (!statement_of(db, (statement)k)) rc = SQLITE_CORRUPT;
  if (rc) goto sqlite;
  if (path && stat(path, &db->file) != 0) {
    rc = hl_fail(err, HL_EIO, "store %s: cannot open: %s", path, strerror(errno));
    goto out;
  }
  sqlite3_wal_hook(db->db, on_wal, db);
  *out = db;
  return 0;
sqlite:
  rc = fail(db, rc, doing, err);
out:
  hl_db_close(db);
  return rc;
}

void hl_db_close(hl_db *db) {
  if (!db) return;
  for (int k = 0; k < ST_COUNT; k++) sqlite3_finalize(db->st[k]);
  sqlite3_close(db->db);
  hl_free(db->path);
  hl_free(db->wal_path);
  hl_free(db);
}

void hl_db_state(hl_db *db, hl_store_state *out) { *out = db->state; }

/* ---- applying a transaction ---- */

/* The state of an event that has left the log: what its parked rows say, worst
 * first wait, then orphaned, then dead; without rows `base`. */
static int event_state(hl_db *db, int64_t row, int64_t index, hl_state base, hl_state *out) {
  sqlite3_stmt *st = statement_of(db, ST_EVENT_STATE);
  int rc, best = 0;
  static const int rank[HL_ST_MAX] = {[HL_ST_DEAD] = 1, [HL_ST_ORPHANED] = 2, [HL_ST_WAITING] = 3};
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
  sqlite3_stmt *st = statement_of(db, ST_PARKED);
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
  return out->found ? event_state(db, out->row, out->index, out->base, &out->before) : 0;
}

/* Moves the event's count after a change of its parked rows. */
static int recount(hl_db *db, const parked_at *p, hl_state base) {
  hl_state now;
  if (p->open) return 0;
  int rc = event_state(db, p->row, p->index, base, &now);
  if (rc) return rc;
  db->state.counts.state[p->before]--;
  db->state.counts.state[now]++;
  return 0;
}

static int apply_append(hl_db *db, const hl_op *op) {
  hl_store_counts *c = &db->state.counts;
  sqlite3_stmt *st = statement_of(db, ST_APPEND);
  sqlite3_bind_int64(st, 1, op->i[0]);
  sqlite3_bind_int64(st, 2, op->i[1]);
  sqlite3_bind_text64(st, 3, op->s[0].p, op->s[0].n, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_text64(st, 4, op->s[1].p, op->s[1].n, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_int64(st, 5, op->i[2]);
  bind_blob(st, 6, op->s[2]);
  bind_blob(st, 7, op->s[4]);
  int rc = sqlite3_step(st);
  sqlite3_reset(st);
  if (rc != SQLITE_DONE) return sqlite3_extended_errcode(db->db);
  c->acknowledged += op->i[2];
  for (int k = 0; k < HL_ST_MAX; k++) c->state[k] += op->i[3 + k];
  if (op->i[0] > db->state.last_row) db->state.last_row = op->i[0];
  if (!op->s[3].n) return 0;
  return run(db, ST_PROGRESS, 2, (int64_t[]){op->i[0], 1}, 1, &op->s[3]);
}

static int apply_leave(hl_db *db, const hl_op *op) {
  hl_state now;
  int rc = run(db, ST_PARTIAL_DEL, 2, op->i, 0, NULL);
  if (!rc) rc = run(db, ST_LEAVE, 3, op->i, 0, NULL);
  if (!rc) rc = event_state(db, op->i[0], op->i[1], (hl_state)op->i[2], &now);
  if (rc) return rc;
  db->state.counts.state[HL_ST_PENDING]--;
  db->state.counts.state[now]++;
  return 0;
}

static int apply_park(hl_db *db, const hl_op *op) {
  /* id,row,idx,kind,open | received,due,attempts,failed | texts: one flat list for `run`. */
  int rc = run(db, ST_PARK, 9, op->i, 6, op->s);
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
  rc = run(db, ST_REPARK, 4, op->i, 1, op->s);
  return rc ? rc : recount(db, &p, p.base);
}

static int apply_unpark(hl_db *db, const hl_op *op) {
  parked_at p;
  int rc = find_parked(db, op->i[0], &p);
  if (rc || !p.found) return rc;
  rc = run(db, ST_UNPARK, 1, op->i, 0, NULL);
  /* Of several handlers, one that ran outweighs those that filtered; an event
   * parked straight at receipt has nothing but this handler. */
  hl_state base = p.base == HL_ST_RAN ? HL_ST_RAN : (hl_state)op->i[1];
  if (!rc && base != p.base && !p.open)
    rc = run(db, ST_BASE, 3, (int64_t[]){p.row, p.index, base}, 0, NULL);
  return rc ? rc : recount(db, &p, base);
}

static int apply_release(hl_db *db, const hl_op *op) {
  parked_at p;
  int rc = find_parked(db, op->i[0], &p);
  if (rc || !p.found) return rc;
  rc = run(db, ST_UNPARK, 1, op->i, 0, NULL);
  if (rc) return rc;
  db->state.counts.acknowledged--;
  db->state.counts.state[HL_ST_WAITING]--;
  return 0;
}

static int apply_kv(hl_db *db, const hl_op *op) {
  sqlite3_stmt *st = statement_of(db, op->s[3].p ? ST_KV_SET : ST_KV_DEL);
  sqlite3_bind_text64(st, 1, op->s[0].p, op->s[0].n, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_text64(st, 2, op->s[1].p, op->s[1].n, SQLITE_STATIC, SQLITE_UTF8);
  bind_blob(st, 3, op->s[2]);
  if (op->s[3].p) {
    bind_blob(st, 4, op->s[3]);
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
    case OP_PROGRESS: return run(db, ST_PROGRESS, 2, op->i, 1, op->s);
    case OP_MARK:
      db->state.mark = op->i[1];
      return run(db, ST_MARK, 2, op->i, 0, NULL);
    case OP_PARTIAL: {
      sqlite3_stmt *st = statement_of(db, ST_PARTIAL);
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
    case OP_UNPARK: return apply_unpark(db, op);
    case OP_RELEASE: return apply_release(db, op);
    case OP_KV: return apply_kv(db, op);
    case OP_AUDIT: return run(db, ST_AUDIT, 1, op->i, 5, op->s);
    case OP_FIRED: {
      sqlite3_stmt *st = statement_of(db, ST_FIRED);
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
  return run(db, ST_TALLY, HL_COUNT(v), v, 0, NULL);
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
  int rc = run(db, ST_BEGIN, 0, NULL, 0, NULL);
  for (const hl_op *op = tx->first; op && !rc; op = op->next) rc = apply(db, op);
  if (!rc) rc = save_tally(db);
  if (!rc) {
    doing = "cannot commit";
    rc = run(db, ST_COMMIT, 0, NULL, 0, NULL);
  }
  if (!rc) return 0;
  int code = fail(db, rc, doing, err);
  if (!sqlite3_get_autocommit(db->db)) run(db, ST_ROLLBACK, 0, NULL, 0, NULL);
  db->state = before;
  return code;
}

/* ---- reading ---- */

/* The last id after `lo` behind which every row was received since `since`, give or
 * take the steps of a wall clock: so the log is not walked from its beginning. */
static int64_t skip_older(hl_db *db, int64_t lo, int64_t hi, int64_t since) {
  static const int64_t SLACK_MS = 60 * 60 * 1000;
  sqlite3_stmt *st = statement_of(db, ST_NEXT_ROW);
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
  sqlite3_stmt *st = statement_of(db, ST_HASHES);
  int rc;
  sqlite3_bind_int64(st, 1, skip_older(db, after, upto, since));
  sqlite3_bind_int64(st, 2, upto);
  sqlite3_bind_int64(st, 3, since);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) each(arg, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), blob_column(st, 2));
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot read the log", err);
}

int hl_db_each_schedule(hl_db *db, void (*each)(void *arg, const char *name, int64_t last), void *arg, hl_error *err) {
  sqlite3_stmt *st = statement_of(db, ST_SCHEDULES);
  int rc;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW)
    each(arg, (const char *)sqlite3_column_text(st, 0), sqlite3_column_int64(st, 1));
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot read the schedules", err);
}

/* All parked rows of `handler` of one kind become `to`. */
static int repark_all(hl_db *db, hl_str handler, hl_state from, hl_state to, int64_t now, hl_error *err) {
  hl_tx *tx = hl_tx_new();
  sqlite3_stmt *st = statement_of(db, ST_OF_HANDLER);
  int rc;
  sqlite3_bind_text64(st, 1, handler.p, handler.n, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_int64(st, 2, from);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW)
    hl_tx_repark(tx, sqlite3_column_int64(st, 0), to, 0, now, HL_STR("its handler did not exist"));
  sqlite3_reset(st);
  rc = rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot read parked rows", err);
  if (!rc && !hl_tx_empty(tx)) rc = hl_db_apply(db, tx, err);
  hl_tx_free(tx);
  return rc;
}

int hl_db_reconcile(hl_db *db, bool (*exists)(void *arg, const char *handler), void *arg, int64_t now, hl_error *err) {
  hl_bag bag = {0};
  struct name { struct name *next; hl_str text; } *names = NULL;
  sqlite3_stmt *st = statement_of(db, ST_HANDLERS);
  int rc;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    struct name *name = hl_bag_alloc(&bag, sizeof *name);
    name->text = column_copy(&bag, st, 0);
    name->next = names;
    names = name;
  }
  sqlite3_reset(st);
  rc = rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot read parked rows", err);
  for (; names && !rc; names = names->next) {
    bool here = exists(arg, names->text.p);
    rc = repark_all(db, names->text, here ? HL_ST_ORPHANED : HL_ST_WAITING, here ? HL_ST_WAITING : HL_ST_ORPHANED, now, err);
  }
  hl_bag_deinit(&bag);
  return rc;
}

int hl_db_read_log(hl_db *db, int64_t after, int64_t upto, size_t max_rows, size_t max_bytes, hl_bag *bag,
                   hl_store_rows *out) {
  sqlite3_stmt *st = statement_of(db, ST_READ_LOG);
  hl_store_row *rows = hl_bag_alloc(bag, max_rows * sizeof *rows);
  size_t n = 0, bytes = 0;
  int rc = SQLITE_DONE;
  sqlite3_bind_int64(st, 1, after);
  sqlite3_bind_int64(st, 2, upto);
  while (n < max_rows && (n == 0 || bytes < max_bytes) && (rc = sqlite3_step(st)) == SQLITE_ROW) {
    hl_store_row *r = &rows[n++];
    r->id = sqlite3_column_int64(st, 0);
    r->received = sqlite3_column_int64(st, 1);
    r->source = column_copy(bag, st, 2).p;
    r->account = column_copy(bag, st, 3).p;
    r->n = (unsigned)sqlite3_column_int64(st, 4);
    r->hashes = column_copy(bag, st, 5);
    r->states = column_copy(bag, st, 6);
    r->body = column_copy(bag, st, 7);
    bytes += r->body.n;
  }
  sqlite3_reset(st);
  if (rc != SQLITE_DONE && rc != SQLITE_ROW) return fail(db, rc, "cannot read the log", NULL);
  out->rows = rows;
  out->n = n;
  if (!n) return 0;
  size_t cap = 0, count = 0;
  hl_store_partial *partials = NULL;
  st = statement_of(db, ST_READ_PARTIAL);
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
    p->handler = column_copy(bag, st, 2).p;
    p->state = (hl_state)sqlite3_column_int(st, 3);
  }
  sqlite3_reset(st);
  out->partials = partials;
  out->n_partials = count;
  return rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot read the log", NULL);
}

/* The columns that READ_DUE and READ_HELD begin with. */
static void read_parked(sqlite3_stmt *st, hl_bag *bag, hl_parked *p) {
  *p = (hl_parked){
      .id = sqlite3_column_int64(st, 0), .row = sqlite3_column_int64(st, 1), .index = (unsigned)sqlite3_column_int64(st, 2),
      .kind = (hl_state)sqlite3_column_int(st, 3), .open = sqlite3_column_int(st, 4) != 0,
      .received = sqlite3_column_int64(st, 5), .due = sqlite3_column_int64(st, 6),
      .attempts = (unsigned)sqlite3_column_int64(st, 7), .handler = column_copy(bag, st, 8).p,
      .type = column_copy(bag, st, 9).p, .source = column_copy(bag, st, 10).p, .account = column_copy(bag, st, 11).p,
      .event = column_copy(bag, st, 12),
  };
}

int hl_db_each_held(hl_db *db, int64_t since, int64_t hold_ms, void (*each)(void *arg, const hl_parked *p), void *arg,
                    hl_error *err) {
  sqlite3_stmt *st = statement_of(db, ST_READ_HELD);
  int rc;
  sqlite3_bind_int64(st, 1, since);
  sqlite3_bind_int64(st, 2, since + 2 * hold_ms);
  sqlite3_bind_int64(st, 3, hold_ms);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    hl_bag bag = {0};
    hl_parked p;
    read_parked(st, &bag, &p);
    p.failed = sqlite3_column_int64(st, 13);
    each(arg, &p);
    hl_bag_deinit(&bag);
  }
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot read parked rows", err);
}

int hl_db_read_due(hl_db *db, int64_t until, size_t max, hl_bag *bag, hl_store_due *out) {
  sqlite3_stmt *st = statement_of(db, ST_READ_DUE);
  hl_parked *v = hl_bag_alloc(bag, max * sizeof *v);
  size_t n = 0;
  int rc;
  sqlite3_bind_int64(st, 1, (int64_t)max + 1);
  out->next = INT64_MAX;
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    int64_t due = sqlite3_column_int64(st, 6);
    if (due > until || n == max) {
      out->next = due;
      rc = SQLITE_DONE;
      break;
    }
    read_parked(st, bag, &v[n++]);
  }
  sqlite3_reset(st);
  out->parked = v;
  out->n = n;
  return rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot read parked rows", NULL);
}

int hl_db_kv_get(hl_db *db, const char *script, const char *account, hl_str key, int64_t now, hl_bag *bag,
                 hl_str *value, int64_t *expires) {
  sqlite3_stmt *st = statement_of(db, ST_KV_GET);
  sqlite3_bind_text(st, 1, script, -1, SQLITE_STATIC);
  sqlite3_bind_text(st, 2, account, -1, SQLITE_STATIC);
  bind_blob(st, 3, key);
  *value = (hl_str){0};
  *expires = 0;
  int rc = sqlite3_step(st);
  if (rc == SQLITE_ROW) {
    int64_t at = sqlite3_column_int64(st, 1);
    if (at == 0 || at > now) {
      *value = column_copy(bag, st, 0);
      *expires = at;
    }
    rc = SQLITE_DONE;
  }
  sqlite3_reset(st);
  return rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot read kv", NULL);
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
  sqlite3_stmt *st = statement_of(db, ST_KV_LIST);
  hl_str *v = NULL, from = prefix.p ? prefix : HL_STR("");
  size_t count = 0, cap = 0;
  int rc;
  sqlite3_bind_text(st, 1, script, -1, SQLITE_STATIC);
  sqlite3_bind_text(st, 2, account, -1, SQLITE_STATIC);
  bind_blob(st, 3, from);
  bind_blob(st, 6, key_after(bag, from));
  sqlite3_bind_int64(st, 4, now);
  sqlite3_bind_int64(st, 5, (int64_t)max);
  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    if (count == cap) {
      cap = cap ? 2 * cap : 64;
      hl_str *more = hl_bag_alloc(bag, cap * sizeof *more);
      if (count) memcpy(more, v, count * sizeof *more);
      v = more;
    }
    v[count++] = column_copy(bag, st, 0);
  }
  sqlite3_reset(st);
  *keys = v;
  *n = count;
  return rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot read kv", NULL);
}

int hl_db_read_audits(hl_db *db, const char *kind, hl_str key, size_t max, hl_bag *bag, hl_audit **out, size_t *n) {
  sqlite3_stmt *st = statement_of(db, ST_AUDITS);
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
    a->script = column_copy(bag, st, 1).p;
    a->account = column_copy(bag, st, 2).p;
    a->kind = column_copy(bag, st, 3).p;
    a->key = column_copy(bag, st, 4).p;
    a->json = column_copy(bag, st, 5);
  }
  sqlite3_reset(st);
  *out = v;
  *n = count;
  return rc == SQLITE_DONE ? 0 : fail(db, rc, "cannot read audit records", NULL);
}

/* ---- housekeeping ---- */

int hl_db_wal_pages(const hl_db *db) { return db->wal_pages; }

void hl_db_checkpoint(hl_db *db) {
  int left = 0, moved = 0;
  int rc = sqlite3_wal_checkpoint_v2(db->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &left, &moved);
  if (!rc) db->wal_pages = left - moved > 0 ? left - moved : 0;
}

bool hl_db_expire(hl_db *db, int64_t before, int64_t now) {
  struct { int64_t id, received; } old[200];
  size_t n = 0;
  bool more = true;
  if (run(db, ST_KV_EXPIRE, 1, &now, 0, NULL)) return false;
  sqlite3_stmt *st = statement_of(db, ST_OLDEST);
  sqlite3_bind_int64(st, 1, db->expire_after);
  while (n < HL_COUNT(old) && sqlite3_step(st) == SQLITE_ROW) {
    old[n].id = sqlite3_column_int64(st, 0);
    old[n++].received = sqlite3_column_int64(st, 1);
  }
  sqlite3_reset(st);
  if (n == 0 || run(db, ST_BEGIN, 0, NULL, 0, NULL)) {
    db->expire_after = 0;
    return false;
  }
  for (size_t k = 0; k < n && more; k++) {
    if (old[k].received >= before || old[k].id > db->state.mark) {
      more = false;
      break;
    }
    if (run(db, ST_FORGET, 1, &old[k].id, 0, NULL) || run(db, ST_FORGET_PROGRESS, 1, &old[k].id, 0, NULL)) more = false;
    else db->expire_after = old[k].id;
  }
  if (run(db, ST_COMMIT, 0, NULL, 0, NULL)) {
    run(db, ST_ROLLBACK, 0, NULL, 0, NULL);
    more = false;
  }
  if (!more) db->expire_after = 0;
  return more;
}
