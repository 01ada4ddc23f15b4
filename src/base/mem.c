#undef malloc
#undef calloc
#undef realloc
#include "base/mem.h"

enum { SMALL = 1024 };

/* Fault injection counts down across threads. */
static _Atomic unsigned fail_at;

void hl_mem_fail_at(unsigned n) { fail_at = n; }

static int must_fail(void) {
  unsigned n = fail_at;
  while (n != 0) {
    if (__atomic_compare_exchange_n((unsigned *)&fail_at, &n, n - 1, 0, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST))
      return n == 1;
  }
  return 0;
}

void hl_mem_ended(void) {
  fputs("hubloop: out of memory\n", stderr);
  abort();
}

static void *or_abort(void *p) {
  if (!p) hl_mem_ended();
  return p;
}

/* calloc of small blocks passes glibc's per-thread cache by and costs three times as much. */
static void *zeroed(size_t n, size_t size) {
  size_t all = n * size;
  if (n > SMALL || size > SMALL || all > SMALL) return calloc(n, size);
  void *p = malloc(all ? all : 1);
  return p ? memset(p, 0, all) : NULL;
}

void *hl_alloc(size_t size) { return or_abort(zeroed(1, size ? size : 1)); }
const hl_mem_calls hl_mem = {malloc, free, realloc, strdup, zeroed};
void *hl_realloc(void *p, size_t size) { return or_abort(realloc(p, size ? size : 1)); }
void *hl_try_alloc(size_t size) { return must_fail() ? NULL : zeroed(1, size ? size : 1); }
void *hl_try_realloc(void *p, size_t size) {
  return must_fail() ? NULL : realloc(p, size ? size : 1);
}
void hl_free(void *p) { free(p); }

char *hl_strndup(const char *s, size_t n) {
  char *p = hl_alloc(n + 1);
  if (n) memcpy(p, s, n);
  return p;
}
char *hl_strdup(const char *s) { return s ? hl_strndup(s, strlen(s)) : NULL; }
