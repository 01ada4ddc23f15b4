/* The simulator: stdlib/sim (Lua) in a state of its own. One handler serves HTTP
 * (`hubloop sim`), the in-process transport (`--sim`, `hubloop test`) and the
 * control calls. Deterministic in virtual time. Loop thread only. */
#ifndef HL_LUA_SIM_H
#define HL_LUA_SIM_H

#include "base/json.h"
#include "loop/loop.h"
#include "net/http.h"

typedef struct hl_sim hl_sim;

typedef struct hl_sim_options {
  const char *json;        /* options of stdlib/sim as a JSON object: tier, seed, contacts, … ; NULL: defaults */
  hl_transport *deliver;   /* webhook deliveries leave through it; NULL: none are sent. Borrowed */
  void (*progress)(void *arg, int64_t done, int64_t total); /* while the account is being made; NULL: no */
  void *progress_arg;
  const char *record;      /* append each request and answer to this file as JSON lines; NULL: no */
  const char *dir;         /* fixtures are read below this folder only; NULL: from anywhere */
} hl_sim_options;

int hl_sim_new(hl_loop *loop, const hl_sim_options *o, hl_sim **out, hl_error *err);
void hl_sim_free(hl_sim *sim);

/* How an answer is to leave when a fault meets its way. */
typedef struct hl_sim_way {
  bool half;                   /* the connection breaks in the middle of the body */
  int64_t trickle_ms;          /* the body takes so long; 0: at once */
} hl_sim_way;

/* Borrowed for the length of the callback. Status 0: the connection is dropped. */
typedef void (*hl_sim_cb)(void *arg, const hl_http_response *response, const hl_sim_way *way);

/* `target` is path and query. `headers` may be NULL. The answer comes later. */
void hl_sim_handle(hl_sim *sim, const char *method, const char *target, const hl_headers *headers,
                   hl_str body, hl_sim_cb cb, void *arg);
/* Calls control function `name` with a JSON argument at once; *out is hl_free'd by the caller. */
int hl_sim_control(hl_sim *sim, const char *name, hl_str json_args, char **out, hl_error *err);
/* A transport that answers from the simulator whatever the host. The caller frees it. */
hl_transport *hl_sim_transport(hl_sim *sim);
/* Likewise for other hosts: those that something stands in for (stdlib/sim/standin.lua); else it fails. */
hl_transport *hl_sim_elsewhere(hl_sim *sim);

#endif
