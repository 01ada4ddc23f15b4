/* What the `hubloop webhooks` commands share: the project with its scripts loaded
 * and not started, and the subscriptions that there are. Each runs once and ends:
 * they block, and run the loop until what they asked for has come. */
#ifndef HL_CMD_WEBHOOKS_H
#define HL_CMD_WEBHOOKS_H

#include "cmd/cmd.h"
#include "cmd/runtime.h"

typedef struct hl_hooks {    /* zero it first */
  hl_runtime *rt;
  hl_hubspot *apps;          /* of the journals */
  char *base;                /* where the app's settings are */
  hl_buf key;                /* the developer key */
  char *state_path;          /* beside the store: what we have made */
  cJSON *state;
} hl_hooks;

/* Loads the settings and the scripts of DIR, and the state. */
int hl_hooks_open(hl_hooks *x, const char *dir, hl_error *err);
void hl_hooks_close(hl_hooks *x);
/* What stdlib/check/webhooks.lua works on, but for `as` and the like: asks HubSpot. */
int hl_hooks_request(hl_hooks *x, cJSON **out, hl_error *err);
/* Carries one action out and remembers it in the state file. */
int hl_hooks_do(hl_hooks *x, const cJSON *action, hl_error *err);

/* One request with no account's token; *json NULL: the answer is none. */
int hl_hooks_send(hl_runtime *rt, const hl_http_request *q, int *status, cJSON **json, hl_error *err);

extern const hl_command hl_webhooks_test;

#endif
