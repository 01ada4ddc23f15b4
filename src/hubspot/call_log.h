/* The call log: one JSON line for each call of a script, in numbered segments
 * (BASE.1, BASE.2, ...) with a bound on what they take on disk. It keeps paths
 * and record ids, never a token, a query value, an e-mail address or the value of
 * an id_property (SEMANTICS 43); bodies only when asked.
 *
 * Loop thread. Nothing here blocks or fails: lines are collected and written by a
 * job on another thread, about five times a second; what cannot be written in
 * time, or at all, is dropped and counted in a gap line. */
#ifndef HL_HUBSPOT_CALL_LOG_H
#define HL_HUBSPOT_CALL_LOG_H

#include "base/json.h"
#include "loop/loop.h"

typedef struct hl_call_log hl_call_log;

enum { HL_CALL_BODY_MAX = 16 * 1024 };   /* of each body kept; the rest is cut */
#define HL_CALL_LOG_MAX (INT64_C(64) << 20)
#define HL_CALL_LOG_LEAST (INT64_C(1) << 20)

typedef struct hl_call_log_options {
  const char *base;      /* "/project/data/calls.log"; its folder is made. NULL: the newest lines stay in memory */
  int64_t max;           /* bytes on disk, all segments; 0: HL_CALL_LOG_MAX, at least HL_CALL_LOG_LEAST */
  bool bodies;
  bool simulator;        /* the lines say that HubSpot was the simulator */
} hl_call_log_options;

/* Nothing is opened before the first line is written. `o` is copied. */
hl_call_log *hl_call_log_new(hl_loop *loop, const hl_call_log_options *o);
/* Writes what is left, waiting for it. */
void hl_call_log_free(hl_call_log *l);
bool hl_call_log_bodies(const hl_call_log *l);
/* NULL: in memory, and then `kept` has the lines (borrowed until the next one). */
const char *hl_call_log_path(const hl_call_log *l);
hl_str hl_call_log_kept(const hl_call_log *l);

typedef struct hl_call_record { /* borrowed for the length of the call; texts may be NULL */
  const char *script, *account;
  const char *klass;         /* "live" "normal" "bulk" */
  const char *method, *path; /* of the request it travelled in, without query */
  const char *id;            /* the record's id, or its value of the property `by` */
  const char *by;            /* an id_property: then `id` is not kept */
  bool raw;                  /* the path is a script's own text */
  bool single;               /* the path ends in `id`: no batch */
  int status;                /* 0: no answer */
  int64_t wait, latency, total; /* ms: asking to first sending; last sending to answer; asking to end */
  unsigned attempts, limited;   /* times it was sent; of those, answered 429 */
  uint64_t request;          /* the same for calls that shared a request; 0: never sent */
  size_t batch;              /* calls that shared it */
  const char *correlation_id;
  const char *kind, *category, *message; /* of the error; kind NULL: well */
  hl_str sent, answer;       /* bodies, when hl_call_log_bodies */
} hl_call_record;

void hl_call_log_add(hl_call_log *l, const hl_call_record *r);

/* Where the log of a store lies: "data/calls.log" for "data/hubloop.db", and
 * "x.lua.calls.log" for "x.lua.db". */
int hl_call_log_base(const char *store, hl_buf *out);

/* The segments' numbers, ascending; hl_free *out. 0 or HL_EIO (errno tells). */
int hl_call_log_segments(const char *base, uint64_t **out, size_t *n);

#endif
