/* Durations, ISO 8601, time zones and cron arithmetic. Pure: no clock is read
 * here, "now" is always an argument (loop/loop.h has the clock). */
#ifndef HL_BASE_TIME_H
#define HL_BASE_TIME_H

#include "base/err.h"
#include "base/str.h"

#define HL_SECOND INT64_C(1000)
#define HL_MINUTE (60 * HL_SECOND)
#define HL_HOUR (60 * HL_MINUTE)
#define HL_DAY (24 * HL_HOUR)

/* "500ms" "90s" "15m" "4h" "2d" "1w" or a bare number of seconds, to milliseconds. */
int hl_duration_parse(hl_str s, int64_t *ms, hl_error *err);
/* Epoch ms to "2026-09-01T12:00:00.000Z" (25 bytes with the NUL). */
void hl_time_iso(int64_t ms, char out[25]);
/* ISO 8601 date, or date and time with Z or an offset, to epoch ms. */
int hl_time_parse(hl_str s, int64_t *ms, hl_error *err);

/* The Date of HTTP, "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, its first form), to epoch ms. 0 or HL_EINVAL. */
int hl_time_parse_http(hl_str s, int64_t *ms);

typedef struct hl_civil {
  int year, month, day;      /* month 1-12 */
  int hour, minute, second;
  int weekday;               /* 0 Sunday */
  int offset;                /* seconds east of UTC */
} hl_civil;

/* The calendar alone: seconds since 1970 as if there were no zones. Fields out of range are normalised. */
void hl_civil_of(int64_t seconds, hl_civil *out);
int64_t hl_civil_seconds(const hl_civil *civil);
int hl_days_in(int year, int month);

typedef struct hl_tz hl_tz;  /* read-only after load */

/* `name` is an IANA zone ("Europe/Berlin") or "UTC". HL_EINVAL for unknown ones. */
int hl_tz_load(const char *name, hl_tz **out, hl_error *err);
void hl_tz_free(hl_tz *tz);
void hl_tz_civil(const hl_tz *tz, int64_t ms, hl_civil *out);
/* The instant of a local time. A skipped time gives the instant the gap ends;
 * a repeated one the first of the two. Fields out of range are normalised. */
int64_t hl_tz_instant(const hl_tz *tz, const hl_civil *civil);
/* Seconds east of UTC at the second `s`; it is the same until before *until (INT64_MAX: for good). */
int32_t hl_tz_offset(const hl_tz *tz, int64_t s, int64_t *until);

typedef struct hl_cron {
  uint64_t minutes;           /* bit sets */
  uint32_t hours, days, months, weekdays;
  uint32_t workdays;          /* 15W: the weekday nearest to the 15th; bit 0: the month's last (LW) */
  bool last_day;              /* L */
  uint8_t nth[7];             /* of each weekday: bits 1-5 MON#1 to MON#5, bit 0 the month's last (MONL) */
  bool any_day, any_weekday;  /* both restricted: either matches (as in Vixie cron) */
  bool elapsing;              /* minute or hour begins with *: see hl_cron_next */
} hl_cron;

/* Five fields, names, ranges, steps, lists, L W #, @hourly @daily @weekly @monthly @yearly.
 * HL_EINVAL: the message names the field and what it may hold, or says that the day never comes. */
int hl_cron_parse(hl_str text, hl_cron *out, hl_error *err);
/* First match strictly after `ms`, by the rule of Debian's cron(8): an expression whose minute or hour
 * begins with * goes with the time that elapses: not in a skipped hour, twice in a repeated one. Any other
 * fires once: a skipped time when the gap ends, a repeated one the first time. INT64_MAX: never. */
int64_t hl_cron_next(const hl_cron *cron, const hl_tz *tz, int64_t ms);

#endif
