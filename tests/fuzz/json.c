/* hl_json_parse: no crash, and what parses prints and parses again to the same text. */
#include <assert.h>
#include <stdint.h>

#include "base/json.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  cJSON *item = NULL, *again = NULL;
  hl_error err = {0};
  if (hl_json_parse((hl_str){(const char *)data, size}, &item, &err)) {
    assert(err.text[0]);
    return 0;
  }
  char *text = hl_json_print(item);
  if (hl_json_parse(hl_str_of(text), &again, &err) == 0) {
    char *second = hl_json_print(again);
    assert(strcmp(text, second) == 0);
    hl_free(second);
    cJSON_Delete(again);
  }
  hl_free(text);
  cJSON_Delete(item);
  return 0;
}
