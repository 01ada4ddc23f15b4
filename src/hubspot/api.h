/* HubSpot accounts and their API queues. One queue a credential, for all
 * scripts, batches and raw calls: budget -> class -> batch -> retry -> transport
 * (DESIGN "API queues", "Batching without delay"). Loop thread only; never
 * blocks; knows no Lua. */
#ifndef HL_HUBSPOT_API_H
#define HL_HUBSPOT_API_H

#include "base/json.h"
#include "hubspot/call_log.h"
#include "hubspot/credential.h"
#include "loop/loop.h"
#include "net/http.h"

typedef struct hl_hubspot hl_hubspot;   /* all accounts of a runtime */
typedef struct hl_account hl_account;

typedef struct hl_account_options {
  const char *name;              /* "main" */
  const char *token;             /* bearer; copied, registered as a log secret */
  hl_credential *credential;     /* instead of token; referenced */
  const char *base_url;          /* NULL: https://api.hubapi.com. http only to loopback */
  const char *version;           /* dated API version; NULL: "2026-09" */
  const char *tier;              /* "free" "starter" "professional" "enterprise"; NULL: free */
  int64_t portal;                /* 0: unknown */
  const int *day_reserve;        /* percent of the day's calls kept for live ones; NULL: 5 */
  const hl_str *client_secrets;  /* webhook signing secrets, copied */
  size_t n_client_secrets;
} hl_account_options;

/* The transport is borrowed. */
hl_hubspot *hl_hubspot_new(hl_loop *loop, hl_transport *transport);
/* Calls still queued end with HL_ECANCELLED first. */
void hl_hubspot_free(hl_hubspot *h);
/* From now on each call leaves a line in `log` (borrowed; NULL: none). */
void hl_hubspot_set_call_log(hl_hubspot *h, hl_call_log *log);
hl_call_log *hl_hubspot_call_log(const hl_hubspot *h);   /* NULL: none */
/* The first word of a day that its budget ends early, or has ended: `cb` takes it instead of the log,
 * and owns `details` (account and the budget's fields of hl_api_stats). From inside a turn of the loop. NULL: nobody. */
typedef void (*hl_day_cb)(void *arg, const char *text, cJSON *details);
void hl_hubspot_on_day_ending(hl_hubspot *h, hl_day_cb cb, void *arg);
/* Refuses API keys (36-character hex with dashes, "hapikey") with the way to
 * migrate, plain http to anything but loopback, an unknown tier, a name in use. */
int hl_hubspot_add_account(hl_hubspot *h, const hl_account_options *o, hl_account **out, hl_error *err);
/* A base_url is scheme and authority, https, or http to loopback; *out is the same
 * without a final '/', hl_free it. */
int hl_base_url_check(const char *account, const char *url, char **out, hl_error *err);
/* NULL name: the only account. HL_ENOTFOUND names the known ones; with several
 * accounts and a NULL name HL_EINVAL (SEMANTICS 21). */
int hl_hubspot_account(hl_hubspot *h, const char *name, hl_account **out, hl_error *err);
size_t hl_hubspot_accounts(hl_hubspot *h, hl_account **out, size_t max); /* the count */
/* A credential is fetching or storing a token: the loop should go on until it is done. */
bool hl_hubspot_renewing(const hl_hubspot *h);
const char *hl_account_name(const hl_account *a);
int64_t hl_account_portal(const hl_account *a);
/* The webhook signing secrets from now on; copied. */
void hl_account_set_secrets(hl_account *a, const hl_str *secrets, size_t n);
size_t hl_account_secrets(const hl_account *a, const hl_str **out);
hl_credential *hl_account_credential(const hl_account *a); /* borrowed */
const char *hl_account_version(const hl_account *a);

typedef enum { HL_CLASS_LIVE, HL_CLASS_NORMAL, HL_CLASS_BULK } hl_api_class;

/* Calls of one kind and object type are merged into one batch. */
#define HL_API_KINDS(X)                                                              \
  X(HL_API_RAW, "raw")                   /* as given; never merged */                \
  X(HL_API_GET, "get")                   /* one object */                            \
  X(HL_API_UPDATE, "update")             /* one object's properties */               \
  X(HL_API_CREATE, "create")             /* one object; never repeated blindly */    \
  X(HL_API_UPSERT, "upsert")             /* one object by a unique property */       \
  X(HL_API_ARCHIVE, "archive")           /* one object into the recycling bin */     \
  X(HL_API_ASSOCIATE, "associate")       /* one pair; default or labelled */         \
  X(HL_API_DISASSOCIATE, "disassociate") /* one pair; all of it or some labels */    \
  X(HL_API_ASSOCIATIONS, "associations") /* a page of what one object is linked to */

typedef enum hl_api_kind {
#define HL_X(name, text) name,
  HL_API_KINDS(HL_X)
#undef HL_X
} hl_api_kind;
/* False when there is no such kind. */
bool hl_api_kind_of(const char *name, hl_api_kind *out);
const char *hl_api_kind_name(hl_api_kind kind);

typedef struct hl_api_error {
  const char *kind;              /* "hubspot" "network" "timeout" "protocol" "cancelled" "uncertain" … */
  int status;                    /* HTTP status, 0 without an answer */
  const char *category;          /* may be NULL, as the rest */
  const char *message;           /* complete enough to print; never NULL */
  const char *correlation_id;
  bool retryable;
  const cJSON *context;          /* HubSpot's context and errors, or NULL */
  const char *reason;            /* `message` without method, path and account; NULL: the same */
} hl_api_error;

typedef struct hl_api_result {   /* borrowed for the length of the callback */
  int status;
  const cJSON *json;             /* the answer; one result taken out of a batch; NULL for an empty body */
  hl_str text;                   /* not empty: the answer instead of json, which `readable` has seen */
  const hl_api_error *error;     /* NULL: well */
} hl_api_result;

typedef void (*hl_api_cb)(void *arg, const hl_api_result *result);
typedef struct hl_api_op hl_api_op;

typedef struct hl_api_call {     /* borrowed for the length of hl_api_send */
  hl_api_kind kind;
  hl_api_class klass;
  const char *script;            /* whose call it is: fairness and the call log */
  bool no_batch;
  /* RAW. `path` has one leading '/', no scheme, host or query; "{version}" in it
   * becomes the account's. HL_EINVAL otherwise, and for v1-v4 paths of the APIs
   * that have a dated form, naming it. */
  const char *method, *path;
  const char *query;             /* encoded, without '?'; may be NULL */
  hl_str body;                   /* JSON text; RAW: any. UPDATE, UPSERT: {"properties":{…}}; CREATE: the same, and
                                    "associations"; ASSOCIATE, DISASSOCIATE: a list of types, empty: the default, all */
  const char *content_type;      /* NULL: application/json */
  /* All but RAW */
  const char *type;              /* "contacts" or a type id */
  const char *id;                /* not CREATE */
  /* What `id` is a value of; NULL: the record id. UPSERT needs it. CREATE: the
   * unique property by which the record is found again after a lost connection;
   * NULL: a contact's e-mail address, otherwise none. */
  const char *id_property;
  const char *const *properties; /* GET: wanted, NULL-terminated; NULL: HubSpot's default set */
  const char *to_type;           /* ASSOCIATE, DISASSOCIATE, ASSOCIATIONS */
  const char *to_id;             /* ASSOCIATE, DISASSOCIATE */
  const char *after;             /* ASSOCIATIONS: the cursor of the page before; NULL: the first page */
  /* True for a JSON text that the caller reads by itself: a read of its own may
   * then answer with the text, and no tree is made. NULL: always json. */
  bool (*readable)(hl_str text);
} hl_api_call;

/* Queues the call; `cb` runs once, later, never from inside. Calls of one kind,
 * of one turn of the loop (or waiting for budget), are merged.
 * Writes to one object keep the order of hl_api_send, and reads of it wait for
 * them (order.h says for which calls that is known). */
int hl_api_send(hl_account *account, const hl_api_call *call, hl_api_cb cb, void *arg,
                hl_api_op **op, hl_error *err);
/* True while nothing of the call has gone out. */
bool hl_api_unsent(const hl_api_op *op);
/* The callback is not called. A request already out is let finish or dropped. */
void hl_api_cancel(hl_api_op *op);

/* Whose token it is; what is not told is 0 or NULL. Borrowed for the length of the callback. */
typedef struct hl_identity {
  int64_t app_id, portal, user_id;
  const char *kind;              /* of hl_credential_kind */
  char **scopes;                 /* NULL-terminated */
  int64_t expires_at;            /* epoch ms */
  const char *time_zone;         /* the account's, an IANA name */
} hl_identity;
/* One of the two is NULL. */
typedef void (*hl_identity_cb)(void *arg, const hl_identity *id, const hl_api_error *error);
/* Asks HubSpot once (account details and introspection of the token) and remembers;
 * `cb` runs later, never from inside. An error only when neither told anything;
 * then it is asked again the next time. Stopping ends it with "cancelled". */
int hl_account_identify(hl_account *a, hl_identity_cb cb, void *arg, hl_error *err);
/* The next one asks anew, unless somebody waits for an answer now. */
void hl_account_forget_identity(hl_account *a);

typedef struct hl_api_stats {
  uint64_t calls;      /* asked for by scripts */
  uint64_t requests;   /* sent to HubSpot, retries included */
  uint64_t batched;    /* calls that travelled in a batch of two or more */
  uint64_t retries, errors, limited; /* limited: 429 answers */
  uint64_t queued, in_flight;        /* now */
  uint64_t outages;    /* times that HubSpot stopped answering */
  uint64_t unavailable; /* calls that ended unsent because of one */
  bool outage;         /* now */
  /* Budgets, now; -1: not known. Times are epoch ms, 0: not known, or not so. */
  int64_t limit, used, others;       /* of 10 seconds: calls allowed, held by ours, seen of other users of the token */
  int64_t day_limit, day_remaining, day_reserved;
  int64_t day_ends, day_runs_out;    /* its end; when all but the reserved ends before that, at the rate of the last hour */
} hl_api_stats;
void hl_account_stats(const hl_account *a, hl_api_stats *out);

#endif
