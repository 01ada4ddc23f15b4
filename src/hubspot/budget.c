#include "hubspot/budget.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

enum {
  GRAIN_MS = 1,         /* clocks here are truncated to whole milliseconds, */
  DRIFT = 5000,         /* and run apart by less than this part */
  UNSEEN_MS = 500,      /* others are not thought to send on for longer than this after an answer */
  SURPRISE_MAX = 8,
  TOGETHER_MS = 10,     /* calls of others that are remembered as one moment */
  LIVE_MS = 60 * 1000,
  MARGIN_MS = 60 * 60 * 1000,
  BLIND_MS = 60 * 1000, /* some of what a refusal took is tried again after it */
  PAUSE_MAX_MS = 10 * 1000,
  LIMIT_MAX = 1000000,
  WAY_SEEN = 3,
  MEET_MS = 500,        /* so long the first call goes ahead alone */
  CREDIT = 3,           /* calls that may leave together though they are spread */
  ASIDE = 64            /* how far requests overtake one another */
};
#define MOST_FREE 0.03 /* of what others leave may be kept free for their next calls */

void hl_window_init(hl_window *w, unsigned limit, int64_t interval) {
  *w = (hl_window){.limit = limit, .interval = interval, .first = 1, .end = 1, .oldest_out = 1, .in_most = 1,
                   .in_likely = 1, .met = interval <= 1000, .proved = INT64_MIN / 2, .live_at = INT64_MIN / 2};
}

void hl_window_deinit(hl_window *w) {
  hl_free(w->slots);
  hl_free(w->others);
  *w = (hl_window){0};
}

static hl_slot *slot_of(const hl_window *w, hl_slot_id id) {
  assert(id >= w->first && id < w->end);
  return &w->slots[id & (w->cap - 1)];
}

static int64_t grain(const hl_window *w) { return GRAIN_MS + w->interval / DRIFT; }
static int64_t given_up(const hl_window *w, const hl_slot *s) { return s->sent + HL_HOLD_MS + w->interval + grain(w); }

/* ---- which slots are held ---- */

static void held_add(hl_window *w, hl_slot_id id) {
  hl_slot *s = slot_of(w, id);
  hl_slot_id after = w->held_last; /* nearly always: answers come in the order of time */
  while (after && slot_of(w, after)->release > s->release) after = slot_of(w, after)->prev;
  s->prev = after;
  s->next = after ? slot_of(w, after)->next : w->held_first;
  *(s->prev ? &slot_of(w, s->prev)->next : &w->held_first) = id;
  *(s->next ? &slot_of(w, s->next)->prev : &w->held_last) = id;
}

static void held_remove(hl_window *w, hl_slot_id id) {
  hl_slot *s = slot_of(w, id);
  *(s->prev ? &slot_of(w, s->prev)->next : &w->held_first) = s->next;
  *(s->next ? &slot_of(w, s->next)->prev : &w->held_last) = s->prev;
  s->next = s->prev = 0;
}

static void let_go(hl_window *w, hl_slot *s) {
  s->held = false;
  w->held--;
}

/* Frees what is over at `now`; each slot passes here once. */
static void expire(hl_window *w, int64_t now) {
  while (w->held_first && slot_of(w, w->held_first)->release <= now) {
    hl_slot_id id = w->held_first;
    held_remove(w, id);
    let_go(w, slot_of(w, id));
  }
  for (; w->oldest_out < w->end; w->oldest_out++) {
    hl_slot *s = slot_of(w, w->oldest_out);
    if (s->answered >= 0 || !s->held) continue;
    if (given_up(w, s) > now) break;
    let_go(w, s);
  }
  while (w->others_n) {
    hl_others *o = &w->others[w->others_first];
    if (o->at + w->interval > now) break;
    w->foreign -= o->n;
    w->others_first = (w->others_first + 1) % w->others_cap;
    w->others_n--;
  }
  if (w->margin && now - w->margin_at >= MARGIN_MS) w->margin = 0;
  if (w->blind && now - w->blind_at >= BLIND_MS) {
    w->blind -= (w->blind + 3) / 4;
    w->blind_at = now;
  }
}

static bool foreign_seen(const hl_window *w, int64_t now) { return now - w->proved < 2 * w->interval; }

/* As many as others may have in the window when a call that leaves now arrives:
 * those that are known to be in it, as many as they send on average in the time
 * that no answer has told of yet, and some for chance. */
static double others_then(const hl_window *w, int64_t now) {
  if (!foreign_seen(w, now)) return 0;
  double unseen = (double)(now - w->seen_at) + w->latency / 2;
  if (unseen > UNSEEN_MS) unseen = UNSEEN_MS;
  double mean = w->foreign * unseen / (double)w->interval;
  double spread = w->surprise * sqrt(mean + 0.25), most = MOST_FREE * ((double)w->limit - w->foreign);
  return w->foreign + mean + (spread < most ? spread : most);
}

static int allowed(const hl_window *w, int64_t now, hl_rank rank) {
  int64_t left = (int64_t)w->limit - w->margin - w->blind - (int64_t)ceil(others_then(w, now) - 0.5);
  if (rank != HL_RANK_LIVE && now - w->live_at < LIVE_MS) left -= (w->limit + 49) / 64;
  return left < 1 ? 1 : (int)left; /* one call asks how it is now */
}

static bool is_spread(const hl_window *w, int64_t now, hl_rank rank) {
  return rank == HL_RANK_BULK || (rank == HL_RANK_NORMAL && foreign_seen(w, now));
}

/* Spreading: what frees in small parts may be used at once, what is free in a
 * lump only as it would have become free had it been used evenly. `ramp` is what
 * is not yet given of the lump. */
static double ramp(hl_window *w, int64_t now, int left) {
  w->ramp -= (double)(now - w->ramp_at) * left / (double)w->interval;
  w->ramp_at = now;
  if (w->ramp_left - left > CREDIT) w->ramp -= w->ramp_left - left; /* the limit fell, or others came: what is to give, too */
  w->ramp_left = left;
  double lump = (double)left - (double)w->held - CREDIT;
  if (w->ramp < lump) w->ramp = lump;
  if (w->ramp < 0) w->ramp = 0;
  return w->ramp;
}

/* When something frees next. */
static int64_t next_change(const hl_window *w) {
  int64_t at = INT64_MAX;
  if (w->held_first) at = slot_of(w, w->held_first)->release;
  if (w->oldest_out < w->end) {
    int64_t t = given_up(w, slot_of(w, w->oldest_out));
    if (t < at) at = t;
  }
  if (w->others_n) {
    int64_t t = w->others[w->others_first].at + w->interval;
    if (t < at) at = t;
  }
  return at;
}

int64_t hl_window_free_at(hl_window *w, int64_t now, hl_rank rank) {
  if (now < w->paused_until) return w->paused_until;
  if (w->refusals && w->in_flight) return INT64_MAX;
  if (!w->met && w->in_flight && now < w->begun + MEET_MS) return w->begun + MEET_MS;
  expire(w, now);
  int left = allowed(w, now, rank);
  if (w->held >= (size_t)left) return next_change(w);
  if (!is_spread(w, now, rank)) return now;
  if (w->pace > (double)now) return (int64_t)ceil(w->pace);
  double late = (double)w->held + 1 - ((double)left - ramp(w, now, left));
  if (late <= 0) return now;
  int64_t at = now + (int64_t)ceil(late * (double)w->interval / left), change = next_change(w);
  return change < at ? change : at;
}

/* ---- sending and answers ---- */

/* The newest slots of which no answer still out can speak. */
static void forget(hl_window *w, int64_t now) {
  int64_t oldest = w->oldest_out < w->end ? slot_of(w, w->oldest_out)->sent : now;
  for (; w->in_most < w->oldest_out; w->in_most++) {
    hl_slot *s = slot_of(w, w->in_most);
    if (s->answered < 0 ? s->held : s->answered > oldest - w->interval) break;
    w->most -= s->counted;
    if (w->in_likely == w->in_most) {
      w->in_likely++;
      w->likely -= s->counted;
    }
  }
  while (w->first < w->in_most) {
    const hl_slot *s = slot_of(w, w->first);
    if (s->answered < 0 || s->held) break;
    w->first++;
  }
}

static void grow(hl_window *w) {
  size_t cap = w->cap ? w->cap * 2 : 64;
  hl_slot *slots = hl_alloc(cap * sizeof *slots);
  for (hl_slot_id id = w->first; id < w->end; id++) slots[id & (cap - 1)] = w->slots[id & (w->cap - 1)];
  hl_free(w->slots);
  w->slots = slots;
  w->cap = cap;
}

static hl_slot_id add(hl_window *w, hl_slot slot) {
  if (w->end - w->first >= w->cap) grow(w);
  w->slots[w->end & (w->cap - 1)] = slot;
  w->held++;
  w->most++;
  w->likely++;
  return w->end++;
}

hl_slot_id hl_window_take(hl_window *w, int64_t now, hl_rank rank) {
  forget(w, now);
  if (is_spread(w, now, rank)) {
    double gap = 0.5 * (double)w->interval / allowed(w, now, rank), earliest = (double)now - 2 * gap;
    w->pace = (w->pace > earliest ? w->pace : earliest) + gap;
  }
  if (rank == HL_RANK_LIVE) w->live_at = now;
  w->in_flight++;
  if (!w->begun) w->begun = now;
  return add(w, (hl_slot){.sent = now, .answered = -1, .foreseen = others_then(w, now), .held = true, .counted = true});
}

static void uncount(hl_window *w, hl_slot_id id, hl_slot *s) {
  if (!s->counted) return;
  s->counted = false;
  if (id >= w->in_most) w->most--;
  if (id >= w->in_likely) w->likely--;
}

static void end(hl_window *w, hl_slot_id id, int64_t now) {
  hl_slot *s = slot_of(w, id);
  assert(s->answered < 0);
  s->answered = now;
  w->in_flight--;
  w->met = true;
  if (!s->held) return;
  int64_t over = now - w->way;
  if (over < s->sent) over = s->sent;
  if (over > s->sent + HL_HOLD_MS) over = s->sent + HL_HOLD_MS;
  s->release = over + w->interval + grain(w);
  held_add(w, id);
}

void hl_window_answered(hl_window *w, hl_slot_id id, int64_t now) {
  end(w, id, now);
  const hl_slot *s = slot_of(w, id);
  int64_t took = now - s->sent > HL_HOLD_MS ? HL_HOLD_MS : now - s->sent;
  w->latency += ((double)took - w->latency) / 16;
  if (s->sent >= w->paused_until) w->refusals = 0;
}

void hl_window_drop(hl_window *w, hl_slot_id id) {
  hl_slot *s = slot_of(w, id);
  assert(s->answered < 0);
  s->answered = s->sent;
  w->in_flight--;
  uncount(w, id, s);
  if (s->held) let_go(w, s);
}

/* ---- others of the same token ---- */

static void others_add(hl_window *w, int64_t at, int n) {
  w->foreign += n;
  if (w->others_n) {
    hl_others *last = &w->others[(w->others_first + w->others_n - 1) % w->others_cap];
    if (at < last->at) at = last->at;
    if (at - last->at < TOGETHER_MS) {
      last->at = at;
      last->n += n;
      return;
    }
  }
  if (w->others_n == w->others_cap) {
    size_t cap = w->others_cap * 2 + 16;
    hl_others *ring = hl_alloc(cap * sizeof *ring);
    for (size_t i = 0; i < w->others_n; i++) ring[i] = w->others[(w->others_first + i) % w->others_cap];
    hl_free(w->others);
    w->others = ring;
    w->others_cap = cap;
    w->others_first = 0;
  }
  w->others[(w->others_first + w->others_n++) % w->others_cap] = (hl_others){at, n};
}

/* Fewer than believed: the oldest have probably left already. */
static void others_remove(hl_window *w, int n, int64_t after, int64_t until) {
  for (size_t i = 0; n > 0 && i < w->others_n; i++) {
    hl_others *o = &w->others[(w->others_first + i) % w->others_cap];
    if (o->at <= after || o->at > until) continue;
    int k = o->n < n ? o->n : n;
    o->n -= k;
    w->foreign -= k;
    n -= k;
  }
}

static int64_t counted_at(const hl_slot *s, int64_t half) {
  return s->sent + (s->answered < 0 ? half : (s->answered - s->sent) / 2);
}

/* How many of ours were in the window when `id`, answered now, arrived. The middle
 * between sending and answer is the best guess of when that was, for each. */
static int64_t own_at(hl_window *w, hl_slot_id id, int64_t now) {
  const hl_slot *s = slot_of(w, id);
  int64_t half = (now - s->sent) / 2, at = s->sent + half;
  forget(w, now);
  for (; w->in_likely < w->end; w->in_likely++) {
    const hl_slot *o = slot_of(w, w->in_likely);
    if (counted_at(o, half) > at - w->interval) break;
    w->likely -= o->counted;
  }
  int64_t own = (int64_t)w->likely;
  for (hl_slot_id i = w->end; i-- > w->in_likely && i + ASIDE > id;) {
    const hl_slot *o = slot_of(w, i);
    if (i != id && o->counted && counted_at(o, half) > at) own--;
  }
  return own;
}

/* `used` calls were in the window when `id` arrived. */
static void see(hl_window *w, hl_slot_id id, int64_t now, int64_t used) {
  const hl_slot *s = slot_of(w, id);
  int64_t at = s->sent + (now - s->sent) / 2, own = own_at(w, id, now);
  w->sighted = true;
  if (used > (int64_t)w->most) w->proved = now;
  if (!foreign_seen(w, now)) {
    others_remove(w, w->foreign, INT64_MIN, INT64_MAX);
    w->surprise = 2;
    return;
  }
  int64_t others = used - own;
  if (others < 0) others = 0;
  int known = 0;
  for (size_t i = w->others_n; i-- > 0;) {
    const hl_others *o = &w->others[(w->others_first + i) % w->others_cap];
    if (o->at <= at - w->interval) break;
    if (o->at <= at) known += o->n;
  }
  /* The more of ours are on their way together, the less one answer says alone. */
  double unsure = (double)w->in_flight - 1 + (double)w->most - (double)w->likely;
  w->doubt += ((double)(others - known) - w->doubt) / (1 + unsure / 4);
  int whole = (int)(w->doubt);
  w->doubt -= whole;
  if (whole > 0) others_add(w, at, whole);
  else others_remove(w, -whole, at - w->interval, at);
  others = known + whole;
  /* The level that is exceeded once in so many answers: up by a whole call each
   * time that it is, down by so small a part each time that it is not. */
  if ((double)others > s->foreseen) w->surprise += 0.5;
  else w->surprise -= 0.5 / HL_SURPRISE_ONCE;
  if (w->surprise > SURPRISE_MAX) w->surprise = SURPRISE_MAX;
  if (w->surprise < 1) w->surprise = 1;
  if (at > w->seen_at) w->seen_at = at;
}

void hl_window_learn(hl_window *w, hl_slot_id id, int64_t now, int64_t max, int64_t remaining, int64_t interval) {
  if (max > 0) w->limit = max < LIMIT_MAX ? (unsigned)max : LIMIT_MAX;
  if (interval > 0 && interval <= 600000) w->interval = interval;
  if (max <= 0 || max > LIMIT_MAX || remaining < 0 || remaining > max) return;
  const hl_slot *s = slot_of(w, id);
  /* Where in so long a time HubSpot counted says nothing. */
  if (now - s->sent > HL_HOLD_MS || s->answered >= 0) return;
  see(w, id, now, max - remaining);
}

/* ---- refusals ---- */

void hl_window_pause(hl_window *w, int64_t now, int64_t after) {
  if (now + after > w->paused_until) w->paused_until = now + after;
}

void hl_window_limited(hl_window *w, hl_slot_id id, int64_t now, int64_t after) {
  hl_slot *s = slot_of(w, id);
  /* Of the requests that were out together only the first refusal counts. */
  bool fresh = s->sent >= w->paused_until;
  /* Whether HubSpot counts what it refuses is unconfirmed: it holds its slot, but is not reckoned ours. */
  uncount(w, id, s);
  if (w->sighted && now - s->sent <= HL_HOLD_MS) see(w, id, now, w->limit);
  int64_t own = own_at(w, id, now);
  bool known = w->sighted && foreign_seen(w, now);
  end(w, id, now);
  if (!fresh && after <= 0) return;
  if (fresh && w->sighted && !known) {
    w->margin = 1;
    w->margin_at = now;
  }
  if (fresh && !w->sighted) {
    /* No more than were let through is probably allowed; with few of them it was others'. */
    unsigned over = own < w->limit ? w->limit - (unsigned)own : 1;
    w->blind = over < w->limit / 2 ? over : w->limit / 2;
    w->blind_at = now;
  }
  int64_t ms = after;
  if (ms <= 0) {
    ms = known ? 100 : 1000;
    for (unsigned i = 0; i < w->refusals && ms < PAUSE_MAX_MS; i++) ms *= 2;
    if (ms > PAUSE_MAX_MS) ms = PAUSE_MAX_MS;
  }
  hl_window_pause(w, now, ms);
  if (fresh) w->refusals++;
}

/* ---- one window of two ---- */

void hl_window_absorb(hl_window *w, hl_window *from, int64_t now) {
  if (w == from) return;
  w->met = w->met || from->met;
  expire(from, now);
  for (hl_slot_id id = from->first; id < from->end; id++) {
    const hl_slot *s = slot_of(from, id);
    if (!s->held) continue;
    int64_t release = s->answered < 0 ? given_up(from, s) : s->release;
    hl_slot_id copy = add(w, (hl_slot){.sent = s->sent, .answered = s->answered < 0 ? now : s->answered,
                                       .release = release, .held = true, .counted = true});
    held_add(w, copy);
  }
  if (from->paused_until > w->paused_until) w->paused_until = from->paused_until;
  if (from->live_at > w->live_at) w->live_at = from->live_at;
}

void hl_window_way(hl_window *w, int64_t connect_ms) {
  if (connect_ms <= 0) return;
  if (!w->n_connects++ || connect_ms < w->connects) w->connects = connect_ms;
  if (w->n_connects >= WAY_SEEN) w->way = w->connects * 4 / 5;
}
