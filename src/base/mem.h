/* Memory. Small fixed allocations abort when they fail; a size that comes from
 * outside goes through the hl_try_ calls, which return NULL. `malloc` and its
 * family are banned everywhere else (base/banned.h). Any thread. */
#ifndef HL_BASE_MEM_H
#define HL_BASE_MEM_H

#include <stddef.h>

void *hl_alloc(size_t size);                 /* zeroed; aborts on failure */
void *hl_realloc(void *p, size_t size);      /* aborts on failure */
void *hl_try_alloc(size_t size);             /* zeroed; NULL on failure */
void *hl_try_realloc(void *p, size_t size);  /* NULL on failure, p untouched */
void hl_free(void *p);                       /* NULL is fine */
char *hl_strdup(const char *s);              /* NULL gives NULL */
char *hl_strndup(const char *s, size_t n);   /* n bytes and a NUL */

/* The C library's own, for libraries that can be told which to use; only zeroed() differs. NULL on failure. */
typedef struct hl_mem_calls {
  void *(*take)(size_t size);
  void (*give)(void *p);
  void *(*resize)(void *p, size_t size);
  char *(*copy)(const char *s);
  void *(*zeroed)(size_t n, size_t size);
} hl_mem_calls;
extern const hl_mem_calls hl_mem;

/* Memory ended where there is nobody to refuse, such as on the way of a committed
 * event: ends the process, whose next start goes on from what is committed. */
void hl_mem_ended(void) __attribute__((noreturn));

/* Fault injection: the n-th hl_try_ call from now fails (0: none). */
void hl_mem_fail_at(unsigned n);

#define HL_NEW(type) ((type *)hl_alloc(sizeof(type)))
#define HL_CONTAINER(ptr, type, member) \
  ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define HL_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
