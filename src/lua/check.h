/* The static checks of stdlib/check, in a state of their own: they read scripts
 * and run none. Calls in and out are JSON. For the commands; blocks while it
 * reads files, so not while anything else runs on the loop. */
#ifndef HL_LUA_CHECK_H
#define HL_LUA_CHECK_H

#include "base/json.h"
#include "loop/loop.h"

/* Calls function `name` of stdlib/check/report.lua. *out is the answer, cJSON_Delete'd
 * by the caller. HL_EINVAL: a script does not compile or cannot be read; the text has the place.
 * cpu_ms: how long it may take; 0: two minutes. */
int hl_check_call(hl_loop *loop, const char *name, int64_t cpu_ms, const cJSON *request, cJSON **out, hl_error *err);

#endif
