/* Waiting events in the store (SEMANTICS 17): a parked row that waits for an
 * event or a time has one row here until the wait is over; what ended it is then
 * the result of its step row. The engine (engine/wait.c) is the only client. As
 * store.h: changes are gathered in a transaction, reads answer on the loop,
 * nothing blocks but what is marked (start). */
#ifndef HL_STORE_WAITS_H
#define HL_STORE_WAITS_H

#include "store/store.h"

enum { HL_WAIT_ALL = INT32_MAX };  /* as `index`: behind every event of its row */

/* An event that this write may have caused does not end the wait. */
typedef struct hl_wait_own {
  unsigned char hash[HL_HASH_BYTES];
  int64_t at;                /* when it left, or when its answer came */
} hl_wait_own;
enum { HL_OWN_EARLY_MS = 60 * 1000, HL_OWN_MS = 10 * 60 * 1000 }; /* before the answer to it, and behind */
bool hl_wait_is_own(hl_str own, const unsigned char told[HL_HASH_BYTES], int64_t received);

typedef struct hl_wait_row {
  int64_t parked;            /* the parked row that waits */
  hl_str hash;               /* 16 bytes that say for what; p NULL: only for its time */
  const char *type, *fields; /* what the hash is made of: an event's type, names of fields, one a line */
  hl_str name;               /* of the step row */
  int64_t row;               /* events behind this one count */
  unsigned index;
  int64_t upto;              /* rows up to here are still to be looked through; 0: none */
  hl_str own;                /* hl_wait_own each: what its handler has written */
} hl_wait_row;

/* Stores a wait. Its parked row, there or added in the same transaction, is due at `due` and says
 * `error`; `event`: what it keeps as its event from now on, p NULL: as it is. */
void hl_tx_wait(hl_tx *tx, const hl_wait_row *w, int64_t due, hl_str error, hl_str event);
/* One that is stored already goes on: its row is due at `due`, unless it is over. */
void hl_tx_wait_on(hl_tx *tx, int64_t parked, int64_t due);
/* An event has come: what waits for `hash` is over, with `json`, and due `now`. `told` (p NULL: none) is the hash of
 * a write that may have caused it. What is still to be looked for further back, and what is more than one
 * transaction should do, is left to be looked through. */
void hl_tx_wait_arrived(hl_tx *tx, hl_str hash, hl_str told, int64_t row, int64_t now, hl_str json, bool receipt);
/* Found in the log. */
void hl_tx_wait_met(hl_tx *tx, int64_t parked, int64_t now, hl_str json);
/* Not found in the log up to this row. */
void hl_tx_wait_looked(hl_tx *tx, int64_t parked, int64_t upto);
/* Its time has passed: over, with null, unless it is over already or still to be looked through. */
void hl_tx_wait_over(hl_tx *tx, int64_t parked);

/* What is waited for, without the waits. */
typedef struct hl_wait_shape { const char *type, *fields; } hl_wait_shape;
typedef struct hl_wait_index {
  const unsigned char *hashes; /* 16 bytes each */
  size_t n;
  const hl_wait_shape *shapes; /* each once */
  size_t n_shapes;
} hl_wait_index;
typedef void (*hl_wait_index_cb)(void *arg, int code, const hl_wait_index *index);
/* (start) */
int hl_store_wait_index(hl_store *s, hl_wait_index_cb cb, void *arg, hl_error *err);
void hl_store_read_wait_index(hl_store *s, hl_wait_index_cb cb, void *arg);

/* Waits that are still to be looked through, from the oldest place on: parked, hash, row, index, upto, own. */
typedef void (*hl_waits_cb)(void *arg, int code, const hl_wait_row *rows, size_t n);
void hl_store_read_waits(hl_store *s, size_t max, hl_waits_cb cb, void *arg);

#endif
