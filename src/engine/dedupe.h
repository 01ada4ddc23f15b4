/* The window of event hashes that duplicates are found in (SEMANTICS 8). Hashes
 * are kept in order of arrival and found through an open-addressing table; the
 * oldest leave by age, or for a segment on disk (spill.h), or when there are
 * too many. Ages are kept for runs of hashes of at most a minute, so a hash is
 * known for the window and up to a minute longer. Loop thread; pure memory. */
#ifndef HL_ENGINE_DEDUPE_H
#define HL_ENGINE_DEDUPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hl_dedupe hl_dedupe;
typedef struct hl_hash { uint64_t a, b; } hl_hash;   /* 16 bytes, never both zero */

enum { HL_DEDUPE_MARK_MS = 60 * 1000 };

/* A keyed hash is expected: `a` is used as it is. */
hl_dedupe *hl_dedupe_new(int64_t window_ms, size_t max);
void hl_dedupe_free(hl_dedupe *d);
/* True: new, and now in the window. False: seen before. `now`: receipt, epoch ms. */
bool hl_dedupe_add(hl_dedupe *d, hl_hash h, int64_t now);
/* Whether hl_dedupe_add would say false. */
bool hl_dedupe_has(const hl_dedupe *d, hl_hash h, int64_t now);
/* The hash will be added soon: its place in the table comes into the cache meanwhile. */
void hl_dedupe_prefetch(const hl_dedupe *d, hl_hash h);
/* Takes back what could not be committed. Not there: nothing. */
void hl_dedupe_remove(hl_dedupe *d, hl_hash h);
size_t hl_dedupe_count(const hl_dedupe *d);
/* How far back the window reaches: window_ms, or less once hashes had to leave by number. */
int64_t hl_dedupe_window_ms(const hl_dedupe *d, int64_t now);

/* ---- for what is kept elsewhere ---- */
/* Asked for a hash that is not in memory; true: it was received after `after`. */
void hl_dedupe_beyond(hl_dedupe *d, bool (*has)(void *arg, hl_hash h, int64_t after), void *arg);
/* What is added from now on is of this row of the log. */
void hl_dedupe_row(hl_dedupe *d, int64_t row);
/* What is added from now on does not follow what is there: rows between are kept elsewhere. */
void hl_dedupe_cut(hl_dedupe *d);
/* Everything up to here is committed (`end`: hl_dedupe_end, when it was added). */
void hl_dedupe_settle(hl_dedupe *d, uint64_t end);
uint64_t hl_dedupe_end(const hl_dedupe *d);

typedef struct hl_dated {
  hl_hash hash;
  uint32_t age;              /* ms after the generation's `from` */
} hl_dated;
/* Hashes that leave memory together: those of whole rows, one after the other. */
typedef struct hl_generation {
  hl_dated *v;
  size_t n;
  int64_t first_row, last_row, from, to;
  uint64_t next, end;        /* places: to be copied next */
} hl_generation;
/* The oldest committed hashes that are in no generation yet, about `max` of them
 * (fewer: rows stay whole; a cut ends it), still to be copied. False: there are none. hl_free(v). */
bool hl_dedupe_oldest(hl_dedupe *d, size_t max, hl_generation *out);
/* Copies some more of them, at most `most`; done when next is end. A million at once took
 * 16 ms of the loop. False: some have left meanwhile, so there is no such generation any more. */
bool hl_dedupe_copy(hl_dedupe *d, hl_generation *g, size_t most);
/* The generation is safe elsewhere: memory lets go of it, a little with each add. */
void hl_dedupe_saved(hl_dedupe *d, uint64_t end);
/* Places taken in memory that are not saved. */
size_t hl_dedupe_held(const hl_dedupe *d);

#endif
