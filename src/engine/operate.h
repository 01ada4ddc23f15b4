/* What operators do to parked rows, running or not. Read them from the store first (store/operate.h); a
 * row that has changed meanwhile is left alone by the store. Loop thread; nothing blocks. */
#ifndef HL_ENGINE_OPERATE_H
#define HL_ENGINE_OPERATE_H

#include "engine/engine.h"
#include "store/operate.h"

/* What to think of a write of which nobody knows whether it was made (SEMANTICS 16). */
typedef enum hl_settle {
  HL_SETTLE_NOT,
  HL_SETTLE_AGAIN,           /* it was not: make it again */
  HL_SETTLE_DONE,            /* it was: its step counts as done */
} hl_settle;

/* True for a dead letter that waits for a person to say so. */
bool hl_parked_is_uncertain(const hl_parked *p);
/* A dead letter or an orphaned row goes back to work in the commit that gathers, with its stored steps
 * and all its attempts. HL_EINVAL: it cannot, and why. */
int hl_engine_retry(hl_engine *e, const hl_parked *p, hl_settle settle, hl_error *err);
/* Takes a dead letter or an orphaned row out for good: its event counts as removed, unless another handler has
 * run it. HL_EINVAL: it is neither. */
int hl_engine_remove(hl_engine *e, const hl_parked *p, hl_error *err);
/* After the commit of all that, when what is due starts. HL_EIO: the store cannot commit at the moment;
 * it will be done when it can. */
void hl_engine_after(hl_engine *e, void (*cb)(void *arg, int code), void *arg);

#endif
