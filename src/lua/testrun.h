/* Runs one *_test.lua: each `it` in a runtime of its own, in virtual time,
 * against the in-process simulator. `hubloop test` calls it for each file. Makes
 * and runs loops of its own: call it outside of any. */
#ifndef HL_LUA_TESTRUN_H
#define HL_LUA_TESTRUN_H

#include "base/err.h"
#include "base/str.h"
#include "lua/host.h"

typedef struct hl_testrun_options {
  const char *root;                  /* the project's folder; NULL: the test file's */
  const char *filter;                /* only tests whose full name holds this text; NULL: all */
  uint64_t seed;                     /* of the virtual world; 0: 1 */
  const hl_permissions *permissions; /* of the test file; may be NULL */
  struct hl_coverage *coverage;      /* lua/coverage.h; NULL: none */
} hl_testrun_options;

typedef struct hl_test_result {      /* borrowed for the length of the callback */
  const char *file;                  /* as given to hl_testrun_file */
  const char *name;                  /* "describe text, it text" */
  int line;                          /* of the `it` */
  enum { HL_TEST_PASSED, HL_TEST_FAILED, HL_TEST_SKIPPED } outcome;
  const char *message;               /* of a failure: place, what differs, traceback, the log; else "" */
  const char *printed;               /* what the scripts and the test have printed, lines */
  uint64_t seed;
  int64_t ms;                        /* of real time */
} hl_test_result;

typedef struct hl_test_reporter {
  void (*result)(void *arg, const hl_test_result *result);
  void *arg;
} hl_test_reporter;

typedef struct hl_test_counts { unsigned passed, failed, skipped; } hl_test_counts;

/* Adds to *counts. 0 also when tests failed; otherwise the file could not be
 * run at all: HL_ENOTFOUND, HL_ESCRIPT (syntax, or its top level raised). */
int hl_testrun_file(const char *path, const hl_testrun_options *o, const hl_test_reporter *reporter,
                    hl_test_counts *counts, hl_error *err);

#endif
