/* States and tasks: what every bind_X.c is written against. A state (hl_state)
 * is one lua_State with a memory limit and permissions; a task is one unit of
 * work in it: a coroutine, its children, the run (engine) it works for, and what
 * must be undone if it is cancelled while it waits.
 *
 * The waiting pattern, the same in every binding:
 *   1. check arguments            luaL_check…
 *   2. check yielding is legal    hl_task *t = hl_task_check_wait(L);   (raises)
 *   3. register the cleanup and start:
 *          hl_task_wait(t, cancel_my_op, my_op);
 *   4. return hl_task_yield(L);
 * The completion calls hl_task_resume(t, push, arg) from the loop (never from
 * inside the binding). Timeout, cancel, reload and shutdown call the cleanup
 * instead, once, and the task never resumes. */
#ifndef HL_LUA_TASK_H
#define HL_LUA_TASK_H

#include <lauxlib.h>
#include <lua.h>

#include "engine/step.h"
#include "lua/host.h"

typedef struct hl_state hl_state;
typedef struct hl_task hl_task;

/* ---- states ---- */
typedef struct hl_state_options {
  hl_loop *loop;
  const char *name;              /* for the log and tracebacks: "lead_routing.lua" */
  const char *root;              /* project folder for require; NULL: shipped modules only */
  size_t memory_limit;           /* bytes; 0: 256 MiB */
  int64_t cpu_ms;                /* 0: 1,000 */
  unsigned max_tasks;            /* 0: 10,000 */
  void (*print)(void *arg, const char *line, size_t n);
  void *print_arg;
  /* Takes what print() and the log are given, with "print" or the log's level; NULL: nobody. */
  void (*heard)(lua_State *L, const char *level, hl_str line);
  void *owner;                   /* hl_script, hl_sim, … : whoever binds more functions */
  struct hl_coverage *coverage;  /* lua/coverage.h: notes which lines run; NULL: nobody asks */
  void (*module)(void *owner, hl_str text); /* of the project, has been loaded; may be NULL */
} hl_state_options;
/* A state with the safe libraries, `task`, `json`, `log`, `time`, `crypto`, `text`,
 * the host's coroutine.* and require for the shipped modules (SEMANTICS 23, 24). */
int hl_state_new(const hl_state_options *o, hl_state **out, hl_error *err);
void hl_state_free(hl_state *s);          /* cancels its tasks first */
lua_State *hl_state_lua(hl_state *s);     /* the main thread: for binding, never for running scripts */
hl_state *hl_state_of(lua_State *L);
void *hl_state_owner(hl_state *s);
hl_loop *hl_state_loop(hl_state *s);
const char *hl_state_name(const hl_state *s);
size_t hl_state_live_tasks(const hl_state *s);
/* Pushes the private `host` table, which shipped modules get as their second
 * chunk argument (local name, host = ...) and scripts never see. */
void hl_state_push_host(lua_State *L);
/* Adds a module written in C that scripts get from `require "name"` and as a
 * global when `global`. Takes the table on top of the stack. */
void hl_state_add_module(lua_State *L, const char *name, bool global);
/* lua_pcall for host code that calls into Lua outside of any task, or from a
 * binding: under the memory limit and the watchdog, waiting is refused. On failure
 * nothing is left on the stack: HL_ESCRIPT or HL_ELIMIT with the message. */
int hl_state_call(lua_State *L, int nargs, int nresults, hl_error *err);

/* ---- tasks ---- */
/* `code`: 0, or HL_ESCRIPT (raised), HL_ETIMEOUT, HL_ECANCELLED, HL_ELIMIT (cpu budget, memory).
 * On 0 the results are on L (nresults at the top); otherwise the error value is at the top and `text` is
 * its message with traceback. Called once, on the loop, when the task and its
 * children have ended. */
typedef void (*hl_task_end_cb)(void *arg, hl_task *t, int code, lua_State *L, int nresults, hl_str text);

typedef struct hl_task_options {
  hl_run *run;                   /* effects go here; children inherit it. NULL: none */
  const char *account;           /* task-local account name (SEMANTICS 21); NULL: none */
  hl_api_class klass;            /* class of its API calls */
  int64_t timeout_ms;            /* 0: none */
  bool offline;                  /* API calls and http raise ("not while loading") */
  bool wait_children;            /* a script's main task: wait for spawned children instead of cancelling them */
} hl_task_options;

/* Starts the function below its nargs arguments on top of L's stack (popped), at the next deferred
 * call. 0, or HL_ELIMIT when the state has too many live tasks. */
int hl_task_start(lua_State *L, int nargs, const hl_task_options *o, hl_task_end_cb on_end, void *arg,
                  hl_task **out, hl_error *err);
void hl_task_cancel(hl_task *t, int code, const char *why);  /* cleanups run; on_end is called later */
hl_task *hl_task_current(lua_State *L);            /* NULL outside tasks */
hl_run *hl_task_run(const hl_task *t);
const char *hl_task_account(const hl_task *t);     /* "" when none */
void hl_task_set_account(hl_task *t, const char *name);
hl_api_class hl_task_class(const hl_task *t);
bool hl_task_offline(const hl_task *t);
hl_state *hl_task_state(const hl_task *t);
/* Of its effects (hl_run_as): 0 for a handler's own task, else a child's number. */
unsigned hl_task_writer(const hl_task *t);
/* The open step whose work this is, or NULL; children inherit it. */
hl_step *hl_task_step(const hl_task *t);
void hl_task_set_step(hl_task *t, hl_step *step);

hl_task *hl_task_check_wait(lua_State *L);         /* raises when this code cannot wait, and says why */
void hl_task_wait(hl_task *t, void (*cleanup)(void *arg), void *arg);
int hl_task_yield(lua_State *L);                   /* `return hl_task_yield(L);` */
/* What ends with the task, however it ends; `drop` is called once, and may start nothing in Lua. */
typedef struct hl_held {
  struct hl_held *next, **at;
  void (*drop)(struct hl_held *held);
} hl_held;
void hl_task_hold(hl_task *t, hl_held *held);
void hl_task_unhold(hl_held *held);                /* held no more: nothing */
/* `of` is the task or one above it. */
bool hl_task_is_within(const hl_task *t, const hl_task *of);
/* Pushes results and returns their count, or pushes one error value and returns -1: it is
 * raised where the task waits. Runs protected. */
typedef int (*hl_push_fn)(lua_State *L, void *arg);
/* Drops the cleanup, then resumes. The task may be gone on return. */
void hl_task_resume(hl_task *t, hl_push_fn push, void *arg);

/* ---- values ---- */
/* Pushes an error table {kind, message, status, category, correlation_id, retryable}
 * with the metatable that prints it. Optional texts may be NULL, status 0. */
void hl_lua_push_error(lua_State *L, const char *kind, const char *message, int status,
                       const char *category, const char *correlation_id, bool retryable);
/* Raises it, with the caller's position in front of the message. */
int hl_lua_raise(lua_State *L, const char *kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* cJSON to Lua (null: json.null, or nil inside when `null_as_nil`) and back. */
void hl_lua_push_json(lua_State *L, const cJSON *item, bool null_as_nil);
/* Appends the value at idx as JSON text; HL_EINVAL names the path of what cannot be encoded. */
int hl_lua_to_json(lua_State *L, int idx, hl_buf *out, hl_error *err);
/* "15m" or a number of seconds at idx, as ms; the second raises at an argument. */
int hl_lua_read_duration(lua_State *L, int idx, int64_t *ms, hl_error *err);
int64_t hl_lua_check_duration(lua_State *L, int idx);

#endif
