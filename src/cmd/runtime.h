/* The runtime: every room assembled, for the commands and for include/hubloop.h.
 * Loop thread only. */
#ifndef HL_CMD_RUNTIME_H
#define HL_CMD_RUNTIME_H

#include "admin/control.h"
#include "engine/webhook.h"
#include "hubspot/secrets.h"
#include "lua/host.h"
#include "lua/project.h"
#include "lua/sim.h"
#include "net/client.h"

typedef struct hl_runtime {
  hl_log *log;
  hl_loop *loop;
  hl_transport *client;      /* real HTTP */
  hl_sim *sim;               /* with options.simulator */
  hl_transport *hubspot_transport;
  hl_transport *deliver;     /* the simulator's webhooks into our own door */
  hl_vault *vault;           /* NULL: there is no place for one */
  hl_secrets *secrets;
  hl_hubspot *hubspot;
  hl_call_log *calls;        /* NULL: none is kept */
  hl_engine *engine;
  hl_webhook *webhook;
  struct hl_journals *journals; /* cmd/journals.h; NULL: none is read */
  hl_host *host;
  struct hl_fit *fit;        /* cmd/fit.h; NULL: nobody holds the scripts against the account */
  hl_actions *actions;
  hl_control *control;       /* NULL: commands cannot reach it */
  hl_project *project;       /* NULL for a lone script */
  char *script;              /* the lone one's path */
  char *root;
  const char **secret_names; /* of the settings, or NULL */
  const char *own[3];        /* the store's file, and the project's when that is another */
  bool serving;
} hl_runtime;

typedef struct hl_runtime_options {
  const char *path;          /* folder or script */
  const char *store;         /* overrides; NULL: the project's, or in memory for a lone script */
  const char *account;       /* the stored credential to use, for what has no settings */
  bool simulator;
  const char *sim_json;      /* options of the simulator, NULL: defaults */
  bool is_virtual;           /* with the simulator: virtual time; http reaches stand-ins only */
  bool serving;
  bool offline;              /* a store in memory and no call log: scripts are only loaded */
  struct hl_page *page;      /* engine/page.h; NULL: nobody supervises */
  hl_log_level log_level;
  bool log_json;
  void (*print)(void *arg, const char *line, size_t n);
  void *print_arg;
} hl_runtime_options;

/* Everything up to the host; scripts are not loaded, the engine is not started. */
int hl_runtime_new(const hl_runtime_options *o, hl_runtime **out, hl_error *err);
typedef struct hl_load_result {
  size_t loaded, failed;
  hl_error first;            /* of the failures */
} hl_load_result;
/* Loads the project's scripts or the lone one (reload.c): runs the loop until their main tasks have ended, then those that ended well
 * begin, with all that they registered. Once *stop is true (NULL: never) none does. */
void hl_runtime_load(hl_runtime *rt, const bool *stop, hl_load_result *out);
/* Opens the control socket beside the store; without one it says why, and goes on. */
void hl_runtime_control(hl_runtime *rt, const char *store);
/* Runs the loop until no task lives and no event is pending or due. */
void hl_runtime_run_idle(hl_runtime *rt, const bool *stop);
/* Lets running handlers end and commit; what is cut after deadline_ms stays pending. */
void hl_runtime_drain(hl_runtime *rt, int64_t deadline_ms);
void hl_runtime_free(hl_runtime *rt);

/* The state folder of `hubloop run` stores: $XDG_STATE_HOME/hubloop, made when missing. */
int hl_runtime_state_path(const char *script, hl_buf *out, hl_error *err);
/* {"engine":{…},"webhook":{…},"halted":{…},"api":{…}} for the status page and hubloop.h. */
void hl_runtime_status(const hl_runtime *rt, hl_buf *out);

#endif
