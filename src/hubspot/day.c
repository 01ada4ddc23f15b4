#include "hubspot/day.h"

#include <math.h>

enum { AT_LEAST_MS = 10 * 60 * 1000 }; /* a rate is not believed to be that of a shorter time */

void hl_day_init(hl_day *d, int64_t limit, unsigned reserve_percent) {
  *d = (hl_day){.limit = limit, .remaining = -1, .reserve = reserve_percent};
}

void hl_day_deinit(hl_day *d) {
  hl_tz_free(d->zone);
  d->zone = NULL;
}

static int64_t midnight_after(const hl_tz *zone, int64_t wall) {
  hl_civil c;
  hl_tz_civil(zone, wall, &c);
  return hl_tz_instant(zone, &(hl_civil){.year = c.year, .month = c.month, .day = c.day + 1});
}

void hl_day_zone(hl_day *d, hl_tz *zone, int64_t wall) {
  hl_tz_free(d->zone);
  d->zone = zone;
  d->ends = midnight_after(zone, wall);
}

static void begin(hl_day *d) {
  d->remaining = -1;
  d->blocked_until = 0;
  d->tried = 0;
}

static void roll(hl_day *d, int64_t wall) {
  if (!d->zone || wall < d->ends) return;
  d->ends = midnight_after(d->zone, wall);
  begin(d);
}

int64_t hl_day_reserved(const hl_day *d) { return d->limit > 0 ? d->limit * d->reserve / 100 : 0; }

/* ---- use of late ---- */

static void fade(hl_day *d, int64_t now) {
  if (!d->since) d->since = d->rated = now > 0 ? now : 1;
  double keep = exp(-(double)(now - d->rated) / HL_DAY_RECENT_MS);
  d->used *= keep;
  d->bulk *= keep;
  d->rated = now;
}

/* Calls a ms. What was seen for less than an hour is divided by what it could be at most. */
static double rate(const hl_day *d, double count) {
  double seen = (double)(d->rated - d->since);
  if (seen < AT_LEAST_MS) seen = AT_LEAST_MS;
  return count / (HL_DAY_RECENT_MS * (1 - exp(-seen / HL_DAY_RECENT_MS)));
}

/* When `calls` will have been made; 0: not before the day ends. */
static int64_t made_at(hl_day *d, int64_t now, int64_t wall, int64_t calls) {
  roll(d, wall);
  if (d->remaining < 0) return 0;
  fade(d, now);
  double r = rate(d, d->used);
  int64_t left = d->zone ? d->ends - wall : HL_DAY;
  if (calls < 0) calls = 0;
  if (r * (double)left <= (double)calls) return 0;
  return wall + (int64_t)((double)calls / r);
}

int64_t hl_day_runs_out(hl_day *d, int64_t now, int64_t wall) {
  return made_at(d, now, wall, d->remaining - hl_day_reserved(d));
}

bool hl_day_warns(hl_day *d, int64_t wall) {
  roll(d, wall);
  if (d->warned && (d->zone ? midnight_after(d->zone, d->warned) == d->ends : wall - d->warned < HL_DAY)) return false;
  d->warned = wall;
  return true;
}

/* ---- answers ---- */

void hl_day_learn(hl_day *d, int64_t now, int64_t wall, int64_t limit, int64_t remaining) {
  roll(d, wall);
  if (limit > 0) d->limit = limit;
  if (remaining < 0) return;
  fade(d, now);
  if (d->remaining < 0 || remaining - d->remaining > d->limit / 100) {
    d->remaining = remaining; /* the first of a day */
  } else if (remaining < d->remaining) {
    d->used += (double)(d->remaining - remaining);
    d->remaining = remaining;
  }
  if (remaining == 0) hl_day_limited(d, now, wall);
  else d->blocked_until = 0;
}

void hl_day_limited(hl_day *d, int64_t now, int64_t wall) {
  roll(d, wall);
  d->remaining = 0;
  int64_t after = HL_DAY_TRY_MS;
  if (d->zone) after = d->ends - wall < HL_DAY_LOOK_MS ? d->ends - wall : HL_DAY_LOOK_MS;
  d->blocked_until = now + after;
}

/* ---- leaving ---- */

int64_t hl_day_closed(hl_day *d, int64_t now, int64_t wall, hl_rank rank) {
  roll(d, wall);
  if (d->blocked_until && now < d->blocked_until) return d->blocked_until;
  if (rank == HL_RANK_LIVE || d->remaining < 0 || d->blocked_until || d->remaining > hl_day_reserved(d)) return 0;
  if (d->zone) return now + d->ends - wall;
  int64_t again = d->tried + HL_DAY_TRY_MS;
  return d->tried && now < again ? again : 0;
}

int64_t hl_day_free_at(hl_day *d, int64_t now, int64_t wall, hl_rank rank) {
  if (rank != HL_RANK_BULK || !d->zone || !hl_day_runs_out(d, now, wall)) return now;
  double left = (double)(d->ends - wall), others = rate(d, d->used - d->bulk);
  double mine = (double)(d->remaining - hl_day_reserved(d)) - (others > 0 ? others * left : 0);
  /* Always some: the forecast may be wrong, and nothing else would correct it. */
  double gap = mine > left / HL_MINUTE ? left / mine : HL_MINUTE;
  int64_t at = d->bulk_at + (int64_t)gap;
  return at > now ? at : now;
}

void hl_day_take(hl_day *d, int64_t now, hl_rank rank) {
  fade(d, now);
  if (rank == HL_RANK_BULK) {
    d->bulk += 1;
    d->bulk_at = now;
  }
  if (d->blocked_until) d->blocked_until = now + HL_DAY_TRY_MS;
  else if (rank != HL_RANK_LIVE && d->remaining >= 0 && d->remaining <= hl_day_reserved(d)) d->tried = now > 0 ? now : 1;
}
