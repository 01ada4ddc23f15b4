/* A credential: where the API queue's bearer token comes from. Static kinds have
 * one; OAuth and client credentials get theirs from HubSpot's token endpoint and
 * renew it in time. Counted references: accounts that share a credential share
 * its token, its one renewal, and so its queue. Loop thread only; never blocks;
 * never logs or prints a token. */
#ifndef HL_HUBSPOT_CREDENTIAL_H
#define HL_HUBSPOT_CREDENTIAL_H

#include "loop/loop.h"

#define HL_CREDENTIAL_KINDS(X)                       \
  X(HL_CREDENTIAL_PRIVATE_APP, "private_app")        \
  X(HL_CREDENTIAL_SERVICE_KEY, "service_key")        \
  X(HL_CREDENTIAL_PLATFORM_APP, "platform_app")      \
  X(HL_CREDENTIAL_OAUTH, "oauth")                    \
  X(HL_CREDENTIAL_CLIENT, "client_credentials")

typedef enum hl_credential_kind {
#define HL_X(name, text) name,
  HL_CREDENTIAL_KINDS(HL_X)
#undef HL_X
} hl_credential_kind;

const char *hl_credential_kind_name(hl_credential_kind kind);
/* HL_EINVAL lists the kinds. */
int hl_credential_kind_of(const char *name, hl_credential_kind *out, hl_error *err);

typedef struct hl_credential hl_credential;

typedef struct hl_token { /* borrowed until the loop turns */
  hl_str text;
  unsigned no;            /* counts renewals: which token a call was sent with */
} hl_token;

/* Refuses what no token can be, and API keys with the way to migrate; `whose` is
 * named in the message: account "main". Pure. */
int hl_token_check(const char *whose, hl_str token, hl_error *err);
/* "eu1" of pat-eu1-…; empty when the token does not say. */
hl_str hl_token_region(hl_str token);

/* A static token, checked already; copied, registered as a log secret. */
hl_credential *hl_credential_static(hl_loop *loop, hl_credential_kind kind, const char *token);
hl_credential *hl_credential_ref(hl_credential *c);
void hl_credential_unref(hl_credential *c); /* NULL is fine; the last one wipes the tokens */
hl_credential_kind hl_credential_kind_get(const hl_credential *c);
bool hl_credential_same(const hl_credential *a, const hl_credential *b);

/* True, and a token that is good now. False: there is none yet, so wait. */
bool hl_credential_token(hl_credential *c, hl_token *out);

/* Embedded in the waiter, zeroed first, like hl_timer. `err` NULL: there is a
 * token. Called once, from the loop, never from inside. May free its owner. */
typedef struct hl_credential_wait hl_credential_wait;
typedef void (*hl_credential_cb)(void *arg, const hl_error *err);
struct hl_credential_wait {
  hl_credential_wait *next, *prev; /* NULL: not waiting */
  hl_credential_cb cb;
  void *arg;
};
void hl_credential_wait_start(hl_credential *c, hl_credential_wait *w, hl_credential_cb cb, void *arg); /* waiting: nothing */
void hl_credential_wait_stop(hl_credential *c, hl_credential_wait *w);

/* HubSpot answered a call that carried token `no`: with 401 (true: send it again,
 * with the token that is there or will come), or with anything that shows the
 * token to be good. */
bool hl_credential_refused(hl_credential *c, unsigned no);
void hl_credential_worked(hl_credential *c, unsigned no);

/* What a person does about a refused token, for host `base_url`: appended. */
void hl_credential_remedy(const hl_credential *c, const char *account, const char *base_url, hl_buf *out);

#endif
