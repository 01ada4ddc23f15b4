#include "base/str.h"

#include <errno.h>

#include "base/err.h"
#include "base/mem.h"

hl_str hl_str_of(const char *z) { return (hl_str){z, z ? strlen(z) : 0}; }

bool hl_str_eq(hl_str a, hl_str b) {
  return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
bool hl_str_eqz(hl_str a, const char *z) { return hl_str_eq(a, hl_str_of(z)); }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool hl_str_ieqz(hl_str a, const char *z) {
  hl_str b = hl_str_of(z);
  if (a.n != b.n) return false;
  for (size_t i = 0; i < a.n; i++)
    if (lower(a.p[i]) != lower(b.p[i])) return false;
  return true;
}

bool hl_str_starts(hl_str a, const char *z) {
  size_t n = strlen(z);
  return a.n >= n && memcmp(a.p, z, n) == 0;
}

void hl_letters(const void *bytes, size_t n, char *out) {
  const unsigned char *b = bytes;
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = (char)('g' + (b[i] >> 4));
    out[2 * i + 1] = (char)('g' + (b[i] & 15));
  }
  out[2 * n] = 0;
}

static int letter(char c) {
  if (c >= 'g' && c <= 'v') return c - 'g';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= '0' && c <= '9' ? c - '0' : -1;
}

bool hl_letters_read(hl_str letters, void *out) {
  unsigned char *b = out;
  for (size_t i = 0; i + 1 < letters.n; i += 2) {
    int high = letter(letters.p[i]), low = letter(letters.p[i + 1]);
    if (high < 0 || low < 0) return false;
    *b++ = (unsigned char)(high << 4 | low);
  }
  return letters.n % 2 == 0;
}

bool hl_str_same_secret(hl_str a, hl_str b) {
  if (a.n != b.n) return false;
  volatile unsigned char differs = 0;
  for (size_t i = 0; i < a.n; i++) differs |= (unsigned char)(a.p[i] ^ b.p[i]);
  return differs == 0;
}

int hl_str_int64(hl_str s, int64_t *out) {
  bool negative = s.n > 0 && s.p[0] == '-';
  size_t i = negative ? 1 : 0;
  if (i == s.n) return HL_EINVAL;
  int64_t v = 0; /* kept negative, so that INT64_MIN fits */
  for (; i < s.n; i++) {
    if (s.p[i] < '0' || s.p[i] > '9') return HL_EINVAL;
    if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, s.p[i] - '0', &v))
      return HL_EINVAL;
  }
  if (!negative && __builtin_mul_overflow(v, -1, &v)) return HL_EINVAL;
  *out = v;
  return 0;
}

unsigned hl_str_distance(hl_str a, hl_str b) {
  enum { MAX = 63 };
  if (a.n > MAX || b.n > MAX) return (unsigned)(a.n > b.n ? a.n - b.n : b.n - a.n) + 1;
  unsigned row[MAX + 1];
  for (size_t j = 0; j <= b.n; j++) row[j] = (unsigned)j;
  for (size_t i = 1; i <= a.n; i++) {
    unsigned diagonal = row[0];
    row[0] = (unsigned)i;
    for (size_t j = 1; j <= b.n; j++) {
      unsigned best = diagonal + (lower(a.p[i - 1]) == lower(b.p[j - 1]) ? 0 : 1);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[b.n];
}

const char *hl_str_nearest(hl_str word, const char *const *names) {
  const char *nearest = NULL;
  unsigned best = (unsigned)word.n / 3 + 2;
  for (; *names; names++) {
    unsigned d = hl_str_distance(word, hl_str_of(*names));
    if (word.n >= 3 && d > 1 && strncmp(*names, word.p, word.n) == 0) d = 1; /* cut short */
    if (d < best) {
      best = d;
      nearest = *names;
    }
  }
  return nearest;
}

void hl_buf_init(hl_buf *b, size_t max) { *b = (hl_buf){.max = max}; }

void hl_buf_deinit(hl_buf *b) {
  hl_free(b->p);
  *b = (hl_buf){.max = b->max};
}

void hl_buf_clear(hl_buf *b) {
  b->n = 0;
  if (b->p) b->p[0] = 0;
}

static int reserve(hl_buf *b, size_t n) {
  if (n > b->max || b->n > b->max - n) return HL_ELIMIT;
  size_t need = b->n + n + 1;
  if (need <= b->cap) return 0;
  size_t cap = b->cap ? b->cap : 64;
  while (cap < need) cap *= 2;
  char *p = hl_try_realloc(b->p, cap);
  if (!p) return HL_ENOMEM;
  b->p = p;
  b->cap = cap;
  return 0;
}

int hl_buf_append(hl_buf *b, const void *p, size_t n) {
  int rc = reserve(b, n);
  if (rc) return rc;
  if (n) memcpy(b->p + b->n, p, n);
  b->n += n;
  b->p[b->n] = 0;
  return 0;
}

int hl_buf_puts(hl_buf *b, const char *z) { return hl_buf_append(b, z, strlen(z)); }

int hl_buf_printf(hl_buf *b, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  int rc = n < 0 ? HL_EINVAL : reserve(b, (size_t)n);
  if (rc == 0) {
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
    b->n += (size_t)n;
  }
  va_end(again);
  return rc;
}

char *hl_buf_detach(hl_buf *b, size_t *n) {
  if (!b->p) b->p = hl_alloc(1);
  char *p = b->p;
  if (n) *n = b->n;
  *b = (hl_buf){.max = b->max};
  return p;
}

hl_str hl_buf_str(const hl_buf *b) { return (hl_str){b->p ? b->p : "", b->n}; }

int hl_buf_urlencode(hl_buf *b, hl_str s) {
  static const char hex[] = "0123456789ABCDEF";
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '.' || c == '_' || c == '~';
    char out[3] = {'%', hex[c >> 4], hex[c & 15]};
    int rc = plain ? hl_buf_append(b, &c, 1) : hl_buf_append(b, out, 3);
    if (rc) return rc;
  }
  return 0;
}

int hl_buf_plain(hl_buf *b, hl_str s, const char *newline) {
  int rc = 0;
  while (s.n && s.p[s.n - 1] == '\n') s.n--;
  for (size_t i = 0; i < s.n && !rc; i++) {
    unsigned char c = (unsigned char)s.p[i];
    bool c1 = c == 0xC2 && i + 1 < s.n && (unsigned char)s.p[i + 1] >= 0x80 && (unsigned char)s.p[i + 1] < 0xA0;
    if (c == '\n') rc = hl_buf_puts(b, newline);
    else if (c1) rc = hl_buf_printf(b, "\\x%02x", (unsigned char)s.p[++i]);
    else if ((c < ' ' && c != '\t') || c == 0x7f) rc = hl_buf_printf(b, "\\x%02x", c);
    else rc = hl_buf_append(b, &c, 1);
  }
  return rc;
}
