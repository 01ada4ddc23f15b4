#include "hubspot/budget.h"

#include <assert.h>

#include "base/mem.h"

enum {
  HOLD_MS = 2000,    /* see the header */
  GRAIN_MS = 1,      /* clocks here are truncated to whole milliseconds */
  FOREIGN_MS = 1000, /* a lower figure of others' use is believed after this */
  FOREIGN_MARGIN = 2, /* others go on while our request is on its way */
  GUESS = 2          /* by this, and half of what is out, the figure of others' use may be too high */
};

void hl_window_init(hl_window *w, unsigned limit, int64_t interval, unsigned margin) {
  *w = (hl_window){.limit = limit, .interval = interval, .margin = margin};
}

void hl_window_deinit(hl_window *w) {
  hl_free(w->slots);
  *w = (hl_window){0};
}

static int64_t release_at(const hl_window *w, const hl_slot *s) {
  int64_t end = s->sent + HOLD_MS;
  if (s->answered >= 0 && s->answered < end) end = s->answered;
  return end + w->interval + GRAIN_MS;
}

static unsigned allowed(const hl_window *w) {
  unsigned taken = w->margin;
  if (w->foreign) taken += w->foreign + FOREIGN_MARGIN;
  return w->limit > taken ? w->limit - taken : 1; /* one call asks how it is now */
}

int64_t hl_window_free_at(const hl_window *w, int64_t now) {
  if (now < w->paused_until) return w->paused_until;
  if (w->refusals && w->in_flight) return INT64_MAX;
  size_t held = 0;
  int64_t first = INT64_MAX;
  for (size_t i = 0; i < w->n; i++) {
    if (!w->slots[i].used) continue;
    int64_t at = release_at(w, &w->slots[i]);
    if (at <= now) continue;
    held++;
    if (at < first) first = at;
  }
  if (held < allowed(w)) return now;
  return first;
}

size_t hl_window_take(hl_window *w, int64_t now) {
  assert(hl_window_free_at(w, now) == now);
  size_t at = w->n;
  for (size_t i = 0; i < w->n; i++) {
    hl_slot *s = &w->slots[i];
    /* Slots are remembered a little longer than they are held: hl_window_learn
     * looks back from the sending of the request that it learns from. */
    if (s->used && s->answered >= 0 && s->answered + w->interval + HOLD_MS <= now) s->used = false;
    if (!s->used) at = i;
  }
  if (at == w->n) {
    w->slots = hl_realloc(w->slots, (w->n * 2 + 8) * sizeof *w->slots);
    memset(w->slots + w->n, 0, (w->n + 8) * sizeof *w->slots);
    w->n = w->n * 2 + 8;
  }
  w->slots[at] = (hl_slot){.sent = now, .answered = -1, .used = true};
  w->in_flight++;
  return at;
}

static void end(hl_window *w, size_t slot, int64_t now) {
  assert(slot < w->n && w->slots[slot].used && w->slots[slot].answered < 0);
  w->slots[slot].answered = now;
  w->in_flight--;
}

void hl_window_answered(hl_window *w, size_t slot, int64_t now) {
  end(w, slot, now);
  if (w->slots[slot].sent >= w->paused_until) w->refusals = 0;
}

void hl_window_drop(hl_window *w, size_t slot) {
  end(w, slot, 0);
  w->slots[slot].used = false;
}

void hl_window_limited(hl_window *w, size_t slot, int64_t now, int64_t after) {
  /* Of the requests that were out together only the first refusal counts. */
  bool fresh = w->slots[slot].sent >= w->paused_until;
  end(w, slot, now);
  int64_t ms = after;
  if (ms <= 0) {
    ms = 1000;
    for (unsigned i = 0; i < w->refusals && ms < 10000; i++) ms *= 2;
    if (ms > 10000) ms = 10000;
  }
  if (fresh || after > 0) {
    if (now + ms > w->paused_until) w->paused_until = now + ms;
    if (fresh) w->refusals++;
  }
}

void hl_window_learn(hl_window *w, size_t slot, int64_t now, int64_t max, int64_t remaining, int64_t interval) {
  if (max > 0 && max <= 100000) w->limit = (unsigned)max;
  if (interval > 0 && interval <= 600000) w->interval = interval;
  if (max <= 0 || remaining < 0 || remaining > max) return;
  /* Slots of so long ago are no longer all remembered. */
  if (now - w->slots[slot].sent > HOLD_MS) return;
  /* Where between sending and answer HubSpot counted is not known: the middle is
   * the best guess, and what it is wrong by does not matter much, because a wrong
   * figure lives until the next answer only. */
  int64_t half = (now - w->slots[slot].sent) / 2, middle = w->slots[slot].sent + half;
  int64_t own = 0;
  for (size_t i = 0; i < w->n; i++) {
    const hl_slot *s = &w->slots[i];
    if (!s->used) continue;
    int64_t counted = s->answered < 0 ? s->sent + half : s->sent + (s->answered - s->sent) / 2;
    if (counted > middle - w->interval && counted <= middle) own++;
  }
  int64_t others = max - remaining - own - GUESS - (int64_t)(w->in_flight / 2);
  if (others < 0) others = 0;
  if (others >= w->foreign || now - w->foreign_since >= FOREIGN_MS) {
    w->foreign = (unsigned)others;
    w->foreign_since = now;
  }
}

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
