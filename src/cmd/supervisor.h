/* The parent of `hubloop serve` (SEMANTICS 45): it forks the child that serves,
 * watches that its loop turns, and starts it again when one call does not return
 * or the process crashes. It has no loop and no thread, and allocates nothing
 * that grows. Between two children nothing listens. */
#ifndef HL_CMD_SUPERVISOR_H
#define HL_CMD_SUPERVISOR_H

#include "base/log.h"
#include "engine/page.h"

/* Forks. In the child true: it goes on and serves, with the page. In the parent false, when
 * all is over, with the exit code. Called before there is any thread. */
bool hl_supervise(hl_log *log, hl_page **page, int *code);

#endif
