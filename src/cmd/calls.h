/* What `hubloop calls` shows of the call log: filters, the summary by path and
 * script, the errors grouped by their reason, single lines. Prints
 * within `columns`; colours when `colour`. */
#ifndef HL_CMD_CALLS_H
#define HL_CMD_CALLS_H

#include <stdio.h>

#include "hubspot/call_read.h"

typedef struct hl_calls_filter { /* NULL and 0: any */
  const char *script, *path, *account;   /* path: a part of it */
  enum { HL_CALLS_ALL, HL_CALLS_ERRORS, HL_CALLS_WELL } what;
  int status, status_class;              /* 429; 4 for 4xx */
  int64_t since;
} hl_calls_filter;

bool hl_calls_match(const hl_calls_filter *f, const hl_call_entry *e);

/* One line: time, status, script, method, path, times; the reason below. */
void hl_calls_print(FILE *out, const hl_call_entry *e, int columns, bool colour);

typedef struct hl_calls_summary hl_calls_summary;
/* `limit`: rows, errors, slow calls. `slow`: the slowest calls and nothing else. */
hl_calls_summary *hl_calls_summary_new(size_t limit, bool slow);
void hl_calls_summary_add(hl_calls_summary *s, const hl_call_entry *e);
void hl_calls_summary_print(FILE *out, hl_calls_summary *s, int columns, bool colour);
void hl_calls_summary_free(hl_calls_summary *s);

#endif
