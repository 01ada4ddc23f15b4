/* Files made by earlier versions are brought up to date in place, with what is in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/sqlite.h"

/* The tables as version 1 (FAILED "") and version 2 made them, and below what 3 added; a record, not to be
 * changed with schema.c. Their pages had 4 KiB. */
#define TABLES(FAILED)                                                                                     \
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"                                   \
    "CREATE TABLE tally(id INTEGER PRIMARY KEY, mark INTEGER, acknowledged INTEGER, s0 INTEGER, s1 INTEGER," \
    " s2 INTEGER, s3 INTEGER, s4 INTEGER, s5 INTEGER, s6 INTEGER, s7 INTEGER);"                            \
    "INSERT INTO tally VALUES(1,0,0,0,0,0,0,0,0,0,0);"                                                     \
    "CREATE TABLE log(id INTEGER PRIMARY KEY, received INTEGER NOT NULL, source TEXT NOT NULL,"            \
    " account TEXT NOT NULL, n INTEGER NOT NULL, hashes BLOB, body BLOB NOT NULL);"                        \
    "CREATE TABLE progress(row INTEGER PRIMARY KEY, keep INTEGER NOT NULL, states BLOB NOT NULL);"         \
    "CREATE TABLE partial(row INTEGER, idx INTEGER, handler TEXT, state INTEGER NOT NULL,"                 \
    " PRIMARY KEY(row, idx, handler)) WITHOUT ROWID;"                                                      \
    "CREATE TABLE parked(id INTEGER PRIMARY KEY, row INTEGER NOT NULL, idx INTEGER NOT NULL,"              \
    " kind INTEGER NOT NULL, open INTEGER NOT NULL, base INTEGER NOT NULL, handler TEXT, type TEXT, source TEXT," \
    " account TEXT, received INTEGER, due INTEGER, attempts INTEGER, event BLOB, error TEXT" FAILED ");"   \
    "CREATE INDEX parked_event ON parked(row, idx);"                                                       \
    "CREATE INDEX parked_due ON parked(due) WHERE kind IN (4, 20);"                                        \
    "CREATE TABLE kv(script TEXT, account TEXT, key BLOB, value BLOB NOT NULL, expires INTEGER NOT NULL,"  \
    " PRIMARY KEY(script, account, key)) WITHOUT ROWID;"                                                   \
    "CREATE INDEX kv_expires ON kv(expires) WHERE expires > 0;"                                            \
    "CREATE TABLE audit(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, script TEXT, account TEXT, kind TEXT, key TEXT," \
    " json TEXT);"                                                                                         \
    "CREATE INDEX audit_key ON audit(kind, key);"                                                          \
    "CREATE TABLE schedule(name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;"

/* What version 3 added. */
#define ADDED_3                                                                                            \
    "CREATE TABLE step(row INTEGER NOT NULL, idx INTEGER NOT NULL, handler TEXT NOT NULL, name TEXT NOT NULL," \
    " n INTEGER NOT NULL, place INTEGER NOT NULL, kind INTEGER NOT NULL, what TEXT, json TEXT,"            \
    " UNIQUE(row, idx, handler, name, n));"                                                                \
    "ALTER TABLE tally ADD COLUMN s8 INTEGER NOT NULL DEFAULT 0;"                                          \
    "ALTER TABLE tally ADD COLUMN s9 INTEGER NOT NULL DEFAULT 0;"                                          \
    "CREATE TABLE debounce(id INTEGER PRIMARY KEY, since INTEGER NOT NULL, occurred INTEGER NOT NULL, handler TEXT NOT NULL," \
    " key BLOB NOT NULL);"                                                                                 \
    "CREATE TABLE own(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, depth INTEGER NOT NULL, handler TEXT NOT NULL," \
    " hash BLOB NOT NULL);"

/* What version 4 added. */
#define ADDED_4                                                                                            \
    "ALTER TABLE tally ADD COLUMN s10 INTEGER NOT NULL DEFAULT 0;"                                         \
    "CREATE INDEX parked_given_up ON parked(kind) WHERE kind IN (5, 7);"                                   \
    "CREATE TABLE place(source TEXT PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID;"                      \
    "CREATE TABLE wait(id INTEGER PRIMARY KEY, hash BLOB, type TEXT, fields TEXT, name TEXT NOT NULL, row INTEGER NOT NULL," \
    " idx INTEGER NOT NULL, upto INTEGER NOT NULL);"                                                       \
    "CREATE INDEX wait_hash ON wait(hash) WHERE hash IS NOT NULL;"                                         \
    "CREATE INDEX wait_look ON wait(row) WHERE upto>0;"                                                    \
    "CREATE TABLE listener(script TEXT, type TEXT, name TEXT, account TEXT, property TEXT,"                \
    " PRIMARY KEY(script, type, name)) WITHOUT ROWID;"                                                     \
    /* a wait that is stored: its event's row is to be looked through */                                   \
    "INSERT INTO wait VALUES(7, x'01020304050607080910111213141516', 'deal.propertyChange', 'objectId', 'signed', 1, 1, 9);"

/* One row of two events, the second one waiting for a retry; a key; a schedule. */
static const char CONTENT[] =
    "INSERT INTO meta VALUES('hash_key', zeroblob(16));"
    "INSERT INTO log VALUES(1, 100, 'push', 'main', 2, zeroblob(32), '[{},{}]');"
    "INSERT INTO parked(id,row,idx,kind,open,base,handler,type,source,account,received,due,attempts,event,error)"
    " VALUES(7, 1, 1, 4, 0, 1, 'h', 't', 'push', 'main', 100, 5000, 2, '{}', 'why');"
    "INSERT INTO progress VALUES(1, 1, x'0004');"
    "UPDATE tally SET acknowledged=2, s0=1, s4=1;"
    "INSERT INTO kv VALUES('s', 'main', x'6b', '41', 0);"
    "INSERT INTO schedule VALUES('daily', 42);"
    "PRAGMA application_id=1752523372;";

static void make_old(const char *path, const char *tables, int version) {
  sqlite3 *db;
  char stamp[64];
  unlink(path);
  snprintf(stamp, sizeof stamp, "PRAGMA user_version=%d", version);
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, tables, NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, CONTENT, NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, stamp, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

/* What one PRAGMA or SELECT answers, of a file that nobody has open. */
static void asked(const char *path, const char *sql, char *out, size_t size) {
  sqlite3 *db;
  sqlite3_stmt *st;
  hl_buf b;
  hl_buf_init(&b, size);
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
  while (sqlite3_step(st) == SQLITE_ROW)
    assert_int_equal(hl_buf_printf(&b, "%s\n", (const char *)sqlite3_column_text(st, 0)), 0);
  sqlite3_finalize(st);
  sqlite3_close(db);
  snprintf(out, size, "%.*s", (int)b.n, b.p ? b.p : "");
  hl_buf_deinit(&b);
}

static void daily(void *arg, const char *name, int64_t last) {
  assert_string_equal(name, "daily");
  *(int64_t *)arg = last;
}

static void check_content(hl_db *db) {
  hl_store_state s;
  hl_store_rows rows = {0};
  hl_store_due due = {0};
  hl_bag bag = {0};
  hl_str value;
  hl_error err;
  int64_t last = 0, expires;
  hl_db_state(db, &s);
  assert_int_equal(s.counts.acknowledged, 2);
  assert_int_equal(s.counts.state[HL_ST_PENDING], 1);
  assert_int_equal(s.counts.state[HL_ST_WAITING], 1);
  assert_int_equal(s.last_row, 1);
  assert_int_equal(s.last_parked, 7);
  assert_int_equal(hl_db_read_log(db, 0, 10, 10, 1000, &bag, &rows), 0);
  assert_int_equal(rows.n, 1);
  assert_int_equal(rows.rows[0].states.n, 2);
  assert_int_equal(hl_db_read_due(db, 6000, 0, 10, &bag, &due), 0);
  assert_int_equal(due.n, 1);
  assert_int_equal(due.parked[0].attempts, 2);
  assert_int_equal(hl_db_kv_get(db, "s", "main", HL_STR("k"), 0, &bag, &value, &expires), 0);
  assert_true(hl_str_eqz(value, "41"));
  assert_int_equal(hl_db_each_schedule(db, daily, &last, &err), 0);
  assert_int_equal(last, 42);
  hl_bag_deinit(&bag);
}

/* A wait that knew nothing of own writes has none. */
static void check_wait(hl_db *db) {
  hl_bag bag = {0};
  hl_wait_row *rows;
  size_t n;
  assert_int_equal(hl_db_read_waits(db, 10, &bag, &rows, &n), 0);
  assert_int_equal(n, 1);
  assert_int_equal(rows[0].parked, 7);
  assert_int_equal(rows[0].upto, 9);
  assert_int_equal(rows[0].own.n, 0);
  hl_bag_deinit(&bag);
}

static void an_earlier_file_is_brought_up_to_date(void **state) {
  (void)state;
  static const unsigned char key[HL_STORE_KEY_BYTES] = {9};
  static const char *const tables[] = {TABLES(""), TABLES(", failed INTEGER NOT NULL DEFAULT 0"),
                                      TABLES(", failed INTEGER NOT NULL DEFAULT 0") ADDED_3,
                                      TABLES(", failed INTEGER NOT NULL DEFAULT 0") ADDED_3 ADDED_4};
  static char want[1 << 14], got[1 << 14];
  const char *schema = "SELECT replace(replace(sql, ' ', ''), char(10), '') FROM sqlite_master WHERE sql NOT NULL ORDER BY name";
  hl_db *db;
  hl_error err;
  assert_int_equal(hl_db_open("new.db", key, &db, &err), 0);
  hl_db_close(db);
  asked("new.db", schema, want, sizeof want);
  for (int version = 1; version <= 4; version++) {
    make_old("old.db", tables[version - 1], version);
    for (int life = 0; life < 2; life++) {
      assert_int_equal(hl_db_open("old.db", key, &db, &err), 0);
      check_content(db);
      if (version == 4) check_wait(db);
      hl_db_close(db);
    }
    asked("old.db", schema, got, sizeof got);
    assert_string_equal(got, want);
    asked("old.db", "PRAGMA user_version", got, sizeof got);
    assert_string_equal(got, "5\n");
    asked("old.db", "PRAGMA integrity_check", got, sizeof got);
    assert_string_equal(got, "ok\n");
  }
}

/* The bound of the write-ahead log is one of bytes, whatever the pages of the file. */
static void the_log_is_measured_in_bytes(void **state) {
  (void)state;
  static const unsigned char key[HL_STORE_KEY_BYTES] = {9};
  static const struct { const char *path; int64_t page; } files[] = {{"bytes-old.db", 4096}, {"bytes-new.db", 16384}};
  static char body[100000];
  memset(body, ' ', sizeof body);
  make_old("bytes-old.db", TABLES(", failed INTEGER NOT NULL DEFAULT 0"), 2);
  for (int k = 0; k < 2; k++) {
    hl_db *db;
    hl_error err;
    assert_int_equal(hl_db_open(files[k].path, key, &db, &err), 0);
    hl_db_checkpoint(db);
    hl_tx *tx = hl_tx_new();
    hl_append a = {.id = 2, .received = 1, .source = "push", .account = "main", .n = 1, .counts = {[HL_ST_PENDING] = 1}, .body = {body, sizeof body}};
    hl_tx_append(tx, &a, true);
    assert_int_equal(hl_db_apply(db, tx, &err), 0);
    hl_tx_free(tx);
    int64_t bytes = hl_db_wal_bytes(db);
    assert_true(bytes >= (int64_t)sizeof body && bytes <= (int64_t)sizeof body + 8 * files[k].page);
    assert_int_equal(bytes % files[k].page, 0);
    hl_db_checkpoint(db);
    assert_int_equal(hl_db_wal_bytes(db), 0);
    hl_db_close(db);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_earlier_file_is_brought_up_to_date),
      cmocka_unit_test(the_log_is_measured_in_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
