/* Loading a project's scripts, at the start and again while it serves
 * (SEMANTICS 27): each script as a whole or not at all, those that load all at
 * one moment. Loop thread only. */
#ifndef HL_CMD_RELOAD_H
#define HL_CMD_RELOAD_H

#include "cmd/runtime.h"

typedef struct hl_reload hl_reload;

typedef struct hl_reload_result { /* borrowed for the length of the callback */
  size_t taken, failed, gone;  /* scripts: run anew; stay as they were, or do not run; were taken out */
  const cJSON *messages;       /* what the log says of it, an array of strings */
} hl_reload_result;
typedef void (*hl_reload_cb)(void *arg, const hl_reload_result *result);

/* Running tasks of scripts that are replaced get drain_ms. */
hl_reload *hl_reload_new(hl_runtime *rt, int64_t drain_ms);
/* What is being loaded is dropped; callbacks still to come never do. */
void hl_reload_free(hl_reload *r);
/* Reads settings and scripts again. One that is asked for while another goes on follows it, several as one. `cb` (NULL:
 * nobody) is called later, when it is over. `person`: somebody has asked for it, so a script that ended a child while
 * it loaded is tried again. */
void hl_reload_start(hl_reload *r, bool person, hl_reload_cb cb, void *arg);

#endif
