#include "base/embed.h"

const hl_embedded *hl_embedded_find(const char *name) {
  size_t lo = 0, hi = hl_stdlib_count;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    int c = strcmp(name, hl_stdlib_files[mid].name);
    if (c == 0) return &hl_stdlib_files[mid];
    if (c < 0) hi = mid;
    else lo = mid + 1;
  }
  return NULL;
}
