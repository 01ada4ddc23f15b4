/* The window of event hashes that duplicates are found in (SEMANTICS 8). Hashes
 * are kept in order of arrival and found through an open-addressing table; the
 * oldest leave by age or when there are too many. Loop thread; pure memory. */
#ifndef HL_ENGINE_DEDUPE_H
#define HL_ENGINE_DEDUPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hl_dedupe hl_dedupe;
typedef struct hl_hash { uint64_t a, b; } hl_hash;   /* 16 bytes, never both zero */

/* A keyed hash is expected: `a` is used as it is. */
hl_dedupe *hl_dedupe_new(int64_t window_ms, size_t max);
void hl_dedupe_free(hl_dedupe *d);
/* True: new, and now in the window. False: seen before. `now`: receipt, epoch ms. */
bool hl_dedupe_add(hl_dedupe *d, hl_hash h, int64_t now);
/* Takes back what could not be committed. Not there: nothing. */
void hl_dedupe_remove(hl_dedupe *d, hl_hash h);
size_t hl_dedupe_count(const hl_dedupe *d);
/* How far back the window reaches: window_ms, or less once hashes had to leave by number. */
int64_t hl_dedupe_window_ms(const hl_dedupe *d, int64_t now);

#endif
