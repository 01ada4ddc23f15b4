/* The budget of an account's day. Pure; the clock is passed in. Loop thread. */
#ifndef HL_HUBSPOT_DAY_H
#define HL_HUBSPOT_DAY_H

#include <stdint.h>

typedef struct hl_day {
  int64_t limit, remaining; /* -1: not known yet */
  int64_t blocked_until;    /* loop ms; 0: not blocked */
} hl_day;

/* A day that is used up is tried again, because its end (midnight in the
 * account's own time zone) is not known here. */
enum { HL_DAY_TRY_MS = 15 * 60 * 1000 };
void hl_day_learn(hl_day *d, int64_t now, int64_t limit, int64_t remaining);
void hl_day_limited(hl_day *d, int64_t now);
/* 0, or the loop ms until which calls are refused. */
int64_t hl_day_blocked(const hl_day *d, int64_t now);
/* A call leaves now. When the day was used up it is the one that tries: the rest
 * is refused until its answer says that calls are left. */
void hl_day_try(hl_day *d, int64_t now);

#endif
