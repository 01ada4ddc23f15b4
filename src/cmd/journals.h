/* The webhooks journals that the settings name, from the start of `serve` to its
 * drain: one reader for each stored client credential, whatever the number of
 * accounts that it brings events of. At start it blocks on the vault. */
#ifndef HL_CMD_JOURNALS_H
#define HL_CMD_JOURNALS_H

#include "cmd/runtime.h"

typedef struct hl_journals hl_journals;

/* rt->journals; stays NULL when no account has one. The engine is started. */
int hl_journals_start(hl_runtime *rt, hl_error *err);
/* Nothing more is taken; before the engine drains. */
void hl_journals_stop(hl_runtime *rt);
/* Before the engine and the accounts. NULL is fine, here and below. */
void hl_journals_free(hl_journals *j);
void hl_journals_status(const hl_journals *j, cJSON *into);

/* An account that calls with stored client credentials, in a hl_hubspot of its own so
 * that scripts do not see it. *loopback: its API is on this machine. */
int hl_journals_account(hl_runtime *rt, hl_hubspot *h, const char *name, hl_account **out, bool *loopback, hl_error *err);

#endif
