/* Time zones against glibc's localtime, and cron expressions against a walk through
 * its minutes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/time.h"

static int64_t at(const char *iso) {
  int64_t ms;
  hl_error err;
  if (hl_time_parse(hl_str_of(iso), &ms, &err)) fail_msg("%s", err.text);
  return ms;
}

static hl_tz *zone(const char *name) {
  hl_tz *tz;
  hl_error err;
  if (hl_tz_load(name, &tz, &err)) fail_msg("%s", err.text);
  return tz;
}

/* ---- zones ---- */

/* Half-hour savings, savings in winter, changes at midnight and beyond it, southern ones, none at all. */
static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC",
                                    "Europe/Dublin", "America/Santiago", "America/Nuuk", "Africa/Cairo", "Asia/Gaza",
                                    "Africa/Casablanca", "Pacific/Chatham", "America/Havana", "Antarctica/Troll", "Pacific/Apia"};

static void same_as_glibc(const char *name, const hl_tz *tz, int64_t from, int64_t to, int64_t step) {
  for (int64_t s = from; s < to; s += step) {
    struct tm tm;
    time_t t = (time_t)s;
    hl_civil c;
    localtime_r(&t, &tm);
    hl_tz_civil(tz, s * 1000, &c);
    if (c.offset != tm.tm_gmtoff || c.year != tm.tm_year + 1900 || c.month != tm.tm_mon + 1 || c.day != tm.tm_mday ||
        c.hour != tm.tm_hour || c.minute != tm.tm_min || c.second != tm.tm_sec || c.weekday != tm.tm_wday)
      fail_msg("%s at %lld: %04d-%02d-%02d %02d:%02d offset %d, glibc has %04d-%02d-%02d %02d:%02d offset %ld", name, (long long)s,
               c.year, c.month, c.day, c.hour, c.minute, c.offset, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
               tm.tm_min, tm.tm_gmtoff);
  }
}

static void use_zone(const char *name) {
  setenv("TZ", name, 1);
  tzset();
}

static void zones_are_glibcs_also_beyond_2037(void **state) {
  (void)state;
  for (size_t k = 0; k < HL_COUNT(zones); k++) {
    hl_tz *tz = zone(zones[k]);
    use_zone(zones[k]);
    same_as_glibc(zones[k], tz, at("1970-01-02") / 1000, at("2037-01-01") / 1000, 100003);
    same_as_glibc(zones[k], tz, at("2037-01-01") / 1000, at("2038-12-31") / 1000, 1800);
    same_as_glibc(zones[k], tz, at("2100-01-01") / 1000, at("2101-01-31") / 1000, 1800); /* 2100 is no leap year */
    same_as_glibc(zones[k], tz, at("2039-01-01") / 1000, at("2400-01-01") / 1000, 1000003);
    hl_tz_free(tz);
  }
}

static void every_zone_is_glibcs(void **state) {
  (void)state;
  FILE *f = fopen("/usr/share/zoneinfo/zone1970.tab", "r");
  char line[512], name[64];
  int n = 0;
  assert_non_null(f);
  while (fgets(line, sizeof line, f)) {
    if (line[0] == '#' || sscanf(line, "%*s %*s %63s", name) != 1) continue;
    hl_tz *tz = zone(name);
    use_zone(name);
    same_as_glibc(name, tz, at("1980-01-01") / 1000, at("2140-01-01") / 1000, 3000017);
    hl_tz_free(tz);
    n++;
  }
  fclose(f);
  assert_true(n > 250);
}

/* Every instant of a year, through local time and back, is the instant or, in
 * the repeated hour, its first twin. */
static void zones_round_trip(void **state) {
  (void)state;
  for (size_t k = 0; k < HL_COUNT(zones); k++) {
    hl_tz *tz = zone(zones[k]);
    for (int year = 2026; year < 2060; year += 16) {
      int64_t start = at("2026-01-01") + (int64_t)(year - 2026) * 365 * HL_DAY;
      for (int64_t ms = start; ms < start + 366 * HL_DAY; ms += 47 * HL_MINUTE) {
        hl_civil c;
        hl_tz_civil(tz, ms, &c);
        int64_t back = hl_tz_instant(tz, &c), until;
        assert_true(back == ms || (back < ms && ms - back <= 2 * HL_HOUR));
        assert_int_equal(hl_tz_offset(tz, ms / 1000, &until), c.offset);
        assert_true(until > ms / 1000);
        if (until == INT64_MAX) continue;
        hl_tz_civil(tz, (until - 1) * 1000, &c);
        assert_int_equal(hl_tz_offset(tz, ms / 1000, &until), c.offset);
      }
    }
    hl_tz_free(tz);
  }
  hl_tz *tz;
  static const char *const bad[] = {"Europe/Berlim", "../../etc/passwd", "Europe", "", "zone.tab", "/etc/localtime"};
  for (size_t i = 0; i < HL_COUNT(bad); i++) assert_int_equal(hl_tz_load(bad[i], &tz, NULL), HL_EINVAL);
}

/* ---- cron ---- */

static int64_t next_ms(const char *expr, const char *name, int64_t after) {
  hl_cron cron;
  hl_error err;
  if (hl_cron_parse(hl_str_of(expr), &cron, &err)) fail_msg("%s", err.text);
  hl_tz *tz = zone(name);
  int64_t ms = hl_cron_next(&cron, tz, after);
  hl_tz_free(tz);
  return ms;
}

/* The times after `after`, as "01-31 09:00" of the zone, one blank between. */
static void check(const char *expr, const char *name, const char *after, const char *want) {
  hl_tz *tz = zone(name);
  char got[400] = "";
  int64_t ms = at(after);
  while (strlen(got) < strlen(want)) {
    hl_civil c;
    ms = next_ms(expr, name, ms);
    hl_tz_civil(tz, ms, &c);
    size_t n = strlen(got);
    snprintf(got + n, sizeof got - n, "%s%02d-%02d %02d:%02d", n ? " " : "", c.month, c.day, c.hour, c.minute);
  }
  hl_tz_free(tz);
  assert_string_equal(got, want);
}

static void expressions(void **state) {
  (void)state;
  check("0 9 * * MON-FRI", "UTC", "2026-09-04T09:00:00Z", "09-07 09:00 09-08 09:00");
  check("*/15 * * * *", "UTC", "2026-09-04T09:07:00Z", "09-04 09:15 09-04 09:30");
  check("7,37 8-10/2 * * *", "UTC", "2026-09-04T00:00:00Z", "09-04 08:07 09-04 08:37 09-04 10:07 09-04 10:37 09-05 08:07");
  check("@daily", "Europe/Berlin", "2026-09-04T09:07:00Z", "09-05 00:00");
  check("@hourly", "UTC", "2026-12-31T23:07:00Z", "01-01 00:00 01-01 01:00");
  check("@weekly", "UTC", "2026-09-04T09:07:00Z", "09-06 00:00 09-13 00:00");
  check("@monthly", "UTC", "2026-09-04T09:07:00Z", "10-01 00:00 11-01 00:00");
  check("@Yearly", "UTC", "2026-09-04T09:07:00Z", "01-01 00:00 01-01 00:00");
  check("0 0 29 2 *", "UTC", "2026-09-04T09:07:00Z", "02-29 00:00");
  check("0 0 13 * FRI", "UTC", "2026-09-05T00:00:00Z", "09-11 00:00 09-13 00:00"); /* either */
  check("5 4 * * 7", "UTC", "2026-09-04T00:00:00Z", "09-06 04:05");
  check("0 0 * jan-Mar fri-sun", "UTC", "2026-09-04T00:00:00Z", "01-01 00:00 01-02 00:00 01-03 00:00 01-08 00:00");
  check("0 0 1-7 * */7", "UTC", "2026-09-04T00:00:00Z", "09-06 00:00 10-04 00:00"); /* a star: both, so the first Sunday */
  /* the last day, weekdays near a day, the n-th and the last of a weekday */
  check("0 0 L * *", "UTC", "2027-01-15T00:00:00Z", "01-31 00:00 02-28 00:00 03-31 00:00 04-30 00:00");
  check("0 0 l,15 2 *", "UTC", "2028-01-15T00:00:00Z", "02-15 00:00 02-29 00:00");
  check("0 9 15W * *", "UTC", "2026-07-31T00:00:00Z", "08-14 09:00 09-15 09:00 10-15 09:00 11-16 09:00");
  check("0 9 1W * *", "UTC", "2026-07-31T10:00:00Z", "08-03 09:00 09-01 09:00 10-01 09:00 11-02 09:00");
  check("0 9 31W * *", "UTC", "2026-05-01T10:00:00Z", "05-29 09:00 07-31 09:00 08-31 09:00");
  check("0 9 LW * *", "UTC", "2026-01-01T10:00:00Z", "01-30 09:00 02-27 09:00 03-31 09:00 04-30 09:00 05-29 09:00");
  check("0 9 * * 5L", "UTC", "2026-09-04T00:00:00Z", "09-25 09:00 10-30 09:00");
  check("0 9 * * FRIL,MON#1", "UTC", "2026-09-04T00:00:00Z", "09-07 09:00 09-25 09:00 10-05 09:00 10-30 09:00");
  check("0 9 * * MON#2", "UTC", "2026-09-04T00:00:00Z", "09-14 09:00 10-12 09:00");
  check("0 9 * * 7#5", "UTC", "2026-09-04T00:00:00Z", "11-29 09:00 01-31 09:00");
  check("0 9 L * 1#2", "UTC", "2026-09-04T00:00:00Z", "09-14 09:00 09-30 09:00"); /* either */
  /* years ahead: a leap day that is a Monday; over 2100 */
  assert_int_equal(next_ms("0 0 29 2 */7", "UTC", at("2026-01-01")), at("2032-02-29"));
  assert_int_equal(next_ms("0 0 29 2 *", "UTC", at("2096-03-01")), at("2104-02-29"));
}

static void what_is_no_expression(void **state) {
  (void)state;
  static const struct { const char *expr, *says; } bad[] = {
      {"", "fewer than five fields"}, {"* * * *", "fewer than five fields"}, {"* * * * * *", "more than five fields"},
      {"@reboot", "there is no “@reboot”"}, {"60 * * * *", "“60” is no minute"}, {"* 24 * * *", "“24” is no hour"},
      {"* * 0 * *", "“0” is no day of the month"}, {"* * 32 * *", "no day of the month"}, {"* * * FOO *", "“FOO” is no month"},
      {"* * * 13 *", "no month"}, {"* * * * 8", "no day of the week"}, {"*/0 * * * *", "no minute"}, {"*/60 * * * *", "no minute"},
      {"5-1 * * * *", "no minute"}, {"1, * * * *", "no minute"}, {",1 * * * *", "no minute"}, {"a * * * *", "no minute"},
      {"-1 * * * *", "no minute"}, {"1- * * * *", "no minute"}, {"1//2 * * * *", "no minute"}, {"L * * * *", "no minute"},
      {"* * 5L * *", "no day of the month"}, {"* * W * *", "no day of the month"}, {"* * 0W * *", "no day of the month"},
      {"* * 1-5W * *", "no day of the month"}, {"* * * * L", "no day of the week"}, {"* * * * MON#6", "no day of the week"},
      {"* * * * MON#0", "no day of the week"}, {"* * * * #2", "no day of the week"}, {"* * * * 1#2#3", "no day of the week"},
      {"0 0 30 2 *", "never comes"}, {"0 0 31 4,6,9,11 *", "never comes"}, {"0 0 30W feb *", "never comes"},
  };
  for (size_t i = 0; i < HL_COUNT(bad); i++) {
    hl_cron cron;
    hl_error err = {0};
    if (hl_cron_parse(hl_str_of(bad[i].expr), &cron, &err) != HL_EINVAL) fail_msg("“%s” is taken", bad[i].expr);
    if (!strstr(err.text, bad[i].says)) fail_msg("“%s”: %s", bad[i].expr, err.text);
  }
}

/* Berlin skips 02:00-03:00 on 2027-03-28 and repeats 02:00-03:00 on 2026-10-25. */
static void daylight_saving(void **state) {
  (void)state;
  /* A time of its own: when the gap ends; the first of two. */
  check("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", "03-28 03:00 03-29 02:30");
  check("0,30 1-3 * * *", "Europe/Berlin", "2027-03-28T00:00:00Z", "03-28 01:30 03-28 03:00 03-28 03:30 03-29 01:00");
  assert_int_equal(next_ms("30 2 * * *", "Europe/Berlin", at("2026-10-25T00:00:00Z")), at("2026-10-25T00:30:00Z"));
  assert_int_equal(next_ms("30 2 * * *", "Europe/Berlin", at("2026-10-25T00:30:00Z")), at("2026-10-26T01:30:00Z"));
  /* What goes with the time that elapses: no hole of an hour, nothing for an hour that was not. */
  int64_t ms = at("2026-10-25T00:00:00Z");
  for (int i = 0; i < 12; i++) {
    int64_t next = next_ms("*/15 * * * *", "Europe/Berlin", ms);
    assert_int_equal(next - ms, 15 * HL_MINUTE);
    ms = next;
  }
  assert_int_equal(next_ms("0 * * * *", "Europe/Berlin", at("2026-10-25T00:00:00Z")), at("2026-10-25T01:00:00Z"));
  check("*/30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", "03-29 02:00 03-29 02:30");
  check("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "10-25 02:00 10-25 02:30 10-25 02:00 10-25 02:30 10-26 02:00");
  /* Midnight is skipped in Havana (2027-03-14), half an hour on Lord Howe (2026-10-04, 02:00), a day on Apia (2011-12-30). */
  check("@daily", "America/Havana", "2027-03-13T12:00:00Z", "03-14 01:00 03-15 00:00");
  check("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "10-04 02:30 10-05 02:15");
  check("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", "12-29 12:00 12-31 00:00 12-31 12:00");
  /* Only ever in the gap. */
  assert_int_equal(next_ms("* 2 L 3 */7", "Europe/Berlin", at("2026-01-01")), INT64_MAX);
}

/* The same by a walk: local minutes of glibc, one after the other. */
static int64_t walked(const hl_cron *cron, int64_t after, int64_t until) {
  int64_t highest = INT64_MIN; /* the latest local minute so far */
  for (int64_t s = (after / 60000 - 1440) * 60; s < until / 1000; s += 60) {
    struct tm tm;
    time_t t = (time_t)s;
    localtime_r(&t, &tm);
    int64_t local = (s + tm.tm_gmtoff) / 60;
    bool fires = false;
    for (int64_t m = cron->elapsing || highest == INT64_MIN || local < highest ? local : highest + 1; m <= local; m++) {
      time_t as_utc = (time_t)m * 60;
      struct tm c, end;
      if (!cron->elapsing && local <= highest) continue;
      gmtime_r(&as_utc, &c);
      as_utc += (time_t)86400;
      gmtime_r(&as_utc, &end);
      bool day = cron->days & (1u << c.tm_mday) || (cron->last_day && end.tm_mday == 1);
      bool week = cron->weekdays & (1u << c.tm_wday) || cron->nth[c.tm_wday] & (1u << ((c.tm_mday + 6) / 7));
      if (cron->minutes & (UINT64_C(1) << c.tm_min) && cron->hours & (1u << c.tm_hour) && cron->months & (1u << (c.tm_mon + 1)) &&
          (cron->any_day || cron->any_weekday ? day && week : day || week))
        fires = true;
    }
    if (local > highest) highest = local;
    if (fires && s * 1000 > after) return s * 1000;
  }
  return INT64_MAX;
}

static void next_is_what_a_walk_finds(void **state) {
  (void)state;
  static const char *const minutes[] = {"*", "*/7", "30", "0,30", "5-55/25", "0"};
  static const char *const hours[] = {"*", "*/5", "2", "0-4", "1,2,3", "23"};
  static const char *const days[] = {"*", "*", "L", "1-7", "25-31", "29"};
  static const char *const weeks[] = {"*", "*", "SUN", "MON-FRI", "SUN#4", "*/3"};
  static const char *const changes[] = {"2026-10-25", "2027-03-28", "2026-11-01", "2027-03-14", "2026-10-04", "2040-03-25"};
  hl_rng rng;
  hl_rng_init(&rng, 5);
  for (int i = 0; i < 100; i++) {
    char expr[80];
    const char *name = zones[hl_rng_below(&rng, HL_COUNT(zones))];
    snprintf(expr, sizeof expr, "%s %s %s * %s", minutes[hl_rng_below(&rng, 6)], hours[hl_rng_below(&rng, 6)],
             days[hl_rng_below(&rng, 6)], weeks[hl_rng_below(&rng, 6)]);
    hl_cron cron;
    assert_int_equal(hl_cron_parse(hl_str_of(expr), &cron, NULL), 0);
    use_zone(name);
    hl_tz *tz = zone(name);
    int64_t ms = at(changes[hl_rng_below(&rng, 6)]) - 2 * HL_DAY + (int64_t)hl_rng_below(&rng, (uint64_t)(3 * HL_DAY));
    for (int k = 0; k < 4; k++) {
      int64_t until = ms + 3 * HL_DAY, want = walked(&cron, ms, until), got = hl_cron_next(&cron, tz, ms);
      if (got >= until) got = INT64_MAX;
      if (got != want) fail_msg("“%s” in %s after %lld: %lld, a walk finds %lld", expr, name, (long long)ms, (long long)got, (long long)want);
      if (got == INT64_MAX) break;
      ms = got;
    }
    hl_tz_free(tz);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zones_are_glibcs_also_beyond_2037), cmocka_unit_test(every_zone_is_glibcs), cmocka_unit_test(zones_round_trip),
      cmocka_unit_test(expressions), cmocka_unit_test(what_is_no_expression), cmocka_unit_test(daylight_saving),
      cmocka_unit_test(next_is_what_a_walk_finds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
