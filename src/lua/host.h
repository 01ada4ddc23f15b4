/* The Lua host: one state a script (memory limit, permissions), one coroutine a
 * task, and the functions that register scripts' handlers with the engine. What
 * cmd/ and the embedding API call. Loop thread only. */
#ifndef HL_LUA_HOST_H
#define HL_LUA_HOST_H

#include "engine/engine.h"
#include "hubspot/api.h"
#include "net/http.h"
#include "net/server.h"

typedef struct hl_host hl_host;
typedef struct hl_script hl_script;

/* What the settings say of a script. */
typedef struct hl_permissions {       /* NULL-terminated lists, or NULL: nothing (SEMANTICS 24) */
  const char *const *hosts;           /* "api.example.com", "127.0.0.1:9000", "*.example.com" */
  const char *const *fs;              /* directories, relative to the project */
  const char *const *env;             /* variable names */
  const char *const *sql;             /* SQLite files, relative to the project, and "postgres://host/database" */
  unsigned concurrency;               /* runs of its handlers at once; 0: the engine's default */
} hl_permissions;

typedef struct hl_host_options {      /* everything is borrowed */
  hl_loop *loop;
  hl_engine *engine;
  hl_hubspot *hubspot;
  hl_transport *http;                 /* for the http module */
  const char *root;                   /* the project's folder: require, fs and script names start here */
  size_t memory_limit;                /* a state, bytes; 0: 256 MiB */
  int64_t cpu_ms;                     /* a task's budget between two yields; 0: 1,000 */
  unsigned max_tasks;                 /* live coroutines a state; 0: 10,000 */
  bool serving;                       /* `serve`: loading is offline, API calls while it loads raise */
  /* Settings' secrets: resolves `secret "NAME"`. NULL: the environment. */
  int (*secret)(void *arg, const char *name, hl_buf *out, hl_error *err);
  void *secret_arg;
  const char *const *secret_names;    /* of the settings; NULL-terminated, or NULL */
  void (*print)(void *arg, const char *line, size_t n);  /* print(); NULL: standard output */
  void *print_arg;
  const char *const *own;             /* hubloop's own files, which no script touches; NULL-terminated, or NULL */
  struct hl_coverage *coverage;       /* lua/coverage.h; NULL: none */
  struct hl_replay *replay;           /* lua/replay.h; NULL: what scripts do is done */
} hl_host_options;

int hl_host_new(const hl_host_options *o, hl_host **out, hl_error *err);
void hl_host_free(hl_host *host);    /* cancels every task first */

/* Compiles the script and starts its main chunk as a task. Not found, syntax
 * errors ("lead.lua:12: …" and the line itself) and misuse come back here; what
 * the main task raises while it runs arrives through hl_script_on_end. `path` is
 * absolute or relative to the current folder. permissions are copied. */
int hl_host_load(hl_host *host, const char *path, const hl_permissions *p, hl_script **out, hl_error *err);
/* `code` 0 or HL_ESCRIPT with the traceback in `text`, once, when the main task has ended. */
void hl_script_on_end(hl_script *s, void (*cb)(void *arg, int code, hl_str text), void *arg);
const char *hl_script_name(const hl_script *s);
size_t hl_host_live_tasks(const hl_host *host);
size_t hl_host_handlers(const hl_host *host);   /* on, every, cron and serve registrations */
/* HubSpot event types that handlers listen to, each once, NULL-terminated; borrowed
 * until the next registration. For the subscriptions that the scripts need. */
const char *const *hl_host_event_types(hl_host *host);
/* The scripts in the order in which they were loaded, NULL at the end. */
hl_script *hl_host_scripts(const hl_host *host);
hl_script *hl_script_next(const hl_script *s);

/* ---- exchanging scripts while they run (SEMANTICS 27) ---- */
/* As hl_host_load, but nothing that it registers counts before hl_host_swap, and a script of its name may be there.
 * timeout_ms: of its main task, 0: none. */
int hl_host_stage(hl_host *host, const char *path, const hl_permissions *p, int64_t timeout_ms, hl_script **out, hl_error *err);
/* A staged script is not wanted: not to be used any more, and hl_script_on_end does not hear of it. */
void hl_script_drop(hl_script *s);
typedef struct hl_change {
  const char *name;                 /* hl_script_name */
  hl_script *script;                /* staged, its main task ended well; NULL: the script of that name goes */
  hl_error err;                     /* set by hl_host_swap: it clashes with another script and is dropped, all stays as it was */
} hl_change;
/* At once, between two events and two requests: the scripts are exchanged, handlers and routes. Tasks of the old ones go on for
 * drain_ms, then they are cut: their events go back to the inbox. */
void hl_host_swap(hl_host *host, hl_change *changes, size_t n, int64_t drain_ms);

/* A registered route takes the request and will reply; false: no route matches. */
bool hl_host_route(hl_host *host, hl_request *request);
/* Ends every task (their cleanups run, their runs are cut). */
void hl_host_cancel_all(hl_host *host);

#endif
