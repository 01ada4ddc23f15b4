#include "base/time.h"

#include "base/mem.h"

int hl_duration_parse(hl_str s, int64_t *ms, hl_error *err) {
  static const struct { const char *unit; int64_t ms; } units[] = {
      {"", HL_SECOND}, {"ms", 1}, {"s", HL_SECOND}, {"m", HL_MINUTE},
      {"h", HL_HOUR},  {"d", HL_DAY}, {"w", 7 * HL_DAY},
  };
  enum { MAX_DIGITS = 12 };
  int64_t whole = 0, thousandths = 0;
  size_t i = 0, digits = 0;
  for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && digits < MAX_DIGITS; i++, digits++)
    whole = whole * 10 + (s.p[i] - '0');
  if (digits && i < s.n && s.p[i] == '.') {
    int64_t scale = 100;
    for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, scale /= 10)
      thousandths += (s.p[i] - '0') * scale;
  }
  hl_str unit = {s.p + i, s.n - i};
  for (size_t k = 0; digits && k < HL_COUNT(units); k++) {
    if (!hl_str_eqz(unit, units[k].unit)) continue;
    int64_t v;
    if (__builtin_mul_overflow(whole, units[k].ms, &v) || v > 366 * 100 * HL_DAY) break;
    *ms = v + thousandths * units[k].ms / 1000;
    return 0;
  }
  return hl_fail(err, HL_EINVAL,
                 "“" HL_STR_FMT "” is no duration: write \"500ms\", \"90s\", \"15m\", \"4h\", \"2d\", \"1w\" or a number of seconds",
                 HL_STR_ARG(s));
}

/* Days since 1970-01-01 of a proleptic Gregorian date, and back (H. Hinnant's
 * civil calendar algorithms). */
static int64_t days_of(int64_t y, int m, int d) {
  y -= m <= 2;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t yoe = y - era * 400;
  int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t days, hl_civil *c) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t doe = days - era * 146097;
  int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  int64_t mp = (5 * doy + 2) / 153;
  c->day = (int)(doy - (153 * mp + 2) / 5 + 1);
  c->month = (int)(mp < 10 ? mp + 3 : mp - 9);
  c->year = (int)(yoe + era * 400 + (c->month <= 2));
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static void civil_of(int64_t local_seconds, hl_civil *c) {
  int64_t days = floor_div(local_seconds, 86400), s = local_seconds - days * 86400;
  date_of(days, c);
  c->hour = (int)(s / 3600);
  c->minute = (int)(s / 60 % 60);
  c->second = (int)(s % 60);
  c->weekday = (int)((days % 7 + 11) % 7);
}

static int64_t seconds_of(const hl_civil *c) {
  int64_t months = (int64_t)c->year * 12 + c->month - 1, year = floor_div(months, 12);
  return days_of(year, (int)(months - year * 12) + 1, 1) * 86400 + ((int64_t)c->day - 1) * 86400 +
         (int64_t)c->hour * 3600 + (int64_t)c->minute * 60 + c->second;
}

static char *put_digits(char *at, unsigned v, int n, char then) {
  for (int i = n; i-- > 0; v /= 10) at[i] = (char)('0' + v % 10);
  at[n] = then;
  return at + n + 1;
}

/* Each line of a log and each call has one: snprintf took ten times as long. */
void hl_time_iso(int64_t ms, char out[25]) {
  hl_civil c;
  int64_t seconds = floor_div(ms, 1000);
  civil_of(seconds, &c);
  if (c.year < 0 || c.year > 9999) {
    char text[80];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", c.year, c.month, c.day, c.hour,
             c.minute, c.second, (int)(ms - seconds * 1000));
    snprintf(out, 25, "%.24s", text);
    return;
  }
  char *at = put_digits(out, (unsigned)c.year, 4, '-');
  at = put_digits(at, (unsigned)c.month, 2, '-');
  at = put_digits(at, (unsigned)c.day, 2, 'T');
  at = put_digits(at, (unsigned)c.hour, 2, ':');
  at = put_digits(at, (unsigned)c.minute, 2, ':');
  at = put_digits(at, (unsigned)c.second, 2, '.');
  at = put_digits(at, (unsigned)(ms - seconds * 1000), 3, 'Z');
  *at = '\0';
}

/* Reads `digits` digits at *i into *v. */
static bool number(hl_str s, size_t *i, int digits, int *v) {
  *v = 0;
  for (; digits > 0; digits--, (*i)++) {
    if (*i >= s.n || s.p[*i] < '0' || s.p[*i] > '9') return false;
    *v = *v * 10 + (s.p[*i] - '0');
  }
  return true;
}

static bool literal(hl_str s, size_t *i, char c) {
  if (*i >= s.n || s.p[*i] != c) return false;
  (*i)++;
  return true;
}

static int days_in(int year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 && leap);
}

int hl_time_parse(hl_str s, int64_t *ms, hl_error *err) {
  hl_civil c = {0};
  size_t i = 0;
  int millis = 0, offset = 0;
  if (!number(s, &i, 4, &c.year) || !literal(s, &i, '-') || !number(s, &i, 2, &c.month) ||
      !literal(s, &i, '-') || !number(s, &i, 2, &c.day))
    goto bad;
  if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > days_in(c.year, c.month)) goto bad;
  if (i < s.n) {
    if (s.p[i] != 'T' && s.p[i] != 't' && s.p[i] != ' ') goto bad;
    i++;
    if (!number(s, &i, 2, &c.hour) || !literal(s, &i, ':') || !number(s, &i, 2, &c.minute)) goto bad;
    if (literal(s, &i, ':')) {
      if (!number(s, &i, 2, &c.second)) goto bad;
      if (literal(s, &i, '.')) {
        int scale = 100, v;
        if (!number(s, &i, 1, &v)) goto bad;
        for (i--; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, scale /= 10)
          millis += (s.p[i] - '0') * scale;
      }
    }
    if (c.hour > 23 || c.minute > 59 || c.second > 60) goto bad;
    if (i < s.n && (s.p[i] == '+' || s.p[i] == '-')) {
      int sign = s.p[i++] == '-' ? -1 : 1, h, m;
      if (!number(s, &i, 2, &h)) goto bad;
      literal(s, &i, ':');
      if (!number(s, &i, 2, &m) || h > 15 || m > 59) goto bad;
      offset = sign * (h * 3600 + m * 60);
    } else if (!literal(s, &i, 'Z') && !literal(s, &i, 'z')) {
      goto bad; /* a local time of nowhere */
    }
  }
  if (i != s.n) goto bad;
  *ms = (seconds_of(&c) - offset) * 1000 + millis;
  return 0;
bad:
  return hl_fail(err, HL_EINVAL,
                 "“" HL_STR_FMT "” is no ISO 8601 time: write 2026-09-01, 2026-09-01T12:00:00Z or …+02:00",
                 HL_STR_ARG(s));
}

int hl_time_parse_http(hl_str s, int64_t *ms) {
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  hl_civil c = {0};
  size_t i = 5; /* "Sun, ": what day it is follows from the rest */
  if (s.n != 29 || s.p[3] != ',' || s.p[4] != ' ' || !number(s, &i, 2, &c.day) || !literal(s, &i, ' ')) return HL_EINVAL;
  for (int m = 0; m < 12; m++)
    if (memcmp(months + (size_t)m * 3, s.p + i, 3) == 0) c.month = m + 1;
  i += 3;
  if (!c.month || !literal(s, &i, ' ') || !number(s, &i, 4, &c.year) || !literal(s, &i, ' ') || !number(s, &i, 2, &c.hour) ||
      !literal(s, &i, ':') || !number(s, &i, 2, &c.minute) || !literal(s, &i, ':') || !number(s, &i, 2, &c.second) ||
      memcmp(s.p + i, " GMT", 4) != 0 || c.day < 1 || c.day > days_in(c.year, c.month) || c.hour > 23 || c.minute > 59 || c.second > 60)
    return HL_EINVAL;
  *ms = seconds_of(&c) * 1000;
  return 0;
}

/* ---- time zones: the system's TZif files (RFC 8536), 64-bit block ---- */

struct hl_tz {
  size_t n;           /* transitions */
  int64_t *at;        /* seconds; ascending */
  int32_t *offset;    /* n + 1: offset[i] holds before at[i], offset[n] after the last */
  bool repeats;       /* the file's last rule has daylight saving: 28-year cycle beyond */
};

enum { TZ_FILE_MAX = 256 * 1024 };

static int64_t be(const unsigned char *p, int n) {
  int64_t v = (p[0] & 0x80) ? -1 : 0;
  for (int i = 0; i < n; i++) v = (int64_t)((uint64_t)v << 8) | p[i];
  return v;
}

/* The six counts of a header: isutc, isstd, leap, transitions, types, chars. */
static bool tzif_header(const unsigned char *p, size_t n, size_t counts[6]) {
  if (n < 44 || memcmp(p, "TZif", 4) != 0) return false;
  for (int i = 0; i < 6; i++) {
    int64_t v = be(p + 20 + 4 * i, 4);
    if (v < 0 || v > 100000) return false;
    counts[i] = (size_t)v;
  }
  return true;
}

static bool tzif_parse(const unsigned char *p, size_t n, hl_tz *tz) {
  size_t c[6];
  if (!tzif_header(p, n, c) || p[4] < '2') return false;
  size_t v1 = 44 + c[3] * 5 + c[4] * 6 + c[5] + c[2] * 8 + c[1] + c[0];
  if (v1 > n || !tzif_header(p + v1, n - v1, c)) return false;
  size_t base = v1 + 44, body = c[3] * 9 + c[4] * 6 + c[5] + c[2] * 12 + c[1] + c[0];
  if (c[4] == 0 || body > n - base) return false;
  const unsigned char *times = p + base, *which = times + c[3] * 8, *types = which + c[3];
  tz->n = c[3];
  tz->at = hl_alloc((tz->n + 1) * sizeof *tz->at);
  tz->offset = hl_alloc((tz->n + 1) * sizeof *tz->offset);
  tz->offset[0] = (int32_t)be(types, 4);
  for (size_t i = 0; i < tz->n; i++) {
    if (which[i] >= c[4]) return false;
    tz->at[i] = be(times + 8 * i, 8);
    if (i && tz->at[i] <= tz->at[i - 1]) return false;
    tz->offset[i + 1] = (int32_t)be(types + 6 * which[i], 4);
    if (tz->offset[i + 1] < -100000 || tz->offset[i + 1] > 100000) return false;
  }
  /* The footer holds the rule for the time after the table; a comma in it means
   * daylight saving. Debian's files carry the table to 2037 ("fat"). */
  const unsigned char *footer = p + base + body;
  tz->repeats = memchr(footer, ',', n - base - body) != NULL;
  return !tz->repeats || (tz->n > 0 && tz->at[tz->n - 1] >= INT64_C(2114380800) /* 2037-01-01 */);
}

int hl_tz_load(const char *name, hl_tz **out, hl_error *err) {
  hl_tz *tz = HL_NEW(hl_tz);
  unsigned char *bytes = NULL;
  FILE *f = NULL;
  int rc = HL_EINVAL;
  if (strcmp(name, "UTC") == 0) {
    tz->at = hl_alloc(sizeof *tz->at);
    tz->offset = hl_alloc(sizeof *tz->offset);
    *out = tz;
    return 0;
  }
  bool plain = name[0] && strlen(name) < 64;
  for (const char *c = name; *c; c++)
    plain = plain && ((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
                      (*c == '/' && c > name) || *c == '_' || *c == '-' || *c == '+');
  char path[128];
  snprintf(path, sizeof path, "/usr/share/zoneinfo/%.64s", name);
  if (!plain || !(f = fopen(path, "rb"))) {
    hl_fail(err, rc, "“%.64s” is no time zone here: write a name such as \"Europe/Berlin\" or \"UTC\" (zones come from the tzdata package)", name);
    goto out;
  }
  bytes = hl_alloc(TZ_FILE_MAX);
  size_t n = fread(bytes, 1, TZ_FILE_MAX, f);
  if (!tzif_parse(bytes, n, tz)) {
    hl_fail(err, rc, "%s cannot be used as a time zone file: install Debian's tzdata package", path);
    goto out;
  }
  *out = tz;
  tz = NULL;
  rc = 0;
out:
  if (f) fclose(f);
  hl_free(bytes);
  hl_tz_free(tz);
  return rc;
}

void hl_tz_free(hl_tz *tz) {
  if (!tz) return;
  hl_free(tz->at);
  hl_free(tz->offset);
  hl_free(tz);
}

/* Seconds in 28 years: the calendar and so the rules repeat (until 2100). */
#define CYCLE (INT64_C(10227) * 86400)

static int64_t fold(const hl_tz *tz, int64_t s) {
  if (!tz->repeats) return s;
  int64_t last = tz->at[tz->n - 1];
  return s <= last ? s : s - ((s - last - 1) / CYCLE + 1) * CYCLE;
}

static int32_t offset_at(const hl_tz *tz, int64_t s) {
  size_t lo = 0, hi = tz->n;
  s = fold(tz, s);
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (tz->at[mid] <= s) lo = mid + 1;
    else hi = mid;
  }
  return tz->offset[lo];
}

void hl_tz_civil(const hl_tz *tz, int64_t ms, hl_civil *out) {
  int64_t s = floor_div(ms, 1000);
  int32_t offset = offset_at(tz, s);
  civil_of(s + offset, out);
  out->offset = offset;
}

int64_t hl_tz_instant(const hl_tz *tz, const hl_civil *civil) {
  int64_t local = seconds_of(civil);
  int32_t before = offset_at(tz, local - 86400), after = offset_at(tz, local + 86400);
  int64_t first = local - before, second = local - after;
  bool first_ok = offset_at(tz, first) == before, second_ok = offset_at(tz, second) == after;
  if (first_ok && second_ok) return (first < second ? first : second) * 1000;
  if (first_ok) return first * 1000;
  if (second_ok) return second * 1000;
  /* In the gap: the offset changes between the two guesses; find that second. */
  int64_t lo = first < second ? first : second, hi = first < second ? second : first;
  int32_t old = offset_at(tz, lo);
  while (lo + 1 < hi) {
    int64_t mid = lo + (hi - lo) / 2;
    if (offset_at(tz, mid) == old) lo = mid;
    else hi = mid;
  }
  return hi * 1000;
}
