/* How long commands take from fork to exit: spawn RUNS COMMAND… [-- COMMAND…]…
 * The commands alternate; prints one median in microseconds a line, in the order
 * given. Their output is thrown away; one that exits non-zero is an error. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { COMMANDS_MAX = 8 };
extern char **environ;

static int64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static int64_t once(char **argv, const posix_spawn_file_actions_t *quiet) {
  pid_t pid;
  int status = 0;
  int64_t start = now_us();
  int rc = posix_spawnp(&pid, argv[0], quiet, NULL, argv, environ);
  if (rc) {
    fprintf(stderr, "spawn: cannot start %s: %s\n", argv[0], strerror(rc));
    return -1;
  }
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  int64_t us = now_us() - start;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return us;
  fprintf(stderr, "spawn: %s ended with status %d\n", argv[0], WIFEXITED(status) ? WEXITSTATUS(status) : 128);
  return -1;
}

int main(int argc, char **argv) {
  size_t runs = argc > 2 ? strtoul(argv[1], NULL, 10) : 0, n = 0;
  char **command[COMMANDS_MAX];
  if (runs < 1 || runs > 10000) {
    fputs("usage: spawn RUNS COMMAND… [-- COMMAND…]…\n", stderr);
    return 2;
  }
  bool first = true;
  for (int i = 2; i < argc; i++) {
    if (strcmp(argv[i], "--") == 0) {
      argv[i] = NULL;
      first = true;
    } else if (first && n < COMMANDS_MAX) {
      command[n++] = &argv[i];
      first = false;
    }
  }
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
  int64_t *took = hl_alloc(sizeof *took * runs * n);
  for (size_t r = 0; r < runs; r++)
    for (size_t k = 0; k < n; k++)
      if ((took[k * runs + r] = once(command[k], &quiet)) < 0) return 1;
  for (size_t k = 0; k < n; k++) {
    qsort(took + k * runs, runs, sizeof *took, by_value);
    printf("%lld\n", (long long)took[k * runs + runs / 2]);
  }
  posix_spawn_file_actions_destroy(&quiet);
  hl_free(took);
  return 0;
}
