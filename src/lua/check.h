/* The static checks of stdlib/check, in a state of their own: they read scripts
 * and run none. Calls in and out are JSON. For the commands; blocks while it
 * reads files, so not while anything else runs on the loop. */
#ifndef HL_LUA_CHECK_H
#define HL_LUA_CHECK_H

#include "base/json.h"
#include "loop/loop.h"

typedef struct hl_check hl_check;

/* A state with module `module` in it. cpu_ms: how long one call may take; 0: two minutes. */
int hl_check_new(hl_loop *loop, const char *module, int64_t cpu_ms, hl_check **out, hl_error *err);
void hl_check_free(hl_check *c);

/* Calls the module's function `name`. *out is the answer, cJSON_Delete'd by the caller.
 * HL_EINVAL: it raised: a script does not compile or cannot be read; the text has the place. */
int hl_check_ask(hl_check *c, const char *name, const cJSON *request, cJSON **out, hl_error *err);

/* The three for one call of stdlib/check/report.lua. */
int hl_check_call(hl_loop *loop, const char *name, int64_t cpu_ms, const cJSON *request, cJSON **out, hl_error *err);

#endif
