/* The budget of an account's day: what is left of it, when it ends, and whether it
 * will last. Pure: loop milliseconds (`now`) and epoch milliseconds (`wall`) are
 * passed in. Loop thread.
 *
 * A day ends at midnight in the account's time zone, which hl_day_zone tells; until
 * it is known a used-up day is tried again every quarter of an hour. What other
 * users of the account spend is seen in Daily-Remaining. Some of the day is kept
 * for live calls. When the use of the last hour, gone on with, would end the day's
 * budget before the day, bulk calls are spread over the rest of it. */
#ifndef HL_HUBSPOT_DAY_H
#define HL_HUBSPOT_DAY_H

#include "base/time.h"
#include "hubspot/budget.h"

enum {
  HL_DAY_TRY_MS = 15 * 60 * 1000,      /* a used-up day of unknown end is tried again */
  HL_DAY_LOOK_MS = 60 * 60 * 1000,     /* ... of known end: somebody may have raised the limit */
  HL_DAY_RECENT_MS = 60 * 60 * 1000,   /* what the forecast looks at */
  HL_DAY_RESERVE = 5                   /* percent for live calls */
};

typedef struct hl_day { /* caller's memory */
  int64_t limit, remaining; /* -1: not known yet */
  unsigned reserve;         /* percent */
  hl_tz *zone;              /* NULL: not known */
  int64_t ends;             /* epoch ms; 0: not known */
  int64_t blocked_until;    /* loop ms; 0: not blocked */
  int64_t tried;            /* loop ms: the last try into the reserve of a day of unknown end */
  /* Use of late: each call counts less by e after HL_DAY_RECENT_MS. */
  double used, bulk;
  int64_t since, rated;     /* loop ms; since 0: nothing seen yet */
  int64_t bulk_at;          /* loop ms: the last bulk call */
  int64_t told, warned;     /* the last word on how long it lasts, loop ms, and to a person, epoch ms; 0: never */
} hl_day;

void hl_day_init(hl_day *d, int64_t limit, unsigned reserve_percent);
void hl_day_deinit(hl_day *d);
/* Takes the zone. */
void hl_day_zone(hl_day *d, hl_tz *zone, int64_t wall);
/* From an answer; negative: absent. */
void hl_day_learn(hl_day *d, int64_t now, int64_t wall, int64_t limit, int64_t remaining);
void hl_day_limited(hl_day *d, int64_t now, int64_t wall);
/* 0, or the loop ms until which calls of this rank are refused. */
int64_t hl_day_closed(hl_day *d, int64_t now, int64_t wall, hl_rank rank);
/* `now` when a call of a rank that is not closed may leave, or the loop ms. */
int64_t hl_day_free_at(hl_day *d, int64_t now, int64_t wall, hl_rank rank);
/* A call leaves now. When the day was used up it is the one that tries: the rest
 * is refused until its answer says that calls are left. */
void hl_day_take(hl_day *d, int64_t now, hl_rank rank);
/* Epoch ms at which what is not kept for live calls will be used up, as the last
 * hour went; 0: not before the day ends (with an unknown end: within a day). */
int64_t hl_day_runs_out(hl_day *d, int64_t now, int64_t wall);
/* True the first time that it is asked in a day: a person is told once. */
bool hl_day_warns(hl_day *d, int64_t wall);
/* Calls kept for live ones. */
int64_t hl_day_reserved(const hl_day *d);

#endif
