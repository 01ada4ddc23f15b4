/* Budgets: rolling windows as HubSpot counts them (day.h has the day). Pure: the
 * clock (loop milliseconds, never going back) is passed in. Loop thread.
 *
 * Never too many. HubSpot counts a request when it arrives, which is some time
 * between sending and answer. A slot is therefore held from sending until one
 * interval after the ANSWER. Then no window of HubSpot's can hold more than the
 * limit: let n be the last sent request of such a window; every other one in it
 * arrived less than an interval before n did, hence was answered less than an
 * interval before n was sent or later, hence still held its slot then. That is a
 * proof, so no margin is added; a refusal that others' use does not explain adds
 * one call for an hour. The price of the hold is latency / interval of the rate:
 * 0.5 % at 50 ms over 10 s, 17 % at 200 ms over the second of a search. What the
 * way to HubSpot takes at least (hl_window_way) is taken off it: between two
 * arrivals lies what lies between an answer and a later sending, and one way there
 * and back more. Answers that take long take it in HubSpot, not on the way, so no
 * slot is held longer than HL_HOLD_MS + interval after sending.
 *
 * Others of the same token are seen through Remaining. Their calls leave the
 * rolling window as ours do, so each answer, less what earlier answers have shown,
 * tells how many of theirs have arrived since: that history says when each of
 * their slots frees. What they do between the last answer and our next arrival
 * cannot be known: what they do on average in that time is kept free, and more, by
 * as many deviations as they exceeded once in HL_SURPRISE_ONCE answers, but at most
 * 3 % of what they leave. In the model (tests/unit/hubspot_budget_test.c), with
 * others at 30 % and 50 ms of latency, 96 % of what they leave is used; refusals a
 * minute: none with steady others, 0.4 with random ones, 3 with bursts of up to five.
 *
 * At the start nothing is known: this process may have been there a moment ago, or
 * others are at it. So the first call goes ahead alone, for half a second at most,
 * and its answer tells.
 *
 * Who leaves. Live calls take the next free slot. While there are any (in the
 * last minute), one call in 64 is kept free of the others for them. Bulk calls, and
 * normal ones when others use the token too, are spread evenly over the window, so
 * that slots also free evenly and a live call that finds none waits interval / limit
 * and not for the end of a burst. */
#ifndef HL_HUBSPOT_BUDGET_H
#define HL_HUBSPOT_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  HL_HOLD_MS = 2000,
  HL_SURPRISE_ONCE = 1000,
};

typedef enum { HL_RANK_LIVE, HL_RANK_NORMAL, HL_RANK_BULK } hl_rank;

typedef uint64_t hl_slot_id;

typedef struct hl_slot {
  int64_t sent, answered;  /* answered -1: out */
  int64_t release;
  hl_slot_id next, prev;   /* of those answered and held, by release; 0: none */
  double foreseen;         /* others' calls that sending reckoned with */
  bool held, counted;
} hl_slot;

typedef struct hl_others { int64_t at; int n; } hl_others; /* calls of others, when they arrived */

typedef struct hl_window { /* caller's memory */
  unsigned limit, margin;
  int64_t interval;
  int64_t way;             /* at least so long is a request on its way, there and back */
  int64_t connects;        /* the shortest of those seen, ms */
  unsigned n_connects;
  /* Slots in the order of sending: those of [first, end) are remembered, the id
   * of a slot is its number. From `in_most` on they may be, from `in_likely` on
   * they probably are, in the window that the last answer spoke of. */
  hl_slot *slots;
  size_t cap;
  hl_slot_id first, end, oldest_out, in_most, in_likely, held_first, held_last;
  size_t held, in_flight, most, likely; /* most, likely: counted ones from there on */
  double latency;          /* of late, ms */
  bool met;                /* an answer came, or none of this window tells anything */
  int64_t begun;           /* the first sending; 0: none yet */
  /* others of the same token */
  bool sighted;            /* answers tell what remains */
  hl_others *others;       /* ring */
  size_t others_cap, others_first, others_n;
  int foreign;             /* their sum */
  double doubt;            /* by which it is probably too low */
  int64_t proved;          /* the last time an answer could not be ours alone */
  int64_t seen_at;         /* up to when answers have told of them */
  double surprise;         /* how far from their average they are reckoned to go */
  unsigned blind;          /* the same where no answer tells: by refusals */
  int64_t blind_at, margin_at;
  /* order */
  int64_t live_at;         /* the last live call */
  double ramp;             /* calls that are free and not yet given, so that they are spread */
  int64_t ramp_at;
  int ramp_left;           /* what could be held then */
  double pace;             /* and then none of them leaves before this, a part of the even gap */
  /* refusals */
  int64_t paused_until;
  unsigned refusals;       /* 429s in a row; above 0 one request at a time probes */
} hl_window;

void hl_window_init(hl_window *w, unsigned limit, int64_t interval);
void hl_window_deinit(hl_window *w);
/* `now` when a call of this rank may leave, otherwise the first time at which one
 * might; INT64_MAX when that depends on an answer that is out. */
int64_t hl_window_free_at(hl_window *w, int64_t now, hl_rank rank);
/* Only when hl_window_free_at(w, t, rank) == t was seen a moment ago: a real clock
 * may be some ms past t by now, at which the window need not be free. Gives the slot. */
hl_slot_id hl_window_take(hl_window *w, int64_t now, hl_rank rank);
/* The answer came (any but 429): ends a pause. */
void hl_window_answered(hl_window *w, hl_slot_id slot, int64_t now);
/* The request never left: it is not counted. */
void hl_window_drop(hl_window *w, hl_slot_id slot);
/* A 429 for this window: nobody sends for `after` ms (0: until a call is free as
 * far as known, longer each time), then one at a time until an answer comes. */
void hl_window_limited(hl_window *w, hl_slot_id slot, int64_t now, int64_t after);
/* What a window that refused a request counted elsewhere is told. */
void hl_window_pause(hl_window *w, int64_t now, int64_t after);
/* Limits from the answer's headers; negative: absent. Call before _answered. */
void hl_window_learn(hl_window *w, hl_slot_id slot, int64_t now, int64_t max, int64_t remaining, int64_t interval);
/* Two windows turn out to be one: `w` counts from now on what `from` holds too. */
void hl_window_absorb(hl_window *w, hl_window *from, int64_t now);
/* How long a connection to HubSpot took to open, which is once there and back.
 * Four fifths of the shortest of three or more are taken for the way. 0: unknown. */
void hl_window_way(hl_window *w, int64_t connect_ms);

#endif
