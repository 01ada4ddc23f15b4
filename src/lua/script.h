/* Inside the Lua host: a loaded script, the work it does for runs, and what the
 * bind_X.c files share. Not for other rooms (they use lua/host.h). Loop thread
 * only. */
#ifndef HL_LUA_SCRIPT_H
#define HL_LUA_SCRIPT_H

#include "lua/replay.h"
#include "lua/task.h"

typedef struct hl_work hl_work;
typedef struct hl_handler_fn hl_handler_fn;
typedef struct hl_route hl_route;
typedef struct hl_sql_guard hl_sql_guard;
typedef struct hl_testbed hl_testbed;

struct hl_host {
  hl_host_options o;
  char *root;
  hl_script *scripts;     /* those that events and requests go to */
  hl_script *apart;       /* staged, or retired until their last task has ended */
  char **types;           /* of hl_host_event_types */
  char **locks;           /* host.lock: names that are taken, NULL-terminated (bind_derived.c) */
  size_t n_locks;
  char **secrets;         /* names that scripts have called secret() with, NULL-terminated */
  size_t n_secrets;
  struct hl_sqls *sqls;   /* databases of scripts; NULL: none yet */
  hl_testbed *bed;        /* not NULL: this host runs a test (bind_test.c) */
};

struct hl_script {
  hl_script *next;
  hl_host *host;
  hl_state *state;
  char *name;             /* relative to the project: the durable name's first part */
  char **hosts, **fs, **env, **sql; /* permissions, copied; NULL: none */
  char *http_origin;      /* of the last URL that bind_http.c found permitted */
  size_t http_origin_n;
  bool http_named;        /* by a host named in full */
  hl_sql_guard *guards;   /* transactions that its tasks are in (bind_sql.c) */
  bool loading;           /* registration is legal */
  bool stays_loading;     /* a test file: registers as long as it lives */
  hl_run *main_run;       /* of the main task: its effects commit at once */
  hl_run *hook_run;       /* set while host.on_end functions run */
  hl_work *works;         /* tasks that end with hl_work's callback */
  hl_handler_fn *handlers;
  hl_route *routes;       /* in the order of registration */
  size_t registered;      /* on, every, cron and serve */
  char **types;           /* HubSpot event types that it listens to, each once */
  size_t n_types;
  hl_swap *swap;          /* staged: what it registers waits here */
  bool retired;           /* nothing new starts in it */
  hl_timer drain;         /* retired: how long its tasks may still take */
  hl_defer reap;
  bool ended;             /* the main task has ended */
  int end_code;
  char *end_text;
  void (*on_end)(void *arg, int code, hl_str text);
  void *on_end_arg;
};

/* The script whose state L belongs to. */
hl_script *hl_script_of(lua_State *L);
/* The only account's name, or "" with none or several. */
const char *hl_host_default_account(hl_host *host);
/* Account of the running task, or the default; never NULL. */
const char *hl_script_account(lua_State *L);
/* The run that effects of the running code belong to; raises when there is none.
 * *at_once (may be NULL): they commit at once, not with a completion. */
hl_run *hl_script_run(lua_State *L, bool *at_once);
/* HubSpot's events of this type are for the script. */
void hl_script_note_type(hl_script *s, const char *type);
/* Raises unless the script is loading. */
void hl_script_check_loading(lua_State *L, const char *what);

/* ---- work: a task that ends in a callback of ours, once, whatever happens ---- */
/* `L` is NULL when the work was cut because the host is being freed. `code` as
 * for hl_task_end_cb; a host.on_end function that raised makes it HL_ESCRIPT. */
typedef void (*hl_work_end)(void *arg, int code, lua_State *L, int nresults, hl_str text);
/* Starts the function and its nargs arguments on top of the state's main stack
 * (popped). On failure `end` is not called. */
int hl_work_start(hl_script *s, int nargs, const hl_task_options *o, hl_work_end end, void *arg,
                  hl_work **out, hl_error *err);
void hl_work_cancel(hl_work *w, int code, const char *why);
hl_task *hl_work_task(hl_work *w);
hl_work *hl_work_next(const hl_work *w);
void hl_works_cancel(hl_script *s, const char *why);  /* every task is told to end; `end` comes later */
/* Before the state is freed: `end` now, with L NULL; after it: the memory. */
void hl_works_cut(hl_script *s);
void hl_works_free(hl_script *s);

/* Calls the host.on_end functions that the running task has left for `run`, well: a step
 * seals what was done so far. HL_ESCRIPT: one raised. */
int hl_script_seal(lua_State *L, hl_run *run, hl_error *err);

/* Runs fn(L, arg), which pushes `want` values on the state's main stack, under
 * protection. False: nothing is pushed and the message is in err. */
bool hl_script_protected(hl_script *s, lua_CFunction fn, void *arg, int want, hl_error *err);
/* Waits (in the calling task) until what `run` has buffered is committed, then
 * returns no value; `return hl_script_commit_now(L, run);`. */
int hl_script_commit_now(lua_State *L, hl_run *run);

/* host.c: as hl_host_load; `extend` (may be NULL) binds more before the script is compiled. */
int hl_host_load_with(hl_host *host, const char *path, const hl_permissions *p, lua_CFunction extend,
                      hl_script **out, hl_error *err);

/* ---- option tables ---- */
/* Raises at the caller's line for a key of the table at idx that is not in the
 * NULL-terminated list, naming the nearest. */
void hl_lua_check_options(lua_State *L, int idx, const char *what, const char *const *known);
/* Absolute indexes only. Missing: the fallback. Wrong type: raises, naming the option. */
const char *hl_lua_opt_str(lua_State *L, int idx, const char *key, const char *fallback);
lua_Integer hl_lua_opt_int(lua_State *L, int idx, const char *key, lua_Integer lo, lua_Integer hi,
                           lua_Integer fallback);
int64_t hl_lua_opt_duration(lua_State *L, int idx, const char *key, int64_t fallback_ms);
const char *hl_lua_class_name(hl_api_class klass);
hl_api_class hl_lua_opt_class(lua_State *L, int idx, const char *key, hl_api_class fallback);
/* Parses JSON text and pushes it; the tree is freed also when memory ends. Raises on bad text. */
void hl_lua_push_json_text(lua_State *L, hl_str text, bool null_as_nil);
/* True when it reads this text without hl_json_parse, and so surely well. */
bool hl_lua_reads_json(hl_str text);
/* Pushes a parsed tree and frees it. */
void hl_lua_push_json_take(lua_State *L, cJSON *tree, bool null_as_nil);
/* Replaces the string on top by a function without arguments that parses it as JSON each time. */
void hl_lua_push_json_fn(lua_State *L);

/* ---- paths that a script says (bind_fs.c) ---- */
/* Raises for what is no path of a file (or `folder`), or goes up. */
void hl_script_check_path(lua_State *L, const char *what, bool folder, hl_str path);
/* Absolute, from the project's folder on or, in a test, below the test's own. `out` is cleared first. */
void hl_script_place(lua_State *L, const char *path, hl_buf *out);

/* ---- secrets (SEMANTICS 36) ---- */
bool hl_secret_is(lua_State *L, int idx);
/* What a test says is in the environment (sim.load with env = { NAME = "…" }), or NULL. */
const char *hl_env_told(const hl_script *s, const char *name);
/* The text of the secret at idx, with what was put around it. Registered with the log. */
int hl_secret_resolve(lua_State *L, int idx, hl_buf *out, hl_error *err);

/* ---- each bind file's entry; the state is new, nothing runs yet ---- */
void hl_bind_script(lua_State *L);   /* all of them */
void hl_bind_engine(lua_State *L);
void hl_bind_on(lua_State *L);
void hl_bind_effects(lua_State *L);
void hl_bind_step(lua_State *L);
void hl_bind_wait(lua_State *L);
void hl_bind_writes(lua_State *L); /* of a step, into the table on top */
void hl_bind_serve(lua_State *L);
void hl_bind_secret(lua_State *L);
void hl_bind_files(lua_State *L);    /* for lua/check.h alone: no script gets these */
void hl_bind_kv(lua_State *L);
void hl_bind_http(lua_State *L);
void hl_bind_fs(lua_State *L);
void hl_bind_sql(lua_State *L);
void hl_bind_env(lua_State *L);
void hl_bind_hubspot(lua_State *L);
void hl_bind_calls(lua_State *L);
int hl_bind_test_entry(lua_State *L); /* for hl_host_load_with */

/* A test keeps the audit records of finished runs (bind_test.c), a replay more; else nothing. */
void hl_testbed_audited(hl_host *host, hl_run *run, const char *kind, const char *key, hl_str json);
void hl_testbed_run_ended(hl_host *host, hl_run *run, bool stored);

void hl_bind_derived(lua_State *L);

void hl_handler_fns_free(hl_script *s);
void hl_routes_free(hl_script *s);
/* The two serve the same: HL_EINVAL says where. */
int hl_routes_clash(const hl_script *fresh, const hl_script *other, hl_error *err);
void hl_script_idle(hl_script *s);   /* its last task has ended */

#endif
