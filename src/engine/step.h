/* Durable steps of a run (SEMANTICS 4, 5, 15, 16): what fn did under a name is
 * done once, and its result is there again when the handler runs again. Loop
 * thread only; no Lua. The stored steps of a run are its own until the event
 * leaves the handler; a dead letter keeps them.
 *
 *   hl_run_step ─ done ─> its result
 *        └ open ─> the work ─> hl_step_finish ─commit─> go on
 *                   └> hl_step_write ─ hl_write_intend ─commit─> the write ─> hl_write_answered
 */
#ifndef HL_ENGINE_STEP_H
#define HL_ENGINE_STEP_H

#include "engine/engine.h"

typedef struct hl_step hl_step;    /* lives as long as its run */
typedef struct hl_write hl_write;  /* a write inside a step; so does it */
typedef struct hl_step_op hl_step_op;

enum { HL_STEP_NAME_MAX = 200, HL_STEP_RESULT_MAX = 256 << 10, HL_STEPS_MAX = 1000 };

/* True for a handler's run: work outside of events has no steps. */
bool hl_run_has_steps(const hl_run *run);
/* Who works for the run from here on: 0 its main task, else a child's number. A
 * step commits the effects of its own task, and drops them when it was done
 * before: they were committed with it then. */
void hl_run_as(hl_run *run, unsigned writer);

/* Begins or finds a step. 0 and *out; HL_EBUSY: what is stored is not in memory:
 * hl_run_steps_load and ask again. HL_EINVAL: the name is used twice in this
 * attempt, is empty or too long; HL_ELIMIT: too many; HL_ECANCELLED: the run is over (engine/wait.h), because what
 * is stored of it does not fit its code any more. */
int hl_run_step(hl_run *run, hl_str name, hl_step **out, hl_error *err);
/* True when this attempt has asked for the name. */
bool hl_run_step_used(const hl_run *run, hl_str name);
typedef enum hl_step_state { HL_STEP_IS_OPEN, HL_STEP_IS_DONE, HL_STEP_IS_UNSTORABLE, HL_STEP_IS_RAISED } hl_step_state;
hl_step_state hl_step_is(const hl_step *step);
/* The result (JSON text), why there is none, or the error it raised. Borrowed from the step. */
hl_str hl_step_result(const hl_step *step);
/* True between its begin and its end or hl_step_leave. */
bool hl_step_active(const hl_step *step);
/* Its work ended without a result: it is not done. `error`: JSON text of what it raised, which is what it
 * raises again once the run has gone on to a wait; p NULL: it was cut. */
void hl_step_leave(hl_step *step, hl_str error);

/* What is waited for ends in cb, later, never from inside, unless it is dropped
 * or the run ends first. code: 0, or HL_EIO (load only). */
typedef void (*hl_step_cb)(void *arg, int code);
hl_step_op *hl_run_steps_load(hl_run *run, hl_step_cb cb, void *arg);
/* Commits the result, with the effects that its task has buffered. `unstorable`: json says
 * why it cannot be kept. */
hl_step_op *hl_step_finish(hl_step *step, hl_str json, bool unstorable, hl_step_cb cb, void *arg);
void hl_step_op_drop(hl_step_op *op);

/* What a stored row of a step or of its write says of it, without what it keeps beside. */
hl_str hl_step_what(hl_str what);

/* ---- writes inside an open step ---- */
typedef enum hl_write_state {
  HL_WRITE_NEW,       /* intend, then write */
  HL_WRITE_LOST,      /* an earlier attempt was about to write this, or did: repeat it, look for it, or ask */
  HL_WRITE_ANSWERED,  /* an earlier attempt did; hl_write_answer says what came back */
} hl_write_state;
/* `what`: JSON text that is equal for equal writes. `head`: its part that two tries of one create
 * share even if the rest differs (kind and type); empty: only equal ones are the same. */
hl_write *hl_step_write(hl_step *step, hl_str what, hl_str head, hl_write_state *state);
/* The answer; of a lost one the time at which it was intended, epoch ms as text. */
hl_str hl_write_answer(const hl_write *w);
hl_step_op *hl_write_intend(hl_write *w, hl_step_cb cb, void *arg);
/* Kept without waiting, with the next commit. */
void hl_write_answered(hl_write *w, hl_str json);
/* It is out, or at least in the queue: what becomes of it is told by one of the others. */
void hl_write_sent(hl_write *w);
bool hl_write_is_sent(const hl_write *w);
/* HubSpot refused it, or it was never sent: nothing has happened. */
void hl_write_refused(hl_write *w);
/* Nobody can tell whether it was made. Unless the step is finished all the same, the run
 * that fails now is parked for a person, whatever retries it has, and an alert goes out. */
void hl_write_uncertain(hl_write *w);

/* A person has looked, and an operator's action puts the dead letter `parked` back to work:
 * `again`: nothing was made, the writes may be repeated; else it was: the step counts as done, with
 * no result. Commits with what gathers. */
void hl_engine_settle_uncertain(hl_engine *e, int64_t parked, bool again);

#endif
