/* Time zones: the system's TZif files (RFC 8536). A file's table ends in 2037 at
 * the latest; behind it holds the rule in its footer (POSIX TZ). */
#include "base/mem.h"
#include "base/time.h"

/* "M3.5.0/2": the last Sunday of March; "J60": never counts 29 February; "59" does. */
typedef struct rule_date {
  char kind;          /* 'M' 'J' 'D' */
  int month, week, day;
  int32_t at;         /* seconds of local time since that day began; -167 to 167 h */
} rule_date;

typedef struct tz_rule {
  bool there, saves;  /* saves: has daylight saving */
  int32_t standard, saving; /* seconds east of UTC */
  rule_date begin, end;     /* of daylight saving */
} tz_rule;

struct hl_tz {
  size_t n;           /* transitions */
  int64_t *at;        /* seconds; ascending */
  int32_t *offset;    /* n + 1: offset[i] holds before at[i], offset[n] after the last if there is no rule */
  tz_rule rule;
};

enum { TZ_FILE_MAX = 256 * 1024 };

/* ---- the footer ---- */

static bool rule_name(hl_str *s) {
  size_t n = 0;
  if (s->n && s->p[0] == '<') {
    while (n < s->n && s->p[n] != '>') n++;
    if (n++ == s->n) return false;
  } else {
    while (n < s->n && ((s->p[n] >= 'A' && s->p[n] <= 'Z') || (s->p[n] >= 'a' && s->p[n] <= 'z'))) n++;
  }
  s->p += n;
  s->n -= n;
  return n >= 3;
}

static bool rule_number(hl_str *s, int most, int *out) {
  size_t n = 0;
  *out = 0;
  for (; n < s->n && n < 3 && s->p[n] >= '0' && s->p[n] <= '9'; n++) *out = *out * 10 + (s->p[n] - '0');
  s->p += n;
  s->n -= n;
  return n > 0 && *out <= most;
}

static bool rule_sign(hl_str *s, char c) {
  if (!s->n || s->p[0] != c) return false;
  s->p++;
  s->n--;
  return true;
}

/* [+-]hh[:mm[:ss]] */
static bool rule_seconds(hl_str *s, int32_t *out) {
  int sign = rule_sign(s, '-') ? -1 : 1, h, m = 0, sec = 0;
  if (sign == 1) rule_sign(s, '+');
  if (!rule_number(s, 167, &h)) return false;
  if (rule_sign(s, ':') && !rule_number(s, 59, &m)) return false;
  if (rule_sign(s, ':') && !rule_number(s, 59, &sec)) return false;
  *out = sign * (h * 3600 + m * 60 + sec);
  return true;
}

static bool parse_date(hl_str *s, rule_date *d) {
  d->at = 2 * 3600;
  if (!rule_sign(s, ',')) return false;
  d->kind = rule_sign(s, 'M') ? 'M' : rule_sign(s, 'J') ? 'J' : 'D';
  if (d->kind == 'M') {
    if (!rule_number(s, 12, &d->month) || d->month < 1 || !rule_sign(s, '.') || !rule_number(s, 5, &d->week) || d->week < 1 ||
        !rule_sign(s, '.') || !rule_number(s, 6, &d->day))
      return false;
  } else if (!rule_number(s, 365, &d->day) || (d->kind == 'J' && d->day < 1)) {
    return false;
  }
  return !rule_sign(s, '/') || rule_seconds(s, &d->at);
}

/* "CET-1CEST,M3.5.0,M10.5.0/3". Its offsets are west of UTC. */
static bool parse_rule(hl_str s, tz_rule *r) {
  if (!rule_name(&s) || !rule_seconds(&s, &r->standard)) return false;
  r->standard = -r->standard;
  r->there = true;
  r->saves = s.n > 0;
  if (!r->saves) return true;
  r->saving = r->standard + 3600;
  if (!rule_name(&s)) return false;
  if (s.n && s.p[0] != ',') {
    if (!rule_seconds(&s, &r->saving)) return false;
    r->saving = -r->saving;
  }
  return parse_date(&s, &r->begin) && parse_date(&s, &r->end) && s.n == 0;
}

/* Seconds since 1970 of that date's local time in a year, as if there were no zones. */
static int64_t date_in(const rule_date *d, int year) {
  hl_civil c = {.year = year, .month = 1, .day = 1};
  if (d->kind == 'M') {
    c.month = d->month;
    hl_civil_of(hl_civil_seconds(&c), &c); /* its weekday */
    c.day = 1 + (d->day - c.weekday + 7) % 7 + (d->week - 1) * 7;
    if (c.day > hl_days_in(year, d->month)) c.day -= 7;
  } else {
    c.day = d->kind == 'D' ? d->day + 1 : d->day + (d->day >= 60 && hl_days_in(year, 2) == 29);
  }
  return hl_civil_seconds(&c) + d->at;
}

/* The offset at `s`, and the first second after it at which another may hold. */
static int32_t by_rule(const tz_rule *r, int64_t s, int64_t *until) {
  hl_civil c;
  *until = INT64_MAX;
  if (!r->saves) return r->standard;
  hl_civil_of(s + r->standard, &c);
  int64_t begin = date_in(&r->begin, c.year) - r->standard, end = date_in(&r->end, c.year) - r->saving;
  int64_t first = begin < end ? begin : end, second = begin < end ? end : begin;
  *until = s < first ? first : s < second ? second : begin < end ? date_in(&r->begin, c.year + 1) - r->standard
                                                                 : date_in(&r->end, c.year + 1) - r->saving;
  bool saving = begin < end ? s >= begin && s < end : s >= begin || s < end;
  return saving ? r->saving : r->standard;
}

/* ---- the file ---- */

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
  hl_str footer = {(const char *)p + base + body, n - base - body};
  if (footer.n < 2 || footer.p[0] != '\n' || footer.p[footer.n - 1] != '\n') return false;
  footer = (hl_str){footer.p + 1, footer.n - 2};
  return footer.n == 0 || parse_rule(footer, &tz->rule);
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

/* ---- asking ---- */

int32_t hl_tz_offset(const hl_tz *tz, int64_t s, int64_t *until) {
  size_t lo = 0, hi = tz->n;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (tz->at[mid] <= s) lo = mid + 1;
    else hi = mid;
  }
  if (lo == tz->n && tz->rule.there) return by_rule(&tz->rule, s, until);
  *until = lo < tz->n ? tz->at[lo] : INT64_MAX;
  return tz->offset[lo];
}

static int32_t offset_at(const hl_tz *tz, int64_t s) {
  int64_t until;
  return hl_tz_offset(tz, s, &until);
}

void hl_tz_civil(const hl_tz *tz, int64_t ms, hl_civil *out) {
  int64_t s = ms / 1000 - (ms % 1000 < 0);
  int32_t offset = offset_at(tz, s);
  hl_civil_of(s + offset, out);
  out->offset = offset;
}

int64_t hl_tz_instant(const hl_tz *tz, const hl_civil *civil) {
  int64_t local = hl_civil_seconds(civil);
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
