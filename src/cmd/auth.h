/* What the `hubloop auth` commands share. Each runs once and ends: they may block
 * on files, and run the loop until what they asked for has come. */
#ifndef HL_CMD_AUTH_H
#define HL_CMD_AUTH_H

#include "cmd/cmd.h"
#include "hubspot/api.h"
#include "hubspot/stored.h"

typedef struct hl_auth { /* zero it first */
  hl_log *log;
  hl_loop *loop;
  hl_transport *client;
  hl_vault *vault;
} hl_auth;

int hl_auth_open(hl_auth *x, const hl_args *a, hl_error *err);
void hl_auth_close(hl_auth *x);
#define HL_AUTH_VAULT_FLAG {"vault", "FILE", "the encrypted store; default $HUBLOOP_VAULT, or hubloop/vault in ~/.config"}
#define HL_AUTH_ENV_FLAG {"env", "VAR", "read the secret from this environment variable, not from the terminal"}

/* Without echo from a terminal, from the variable --env names, or the first line
 * of standard input. Never from the arguments. */
int hl_auth_secret(const hl_args *a, const char *what, hl_buf *out, hl_error *err);
/* Refuses further operands, which are likely a pasted token. */
int hl_auth_one_name(const hl_args *a, const char **name, hl_error *err);
/* region, base_url (default HUBSPOT_BASE_URL) of the flags into `s`. */
int hl_auth_place(const hl_args *a, hl_stored *s, hl_error *err);

typedef struct hl_auth_identity {
  int64_t portal, app_id, user_id;
  char time_zone[64];
  char *scopes;            /* separated by blanks; NULL: not known. hl_free */
  size_t n_scopes;
} hl_auth_identity;
/* Asks HubSpot whose token it is. `kept`: it is in the vault, which the remedy of
 * an error may then name. HL_EAUTH: refused; HL_ENET: no answer within 20 s. */
int hl_auth_identify(hl_auth *x, const hl_stored *s, bool kept, hl_auth_identity *out, hl_error *err);
/* "private_app of portal 62515, 14 scopes" */
void hl_auth_describe(const hl_stored *s, const hl_auth_identity *id, char *out, size_t size);

extern const hl_command hl_auth_add, hl_auth_login, hl_auth_list, hl_auth_rotate, hl_auth_test, hl_auth_remove;

#endif
