/* The files of stdlib/ and scripts/ inside the binary, sorted by name
 * ("routing.lua", "help/run.md", "scripts/lead_routing.lua"). Constant data; any thread. */
#ifndef HL_BASE_EMBED_H
#define HL_BASE_EMBED_H

#include "base/str.h"

typedef struct hl_embedded {
  const char *name;    /* path below stdlib/; of scripts/ the whole path */
  const char *bytes;   /* followed by a NUL that is not counted */
  size_t size;
} hl_embedded;

extern const hl_embedded hl_stdlib_files[];
extern const size_t hl_stdlib_count;

/* NULL when there is no such file. */
const hl_embedded *hl_embedded_find(const char *name);

#endif
