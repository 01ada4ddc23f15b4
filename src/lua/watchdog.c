/* The watchdog: ends code that runs for too long without yielding.
 *
 * A count hook that is always armed doubles the cost of bytecode, so none is.
 * One timer on the CPU clock of the loop thread ticks every 10 ms of work (an
 * idle process is never woken); its signal goes to that thread, and when the
 * running code has used its budget the handler arms the hook on the Lua thread
 * that runs now, which lua.c does in the same way. The hook yields out of the
 * task, which no pcall can hold; under C that cannot yield it raises, at each
 * instruction until it is out of there. Every Lua thread that runs until the
 * outermost resume returns is armed as well.
 *
 * This is the one place with state of the process: timers, signal handlers and
 * the thread's clock are the process's own. */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lua/core.h"
#include "lua/coverage.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { TICK_MS = 10 };

static struct {
  lua_State *volatile L;       /* what runs now; NULL: no Lua */
  volatile sig_atomic_t ticks, budget, armed;
  unsigned users;
  timer_t timer;
} watch;

static void hook(lua_State *L, lua_Debug *ar) {
  hl_state *s = hl_state_of(L);
  (void)ar;
  char where[160] = "?";
  lua_Debug at;
  for (int level = 0; lua_getstack(L, level, &at); level++) {
    lua_getinfo(L, "Sl", &at);
    if (at.currentline > 0) {
      snprintf(where, sizeof where, "%.120s:%d", at.short_src, at.currentline);
      break;
    }
  }
  snprintf(s->limit_text, sizeof s->limit_text, "the task ran %d ms without yielding at %s",
           (int)watch.ticks * TICK_MS, where);
  if (lua_isyieldable(L)) {
    s->request = HL_REQ_LIMIT;
    lua_yield(L, 0);
    return;
  }
  s->hook_raised = true;
  hl_lua_push_error(L, "limit", s->limit_text, 0, NULL, NULL, false);
  lua_error(L);
}

static void on_tick(int signum) {
  (void)signum;
  watch.ticks++;
  if (watch.L && watch.ticks >= watch.budget) {
    watch.armed = 1;
    lua_sethook(watch.L, hook, LUA_MASKCOUNT, 1);
  }
}

int hl_watch_init(hl_error *err) {
  if (watch.users++ > 0) return 0;
  struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
  sigemptyset(&sa.sa_mask);
  struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 5};
  ev.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
  struct itimerspec every = {{0, TICK_MS * 1000000L}, {0, TICK_MS * 1000000L}};
  if (sigaction(SIGRTMIN + 5, &sa, NULL) != 0 ||
      timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &watch.timer) != 0) {
    watch.users--;
    return hl_fail(err, HL_EIO, "cannot create the watchdog's timer: %s", strerror(errno));
  }
  if (timer_settime(watch.timer, 0, &every, NULL) != 0) {
    timer_delete(watch.timer);
    watch.users--;
    return hl_fail(err, HL_EIO, "cannot start the watchdog's timer: %s", strerror(errno));
  }
  return 0;
}

void hl_watch_deinit(void) {
  if (--watch.users == 0) timer_delete(watch.timer);
}

void hl_watch_begin(int64_t cpu_ms, hl_watch *saved) {
  *saved = (hl_watch){watch.L, watch.ticks, watch.budget, watch.armed};
  watch.L = NULL;
  /* The first tick may come at once: one more makes the budget a lower bound. */
  watch.budget = (sig_atomic_t)(cpu_ms / TICK_MS + 2);
  watch.armed = 0;
  watch.ticks = 0;
}

/* What the inner code used counts for the outer too. */
void hl_watch_end(const hl_watch *saved) {
  int used = watch.ticks;
  watch.L = NULL;
  watch.budget = saved->budget;
  watch.armed = saved->armed;
  watch.ticks = saved->ticks + used;
  watch.L = saved->L;
}

static void note_line(lua_State *L, lua_Debug *ar) { hl_coverage_line(hl_state_of(L)->coverage, L, ar); }

/* As a thread is when the watchdog does not need it. */
static void rest(lua_State *L) {
  int mask = hl_state_of(L)->coverage ? LUA_MASKLINE : 0;
  if (lua_gethookmask(L) != mask) lua_sethook(L, mask ? note_line : NULL, mask, 0);
}

static void arm(lua_State *L) {
  if (watch.armed) lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  else rest(L); /* a new thread inherits the hook of its maker */
}

lua_State *hl_watch_enter(lua_State *L) {
  lua_State *before = watch.L;
  watch.L = NULL;
  arm(L);
  watch.L = L;
  return before;
}

/* Takes L off first: a tick in between must not arm it again. */
void hl_watch_leave(lua_State *L, lua_State *before) {
  watch.L = before;
  if (before && watch.armed) lua_sethook(before, hook, LUA_MASKCOUNT, 1);
  if (L != before) rest(L);
}

bool hl_watch_spent(void) { return watch.armed != 0; }
