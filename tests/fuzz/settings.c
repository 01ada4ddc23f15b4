/* hubloop.lua as outside bytes: loaded or refused with a text, never a crash. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lua/project.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char folder[64];
  char path[128];
  if (!folder[0]) {
    /* In the working folder: the runner removes it, `make fuzz` runs in build-fuzz. */
    snprintf(folder, sizeof folder, "./settings-XXXXXX");
    if (!mkdtemp(folder)) abort();
    snprintf(path, sizeof path, "%s/a.lua", folder);
    FILE *script = fopen(path, "w");
    if (!script) abort();
    fclose(script);
  }
  snprintf(path, sizeof path, "%s/hubloop.lua", folder);
  FILE *f = fopen(path, "wb");
  if (!f) abort();
  fwrite(data, 1, size, f);
  fclose(f);
  hl_project *p;
  hl_error err = {0};
  if (hl_project_load(folder, &p, &err) == 0) hl_project_free(p);
  else assert(err.text[0]);
  return 0;
}
