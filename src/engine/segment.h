/* A segment: the hashes of one run of log rows that have left memory, sorted in
 * a file beside the store (SEMANTICS 8). Written whole by a worker thread, then
 * read through a mapping; a filter of some ten bits a hash in memory keeps
 * nearly every miss away from the file. Lookups are for the loop thread. */
#ifndef HL_ENGINE_SEGMENT_H
#define HL_ENGINE_SEGMENT_H

#include "base/err.h"
#include "engine/dedupe.h"

typedef struct hl_segment hl_segment;

enum { HL_SEGMENT_KEY_BYTES = 16 };

/* Sorts `g` in place and writes it: a new file, synced, 0600, then renamed to
 * `path`, so that a file with that name is whole. `key` is the store's: a
 * segment of another store is a damaged one. Any thread; blocks. HL_EFULL, HL_EIO. */
int hl_segment_write(const char *path, const unsigned char key[HL_SEGMENT_KEY_BYTES], hl_generation *g, hl_error *err);
/* Blocks: reads the file once to check it. HL_ECORRUPT when anything in it is not
 * what was written, HL_EIO when it cannot be read. Any thread. */
int hl_segment_open(const char *path, const unsigned char key[HL_SEGMENT_KEY_BYTES], hl_segment **out, hl_error *err);
void hl_segment_free(hl_segment *s);

/* True when the hash is there and was received after `after`. */
bool hl_segment_has(const hl_segment *s, hl_hash h, int64_t after);
int64_t hl_segment_first_row(const hl_segment *s);
int64_t hl_segment_last_row(const hl_segment *s);
int64_t hl_segment_last_at(const hl_segment *s);   /* receipt of its youngest, epoch ms */
size_t hl_segment_count(const hl_segment *s);
const char *hl_segment_path(const hl_segment *s);

#endif
