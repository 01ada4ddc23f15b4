/* Runs a fuzz target without libFuzzer: every file of its corpus, then seeded
 * mutations of them. Prints what tests/unit/run.sh counts. The whole campaign is
 * `make fuzz`. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 16, MUTATIONS = 300 };

/* The input lies in a block of exactly its size, so that a sanitizer sees a read beyond it. */
static void one(const uint8_t *data, size_t n) {
  uint8_t *exact = hl_alloc(n);
  memcpy(exact, data, n);
  LLVMFuzzerTestOneInput(exact, n);
  hl_free(exact);
}

static size_t mutate(hl_rng *rng, uint8_t *data, size_t n) {
  static const char bits[] = "{}[]\",:\\u0000eE+-.0129/*TZ%=&\x01\xff";
  for (uint64_t k = 1 + hl_rng_below(rng, 4); k; k--) {
    size_t at = n ? hl_rng_below(rng, n) : 0;
    switch (hl_rng_below(rng, 5)) {
      case 0: if (n) data[at] = (uint8_t)hl_rng_next(rng); break;
      case 1: if (n) data[at] = (uint8_t)bits[hl_rng_below(rng, sizeof bits - 1)]; break;
      case 2: n = at; break;
      case 3:
        if (n && n < INPUT_MAX) {
          memmove(data + at + 1, data + at, n - at);
          data[at] = (uint8_t)bits[hl_rng_below(rng, sizeof bits - 1)];
          n++;
        }
        break;
      default: {
        size_t len = hl_rng_below(rng, n - at + 1);
        if (n + len <= INPUT_MAX) {
          memmove(data + at + len, data + at, n - at);
          n += len;
        }
      }
    }
  }
  return n;
}

int main(int argc, char **argv) {
  const char *folder = argc > 1 ? argv[1] : HL_CORPUS;
  const char *slash = strrchr(folder, '/');
  uint8_t *data = hl_alloc(INPUT_MAX), *copy = hl_alloc(INPUT_MAX);
  hl_rng rng;
  size_t files = 0;
  hl_rng_init(&rng, 2026);
  DIR *d = opendir(folder);
  for (struct dirent *e; d && (e = readdir(d));) {
    char path[4096];
    if (e->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    FILE *f = fopen(path, "rb");
    if (!f) continue;
    size_t n = fread(data, 1, INPUT_MAX, f);
    fclose(f);
    files++;
    one(data, n);
    for (int i = 0; i < MUTATIONS; i++) {
      memcpy(copy, data, n);
      one(copy, mutate(&rng, copy, n));
    }
  }
  if (d) closedir(d);
  hl_free(data);
  hl_free(copy);
  printf("%s fuzz_%s\n", files ? "[       OK ]" : "[  FAILED  ]", slash ? slash + 1 : folder);
  return files == 0;
}
