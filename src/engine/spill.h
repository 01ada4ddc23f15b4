/* What of the duplicate window does not fit in memory: generations of hashes are
 * written to segments (segment.h) beside the store by a worker before they leave
 * memory, and deleted when they are older than the window. Files "STORE-dedupe-ROW".
 * Loop thread; only hl_spill_new blocks. */
#ifndef HL_ENGINE_SPILL_H
#define HL_ENGINE_SPILL_H

#include "engine/engine.h"

typedef struct hl_spill hl_spill;

/* Fills e->dedupe with what the log holds within the window. Segments that are
 * there are used; what is missing or damaged is made again from the log. The
 * engine's store, key and dedupe exist. */
int hl_spill_new(hl_engine *e, int64_t window_ms, size_t memory, size_t generation, hl_spill **out, hl_error *err);
/* A worker that is still writing ends on its own. */
void hl_spill_free(hl_spill *sp);
/* Hashes were added and committed: writes the next generation when it is time. */
void hl_spill_check(hl_spill *sp);
size_t hl_spill_segments(const hl_spill *sp);

#endif
