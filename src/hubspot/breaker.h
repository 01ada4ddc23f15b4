/* The circuit breaker of one API host: when nothing answers any more, one request
 * at a time asks whether it does again, at growing intervals, whatever is queued.
 * Pure: the clock (loop ms) is passed in. Loop thread.
 *
 * What counts is failures in a row, on any path, within ROW_MS of one another: no
 * answer, or 5xx (a 4xx or a 429 is an answer like any other, and ends the row).
 * So one bad endpoint does not open it while others are in use. When only that one
 * was in use it does, and then up to HL_BREAKER_OTHERS calls of other paths (each
 * path a family, hl_breaker_failed) may ask at once: one good answer closes it. */
#ifndef HL_HUBSPOT_BREAKER_H
#define HL_HUBSPOT_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  HL_BREAKER_ROW = 10,           /* failures that open it */
  HL_BREAKER_FIRST_MS = 2000,    /* until the first probe, then twice that, ... */
  HL_BREAKER_LONGEST_MS = 30000, /* ... so a recovery is seen within this, and a quarter */
  HL_BREAKER_OTHERS = 3,
};

typedef struct hl_breaker { /* caller's memory, zeroed */
  unsigned failures;        /* in a row */
  int64_t last;             /* of them */
  int64_t since;            /* the first of them: since then HubSpot does not answer */
  bool open, probing;       /* probing: one is out */
  int64_t asked;            /* when it left */
  int64_t opened, next;     /* next: when the next probe may leave */
  int64_t interval;
  unsigned others;          /* probes of other families left */
  uint64_t families[16];    /* that failed in this row; more are taken for known */
  size_t n_families;
} hl_breaker;

/* Whether an answer (`status` 0: none, with the transport's hl_err) says that the
 * API is not there. */
bool hl_breaker_is_failure(int status, int code);
/* True when it opens now. `probe`: what hl_breaker_sent said of the request. `unit`
 * is uniform in [0,1): probes of many processes do not come together. */
bool hl_breaker_failed(hl_breaker *b, int64_t now, uint64_t family, bool probe, double unit);
/* True when it closes now. */
bool hl_breaker_answered(hl_breaker *b);
/* `now` when a request may leave; otherwise when one may, INT64_MAX while a probe is
 * out (of which nothing is heard for ever so long: then it is not waited for). */
int64_t hl_breaker_free_at(const hl_breaker *b, int64_t now);
/* Whether a request of this family may leave although it is not time yet. */
bool hl_breaker_may_try(const hl_breaker *b, uint64_t family);
/* A request leaves: whether it is a probe. */
bool hl_breaker_sent(hl_breaker *b, int64_t now);
/* A probe ended without telling anything. */
void hl_breaker_gone(hl_breaker *b);

#endif
