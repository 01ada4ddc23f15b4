/* What the store holds of a person (base/person.h): found a bounded part at a time, and written over. The engine
 * (engine/forget.c) decides what becomes of it. As operate.h: work in order with the commits, answers on the
 * loop, borrowed; none when the store is freed first. */
#ifndef HL_STORE_TRACES_H
#define HL_STORE_TRACES_H

#include "base/person.h"
#include "store/operate.h"

typedef enum hl_trace_table { HL_TRACE_PARKED, HL_TRACE_LOG, HL_TRACE_STEPS, HL_TRACE_AUDIT, HL_TRACE_KV, HL_TRACE_TABLES } hl_trace_table;

typedef struct hl_trace {
  int64_t id;                /* the row's; kv: when it expires */
  hl_parked parked;          /* PARKED */
  hl_logged row;             /* LOG */
  hl_str name, what, text;   /* STEPS: name, what, json; AUDIT: key, -, json; KV: key, -, value */
  const char *script, *account; /* KV; AUDIT: account */
} hl_trace;

typedef struct hl_trace_page {
  int code;
  const hl_trace *v;
  size_t n;
  bool more;                 /* ask again with `after` */
  hl_trace after;            /* id; KV: script, account, name */
  int64_t at, of;            /* ids, for a bar; of 0: not known */
} hl_trace_page;
/* after: zeroed for the first. `who` is copied. */
void hl_store_traces(hl_store *s, hl_trace_table table, const hl_person *who, const hl_trace *after,
                     void (*cb)(void *arg, const hl_trace_page *page), void *arg);

/* Writes the whole file anew, so that nothing of what was deleted is left in it, and empties the write-ahead log.
 * Receipt waits for it: a file larger than max_bytes (0: any) has only its log emptied, and `whole` is false. */
typedef struct hl_compacted {
  int code;
  bool whole;
} hl_compacted;
void hl_store_compact(hl_store *s, int64_t max_bytes, void (*cb)(void *arg, const hl_compacted *done), void *arg);

void hl_tx_log_body(hl_tx *tx, int64_t row, hl_str body);
void hl_tx_parked_error(hl_tx *tx, int64_t id, hl_str error);
/* Of a step's row; what.p and json.p NULL: the row goes, and if it is a wait that goes on, that too: its event is due. */
void hl_tx_step_text(hl_tx *tx, int64_t rowid, hl_str what, hl_str json);
/* json.p NULL: the record goes. */
void hl_tx_audit_text(hl_tx *tx, int64_t id, hl_str json);
/* A delayed event that is never to come: it counts as removed. */
void hl_tx_drop_delayed(hl_tx *tx, int64_t id);

#endif
