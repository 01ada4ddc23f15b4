/* What a run has asked for by name, steps and waits, as step.c and wait.c share
 * it. Inside src/engine only. */
#ifndef HL_ENGINE_STEPS_H
#define HL_ENGINE_STEPS_H

#include "engine/inside.h"
#include "engine/step.h"
#include "store/steps.h"

struct hl_write {
  hl_write *next;
  hl_step *step;
  unsigned n;
  bool used, sent;       /* by this attempt */
  hl_step_kind kind;
  char *what, *answer;
  size_t what_n, answer_n;
};

struct hl_step {
  hl_step *next;
  hl_run *run;
  char *name, *json;
  size_t name_n, json_n;
  unsigned place;        /* where the attempt that stores it has asked for it first; 0: not yet */
  unsigned writer, last_write;
  bool used, active;     /* used: its name was asked for in this attempt */
  bool stored;           /* finished or waiting, not only asked for */
  bool child;            /* of a child task: its place says nothing */
  bool uncertain;        /* what one of its writes did is not known */
  bool raised;           /* in this attempt, and has not been called again; json: the error */
  size_t wrote;          /* hl_own_count when it began */
  hl_step_kind kind;
  hl_write *writes;
  struct hl_wait *wait;  /* NULL: a step */
};

struct hl_steps {
  hl_step *first, **tail;/* stored ones by place, then as they were asked for */
  unsigned n, place;
  unsigned asked;        /* the last place of a stored one that the main task has asked for */
  bool known;            /* what is stored has been read, or there can be nothing */
  bool stored;           /* rows may be in the store */
  uint64_t seq;          /* of the newest transaction that carries some */
  hl_step *ends;         /* the wait with which the run ends; NULL: none */
};

/* Something out for a run: it outlives the run, its caller does not hear of it then. */
struct hl_step_op {
  hl_link link;          /* e->step_ops */
  hl_engine *e;
  hl_run *run;           /* NULL: gone */
  hl_step *step;         /* of a wait */
  hl_step_cb cb;         /* NULL: dropped */
  void *arg;
};
hl_step_op *hl_step_op_new(hl_run *run, hl_step_cb cb, void *arg);
void hl_step_op_end(hl_step_op *op, int code);

/* Finds or makes what goes by `name`, for this attempt: HL_EBUSY, HL_EINVAL, HL_ELIMIT and
 * HL_ECANCELLED as hl_run_step. */
int hl_step_ask(hl_run *run, hl_str name, bool wait, hl_step **out, hl_error *err);
/* A row of the step itself (n 0) or of a write into the transaction that gathers. */
void hl_step_store(hl_step *step, unsigned n, hl_step_kind kind, hl_str what, hl_str json);
hl_step_key hl_step_key_of(const hl_run *run, hl_buf *name); /* `name` holds its text */

/* wait.c: what a row of a wait says */
bool hl_wait_read(hl_step *step, hl_str what); /* false: it is none */
void hl_wait_free(struct hl_wait *wait);

#endif
