/* Which pieces of the log may hold an event that a wait waits for, as far as they
 * have been seen: as rows came, or when they were read. A wait that begins days
 * after its event reads the few pieces that may, and not all that came since.
 * In memory only, bounded: what is not known is read. Inside src/engine; a mark
 * is a hash of what a wait waits for, cut to 32 bits. */
#ifndef HL_ENGINE_HEARD_H
#define HL_ENGINE_HEARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hl_heard hl_heard;

/* max: marks that it keeps, 4 bytes each; 0: four millions. */
hl_heard *hl_heard_new(size_t max);
void hl_heard_free(hl_heard *h);
/* From now on there are marks of one more kind: what was seen before says nothing of them. */
void hl_heard_kind(hl_heard *h);
/* A row comes, with a higher id than all before it; then marks of its events. */
void hl_heard_row(hl_heard *h, int64_t row);
void hl_heard_mark(hl_heard *h, uint32_t mark);
/* Rows `from` to `to` have been read; these are all marks of their events. */
void hl_heard_read(hl_heard *h, int64_t from, int64_t to, const uint32_t *marks, size_t n);
/* Sorted, as hl_heard_next wants them. */
void hl_heard_sort(uint32_t *marks, size_t n);

typedef enum hl_heard_what {
  HL_HEARD_NOTHING,   /* in none of the rows `from` to `to` is one of the marks */
  HL_HEARD_LATER,     /* nor in those before *a; it was long enough: ask again from there */
  HL_HEARD_PERHAPS,   /* in none before *a; rows *a to *b may hold one */
  HL_HEARD_UNKNOWN,   /* in none before *a; rows *a to *b are not known: read them, and say so */
} hl_heard_what;
hl_heard_what hl_heard_next(hl_heard *h, int64_t from, int64_t to, const uint32_t *marks, size_t n, int64_t *a, int64_t *b);

#endif
