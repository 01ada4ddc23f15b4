/* The test files of `hubloop test`, in one process after another or in several side by side. */
#ifndef HL_CMD_TEST_JOBS_H
#define HL_CMD_TEST_JOBS_H

#include "lua/testrun.h"

typedef struct hl_test_jobs {
  char *const *files;
  size_t n;
  unsigned jobs;                  /* processes; 0 or 1: this one */
  const hl_testrun_options *options;  /* coverage only with one */
  hl_test_reporter reporter;      /* in the order of the files, whatever the number of processes */
  /* The file could not be run: it is no Lua, or the process that ran it has ended. */
  void (*unrun)(void *arg, const char *file, const char *why);
} hl_test_jobs;

/* Adds to *counts, a file that could not be run as one failure. Blocks; outside of any loop. 0, or HL_EIO when no process
 * can be made. */
int hl_test_jobs_run(const hl_test_jobs *j, hl_test_counts *counts, hl_error *err);

#endif
