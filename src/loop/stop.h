/* SIGTERM and SIGINT as commands take them. The first comes to the loop; the
 * second ends the process from inside the signal handler, with the exit code
 * 128 + its number, so that it works while one C call does not return. What has
 * been acknowledged is in the store by then, so nothing is lost.
 *
 * Signal handlers are the process's own: one loop a process may watch. */
#ifndef HL_LOOP_STOP_H
#define HL_LOOP_STOP_H

#include <sys/types.h>

#include "loop/loop.h"

/* `parent` 0: every signal counts. Else those of that process only: a terminal, or
 * systemd, sends one to a supervisor and its child alike, and the supervisor sends
 * its own on. `cb` may be called more than once. */
int hl_stop_watch(hl_loop *loop, pid_t parent, hl_signal_cb cb, void *arg, hl_error *err);

#endif
