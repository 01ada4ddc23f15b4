/* OAuth 2.0 with HubSpot's dated endpoints (FACTS 2; RFC 6749, 7636, 8252): the
 * requests of the token endpoint, what its answers mean, and what the browser's
 * way of logging in needs. One exchange, no repetition: who asks decides. Loop
 * thread; tokens and secrets go into request bodies only, never into a URL that
 * is kept, a log or an error. */
#ifndef HL_HUBSPOT_OAUTH_H
#define HL_HUBSPOT_OAUTH_H

#include "loop/loop.h"
#include "net/http.h"

typedef struct hl_oauth_tokens { /* owned texts, NULL: not given */
  char *access, *refresh;
  char *scopes;           /* separated by blanks */
  int64_t expires_in;     /* seconds */
  int64_t portal, user_id;
} hl_oauth_tokens;

void hl_oauth_tokens_wipe(hl_oauth_tokens *t);

typedef enum hl_oauth_outcome {
  HL_OAUTH_WELL,
  HL_OAUTH_AGAIN,         /* no answer, 429, 5xx: may be well later */
  HL_OAUTH_REFUSED,       /* the code or refresh token is used up, revoked or foreign: log in again */
  HL_OAUTH_WRONG,         /* the app: its id, secret, redirect address or scopes */
} hl_oauth_outcome;

/* What an answer of the token endpoint says. `out` is filled when it is WELL,
 * `err` otherwise. Pure; outside bytes. */
hl_oauth_outcome hl_oauth_read(int status, hl_str body, hl_oauth_tokens *out, hl_error *err);

typedef struct hl_oauth_app { /* borrowed */
  const char *base_url, *version;
  hl_net_policy policy;
  const char *client_id, *client_secret;
} hl_oauth_app;

typedef struct hl_oauth_result { /* borrowed for the length of the callback */
  hl_oauth_outcome outcome;
  const hl_oauth_tokens *tokens;
  int64_t after_ms;       /* AGAIN: not earlier */
  hl_error err;
} hl_oauth_result;

typedef struct hl_oauth_op hl_oauth_op;
typedef void (*hl_oauth_cb)(void *arg, const hl_oauth_result *result); /* once, from the loop; the op is gone */

/* `form`: names and values of the grant, NULL-terminated; the app's are added.
 * `op` is valid until the callback. */
int hl_oauth_ask(hl_loop *loop, hl_transport *t, const hl_oauth_app *app, const char *const *form, hl_oauth_cb cb, void *arg,
                 hl_oauth_op **op, hl_error *err);
/* Ends a refresh token at HubSpot; WELL without tokens. */
int hl_oauth_revoke(hl_loop *loop, hl_transport *t, const hl_oauth_app *app, const char *refresh_token, hl_oauth_cb cb, void *arg,
                    hl_oauth_op **op, hl_error *err);
void hl_oauth_cancel(hl_oauth_op *op);

/* ---- the browser's part ---- */

enum { HL_OAUTH_VERIFIER = 43 };
/* 256 random bits as base64url: a PKCE verifier, or a state. */
int hl_oauth_random(char out[HL_OAUTH_VERIFIER + 1], hl_error *err);
/* S256 of the verifier. */
void hl_oauth_challenge(const char *verifier, char out[HL_OAUTH_VERIFIER + 1]);

/* The page on which a person consents. `page`: "https://app.hubspot.com";
 * `portal` 0: any account; scopes separated by blanks, optional may be NULL. */
int hl_oauth_page(hl_buf *out, const char *page, int64_t portal, const char *client_id, const char *redirect, const char *scopes,
                  const char *optional_scopes, const char *state, const char *challenge);
/* The query that the browser came back with. HL_EAUTH: consent was denied;
 * HL_EDENIED: not of this login (state); HL_EPROTOCOL: no code. Outside bytes. */
int hl_oauth_callback(hl_str query, const char *state, char *code, size_t size, hl_error *err);

#endif
