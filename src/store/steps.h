/* Durable steps in the store (SEMANTICS 15, 16): rows of a handler's work on one
 * event, from its first step until the event leaves the handler. The engine
 * (engine/step.c) is the only client. As store.h: changes are gathered in a
 * transaction, reads answer on the loop, nothing blocks. */
#ifndef HL_STORE_STEPS_H
#define HL_STORE_STEPS_H

#include "store/store.h"

typedef enum hl_step_kind {
  HL_STEP_NONE,
  HL_STEP_DONE,        /* json: its result */
  HL_STEP_UNSTORABLE,  /* done; json: why its result is not here */
  HL_STEP_INTENDED,    /* a write inside a step that is not done; `what` says which */
  HL_STEP_ANSWERED,    /* such a write, and json is HubSpot's answer */
  HL_STEP_WAITING,     /* a wait that is not over; json: its time, epoch ms */
  HL_STEP_RAISED,      /* a step that raised, and the handler went on to a wait; json: the error */
} hl_step_kind;

typedef struct hl_step_key {
  int64_t row;         /* with index: the event's id; a schedule's: minus the time, and 0 */
  unsigned index;
  const char *handler; /* durable name */
} hl_step_key;

typedef struct hl_step_row {
  hl_str name;
  unsigned n;          /* 0: the step; else its n-th write */
  unsigned place;      /* order in which they were asked for first */
  hl_step_kind kind;
  hl_str what, json;   /* what: of a write; of a wait what for; "child" for a step of a child task */
} hl_step_row;

/* Written over what is there; the end of a step (n 0) drops its writes. */
void hl_tx_step(hl_tx *tx, const hl_step_key *key, const hl_step_row *row);
/* A write that was refused: it has had no effect. */
void hl_tx_step_forget(hl_tx *tx, const hl_step_key *key, hl_str name, unsigned n);
/* The event leaves the handler; of a schedule, what its earlier times have left goes too. */
void hl_tx_steps_drop(hl_tx *tx, const hl_step_key *key);

/* Lost writes of a dead letter, settled by a person: `again` drops them, else their steps are done, without
 * a result. */
void hl_tx_steps_settle(hl_tx *tx, int64_t parked, bool again);

/* All rows of a key, finished steps in their order. Borrowed for the length of the callback. */
typedef void (*hl_steps_cb)(void *arg, int code, const hl_step_row *rows, size_t n);
void hl_store_read_steps(hl_store *s, const hl_step_key *key, hl_steps_cb cb, void *arg);

#endif
