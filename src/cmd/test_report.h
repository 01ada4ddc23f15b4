/* What `hubloop test` writes for other programs and after the tests: JUnit's XML,
 * which lines of the scripts ran (a table for people, lcov's format for tools). */
#ifndef HL_CMD_TEST_REPORT_H
#define HL_CMD_TEST_REPORT_H

#include <stdio.h>

#include "lua/coverage.h"
#include "lua/testrun.h"

/* Gathers results; a file that could not be run is one failed test of the name "loading". */
typedef struct hl_junit hl_junit;
hl_junit *hl_junit_new(void);
void hl_junit_add(hl_junit *j, const hl_test_result *r);
int hl_junit_write(hl_junit *j, const char *path, hl_error *err);
void hl_junit_free(hl_junit *j);

void hl_coverage_print(FILE *out, hl_coverage *c, int columns);
int hl_coverage_write_lcov(hl_coverage *c, const char *path, hl_error *err);

#endif
