/* The store: what must survive, as durable operations by name. The engine is
 * its only client. Changes are gathered in a transaction (hl_tx) on the loop
 * thread and committed whole, in the order of submission; the answer comes back
 * on the loop, never from inside. Nothing here blocks the loop thread but the
 * calls marked (start): they run before events flow. With a file, one writer
 * thread does the work; in memory it is done at once and answered in order.
 *
 * The counters of event states live here and change in the same transactions
 * as the rows, so that acknowledged = the sum of the states, always. */
#ifndef HL_STORE_STORE_H
#define HL_STORE_STORE_H

#include "loop/loop.h"
#include "store/audit.h"

typedef struct hl_store hl_store;
typedef struct hl_tx hl_tx;

/* The state of an event (SEMANTICS 3); also its byte in `progress`, where
 * HL_ST_WAITING means "left the log: has parked rows of its own". */
typedef enum hl_state {
  HL_ST_PENDING, HL_ST_RAN, HL_ST_FILTERED, HL_ST_DUPLICATE,
  HL_ST_WAITING, HL_ST_DEAD, HL_ST_UNHANDLED, HL_ST_ORPHANED, HL_ST_OWN, HL_ST_DEBOUNCED,
  HL_ST_REMOVED, /* by a person */
  HL_ST_MAX,
  HL_ST_DELAYED = 20, /* a parked row only: an `after` event not yet due; counts as waiting */
} hl_state;

typedef struct hl_store_counts {
  int64_t acknowledged, state[HL_ST_MAX];
} hl_store_counts;

enum { HL_HASH_BYTES = 16, HL_STORE_KEY_BYTES = 16 };

/* How long what is finished stays. */
typedef struct hl_retention {
  int64_t events_ms, audits_ms;
} hl_retention;

/* path NULL: in memory, synchronous. Creates a missing directory, file mode
 * 0600. HL_EBUSY, HL_ECORRUPT, HL_EIO, HL_EFULL name the file and the remedy. */
int hl_store_open(hl_loop *loop, const char *path, const hl_retention *keep, hl_store **out, hl_error *err);
/* Finishes what was submitted; its callbacks are not called any more, and the
 * transactions are freed. */
void hl_store_free(hl_store *s);

/* ---- (start) what the engine needs before events flow ---- */
typedef struct hl_store_state {
  unsigned char key[HL_STORE_KEY_BYTES]; /* of the event hashes */
  int64_t mark;                          /* every event of a row up to here is done */
  int64_t last_row, last_parked;
  hl_store_counts counts;
  bool steps;                            /* some are stored, as of the start */
} hl_store_state;
void hl_store_state_get(hl_store *s, hl_store_state *out);
/* Rows after `after` up to `upto` that were received since `since`, oldest first; bodies are not read. */
int hl_store_each_hash(hl_store *s, int64_t after, int64_t upto, int64_t since,
                       void (*each)(void *arg, int64_t row, int64_t received, hl_str hashes), void *arg, hl_error *err);
int hl_store_each_schedule(hl_store *s, void (*each)(void *arg, const char *name, int64_t last), void *arg,
                           hl_error *err);
/* How far a source that we read has been read, as hl_tx_place said; nothing is appended when it was not. */
int hl_store_place(hl_store *s, const char *source, hl_buf *out, hl_error *err);
typedef struct hl_own_row {
  int64_t id, at;
  const char *handler;
  hl_str hash;
  int depth;
} hl_own_row;
int hl_store_each_own(hl_store *s, void (*each)(void *arg, const hl_own_row *row), void *arg, hl_error *err);
typedef struct hl_debounce_row {
  int64_t id, since, due, occurred; /* id: of the parked row */
  const char *handler;
  hl_str key, event;
} hl_debounce_row;
int hl_store_each_debounce(hl_store *s, void (*each)(void *arg, const hl_debounce_row *row), void *arg, hl_error *err);
typedef struct hl_listened { /* a script's handler of events, as of its last load */
  const char *script, *type, *name, *account, *property; /* the last two may be NULL */
} hl_listened;
int hl_store_each_listened(hl_store *s, void (*each)(void *arg, const hl_listened *l), void *arg, hl_error *err);
int hl_store_each_halted(hl_store *s, void (*each)(void *arg, const char *script, const char *why), void *arg, hl_error *err);
/* What becomes of parked rows that wait, are orphaned or are pending: `fate` of their handler is WAITING (it exists; due
 * when they were), ORPHANED (it does not) or PENDING (its script could not be loaded; what is orphaned stays so). *counts is what is
 * true afterwards. */
int hl_store_reconcile(hl_store *s, hl_state (*fate)(void *arg, const char *handler), void *arg,
                       hl_store_counts *counts, hl_error *err);

/* ---- transactions: strings are copied ---- */
hl_tx *hl_tx_new(void);
void hl_tx_free(hl_tx *tx);
bool hl_tx_empty(const hl_tx *tx);
/* Puts what is in `first` before what is in `tx`; `first` is gone. */
void hl_tx_prepend(hl_tx *tx, hl_tx *first);
/* Drops every operation that was added with `receipt` true. */
void hl_tx_drop_receipts(hl_tx *tx);

typedef struct hl_append {
  int64_t id, received;      /* ids ascend; the engine gives them */
  const char *source, *account;
  unsigned n;                /* events in the body */
  unsigned counts[HL_ST_MAX];/* how many of them are in which state now */
  hl_str hashes;             /* 16 bytes an event, all zero: skip it; or empty */
  hl_str states;             /* a byte an event; empty: all pending */
  hl_str body;
} hl_append;
/* Gives the transaction's copy of the body. */
hl_str hl_tx_append(hl_tx *tx, const hl_append *a, bool receipt);
/* Acknowledged without a row: a body of nothing but duplicates. */
void hl_tx_duplicates(hl_tx *tx, unsigned n, bool receipt);

/* Moves `n` events from pending to `to`. */
void hl_tx_count(hl_tx *tx, hl_state to, unsigned n);
void hl_tx_progress(hl_tx *tx, int64_t row, hl_str states, bool keep);
/* Rows up to `mark` are done; their progress, unless kept, is dropped. */
void hl_tx_mark(hl_tx *tx, int64_t before, int64_t mark);
/* One handler of several has finished with an event that is still pending. */
void hl_tx_partial(hl_tx *tx, int64_t row, unsigned index, const char *handler, hl_state state);
/* An event that has partial or parked rows is done with: from now on its state
 * is what its parked rows say, else `base`. */
void hl_tx_leave(hl_tx *tx, int64_t row, unsigned index, hl_state base);

typedef struct hl_parked {
  int64_t id;                /* the engine gives it */
  int64_t row;               /* 0 for HL_ST_DELAYED */
  unsigned index;
  hl_state kind;             /* WAITING, DEAD, ORPHANED, DELAYED, PENDING: for a script that could not be loaded */
  bool open;                 /* its event is still pending in the log */
  const char *handler, *type, *source, *account;
  int64_t received, due;     /* due: WAITING and DELAYED, epoch ms */
  int64_t failed;            /* when it was parked first, epoch ms; kept by hl_tx_repark */
  unsigned attempts;
  hl_str event, error;       /* JSON text; why */
  hl_str lane;               /* it waits for its turn in this lane (store/lanes.h); p NULL: for `due` alone */
  int64_t occurred;          /* order in the lane */
} hl_parked;
/* (start) Waiting rows that failed first after `since` and were to be tried again within `hold_ms`
 * of it, oldest first. */
int hl_store_each_held(hl_store *s, int64_t since, int64_t hold_ms, void (*each)(void *arg, const hl_parked *p), void *arg,
                       hl_error *err);
void hl_tx_park(hl_tx *tx, const hl_parked *p, bool receipt);
void hl_tx_repark(hl_tx *tx, int64_t id, hl_state kind, unsigned attempts, int64_t due, hl_str error);
/* A dead letter or an orphaned row goes back to work, its attempts counted anew. */
void hl_tx_retry(hl_tx *tx, int64_t id, int64_t due);
/* The handler's parked rows of kind `from` become `to`; when they are due stays. */
void hl_tx_repark_all(hl_tx *tx, const char *handler, hl_state from, hl_state to);
/* A parked row's handler has finished with `state` (RAN or FILTERED). */
void hl_tx_unpark(hl_tx *tx, int64_t id, hl_state state);
/* A delayed row goes; the same transaction appends its event to the log. */
void hl_tx_release(hl_tx *tx, int64_t id);

void hl_tx_kv(hl_tx *tx, const char *script, const char *account, hl_str key, hl_str value, int64_t expires);
void hl_tx_audit(hl_tx *tx, int64_t at, const char *script, const char *account, const char *kind,
                 const char *key, hl_str json);
/* A handler wrote something: `hash` says what (engine/own.h). Numbers ascend. */
void hl_tx_own(hl_tx *tx, int64_t id, const char *handler, hl_str hash, int64_t at, int depth);
void hl_tx_own_drop(hl_tx *tx, int64_t id);
void hl_tx_own_upto(hl_tx *tx, int64_t id); /* and all before it */
/* The parked row `id` waits for more events of its key, the first of which came at `since`. */
void hl_tx_debounce(hl_tx *tx, int64_t id, const char *handler, hl_str key, int64_t since, int64_t occurred);
void hl_tx_debounce_drop(hl_tx *tx, int64_t id);
void hl_tx_fired(hl_tx *tx, const char *schedule, int64_t at);
void hl_tx_listened(hl_tx *tx, const hl_listened *l);
void hl_tx_listened_drop(hl_tx *tx, const char *script);
void hl_tx_halted(hl_tx *tx, const char *script, const char *why); /* NULL: no more */
/* How far a source that we read (the webhooks journal) has been read, in its own words. With `receipt`
 * it goes when the bodies of the transaction go. */
void hl_tx_place(hl_tx *tx, const char *source, hl_str place, bool receipt);

/* Gives `tx` to the store; the callback gives it back (free it, or submit it
 * again). why: text when code != 0. */
typedef void (*hl_commit_cb)(void *arg, hl_tx *tx, int code, const hl_store_counts *counts, const char *why);
void hl_store_commit(hl_store *s, hl_tx *tx, hl_commit_cb cb, void *arg);

/* ---- reads: answered in order with the commits ---- */
typedef struct hl_store_row {
  int64_t id, received;
  const char *source, *account;
  unsigned n;
  hl_str hashes, states, body;   /* states: empty when nothing is done yet */
} hl_store_row;
typedef struct hl_store_partial {
  int64_t row;
  unsigned index;
  const char *handler;
  hl_state state;
} hl_store_partial;
typedef struct hl_store_rows {   /* borrowed for the length of the callback */
  int code;
  const hl_store_row *rows;
  size_t n;
  const hl_store_partial *partials;
  size_t n_partials;
} hl_store_rows;
/* Rows after `after` up to `upto`, at most max_rows and about max_bytes of bodies (one at least). */
void hl_store_read_log(hl_store *s, int64_t after, int64_t upto, size_t max_rows, size_t max_bytes,
                       void (*cb)(void *arg, const hl_store_rows *rows), void *arg);

typedef struct hl_store_due {
  int code;
  const hl_parked *parked;       /* earliest first */
  size_t n;
  int64_t next;                  /* when the next one may be read; INT64_MAX: there is none */
} hl_store_due;
/* Waiting rows due by `until`, and delayed ones due up to `early` ms after it. */
void hl_store_read_due(hl_store *s, int64_t until, int64_t early, size_t max, void (*cb)(void *arg, const hl_store_due *due),
                       void *arg);

/* value.p NULL: not there, or expired at `now`. */
void hl_store_kv_get(hl_store *s, const char *script, const char *account, hl_str key, int64_t now,
                     void (*cb)(void *arg, int code, hl_str value, int64_t expires), void *arg);
void hl_store_kv_list(hl_store *s, const char *script, const char *account, hl_str prefix, size_t max, int64_t now,
                      void (*cb)(void *arg, int code, const hl_str *keys, size_t n), void *arg);

/* Audit records of one kind about one key, newest first. */
void hl_store_read_audits(hl_store *s, const char *kind, const char *key, size_t max, hl_audits_cb cb, void *arg);

/* ---- named fault points, for tests ---- */
/* "commit": the next `times` commits fail with `code`. "read": so do that many
 * reads of the log or of what is due. "pause": nothing is
 * executed while times > 0 (code is not used). */
void hl_store_fault(hl_store *s, const char *point, int code, unsigned times);

#endif
