/* Waits of a run (SEMANTICS 17, 20): the run ends, its event waits in the store,
 * and when the wait is over the handler runs again from the top, where the wait
 * by this name is over. Loop thread only; no Lua.
 *
 *   hl_run_wait ─ over ──> hl_wait_result
 *        ├ due ──> hl_wait_settle ─commit─> look again
 *        └ begins ──> hl_wait_end, hl_run_finish
 */
#ifndef HL_ENGINE_WAIT_H
#define HL_ENGINE_WAIT_H

#include "engine/step.h"

enum { HL_WAIT_FIELDS_MAX = 16, HL_WAIT_TEXT_MAX = 2048 };
#define HL_WAIT_FOREVER INT64_C(253402300799999) /* the last millisecond of the year 9999 */

typedef struct hl_wait_for {
  const char *type;      /* of the event; NULL: nothing but time */
  const cJSON *match;    /* object: fields of the event, or of its payload, and the values they must have; "objectId"
                          * is any event's object. NULL: every event of the type */
  int64_t until;         /* epoch ms; HL_WAIT_FOREVER and later: without end */
} hl_wait_for;

/* True for the run of an event: a timer has nothing that could wait. */
bool hl_run_can_wait(const hl_run *run);
/* Begins or finds a wait of the run's main task. Codes as hl_run_step, whose names it shares; HL_ELIMIT also: too
 * many fields, a text too long, too many kinds of waits. What a stored one waits for stays as it was. */
int hl_run_wait(hl_run *run, hl_str name, const hl_wait_for *what, hl_step **out, hl_error *err);

typedef enum hl_wait_state {
  HL_WAIT_OVER,          /* its result is there */
  HL_WAIT_DUE,           /* its time has passed: settle it, then look again */
  HL_WAIT_BEGINS,        /* or goes on: hl_wait_end */
} hl_wait_state;
hl_wait_state hl_wait_is(const hl_step *wait);
hl_step_op *hl_wait_settle(hl_step *wait, hl_step_cb cb, void *arg);
/* From here on the run is over, whatever it is said to end with: hl_run_finish stores the wait, with what was
 * buffered up to here. */
void hl_wait_end(hl_step *wait);
/* True when the run has ended by itself, with a wait or because its stored steps do not fit: its code is to end. */
bool hl_run_is_over(const hl_run *run);
/* True for a run that has waited before: its filter has said yes already. */
bool hl_run_has_waited(const hl_run *run);

/* The event that ended a wait. `json` in it is freed by hl_wait_event_deinit. */
typedef struct hl_wait_event {
  hl_event event;
  cJSON *tree;
  char object_id[40];
} hl_wait_event;
/* False: no event did, its time has passed. */
bool hl_wait_result(const hl_step *wait, hl_wait_event *out);
void hl_wait_event_deinit(hl_wait_event *event);

#endif
