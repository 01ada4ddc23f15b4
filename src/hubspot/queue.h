/* The API queue of one credential, inside: shared by queue.c (lanes), leave.c
 * (which call leaves when), order.c (calls on one object), kind.c (what each kind of call looks
 * like), batch.c (merging), match.c (taking apart), request.c (one HTTP exchange
 * and its repetitions) and accounts.c. Nobody else includes it. Loop thread.
 *
 * The life of a call (hl_api_op): WAITING behind an earlier write to the same
 * object -> READY in the lane of its script (and in a group, if it can be
 * merged) -> TRAVELLING in a request -> finished: the callback, then gone. */
#ifndef HL_HUBSPOT_QUEUE_H
#define HL_HUBSPOT_QUEUE_H

#include "hubspot/api.h"
#include "hubspot/breaker.h"
#include "hubspot/budget.h"
#include "hubspot/day.h"
#include "hubspot/credential.h"
#include "hubspot/errors.h"

enum { HL_CLASSES = 3, HL_IN_FLIGHT_MAX = 16, HL_HOLDS_MAX = 4 };

typedef struct hl_link { struct hl_link *next, *prev; } hl_link; /* ring; a head is one too */

static inline void hl_link_init(hl_link *l) { l->next = l->prev = l; }
static inline bool hl_link_alone(const hl_link *l) { return l->next == l; }
static inline void hl_link_before(hl_link *place, hl_link *l) {
  l->next = place;
  l->prev = place->prev;
  place->prev->next = l;
  place->prev = l;
}
static inline void hl_link_remove(hl_link *l) {
  l->prev->next = l->next;
  l->next->prev = l->prev;
  hl_link_init(l);
}
#define HL_LINKED(link, type, member) HL_CONTAINER(link, type, member)

/* The buckets, keyed as HubSpot counts (SEMANTICS 31); with an unknown key one
 * belongs to one queue alone. They live as long as the hl_hubspot. */
typedef struct hl_portal {
  struct hl_portal *next;
  int64_t id;
  hl_window search;
  hl_day day;              /* of the portal's private apps and keys (FACTS 3), */
  hl_day oauth_day;        /* and of tokens that do not count there; unlimited until an answer says otherwise */
} hl_portal;

typedef struct hl_bucket { /* the 10 seconds of one app in one portal */
  struct hl_bucket *next;
  int64_t app, portal;
  hl_window window;
} hl_bucket;

typedef enum { HL_JOURNAL_EVENTS, HL_JOURNAL_SUBSCRIPTIONS, HL_JOURNAL_SNAPSHOTS, HL_JOURNALS } hl_journal_part;

typedef struct hl_app { /* the webhooks journal of one app */
  struct hl_app *next;
  int64_t id;
  hl_window journal[HL_JOURNALS];
} hl_app;

typedef struct hl_lane { /* one script's ready calls of one class; gone when empty */
  hl_link ring;
  char *script;
  hl_link ops;
} hl_lane;

/* Few calls of the first ones can leave, so they go first. */
typedef enum { HL_STREAM_SEARCH, HL_STREAM_MAIN, HL_STREAM_JOURNAL, HL_STREAMS = HL_STREAM_JOURNAL + HL_JOURNALS,
  HL_STREAM_HELD = HL_STREAMS /* calls of a family that does not answer (outage.c); nothing leaves from it */
} hl_stream_kind;

typedef struct hl_stream { /* what one window governs */
  hl_window *window;
  hl_link lanes[HL_CLASSES];  /* the first is the next one served */
  hl_link again[HL_CLASSES];  /* requests to be sent again, or halves */
  size_t ready;               /* ops in lanes and requests in again */
  int64_t waits_since[HL_CLASSES]; /* loop ms: work waits and none of it has left; 0: not so */
  int64_t above_at, told_at;  /* the last time that one above bulk left, and that this was said */
} hl_stream;

typedef struct hl_group { /* ready calls that fit in one batch; gone when empty */
  struct hl_group *next;
  uint64_t hash;          /* of all that its members have in common */
  hl_account *account;
  hl_api_kind kind;
  int variant;
  char *type, *id_property, *to_type;
  hl_link ops[HL_CLASSES];
  size_t n;
} hl_group;

/* An op's place at an object (or a pair of objects): order.c. */
typedef enum hl_hold_mode {
  HL_HOLD_WRITE,      /* excludes all others */
  HL_HOLD_LINK,       /* changes associations: excludes writes and readers of links */
  HL_HOLD_READ,       /* waits for writes, holds nothing */
  HL_HOLD_READ_LINKS, /* waits for writes and links, holds nothing */
} hl_hold_mode;
struct hl_object;
typedef struct hl_hold {
  hl_link link;             /* object's waiting */
  struct hl_object *object; /* NULL: done with it */
  hl_api_op *op;
  hl_hold_mode mode;
  bool active;
} hl_hold;

typedef enum { HL_OP_WAITING, HL_OP_READY, HL_OP_TRAVELLING } hl_op_state;

typedef struct hl_call hl_call;
typedef struct hl_lost hl_lost;

struct hl_api_op {
  hl_link link;           /* object's waiting, lane's ops, or request's ops */
  hl_link in_group;
  hl_op_state state;
  hl_account *account;
  hl_api_kind kind;
  hl_api_class klass;
  bool alone;             /* not merged: asked so, or sent singly after a batch */
  hl_stream_kind stream;
  bool held;              /* in HL_STREAM_HELD */
  hl_lane *lane;
  hl_group *group;
  hl_call *call;          /* while travelling */
  hl_hold holds[HL_HOLDS_MAX];
  unsigned n_holds, blocked; /* blocked: holds that wait */
  size_t read_slot;       /* queue's reads + 1 of which it is the entry; 0: none */
  hl_lost *lost;          /* a create whose answer was lost, while it is looked for */
  char *script;
  char *method, *path, *query, *content_type; /* RAW; path is final */
  char *body;             /* RAW: the body; otherwise what its kind sends (kind.c) */
  size_t body_n;
  char *type, *id, *id_property, *to_type, *to_id, *after;
  char *row;              /* what names its row in an answer; NULL: only a trace id does */
  int variant;            /* of its kind: calls of different ones do not travel together */
  char **properties;      /* NULL-terminated, or NULL */
  int64_t asked;          /* loop ms */
  size_t input;           /* in a batch: which input is its */
  bool (*readable)(hl_str text);
  hl_api_cb cb;           /* NULL: cancelled */
  void *arg;
};

struct hl_call { /* a request: one HTTP exchange, and its repetitions */
  hl_link link;           /* queue's calls, or a stream's again */
  struct hl_queue *queue;
  hl_account *account;
  hl_stream *stream;
  hl_api_class klass;
  hl_api_kind kind;
  hl_link ops;
  size_t inputs;          /* distinct objects; 0: not a batch */
  const char *method;     /* borrowed from the first op, or constant */
  char *method_own, *path, *query;
  char *content_type;
  hl_buf body;
  bool safe, out;
  bool probe;             /* asks whether HubSpot answers again */
  bool renewed;           /* sent again once after a 401 */
  unsigned token_no;      /* which token it carried */
  unsigned attempts;
  int64_t first_sent;
  hl_window *window;      /* counted there while out: the stream's may change */
  hl_slot_id slot;
  /* For the call log. */
  size_t n_ops;           /* that have travelled in it */
  hl_str text;            /* while its one op ends: the answer, of which no tree was made */
  uint64_t number;        /* 0: never sent */
  int64_t sent, answered; /* loop ms of the last attempt */
  unsigned limited;       /* 429 answers */
  char correlation_id[40];
  hl_http_op *http;
  hl_timer timer;         /* while out: until it is late; then: until it may be sent again */
};

typedef struct hl_family { /* calls of one kind and type, or to one path */
  bool isolated;
  bool pass;              /* the next one made ready is its probe */
  uint64_t id;
  hl_breaker breaker;     /* open */
  char what[160], why[160];
} hl_family;

typedef struct hl_whose hl_whose;
typedef struct hl_queue {
  struct hl_queue *next;
  hl_hubspot *hubspot;
  hl_credential *credential;
  hl_credential_wait token_wait; /* ready calls, but no token yet */
  char *base_url;
  hl_net_policy policy;
  hl_portal *portal;
  hl_day *day;            /* of the portal: the one where its calls count */
  hl_bucket *bucket;
  hl_app *app;
  hl_stream streams[HL_STREAMS + 1];
  hl_whose *whose;        /* identity.c; NULL: not asked yet */
  hl_group *groups;
  struct hl_order *order;
  hl_breaker breaker;
  hl_family family;       /* that alone does not answer */
  hl_timer outage_tick;   /* while the breaker is open */
  char outage_why[160];   /* the last failure */
  char outage_what[160];  /* ... of which call */
  hl_link lost;           /* creates that are looked for */
  hl_link calls;          /* every request that is out or waits for its timer */
  size_t in_flight, n_ops;
  hl_timer timer;         /* a window frees */
  hl_timer day_timer;     /* what the day refuses ends */
  hl_defer turn;          /* the end of this turn of the loop */
} hl_queue;

struct hl_account {
  hl_account *next;
  hl_hubspot *hubspot;
  hl_queue *queue;
  char *name, *version;
  int64_t portal;
  hl_str *secrets;
  size_t n_secrets;
  int64_t told_at;        /* loop ms of the last word that HubSpot does not answer; 0: never */
  hl_api_stats stats;
};

struct hl_hubspot {
  hl_loop *loop;
  hl_transport *transport;
  hl_account *accounts;
  hl_queue *queues;
  hl_portal *portals;
  hl_bucket *buckets;
  hl_app *apps;
  hl_call_log *calls;     /* NULL: none is kept */
  hl_day_cb day_ending;   /* NULL: nobody */
  void *day_ending_arg;
  uint64_t requests;
  int64_t clock_ahead;    /* of HubSpot's clock, when last looked at */
  int64_t clock_due;      /* loop ms: when an answer's Date is looked at again */
  bool closing;
};

/* queue.c */
hl_queue *hl_queue_new(hl_hubspot *h, hl_credential *credential, const char *base_url, hl_net_policy policy,
                       hl_portal *portal, hl_bucket *bucket, hl_app *app);
void hl_queue_use_portal(hl_queue *q, hl_portal *portal);
void hl_queue_free(hl_queue *q);   /* after hl_queue_cancel_all */
void hl_queue_cancel_all(hl_queue *q);
void hl_queue_kick(hl_queue *q);   /* look for work at the end of the turn */
/* Into its lane, and its group if it can be merged; `first`: before all others of its script. */
void hl_queue_make_ready(hl_queue *q, hl_api_op *op, bool first);
void hl_queue_reline(hl_queue *q, hl_api_op *op); /* a ready op, into the lane where it belongs now */
/* A travelling op goes back to its lane to be sent alone, first of all. */
void hl_queue_alone(hl_queue *q, hl_api_op *op);
/* Takes a ready op out of lane and group, to travel in `call`. */
void hl_queue_take(hl_queue *q, hl_api_op *op, hl_call *call);
/* `call` (in no list) is sent when its window and class allow. */
void hl_queue_again(hl_queue *q, hl_call *call);
/* Ends what is ready and has not left, of the classes from `from` on. Bounded by
 * what is there now: a callback may ask again. */
void hl_queue_refuse(hl_queue *q, hl_api_class from, const hl_api_error *error);
bool hl_queue_ready(const hl_queue *q);
/* Ends a travelling op: lets calls behind it go on, calls back, frees it. */
void hl_queue_finish(hl_queue *q, hl_api_op *op, int status, const cJSON *json, const hl_api_error *error);

/* held.c */
cJSON *hl_held_answer(const hl_api_op *op, const char *id, int64_t now, int *status);

/* leave.c */
void hl_queue_budgets(hl_queue *q, hl_api_stats *out);
void hl_queue_turn(hl_defer *defer, void *queue);
/* FACTS 3: which limit counts it. */
hl_stream_kind hl_stream_kind_of(const char *method, hl_str path);

/* call_note.c */
/* A call's line in the call log; it ends, or is given up (`error` of kind "cancelled"). */
void hl_call_note(const hl_api_op *op, int status, const cJSON *json, const hl_api_error *error);

/* hl_api_send; `ordered` false: it does not wait for writes to its object, and is not counted as a script's call. */
int hl_queue_add(hl_account *a, const hl_api_call *call, hl_api_cb cb, void *arg, bool ordered, hl_api_op **op, hl_error *err);

/* lost.c: creates whose answer was lost */
/* Takes the op out of its request and settles it: by looking for the record, else as uncertain, because of `why`. */
void hl_lost_create(hl_queue *q, hl_api_op *op, int status, const char *why, int64_t first_sent);
/* A create that was sent again is refused. True: it goes on (it may have been carried out the first time). */
bool hl_lost_refused(hl_queue *q, hl_api_op *op, const hl_api_error *error);
void hl_lost_free(hl_api_op *op);
void hl_lost_cancel_all(hl_queue *q);

/* outage.c */
bool hl_outage_on(const hl_queue *q);
/* When the next call of `c`'s family may leave (loop ms; INT64_MAX: that depends on an answer). */
int64_t hl_outage_free_at(const hl_call *c);
/* Whether the op waits in HL_STREAM_HELD. */
bool hl_outage_isolates(hl_queue *q, const hl_api_op *op);
/* Nothing of the stream may leave now. Otherwise, *first is the op that leaves, NULL: whichever is next. */
bool hl_outage_holds(hl_queue *q, hl_stream *s, hl_api_op **first);
void hl_outage_sent(hl_call *c);
/* An exchange ended (`status` 0: without an answer, `err` says why). */
void hl_outage_answer(hl_call *c, int status, const hl_error *err);

/* kind.c */
typedef struct hl_kind {
  size_t most;       /* inputs of a batch (FACTS 3); 0: never merged */
  bool read;         /* changes nothing; calls for one row are one input, also one that is out */
  bool safe;         /* a repetition has no second effect */
  bool silent;       /* the answer names no rows: an input that no error names is well */
  bool bodiless;     /* ... and a batch may be answered without any body */
  /* Checks and copies what the call says. */
  int (*fill)(hl_api_op *op, const hl_api_call *call, hl_error *err);
  /* Method, path, query, body of a call for one row. HL_ELIMIT: too long, NULL: there is none, so a batch of one. */
  int (*single)(hl_call *c);
  /* Path of the batch, and the body's members around the inputs. */
  void (*batch)(const hl_call *c, hl_buf *path, hl_buf *head);
  void (*input)(const hl_api_op *op, hl_buf *body); /* one element of "inputs" */
  /* What names the row of a result or an error; false: nothing does. Several for an error (at 0, 1, ...). */
  bool (*result_row)(const hl_api_op *any, const cJSON *result, hl_buf *row);
  bool (*error_row)(const hl_api_op *any, const cJSON *context, size_t at, hl_buf *row);
} hl_kind;
extern const hl_kind hl_kinds[];
/* Method, path and body for the ops of `c`, which hold n inputs numbered from 0 in the order of appearance. */
void hl_kind_encode(hl_call *c, size_t n);
int hl_kind_fill(hl_api_op *op, const hl_api_call *call, hl_error *err);
uint64_t hl_hash(uint64_t h, const char *s); /* FNV-1a, goes on from h; NULL is the empty text */
enum { HL_HASH_START = 0 };
/* Text that a request is made of: a piece that is missing would make it another
 * request, so where memory ends, the process does. */
void hl_must(int rc);

/* order.c */
struct hl_order *hl_order_new(void);
void hl_order_free(struct hl_order *o); /* empty */
/* True when the op has to wait: it becomes ready when those before it leave. */
bool hl_order_enter(hl_queue *q, hl_api_op *op);
/* The op is through, or cancelled. Safe to call twice. */
void hl_order_leave(hl_queue *q, hl_api_op *op);
/* An answer told which record a unique value belongs to: later calls by either are ordered. */
void hl_order_learn(hl_queue *q, const hl_api_op *op, const cJSON *record);
/* Reads that are out: an op that wants nothing more travels with one of them. False: it does not. */
bool hl_order_join(hl_queue *q, hl_api_op *op);
void hl_order_reading(hl_queue *q, hl_api_op *op); /* op of a read leaves now */
void hl_order_read(hl_queue *q, hl_api_op *op);    /* ... it came back */

/* batch.c */
/* The request for a ready op, which takes along what fits; taken from the lanes. */
hl_call *hl_batch_gather(hl_queue *q, hl_api_op *op);
/* Two requests of half the inputs each instead of `call`, whose ops leave it. */
void hl_batch_halve(hl_call *call);

/* match.c */
/* Gives each op of an answered batch its result or error, or sends it alone.
 * False when the answer has not the shape of a batch answer. */
bool hl_batch_take_apart(hl_call *call, int status, const cJSON *json);
/* The answer to a single call, for each op that travelled in it. */
void hl_batch_give_all(hl_call *call, int status, const cJSON *json);

/* request.c */
hl_call *hl_call_new(hl_queue *q, hl_account *account, hl_stream *stream);
void hl_call_free(hl_call *call);
void hl_call_send(hl_call *call);  /* its window is free */
/* Ends every op of it with `error` and frees it. */
void hl_call_fail(hl_call *call, int status, const hl_api_error *error);

#endif
