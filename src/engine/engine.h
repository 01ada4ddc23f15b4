/* The engine: inbox, lanes, retries, schedules and local effects, durable
 * through the store. No Lua in here; it can be driven from C alone. SEMANTICS
 * 1-8, 12 and 13 are its rules. Loop thread only; never blocks. */
#ifndef HL_ENGINE_ENGINE_H
#define HL_ENGINE_ENGINE_H

#include "base/json.h"
#include "base/time.h"
#include "engine/scan.h"
#include "loop/loop.h"
#include "store/audit.h"

typedef struct hl_engine hl_engine;
typedef struct hl_handler hl_handler;
typedef struct hl_run hl_run;
typedef struct hl_swap hl_swap;

/* How long events are known, so that a second one is a duplicate (SEMANTICS 8), and kept at the least. */
#define HL_DEDUPE_WINDOW_MS (25 * HL_HOUR)

typedef struct hl_engine_options {
  const char *store;        /* file path, or NULL: in memory, synchronous (virtual time, tests) */
  int64_t retention_ms;     /* 0: 7 days; never shorter than the duplicate window */
  int64_t audit_ms;         /* the same for audit records; 0: 365 days */
  struct hl_page *page;     /* engine/page.h; NULL: nobody supervises */
  /* How long and where duplicates are known (SEMANTICS 8): the window, events of it
   * held in memory, and how many of them go to disk together. 0: 25 h, 4 million, 1 million. */
  int64_t dedupe_window_ms;
  size_t dedupe_memory, dedupe_generation;
  int64_t privacy_ms;       /* from contact.privacyDeletion to forgetting the contact; 0: a minute */
  bool no_receipt;          /* nothing will be received: it opens at once, without the window */
  size_t wait_spare;        /* waits that begin before the filter of events that are waited for is read anew; 0: 200,000 */
  size_t max_events;        /* in memory; above it they wait in the store. 0: 20,000 */
  bool replay;              /* see hl_engine_replay */
} hl_engine_options;

/* Opens (creates, migrates, locks) the store and rebuilds the duplicate window. HL_EBUSY: another process has it;
 * HL_ECORRUPT, HL_EIO, HL_EFULL name the file and the remedy. */
int hl_engine_new(hl_loop *loop, const hl_engine_options *o, hl_engine **out, hl_error *err);
/* After registration: reads what is pending, dispatches. */
int hl_engine_start(hl_engine *e, hl_error *err);
/* No new runs; `done` when the running ones have ended and their effects are
 * committed, or deadline_ms passed (they are then cut: their events stay pending). */
void hl_engine_drain(hl_engine *e, int64_t deadline_ms, void (*done)(void *arg), void *arg);
/* Runs still out are gone with it (their hl_run must not be used after); what has
 * finished is committed first. Receipts not yet answered never are. */
void hl_engine_free(hl_engine *e);
hl_loop *hl_engine_loop(const hl_engine *e);
/* For tests: as if the process had been killed. What is not with the store's
 * writer yet is lost. */
void hl_engine_abandon(hl_engine *e);
/* For reads (store/operate.h), and for the fault points of tests. */
struct hl_store;
struct hl_store *hl_engine_store(hl_engine *e);

/* ---- events ---- */
typedef struct hl_event {   /* borrowed for the length of the handler's callback */
  char id[40];              /* "row.index": row and place in its body */
  const char *type;         /* "contact.creation", or a name of our own */
  const char *account;      /* account name, "" when none */
  const char *source;       /* "push" "journal" "timer" "http" "manual" "emit" */
  int64_t occurred_at, received_at;  /* epoch ms */
  int64_t received_us;      /* hl_loop_mono_us at receipt; 0 after a restart */
  unsigned attempt;         /* 1 for the first */
  bool own;                 /* a write of this handler caused it, and it asked for such events */
  bool bulk;                /* part of a mass change, or of a backlog: the run's API calls are bulk work */
  const char *object_type;  /* "contact", a type id, or "" */
  const char *object_id;    /* decimal text or "" */
  const cJSON *json;        /* HubSpot's own object, or {payload=…} for our own */
  const struct hl_event *batch; /* of a handler with batches: all of them, this one first */
  size_t n_batch;
} hl_event;

/* Appends an event's key, which is its lane at this handler; nothing: the object,
 * as without a key. Not 0: the event is parked for the reason in err. */
typedef int (*hl_key_cb)(void *arg, const hl_event *event, hl_buf *out, hl_error *err);

typedef struct hl_handler_options {
  const char *script;       /* path relative to the project: with name, the durable name */
  const char *name;         /* NULL: the type (or "every 15m", "cron …") */
  const char *account;      /* NULL: any */
  const char *property;     /* NULL: any propertyName */
  const char *object_type;  /* a type id: of object.* events those with it; NULL: any */
  unsigned concurrency;     /* 0: 50 */
  unsigned retries;         /* after the first attempt; UINT_MAX: the default, 10 */
  int64_t retry_base_ms, retry_cap_ms; /* the first pause, which doubles up to the cap; 0: 1 s, 10 min */
  const char *const *key_fields; /* NULL-terminated names of fields (of an own event also of its payload):
                                  * their values are the key; events without any go by their object */
  int64_t debounce_ms;      /* > 0: runs when no event of its key has come for so long, with the newest */
  int64_t debounce_max_ms;  /* at the latest so long after the first; 0: no limit */
  bool debounce_merged;     /* with all of them: event.json has `events` and `changes` */
  bool own;                 /* events that its own writes cause run it too */
  bool live;                /* a mass change is no bulk work for it */
  unsigned throttle_n;      /* > 0: at most so many starts of one key (or object) within throttle_ms */
  int64_t throttle_ms;
  bool throttle_all;        /* of the whole handler instead */
  unsigned batch_size;      /* > 0: it gets so many events at once, */
  int64_t batch_wait_ms;    /* or fewer when the first has waited so long */
  int64_t hold_ms;          /* an event of a lane waits so long from its receipt for earlier ones */
  hl_key_cb key;            /* instead; called with the handler's arg, not for a retry that goes alone */
  hl_swap *swap;            /* it counts from hl_engine_swap on, and then *out of its registration may be gone */
} hl_handler_options;

/* Starts the handler's work for one event. Ends, now or later, with exactly one
 * hl_run_finish. */
typedef void (*hl_handler_cb)(void *arg, hl_run *run, const hl_event *event);

/* `type`: a HubSpot type (checked against the table in engine/types.h: HL_EINVAL
 * with the nearest name; "object.*" needs no list) or, with `own` true, any name
 * for emit/after events. HL_EINVAL for an equal durable name. */
int hl_engine_on(hl_engine *e, const char *type, bool own, const hl_handler_options *o,
                 hl_handler_cb cb, void *arg, hl_handler **out, hl_error *err);
/* How many runs of all its handlers a script has at once; 0: the default, 5,000. */
void hl_engine_limit(hl_engine *e, const char *script, unsigned concurrency);
/* Nothing of the script begins, but what listens to HL_ALERT_TYPE: its events wait, and its schedules. What runs ends. */
void hl_engine_hold(hl_engine *e, const char *script, bool hold);
/* The same for this reason, over restarts and whatever hl_engine_hold says; NULL: it goes on. */
void hl_engine_halt(hl_engine *e, const char *script, const char *why);
const char *hl_engine_halted(const hl_engine *e, const char *script); /* (start) why; NULL: it is not */
/* True if `type` is one of HubSpot's. nearest: may be NULL. */
bool hl_event_type_known(const char *type, const char **nearest);

typedef enum { HL_CATCHUP_ONCE, HL_CATCHUP_SKIP, HL_CATCHUP_ALL } hl_catchup;
typedef struct hl_schedule_options {
  int64_t every_ms;         /* > 0, or a cron expression */
  const hl_cron *cron;      /* copied */
  const char *text;         /* what the writer wrote, for messages and names */
  hl_tz *tz;                /* taken over; NULL: UTC */
  hl_catchup catchup;
} hl_schedule_options;
/* Runs do not overlap; the last firing is committed with the run's completion. */
int hl_engine_schedule(hl_engine *e, const hl_schedule_options *s, const hl_handler_options *o,
                       hl_handler_cb cb, void *arg, hl_handler **out, hl_error *err);

/* ---- exchanging a script's handlers (SEMANTICS 2, 27) ---- */
/* Gathers what is registered for `script` with options.swap. */
hl_swap *hl_swap_new(hl_engine *e, const char *script);
void hl_swap_free(hl_swap *swap);   /* never mind; NULL is fine */
/* Between two events: from now on the handlers of each swap's script are those of the swap, and nothing is called with the
 * arguments of those before. By its durable name a handler keeps its lanes, what runs in them, its count for concurrency, its
 * waiting rows and its last firing. What runs ends as it would; what has not begun is dispatched anew, as after a
 * restart. Waiting rows of a handler that is gone become orphaned; those of one that is back wait again, due now.
 * After hl_engine_start or before it. The swaps are gone. */
void hl_engine_swap(hl_engine *e, hl_swap **swaps, size_t n);

/* The script is there and cannot be loaded: what it listened to when it was loaded last is kept for it, as pending, until
 * hl_engine_swap brings it (SEMANTICS 3), and so is what nobody listens to: it may. */
void hl_engine_absent(hl_engine *e, const char *script);
/* Those that are still so: the i-th, or NULL. */
const char *hl_engine_absent_script(const hl_engine *e, size_t i);

typedef struct hl_receipt {
  int code;                 /* 0 committed; HL_EINVAL not a JSON array; HL_EIO, HL_EFULL: not stored, say 503 */
  unsigned accepted, duplicates, malformed, unhandled; /* of this body */
  unsigned gaps;            /* accepted from the journal although push is live for their type */
  const char *text;         /* why, when code != 0 */
} hl_receipt;
typedef void (*hl_receipt_cb)(void *arg, const hl_receipt *receipt);

/* Appends a body (a JSON array of events) durably, deduplicated, then dispatches
 * it. `cb` runs after the commit, never from inside. The bytes are copied. */
void hl_engine_receive(hl_engine *e, const char *source, const char *account, hl_str body,
                       hl_receipt_cb cb, void *arg);
/* The same when the body has been read (the webhook door has looked at its elements). */
void hl_engine_receive_read(hl_engine *e, const char *source, const char *account, hl_str body,
                            hl_elements *elements, hl_receipt_cb cb, void *arg);
/* ---- replay ---- */
/* With options.replay, an engine in memory that is only shown what another one has received: what runs emit and
 * audit goes nowhere, timers do not fire, nothing fails for good or is tried again. */
typedef struct hl_recorded {
  int64_t row;              /* its id there: ascending */
  const char *source, *account;
  hl_str body;              /* an array */
  const bool *skipped;      /* one an element: it is not shown */
} hl_recorded;
/* Received now: the loop's clock is set by who replays. HL_EINVAL: the body is no array. */
int hl_engine_replay(hl_engine *e, const hl_recorded *r, hl_error *err);
/* Forgets rows that are done and were received before. */
void hl_engine_replayed(hl_engine *e, int64_t before);

/* ---- sources that are read (the webhooks journal) ---- */
/* (start) How far `source` has been read, as saved last; nothing is appended when it never was. Blocks. */
int hl_engine_place(hl_engine *e, const char *source, hl_buf *out, hl_error *err);
/* Saves it in the commit that takes the bodies received in this turn; it goes when they go. `cb` as for them. */
void hl_engine_save_place(hl_engine *e, const char *source, hl_str place, hl_receipt_cb cb, void *arg);
/* The account's events come through push and the journal: of two that tell the same, one is handled (SEMANTICS 9). */
void hl_engine_pulls(hl_engine *e, const char *account);
/* Events of this type have come through push within the last hour. */
bool hl_engine_push_live(const hl_engine *e, const char *account, hl_str type);
/* A handler listens to the type, or waits for it. */
bool hl_engine_listens(const hl_engine *e, const char *type);
/* A script waits for events of the type (wait.h), perhaps later: it counts as listening to it. property: NULL any. */
void hl_engine_awaits(hl_engine *e, const char *script, const char *type, const char *property);
/* What handlers listen to and wait for, one call each. */
typedef struct hl_listener {
  const char *type, *script;
  const char *account, *property, *object_type; /* NULL: any */
} hl_listener;
void hl_engine_listeners(const hl_engine *e, void (*each)(void *arg, const hl_listener *l), void *arg);

/* How old an occurredAt may be and still be known as a duplicate: the window, or
 * less when memory bounds it (no file, or segments cannot be written). */
int64_t hl_engine_window_ms(const hl_engine *e);

/* ---- runs: one handler working on one event, or work of a script outside events ---- */
/* Work outside events: a script's main task, a route. Finish or commit it. */
hl_run *hl_engine_begin(hl_engine *e, const char *script, const char *account);

/* Effects are buffered and commit with the completion, or not at all. */
/* An event of our own: `payload` is JSON text. `delay_ms` > 0: durable delay
 * (after). object_type/object_id (may be NULL) choose its lane. */
int hl_run_emit(hl_run *run, const char *name, hl_str payload, int64_t delay_ms,
                const char *object_type, const char *object_id, hl_error *err);
/* One that happened before it was found: with its own time. */
int hl_run_emit_found(hl_run *run, const char *name, hl_str payload, int64_t occurred_at, const char *object_type,
                      const char *object_id, hl_error *err);
/* A record for people: `kind` "routing", `key` what it is about ("contact 123"), JSON text. */
int hl_run_audit(hl_run *run, const char *kind, const char *key, hl_str json, hl_error *err);

/* A run of an event has written to an object: the event that this causes does not run its
 * handler again (SEMANTICS 11). Durable with the next commit, whatever becomes of the run. Call it
 * before the write leaves when the id is known. `type` "contacts" or a type id; body {"properties":{…}} or empty. */
typedef enum { HL_WRITE_UPDATE, HL_WRITE_CREATE, HL_WRITE_DELETE } hl_write_kind;
typedef struct hl_own_mark { int64_t first; unsigned n; } hl_own_mark;
hl_own_mark hl_run_wrote(hl_run *run, hl_write_kind kind, const char *account, const char *type, const char *id, hl_str body);
/* The write failed after all. */
void hl_engine_not_written(hl_engine *e, hl_own_mark mark);

/* kv: values are JSON text of at most 256 KiB, keys 1-512 bytes. Scope is the
 * script (or "pool:NAME" for routing state) and account. Reads see the run's own writes, then what
 * finished runs wrote. */
typedef struct hl_kv_scope { const char *script, *account; } hl_kv_scope;
/* 0 and *value (p NULL: no such key; borrowed until the loop's next turn), or
 * HL_EBUSY: not in memory; call hl_kv_load and ask again when it says so. */
int hl_kv_get(hl_run *run, hl_kv_scope scope, hl_str key, hl_str *value);
void hl_kv_load(hl_engine *e, hl_kv_scope scope, hl_str key, void (*cb)(void *arg, int code), void *arg);
/* expires_at: epoch ms, 0 never. value.p NULL deletes. */
int hl_kv_set(hl_run *run, hl_kv_scope scope, hl_str key, hl_str value, int64_t expires_at, hl_error *err);
/* Adds to an integer; the sum is made again at commit, so concurrent increments
 * add up. *out is the value as seen now. HL_EBUSY as hl_kv_get; HL_EINVAL for a non-integer. */
int hl_kv_incr(hl_run *run, hl_kv_scope scope, hl_str key, int64_t delta, int64_t *out, hl_error *err);
/* Keys with a prefix in byte order, own writes merged in; answers on the loop later. */
void hl_kv_list(hl_run *run, hl_kv_scope scope, hl_str prefix, unsigned max,
                void (*cb)(void *arg, const hl_str *keys, size_t n), void *arg);

typedef enum hl_outcome {
  HL_RUN_DONE,        /* finished: ran */
  HL_RUN_FILTERED,    /* finished: the handler's filter said no */
  HL_RUN_FAILED,      /* retried with backoff, then parked as a dead letter */
  HL_RUN_AGAIN,       /* the same, for a reason that is not in the events: a batch is not taken apart for it */
  HL_RUN_DEAD,        /* not worth a retry: parked now */
  HL_RUN_CUT,         /* shutdown or reload: back to pending, no attempt counted */
} hl_outcome;
/* The handler's filter said no to the i-th event of the batch, in this attempt. */
void hl_run_filtered(hl_run *run, size_t i);
/* `error`: text with traceback for FAILED and DEAD. `run` is gone on return. The
 * effects of anything but DONE are dropped. */
void hl_run_finish(hl_run *run, hl_outcome outcome, hl_str error);
/* Commits what is buffered so far of a run outside events and calls back with 0; the
 * run lives on. HL_EIO when the store cannot commit at the moment: it stays buffered. */
void hl_run_commit(hl_run *run, void (*cb)(void *arg, int code), void *arg);

/* ---- what a supervisor sees (engine/page.h) ---- */
/* Around code of a run that might not come back; nanoseconds. enter gives what leave takes, NULL without a page. */
struct hl_page *hl_run_enter(const hl_run *run);
void hl_run_leave(struct hl_page *page);
/* The run is a script's main chunk. */
void hl_run_loads(hl_run *run);
/* Why this script must not be loaded again: an earlier child did not come back from it. NULL: it may. */
const char *hl_engine_ended_loading(const hl_engine *e, const char *script);
/* It may again: a person has asked for it. */
void hl_engine_forgive_loading(hl_engine *e, const char *script);

/* ---- alerts ---- */
#define HL_ALERT_TYPE "hubloop.alert"
/* Something a person should know: logged, and, when a script listens to HL_ALERT_TYPE,
 * appended as an event with the payload {kind, text, …details}. kind: "dead_letter"
 * "uncertain_step" "schedule_failed" "script_halted" "journal_expired" "budget_ending" "store_stalled"
 * "supervisor_restart" "depth". `details`: an object of more fields, taken over; NULL: none. Of one kind ten a
 * minute are told alone, the rest as one with `count`. What goes wrong with an alert's own
 * handler must not be alerted. */
void hl_engine_alert(hl_engine *e, const char *kind, const char *text, cJSON *details);

/* ---- reading ---- */
typedef struct hl_engine_stats {
  /* States (SEMANTICS 3); their sum is `acknowledged`. */
  uint64_t acknowledged, pending, ran, filtered, duplicate, waiting, dead, unhandled, orphaned, own, debounced, removed;
  uint64_t running, retried, runs_failed;
  uint64_t gaps, near_misses;   /* SEMANTICS 9: events that push missed; told twice a moment apart */
  uint64_t in_memory;           /* events */
  uint64_t commits;             /* transactions so far */
  bool stalled;                 /* the store cannot commit (SEMANTICS 12) */
  uint64_t dispatch_us[32];     /* histogram of commit to handler start, bucket i: < 2^i us */
  uint64_t start_us[32];        /* the same from receipt */
} hl_engine_stats;
void hl_engine_stats_get(const hl_engine *e, hl_engine_stats *out);
/* The newest `max` committed audit records of a kind about a key. Answers later, unless
 * the engine is freed first. */
void hl_engine_audits(hl_engine *e, const char *kind, const char *key, unsigned max, hl_audits_cb cb, void *arg);
/* True when nothing is pending in memory or store, running, or due to be retried now. */
bool hl_engine_idle(const hl_engine *e);

#endif
