/* Inside the Lua room: what states and tasks are made of. Only state.c, task.c,
 * coroutine.c, watchdog.c, error.c and bind_task.c look in here; everybody else
 * uses task.h. Loop thread only. */
#ifndef HL_LUA_CORE_H
#define HL_LUA_CORE_H

#include <lualib.h>

#include "base/mem.h"
#include "lua/task.h"

enum { HL_POOL_MAX = 64, HL_KEPT_CLASSES = 64, HL_JSON_SIZES = 64 };

/* The threads of one unit of work: the task's own and, above it, the coroutines
 * that are resumed inside one another. While `nested` is not 0 the topmost were
 * resumed from C that cannot yield (sort, gsub, a metamethod): nothing may wait. */
typedef struct hl_threads {
  lua_State *main;
  lua_State **v;
  unsigned n, cap, nested;
} hl_threads;

typedef enum { HL_REQ_NONE, HL_REQ_WAIT, HL_REQ_RESUME, HL_REQ_YIELD, HL_REQ_LIMIT } hl_request_kind;

typedef struct hl_pooled { lua_State *co; int ref; } hl_pooled;

struct hl_state {
  lua_State *L;
  hl_loop *loop;
  char *name, *root;
  void *owner;
  void (*print)(void *arg, const char *line, size_t n);
  void *print_arg;
  void (*heard)(lua_State *L, const char *level, hl_str line);
  struct hl_coverage *coverage;
  void (*module)(void *owner, hl_str text);
  size_t used, limit;
  /* Not 0 while code runs that a memory error can be raised into. Host code
   * outside of it is never refused memory: it has no way to survive that. */
  unsigned limited;
  unsigned fail_at, fail_left; /* tests: the n-th limited allocation and its retry fail */
  int64_t cpu_ms;
  unsigned max_tasks, live;
  unsigned writers;            /* children numbered so far */
  unsigned cancel_depth;
  hl_task *current;            /* the task whose code runs now */
  hl_threads outer;            /* threads of code that runs outside tasks */
  hl_task *roots;
  /* What the thread that just yielded asks of the trampoline. */
  hl_request_kind request;
  lua_State *req_co;
  int req_nargs;
  bool hook_raised;            /* by the watchdog, in this resume */
  char limit_text[256];        /* what the watchdog says */
  hl_push_fn push;             /* results for the task that is being resumed */
  void *push_arg;
  hl_rng rng;
  int anchors;                 /* registry: array that keeps task threads and groups alive */
  int key_ids;                 /* registry: weak table, order of unordered keys */
  int memory_error;            /* registry: the error value made before memory ends */
  hl_pooled pool[HL_POOL_MAX];
  unsigned n_pool;
  struct hl_account_name *accounts;
  struct { void *first; size_t bytes; } kept[HL_KEPT_CLASSES]; /* small blocks given back, chained (state.c) */
  unsigned char json_sizes[HL_JSON_SIZES]; /* members that tables under a key had last (json_read.c) */
  hl_buf scratch;              /* text on its way into Lua; no error can leak it */
};

typedef enum {
  HL_TASK_NEW, HL_TASK_RUNNING, HL_TASK_WAITING, HL_TASK_DRAINING, HL_TASK_ENDING, HL_TASK_ENDED
} hl_task_phase;

typedef struct hl_deadline { hl_timer timer; int64_t ms; } hl_deadline;

struct hl_task {
  hl_state *state;
  hl_task *parent, *child, *next, *prev;
  hl_threads threads;
  int ref;                     /* anchor of threads.main */
  int nresults;                /* of the main function, at the top of threads.main */
  int code;
  hl_task_phase phase;
  void (*cleanup)(void *arg);
  void *cleanup_arg;
  hl_task_end_cb on_end;
  void *end_arg;
  hl_defer defer;              /* start, a cancel that had to wait, or the end */
  hl_timer timer;              /* sleep */
  struct hl_deadline *deadline; /* NULL: none */
  hl_held *held;
  char *text;                  /* of the error, when code is not 0 */
  size_t text_n;
  int cancel_code;             /* a cancel that came while it ran; 0: none */
  char *cancel_why;
  hl_run *run;
  const char *account;         /* owned by state->accounts */
  hl_api_class klass;
  bool offline, wait_children, exposed;
  unsigned writer;             /* 0: not a child */
  hl_step *step;               /* that it works in, or has worked in; NULL: none */
};

/* The extra word of a Lua thread: its state, and two marks in the low bits. Busy:
 * on some task's stack of threads. Deaf: an error left its hook, after which Lua
 * 5.4 calls no hook on it any more, so nothing may run on it. */
enum { HL_THREAD_BUSY = 1, HL_THREAD_DEAF = 2, HL_THREAD_MARKS = 3 };
static inline uintptr_t *hl_thread_word(lua_State *co) { return (uintptr_t *)lua_getextraspace(co); }
static inline void hl_thread_set_busy(lua_State *co, bool busy) {
  if (busy) *hl_thread_word(co) |= HL_THREAD_BUSY;
  else *hl_thread_word(co) &= ~(uintptr_t)HL_THREAD_BUSY;
}
static inline bool hl_thread_busy(lua_State *co) { return (*hl_thread_word(co) & HL_THREAD_BUSY) != 0; }
static inline bool hl_thread_deaf(lua_State *co) { return (*hl_thread_word(co) & HL_THREAD_DEAF) != 0; }

/* state.c */
/* The state's buffer, empty: for the text of one C function that makes no other use of it. */
hl_buf *hl_state_scratch(lua_State *L);

/* task.c */
/* Like hl_task_start for a child of `parent` (which inherits run, account,
 * class and offline from it). */
int hl_task_spawn(lua_State *L, hl_task *parent, int nargs, const hl_task_options *o,
                  hl_task_end_cb on_end, void *arg, hl_task **out, hl_error *err);
/* Ends a task with an error of somebody else: the value on top of `from` (popped). */
void hl_task_fail(hl_task *t, int code, lua_State *from, hl_str text);
void hl_task_sleep(hl_task *t, int64_t ms);
void hl_tasks_end_all(hl_state *s);          /* cancels, and runs every on_end now */
/* Runs the topmost of `th` (nargs on its stack) until the stack of threads is
 * back at `base`; LUA_YIELD from the outermost means that the task waits or (request
 * HL_REQ_LIMIT) that the watchdog stopped it. */
int hl_threads_spin(hl_state *s, hl_threads *th, unsigned base, lua_State *from, int nargs, int *nres);
hl_threads *hl_threads_current(hl_state *s);
void hl_threads_push(hl_threads *th, lua_State *co);
/* lua_resetthread under the memory limit and the watchdog. A deaf thread is left
 * to the collector: what it would close could not be stopped. */
int hl_thread_close(hl_state *s, lua_State *co);

/* coroutine.c */
void hl_coroutine_open(lua_State *L);

/* error.c */
void hl_error_open(lua_State *L);            /* metatable; own error-aware pcall and xpcall */
/* Replaces the error object on top of L by the error value that scripts and
 * on_end see, given lua's status. */
void hl_error_adapt(hl_state *s, lua_State *L, int status);
/* Message of the value at idx and the traceback of `co` (NULL: none), into *text (hl_free). */
char *hl_error_text(hl_state *s, lua_State *L, int idx, lua_State *co, size_t *n);
int hl_error_code(lua_State *L, int idx);    /* HL_ELIMIT for kind "limit", else HL_ESCRIPT */
void hl_error_push_plain(lua_State *L, const char *kind, const char *message);

/* watchdog.c */
typedef struct hl_watch { lua_State *L; int ticks, budget, armed; } hl_watch;
int hl_watch_init(hl_error *err);            /* once a state; the first makes the timer */
void hl_watch_deinit(void);
void hl_watch_begin(int64_t cpu_ms, hl_watch *saved);   /* a fresh budget */
void hl_watch_end(const hl_watch *saved);
lua_State *hl_watch_enter(lua_State *L);     /* L runs from now; gives what ran before */
void hl_watch_leave(lua_State *L, lua_State *before);
bool hl_watch_spent(void);                   /* the running budget is spent */

/* json_lua.c */
#define HL_JSON_ARRAY "hl.json.array" /* the metatable of arrays */
/* hl_lua_to_json with `indent` blanks a level (0: compact). */
int hl_lua_encode(lua_State *L, int idx, hl_buf *out, int indent, hl_error *err);

/* Length of the valid UTF-8 sequence at p (n is not 0), 0 when it is none. */
size_t hl_utf8_length(const unsigned char *p, size_t n);
bool hl_utf8_valid(hl_str s);

/* json_read.c */
/* Pushes what the text says; false, and nothing is pushed, when hl_json_parse and
 * hl_lua_push_json are to read or refuse it. */
bool hl_lua_read_json(lua_State *L, hl_str text, bool null_as_nil);

/* bind_*.c */
void hl_bind_task(lua_State *L);
void hl_bind_json(lua_State *L);
void hl_bind_log(lua_State *L);
void hl_bind_time(lua_State *L);
void hl_bind_crypto(lua_State *L);
void hl_bind_operations(lua_State *L);
void hl_bind_csv(lua_State *L);
/* sandbox.c: the base library as scripts may have it, and require */
void hl_sandbox_open(lua_State *L);
void hl_doors_open(lua_State *L);   /* doors.c: after hl_sandbox_open */

#endif
