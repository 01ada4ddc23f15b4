#include "base/mem.h"
#include "base/time.h"

typedef struct field {
  const char *name;
  int min, max;
  const char *const *words; /* three-letter names, the first stands for min */
} field;

static const char *const months[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                     "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", NULL};
static const char *const weekdays[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL};
static const field fields[5] = {
    {"minute", 0, 59, NULL},  {"hour", 0, 23, NULL},          {"day of the month", 1, 31, NULL},
    {"month", 1, 12, months}, {"day of the week", 0, 7, weekdays},
};

static int bad(const field *f, hl_str text, hl_error *err) {
  return hl_fail(err, HL_EINVAL, "cron: “" HL_STR_FMT "” is no %s: write *, %d-%d%s, ranges a-b, steps */n, lists a,b",
                 HL_STR_ARG(text), f->name, f->min, f->max,
                 f->words == months ? " or JAN-DEC" : f->words ? " (0 and 7 are Sunday) or SUN-SAT" : "");
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

static int parse_field(const field *f, hl_str text, uint64_t *set, hl_error *err) {
  *set = 0;
  hl_str rest = text;
  if (text.n == 0 || text.p[text.n - 1] == ',') return bad(f, text, err);
  while (rest.n) {
    hl_str step = cut(&rest, ','), range = cut(&step, '/');
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
      if (hi < lo && f->words == weekdays && hi == 0) hi = 7; /* FRI-SUN */
      if (hi < lo) return bad(f, text, err);
    } else if (f->words == weekdays) {
      hi = 6;
    }
    for (int v = lo; v <= hi; v += (int)by) *set |= UINT64_C(1) << v;
  }
  return 0;
}

int hl_cron_parse(hl_str text, hl_cron *out, hl_error *err) {
  static const struct { const char *macro, *means; } macros[] = {
      {"@hourly", "0 * * * *"}, {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
      {"@weekly", "0 0 * * 0"}, {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
      {"@annually", "0 0 1 1 *"},
  };
  for (size_t i = 0; i < HL_COUNT(macros); i++)
    if (hl_str_ieqz(text, macros[i].macro)) return hl_cron_parse(hl_str_of(macros[i].means), out, err);
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
  for (size_t i = 0; i < 5; i++) {
    int rc = parse_field(&fields[i], parts[i], &set[i], err);
    if (rc) return rc;
  }
  if (set[4] & (1u << 7)) set[4] = (set[4] | 1) & 0x7f;
  *out = (hl_cron){
      .minutes = set[0], .hours = (uint32_t)set[1], .days = (uint32_t)set[2],
      .months = (uint32_t)set[3], .weekdays = (uint32_t)set[4],
      .any_day = parts[2].p[0] == '*', .any_weekday = parts[4].p[0] == '*',
  };
  return 0;
}

static bool day_matches(const hl_cron *cron, const hl_civil *c) {
  bool day = cron->days & (1u << c->day), weekday = cron->weekdays & (1u << c->weekday);
  return cron->any_day || cron->any_weekday ? day && weekday : day || weekday;
}

int64_t hl_cron_next(const hl_cron *cron, const hl_tz *tz, int64_t ms) {
  hl_civil now, c;
  hl_tz_civil(tz, ms, &now);
  int64_t first_day = ms;
  for (int day = 0; day < 5 * 366; day++) {
    /* Noon exists on every day, so that stepping days never skips one. */
    hl_civil noon = {.year = now.year, .month = now.month, .day = now.day + day, .hour = 12};
    hl_tz_civil(tz, hl_tz_instant(tz, &noon), &c);
    if (!(cron->months & (1u << c.month)) || !day_matches(cron, &c)) continue;
    int64_t best = INT64_MAX;
    for (int h = 0; h < 24; h++) {
      if (!(cron->hours & (1u << h)) || (day == 0 && h < now.hour)) continue;
      for (int m = 0; m < 60; m++) {
        if (!(cron->minutes & (UINT64_C(1) << m))) continue;
        hl_civil at = {.year = c.year, .month = c.month, .day = c.day, .hour = h, .minute = m};
        int64_t instant = hl_tz_instant(tz, &at);
        if (instant > first_day && instant < best) best = instant;
      }
      if (best != INT64_MAX) return best;
    }
  }
  return INT64_MAX;
}
