/* Whether the scripts of `serve` fit their accounts (SEMANTICS 25). Loading is offline; what a script names of the account is
 * asked for right after (stdlib/check/account.lua), and one that does not fit is halted: its events wait until it does, by a
 * reload or because the account has changed. While HubSpot does not answer, the others run, and what was halted before
 * stays so. Loop thread only. */
#ifndef HL_CMD_FIT_H
#define HL_CMD_FIT_H

#include "cmd/runtime.h"

typedef struct hl_fit hl_fit;
hl_fit *hl_fit_new(hl_runtime *rt);
/* Before hl_hubspot_free. */
void hl_fit_free(hl_fit *f);

/* This script has just been loaded: it is held until it has been looked at, for some seconds at most. */
void hl_fit_taken(hl_fit *f, const char *script, const char *path);
/* All that are loaded are taken, and the engine runs. */
void hl_fit_start(hl_fit *f);

#endif
