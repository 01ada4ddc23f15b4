#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hubspot/day.h"

/* The day's budget, with the clock as an argument. Loop time is wall time here. */

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

static void a_day_ends_at_the_accounts_midnight(void **state) {
  (void)state;
  static const struct { const char *zone, *now, *ends; } days[] = {
    {"UTC", "2026-09-01T08:00:00Z", "2026-09-02T00:00:00Z"},
    {"America/New_York", "2026-09-01T03:59:59Z", "2026-09-01T04:00:00Z"},
    {"America/New_York", "2026-09-01T04:00:00Z", "2026-09-02T04:00:00Z"},
    {"Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}, /* 23 hours */
    {"Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"}, /* 25 hours */
    {"Australia/Lord_Howe", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z"}, /* half an hour */
    {"America/Santiago", "2026-09-05T12:00:00Z", "2026-09-06T04:00:00Z"}, /* has no midnight: 0:00 is 1:00 */
    {"Asia/Kathmandu", "2026-12-31T18:00:00Z", "2026-12-31T18:15:00Z"},
  };
  for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
    hl_day d;
    hl_day_init(&d, 1000, 5);
    hl_day_zone(&d, zone(days[i].zone), at(days[i].now));
    char is[25];
    hl_time_iso(d.ends, is);
    if (d.ends != at(days[i].ends)) fail_msg("%s at %s ends %s", days[i].zone, days[i].now, is);
    hl_day_deinit(&d);
  }
}

static void a_used_up_day_opens_at_midnight(void **state) {
  (void)state;
  hl_day d;
  int64_t t = at("2026-10-25T20:30:00Z"), midnight = at("2026-10-25T23:00:00Z");
  hl_day_init(&d, 1000, 5);
  hl_day_zone(&d, zone("Europe/Berlin"), t);
  hl_day_learn(&d, t, t, 1000, 1);
  assert_int_equal(hl_day_closed(&d, t, t, HL_RANK_LIVE), 0);
  hl_day_limited(&d, t, t);
  /* Tries once an hour, and once only. */
  for (int tries = 0; t < midnight - HL_DAY_LOOK_MS; tries++) {
    int64_t until = hl_day_closed(&d, t, t, HL_RANK_LIVE);
    assert_int_equal(until, t + HL_DAY_LOOK_MS);
    t = until;
    assert_int_equal(hl_day_closed(&d, t, t, HL_RANK_LIVE), 0);
    hl_day_take(&d, t, HL_RANK_LIVE);
    assert_true(hl_day_closed(&d, t, t, HL_RANK_BULK));
    hl_day_limited(&d, t, t);
  }
  assert_int_equal(hl_day_closed(&d, t, t, HL_RANK_LIVE), midnight);
  for (hl_rank r = HL_RANK_LIVE; r <= HL_RANK_BULK; r++) {
    assert_int_equal(hl_day_closed(&d, midnight, midnight, r), 0);
    assert_int_equal(hl_day_free_at(&d, midnight, midnight, r), midnight);
  }
  hl_day_deinit(&d);
}

static void the_reserve_is_for_live_calls(void **state) {
  (void)state;
  hl_day d;
  int64_t t = at("2026-09-01T22:00:00Z");
  hl_day_init(&d, 1000, 5);
  hl_day_learn(&d, t, t, 2000, 101);
  assert_int_equal(hl_day_closed(&d, t, t, HL_RANK_BULK), 0);
  hl_day_learn(&d, t, t, 2000, 100);
  assert_int_equal(hl_day_closed(&d, t, t, HL_RANK_LIVE), 0);
  assert_int_equal(hl_day_closed(&d, t, t, HL_RANK_NORMAL), 0); /* its end is not known: one asks, */
  hl_day_take(&d, t, HL_RANK_NORMAL);
  assert_int_equal(hl_day_closed(&d, t, t, HL_RANK_NORMAL), t + HL_DAY_TRY_MS); /* then none */
  hl_day_zone(&d, zone("UTC"), t);
  assert_int_equal(hl_day_closed(&d, t, t, HL_RANK_NORMAL), at("2026-09-02T00:00:00Z"));
  /* A higher limit, bought in the middle of the day. */
  hl_day_learn(&d, t, t, 1002000, 1000100);
  assert_int_equal(hl_day_closed(&d, t, t, HL_RANK_NORMAL), 0);
  hl_day_deinit(&d);
}

/* An account's whole day, as HubSpot counts it: bulk work without end at the full
 * rate of the window, live and foreign calls beside it. */
static void bulk_lasts_for_the_day_and_live_is_never_refused(void **state) {
  (void)state;
  static const struct { const char *start; int others_a_minute; } runs[] = {
    {"2026-09-01T00:00:00Z", 0}, {"2026-09-01T00:00:00Z", 120}, {"2026-09-01T15:00:00Z", 30},
  };
  for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
    enum { LIMIT = 625000, LIVE_A_MINUTE = 20 };
    int64_t left = LIMIT, bulk = 0, t = at(runs[r].start), end = at("2026-09-02T00:00:00Z");
    int64_t last_bulk = 0, gap = 0, slowed = 0;
    if (t > at("2026-09-01T10:00:00Z")) left = 300000;
    hl_day d;
    hl_day_init(&d, LIMIT, 5);
    hl_day_zone(&d, zone("UTC"), t);
    for (int64_t s = 0; t < end; s++, t += 1000) {
      if (s % 60 < runs[r].others_a_minute) left -= 1 + (runs[r].others_a_minute - 1) / 60;
      if (s % 3 == 0) {
        assert_int_equal(hl_day_closed(&d, t, t, HL_RANK_LIVE), 0);
        hl_day_take(&d, t, HL_RANK_LIVE);
        hl_day_learn(&d, t, t, LIMIT, --left);
      }
      for (int64_t i = 0; i < 19; i++) {
        int64_t now = t + i * 50;
        if (hl_day_closed(&d, now, now, HL_RANK_BULK)) break;
        if (hl_day_free_at(&d, now, now, HL_RANK_BULK) > now) {
          slowed++;
          continue;
        }
        hl_day_take(&d, now, HL_RANK_BULK);
        hl_day_learn(&d, now, now, LIMIT, --left);
        if (last_bulk && now - last_bulk > gap) gap = now - last_bulk;
        last_bulk = now;
        bulk++;
      }
      if (left <= 0) fail_msg("run %zu: the day was used up at %lld s", r, (long long)s);
    }
    /* Slowed, never stopped, and nothing but the reserve and a little is left over. */
    assert_true(slowed > 0 && bulk > 0);
    if (gap > HL_MINUTE) fail_msg("run %zu: no bulk call for %lld s", r, (long long)gap / 1000);
    if (end - last_bulk > 2 * HL_MINUTE) fail_msg("run %zu: bulk ended %lld s early", r, (long long)(end - last_bulk) / 1000);
    if (left > LIMIT / 10) fail_msg("run %zu: %lld calls were left", r, (long long)left);
    hl_day_deinit(&d);
  }
}

static void a_day_that_lasts_slows_nothing(void **state) {
  (void)state;
  hl_day d;
  int64_t t = at("2026-09-01T10:00:00Z"), left = 600000;
  hl_day_init(&d, 625000, 5);
  hl_day_zone(&d, zone("UTC"), t);
  /* Ten minutes of import at the full rate are no forecast of a day. */
  for (int i = 0; i < 6000; i++, t += 100) {
    assert_int_equal(hl_day_free_at(&d, t, t, HL_RANK_BULK), t);
    hl_day_take(&d, t, HL_RANK_BULK);
    hl_day_learn(&d, t, t, 625000, --left);
    assert_int_equal(hl_day_runs_out(&d, t, t), 0);
  }
  hl_day_deinit(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_day_ends_at_the_accounts_midnight), cmocka_unit_test(a_used_up_day_opens_at_midnight),
      cmocka_unit_test(the_reserve_is_for_live_calls),
      cmocka_unit_test(bulk_lasts_for_the_day_and_live_is_never_refused),
      cmocka_unit_test(a_day_that_lasts_slows_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
