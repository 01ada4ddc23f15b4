/* Any text as a script that waits: no crash, and what it waits for lies in the text, on one line. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lua/awaits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void told(void *arg, hl_str type, hl_str property) {
  const hl_str *text = arg;
  const hl_str both[] = {type, property};
  for (int i = 0; i < 2; i++) {
    if (i && !both[i].p) continue;
    assert(both[i].p > text->p && both[i].p + both[i].n < text->p + text->n);
    assert(!memchr(both[i].p, '\n', both[i].n) && both[i].p[-1] == both[i].p[both[i].n]);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hl_str text = {(const char *)data, size};
  hl_awaited_types(text, told, &text);
  return 0;
}
