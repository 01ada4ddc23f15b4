/* Strings are pointer and length; buffers grow up to a declared maximum. */
#ifndef HL_BASE_STR_H
#define HL_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed run of bytes: not terminated, may hold NUL. */
typedef struct hl_str {
  const char *p;
  size_t n;
} hl_str;

#define HL_STR(literal) ((hl_str){(literal), sizeof(literal) - 1})
#define HL_STR_FMT "%.*s"
#define HL_STR_ARG(s) (int)(s).n, (s).p

hl_str hl_str_of(const char *z);               /* z may be NULL: empty */
bool hl_str_eq(hl_str a, hl_str b);
bool hl_str_eqz(hl_str a, const char *z);
bool hl_str_ieqz(hl_str a, const char *z);     /* ASCII case folded */
bool hl_str_starts(hl_str a, const char *z);
/* Equal length and bytes, in time that depends on the length alone. */
bool hl_str_same_secret(hl_str a, hl_str b);
/* Decimal integer, whole string. 0, or HL_EINVAL (also on overflow). */
int hl_str_int64(hl_str s, int64_t *out);
/* Levenshtein distance, both up to 63 bytes (longer: the difference counts). */
unsigned hl_str_distance(hl_str a, hl_str b);
/* The nearest of `names` (NULL-terminated) within a third of its length, or NULL. */
const char *hl_str_nearest(hl_str word, const char *const *names);
/* Bytes as 2 * n letters and a NUL: a record's id, which is a number, is never found in them. */
void hl_letters(const void *bytes, size_t n, char *out);
/* The bytes of such letters, or of hexadecimal digits; false: they are none. */
bool hl_letters_read(hl_str letters, void *out);

/* A growable buffer the caller owns. Always NUL-terminated after an append
 * (the NUL is not counted). `max` bounds n; going over returns HL_ELIMIT, no
 * memory HL_ENOMEM, and both leave the content as it was. */
typedef struct hl_buf {
  char *p;
  size_t n, cap, max;
} hl_buf;

void hl_buf_init(hl_buf *b, size_t max);
void hl_buf_deinit(hl_buf *b);
/* Appends text of outside without what steers a terminal: control characters (C1, too) as \xNN, tabs as they
 * are, `newline` for each line's end but the last. */
int hl_buf_plain(hl_buf *b, hl_str s, const char *newline);
void hl_buf_clear(hl_buf *b);                  /* keeps the memory */
int hl_buf_append(hl_buf *b, const void *p, size_t n);
int hl_buf_puts(hl_buf *b, const char *z);
int hl_buf_printf(hl_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
char *hl_buf_detach(hl_buf *b, size_t *n);     /* gives the bytes away; hl_free them */
hl_str hl_buf_str(const hl_buf *b);

/* Appends s percent-encoded for a path segment or query value (RFC 3986). */
int hl_buf_urlencode(hl_buf *b, hl_str s);

#endif
