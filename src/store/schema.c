/* The tables, and how those of an earlier version become these. A change here
 * is a new version, a step in sql_migrate, and a test with a file of the old one. */
#include "store/sql.h"

/* Version 2. */
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

/* What version 3 adds. */
static const char *const SCHEMA_3 =
    "CREATE TABLE step(row INTEGER NOT NULL, idx INTEGER NOT NULL, handler TEXT NOT NULL, name TEXT NOT NULL,"
    " n INTEGER NOT NULL, place INTEGER NOT NULL, kind INTEGER NOT NULL, what TEXT, json TEXT,"
    " UNIQUE(row, idx, handler, name, n));"
    "ALTER TABLE tally ADD COLUMN s8 INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE tally ADD COLUMN s9 INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE debounce(id INTEGER PRIMARY KEY, since INTEGER NOT NULL, occurred INTEGER NOT NULL, handler TEXT NOT NULL,"
    " key BLOB NOT NULL);"
    "CREATE TABLE own(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, depth INTEGER NOT NULL, handler TEXT NOT NULL,"
    " hash BLOB NOT NULL);";

/* What version 4 adds. A wait's id is that of its parked row. */
static const char *const SCHEMA_4 =
    "ALTER TABLE tally ADD COLUMN s10 INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX parked_given_up ON parked(kind) WHERE kind IN (5, 7);"
    "CREATE TABLE place(source TEXT PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE wait(id INTEGER PRIMARY KEY, hash BLOB, type TEXT, fields TEXT, name TEXT NOT NULL, row INTEGER NOT NULL,"
    " idx INTEGER NOT NULL, upto INTEGER NOT NULL);"
    "CREATE INDEX wait_hash ON wait(hash) WHERE hash IS NOT NULL;"
    "CREATE INDEX wait_look ON wait(row) WHERE upto>0;"
    "CREATE TABLE listener(script TEXT, type TEXT, name TEXT, account TEXT, property TEXT,"
    " PRIMARY KEY(script, type, name)) WITHOUT ROWID;";

/* What version 5 adds. */
static const char *const SCHEMA_5 =
    "CREATE INDEX audit_at ON audit(at);"
    "CREATE TABLE halted(script TEXT PRIMARY KEY, why TEXT NOT NULL) WITHOUT ROWID;"
    "ALTER TABLE parked ADD COLUMN lane BLOB;"
    "ALTER TABLE parked ADD COLUMN occurred INTEGER;"
    "CREATE INDEX parked_lane ON parked(handler, lane, occurred, id) WHERE lane IS NOT NULL AND kind=4;"
    "CREATE TABLE started(until INTEGER NOT NULL, at INTEGER NOT NULL, handler TEXT NOT NULL, lane BLOB NOT NULL);"
    "CREATE INDEX started_until ON started(until);"
    "ALTER TABLE wait ADD COLUMN own BLOB;";

int sql_create(hl_db *db, const unsigned char *key) {
  sqlite3_stmt *st = NULL;
  char stamp[96];
  snprintf(stamp, sizeof stamp, "PRAGMA application_id=%d; PRAGMA user_version=%d", SQL_APPLICATION_ID, SQL_SCHEMA_VERSION);
  int rc = sql_exec(db, "BEGIN IMMEDIATE");
  if (!rc) rc = sql_exec(db, SCHEMA);
  if (!rc) rc = sql_exec(db, SCHEMA_3);
  if (!rc) rc = sql_exec(db, SCHEMA_4);
  if (!rc) rc = sql_exec(db, SCHEMA_5);
  if (!rc) rc = sqlite3_prepare_v2(db->db, "INSERT INTO meta(key,value) VALUES('hash_key',?)", -1, &st, NULL);
  if (!rc) {
    sql_bind_blob(st, 1, (hl_str){(const char *)key, HL_STORE_KEY_BYTES});
    rc = sqlite3_step(st) == SQLITE_DONE ? 0 : sqlite3_extended_errcode(db->db);
  }
  sqlite3_finalize(st);
  if (!rc) rc = sql_exec(db, stamp);
  if (!rc) rc = sql_exec(db, "COMMIT");
  return rc;
}

int sql_migrate(hl_db *db, int64_t version) {
  char stamp[64];
  int rc = sql_exec(db, "BEGIN IMMEDIATE");
  if (!rc && version < 2) rc = sql_exec(db, "ALTER TABLE parked ADD COLUMN failed INTEGER NOT NULL DEFAULT 0");
  if (!rc && version < 3) rc = sql_exec(db, SCHEMA_3);
  if (!rc && version < 4) rc = sql_exec(db, SCHEMA_4);
  if (!rc && version < 5) rc = sql_exec(db, SCHEMA_5);
  snprintf(stamp, sizeof stamp, "PRAGMA user_version=%d", SQL_SCHEMA_VERSION);
  if (!rc) rc = sql_exec(db, stamp);
  if (!rc) rc = sql_exec(db, "COMMIT");
  return rc;
}
