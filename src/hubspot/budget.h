/* Budgets: rolling windows (10 seconds, search) and the day, as HubSpot counts
 * them. Pure: the clock (loop milliseconds) is passed in. Loop thread.
 *
 * HubSpot counts a request when it arrives, which is some time between sending
 * and answer. A slot is therefore held from sending until one interval after the
 * ANSWER. Then no window of HubSpot's can hold more than the limit: let n be the
 * last sent request of such a window; every other one in it arrived less than
 * an interval before n did, hence was answered less than an interval before n
 * was sent or later, hence still held its slot then. The price is
 * latency / interval of the rate: 1 % at 100 ms over 10 s. Answers that take
 * long take it in HubSpot, not on the way, so no slot is held longer than
 * HOLD_MS + interval after sending. */
#ifndef HL_HUBSPOT_BUDGET_H
#define HL_HUBSPOT_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hl_slot {
  int64_t sent, answered; /* answered -1: out */
  bool used;
} hl_slot;

typedef struct hl_window { /* caller's memory */
  unsigned limit, margin;
  int64_t interval;
  hl_slot *slots;
  size_t n, in_flight;
  unsigned foreign;       /* of the limit, used by others of the same token */
  int64_t foreign_since;
  int64_t paused_until;   /* after a 429 */
  unsigned refusals;      /* 429s in a row; above 0 one request at a time probes */
} hl_window;

void hl_window_init(hl_window *w, unsigned limit, int64_t interval, unsigned margin);
void hl_window_deinit(hl_window *w);
/* `now` when a request may leave, otherwise the first time at which one might;
 * INT64_MAX when that depends on an answer that is out. */
int64_t hl_window_free_at(const hl_window *w, int64_t now);
/* Only when hl_window_free_at(w, now) == now. Gives the slot. */
size_t hl_window_take(hl_window *w, int64_t now);
/* The answer came (any but 429): ends a pause. */
void hl_window_answered(hl_window *w, size_t slot, int64_t now);
/* The request never left: it is not counted. */
void hl_window_drop(hl_window *w, size_t slot);
/* A 429: nobody sends for `after` ms (0: chosen by us, growing), then one at a
 * time until an answer comes. */
void hl_window_limited(hl_window *w, size_t slot, int64_t now, int64_t after);
/* Limits from the answer's headers; negative: absent. Call before _answered. */
void hl_window_learn(hl_window *w, size_t slot, int64_t now, int64_t max, int64_t remaining, int64_t interval);

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
