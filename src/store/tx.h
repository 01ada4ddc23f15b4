/* A transaction's operations as the writer sees them. Inside src/store only. */
#ifndef HL_STORE_TX_H
#define HL_STORE_TX_H

#include "store/store.h"

typedef enum hl_op_kind {
  OP_APPEND, OP_DUPLICATES, OP_COUNT, OP_PROGRESS, OP_MARK, OP_PARTIAL, OP_LEAVE, OP_PARK, OP_REPARK, OP_LANE, OP_STARTED, OP_REPARK_ALL, OP_RETRY,
  OP_UNPARK, OP_RELEASE, OP_STEP, OP_STEP_FORGET, OP_STEPS_DROP, OP_STEPS_SETTLE, OP_KV, OP_AUDIT, OP_FIRED,
  OP_OWN, OP_OWN_DROP, OP_OWN_UPTO,
  OP_DEBOUNCE, OP_DEBOUNCE_DROP, OP_PLACE, OP_LISTENER, OP_LISTENERS_DROP, OP_HALTED,
  OP_WAIT, OP_WAIT_ON, OP_WAIT_ARRIVED, OP_WAIT_MET, OP_WAIT_LOOKED, OP_WAIT_OVER,
  OP_LOG_BODY, OP_PARKED_ERROR, OP_STEP_TEXT, OP_AUDIT_TEXT, OP_DROP_DELAYED,
} hl_op_kind;

enum { OP_INTS = 3 + HL_ST_MAX, OP_TEXTS = 7 };

typedef struct hl_op {
  struct hl_op *next;
  hl_op_kind kind;
  bool receipt;
  int64_t i[OP_INTS];
  hl_str s[OP_TEXTS];        /* point into the bytes behind the struct */
} hl_op;

struct hl_tx {
  hl_op *first, **tail;
};

#endif
