/* A credential: where the API queue's bearer token comes from. Static kinds have
 * one; OAuth and client credentials get theirs from HubSpot's token endpoint and
 * renew it in time. Counted references: accounts that share a credential share
 * its token, its one renewal, and so its queue. Loop thread only; never blocks;
 * never logs or prints a token. */
#ifndef HL_HUBSPOT_CREDENTIAL_H
#define HL_HUBSPOT_CREDENTIAL_H

#include "hubspot/oauth.h"

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

/* What a credential consists of, as it is kept. Owned texts, NULL: none. */
typedef struct hl_grant {
  char *access;           /* the token of static kinds too */
  char *refresh;
  char *older;            /* the refresh (static: access) token before this one: kept until the new one has worked */
  int64_t expires_at;     /* of access, epoch ms; 0: does not end, or ended */
  int64_t life_ms;        /* of access when it was given */
  char *scopes;           /* separated by blanks */
  int64_t portal, user_id;
} hl_grant;

void hl_grant_copy(hl_grant *to, const hl_grant *from);
void hl_grant_wipe(hl_grant *g);

/* Where a grant is kept. begin and save are called on a worker thread, never two
 * at once, and may block. */
typedef struct hl_keeper hl_keeper;
struct hl_keeper {
  /* Makes this process the only one that renews, and reads what is kept now.
   * HL_EBUSY: another one is at it. */
  int (*begin)(hl_keeper *k, hl_grant *kept, hl_error *err);
  int (*save)(hl_keeper *k, const hl_grant *g, hl_error *err); /* durable on return */
  void (*end)(hl_keeper *k);   /* any thread; at once */
  void (*free)(hl_keeper *k);  /* after end */
};

typedef struct hl_credential_options { /* copied, but for loop and transport */
  hl_loop *loop;
  hl_transport *transport;    /* NULL for static kinds */
  const char *name;           /* under which a person knows it: hubloop auth login NAME */
  hl_credential_kind kind;
  hl_oauth_app app;           /* not for static kinds */
  const char *scopes;         /* to ask for: client credentials */
  hl_grant grant;
  hl_keeper *keeper;          /* taken; NULL: kept in memory only */
} hl_credential_options;

hl_credential *hl_credential_new(const hl_credential_options *o);
/* A static token, checked already; registered as a log secret. */
hl_credential *hl_credential_static(hl_loop *loop, hl_credential_kind kind, const char *token);
/* Its token is another one from now on; what is on its way and is refused for the one before is sent again. */
void hl_credential_replace(hl_credential *c, const char *token);
hl_credential *hl_credential_ref(hl_credential *c);
void hl_credential_unref(hl_credential *c); /* NULL is fine; the last one wipes the tokens */
hl_credential_kind hl_credential_kind_get(const hl_credential *c);
bool hl_credential_same(const hl_credential *a, const hl_credential *b);
/* NULL when it has none, as the rest of the grant. */
const hl_oauth_app *hl_credential_app(const hl_credential *c);
const hl_grant *hl_credential_grant(const hl_credential *c);
/* A new token was asked for or is being stored: whoever stops the loop waits for it. */
bool hl_credential_busy(const hl_credential *c);
/* Fetches a new token now, whatever the age of the old one. */
void hl_credential_renew(hl_credential *c);

/* True, and a token that is good now. False: there is none yet, so wait; `out`
 * is the last one, if there was any. */
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

/* What a person does about a refused token, calls going to `base_url`: appended. */
void hl_credential_remedy(const hl_credential *c, const char *account, const char *base_url, hl_buf *out);

#endif
