#include "base/json.h"

#include <math.h>

#include "base/mem.h"

/* cJSON keeps numbers as doubles. An integer of more than 15 digits is
 * therefore rewritten, before parsing, as a string that starts with this mark;
 * two raw control bytes cannot stand in a valid JSON string. */
#define BIG "\x01\x02"
enum { BIG_DIGITS = 16 };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* A run of 16 digits covers a place that is a multiple of 16, so one byte in 16
 * is looked at. False positives (inside strings, fractions) only cost time. */
static bool may_hold_big(hl_str s) {
  for (size_t i = BIG_DIGITS - 1; i < s.n; i += BIG_DIGITS) {
    if (!is_digit(s.p[i])) continue;
    size_t a = i, b = i;
    while (a > 0 && is_digit(s.p[a - 1])) a--;
    while (b + 1 < s.n && is_digit(s.p[b + 1])) b++;
    if (b - a + 1 >= BIG_DIGITS) return true;
  }
  return false;
}

static int mark_big(hl_str s, hl_buf *out) {
  bool in_string = false;
  size_t from = 0;
  int rc = 0;
  for (size_t i = 0; i < s.n && !rc;) {
    char c = s.p[i];
    if (in_string) {
      i += c == '\\' ? 2 : 1;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
      i++;
    } else if (c == '-' || is_digit(c)) {
      size_t b = i + (c == '-');
      while (b < s.n && is_digit(s.p[b])) b++;
      bool integer = b == s.n || (s.p[b] != '.' && s.p[b] != 'e' && s.p[b] != 'E');
      int64_t v;
      if (integer && b - i >= BIG_DIGITS && hl_str_int64((hl_str){s.p + i, b - i}, &v) == 0) {
        rc = hl_buf_append(out, s.p + from, i - from);
        if (!rc) rc = hl_buf_printf(out, "\"" BIG "%.*s\"", (int)(b - i), s.p + i);
        from = b;
      }
      while (b < s.n && (is_digit(s.p[b]) || s.p[b] == '.' || s.p[b] == 'e' || s.p[b] == 'E' ||
                         s.p[b] == '+' || s.p[b] == '-'))
        b++;
      i = b > i ? b : i + 1;
    } else {
      i++;
    }
  }
  return rc ? rc : hl_buf_append(out, s.p + from, s.n - from);
}

static void place(hl_str text, size_t at, size_t *line, size_t *column) {
  *line = 1;
  *column = 1;
  for (size_t i = 0; i < at && i < text.n; i++) {
    (*column)++;
    if (text.p[i] == '\n') {
      (*line)++;
      *column = 1;
    }
  }
}

/* The escape \u0000, with the backslash itself not escaped. */
static const char *find_nul_escape(hl_str s) {
  for (size_t i = 0; i + 6 <= s.n; i++) {
    const char *p = memchr(s.p + i, '\\', s.n - i);
    if (!p) return NULL;
    i = (size_t)(p - s.p);
    if (i + 6 <= s.n && memcmp(p, "\\u0000", 6) == 0) return p;
    i++;
  }
  return NULL;
}

int hl_json_parse(hl_str text, cJSON **out, hl_error *err) {
  hl_buf marked;
  hl_buf_init(&marked, SIZE_MAX / 4);
  hl_str s = text;
  size_t line, column;
  int rc = 0;
  const char *nul = memchr(s.p, 0, s.n);
  if (!nul) nul = find_nul_escape(s);
  if (nul) {
    place(text, (size_t)(nul - s.p), &line, &column);
    return hl_fail(err, HL_EINVAL, "JSON line %zu column %zu: a NUL character is not allowed", line, column);
  }
  if (s.n >= BIG_DIGITS && may_hold_big(s)) {
    rc = mark_big(text, &marked);
    if (rc) {
      rc = hl_fail(err, rc, "no memory for a JSON text of %zu bytes", text.n);
      goto out;
    }
    s = hl_buf_str(&marked);
  }
  const char *end = NULL;
  cJSON *item = cJSON_ParseWithLengthOpts(s.p, s.n, &end, false);
  if (item) {
    while (end < s.p + s.n && (*end == ' ' || *end == '\t' || *end == '\r' || *end == '\n')) end++;
    if (end != s.p + s.n) {
      cJSON_Delete(item);
      item = NULL;
    }
  }
  if (!item) {
    size_t at = end ? (size_t)(end - s.p) : 0;
    if (at > s.n) at = s.n;
    place(s, at, &line, &column);
    hl_str near = {s.p + at, s.n - at > 20 ? 20 : s.n - at};
    /* cJSON names the last byte also when the text ends inside a value. */
    rc = at + 1 >= s.n ? hl_fail(err, HL_EINVAL, "JSON line %zu column %zu: the text ends too early or wrongly", line, column)
                   : hl_fail(err, HL_EINVAL, "JSON line %zu column %zu: unexpected “" HL_STR_FMT "”", line,
                             column, HL_STR_ARG(near));
    goto out;
  }
  *out = item;
out:
  hl_buf_deinit(&marked);
  return rc;
}

cJSON *hl_json_int64(int64_t v) {
  if (v > -INT64_C(1000000000000000) && v < INT64_C(1000000000000000)) return cJSON_CreateNumber((double)v);
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)v);
  return cJSON_CreateRaw(text);
}

bool hl_json_is_int64(const cJSON *item, int64_t *out) {
  if (cJSON_IsNumber(item)) {
    double d = item->valuedouble;
    if (d != trunc(d) || fabs(d) > 9007199254740992.0) return false;
    *out = (int64_t)d;
    return true;
  }
  if (cJSON_IsRaw(item)) return hl_str_int64(hl_str_of(item->valuestring), out) == 0;
  if (cJSON_IsString(item) && memcmp(item->valuestring, BIG, 1) == 0 && item->valuestring[1] == BIG[1])
    return hl_str_int64(hl_str_of(item->valuestring + 2), out) == 0;
  return false;
}

/* Big integers go out as the digits they came as. */
static void unmark(cJSON *item) {
  for (; item; item = item->next) {
    int64_t v;
    if (cJSON_IsString(item) && hl_json_is_int64(item, &v)) {
      memmove(item->valuestring, item->valuestring + 2, strlen(item->valuestring + 2) + 1);
      item->type = (item->type & ~0xff) | cJSON_Raw;
    } else if (item->child) {
      unmark(item->child);
    }
  }
}

char *hl_json_print(const cJSON *item) {
  cJSON *copy = NULL;
  char *text = cJSON_PrintUnformatted(item);
  if (text && strstr(text, "\"\\u0001\\u0002")) {
    copy = cJSON_Duplicate(item, true);
    cJSON_free(text);
    unmark(copy);
    text = cJSON_PrintUnformatted(copy);
    cJSON_Delete(copy);
  }
  if (!text) abort();
  return text;
}

int hl_json_print_to(const cJSON *item, hl_buf *out) {
  char *text = hl_json_print(item);
  int rc = hl_buf_puts(out, text);
  hl_free(text);
  return rc;
}

const cJSON *hl_json_get(const cJSON *obj, const char *key) {
  return cJSON_IsObject(obj) ? cJSON_GetObjectItemCaseSensitive(obj, key) : NULL;
}

const char *hl_json_str(const cJSON *obj, const char *key, const char *fallback) {
  const cJSON *v = hl_json_get(obj, key);
  int64_t big;
  return cJSON_IsString(v) && !hl_json_is_int64(v, &big) ? v->valuestring : fallback;
}

int64_t hl_json_int(const cJSON *obj, const char *key, int64_t fallback) {
  int64_t v;
  return hl_json_is_int64(hl_json_get(obj, key), &v) ? v : fallback;
}

bool hl_json_bool(const cJSON *obj, const char *key, bool fallback) {
  const cJSON *v = hl_json_get(obj, key);
  return cJSON_IsBool(v) ? cJSON_IsTrue(v) : fallback;
}

bool hl_json_id(const cJSON *obj, const char *key, char *buf, size_t size) {
  const cJSON *v = hl_json_get(obj, key);
  int64_t n;
  int len = -1;
  if (hl_json_is_int64(v, &n)) len = snprintf(buf, size, "%lld", (long long)n);
  else if (cJSON_IsString(v)) len = snprintf(buf, size, "%s", v->valuestring);
  return len >= 0 && (size_t)len < size;
}
