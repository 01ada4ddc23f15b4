/* secret "NAME" (SEMANTICS 36): the environment variable NAME, else the file that
 * the variable NAME_FILE names, else the vault's plain secret NAME. Loop thread; what a
 * file or the vault answered is believed for a minute, so it blocks at most once
 * in that time for each name. Every value given out is redacted in the log. */
#ifndef HL_HUBSPOT_SECRETS_H
#define HL_HUBSPOT_SECRETS_H

#include "hubspot/vault.h"
#include "loop/loop.h"

typedef struct hl_secrets hl_secrets;

/* `vault` is borrowed and may be NULL. */
hl_secrets *hl_secrets_new(hl_loop *loop, hl_vault *vault);
void hl_secrets_free(hl_secrets *s);
/* What files and the vault answered is asked for again. */
void hl_secrets_forget(hl_secrets *s);
/* `secrets` NULL: the environment and files only. `out` is cleared first; the
 * caller wipes it. HL_EAUTH says where it was looked for. */
int hl_secrets_get(void *secrets, const char *name, hl_buf *out, hl_error *err);
/* The same where nothing leaves the process (virtual time): a secret that is nowhere is "sim-NAME". */
int hl_secrets_made_up(void *s, const char *name, hl_buf *out, hl_error *err);

#endif
