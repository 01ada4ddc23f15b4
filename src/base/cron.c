#include "base/mem.h"
#include "base/time.h"

typedef struct field {
  const char *name;
  int min, max;
  const char *const *words; /* three-letter names, the first stands for min */
  const char *holds;
} field;

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY };

static const char *const months[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                     "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", NULL};
static const char *const weekdays[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL};
static const field fields[5] = {
    {"minute", 0, 59, NULL, ""},
    {"hour", 0, 23, NULL, ""},
    {"day of the month", 1, 31, NULL, ", L (the last), 15W (the weekday nearest to the 15th), LW"},
    {"month", 1, 12, months, " or JAN-DEC"},
    {"day of the week", 0, 7, weekdays, " (0 and 7 are Sunday) or SUN-SAT, MON#2 (the second Monday), FRIL (the last Friday)"},
};

static int bad(const field *f, hl_str text, hl_error *err) {
  return hl_fail(err, HL_EINVAL, "cron: “" HL_STR_FMT "” is no %s: write *, %d-%d%s, ranges a-b, steps */n, lists a,b",
                 HL_STR_ARG(text), f->name, f->min, f->max, f->holds);
}

static bool value(const field *f, hl_str s, int *out) {
  for (int i = 0; f->words && f->words[i]; i++)
    if (hl_str_ieqz(s, f->words[i])) {
      *out = f->min + i;
      return true;
    }
  int64_t v;
  if (s.n == 0 || s.p[0] == '-' || hl_str_int64(s, &v) || v < f->min || v > f->max) return false;
  *out = (int)v;
  return true;
}

static hl_str cut(hl_str *rest, char at) {
  const char *p = rest->n ? memchr(rest->p, at, rest->n) : NULL;
  hl_str head = {rest->p, p ? (size_t)(p - rest->p) : rest->n};
  *rest = p ? (hl_str){p + 1, rest->n - head.n - 1} : (hl_str){rest->p + rest->n, 0};
  return head;
}

/* L LW 15W in the day of the month, FRIL MON#2 in the day of the week. */
static bool special(const field *f, hl_str s, hl_cron *cron) {
  char end = s.n ? (char)(s.p[s.n - 1] & ~0x20) : 0; /* a letter in upper case */
  hl_str head = {s.p, s.n ? s.n - 1 : 0};
  int v;
  if (f == &fields[DAY] && end == 'L' && !head.n) {
    cron->last_day = true;
  } else if (f == &fields[DAY] && end == 'W') {
    if (hl_str_ieqz(head, "L")) v = 0;
    else if (!value(f, head, &v)) return false;
    cron->workdays |= 1u << v;
  } else if (f == &fields[WEEKDAY] && end == 'L') {
    if (!value(f, head, &v)) return false;
    cron->nth[v % 7] |= 1;
  } else if (f == &fields[WEEKDAY] && s.n > 2 && s.p[s.n - 2] == '#' && s.p[s.n - 1] >= '1' && s.p[s.n - 1] <= '5') {
    if (!value(f, (hl_str){s.p, s.n - 2}, &v)) return false;
    cron->nth[v % 7] |= (uint8_t)(1 << (s.p[s.n - 1] - '0'));
  } else {
    return false;
  }
  return true;
}

static int parse_field(const field *f, hl_str text, hl_cron *cron, uint64_t *set, hl_error *err) {
  *set = 0;
  hl_str rest = text;
  if (text.n == 0 || text.p[text.n - 1] == ',') return bad(f, text, err);
  while (rest.n) {
    hl_str step = cut(&rest, ',');
    if (special(f, step, cron)) continue;
    hl_str range = cut(&step, '/');
    bool stepped = step.p > range.p + range.n;
    int64_t by = 1;
    int lo = f->min, hi = f->max;
    if (stepped && (hl_str_int64(step, &by) || by < 1 || by > f->max)) return bad(f, text, err);
    if (!hl_str_eqz(range, "*")) {
      hl_str to = range, from = cut(&to, '-');
      bool ranged = from.n < range.n;
      if (!value(f, from, &lo)) return bad(f, text, err);
      if (!ranged) hi = stepped ? f->max : lo;
      else if (!value(f, to, &hi)) return bad(f, text, err);
      if (hi < lo && f == &fields[WEEKDAY] && hi == 0) hi = 7; /* FRI-SUN */
      if (hi < lo) return bad(f, text, err);
    } else if (f == &fields[WEEKDAY]) {
      hi = 6;
    }
    for (int v = lo; v <= hi; v += (int)by) *set |= UINT64_C(1) << v;
  }
  return 0;
}

/* ---- the calendar ---- */

/* The weekday (Monday to Friday) nearest to a day of its month; 0: the month's last. */
static int workday(int day, int last, int first_weekday) {
  if (day > last) return 0;
  if (!day) day = last;
  int weekday = (first_weekday + day - 1) % 7;
  if (weekday == 6) return day > 1 ? day - 1 : 3;
  if (weekday == 0) return day < last ? day + 1 : day - 2;
  return day;
}

static bool day_matches(const hl_cron *cron, int day, int last, int first_weekday) {
  int weekday = (first_weekday + day - 1) % 7;
  unsigned which = 1u << ((day - 1) / 7 + 1) | (day + 7 > last);
  bool by_week = cron->weekdays & (1u << weekday) || cron->nth[weekday] & which;
  bool by_day = cron->days & (1u << day) || (cron->last_day && day == last);
  for (uint32_t left = cron->workdays; left && !by_day; left &= left - 1)
    by_day = workday(__builtin_ctz(left), last, first_weekday) == day;
  return cron->any_day || cron->any_weekday ? by_day && by_week : by_day || by_week;
}

/* The first hour and minute from the given ones on. */
static bool moment(const hl_cron *cron, int *hour, int *minute) {
  uint64_t left = cron->hours & (1u << *hour) ? cron->minutes >> *minute << *minute : 0;
  if (!left) {
    uint32_t later = cron->hours & ~((2u << *hour) - 1);
    if (!later) return false;
    *hour = __builtin_ctz(later);
    left = cron->minutes;
  }
  *minute = __builtin_ctzll(left);
  return true;
}

/* The first match at or after `local` (seconds since 1970 as if there were no zones). The calendar
 * repeats after 400 years: what has not come by then never does. */
static int64_t in_calendar(const hl_cron *cron, int64_t local) {
  hl_civil c, from;
  hl_civil_of(local + 59 - (local % 60 + 119) % 60, &c); /* the minute that is full */
  for (int n = 0; n <= 400 * 12; n++) {
    if (cron->months & (1u << c.month)) {
      int last = hl_days_in(c.year, c.month);
      hl_civil_of(hl_civil_seconds(&(hl_civil){.year = c.year, .month = c.month, .day = 1}), &from);
      for (; c.day <= last; c.day++, c.hour = c.minute = 0)
        if (day_matches(cron, c.day, last, from.weekday) && moment(cron, &c.hour, &c.minute)) return hl_civil_seconds(&c);
    }
    c = (hl_civil){.year = c.year + c.month / 12, .month = c.month % 12 + 1, .day = 1};
  }
  return INT64_MAX;
}

/* ---- the door ---- */

int hl_cron_parse(hl_str text, hl_cron *out, hl_error *err) {
  static const struct { const char *macro, *means; } macros[] = {
      {"@hourly", "0 * * * *"}, {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
      {"@weekly", "0 0 * * 0"}, {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
      {"@annually", "0 0 1 1 *"},
  };
  for (size_t i = 0; i < HL_COUNT(macros); i++)
    if (hl_str_ieqz(text, macros[i].macro)) return hl_cron_parse(hl_str_of(macros[i].means), out, err);
  if (text.n && text.p[0] == '@')
    return hl_fail(err, HL_EINVAL, "cron: there is no “" HL_STR_FMT "”; there are @hourly @daily @weekly @monthly @yearly", HL_STR_ARG(text));
  hl_str parts[6];
  size_t n = 0;
  for (size_t i = 0; i < text.n && n < 6;) {
    while (i < text.n && (text.p[i] == ' ' || text.p[i] == '\t')) i++;
    size_t from = i;
    while (i < text.n && text.p[i] != ' ' && text.p[i] != '\t') i++;
    if (i > from) parts[n++] = (hl_str){text.p + from, i - from};
  }
  if (n != 5)
    return hl_fail(err, HL_EINVAL,
                   "cron: “" HL_STR_FMT "” has %s than five fields: minute hour day-of-month month day-of-week, as in \"0 9 * * MON-FRI\", or @hourly @daily @weekly @monthly @yearly",
                   HL_STR_ARG(text), n < 5 ? "fewer" : "more");
  uint64_t set[5];
  hl_cron cron = {.any_day = parts[DAY].p[0] == '*', .any_weekday = parts[WEEKDAY].p[0] == '*',
                  .elapsing = parts[MINUTE].p[0] == '*' || parts[HOUR].p[0] == '*'};
  for (size_t i = 0; i < 5; i++) {
    int rc = parse_field(&fields[i], parts[i], &cron, &set[i], err);
    if (rc) return rc;
  }
  if (set[WEEKDAY] & (1u << 7)) set[WEEKDAY] = (set[WEEKDAY] | 1) & 0x7f;
  cron.minutes = set[MINUTE];
  cron.hours = (uint32_t)set[HOUR];
  cron.days = (uint32_t)set[DAY];
  cron.months = (uint32_t)set[MONTH];
  cron.weekdays = (uint32_t)set[WEEKDAY];
  if (in_calendar(&cron, 0) == INT64_MAX)
    return hl_fail(err, HL_EINVAL, "cron: “" HL_STR_FMT "” never comes: no month that it names has such a day", HL_STR_ARG(text));
  *out = cron;
  return 0;
}

int64_t hl_cron_next(const hl_cron *cron, const hl_tz *tz, int64_t ms) {
  static const int64_t NEVER_S = INT64_C(146097) * 86400;
  int64_t after = ms / 1000 - (ms % 1000 < 0), from = after + 1, until;
  int32_t offset = hl_tz_offset(tz, from, &until);
  if (!cron->elapsing) {
    /* In a repeated hour some local times that lie ahead have been already. */
    for (int64_t local = from + offset;; local++) {
      hl_civil c;
      if ((local = in_calendar(cron, local)) == INT64_MAX) return INT64_MAX;
      hl_civil_of(local, &c);
      int64_t at = hl_tz_instant(tz, &c);
      if (at > ms) return at;
    }
  }
  /* One stretch of equal offset after the other; local time is linear in each. */
  for (; from < after + NEVER_S; from = until) {
    offset = hl_tz_offset(tz, from, &until);
    int64_t local = in_calendar(cron, from + offset);
    if (local == INT64_MAX) return INT64_MAX;
    if (local - offset < until) return (local - offset) * 1000;
  }
  return INT64_MAX;
}
