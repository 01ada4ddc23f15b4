/* SQLite behind the store: every SQL text of ours is in sql.h and schema.c. Called by the
 * writer thread, or by the loop thread when it holds the store's lock. Blocks. */
#ifndef HL_STORE_SQLITE_H
#define HL_STORE_SQLITE_H

#include "store/steps.h"
#include "store/tx.h"
#include "store/waits.h"

typedef struct hl_db hl_db;

/* Bytes that live until hl_bag_deinit: what a read answers with. */
typedef struct hl_bag {
  struct hl_bag_block *blocks;
} hl_bag;
hl_str hl_bag_copy(hl_bag *bag, const void *p, size_t n); /* with a NUL behind */
void *hl_bag_alloc(hl_bag *bag, size_t n);
void hl_bag_deinit(hl_bag *bag);

/* path NULL: in memory. `fresh_key` is stored when the file is new. */
int hl_db_open(const char *path, const unsigned char fresh_key[HL_STORE_KEY_BYTES], hl_db **out, hl_error *err);
void hl_db_close(hl_db *db);
void hl_db_state(hl_db *db, hl_store_state *out);
/* One durable transaction. On failure nothing of it has happened. */
int hl_db_apply(hl_db *db, const hl_tx *tx, hl_error *err);

int hl_db_each_hash(hl_db *db, int64_t after, int64_t upto, int64_t since,
                    void (*each)(void *arg, int64_t row, int64_t received, hl_str hashes), void *arg, hl_error *err);
int hl_db_each_schedule(hl_db *db, void (*each)(void *arg, const char *name, int64_t last), void *arg, hl_error *err);
int hl_db_place(hl_db *db, const char *source, hl_buf *out, hl_error *err);
int hl_db_each_own(hl_db *db, void (*each)(void *arg, const hl_own_row *row), void *arg, hl_error *err);
int hl_db_each_debounce(hl_db *db, void (*each)(void *arg, const hl_debounce_row *row), void *arg, hl_error *err);
int hl_db_each_held(hl_db *db, int64_t since, int64_t hold_ms, void (*each)(void *arg, const hl_parked *p), void *arg,
                    hl_error *err);
int hl_db_each_halted(hl_db *db, void (*each)(void *arg, const char *script, const char *why), void *arg, hl_error *err);
int hl_db_each_listened(hl_db *db, void (*each)(void *arg, const hl_listened *l), void *arg, hl_error *err);
int hl_db_reconcile(hl_db *db, hl_state (*fate)(void *arg, const char *handler), void *arg, hl_error *err);

int hl_db_read_log(hl_db *db, int64_t after, int64_t upto, size_t max_rows, size_t max_bytes, hl_bag *bag,
                   hl_store_rows *out);
int hl_db_read_due(hl_db *db, int64_t until, int64_t early, size_t max, hl_bag *bag, hl_store_due *out);
int hl_db_kv_get(hl_db *db, const char *script, const char *account, hl_str key, int64_t now, hl_bag *bag,
                 hl_str *value, int64_t *expires);
int hl_db_kv_list(hl_db *db, const char *script, const char *account, hl_str prefix, size_t max, int64_t now,
                  hl_bag *bag, hl_str **keys, size_t *n);

int hl_db_read_audits(hl_db *db, const char *kind, hl_str key, size_t max, hl_bag *bag, hl_audit **out, size_t *n);

int hl_db_read_steps(hl_db *db, int64_t row, int64_t index, hl_str handler, hl_bag *bag, hl_step_row **out, size_t *n);

int hl_db_wait_index(hl_db *db, hl_bag *bag, hl_wait_index *out, hl_error *err);
int hl_db_read_waits(hl_db *db, size_t max, hl_bag *bag, hl_wait_row **out, size_t *n);

int hl_db_each_start(hl_db *db, int64_t now, void (*each)(void *arg, const char *handler, hl_str lane, int64_t at), void *arg,
                     hl_error *err);

/* What is in the write-ahead log and not yet in the file. */
int64_t hl_db_wal_bytes(const hl_db *db);
void hl_db_checkpoint(hl_db *db);
/* One small step of deleting finished events received before `events` and audit records written before `audits`; true when
 * there may be more. */
bool hl_db_expire(hl_db *db, int64_t events, int64_t audits, int64_t now);

/* Work with the database in order with the commits, for what is too seldom to be an operation of
 * its own in store.c. It must be short: receipt waits behind it. */
typedef struct hl_store_call_type {
  void (*work)(hl_db *db, void *arg);  /* where the writer is */
  void (*done)(void *arg);             /* on the loop; takes arg back */
  void (*drop)(void *arg);             /* instead, when the store is freed first */
} hl_store_call_type;
void hl_store_call(hl_store *s, const hl_store_call_type *type, void *arg);

#endif
