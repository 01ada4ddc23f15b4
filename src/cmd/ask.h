/* What an account has, for stdlib/check/account.lua to hold scripts against. */
#ifndef HL_CMD_ASK_H
#define HL_CMD_ASK_H

#include "base/json.h"
#include "base/str.h"
#include "hubspot/api.h"

typedef struct hl_asking hl_asking;
/* Asks what account.lua calls questions, and puts what HubSpot says into `answers` (a JSON object, both the caller's): what
 * is not told stays as it was, `false` is what it does not tell this account. `again`: the token's scopes are asked for anew.
 * `done` once, later, and the asking is gone behind it: failed is the first thing that went wrong, NULL: nothing; notes
 * says what became false, a line each. `answers` lives until then, or until hl_asking_drop, after which nobody is called. */
typedef void (*hl_asked_cb)(void *arg, const char *failed, const char *notes);
hl_asking *hl_ask(hl_loop *loop, hl_account *a, const cJSON *questions, bool again, cJSON *answers, hl_asked_cb done, void *arg);
void hl_asking_drop(hl_asking *q);

typedef struct hl_ask_where {
  const char *path;      /* a script, or a project's folder with its settings */
  const char *account;   /* name; NULL: the only one */
  bool simulator;        /* the built-in one's account instead */
} hl_ask_where;
/* The same for a command. Blocks. */
int hl_ask_now(const hl_ask_where *where, const cJSON *questions, cJSON *answers, hl_buf *notes, hl_error *err);

#endif
