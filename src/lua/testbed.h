/* One test's world: a virtual loop, an engine in memory, an account whose API is
 * the simulator, and the simulator's webhooks into the engine's door. Made anew
 * for each `it`. Between testrun.c and bind_test.c only. */
#ifndef HL_LUA_TESTBED_H
#define HL_LUA_TESTBED_H

#include "engine/webhook.h"
#include "lua/script.h"
#include "lua/sim.h"

typedef struct hl_audit_record {
  struct hl_audit_record *next;
  hl_run *run;               /* NULL: stored */
  char *kind, *key, *json;
  int64_t at;
} hl_audit_record;

struct hl_testbed {
  hl_loop *loop;
  hl_log *log;
  hl_buf logged;             /* the log's lines, shown when the test fails */
  hl_buf printed;            /* of print() */
  hl_engine *engine;
  hl_call_log *calls;        /* in memory */
  hl_hubspot *hubspot;
  hl_account *account;
  hl_webhook *webhook;
  hl_host *host;
  hl_script *script;         /* the test file */
  hl_sim *sim;               /* NULL until somebody needs it */
  hl_transport api;          /* to the simulator, which it starts */
  hl_transport web;          /* other hosts (testweb.c) */
  hl_transport door;         /* from the simulator to the webhook door */
  char token[64], secret[64];
  char *dir;                 /* of the test file */
  char *files;               /* where fs is in this test; NULL: nobody has used it */
  uint64_t seed;
  bool started;              /* the engine dispatches */
  size_t subscribed;         /* event types that the simulator knows of */
  bool down;                 /* the scripts have been killed: webhooks find nobody */
  char *crash_method, *crash_path; /* of the calls that crash_in counts; NULL: any */
  unsigned crash_in;         /* > 0: the scripts are killed when so many of them have been answered */
  hl_audit_record *audits;
  /* The `it` that runs. */
  bool main_done, done;
  int code;
  char *text;
};

/* The simulator, started with `json` (options; NULL: none) if it is not yet. */
int hl_testbed_sim(hl_testbed *bed, const char *json, hl_error *err);
/* Starts dispatching, and subscribes to what handlers listen to. */
int hl_testbed_ready(hl_testbed *bed, hl_error *err);
/* The test's own empty folder, in which fs works; gone with the test. */
int hl_testbed_files(hl_testbed *bed, const char **out, hl_error *err);
/* As kill -9 would: what the scripts were doing ends where it is and their events stay pending, in the store. None of
 * them begins anything before each has been restarted (bind_test.c) and hl_testbed_up has been called. */
void hl_testbed_crash(hl_testbed *bed);
void hl_testbed_up(hl_testbed *bed);
/* testweb.c */
void hl_testweb_init(hl_testbed *bed);
int hl_testweb_register(lua_State *L);
bool hl_testbed_idle(hl_testbed *bed, char *why, size_t size);

#endif
