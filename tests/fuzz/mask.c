/* Requests and bodies of a recording: nothing breaks, and what is masked is JSON, and is the same the next time. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hubspot/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static const unsigned char key[HL_MASK_KEY] = {3};
  hl_mask *m = hl_mask_new(key);
  hl_str text = {(const char *)data, n};
  hl_buf first, second;
  hl_buf_init(&first, SIZE_MAX / 4);
  hl_buf_init(&second, SIZE_MAX / 4);
  hl_mask_target(m, text, &first);
  hl_mask_target(m, text, &second);
  if (first.n != second.n || (first.n && memcmp(first.p, second.p, first.n) != 0)) abort();
  cJSON *tree, *again;
  hl_error err;
  if (hl_json_parse(text, &tree, &err) == 0) {
    hl_mask_json(m, tree);
    char *masked = hl_json_print(tree);
    if (hl_json_parse(hl_str_of(masked), &again, &err)) abort();
    cJSON_Delete(again);
    hl_free(masked);
    cJSON_Delete(tree);
  }
  hl_buf_deinit(&first);
  hl_buf_deinit(&second);
  hl_mask_free(m);
  return 0;
}
