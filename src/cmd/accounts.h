/* The accounts of a runtime: out of hubloop.lua, the environment or the vault.
 * At start only; blocks on files. */
#ifndef HL_CMD_ACCOUNTS_H
#define HL_CMD_ACCOUNTS_H

#include "cmd/runtime.h"

/* rt->vault and rt->secrets. */
int hl_accounts_open(hl_runtime *rt, hl_error *err);
/* Every account of the project; or, without settings, the one of `account`
 * (NULL: HUBSPOT_TOKEN, else the only one stored). A lone script may have none. */
int hl_accounts_add(hl_runtime *rt, const char *account, hl_error *err);

#endif
