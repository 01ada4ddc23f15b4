#include "hubspot/day.h"

void hl_day_learn(hl_day *d, int64_t now, int64_t limit, int64_t remaining) {
  if (limit > 0) d->limit = limit;
  if (remaining < 0) return;
  d->remaining = remaining;
  if (remaining == 0) hl_day_limited(d, now);
  else d->blocked_until = 0;
}

void hl_day_limited(hl_day *d, int64_t now) {
  d->remaining = 0;
  d->blocked_until = now + HL_DAY_TRY_MS;
}

int64_t hl_day_blocked(const hl_day *d, int64_t now) {
  return d->blocked_until && now < d->blocked_until ? d->blocked_until : 0;
}

void hl_day_try(hl_day *d, int64_t now) {
  if (d->blocked_until) d->blocked_until = now + HL_DAY_TRY_MS;
}
