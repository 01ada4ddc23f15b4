/* What operators ask of the store: pages of events, one event whole, and which rows of the log may
 * go. Each call is a bounded piece of work in order with the commits; long ones are pages. As
 * store.h: answers come on the loop, never from inside, not at all when the store is freed first,
 * and what they hold is borrowed for the length of the callback. */
#ifndef HL_STORE_OPERATE_H
#define HL_STORE_OPERATE_H

#include "store/steps.h"

/* "pending", "dead", …; the opposite, false when there is no such state. */
const char *hl_event_state_name(hl_state state);
bool hl_event_state_named(const char *name, hl_state *out);
/* NULL-terminated, for messages. */
extern const char *const hl_event_state_names[];

/* A row of the log. states: one a event, as of now; an event that had parked rows and has none any
 * more is HL_ST_MAX: finished, the store does not know how. */
typedef struct hl_logged {
  int64_t id, received;
  const char *source, *account;
  unsigned n;
  const uint8_t *states;
  hl_str body;
} hl_logged;

typedef struct hl_logged_page {
  int code;
  const hl_logged *rows;     /* newest first */
  size_t n;
  int64_t oldest, newest;    /* ids in the log; 0: it is empty */
  int64_t mark;              /* every event of a row up to here is done */
} hl_logged_page;
/* Rows before `before` (0: from the newest), at most max_rows and about max_bytes of bodies (one at least). */
void hl_store_list_log(hl_store *s, int64_t before, size_t max_rows, size_t max_bytes,
                       void (*cb)(void *arg, const hl_logged_page *page), void *arg);

/* Where the log has what was received since a time. */
typedef struct hl_log_span {
  int code;
  int64_t before;            /* rows up to here were received earlier; some behind it may be too */
  int64_t newest;            /* 0: the log is empty */
  int64_t kept;              /* when the oldest row was received */
} hl_log_span;
void hl_store_log_since(hl_store *s, int64_t since, void (*cb)(void *arg, const hl_log_span *span), void *arg);

/* Parked rows of one kind. DEAD and ORPHANED: newest first. WAITING and DELAYED: the next one due first. */
typedef struct hl_parked_query {
  hl_state kind;
  const char *script, *type; /* NULL: any */
  int64_t due, id;           /* of the last one seen; 0: from the first */
  size_t max;
} hl_parked_query;
typedef struct hl_parked_page {
  int code;
  const hl_parked *rows;
  size_t n, looked_at;
  bool more;                 /* go on behind `due`, `id` */
  int64_t due, id;
} hl_parked_page;
/* True when its script and type are those of the query. */
bool hl_parked_is_of(const hl_parked_query *q, const hl_parked *p);
void hl_store_list_parked(hl_store *s, const hl_parked_query *q, void (*cb)(void *arg, const hl_parked_page *page), void *arg);

/* What is known of one event; with row 0 of the delayed one whose parked row is `parked`. */
typedef struct hl_stored_step {
  const char *handler;
  hl_step_row row;
} hl_stored_step;
typedef struct hl_stored_event {
  int code;                  /* HL_ENOTFOUND: there is none */
  hl_logged row;             /* id 0: it is in no row (any more) */
  const hl_parked *parked;
  size_t n_parked;
  const hl_store_partial *partials;
  size_t n_partials;
  const hl_stored_step *steps;
  size_t n_steps;
} hl_stored_event;
void hl_store_read_event(hl_store *s, int64_t row, unsigned index, int64_t parked,
                         void (*cb)(void *arg, const hl_stored_event *event), void *arg);

/* Deletes finished rows received before `before`, some hundred of those after `after`. */
typedef struct hl_pruned {
  int code;
  size_t rows;               /* deleted */
  int64_t events;            /* in them */
  bool more;                 /* go on behind `after` */
  int64_t after, upto;       /* upto: where it will end */
} hl_pruned;
void hl_store_prune(hl_store *s, int64_t before, int64_t after, bool dry_run,
                    void (*cb)(void *arg, const hl_pruned *pruned), void *arg);

/* Audit records of a kind written from `since` on and before `until`, after the id `after`, the oldest first; bounded in
 * rows, in bytes and in what is looked at. */
typedef struct hl_audit_page {
  int code;
  const hl_audit *v;
  size_t n;
  bool more;                 /* go on behind `at` */
  int64_t at, of;            /* ids: where this page ends, the newest there is */
} hl_audit_page;
void hl_store_scan_audits(hl_store *s, const char *kind, int64_t since, int64_t until, int64_t after,
                          void (*cb)(void *arg, const hl_audit_page *page), void *arg);

#endif
