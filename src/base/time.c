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

void hl_civil_of(int64_t local_seconds, hl_civil *c) {
  int64_t days = floor_div(local_seconds, 86400), s = local_seconds - days * 86400;
  date_of(days, c);
  c->hour = (int)(s / 3600);
  c->minute = (int)(s / 60 % 60);
  c->second = (int)(s % 60);
  c->weekday = (int)((days % 7 + 11) % 7);
}

int64_t hl_civil_seconds(const hl_civil *c) {
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
  hl_civil_of(seconds, &c);
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

int hl_days_in(int year, int month) {
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
  if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > hl_days_in(c.year, c.month)) goto bad;
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
  *ms = (hl_civil_seconds(&c) - offset) * 1000 + millis;
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
      memcmp(s.p + i, " GMT", 4) != 0 || c.day < 1 || c.day > hl_days_in(c.year, c.month) || c.hour > 23 || c.minute > 59 || c.second > 60)
    return HL_EINVAL;
  *ms = hl_civil_seconds(&c) * 1000;
  return 0;
}
