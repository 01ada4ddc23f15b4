#include "loop/stop.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static struct {
  volatile sig_atomic_t count;
  pid_t parent;
  void (*on[2])(int signum); /* libuv's, which writes to the loop's pipe */
} stop;

static const int numbers[] = {SIGTERM, SIGINT};

static void on_signal(int signum, siginfo_t *info, void *context) {
  (void)context;
  int saved = errno;
  if ((!stop.parent || info->si_pid == stop.parent) && ++stop.count > 1) _exit(128 + signum);
  stop.on[signum == SIGINT](signum);
  errno = saved;
}

int hl_stop_watch(hl_loop *loop, pid_t parent, hl_signal_cb cb, void *arg, hl_error *err) {
  stop.count = 0;
  stop.parent = parent;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction sa;
    int rc = hl_loop_on_signal(loop, numbers[i], cb, arg, err);
    if (rc) return rc;
    sigaction(numbers[i], NULL, &sa);
    stop.on[i] = sa.sa_handler;
    sa.sa_sigaction = on_signal;
    sa.sa_flags |= SA_SIGINFO;
    sigaction(numbers[i], &sa, NULL);
  }
  return 0;
}
