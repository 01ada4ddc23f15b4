/* A replay of recorded events: what scripts would do, told instead of done. Beside an engine of its own kind
 * (hl_engine_options.replay) the host of such a script has an hl_replay: writes to HubSpot and requests to other
 * hosts that are no reads are held back and answered here; what handlers did is told when they end.
 * Loop thread only.
 *
 * A tale: {"event", "type", "object", "account", "occurred", "received", "events" (of a batch: how many), "handler",
 * "outcome": "ran" "filtered" "failed" "waits" "cut", "error", "does": [{"what", "on", "with", "held"}]}. What happens while
 * a script loads has no event. */
#ifndef HL_LUA_REPLAY_H
#define HL_LUA_REPLAY_H

#include "engine/engine.h"
#include "hubspot/api.h"
#include "lua/host.h"

typedef struct hl_tale hl_tale;

typedef struct hl_replay {              /* zero it, fill in the first three */
  void (*told)(void *arg, cJSON *tale); /* a handler's run has ended; the tale is taken over */
  void *arg;
  bool reads;                           /* reads are told too */
  size_t out;                           /* calls and requests that are out */
  hl_tale *tales;                       /* of runs that go on */
} hl_replay;

/* Tells what loading has done so far, if it did something. */
void hl_replay_loaded(hl_replay *r);
void hl_replay_deinit(hl_replay *r);    /* after the host */

/* Calls `name` of the shipped module `module` in the state of a script that has loaded, with JSON in and out, outside of any
 * task: it cannot wait. *answer is the caller's. HL_EINVAL: it raised. */
int hl_replay_ask(hl_script *s, const char *module, const char *name, const cJSON *request, cJSON **answer, hl_error *err);

/* ---- for the bind files: nothing where there is no replay ---- */
void hl_replay_began(hl_host *host, hl_run *run, const char *handler, const hl_event *event);
void hl_replay_ended(hl_host *host, hl_run *run, const char *outcome, hl_str error);
/* What is stored with the run, or dropped (hl_testbed_run_ended). */
void hl_replay_settled(hl_host *host, hl_run *run, bool stored);
/* `with` is JSON text or, when it is none, text; p NULL: nothing. `local`: it goes when the run fails. */
void hl_replay_did(hl_host *host, hl_run *run, bool local, const char *what, const char *on, hl_str with, const char *held);
/* The id of what the call would have made, or of a record that it does not name by its id: "held-12.0-1". */
void hl_replay_id(hl_host *host, const hl_run *run, const hl_api_call *call, char out[80]);
void hl_replay_call(hl_host *host, hl_run *run, const hl_api_call *call, const char *held); /* held NULL: a read */

#endif
