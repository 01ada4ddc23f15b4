/* A call log's file of any content: each line that is taken for one is summed up
 * and printed; no crash, no endless reading, no control byte on the terminal. */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char base[64], name[80];

static void forget(void) {
  unlink(name);
  *strrchr(base, '/') = 0;
  rmdir(base);
}

static void prepare(void) {
  snprintf(base, sizeof base, "/tmp/hubloop-fuzz-calls-XXXXXX");
  assert(mkdtemp(base));
  strncat(base, "/log", sizeof base - strlen(base) - 1);
  snprintf(name, sizeof name, "%s.1", base);
  atexit(forget);
}

static void print(hl_calls_summary *s) {
  char *text = NULL;
  size_t n = 0;
  FILE *out = open_memstream(&text, &n);
  assert(out);
  hl_calls_summary_print(out, s, 60, false);
  fclose(out);
  for (size_t i = 0; i < n; i++) assert((unsigned char)text[i] >= ' ' || text[i] == '\n');
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!*base) prepare();
  int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
  close(fd);
  hl_calls_summary *all = hl_calls_summary_new(3, false), *slow = hl_calls_summary_new(2, true);
  hl_calls_filter filter = {.since = 1};
  hl_calls *c = hl_calls_open(base, 0);
  hl_str line;
  hl_error err;
  size_t given = 0;
  while (hl_calls_next(c, &line, &err) > 0) {
    hl_call_entry e;
    given += line.n + 1;
    assert(!memchr(line.p, '\n', line.n));
    if (!hl_call_entry_read(line, &e)) continue;
    if (hl_calls_match(&filter, &e)) hl_calls_summary_add(all, &e);
    hl_calls_summary_add(slow, &e);
    hl_call_entry_deinit(&e);
  }
  assert(given <= size);
  print(all);
  print(slow);
  hl_calls_close(c);
  hl_calls_summary_free(all);
  hl_calls_summary_free(slow);
  return 0;
}
