/* Files of the webhooks journal: whatever comes, what is made of it is bodies that
 * the inbox reads, of as many events as they say. */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "engine/scan.h"
#include "hubspot/journal_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  hl_journal_file f = {0};
  hl_error err = {0};
  if (hl_journal_file_read((hl_str){(const char *)data, size}, size & 1, &f, &err)) {
    assert(err.text[0] && f.n == 0);
    return 0;
  }
  for (size_t i = 0; i < f.n; i++) {
    hl_elements all;
    assert(hl_elements_read(&all, hl_buf_str(&f.v[i].json), &err) == 0 && all.n == f.v[i].n && all.n);
    hl_elements_deinit(&all);
  }
  hl_journal_file_deinit(&f);
  return 0;
}
