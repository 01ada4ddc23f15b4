/* Replaying: recorded events through scripts whose writes are held back, in the time in which they were received.
 * Scripts, engines and timers live on a loop in virtual time; accounts and the network are the runtime's, on the
 * real one. The virtual clock moves only while no call is out. What one request has brought is shown together, and
 * done with (but for what sleeps or waits) before the next one is shown, so that a replay is the same twice as long
 * as HubSpot answers alike. */
#ifndef HL_CMD_REPLAY_H
#define HL_CMD_REPLAY_H

#include "cmd/runtime.h"

enum { HL_REPLAY_SCRIPTS = 2 };

typedef struct hl_replayer hl_replayer;
typedef struct hl_replayer_options {
  hl_runtime *rt;                       /* offline */
  const char *scripts[HL_REPLAY_SCRIPTS]; /* the second may be NULL */
  int64_t start_ms;                     /* the first instant */
  bool reads;                           /* tell reads, too */
  bool asks;                            /* only loads them, for hl_replayer_ask: they need no handlers */
  const bool *stop;                     /* true: everything returns soon */
} hl_replayer_options;

/* Loads them. HL_ESCRIPT names file and line. */
int hl_replayer_new(const hl_replayer_options *o, hl_replayer **out, hl_error *err);
void hl_replayer_free(hl_replayer *r);
/* The clock goes to when this row (admin: events.read) was received, which ends what was shown before; then it is shown. */
int hl_replayer_show(hl_replayer *r, const cJSON *row, hl_error *err);
/* The clock goes ten minutes beyond `ms`, as if nothing more came. */
int hl_replayer_end(hl_replayer *r, int64_t ms, hl_error *err);
/* What the i-th script has told since the last time (lua/replay.h), an array; the caller's. */
cJSON *hl_replayer_tales(hl_replayer *r, size_t i);
/* Calls a function of a shipped module in the i-th script's own state (lua/replay.h). */
int hl_replayer_ask(hl_replayer *r, size_t i, const char *module, const char *name, const cJSON *request, cJSON **answer, hl_error *err);
void hl_replayer_stats(const hl_replayer *r, size_t i, hl_engine_stats *out);
/* Knows the secrets that the scripts may print. */
hl_log *hl_replayer_log(const hl_replayer *r);

#endif
