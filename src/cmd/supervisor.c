#include "cmd/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "loop/clock.h"

enum {
  LOOK_MS = 500,
  STALL_MS = 5000,             /* without a beat … */
  STALL_CPU_MS = 4000,         /* … in which the loop's thread worked: one that gets no CPU is not stuck */
  RESTARTS = 5, WITHIN_MS = 10 * 60 * 1000,
  BACKOFF_MS = 250,
};

typedef struct supervisor {
  hl_log *log;
  hl_page *page;
  pid_t child;
  sigset_t signals, before;
  int64_t restarts[RESTARTS];  /* when, the latest last; 0: not yet */
  /* the last beat that was seen, when, and the CPU time of then */
  uint64_t beats;
  int64_t since, cpu;
  bool stopping, stalled;
} supervisor;

/* The state letter and the CPU time of the child's first thread, which is the loop's. */
static bool look_at(pid_t pid, char *state, int64_t *cpu_ms) {
  char path[64], text[1024];
  unsigned long user, system;
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)pid);
  FILE *f = fopen(path, "r");
  if (!f) return false;
  size_t n = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[n] = 0;
  const char *p = strrchr(text, ')'); /* the name may hold anything */
  if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", state, &user, &system) != 3) return false;
  *cpu_ms = (int64_t)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
  return true;
}

static void watch(supervisor *s) {
  int64_t now = hl_clock_mono(), cpu;
  uint64_t beats = s->page->beats;
  char state;
  if (!look_at(s->child, &state, &cpu)) return;
  /* Stopped, or held by a debugger: not stuck. */
  if (!s->page->watched || beats != s->beats || state == 'T' || state == 't') {
    s->beats = beats;
    s->since = now;
    s->cpu = cpu;
    return;
  }
  if (now - s->since < STALL_MS || cpu - s->cpu < STALL_CPU_MS) return;
  s->stalled = true;
  kill(s->child, SIGKILL);
}

/* Waits for a signal or LOOK_MS; sends on what ends a server. True: the child is gone. */
static bool child_gone(supervisor *s, int *status) {
  struct timespec wait = {0, LOOK_MS * 1000000L};
  int signum = sigtimedwait(&s->signals, NULL, &wait);
  if (signum == SIGTERM || signum == SIGINT) s->stopping = true;
  if (signum > 0 && signum != SIGCHLD) kill(s->child, signum);
  return waitpid(s->child, status, WNOHANG) == s->child;
}

/* What ran goes to the next child. */
static void note_end(supervisor *s, int signum) {
  hl_page *p = s->page;
  const char *name = strsignal(signum);
  if (s->stalled) snprintf(p->why, sizeof p->why, "the process was ended because one call did not return for %d s", STALL_MS / 1000);
  else snprintf(p->why, sizeof p->why, "the process ended with signal %d (%s)", signum, name ? name : "?");
  struct hl_page_end *to = &p->ended[0];
  for (int i = HL_PAGE_ENDED; i-- > 0;) {
    p->ended[i].taken = false; /* not committed: it is to be parked again */
    if (p->ended[i].run.kind == HL_PAGE_NONE) to = &p->ended[i];
  }
  if (p->running.kind == HL_PAGE_NONE || p->running.kind == HL_PAGE_OTHER) return;
  memcpy(to->why, p->why, sizeof to->why);
  to->run.who = p->running.who;
  to->run.row = p->running.row;
  to->run.index = p->running.index;
  to->run.kind = p->running.kind;
}

static const char *what_ran(const hl_page *p, char *text, size_t n) {
  switch (p->running.kind) {
    case HL_PAGE_EVENT: snprintf(text, n, "the event %lld.%u was running and is parked", (long long)p->running.row, (unsigned)p->running.index); break;
    case HL_PAGE_TIMER: snprintf(text, n, "a timer's handler was running; it goes on at its next time"); break;
    case HL_PAGE_LOADING: snprintf(text, n, "a script was loading and is skipped"); break;
    case HL_PAGE_OTHER: snprintf(text, n, "a route was running"); break;
    default: snprintf(text, n, "no script was running"); break;
  }
  return text;
}

/* False: it ended too often. Else the child may be started again after *delay. */
static bool may_restart(supervisor *s, int64_t *delay) {
  int64_t now = hl_clock_mono();
  int recent = 0;
  if (s->restarts[0] && now - s->restarts[0] < WITHIN_MS) return false;
  for (int i = 0; i < RESTARTS; i++)
    if (s->restarts[i] && now - s->restarts[i] < WITHIN_MS) recent++;
  *delay = recent ? (int64_t)BACKOFF_MS << (recent - 1) : 0;
  memmove(s->restarts, s->restarts + 1, sizeof s->restarts - sizeof s->restarts[0]);
  s->restarts[RESTARTS - 1] = now;
  return true;
}

/* True: it was told to end meanwhile. */
static bool told_to_end(supervisor *s, int64_t ms) {
  int64_t until = hl_clock_mono() + ms;
  for (int64_t left; (left = until - hl_clock_mono()) > 0;) {
    struct timespec wait = {left / 1000, left % 1000 * 1000000};
    int signum = sigtimedwait(&s->signals, NULL, &wait);
    if (signum == SIGTERM || signum == SIGINT) return true;
  }
  return false;
}

/* True in the child. */
static bool start(supervisor *s, pid_t parent) {
  s->page->watched = false;
  s->page->running.kind = HL_PAGE_NONE;
  s->page->told = s->page->why[0] == 0;
  s->stalled = false;
  s->beats = s->page->beats;
  s->since = hl_clock_mono();
  s->cpu = 0;
  fflush(NULL);
  s->child = fork();
  if (s->child) return false;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGHUP, SIG_IGN); /* until the loop takes it */
  if (getppid() != parent) _exit(HL_EXIT_FAILED);
  sigprocmask(SIG_SETMASK, &s->before, NULL);
  return true;
}

bool hl_supervise(hl_log *log, hl_page **page, int *code) {
  supervisor s = {.log = log};
  pid_t parent = getpid();
  void *shared = mmap(NULL, sizeof *s.page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    *code = hl_cmd_fail(HL_EXIT_FAILED, "no page for the supervisor: %s; --no-supervisor does without", strerror(errno));
    return false;
  }
  *page = s.page = shared;
  sigemptyset(&s.signals);
  sigaddset(&s.signals, SIGTERM);
  sigaddset(&s.signals, SIGINT);
  sigaddset(&s.signals, SIGHUP);
  sigaddset(&s.signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &s.signals, &s.before);
  for (;;) {
    int status = 0;
    int64_t delay;
    char what[96];
    if (start(&s, parent)) return true;
    if (s.child < 0) {
      *code = hl_cmd_fail(HL_EXIT_FAILED, "cannot start the process that serves: %s; --no-supervisor does without", strerror(errno));
      break;
    }
    while (!child_gone(&s, &status)) watch(&s);
    if (WIFEXITED(status)) {
      *code = WEXITSTATUS(status);
      break;
    }
    note_end(&s, WTERMSIG(status));
    what_ran(s.page, what, sizeof what);
    if (s.stopping || told_to_end(&s, 0)) {
      hl_log_write(log, HL_LOG_ERROR, "supervisor", "%s, while it was stopping; %s when it starts again", s.page->why,
                   s.page->running.kind == HL_PAGE_EVENT ? "the event that was running is run again" : "nothing is lost");
      *code = 128 + WTERMSIG(status);
      break;
    }
    if (!may_restart(&s, &delay)) {
      hl_log_write(log, HL_LOG_ERROR, "supervisor", "%s; %s", s.page->why, what);
      *code = hl_cmd_fail(HL_EXIT_FAILED, "started again %d times within %d minutes and ended again: %s", RESTARTS, WITHIN_MS / 60000, s.page->why);
      break;
    }
    hl_log_write(log, HL_LOG_ERROR, "supervisor", "%s; %s; it is started again", s.page->why, what);
    if (told_to_end(&s, delay)) {
      *code = HL_EXIT_OK;
      break;
    }
  }
  sigprocmask(SIG_SETMASK, &s.before, NULL);
  munmap(shared, sizeof *s.page);
  return false;
}
