/* The accounts of a runtime: out of hubloop.lua, the environment or the vault.
 * At the start and at a reload; blocks on files. */
#ifndef HL_CMD_ACCOUNTS_H
#define HL_CMD_ACCOUNTS_H

#include "cmd/runtime.h"

/* rt->vault and rt->secrets. */
int hl_accounts_open(hl_runtime *rt, hl_error *err);
/* Every account of the project; or, without settings, the one of `account`
 * (NULL: HUBSPOT_TOKEN, else the only one stored). A lone script may have none. */
int hl_accounts_add(hl_runtime *rt, const char *account, hl_error *err);
/* What the settings and secrets say now, compared with those of rt->project: new accounts are added; of the others client secrets and
 * tokens are read again. What counts from the next start only is named in `later`. */
int hl_accounts_again(hl_runtime *rt, const hl_project *fresh, hl_buf *later, hl_error *err);

#endif
