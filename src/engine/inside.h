/* What the engine's files share. Inside src/engine only.
 *
 *   receive -> receipt ─commit─> row ─> ev (one event) ─> run (one handler) ─> lane ─> handler
 *
 * Everything that must survive is gathered in `e->tx`; one transaction is out at
 * a time, and what gathers meanwhile is the next (group commit). Memory is
 * bounded: events beyond the limits stay in the log and are read again. */
#ifndef HL_ENGINE_INSIDE_H
#define HL_ENGINE_INSIDE_H

#include "engine/dedupe.h"
#include "engine/engine.h"
#include "engine/map.h"
#include "engine/own.h"
#include "engine/page.h"
#include "engine/spill.h"
#include "engine/twin.h"
#include "store/lanes.h"
#include "store/store.h"

enum {
  REREAD_MIN_MS = 50, REREAD_MAX_MS = 30 * 1000,
  MAX_EVENTS = 20000,          /* events in memory; above it the log is read again later */
  MAX_BYTES = 32 << 20,        /* of their bodies */
  HOLD_MS = 60 * 1000,         /* how long after its first failure a retry may hold its lane (SEMANTICS 7) */
  MAX_HELD = 4096,             /* failed runs that wait in memory with their lane */
  MAX_KV_VALUE = 256 << 10,
  MAX_KV_KEY = 512,
  MAX_KV_CACHE = 32 << 20,
  EARLY_MS = 200,              /* how long before its time a delayed event enters the log */
  MAX_LANES = 200000,          /* in memory */
  MAX_DEPTH = 8,               /* of a chain of own events */
  DEFAULT_CONCURRENCY = 50,
  SCRIPT_CONCURRENCY = 5000,
  DEFAULT_RETRIES = 10,
  RETRY_BASE_MS = 1000,
  RETRY_CAP_MS = 10 * 60 * 1000,
};

typedef struct hl_row hl_row;
typedef struct hl_ev hl_ev;
typedef struct hl_lane hl_lane;
typedef struct hl_receipt_job hl_receipt_job;
typedef struct hl_kv_entry hl_kv_entry;
typedef struct hl_waiter hl_waiter;
typedef struct hl_alert_kind hl_alert_kind;
typedef struct hl_steps hl_steps;
typedef struct hl_fired hl_fired;
typedef struct hl_waits hl_waits;
typedef struct hl_wrote hl_wrote;
typedef struct hl_rest hl_rest;
typedef struct hl_pause hl_pause;
typedef struct hl_batch hl_batch;
typedef struct hl_load hl_load;

/* The handlers of one script. */
typedef struct hl_crew {
  struct hl_crew *next;
  char *script;
  unsigned running, limit;
  bool held;
  char *halted;                /* why; NULL: it is not */
} hl_crew;

/* A log row with events that are not done. */
struct hl_row {
  hl_row *prev, *next;         /* open rows by id */
  hl_row *dirty_next;
  int64_t id, received, received_us, committed_us;
  const char *source, *account;/* interned */
  unsigned n, open;            /* open: events not done */
  bool dirty, keep;            /* keep: holds another state than ran or duplicate */
  size_t bytes;                /* of the body; counted in e->bytes while it is open */
  uint8_t states[];
};

/* An event in memory: of a row, or of a parked row (row NULL). */
struct hl_ev {
  hl_row *row;
  unsigned index;
  size_t bytes;                /* of a parked row's event; counted in e->bytes */
  unsigned left;               /* handlers that have neither finished nor parked it */
  unsigned refs;               /* runs in memory */
  hl_state base;
  bool split;                  /* partial or parked rows exist: it leaves the log through hl_tx_leave */
  bool parks;                  /* parked rows exist */
  const char **done;           /* durable names of handlers that have left it while others have not; interned */
  size_t n_done;
  cJSON *json;                 /* its own */
  const char *type;            /* in json */
  const char *source, *account, *object_type;
  int64_t occurred, received, received_us, committed_us;
  int64_t parked_row;          /* for the id, when row is NULL */
  char object_id[40];
};

typedef enum hl_effect_kind { EF_SET, EF_INCR, EF_EMIT, EF_AUDIT } hl_effect_kind;

typedef struct hl_effect {
  struct hl_effect *next, *prev;
  hl_effect_kind kind;
  unsigned writer;             /* the task of the run that made it */
  int64_t number, at;          /* INCR: delta; SET: expiry; EMIT: delay, when it occurred (0: now) */
  char *script, *account;      /* kv; AUDIT: kind, key; EMIT: object type, id */
  char *name;                  /* EMIT; kv: key */
  size_t name_n;
  char *text;                  /* value, payload; NULL: delete */
  size_t text_n;
  hl_kv_entry *pinned;         /* INCR: what it adds to stays in memory */
} hl_effect;

/* Ids of parked rows that are in memory, or whose going is not yet committed. */
typedef struct hl_parked_ref {
  hl_node node;
  int64_t id;
  struct hl_parked_ref *next;  /* leaving, by seq */
  uint64_t seq;
} hl_parked_ref;

/* An event of a batch behind the first, which is its run's. */
typedef struct hl_member {
  hl_ev *ev;
  int64_t parked, occurred;
  hl_parked_ref *ref;
  bool own, filtered;
} hl_member;

struct hl_batch {
  size_t n;
  hl_member v[];
};

typedef enum hl_run_kind { RUN_EVENT, RUN_SCHEDULE, RUN_FREE } hl_run_kind;

struct hl_run {
  hl_run *prev, *next;         /* all runs of the engine */
  hl_run *lane_next;
  hl_engine *e;
  hl_run_kind kind;
  bool running, waiting;       /* waiting: failed, in memory until `timer` */
  bool bulk;                   /* of a mass change, or it has been in the backlog */
  hl_handler *h;
  hl_ev *ev;
  hl_lane *lane;
  hl_batch *batch;             /* more events; NULL: none */
  bool filtered;               /* in a batch, its own event was */
  hl_lane *home;               /* its row lies in this lane in the store; NULL: in none */
  int64_t occurred;            /* order in the lane */
  int64_t parked;              /* 0: none */
  hl_parked_ref *ref;
  unsigned attempt;            /* finished attempts */
  int64_t first_failed;        /* mono ms */
  int64_t fired_at;            /* schedules: the time that was due */
  int depth;
  bool own;                    /* its handler's own write caused the event */
  int64_t own_id;              /* of the write's record, not yet dropped in the store; 0: none */
  char *refused;               /* why it is parked instead of run: its key could not be had, or (over) its steps do not fit */
  hl_timer timer;
  hl_effect effects;           /* list head */
  hl_steps *steps;             /* NULL: nobody has asked for one */
  unsigned writer;             /* who works for it now */
  hl_wrote *wrote;             /* to HubSpot: own.c; NULL: nothing */
  bool waited;                 /* a wait of it was over before, or goes on */
  bool over;                   /* it ends, whatever its code says: with a wait (steps->ends), or refused */
  bool uncertain;              /* a step has left a write of which nobody knows whether it was made */
  char *script, *account;      /* RUN_FREE */
  uint64_t who;                /* RUN_FREE, with a page: hl_page_name of the script */
  bool loads;                  /* a main chunk */
};

struct hl_lane {
  hl_node node;
  hl_handler *h;
  hl_lane *ready_next, *wanting_next;
  hl_run *first, *last;        /* by occurred; the first one may be running */
  unsigned n;                  /* runs */
  unsigned loaded;             /* rows in memory that are at home here */
  bool bulk;                   /* what was put away last was */
  bool busy, ready, mapped;
  /* backlog.c */
  bool more;                   /* rows of it may be in the store, behind those in memory */
  bool wanting, loading;       /* in its handler's list; being read */
  bool leaving;                /* about to be put away */
  hl_lane *leaving_next;
  uint64_t park_seq;           /* of the transaction with its newest row */
  int64_t park_least;          /* the earliest that this transaction puts away, by occurred */
  int64_t late;                /* the earliest that the read which is out does not see */
  hl_rest *rest;               /* rest.c; NULL: it never had to wait */
  size_t key_n;
  char key[];
};

/* Events of no object and no key share this lane in the store; where hl_handler_groups says so also in memory. */
#define HL_NO_LANE "-"

typedef struct hl_ready { hl_lane *first, **tail; } hl_ready;

struct hl_handler {
  hl_handler *next;            /* all */
  hl_handler *type_next;       /* of one type */
  hl_handler *active_next;
  hl_engine *e;
  char *type, *script, *name;  /* the durable name */
  uint64_t who;                /* hl_page_name */
  /* What on(), every() or cron() said, from here to `running`: a reload exchanges all of it (swap.c). */
  char *account, *property, *object_type;
  unsigned concurrency, retries;
  int64_t retry_base_ms, retry_cap_ms;
  bool own;                    /* wants events of its own writes */
  bool live;                   /* nothing is bulk for it */
  int64_t hold_ms;
  unsigned batch_size;
  int64_t batch_wait_ms;
  unsigned throttle_n;
  int64_t throttle_ms;
  bool throttle_all;
  int64_t debounce_ms, debounce_max_ms;
  bool debounce_merged;
  hl_handler_cb cb;
  hl_key_cb key;
  char **key_fields;           /* NULL-terminated */
  void *arg;
  int64_t every_ms;
  hl_cron cron;
  hl_tz *tz;
  hl_catchup catchup;
  char *text;
  cJSON *json;                 /* what a scheduled run sees as its event */
  /* What goes on. */
  unsigned running;
  hl_crew *crew;
  hl_ready ready[2];           /* lanes that may go: live, bulk */
  size_t n_ready[2];
  size_t waiting[2];           /* runs in lanes that have not begun: live, bulk */
  unsigned bulk_running;
  unsigned live_starts;        /* since the last bulk one */
  /* backlog.c */
  hl_lane *wanting, **wanting_tail; /* lanes with room in memory and rows in the store */
  size_t lanes_away;           /* with `more` */
  bool pressed;                /* what comes in bulk goes to the store */
  bool unlisted, list_again;   /* there may be lanes that are not known; more of them since the list began */
  bool loading;
  char *listed;                /* the last name read */
  size_t listed_n;
  hl_load *load;
  hl_pause *pause;             /* rest.c; of a throttle of the whole handler */
  uint64_t idle_seq;           /* nothing came of a read while this transaction gathered */
  bool active;
  bool swapped;                /* in the swap that is being made */
  bool absent;                 /* its script could not be loaded: events are kept for it */
  bool behind;                 /* what was kept is on its way back: what comes meanwhile goes the same way, behind it */
  uint64_t kept_seq;           /* of the transaction with the last that was kept */
  bool back;                   /* its rows are about to wait again */
  bool gone;                   /* no script has it any more: it lives until its last run has ended */
  /* schedules */
  bool scheduled, firing;
  int64_t catch_until;         /* HL_CATCHUP_ALL: missed times up to here are run */
  int64_t last, due;
  unsigned tried;              /* how often the run of `due` has failed */
  int64_t again;               /* when it is tried again, epoch ms; 0: not so */
  hl_timer timer;
};

typedef struct hl_type {
  hl_node node;
  hl_handler *handlers, **tail;
  size_t n;
  char *name;
} hl_type;

/* A body on its way into the log, or an event of our own (cb NULL). */
struct hl_receipt_job {
  hl_receipt_job *next;
  int64_t id;                  /* 0: nothing but duplicates, no row */
  int64_t received, received_us;
  const char *source, *account;
  hl_twin_source twin;
  hl_str body;                 /* the transaction's copy, which lives until receipts are answered */
  size_t bytes;
  unsigned n, pending;
  hl_receipt result;
  hl_receipt_cb cb;
  void *arg;
  unsigned char *hashes;       /* n * 16; of push in an account that is also pulled, n * 16 more: as a twin */
  size_t hash_bytes;
  uint8_t *states;             /* n */
  size_t n_fresh;
  uint64_t fresh_end;          /* of the duplicate window, when they were added */
  hl_hash *fresh;              /* to be taken back when it cannot commit */
};

typedef struct hl_receipts {
  hl_receipt_job *first, **tail;
} hl_receipts;

struct hl_waiter {
  hl_waiter *next;
  uint64_t seq;
  int code;
  void (*cb)(void *arg, int code);
  void *arg;
};

typedef struct hl_link {
  struct hl_link *prev, *next;
} hl_link;

struct hl_kv_entry {
  hl_node node;
  hl_link lru;                 /* least recently used first */
  hl_kv_entry *dirty_next;
  bool dirty;
  unsigned pins;
  uint64_t seq;                /* of the transaction that carries its newest value */
  char *value;                 /* NULL: absent */
  size_t value_n;
  int64_t expires;
  size_t script_n, account_n, key_n;
  char names[];                /* script NUL account NUL key */
};

struct hl_engine {
  hl_loop *loop;
  hl_store *store;
  hl_page *page;               /* NULL: nobody supervises */
  hl_log *log;
  bool started, draining, freeing, replay;
  hl_rng rng;
  unsigned char key[HL_STORE_KEY_BYTES];

  /* what is to be committed */
  hl_tx *tx;
  hl_receipts receipts, flying;
  uint64_t seq, done_seq;      /* of the transaction that gathers; of the last one committed */
  bool out, stalled, want_commit;
  hl_defer flush;
  hl_timer probe;
  int64_t probe_ms;
  hl_row *dirty_rows;
  hl_waiter *waiters, *answered;
  unsigned moved[HL_ST_MAX];   /* pending -> state, counted since the last submit */
  hl_store_counts counts;      /* as committed */
  hl_receipts failed;          /* refused at once, to be answered later */

  /* the log */
  int64_t next_row, next_parked;
  int64_t committed, cursor;   /* last row in the log; last one read or dispatched */
  int64_t mark;                /* as submitted */
  bool reading_log;
  int64_t read_upto;           /* what the read that is out was asked for */
  hl_timer reread;             /* after a read that failed */
  int64_t reread_ms;           /* 0: the last one went well */
  hl_row *rows, *last_open;
  size_t events, bytes, max_events;
  hl_dedupe *dedupe;
  hl_spill *spill;             /* what of it is on disk */
  hl_twins *twins;
  uint64_t gaps, near_misses;  /* SEMANTICS 9 */
  int64_t near_told;           /* mono ms + 1; 0: never */
  hl_own *own;
  hl_map debounced, debounced_ids; /* by handler and key; by parked row */
  size_t merged_bytes;

  /* handlers */
  hl_map types, lanes;
  hl_handler *handlers, *gone; /* gone: see hl_handler.gone */
  char **absent;               /* scripts that could not be loaded; n_absent of them */
  size_t n_absent;
  hl_fired *fired;             /* last firings of schedules that no script has now */
  hl_handler *active, **active_tail;
  hl_crew *crews;
  hl_defer pump;
  hl_timer pump_later;
  hl_run *runs;
  size_t running, held;
  uint64_t retried, failed_runs, commits;
  uint64_t dispatch_us[32], start_us[32];

  /* parked rows */
  hl_map parked;
  hl_parked_ref *leaving, **leaving_tail;
  hl_timer due_timer;
  int64_t next_due;            /* when to look next */
  hl_link early;               /* list head: in the log, and not yet due */
  int64_t due_again_ms;        /* as reread_ms, for what is due */
  uint64_t due_seq;            /* the transaction that the read which is out has seen */
  bool reading_due, due_blocked; /* blocked: no room in memory when it was due */
  bool due_after_submit;       /* what gathers may hold a row that is due: it goes first */

  /* the backlog */
  hl_timer press;              /* runs while nothing can be read for want of room */
  hl_timer load_again;
  int64_t load_again_ms;       /* as reread_ms */
  size_t wanting, loads;       /* lanes that want rows; reads that are out */
  size_t loaded;               /* runs that came from there */
  hl_lane *leaving_lanes;
  hl_defer put_away;
  uint64_t failures;           /* commits that failed */
  hl_map sources;              /* mass.c */

  hl_link step_ops;            /* list head: what steps wait for */
  bool steps_stored;           /* there may be some in the store */
  hl_waits *waits;             /* what is waited for */

  /* kv */
  hl_map kv;
  hl_link kv_lru, kv_asks;     /* list heads */
  hl_kv_entry *kv_dirty;
  size_t kv_bytes;

  /* draining */
  hl_timer drain_timer;
  void (*drained)(void *arg);
  void *drained_arg;

  hl_alert_kind *alerts;       /* by kind: how many of late */
  struct hl_forget *forgets;   /* forget.c */
  struct hl_forget *privacy;   /* the one that a deletion has asked for */
  hl_timer privacy_timer;
  int64_t privacy_ms;

  char **names;                /* interned sources and accounts */
  size_t n_names;
  char *path;
};

/* engine.c */
const char *hl_intern(hl_engine *e, const char *name);
void hl_touch(hl_engine *e);                 /* something is to be committed */
/* After the commit that gathers; or, with `now`, at the end of the turn with `code`. */
void hl_waiter_add(hl_engine *e, bool now, int code, void (*cb)(void *arg, int code), void *arg);
void hl_drain_check(hl_engine *e);
bool hl_may_dispatch(const hl_engine *e);
void hl_receipts_push(hl_receipts *list, hl_receipt_job *job);

/* Doubles a wait between its two bounds. */
int64_t hl_longer_wait(int64_t ms);

/* inbox.c */
void hl_inbox_deinit(hl_engine *e);
void hl_inbox_append_own(hl_engine *e, char *body, int64_t received); /* body taken over */
void hl_alert_depth(hl_engine *e, int64_t row, unsigned index, const char *type, const char *what);
void hl_inbox_committed(hl_engine *e, hl_receipt_job *job); /* and frees it */
void hl_inbox_refuse(hl_engine *e, hl_receipt_job *job, int code, const char *why);
void hl_inbox_more(hl_engine *e);            /* reads on when there is room */
void hl_event_done(hl_engine *e, hl_ev *ev);
void hl_ev_unref(hl_engine *e, hl_ev *ev);
void hl_ev_name(hl_engine *e, hl_ev *ev, const hl_fields *f); /* its type and object; they point into its json */
/* An event of a parked row: `json` is taken over. NULL when it has no type. */
hl_ev *hl_ev_parked(hl_engine *e, const hl_parked *p, cJSON *json);
/* The handler has left it while others have not: now, or in an earlier life. */
void hl_ev_done_by(hl_engine *e, hl_ev *ev, const char *handler, hl_state state);
void hl_ev_note(hl_engine *e, hl_ev *ev, const char *handler);
bool hl_inbox_room(const hl_engine *e);
bool hl_inbox_blocked(const hl_engine *e);   /* rows of the log wait for room */
void hl_row_progress(hl_engine *e);          /* dirty rows and the mark into e->tx */
hl_type *hl_type_of(const hl_engine *e, const char *type);
hl_type *hl_takers_of(const hl_engine *e, const char *type); /* also the stand-ins of absent scripts, when nobody else listens */

/* crew.c */
hl_crew *hl_crew_of(hl_engine *e, const char *script); /* made when there is none */
bool hl_handler_stands(const hl_handler *h);  /* its script is held or halted, so none of its runs begins */
int hl_crews_start(hl_engine *e, hl_error *err);
void hl_crews_deinit(hl_engine *e);

/* lanes.c */
hl_handler *hl_handler_stand_in(hl_engine *e, const char *type, const hl_handler_options *o);
void hl_dispatch_event(hl_engine *e, hl_ev *ev, const hl_store_partial *partials, size_t n);
/* One more handler for an event that is still in memory. */
void hl_dispatch_to(hl_engine *e, hl_ev *ev, hl_handler *h);
bool hl_handler_wants(const hl_handler *h, const hl_ev *ev);
void hl_lane_again(hl_lane *lane);            /* ready, when it has a run and is not busy */
void hl_lane_back(hl_lane *lane);             /* its first run goes again */
hl_lane *hl_lane_named(hl_engine *e, hl_handler *h, hl_str name);
hl_lane *hl_lane_of(hl_run *run);             /* where it belongs; NULL: in no order */
void hl_lane_put(hl_run *run, hl_lane *lane); /* in any case into memory; lane NULL: where it belongs */
void hl_lane_check(hl_lane *lane);            /* it goes when nothing keeps it */
void hl_lanes_unready(hl_handler *h);         /* lanes without runs are not ready */
void hl_lanes_forget_ready(hl_handler *h);    /* none is, until hl_lane_again */
void hl_pump_handler(hl_handler *h);          /* a slot or a lane is new */
void hl_lane_enter(hl_run *run);             /* by its key, or its object; it may be gone: into the backlog */
void hl_lane_enter_alone(hl_run *run);
void hl_lane_hold(hl_run *run);              /* takes its lane, busy; one that is taken: a lane of its own */
void hl_lane_leave(hl_run *run);             /* the next one of its lane may go */
void hl_lane_take(hl_run *run);              /* out of its lane, before it has begun; its handler has no ready lanes */
void hl_pump_soon(hl_engine *e);
hl_run *hl_run_new(hl_engine *e, hl_run_kind kind, hl_handler *h);
void hl_run_free(hl_run *run);
/* The name of its lane, empty: none but its own. Sets run->refused when its key cannot be had. */
void hl_lane_name(hl_run *run, hl_buf *out);
void hl_event_view(const hl_ev *ev, unsigned attempt, hl_event *out);
void hl_run_start(hl_run *run);              /* calls the handler; run may be gone on return */
hl_handler *hl_handler_by_name(hl_engine *e, const char *durable);
void hl_handler_durable(const hl_handler *h, hl_buf *out);

/* debounce.c */
bool hl_debounce(hl_run *run);               /* true: it waits in the store, and run is gone */
bool hl_debounce_fires(hl_engine *e, int64_t id); /* the parked row was one, and is due */
int hl_debounce_start(hl_engine *e, hl_error *err);
void hl_debounce_forget(hl_handler *h);       /* what waits for it waits each for itself */
void hl_debounce_deinit(hl_engine *e);

/* backlog.c */
bool hl_backlog_takes(hl_run *run, hl_lane *lane); /* true: it waits in the store, and run is gone */
void hl_backlog_wants(hl_lane *lane);        /* it may have room for more */
void hl_backlog_more(hl_handler *h);         /* reads on when there is room */
void hl_backlog_left(hl_run *run);           /* its row is in its lane no more */
void hl_backlog_due(hl_engine *e, hl_handler *h, const hl_parked *p); /* a row in a lane was made due */
void hl_backlog_park(hl_run *run, hl_lane *lane); /* run is gone; lane NULL: it has none */
void hl_backlog_away(hl_lane *lane, int64_t occurred, size_t n); /* rows of it are in the transaction that gathers */
void hl_backlog_put_away(hl_lane *lane);     /* what of it has not begun, at the end of the turn */
void hl_backlog_blocked(hl_engine *e);
void hl_backlog_flows(hl_engine *e);
void hl_backlog_resume(hl_engine *e);
void hl_backlog_open(hl_handler *h);          /* of a handler that is new: what waits for it */
void hl_backlog_forget(hl_handler *h);        /* it is gone */
void hl_backlog_free(hl_handler *h);

/* batch.c */
void hl_batch_wait(hl_run *run);             /* a new event waits for others; run is gone on return */
void hl_batch_join(hl_run *run, hl_run *other);
void hl_batch_view(hl_run *run, hl_event *event); /* event->batch is the caller's to free */
size_t hl_batch_members(const hl_run *run);  /* besides its own event */
void hl_batch_done(hl_run *run, hl_state state);
void hl_batch_leave(hl_run *run);
void hl_batch_repark(hl_run *run, hl_state kind, hl_str error);
bool hl_batch_failed(hl_run *run, bool dead, bool outside, int64_t delay, hl_str error); /* true: it goes again */
void hl_batch_apart(hl_run *run);            /* each event a run of its own, behind it in the lane */
void hl_batch_free(hl_run *run);

/* mass.c */
bool hl_mass(hl_engine *e, const hl_ev *ev); /* it is one of very many of its source */
void hl_mass_deinit(hl_engine *e);

/* rest.c */
bool hl_lane_rests(hl_lane *lane);                 /* true: it must not start yet, and is looked at again */
bool hl_pauses(hl_handler *h);               /* the same for all its lanes */
bool hl_rest_reads(hl_lane *lane, size_t *rows); /* whether rows of it may come from the store, and at most how many */
void hl_rest_began(hl_lane *lane);           /* a run of it starts */
void hl_rest_away(hl_lane *lane, size_t n);  /* so many more wait in the store */
void hl_rest_read(hl_lane *lane, size_t n, int64_t received, bool all); /* so many have come; the next was received then, 0: of late */
bool hl_rest_gathers(const hl_lane *lane);   /* a batch of it that is not full waits for more */
void hl_rest_not_before(hl_lane *lane, int64_t ms); /* nothing of it comes from the store */
bool hl_rest_keeps(hl_lane *lane);           /* it must be known for its starts */
void hl_rest_free(hl_lane *lane);
void hl_pause_free(hl_handler *h);
int hl_rest_start(hl_engine *e, hl_error *err);
bool hl_handler_groups(const hl_handler *h); /* events of no object and no key are one lane */

/* run.c */
void hl_run_park_as(hl_run *run, hl_parked *p); /* its event into a row of its own, p->id; p tells due, attempts, error, lane, … */
void hl_run_settle(hl_run *run, hl_state state); /* the event no longer needs this handler in the log */
char *hl_run_parked_json(hl_run *run, cJSON *json); /* as a parked row keeps it */
int64_t hl_run_backoff(const hl_handler *h, unsigned attempt); /* how long to wait after that many have failed */
void hl_run_unhold(hl_run *run);             /* it waits no more; nothing when it did not */
/* The event leaves the log for a row of this handler. failed: 0, or when it did. */
void hl_run_park(hl_run *run, hl_state kind, int64_t due, int64_t failed, hl_str error);
void hl_run_ended(hl_run *run);              /* its slot is free */
bool hl_run_may_hold(const hl_run *run, int64_t delay);
void hl_run_hold(hl_run *run, int64_t delay); /* it waits in memory, and its busy lane with it */
hl_effect *hl_run_add_effect(hl_run *run, hl_effect_kind kind);
void hl_run_drop_effects(hl_run *run);
void hl_run_drop_effects_of(hl_run *run, unsigned writer);
void hl_run_apply_of(hl_run *run, unsigned writer); /* its effects into e->tx */
const char *hl_run_script(const hl_run *run);
const char *hl_run_account(const hl_run *run);

/* step.c */
void hl_steps_leave(hl_run *run);            /* the event leaves the handler: into e->tx */
void hl_steps_again(hl_run *run);            /* the attempt is over, another will come */
void hl_steps_free(hl_run *run);
void hl_steps_deinit(hl_engine *e);
bool hl_steps_fit_end(hl_run *run);          /* false: it ends without a wait that is stored, and is over */

/* wait.c */
int hl_waits_new(hl_engine *e, size_t spare, hl_error *err);
void hl_waits_free(hl_engine *e);
/* An event on its way into the log: what waits for it is over in the same commit. */
void hl_waits_see(hl_engine *e, const hl_receipt_job *job, unsigned index, const hl_element *el);
void hl_waits_look(hl_engine *e);            /* through the log, for waits that began after what they wait for */
bool hl_waits_idle(const hl_engine *e);
bool hl_waits_for(const hl_engine *e, const char *type);
void hl_waits_each(const hl_engine *e, void (*each)(void *arg, const hl_listener *l), void *arg);
void hl_wait_finish(hl_run *run);            /* run is gone on return */

/* parked.c */
hl_run *hl_parked_run(hl_engine *e, hl_handler *h, const hl_parked *p); /* NULL: there can be none, and the row says so */
bool hl_parked_known(const hl_engine *e, int64_t id); /* in memory, or its going is not committed */
int hl_parked_start(hl_engine *e, hl_error *err); /* before the log is read: retries that hold their lanes */
void hl_parked_due(hl_engine *e, int64_t due);  /* a row is due then; of a delayed event: EARLY_MS less */
void hl_parked_check(hl_engine *e);
void hl_parked_enter(hl_engine *e, hl_handler *h, const hl_parked *p, bool debounced); /* the row's event, into its lane or alone */
void hl_parked_more(hl_engine *e);              /* there may be room again for what is due */
hl_parked_ref *hl_parked_hold(hl_engine *e, int64_t id);
void hl_parked_leave(hl_engine *e, hl_parked_ref *ref);  /* its going is in e->tx */
void hl_parked_committed(hl_engine *e);
bool hl_parked_known(const hl_engine *e, int64_t id);    /* in memory, or its going not yet committed */

/* forget.c */
void hl_forgets_deinit(hl_engine *e);
#define HL_FORGET_SCOPE "hubloop:forget"

/* privacy.c */
void hl_privacy_saw(hl_engine *e, const char *account, const hl_fields *f); /* a contact.privacyDeletion came */
void hl_privacy_start(hl_engine *e);
void hl_privacy_deinit(hl_engine *e);

/* early.c */
bool hl_early(hl_engine *e, hl_ev *ev);       /* true: it is not due yet, and will be dispatched then */
void hl_early_deinit(hl_engine *e);

/* alert.c */
void hl_alerts_deinit(hl_engine *e);

/* kv.c */
void hl_kv_write(hl_engine *e, const hl_effect *f);      /* applies SET or INCR to the cache */
void hl_kv_flush(hl_engine *e);                          /* dirty entries into e->tx */
void hl_kv_unpin(hl_engine *e, hl_kv_entry *entry);
void hl_kv_deinit(hl_engine *e);

/* swap.c */
void hl_handler_listen(hl_handler *h);
void hl_handler_free(hl_handler *h);
hl_handler **hl_swap_list(hl_swap *swap);
int hl_absent_start(hl_engine *e, hl_error *err);
void hl_absent_deinit(hl_engine *e);
bool hl_absent_any(const char *durable);     /* a row for whatever its script listens to, once it is loaded */
hl_state hl_absent_fate(const hl_engine *e, const char *durable); /* of such rows */
void hl_absent_offer(hl_engine *e, const hl_parked *p); /* such a row, to the script's handlers of its type */
void hl_absent_caught_up(hl_engine *e, uint64_t seq); /* all that was due in the store up to that transaction has been read */
void hl_absent_keep(hl_run *run);            /* a parked row for the time when its handler is there; and frees it */
void hl_gone_cut(hl_run *run);               /* its handler is gone: nobody runs it again; and frees it */
void hl_gone_ended(hl_handler *h);           /* a run of h has ended; h may be gone on return */

/* page.c */
const char *hl_page_refuses(hl_run *run);    /* why it must not start: it ended an earlier child; NULL: it may */

/* schedule.c */
void hl_schedule_start(hl_engine *e, hl_handler *h);
void hl_schedule_finish(hl_run *run, hl_outcome outcome, hl_str error); /* and frees it */
void hl_schedule_resume(hl_engine *e);
/* h says something else than `before` did. */
void hl_schedule_changed(hl_handler *h, const hl_handler *before);
void hl_schedule_gone(hl_handler *h);
void hl_schedule_remember(hl_engine *e, const char *name, int64_t last); /* of a schedule that no script has */
void hl_schedule_deinit(hl_engine *e);

#endif
