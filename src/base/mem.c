#undef malloc
#undef calloc
#undef realloc
#include "base/mem.h"

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

void *hl_alloc(size_t size) { return or_abort(calloc(1, size ? size : 1)); }
void *hl_realloc(void *p, size_t size) { return or_abort(realloc(p, size ? size : 1)); }
void *hl_try_alloc(size_t size) { return must_fail() ? NULL : calloc(1, size ? size : 1); }
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
